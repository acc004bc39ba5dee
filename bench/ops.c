/* ops.c - what one recorded scalar operation costs, with its gradient, in pairs of malloc and free.
 *
 * A chain of operations on a 0-d f32 variable is recorded, differentiated and released. Numbers
 * this small leave only what the library does around them. The unit is the time to take as many
 * blocks of the size of a node from malloc and give them back: the chain too holds all its nodes
 * before it lets go of the first.
 */
#include "support/bench.h"

#include <cotangent.h>
#include <stdio.h>
#include <stdlib.h>

#include "tensor/tensor_internal.h"

enum { LENGTH = 100 };

/* ---- the chains ------------------------------------------------------------------------------ */

/* One link: y is the chain so far, x the variable it began with. Both are recorded. */
typedef ct_tensor *link_op(ct_tensor *y, ct_tensor *x);

static ct_tensor *link_sin(ct_tensor *y, ct_tensor *x) { return (void)x, ct_sin(y); }
static ct_tensor *link_tanh(ct_tensor *y, ct_tensor *x) { return (void)x, ct_tanh(y); }

static const struct kind {
  const char *name;
  link_op *link;
} kinds[] = {{"add", ct_add}, {"mul", ct_mul}, {"sin", link_sin}, {"tanh", link_tanh}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

typedef struct chains {
  const struct kind *first;
  int n;
  ct_tensor *x;
} chains;

/* For each kind a chain of LENGTH links and its gradient. */
static void run_chains(void *state) {
  const chains *c = state;
  for (int k = 0; k < c->n; k++) {
    ct_scope s = ct_scope_begin();
    ct_tensor *y = c->x, *g;
    for (int i = 0; i < LENGTH; i++) y = c->first[k].link(y, c->x);
    ct_grad(y, CT_LIST(c->x), &g);
    ct_scope_end(s);
  }
}

/* ---- the unit -------------------------------------------------------------------------------- */

static void run_pairs(void *state) {
  for (int k = 0; k < *(const int *)state; k++) {
    void *volatile block[LENGTH]; /* volatile: or the compiler drops the pairs */
    for (int i = 0; i < LENGTH; i++) block[i] = malloc(sizeof(ct_tensor));
    for (int i = 0; i < LENGTH; i++) free(block[i]);
  }
}

static void compare(bench_report *report, const char *label, double goal, chains c) {
  bench_result r =
      bench_alternate((bench_way){run_chains, &c}, (bench_way){run_pairs, &(int){c.n}});
  if (ct_error_code() != CT_OK) bench_fail("%s", ct_error_message());
  r.ours /= c.n * LENGTH;
  r.floor /= c.n * LENGTH;
  bench_report_row(report, label, goal, &r);
}

int main(void) {
  bench_begin();
  ct_tensor *x = ct_variable(ct_scalar(CT_F32, 0.9));
  bench_report *report = bench_report_new(
      "ops", (const char *const[]){"eager operation with gradient", "library", "malloc and free"});
  for (int k = 0; k < KINDS; k++) compare(report, kinds[k].name, 0, (chains){kinds + k, 1, x});
  compare(report, "mean of these", 6, (chains){kinds, KINDS, x});
  ct_release(&x);
  return bench_report_end(report) ? 0 : 1;
}
