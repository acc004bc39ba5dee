/* fuse.c - elementwise operations of one shape that feed each other become one instruction, and so
 * do reductions of what they compute.
 *
 * Every instruction has a phase: behind those of what it reads, and the same only if both could be
 * one. So what has the same phase may be one whatever lies between: a way out of a group and back
 * into it would have to pass a later phase.
 */
#include "fuse.h"

/* ---- who may go with whom -------------------------------------------------------------------- */

int ct__named(const ct_program *p, int i) {
  const ct__value *x = &p->value[i], *base = ct__base(p, i);
  return ct__value_whole(p, i) && ct__same_shape(&x->v, &base->v) && x->v.dtype == base->v.dtype
             ? x->base
             : i;
}

static void find_loops(ct__fusion *f, const ct__call_room *room) {
  for (int k = 0; k < f->n; k++) {
    const ct__instr *instr = &f->p->instr[k];
    if (ct__can_fail(instr->op) || instr->n_out != 1 || instr->n_in < 1 ||
        f->p->value[ct__fused_result(f, k)].base != ct__fused_result(f, k))
      continue;
    ct_call c = ct__instr_call(f->p, instr, room);
    if (!(instr->op->flags & CT_ELEMENTWISE)) {
      if (f->p->exact || !ct__tail_of(&c, &f->tail[k])) f->tail[k].results = 0;
      continue;
    }
    f->loop[k] = ct__elementwise_loop(&c, &f->call[k]);
    if (!ct__chain_cheap(f->loop[k], f->p->value[ct__fused_result(f, k)].v.dtype,
                         &f->link[k].cheap))
      f->link[k].cheap.kind = CT__LINKS;
  }
}

const ct_view *ct__walked(const ct__fusion *f, int k) {
  if (ct__is_tail(f, k)) return &f->p->value[f->p->instr[k].arg[0]].v;
  return f->loop[k] ? &f->p->value[ct__fused_result(f, k)].v : NULL;
}

/* The instruction that makes input i of instruction k, or -1; joins: the two could be one. */
static int source(const ct__fusion *f, int k, int i, bool *joins) {
  const ct_program *p = f->p;
  int x = p->instr[k].arg[i], j = f->maker[p->value[x].base];
  *joins = j >= 0 && f->loop[j] && ct__named(p, x) == ct__fused_result(f, j) && ct__walked(f, k) &&
           ct__same_shape(&p->value[x].v, ct__walked(f, k));
  return j;
}

static int *numbers(ct_program *p, int n) {
  return ct__scratch_alloc(p, ((size_t)n + 1) * sizeof(int));
}

/* As early as possible; then what only later phases read goes to them. */
static bool find_phases(ct__fusion *f) {
  int *latest = numbers(f->p, f->n), *latest_joined = numbers(f->p, f->n);
  if (!latest || !latest_joined) return false;
  for (int k = 0; k < f->n; k++) {
    latest[k] = latest_joined[k] = f->n;
    for (int i = 0; i < f->p->instr[k].n_in; i++) {
      bool joins;
      int j = source(f, k, i, &joins);
      if (j >= 0 && f->phase[j] + !joins > f->phase[k]) f->phase[k] = f->phase[j] + !joins;
    }
  }
  for (int k = f->n - 1; k >= 0; k--) {
    if (f->loop[k] && latest[k] == latest_joined[k] && latest[k] < f->n) f->phase[k] = latest[k];
    for (int i = 0; i < f->p->instr[k].n_in; i++) {
      bool joins;
      int j = source(f, k, i, &joins);
      if (j < 0) continue;
      if (f->phase[k] - !joins < latest[j]) latest[j] = f->phase[k] - !joins;
      if (joins && f->phase[k] < latest_joined[j]) latest_joined[j] = f->phase[k];
    }
  }
  return true;
}

static int root(const ct__fusion *f, int k) {
  while (f->group[k] != k) k = f->group[k] = f->group[f->group[k]];
  return k;
}

static void join(const ct__fusion *f, int j, int k) {
  int a = root(f, j), b = root(f, k);
  f->group[a > b ? a : b] = a < b ? a : b;
}

/* Instructions of one phase, j and k, walk over the same numbers. */
static bool siblings(const ct__fusion *f, int j, int k) {
  return f->phase[j] == f->phase[k] && ct__same_shape(ct__walked(f, j), ct__walked(f, k));
}

