/* sweep.h - the kernels of sweep.c. */
#ifndef COTANGENT_SWEEP_H
#define COTANGENT_SWEEP_H

#include "../autograd_internal.h"

/* y_i = alpha sum_j w_ij a_j with the old w, and w_ij += scale u_i a_j. Where y is masked by u,
 * rows of w where u_i is 0 are neither read nor written if a is finite: y_i is 0. */
typedef struct ct__sweep {
  int64_t rows, columns;
  char *w;
  const char *a; /* contiguous, as the rows of w */
  const char *u;
  char *y;
  int64_t row, u_step, y_step; /* in elements */
  double alpha, scale;
  bool masked;
} ct__sweep;
typedef void ct__sweep_kernel(const ct__sweep *s);

/* Those of an instruction set (kernels/sweep_of_type.c). */
#define CT__SWEEP_OF(isa) ct__sweep_kernel ct__sweep_f32_##isa, ct__sweep_f64_##isa;
CT__ISA_LIST(CT__SWEEP_OF)

#endif
