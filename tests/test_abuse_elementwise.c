/* test_abuse_elementwise.c - what elementwise functions must refuse, and how they say so. */
#include "abuse.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

typedef ct_tensor *unary(ct_tensor *x);
typedef ct_tensor *binary(ct_tensor *a, ct_tensor *b);

static ct_tensor *elu(ct_tensor *x) { return ct_elu(x, 0.5); }
static ct_tensor *leaky_relu(ct_tensor *x) { return ct_leaky_relu(x, 0.5); }
static ct_tensor *polygamma(ct_tensor *x) { return ct_polygamma(3, x); }

static const struct {
  const char *name;
  unary *f;
} floats[] = {
    {"floor", ct_floor},
    {"ceil", ct_ceil},
    {"round", ct_round},
    {"tan", ct_tan},
    {"asin", ct_asin},
    {"acos", ct_acos},
    {"atan", ct_atan},
    {"sinh", ct_sinh},
    {"cosh", ct_cosh},
    {"erf", ct_erf},
    {"erfc", ct_erfc},
    {"erfinv", ct_erfinv},
    {"lgamma", ct_lgamma},
    {"silu", ct_silu},
    {"gelu", ct_gelu},
    {"elu", elu},
    {"gelu_tanh", ct_gelu_tanh},
    {"softsign", ct_softsign},
    {"clamp", ct_hardtanh},
    {"leaky_relu", leaky_relu},
    {"log_sigmoid", ct_log_sigmoid},
    {"polygamma", polygamma},
    {"is_finite", ct_is_finite},
    {"not", ct_not},
};

static const struct {
  const char *name;
  binary *f;
} pairs[] = {
    {"rem", ct_rem}, {"atan2", ct_atan2}, {"hypot", ct_hypot}, {"logaddexp", ct_logaddexp},
    {"and", ct_and}, {"or", ct_or},       {"xor", ct_xor},
};

static void test_null_and_nil(void **state) {
  (void)state;
  for (int i = 0; i < COUNT(floats); i++) {
    assert_nil(floats[i].f(NULL), CT_EARG, floats[i].name);
    assert_nil(floats[i].f(ct_nil()), CT_ENIL, floats[i].name);
  }
  for (int i = 0; i < COUNT(pairs); i++) {
    assert_nil(pairs[i].f(NULL, f.a), CT_EARG, pairs[i].name);
    assert_nil(pairs[i].f(f.a, NULL), CT_EARG, pairs[i].name);
    assert_nil(pairs[i].f(ct_nil(), f.a), CT_ENIL, pairs[i].name);
    assert_nil(pairs[i].f(f.a, ct_nil()), CT_ENIL, pairs[i].name);
  }
}

static void test_dtypes_and_shapes(void **state) {
  (void)state;
  for (int i = 0; i < COUNT(floats); i++) {
    bool logical = floats[i].f == ct_not;
    if (floats[i].f == ct_hardtanh) continue; /* i32 too */
    assert_nil(floats[i].f(f.i), CT_EDTYPE, "i32");
    assert_nil(floats[i].f(f.u), CT_EDTYPE, "u8");
    assert_nil(floats[i].f(logical ? f.a : f.b), CT_EDTYPE, logical ? "f32" : "bool");
  }
  for (int i = 0; i < COUNT(pairs); i++) {
    assert_nil(pairs[i].f(f.a, f.d), CT_EDTYPE, "ct_cast");
    assert_nil(pairs[i].f(f.u, f.u), CT_EDTYPE, "u8");
    assert_nil(pairs[i].f(ct_zeros(CT_BOOL, CT_SHAPE(2)), ct_zeros(CT_BOOL, CT_SHAPE(3))),
               CT_ESHAPE, "broadcast");
  }
  assert_nil(ct_polygamma(-1, f.a), CT_EARG, "polygamma");
  assert_nil(ct_polygamma(101, f.a), CT_EARG, "polygamma");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_null_and_nil, setup, teardown),
      cmocka_unit_test_setup_teardown(test_dtypes_and_shapes, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
