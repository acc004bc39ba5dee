/* cumulative.c - running sums and extrema along an axis. */
#include "../../tensor/pool.h"
#include "lines.h"

#include <stdlib.h>

typedef struct running {
  int axis, exclusive, reverse;
} running;

/* How a line lies in x and y. */
typedef struct line {
  int64_t n, x_step, y_step;
  bool exclusive;
} line;

enum { SIDE_BY_SIDE = 32 };

/* Floats are added in double, integers in 64 bits that wrap. */
#define CUMSUM(name, T, U, Acc)                                                                    \
  static inline void name##_together(int64_t m, const line *l, const T *x, int64_t x_next, U *y,   \
                                     int64_t y_next) {                                             \
    Acc sum[SIDE_BY_SIDE] = {0};                                                                   \
    for (int64_t k = 0; k < l->n; k++, x += l->x_step, y += l->y_step)                             \
      for (int64_t j = 0; j < m; j++) {                                                            \
        Acc next = sum[j] + (Acc)x[j * x_next];                                                    \
        y[j * y_next] = (U)(l->exclusive ? sum[j] : next);                                         \
        sum[j] = next;                                                                             \
      }                                                                                            \
  }                                                                                                \
  static void name(int64_t lines, char *const *p, const int64_t *s, const void *attr) {            \
    const line *l = attr;                                                                          \
    const T *x = (const T *)(const void *)p[0];                                                    \
    U *y = (U *)(void *)p[1];                                                                      \
    int64_t i = 0;                                                                                 \
    if (llabs(l->x_step) > llabs(s[0])) /* neighbouring lines together: the order of the memory */ \
      for (; i + SIDE_BY_SIDE <= lines; i += SIDE_BY_SIDE)                                         \
        name##_together(SIDE_BY_SIDE, l, x + i * s[0], s[0], y + i * s[1], s[1]);                  \
    for (; i < lines; i++) name##_together(1, l, x + i * s[0], s[0], y + i * s[1], s[1]);          \
  }
CUMSUM(cumsum_f32, float, float, double)
CUMSUM(cumsum_f64, double, double, double)
CUMSUM(cumsum_i32, int32_t, int32_t, uint64_t)
CUMSUM(cumsum_u8, uint8_t, int32_t, uint64_t)

static ct_loop *const cumsum_loops[CT_DTYPES] = {cumsum_f32, cumsum_f64, cumsum_i32, cumsum_u8,
                                                 cumsum_u8};

/* y[k] = sum of x[j] for j <= k along the axis; exclusive: j < k; reverse: j >= k, j > k.
 * Linear; gx = the same of gy in the other direction. */
static ct_status cumsum_infer(const ct_call *c, ct_spec *out) {
  const running *r = c->attr;
  ct_dtype dtype = ct__in(c, 0)->dtype;
  unsigned mask;
  if (ct__axes_mask(c->op->name, (ct_axes){1, {r->axis}}, ct__in(c, 0)->ndim, &mask) != CT_OK)
    return CT_EARG;
  ct__infer_like(c, out);
  if (dtype == CT_U8 || dtype == CT_BOOL) out->dtype = CT_I32;
  return CT_OK;
}

static ct_status cumsum_eval(const ct_eval *e) {
  const running *r = e->attr;
  ct_view x = *e->in[0], y = *e->out[0];
  if (y.size == 0) return CT_OK;
  int axis = ct__axis(r->axis, x.ndim);
  line l = {x.dim[axis], x.stride[axis], y.stride[axis], r->exclusive != 0};
  if (r->reverse) {
    x.data += (l.n - 1) * l.x_step * (int64_t)ct_dtype_size(x.dtype);
    y.data += (l.n - 1) * l.y_step * (int64_t)ct_dtype_size(y.dtype);
    l.x_step = -l.x_step;
    l.y_step = -l.y_step;
  }
  ct_view x_starts = line_starts(&x, 1u << axis), y_starts = line_starts(&y, 1u << axis);
  ct__map(1, (const ct_view *[]){&x_starts}, &y_starts, cumsum_loops[x.dtype], &l,
          4 * ct__line_weight(&x, l.n));
  return CT_OK;
}

static void cumsum_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  running r = *(const running *)c->attr;
  r.reverse = !r.reverse;
  gx[0] = CT__APPLY(c->op, &r, gy[0]);
}

static void cumsum_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                         ct_tensor **out) {
  (void)batched;
  running r = *(const running *)c->attr;
  r.axis = ct__axis(r.axis, ct__in(c, 0)->ndim) + 1;
  out[0] = CT__APPLY(c->op, &r, in[0]);
}

static const ct_op cumsum_op = {CT_OP,
                                .name = "cumsum",
                                .doc = "y[k] = sum of x[j], j <= k",
                                .n_in = 1,
                                .linear = 1,
                                .attr_size = sizeof(running),
                                .infer = cumsum_infer,
                                .eval = cumsum_eval,
                                .vjp = cumsum_vjp,
                                .batch = cumsum_batch,
                                .lo = -2,
                                .hi = 2};

ct_tensor *ct_cumsum(ct_tensor *x, int axis) {
  return ct_cumsum_with(x, axis, (ct_cumsum_opts){0});
}

