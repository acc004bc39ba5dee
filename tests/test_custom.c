/* Derivatives of one's own: rules of both kinds, hooks, and modules as functions of their
 * parameters.
 */
#include "tensors.h"

#include <cotangent.h>

static ct_tensor *random_values(uint64_t seed, ct_shape shape) {
  return ct_randn(ct_key(seed), CT_F64, shape);
}

/* ---- y = (a sin b, a b) with its true derivative in either form ------------------------------ */

static void body(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_mul(in.at[0], ct_sin(in.at[1]));
  out[1] = ct_mul(in.at[0], in.at[1]);
}

static void pull(ct_list in, ct_tensor **out, void *payload) {
  ct_tensor *a = in.at[0], *b = in.at[1], *g = in.at[4], *h = in.at[5];
  (void)payload;
  out[0] = ct_add(ct_mul(g, ct_sin(b)), ct_mul(h, b));
  out[1] = ct_add(ct_mul(g, ct_mul(a, ct_cos(b))), ct_mul(h, a));
}

static void push(ct_list in, ct_tensor **out, void *payload) {
  ct_tensor *a = in.at[0], *b = in.at[1], *da = in.at[4], *db = in.at[5];
  (void)payload;
  out[0] = ct_add(ct_mul(da, ct_sin(b)), ct_mul(db, ct_mul(a, ct_cos(b))));
  out[1] = ct_add(ct_mul(da, b), ct_mul(db, a));
}

static const ct_custom by_pull = {body, pull, 2, NULL}, by_push = {body, push, 2, NULL};

static ct_tensor *joined(ct_list x, void *payload) {
  ct_tensor *y[2];
  if (payload == &by_pull)
    ct_custom_vjp(by_pull, x, y);
  else
    ct_custom_jvp(by_push, x, y);
  return ct_concat((ct_list){2, y}, 0);
}

static ct_tensor *plain(ct_list x) {
  ct_tensor *y[2];
  body(x, y, NULL);
  return ct_concat((ct_list){2, y}, 0);
}

/* Both modes, both orders: one mode is the rule, the other its transpose. */
static void true_rules_pass_the_check(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_list x = CT_LIST(random_values(1, CT_SHAPE(3)), random_values(2, CT_SHAPE(3)));
  assert_ok(ct_gradcheck(joined, (void *)(uintptr_t)&by_pull, x, (ct_gradcheck_opts){0}, NULL));
  assert_ok(ct_gradcheck(joined, (void *)(uintptr_t)&by_push, x, (ct_gradcheck_opts){0}, NULL));
  assert_ok(ct_scope_end(s));
}

