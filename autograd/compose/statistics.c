/* statistics.c - norms, moments, order statistics and counts, made of primitives. */
#include "../autograd_internal.h"

#include <math.h>

static ct_tensor *like(const ct_tensor *x, double value) { return ct__constant_like(x, value); }

/* value where the condition holds, elsewhere x, which gets no cotangent there. */
static ct_tensor *replace(ct_tensor *x, ct_tensor *condition, double value) {
  return ct_where(condition, like(x, value), x);
}

/* ---- norms ----------------------------------------------------------------------------------- */

/* x^p, `at_zero` and derivative 0 where x is 0. */
static ct_tensor *power(ct_tensor *x, double p, double at_zero) {
  ct_tensor *is_zero = ct_eq(x, like(x, 0));
  ct_tensor *y = ct_pow(replace(x, is_zero, 1), like(x, p));
  return replace(y, is_zero, at_zero);
}

/* The largest |x|, as a constant to divide by: 1 where it is 0 or not finite. */
static ct_tensor *magnitude(ct_tensor *size, ct_axes axes) {
  ct_tensor *largest = ct_max(ct_stop_gradient(size), axes, true);
  ct_tensor *finite = ct_lt(largest, like(size, (double)INFINITY)); /* false for NaN too */
  largest = ct_where(finite, largest, like(size, 1));
  return replace(largest, ct_eq(largest, like(size, 0)), 1);
}

/* (sum |x|^p)^(1/p), scaled so that no power overflows or vanishes. */
static ct_tensor *root_of_powers(ct_tensor *x, double p, ct_axes axes) {
  ct_tensor *size = ct_abs(x);
  ct_tensor *scale = x->v.size > 0 ? magnitude(size, axes) : like(x, 1);
  ct_tensor *part = ct_div(size, scale);
  ct_tensor *sum = ct_sum(power(part, p, p < 0 ? (double)INFINITY : 0), axes, true);
  return ct_mul(power(sum, 1 / p, p < 0 ? (double)INFINITY : 0), scale);
}

/* x without the axes of the mask. */
static ct_shape shape_without(const ct_tensor *x, unsigned mask) {
  ct_shape shape = {0};
  for (int i = 0; i < x->v.ndim; i++)
    if (!(mask >> i & 1)) shape.dim[shape.n++] = x->v.dim[i];
  return shape;
}

ct_tensor *ct_norm(ct_tensor *x, double p, ct_axes axes, bool keepdims) {
  CT__COMPOSITION("norm");
  unsigned mask;
  if (!ct__given("norm", x) || ct__axes_mask("norm", axes, x->v.ndim, &mask) != CT_OK)
    return ct_nil();
  if (!ct_dtype_is_float(x->v.dtype))
    return ct__nil(CT_EDTYPE, "norm: want f32 or f64 (ct_cast converts), got %s",
                   ct_dtype_name(x->v.dtype));
  if (isnan(p)) return ct__nil(CT_EARG, "norm: want a number p, got NaN");
  if (isinf(p)) return (p > 0 ? ct_max : ct_min)(ct_abs(x), axes, keepdims);
  if (p == 0) return ct_sum(ct_cast(ct_ne(x, like(x, 0)), x->v.dtype), axes, keepdims);
  if (p == 1) return ct_sum(ct_abs(x), axes, keepdims);
  if (p == 2) return ct__norm2(x, axes, keepdims);
  ct_tensor *y = root_of_powers(x, p, axes);
  return keepdims ? y : ct_reshape(y, shape_without(x, mask));
}

/* x's shape, the axes of the mask with extents of 1. */
static ct_shape shape_kept(const ct_tensor *x, unsigned mask) {
  ct_shape shape = ct__shape_of_view(&x->v);
  for (int i = 0; i < shape.n; i++)
    if (mask >> i & 1) shape.dim[i] = 1;
  return shape;
}

/* ---- moments --------------------------------------------------------------------------------- */

/* Whether the axes of the mask are the last ones of x, with lines short enough for one thread. */
static bool are_lines(const ct_tensor *x, unsigned mask) {
  enum { LONGEST = 1 << 16 };
  int64_t n = 1;
  bool last = true;
  for (int i = 0; i < x->v.ndim; i++) {
    bool reduced = mask >> i & 1;
    if (reduced) n *= x->v.dim[i];
    if (i > 0 && mask >> (i - 1) & 1) last = last && reduced;
  }
  return last && mask != 0 && n <= LONGEST;
}

/* The last axes, those of the mask, as one. */
static ct_tensor *as_lines(ct_tensor *x, unsigned mask) {
  ct_shape shape = shape_without(x, mask);
  if (shape.n == x->v.ndim - 1) return x;
  shape.dim[shape.n] = 1;
  for (int i = shape.n; i < x->v.ndim; i++) shape.dim[shape.n] *= x->v.dim[i];
  shape.n++;
  return ct_reshape(x, shape);
}

static ct_tensor *centred(ct_tensor *x, ct_axes axes) { return ct_sub(x, ct_mean(x, axes, true)); }

