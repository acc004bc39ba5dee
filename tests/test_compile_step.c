/* test_compile_step.c - compiled steps against eager ones, to the last bit: optimizers, schedules,
 * batches of two sizes, dropout, groups; rates, state and lifetimes around them. */
#include "testing.h"

#include <cotangent.h>

enum { STEPS = 100, IN = 6, HIDDEN = 8, CLASSES = 4, BATCH = 16, LAST = 7 };

/* ---- two trainers that should agree ---------------------------------------------------------- */

typedef ct_optim *make_optim(ct_list params);

/* Several weights in groups of their own, unless the optimizer is made without. */
typedef struct trainer {
  ct_dtype dtype;
  ct_module *model;
  ct_optim *optim;
  ct_program *program[2]; /* of whole batches, and of the last one */
} trainer;

static ct_optim *sgd(ct_list p) { return ct_sgd(p, (ct_sgd_opts){.lr = 0.1}); }
static ct_optim *sgd_decay(ct_list p) {
  return ct_sgd(p, (ct_sgd_opts){.lr = 0.1, .weight_decay = 0.02});
}
static ct_optim *momentum(ct_list p) {
  return ct_sgd(p, (ct_sgd_opts){.lr = 0.05, .momentum = 0.9});
}
static ct_optim *nesterov(ct_list p) {
  return ct_sgd(p,
                (ct_sgd_opts){.lr = 0.05, .momentum = 0.8, .weight_decay = 0.01, .nesterov = true});
}
static ct_optim *adam(ct_list p) { return ct_adam(p, (ct_adam_opts){.lr = 0.01}); }
static ct_optim *adam_decay(ct_list p) {
  return ct_adam(p, (ct_adam_opts){.lr = 0.01, .weight_decay = 0.01});
}
static ct_optim *adamw(ct_list p) { return ct_adamw(p, (ct_adam_opts){.lr = 0.01}); }

static make_optim *const optims[] = {sgd, sgd_decay, momentum, nesterov, adam, adam_decay, adamw};
enum { OPTIMS = sizeof optims / sizeof *optims };

