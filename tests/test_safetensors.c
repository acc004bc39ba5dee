/* test_safetensors.c - archives and their files; modules saved and loaded; hostile files. */
#include "fuzz_safetensors.h"

#include "optim/optim.h"

typedef struct files {
  char dir[TEMP_PATH], a[TEMP_PATH + 8], b[TEMP_PATH + 8];
} files;

static int setup(void **state) {
  static files f;
  temp_dir(f.dir);
  snprintf(f.a, sizeof f.a, "%s/a", f.dir);
  snprintf(f.b, sizeof f.b, "%s/b", f.dir);
  *state = &f;
  return 0;
}

static int teardown(void **state) {
  temp_dir_remove(((files *)*state)->dir);
  return 0;
}

/* A file from its header and the data behind it, which is all zeros if NULL. */
static void write_file(const char *path, const char *header, const void *data, size_t bytes) {
  fuzz_file f = {.size = 8};
  size_t length = strlen(header);
  for (int i = 0; i < 8; i++) f.byte[i] = (unsigned char)((uint64_t)length >> 8 * i);
  memcpy(f.byte + 8, header, length);
  if (data) memcpy(f.byte + 8 + length, data, bytes);
  f.size = 8 + length + bytes;
  fuzz_write(path, &f);
}

static ct_module *net(uint64_t seed) {
  ct_scope scope = ct_scope_begin();
  ct_tensor *key = ct_key(seed);
  ct_module *m = ct_nn_sequential(CT_MODULES(
      ct_nn_linear(ct_key_fold(key, 0), 3, 2, (ct_linear_opts){0}), ct_nn_tanh(),
      ct_nn_linear(ct_key_fold(key, 1), 2, 1, (ct_linear_opts){0}), ct_nn_dropout(key, 0.5)));
  assert_non_null(m);
  ct_scope_end(scope);
  return m;
}

static void assert_same_files(const char *a, const char *b) {
  fuzz_file x, y;
  fuzz_read(a, &x);
  fuzz_read(b, &y);
  assert_int_equal(x.size, y.size);
  assert_memory_equal(x.byte, y.byte, x.size);
}

/* ---- archives -------------------------------------------------------------------------------- */

static void round_trip(void **state) {
  const files *f = *state;
  fuzz_valid(f->a);
  ct_archive *a = ct_archive_load(f->a);
  assert_non_null(a);
  assert_int_equal(ct_archive_count(a), 7);
  assert_string_equal(ct_archive_text(a, "seed"), "17");
  assert_string_equal(ct_archive_text(a, "classes"), "[\"null\",\"eins\"]");
  assert_null(ct_archive_text(a, "none"));
  ct_scope scope = ct_scope_begin();
  ct_tensor *t = ct_archive_get(a, "0.weight");
  assert_true(ct_dtype_of(t) == CT_F32 && ct_shape_equal(ct_shape_of(t), CT_SHAPE(6)));
  assert_true(ct_shape_equal(ct_shape_of(ct_archive_get(a, "empty")), CT_SHAPE(2, 0)));
  assert_int_equal(ct_ndim(ct_archive_get(a, "scalar")), 0);
  assert_int_equal(ct_dtype_of(ct_archive_get(a, "mask")), CT_BOOL);
  assert_nil(ct_archive_get(a, "no"), CT_EINDEX, "\"no\"");
  assert_ok(ct_archive_save(a, f->b));
  ct_archive_free(&a);
  double v[6];
  tensor_values(t, v, 6); /* lives on without its archive */
  assert_near(v[5], 1, 0);
  ct_scope_end(scope);
  assert_same_files(f->a, f->b);
}

