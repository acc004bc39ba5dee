/* conv.c - convolution over two axes and its transpose.
 *
 * Everything here is one trilinear form of x (n, g c, h, w), w (g o, c, k, l), y (n, g o, p, q):
 *
 *   sum x[n, i, p stride + k dilation - padding] w[o, i, k] y[n, o, p]      (two axes alike)
 *
 * with x = 0 outside its extents, g groups of channels that do not meet. conv2d is its derivative
 * by y, conv2d_transpose by x. The one by w is conv2d again, as k and p have the same part in the
 * form: stride and dilation change places, n and the channels too. So all derivatives are these
 * two.
 */
#include "../../tensor/pool.h"
#include "batch.h"

typedef struct geometry {
  int64_t stride[2], dilation[2], padding[2];
  int64_t extent[2]; /* of the result: (p, q) or (h, w) */
  int64_t groups;
} geometry;

/* ---- numbers --------------------------------------------------------------------------------- */

/* The places of one group of one sample. */
typedef struct patch {
  const geometry *a;
  int64_t channels, in[2], kernel[2], out[2]; /* c, (h, w), (k, l), (p, q) */
} patch;

/* The range of p for which 0 <= p stride + offset < extent. */
static void clip(int64_t offset, int64_t stride, int64_t extent, int64_t n, int64_t *from,
                 int64_t *to) {
  int64_t first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
  int64_t end = extent > offset ? (extent - offset - 1) / stride + 1 : 0;
  *to = end < n ? end : n;
  *from = first < *to ? first : *to;
}

/* For each row (i, k, l) of the matrix of columns, (c k l, p q), and each p that meets x: the q
 * from q0 to q1 meet it too, from element h, v on. */
typedef struct stretch {
  int64_t i, h, v, row, p, q0, q1;
} stretch;

#define EACH_STRETCH(b, s)                                                                         \
  for (stretch s = {.row = 0}; s.row < b->channels * b->kernel[0] * b->kernel[1]; s.row++)         \
    for (int64_t p_end = find_row(b, &s); s.p < p_end; s.p++, s.h += b->a->stride[0])

static int64_t find_row(const patch *b, stretch *s) {
  const geometry *a = b->a;
  int64_t l = s->row % b->kernel[1], k = s->row / b->kernel[1] % b->kernel[0], end;
  int64_t h = k * a->dilation[0] - a->padding[0], v = l * a->dilation[1] - a->padding[1];
  s->i = s->row / (b->kernel[0] * b->kernel[1]);
  clip(h, a->stride[0], b->in[0], b->out[0], &s->p, &end);
  clip(v, a->stride[1], b->in[1], b->out[1], &s->q0, &s->q1);
  s->h = h + s->p * a->stride[0];
  s->v = v + s->q0 * a->stride[1];
  return end;
}

/* columns[(i,k,l), (p,q)] = x[i, p stride + k dilation - padding], x of strides s; and its
 * transpose, which adds them up in x. */
#define COLUMNS(T)                                                                                 \
  static void to_columns_##T(const patch *b, const char *from, const int64_t *s, char *to) {       \
    int64_t size = b->out[0] * b->out[1], step = b->a->stride[1] * s[3];                           \
    memset(to, 0, (size_t)(b->channels * b->kernel[0] * b->kernel[1] * size) * sizeof(T));         \
    EACH_STRETCH(b, at) {                                                                          \
      const T *x = (const T *)(const void *)from + at.i * s[1] + at.h * s[2] + at.v * s[3];        \
      T *column = (T *)(void *)to + at.row * size + at.p * b->out[1];                              \
      for (int64_t q = at.q0; q < at.q1; q++) column[q] = x[(q - at.q0) * step];                   \
    }                                                                                              \
  }                                                                                                \
  static void add_columns_##T(const patch *b, const char *from, const int64_t *s, char *to) {      \
    int64_t size = b->out[0] * b->out[1], step = b->a->stride[1] * s[3];                           \
    EACH_STRETCH(b, at) {                                                                          \
      const T *column = (const T *)(const void *)from + at.row * size + at.p * b->out[1];          \
      T *x = (T *)(void *)to + at.i * s[1] + at.h * s[2] + at.v * s[3];                            \
      for (int64_t q = at.q0; q < at.q1; q++) x[(q - at.q0) * step] += column[q];                  \
    }                                                                                              \
  }
