/* reduce.c - sums, products and extrema over any axes, and positions of extrema. */
#include "../../tensor/pool.h"
#include "lines.h"

/* ---- what reductions share ------------------------------------------------------------------- */

typedef struct reduce_attr {
  unsigned axes; /* bit mask */
  int keepdims;
} reduce_attr;

static const reduce_attr *attr_of(const ct_call *c) { return c->attr; }

static ct_shape kept_shape(const ct_view *x, unsigned axes) {
  ct_view starts = line_starts(x, axes);
  return ct__shape_of_view(&starts);
}

/* The shape of the result of a reduction of x. */
static ct_status infer_reduced(const ct_call *c, ct_dtype dtype, ct_spec *out) {
  const ct_view *x = ct__in(c, 0);
  const reduce_attr *attr = c->attr;
  out->dtype = dtype;
  out->shape = kept_shape(x, attr->axes);
  if (attr->keepdims) return CT_OK;
  out->shape.n = 0;
  for (int d = 0; d < x->ndim; d++)
    if (!(attr->axes >> d & 1)) out->shape.dim[out->shape.n++] = x->dim[d];
  return CT_OK;
}

static ct_status infer_sum(const ct_call *c, ct_spec *out) {
  ct_dtype dtype = ct__in(c, 0)->dtype;
  return infer_reduced(c, dtype == CT_U8 || dtype == CT_BOOL ? CT_I32 : dtype, out);
}

static ct_status infer_float(const ct_call *c, ct_spec *out) {
  if (!ct_dtype_is_float(ct__in(c, 0)->dtype))
    return ct_fail(c, CT_EDTYPE, "want f32 or f64 (ct_cast converts)");
  return infer_reduced(c, ct__in(c, 0)->dtype, out);
}

static ct_status infer_extremum(const ct_call *c, ct_spec *out) {
  const ct_view *x = ct__in(c, 0);
  bool no_results = false;
  infer_reduced(c, x->dtype, out);
  for (int i = 0; i < out->shape.n; i++) no_results |= out->shape.dim[i] == 0;
  if (x->size == 0 && !no_results) return ct_fail(c, CT_ESHAPE, "want at least one element");
  return CT_OK;
}

static ct_status reduce_eval(const ct_eval *e, const ct__reducer *r) {
  const reduce_attr *attr = e->attr;
  ct__reduce(e->in[0], attr->axes, e->out[0], r);
  return CT_OK;
}
#define FOLD_OF_X(what) CT__FOLD_OF(e->in[0]->dtype, what)

/* A tensor shaped as the result, with the reduced axes back as extents of 1. */
static ct_tensor *kept(const ct_call *c, ct_tensor *t) {
  if (attr_of(c)->keepdims) return t;
  return ct_reshape(t, kept_shape(ct__in(c, 0), attr_of(c)->axes));
}

/* The same, repeated over the reduced axes. */
static ct_tensor *spread(const ct_call *c, ct_tensor *t) {
  return ct_broadcast_to(kept(c, t), ct__shape_of_view(ct__in(c, 0)));
}

static ct_axes axes_of(const ct_call *c) {
  ct_axes axes = {0};
  for (int d = 0; d < ct__in(c, 0)->ndim; d++)
    if (attr_of(c)->axes >> d & 1) axes.at[axes.n++] = d;
  return axes;
}

/* Sums t, shaped as x, as the call reduced x. */
static ct_tensor *sum_again(const ct_call *c, ct_tensor *t) {
  return ct_sum(t, axes_of(c), attr_of(c)->keepdims);
}

static ct_tensor *reduce(const ct_op *op, ct_tensor *x, ct_axes axes, bool keepdims) {
  reduce_attr attr = {.keepdims = keepdims};
  if (!ct_is_nil(x) && ct__axes_mask(op->name, axes, x->v.ndim, &attr.axes) != CT_OK)
    return ct_nil();
  return CT__APPLY(op, &attr, x);
}

static void reduce_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                         ct_tensor **out) {
  (void)batched;
  reduce_attr attr = *attr_of(c);
  attr.axes <<= 1;
  out[0] = CT__APPLY(c->op, &attr, in[0]);
}

#define REDUCE_OP                                                                                  \
  .size = sizeof(ct_op), .n_in = 1, .attr_size = sizeof(reduce_attr), .batch = reduce_batch

/* ---- sum and mean ---------------------------------------------------------------------------- */

/* y = sum x.   gx = gy, spread over the reduced axes. */
static ct_status sum_eval(const ct_eval *e) { return reduce_eval(e, &FOLD_OF_X(sum)); }

