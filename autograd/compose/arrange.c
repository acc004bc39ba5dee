/* arrange.c - diagonals, triangles, repetitions and grids, made of primitives. */
#include "../autograd_internal.h"

/* ---- diagonals ------------------------------------------------------------------------------- */

ct_tensor *ct_diagonal(ct_tensor *x, int a, int b) {
  CT__COMPOSITION("diagonal");
  if (!ct__given_axis("diagonal", x, &a) || !ct__given_axis("diagonal", x, &b)) return ct_nil();
  if (a == b) return ct__nil(CT_EARG, "diagonal: want two different axes, got %d twice", a);
  ct_axes order = {.n = x->v.ndim};
  ct_shape shape = {.n = x->v.ndim - 1};
  int at = 0;
  for (int i = 0; i < x->v.ndim; i++) {
    if (i == a || i == b) continue;
    shape.dim[at] = x->v.dim[i];
    order.at[at++] = i;
  }
  order.at[at] = a;
  order.at[at + 1] = b;
  int64_t n = x->v.dim[a] < x->v.dim[b] ? x->v.dim[a] : x->v.dim[b];
  ct_tensor *square = ct_slice(ct_slice(ct_permute(x, order), -2, 0, n, 1), -1, 0, n, 1);
  shape.dim[at] = n * n; /* every (n + 1)-th element of it is on the diagonal */
  return ct_slice(ct_reshape(square, shape), -1, 0, CT_END, n + 1);
}

ct_tensor *ct_trace(ct_tensor *x) {
  CT__COMPOSITION("trace");
  return ct_sum(ct_diagonal(x, -2, -1), CT_AXES(-1), false);
}

/* (rows, columns) bool: where column - row is at least (at most) k. */
static ct_tensor *band(int64_t rows, int64_t columns, int64_t k, bool upper) {
  ct_tensor *row = ct_arange(CT_F64, 0, (double)rows, 1);
  ct_tensor *column = ct_arange(CT_F64, 0, (double)columns, 1);
  ct_tensor *bound = ct_shift(ct_reshape(row, CT_SHAPE(rows, 1)), (double)k);
  return upper ? ct_ge(column, bound) : ct_le(column, bound);
}

static ct_tensor *keep(ct_tensor *x, ct_tensor *where) {
  return ct_where(where, x, ct__constant_like(x, 0));
}

ct_tensor *ct_diag(ct_tensor *x) {
  CT__COMPOSITION("diag");
  if (!ct__given("diag", x)) return ct_nil();
  if (x->v.ndim == 2) return ct_diagonal(x, 0, 1);
  if (x->v.ndim != 1)
    return ct__nil(CT_ESHAPE, "diag: want a vector or a matrix, got %d dimensions", x->v.ndim);
  return keep(x, ct_cast(ct_eye(CT_I32, ct_dim(x, 0), ct_dim(x, 0)), CT_BOOL));
}

static ct_tensor *triangle(const char *who, ct_tensor *x, int64_t k, bool upper) {
  if (!ct__given(who, x)) return ct_nil();
  if (x->v.ndim < 2)
    return ct__nil(CT_ESHAPE, "%s: want (...,m,n), got %d dimensions", who, x->v.ndim);
  return keep(x, band(ct_dim(x, -2), ct_dim(x, -1), k, upper));
}

ct_tensor *ct_tril(ct_tensor *x, int64_t k) {
  CT__COMPOSITION("tril");
  return triangle("tril", x, k, false);
}
ct_tensor *ct_triu(ct_tensor *x, int64_t k) {
  CT__COMPOSITION("triu");
  return triangle("triu", x, k, true);
}

/* ---- repetitions ----------------------------------------------------------------------------- */

/* n copies of each block: x as (outer, inner), where the first `cut` axes are outer. */
static ct_tensor *copies(ct_tensor *x, int axis, int64_t n, int cut) {
  ct_shape shape = ct_shape_of(x);
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < shape.n; i++) *(i < cut ? &outer : &inner) *= shape.dim[i];
  if (!ct__mul_size(shape.dim[axis], n, &shape.dim[axis]))
    return ct__nil(CT_ESIZE, "repeat: the result is too large");
  ct_tensor *y = ct_reshape(x, CT_SHAPE(outer, 1, inner));
  return ct_reshape(ct_broadcast_to(y, CT_SHAPE(outer, n, inner)), shape);
}

ct_tensor *ct_repeat(ct_tensor *x, int64_t n, int axis) {
  CT__COMPOSITION("repeat");
  if (!ct__given_axis("repeat", x, &axis)) return ct_nil();
  if (n < 0) return ct__nil(CT_EARG, "repeat: want n >= 0, got %lld", (long long)n);
  return copies(x, axis, n, axis + 1);
}

