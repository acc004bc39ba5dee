/* optim_internal.h - an optimizer, and the rules that it can follow. */
#ifndef COTANGENT_OPTIM_INTERNAL_H
#define COTANGENT_OPTIM_INTERNAL_H

#include "../autograd/autograd_internal.h"
#include "../nn/nn_internal.h"
#include "optim.h"

#define CT__MAX_STATE 2

/* The numbers of one step for one parameter: doubles all, so that a program can hold them in a
 * tensor. */
typedef struct ct__step {
  double lr, decay;
  double momentum, nesterov; /* sgd; nesterov is 0 or 1 */
  double beta1, beta2, eps;
  double rate;   /* adam: lr sqrt(1 - beta2^t) / (1 - beta1^t); eps has that root, too */
  double shrink; /* adamw: 1 - lr decay; else 1 */
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
  void (*prepare)(ct__step *s, double t);
} ct__rule;

extern const ct__rule ct__sgd_rule, ct__momentum_rule, ct__adam_rule, ct__adamw_rule;

/* The numbers of step t of a parameter with these factors, for an optimizer with these options. */
ct__step ct__step_numbers(const ct__rule *rule, const ct__step *options, double lr, double lr_scale,
                          double decay_scale, double t);

typedef struct ct__param {
  ct_tensor *tensor;               /* one reference, as the states */
  ct_tensor *state[CT__MAX_STATE]; /* in the parameter's layout */
  double lr_scale, decay_scale;
} ct__param;

struct ct_optim {
  const ct__rule *rule;
  ct__step step;         /* the options; lr is below */
  ct_tensor *lr, *count; /* variables, f64: programs read them at every run, and count steps */
  int n;
  ct__param *param;
  /* n of each, in one block: */
  ct_tensor **tensor;       /* the parameters again, as a list */
  ct_tensor **grad;         /* scratch of a step */
  const ct_buffer **buffer; /* of the parameters, sorted */
};

/* Stores a number in the rate or the count. */
void ct__optim_set(ct_tensor *number, double value, const char *who);
/* Notes a step on these gradients as updates of the open build; they have been checked. */
ct_status ct__optim_collect(ct_optim *o, ct_list grads);

#endif
