/* test_jit.c - programs by shape: when they are made, kept and dropped, and bodies that fail. */
#include "testing.h"

#include <cotangent.h>

/* ---- bodies ---------------------------------------------------------------------------------- */

typedef struct counter {
  int traced;
  ct_tensor *w; /* what bodies refer to */
} counter;

/* y = w x^2, z = sum x */
static void square_and_sum(ct_list in, ct_tensor **out, void *payload) {
  counter *c = payload;
  c->traced++;
  out[0] = ct_mul(ct_square(in.at[0]), ct_cast(c->w, ct_dtype_of(in.at[0])));
  out[1] = ct_sum(in.at[0], CT_ALL, false);
}

/* The sum of any number of inputs. */
static void add_up(ct_list in, ct_tensor **out, void *payload) {
  ((counter *)payload)->traced++;
  out[0] = ct_scalar(CT_F32, 0);
  for (int i = 0; i < in.n; i++) out[0] = ct_add(out[0], in.at[i]);
}

/* y = w x, and w = w + 1 */
static void count_up(ct_list in, ct_tensor **out, void *payload) {
  counter *c = payload;
  c->traced++;
  out[0] = ct_mul(c->w, in.at[0]);
  ct_assign(c->w, ct_shift(c->w, 1));
}

static ct_tensor *number(double x) {
  ct_tensor *t = ct_scalar(CT_F32, x), *v = ct_variable(t);
  return v;
}

/* ---- one program for each combination -------------------------------------------------------- */

static void traced_once_for_each_shape_and_dtype(void **state) {
  (void)state;
  counter c = {0, number(3)};
  ct_jit *j = ct_jit_new(square_and_sum, 2, &c, (ct_compile_opts){.verify = true});
  assert_non_null(j);
  assert_int_equal(ct_jit_programs(j), 0);
  ct_tensor *y[2];
  for (int round = 0; round < 3; round++)
    for (int n = 1; n <= 2; n++)
      for (int dtype = CT_F32; dtype <= CT_F64; dtype++) {
        assert_ok(ct_jit_run(j, CT_LIST(ct_full((ct_dtype)dtype, CT_SHAPE(n), 2)), y));
        assert_int_equal(ct_dtype_of(y[0]), dtype);
        assert_int_equal(ct_size(y[0]), n);
        ASSERT_VALUES(ct_slice(y[0], 0, 0, 1, 1), 0, 12);
        ASSERT_VALUES(y[1], 0, 2 * n);
      }
  assert_int_equal(c.traced, 4);
  assert_int_equal(ct_jit_programs(j), 4);
  assert_ok(ct_assign(c.w, ct_scalar(CT_F32, 5))); /* variables are read at every run */
  assert_ok(ct_jit_run(j, CT_LIST(ct_ones(CT_F32, CT_SHAPE(1))), y));
  ASSERT_VALUES(y[0], 0, 5);
  assert_int_equal(c.traced, 4);
  ct_jit_free(&j);
  assert_null(j);
  ct_release(&c.w);
}

static void ranks_and_numbers_of_inputs_differ_too(void **state) {
  (void)state;
  counter c = {0};
  ct_jit *j = ct_jit_new(add_up, 1, &c, CT_EXACT);
  ct_tensor *a = ct_ones(CT_F32, CT_SHAPE(2)), *b = ct_ones(CT_F32, CT_SHAPE(1, 2)), *y;
  assert_ok(ct_jit_run(j, CT_NONE, &y));
  ASSERT_VALUES(y, 0, 0);
  assert_ok(ct_jit_run(j, CT_LIST(a), &y));
  ASSERT_VALUES(y, 0, 1, 1);
  assert_ok(ct_jit_run(j, CT_LIST(b), &y));
  assert_int_equal(ct_ndim(y), 2);
  assert_ok(ct_jit_run(j, CT_LIST(a, b, a), &y));
  ASSERT_VALUES(y, 0, 3, 3);
  assert_int_equal(c.traced, 4);
  ct_jit_free(&j);
}

