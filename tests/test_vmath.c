/* test_vmath.c - errors of the mathematical functions against libm in more digits, for every
 * instruction set that this processor has: f32 on every 1021st number, f64 on samples of the whole
 * range, special values, and derivatives in the tails. */
#include "testing.h"

#include "autograd/autograd.h"
#include "tensor/tensor_internal.h"

enum { CHUNK = 1 << 14, ROUNDS = 24 };
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

#define ISA_NAME(isa) #isa,
static const char *const isa_name[] = {CT__ISA_LIST(ISA_NAME)};

/* ---- the functions --------------------------------------------------------------------------- */

static long double sigmoidl(long double x) {
  return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x));
}
static long double softplusl(long double x) { return fmaxl(x, 0) + log1pl(expl(-fabsl(x))); }
static long double log_sigmoidl(long double x) { return -softplusl(-x); }
static double sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }
static double softplus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }
static double log_sigmoid(double x) { return -softplus(-x); }

typedef struct function {
  const char *name;
  ct_tensor *(*ours)(ct_tensor *x);
  double (*wide)(double x);
  long double (*widest)(long double x);
  double f32, f64; /* largest errors allowed, in ulp */
} function;

// clang-format off
#define FUNCTION(name, f32, f64) {#name, ct_##name, name, name##l, f32, f64}
static const function functions[] = {
    FUNCTION(exp,      1.1, 1.2), FUNCTION(expm1,       1.6, 1.9), FUNCTION(log,     0.8, 0.9),
    FUNCTION(log1p,    0.9, 0.9), FUNCTION(tanh,        1.3, 1.4), FUNCTION(sigmoid, 2.0, 2.4),
    FUNCTION(softplus, 2.8, 3.0), FUNCTION(log_sigmoid, 2.8, 3.0), FUNCTION(erf,     1.2, 1.4),
    FUNCTION(erfc,     5.0, 8.0), FUNCTION(sinh,        2.4, 2.6), FUNCTION(cosh,    1.6, 1.6),
    FUNCTION(sin,      1.5, 0.9), FUNCTION(cos,         1.5, 0.9), FUNCTION(tan,     3.2, 2.2),
    FUNCTION(asin,     1.0, 1.0), FUNCTION(acos,        1.0, 1.0), FUNCTION(atan,    1.0, 1.0),
    FUNCTION(sqrt,     0.5, 0.5),
};
// clang-format on

/* Distance of y from want in units of the last place of the type with that many digits. NaN and
 * infinities must be met, and the sign of zero; a result that overflows counts as one. */
static double ulps(double y, long double want, int digits, int lowest, double largest) {
  double never = (double)INFINITY;
  if (isnan(want) || isnan(y)) return isnan(want) && isnan(y) ? 0 : never;
  if (isinf(want)) return (long double)y == want ? 0 : never;
  if (want == 0) return y == 0 && !signbit(y) == !signbit(want) ? 0 : never;
  if (isinf(y)) return fabsl(want) >= (long double)largest && (y > 0) == (want > 0) ? 1 : never;
  int exponent;
  frexpl(want, &exponent);
  if (exponent < lowest) exponent = lowest;
  return (double)(fabsl((long double)y - want) / ldexpl(1, exponent - digits));
}

static double ulps_f32(float y, long double want) {
  return ulps((double)y, want, 24, -125, 0x1.fffffep127);
}
static double ulps_f64(double y, long double want) {
  return ulps(y, want, 53, -1021, 0x1.fffffffffffffp1023);
}

static void require_within(const function *f, int isa, double x, double error, double bound) {
  if (error <= bound) return;
  print_error("%s, %s: %g ulp at %a, more than %g\n", f->name, isa_name[isa], error, x, bound);
  fail();
}

