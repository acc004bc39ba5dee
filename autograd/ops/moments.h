/* moments.h - loops over lines for mean and variance (kernels/moments_of_type.c). */
#ifndef COTANGENT_MOMENTS_H
#define COTANGENT_MOMENTS_H

#include "lines.h"

/* Lines of x, and of t if there is one; y is contiguous. The attribute of the lines is a number.
 *
 * centre: y = x - mean x.
 * layer_norm: y = r (x - mean x), r = 1 / sqrt(mean (x - mean x)^2 + number).
 * layer_norm_grad: y = r (t - mean t) - r^3 mean((x - mean x) t) (x - mean x).
 * var: one number, sum (x - mean x)^2 / number. */
typedef struct ct__moment_loops {
  ct_loop *centre, *layer_norm, *layer_norm_grad, *var;
} ct__moment_loops;

#define CT__MOMENT_LOOPS_OF(isa)                                                                   \
  extern const ct__moment_loops ct__moment_loops_f32_##isa, ct__moment_loops_f64_##isa;
CT__ISA_LIST(CT__MOMENT_LOOPS_OF)

#endif
