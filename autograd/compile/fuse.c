/* fuse.c - elementwise operations of one shape that feed each other become one instruction.
 *
 * Every instruction has a phase: behind those of what it reads, and the same only if both could be
 * one. So what has the same phase may be one whatever lies between: a way out of a group and back
 * into it would have to pass a later phase.
 */
#include "tile.h"

typedef struct fusion {
  ct_program *p;
  int n;            /* instructions before */
  int *maker;       /* of each value */
  int *phase, *key; /* of each instruction, the new ones too; key: where it goes */
  ct_loop **loop;   /* of each instruction that may be fused */
  ct__loop_call *call;
  int *group;                /* a tree: the first instruction of the group is the root */
  int *start, *list;         /* the groups, in order: those of root k are list[start[k]] ... */
  int *sequence, n_sequence; /* what there is now, before it is sorted */
  int *reg, *uses;           /* of each value: its register + 1; how often it is read */
  int *seen;                 /* of each value: how often a chain reads it */
} fusion;

/* ---- who may go with whom ---------------------------------------------------------------------- */

static int result(const fusion *f, int k) { return ct__outs(&f->p->instr[k])[0]; }

/* The value itself, or the one that it is another name of. */
static int named(const ct_program *p, int i) {
  const ct__value *x = &p->value[i], *base = &p->value[x->base];
  return ct__value_whole(p, i) && ct__same_shape(&x->v, &base->v) && x->v.dtype == base->v.dtype
             ? x->base
             : i;
}

static void find_loops(fusion *f, const ct__call_room *room) {
  for (int k = 0; k < f->n; k++) {
    const ct__instr *instr = &f->p->instr[k];
    if (!(instr->op->flags & CT_ELEMENTWISE) || ct__can_fail(instr->op) || instr->n_out != 1 ||
        instr->n_in < 1 || f->p->value[result(f, k)].base != result(f, k))
      continue;
    ct_call c = ct__instr_call(f->p, instr, room);
    f->loop[k] = ct__elementwise_loop(&c, &f->call[k]);
  }
}

/* The instruction that makes input i of instruction k, or -1; joins: the two could be one. */
static int source(const fusion *f, int k, int i, bool *joins) {
  const ct_program *p = f->p;
  int x = p->instr[k].arg[i], j = f->maker[p->value[x].base];
  *joins = j >= 0 && f->loop[j] && f->loop[k] && named(p, x) == result(f, j) &&
           ct__same_shape(&p->value[x].v, &p->value[result(f, k)].v);
  return j;
}

/* As early as possible; then what only later phases read goes to them. */
static void find_phases(fusion *f, int *latest, int *latest_joined) {
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
}

static int root(const fusion *f, int k) {
  while (f->group[k] != k) k = f->group[k] = f->group[f->group[k]];
  return k;
}

/* The groups in the order of their first members, these in theirs. */
static void find_groups(fusion *f) {
  for (int k = 0; k < f->n; k++) f->group[k] = k;
  for (int k = 0; k < f->n; k++)
    for (int i = 0; i < f->p->instr[k].n_in; i++) {
      bool joins;
      int j = source(f, k, i, &joins);
      if (j < 0 || !joins || f->phase[j] != f->phase[k]) continue;
      int a = root(f, j), b = root(f, k);
      f->group[a > b ? a : b] = a < b ? a : b;
    }
  for (int k = 0; k < f->n; k++) f->start[root(f, k) + 1]++;
  for (int k = 0; k < f->n; k++) f->start[k + 1] += f->start[k];
  int *at = f->sequence; /* not in use yet */
  memcpy(at, f->start, (size_t)f->n * sizeof *at);
  for (int k = 0; k < f->n; k++) f->list[at[root(f, k)]++] = k;
}

/* ---- a chain as a tile ------------------------------------------------------------------------- */

/* What a chain of n instructions becomes. */
typedef struct chain {
  const int *member;
  int n, n_in, n_out, n_reg;
  int in[CT__TILE_REGS], out[CT__TILE_REGS]; /* values */
  ct_dtype dtype[CT__TILE_REGS];             /* of the registers */
  bool free[CT__TILE_REGS];
} chain;

