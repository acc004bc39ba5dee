/* test_index_ops.c - gather, scatter_add, one_hot, sort, random numbers, and the elementwise
 * operations with a constant or a condition. */
#include "tensors.h"

#include "autograd/autograd_internal.h"

/* ---- what the tests share -------------------------------------------------------------------- */

static ct_tensor *sample(uint64_t seed, ct_shape shape) {
  return ct_randn(ct_key(seed), CT_F64, shape);
}

/* The numbers of a compound literal as a tensor of any dtype. */
static ct_tensor *numbers_of(ct_dtype dtype, int64_t n, const double *value) {
  return ct_cast(ct_from(CT_F64, CT_SHAPE(n), value), dtype);
}

/* Floats first, and those that can be added or drawn before the rest. */
static const ct_dtype dtypes[] = {CT_F32, CT_F64, CT_I32, CT_U8, CT_BOOL};

enum { MOST = 512 };

/* The same numbers in memory without order: padded, reversed, transposed back. */
static ct_tensor *scattered(ct_tensor *x) {
  ct_axes back = {.n = ct_ndim(x)};
  for (int i = 0; i < back.n; i++) back.at[i] = back.n - 1 - i;
  ct_tensor *y = ct_contiguous(ct_flip(ct_permute(x, back), CT_ALL));
  for (int i = 0; i < back.n; i++) y = ct_slice(ct_pad(y, i, 1, 2), i, 1, -2, 1);
  return ct_permute(ct_flip(y, CT_ALL), back);
}

static void assert_gradients(ct_fn *f, void *payload, ct_list x) {
  assert_ok(ct_gradcheck(f, payload, x, (ct_gradcheck_opts){0}, NULL));
}

/* ---- gather and scatter_add ------------------------------------------------------------------ */

static void gather_takes_rows(void **state) {
  (void)state;
  ct_tensor *x = counting(CT_F32, CT_SHAPE(3, 2)), *rows = numbers_of(CT_I32, NUMBERS(2, 0, 2));
  assert_holds(ct_gather(x, rows, 0), CT_SHAPE(3, 2), NUMBERS(4, 5, 0, 1, 4, 5));
  ct_tensor *grid = ct_reshape(numbers_of(CT_I32, NUMBERS(1, 0, 0, 1)), CT_SHAPE(2, 2));
  assert_holds(ct_gather(x, grid, -1), CT_SHAPE(3, 2, 2),
               NUMBERS(1, 0, 0, 1, 3, 2, 2, 3, 5, 4, 4, 5));
  assert_holds(ct_gather(x, ct_scalar(CT_I32, 1), 0), CT_SHAPE(2), NUMBERS(2, 3));
  assert_shape(ct_gather(x, ct_zeros(CT_I32, CT_SHAPE(0)), 0), CT_SHAPE(0, 2));
  assert_shape(ct_gather(ct_zeros(CT_F32, CT_SHAPE(3, 0)), rows, 0), CT_SHAPE(3, 0));
}

static void gather_errors(void **state) {
  (void)state;
  ct_tensor *x = counting(CT_F32, CT_SHAPE(3, 2));
  assert_nil(ct_gather(x, numbers_of(CT_I32, NUMBERS(0, 3)), 0), CT_EINDEX,
             "gather: index 3 (number 1) is outside 0 <= i < 3");
  assert_nil(ct_gather(x, ct_full(CT_I32, CT_SHAPE(1), -1), 0), CT_EINDEX, "index -1");
  assert_nil(ct_gather(ct_zeros(CT_F32, CT_SHAPE(0)), ct_zeros(CT_I32, CT_SHAPE(1)), 0), CT_EINDEX,
             "i < 0");
  assert_nil(ct_gather(x, ct_zeros(CT_F32, CT_SHAPE(1)), 0), CT_EDTYPE, "want i32 indices");
  assert_nil(ct_gather(x, ct_zeros(CT_I32, CT_SHAPE(1)), 2), CT_EARG, "gather: axis 2");
  assert_nil(ct_gather(x, ct_zeros(CT_I32, CT_SHAPE(1, 1, 1, 1, 1, 1, 1, 1)), 0), CT_ESHAPE,
             "at most 8");
  assert_nil(ct_gather(NULL, x, 0), CT_EARG, "gather: input 0 is NULL");
  assert_nil(ct_gather(x, NULL, 0), CT_EARG, "gather: input 1 is NULL");
  assert_nil(ct_gather(ct_nil(), x, 0), CT_ENIL, "gather");
}

