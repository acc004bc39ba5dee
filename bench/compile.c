/* compile.c - tracing and compiling a training step at batch 128, against running it once. */
#include "support/bench.h"
#include "support/trainee.h"

#include <stdio.h>

static void compile(void *state) {
  trainee *t = state;
  ct_scope s = ct_scope_begin();
  ct_program *p = trainee_compile(t);
  if (!p) bench_check_library();
  ct_program_release(&p);
  ct_scope_end(s);
}

static void run(void *state) {
  ct_scope s = ct_scope_begin();
  trainee_compiled(state);
  ct_scope_end(s);
}

int main(int argc, char **argv) {
  bench_no_options(argc, argv);
  bench_begin();
  ct_set_threads(1);
  bench_report *report = bench_report_new(
      "compile", (const char *const[]){"training step, batch 128", "compiling", "one run"});
  for (int i = 0; i < FLOOR_SHAPES; i++) {
    trainee t;
    trainee_init(&t, &floor_shapes[i], 128, 0.01);
    bench_result r = bench_alternate((bench_way){.run = compile, .state = &t},
                                     (bench_way){.run = run, .state = &t});
    bench_check_library();
    trainee_end(&t);
    bench_report_row(report, floor_shapes[i].name, 1, &r);
  }
  return bench_report_end(report) ? 0 : 1;
}
