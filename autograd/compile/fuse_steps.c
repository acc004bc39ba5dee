/* fuse_steps.c - a group of instructions as the steps of a tile: operands and what goes from step
 * to step get registers; cheap operations that feed each other become one step.
 */
#include "../ops/kernels.h"
#include "fuse.h"

/* ---- registers ------------------------------------------------------------------------------- */

static bool add_register(const ct__fusion *f, ct__fuse_block *b, int value) {
  if (b->n_reg == b->most) return false;
  b->dtype[b->n_reg] = f->p->value[value].v.dtype;
  f->reg[value] = ++b->n_reg;
  return true;
}

/* What instruction k reduces stays in a register. */
static bool add_tail(const ct__fusion *f, ct__fuse_block *b, int k) {
  int x = ct__named(f->p, f->p->instr[k].arg[0]);
  if (b->n_tails == CT__TILE_TAILS || (f->reg[x] < 0 && !add_register(f, b, x))) return false;
  f->seen[x] = 0; /* nor is its register ever free again */
  b->tail[b->n_tails++] = k;
  return true;
}

/* Counts the reads within the block; results are marked by -1 until they have a register. Inputs,
 * outputs and what is reduced get theirs; false if there are too many. */
static bool find_operands(const ct__fusion *f, ct__fuse_block *b) {
  for (int m = 0; m < b->n; m++) f->reg[ct__fused_result(f, b->member[m])] = -1;
  for (int m = 0; m < b->n; m++) {
    const ct__instr *k = &f->p->instr[b->member[m]];
    for (int i = 0; i < k->n_in; i++) {
      int x = ct__named(f->p, k->arg[i]);
      if (f->reg[x] < 0) f->seen[x]++;
      if (f->reg[x] != 0) continue;
      if (!add_register(f, b, x)) return false;
      b->in[b->n_in++] = x;
    }
  }
  for (int m = 0; m < b->n; m++) {
    int y = ct__fused_result(f, b->member[m]);
    if (f->uses[y] == f->seen[y] || ct__is_tail(f, b->member[m])) continue;
    if (!add_register(f, b, y)) return false;
    b->out[b->n_out++] = y;
    f->seen[y] = 0; /* its register is never free again */
  }
  for (int m = 0; m < b->n; m++)
    if (ct__is_tail(f, b->member[m]) && !add_tail(f, b, b->member[m])) return false;
  return true;
}

/* The operands that instruction k reads and, if asked for, may overwrite lose a read; the last one
 * frees the register. */
static void read_once(const ct__fusion *f, ct__fuse_block *b, int k, bool overwritten) {
  const ct__instr *instr = &f->p->instr[k];
  for (int i = 0; i < instr->n_in; i++) {
    int x = ct__named(f->p, instr->arg[i]);
    if (ct__inplace(instr->op, i) != overwritten || f->reg[x] <= 0 || f->seen[x] == 0) continue;
    if (--f->seen[x] == 0) b->free[f->reg[x] - 1] = true;
  }
}

static bool find_register(const ct__fusion *f, ct__fuse_block *b, int y) {
  for (int r = 0; r < b->n_reg && f->reg[y] < 0; r++)
    if (b->free[r] && b->dtype[r] == f->p->value[y].v.dtype) {
      b->free[r] = false;
      f->reg[y] = r + 1;
    }
  return f->reg[y] > 0 || add_register(f, b, y);
}

/* Operand i of the loop of instruction k, a value. */
static int operand(const ct__fusion *f, int k, int i) {
  return ct__named(f->p, f->p->instr[k].arg[f->call[k].operand[i]]);
}

static bool make_step(const ct__fusion *f, ct__fuse_block *b, int k, ct__tile_step *s) {
  const ct__loop_call *l = &f->call[k];
  *s = (ct__tile_step){.loop = f->loop[k], .attr = l->attr, .n = l->n};
  for (int i = 0; i < l->n; i++) s->reg[i] = f->reg[operand(f, k, i)] - 1;
  read_once(f, b, k, true);
  if (!find_register(f, b, ct__fused_result(f, k))) return false;
  read_once(f, b, k, false);
  s->reg[l->n] = f->reg[ct__fused_result(f, k)] - 1;
  return true;
}

