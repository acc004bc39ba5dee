/* test_conv.c - convolution, its transpose and pooling: values by the definition, adjoints, third
 * derivatives, layouts, errors. */
#include "testing.h"

#include "autograd/autograd.h"
#include "tensor/tensor_internal.h"

static uint32_t seed = 7;

static double draw(void) { /* -1 to 1 */
  seed = seed * 1664525u + 1013904223u;
  return (double)(seed >> 8) / (1 << 23) - 1;
}

enum { MAX_VALUES = 4096 };

static ct_tensor *random_tensor(ct_dtype dtype, ct_shape shape) {
  static double values[MAX_VALUES];
  int64_t size = 1;
  for (int i = 0; i < shape.n; i++) size *= shape.dim[i];
  assert_true(size <= MAX_VALUES);
  for (int64_t i = 0; i < size; i++) values[i] = draw();
  return ct_cast(ct_from(CT_F64, shape, values), dtype);
}

static void assert_close(const ct_tensor *t, const double *want, double tol) {
  static double got[MAX_VALUES];
  assert_false(ct_is_nil(t));
  assert_true(ct_size(t) <= MAX_VALUES);
  tensor_values(t, got, ct_size(t));
  for (int64_t i = 0; i < ct_size(t); i++) assert_near(got[i], want[i], tol);
}

static double dot(ct_tensor *a, ct_tensor *b) {
  double y;
  assert_ok(ct_item(ct_sum(ct_mul(a, b), CT_ALL, false), &y));
  return y;
}

/* A view with gaps and turned axes, of the same values. */
static ct_tensor *strided(ct_tensor *x) {
  ct_tensor *turned = ct_contiguous(ct_permute(x, CT_AXES(3, 1, 0, 2)));
  ct_tensor *gaps = ct_stack(CT_LIST(turned, turned), -1);
  return ct_permute(ct_squeeze(ct_slice(gaps, 4, 1, 2, 1), CT_AXES(4)), CT_AXES(2, 1, 3, 0));
}

/* ---- convolution ----------------------------------------------------------------------------- */

typedef struct convolution {
  int64_t x[4], w[4]; /* of conv2d */
  ct_conv2d_opts opts;
} convolution;

static const convolution convolutions[] = {
    {{2, 3, 5, 4}, {4, 3, 3, 2}, {{0}, {0}, {0}, 0, {0}}},
    {{1, 1, 1, 1}, {1, 1, 1, 1}, {{0}, {0}, {0}, 0, {0}}},
    {{2, 2, 7, 6}, {3, 2, 3, 3}, {{2, 3}, {1, 1}, {1, 1}, 1, {0, 2}}},
    {{1, 2, 8, 7}, {2, 2, 3, 2}, {{1, 1}, {2, 0}, {2, 3}, 1, {0}}},
    {{3, 4, 6, 6}, {6, 2, 2, 3}, {{2, 1}, {1, 2}, {1, 2}, 2, {1, 0}}},
    {{2, 3, 5, 5}, {6, 1, 3, 3}, {{2, 2}, {1, 1}, {1, 1}, 3, {0}}},
    {{1, 1, 3, 3}, {1, 1, 2, 2}, {{1, 1}, {4, 5}, {1, 1}, 1, {0}}},
    {{2, 2, 4, 4}, {2, 2, 1, 1}, {{3, 2}, {0, 0}, {1, 1}, 1, {0, 1}}},
};

static int64_t option(int64_t value) { return value ? value : 1; }

/* Adds every term of the definition to the result: into y from x, or into x from y. */
static void by_definition(const convolution *c, const double *x, const double *w, const double *y,
                          const int64_t *ydim, double *into, bool forward) {
  const int64_t *xd = c->x, *wd = c->w;
  int64_t groups = option(c->opts.groups);
  for (int64_t n = 0; n < xd[0]; n++)
    for (int64_t o = 0; o < wd[0]; o++)
      for (int64_t i = 0; i < wd[1]; i++)
        for (int64_t k = 0; k < wd[2] * wd[3]; k++)
          for (int64_t p = 0; p < ydim[2] * ydim[3]; p++) {
            int64_t row = p / ydim[3] * option(c->opts.stride[0]) +
                          k / wd[3] * option(c->opts.dilation[0]) - c->opts.padding[0];
            int64_t column = p % ydim[3] * option(c->opts.stride[1]) +
                             k % wd[3] * option(c->opts.dilation[1]) - c->opts.padding[1];
            if (row < 0 || row >= xd[2] || column < 0 || column >= xd[3]) continue;
            int64_t channel = o / (wd[0] / groups) * wd[1] + i;
            int64_t x_at = ((n * xd[1] + channel) * xd[2] + row) * xd[3] + column;
            int64_t y_at = (n * wd[0] + o) * ydim[2] * ydim[3] + p;
            double weight = w[(o * wd[1] + i) * wd[2] * wd[3] + k];
            if (forward)
              into[y_at] += x[x_at] * weight;
            else
              into[x_at] += y[y_at] * weight;
          }
}

