/* running.c - products and extrema of all elements so far: in steps of 1, 2, 4, ... along the axis,
 * each element takes in the result of the one so far back. */
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

/* Positions are found first: they have no derivative, and the values are taken at them. */
ct_tensor *ct_cummax(ct_tensor *x, int axis) {
  if (!ct__given_axis("cummax", x, &axis)) return ct_nil();
  int64_t n = x->v.dim[axis];
  if (n > INT32_MAX) return ct__nil(CT_ESIZE, "cummax: want positions that fit i32");
  ct_shape along = {.n = x->v.ndim};
  for (int i = 0; i < along.n; i++) along.dim[i] = i == axis ? n : 1;
  ct_tensor *at = ct_reshape(ct_arange(CT_I32, 0, (double)n, 1), along);
  ct_tensor *y = ct_stop_gradient(x);
  at = ct_broadcast_to(at, ct__shape_of_view(&x->v));
  for (int64_t step = 1; step < n; step *= 2) {
    ct_tensor *a = earlier(y, axis, step), *b = later(y, axis, step);
    ct_tensor *stays = ct_gt(b, a), *is_nan = ct_ne(b, b), *never = ct_ne(a, a);
    /* a later one counts if it is larger, or the first NaN */
    stays = ct_where(never, ct_eq(a, a), ct_where(is_nan, is_nan, stays));
    ct_tensor *value = ct_where(stays, b, a);
    ct_tensor *place = ct_where(stays, later(at, axis, step), earlier(at, axis, step));
    y = ct_concat(CT_LIST(first(y, axis, step), value), axis);
    at = ct_concat(CT_LIST(first(at, axis, step), place), axis);
  }
  return ct_take_along_axis(x, at, axis);
}
