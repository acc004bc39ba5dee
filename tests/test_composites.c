/* test_composites.c - operations made of others: values by the definition, derivatives to second
 * order, special values, errors. */
#include "tensors.h"

#include "autograd/autograd.h"
#include "tensor/tensor_internal.h"

enum { MAX_VALUES = 1024 };

#define F64(shape, ...)      ct_from(CT_F64, shape, (const double[]){__VA_ARGS__})
#define I32(shape, ...)      ct_from(CT_I32, shape, (const int32_t[]){__VA_ARGS__})
#define ASSERT_SHAPE(t, ...) assert_true(ct_shape_equal(ct_shape_of(t), CT_SHAPE(__VA_ARGS__)))

static ct_tensor *wave(ct_shape shape, double phase) {
  int64_t size = 1;
  for (int i = 0; i < shape.n; i++) size *= shape.dim[i];
  ct_tensor *t = ct_shift(ct_arange(CT_F64, 0, (double)size, 1), phase);
  return ct_reshape(ct_sin(ct_scale(t, 1.7)), shape);
}

static void check(ct_fn *f, void *payload, ct_list x) {
  assert_ok(ct_gradcheck(f, payload, x, (ct_gradcheck_opts){0}, NULL));
}

#define FUNCTION(name, expression)                                                                 \
  static ct_tensor *name(ct_list x, void *payload) {                                               \
    (void)payload;                                                                                 \
    return expression;                                                                             \
  }

static ct_tensor *gradient(ct_tensor *y, ct_tensor *x) {
  return ct_vjp(y, x, ct_ones(ct_dtype_of(y), ct_shape_of(y)));
}

/* ---- norms and moments ----------------------------------------------------------------------- */

static ct_tensor *norm(ct_list x, void *payload) {
  return ct_norm(x.at[0], *(const double *)payload, CT_AXES(1), true);
}

static void norms(void **state) {
  (void)state;
  double powers[] = {2, 1, 3, 0.5, 1.7, -1, -2.5, INFINITY, -INFINITY, 0};
  ct_tensor *x = F64(CT_SHAPE(2, 3), 3, -4, 12, 1, 2, -0.5);
  for (int i = 0; i < CT__COUNT(powers); i++) {
    double p = powers[i], want[2] = {0, 0}, values[6];
    tensor_values(x, values, 6);
    for (int k = 0; k < 6; k++) {
      double v = fabs(values[k]), *to = &want[k / 3];
      if (p == INFINITY)
        *to = fmax(*to, v);
      else if (p == -INFINITY)
        *to = k % 3 == 0 ? v : fmin(*to, v);
      else
        *to += p == 0 ? 1 : pow(v, p);
    }
    for (int k = 0; k < 2 && isfinite(p) && p != 0; k++) want[k] = pow(want[k], 1 / p);
    assert_values_near(ct_norm(x, p, CT_AXES(-1), false), 2, want, 1e-14 * want[0]);
    ASSERT_SHAPE(ct_norm(x, p, CT_AXES(1), true), 2, 1);
    if (p != 0) check(norm, &p, CT_LIST(wave(CT_SHAPE(3, 4), 0.3)));
  }
  ASSERT_VALUES(ct_norm(x, 2, CT_ALL, false), 1e-13, sqrt(9 + 16 + 144 + 1 + 4 + 0.25));
}

/* Neither the squares nor the sums leave the range of the dtype; at 0 the gradient is 0. */
static void norms_at_the_ends(void **state) {
  (void)state;
  ct_tensor *big = ct_full(CT_F32, CT_SHAPE(4), 1e30), *tiny = ct_full(CT_F32, CT_SHAPE(4), 1e-30);
  ASSERT_VALUES(ct_norm(big, 2, CT_ALL, false), 1e24, 2e30);
  ASSERT_VALUES(ct_norm(tiny, 2, CT_ALL, false), 1e-36, 2e-30);
  ASSERT_VALUES(
      ct_norm(F64(CT_SHAPE(3, 2), 3e200, -4e200, 3e-200, 4e-200, 3, 4), 2, CT_AXES(1), false),
      1e185, 5e200, 5e-200, 5);
  ASSERT_VALUES(ct_scale(ct_norm(F64(CT_SHAPE(2), 3e-200, 4e-200), 2, CT_ALL, true), 1e200), 1e-15,
                5);
  ASSERT_VALUES(ct_norm(F64(CT_SHAPE(2), INFINITY, 1), 2, CT_ALL, false), 0, INFINITY);
  ASSERT_VALUES(ct_norm(F64(CT_SHAPE(2), NAN, 1), 2, CT_ALL, false), 0, NAN);
  ASSERT_VALUES(ct_norm(ct_zeros(CT_F64, CT_SHAPE(0)), 2, CT_ALL, false), 0, 0);
  const double powers[] = {2, 1, 3, 0.5, INFINITY};
  for (int i = 0; i < CT__COUNT(powers); i++) {
    ct_tensor *zero = ct_variable(ct_zeros(CT_F64, CT_SHAPE(2))), *hv;
    ct_tensor *y = ct_norm(zero, powers[i], CT_ALL, false);
    ASSERT_VALUES(y, 0, 0);
    ct_tensor *g = gradient(y, zero);
    ASSERT_VALUES(g, 0, 0, 0);
    ASSERT_VALUES(ct_jvp(y, zero, ct_ones(CT_F64, CT_SHAPE(2))), 0, 0);
    hv = ct_jvp(g, zero, ct_ones(CT_F64, CT_SHAPE(2)));
    ASSERT_VALUES(hv, 0, 0, 0);
    ct_release(&zero);
    ct_tensor *one = ct_variable(F64(CT_SHAPE(3), 0, 2, 0));
    g = gradient(ct_norm(one, powers[i], CT_ALL, false), one);
    ASSERT_VALUES(g, 1e-15, 0, 1, 0);
    ct_release(&one);
  }
}