static ct_shape four(const int64_t *dim) { return ct_shape_make(4, dim); }

static void convolutions_follow_the_definition(void **state) {
  (void)state;
  static double x[MAX_VALUES], w[MAX_VALUES], want[MAX_VALUES];
  for (int i = 0; i < CT__COUNT(convolutions); i++)
    for (int way = 0; way < 8; way++) {
      const convolution *c = &convolutions[i];
      ct_dtype dtype = way & 1 ? CT_F32 : CT_F64;
      ct_tensor *tx = random_tensor(dtype, four(c->x)), *tw = random_tensor(dtype, four(c->w));
      tensor_values(tx, x, ct_size(tx));
      tensor_values(tw, w, ct_size(tw));
      ct__use_reference(way & 2);
      ct_tensor *y =
          way & 4 ? ct_conv2d(strided(tx), strided(tw), c->opts) : ct_conv2d(tx, tw, c->opts);
      ct__use_reference(false);
      ct_shape shape = ct_shape_of(y);
      for (int d = 0; d < 2; d++)
        assert_int_equal(shape.dim[2 + d], (c->x[2 + d] + 2 * c->opts.padding[d] -
                                            option(c->opts.dilation[d]) * (c->w[2 + d] - 1) - 1) /
                                                   option(c->opts.stride[d]) +
                                               1);
      memset(want, 0, sizeof want);
      by_definition(c, x, w, NULL, shape.dim, want, true);
      assert_close(y, want, dtype == CT_F32 ? 1e-5 : 1e-13);
    }
}

static void transposes_follow_the_definition(void **state) {
  (void)state;
  static double w[MAX_VALUES], y[MAX_VALUES], want[MAX_VALUES];
  for (int i = 0; i < CT__COUNT(convolutions); i++)
    for (int way = 0; way < 8; way++) {
      convolution c = convolutions[i]; /* what the transpose gives is the x of a conv2d */
      ct_dtype dtype = way & 1 ? CT_F32 : CT_F64;
      const int64_t ydim[4] = {c.x[0], c.w[0], 3, 4};
      ct_tensor *ty = random_tensor(dtype, four(ydim)), *tw = random_tensor(dtype, four(c.w));
      tensor_values(ty, y, ct_size(ty));
      tensor_values(tw, w, ct_size(tw));
      for (int d = 0; d < 2; d++) {
        c.x[2 + d] = (ydim[2 + d] - 1) * option(c.opts.stride[d]) - 2 * c.opts.padding[d] +
                     option(c.opts.dilation[d]) * (c.w[2 + d] - 1) + c.opts.output_padding[d] + 1;
      }
      if (c.x[2] < 1 || c.x[3] < 1) continue;
      ct__use_reference(way & 2);
      ct_tensor *x = way & 4 ? ct_conv2d_transpose(strided(ty), strided(tw), c.opts)
                             : ct_conv2d_transpose(ty, tw, c.opts);
      ct__use_reference(false);
      assert_true(ct_shape_equal(ct_shape_of(x), four(c.x)));
      memset(want, 0, sizeof want);
      by_definition(&c, NULL, w, y, ydim, want, false);
      assert_close(x, want, dtype == CT_F32 ? 1e-5 : 1e-13);
    }
}

static ct_tensor *recorded_twin(ct_tensor *t) {
  if (ct_is_recorded(t)) return t;
  ct_tensor *v = ct_variable(t), *x = ct_contiguous(v);
  ct_release(&v);
  return x;
}

static ct_tensor *convolve(ct_list x, void *payload) {
  const convolution *c = payload;
  return ct_conv2d(x.at[0], x.at[1], c->opts);
}

static ct_tensor *convolve_back(ct_list x, void *payload) {
  const convolution *c = payload;
  return ct_conv2d_transpose(x.at[0], x.at[1], c->opts);
}

