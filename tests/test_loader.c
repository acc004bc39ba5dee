/* test_loader.c - subset, shuffle, split, standardisation, and batches. */
#include "testing.h"

#include "datasets/datasets.h"

enum { N = 100, FEATURES = 3 };

/* Row i of x is (i, 2 i, 7), its label i % 4 with a few classes rarer than others. */
static ct_dataset numbered(ct_dtype dtype) {
  ct_scope s = ct_scope_begin();
  uint8_t byte[N][FEATURES];
  float real[N][FEATURES];
  int32_t label[N];
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < FEATURES; j++) {
      byte[i][j] = (uint8_t)(j < 2 ? i * (j + 1) : 7);
      real[i][j] = byte[i][j];
    }
    label[i] = i < 60 ? 0 : i < 90 ? 1 : 2;
  }
  ct_dataset all = {0}, d;
  all.x = ct_from(dtype, CT_SHAPE(N, FEATURES, 1), dtype == CT_U8 ? (void *)byte : (void *)real);
  all.labels = ct_from(CT_I32, CT_SHAPE(N), label);
  static const char *const name[3] = {"many", "some", "few"};
  all.classes = (ct_names){3, name, sizeof name};
  int32_t index[N];
  for (int i = 0; i < N; i++) index[i] = i;
  assert_ok(ct_dataset_subset(&d, &all, index, N));
  ct_scope_end(s);
  return d;
}

/* Which rows of numbered() d holds; checks that each kept its label. */
static void rows_of(const ct_dataset *d, int *row) {
  static double x[N * FEATURES], label[N];
  const int64_t n = ct_dim(d->x, 0);
  tensor_values(d->x, x, n * FEATURES);
  tensor_values(d->labels, label, n);
  for (int64_t i = 0; i < n; i++) {
    row[i] = (int)x[i * FEATURES];
    assert_true(x[i * FEATURES + 1] == 2 * row[i] && x[i * FEATURES + 2] == 7);
    assert_int_equal((int)label[i], row[i] < 60 ? 0 : row[i] < 90 ? 1 : 2);
  }
}

static void subsets(void **state) {
  (void)state;
  ct_dataset d = numbered(CT_U8), s;
  int row[3];
  assert_ok(ct_dataset_subset(&s, &d, (int32_t[]){99, 0, 99}, 3));
  rows_of(&s, row);
  assert_true(row[0] == 99 && row[1] == 0 && row[2] == 99);
  assert_string_equal(s.classes.at[2], "few");
  ct_dataset_free(&s);
  assert_ok(ct_dataset_subset(&s, &d, NULL, 0));
  assert_int_equal(ct_dim(s.x, 0), 0);
  ct_dataset_free(&s);
  assert_fails(ct_dataset_subset(&s, &d, (int32_t[]){100}, 1), CT_EINDEX, "100");
  assert_fails(ct_dataset_subset(&s, &d, (int32_t[]){-1}, 1), CT_EINDEX, "-1");
  assert_fails(ct_dataset_subset(&s, &d, NULL, 1), CT_EARG, "index");
  assert_fails(ct_dataset_subset(&d, &d, NULL, 0), CT_EARG, "place");
  assert_fails(ct_dataset_subset(&s, NULL, NULL, 0), CT_EARG, "dataset");
  ct_dataset_free(&d);
  assert_fails(ct_dataset_subset(&s, &d, NULL, 0), CT_EARG, "NULL");
}