FUNCTION(variance, ct_var(x.at[0], CT_AXES(0, 2), 1, false))
FUNCTION(deviation, ct_std(x.at[0], CT_AXES(1), 0, true))
FUNCTION(layer_norm, ct_layer_norm(x.at[0], CT_AXES(-1), 1e-5))

static void moments(void **state) {
  (void)state;
  ct_tensor *x = F64(CT_SHAPE(2, 4), 1, 2, 3, 6, 5, 5, 5, 5);
  ASSERT_VALUES(ct_var(x, CT_AXES(1), 0, false), 1e-15, 3.5, 0);
  ASSERT_VALUES(ct_var(x, CT_AXES(1), 1, false), 1e-15, 14.0 / 3, 0);
  ASSERT_VALUES(ct_std(x, CT_AXES(1), 0, false), 1e-15, sqrt(3.5), 0);
  ASSERT_VALUES(ct_var(ct_slice(x, 1, 0, 1, 1), CT_AXES(1), 1, false), 0, NAN, NAN);
  ASSERT_VALUES(ct_var(ct_zeros(CT_F64, CT_SHAPE(2, 0)), CT_AXES(1), 0, false), 0, NAN, NAN);
  ct_tensor *y = ct_layer_norm(x, CT_AXES(1), 0.5);
  ASSERT_VALUES(y, 1e-15, -1, -0.5, 0, 1.5, 0, 0, 0, 0);
  ct_tensor *w = wave(CT_SHAPE(2, 3, 4), 0);
  check(variance, NULL, CT_LIST(w));
  check(deviation, NULL, CT_LIST(w));
  check(layer_norm, NULL, CT_LIST(w));
  ct_tensor *flat = ct_variable(ct_full(CT_F64, CT_SHAPE(7), 0.1));
  ASSERT_VALUES(gradient(ct_std(flat, CT_ALL, 0, false), flat), 0, 0, 0, 0, 0, 0, 0, 0);
  ct_release(&flat);
}

/* y and its first two derivatives, two ways. */
static void same_to_second_order(ct_fn *f, ct_fn *composition, ct_tensor *x, double tol) {
  ct_tensor *v = ct_variable(x), *y[2] = {f(CT_LIST(v), NULL), composition(CT_LIST(v), NULL)},
            *g[2];
  for (int k = 0; k < 2; k++) g[k] = ct_vjp(y[k], v, wave(ct_shape_of(y[k]), 0.7));
  assert_tensors_near(y[0], y[1], tol);
  assert_tensors_near(g[0], g[1], tol);
  ct_tensor *dx = wave(ct_shape_of(x), 0.4);
  assert_tensors_near(ct_jvp(y[0], v, dx), ct_jvp(y[1], v, dx), tol);
  assert_tensors_near(ct_vjp(g[0], v, dx), ct_vjp(g[1], v, dx), tol);
  assert_tensors_near(ct_jvp(g[0], v, dx), ct_jvp(g[1], v, dx), tol);
  ct_release(&v);
}

static ct_tensor *centred(ct_tensor *x) { return ct_sub(x, ct_mean(x, CT_AXES(-1), true)); }
FUNCTION(var_lines, ct_var(x.at[0], CT_AXES(-1), 1, true))
FUNCTION(plain_var, ct_scale(ct_sum(ct_square(centred(x.at[0])), CT_AXES(-1), true),
                             1.0 / (double)(ct_dim(x.at[0], -1) - 1)))
FUNCTION(plain_layer_norm,
         ct_div(centred(x.at[0]),
                ct_sqrt(ct_shift(ct_mean(ct_square(centred(x.at[0])), CT_AXES(-1), true), 1e-5))))
FUNCTION(norm_lines, ct_norm(x.at[0], 2, CT_AXES(-1), true))
FUNCTION(plain_norm, ct_sqrt(ct_sum(ct_square(x.at[0]), CT_AXES(-1), true)))

/* Lines of all lengths around those of vectors, and with gaps. */
static void kernels_are_their_compositions(void **state) {
  (void)state;
  for (int64_t n = 2; n <= 300; n += n < 40 ? 1 : 37) {
    ct_scope scope = ct_scope_begin();
    ct_tensor *lines[] = {wave(CT_SHAPE(3, n), 0), ct_transpose(wave(CT_SHAPE(n, 3), 0), 0, 1)};
    for (int k = 0; k < 2; k++) {
      same_to_second_order(var_lines, plain_var, lines[k], 1e-12);
      same_to_second_order(layer_norm, plain_layer_norm, lines[k], 1e-12);
      same_to_second_order(norm_lines, plain_norm, lines[k], 1e-12);
    }
    assert_ok(ct_scope_end(scope));
  }
}

