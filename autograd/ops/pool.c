/* pool.c - windows that slide over the last two axes: the largest element, the mean. */
#include "../../tensor/pool.h"
#include "batch.h"

#include <math.h>

/* Along axis d, window p covers p stride - padding + k for 0 <= k < kernel; in is the extent that
 * windows lie on, out their number. */
typedef struct windows {
  int64_t kernel[2], stride[2], padding[2], in[2], out[2];
} windows;

/* The windows over x, (..., h, w). */
static bool find_windows(const char *who, const ct_tensor *x, ct_pool_opts opts, windows *w) {
  if (!ct__given(who, x)) return false;
  const ct_view *v = &x->v;
  memset(w, 0, sizeof *w);
  for (int d = 0; d < 2; d++) {
    int64_t kernel = w->kernel[d] = opts.kernel[d], padding = w->padding[d] = opts.padding[d];
    int64_t stride = w->stride[d] = opts.stride[d] ? opts.stride[d] : kernel;
    if (kernel < 1 || stride < 1 || padding < 0 || padding >= kernel || kernel > INT32_MAX)
      return ct__fail(CT_EARG, "%s: want kernel >= 1, stride >= 1, 0 <= padding < kernel", who) ==
             CT_OK;
    int64_t in = w->in[d] = v->ndim < 2 ? 0 : v->dim[v->ndim - 2 + d];
    if (in < 1 || in > INT32_MAX || in + 2 * padding < kernel) {
      char text[CT__SHAPE_TEXT];
      return ct__fail(CT_ESHAPE,
                      "%s: want (...,h,w), at least as large as a window of %lld by %lld, got %s",
                      who, (long long)opts.kernel[0], (long long)opts.kernel[1],
                      ct__shape_text(text, v->ndim, v->dim)) == CT_OK;
    }
    w->out[d] = (in + 2 * padding - kernel) / stride + 1;
    if (w->out[d] == 1) w->stride[d] = 1; /* it does not matter, and a huge one would overflow */
  }
  return true;
}

/* x with extents at its end in place of those it has there. */
static void set_extents(const ct_view *x, const int64_t extent[2], ct_spec *out) {
  ct__spec_set(out, x->dtype, x->ndim, x->dim);
  memcpy(out->shape.dim + x->ndim - 2, extent, 2 * sizeof extent[0]);
}

/* The part of window p along axis d that lies on elements: [from, to). */
static inline bool clip_window(const windows *w, int d, int64_t p, int64_t *from, int64_t *to) {
  int64_t start = p * w->stride[d] - w->padding[d];
  *from = start < 0 ? 0 : start;
  *to = start + w->kernel[d] < w->in[d] ? start + w->kernel[d] : w->in[d];
  return true;
}

/* Window (p, q) of a plane covers its rows i0 <= i < i1 and columns j0 <= j < j1. */
#define EACH_WINDOW(w)                                                                             \
  for (int64_t p = 0, i0, i1; p < w->out[0] && clip_window(w, 0, p, &i0, &i1); p++)                \
    for (int64_t q = 0, j0, j1; q < w->out[1] && clip_window(w, 1, q, &j0, &j1); q++)

/* The first element of plane number at. */
static char *plane(const ct_view *v, int64_t at) {
  int64_t offset = ct__offset_of(v->ndim - 2, v->dim, v->stride, at);
  return v->data + offset * (int64_t)ct_dtype_size(v->dtype);
}

static int64_t planes(const ct_view *v) {
  int64_t n = 1;
  for (int d = 0; d < v->ndim - 2; d++) n *= v->dim[d];
  return n;
}

/* Cuts the planes of an operation into ranges. */
static void each_range_of_planes(const ct_eval *e, ct__range_task *task) {
  const windows *w = e->attr;
  int64_t n = planes(e->in[0]);
  ct_eval copy = *e;
  if (n == 0) return;
  int64_t size = w->in[0] * w->in[1] + w->out[0] * w->out[1];
  ct__parallel_range(n, 2 * ct__line_weight(e->in[0], size), 1, task, &copy);
}

