/* common.c - common subexpressions: equal operations on equal values are done once. */
#include "program.h"

static bool equal(const ct__instr *a, const ct__instr *b) {
  return a->op == b->op && a->n_in == b->n_in && a->n_out == b->n_out &&
         memcmp(a->arg, b->arg, (size_t)a->n_in * sizeof *a->arg) == 0 &&
         ct__attr_equal(a->op, a->attr, b->attr);
}

static unsigned hash(const ct__instr *k) {
  uint64_t h = (uintptr_t)k->op;
  for (int i = 0; i < k->n_in; i++) h = (h ^ (unsigned)k->arg[i]) * 0x9E3779B97F4A7C15u;
  return (unsigned)(h >> 32);
}

ct_status ct__pass_common(ct_program *p) {
  unsigned size = 64;
  while (size < 2 * (unsigned)p->n_instrs) size *= 2;
  int *table = ct__scratch_alloc(p, size * sizeof *table);
  int *to = ct__scratch_alloc(p, (size_t)p->n_values * sizeof *to + 1);
  if (!table || !to) return CT_ENOMEM;
  for (int i = 0; i < p->n_values; i++) to[i] = i;
  for (int k = 0; k < p->n_instrs; k++) {
    ct__instr *instr = &p->instr[k];
    for (int i = 0; i < instr->n_in; i++) instr->arg[i] = to[instr->arg[i]];
    unsigned at = hash(instr) & (size - 1);
    while (table[at] && !equal(&p->instr[table[at] - 1], instr)) at = (at + 1) & (size - 1);
    if (table[at] == 0) {
      table[at] = k + 1;
      continue;
    }
    const ct__instr *first = &p->instr[table[at] - 1];
    for (int o = 0; o < instr->n_out; o++) to[ct__outs(instr)[o]] = ct__outs(first)[o];
    instr->op = NULL;
  }
  ct__program_rename(p, to);
  ct__program_compact(p);
  return CT_OK;
}
