/* test_oracle.c - values and gradients against an independent implementation.
 *
 * oracle/primitives.txt holds JAX's numbers in f64, written by oracle/primitives.py; here is what
 * computes the same. */
#include "testing.h"

#include "autograd/autograd.h"

/* ---- the numbers ----------------------------------------------------------------------------- */

typedef struct row {
  char kind; /* C begins a case: inputs X and I, output Y, cotangent U, a gradient G for each X */
  const char *name;
  ct_shape shape;
  const double *at;
} row;

#define UNPACK(...) __VA_ARGS__
#define NUMBERS(kind, rank, dim, ...)                                                              \
  {kind, NULL, {rank, {UNPACK dim}}, (const double[]){__VA_ARGS__}},
#define CASE(name)        {'C', #name, {0, {0}}, NULL},
#define X(rank, dim, ...) NUMBERS('X', rank, dim, __VA_ARGS__)
#define I(rank, dim, ...) NUMBERS('I', rank, dim, __VA_ARGS__)
#define Y(rank, dim, ...) NUMBERS('Y', rank, dim, __VA_ARGS__)
#define U(rank, dim, ...) NUMBERS('U', rank, dim, __VA_ARGS__)
#define G(rank, dim, ...) NUMBERS('G', rank, dim, __VA_ARGS__)
static const row rows[] = {
#include "oracle/primitives.txt"
};
#undef CASE
#undef X
#undef I
#undef Y
#undef U
#undef G
enum { ROWS = sizeof rows / sizeof rows[0], MAX_IN = 6 };

/* ---- the functions --------------------------------------------------------------------------- */

typedef ct_tensor *function(ct_tensor *const *in);

#define CASE(name, expression)                                                                     \
  static ct_tensor *f_##name(ct_tensor *const *in) { return expression; }
