/* The engine: recording, both modes, higher orders, stale values, several outputs, functions. */
#include "testing.h"

#include <cotangent.h>
#include <math.h>

static ct_tensor *variable(double value) { return ct_variable(ct_scalar(CT_F64, value)); }

static double derivative(ct_tensor *y, ct_tensor *x, ct_tensor **dy) {
  assert_ok(ct_grad(y, CT_LIST(x), dy));
  return item_of(*dy);
}

/* ---- reverse mode ---------------------------------------------------------------------------- */

static void test_gradient_of_a_product(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x1 = variable(2), *x2 = variable(5), *g[2];
  ct_tensor *y = ct_sub(ct_add(ct_log(x1), ct_mul(x1, x2)), ct_sin(x2));
  assert_near(item_of(y), 11.652071455223084, 1e-12);
  assert_ok(ct_grad(y, CT_LIST(x1, x2), g));
  assert_near(item_of(g[0]), 5.5, 1e-12);
  assert_near(item_of(g[1]), 1.7163378145367738, 1e-12);
  ct_release(&x1);
  ct_release(&x2);
  assert_ok(ct_scope_end(s));
}

static void test_derivatives_of_derivatives(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  const double v = 0.3, t = tanh(v),
               want[] = {1 - t * t, -2 * t * (1 - t * t), (1 - t * t) * (6 * t * t - 2),
                         (1 - t * t) * (16 * t - 24 * t * t * t)};
  ct_tensor *x = variable(v), *y = ct_tanh(x), *z = y;
  for (int k = 0; k < 4; k++) assert_near(derivative(y, x, &y), want[k], 1e-11);
  ct_tensor *one = ct_scalar(CT_F64, 1);
  for (int k = 0; k < 4; k++) { /* the same by forward mode */
    z = ct_jvp(z, x, one);
    assert_near(item_of(z), want[k], 1e-11);
  }
  ct_tensor *g, *h; /* and mixed: forward over reverse, reverse over forward */
  derivative(ct_tanh(x), x, &g);
  assert_near(item_of(ct_jvp(g, x, one)), want[1], 1e-11);
  h = ct_jvp(ct_tanh(x), x, one);
  assert_near(derivative(h, x, &g), want[1], 1e-11);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

static void test_intermediate_is_a_cut_point(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = variable(3), *u = ct_square(x), *y = ct_mul(u, x), *g[2];
  assert_ok(ct_grad(y, CT_LIST(u, x), g));
  assert_near(item_of(g[0]), 3, 0); /* dy/du with x held */
  assert_near(item_of(g[1]), 9, 0); /* dy/dx with u held */
  assert_ok(ct_grad(y, CT_LIST(y), g));
  assert_near(item_of(g[0]), 1, 0);
  assert_ok(ct_grad(y, CT_LIST(x, x), g)); /* the same target twice */
  assert_near(item_of(g[0]), 27, 0);
  assert_near(item_of(g[1]), 27, 0);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

static void test_unreached_gives_zeros(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = variable(3), *w = ct_variable(ct_ones(CT_F32, CT_SHAPE(2, 3))), *g;
  assert_ok(ct_grad(ct_square(x), CT_LIST(w), &g));
  assert_int_equal(ct_dtype_of(g), CT_F32);
  assert_true(ct_shape_equal(ct_shape_of(g), CT_SHAPE(2, 3)));
  double values[6];
  tensor_values(g, values, 6);
  for (int i = 0; i < 6; i++) assert_near(values[i], 0, 0);
  ct_tensor *dy = ct_jvp(ct_square(x), w, ct_ones(CT_F32, CT_SHAPE(2, 3)));
  assert_near(item_of(dy), 0, 0);
  ct_release(&x);
  ct_release(&w);
  assert_ok(ct_scope_end(s));
}

static void test_broadcasting_is_undone(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *row = ct_variable(ct_arange(CT_F64, 0, 3, 1)), *one = variable(2), *g[2];
  ct_tensor *x = ct_reshape(ct_arange(CT_F64, 0, 6, 1), CT_SHAPE(2, 3));
  assert_ok(ct_grad(ct_sum(ct_mul(ct_mul(x, row), one), CT_ALL, false), CT_LIST(row, one), g));
  double values[3];
  tensor_values(g[0], values, 3);
  assert_near(values[0], 6, 0);
  assert_near(values[1], 10, 0);
  assert_near(values[2], 14, 0);
  assert_int_equal(ct_ndim(g[1]), 0);
  assert_near(item_of(g[1]), 0 * 3 + 1 * 5 + 2 * 7, 0);
  ct_release(&row);
  ct_release(&one);
  assert_ok(ct_scope_end(s));
}

/* A sum of many contributions is added in place; the user's own tensors never are. */
static void test_accumulation_does_not_touch_the_cotangent(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_ones(CT_F64, CT_SHAPE(3))), *gy = ct_ones(CT_F64, CT_SHAPE(3));
  ct_tensor *y = ct_add(ct_add(x, x), ct_add(x, ct_add(x, x)));
  ct_tensor *gx = ct_vjp(y, x, gy);
  double values[3];
  tensor_values(gx, values, 3);
  assert_near(values[2], 5, 0);
  tensor_values(gy, values, 3);
  assert_near(values[2], 1, 0);
  assert_true(ct_vjp(x, x, gy) != gy);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* y = x. Rules that let the test look at the cotangent, and that answer with the test's memory. */
static ct_tensor *seen;
static double answer[2];

static ct_status same_eval(const ct_eval *e) {
  memcpy(e->out[0]->data, e->in[0]->data, sizeof answer);
  return CT_OK;
}

static void look_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  (void)c;
  seen = ct_keep(ct_reshape(gy[0], CT_SHAPE(1, 2)));
  gx[0] = gy[0];
}

static void answer_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  (void)c;
  tensor_values(gy[0], answer, 2);
  gx[0] = ct_wrap(CT_F64, CT_SHAPE(2), answer, (ct_wrap_opts){0});
}