static trainer trainer_new(make_optim *make, ct_dtype dtype) {
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

static void trainer_free(trainer *t) {
  for (int i = 0; i < 2; i++) ct_program_release(&t->program[i]);
  ct_optim_free(&t->optim);
  ct_module_free(&t->model);
}

static ct_tensor *loss_of(trainer *t, ct_tensor *x, ct_tensor *labels) {
  return ct_cross_entropy(ct_forward(t->model, x), labels);
}

static void compile(trainer *t, ct_compile_opts opts) {
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
static void batch(ct_dtype dtype, int k, ct_tensor **x, ct_tensor **labels) {
  const int64_t n = k % 5 == 4 ? LAST : BATCH;
  ct_tensor *key = ct_key_fold(ct_key(11), k);
  *x = ct_cast(ct_randn(key, CT_F32, CT_SHAPE(n, IN)), dtype);
  *labels = ct_argmax(ct_slice(*x, 1, 0, CLASSES, 1), 1, false);
}

static double eager(trainer *t, int k) {
  ct_scope s = ct_scope_begin();
  ct_tensor *x, *labels;
  double loss = NAN;
  batch(t->dtype, k, &x, &labels);
  assert_ok(ct_optim_minimize(t->optim, loss_of(t, x, labels), &loss));
  assert_ok(ct_scope_end(s));
  return loss;
}

static double compiled(trainer *t, int k) {
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
static ct_archive *all_of(const trainer *t) {
  ct_archive *a = ct_archive_new();
  assert_non_null(a);
  assert_ok(ct_module_store(t->model, a));
  assert_ok(ct_optim_store(t->optim, a));
  return a;
}

static void assert_same(const trainer *a, const trainer *b) {
  ct_scope s = ct_scope_begin();
  ct_archive *x = all_of(a), *y = all_of(b);
  assert_int_equal(ct_archive_count(x), ct_archive_count(y));
  for (int i = 0; i < ct_archive_count(x); i++) {
    const char *name = ct_archive_name(x, i);
    const ct_tensor *p = ct_archive_get(x, name), *q = ct_archive_get(y, name);
    const size_t bytes = (size_t)ct_size(p) * ct_dtype_size(ct_dtype_of(p));
    if (memcmp(ct_data(p), ct_data(q), bytes) != 0) fail_msg("%s differs", name);
  }
  ct_archive_free(&x);
  ct_archive_free(&y);
  assert_ok(ct_scope_end(s));
}

/* ---- equal to eager ---------------------------------------------------------------------------- */

static const ct_schedule schedules[] = {
    {.kind = CT_SCHEDULE_CONSTANT, .lr = 0.05},
    {.kind = CT_SCHEDULE_STEP, .lr = 0.05, .period = 30, .gamma = 0.5},
    {.kind = CT_SCHEDULE_LINEAR, .lr = 0.05, .total = STEPS, .warmup = 10},
    {.kind = CT_SCHEDULE_COSINE, .lr = 0.05, .min_lr = 0.001, .total = STEPS},
    {.kind = CT_SCHEDULE_ONE_CYCLE, .lr = 0.1, .total = STEPS},
};
enum { SCHEDULES = sizeof schedules / sizeof *schedules };

static void set_rate(trainer *t, const ct_schedule *schedule, int k) {
  assert_ok(ct_optim_set_lr(t->optim, ct_schedule_lr(schedule, k)));
}

static void exact_is_eager(void **state) {
  (void)state;
  for (int i = 0; i < OPTIMS * SCHEDULES * 2; i++) {
    make_optim *make = optims[i % OPTIMS];
    const ct_schedule *schedule = &schedules[i / OPTIMS % SCHEDULES];
    const ct_dtype dtype = i / OPTIMS / SCHEDULES ? CT_F64 : CT_F32;
    trainer a = trainer_new(make, dtype), b = trainer_new(make, dtype);
    compile(&b, CT_EXACT);
    for (int k = 0; k < STEPS; k++) {
      set_rate(&a, schedule, k);
      set_rate(&b, schedule, k);
      const double want = eager(&a, k), got = compiled(&b, k);
      if (want != got) fail_msg("optimizer %d, step %d: %.17g, not %.17g", i, k, got, want);
    }
    assert_int_equal(ct_optim_steps(b.optim), STEPS);
    assert_same(&a, &b);
    trainer_free(&a);
    trainer_free(&b);
  }
}

static void default_is_close(void **state) {
  (void)state;
  for (int i = 0; i < OPTIMS * 2; i++) {
    const ct_dtype dtype = i / OPTIMS ? CT_F64 : CT_F32;
    trainer a = trainer_new(optims[i % OPTIMS], dtype), b = trainer_new(optims[i % OPTIMS], dtype);
    compile(&b, (ct_compile_opts){0});
    double first = 0, loss = 0;
    for (int k = 0; k < STEPS; k++) {
      loss = eager(&a, k);
      assert_near(compiled(&b, k), loss, 1e-4);
      if (k == 0) first = loss;
    }
    assert_true(loss < 0.8 * first); /* it learns */
    trainer_free(&a);
    trainer_free(&b);
  }
}

/* Eager and compiled steps of two sizes in turn, on one optimizer. */
static void steps_of_any_kind_in_turn(void **state) {
  (void)state;
  for (int i = 0; i < OPTIMS; i++) {
    trainer a = trainer_new(optims[i], CT_F32), b = trainer_new(optims[i], CT_F32);
    compile(&b, CT_EXACT);
    for (int k = 0; k < STEPS; k++) {
      const double want = eager(&a, k);
      assert_true((k % 3 ? compiled(&b, k) : eager(&b, k)) == want);
      assert_int_equal(ct_optim_steps(b.optim), k + 1);
      if (k % 7 == 0) assert_same(&a, &b);
    }
    trainer_free(&a);
    trainer_free(&b);
  }
}

/* Stored after some steps and restored later: the program goes on from there. */
static void state_can_be_restored(void **state) {
  (void)state;
  for (int i = 0; i < OPTIMS; i++) {
    trainer a = trainer_new(optims[i], CT_F64), b = trainer_new(optims[i], CT_F64);
    compile(&b, CT_EXACT);
    for (int k = 0; k < 20; k++) assert_true(eager(&a, k) == compiled(&b, k));
    ct_archive *saved = all_of(&b);
    for (int k = 0; k < 20; k++) compiled(&b, k);
    assert_ok(ct_optim_set_lr(b.optim, 3));
    assert_ok(ct_module_restore(b.model, saved, (ct_restore_opts){0}));
    assert_ok(ct_optim_restore(b.optim, saved));
    assert_int_equal(ct_optim_steps(b.optim), 20);
    for (int k = 20; k < 40; k++) assert_true(eager(&a, k) == compiled(&b, k));
    assert_same(&a, &b);
    ct_archive_free(&saved);
    trainer_free(&a);
    trainer_free(&b);
  }
}

/* ---- lifetimes --------------------------------------------------------------------------------- */

/* The program keeps what it needs of model and optimizer, and they what they need of it. */
static void released_in_any_order(void **state) {
  (void)state;
  for (int order = 0; order < 3; order++) {
    trainer a = trainer_new(adam, CT_F32), b = trainer_new(adam, CT_F32);
    compile(&b, CT_EXACT);
    assert_true(eager(&a, 0) == compiled(&b, 0));
    if (order != 0) ct_optim_free(&b.optim);
    if (order == 2) ct_module_free(&b.model);
    for (int k = 1; k < 10; k++) assert_true(eager(&a, k) == compiled(&b, k));
    for (int i = 0; i < 2; i++) ct_program_release(&b.program[i]);
    if (order == 0) assert_true(eager(&a, 10) == eager(&b, 10));
    trainer_free(&a);
    trainer_free(&b);
  }
}

/* A program steps the parameters that the optimizer had. */
static void groups_added_later_are_not_in_the_program(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(2)), *one = ct_ones(CT_F64, CT_SHAPE(2)), *loss;
  ct_tensor *p = ct_variable(one), *q = ct_variable(one);
  ct_optim *o = ct_sgd(CT_LIST(p), (ct_sgd_opts){.lr = 0.5});
  ct_program *program =
      ct_compile_step(ct_sum(ct_mul(ct_mul(p, q), x), CT_ALL, false), o, CT_LIST(x), CT_EXACT);
  assert_non_null(program);
  assert_ok(ct_optim_add_group(o, CT_LIST(q), (ct_group_opts){0}));
  assert_ok(ct_run(program, CT_LIST(one), &loss));
  ASSERT_VALUES(loss, 0, 2);
  ASSERT_VALUES(p, 0, 0.5, 0.5);
  ASSERT_VALUES(q, 0, 1, 1);
  ct_program_release(&program);
  ct_optim_free(&o);
  ct_release(&p);
  ct_release(&q);
}

/* ---- dropout ----------------------------------------------------------------------------------- */

/* One dropout used three times in a pass, in a row and side by side. */
static ct_tensor *dropped(ct_module *d, ct_tensor *x) {
  ct_tensor *y = ct_forward(d, x), *z = ct_forward(d, ct_scale(y, 2));
  return ct_sub(z, ct_forward(d, x));
}

static void each_use_and_each_run_draws_anew(void **state) {
  (void)state;
  enum { N = 64 };
  ct_module *a = ct_nn_dropout(ct_key(5), 0.5), *b = ct_nn_dropout(ct_key(5), 0.5);
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(N)), *one = ct_ones(CT_F32, CT_SHAPE(N)), *y;
  ct_program *p = ct_compile(CT_LIST(x), CT_LIST(dropped(b, x)), CT_EXACT);
  ct_function *f = ct_function_new(CT_LIST(x), CT_LIST(dropped(b, x)));
  assert_true(p && f);
  double before[N] = {0};
  for (int k = 0; k < 5; k++) {
    double want[N], got[N];
    tensor_values(dropped(a, one), want, N);
    if (k < 3) { /* functions read the key only */
      assert_ok(ct_function_run(f, CT_LIST(one), &y));
      assert_ok(ct_run(p, CT_LIST(one), &y));
    } else { /* eager steps go on from where the program is */
      y = dropped(b, one);
    }
    tensor_values(y, got, N);
    assert_memory_equal(got, want, sizeof got);
    assert_true(memcmp(got, before, sizeof got) != 0);
    memcpy(before, got, sizeof got);
  }
  ct_program_release(&p);
  ct_function_release(&f);
  ct_module_free(&a);
  ct_module_free(&b);
}

/* What is assigned to a key in the build counts, and inside a build even passes on values are part
 * of the program. */
static void keys_in_a_build(void **state) {
  (void)state;
  ct_module *a = ct_nn_dropout(ct_key(5), 0.5), *b = ct_nn_dropout(ct_key(5), 0.5);
  ct_tensor *w = ct_variable(ct_ones(CT_F32, CT_SHAPE(64))), *y[2], *other = ct_key(9);
  ct_tensor *x = ct_placeholder(CT_F32, CT_SCALAR), *two = ct_scalar(CT_F32, 2);
  assert_ok(ct_build_begin());
  ct_program *p = ct_compile(CT_LIST(x), CT_LIST(ct_mul(ct_forward(a, w), x)), CT_EXACT);
  assert_ok(ct_assign(ct_module_get(b, "key"), other));
  ct_program *q = ct_compile(CT_LIST(x), CT_LIST(ct_mul(ct_forward(b, w), x)), CT_EXACT);
  assert_ok(ct_build_end());
  assert_true(p && q);
  double first[64], got[64];
  assert_ok(ct_run(p, CT_LIST(two), &y[0]));
  assert_ok(ct_run(p, CT_LIST(two), &y[1]));
  tensor_values(y[0], first, 64);
  tensor_values(y[1], got, 64);
  assert_true(memcmp(first, got, sizeof got) != 0);
  assert_ok(ct_run(q, CT_LIST(two), &y[0]));
  tensor_values(y[0], got, 64);
  assert_memory_equal(got, first, sizeof got);
  double key[4], want[4];
  tensor_values(other, want, 4);
  tensor_values(ct_module_get(b, "key"), key, 4);
  assert_memory_equal(key, want, sizeof key);
  ct_program_release(&p);
  ct_program_release(&q);
  ct_module_free(&a);
  ct_module_free(&b);
  ct_release(&w);
}

/* ---- builds ------------------------------------------------------------------------------------ */

static void clipped_eagerly(trainer *t, int k) {
  ct_scope s = ct_scope_begin();
  ct_tensor *x, *labels, *g[4];
  batch(t->dtype, k, &x, &labels);
  assert_ok(ct_grad(loss_of(t, x, labels), ct_optim_params(t->optim), g));
  assert_ok(ct_clip_grad_norm((ct_list){4, g}, 0.1, g, NULL));
  assert_ok(ct_optim_step(t->optim, (ct_list){4, g}));
  assert_ok(ct_scope_end(s));
}

/* As the header shows it. */
static void gradients_can_be_clipped(void **state) {
  (void)state;
  for (int i = 0; i < OPTIMS; i++) {
    trainer a = trainer_new(optims[i], CT_F32), b = trainer_new(optims[i], CT_F32);
    ct_scope s = ct_scope_begin();
    ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(BATCH, IN)), *g[4];
    ct_tensor *labels = ct_placeholder(CT_I32, CT_SHAPE(BATCH)), *loss = loss_of(&b, x, labels);
    assert_ok(ct_build_begin());
    assert_ok(ct_grad(loss, ct_optim_params(b.optim), g));
    assert_ok(ct_clip_grad_norm((ct_list){4, g}, 0.1, g, NULL));
    assert_ok(ct_optim_step(b.optim, (ct_list){4, g}));
    b.program[0] = ct_compile(CT_LIST(x, labels), CT_LIST(loss), CT_EXACT);
    assert_ok(ct_build_end());
    assert_int_equal(ct_optim_steps(b.optim), 0);
    assert_ok(ct_scope_end(s));
    for (int k = 0; k < 20; k++) {
      if (k % 5 == 4) continue;
      clipped_eagerly(&a, k);
      compiled(&b, k);
    }
    assert_same(&a, &b);
    trainer_free(&a);
    trainer_free(&b);
  }
}

