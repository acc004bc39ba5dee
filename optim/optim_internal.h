/* optim_internal.h - an optimizer, and the rules that it can follow. */
#ifndef COTANGENT_OPTIM_INTERNAL_H
#define COTANGENT_OPTIM_INTERNAL_H

#include "../nn/nn_internal.h"
#include "../tensor/tensor_internal.h"
#include "optim.h"

#define CT__MAX_STATE 2

/* The numbers of one step for one parameter. */
typedef struct ct__step {
  double lr, decay;
  double momentum; /* sgd */
  bool nesterov;   /* sgd */
  double beta1, beta2, eps;
  double rate, root; /* adam: lr / (1 - beta1^t), sqrt(1 - beta2^t) */
  double shrink;     /* adamw: 1 - lr decay; else 1 */
} ct__step;

/* The loops, for each instruction set (loops.c). */
#define CT__OPTIM_LOOPS(X)                                                                         \
  X(sgd_f32) X(sgd_f64) X(momentum_f32) X(momentum_f64) X(adam_f32) X(adam_f64)
typedef struct ct__optim_loops {
#define CT__ONE_LOOP(name) ct_loop *name;
  CT__OPTIM_LOOPS(CT__ONE_LOOP)
#undef CT__ONE_LOOP
} ct__optim_loops;
#define CT__OPTIM_LOOPS_OF(isa) extern const ct__optim_loops ct__optim_loops_##isa;
CT__ISA_LIST(CT__OPTIM_LOOPS_OF)

/* An optimizer as a record. The loops read gradient and states and write states and parameter:
 * operands are gradient, states, parameter. They cannot fail. */
typedef struct ct__rule {
  const char *name;
  int n_state;
  const char *state[CT__MAX_STATE];
  ct_loop *loop[2]; /* f32, f64 */
  /* fills in what depends on the number t of the step; lr and decay are set */
  void (*prepare)(ct__step *s, int64_t t);
} ct__rule;

extern const ct__rule ct__sgd_rule, ct__momentum_rule, ct__adam_rule, ct__adamw_rule;

typedef struct ct__param {
  ct_tensor *tensor;               /* one reference, as the states */
  ct_tensor *state[CT__MAX_STATE]; /* in the parameter's layout */
  double lr_scale, decay_scale;
} ct__param;

struct ct_optim {
  const ct__rule *rule;
  ct__step step; /* the options */
  int64_t steps;
  int n;
  ct__param *param;
  /* n of each, in one block: */
  ct_tensor **tensor;       /* the parameters again, as a list */
  ct_tensor **grad;         /* scratch of a step */
  const ct_buffer **buffer; /* of the parameters, sorted */
};

#endif
