/* test_datasets.c - idx, MNIST, the embedded digits, npy and CSV: what they read, and what they
 * refuse. */
#include "folder.h"

#include "datasets/datasets.h"
#include "gzip.h"

#include <locale.h>

static const char *put_gz(const char *name, const void *data, size_t bytes) {
  unsigned char file[4096];
  return put(name, file, gzip(file, sizeof file, data, bytes));
}

static const char *put_text(const char *name, const char *text) {
  return put(name, text, strlen(text));
}

/* A string constant with zeros inside, without its last zero. */
#define BYTES(text) text, sizeof(text) - 1

/* ---- idx ------------------------------------------------------------------------------------- */

#define SMALL_IDX "\0\0\x08\x02\0\0\0\x02\0\0\0\x03\x01\x02\x03\xfd\xfe\xff"

static void expect_small(const ct_tensor *t) {
  double v[6];
  assert_false(ct_is_nil(t));
  assert_int_equal(ct_dtype_of(t), CT_U8);
  assert_true(ct_shape_equal(ct_shape_of(t), CT_SHAPE(2, 3)));
  tensor_values(t, v, 6);
  for (int i = 0; i < 3; i++) assert_true(v[i] == i + 1 && v[3 + i] == 253 + i);
}

static void idx_reads(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  expect_small(ct_idx_read(put("a", BYTES(SMALL_IDX))));
  expect_small(ct_idx_read(put_gz("a.gz", BYTES(SMALL_IDX))));
  const ct_tensor *none = ct_idx_read(put("none", BYTES("\0\0\x08\x01\0\0\0\0")));
  assert_false(ct_is_nil(none));
  assert_int_equal(ct_dim(none, 0), 0);
  ct_scope_end(s);
}

