/* test_reduce_ops.c - reductions: values against plain loops over every set of axes, special
 * numbers, errors, derivatives. */
#include "testing.h"

#include "autograd/autograd.h"
#include "tensor/tensor_internal.h"

static uint32_t seed = 1;

static int draw(int n) {
  seed = seed * 1664525u + 1013904223u;
  return (int)((seed >> 8) % (uint32_t)n);
}

enum { MAX_VALUES = 4096 };

#define F64(shape, ...) ct_from(CT_F64, shape, (const double[]){__VA_ARGS__})
#define I32(shape, ...) ct_from(CT_I32, shape, (const int32_t[]){__VA_ARGS__})

/* ---- values ---------------------------------------------------------------------------------- */

static ct_tensor *argmax_over(ct_tensor *x, ct_axes axes, bool keepdims) {
  return ct_argmax(x, axes.at[0], keepdims);
}
static ct_tensor *argmin_over(ct_tensor *x, ct_axes axes, bool keepdims) {
  return ct_argmin(x, axes.at[0], keepdims);
}

static double sum_of(int64_t n, const double *x) {
  double y = 0;
  for (int64_t i = 0; i < n; i++) y += x[i];
  return y;
}
static double mean_of(int64_t n, const double *x) { return sum_of(n, x) / (double)n; }
static double prod_of(int64_t n, const double *x) {
  double y = 1;
  for (int64_t i = 0; i < n; i++) y *= x[i];
  return y;
}
static double logsumexp_of(int64_t n, const double *x) {
  double y = 0;
  for (int64_t i = 0; i < n; i++) y += exp(x[i]);
  return log(y);
}
static double position_of(int64_t n, const double *x, double sign) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; i++)
    if (sign * x[i] > sign * x[best]) best = i;
  return (double)best;
}
static double argmax_of(int64_t n, const double *x) { return position_of(n, x, 1); }
static double argmin_of(int64_t n, const double *x) { return position_of(n, x, -1); }
static double max_of(int64_t n, const double *x) { return x[(int)argmax_of(n, x)]; }
static double min_of(int64_t n, const double *x) { return x[(int)argmin_of(n, x)]; }

typedef struct reduction {
  const char *name;
  ct_tensor *(*f)(ct_tensor *x, ct_axes axes, bool keepdims);
  double (*of)(int64_t n, const double *x);
  bool floats_only, one_axis, exact;
} reduction;

static const reduction reductions[] = {
    {"sum", ct_sum, sum_of, false, false, true},
    {"mean", ct_mean, mean_of, true, false, false},
    {"prod", ct_prod, prod_of, false, false, true},
    {"max", ct_max, max_of, false, false, true},
    {"min", ct_min, min_of, false, false, true},
    {"logsumexp", ct_logsumexp, logsumexp_of, true, false, false},
    {"argmax", argmax_over, argmax_of, false, true, true},
    {"argmin", argmin_over, argmin_of, false, true, true},
};

/* What the reduction of x over the axes should be, from x's elements in row-major order. */
static int64_t reduce_plainly(const reduction *r, const double *x, int ndim, const int64_t *dim,
                              unsigned axes, double *want) {
  int64_t size = 1, n_out = 1, count = 0;
  for (int d = 0; d < ndim; d++) {
    size *= dim[d];
    if (!(axes >> d & 1)) n_out *= dim[d];
  }
  for (int64_t o = 0; o < n_out; o++) {
    double part[MAX_VALUES];
    count = 0;
    for (int64_t i = 0; i < size; i++) {
      int64_t rest = i, to = 0, step = 1;
      for (int d = ndim - 1; d >= 0; d--) {
        if (!(axes >> d & 1)) {
          to += rest % dim[d] * step;
          step *= dim[d];
        }
        rest /= dim[d];
      }
      if (to == o) part[count++] = x[i];
    }
    want[o] = r->of(count, part);
  }
  return n_out;
}

