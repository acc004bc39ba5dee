/* binary.c - the rows of binary.def, and the binary primitives that are not of its shape: sums. */
#include "reads.h"

#include "composition.h"
#include "kernels.h"

/* ---- derivatives as compositions ------------------------------------------------------------- */

#define BINARY(name, doc, f, da, db, ...)                                                          \
  static ct_tensor *name##_partial(const ct_call *c, int i) {                                      \
    ct_tensor *a = c->in[0], *b = c->in[1], *y = ct_out(c, 0);                                     \
    (void)a, (void)b, (void)y;                                                                     \
    return i == 0 ? da : db;                                                                       \
  }
#include "binary.def"

/* y = a + b, y = a - b: linear in both together. */
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

/* ---- records and constructors ---------------------------------------------------------------- */

static ct_status compare_infer(const ct_call *c, ct_spec *out) {
  ct_status status = ct_infer_same(c, out);
  out->dtype = CT_BOOL;
  return status;
}

/* clang-format off */
#define RECORD(NAME, DOC, FLAGS, INFER, ...)                                                       \
  const ct_op ct__##NAME##_op = {CT_OP, .name = #NAME, .doc = "y = " DOC, .n_in = 2,               \
      .flags = CT_ELEMENTWISE | (FLAGS), .infer = INFER, .kernel = &NAME##_kernel, __VA_ARGS__};
#define OF_ONE_DTYPE(NAME, DOC, FLAGS, ...)                                                        \
  RECORD(NAME, DOC, FLAGS, ct_infer_same, __VA_ARGS__)                                             \
  ct_tensor *ct_##NAME(ct_tensor *a, ct_tensor *b) { return ct__binary(&ct__##NAME##_op, a, b); }
#define LOOPS(NAME, I32)                                                                           \
  .loop = {[CT_F32] = ct__##NAME##_f32, [CT_F64] = ct__##NAME##_f64, [CT_I32] = I32}

#define BINARY(NAME, DOC, f, da, db, LO, HI, I32)                                                  \
  static const ct_kernel NAME##_kernel = {LOOPS(NAME, I32),                                        \
      .partial = {{[CT_F32] = ct__##NAME##_da_f32, [CT_F64] = ct__##NAME##_da_f64},                            \
                  {[CT_F32] = ct__##NAME##_db_f32, [CT_F64] = ct__##NAME##_db_f64}},                           \
      .reads = {READS(NAME##_da), READS(NAME##_db)}};                                              \
  OF_ONE_DTYPE(NAME, DOC, 0, .inplace = 3, .partial = NAME##_partial, .lo = LO, .hi = HI)
#define COMPARE(NAME, SIGN_)                                                                       \
  static const ct_kernel NAME##_kernel = {                                                         \
      .loop = {ct__##NAME##_f32, ct__##NAME##_f64, ct__##NAME##_i32, ct__##NAME##_u8,              \
               ct__##NAME##_u8}};                                                                  \
  RECORD(NAME, "a " #SIGN_ " b, bool", CT_NONDIFF, compare_infer, .lo = -2, .hi = 2)               \
  ct_tensor *ct_##NAME(ct_tensor *a, ct_tensor *b) { return CT__APPLY(&ct__##NAME##_op, NULL, a, b); }
#define LOGICAL(NAME, SIGN_)                                                                       \
  static const ct_kernel NAME##_kernel = {.loop = {[CT_BOOL] = ct__##NAME##_u8}};                   \
  OF_ONE_DTYPE(NAME, "a " #NAME " b, bool", CT_NONDIFF, .inplace = 3)
#include "binary.def"

#define LINEAR(NAME, DOC, I32, ...)                                                                \
  static const ct_kernel NAME##_kernel = {LOOPS(NAME, I32)};                                       \
  OF_ONE_DTYPE(NAME, DOC, 0, .inplace = 3, .lo = -2, .hi = 2, __VA_ARGS__)
LINEAR(add,  "a + b",                        ct__add_i32, .vjp = ct__pass_vjp, .jvp = add_jvp)
LINEAR(sub,  "a - b",                        ct__sub_i32, .vjp = sub_vjp, .jvp = sub_jvp)
LINEAR(mul0, "a b, exactly 0 where a is 0",  NULL,    .vjp = mul0_vjp, .linear = 3)
/* clang-format on */

const ct_op *const ct__binary_ops[] = {&ct__add_op, &ct__sub_op, &ct__mul0_op,
#define BINARY(name, ...)   &ct__##name##_op,
#define COMPARE(name, sign) &ct__##name##_op,
#define LOGICAL(name, sign) &ct__##name##_op,
#include "binary.def"
                                       NULL};