static const ct_op look = {
    CT_OP, .name = "look", .n_in = 1, .infer = ct_infer_same, .eval = same_eval, .vjp = look_vjp};
static const ct_op own_answer = {CT_OP,
                                 .name = "own_answer",
                                 .n_in = 1,
                                 .infer = ct_infer_same,
                                 .eval = same_eval,
                                 .vjp = answer_vjp};

/* Cotangents are written over on the way back, but never what somebody else can see. */
static void test_cotangents_that_others_see_are_not_overwritten(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_full(CT_F64, CT_SHAPE(2), 3)), *g;
  ct_tensor *y = ct_apply(&own_answer, CT_LIST(ct_square(x)));
  y = ct_apply(&look, CT_LIST(ct_square(y)));
  assert_ok(ct_grad(ct_sum(ct_square(y), CT_ALL, false), CT_LIST(x), &g));
  double values[2];
  tensor_values(seen, values, 2);
  assert_near(values[0], 2 * 81, 0);
  assert_near(answer[1], 2 * 81 * 2 * 9, 0);
  tensor_values(g, values, 2);
  assert_near(values[1], 2 * 81 * 2 * 9 * 2 * 3, 0);
  ct_release(&seen);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* ---- what is recorded ------------------------------------------------------------------------ */

static void test_unrecorded_is_an_error(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_scalar(CT_F64, 3), *v = variable(2), *g;
  assert_false(ct_is_recorded(ct_square(x)));
  assert_fails(ct_grad(ct_square(x), CT_LIST(x), &g), CT_ERECORD, "does not depend on a variable");
  assert_fails(ct_grad(ct_square(v), CT_LIST(x), &g), CT_ERECORD, "x[0]");
  ct_scope quiet = ct_scope_begin_with(CT_NO_RECORD);
  ct_tensor *y = ct_keep(ct_square(v));
  assert_ok(ct_scope_end(quiet));
  assert_false(ct_is_recorded(y));
  assert_fails(ct_grad(y, CT_LIST(v), &g), CT_ERECORD, "while recording was off");
  assert_fails(ct_grad(ct_exp(y), CT_LIST(v), &g), CT_ERECORD, "while recording was off");
  assert_ok(ct_grad(ct_mul(y, v), CT_LIST(v), &g)); /* a constant to both modes */
  assert_near(item_of(g), 4, 0);
  ct_release(&y);
  ct_release(&v);
  assert_ok(ct_scope_end(s));
}