COLUMNS(float)
COLUMNS(double)

static void add_at(const ct_view *v, int64_t offset, double value) {
  if (v->dtype == CT_F32)
    ((float *)(void *)v->data)[offset] += (float)value;
  else
    ((double *)(void *)v->data)[offset] += value;
}

/* The form term by term, added to y or x: the plain way. Padding is zeros: times an infinite weight
 * they are NaN. */
static void each_term(const geometry *a, const ct_view *x, const ct_view *w, const ct_view *y,
                      bool into_y) {
  int64_t dim[7] = {y->dim[0], y->dim[1], w->dim[1], w->dim[2], w->dim[3], y->dim[2], y->dim[3]};
  int64_t at[7], terms = 1; /* n, o, i, k, l, p, q */
  for (int d = 0; d < 7; d++) terms *= dim[d];
  for (int64_t t = 0; t < terms; t++) {
    int64_t rest = t;
    for (int d = 6; d >= 0; d--) {
      at[d] = rest % dim[d];
      rest /= dim[d];
    }
    int64_t h = at[5] * a->stride[0] + at[3] * a->dilation[0] - a->padding[0];
    int64_t v = at[6] * a->stride[1] + at[4] * a->dilation[1] - a->padding[1];
    bool padding = h < 0 || h >= x->dim[2] || v < 0 || v >= x->dim[3];
    if (padding && !into_y) continue;
    int64_t channel = at[1] / (y->dim[1] / a->groups) * w->dim[1] + at[2];
    const int64_t *sx = x->stride, *sw = w->stride, *sy = y->stride;
    int64_t x_at = at[0] * sx[0] + channel * sx[1] + h * sx[2] + v * sx[3];
    int64_t w_at = at[1] * sw[0] + at[2] * sw[1] + at[3] * sw[2] + at[4] * sw[3];
    int64_t y_at = at[0] * sy[0] + at[1] * sy[1] + at[5] * sy[2] + at[6] * sy[3];
    if (into_y)
      add_at(y, y_at, (padding ? 0 : ct__get(x, x_at)) * ct__get(w, w_at));
    else
      add_at(x, x_at, ct__get(y, y_at) * ct__get(w, w_at));
  }
}

static ct_view matrix(const ct_view *like, char *data, int64_t rows, int64_t columns) {
  ct_view m;
  ct__view_set(&m, like->dtype, 2, (const int64_t[]){rows, columns});
  m.data = data;
  return m;
}

/* v's numbers row-major: where they lie, or in a copy at *work, which moves on. */
static char *row_major(const ct_view *v, char **work) {
  if (v->contiguous) return v->data;
  ct_view copy;
  ct__view_set(&copy, v->dtype, v->ndim, v->dim);
  copy.data = *work;
  ct__copy(v, &copy);
  *work += v->size * (int64_t)ct_dtype_size(v->dtype);
  return copy.data;
}

static ct_view transposed(ct_view m) {
  ct_view t = m;
  for (int d = 0; d < 2; d++) {
    t.dim[d] = m.dim[1 - d];
    t.stride[d] = m.stride[1 - d];
  }
  ct__view_refresh(&t);
  return t;
}

/* Images, a group of a sample each, do not depend on each other: they are cut into pieces, each
 * with columns of its own. */
typedef struct plan {
  int64_t images, rows, positions, column_bytes, pieces;
} plan;

static plan plan_of(const geometry *a, const ct_view *w, int64_t samples, const int64_t *out) {
  enum { MOST = 16, MEMORY = 1 << 25 };
  plan p = {.rows = w->dim[1] * w->dim[2] * w->dim[3], .positions = out[0] * out[1]};
  if (!ct__mul_size(samples, a->groups, &p.images)) p.images = 0; /* of no elements */
  p.column_bytes = ct__line_weight(w, p.rows * p.positions);
  p.pieces = ct__pieces(p.images, 2 * p.column_bytes);
  if (p.pieces > MOST) p.pieces = MOST;
  if (p.pieces > 1 && p.pieces * p.column_bytes > MEMORY)
    p.pieces = p.column_bytes < MEMORY ? MEMORY / p.column_bytes : 1;
  return p;
}

