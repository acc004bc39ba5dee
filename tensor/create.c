/* create.c - tensors from nothing, from the caller's numbers and over the caller's memory; reading
 * them back. */
#include "tensor_internal.h"

#include <math.h>

/* ---- creation -------------------------------------------------------------------------------- */

static ct_tensor *make(const char *who, ct_dtype dtype, ct_shape shape) {
  if (ct__shape_check(who, dtype, shape.n, shape.dim) != CT_OK) return NULL;
  ct_tensor *t = ct__tensor_alloc(dtype, shape.n, shape.dim);
  if (!t) ct__out_of_memory(who);
  return t;
}

ct_tensor *ct_empty(ct_dtype dtype, ct_shape shape) {
  return ct__own(make("ct_empty", dtype, shape));
}

/* A double takes the tensor's dtype; what the dtype cannot hold is an error, not a rounding. */
static bool fits(const char *who, ct_dtype dtype, double value) {
  static const double low[CT_DTYPES] = {[CT_I32] = INT32_MIN},
                      high[CT_DTYPES] = {[CT_I32] = INT32_MAX, [CT_U8] = 255, [CT_BOOL] = 1};
  if (ct_dtype_is_float(dtype)) return true;
  if (value == trunc(value) && value >= low[dtype] && value <= high[dtype]) return true;
  ct__fail(CT_EDTYPE, "%s: %g is not a value of dtype %s", who, value, ct_dtype_name(dtype));
  return false;
}

static ct_tensor *filled(const char *who, ct_dtype dtype, ct_shape shape, double value) {
  ct_tensor *t = make(who, dtype, shape);
  if (t && !fits(who, dtype, value)) ct_release(&t);
  if (t) ct__fill(&t->v, value);
  return ct__own(t);
}

ct_tensor *ct_zeros(ct_dtype dtype, ct_shape shape) { return filled("ct_zeros", dtype, shape, 0); }
ct_tensor *ct_ones(ct_dtype dtype, ct_shape shape) { return filled("ct_ones", dtype, shape, 1); }

ct_tensor *ct_full(ct_dtype dtype, ct_shape shape, double value) {
  return filled("ct_full", dtype, shape, value);
}

ct_tensor *ct_scalar(ct_dtype dtype, double value) {
  return filled("ct_scalar", dtype, (ct_shape){0}, value);
}

/* t[i] = first + i step, computed in f64 without accumulation. */
static ct_tensor *ramp(const char *who, ct_dtype dtype, int64_t n, double first, double step) {
  ct_tensor *t = make(who, dtype, (ct_shape){.n = 1, .dim = {n}});
  if (t && n > 0 &&
      !(fits(who, dtype, first) && fits(who, dtype, first + (double)(n - 1) * step) &&
        (n < 2 || fits(who, dtype, first + step))))
    ct_release(&t);
  if (!t) return ct_nil();
  size_t item = ct_dtype_size(dtype);
  for (int64_t i = 0; i < n; i++) {
    double value = first + (double)i * step;
    ct_view one = {
        .data = t->v.data + (size_t)i * item, .dtype = dtype, .size = 1, .contiguous = true};
    ct__fill(&one, value);
  }
  return ct__own(t);
}

ct_tensor *ct_arange(ct_dtype dtype, double start, double stop, double step) {
  double n = ceil((stop - start) / step);
  if (step == 0 || n != n)
    return ct__nil(CT_EARG, "ct_arange: want finite bounds and a step other than 0");
  if (n > 0x1p52) return ct__nil(CT_ESIZE, "ct_arange: %g elements are too many", n);
  return ramp("ct_arange", dtype, n > 0 ? (int64_t)n : 0, start, step);
}

ct_tensor *ct_linspace(ct_dtype dtype, double start, double stop, int64_t n) {
  ct_tensor *t = ramp("ct_linspace", dtype, n, start, n > 1 ? (stop - start) / (double)(n - 1) : 0);
  if (n > 1 && !ct__is_nil(t)) { /* the end exactly, whatever the rounding of the step */
    ct_view end = {.data = t->v.data + (size_t)(n - 1) * ct_dtype_size(dtype),
                   .dtype = dtype,
                   .size = 1,
                   .contiguous = true};
    ct__fill(&end, stop);
  }
  return t;
}

ct_tensor *ct_eye(ct_dtype dtype, int64_t rows, int64_t columns) {
  ct_tensor *t = make("ct_eye", dtype, (ct_shape){.n = 2, .dim = {rows, columns}});
  if (!t) return ct_nil();
  ct__fill(&t->v, 0);
  ct_view diagonal = {.data = t->v.data, .dtype = dtype, .ndim = 1, .stride = {columns + 1}};
  diagonal.dim[0] = rows < columns ? rows : columns;
  ct__view_refresh(&diagonal);
  if (diagonal.size > 0) ct__fill(&diagonal, 1);
  return ct__own(t);
}

