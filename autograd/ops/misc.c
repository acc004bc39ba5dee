/* misc.c - elementwise operations with a constant or a condition; casts; the gradient barrier. */
#include "../autograd_internal.h"

#include <math.h>

/* ---- scale and shift: one C double, in the dtype of x ---------------------------------------- */

#define UNARY_LOOP(name, T, constant, f)                                                           \
  static void name(int64_t n, char *const *p, const int64_t *s, const void *attr) {                \
    constant;                                                                                      \
    const T *x = (const T *)(const void *)p[0];                                                    \
    T *y = (T *)(void *)p[1];                                                                      \
    if (s[0] == 1 && s[1] == 1)                                                                    \
      for (int64_t i = 0; i < n; i++) y[i] = f(x[i]);                                              \
    else                                                                                           \
      for (int64_t i = 0; i < n; i++) y[i * s[1]] = f(x[i * s[0]]);                                \
  }
#define C_F32         const float c = (float)((const double *)attr)[0]
#define C_F64         const double c = ((const double *)attr)[0]
#define C_I32         const uint32_t c = (uint32_t)(int32_t)((const double *)attr)[0]
#define SCALE(x)      (c * (x))
#define SHIFT(x)      (c + (x))
#define WRAP_SCALE(x) ((int32_t)(c * (uint32_t)(x))) /* no overflow in C */
#define WRAP_SHIFT(x) ((int32_t)(c + (uint32_t)(x)))
UNARY_LOOP(scale_f32, float, C_F32, SCALE)
UNARY_LOOP(scale_f64, double, C_F64, SCALE)
UNARY_LOOP(scale_i32, int32_t, C_I32, WRAP_SCALE)
UNARY_LOOP(shift_f32, float, C_F32, SHIFT)
UNARY_LOOP(shift_f64, double, C_F64, SHIFT)
UNARY_LOOP(shift_i32, int32_t, C_I32, WRAP_SHIFT)

static const ct_kernel scale_kernel = {
    .loop = {[CT_F32] = scale_f32, [CT_F64] = scale_f64, [CT_I32] = scale_i32}};
static const ct_kernel shift_kernel = {
    .loop = {[CT_F32] = shift_f32, [CT_F64] = shift_f64, [CT_I32] = shift_i32}};

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

static const ct_op scale_op = {CT_OP,
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

ct_tensor *ct_scale(ct_tensor *x, double c) { return CT__APPLY(&scale_op, &c, x); }

/* shift: y = x + c; gx = gy, dy = dx */

static const ct_op shift_op = {CT_OP,
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

ct_tensor *ct_shift(ct_tensor *x, double c) { return CT__APPLY(&shift_op, &c, x); }

/* ---- clamp: y = min(max(x, lo), hi); dy/dx = 1 where y == x, that is lo <= x <= hi, else 0 ---- */

typedef struct bounds {
  double lo, hi;
} bounds;

/* Bounds beyond the range of i32 do not bind. */
static int32_t saturate(double x) {
  return x <= INT32_MIN ? INT32_MIN : x >= INT32_MAX ? INT32_MAX : (int32_t)x;
}

#define BOUNDS(T, to)                                                                              \
  const T lo = to(((const bounds *)attr)->lo), hi = to(((const bounds *)attr)->hi)
#define TO_F32(x) ((float)(x))
#define TO_F64(x) (x)
#define CLAMP(x)  ((x) < lo ? lo : (x) > hi ? hi : (x)) /* NaN stays */
UNARY_LOOP(clamp_f32, float, BOUNDS(float, TO_F32), CLAMP)
UNARY_LOOP(clamp_f64, double, BOUNDS(double, TO_F64), CLAMP)
UNARY_LOOP(clamp_i32, int32_t, BOUNDS(int32_t, saturate), CLAMP)

/* mul0(t, y == x), as the composition below: the same bits, signed zeros included. */
#define CLAMP_PARTIAL(name, T)                                                                     \
  static void name(int64_t n, char *const *p, const int64_t *s, const void *attr) {                \
    (void)attr;                                                                                    \
    const T *t = (const T *)(const void *)p[0], *x = (const T *)(const void *)p[1],                \
            *y = (const T *)(const void *)p[2];                                                    \
    T *out = (T *)(void *)p[3];                                                                    \
    for (int64_t i = 0; i < n; i++) {                                                              \
      T g = t[i * s[0]];                                                                           \
      out[i * s[3]] = g == 0 ? 0 : g * (T)(x[i * s[1]] == y[i * s[2]]);                            \
    }                                                                                              \
  }
CLAMP_PARTIAL(clamp_partial_f32, float)
CLAMP_PARTIAL(clamp_partial_f64, double)

static const ct_kernel clamp_kernel = {
    .loop = {[CT_F32] = clamp_f32, [CT_F64] = clamp_f64, [CT_I32] = clamp_i32},
    .partial = {{[CT_F32] = clamp_partial_f32, [CT_F64] = clamp_partial_f64}}};

static ct_status clamp_infer(const ct_call *c, ct_spec *out) {
  const bounds *b = c->attr;
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
                               .attr_size = sizeof(bounds),
                               .infer = clamp_infer,
                               .kernel = &clamp_kernel,
                               .partial = clamp_partial,
                               .lo = -2,
                               .hi = 2};

ct_tensor *ct_clamp(ct_tensor *x, double lo, double hi) {
  bounds b = {lo, hi};
  return CT__APPLY(&clamp_op, &b, x);
}

/* ---- where: y = a where c, else b; ga = where(c, gy, 0), gb = where(c, 0, gy). Linear in a and b together ---- */

#define WHERE_LOOP(name, T)                                                                        \
  static void name(int64_t n, char *const *p, const int64_t *s, const void *attr) {                \
    (void)attr;                                                                                    \
    const uint8_t *c = (const uint8_t *)p[0];                                                      \
    const T *a = (const T *)(const void *)p[1], *b = (const T *)(const void *)p[2];                \
    T *y = (T *)(void *)p[3];                                                                      \
    if (s[0] == 1 && s[1] == 1 && s[2] == 1 && s[3] == 1)                                          \
      for (int64_t i = 0; i < n; i++) y[i] = c[i] ? a[i] : b[i];                                   \
    else                                                                                           \
      for (int64_t i = 0; i < n; i++) y[i * s[3]] = c[i * s[0]] ? a[i * s[1]] : b[i * s[2]];       \
  }
WHERE_LOOP(where_1, uint8_t)
WHERE_LOOP(where_4, uint32_t)
WHERE_LOOP(where_8, uint64_t)

static const ct_kernel where_kernel = {.loop = {[CT_F32] = where_4,
                                                [CT_F64] = where_8,
                                                [CT_I32] = where_4,
                                                [CT_U8] = where_1,
                                                [CT_BOOL] = where_1}};

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

static ct_status copy_eval(const ct_eval *e) {
  ct__copy(e->in[0], e->out[0]);
  return CT_OK;
}

static const ct_op stop_gradient_op = {CT_OP,
                                       .name = "stop_gradient",
                                       .doc = "y = x, with no derivative",
                                       .n_in = 1,
                                       .flags = CT_ELEMENTWISE | CT_NONDIFF,
                                       .infer = ct__infer_like,
                                       .view = same_view,
                                       .eval = copy_eval,
                                       .lo = -2,
                                       .hi = 2};

ct_tensor *ct_stop_gradient(ct_tensor *x) { return CT__APPLY(&stop_gradient_op, NULL, x); }

const ct_op *const ct__misc_ops[] = {&scale_op,    &shift_op,         &clamp_op, &where_op,
                                     &ct__cast_op, &stop_gradient_op, NULL};