static bool add_register(const fusion *f, chain *c, int value) {
  if (c->n_reg == CT__TILE_REGS) return false;
  c->dtype[c->n_reg] = f->p->value[value].v.dtype;
  f->reg[value] = ++c->n_reg;
  return true;
}

/* Counts the reads within the chain; results are marked by -1 until they have a register. Inputs
 * and outputs get theirs; false if there are too many. */
static bool find_operands(const fusion *f, chain *c) {
  for (int m = 0; m < c->n; m++) f->reg[result(f, c->member[m])] = -1;
  for (int m = 0; m < c->n; m++) {
    const ct__instr *k = &f->p->instr[c->member[m]];
    for (int i = 0; i < k->n_in; i++) {
      int x = named(f->p, k->arg[i]);
      if (f->reg[x] < 0) f->seen[x]++;
      if (f->reg[x] != 0) continue;
      if (!add_register(f, c, x)) return false;
      c->in[c->n_in++] = x;
    }
  }
  for (int m = 0; m < c->n; m++) {
    int y = result(f, c->member[m]);
    if (f->uses[y] == f->seen[y]) continue;
    if (!add_register(f, c, y)) return false;
    c->out[c->n_out++] = y;
    f->seen[y] = 0; /* its register is never free again */
  }
  return true;
}

/* One read of a result less: the last one frees its register. */
static void read_once(const fusion *f, chain *c, int x) {
  if (f->seen[x] > 0 && --f->seen[x] == 0) c->free[f->reg[x] - 1] = true;
}

static bool find_register(const fusion *f, chain *c, int y) {
  for (int r = 0; r < c->n_reg && f->reg[y] < 0; r++)
    if (c->free[r] && c->dtype[r] == f->p->value[y].v.dtype) {
      c->free[r] = false;
      f->reg[y] = r + 1;
    }
  return f->reg[y] > 0 || add_register(f, c, y);
}

static bool make_step(const fusion *f, chain *c, int k, ct__tile_step *s) {
  const ct__instr *instr = &f->p->instr[k];
  const ct__loop_call *l = &f->call[k];
  *s = (ct__tile_step){.loop = f->loop[k], .attr = l->attr, .n = l->n};
  for (int i = 0; i < l->n; i++) s->reg[i] = f->reg[named(f->p, instr->arg[l->operand[i]])] - 1;
  for (int pass = 0; pass < 2; pass++) {
    for (int i = 0; i < instr->n_in; i++)
      if ((i < 32 && (instr->op->inplace >> i & 1)) == !pass)
        read_once(f, c, named(f->p, instr->arg[i]));
    if (pass == 0 && !find_register(f, c, result(f, k))) return false;
  }
  s->reg[l->n] = f->reg[result(f, k)] - 1;
  return true;
}

static void forget(const fusion *f, const chain *c) {
  for (int i = 0; i < c->n_in; i++) f->reg[c->in[i]] = 0;
  for (int m = 0; m < c->n; m++)
    f->reg[result(f, c->member[m])] = f->seen[result(f, c->member[m])] = 0;
}

static void *copy(ct_program *p, const void *from, size_t bytes) {
  void *to = ct__zone_alloc(p, bytes + 1);
  return to && bytes > 0 ? memcpy(to, from, bytes) : to;
}

static bool add_fused(fusion *f, const chain *c, const ct__tile_step *step) {
  ct_program *p = f->p;
  int out[CT__TILE_REGS];
  for (int o = 0; o < c->n_out; o++) out[o] = f->reg[c->out[o]] - 1;
  ct__tile *t = ct__zone_alloc(p, sizeof *t);
  if (!t) return false;
  *t = (ct__tile){c->n_in,
                  c->n_out,
                  c->n,
                  c->n_reg,
                  step,
                  copy(p, c->dtype, (size_t)c->n_reg * sizeof *c->dtype),
                  copy(p, out, (size_t)c->n_out * sizeof *out)};
  ct__fused attr = {c->n_out, t};
  return t->dtype && t->out &&
         ct__instr_new(p, &ct__fused_op, &attr, c->n_in, c->in, c->n_out, c->out);
}

