/* Who owns a tensor, and for how long: scopes, kept tensors, free lists, threads. */
#include "testing.h"

#include "failing_malloc.h"

#include <cotangent.h>
#include <pthread.h>

enum { THREADS = 4, CHAIN = 1000000 };

static int released;

static void count_release(void *payload) {
  (void)payload;
  released++;
}

/* A tensor that counts its end. */
static ct_tensor *watched(void) {
  static float memory[4];
  return ct_wrap(CT_F32, CT_SHAPE(4), memory, (ct_wrap_opts){.release = count_release});
}

static int fresh(void **state) {
  (void)state;
  released = 0;
  ct_error_clear();
  return 0;
}

/* ---- scopes ---------------------------------------------------------------------------------- */

static void test_a_scope_owns_what_is_made_in_it(void **state) {
  (void)state;
  ct_scope outer = ct_scope_begin();
  ct_tensor *a = watched();
  ct_scope inner = ct_scope_begin();
  ct_tensor *b = watched();
  assert_int_equal(ct_size(b), 4);
  assert_ok(ct_scope_end(inner));
  assert_int_equal(released, 1);
  assert_int_equal(ct_size(a), 4);
  assert_ok(ct_scope_end(outer));
  assert_int_equal(released, 2);
}

static void test_views_hold_their_memory(void **state) {
  (void)state;
  ct_scope outer = ct_scope_begin();
  ct_scope inner = ct_scope_begin();
  ct_tensor *view = ct_slice(watched(), 0, 1, 3, 1);
  view = ct_scope_return(inner, view);
  assert_int_equal(released, 0);
  assert_int_equal(ct_size(view), 2);
  assert_ok(ct_scope_end(outer));
  assert_int_equal(released, 1);
}

/* The output owns its call, the call its inputs: also when nobody else does any more. */
static void test_recipes_hold_their_inputs(void **state) {
  (void)state;
  ct_scope outer = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_ones(CT_F32, CT_SHAPE(4))), *g;
  ct_scope inner = ct_scope_begin();
  ct_tensor *y = ct_scope_return(inner, ct_sum(ct_mul(x, watched()), CT_ALL, false));
  assert_int_equal(released, 0);
  assert_ok(ct_grad(y, CT_LIST(x), &g));
  ct_release(&x); /* the recipe keeps the variable, too */
  assert_null(x);
  assert_int_equal(ct_size(g), 4);
  assert_ok(ct_scope_end(outer));
  assert_int_equal(released, 1);
}

static void test_a_mark_closes_scopes_left_open(void **state) {
  (void)state;
  ct_scope outer = ct_scope_begin(), marks[5];
  for (int i = 0; i < 5; i++) {
    marks[i] = ct_scope_begin();
    watched();
  }
  assert_ok(ct_scope_end(marks[3]));
  assert_int_equal(released, 2);
  assert_fails(ct_scope_end(marks[4]), CT_ESCOPE, "ended already");
  assert_fails(ct_scope_end(marks[3]), CT_ESCOPE, "ended already");
  ct_scope again = ct_scope_begin(); /* the same depth, another scope */
  assert_fails(ct_scope_end(marks[3]), CT_ESCOPE, "ended already");
  assert_ok(ct_scope_end(again));
  assert_ok(ct_scope_end(outer));
  assert_int_equal(released, 5);
  assert_fails(ct_scope_end(marks[0]), CT_ESCOPE, "ended already");
}

static void test_return_hands_to_the_parent(void **state) {
  (void)state;
  ct_scope outer = ct_scope_begin();
  ct_tensor *mine = watched();
  ct_scope middle = ct_scope_begin();
  ct_scope_begin(); /* left open */
  ct_tensor *t = watched();
  assert_ptr_equal(ct_scope_return(middle, t), t);
  assert_int_equal(released, 0);
  ct_scope inner = ct_scope_begin();
  assert_ptr_equal(ct_scope_return(inner, mine), mine); /* it was the parent's all the time */
  assert_int_equal(released, 0);
  ct_scope s = ct_scope_begin();
  ct_tensor *kept = ct_keep(watched());
  assert_ok(ct_scope_end(s));
  s = ct_scope_begin();
  kept = ct_scope_return(s, kept); /* kept and the parent's: both count */
  assert_ok(ct_scope_end(outer));
  assert_int_equal(released, 2);
  ct_release(&kept);
  assert_int_equal(released, 3);
}

