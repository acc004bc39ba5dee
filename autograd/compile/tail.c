/* tail.c - which reductions end a chain, and their accumulators. */
#include "tail.h"

enum {
  FEW = 64,         /* results: each piece has all of them */
  MOST_COPIES = 16, /* of accumulators */
  ROOM = 16384,     /* accumulators of one tail, all copies together */
  LINE = 64,        /* elements that a result needs to be worth it, over the last axes */
  COLUMN = 8        /* and over the first */
};

#define ENTRY(isa) {ct__tail_loops_f32_##isa, ct__tail_loops_f64_##isa},
static const ct__tail_loops *const sets[][2] = {CT__ISA_LIST(ENTRY)};

/* ---- which ----------------------------------------------------------------------------------- */

static bool find_kind(const ct_op *op, ct__fold_kind *kind) {
#define OP(name, ...) &ct__##name##_op,
  static const ct_op *const ops[] = {CT__FOLD_LIST(OP)};
#undef OP
  for (int k = 0; k < CT__FOLDS; k++)
    if (op == ops[k]) return *kind = (ct__fold_kind)k, true;
  return false;
}

/* Extents of 1 are on either side. */
static bool one_side(const ct_view *x, unsigned axes, bool last) {
  bool over = false;
  for (int i = 0; i < x->ndim; i++) {
    int d = last ? x->ndim - 1 - i : i;
    bool reduced = axes >> d & 1;
    if (x->dim[d] == 1) continue;
    if (over && reduced) return false;
    over |= !reduced;
  }
  return true;
}

bool ct__tail_of(const ct_call *c, ct__tail *tail) {
  if (c->n_in != 1 || c->n_out != 1) return false;
  const ct_view *x = ct__in(c, 0);
  *tail = (ct__tail){.dtype = x->dtype, .results = 1, .copies = MOST_COPIES};
  if (!find_kind(c->op, &tail->kind) || !ct__is_float(x->dtype) ||
      !ct__reduced_axes(c, &tail->axes, &tail->keepdims))
    return false;
  for (int d = 0; d < x->ndim; d++)
    if (!(tail->axes >> d & 1)) tail->results *= x->dim[d];
  tail->last = one_side(x, tail->axes, true);
  if (x->size == 0 || x->size < tail->results * (tail->last ? LINE : COLUMN)) return false;
  tail->whole = tail->last && tail->results > FEW;
  while (tail->copies > 1 && (tail->whole || tail->copies * tail->results > ROOM)) tail->copies--;
  return tail->last || one_side(x, tail->axes, false);
}

ct_shape ct__tail_shape(const ct__tail *tail, ct_shape of) {
  ct_shape shape = {0};
  for (int d = 0; d < of.n; d++)
    if (!(tail->axes >> d & 1))
      shape.dim[shape.n++] = of.dim[d];
    else if (tail->keepdims)
      shape.dim[shape.n++] = 1;
  return shape;
}

/* ---- accumulators ---------------------------------------------------------------------------- */

size_t ct__tails_bytes(int n, const ct__tail *tail) {
  int64_t numbers = 0;
  for (int i = 0; i < n; i++) numbers += tail[i].copies * tail[i].results;
  return (size_t)numbers * sizeof(double);
}

double *ct__tail_room(const ct__tail *tail, int i, double *room) {
  for (int k = 0; k < i; k++) room += tail[k].copies * tail[k].results;
  return room;
}

int64_t ct__tails_pieces(int n, const ct__tail *tail, int64_t pieces) {
  for (int i = 0; i < n; i++)
    if (!tail[i].whole && tail[i].copies < pieces) pieces = tail[i].copies;
  return pieces;
}

static int64_t copies_used(const ct__tail *t, int64_t pieces) { return t->whole ? 1 : pieces; }

void ct__tails_begin(int n, const ct__tail *tail, int64_t pieces, double *room) {
#define IDENTITY(name, combined, identity) identity,
  static const double identities[] = {CT__FOLD_LIST(IDENTITY)};
#undef IDENTITY
  for (int i = 0; i < n; i++) {
    double *acc = ct__tail_room(tail, i, room), identity = identities[tail[i].kind];
    for (int64_t k = 0; k < copies_used(&tail[i], pieces) * tail[i].results; k++) acc[k] = identity;
  }
}

void ct__tail_fold(const ct__tail *tail, int64_t rows, int64_t row, const void *x, double *acc) {
  const ct__tail_loops *loops = &sets[ct__isa()][tail->dtype == CT_F64][tail->kind];
  (tail->last ? loops->lines : loops->columns)(rows, row, x, acc);
}

void ct__tails_end(int n, const ct__tail *tail, int64_t pieces, int64_t size, double *room,
                   ct_view *const *out) {
  for (int i = 0; i < n; i++) {
    const ct__tail *t = &tail[i];
    double *acc = ct__tail_room(tail, i, room);
    sets[ct__isa()][true][t->kind].columns(copies_used(t, pieces) - 1, t->results, acc + t->results,
                                           acc);
    for (int64_t k = 0; k < t->results && t->kind == CT__FOLD_mean; k++)
      acc[k] /= (double)(size / t->results);
    ct_view all;
    ct__view_set(&all, CT_F64, out[i]->ndim, out[i]->dim);
    all.data = (char *)acc;
    ct__cast(&all, out[i]);
  }
}
