/* graph_dot.c - recipes as Graphviz text.
 *
 * The vertices are calls and leaves. They are numbered as they are found, from the given tensors
 * towards the leaves, so the same recipe always gives the same text; the list of those found is
 * also the queue of those still to draw, and its length bounds nothing but memory. */
#include "autograd_internal.h"

enum {
  SMALL = 6,         /* elements of a value that is shown */
  TEXT = 24 * SMALL, /* of a value as text */
  FIRST_SIZE = 64    /* of the table, a power of two */
};

typedef struct drawing {
  FILE *out;
  ct_list tensors, marked, gradients;
  const ct_tensor **found; /* a leaf, or any output of a call; in order of discovery */
  int64_t n;
  int64_t *slot; /* hash table of indices into found, -1 where empty; twice as long */
  int64_t size;  /* room in found */
} drawing;

/* ---- numbering ------------------------------------------------------------------------------- */

/* What a vertex stands for: a call, or a leaf. */
static const void *identity(const ct_tensor *t) {
  return t->recipe ? (const void *)t->recipe : (const void *)t;
}

/* Where the vertex of t is in the table, or the empty place where it belongs. */
static int64_t *place(const drawing *d, const ct_tensor *t) {
  uint64_t mask = (uint64_t)d->size * 2 - 1;
  uint64_t at = ((uint64_t)(uintptr_t)identity(t) >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20;
  while (d->slot[at & mask] >= 0 && identity(d->found[d->slot[at & mask]]) != identity(t)) at++;
  return &d->slot[at & mask];
}

static void drawing_end(drawing *d) {
  ct__free(d->found, (size_t)d->size * sizeof *d->found);
  ct__free(d->slot, (size_t)d->size * 2 * sizeof *d->slot);
}

static bool grow(drawing *d) {
  drawing bigger = *d;
  bigger.size = d->size ? d->size * 2 : FIRST_SIZE;
  bigger.found = ct__alloc((size_t)bigger.size * sizeof *bigger.found);
  bigger.slot = ct__alloc((size_t)bigger.size * 2 * sizeof *bigger.slot);
  if (!bigger.found || !bigger.slot) {
    drawing_end(&bigger);
    return false;
  }
  for (int64_t i = 0; i < bigger.size * 2; i++) bigger.slot[i] = -1;
  for (int64_t i = 0; i < d->n; i++) {
    bigger.found[i] = d->found[i];
    *place(&bigger, d->found[i]) = i;
  }
  drawing_end(d);
  *d = bigger;
  return true;
}

/* The number of t's vertex; -1 when memory ran out. */
static int64_t number(drawing *d, const ct_tensor *t) {
  if (d->n == d->size && !grow(d)) return -1;
  int64_t *at = place(d, t);
  if (*at < 0) {
    d->found[d->n] = t;
    *at = d->n++;
  }
  return *at;
}

/* ---- labels ---------------------------------------------------------------------------------- */

void ct__put_escaped(FILE *out, const char *text) {
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') fputc('\\', out);
    fputc((unsigned char)*text < ' ' ? ' ' : *text, out);
  }
}

/* "1.5" or "[1, 2, 3]"; nothing for what is large, symbolic or overwritten. */
static const char *value_text(char text[TEXT], const ct_tensor *t) {
  double value[SMALL];
  text[0] = '\0';
  if (!t->buffer || ct__stale(t) || t->v.size == 0 || t->v.size > SMALL) return text;
  ct_view plain = {0};
  ct__view_set(&plain, CT_F64, t->v.ndim, t->v.dim);
  plain.data = (char *)value;
  ct__cast(&t->v, &plain);
  int at = 0;
  for (int64_t i = 0; i < t->v.size; i++) {
    const char *before = i > 0 ? ", " : t->v.ndim > 0 ? "[" : "";
    at += snprintf(text + at, (size_t)(TEXT - at), "%s%.4g", before, value[i]);
  }
  if (t->v.ndim > 0) snprintf(text + at, (size_t)(TEXT - at), "]");
  return text;
}

/* One line of a label: shape, dtype and a small value. */
static void put_tensor(FILE *out, const char *what, const ct_tensor *t) {
  char shape[CT__SHAPE_TEXT], value[TEXT];
  fprintf(out, "\\n%s%s %s", what, ct__shape_text(shape, t->v.ndim, t->v.dim),
          ct_dtype_name(t->v.dtype));
  if (value_text(value, t)[0]) fprintf(out, " = %s", value);
}

static bool contains(ct_list list, const ct_tensor *t) {
  for (int i = 0; i < list.n; i++)
    if (list.at[i] == t) return true;
  return false;
}

