/* binary.c - the rows of binary.def, and the binary primitives that are not of its shape: sums and
 * comparisons. */
#include "elementwise.h"

/* ---- kernels --------------------------------------------------------------------------------- */

/* t times the derivative with respect to one of two inputs; the other partial's operands are there
 * too. */
#define PARTIAL2(loop, T, derivative)                                                              \
  static void loop(int64_t n, char *const *p, const int64_t *s, const void *attr) {                \
    (void)attr;                                                                                    \
    const T *pt = (const T *)(const void *)p[0], *pa = (const T *)(const void *)p[1],              \
            *pb = (const T *)(const void *)p[2], *py = (const T *)(const void *)p[3];              \
    T *out = (T *)(void *)p[4];                                                                    \
    for (int64_t i = 0; i < n; i++) {                                                              \
      T a = pa[i * s[1]], b = pb[i * s[2]], y = py[i * s[3]];                                      \
      (void)a, (void)b, (void)y;                                                                   \
      out[i * s[4]] = MUL0(pt[i * s[0]], derivative);                                              \
    }                                                                                              \
  }

#define T float
#define BINARY(name, doc, f, da, db, lo, hi, i32)                                                  \
  LOOP2(name##_f32, float, float, f)                                                               \
  PARTIAL2(name##_da_f32, float, da)                                                               \
  PARTIAL2(name##_db_f32, float, db)
#include "binary.def"
#undef BINARY
LOOP2(add_f32, float, float, ADD(a, b))
LOOP2(sub_f32, float, float, SUB(a, b))
LOOP2(mul0_f32, float, float, MUL0(a, b))
#undef T

#define T double
#define BINARY(name, doc, f, da, db, lo, hi, i32)                                                  \
  LOOP2(name##_f64, double, double, f)                                                             \
  PARTIAL2(name##_da_f64, double, da)                                                              \
  PARTIAL2(name##_db_f64, double, db)
#include "binary.def"
#undef BINARY
LOOP2(add_f64, double, double, ADD(a, b))
LOOP2(sub_f64, double, double, SUB(a, b))
LOOP2(mul0_f64, double, double, MUL0(a, b))
#undef T

/* Integers wrap, as unsigned arithmetic does. */
LOOP2(add_i32, int32_t, int32_t, (int32_t)((uint32_t)a + (uint32_t)b))
LOOP2(sub_i32, int32_t, int32_t, (int32_t)((uint32_t)a - (uint32_t)b))
LOOP2(mul_i32, int32_t, int32_t, (int32_t)((uint32_t)a *(uint32_t)b))
LOOP2(maximum_i32, int32_t, int32_t, a > b ? a : b)
LOOP2(minimum_i32, int32_t, int32_t, a < b ? a : b)

/* ---- derivatives as compositions ------------------------------------------------------------- */

#include "composition.h"

#define BINARY(name, doc, f, da, db, lo, hi, i32)                                                  \
  static ct_tensor *name##_partial(const ct_call *c, int i) {                                      \
    ct_tensor *a = c->in[0], *b = c->in[1], *y = ct_out(c, 0);                                     \
    (void)a, (void)b, (void)y;                                                                     \
    return i == 0 ? da : db;                                                                       \
  }
#include "binary.def"
#undef BINARY

/* ---- records and constructors ---------------------------------------------------------------- */

/* clang-format off */
#define BINARY(NAME, DOC, f, da, db, LO, HI, I32)                                                  \
  static const ct_kernel NAME##_kernel = {                                                         \
      .loop = {[CT_F32] = NAME##_f32, [CT_F64] = NAME##_f64, [CT_I32] = I32},                      \
      .partial = {{[CT_F32] = NAME##_da_f32, [CT_F64] = NAME##_da_f64},                            \
                  {[CT_F32] = NAME##_db_f32, [CT_F64] = NAME##_db_f64}}};                          \
  static const ct_op NAME##_op = {CT_OP, .name = #NAME, .doc = "y = " DOC, .n_in = 2, .inplace = 3, \
      .flags = CT_ELEMENTWISE, .infer = ct_infer_same, .kernel = &NAME##_kernel,                   \
      .partial = NAME##_partial, .lo = LO, .hi = HI};                                              \
  ct_tensor *ct_##NAME(ct_tensor *a, ct_tensor *b) { return CT__APPLY(&NAME##_op, NULL, a, b); }
/* clang-format on */
#include "binary.def"
#undef BINARY

/* y = a + b, y = a - b: linear in both together. */
static void add_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  (void)c;
  gx[0] = gx[1] = gy[0];
}

static void add_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  (void)c;
  dy[0] = !dx[0] ? dx[1] : !dx[1] ? dx[0] : ct_add(dx[0], dx[1]);
}

static void sub_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = gy[0];
  if (ct_wants(c, 1)) gx[1] = ct_neg(gy[0]);
}

static void sub_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  (void)c;
  dy[0] = !dx[0] ? ct_neg(dx[1]) : !dx[1] ? dx[0] : ct_sub(dx[0], dx[1]);
}

/* y = a b, but exactly 0 where a is 0. Linear in each; a tangent of b is held back where a is 0
 * too. */
static void mul0_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  if (ct_wants(c, 0)) gx[0] = ct_mul0(gy[0], c->in[1]);
  if (ct_wants(c, 1)) gx[1] = ct_mul0(gy[0], c->in[0]);
}

/* clang-format off */
#define LINEAR_BINARY(NAME, DOC, I32, ...)                                                         \
  static const ct_kernel NAME##_kernel = {.loop = {NAME##_f32, NAME##_f64, I32}};                  \
  static const ct_op NAME##_op = {CT_OP, .name = #NAME, .doc = DOC, .n_in = 2, .inplace = 3,       \
      .flags = CT_ELEMENTWISE, .infer = ct_infer_same, .kernel = &NAME##_kernel,                   \
      .vjp = NAME##_vjp, .lo = -2, .hi = 2, __VA_ARGS__};                                          \
  ct_tensor *ct_##NAME(ct_tensor *a, ct_tensor *b) { return CT__APPLY(&NAME##_op, NULL, a, b); }
LINEAR_BINARY(add,  "y = a + b",                   add_i32, .jvp = add_jvp)
LINEAR_BINARY(sub,  "y = a - b",                   sub_i32, .jvp = sub_jvp)
LINEAR_BINARY(mul0, "y = a b, exactly 0 where a is 0", NULL, .linear = 3)
/* clang-format on */

/* ---- comparisons: bool, any dtype ------------------------------------------------------------ */

static ct_status compare_infer(const ct_call *c, ct_spec *out) {
  ct_status status = ct_infer_same(c, out);
  out->dtype = CT_BOOL;
  return status;
}

/* clang-format off */
#define COMPARISON_LIST(X) X(eq, ==) X(ne, !=) X(lt, <) X(le, <=) X(gt, >) X(ge, >=)

#define COMPARISON(NAME, SIGN_)                                                                    \
  LOOP2(NAME##_f32, float, uint8_t, a SIGN_ b)                                                     \
  LOOP2(NAME##_f64, double, uint8_t, a SIGN_ b)                                                    \
  LOOP2(NAME##_i32, int32_t, uint8_t, a SIGN_ b)                                                   \
  LOOP2(NAME##_u8, uint8_t, uint8_t, a SIGN_ b)                                                    \
  static const ct_kernel NAME##_kernel = {                                                         \
      .loop = {NAME##_f32, NAME##_f64, NAME##_i32, NAME##_u8, NAME##_u8}};                         \
  static const ct_op NAME##_op = {CT_OP, .name = #NAME, .doc = "y = a " #SIGN_ " b, bool",         \
      .n_in = 2, .flags = CT_ELEMENTWISE | CT_NONDIFF, .infer = compare_infer,                     \
      .kernel = &NAME##_kernel, .lo = -2, .hi = 2};                                                \
  ct_tensor *ct_##NAME(ct_tensor *a, ct_tensor *b) { return CT__APPLY(&NAME##_op, NULL, a, b); }
/* clang-format on */
COMPARISON_LIST(COMPARISON)

#define BINARY(name, doc, f, da, db, lo, hi, i32) &name##_op,
#define COMPARISON_ENTRY(name, sign)              &name##_op,
const ct_op *const ct__binary_ops[] = {&add_op, &sub_op, &mul0_op,
#include "binary.def"
                                       COMPARISON_LIST(COMPARISON_ENTRY) NULL};
