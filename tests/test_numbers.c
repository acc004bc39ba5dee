/* test_numbers.c - single numbers take short ways through the engine: they must give the bits that
 * vectors of one element give, and leave nothing behind. */
#include "testing.h"

#include "failing_malloc.h"

#include <cotangent.h>
#include <pthread.h>

/* ---- the same bits as vectors ---------------------------------------------------------------- */

static ct_tensor *op_leaky_relu(ct_tensor *x) { return ct_leaky_relu(x, 0.1); }
static ct_tensor *op_shift(ct_tensor *x) { return ct_shift(x, 0.25); }
static ct_tensor *op_hook(ct_tensor *x) { return ct_grad_scale(x, 0.75); }
static ct_tensor *op_view(ct_tensor *x) { return ct_reshape(x, ct_shape_of(x)); }
static ct_tensor *op_sum(ct_tensor *x) { return ct_sum(x, CT_ALL, true); }
static ct_tensor *op_twice(ct_tensor *x) { return ct_mul(x, x); }
static ct_tensor *op_cast(ct_tensor *x) { return ct_cast(ct_cast(x, CT_F64), ct_dtype_of(x)); }

static ct_tensor *(*const unary[])(ct_tensor *) = {
    ct_sin,   ct_tanh, ct_neg,  ct_sigmoid, ct_abs,  ct_atan,  op_leaky_relu, ct_erf,
    op_shift, op_hook, op_view, op_sum,     op_cast, op_twice, ct_sign,       ct_softplus};
static ct_tensor *(*const binary[])(ct_tensor *, ct_tensor *) = {
    ct_add, ct_mul, ct_sub, ct_maximum, ct_hypot, ct_atan2, ct_mul0, ct_logaddexp};

enum { NODES = 40, INPUTS = 3 };

/* A program of random operations on inputs and earlier results; the last ones are added up. */
static ct_tensor *program(unsigned seed, ct_tensor *const *x) {
  ct_tensor *t[INPUTS + NODES];
  for (int i = 0; i < INPUTS; i++) t[i] = x[i];
  for (int i = INPUTS; i < INPUTS + NODES; i++) {
    unsigned r[4];
    for (int k = 0; k < 4; k++) r[k] = (seed = seed * 1664525u + 1013904223u) >> 8;
    ct_tensor *a = t[r[1] % 2 ? i - 1 : (int)(r[2] % (unsigned)i)], *b = t[r[3] % (unsigned)i];
    const unsigned n = sizeof unary / sizeof unary[0], m = sizeof binary / sizeof binary[0];
    t[i] = r[0] % 2 ? unary[r[0] / 2 % n](a) : ct_tanh(binary[r[0] / 2 % m](a, b));
  }
  ct_tensor *y = t[INPUTS + NODES - 1];
  for (int i = 2; i < 6; i++) y = ct_add(y, t[INPUTS + NODES - i]);
  return y;
}

static void append(double *out, int *n, const ct_tensor *t) {
  assert_false(ct_is_nil(t));
  assert_ok(ct_item(t, &out[(*n)++]));
}

/* Value, gradient, and derivatives of the gradient in both modes. */
static int results(unsigned seed, ct_dtype dtype, ct_shape shape, double *out) {
  int n = 0;
  ct_scope s = ct_scope_begin();
  ct_tensor *x[INPUTS], *g[INPUTS], *h[INPUTS];
  for (int i = 0; i < INPUTS; i++) x[i] = ct_variable(ct_full(dtype, shape, 0.3 + 0.21 * i));
  ct_tensor *y = program(seed, x);
  append(out, &n, y);
  assert_ok(ct_grad(y, (ct_list){INPUTS, x}, g));
  for (int i = 0; i < INPUTS; i++) append(out, &n, g[i]);
  assert_ok(ct_grad(ct_add(g[0], ct_mul(g[1], g[2])), (ct_list){INPUTS, x}, h));
  for (int i = 0; i < INPUTS; i++) append(out, &n, h[i]);
  append(out, &n, ct_jvp(g[1], x[0], ct_full(dtype, shape, 0.7)));
  ct_tensor *of[] = {y, x[1]}, *gy[] = {ct_full(dtype, shape, 2), ct_full(dtype, shape, 3)};
  assert_ok(ct_vjp_all((ct_list){2, of}, (ct_list){2, gy}, CT_LIST(x[1], x[0], x[1]), h));
  for (int i = 0; i < INPUTS; i++) append(out, &n, h[i]);
  assert_ok(ct_scope_end(s));
  for (int i = 0; i < INPUTS; i++) ct_release(&x[i]);
  return n;
}

static void bits_are_those_of_vectors(void **state) {
  (void)state;
  for (unsigned seed = 1; seed <= 300; seed++) {
    const ct_dtype dtype = seed % 2 ? CT_F32 : CT_F64;
    double number[32], vector[32];
    const int n = results(seed, dtype, CT_SCALAR, number);
    assert_int_equal(results(seed, dtype, CT_SHAPE(1), vector), n);
    assert_memory_equal(number, vector, (size_t)n * sizeof number[0]);
  }
}