static void sum_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = spread(c, gy[0]);
}

const ct_op ct__sum_op = {
    REDUCE_OP,      .name = "sum",      .doc = "y = sum x over the axes",
    .linear = 1,    .infer = infer_sum, .eval = sum_eval,
    .vjp = sum_vjp, .lo = -2,           .hi = 2,
};

ct_tensor *ct_sum(ct_tensor *x, ct_axes axes, bool keepdims) {
  return reduce(&ct__sum_op, x, axes, keepdims);
}

/* y = sum x / n, NaN for n = 0.   gx = gy / n, spread. */
static ct_status mean_eval(const ct_eval *e) { return reduce_eval(e, &FOLD_OF_X(mean)); }

static void mean_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  const ct_view *x = ct__in(c, 0);
  if (x->size == 0) return;
  gx[0] = spread(c, ct_scale(gy[0], (double)gy[0]->v.size / (double)x->size));
}

const ct_op ct__mean_op = {
    REDUCE_OP,
    .name = "mean",
    .doc = "y = sum x / n over the axes",
    .linear = 1,
    .infer = infer_float,
    .eval = mean_eval,
    .vjp = mean_vjp,
    .lo = -2,
    .hi = 2,
};

ct_tensor *ct_mean(ct_tensor *x, ct_axes axes, bool keepdims) {
  return reduce(&ct__mean_op, x, axes, keepdims);
}

/* ---- prod ------------------------------------------------------------------------------------ */

/* y = prod x.   gx = gy times the product of the other elements. */
static ct_status prod_eval(const ct_eval *e) { return reduce_eval(e, &FOLD_OF_X(prod)); }

/* For each element along an axis the product of what is before it and what is behind. No division,
 * so it is right at zeros, as are its derivatives. */
static ct_tensor *others(ct_tensor *x, int axis) {
  ct_tensor *before = ct_slice(ct__products_along(x, axis, false), axis, 0, -1, 1);
  ct_tensor *behind = ct_slice(ct__products_along(x, axis, true), axis, 1, CT_END, 1);
  return ct_mul(before, behind);
}

/* dy/dx, shaped as x: several axes are made one, at the end. */
static ct_tensor *prod_partial(const ct_call *c) {
  ct_tensor *x = c->in[0];
  ct_axes axes = axes_of(c), order = {.n = x->v.ndim}, back = order;
  if (axes.n == 0) return ct__constant_like(x, 1);
  if (axes.n == 1) return others(x, axes.at[0]);
  const int kept = order.n - axes.n;
  for (int d = 0, to = 0, to_end = kept; d < order.n; d++) {
    back.at[d] = attr_of(c)->axes >> d & 1 ? to_end++ : to++;
    order.at[back.at[d]] = d;
  }
  x = ct_permute(x, order);
  ct_tensor *y = others(ct_flatten(x, kept), kept);
  return ct_permute(ct_reshape(y, ct_shape_of(x)), back);
}

static void prod_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  if (ct__in(c, 0)->size > 0) gx[0] = ct_mul0(spread(c, gy[0]), prod_partial(c));
}

static void prod_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  if (ct__in(c, 0)->size > 0) dy[0] = sum_again(c, ct_mul0(dx[0], prod_partial(c)));
}

static const ct_op prod_op = {
    REDUCE_OP,          .name = "prod",    .doc = "y = prod x over the axes",
    .infer = infer_sum, .eval = prod_eval, .vjp = prod_vjp,
    .jvp = prod_jvp,    .lo = -2,          .hi = 2,
};

ct_tensor *ct_prod(ct_tensor *x, ct_axes axes, bool keepdims) {
  return reduce(&prod_op, x, axes, keepdims);
}

/* ---- max and min ----------------------------------------------------------------------------- */

/* y = max x.   gx = gy where x is y, shared evenly by ties; NaN for all of x where y is NaN, as no
 * element equals it. */
static ct_status max_eval(const ct_eval *e) { return reduce_eval(e, &FOLD_OF_X(max)); }
static ct_status min_eval(const ct_eval *e) { return reduce_eval(e, &FOLD_OF_X(min)); }

/* 1 / ties where x is y, else 0. */
static ct_tensor *share(const ct_call *c) {
  ct_tensor *x = c->in[0];
  ct_tensor *is_y = ct_cast(ct_eq(x, kept(c, ct_out(c, 0))), x->v.dtype);
  return ct_div(is_y, ct_sum(is_y, axes_of(c), true));
}