static void idx_refuses(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t n;
    const char *text;
  } bad[] = {
      {BYTES("\0"), "ends after"},
      {BYTES("\0\0\x08"), "ends after"},
      {BYTES("\0\x01\x08\x01\0\0\0\0"), "not an idx file"},
      {BYTES("P5 10 10"), "not an idx file"},
      {BYTES("\0\0\x0d\x01\0\0\0\0"), "type 13"},
      {BYTES("\0\0\x08\0"), "dimensions"},
      {BYTES("\0\0\x08\x09"), "dimensions"},
      {BYTES("\0\0\x08\x02\0\0\0\x02\0\0"), "ends after"},
      {BYTES("\0\0\x08\x01\0\0\0\x02x"), "(2) does not fit"},
      {BYTES("\0\0\x08\x01\0\0\0\x02xyz"), "(2) does not fit"},
      {BYTES("\0\0\x08\x01\xff\xff\xff\xffx"), "does not fit"},
      {BYTES("\0\0\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "does not fit"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_nil(ct_idx_read(put("bad", bad[i].bytes, bad[i].n)), CT_EFORMAT, bad[i].text);
  /* nothing, but too many rows of it */
  assert_nil(
      ct_idx_read(put("huge", BYTES("\0\0\x08\x03\xff\xff\xff\xff\x7f\xff\xff\xff\0\0\0\0"))),
      CT_ESIZE, "huge");
  assert_nil(ct_idx_read(put("bad", "", 0)), CT_EFORMAT, "empty");
  assert_nil(ct_idx_read(path_of("missing")), CT_EIO, "missing");
  assert_nil(ct_idx_read(folder), CT_EIO, folder);
  assert_nil(ct_idx_read(NULL), CT_EARG, "path");
  assert_nil(ct_idx_read(""), CT_EARG, "path");
}

static void gzip_refuses(void **state) {
  (void)state;
  unsigned char file[4096], twice[4096];
  const size_t n = gzip(file, sizeof file, BYTES(SMALL_IDX));
  for (size_t cut = 2; cut < n; cut++)
    assert_nil(ct_idx_read(put("bad.gz", file, cut)), CT_EFORMAT, "bad.gz");
  file[n - 6] ^= 1; /* the sum */
  assert_nil(ct_idx_read(put("bad.gz", file, n)), CT_EFORMAT, "damaged");
  file[n - 6] ^= 1;
  file[n] = 0;
  assert_nil(ct_idx_read(put("bad.gz", file, n + 1)), CT_EFORMAT, "more data");
  memcpy(twice, file, n);
  memcpy(twice + n, file, n);
  assert_nil(ct_idx_read(put("bad.gz", twice, 2 * n)), CT_EFORMAT, "more data");
  static const struct {
    unsigned char size[4]; /* that the file promises, little-endian */
    const char *text;
  } wrong[] = {{{0, 0, 0, 0}, "to the 0 bytes"},
               {{sizeof SMALL_IDX - 2, 0, 0, 0}, "does not inflate"},
               {{sizeof SMALL_IDX, 0, 0, 0}, "does not inflate"},
               {{255, 255, 255, 255}, "cannot hold 4294967295"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    memcpy(file + n - 4, wrong[i].size, 4);
    assert_nil(ct_idx_read(put("bad.gz", file, n)), CT_EFORMAT, wrong[i].text);
  }
  assert_nil(ct_idx_read(put_gz("bad.gz", BYTES(""))), CT_EFORMAT, "ends after 0");
  assert_nil(ct_idx_read(put_gz("bad.gz", BYTES(SMALL_IDX "x"))), CT_EFORMAT, "the 7 bytes");
  assert_nil(ct_idx_read(put_gz("bad.gz", BYTES("\0\0\x08\x01\0\0\x10\0"))), CT_EFORMAT,
             "(4096) does not fit the 0 bytes");
  assert_nil(ct_idx_read(put_gz("bad.gz", BYTES("\0\0\x08\x01\x7f\xff\xff\xff"))), CT_EFORMAT,
             "(2147483647)");
}

static void pairs(void **state) {
  (void)state;
  char images[sizeof last_path], labels[sizeof last_path];
  strcpy(images, put("images", BYTES(SMALL_IDX)));
  strcpy(labels, put("labels", BYTES("\0\0\x08\x01\0\0\0\x02\x05\x02")));
  ct_dataset d;
  assert_ok(ct_dataset_idx(&d, images, labels));
  expect_small(d.x);
  assert_int_equal(ct_dtype_of(d.labels), CT_I32);
  double v[2];
  tensor_values(d.labels, v, 2);
  assert_true(v[0] == 5 && v[1] == 2);
  assert_int_equal(d.classes.n, 6);
  assert_string_equal(d.classes.at[5], "5");
  ct_dataset_free(&d);
  assert_null(d.x);
  ct_dataset_free(&d);

  assert_fails(ct_dataset_idx(&d, images, images), CT_EFORMAT, "do not match");
  assert_null(d.x);
  put("labels", BYTES("\0\0\x08\x01\0\0\0\x01\x05"));
  assert_fails(ct_dataset_idx(&d, images, labels), CT_EFORMAT, "do not match");
  assert_fails(ct_dataset_idx(NULL, images, labels), CT_EARG, "ct_dataset_idx");
  assert_fails(ct_dataset_idx(&d, NULL, labels), CT_EARG, "ct_dataset_idx");
}

/* ---- the digits and MNIST -------------------------------------------------------------------- */

static void expect_counts(const ct_dataset *d, const int64_t want[10]) {
  int64_t got[10];
  assert_int_equal(d->classes.n, 10);
  assert_ok(ct_dataset_counts(got, 10, d));
  for (int c = 0; c < 10; c++) assert_int_equal(got[c], want[c]);
}

static void digits(void **state) {
  (void)state;
  static const int64_t in_train[10] = {127, 122, 119, 138, 144, 130, 139, 136, 115, 127};
  static const int64_t in_test[10] = {51, 60, 58, 45, 37, 52, 42, 43, 59, 53};
  ct_dataset train, test;
  assert_ok(ct_dataset_digits(&train, &test));
  assert_true(ct_shape_equal(ct_shape_of(train.x), CT_SHAPE(1297, 8, 8)));
  assert_true(ct_shape_equal(ct_shape_of(test.x), CT_SHAPE(500, 8, 8)));
  expect_counts(&train, in_train);
  expect_counts(&test, in_test);
  assert_string_equal(train.classes.at[9], "9");
  ct_dataset_free(&train);
  ct_dataset_free(&test);
  assert_fails(ct_dataset_digits(NULL, &test), CT_EARG, "ct_dataset_digits");
  assert_fails(ct_dataset_digits(&test, &test), CT_EARG, "ct_dataset_digits");
}

static void mnist(void **state) {
  (void)state;
  static const int64_t in_train[10] = {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949};
  static const int64_t in_test[10] = {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009};
  const char *dir = getenv("CT_MNIST");
  ct_dataset train, test;
  if (!dir || ct_dataset_mnist(&train, &test, dir) == CT_EIO) {
    ct_error_clear();
    print_message("MNIST is not there: set CT_MNIST to its folder to test with it\n");
    skip();
  }
  assert_ok(ct_error_code());
  assert_true(ct_shape_equal(ct_shape_of(train.x), CT_SHAPE(60000, 28, 28)));
  assert_true(ct_shape_equal(ct_shape_of(test.x), CT_SHAPE(10000, 28, 28)));
  expect_counts(&train, in_train);
  expect_counts(&test, in_test);
  ct_standardizer s;
  assert_ok(ct_standardizer_fit(&s, train.x, false));
  double mean, scale;
  assert_ok(ct_item(s.mean, &mean));
  assert_ok(ct_item(s.scale, &scale));
  assert_near(mean / 255, 0.1306604762738429, 1e-8); /* the figures that everyone uses */
  assert_near(1 / scale / 255, 0.30810780717887876, 1e-7);
  ct_standardizer_free(&s);
  ct_dataset_free(&train);
  ct_dataset_free(&test);
}

static void mnist_by_name(void **state) {
  (void)state;
  ct_dataset train, test;
  assert_fails(ct_dataset_mnist(&train, &test, folder), CT_EIO,
               "t10k-labels-idx1-ubyte, published at yann");
  assert_fails(ct_dataset_mnist(&train, &test, "/does/not/exist"), CT_EIO, "/does/not/exist");
  assert_fails(ct_dataset_mnist(&train, &test, NULL), CT_EARG, "folder");
  put_gz("train-images-idx3-ubyte.gz", BYTES(SMALL_IDX));
  put("train-labels.idx1-ubyte", BYTES("\0\0\x08\x01\0\0\0\x02\0\x01"));
  put("t10k-images-idx3-ubyte", BYTES(SMALL_IDX));
  assert_fails(ct_dataset_mnist(&train, &test, folder), CT_EIO, "no t10k-labels-idx1-ubyte");
  assert_null(train.x);
  put_gz("t10k-labels-idx1-ubyte.gz", BYTES("\0\0\x08\x01\0\0\0\x02\0\x03"));
  assert_ok(ct_dataset_mnist(&train, &test, folder));
  expect_small(train.x);
  expect_small(test.x);
  assert_int_equal(train.classes.n, 4); /* the test part knows a class more */
  assert_int_equal(test.classes.n, 4);
  ct_dataset_free(&train);
  ct_dataset_free(&test);
}

/* ---- npy ------------------------------------------------------------------------------------- */

static void npy_round_trips(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  static const ct_shape shape[] = {
      {0, {0}}, {1, {5}}, {2, {3, 4}}, {3, {2, 0, 3}}, {8, {1, 2, 1, 2, 1, 2, 1, 2}}};
  for (int d = 0; d < CT_DTYPES; d++)
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
      const ct_tensor *t = ct_full((ct_dtype)d, shape[i], 1);
      const char *path = path_of("t.npy");
      assert_ok(ct_npy_write(path, t));
      const ct_tensor *u = ct_npy_read(path);
      assert_false(ct_is_nil(u));
      assert_int_equal(ct_dtype_of(u), d);
      assert_true(ct_shape_equal(ct_shape_of(u), shape[i]));
      double v[16];
      tensor_values(u, v, ct_size(u));
      for (int64_t j = 0; j < ct_size(u); j++) assert_true(v[j] == 1);
    }
  const float values[6] = {0, 1, 2, 3, 4, 5};
  float turned[6];
  const int64_t stride[2] = {1, 3};
  float memory[6];
  memcpy(memory, values, sizeof memory);
  ct_tensor *view = ct_wrap(CT_F32, CT_SHAPE(3, 2), memory, (ct_wrap_opts){.stride = stride});
  assert_ok(ct_npy_write(path_of("t.npy"), view));
  assert_ok(ct_copy_out(ct_npy_read(last_path), turned, sizeof turned));
  for (int i = 0; i < 6; i++) assert_true(turned[i] == values[i / 2 + 3 * (i % 2)]);
  ct_scope_end(s);
}

/* A file as NumPy would write it; version 1 unless told. */
static const char *put_npy(int version, const char *dict, const void *data, size_t bytes) {
  unsigned char file[512] = "\x93NUMPY";
  const size_t length = strlen(dict), start = version == 1 ? 10 : 12;
  file[6] = (unsigned char)version;
  file[8] = (unsigned char)length;
  memcpy(file + start, dict, length);
  if (bytes > 0) memcpy(file + start + length, data, bytes);
  return put("x.npy", file, start + length + bytes);
}

static void npy_reads(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  const int64_t wide[3] = {-2147483648LL, 7, 2147483647LL};
  double v[6];
  tensor_values(ct_npy_read(put_npy(
                    2, "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }\n", wide, 24)),
                v, 3);
  assert_true(v[0] == -2147483648.0 && v[1] == 7 && v[2] == 2147483647.0);
  const unsigned char bytes[6] = {1, 2, 3, 4, 5, 6};
  const ct_tensor *t =
      ct_npy_read(put_npy(3, "{\"shape\": (2, 3), 'fortran_order': True,'descr':'|u1'}", bytes, 6));
  assert_true(ct_shape_equal(ct_shape_of(t), CT_SHAPE(2, 3)));
  assert_true(ct_is_contiguous(t));
  tensor_values(t, v, 6);
  static const double want[6] = {1, 3, 5, 2, 4, 6};
  for (int i = 0; i < 6; i++) assert_true(v[i] == want[i]);
  tensor_values(
      ct_npy_read(put_npy(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (6,)}", bytes, 6)),
      v, 6);
  for (int i = 0; i < 6; i++) assert_true(v[i] == 1);
  ct_scope_end(s);
}

static void npy_refuses(void **state) {
  (void)state;
  static const struct {
    const char *dict, *text;
  } bad[] = {
      {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", "big-endian"},
      {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "'<c8'"},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "plain type"},
      {"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}", "True or False"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "does not fit"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", "more than 8"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "tuple of numbers"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,)}", "too large"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 4)}",
       "does not fit"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807)}",
       "does not fit"},
      {"{'descr': '<f4', 'fortran_order': False}", "want descr"},
      {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "repeated"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", "after the dict"},
      {"{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}", "comma"},
      {"'descr'", "dict"},
      {"{'descr", "'key': value"},
      {"", "dict"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_nil(ct_npy_read(put_npy(1, bad[i].dict, "abcd", 4)), CT_EFORMAT, bad[i].text);
  const int64_t wide = 1LL << 31;
  assert_nil(
      ct_npy_read(put_npy(1, "{'descr': '<i8', 'fortran_order': False, 'shape': ()}", &wide, 8)),
      CT_ESIZE, "2147483648");
  assert_nil(ct_npy_read(put("x.npy", BYTES("\x93NUMPY\x01\0\xff\xff{}"))), CT_EFORMAT, "65535");
  assert_nil(ct_npy_read(put("x.npy", BYTES("\x93NUMPY\x04\0\x02\0{}"))), CT_EFORMAT, "version");
  assert_nil(ct_npy_read(put("x.npy", BYTES("\x93NUM"))), CT_EFORMAT, "ends after");
  assert_nil(ct_npy_read(path_of("missing.npy")), CT_EIO, "missing.npy");
  assert_nil(ct_npy_read(NULL), CT_EARG, "path");
  assert_fails(ct_npy_write(path_of("t.npy"), NULL), CT_EARG, "ct_npy_write");
  assert_fails(ct_npy_write(NULL, ct_ones(CT_F32, CT_SCALAR)), CT_EARG, "path");
  assert_fails(ct_npy_write(path_of("no/such/folder"), ct_ones(CT_F32, CT_SCALAR)), CT_EIO,
               "no/such/folder");
}

/* ---- CSV ------------------------------------------------------------------------------------- */

static void expect_rows(const ct_dataset *d, const double *want, int64_t rows, int64_t columns) {
  double v[32];
  assert_int_equal(ct_dtype_of(d->x), CT_F32);
  assert_true(ct_shape_equal(ct_shape_of(d->x), CT_SHAPE(rows, columns)));
  tensor_values(d->x, v, rows * columns);
  for (int64_t i = 0; i < rows * columns; i++) assert_near(v[i], (double)(float)want[i], 0);
}

static void expect_labels(const ct_dataset *d, const int *want, int64_t n) {
  double v[8];
  tensor_values(d->labels, v, n);
  for (int64_t i = 0; i < n; i++) assert_int_equal((int)v[i], want[i]);
}

static void csv_reads(void **state) {
  (void)state;
  ct_dataset d;
  const char *text = "\xEF\xBB\xBF"
                     "width, \"hei\"\"ght\" ,kind\r\n1.5,-2e-3,rose\r\n\r\n \"0.1\"x";
  assert_fails(ct_dataset_csv(&d, put_text("bad.csv", text), (ct_csv_opts){.label = "kind"}),
               CT_EFORMAT, "line 4, column 1");
  text =
      "\xEF\xBB\xBFwidth,\"hei\"\"ght\",kind\r\n1.5,-2e-3,rose\r\n\r\n\"0.1\", 1e20 ,\"lily, \"\"white\"\"\"\n"
      "+3,.5,rose";
  assert_ok(ct_dataset_csv(&d, put_text("a.csv", text), (ct_csv_opts){.label = "kind"}));
  expect_rows(&d, (double[]){1.5, -2e-3, 0.1, 1e20, 3, 0.5}, 3, 2);
  expect_labels(&d, (int[]){1, 0, 1}, 3);
  assert_int_equal(d.classes.n, 2);
  assert_string_equal(d.classes.at[0], "lily, \"white\"");
  assert_string_equal(d.classes.at[1], "rose");
  assert_int_equal(d.columns.n, 2);
  assert_string_equal(d.columns.at[1], "hei\"ght");

  ct_dataset e;
  put_text("b.csv", "rose;1;2\nrose;3;4");
  assert_ok(ct_dataset_csv(
      &e, last_path,
      (ct_csv_opts){.label_column = 1, .delimiter = ';', .no_header = true, .like = &d}));
  expect_rows(&e, (double[]){1, 2, 3, 4}, 2, 2);
  expect_labels(&e, (int[]){1, 1}, 2);
  assert_int_equal(e.columns.n, 0);
  ct_dataset_free(&e);
  put_text("b.csv", "1,2,tulip\n");
  assert_fails(ct_dataset_csv(&e, last_path,
                              (ct_csv_opts){.label_column = 3, .no_header = true, .like = &d}),
               CT_EFORMAT, "tulip");
  assert_null(e.x);
  ct_dataset_free(&d);
}

static void csv_options(void **state) {
  (void)state;
  ct_dataset d;
  put_text("n.csv", "a,b,y\n1,,10\nNaN,2,9\n?,NA,10\n");
  assert_fails(ct_dataset_csv(&d, last_path, (ct_csv_opts){.label_column = -1}), CT_EFORMAT,
               "line 2, column 2: the value is missing");
  assert_ok(
      ct_dataset_csv(&d, last_path, (ct_csv_opts){.label_column = -1, .allow_missing = true}));
  expect_rows(&d, (double[]){1, NAN, NAN, 2, NAN, NAN}, 3, 2);
  expect_labels(&d, (int[]){1, 0, 1}, 3); /* by value: 9 before 10 */
  assert_string_equal(d.classes.at[0], "9");
  ct_dataset_free(&d);

  put_text("n.csv", "1 2\n3 4\n");
  assert_ok(ct_dataset_csv(&d, last_path, (ct_csv_opts){.delimiter = ' ', .no_header = true}));
  expect_rows(&d, (double[]){1, 2, 3, 4}, 2, 2);
  assert_null(d.labels);
  assert_int_equal(d.classes.n, 0);
  ct_dataset_free(&d);

  put_text("n.csv", "only\nlabels\n");
  assert_ok(ct_dataset_csv(&d, last_path, (ct_csv_opts){.label = "only"}));
  assert_true(ct_shape_equal(ct_shape_of(d.x), CT_SHAPE(1, 0)));
  ct_dataset_free(&d);
}

static void csv_refuses(void **state) {
  (void)state;
  static const struct {
    const char *text, *message;
  } bad[] = {
      {"a,b\n1,2\n3\n", "line 3, column 1: the row ends, want 2 columns"},
      {"a,b\n1,2,3\n", "line 2, column 2: the row goes on, want 2 columns"},
      {"a,b\n1,2,\n", "line 2, column 2: the row goes on"},
      {"a,b\n1,x2\n", "line 2, column 2: want a number, got 'x2'"},
      {"a,b\n1,0x10\n", "got '0x10'"},
      {"a,b\n1,inf\n", "got 'inf'"},
      {"a,b\n1,1e\n", "got '1e'"},
      {"a,b\n1,.\n", "got '.'"},
      {"a,b\n1,1 2\n", "got '1 2'"},
      {"a,b\n1,--1\n", "got '--1'"},
      {"a,b\n1,1e39\n", "too large"},
      {"a,b\n\"1\n2\",\"3\n4\n", "line 3, column 2: the quote is never closed"},
      {"a,b\n1,\"2\"3\n", "line 2, column 2: text after the closing quote"},
      {"a,b\n", "no rows"},
      {"\n\r\n\n", "no rows"},
  };
  ct_dataset d;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_fails(ct_dataset_csv(&d, put_text("bad.csv", bad[i].text), (ct_csv_opts){0}), CT_EFORMAT,
                 bad[i].message);
    assert_null(d.x);
  }
  put_text("bad.csv", "a,y\n1,\n");
  assert_fails(ct_dataset_csv(&d, last_path, (ct_csv_opts){.label = "y"}), CT_EFORMAT,
               "line 2, column 2: the label is missing");
  assert_fails(ct_dataset_csv(&d, last_path, (ct_csv_opts){.label = "z"}), CT_EARG,
               "no column is named 'z'");
  assert_fails(ct_dataset_csv(&d, last_path, (ct_csv_opts){.label_column = 3}), CT_EARG,
               "no column 3");
  assert_fails(ct_dataset_csv(&d, last_path, (ct_csv_opts){.label_column = -3}), CT_EARG,
               "no column -3");
  assert_fails(ct_dataset_csv(&d, last_path, (ct_csv_opts){.delimiter = '1'}), CT_EARG,
               "delimiter");
  assert_fails(ct_dataset_csv(&d, last_path, (ct_csv_opts){.label = "y", .no_header = true}),
               CT_EARG, "header");
  assert_fails(ct_dataset_csv(&d, last_path, (ct_csv_opts){.like = &(ct_dataset){0}}), CT_EARG,
               "classes");
  assert_fails(ct_dataset_csv(&d, put("bad.csv", BYTES("a\n1\0\n")), (ct_csv_opts){0}), CT_EFORMAT,
               "zero byte");
  assert_fails(ct_dataset_csv(&d, put("bad.csv", "", 0), (ct_csv_opts){0}), CT_EFORMAT, "empty");
  assert_fails(ct_dataset_csv(&d, folder, (ct_csv_opts){0}), CT_EIO, folder);
  assert_fails(ct_dataset_csv(&d, NULL, (ct_csv_opts){0}), CT_EARG, "path");
  assert_fails(ct_dataset_csv(NULL, "x", (ct_csv_opts){0}), CT_EARG, "place");
}

/* A locale with a decimal comma: an installed one, or one compiled into our folder. */
static bool comma_locale(void) {
  static const char *const name[] = {"de_DE.UTF-8", "de_DE.utf8",  "fr_FR.UTF-8",
                                     "ru_RU.UTF-8", "pt_BR.UTF-8", "de_DE"};
  char command[2 * TEMP_PATH];
  for (int attempt = 0; attempt < 2; attempt++) {
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
      if (setlocale(LC_ALL, name[i]) && *localeconv()->decimal_point == ',') return true;
    snprintf(command, sizeof command,
             "localedef -i de_DE -f UTF-8 '%s/de_DE.UTF-8' >/dev/null 2>&1", folder);
    if (system(command) != 0) break;
    setenv("LOCPATH", folder, 1);
  }
  return false;
}

static void csv_in_a_comma_locale(void **state) {
  (void)state;
  if (!comma_locale()) {
    setlocale(LC_ALL, "C");
    print_message("no locale with a decimal comma is installed\n");
    skip();
  }
  ct_dataset d;
  const ct_status status =
      ct_dataset_csv(&d, put_text("l.csv", "a,b\n1.5,2.25e1\n"), (ct_csv_opts){0});
  const char point = *localeconv()->decimal_point;
  setlocale(LC_ALL, "C");
  unsetenv("LOCPATH");
  assert_ok(status);
  assert_int_equal(point, ','); /* the caller's locale is as it was */
  expect_rows(&d, (double[]){1.5, 22.5}, 1, 2);
  ct_dataset_free(&d);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_folder, close_folder)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(idx_reads),     TEST(idx_refuses),
      TEST(gzip_refuses),  TEST(pairs),
      TEST(digits),        TEST(mnist),
      TEST(mnist_by_name), TEST(npy_round_trips),
      TEST(npy_reads),     TEST(npy_refuses),
      TEST(csv_reads),     TEST(csv_options),
      TEST(csv_refuses),   TEST(csv_in_a_comma_locale),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
