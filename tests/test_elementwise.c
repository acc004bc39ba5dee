/* test_elementwise.c - elementwise primitives against their compositions up to third derivatives,
 * third-order gradient checks, and what they give at edges and kinks. */
#include "testing.h"

#include "autograd/autograd.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

enum { N = 41, ORDERS = 4 };

static ct_tensor *constant(const ct_tensor *like, double value) {
  return ct_scalar(ct_dtype_of(like), value);
}

/* ---- one operation, two ways ----------------------------------------------------------------- */

typedef ct_tensor *function1(ct_tensor *x);

#define WAY(name, expression)                                                                      \
  static ct_tensor *name(ct_tensor *x) { return expression; }
WAY(plain_tan, ct_div(ct_sin(x), ct_cos(x)))
WAY(plain_sinh, ct_scale(ct_sub(ct_exp(x), ct_exp(ct_neg(x))), 0.5))
WAY(plain_cosh, ct_scale(ct_add(ct_exp(x), ct_exp(ct_neg(x))), 0.5))
WAY(plain_acos, ct_shift(ct_neg(ct_asin(x)), 1.5707963267948966))
WAY(plain_erfc, ct_shift(ct_neg(ct_erf(x)), 1))
WAY(plain_log_sigmoid, ct_log(ct_sigmoid(x)))
WAY(plain_softsign, ct_div(x, ct_shift(ct_abs(x), 1)))
WAY(plain_silu, ct_mul(x, ct_sigmoid(x)))
WAY(plain_gelu, ct_mul(ct_scale(x, 0.5), ct_shift(ct_erf(ct_scale(x, 0.70710678118654752)), 1)))
WAY(cube, ct_mul(x, ct_square(x)))
WAY(plain_gelu_tanh,
    ct_mul(ct_scale(x, 0.5),
           ct_shift(ct_tanh(ct_scale(ct_add(x, ct_scale(cube(x), 0.044715)), 0.79788456080286536)),
                    1)))
WAY(positive, ct_gt(x, constant(x, 0)))
WAY(elu, ct_elu(x, 0.7))
WAY(plain_elu, ct_where(positive(x), x, ct_scale(ct_expm1(x), 0.7)))
WAY(leaky_relu, ct_leaky_relu(x, 0.1))
WAY(plain_leaky_relu, ct_where(positive(x), x, ct_scale(x, 0.1)))
WAY(plain_hardtanh, ct_maximum(ct_minimum(x, constant(x, 1)), constant(x, -1)))
WAY(other, ct_shift(ct_scale(x, 0.3), 0.9))
WAY(logaddexp, ct_logaddexp(x, other(x)))
WAY(plain_logaddexp, ct_log(ct_add(ct_exp(x), ct_exp(other(x)))))
WAY(hypot_of, ct_hypot(other(x), x))
WAY(plain_hypot, ct_sqrt(ct_add(ct_square(x), ct_square(other(x)))))
WAY(atan2_of, ct_atan2(other(x), ct_shift(ct_square(x), 1)))
WAY(plain_atan2, ct_atan(ct_div(other(x), ct_shift(ct_square(x), 1))))
WAY(rem_of, ct_rem(x, constant(x, 0.75)))
WAY(plain_rem,
    ct_sub(x, ct_scale(ct_stop_gradient(ct_mul(ct_sign(x),
                                               ct_floor(ct_abs(ct_div(x, constant(x, 0.75)))))),
                       0.75)))
WAY(erf_of_erfinv, ct_erf(ct_erfinv(ct_scale(x, 0.24))))
WAY(quarter, ct_scale(x, 0.24))
WAY(lgamma_step, ct_sub(ct_lgamma(ct_shift(x, 5)), ct_lgamma(ct_shift(x, 4))))
WAY(plain_lgamma_step, ct_log(ct_shift(x, 4)))
WAY(reflected, ct_add(ct_lgamma(ct_shift(x, 0.123)), ct_lgamma(ct_shift(ct_neg(x), 0.877))))
WAY(sine_of_pi, ct_sin(ct_scale(ct_shift(x, 0.123), 3.1415926535897932)))
WAY(plain_reflected, ct_shift(ct_neg(ct_log(ct_abs(sine_of_pi(x)))), 1.1447298858494002))

