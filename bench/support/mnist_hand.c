/* mnist_hand.c - MNIST by hand, in C over OpenBLAS and libdeflate: the floor.
 *
 * What a careful programmer would write for exactly this: nothing is allocated in the loop, weights
 * lie as (in, out), softmax and cross entropy are one pass, and momentum is part of the product
 * that gives the weight's gradient (beta = momentum). CT_NUM_THREADS is OpenBLAS's.
 */
#include "mnist.h"

#include "autograd/ops/kernels.h"
#include "bench.h"

#include <cblas.h>
#include <libdeflate.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* xorshift64* */
static uint32_t next_random(uint64_t *state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return (uint32_t)((*state * 0x2545F4914F6CDD1DULL) >> 32);
}

/* ---- files ----------------------------------------------------------------------------------- */

typedef struct set {
  int64_t n;
  unsigned char *image_file, *label_file; /* inflated */
  const unsigned char *image, *label;
} set;

/* A whole gzipped file, inflated; the first byte after its header of so many bytes into *start. */
static unsigned char *read_file(const char *dir, const char *name, size_t header,
                                const unsigned char **start, size_t *size) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s.gz", dir, name);
  FILE *f = fopen(path, "rb");
  if (!f || fseek(f, 0, SEEK_END) != 0) bench_fail("cannot open %s", path);
  const long packed = ftell(f);
  if (packed < 18) bench_fail("%s is no gzip file", path);
  rewind(f);
  unsigned char *in = malloc((size_t)packed);
  if (!in || fread(in, 1, (size_t)packed, f) != (size_t)packed) bench_fail("cannot read %s", path);
  fclose(f);
  const unsigned char *end = in + packed - 4;
  *size = (size_t)end[0] | (size_t)end[1] << 8 | (size_t)end[2] << 16 | (size_t)end[3] << 24;
  unsigned char *out = malloc(*size);
  struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
  if (*size < header || !out || !d ||
      libdeflate_gzip_decompress(d, in, (size_t)packed, out, *size, NULL) != LIBDEFLATE_SUCCESS)
    bench_fail("cannot inflate %s", path);
  libdeflate_free_decompressor(d);
  free(in);
  *size -= header;
  *start = out + header;
  return out;
}

static set read_set(const char *dir, const char *part) {
  char images[64], labels[64];
  size_t pixels, n;
  set s;
  snprintf(images, sizeof images, "%s-images-idx3-ubyte", part);
  snprintf(labels, sizeof labels, "%s-labels-idx1-ubyte", part);
  s.image_file = read_file(dir, images, 16, &s.image, &pixels);
  s.label_file = read_file(dir, labels, 8, &s.label, &n);
  if (pixels != n * MNIST_PIXELS) bench_fail("%s: images and labels do not match", part);
  s.n = (int64_t)n;
  return s;
}

/* The last sixth of the training set in place of the test set. */
static void hold_out(set *train, set *test) {
  free(test->image_file);
  free(test->label_file);
  *test = (set){.n = train->n / 6};
  train->n -= test->n;
  test->image = train->image + train->n * MNIST_PIXELS;
  test->label = train->label + train->n;
}

static void set_free(set *s) {
  free(s->image_file);
  free(s->label_file);
}

/* ---- batches --------------------------------------------------------------------------------- */

typedef struct scaling {
  float mean, scale;
} scaling;

BEST_ISA static scaling fit(const unsigned char *x, int64_t n) {
  enum { BLOCK = 1 << 16 };
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; i += BLOCK) {
    const int64_t end = n - i < BLOCK ? n : i + BLOCK;
    uint32_t s = 0, q = 0;
    for (int64_t j = i; j < end; j++) {
      s += x[j];
      q += (uint32_t)x[j] * x[j];
    }
    sum += s;
    squares += q;
  }
  const double mean = sum / (double)n;
  return (scaling){(float)mean, (float)(1 / sqrt(squares / (double)n - mean * mean))};
}

BEST_ISA static void standardize(const unsigned char *restrict x, scaling s, float *restrict y) {
  for (int i = 0; i < MNIST_PIXELS; i++) y[i] = ((float)x[i] - s.mean) * s.scale;
}

/* Images order[0..n), or 0 to n - 1. Rows lie anywhere, so those to come are fetched early. */
static void make_batch(const set *s, scaling how, const int32_t *order, int64_t n, float *x,
                       int32_t *label) {
  enum { AHEAD = 3, CACHE_LINE = 64 };
  for (int64_t i = 0; i < n; i++) {
    const int64_t row = order ? order[i] : i;
    if (order && i + AHEAD < n)
      for (int j = 0; j < MNIST_PIXELS; j += CACHE_LINE)
        __builtin_prefetch(s->image + (int64_t)order[i + AHEAD] * MNIST_PIXELS + j);
    standardize(s->image + row * MNIST_PIXELS, how, x + i * MNIST_PIXELS);
    label[i] = s->label[row];
  }
}