ct_tensor *ct_from(ct_dtype dtype, ct_shape shape, const void *data) {
  ct_tensor *t = make("ct_from", dtype, shape);
  if (!t) return ct_nil();
  if (!data && t->v.size > 0) {
    ct_release(&t);
    return ct__nil(CT_EARG, "ct_from: data is NULL");
  }
  if (t->v.size > 0) memcpy(t->v.data, data, (size_t)t->v.size * ct_dtype_size(dtype));
  if (dtype == CT_BOOL)
    ct__cast(&(ct_view){.data = t->v.data,
                        .dtype = CT_U8,
                        .size = t->v.size,
                        .contiguous = true,
                        .ndim = 1,
                        .dim = {t->v.size},
                        .stride = {1}},
             &t->v);
  return ct__own(t);
}

/* ---- the caller's memory --------------------------------------------------------------------- */

/* Bytes between the first and the last element touched; false if that overflows. */
static bool extent_fits(const ct_view *v) {
  int64_t reach = 0, span;
  for (int i = 0; i < v->ndim; i++) {
    if (v->stride[i] == INT64_MIN) return false;
    int64_t step = v->stride[i] < 0 ? -v->stride[i] : v->stride[i];
    if (!ct__mul_size(v->dim[i] ? v->dim[i] - 1 : 0, step, &span)) return false;
    if (__builtin_add_overflow(reach, span, &reach)) return false;
  }
  return ct__mul_size(reach, (int64_t)ct_dtype_size(v->dtype), &reach) && reach <= PTRDIFF_MAX / 2;
}

ct_tensor *ct_wrap(ct_dtype dtype, ct_shape shape, void *data, ct_wrap_opts opts) {
  if (ct__shape_check("ct_wrap", dtype, shape.n, shape.dim) != CT_OK) return ct_nil();
  ct_view v = {0};
  ct__view_set(&v, dtype, shape.n, shape.dim);
  v.data = data;
  if (!data && v.size > 0) return ct__nil(CT_EARG, "ct_wrap: data is NULL");
  if ((uintptr_t)data % ct_dtype_size(dtype) != 0)
    return ct__nil(CT_EARG, "ct_wrap: data is not aligned for dtype %s", ct_dtype_name(dtype));
  if (opts.stride) {
    memcpy(v.stride, opts.stride, (size_t)v.ndim * sizeof v.stride[0]);
    if (!extent_fits(&v)) return ct__nil(CT_ESIZE, "ct_wrap: the strides reach too far");
    ct__view_refresh(&v);
  }
  ct_tensor *t = ct__tensor_new(dtype, shape.n, shape.dim);
  ct_buffer *b = t ? ct__buffer_new(0) : NULL;
  if (!b) {
    ct_release(&t);
    return ct_nil();
  }
  b->data = data;
  b->foreign = true;
  b->read_only = opts.read_only;
  b->release = opts.release;
  b->payload = opts.payload;
  t->v = v;
  t->buffer = b;
  return ct__own(t);
}

/* ---- reading --------------------------------------------------------------------------------- */

ct_status ct_item(const ct_tensor *t, double *out) {
  ct_status status = ct__check_value("ct_item", t);
  if (status != CT_OK) return status;
  char text[CT__SHAPE_TEXT];
  if (t->v.size != 1)
    return ct__fail_status(CT_ESHAPE, "ct_item: want one element, got shape %s",
                           ct__shape_text(text, t->v.ndim, t->v.dim));
  if (!out) return ct__fail_status(CT_EARG, "ct_item: out is NULL");
  *out = ct__get(&t->v, 0);
  return CT_OK;
}

ct_status ct_copy_out(const ct_tensor *t, void *dst, size_t bytes) {
  ct_status status = ct__check_value("ct_copy_out", t);
  if (status != CT_OK) return status;
  size_t want = (size_t)t->v.size * ct_dtype_size(t->v.dtype);
  if (bytes != want)
    return ct__fail_status(CT_ESIZE, "ct_copy_out: the tensor has %zu bytes, dst %zu", want, bytes);
  if (!dst && want > 0) return ct__fail_status(CT_EARG, "ct_copy_out: dst is NULL");
  ct_view v = {0};
  ct__view_set(&v, t->v.dtype, t->v.ndim, t->v.dim);
  v.data = dst;
  ct__copy(&t->v, &v);
  return CT_OK;
}

const void *ct_data(const ct_tensor *t) {
  if (ct__check_value("ct_data", t) != CT_OK) return NULL;
  if (t->v.contiguous) return t->v.data;
  ct__fail_status(CT_EARG, "ct_data: the tensor is not contiguous; ct_contiguous makes it so");
  return NULL;
}