static void scatter_add_adds_rows(void **state) {
  (void)state;
  ct_tensor *x = ct_ones(CT_F32, CT_SHAPE(3, 2)), *rows = numbers_of(CT_I32, NUMBERS(2, 0, 2));
  ct_tensor *u = counting(CT_F32, CT_SHAPE(3, 2));
  assert_holds(ct_scatter_add(x, rows, u, 0), CT_SHAPE(3, 2), NUMBERS(3, 4, 1, 1, 5, 7));
  assert_holds(ct_scatter_add(ct_zeros(CT_I32, CT_SHAPE(2)), ct_zeros(CT_I32, CT_SHAPE(3)),
                              ct_full(CT_I32, CT_SHAPE(3), INT32_MAX), 0),
               CT_SHAPE(2), NUMBERS(INT32_MAX - 2, 0)); /* wraps */
  assert_holds(
      ct_scatter_add(x, ct_zeros(CT_I32, CT_SHAPE(0)), ct_zeros(CT_F32, CT_SHAPE(0, 2)), 0),
      CT_SHAPE(3, 2), NUMBERS(1, 1, 1, 1, 1, 1));
  assert_holds(x, CT_SHAPE(3, 2), NUMBERS(1, 1, 1, 1, 1, 1));

  assert_nil(ct_scatter_add(x, rows, ct_zeros(CT_F32, CT_SHAPE(2, 2)), 0), CT_ESHAPE,
             "scatter_add: want updates of shape (3,2), got (3,2), (3) and (2,2)");
  assert_nil(ct_scatter_add(x, rows, ct_cast(u, CT_F64), 0), CT_EDTYPE, "one dtype");
  assert_nil(ct_scatter_add(ct_cast(x, CT_U8), rows, ct_cast(u, CT_U8), 0), CT_EDTYPE,
             "f32, f64 or i32");
  assert_nil(ct_scatter_add(x, ct_shift(rows, 1), u, 0), CT_EINDEX, "scatter_add: index 3");
  assert_nil(ct_scatter_add(x, rows, u, -3), CT_EARG, "scatter_add: axis -3");
  assert_nil(ct_scatter_add(x, rows, NULL, 0), CT_EARG, "input 2 is NULL");
}

/* Along every axis, from and with operands of every layout: the plain path on contiguous copies is
 * the oracle. */
static void rows_of_every_layout(void **state) {
  (void)state;
  for (int d = 0; d < CT__COUNT(dtypes); d++)
    for (int axis = 0; axis < 3; axis++)
      for (int layout = 0; layout < 8; layout++) {
        ct_scope scope = ct_scope_begin();
        ct_tensor *x = ct_cast(counting(CT_I32, CT_SHAPE(3, 4, 5)), dtypes[d]);
        ct_tensor *index = ct_uniform(ct_key((uint64_t)layout), CT_I32, CT_SHAPE(2, 3), 0, 3);
        ct_tensor *u = ct_shift(ct_gather(counting(CT_I32, CT_SHAPE(3, 4, 5)), index, axis), 100);
        u = ct_cast(u, dtypes[d]);
        bool was = ct__use_reference(true);
        ct_tensor *y = ct_gather(x, index, axis), *z = NULL;
        ct_tensor *set = ct_scatter_set(x, index, u, axis);
        if (d < 3) z = ct_scatter_add(x, index, u, axis);
        ct__use_reference(was);
        if (layout & 1) x = scattered(x);
        if (layout & 2) index = scattered(index);
        if (layout & 4) u = scattered(u);
        assert_same_bits(ct_gather(x, index, axis), y);
        assert_same_bits(ct_scatter_set(x, index, u, axis), set);
        if (z) assert_same_bits(ct_scatter_add(x, index, u, axis), z);
        assert_ok(ct_scope_end(scope));
      }
  ct_tensor *repeated = ct_broadcast_to(counting(CT_F32, CT_SHAPE(3)), CT_SHAPE(2, 3));
  assert_holds(ct_gather(repeated, numbers_of(CT_I32, NUMBERS(2, 1)), 1), CT_SHAPE(2, 2),
               NUMBERS(2, 1, 2, 1));
  ct_tensor *ones = ct_broadcast_to(ct_scalar(CT_F64, 1), CT_SHAPE(4));
  ct_tensor *same = ct_broadcast_to(ct_scalar(CT_I32, 1), CT_SHAPE(4));
  assert_holds(ct_scatter_add(ct_zeros(CT_F64, CT_SHAPE(2)), same, ones, 0), CT_SHAPE(2),
               NUMBERS(0, 4));
}

static ct_tensor *gather_twice(ct_list x, void *payload) {
  ct_tensor *index = payload;                             /* (2,2) into (3,4) */
  ct_tensor *y = ct_gather(ct_square(x.at[0]), index, 1); /* (3,2,2) */
  ct_tensor *z = ct_scatter_add(ct_sin(x.at[0]), index, ct_mul(y, x.at[1]), -1);
  return ct_mul(z, z);
}

