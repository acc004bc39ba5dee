/* schedule.c - updates and results find their place.
 *
 * All updates apply after all reads, and none before the last instruction that can fail. Within
 * that an update is made as early as possible, in the variable's own memory where the operation
 * allows it: so a gradient dies before the next one is made. What is left becomes copies at the
 * end.
 */
#include "program.h"

typedef struct schedule {
  ct_program *p;
  bool *sink;   /* of each instruction: what it makes only updates use */
  int *key;     /* of each instruction: its place, sinks behind what they wait for */
  bool *placed; /* of each update: done in the variable's memory */
} schedule;

enum { RANKS = 3 }; /* of an instruction, and of sinks right behind it */

static bool find_sinks(schedule *s) {
  ct_program *p = s->p;
  int *other = ct__program_uses(p);
  if (!other) return false;
  for (int u = 0; u < p->n_updates; u++) ct__count_use(p, other, p->update[u].value, -1);
  for (int k = 0; k < p->n_instrs; k++) {
    s->sink[k] = p->instr[k].n_out > 0;
    for (int o = 0; o < p->instr[k].n_out; o++) s->sink[k] &= other[ct__outs(&p->instr[k])[o]] == 0;
  }
  return true;
}

/* An input of instruction k is the variable, whose memory its output may take over: so may it that
 * of all other inputs that lie there, which lie exactly alike. */
static bool may_take(const ct_program *p, const ct__instr *k, int variable) {
  bool reads = false;
  for (int i = 0; i < k->n_in; i++) {
    if (ct__base_of(p, k->arg[i]) != variable) continue;
    if (k->arg[i] != variable || !ct__inplace(k->op, i)) return false;
    reads = true;
  }
  return reads;
}

/* Nothing but sink k itself and instructions before it may look at the variable of update u; nor is
 * its value that of another. */
static bool read_late(const schedule *s, int u, int k) {
  const ct_program *p = s->p;
  int variable = p->update[u].variable, made = p->update[u].value;
  for (int o = 0; o < p->n_out; o++)
    if (ct__base_of(p, p->out[o]) == variable) return true;
  for (int w = 0; w < p->n_updates; w++) {
    int base = ct__base_of(p, p->update[w].value);
    if (base == variable || (base == made && w != u)) return true;
  }
  for (int j = 0; j < p->n_instrs; j++)
    for (int i = 0; i < p->instr[j].n_in && s->sink[j] && j != k; i++)
      if (ct__base_of(p, p->instr[j].arg[i]) == variable) return true;
  return false;
}

/* Updates that their sinks make in place. */
static bool place_updates(schedule *s) {
  ct_program *p = s->p;
  int *maker = ct__program_makers(p);
  if (!maker) return false;
  for (int u = 0; u < p->n_updates; u++) {
    int variable = p->update[u].variable, made = p->update[u].value, k = maker[made];
    if (k < 0 || !s->sink[k] || ct__base_of(p, made) != made) continue;
    if (!may_take(p, &p->instr[k], variable) || read_late(s, u, k)) continue;
    p->value[made].base = variable;
    p->value[made].offset = 0;
    p->value[made].v = p->value[variable].v;
    p->value[made].v.data = NULL;
    s->placed[u] = true;
  }
  return true;
}

/* The last instruction but sinks that reads what sink k overwrites, or -1. */
static int last_reader(const ct_program *p, const int *readers, int k) {
  int last = -1;
  for (int o = 0; o < p->instr[k].n_out; o++) {
    int reader = readers[ct__base_of(p, ct__outs(&p->instr[k])[o])] - 1;
    if (reader > last) last = reader;
  }
  return last;
}

/* Sinks go behind their producers, the readers of what they overwrite and all that can fail. Of
 * those behind one instruction the update of what it has read comes first: that is still near. */
