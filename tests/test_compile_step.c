/* test_compile_step.c - compiled steps against eager ones, to the last bit: optimizers, schedules,
 * batches of two sizes, groups, dropout; rates, state and lifetimes around them. */
#include "step_trainer.h"

/* ---- equal to eager -------------------------------------------------------------------------- */

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
    restore(&b, saved);
    assert_int_equal(ct_optim_steps(b.optim), 20);
    for (int k = 20; k < 40; k++) assert_true(eager(&a, k) == compiled(&b, k));
    assert_same(&a, &b);
    ct_archive_free(&saved);
    trainer_free(&a);
    trainer_free(&b);
  }
}

/* ---- lifetimes ------------------------------------------------------------------------------- */

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

/* ---- dropout --------------------------------------------------------------------------------- */

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
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