static void extremum_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = ct_mul0(spread(c, gy[0]), share(c));
}

static void extremum_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  dy[0] = sum_again(c, ct_mul0(dx[0], share(c)));
}

const ct_op ct__max_op = {
    REDUCE_OP,
    .name = "max",
    .doc = "y = max x over the axes",
    .infer = infer_extremum,
    .eval = max_eval,
    .vjp = extremum_vjp,
    .jvp = extremum_jvp,
    .lo = -2,
    .hi = 2,
};
const ct_op ct__min_op = {
    REDUCE_OP,
    .name = "min",
    .doc = "y = min x over the axes",
    .infer = infer_extremum,
    .eval = min_eval,
    .vjp = extremum_vjp,
    .jvp = extremum_jvp,
    .lo = -2,
    .hi = 2,
};

ct_tensor *ct_max(ct_tensor *x, ct_axes axes, bool keepdims) {
  return reduce(&ct__max_op, x, axes, keepdims);
}
ct_tensor *ct_min(ct_tensor *x, ct_axes axes, bool keepdims) {
  return reduce(&ct__min_op, x, axes, keepdims);
}

/* ---- norm2 ----------------------------------------------------------------------------------- */

/* y = sqrt(sum x^2).   gx = gy x / y, 0 where y is 0, and so are further derivatives.
 * Squares of f32 stay in the range of double. Where those of f64 do not, all is scaled first. */
typedef struct scaled_squares {
  double scale, *sum;
} scaled_squares;

static void add_scaled_squares(CT__LOOP_ARGUMENTS) {
  const scaled_squares *to = attr;
  const double *x = (const double *)(const void *)p[0];
  for (int64_t i = 0; i < n; i++, x += s[0]) *to->sum += (*x / to->scale) * (*x / to->scale);
}

/* n results y of the reduced part of x, attr, as a view. */
static void correct_norms(CT__LOOP_ARGUMENTS) {
  const double *x = (const double *)(const void *)p[0];
  double *y = (double *)(void *)p[1];
  ct_view part = *(const ct_view *)attr;
  for (int64_t i = 0; i < n; i++, x += s[0], y += s[1]) {
    if (part.size == 0 || !(*y < 0x1p-400 || *y > 0x1p+500)) continue;
    double top, bottom, sum = 0;
    ct_view end = {.dtype = CT_F64, .size = 1, .contiguous = true};
    part.data = (char *)(uintptr_t)x;
    end.data = (char *)&top;
    ct__reduce(&part, (1u << part.ndim) - 1, &end, &CT__FOLD_OF(CT_F64, max));
    end.data = (char *)&bottom;
    ct__reduce(&part, (1u << part.ndim) - 1, &end, &CT__FOLD_OF(CT_F64, min));
    *y = fmax(fabs(top), fabs(bottom));
    if (*y == 0 || isinf(*y)) continue;
    ct__map(0, NULL, &part, add_scaled_squares, &(scaled_squares){*y, &sum}, 0);
    *y *= sqrt(sum);
  }
}

static ct_status norm2_eval(const ct_eval *e) {
  const ct_view *x = e->in[0];
  const reduce_attr *attr = e->attr;
  reduce_eval(e, &FOLD_OF_X(norm2));
  if (x->dtype == CT_F32) return CT_OK;
  ct_view starts = line_starts(x, attr->axes), part = line_starts(x, ~attr->axes), y = {0};
  ct__view_set(&y, x->dtype, x->ndim, starts.dim);
  y.data = e->out[0]->data;
  ct__map(1, (const ct_view *[]){&starts}, &y, correct_norms, &part, 0);
  return CT_OK;
}

/* x / y. */
static ct_tensor *direction(const ct_call *c) {
  ct_tensor *y = kept(c, ct_out(c, 0));
  ct_tensor *is_zero = ct_eq(y, ct__constant_like(y, 0));
  return ct_div(c->in[0], ct_where(is_zero, ct__constant_like(y, INFINITY), y));
}

static void norm2_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = ct_mul0(kept(c, gy[0]), direction(c));
}

static void norm2_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  dy[0] = sum_again(c, ct_mul0(dx[0], direction(c)));
}

static const ct_op norm2_op = {
    REDUCE_OP,
    .name = "norm2",
    .doc = "y = (sum x^2)^(1/2) over the axes",
    .infer = infer_float,
    .eval = norm2_eval,
    .vjp = norm2_vjp,
    .jvp = norm2_jvp,
    .lo = -2,
    .hi = 2,
};

