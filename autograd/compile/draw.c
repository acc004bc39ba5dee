/* draw.c - a program for Graphviz, and the map of its arena. */
#include "program.h"

/* ---- Graphviz -------------------------------------------------------------------------------- */

static void put_shape(const ct_view *v, FILE *out) {
  char shape[CT__SHAPE_TEXT];
  fprintf(out, "\\n%s %s", ct__shape_text(shape, v->ndim, v->dim), ct_dtype_name(v->dtype));
}

static void draw_leaf(const ct_program *p, int i, FILE *out) {
  char name[CT__VALUE_NAME];
  const ct__value *x = &p->value[i];
  bool variable = x->tensor && (x->tensor->flags & CT__VARIABLE);
  fprintf(out, "  v%d [shape=ellipse, style=filled, fillcolor=%s, label=\"%s", i,
          x->home == CT__ARGUMENT ? "lightyellow"
          : variable              ? "lightblue"
                                  : "white",
          ct__value_name(p, i, name));
  put_shape(&x->v, out);
  fputs("\"];\n", out);
}

/* The memory that an operand lies in comes from an instruction, or is a leaf. */
static void draw_edge(const ct_program *p, const int *maker, int i, int to, FILE *out) {
  int base = p->value[i].base;
  char name[CT__VALUE_NAME];
  fprintf(out, maker[base] < 0 ? "  v%d" : "  n%d", maker[base] < 0 ? base : maker[base]);
  fprintf(out, " -> n%d [label=\"%s\"];\n", to, ct__value_name(p, i, name));
}

static void draw_instr(const ct_program *p, const int *maker, int k, FILE *out) {
  const ct__instr *instr = &p->instr[k];
  bool writes = ct__base(p, ct__outs(instr)[0])->home == CT__CAPTURED;
  fprintf(out, "  n%d [shape=box%s, label=\"%d ", k,
          writes ? ", style=filled, fillcolor=lightblue" : "", k);
  ct__put_escaped(out, instr->op->name);
  if (instr->steps) {
    fputs("\\n", out);
    ct__put_escaped(out, instr->steps);
  }
  for (int o = 0; o < instr->n_out; o++) put_shape(&p->value[ct__outs(instr)[o]].v, out);
  fputs("\"];\n", out);
  for (int i = 0; i < instr->n_in; i++) draw_edge(p, maker, instr->arg[i], k, out);
}

ct_status ct_program_dot(const ct_program *p, FILE *out) {
  ct_status status = ct__check_stream("ct_program_dot", p, out);
  if (status != CT_OK) return status;
  size_t bytes = (size_t)p->n_values * sizeof(int);
  int *maker = ct__alloc(bytes); /* the last instruction so far that wrote to a base; -1: none */
  if (!maker) return CT_ENOMEM;
  fputs("digraph program {\n  node [fontname=\"Helvetica\", fontsize=10];\n"
        "  edge [fontname=\"Helvetica\", fontsize=8];\n",
        out);
  for (int i = 0; i < p->n_values; i++) {
    maker[i] = -1;
    if (p->value[i].base == i && p->value[i].home != CT__COMPUTED) draw_leaf(p, i, out);
  }
  for (int k = 0; k < p->n_instrs; k++) {
    draw_instr(p, maker, k, out);
    for (int o = 0; o < p->instr[k].n_out; o++) maker[p->value[ct__outs(&p->instr[k])[o]].base] = k;
  }
  for (int o = 0; o < p->n_out; o++) {
    int from = maker[p->value[p->out[o]].base];
    fprintf(out, "  out%d [shape=ellipse, penwidth=2];\n  n%d -> out%d;\n", o, from, o);
  }
  fputs("}\n", out);
  ct__free(maker, bytes);
  return ct__check_written("ct_program_dot", out, "drawing");
}

/* ---- the arena ------------------------------------------------------------------------------- */

/* A block of the arena: a value, or the workspace of an instruction. */
typedef struct area {
  size_t at, bytes;
  int first, last, number; /* number: of the areas so far */
  char name[CT__VALUE_NAME];
} area;