/* The layout does not count. */
static void any_layout_runs_the_same_program(void **state) {
  (void)state;
  counter c = {0};
  ct_jit *j = ct_jit_new(add_up, 1, &c, CT_EXACT);
  ct_tensor *x = ct_from(CT_F32, CT_SHAPE(2, 2), (const float[]){1, 2, 3, 4}), *y;
  assert_ok(ct_jit_run(j, CT_LIST(x), &y));
  assert_ok(ct_jit_run(j, CT_LIST(ct_transpose(x, 0, 1)), &y));
  ASSERT_VALUES(y, 0, 1, 3, 2, 4);
  assert_int_equal(c.traced, 1);
  ct_jit_free(&j);
}

static void the_program_unused_for_longest_goes(void **state) {
  (void)state;
  enum { KEPT = 8 };
  counter c = {0};
  ct_jit *j = ct_jit_new(add_up, 1, &c, CT_EXACT);
  ct_tensor *y;
#define RUN(n) assert_ok(ct_jit_run(j, CT_LIST(ct_ones(CT_F32, CT_SHAPE(n))), &y))
  for (int n = 1; n <= KEPT; n++) RUN(n);
  assert_int_equal(ct_jit_programs(j), KEPT);
  RUN(1);
  RUN(KEPT + 1); /* in place of that for 2 */
  assert_int_equal(ct_jit_programs(j), KEPT);
  assert_int_equal(c.traced, KEPT + 1);
  RUN(1);
  for (int n = 3; n <= KEPT + 1; n++) RUN(n);
  assert_int_equal(c.traced, KEPT + 1);
  RUN(2);
  assert_int_equal(c.traced, KEPT + 2);
  assert_int_equal(ct_jit_programs(j), KEPT);
  ct_jit_free(&j);
}

/* ---- updates --------------------------------------------------------------------------------- */

static void what_the_body_assigns_is_updated(void **state) {
  (void)state;
  counter c = {0, number(1)};
  ct_jit *j = ct_jit_new(count_up, 1, &c, (ct_compile_opts){0});
  ct_tensor *y;
  for (int k = 1; k <= 6; k++) { /* two programs in turn */
    assert_ok(ct_jit_run(j, CT_LIST(ct_full(CT_F32, CT_SHAPE(1 + k % 2), 10)), &y));
    ASSERT_VALUES(ct_slice(y, 0, 0, 1, 1), 0, 10 * k);
  }
  assert_int_equal(c.traced, 2);
  ASSERT_VALUES(c.w, 0, 7);
  ct_jit_free(&j);
  ct_release(&c.w);
}

/* Training with a smaller last batch: the same numbers as eager steps. */
typedef struct trainer {
  ct_module *model;
  ct_optim *optim;
} trainer;

static void step(ct_list in, ct_tensor **out, void *payload) {
  trainer *t = payload;
  out[0] = ct_mse(ct_forward(t->model, in.at[0]), in.at[1], CT_MEAN);
  ct_optim_minimize(t->optim, out[0], NULL);
}

static trainer trainer_new(void) {
  ct_scope s = ct_scope_begin();
  trainer t = {.model =
                   ct_nn_sequential(CT_MODULES(ct_nn_linear(ct_key(1), 3, 2, (ct_linear_opts){0}),
                                               ct_nn_dropout(ct_key(2), 0.1)))};
  assert_non_null(t.model);
  t.optim = ct_adam(ct_module_params(t.model), (ct_adam_opts){.lr = 0.01});
  assert_non_null(t.optim);
  assert_ok(ct_scope_end(s));
  return t;
}