static void put_output(const drawing *d, const ct_tensor *t) {
  put_tensor(d->out, "", t);
  for (int i = 0; i < d->marked.n; i++)
    if (d->marked.at[i] == t) put_tensor(d->out, "gradient ", d->gradients.at[i]);
}

/* ---- vertices and edges ---------------------------------------------------------------------- */

static const char *leaf_name(const ct_tensor *t) {
  return t->flags & CT__VARIABLE      ? "variable"
         : t->flags & CT__PLACEHOLDER ? "placeholder"
                                      : "constant";
}

static const char *leaf_style(const ct_tensor *t) {
  return t->flags & CT__VARIABLE      ? "shape=ellipse, style=filled, fillcolor=lightblue"
         : t->flags & CT__PLACEHOLDER ? "shape=ellipse, style=filled, fillcolor=lightyellow"
                                      : "shape=plaintext";
}

static void draw_leaf(const drawing *d, int64_t id, const ct_tensor *t) {
  fprintf(d->out, "  n%lld [%s%s, label=\"%s", (long long)id, leaf_style(t),
          contains(d->tensors, t) ? ", penwidth=2" : "", leaf_name(t));
  put_output(d, t);
  fputs("\"];\n", d->out);
}

static bool draw_call(drawing *d, int64_t id, const ct_tensor *t) {
  const ct_recipe *r = t->recipe;
  bool wanted = false;
  for (int o = 0; o < r->n_out; o++) wanted |= r->out[o] && contains(d->tensors, r->out[o]);
  fprintf(d->out, "  n%lld [shape=box%s, label=\"", (long long)id, wanted ? ", penwidth=2" : "");
  ct__put_escaped(d->out, ct__node_of(t)->call.op->name);
  for (int o = 0; o < r->n_out; o++)
    if (r->out[o]) put_output(d, r->out[o]); /* one that nobody holds is not there any more */
  fputs("\"];\n", d->out);
  for (int i = 0; i < r->n_in; i++) {
    const ct_tensor *in = r->in[i];
    int64_t from = number(d, in);
    if (from < 0) return false;
    fprintf(d->out, "  n%lld -> n%lld", (long long)from, (long long)id);
    if (in->recipe && in->recipe->n_out > 1) fprintf(d->out, " [label=\"%d\"]", in->out_index);
    fputs(";\n", d->out);
  }
  return true;
}

static ct_status draw(drawing *d) {
  for (int i = 0; i < d->tensors.n; i++)
    if (number(d, d->tensors.at[i]) < 0) return ct__pending("ct_graph_dot");
  fputs("digraph recipe {\n  node [fontname=\"Helvetica\", fontsize=10];\n", d->out);
  for (int64_t id = 0; id < d->n; id++) {
    const ct_tensor *t = d->found[id];
    if (!t->recipe)
      draw_leaf(d, id, t);
    else if (!draw_call(d, id, t))
      return ct__pending("ct_graph_dot");
  }
  fputs("}\n", d->out);
  return fflush(d->out) == 0 && !ferror(d->out)
             ? CT_OK
             : ct__fail_status(CT_EIO, "ct_graph_dot: writing failed");
}

/* ---- the public face ------------------------------------------------------------------------- */

static ct_status check_list(const char *name, ct_list list) {
  if (list.n < 0 || (list.n > 0 && !list.at))
    return ct__fail_status(CT_EARG, "ct_graph_dot: %s is no list", name);
  for (int i = 0; i < list.n; i++) {
    if (!list.at[i]) return ct__fail_status(CT_EARG, "ct_graph_dot: %s[%d] is NULL", name, i);
    if (ct__is_nil(list.at[i])) return ct__pending("ct_graph_dot");
  }
  return CT_OK;
}

ct_status ct_graph_dot(FILE *out, ct_list tensors, ct_list marked, ct_list gradients) {
  if (!out) return ct__fail_status(CT_EARG, "ct_graph_dot: out is NULL");
  ct_status status = check_list("tensors", tensors);
  if (status == CT_OK) status = check_list("marked", marked);
  if (status == CT_OK) status = check_list("gradients", gradients);
  if (status != CT_OK) return status;
  if (marked.n != gradients.n)
    return ct__fail_status(CT_EARG,
                           "ct_graph_dot: want %d gradients, one per marked tensor, got %d",
                           marked.n, gradients.n);
  drawing d = {.out = out, .tensors = tensors, .marked = marked, .gradients = gradients};
  status = draw(&d);
  drawing_end(&d);
  return status;
}