static const struct pair {
  const char *name;
  function1 *ours, *composition;
  double tolerance; /* relative to the largest; of derivative k times 10^k */
} pairs[] = {
    {"tan", ct_tan, plain_tan, 1e-12},
    {"sinh", ct_sinh, plain_sinh, 1e-12},
    {"cosh", ct_cosh, plain_cosh, 1e-12},
    {"erfc", ct_erfc, plain_erfc, 1e-12},
    {"log_sigmoid", ct_log_sigmoid, plain_log_sigmoid, 1e-12},
    {"softsign", ct_softsign, plain_softsign, 1e-12},
    {"silu", ct_silu, plain_silu, 1e-12},
    {"gelu", ct_gelu, plain_gelu, 1e-12},
    {"gelu_tanh", ct_gelu_tanh, plain_gelu_tanh, 1e-12},
    {"elu", elu, plain_elu, 1e-12},
    {"leaky_relu", leaky_relu, plain_leaky_relu, 1e-12},
    {"hardtanh", ct_hardtanh, plain_hardtanh, 1e-12},
    {"logaddexp", logaddexp, plain_logaddexp, 1e-12},
    {"hypot", hypot_of, plain_hypot, 1e-12},
    {"atan2", atan2_of, plain_atan2, 1e-12},
    {"rem", rem_of, plain_rem, 1e-12},
    {"erfinv", erf_of_erfinv, quarter, 1e-12},
    {"lgamma", lgamma_step, plain_lgamma_step, 1e-12},
    {"lgamma, left", reflected, plain_reflected, 1e-12},
};

/* f and its first derivatives at x, in turns of reverse and forward mode. */
static void derive(function1 *f, ct_tensor *x, bool forward, ct_tensor *out[ORDERS]) {
  ct_tensor *one = ct_ones(ct_dtype_of(x), ct_shape_of(x));
  out[0] = f(x);
  for (int k = 1; k < ORDERS; k++, forward = !forward)
    out[k] = forward ? ct_jvp(out[k - 1], x, one) : ct_vjp(out[k - 1], x, one);
}

static void operations_equal_their_compositions(void **state) {
  (void)state;
  double got[N], want[N];
  for (int k = 0; k < COUNT(pairs); k++)
    for (int forward = 0; forward < 2; forward++) {
      ct_scope scope = ct_scope_begin();
      /* no sample at a kink */
      ct_tensor *x = ct_variable(ct_linspace(CT_F64, -3.91, 3.87, N)), *a[ORDERS], *b[ORDERS];
      derive(pairs[k].ours, x, forward, a);
      derive(pairs[k].composition, x, forward, b);
      double tolerance = pairs[k].tolerance;
      for (int order = 0; order < ORDERS; order++, tolerance *= 10) {
        double largest = 1, worst = 0;
        tensor_values(a[order], got, N);
        tensor_values(b[order], want, N);
        for (int i = 0; i < N; i++) largest = fmax(largest, fabs(want[i]));
        for (int i = 0; i < N; i++)
          worst = isnan(got[i]) ? (double)INFINITY : fmax(worst, fabs(got[i] - want[i]));
        if (worst <= tolerance * largest) continue;
        print_error("%s, derivative %d: off by %g\n", pairs[k].name, order, worst / largest);
        fail();
      }
      ct_release(&x);
      ct_scope_end(scope);
    }
}

/* acos from asin: the composition is fine inside (-1, 1) only. */
static void arc_cosine(void **state) {
  (void)state;
  double got[N], want[N];
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_linspace(CT_F64, -0.9, 0.9, N)), *a[ORDERS], *b[ORDERS];
  derive(ct_acos, x, true, a);
  derive(plain_acos, x, false, b);
  for (int k = 0; k < ORDERS; k++) {
    tensor_values(a[k], got, N);
    tensor_values(b[k], want, N);
    for (int i = 0; i < N; i++) assert_near(got[i], want[i], 1e-11 * (1 + fabs(want[i])));
  }
  ct_release(&x);
  ct_scope_end(scope);
}

