/* test_cumulative.c - running sums, products and maxima; any and all. */
#include "testing.h"

#include "autograd/autograd.h"
#include "tensor/tensor_internal.h"

enum { MAX_VALUES = 256 };

#define F64(shape, ...) ct_from(CT_F64, shape, (const double[]){__VA_ARGS__})

static ct_tensor *wave(ct_shape shape) {
  int64_t size = 1;
  for (int i = 0; i < shape.n; i++) size *= shape.dim[i];
  return ct_reshape(ct_sin(ct_arange(CT_F64, 0, (double)size, 1)), shape);
}

/* y[k] = f(x[0], ..., x[k]) along an axis, as a loop. */
static void along(const double *x, ct_shape shape, int axis, double (*f)(double, double),
                  double *y) {
  int64_t step = 1, size = 1;
  for (int d = axis + 1; d < shape.n; d++) step *= shape.dim[d];
  for (int d = 0; d < shape.n; d++) size *= shape.dim[d];
  for (int64_t i = 0; i < size; i++)
    y[i] = i / step % shape.dim[axis] ? f(y[i - step], x[i]) : x[i];
}

static double plus(double a, double b) { return a + b; }
static double times(double a, double b) { return a * b; }
static double larger(double a, double b) { return b > a ? b : a; }

static ct_tensor *layouts(ct_tensor *x, int i) { /* the same values */
  if (i == 0) return x;
  if (i == 1) return ct_permute(ct_contiguous(ct_permute(x, CT_AXES(2, 0, 1))), CT_AXES(1, 2, 0));
  return ct_flip(ct_contiguous(ct_flip(x, CT_ALL)), CT_ALL);
}

static void running_values(void **state) {
  (void)state;
  double x[MAX_VALUES], want[MAX_VALUES];
  ct_shape shape = CT_SHAPE(3, 5, 4);
  ct_tensor *t = wave(shape);
  tensor_values(t, x, ct_size(t));
  for (int axis = 0; axis < 3; axis++)
    for (int i = 0; i < 3; i++) {
      ct_tensor *seen = layouts(t, i);
      along(x, shape, axis, plus, want);
      assert_values_near(ct_cumsum(seen, axis - 3), ct_size(t), want, 1e-14);
      assert_values_near(ct_cumsum(ct_cast(seen, CT_F32), axis), ct_size(t), want, 1e-6);
      along(x, shape, axis, times, want);
      assert_values_near(ct_cumprod(seen, axis), ct_size(t), want, 1e-15);
      along(x, shape, axis, larger, want);
      assert_values_near(ct_cummax(seen, axis), ct_size(t), want, 0);
    }
}

static void directions(void **state) {
  (void)state;
  ct_tensor *x = F64(CT_SHAPE(4), 1, 2, 3, 4);
  ASSERT_VALUES(ct_cumsum_with(x, 0, (ct_cumsum_opts){.exclusive = true}), 0, 0, 1, 3, 6);
  ASSERT_VALUES(ct_cumsum_with(x, 0, (ct_cumsum_opts){.reverse = true}), 0, 10, 9, 7, 4);
  ASSERT_VALUES(ct_cumsum_with(x, 0, (ct_cumsum_opts){true, true}), 0, 9, 7, 4, 0);
  ct_tensor *bits = ct_gt(x, ct_scalar(CT_F64, 1.5)), *count = ct_cumsum(bits, 0);
  assert_int_equal(ct_dtype_of(count), CT_I32);
  ASSERT_VALUES(count, 0, 0, 1, 2, 3);
  ct_tensor *most = ct_full(CT_I32, CT_SHAPE(2), INT32_MAX);
  ASSERT_VALUES(ct_cumsum(most, 0), 0, INT32_MAX, -2); /* wraps, as sums do */
  ASSERT_VALUES(ct_cumprod(ct_cast(x, CT_I32), 0), 0, 1, 2, 6, 24);
  assert_int_equal(ct_size(ct_cumsum(ct_zeros(CT_F32, CT_SHAPE(0, 3)), 0)), 0);
  assert_int_equal(ct_size(ct_cumprod(ct_zeros(CT_F32, CT_SHAPE(3, 0)), 1)), 0);
  assert_int_equal(ct_size(ct_cummax(ct_zeros(CT_F32, CT_SHAPE(3, 0)), 1)), 0);
}

