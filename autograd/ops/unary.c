/* unary.c - the rows of unary.def as kernels, derivatives, records and constructors. */
#include "elementwise.h"

/* ---- kernels: the value, and t times the derivative ------------------------------------------ */

#define PARTIAL1(loop, T, derivative)                                                              \
  static void loop(int64_t n, char *const *p, const int64_t *s, const void *attr) {                \
    (void)attr;                                                                                    \
    const T *pt = (const T *)(const void *)p[0], *px = (const T *)(const void *)p[1],              \
            *py = (const T *)(const void *)p[2];                                                   \
    T *out = (T *)(void *)p[3];                                                                    \
    if (s[0] == 1 && s[1] == 1 && s[2] == 1 && s[3] == 1)                                          \
      for (int64_t i = 0; i < n; i++) {                                                            \
        T x = px[i], y = py[i];                                                                    \
        (void)x, (void)y;                                                                          \
        out[i] = MUL0(pt[i], derivative);                                                          \
      }                                                                                            \
    else                                                                                           \
      for (int64_t i = 0; i < n; i++) {                                                            \
        T x = px[i * s[1]], y = py[i * s[2]];                                                      \
        (void)x, (void)y;                                                                          \
        out[i * s[3]] = MUL0(pt[i * s[0]], derivative);                                            \
      }                                                                                            \
  }

#define T float
#define UNARY(name, doc, f, derivative, lo, hi, i32)                                               \
  LOOP1(name##_f32, float, float, f)                                                               \
  PARTIAL1(name##_partial_f32, float, derivative)
#include "unary.def"
#undef UNARY
#undef T

#define T double
#define UNARY(name, doc, f, derivative, lo, hi, i32)                                               \
  LOOP1(name##_f64, double, double, f)                                                             \
  PARTIAL1(name##_partial_f64, double, derivative)
#include "unary.def"
#undef UNARY
#undef T

/* Integers wrap, as unsigned arithmetic does. */
LOOP1(neg_i32, int32_t, int32_t, (int32_t)(0u - (uint32_t)x))
LOOP1(abs_i32, int32_t, int32_t, x < 0 ? (int32_t)(0u - (uint32_t)x) : x)
LOOP1(square_i32, int32_t, int32_t, (int32_t)((uint32_t)x *(uint32_t)x))
LOOP1(sign_i32, int32_t, int32_t, (x > 0) - (x < 0))
LOOP1(sign_f32, float, float, SIGN(x))
LOOP1(sign_f64, double, double, SIGN(x))

/* ---- derivatives as compositions ------------------------------------------------------------- */

#include "composition.h"

#define UNARY(name, doc, f, derivative, lo, hi, i32)                                               \
  static ct_tensor *name##_partial(const ct_call *c, int i) {                                      \
    ct_tensor *x = c->in[0], *y = ct_out(c, 0);                                                    \
    (void)i, (void)x, (void)y;                                                                     \
    return derivative;                                                                             \
  }
#include "unary.def"
#undef UNARY

/* ---- records and constructors ---------------------------------------------------------------- */

/* clang-format off */
#define UNARY(NAME, DOC, f, derivative, LO, HI, I32)                                                    \
  static const ct_kernel NAME##_kernel = {                                                         \
      .loop = {[CT_F32] = NAME##_f32, [CT_F64] = NAME##_f64, [CT_I32] = I32},           \
      .partial = {{[CT_F32] = NAME##_partial_f32, [CT_F64] = NAME##_partial_f64}}};                \
  static const ct_op NAME##_op = {CT_OP, .name = #NAME, .doc = "y = " DOC, .n_in = 1, .inplace = 1, \
      .flags = CT_ELEMENTWISE, .infer = ct__infer_like, .kernel = &NAME##_kernel,                  \
      .partial = NAME##_partial, .lo = LO, .hi = HI};                                              \
  ct_tensor *ct_##NAME(ct_tensor *x) { return CT__APPLY(&NAME##_op, NULL, x); }
/* clang-format on */
#include "unary.def"
#undef UNARY

static const ct_kernel sign_kernel = {.loop = {sign_f32, sign_f64, sign_i32}};
static const ct_op sign_op = {CT_OP,
                              .name = "sign",
                              .doc = "y = -1, 0 or 1; NaN stays; derivative 0",
                              .n_in = 1,
                              .inplace = 1,
                              .flags = CT_ELEMENTWISE | CT_NONDIFF,
                              .infer = ct__infer_like,
                              .kernel = &sign_kernel,
                              .lo = -2,
                              .hi = 2};
ct_tensor *ct_sign(ct_tensor *x) { return CT__APPLY(&sign_op, NULL, x); }

const ct_op *const ct__unary_ops[] = {
#define UNARY(name, doc, f, derivative, lo, hi, i32) &name##_op,
#include "unary.def"
#undef UNARY
    &sign_op, NULL};