static void rows_have_derivatives(void **state) {
  (void)state;
  ct_tensor *index = ct_reshape(numbers_of(CT_I32, NUMBERS(3, 0, 0, 1)), CT_SHAPE(2, 2));
  assert_gradients(gather_twice, index,
                   CT_LIST(sample(1, CT_SHAPE(3, 4)), sample(2, CT_SHAPE(2, 2))));
  ct_tensor *x = ct_variable(counting(CT_F32, CT_SHAPE(3)));
  ct_tensor *y = ct_gather(x, numbers_of(CT_I32, NUMBERS(2, 2, 0)), 0);
  assert_holds(ct_vjp(y, x, ct_ones(CT_F32, CT_SHAPE(3))), CT_SHAPE(3), NUMBERS(1, 0, 2));
  assert_holds(ct_jvp(y, x, counting(CT_F32, CT_SHAPE(3))), CT_SHAPE(3), NUMBERS(2, 2, 0));
  ct_release(&x);
}

static void one_hot_marks(void **state) {
  (void)state;
  ct_tensor *index = ct_flip(numbers_of(CT_I32, NUMBERS(2, 0)), CT_ALL);
  for (int d = 0; d < CT__COUNT(dtypes); d++) {
    ct_tensor *y = ct_one_hot(index, 3, dtypes[d]);
    assert_int_equal(ct_dtype_of(y), dtypes[d]);
    assert_holds(y, CT_SHAPE(2, 3), NUMBERS(1, 0, 0, 0, 0, 1));
  }
  assert_holds(ct_one_hot(ct_scalar(CT_I32, 1), 2, CT_F32), CT_SHAPE(2), NUMBERS(0, 1));
  assert_shape(ct_one_hot(ct_zeros(CT_I32, CT_SHAPE(0)), 3, CT_F32), CT_SHAPE(0, 3));
  assert_shape(ct_one_hot(ct_zeros(CT_I32, CT_SHAPE(0)), 0, CT_F32), CT_SHAPE(0, 0));
  assert_nil(ct_one_hot(index, 2, CT_F32), CT_EINDEX,
             "one_hot: index 2 (number 1) is outside 0 <= i < 2");
  assert_nil(ct_one_hot(index, -1, CT_F32), CT_EARG, "depth");
  assert_nil(ct_one_hot(index, INT64_MAX, CT_F32), CT_ESIZE, "one_hot");
  assert_nil(ct_one_hot(index, 3, (ct_dtype)9), CT_EDTYPE, "one_hot");
  assert_nil(ct_one_hot(ct_zeros(CT_F32, CT_SHAPE(1)), 3, CT_F32), CT_EDTYPE, "want i32");
  assert_nil(ct_one_hot(NULL, 3, CT_F32), CT_EARG, "one_hot");
}

/* ---- sort ------------------------------------------------------------------------------------ */

static void sort_orders(void **state) {
  (void)state;
  ct_tensor *x =
      ct_reshape(numbers_of(CT_F32, NUMBERS(3, NAN, -1, 3, INFINITY, -INFINITY)), CT_SHAPE(2, 3));
  ct_tensor *at;
  assert_holds(ct_sort(x, -1, false, &at), CT_SHAPE(2, 3),
               NUMBERS(-1, 3, NAN, -INFINITY, 3, INFINITY));
  assert_int_equal(ct_dtype_of(at), CT_I32);
  assert_holds(at, CT_SHAPE(2, 3), NUMBERS(2, 0, 1, 2, 0, 1));
  assert_holds(ct_sort(x, 1, true, NULL), CT_SHAPE(2, 3),
               NUMBERS(3, -1, NAN, INFINITY, 3, -INFINITY));
  assert_holds(ct_argsort(x, 0, false), CT_SHAPE(2, 3), NUMBERS(0, 1, 1, 1, 0, 0));
  /* stable both ways; -0 equals 0 and keeps its sign */
  ct_tensor *ties = numbers_of(CT_F64, NUMBERS(1, 0, -0.0, 1, NAN, 0));
  double value[6];
  tensor_values(ct_sort(ties, 0, false, &at), value, 6);
  assert_holds(at, CT_SHAPE(6), NUMBERS(1, 2, 5, 0, 3, 4));
  assert_true(!signbit(value[0]) && signbit(value[1]) && !signbit(value[2]));
  assert_holds(ct_argsort(ties, 0, true), CT_SHAPE(6), NUMBERS(0, 3, 1, 2, 5, 4));
  assert_shape(ct_sort(ct_zeros(CT_F32, CT_SHAPE(0, 2)), 0, false, NULL), CT_SHAPE(0, 2));
  assert_shape(ct_argsort(ct_zeros(CT_F32, CT_SHAPE(0, 2)), 1, false), CT_SHAPE(0, 2));
  assert_holds(ct_sort(numbers_of(CT_I32, NUMBERS(INT32_MAX, INT32_MIN, 0)), 0, true, NULL),
               CT_SHAPE(3), NUMBERS(INT32_MAX, 0, INT32_MIN));

  assert_nil(ct_sort(x, 2, false, &at), CT_EARG, "sort: axis 2");
  assert_true(ct_is_nil(at));
  assert_nil(ct_sort(ct_scalar(CT_F32, 1), 0, false, NULL), CT_EARG, "sort: axis 0");
  assert_nil(ct_sort(NULL, 0, false, &at), CT_EARG, "sort: input 0 is NULL");
  assert_nil(ct_argsort(ct_nil(), 0, false), CT_ENIL, "sort");
  ct_tensor *long_one = ct_broadcast_to(ct_scalar(CT_U8, 0), CT_SHAPE(INT64_C(1) << 31));
  assert_nil(ct_sort(long_one, 0, false, NULL), CT_ESIZE, "want positions that fit i32");
}