/* (4,3,2) laid out in one of several ways. */
static ct_tensor *sample(ct_dtype dtype, int layout) {
  double values[48];
  for (int i = 0; i < 48; i++) {
    values[i] = dtype == CT_U8 || dtype == CT_BOOL ? draw(2) + (dtype == CT_U8) : draw(5) - 2;
  }
  ct_tensor *x = ct_cast(ct_from(CT_F64, CT_SHAPE(2, 4, 3, 2), values), dtype);
  x = ct_reshape(ct_slice(x, 0, 0, 1, 1), CT_SHAPE(4, 3, 2));
  switch (layout) {
  case 0: return x;
  case 1: return ct_permute(ct_reshape(x, CT_SHAPE(2, 3, 4)), CT_AXES(2, 1, 0));
  case 2: return ct_flip(x, CT_AXES(0, 2));
  case 3: return ct_broadcast_to(ct_slice(x, 1, 0, 1, 1), CT_SHAPE(4, 3, 2));
  default: return ct_permute(ct_reshape(x, CT_SHAPE(4, 2, 3)), CT_AXES(0, 2, 1));
  }
}

static void check_reduction(const reduction *r, ct_tensor *x, unsigned axes, bool reference) {
  double values[MAX_VALUES], want[MAX_VALUES];
  ct_shape shape = ct_shape_of(x);
  ct_axes list = {0};
  for (int d = 0; d < shape.n; d++)
    if (axes >> d & 1) list.at[list.n++] = d - (d % 2 ? shape.n : 0);
  tensor_values(x, values, ct_size(x));
  int64_t n = reduce_plainly(r, values, shape.n, shape.dim, axes, want);
  ct__use_reference(reference);
  ct_tensor *y = r->f(x, list, false), *kept = r->f(x, list, true);
  ct__use_reference(false);
  double tol = r->exact ? 0 : ct_dtype_of(x) == CT_F32 ? 1e-6 : 1e-14;
  assert_values_near(y, n, want, tol);
  assert_values_near(kept, n, want, tol);
  for (int d = 0; d < shape.n; d++)
    if (axes >> d & 1) shape.dim[d] = 1;
  assert_true(ct_shape_equal(ct_shape_of(kept), shape));
}

static void values_are_those_of_plain_loops(void **state) {
  (void)state;
  static const ct_dtype dtypes[] = {CT_F32, CT_F64, CT_I32, CT_U8, CT_BOOL};
  for (int k = 0; k < CT__COUNT(reductions); k++)
    for (int i = 0; i < CT__COUNT(dtypes) * 5 * 7; i++) {
      const reduction *r = &reductions[k];
      ct_dtype dtype = dtypes[i % CT__COUNT(dtypes)];
      unsigned axes = (unsigned)(1 + i / CT__COUNT(dtypes) / 5);
      if ((r->floats_only && !ct_dtype_is_float(dtype)) || (r->one_axis && (axes & (axes - 1))))
        continue;
      ct_scope inner = ct_scope_begin();
      ct_tensor *x = sample(dtype, i / CT__COUNT(dtypes) % 5);
      check_reduction(r, x, axes, false);
      check_reduction(r, x, axes, true);
      assert_ok(ct_scope_end(inner));
    }
}

static void long_lines_and_wide_columns(void **state) {
  (void)state;
  static double values[1031 * 3];
  for (int i = 0; i < CT__COUNT(values); i++) values[i] = draw(3) == 0 ? draw(3) - 1 : 1;
  ct_tensor *rows = ct_from(CT_F64, CT_SHAPE(3, 1031), values);
  for (int k = 0; k < CT__COUNT(reductions); k++) {
    check_reduction(&reductions[k], rows, 1, false);
    check_reduction(&reductions[k], rows, 2, false);
    check_reduction(&reductions[k], ct_transpose(rows, 0, 1), 2, false);
    check_reduction(&reductions[k], ct_cast(rows, CT_F32), 2, false);
    check_reduction(&reductions[k], ct_slice(rows, 1, CT_END, -CT_END, -2), 2, false);
  }
}

