/* Programs at their edges: operations of the user that are named like the library's, what they
 * ask for, and inputs that nobody reads.
 */
#include "programs.h"

#include "cotangent.h"

#include <math.h>

/* ---- operations of the user ------------------------------------------------------------------ */

/* y = x + 5, and y = a + 10 b: nothing that a library's operation does. */
static void plus_five(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  (void)attr;
  for (int64_t i = 0; i < n; i++)
    ((float *)(void *)p[1])[i * s[1]] = ((const float *)(const void *)p[0])[i * s[0]] + 5;
}
static void plus_ten_times(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  (void)attr;
  const float *a = (const float *)(const void *)p[0], *b = (const float *)(const void *)p[1];
  for (int64_t i = 0; i < n; i++)
    ((float *)(void *)p[2])[i * s[2]] = a[i * s[0]] + 10 * b[i * s[1]];
}

/* x, a matrix of ones, goes through an operation twice, the second operand being a constant. */
static double of_ones(const ct_op *op, double constant) {
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(2, 2)), *y = x, *out;
  ct_tensor *b = ct_full(CT_F32, CT_SHAPE(2, 2), constant);
  for (int i = 0; i < 2; i++) y = ct_apply(op, (ct_list){op->n_in, (ct_tensor *[]){y, b}});
  ct_program *p = compiled(CT_LIST(x), CT_LIST(ct_mul(y, y)), checked);
  assert_ok(ct_run(p, CT_LIST(ct_ones(CT_F32, CT_SHAPE(2, 2))), &out));
  ct_program_release(&p);
  double value[4];
  tensor_values(out, value, 4);
  return sqrt(value[3]);
}

static void names_are_no_identities(void **state) {
  (void)state;
  static const ct_kernel one = {.loop = {[CT_F32] = plus_five}},
                         two = {.loop = {[CT_F32] = plus_ten_times}};
  ct_scope scope = ct_scope_begin();
  for (int i = 0; i < ct_op_count(); i++) {
    ct_op op = {CT_OP, .name = ct_op_at(i)->name, .n_in = 1, .infer = ct_infer_same,
                .kernel = &one};
    for (unsigned flags = 0; flags <= CT_ELEMENTWISE; flags += CT_ELEMENTWISE) {
      op.flags = flags;
      op.n_in = 1, op.kernel = &one;
      assert_near(of_ones(&op, 0), 11, 0);
      op.n_in = 2, op.kernel = &two;
      assert_near(of_ones(&op, 0), 1, 0);
      assert_near(of_ones(&op, 1), 21, 0);
    }
  }
  assert_ok(ct_scope_end(scope));
}

static ct_status unlike_a_product(const ct_call *c, ct_spec *out) {
  (void)c;
  *out = (ct_spec){CT_F32, {0}};
  return CT_OK;
}

static ct_status to_zero(const ct_eval *e) {
  memset(e->out[0]->data, 0, sizeof(float));
  return CT_OK;
}

/* Named like what is looked into when programs are printed. */
static void costs_are_those_of_the_library(void **state) {
  (void)state;
  static const char *const names[] = {"matmul", "product", "product_add", "product_sweep"};
  ct_scope scope = ct_scope_begin();
  for (int i = 0; i < CT__COUNT(names); i++) {
    ct_op op = {CT_OP, .name = names[i], .n_in = 1, .infer = unlike_a_product, .eval = to_zero};
    ct_tensor *x = ct_placeholder(CT_F32, CT_SCALAR);
    ct_program *p = compiled(CT_LIST(x), CT_LIST(ct_apply(&op, CT_LIST(x))), checked);
    assert_near(ct_program_info(p).flops, 0, 0);
    ct_program_release(&p);
  }
  assert_ok(ct_scope_end(scope));
}

static void flops_add_up(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_tensor *a = ct_placeholder(CT_F32, CT_SHAPE(3, 4)),
            *b = ct_placeholder(CT_F32, CT_SHAPE(4, 5));
  ct_tensor *y = ct_matmul(a, b);
  ct_program *p = compiled(CT_LIST(a, b), CT_LIST(y, ct_exp(a), a), checked);
  assert_near(ct_program_info(p).flops, 2 * 3 * 4 * 5 + 3 * 4, 0); /* copies compute nothing */
  ct_program_release(&p);
  assert_ok(ct_scope_end(scope));
}

static size_t huge_work(const ct_call *c) {
  (void)c;
  return SIZE_MAX - 8;
}

static void workspace_that_does_not_fit(void **state) {
  (void)state;
  static const ct_op op = {
      CT_OP,          .name = "greedy", .n_in = 1, .infer = ct_infer_same, .work = huge_work,
      .eval = to_zero};
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_placeholder(CT_F32, CT_SCALAR);
  assert_null(ct_compile(CT_LIST(x), CT_LIST(ct_apply(&op, CT_LIST(x))), checked));
  assert_fails(ct_error_code(), CT_ESIZE, "more memory than there is");
  assert_ok(ct_scope_end(scope));
}

static void names_are_escaped(void **state) {
  (void)state;
  static const ct_op op = {CT_OP, .name = "a \"b\"\\", .n_in = 1, .infer = ct_infer_same,
                           .eval = to_zero};
  char text[1024] = "";
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_placeholder(CT_F32, CT_SCALAR);
  ct_program *p = compiled(CT_LIST(x), CT_LIST(ct_apply(&op, CT_LIST(x))), checked);
  FILE *out = fmemopen(text, sizeof text, "w");
  assert_non_null(out);
  assert_ok(ct_program_dot(p, out));
  assert_int_equal(fclose(out), 0);
  assert_non_null(strstr(text, "label=\"0 a \\\"b\\\"\\\\\\n() f32\""));
  ct_program_release(&p);
  assert_ok(ct_scope_end(scope));
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* -0 - -0 is 0. */
static void exact_differences_keep_the_sign_of_zero(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_placeholder(CT_F64, CT_SCALAR), *zero = ct_scalar(CT_F64, -0.0), *out;
  ct_program *p = compiled(CT_LIST(x), CT_LIST(ct_sub(x, zero)), exact);
  assert_ok(ct_run(p, CT_LIST(zero), &out));
  double y = 1;
  assert_ok(ct_item(out, &y));
  assert_true(y == 0 && !signbit(y));
  ct_program_release(&p);
  assert_ok(ct_scope_end(scope));
}

/* ---- inputs ---------------------------------------------------------------------------------- */

/* Of equal inputs the first one counts; nothing needs to read one. */
static void inputs_may_be_named_twice_or_unused(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_placeholder(CT_F32, CT_SCALAR), *none = ct_placeholder(CT_I32, CT_SHAPE(0));
  ct_tensor *one = ct_scalar(CT_F32, 1), *two = ct_scalar(CT_F32, 2), *out;
  ct_program *p = compiled(CT_LIST(x, none, x), CT_LIST(ct_neg(x)), checked);
  assert_ok(ct_run(p, CT_LIST(one, ct_zeros(CT_I32, CT_SHAPE(0)), two), &out));
  double y = 0;
  assert_ok(ct_item(out, &y));
  assert_near(y, -1, 0);
  ct_program_release(&p);
  assert_ok(ct_scope_end(scope));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_are_no_identities),
      cmocka_unit_test(costs_are_those_of_the_library),
      cmocka_unit_test(flops_add_up),
      cmocka_unit_test(workspace_that_does_not_fit),
      cmocka_unit_test(names_are_escaped),
      cmocka_unit_test(exact_differences_keep_the_sign_of_zero),
      cmocka_unit_test(inputs_may_be_named_twice_or_unused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