/* The gradient by the weights of a function that is not linear: its first and second derivatives
 * are second and third ones of the convolution. */
static ct_tensor *weight_gradient(ct_list x, void *payload) {
  ct_tensor *in = recorded_twin(x.at[0]), *w = recorded_twin(x.at[1]), *g;
  ct_tensor *y = convolve(CT_LIST(in, w), payload);
  if (ct_grad(ct_sum(ct_mul(y, ct_square(y)), CT_ALL, false), CT_LIST(w), &g) != CT_OK)
    return ct_nil();
  return g;
}

static ct_tensor *input_gradient(ct_list x, void *payload) {
  ct_tensor *in = recorded_twin(x.at[0]), *w = recorded_twin(x.at[1]), *g;
  ct_tensor *y = convolve_back(CT_LIST(in, w), payload);
  if (ct_grad(ct_sum(ct_mul(y, ct_square(y)), CT_ALL, false), CT_LIST(in), &g) != CT_OK)
    return ct_nil();
  return g;
}

static void derivatives_to_third_order(void **state) {
  (void)state;
  ct_gradcheck_opts loose = {.tolerance = 1e-5};
  for (int i = 0; i < CT__COUNT(convolutions); i++) {
    convolution c = convolutions[i];
    ct_tensor *x = random_tensor(CT_F64, four(c.x)), *w = random_tensor(CT_F64, four(c.w));
    assert_ok(ct_gradcheck(convolve, &c, CT_LIST(x, w), (ct_gradcheck_opts){0}, NULL));
    assert_ok(ct_gradcheck(weight_gradient, &c, CT_LIST(x, w), loose, NULL));
    ct_tensor *y = random_tensor(CT_F64, CT_SHAPE(1, c.w[0], 3, 4));
    if (ct_is_nil(ct_conv2d_transpose(y, w, c.opts))) {
      ct_error_clear(); /* padding leaves nothing */
      continue;
    }
    assert_ok(ct_gradcheck(convolve_back, &c, CT_LIST(y, w), (ct_gradcheck_opts){0}, NULL));
    assert_ok(ct_gradcheck(input_gradient, &c, CT_LIST(y, w), loose, NULL));
  }
}

/* <conv2d(x, w), y> = <x, conv2d_transpose(y, w)>, where the shapes come back. */
static void the_transpose_is_the_adjoint(void **state) {
  (void)state;
  ct_conv2d_opts opts = {{2, 2}, {1, 1}, {1, 1}, 2, {1, 0}};
  ct_tensor *x = random_tensor(CT_F64, CT_SHAPE(2, 4, 6, 5));
  ct_tensor *w = random_tensor(CT_F64, CT_SHAPE(6, 2, 3, 3));
  ct_tensor *y = ct_conv2d(x, w, opts), *u = random_tensor(CT_F64, ct_shape_of(y));
  ct_tensor *back = ct_conv2d_transpose(u, w, opts);
  assert_true(ct_shape_equal(ct_shape_of(back), ct_shape_of(x)));
  assert_near(dot(y, u), dot(x, back), 1e-12);
}