/* Columns that fill no vector, with something between the rows or not, forwards and backwards. */
static void any_number_of_columns(void **state) {
  (void)state;
  static const ct_dtype dtypes[] = {CT_F32, CT_F64, CT_I32, CT_U8};
  enum { MOST = 50, GAP = 3 };
  double values[20 * (MOST + GAP)];
  for (int i = 0; i < CT__COUNT(values); i++) values[i] = draw(3) ? 1 : draw(4);
  for (int columns = 1; columns <= MOST; columns++)
    for (int rows = 1; rows <= 19; rows += 6)
      for (int k = 0; k < CT__COUNT(reductions); k++) {
        ct_dtype dtype = dtypes[draw(reductions[k].floats_only ? 2 : 4)];
        ct_scope inner = ct_scope_begin();
        ct_tensor *x = ct_cast(ct_from(CT_F64, CT_SHAPE(rows, columns), values), dtype);
        ct_tensor *wide = ct_cast(ct_from(CT_F64, CT_SHAPE(rows, columns + GAP), values), dtype);
        check_reduction(&reductions[k], x, 1, false);
        check_reduction(&reductions[k], ct_flip(x, CT_AXES(0)), 1, false);
        check_reduction(&reductions[k], ct_slice(wide, 1, GAP, CT_END, 1), 1, false);
        assert_ok(ct_scope_end(inner));
      }
}

static void dtypes_of_results(void **state) {
  (void)state;
  static const struct {
    ct_dtype x, sum, max;
  } rows[] = {{CT_F32, CT_F32, CT_F32},
              {CT_F64, CT_F64, CT_F64},
              {CT_I32, CT_I32, CT_I32},
              {CT_U8, CT_I32, CT_U8},
              {CT_BOOL, CT_I32, CT_BOOL}};
  for (int i = 0; i < CT__COUNT(rows); i++) {
    ct_tensor *x = ct_ones(rows[i].x, CT_SHAPE(300));
    ct_tensor *sum = ct_sum(x, CT_ALL, false);
    assert_int_equal(ct_dtype_of(sum), rows[i].sum);
    ASSERT_VALUES(sum, 0, 300);
    assert_int_equal(ct_dtype_of(ct_prod(x, CT_ALL, false)), rows[i].sum);
    assert_int_equal(ct_dtype_of(ct_max(x, CT_ALL, false)), rows[i].max);
    assert_int_equal(ct_dtype_of(ct_min(x, CT_ALL, false)), rows[i].max);
    assert_int_equal(ct_dtype_of(ct_argmax(x, 0, false)), CT_I32);
  }
}

static void sums_are_accurate_and_integers_wrap(void **state) {
  (void)state;
  enum { N = 1000003 };
  ct_tensor *x = ct_full(CT_F32, CT_SHAPE(N), 0.1);
  double sum, want = (double)0.1f * N;
  assert_ok(ct_item(ct_sum(x, CT_ALL, false), &sum));
  assert_near(sum, (double)(float)want, 0);
  assert_ok(ct_item(ct_mean(x, CT_ALL, false), &sum));
  assert_near(sum, (double)0.1f, 0);
  ASSERT_VALUES(ct_sum(I32(CT_SHAPE(3), INT32_MAX, 1, 5), CT_ALL, false), 0, INT32_MIN + 5.0);
  ASSERT_VALUES(ct_prod(I32(CT_SHAPE(3), 1 << 20, 1 << 20, 3), CT_ALL, false), 0, 0);
}

static void nothing_to_reduce(void **state) {
  (void)state;
  ct_tensor *x = ct_zeros(CT_F32, CT_SHAPE(2, 0)), *s = ct_scalar(CT_F64, 3);
  ASSERT_VALUES(ct_sum(x, CT_AXES(1), false), 0, 0, 0);
  ASSERT_VALUES(ct_prod(x, CT_AXES(1), false), 0, 1, 1);
  ASSERT_VALUES(ct_mean(x, CT_AXES(1), false), 0, NAN, NAN);
  ASSERT_VALUES(ct_logsumexp(x, CT_AXES(1), false), 0, -INFINITY, -INFINITY);
  assert_nil(ct_max(x, CT_AXES(1), false), CT_ESHAPE, "max: want at least one element, got (2,0)");
  assert_nil(ct_min(x, CT_ALL, true), CT_ESHAPE, "min: want at least one element");
  assert_nil(ct_argmax(x, 1, false), CT_ESHAPE, "argmax: want at least one element");
  assert_int_equal(ct_size(ct_max(x, CT_AXES(0), false)), 0);
  assert_int_equal(ct_size(ct_argmin(x, 0, true)), 0);
  for (int k = 0; k < CT__COUNT(reductions); k++) {
    if (reductions[k].one_axis) continue;
    ct_tensor *y = reductions[k].f(s, CT_ALL, k % 2);
    assert_int_equal(ct_ndim(y), 0);
    ASSERT_VALUES(y, 1e-15, 3);
  }
}

