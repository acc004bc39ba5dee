/* floor.h - the training step of a multilayer perceptron by hand, in C over OpenBLAS.
 *
 * What a careful programmer would write for exactly this network: nothing is allocated, weights
 * lie as (in, out), softmax and cross entropy are one pass, the update is folded into the product
 * that gives the weight's gradient (alpha = -lr, beta = 1), and each product is done by the fastest
 * of the ways OpenBLAS offers, found by timing them at the start (floor_tune).
 */
#ifndef COTANGENT_BENCH_FLOOR_H
#define COTANGENT_BENCH_FLOOR_H

#include <stdint.h>

enum { FLOOR_LAYERS = 4 }; /* at most */

typedef enum floor_activation { FLOOR_SIGMOID, FLOOR_RELU } floor_activation;

typedef struct floor_shape {
  const char *letter, *name;
  floor_activation act;
  int layers, width[FLOOR_LAYERS + 1]; /* inputs, hidden layers, classes */
} floor_shape;

enum { FLOOR_SHAPES = 3 };
extern const floor_shape floor_shapes[FLOOR_SHAPES]; /* the networks A, B, C of the benchmarks */

typedef struct floor_net floor_net;

floor_net *floor_new(const floor_shape *shape, int batch, float lr);
void floor_free(floor_net *net);
/* Finds the fastest way for each product with OpenBLAS on so many threads. Without it all are gemm
 * on one. */
void floor_tune(floor_net *net, int threads);
/* To be filled before the first step: weight (in, out) and bias of a layer, the batch, its labels.
 */
float *floor_weight(floor_net *net, int layer);
float *floor_bias(floor_net *net, int layer);
float *floor_input(floor_net *net);
int32_t *floor_labels(floor_net *net);
/* One SGD step; returns the mean loss before it. */
float floor_step(floor_net *net);
/* The ways chosen for the products of each layer, as text: "forward/backward/update, ..." */
const char *floor_ways(const floor_net *net);

#endif