/* The last two strides. */
static const int64_t *steps(const ct_view *v) { return v->stride + v->ndim - 2; }

/* ---- maxpool: the largest element of each window, and where it is ---------------------------- */

/* y = max, i = the first position of it in the plane of h w elements; NaN wins.
 * gx = gy put back at i, dy = dx taken at i. */
static ct_status maxpool_infer(const ct_call *c, ct_spec *out) {
  const windows *w = c->attr;
  const ct_view *x = ct__in(c, 0);
  if (!ct_dtype_is_float(x->dtype)) return ct_fail(c, CT_EDTYPE, "want f32 or f64");
  if (w->in[0] * w->in[1] > INT32_MAX) return ct_fail(c, CT_ESIZE, "want positions that fit i32");
  set_extents(x, w->out, &out[0]);
  set_extents(x, w->out, &out[1]);
  out[1].dtype = CT_I32;
  return CT_OK;
}

/* The windows of a row for which column k of theirs lies on elements: [from, to). */
static void find_columns(const windows *w, int64_t k, int64_t *from, int64_t *to) {
  int64_t stride = w->stride[1], before = w->padding[1] - k, inside = w->in[1] + before;
  *from = before > 0 ? (before + stride - 1) / stride : 0;
  *to = w->out[1];
  if ((*to - 1) * stride >= inside) *to = inside > 0 ? (inside - 1) / stride + 1 : 0;
}

/* The windows of a row side by side, one element of each at a time, without branches; nothing is
 * smaller than where they begin. */
#define MAXPOOL_PLANE(name, T)                                                                     \
  static void name##_column(int64_t n, const T *restrict x, int64_t step, uint32_t place,          \
                            uint32_t stride, T *restrict y, int32_t *restrict at) {                \
    for (int64_t q = 0; q < n; q++) {                                                              \
      T v = x[q * step], best = y[q];                                                              \
      bool wins = (v > best) | ((v != v) & (best == best));                                        \
      y[q] = wins ? v : best;                                                                      \
      at[q] = wins ? (int32_t)(place + (uint32_t)q * stride) : at[q];                              \
    }                                                                                              \
  }                                                                                                \
  static void name(const windows *w, const char *from, const int64_t *s, char *to, int32_t *at) {  \
    const T *x = (const T *)(const void *)from;                                                    \
    T *y = (T *)(void *)to;                                                                        \
    const int64_t stride = w->stride[1];                                                           \
    for (int64_t p = 0, i0, i1; p < w->out[0] && clip_window(w, 0, p, &i0, &i1); p++) {            \
      for (int64_t q = 0, j0, j1; q < w->out[1] && clip_window(w, 1, q, &j0, &j1); q++) {          \
        y[q] = -(T)INFINITY;                                                                       \
        at[q] = (int32_t)(i0 * w->in[1] + j0);                                                     \
      }                                                                                            \
      for (int64_t i = i0; i < i1; i++)                                                            \
        for (int64_t k = 0, a, b; k < w->kernel[1]; k++) {                                         \
          find_columns(w, k, &a, &b);                                                              \
          if (a >= b) continue;                                                                    \
          int64_t j = a * stride - w->padding[1] + k;                                              \
          name##_column(b - a, x + i * s[0] + j * s[1], stride * s[1],                             \
                        (uint32_t)(i * w->in[1] + j), (uint32_t)stride, y + a, at + a);            \
        }                                                                                          \
      y += w->out[1];                                                                              \
      at += w->out[1];                                                                             \
    }                                                                                              \
  }
MAXPOOL_PLANE(maxpool_f32, float)
MAXPOOL_PLANE(maxpool_f64, double)