static bool set_keys(schedule *s) {
  ct_program *p = s->p;
  int *maker = ct__program_makers(p), last_failure = 0;
  int *readers = ct__scratch_alloc(p, (size_t)p->n_values * sizeof *readers + 1);
  if (!maker || !readers) return false;
  for (int k = 0; k < p->n_instrs; k++) {
    s->key[k] = RANKS * k;
    if (ct__can_fail(p->instr[k].op)) last_failure = k;
    for (int i = 0; i < p->instr[k].n_in && !s->sink[k]; i++)
      readers[ct__base_of(p, p->instr[k].arg[i])] = k + 1;
  }
  for (int k = 0; k < p->n_instrs; k++) {
    if (!s->sink[k]) continue;
    int after = last_failure, reader = last_reader(p, readers, k);
    for (int i = 0; i < p->instr[k].n_in; i++) {
      int from = maker[ct__base_of(p, p->instr[k].arg[i])];
      if (from > after) after = from;
    }
    s->key[k] = reader >= after ? RANKS * reader + 1 : RANKS * after + 2;
  }
  return true;
}

/* Sorts the instructions by key, equal ones in the order they had. */
static bool reorder(schedule *s) {
  ct_program *p = s->p;
  int n = p->n_instrs, rooms = RANKS * n + 2;
  int *start = ct__scratch_alloc(p, (size_t)rooms * sizeof *start);
  ct__instr *sorted = ct__scratch_alloc(p, (size_t)n * sizeof *sorted + 1);
  if (!start || !sorted) return false;
  for (int k = 0; k < n; k++) start[s->key[k] + 1]++;
  for (int i = 1; i < rooms; i++) start[i] += start[i - 1];
  for (int k = 0; k < n; k++) sorted[start[s->key[k]]++] = p->instr[k];
  memcpy(p->instr, sorted, (size_t)n * sizeof *sorted);
  return true;
}

static bool copy_to(ct_program *p, int from, int to) {
  return ct__instr_new(p, &ct__copy_op, NULL, 1, &from, 1, &to);
}

static int copy_of(ct_program *p, int from) {
  int to = ct__value_like(p, from);
  return to >= 0 && copy_to(p, from, to) ? to : -1;
}

/* All of the base's memory, in whatever order: a gradient seen transposed, say. */
static bool fills(const ct_program *p, int i) {
  const ct__value *x = &p->value[i], *base = ct__base(p, i);
  bool distinct = ct__value_bytes(x) == ct__value_bytes(base);
  for (int d = 0; d < x->v.ndim; d++) distinct &= x->v.dim[d] == 1 || x->v.stride[d] != 0;
  return distinct;
}

/* Each result has memory of its own: that of the value itself, or a copy's. */
static ct_status give_results(ct_program *p) {
  for (int o = 0; o < p->n_out; o++) {
    int i = p->out[o];
    const ct__value *base = ct__base(p, i);
    if (base->home != CT__COMPUTED || base->result >= 0 || !fills(p, i)) {
      i = copy_of(p, i);
      if (i < 0) return CT_ENOMEM;
      p->out[o] = i;
    }
    ct__base(p, i)->result = o;
  }
  return CT_OK;
}

/* The rest of the updates: what lies in variables is set aside first, then all are written. */
static ct_status copy_updates(schedule *s) {
  ct_program *p = s->p;
  for (int u = 0; u < p->n_updates; u++) {
    if (s->placed[u] || ct__base(p, p->update[u].value)->home != CT__CAPTURED) continue;
    p->update[u].value = copy_of(p, p->update[u].value);
    if (p->update[u].value < 0) return CT_ENOMEM;
  }
  for (int u = 0; u < p->n_updates; u++) {
    if (s->placed[u]) continue;
    ct_view v = p->value[p->update[u].variable].v;
    int to = ct__value_alias(p, p->update[u].variable, 0, &v);
    if (to < 0 || !copy_to(p, p->update[u].value, to)) return CT_ENOMEM;
  }
  return CT_OK;
}

ct_status ct__pass_schedule(ct_program *p) {
  size_t n = (size_t)p->n_instrs;
  schedule s = {.p = p};
  s.sink = ct__scratch_alloc(p, n * sizeof *s.sink + 1);
  s.key = ct__scratch_alloc(p, n * sizeof *s.key + 1);
  s.placed = ct__scratch_alloc(p, (size_t)p->n_updates * sizeof *s.placed + 1);
  if (!s.sink || !s.key || !s.placed) return CT_ENOMEM;
  if (p->n_updates > 0 && !(find_sinks(&s) && place_updates(&s) && set_keys(&s) && reorder(&s)))
    return CT_ENOMEM;
  ct_status status = give_results(p);
  return status == CT_OK ? copy_updates(&s) : status;
}