static void nan_and_infinity(void **state) {
  (void)state;
  ct_tensor *x = F64(CT_SHAPE(2, 4), 1, NAN, 5, NAN, 2, 7, 7, -INFINITY);
  ASSERT_VALUES(ct_max(x, CT_AXES(1), false), 0, NAN, 7);
  ASSERT_VALUES(ct_min(x, CT_AXES(1), false), 0, NAN, -INFINITY);
  ASSERT_VALUES(ct_max(x, CT_AXES(0), false), 0, 2, NAN, 7, NAN);
  ASSERT_VALUES(ct_argmax(x, 1, false), 0, 1, 1);
  ASSERT_VALUES(ct_argmin(x, 1, false), 0, 1, 3);
  ASSERT_VALUES(ct_argmax(x, 0, false), 0, 1, 0, 1, 0);
  ct_tensor *big =
      F64(CT_SHAPE(5, 2), 1e4, 1e4, -1e4, -1e4, -INFINITY, -INFINITY, INFINITY, 0, NAN, 0);
  ASSERT_VALUES(ct_logsumexp(big, CT_AXES(1), false), 1e-12, 1e4 + log(2), -1e4 + log(2), -INFINITY,
                INFINITY, NAN);
  ct_tensor *half = ct_cast(F64(CT_SHAPE(2, 2), 1e4, 1e4, -1e4, -1e4), CT_F32);
  ASSERT_VALUES(ct_logsumexp(half, CT_AXES(1), false), 1e-3, 1e4 + log(2), -1e4 + log(2));
  ASSERT_VALUES(ct_logsumexp(F64(CT_SHAPE(2), 0, 0), CT_ALL, true), 1e-15, log(2));
}

/* Many NaN in lanes and at their ends: none is lost. */
static void nan_wins_wherever_it_is(void **state) {
  (void)state;
  for (int at = 0; at < 37; at++) {
    double values[37];
    for (int i = 0; i < 37; i++) values[i] = i == at ? (double)NAN : i;
    ct_tensor *x = ct_from(CT_F64, CT_SHAPE(37), values);
    ASSERT_VALUES(ct_max(x, CT_ALL, false), 0, NAN);
    ASSERT_VALUES(ct_min(ct_cast(x, CT_F32), CT_ALL, false), 0, NAN);
    ASSERT_VALUES(ct_argmax(x, 0, false), 0, at);
    ASSERT_VALUES(ct_argmin(x, 0, false), 0, at);
  }
}