/* Runs and merges against plain insertion, over lengths around the run's and every layout. */
static void sort_agrees_with_insertion(void **state) {
  (void)state;
  for (int64_t n = 1; n < 130; n += n < 35 ? 1 : 13)
    for (int k = 0; k < 20; k++) {
      ct_scope scope = ct_scope_begin();
      ct_tensor *x = ct_uniform(ct_key((uint64_t)k), CT_I32, CT_SHAPE(n, 3), -5, 30);
      x = ct_cast(x, dtypes[k % 5]);
      bool descending = k / 5 % 2;
      ct_tensor *want_at, *at;
      bool was = ct__use_reference(true);
      ct_tensor *want = ct_sort(x, 0, descending, &want_at);
      ct__use_reference(was);
      ct_tensor *y = ct_sort(k < 10 ? x : scattered(x), 0, descending, &at);
      assert_same_bits(y, want);
      assert_same_bits(at, want_at);
      y = ct_sort(ct_transpose(x, 0, 1), 1, descending, &at);
      assert_same_bits(ct_transpose(y, 0, 1), want);
      assert_same_bits(ct_transpose(at, 0, 1), want_at);
      assert_ok(ct_scope_end(scope));
    }
}

static ct_tensor *sorted_mix(ct_list x, void *payload) {
  int axis = *(int *)payload;
  ct_tensor *y = ct_sort(ct_sin(x.at[0]), axis, axis == 1, NULL);
  return ct_mul(ct_square(y), counting(CT_F64, CT_SHAPE(2, 4, 3)));
}

static void sort_has_derivatives(void **state) {
  (void)state;
  ct_tensor *near = ct_scale(sample(3, CT_SHAPE(2, 4, 3)), 0.5);
  for (int axis = 0; axis < 3; axis++) assert_gradients(sorted_mix, &axis, CT_LIST(near));
  ct_tensor *x = ct_variable(numbers_of(CT_F32, NUMBERS(5, 4, 6)));
  ct_tensor *at, *y = ct_sort(x, 0, true, &at);
  assert_holds(ct_vjp(y, x, counting(CT_F32, CT_SHAPE(3))), CT_SHAPE(3), NUMBERS(1, 2, 0));
  assert_holds(ct_jvp(y, x, counting(CT_F32, CT_SHAPE(3))), CT_SHAPE(3), NUMBERS(2, 0, 1));
  ct_release(&x);
  x = ct_variable(ct_zeros(CT_F32, CT_SHAPE(0, 2)));
  for (int axis = 0; axis < 2; axis++) {
    y = ct_sort(x, axis, false, NULL);
    assert_shape(ct_vjp(y, x, x), CT_SHAPE(0, 2));
    assert_shape(ct_jvp(y, x, x), CT_SHAPE(0, 2));
  }
  ct_release(&x);
}

/* The values may be gone when the rule asks for the positions. */
static void sort_keeps_its_positions(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(numbers_of(CT_F64, NUMBERS(2, 3, 1)));
  ct_scope inner = ct_scope_begin();
  ct_tensor *y = ct_scope_return(inner, ct_sort(x, 0, false, NULL)), *gx;
  assert_ok(
      ct_grad(ct_sum(ct_mul(y, counting(CT_F64, CT_SHAPE(3))), CT_ALL, false), CT_LIST(x), &gx));
  assert_holds(gx, CT_SHAPE(3), NUMBERS(1, 2, 0));
  ct_release(&x);
}

static void symbolic_is_eager(void **state) {
  (void)state;
  int axis = 1;
  ct_tensor *x = sample(4, CT_SHAPE(2, 4, 3)), *p = ct_placeholder(CT_F64, CT_SHAPE(2, 4, 3)),
            *got[2];
  ct_tensor *y = sorted_mix(CT_LIST(p), &axis);
  ct_tensor *g = ct_vjp(y, p, ct_ones(CT_F64, CT_SHAPE(2, 4, 3)));
  ct_function *f = ct_function_new(CT_LIST(p), CT_LIST(y, g));
  assert_non_null(f);
  assert_ok(ct_function_run(f, CT_LIST(x), got));
  ct_tensor *v = ct_variable(x), *want = sorted_mix(CT_LIST(v), &axis);
  assert_same_bits(got[0], want);
  assert_same_bits(got[1], ct_vjp(want, v, ct_ones(CT_F64, CT_SHAPE(2, 4, 3))));
  ct_release(&v);
  ct_function_release(&f);
}

