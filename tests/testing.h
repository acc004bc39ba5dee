/* testing.h - cmocka and what the tests share. */
#ifndef COTANGENT_TESTING_H
#define COTANGENT_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tensor/tensor.h"

#include <float.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The call succeeded; otherwise the library's own text is shown. */
#define assert_ok(status) assert_ok_at((int)(status), #status, __FILE__, __LINE__)

/* The call failed with this code and a text that contains part; the error is cleared. */
#define assert_fails(status, code, part)                                                           \
  assert_fails_at((int)(status), (code), (part), #status, __FILE__, __LINE__)

/* The call gave nil, for the same reason. */
#define assert_nil(tensor, code, part)                                                             \
  do {                                                                                             \
    const ct_tensor *result = (tensor);                                                            \
    assert_fails_at(ct_is_nil(result) && result ? ct_error_code() : CT_OK, (code), (part),         \
                    #tensor, __FILE__, __LINE__);                                                  \
  } while (0)

/* |a - b| <= tol, or both NaN, or the same infinity. */
#define assert_near(a, b, tol) assert_near_at((a), (b), (tol), #a, __FILE__, __LINE__)

static inline void assert_ok_at(int status, const char *call, const char *file, int line) {
  if (status == CT_OK) return;
  print_error("%s gave %d: %s\n", call, status, ct_error_message());
  _fail(file, line);
}

static inline void assert_fails_at(int status, ct_status code, const char *part, const char *call,
                                   const char *file, int line) {
  if (status != (int)code || ct_error_code() != code || !strstr(ct_error_message(), part)) {
    print_error("%s gave %d and the error %d \"%s\", not %d with \"%s\"\n", call, status,
                (int)ct_error_code(), ct_error_message(), (int)code, part);
    _fail(file, line);
  }
  ct_error_clear();
}

static inline void assert_near_at(double a, double b, double tol, const char *what,
                                  const char *file, int line) {
  if (fabs(a - b) <= tol || a == b || (isnan(a) && isnan(b))) return;
  print_error("%s is %.17g, not %.17g within %g\n", what, a, b, tol);
  _fail(file, line);
}

static inline double tensor_value_at(const void *data, ct_dtype dtype, int64_t i) {
  switch (dtype) {
  case CT_F32: return (double)((const float *)data)[i];
  case CT_F64: return ((const double *)data)[i];
  case CT_I32: return ((const int32_t *)data)[i];
  default: return ((const uint8_t *)data)[i];
  }
}

/* The one element of t. */
static inline double item_of(const ct_tensor *t) {
  double value = NAN;
  assert_ok(ct_item(t, &value));
  return value;
}

/* The n elements of t in row-major order, whatever its dtype. */
static inline void tensor_values(const ct_tensor *t, double *out, int64_t n) {
  ct_dtype dtype = ct_dtype_of(t);
  size_t bytes = (size_t)n * ct_dtype_size(dtype);
  void *data = malloc(bytes ? bytes : 1);
  assert_non_null(data);
  assert_int_equal(ct_size(t), n);
  memset(out, 0, (size_t)n * sizeof *out);
  ct_status status = ct_copy_out(t, data, bytes);
  for (int64_t i = 0; status == CT_OK && i < n; i++) out[i] = tensor_value_at(data, dtype, i);
  free(data);
  assert_ok(status);
}

/* The elements of t are the n wanted ones. */
static inline void assert_values_near(const ct_tensor *t, int64_t n, const double *want,
                                      double tol) {
  double *got = malloc((size_t)(n + 1) * sizeof *got);
  assert_non_null(got);
  assert_false(ct_is_nil(t));
  tensor_values(t, got, n);
  for (int64_t i = 0; i < n; i++) assert_near(got[i], want[i], tol);
  free(got);
}

#define ASSERT_VALUES(t, tol, ...)                                                                 \
  assert_values_near((t), (int64_t)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double)),       \
                     (const double[]){__VA_ARGS__}, (tol))

/* Setup and teardown of a test in a scope of its own, with no error pending before and after. */
static inline int open_scope(void **state) {
  static ct_scope scope;
  ct_error_clear();
  scope = ct_scope_begin();
  *state = &scope;
  return 0;
}

static inline int close_scope(void **state) {
  bool pending = ct_error_code() != CT_OK;
  if (pending) print_error("an error was left pending: %s\n", ct_error_message());
  ct_error_clear();
  return ct_scope_end(*(ct_scope *)*state) != CT_OK || pending;
}

#define TEMP_PATH 256

/* Makes a fresh folder and gives its path. */
static inline void temp_dir(char path[TEMP_PATH]) {
  const char *root = getenv("TMPDIR");
  int length = snprintf(path, TEMP_PATH, "%s/cotangent-XXXXXX", root ? root : "/tmp");
  assert_true(length > 0 && length < TEMP_PATH);
  assert_non_null(mkdtemp(path));
}

static inline int temp_entry_remove(const char *path, const struct stat *info, int kind,
                                    struct FTW *where) {
  (void)info, (void)kind, (void)where;
  return remove(path);
}

/* Removes the folder with what is in it. */
static inline void temp_dir_remove(const char *path) {
  assert_int_equal(nftw(path, temp_entry_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* valgrind computes with long double as if it were double. */
static inline bool is_long_double_longer(void) {
  volatile long double one = 1;
  return one + 8 * LDBL_EPSILON > one;
}

#endif
