/* tensors.h - tensors with known numbers, and that a tensor holds them or those of another one. */
#ifndef COTANGENT_TESTS_TENSORS_H
#define COTANGENT_TESTS_TENSORS_H

#include "testing.h"

#include "autograd/autograd.h"

/* 0, 1, 2, ... */
static inline ct_tensor *counting(ct_dtype dtype, ct_shape shape) {
  int64_t n = 1;
  for (int i = 0; i < shape.n; i++) n *= shape.dim[i];
  return ct_reshape(ct_arange(dtype, 0, (double)n, 1), shape);
}

/* The count of some numbers, and the numbers. */
#define NUMBERS(...)                                                                               \
  (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]) { __VA_ARGS__ }

static inline void assert_shape(const ct_tensor *t, ct_shape want) {
  if (ct_is_nil(t)) print_error("nil: %s\n", ct_error_message());
  assert_false(ct_is_nil(t));
  assert_true(ct_shape_equal(ct_shape_of(t), want));
}

static inline void assert_holds(const ct_tensor *t, ct_shape shape, int64_t n, const double *want) {
  assert_shape(t, shape);
  assert_values_near(t, n, want, 0);
}

/* Of one shape, and elements that differ by tol at most. */
static inline void assert_tensors_near(const ct_tensor *got, const ct_tensor *want, double tol) {
  int64_t n = ct_size(want);
  double *values = malloc((size_t)(n + 1) * sizeof *values);
  assert_non_null(values);
  assert_ok(ct_is_nil(got) || ct_is_nil(want) ? ct_error_code() : CT_OK);
  assert_true(ct_shape_equal(ct_shape_of(got), ct_shape_of(want)));
  tensor_values(want, values, n);
  assert_values_near(got, n, values, tol);
  free(values);
}

/* The same shape, dtype and bytes. */
static inline void assert_same_bits(const ct_tensor *a, const ct_tensor *b) {
  size_t bytes = (size_t)ct_size(a) * ct_dtype_size(ct_dtype_of(a));
  char *x = malloc(2 * bytes + 1), *y = x + bytes;
  assert_non_null(x);
  assert_false(ct_is_nil(a) || ct_is_nil(b));
  assert_true(ct_shape_equal(ct_shape_of(a), ct_shape_of(b)));
  assert_int_equal(ct_dtype_of(a), ct_dtype_of(b));
  assert_ok(ct_copy_out(a, x, bytes));
  assert_ok(ct_copy_out(b, y, bytes));
  assert_memory_equal(x, y, bytes);
  free(x);
}

#endif
