/* plan.c - memory: live intervals, reuse in place, one arena.
 *
 * Blocks are placed from the largest to the smallest, each at the lowest address where nothing
 * alive at the same time lies (greedy by size; Pisarchyk and Lee, Efficient memory management for
 * deep neural net inference, 2020).
 */
#include "program.h"

#include <stdlib.h>

/* ---- reuse in place -------------------------------------------------------------------------- */

static void find_intervals(ct_program *p) {
  for (int i = 0; i < p->n_values; i++) p->value[i].first = p->value[i].last = -1;
  for (int k = 0; k < p->n_instrs; k++)
    for (int i = 0; i < p->instr[k].n_in + p->instr[k].n_out; i++) {
      ct__value *base = ct__base(p, p->instr[k].arg[i]);
      if (base->first < 0) base->first = k;
      base->last = k;
    }
}

/* The value in whose memory value i lies by now. */
static int home_of(const ct_program *p, int i) {
  while (p->value[i].base != i) i = p->value[i].base;
  return i;
}

static bool same_layout(const ct__value *a, const ct__value *b) {
  return a->offset == b->offset && a->v.dtype == b->v.dtype && ct__same_shape(&a->v, &b->v) &&
         ct__same_dims(a->v.ndim, a->v.stride, b->v.stride);
}

/* Input i of instruction k dies there and lies like output o, as do all that lie in its place. */
static bool reusable(const ct_program *p, int k, int i, int o) {
  const ct__instr *instr = &p->instr[k];
  int x = instr->arg[i], y = ct__outs(instr)[o];
  const ct__value *from = &p->value[home_of(p, x)], *to = &p->value[y];
  if (from->home != CT__COMPUTED || from->result >= 0 || from->last != k) return false;
  if (to->base != y || to->result >= 0 || !ct__value_whole(p, x)) return false;
  if (!same_layout(&p->value[x], to)) return false;
  for (int j = 0; j < instr->n_in; j++)
    if (home_of(p, instr->arg[j]) == home_of(p, x) &&
        !(ct__inplace(instr->op, j) && same_layout(&p->value[instr->arg[j]], &p->value[x])))
      return false;
  for (int j = 0; j < instr->n_out; j++) /* another output was faster */
    if (home_of(p, ct__outs(instr)[j]) == home_of(p, x)) return false;
  return true;
}

/* Output o moves into the memory of an input that dies. */
static void reuse_for(ct_program *p, int k, int o) {
  const ct__instr *instr = &p->instr[k];
  for (int i = 0; i < instr->n_in; i++) {
    if (!ct__inplace(instr->op, i) || !reusable(p, k, i, o)) continue;
    ct__value *y = &p->value[ct__outs(instr)[o]];
    int base = home_of(p, instr->arg[i]);
    p->value[base].last = y->last;
    y->base = base;
    return;
  }
}

static void reuse(ct_program *p) {
  for (int k = 0; k < p->n_instrs; k++)
    for (int o = 0; o < p->instr[k].n_out; o++) reuse_for(p, k, o);
  for (int i = 0; i < p->n_values; i++) p->value[i].base = home_of(p, i);
}

/* ---- the arena ------------------------------------------------------------------------------- */

typedef struct block {
  size_t bytes, *at;
  int first, last;
} block;

static int larger_first(const void *a, const void *b) {
  const block *x = a, *y = b;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
  return (x->first > y->first) - (x->first < y->first);
}

static int earlier_first(const void *a, const void *b) {
  const block *x = a, *y = b;
  return x->first != y->first ? (x->first > y->first) - (x->first < y->first) : larger_first(a, b);
}

static bool overlap(const block *a, const block *b) {
  return a->first <= b->last && b->first <= a->last;
}

