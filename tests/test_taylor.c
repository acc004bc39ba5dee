/* Taylor coefficients: closed forms, nested tangents, cost. */
#include "testing.h"

#include "autograd/autograd_internal.h"

#include <cotangent.h>

#include "registry_cases.inc"

enum { ORDER = 10, MAX_IN = 4 };

static ct_tensor *number(double value) { return ct_variable(ct_scalar(CT_F64, value)); }

/* c[k] of f at x along 1 is `want`, to a relative error of 1e-12. */
static void assert_coefficients(ct_tensor *y, ct_tensor *x, const double *want) {
  ct_tensor *c[ORDER + 1];
  assert_ok(ct_taylor(y, x, ct_ones(CT_F64, CT_SCALAR), ORDER, c));
  for (int k = 0; k <= ORDER; k++) {
    double got = 0;
    assert_ok(ct_item(c[k], &got));
    assert_near(got, want[k], 1e-12 * fmax(1e-3, fabs(want[k])));
  }
}

static double factorial(int k) { return k < 2 ? 1 : k * factorial(k - 1); }

static void closed_forms(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  const double at = 0.3;
  double e[ORDER + 1], sine[ORDER + 1], geometric[ORDER + 1], logarithm[ORDER + 1], root[ORDER + 1];
  const double turn[] = {sin(at), cos(at), -sin(at), -cos(at)};
  for (int k = 0; k <= ORDER; k++) {
    e[k] = exp(at) / factorial(k);
    sine[k] = turn[k % 4] / factorial(k);
    geometric[k] = pow(1 - at, -k - 1);
    logarithm[k] = k == 0 ? log(at) : -pow(-1 / at, k) / k;
    root[k] = k == 0 ? sqrt(at) : root[k - 1] * (1.5 - k) / (k * at);
  }
  ct_tensor *x = number(at), *one = ct_ones(CT_F64, CT_SCALAR);
  assert_coefficients(ct_exp(x), x, e);
  assert_coefficients(ct_sin(x), x, sine);
  assert_coefficients(ct_div(one, ct_sub(one, x)), x, geometric);
  assert_coefficients(ct_reciprocal(ct_sub(one, x)), x, geometric);
  assert_coefficients(ct_log(x), x, logarithm);
  assert_coefficients(ct_sqrt(x), x, root);
  double power[ORDER + 1], gamma[ORDER + 1] = {0, -0.57721566490153286};
  const double zeta[ORDER + 1] = {0,
                                  0,
                                  1.6449340668482264,
                                  1.2020569031595943,
                                  1.0823232337111382,
                                  1.0369277551433699,
                                  1.0173430619844491,
                                  1.0083492773819228,
                                  1.0040773561979443,
                                  1.0020083928260822,
                                  1.0009945751278181};
  for (int k = 0; k <= ORDER; k++) {
    power[k] = k == 0 ? pow(at, 2.5) : power[k - 1] * (3.5 - k) / (k * at);
    if (k > 1) gamma[k] = (k % 2 ? -1 : 1) * zeta[k] / k;
  }
  assert_coefficients(ct_pow(x, ct_scalar(CT_F64, 2.5)), x, power);
  ct_release(&x);
  x = number(1);
  assert_coefficients(ct_lgamma(x), x, gamma);
  ct_release(&x);
  /* of tanh at 0: 1, -1/3, 2/15, -17/315, 62/2835; of the logistic function half of that at x/2 */
  const double tangent[ORDER + 1] = {0, 1,           0, -1.0 / 3,    0, 2.0 / 15,
                                     0, -17.0 / 315, 0, 62.0 / 2835, 0};
  double logistic[ORDER + 1];
  for (int k = 0; k <= ORDER; k++) logistic[k] = k == 0 ? 0.5 : 0.5 * tangent[k] / pow(2, k);
  x = number(0);
  assert_coefficients(ct_tanh(x), x, tangent);
  assert_coefficients(ct_sigmoid(x), x, logistic);
  const double cube[ORDER + 1] = {0, 0, 0, 1};
  assert_coefficients(ct_pow(x, ct_scalar(CT_F64, 3)), x, cube); /* right at 0, too */
  assert_coefficients(ct_mul(x, ct_square(x)), x, cube);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* c[k] k! is the k-th nested tangent. */
static void assert_directional(ct_tensor *y, ct_tensor *x, ct_tensor *v, int order,
                               const char *what) {
  enum { ROOM = 256 };
  ct_tensor *c[ORDER + 1];
  double got[ROOM], want[ROOM];
  assert_ok(ct_taylor(y, x, v, order, c));
  for (int k = 0; k <= order; k++) {
    int64_t n = ct_size(y);
    assert_true(n <= ROOM);
    tensor_values(c[k], got, n);
    tensor_values(ct_directional(y, x, v, k), want, n);
    double largest = 1;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(want[i]));
    for (int64_t i = 0; i < n; i++) {
      if (fabs(got[i] * factorial(k) - want[i]) > 1e-9 * largest)
        print_error("%s, coefficient %d\n", what, k);
      assert_near(got[i] * factorial(k), want[i], 1e-9 * largest);
    }
  }
}

