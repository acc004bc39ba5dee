/* softmax.c - softmax and its logarithm along an axis, each one pass over the lines. */
#include "lines.h"

typedef struct softmax_attr {
  int axis;
} softmax_attr;

/* How a line lies in x and y. */
typedef struct line_pair {
  int64_t n, x_step, y_step;
} line_pair;

#define LINES(name, T, WRITE)                                                                      \
  static inline void name##_line_##T(int64_t n, const T *x, int64_t x_step, T *y,                  \
                                     int64_t y_step) {                                             \
    T max = max_##T(n, x, x_step);                                                                 \
    WRITE(T)                                                                                       \
  }                                                                                                \
  static void name##_##T(int64_t lines, char *const *p, const int64_t *s, const void *attr) {      \
    const line_pair *line = attr;                                                                  \
    const T *x = (const T *)(const void *)p[0];                                                    \
    T *y = (T *)(void *)p[1];                                                                      \
    for (int64_t i = 0; i < lines; i++, x += s[0], y += s[1]) {                                    \
      if (line->x_step == 1 && line->y_step == 1)                                                  \
        name##_line_##T(line->n, x, 1, y, 1);                                                      \
      else                                                                                         \
        name##_line_##T(line->n, x, line->x_step, y, line->y_step);                                \
    }                                                                                              \
  }
#define WRITE_SOFTMAX(T)                                                                           \
  T scale = (T)(1 / store_exp_##T(n, x, x_step, max, y, y_step));                                  \
  for (int64_t j = 0; j < n; j++) y[j * y_step] *= scale;
#define WRITE_LOG_SOFTMAX(T)                                                                       \
  double log_sum = log(sum_exp_##T(n, x, x_step, max));                                            \
  for (int64_t j = 0; j < n; j++)                                                                  \
    y[j * y_step] = (T)((double)x[j * x_step] - (double)max - log_sum);
LINES(softmax, float, WRITE_SOFTMAX)
LINES(softmax, double, WRITE_SOFTMAX)
LINES(log_softmax, float, WRITE_LOG_SOFTMAX)
LINES(log_softmax, double, WRITE_LOG_SOFTMAX)

static ct_status infer(const ct_call *c, ct_spec *out) {
  if (!ct_dtype_is_float(ct__in(c, 0)->dtype))
    return ct_fail(c, CT_EDTYPE, "want f32 or f64 (ct_cast converts)");
  return ct__infer_like(c, out);
}

static ct_status eval(const ct_eval *e, ct_loop *loop_f32, ct_loop *loop_f64) {
  int axis = ((const softmax_attr *)e->attr)->axis;
  const ct_view *x = e->in[0], *y = e->out[0];
  if (y->size == 0) return CT_OK;
  ct_view x_starts = line_starts(x, 1u << axis), y_starts = line_starts(y, 1u << axis);
  ct_map(1, (const ct_view *[]){&x_starts}, &y_starts, x->dtype == CT_F32 ? loop_f32 : loop_f64,
         &(line_pair){x->dim[axis], x->stride[axis], y->stride[axis]});
  return CT_OK;
}

static ct_tensor *sum_lines(const ct_call *c, ct_tensor *t) {
  return ct_sum(t, CT_AXES(((const softmax_attr *)c->attr)->axis), true);
}

static ct_tensor *apply(const ct_op *op, ct_tensor *x, int axis) {
  softmax_attr attr = {axis};
  if (!ct_is_nil(x)) {
    attr.axis = ct__axis(axis, x->v.ndim);
    if (attr.axis < 0)
      return ct__nil(CT_EARG, "%s: there is no axis %d in %d dimensions", op->name, axis,
                     x->v.ndim);
  }
  return CT__APPLY(op, &attr, x);
}

static void batch(const ct_call *c, ct_tensor *const *in, const bool *batched, ct_tensor **out) {
  (void)batched;
  out[0] = apply(c->op, in[0], ((const softmax_attr *)c->attr)->axis + 1);
}

/* ---- softmax --------------------------------------------------------------------------------- */

/* y = e^x / sum e^x; NaN for lines of -inf only, or with inf.
 * The Jacobian diag(y) - y y^T is symmetric: gx = y (gy - sum y gy), and dy the same of dx. */
static ct_status softmax_eval(const ct_eval *e) { return eval(e, softmax_float, softmax_double); }

static ct_tensor *softmax_product(const ct_call *c, ct_tensor *t) {
  ct_tensor *y = ct_out(c, 0);
  return ct_mul0(ct_sub(t, sum_lines(c, ct_mul0(t, y))), y);
}

static void softmax_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = softmax_product(c, gy[0]);
}

static void softmax_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  dy[0] = softmax_product(c, dx[0]);
}

static const ct_op softmax_op = {
    CT_OP,
    .name = "softmax",
    .doc = "y = e^x / sum e^x along an axis",
    .n_in = 1,
    .attr_size = sizeof(softmax_attr),
    .infer = infer,
    .eval = softmax_eval,
    .vjp = softmax_vjp,
    .jvp = softmax_jvp,
    .batch = batch,
    .lo = -3,
    .hi = 3,
};

ct_tensor *ct_softmax(ct_tensor *x, int axis) { return apply(&softmax_op, x, axis); }

/* ---- log_softmax ----------------------------------------------------------------------------- */

/* y = x - ln sum e^x.   gx = gy - e^y sum gy,  dy = dx - sum e^y dx. */
static ct_status log_softmax_eval(const ct_eval *e) {
  return eval(e, log_softmax_float, log_softmax_double);
}

static void log_softmax_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = ct_sub(gy[0], ct_mul0(sum_lines(c, gy[0]), ct_exp(ct_out(c, 0))));
}

static void log_softmax_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  dy[0] = ct_sub(dx[0], sum_lines(c, ct_mul0(dx[0], ct_exp(ct_out(c, 0)))));
}

static const ct_op log_softmax_op = {
    CT_OP,
    .name = "log_softmax",
    .doc = "y = x - ln sum e^x along an axis",
    .n_in = 1,
    .attr_size = sizeof(softmax_attr),
    .infer = infer,
    .eval = log_softmax_eval,
    .vjp = log_softmax_vjp,
    .jvp = log_softmax_jvp,
    .batch = batch,
    .lo = -3,
    .hi = 3,
};

ct_tensor *ct_log_softmax(ct_tensor *x, int axis) { return apply(&log_softmax_op, x, axis); }

const ct_op *const ct__softmax_ops[] = {&softmax_op, &log_softmax_op, NULL};
