/* test_abuse_conv.c - what convolutions and pools must refuse, and how they say so. */
#include "abuse.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

typedef ct_tensor *convolution(ct_tensor *x, ct_tensor *w, ct_conv2d_opts opts);
typedef ct_tensor *pooling(ct_tensor *x, ct_pool_opts opts);

static ct_tensor *maxpool(ct_tensor *x, ct_pool_opts opts) {
  f.out[0] = NULL;
  ct_tensor *y = ct_maxpool(x, opts, &f.out[0]);
  assert_true(f.out[0] && ct_is_nil(f.out[0]) == ct_is_nil(y));
  return y;
}

static ct_tensor *maxpool_alone(ct_tensor *x, ct_pool_opts opts) {
  return ct_maxpool(x, opts, NULL);
}

static const struct {
  const char *name;
  convolution *f;
} convolutions[] = {{"conv2d", ct_conv2d}, {"conv2d_transpose", ct_conv2d_transpose}};

static const struct {
  const char *name;
  pooling *f;
} pools[] = {{"maxpool", maxpool}, {"maxpool", maxpool_alone}, {"avgpool", ct_avgpool}};

static const ct_conv2d_opts plain = {.groups = 1};
static const ct_pool_opts two = {.kernel = {2, 2}};

/* Good for both convolutions: as many channels in as out. */
static ct_tensor *images(ct_dtype dtype) { return ct_zeros(dtype, CT_SHAPE(2, 3, 5, 4)); }
static ct_tensor *weights(ct_dtype dtype) { return ct_zeros(dtype, CT_SHAPE(3, 3, 2, 3)); }

/* Extents of 2 in any number of dimensions. */
static ct_tensor *twos(int ndim) {
  ct_shape shape = {.n = ndim};
  for (int d = 0; d < ndim; d++) shape.dim[d] = 2;
  return ct_zeros(CT_F32, shape);
}

static void good_calls_work(void **state) {
  (void)state;
  for (int i = 0; i < COUNT(convolutions); i++)
    assert_false(ct_is_nil(convolutions[i].f(images(CT_F32), weights(CT_F32), plain)));
  for (int i = 0; i < COUNT(pools); i++) assert_false(ct_is_nil(pools[i].f(images(CT_F32), two)));
}

static void null_and_nil(void **state) {
  (void)state;
  ct_tensor *x = images(CT_F32), *w = weights(CT_F32);
  for (int i = 0; i < COUNT(convolutions); i++) {
    assert_nil(convolutions[i].f(NULL, w, plain), CT_EARG, convolutions[i].name);
    assert_nil(convolutions[i].f(x, NULL, plain), CT_EARG, convolutions[i].name);
    assert_nil(convolutions[i].f(NULL, NULL, plain), CT_EARG, convolutions[i].name);
    assert_nil(convolutions[i].f(ct_nil(), w, plain), CT_ENIL, convolutions[i].name);
    assert_nil(convolutions[i].f(x, ct_nil(), plain), CT_ENIL, convolutions[i].name);
  }
  for (int i = 0; i < COUNT(pools); i++) {
    assert_nil(pools[i].f(NULL, two), CT_EARG, pools[i].name);
    assert_nil(pools[i].f(ct_nil(), two), CT_ENIL, pools[i].name);
  }
}

static void dtypes(void **state) {
  (void)state;
  for (int a = 0; a < CT_DTYPES; a++) {
    for (int b = 0; b < CT_DTYPES; b++) {
      if (a == b && ct_dtype_is_float((ct_dtype)a)) continue;
      for (int i = 0; i < COUNT(convolutions); i++)
        assert_nil(convolutions[i].f(images((ct_dtype)a), weights((ct_dtype)b), plain), CT_EDTYPE,
                   "want f32 or f64");
    }
    if (ct_dtype_is_float((ct_dtype)a)) continue;
    for (int i = 0; i < COUNT(pools); i++)
      assert_nil(pools[i].f(images((ct_dtype)a), two), CT_EDTYPE, pools[i].name);
  }
}

