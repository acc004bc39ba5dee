/* Training in the steady state: after a few steps nothing is asked of the system any more, and
 * memory stays flat. */
#include "testing.h"

#include "failing_malloc.h"

#include <cotangent.h>

enum { BATCH = 32, WARM = 40, COUNTED = 100, LONG = 1000 };

typedef struct trainer {
  ct_module *model;
  ct_optim *optim;
  ct_dataset train, test;
  ct_loader *loader;
} trainer;

typedef ct_optim *make_optim(ct_list params);

static ct_optim *plain(ct_list p) { return ct_sgd(p, (ct_sgd_opts){.lr = 0.1}); }
static ct_optim *momentum(ct_list p) {
  return ct_sgd(p, (ct_sgd_opts){.lr = 0.1, .momentum = 0.9});
}
static ct_optim *adam(ct_list p) { return ct_adam(p, (ct_adam_opts){.lr = 0.001}); }
static ct_optim *adamw(ct_list p) { return ct_adamw(p, (ct_adam_opts){.lr = 0.001}); }

static void begin(trainer *t, make_optim *make) {
  ct_scope s = ct_scope_begin();
  ct_tensor *key = ct_key(1);
  t->model =
      ct_nn_sequential(CT_MODULES(ct_nn_linear(ct_key_fold(key, 0), 64, 32, (ct_linear_opts){0}),
                                  ct_nn_sigmoid(), ct_nn_dropout(ct_key_fold(key, 1), 0.2),
                                  ct_nn_linear(ct_key_fold(key, 2), 32, 10, (ct_linear_opts){0})));
  assert_non_null(t->model);
  t->optim = make(ct_module_params(t->model));
  assert_non_null(t->optim);
  assert_ok(ct_dataset_digits(&t->train, &t->test));
  t->loader = ct_loader_new(&t->train, (ct_loader_opts){.batch = BATCH, .shuffle = true});
  assert_non_null(t->loader);
  assert_ok(ct_scope_end(s));
}

static void end(trainer *t) {
  ct_loader_free(&t->loader);
  ct_dataset_free(&t->train);
  ct_dataset_free(&t->test);
  ct_optim_free(&t->optim);
  ct_module_free(&t->model);
}

/* One step on the next batch; the last batch of an epoch is smaller. */
static double step(trainer *t) {
  ct_scope s = ct_scope_begin();
  ct_tensor *x, *labels, *g[4], *norm;
  const ct_list params = ct_optim_params(t->optim);
  if (!ct_loader_next(t->loader, &x, &labels)) ct_loader_next(t->loader, &x, &labels);
  double loss = NAN;
  assert_ok(ct_value_and_grad(ct_cross_entropy(ct_forward(t->model, x), labels), params, &loss, g));
  assert_ok(ct_clip_grad_norm((ct_list){params.n, g}, 5, g, &norm));
  assert_ok(ct_optim_step(t->optim, (ct_list){params.n, g}));
  assert_ok(ct_scope_end(s));
  return loss;
}

/* Accuracy without recording. */
static void evaluate(trainer *t) {
  ct_scope s = ct_scope_begin_with(CT_NO_RECORD);
  double accuracy;
  assert_ok(ct_module_train(t->model, false));
  ct_tensor *x = ct_scale(ct_cast(ct_flatten(t->test.x, 1), CT_F32), 1 / 255.0);
  assert_ok(ct_accuracy(ct_forward(t->model, x), t->test.labels, &accuracy, NULL));
  assert_ok(ct_module_train(t->model, true));
  assert_ok(ct_scope_end(s));
}

static void test_steps_allocate_nothing(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  make_optim *const optims[] = {plain, momentum, adam, adamw};
  for (int k = 0; k < 4; k++) {
    trainer t;
    begin(&t, optims[k]);
    double first = step(&t), last = 0;
    for (int i = 0; i < WARM; i++) last = step(&t);
    evaluate(&t);
    long calls = heap_calls();
    for (int i = 0; i < COUNTED; i++) last = step(&t);
    evaluate(&t);
    assert_int_equal(heap_calls() - calls, 0);
    assert_true(last < first);
    end(&t);
  }
}

/* Second derivatives, too. */
static void test_hessian_vector_products_allocate_nothing(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  ct_scope all = ct_scope_begin();
  ct_tensor *w = ct_variable(ct_randn(ct_key(1), CT_F32, CT_SHAPE(16, 8)));
  ct_tensor *x = ct_randn(ct_key(2), CT_F32, CT_SHAPE(4, 16)),
            *v = ct_ones(CT_F32, CT_SHAPE(16, 8));
  long calls = 0;
  for (int i = 0; i < COUNTED; i++) {
    if (i == COUNTED / 2) calls = heap_calls();
    ct_scope s = ct_scope_begin();
    ct_tensor *g;
    assert_ok(ct_grad(ct_sum(ct_tanh(ct_matmul(x, w)), CT_ALL, false), CT_LIST(w), &g));
    assert_true(ct_has_value(ct_jvp(g, w, v)));
    assert_ok(ct_scope_end(s));
  }
  assert_int_equal(heap_calls() - calls, 0);
  ct_release(&w);
  assert_ok(ct_scope_end(all));
}

