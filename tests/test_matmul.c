/* test_matmul.c - matrix products: ct__gemm for every way a matrix may lie in memory, and ct_matmul
 * over batches, with its derivatives.
 *
 * Entries are small integers, so every product is exact and equal whatever the order of summation.
 */
#include "matrix_layouts.h"

#include "autograd/autograd.h"
#include "tensor/tensor_internal.h"

/* ---- ct__gemm -------------------------------------------------------------------------------- */

enum { LARGEST = 33, ROOM = 4 * LARGEST * LARGEST };

static ct_view lay(void *block, ct_dtype dtype, int64_t rows, int64_t columns, layout how) {
  ct_view v = {0};
  ct__view_set(&v, dtype, 2, (const int64_t[]){rows, columns});
  int64_t r = rows > 0 ? rows : 1, c = columns > 0 ? columns : 1, at = 0;
  layout_steps(how, rows, columns, v.stride);
  if (how == UPSIDE_DOWN) at = c * (r - 1);
  if (how == BACKWARDS) at = c - 1;
  v.data = (char *)block + (size_t)at * ct_dtype_size(dtype);
  ct__view_refresh(&v);
  return v;
}

static void fill(void *block, ct_dtype dtype) {
  for (int i = 0; i < ROOM; i++) {
    if (dtype == CT_F32)
      ((float *)block)[i] = (float)(draw(9) - 4);
    else
      ((double *)block)[i] = draw(9) - 4;
  }
}

static double entry(const ct_view *v, int64_t i, int64_t j) {
  return tensor_value_at(v->data, v->dtype, i * v->stride[0] + j * v->stride[1]);
}

/* Computes one product and compares all of C's block: what lies between its elements stays. */
static void check_gemm(ct_dtype dtype, const int64_t mkn[3], const layout how[3], double alpha,
                       double beta) {
  static double a_block[ROOM], b_block[ROOM], c_block[ROOM], want[ROOM];
  fill(a_block, dtype);
  fill(b_block, dtype);
  fill(c_block, dtype);
  ct_view a = lay(a_block, dtype, mkn[0], mkn[1], how[0]);
  ct_view b = lay(b_block, dtype, mkn[1], mkn[2], how[1]);
  ct_view c = lay(c_block, dtype, mkn[0], mkn[2], how[2]);
  memcpy(want, c_block, sizeof want);
  for (int64_t i = 0; i < mkn[0]; i++)
    for (int64_t j = 0; j < mkn[2]; j++) {
      double sum = 0;
      for (int64_t k = 0; k < mkn[1]; k++) sum += entry(&a, i, k) * entry(&b, k, j);
      int64_t at = (c.data - (char *)c_block) / (int64_t)ct_dtype_size(dtype) + i * c.stride[0] +
                   j * c.stride[1];
      set_number(dtype, want, at, alpha * sum + (beta == 0 ? 0 : beta * entry(&c, i, j)));
      if (beta == 0) set_number(dtype, c_block, at, NAN); /* not to be read */
    }
  assert_ok(ct__gemm(alpha, &a, &b, beta, &c));
  for (int64_t i = 0; i < ROOM; i++) {
    double got = tensor_value_at(c_block, dtype, i), expected = tensor_value_at(want, dtype, i);
    if (got == expected) continue;
    print_error("%s (%d,%d)(%d,%d) layouts %d %d %d alpha %g beta %g: %g, not %g\n",
                ct_dtype_name(dtype), (int)mkn[0], (int)mkn[1], (int)mkn[1], (int)mkn[2], how[0],
                how[1], how[2], alpha, beta, got, expected);
    fail();
  }
}

static void check_all_layouts(const int64_t mkn[3]) {
  static const double factors[][2] = {{1, 0}, {1, 1}, {-2, 0}, {3, -1}, {0, 2}};
  for (int i = 0; i < LAYOUTS * LAYOUTS * OUTPUT_LAYOUTS; i++) {
    layout how[3] = {(layout)(i % LAYOUTS), (layout)(i / LAYOUTS % LAYOUTS),
                     (layout)(i / LAYOUTS / LAYOUTS)};
    const double *f = factors[draw(CT__COUNT(factors))];
    check_gemm(draw(2) ? CT_F32 : CT_F64, mkn, how, f[0], f[1]);
  }
}