static void shapes(void **state) {
  (void)state;
  ct_tensor *x = images(CT_F32), *w = weights(CT_F32);
  for (int i = 0; i < COUNT(convolutions); i++) {
    for (int ndim = 0; ndim <= CT_MAX_DIMS; ndim++) {
      if (ndim == 4) continue;
      assert_nil(convolutions[i].f(twos(ndim), w, plain), CT_ESHAPE, convolutions[i].name);
      assert_nil(convolutions[i].f(x, twos(ndim), plain), CT_ESHAPE, convolutions[i].name);
    }
    const ct_shape bad[] = {CT_SHAPE(2, 2, 5, 4), CT_SHAPE(2, 0, 5, 4), CT_SHAPE(2, 3, 0, 4),
                            CT_SHAPE(2, 3, 5, 0)};
    for (int k = 0; k < COUNT(bad); k++)
      assert_nil(convolutions[i].f(ct_zeros(CT_F32, bad[k]), w, plain), CT_ESHAPE,
                 convolutions[i].name);
    const ct_shape no_window[] = {CT_SHAPE(3, 3, 0, 3), CT_SHAPE(3, 3, 2, 0)};
    for (int k = 0; k < COUNT(no_window); k++)
      assert_nil(convolutions[i].f(x, ct_zeros(CT_F32, no_window[k]), plain), CT_ESHAPE,
                 "no window");
    for (int64_t groups = 2; groups <= 8; groups += 2)
      assert_nil(convolutions[i].f(x, w, (ct_conv2d_opts){.groups = groups}), CT_ESHAPE, "groups");
  }
  for (int i = 0; i < COUNT(pools); i++) {
    assert_nil(pools[i].f(twos(0), two), CT_ESHAPE, pools[i].name);
    assert_nil(pools[i].f(twos(1), two), CT_ESHAPE, pools[i].name);
    assert_nil(pools[i].f(ct_zeros(CT_F32, CT_SHAPE(3, 0)), two), CT_ESHAPE, "got (3,0)");
    assert_nil(pools[i].f(x, (ct_pool_opts){.kernel = {6, 1}}), CT_ESHAPE, "6 by 1");
  }
}

/* No images, or no channels, are fine. */
static void nothing_is_allowed(void **state) {
  (void)state;
  for (int i = 0; i < COUNT(convolutions); i++) {
    ct_tensor *none = ct_zeros(CT_F32, CT_SHAPE(0, 3, 5, 4));
    assert_int_equal(ct_size(convolutions[i].f(none, weights(CT_F32), plain)), 0);
    ct_tensor *bare = ct_zeros(CT_F32, CT_SHAPE(2, 0, 5, 4));
    ct_tensor *y = convolutions[i].f(bare, ct_zeros(CT_F32, CT_SHAPE(0, 0, 2, 3)), plain);
    assert_false(ct_is_nil(y));
    assert_int_equal(ct_size(y), 0);
  }
  for (int i = 0; i < COUNT(pools); i++)
    assert_int_equal(ct_size(pools[i].f(ct_zeros(CT_F32, CT_SHAPE(0, 3, 5, 4)), two)), 0);
}

/* ---- options --------------------------------------------------------------------------------- */

static const int64_t wild[] = {-1, INT64_MIN, INT64_MAX, (int64_t)INT32_MAX + 1};

/* Each option of a convolution in turn with each wild value. */
static void convolution_options(void **state) {
  (void)state;
  ct_tensor *x = images(CT_F32), *w = weights(CT_F32);
  for (int i = 0; i < COUNT(convolutions); i++)
    for (int k = 0; k < COUNT(wild); k++) {
      ct_conv2d_opts opts = {.groups = wild[k]};
      assert_nil(convolutions[i].f(x, w, opts), CT_EARG, convolutions[i].name);
      for (int d = 0; d < 8; d++) {
        opts = plain;
        int64_t *at[] = {opts.stride, opts.padding, opts.dilation, opts.output_padding};
        at[d / 2][d % 2] = wild[k];
        assert_nil(convolutions[i].f(x, w, opts), CT_EARG, "want stride");
      }
    }
  for (int d = 0; d < 2; d++) { /* less than stride or dilation */
    ct_conv2d_opts opts = {.stride = {3, 3}, .dilation = {2, 2}};
    opts.output_padding[d] = 3;
    assert_nil(ct_conv2d_transpose(x, w, opts), CT_EARG, "output_padding");
    opts.output_padding[d] = 2;
    assert_false(ct_is_nil(ct_conv2d_transpose(x, w, opts)));
  }
}