/* Many lines side by side give the bits of one after the other. */
static void many_lines(void **state) {
  (void)state;
  enum { LINES = 77, LENGTH = 3 };
  double want[LINES * LENGTH], got[LINES * LENGTH];
  ct_tensor *x =
      ct_sin(ct_reshape(ct_arange(CT_F64, 0, LINES * LENGTH, 1), CT_SHAPE(LENGTH, LINES)));
  for (int i = 0; i < 4; i++) {
    ct_cumsum_opts opts = {i & 1, i & 2};
    ct_tensor *lines = ct_cumsum_with(ct_contiguous(ct_transpose(x, 0, 1)), 1, opts);
    tensor_values(ct_transpose(lines, 0, 1), want, LINES * LENGTH);
    tensor_values(ct_cumsum_with(x, 0, opts), got, LINES * LENGTH);
    assert_memory_equal(got, want, sizeof want);
  }
}

static void a_small_addend_is_not_lost(void **state) {
  (void)state;
  ct_tensor *x = ct_full(CT_F32, CT_SHAPE(100001), 0.1), *y = ct_cumsum(x, 0);
  double last;
  assert_ok(ct_item(ct_slice(y, 0, -1, CT_END, 1), &last));
  assert_near(last, 100001 * (double)0.1f, 1e-3); /* f32 sums would be off by 1 */
}

static void maxima_of_special_values(void **state) {
  (void)state;
  ct_tensor *x = F64(CT_SHAPE(8), 1, 1, 0, 3, 3, NAN, 9, NAN);
  ct_tensor *v = ct_variable(x), *y = ct_cummax(v, 0);
  ASSERT_VALUES(y, 0, 1, 1, 1, 3, 3, NAN, NAN, NAN);
  ct_tensor *g = ct_vjp(y, v, ct_ones(CT_F64, CT_SHAPE(8)));
  ASSERT_VALUES(g, 0, 3, 0, 0, 2, 0, 3, 0, 0); /* all to the first of equals */
  ct_release(&v);
  ASSERT_VALUES(ct_cummax(ct_full(CT_F64, CT_SHAPE(3), -INFINITY), 0), 0, -INFINITY, -INFINITY,
                -INFINITY);
}

typedef ct_tensor *running(ct_tensor *x, int axis);
typedef struct running_case {
  running *f;
  int axis;
} running_case;

static ct_tensor *run(ct_list x, void *payload) {
  const running_case *c = payload;
  return c->f(x.at[0], c->axis);
}

static ct_tensor *exclusive_back(ct_tensor *x, int axis) {
  return ct_square(ct_cumsum_with(x, axis, (ct_cumsum_opts){true, true}));
}

static void running_derivatives(void **state) {
  (void)state;
  running *const functions[] = {ct_cumsum, exclusive_back, ct_cumprod, ct_cummax};
  for (int f = 0; f < CT__COUNT(functions); f++)
    for (int axis = 0; axis < 3; axis++) {
      running_case c = {functions[f], axis};
      assert_ok(
          ct_gradcheck(run, &c, CT_LIST(wave(CT_SHAPE(2, 5, 3))), (ct_gradcheck_opts){0}, NULL));
    }
  running_case c = {ct_cumprod, 0};
  ct_tensor *zeros = F64(CT_SHAPE(5), 2, 0, 3, 0, 1.5);
  assert_ok(ct_gradcheck(run, &c, CT_LIST(zeros), (ct_gradcheck_opts){0}, NULL));
}

/* The same as a loop: s[k + 1] = a[k] s[k] + b[k] along axis 1 of three. */
static void recur(const double *a, const double *b, const double *start, ct_shape shape,
                  bool reverse, double *s) {
  int64_t n = shape.dim[1], inner = shape.dim[2];
  for (int64_t o = 0; o < shape.dim[0]; o++)
    for (int64_t i = 0; i < inner; i++) {
      double *line = s + o * (n + 1) * inner + i;
      line[reverse ? n * inner : 0] = start[o * inner + i];
      for (int64_t j = 0; j < n; j++) {
        int64_t k = reverse ? n - 1 - j : j, at = (o * n + k) * inner + i;
        line[(reverse ? k : k + 1) * inner] = a[at] * line[(reverse ? k + 1 : k) * inner] + b[at];
      }
    }
}