static void trains_with_a_smaller_last_batch(void **state) {
  (void)state;
  trainer a = trainer_new(), b = trainer_new();
  ct_jit *j = ct_jit_new(step, 1, &b, CT_EXACT);
  for (int k = 0; k < 20; k++) {
    ct_scope s = ct_scope_begin();
    const int64_t n = k % 4 == 3 ? 5 : 8;
    ct_tensor *x = ct_randn(ct_key((uint64_t)k), CT_F32, CT_SHAPE(n, 3));
    ct_tensor *want = ct_slice(x, 1, 0, 2, 1), *loss;
    double eager, compiled;
    assert_ok(ct_optim_minimize(a.optim, ct_mse(ct_forward(a.model, x), want, CT_MEAN), &eager));
    assert_ok(ct_jit_run(j, CT_LIST(x, want), &loss));
    assert_ok(ct_item(loss, &compiled));
    assert_true(eager == compiled);
    assert_ok(ct_scope_end(s));
  }
  assert_int_equal(ct_jit_programs(j), 2);
  assert_int_equal(ct_optim_steps(b.optim), 20);
  ct_optim_free(&b.optim);
  ct_module_free(&b.model);
  ct_jit_free(&j);
  ct_optim_free(&a.optim);
  ct_module_free(&a.model);
}

/* Recording is on in a body, whatever it is around it. */
static void without_recording_around_it(void **state) {
  (void)state;
  counter c = {0, number(1)};
  ct_jit *j = ct_jit_new(count_up, 1, &c, (ct_compile_opts){0});
  ct_scope s = ct_scope_begin_with(CT_NO_RECORD);
  ct_tensor *y, *one = ct_scalar(CT_F32, 1);
  for (int k = 1; k < 4; k++) {
    assert_ok(ct_jit_run(j, CT_LIST(one), &y));
    ASSERT_VALUES(y, 0, k);
    assert_false(ct_is_recorded(y));
  }
  assert_ok(ct_scope_end(s));
  ct_jit_free(&j);
  ct_release(&c.w);
}

/* ---- bodies that fail ------------------------------------------------------------------------ */

typedef enum way {
  LEAVES_NULL,
  GIVES_NIL,
  FAILS_UNNOTICED,
  ENDS_THE_BUILD,
  BEGINS_A_BUILD,
  CALLS_ITSELF,
  USES_A_STRANGER,
  LOOKS_AT_VALUES,
  WORKS,
  WAYS
} way;

typedef struct failing {
  way how;
  ct_jit *j;
  ct_tensor *w, *stranger;
} failing;

static void fail_somehow(ct_list in, ct_tensor **out, void *payload) {
  failing *f = payload;
  double value;
  ct_assign(f->w, ct_shift(f->w, 1)); /* must not happen, nor be left behind */
  out[0] = ct_neg(in.at[0]);
  switch (f->how) {
  case LEAVES_NULL: out[0] = NULL; break;
  case GIVES_NIL: out[0] = ct_matmul(f->stranger, ct_stack(CT_LIST(f->w, f->w), 0)); break;
  case FAILS_UNNOTICED: ct_assign(f->w, in.at[0]); break;
  case ENDS_THE_BUILD: ct_build_end(); break;
  case BEGINS_A_BUILD: ct_build_begin(); break;
  case CALLS_ITSELF: ct_jit_run(f->j, in, out); break;
  case USES_A_STRANGER: out[0] = ct_add(out[0], f->stranger); break;
  case LOOKS_AT_VALUES: ct_item(in.at[0], &value); break;
  case WORKS:
  case WAYS: break;
  }
}