ct_tensor *ct__norm2(ct_tensor *x, ct_axes axes, bool keepdims) {
  return reduce(&norm2_op, x, axes, keepdims);
}

/* ---- any and all ----------------------------------------------------------------------------- */

/* Whether one element, or every one, is true: bool to bool; of nothing false and true. */
static ct_status infer_bool(const ct_call *c, ct_spec *out) {
  if (ct__in(c, 0)->dtype != CT_BOOL)
    return ct_fail(c, CT_EDTYPE, "want bool (comparisons give it)");
  return infer_reduced(c, CT_BOOL, out);
}

static ct_status any_eval(const ct_eval *e) { return reduce_eval(e, &FOLD_OF_X(any)); }
static ct_status all_eval(const ct_eval *e) { return reduce_eval(e, &FOLD_OF_X(all)); }

const ct_op ct__any_op = {
    REDUCE_OP,           .name = "any",       .doc = "y = some x is true over the axes",
    .flags = CT_NONDIFF, .infer = infer_bool, .eval = any_eval,
};
const ct_op ct__all_op = {
    REDUCE_OP,           .name = "all",       .doc = "y = every x is true over the axes",
    .flags = CT_NONDIFF, .infer = infer_bool, .eval = all_eval,
};

ct_tensor *ct_any(ct_tensor *x, ct_axes axes, bool keepdims) {
  return reduce(&ct__any_op, x, axes, keepdims);
}
ct_tensor *ct_all(ct_tensor *x, ct_axes axes, bool keepdims) {
  return reduce(&ct__all_op, x, axes, keepdims);
}

/* ---- logsumexp ------------------------------------------------------------------------------- */

/* y = ln sum e^x, -inf for no elements.   gx = gy softmax(x). The largest element is taken out
 * first, so that nothing overflows; an infinite one stays in, as inf - inf is NaN. */

/* Elements that do not lie on one line for each result. */
typedef struct exp_part {
  const ct__line_loops *loops;
  double shift;
  ct__exp_sum *sum;
} exp_part;

static void add_exp(CT__LOOP_ARGUMENTS) {
  const exp_part *to = attr;
  ct__exp_sum part = to->loops->sum_exp(n, p[0], s[0], to->shift, NULL, 0);
  to->sum->ones += part.ones;
  to->sum->rest += part.rest;
}

/* n results: y holds the largest element, attr is the reduced part of x as a view. */
#define LOGSUMEXP(T)                                                                               \
  static void scattered_logsumexp_##T(CT__LOOP_ARGUMENTS) {                                        \
    const T *x = (const T *)(const void *)p[0];                                                    \
    T *y = (T *)(void *)p[1];                                                                      \
    ct_view part = *(const ct_view *)attr;                                                         \
    for (int64_t i = 0; i < n; i++, x += s[0], y += s[1]) {                                        \
      if (!isfinite(*y)) continue; /* the result, as NaN is the largest of all */                  \
      ct__exp_sum sum = {0};                                                                       \
      exp_part to = {ct__lines_of(part.dtype), (double)*y, &sum};                                  \
      part.data = (char *)(uintptr_t)x;                                                            \
      ct__map(0, NULL, &part, add_exp, &to, 0);                                                    \
      *y = (T)((double)*y + log1p(sum.ones - 1 + sum.rest));                                       \
    }                                                                                              \
  }
LOGSUMEXP(float)
LOGSUMEXP(double)

/* Whether the elements of v lie on a line. */
static bool is_line(const ct_view *v, ct__lines *line) {
  *line = (ct__lines){.n = v->size, .step = {1}, .alone = ct__reference()};
  int long_axes = 0;
  for (int d = 0; d < v->ndim && !v->contiguous; d++) {
    if (v->dim[d] == 1) continue;
    line->step[0] = v->stride[d];
    long_axes++;
  }
  return v->size > 0 && long_axes <= 1;
}

static ct_status logsumexp_eval(const ct_eval *e) {
  const ct_view *x = e->in[0];
  const reduce_attr *attr = e->attr;
  ct_view starts = line_starts(x, attr->axes), part = line_starts(x, ~attr->axes), y = {0};
  ct__view_set(&y, x->dtype, x->ndim, starts.dim);
  y.data = e->out[0]->data;
  int64_t weight = 4 * ct__line_weight(x, part.size);
  ct__lines line;
  if (is_line(&part, &line)) {
    ct__map(1, (const ct_view *[]){&starts}, &y, ct__lines_of(x->dtype)->logsumexp, &line, weight);
    return CT_OK;
  }
  ct__reduce(x, attr->axes, e->out[0], &FOLD_OF_X(max));
  ct__map(1, (const ct_view *[]){&starts}, &y,
          x->dtype == CT_F32 ? scattered_logsumexp_float : scattered_logsumexp_double, &part,
          weight);
  return CT_OK;
}

