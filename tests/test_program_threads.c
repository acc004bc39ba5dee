/* test_program_threads.c - the same weights for every number of threads after an epoch, eager and
 * compiled; one program in many threads; a program with updates in one thread at a time. */
#include "step_trainer.h"

#include "autograd/compile/program.h"
#include "tensor/pool.h"

#include <pthread.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { EPOCH = 30 }; /* batches: what is slow there is not all of MNIST */
#else
enum { EPOCH = 1000 };
#endif

static const int numbers[] = {1, 2, 3, 8};

static int restore_pool(void **state) {
  ct__piece_weight = 1 << 16;
  return ct_set_threads(2) != CT_OK || close_scope(state);
}

/* ---- an epoch -------------------------------------------------------------------------------- */

typedef enum how { EAGER, EXACT, FAST, HOWS } how;

static void body(ct_list in, ct_tensor **out, void *payload) {
  trainer *t = payload;
  out[0] = loss_of(t, in.at[0], in.at[1]);
  ct_optim_minimize(t->optim, out[0], NULL);
}

static void step_on(trainer *t, ct_jit *j, ct_tensor *x, ct_tensor *labels) {
  ct_scope s = ct_scope_begin();
  ct_tensor *loss;
  if (j)
    assert_ok(ct_jit_run(j, CT_LIST(x, labels), &loss));
  else
    assert_ok(ct_optim_minimize(t->optim, loss_of(t, x, labels), NULL));
  assert_ok(ct_scope_end(s));
}

static void train(trainer *t, ct_loader *loader, how h) {
  ct_jit *j = h == EAGER ? NULL : ct_jit_new(body, 1, t, (ct_compile_opts){.exact = h == EXACT});
  ct_tensor *x, *labels;
  for (int k = 0; k < EPOCH && ct_loader_next(loader, &x, &labels); k++) step_on(t, j, x, labels);
  ct_jit_free(&j);
}

/* in - hidden - 10 with Adam. */
static trainer trainer_on(int64_t in, int64_t hidden) {
  ct_scope s = ct_scope_begin();
  trainer t = {.dtype = CT_F32};
  ct_tensor *key = ct_key(4);
  t.model = ct_nn_sequential(
      CT_MODULES(ct_nn_linear(ct_key_fold(key, 0), in, hidden, (ct_linear_opts){0}), ct_nn_relu(),
                 ct_nn_linear(ct_key_fold(key, 1), hidden, 10, (ct_linear_opts){0})));
  assert_non_null(t.model);
  t.optim = ct_adam(ct_module_params(t.model), (ct_adam_opts){0});
  assert_non_null(t.optim);
  assert_ok(ct_scope_end(s));
  return t;
}

/* Weights and state after an epoch with so many threads. */
static ct_archive *after_epoch(const ct_dataset *d, int64_t hidden, how h, int threads) {
  assert_ok(ct_set_threads(threads));
  trainer t = trainer_on(ct_dim(d->x, 1) * ct_dim(d->x, 2), hidden);
  ct_loader *loader = ct_loader_new(d, (ct_loader_opts){.batch = 128, .shuffle = true});
  assert_non_null(loader);
  train(&t, loader, h);
  const int64_t batches = ct_loader_batches(loader);
  assert_int_equal(ct_optim_steps(t.optim), batches < EPOCH ? batches : EPOCH);
  ct_archive *a = all_of(&t);
  ct_loader_free(&loader);
  trainer_free(&t);
  return a;
}

static void compare_epochs(const ct_dataset *d, int64_t hidden) {
  ct_archive *eager = NULL;
  for (how h = EAGER; h < HOWS; h++) {
    ct_archive *one = NULL;
    for (int i = 0; i < CT__COUNT(numbers); i++) {
      ct_archive *a = after_epoch(d, hidden, h, numbers[i]);
      if (h == EXACT) assert_same_archives(a, eager);
      if (one) assert_same_archives(a, one);
      if (one)
        ct_archive_free(&a);
      else
        one = a;
    }
    if (h == EAGER)
      eager = one;
    else
      ct_archive_free(&one);
  }
  ct_archive_free(&eager);
}

/* Cut finely, as these are small. */
static void an_epoch_of_digits(void **state) {
  (void)state;
  ct_dataset train_set, test_set;
  assert_ok(ct_dataset_digits(&train_set, &test_set));
  ct__piece_weight = 1 << 10;
  compare_epochs(&train_set, 100);
  ct_dataset_free(&train_set);
  ct_dataset_free(&test_set);
}

static void an_epoch_of_mnist(void **state) {
  (void)state;
  const char *dir = getenv("CT_MNIST");
  ct_dataset train_set, test_set;
  if (!dir || ct_dataset_mnist(&train_set, &test_set, dir) != CT_OK) {
    ct_error_clear();
    print_message("MNIST is not there: set CT_MNIST to its folder\n");
    skip();
  }
  compare_epochs(&train_set, 48);
  ct_dataset_free(&train_set);
  ct_dataset_free(&test_set);
}

