/* position.c - positions along an axis: into a flattened tensor, of elements that are put there,
 * among sorted numbers. */
#include "../../tensor/pool.h"
#include "batch.h"
#include "lines.h"

#include <stdatomic.h>
#include <stdlib.h>

/* ---- flat_index: y[o,j,i] = (o extent + x[o,j,i]) inner + i ---------------------------------- */

typedef struct flat {
  int64_t axis, extent;
} flat;

/* Products of extents; the axis is one of x. */
static int64_t extents_before(const ct_view *x, int64_t axis) {
  int64_t n = 1;
  for (int64_t d = 0; d < axis; d++) n *= x->dim[d];
  return n;
}

static int64_t extents_behind(const ct_view *x, int64_t axis) {
  int64_t n = 1;
  for (int64_t d = axis + 1; d < x->ndim; d++) n *= x->dim[d];
  return n;
}

static ct_status flat_infer(const ct_call *c, ct_spec *out) {
  const flat *a = c->attr;
  const ct_view *x = ct__in(c, 0);
  int64_t size;
  if (x->dtype != CT_I32) return ct_fail(c, CT_EDTYPE, "want i32 indices (ct_cast converts)");
  if (!ct__mul_size(extents_before(x, a->axis), a->extent, &size) ||
      !ct__mul_size(size, extents_behind(x, a->axis), &size) || size > INT32_MAX)
    return ct_fail(c, CT_ESIZE, "want a tensor of less than 2^31 elements");
  return ct__infer_like(c, out);
}

static ct_status flat_eval(const ct_eval *e) {
  const flat *a = e->attr;
  ct_view *y = e->out[0];
  int64_t inner = extents_behind(y, a->axis), n = y->dim[a->axis];
  int32_t *at = (int32_t *)(void *)y->data;
  ct__copy(e->in[0], y);
  for (int64_t k = 0; k < y->size; k++)
    if (CT__UNLIKELY(at[k] < 0 || at[k] >= a->extent))
      return ct_error_set(CT_EINDEX, "%s: index %d (number %lld) is outside 0 <= i < %lld",
                          e->op->name, (int)at[k], (long long)k, (long long)a->extent);
  for (int64_t row = 0, k = 0; k < y->size; row++) { /* row = o n + j */
    int64_t first = row / n * a->extent * inner;
    for (int64_t i = 0; i < inner; i++, k++) at[k] = (int32_t)(first + at[k] * inner + i);
  }
  return CT_OK;
}

/* The axes before `axis`, the batch with the axis, the axes behind: each batch counts from 0. */
static void flat_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                       ct_tensor **out) {
  const flat *a = c->attr;
  const ct_view *x = ct__in(c, 0);
  int64_t before = extents_before(x, a->axis), behind = extents_behind(x, a->axis);
  int64_t n = batch_size(c, in, batched), along = x->dim[a->axis];
  ct_tensor *t = ct_transpose(ct_reshape(in[0], CT_SHAPE(n, before, along, behind)), 0, 1);
  t = ct__flat_index(ct_reshape(t, CT_SHAPE(before, n * along, behind)), 1, a->extent);
  t = ct_transpose(ct_reshape(t, CT_SHAPE(before, n, along, behind)), 0, 1);
  out[0] = ct_reshape(t, ct_shape_of(in[0]));
}

static const ct_op flat_index_op = {CT_OP,
                                    .name = "flat_index",
                                    .doc = "y = positions along an axis as positions in all",
                                    .n_in = 1,
                                    .flags = CT_NONDIFF | CT_CAN_FAIL,
                                    .attr_size = sizeof(flat),
                                    .infer = flat_infer,
                                    .eval = flat_eval,
                                    .batch = flat_batch,
                                    .lo = -2,
                                    .hi = 2};

ct_tensor *ct__flat_index(ct_tensor *indices, int axis, int64_t extent) {
  flat a = {axis, extent};
  return CT__APPLY(&flat_index_op, &a, indices);
}

static ct_tensor *flattened(ct_tensor *x) { return ct_reshape(x, CT_SHAPE(ct_size(x))); }

/* ---- put_along: y[o,at[o,j,i],i] += g[o,j,i], in zeros --------------------------------------- */

/* What a loop over lines is to know beside them. */
typedef struct put_lines {
  int64_t extent; /* of y */
  atomic_bool *outside;
} put_lines;

enum { SIDE_BY_SIDE = 16 };