/* e^(x - top) over their sum: e^(x - y) would add the error of y. Where all of x is -inf the
 * weights are 0, not NaN. */
static ct_tensor *weights(const ct_call *c) {
  ct_tensor *x = c->in[0];
  if (x->v.size == 0) return ct_exp(x);
  ct_tensor *top = ct_stop_gradient(ct_max(x, axes_of(c), true));
  ct_tensor *none = ct_eq(top, ct__constant_like(x, -INFINITY));
  ct_tensor *e = ct_exp(ct_sub(x, ct_where(none, ct__constant_like(x, 0), top)));
  ct_tensor *sum = ct_sum(e, axes_of(c), true);
  return ct_mul0(e, ct_reciprocal(ct_where(none, ct__constant_like(x, 1), sum)));
}

static void logsumexp_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = ct_mul0(kept(c, gy[0]), weights(c));
}

static void logsumexp_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  dy[0] = sum_again(c, ct_mul0(dx[0], weights(c)));
}

static const ct_op logsumexp_op = {
    REDUCE_OP,
    .name = "logsumexp",
    .doc = "y = ln sum e^x over the axes",
    .infer = infer_float,
    .eval = logsumexp_eval,
    .vjp = logsumexp_vjp,
    .jvp = logsumexp_jvp,
    .lo = -2,
    .hi = 2,
};

ct_tensor *ct_logsumexp(ct_tensor *x, ct_axes axes, bool keepdims) {
  return reduce(&logsumexp_op, x, axes, keepdims);
}

/* ---- argmax and argmin ----------------------------------------------------------------------- */

/* y = position of the first largest element along an axis, NaN first of all. No derivative. */
static ct_status infer_position(const ct_call *c, ct_spec *out) {
  ct_status status = infer_extremum(c, out);
  out->dtype = CT_I32;
  if (status == CT_OK && ct__in(c, 0)->size > 0) {
    int axis = axes_of(c).at[0];
    if (ct__in(c, 0)->dim[axis] > INT32_MAX)
      return ct_fail(c, CT_ESIZE, "positions along axis %d do not fit i32", axis);
  }
  return status;
}

static ct_status position_eval(const ct_eval *e, ct_loop *loop) {
  const ct_view *x = e->in[0];
  const reduce_attr *attr = e->attr;
  int axis = 0;
  while (!(attr->axes >> axis & 1)) axis++;
  ct_view y = line_starts(x, attr->axes);
  ct__view_set(&y, CT_I32, x->ndim, y.dim);
  y.data = e->out[0]->data;
  ct_eval kept_axes = *e;
  kept_axes.out = (ct_view *[]){&y};
  ct__each_line(&kept_axes, axis, false, loop, (ct__lines){.n = x->dim[axis]});
  return CT_OK;
}

static ct_status argmax_eval(const ct_eval *e) { return position_eval(e, FOLD_OF_X(argmax)); }
static ct_status argmin_eval(const ct_eval *e) { return position_eval(e, FOLD_OF_X(argmin)); }

static const ct_op argmax_op = {
    REDUCE_OP,
    .name = "argmax",
    .doc = "y = position of the first largest element along the axis",
    .flags = CT_NONDIFF,
    .infer = infer_position,
    .eval = argmax_eval,
    .lo = -2,
    .hi = 2,
};
static const ct_op argmin_op = {
    REDUCE_OP,
    .name = "argmin",
    .doc = "y = position of the first smallest element along the axis",
    .flags = CT_NONDIFF,
    .infer = infer_position,
    .eval = argmin_eval,
    .lo = -2,
    .hi = 2,
};

ct_tensor *ct_argmax(ct_tensor *x, int axis, bool keepdims) {
  return reduce(&argmax_op, x, CT_AXES(axis), keepdims);
}
ct_tensor *ct_argmin(ct_tensor *x, int axis, bool keepdims) {
  return reduce(&argmin_op, x, CT_AXES(axis), keepdims);
}

const ct_op *const ct__reduce_ops[] = {&ct__sum_op,   &ct__mean_op, &norm2_op,   &prod_op,
                                       &ct__max_op,   &ct__min_op,  &ct__any_op, &ct__all_op,
                                       &logsumexp_op, &argmax_op,   &argmin_op,  NULL};