typedef void put_area(const ct_program *p, const area *a, FILE *out);

static void each_area(const ct_program *p, put_area *put, FILE *out) {
  int n = 0;
  for (int i = 0; i < p->n_values; i++) {
    const ct__value *x = &p->value[i];
    if (x->base != i || x->home != CT__COMPUTED || x->result >= 0 || x->first < 0) continue;
    area a = {x->at, ct__value_bytes(x), x->first, x->last, n++, ""};
    ct__value_name(p, i, a.name);
    put(p, &a, out);
  }
  for (int k = 0; k < p->n_instrs; k++) {
    if (p->instr[k].work == 0) continue;
    area a = {p->instr[k].work_at, p->instr[k].work, k, k, n++, ""};
    snprintf(a.name, sizeof a.name, "work of %d", k);
    put(p, &a, out);
  }
}

static void as_text(const ct_program *p, const area *a, FILE *out) {
  (void)p;
  fprintf(out, "%12zu %12zu  %5d %5d  %s\n", a->at, a->bytes, a->first, a->last, a->name);
}

enum { WIDTH = 960, HEIGHT = 540, MARGIN = 40 };

/* Time to the right, addresses upwards. */
static void as_svg(const ct_program *p, const area *a, FILE *out) {
  double step = (double)WIDTH / p->n_instrs, scale = (double)HEIGHT / (double)p->arena;
  double x = MARGIN + step * a->first, w = step * (a->last - a->first + 1);
  double h = scale * (double)a->bytes, y = MARGIN + HEIGHT - scale * (double)a->at - h;
  unsigned hue = (unsigned)a->number * 137 % 360; /* neighbours lie apart on the circle */
  fprintf(out,
          "<g><title>%s: %zu bytes at %zu, instructions %d to %d</title>"
          "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"hsl(%u,55%%,75%%)\" "
          "stroke=\"#333\" stroke-width=\"0.5\"/>",
          a->name, a->bytes, a->at, a->first, a->last, x, y, w, h, hue);
  if (h > 11 && w > 40)
    fprintf(out, "<text x=\"%.2f\" y=\"%.2f\">%s</text>", x + 3, y + 10, a->name);
  fputs("</g>\n", out);
}

/* The numbers of instructions under the map, as many as there is room for. */
static void put_numbers(const ct_program *p, FILE *out) {
  enum { MOST = 40 };
  double step = (double)WIDTH / p->n_instrs;
  for (int k = 0; k < p->n_instrs; k += 1 + (p->n_instrs - 1) / MOST)
    fprintf(out, "<text x=\"%.2f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n",
            MARGIN + step * (k + 0.5), MARGIN + HEIGHT + 12, k);
}

ct_status ct_program_memory(const ct_program *p, ct_memory_format format, FILE *out) {
  static const char who[] = "ct_program_memory";
  ct_status status = ct__check_stream(who, p, out);
  if (status != CT_OK) return status;
  if (format == CT_MEMORY_TEXT) {
    fprintf(out, "arena %zu bytes, %zu live at once\n%12s %12s  %5s %5s  %s\n", p->arena, p->live,
            "address", "bytes", "first", "last", "value");
    each_area(p, as_text, out);
  } else if (format == CT_MEMORY_SVG) {
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "font-family=\"Helvetica\" font-size=\"9\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
            "<text x=\"%d\" y=\"24\" font-size=\"13\">%d instructions to the right, %zu bytes of "
            "memory upwards</text>\n"
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#f4f4f4\"/>\n",
            WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN, MARGIN, p->n_instrs, p->arena, MARGIN, MARGIN,
            WIDTH, HEIGHT);
    if (p->arena > 0 && p->n_instrs > 0) {
      put_numbers(p, out);
      each_area(p, as_svg, out);
    }
    fputs("</svg>\n", out);
  } else {
    return ct__fail_status(CT_EARG, "%s: unknown format %d", who, (int)format);
  }
  return ct__check_written(who, out, "drawing");
}
