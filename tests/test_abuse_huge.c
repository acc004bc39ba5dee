/* Bad calls, continued: tensors too large to count, and too large for memory. */
#include "abuse.h"

static void test_too_large_to_count(void **state) {
  (void)state;
  const ct_shape shapes[] = {CT_SHAPE(INT64_MAX), CT_SHAPE(INT64_MAX, INT64_MAX),
                             CT_SHAPE(TERA, TERA), CT_SHAPE(0, INT64_MAX, 2),
                             CT_SHAPE(INT64_MAX / 4, 2, 2)};
  for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
    assert_nil(ct_empty(CT_F32, shapes[k]), CT_ESIZE, "ct_empty");
    assert_nil(ct_zeros(CT_F64, shapes[k]), CT_ESIZE, "ct_zeros");
    assert_nil(ct_ones(CT_I32, shapes[k]), CT_ESIZE, "ct_ones");
    assert_nil(ct_full(CT_F32, shapes[k], 1), CT_ESIZE, "ct_full");
    assert_nil(ct_from(CT_F32, shapes[k], &f.number), CT_ESIZE, "ct_from");
    assert_nil(ct_wrap(CT_F32, shapes[k], &f.number, (ct_wrap_opts){0}), CT_ESIZE, "ct_wrap");
    assert_nil(ct_placeholder(CT_F32, shapes[k]), CT_ESIZE, "ct_placeholder");
    assert_nil(ct_uniform(f.key, CT_F32, shapes[k], 0, 1), CT_ESIZE, "uniform");
    assert_nil(ct_normal(f.key, CT_F32, shapes[k], 0, 1), CT_ESIZE, "normal");
    assert_nil(ct_randn(f.key, CT_F32, shapes[k]), CT_ESIZE, "randn");
    assert_true(ct_is_nil(ct_reshape(f.a, shapes[k])));
    ct_error_clear();
    assert_true(ct_is_nil(ct_broadcast_to(ct_scalar(CT_F32, 1), shapes[k])));
    assert_int_equal(ct_error_code(), CT_ESIZE);
    ct_error_clear();
  }
  const int64_t far[] = {INT64_MAX, 1}, least[] = {INT64_MIN, 1};
  assert_nil(ct_wrap(CT_F32, CT_SHAPE(2, 2), &f.number, (ct_wrap_opts){.stride = far}), CT_ESIZE,
             "ct_wrap");
  assert_nil(ct_wrap(CT_F32, CT_SHAPE(2, 2), &f.number, (ct_wrap_opts){.stride = least}), CT_ESIZE,
             "ct_wrap");
  assert_nil(ct_arange(CT_F32, 0, 1e300, 1), CT_ESIZE, "ct_arange");
  assert_nil(ct_linspace(CT_F32, 0, 1, INT64_MAX), CT_ESIZE, "ct_linspace");
  assert_nil(ct_eye(CT_F32, INT64_MAX, 2), CT_ESIZE, "ct_eye");
  assert_nil(ct_pad(f.a, 0, INT64_MAX, INT64_MAX), CT_ESIZE, "pad");
  assert_nil(ct_pad(f.a, 0, INT64_MAX - 2, 0), CT_ESIZE, "pad");
  assert_nil(ct_one_hot(f.i, INT64_MAX, CT_F32), CT_ESIZE, "one_hot");
  assert_nil(ct_permutation(f.key, TERA), CT_ESIZE, "permutation");
  ct_tensor *column = ct_reshape(f.huge, CT_SHAPE(TERA, 1)),
            *row = ct_reshape(f.huge, CT_SHAPE(1, TERA));
  assert_nil(ct_add(column, row), CT_ESIZE, "add");
  assert_nil(ct_where(ct_ne(f.a, f.a), ct_reshape(f.a, CT_SHAPE(1, 2, 3)), column), CT_ESHAPE, "");
  assert_nil(ct_matmul(column, row), CT_ESIZE, "matmul");
  assert_nil(ct_concat(CT_LIST(f.huge, ct_placeholder(CT_F32, CT_SHAPE(INT64_MAX / 8))), 0),
             CT_ESIZE, "");
  assert_nil(ct_gather(column, ct_placeholder(CT_I32, CT_SHAPE(TERA, 1 << 19)), 1), CT_ESIZE,
             "gather");
  assert_nil(ct_argmax(f.huge, 0, false), CT_ESIZE, "argmax");
  assert_nil(ct_sort(f.huge, 0, false, NULL), CT_ESIZE, "sort");
  assert_null(ct_nn_linear(f.key, INT64_MAX, INT64_MAX, (ct_linear_opts){0}));
  assert_int_equal(ct_error_code(), CT_ESIZE);
}

