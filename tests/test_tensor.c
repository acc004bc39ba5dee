/* The core: creation, reading, views and their memory, the caller's memory, versions, errors. */
#include "testing.h"

#include <cotangent.h>
#include <float.h>

static int released;

static void count_release(void *payload) { released += *(int *)payload; }

static void expect(const ct_tensor *t, ct_dtype dtype, ct_shape shape, const double *want) {
  double got[64];
  assert_false(ct_is_nil(t));
  assert_int_equal(ct_dtype_of(t), dtype);
  assert_true(ct_shape_equal(ct_shape_of(t), shape));
  assert_true(ct_size(t) <= 64);
  tensor_values(t, got, ct_size(t));
  for (int64_t i = 0; i < ct_size(t); i++) assert_near(got[i], want[i], 0);
}

#define EXPECT(t, dtype, shape, ...) expect(t, dtype, shape, (const double[]){__VA_ARGS__})

/* ---- dtypes and shapes ----------------------------------------------------------------------- */

static void test_dtypes(void **state) {
  (void)state;
  const size_t sizes[CT_DTYPES] = {4, 8, 4, 1, 1};
  const char *const names[CT_DTYPES] = {"f32", "f64", "i32", "u8", "bool"};
  for (int d = 0; d < CT_DTYPES; d++) {
    assert_int_equal(ct_dtype_size((ct_dtype)d), sizes[d]);
    assert_string_equal(ct_dtype_name((ct_dtype)d), names[d]);
    assert_int_equal(ct_dtype_is_float((ct_dtype)d), d <= CT_F64);
  }
}

static void test_shapes(void **state) {
  (void)state;
  assert_true(ct_shape_equal(CT_SHAPE(2, 3), ct_shape_make(2, (const int64_t[]){2, 3})));
  assert_false(ct_shape_equal(CT_SHAPE(2, 3), CT_SHAPE(3, 2)));
  assert_false(ct_shape_equal(CT_SHAPE(2), CT_SHAPE(2, 1)));
  assert_true(ct_shape_equal(CT_SCALAR, ct_shape_make(0, NULL)));
  const ct_tensor *t = ct_zeros(CT_F32, CT_SHAPE(4, 3, 2));
  assert_int_equal(ct_ndim(t), 3);
  assert_int_equal(ct_size(t), 24);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(ct_dim(t, i), 4 - i);
    assert_int_equal(ct_dim(t, i - 3), 4 - i);
    assert_int_equal(ct_stride(t, i), i == 0 ? 6 : i == 1 ? 2 : 1);
    assert_int_equal(ct_stride(t, i - 3), ct_stride(t, i));
  }
  t = ct_zeros(CT_U8, CT_SHAPE(1, 2, 1, 2, 1, 2, 1, 2)); /* as many dimensions as there can be */
  assert_int_equal(ct_size(t), 16);
  assert_true(ct_is_contiguous(t));
}

/* ---- creation -------------------------------------------------------------------------------- */

static void test_creation(void **state) {
  (void)state;
  for (int d = 0; d < CT_DTYPES; d++) {
    ct_dtype dtype = (ct_dtype)d;
    EXPECT(ct_zeros(dtype, CT_SHAPE(2)), dtype, CT_SHAPE(2), 0, 0);
    EXPECT(ct_ones(dtype, CT_SHAPE(1, 2)), dtype, CT_SHAPE(1, 2), 1, 1);
    EXPECT(ct_scalar(dtype, 1), dtype, CT_SCALAR, 1);
    EXPECT(ct_eye(dtype, 2, 3), dtype, CT_SHAPE(2, 3), 1, 0, 0, 0, 1, 0);
    EXPECT(ct_eye(dtype, 3, 1), dtype, CT_SHAPE(3, 1), 1, 0, 0);
    assert_int_equal(ct_size(ct_eye(dtype, 0, 3)), 0);
    const ct_tensor *t = ct_empty(dtype, CT_SHAPE(5, 0, 3));
    assert_int_equal(ct_size(t), 0);
    assert_true(ct_has_value(t) && ct_is_contiguous(t) && ct_data(t));
    assert_false(ct_is_recorded(t));
    assert_int_equal((uintptr_t)ct_data(ct_ones(dtype, CT_SHAPE(7))) % 64, 0);
  }
  EXPECT(ct_full(CT_I32, CT_SHAPE(2), INT32_MIN), CT_I32, CT_SHAPE(2), INT32_MIN, INT32_MIN);
  EXPECT(ct_full(CT_U8, CT_SHAPE(1), 255), CT_U8, CT_SHAPE(1), 255);
  EXPECT(ct_full(CT_F32, CT_SCALAR, 0.1), CT_F32, CT_SCALAR, (double)0.1F);
  EXPECT(ct_full(CT_F64, CT_SCALAR, -INFINITY), CT_F64, CT_SCALAR, -INFINITY);
  EXPECT(ct_full(CT_F64, CT_SCALAR, NAN), CT_F64, CT_SCALAR, NAN);
  assert_nil(ct_full(CT_I32, CT_SCALAR, 2147483648.0), CT_EDTYPE, "i32");
  assert_nil(ct_full(CT_U8, CT_SCALAR, -1), CT_EDTYPE, "u8");
  assert_nil(ct_scalar(CT_I32, NAN), CT_EDTYPE, "i32");
}