/* What is in range, but far from any image. */
static void far_options(void **state) {
  (void)state;
  ct_tensor *x = images(CT_F32), *w = weights(CT_F32);
  const int64_t far = INT32_MAX;
  assert_nil(ct_conv2d(x, w, (ct_conv2d_opts){.dilation = {far, far}}), CT_ESHAPE, "no window");
  assert_nil(ct_conv2d(x, w, (ct_conv2d_opts){.padding = {far, far}}), CT_ESIZE, "too large");
  assert_false(ct_is_nil(ct_conv2d(x, w, (ct_conv2d_opts){.stride = {far, far}})));
  ct_tensor *spread = ct_conv2d_transpose(x, w, (ct_conv2d_opts){.stride = {far, far}});
  assert_true(ct_is_nil(spread));
  assert_int_equal(ct_error_code(), CT_ESIZE);
  ct_error_clear();
  assert_nil(ct_conv2d_transpose(x, w, (ct_conv2d_opts){.padding = {far, far}}), CT_ESHAPE,
             "no window");
  for (int i = 0; i < COUNT(convolutions); i++) {
    ct_tensor *wide = ct_reshape(f.huge, CT_SHAPE(1, 1, 1, TERA));
    ct_tensor *point = ct_zeros(CT_F32, CT_SHAPE(1, 1, 1, 1));
    assert_nil(convolutions[i].f(wide, point, plain), CT_ESIZE, "too large");
    assert_nil(convolutions[i].f(point, wide, plain), CT_ESIZE, "too large");
    ct_tensor *deep = ct_reshape(f.huge, CT_SHAPE(1, TERA, 1, 1));
    ct_tensor *none = ct_zeros(CT_F32, CT_SHAPE(0, TERA, 1, 1));
    assert_nil(convolutions[i].f(deep, none, (ct_conv2d_opts){.groups = far}), CT_ESHAPE, "groups");
  }
}

static void pool_options(void **state) {
  (void)state;
  ct_tensor *x = images(CT_F32);
  for (int i = 0; i < COUNT(pools); i++) {
    for (int d = 0; d < 2; d++) {
      for (int k = 0; k < COUNT(wild); k++) {
        ct_pool_opts opts = two;
        opts.kernel[d] = wild[k];
        assert_nil(pools[i].f(x, opts), CT_EARG, "want kernel >= 1");
        opts = two;
        opts.padding[d] = wild[k];
        assert_nil(pools[i].f(x, opts), CT_EARG, "padding < kernel");
        opts = (ct_pool_opts){.kernel = {2, 2}, .padding = {1, 1}};
        opts.stride[d] = wild[k];
        if (wild[k] < 0)
          assert_nil(pools[i].f(x, opts), CT_EARG, "stride >= 1");
        else
          assert_false(ct_is_nil(pools[i].f(x, opts)));
      }
      ct_pool_opts opts = two;
      opts.padding[d] = 2;
      assert_nil(pools[i].f(x, opts), CT_EARG, "padding < kernel");
      opts.padding[d] = opts.kernel[d] = 0;
      assert_nil(pools[i].f(x, opts), CT_EARG, "want kernel >= 1");
    }
    ct_tensor *wide = ct_reshape(f.huge, CT_SHAPE(1, TERA));
    assert_nil(pools[i].f(wide, (ct_pool_opts){.kernel = {1, 1}}), CT_ESHAPE, pools[i].name);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(good_calls_work),    TEST(null_and_nil),        TEST(dtypes),      TEST(shapes),
      TEST(nothing_is_allowed), TEST(convolution_options), TEST(far_options), TEST(pool_options),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