/* The first of several best ones, wherever it is in lines of any length and in columns. */
static void positions_are_those_of_the_first(void **state) {
  (void)state;
  static const int64_t lengths[] = {1, 5, 15, 16, 64, 65, 300, 1024, 1025, 2500};
  static const ct_dtype dtypes[] = {CT_F32, CT_F64, CT_I32, CT_U8};
  enum { COLUMNS = 131 };
  static double values[2500 * COLUMNS];
  for (int k = 0; k < CT__COUNT(lengths) * CT__COUNT(dtypes); k++) {
    ct_scope inner = ct_scope_begin();
    ct_dtype dtype = dtypes[k % CT__COUNT(dtypes)];
    int64_t n = lengths[k / CT__COUNT(dtypes)];
    double want[COLUMNS];
    bool nan = ct_dtype_is_float(dtype) && draw(2);
    for (int64_t i = 0; i < n * COLUMNS; i++) values[i] = draw(50);
    for (int j = 0; j < COLUMNS; j++) {
      int at = draw((int)n), later = at + draw((int)n - at);
      values[(int64_t)later * COLUMNS + j] = values[(int64_t)at * COLUMNS + j] = nan ? NAN : 51;
      want[j] = at;
    }
    ct_tensor *x = ct_cast(ct_from(CT_F64, CT_SHAPE(n, COLUMNS), values), dtype);
    ct_tensor *rows = ct_contiguous(ct_transpose(x, 0, 1));
    assert_values_near(ct_argmax(x, 0, false), COLUMNS, want, 0);
    assert_values_near(ct_argmax(rows, 1, false), COLUMNS, want, 0);
    assert_values_near(ct_argmax(ct_slice(x, 1, COLUMNS - 1, COLUMNS, 1), 0, false), 1,
                       &want[COLUMNS - 1], 0);
    if (nan) assert_values_near(ct_argmin(x, 0, false), COLUMNS, want, 0);
    if (nan) assert_values_near(ct_argmin(rows, 1, false), COLUMNS, want, 0);
    if (ct_dtype_is_float(dtype) || dtype == CT_I32) {
      assert_values_near(ct_argmin(ct_neg(x), 0, false), COLUMNS, want, 0);
      assert_values_near(ct_argmin(ct_neg(rows), 1, false), COLUMNS, want, 0);
    }
    assert_ok(ct_scope_end(inner));
  }
}

/* Lines and columns, long and short, repeated and with gaps. */
static void bits_are_those_of_every_instruction_set(void **state) {
  (void)state;
  int isa = ct__isa();
  ct_tensor *square = ct_randn(ct_key(3), CT_F32, CT_SHAPE(311, 77));
  ct_tensor *const samples[] = {square,
                                ct_transpose(square, 0, 1),
                                ct_cast(square, CT_F64),
                                ct_slice(square, 1, 0, CT_END, 3),
                                ct_slice(square, 1, 0, 9, 1),
                                ct_broadcast_to(square, CT_SHAPE(5, 311, 77))};
  for (int k = 0; k < CT__COUNT(reductions); k++)
    for (int i = 0; i < CT__COUNT(samples) * 3; i++) {
      ct_axes axes = i % 3 == 2 && !reductions[k].one_axis ? CT_ALL : CT_AXES(-1 - i % 2);
      ct_tensor *first = reductions[k].f(samples[i / 3], axes, false);
      for (int other = 0; other < isa; other++) {
        assert_true(ct__use_isa(other));
        ct_tensor *y = reductions[k].f(samples[i / 3], axes, false);
        assert_true(ct__use_isa(isa));
        if (reductions[k].of == logsumexp_of) continue; /* e^x depends on fma */
        assert_memory_equal(ct_data(y), ct_data(first),
                            (size_t)ct_size(y) * ct_dtype_size(ct_dtype_of(y)));
      }
    }
}

static void errors_say_what_was_wanted(void **state) {
  (void)state;
  ct_tensor *x = ct_zeros(CT_F32, CT_SHAPE(2, 3)), *i = ct_zeros(CT_I32, CT_SHAPE(2, 3));
  assert_nil(ct_mean(i, CT_ALL, false), CT_EDTYPE, "mean: want f32 or f64");
  assert_nil(ct_logsumexp(i, CT_ALL, false), CT_EDTYPE, "logsumexp: want f32 or f64");
  for (int k = 0; k < CT__COUNT(reductions); k++) {
    const reduction *r = &reductions[k];
    assert_nil(r->f(x, CT_AXES(2), false), CT_EARG, r->name);
    assert_nil(r->f(x, CT_AXES(-3), false), CT_EARG, r->name);
    assert_nil(r->f(NULL, CT_AXES(0), false), CT_EARG, r->name);
    assert_nil(r->f(ct_nil(), CT_AXES(0), false), CT_ENIL, r->name);
    if (!r->one_axis) assert_nil(r->f(x, CT_AXES(0, -2), false), CT_EARG, r->name);
  }
  assert_nil(ct_argmax(ct_scalar(CT_F32, 1), 0, false), CT_EARG, "argmax: axis 0");
  assert_nil(ct_argmin(ct_scalar(CT_F32, 1), -1, false), CT_EARG, "argmin: axis -1");
}

