/* step_trainer.h - two trainers that should agree, one with eager steps and one with compiled ones.
 */
#ifndef COTANGENT_STEP_TRAINER_H
#define COTANGENT_STEP_TRAINER_H

#include "testing.h"

#include <cotangent.h>

enum { STEPS = 100, IN = 6, HIDDEN = 8, CLASSES = 4, BATCH = 16, LAST = 7 };

typedef ct_optim *make_optim(ct_list params);

/* Several weights in groups of their own, unless the optimizer is made without. */
typedef struct trainer {
  ct_dtype dtype;
  ct_module *model;
  ct_optim *optim;
  ct_program *program[2]; /* of whole batches, and of the last one */
} trainer;

static inline ct_optim *sgd(ct_list p) { return ct_sgd(p, (ct_sgd_opts){.lr = 0.1}); }
static inline ct_optim *sgd_decay(ct_list p) {
  return ct_sgd(p, (ct_sgd_opts){.lr = 0.1, .weight_decay = 0.02});
}
static inline ct_optim *momentum(ct_list p) {
  return ct_sgd(p, (ct_sgd_opts){.lr = 0.05, .momentum = 0.9});
}
static inline ct_optim *nesterov(ct_list p) {
  return ct_sgd(p,
                (ct_sgd_opts){.lr = 0.05, .momentum = 0.8, .weight_decay = 0.01, .nesterov = true});
}
static inline ct_optim *adam(ct_list p) { return ct_adam(p, (ct_adam_opts){.lr = 0.01}); }
static inline ct_optim *adam_decay(ct_list p) {
  return ct_adam(p, (ct_adam_opts){.lr = 0.01, .weight_decay = 0.01});
}
static inline ct_optim *adamw(ct_list p) { return ct_adamw(p, (ct_adam_opts){.lr = 0.01}); }

static make_optim *const optims[] = {sgd, sgd_decay, momentum, nesterov, adam, adam_decay, adamw};
enum { OPTIMS = sizeof optims / sizeof *optims };

static inline trainer trainer_new(make_optim *make, ct_dtype dtype) {
  trainer t = {.dtype = dtype};
  ct_scope s = ct_scope_begin();
  ct_tensor *key = ct_key(3);
  const ct_linear_opts opts = {.dtype = dtype};
  t.model = ct_nn_sequential(CT_MODULES(ct_nn_linear(ct_key_fold(key, 0), IN, HIDDEN, opts),
                                        ct_nn_tanh(), ct_nn_dropout(ct_key_fold(key, 1), 0.25),
                                        ct_nn_linear(ct_key_fold(key, 2), HIDDEN, CLASSES, opts)));
  assert_non_null(t.model);
  const ct_list p = ct_module_params(t.model);
  t.optim = make((ct_list){1, p.at});
  assert_non_null(t.optim);
  assert_ok(ct_optim_add_group(t.optim, CT_LIST(p.at[1], p.at[3]),
                               (ct_group_opts){.lr_scale = 2, .no_decay = true}));
  assert_ok(ct_optim_add_group(t.optim, CT_LIST(p.at[2]),
                               (ct_group_opts){.lr_scale = 0.7, .decay_scale = 3}));
  assert_ok(ct_scope_end(s));
  return t;
}

static inline void trainer_free(trainer *t) {
  for (int i = 0; i < 2; i++) ct_program_release(&t->program[i]);
  ct_optim_free(&t->optim);
  ct_module_free(&t->model);
}

static inline ct_tensor *loss_of(trainer *t, ct_tensor *x, ct_tensor *labels) {
  return ct_cross_entropy(ct_forward(t->model, x), labels);
}

static inline void compile(trainer *t, ct_compile_opts opts) {
  opts.verify = true;
  for (int i = 0; i < 2; i++) {
    ct_scope s = ct_scope_begin();
    const int64_t n = i ? LAST : BATCH;
    ct_tensor *x = ct_placeholder(t->dtype, CT_SHAPE(n, IN));
    ct_tensor *labels = ct_placeholder(CT_I32, CT_SHAPE(n));
    t->program[i] = ct_compile_step(loss_of(t, x, labels), t->optim, CT_LIST(x, labels), opts);
    if (!t->program[i]) fail_msg("%s", ct_error_message());
    assert_ok(ct_scope_end(s));
  }
}

/* Batch k: the last of five is smaller. */
static inline void batch(ct_dtype dtype, int k, ct_tensor **x, ct_tensor **labels) {
  const int64_t n = k % 5 == 4 ? LAST : BATCH;
  ct_tensor *key = ct_key_fold(ct_key(11), k);
  *x = ct_cast(ct_randn(key, CT_F32, CT_SHAPE(n, IN)), dtype);
  *labels = ct_argmax(ct_slice(*x, 1, 0, CLASSES, 1), 1, false);
}

static inline double eager(trainer *t, int k) {
  ct_scope s = ct_scope_begin();
  ct_tensor *x, *labels;
  double loss = NAN;
  batch(t->dtype, k, &x, &labels);
  assert_ok(ct_optim_minimize(t->optim, loss_of(t, x, labels), &loss));
  assert_ok(ct_scope_end(s));
  return loss;
}

static inline double compiled(trainer *t, int k) {
  ct_scope s = ct_scope_begin();
  ct_tensor *x, *labels, *value;
  double loss = NAN;
  batch(t->dtype, k, &x, &labels);
  assert_ok(ct_run(t->program[k % 5 == 4], CT_LIST(x, labels), &value));
  assert_ok(ct_item(value, &loss));
  assert_ok(ct_scope_end(s));
  return loss;
}

/* Weights, keys, states, count and rate. */
static inline ct_archive *all_of(const trainer *t) {
  ct_archive *a = ct_archive_new();
  assert_non_null(a);
  assert_ok(ct_module_store(t->model, a));
  assert_ok(ct_optim_store(t->optim, a));
  return a;
}

static inline void assert_same_archives(const ct_archive *a, const ct_archive *b) {
  ct_scope s = ct_scope_begin();
  assert_int_equal(ct_archive_count(a), ct_archive_count(b));
  for (int i = 0; i < ct_archive_count(a); i++) {
    const char *name = ct_archive_name(a, i);
    const ct_tensor *p = ct_archive_get(a, name), *q = ct_archive_get(b, name);
    const size_t bytes = (size_t)ct_size(p) * ct_dtype_size(ct_dtype_of(p));
    if (memcmp(ct_data(p), ct_data(q), bytes) != 0) fail_msg("%s differs", name);
  }
  assert_ok(ct_scope_end(s));
}

static inline void assert_is(const trainer *t, const ct_archive *want) {
  ct_archive *now = all_of(t);
  assert_same_archives(now, want);
  ct_archive_free(&now);
}

static inline void assert_same(const trainer *a, const trainer *b) {
  ct_archive *want = all_of(a);
  assert_is(b, want);
  ct_archive_free(&want);
}

static inline void restore(trainer *t, const ct_archive *a) {
  assert_ok(ct_module_restore(t->model, a, (ct_restore_opts){0}));
  assert_ok(ct_optim_restore(t->optim, a));
}

#define IN_SCOPE(test) cmocka_unit_test_setup_teardown(test, open_scope, close_scope)

#endif