ct_tensor *ct_cumsum_with(ct_tensor *x, int axis, ct_cumsum_opts opts) {
  running r = {axis, opts.exclusive, opts.reverse};
  return CT__APPLY(&cumsum_op, &r, x);
}

/* ---- cummax: y[k] = the largest x[j] for j <= k, i[k] = where; NaN wins, then the first -------- */

/* gx = gy put back at i, dy = dx taken at i. The loop has i among its inputs, and writes it. */
#define CUMMAX(name, T)                                                                            \
  static inline void name##_together(int64_t m, const line *l, const T *x, int64_t x_next,         \
                                     int32_t *at, int64_t at_next, T *y, int64_t y_next) {         \
    T best[SIDE_BY_SIDE] = {0};                                                                    \
    int32_t place[SIDE_BY_SIDE] = {0};                                                             \
    for (int64_t k = 0; k < l->n; k++, x += l->x_step, at += l->y_step, y += l->y_step)            \
      for (int64_t j = 0; j < m; j++) {                                                            \
        T one = x[j * x_next];                                                                     \
        bool wins = (k == 0) | (one > best[j]) | ((one != one) & (best[j] == best[j]));            \
        y[j * y_next] = best[j] = wins ? one : best[j];                                            \
        at[j * at_next] = place[j] = wins ? (int32_t)k : place[j];                                 \
      }                                                                                            \
  }                                                                                                \
  static void name(int64_t lines, char *const *p, const int64_t *s, const void *attr) {            \
    const line *l = attr;                                                                          \
    const T *x = (const T *)(const void *)p[0];                                                    \
    int32_t *at = (int32_t *)(void *)p[1];                                                         \
    T *y = (T *)(void *)p[2];                                                                      \
    int64_t i = 0;                                                                                 \
    if (llabs(l->x_step) > llabs(s[0]))                                                            \
      for (; i + SIDE_BY_SIDE <= lines; i += SIDE_BY_SIDE)                                         \
        name##_together(SIDE_BY_SIDE, l, x + i * s[0], s[0], at + i * s[1], s[1], y + i * s[2],    \
                        s[2]);                                                                     \
    for (; i < lines; i++)                                                                         \
      name##_together(1, l, x + i * s[0], s[0], at + i * s[1], s[1], y + i * s[2], s[2]);          \
  }
CUMMAX(cummax_f32, float)
CUMMAX(cummax_f64, double)
CUMMAX(cummax_i32, int32_t)
CUMMAX(cummax_u8, uint8_t)

static ct_loop *const cummax_loops[CT_DTYPES] = {cummax_f32, cummax_f64, cummax_i32, cummax_u8,
                                                 cummax_u8};

static ct_status cummax_infer(const ct_call *c, ct_spec *out) {
  const ct_view *x = ct__in(c, 0);
  if (x->dim[*(const int *)c->attr] > INT32_MAX)
    return ct_fail(c, CT_ESIZE, "want positions that fit i32");
  ct__spec_set(&out[0], x->dtype, x->ndim, x->dim);
  ct__spec_set(&out[1], CT_I32, x->ndim, x->dim);
  return CT_OK;
}

static ct_status cummax_eval(const ct_eval *e) {
  const ct_view *x = e->in[0], *y = e->out[0];
  if (y->size == 0) return CT_OK;
  int axis = *(const int *)e->attr;
  line l = {x->dim[axis], x->stride[axis], y->stride[axis], false};
  ct_view starts[] = {line_starts(x, 1u << axis), line_starts(e->out[1], 1u << axis),
                      line_starts(y, 1u << axis)};
  ct__map(2, (const ct_view *[]){&starts[0], &starts[1]}, &starts[2], cummax_loops[x->dtype], &l,
          4 * ct__line_weight(x, l.n));
  return CT_OK;
}

static void cummax_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  if (gy[0]) gx[0] = ct__put_along(ct__in(c, 0), ct_out(c, 1), gy[0], *(const int *)c->attr);
}

static void cummax_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  if (dx[0]) dy[0] = ct_take_along_axis(dx[0], ct_out(c, 1), *(const int *)c->attr);
}

static void cummax_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                         ct_tensor **out) {
  (void)batched;
  ct__apply(c->op, &(int){*(const int *)c->attr + 1}, 1, in, out);
}

static const ct_op cummax_op = {CT_OP,
                                .name = "cummax",
                                .doc = "y[k] = the largest x[j], j <= k, i = where",
                                .n_in = 1,
                                .n_out = 2,
                                .attr_size = sizeof(int),
                                .infer = cummax_infer,
                                .eval = cummax_eval,
                                .vjp = cummax_vjp,
                                .jvp = cummax_jvp,
                                .batch = cummax_batch,
                                .lo = -2,
                                .hi = 2};

ct_tensor *ct_cummax(ct_tensor *x, int axis) {
  if (!ct__given_axis("cummax", x, &axis)) return ct_nil();
  ct_tensor *out[2];
  ct__apply(&cummax_op, &axis, 1, &x, out);
  return out[0];
}

const ct_op *const ct__cumulative_ops[] = {&cumsum_op, &cummax_op, NULL};
