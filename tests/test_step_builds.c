/* test_step_builds.c - compiled steps with more around them: builds by hand, steps that fail,
 * memory that runs out, parameters of odd kinds. */
#include "step_trainer.h"

#include "failing_malloc.h"

/* ---- builds ---------------------------------------------------------------------------------- */

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

/* ---- whole steps ----------------------------------------------------------------------------- */

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

/* Compiles and runs a step, and another one traced by a jit. */
static void descend(ct_list in, ct_tensor **loss, void *payload) {
  trainer *t = payload;
  loss[0] = loss_of(t, in.at[0], in.at[1]);
  ct_optim_minimize(t->optim, loss[0], NULL);
}

static ct_status step_compiled(trainer *t, ct_list data) {
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(BATCH, IN)), *value;
  ct_tensor *labels = ct_placeholder(CT_I32, CT_SHAPE(BATCH));
  ct_program *p = ct_compile_step(loss_of(t, x, labels), t->optim, CT_LIST(x, labels), CT_EXACT);
  ct_status status = p ? ct_run(p, data, &value) : ct_error_code();
  ct_program_release(&p);
  return status;
}

static ct_status step_traced(trainer *t, ct_list data) {
  ct_tensor *value;
  ct_jit *j = ct_jit_new(descend, 1, t, CT_EXACT);
  ct_status status = j ? ct_jit_run(j, data, &value) : ct_error_code();
  ct_jit_free(&j);
  return status;
}

typedef ct_status work(trainer *t, ct_list data);

/* One allocation fails, or all from there on; false if none was left to fail. The step is taken or
 * not, and nothing is lost. */
static bool attempt(work *w, trainer *t, ct_list data, const ct_archive *before,
                    const ct_archive *after, long k, bool lasting) {
  ct_cache_flush();
  const long live = heap_live();
  ct_scope s = ct_scope_begin();
  heap_fail_at(k, lasting);
  const ct_status status = w(t, data);
  const bool struck = heap_fail_end();
  if (status != CT_OK) assert_int_equal(ct_error_code(), CT_ENOMEM);
  ct_error_clear();
  assert_ok(ct_scope_end(s));
  ct_cache_flush();
  assert_int_equal(heap_live() - live, 0);
  assert_fails(ct_build_end(), CT_ESCOPE, "no build");
  assert_is(t, status == CT_OK ? after : before);
  restore(t, before);
  return struck;
}

static void out_of_memory(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  work *const works[] = {step_compiled, step_traced};
  for (int i = 0; i < OPTIMS * 2; i++) {
    trainer a = trainer_new(optims[i / 2], CT_F32), b = trainer_new(optims[i / 2], CT_F32);
    ct_archive *before = all_of(&a);
    eager(&a, 0);
    ct_archive *after = all_of(&a);
    ct_scope s = ct_scope_begin();
    ct_tensor *data[2];
    batch(CT_F32, 0, &data[0], &data[1]);
    ct_cache_limit(0);
    for (int lasting = 0; lasting < 2; lasting++) {
      long k = 1;
      while (attempt(works[i % 2], &b, (ct_list){2, data}, before, after, k, lasting)) k++;
      assert_true(k > 10);
    }
    ct_cache_limit((size_t)512 << 20);
    assert_ok(ct_scope_end(s));
    ct_archive_free(&before);
    ct_archive_free(&after);
    trainer_free(&a);
    trainer_free(&b);
  }
}

/* ---- parameters of all kinds ----------------------------------------------------------------- */

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

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_SCOPE(gradients_can_be_clipped),
      IN_SCOPE(an_open_build_is_joined),
      IN_SCOPE(no_half_step),
      IN_SCOPE(out_of_memory),
      IN_SCOPE(parameters_of_all_kinds),
      IN_SCOPE(infinite_parameters_do_not_become_nan),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