/* f's kernel over n numbers. */
static void apply(const function *f, ct_dtype dtype, int n, void *x, void *y) {
  size_t bytes = (size_t)n * ct_dtype_size(dtype);
  ct_scope scope = ct_scope_begin();
  ct_tensor *result = f->ours(ct_wrap(dtype, CT_SHAPE(n), x, (ct_wrap_opts){0}));
  ct_status status = ct_copy_out(result, y, bytes);
  ct_scope_end(scope);
  assert_ok(status);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void check_f32(const function *f, int n, float *x) {
  static double want[CHUNK];
  static float y[CHUNK];
  for (int i = 0; i < n; i++) want[i] = f->wide((double)x[i]);
  for (int isa = 0; ct__use_isa(isa); isa++) {
    double worst = 0;
    int at = 0;
    apply(f, CT_F32, n, x, y);
    for (int i = 0; i < n; i++) {
      double error = ulps_f32(y[i], (long double)want[i]);
      if (error > worst) worst = error, at = i;
    }
    require_within(f, isa, (double)x[at], worst, f->f32);
  }
}

static void check_f64(const function *f, int n, double *x) {
  static long double want[CHUNK];
  static double y[CHUNK];
  for (int i = 0; i < n; i++) want[i] = f->widest((long double)x[i]);
  for (int isa = 0; ct__use_isa(isa); isa++) {
    double worst = 0;
    int at = 0;
    apply(f, CT_F64, n, x, y);
    for (int i = 0; i < n; i++) {
      double error = ulps_f64(y[i], want[i]);
      if (error > worst) worst = error, at = i;
    }
    require_within(f, isa, x[at], worst, f->f64);
  }
}

static void f32_on_every_1021st_number(void **state) {
  (void)state;
  if (!is_long_double_longer()) skip();
  static float x[CHUNK];
  for (int k = 0; k < COUNT(functions); k++) {
    int n = 0;
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 1021) {
      uint32_t word = (uint32_t)bits;
      memcpy(&x[n++], &word, sizeof word);
      if (n < CHUNK) continue;
      check_f32(&functions[k], n, x);
      n = 0;
    }
    check_f32(&functions[k], n, x);
  }
}

/* Half the samples are random bits, half lie evenly between -scale and scale. */
static void f64_on_samples(void **state) {
  (void)state;
  if (!is_long_double_longer()) skip();
  static const double scales[] = {1, 10, 50, 750};
  static double x[CHUNK];
  for (int k = 0; k < COUNT(functions); k++)
    for (uint32_t round = 0; round < ROUNDS; round++) {
      for (uint32_t i = 0; i < CHUNK; i++) {
        uint32_t word[4] = {i, round, (uint32_t)k, 0};
        ct_philox(word, (uint32_t[]){5, 6}, word);
        uint64_t bits = (uint64_t)word[0] << 32 | word[1];
        if (round % 2)
          memcpy(&x[i], &bits, sizeof bits);
        else
          x[i] = scales[round / 2 % 4] * ((double)bits * 0x1p-63 - 1);
      }
      check_f64(&functions[k], CHUNK, x);
    }
}

static void special_values(void **state) {
  (void)state;
  if (!is_long_double_longer()) skip();
  double edge[] = {0,
                   1,
                   0.5,
                   0.6,
                   2,
                   10,
                   88.7228,
                   88.7229,
                   89.4159,
                   104,
                   150,
                   709.7827,
                   709.7829,
                   710.475,
                   745.13,
                   746,
                   1e6,
                   1.0000001e6,
                   1e15,
                   1e22,
                   1e30,
                   0x1p-24,
                   0x1p-53,
                   0x1p-126,
                   0x1p-149,
                   0x1p-140,
                   0x1p-1022,
                   0x1p-1074,
                   0x1p-1060,
                   0x1.fffffep127,
                   0x1.fffffffffffffp1023,
                   (double)INFINITY,
                   (double)NAN};
  enum { EDGES = (int)(sizeof edge / sizeof edge[0]) };
  double x[2 * EDGES];
  float narrow[2 * EDGES];
  for (int i = 0; i < EDGES; i++) {
    x[2 * i] = edge[i];
    x[2 * i + 1] = -edge[i];
  }
  for (int i = 0; i < 2 * EDGES; i++) narrow[i] = (float)x[i];
  for (int k = 0; k < COUNT(functions); k++) {
    check_f32(&functions[k], 2 * EDGES, narrow);
    check_f64(&functions[k], 2 * EDGES, x);
  }
}

