/* fuse.c - elementwise operations of one shape that feed each other become one instruction, and so
 * do reductions of what they compute.
 *
 * Every instruction has a phase: behind those of what it reads, and the same only if both could be
 * one. So what has the same phase may be one whatever lies between: a way out of a group and back
 * into it would have to pass a later phase.
 */
#include "tile.h"

/* A cheap instruction as part of a chain. */
typedef struct link {
  ct__cheap cheap;      /* kind is CT__LINKS if it is none */
  int before;           /* the instruction that hands its result on to it, or -1 */
  int product;          /* the one whose product it adds without rounding it first, or -1 */
  int length, operands; /* of the chain so far; 0: not cheap */
  bool turned;          /* what it is handed is its right operand */
  bool handed_on;       /* its own result is too, or added so */
} link;

typedef struct fusion {
  ct_program *p;
  int n, n_values;  /* instructions and values before */
  int *maker;       /* of each value */
  int *phase, *key; /* of each instruction, the new ones too; key: where it goes */
  ct_loop **loop;   /* of each instruction that may be fused */
  ct__loop_call *call;
  ct__tail *tail; /* of each instruction that reduces; others have no results */
  link *link;
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

static bool is_tail(const fusion *f, int k) { return f->tail[k].results > 0; }

static void find_loops(fusion *f, const ct__call_room *room) {
  for (int k = 0; k < f->n; k++) {
    const ct__instr *instr = &f->p->instr[k];
    if (ct__can_fail(instr->op) || instr->n_out != 1 || instr->n_in < 1 ||
        f->p->value[result(f, k)].base != result(f, k))
      continue;
    ct_call c = ct__instr_call(f->p, instr, room);
    if (!(instr->op->flags & CT_ELEMENTWISE)) {
      if (f->p->exact || !ct__tail_of(&c, &f->tail[k])) f->tail[k].results = 0;
      continue;
    }
    f->loop[k] = ct__elementwise_loop(&c, &f->call[k]);
    if (!ct__chain_cheap(f->loop[k], f->p->value[result(f, k)].v.dtype, &f->link[k].cheap))
      f->link[k].cheap.kind = CT__LINKS;
  }
}

/* What a tile of instruction k would be a part of; NULL if it cannot be fused. */
static const ct_view *walked(const fusion *f, int k) {
  if (is_tail(f, k)) return &f->p->value[f->p->instr[k].arg[0]].v;
  return f->loop[k] ? &f->p->value[result(f, k)].v : NULL;
}

/* The instruction that makes input i of instruction k, or -1; joins: the two could be one. */
static int source(const fusion *f, int k, int i, bool *joins) {
  const ct_program *p = f->p;
  int x = p->instr[k].arg[i], j = f->maker[p->value[x].base];
  *joins = j >= 0 && f->loop[j] && named(p, x) == result(f, j) && walked(f, k) &&
           ct__same_shape(&p->value[x].v, walked(f, k));
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

static void join(const fusion *f, int j, int k) {
  int a = root(f, j), b = root(f, k);
  f->group[a > b ? a : b] = a < b ? a : b;
}

/* Instructions of one phase, j and k, walk over the same numbers. */
static bool siblings(const fusion *f, int j, int k) {
  return f->phase[j] == f->phase[k] && ct__same_shape(walked(f, j), walked(f, k));
}

/* The groups in the order of their first members, these in theirs. Who hands a result on to whom is
 * in one group, and who reads the same value, all of it. */
static void find_groups(fusion *f) {
  int *reader = f->reg; /* of each value, the last one; not in use yet */
  for (int k = 0; k < f->n; k++) f->group[k] = k;
  for (int k = 0; k < f->n; k++)
    for (int i = 0; i < f->p->instr[k].n_in && walked(f, k); i++) {
      bool joins;
      int j = source(f, k, i, &joins), x = named(f->p, f->p->instr[k].arg[i]);
      if (joins && f->phase[j] == f->phase[k]) join(f, j, k);
      if (!ct__same_shape(&f->p->value[x].v, walked(f, k))) continue;
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

/* ---- a group as a tile ------------------------------------------------------------------------- */

/* What n instructions become. */
typedef struct block {
  const int *member;
  int n, n_in, n_out, n_reg, n_tails;
  int in[CT__TILE_REGS], out[CT__TILE_REGS]; /* values */
  int tail[CT__TILE_TAILS];                  /* instructions */
  ct_dtype dtype[CT__TILE_REGS];             /* of the registers */
  bool free[CT__TILE_REGS];
  bool no_memory;
} block;

static bool add_register(const fusion *f, block *b, int value) {
  if (b->n_reg == CT__TILE_REGS) return false;
  b->dtype[b->n_reg] = f->p->value[value].v.dtype;
  f->reg[value] = ++b->n_reg;
  return true;
}

/* What instruction k reduces stays in a register. */
static bool add_tail(const fusion *f, block *b, int k) {
  int x = named(f->p, f->p->instr[k].arg[0]);
  if (b->n_tails == CT__TILE_TAILS || (f->reg[x] < 0 && !add_register(f, b, x))) return false;
  f->seen[x] = 0; /* nor is its register ever free again */
  b->tail[b->n_tails++] = k;
  return true;
}

/* Counts the reads within the block; results are marked by -1 until they have a register. Inputs,
 * outputs and what is reduced get theirs; false if there are too many. */
static bool find_operands(const fusion *f, block *b) {
  for (int m = 0; m < b->n; m++) f->reg[result(f, b->member[m])] = -1;
  for (int m = 0; m < b->n; m++) {
    const ct__instr *k = &f->p->instr[b->member[m]];
    for (int i = 0; i < k->n_in; i++) {
      int x = named(f->p, k->arg[i]);
      if (f->reg[x] < 0) f->seen[x]++;
      if (f->reg[x] != 0) continue;
      if (!add_register(f, b, x)) return false;
      b->in[b->n_in++] = x;
    }
  }
  for (int m = 0; m < b->n; m++) {
    int y = result(f, b->member[m]);
    if (f->uses[y] == f->seen[y] || is_tail(f, b->member[m])) continue;
    if (!add_register(f, b, y)) return false;
    b->out[b->n_out++] = y;
    f->seen[y] = 0; /* its register is never free again */
  }
  for (int m = 0; m < b->n; m++)
    if (is_tail(f, b->member[m]) && !add_tail(f, b, b->member[m])) return false;
  return true;
}

/* The operands that instruction k reads and, if asked for, may overwrite lose a read; the last one
 * frees the register. */
static void read_once(const fusion *f, block *b, int k, bool overwritten) {
  const ct__instr *instr = &f->p->instr[k];
  for (int i = 0; i < instr->n_in; i++) {
    int x = named(f->p, instr->arg[i]);
    bool may_be = i < 32 && (instr->op->inplace >> i & 1);
    if (may_be != overwritten || f->reg[x] <= 0 || f->seen[x] == 0) continue;
    if (--f->seen[x] == 0) b->free[f->reg[x] - 1] = true;
  }
}

static bool find_register(const fusion *f, block *b, int y) {
  for (int r = 0; r < b->n_reg && f->reg[y] < 0; r++)
    if (b->free[r] && b->dtype[r] == f->p->value[y].v.dtype) {
      b->free[r] = false;
      f->reg[y] = r + 1;
    }
  return f->reg[y] > 0 || add_register(f, b, y);
}

/* Operand i of the loop of instruction k, a value. */
static int operand(const fusion *f, int k, int i) {
  return named(f->p, f->p->instr[k].arg[f->call[k].operand[i]]);
}

static bool make_step(const fusion *f, block *b, int k, ct__tile_step *s) {
  const ct__loop_call *l = &f->call[k];
  *s = (ct__tile_step){.loop = f->loop[k], .attr = l->attr, .n = l->n};
  for (int i = 0; i < l->n; i++) s->reg[i] = f->reg[operand(f, k, i)] - 1;
  read_once(f, b, k, true);
  if (!find_register(f, b, result(f, k))) return false;
  read_once(f, b, k, false);
  s->reg[l->n] = f->reg[result(f, k)] - 1;
  return true;
}

/* ---- cheap operations that feed each other: one step --------------------------------------------- */

/* The other operand of a cheap instruction than the one that is handed on to it, or -1. */
static int other(const fusion *f, int k) {
  const link *l = &f->link[k];
  int i = l->turned ? l->cheap.left : l->cheap.right;
  return i < 0 ? -1 : operand(f, k, i);
}

/* Is value x a link's of the block, which instruction k alone reads? */
static bool only_for(const fusion *f, int x, int k) {
  return f->reg[x] == -1 && f->seen[x] == 1 && f->link[f->maker[x]].length > 0 &&
         f->p->value[x].v.dtype == f->p->value[result(f, k)].v.dtype;
}

/* May instruction k continue the chain that makes its operand i? */
static bool continues(const fusion *f, int k, int i) {
  int x = operand(f, k, i);
  return only_for(f, x, k) && f->link[f->maker[x]].length < CT__CHAIN_LENGTH &&
         f->link[f->maker[x]].operands + 2 <= CT__TILE_OPERANDS;
}

static ct__link_kind kind_of(const link *l) { return l->turned ? l->cheap.into : l->cheap.kind; }

/* The other operand of a sum is a product: both become one link. */
static void take_product(fusion *f, int k) {
  link *l = &f->link[k];
  int x = other(f, k);
  if (x < 0 || !only_for(f, x, k)) return;
  link *of = &f->link[f->maker[x]];
  ct__link sum = {.kind = (unsigned char)kind_of(l)};
  if (!ct__chain_take_in(kind_of(of), &sum)) return;
  l->product = f->maker[x];
  l->operands++;
  of->handed_on = true;
  if (of->before >= 0) f->link[of->before].handed_on = false;
}

/* Of two chains that end in instruction k the longer one goes on. */
static void find_chain(fusion *f, int k) {
  link *l = &f->link[k];
  if (l->cheap.kind == CT__LINKS) return;
  l->before = l->product = -1;
  l->turned = l->handed_on = false;
  l->length = 2;
  l->operands = 1 + (l->cheap.right >= 0);
  for (int turned = 0; turned < 2; turned++) {
    if (turned && (l->cheap.right < 0 || l->cheap.into == CT__LINKS)) continue;
    int i = turned ? l->cheap.right : l->cheap.left;
    if (!continues(f, k, i)) continue;
    int j = f->maker[operand(f, k, i)];
    if (f->link[j].length < l->length) continue;
    if (l->before >= 0) f->link[l->before].handed_on = false;
    l->before = j;
    l->turned = turned;
    l->length = f->link[j].length + 1;
    l->operands = f->link[j].operands + (l->cheap.right >= 0);
    f->link[j].handed_on = true;
  }
  take_product(f, k);
}

/* The position of value x among the operands of a step. */
static unsigned char add_operand(const fusion *f, ct__tile_step *s, int x) {
  int at = 0;
  while (at < s->n && s->reg[at] != f->reg[x] - 1) at++;
  if (at == s->n) s->reg[s->n++] = f->reg[x] - 1;
  return (unsigned char)at;
}

/* What instruction k does, with operands x and y; -1 for none. */
static ct__link link_of(const fusion *f, ct__tile_step *s, int k, ct__link_kind kind, int x,
                        int y) {
  bool constant = kind == CT__LINK_SCALE || kind == CT__LINK_SHIFT;
  return (ct__link){(unsigned char)kind, x < 0 ? 0 : add_operand(f, s, x),
                    y < 0 ? 0 : add_operand(f, s, y),
                    .c = constant ? *(const double *)f->call[k].attr : 0};
}

/* The same for a sum that takes in a product. */
static ct__link link_with_product(const fusion *f, ct__tile_step *s, const link *l) {
  const link *of = &f->link[l->product];
  int left = operand(f, l->product, of->cheap.left);
  int right = of->cheap.right < 0 ? left : operand(f, l->product, of->cheap.right);
  ct__link sum = link_of(f, s, l->product, kind_of(of), left, right);
  sum.kind = (unsigned char)kind_of(l);
  ct__chain_take_in(kind_of(of), &sum);
  return sum;
}

static void add_link(const fusion *f, ct__chain *c, ct__tile_step *s, int k) {
  const link *l = &f->link[k];
  if (l->before < 0)
    c->link[c->n++] = link_of(f, s, k, CT__LINK_LOAD, operand(f, k, l->cheap.left), -1);
  ct__link next =
      l->product < 0 ? link_of(f, s, k, kind_of(l), other(f, k), -1) : link_with_product(f, s, l);
  if (!ct__chain_contract(&c->link[c->n - 1], &next)) c->link[c->n++] = next;
}

/* The chain that ends in instruction k. */
static bool make_chain(const fusion *f, block *b, int k, ct__tile_step *s) {
  int path[CT__CHAIN_LENGTH], n = 0, y = result(f, k);
  for (int j = k; j >= 0; j = f->link[j].before) path[n++] = j;
  ct__chain *c =
      ct__zone_alloc(f->p, offsetof(ct__chain, link) + (size_t)(n + 1) * sizeof *c->link);
  b->no_memory = !c;
  if (!c) return false;
  *s = (ct__tile_step){.loop = ct__chain_loop(f->p->value[y].v.dtype, f->p->exact), .attr = c};
  for (int i = n - 1; i >= 0; i--) {
    add_link(f, c, s, path[i]);
    for (int way = 0; way < 2; way++) {
      read_once(f, b, path[i], way == 0);
      if (f->link[path[i]].product >= 0) read_once(f, b, f->link[path[i]].product, way == 0);
    }
  }
  if (!find_register(f, b, y)) return false;
  ct__chain_finish(c);
  c->result = s->n;
  s->reg[s->n] = f->reg[y] - 1;
  return true;
}

/* ---- the new instruction ------------------------------------------------------------------------- */

static void forget(const fusion *f, const block *b) {
  for (int i = 0; i < b->n_in; i++) f->reg[b->in[i]] = 0;
  for (int m = 0; m < b->n; m++) {
    int y = result(f, b->member[m]);
    f->reg[y] = f->seen[y] = 0;
  }
}

static void *copy(ct_program *p, const void *from, size_t bytes) {
  void *to = ct__zone_alloc(p, bytes + 1);
  return to && bytes > 0 ? memcpy(to, from, bytes) : to;
}

/* The tails of a tile; their results go behind the outputs. */
static const ct__tail *make_tails(const fusion *f, const block *b, int *out) {
  ct__tail *tail = ct__zone_alloc(f->p, (size_t)b->n_tails * sizeof *tail + 1);
  for (int i = 0; tail && i < b->n_tails; i++) {
    tail[i] = f->tail[b->tail[i]];
    tail[i].reg = f->reg[named(f->p, f->p->instr[b->tail[i]].arg[0])] - 1;
    out[b->n_out + i] = result(f, b->tail[i]);
  }
  return tail;
}

static bool add_fused(const fusion *f, const block *b, const ct__tile_step *step, int n_steps) {
  ct_program *p = f->p;
  int reg[CT__TILE_REGS], out[CT__TILE_REGS + CT__TILE_TAILS];
  memcpy(out, b->out, sizeof b->out);
  for (int o = 0; o < b->n_out; o++) reg[o] = f->reg[b->out[o]] - 1;
  ct__tile *t = ct__zone_alloc(p, sizeof *t);
  if (!t) return false;
  *t = (ct__tile){b->n_in,
                  b->n_out,
                  n_steps,
                  b->n_reg,
                  step,
                  copy(p, b->dtype, (size_t)b->n_reg * sizeof *b->dtype),
                  copy(p, reg, (size_t)b->n_out * sizeof *reg),
                  b->n_tails,
                  make_tails(f, b, out)};
  ct__fused attr = {b->n_out + b->n_tails, t};
  return t->dtype && t->out && t->tail &&
         ct__instr_new(p, b->n_tails ? &ct__reduced_op : &ct__fused_op, &attr, b->n_in, b->in,
                       attr.n_out, out);
}

/* False if there is no room for the operands. */
static bool make_steps(fusion *f, block *b, ct__tile_step *step, int *n_steps) {
  if (!find_operands(f, b)) return false;
  for (int m = 0; m < b->n; m++)
    if (!is_tail(f, b->member[m])) find_chain(f, b->member[m]);
  for (int m = 0; m < b->n; m++) {
    int k = b->member[m];
    bool cheap = f->link[k].cheap.kind != CT__LINKS;
    if (is_tail(f, k) || (cheap && f->link[k].handed_on)) continue;
    ct__tile_step *s = &step[(*n_steps)++];
    if (!(cheap ? make_chain(f, b, k, s) : make_step(f, b, k, s))) return false;
  }
  return true;
}

static void take_place(fusion *f, int k, int phase, int key) {
  f->phase[k] = phase;
  f->key[k] = key;
  f->sequence[f->n_sequence++] = k;
}

/* The members as one instruction, or in two parts if they need too many registers. */
static bool fuse(fusion *f, const int *member, int n, int key) {
  int phase = f->phase[member[0]], n_steps = 0;
  if (n == 1) return take_place(f, member[0], phase, key), true;
  ct__tile_step *step = ct__zone_alloc(f->p, (size_t)n * sizeof *step);
  if (!step) return false;
  block b = {.member = member, .n = n};
  bool fits = make_steps(f, &b, step, &n_steps);
  bool made = fits && add_fused(f, &b, step, n_steps);
  forget(f, &b);
  if (b.no_memory) return false;
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
              n_values,
              ct__program_makers(p),
              numbers(p, 2 * n),
              numbers(p, 2 * n),
              ct__zone_alloc(p, (size_t)n * sizeof *f.loop + 1),
              ct__zone_alloc(p, (size_t)n * sizeof *f.call + 1),
              ct__zone_alloc(p, (size_t)n * sizeof *f.tail + 1),
              ct__zone_alloc(p, (size_t)n * sizeof *f.link + 1),
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
  if (!f.maker || !f.phase || !f.key || !f.loop || !f.call || !f.tail || !f.link || !f.group ||
      !f.start || !f.list || !f.sequence || !f.reg || !f.uses || !f.seen || !latest ||
      !latest_joined || !ct__call_room_new(p, &room))
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