static void convolution_errors(void **state) {
  (void)state;
  ct_conv2d_opts none = {{0}, {0}, {0}, 0, {0}};
  ct_tensor *x = ct_zeros(CT_F32, CT_SHAPE(2, 4, 5, 5)),
            *w = ct_zeros(CT_F32, CT_SHAPE(6, 4, 3, 3));
  assert_nil(ct_conv2d(NULL, w, none), CT_EARG, "conv2d: input 0 is NULL");
  assert_nil(ct_conv2d(x, ct_nil(), none), CT_ENIL, "conv2d");
  assert_nil(ct_conv2d(x, ct_zeros(CT_F64, CT_SHAPE(6, 4, 3, 3)), none), CT_EDTYPE,
             "conv2d: want f32 or f64");
  assert_nil(ct_conv2d(x, ct_zeros(CT_F32, CT_SHAPE(6, 3, 3, 3)), none), CT_ESHAPE,
             "conv2d: want (n,c,h,w)");
  assert_nil(ct_conv2d(x, ct_zeros(CT_F32, CT_SHAPE(6, 4, 3)), none), CT_ESHAPE, "(2,4,5,5)");
  assert_nil(ct_conv2d(x, ct_zeros(CT_F32, CT_SHAPE(6, 4, 6, 3)), none), CT_ESHAPE,
             "conv2d: no window of (6,4,6,3) fits (2,4,5,5)");
  assert_nil(ct_conv2d(x, w, (ct_conv2d_opts){.groups = 4}), CT_ESHAPE, "for 4 groups");
  assert_nil(ct_conv2d(x, w, (ct_conv2d_opts){.groups = -1}), CT_EARG, "conv2d: want stride");
  assert_nil(ct_conv2d(x, w, (ct_conv2d_opts){.stride = {-1, 1}}), CT_EARG, "want stride");
  assert_nil(ct_conv2d(x, w, (ct_conv2d_opts){.padding = {0, -1}}), CT_EARG, "padding >= 0");
  assert_nil(ct_conv2d(x, w, (ct_conv2d_opts){.dilation = {3, 1}}), CT_ESHAPE, "no window");
  assert_nil(ct_conv2d(x, w, (ct_conv2d_opts){.padding = {INT32_MAX, INT32_MAX}}), CT_ESIZE,
             "too large");
  assert_nil(ct_conv2d_transpose(x, w, none), CT_ESHAPE, "conv2d_transpose: want (n,o,h,w)");
  assert_nil(ct_conv2d_transpose(x, ct_zeros(CT_F32, CT_SHAPE(4, 1, 3, 3)),
                                 (ct_conv2d_opts){.padding = {9, 0}}),
             CT_ESHAPE, "conv2d_transpose: no window");
  assert_nil(ct_conv2d_transpose(x, w, (ct_conv2d_opts){.output_padding = {1, 0}}), CT_EARG,
             "output_padding < stride or dilation");
}

/* ---- pooling --------------------------------------------------------------------------------- */

static const ct_pool_opts pools[] = {
    {{2, 2}, {0, 0}, {0, 0}}, {{3, 2}, {1, 1}, {1, 1}}, {{1, 3}, {2, 1}, {0, 2}},
    {{4, 5}, {1, 2}, {3, 4}}, {{1, 1}, {1, 1}, {0, 0}},
};

/* Both pools of x (planes, h, w). */
static void pool_plainly(const double *x, const int64_t *dim, const ct_pool_opts *o,
                         const int64_t *out, double *max, double *at, double *mean) {
  for (int64_t y = 0; y < dim[0] * out[0] * out[1]; y++) {
    int64_t plane = y / (out[0] * out[1]), p = y / out[1] % out[0], q = y % out[1];
    double sum = 0;
    max[y] = -INFINITY;
    for (int64_t k = 0; k < o->kernel[0] * o->kernel[1]; k++) {
      int64_t i =
          p * (o->stride[0] ? o->stride[0] : o->kernel[0]) + k / o->kernel[1] - o->padding[0];
      int64_t j =
          q * (o->stride[1] ? o->stride[1] : o->kernel[1]) + k % o->kernel[1] - o->padding[1];
      if (i < 0 || i >= dim[1] || j < 0 || j >= dim[2]) continue;
      double v = x[(plane * dim[1] + i) * dim[2] + j];
      sum += v;
      if (v > max[y]) {
        max[y] = v;
        at[y] = (double)(i * dim[2] + j);
      }
    }
    mean[y] = sum / (double)(o->kernel[0] * o->kernel[1]);
  }
}

static void pools_follow_the_definition(void **state) {
  (void)state;
  static double values[MAX_VALUES], max[MAX_VALUES], at[MAX_VALUES], mean[MAX_VALUES];
  const int64_t dim[3] = {6, 5, 7};
  for (int i = 0; i < CT__COUNT(pools); i++)
    for (int way = 0; way < 4; way++) {
      const ct_pool_opts *o = &pools[i];
      ct_dtype dtype = way & 1 ? CT_F32 : CT_F64;
      ct_tensor *x = random_tensor(dtype, CT_SHAPE(2, 3, 5, 7)), *positions;
      tensor_values(x, values, ct_size(x));
      if (way & 2) x = strided(x);
      ct_tensor *y = ct_maxpool(x, *o, &positions), *m = ct_avgpool(x, *o);
      pool_plainly(values, dim, o, ct_shape_of(y).dim + 2, max, at, mean);
      assert_close(y, max, 0);
      assert_close(positions, at, 0);
      assert_close(m, mean, dtype == CT_F32 ? 1e-7 : 1e-15);
      assert_int_equal(ct_dtype_of(positions), CT_I32);
    }
}