/* ---- where, clamp, scale, shift -------------------------------------------------------------- */

static void where_chooses(void **state) {
  (void)state;
  ct_tensor *c = numbers_of(CT_BOOL, NUMBERS(1, 0, 1));
  for (int d = 0; d < CT__COUNT(dtypes); d++) {
    ct_tensor *a = ct_cast(counting(CT_I32, CT_SHAPE(3)), dtypes[d]),
              *b = ct_ones(dtypes[d], CT_SCALAR);
    ct_tensor *y = ct_where(c, a, b);
    assert_int_equal(ct_dtype_of(y), dtypes[d]);
    assert_holds(y, CT_SHAPE(3), NUMBERS(0, 1, dtypes[d] == CT_BOOL ? 1 : 2));
    assert_same_bits(ct_where(scattered(c), scattered(a), ct_broadcast_to(b, CT_SHAPE(3))), y);
  }
  ct_tensor *x = ct_zeros(CT_F32, CT_SHAPE(2, 1, 3)), *one = ct_ones(CT_F32, CT_SHAPE(2, 1));
  assert_shape(ct_where(c, one, x), CT_SHAPE(2, 2, 3));
  assert_shape(
      ct_where(ct_zeros(CT_BOOL, CT_SHAPE(0, 3)), ct_scalar(CT_F32, 1), ct_scalar(CT_F32, 1)),
      CT_SHAPE(0, 3));

  assert_nil(ct_where(x, x, x), CT_EDTYPE, "where: want a bool condition");
  assert_nil(ct_where(c, x, ct_cast(x, CT_F64)), CT_EDTYPE, "one dtype");
  assert_nil(ct_where(c, x, ct_zeros(CT_F32, CT_SHAPE(2))), CT_ESHAPE,
             "where: want shapes that broadcast");
  assert_nil(ct_where(ct_zeros(CT_BOOL, CT_SHAPE(2)), x, x), CT_ESHAPE, "broadcast");
  assert_nil(ct_where(c, x, NULL), CT_EARG, "where: input 2 is NULL");
}

/* log of a negative number in the branch not taken. */
static void where_does_not_leak(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(numbers_of(CT_F64, NUMBERS(-1, 0, 2))), *zero = ct_scalar(CT_F64, 0),
            *gx, *ggx;
  ct_tensor *y = ct_where(ct_gt(x, zero), ct_log(x), ct_square(x));
  assert_ok(ct_grad(ct_sum(y, CT_ALL, false), CT_LIST(x), &gx));
  assert_holds(gx, CT_SHAPE(3), NUMBERS(-2, 0, 0.5));
  assert_ok(ct_grad(ct_sum(gx, CT_ALL, false), CT_LIST(x), &ggx));
  assert_holds(ggx, CT_SHAPE(3), NUMBERS(2, 2, -0.25));
  assert_holds(ct_jvp(y, x, ct_ones(CT_F64, CT_SHAPE(3))), CT_SHAPE(3), NUMBERS(-2, 0, 0.5));
  ct_release(&x);
}

static void clamp_bounds(void **state) {
  (void)state;
  ct_tensor *x = numbers_of(CT_F32, NUMBERS(-3, -1, 0.5, 1, 7, NAN, INFINITY));
  assert_holds(ct_clamp(x, -1, 1), CT_SHAPE(7), NUMBERS(-1, -1, 0.5, 1, 1, NAN, 1));
  assert_holds(ct_clamp(x, 0, INFINITY), CT_SHAPE(7), NUMBERS(0, 0, 0.5, 1, 7, NAN, INFINITY));
  assert_holds(ct_clamp(counting(CT_I32, CT_SHAPE(4)), 1, INFINITY), CT_SHAPE(4),
               NUMBERS(1, 1, 2, 3));
  assert_holds(ct_clamp(counting(CT_I32, CT_SHAPE(4)), -1e300, 2), CT_SHAPE(4),
               NUMBERS(0, 1, 2, 2));
  assert_same_bits(ct_clamp(scattered(x), -1, 1), ct_clamp(x, -1, 1));
  assert_nil(ct_clamp(x, 1, 0), CT_EARG, "clamp: want lo <= hi, not 1 and 0");
  assert_nil(ct_clamp(x, NAN, 0), CT_EARG, "clamp");
  assert_nil(ct_clamp(counting(CT_I32, CT_SHAPE(4)), 0.5, 2), CT_EDTYPE, "whole bounds");
  assert_nil(ct_clamp(counting(CT_I32, CT_SHAPE(4)), 1e10, 2e10), CT_EDTYPE, "whole bounds");
  assert_nil(ct_clamp(ct_cast(x, CT_U8), 0, 1), CT_EDTYPE, "clamp");
  assert_nil(ct_clamp(NULL, 0, 1), CT_EARG, "clamp");
}

