/* moments.h - loops over lines for mean and variance (kernels/moments.c). */
#ifndef COTANGENT_MOMENTS_H
#define COTANGENT_MOMENTS_H

#include "lines.h"

/* n elements of x, and of t if there is one, that lie `step` apart; y is contiguous. */
typedef struct ct__moment_lines {
  int64_t n, x_step, t_step;
  double number; /* eps, or what a variance is divided by */
} ct__moment_lines;

/* centre: y = x - mean x.
 * layer_norm: y = r (x - mean x), r = 1 / sqrt(mean (x - mean x)^2 + eps).
 * layer_norm_grad: y = r (t - mean t) - r^3 mean((x - mean x) t) (x - mean x).
 * var: one number, sum (x - mean x)^2 / number. */
typedef struct ct__moment_loops {
  ct_loop *centre, *layer_norm, *layer_norm_grad, *var;
} ct__moment_loops;

/* By dtype, f32 and f64. */
#define CT__MOMENT_LOOPS_OF(isa) extern const ct__moment_loops ct__moment_loops_##isa[2];
CT__ISA_LIST(CT__MOMENT_LOOPS_OF)

#endif
