/* Derivatives made of derivatives, linear maps and maps over a batch. */
#include "tensors.h"

#include <cotangent.h>

static ct_tensor *random_variable(int64_t seed, ct_shape shape) {
  return ct_variable(ct_randn(ct_key_fold(ct_key(7), seed), CT_F64, shape));
}

/* f: R^(3) -> R^(2,2), nonlinear. */
static ct_tensor *curve(ct_tensor *x) {
  ct_tensor *a = ct_reshape(ct_sin(ct_concat(CT_LIST(x, ct_scale(x, 2)), 0)), CT_SHAPE(2, 3));
  return ct_matmul(a, ct_transpose(ct_square(a), 0, 1));
}

static void test_jacobian_by_both_modes(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = random_variable(1, CT_SHAPE(3)), *y = curve(x);
  ct_tensor *reverse = ct_jacobian(y, x, CT_JACOBIAN_REVERSE);
  ct_tensor *forward = ct_jacobian(y, x, CT_JACOBIAN_FORWARD);
  assert_true(ct_shape_equal(ct_shape_of(reverse), CT_SHAPE(2, 2, 3)));
  assert_tensors_near(reverse, forward, 1e-14);
  assert_tensors_near(ct_jacobian(y, x, CT_JACOBIAN_AUTO), forward, 1e-14);
  for (int j = 0; j < 3; j++) { /* column j is the tangent of the j-th unit vector */
    ct_tensor *unit = ct_reshape(ct_slice(ct_eye(CT_F64, 3, 3), 0, j, j + 1, 1), CT_SHAPE(3));
    ct_tensor *column = ct_squeeze(ct_slice(forward, 2, j, j + 1, 1), CT_AXES(2));
    assert_tensors_near(column, ct_jvp(y, x, unit), 1e-14);
  }
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

/* ---- Hessians -------------------------------------------------------------------------------- */

static int slopes; /* how often 3 x^2 was computed */

static void cube_loop(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  (void)attr;
  for (int64_t i = 0; i < n; i++) {
    double x = ((const double *)(const void *)p[0])[i * s[0]];
    ((double *)(void *)p[1])[i * s[1]] = x * x * x;
  }
}

static void slope_loop(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  (void)attr;
  slopes++;
  for (int64_t i = 0; i < n; i++) {
    double x = ((const double *)(const void *)p[0])[i * s[0]];
    ((double *)(void *)p[1])[i * s[1]] = 3 * x * x;
  }
}

static ct_tensor *slope_partial(const ct_call *c, int i) {
  (void)i;
  return ct_scale(c->in[0], 6);
}

static const ct_kernel cube_kernel = {.loop = {[CT_F64] = cube_loop}};
static const ct_kernel slope_kernel = {.loop = {[CT_F64] = slope_loop}};
static const ct_op slope_op = {CT_OP,
                               .name = "slope",
                               .n_in = 1,
                               .flags = CT_ELEMENTWISE,
                               .infer = ct_infer_same,
                               .kernel = &slope_kernel,
                               .partial = slope_partial};

static ct_tensor *cube_partial(const ct_call *c, int i) {
  (void)i;
  return ct_apply(&slope_op, CT_LIST(c->in[0]));
}

static const ct_op cube_op = {CT_OP,
                              .name = "cube",
                              .n_in = 1,
                              .flags = CT_ELEMENTWISE,
                              .infer = ct_infer_same,
                              .kernel = &cube_kernel,
                              .partial = cube_partial};

/* Nothing is computed more often than for one product with the Hessian. */
static void test_hessian_computes_the_gradient_once(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = random_variable(2, CT_SHAPE(3)), *v = ct_ones(CT_F64, CT_SHAPE(3)), *hv;
  ct_tensor *loss = ct_sum(ct_square(ct_apply(&cube_op, CT_LIST(x))), CT_ALL, false);
  slopes = 0;
  ct_tensor *h = ct_hessian(loss, x);
  int once = slopes;
  assert_in_range(once, 1, 2); /* one for each mode */
  assert_ok(ct_hvp(loss, CT_LIST(x), CT_LIST(v), &hv));
  assert_int_equal(slopes, 2 * once);
  assert_tensors_near(ct_matmul(h, v), hv, 1e-13);
  ct_scope plain = ct_scope_begin_with(CT_NO_RECORD);
  ct_tensor *again = ct_hessian(loss, x);
  assert_tensors_near(again, h, 0);
  assert_false(ct_is_recorded(again));
  assert_ok(ct_scope_end(plain));
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

static void test_hessian_and_products(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = random_variable(2, CT_SHAPE(3)), *v = ct_randn(ct_key(3), CT_F64, CT_SHAPE(3));
  ct_tensor *loss = ct_sum(ct_exp(ct_scale(curve(x), 0.3)), CT_ALL, false);
  ct_tensor *h = ct_hessian(loss, x), *hv, *g, *gv;
  assert_tensors_near(h, ct_transpose(h, 0, 1), 1e-12);
  assert_ok(ct_hvp(loss, CT_LIST(x), CT_LIST(v), &hv));
  assert_tensors_near(hv, ct_matmul(h, v), 1e-12);
  assert_ok(ct_grad(loss, CT_LIST(x), &g));
  assert_tensors_near(ct_vjp(g, x, v), hv, 1e-12); /* reverse over reverse */
  assert_tensors_near(ct_jvp(hv, x, v), ct_jvp(ct_jvp(g, x, v), x, v), 1e-11);
  assert_tensors_near(ct_vjp(hv, x, v), ct_jvp(hv, x, v),
                      1e-11); /* third derivatives are symmetric */
  assert_tensors_near(ct_directional(loss, x, v, 2), ct_matmul(v, hv), 1e-12);
  assert_tensors_near(ct_directional(loss, x, v, 0), loss, 0);
  ct_tensor *y = curve(x), *outer = ct_sum(ct_exp(ct_scale(y, 0.3)), CT_ALL, false);
  ct_tensor *j = ct_reshape(ct_jacobian(y, x, CT_JACOBIAN_AUTO), CT_SHAPE(4, 3));
  ct_tensor *inner = ct_reshape(ct_hessian(outer, y), CT_SHAPE(4, 4));
  assert_ok(ct_ggn_vp(outer, y, CT_LIST(x), CT_LIST(v), &gv));
  assert_tensors_near(gv, ct_matmul(ct_transpose(j, 0, 1), ct_matmul(inner, ct_matmul(j, v))),
                      1e-12);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

static void test_linear_maps(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *x = random_variable(4, CT_SHAPE(3)), *y = curve(x), *dy, *gx;
  ct_tensor *dx = ct_randn(ct_key(5), CT_F64, CT_SHAPE(3)),
            *gy = ct_randn(ct_key(6), CT_F64, CT_SHAPE(2, 2));
  ct_function *push = ct_linearize(CT_LIST(y), CT_LIST(x)), *pull = ct_transpose_linear(push);
  assert_non_null(push);
  assert_non_null(pull);
  ct_tensor *want_dy = ct_jvp(y, x, dx), *want_gx = ct_vjp(y, x, gy);
  assert_ok(ct_assign(x, ct_zeros(CT_F64, CT_SHAPE(3)))); /* the map stays at the old point */
  assert_ok(ct_function_run(push, CT_LIST(dx), &dy));
  assert_ok(ct_function_run(pull, CT_LIST(gy), &gx));
  assert_tensors_near(dy, want_dy, 1e-14);
  assert_tensors_near(gx, want_gx, 1e-14);
  ct_function_release(&push);
  ct_function_release(&pull);
  ct_release(&x);
  assert_ok(ct_scope_end(s));
}

static void test_vmap_equals_a_loop(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *p = ct_placeholder(CT_F64, CT_SHAPE(3)),
            *x = ct_randn(ct_key(8), CT_F64, CT_SHAPE(5, 3)), *out, *each[5];
  ct_tensor *y = curve(p);
  assert_ok(ct_vmap(CT_LIST(y), CT_LIST(p), CT_LIST(x), (ct_vmap_opts){0}, &out));
  for (int b = 0; b < 5; b++) each[b] = curve(ct_reshape(ct_slice(x, 0, b, b + 1, 1), CT_SHAPE(3)));
  assert_tensors_near(out, ct_stack((ct_list){5, each}, 0), 1e-14);
  const int in = 1, last = -1;
  assert_ok(ct_vmap(CT_LIST(y), CT_LIST(p), CT_LIST(ct_transpose(x, 0, 1)),
                    (ct_vmap_opts){.in_axes = &in, .out_axes = &last}, &out));
  assert_tensors_near(out, ct_permute(ct_stack((ct_list){5, each}, 0), CT_AXES(1, 2, 0)), 1e-14);
  assert_ok(ct_scope_end(s));
}

static void test_per_sample_gradients(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *w = random_variable(9, CT_SHAPE(3, 2)),
            *x = ct_randn(ct_key(10), CT_F64, CT_SHAPE(4, 3));
  ct_tensor *t = ct_from(CT_I32, CT_SHAPE(4, 1), (const int32_t[]){0, 1, 1, 0});
  ct_tensor *px = ct_placeholder(CT_F64, CT_SHAPE(1, 3)), *pt = ct_placeholder(CT_I32, CT_SHAPE(1)),
            *g, *out, *each[4];
  ct_tensor *loss = ct_cross_entropy(ct_tanh(ct_matmul(px, w)), pt);
  assert_ok(ct_grad(loss, CT_LIST(w), &g));
  assert_ok(ct_vmap(CT_LIST(g), CT_LIST(px, pt), CT_LIST(ct_reshape(x, CT_SHAPE(4, 1, 3)), t),
                    (ct_vmap_opts){0}, &out));
  for (int b = 0; b < 4; b++) {
    ct_tensor *row = ct_slice(x, 0, b, b + 1, 1),
              *label = ct_reshape(ct_slice(t, 0, b, b + 1, 1), CT_SHAPE(1));
    assert_ok(ct_grad(ct_cross_entropy(ct_tanh(ct_matmul(row, w)), label), CT_LIST(w), &each[b]));
  }
  assert_tensors_near(out, ct_stack((ct_list){4, each}, 0), 1e-14);
  ct_release(&w);
  assert_ok(ct_scope_end(s));
}

static void test_nested_maps(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *a = ct_placeholder(CT_F64, CT_SHAPE(3)), *b = ct_placeholder(CT_F64, CT_SHAPE(3)),
            *rows, *all;
  ct_tensor *x = ct_randn(ct_key(11), CT_F64, CT_SHAPE(4, 3)),
            *y = ct_randn(ct_key(12), CT_F64, CT_SHAPE(2, 3));
  ct_tensor *dot = ct_sum(ct_mul(a, b), CT_ALL, false);
  assert_ok(ct_vmap(CT_LIST(dot), CT_LIST(b), CT_LIST(y), (ct_vmap_opts){0}, &rows));
  assert_ok(ct_vmap(CT_LIST(rows), CT_LIST(a), CT_LIST(x), (ct_vmap_opts){0}, &all));
  assert_tensors_near(all, ct_matmul(x, ct_transpose(y, 0, 1)), 1e-14);
  assert_ok(ct_scope_end(s));
}

static void test_vmap_errors(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *p = ct_placeholder(CT_F64, CT_SHAPE(3)), *y = ct_square(p), *out;
  const int none = CT_NOT_BATCHED;
  assert_fails(ct_vmap(CT_LIST(y), CT_LIST(p), CT_LIST(ct_ones(CT_F64, CT_SHAPE(2, 4))),
                       (ct_vmap_opts){0}, &out),
               CT_ESHAPE, "want each element of input 0 as f64 (3), got f64 (4)");
  assert_fails(ct_vmap(CT_LIST(y), CT_LIST(p), CT_LIST(ct_ones(CT_F64, CT_SHAPE(3))),
                       (ct_vmap_opts){.in_axes = &none}, &out),
               CT_EARG, "no input is batched");
  assert_fails(ct_vmap(CT_LIST(y), CT_LIST(p), CT_NONE, (ct_vmap_opts){0}, &out), CT_EARG,
               "replace");
  assert_ok(ct_vmap(CT_LIST(y), CT_LIST(p), CT_LIST(ct_ones(CT_F64, CT_SHAPE(0, 3))),
                    (ct_vmap_opts){0}, &out));
  assert_true(ct_shape_equal(ct_shape_of(out), CT_SHAPE(0, 3)));
  assert_ok(ct_scope_end(s));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_jacobian_by_both_modes),
      cmocka_unit_test(test_hessian_computes_the_gradient_once),
      cmocka_unit_test(test_hessian_and_products),
      cmocka_unit_test(test_linear_maps),
      cmocka_unit_test(test_vmap_equals_a_loop),
      cmocka_unit_test(test_per_sample_gradients),
      cmocka_unit_test(test_nested_maps),
      cmocka_unit_test(test_vmap_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
