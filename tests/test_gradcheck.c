/* test_gradcheck.c - ct_gradcheck accepts right rules and catches wrong ones. */
#include "planted_rules.h"

/* ---- the table ------------------------------------------------------------------------------- */

typedef struct planted {
  const ct_op *right, *wrong;
  ct_shape x[2];     /* the second is for binary ones */
  const char *check; /* that must be the worst, as a part of its name */
  bool second;       /* only the second derivative is wrong */
} planted;

#define VECTOR(n)                                                                                  \
  {                                                                                                \
    1, { n }                                                                                       \
  }
#define MATRIX(m, n)                                                                               \
  {                                                                                                \
    2, { m, n }                                                                                    \
  }
static const planted table[] = {
    {&tanh_right, &tanh_wrong, {MATRIX(2, 3)}, "", false},
    {&sin_right, &sin_wrong, {MATRIX(2, 3)}, "jvp", false},
    {&mul_right, &mul_wrong, {MATRIX(2, 3), VECTOR(3)}, "", false},
    {&bias_right, &bias_wrong, {MATRIX(4, 3), VECTOR(3)}, "vjp", false},
    {&square_right, &square_wrong, {VECTOR(5)}, "jvp", false},
    {&bent_right, &bent_wrong, {MATRIX(4, 6)}, "", false},
    {&cube_right, &cube_wrong, {VECTOR(5)}, "second order", true},
    {&exp_right, &exp_wrong, {VECTOR(5)}, "second order", true},
    {&sum_right, &sum_wrong, {MATRIX(2, 3)}, "vjp", false},
    {&product_right, &product_wrong, {MATRIX(3, 3), MATRIX(3, 3)}, "", false},
    {&softmax_right, &softmax_wrong, {VECTOR(5)}, "vjp", false},
    {&rotate_right, &rotate_wrong, {{3, {2, 2, 2}}}, "vjp", false},
    {&circle_right, &circle_wrong, {VECTOR(4)}, "vjp", false},
};
enum { PLANTED = sizeof table / sizeof table[0] };

/* Increasing from 0.3 to 1.4. */
static ct_tensor *values(ct_shape shape) {
  int64_t n = 1;
  for (int i = 0; i < shape.n; i++) n *= shape.dim[i];
  return ct_reshape(ct_linspace(CT_F64, 0.3, 1.4, n), shape);
}

static ct_tensor *use(ct_list x, void *op) {
  ct_tensor *y[2] = {ct_nil(), ct_nil()};
  ct_apply_all(op, NULL, x, y);
  return ct_is_nil(y[1]) ? y[0] : ct_mul(y[0], y[1]);
}

static ct_status check_op(const ct_op *op, const planted *row, int order,
                          ct_gradcheck_report *report) {
  ct_tensor *x[] = {values(row->x[0]), op->n_in > 1 ? values(row->x[1]) : NULL};
  ct_gradcheck_opts opts = {.order = order};
  return ct_gradcheck(use, (void *)(uintptr_t)op, (ct_list){op->n_in, x}, opts, report);
}

static void right_rules_pass(void **state) {
  (void)state;
  for (int i = 0; i < PLANTED; i++) {
    ct_gradcheck_report report;
    ct_scope scope = ct_scope_begin();
    assert_ok(check_op(table[i].right, &table[i], 2, &report));
    assert_true(report.error < 1e-7);
    assert_ok(ct_scope_end(scope));
  }
}

static void planted_mistakes_are_caught(void **state) {
  (void)state;
  assert_true(PLANTED >= 10);
  for (int i = 0; i < PLANTED; i++) {
    ct_gradcheck_report report;
    ct_scope scope = ct_scope_begin();
    print_message("%s\n", table[i].wrong->name);
    assert_fails(check_op(table[i].wrong, &table[i], 0, &report), CT_ECHECK, table[i].check);
    assert_true(report.error > 1e-3);
    ct_status first = check_op(table[i].wrong, &table[i], 1, NULL);
    assert_int_equal(first, table[i].second ? CT_OK : CT_ECHECK);
    ct_error_clear();
    assert_ok(ct_scope_end(scope));
  }
}

