/* products.c - the ways of products.h. */
#include "products.h"

#include "bench.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

static CBLAS_TRANSPOSE flag(bool transposed) { return transposed ? CblasTrans : CblasNoTrans; }

static void by_gemm(const by_hand *p, const float *a, const float *b, float *c) {
  cblas_sgemm(CblasRowMajor, flag(p->a_transposed), flag(p->b_transposed), p->m, p->n, p->k,
              p->alpha, a, p->a_transposed ? p->m : p->k, b, p->b_transposed ? p->k : p->n, p->beta,
              c, p->n);
}

/* Each row of C is B^T times a row of A. */
static void by_gemv_rows(const by_hand *p, const float *a, const float *b, float *c) {
  int rows = p->b_transposed ? p->n : p->k, columns = p->b_transposed ? p->k : p->n;
  for (int i = 0; i < p->m; i++)
    cblas_sgemv(CblasRowMajor, flag(!p->b_transposed), rows, columns, p->alpha, b, columns,
                p->a_transposed ? a + i : a + (size_t)i * (size_t)p->k, p->a_transposed ? p->m : 1,
                p->beta, c + (size_t)i * (size_t)p->n, 1);
}

/* Each column of C is A times a column of B. */
static void by_gemv_columns(const by_hand *p, const float *a, const float *b, float *c) {
  int rows = p->a_transposed ? p->k : p->m, columns = p->a_transposed ? p->m : p->k;
  for (int j = 0; j < p->n; j++)
    cblas_sgemv(CblasRowMajor, flag(p->a_transposed), rows, columns, p->alpha, a, columns,
                p->b_transposed ? b + (size_t)j * (size_t)p->k : b + j, p->b_transposed ? 1 : p->n,
                p->beta, c + j, p->n);
}

/* C is a sum of k outer products. beta is 0 or 1. */
static void by_ger(const by_hand *p, const float *a, const float *b, float *c) {
  if (p->beta == 0) memset(c, 0, (size_t)p->m * (size_t)p->n * sizeof *c);
  for (int i = 0; i < p->k; i++)
    cblas_sger(CblasRowMajor, p->m, p->n, p->alpha,
               p->a_transposed ? a + (size_t)i * (size_t)p->m : a + i, p->a_transposed ? 1 : p->k,
               p->b_transposed ? b + i : b + (size_t)i * (size_t)p->n, p->b_transposed ? p->k : 1,
               c, p->n);
}

/* One outer product added to C: k = 1, beta = 1. */
BEST_ISA static void by_loop(const by_hand *p, const float *a, const float *b, float *restrict c) {
  for (int i = 0; i < p->m; i++) {
    float scale = p->alpha * a[i], *restrict row = c + (size_t)i * (size_t)p->n;
    for (int j = 0; j < p->n; j++) row[j] += scale * b[j];
  }
}

/* How many calls of OpenBLAS each way takes. Many pass over memory too often. */
enum { HOPELESS = 65 };
static int once(const by_hand *p) { return (void)p, 1; }
static int for_rows(const by_hand *p) { return p->m; }
static int for_columns(const by_hand *p) { return p->n; }
static int for_products(const by_hand *p) { return p->k; }
static int for_one_added(const by_hand *p) { return p->k == 1 && p->beta == 1 ? 1 : HOPELESS; }

const by_hand_way by_hand_ways[] = {{"gemm", by_gemm, once},
                                    {"gemv rows", by_gemv_rows, for_rows},
                                    {"gemv columns", by_gemv_columns, for_columns},
                                    {"ger", by_ger, for_products},
                                    {"loop", by_loop, for_one_added}};
enum { WAYS = sizeof by_hand_ways / sizeof by_hand_ways[0] };

typedef struct trial {
  by_hand_multiply *run;
  by_hand p;
  float *a, *b, *c;
} trial;

static void try_once(void *p) {
  trial *t = p;
  t->run(&t->p, t->a, t->b, t->c);
}

static float *some_numbers(size_t n) {
  float *x = bench_alloc(n, sizeof *x);
  for (size_t i = 0; i < n; i++) x[i] = (float)(i % 17) / 17 - 0.5F;
  return x;
}

const by_hand_way *by_hand_fastest(by_hand p) {
  size_t m = (size_t)p.m, n = (size_t)p.n, k = (size_t)p.k;
  trial t = {NULL, p, some_numbers(m * k), some_numbers(k * n), some_numbers(m * n)};
  const by_hand_way *best = NULL;
  double best_time = 0;
  for (const by_hand_way *w = by_hand_ways; w < by_hand_ways + WAYS; w++) {
    if (w->calls(&p) >= HOPELESS) continue;
    t.run = w->run;
    double time = bench_shortest((bench_way){.run = try_once, .state = &t});
    if (!best || time < best_time) {
      best = w;
      best_time = time;
    }
  }
  free(t.a);
  free(t.b);
  free(t.c);
  return best;
}
