/* ops.c - what one recorded scalar operation costs, with its gradient, in pairs of malloc and free.
 */
#include "support/chains.h"

static void compare(bench_report *report, const char *label, double goal, chains c) {
  bench_result r = bench_alternate((bench_way){.run = chains_run, .state = &c},
                                   (bench_way){.run = chains_pairs, .state = &c});
  if (ct_error_code() != CT_OK) bench_fail("%s", ct_error_message());
  r = chains_each(&c, r);
  bench_report_row(report, label, goal, &r);
}

int main(void) {
  bench_begin();
  ct_tensor *x = ct_variable(ct_scalar(CT_F32, 0.9));
  bench_report *report = bench_report_new(
      "ops", (const char *const[]){"eager operation with gradient", "library", "malloc and free"});
  for (int k = 0; k < CHAIN_KINDS; k++) compare(report, chains_name(k), 0, (chains){x, k, 1});
  compare(report, "mean of these", 6, (chains){x, 0, CHAIN_KINDS});
  ct_release(&x);
  return bench_report_end(report) ? 0 : 1;
}