static void refuses_odd_datasets(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_dataset s;
  ct_tensor *x = ct_zeros(CT_F32, CT_SHAPE(4, 2)), *t = ct_zeros(CT_I32, CT_SHAPE(4));
  const ct_dataset bad[] = {
      {.x = ct_zeros(CT_F64, CT_SHAPE(4, 2)), .labels = t},
      {.x = ct_zeros(CT_F32, CT_SCALAR)},
      {.x = x, .labels = ct_zeros(CT_I32, CT_SHAPE(3))},
      {.x = x, .labels = ct_zeros(CT_I32, CT_SHAPE(4, 1))},
      {.x = x, .labels = ct_zeros(CT_F32, CT_SHAPE(4))},
      {.x = x, .classes = {-1, NULL, 0}},
      {.x = x, .classes = {2, NULL, 0}},
      {.x = x, .columns = {1, (const char *const[]){NULL}, 0}},
      {.x = ct_wrap(CT_F32, CT_SHAPE(2, 2), (float[4]){0},
                    (ct_wrap_opts){.stride = (int64_t[]){1, 2}})},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_not_equal(ct_dataset_shuffle(&s, &bad[i], 1), CT_OK);
    assert_null(ct_loader_new(&bad[i], (ct_loader_opts){0}));
    assert_int_not_equal(ct_error_code(), CT_OK);
    ct_error_clear();
  }
  static const char *const name[3] = {"a", "b", "c"};
  const ct_dataset odd = {
      .x = x, .labels = ct_full(CT_I32, CT_SHAPE(4), 3), .classes = {3, name, sizeof name}};
  int64_t count[3];
  assert_fails(ct_dataset_counts(count, 3, &odd), CT_EINDEX, "label 0 is 3");
  assert_fails(ct_dataset_counts(count, 2, &odd), CT_EARG, "3 classes");
  assert_fails(ct_dataset_counts(NULL, 3, &odd), CT_EARG, "3 classes");
  assert_fails(ct_dataset_counts(count, 0, &(ct_dataset){.x = x}), CT_EARG, "no labels");
  ct_scope_end(scope);
}

static void shuffles(void **state) {
  (void)state;
  ct_dataset d = numbered(CT_F32), a, b, c;
  int ra[N], rb[N], rc[N], seen[N] = {0}, moved = 0, differ = 0;
  assert_ok(ct_dataset_shuffle(&a, &d, 1));
  assert_ok(ct_dataset_shuffle(&b, &d, 1));
  assert_ok(ct_dataset_shuffle(&c, &d, 2));
  rows_of(&a, ra);
  rows_of(&b, rb);
  rows_of(&c, rc);
  for (int i = 0; i < N; i++) {
    assert_int_equal(ra[i], rb[i]);
    moved += ra[i] != i;
    differ += ra[i] != rc[i];
    assert_int_equal(seen[ra[i]]++, 0);
  }
  assert_true(moved > 80 && differ > 80);
  ct_dataset_free(&a);
  ct_dataset_free(&b);
  ct_dataset_free(&c);
  ct_dataset_free(&d);
  assert_fails(ct_dataset_shuffle(NULL, &d, 1), CT_EARG, "place");
}

static void splits(void **state) {
  (void)state;
  ct_dataset d = numbered(CT_U8), a, b;
  for (int stratified = 0; stratified < 2; stratified++) {
    assert_ok(
        ct_dataset_split(&a, &b, &d, 0.2, (ct_split_opts){.seed = 3, .stratified = stratified}));
    assert_int_equal(ct_dim(a.x, 0), 80);
    assert_int_equal(ct_dim(b.x, 0), 20);
    int row[N], seen[N] = {0};
    rows_of(&a, row);
    rows_of(&b, row + 80);
    for (int i = 0; i < N; i++) assert_int_equal(seen[row[i]]++, 0);
    int64_t count[3];
    assert_ok(ct_dataset_counts(count, 3, &b));
    if (stratified) assert_true(count[0] == 12 && count[1] == 6 && count[2] == 2);
    ct_dataset_free(&a);
    ct_dataset_free(&b);
  }
  assert_ok(ct_dataset_split(&a, &b, &d, 0, (ct_split_opts){0}));
  assert_int_equal(ct_dim(a.x, 0), N);
  assert_int_equal(ct_dim(b.x, 0), 0);
  ct_dataset_free(&a);
  ct_dataset_free(&b);
  assert_fails(ct_dataset_split(&a, &b, &d, 1.01, (ct_split_opts){0}), CT_EARG, "fraction");
  assert_fails(ct_dataset_split(&a, &b, &d, NAN, (ct_split_opts){0}), CT_EARG, "fraction");
  assert_fails(ct_dataset_split(&a, &a, &d, 0.5, (ct_split_opts){0}), CT_EARG, "place");
  assert_fails(ct_dataset_split(NULL, &a, &d, 0.5, (ct_split_opts){0}), CT_EARG, "place");
  ct_dataset no_labels = {.x = d.x};
  assert_fails(ct_dataset_split(&a, &b, &no_labels, 0.5, (ct_split_opts){.stratified = true}),
               CT_EARG, "labels");
  assert_ok(ct_dataset_split(&a, &b, &no_labels, 0.5, (ct_split_opts){0}));
  assert_null(a.labels);
  ct_dataset_free(&a);
  ct_dataset_free(&b);
  ct_dataset_free(&d);
}

