/* step_kann.c - training steps in KANN (point.h). */
#include "point.h"

#include <kann.h>

#ifdef HAVE_CBLAS
#include <cblas.h>
static const char name[] = "KANN " KAD_VERSION ", OpenBLAS";
static void use_threads(int threads) { openblas_set_num_threads(threads); }
#else
static const char name[] = "KANN " KAD_VERSION ", own loops";
static void use_threads(int threads) { (void)threads; }
#endif

static kann_t *net;
static float rate, *truth, *input;

static kad_node_t *layer(const point *p, int i, kad_node_t *x) {
  kad_node_t *weight = kann_new_weight(p->width[i + 1], p->width[i]);
  kad_node_t *bias = kann_new_bias(p->width[i + 1]);
  size_t out = (size_t)p->width[i + 1];
  memcpy(weight->x, p->weight[i], out * (size_t)p->width[i] * sizeof(float));
  memcpy(bias->x, p->bias[i], out * sizeof(float));
  return kad_add(kad_cmul(x, weight), bias);
}

void network_new(const point *p, int threads) {
  kann_delete(net);
  use_threads(threads);
  kad_node_t *x = kann_layer_input(p->width[0]), *t = kad_feed(2, 1, CLASSES);
  t->ext_flag |= KANN_F_TRUTH;
  for (int i = 0; i < p->layers; i++) {
    x = layer(p, i, x);
    if (i + 1 < p->layers) x = p->relu ? kad_relu(x) : kad_sigm(x);
  }
  net = kann_new(kad_ce_multi(kad_softmax(x), t), 0);
  rate = p->rate;
  input = p->x;
  truth = p->one_hot;
  kann_set_batch_size(net, p->batch);
#ifndef HAVE_CBLAS
  if (threads > 1) kann_mt(net, threads, p->batch);
#endif
  kann_feed_bind(net, KANN_F_IN, 0, &input);
  kann_feed_bind(net, KANN_F_TRUTH, 0, &truth);
}

float network_step(void) {
  float loss = kann_cost(net, 0, 1);
  int n = kann_size_var(net);
  for (int i = 0; i < n; i++) net->x[i] -= rate * net->g[i];
  return loss;
}

int main(void) { return point_serve(name); }