/* An average of the weights, updated by the same program from the weights before the step. */
static void an_open_build_is_joined(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(2)), *one = ct_ones(CT_F64, CT_SHAPE(2)), *loss;
  ct_tensor *p = ct_variable(one), *average = ct_variable(ct_zeros(CT_F64, CT_SHAPE(2)));
  ct_optim *o = ct_sgd(CT_LIST(p), (ct_sgd_opts){.lr = 0.5, .momentum = 0.5});
  assert_ok(ct_build_begin());
  assert_ok(ct_assign(average, ct_add(ct_scale(average, 0.5), ct_scale(p, 0.5))));
  ct_program *program =
      ct_compile_step(ct_sum(ct_mul(p, x), CT_ALL, false), o, CT_LIST(x), CT_EXACT);
  assert_fails(ct_build_begin(), CT_ESCOPE, "open already");
  assert_ok(ct_build_end());
  assert_non_null(program);
  for (int k = 0; k < 2; k++) assert_ok(ct_run(program, CT_LIST(one), &loss));
  ASSERT_VALUES(loss, 0, 1);
  ASSERT_VALUES(p, 0, -0.25, -0.25); /* 1 - 0.5, - 0.75 */
  ASSERT_VALUES(average, 0, 0.5, 0.5);
  assert_int_equal(ct_optim_steps(o), 2);
  ct_program_release(&program);
  ct_optim_free(&o);
  ct_release(&p);
  ct_release(&average);
}