/* Fused (nothing recorded) and composed: 1 on the closed interval. */
static void clamp_has_a_closed_interval(void **state) {
  (void)state;
  for (int d = 0; d < 2; d++) {
    ct_tensor *x = ct_variable(numbers_of(dtypes[d], NUMBERS(-3, -1, 0.5, 1, 7, NAN)));
    ct_tensor *p = ct_placeholder(dtypes[d], CT_SHAPE(6)), *ones = ct_ones(dtypes[d], CT_SHAPE(6)),
              *got;
    ct_tensor *y = ct_clamp(x, -1, 1);
    assert_holds(ct_vjp(y, x, ones), CT_SHAPE(6), NUMBERS(0, 1, 1, 1, 0, 0));
    assert_holds(ct_jvp(y, x, scattered(ones)), CT_SHAPE(6), NUMBERS(0, 1, 1, 1, 0, 0));
    ct_function *f = ct_function_new(CT_LIST(p), CT_LIST(ct_vjp(ct_clamp(p, -1, 1), p, ones)));
    assert_ok(ct_function_run(f, CT_LIST(x), &got));
    assert_holds(got, CT_SHAPE(6), NUMBERS(0, 1, 1, 1, 0, 0));
    ct_function_release(&f);
    ct_release(&x);
  }
}

static void constants_scale_and_shift(void **state) {
  (void)state;
  ct_tensor *x = counting(CT_F64, CT_SHAPE(3)), *i = counting(CT_I32, CT_SHAPE(3));
  assert_holds(ct_scale(x, 0.5), CT_SHAPE(3), NUMBERS(0, 0.5, 1));
  assert_holds(ct_shift(x, -0.5), CT_SHAPE(3), NUMBERS(-0.5, 0.5, 1.5));
  assert_holds(ct_scale(ct_cast(x, CT_F32), 0.1), CT_SHAPE(3), NUMBERS(0, 0.1f, 0.2f));
  assert_holds(ct_scale(ct_flip(i, CT_ALL), -3), CT_SHAPE(3), NUMBERS(-6, -3, 0));
  assert_holds(ct_shift(ct_full(CT_I32, CT_SCALAR, INT32_MAX), 1), CT_SCALAR,
               NUMBERS(INT32_MIN)); /* wraps */
  assert_holds(ct_scale(ct_full(CT_I32, CT_SCALAR, 1 << 30), 4), CT_SCALAR, NUMBERS(0));
  assert_shape(ct_scale(ct_zeros(CT_F32, CT_SHAPE(0)), 2), CT_SHAPE(0));
  assert_nil(ct_scale(i, 0.5), CT_EDTYPE, "scale: want a whole number that fits i32, not 0.5");
  assert_nil(ct_shift(i, 1e10), CT_EDTYPE, "shift");
  assert_nil(ct_shift(i, NAN), CT_EDTYPE, "shift");
  assert_nil(ct_scale(ct_cast(i, CT_U8), 2), CT_EDTYPE, "scale");
  assert_nil(ct_scale(NULL, 2), CT_EARG, "scale");
  assert_nil(ct_shift(ct_nil(), 2), CT_ENIL, "shift");
}

static ct_tensor *constants_mix(ct_list x, void *payload) {
  (void)payload;
  ct_tensor *a = ct_clamp(ct_scale(ct_square(x.at[0]), 3), 0.25, 2);
  ct_tensor *b = ct_shift(ct_sin(x.at[1]), 0.5);
  ct_tensor *c = ct_where(ct_gt(x.at[0], ct_scalar(CT_F64, 0)), ct_mul(a, b), ct_square(b));
  return ct_add(c, ct_cast(ct_cast(ct_square(b), CT_F64), CT_F64));
}

static void constants_have_derivatives(void **state) {
  (void)state;
  assert_gradients(constants_mix, NULL, CT_LIST(sample(5, CT_SHAPE(3, 4)), sample(6, CT_SHAPE(4))));
}

/* ---- cast, stop_gradient --------------------------------------------------------------------- */

static void cast_reaches_every_dtype(void **state) {
  (void)state;
  ct_tensor *x = numbers_of(CT_F64, NUMBERS(0, 1, 200));
  for (int from = 0; from < CT_DTYPES; from++)
    for (int to = 0; to < CT_DTYPES; to++) {
      ct_tensor *y = ct_cast(ct_cast(x, (ct_dtype)from), (ct_dtype)to);
      assert_int_equal(ct_dtype_of(y), to);
      assert_holds(y, CT_SHAPE(3), NUMBERS(0, 1, from == CT_BOOL || to == CT_BOOL ? 1 : 200));
      assert_same_bits(ct_cast(scattered(ct_cast(x, (ct_dtype)from)), (ct_dtype)to), y);
    }
  assert_holds(ct_cast(numbers_of(CT_F64, NUMBERS(NAN, -1e10, 1e10, -1.9)), CT_I32), CT_SHAPE(4),
               NUMBERS(0, INT32_MIN, INT32_MAX, -1));
  assert_nil(ct_cast(x, (ct_dtype)5), CT_EDTYPE, "cast: unknown dtype 5");
  assert_nil(ct_cast(NULL, CT_F32), CT_EARG, "cast");
}