/* Equal positions add up in order. m lines go together, `next` apart. */
#define PUT_ALONG(T)                                                                               \
  static inline bool put_together_##T(int64_t m, int64_t n, int64_t extent, const int64_t *step,   \
                                      const int64_t *next, const int32_t *at, const T *g, T *y) {  \
    bool inside = true;                                                                            \
    for (int64_t k = 0; k < extent; k++)                                                           \
      for (int64_t i = 0; i < m; i++) y[k * step[2] + i * next[2]] = 0;                            \
    for (int64_t j = 0; j < n; j++)                                                                \
      for (int64_t i = 0; i < m; i++) {                                                            \
        int64_t to = at[j * step[0] + i * next[0]];                                                \
        if (CT__LIKELY(to >= 0 && to < extent))                                                    \
          y[to * step[2] + i * next[2]] += g[j * step[1] + i * next[1]];                           \
        else                                                                                       \
          inside = false;                                                                          \
      }                                                                                            \
    return inside;                                                                                 \
  }                                                                                                \
  static void put_##T(CT__LOOP_ARGUMENTS) {                                                        \
    static const int64_t side_by_side[] = {1, 1, 1};                                               \
    const ct__lines *l = attr;                                                                     \
    const put_lines *put = l->attr;                                                                \
    const int32_t *at = (const int32_t *)(const void *)p[0];                                       \
    const T *g = (const T *)(const void *)p[1];                                                    \
    T *y = (T *)(void *)p[2];                                                                      \
    bool inside = true, plain = memcmp(l->step, side_by_side, sizeof side_by_side) == 0;           \
    int64_t together = llabs(l->step[2]) > llabs(s[2]) ? SIDE_BY_SIDE : 1, m;                      \
    for (; n > 0; n -= m, at += m * s[0], g += m * s[1], y += m * s[2]) {                          \
      m = n < together ? n : together;                                                             \
      inside &= plain                                                                              \
                    ? put_together_##T(1, l->n, put->extent, side_by_side, side_by_side, at, g, y) \
                    : put_together_##T(m, l->n, put->extent, l->step, s, at, g, y);                \
    }                                                                                              \
    if (!inside) atomic_store(put->outside, true);                                                 \
  }
PUT_ALONG(float)
PUT_ALONG(double)

static ct_status put_infer(const ct_call *c, ct_spec *out) {
  const flat *a = c->attr;
  const ct_view *at = ct__in(c, 0), *g = ct__in(c, 1);
  if (at->dtype != CT_I32 || !ct_dtype_is_float(g->dtype))
    return ct_fail(c, CT_EDTYPE, "want i32 positions of f32 or f64");
  if (!ct__same_shape(at, g)) return ct_fail(c, CT_ESHAPE, "want equal shapes");
  ct__spec_set(out, g->dtype, g->ndim, g->dim);
  out->shape.dim[a->axis] = a->extent;
  return CT_OK;
}

static ct_status put_eval(const ct_eval *e) {
  const flat *a = e->attr;
  const ct_view *g = e->in[1];
  const int axis = (int)a->axis;
  atomic_bool outside = false;
  put_lines put = {a->extent, &outside};
  ct__each_line(e, axis, false, g->dtype == CT_F32 ? put_float : put_double,
                (ct__lines){.n = g->dim[axis], .attr = &put});
  if (!atomic_load(&outside)) return CT_OK;
  return ct_error_set(CT_EINDEX, "%s: a position is outside 0 <= i < %lld", e->op->name,
                      (long long)a->extent);
}

static void put_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  if (ct_wants(c, 1))
    gx[1] = ct_take_along_axis(gy[0], c->in[0], (int)((const flat *)c->attr)->axis);
}

static void put_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                      ct_tensor **out) {
  flat a = *(const flat *)c->attr;
  a.axis++;
  batch_with(c, &a, in, batched, out);
}

static const ct_op put_along_op = {CT_OP,
                                   .name = "put_along",
                                   .doc =
                                       "y[..., at[..., j, ...], ...] += g[..., j, ...], in zeros",
                                   .n_in = 2,
                                   .linear = 2,
                                   .flags = CT_CAN_FAIL,
                                   .attr_size = sizeof(flat),
                                   .infer = put_infer,
                                   .eval = put_eval,
                                   .vjp = put_vjp,
                                   .batch = put_batch,
                                   .lo = -2,
                                   .hi = 2};

ct_tensor *ct__put_along(const ct_view *x, ct_tensor *indices, ct_tensor *g, int axis) {
  flat a = {axis, x->dim[axis]};
  return CT__APPLY(&put_along_op, &a, indices, g);
}

/* ---- take_along_axis: its transpose ---------------------------------------------------------- */

/* x with other extents before and behind the axis, as broadcasting gives them. */
static ct_tensor *spread(ct_tensor *x, ct_shape shape, int axis) {
  shape.dim[axis] = x->v.dim[axis];
  return ct_shape_equal(shape, ct_shape_of(x)) ? x : ct_broadcast_to(x, shape);
}