/* ---- third order ----------------------------------------------------------------------------- */

/* The derivative of an operation, checked to second order. */
static ct_tensor *derivative(ct_list x, void *payload) {
  ct_tensor *y = ct_apply(payload, x), *gx[2];
  ct_tensor *weight = ct_linspace(CT_F64, 0.5, 1.5, ct_size(y));
  if (ct_vjp_all(CT_LIST(y), CT_LIST(ct_reshape(weight, ct_shape_of(y))), x, gx) != CT_OK)
    return ct_nil();
  return x.n == 1 ? gx[0] : ct_add(gx[0], ct_scale(gx[1], 0.7));
}

static void third_derivatives_pass_gradcheck(void **state) {
  (void)state;
  int checked = 0;
  for (int i = 0; i < ct_op_count(); i++) {
    const ct_op *op = ct_op_at(i);
    if (!(op->flags & CT_ELEMENTWISE) || (op->flags & CT_NONDIFF) || op->attr_size ||
        !op->partial || op->n_in > 2)
      continue;
    ct_scope scope = ct_scope_begin();
    double width = op->hi - op->lo;
    ct_tensor *a = ct_linspace(CT_F64, op->lo + 0.11 * width, op->hi - 0.13 * width, 5);
    ct_tensor *b = ct_linspace(CT_F64, op->hi - 0.17 * width, op->lo + 0.19 * width, 5);
    ct_status status =
        ct_gradcheck(derivative, (void *)(uintptr_t)op, op->n_in == 1 ? CT_LIST(a) : CT_LIST(a, b),
                     (ct_gradcheck_opts){.tolerance = 1e-5}, NULL);
    if (status != CT_OK) print_error("%s: %s\n", op->name, ct_error_message());
    assert_ok(status);
    ct_scope_end(scope);
    checked++;
  }
  assert_true(checked > 35);
}

/* ---- edges ----------------------------------------------------------------------------------- */

static double at(function1 *f, double x) {
  double y = 0;
  ct_scope scope = ct_scope_begin();
  ct_status status = ct_item(f(ct_scalar(CT_F64, x)), &y);
  ct_scope_end(scope);
  assert_ok(status);
  return y;
}

static double slope_at(function1 *f, double x) {
  double y = 0;
  ct_scope scope = ct_scope_begin();
  ct_tensor *v = ct_variable(ct_scalar(CT_F64, x));
  ct_status status = ct_item(ct_vjp(f(v), v, ct_scalar(CT_F64, 1)), &y);
  ct_release(&v);
  ct_scope_end(scope);
  assert_ok(status);
  return y;
}

#define INF ((double)INFINITY)

static void steps(void **state) {
  (void)state;
  const double x[] = {-2.5, -1.5, -0.5, -0.2, 0, 0.5, 1.5, 2.5, 2.7};
  const double down[] = {-3, -2, -1, -1, 0, 0, 1, 2, 2}, up[] = {-2, -1, 0, 0, 0, 1, 2, 3, 3};
  const double near[] = {-2, -2, 0, 0, 0, 0, 2, 2, 3};
  for (int i = 0; i < COUNT(x); i++) {
    assert_true(at(ct_floor, x[i]) == down[i]);
    assert_true(at(ct_ceil, x[i]) == up[i]);
    assert_true(at(ct_round, x[i]) == near[i]);
    assert_true(slope_at(ct_floor, x[i]) == 0 && slope_at(ct_round, x[i]) == 0);
  }
  assert_true(at(ct_floor, -INF) == -INF && isnan(at(ct_ceil, NAN)));
}

