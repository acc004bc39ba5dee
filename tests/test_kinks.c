/* test_kinks.c - the conventions where a derivative is not defined, as tables.
 *
 * A kink has the subgradient 0, ties share evenly, and the branch that `where` does not take gets
 * exactly 0, never its NaN. All of it in both modes, to second order, f32 and f64, eager and
 * symbolic. */
#include "testing.h"

#include "autograd/autograd.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* ---- functions of one number ----------------------------------------------------------------- */

#define FUNCTION(name, expression)                                                                 \
  static ct_tensor *name(ct_tensor *x) { return expression; }

static ct_tensor *constant(const ct_tensor *like, double value) {
  return ct_scalar(ct_dtype_of(like), value);
}

static ct_tensor *positive(ct_tensor *x) { return ct_gt(x, constant(x, 0)); }

FUNCTION(clamped, ct_clamp(x, -1, 1))
FUNCTION(tie_above, ct_maximum(x, constant(x, 2)))
FUNCTION(tie_below, ct_minimum(constant(x, 2), x))
FUNCTION(tie_itself, ct_maximum(x, x))
FUNCTION(norm, ct_sqrt(ct_sum(ct_square(ct_stack(CT_LIST(x, x), 0)), CT_ALL, false)))
FUNCTION(times_infinity, ct_mul0(x, constant(x, (double)INFINITY)))
FUNCTION(zero_times, ct_mul0(constant(x, 0), ct_log(x)))
FUNCTION(to_the_second, ct_pow(x, constant(x, 2)))
FUNCTION(to_the_first, ct_pow(x, constant(x, 1)))
FUNCTION(to_the_zeroth, ct_pow(x, constant(x, 0)))
FUNCTION(zero_to_the, ct_pow(constant(x, 0), x))
FUNCTION(one_to_the, ct_pow(constant(x, 1), x))
FUNCTION(plus_nothing, ct_logaddexp(x, constant(x, -(double)INFINITY)))

FUNCTION(log_or_zero, ct_where(positive(x), ct_log(x), constant(x, 0)))
FUNCTION(reciprocal_or_zero, ct_where(positive(x), ct_reciprocal(x), constant(x, 0)))
FUNCTION(root_or_itself, ct_where(positive(x), ct_sqrt(x), x))
FUNCTION(rsqrt_or_itself, ct_where(positive(x), ct_rsqrt(x), x))
FUNCTION(itself_or_log1p, ct_where(positive(x), ct_log1p(ct_neg(x)), x))
FUNCTION(power_or_one, ct_where(positive(x), ct_pow(x, x), constant(x, 1)))
FUNCTION(sinc, ct_where(ct_ne(x, constant(x, 0)), ct_div(ct_sin(x), x), constant(x, 1)))
FUNCTION(quotient_or_itself, ct_where(positive(x), ct_div(ct_sub(x, x), ct_sub(x, x)), x))
FUNCTION(exp_or_itself, ct_where(ct_lt(x, constant(x, 50)), ct_exp(ct_square(x)), x))
FUNCTION(nested, ct_where(positive(x), ct_log(log_or_zero(x)), ct_square(x)))

typedef struct kink {
  const char *name;
  ct_tensor *(*f)(ct_tensor *x);
  double x, y, first, second;
} kink;

#define NOT_A_NUMBER ((double)NAN)
#define INF          ((double)INFINITY)

// clang-format off
static const kink kinks[] = {
    /* name                    f                    x      y     y'    y''  */
    {"relu",                   ct_relu,             0,     0,    0,    0},
    {"relu at -0",             ct_relu,            -0.0,   0,    0,    0},
    {"abs",                    ct_abs,              0,     0,    0,    0},
    {"abs, left",              ct_abs,             -3,     3,   -1,    0},
    {"sign",                   ct_sign,             0,     0,    0,    0},
    {"sqrt",                   ct_sqrt,             0,     0,    0,    0},
    {"norm",                   norm,                0,     0,    0,    0},
    {"clamp at lo",            clamped,            -1,    -1,    1,    0},
    {"clamp at hi",            clamped,             1,     1,    1,    0},
    {"clamp below",            clamped,            -1.5,  -1,    0,    0},
    {"clamp above",            clamped,             2,     1,    0,    0},
    {"maximum, tie",           tie_above,           2,     2,    0.5,  0},
    {"minimum, tie",           tie_below,           2,     2,    0.5,  0},
    {"maximum of itself",      tie_itself,          2,     2,    1,    0},
    {"0 times infinity",       times_infinity,      0,     0,    INF, 0},
    {"0 times log 0",          zero_times,          0,     0,    0,    0},
    {"0 times log -1",         zero_times,         -1,     0,    0,    0},
    {"0^2",                    to_the_second,       0,     0,    0,    2},
    {"(-3)^2",                 to_the_second,      -3,     9,   -6,    2},
    {"0^1",                    to_the_first,        0,     0,    1,    0},
    {"0^0 in the base",        to_the_zeroth,       0,     1,    0,    0},
    {"0^0 in the exponent",    zero_to_the,         0,     1,    0,    0},
    {"0^3 in the exponent",    zero_to_the,         3,     0,    0,    0},
    {"1^3 in the exponent",    one_to_the,          3,     1,    0,    0},
    {"logaddexp of nothing",   plus_nothing,       -INF,  -INF,  0,    0},
    {"logaddexp and nothing",  plus_nothing,        2,     2,    1,    0},
    {"where, log 0",           log_or_zero,         0,     0,    0,    0},
    {"where, log -1",          log_or_zero,        -1,     0,    0,    0},
    {"where, log 2",           log_or_zero,         2,     0.69314718055994531, 0.5, -0.25},
    {"where, 1 / 0",           reciprocal_or_zero,  0,     0,    0,    0},
    {"where, sqrt -1",         root_or_itself,     -1,    -1,    1,    0},
    {"where, sqrt 0",          root_or_itself,      0,     0,    1,    0},
    {"where, rsqrt 0",         rsqrt_or_itself,     0,     0,    1,    0},
    {"where, rsqrt -4",        rsqrt_or_itself,    -4,    -4,    1,    0},
    {"where, log1p 1",         itself_or_log1p,    -1,    -1,    1,    0},
    {"where, 0^0",             power_or_one,        0,     1,    0,    0},
    {"where, (-2)^-2",         power_or_one,       -2,     1,    0,    0},
    {"where, sin 0 / 0",       sinc,                0,     1,    0,    0},
    {"where, 0 / 0",           quotient_or_itself, -1,    -1,    1,    0},
    {"where, exp 3600",        exp_or_itself,      60,    60,    1,    0},
    {"where in where, log -1", nested,             -1,     1,   -2,    2},
    {"where in where, log 0",  nested,              0,     0,    0,    2},
};
// clang-format on