static void gemm_takes_every_layout(void **state) {
  (void)state;
  static const int64_t extents[] = {0, 1, 2, 7};
  enum { N = CT__COUNT(extents) };
  for (int i = 0; i < N * N * N; i++)
    check_all_layouts((const int64_t[]){extents[i % N], extents[i / N % N], extents[i / N / N]});
}

static void gemm_takes_larger_matrices(void **state) {
  (void)state;
  for (int i = 0; i < 400; i++) {
    static const int64_t extents[] = {1, 2, 7, LARGEST};
    static const double factors[] = {0, 1, -3};
    int64_t mkn[3];
    for (int d = 0; d < 3; d++) mkn[d] = extents[draw(CT__COUNT(extents))];
    mkn[draw(3)] = LARGEST;
    layout how[3] = {(layout)draw(LAYOUTS), (layout)draw(LAYOUTS), (layout)draw(OUTPUT_LAYOUTS)};
    check_gemm(i % 2 ? CT_F32 : CT_F64, mkn, how, factors[draw(3)], factors[draw(3)]);
  }
}

static void gemm_is_the_plain_loop_in_reference(void **state) {
  (void)state;
  ct__use_reference(true);
  check_all_layouts((const int64_t[]){7, 2, 3});
  ct__use_reference(false);
}

static void threads_are_checked(void **state) {
  (void)state;
  assert_true(ct_threads() >= 1);
  assert_fails(ct_set_threads(0), CT_EARG, "got 0");
  assert_fails(ct_set_threads(257), CT_EARG, "got 257");
  assert_ok(ct_set_threads(1));
  assert_int_equal(ct_threads(), 1);
}

/* ---- ct_matmul ------------------------------------------------------------------------------- */

static ct_tensor *integers(ct_dtype dtype, ct_shape shape) {
  static double block[ROOM];
  fill(block, dtype);
  return ct_from(dtype, shape, block);
}

enum { MAX_VALUES = 512 };

static void assert_values(const ct_tensor *t, int64_t n, const double *want) {
  double got[MAX_VALUES];
  assert_true(n <= MAX_VALUES);
  tensor_values(t, got, n);
  for (int64_t i = 0; i < n; i++) assert_near(got[i], want[i], 0);
}

static void assert_equal(const ct_tensor *a, const ct_tensor *b) {
  double values[MAX_VALUES];
  assert_true(ct_shape_equal(ct_shape_of(a), ct_shape_of(b)));
  assert_true(ct_size(b) <= MAX_VALUES);
  tensor_values(b, values, ct_size(b));
  assert_values(a, ct_size(a), values);
}

static void two_matrices(void **state) {
  (void)state;
  ct_tensor *a = ct_from(CT_F32, CT_SHAPE(2, 3), (const float[]){1, 2, 3, 4, 5, 6});
  ct_tensor *b = ct_from(CT_F32, CT_SHAPE(3, 2), (const float[]){1, 0, 2, 1, 0, 3});
  assert_values(ct_matmul(a, b), 4, (const double[]){5, 11, 14, 23});
  assert_values(ct_matmul(ct_transpose(b, 0, 1), ct_transpose(a, 0, 1)), 4,
                (const double[]){5, 14, 11, 23});
}