/* One input of a case; floats are f64. */
static ct_tensor *make_input(const ct_op *op, const input_word *word, uint64_t seed) {
  if (word->kind == 'k') return ct_keep(ct_key(seed));
  const bool is_float = word->kind == 'f';
  ct_tensor *value = ct_uniform(ct_key(seed), CT_F64, word->shape, is_float ? op->lo : 0,
                                is_float ? op->hi : (double)word->below);
  if (is_float) return ct_variable(value);
  value = ct_cast(value, CT_I32);
  return ct_keep(word->kind == 'b' ? ct_cast(value, CT_BOOL) : value);
}

static void try_case(const ct_op *op, const registry_case *use) {
  ct_scope s = ct_scope_begin();
  ct_tensor *in[MAX_IN];
  int n = 0;
  for (const char *text = use->inputs; text; n++) {
    assert_true(n < MAX_IN);
    const input_word word = read_word(text);
    in[n] = make_input(op, &word, 40 + (uint64_t)n);
    text = word.next;
  }
  if (use->apply || n == op->n_in) {
    ct_tensor *y = use->apply ? use->apply(in) : ct_apply(op, (ct_list){n, in});
    for (int i = 0; i < n; i++)
      if (ct_is_variable(in[i]) && ct_dtype_of(y) == CT_F64)
        assert_directional(y, in[i], ct_randn(ct_key(3), CT_F64, ct_shape_of(in[i])), 3, op->name);
  }
  for (int i = 0; i < n; i++) ct_release(&in[i]);
  assert_ok(ct_scope_end(s));
}

static void every_primitive(void **state) {
  (void)state;
  for (int i = 0; i < ct_op_count(); i++) {
    const ct_op *op = ct_op_at(i);
    if (op->flags & CT_NONDIFF) continue;
    for (size_t r = 0; r < sizeof cases / sizeof cases[0]; r++)
      if (strcmp(cases[r].op, op->name) == 0) try_case(op, &cases[r]);
    for (size_t r = 0; r < sizeof generic / sizeof generic[0]; r++)
      if ((op->flags & CT_ELEMENTWISE) && op->attr_size == 0) try_case(op, &generic[r]);
  }
}

/* Each smooth primitive in turn, a product of matrices, reductions. */
static ct_tensor *composite(ct_tensor *x) {
  ct_tensor *a = ct_tanh(ct_matmul(x, ct_transpose(x, 0, 1)));
  ct_tensor *b = ct_div(ct_exp(a), ct_shift(ct_square(ct_sin(a)), 1));
  ct_tensor *c = ct_mul(ct_softmax(b, 1), ct_log_softmax(ct_sqrt(ct_softplus(b)), 0));
  return ct_logsumexp(ct_mul(ct_rsqrt(ct_sigmoid(c)), ct_log1p(ct_expm1(b))), CT_AXES(1), false);
}