/* ---- derivatives ----------------------------------------------------------------------------- */

typedef struct use {
  const reduction *r;
  ct_axes axes;
  bool keepdims;
} use;

static ct_tensor *apply(ct_list x, void *payload) {
  const use *u = payload;
  return u->r->f(x.at[0], u->axes, u->keepdims);
}

static void derivatives(void **state) {
  (void)state;
  const ct_axes sets[] = {CT_ALL,      CT_AXES(0),    CT_AXES(1),
                          CT_AXES(-1), CT_AXES(0, 2), CT_AXES(2, 1)};
  double values[12];
  for (int i = 0; i < 12; i++) values[i] = 0.3 * (i * 5 % 12) - 1.7; /* no ties */
  for (int k = 0; k < CT__COUNT(reductions) - 2; k++)
    for (int i = 0; i < CT__COUNT(sets) * 2; i++) {
      ct_scope inner = ct_scope_begin();
      use u = {&reductions[k], sets[i / 2], i % 2};
      ct_tensor *x = ct_from(CT_F64, CT_SHAPE(2, 3, 2), values);
      assert_ok(ct_gradcheck(apply, &u, CT_LIST(x), (ct_gradcheck_opts){0}, NULL));
      assert_ok(ct_scope_end(inner));
    }
}

/* The product of all of x but elements j and l. */
static double without(int n, const double *x, int j, int l) {
  double y = 1;
  for (int i = 0; i < n; i++) y *= i == j || i == l ? 1 : x[i];
  return y;
}

/* Gradient and second derivatives, which differences could not tell from rounding. */
static void prod_is_right_at_zeros(void **state) {
  (void)state;
  static const double rows[][5] = {
      {2, 0, 3, -1, 4}, {0, 0, 3, -1, 2}, {0, 2, 0, 5, 0}, {0, 0, 0, 0, 0}, {1, 2, 3, 4, 5}};
  for (int k = 0; k < 25; k++) {
    ct_scope inner = ct_scope_begin();
    int n = 1 + k % 5;
    const double *row = rows[k / 5];
    ct_tensor *x = ct_variable(ct_from(CT_F64, CT_SHAPE(n), row)), *gx;
    double want[5];
    for (int j = 0; j < n; j++) want[j] = without(n, row, j, j);
    assert_ok(ct_grad(ct_prod(x, CT_ALL, false), CT_LIST(x), &gx));
    assert_values_near(gx, n, want, 0);
    for (int j = 0; j < n; j++) {
      double along[5] = {0};
      along[j] = 1;
      ct_tensor *v = ct_from(CT_F64, CT_SHAPE(n), along);
      for (int l = 0; l < n; l++) want[l] = l == j ? 0 : without(n, row, j, l);
      assert_values_near(ct_vjp(gx, x, v), n, want, 0);
      assert_values_near(ct_jvp(gx, x, v), n, want, 0);
    }
    ct_release(&x);
    assert_ok(ct_scope_end(inner));
  }
}

/* d^3 (x y z) / dx dy dz = 1 where x = y = z = 0: forward over reverse over reverse. */
static void prod_at_zeros_to_third_order(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(ct_zeros(CT_F64, CT_SHAPE(3)));
  ct_tensor *gx = ct_vjp(ct_prod(x, CT_ALL, false), x, ct_scalar(CT_F64, 1));
  ct_tensor *hx = ct_vjp(gx, x, F64(CT_SHAPE(3), 1, 0, 0));
  ASSERT_VALUES(hx, 0, 0, 0, 0);
  ASSERT_VALUES(ct_jvp(hx, x, F64(CT_SHAPE(3), 0, 1, 0)), 0, 0, 0, 1);
  ct_release(&x);
}

