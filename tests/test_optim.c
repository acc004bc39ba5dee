/* test_optim.c - optimizers against PyTorch's numbers, whole steps, state, schedules, clipping. */
#include "testing.h"

#include "optim/optim.h"

/* Rows of the oracle: STEPS(optimizer, six parameters after 20 steps) and RATES(schedule, 20
 * rates). */
enum { N = 6, STEPS_TAKEN = 20 };

typedef struct steps_row {
  const char *name;
  double want[N];
} steps_row;
typedef struct rates_row {
  const char *name;
  double want[STEPS_TAKEN];
} rates_row;

#define STEPS(name, ...) {#name, {__VA_ARGS__}},
#define RATES(name, ...)
static const steps_row steps_table[] = {
#include "oracle/optim_steps.txt"
};
#undef STEPS
#undef RATES
#define STEPS(name, ...)
#define RATES(name, ...) {#name, {__VA_ARGS__}},
static const rates_row rates_table[] = {
#include "oracle/optim_steps.txt"
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static ct_optim *optim_of(const char *name, ct_list p) {
  const ct_adam_opts tuned = {.lr = 0.05, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-4};
  ct_adam_opts with_decay = tuned;
  if (strcmp(name, "sgd") == 0) return ct_sgd(p, (ct_sgd_opts){.lr = 0.1});
  if (strcmp(name, "sgd_decay") == 0)
    return ct_sgd(p, (ct_sgd_opts){.lr = 0.1, .weight_decay = 0.05});
  if (strcmp(name, "momentum") == 0) return ct_sgd(p, (ct_sgd_opts){.lr = 0.1, .momentum = 0.9});
  if (strcmp(name, "momentum_decay") == 0)
    return ct_sgd(p, (ct_sgd_opts){.lr = 0.1, .momentum = 0.9, .weight_decay = 0.05});
  if (strcmp(name, "nesterov") == 0)
    return ct_sgd(p, (ct_sgd_opts){.lr = 0.1, .momentum = 0.9, .nesterov = true});
  if (strcmp(name, "nesterov_decay") == 0)
    return ct_sgd(
        p, (ct_sgd_opts){.lr = 0.1, .momentum = 0.8, .weight_decay = 0.05, .nesterov = true});
  if (strcmp(name, "adam") == 0) return ct_adam(p, (ct_adam_opts){0});
  if (strcmp(name, "adamw") == 0) return ct_adamw(p, (ct_adam_opts){0});
  with_decay.weight_decay = strcmp(name, "adam_decay") == 0 ? 0.05 : 0.2;
  if (strcmp(name, "adam_decay") == 0) return ct_adam(p, with_decay);
  return strcmp(name, "adamw_decay") == 0 ? ct_adamw(p, with_decay) : NULL;
}

/* A variable of the given dtype from doubles; strided: as the transpose of a contiguous (3,2). */
static ct_tensor *variable_of(ct_dtype dtype, const double *value, bool strided) {
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_cast(ct_from(CT_F64, CT_SHAPE(N), value), dtype);
  if (strided) x = ct_transpose(ct_reshape(x, CT_SHAPE(3, 2)), 0, 1);
  ct_tensor *v = ct_variable(x);
  ct_scope_end(scope);
  return v;
}

/* The values in the order in which variable_of takes them. */
static void values_of(ct_tensor *v, double out[N]) {
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_detach(v);
  tensor_values(ct_ndim(x) == 2 ? ct_transpose(x, 0, 1) : x, out, N);
  ct_scope_end(scope);
}

static void start_values(double p[N]) {
  for (int i = 0; i < N; i++) p[i] = sin(i + 1);
}

/* Takes the oracle's steps. `other_layout`: a gradient that lies differently than its parameter. */
static void take_steps(ct_optim *o, ct_tensor *v, int first, int n, bool other_layout) {
  for (int k = first; k < first + n; k++) {
    double p[N], g[N];
    values_of(v, p);
    for (int i = 0; i < N; i++) g[i] = cos(k + 2 * i) + p[i] / 4;
    ct_scope scope = ct_scope_begin();
    ct_tensor *gv = variable_of(ct_dtype_of(v), g, ct_ndim(v) == 2), *grad = ct_detach(gv);
    if (other_layout) grad = ct_contiguous(grad);
    assert_ok(ct_optim_step(o, CT_LIST(grad)));
    ct_scope_end(scope);
    ct_release(&gv);
  }
}

static void check_row(const steps_row *row, ct_dtype dtype, bool strided, bool other_layout) {
  double p[N];
  start_values(p);
  ct_tensor *v = variable_of(dtype, p, strided);
  ct_optim *o = optim_of(row->name, CT_LIST(v));
  assert_non_null(o);
  take_steps(o, v, 0, STEPS_TAKEN, other_layout);
  assert_int_equal(ct_optim_steps(o), STEPS_TAKEN);
  values_of(v, p);
  for (int i = 0; i < N; i++) assert_near(p[i], row->want[i], dtype == CT_F64 ? 1e-14 : 3e-6);
  ct_optim_free(&o);
  assert_null(o);
  ct_release(&v);
}

static void equal_to_pytorch(void **state) {
  (void)state;
  assert_int_equal(COUNT(steps_table), 10);
  for (size_t i = 0; i < COUNT(steps_table); i++)
    for (int dtype = CT_F32; dtype <= CT_F64; dtype++) {
      check_row(&steps_table[i], (ct_dtype)dtype, false, false);
      check_row(&steps_table[i], (ct_dtype)dtype, true, false);
      check_row(&steps_table[i], (ct_dtype)dtype, true, true);
    }
}

/* ---- whole steps ----------------------------------------------------------------------------- */

static ct_tensor *variable(ct_dtype dtype, ct_shape shape, double value) {
  ct_scope scope = ct_scope_begin();
  ct_tensor *v = ct_variable(ct_full(dtype, shape, value));
  ct_scope_end(scope);
  return v;
}

static double first_value(ct_tensor *t) {
  double x;
  ct_scope scope = ct_scope_begin();
  assert_ok(ct_item(ct_slice(ct_reshape(ct_detach(t), CT_SHAPE(-1)), 0, 0, 1, 1), &x));
  ct_scope_end(scope);
  return x;
}

/* One bad gradient behind a good one: nothing moves, neither parameters nor state nor the count. */
static void no_half_step(void **unused) {
  (void)unused;
  ct_tensor *a = variable(CT_F32, CT_SHAPE(2, 3), 1), *b = variable(CT_F32, CT_SHAPE(3), 2);
  ct_optim *o = ct_adam(CT_LIST(a, b), (ct_adam_opts){.lr = 0.1});
  assert_non_null(o);
  ct_scope scope = ct_scope_begin();
  ct_tensor *ga = ct_ones(CT_F32, CT_SHAPE(2, 3)), *gb = ct_ones(CT_F32, CT_SHAPE(3));
  ct_tensor *old = variable(CT_F32, CT_SHAPE(3), 1), *alias = ct_detach(old);
  assert_ok(ct_touch(old));
  assert_fails(ct_optim_step(o, CT_LIST(ga)), CT_EARG, "want 2 gradients, got 1");
  assert_fails(ct_optim_step(o, CT_LIST(ga, NULL)), CT_EARG, "NULL");
  assert_fails(ct_optim_step(o, CT_LIST(ga, ct_nil())), CT_ENIL, "ct_optim_step");
  assert_fails(ct_optim_step(o, CT_LIST(ga, ga)), CT_ESHAPE,
               "gradient 1: want f32 (3), got f32 (2,3)");
  assert_fails(ct_optim_step(o, CT_LIST(ga, ct_cast(gb, CT_F64))), CT_EDTYPE, "got f64");
  assert_fails(ct_optim_step(o, CT_LIST(ga, alias)), CT_ESTALE, "overwritten");
  assert_fails(ct_optim_step(o, CT_LIST(ga, ct_placeholder(CT_F32, CT_SHAPE(3)))), CT_ENOVALUE,
               "value");
  assert_fails(ct_optim_step(o, CT_NONE), CT_EARG, "want 2");
  assert_fails(ct_optim_step(NULL, CT_NONE), CT_EARG, "NULL");
  assert_int_equal(ct_optim_steps(o), 0);
  assert_true(first_value(a) == 1 && first_value(b) == 2);
  ct_archive *archive = ct_archive_new();
  assert_ok(ct_optim_store(o, archive));
  assert_true(first_value(ct_archive_get(archive, "optim/exp_avg/0")) == 0);
  ct_archive_free(&archive);
  assert_ok(ct_optim_step(o, CT_LIST(ga, gb)));
  assert_near(first_value(a), 0.9, 1e-6);
  assert_near(first_value(b), 1.9, 1e-6);
  ct_release(&old);
  ct_scope_end(scope);
  ct_optim_free(&o);
  ct_release(&a);
  ct_release(&b);
}

/* A gradient in the memory of a parameter is read before that is written. */
static void gradient_is_parameter(void **unused) {
  (void)unused;
  ct_tensor *a = variable(CT_F64, CT_SHAPE(2, 2), 1), *b = variable(CT_F64, CT_SHAPE(2, 2), 2);
  ct_optim *o = ct_sgd(CT_LIST(a, b), (ct_sgd_opts){.lr = 0.5});
  assert_ok(ct_optim_step(o, CT_LIST(b, a)));
  assert_near(first_value(a), 1 - 0.5 * 2, 0);
  assert_near(first_value(b), 2 - 0.5 * 1, 0);
  ct_optim_free(&o);
  ct_release(&a);
  ct_release(&b);
}

/* What was recorded from the old values is stale after a step. */
static void step_makes_stale(void **unused) {
  (void)unused;
  ct_tensor *a = variable(CT_F64, CT_SCALAR, 3), *g;
  ct_optim *o = ct_sgd(CT_LIST(a), (ct_sgd_opts){.lr = 0.1});
  ct_scope scope = ct_scope_begin();
  ct_tensor *y = ct_square(a);
  assert_ok(ct_optim_step(o, CT_LIST(ct_scalar(CT_F64, 1))));
  assert_fails(ct_grad(y, CT_LIST(a), &g), CT_ESTALE, "ct_optim_step");
  ct_scope_end(scope);
  ct_optim_free(&o);
  ct_release(&a);
}

static void bad_arguments(void **unused) {
  (void)unused;
  ct_scope scope = ct_scope_begin();
  ct_tensor *a = variable(CT_F32, CT_SHAPE(2), 1), *i = variable(CT_I32, CT_SHAPE(2), 1);
  assert_null(ct_sgd(CT_LIST(a, a), (ct_sgd_opts){0}));
  assert_fails(ct_error_code(), CT_EARG, "parameter 1 is there twice");
  assert_null(ct_sgd(CT_LIST(i), (ct_sgd_opts){0}));
  assert_fails(ct_error_code(), CT_EDTYPE, "i32");
  assert_null(ct_adam(CT_LIST(ct_ones(CT_F32, CT_SHAPE(2))), (ct_adam_opts){0}));
  assert_fails(ct_error_code(), CT_EARG, "not a variable");
  assert_null(ct_adamw(CT_LIST(NULL), (ct_adam_opts){0}));
  assert_fails(ct_error_code(), CT_EARG, "NULL");
  assert_null(ct_sgd((ct_list){2, NULL}, (ct_sgd_opts){0}));
  assert_fails(ct_error_code(), CT_EARG, "no list");
  assert_null(ct_sgd(CT_LIST(a), (ct_sgd_opts){.lr = -1}));
  assert_fails(ct_error_code(), CT_EARG, "negative");
  assert_null(ct_sgd(CT_LIST(a), (ct_sgd_opts){.nesterov = true}));
  assert_fails(ct_error_code(), CT_EARG, "momentum");
  assert_null(ct_adam(CT_LIST(a), (ct_adam_opts){.beta2 = 1}));
  assert_fails(ct_error_code(), CT_EARG, "beta");
  ct_optim *o = ct_sgd(CT_LIST(a), (ct_sgd_opts){0});
  assert_near(ct_optim_lr(o), 1e-3, 0);
  assert_fails(ct_optim_set_lr(o, NAN), CT_EARG, "rate");
  assert_fails(ct_optim_set_lr(NULL, 1), CT_EARG, "rate");
  assert_fails(ct_optim_add_group(o, CT_LIST(a), (ct_group_opts){0}), CT_EARG, "twice");
  assert_fails(ct_optim_add_group(NULL, CT_LIST(a), (ct_group_opts){0}), CT_EARG, "NULL");
  assert_fails(ct_optim_minimize(NULL, a, NULL), CT_EARG, "NULL");
  assert_fails(ct_optim_store(NULL, NULL), CT_EARG, "NULL");
  assert_fails(ct_optim_restore(o, NULL), CT_EARG, "NULL");
  assert_int_equal(ct_optim_params(NULL).n, 0);
  assert_true(ct_optim_lr(NULL) == 0 && ct_optim_steps(NULL) == 0);
  ct_optim_free(NULL);
  ct_optim_free(&o);
  ct_optim_free(&o);
  ct_release(&a);
  ct_release(&i);
  ct_scope_end(scope);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void groups(void **unused) {
  (void)unused;
  ct_tensor *v[4];
  for (int i = 0; i < 4; i++) v[i] = variable(CT_F64, CT_SHAPE(3), 1);
  ct_optim *o = ct_sgd(CT_LIST(v[0]), (ct_sgd_opts){.lr = 0.1, .weight_decay = 0.5});
  assert_ok(ct_optim_add_group(o, CT_LIST(v[1]), (ct_group_opts){.lr_scale = 3}));
  assert_ok(ct_optim_add_group(o, CT_LIST(v[2], v[3]), (ct_group_opts){.no_decay = true}));
  assert_int_equal(ct_optim_params(o).n, 4);
  assert_ptr_equal(ct_optim_params(o).at[3], v[3]);
  ct_scope scope = ct_scope_begin();
  ct_tensor *g = ct_ones(CT_F64, CT_SHAPE(3));
  assert_ok(ct_optim_step(o, CT_LIST(g, g, g, g)));
  ct_scope_end(scope);
  assert_near(first_value(v[0]), 1 - 0.1 * 1.5, 1e-15);
  assert_near(first_value(v[1]), 1 - 0.3 * 1.5, 1e-15);
  assert_near(first_value(v[2]), 1 - 0.1, 1e-15);
  assert_near(first_value(v[3]), 1 - 0.1, 1e-15);
  ct_optim_free(&o);
  for (int i = 0; i < 4; i++) ct_release(&v[i]);
}

/* ---- state ----------------------------------------------------------------------------------- */

/* Ten steps, store, restore elsewhere, ten more: the same bits as twenty at once. */
static void resume(void **unused) {
  (void)unused;
  for (size_t row = 0; row < COUNT(steps_table); row++) {
    double p[N], half[N], whole[N];
    start_values(p);
    ct_tensor *v = variable_of(CT_F32, p, true);
    ct_optim *o = optim_of(steps_table[row].name, CT_LIST(v));
    take_steps(o, v, 0, 10, false);
    ct_archive *a = ct_archive_new();
    assert_ok(ct_optim_store(o, a));
    values_of(v, half);
    take_steps(o, v, 10, 10, false);
    values_of(v, whole);
    ct_tensor *w = variable_of(CT_F32, half, true);
    ct_optim *again = optim_of(steps_table[row].name, CT_LIST(w));
    assert_ok(ct_optim_set_lr(again, 7));
    assert_ok(ct_optim_restore(again, a));
    assert_int_equal(ct_optim_steps(again), 10);
    take_steps(again, w, 10, 10, false);
    values_of(w, half);
    assert_memory_equal(half, whole, sizeof whole);
    ct_archive_free(&a);
    ct_optim_free(&o);
    ct_optim_free(&again);
    ct_release(&v);
    ct_release(&w);
  }
}

static void restore_refuses(void **unused) {
  (void)unused;
  ct_tensor *a = variable(CT_F32, CT_SHAPE(2), 1), *b = variable(CT_F32, CT_SHAPE(3), 1);
  ct_optim *sgd = ct_sgd(CT_LIST(a), (ct_sgd_opts){.momentum = 0.9});
  ct_optim *adam = ct_adam(CT_LIST(a), (ct_adam_opts){0}),
           *other = ct_adam(CT_LIST(b), (ct_adam_opts){0});
  ct_archive *empty = ct_archive_new(), *saved = ct_archive_new();
  assert_ok(ct_optim_store(adam, saved));
  assert_fails(ct_optim_restore(sgd, empty), CT_EFORMAT, "no optimizer");
  assert_fails(ct_optim_restore(sgd, saved), CT_EFORMAT, "that of adam");
  assert_fails(ct_optim_restore(other, saved), CT_EFORMAT, "optim/exp_avg/0");
  assert_ok(ct_archive_set_text(empty, "optim", "adam"));
  assert_fails(ct_optim_restore(adam, empty), CT_EFORMAT, "optim/step");
  ct_archive_free(&empty);
  ct_archive_free(&saved);
  ct_optim_free(&sgd);
  ct_optim_free(&adam);
  ct_optim_free(&other);
  ct_release(&a);
  ct_release(&b);
}

/* ---- training -------------------------------------------------------------------------------- */

/* Least squares y = 2 x - 1: the loss falls to zero. */
static void converges(void **unused) {
  (void)unused;
  ct_tensor *w = variable(CT_F64, CT_SCALAR, 0), *b = variable(CT_F64, CT_SCALAR, 0);
  ct_optim *o = ct_sgd(CT_LIST(w, b), (ct_sgd_opts){.lr = 0.1, .momentum = 0.9});
  double loss = 1;
  for (int step = 0; step < 300; step++) {
    ct_scope scope = ct_scope_begin();
    ct_tensor *x = ct_linspace(CT_F64, -1, 1, 9), *t = ct_shift(ct_scale(x, 2), -1);
    assert_ok(ct_optim_minimize(o, ct_mse(ct_add(ct_mul(w, x), b), t, CT_MEAN), &loss));
    ct_scope_end(scope);
  }
  assert_near(loss, 0, 1e-10);
  assert_near(first_value(w), 2, 1e-5);
  assert_near(first_value(b), -1, 1e-5);
  ct_optim_free(&o);
  ct_release(&w);
  ct_release(&b);
}

/* ---- schedules ------------------------------------------------------------------------------- */

static void schedules_equal_pytorch(void **unused) {
  (void)unused;
  const struct {
    const char *name;
    ct_schedule schedule;
  } table[] = {
      {"step", {.kind = CT_SCHEDULE_STEP, .lr = 0.5, .period = 6, .gamma = 0.5}},
      {"cosine", {.kind = CT_SCHEDULE_COSINE, .lr = 0.5, .min_lr = 0.01, .total = 20}},
      {"linear", {.kind = CT_SCHEDULE_LINEAR, .lr = 0.5, .min_lr = 0.05, .total = 20}},
      {"one_cycle", {.kind = CT_SCHEDULE_ONE_CYCLE, .lr = 0.5, .total = 20}},
  };
  assert_int_equal(COUNT(table), COUNT(rates_table));
  for (size_t i = 0; i < COUNT(table); i++) {
    assert_string_equal(table[i].name, rates_table[i].name);
    for (int k = 0; k < STEPS_TAKEN; k++)
      assert_near(ct_schedule_lr(&table[i].schedule, k), rates_table[i].want[k], 1e-14);
  }
}

static void schedule_edges(void **unused) {
  (void)unused;
  ct_schedule s = {.kind = CT_SCHEDULE_CONSTANT, .lr = 0.3};
  assert_near(ct_schedule_lr(&s, 0), 0.3, 0);
  assert_near(ct_schedule_lr(&s, INT64_MAX), 0.3, 0);
  s = (ct_schedule){.kind = CT_SCHEDULE_LINEAR, .lr = 1, .warmup = 4, .total = 14};
  const double linear[] = {0.25, 0.5, 0.75, 1, 1, 0.9};
  for (int k = 0; k < 6; k++) assert_near(ct_schedule_lr(&s, k), linear[k], 1e-15);
  assert_near(ct_schedule_lr(&s, 14), 0, 1e-15);
  assert_near(ct_schedule_lr(&s, 1000), 0, 1e-15);
  assert_near(ct_schedule_lr(&s, -5), 0.25, 0);
  s.kind = CT_SCHEDULE_COSINE;
  assert_near(ct_schedule_lr(&s, 9), 0.5, 1e-15);
  assert_true(isnan(ct_schedule_lr(NULL, 0)));
  assert_fails(ct_error_code(), CT_EARG, "schedule");
  s.kind = (ct_schedule_kind)99;
  assert_true(isnan(ct_schedule_lr(&s, 0)));
  assert_fails(ct_error_code(), CT_EARG, "schedule");
}

/* ---- clipping -------------------------------------------------------------------------------- */

static void clipping(void **unused) {
  (void)unused;
  ct_scope scope = ct_scope_begin();
  ct_tensor *a = ct_full(CT_F32, CT_SHAPE(2, 2), 3), *b = ct_full(CT_F64, CT_SHAPE(4), -4);
  ct_tensor *clipped[2], *norm;
  assert_ok(ct_clip_grad_norm(CT_LIST(a, b), 1, clipped, &norm));
  assert_near(first_value(norm), 10, 1e-12);
  assert_near(first_value(clipped[0]), 0.3, 1e-6);
  assert_near(first_value(clipped[1]), -4 / (10 + 1e-6), 1e-12);
  assert_true(ct_dtype_of(clipped[0]) == CT_F32 && ct_dtype_of(clipped[1]) == CT_F64);
  assert_ok(ct_clip_grad_norm(CT_LIST(a, b), 100, clipped, NULL));
  assert_near(first_value(clipped[0]), 3, 0);
  assert_ok(ct_clip_grad_value(CT_LIST(a, b), 3.5, clipped));
  assert_near(first_value(clipped[0]), 3, 0);
  assert_near(first_value(clipped[1]), -3.5, 0);
  assert_near(first_value(b), -4, 0);
  assert_fails(ct_clip_grad_norm(CT_LIST(a, b), 0, clipped, &norm), CT_EARG, "limit");
  assert_true(ct_is_nil(clipped[0]) && ct_is_nil(clipped[1]) && ct_is_nil(norm));
  assert_fails(ct_clip_grad_norm(CT_LIST(a, ct_cast(b, CT_I32)), 1, clipped, NULL), CT_EDTYPE,
               "gradient 1 is i32");
  assert_true(ct_is_nil(clipped[0]) && ct_is_nil(clipped[1]));
  assert_fails(ct_clip_grad_value(CT_LIST(a, NULL), 1, clipped), CT_EARG, "NULL");
  assert_fails(ct_clip_grad_value(CT_LIST(a), 1, NULL), CT_EARG, "NULL");
  ct_scope_end(scope);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equal_to_pytorch),
      cmocka_unit_test(no_half_step),
      cmocka_unit_test(gradient_is_parameter),
      cmocka_unit_test(step_makes_stale),
      cmocka_unit_test(bad_arguments),
      cmocka_unit_test(groups),
      cmocka_unit_test(resume),
      cmocka_unit_test(restore_refuses),
      cmocka_unit_test(converges),
      cmocka_unit_test(schedules_equal_pytorch),
      cmocka_unit_test(schedule_edges),
      cmocka_unit_test(clipping),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