static void cast_passes_gradients_between_floats(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(numbers_of(CT_F32, NUMBERS(1, 2)));
  ct_tensor *y = ct_square(ct_cast(x, CT_F64)), *gx = ct_vjp(y, x, ct_ones(CT_F64, CT_SHAPE(2)));
  assert_int_equal(ct_dtype_of(gx), CT_F32);
  assert_holds(gx, CT_SHAPE(2), NUMBERS(2, 4));
  ct_tensor *dy = ct_jvp(y, x, ct_ones(CT_F32, CT_SHAPE(2)));
  assert_int_equal(ct_dtype_of(dy), CT_F64);
  assert_holds(dy, CT_SHAPE(2), NUMBERS(2, 4));
  ct_tensor *through = ct_mul(ct_cast(ct_cast(x, CT_I32), CT_F32), x);
  assert_holds(ct_vjp(through, x, ct_ones(CT_F32, CT_SHAPE(2))), CT_SHAPE(2), NUMBERS(1, 2));
  ct_release(&x);
}

static void stop_gradient_stops(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(numbers_of(CT_F64, NUMBERS(3, 4)));
  ct_tensor *still = ct_stop_gradient(x), *y = ct_mul(x, still),
            *ones = ct_ones(CT_F64, CT_SHAPE(2));
  assert_true(still != x);
  assert_ptr_equal(ct_data(still), ct_data(x));
  assert_holds(ct_vjp(y, x, ones), CT_SHAPE(2), NUMBERS(3, 4));
  assert_holds(ct_jvp(y, x, ones), CT_SHAPE(2), NUMBERS(3, 4));
  assert_holds(ct_vjp(still, x, ones), CT_SHAPE(2), NUMBERS(0, 0));
  assert_nil(ct_stop_gradient(NULL), CT_EARG, "stop_gradient");
  ct_release(&x);
}

/* ---- random numbers -------------------------------------------------------------------------- */

static void keys_are_unrelated(void **state) {
  (void)state;
  int32_t key[64][4];
  for (int i = 0; i < 64; i++) {
    ct_tensor *k = i < 32 ? ct_key((uint64_t)i) : ct_key_fold(ct_key(0), i - 32);
    assert_shape(k, CT_SHAPE(4));
    assert_int_equal(ct_dtype_of(k), CT_I32);
    assert_false(ct_is_recorded(k));
    assert_ok(ct_copy_out(k, key[i], sizeof key[i]));
    for (int j = 0; j < i; j++) { /* bits of two keys differ like those of two coins */
      int bits = 0;
      for (int w = 0; w < 4; w++) bits += __builtin_popcount((uint32_t)(key[i][w] ^ key[j][w]));
      assert_in_range(bits, 36, 92);
    }
  }
  assert_same_bits(ct_key_fold(ct_key(0), 5), ct_key_fold(scattered(ct_key(0)), 5));
  assert_nil(ct_key_fold(counting(CT_I32, CT_SHAPE(3)), 0), CT_ESHAPE,
             "key_fold: want a key, i32 (4), got (3)");
  assert_nil(ct_key_fold(counting(CT_F32, CT_SHAPE(4)), 0), CT_EDTYPE, "want a key");
  assert_nil(ct_key_fold(NULL, 0), CT_EARG, "key_fold");
}

static void numbers_follow_the_key(void **state) {
  (void)state;
  ct_tensor *key = ct_key(1);
  for (int d = 0; d < 3; d++) {
    ct_tensor *u = ct_uniform(key, dtypes[d], CT_SHAPE(10, 50), -3, 7);
    double v[500], sum = 0;
    assert_shape(u, CT_SHAPE(10, 50));
    assert_int_equal(ct_dtype_of(u), dtypes[d]);
    tensor_values(u, v, 500);
    for (int i = 0; i < 500; i++) {
      assert_true(v[i] >= -3 && v[i] < 7);
      sum += v[i];
    }
    assert_near(sum / 500, d == 2 ? 1.5 : 2, 0.6);
    assert_same_bits(u, ct_uniform(scattered(key), dtypes[d], CT_SHAPE(10, 50), -3, 7));
  }
  ct_tensor *z = ct_randn(key, CT_F64, CT_SHAPE(500));
  double v[500], sum = 0, square = 0;
  tensor_values(z, v, 500);
  for (int i = 0; i < 500; i++) sum += v[i], square += v[i] * v[i];
  assert_near(sum / 500, 0, 0.15);
  assert_near(square / 500, 1, 0.2);
  assert_same_bits(ct_normal(key, CT_F64, CT_SHAPE(500), 2, 3), ct_shift(ct_scale(z, 3), 2));
  assert_holds(ct_normal(key, CT_F32, CT_SHAPE(2), 5, 0), CT_SHAPE(2), NUMBERS(5, 5));
  assert_shape(ct_uniform(key, CT_F32, CT_SCALAR, 0, 1), CT_SCALAR);
  assert_shape(ct_randn(key, CT_F32, CT_SHAPE(0, 3)), CT_SHAPE(0, 3));

  ct_tensor *p = ct_permutation(key, 100);
  tensor_values(ct_sort(p, 0, false, NULL), v, 100);
  for (int i = 0; i < 100; i++) assert_int_equal((int)v[i], i);
  assert_shape(ct_permutation(key, 0), CT_SHAPE(0));
}