/* A function that is made once and run often. */
static void test_runs_allocate_nothing(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  ct_scope all = ct_scope_begin();
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(8, 8)), *one = ct_ones(CT_F32, CT_SHAPE(8, 8)), *y;
  ct_function *f = ct_function_new(CT_LIST(x), CT_LIST(ct_softmax(ct_matmul(x, ct_exp(x)), 1)));
  assert_non_null(f);
  long calls = 0;
  for (int i = 0; i < COUNTED; i++) {
    if (i == COUNTED / 2) calls = heap_calls();
    ct_scope s = ct_scope_begin();
    assert_ok(ct_function_run(f, CT_LIST(one), &y));
    assert_ok(ct_scope_end(s));
  }
  assert_int_equal(heap_calls() - calls, 0);
  ct_function_release(&f);
  assert_ok(ct_scope_end(all));
}

/* The body of a compiled step, gradients clipped. */
static void compiled_body(ct_list in, ct_tensor **out, void *payload) {
  trainer *t = payload;
  ct_tensor *g[4];
  out[0] = ct_cross_entropy(ct_forward(t->model, in.at[0]), in.at[1]);
  ct_grad(out[0], ct_optim_params(t->optim), g);
  ct_clip_grad_norm((ct_list){4, g}, 5, g, NULL);
  ct_optim_step(t->optim, (ct_list){4, g});
}

static double compiled_step(trainer *t, ct_jit *j, double rate) {
  ct_scope s = ct_scope_begin();
  ct_tensor *x, *labels, *value;
  double loss = NAN;
  if (!ct_loader_next(t->loader, &x, &labels)) ct_loader_next(t->loader, &x, &labels);
  assert_ok(ct_optim_set_lr(t->optim, rate));
  assert_ok(ct_jit_run(j, CT_LIST(x, labels), &value));
  assert_ok(ct_item(value, &loss));
  assert_ok(ct_scope_end(s));
  return loss;
}

/* Once both sizes of batches have been seen. */
static void test_compiled_steps_allocate_nothing(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  make_optim *const optims[] = {plain, momentum, adam, adamw};
  for (int k = 0; k < 8; k++) {
    trainer t;
    begin(&t, optims[k % 4]);
    const double rate = ct_optim_lr(t.optim);
    ct_jit *j = ct_jit_new(compiled_body, 1, &t, k < 4 ? CT_EXACT : (ct_compile_opts){0});
    assert_non_null(j);
    double first = compiled_step(&t, j, rate), last = 0;
    for (int i = 0; i < 2 * WARM; i++) last = compiled_step(&t, j, rate);
    assert_int_equal(ct_jit_programs(j), 2);
    long calls = heap_calls(), live = heap_live();
    for (int i = 0; i < COUNTED; i++) last = compiled_step(&t, j, rate);
    assert_int_equal(heap_calls() - calls, 0);
    assert_int_equal(heap_live() - live, 0);
    assert_int_equal(ct_jit_programs(j), 2);
    assert_true(last < first);
    ct_jit_free(&j);
    end(&t);
  }
}

static void test_memory_stays_flat(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  trainer t;
  begin(&t, adam);
  for (int i = 0; i < WARM; i++) step(&t);
  long live = heap_live();
  for (int i = 0; i < LONG; i++) step(&t);
  assert_int_equal(heap_live() - live, 0);
  ct_cache_limit(0); /* and without the lists that reuse it */
  step(&t);
  live = heap_live();
  for (int i = 0; i < COUNTED; i++) {
    step(&t);
    assert_int_equal(heap_live() - live, 0);
  }
  ct_cache_limit((size_t)512 << 20);
  end(&t);
}

/* Everything that was taken is given back. */
static void test_nothing_stays_behind(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  long live = 0;
  for (int round = 0; round < 3; round++) {
    trainer t;
    begin(&t, momentum);
    for (int i = 0; i < WARM; i++) step(&t);
    end(&t);
    ct_cache_flush();
    if (round > 0) assert_int_equal(heap_live() - live, 0);
    live = heap_live();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_steps_allocate_nothing),
      cmocka_unit_test(test_hessian_vector_products_allocate_nothing),
      cmocka_unit_test(test_runs_allocate_nothing),
      cmocka_unit_test(test_compiled_steps_allocate_nothing),
      cmocka_unit_test(test_memory_stays_flat),
      cmocka_unit_test(test_nothing_stays_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
