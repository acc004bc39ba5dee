/* random_programs_shrink.h - a failing program made small, and printed as C. */
#ifndef COTANGENT_RANDOM_PROGRAMS_SHRINK_H
#define COTANGENT_RANDOM_PROGRAMS_SHRINK_H

#include "random_programs_check.h"

/* ---- shrinking ------------------------------------------------------------------------------- */

/* Drops nodes that no output needs. */
static inline void sweep(program *p) {
  bool needed[MAX_NODES] = {false};
  int place[MAX_NODES], n = 0;
  for (int o = 0; o < p->n_out; o++) needed[p->out[o]] = true;
  for (int k = p->n - 1; k >= 0; k--)
    for (int i = 0; needed[k] && p->node[k].row && i < operands_of(p->node[k].row); i++)
      needed[p->node[k].in[i]] = true;
  for (int k = 0; k < p->n; k++) {
    if (!needed[k]) continue;
    place[k] = n;
    p->node[n] = p->node[k];
    for (int i = 0; p->node[n].row && i < operands_of(p->node[n].row); i++)
      p->node[n].in[i] = place[p->node[n].in[i]];
    n++;
  }
  for (int o = 0; o < p->n_out; o++) p->out[o] = place[p->out[o]];
  p->n = n;
}

/* t (f64; others stay) with its numbers rounded to multiples of 1 / unit. */
static inline ct_tensor *rounded_to(ct_tensor *t, double unit) {
  if (t->v.dtype != CT_F64) return t;
  ct_tensor *rounded = ct_empty(CT_F64, ct_shape_of(t));
  double *at = (double *)(void *)rounded->v.data;
  (void)ct_copy_out(t, at, (size_t)t->v.size * sizeof *at);
  for (int64_t i = 0; i < t->v.size; i++) at[i] = round(at[i] * unit) / unit;
  return rounded;
}

/* A simpler leaf: numbers of one decimal. */
static inline bool round_leaf(node *n) {
  if (n->row || n->kind != 'f') return false;
  ct_tensor *rounded = rounded_to(n->t, 10);
  vec was = vec_of(1, &n->t), is = vec_of(1, &rounded);
  n->t = rounded;
  return was.n > 0 && memcmp(was.at, is.at, (size_t)was.n * sizeof *was.at) != 0;
}

/* The values that follow from the leaves; false if a call fails. */
static inline bool revalue(program *p) {
  ct_tensor *leaf[MAX_NODES], *t[MAX_NODES];
  for (int k = 0; k < p->n; k++) leaf[k] = p->node[k].t;
  program_run(p, leaf, NULL, t);
  bool fine = true;
  for (int k = 0; k < p->n; k++) fine &= !ct_is_nil(p->node[k].t = t[k]);
  ct_error_clear();
  return fine;
}

/* Number `way` of the things to try on a program; false if it changes nothing. */
static inline bool simplify(program *p, int way) {
  int k = way / (MAX_IN + 2), how = way % (MAX_IN + 2);
  if (how == 0 && k < p->n_out && p->n_out > 1) { /* one output less */
    memmove(p->out + k, p->out + k + 1, (size_t)(p->n_out - k - 1) * sizeof *p->out);
    p->n_out--;
    return true;
  }
  if (k >= p->n) return false;
  node *n = &p->node[k];
  if (how == 0) return false;
  if (how == 1) { /* a leaf instead of the node, a simpler one instead of a leaf */
    bool was_leaf = !n->row;
    n->row = NULL;
    return !was_leaf || (round_leaf(n) && revalue(p));
  }
  int i = how - 2;
  if (!n->row || i >= operands_of(n->row)) return false;
  const node *from = &p->node[n->in[i]]; /* one of its operands instead */
  if (from->kind != n->kind || !ct_shape_equal(ct_shape_of(from->t), ct_shape_of(n->t)))
    return false;
  int instead = n->in[i];
  for (int j = k + 1; j < p->n; j++)
    for (int q = 0; p->node[j].row && q < operands_of(p->node[j].row); q++)
      if (p->node[j].in[q] == k) p->node[j].in[q] = instead;
  for (int o = 0; o < p->n_out; o++)
    if (p->out[o] == k) p->out[o] = instead;
  return revalue(p);
}

