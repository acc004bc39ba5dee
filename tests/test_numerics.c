/* test_numerics.c - relative errors of functions, and of their derivatives, where a plain formula
 * loses digits: near 0 and in the tails, against long double. `test_numerics --table` prints them
 * as Markdown (docs/numerics.md). */
#include "testing.h"

#include "cotangent.h"

#include <float.h>

enum { POINTS = 20001 };

/* ---- references ------------------------------------------------------------------------------ */

static long double sigmoid(long double x) {
  long double e = expl(-fabsl(x));
  return (x >= 0 ? 1 : e) / (1 + e);
}
static long double softplus(long double x) { return fmaxl(x, 0) + log1pl(expl(-fabsl(x))); }
static long double log_sigmoid(long double x) { return -softplus(-x); }
static long double sigmoid_of_minus(long double x) { return sigmoid(-x); }
static long double sigmoid_slope(long double x) { return sigmoid(x) * sigmoid(-x); }
static long double tanh_slope(long double x) { return 4 * sigmoid(2 * x) * sigmoid(-2 * x); }
static long double log1p_slope(long double x) { return 1 / (1 + x); }

/* ---- functions ------------------------------------------------------------------------------- */

static ct_tensor *with_zeros(ct_tensor *x) {
  return ct_stack(CT_LIST(x, ct_zeros(ct_dtype_of(x), ct_shape_of(x))), 1);
}

/* Of the pair (x, 0). */
static ct_tensor *logsumexp(ct_tensor *x) { return ct_logsumexp(with_zeros(x), CT_AXES(1), false); }

/* The first of the pair (x, 0). */
static ct_tensor *log_softmax(ct_tensor *x) {
  ct_tensor *y = ct_log_softmax(with_zeros(x), 1);
  return ct_squeeze(ct_slice(y, 1, 0, 1, 1), CT_AXES(1));
}

/* ---- the table ------------------------------------------------------------------------------- */

/* What is compared with larger numbers than itself. */
enum { RELATIVE = 0, VALUE = 1, SLOPE = 2 };

/* Points lie from lo to hi, evenly or, with `powers`, by their exponents; hi for f32 if it differs.
 * The bound is in units of the dtype's epsilon, relative to the result, or, as `absolute` says,
 * where a result near 0 is a difference of larger numbers, to max(|x|, |y|, 1). */
typedef struct row {
  const char *name;
  ct_tensor *(*f)(ct_tensor *x);
  long double (*value)(long double x), (*slope)(long double x);
  const char *range;
  double lo, hi, lo_f32, hi_f32;
  bool powers;
  int absolute;
  double bound[2]; /* of value and derivative */
} row;

#define NEAR(sign)      sign * 1e-300, sign * 0.1, sign * 1e-36, sign * 0.1, true
#define ALL(lo, hi)     lo, hi, lo, hi, false
#define FAR(hi64, hi32) (hi64) > 0 ? 1.0 : -1.0, hi64, (hi64) > 0 ? 1.0 : -1.0, hi32, true