/* ---- whole steps ------------------------------------------------------------------------------- */

/* A label out of range is found after the forward pass has begun: nothing has changed. */
static void no_half_step(void **state) {
  (void)state;
  for (int i = 0; i < OPTIMS; i++) {
    trainer a = trainer_new(optims[i], CT_F32), b = trainer_new(optims[i], CT_F32);
    compile(&b, (ct_compile_opts){0});
    ct_scope s = ct_scope_begin();
    ct_tensor *x = ct_ones(CT_F32, CT_SHAPE(BATCH, IN)), *loss;
    ct_tensor *labels = ct_full(CT_I32, CT_SHAPE(BATCH), CLASSES);
    assert_fails(ct_run(b.program[0], CT_LIST(x, labels), &loss), CT_EINDEX, "label");
    assert_true(ct_is_nil(loss));
    assert_same(&a, &b);
    assert_ok(ct_scope_end(s));
    trainer_free(&a);
    trainer_free(&b);
  }
}

/* ---- parameters of all kinds ------------------------------------------------------------------- */

/* Parameters: (3) twice, a number, nothing, and one that the loss does not know. */
enum { KINDS = 5 };
typedef ct_tensor *odd_loss(ct_tensor *const *p, ct_tensor *x);

/* Gradients are the other parameter, which is overwritten in the same run. */
static ct_tensor *each_other(ct_tensor *const *p, ct_tensor *x) {
  return ct_mul(ct_add(ct_sum(ct_mul(p[0], p[1]), CT_ALL, false), p[2]), x);
}