static void archive_arguments(void **state) {
  const files *f = *state;
  ct_scope scope = ct_scope_begin();
  ct_archive *a = ct_archive_new();
  ct_tensor *t = ct_ones(CT_F32, CT_SHAPE(2));
  assert_ok(ct_archive_add(a, "t", t));
  assert_fails(ct_archive_add(a, "t", t), CT_EARG, "taken");
  assert_fails(ct_archive_add(a, "__metadata__", t), CT_EARG, "taken");
  assert_fails(ct_archive_add(a, NULL, t), CT_EARG, "NULL");
  assert_fails(ct_archive_add(NULL, "u", t), CT_EARG, "NULL");
  assert_fails(ct_archive_add(a, "u", NULL), CT_EARG, "NULL");
  assert_fails(ct_archive_add(a, "u", ct_nil()), CT_ENIL, "nil");
  assert_fails(ct_archive_add(a, "u", ct_placeholder(CT_F32, CT_SCALAR)), CT_ENOVALUE, "value");
  assert_int_equal(ct_archive_count(a), 1);
  assert_ok(ct_archive_set_text(a, "k", "1"));
  assert_ok(ct_archive_set_text(a, "k", "2"));
  assert_string_equal(ct_archive_text(a, "k"), "2");
  assert_fails(ct_archive_set_text(a, NULL, ""), CT_EARG, "NULL");
  assert_true(ct_archive_has(a, "t") && !ct_archive_has(a, "u") && !ct_archive_has(NULL, "t"));
  assert_null(ct_archive_name(a, 1));
  assert_null(ct_archive_name(a, -1));
  assert_nil(ct_archive_get(NULL, "t"), CT_EARG, "NULL");
  assert_fails(ct_archive_save(a, NULL), CT_EARG, "NULL");
  assert_fails(ct_archive_save(NULL, f->a), CT_EARG, "NULL");
  char missing[TEMP_PATH + 16];
  snprintf(missing, sizeof missing, "%s/no/file", f->dir);
  assert_fails(ct_archive_save(a, missing), CT_EIO, "no/file");
  assert_null(ct_archive_load(missing));
  assert_fails(ct_error_code(), CT_EIO, "no/file");
  assert_null(ct_archive_load(f->dir));
  assert_fails(ct_error_code(), CT_EIO, "ct_archive_load");
  assert_null(ct_archive_load(NULL));
  assert_fails(ct_error_code(), CT_EARG, "NULL");
  ct_archive_free(&a);
  ct_archive_free(&a);
  ct_archive_free(NULL);
  ct_scope_end(scope);
}

/* ---- modules --------------------------------------------------------------------------------- */

static void module_round_trip(void **state) {
  const files *f = *state;
  ct_module *m = net(1), *other = net(2);
  ct_scope scope = ct_scope_begin();
  assert_ok(ct_module_save(m, f->a));
  assert_ok(ct_module_load(other, f->a, (ct_restore_opts){0}));
  assert_ok(ct_module_save(other, f->b));
  assert_same_files(f->a, f->b);
  /* a checkpoint holds the dropout's key too: the same masks follow */
  ct_tensor *x = ct_ones(CT_F32, CT_SHAPE(50, 3));
  ct_forward(m, x);
  ct_archive *a = ct_archive_new();
  assert_ok(ct_module_store(m, a));
  assert_true(ct_archive_has(a, "state/3.key"));
  assert_ok(ct_module_restore(other, a, (ct_restore_opts){0}));
  double want[50], got[50];
  tensor_values(ct_forward(m, x), want, 50);
  tensor_values(ct_forward(other, x), got, 50);
  assert_memory_equal(want, got, sizeof want);
  ct_archive_free(&a);
  ct_module_free(&m);
  ct_module_free(&other);
  ct_scope_end(scope);
}

/* What safetensors for PyTorch wrote for Sequential(Linear(3, 2), Tanh(), Linear(2, 1)), byte for
 * byte, and what that network makes of (1, -2, 0.5). */
static const char pytorch_header[] =
    "{\"__metadata__\":{\"made by\":\"PyTorch\"},"
    "\"0.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
    "\"0.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]},"
    "\"2.bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[32,36]},"
    "\"2.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[36,44]}}     ";
static const float pytorch_data[] = {-1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, -3, -2, -1.5};

static void pytorch_file(void **state) {
  const files *f = *state;
  const float x[] = {1, -2, 0.5};
  write_file(f->a, pytorch_header, pytorch_data, sizeof pytorch_data);
  ct_module *m = net(1);
  assert_ok(ct_module_load(m, f->a, (ct_restore_opts){0}));
  assert_ok(ct_module_train(m, false));
  ct_scope scope = ct_scope_begin();
  double y;
  assert_ok(ct_item(ct_forward(m, ct_from(CT_F32, CT_SHAPE(1, 3), x)), &y));
  assert_near(y, 0.22235989570617676, 2e-7);
  ct_scope_end(scope);
  ct_module_free(&m);
}