/* y = w columns(x), or columns = w^T y added to x. */
typedef struct column_job {
  plan plan;
  patch b;
  const ct_view *x, *w;
  char *w_data, *y_data, *columns;
  int64_t o; /* channels of y in a group */
  bool into_y;
  atomic_int status;
} column_job;

static ct_status image_by_columns(const column_job *job, int64_t image, ct_view *columns) {
  const patch *b = &job->b;
  const ct_view *x = job->x;
  const int64_t item = (int64_t)ct_dtype_size(x->dtype), groups = b->a->groups;
  const int64_t n = image / groups, g = image % groups;
  char *x_data = x->data + (n * x->stride[0] + g * b->channels * x->stride[1]) * item;
  char *w_data = job->w_data + g * job->o * job->plan.rows * item;
  char *y_data = job->y_data + image * job->o * job->plan.positions * item;
  ct_view wg = matrix(x, w_data, job->o, job->plan.rows);
  ct_view yg = matrix(x, y_data, job->o, job->plan.positions);
  if (job->into_y) {
    (item == 4 ? to_columns_float : to_columns_double)(b, x_data, x->stride, columns->data);
    return ct__gemm(1, &wg, columns, 0, &yg);
  }
  ct_view back = transposed(wg);
  ct_status status = ct__gemm(1, &back, &yg, 0, columns);
  (item == 4 ? add_columns_float : add_columns_double)(b, columns->data, x->stride, x_data);
  return status;
}

static void run_images(void *context, int64_t piece) {
  column_job *job = context;
  const plan *p = &job->plan;
  ct_view columns = matrix(job->x, job->columns + piece * p->column_bytes, p->rows, p->positions);
  int64_t end = ct__piece_start(p->images, 1, p->pieces, piece + 1);
  for (int64_t i = ct__piece_start(p->images, 1, p->pieces, piece); i < end; i++) {
    ct_status status = image_by_columns(job, i, &columns);
    if (status != CT_OK) atomic_store(&job->status, (int)status);
  }
}

static ct_status by_columns(const geometry *a, const ct_view *x, const ct_view *w, const ct_view *y,
                            bool into_y, char *work) {
  column_job job = {.plan = plan_of(a, w, y->dim[0], y->dim + 2),
                    .b = {.a = a,
                          .channels = w->dim[1],
                          .in = {x->dim[2], x->dim[3]},
                          .kernel = {w->dim[2], w->dim[3]},
                          .out = {y->dim[2], y->dim[3]}},
                    .x = x,
                    .w = w,
                    .w_data = row_major(w, &work),
                    .o = w->dim[0] / a->groups,
                    .into_y = into_y};
  job.y_data = row_major(y, &work);
  job.columns = work;
  ct__parallel(job.plan.pieces, run_images, &job);
  return (ct_status)atomic_load(&job.status);
}

/* Bytes for the columns and for copies of what is not row-major. */
static size_t bytes_of(const ct_call *c, const ct_view *y, const int64_t *out) {
  const ct_view *w = ct__in(c, 1);
  plan p = plan_of(c->attr, w, ct__in(c, 0)->dim[0], out);
  int64_t n = 0;
  if (!w->contiguous) n += w->size;
  if (y && !y->contiguous) n += y->size;
  return (size_t)(p.pieces * p.column_bytes + ct__line_weight(w, n));
}

/* ---- what both share ------------------------------------------------------------------------- */

static ct_status check(const ct_call *c, bool transpose) {
  const geometry *a = c->attr;
  const ct_view *x = ct__in(c, 0), *w = ct__in(c, 1);
  if (x->dtype != w->dtype || !ct_dtype_is_float(x->dtype))
    return ct_fail(c, CT_EDTYPE, "want f32 or f64, the same twice (ct_cast converts)");
  int64_t channels = 0;
  bool fits = x->ndim == 4 && w->ndim == 4 && w->dim[0] % a->groups == 0 &&
              ct__mul_size(w->dim[1], a->groups, &channels) &&
              x->dim[1] == (transpose ? w->dim[0] : channels);
  if (!fits)
    return ct_fail(c, CT_ESHAPE, "want (n,%s,h,w) and (o,c/groups,k,l) for %lld groups",
                   transpose ? "o" : "c", (long long)a->groups);
  int64_t size = w->dim[1];
  const int64_t *positions = transpose ? x->dim + 2 : a->extent;
  bool small = true;
  for (int d = 0; d < 2; d++)
    small &= x->dim[2 + d] <= INT32_MAX && w->dim[2 + d] <= INT32_MAX &&
             a->extent[d] <= INT32_MAX && ct__mul_size(size, w->dim[2 + d], &size) &&
             ct__mul_size(size, positions[d], &size) && size < INT64_MAX / 64;
  return small ? CT_OK : ct_fail(c, CT_ESIZE, "too large");
}