static void random_errors(void **state) {
  (void)state;
  ct_tensor *key = ct_key(1);
  assert_nil(ct_uniform(key, CT_F32, CT_SCALAR, 1, 1), CT_EARG,
             "uniform: want finite lo < hi, got 1 and 1");
  assert_nil(ct_uniform(key, CT_F32, CT_SCALAR, 0, INFINITY), CT_EARG, "finite");
  assert_nil(ct_uniform(key, CT_F32, CT_SCALAR, NAN, 1), CT_EARG, "finite");
  assert_nil(ct_uniform(key, CT_U8, CT_SCALAR, 0, 1), CT_EDTYPE, "f32, f64 or i32, got u8");
  assert_nil(ct_uniform(key, CT_I32, CT_SCALAR, 0, 1.5), CT_EDTYPE, "bounds of i32");
  assert_nil(ct_uniform(key, CT_I32, CT_SCALAR, 0.5, 2), CT_EDTYPE, "bounds of i32");
  assert_nil(ct_uniform(key, CT_I32, CT_SCALAR, 0, 1e10), CT_EDTYPE, "bounds of i32");
  assert_nil(ct_uniform(key, CT_F32, CT_SHAPE(-1), 0, 1), CT_EARG, "negative");
  assert_nil(ct_uniform(key, CT_F32, CT_SHAPE(INT64_MAX), 0, 1), CT_ESIZE, "too large");
  assert_nil(ct_uniform(key, CT_F32, (ct_shape){.n = 9}, 0, 1), CT_EARG, "0 to 8");
  assert_nil(ct_uniform(key, (ct_dtype)-1, CT_SCALAR, 0, 1), CT_EDTYPE, "uniform");
  assert_nil(ct_normal(key, CT_I32, CT_SCALAR, 0, 1), CT_EDTYPE,
             "normal: want dtype f32 or f64, got i32");
  assert_nil(ct_normal(key, CT_F32, CT_SCALAR, 0, -1), CT_EARG, "deviation");
  assert_nil(ct_normal(key, CT_F32, CT_SCALAR, INFINITY, 1), CT_EARG, "finite");
  assert_nil(ct_randn(ct_scalar(CT_I32, 1), CT_F32, CT_SCALAR), CT_ESHAPE, "want a key");
  assert_nil(ct_randn(NULL, CT_F32, CT_SCALAR), CT_EARG, "randn");
  assert_nil(ct_permutation(key, -1), CT_EARG, "permutation: want 0 <= n");
  assert_nil(ct_permutation(key, INT64_C(1) << 31), CT_ESIZE, "permutation");
}

/* A key is an input of the recipe: a function gives new numbers for a new key. */
static void keys_are_inputs(void **state) {
  (void)state;
  ct_tensor *k = ct_placeholder(CT_I32, CT_SHAPE(4)), *got;
  ct_function *f =
      ct_function_new(CT_LIST(k), CT_LIST(ct_randn(ct_key_fold(k, 3), CT_F32, CT_SHAPE(5))));
  assert_non_null(f);
  for (uint64_t seed = 0; seed < 3; seed++) {
    assert_ok(ct_function_run(f, CT_LIST(ct_key(seed)), &got));
    assert_same_bits(got, ct_randn(ct_key_fold(ct_key(seed), 3), CT_F32, CT_SHAPE(5)));
  }
  ct_function_release(&f);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_scope, close_scope)
  const struct CMUnitTest tests[] = {
      TEST(gather_takes_rows),
      TEST(gather_errors),
      TEST(scatter_add_adds_rows),
      TEST(rows_of_every_layout),
      TEST(rows_have_derivatives),
      TEST(one_hot_marks),
      TEST(sort_orders),
      TEST(sort_agrees_with_insertion),
      TEST(sort_has_derivatives),
      TEST(sort_keeps_its_positions),
      TEST(symbolic_is_eager),
      TEST(where_chooses),
      TEST(where_does_not_leak),
      TEST(clamp_bounds),
      TEST(clamp_has_a_closed_interval),
      TEST(constants_scale_and_shift),
      TEST(constants_have_derivatives),
      TEST(cast_reaches_every_dtype),
      TEST(cast_passes_gradients_between_floats),
      TEST(stop_gradient_stops),
      TEST(keys_are_unrelated),
      TEST(numbers_follow_the_key),
      TEST(random_errors),
      TEST(keys_are_inputs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