/* ---- standardisation ------------------------------------------------------------------------- */

static void standardizes(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  for (int k = 0; k < 2; k++) {
    ct_dataset d = numbered(k ? CT_F32 : CT_U8);
    ct_standardizer s;
    double mean[FEATURES], scale[FEATURES], y[N * FEATURES];
    assert_ok(ct_standardizer_fit(&s, d.x, true));
    tensor_values(s.mean, mean, FEATURES);
    tensor_values(s.scale, scale, FEATURES);
    const double deviation = sqrt((N * N - 1) / 12.0); /* of 0 .. N-1 */
    for (int j = 0; j < 2; j++) {
      assert_near(mean[j], (j + 1) * 49.5, 1e-5);
      assert_near(scale[j], 1 / deviation / (j + 1), 1e-8);
    }
    assert_true(mean[2] == 7 && scale[2] == 1); /* constant */
    tensor_values(ct_standardize(&s, d.x), y, N * FEATURES);
    for (int i = 0; i < N; i++) {
      assert_near(y[i * FEATURES + 1], (i - 49.5) / deviation, 1e-6);
      assert_true(y[i * FEATURES + 2] == 0);
    }
    ct_standardizer_free(&s);
    assert_null(s.mean);

    assert_ok(ct_standardizer_fit(&s, d.x, false));
    assert_int_equal(ct_ndim(s.mean), 0);
    assert_ok(ct_item(s.mean, mean));
    assert_near(mean[0], (49.5 + 99 + 7) / 3, 1e-5);
    double sum = 0, squares = 0;
    tensor_values(ct_standardize(&s, d.x), y, N * FEATURES);
    for (int i = 0; i < N * FEATURES; i++) sum += y[i], squares += y[i] * y[i];
    assert_near(sum, 0, 1e-3);
    assert_near(squares, N * FEATURES, 1e-3);
    ct_standardizer_free(&s);
    ct_dataset_free(&d);
  }
  ct_scope_end(scope);
}

static void standardizer_corners(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_standardizer s;
  /* far from zero the deviation is still right; what is not finite counts for nothing; a column of
   * that is left alone */
  const float rows[4][3] = {
      {1e6f, NAN, NAN}, {1e6f + 1, 4, INFINITY}, {1e6f, 8, NAN}, {1e6f + 1, 6, -INFINITY}};
  assert_ok(ct_standardizer_fit(&s, ct_from(CT_F32, CT_SHAPE(4, 3), rows), true));
  double mean[3], scale[3];
  tensor_values(s.mean, mean, 3);
  tensor_values(s.scale, scale, 3);
  assert_near(scale[0], 2, 1e-6);
  assert_near(mean[1], 6, 1e-6);
  assert_near(scale[1], 1 / sqrt(8.0 / 3), 1e-6);
  assert_true(mean[2] == 0 && scale[2] == 1);

  assert_nil(ct_standardize(&s, ct_zeros(CT_F32, CT_SHAPE(4, 2))), CT_ESHAPE, "3 features");
  assert_nil(ct_standardize(&s, ct_zeros(CT_I32, CT_SHAPE(4, 3))), CT_EDTYPE, "i32");
  assert_nil(ct_standardize(NULL, ct_zeros(CT_F32, CT_SHAPE(4, 3))), CT_EARG, "standardizer");
  assert_nil(ct_standardize(&s, NULL), CT_EARG, "ct_standardize");
  assert_nil(ct_standardize(&(ct_standardizer){0}, ct_zeros(CT_F32, CT_SHAPE(3))), CT_EARG,
             "ct_standardize");
  ct_standardizer_free(&s);
  assert_fails(ct_standardizer_fit(&s, ct_zeros(CT_F32, CT_SHAPE(0, 3)), true), CT_EARG, "no data");
  assert_fails(ct_standardizer_fit(&s, ct_zeros(CT_F32, CT_SCALAR), true), CT_ESHAPE,
               "1 dimensions");
  assert_fails(ct_standardizer_fit(&s, NULL, true), CT_EARG, "NULL");
  assert_fails(ct_standardizer_fit(NULL, ct_zeros(CT_F32, CT_SHAPE(3)), true), CT_EARG, "place");
  ct_standardizer_free(NULL);
  ct_scope_end(scope);
}