static void failing_bodies_leave_nothing_behind(void **state) {
  (void)state;
  static const struct {
    ct_status code;
    const char *part;
  } want[] = {
      [LEAVES_NULL] = {CT_EARG, "the body left result 0 NULL"},
      [GIVES_NIL] = {CT_ESHAPE, "matmul"},
      [FAILS_UNNOTICED] = {CT_ESHAPE, "ct_assign"},
      [ENDS_THE_BUILD] = {CT_ESCOPE, "the body ended the build"},
      [BEGINS_A_BUILD] = {CT_ESCOPE, "open already"},
      [CALLS_ITSELF] = {CT_ESCOPE, "a build is open"},
      [USES_A_STRANGER] = {CT_EARG, "ct_compile"},
      [LOOKS_AT_VALUES] = {CT_ENOVALUE, "ct_item"},
  };
  failing f = {.w = number(1), .stranger = ct_placeholder(CT_F32, CT_SHAPE(3))};
  f.j = ct_jit_new(fail_somehow, 1, &f, (ct_compile_opts){0});
  ct_tensor *x = ct_ones(CT_F32, CT_SHAPE(3)), *y = x;
  for (int old = 0; old < 2; old++)
    for (int k = 0; k < WORKS; k++) {
      f.how = (way)k;
      if (old) ct_reshape(x, CT_SHAPE(7)); /* an error from before is replaced */
      assert_fails(ct_jit_run(f.j, CT_LIST(x), &y), want[k].code, want[k].part);
      assert_true(ct_is_nil(y));
      assert_int_equal(ct_jit_programs(f.j), 0);
      assert_fails(ct_build_end(), CT_ESCOPE, "no build");
      ASSERT_VALUES(f.w, 0, 1);
    }
  f.how = WORKS;
  ct_reshape(x, CT_SHAPE(7)); /* and stays where all goes well */
  assert_ok(ct_jit_run(f.j, CT_LIST(x), &y));
  assert_ok(ct_jit_run(f.j, CT_LIST(x), &y));
  assert_fails(ct_error_code(), CT_ESHAPE, "reshape");
  ASSERT_VALUES(y, 0, -1, -1, -1);
  ASSERT_VALUES(f.w, 0, 3);
  ct_jit_free(&f.j);
  ct_release(&f.w);
}

/* In an open build nothing can be traced, but what has been made runs. */
static void in_an_open_build(void **state) {
  (void)state;
  counter c = {0, number(1)};
  ct_jit *j = ct_jit_new(count_up, 1, &c, (ct_compile_opts){0});
  ct_tensor *one = ct_scalar(CT_F32, 1), *y;
  assert_ok(ct_build_begin());
  assert_fails(ct_jit_run(j, CT_LIST(one), &y), CT_ESCOPE, "ct_jit_run: a build is open");
  assert_int_equal(c.traced, 0);
  assert_ok(ct_build_end());
  assert_ok(ct_jit_run(j, CT_LIST(one), &y));
  assert_ok(ct_build_begin());
  assert_ok(ct_jit_run(j, CT_LIST(one), &y));
  assert_ok(ct_build_end());
  ASSERT_VALUES(y, 0, 2);
  ct_jit_free(&j);
  ct_release(&c.w);
}

/* ---- no results, no inputs ------------------------------------------------------------------- */

static void only_updates(ct_list in, ct_tensor **out, void *payload) {
  (void)in, (void)out;
  counter *c = payload;
  ct_assign(c->w, ct_scale(c->w, 2));
}

static void bodies_without_results(void **state) {
  (void)state;
  counter c = {0, number(1)};
  ct_jit *j = ct_jit_new(only_updates, 0, &c, (ct_compile_opts){0});
  assert_non_null(j);
  for (int k = 0; k < 3; k++) assert_ok(ct_jit_run(j, CT_NONE, NULL));
  ASSERT_VALUES(c.w, 0, 8);
  assert_int_equal(ct_jit_programs(j), 1);
  ct_jit_free(&j);
  ct_release(&c.w);
}

#define IN_SCOPE(test) cmocka_unit_test_setup_teardown(test, open_scope, close_scope)

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_SCOPE(traced_once_for_each_shape_and_dtype),
      IN_SCOPE(ranks_and_numbers_of_inputs_differ_too),
      IN_SCOPE(any_layout_runs_the_same_program),
      IN_SCOPE(the_program_unused_for_longest_goes),
      IN_SCOPE(what_the_body_assigns_is_updated),
      IN_SCOPE(trains_with_a_smaller_last_batch),
      IN_SCOPE(without_recording_around_it),
      IN_SCOPE(failing_bodies_leave_nothing_behind),
      IN_SCOPE(in_an_open_build),
      IN_SCOPE(bodies_without_results),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
