/* math.c - the vectorised mathematics against libmvec (vectors of the same length) and libm, f32 on
 * arrays in the first cache.
 *
 * exp shall be faster than libmvec; tanh and sigmoid at least 0.85 times as fast. Without libmvec
 * only the rows against libm remain.
 */
#include "support/bench.h"

#include <cotangent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/ops/kernels.h"

enum { N = 2048 }; /* in and out: 16 KB */

typedef void run_of(const float *x, float *y);

typedef struct job {
  ct_loop *loop; /* ours, or */
  run_of *run;   /* theirs */
  float *x, *y;
} job;

static void run_job(void *state) {
  const job *j = state;
  if (j->loop)
    j->loop(N, (char *const[]){(char *)j->x, (char *)j->y}, (const int64_t[]){1, 1}, NULL);
  else
    j->run(j->x, j->y);
}

/* ---- libm, number by number ------------------------------------------------------------------ */

#define SCALAR(name, call)                                                                         \
  static void libm_##name(const float *x, float *y) {                                              \
    for (int i = 0; i < N; i++) y[i] = call;                                                       \
  }
SCALAR(exp, expf(x[i]))
SCALAR(log, logf(x[i]))
SCALAR(tanh, tanhf(x[i]))
SCALAR(sigmoid, 1 / (1 + expf(-x[i])))
SCALAR(erf, erff(x[i]))
SCALAR(expm1, expm1f(x[i]))
SCALAR(log1p, log1pf(x[i]))
SCALAR(sin, sinf(x[i]))
SCALAR(cos, cosf(x[i]))
SCALAR(sinh, sinhf(x[i]))

/* ---- libmvec: its functions by their names in the vector ABI --------------------------------- */

#ifdef BENCH_LIBMVEC
#define WIDTHS(X, f) X(f, b, 4, "sse4.2") X(f, d, 8, "avx2,fma") X(f, e, 16, "avx512f")
#define VECTOR(f, letter, lanes, set)                                                              \
  typedef float v##lanes __attribute__((vector_size(lanes * 4)));
WIDTHS(VECTOR, unused)

/* y = finish(function(start(x))) for vectors of so many lanes */
#define LOOP(name, function, letter, lanes, set, start, finish)                                    \
  __attribute__((target(set))) static void name##_##lanes(const float *x, float *y) {              \
    for (int i = 0; i < N; i += lanes) {                                                           \
      v##lanes v;                                                                                  \
      memcpy(&v, x + i, sizeof v);                                                                 \
      v = _ZGV##letter##N##lanes##v_##function(start v);                                           \
      v = finish;                                                                                  \
      memcpy(y + i, &v, sizeof v);                                                                 \
    }                                                                                              \
  }
#define MVEC(name, letter, lanes, set)                                                             \
  __attribute__((target(set))) v##lanes _ZGV##letter##N##lanes##v_##name##f(v##lanes);             \
  LOOP(mvec_##name, name##f, letter, lanes, set, +, v)
#define MVEC_SIGMOID(f, letter, lanes, set) LOOP(mvec_##f, expf, letter, lanes, set, -, 1 / (1 + v))
/* clang-format off */
WIDTHS(MVEC, exp) WIDTHS(MVEC, log) WIDTHS(MVEC, tanh) WIDTHS(MVEC, erf) WIDTHS(MVEC, expm1)
WIDTHS(MVEC, log1p) WIDTHS(MVEC, sin) WIDTHS(MVEC, cos) WIDTHS(MVEC, sinh)
WIDTHS(MVEC_SIGMOID, sigmoid)
/* clang-format on */
#define THEIRS(f)                                                                                  \
  { mvec_##f##_4, mvec_##f##_8, mvec_##f##_16 }
#else
#define THEIRS(f)                                                                                  \
  { NULL }
#endif

/* ---- the table ------------------------------------------------------------------------------- */

#define ROW(f, lo, hi, goal)                                                                       \
  { #f, ct__##f##_f32, libm_##f, THEIRS(f), lo, hi, goal }
        static const struct row {
  const char *name;
  ct_loop *ours;
  run_of *libm, *mvec[3];
  float lo, hi;
  double goal; /* time over that of libmvec, for the best instruction set */
} rows[] = {
    ROW(exp, -10, 10, 1),          ROW(log, 0.01f, 10, 0), ROW(tanh, -4, 4, 1 / 0.85),
    ROW(sigmoid, -8, 8, 1 / 0.85), ROW(erf, -3, 3, 0),     ROW(expm1, -4, 4, 0),
    ROW(log1p, -0.9f, 10, 0),      ROW(sin, -100, 100, 0), ROW(cos, -100, 100, 0),
    ROW(sinh, -4, 4, 0),
};

#define ISA_NAME(isa) #isa,
static const char *const isa_name[] = {CT__ISA_LIST(ISA_NAME)};

static void compare(bench_report *report, const struct row *row, const char *isa, const char *whom,
                    run_of *theirs, double goal, float *x, float *y) {
  char label[64];
  job library = {row->ours, NULL, x, y}, other = {NULL, theirs, x, y};
  bench_result r = bench_alternate((bench_way){.run = run_job, .state = &library},
                                   (bench_way){.run = run_job, .state = &other});
  r.ours *= 1000.0 / N;
  r.floor *= 1000.0 / N;
  snprintf(label, sizeof label, "%s, %s, %s", row->name, isa, whom);
  bench_report_row(report, label, goal, &r);
}

int main(int argc, char **argv) {
  bench_no_options(argc, argv);
  bench_begin();
  float *x = bench_alloc(N, sizeof *x), *y = bench_alloc(N, sizeof *y);
  bench_report *report =
      bench_report_new("math", (const char *const[]){"f32, 1000 numbers", "library", "other"});
  int best = 0;
  while (ct__use_isa(best + 1)) best++;
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
    const struct row *row = &rows[k];
    for (int i = 0; i < N; i++) x[i] = row->lo + (row->hi - row->lo) * (float)i / N;
    for (int isa = 0; isa <= best && row->mvec[0]; isa++) {
      ct__use_isa(isa);
      compare(report, row, isa_name[isa], "libmvec", row->mvec[isa], isa == best ? row->goal : 0, x,
              y);
    }
    compare(report, row, isa_name[best], "libm", row->libm, 0, x, y);
  }
  free(x);
  free(y);
  return bench_report_end(report) ? 0 : 1;
}