static void compositions(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_randn(ct_key(1), CT_F64, CT_SHAPE(3, 3)));
  ct_tensor *v = ct_randn(ct_key(2), CT_F64, CT_SHAPE(3, 3)), *g, *c[7];
  assert_directional(composite(x), x, v, 6, "composite");
  ct_tensor *large = ct_variable(ct_randn(ct_key(4), CT_F64, CT_SHAPE(9, 9)));
  ct_tensor *w = ct_randn(ct_key(5), CT_F64, CT_SHAPE(9, 9));
  assert_directional(composite(large), large, w, 4, "large composite");
  assert_directional(ct_lgamma(ct_shift(ct_square(large), 1)), large, w, 4, "large chain");
  ct_release(&large);
  assert_ok(ct_grad(ct_sum(composite(x), CT_ALL, false), CT_LIST(x), &g));
  assert_directional(g, x, v, 3, "a gradient");
  /* a coefficient is a tensor like any other */
  assert_ok(ct_taylor(composite(x), x, v, 2, c));
  ct_tensor *third = ct_jvp(c[2], x, v), *want = ct_directional(composite(x), x, v, 3);
  double a[3], b[3];
  tensor_values(third, a, 3);
  tensor_values(want, b, 3);
  for (int i = 0; i < 3; i++) assert_near(2 * a[i], b[i], 1e-9 * fmax(1, fabs(b[i])));
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* ---- products of one's own ------------------------------------------------------------------- */

static ct_status plain_eval(const ct_eval *e) {
  const double *a = (const double *)(const void *)e->in[0]->data;
  const double *b = (const double *)(const void *)e->in[1]->data;
  *(double *)(void *)e->out[0]->data = *a * *b;
  return CT_OK;
}

static void thrice_loop(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  const double *a = (const double *)(const void *)p[0], *b = (const double *)(const void *)p[1];
  (void)attr;
  for (int64_t i = 0; i < n; i++)
    ((double *)(void *)p[2])[i * s[2]] = 3 * a[i * s[0]] * b[i * s[1]];
}

static const ct_kernel thrice_kernel = {.loop = {[CT_F64] = thrice_loop}};
static const ct_op plain_product = {CT_OP,       .name = "plain",        .n_in = 2,
                                    .linear = 3, .infer = ct_infer_same, .eval = plain_eval};
static const ct_op thrice_product = {CT_OP,
                                     .name = "thrice",
                                     .n_in = 2,
                                     .linear = 3,
                                     .flags = CT_ELEMENTWISE,
                                     .infer = ct_infer_same,
                                     .kernel = &thrice_kernel};