static void infinities_and_kinks(void **state) {
  (void)state;
  function1 *const gates[] = {ct_silu, ct_gelu, ct_gelu_tanh};
  for (int i = 0; i < COUNT(gates); i++) {
    assert_true(at(gates[i], INF) == INF && at(gates[i], -INF) == 0);
    assert_true(slope_at(gates[i], INF) == 1 && slope_at(gates[i], -INF) == 0);
    assert_true(isnan(at(gates[i], NAN)));
  }
  assert_true(at(ct_softsign, INF) == 1 && at(ct_softsign, -INF) == -1);
  assert_true(at(elu, -INF) == -0.7 && at(elu, 1e9) == 1e9 && slope_at(elu, 1e9) == 1);
  assert_true(slope_at(elu, 0) == 0.7 && slope_at(leaky_relu, 0) == 0.1);
  assert_true(slope_at(ct_hardtanh, 1) == 1 && slope_at(ct_hardtanh, -1.5) == 0);
  assert_true(at(ct_erfinv, 1) == INF && at(ct_erfinv, -1) == -INF && isnan(at(ct_erfinv, 1.5)));
  assert_near(at(ct_erfinv, 0.999999), 3.4589107372754988, 1e-14);
  assert_near(at(ct_erfc, 20) / 5.3958656116079009e-176, 1, 1e-14);
  /* the left tail keeps its digits */
  assert_near(at(ct_gelu, -8) / -4.9767684594174273e-15, 1, 1e-13);
}

static void pairs_of_numbers(void **state) {
  (void)state;
  const struct {
    ct_tensor *(*f)(ct_tensor *, ct_tensor *);
    double a, b, y, da, db;
  } cases[] = {
      {ct_rem, 7.5, 2, 1.5, 1, -3},        {ct_rem, -7.5, 2, -1.5, 1, 3},
      {ct_rem, 7.5, -2, 1.5, 1, 3},        {ct_atan2, 0, 0, 0, 0, 0},
      {ct_atan2, 1, 0, M_PI / 2, 0, -1},   {ct_atan2, 0, -1, M_PI, -1, 0},
      {ct_hypot, 0, 0, 0, 0, 0},           {ct_hypot, 3e200, 4e200, 5e200, 0.6, 0.8},
      {ct_hypot, 0, 2, 2, 0, 1},           {ct_logaddexp, 0, 0, 0.69314718055994531, 0.5, 0.5},
      {ct_logaddexp, 1000, 0, 1000, 1, 0}, {ct_logaddexp, -INF, 3, 3, 0, 1},
  };
  for (int i = 0; i < COUNT(cases); i++) {
    ct_scope scope = ct_scope_begin();
    ct_tensor *a = ct_variable(ct_scalar(CT_F64, cases[i].a)), *g[2];
    ct_tensor *b = ct_variable(ct_scalar(CT_F64, cases[i].b)), *y = cases[i].f(a, b);
    double value[3];
    assert_ok(ct_grad(y, CT_LIST(a, b), g));
    tensor_values(ct_stack(CT_LIST(y, g[0], g[1]), 0), value, 3);
    assert_near(value[0] / fmax(1, fabs(cases[i].y)), cases[i].y / fmax(1, fabs(cases[i].y)),
                1e-15);
    assert_near(value[1], cases[i].da, 1e-15);
    assert_near(value[2], cases[i].db, 1e-15);
    ct_release(&a);
    ct_release(&b);
    ct_scope_end(scope);
  }
  double minus = 0;
  ct_tensor *none = ct_scalar(CT_F64, -INF);
  assert_ok(ct_item(ct_logaddexp(none, none), &minus));
  assert_true(minus == -INF);
}

static void integer_remainders(void **state) {
  (void)state;
  const int32_t a[] = {7, -7, 7, 5, INT32_MIN}, b[] = {3, 3, -3, 0, -1};
  const double want[] = {1, -1, 1, 0, 0};
  double got[5];
  ct_tensor *y = ct_rem(ct_from(CT_I32, CT_SHAPE(5), a), ct_from(CT_I32, CT_SHAPE(5), b));
  tensor_values(y, got, 5);
  for (int i = 0; i < 5; i++) assert_true(got[i] == want[i]);
}