ct_tensor *ct_tile(ct_tensor *x, ct_shape times) {
  CT__COMPOSITION("tile");
  if (!ct__given("tile", x)) return ct_nil();
  if (times.n < 0 || times.n > CT_MAX_DIMS)
    return ct__nil(CT_EARG, "tile: want 0 to %d repetitions", CT_MAX_DIMS);
  ct_shape shape = {.n = times.n > x->v.ndim ? times.n : x->v.ndim};
  for (int i = 0; i < shape.n; i++) {
    int k = i - (shape.n - x->v.ndim);
    shape.dim[i] = k < 0 ? 1 : x->v.dim[k];
  }
  ct_tensor *y = ct_reshape(x, shape);
  for (int i = 0; i < times.n && !ct__is_nil(y); i++) {
    int axis = shape.n - times.n + i;
    if (times.dim[i] < 0)
      return ct__nil(CT_EARG, "tile: want repetitions >= 0, got %lld", (long long)times.dim[i]);
    if (times.dim[i] != 1) y = copies(y, axis, times.dim[i], axis);
  }
  return y;
}

ct_tensor *ct_roll(ct_tensor *x, int64_t shift, int axis) {
  CT__COMPOSITION("roll");
  if (!ct__given_axis("roll", x, &axis)) return ct_nil();
  int64_t n = x->v.dim[axis], cut = n > 0 ? (n - shift % n) % n : 0;
  return ct_concat(CT_LIST(ct_slice(x, axis, cut, CT_END, 1), ct_slice(x, axis, 0, cut, 1)), axis);
}

/* ---- products and grids ---------------------------------------------------------------------- */

/* x's extents at every second place of 2 n, the first or the second, and 1 between. */
static ct_tensor *interleaved(ct_tensor *x, int n, int place) {
  ct_shape shape = {.n = 2 * n};
  for (int i = 0; i < n; i++) {
    int k = i - (n - x->v.ndim);
    shape.dim[2 * i + place] = k < 0 ? 1 : x->v.dim[k];
    shape.dim[2 * i + 1 - place] = 1;
  }
  return ct_reshape(x, shape);
}

ct_tensor *ct_kron(ct_tensor *a, ct_tensor *b) {
  CT__COMPOSITION("kron");
  if (ct__check_tensor("kron", "a", a) != CT_OK || ct__check_tensor("kron", "b", b) != CT_OK)
    return ct_nil();
  int n = a->v.ndim > b->v.ndim ? a->v.ndim : b->v.ndim;
  if (2 * n > CT_MAX_DIMS)
    return ct__nil(CT_ESHAPE, "kron: want at most %d dimensions, got %d", CT_MAX_DIMS / 2, n);
  ct_tensor *y = ct_mul(interleaved(a, n, 0), interleaved(b, n, 1));
  ct_shape pairs = ct_shape_of(y), shape = {.n = n};
  if (ct__is_nil(y)) return y;
  for (int i = 0; i < n; i++) shape.dim[i] = pairs.dim[2 * i] * pairs.dim[2 * i + 1];
  return ct_reshape(y, shape);
}

ct_status ct_meshgrid(ct_list x, ct_tensor **out) {
  CT__COMPOSITION("meshgrid");
  if (!out) return ct__fail_status(CT_EARG, "meshgrid: out is NULL");
  for (int i = 0; i < x.n; i++) out[i] = ct_nil();
  if (x.n < 1 || x.n > CT_MAX_DIMS || !x.at)
    return ct__fail_status(CT_EARG, "meshgrid: want 1 to %d vectors, got %d", CT_MAX_DIMS, x.n);
  ct_shape shape = {.n = x.n};
  const bool was = ct__status_begin();
  ct_status status = ct__status_end("meshgrid", was, ct__check_list("meshgrid", "x", x));
  if (status != CT_OK) return status;
  for (int i = 0; i < x.n; i++) {
    if (x.at[i]->v.ndim != 1)
      return ct__fail_status(CT_ESHAPE, "meshgrid: want vectors, but number %d has %d dimensions",
                             i, x.at[i]->v.ndim);
    shape.dim[i] = x.at[i]->v.dim[0];
  }
  for (int i = 0; i < x.n; i++) {
    ct_shape along = {.n = x.n};
    for (int k = 0; k < x.n; k++) along.dim[k] = k == i ? shape.dim[k] : 1;
    out[i] = ct_broadcast_to(ct_reshape(x.at[i], along), shape);
    if (!ct__is_nil(out[i])) continue;
    while (i > 0) out[--i] = ct_nil();
    return ct__pending("meshgrid");
  }
  return CT_OK;
}