static void recurrence_values(void **state) {
  (void)state;
  double a[MAX_VALUES], b[MAX_VALUES], start[MAX_VALUES], want[MAX_VALUES];
  ct_shape shape = CT_SHAPE(3, 5, 4);
  ct_tensor *ta = wave(shape), *tb = ct_cos(ta), *ts = wave(CT_SHAPE(3, 1, 4));
  tensor_values(ta, a, ct_size(ta));
  tensor_values(tb, b, ct_size(tb));
  tensor_values(ts, start, ct_size(ts));
  for (int reverse = 0; reverse < 2; reverse++) {
    recur(a, b, start, shape, reverse, want);
    for (int i = 0; i < 9; i++) {
      ct_tensor *x = layouts(ta, i % 3), *y = layouts(tb, i / 3), *s = layouts(ts, i % 2);
      assert_values_near(ct_linear_recurrence(x, y, s, 1, reverse), 72, want, 1e-15);
      x = ct_linear_recurrence(ct_transpose(x, 0, 1), ct_transpose(y, 0, 1), ct_transpose(s, 0, 1),
                               0, reverse);
      assert_values_near(ct_transpose(x, 0, 1), 72, want, 1e-15);
      x = ct_linear_recurrence(ct_transpose(ta, 1, 2), ct_transpose(y, 1, 2), ct_transpose(s, 1, 2),
                               -1, reverse);
      assert_values_near(ct_transpose(x, 1, 2), 72, want, 1e-15);
    }
  }
}

/* A moving average, discounted returns, and what broadcasts: one factor, a start for each line. */
static void recurrences_in_use(void **state) {
  (void)state;
  ct_tensor *x = F64(CT_SHAPE(3), 4, 8, 16), *half = ct_scalar(CT_F64, 0.5);
  ct_tensor *mean = ct_linear_recurrence(half, ct_mul(half, x), ct_scalar(CT_F64, 2), 0, false);
  ASSERT_VALUES(mean, 0, 2, 3, 5.5, 10.75);
  ct_tensor *returns = ct_linear_recurrence(half, x, ct_scalar(CT_F64, 32), 0, true);
  ASSERT_VALUES(returns, 0, 16, 24, 32, 32);
  ct_tensor *lines =
      ct_linear_recurrence(half, ct_reshape(x, CT_SHAPE(3, 1)), F64(CT_SHAPE(2), 0, 8), 0, false);
  ASSERT_VALUES(lines, 0, 0, 8, 4, 8, 10, 12, 21, 22);
  ct_tensor *whole = ct_full(CT_I32, CT_SHAPE(3), 3);
  ASSERT_VALUES(ct_linear_recurrence(whole, whole, ct_full(CT_I32, CT_SHAPE(1), 1), 0, false), 0, 1,
                6, 21, 66);
  ct_tensor *none = ct_zeros(CT_F64, CT_SHAPE(0, 2)), *start = F64(CT_SHAPE(2), 5, 6);
  ASSERT_VALUES(ct_linear_recurrence(none, none, start, 0, false), 0, 5, 6);
  ASSERT_VALUES(ct_linear_recurrence(none, none, start, 0, true), 0, 5, 6);
}

/* Enough lines for every way to take them together: each has the bits that it has alone. */
static void lines_do_not_mind_each_other(void **state) {
  (void)state;
  enum { LINES = 1100, LENGTH = 7, STATES = LENGTH + 1 };
  static double want[LINES * STATES], got[LINES * STATES];
  for (int d = 0; d < 2; d++) {
    ct_dtype dtype = d ? CT_F32 : CT_F64;
    ct_shape shape = CT_SHAPE(LENGTH, LINES);
    ct_tensor *x =
        ct_cast(ct_sin(ct_reshape(ct_arange(CT_F64, 0, LINES * LENGTH, 1), shape)), dtype);
    ct_tensor *y = ct_shift(x, 0.5), *one = ct_scalar(dtype, 1), *part[LINES];
    ct_tensor *turned = ct_contiguous(ct_transpose(x, 0, 1));
    for (int how = 0; how < 3; how++) { /* gathered, or one number for all lines or steps */
      ct_tensor *b = how == 0 ? ct_transpose(ct_contiguous(ct_transpose(y, 0, 1)), 0, 1)
                              : ct_slice(y, how - 1, 0, 1, 1);
      b = ct_broadcast_to(b, shape);
      for (int i = 0; i < LINES; i++)
        part[i] = ct_linear_recurrence(ct_slice(x, 1, i, i + 1, 1), ct_slice(b, 1, i, i + 1, 1),
                                       one, 0, false);
      tensor_values(ct_concat((ct_list){LINES, part}, 1), want, LINES * STATES);
      tensor_values(ct_linear_recurrence(x, b, one, 0, false), got, LINES * STATES);
      assert_memory_equal(got, want, sizeof want);
      ct_tensor *few = ct_linear_recurrence(turned, ct_transpose(b, 0, 1), one, 1, false);
      tensor_values(ct_transpose(few, 0, 1), got, LINES * STATES);
      assert_memory_equal(got, want, sizeof want);
    }
  }
}