static void maxpool_planes(void *context, int64_t from, int64_t to) {
  const ct_eval *e = context;
  const windows *w = e->attr;
  const ct_view *x = e->in[0];
  int64_t size = w->out[0] * w->out[1];
  for (int64_t n = from; n < to; n++)
    (x->dtype == CT_F32 ? maxpool_f32 : maxpool_f64)(
        w, plane(x, n), steps(x), e->out[0]->data + n * size * (int64_t)ct_dtype_size(x->dtype),
        (int32_t *)(void *)e->out[1]->data + n * size);
}

static ct_status maxpool_eval(const ct_eval *e) {
  each_range_of_planes(e, maxpool_planes);
  return CT_OK;
}

/* (planes, elements of a plane). */
static ct_tensor *as_lines(ct_tensor *x, const int64_t extent[2]) {
  return ct_reshape(x, CT_SHAPE(planes(&x->v), extent[0] * extent[1]));
}

static void maxpool_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  const windows *w = c->attr;
  ct_view lines;
  if (!gy[0]) return;
  ct__view_set(&lines, gy[0]->v.dtype, 2,
               (const int64_t[]){planes(ct__in(c, 0)), w->in[0] * w->in[1]});
  ct_tensor *g = ct__put_along(&lines, as_lines(ct_out(c, 1), w->out), as_lines(gy[0], w->out), 1);
  gx[0] = ct_reshape(g, ct_shape_of(c->in[0]));
}

static void maxpool_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  const windows *w = c->attr;
  if (!dx[0]) return;
  ct_tensor *d = ct_take_along_axis(as_lines(dx[0], w->in), as_lines(ct_out(c, 1), w->out), 1);
  dy[0] = ct_reshape(d, ct_shape_of(ct_out(c, 0)));
}

static const ct_op maxpool_op = {CT_OP,
                                 .name = "maxpool",
                                 .doc = "y = the largest element of each window, i = where",
                                 .n_in = 1,
                                 .n_out = 2,
                                 .attr_size = sizeof(windows),
                                 .infer = maxpool_infer,
                                 .eval = maxpool_eval,
                                 .vjp = maxpool_vjp,
                                 .jvp = maxpool_jvp,
                                 .batch = batch_in_front,
                                 .lo = -2,
                                 .hi = 2};

ct_tensor *ct_maxpool(ct_tensor *x, ct_pool_opts opts, ct_tensor **positions) {
  windows w;
  ct_tensor *out[2] = {ct_nil(), ct_nil()};
  if (find_windows("maxpool", x, opts, &w)) ct__apply(&maxpool_op, &w, 1, &x, out);
  if (positions) *positions = out[1];
  return out[0];
}

/* ---- avgpool and its transpose --------------------------------------------------------------- */

/* avgpool: y[p] = sum_k x[p stride + k - padding] / area; what lies outside counts as 0.
 * avgpool_transpose: x[q] = sum of y[p] / area over the windows p that cover q.
 * Each is linear and the other's derivative. */
static ct_status avgpool_infer(const ct_call *c, ct_spec *out) {
  if (!ct_dtype_is_float(ct__in(c, 0)->dtype)) return ct_fail(c, CT_EDTYPE, "want f32 or f64");
  set_extents(ct__in(c, 0), ((const windows *)c->attr)->out, out);
  return CT_OK;
}

static ct_status transpose_infer(const ct_call *c, ct_spec *out) {
  set_extents(ct__in(c, 0), ((const windows *)c->attr)->in, out);
  return CT_OK;
}

