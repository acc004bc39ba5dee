/* ops.c - what one scalar operation costs, with its gradient, recorded or replayed in a program, in
 * pairs of malloc and free.
 */
#include "support/chains.h"

static const double replay_goal = 10e-9; /* seconds, at 2.3 GHz */

static bench_result measure(void (*run)(void *), chains *c) {
  bench_result r = bench_alternate((bench_way){.run = run, .state = c},
                                   (bench_way){.run = chains_pairs, .state = c});
  bench_check_library();
  return chains_each(c, r);
}

static void compare(bench_report *report, const char *label, double goal, chains c) {
  bench_result r = measure(chains_run, &c);
  bench_report_cell(report, (bench_cell){label, "eager", goal, false}, &r);
  chains_compile(&c);
  r = measure(chains_replay, &c);
  bench_report_cell(report, (bench_cell){label, "replayed", replay_goal / r.floor, false}, &r);
  chains_release(&c);
}

int main(int argc, char **argv) {
  bench_no_options(argc, argv);
  bench_begin();
  ct_tensor *x = ct_variable(ct_scalar(CT_F32, 0.9));
  bench_report *report = bench_report_new(
      "ops", (const char *const[]){"operation with gradient", "library", "malloc and free"});
  for (int k = 0; k < CHAIN_KINDS; k++)
    compare(report, chains_name(k), 0, (chains){.x = x, .first = k, .kinds = 1});
  compare(report, "mean of these", 6, (chains){.x = x, .kinds = CHAIN_KINDS});
  ct_release(&x);
  return bench_report_end(report) ? 0 : 1;
}
