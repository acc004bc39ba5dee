/* Each allocation fails in turn, in derivatives of the user's own, Taylor coefficients and modules
 * with given parameters: an error or the right result, and nothing lost. */
#include "testing.h"

#include "failing_malloc.h"

#include <cotangent.h>

static ct_module *layer; /* 2 -> 2, f64 */
static double found[16];
static int n_found;

/* The numbers of a result, for comparison. */
static ct_status seen(const ct_tensor *t) {
  if (ct_is_nil(t)) return ct_error_code();
  assert_true(n_found + ct_size(t) <= 16);
  size_t bytes = (size_t)ct_size(t) * sizeof(double);
  ct_status status = ct_copy_out(t, found + n_found, bytes);
  n_found += (int)ct_size(t);
  return status;
}

/* ---- the work -------------------------------------------------------------------------------- */

static void body(ct_list in, ct_tensor **out, void *payload) {
  out[0] = ct_mul(ct_sin(in.at[0]), payload);
}

static void rule(ct_list in, ct_tensor **out, void *payload) {
  out[0] = ct_mul(in.at[2], ct_mul(ct_cos(in.at[0]), payload));
}

typedef ct_status custom(ct_custom c, ct_list x, ct_tensor **y);

static ct_status rules(custom *kind) {
  ct_tensor *x = ct_variable(ct_linspace(CT_F64, 1, 2, 2)), *y = ct_nil(), *g, *batch, *all;
  ct_tensor *w = ct_variable(ct_scalar(CT_F64, 3)), *v = ct_ones(CT_F64, CT_SHAPE(2));
  ct_status status = kind((ct_custom){body, rule, 1, w}, CT_LIST(x), &y);
  if (status == CT_OK) status = seen(g = ct_vjp(y, x, v));
  if (status == CT_OK) status = seen(ct_jvp(g, x, v));
  batch = ct_variable(ct_ones(CT_F64, CT_SHAPE(2, 2)));
  if (status == CT_OK)
    status = ct_vmap(CT_LIST(y), CT_LIST(x), CT_LIST(batch), (ct_vmap_opts){0}, &all);
  if (status == CT_OK) status = seen(ct_vjp(all, batch, ct_ones(CT_F64, CT_SHAPE(2, 2))));
  ct_release(&x);
  ct_release(&w);
  ct_release(&batch);
  return status;
}

static ct_status pulled(void) { return rules(ct_custom_vjp); }
static ct_status pushed(void) { return rules(ct_custom_jvp); }

static ct_status hooked(void) {
  ct_tensor *x = ct_variable(ct_linspace(CT_F64, 1, 2, 2)), *g;
  ct_tensor *y = ct_grad_clip_norm(ct_grad_check(ct_grad_scale(x, -1), "x"), 0.5);
  ct_status status = ct_grad(ct_sum(ct_grad_clip(y, -1, 1), CT_ALL, false), CT_LIST(x), &g);
  if (status == CT_OK) status = seen(g);
  ct_release(&x);
  return status;
}

static ct_status expanded(void) {
  ct_tensor *x = ct_variable(ct_linspace(CT_F64, 1, 2, 2)), *c[4];
  ct_tensor *y =
      ct_mul(ct_pow(ct_tanh(x), ct_scalar(CT_F64, 2.5)), ct_softmax(ct_div(x, ct_exp(x)), 0));
  ct_status status = ct_taylor(y, x, ct_ones(CT_F64, CT_SHAPE(2)), 3, c);
  for (int k = 0; k < 4 && status == CT_OK; k++) status = seen(c[k]);
  ct_release(&x);
  return status;
}

static ct_status given(void) {
  ct_tensor *w = ct_variable(ct_eye(CT_F64, 2, 2)), *b = ct_variable(ct_ones(CT_F64, CT_SHAPE(2)));
  ct_tensor *x = ct_ones(CT_F64, CT_SHAPE(1, 2)), *y = ct_forward_with(layer, CT_LIST(w, b), x), *g;
  ct_status status = ct_grad(ct_sum(ct_square(y), CT_ALL, false), CT_LIST(w), &g);
  if (status == CT_OK) status = seen(g);
  ct_release(&w);
  ct_release(&b);
  return status;
}

static ct_status mapped_call(void) {
  ct_tensor *p = ct_placeholder(CT_F64, CT_SHAPE(2)), *x = ct_placeholder(CT_F64, CT_SHAPE(2));
  ct_tensor *square = ct_square(p), *y, *z, *all;
  ct_function *f = ct_function_new(CT_LIST(p), CT_LIST(square));
  ct_status status = f ? ct_call_function(f, CT_LIST(x), &y) : ct_error_code();
  if (status == CT_OK) status = ct_inline_function(f, CT_LIST(x), &z);
  if (status == CT_OK)
    status = ct_vmap(CT_LIST(ct_add(y, z)), CT_LIST(x), CT_LIST(ct_full(CT_F64, CT_SHAPE(3, 2), 2)),
                     (ct_vmap_opts){0}, &all);
  if (status == CT_OK) status = seen(all);
  ct_function_release(&f);
  return status;
}

/* ---- one failure after the other ------------------------------------------------------------- */

/* True if an allocation has failed. */
static bool attempt(ct_status (*work)(void), long k, bool lasting, int n, const double *want) {
  ct_cache_flush();
  long live = heap_live();
  ct_scope scope = ct_scope_begin();
  n_found = 0;
  heap_fail_at(k, lasting);
  ct_status status = work();
  bool struck = heap_fail_end();
  if (status == CT_OK) {
    assert_int_equal(n_found, n);
    assert_memory_equal(found, want, (size_t)n * sizeof *want);
  } else if (!struck || !ct_error_code() || !*ct_error_message()) {
    print_error("allocation %ld: status %d, \"%s\"\n", k, (int)status, ct_error_message());
    fail();
  }
  ct_error_clear();
  assert_ok(ct_scope_end(scope));
  ct_cache_flush();
  assert_int_equal(heap_live(), live);
  return struck;
}

static void survives(ct_status (*work)(void)) {
  double want[16];
  ct_scope scope = ct_scope_begin();
  n_found = 0;
  assert_ok(work());
  assert_ok(ct_scope_end(scope));
  int n = n_found;
  memcpy(want, found, sizeof want);
  if (!heap_watched()) skip();
  ct_cache_limit(0);
  for (int lasting = 0; lasting < 2; lasting++) {
    long k = 1;
    while (attempt(work, k, lasting, n, want)) k++;
    assert_true(k > 10);
  }
  ct_cache_limit((size_t)512 << 20);
}

#define WORK(name)                                                                                 \
  static void test_##name(void **state) {                                                          \
    (void)state;                                                                                   \
    survives(name);                                                                                \
  }
WORK(pulled)
WORK(pushed)
WORK(hooked)
WORK(expanded)
WORK(given)
WORK(mapped_call)

static int setup(void **state) {
  (void)state;
  layer = ct_nn_linear(ct_key(1), 2, 2, (ct_linear_opts){.dtype = CT_F64});
  return layer && ct_module_params(layer).n == 2 ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  ct_module_free(&layer);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pulled), cmocka_unit_test(test_pushed),
      cmocka_unit_test(test_hooked), cmocka_unit_test(test_expanded),
      cmocka_unit_test(test_given),  cmocka_unit_test(test_mapped_call),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
