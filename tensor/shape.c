/* shape.c - extents and strides: checks, NumPy broadcasting, text. */
#include "tensor_internal.h"

ct_shape ct_shape_make(size_t n, const int64_t *dim) {
  ct_shape s = {.n = n > CT_MAX_DIMS ? CT_MAX_DIMS + 1 : (int)n};
  for (int i = 0; i < s.n && i < CT_MAX_DIMS; i++) s.dim[i] = dim[i];
  return s;
}

bool ct_shape_equal(ct_shape a, ct_shape b) {
  if (a.n != b.n || a.n < 0 || a.n > CT_MAX_DIMS) return false;
  return memcmp(a.dim, b.dim, (size_t)a.n * sizeof a.dim[0]) == 0;
}

const char *ct__shape_text(char text[CT__SHAPE_TEXT], int ndim, const int64_t *dim) {
  size_t at = 0;
  text[at++] = '(';
  for (int i = 0; i < ndim && i < CT_MAX_DIMS; i++)
    at += (size_t)snprintf(text + at, CT__SHAPE_TEXT - at, i ? ",%lld" : "%lld", (long long)dim[i]);
  snprintf(text + at, CT__SHAPE_TEXT - at, ")");
  return text;
}

ct_status ct__shape_check(const char *who, ct_dtype dtype, int ndim, const int64_t *dim) {
  if (!ct_dtype_size(dtype)) return ct__fail(CT_EDTYPE, "%s: unknown dtype %d", who, (int)dtype);
  if (ndim < 0 || ndim > CT_MAX_DIMS)
    return ct__fail(CT_EARG, "%s: a tensor has 0 to %d dimensions", who, CT_MAX_DIMS);
  char text[CT__SHAPE_TEXT];
  /* Bytes are counted with zero extents taken as 1, so that strides cannot overflow either. */
  int64_t bytes = (int64_t)ct_dtype_size(dtype);
  for (int i = 0; i < ndim; i++) {
    if (dim[i] < 0)
      return ct__fail(CT_EARG, "%s: negative extent in shape %s", who,
                      ct__shape_text(text, ndim, dim));
    if (!ct__mul_size(bytes, dim[i] ? dim[i] : 1, &bytes) || bytes > PTRDIFF_MAX / 2)
      return ct__fail(CT_ESIZE, "%s: shape %s is too large", who, ct__shape_text(text, ndim, dim));
  }
  return CT_OK;
}

void ct__view_refresh(ct_view *v) {
  int64_t size = 1;
  for (int i = 0; i < v->ndim; i++) size *= v->dim[i];
  v->size = size;
  v->contiguous = true;
  int64_t stride = 1;
  for (int i = v->ndim - 1; i >= 0 && size > 0; i--) {
    if (v->dim[i] != 1 && v->stride[i] != stride) v->contiguous = false;
    stride *= v->dim[i];
  }
}

bool ct__broadcast(ct_shape a, ct_shape b, ct_shape *out) {
  out->n = a.n > b.n ? a.n : b.n;
  for (int i = 1; i <= out->n; i++) {
    int64_t x = i <= a.n ? a.dim[a.n - i] : 1, y = i <= b.n ? b.dim[b.n - i] : 1;
    if (x != y && x != 1 && y != 1) return false;
    out->dim[out->n - i] = x == 1 ? y : x;
  }
  return true;
}

void ct__view_broadcast(const ct_view *v, int ndim, const int64_t *dim, ct_view *out) {
  ct_view b = {.data = v->data, .dtype = v->dtype, .ndim = ndim};
  int lead = ndim - v->ndim;
  for (int i = 0; i < ndim; i++) {
    bool repeated = i < lead || (v->dim[i - lead] == 1 && dim[i] != 1);
    b.dim[i] = dim[i];
    b.stride[i] = repeated ? 0 : v->stride[i - lead];
  }
  ct__view_refresh(&b);
  *out = b;
}

int ct__axis(int axis, int ndim) {
  if (axis < 0) axis += ndim;
  return axis >= 0 && axis < ndim ? axis : -1;
}
