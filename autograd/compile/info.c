/* info.c - numbers about a program and its instructions. */
#include "product.h"

/* For each element of the result a sum of as many products as a row of the first operand has. */
static const struct {
  const ct_op *op;
  int products;
} known[] = {{&ct__matmul_op, 1},
             {&ct__product_op, 1},
             {&ct__product_add_op, 1},
             {&ct__sweep_op, 2},
             {&ct__masked_sweep_op, 2}};

double ct__instr_flops(const ct_program *p, const ct__instr *k) {
  double size = (double)p->value[ct__outs(k)[0]].v.size;
  for (int i = 0; i < CT__COUNT(known); i++) {
    if (k->op != known[i].op) continue;
    const ct_view *a = &p->value[k->arg[0]].v;
    return 2 * known[i].products * size * (double)a->dim[a->ndim - 1];
  }
  return (k->op->flags & CT_ELEMENTWISE) && k->op != &ct__copy_op ? size : 0;
}

double ct__instr_bytes(const ct_program *p, const ct__instr *k) {
  double bytes = 0;
  for (int i = 0; i < k->n_in + k->n_out; i++)
    bytes += (double)ct__value_bytes(&p->value[k->arg[i]]);
  return bytes;
}

ct_program_stats ct_program_info(const ct_program *p) {
  if (!p) return (ct_program_stats){0};
  double flops = 0;
  for (int k = 0; k < p->n_instrs; k++) flops += ct__instr_flops(p, &p->instr[k]);
  return (ct_program_stats){.instructions = p->n_instrs,
                            .values = p->n_values,
                            .updates = p->n_updates,
                            .arena = p->arena,
                            .live = p->live,
                            .flops = flops,
                            .seconds = p->seconds};
}
