/* tensors.h - tensors with known numbers, and that a tensor holds them. */
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

#endif