/* Everything that does not fit is listed, and nothing changes. */
static void strict_loading(void **state) {
  const files *f = *state;
  ct_module *m = net(1);
  ct_scope scope = ct_scope_begin();
  assert_ok(ct_module_save(m, f->a));
  ct_archive *a = ct_archive_new();
  assert_ok(ct_archive_add(a, "0.weight", ct_full(CT_F32, CT_SHAPE(2, 3), 9)));
  assert_ok(ct_archive_add(a, "0.bias", ct_ones(CT_F32, CT_SHAPE(3))));
  assert_ok(ct_archive_add(a, "2.bias", ct_ones(CT_F64, CT_SHAPE(1))));
  assert_ok(ct_archive_add(a, "5.bias", ct_ones(CT_F32, CT_SHAPE(3))));
  assert_ok(ct_archive_add(a, "optim/x", ct_ones(CT_F32, CT_SHAPE(3))));
  assert_fails(ct_module_restore(m, a, (ct_restore_opts){0}), CT_ESHAPE,
               "1 missing (2.weight); 1 unexpected (5.bias); 2 misshapen (0.bias: want f32 (2), "
               "got f32 (3), 2.bias: want f32 (1), got f64 (1))");
  assert_ok(ct_module_save(m, f->b));
  assert_same_files(f->a, f->b);
  assert_ok(ct_module_restore(m, a, (ct_restore_opts){.partial = true}));
  double w[6];
  tensor_values(ct_module_get(m, "0.weight"), w, 6);
  assert_near(w[5], 9, 0);
  ct_archive *back = ct_archive_load(f->a);
  double bias[2], kept[2];
  tensor_values(ct_archive_get(back, "0.bias"), bias, 2);
  tensor_values(ct_module_get(m, "0.bias"), kept, 2);
  assert_memory_equal(bias, kept, sizeof bias);
  ct_archive_free(&back);
  ct_archive_free(&a);
  assert_fails(ct_module_load(m, f->dir, (ct_restore_opts){0}), CT_EIO, "ct_archive_load");
  assert_fails(ct_module_load(NULL, f->a, (ct_restore_opts){0}), CT_EARG, "NULL");
  assert_fails(ct_module_restore(m, NULL, (ct_restore_opts){0}), CT_EARG, "NULL");
  assert_fails(ct_module_save(m, NULL), CT_EARG, "NULL");
  assert_fails(ct_module_store(NULL, NULL), CT_EARG, "NULL");
  ct_module_free(&m);
  ct_scope_end(scope);
}

/* A list of many names is cut, not overrun. */
static void long_lists(void **state) {
  (void)state;
  ct_module *m = net(1);
  ct_scope scope = ct_scope_begin();
  ct_archive *a = ct_archive_new();
  char name[100];
  memset(name, 'n', sizeof name);
  for (int i = 0; i < 20; i++) {
    snprintf(name + 90, 10, "%d", i % 20);
    assert_ok(ct_archive_add(a, name, ct_ones(CT_F32, CT_SHAPE(3))));
  }
  assert_fails(ct_module_restore(m, a, (ct_restore_opts){0}), CT_ESHAPE, "20 unexpected (nnn");
  ct_archive_free(&a);
  ct_module_free(&m);
  ct_scope_end(scope);
}

/* Weights, then optimizer, in one file: a stopped and a straight run end in the same bytes. */
static void train(ct_module *m, ct_optim *o, int first, int n) {
  for (int step = first; step < first + n; step++) {
    ct_scope scope = ct_scope_begin();
    ct_tensor *x = ct_randn(ct_key((uint64_t)step), CT_F32, CT_SHAPE(8, 3));
    ct_tensor *t = ct_sum(x, CT_AXES(1), true);
    assert_ok(ct_optim_minimize(o, ct_mse(ct_forward(m, x), t, CT_MEAN), NULL));
    ct_scope_end(scope);
  }
}

static void save_all(ct_module *m, ct_optim *o, const char *path) {
  ct_archive *a = ct_archive_new();
  assert_ok(ct_module_store(m, a));
  assert_ok(ct_optim_store(o, a));
  assert_ok(ct_archive_save(a, path));
  ct_archive_free(&a);
}