static const row rows[] = {
    {"expm1", ct_expm1, expm1l, expl, "near 0, x > 0", NEAR(1), RELATIVE, {3, 3}},
    {"expm1", ct_expm1, expm1l, expl, "near 0, x < 0", NEAR(-1), RELATIVE, {3, 3}},
    {"expm1", ct_expm1, expm1l, expl, "up to overflow", FAR(709, 88), RELATIVE, {3, 3}},
    {"expm1", ct_expm1, expm1l, expl, "down to underflow of e^x", FAR(-700, -85), RELATIVE, {3, 3}},
    {"log1p", ct_log1p, log1pl, log1p_slope, "near 0, x > 0", NEAR(1), RELATIVE, {3, 3}},
    {"log1p", ct_log1p, log1pl, log1p_slope, "near 0, x < 0", NEAR(-1), RELATIVE, {3, 3}},
    {"log1p", ct_log1p, log1pl, log1p_slope, "large", FAR(1e300, 1e36), RELATIVE, {3, 3}},
    {"tanh", ct_tanh, tanhl, tanh_slope, "near 0, x > 0", NEAR(1), RELATIVE, {3, 6}},
    {"tanh", ct_tanh, tanhl, tanh_slope, "near 0, x < 0", NEAR(-1), RELATIVE, {3, 6}},
    {"tanh", ct_tanh, tanhl, tanh_slope, "right tail", FAR(350, 42), RELATIVE, {3, 6}},
    {"tanh", ct_tanh, tanhl, tanh_slope, "left tail", FAR(-350, -42), RELATIVE, {3, 6}},
    {"sigmoid", ct_sigmoid, sigmoid, sigmoid_slope, "middle", ALL(-4, 4), RELATIVE, {4, 6}},
    {"sigmoid", ct_sigmoid, sigmoid, sigmoid_slope, "right tail", FAR(700, 85), RELATIVE, {4, 6}},
    {"sigmoid", ct_sigmoid, sigmoid, sigmoid_slope, "left tail", FAR(-700, -85), RELATIVE, {4, 6}},
    {"softplus", ct_softplus, softplus, sigmoid, "middle", ALL(-4, 4), RELATIVE, {4, 4}},
    {"softplus", ct_softplus, softplus, sigmoid, "right tail", FAR(700, 85), RELATIVE, {4, 4}},
    {"softplus", ct_softplus, softplus, sigmoid, "left tail", FAR(-700, -85), RELATIVE, {4, 4}},
    {"log_sigmoid",
     ct_log_sigmoid,
     log_sigmoid,
     sigmoid_of_minus,
     "middle",
     ALL(-4, 4),
     RELATIVE,
     {4, 4}},
    {"log_sigmoid",
     ct_log_sigmoid,
     log_sigmoid,
     sigmoid_of_minus,
     "right tail",
     FAR(700, 85),
     RELATIVE,
     {4, 4}},
    {"log_sigmoid",
     ct_log_sigmoid,
     log_sigmoid,
     sigmoid_of_minus,
     "left tail",
     FAR(-700, -85),
     RELATIVE,
     {4, 4}},
    {"logsumexp", logsumexp, softplus, sigmoid, "(x, 0), middle", ALL(-4, 4), VALUE, {4, 40}},
    {"logsumexp", logsumexp, softplus, sigmoid, "(x, 0), x > 0", FAR(700, 85), VALUE, {4, 40}},
    {"logsumexp", logsumexp, softplus, sigmoid, "(x, 0), x < 0", FAR(-700, -85), VALUE, {4, 40}},
    {"log_softmax",
     log_softmax,
     log_sigmoid,
     sigmoid_of_minus,
     "(x, 0), middle",
     ALL(-4, 4),
     VALUE | SLOPE,
     {4, 6}},
    {"log_softmax",
     log_softmax,
     log_sigmoid,
     sigmoid_of_minus,
     "(x, 0), x > 0",
     FAR(700, 85),
     VALUE | SLOPE,
     {4, 6}},
    {"log_softmax",
     log_softmax,
     log_sigmoid,
     sigmoid_of_minus,
     "(x, 0), x < 0",
     FAR(-700, -85),
     VALUE | SLOPE,
     {4, 6}},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* ---- measuring ------------------------------------------------------------------------------- */

static double point(const row *r, ct_dtype dtype, int i) {
  double lo = dtype == CT_F32 ? r->lo_f32 : r->lo, hi = dtype == CT_F32 ? r->hi_f32 : r->hi;
  double part = i / (double)(POINTS - 1);
  double x = r->powers ? lo * exp(part * log(hi / lo)) : lo + part * (hi - lo);
  return dtype == CT_F32 ? (double)(float)x : x;
}

/* Largest errors of value and derivative, in units of epsilon. */
static void measure(const row *r, ct_dtype dtype, double worst[2]) {
  static double x[POINTS], got[2][POINTS];
  ct_scope scope = ct_scope_begin();
  for (int i = 0; i < POINTS; i++) x[i] = point(r, dtype, i);
  ct_tensor *v = ct_variable(ct_cast(ct_from(CT_F64, CT_SHAPE(POINTS), x), dtype)), *y = r->f(v);
  tensor_values(y, got[0], POINTS);
  tensor_values(ct_vjp(y, v, ct_ones(dtype, CT_SHAPE(POINTS))), got[1], POINTS);
  const long double unit = dtype == CT_F32 ? (long double)FLT_EPSILON : (long double)DBL_EPSILON;
  worst[0] = worst[1] = 0;
  for (int i = 0; i < POINTS; i++)
    for (int k = 0; k < 2; k++) {
      long double want = (k ? r->slope : r->value)(x[i]), size = fabsl(want);
      if (r->absolute & VALUE << k) size = fmaxl(fmaxl(size, k ? 0 : fabsl((long double)x[i])), 1);
      double error = (double)(fabsl((long double)got[k][i] - want) / (size * unit));
      if (!(error <= worst[k])) worst[k] = error;
    }
  ct_release(&v);
  assert_ok(ct_scope_end(scope));
}

static void errors_are_bounded(void **state) {
  (void)state;
  bool bounded = true;
  for (int i = 0; i < ROWS; i++)
    for (int d = 0; d < 2; d++) {
      double worst[2];
      measure(&rows[i], d ? CT_F64 : CT_F32, worst);
      for (int k = 0; k < 2; k++)
        if (!(worst[k] <= rows[i].bound[k])) {
          print_error("%s, %s, %s, %s: %g epsilon, not %g\n", rows[i].name, rows[i].range,
                      d ? "f64" : "f32", k ? "derivative" : "value", worst[k], rows[i].bound[k]);
          bounded = false;
        }
    }
  assert_true(bounded);
}

static int print_table(void) {
  printf(
      "# Numerics\n\n"
      "Largest errors of value (y) and derivative (y') over %d points of each range against "
      "`long double`, in units of the dtype's epsilon (2^-23, 2^-52), relative to the exact "
      "result. Two exceptions: the value of logsumexp and log_softmax is relative to max(|x|, "
      "|y|, 1), since a result near 0 is a difference of the inputs there; the "
      "derivative of log_softmax is relative to the cotangent, 1, since it is gy - softmax sum "
      "gy: where softmax is near 1 its difference to 1 keeps no more digits than that. The last column is what "
      "`tests/test_numerics.c` asserts; the others depend on the processor. Printed by "
      "`test_numerics --table`.\n\n"
      "| function | range | y f32 | y' f32 | y f64 | y' f64 | bounds |\n"
      "|---|---|---|---|---|---|---|\n",
      POINTS);
  for (int i = 0; i < ROWS; i++) {
    double f32[2], f64[2];
    measure(&rows[i], CT_F32, f32);
    measure(&rows[i], CT_F64, f64);
    printf("| %s | %s | %.2f | %.2f | %.2f | %.2f | %g, %g |\n", rows[i].name, rows[i].range,
           f32[0], f32[1], f64[0], f64[1], rows[i].bound[0], rows[i].bound[1]);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--table") == 0) return print_table();
  const struct CMUnitTest tests[] = {cmocka_unit_test(errors_are_bounded)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
