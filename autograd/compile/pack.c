/* pack.c - values that nothing refers to any more go; the rest gets exactly the room it needs. */
#include "program.h"

/* Marks the value, and the one in whose memory it lies. */
static void need(const ct_program *p, int *to, int i) { to[i] = to[ct__base_of(p, i)] = 1; }

static void find_needed(const ct_program *p, int *to) {
  for (int k = 0; k < p->n_instrs; k++)
    for (int i = 0; i < p->instr[k].n_in + p->instr[k].n_out; i++) need(p, to, p->instr[k].arg[i]);
  for (int i = 0; i < p->n_args; i++) need(p, to, p->argument[i]);
  for (int o = 0; o < p->n_out; o++) need(p, to, p->out[o]);
  for (int u = 0; u < p->n_updates; u++) {
    need(p, to, p->update[u].variable);
    need(p, to, p->update[u].value);
  }
}

/* Values move to the front, in their order; to: where each is now. */
static void move_values(ct_program *p, int *to) {
  int n = 0;
  for (int i = 0; i < p->n_values; i++) {
    if (!to[i]) {
      ct_release(&p->value[i].tensor);
      continue;
    }
    p->value[n] = p->value[i];
    to[i] = n++;
  }
  for (int i = 0; i < n; i++) p->value[i].base = to[p->value[i].base];
  p->n_values = n;
}

static void renumber(ct_program *p, const int *to) {
  ct__program_rename(p, to);
  for (int k = 0; k < p->n_instrs; k++)
    for (int o = 0; o < p->instr[k].n_out; o++) {
      int *y = p->instr[k].arg + p->instr[k].n_in + o;
      *y = to[*y];
    }
  for (int i = 0; i < p->n_args; i++) p->argument[i] = to[p->argument[i]];
  for (int u = 0; u < p->n_updates; u++) p->update[u].variable = to[p->update[u].variable];
}

ct_status ct__pass_pack(ct_program *p) {
  int *to = ct__scratch_alloc(p, (size_t)p->n_values * sizeof *to + 1);
  if (!to) return CT_ENOMEM;
  find_needed(p, to);
  move_values(p, to);
  renumber(p, to);
  ct__value *value =
      ct__resized(p->value, p->n_values, &p->room_values, p->n_values, sizeof *value);
  if (value) p->value = value;
  ct__instr *instr =
      ct__resized(p->instr, p->n_instrs, &p->room_instrs, p->n_instrs, sizeof *instr);
  if (instr) p->instr = instr;
  return value && instr ? CT_OK : CT_ENOMEM;
}
