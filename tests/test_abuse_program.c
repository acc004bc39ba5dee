/* test_abuse_program.c - bad calls of builds, programs, jits and compiled steps: a clear error, no
 * crash, nothing printed, nothing lost. */
#include "abuse.h"

static const ct_compile_opts opts = {.verify = true};

/* -x for x like f.a. */
static ct_program *good_program(void) {
  ct_program *p = ct_compile(CT_LIST(f.symbol), CT_LIST(ct_neg(f.symbol)), opts);
  assert_non_null(p);
  return p;
}

static void double_it(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_scale(in.at[0], 2);
}

#define REFUSED(pointer, code, part)                                                               \
  do {                                                                                             \
    assert_null(pointer);                                                                          \
    assert_fails(ct_error_code(), code, part);                                                     \
  } while (0)

/* ---- compiling ------------------------------------------------------------------------------- */

static void compiling(void **state) {
  (void)state;
  const ct_list x = CT_LIST(f.symbol), broken = {2, NULL}, negative = {-1, f.out};
  ct_tensor *y = ct_neg(f.symbol), *stranger = ct_placeholder(CT_F32, CT_SHAPE(2, 3));
  REFUSED(ct_compile(x, broken, opts), CT_EARG, "outputs is no list");
  REFUSED(ct_compile(x, negative, opts), CT_EARG, "outputs is no list");
  REFUSED(ct_compile(broken, CT_LIST(y), opts), CT_EARG, "inputs is no list");
  REFUSED(ct_compile(negative, CT_LIST(y), opts), CT_EARG, "inputs is no list");
  REFUSED(ct_compile(CT_LIST(NULL), CT_LIST(y), opts), CT_EARG, "inputs[0] is NULL");
  REFUSED(ct_compile(x, CT_LIST(y, NULL), opts), CT_EARG, "outputs[1] is NULL");
  REFUSED(ct_compile(CT_LIST(ct_nil()), CT_LIST(y), opts), CT_ENIL, "ct_compile");
  REFUSED(ct_compile(x, CT_LIST(ct_nil()), opts), CT_ENIL, "ct_compile");
  REFUSED(ct_compile(CT_LIST(f.a), CT_LIST(y), opts), CT_ERECORD, "ct_compile");
  REFUSED(ct_compile(CT_NONE, CT_LIST(y), opts), CT_EARG, "ct_compile");
  REFUSED(ct_compile(x, CT_LIST(ct_add(y, stranger)), opts), CT_EARG, "ct_compile");
}

static void builds(void **state) {
  (void)state;
  assert_fails(ct_build_end(), CT_ESCOPE, "no build is open");
  assert_ok(ct_build_begin());
  assert_fails(ct_build_begin(), CT_ESCOPE, "open already");
  assert_fails(ct_assign(NULL, f.a), CT_EARG, "ct_assign");
  assert_fails(ct_assign(f.v, NULL), CT_EARG, "ct_assign");
  assert_fails(ct_assign(f.v, ct_nil()), CT_ENIL, "ct_assign");
  assert_fails(ct_assign(f.v, f.i), CT_EDTYPE, "ct_assign");
  assert_fails(ct_assign(f.v, ct_scale(ct_flatten(f.symbol, 0), 2)), CT_ESHAPE, "ct_assign");
  assert_fails(ct_assign(f.a, f.symbol), CT_EARG, "ct_assign");
  assert_fails(ct_optim_step(f.optim, CT_NONE), CT_EARG, "want 1 gradients");
  assert_fails(ct_optim_step(f.optim, CT_LIST(NULL)), CT_EARG, "ct_optim_step");
  assert_fails(ct_optim_step(f.optim, CT_LIST(ct_nil())), CT_ENIL, "ct_optim_step");
  assert_fails(ct_optim_step(f.optim, CT_LIST(f.i)), CT_EDTYPE, "ct_optim_step");
  ct_program *p = ct_compile(CT_NONE, CT_NONE, opts); /* nothing of that has stayed */
  assert_non_null(p);
  assert_int_equal(ct_program_info(p).updates, 0);
  ct_program_release(&p);
  /* an update that needs what is no input */
  assert_ok(ct_assign(f.v, f.symbol));
  REFUSED(ct_compile(CT_NONE, CT_NONE, opts), CT_EARG, "ct_compile");
  assert_ok(ct_build_end());
  assert_fails(ct_build_end(), CT_ESCOPE, "no build is open");
}

/* ---- running --------------------------------------------------------------------------------- */