#define UNARY(name)  CASE(name, ct_##name(in[0]))
#define BINARY(name) CASE(name, ct_##name(in[0], in[1]))
#define BROADCAST(name)                                                                            \
  BINARY(name)                                                                                     \
  CASE(name##_broadcast, ct_##name(in[0], in[1]))
#define REDUCTION(name)                                                                            \
  CASE(name, ct_##name(in[0], CT_ALL, false))                                                      \
  CASE(name##_first, ct_##name(in[0], CT_AXES(0), false))                                          \
  CASE(name##_outer, ct_##name(in[0], CT_AXES(0, 2), true))

static ct_tensor *shift_norm(ct_tensor *x, ct_tensor *scale, ct_tensor *shift) {
  ct_tensor *centred = ct_sub(x, ct_mean(x, CT_AXES(-1), true));
  ct_tensor *variance = ct_mean(ct_square(centred), CT_AXES(-1), true);
  return ct_add(ct_mul(ct_div(centred, ct_sqrt(ct_shift(variance, 1e-5))), scale), shift);
}

static ct_tensor *attend(ct_tensor *q, ct_tensor *k, ct_tensor *v) {
  return ct_matmul(ct_softmax(ct_scale(ct_matmul(q, ct_transpose(k, -1, -2)), 0.5), -1), v);
}

static ct_tensor *network(ct_tensor *const *in) {
  ct_tensor *hidden = ct_sigmoid(ct_add(ct_matmul(in[0], in[1]), in[2]));
  return ct_cross_entropy(ct_add(ct_matmul(hidden, in[3]), in[4]), in[5]);
}

static ct_tensor *valley(ct_tensor *x) {
  ct_tensor *next = ct_slice(x, 0, 1, CT_END, 1), *here = ct_slice(x, 0, 0, -1, 1);
  ct_tensor *across = ct_scale(ct_square(ct_sub(next, ct_square(here))), 100);
  return ct_sum(ct_add(across, ct_square(ct_shift(ct_neg(here), 1))), CT_ALL, false);
}

static ct_tensor *swing(ct_tensor *state) {
  for (int i = 0; i < 5; i++) {
    ct_tensor *part[2];
    if (ct_split(state, 0, 2, part) != CT_OK) return ct_nil();
    ct_tensor *speed = ct_sub(part[1], ct_scale(ct_sin(part[0]), 0.1));
    state = ct_concat(CT_LIST(ct_add(part[0], ct_scale(speed, 0.1)), speed), 0);
  }
  return state;
}

static ct_tensor *gradient_norm(ct_tensor *x) {
  ct_tensor *y = ct_sum(ct_mul(ct_exp(ct_sin(x)), x), CT_ALL, false), *g;
  ct_grad(y, CT_LIST(x), &g);
  return ct_sum(ct_square(g), CT_ALL, false);
}

static ct_tensor *variance_of(ct_tensor *x) {
  return ct_mean(ct_square(ct_sub(x, ct_mean(x, CT_AXES(0), false))), CT_AXES(0), false);
}

#define SMOOTH(amount, how)                                                                        \
  (ct_cross_entropy_opts) { amount, how }

/* Every name of the table, in the order of primitives.py. */
// clang-format off
#define CASES(CASE, UNARY, BINARY, BROADCAST, REDUCTION)                                           \
  UNARY(neg) UNARY(abs) UNARY(exp) UNARY(expm1) UNARY(sin) UNARY(cos) UNARY(tanh) UNARY(sigmoid)   \
  UNARY(softplus) UNARY(relu) UNARY(square) UNARY(log) UNARY(log1p) UNARY(sqrt) UNARY(rsqrt)       \
  UNARY(reciprocal)                                                                                \
  CASE(tanh_tails, ct_tanh(in[0]))                                                                 \
  CASE(sigmoid_tails, ct_sigmoid(in[0]))                                                           \
  CASE(softplus_tails, ct_softplus(in[0]))                                                         \
  CASE(expm1_small, ct_expm1(in[0]))                                                               \
  BROADCAST(add) BROADCAST(sub) BROADCAST(mul) BROADCAST(mul0) BROADCAST(maximum)                  \
  BROADCAST(minimum) BINARY(div) BINARY(pow)                                                       \
  CASE(clamp, ct_clamp(in[0], -0.7, 1.1))                                                          \
  CASE(scale, ct_scale(in[0], -1.7))                                                               \
  CASE(shift, ct_shift(in[0], 0.3))                                                                \
  CASE(where, ct_where(ct_cast(in[0], CT_BOOL), in[1], in[2]))                                     \
  REDUCTION(sum) REDUCTION(mean) REDUCTION(prod) REDUCTION(max) REDUCTION(min)                     \
  REDUCTION(logsumexp)                                                                             \
  CASE(prod_zero, ct_prod(in[0], CT_ALL, false))                                                   \
  CASE(max_tie, ct_max(in[0], CT_ALL, false))                                                      \
  CASE(logsumexp_large, ct_logsumexp(in[0], CT_ALL, false))                                        \
  CASE(sort, ct_sort(in[0], 0, false, NULL))                                                       \
  CASE(sort_down, ct_sort(in[0], -1, true, NULL))                                                  \
  CASE(reshape, ct_reshape(in[0], CT_SHAPE(3, 2)))                                                 \
  CASE(permute, ct_permute(in[0], CT_AXES(2, 0, 1)))                                               \
  CASE(broadcast_to, ct_broadcast_to(in[0], CT_SHAPE(2, 3, 2)))                                    \
  CASE(slice, ct_slice(in[0], 1, 1, CT_END, 2))                                                    \
  CASE(slice_back, ct_slice(in[0], 1, CT_END, 0, -2))                                              \
  CASE(flip, ct_flip(in[0], CT_AXES(0, 1)))                                                        \
  CASE(concat, ct_concat(CT_LIST(in[0], in[1]), 1))                                                \
  CASE(stack, ct_stack(CT_LIST(in[0], in[1]), 1))                                                  \
  CASE(pad, ct_pad(in[0], 1, 2, 1))                                                                \
  BINARY(matmul)                                                                                   \
  CASE(matmul_vector, ct_matmul(in[0], in[1]))                                                     \
  CASE(matmul_dot, ct_matmul(in[0], in[1]))                                                        \
  CASE(matmul_batch, ct_matmul(in[0], in[1]))                                                      \
  CASE(gather, ct_gather(in[0], in[1], 0))                                                         \
  CASE(gather_last, ct_gather(in[0], in[1], -1))                                                   \
  CASE(scatter_add, ct_scatter_add(in[0], in[1], in[2], 0))                                        \
  CASE(scatter_add_last, ct_scatter_add(in[0], in[1], in[2], 1))                                   \
  CASE(softmax, ct_softmax(in[0], -1))                                                             \
  CASE(softmax_first, ct_softmax(in[0], 0))                                                        \
  CASE(log_softmax, ct_log_softmax(in[0], -1))                                                     \
  CASE(cross_entropy, ct_cross_entropy(in[0], in[1]))                                              \
  CASE(cross_entropy_smooth, ct_cross_entropy_with(in[0], in[1], SMOOTH(0.1, CT_SUM)))             \
  CASE(cross_entropy_soft, ct_cross_entropy_with(in[0], in[1], SMOOTH(0.1, CT_EACH)))              \
  CASE(norm, ct_sqrt(ct_sum(ct_square(in[0]), CT_AXES(1), false)))                                 \
  CASE(layer_norm, shift_norm(in[0], in[1], in[2]))                                                \
  CASE(attention, attend(in[0], in[1], in[2]))                                                     \
  CASE(mlp, network(in))                                                                           \
  CASE(rosenbrock, valley(in[0]))                                                                  \
  CASE(pendulum, swing(in[0]))                                                                     \
  CASE(variance, variance_of(in[0]))                                                               \
  CASE(gradient_norm, gradient_norm(in[0]))                                                        \
  CASE(prod_zeros, ct_prod(in[0], CT_AXES(1), false))                                              \
  CASE(cumprod, ct_cumprod(in[0], 1))                                                              \
  CASE(cumprod_first, ct_cumprod(in[0], 0))                                                        \
  CASE(cumprod_zeros, ct_cumprod(in[0], 1))                                                        \
  CASE(linear_recurrence, ct_linear_recurrence(in[0], in[1], in[2], 0, false))                     \
  CASE(linear_recurrence_reverse, ct_linear_recurrence(in[0], in[1], in[2], 0, true))
// clang-format on

CASES(CASE, UNARY, BINARY, BROADCAST, REDUCTION)

#define ENTRY(name)           {#name, f_##name},
#define ENTRY_OF(name, f)     ENTRY(name)
#define ENTRY_BROADCAST(name) ENTRY(name) ENTRY(name##_broadcast)
#define ENTRY_REDUCTION(name) ENTRY(name) ENTRY(name##_first) ENTRY(name##_outer)
static const struct {
  const char *name;
  function *f;
} functions[] = {CASES(ENTRY_OF, ENTRY, ENTRY, ENTRY_BROADCAST, ENTRY_REDUCTION)};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

/* ---- comparing ------------------------------------------------------------------------------- */

static function *function_named(const char *name) {
  for (int i = 0; i < FUNCTIONS; i++)
    if (strcmp(functions[i].name, name) == 0) return functions[i].f;
  print_error("nothing computes %s\n", name);
  fail();
  return NULL;
}

static ct_tensor *tensor_of(const row *r) {
  ct_tensor *t = ct_from(CT_F64, r->shape, r->at);
  return r->kind == 'I' ? ct_cast(t, CT_I32) : t;
}

/* Within 1e-12 of the element, or of the largest one where sums cancel. */
static void expect(const char *name, const row *want, const ct_tensor *got) {
  enum { MAX_SIZE = 64 };
  double value[MAX_SIZE], largest = 0;
  int64_t n = ct_size(got);
  if (ct_is_nil(got)) print_error("%s: %s\n", name, ct_error_message());
  assert_true(ct_shape_equal(ct_shape_of(got), want->shape) && n <= MAX_SIZE);
  tensor_values(got, value, n);
  for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(want->at[i]));
  bool tails = strstr(name, "tails") || strstr(name, "small");
  for (int64_t i = 0; i < n; i++) {
    double scale = tails ? fabs(want->at[i]) : largest;
    if (fabs(value[i] - want->at[i]) <= 1e-12 * scale) continue;
    print_error("%s, %c, element %d: got %.17g, want %.17g\n", name, want->kind, (int)i, value[i],
                want->at[i]);
    fail();
  }
}

/* Checks the case that begins at r; returns the row after it. */
static const row *check_case(const row *r) {
  const char *name = r->name;
  function *f = function_named(name);
  ct_tensor *in[MAX_IN], *x[MAX_IN], *g[MAX_IN], *u;
  int n = 0, wanted = 0;
  for (r++; r->kind == 'X' || r->kind == 'I'; r++, n++) {
    in[n] = tensor_of(r);
    if (r->kind == 'X') in[n] = x[wanted++] = ct_variable(in[n]);
  }
  ct_tensor *y = f(in);
  expect(name, r++, y);
  u = tensor_of(r++);
  assert_ok(ct_vjp_all(CT_LIST(y), CT_LIST(u), (ct_list){wanted, x}, g));
  for (int i = 0; i < wanted; i++) expect(name, r++, g[i]);
  for (int i = 0; i < wanted; i++) ct_release(&x[i]);
  return r;
}

static void values_and_gradients_are_the_oracles(void **state) {
  (void)state;
  int n = 0;
  for (const row *r = rows; r < rows + ROWS; n++) {
    ct_scope scope = ct_scope_begin();
    r = check_case(r);
    assert_ok(ct_scope_end(scope));
  }
  assert_int_equal(n, FUNCTIONS);
  assert_true(n >= 60);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(values_and_gradients_are_the_oracles)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