/* Gradients are the parameter itself. */
static ct_tensor *itself(ct_tensor *const *p, ct_tensor *x) {
  ct_tensor *y = ct_add(ct_sum(ct_square(p[0]), CT_ALL, false),
                        ct_add(ct_square(p[2]), ct_sum(p[3], CT_ALL, false)));
  return ct_mul(ct_scale(y, 0.5), x);
}

/* The gradient does not depend on anything. */
static ct_tensor *constant(ct_tensor *const *p, ct_tensor *x) {
  return ct_add(ct_sum(ct_add(p[0], p[1]), CT_ALL, false), x);
}

static void odd_params(ct_tensor *p[KINDS]) {
  ct_scope s = ct_scope_begin();
  p[0] = ct_variable(ct_linspace(CT_F64, 0.5, 2, 3));
  p[1] = ct_variable(ct_linspace(CT_F64, -2, 3, 3));
  p[2] = ct_variable(ct_scalar(CT_F64, 0.3));
  p[3] = ct_variable(ct_zeros(CT_F64, CT_SHAPE(0, 2)));
  p[4] = ct_variable(ct_ones(CT_F64, CT_SHAPE(2)));
  assert_ok(ct_scope_end(s));
}

static void parameters_of_all_kinds(void **state) {
  (void)state;
  odd_loss *const losses[] = {each_other, itself, constant};
  for (int i = 0; i < OPTIMS * 3; i++) {
    ct_tensor *p[KINDS], *q[KINDS], *x = ct_placeholder(CT_F64, CT_SCALAR);
    odd_params(p);
    odd_params(q);
    ct_optim *a = optims[i / 3]((ct_list){KINDS, p}), *b = optims[i / 3]((ct_list){KINDS, q});
    ct_program *program = ct_compile_step(losses[i % 3](q, x), b, CT_LIST(x),
                                          (ct_compile_opts){.exact = true, .verify = true});
    assert_non_null(program);
    for (int k = 0; k < 10; k++) {
      ct_tensor *one = ct_scalar(CT_F64, k < 5 ? 1 : 0.25), *loss;
      double want, got;
      assert_ok(ct_optim_minimize(a, losses[i % 3](p, one), &want));
      assert_ok(ct_run(program, CT_LIST(one), &loss));
      assert_ok(ct_item(loss, &got));
      assert_true(want == got);
    }
    for (int k = 0; k < KINDS; k++) {
      double want[3], got[3];
      tensor_values(p[k], want, ct_size(p[k]));
      tensor_values(q[k], got, ct_size(p[k]));
      assert_memory_equal(got, want, (size_t)ct_size(p[k]) * sizeof *got);
      ct_release(&p[k]);
      ct_release(&q[k]);
    }
    ct_program_release(&program);
    ct_optim_free(&a);
    ct_optim_free(&b);
  }
}