/* The cotangent of one input has no value yet, that of the other is a number. */
static void numbers_meet_symbols(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(ct_scalar(CT_F64, 0.5)), *g;
  ct_tensor *u = ct_sin(x), *y[] = {ct_mul(u, u), ct_tanh(u)};
  ct_tensor *p = ct_placeholder(CT_F64, CT_SCALAR), *gy[] = {ct_scalar(CT_F64, 1), p};
  ct_scope off = ct_scope_begin_with(CT_NO_RECORD);
  assert_ok(ct_vjp_all((ct_list){2, y}, (ct_list){2, gy}, CT_LIST(x), &g));
  ct_function *f = ct_function_new(CT_LIST(p), CT_LIST(g));
  assert_non_null(f);
  ct_tensor *run;
  double value;
  assert_ok(ct_function_run(f, CT_LIST(ct_scalar(CT_F64, 3)), &run));
  assert_ok(ct_item(run, &value));
  const double s = sin(0.5), t = tanh(s);
  assert_near(value, (2 * s + 3 * (1 - t * t)) * cos(0.5), 1e-15);
  ct_function_release(&f);
  assert_ok(ct_scope_end(off));
  ct_release(&x);
}

/* ---- lifetimes: tensor, numbers and recipe in one block -------------------------------------- */

static void parts_outlive_the_tensor(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(ct_scalar(CT_F32, 2)), *out, *numbers;
  ct_tensor *p = ct_placeholder(CT_F32, CT_SCALAR);
  ct_scope s = ct_scope_begin();
  ct_tensor *y = ct_mul(x, ct_add(x, p));
  ct_function *f = ct_function_new(CT_LIST(p), CT_LIST(y)); /* holds recipes */
  assert_non_null(f);
  ct_tensor *z = ct_mul(x, x);
  numbers = ct_keep(ct_detach(z)); /* holds numbers */
  ct_function *both = ct_function_new(CT_LIST(x), CT_LIST(z));
  ct_tensor *alias = ct_keep(ct_detach(z));
  assert_ok(ct_scope_end(s));
  double value;
  s = ct_scope_begin();
  assert_ok(ct_function_run(f, CT_LIST(ct_scalar(CT_F32, 5)), &out));
  assert_ok(ct_item(out, &value));
  assert_near(value, 14, 0);
  ct_release(&numbers);
  assert_ok(ct_function_run(both, CT_LIST(ct_scalar(CT_F32, 7)), &out));
  assert_ok(ct_item(out, &value));
  assert_near(value, 49, 0);
  ct_function_release(&both);
  assert_ok(ct_item(alias, &value));
  assert_near(value, 4, 0);
  assert_ok(ct_scope_end(s));
  ct_release(&alias);
  ct_function_release(&f);
  ct_release(&x);
}

enum { SHARED = 200 };

static void *release_all(void *list) {
  for (int i = 0; i < SHARED; i++) ct_release((ct_tensor **)list + i);
  return NULL;
}

/* Numbers let go of by one thread while another ends their tensors. */
static void parts_end_on_two_threads(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(ct_scalar(CT_F64, 1)), *held[SHARED];
  for (int round = 0; round < 20; round++) {
    pthread_t thread;
    ct_scope s = ct_scope_begin();
    ct_tensor *y = x;
    for (int i = 0; i < SHARED; i++) {
      y = ct_mul(y, x);
      held[i] = ct_keep(ct_detach(y));
    }
    assert_int_equal(pthread_create(&thread, NULL, release_all, held), 0);
    assert_ok(ct_scope_end(s));
    assert_int_equal(pthread_join(thread, NULL), 0);
  }
  ct_release(&x);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* One block for an operation, none for its derivative. */
static void blocks_are_few(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  enum { LINKS = 50 };
  ct_tensor *x = ct_variable(ct_scalar(CT_F32, 0.9)), *y = x, *g;
  ct_scope s = ct_scope_begin();
  assert_ok(ct_grad(ct_sin(x), CT_LIST(x), &g));
  assert_ok(ct_scope_end(s));
  ct_cache_flush();
  const long calls = heap_calls();
  s = ct_scope_begin();
  for (int i = 0; i < LINKS; i++) y = i % 2 ? ct_tanh(y) : ct_mul(y, x);
  assert_ok(ct_grad(y, CT_LIST(x), &g));
  assert_true(heap_calls() - calls <= LINKS + 10);
  assert_ok(ct_scope_end(s));
  ct_release(&x);
}

/* Wherever memory ends, there is an error and nothing is lost. */
static void memory_may_end(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  ct_tensor *x = ct_variable(ct_scalar(CT_F32, 0.9)), *g;
  bool failed = true;
  for (int n = 0; failed; n++) {
    ct_cache_flush();
    heap_fail_at(n + 1, true);
    ct_scope s = ct_scope_begin();
    ct_tensor *y = ct_mul(ct_leaky_relu(x, 0.5), ct_sub(x, ct_sin(x)));
    failed = ct_grad(y, CT_LIST(x), &g) != CT_OK;
    heap_fail_end();
    if (failed) ct_error_clear();
    ct_scope_end(s);
    ct_error_clear();
    assert_true(n < 100);
  }
  ct_release(&x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bits_are_those_of_vectors),
      cmocka_unit_test(numbers_meet_symbols),
      cmocka_unit_test(parts_outlive_the_tensor),
      cmocka_unit_test(parts_end_on_two_threads),
      cmocka_unit_test(blocks_are_few),
      cmocka_unit_test(memory_may_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