static void shuffle(int32_t *order, int64_t n, uint64_t *random) {
  for (int64_t i = n - 1; i > 0; i--) {
    const int64_t j = (int64_t)(((uint64_t)next_random(random) * (uint64_t)(i + 1)) >> 32);
    const int32_t moved = order[i];
    order[i] = order[j];
    order[j] = moved;
  }
}

/* ---- the network ----------------------------------------------------------------------------- */

typedef struct layer {
  int in, out;
  float *weight, *bias;         /* (in, out), (out) */
  float *weight_run, *bias_run; /* their running gradients */
  float *y, *gy;                /* (batch, out): the result, and its cotangent */
} layer;

struct mnist_net {
  const mnist_recipe *recipe;
  int layers;
  layer at[MNIST_HIDDEN + 1];
};

static layer layer_new(int in, int out, int rows, uint64_t *random) {
  const size_t weights = (size_t)in * (size_t)out, results = (size_t)rows * (size_t)out;
  layer l = {.in = in,
             .out = out,
             .weight = bench_alloc(weights, sizeof(float)),
             .bias = bench_alloc((size_t)out, sizeof(float)),
             .weight_run = bench_alloc(weights, sizeof(float)),
             .bias_run = bench_alloc((size_t)out, sizeof(float)),
             .y = bench_alloc(results, sizeof(float)),
             .gy = bench_alloc(results, sizeof(float))};
  const float bound = 1 / sqrtf((float)in);
  for (size_t i = 0; i < weights + (size_t)out; i++) {
    const float u = ((float)(next_random(random) >> 8) + 0.5F) * 0x1p-23F - 1;
    *(i < weights ? l.weight + i : l.bias + (i - weights)) = bound * u;
  }
  return l;
}

mnist_net *mnist_net_new(const mnist_recipe *r, uint64_t seed) {
  uint64_t random = seed * 2 + 0x9E3779B97F4A7C15ULL;
  mnist_net *net = bench_alloc(1, sizeof *net);
  net->recipe = r;
  net->layers = r->hidden + 1;
  for (int i = 0, in = MNIST_PIXELS; i < net->layers; i++) {
    const int out = i < r->hidden ? r->width[i] : MNIST_CLASSES;
    net->at[i] = layer_new(in, out, r->batch, &random);
    in = out;
  }
  return net;
}

void mnist_net_free(mnist_net *net) {
  for (layer *l = net->at; l < net->at + net->layers; l++) {
    float *const owned[] = {l->weight, l->bias, l->weight_run, l->bias_run, l->y, l->gy};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
  }
  free(net);
}

float *mnist_net_weight(mnist_net *net, int i) { return net->at[i].weight; }
float *mnist_net_bias(mnist_net *net, int i) { return net->at[i].bias; }

BEST_ISA static void add_bias_relu(int rows, int n, const float *restrict bias, float *restrict y) {
  for (int i = 0; i < rows; i++, y += n)
    for (int j = 0; j < n; j++) y[j] = y[j] + bias[j] > 0 ? y[j] + bias[j] : 0;
}

BEST_ISA static void times_relu_slope(size_t n, const float *restrict y, float *restrict gy) {
  for (size_t i = 0; i < n; i++) gy[i] = y[i] > 0 ? gy[i] : 0;
}

BEST_ISA static void add_rows(int rows, int n, float momentum, const float *restrict gy,
                              float *restrict run) {
  for (int j = 0; j < n; j++) run[j] *= momentum;
  for (int i = 0; i < rows; i++, gy += n)
    for (int j = 0; j < n; j++) run[j] += gy[j];
}

BEST_ISA static void descend(size_t n, float rate, const float *restrict run, float *restrict p) {
  for (size_t i = 0; i < n; i++) p[i] -= rate * run[i];
}

/* Results without bias in y; the relu of all but the last layer is taken. */
static void forward(mnist_net *net, const float *x, int rows) {
  for (layer *l = net->at, *last = l + net->layers - 1; l <= last; l++) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, l->out, l->in, 1, x, l->in,
                l->weight, l->out, 0, l->y, l->out);
    if (l < last) add_bias_relu(rows, l->out, l->bias, l->y);
    x = l->y;
  }
}

/* Logits without bias become their cotangents of the mean loss, which is returned. The labels are
 * smoothed: 1 - s + s / classes for the right one, s / classes for the others. All exponentials are
 * one call. */
static double cross_entropy(const mnist_net *net, const int32_t *label) {
  enum { N = MNIST_CLASSES };
  const layer *l = &net->at[net->layers - 1];
  const int rows = net->recipe->batch;
  const float smooth = (float)net->recipe->smoothing, scale = 1 / (float)rows;
  double total = 0;
  for (int i = 0; i < rows; i++) {
    const float *y = l->y + (size_t)i * N;
    float *gy = l->gy + (size_t)i * N, max = -INFINITY, mean = 0;
    for (int j = 0; j < N; j++) {
      gy[j] = y[j] + l->bias[j];
      max = gy[j] > max ? gy[j] : max;
      mean += gy[j] / N;
    }
    for (int j = 0; j < N; j++) gy[j] -= max;
    total -= (double)((1 - smooth) * gy[label[i]] + smooth * (mean - max));
  }
  char *place[] = {(char *)l->gy, (char *)l->gy};
  ct__exp_f32((int64_t)rows * N, place, (const int64_t[]){1, 1}, NULL);
  for (int i = 0; i < rows; i++) {
    float *gy = l->gy + (size_t)i * N, sum = 0;
    for (int j = 0; j < N; j++) sum += gy[j];
    for (int j = 0; j < N; j++) gy[j] = scale * (gy[j] / sum - smooth / N);
    gy[label[i]] -= scale * (1 - smooth);
    total += (double)logf(sum);
  }
  return total / rows;
}

