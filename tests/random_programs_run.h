/* random_programs_run.h - many programs, checked and counted. */
#ifndef COTANGENT_RANDOM_PROGRAMS_RUN_H
#define COTANGENT_RANDOM_PROGRAMS_RUN_H

#include "random_programs_shrink.h"

enum { MAX_OPS = 400 };

/* ---- which primitives an accepted program has used ------------------------------------------- */

static int programs_with[MAX_OPS]; /* by position in the registry */
static bool seen_op[MAX_OPS];

static inline int position_of(const ct_op *op) {
  for (int i = 0; i < ct_op_count() && i < MAX_OPS; i++)
    if (ct_op_at(i) == op) return i;
  return -1;
}

/* Also what derivatives were expanded into. */
static inline void see_recipe(const ct_tensor *t, uint64_t epoch) {
  if (!t || !t->recipe) return;
  ct__node *n = ct__node_of(t);
  if (n->epoch == epoch) return;
  n->epoch = epoch;
  int at = position_of(n->call.op);
  if (at >= 0) seen_op[at] = true;
  for (int i = 0; i < n->recipe.n_in; i++) see_recipe(n->recipe.in[i], epoch);
  for (int o = 0; n->expanded && o < n->call.n_out; o++) see_recipe(n->recipe.extra[o], epoch);
}

static inline void count_primitives(const program *p, ct_list y) {
  (void)p;
  memset(seen_op, 0, sizeof seen_op);
  for (int o = 0; o < y.n; o++) see_recipe(y.at[o], UINT64_MAX);
  for (int i = 0; i < MAX_OPS; i++) programs_with[i] += seen_op[i];
}

/* ---- a run ----------------------------------------------------------------------------------- */

typedef struct tally {
  int accepted, rejected, failed;
} tally;

/* Draws, checks and tallies one program; a failing one is shrunk and printed if `show`. */
static inline void program_try(uint64_t seed, const row_table *rows, const row *planted, bool show,
                               tally *sum) {
  static program p;
  ct_scope scope = ct_scope_begin();
  const char *failure = program_draw(&p, seed, rows, planted);
  finding found = failure ? (finding){.verdict = FAILED, .check = failure}
                          : program_check(&p, count_primitives);
  if (failure) snprintf(found.error, sizeof found.error, "%s", ct_error_message());
  ct_error_clear();
  sum->accepted += found.verdict == PASSED;
  sum->rejected += found.verdict == REJECTED;
  sum->failed += found.verdict == FAILED;
  if (found.verdict == FAILED && show) {
    if (!failure) found = program_shrink(&p);
    program_print(stderr, &p, &found);
  }
  assert_ok(ct_scope_end(scope));
}

#endif