static void expect(const kink *k, const char *what, const ct_tensor *got, double want) {
  double value = NOT_A_NUMBER;
  if (ct_item(got, &value) != CT_OK || !(value == want || fabs(value - want) <= 1e-6)) {
    print_error("%s, %s, %s: got %g, want %g. %s\n", k->name, ct_dtype_name(ct_dtype_of(got)), what,
                value, want, ct_error_message());
    ct_error_clear();
    fail();
  }
}

enum { RESULTS = 7 };
static const char *const result_name[RESULTS] = {
    "value", "vjp", "jvp", "vjp of vjp", "jvp of vjp", "vjp of jvp", "jvp of jvp"};

static void derive(ct_tensor *y, ct_tensor *x, ct_tensor *out[RESULTS]) {
  ct_tensor *one = constant(x, 1);
  out[0] = y;
  out[1] = ct_vjp(y, x, one);
  out[2] = ct_jvp(y, x, one);
  out[3] = ct_vjp(out[1], x, one);
  out[4] = ct_jvp(out[1], x, one);
  out[5] = ct_vjp(out[2], x, one);
  out[6] = ct_jvp(out[2], x, one);
}

static void expect_all(const kink *k, ct_tensor *const out[RESULTS]) {
  for (int i = 0; i < RESULTS; i++)
    expect(k, result_name[i], out[i], i == 0 ? k->y : i < 3 ? k->first : k->second);
}

static void kinks_have_their_derivatives(void **state) {
  (void)state;
  for (int i = 0; i < COUNT(kinks); i++)
    for (ct_dtype dtype = CT_F32; dtype <= CT_F64; dtype++) {
      ct_scope scope = ct_scope_begin();
      ct_tensor *x = ct_variable(ct_scalar(dtype, kinks[i].x)), *out[RESULTS];
      derive(kinks[i].f(x), x, out);
      expect_all(&kinks[i], out);
      ct_release(&x);
      assert_ok(ct_scope_end(scope));
    }
}

static void symbolic_kinks_too(void **state) {
  (void)state;
  for (int i = 0; i < COUNT(kinks); i++) {
    ct_scope scope = ct_scope_begin();
    ct_tensor *x = ct_placeholder(CT_F64, CT_SCALAR), *out[RESULTS];
    derive(kinks[i].f(x), x, out);
    ct_function *f = ct_function_new(CT_LIST(x), (ct_list){RESULTS, out});
    assert_non_null(f);
    ct_status status = ct_function_run(f, CT_LIST(ct_scalar(CT_F64, kinks[i].x)), out);
    ct_function_release(&f);
    assert_ok(status);
    expect_all(&kinks[i], out);
    assert_ok(ct_scope_end(scope));
  }
}

/* ---- ties and zeros among several elements --------------------------------------------------- */

enum { N = 4 };

typedef ct_tensor *reduction(ct_tensor *x, ct_axes axes, bool keepdims);

static ct_tensor *norm_of(ct_tensor *x, ct_axes axes, bool keepdims) {
  return ct_sqrt(ct_sum(ct_square(x), axes, keepdims));
}

typedef struct tie {
  const char *name;
  reduction *f;
  double x[N], y, gradient[N];
} tie;