/* Far from 0 no digits are lost; a line with NaN stays NaN, but for a cotangent of zeros. */
static void moments_at_the_ends(void **state) {
  (void)state;
  ct_tensor *far =
      ct_from(CT_F32, CT_SHAPE(4), (const float[]){1e6f, 1e6f + 1, 1e6f + 2, 1e6f + 5});
  ASSERT_VALUES(ct_var(far, CT_ALL, 0, false), 1e-6, 3.5);
  ASSERT_VALUES(ct_layer_norm(far, CT_ALL, 0), 1e-6, -2 / sqrt(3.5), -1 / sqrt(3.5), 0,
                3 / sqrt(3.5));
  ct_tensor *x = ct_variable(F64(CT_SHAPE(2, 2), NAN, 1, 1, 3));
  ct_tensor *y = ct_layer_norm(x, CT_AXES(-1), 0);
  ASSERT_VALUES(y, 1e-15, NAN, NAN, -1, 1);
  ASSERT_VALUES(ct_vjp(y, x, F64(CT_SHAPE(2, 2), 0, 0, 1, 0)), 1e-15, 0, 0, 0, 0);
  ct_release(&x);
}

FUNCTION(sum_of_numbers, ct_nansum(ct_square(x.at[0]), CT_AXES(0), false))
FUNCTION(mean_of_numbers, ct_nanmean(ct_square(x.at[0]), CT_AXES(0), false))

static void what_is_not_nan(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(F64(CT_SHAPE(2, 3), 1, NAN, 3, NAN, NAN, 5)),
            *w = wave(CT_SHAPE(3, 2), 0);
  ASSERT_VALUES(ct_nansum(x, CT_AXES(0), false), 0, 1, 0, 8);
  ASSERT_VALUES(ct_nanmean(x, CT_AXES(0), false), 0, 1, NAN, 4);
  ASSERT_VALUES(gradient(ct_nansum(x, CT_ALL, false), x), 0, 1, 0, 1, 0, 0, 1);
  ASSERT_VALUES(gradient(ct_nanmean(x, CT_ALL, false), x), 1e-15, 1. / 3, 0, 1. / 3, 0, 0, 1. / 3);
  ct_release(&x);
  check(sum_of_numbers, NULL, CT_LIST(w));
  check(mean_of_numbers, NULL, CT_LIST(w));
}

/* ---- order and counts ------------------------------------------------------------------------ */

FUNCTION(best, ct_topk(x.at[0], 2, 1, NULL))
FUNCTION(median_odd, ct_median(x.at[0], 1, false))
FUNCTION(median_even, ct_median(x.at[0], 0, true))

static void order(void **state) {
  (void)state;
  ct_tensor *x = F64(CT_SHAPE(2, 5), 3, 9, -1, 9, 4, 1, 2, 3, 4, 5), *at;
  ASSERT_VALUES(ct_topk(x, 3, -1, &at), 0, 9, 9, 4, 5, 4, 3);
  ASSERT_VALUES(at, 0, 1, 3, 4, 4, 3, 2);
  assert_int_equal(ct_size(ct_topk(x, 0, 1, NULL)), 0);
  ASSERT_VALUES(ct_median(x, 1, false), 0, 4, 3);
  ASSERT_VALUES(ct_median(x, 0, true), 0, 2, 5.5, 1, 6.5, 4.5);
  ASSERT_VALUES(ct_median(F64(CT_SHAPE(3), 1, NAN, 2), 0, false), 0, NAN);
  check(best, NULL, CT_LIST(wave(CT_SHAPE(3, 4), 0)));
  check(median_odd, NULL, CT_LIST(wave(CT_SHAPE(3, 5), 0)));
  check(median_even, NULL, CT_LIST(wave(CT_SHAPE(4, 3), 0)));
  assert_nil(ct_topk(x, 6, 1, &at), CT_EARG, "topk: want 0 <= k <= 5, got 6");
  assert_true(ct_is_nil(at));
  assert_nil(ct_median(ct_zeros(CT_F32, CT_SHAPE(0, 2)), 0, false), CT_ESHAPE, "median: want");
  assert_nil(ct_median(ct_zeros(CT_I32, CT_SHAPE(2)), 0, false), CT_EDTYPE, "median: want f32");
}

static void positions(void **state) {
  (void)state;
  ct_tensor *sorted = F64(CT_SHAPE(5), 1, 2, 2, 2, 7), *x = F64(CT_SHAPE(6), 0, 2, 3, 7, 9, NAN);
  ASSERT_VALUES(ct_searchsorted(sorted, x, false), 0, 0, 1, 4, 4, 5, 5);
  ASSERT_VALUES(ct_searchsorted(sorted, x, true), 0, 0, 4, 4, 5, 5, 5);
  ct_tensor *lines = F64(CT_SHAPE(2, 3), 1, 2, 3, 10, 20, 30);
  ASSERT_VALUES(ct_searchsorted(ct_flip(ct_flip(lines, CT_ALL), CT_ALL),
                                F64(CT_SHAPE(2, 2), 2.5, 9, 9, 25), false),
                0, 2, 3, 0, 2);
  assert_int_equal(ct_size(ct_searchsorted(sorted, ct_zeros(CT_F64, CT_SHAPE(0)), true)), 0);
  ASSERT_VALUES(ct_searchsorted(ct_zeros(CT_F64, CT_SHAPE(0)), F64(CT_SHAPE(1), 3), true), 0, 0);
  assert_nil(ct_searchsorted(lines, x, true), CT_ESHAPE, "searchsorted: want sorted (...,n)");
  assert_nil(ct_searchsorted(ct_cast(sorted, CT_F32), x, true), CT_EDTYPE, "want one dtype");
  ct_tensor *edges = F64(CT_SHAPE(4), 0, 1, 2, 3);
  ct_tensor *data = F64(CT_SHAPE(2, 5), -1, 0, 0.5, 1, 2.5, 3, 3.5, NAN, INFINITY, 2);
  ASSERT_VALUES(ct_histogram(data, edges), 0, 2, 1, 3);
  ASSERT_VALUES(ct_histogram(ct_zeros(CT_F64, CT_SHAPE(0)), edges), 0, 0, 0, 0);
  assert_nil(ct_histogram(data, ct_slice(edges, 0, 0, 1, 1)), CT_ESHAPE, "at least 2 edges");
}