#define AVGPOOL_PLANES(T)                                                                          \
  static void avgpool_##T(const windows *w, const char *from, const int64_t *s, char *to) {        \
    const T *x = (const T *)(const void *)from;                                                    \
    T *y = (T *)(void *)to;                                                                        \
    double area = (double)(w->kernel[0] * w->kernel[1]);                                           \
    EACH_WINDOW(w) {                                                                               \
      double sum = 0;                                                                              \
      for (int64_t i = i0; i < i1; i++)                                                            \
        for (int64_t j = j0; j < j1; j++) sum += (double)x[i * s[0] + j * s[1]];                   \
      *y++ = (T)(sum / area);                                                                      \
    }                                                                                              \
  }                                                                                                \
  static void spread_##T(const windows *w, const char *from, const int64_t *s, char *to) {         \
    const T *y = (const T *)(const void *)from;                                                    \
    T *x = (T *)(void *)to;                                                                        \
    double area = (double)(w->kernel[0] * w->kernel[1]);                                           \
    memset(x, 0, (size_t)(w->in[0] * w->in[1]) * sizeof(T));                                       \
    EACH_WINDOW(w) {                                                                               \
      T share = (T)((double)y[p * s[0] + q * s[1]] / area);                                        \
      for (int64_t i = i0; i < i1; i++)                                                            \
        for (int64_t j = j0; j < j1; j++) x[i * w->in[1] + j] += share;                            \
    }                                                                                              \
  }
AVGPOOL_PLANES(float)
AVGPOOL_PLANES(double)

typedef void plane_kernel(const windows *w, const char *from, const int64_t *s, char *to);

static void each_plane(const ct_eval *e, plane_kernel *kernel, int64_t from, int64_t to) {
  const ct_view *x = e->in[0], *y = e->out[0];
  int64_t size = y->dim[y->ndim - 2] * y->dim[y->ndim - 1];
  for (int64_t n = from; n < to; n++)
    kernel(e->attr, plane(x, n), steps(x), y->data + n * size * (int64_t)ct_dtype_size(y->dtype));
}

static void avgpool_planes(void *context, int64_t from, int64_t to) {
  const ct_eval *e = context;
  each_plane(e, e->in[0]->dtype == CT_F32 ? avgpool_float : avgpool_double, from, to);
}

static void transpose_planes(void *context, int64_t from, int64_t to) {
  const ct_eval *e = context;
  each_plane(e, e->in[0]->dtype == CT_F32 ? spread_float : spread_double, from, to);
}

static ct_status avgpool_eval(const ct_eval *e) {
  each_range_of_planes(e, avgpool_planes);
  return CT_OK;
}

static ct_status transpose_eval(const ct_eval *e) {
  each_range_of_planes(e, transpose_planes);
  return CT_OK;
}

static const ct_op avgpool_op;

static void transpose_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = CT__APPLY(&avgpool_op, c->attr, gy[0]);
}

static const ct_op avgpool_transpose_op = {CT_OP,
                                           .name = "avgpool_transpose",
                                           .doc = "y = x spread evenly over its windows",
                                           .n_in = 1,
                                           .linear = 1,
                                           .attr_size = sizeof(windows),
                                           .infer = transpose_infer,
                                           .eval = transpose_eval,
                                           .vjp = transpose_vjp,
                                           .batch = batch_in_front,
                                           .lo = -2,
                                           .hi = 2};

static void avgpool_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = CT__APPLY(&avgpool_transpose_op, c->attr, gy[0]);
}

static const ct_op avgpool_op = {CT_OP,
                                 .name = "avgpool",
                                 .doc = "y = the mean of each window",
                                 .n_in = 1,
                                 .linear = 1,
                                 .attr_size = sizeof(windows),
                                 .infer = avgpool_infer,
                                 .eval = avgpool_eval,
                                 .vjp = avgpool_vjp,
                                 .batch = batch_in_front,
                                 .lo = -2,
                                 .hi = 2};

ct_tensor *ct_avgpool(ct_tensor *x, ct_pool_opts opts) {
  windows w;
  return find_windows("avgpool", x, opts, &w) ? CT__APPLY(&avgpool_op, &w, x) : ct_nil();
}

const ct_op *const ct__pool_ops[] = {&maxpool_op, &avgpool_op, &avgpool_transpose_op, NULL};