static bool same_bits(double a, double b) {
  return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

/* f and its derivative at n numbers. */
static void value_and_slope(const function *f, ct_dtype dtype, int n, const double *x, double *y) {
  ct_scope scope = ct_scope_begin();
  ct_tensor *v = ct_variable(ct_cast(ct_from(CT_F64, CT_SHAPE(n), x), dtype)), *of = f->ours(v);
  tensor_values(of, y, n);
  tensor_values(ct_vjp(of, v, ct_ones(dtype, CT_SHAPE(n))), y + n, n);
  ct_release(&v);
  ct_scope_end(scope);
}

/* A number gives the same bits beside neighbours of any size, in a vector and alone. */
static void results_do_not_depend_on_the_neighbours(void **state) {
  (void)state;
  enum { N = 700 };
  static double x[N], together[2 * N], alone[2];
  for (int i = 0; i < N; i++) x[i] = (i > N / 2 && i % 7 == 3 ? 1e9 : 1) * sin(i) * (1 + i % 5);
  for (int i = 0; i < 20; i++) x[i] = (i % 2 ? 1 : -1) * ldexp(1, -8 * (i / 2));
  x[20] = -0.0;
  for (int isa = 0; ct__use_isa(isa); isa++)
    for (int k = 0; k < COUNT(functions); k++)
      for (ct_dtype dtype = CT_F32; dtype <= CT_F64; dtype++) {
        value_and_slope(&functions[k], dtype, N, x, together);
        for (int i = 0; i < N; i++) {
          value_and_slope(&functions[k], dtype, 1, &x[i], alone);
          assert_true(same_bits(alone[0], together[i]) && same_bits(alone[1], together[N + i]));
        }
      }
}

/* ---- derivatives keep their digits ----------------------------------------------------------- */

static long double tanh_slope(long double x) {
  long double e = expl(-2 * fabsl(x));
  return 4 * e / ((1 + e) * (1 + e));
}
static long double sigmoid_slope(long double x) {
  long double e = expl(-fabsl(x));
  return e / ((1 + e) * (1 + e));
}
static long double log1p_slope(long double x) { return 1 / (1 + x); }
static long double erf_slope(long double x) { return 1.12837916709551257390L * expl(-x * x); }
static long double log_sigmoid_slope(long double x) { return sigmoidl(-x); }

static const struct slope {
  ct_tensor *(*f)(ct_tensor *x);
  long double (*slope)(long double x);
  double lo, hi; /* f32 stays normal there */
} slopes[] = {
    {ct_tanh, tanh_slope, -40, 40},   {ct_sigmoid, sigmoid_slope, -80, 80},
    {ct_softplus, sigmoidl, -80, 80}, {ct_log_sigmoid, log_sigmoid_slope, -80, 80},
    {ct_expm1, expl, -80, 80},        {ct_log1p, log1p_slope, -0.9999, 1e6},
    {ct_erf, erf_slope, -3, 3},       {ct_sinh, coshl, -80, 80},
    {ct_cosh, sinhl, -80, 80},        {ct_tan, NULL, -1.5, 1.5},
};

static void slopes_are_right_in_the_tails(void **state) {
  (void)state;
  enum { N = 4000 };
  static double y[N], at[N];
  const ct_dtype dtypes[] = {CT_F32, CT_F64};
  for (int isa = 0; ct__use_isa(isa); isa++)
    for (int d = 0; d < 2; d++)
      for (int k = 0; k < COUNT(slopes); k++) {
        const struct slope *s = &slopes[k];
        ct_scope scope = ct_scope_begin();
        ct_tensor *x = ct_linspace(dtypes[d], s->lo, s->hi, N), *v = ct_variable(x);
        tensor_values(x, at, N);
        tensor_values(ct_vjp(s->f(v), v, ct_ones(dtypes[d], CT_SHAPE(N))), y, N);
        ct_release(&v);
        ct_scope_end(scope);
        double worst = 0;
        for (int i = 0; i < N; i++) {
          long double c = cosl((long double)at[i]);
          long double want = s->slope ? s->slope((long double)at[i]) : 1 / (c * c);
          double error = d ? ulps_f64(y[i], want) : ulps_f32((float)y[i], want);
          worst = fmax(worst, error);
        }
        /* e^-x^2 magnifies the rounding of x^2 by x^2 */
        if (!(worst <= (s->f == ct_erf ? 12 : 8))) {
          print_error("derivative %d, %s, %s: %g ulp\n", k, isa_name[isa], ct_dtype_name(dtypes[d]),
                      worst);
          fail();
        }
      }
}

/* ---- the choice ------------------------------------------------------------------------------ */

/* main sets CT_ISA to the lowest. */
static void the_environment_chooses(void **state) {
  (void)state;
  assert_int_equal(ct__isa(), 0);
}

static void names_of_instruction_sets(void **state) {
  (void)state;
  int best = COUNT(isa_name) - 1;
  for (int i = 0; i <= best; i++) assert_int_equal(ct__isa_named(isa_name[i], best), i);
  assert_int_equal(ct__isa_named("v9", best), best);
  assert_int_equal(ct__isa_named("", best), best);
  assert_int_equal(ct__isa_named(NULL, best), best);
  assert_int_equal(ct__isa_named(isa_name[best], 0), 0); /* more than there is */
  assert_false(ct__use_isa(-1));
  assert_false(ct__use_isa(COUNT(isa_name)));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_environment_chooses),
      cmocka_unit_test(names_of_instruction_sets),
      cmocka_unit_test(special_values),
      cmocka_unit_test(f32_on_every_1021st_number),
      cmocka_unit_test(f64_on_samples),
      cmocka_unit_test(results_do_not_depend_on_the_neighbours),
      cmocka_unit_test(slopes_are_right_in_the_tails),
  };
  setenv("CT_ISA", isa_name[0], 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
