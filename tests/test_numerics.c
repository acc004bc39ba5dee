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
static long double softplus_of_minus(long double x) { return softplus(-x); }
static long double softplus_slope(long double x) { return -sigmoid(-x); }
static long double minus_sigmoid_slope(long double x) { return -sigmoid_slope(x); }
static long double sigmoid_bend(long double x) { return -sigmoid_slope(x) * tanhl(x / 2); }

static long double silu(long double x) { return x * sigmoid(x); }
static long double silu_slope(long double x) { return sigmoid(x) * (1 + x * sigmoid(-x)); }
static long double normal(long double x) { return erfcl(-x * sqrtl(0.5L)) / 2; }
static long double density(long double x) {
  return 0.3989422804014326779399460599343819L * expl(-x * x / 2);
}
static long double gelu(long double x) { return x * normal(x); }
static long double gelu_slope(long double x) { return normal(x) + x * density(x); }
static long double gelu_tanh_argument(long double x) {
  return 1.5957691216057307117597842397375277L * (x + 0.044715L * x * x * x);
}
static long double gelu_tanh(long double x) { return x * sigmoid(gelu_tanh_argument(x)); }
static long double gelu_tanh_slope(long double x) {
  long double u = gelu_tanh_argument(x);
  long double bend = 1.5957691216057307117597842397375277L * (1 + 0.134145L * x * x);
  return sigmoid(u) * (1 + x * bend * sigmoid(-u));
}
static long double erfc_slope(long double x) {
  return -1.1283791670955125738961589031215452L * expl(-x * x);
}
static long double five_quarters(long double x) { return 1.25L * x; }
static long double five_quarters_slope(long double x) { return 1.25L + 0 * x; }

/* ---- functions ------------------------------------------------------------------------------- */

static ct_tensor *with_zeros(ct_tensor *x) {
  return ct_stack(CT_LIST(x, ct_zeros(ct_dtype_of(x), ct_shape_of(x))), 1);
}

/* Of the pair (x, 0). */
static ct_tensor *logsumexp(ct_tensor *x) { return ct_logsumexp(with_zeros(x), CT_AXES(1), false); }

static ct_tensor *first(ct_tensor *y) { return ct_squeeze(ct_slice(y, 1, 0, 1, 1), CT_AXES(1)); }

/* The first of the pair (x, 0). */
static ct_tensor *softmax(ct_tensor *x) { return first(ct_softmax(with_zeros(x), 1)); }
static ct_tensor *log_softmax(ct_tensor *x) { return first(ct_log_softmax(with_zeros(x), 1)); }

/* Of the same pair, where x is the right one. */
static ct_tensor *cross_entropy(ct_tensor *x) {
  ct_tensor *label = ct_zeros(CT_I32, ct_shape_of(x));
  return ct_cross_entropy_with(with_zeros(x), label, (ct_cross_entropy_opts){.reduction = CT_EACH});
}

/* x is positive. */
static ct_tensor *hypot_of_sides(ct_tensor *x) { return ct_hypot(x, ct_scale(x, 0.75)); }

static ct_tensor *derivative(ct_tensor *y, ct_tensor *x) {
  return ct_vjp(y, x, ct_ones(ct_dtype_of(x), ct_shape_of(x)));
}
static ct_tensor *softmax_derivative(ct_tensor *x) { return derivative(softmax(x), x); }
static ct_tensor *log_softmax_derivative(ct_tensor *x) { return derivative(log_softmax(x), x); }
static ct_tensor *cross_entropy_derivative(ct_tensor *x) { return derivative(cross_entropy(x), x); }

/* ---- the table ------------------------------------------------------------------------------- */

/* Points lie from lo to hi, evenly or, with `powers`, by their exponents; hi for f32 if it differs.
 * The bounds are in units of the dtype's epsilon, relative to the result. */
typedef struct row {
  const char *name;
  ct_tensor *(*f)(ct_tensor *x);
  long double (*value)(long double x), (*slope)(long double x);
  const char *range;
  double lo, hi, lo_f32, hi_f32;
  bool powers;
  double bound[2]; /* of value and derivative, both modes */
} row;