static ct_tensor *largest(ct_list x, void *payload) {
  return ct_maxpool(x.at[0], *(const ct_pool_opts *)payload, NULL);
}

static ct_tensor *average(ct_list x, void *payload) {
  return ct_square(ct_avgpool(x.at[0], *(const ct_pool_opts *)payload));
}

static void pool_derivatives(void **state) {
  (void)state;
  for (int i = 0; i < CT__COUNT(pools); i++) {
    ct_pool_opts o = pools[i];
    ct_tensor *x = random_tensor(CT_F64, CT_SHAPE(2, 5, 7));
    assert_ok(ct_gradcheck(largest, &o, CT_LIST(x), (ct_gradcheck_opts){0}, NULL));
    assert_ok(ct_gradcheck(average, &o, CT_LIST(x), (ct_gradcheck_opts){0}, NULL));
  }
}

/* NaN wins, the first of equals gets the cotangent, -inf is a number and padding is none. */
static void maxpool_of_special_values(void **state) {
  (void)state;
  ct_pool_opts pair = {.kernel = {1, 2}};
  ct_tensor *positions;
  ct_tensor *x =
      ct_from(CT_F64, CT_SHAPE(1, 8), (const double[]){1, NAN, NAN, 5, 3, 3, -INFINITY, -INFINITY});
  ct_tensor *v = ct_variable(x), *y = ct_maxpool(v, pair, &positions);
  assert_close(y, (const double[]){NAN, NAN, 3, -INFINITY}, 0);
  assert_close(positions, (const double[]){1, 2, 4, 6}, 0);
  ct_tensor *g = ct_vjp(y, v, ct_ones(CT_F64, CT_SHAPE(1, 4)));
  assert_close(g, (const double[]){0, 1, 1, 0, 1, 0, 1, 0}, 0);
  ct_release(&v);
  ct_pool_opts padded = {{2, 2}, {1, 1}, {1, 1}};
  ct_tensor *low = ct_full(CT_F32, CT_SHAPE(1, 1), -5);
  assert_close(ct_maxpool(low, padded, NULL), (const double[]){-5, -5, -5, -5}, 0);
}

static void pool_errors(void **state) {
  (void)state;
  ct_pool_opts two = {.kernel = {2, 2}};
  ct_tensor *x = ct_zeros(CT_F32, CT_SHAPE(3, 4)), *positions;
  assert_nil(ct_maxpool(NULL, two, &positions), CT_EARG, "maxpool: x is NULL");
  assert_true(ct_is_nil(positions));
  assert_nil(ct_avgpool(ct_nil(), two), CT_ENIL, "avgpool");
  assert_nil(ct_avgpool(x, (ct_pool_opts){.kernel = {0, 2}}), CT_EARG, "avgpool: want kernel >= 1");
  assert_nil(ct_avgpool(x, (ct_pool_opts){{2, 2}, {1, 1}, {2, 0}}), CT_EARG, "padding < kernel");
  assert_nil(ct_maxpool(x, (ct_pool_opts){.kernel = {4, 1}}, NULL), CT_ESHAPE,
             "maxpool: want (...,h,w), at least as large as a window of 4 by 1, got (3,4)");
  assert_nil(ct_maxpool(ct_zeros(CT_F32, CT_SHAPE(3)), two, NULL), CT_ESHAPE, "got (3)");
  assert_nil(
      ct_maxpool(ct_zeros(CT_F32, CT_SHAPE(0, 4)), (ct_pool_opts){{2, 2}, {1, 1}, {1, 1}}, NULL),
      CT_ESHAPE, "got (0,4)");
  assert_nil(ct_maxpool(ct_zeros(CT_I32, CT_SHAPE(3, 4)), two, NULL), CT_EDTYPE,
             "maxpool: want f32");
  assert_nil(ct_avgpool(ct_zeros(CT_I32, CT_SHAPE(3, 4)), two), CT_EDTYPE, "avgpool: want f32");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scope, close_scope)
  const struct CMUnitTest tests[] = {
      TEST(convolutions_follow_the_definition),
      TEST(transposes_follow_the_definition),
      TEST(derivatives_to_third_order),
      TEST(the_transpose_is_the_adjoint),
      TEST(convolution_errors),
      TEST(pools_follow_the_definition),
      TEST(pool_derivatives),
      TEST(maxpool_of_special_values),
      TEST(pool_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