static void logic(void **state) {
  (void)state;
  const uint8_t a[] = {0, 0, 1, 1}, b[] = {0, 1, 0, 1};
  ct_tensor *x = ct_from(CT_BOOL, CT_SHAPE(4), a), *z = ct_from(CT_BOOL, CT_SHAPE(4), b);
  ct_tensor *all[] = {ct_and(x, z), ct_or(x, z), ct_xor(x, z), ct_not(x)};
  const double want[4][4] = {{0, 0, 0, 1}, {0, 1, 1, 1}, {0, 1, 1, 0}, {1, 1, 0, 0}};
  double got[4];
  for (int k = 0; k < 4; k++) {
    tensor_values(all[k], got, 4);
    assert_memory_equal(got, want[k], sizeof got);
    assert_int_equal(ct_dtype_of(all[k]), CT_BOOL);
  }
  assert_nil(ct_and(ct_ones(CT_F32, CT_SHAPE(4)), ct_ones(CT_F32, CT_SHAPE(4))), CT_EDTYPE, "f32");
  assert_nil(ct_not(ct_ones(CT_I32, CT_SHAPE(4))), CT_EDTYPE, "i32");
  const double edge[] = {1, INF, -INF, NAN};
  tensor_values(ct_is_finite(ct_from(CT_F64, CT_SHAPE(4), edge)), got, 4);
  assert_true(got[0] == 1 && got[1] == 0 && got[2] == 0 && got[3] == 0);
}

/* ---- polygamma ------------------------------------------------------------------------------- */

static double polygamma(int n, double x) {
  double y = 0;
  ct_scope scope = ct_scope_begin();
  ct_status status = ct_item(ct_polygamma(n, ct_scalar(CT_F64, x)), &y);
  ct_scope_end(scope);
  assert_ok(status);
  return y;
}

static void polygamma_values(void **state) {
  (void)state;
  const struct {
    int n;
    double x, y;
  } known[] = {
      {0, 1, -0.57721566490153286},
      {0, 0.5, -1.9635100260214235},
      {0, -0.5, 0.03648997397857652},
      {0, 1e10, 23.025850929890457},
      {1, 1, 1.6449340668482264},
      {1, -0.5, 8.9348022005446793},
      {2, 1, -2.4041138063191886},
      {3, 1, 6.4939394022668292},
      {4, 1, -24.886266123440879},
      {1, 1e8, 1.000000005e-8},
      {2, -1.5, -0.23620405164172739},
      {10, 1, -3630593.3116066287},
      {0, INF, INF},
      {1, INF, 0},
      {0, -INF, NAN},
      {0, 0, -INF},
      {0, -0.0, INF},
      {1, 0, INF},
      {1, -3, INF},
      {2, -3, NAN},
      {0, NAN, NAN},
  };
  for (int i = 0; i < COUNT(known); i++)
    assert_near(polygamma(known[i].n, known[i].x), known[i].y,
                4e-15 * fabs(known[i].y) + (known[i].x < 0 ? 1e-14 : 0));
  /* psi_n(x + 1) - psi_n(x) = (-1)^n n! / x^(n+1) */
  for (int n = 0; n <= 100; n += 5)
    for (double x = -2.7; x < 40; x += 1.3) {
      double step = (n % 2 ? -1 : 1) / x;
      for (int k = 1; k <= n; k++) step *= k / x;
      double here = polygamma(n, x), next = polygamma(n, x + 1);
      assert_near((next - here) / fmax(fabs(here), fabs(next)), step / fmax(fabs(here), fabs(next)),
                  1e-12);
    }
  assert_nil(ct_polygamma(-1, ct_scalar(CT_F64, 1)), CT_EARG, "order from 0 to 100");
  assert_nil(ct_polygamma(101, ct_scalar(CT_F64, 1)), CT_EARG, "order from 0 to 100");
}

#define IN_SCOPE(test) cmocka_unit_test_setup_teardown(test, open_scope, close_scope)

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_SCOPE(operations_equal_their_compositions),
      IN_SCOPE(arc_cosine),
      IN_SCOPE(third_derivatives_pass_gradcheck),
      IN_SCOPE(steps),
      IN_SCOPE(infinities_and_kinks),
      IN_SCOPE(pairs_of_numbers),
      IN_SCOPE(integer_remainders),
      IN_SCOPE(logic),
      IN_SCOPE(polygamma_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