/* ---- the report ------------------------------------------------------------------------------ */

static void the_worst_element_is_named(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_gradcheck_report report;
  planted row = {NULL, &bent_wrong, {MATRIX(4, 6)}, "", false};
  assert_fails(check_op(&bent_wrong, &row, 1, &report), CT_ECHECK, "input 0, element 23");
  assert_int_equal(report.input, 0);
  assert_int_equal(report.element, 23);
  assert_near(report.want / report.got, 1.4 / 1.39, 1e-6);
  assert_fails(check_op(&product_wrong, &table[9], 1, &report), CT_ECHECK, "input 0");
  assert_ok(ct_scope_end(scope));
}

static ct_tensor *wrong_tanh(ct_list x, void *payload) {
  (void)payload;
  return ct_apply(&tanh_wrong, x);
}

/* 2000 elements are checked along directions. */
static void large_inputs_are_checked_along_directions(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_gradcheck_report report;
  ct_tensor *x = values(CT_SHAPE(40, 50));
  assert_ok(ct_gradcheck(use, (void *)(uintptr_t)&tanh_right, CT_LIST(x), (ct_gradcheck_opts){0},
                         &report));
  assert_fails(ct_gradcheck(wrong_tanh, NULL, CT_LIST(x), (ct_gradcheck_opts){.order = 1}, &report),
               CT_ECHECK, "element");
  assert_ok(ct_scope_end(scope));
}

/* ---- what f may be --------------------------------------------------------------------------- */

static ct_tensor *pick(ct_list x, void *payload) {
  (void)payload;
  return ct_mul(ct_gather(x.at[1], x.at[0], 0), ct_square(x.at[2]));
}

static void other_dtypes_are_constants(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_tensor *index = ct_from(CT_I32, CT_SHAPE(3), (int32_t[]){2, 0, 2});
  ct_tensor *x = values(CT_SHAPE(4)), *f32 = ct_cast(values(CT_SHAPE(3)), CT_F32);
  ct_gradcheck_report report;
  assert_ok(ct_gradcheck(pick, NULL, CT_LIST(index, x, f32), (ct_gradcheck_opts){0}, &report));
  assert_ok(ct_scope_end(scope));
}

/* A gradient inside f: its check goes to the fourth order. */
static ct_tensor *curvature(ct_list x, void *payload) {
  (void)payload;
  ct_tensor *g = ct_nil();
  ct_grad(ct_sum(ct_exp(ct_sin(x.at[0])), CT_ALL, false), x, &g);
  return ct_vjp(g, x.at[0], g);
}

static void f_may_differentiate(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin_with(CT_NO_RECORD);
  assert_ok(
      ct_gradcheck(curvature, NULL, CT_LIST(values(CT_SHAPE(2, 2))), (ct_gradcheck_opts){0}, NULL));
  assert_ok(ct_scope_end(scope));
}

static ct_tensor *inner_scope(ct_list x, void *payload) {
  (void)payload;
  ct_scope_begin(); /* left open */
  return ct_mul(x.at[0], x.at[0]);
}

static void inputs_may_be_recorded_strided_empty_and_scalar(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_tensor *v = ct_variable(values(CT_SHAPE(3, 4)));
  ct_tensor *inputs[] = {v,
                         ct_transpose(v, 0, 1),
                         ct_slice(v, 1, CT_END, CT_END, -2),
                         ct_broadcast_to(ct_slice(v, 0, 0, 1, 1), CT_SHAPE(3, 4)),
                         ct_zeros(CT_F64, CT_SHAPE(0, 3)),
                         ct_scalar(CT_F64, 0.4)};
  for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
    ct_gradcheck_opts opts = {.seed = i};
    assert_ok(ct_gradcheck(inner_scope, NULL, CT_LIST(inputs[i]), opts, NULL));
  }
  ct_release(&v);
  assert_ok(ct_scope_end(scope));
}

