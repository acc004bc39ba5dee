/* lines.h - kernels that take a whole line of a tensor at a time: all elements along one axis.
 *
 * ct_map leads them: the operands are seen with one element along the axis, so that an "element" is
 * where a line starts, and the kernel's attributes tell how long lines are and how they step.
 */
#ifndef COTANGENT_LINES_H
#define COTANGENT_LINES_H

#include "kernels.h"

#include <math.h>

/* The starts of v's lines along the axes of the bit mask. */
static inline ct_view line_starts(const ct_view *v, unsigned axes) {
  ct_view starts = *v;
  for (int d = 0; d < v->ndim; d++)
    if (axes >> d & 1) starts.dim[d] = 1;
  ct__view_refresh(&starts);
  return starts;
}

/* max_T: the largest of n elements; NaN is passed over, and shows in the sum.
 * sum_exp_T: sum e^(x - shift), in two parts; store_exp_T: the same, and y = e^(x - shift). */
#define LINE_KERNELS(T)                                                                            \
  static inline T max_##T(int64_t n, const T *x, int64_t step) {                                   \
    return ct__kernels_now()->max_##T(n, x, step);                                                 \
  }                                                                                                \
  static inline ct__exp_sum sum_exp_##T(int64_t n, const T *x, int64_t step, T shift) {            \
    return ct__kernels_now()->sum_exp_##T(n, x, step, shift);                                      \
  }                                                                                                \
  static inline ct__exp_sum store_exp_##T(int64_t n, const T *x, int64_t step, T shift, T *y,      \
                                          int64_t y_step) {                                        \
    return ct__kernels_now()->store_exp_##T(n, x, step, shift, y, y_step);                         \
  }
LINE_KERNELS(float)
LINE_KERNELS(double)
#undef LINE_KERNELS

/* y[i] = sum over j of a[j] b[i] - a[i] b[j] along an axis, every digit kept (softmax.c). */
ct_tensor *ct__balance(ct_tensor *a, ct_tensor *b, int axis);

static inline double whole_sum(ct__exp_sum s) { return s.ones + s.rest; }
static inline double log_of_sum(ct__exp_sum s) {
  double more = s.ones - 1 + s.rest;
  return more < 1 ? log1p(more) : log(1 + more); /* log is faster */
}

#endif