/* An infinite parameter without decay stays infinite, as in PyTorch, in both. */
static void infinite_parameters_do_not_become_nan(void **state) {
  (void)state;
  for (int i = 0; i < OPTIMS; i++) {
    ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(2)), *one = ct_ones(CT_F32, CT_SHAPE(2)), *loss;
    ct_tensor *p = ct_variable(ct_full(CT_F32, CT_SHAPE(2), INFINITY));
    ct_optim *o = optims[i](CT_NONE);
    assert_ok(ct_optim_add_group(o, CT_LIST(p), (ct_group_opts){.no_decay = true}));
    ct_program *program =
        ct_compile_step(ct_sum(ct_mul(p, x), CT_ALL, false), o, CT_LIST(x), CT_EXACT);
    assert_ok(ct_run(program, CT_LIST(one), &loss));
    ASSERT_VALUES(p, 0, INFINITY, INFINITY);
    assert_ok(ct_optim_step(o, CT_LIST(one)));
    ASSERT_VALUES(p, 0, INFINITY, INFINITY);
    ct_program_release(&program);
    ct_optim_free(&o);
    ct_release(&p);
  }
}

#define IN_SCOPE(test) cmocka_unit_test_setup_teardown(test, open_scope, close_scope)

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_SCOPE(exact_is_eager),
      IN_SCOPE(default_is_close),
      IN_SCOPE(steps_of_any_kind_in_turn),
      IN_SCOPE(state_can_be_restored),
      IN_SCOPE(released_in_any_order),
      IN_SCOPE(groups_added_later_are_not_in_the_program),
      IN_SCOPE(each_use_and_each_run_draws_anew),
      IN_SCOPE(keys_in_a_build),
      IN_SCOPE(gradients_can_be_clipped),
      IN_SCOPE(an_open_build_is_joined),
      IN_SCOPE(no_half_step),
      IN_SCOPE(parameters_of_all_kinds),
      IN_SCOPE(infinite_parameters_do_not_become_nan),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