static void test_keep_and_release(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *t = ct_keep(ct_keep(watched())), *same = t;
  assert_ok(ct_scope_end(s));
  ct_release(&t);
  assert_null(t);
  assert_int_equal(released, 0);
  ct_release(&same);
  assert_int_equal(released, 1);
}

static void test_recording_is_the_scope_s(void **state) {
  (void)state;
  ct_scope outer = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_ones(CT_F32, CT_SHAPE(2)));
  ct_scope off = ct_scope_begin_with(CT_NO_RECORD), inside = ct_scope_begin();
  ct_tensor *y = ct_exp(x);
  assert_false(ct_is_recorded(y));
  y = ct_scope_return(inside, y);
  assert_false(ct_is_recorded(ct_exp(x)));
  y = ct_scope_return(off, y);
  assert_nil(ct_vjp(y, x, ct_ones(CT_F32, CT_SHAPE(2))), CT_ERECORD, "recording was off");
  assert_true(ct_is_recorded(ct_exp(x)));
  ct_release(&x);
  assert_ok(ct_scope_end(outer));
}

/* ---- free lists ------------------------------------------------------------------------------ */

static void test_freed_memory_is_reused(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  ct_cache_flush();
  ct_scope s = ct_scope_begin();
  ct_empty(CT_F32, CT_SHAPE(1000));
  assert_ok(ct_scope_end(s));
  long calls = heap_calls();
  for (int i = 0; i < 10; i++) {
    s = ct_scope_begin();
    ct_empty(CT_F32, CT_SHAPE(1000 - i)); /* the same class of sizes */
    assert_ok(ct_scope_end(s));
  }
  assert_int_equal(heap_calls() - calls, 0);
  long live = heap_live();
  ct_cache_flush();
  assert_int_equal(live - heap_live(), 3); /* the scope, the node, the buffer */
  calls = heap_calls();
  s = ct_scope_begin();
  ct_empty(CT_F32, CT_SHAPE(1000));
  assert_ok(ct_scope_end(s));
  assert_int_equal(heap_calls() - calls, 3);
}

static void test_lists_have_a_limit(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  ct_scope s = ct_scope_begin();
  assert_ok(ct_scope_end(s));
  ct_cache_flush();
  long live = heap_live();
  ct_cache_limit(10000);
  s = ct_scope_begin();
  for (int i = 0; i < 100; i++) ct_empty(CT_U8, CT_SHAPE(1000 + 100 * i));
  assert_ok(ct_scope_end(s));
  long listed = heap_live() - live;
  assert_true(listed > 0 && listed < 50);
  ct_cache_limit(100); /* what is above the new limit goes at once */
  assert_true(heap_live() - live <= 1);
  ct_cache_limit(0);
  assert_int_equal(heap_live(), live);
  s = ct_scope_begin();
  ct_empty(CT_U8, CT_SHAPE(10));
  assert_ok(ct_scope_end(s));
  assert_int_equal(heap_live(), live);
  ct_cache_limit((size_t)512 << 20);
}

/* Blocks of every size are as large as they say, and do not overlap while they live. */
static void test_blocks_of_all_sizes(void **state) {
  (void)state;
  for (int round = 0; round < 2; round++) {
    ct_scope s = ct_scope_begin();
    ct_tensor *t[400];
    for (int i = 0; i < 400; i++) t[i] = ct_full(CT_U8, CT_SHAPE(i * i / 3), i % 251);
    for (int i = 0; i < 400; i++) {
      const uint8_t *p = ct_data(t[i]);
      for (int64_t k = 0; k < ct_size(t[i]); k++) assert_int_equal(p[k], i % 251);
      assert_int_equal((uintptr_t)p % 64, 0);
    }
    assert_ok(ct_scope_end(s));
  }
}

/* ---- long recipes ---------------------------------------------------------------------------- */