/* Makes p smaller while the same check fails. */
static inline finding program_shrink(program *p) {
  finding found = program_check(p, NULL);
  sweep(p);
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (int way = MAX_NODES * (MAX_IN + 2) - 1; way >= 0; way--) {
      program less = *p;
      if (!simplify(&less, way)) continue;
      sweep(&less);
      finding now = program_check(&less, NULL);
      if (now.verdict != FAILED || strcmp(now.check, found.check) != 0) continue;
      *p = less;
      found = now;
      smaller = true;
    }
  }
  return found;
}

/* ---- printing -------------------------------------------------------------------------------- */

static inline void print_ints(FILE *out, const char *open, int n, const int *a) {
  fputs(open, out);
  for (int i = 0; i < n; i++) fprintf(out, "%s%d", i ? ", " : "", a[i]);
  fputc(')', out);
}

static inline void print_dims(FILE *out, ct_shape s) {
  if (s.n == 0) fputs("CT_SCALAR", out);
  for (int i = 0; i < s.n; i++)
    fprintf(out, "%s%lld%s", i ? ", " : "CT_SHAPE(", (long long)s.dim[i], i == s.n - 1 ? ")" : "");
}

static inline void print_numbers(FILE *out, ct_tensor *t, int digits) {
  ct_scope scope = ct_scope_begin();
  ct_tensor *real = ct_contiguous(ct_cast(t, CT_F64));
  const double *at = (const double *)(const void *)real->v.data;
  for (int64_t i = 0; i < t->v.size; i++) fprintf(out, "%s%.*g", i ? ", " : "", digits, at[i]);
  ct_scope_end(scope);
}

/* The row's expression with operands and attributes put in. */
static inline void print_expression(FILE *out, const node *n) {
  const int *a = n->a;
  for (const char *c = n->row->text; *c;) {
    int k, length = 0;
    if (sscanf(c, "x[%d]%n", &k, &length) == 1 && length)
      fprintf(out, "t%d", n->in[k]);
    else if (sscanf(c, "a[%d]%n", &k, &length) == 1 && length)
      fprintf(out, "%d", a[k]);
    else if (strncmp(c, "axes(a)", 7) == 0 && (length = 7))
      a[0] ? print_ints(out, "CT_AXES(", a[0], a + 1) : (void)fputs("CT_ALL", out);
    else if (strncmp(c, "shape(a)", 8) == 0 && (length = 8))
      a[0] ? print_ints(out, "CT_SHAPE(", a[0], a + 1) : (void)fputs("CT_SCALAR", out);
    else
      fputc(*c, out), length = 1;
    c += length;
  }
}

static inline void print_node(FILE *out, const program *p, int k) {
  static const char *const type[] = {"float", "double", "int32_t", "uint8_t", "bool"};
  static const char *const name[] = {"CT_F32", "CT_F64", "CT_I32", "CT_U8", "CT_BOOL"};
  const node *n = &p->node[k];
  fprintf(out, "ct_tensor *t%d = ", k);
  if (!n->row) {
    fprintf(out, "ct_variable(ct_from(%s, ", name[n->t->v.dtype]);
    print_dims(out, ct_shape_of(n->t));
    fprintf(out, ", (%s[]){", type[n->t->v.dtype]);
    print_numbers(out, n->t, 17);
    fputs("}))", out);
  } else if (!n->row->text) {
    fprintf(out, "ct_%s(", n->row->name);
    for (int i = 0; i < operands_of(n->row); i++) fprintf(out, "%st%d", i ? ", " : "", n->in[i]);
    fputc(')', out);
  } else {
    print_expression(out, n);
  }
  fputs(";\n", out);
}

static inline void program_print(FILE *out, const program *p, const finding *found) {
  fprintf(out, "/* seed %llu: %s", (unsigned long long)p->seed, found->check);
  if (found->error[0])
    fprintf(out, ": %s */\n", found->error);
  else
    fprintf(out, ", element %lld: got %.17g, want %.17g within %.2g */\n",
            (long long)found->element, found->got, found->want, found->allowed);
  for (int k = 0; k < p->n; k++) print_node(out, p, k);
  fputs("ct_list y = CT_LIST(", out);
  for (int o = 0; o < p->n_out; o++) fprintf(out, "%st%d", o ? ", " : "", p->out[o]);
  fputs(");\n", out);
}

#endif