/* ---- one program, many threads --------------------------------------------------------------- */

enum { HOSTS = 8, ROUNDS = 50 };

typedef struct shared {
  ct_program *p;
  float want[ROUNDS][2];
} shared;

/* Two numbers that depend on all: the loss, and the sum of a gradient. */
static ct_status two_numbers(ct_program *p, int round, float found[2]) {
  ct_scope s = ct_scope_begin();
  ct_tensor *x, *labels, *out[2];
  batch(CT_F32, 5 * round, &x, &labels);
  ct_status status = ct_run(p, CT_LIST(x, labels), out);
  for (int i = 0; i < 2 && status == CT_OK; i++)
    status = ct_copy_out(out[i], &found[i], sizeof found[i]);
  ct_status end = ct_scope_end(s);
  return status == CT_OK ? end : status;
}

static void *run_rounds(void *payload) {
  const shared *s = payload;
  for (int round = 0; round < ROUNDS; round++) {
    float found[2];
    if (two_numbers(s->p, round, found) != CT_OK ||
        memcmp(found, s->want[round], sizeof found) != 0)
      return payload;
  }
  return NULL;
}

static void many_threads_run_one_program(void **state) {
  (void)state;
  static shared s;
  pthread_t host[HOSTS];
  trainer t = trainer_on(IN, 20);
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(BATCH, IN)), *g[4];
  ct_tensor *labels = ct_placeholder(CT_I32, CT_SHAPE(BATCH)), *loss = loss_of(&t, x, labels);
  assert_ok(ct_grad(loss, ct_module_params(t.model), g));
  s.p = ct_compile(CT_LIST(x, labels), CT_LIST(loss, ct_sum(ct_square(g[0]), CT_ALL, false)),
                   (ct_compile_opts){0});
  assert_non_null(s.p);
  for (int round = 0; round < ROUNDS; round++) assert_ok(two_numbers(s.p, round, s.want[round]));
  for (int i = 0; i < HOSTS; i++)
    assert_int_equal(pthread_create(&host[i], NULL, run_rounds, &s), 0);
  for (int i = 0; i < HOSTS; i++) {
    void *wrong;
    assert_int_equal(pthread_join(host[i], &wrong), 0);
    assert_null(wrong);
  }
  ct_program_release(&s.p);
  trainer_free(&t);
}

/* ---- a program with updates ------------------------------------------------------------------ */

typedef struct intruder {
  ct_program *p;
  ct_status status;
  bool nil;
  int tries;
} intruder;

static void *intrude(void *payload) {
  intruder *i = payload;
  ct_scope s = ct_scope_begin();
  ct_tensor *x, *labels, *loss = NULL;
  batch(CT_F32, 0, &x, &labels);
  i->status = ct_run(i->p, CT_LIST(x, labels), &loss);
  i->nil = ct_is_nil(loss);
  i->tries++;
  ct_error_clear();
  ct_scope_end(s);
  return NULL;
}

/* Between any two instructions another thread tries, and this one tries again. */
static void disturb(void *payload, int instr) {
  (void)instr;
  intruder *i = payload;
  pthread_t other;
  assert_int_equal(pthread_create(&other, NULL, intrude, i), 0);
  assert_int_equal(pthread_join(other, NULL), 0);
  assert_int_equal(i->status, CT_EARG);
  assert_true(i->nil);
  intrude(i);
  assert_int_equal(i->status, CT_EARG);
}

static void updates_are_for_one_thread_at_a_time(void **state) {
  (void)state;
  for (int h = 0; h < 2; h++) {
    trainer a = trainer_new(adam, CT_F32), b = trainer_new(adam, CT_F32);
    compile(&a, (ct_compile_opts){.exact = h});
    compile(&b, (ct_compile_opts){.exact = h});
    for (int k = 0; k < 4; k++) {
      intruder i = {.p = b.program[0]};
      ct_tensor *x, *labels, *loss;
      double want = compiled(&a, k), got;
      batch(CT_F32, k, &x, &labels);
      assert_ok(ct__run_with(b.program[0], CT_LIST(x, labels), &loss, disturb, &i));
      assert_ok(ct_item(loss, &got));
      assert_true(got == want && i.tries > 4);
      assert_same(&a, &b);
    }
    intruder last = {.p = b.program[0]}; /* nobody is left behind */
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, intrude, &last), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_int_equal(last.status, CT_OK);
    compiled(&a, 0);
    assert_same(&a, &b);
    trainer_free(&a);
    trainer_free(&b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(an_epoch_of_digits, open_scope, restore_pool),
      cmocka_unit_test_setup_teardown(an_epoch_of_mnist, open_scope, restore_pool),
      IN_SCOPE(many_threads_run_one_program),
      IN_SCOPE(updates_are_for_one_thread_at_a_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