static void test_ranges(void **state) {
  (void)state;
  EXPECT(ct_arange(CT_I32, 2, 8, 3), CT_I32, CT_SHAPE(2), 2, 5);
  EXPECT(ct_arange(CT_I32, 3, -1, -2), CT_I32, CT_SHAPE(2), 3, 1);
  EXPECT(ct_arange(CT_F64, 0, 1, 0.25), CT_F64, CT_SHAPE(4), 0, 0.25, 0.5, 0.75);
  assert_int_equal(ct_size(ct_arange(CT_F32, 1, 0, 1)), 0);
  EXPECT(ct_arange(CT_U8, 253, 256, 1), CT_U8, CT_SHAPE(3), 253, 254, 255);
  assert_nil(ct_arange(CT_U8, 253, 257, 1), CT_EDTYPE, "u8");
  /* no accumulation of rounding */
  const ct_tensor *t = ct_arange(CT_F64, 0, 1000, 0.1);
  assert_int_equal(ct_size(t), 10000);
  assert_near(((const double *)ct_data(t))[9999], 9999 * 0.1, 0);
  EXPECT(ct_linspace(CT_F64, -1, 1, 5), CT_F64, CT_SHAPE(5), -1, -0.5, 0, 0.5, 1);
  EXPECT(ct_linspace(CT_F32, 3, 9, 1), CT_F32, CT_SHAPE(1), 3);
  assert_int_equal(ct_size(ct_linspace(CT_F32, 3, 9, 0)), 0);
  t = ct_linspace(CT_F64, 0, 0.3, 8); /* the end is the end */
  assert_near(((const double *)ct_data(t))[7], 0.3, 0);
  EXPECT(ct_linspace(CT_I32, 0, 8, 3), CT_I32, CT_SHAPE(3), 0, 4, 8);
  assert_nil(ct_linspace(CT_I32, 0, 1, 3), CT_EDTYPE, "i32");
}

