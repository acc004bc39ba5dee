/* pairs.c - a value and its derivative that share work are computed at once. */
#include "program.h"

static const struct {
  const ct_op *value, *derivative;
  const ct_op *both; /* inputs of the derivative; results of the value, then of the derivative */
} pairs[] = {{&ct__cross_entropy_op, &ct__cross_entropy_grad_op, &ct__cross_entropy_both}};

/* The value of the same operation on the first of the derivative's inputs. */
static bool belongs(const ct__instr *value, const ct__instr *derivative) {
  return value->n_in <= derivative->n_in &&
         memcmp(value->arg, derivative->arg, (size_t)value->n_in * sizeof *value->arg) == 0 &&
         value->op->attr_size == derivative->op->attr_size &&
         memcmp(value->attr, derivative->attr, value->op->attr_size) == 0;
}

/* All that instruction k reads is there before instruction `by`. */
static bool readable(const ct_program *p, const int *maker, int k, int by) {
  for (int i = 0; i < p->instr[k].n_in; i++)
    if (maker[ct__base_of(p, p->instr[k].arg[i])] >= by) return false;
  return true;
}

/* The value that derivative d can be computed with, in its place, or -1. */
static int partner(const ct_program *p, const int *maker, int d, const ct_op *op) {
  for (int v = 0; v < d; v++)
    if (p->instr[v].op == op && belongs(&p->instr[v], &p->instr[d]) && readable(p, maker, d, v))
      return v;
  return -1;
}

static bool join(ct_program *p, int value, int derivative, const ct_op *both) {
  ct__instr *d = &p->instr[derivative];
  int out[2] = {ct__outs(&p->instr[value])[0], ct__outs(d)[0]};
  d->op = NULL;
  return ct__instr_replace(p, value, both, d->attr, d->n_in, d->arg, 2, out);
}

ct_status ct__pass_pairs(ct_program *p) {
  const int *maker = ct__program_makers(p);
  if (!maker) return CT_ENOMEM;
  for (int r = 0; r < CT__COUNT(pairs); r++)
    for (int d = 0; d < p->n_instrs; d++) {
      if (p->instr[d].op != pairs[r].derivative) continue;
      int v = partner(p, maker, d, pairs[r].value);
      if (v >= 0 && !join(p, v, d, pairs[r].both)) return CT_ENOMEM;
    }
  ct__program_compact(p);
  return CT_OK;
}