static void vectors_are_rows_and_columns(void **state) {
  (void)state;
  ct_tensor *m = ct_from(CT_F64, CT_SHAPE(2, 3), (const double[]){1, 2, 3, 4, 5, 6});
  ct_tensor *two = ct_from(CT_F64, CT_SHAPE(2), (const double[]){1, -1});
  ct_tensor *three = ct_from(CT_F64, CT_SHAPE(3), (const double[]){1, 0, 2});
  ct_tensor *y = ct_matmul(m, three);
  assert_int_equal(ct_ndim(y), 1);
  assert_values(y, 2, (const double[]){7, 16});
  y = ct_matmul(two, m);
  assert_int_equal(ct_ndim(y), 1);
  assert_values(y, 3, (const double[]){-3, -3, -3});
  y = ct_matmul(three, three);
  assert_int_equal(ct_ndim(y), 0);
  assert_values(y, 1, (const double[]){5});
  y = ct_matmul(integers(CT_F64, CT_SHAPE(4, 2, 3)), three);
  assert_true(ct_shape_equal(ct_shape_of(y), CT_SHAPE(4, 2)));
  y = ct_matmul(two, integers(CT_F64, CT_SHAPE(5, 2, 4)));
  assert_true(ct_shape_equal(ct_shape_of(y), CT_SHAPE(5, 4)));
}

/* Both sides' leading axes broadcast; each way of lying in memory gives what the plain loops give.
 */
static void batches_broadcast(void **state) {
  (void)state;
  ct_tensor *a[] = {integers(CT_F64, CT_SHAPE(2, 3)),
                    integers(CT_F64, CT_SHAPE(4, 2, 3)),
                    integers(CT_F64, CT_SHAPE(5, 1, 2, 3)),
                    ct_transpose(integers(CT_F64, CT_SHAPE(4, 3, 2)), 1, 2),
                    ct_transpose(integers(CT_F64, CT_SHAPE(2, 4, 3)), 0, 1),
                    ct_broadcast_to(integers(CT_F64, CT_SHAPE(3)), CT_SHAPE(4, 2, 3)),
                    integers(CT_F64, CT_SHAPE(4, 1, 3)),
                    ct_slice(integers(CT_F64, CT_SHAPE(4, 4, 3)), 1, 0, 4, 2)};
  ct_tensor *b[] = {integers(CT_F64, CT_SHAPE(3, 2)), integers(CT_F64, CT_SHAPE(1, 1, 3, 2)),
                    integers(CT_F64, CT_SHAPE(4, 3, 2)), integers(CT_F64, CT_SHAPE(5, 1, 3, 2)),
                    ct_flip(integers(CT_F64, CT_SHAPE(4, 3, 2)), CT_AXES(0, 1))};
  for (int i = 0; i < CT__COUNT(a); i++)
    for (int j = 0; j < CT__COUNT(b); j++) {
      ct_tensor *fast = ct_matmul(a[i], b[j]);
      ct__use_reference(true);
      ct_tensor *plain = ct_matmul(a[i], b[j]);
      ct__use_reference(false);
      assert_false(ct_is_nil(fast));
      assert_equal(fast, plain);
    }
  ct_tensor *y = ct_matmul(a[2], b[2]);
  assert_true(ct_shape_equal(ct_shape_of(y), CT_SHAPE(5, 4, 2, 2)));
  /* One matrix of the batch on its own. */
  ct_tensor *left = ct_reshape(ct_slice(a[2], 0, 3, 4, 1), CT_SHAPE(2, 3));
  ct_tensor *right = ct_reshape(ct_slice(b[2], 0, 1, 2, 1), CT_SHAPE(3, 2));
  ct_tensor *one = ct_slice(ct_slice(y, 0, 3, 4, 1), 1, 1, 2, 1);
  assert_equal(ct_reshape(one, CT_SHAPE(2, 2)), ct_matmul(left, right));
}

static void empty_extents_give_zeros(void **state) {
  (void)state;
  ct_tensor *y = ct_matmul(integers(CT_F32, CT_SHAPE(2, 0)), integers(CT_F32, CT_SHAPE(0, 3)));
  assert_values(y, 6, (const double[]){0, 0, 0, 0, 0, 0});
  y = ct_matmul(integers(CT_F32, CT_SHAPE(3, 2, 0)), integers(CT_F32, CT_SHAPE(0, 1)));
  assert_values(y, 6, (const double[]){0, 0, 0, 0, 0, 0});
  y = ct_matmul(integers(CT_F32, CT_SHAPE(0, 2, 3)), integers(CT_F32, CT_SHAPE(3, 4)));
  assert_true(ct_shape_equal(ct_shape_of(y), CT_SHAPE(0, 2, 4)));
}

