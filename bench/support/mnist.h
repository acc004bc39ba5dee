/* mnist.h - from MNIST's four files to a trained network, by the library and by hand.
 *
 * Both follow the same recipe: the training images standardised together, shuffled for each epoch,
 * in full batches; a relu network whose weights start as PyTorch's do; softmax cross entropy with
 * smoothed labels; SGD with momentum, its rate rising linearly to the peak and falling linearly to
 * zero.
 */
#ifndef COTANGENT_BENCH_MNIST_H
#define COTANGENT_BENCH_MNIST_H

#include <stdbool.h>
#include <stdint.h>

enum { MNIST_PIXELS = 784, MNIST_CLASSES = 10, MNIST_HIDDEN = 3 /* layers at most */ };

typedef struct mnist_recipe {
  int hidden, width[MNIST_HIDDEN];
  int batch;
  double rate, momentum, warmup, smoothing, epochs; /* warmup: of all steps; epochs: any number */
} mnist_recipe;

/* "hidden=256-128,batch=64,rate=0.15,momentum=0.8,warmup=0.1,smoothing=0.05,epochs=2.5", in any
 * order; without hidden or with hidden=0 there is one linear layer. False if it is no recipe. */
bool mnist_recipe_parse(mnist_recipe *r, const char *text);
int64_t mnist_steps(const mnist_recipe *r, int64_t images); /* of the whole training */
/* Of a step among so many, from 0. */
double mnist_rate(const mnist_recipe *r, int64_t step, int64_t steps);
double mnist_gflop(const mnist_recipe *r, int64_t images); /* in the products of the training */

typedef struct mnist_options {
  const char *dir; /* where the four files are */
  uint64_t seed;
  bool validation; /* train on the first 50,000 images and test on the 10,000 after them */
} mnist_options;

/* Seconds of wall time, but for processor. The total has all but the test. */
typedef struct mnist_result {
  double read;    /* the four files, inflated */
  double prepare; /* mean and deviation, the network */
  double convert; /* images of a batch gathered, cast, standardised: part of training */
  double train;
  double total, processor;
  double accuracy; /* of the test, after training */
} mnist_result;

/* Each ends the program on failure. */
mnist_result mnist_by_library(const mnist_recipe *r, const mnist_options *o);
mnist_result mnist_by_hand(const mnist_recipe *r, const mnist_options *o);

/* Ends the program unless, from the same weights and with the same batches, both have the same loss
 * for 50 steps. */
void mnist_compare(const mnist_recipe *r, const mnist_options *o);

/* ---- the parts of training by hand (mnist_hand.c) -------------------------------------------- */

typedef struct mnist_net mnist_net;
mnist_net *mnist_net_new(const mnist_recipe *r, uint64_t seed);
void mnist_net_free(mnist_net *net);
float *mnist_net_weight(mnist_net *net, int layer); /* (in, out) */
float *mnist_net_bias(mnist_net *net, int layer);
/* One step on a full batch; returns the mean loss before it. */
double mnist_net_step(mnist_net *net, const float *x, const int32_t *label, double rate);

/* Wall time and processor time of this process so far, in seconds. */
double mnist_wall(void);
double mnist_processor(void);

#endif