ct_tensor *ct_take_along_axis(ct_tensor *x, ct_tensor *indices, int axis) {
  CT__COMPOSITION("take_along_axis");
  const char *who = "take_along_axis";
  if (!ct__given_axis(who, x, &axis) || ct__check_tensor(who, "indices", indices) != CT_OK)
    return ct_nil();
  ct_shape sx = ct_shape_of(x), si = ct_shape_of(indices), both;
  if (sx.n == si.n) sx.dim[axis] = si.dim[axis] = 1;
  if (sx.n != si.n || !ct__broadcast(sx, si, &both)) {
    char a[CT__SHAPE_TEXT], b[CT__SHAPE_TEXT];
    return ct__nil(CT_ESHAPE, "%s: want shapes that broadcast except along axis %d, got %s and %s",
                   who, axis, ct__shape_text(a, x->v.ndim, x->v.dim),
                   ct__shape_text(b, indices->v.ndim, indices->v.dim));
  }
  x = spread(x, both, axis);
  indices = spread(indices, both, axis);
  if (ct__is_nil(x) || ct__is_nil(indices)) return ct_nil();
  return ct_gather(flattened(x), ct__flat_index(indices, axis, x->v.dim[axis]), 0);
}

/* ---- searchsorted: how many of a line of sorted numbers are smaller than x ------------------- */

/* sorted (lines, n), x (lines, ...): each element of x is looked for in the line of its leading
 * axes. From the right: how many are smaller or equal. NaN is larger than all. No derivative. */
static ct_status search_infer(const ct_call *c, ct_spec *out) {
  const ct_view *sorted = ct__in(c, 0), *x = ct__in(c, 1);
  int lead = sorted->ndim - 1;
  if (sorted->dtype != x->dtype) return ct_fail(c, CT_EDTYPE, "want one dtype (ct_cast converts)");
  if (lead < 0 || x->ndim < lead ||
      memcmp(sorted->dim, x->dim, (size_t)lead * sizeof x->dim[0]) != 0)
    return ct_fail(c, CT_ESHAPE, "want sorted (...,n) and x (...), the leading axes the same");
  if (sorted->dim[lead] > INT32_MAX) return ct_fail(c, CT_ESIZE, "want positions that fit i32");
  ct__spec_set(out, CT_I32, x->ndim, x->dim);
  return CT_OK;
}

/* NaN comes last. */
static bool comes_before(double a, double b) { return a < b || (b != b && a == a); }

static int32_t search(const ct_view *line, double x, bool right) {
  int64_t low = 0, high = line->dim[0];
  while (low < high) {
    int64_t mid = low + (high - low) / 2;
    double at = ct__get(line, mid * line->stride[0]);
    if (right ? !comes_before(x, at) : comes_before(at, x))
      low = mid + 1;
    else
      high = mid;
  }
  return (int32_t)low;
}

/* What a loop over x and the starts of its lines is to know beside them. */
typedef struct search_lines {
  ct_view line; /* how each lies */
  bool right;
} search_lines;

static void search_each(CT__LOOP_ARGUMENTS) {
  const search_lines *l = attr;
  const int64_t item = (int64_t)ct__item_size(l->line.dtype);
  ct_view line = l->line, x = {.dtype = line.dtype};
  for (int64_t i = 0; i < n; i++) {
    line.data = p[0] + i * s[0] * item;
    x.data = p[1] + i * s[1] * item;
    ((int32_t *)(void *)p[2])[i * s[2]] = search(&line, ct__get(&x, 0), l->right);
  }
}

static ct_status search_eval(const ct_eval *e) {
  enum { WEIGHT = 64 }; /* of a search, some 50 ns */
  const ct_view *sorted = e->in[0], *x = e->in[1];
  int lead = sorted->ndim - 1;
  search_lines l = {*sorted, *(const int *)e->attr};
  l.line.ndim = 1;
  l.line.dim[0] = sorted->dim[lead];
  l.line.stride[0] = sorted->stride[lead];
  ct_view starts = *x; /* of the line of each x */
  starts.data = sorted->data;
  for (int d = 0; d < x->ndim; d++) starts.stride[d] = d < lead ? sorted->stride[d] : 0;
  ct__view_refresh(&starts);
  ct__map(2, (const ct_view *[]){&starts, x}, e->out[0], search_each, &l, WEIGHT);
  return CT_OK;
}

static void search_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                         ct_tensor **out) {
  bool shared = !batched[0] && ct__in(c, 0)->ndim == 1; /* one line for all of x */
  int64_t n = batch_size(c, in, batched);
  out[0] = CT__APPLY(c->op, c->attr, shared ? in[0] : batch_whole(in, batched, 0, n),
                     batch_whole(in, batched, 1, n));
}

static const ct_op searchsorted_op = {CT_OP,
                                      .name = "searchsorted",
                                      .doc = "y = how many of the sorted numbers are smaller",
                                      .n_in = 2,
                                      .flags = CT_NONDIFF,
                                      .attr_size = sizeof(int),
                                      .infer = search_infer,
                                      .eval = search_eval,
                                      .batch = search_batch,
                                      .lo = -2,
                                      .hi = 2};

ct_tensor *ct_searchsorted(ct_tensor *sorted, ct_tensor *x, bool right) {
  int from_right = right;
  return CT__APPLY(&searchsorted_op, &from_right, sorted, x);
}

const ct_op *const ct__position_ops[] = {&flat_index_op, &put_along_op, &searchsorted_op, NULL};