static void rules_nest_and_map(void **state) {
  (void)state;
  const void *kinds[] = {&by_pull, &by_push};
  for (int k = 0; k < 2; k++) {
    ct_scope s = ct_scope_begin();
    void *kind = (void *)(uintptr_t)kinds[k];
    ct_tensor *a = ct_variable(random_values(1, CT_SHAPE(3))),
              *b = ct_variable(random_values(2, CT_SHAPE(3))), *g[2], *h[2], *c[4];
    ct_tensor *y = joined(CT_LIST(a, b), kind), *want = plain(CT_LIST(a, b));
    assert_tensors_near(y, want, 0);
    assert_tensors_near(ct_jacobian(y, a, CT_JACOBIAN_FORWARD),
                        ct_jacobian(want, a, CT_JACOBIAN_REVERSE), 1e-14);
    assert_tensors_near(ct_jacobian(y, b, CT_JACOBIAN_REVERSE),
                        ct_jacobian(want, b, CT_JACOBIAN_REVERSE), 1e-14);
    ct_tensor *v = random_values(3, CT_SHAPE(3));
    assert_tensors_near(ct_directional(y, b, v, 3), ct_directional(want, b, v, 3), 1e-13);
    assert_ok(ct_taylor(y, b, v, 3, c));
    assert_tensors_near(ct_scale(c[3], 6), ct_directional(want, b, v, 3), 1e-13);
    assert_ok(ct_grad(ct_sum(y, CT_ALL, false), CT_LIST(a, b), g));
    assert_ok(ct_grad(ct_sum(want, CT_ALL, false), CT_LIST(a, b), h));
    assert_tensors_near(g[0], h[0], 1e-14);
    assert_tensors_near(g[1], h[1], 1e-14);

    /* a gradient for each element of a batch, one input shared */
    ct_tensor *p = ct_placeholder(CT_F64, CT_SHAPE(3)), *all = random_values(4, CT_SHAPE(5, 3)), *m;
    ct_tensor *loss = ct_sum(joined(CT_LIST(a, p), kind), CT_ALL, false), *each[5], *d[2];
    assert_ok(ct_grad(loss, CT_LIST(a, p), d));
    for (int i = 0; i < 2; i++) {
      assert_ok(ct_vmap(CT_LIST(d[i]), CT_LIST(p), CT_LIST(all), (ct_vmap_opts){0}, &m));
      for (int r = 0; r < 5; r++) {
        ct_tensor *row = ct_variable(ct_reshape(ct_slice(all, 0, r, r + 1, 1), CT_SHAPE(3)));
        ct_tensor *l = ct_sum(plain(CT_LIST(a, row)), CT_ALL, false);
        assert_ok(ct_grad(l, CT_LIST(a, row), h));
        each[r] = h[i];
        ct_release(&row);
      }
      assert_tensors_near(m, ct_stack((ct_list){5, each}, 0), 1e-13);
    }
    /* the derivative of what was mapped: the rule over a batch */
    ct_tensor *x = ct_variable(all), *mapped, *gm[2], *ones = ct_ones(CT_F64, CT_SHAPE(5, 6));
    ct_tensor *q = joined(CT_LIST(a, p), kind), *ref;
    assert_ok(ct_vmap(CT_LIST(q), CT_LIST(p), CT_LIST(x), (ct_vmap_opts){0}, &mapped));
    assert_ok(ct_vjp_all(CT_LIST(mapped), CT_LIST(ones), CT_LIST(a, x), gm));
    assert_tensors_near(gm[1], m, 1e-13);
    ref = ct_jvp(mapped, a, v); /* forward through the map: the same, transposed */
    double forward, reverse;
    assert_ok(ct_item(ct_sum(ref, CT_ALL, false), &forward));
    assert_ok(ct_item(ct_sum(ct_mul(gm[0], v), CT_ALL, false), &reverse));
    assert_near(forward, reverse, 1e-12);
    ct_release(&x);
    ct_release(&a);
    ct_release(&b);
    assert_ok(ct_scope_end(s));
  }
}

/* ---- rules that say something else ----------------------------------------------------------- */

static void step(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_cast(ct_gt(in.at[0], ct_scalar(CT_F64, 0)), CT_F64);
}

static void straight(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_scale(in.at[2], 1);
}

static void twice_squared(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_square(in.at[2]); /* not linear in the cotangent */
}

static void nothing(ct_list in, ct_tensor **out, void *payload) {
  (void)in, (void)out, (void)payload;
}