/* The same for recipes without values, and for derivatives taken while recording is off. */
static void test_unrecorded_symbolically(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *v = variable(2), *p = ct_placeholder(CT_F64, CT_SCALAR), *out, *g, *d[2];
  ct_tensor *recipe[] = {ct_square(v), ct_mul(ct_square(v), p)};
  ct_scope quiet = ct_scope_begin_with(CT_NO_RECORD);
  ct_tensor *y = ct_keep(ct_mul(ct_square(v), p));
  for (int i = 0; i < 2; i++) {
    assert_ok(ct_grad(recipe[i], CT_LIST(v), &d[i]));
    ct_keep(d[i]);
  }
  assert_ok(ct_scope_end(quiet));
  assert_fails(ct_grad(y, CT_LIST(v), &g), CT_ERECORD, "while recording was off");
  assert_fails(ct_grad(ct_exp(y), CT_LIST(v), &g), CT_ERECORD, "while recording was off");
  assert_fails(ct_grad(ct_mul(y, v), CT_LIST(y), &g), CT_ERECORD, "while recording was off");
  assert_ok(ct_grad(ct_mul(y, v), CT_LIST(v), &g));
  ct_function *f = ct_function_new(CT_LIST(p), CT_LIST(g));
  assert_ok(ct_function_run(f, CT_LIST(ct_scalar(CT_F64, 5)), &out));
  assert_near(item_of(out), 20, 0);
  ct_function_release(&f);
  for (int i = 0; i < 2; i++) {
    assert_fails(ct_grad(d[i], CT_LIST(v), &g), CT_ERECORD, "while recording was off");
    ct_release(&d[i]);
  }
  ct_release(&y);
  ct_release(&v);
  assert_ok(ct_scope_end(s));
}