static void running(void **state) {
  (void)state;
  const ct_list broken = {1, NULL}, negative = {-1, f.out};
  ct_program *p = good_program();
  assert_fails(ct_run(NULL, CT_LIST(f.a), f.out), CT_EARG, "the program is NULL");
  assert_fails(ct_run(p, CT_LIST(f.a), NULL), CT_EARG, "no room");
  assert_fails(ct_run(p, CT_NONE, f.out), CT_EARG, "want 1 inputs, got 0");
  assert_fails(ct_run(p, CT_LIST(f.a, f.a), f.out), CT_EARG, "want 1 inputs, got 2");
  assert_fails(ct_run(p, broken, f.out), CT_EARG, "no list");
  assert_fails(ct_run(p, negative, f.out), CT_EARG, "want 1 inputs");
  assert_fails(ct_run(p, CT_LIST(NULL), f.out), CT_EARG, "inputs[0] is NULL");
  assert_fails(ct_run(p, CT_LIST(ct_nil()), f.out), CT_ENIL, "ct_run");
  assert_fails(ct_run(p, CT_LIST(f.d), f.out), CT_EDTYPE, "f64");
  assert_fails(ct_run(p, CT_LIST(ct_flatten(f.a, 0)), f.out), CT_ESHAPE, "got f32 (6)");
  assert_fails(ct_run(p, CT_LIST(f.symbol), f.out), CT_ENOVALUE, "ct_run");
  assert_true(ct_is_nil(f.out[0]));
  ct_tensor *old = ct_variable(f.a), *stale = ct_detach(old);
  assert_ok(ct_assign(old, f.a));
  assert_fails(ct_run(p, CT_LIST(stale), f.out), CT_ESTALE, "overwritten");
  ct_release(&old);
  ct_program_release(&p);
}

static void calling(void **state) {
  (void)state;
  const ct_list broken = {1, NULL}, negative = {-1, f.out};
  ct_program *p = good_program();
  assert_fails(ct_call_program(NULL, CT_LIST(f.a), f.out), CT_EARG, "ct_call_program");
  assert_fails(ct_call_program(p, CT_LIST(f.a), NULL), CT_EARG, "no room");
  assert_fails(ct_call_program(p, CT_NONE, f.out), CT_EARG, "want 1 inputs, got 0");
  assert_fails(ct_call_program(p, broken, f.out), CT_EARG, "no list");
  assert_fails(ct_call_program(p, negative, f.out), CT_EARG, "want 1 inputs");
  assert_fails(ct_call_program(p, CT_LIST(NULL), f.out), CT_EARG, "inputs[0] is NULL");
  assert_fails(ct_call_program(p, CT_LIST(ct_nil()), f.out), CT_ENIL, "ct_call_program");
  assert_fails(ct_call_program(p, CT_LIST(f.d), f.out), CT_EDTYPE, "f64");
  assert_fails(ct_call_program(p, CT_LIST(ct_flatten(f.a, 0)), f.out), CT_ESHAPE, "got f32 (6)");
  assert_true(ct_is_nil(f.out[0]));
  ct_program_release(&p);
  p = ct_compile_step(ct_sum(ct_mul(f.v, f.symbol), CT_ALL, false), f.optim, CT_LIST(f.symbol),
                      opts);
  assert_non_null(p);
  assert_fails(ct_call_program(p, CT_LIST(f.a), f.out), CT_EARG, "updates");
  ct_program_release(&p);
}

static void releasing(void **state) {
  (void)state;
  assert_null(ct_program_keep(NULL));
  ct_program_release(NULL);
  ct_program *p = NULL;
  ct_program_release(&p);
  p = good_program();
  ct_program *q = ct_program_keep(p);
  ct_program_release(&p);
  assert_null(p);
  ct_program_release(&p);
  assert_ok(ct_run(q, CT_LIST(f.a), f.out));
  ct_program_release(&q);
}

/* ---- by shape -------------------------------------------------------------------------------- */

static void jits(void **state) {
  (void)state;
  const ct_list broken = {1, NULL}, negative = {-1, f.out};
  REFUSED(ct_jit_new(NULL, 1, NULL, opts), CT_EARG, "ct_jit_new");
  REFUSED(ct_jit_new(double_it, -1, NULL, opts), CT_EARG, "ct_jit_new");
  ct_jit *j = ct_jit_new(double_it, 1, NULL, opts);
  assert_non_null(j);
  for (int round = 0; round < 2; round++) { /* before and after it has programs */
    assert_fails(ct_jit_run(NULL, CT_LIST(f.a), f.out), CT_EARG, "ct_jit_run");
    assert_fails(ct_jit_run(j, CT_LIST(f.a), NULL), CT_EARG, "no room");
    assert_fails(ct_jit_run(j, broken, f.out), CT_EARG, "no list");
    assert_fails(ct_jit_run(j, negative, f.out), CT_EARG, "no list");
    assert_fails(ct_jit_run(j, CT_LIST(NULL), f.out), CT_EARG, "inputs[0] is NULL");
    assert_fails(ct_jit_run(j, CT_LIST(ct_nil()), f.out), CT_ENIL, "ct_jit_run");
    assert_fails(ct_jit_run(j, CT_LIST(f.b), f.out), CT_EDTYPE, "scale");
    assert_fails(ct_jit_run(j, CT_LIST(f.symbol), f.out), CT_ENOVALUE, "value");
    assert_true(ct_is_nil(f.out[0]));
    assert_ok(ct_jit_run(j, CT_LIST(f.a), f.out));
  }
  assert_int_equal(ct_jit_programs(j), 1);
  assert_int_equal(ct_jit_programs(NULL), 0);
  ct_jit_free(NULL);
  ct_jit_free(&j);
  ct_jit_free(&j);
}

