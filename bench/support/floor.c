/* floor.c - the hand-written training step. Row-major throughout; sizes are the network's own. */
#include "floor.h"

#include "autograd/ops/kernels.h"
#include "bench.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Hand-written C is compiled for the machine it runs on. */
#if defined(__x86_64__) && defined(__gnu_linux__)
#define BEST_ISA __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define BEST_ISA
#endif

const floor_shape floor_shapes[FLOOR_SHAPES] = {
    {"A", "784-128-10 sigmoid", FLOOR_SIGMOID, 2, {784, 128, 10}},
    {"B", "784-256-128-10 relu", FLOOR_RELU, 3, {784, 256, 128, 10}},
    {"C", "784-1024-1024-10 relu", FLOOR_RELU, 3, {784, 1024, 1024, 10}}};

/* ---- products -------------------------------------------------------------------------------- */

/* C (m,n) = alpha A B + beta C, where A (m,k) or B (k,n) may be stored transposed. */
typedef struct product {
  int m, n, k;
  bool a_transposed, b_transposed;
  float alpha, beta;
} product;

typedef void multiply(const product *p, const float *a, const float *b, float *c);

static CBLAS_TRANSPOSE flag(bool transposed) { return transposed ? CblasTrans : CblasNoTrans; }

static void by_gemm(const product *p, const float *a, const float *b, float *c) {
  cblas_sgemm(CblasRowMajor, flag(p->a_transposed), flag(p->b_transposed), p->m, p->n, p->k,
              p->alpha, a, p->a_transposed ? p->m : p->k, b, p->b_transposed ? p->k : p->n, p->beta,
              c, p->n);
}

/* Each row of C is B^T times a row of A. */
static void by_gemv_rows(const product *p, const float *a, const float *b, float *c) {
  int rows = p->b_transposed ? p->n : p->k, columns = p->b_transposed ? p->k : p->n;
  for (int i = 0; i < p->m; i++)
    cblas_sgemv(CblasRowMajor, flag(!p->b_transposed), rows, columns, p->alpha, b, columns,
                p->a_transposed ? a + i : a + (size_t)i * (size_t)p->k, p->a_transposed ? p->m : 1,
                p->beta, c + (size_t)i * (size_t)p->n, 1);
}

/* Each column of C is A times a column of B. */
static void by_gemv_columns(const product *p, const float *a, const float *b, float *c) {
  int rows = p->a_transposed ? p->k : p->m, columns = p->a_transposed ? p->m : p->k;
  for (int j = 0; j < p->n; j++)
    cblas_sgemv(CblasRowMajor, flag(p->a_transposed), rows, columns, p->alpha, a, columns,
                p->b_transposed ? b + (size_t)j * (size_t)p->k : b + j, p->b_transposed ? 1 : p->n,
                p->beta, c + j, p->n);
}

/* C is a sum of k outer products. beta is 0 or 1. */
static void by_ger(const product *p, const float *a, const float *b, float *c) {
  if (p->beta == 0) memset(c, 0, (size_t)p->m * (size_t)p->n * sizeof *c);
  for (int i = 0; i < p->k; i++)
    cblas_sger(CblasRowMajor, p->m, p->n, p->alpha,
               p->a_transposed ? a + (size_t)i * (size_t)p->m : a + i, p->a_transposed ? 1 : p->k,
               p->b_transposed ? b + i : b + (size_t)i * (size_t)p->n, p->b_transposed ? p->k : 1,
               c, p->n);
}

/* One outer product added to C: k = 1, beta = 1. */
BEST_ISA static void by_loop(const product *p, const float *a, const float *b, float *restrict c) {
  for (int i = 0; i < p->m; i++) {
    float scale = p->alpha * a[i], *restrict row = c + (size_t)i * (size_t)p->n;
    for (int j = 0; j < p->n; j++) row[j] += scale * b[j];
  }
}

/* How many calls of OpenBLAS each way takes. Many pass over memory too often. */
enum { HOPELESS = 65 };
static int once(const product *p) { return (void)p, 1; }
static int for_rows(const product *p) { return p->m; }
static int for_columns(const product *p) { return p->n; }
static int for_products(const product *p) { return p->k; }
static int for_one_added(const product *p) { return p->k == 1 && p->beta == 1 ? 1 : HOPELESS; }