static void resume(void **state) {
  const files *f = *state;
  ct_module *m = net(1), *n = net(2);
  ct_optim *o = ct_adamw(ct_module_params(m), (ct_adam_opts){.lr = 0.01});
  ct_optim *p = ct_adamw(ct_module_params(n), (ct_adam_opts){.lr = 0.5});
  train(m, o, 0, 5);
  save_all(m, o, f->a);
  train(m, o, 5, 5);
  save_all(m, o, f->b);
  ct_archive *a = ct_archive_load(f->a);
  assert_non_null(a);
  assert_ok(ct_module_restore(n, a, (ct_restore_opts){0}));
  assert_ok(ct_optim_restore(p, a));
  ct_archive_free(&a);
  train(n, p, 5, 5);
  save_all(n, p, f->a);
  assert_same_files(f->a, f->b);
  ct_optim_free(&o);
  ct_optim_free(&p);
  ct_module_free(&m);
  ct_module_free(&n);
}

/* ---- hostile files --------------------------------------------------------------------------- */

static void wide_integers(void **state) {
  const files *f = *state;
  const int64_t good[] = {1, -5, INT32_MAX}, bad[] = {1, (int64_t)INT32_MIN - 1, 0};
  const char *header = "{\"i\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[0,24]}}";
  write_file(f->a, header, good, sizeof good);
  ct_archive *a = ct_archive_load(f->a);
  assert_non_null(a);
  ct_scope scope = ct_scope_begin();
  double v[3];
  assert_int_equal(ct_dtype_of(ct_archive_get(a, "i")), CT_I32);
  tensor_values(ct_archive_get(a, "i"), v, 3);
  assert_true(v[0] == 1 && v[1] == -5 && v[2] == INT32_MAX);
  ct_archive_free(&a);
  write_file(f->a, header, bad, sizeof bad);
  assert_null(ct_archive_load(f->a));
  assert_fails(ct_error_code(), CT_EFORMAT, "does not fit i32");
  ct_scope_end(scope);
}

#define ONE(dtype, shape, offsets)                                                                 \
  "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
#define F32(name, begin, end)                                                                      \
  "\"" name "\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[" begin "," end "]}"

