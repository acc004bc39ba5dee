/* Bad calls, continued: files, datasets, loaders, images. */
#include "abuse.h"

static void test_files_refuse(void **state) {
  (void)state;
  ct_dataset one = {0}, two = {0};
  char missing[TEMP_PATH + 16];
  snprintf(missing, sizeof missing, "%s/no/such", f.dir);
  const char *const path[] = {NULL, "", missing, f.dir};
  const ct_csv_opts csv = {0};
  const ct_folder_opts folder = {0};
  for (int k = 0; k < 4; k++) {
    ct_status want = k < 2 ? CT_EARG : CT_EIO;
    assert_nil(ct_idx_read(path[k]), want, "ct_idx_read");
    assert_nil(ct_npy_read(path[k]), want, "ct_npy_read");
    assert_nil(ct_image_load(path[k], 1), want, "ct_image_load");
    assert_fails(ct_dataset_csv(&one, path[k], csv), want, "ct_dataset_csv");
    assert_fails(ct_dataset_idx(&one, path[k], path[k]), want, "ct_dataset_idx");
    assert_fails(ct_npy_write(path[k], f.a), want, "");
    assert_fails(ct_image_write_png(path[k], f.u), want, "");
    if (k == 3) continue;
    if (k == 1) want = CT_EIO; /* the current folder has no place in a path */
    assert_fails(ct_dataset_folder(&one, path[k], folder), want, "ct_dataset_folder");
    assert_fails(ct_dataset_mnist(&one, &two, path[k]), want, "ct_dataset_mnist");
  }
  assert_fails(ct_dataset_folder(&one, f.dir, folder), CT_EFORMAT, "ct_dataset_folder");
  assert_fails(ct_dataset_folder(&one, f.dir, (ct_folder_opts){.channels = 2}), CT_EARG,
               "channels");
  assert_fails(ct_dataset_folder(&one, f.dir, (ct_folder_opts){.height = -1}), CT_EARG, "size");
  assert_fails(ct_dataset_folder(NULL, f.dir, folder), CT_EARG, "ct_dataset_folder");
  assert_fails(ct_dataset_csv(NULL, f.file, csv), CT_EARG, "ct_dataset_csv");
  assert_fails(ct_dataset_csv(&one, f.file, (ct_csv_opts){.delimiter = 'x'}), CT_EARG, "delimiter");
  assert_fails(ct_dataset_idx(NULL, f.file, f.file), CT_EARG, "ct_dataset_idx");
  assert_fails(ct_dataset_mnist(NULL, &two, f.dir), CT_EARG, "ct_dataset_mnist");
  assert_fails(ct_dataset_mnist(&one, NULL, f.dir), CT_EARG, "ct_dataset_mnist");
  assert_fails(ct_dataset_mnist(&one, &two, f.dir), CT_EIO, "train-images");
  assert_fails(ct_dataset_digits(NULL, &two), CT_EARG, "ct_dataset_digits");
  assert_fails(ct_dataset_digits(&one, NULL), CT_EARG, "ct_dataset_digits");
  assert_fails(ct_dataset_digits(&one, &one), CT_EARG, "ct_dataset_digits");
  assert_nil(ct_image_load(f.dir, 2), CT_EARG, "ct_image_load");
  assert_null(one.x);
  assert_null(two.x);
}

