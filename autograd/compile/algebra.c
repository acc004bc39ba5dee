/* algebra.c - operations that give back an operand, and operations on constants.
 *
 * Constants are mostly folded when a recipe is made, because an operation whose inputs have values
 * runs at once; what is left here comes from other passes.
 */
#include "program.h"

/* A rule gives the value that is the result of instruction k, or -1. */
typedef struct site {
  const ct_program *p;
  const ct__instr *k;
  const int *maker;
} site;
typedef int rule(const site *s);

static bool is_number(const site *s, int i, double number) {
  double is;
  return ct__value_number(s->p, s->k->arg[i], &is) && is == number;
}

/* Operand i if it has the result's shape: nothing is repeated. */
static int operand(const site *s, int i) {
  const ct_view *x = &s->p->value[s->k->arg[i]].v, *y = &s->p->value[ct__outs(s->k)[0]].v;
  return ct__same_shape(x, y) && x->dtype == y->dtype ? s->k->arg[i] : -1;
}

static int times_one(const site *s) {
  return is_number(s, 1, 1) ? operand(s, 0) : is_number(s, 0, 1) ? operand(s, 1) : -1;
}
static int over_one(const site *s) { return is_number(s, 1, 1) ? operand(s, 0) : -1; }
static int scaled_by_one(const site *s) {
  return *(const double *)s->k->attr == 1 ? operand(s, 0) : -1;
}
static int cast_to_same(const site *s) { return operand(s, 0); }

static int twice(const site *s) {
  if (s->p->value[s->k->arg[0]].home != CT__COMPUTED) return -1;
  int k = s->maker[s->k->arg[0]];
  return k >= 0 && s->p->instr[k].op == s->k->op ? s->p->instr[k].arg[0] : -1;
}

/* These lose the sign of a zero: 0 + -0 and -0 - -0 are 0. */
static int plus_zero(const site *s) {
  return is_number(s, 1, 0) ? operand(s, 0) : is_number(s, 0, 0) ? operand(s, 1) : -1;
}
static int minus_zero(const site *s) { return is_number(s, 1, 0) ? operand(s, 0) : -1; }
static int shifted_by_zero(const site *s) {
  return *(const double *)s->k->attr == 0 ? operand(s, 0) : -1;
}
static int mul0_by_one(const site *s) { return is_number(s, 1, 1) ? operand(s, 0) : -1; }

static const struct {
  const ct_op *op;
  rule *is;
  bool fast; /* not the same bits */
} rules[] = {
    {&ct__mul_op, times_one, false},
    {&ct__div_op, over_one, false},
    {&ct__scale_op, scaled_by_one, false},
    {&ct__cast_op, cast_to_same, false},
    {&ct__neg_op, twice, false},
    {&ct__not_op, twice, false},
    {&ct__add_op, plus_zero, true},
    {&ct__sub_op, minus_zero, true},
    {&ct__shift_op, shifted_by_zero, true},
    {&ct__mul0_op, mul0_by_one, true},
};

/* ---- constants ------------------------------------------------------------------------------- */

static const ct_tensor *constant(const ct_program *p, int i) {
  const ct__value *x = &p->value[i];
  return x->home == CT__CAPTURED && x->base == i && !(x->tensor->flags & CT__RECORDED) ? x->tensor
                                                                                       : NULL;
}

static bool foldable(const ct_program *p, const ct__instr *k) {
  bool all = k->n_out == 1 && !k->op->view && !ct__can_fail(k->op) && !k->op->work;
  for (int i = 0; i < k->n_in && all; i++) all = constant(p, k->arg[i]) != NULL;
  return all;
}

/* The value of instruction k, computed now, as a constant in its place. */
static ct_status fold(ct_program *p, int k, int *to) {
  const ct__instr instr = p->instr[k];
  int y = ct__outs(&instr)[0];
  const ct_view **in = ct__scratch_alloc(p, (size_t)instr.n_in * sizeof *in + 1);
  ct_tensor *t = ct__tensor_alloc(p->value[y].v.dtype, p->value[y].v.ndim, p->value[y].v.dim);
  ct_status status = in && t ? CT_OK : CT_ENOMEM;
  for (int i = 0; status == CT_OK && i < instr.n_in; i++) in[i] = &constant(p, instr.arg[i])->v;
  if (status == CT_OK)
    status = ct__run_instr(
        &(ct_eval){instr.op, instr.attr, instr.n_in, 1, in, (ct_view *const[]){&t->v}, NULL});
  int made = status == CT_OK ? ct__value_constant(p, t) : -1;
  if (t) ct__unref(t);
  if (status == CT_OK && made < 0) status = CT_ENOMEM;
  if (status != CT_OK) return status;
  to[y] = made;
  p->instr[k].op = NULL;
  return CT_OK;
}

/* ---- the pass -------------------------------------------------------------------------------- */

/* Numbers are summed in the order in which they lie, and the result of an operation lies row by
 * row: so must what stands for it in an exact program. A view may lie otherwise. */
static bool stands_for(const ct_program *p, int i, const int *maker) {
  const ct__value *x = &p->value[i];
  bool viewed = x->home == CT__COMPUTED && p->instr[maker[i]].op->view;
  return !p->exact || (x->v.contiguous && !viewed);
}

static int result_of(const ct_program *p, int k, const int *maker) {
  site s = {p, &p->instr[k], maker};
  for (int r = 0; r < CT__COUNT(rules); r++) {
    if (s.k->op != rules[r].op || (p->exact && rules[r].fast)) continue;
    int same = rules[r].is(&s);
    return same >= 0 && stands_for(p, same, maker) ? same : -1;
  }
  return -1;
}

ct_status ct__pass_algebra(ct_program *p) {
  int *maker = ct__program_makers(p);
  /* as many new constants as instructions at most */
  int *to = ct__scratch_alloc(p, (size_t)(p->n_values + p->n_instrs) * sizeof *to + 1);
  if (!maker || !to) return CT_ENOMEM;
  for (int i = 0; i < p->n_values + p->n_instrs; i++) to[i] = i;
  for (int k = 0; k < p->n_instrs; k++) {
    ct__instr *instr = &p->instr[k];
    for (int i = 0; i < instr->n_in; i++) instr->arg[i] = to[instr->arg[i]];
    int same = result_of(p, k, maker);
    if (same >= 0) {
      to[ct__outs(instr)[0]] = same;
      instr->op = NULL;
    } else if (foldable(p, instr)) {
      ct_status status = fold(p, k, to);
      if (status != CT_OK) return status;
    }
  }
  ct__program_rename(p, to);
  ct__program_compact(p);
  return CT_OK;
}
