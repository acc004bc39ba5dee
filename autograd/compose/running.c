/* running.c - products of all elements so far: in steps of 1, 2, 4, ... along the axis, each
 * element takes in the result of the one so far back. */
#include "../autograd_internal.h"

/* Elements that have one `step` before them, those ones, and the elements that have none. */
static ct_tensor *later(ct_tensor *x, int axis, int64_t step) {
  return ct_slice(x, axis, step, CT_END, 1);
}
static ct_tensor *earlier(ct_tensor *x, int axis, int64_t step) {
  return ct_slice(x, axis, 0, -step, 1);
}
static ct_tensor *first(ct_tensor *x, int axis, int64_t step) {
  return ct_slice(x, axis, 0, step, 1);
}

/* No division, so that it and its derivatives are right at zeros. */
ct_tensor *ct_cumprod(ct_tensor *x, int axis) {
  if (!ct__given_axis("cumprod", x, &axis)) return ct_nil();
  ct_tensor *y = ct_contiguous(x);
  for (int64_t step = 1; step < x->v.dim[axis]; step *= 2) {
    ct_tensor *product = ct_mul(later(y, axis, step), earlier(y, axis, step));
    y = ct_concat(CT_LIST(first(y, axis, step), product), axis);
  }
  return y;
}
