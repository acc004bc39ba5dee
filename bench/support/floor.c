/* floor.c - the hand-written training step. Row-major throughout; sizes are the network's own. */
#include "floor.h"

#include "autograd/ops/kernels.h"
#include "bench.h"
#include "products.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const floor_shape floor_shapes[FLOOR_SHAPES] = {
    {"A", "784-128-10 sigmoid", FLOOR_SIGMOID, 2, {784, 128, 10}},
    {"B", "784-256-128-10 relu", FLOOR_RELU, 3, {784, 256, 128, 10}},
    {"C", "784-1024-1024-10 relu", FLOOR_RELU, 3, {784, 1024, 1024, 10}}};

/* ---- the network ----------------------------------------------------------------------------- */

typedef struct layer {
  int in, out;
  float *weight, *bias, *gbias;
  float *y, *gy; /* (batch, out): the result, and its cotangent */
  by_hand forward, backward, update;
  const by_hand_way *forward_way, *backward_way, *update_way;
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
               .forward_way = by_hand_ways,
               .backward_way = by_hand_ways,
               .update_way = by_hand_ways};
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
    l->forward_way = by_hand_fastest(l->forward);
    if (i) l->backward_way = by_hand_fastest(l->backward);
    l->update_way = by_hand_fastest(l->update);
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
    ct__sigmoid_f32(n, place, (const int64_t[]){1, 1}, NULL);
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
    ct__exp_sum e = ct__lines_of(CT_F32)->sum_exp(l->out, gy, 1, (double)max, gy, 1);
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