static void set_result(const ct_call *c, int64_t channels, ct_spec *out) {
  const int64_t *extent = ((const geometry *)c->attr)->extent;
  ct__spec_set(out, ct__in(c, 0)->dtype, 4,
               (const int64_t[]){ct__in(c, 0)->dim[0], channels, extent[0], extent[1]});
}

static const ct_op conv2d_op, conv2d_transpose_op;

/* op with a result of other extents, those of like. */
static ct_tensor *other(const ct_op *op, const ct_call *c, ct_tensor *x, ct_tensor *like) {
  geometry a = *(const geometry *)c->attr;
  memcpy(a.extent, like->v.dim + 2, sizeof a.extent);
  return CT__APPLY(op, &a, x, c->in[1]);
}

static void exchange(int64_t *a, int64_t *b) {
  int64_t t = *a;
  *a = *b;
  *b = t;
}

/* (m, g c, h, w) as (m, g, c, h, w). */
static ct_tensor *cut_channels(ct_tensor *x, int64_t g) {
  const int64_t *d = x->v.dim;
  return ct_reshape(x, CT_SHAPE(d[0], g, d[1] / g, d[2], d[3]));
}

/* The form's derivative by w. */
static ct_tensor *by_weight(const ct_call *c, ct_tensor *x, ct_tensor *y) {
  const ct_view *w = ct__in(c, 1);
  geometry a = *(const geometry *)c->attr;
  if (ct__is_nil(x) || ct__is_nil(y)) return ct_nil();
  for (int d = 0; d < 2; d++) {
    exchange(&a.stride[d], &a.dilation[d]);
    a.extent[d] = w->dim[2 + d];
  }
  const int64_t *d = x->v.dim;
  ct_tensor *t = ct_transpose(cut_channels(x, a.groups), 0, 2);
  t = ct_reshape(t, CT_SHAPE(w->dim[1], a.groups * d[0], d[2], d[3]));
  return ct_transpose(CT__APPLY(&conv2d_op, &a, t, ct_transpose(y, 0, 1)), 0, 1);
}

/* ---- batch rules ----------------------------------------------------------------------------- */

/* x for each of the batch its own w: as many times the groups. */
static ct_tensor *each_its_own(const ct_call *c, ct_tensor *x, ct_tensor *w) {
  geometry a = *(const geometry *)c->attr;
  int64_t n = ct_dim(x, 0);
  a.groups *= n;
  const ct_shape from = ct_shape_of(x);
  x = ct_reshape(ct_transpose(x, 0, 1),
                 CT_SHAPE(from.dim[1], n * from.dim[2], from.dim[3], from.dim[4]));
  ct_tensor *y = CT__APPLY(c->op, &a, x, join_axes(w, 2));
  return ct__is_nil(y) ? y : ct_transpose(cut_channels(y, n), 0, 1);
}

/* One x for every w, (b, g o, c, k, l): the batch becomes channels of the result inside each group,
 * so its axis in w moves from the front to behind the axis `to` of (g, o, c, k, l). */
static ct_tensor *one_for_all(const ct_call *c, ct_tensor *x, ct_tensor *w, int to) {
  const int64_t *d = ct__in(c, 1)->dim;
  int64_t n = ct_dim(w, 0), g = ((const geometry *)c->attr)->groups;
  w = move_axis(ct_reshape(w, CT_SHAPE(n, g, d[0] / g, d[1], d[2], d[3])), 0, to);
  w = to == 1 ? ct_reshape(w, CT_SHAPE(n * d[0], d[1], d[2], d[3]))
              : ct_reshape(w, CT_SHAPE(d[0], n * d[1], d[2], d[3]));
  ct_tensor *y = CT__APPLY(c->op, c->attr, x, w); /* (m, g b c', h, w) */
  if (ct__is_nil(y)) return y;
  const int64_t *r = y->v.dim;
  ct_tensor *t = ct_reshape(y, CT_SHAPE(r[0], g, n, r[1] / (g * n), r[2] * r[3]));
  return ct_reshape(move_axis(t, 2, 0), CT_SHAPE(n, r[0], r[1] / n, r[2], r[3]));
}