/* ---- batches --------------------------------------------------------------------------------- */

static void batches_in_order(void **state) {
  (void)state;
  ct_dataset d = numbered(CT_U8);
  ct_loader *l = ct_loader_new(&d, (ct_loader_opts){.batch = 32});
  assert_non_null(l);
  ct_dataset_free(&d); /* the loader keeps what it needs */
  assert_int_equal(ct_loader_batches(l), 4);
  for (int epoch = 0; epoch < 2; epoch++) {
    ct_tensor *x, *t, *full = NULL;
    int row = 0;
    for (int b = 0; ct_loader_next(l, &x, &t); b++) {
      const int64_t n = b < 3 ? 32 : 4;
      if (b == 0) full = x;
      assert_true((x == full) == (b < 3)); /* one tensor, refilled */
      double v[32 * FEATURES], label[32];
      assert_true(ct_shape_equal(ct_shape_of(x), CT_SHAPE(n, FEATURES)));
      assert_int_equal(ct_dtype_of(x), CT_F32);
      assert_int_equal(ct_dtype_of(t), CT_I32);
      tensor_values(x, v, n * FEATURES);
      tensor_values(t, label, n);
      for (int i = 0; i < n; i++, row++) {
        assert_near(v[i * FEATURES + 1], 2 * row / 255.0, 1e-6);
        assert_true(label[i] == (row < 60 ? 0 : row < 90 ? 1 : 2));
      }
    }
    assert_int_equal(row, N);
    assert_true(ct_is_nil(x) && ct_is_nil(t));
    assert_int_equal(ct_error_code(), CT_OK);
  }
  ct_loader_free(&l);
  assert_null(l);
  ct_loader_free(&l);
}

/* The rows of the rest of an epoch, in order; returns how many. */
static int read_epoch(ct_loader *l, int *row) {
  int n = 0;
  ct_tensor *x, *t;
  while (ct_loader_next(l, &x, &t)) {
    double v[N * FEATURES];
    const int64_t count = ct_dim(x, 0);
    tensor_values(x, v, count * FEATURES);
    for (int64_t i = 0; i < count; i++) row[n++] = (int)v[i * FEATURES];
  }
  return n;
}

static void shuffled_epochs(void **state) {
  (void)state;
  ct_dataset d = numbered(CT_F32);
  const ct_loader_opts o = {.batch = 30, .shuffle = true, .seed = 5};
  ct_loader *a = ct_loader_new(&d, o), *b = ct_loader_new(&d, o);
  int first[N], second[N], third[N], again[N], seen[N] = {0}, differ = 0;
  assert_int_equal(read_epoch(a, first), N);
  assert_int_equal(read_epoch(a, second), N);
  assert_int_equal(read_epoch(a, third), N);
  for (int i = 0; i < N; i++) {
    assert_int_equal(seen[first[i]]++, 0);
    differ += first[i] != second[i];
  }
  assert_true(differ > 80);
  assert_ok(ct_loader_seek(b, 2, 0));
  assert_int_equal(read_epoch(b, again), N);
  assert_memory_equal(again, third, sizeof third);
  assert_ok(ct_loader_seek(b, 1, 2)); /* in the middle, then on into the next epoch */
  assert_int_equal(read_epoch(b, again), N - 60);
  assert_memory_equal(again, second + 60, (N - 60) * sizeof *second);
  assert_int_equal(read_epoch(b, again), N);
  assert_memory_equal(again, third, sizeof third);
  assert_fails(ct_loader_seek(b, 0, 5), CT_EINDEX, "batch 5 of 4");
  assert_fails(ct_loader_seek(b, -1, 0), CT_EINDEX, "epoch -1");
  assert_fails(ct_loader_seek(NULL, 0, 0), CT_EARG, "loader");
  ct_loader_free(&a);
  ct_loader_free(&b);
  ct_dataset_free(&d);
}