static void products_of_ones_own(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = number(0.3), *one = ct_ones(CT_F64, CT_SCALAR), *c[ORDER + 1];
  ct_tensor *a = ct_sin(x), *b = ct_exp(x);
  double want[ORDER + 1];
  assert_ok(ct_taylor(ct_mul(a, b), x, one, ORDER, c));
  for (int k = 0; k <= ORDER; k++) assert_ok(ct_item(c[k], &want[k]));
  assert_coefficients(ct_apply(&plain_product, CT_LIST(a, b)), x, want);
  for (int k = 0; k <= ORDER; k++) want[k] *= 3;
  assert_coefficients(ct_apply(&thrice_product, CT_LIST(a, b)), x, want);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

static ct_status sum_of(ct_tensor *a, ct_tensor *b) {
  ct__sums s;
  ct_tensor *y[2];
  assert_ok(ct__sums_begin(&s, 2, 1));
  ct__sums_add(&s, 1, 2, a, b);
  ct_status status = ct__sums_end(&s, CT_OK, y);
  assert_true(status == CT_OK ? !y[0] : ct_is_nil(y[0]) && ct_is_nil(y[1]));
  return status;
}

static void sums_of_products_are_checked(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *a = ct_ones(CT_F64, CT_SHAPE(2, 3)), *b = ct_ones(CT_F64, CT_SHAPE(2));
  assert_ok(sum_of(a, a));
  assert_fails(sum_of(a, b), CT_ESHAPE, "products: want shapes that broadcast, got (2,3) and (2)");
  assert_fails(sum_of(a, ct_cast(a, CT_F32)), CT_EDTYPE, "products");
  assert_fails(sum_of(ct_cast(a, CT_I32), ct_cast(a, CT_I32)), CT_EDTYPE, "products");
  assert_ok(ct_scope_end(s));
}

/* ---- coefficients of coefficients ------------------------------------------------------------ */

static ct_tensor *smooth(ct_tensor *x) {
  return ct_mul(ct_pow(ct_shift(ct_sin(x), 2), ct_scalar(CT_F64, 2.5)), ct_softmax(x, 1));
}

/* Coefficient 3 of smooth. */
static ct_tensor *third(ct_tensor *x, ct_tensor *v) {
  ct_tensor *c[4];
  assert_ok(ct_taylor(smooth(x), x, v, 3, c));
  return c[3];
}

static void coefficients_are_tensors(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_randn(ct_key(1), CT_F64, CT_SHAPE(2, 3)));
  ct_tensor *v = ct_randn(ct_key(2), CT_F64, CT_SHAPE(2, 3)), *y = third(x, v), *g, *h;
  assert_directional(y, x, v, 4, "a coefficient");
  assert_ok(ct_grad(ct_sum(y, CT_ALL, false), CT_LIST(x), &g));
  assert_ok(ct_grad(ct_sum(ct_directional(smooth(x), x, v, 3), CT_ALL, false), CT_LIST(x), &h));
  double got[6], want[6];
  tensor_values(g, got, 6);
  tensor_values(h, want, 6);
  for (int i = 0; i < 6; i++) assert_near(6 * got[i], want[i], 1e-9 * fmax(1, fabs(want[i])));
  ct_tensor *batch = ct_randn(ct_key(3), CT_F64, CT_SHAPE(5, 2, 3)), *mapped;
  assert_ok(ct_vmap(CT_LIST(y), CT_LIST(x), CT_LIST(batch), (ct_vmap_opts){0}, &mapped));
  ct_tensor *one = ct_variable(ct_squeeze(ct_slice(batch, 0, 4, 5, 1), CT_AXES(0)));
  tensor_values(ct_slice(mapped, 0, 4, 5, 1), got, 6);
  tensor_values(third(one, v), want, 6);
  for (int i = 0; i < 6; i++) assert_near(got[i], want[i], 1e-12 * fmax(1, fabs(want[i])));
  ct_release(&one);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* On placeholders and then run, and with recording off: the same numbers. */
static void symbolic_and_unrecorded(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_randn(ct_key(1), CT_F64, CT_SHAPE(3, 3)));
  ct_tensor *v = ct_randn(ct_key(2), CT_F64, CT_SHAPE(3, 3)), *y = composite(x);
  ct_tensor *c[5], *d[5], *e[5], *p = ct_placeholder(CT_F64, CT_SHAPE(3, 3));
  assert_ok(ct_taylor(y, x, v, 4, c));
  assert_ok(ct_taylor(composite(p), p, v, 4, d));
  assert_false(ct_has_value(d[4]));
  ct_function *f = ct_function_new(CT_LIST(p), (ct_list){5, d});
  assert_non_null(f);
  assert_ok(ct_function_run(f, CT_LIST(x), d));
  ct_function_release(&f);
  ct_scope plain = ct_scope_begin_with(CT_NO_RECORD);
  assert_ok(ct_taylor(y, x, v, 4, e));
  for (int k = 0; k < 5; k++) {
    double a[3], b[3];
    tensor_values(c[k], a, 3);
    tensor_values(d[k], b, 3);
    for (int i = 0; i < 3; i++) assert_near(a[i], b[i], 1e-12 * fmax(1, fabs(a[i])));
    tensor_values(e[k], b, 3);
    for (int i = 0; i < 3; i++) assert_near(a[i], b[i], 1e-12 * fmax(1, fabs(a[i])));
    assert_false(k > 0 && ct_is_recorded(e[k]));
  }
  assert_ok(ct_scope_end(plain));
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* ---- all smooth unary primitives in one function --------------------------------------------- */

static ct_tensor *polygamma_2(ct_tensor *x) { return ct_polygamma(2, x); }

/* x <- x + f(c + r sin x) / 4 for each: as in oracle/taylor.py, in the same order. */
static ct_tensor *chain(ct_tensor *x) {
  static const struct {
    ct_tensor *(*f)(ct_tensor *);
    double c, r;
  } at[] = {
      {ct_neg, 0, 1},         {ct_exp, 0, 1},      {ct_expm1, 0, 1},    {ct_log, 2, 1},
      {ct_log1p, 1, 1},       {ct_sqrt, 2, 1},     {ct_rsqrt, 2, 1},    {ct_square, 0, 1},
      {ct_reciprocal, 2, 1},  {ct_sin, 0, 2},      {ct_cos, 0, 2},      {ct_tan, 0, 0.5},
      {ct_asin, 0, 0.5},      {ct_acos, 0, 0.5},   {ct_atan, 0, 2},     {ct_sinh, 0, 1},
      {ct_cosh, 0, 1},        {ct_tanh, 0, 2},     {ct_erf, 0, 1},      {ct_erfc, 0, 1},
      {ct_erfinv, 0, 0.5},    {ct_lgamma, 2, 1},   {polygamma_2, 2, 1}, {ct_sigmoid, 0, 2},
      {ct_log_sigmoid, 0, 2}, {ct_softplus, 0, 2}, {ct_silu, 0, 2},     {ct_gelu, 0, 1},
      {ct_gelu_tanh, 0, 1},
  };
  for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
    ct_tensor *inner = ct_shift(ct_scale(ct_sin(x), at[i].r), at[i].c);
    x = ct_add(x, ct_scale(at[i].f(inner), 0.25));
  }
  return x;
}