/* placed: sorted by address. The lowest gap among those that live at the same time. */
static void place(const block *const *placed, int n, block *b) {
  size_t at = 0;
  for (int i = 0; i < n; i++) {
    if (!overlap(placed[i], b)) continue;
    if (*placed[i]->at >= at + b->bytes) break;
    if (*placed[i]->at + placed[i]->bytes > at) at = *placed[i]->at + placed[i]->bytes;
  }
  *b->at = at;
}

static size_t place_all(block *b, int n, const block **placed,
                        int (*order)(const void *, const void *)) {
  size_t end = 0;
  qsort(b, (size_t)n, sizeof *b, order);
  for (int i = 0; i < n; i++) {
    place(placed, i, &b[i]);
    int j = i;
    for (; j > 0 && *placed[j - 1]->at > *b[i].at; j--) placed[j] = placed[j - 1];
    placed[j] = &b[i];
    if (*b[i].at + b[i].bytes > end) end = *b[i].at + b[i].bytes;
  }
  return end;
}

/* Where the order of size leaves gaps that of birth may not. */
static size_t place_well(block *b, int n, const block **placed, size_t live) {
  size_t by_size = place_all(b, n, placed, larger_first);
  if (by_size == live) return by_size;
  size_t by_birth = place_all(b, n, placed, earlier_first);
  return by_birth < by_size ? by_birth : place_all(b, n, placed, larger_first);
}

/* The largest sum of bytes alive at once. */
static size_t most_alive(const block *b, int n, size_t *change, int n_instrs) {
  for (int i = 0; i < n; i++) {
    change[b[i].first] += b[i].bytes;
    change[b[i].last + 1] -= b[i].bytes;
  }
  size_t alive = 0, most = 0;
  for (int k = 0; k < n_instrs; k++) {
    alive += change[k];
    if (alive > most) most = alive;
  }
  return most;
}

static bool needs_room(const ct_program *p, int i) {
  const ct__value *x = &p->value[i];
  return x->base == i && x->home == CT__COMPUTED && x->result < 0 && x->first >= 0 && x->v.size > 0;
}

static ct_status too_large(void) {
  return ct__fail_status(CT_ESIZE, "ct_compile: the values take more memory than there is");
}

static ct_status find_work(ct_program *p) {
  ct__call_room room;
  if (!ct__call_room_new(p, &room)) return CT_ENOMEM;
  for (int k = 0; k < p->n_instrs; k++) {
    ct_call c = ct__instr_call(p, &p->instr[k], &room);
    size_t work = p->instr[k].work = c.op->work ? c.op->work(&c) : 0;
    if (work > SIZE_MAX / 2) return ct_error_code() != CT_OK ? ct_error_code() : too_large();
  }
  return CT_OK;
}

ct_status ct__pass_plan(ct_program *p) {
  ct_status status = find_work(p);
  if (status != CT_OK) return status;
  find_intervals(p);
  reuse(p);
  find_intervals(p);
  size_t most = (size_t)p->n_values + (size_t)p->n_instrs + 1;
  block *b = ct__scratch_alloc(p, most * sizeof *b);
  const block **placed = ct__scratch_alloc(p, most * sizeof *placed);
  size_t *change = ct__scratch_alloc(p, ((size_t)p->n_instrs + 1) * sizeof *change);
  if (!b || !placed || !change) return CT_ENOMEM;
  int n = 0;
  for (int i = 0; i < p->n_values; i++) {
    ct__value *x = &p->value[i];
    if (needs_room(p, i))
      b[n++] = (block){ct__whole_lines(ct__value_bytes(x)), &x->at, x->first, x->last};
  }
  for (int k = 0; k < p->n_instrs; k++)
    if (p->instr[k].work)
      b[n++] = (block){ct__whole_lines(p->instr[k].work), &p->instr[k].work_at, k, k};
  double bytes = 0; /* of all together: what an address may be */
  for (int i = 0; i < n; i++) bytes += (double)b[i].bytes;
  if (bytes > 0x1p62) return too_large();
  p->live = most_alive(b, n, change, p->n_instrs);
  p->arena = place_well(b, n, placed, p->live);
  return CT_OK;
}