/* ---- looking at programs --------------------------------------------------------------------- */

static void looking(void **state) {
  (void)state;
  ct_program *p = good_program();
  assert_fails(ct_program_print(NULL, f.sink), CT_EARG, "ct_program_print");
  assert_fails(ct_program_print(p, NULL), CT_EARG, "ct_program_print");
  assert_fails(ct_program_dot(NULL, f.sink), CT_EARG, "ct_program_dot");
  assert_fails(ct_program_dot(p, NULL), CT_EARG, "ct_program_dot");
  assert_fails(ct_program_memory(NULL, CT_MEMORY_SVG, f.sink), CT_EARG, "ct_program_memory");
  assert_fails(ct_program_memory(p, CT_MEMORY_TEXT, NULL), CT_EARG, "ct_program_memory");
  assert_fails(ct_program_memory(p, (ct_memory_format)9, f.sink), CT_EARG, "format");
  assert_fails(ct_program_profile(NULL, CT_LIST(f.a), 1, f.sink), CT_EARG, "ct_program_profile");
  assert_fails(ct_program_profile(p, CT_LIST(f.a), 1, NULL), CT_EARG, "ct_program_profile");
  assert_fails(ct_program_profile(p, CT_LIST(f.a), 0, f.sink), CT_EARG, "got 0");
  assert_fails(ct_program_profile(p, CT_NONE, 1, f.sink), CT_EARG, "want 1 inputs");
  assert_fails(ct_program_profile(p, CT_LIST(f.d), 1, f.sink), CT_EDTYPE, "f64");
  assert_int_equal(ct_program_info(NULL).instructions, 0);
  ct_program_release(&p);
}

/* Of nothing at all. */
static void empty_programs(void **state) {
  (void)state;
  ct_program *p = ct_compile(CT_NONE, CT_NONE, opts);
  assert_non_null(p);
  assert_ok(ct_run(p, CT_NONE, NULL));
  assert_ok(ct_program_print(p, f.sink));
  assert_ok(ct_program_dot(p, f.sink));
  assert_ok(ct_program_memory(p, CT_MEMORY_TEXT, f.sink));
  assert_ok(ct_program_memory(p, CT_MEMORY_SVG, f.sink));
  assert_ok(ct_program_profile(p, CT_NONE, 2, f.sink));
  assert_int_equal(ct_program_info(p).instructions, 0);
  ct_program_release(&p);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void compiled_steps(void **state) {
  (void)state;
  const ct_list x = CT_LIST(f.symbol), broken = {2, NULL};
  ct_tensor *each = ct_mul(f.v, f.symbol), *loss = ct_sum(each, CT_ALL, false);
  REFUSED(ct_compile_step(loss, NULL, x, opts), CT_EARG, "ct_compile_step");
  REFUSED(ct_compile_step(NULL, f.optim, x, opts), CT_EARG, "loss is NULL");
  REFUSED(ct_compile_step(ct_nil(), f.optim, x, opts), CT_ENIL, "ct_compile_step");
  REFUSED(ct_compile_step(loss, f.optim, broken, opts), CT_EARG, "inputs is no list");
  REFUSED(ct_compile_step(loss, f.optim, CT_LIST(NULL), opts), CT_EARG, "inputs[0] is NULL");
  REFUSED(ct_compile_step(loss, f.optim, CT_LIST(ct_nil()), opts), CT_ENIL, "ct_compile_step");
  REFUSED(ct_compile_step(loss, f.optim, CT_LIST(f.a), opts), CT_ERECORD, "inputs[0]");
  REFUSED(ct_compile_step(loss, f.optim, CT_NONE, opts), CT_EARG, "ct_compile");
  REFUSED(ct_compile_step(each, f.optim, x, opts), CT_ESHAPE, "ct_grad");
  REFUSED(ct_compile_step(ct_cast(loss, CT_I32), f.optim, x, opts), CT_EDTYPE, "ct_grad");
  assert_fails(ct_build_end(), CT_ESCOPE, "no build is open");
  assert_int_equal(ct_optim_steps(f.optim), 0);
  /* in an open build, which stays open */
  assert_ok(ct_build_begin());
  REFUSED(ct_compile_step(each, f.optim, x, opts), CT_ESHAPE, "ct_grad");
  assert_ok(ct_build_end());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(compiling, setup, teardown),
      cmocka_unit_test_setup_teardown(builds, setup, teardown),
      cmocka_unit_test_setup_teardown(running, setup, teardown),
      cmocka_unit_test_setup_teardown(calling, setup, teardown),
      cmocka_unit_test_setup_teardown(releasing, setup, teardown),
      cmocka_unit_test_setup_teardown(jits, setup, teardown),
      cmocka_unit_test_setup_teardown(looking, setup, teardown),
      cmocka_unit_test_setup_teardown(empty_programs, setup, teardown),
      cmocka_unit_test_setup_teardown(compiled_steps, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