double mnist_net_step(mnist_net *net, const float *x, const int32_t *label, double rate) {
  const int rows = net->recipe->batch;
  const float momentum = (float)net->recipe->momentum;
  forward(net, x, rows);
  const double loss = cross_entropy(net, label);
  for (layer *l = net->at + net->layers - 1; l >= net->at; l--) {
    const layer *below = l > net->at ? l - 1 : NULL;
    if (below) {
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, l->in, l->out, 1, l->gy, l->out,
                  l->weight, l->out, 0, below->gy, l->in);
      times_relu_slope((size_t)rows * (size_t)l->in, below->y, below->gy);
    }
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, l->in, l->out, rows, 1,
                below ? below->y : x, l->in, l->gy, l->out, momentum, l->weight_run, l->out);
    add_rows(rows, l->out, momentum, l->gy, l->bias_run);
    descend((size_t)l->in * (size_t)l->out, (float)rate, l->weight_run, l->weight);
    descend((size_t)l->out, (float)rate, l->bias_run, l->bias);
  }
  return loss;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Returns the seconds that making batches took. */
static double train(mnist_net *net, const set *s, scaling how, int64_t steps, uint64_t seed) {
  const mnist_recipe *r = net->recipe;
  const int64_t batches = s->n / r->batch;
  int32_t *order = bench_alloc((size_t)s->n, sizeof *order);
  int32_t *label = bench_alloc((size_t)r->batch, sizeof *label);
  float *x = bench_alloc((size_t)r->batch * MNIST_PIXELS, sizeof *x);
  uint64_t random = seed * 2 + 1;
  double converting = 0, loss = 0;
  for (int64_t i = 0; i < s->n; i++) order[i] = (int32_t)i;
  for (int64_t i = 0; i < steps; i++) {
    const double begin = mnist_wall();
    if (i % batches == 0) shuffle(order, s->n, &random);
    make_batch(s, how, order + i % batches * r->batch, r->batch, x, label);
    converting += mnist_wall() - begin;
    loss = mnist_net_step(net, x, label, mnist_rate(r, i, steps));
  }
  if (!isfinite(loss)) bench_fail("the loss became infinite");
  free(order);
  free(label);
  free(x);
  return converting;
}

static int best_class(const layer *l, int row) {
  int best = 0;
  const float *y = l->y + (size_t)row * MNIST_CLASSES;
  for (int j = 1; j < MNIST_CLASSES; j++)
    if (y[j] + l->bias[j] > y[best] + l->bias[best]) best = j;
  return best;
}

static double test(mnist_net *net, const set *s, scaling how) {
  const int batch = net->recipe->batch;
  float *x = bench_alloc((size_t)batch * MNIST_PIXELS, sizeof *x);
  int32_t *label = bench_alloc((size_t)batch, sizeof *label);
  int64_t right = 0;
  for (int64_t first = 0; first < s->n; first += batch) {
    const int rows = s->n - first < batch ? (int)(s->n - first) : batch;
    const set rest = {.image = s->image + first * MNIST_PIXELS, .label = s->label + first};
    make_batch(&rest, how, NULL, rows, x, label);
    forward(net, x, rows);
    for (int i = 0; i < rows; i++) right += best_class(&net->at[net->layers - 1], i) == label[i];
  }
  free(x);
  free(label);
  return (double)right / (double)s->n;
}

mnist_result mnist_by_hand(const mnist_recipe *r, const mnist_options *o) {
  const char *threads = getenv("CT_NUM_THREADS");
  mnist_result result = {0};
  const double begin = mnist_wall(), used = mnist_processor();
  if (threads) openblas_set_num_threads(atoi(threads));
  set training = read_set(o->dir, "train"), testing = read_set(o->dir, "t10k");
  if (o->validation) hold_out(&training, &testing);
  const double have_read = mnist_wall();
  const scaling how = fit(training.image, training.n * MNIST_PIXELS);
  mnist_net *net = mnist_net_new(r, o->seed);
  const double prepared = mnist_wall();
  result.convert = train(net, &training, how, mnist_steps(r, training.n), o->seed);
  const double end = mnist_wall();
  result.processor = mnist_processor() - used;
  result.read = have_read - begin;
  result.prepare = prepared - have_read;
  result.train = end - prepared;
  result.total = end - begin;
  result.accuracy = test(net, &testing, how);
  mnist_net_free(net);
  set_free(&training);
  set_free(&testing);
  return result;
}