static void straight_through(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(random_values(1, CT_SHAPE(4))), *v = random_values(2, CT_SHAPE(4)), *y;
  assert_ok(ct_custom_vjp((ct_custom){step, straight, 1, NULL}, CT_LIST(x), &y));
  assert_tensors_near(ct_vjp(y, x, v), v, 0);
  assert_tensors_near(ct_jvp(y, x, v), v, 0);
  assert_ok(ct_custom_jvp((ct_custom){.f = step, .rule = straight}, CT_LIST(x), &y));
  assert_tensors_near(ct_vjp(y, x, v), v, 0);
  assert_ok(ct_custom_vjp((ct_custom){step, nothing, 1, NULL}, CT_LIST(x), &y));
  assert_tensors_near(ct_vjp(y, x, v), ct_zeros(CT_F64, CT_SHAPE(4)), 0); /* left NULL: zero */
  assert_tensors_near(ct_jvp(y, x, v), ct_zeros(CT_F64, CT_SHAPE(4)), 0);
  assert_ok(ct_custom_vjp((ct_custom){step, twice_squared, 1, NULL}, CT_LIST(x), &y));
  assert_tensors_near(ct_vjp(y, x, v), ct_square(v), 0);
  assert_nil(ct_jvp(y, x, v), CT_ENORULE, "no jvp for 'custom_vjp': its rule is not linear");
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* A body that finds a recorded tensor for itself. */
static void scaled(ct_list in, ct_tensor **out, void *payload) {
  out[0] = ct_mul(in.at[0], ct_exp(payload));
}

static void scaled_pull(ct_list in, ct_tensor **out, void *payload) {
  out[0] = ct_mul(in.at[2], ct_exp(payload));
}

static void captured_tensors(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(random_values(1, CT_SHAPE(2))), *y, *v = random_values(2, CT_SHAPE(2));
  ct_tensor *w = ct_variable(ct_scalar(CT_F64, 0.5)), *inner = ct_scale(w, 2);
  assert_ok(ct_custom_vjp((ct_custom){scaled, scaled_pull, 1, inner}, CT_LIST(x), &y));
  ct_tensor *g = ct_vjp(y, x, v);
  assert_tensors_near(g, ct_scale(v, exp(1)), 1e-14);
  /* what the rule refers to can be differentiated, what the body refers to cannot */
  assert_tensors_near(ct_jvp(g, w, ct_ones(CT_F64, CT_SCALAR)), ct_scale(v, 2 * exp(1)), 1e-14);
  assert_nil(ct_vjp(y, w, v), CT_ENORULE, "not among the inputs");
  assert_nil(ct_jvp(y, inner, ct_ones(CT_F64, CT_SCALAR)), CT_ENORULE, "(input 1)");
  /* also a placeholder of an outer recipe */
  ct_tensor *p = ct_placeholder(CT_F64, CT_SCALAR), *out, *gx;
  assert_ok(ct_custom_vjp((ct_custom){scaled, scaled_pull, 1, p}, CT_LIST(x), &y));
  gx = ct_vjp(y, x, v);
  ct_function *f = ct_function_new(CT_LIST(p), CT_LIST(gx));
  assert_non_null(f);
  assert_ok(ct_function_run(f, CT_LIST(ct_scalar(CT_F64, 1)), &out));
  assert_tensors_near(out, g, 1e-14);
  ct_function_release(&f);
  /* exp w of that time is what both refer to, but x itself was overwritten after use */
  assert_ok(ct_custom_vjp((ct_custom){scaled, scaled_pull, 1, w}, CT_LIST(x), &y));
  assert_ok(ct_assign(w, ct_scalar(CT_F64, 3)));
  assert_tensors_near(ct_vjp(y, x, v), ct_scale(v, exp(0.5)), 1e-14);
  assert_ok(ct_assign(x, v));
  assert_nil(ct_vjp(y, x, v), CT_ESTALE, "ct_assign");
  ct_release(&w);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* Integers among the inputs and outputs. */
static void pick(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_gather(in.at[0], in.at[1], 0);
  out[1] = ct_scale(in.at[1], 2);
}

static void pick_pull(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_scatter_add(ct_zeros(CT_F64, ct_shape_of(in.at[0])), in.at[1], in.at[4], 0);
}

static ct_tensor *picked(ct_list x, void *payload) {
  ct_tensor *y[2];
  (void)payload;
  ct_custom_vjp((ct_custom){pick, pick_pull, 2, NULL}, x, y);
  return y[0];
}

static void integers_pass(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *at = ct_from(CT_I32, CT_SHAPE(2), (int32_t[]){2, 0});
  assert_ok(ct_gradcheck(picked, NULL, CT_LIST(random_values(1, CT_SHAPE(3)), at),
                         (ct_gradcheck_opts){0}, NULL));
  assert_ok(ct_scope_end(s));
}

static void fails(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_reshape(in.at[0], CT_SHAPE(17));
}

static void wrong_shape(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_sum(in.at[2], CT_ALL, false);
}

static void rule_errors(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(random_values(1, CT_SHAPE(4))), *y;
  assert_fails(ct_custom_vjp((ct_custom){fails, straight, 1, NULL}, CT_LIST(x), &y), CT_ESHAPE,
               "reshape");
  assert_true(ct_is_nil(y));
  assert_fails(ct_custom_vjp((ct_custom){step, fails, 1, NULL}, CT_LIST(x), &y), CT_ESHAPE,
               "reshape");
  assert_fails(ct_custom_vjp((ct_custom){step, wrong_shape, 1, NULL}, CT_LIST(x), &y), CT_ESHAPE,
               "want result 0 of the rule as f64 (4), got f64 ()");
  assert_fails(ct_custom_jvp((ct_custom){nothing, straight, 1, NULL}, CT_LIST(x), &y), CT_EARG,
               "left result 0 out");
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* ---- hooks ----------------------------------------------------------------------------------- */

static void hooks_change_cotangents(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(random_values(1, CT_SHAPE(2))), *g, *all;
  ct_tensor *gy = ct_from(CT_F64, CT_SHAPE(2), (double[]){3, -4}), *tiny = ct_scale(gy, 1e-3);
  assert_tensors_near(ct_grad_scale(x, -2), x, 0);
  assert_tensors_near(ct_vjp(ct_grad_scale(x, -2), x, gy), ct_scale(gy, -2), 0);
  assert_tensors_near(ct_jvp(ct_grad_scale(x, -2), x, gy), gy, 0); /* forward mode passes */
  assert_tensors_near(ct_vjp(ct_grad_clip(x, -1, 2), x, gy),
                      ct_from(CT_F64, CT_SHAPE(2), (double[]){2, -1}), 0);
  ct_tensor *bounded = ct_grad_clip_norm(x, 1);
  assert_tensors_near(ct_vjp(bounded, x, gy), ct_scale(gy, 0.2), 1e-15);
  assert_tensors_near(ct_vjp(bounded, x, tiny), tiny, 0);
  assert_tensors_near(ct_vjp(bounded, x, ct_scale(gy, 0)), ct_zeros(CT_F64, CT_SHAPE(2)), 0);
  /* over a batch each element has its own norm */
  ct_tensor *p = ct_placeholder(CT_F64, CT_SHAPE(2)), *rows = ct_stack(CT_LIST(x, x), 0);
  ct_tensor *y = ct_grad_clip_norm(p, 1);
  assert_ok(ct_vmap(CT_LIST(y), CT_LIST(p), CT_LIST(rows), (ct_vmap_opts){0}, &all));
  g = ct_vjp(all, rows, ct_stack(CT_LIST(gy, tiny), 0));
  assert_tensors_near(g, ct_stack(CT_LIST(ct_scale(gy, 0.2), tiny), 0), 1e-15);
  assert_nil(ct_grad_clip_norm(x, 0), CT_EARG, "above 0");
  assert_nil(ct_grad_clip(x, 1, 0), CT_EARG, "lo <= hi");
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

static void checks_name_the_tensor(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_zeros(CT_F64, CT_SHAPE(2, 2))), *g, *out;
  ct_tensor *y = ct_log(ct_grad_check(x, "the gradient of x"));
  assert_nil(ct_vjp(y, x, ct_eye(CT_F64, 2, 2)), CT_ECHECK,
             "check: the gradient of x is inf at (0,0)");
  assert_nil(ct_check(ct_log(x), "log x"), CT_ECHECK, "log x is -inf at (0,0)");
  assert_tensors_near(ct_check(x, "x"), x, 0);
  assert_ok(ct_grad(ct_sum(ct_grad_check(x, "x"), CT_ALL, false), CT_LIST(x), &g));
  assert_tensors_near(g, ct_ones(CT_F64, CT_SHAPE(2, 2)), 0);
  /* a replay checks again */
  ct_tensor *p = ct_placeholder(CT_F64, CT_SCALAR), *checked = ct_check(ct_sqrt(p), "the root");
  ct_function *f = ct_function_new(CT_LIST(p), CT_LIST(checked));
  assert_ok(ct_function_run(f, CT_LIST(ct_scalar(CT_F64, 4)), &out));
  assert_fails(ct_function_run(f, CT_LIST(ct_scalar(CT_F64, -4)), &out), CT_ECHECK, "the root is ");
  ct_function_release(&f);
  char longest[65];
  memset(longest, 'n', 64);
  longest[64] = '\0';
  assert_nil(ct_check(x, longest), CT_EARG, "63");
  assert_nil(ct_grad_check(x, NULL), CT_EARG, "name");
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

static void prints_go_to_the_stream(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  FILE *out = tmpfile();
  assert_non_null(out);
  ct_tensor *x = ct_variable(ct_ones(CT_F64, CT_SHAPE(2))), *g;
  ct_tensor *y = ct_scale(ct_grad_print(ct_show(x, out, "x"), out, "gradient"), 3);
  assert_ok(ct_grad(ct_sum(y, CT_ALL, false), CT_LIST(x), &g));
  char text[256] = "";
  rewind(out);
  text[fread(text, 1, sizeof text - 1, out)] = '\0';
  fclose(out);
  const char *value = strstr(text, "x = [1"), *gradient = strstr(text, "gradient = [3");
  assert_true(value && gradient && value < gradient);
  assert_nil(ct_show(x, NULL, "x"), CT_EARG, "stream");
  assert_nil(ct_grad_print(x, NULL, "x"), CT_EARG, "stream");
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* ---- modules as functions of their parameters ------------------------------------------------ */

/* Two layers, the second one's weight shared with a third; and a frozen one. */
typedef struct shared {
  ct_module base;
  ct_module *first, *last;
  ct_tensor *weight;
} shared;

static ct_tensor *shared_forward(ct_module *m, ct_tensor *x) {
  shared *l = (shared *)m;
  ct_tensor *h = ct_tanh(ct_forward(l->first, x));
  h = ct_tanh(ct_matmul(ct_tanh(ct_matmul(h, l->weight)), l->weight));
  return ct_forward(l->last, h);
}

static const ct_module_class shared_class = {CT_MODULE, .name = "shared",
                                             .instance = sizeof(shared), .forward = shared_forward};

static ct_module *shared_new(void) {
  const ct_linear_opts f64 = {.dtype = CT_F64};
  shared *m = ct_module_new(&shared_class);
  assert_non_null(m);
  m->first = ct_module_child(&m->base, "first", ct_nn_linear(ct_key(1), 3, 2, f64));
  m->weight = ct_module_param(&m->base, "weight", ct_variable(random_values(2, CT_SHAPE(2, 2))));
  m->last = ct_module_child(&m->base, "last",
                            ct_nn_sequential(CT_MODULES(ct_nn_linear(ct_key(3), 2, 1, f64))));
  return ct_module_ready(&m->base);
}

static void given_tensors_stand_for_parameters(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_module *m = shared_new(), *other = shared_new();
  assert_non_null(m);
  assert_ok(ct_module_freeze(((shared *)m)->last, true)); /* keeps its own, the same in both */
  assert_ok(ct_module_freeze(((shared *)other)->last, true));
  ct_list params = ct_module_params(m);
  assert_int_equal(params.n, 3);
  ct_tensor *x = ct_variable(random_values(5, CT_SHAPE(4, 3))), *with[3], *own[4], *got[4];
  for (int i = 0; i < 3; i++) {
    with[i] = ct_variable(random_values(6 + (uint64_t)i, ct_shape_of(params.at[i])));
    assert_ok(ct_assign(ct_module_params(other).at[i], with[i]));
  }
  ct_list tensors = {3, with};
  ct_tensor *before = ct_forward(m, x), *y = ct_forward_with(m, tensors, x);
  ct_tensor *want = ct_forward(other, x);
  assert_tensors_near(y, want,
                      1e-15); /* the weights lie otherwise: products may add in another order */
  assert_tensors_near(ct_forward(m, x), before, 0); /* m is as it was */
  ct_tensor *wanted[] = {ct_module_params(other).at[0], ct_module_params(other).at[1],
                         ct_module_params(other).at[2], x};
  assert_ok(ct_grad(ct_sum(y, CT_ALL, false), CT_LIST(with[0], with[1], with[2], x), got));
  assert_ok(ct_grad(ct_sum(want, CT_ALL, false), (ct_list){4, wanted}, own));
  for (int i = 0; i < 4; i++) assert_tensors_near(got[i], own[i], 1e-15);
  /* unrecorded tensors and a constant input; recording off */
  ct_scope off = ct_scope_begin_with(CT_NO_RECORD);
  assert_tensors_near(ct_forward_with(m, tensors, ct_detach(x)), want, 1e-15);
  assert_ok(ct_scope_end(off));
  /* errors */
  assert_nil(ct_forward_with(m, CT_LIST(x), x), CT_EARG, "want 3 tensors");
  assert_nil(ct_forward_with(m, CT_LIST(with[0], with[1], x), x), CT_ESHAPE,
             "want tensors[2] as f64 (2,2), got f64 (4,3)");
  assert_nil(ct_forward_with(NULL, tensors, x), CT_EARG, "ct_forward_with");
  for (int i = 0; i < 3; i++) ct_release(&with[i]);
  ct_release(&x);
  ct_module_free(&m);
  ct_module_free(&other);
  assert_ok(ct_scope_end(s));
}

/* The loss after a step of gradient descent, as a function of the step's size. */
static ct_tensor *after_a_step(ct_list in, void *payload) {
  ct_module *m = payload;
  ct_list w = ct_module_params(m);
  ct_tensor *x = random_values(5, CT_SHAPE(4, 3)), *g[8], *stepped[8];
  ct_tensor *loss = ct_mean(ct_square(ct_forward(m, x)), CT_ALL, false);
  if (ct_grad(loss, w, g) != CT_OK) return ct_nil();
  for (int i = 0; i < w.n; i++) stepped[i] = ct_sub(w.at[i], ct_mul(in.at[0], g[i]));
  ct_tensor *y = ct_forward_with(m, (ct_list){w.n, stepped}, x);
  return ct_mean(ct_square(y), CT_ALL, false);
}

static void training_is_differentiable(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_module *m = shared_new();
  assert_ok(
      ct_gradcheck(after_a_step, m, CT_LIST(ct_scalar(CT_F64, 0.1)), (ct_gradcheck_opts){0}, NULL));
  ct_module_free(&m);
  assert_ok(ct_scope_end(s));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(true_rules_pass_the_check),
      cmocka_unit_test(rules_nest_and_map),
      cmocka_unit_test(straight_through),
      cmocka_unit_test(captured_tensors),
      cmocka_unit_test(integers_pass),
      cmocka_unit_test(rule_errors),
      cmocka_unit_test(hooks_change_cotangents),
      cmocka_unit_test(checks_name_the_tensor),
      cmocka_unit_test(prints_go_to_the_stream),
      cmocka_unit_test(given_tensors_stand_for_parameters),
      cmocka_unit_test(training_is_differentiable),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
