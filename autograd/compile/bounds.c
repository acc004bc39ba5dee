/* bounds.c - which captured matrices are finite, so that products may leave out rows of them.
 *
 * A row of W that meets a 0 in y = x W adds nothing to y, unless there is a NaN or an infinity in
 * it. To look for one takes as long as the product, so the program remembers what it has found:
 *
 *   - A matrix is looked at when the same version of it is met for the second time, with many zeros
 *     in x. One that somebody else writes between the runs is never looked at.
 *   - An update by an outer product, W + s u v, makes no number larger than the sum of the largest
 *     one in W and of |s|, |u| and |v| multiplied. So the bound grows with it, in time for vectors,
 *     not a matrix. When it passes the largest number that there is another look is taken.
 *   - Every other write, by anybody, makes a version that nothing is known of (ct__written); what
 *     the update of this program makes is known once a whole run has succeeded.
 *
 * What is left out would have added a zero: the bits do not depend on what is known.
 */
#include "bounds.h"

#include <float.h>
#include <math.h>

#include "product.h"

enum {
  NEAR = 64 << 10, /* bytes of a matrix that is done before anything is gained */
  LONG_ROW = 64,   /* of numbers */
  MANY = 5         /* zeros: one in so many */
};

#define ENTRY(isa) {&ct__bound_loops_f32_##isa, &ct__bound_loops_f64_##isa},
static const ct__bound_loops *const sets[][2] = {CT__ISA_LIST(ENTRY)};

static const ct__bound_loops *loops(const ct_view *v) {
  return sets[ct__isa()][v->dtype == CT_F64];
}

static double largest_of(const ct_view *v) { return loops(v)->largest(v->size, v->data); }

static double get(const ct__bound *b) {
  return atomic_load_explicit(&b->largest, memory_order_relaxed);
}

static void set(ct__bound *b, double largest) {
  atomic_store_explicit(&b->largest, largest, memory_order_relaxed);
}

static bool is_met(const ct__bound *b) {
  return atomic_load_explicit(&b->version, memory_order_acquire) == b->of->stamp;
}

static void meet(ct__bound *b) {
  atomic_store_explicit(&b->version, b->of->stamp, memory_order_release);
}

bool ct__bound_leaves(ct__bound *b, const ct_view *a, const ct_view *w) {
  if (!b) return false;
  if (!is_met(b)) {
    set(b, 0);
    meet(b);
    return false;
  }
  double largest = get(b);
  /* Where the update came first, into other memory, what is kept is for the next version. */
  if (b->kept || largest == INFINITY || !a->contiguous ||
      MANY * loops(a)->zeros(a->size, a->data) < a->size)
    return false;
  if (largest == 0) {
    largest = 1 + largest_of(w);
    if (!(largest < INFINITY)) largest = INFINITY; /* NaN */
    set(b, largest);
  }
  return largest < INFINITY;
}

/* 1 + |x| in place of |x|: so no part of the product is larger than all of it, in whatever order it
 * is taken; and a little for rounding. What is not finite stays so. */
void ct__bound_grow(ct__bound *b, double scale, const ct_view *u, const ct_view *v) {
  if (!b) return;
  b->kept = is_met(b) && u->dim[1] == 1 && u->contiguous && v->contiguous;
  double was = get(b), limit = v->dtype == CT_F32 ? (double)FLT_MAX : DBL_MAX;
  if (!b->kept || was == 0 || was == INFINITY) return;
  double change = (1 + fabs(scale)) * (1 + largest_of(u)) * (1 + largest_of(v));
  double now = (was + change) * (1 + 0x1p-20);
  set(b, now < limit ? now : 0);
}

void ct__bounds_settle(const ct_program *p) {
  for (ct__bound *b = p->bounds; b; b = b->next) {
    if (b->kept) meet(b);
    b->kept = false;
  }
}

/* ---- the pass -------------------------------------------------------------------------------- */

/* A row times all of a captured matrix whose rows are contiguous. */
static bool suits(const ct_program *p, const ct__instr *k) {
  if (k->op != &ct__product_op) return false;
  const ct__value *a = &p->value[k->arg[0]], *w = &p->value[k->arg[1]];
  return a->v.dim[0] == 1 && a->v.dim[1] <= INT32_MAX &&
         ct__base(p, k->arg[1])->home == CT__CAPTURED && ct__value_whole(p, k->arg[1]) &&
         w->v.dim[1] >= LONG_ROW && ct__value_bytes(w) >= NEAR;
}

static ct__bound *bound_new(ct_program *p, const ct_tensor *of) {
  ct__bound *b = ct__zone_alloc(p, sizeof *b);
  if (!b) return NULL;
  b->next = p->bounds;
  b->of = of;
  atomic_init(&b->version, UINT64_MAX);
  atomic_init(&b->largest, 0);
  return p->bounds = b;
}

/* Instruction k makes the new numbers of the variable that it adds to. */
static bool updates(const ct_program *p, const ct__instr *k) {
  for (int u = 0; u < p->n_updates; u++)
    if (p->update[u].variable == k->arg[2]) return p->update[u].value == ct__outs(k)[0];
  return false;
}

ct_status ct__pass_bounds(ct_program *p) {
  ct__bound **of = ct__scratch_alloc(p, (size_t)p->n_values * sizeof(ct__bound *) + 1);
  if (!of) return CT_ENOMEM;
  for (int k = 0; k < p->n_instrs; k++) {
    const ct__instr *instr = &p->instr[k];
    if (!suits(p, instr)) continue;
    int base = ct__base_of(p, instr->arg[1]);
    if (!of[base]) of[base] = bound_new(p, p->value[base].tensor);
    if (!of[base]) return CT_ENOMEM;
    ((ct__product_attr *)(uintptr_t)instr->attr)->bound = of[base];
  }
  for (int k = 0; k < p->n_instrs; k++) {
    const ct__instr *instr = &p->instr[k];
    if (instr->op == &ct__product_add_op && updates(p, instr))
      ((ct__product_add_attr *)(uintptr_t)instr->attr)->bound = of[instr->arg[2]];
  }
  return CT_OK;
}