static ct_tensor *chain(ct_tensor *x, int n) {
  ct_tensor *y = x;
  for (int i = 0; i < n; i++) y = ct_shift(y, 1);
  return y;
}

static void test_a_million_operations(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_scalar(CT_F64, 0.5)), *g;
  ct_tensor *y = chain(x, CHAIN);
  double value;
  assert_ok(ct_item(y, &value));
  assert_true(value == 0.5 + CHAIN);
  assert_ok(ct_grad(y, CT_LIST(x), &g));
  assert_ok(ct_item(g, &value));
  assert_true(value == 1);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
  ct_cache_flush();
}

/* ---- threads --------------------------------------------------------------------------------- */

typedef void *thread_main(void *payload);

static void run_threads(int n, thread_main *main_of, void **payload) {
  pthread_t thread[THREADS];
  assert_true(n <= THREADS);
  for (int i = 0; i < n; i++)
    assert_int_equal(pthread_create(&thread[i], NULL, main_of, payload ? payload[i] : NULL), 0);
  for (int i = 0; i < n; i++) assert_int_equal(pthread_join(thread[i], NULL), 0);
}

/* Leaves scopes open and tensors without a scope behind. */
static void *untidy(void *payload) {
  (void)payload;
  for (int i = 0; i < 20; i++) {
    ct_zeros(CT_F32, CT_SHAPE(100, 10));
    ct_scope_begin();
    ct_exp(ct_ones(CT_F32, CT_SHAPE(i, 7)));
  }
  ct_error_set(CT_ECHECK, "nobody reads it");
  return NULL;
}

static void test_the_end_of_a_thread_gives_all_back(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  run_threads(1, untidy, NULL); /* what the system keeps for later threads */
  long live = heap_live_everywhere();
  for (int i = 0; i < 5; i++) run_threads(1, untidy, NULL);
  assert_int_equal(heap_live_everywhere(), live);
  assert_int_equal(ct_error_code(), CT_OK);
}

static void *make_and_keep(void *payload) {
  ct_tensor **out = payload;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_scalar(CT_F64, 2));
  *out = ct_keep(chain(x, 50000));
  ct_release(&x);
  ct_scope_end(s);
  return NULL;
}

static void *release_it(void *payload) {
  ct_release(payload);
  return NULL;
}

static void test_kept_tensors_are_handed_over(void **state) {
  (void)state;
  ct_tensor *t[THREADS];
  void *places[THREADS];
  for (int i = 0; i < THREADS; i++) places[i] = &t[i];
  run_threads(THREADS, make_and_keep, places);
  for (int i = 0; i < THREADS; i++) {
    double value;
    assert_ok(ct_item(t[i], &value));
    assert_true(value == 50002);
  }
  run_threads(THREADS, release_it, places); /* long recipes, released where nothing was made */
  for (int i = 0; i < THREADS; i++) assert_null(t[i]);
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_scalar(CT_F64, 2)), *y = ct_keep(chain(x, CHAIN));
  assert_ok(ct_scope_end(s));
  ct_release(&x);
  run_threads(1, release_it, (void *[]){&y});
  assert_null(y);
}

typedef struct shared {
  ct_module *model;
  ct_tensor *x, *labels;
  double loss[THREADS], sum[THREADS];
} shared;

typedef struct share {
  shared *all;
  int index;
} share;

static ct_status learn(const shared *all, double *loss, double *sum) {
  ct_list params = ct_module_params(all->model);
  ct_tensor *g[4], *total = NULL;
  ct_status status = ct_value_and_grad(
      ct_cross_entropy(ct_forward(all->model, all->x), all->labels), params, loss, g);
  if (status != CT_OK) return status;
  total = ct_sum(ct_square(g[0]), CT_ALL, false);
  for (int i = 1; i < params.n; i++) total = ct_add(total, ct_sum(ct_square(g[i]), CT_ALL, false));
  return ct_item(total, sum);
}