static const struct {
  const char *header;
  size_t bytes;
  const char *part;
} hostile_table[] = {
    {"", 0, "impossible length"},
    {"x", 8, "impossible length"},
    {"[]", 0, "not JSON"},
    {" {}", 0, "not JSON"},
    {"{\"t\":", 0, "not JSON"},
    {"{}x", 0, "follows"},
    {"{}\n", 0, "follows"},
    {"{}", 1, "belongs to no tensor"},
    {"{\"t\":1}", 0, "want dtype"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "want dtype"},
    {"{\"t\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2]}}", 8, "two integers"},
    {ONE("\"F16\"", "[2]", "[0,4]"), 4, "dtype F16"},
    {ONE("\"f32\"", "[2]", "[0,8]"), 8, "dtype f32"},
    {ONE("3", "[2]", "[0,8]"), 8, "dtype missing"},
    {ONE("\"F32\"", "2", "[0,8]"), 8, "not a list"},
    {ONE("\"F32\"", "[-2]", "[0,8]"), 8, "an extent"},
    {ONE("\"F32\"", "[2.5]", "[0,10]"), 10, "an extent"},
    {ONE("\"F32\"", "[\"2\"]", "[0,8]"), 8, "an extent"},
    {ONE("\"F32\"", "[9007199254740993]", "[0,8]"), 8, "an extent"},
    {ONE("\"F32\"", "[1e999]", "[0,8]"), 8, "an extent"},
    {ONE("\"F32\"", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "8 dimensions"},
    {ONE("\"F32\"", "[4503599627370496,4503599627370496]", "[0,8]"), 8, "impossible size"},
    {ONE("\"F32\"", "[4503599627370496,1024,1024]", "[0,0]"), 0, "impossible size"},
    {ONE("\"I64\"", "[2305843009213693951]", "[0,0]"), 0, "an extent"},
    {ONE("\"F32\"", "[1000000000,1000000000]", "[0,4000000000000000000]"), 8, "two integers"},
    {ONE("\"F32\"", "[3]", "[0,8]"), 8, "disagree"},
    {ONE("\"F32\"", "[2]", "[8,0]"), 8, "disagree"},
    {ONE("\"F32\"", "[2]", "[0,8,8]"), 8, "two integers"},
    {ONE("\"F32\"", "[2]", "[0]"), 8, "two integers"},
    {ONE("\"F32\"", "[2]", "[-8,0]"), 8, "two integers"},
    {ONE("\"F32\"", "[2]", "{\"a\":0,\"b\":8}"), 8, "two integers"},
    {ONE("\"F32\"", "[2]", "[0,8]"), 7, "beyond the end"},
    {ONE("\"F32\"", "[2]", "[0,8]"), 9, "belongs to no tensor"},
    {ONE("\"F32\"", "[2]", "[1,9]"), 9, "gap"},
    {ONE("\"F32\"", "[250000000000]", "[0,1000000000000]"), 8, "beyond the end"},
    {"{" F32("a", "0", "8") "," F32("b", "4", "12") "}", 12, "overlaps"},
    {"{" F32("a", "0", "8") "," F32("b", "0", "8") "}", 8, "overlaps"},
    {"{" F32("a", "0", "8") "," F32("b", "12", "20") "}", 20, "gap"},
    {"{" F32("a", "0", "8") "," F32("a", "8", "16") "}", 16, "twice"},
    {"{\"__metadata__\":[]}", 0, "not an object"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "no text"},
    {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "twice"},
};

static void hostile_files(void **state) {
  const files *f = *state;
  for (size_t i = 0; i < sizeof hostile_table / sizeof hostile_table[0]; i++) {
    write_file(f->a, hostile_table[i].header, NULL, hostile_table[i].bytes);
    assert_null(ct_archive_load(f->a));
    assert_fails(ct_error_code(), CT_EFORMAT, hostile_table[i].part);
  }
  const unsigned char two = 2;
  write_file(f->a, ONE("\"BOOL\"", "[1]", "[0,1]"), &two, 1);
  assert_null(ct_archive_load(f->a));
  assert_fails(ct_error_code(), CT_EFORMAT, "neither 0 nor 1");
}

/* Headers that lie about their length, and files cut at every byte. */
static void truncated_files(void **state) {
  const files *f = *state;
  fuzz_file whole, cut;
  fuzz_valid(f->a);
  fuzz_read(f->a, &whole);
  for (size_t n = 0; n < whole.size; n++) {
    cut = whole;
    cut.size = n;
    fuzz_write(f->b, &cut);
    assert_null(ct_archive_load(f->b));
    assert_fails(ct_error_code(), CT_EFORMAT, "ct_archive_load");
  }
  for (int i = 0; i < 8; i++) {
    cut = whole;
    cut.byte[i] = 0xff;
    fuzz_write(f->b, &cut);
    assert_null(ct_archive_load(f->b));
    assert_fails(ct_error_code(), CT_EFORMAT, i ? "impossible length" : "ct_archive_load");
  }
}

/* A header of the largest size that is accepted needs no deep recursion: nesting is limited. */
static void deep_nesting(void **state) {
  const files *f = *state;
  enum { DEPTH = 1 << 20 };
  FILE *out = fopen(f->a, "wb");
  assert_non_null(out);
  for (int i = 0; i < 8; i++) fputc((int)((uint64_t)(DEPTH + 5) >> 8 * i & 0xff), out);
  fputs("{\"a\":", out);
  for (int i = 0; i < DEPTH; i++) fputc('[', out);
  assert_int_equal(fclose(out), 0);
  assert_null(ct_archive_load(f->a));
  assert_fails(ct_error_code(), CT_EFORMAT, "not JSON");
}

static void fuzz(void **unused) {
  (void)unused;
  int loaded = fuzz_safetensors(1000, 1);
  assert_in_range(loaded, 10, 500);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(round_trip),      TEST(archive_arguments), TEST(module_round_trip),
      TEST(pytorch_file),    TEST(strict_loading),    TEST(long_lists),
      TEST(resume),          TEST(wide_integers),     TEST(hostile_files),
      TEST(truncated_files), TEST(deep_nesting),      cmocka_unit_test(fuzz),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