/* An infinity that a cotangent of zero meets on its way back, after other elements and before. */
static void zeros_in_derivatives(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(F64(CT_SHAPE(5), 2, 3, INFINITY, NAN, 5));
  ct_tensor *y = ct_cumprod(x, 0);
  ASSERT_VALUES(y, 0, 2, 6, INFINITY, NAN, NAN);
  ASSERT_VALUES(ct_vjp(y, x, F64(CT_SHAPE(5), 1, 1, 0, 0, 0)), 0, 4, 2, 0, 0, 0);
  ASSERT_VALUES(ct_slice(ct_jvp(y, x, F64(CT_SHAPE(5), 0, 0, 1, 0, 0)), 0, 0, 3, 1), 0, 0, 0, 6);
  ct_release(&x);
  x = ct_variable(F64(CT_SHAPE(2, 3), 2, 0, NAN, 0, 0, 7));
  y = ct_prod(x, CT_AXES(1), false);
  ASSERT_VALUES(y, 0, NAN, 0);
  ASSERT_VALUES(ct_vjp(y, x, F64(CT_SHAPE(2), 0, 1)), 0, 0, 0, 0, 0, 0, 0);
  ct_release(&x);
}

static ct_tensor *of_recurrence(ct_list x, void *payload) {
  const running_case *c = payload;
  return ct_linear_recurrence(x.at[0], x.at[1], x.at[2], c->axis, c->axis == 1);
}

/* The gradient of a sum of cubes: with the second order of a check, derivatives up to the third. */
static ct_tensor *its_gradient(ct_list x, void *payload) {
  ct_tensor *y = of_recurrence(x, payload), *g[3];
  y = ct_sum(ct_mul(y, ct_square(y)), CT_ALL, false);
  if (ct_grad(y, x, g) != CT_OK) return ct_nil();
  return ct_add(
      ct_sum(ct_square(g[0]), CT_ALL, false),
      ct_add(ct_sum(ct_mul(g[1], x.at[0]), CT_ALL, false), ct_sum(ct_square(g[2]), CT_ALL, false)));
}

static ct_tensor *gradient_of(ct_list x, void *payload) {
  const running_case *c = payload;
  ct_tensor *y = ct_sum(ct_square(c->f(x.at[0], c->axis)), CT_ALL, false), *g;
  return ct_grad(y, x, &g) == CT_OK ? g : ct_nil();
}

static ct_tensor *product(ct_tensor *x, int axis) { return ct_prod(x, CT_AXES(axis), false); }
static ct_tensor *product_of_two(ct_tensor *x, int axis) {
  return ct_prod(x, CT_AXES(axis, axis ? 0 : 2), true);
}

static void recurrence_derivatives(void **state) {
  (void)state;
  for (int axis = 0; axis < 2; axis++) {
    running_case c = {NULL, axis};
    ct_shape lines = axis ? CT_SHAPE(3, 1) : CT_SHAPE(1, 4);
    ct_list x = CT_LIST(wave(CT_SHAPE(3, 4)), ct_cos(wave(CT_SHAPE(3, 4))), wave(lines));
    assert_ok(ct_gradcheck(of_recurrence, &c, x, (ct_gradcheck_opts){0}, NULL));
    assert_ok(ct_gradcheck(its_gradient, &c, x, (ct_gradcheck_opts){.tolerance = 1e-5}, NULL));
  }
  running *const functions[] = {ct_cumprod, product, product_of_two};
  for (int f = 0; f < CT__COUNT(functions); f++)
    for (int axis = 0; axis < 3; axis++) {
      running_case c = {functions[f], axis};
      ct_tensor *x = wave(CT_SHAPE(2, 3, 2)); /* its first element is 0 */
      assert_ok(ct_gradcheck(gradient_of, &c, CT_LIST(x), (ct_gradcheck_opts){0}, NULL));
    }
}