static void errors_say_what_was_wanted(void **state) {
  (void)state;
  ct_tensor *a = integers(CT_F32, CT_SHAPE(32, 84)), *b = integers(CT_F32, CT_SHAPE(12, 84));
  assert_nil(ct_matmul(a, b), CT_ESHAPE, "matmul: want (m,k) and (k,n), got (32,84) and (12,84)");
  ct_tensor *v = integers(CT_F32, CT_SHAPE(5)), *s = ct_scalar(CT_F32, 1);
  assert_nil(ct_matmul(v, b), CT_ESHAPE, "want (m,k) and (k,n), got (5) and (12,84)");
  assert_nil(ct_matmul(a, v), CT_ESHAPE, "want (m,k) and (k,n), got (32,84) and (5)");
  assert_nil(ct_matmul(s, v), CT_ESHAPE, "want (m,k) and (k,n), got () and (5)");
  assert_nil(ct_matmul(v, s), CT_ESHAPE, "want (m,k) and (k,n), got (5) and ()");
  assert_nil(ct_matmul(integers(CT_F32, CT_SHAPE(2, 3, 4)), integers(CT_F32, CT_SHAPE(3, 4, 5))),
             CT_ESHAPE, "leading axes");
  assert_nil(ct_matmul(a, ct_zeros(CT_F64, CT_SHAPE(84, 2))), CT_EDTYPE, "f64 (84,2)");
  ct_tensor *i = ct_zeros(CT_I32, CT_SHAPE(2, 2));
  assert_nil(ct_matmul(i, i), CT_EDTYPE, "want f32 or f64");
  assert_nil(ct_matmul(NULL, a), CT_EARG, "input 0 is NULL");
  assert_nil(ct_matmul(a, NULL), CT_EARG, "input 1 is NULL");
  assert_nil(ct_matmul(a, ct_nil()), CT_ENIL, "matmul");
}

static ct_tensor *product(ct_list x, void *payload) {
  (void)payload;
  return ct_matmul(x.at[0], x.at[1]);
}

static void derivatives(void **state) {
  (void)state;
  const ct_shape shapes[][2] = {
      {CT_SHAPE(2, 3), CT_SHAPE(3, 4)},
      {CT_SHAPE(3), CT_SHAPE(3)},
      {CT_SHAPE(3), CT_SHAPE(3, 2)},
      {CT_SHAPE(2, 3), CT_SHAPE(3)},
      {CT_SHAPE(2, 2, 3), CT_SHAPE(3, 2)},
      {CT_SHAPE(2, 3), CT_SHAPE(2, 3, 2)},
      {CT_SHAPE(2, 1, 2, 3), CT_SHAPE(3, 3, 2)},
      {CT_SHAPE(2, 2, 3), CT_SHAPE(3)},
  };
  for (int i = 0; i < CT__COUNT(shapes); i++) {
    ct_scope inner = ct_scope_begin();
    ct_tensor *a = integers(CT_F64, shapes[i][0]), *b = integers(CT_F64, shapes[i][1]);
    assert_ok(ct_gradcheck(product, NULL, CT_LIST(a, b), (ct_gradcheck_opts){0}, NULL));
    assert_ok(ct_scope_end(inner));
  }
}

#define WITH_SCOPE(test) cmocka_unit_test_setup_teardown(test, open_scope, close_scope)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gemm_takes_every_layout),
      cmocka_unit_test(gemm_takes_larger_matrices),
      cmocka_unit_test(gemm_is_the_plain_loop_in_reference),
      cmocka_unit_test(threads_are_checked),
      WITH_SCOPE(two_matrices),
      WITH_SCOPE(vectors_are_rows_and_columns),
      WITH_SCOPE(batches_broadcast),
      WITH_SCOPE(empty_extents_give_zeros),
      WITH_SCOPE(errors_say_what_was_wanted),
      WITH_SCOPE(derivatives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