// clang-format off
static const tie ties[] = {
    {"max, one",      ct_max,       {1, 4, 2, 3},            4,    {0, 1, 0, 0}},
    {"max, two",      ct_max,       {1, 3, 3, 2},            3,    {0, 0.5, 0.5, 0}},
    {"max, all",      ct_max,       {2, 2, 2, 2},            2,    {0.25, 0.25, 0.25, 0.25}},
    {"max of zeros",  ct_max,       {0, -0.0, -1, -2},       0,    {0.5, 0.5, 0, 0}},
    {"max, infinity", ct_max,       {1, INF, INF, 0},      INF, {0, 0.5, 0.5, 0}},
    {"min, one",      ct_min,       {4, 1, 2, 3},            1,    {0, 1, 0, 0}},
    {"min, two",      ct_min,       {1, 3, 1, 2},            1,    {0.5, 0, 0.5, 0}},
    {"prod, no zero", ct_prod,      {1, 2, 3, 4},            24,   {24, 12, 8, 6}},
    {"prod, a zero",  ct_prod,      {0, 2, 3, 4},            0,    {24, 0, 0, 0}},
    {"prod, 2 zeros", ct_prod,      {0, 2, 0, 4},            0,    {0, 0, 0, 0}},
    {"logsumexp",     ct_logsumexp, {1000, -INF, 0, 0},     1000, {1, 0, 0, 0}},
    {"logsumexp, none", ct_logsumexp, {-INF, -INF, -INF, -INF}, -INF, {0, 0, 0, 0}},
    {"norm",          norm_of,      {0, 0, 0, 0},            0,    {0, 0, 0, 0}},
    {"norm, 3 and 4", norm_of,      {0, 3, 0, 4},            5,    {0, 0.6, 0, 0.8}},
};
// clang-format on

static void expect_gradient(const tie *t, ct_tensor *x) {
  double y, got[N];
  ct_tensor *g, *dy;
  assert_ok(ct_value_and_grad(t->f(x, CT_ALL, false), CT_LIST(x), &y, &g));
  assert_near(y, t->y, 1e-6);
  tensor_values(g, got, N);
  for (int i = 0; i < N; i++) {
    double dx[N] = {0}, tangent;
    dx[i] = 1;
    dy = ct_jvp(t->f(x, CT_ALL, false), x,
                ct_cast(ct_from(CT_F64, CT_SHAPE(N), dx), ct_dtype_of(x)));
    assert_ok(ct_item(dy, &tangent));
    if (fabs(got[i] - t->gradient[i]) > 1e-6 || fabs(tangent - got[i]) > 1e-6)
      print_error("%s, element %d\n", t->name, i);
    assert_near(got[i], t->gradient[i], 1e-6);
    assert_near(tangent, t->gradient[i], 1e-6);
  }
}

static void ties_share_evenly(void **state) {
  (void)state;
  for (int i = 0; i < COUNT(ties); i++)
    for (ct_dtype dtype = CT_F32; dtype <= CT_F64; dtype++) {
      ct_scope scope = ct_scope_begin();
      ct_tensor *x = ct_variable(ct_cast(ct_from(CT_F64, CT_SHAPE(N), ties[i].x), dtype));
      expect_gradient(&ties[i], x);
      ct_release(&x);
      assert_ok(ct_scope_end(scope));
    }
}

/* Mixed second derivatives of a product with zeros: what is left without two factors. */
static void second_derivatives_of_prod_are_right_at_zeros(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_from(CT_F64, CT_SHAPE(3), (double[]){0, 2, 0}));
  ct_tensor *g, *e = ct_from(CT_F64, CT_SHAPE(3), (double[]){1, 0, 0});
  double row[3];
  assert_ok(ct_grad(ct_prod(x, CT_ALL, false), CT_LIST(x), &g));
  tensor_values(ct_jvp(g, x, e), row, 3);
  assert_near(row[0], 0, 0);
  assert_near(row[1], 0, 0);
  assert_near(row[2], 2, 1e-15);
  tensor_values(ct_vjp(g, x, e), row, 3);
  assert_near(row[2], 2, 1e-15);
  ct_release(&x);
  assert_ok(ct_scope_end(scope));
}

/* ---- NaN ------------------------------------------------------------------------------------- */

static void nan_wins_in_values(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_tensor *nan = ct_scalar(CT_F64, NOT_A_NUMBER), *one = ct_scalar(CT_F64, 1);
  ct_tensor *row = ct_from(CT_F64, CT_SHAPE(3), (double[]){1, NOT_A_NUMBER, 3});
  const ct_tensor *results[] = {
      ct_maximum(nan, one),       ct_maximum(one, nan),       ct_minimum(nan, one),
      ct_minimum(one, nan),       ct_clamp(nan, 0, 1),        ct_sign(nan),
      ct_max(row, CT_ALL, false), ct_min(row, CT_ALL, false), ct_relu(nan)};
  for (int i = 0; i < COUNT(results); i++) {
    double value = 0;
    assert_ok(ct_item(results[i], &value));
    assert_true(isnan(value));
  }
  assert_ok(ct_scope_end(scope));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(kinks_have_their_derivatives),
      cmocka_unit_test(symbolic_kinks_too),
      cmocka_unit_test(ties_share_evenly),
      cmocka_unit_test(second_derivatives_of_prod_are_right_at_zeros),
      cmocka_unit_test(nan_wins_in_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
