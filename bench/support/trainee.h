/* trainee.h - the network of a training step on the library's side, and the same numbers for its
 * rivals: the floor and the peers.
 */
#ifndef COTANGENT_BENCH_TRAINEE_H
#define COTANGENT_BENCH_TRAINEE_H

#include "floor.h"

#include <cotangent.h>

typedef struct trainee {
  const floor_shape *shape;
  int batch;
  double rate;
  ct_module *model;
  ct_optim *sgd;
  ct_tensor *x, *labels; /* kept */
  ct_program *step;      /* the compiled step */
} trainee;

/* The same numbers whenever shape and batch are. Ends the program on failure, as all here do. */
void trainee_init(trainee *t, const floor_shape *shape, int batch, double rate);
void trainee_end(trainee *t);
/* One step as a user would write it; the loss before it belongs to the scope. */
ct_tensor *trainee_eager(trainee *t);
/* The same as a program of its own, the caller's; and one run of the trainee's. */
ct_program *trainee_compile(trainee *t);
ct_tensor *trainee_compiled(trainee *t);

/* Weights, biases, input and labels as they are now. */
void trainee_copy_to_floor(const trainee *t, floor_net *floor);
/* The same for peers (bench/peers/): native int32 layers, activation (0 sigmoid, 1 relu), batch,
 * layers + 1 widths; f32 rate, input (batch, in); int32 labels; for each layer f32 weight (out, in)
 * and bias. */
void trainee_write(const trainee *t, const char *path);
/* The largest difference of a parameter of the floor, relative to its largest element. */
double trainee_difference(const trainee *t, floor_net *floor);

#endif