/* ---- cheap operations that feed each other: one step ----------------------------------------- */

/* The other operand of a cheap instruction than the one that is handed on to it, or -1. */
static int other(const ct__fusion *f, int k) {
  const ct__fuse_link *l = &f->link[k];
  if (l->number >= 0) return -1;
  int i = l->turned ? l->cheap.left : l->cheap.right;
  return i < 0 ? -1 : operand(f, k, i);
}

/* Is value x a link's of the block, which instruction k alone reads? */
static bool only_for(const ct__fusion *f, int x, int k) {
  return f->reg[x] == -1 && f->seen[x] == 1 && f->link[f->maker[x]].length > 0 &&
         f->p->value[x].v.dtype == f->p->value[ct__fused_result(f, k)].v.dtype;
}

/* May instruction k continue the chain that makes its operand i? */
static bool continues(const ct__fusion *f, int k, int i) {
  int x = operand(f, k, i);
  return only_for(f, x, k) && f->link[f->maker[x]].length < CT__CHAIN_LENGTH &&
         f->link[f->maker[x]].operands + 2 <= CT__TILE_OPERANDS;
}

static ct__link_kind kind_of(const ct__fuse_link *l) {
  ct__link with = {.kind = (unsigned char)(l->turned ? l->cheap.into : l->cheap.kind)};
  if (l->number >= 0) ct__chain_with_number(&with, 0);
  return (ct__link_kind)with.kind;
}

/* ---- single numbers -------------------------------------------------------------------------- */

static bool can_be(ct__link_kind kind) {
  ct__link l = {.kind = (unsigned char)kind};
  return ct__chain_with_number(&l, 0);
}

/* May x be a constant to instruction k? */
static bool takes_number(const ct__fusion *f, int k, int x) {
  const ct__cheap *c = &f->link[k].cheap;
  if (ct__is_tail(f, k)) return ct__named(f->p, f->p->instr[k].arg[0]) != x;
  if (c->kind != CT__LINKS)
    return c->right < 0 || ((operand(f, k, c->right) != x || can_be(c->kind)) &&
                            (operand(f, k, c->left) != x || can_be(c->into)));
  for (int i = 0; i < f->call[k].n; i++)
    if (operand(f, k, i) == x) return false;
  return true;
}

static void find_numbers(const ct__fusion *f, ct__fuse_block *b) {
  for (int i = 0; i < b->n_in && !ct__of_numbers(b); i++) {
    int x = b->in[i];
    bool number = f->p->value[x].v.size == 1;
    for (int m = 0; m < b->n && number; m++) number = takes_number(f, b->member[m], x);
    f->number[x] = b->number[f->reg[x] - 1] = number;
  }
}

/* A number is the right operand. */
static void turn_number(const ct__fusion *f, int k) {
  ct__fuse_link *l = &f->link[k];
  const ct__cheap c = l->cheap;
  l->number = -1;
  if (c.right < 0) return;
  if (f->number[operand(f, k, c.left)]) l->cheap = (ct__cheap){c.right, c.left, c.into, c.kind};
  if (f->number[operand(f, k, l->cheap.right)]) l->number = operand(f, k, l->cheap.right);
}

/* ---- chains ---------------------------------------------------------------------------------- */

/* The other operand of a sum is a product: both become one link. */
static void take_product(ct__fusion *f, int k) {
  ct__fuse_link *l = &f->link[k];
  int x = other(f, k);
  if (x < 0 || !only_for(f, x, k)) return;
  ct__fuse_link *of = &f->link[f->maker[x]];
  ct__link sum = {.kind = (unsigned char)kind_of(l)};
  if (!ct__chain_take_in(kind_of(of), &sum)) return;
  l->product = f->maker[x];
  l->operands++;
  of->handed_on = true;
  if (of->before >= 0) f->link[of->before].handed_on = false;
}