static void take_place(fusion *f, int k, int phase, int key) {
  f->phase[k] = phase;
  f->key[k] = key;
  f->sequence[f->n_sequence++] = k;
}

/* The members as one instruction, or in two parts if they need too many registers. */
static bool fuse(fusion *f, const int *member, int n, int key) {
  int phase = f->phase[member[0]];
  if (n == 1) return take_place(f, member[0], phase, key), true;
  ct__tile_step *step = ct__zone_alloc(f->p, (size_t)n * sizeof *step);
  if (!step) return false;
  chain c = {.member = member, .n = n};
  bool fits = find_operands(f, &c);
  for (int m = 0; m < n && fits; m++) fits = make_step(f, &c, member[m], &step[m]);
  bool made = fits && add_fused(f, &c, step);
  forget(f, &c);
  if (!fits) return fuse(f, member, n / 2, key) && fuse(f, member + n / 2, n - n / 2, key);
  if (!made) return false;
  for (int m = 0; m < n; m++) f->p->instr[member[m]].op = NULL;
  take_place(f, f->p->n_instrs - 1, phase, key);
  return true;
}

/* ---- the new order ----------------------------------------------------------------------------- */

/* Stable; keys are below n. */
static void sort(const fusion *f, const int *key, int *sorted, int *start) {
  memset(start, 0, (size_t)(f->n + 1) * sizeof *start);
  for (int s = 0; s < f->n_sequence; s++) start[key[f->sequence[s]] + 1]++;
  for (int i = 0; i < f->n; i++) start[i + 1] += start[i];
  for (int s = 0; s < f->n_sequence; s++) sorted[start[key[f->sequence[s]]]++] = f->sequence[s];
  memcpy(f->sequence, sorted, (size_t)f->n_sequence * sizeof *sorted);
}

/* A group goes where its last member was, and what reads it behind it. */
static bool reorder(fusion *f) {
  ct_program *p = f->p;
  const int *maker = ct__program_makers(p);
  ct__instr *sorted = ct__zone_alloc(p, (size_t)p->room_instrs * sizeof *sorted);
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
  p->instr = sorted;
  p->n_instrs = f->n_sequence;
  return true;
}

static int *numbers(ct_program *p, int n) {
  return ct__zone_alloc(p, ((size_t)n + 1) * sizeof(int));
}

ct_status ct__pass_fuse(ct_program *p) {
  int n = p->n_instrs, n_values = p->n_values;
  fusion f = {p,
              n,
              ct__program_makers(p),
              numbers(p, 2 * n),
              numbers(p, 2 * n),
              ct__zone_alloc(p, (size_t)n * sizeof *f.loop + 1),
              ct__zone_alloc(p, (size_t)n * sizeof *f.call + 1),
              numbers(p, n),
              numbers(p, n),
              numbers(p, n),
              numbers(p, n),
              0,
              numbers(p, n_values),
              ct__program_uses(p),
              numbers(p, n_values)};
  int *latest = numbers(p, n), *latest_joined = numbers(p, n);
  ct__call_room room;
  if (!f.maker || !f.phase || !f.key || !f.loop || !f.call || !f.group || !f.start || !f.list ||
      !f.sequence || !f.reg || !f.uses || !f.seen || !latest || !latest_joined ||
      !ct__call_room_new(p, &room))
    return CT_ENOMEM;
  find_loops(&f, &room);
  find_phases(&f, latest, latest_joined);
  find_groups(&f);
  for (int k = 0; k < n; k++) {
    int members = f.start[k + 1] - f.start[k];
    if (members > 0 && !fuse(&f, f.list + f.start[k], members, f.list[f.start[k + 1] - 1]))
      return CT_ENOMEM;
  }
  return reorder(&f) ? CT_OK : CT_ENOMEM;
}
