/* unary.c - the rows of unary.def as derivatives, records and constructors. */
#include "reads.h"

#include "composition.h"
#include "kernels.h"

/* ---- derivatives as compositions ------------------------------------------------------------- */

#define UNARY(name, doc, f, derivative, ...)                                                       \
  static ct_tensor *name##_partial(const ct_call *c, int i) {                                      \
    ct_tensor *x = c->in[0], *y = ct_out(c, 0);                                                    \
    (void)i, (void)x, (void)y;                                                                     \
    return derivative;                                                                             \
  }
#define UNARY_WITH(name, doc, f, derivative, ...)                                                  \
  static ct_tensor *name##_partial(const ct_call *c, int i) {                                      \
    ct_tensor *x = c->in[0];                                                                       \
    double p = *(const double *)c->attr;                                                           \
    (void)i;                                                                                       \
    return derivative;                                                                             \
  }
#include "unary.def"

/* ---- records and constructors ---------------------------------------------------------------- */

/* clang-format off */
#define RECORD(NAME, DOC, LO, HI, ...)                                                             \
  const ct_op ct__##NAME##_op = {CT_OP, .name = #NAME, .doc = "y = " DOC, .n_in = 1,               \
      .inplace = 1, .infer = ct__infer_like, .kernel = &NAME##_kernel, .lo = LO, .hi = HI, __VA_ARGS__};
#define LOOPS(NAME, I32)                                                                           \
  .loop = {[CT_F32] = ct__##NAME##_f32, [CT_F64] = ct__##NAME##_f64, [CT_I32] = I32}
#define PARTIAL(NAME)                                                                              \
  .partial = {{[CT_F32] = ct__##NAME##_dx_f32, [CT_F64] = ct__##NAME##_dx_f64}},                   \
  .reads = {READS(NAME)}

#define UNARY(NAME, DOC, f, derivative, LO, HI, I32)                                               \
  static const ct_kernel NAME##_kernel = {LOOPS(NAME, I32), PARTIAL(NAME)};                        \
  RECORD(NAME, DOC, LO, HI, .flags = CT_ELEMENTWISE, .partial = NAME##_partial)                    \
  ct_tensor *ct_##NAME(ct_tensor *x) { return ct__unary(&ct__##NAME##_op, x); }
#define UNARY_WITH(NAME, DOC, f, derivative, LO, HI)                                               \
  static const ct_kernel NAME##_kernel = {LOOPS(NAME, NULL), PARTIAL(NAME)};                       \
  RECORD(NAME, DOC, LO, HI, .flags = CT_ELEMENTWISE, .partial = NAME##_partial,                    \
         .attr_size = sizeof(double))
#define UNARY_STEP(NAME, DOC, f, LO, HI, I32)                                                      \
  static const ct_kernel NAME##_kernel = {LOOPS(NAME, I32)};                                       \
  RECORD(NAME, DOC, LO, HI, .flags = CT_ELEMENTWISE | CT_NONDIFF)                                  \
  ct_tensor *ct_##NAME(ct_tensor *x) { return ct__unary(&ct__##NAME##_op, x); }
#include "unary.def"
/* clang-format on */

ct_tensor *ct_elu(ct_tensor *x, double p) { return CT__APPLY(&ct__elu_op, &p, x); }
ct_tensor *ct_leaky_relu(ct_tensor *x, double p) { return CT__APPLY(&ct__leaky_relu_op, &p, x); }
ct_tensor *ct_hardtanh(ct_tensor *x) { return ct_clamp(x, -1, 1); }

ct_tensor *ct_polygamma(int n, ct_tensor *x) {
  if (n < 0 || n > POLYGAMMA_MAX)
    return ct__nil(CT_EARG, "polygamma: want an order from 0 to %d, not %d", POLYGAMMA_MAX, n);
  double p = n;
  return CT__APPLY(&ct__polygamma_op, &p, x);
}

/* ---- to bool, and of bools ------------------------------------------------------------------- */

static ct_status infer_bool(const ct_call *c, ct_spec *out) {
  ct__infer_like(c, out);
  out->dtype = CT_BOOL;
  return CT_OK;
}

static const ct_kernel is_finite_kernel = {.loop = {ct__is_finite_f32, ct__is_finite_f64}};
static const ct_op is_finite_op = {
    CT_OP,
    .name = "is_finite",
    .doc = "y = neither infinite nor NaN, bool",
    .n_in = 1,
    .flags = CT_ELEMENTWISE | CT_NONDIFF,
    .infer = infer_bool,
    .kernel = &is_finite_kernel,
    .lo = -2,
    .hi = 2,
};
ct_tensor *ct_is_finite(ct_tensor *x) { return CT__APPLY(&is_finite_op, NULL, x); }

static const ct_kernel not_kernel = {.loop = {[CT_BOOL] = ct__not_u8}};
const ct_op ct__not_op = {
    CT_OP,
    .name = "not",
    .doc = "y = not x, bool",
    .n_in = 1,
    .inplace = 1,
    .flags = CT_ELEMENTWISE | CT_NONDIFF,
    .infer = ct__infer_like,
    .kernel = &not_kernel,
};
ct_tensor *ct_not(ct_tensor *x) { return ct__unary(&ct__not_op, x); }

const ct_op *const ct__unary_ops[] = {
#define UNARY(name, ...) &ct__##name##_op,
#define UNARY_WITH       UNARY
#define UNARY_STEP       UNARY
#include "unary.def"
    &is_finite_op, &ct__not_op, NULL};