#define NEAR(sign)             sign * 1e-300, sign * 0.1, sign * 1e-36, sign * 0.1, true
#define ALL(lo, hi)            lo, hi, lo, hi, false
#define FAR(hi64, hi32)        (hi64) > 0 ? 1.0 : -1.0, hi64, (hi64) > 0 ? 1.0 : -1.0, hi32, true
#define LEFT(from, hi64, hi32) from, hi64, from, hi32, true

static const row rows[] = {
    {"expm1", ct_expm1, expm1l, expl, "near 0, x > 0", NEAR(1), {3, 3}},
    {"expm1", ct_expm1, expm1l, expl, "near 0, x < 0", NEAR(-1), {3, 3}},
    {"expm1", ct_expm1, expm1l, expl, "up to overflow", FAR(709, 88), {3, 3}},
    {"expm1", ct_expm1, expm1l, expl, "down to underflow of e^x", FAR(-700, -85), {3, 3}},
    {"log1p", ct_log1p, log1pl, log1p_slope, "near 0, x > 0", NEAR(1), {3, 3}},
    {"log1p", ct_log1p, log1pl, log1p_slope, "near 0, x < 0", NEAR(-1), {3, 3}},
    {"log1p", ct_log1p, log1pl, log1p_slope, "large", FAR(1e300, 1e36), {3, 3}},
    {"tanh", ct_tanh, tanhl, tanh_slope, "near 0, x > 0", NEAR(1), {3, 6}},
    {"tanh", ct_tanh, tanhl, tanh_slope, "near 0, x < 0", NEAR(-1), {3, 6}},
    {"tanh", ct_tanh, tanhl, tanh_slope, "right tail", FAR(350, 42), {3, 6}},
    {"tanh", ct_tanh, tanhl, tanh_slope, "left tail", FAR(-350, -42), {3, 6}},
    {"sigmoid", ct_sigmoid, sigmoid, sigmoid_slope, "middle", ALL(-4, 4), {4, 6}},
    {"sigmoid", ct_sigmoid, sigmoid, sigmoid_slope, "right tail", FAR(700, 85), {4, 6}},
    {"sigmoid", ct_sigmoid, sigmoid, sigmoid_slope, "left tail", FAR(-700, -85), {4, 6}},
    {"softplus", ct_softplus, softplus, sigmoid, "middle", ALL(-4, 4), {4, 4}},
    {"softplus", ct_softplus, softplus, sigmoid, "right tail", FAR(700, 85), {4, 4}},
    {"softplus", ct_softplus, softplus, sigmoid, "left tail", FAR(-700, -85), {4, 4}},
    {"log_sigmoid", ct_log_sigmoid, log_sigmoid, sigmoid_of_minus, "middle", ALL(-4, 4), {4, 4}},
    {"log_sigmoid",
     ct_log_sigmoid,
     log_sigmoid,
     sigmoid_of_minus,
     "right tail",
     FAR(700, 85),
     {4, 4}},
    {"log_sigmoid",
     ct_log_sigmoid,
     log_sigmoid,
     sigmoid_of_minus,
     "left tail",
     FAR(-700, -85),
     {4, 4}},
    {"silu", ct_silu, silu, silu_slope, "middle", ALL(-1, 4), {4, 8}},
    {"silu", ct_silu, silu, silu_slope, "right tail", FAR(1e300, 1e36), {4, 8}},
    {"silu", ct_silu, silu, silu_slope, "left tail", LEFT(-2, -690, -80), {4, 8}},
    {"gelu", ct_gelu, gelu, gelu_slope, "middle", ALL(-0.5, 3), {8, 8}},
    {"gelu", ct_gelu, gelu, gelu_slope, "right tail", FAR(1e300, 1e36), {8, 8}},
    {"gelu", ct_gelu, gelu, gelu_slope, "left tail", LEFT(-1, -37, -12.5), {8, 16}},
    {"gelu_tanh", ct_gelu_tanh, gelu_tanh, gelu_tanh_slope, "middle", ALL(-0.5, 3), {8, 16}},
    {"gelu_tanh", ct_gelu_tanh, gelu_tanh, gelu_tanh_slope, "right tail", FAR(1e100, 1e12), {8, 8}},
    {"gelu_tanh",
     ct_gelu_tanh,
     gelu_tanh,
     gelu_tanh_slope,
     "left tail",
     LEFT(-1, -20, -9.5),
     {8, 16}},
    {"erfc", ct_erfc, erfcl, erfc_slope, "right tail", FAR(26, 9), {8, 4}},
    {"hypot",
     hypot_of_sides,
     five_quarters,
     five_quarters_slope,
     "(x, 3x/4), small",
     NEAR(1),
     {3, 4}},
    {"hypot",
     hypot_of_sides,
     five_quarters,
     five_quarters_slope,
     "(x, 3x/4), large",
     FAR(1e300, 1e36),
     {3, 4}},
    {"logsumexp", logsumexp, softplus, sigmoid, "(x, 0), middle", ALL(-4, 4), {4, 6}},
    {"logsumexp", logsumexp, softplus, sigmoid, "(x, 0), x > 0", FAR(700, 85), {4, 6}},
    {"logsumexp", logsumexp, softplus, sigmoid, "(x, 0), x < 0", FAR(-700, -85), {4, 6}},
    {"softmax", softmax, sigmoid, sigmoid_slope, "(x, 0), middle", ALL(-4, 4), {4, 6}},
    {"softmax", softmax, sigmoid, sigmoid_slope, "(x, 0), x > 0", FAR(700, 85), {4, 6}},
    {"softmax", softmax, sigmoid, sigmoid_slope, "(x, 0), x < 0", FAR(-700, -85), {4, 6}},
    {"log_softmax",
     log_softmax,
     log_sigmoid,
     sigmoid_of_minus,
     "(x, 0), middle",
     ALL(-4, 4),
     {4, 6}},
    {"log_softmax",
     log_softmax,
     log_sigmoid,
     sigmoid_of_minus,
     "(x, 0), x > 0",
     FAR(700, 85),
     {4, 6}},
    {"log_softmax",
     log_softmax,
     log_sigmoid,
     sigmoid_of_minus,
     "(x, 0), x < 0",
     FAR(-700, -85),
     {4, 6}},
    {"cross_entropy",
     cross_entropy,
     softplus_of_minus,
     softplus_slope,
     "(x, 0), middle",
     ALL(-4, 4),
     {4, 6}},
    {"cross_entropy",
     cross_entropy,
     softplus_of_minus,
     softplus_slope,
     "(x, 0), x > 0",
     FAR(700, 85),
     {4, 6}},
    {"cross_entropy",
     cross_entropy,
     softplus_of_minus,
     softplus_slope,
     "(x, 0), x < 0",
     FAR(-700, -85),
     {4, 6}},
    {"softmax'",
     softmax_derivative,
     sigmoid_slope,
     sigmoid_bend,
     "(x, 0), x > 0",
     FAR(700, 85),
     {6, 8}},
    {"softmax'",
     softmax_derivative,
     sigmoid_slope,
     sigmoid_bend,
     "(x, 0), x < 0",
     FAR(-700, -85),
     {6, 8}},
    {"log_softmax'",
     log_softmax_derivative,
     sigmoid_of_minus,
     minus_sigmoid_slope,
     "(x, 0), middle",
     ALL(-4, 4),
     {6, 8}},
    {"log_softmax'",
     log_softmax_derivative,
     sigmoid_of_minus,
     minus_sigmoid_slope,
     "(x, 0), x > 0",
     FAR(700, 85),
     {6, 8}},
    {"log_softmax'",
     log_softmax_derivative,
     sigmoid_of_minus,
     minus_sigmoid_slope,
     "(x, 0), x < 0",
     FAR(-700, -85),
     {6, 8}},
    {"cross_entropy'",
     cross_entropy_derivative,
     softplus_slope,
     sigmoid_slope,
     "(x, 0), middle",
     ALL(-4, 4),
     {6, 8}},
    {"cross_entropy'",
     cross_entropy_derivative,
     softplus_slope,
     sigmoid_slope,
     "(x, 0), x > 0",
     FAR(700, 85),
     {6, 8}},
    {"cross_entropy'",
     cross_entropy_derivative,
     softplus_slope,
     sigmoid_slope,
     "(x, 0), x < 0",
     FAR(-700, -85),
     {6, 8}},
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
  static double x[POINTS], got[3][POINTS]; /* value, vjp, jvp */
  ct_scope scope = ct_scope_begin();
  for (int i = 0; i < POINTS; i++) x[i] = point(r, dtype, i);
  ct_tensor *v = ct_variable(ct_cast(ct_from(CT_F64, CT_SHAPE(POINTS), x), dtype)), *y = r->f(v);
  tensor_values(y, got[0], POINTS);
  tensor_values(ct_vjp(y, v, ct_ones(dtype, CT_SHAPE(POINTS))), got[1], POINTS);
  tensor_values(ct_jvp(y, v, ct_ones(dtype, CT_SHAPE(POINTS))), got[2], POINTS);
  const long double unit = dtype == CT_F32 ? (long double)FLT_EPSILON : (long double)DBL_EPSILON;
  worst[0] = worst[1] = 0;
  for (int i = 0; i < POINTS; i++)
    for (int k = 0; k < 3; k++) {
      long double want = (k ? r->slope : r->value)(x[i]), off = (long double)got[k][i] - want;
      double error = (double)(fabsl(off) / (fabsl(want) * unit)), *largest = &worst[k > 0];
      if (!(error <= *largest)) *largest = error;
    }
  ct_release(&v);
  assert_ok(ct_scope_end(scope));
}

