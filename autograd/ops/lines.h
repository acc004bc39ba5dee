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

/* y[i] = sum over j of a[j] b[i] - a[i] b[j] along an axis, every digit kept (softmax.c). */
ct_tensor *ct__balance(ct_tensor *a, ct_tensor *b, int axis);

#endif