static void any_and_all(void **state) {
  (void)state;
  ct_tensor *x = ct_gt(F64(CT_SHAPE(2, 3), 0, 1, 0, 1, 1, 1), ct_scalar(CT_F64, 0.5));
  ASSERT_VALUES(ct_any(x, CT_AXES(1), false), 0, 1, 1);
  ASSERT_VALUES(ct_all(x, CT_AXES(1), false), 0, 0, 1);
  ASSERT_VALUES(ct_all(x, CT_AXES(0), true), 0, 0, 1, 0);
  ASSERT_VALUES(ct_any(ct_transpose(x, 0, 1), CT_ALL, false), 0, 1);
  ct_tensor *none = ct_slice(x, 0, 0, 0, 1);
  ASSERT_VALUES(ct_any(none, CT_ALL, false), 0, 0);
  ASSERT_VALUES(ct_all(none, CT_ALL, false), 0, 1);
  assert_int_equal(ct_dtype_of(ct_any(x, CT_ALL, false)), CT_BOOL);
  assert_nil(ct_any(ct_zeros(CT_F32, CT_SHAPE(2)), CT_ALL, false), CT_EDTYPE, "any: want bool");
  assert_nil(ct_all(ct_zeros(CT_I32, CT_SHAPE(2)), CT_ALL, false), CT_EDTYPE, "all: want bool");
  assert_nil(ct_any(x, CT_AXES(2), false), CT_EARG, "any: axis 2");
}

static void errors(void **state) {
  (void)state;
  ct_tensor *x = ct_zeros(CT_F32, CT_SHAPE(2, 3)), *scalar = ct_scalar(CT_F32, 1);
  running *const functions[] = {ct_cumsum, ct_cumprod, ct_cummax};
  const char *const names[] = {"cumsum", "cumprod", "cummax"};
  for (int f = 0; f < CT__COUNT(functions); f++) {
    assert_nil(functions[f](x, 2), CT_EARG, names[f]);
    assert_nil(functions[f](scalar, 0), CT_EARG, "out of range for 0 dimensions");
    assert_nil(functions[f](NULL, 0), CT_EARG, names[f]);
    assert_nil(functions[f](ct_nil(), 0), CT_ENIL, names[f]);
  }
  ct_tensor *row = ct_zeros(CT_F32, CT_SHAPE(1, 3)), *f64 = ct_zeros(CT_F64, CT_SHAPE(1, 3));
  assert_nil(ct_linear_recurrence(x, x, row, 2, false), CT_ESHAPE, "along axis 2");
  assert_nil(ct_linear_recurrence(x, x, x, 0, false), CT_ESHAPE, "got (2,3), (2,3) and (2,3)");
  assert_nil(ct_linear_recurrence(x, ct_transpose(x, 0, 1), row, 0, false), CT_ESHAPE, "broadcast");
  assert_nil(ct_linear_recurrence(scalar, scalar, scalar, 0, false), CT_ESHAPE, "along axis 0");
  assert_nil(ct_linear_recurrence(x, x, f64, 0, false), CT_EDTYPE, "want one dtype");
  ct_tensor *flags = ct_zeros(CT_BOOL, CT_SHAPE(2, 3));
  assert_nil(ct_linear_recurrence(flags, flags, ct_zeros(CT_BOOL, CT_SHAPE(1, 3)), 0, false),
             CT_EDTYPE, "want f32, f64 or i32");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scope, close_scope)
  const struct CMUnitTest tests[] = {
      TEST(running_values),
      TEST(directions),
      TEST(many_lines),
      TEST(a_small_addend_is_not_lost),
      TEST(maxima_of_special_values),
      TEST(running_derivatives),
      TEST(recurrence_values),
      TEST(recurrences_in_use),
      TEST(lines_do_not_mind_each_other),
      TEST(zeros_in_derivatives),
      TEST(recurrence_derivatives),
      TEST(any_and_all),
      TEST(errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
