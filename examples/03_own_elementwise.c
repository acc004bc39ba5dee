/* 03_own_elementwise.c - a new elementwise primitive: y = x s(x), s the logistic function, known as
 * swish. It needs its value, as inner loops, and its derivative, as an expression.
 */
#include <cotangent.h>
#include <math.h>

/* ---- the value: an inner loop for each dtype ------------------------------------------------- */

#define SWISH_LOOP(name, T, exp)                                                                   \
  static void name(int64_t n, char *const *p, const int64_t *stride, const void *attr) {           \
    const T *x = (const T *)(const void *)p[0];                                                    \
    T *y = (T *)(void *)p[1];                                                                      \
    (void)attr;                                                                                    \
    for (int64_t i = 0; i < n; i++) {                                                              \
      T at = x[i * stride[0]];                                                                     \
      y[i * stride[1]] = at / (1 + exp(-at));                                                      \
    }                                                                                              \
  }
SWISH_LOOP(swish_f32, float, expf)
SWISH_LOOP(swish_f64, double, exp)

static const ct_kernel swish_kernel = {.loop = {[CT_F32] = swish_f32, [CT_F64] = swish_f64}};

/* ---- the derivative: dy/dx = s(x) + y s(-x), made of operations ------------------------------ */

static ct_tensor *swish_partial(const ct_call *c, int i) {
  ct_tensor *x = c->in[i], *y = ct_out(c, 0);
  return ct_add(ct_sigmoid(x), ct_mul(y, ct_sigmoid(ct_neg(x))));
}

/* ---- the record, and a constructor ----------------------------------------------------------- */

static const ct_op swish_op = {CT_OP,
                               .name = "swish",
                               .doc = "y = x s(x)",
                               .n_in = 1,
                               .flags = CT_ELEMENTWISE,
                               .infer = ct_infer_same,
                               .kernel = &swish_kernel,
                               .partial = swish_partial,
                               .lo = -4,
                               .hi = 4};

static ct_tensor *swish(ct_tensor *x) { return ct_apply(&swish_op, CT_LIST(x)); }

/* ---- what follows from it -------------------------------------------------------------------- */

static ct_tensor *checked(ct_list x, void *payload) {
  (void)payload;
  return swish(x.at[0]);
}

static void print(const char *what, const ct_tensor *t) {
  const double *at = ct_data(t);
  printf("%-22s", what);
  for (int64_t i = 0; at && i < ct_size(t); i++) printf(" %9.6f", at[i]);
  printf("\n");
}

int main(void) {
  ct_tensor *x = ct_variable(ct_from(CT_F64, CT_SHAPE(3), (double[]){-1, 0, 2}));
  ct_tensor *y = swish(x), *ones = ct_ones(CT_F64, CT_SHAPE(3)), *c[5];
  ct_tensor *g = ct_vjp(y, x, ones);
  print("swish", y);
  print("reverse mode", g);
  print("forward mode", ct_jvp(y, x, ones));
  print("second derivative", ct_jvp(g, x, ones));
  print("Jacobian's diagonal", ct_contiguous(ct_diag(ct_jacobian(y, x, CT_JACOBIAN_AUTO))));
  if (ct_taylor(y, x, ones, 4, c) == CT_OK) print("4th Taylor coefficient", c[4]);

  /* Every element against central differences, both modes, both orders. */
  ct_gradcheck_report worst;
  if (ct_gradcheck(checked, NULL, CT_LIST(x), (ct_gradcheck_opts){0}, &worst) == CT_OK)
    printf("derivatives agree with differences\n");
  ct_release(&x);
  ct_error_print(stderr);
  return ct_error_code() != CT_OK;
}
