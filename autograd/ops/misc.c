/* misc.c - elementwise operations with a constant or a condition; casts; the gradient barrier. */
#include "kernels.h"

#include <math.h>

/* ---- scale and shift: one C double, in the dtype of x ---------------------------------------- */

static const ct_kernel scale_kernel = {
    .loop = {[CT_F32] = ct__scale_f32, [CT_F64] = ct__scale_f64, [CT_I32] = ct__scale_i32}};
static const ct_kernel shift_kernel = {
    .loop = {[CT_F32] = ct__shift_f32, [CT_F64] = ct__shift_f64, [CT_I32] = ct__shift_i32}};

static ct_status constant_infer(const ct_call *c, ct_spec *out) {
  double value = *(const double *)c->attr;
  if (ct__in(c, 0)->dtype == CT_I32 &&
      !(value == trunc(value) && value >= INT32_MIN && value <= INT32_MAX))
    return ct_fail(c, CT_EDTYPE, "want a whole number that fits i32, not %g", value);
  return ct__infer_like(c, out);
}

/* scale: y = c x; gx = c gy */

static void scale_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = ct_scale(gy[0], *(const double *)c->attr);
}

const ct_op ct__scale_op = {CT_OP,
                            .name = "scale",
                            .doc = "y = c x",
                            .n_in = 1,
                            .linear = 1,
                            .inplace = 1,
                            .flags = CT_ELEMENTWISE,
                            .attr_size = sizeof(double),
                            .infer = constant_infer,
                            .kernel = &scale_kernel,
                            .vjp = scale_vjp,
                            .lo = -2,
                            .hi = 2};

ct_tensor *ct_scale(ct_tensor *x, double c) { return CT__APPLY(&ct__scale_op, &c, x); }

/* shift: y = x + c; gx = gy, dy = dx */

const ct_op ct__shift_op = {CT_OP,
                            .name = "shift",
                            .doc = "y = x + c",
                            .n_in = 1,
                            .inplace = 1,
                            .flags = CT_ELEMENTWISE,
                            .attr_size = sizeof(double),
                            .infer = constant_infer,
                            .kernel = &shift_kernel,
                            .vjp = ct__pass_vjp,
                            .jvp = ct__pass_jvp,
                            .lo = -2,
                            .hi = 2};

ct_tensor *ct_shift(ct_tensor *x, double c) { return CT__APPLY(&ct__shift_op, &c, x); }

/* ---- clamp: y = min(max(x, lo), hi); dy/dx = 1 where y == x, that is lo <= x <= hi, else 0 --- */

static const ct_kernel clamp_kernel = {
    .loop = {[CT_F32] = ct__clamp_f32, [CT_F64] = ct__clamp_f64, [CT_I32] = ct__clamp_i32},
    .partial = {{[CT_F32] = ct__clamp_dx_f32, [CT_F64] = ct__clamp_dx_f64}}};

static ct_status clamp_infer(const ct_call *c, ct_spec *out) {
  const ct__bounds *b = c->attr;
  if (!(b->lo <= b->hi)) return ct_fail(c, CT_EARG, "want lo <= hi, not %g and %g", b->lo, b->hi);
  if (ct__in(c, 0)->dtype == CT_I32 &&
      (b->lo != trunc(b->lo) || b->hi != trunc(b->hi) || b->lo > INT32_MAX || b->hi < INT32_MIN))
    return ct_fail(c, CT_EDTYPE, "want whole bounds that i32 can meet, not %g and %g", b->lo,
                   b->hi);
  return ct__infer_like(c, out);
}

static ct_tensor *clamp_partial(const ct_call *c, int i) {
  return ct_cast(ct_eq(c->in[i], ct_out(c, 0)), c->in[i]->v.dtype);
}

static const ct_op clamp_op = {CT_OP,
                               .name = "clamp",
                               .doc = "y = min(max(x, lo), hi)",
                               .n_in = 1,
                               .inplace = 1,
                               .flags = CT_ELEMENTWISE,
                               .attr_size = sizeof(ct__bounds),
                               .infer = clamp_infer,
                               .kernel = &clamp_kernel,
                               .partial = clamp_partial,
                               .lo = -2,
                               .hi = 2};

ct_tensor *ct_clamp(ct_tensor *x, double lo, double hi) {
  ct__bounds b = {lo, hi};
  return CT__APPLY(&clamp_op, &b, x);
}