static const struct way {
  const char *name;
  multiply *run;
  int (*calls)(const product *p);
} ways[] = {{"gemm", by_gemm, once},
            {"gemv rows", by_gemv_rows, for_rows},
            {"gemv columns", by_gemv_columns, for_columns},
            {"ger", by_ger, for_products},
            {"loop", by_loop, for_one_added}};
enum { WAYS = sizeof ways / sizeof ways[0] };

typedef struct trial {
  multiply *run;
  product p;
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

static const struct way *fastest(product p) {
  size_t m = (size_t)p.m, n = (size_t)p.n, k = (size_t)p.k;
  trial t = {NULL, p, some_numbers(m * k), some_numbers(k * n), some_numbers(m * n)};
  const struct way *best = NULL;
  double best_time = 0;
  for (const struct way *w = ways; w < ways + WAYS; w++) {
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

/* ---- the network ----------------------------------------------------------------------------- */

typedef struct layer {
  int in, out;
  float *weight, *bias, *gbias;
  float *y, *gy; /* (batch, out): the result, and its cotangent */
  product forward, backward, update;
  const struct way *forward_way, *backward_way, *update_way;
} layer;

struct floor_net {
  int layers, batch, threads;
  floor_activation act;
  float lr;
  float *x;
  int32_t *label;
  layer at[FLOOR_LAYERS];
  char ways[512];
};

static void layer_init(layer *l, int in, int out, int batch, float lr) {
  size_t results = (size_t)batch * (size_t)out;
  *l = (layer){.in = in,
               .out = out,
               .weight = bench_alloc((size_t)in * (size_t)out, sizeof(float)),
               .bias = bench_alloc((size_t)out, sizeof(float)),
               .gbias = bench_alloc((size_t)out, sizeof(float)),
               .y = bench_alloc(results, sizeof(float)),
               .gy = bench_alloc(results, sizeof(float)),
               .forward = {batch, out, in, false, false, 1, 0},
               .backward = {batch, in, out, false, true, 1, 0},
               .update = {in, out, batch, true, false, -lr, 1},
               .forward_way = ways,
               .backward_way = ways,
               .update_way = ways};
}

floor_net *floor_new(const floor_shape *shape, int batch, float lr) {
  floor_net *net = bench_alloc(1, sizeof *net);
  net->layers = shape->layers;
  net->batch = batch;
  net->threads = 1;
  net->act = shape->act;
  net->lr = lr;
  net->x = bench_alloc((size_t)batch * (size_t)shape->width[0], sizeof(float));
  net->label = bench_alloc((size_t)batch, sizeof(int32_t));
  for (int i = 0; i < shape->layers; i++)
    layer_init(&net->at[i], shape->width[i], shape->width[i + 1], batch, lr);
  return net;
}

void floor_tune(floor_net *net, int threads) {
  size_t at = 0;
  net->threads = threads;
  openblas_set_num_threads(threads);
  for (int i = 0; i < net->layers; i++) {
    layer *l = &net->at[i];
    l->forward_way = fastest(l->forward);
    if (i) l->backward_way = fastest(l->backward);
    l->update_way = fastest(l->update);
    at += (size_t)snprintf(net->ways + at, sizeof net->ways - at, "%s%s/%s/%s", i ? ", " : "",
                           l->forward_way->name, i ? l->backward_way->name : "-",
                           l->update_way->name);
  }
}

void floor_free(floor_net *net) {
  for (int i = 0; i < net->layers; i++) {
    free(net->at[i].weight);
    free(net->at[i].bias);
    free(net->at[i].gbias);
    free(net->at[i].y);
    free(net->at[i].gy);
  }
  free(net->x);
  free(net->label);
  free(net);
}

float *floor_weight(floor_net *net, int i) { return net->at[i].weight; }
float *floor_bias(floor_net *net, int i) { return net->at[i].bias; }
float *floor_input(floor_net *net) { return net->x; }
int32_t *floor_labels(floor_net *net) { return net->label; }
const char *floor_ways(const floor_net *net) { return net->ways; }

/* ---- one step -------------------------------------------------------------------------------- */

/* The vector mathematics is the library's own: the comparison is of what is around it. */
static void add_bias_sigmoid(int rows, int n, const float *restrict bias, float *restrict y) {
  for (int i = 0; i < rows; i++, y += n) {
    for (int j = 0; j < n; j++) y[j] += bias[j];
    char *place[] = {(char *)y, (char *)y};
    ct__kernels_now()->sigmoid_f32(n, place, (const int64_t[]){1, 1}, NULL);
  }
}

BEST_ISA static void add_bias_relu(int rows, int n, const float *restrict bias, float *restrict y) {
  for (int i = 0; i < rows; i++, y += n)
    for (int j = 0; j < n; j++) y[j] = y[j] + bias[j] > 0 ? y[j] + bias[j] : 0;
}

/* gy becomes gy s'(x) = gy y (1 - y), and relu's gy (y > 0). */
BEST_ISA static void times_sigmoid_slope(size_t n, const float *restrict y, float *restrict gy) {
  for (size_t i = 0; i < n; i++) gy[i] *= y[i] * (1 - y[i]);
}

BEST_ISA static void times_relu_slope(size_t n, const float *restrict y, float *restrict gy) {
  for (size_t i = 0; i < n; i++) gy[i] = y[i] > 0 ? gy[i] : 0;
}

/* The sum first: the parts of a large batch would be lost beside a bias. */
BEST_ISA static void update_bias(int rows, int n, float lr, const float *restrict gy,
                                 float *restrict sum, float *restrict bias) {
  memset(sum, 0, (size_t)n * sizeof *sum);
  for (int i = 0; i < rows; i++, gy += n)
    for (int j = 0; j < n; j++) sum[j] += gy[j];
  for (int j = 0; j < n; j++) bias[j] -= lr * sum[j];
}

/* Logits without bias become their cotangents of the mean loss, which is returned. */
static float cross_entropy(const floor_net *net, const layer *l) {
  float total = 0, scale = 1 / (float)net->batch;
  for (int i = 0; i < net->batch; i++) {
    const float *y = l->y + (size_t)i * (size_t)l->out;
    float *gy = l->gy + (size_t)i * (size_t)l->out, max = -INFINITY, sum;
    for (int j = 0; j < l->out; j++) {
      gy[j] = y[j] + l->bias[j];
      max = gy[j] > max ? gy[j] : max;
    }
    float right = gy[net->label[i]] - max;
    ct__exp_sum e = ct__kernels_now()->store_exp_float(l->out, gy, 1, max, gy, 1);
    sum = (float)(e.ones + e.rest);
    for (int j = 0; j < l->out; j++) gy[j] *= scale / sum;
    gy[net->label[i]] -= scale;
    total += logf(sum) - right;
  }
  return total * scale;
}

float floor_step(floor_net *net) {
  const float *x = net->x;
  openblas_set_num_threads(net->threads); /* the library sets it to its own taste */
  for (int i = 0; i < net->layers; i++) {
    layer *l = &net->at[i];
    l->forward_way->run(&l->forward, x, l->weight, l->y);
    if (i + 1 < net->layers)
      (net->act == FLOOR_SIGMOID ? add_bias_sigmoid : add_bias_relu)(net->batch, l->out, l->bias,
                                                                     l->y);
    x = l->y;
  }
  float loss = cross_entropy(net, &net->at[net->layers - 1]);
  for (int i = net->layers - 1; i >= 0; i--) {
    layer *l = &net->at[i], *below = i > 0 ? l - 1 : NULL;
    if (below) {
      l->backward_way->run(&l->backward, l->gy, l->weight, below->gy);
      (net->act == FLOOR_SIGMOID ? times_sigmoid_slope : times_relu_slope)(
          (size_t)net->batch * (size_t)l->in, below->y, below->gy);
    }
    l->update_way->run(&l->update, below ? below->y : net->x, l->gy, l->weight);
    update_bias(net->batch, l->out, net->lr, l->gy, l->gbias, l->bias);
  }
  return loss;
}