static void loader_options(void **state) {
  (void)state;
  ct_dataset d = numbered(CT_U8);
  ct_standardizer s;
  ct_tensor *x, *t;
  int row[N];
  double v[2 * FEATURES];
  assert_ok(ct_standardizer_fit(&s, d.x, true));
  ct_loader *l = ct_loader_new(&d, (ct_loader_opts){.batch = 40, .drop_last = true});
  assert_int_equal(ct_loader_batches(l), 2);
  assert_int_equal(read_epoch(l, row), 80);
  ct_loader_free(&l);
  l = ct_loader_new(&d, (ct_loader_opts){.batch = 2, .keep_shape = true, .standardizer = &s});
  ct_standardizer_free(&s);
  assert_true(ct_loader_next(l, &x, NULL));
  assert_true(ct_shape_equal(ct_shape_of(x), CT_SHAPE(2, FEATURES, 1)));
  tensor_values(x, v, 2 * FEATURES);
  assert_near(v[3], (1 - 49.5) / sqrt((N * N - 1) / 12.0), 1e-6);
  assert_true(v[5] == 0);
  ct_loader_free(&l);

  l = ct_loader_new(&(ct_dataset){.x = d.x}, (ct_loader_opts){.batch = 1000});
  assert_true(ct_loader_next(l, &x, &t));
  assert_int_equal(ct_dim(x, 0), N);
  assert_true(ct_is_nil(t));
  assert_false(ct_loader_next(l, &x, &t));
  ct_loader_free(&l);

  assert_null(ct_loader_new(&d, (ct_loader_opts){.batch = -1}));
  assert_fails(ct_error_code(), CT_EARG, "batches of -1");
  assert_null(ct_loader_new(&d, (ct_loader_opts){.batch = 101, .drop_last = true}));
  assert_fails(ct_error_code(), CT_EARG, "batches of 101");
  assert_null(ct_loader_new(NULL, (ct_loader_opts){0}));
  assert_fails(ct_error_code(), CT_EARG, "dataset");
  assert_null(ct_loader_new(&d, (ct_loader_opts){.standardizer = &(ct_standardizer){0}}));
  assert_fails(ct_error_code(), CT_EARG, "ct_loader_new");
  assert_int_equal(ct_loader_batches(NULL), 0);
  assert_false(ct_loader_next(NULL, &x, &t));
  assert_fails(ct_error_code(), CT_EARG, "loader");
  ct_loader_free(NULL);
  ct_dataset_free(&d);
}

/* What was made of a batch must notice that the batch has changed. */
static void refilling_makes_stale(void **state) {
  (void)state;
  ct_dataset d = numbered(CT_F32);
  ct_loader *l = ct_loader_new(&d, (ct_loader_opts){.batch = 60});
  ct_tensor *full, *rest;
  double value[60 * FEATURES];
  assert_true(ct_loader_next(l, &full, NULL));
  assert_ok(ct_copy_out(full, (float[60 * FEATURES]){0}, 60 * FEATURES * sizeof(float)));
  assert_true(ct_loader_next(l, &rest, NULL));
  assert_fails(ct_copy_out(full, value, 60 * FEATURES * sizeof(float)), CT_ESTALE,
               "ct_loader_next");
  tensor_values(rest, value, 40 * FEATURES);
  assert_true(value[0] == 60);
  ct_loader_free(&l);
  ct_dataset_free(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(subsets),          cmocka_unit_test(refuses_odd_datasets),
      cmocka_unit_test(shuffles),         cmocka_unit_test(splits),
      cmocka_unit_test(standardizes),     cmocka_unit_test(standardizer_corners),
      cmocka_unit_test(batches_in_order), cmocka_unit_test(shuffled_epochs),
      cmocka_unit_test(loader_options),   cmocka_unit_test(refilling_makes_stale),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