static ct_tensor *taken(ct_list x, void *payload) {
  return ct_square(ct_take_along_axis(x.at[0], payload, 1));
}

static void along_an_axis(void **state) {
  (void)state;
  ct_tensor *x = F64(CT_SHAPE(2, 3), 1, 2, 3, 4, 5, 6), *at = I32(CT_SHAPE(2, 2), 2, 0, 1, 1);
  ASSERT_VALUES(ct_take_along_axis(x, at, 1), 0, 3, 1, 5, 5);
  ASSERT_VALUES(ct_take_along_axis(x, I32(CT_SHAPE(1, 3), 1, 0, 1), 0), 0, 4, 2, 6);
  ASSERT_VALUES(ct_take_along_axis(x, I32(CT_SHAPE(1, 1), 2), 1), 0, 3, 6);
  check(taken, at, CT_LIST(x));
  check(taken, I32(CT_SHAPE(1, 2), 2, 2), CT_LIST(x));
  assert_nil(ct_take_along_axis(x, I32(CT_SHAPE(2, 1), 3, 0), 1), CT_EINDEX,
             "index 3 (number 0) is outside 0 <= i < 3");
  assert_nil(ct_take_along_axis(x, I32(CT_SHAPE(2, 1), 0, -1), 1), CT_EINDEX, "index -1");
  assert_nil(ct_take_along_axis(x, I32(CT_SHAPE(3, 1), 0, 0, 0), 1), CT_ESHAPE,
             "take_along_axis: want shapes that broadcast except along axis 1");
  assert_nil(ct_take_along_axis(x, x, 1), CT_EDTYPE, "want i32 indices");
  assert_nil(ct_take_along_axis(x, NULL, 1), CT_EARG, "take_along_axis: indices is NULL");
}

/* ---- replaced parts -------------------------------------------------------------------------- */

static ct_tensor *set_rows(ct_list x, void *payload) {
  return ct_square(ct_scatter_set(x.at[0], payload, x.at[1], 0));
}

FUNCTION(set_slice, ct_square(ct_update_slice(x.at[0], x.at[1], 1, 0, CT_END, 2)))