/* Of two chains that end in instruction k the longer one goes on. */
static void find_chain(ct__fusion *f, int k) {
  ct__fuse_link *l = &f->link[k];
  if (l->cheap.kind == CT__LINKS) return;
  turn_number(f, k);
  l->before = l->product = -1;
  l->turned = l->handed_on = false;
  l->length = 2;
  l->operands = 1 + (l->cheap.right >= 0);
  for (int turned = 0; turned < 2; turned++) {
    if (turned && (other(f, k) < 0 || l->cheap.into == CT__LINKS)) continue;
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
static unsigned char add_operand(const ct__fusion *f, ct__tile_step *s, int x) {
  int at = 0;
  while (at < s->n && s->reg[at] != f->reg[x] - 1) at++;
  if (at == s->n) s->reg[s->n++] = f->reg[x] - 1;
  return (unsigned char)at;
}

/* What instruction k does, with operands x and y; -1 for none. */
static ct__link link_of(const ct__fusion *f, ct__tile_step *s, int k, int x, int y) {
  const ct__fuse_link *l = &f->link[k];
  ct__link_kind kind = l->turned ? l->cheap.into : l->cheap.kind;
  bool constant = kind == CT__LINK_SCALE || kind == CT__LINK_SHIFT;
  ct__link link = {(unsigned char)kind, x < 0 ? 0 : add_operand(f, s, x),
                   y < 0 ? 0 : add_operand(f, s, y),
                   .c = constant ? *(const double *)f->call[k].attr : 0};
  if (kind == CT__LINK_CALL) {
    link.attr = f->call[k].attr;
    link.row = ct__row_of(f->loop[k]);
  }
  if (l->number >= 0) ct__chain_with_number(&link, add_operand(f, s, l->number));
  return link;
}

/* The same for a sum that takes in a product. */
static ct__link link_with_product(const ct__fusion *f, ct__tile_step *s, const ct__fuse_link *l) {
  const ct__fuse_link *of = &f->link[l->product];
  int left = operand(f, l->product, of->cheap.left);
  bool alone = of->number >= 0 || of->cheap.right < 0;
  int right = alone ? left : operand(f, l->product, of->cheap.right);
  ct__link sum = link_of(f, s, l->product, left, right);
  sum.kind = (unsigned char)kind_of(l);
  ct__chain_take_in(kind_of(of), &sum);
  return sum;
}

static void add_link(const ct__fusion *f, ct__chain *c, ct__tile_step *s, int k) {
  const ct__fuse_link *l = &f->link[k];
  if (l->before < 0)
    c->link[c->n++] =
        (ct__link){.kind = CT__LINK_LOAD, .x = add_operand(f, s, operand(f, k, l->cheap.left))};
  ct__link next = l->product < 0 ? link_of(f, s, k, other(f, k), -1) : link_with_product(f, s, l);
  if (!ct__chain_contract(&c->link[c->n - 1], &next)) c->link[c->n++] = next;
}

/* The chain that ends in instruction k. */
static bool make_chain(const ct__fusion *f, ct__fuse_block *b, int k, ct__tile_step *s) {
  int path[CT__CHAIN_LENGTH], n = 0, y = ct__fused_result(f, k);
  for (int j = k; j >= 0; j = f->link[j].before) path[n++] = j;
  ct__chain *c =
      ct__zone_alloc(f->p, offsetof(ct__chain, link) + (size_t)(n + 2) * sizeof *c->link);
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
  c->link[c->n - 1].to = (unsigned char)(s->n + 1);
  s->reg[s->n] = f->reg[y] - 1;
  return true;
}

/* ---- on one element: what comes one behind the other is one chain ---------------------------- */

/* What the link before left in its register is at hand. */
static void append(ct__chain *joint, ct__link l) {
  const ct__link *last = joint->link + joint->n - 1;
  if (l.kind != CT__LINK_LOAD || joint->n == 0 || last->to != l.x + 1) joint->link[joint->n++] = l;
}

/* The links of a chain, whose operands become registers. */
static void append_chain(ct__chain *joint, const ct__tile_step *s) {
  const ct__chain *c = s->attr;
  for (int i = 0; i < c->n; i++) {
    ct__link l = c->link[i];
    l.x = (unsigned char)s->reg[l.x];
    l.y = (unsigned char)s->reg[l.y];
    if (l.to) l.to = (unsigned char)(s->reg[l.to - 1] + 1);
    append(joint, l);
  }
}

/* The same for the loop of a row. */
static void append_call(ct__chain *joint, const ct__tile_step *s) {
  unsigned char operand[4];
  for (int k = 0; k < 4; k++) operand[k] = (unsigned char)s->reg[k < s->n ? k : s->n - 1];
  append(joint, (ct__link){.kind = CT__LINK_LOAD, .x = operand[0]});
  append(joint, (ct__link){.kind = s->n == 1 ? CT__LINK_CALL : CT__LINK_CALL_WITH,
                           .x = operand[1],
                           .y = operand[2],
                           .z = operand[3],
                           .to = (unsigned char)(s->reg[s->n] + 1),
                           .attr = s->attr,
                           .row = ct__row_of(s->loop)});
}

/* How many links the step is; 0 if it cannot be one of a chain of this loop. */
static int links_of(const ct__fuse_block *b, const ct__tile_step *s, ct_loop *chain,
                    ct_dtype dtype) {
  if (s->loop == chain) return ((const ct__chain *)s->attr)->n;
  return b->dtype[s->reg[s->n]] == dtype && ct__row_of(s->loop) >= 0 ? 2 : 0;
}

static bool join_steps(const ct__fusion *f, ct__fuse_block *b, ct__tile_step *step, int n) {
  for (ct__tile_step *s = step, *end = step + n; s < end; s += 1 + s->n_joint) {
    ct_dtype dtype = b->dtype[s->reg[s->n]];
    ct_loop *chain = ct__is_float(dtype) ? ct__chain_loop(dtype, f->p->exact) : NULL;
    int links = 0, m = 0;
    for (int more; s + m < end && (more = links_of(b, &s[m], chain, dtype)); m++) links += more;
    if (m == 0) continue;
    ct__chain *joint =
        ct__zone_alloc(f->p, offsetof(ct__chain, link) + (size_t)links * sizeof *joint->link);
    b->no_memory = !joint;
    if (!joint) return false;
    for (int i = 0; i < m; i++) (s[i].loop == chain ? append_chain : append_call)(joint, &s[i]);
    s->loop = chain;
    s->joint = joint;
    s->n_joint = m - 1;
  }
  return true;
}

void ct__fuse_forget(const ct__fusion *f, const ct__fuse_block *b) {
  for (int i = 0; i < b->n_in; i++) f->reg[b->in[i]] = f->number[b->in[i]] = 0;
  for (int m = 0; m < b->n; m++) {
    int y = ct__fused_result(f, b->member[m]);
    f->reg[y] = f->seen[y] = 0;
  }
}

bool ct__fuse_steps(ct__fusion *f, ct__fuse_block *b, ct__tile_step *step, int *n_steps) {
  if (!find_operands(f, b)) return false;
  find_numbers(f, b);
  for (int m = 0; m < b->n; m++)
    if (!ct__is_tail(f, b->member[m])) find_chain(f, b->member[m]);
  for (int m = 0; m < b->n; m++) {
    int k = b->member[m];
    const ct__fuse_link *l = &f->link[k];
    bool cheap = l->cheap.kind != CT__LINKS;
    if (ct__is_tail(f, k) || (cheap && l->handed_on)) continue;
    if (l->cheap.kind == CT__LINK_CALL && l->before < 0) cheap = false; /* a function alone */
    ct__tile_step *s = &step[(*n_steps)++];
    if (!(cheap ? make_chain(f, b, k, s) : make_step(f, b, k, s))) return false;
  }
  return !ct__of_numbers(b) || join_steps(f, b, step, *n_steps);
}