/* The groups in the order of their first members, these in theirs. Who hands a result on to whom is
 * in one group, and who reads the same value, all of it. */
static void find_groups(ct__fusion *f) {
  int *reader = f->reg; /* of each value, the last one; not in use yet */
  for (int k = 0; k < f->n; k++) f->group[k] = k;
  for (int k = 0; k < f->n; k++)
    for (int i = 0; i < f->p->instr[k].n_in && ct__walked(f, k); i++) {
      bool joins;
      int j = source(f, k, i, &joins), x = ct__named(f->p, f->p->instr[k].arg[i]);
      if (joins && f->phase[j] == f->phase[k]) join(f, j, k);
      if (!ct__same_shape(&f->p->value[x].v, ct__walked(f, k))) continue;
      if (reader[x] > 0 && siblings(f, reader[x] - 1, k)) join(f, reader[x] - 1, k);
      reader[x] = k + 1;
    }
  memset(reader, 0, (size_t)f->n_values * sizeof *reader);
  for (int k = 0; k < f->n; k++) f->start[root(f, k) + 1]++;
  for (int k = 0; k < f->n; k++) f->start[k + 1] += f->start[k];
  int *at = f->sequence; /* not in use yet */
  memcpy(at, f->start, (size_t)f->n * sizeof *at);
  for (int k = 0; k < f->n; k++) f->list[at[root(f, k)]++] = k;
}

/* ---- the new instruction --------------------------------------------------------------------- */

static void *copy(ct_program *p, const void *from, size_t bytes) {
  void *to = ct__zone_alloc(p, bytes + 1);
  return to && bytes > 0 ? memcpy(to, from, bytes) : to;
}

/* The tails of a tile; their results go behind the outputs. */
static const ct__tail *make_tails(const ct__fusion *f, const ct__fuse_block *b, int *out) {
  ct__tail *tail = ct__zone_alloc(f->p, (size_t)b->n_tails * sizeof *tail + 1);
  for (int i = 0; tail && i < b->n_tails; i++) {
    tail[i] = f->tail[b->tail[i]];
    tail[i].reg = f->reg[ct__named(f->p, f->p->instr[b->tail[i]].arg[0])] - 1;
    out[b->n_out + i] = ct__fused_result(f, b->tail[i]);
  }
  return tail;
}

static bool add_fused(const ct__fusion *f, const ct__fuse_block *b, const ct__tile_step *step,
                      int n_steps) {
  ct_program *p = f->p;
  int reg[CT__TILE_NUMBERS], out[CT__TILE_NUMBERS + CT__TILE_TAILS];
  memcpy(out, b->out, sizeof b->out);
  for (int o = 0; o < b->n_out; o++) reg[o] = f->reg[b->out[o]] - 1;
  ct__tile *t = ct__zone_alloc(p, sizeof *t);
  if (!t) return false;
  *t = (ct__tile){b->n_in,
                  b->n_out,
                  n_steps,
                  b->n_reg,
                  copy(p, step, (size_t)n_steps * sizeof *step),
                  copy(p, b->dtype, (size_t)b->n_reg * sizeof *b->dtype),
                  copy(p, reg, (size_t)b->n_out * sizeof *reg),
                  copy(p, b->number, (size_t)b->n_reg * sizeof *b->number),
                  b->n_tails,
                  make_tails(f, b, out)};
  ct__fused attr = {b->n_out + b->n_tails, t};
  return t->step && t->dtype && t->out && t->number && t->tail &&
         ct__instr_new(p, b->n_tails ? &ct__reduced_op : &ct__fused_op, &attr, b->n_in, b->in,
                       attr.n_out, out);
}

static void take_place(ct__fusion *f, int k, int phase, int key) {
  f->phase[k] = phase;
  f->key[k] = key;
  f->sequence[f->n_sequence++] = k;
}