static void replaced_parts(void **state) {
  (void)state;
  ct_tensor *x = ct_zeros(CT_F64, CT_SHAPE(4)), *at = I32(CT_SHAPE(3), 2, 0, 2);
  ct_tensor *u = ct_variable(F64(CT_SHAPE(3), 5, 6, 7)), *v = ct_variable(x);
  ct_tensor *y = ct_scatter_set(v, at, u, 0);
  ASSERT_VALUES(y, 0, 6, 0, 7, 0); /* the last one wins, and gets the cotangent */
  ASSERT_VALUES(gradient(y, u), 0, 0, 1, 1);
  ASSERT_VALUES(gradient(y, v), 0, 0, 1, 0, 1);
  ct_release(&u);
  ct_release(&v);
  check(set_rows, at, CT_LIST(wave(CT_SHAPE(4, 2), 0), wave(CT_SHAPE(3, 2), 1)));
  ct_tensor *flags = ct_scatter_set(ct_zeros(CT_BOOL, CT_SHAPE(3)), I32(CT_SHAPE(1), 1),
                                    ct_ones(CT_BOOL, CT_SHAPE(1)), 0);
  ASSERT_VALUES(flags, 0, 0, 1, 0);
  assert_nil(ct_scatter_set(x, I32(CT_SHAPE(1), 4), ct_zeros(CT_F64, CT_SHAPE(1)), 0), CT_EINDEX,
             "scatter_set: index 4");
  assert_nil(ct_scatter_set(x, at, ct_zeros(CT_F32, CT_SHAPE(3)), 0), CT_EDTYPE, "one dtype");

  ct_tensor *m = F64(CT_SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
  ASSERT_VALUES(ct_update_slice(m, F64(CT_SHAPE(2, 2), 7, 8, 9, 10), 1, 0, CT_END, 2), 0, 7, 2, 8,
                9, 5, 10);
  ASSERT_VALUES(ct_update_slice(m, ct_scalar(CT_F64, 0), 1, CT_END, 0, -1), 0, 1, 0, 0, 4, 0, 0);
  ASSERT_VALUES(m, 0, 1, 2, 3, 4, 5, 6);
  check(set_slice, NULL, CT_LIST(m, wave(CT_SHAPE(2, 2), 0)));
  check(set_slice, NULL, CT_LIST(m, wave(CT_SHAPE(1, 1), 0)));
  assert_nil(ct_update_slice(m, ct_zeros(CT_F64, CT_SHAPE(3)), 1, 0, 2, 1), CT_ESHAPE,
             "update_slice: want an update that broadcasts to (2,2)");
  assert_nil(ct_update_slice(m, ct_zeros(CT_F32, CT_SHAPE(2, 2)), 1, 0, 2, 1), CT_EDTYPE,
             "want one dtype");
  assert_nil(ct_update_slice(NULL, m, 1, 0, 2, 1), CT_EARG, "update_slice: x is NULL");
  assert_nil(ct_update_slice(m, NULL, 1, 0, 2, 1), CT_EARG, "update_slice: input 1 is NULL");
}

/* ---- arrangements ---------------------------------------------------------------------------- */

FUNCTION(trace_of, ct_trace(ct_square(x.at[0])))
FUNCTION(diagonal_of, ct_diagonal(ct_square(x.at[0]), 0, 2))
FUNCTION(diagonal_matrix, ct_diag(ct_square(x.at[0])))
FUNCTION(lower, ct_tril(ct_square(x.at[0]), 0))
FUNCTION(rolled, ct_roll(ct_square(x.at[0]), -2, 1))
FUNCTION(repeated, ct_repeat(ct_square(x.at[0]), 3, 1))
FUNCTION(tiled, ct_tile(ct_square(x.at[0]), CT_SHAPE(2, 1, 3)))
FUNCTION(kronecker, ct_kron(x.at[0], x.at[1]))
FUNCTION(outer, ct_outer(x.at[0], x.at[1]))

static void diagonals(void **state) {
  (void)state;
  ct_tensor *m = F64(CT_SHAPE(2, 3), 1, 2, 3, 4, 5, 6), *w = wave(CT_SHAPE(3, 2, 4), 0);
  ASSERT_VALUES(ct_diag(m), 0, 1, 5);
  ASSERT_VALUES(ct_diag(ct_transpose(m, 0, 1)), 0, 1, 5);
  ASSERT_VALUES(ct_diag(F64(CT_SHAPE(2), 7, NAN)), 0, 7, 0, 0, NAN);
  ASSERT_VALUES(ct_trace(m), 0, 6);
  ct_tensor *d = ct_diagonal(w, 2, 0);
  ASSERT_SHAPE(d, 2, 3);
  assert_tensors_near(ct_slice(d, 1, 1, 2, 1),
                      ct_squeeze(ct_slice(ct_slice(w, 0, 1, 2, 1), 2, 1, 2, 1), CT_AXES(0)), 0);
  ASSERT_VALUES(ct_tril(m, 0), 0, 1, 0, 0, 4, 5, 0);
  ASSERT_VALUES(ct_tril(m, 1), 0, 1, 2, 0, 4, 5, 6);
  ASSERT_VALUES(ct_triu(m, 0), 0, 1, 2, 3, 0, 5, 6);
  ASSERT_VALUES(ct_triu(m, -1), 0, 1, 2, 3, 4, 5, 6);
  ASSERT_VALUES(ct_trace(ct_zeros(CT_F64, CT_SHAPE(0, 3))), 0, 0);
  check(trace_of, NULL, CT_LIST(w));
  check(diagonal_of, NULL, CT_LIST(w));
  check(diagonal_matrix, NULL, CT_LIST(wave(CT_SHAPE(3), 0)));
  check(lower, NULL, CT_LIST(w));
  assert_nil(ct_diag(w), CT_ESHAPE, "diag: want a vector or a matrix");
  assert_nil(ct_diagonal(m, 1, -1), CT_EARG, "diagonal: want two different axes");
  assert_nil(ct_trace(F64(CT_SHAPE(1), 1)), CT_EARG, "trace: axis -2");
  assert_nil(ct_triu(F64(CT_SHAPE(1), 1), 0), CT_ESHAPE, "triu: want (...,m,n)");
}

static void repetitions(void **state) {
  (void)state;
  ct_tensor *m = F64(CT_SHAPE(2, 2), 1, 2, 3, 4), *w = wave(CT_SHAPE(2, 3), 0);
  ASSERT_VALUES(ct_repeat(m, 2, 0), 0, 1, 2, 1, 2, 3, 4, 3, 4);
  ASSERT_VALUES(ct_repeat(m, 2, 1), 0, 1, 1, 2, 2, 3, 3, 4, 4);
  ASSERT_VALUES(ct_tile(m, CT_SHAPE(2)), 0, 1, 2, 1, 2, 3, 4, 3, 4);
  ASSERT_VALUES(ct_tile(m, CT_SHAPE(2, 1)), 0, 1, 2, 3, 4, 1, 2, 3, 4);
  ASSERT_SHAPE(ct_tile(m, CT_SHAPE(3, 1, 2)), 3, 2, 4);
  ASSERT_SHAPE(ct_tile(m, CT_SHAPE(0, 1)), 0, 2);
  ASSERT_SHAPE(ct_repeat(m, 0, 1), 2, 0);
  ASSERT_VALUES(ct_roll(F64(CT_SHAPE(4), 1, 2, 3, 4), 1, 0), 0, 4, 1, 2, 3);
  ASSERT_VALUES(ct_roll(F64(CT_SHAPE(4), 1, 2, 3, 4), -5, 0), 0, 2, 3, 4, 1);
  ASSERT_SHAPE(ct_roll(ct_zeros(CT_F32, CT_SHAPE(0, 2)), 3, 0), 0, 2);
  check(rolled, NULL, CT_LIST(w));
  check(repeated, NULL, CT_LIST(w));
  check(tiled, NULL, CT_LIST(w));
  assert_nil(ct_repeat(m, -1, 0), CT_EARG, "repeat: want n >= 0");
  assert_nil(ct_repeat(m, INT64_MAX, 0), CT_ESIZE, "repeat: the result is too large");
  assert_nil(ct_tile(m, CT_SHAPE(-1)), CT_EARG, "tile: want repetitions >= 0");
  assert_nil(ct_roll(m, 1, 2), CT_EARG, "roll: axis 2");
  assert_nil(ct_roll(NULL, 1, 2), CT_EARG, "roll: x is NULL");
}

static void products_and_grids(void **state) {
  (void)state;
  ct_tensor *a = F64(CT_SHAPE(2), 1, 2), *b = F64(CT_SHAPE(1, 3), 3, 4, 5), *grid[2];
  ASSERT_VALUES(ct_outer(a, b), 0, 3, 4, 5, 6, 8, 10);
  ASSERT_VALUES(ct_kron(a, b), 0, 3, 4, 5, 6, 8, 10);
  ASSERT_SHAPE(ct_kron(a, b), 1, 6);
  ct_tensor *k = ct_kron(F64(CT_SHAPE(2, 2), 1, 2, 3, 4), F64(CT_SHAPE(2, 1), 1, 10));
  ASSERT_VALUES(k, 0, 1, 2, 10, 20, 3, 4, 30, 40);
  check(kronecker, NULL, CT_LIST(wave(CT_SHAPE(2, 3), 0), wave(CT_SHAPE(2), 0)));
  check(outer, NULL, CT_LIST(wave(CT_SHAPE(2, 3), 0), wave(CT_SHAPE(4), 0)));
  assert_ok(ct_meshgrid(CT_LIST(a, F64(CT_SHAPE(3), 3, 4, 5)), grid));
  ASSERT_VALUES(grid[0], 0, 1, 1, 1, 2, 2, 2);
  ASSERT_VALUES(grid[1], 0, 3, 4, 5, 3, 4, 5);
  assert_fails(ct_meshgrid(CT_LIST(a, b), grid), CT_ESHAPE, "but number 1 has 2 dimensions");
  assert_true(ct_is_nil(grid[0]) && ct_is_nil(grid[1]));
  assert_fails(ct_meshgrid(CT_NONE, grid), CT_EARG, "meshgrid: want 1 to 8 vectors");
  assert_fails(ct_meshgrid(CT_LIST(a, NULL), grid), CT_EARG, "meshgrid: x[1] is NULL");
  assert_nil(ct_kron(ct_zeros(CT_F32, CT_SHAPE(1, 1, 1, 1, 1)), ct_scalar(CT_F32, 1)), CT_ESHAPE,
             "kron: want at most 4 dimensions");
}

/* ---- einsum ---------------------------------------------------------------------------------- */

/* The definition: a sum over all values of all letters. Operands of at most four axes, no ellipsis.
 */
static ct_tensor *einsum_plainly(const char *spec, int n, ct_tensor *const *x) {
  double value[4][MAX_VALUES], y[MAX_VALUES] = {0};
  int64_t extent[128] = {0}, place[128] = {0}, total = 1;
  const char *names[4], *out = strstr(spec, "->") + 2, *at = spec;
  char letters[16] = "";
  ct_shape shape = {0};
  for (int i = 0; i < n; i++, at = strpbrk(at, ",-") + 1) {
    names[i] = at;
    tensor_values(x[i], value[i], ct_size(x[i]));
    for (int k = 0; k < ct_ndim(x[i]); k++) {
      char letter[2] = {at[k], 0};
      if (!strchr(letters, at[k])) strcat(letters, letter);
      extent[(int)at[k]] = ct_dim(x[i], k);
    }
  }
  for (const char *l = letters; *l; l++) total *= extent[(int)*l];
  for (const char *l = out; *l; l++) shape.dim[shape.n++] = extent[(int)*l];
  for (int64_t t = 0; t < total; t++) {
    int64_t rest = t, to = 0;
    double product = 1;
    for (const char *l = letters; *l; l++) {
      place[(int)*l] = rest % extent[(int)*l];
      rest /= extent[(int)*l];
    }
    for (int i = 0; i < n; i++) {
      int64_t offset = 0;
      for (int k = 0; k < ct_ndim(x[i]); k++)
        offset = offset * ct_dim(x[i], k) + place[(int)names[i][k]];
      product *= value[i][offset];
    }
    for (const char *l = out; *l; l++) to = to * extent[(int)*l] + place[(int)*l];
    y[to] += product;
  }
  return ct_from(CT_F64, shape, y);
}

typedef struct sum_case {
  const char *spec;
  int n;
  ct_shape shape[3];
} sum_case;

static ct_tensor *einsum(ct_list x, void *payload) { return ct_einsum(payload, x); }

static void sums_of_products(void **state) {
  (void)state;
  const sum_case sums[] = {
      {"ij,jk->ik", 2, {CT_SHAPE(2, 3), CT_SHAPE(3, 4)}},
      {"ij,kj->ki", 2, {CT_SHAPE(2, 3), CT_SHAPE(4, 3)}},
      {"bij,bjk->bik", 2, {CT_SHAPE(2, 3, 4), CT_SHAPE(2, 4, 2)}},
      {"ibj,kjb->bki", 2, {CT_SHAPE(3, 2, 4), CT_SHAPE(2, 4, 2)}},
      {"ij->ji", 1, {CT_SHAPE(2, 3)}},
      {"ij->", 1, {CT_SHAPE(2, 3)}},
      {"ij->j", 1, {CT_SHAPE(2, 3)}},
      {"ii->i", 1, {CT_SHAPE(3, 3)}},
      {"ii->", 1, {CT_SHAPE(3, 3)}},
      {"iji->j", 1, {CT_SHAPE(3, 2, 3)}},
      {"iiii->i", 1, {CT_SHAPE(3, 3, 3, 3)}},
      {"i,j->ij", 2, {CT_SHAPE(3), CT_SHAPE(2)}},
      {"i,i->", 2, {CT_SHAPE(3), CT_SHAPE(3)}},
      {"i,i->i", 2, {CT_SHAPE(3), CT_SHAPE(3)}},
      {"ij,ij->ij", 2, {CT_SHAPE(2, 3), CT_SHAPE(2, 3)}},
      {"ij,k->i", 2, {CT_SHAPE(2, 3), CT_SHAPE(4)}},
      {",ij->ij", 2, {CT_SCALAR, CT_SHAPE(2, 3)}},
      {"ij,jk,kl->il", 3, {CT_SHAPE(2, 3), CT_SHAPE(3, 4), CT_SHAPE(4, 2)}},
      {"i,ij,j->", 3, {CT_SHAPE(3), CT_SHAPE(3, 2), CT_SHAPE(2)}},
      {"i,i,i->i", 3, {CT_SHAPE(3), CT_SHAPE(3), CT_SHAPE(3)}},
      {"aij,ajk,a->ik", 3, {CT_SHAPE(2, 3, 2), CT_SHAPE(2, 2, 4), CT_SHAPE(2)}},
      {"aBc,dcB->ad", 2, {CT_SHAPE(2, 3, 4), CT_SHAPE(2, 4, 3)}},
      {"iij,jkk->ik", 2, {CT_SHAPE(2, 2, 3), CT_SHAPE(3, 2, 2)}},
      {"ij,jk->ik", 2, {CT_SHAPE(2, 0), CT_SHAPE(0, 4)}},
  };
  for (int i = 0; i < CT__COUNT(sums); i++) {
    const sum_case *s = &sums[i];
    ct_tensor *x[3];
    for (int k = 0; k < s->n; k++) x[k] = wave(s->shape[k], k);
    ct_list list = {s->n, x};
    assert_tensors_near(ct_einsum(s->spec, list), einsum_plainly(s->spec, s->n, x), 1e-14);
    check(einsum, (void *)(uintptr_t)s->spec, list);
  }
}

static void default_results_and_ellipses(void **state) {
  (void)state;
  ct_tensor *a = wave(CT_SHAPE(2, 3), 0), *b = wave(CT_SHAPE(3, 4), 1),
            *s = wave(CT_SHAPE(3, 3), 2);
  assert_tensors_near(ct_einsum("ij,jk", CT_LIST(a, b)), ct_matmul(a, b), 1e-15);
  assert_tensors_near(ct_einsum("ba", CT_LIST(a)), ct_transpose(a, 0, 1), 0);
  assert_tensors_near(ct_einsum("ii", CT_LIST(s)), ct_trace(s), 1e-15);
  assert_tensors_near(ct_einsum("aB", CT_LIST(a)), ct_transpose(a, 0, 1),
                      0); /* capitals come first */
  assert_tensors_near(ct_einsum(" i j , j k -> i k ", CT_LIST(a, b)), ct_matmul(a, b), 1e-15);
  ct_tensor *x = wave(CT_SHAPE(5, 1, 2, 3), 0), *y = wave(CT_SHAPE(6, 3, 4), 0);
  assert_tensors_near(ct_einsum("...ij,...jk->...ik", CT_LIST(x, y)), ct_matmul(x, y), 1e-14);
  assert_tensors_near(ct_einsum("...ij,...jk", CT_LIST(x, y)), ct_matmul(x, y), 1e-14);
  assert_tensors_near(ct_einsum("i...->...i", CT_LIST(x)), ct_permute(x, CT_AXES(1, 2, 3, 0)), 0);
  assert_tensors_near(ct_einsum("...,...->...", CT_LIST(x, a)), ct_mul(x, a), 1e-15);
}

static void einsum_errors(void **state) {
  (void)state;
  ct_tensor *a = wave(CT_SHAPE(2, 3), 0), *b = wave(CT_SHAPE(4, 2), 1);
  assert_nil(ct_einsum(NULL, CT_LIST(a)), CT_EARG, "einsum: the specification is NULL");
  assert_nil(ct_einsum("ij", CT_NONE), CT_EARG, "einsum: want at least one tensor");
  assert_nil(ct_einsum("ij,jk", CT_LIST(a, NULL)), CT_EARG, "einsum: x[1] is NULL");
  assert_nil(ct_einsum("ij", CT_LIST(ct_nil())), CT_ENIL, "einsum");
  assert_nil(ct_einsum("ij,jk", CT_LIST(a, b)), CT_ESHAPE,
             "einsum: axis 'j' has extent 3, but 4 in operand 1 of \"ij,jk\"");
  assert_nil(ct_einsum("ij", CT_LIST(a, b)), CT_EARG, "fewer operands than tensors in \"ij\"");
  assert_nil(ct_einsum("ij,jk", CT_LIST(a)), CT_EARG, "more operands than tensors");
  assert_nil(ct_einsum("ijk", CT_LIST(a)), CT_ESHAPE,
             "operand 0 of \"ijk\" has 3 names, got shape (2,3)");
  assert_nil(ct_einsum("i", CT_LIST(a)), CT_ESHAPE, "has 1 names");
  assert_nil(ct_einsum("ij...k", CT_LIST(a)), CT_ESHAPE, "has 3 names");
  assert_nil(ct_einsum("ij->ii", CT_LIST(a)), CT_EARG, "an axis twice in the result");
  assert_nil(ct_einsum("ij->ik", CT_LIST(a)), CT_EARG, "an axis of the result that no operand has");
  assert_nil(ct_einsum("i-j", CT_LIST(a)), CT_ESHAPE, "has 1 names");
  assert_nil(ct_einsum("ij-", CT_LIST(a)), CT_EARG, "an unexpected character in \"ij-\"");
  assert_nil(ct_einsum("ij->i1", CT_LIST(a)), CT_EARG, "an unexpected character");
  assert_nil(ct_einsum("...i...", CT_LIST(a)), CT_EARG, "two ellipses for one tensor");
  assert_nil(ct_einsum("...i->i", CT_LIST(a)), CT_EARG, "an ellipsis is missing in the result");
  assert_nil(ct_einsum("...,...", CT_LIST(a, b)), CT_ESHAPE, "einsum: ellipses of extents");
  assert_nil(ct_einsum("abcdefghi", CT_LIST(a)), CT_EARG, "too many axes");
  assert_nil(ct_einsum("ij,jk", CT_LIST(ct_cast(a, CT_I32), ct_zeros(CT_I32, CT_SHAPE(3, 1)))),
             CT_EDTYPE, "einsum");
}

FUNCTION(dotted, ct_tensordot(x.at[0], x.at[1], CT_AXES(0, -1), CT_AXES(2, 1)))

static void tensordots(void **state) {
  (void)state;
  ct_tensor *a = wave(CT_SHAPE(2, 3, 4), 0), *b = wave(CT_SHAPE(3, 4, 2), 1);
  assert_tensors_near(ct_tensordot(a, b, CT_AXES(0, -1), CT_AXES(2, 1)),
                      ct_einsum("abc,dca->bd", CT_LIST(a, b)), 1e-14);
  ct_tensor *free_product = ct_tensordot(a, ct_slice(b, 0, 0, 1, 1), CT_ALL, CT_ALL);
  ASSERT_SHAPE(free_product, 2, 3, 4, 1, 4, 2);
  assert_tensors_near(ct_tensordot(a, a, CT_AXES(0, 1, 2), CT_AXES(0, 1, 2)),
                      ct_sum(ct_square(a), CT_ALL, false), 1e-14);
  check(dotted, NULL, CT_LIST(a, b));
  assert_nil(ct_tensordot(a, b, CT_AXES(0), CT_AXES(0)), CT_ESHAPE, "tensordot: axis 0 of (2,3,4)");
  assert_nil(ct_tensordot(a, b, CT_AXES(0), CT_AXES(0, 1)), CT_EARG, "as many axes of a as of b");
  assert_nil(ct_tensordot(a, b, CT_AXES(3), CT_AXES(0)), CT_EARG, "tensordot: axis 3");
  ct_tensor *five = ct_zeros(CT_F64, CT_SHAPE(1, 1, 1, 1, 1));
  assert_nil(ct_tensordot(five, five, CT_ALL, CT_ALL), CT_ESHAPE, "tensordot: a product");
}

/* The same on placeholders: nothing looks at values. */
static void compositions_are_symbolic_too(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(4, 4)), *value = wave(CT_SHAPE(4, 4), 0), *got;
  ct_tensor *y = ct_add(ct_norm(ct_cumprod(ct_tril(x, 0), 0), 2, CT_ALL, false),
                        ct_einsum("ij,jk,ki->", CT_LIST(x, x, x)));
  y = ct_add(y, ct_sum(ct_mul(ct_median(x, 0, false), ct_cummax(ct_diag(x), 0)), CT_ALL, false));
  y = ct_add(y, ct_sum(ct_topk(ct_roll(x, 1, 0), 2, 1, NULL), CT_ALL, false));
  assert_false(ct_is_nil(y) || ct_has_value(y));
  ct_function *f = ct_function_new(CT_LIST(x), CT_LIST(gradient(y, x)));
  assert_non_null(f);
  assert_ok(ct_function_run(f, CT_LIST(value), &got));
  ct_function_release(&f);
  ASSERT_SHAPE(got, 4, 4);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scope, close_scope)
  const struct CMUnitTest tests[] = {
      TEST(norms),
      TEST(norms_at_the_ends),
      TEST(moments),
      TEST(kernels_are_their_compositions),
      TEST(moments_at_the_ends),
      TEST(what_is_not_nan),
      TEST(order),
      TEST(positions),
      TEST(along_an_axis),
      TEST(replaced_parts),
      TEST(diagonals),
      TEST(repetitions),
      TEST(products_and_grids),
      TEST(sums_of_products),
      TEST(default_results_and_ellipses),
      TEST(einsum_errors),
      TEST(tensordots),
      TEST(compositions_are_symbolic_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