static void test_datasets_refuse(void **state) {
  (void)state;
  ct_dataset one = {0}, two = {0}, no_labels = {.x = f.a}, no_data = {0};
  const int32_t index[] = {0, 2, -1};
  int64_t counts[2];
  const ct_split_opts even = {.stratified = true}, any = {0};
  assert_fails(ct_dataset_counts(counts, 2, NULL), CT_EARG, "ct_dataset_counts");
  assert_fails(ct_dataset_counts(NULL, 0, &f.data), CT_EARG, "ct_dataset_counts");
  assert_fails(ct_dataset_counts(counts, 2, &no_labels), CT_EARG, "ct_dataset_counts");
  assert_fails(ct_dataset_counts(counts, 2, &f.data), CT_EARG, "ct_dataset_counts");
  assert_fails(ct_dataset_subset(NULL, &f.data, index, 1), CT_EARG, "ct_dataset_subset");
  assert_fails(ct_dataset_subset(&f.data, &f.data, index, 1), CT_EARG, "ct_dataset_subset");
  assert_fails(ct_dataset_subset(&one, NULL, index, 1), CT_EARG, "ct_dataset_subset");
  assert_fails(ct_dataset_subset(&one, &no_data, index, 1), CT_EARG, "ct_dataset_subset");
  assert_fails(ct_dataset_subset(&one, &f.data, NULL, 1), CT_EARG, "ct_dataset_subset");
  assert_fails(ct_dataset_subset(&one, &f.data, index, -1), CT_EARG, "ct_dataset_subset");
  assert_fails(ct_dataset_subset(&one, &f.data, index + 1, 1), CT_EINDEX, "ct_dataset_subset");
  assert_fails(ct_dataset_subset(&one, &f.data, index + 2, 1), CT_EINDEX, "ct_dataset_subset");
  assert_fails(ct_dataset_shuffle(NULL, &f.data, 1), CT_EARG, "ct_dataset_shuffle");
  assert_fails(ct_dataset_shuffle(&one, NULL, 1), CT_EARG, "ct_dataset_shuffle");
  assert_fails(ct_dataset_split(NULL, &two, &f.data, 0.5, any), CT_EARG, "ct_dataset_split");
  assert_fails(ct_dataset_split(&one, NULL, &f.data, 0.5, any), CT_EARG, "ct_dataset_split");
  assert_fails(ct_dataset_split(&one, &one, &f.data, 0.5, any), CT_EARG, "ct_dataset_split");
  assert_fails(ct_dataset_split(&one, &two, NULL, 0.5, any), CT_EARG, "ct_dataset_split");
  assert_fails(ct_dataset_split(&one, &two, &no_labels, 0.5, even), CT_EARG, "ct_dataset_split");
  const double fraction[] = {-0.1, 1.1, NAN};
  for (int k = 0; k < 3; k++)
    assert_fails(ct_dataset_split(&one, &two, &f.data, fraction[k], any), CT_EARG, "fraction");
  assert_fails(ct_standardizer_fit(&f.standard, ct_ones(CT_F32, CT_SHAPE(0, 3)), true), CT_EARG,
               "ct_standardizer_fit");
  const ct_standardizer empty = {0}, wrong = {f.a, f.d},
                        three = {ct_ones(CT_F32, CT_SHAPE(4)), ct_ones(CT_F32, CT_SHAPE(4))};
  assert_nil(ct_standardize(&empty, f.a), CT_EARG, "ct_standardize");
  assert_nil(ct_standardize(&wrong, f.a), CT_EDTYPE, "ct_standardize");
  assert_nil(ct_standardize(&three, f.a), CT_ESHAPE, "ct_standardize");
  const ct_loader_opts loading[] = {{.batch = -1},
                                    {.batch = 3, .drop_last = true},
                                    {.standardizer = &three},
                                    {.standardizer = &empty}};
  for (int k = 0; k < 4; k++) {
    ct_loader *loader = ct_loader_new(&f.data, loading[k]);
    if (k == 1 && loader) { /* fewer rows than a batch: no batch, or a refusal */
      assert_int_equal(ct_loader_batches(loader), 0);
      ct_loader_free(&loader);
      continue;
    }
    assert_null(loader);
    assert_fails(ct_error_code(), ct_error_code() ? ct_error_code() : CT_EARG, "ct_");
  }
  assert_null(ct_loader_new(NULL, loading[0]));
  assert_fails(ct_error_code(), CT_EARG, "ct_loader_new");
  assert_null(ct_loader_new(&no_data, loading[0]));
  assert_fails(ct_error_code(), CT_EARG, "ct_loader_new");
  assert_fails(ct_loader_seek(NULL, 0, 0), CT_EARG, "ct_loader_seek");
  assert_fails(ct_loader_seek(f.loader, -1, 0), CT_EINDEX, "ct_loader_seek");
  assert_fails(ct_loader_seek(f.loader, 0, -1), CT_EINDEX, "ct_loader_seek");
  assert_fails(ct_loader_seek(f.loader, 0, 99), CT_EINDEX, "ct_loader_seek");
  const int64_t sizes[] = {0, -1, TERA, INT64_MAX};
  for (int k = 0; k < 4; k++) {
    assert_nil(ct_image_resize(f.u, sizes[k], 2), CT_EARG, "ct_image_resize");
    assert_nil(ct_image_resize(f.u, 2, sizes[k]), CT_EARG, "ct_image_resize");
    assert_nil(ct_image_like_mnist(f.u, sizes[k]), CT_EARG, "ct_image_like_mnist");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_files_refuse, setup, teardown),
      cmocka_unit_test_setup_teardown(test_datasets_refuse, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
