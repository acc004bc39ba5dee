/* repeats.c - a reduction over an axis along which a value only repeats reads it once. */
#include "program.h"

typedef struct row {
  const ct_op *op;
  bool counts; /* n equal numbers reduce to n times one of them */
  bool fast;   /* not the same bits */
} row;
static const row rows[] = {{&ct__sum_op, true, true},   {&ct__mean_op, false, true},
                           {&ct__max_op, false, false}, {&ct__min_op, false, false},
                           {&ct__any_op, false, false}, {&ct__all_op, false, false}};

static const row *row_of(const ct_program *p, const ct_op *op) {
  for (int r = 0; r < CT__COUNT(rows); r++)
    if (op == rows[r].op && !(p->exact && rows[r].fast)) return &rows[r];
  return NULL;
}

/* The operand without the axes along which it repeats, and how often it did; 1 for no change. */
static int64_t shrink(const ct_program *p, const ct__instr *k, const ct__call_room *room,
                      ct_view *x) {
  ct_call c = ct__instr_call(p, k, room);
  int64_t times = 1;
  unsigned axes;
  bool keepdims;
  *x = p->value[k->arg[0]].v;
  if (x->size == 0 || !ct__reduced_axes(&c, &axes, &keepdims)) return times;
  for (int d = 0; d < x->ndim; d++) {
    if (x->stride[d] != 0 || !(axes >> d & 1)) continue;
    times *= x->dim[d];
    x->dim[d] = 1;
  }
  ct__view_refresh(x);
  return times;
}

/* y = times of what the operation now gives: a scale right behind it. */
static ct_status count_in(ct_program *p, int k, int64_t times) {
  int *out = p->instr[k].arg + p->instr[k].n_in, y = *out, once = ct__value_like(p, y);
  if (once < 0) return CT_ENOMEM;
  *out = once;
  if (!ct__instr_new(p, &ct__scale_op, &(double){(double)times}, 1, &once, 1, &y)) return CT_ENOMEM;
  const ct__instr scale = p->instr[p->n_instrs - 1];
  memmove(p->instr + k + 2, p->instr + k + 1, (size_t)(p->n_instrs - k - 2) * sizeof scale);
  p->instr[k + 1] = scale;
  return CT_OK;
}

ct_status ct__pass_repeats(ct_program *p) {
  ct__call_room room;
  if (!ct__call_room_new(p, &room)) return CT_ENOMEM;
  for (int k = 0; k < p->n_instrs; k++) {
    const row *w = row_of(p, p->instr[k].op);
    ct_view x;
    int64_t times = w ? shrink(p, &p->instr[k], &room, &x) : 1;
    if (times == 1 || (w->counts && !ct_dtype_is_float(x.dtype))) continue;
    int once = ct__value_alias(p, p->instr[k].arg[0], 0, &x);
    if (once < 0) return CT_ENOMEM;
    p->instr[k].arg[0] = once;
    ct_status status = w->counts ? count_in(p, k, times) : CT_OK;
    if (status != CT_OK) return status;
  }
  return CT_OK;
}
