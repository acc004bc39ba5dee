/* verify.c - checks a program between passes, trusting nothing that a pass says. */
#include "program.h"

typedef struct verifier {
  const ct_program *p;
  const char *after;
} verifier;

static ct_status wrong(const verifier *v, int k, const char *what) {
  const char *name = k >= 0 ? v->p->instr[k].op->name : "program";
  return ct__fail_status(CT_ECHECK, "ct_compile: after %s: %s %d: %s", v->after, name, k, what);
}

static bool in_range(const ct_program *p, int i) { return i >= 0 && i < p->n_values; }

/* The elements of a value lie inside its base's memory. */
static bool inside(const ct_program *p, int i) {
  const ct__value *x = &p->value[i], *base = ct__base(p, i);
  if (base->base != x->base) return false;
  if (x->base == i || x->v.size == 0) return true;
  int64_t item = (int64_t)ct__item_size(x->v.dtype), low = x->offset, high = x->offset + item;
  for (int d = 0; d < x->v.ndim; d++) {
    int64_t reach = (x->v.dim[d] - 1) * x->v.stride[d] * item;
    if (reach < 0) low += reach;
    if (reach > 0) high += reach;
  }
  return low >= 0 && high <= (int64_t)ct__value_bytes(base);
}

/* Each value is made once, before it is read; values without instruction have a home. */
static ct_status check_order(const verifier *v, bool *made) {
  const ct_program *p = v->p;
  for (int i = 0; i < p->n_values; i++) {
    if (!in_range(p, p->value[i].base) || !inside(p, i))
      return wrong(v, -1, "a value lies outside");
    made[i] = p->value[i].base == i && p->value[i].home != CT__COMPUTED;
  }
  for (int k = 0; k < p->n_instrs; k++) {
    const ct__instr *instr = &p->instr[k];
    for (int i = 0; i < instr->n_in; i++) {
      int x = instr->arg[i];
      if (!in_range(p, x)) return wrong(v, k, "an operand does not exist");
      if (!made[x] && !made[p->value[x].base]) return wrong(v, k, "an operand is not made yet");
    }
    for (int o = 0; o < instr->n_out; o++) {
      int y = ct__outs(instr)[o];
      if (!in_range(p, y)) return wrong(v, k, "a result does not exist");
      if (made[y]) return wrong(v, k, "a result is made twice");
      made[y] = made[p->value[y].base] = true;
    }
  }
  for (int o = 0; o < p->n_out; o++)
    if (!made[p->out[o]] && !made[p->value[p->out[o]].base]) return wrong(v, -1, "no such output");
  return CT_OK;
}

/* Shapes and dtypes are those that the operation infers. */
static ct_status check_shapes(const verifier *v, const ct__call_room *room, ct_spec *spec) {
  const ct_program *p = v->p;
  for (int k = 0; k < p->n_instrs; k++) {
    const ct__instr *instr = &p->instr[k];
    ct_call c = ct__instr_call(p, instr, room);
    if (c.op->infer(&c, spec) != CT_OK) return wrong(v, k, ct_error_message());
    for (int o = 0; o < instr->n_out; o++) {
      const ct_view *y = &p->value[ct__outs(instr)[o]].v;
      if (y->dtype != spec[o].dtype || y->ndim != spec[o].shape.n ||
          !ct__same_dims(y->ndim, y->dim, spec[o].shape.dim))
        return wrong(v, k, "the result has another shape");
    }
  }
  return CT_OK;
}

/* ---- once planned: what lives at the same time lies apart ------------------------------------ */

typedef struct span {
  size_t from, to;
} span;

static span span_of(const ct_program *p, int base) {
  const ct__value *x = &p->value[base];
  return (span){x->at, x->at + ct__value_bytes(x)};
}

static bool in_arena(const ct_program *p, int i) {
  return p->value[i].base == i && p->value[i].home == CT__COMPUTED && p->value[i].result < 0 &&
         p->value[i].v.size > 0;
}

/* Intervals are found anew from the instructions. */
static ct_status check_memory(const verifier *v, int *first, int *last) {
  const ct_program *p = v->p;
  for (int i = 0; i < p->n_values; i++) first[i] = last[i] = -1;
  for (int k = 0; k < p->n_instrs; k++)
    for (int i = 0; i < p->instr[k].n_in + p->instr[k].n_out; i++) {
      int base = p->value[p->instr[k].arg[i]].base;
      if (first[base] < 0) first[base] = k;
      last[base] = k;
    }
  for (int a = 0; a < p->n_values; a++) {
    if (first[a] < 0 || !in_arena(p, a)) continue;
    span x = span_of(p, a);
    if (x.to > p->arena) return wrong(v, first[a], "a value lies behind the arena");
    for (int b = 0; b < a; b++) {
      if (first[b] < 0 || !in_arena(p, b) || first[b] > last[a] || first[a] > last[b]) continue;
      span y = span_of(p, b);
      if (x.from < y.to && y.from < x.to) return wrong(v, first[a], "writes into a live value");
    }
  }
  return CT_OK;
}

/* Nothing that can fail, and no reader of the old value, comes after a write to a variable. */
static ct_status check_updates(const verifier *v, bool *written) {
  const ct_program *p = v->p;
  bool any = false;
  for (int k = 0; k < p->n_instrs; k++) {
    const ct__instr *instr = &p->instr[k];
    if (any && ct__can_fail(instr->op)) return wrong(v, k, "can fail after an update");
    for (int i = 0; i < instr->n_in; i++)
      if (written[p->value[instr->arg[i]].base]) return wrong(v, k, "reads an updated variable");
    for (int o = 0; o < instr->n_out; o++) {
      int base = p->value[ct__outs(instr)[o]].base;
      if (p->value[base].home == CT__ARGUMENT) return wrong(v, k, "writes into an input");
      if (p->value[base].home == CT__CAPTURED) any = written[base] = true;
    }
  }
  for (int u = 0; u < p->n_updates; u++)
    if (!written[p->update[u].variable]) return wrong(v, -1, "an update is missing");
  return CT_OK;
}

ct_status ct__verify(ct_program *p, const char *after, bool planned) {
  verifier v = {p, after};
  size_t n = (size_t)p->n_values + 1;
  int most = 1;
  for (int k = 0; k < p->n_instrs; k++)
    if (p->instr[k].n_out > most) most = p->instr[k].n_out;
  ct__call_room room;
  bool *made = ct__scratch_alloc(p, n);
  ct_spec *spec = ct__scratch_alloc(p, (size_t)most * sizeof *spec);
  int *first = ct__scratch_alloc(p, n * sizeof *first),
      *last = ct__scratch_alloc(p, n * sizeof *last);
  if (!ct__call_room_new(p, &room) || !made || !spec || !first || !last) return CT_ENOMEM;
  ct_status status = check_order(&v, made);
  if (status == CT_OK) status = check_shapes(&v, &room, spec);
  if (status == CT_OK && planned) status = check_memory(&v, first, last);
  if (status == CT_OK && planned) status = check_updates(&v, memset(made, 0, n));
  return status;
}
