/* dead.c - drops what no output and no update needs. */
#include "program.h"

ct_status ct__pass_dead(ct_program *p) {
  int *uses = ct__program_uses(p);
  if (!uses) return CT_ENOMEM;
  for (int k = p->n_instrs - 1; k >= 0; k--) {
    ct__instr *instr = &p->instr[k];
    bool needed = false;
    for (int o = 0; o < instr->n_out; o++) needed |= uses[ct__outs(instr)[o]] > 0;
    if (needed) continue;
    for (int i = 0; i < instr->n_in; i++) ct__count_use(p, uses, instr->arg[i], -1);
    instr->op = NULL;
  }
  ct__program_compact(p);
  return CT_OK;
}