/* ---- mistakes of the caller ------------------------------------------------------------------ */

static ct_tensor *no_tensor(ct_list x, void *payload) {
  (void)x, (void)payload;
  return NULL;
}

static ct_tensor *misfit(ct_list x, void *payload) {
  (void)payload;
  return ct_matmul(x.at[0], x.at[0]);
}

static ct_tensor *narrow(ct_list x, void *payload) {
  (void)payload;
  return ct_cast(x.at[0], CT_F32);
}

static ct_tensor *restless(ct_list x, void *calls) {
  return ct_sum(x.at[0], CT_ALL, ++*(int *)calls > 4);
}

static ct_tensor *infinite(ct_list x, void *payload) {
  (void)payload;
  return ct_log(ct_sub(x.at[0], x.at[0]));
}

static void mistakes_are_reported(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  const ct_gradcheck_opts plain = {0};
  ct_tensor *x = values(CT_SHAPE(2, 3)), *i = ct_ones(CT_I32, CT_SHAPE(2));
  ct_gradcheck_report report;
  int calls = 0;
  assert_fails(ct_gradcheck(NULL, NULL, CT_LIST(x), plain, NULL), CT_EARG, "f is NULL");
  assert_fails(ct_gradcheck(inner_scope, NULL, CT_NONE, plain, NULL), CT_EARG, "ct_gradcheck");
  assert_fails(ct_gradcheck(inner_scope, NULL, (ct_list){2, NULL}, plain, NULL), CT_EARG,
               "ct_gradcheck");
  assert_fails(ct_gradcheck(inner_scope, NULL, CT_LIST(NULL), plain, NULL), CT_EARG, "NULL");
  assert_fails(ct_gradcheck(inner_scope, NULL, CT_LIST(ct_nil()), plain, &report), CT_ENIL,
               "ct_gradcheck");
  assert_fails(ct_gradcheck(inner_scope, NULL, CT_LIST(i), plain, NULL), CT_EDTYPE, "f32 or f64");
  assert_fails(
      ct_gradcheck(inner_scope, NULL, CT_LIST(ct_placeholder(CT_F64, CT_SHAPE(2))), plain, NULL),
      CT_ENOVALUE, "ct_gradcheck");
  assert_fails(ct_gradcheck(inner_scope, NULL, CT_LIST(x), (ct_gradcheck_opts){.step = -1}, NULL),
               CT_EARG, "step");
  assert_fails(ct_gradcheck(inner_scope, NULL, CT_LIST(x), (ct_gradcheck_opts){.order = 3}, NULL),
               CT_EARG, "order");
  assert_fails(ct_gradcheck(no_tensor, NULL, CT_LIST(x), plain, NULL), CT_EARG, "NULL");
  assert_fails(ct_gradcheck(misfit, NULL, CT_LIST(x), plain, NULL), CT_ESHAPE, "matmul");
  assert_fails(ct_gradcheck(narrow, NULL, CT_LIST(x), plain, NULL), CT_EDTYPE, "want f64");
  assert_fails(ct_gradcheck(restless, &calls, CT_LIST(x), plain, NULL), CT_ESHAPE, "other shapes");
  assert_fails(ct_gradcheck(infinite, NULL, CT_LIST(x), plain, &report), CT_ECHECK, "vjp");
  assert_true(isnan(report.error));
  assert_ok(ct_scope_end(scope));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(right_rules_pass),
      cmocka_unit_test(planted_mistakes_are_caught),
      cmocka_unit_test(the_worst_element_is_named),
      cmocka_unit_test(large_inputs_are_checked_along_directions),
      cmocka_unit_test(other_dtypes_are_constants),
      cmocka_unit_test(f_may_differentiate),
      cmocka_unit_test(inputs_may_be_recorded_strided_empty_and_scalar),
      cmocka_unit_test(mistakes_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