/* Lines of that length, of which there are none. */
static void test_empty_but_long(void **state) {
  (void)state;
  ct_tensor *x = ct_zeros(CT_F32, CT_SHAPE(0, INT32_MAX)), *at = NULL;
  assert_int_equal(ct_size(ct_sort(x, 1, false, &at)), 0);
  assert_int_equal(ct_dim(at, 1), INT32_MAX);
  assert_int_equal(ct_size(ct_median(x, 1, false)), 0);
  assert_int_equal(ct_dim(ct_topk(x, 2, 1, NULL), 1), 2);
  assert_ok(ct_error_code());
}

static void test_too_large_for_memory(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  assert_nil(ct_empty(CT_F32, CT_SHAPE(TERA)), CT_ENOMEM, "out of memory");
  assert_nil(ct_zeros(CT_U8, CT_SHAPE(1 << 20, 1 << 20)), CT_ENOMEM, "out of memory");
  assert_nil(ct_eye(CT_F32, 1 << 20, 1 << 20), CT_ENOMEM, "out of memory");
  assert_nil(ct_arange(CT_F32, 0, 1e12, 1), CT_ENOMEM, "out of memory");
  assert_nil(ct_linspace(CT_F64, 0, 1, TERA), CT_ENOMEM, "out of memory");
  assert_nil(ct_contiguous(f.huge), CT_ENOMEM, "out of memory");
  assert_nil(ct_variable(f.huge), CT_ENOMEM, "out of memory");
  assert_nil(ct_exp(f.huge), CT_ENOMEM, "out of memory");
  assert_nil(ct_add(f.huge, f.huge), CT_ENOMEM, "out of memory");
  assert_nil(ct_eq(f.huge, f.huge), CT_ENOMEM, "out of memory");
  assert_nil(ct_cast(f.huge, CT_F64), CT_ENOMEM, "out of memory");
  assert_nil(ct_clamp(f.huge, 0, 1), CT_ENOMEM, "out of memory");
  assert_nil(ct_concat(CT_LIST(f.huge, f.huge), 0), CT_ENOMEM, "out of memory");
  assert_nil(ct_stack(CT_LIST(f.huge, f.huge), 0), CT_ENOMEM, "out of memory");
  assert_nil(ct_pad(f.a, 0, TERA, 0), CT_ENOMEM, "out of memory");
  assert_nil(ct_softmax(f.huge, 0), CT_ENOMEM, "out of memory");
  assert_nil(ct_one_hot(f.i, TERA, CT_F32), CT_ENOMEM, "out of memory");
  assert_nil(ct_uniform(f.key, CT_F32, CT_SHAPE(TERA), 0, 1), CT_ENOMEM, "out of memory");
  assert_nil(
      ct_matmul(ct_ones(CT_F32, CT_SHAPE(1 << 18, 1)), ct_ones(CT_F32, CT_SHAPE(1, 1 << 18))),
      CT_ENOMEM, "out of memory");
  ct_tensor *few = ct_reshape(f.huge, CT_SHAPE(1 << 20, 1 << 20));
  assert_nil(ct_gather(f.a, ct_broadcast_to(ct_zeros(CT_I32, CT_SCALAR), CT_SHAPE(TERA)), 0),
             CT_ENOMEM, "out of memory");
  assert_nil(ct_scatter_add(few, f.i, ct_ones(CT_F32, CT_SHAPE(2, 1 << 20)), 0), CT_ENOMEM, "out");
  assert_nil(ct_mse(f.huge, f.huge, CT_SUM), CT_ENOMEM, "out of memory");
  assert_fails(ct_npy_write(f.file, f.huge), CT_ENOMEM, "out of memory");
  assert_fails(ct_archive_add(f.archive, "huge", f.huge), CT_ENOMEM, "out of memory");
  assert_null(ct_nn_linear(f.key, 1 << 20, 1 << 20, (ct_linear_opts){0}));
  assert_int_equal(ct_error_code(), CT_ENOMEM);
  ct_error_clear();
  char text[64];
  assert_true(ct_to_string(text, sizeof text, f.huge, (ct_print_opts){0}) > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_too_large_to_count, setup, teardown),
      cmocka_unit_test_setup_teardown(test_empty_but_long, setup, teardown),
      cmocka_unit_test_setup_teardown(test_too_large_for_memory, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
