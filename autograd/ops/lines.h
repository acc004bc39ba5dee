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

/* n elements of v along an axis. */
static inline ct_view part_along(const ct_view *v, int axis, int64_t from, int64_t n) {
  ct_view part = *v;
  part.dim[axis] = n;
  part.data += from * v->stride[axis] * (int64_t)ct__item_size(v->dtype);
  ct__view_refresh(&part);
  return part;
}

/* Leads a loop over the lines of a call's operands along an axis: inputs, then outputs, the first
 * of these last. l has n, and what else the loop is to know; backwards, lines start at their ends.
 * Where an operand has an extent of 1 its element stays. */
void ct__each_line(const ct_eval *e, int axis, bool backwards, ct_loop *loop, ct__lines l);

/* For each element along an axis the product of those before it (in reverse: behind it), and that
 * of all: an extent of n + 1 (cumulative.c). */
ct_tensor *ct__products_along(ct_tensor *x, int axis, bool reverse);

/* y[i] = sum over j of a[j] b[i] - a[i] b[j] along an axis, every digit kept (softmax.c). */
ct_tensor *ct__balance(ct_tensor *a, ct_tensor *b, int axis);

#endif