static void test_from_copies(void **state) {
  (void)state;
  float numbers[] = {1, 2, 3, 4, 5, 6};
  ct_tensor *t = ct_from(CT_F32, CT_SHAPE(2, 3), numbers);
  numbers[0] = 9;
  EXPECT(t, CT_F32, CT_SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
  const uint8_t truths[] = {0, 1, 2, 255}; /* any byte but 0 is true */
  EXPECT(ct_from(CT_BOOL, CT_SHAPE(4), truths), CT_BOOL, CT_SHAPE(4), 0, 1, 1, 1);
  assert_int_equal(ct_size(ct_from(CT_F64, CT_SHAPE(0), NULL)), 0);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void test_reading(void **state) {
  (void)state;
  ct_tensor *t = ct_reshape(ct_arange(CT_I32, 0, 6, 1), CT_SHAPE(2, 3)), *v = ct_transpose(t, 0, 1);
  int32_t out[6];
  assert_ok(ct_copy_out(v, out, sizeof out));
  assert_memory_equal(out, ((const int32_t[]){0, 3, 1, 4, 2, 5}), sizeof out);
  assert_fails(ct_copy_out(v, out, sizeof out - 1), CT_ESIZE, "24 bytes");
  assert_ptr_equal(ct_data(t), ct_data(ct_reshape(t, CT_SHAPE(6))));
  assert_null(ct_data(v));
  assert_fails(ct_error_code(), CT_EARG, "ct_contiguous");
  assert_non_null(ct_data(ct_contiguous(v)));
  assert_near(item_of(ct_slice(ct_slice(v, 0, 2, 3, 1), 1, 1, 2, 1)), 5, 0);
  assert_near(item_of(ct_full(CT_U8, CT_SHAPE(1, 1, 1), 7)), 7, 0);
  assert_near(item_of(ct_full(CT_F32, CT_SCALAR, FLT_MAX)), (double)FLT_MAX, 0);
  double unchanged = 5;
  assert_fails(ct_item(t, &unchanged), CT_ESHAPE, "(2,3)");
  assert_fails(ct_item(ct_zeros(CT_F32, CT_SHAPE(0)), &unchanged), CT_ESHAPE, "(0)");
  assert_near(unchanged, 5, 0);
  assert_ok(ct_copy_out(ct_zeros(CT_F32, CT_SHAPE(3, 0)), NULL, 0));
}

/* ---- views ----------------------------------------------------------------------------------- */

static void test_views_share_memory(void **state) {
  (void)state;
  float memory[6] = {0, 1, 2, 3, 4, 5};
  ct_tensor *t = ct_wrap(CT_F32, CT_SHAPE(2, 3), memory, (ct_wrap_opts){0});
  assert_ptr_equal(ct_data(t), memory);
  ct_tensor *row = ct_slice(t, 0, 1, 2, 1), *back = ct_flip(t, CT_AXES(1));
  ct_tensor *wide = ct_broadcast_to(ct_slice(t, 0, 0, 1, 1), CT_SHAPE(3, 3));
  assert_ptr_equal(ct_data(row), memory + 3);
  assert_int_equal(ct_stride(back, 1), -1);
  assert_int_equal(ct_stride(wide, 0), 0);
  assert_false(ct_is_contiguous(back) || ct_is_contiguous(wide));
  EXPECT(back, CT_F32, CT_SHAPE(2, 3), 2, 1, 0, 5, 4, 3);
  EXPECT(wide, CT_F32, CT_SHAPE(3, 3), 0, 1, 2, 0, 1, 2, 0, 1, 2);
  EXPECT(ct_slice(back, 1, 0, CT_END, 2), CT_F32, CT_SHAPE(2, 2), 2, 0, 5, 3);
  /* an operation never returns its input, even if there is nothing to do */
  assert_ptr_not_equal(ct_reshape(t, CT_SHAPE(2, 3)), t);
  assert_ptr_not_equal(ct_broadcast_to(t, CT_SHAPE(2, 3)), t);
  assert_ptr_not_equal(ct_stop_gradient(t), t);
  assert_ptr_not_equal(ct_detach(t), t);
  assert_ptr_not_equal(ct_data(ct_contiguous(t)), memory);
}

/* ---- the caller's memory --------------------------------------------------------------------- */

static void test_wrap_with_strides(void **state) {
  (void)state;
  double memory[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  const int64_t columns[] = {1, 4}, backwards[] = {-1}, still[] = {0, 2}, overlap[] = {1, 1};
  EXPECT(ct_wrap(CT_F64, CT_SHAPE(4, 2), memory, (ct_wrap_opts){.stride = columns}), CT_F64,
         CT_SHAPE(4, 2), 0, 4, 1, 5, 2, 6, 3, 7);
  EXPECT(ct_wrap(CT_F64, CT_SHAPE(3), memory + 7, (ct_wrap_opts){.stride = backwards}), CT_F64,
         CT_SHAPE(3), 7, 6, 5);
  EXPECT(ct_wrap(CT_F64, CT_SHAPE(2, 3), memory, (ct_wrap_opts){.stride = still}), CT_F64,
         CT_SHAPE(2, 3), 0, 2, 4, 0, 2, 4);
  ct_tensor *windows = ct_wrap(CT_F64, CT_SHAPE(3, 2), memory, (ct_wrap_opts){.stride = overlap});
  EXPECT(windows, CT_F64, CT_SHAPE(3, 2), 0, 1, 1, 2, 2, 3);
  EXPECT(ct_matmul(windows, ct_ones(CT_F64, CT_SHAPE(2))), CT_F64, CT_SHAPE(3), 1, 3, 5);
  assert_nil(ct_wrap(CT_F64, CT_SHAPE(2), (char *)memory + 4, (ct_wrap_opts){0}), CT_EARG,
             "aligned");
  EXPECT(ct_wrap(CT_U8, CT_SHAPE(2), (char *)memory + 1, (ct_wrap_opts){0}), CT_U8, CT_SHAPE(2), 0,
         0);
  assert_int_equal(ct_size(ct_wrap(CT_F64, CT_SHAPE(0, 2), NULL, (ct_wrap_opts){0})), 0);
}

static void test_wrap_gives_memory_back_once(void **state) {
  (void)state;
  float memory[4] = {0};
  int one = 1;
  const ct_wrap_opts opts = {.release = count_release, .payload = &one};
  ct_scope s = ct_scope_begin();
  ct_tensor *t = ct_wrap(CT_F32, CT_SHAPE(4), memory, opts);
  ct_tensor *view = ct_keep(ct_slice(t, 0, 1, 2, 1));
  assert_ok(ct_scope_end(s));
  assert_int_equal(released, 0);
  ct_release(&view);
  assert_int_equal(released, 1);
  assert_nil(ct_wrap(CT_F32, CT_SHAPE(-4), memory, opts), CT_EARG, "ct_wrap");
  assert_nil(ct_wrap(CT_F32, CT_SHAPE(4), NULL, opts), CT_EARG, "ct_wrap");
  assert_int_equal(released, 1); /* a wrap that fails takes nothing over */
}

/* ---- versions -------------------------------------------------------------------------------- */

static void test_touch(void **state) {
  (void)state;
  float memory[2] = {1, 2};
  ct_tensor *t = ct_wrap(CT_F32, CT_SHAPE(2), memory, (ct_wrap_opts){0});
  ct_tensor *view = ct_reshape(t, CT_SHAPE(2, 1)), *sum = ct_sum(t, CT_ALL, false);
  memory[0] = 10;
  assert_ok(ct_touch(t));
  EXPECT(t, CT_F32, CT_SHAPE(2), 10, 2); /* the one that was touched stays in use */
  assert_near(item_of(sum), 3, 0);       /* results are numbers of their own */
  assert_fails(ct_copy_out(view, memory, sizeof memory), CT_ESTALE, "ct_touch");
  assert_nil(ct_neg(view), CT_ESTALE, "neg");
  assert_nil(ct_variable(view), CT_ESTALE, "ct_variable");
  EXPECT(ct_reshape(t, CT_SHAPE(2, 1)), CT_F32, CT_SHAPE(2, 1), 10, 2);
}

static void test_assign(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(ct_from(CT_F32, CT_SHAPE(4), (const float[]){1, 2, 3, 4})), *g;
  ct_tensor *y = ct_sum(ct_square(x), CT_ALL, false), *seen = ct_reshape(x, CT_SHAPE(2, 2));
  assert_ok(ct_assign(x, ct_flip(x, CT_ALL))); /* from a view of itself */
  EXPECT(x, CT_F32, CT_SHAPE(4), 4, 3, 2, 1);
  assert_fails(ct_grad(y, CT_LIST(x), &g), CT_ESTALE, "ct_assign");
  assert_true(ct_is_nil(g));
  assert_nil(ct_exp(seen), CT_ESTALE, "ct_assign");
  y = ct_sum(ct_square(x), CT_ALL, false);
  assert_ok(ct_grad(y, CT_LIST(x), &g));
  EXPECT(g, CT_F32, CT_SHAPE(4), 8, 6, 4, 2);
  assert_ok(ct_assign(x, x));
  EXPECT(x, CT_F32, CT_SHAPE(4), 4, 3, 2, 1);
  assert_fails(ct_assign(g, x), CT_EARG, "variable");
  assert_fails(ct_assign(ct_placeholder(CT_F32, CT_SHAPE(4)), x), CT_ENOVALUE, "ct_assign");
  ct_release(&x);
}

static void test_read_only(void **state) {
  (void)state;
  float memory[2] = {1, 2};
  ct_tensor *t = ct_wrap(CT_F32, CT_SHAPE(2), memory, (ct_wrap_opts){.read_only = true});
  assert_true(ct_assign(t, ct_zeros(CT_F32, CT_SHAPE(2))) != CT_OK);
  ct_error_clear();
  ct_tensor *v = ct_variable(t); /* a copy, which may be written */
  assert_ok(ct_assign(v, ct_zeros(CT_F32, CT_SHAPE(2))));
  assert_true(memory[0] == 1);
  ct_release(&v);
}

/* A variable keeps the order of axes in memory, so that W^T can be contiguous. */
static void test_variables_keep_their_layout(void **state) {
  (void)state;
  ct_tensor *t = ct_reshape(ct_arange(CT_F32, 0, 24, 1), CT_SHAPE(2, 3, 4));
  ct_tensor *v = ct_variable(ct_permute(t, CT_AXES(2, 0, 1)));
  assert_int_equal(ct_stride(v, 0), 1);
  assert_int_equal(ct_stride(v, 1), 12);
  assert_int_equal(ct_stride(v, 2), 4);
  assert_true(ct_is_contiguous(ct_permute(v, CT_AXES(1, 2, 0))));
  double want[24], got[24];
  tensor_values(ct_permute(t, CT_AXES(2, 0, 1)), want, 24);
  tensor_values(v, got, 24);
  assert_memory_equal(got, want, sizeof got);
  ct_release(&v);
  v = ct_variable(ct_slice(t, 2, 0, 4, 2)); /* with gaps: row-major */
  assert_true(ct_is_contiguous(v));
  ct_release(&v);
  v = ct_variable(ct_broadcast_to(ct_ones(CT_F32, CT_SCALAR), CT_SHAPE(3, 2)));
  assert_true(ct_is_contiguous(v));
  ct_release(&v);
  v = ct_variable(ct_flip(t, CT_AXES(0)));
  assert_true(ct_is_contiguous(v));
  ct_release(&v);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void test_the_first_error_stays(void **state) {
  (void)state;
  ct_tensor *bad =
      ct_matmul(ct_ones(CT_F32, CT_SHAPE(32, 784)), ct_ones(CT_F32, CT_SHAPE(128, 784)));
  ct_tensor *y = ct_tanh(ct_add(bad, ct_ones(CT_F64, CT_SHAPE(3))));
  double value;
  assert_int_equal(ct_item(y, &value), CT_ESHAPE);
  assert_string_equal(ct_error_message(),
                      "matmul: want (m,k) and (k,n), got (32,784) and (128,784)");
  ct_exp(ct_ones(CT_I32, CT_SCALAR)); /* another failure does not hide it */
  assert_int_equal(ct_error_code(), CT_ESHAPE);
  ct_error_clear();
  assert_string_equal(ct_error_message(), "");
  assert_int_equal(ct_item(y, &value), CT_ENIL);
  ct_error_clear();
}

static void test_error_texts(void **state) {
  (void)state;
  for (int code = CT_ECHECK; code <= CT_OK; code++)
    assert_true(strlen(ct_status_text((ct_status)code)) > 4);
  assert_string_equal(ct_status_text(CT_ENOMEM), "out of memory");
  assert_int_equal(ct_error_set(CT_EIO, "%s %d", "disk", 3), CT_EIO);
  assert_string_equal(ct_error_message(), "disk 3");
  char longer[2000], text[64] = "";
  FILE *out = fmemopen(text, sizeof text, "w");
  assert_non_null(out);
  ct_error_print(out);
  assert_int_equal(fclose(out), 0);
  assert_string_equal(text, "error: disk 3\n");
  ct_error_clear();
  memset(longer, 'x', sizeof longer);
  longer[sizeof longer - 1] = '\0';
  ct_error_set(CT_EIO, "%s", longer); /* cut, not overrun */
  assert_in_range(strlen(ct_error_message()), 100, 1000);
  ct_error_clear();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_dtypes, open_scope, close_scope),
      cmocka_unit_test_setup_teardown(test_shapes, open_scope, close_scope),
      cmocka_unit_test_setup_teardown(test_creation, open_scope, close_scope),
      cmocka_unit_test_setup_teardown(test_ranges, open_scope, close_scope),
      cmocka_unit_test_setup_teardown(test_from_copies, open_scope, close_scope),
      cmocka_unit_test_setup_teardown(test_reading, open_scope, close_scope),
      cmocka_unit_test_setup_teardown(test_views_share_memory, open_scope, close_scope),
      cmocka_unit_test_setup_teardown(test_wrap_with_strides, open_scope, close_scope),
      cmocka_unit_test_setup_teardown(test_wrap_gives_memory_back_once, open_scope, close_scope),
      cmocka_unit_test_setup_teardown(test_touch, open_scope, close_scope),
      cmocka_unit_test_setup_teardown(test_assign, open_scope, close_scope),
      cmocka_unit_test_setup_teardown(test_read_only, open_scope, close_scope),
      cmocka_unit_test_setup_teardown(test_variables_keep_their_layout, open_scope, close_scope),
      cmocka_unit_test_setup_teardown(test_the_first_error_stays, open_scope, close_scope),
      cmocka_unit_test_setup_teardown(test_error_texts, open_scope, close_scope),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