static ct_tensor *gradient(ct_tensor *y, ct_tensor *x) {
  return ct_vjp(y, x, ct_ones(ct_dtype_of(y), ct_shape_of(y)));
}

static void ties_share_evenly(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(F64(CT_SHAPE(2, 4), 3, 1, 3, 3, -1, 2, 2, -1));
  ct_tensor *y = ct_max(x, CT_AXES(1), false);
  ASSERT_VALUES(gradient(y, x), 1e-15, 1.0 / 3, 0, 1.0 / 3, 1.0 / 3, 0, 0.5, 0.5, 0);
  ASSERT_VALUES(ct_jvp(y, x, F64(CT_SHAPE(2, 4), 3, 100, 6, 0, 100, 2, 4, 100)), 1e-15, 3, 3);
  ASSERT_VALUES(gradient(ct_min(x, CT_AXES(1), true), x), 0, 0, 1, 0, 0, 0.5, 0, 0, 0.5);
  ct_release(&x);
}

/* NaN extremum: NaN for its elements where the cotangent is not 0, the others as ever. */
static void derivative_where_the_extremum_is_nan(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(F64(CT_SHAPE(3, 2), 1, NAN, 2, 1, NAN, 0));
  ct_tensor *y = ct_max(x, CT_AXES(1), false);
  ASSERT_VALUES(ct_vjp(y, x, F64(CT_SHAPE(3), 1, 1, 0)), 0, NAN, NAN, 1, 0, 0, 0);
  ct_release(&x);
}

static void logsumexp_of_minus_infinity_has_derivative_zero(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(F64(CT_SHAPE(2, 2), -INFINITY, -INFINITY, 0, -INFINITY));
  ct_tensor *y = ct_logsumexp(x, CT_AXES(1), false), *g = gradient(y, x);
  ASSERT_VALUES(g, 0, 0, 0, 1, 0);
  ASSERT_VALUES(ct_jvp(y, x, ct_ones(CT_F64, CT_SHAPE(2, 2))), 0, 0, 1);
  ASSERT_VALUES(gradient(g, x), 0, 0, 0, 0, 0);
  ct_release(&x);
}

static void derivatives_of_empty_reductions(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(ct_zeros(CT_F64, CT_SHAPE(2, 0)));
  for (int k = 0; k < CT__COUNT(reductions); k++) {
    const reduction *r = &reductions[k];
    if (r->one_axis || r->of == max_of || r->of == min_of) continue;
    ct_tensor *y = r->f(x, CT_AXES(1), false);
    assert_int_equal(ct_size(gradient(y, x)), 0);
    ct_tensor *dy = ct_jvp(y, x, ct_zeros(CT_F64, CT_SHAPE(2, 0)));
    assert_int_equal(ct_size(dy), 2);
    assert_int_equal(ct_size(gradient(ct_max(x, CT_AXES(0), false), x)), 0);
  }
  ct_release(&x);
}

#define WITH_SCOPE(test) cmocka_unit_test_setup_teardown(test, open_scope, close_scope)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_SCOPE(values_are_those_of_plain_loops),
      WITH_SCOPE(long_lines_and_wide_columns),
      WITH_SCOPE(any_number_of_columns),
      WITH_SCOPE(dtypes_of_results),
      WITH_SCOPE(sums_are_accurate_and_integers_wrap),
      WITH_SCOPE(nothing_to_reduce),
      WITH_SCOPE(nan_and_infinity),
      WITH_SCOPE(nan_wins_wherever_it_is),
      WITH_SCOPE(positions_are_those_of_the_first),
      WITH_SCOPE(bits_are_those_of_every_instruction_set),
      WITH_SCOPE(errors_say_what_was_wanted),
      WITH_SCOPE(derivatives),
      WITH_SCOPE(prod_is_right_at_zeros),
      WITH_SCOPE(prod_at_zeros_to_third_order),
      WITH_SCOPE(ties_share_evenly),
      WITH_SCOPE(derivative_where_the_extremum_is_nan),
      WITH_SCOPE(logsumexp_of_minus_infinity_has_derivative_zero),
      WITH_SCOPE(derivatives_of_empty_reductions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