ct_tensor *ct_var(ct_tensor *x, ct_axes axes, int ddof, bool keepdims) {
  CT__COMPOSITION("var");
  unsigned mask;
  if (!ct__given("var", x) || ct__axes_mask("var", axes, x->v.ndim, &mask) != CT_OK)
    return ct_nil();
  if (are_lines(x, mask)) {
    ct_tensor *y = ct__var_of_lines(as_lines(x, mask), ddof);
    return ct_reshape(y, keepdims ? shape_kept(x, mask) : shape_without(x, mask));
  }
  double n = 1;
  for (int i = 0; i < x->v.ndim; i++)
    if (mask >> i & 1) n *= (double)x->v.dim[i];
  ct_tensor *sum = ct_sum(ct_square(centred(x, axes)), axes, keepdims);
  return ct_scale(sum, 1 / (n > ddof ? n - ddof : 0.0));
}

ct_tensor *ct_std(ct_tensor *x, ct_axes axes, int ddof, bool keepdims) {
  CT__COMPOSITION("std");
  return ct_sqrt(ct_var(x, axes, ddof, keepdims));
}

ct_tensor *ct_layer_norm(ct_tensor *x, ct_axes axes, double eps) {
  CT__COMPOSITION("layer_norm");
  unsigned mask;
  if (!ct__given("layer_norm", x) || ct__axes_mask("layer_norm", axes, x->v.ndim, &mask) != CT_OK)
    return ct_nil();
  if (are_lines(x, mask)) {
    ct_tensor *lines = as_lines(x, mask), *y = ct__layer_norm_of_lines(lines, eps);
    return lines == x ? y : ct_reshape(y, ct__shape_of_view(&x->v));
  }
  ct_tensor *d = centred(x, axes);
  return ct_mul(d, ct_rsqrt(ct_shift(ct_mean(ct_square(d), axes, true), eps)));
}

static ct_tensor *is_nan(ct_tensor *x) { return ct_ne(x, x); }

ct_tensor *ct_nansum(ct_tensor *x, ct_axes axes, bool keepdims) {
  CT__COMPOSITION("nansum");
  if (!ct__given("nansum", x)) return ct_nil();
  return ct_sum(replace(x, is_nan(x), 0), axes, keepdims);
}

ct_tensor *ct_nanmean(ct_tensor *x, ct_axes axes, bool keepdims) {
  CT__COMPOSITION("nanmean");
  if (!ct__given("nanmean", x)) return ct_nil();
  ct_tensor *count = ct_sum(ct_cast(ct_eq(x, x), x->v.dtype), axes, keepdims);
  return ct_div(ct_nansum(x, axes, keepdims), count);
}

/* ---- order ----------------------------------------------------------------------------------- */

ct_tensor *ct_topk(ct_tensor *x, int64_t k, int axis, ct_tensor **indices) {
  CT__COMPOSITION("topk");
  if (indices) *indices = ct_nil();
  if (!ct__given_axis("topk", x, &axis)) return ct_nil();
  if (k < 0 || k > x->v.dim[axis])
    return ct__nil(CT_EARG, "topk: want 0 <= k <= %lld, got %lld", (long long)x->v.dim[axis],
                   (long long)k);
  ct_tensor *at, *sorted = ct_sort(x, axis, true, &at);
  if (indices) *indices = ct_slice(at, axis, 0, k, 1);
  return ct_slice(sorted, axis, 0, k, 1);
}

ct_tensor *ct_median(ct_tensor *x, int axis, bool keepdims) {
  CT__COMPOSITION("median");
  if (!ct__given_axis("median", x, &axis)) return ct_nil();
  int64_t n = x->v.dim[axis];
  if (n == 0) return ct__nil(CT_ESHAPE, "median: want at least one element along axis %d", axis);
  if (!ct_dtype_is_float(x->v.dtype))
    return ct__nil(CT_EDTYPE, "median: want f32 or f64 (ct_cast converts), got %s",
                   ct_dtype_name(x->v.dtype));
  ct_tensor *sorted = ct_sort(x, axis, false, NULL), *last = ct_slice(sorted, axis, n - 1, n, 1);
  ct_tensor *middle =
      ct_mean(ct_slice(sorted, axis, (n - 1) / 2, n / 2 + 1, 1), CT_AXES(axis), true);
  ct_tensor *y = ct_where(is_nan(last), last, middle);
  return keepdims ? y : ct_squeeze(y, CT_AXES(axis));
}

/* Bin of x: how many edges are not larger, less one; the last edge belongs to the last bin. What
 * falls outside goes to bins of its own, which are left out. */
ct_tensor *ct_histogram(ct_tensor *x, ct_tensor *edges) {
  CT__COMPOSITION("histogram");
  if (!ct__given("histogram", x) || ct__check_tensor("histogram", "edges", edges) != CT_OK)
    return ct_nil();
  int64_t n = ct_size(edges), size = ct_size(x);
  if (edges->v.ndim != 1 || n < 2)
    return ct__nil(CT_ESHAPE, "histogram: want a vector of at least 2 edges");
  ct_tensor *bin = ct_searchsorted(edges, x, true);
  ct_tensor *at_end = ct_eq(x, ct_slice(edges, 0, n - 1, n, 1));
  bin = ct_where(at_end, ct_scalar(CT_I32, (double)n - 1), bin);
  ct_tensor *counts =
      ct_scatter_add(ct_zeros(CT_I32, CT_SHAPE(n + 1)), ct_reshape(bin, CT_SHAPE(size)),
                     ct_ones(CT_I32, CT_SHAPE(size)), 0);
  return ct_slice(counts, 0, 1, n, 1);
}
