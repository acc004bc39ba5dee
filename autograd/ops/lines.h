/* lines.h - kernels that take a whole line of a tensor at a time: all elements along one axis.
 *
 * ct_map leads them: the operands are seen with one element along the axis, so that an "element" is
 * where a line starts, and the kernel's attributes tell how long lines are and how they step.
 */
#ifndef COTANGENT_LINES_H
#define COTANGENT_LINES_H

#include "../autograd_internal.h"

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
 * sum_exp_T: sum e^(x - max). */
#define LINE_SUMS(T, EXP)                                                                          \
  static inline T max_##T(int64_t n, const T *x, int64_t step) {                                   \
    T max = x[0];                                                                                  \
    for (int64_t j = 1; j < n; j++) max = x[j * step] > max ? x[j * step] : max;                   \
    return max;                                                                                    \
  }                                                                                                \
  static inline double sum_exp_##T(int64_t n, const T *x, int64_t step, T max) {                   \
    double sum = 0;                                                                                \
    for (int64_t j = 0; j < n; j++) sum += (double)EXP(x[j * step] - max);                         \
    return sum;                                                                                    \
  }                                                                                                \
  /* The same, and y = e^(x - max). */                                                             \
  static inline double store_exp_##T(int64_t n, const T *x, int64_t step, T max, T *y,             \
                                     int64_t y_step) {                                             \
    double sum = 0;                                                                                \
    for (int64_t j = 0; j < n; j++) {                                                              \
      T e = EXP(x[j * step] - max);                                                                \
      y[j * y_step] = e;                                                                           \
      sum += (double)e;                                                                            \
    }                                                                                              \
    return sum;                                                                                    \
  }
LINE_SUMS(float, expf)
LINE_SUMS(double, exp)
#undef LINE_SUMS

#endif