static void batch(const ct_call *c, ct_tensor *const *in, const bool *batched, ct_tensor **out) {
  ct_spec one;
  if (batch_size(c, in, batched) == 0 && c->op->infer(c, &one) == CT_OK)
    out[0] = ct_zeros(one.dtype, batch_shape(0, one.shape));
  else if (batched[0] && batched[1])
    out[0] = each_its_own(c, in[0], in[1]);
  else if (batched[1])
    out[0] = one_for_all(c, in[0], in[1], c->op == &conv2d_op ? 1 : 2);
  else
    out[0] = cut_axis(CT__APPLY(c->op, c->attr, join_axes(in[0], 2), in[1]), ct_dim(in[0], 0),
                      ct_dim(in[0], 1));
}

/* ---- conv2d: y[n,o,p] = sum x[n,i, p stride + k dilation - padding] w[o,i,k] ----------------- */

/* gx = conv2d_transpose(gy, w), gw = conv2d of x and gy with stride and dilation exchanged. */
static ct_status conv_infer(const ct_call *c, ct_spec *out) {
  ct_status status = check(c, false);
  if (status == CT_OK) set_result(c, ct__in(c, 1)->dim[0], out);
  return status;
}

static size_t conv_work(const ct_call *c) {
  return bytes_of(c, NULL, ((const geometry *)c->attr)->extent);
}

static ct_status conv_eval(const ct_eval *e) {
  const geometry *a = e->attr;
  bool empty = e->in[0]->size == 0 || e->in[1]->size == 0;
  if (!empty && e->out[0]->size > 0 && !ct__reference())
    return by_columns(a, e->in[0], e->in[1], e->out[0], true, e->work);
  ct__fill(e->out[0], 0);
  if (!empty) each_term(a, e->in[0], e->in[1], e->out[0], true);
  return CT_OK;
}

static void conv_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  if (ct_wants(c, 0)) gx[0] = other(&conv2d_transpose_op, c, gy[0], c->in[0]);
  if (ct_wants(c, 1)) gx[1] = by_weight(c, c->in[0], gy[0]);
}

static const ct_op conv2d_op = {CT_OP,
                                .name = "conv2d",
                                .doc = "y = sum over windows of x times w",
                                .n_in = 2,
                                .linear = 3,
                                .attr_size = sizeof(geometry),
                                .infer = conv_infer,
                                .work = conv_work,
                                .eval = conv_eval,
                                .vjp = conv_vjp,
                                .batch = batch,
                                .lo = -2,
                                .hi = 2};

/* ---- conv2d_transpose: x[n,i,h] = sum y[n,o,p] w[o,i,k], p stride + k dilation - padding = h - */

/* gy = conv2d(gx, w), gw = conv2d of gx and y with stride and dilation exchanged. */
static ct_status transpose_infer(const ct_call *c, ct_spec *out) {
  ct_status status = check(c, true);
  if (status == CT_OK)
    set_result(c, ((const geometry *)c->attr)->groups * ct__in(c, 1)->dim[1], out);
  return status;
}

static size_t transpose_work(const ct_call *c) {
  return bytes_of(c, ct__in(c, 0), ct__in(c, 0)->dim + 2);
}

static ct_status transpose_eval(const ct_eval *e) {
  const geometry *a = e->attr;
  ct__fill(e->out[0], 0);
  if (e->in[0]->size == 0 || e->in[1]->size == 0 || e->out[0]->size == 0) return CT_OK;
  if (!ct__reference()) return by_columns(a, e->out[0], e->in[1], e->in[0], false, e->work);
  each_term(a, e->out[0], e->in[1], e->in[0], false);
  return CT_OK;
}