static void test_stop_gradient_and_detach(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = variable(3), *one = ct_scalar(CT_F64, 1), *g;
  ct_tensor *y = ct_mul(ct_stop_gradient(ct_square(x)), x);
  derivative(y, x, &g);
  assert_near(item_of(g), 9, 0);
  assert_near(item_of(ct_jvp(y, x, one)), 9, 0);
  assert_false(ct_is_recorded(ct_detach(y)));
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

static void test_overwritten_values_are_found(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = variable(3), *g;
  ct_tensor *y = ct_square(x), *view = ct_reshape(x, CT_SHAPE(1));
  assert_ok(ct_assign(x, ct_scalar(CT_F64, 4)));
  assert_fails(ct_grad(y, CT_LIST(x), &g), CT_ESTALE, "square");
  assert_true(ct_is_nil(g));
  assert_nil(ct_square(view), CT_ESTALE, "ct_assign");
  assert_near(item_of(ct_square(x)), 16, 0);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

static void test_assign_from_own_view(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_arange(CT_F64, 0, 5, 1));
  assert_ok(ct_assign(x, ct_flip(x, CT_ALL)));
  double values[5];
  tensor_values(x, values, 5);
  for (int i = 0; i < 5; i++) assert_near(values[i], 4 - i, 0);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* ---- shapes and dtypes of the arguments ------------------------------------------------------ */

static void test_wrong_arguments(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_ones(CT_F64, CT_SHAPE(3))), *y = ct_square(x), *g[1];
  ct_tensor *i = ct_variable(ct_ones(CT_I32, CT_SHAPE(3)));
  assert_fails(ct_grad(y, CT_LIST(x), g), CT_ESHAPE, "one element, got shape (3)");
  assert_fails(ct_grad(ct_sum(ct_square(i), CT_ALL, false), CT_LIST(x), g), CT_EDTYPE, "i32");
  assert_nil(ct_vjp(y, x, ct_ones(CT_F64, CT_SHAPE(2))), CT_ESHAPE,
             "gy[0] as f64 (3), got f64 (2)");
  assert_nil(ct_jvp(y, x, ct_ones(CT_F32, CT_SHAPE(3))), CT_EDTYPE, "dx[0]");
  assert_nil(ct_jvp(y, x, NULL), CT_EARG, "NULL");
  assert_nil(ct_vjp(NULL, x, y), CT_EARG, "NULL");
  assert_fails(ct_grad(NULL, CT_LIST(x), g), CT_EARG, "NULL");
  assert_fails(ct_grad(ct_sum(y, CT_ALL, false), CT_LIST(x), NULL), CT_EARG, "no room");
  assert_fails(ct_grad(ct_nil(), CT_LIST(x), g), CT_ENIL, "");
  ct_release(&x);
  ct_release(&i);
  assert_ok(ct_scope_end(s));
}

/* A status function replaces an older error, a tensor function keeps it, success changes nothing.
 */
static void test_which_error_is_kept(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_ones(CT_F64, CT_SHAPE(3))), *g[1];
  ct_reshape(x, CT_SHAPE(4));
  assert_ok(ct_grad(ct_sum(x, CT_ALL, false), CT_LIST(x), g));
  assert_non_null(strstr(ct_error_message(), "reshape"));
  assert_true(ct_is_nil(ct_matmul(x, ct_ones(CT_F64, CT_SHAPE(2, 2)))));
  assert_non_null(strstr(ct_error_message(), "reshape"));
  assert_int_equal(ct_grad(ct_reshape(x, CT_SHAPE(4)), CT_LIST(x), g), CT_ESHAPE);
  assert_non_null(strstr(ct_error_message(), "reshape")); /* given a nil: the pending error */
  assert_int_equal(ct_grad(x, CT_LIST(x), g), CT_ESHAPE);
  assert_non_null(strstr(ct_error_message(), "one element"));
  ct_error_clear();
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* ---- several outputs ------------------------------------------------------------------------- */

static void test_outputs_that_nobody_holds(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  const double x0[] = {3, 1, 2};
  ct_tensor *x = ct_variable(ct_from(CT_F64, CT_SHAPE(3), x0)), *values, *g;
  { /* the indices die with the inner scope; the rule of sort needs them */
    ct_scope inner = ct_scope_begin();
    values = ct_scope_return(inner, ct_sort(x, 0, false, NULL));
  }
  ct_tensor *loss = ct_sum(ct_mul(values, ct_arange(CT_F64, 1, 4, 1)), CT_ALL, false);
  assert_ok(ct_grad(loss, CT_LIST(x), &g));
  double got[3];
  tensor_values(g, got, 3);
  assert_near(got[0], 3, 0);
  assert_near(got[1], 1, 0);
  assert_near(got[2], 2, 0);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* ---- functions ------------------------------------------------------------------------------- */

static ct_tensor *model(ct_tensor *x, ct_tensor *w, ct_tensor *b) {
  return ct_tanh(ct_add(ct_matmul(x, w), b));
}

static void test_the_same_code_symbolically(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *key = ct_key(1),
            *w = ct_variable(ct_randn(ct_key_fold(key, 0), CT_F32, CT_SHAPE(4, 3)));
  ct_tensor *b = ct_variable(ct_randn(ct_key_fold(key, 1), CT_F32, CT_SHAPE(3)));
  ct_tensor *x = ct_randn(ct_key_fold(key, 2), CT_F32, CT_SHAPE(5, 4)),
            *p = ct_placeholder(CT_F32, CT_SHAPE(5, 4));
  ct_tensor *symbolic[3], *eager[3], *run[3];
  symbolic[0] = ct_mean(ct_square(model(p, w, b)), CT_ALL, false);
  assert_false(ct_has_value(symbolic[0]));
  assert_ok(ct_grad(symbolic[0], CT_LIST(w, b), symbolic + 1));
  ct_function *f = ct_function_new(CT_LIST(p), (ct_list){3, symbolic});
  assert_non_null(f);
  for (int round = 0; round < 2; round++) { /* variables are read at every run */
    eager[0] = ct_mean(ct_square(model(x, w, b)), CT_ALL, false);
    assert_ok(ct_grad(eager[0], CT_LIST(w, b), eager + 1));
    assert_ok(ct_function_run(f, CT_LIST(x), run));
    for (int k = 0; k < 3; k++) {
      float got[12], want[12];
      size_t bytes = (size_t)ct_size(eager[k]) * sizeof(float);
      assert_ok(ct_copy_out(run[k], got, bytes));
      assert_ok(ct_copy_out(eager[k], want, bytes));
      assert_memory_equal(got, want, bytes);
      assert_false(ct_is_recorded(run[k]));
    }
    assert_ok(ct_assign(w, ct_scale(ct_detach(w), 0.5)));
  }
  assert_fails(ct_function_run(f, CT_LIST(ct_ones(CT_F32, CT_SHAPE(4, 5))), run), CT_ESHAPE,
               "want input 0 as f32 (5,4)");
  assert_fails(ct_function_run(f, CT_LIST(p), run), CT_ENOVALUE, "no value");
  assert_fails(ct_function_run(NULL, CT_LIST(p), run), CT_EARG, "NULL");
  ct_function_release(&f);
  ct_release(&w);
  ct_release(&b);
  assert_ok(ct_scope_end(s));
}

static void test_function_inside_a_recipe(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *p = ct_placeholder(CT_F64, CT_SCALAR), *w = variable(3), *body[2], *y[2], *g[2], *hg;
  body[0] = ct_mul(ct_sin(p), w);
  body[1] = ct_square(p);
  ct_function *f = ct_function_new(CT_LIST(p), (ct_list){2, body});
  ct_tensor *x = variable(0.7);
  assert_ok(ct_call_function(f, CT_LIST(x), y));
  assert_near(item_of(y[0]), 3 * sin(0.7), 1e-15);
  ct_tensor *loss = ct_mul(y[0], y[1]);
  assert_ok(ct_grad(loss, CT_LIST(x, w), g)); /* w is an input that f captured */
  assert_near(item_of(g[0]), 3 * (cos(0.7) * 0.49 + sin(0.7) * 1.4), 1e-14);
  assert_near(item_of(g[1]), sin(0.7) * 0.49, 1e-15);
  assert_ok(ct_grad(g[0], CT_LIST(w), &hg));
  assert_near(item_of(hg), cos(0.7) * 0.49 + sin(0.7) * 1.4, 1e-14);
  ct_tensor *q = ct_placeholder(CT_F64, CT_SCALAR), *symbolic[2],
            *run; /* a function that owns a function */
  assert_ok(ct_call_function(f, CT_LIST(ct_exp(q)), symbolic));
  ct_function *outer = ct_function_new(CT_LIST(q, w), CT_LIST(ct_add(symbolic[0], symbolic[1])));
  assert_ok(ct_function_run(outer, CT_LIST(ct_scalar(CT_F64, 0), ct_scalar(CT_F64, 5)), &run));
  assert_near(item_of(run), 5 * sin(1) + 1,
              1e-14); /* w replaced by 5 inside the inner function too */
  ct_function_release(&outer);
  ct_function_release(&f);
  ct_release(&w);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

static void test_placeholder_left_out(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *p = ct_placeholder(CT_F32, CT_SHAPE(2)), *q = ct_placeholder(CT_F32, CT_SHAPE(2));
  assert_null(ct_function_new(CT_LIST(p), CT_LIST(ct_add(p, q))));
  assert_string_equal(ct_error_message(),
                      "ct_function_new: the placeholder f32 (2) is not among the inputs");
  ct_error_clear();
  double value;
  assert_fails(ct_item(ct_sum(p, CT_ALL, false), &value), CT_ENOVALUE, "no value");
  assert_ok(ct_scope_end(s));
}

static void test_eager_gradient_inside_a_function(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = variable(2), *g, *p = ct_placeholder(CT_F64, CT_SCALAR), *run;
  derivative(ct_mul(ct_square(x), x), x, &g); /* 3 x^2, computed already */
  ct_function *f = ct_function_new(CT_LIST(p), CT_LIST(ct_mul(g, p)));
  assert_non_null(f);
  assert_ok(ct_function_run(f, CT_LIST(ct_scalar(CT_F64, 10)), &run));
  assert_near(item_of(run), 120, 0);
  assert_ok(ct_assign(x, ct_scalar(CT_F64, 3))); /* recorded values are computed anew */
  assert_ok(ct_function_run(f, CT_LIST(ct_scalar(CT_F64, 10)), &run));
  assert_near(item_of(run), 270, 0);
  ct_function_release(&f);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* ---- a user's own primitive ------------------------------------------------------------------ */

static void swish_loop(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  (void)attr;
  const double *x = (const double *)(const void *)p[0];
  double *y = (double *)(void *)p[1];
  for (int64_t i = 0; i < n; i++) y[i * s[1]] = x[i * s[0]] / (1 + exp(-x[i * s[0]]));
}

static ct_status swish_eval(const ct_eval *e) {
  ct_map(1, e->in, e->out[0], swish_loop, NULL);
  return CT_OK;
}

static ct_tensor *swish_partial(const ct_call *c, int i) {
  (void)i;
  ct_tensor *s = ct_sigmoid(c->in[0]);
  return ct_add(s, ct_mul(ct_out(c, 0), ct_sigmoid(ct_neg(c->in[0]))));
}

static const ct_op swish = {CT_OP,
                            .name = "swish",
                            .n_in = 1,
                            .flags = CT_ELEMENTWISE,
                            .infer = ct_infer_same,
                            .eval = swish_eval,
                            .partial = swish_partial};

static void test_own_primitive(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = variable(0.4), *reference = ct_mul(x, ct_sigmoid(x)),
            *y = ct_apply(&swish, CT_LIST(x));
  for (int k = 0; k < 3; k++) {
    assert_near(item_of(y), item_of(reference), 1e-12);
    derivative(y, x, &y);
    derivative(reference, x, &reference);
  }
  static const ct_op unfinished = {CT_OP, .name = "unfinished", .n_in = 1, .infer = ct_infer_same,
                                   .eval = swish_eval};
  ct_tensor *g;
  assert_fails(ct_grad(ct_apply(&unfinished, CT_LIST(x)), CT_LIST(x), &g), CT_ENORULE,
               "no vjp for 'unfinished' (input 0)");
  assert_nil(ct_jvp(ct_apply(&unfinished, CT_LIST(x)), x, ct_scalar(CT_F64, 1)), CT_ENORULE,
             "no jvp for 'unfinished'");
  static const ct_op empty = {.name = "empty"};
  assert_nil(ct_apply(&empty, CT_LIST(x)), CT_EARG, "CT_OP");
  assert_nil(ct_apply(NULL, CT_LIST(x)), CT_EARG, "NULL");
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* ---- size ------------------------------------------------------------------------------------ */

static void test_a_million_operations(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = variable(1), *y = x, *g, *c = ct_scalar(CT_F64, 1e-6);
  for (int i = 0; i < 1000000; i++) {
    ct_scope inner = ct_scope_begin();
    y = ct_scope_return(inner, ct_add(y, ct_mul(x, c)));
  }
  derivative(y, x, &g);
  assert_near(item_of(g), 2, 1e-9);
  assert_near(item_of(ct_jvp(y, x, ct_scalar(CT_F64, 1))), 2, 1e-9);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gradient_of_a_product),
      cmocka_unit_test(test_derivatives_of_derivatives),
      cmocka_unit_test(test_intermediate_is_a_cut_point),
      cmocka_unit_test(test_unreached_gives_zeros),
      cmocka_unit_test(test_broadcasting_is_undone),
      cmocka_unit_test(test_accumulation_does_not_touch_the_cotangent),
      cmocka_unit_test(test_cotangents_that_others_see_are_not_overwritten),
      cmocka_unit_test(test_unrecorded_is_an_error),
      cmocka_unit_test(test_unrecorded_symbolically),
      cmocka_unit_test(test_stop_gradient_and_detach),
      cmocka_unit_test(test_overwritten_values_are_found),
      cmocka_unit_test(test_assign_from_own_view),
      cmocka_unit_test(test_wrong_arguments),
      cmocka_unit_test(test_which_error_is_kept),
      cmocka_unit_test(test_outputs_that_nobody_holds),
      cmocka_unit_test(test_the_same_code_symbolically),
      cmocka_unit_test(test_function_inside_a_recipe),
      cmocka_unit_test(test_placeholder_left_out),
      cmocka_unit_test(test_eager_gradient_inside_a_function),
      cmocka_unit_test(test_own_primitive),
      cmocka_unit_test(test_a_million_operations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