static void errors_are_bounded(void **state) {
  (void)state;
  bool bounded = true;
  for (int i = 0; i < ROWS; i++)
    for (int d = 0; d < 1 + is_long_double_longer(); d++) {
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

/* ---- lines ----------------------------------------------------------------------------------- */

/* Derivatives of softmax and its kin are sums over pairs of elements. Errors here are relative to
 * the sum of the sizes of the terms, for lines in which one element may be nearly all. */
enum { LINE = 6, LINES = 500 };

typedef struct line {
  double x[LINE], t[LINE]; /* logits; a cotangent, a tangent or targets */
  long double p[LINE];
} line;

typedef long double pair_term(const line *l, int i, int j);

static long double deviation_term(const line *l, int i, int j) {
  return l->p[j] * ((long double)l->t[i] - (long double)l->t[j]);
}
static long double softmax_term(const line *l, int i, int j) {
  return l->p[i] * deviation_term(l, i, j);
}
static long double balance_term(const line *l, int i, int j) {
  return l->p[j] * (long double)l->t[i] - l->p[i] * (long double)l->t[j];
}
static long double loss_term(const line *l, int i, int j) { return -balance_term(l, i, j); }

static ct_tensor *softmax_vjp(ct_tensor *x, ct_tensor *t) { return ct_vjp(ct_softmax(x, 1), x, t); }
static ct_tensor *softmax_jvp(ct_tensor *x, ct_tensor *t) { return ct_jvp(ct_softmax(x, 1), x, t); }
static ct_tensor *log_vjp(ct_tensor *x, ct_tensor *t) { return ct_vjp(ct_log_softmax(x, 1), x, t); }
static ct_tensor *log_jvp(ct_tensor *x, ct_tensor *t) { return ct_jvp(ct_log_softmax(x, 1), x, t); }
static ct_tensor *loss_gradient(ct_tensor *x, ct_tensor *t) {
  ct_tensor *g = ct_nil();
  ct_cross_entropy_opts sum = {.reduction = CT_SUM};
  ct_grad(ct_cross_entropy_with(x, t, sum), CT_LIST(x), &g);
  return g;
}

static const struct {
  const char *name;
  ct_tensor *(*f)(ct_tensor *x, ct_tensor *t);
  pair_term *term;
} of_lines[] = {
    {"softmax, vjp", softmax_vjp, softmax_term}, {"softmax, jvp", softmax_jvp, softmax_term},
    {"log_softmax, vjp", log_vjp, balance_term}, {"log_softmax, jvp", log_jvp, deviation_term},
    {"cross_entropy", loss_gradient, loss_term},
};

/* Logits of few bits, so that their differences are exact; some lines of t have one element only.
 */
static void draw_lines(line *lines, ct_dtype dtype) {
  double far = dtype == CT_F32 ? 10 : 30; /* no product may underflow */
  ct_tensor *x = ct_uniform(ct_key(1), dtype, CT_SHAPE(LINES, LINE), -far, far);
  ct_tensor *t = ct_uniform(ct_key(2), dtype, CT_SHAPE(LINES, LINE), -2, 2);
  double values[2][LINES * LINE];
  tensor_values(x, values[0], LINES * LINE);
  tensor_values(t, values[1], LINES * LINE);
  for (int i = 0; i < LINES; i++) {
    line *l = &lines[i];
    long double max = -100, sum = 0;
    for (int j = 0; j < LINE; j++) {
      l->x[j] = round(64 * values[0][i * LINE + j]) / 64;
      l->t[j] = i % 2 && j != i / 2 % LINE ? 0 : values[1][i * LINE + j];
      max = fmaxl(max, (long double)l->x[j]);
    }
    for (int j = 0; j < LINE; j++) sum += l->p[j] = expl((long double)l->x[j] - max);
    for (int j = 0; j < LINE; j++) l->p[j] /= sum;
  }
}

static double worst_of_lines(const line *lines, const double *got, pair_term *term, double unit) {
  double worst = 0;
  for (int at = 0; at < LINES * LINE; at++) {
    long double want = 0, size = 0;
    for (int j = 0; j < LINE; j++) {
      long double one = j == at % LINE ? 0 : term(&lines[at / LINE], at % LINE, j);
      want += one;
      size += fabsl(one);
    }
    if (size == 0) continue;
    double error = (double)(fabsl((long double)got[at] - want) / (size * (long double)unit));
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

static void lines_keep_their_digits(void **state) {
  (void)state;
  static line lines[LINES];
  for (int d = 0; d < 2; d++) {
    ct_scope scope = ct_scope_begin();
    ct_dtype dtype = d ? CT_F64 : CT_F32;
    draw_lines(lines, dtype);
    double x[LINES * LINE], t[LINES * LINE], got[LINES * LINE];
    for (int i = 0; i < LINES * LINE; i++) {
      x[i] = lines[i / LINE].x[i % LINE];
      t[i] = lines[i / LINE].t[i % LINE];
    }
    const ct_shape shape = CT_SHAPE(LINES, LINE);
    ct_tensor *v = ct_variable(ct_cast(ct_from(CT_F64, shape, x), dtype));
    for (size_t i = 0; i < sizeof of_lines / sizeof of_lines[0]; i++) {
      tensor_values(of_lines[i].f(v, ct_cast(ct_from(CT_F64, shape, t), dtype)), got, LINES * LINE);
      double worst = worst_of_lines(lines, got, of_lines[i].term, d ? DBL_EPSILON : FLT_EPSILON);
      if (!(worst <= 8))
        print_error("%s, %s: %g epsilon\n", of_lines[i].name, d ? "f64" : "f32", worst);
      assert_true(worst <= 8);
    }
    ct_release(&v);
    assert_ok(ct_scope_end(scope));
  }
}

static int print_table(void) {
  printf(
      "# Numerics\n\n"
      "Largest errors of value (y) and derivative (y', the larger one of both modes) over %d points "
      "of each range against `long double`, in units of the dtype's epsilon (2^-23, 2^-52), relative "
      "to the exact result. A name with ' is the derivative itself, so that y' is the second one. "
      "The last column is what `tests/test_numerics.c` asserts; the others depend on the processor. "
      "Printed by `test_numerics --table`.\n\n"
      "No digits are lost where an element of softmax is near 1: what it lacks is the sum of the "
      "others, in values (log_softmax, cross_entropy) and in derivatives (softmax, log_softmax, "
      "cross_entropy), for lines of any length.\n\n"
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
  const struct CMUnitTest tests[] = {cmocka_unit_test(errors_are_bounded),
                                     cmocka_unit_test(lines_keep_their_digits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
