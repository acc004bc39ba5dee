/* Bad calls of what takes the user's own derivatives, hooks, Taylor coefficients and given
 * parameters. */
#include "abuse.h"

static void body(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_neg(in.at[0]);
}

static ct_status T(const ct_tensor *t) {
  assert_non_null(t);
  return ct_is_nil(t) ? ct_error_code() : CT_OK;
}

static const ct_custom good = {.f = body, .rule = body};

/* Every place where a tensor goes, with the name that the error has. */
#define PLACES(ROW)                                                                                \
  ROW("ct_inline_function", ct_inline_function(f.function, CT_LIST(x), f.out))                     \
  ROW("ct_custom_vjp", ct_custom_vjp(good, CT_LIST(x), f.out))                                     \
  ROW("ct_custom_jvp", ct_custom_jvp(good, CT_LIST(x), f.out))                                     \
  ROW("check", T(ct_check(x, "x")))                                                                \
  ROW("show", T(ct_show(x, f.sink, "x")))                                                          \
  ROW("grad_check", T(ct_grad_check(x, "x")))                                                      \
  ROW("grad_print", T(ct_grad_print(x, f.sink, "x")))                                              \
  ROW("grad_scale", T(ct_grad_scale(x, -1)))                                                       \
  ROW("grad_clip", T(ct_grad_clip(x, -1, 1)))                                                      \
  ROW("grad_clip_norm", T(ct_grad_clip_norm(x, 1)))                                                \
  ROW("ct_taylor", ct_taylor(x, f.v, f.a, 2, f.out))                                               \
  ROW("ct_taylor", ct_taylor(f.loss, x, f.a, 2, f.out))                                            \
  ROW("ct_taylor", ct_taylor(f.loss, f.v, x, 2, f.out))                                            \
  ROW("ct_forward_with", T(ct_forward_with(f.module, ct_module_params(f.module), x)))              \
  ROW("ct_forward_with", T(ct_forward_with(f.module, CT_LIST(x, x), f.a)))

static void no_tensor(void **state) {
  (void)state;
  ct_tensor *const bad[] = {NULL, ct_nil()};
  for (int i = 0; i < 2; i++) {
    ct_tensor *x = bad[i];
#define REFUSED(who, call) assert_fails(call, i == 0 ? CT_EARG : CT_ENIL, who);
    PLACES(REFUSED)
  }
}

static void no_list(void **state) {
  (void)state;
  const ct_list broken = {2, NULL}, negative = {-1, f.out};
  assert_fails(ct_inline_function(NULL, CT_LIST(f.a), f.out), CT_EARG, "NULL");
  assert_fails(ct_inline_function(f.function, broken, f.out), CT_EARG, "want 1 inputs");
  assert_fails(ct_inline_function(f.function, CT_LIST(f.a), NULL), CT_EARG, "no room");
  assert_fails(ct_inline_function(f.function, CT_LIST(f.d), f.out), CT_EDTYPE, "f64");
  assert_fails(ct_custom_vjp(good, broken, f.out), CT_EARG, "no list");
  assert_fails(ct_custom_vjp(good, negative, f.out), CT_EARG, "no list");
  assert_fails(ct_custom_vjp(good, CT_LIST(f.a), NULL), CT_EARG, "room");
  assert_fails(ct_custom_vjp((ct_custom){.f = body}, CT_LIST(f.a), f.out), CT_EARG, "a rule");
  assert_fails(ct_custom_jvp((ct_custom){.rule = body}, CT_LIST(f.a), f.out), CT_EARG, "a body");
  assert_fails(ct_custom_jvp((ct_custom){body, body, -1, NULL}, CT_LIST(f.a), f.out), CT_EARG,
               "number");
  assert_fails(ct_taylor(f.loss, f.v, f.a, 2, NULL), CT_EARG, "room");
  assert_fails(ct_taylor(f.loss, f.v, f.a, -1, f.out), CT_EARG, "order");
  assert_nil(ct_forward_with(NULL, CT_NONE, f.a), CT_EARG, "ct_forward_with");
  assert_nil(ct_forward_with(f.module, broken, f.a), CT_EARG, "want 2 tensors");
  assert_nil(ct_forward_with(f.module, CT_NONE, f.a), CT_EARG, "want 2 tensors");
  assert_nil(ct_forward_with(f.module, ct_module_params(f.module), f.i), CT_EDTYPE, "linear");
}

static void wrong_numbers(void **state) {
  (void)state;
  assert_nil(ct_grad_clip(f.a, (double)NAN, 1), CT_EARG, "lo <= hi");
  assert_nil(ct_grad_clip_norm(f.a, (double)NAN), CT_EARG, "above 0");
  assert_nil(ct_grad_clip_norm(f.a, -1), CT_EARG, "above 0");
  assert_nil(ct_check(f.a, NULL), CT_EARG, "name");
  assert_nil(ct_show(f.a, NULL, "x"), CT_EARG, "stream");
  assert_nil(ct_grad_print(f.a, f.sink, NULL), CT_EARG, "name");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(no_tensor, setup, teardown),
      cmocka_unit_test_setup_teardown(no_list, setup, teardown),
      cmocka_unit_test_setup_teardown(wrong_numbers, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