static void transpose_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  if (ct_wants(c, 0)) gx[0] = other(&conv2d_op, c, gy[0], c->in[0]);
  if (ct_wants(c, 1)) gx[1] = by_weight(c, gy[0], c->in[0]);
}

static const ct_op conv2d_transpose_op = {CT_OP,
                                          .name = "conv2d_transpose",
                                          .doc = "y = x spread over windows times w",
                                          .n_in = 2,
                                          .linear = 3,
                                          .attr_size = sizeof(geometry),
                                          .infer = transpose_infer,
                                          .work = transpose_work,
                                          .eval = transpose_eval,
                                          .vjp = transpose_vjp,
                                          .batch = batch,
                                          .lo = -2,
                                          .hi = 2};

/* ---- constructors ---------------------------------------------------------------------------- */

/* The options with their defaults; fails where they are out of range. */
static bool read_opts(const char *who, ct_conv2d_opts opts, geometry *a) {
  *a = (geometry){.groups = opts.groups ? opts.groups : 1};
  bool good = a->groups >= 1 && a->groups <= INT32_MAX;
  for (int d = 0; d < 2; d++) {
    int64_t stride = a->stride[d] = opts.stride[d] ? opts.stride[d] : 1;
    int64_t dilation = a->dilation[d] = opts.dilation[d] ? opts.dilation[d] : 1;
    int64_t padding = a->padding[d] = opts.padding[d], more = opts.output_padding[d];
    good &= stride >= 1 && dilation >= 1 && padding >= 0 && stride <= INT32_MAX &&
            dilation <= INT32_MAX && padding <= INT32_MAX && more >= 0 &&
            (more < stride || more < dilation);
  }
  if (!good)
    ct__fail(CT_EARG,
             "%s: want stride, dilation and groups >= 1 (0 means 1), padding >= 0 and "
             "0 <= output_padding < stride or dilation",
             who);
  return good;
}

/* For operands whose extents make sense; infer refuses the others. */
static bool images(const ct_tensor *x, const ct_tensor *w) {
  if (ct_is_nil(x) || ct_is_nil(w) || x->v.ndim != 4 || w->v.ndim != 4) return false;
  for (int d = 2; d < 4; d++)
    if (x->v.dim[d] > INT32_MAX || w->v.dim[d] > INT32_MAX) return false;
  return true;
}

static ct_tensor *too_small(const char *who, const ct_tensor *x, const ct_tensor *w) {
  char a[CT__SHAPE_TEXT], b[CT__SHAPE_TEXT];
  return ct__nil(CT_ESHAPE, "%s: no window of %s fits %s", who,
                 ct__shape_text(b, w->v.ndim, w->v.dim), ct__shape_text(a, x->v.ndim, x->v.dim));
}

ct_tensor *ct_conv2d(ct_tensor *x, ct_tensor *w, ct_conv2d_opts opts) {
  geometry a;
  if (!read_opts("conv2d", opts, &a)) return ct_nil();
  for (int d = 0; d < 2 && images(x, w); d++) {
    int64_t reach = (w->v.dim[2 + d] - 1) * a.dilation[d] + 1;
    int64_t room = x->v.dim[2 + d] + 2 * a.padding[d] - reach;
    if (room < 0 || reach < 1) return too_small("conv2d", x, w);
    a.extent[d] = room / a.stride[d] + 1;
  }
  return CT__APPLY(&conv2d_op, &a, x, w);
}

ct_tensor *ct_conv2d_transpose(ct_tensor *x, ct_tensor *w, ct_conv2d_opts opts) {
  geometry a;
  if (!read_opts("conv2d_transpose", opts, &a)) return ct_nil();
  for (int d = 0; d < 2 && images(x, w); d++) {
    int64_t reach = (w->v.dim[2 + d] - 1) * a.dilation[d] + 1;
    a.extent[d] = (x->v.dim[2 + d] - 1) * a.stride[d] + reach - 2 * a.padding[d];
    a.extent[d] += opts.output_padding[d];
    if (x->v.dim[2 + d] < 1 || reach < 1 || a.extent[d] < 1)
      return too_small("conv2d_transpose", x, w);
  }
  return CT__APPLY(&conv2d_transpose_op, &a, x, w);
}

const ct_op *const ct__conv_ops[] = {&conv2d_op, &conv2d_transpose_op, NULL};
