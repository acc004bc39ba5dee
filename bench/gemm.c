/* gemm.c - the boundary between our kernels and OpenBLAS: the products of training multilayer
 * perceptrons, and squares.
 *
 * Each row is a product by our kernels against the fastest of sgemm, sgemv, sger and a loop; its
 * way says which kernel, and whether the dispatch takes it. Where it does not, OpenBLAS is taken. A
 * ratio above 1 where ours is taken, or below 1 where it is not, is a place where the limits in
 * tensor/gemm.c are wrong for this processor. CT_ISA=v3 measures the kernels for AVX2.
 */
#include "support/bench.h"
#include "support/products.h"
#include "tensor/tensor_internal.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct job {
  by_hand p;
  const by_hand_way *theirs;
  float *a, *b, *c;
  ct_view a_view, b_view, c_view;
} job;

static void run_theirs(void *state) {
  const job *j = state;
  j->theirs->run(&j->p, j->a, j->b, j->c);
}

/* ---- ours ------------------------------------------------------------------------------------ */

static void run_ours(void *state) {
  job *j = state;
  if (ct__gemm((double)j->p.alpha, &j->a_view, &j->b_view, (double)j->p.beta, &j->c_view) != CT_OK)
    bench_fail("%s", ct_error_message());
}

static ct_view view_of(float *data, int rows, int columns, bool transposed) {
  ct_view v = {0};
  ct__view_set(&v, CT_F32, 2, (const int64_t[]){rows, columns});
  if (transposed) {
    v.stride[0] = 1;
    v.stride[1] = rows;
  }
  v.data = (char *)data;
  ct__view_refresh(&v);
  return v;
}

static float *some_numbers(int rows, int columns) {
  size_t n = (size_t)rows * (size_t)columns;
  float *x = bench_alloc(n, sizeof *x);
  for (size_t i = 0; i < n; i++) x[i] = (float)(i * 7 % 17) / 17 - 0.5F;
  return x;
}

static void compare(bench_report *report, const char *label, by_hand p) {
  job j = {.p = p,
           .a = some_numbers(p.m, p.k),
           .b = some_numbers(p.k, p.n),
           .c = some_numbers(p.m, p.n),
           .theirs = by_hand_fastest(p)};
  j.a_view = view_of(j.a, p.m, p.k, p.a_transposed);
  j.b_view = view_of(j.b, p.k, p.n, p.b_transposed);
  j.c_view = view_of(j.c, p.m, p.n, false);
  bool taken = strcmp(ct__gemm_name(&j.a_view, &j.b_view, &j.c_view), "OpenBLAS") != 0;
  ct__gemm_prefer(CT__BY_KERNELS);
  char way[64], speed[64];
  snprintf(way, sizeof way, "%s%s", ct__gemm_name(&j.a_view, &j.b_view, &j.c_view),
           taken ? "" : ", not taken");
  bench_result r = bench_alternate((bench_way){.run = run_ours, .state = &j},
                                   (bench_way){.run = run_theirs, .state = &j});
  ct__gemm_prefer(CT__BY_SHAPE);
  double work = 2e-9 * p.m * p.n * p.k;
  snprintf(speed, sizeof speed, "%.1f and %.1f", work / r.ours, work / r.floor);
  bench_report_cell(report, (bench_cell){label, way, taken ? 1 : 0, false}, &r);
  bench_report_note(report, "GFLOP/s", speed);
  free(j.a);
  free(j.b);
  free(j.c);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct layer {
  int in, out;
  bool first; /* needs no gradient of its input */
} layers[] = {{784, 128, true},  {128, 10, false},    {784, 256, true}, {256, 128, false},
              {784, 1024, true}, {1024, 1024, false}, {1024, 10, false}};

int main(int argc, char **argv) {
  bench_no_options(argc, argv);
  static const int batches[] = {1, 16, 128, 2048}, squares[] = {16, 64, 128, 256, 512, 1024};
  bench_begin();
  bench_report *report =
      bench_report_new("gemm", (const char *const[]){"f32 product", "our kernels", "OpenBLAS"});
  for (int i = 0; i < CT__COUNT(layers); i++)
    for (int k = 0; k < CT__COUNT(batches); k++) {
      const struct layer *l = &layers[i];
      int batch = batches[k];
      char label[64];
      bool narrow = l->out < 16; /* then the weight lies with its rows along the inputs */
      snprintf(label, sizeof label, "%d -> %d, %d, forward", l->in, l->out, batch);
      compare(report, label, (by_hand){batch, l->out, l->in, false, narrow, 1, 0});
      snprintf(label, sizeof label, "%d -> %d, %d, weight", l->in, l->out, batch);
      by_hand weight = {l->in, l->out, batch, true, false, -1e-6F, 1};
      if (narrow) weight = (by_hand){l->out, l->in, batch, true, false, -1e-6F, 1};
      compare(report, label, weight);
      if (l->first) continue;
      snprintf(label, sizeof label, "%d -> %d, %d, input", l->in, l->out, batch);
      compare(report, label, (by_hand){batch, l->in, l->out, false, !narrow, 1, 0});
    }
  for (int i = 0; i < CT__COUNT(squares); i++) {
    int n = squares[i];
    char label[64];
    snprintf(label, sizeof label, "%d x %d x %d", n, n, n);
    compare(report, label, (by_hand){n, n, n, false, false, 1, 0});
  }
  return bench_report_end(report) ? 0 : 1;
}
