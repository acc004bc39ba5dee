/* pairs.c - a value and its derivative that share work are computed at once. */
#include "program.h"

static const struct {
  const ct_op *value, *derivative;
  const ct_op *both; /* inputs of the derivative; results of the value, then of the derivative */
} pairs[] = {{&ct__cross_entropy_op, &ct__cross_entropy_grad_op, &ct__cross_entropy_both}};

/* The value that belongs to the derivative: the same operation on the first of its inputs. */
static bool belongs(const ct__instr *value, const ct__instr *derivative, const ct_op *op) {
  return value->op == op && value->n_in <= derivative->n_in &&
         memcmp(value->arg, derivative->arg, (size_t)value->n_in * sizeof *value->arg) == 0 &&
         value->op->attr_size == derivative->op->attr_size &&
         memcmp(value->attr, derivative->attr, value->op->attr_size) == 0;
}

/* All that the derivative reads is there when the value is computed. */
static bool early(const ct_program *p, const ct__instr *derivative, const int *maker, int value) {
  for (int i = 0; i < derivative->n_in; i++)
    if (maker[p->value[derivative->arg[i]].base] >= value) return false;
  return true;
}

static ct_status join(ct_program *p, int value, int derivative, const ct_op *both) {
  ct__instr *v = &p->instr[value], *d = &p->instr[derivative];
  int out[2] = {ct__outs(v)[0], ct__outs(d)[0]};
  d->op = NULL;
  if (!ct__instr_new(p, both, d->attr, d->n_in, d->arg, 2, out)) return CT_ENOMEM;
  p->instr[value] = p->instr[--p->n_instrs];
  return CT_OK;
}

ct_status ct__pass_pairs(ct_program *p) {
  const int *maker = ct__program_makers(p);
  if (!maker) return CT_ENOMEM;
  for (int r = 0; r < CT__COUNT(pairs); r++)
    for (int d = 0, n = p->n_instrs; d < n; d++) {
      if (p->instr[d].op != pairs[r].derivative) continue;
      for (int v = 0; v < n; v++) {
        if (!belongs(&p->instr[v], &p->instr[d], pairs[r].value)) continue;
        if (v < d && early(p, &p->instr[d], maker, v)) {
          ct_status status = join(p, v, d, pairs[r].both);
          if (status != CT_OK) return status;
        }
        break;
      }
    }
  ct__program_compact(p);
  return CT_OK;
}