/* ---- where: y = a where c, else b; ga = where(c, gy, 0), gb = where(c, 0, gy) ---------------- */

/* Linear in a and b together. */
static const ct_kernel where_kernel = {.loop = {[CT_F32] = ct__where_f32,
                                                [CT_F64] = ct__where_f64,
                                                [CT_I32] = ct__where_i32,
                                                [CT_U8] = ct__where_u8,
                                                [CT_BOOL] = ct__where_u8}};

static ct_status where_infer(const ct_call *c, ct_spec *out) {
  const ct_view *a = ct__in(c, 1), *b = ct__in(c, 2);
  if (ct__in(c, 0)->dtype != CT_BOOL) return ct_fail(c, CT_EDTYPE, "want a bool condition");
  if (a->dtype != b->dtype)
    return ct_fail(c, CT_EDTYPE, "want branches of one dtype (ct_cast converts)");
  ct_shape both;
  if (!ct__broadcast(ct__shape_of_view(a), ct__shape_of_view(b), &both) ||
      !ct__broadcast(ct__shape_of_view(ct__in(c, 0)), both, &out->shape))
    return ct_fail(c, CT_ESHAPE, "want shapes that broadcast");
  out->dtype = a->dtype;
  return CT_OK;
}

static void where_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  ct_tensor *zero = ct__constant_like(gy[0], 0);
  if (ct_wants(c, 1)) gx[1] = ct_where(c->in[0], gy[0], zero);
  if (ct_wants(c, 2)) gx[2] = ct_where(c->in[0], zero, gy[0]);
}

static const ct_op where_op = {CT_OP,
                               .name = "where",
                               .doc = "y = a where c, else b",
                               .n_in = 3,
                               .inplace = 6,
                               .flags = CT_ELEMENTWISE,
                               .infer = where_infer,
                               .kernel = &where_kernel,
                               .vjp = where_vjp,
                               .jvp = ct__jvp_joint,
                               .lo = -2,
                               .hi = 2};

ct_tensor *ct_where(ct_tensor *condition, ct_tensor *a, ct_tensor *b) {
  return CT__APPLY(&where_op, NULL, condition, a, b);
}

/* ---- cast: y = x in another dtype; between floats linear, gx = cast(gy) ---------------------- */

static ct_status cast_infer(const ct_call *c, ct_spec *out) {
  ct__infer_like(c, out);
  out->dtype = (ct_dtype)((const int *)c->attr)[0];
  return CT_OK;
}

static ct_status cast_eval(const ct_eval *e) {
  ct__cast(e->in[0], e->out[0]);
  return CT_OK;
}

static void cast_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = ct_cast(gy[0], ct__in(c, 0)->dtype);
}

const ct_op ct__cast_op = {CT_OP,
                           .name = "cast",
                           .doc = "y = x in another dtype",
                           .n_in = 1,
                           .linear = 1,
                           .flags = CT_ELEMENTWISE,
                           .attr_size = sizeof(int),
                           .infer = cast_infer,
                           .eval = cast_eval,
                           .vjp = cast_vjp,
                           .lo = -2,
                           .hi = 2};

ct_tensor *ct_cast(ct_tensor *x, ct_dtype dtype) {
  int to = (int)dtype;
  return CT__APPLY(&ct__cast_op, &to, x);
}

/* ---- stop_gradient: y = x, constant to both modes -------------------------------------------- */

static bool same_view(const void *attr, const ct_view *x, ct_view *y) {
  (void)attr;
  *y = *x;
  return true;
}

static const ct_op stop_gradient_op = {CT_OP,
                                       .name = "stop_gradient",
                                       .doc = "y = x, with no derivative",
                                       .n_in = 1,
                                       .flags = CT_ELEMENTWISE | CT_NONDIFF,
                                       .infer = ct__infer_like,
                                       .view = same_view,
                                       .eval = ct__view_eval,
                                       .lo = -2,
                                       .hi = 2};

ct_tensor *ct_stop_gradient(ct_tensor *x) { return CT__APPLY(&stop_gradient_op, NULL, x); }

const ct_op *const ct__misc_ops[] = {&ct__scale_op, &ct__shift_op,     &clamp_op, &where_op,
                                     &ct__cast_op,  &stop_gradient_op, NULL};