/* The members as one instruction, or in two parts if they need too many registers. */
static bool fuse(ct__fusion *f, const int *member, int n, int key) {
  int phase = f->phase[member[0]], n_steps = 0;
  if (n == 1) return take_place(f, member[0], phase, key), true;
  ct__tile_step *step = ct__scratch_alloc(f->p, (size_t)n * sizeof *step);
  if (!step) return false;
  bool numbers = ct__walked(f, member[0])->size == 1;
  ct__fuse_block b = {.member = member, .n = n, .most = numbers ? CT__TILE_NUMBERS : CT__TILE_REGS};
  bool fits = ct__fuse_steps(f, &b, step, &n_steps);
  bool made = fits && add_fused(f, &b, step, n_steps);
  ct__fuse_forget(f, &b);
  if (b.no_memory) return false;
  if (!fits) return fuse(f, member, n / 2, key) && fuse(f, member + n / 2, n - n / 2, key);
  if (!made) return false;
  const char *steps = ct__step_names(f->p, n, member);
  if (!steps) return false;
  f->p->instr[f->p->n_instrs - 1].steps = steps;
  for (int m = 0; m < n; m++) f->p->instr[member[m]].op = NULL;
  take_place(f, f->p->n_instrs - 1, phase, key);
  return true;
}

/* ---- the new order --------------------------------------------------------------------------- */

/* Stable; keys are below n. */
static void sort(const ct__fusion *f, const int *key, int *sorted, int *start) {
  memset(start, 0, (size_t)(f->n + 1) * sizeof *start);
  for (int s = 0; s < f->n_sequence; s++) start[key[f->sequence[s]] + 1]++;
  for (int i = 0; i < f->n; i++) start[i + 1] += start[i];
  for (int s = 0; s < f->n_sequence; s++) sorted[start[key[f->sequence[s]]]++] = f->sequence[s];
  memcpy(f->sequence, sorted, (size_t)f->n_sequence * sizeof *sorted);
}

/* A group goes where its last member was, and what reads it behind it. */
static bool reorder(ct__fusion *f) {
  ct_program *p = f->p;
  const int *maker = ct__program_makers(p);
  ct__instr *sorted = ct__scratch_alloc(p, (size_t)f->n_sequence * sizeof *sorted + 1);
  if (!maker || !sorted) return false;
  sort(f, f->phase, f->list, f->start);
  for (int s = 0; s < f->n_sequence; s++) {
    int k = f->sequence[s];
    for (int i = 0; i < p->instr[k].n_in; i++) {
      int j = maker[p->value[p->instr[k].arg[i]].base];
      if (j >= 0 && f->key[j] > f->key[k]) f->key[k] = f->key[j];
    }
  }
  sort(f, f->key, f->list, f->start);
  for (int s = 0; s < f->n_sequence; s++) sorted[s] = p->instr[f->sequence[s]];
  p->n_instrs = f->n_sequence;
  memcpy(p->instr, sorted, (size_t)p->n_instrs * sizeof *sorted);
  return true;
}

/* Zeroed. */
static bool fusion_begin(ct__fusion *f, ct_program *p) {
  const int n = p->n_instrs, n_values = p->n_values;
  *f = (ct__fusion){.p = p,
                    .n = n,
                    .n_values = n_values,
                    .maker = ct__program_makers(p),
                    .phase = numbers(p, 2 * n),
                    .key = numbers(p, 2 * n),
                    .loop = ct__scratch_alloc(p, (size_t)n * sizeof *f->loop + 1),
                    .call = ct__scratch_alloc(p, (size_t)n * sizeof *f->call + 1),
                    .tail = ct__scratch_alloc(p, (size_t)n * sizeof *f->tail + 1),
                    .link = ct__scratch_alloc(p, (size_t)n * sizeof *f->link + 1),
                    .group = numbers(p, n),
                    .start = numbers(p, n),
                    .list = numbers(p, n),
                    .sequence = numbers(p, n),
                    .reg = numbers(p, n_values),
                    .uses = ct__program_uses(p),
                    .seen = numbers(p, n_values),
                    .number = ct__scratch_alloc(p, (size_t)n_values * sizeof *f->number + 1)};
  return f->maker && f->phase && f->key && f->loop && f->call && f->tail && f->link && f->group &&
         f->start && f->list && f->sequence && f->reg && f->uses && f->seen && f->number;
}

ct_status ct__pass_fuse(ct_program *p) {
  ct__fusion f;
  ct__call_room room;
  if (!fusion_begin(&f, p) || !ct__call_room_new(p, &room)) return CT_ENOMEM;
  find_loops(&f, &room);
  if (!find_phases(&f)) return CT_ENOMEM;
  find_groups(&f);
  for (int k = 0; k < f.n; k++) {
    int members = f.start[k + 1] - f.start[k];
    if (members > 0 && !fuse(&f, f.list + f.start[k], members, f.list[f.start[k + 1] - 1]))
      return CT_ENOMEM;
  }
  return reorder(&f) ? CT_OK : CT_ENOMEM;
}