static void smooth_primitives_agree_with_high_precision(void **state) {
  (void)state;
  static const double want[] = {
      3.2542101615675081776,  0.071320519386594346976, -0.051580411637673654414,
      0.17518344003628456936, 0.28479319389884115414,  -1.8185557629896520706,
      -2.1258370346685327824,
  };
  ct_scope s = ct_scope_begin();
  ct_tensor *x = number(0.4), *one = ct_ones(CT_F64, CT_SCALAR), *y = chain(x), *c[7];
  double got, third;
  assert_ok(ct_taylor(y, x, one, 6, c));
  for (int k = 0; k <= 6; k++) {
    assert_ok(ct_item(c[k], &got));
    assert_near(got, want[k], 1e-9 * fabs(want[k]));
  }
  assert_ok(ct_item(ct_directional(y, x, one, 3), &third));
  assert_near(third, 6 * want[3], 1e-9 * fabs(6 * want[3]));
  ct_tensor *g = y; /* reverse mode three times */
  for (int k = 0; k < 3; k++) assert_ok(ct_grad(g, CT_LIST(x), &g));
  assert_ok(ct_item(g, &third));
  assert_near(third, 6 * want[3], 1e-9 * fabs(6 * want[3]));
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* ---- cost ------------------------------------------------------------------------------------ */

/* Calls of primitives in the recipe of the coefficients, without those that only look at a tensor
 * in another way. */
static double operations(ct_tensor *y, ct_tensor *x, int order) {
  ct_tensor *c[ORDER + 1];
  assert_ok(ct_taylor(y, x, ct_ones(CT_F64, ct_shape_of(x)), order, c));
  ct__walk w;
  assert_ok(ct__walk_begin(&w, "operations", CT__REPLAY, (ct_list){order + 1, c}, CT_LIST(x)));
  double n = 0;
  for (ct__node *k = w.order; k; k = k->link) n += !k->call.op->view;
  ct__walk_end(&w);
  return n;
}

#define COST(name, expression)                                                                     \
  static ct_tensor *name(ct_tensor *x) { return expression; }
COST(weights, ct_randn(ct_key((uint64_t)ct_size(x)), CT_F64, CT_SHAPE(ct_dim(x, 0), ct_dim(x, 0))))
COST(layer, ct_tanh(ct_matmul(weights(x), x)))
COST(network, ct_sum(layer(layer(layer(x))), CT_ALL, false))
COST(exponential, ct_exp(ct_sin(x)))
COST(rational, ct_div(x, ct_shift(ct_square(x), 1)))
COST(roots, ct_sqrt(ct_shift(ct_square(x), 1)))
COST(entropy, ct_mul(ct_softmax(x, 0), ct_log_softmax(x, 0)))
COST(product, ct_mul(ct_exp(x), ct_tanh(x)))
COST(matrices, ct_matmul(ct_exp(x), ct_transpose(ct_sin(x), 0, 1)))
COST(attention, ct_matmul(ct_softmax(ct_matmul(x, ct_transpose(x, 0, 1)), 1), x))
COST(powers, ct_pow(ct_shift(ct_sin(x), 2), ct_scalar(CT_F64, 2.5)))
COST(power_alone, ct_pow(x, ct_scalar(CT_F64, 2.5)))
COST(gammas, ct_lgamma(ct_shift(ct_sin(x), 2)))
COST(gammas_of_gammas, ct_lgamma(ct_exp(ct_lgamma(ct_exp(x)))))

/* Order 10 calls at most 3 times as many primitives as order 5, whatever the size. */
static void cost_is_bounded(void **state) {
  (void)state;
  static const struct {
    const char *name;
    ct_tensor *(*f)(ct_tensor *);
  } at[] = {
      {"network", network},
      {"exponential", exponential},
      {"rational", rational},
      {"roots", roots},
      {"entropy", entropy},
      {"product", product},
      {"matrices", matrices},
      {"attention", attention},
      {"powers", powers},
      {"gammas", gammas},
      {"power alone", power_alone},
      {"gamma alone", ct_lgamma},
      {"tanh", ct_tanh},
      {"chain", chain},
      {"gammas of gammas", gammas_of_gammas},
  };
  const ct_shape shape[] = {CT_SHAPE(1, 1), CT_SHAPE(32, 2), CT_SHAPE(32, 16), CT_SHAPE(50, 100)};
  for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
    for (size_t k = 0; k < sizeof shape / sizeof shape[0]; k++) {
      ct_scope s = ct_scope_begin();
      ct_tensor *x = ct_variable(ct_uniform(ct_key(6), CT_F64, shape[k], 0.2, 1)), *y = at[i].f(x);
      double five = operations(y, x, 5), ten = operations(y, x, 10);
      if (!(ten <= 3 * five))
        print_error("%s of %d numbers: %g calls and %g\n", at[i].name, (int)ct_size(x), five, ten);
      assert_true(ten <= 3 * five);
      ct_release(&x);
      assert_ok(ct_scope_end(s));
    }
}

static void errors(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = number(1), *y = ct_exp(x), *one = ct_ones(CT_F64, CT_SCALAR), *c[3];
  assert_fails(ct_taylor(y, one, one, 2, c), CT_ERECORD, "ct_taylor: x is not recorded");
  assert_fails(ct_taylor(y, x, ct_ones(CT_F64, CT_SHAPE(2)), 2, c), CT_ESHAPE, "(2) and ()");
  assert_fails(ct_taylor(y, x, ct_ones(CT_F32, CT_SCALAR), 2, c), CT_EDTYPE, "ct_taylor");
  assert_fails(ct_taylor(y, x, one, -1, c), CT_EARG, "order");
  assert_fails(ct_taylor(y, x, one, 1, NULL), CT_EARG, "room");
  assert_fails(ct_taylor(NULL, x, one, 1, c), CT_EARG, "ct_taylor");
  assert_ok(ct_assign(x, one)); /* the recipe of y is stale now */
  assert_fails(ct_taylor(y, x, one, 2, c), CT_ESTALE, "exp");
  assert_true(ct_is_nil(c[0]) && ct_is_nil(c[2]));
  assert_ok(ct_taylor(x, x, one, 2, c)); /* x along v itself */
  double value;
  assert_ok(ct_item(c[1], &value));
  assert_near(value, 1, 0);
  assert_ok(ct_taylor(one, x, one, 2, c)); /* what does not depend on x */
  assert_ok(ct_item(c[2], &value));
  assert_near(value, 0, 0);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(closed_forms),
      cmocka_unit_test(every_primitive),
      cmocka_unit_test(compositions),
      cmocka_unit_test(products_of_ones_own),
      cmocka_unit_test(sums_of_products_are_checked),
      cmocka_unit_test(coefficients_are_tensors),
      cmocka_unit_test(symbolic_and_unrecorded),
      cmocka_unit_test(smooth_primitives_agree_with_high_precision),
      cmocka_unit_test(cost_is_bounded),
      cmocka_unit_test(errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
