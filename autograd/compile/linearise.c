/* linearise.c - from a recipe's list of calls to values and instructions. */
#include "program.h"

/* Values of captured tensors, found by address. */
typedef struct captured {
  int *table, size;
} captured;

static int *place(const captured *c, const ct_program *p, const ct_tensor *t) {
  unsigned mask = (unsigned)c->size - 1;
  unsigned at = (unsigned)(((uintptr_t)t >> 6) * 0x9E3779B97F4A7C15u >> 33) & mask;
  while (c->table[at] && p->value[c->table[at] - 1].tensor != t) at = (at + 1) & mask;
  return &c->table[at];
}

static int value_of_tensor(ct_program *p, captured *c, ct_tensor *t) {
  int *at = place(c, p, t);
  if (*at == 0) *at = ct__value_constant(p, t) + 1;
  return *at - 1;
}

/* Values for the slots of the function: inputs, then the results of calls. */
static bool make_slots(ct_program *p, captured *c, int *slot) {
  const ct_function *f = p->f;
  for (int i = 0; i < f->n_in; i++) {
    const ct_view *v = &f->in[i]->v;
    if (i >= f->n_args) {
      slot[i] = value_of_tensor(p, c, f->in[i]);
    } else {
      slot[i] = p->argument[i] = ct__value_new(p, v->dtype, v->ndim, v->dim);
      if (slot[i] >= 0) {
        p->value[slot[i]].home = CT__ARGUMENT;
        p->value[slot[i]].argument = i;
      }
    }
    if (slot[i] < 0) return false;
  }
  for (int k = 0; k < f->n_instructions; k++) {
    const ct__node *n = f->instructions[k].node;
    for (int o = 0; o < n->call.n_out; o++) {
      const ct_tensor *t = n->recipe.out[o];
      if (!t) t = n->recipe.extra[n->call.n_out + o];
      int i = ct__value_new(p, t->v.dtype, t->v.ndim, t->v.dim);
      if (i < 0) return false;
      slot[f->instructions[k].slot + o] = i;
    }
  }
  return true;
}

static int operand_value(ct_program *p, captured *c, const int *slot, const ct__operand *o) {
  return o->constant ? value_of_tensor(p, c, o->constant) : slot[o->slot];
}

/* The recipe may go before the program. */
static bool copy_attr(ct_program *p, const ct_call *c, const void **attr) {
  const ct_op *op = c->op;
  if (op->attr_size == 0) return true;
  ct__held *held = ct__zone_alloc(p, sizeof *held + op->attr_size);
  if (!held) return false;
  *attr = held + 1;
  if (!op->attr_copy) return memcpy(held + 1, c->attr, op->attr_size);
  if (op->attr_copy(held + 1, c->attr) != CT_OK) return false;
  *held = (ct__held){p->held, op};
  p->held = held;
  return true;
}

static bool make_instr(ct_program *p, captured *c, const int *slot, const ct__instruction *from,
                       int *in) {
  const ct_call *call = &from->node->call;
  for (int i = 0; i < call->n_in; i++) {
    in[i] = operand_value(p, c, slot, &p->f->operands[from->operand + i]);
    if (in[i] < 0) return false;
  }
  ct__instr k = {.op = call->op, .n_in = call->n_in, .n_out = call->n_out};
  k.arg = ct__zone_alloc(p, (size_t)(k.n_in + k.n_out) * sizeof *k.arg);
  if (!k.arg || !copy_attr(p, call, &k.attr)) return false;
  memcpy(k.arg, in, (size_t)k.n_in * sizeof *in);
  memcpy(k.arg + k.n_in, slot + from->slot, (size_t)k.n_out * sizeof *in);
  p->instr[p->n_instrs++] = k;
  return true;
}

ct_status ct__linearise(ct_program *p, ct_list updated) {
  const ct_function *f = p->f;
  int widest = 1, total = f->n_operands + f->n_in + f->n_out + updated.n;
  for (int k = 0; k < f->n_instructions; k++)
    if (f->instructions[k].node->call.n_in > widest) widest = f->instructions[k].node->call.n_in;
  captured c = {.size = 64};
  while (c.size < 2 * total) c.size *= 2;
  c.table = ct__scratch_alloc(p, (size_t)c.size * sizeof *c.table);
  int *slot = ct__scratch_alloc(p, (size_t)f->n_slots * sizeof *slot + 1);
  int *in = ct__scratch_alloc(p, (size_t)widest * sizeof *in);
  p->n_args = f->n_args;
  p->n_out = f->n_out - updated.n;
  p->argument = ct__zone_alloc(p, (size_t)p->n_args * sizeof(int) + 1);
  p->out = ct__zone_alloc(p, (size_t)p->n_out * sizeof(int) + 1);
  p->update = ct__zone_alloc(p, (size_t)updated.n * sizeof *p->update + 1);
  p->instr = ct__resized(NULL, 0, &p->room_instrs, f->n_instructions + 64, sizeof *p->instr);
  if (!c.table || !slot || !in || !p->argument || !p->out || !p->update || !p->instr)
    return CT_ENOMEM;
  if (!make_slots(p, &c, slot)) return CT_ENOMEM;
  for (int k = 0; k < f->n_instructions; k++)
    if (!make_instr(p, &c, slot, &f->instructions[k], in)) return CT_ENOMEM;
  for (int o = 0; o < f->n_out; o++) {
    int i = operand_value(p, &c, slot, &f->operands[f->n_operands + o]);
    if (i < 0) return CT_ENOMEM;
    if (o < p->n_out) {
      p->out[o] = i;
      continue;
    }
    int variable = value_of_tensor(p, &c, updated.at[o - p->n_out]);
    if (variable < 0) return CT_ENOMEM;
    p->update[p->n_updates++] = (ct__update){variable, i};
  }
  return CT_OK;
}