static void *learner(void *payload) {
  const share *mine = payload;
  for (int i = 0; i < 20; i++) {
    ct_scope s = ct_scope_begin();
    if (learn(mine->all, &mine->all->loss[mine->index], &mine->all->sum[mine->index]) != CT_OK)
      mine->all->loss[mine->index] = NAN;
    ct_scope_end(s);
  }
  return NULL;
}

/* Many threads read the same variables; each differentiates its own recipe. */
static void test_threads_share_variables(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *key = ct_key(9);
  shared all = {.x = ct_keep(ct_randn(key, CT_F32, CT_SHAPE(16, 12))),
                .labels = ct_keep(ct_zeros(CT_I32, CT_SHAPE(16)))};
  all.model =
      ct_nn_sequential(CT_MODULES(ct_nn_linear(key, 12, 8, (ct_linear_opts){0}), ct_nn_tanh(),
                                  ct_nn_linear(key, 8, 3, (ct_linear_opts){0})));
  assert_non_null(all.model);
  assert_ok(ct_module_train(all.model, false));
  double loss, sum;
  assert_ok(learn(&all, &loss, &sum)); /* also makes the list of parameters */
  share mine[THREADS];
  void *places[THREADS];
  for (int i = 0; i < THREADS; i++) {
    mine[i] = (share){&all, i};
    places[i] = &mine[i];
  }
  run_threads(THREADS, learner, places);
  for (int i = 0; i < THREADS; i++) {
    assert_true(all.loss[i] == loss);
    assert_true(all.sum[i] == sum);
  }
  ct_module_free(&all.model);
  ct_release(&all.x);
  ct_release(&all.labels);
  assert_ok(ct_scope_end(s));
}

static void *count_up_and_down(void *payload) {
  ct_tensor *t = payload;
  for (int i = 0; i < 2000; i++) {
    ct_tensor *mine = ct_keep(t), *view = ct_keep(ct_reshape(t, CT_SHAPE(2, 2)));
    ct_release(&mine);
    ct_release(&view);
    if (i % 100 == 0) ct_scope_end(ct_scope_begin());
  }
  return NULL;
}

static void test_counts_are_atomic(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *t = ct_keep(watched());
  void *places[THREADS] = {t, t, t, t};
  run_threads(THREADS, count_up_and_down, places);
  assert_ok(ct_scope_end(s));
  assert_int_equal(released, 0);
  ct_release(&t);
  assert_int_equal(released, 1);
}

static void *fail_quietly(void *payload) {
  ct_status *code = payload;
  ct_item(NULL, NULL);
  *code = ct_error_code();
  return NULL;
}

static void test_errors_belong_to_a_thread(void **state) {
  (void)state;
  ct_status code = CT_OK;
  ct_error_set(CT_EIO, "mine");
  run_threads(1, fail_quietly, (void *[]){&code});
  assert_int_equal(code, CT_EARG);
  assert_string_equal(ct_error_message(), "mine");
  ct_error_clear();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_a_scope_owns_what_is_made_in_it, fresh),
      cmocka_unit_test_setup(test_views_hold_their_memory, fresh),
      cmocka_unit_test_setup(test_recipes_hold_their_inputs, fresh),
      cmocka_unit_test_setup(test_a_mark_closes_scopes_left_open, fresh),
      cmocka_unit_test_setup(test_return_hands_to_the_parent, fresh),
      cmocka_unit_test_setup(test_keep_and_release, fresh),
      cmocka_unit_test_setup(test_recording_is_the_scope_s, fresh),
      cmocka_unit_test_setup(test_freed_memory_is_reused, fresh),
      cmocka_unit_test_setup(test_lists_have_a_limit, fresh),
      cmocka_unit_test_setup(test_blocks_of_all_sizes, fresh),
      cmocka_unit_test_setup(test_a_million_operations, fresh),
      cmocka_unit_test_setup(test_the_end_of_a_thread_gives_all_back, fresh),
      cmocka_unit_test_setup(test_kept_tensors_are_handed_over, fresh),
      cmocka_unit_test_setup(test_threads_share_variables, fresh),
      cmocka_unit_test_setup(test_counts_are_atomic, fresh),
      cmocka_unit_test_setup(test_errors_belong_to_a_thread, fresh),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
