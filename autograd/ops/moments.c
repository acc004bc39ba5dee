/* moments.c - along the last axis: the distance from the mean, variance, layer normalisation. One
 * pass over memory each, as a line stays in the cache; so are their derivatives.
 */
#include "moments.h"
#include "batch.h"

static const ct__moment_loops *loops_for(ct_dtype dtype) {
#define ENTRY(isa) {&ct__moment_loops_f32_##isa, &ct__moment_loops_f64_##isa},
  static const ct__moment_loops *const sets[][2] = {CT__ISA_LIST(ENTRY)};
  return sets[ct__isa()][dtype == CT_F64];
}

static ct_status infer(const ct_call *c, ct_spec *out) {
  if (!ct_dtype_is_float(ct__in(c, 0)->dtype))
    return ct_fail(c, CT_EDTYPE, "want f32 or f64 (ct_cast converts)");
  if (ct__in(c, 0)->ndim == 0) return ct_fail(c, CT_ESHAPE, "want at least one axis");
  return ct__infer_like(c, out);
}

static ct_status eval(const ct_eval *e, ct_loop *loop, double number) {
  const ct_view *x = e->in[0];
  ct__each_line(e, x->ndim - 1, false, loop,
                (ct__lines){.n = x->dim[x->ndim - 1], .attr = &number});
  return CT_OK;
}

static ct_axes last_axis(void) { return CT_AXES(-1); }

/* ---- centre: y = x - mean x, linear and its own transpose ------------------------------------ */

static ct_status centre_eval(const ct_eval *e) {
  return eval(e, loops_for(e->in[0]->dtype)->centre, 0);
}

static void centre_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = CT__APPLY(c->op, NULL, gy[0]);
}

static const ct_op centre_op = {CT_OP,
                                .name = "centre",
                                .doc = "y = x - mean x along the last axis",
                                .n_in = 1,
                                .linear = 1,
                                .infer = infer,
                                .eval = centre_eval,
                                .vjp = centre_vjp,
                                .batch = batch_in_front,
                                .lo = -2,
                                .hi = 2};

static ct_tensor *centre(ct_tensor *x) { return CT__APPLY(&centre_op, NULL, x); }

/* ---- var: y = sum (x - mean x)^2 / (n - ddof), NaN if that is nothing ------------------------ */

/* gx = 2 gy (x - mean x) / (n - ddof). */
static ct_status var_infer(const ct_call *c, ct_spec *out) {
  ct_status status = infer(c, out);
  if (status == CT_OK) out->shape.dim[out->shape.n - 1] = 1;
  return status;
}

static double divisor(int64_t n, const void *ddof) {
  int64_t rest = n - *(const int64_t *)ddof;
  return rest > 0 ? (double)rest : 0;
}

static ct_status var_eval(const ct_eval *e) {
  const ct_view *x = e->in[0];
  return eval(e, loops_for(x->dtype)->var, divisor(x->dim[x->ndim - 1], e->attr));
}

static ct_tensor *var_slope(const ct_call *c, ct_tensor *t) {
  const ct_view *x = ct__in(c, 0);
  return ct_scale(t, 2 / divisor(x->dim[x->ndim - 1], c->attr));
}

static void var_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = ct_mul0(var_slope(c, gy[0]), centre(c->in[0]));
}

static void var_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  dy[0] = var_slope(c, ct_sum(ct_mul0(dx[0], centre(c->in[0])), last_axis(), true));
}

static const ct_op var_op = {CT_OP,
                             .name = "var",
                             .doc = "y = sum (x - mean x)^2 / (n - ddof) along the last axis",
                             .n_in = 1,
                             .attr_size = sizeof(int64_t),
                             .infer = var_infer,
                             .eval = var_eval,
                             .vjp = var_vjp,
                             .jvp = var_jvp,
                             .batch = batch_in_front,
                             .lo = -2,
                             .hi = 2};

ct_tensor *ct__var_of_lines(ct_tensor *x, int64_t ddof) { return CT__APPLY(&var_op, &ddof, x); }

/* ---- layer_norm: y = r (x - mean x), r = 1 / sqrt(mean (x - mean x)^2 + eps) ----------------- */

/* Its Jacobian is symmetric: gx and dy are r (t - mean t - y mean(y t)) for t = gy or dx. */
static double eps_of(const void *attr) { return *(const double *)attr; }

static ct_status grad_infer(const ct_call *c, ct_spec *out) {
  if (!ct__same_shape(ct__in(c, 0), ct__in(c, 1)) || ct__in(c, 0)->dtype != ct__in(c, 1)->dtype)
    return ct_fail(c, CT_ESHAPE, "want equal shapes of one dtype");
  return infer(c, out);
}

static ct_status grad_eval(const ct_eval *e) {
  return eval(e, loops_for(e->in[0]->dtype)->layer_norm_grad, eps_of(e->attr));
}

static void grad_fallback(const ct_call *c, ct_tensor **y) {
  ct_tensor *d = centre(c->in[0]), *t = c->in[1];
  ct_tensor *var = ct_mean(ct_square(d), last_axis(), true);
  ct_tensor *r = ct_rsqrt(ct_shift(var, eps_of(c->attr))), *normed = ct_mul(d, r);
  ct_tensor *slope = ct_mean(ct_mul0(t, normed), last_axis(), true);
  y[0] = ct_mul0(ct_sub(centre(t), ct_mul0(slope, normed)), r);
}

static const ct_op layer_norm_grad_op = {CT_OP,
                                         .name = "layer_norm_grad",
                                         .doc = "gx of layer_norm(x) for gy",
                                         .n_in = 2,
                                         .attr_size = sizeof(double),
                                         .infer = grad_infer,
                                         .eval = grad_eval,
                                         .batch = batch_in_front,
                                         .fallback = grad_fallback,
                                         .lo = -2,
                                         .hi = 2};

static ct_status layer_norm_eval(const ct_eval *e) {
  return eval(e, loops_for(e->in[0]->dtype)->layer_norm, eps_of(e->attr));
}

static void layer_norm_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = CT__APPLY(&layer_norm_grad_op, c->attr, c->in[0], gy[0]);
}

static void layer_norm_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  dy[0] = CT__APPLY(&layer_norm_grad_op, c->attr, c->in[0], dx[0]);
}

static const ct_op layer_norm_op = {CT_OP,
                                    .name = "layer_norm",
                                    .doc =
                                        "y = (x - mean x) / sqrt(var x + eps) along the last axis",
                                    .n_in = 1,
                                    .attr_size = sizeof(double),
                                    .infer = infer,
                                    .eval = layer_norm_eval,
                                    .vjp = layer_norm_vjp,
                                    .jvp = layer_norm_jvp,
                                    .batch = batch_in_front,
                                    .lo = -2,
                                    .hi = 2};

ct_tensor *ct__layer_norm_of_lines(ct_tensor *x, double eps) {
  return CT__APPLY(&layer_norm_op, &eps, x);
}

const ct_op *const ct__moment_ops[] = {&centre_op, &var_op, &layer_norm_op, &layer_norm_grad_op,
                                       NULL};
