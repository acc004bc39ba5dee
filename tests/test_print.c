/* test_print.c - tensors as text. The expected texts of arrays are NumPy's. */
#include "testing.h"

#include "tensor/tensor_internal.h"

#include <locale.h>

static const ct_print_opts defaults = {0};

/* The text of t, in a block of exactly the size that ct_to_string asks for; freed by the caller. */
static char *text_of(const ct_tensor *t, ct_print_opts opts) {
  const int64_t n = ct_to_string(NULL, 0, t, opts);
  assert_true(n >= 0);
  char *text = malloc((size_t)n + 1);
  assert_non_null(text);
  assert_int_equal(ct_to_string(text, (size_t)n + 1, t, opts), n);
  assert_int_equal(strlen(text), n);
  return text;
}

static void assert_text(const ct_tensor *t, ct_print_opts opts, const char *want) {
  char *text = text_of(t, opts);
  assert_string_equal(text, want);
  free(text);
}

#define F64(...)                                                                                   \
  ct_from(CT_F64, CT_SHAPE(sizeof((double[]){__VA_ARGS__}) / sizeof(double)),                      \
          ((double[]){__VA_ARGS__}))
#define F32(...)                                                                                   \
  ct_from(CT_F32, CT_SHAPE(sizeof((float[]){__VA_ARGS__}) / sizeof(float)),                        \
          ((float[]){__VA_ARGS__}))

static void every_dtype_has_its_words(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  assert_text(F32(1, 2.5f, -3), defaults, "[ 1.   2.5 -3. ] f32 (3)");
  assert_text(F64(0.1, 0.25, 100), defaults, "[  0.1    0.25 100.  ] f64 (3)");
  const int32_t i[4] = {INT32_MIN, -1, 0, INT32_MAX};
  assert_text(ct_from(CT_I32, CT_SHAPE(4), i), defaults,
              "[-2147483648          -1           0  2147483647] i32 (4)");
  const uint8_t u[3] = {0, 7, 255};
  assert_text(ct_from(CT_U8, CT_SHAPE(3), u), defaults, "[  0   7 255] u8 (3)");
  const bool b[3] = {true, false, true};
  assert_text(ct_from(CT_BOOL, CT_SHAPE(3), b), defaults, "[ true false  true] bool (3)");
  assert_text(ct_from(CT_BOOL, CT_SHAPE(1), b), defaults, "[true] bool (1)");
  ct_scope_end(s);
}

static void scalars_and_empty_tensors(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  assert_text(ct_scalar(CT_F32, 3), defaults, "3. f32 ()");
  assert_text(ct_scalar(CT_F64, -0.5), defaults, "-0.5 f64 ()");
  assert_text(ct_scalar(CT_I32, -7), defaults, "-7 i32 ()");
  assert_text(ct_scalar(CT_BOOL, 1), defaults, "true bool ()");
  assert_text(ct_scalar(CT_F64, NAN), defaults, "nan f64 ()");
  assert_text(ct_zeros(CT_F32, CT_SHAPE(0)), defaults, "[] f32 (0)");
  assert_text(ct_zeros(CT_I32, CT_SHAPE(2, 0, 3)), defaults, "[] i32 (2,0,3)");
  assert_text(ct_ones(CT_F32, CT_SHAPE(1, 1, 1, 1, 1, 1, 1, 1)), defaults,
              "[[[[[[[[1.]]]]]]]] f32 (1,1,1,1,1,1,1,1)");
  ct_scope_end(s);
}

static void floats_choose_their_notation(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  assert_text(F64(0, -0.0), defaults, "[ 0. -0.] f64 (2)");
  assert_text(F64(1.0 / 3, 2.0 / 3), defaults, "[0.3333 0.6667] f64 (2)");
  assert_text(F64(9.99996, 1), defaults, "[10.  1.] f64 (2)");
  assert_text(F64(0.03125, 0.09375), defaults, "[0.0312 0.0938] f64 (2)"); /* ties to even */
  assert_text(F32(0.1f, 4096.1f / 1000), defaults, "[0.1    4.0961] f32 (2)");
  assert_text(F32(4096.1f), defaults, "[4096.1] f32 (1)"); /* not 4096.1001 */
  assert_text(F64(1, 1000), defaults, "[   1. 1000.] f64 (2)");
  assert_text(F64(1, 1001), defaults, "[1.000e+00 1.001e+03] f64 (2)");
  assert_text(F64(1e-4), defaults, "[0.0001] f64 (1)");
  assert_text(F32(1e-4f), defaults, "[0.0001] f32 (1)");
  assert_text(F32(0.0007f, 0.7f), defaults, "[0.0007 0.7   ] f32 (2)"); /* 1000 apart, as floats */
  assert_text(F64(9.9e-5, -1), defaults, "[ 9.9e-05 -1.0e+00] f64 (2)");
  assert_text(F64(99999999), defaults, "[99999999.] f64 (1)");
  assert_text(F64(1e8), defaults, "[1.e+08] f64 (1)");
  assert_text(F32(999999), defaults, "[999999.] f32 (1)");
  assert_text(F32(1e6f), defaults, "[1.e+06] f32 (1)");
  assert_text(F64(123456789), defaults, "[1.2346e+08] f64 (1)");
  assert_text(F64(1e-300, 1e5, 0), defaults, "[1.e-300 1.e+005 0.e+000] f64 (3)");
  assert_text(F64(5e-324), defaults, "[5.e-324] f64 (1)");
  assert_text(F64(1.7976931348623157e308), (ct_print_opts){.precision = 17},
              "[1.7976931348623157e+308] f64 (1)");
  assert_text(F32(1e-45f), defaults, "[1.e-45] f32 (1)");
  assert_text(F32(3.4028235e38f), (ct_print_opts){.precision = 9}, "[3.4028235e+38] f32 (1)");
  ct_scope_end(s);
}

static void not_finite_numbers_are_words(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  assert_text(F64(NAN, INFINITY, -INFINITY), defaults, "[ nan  inf -inf] f64 (3)");
  assert_text(F64(NAN), defaults, "[nan] f64 (1)");
  assert_text(F64(1, NAN, -INFINITY), defaults, "[  1.  nan -inf] f64 (3)");
  assert_text(F64(1.25, NAN, -10.5), defaults, "[  1.25    nan -10.5 ] f64 (3)");
  assert_text(F32(1e-9f, INFINITY, 1), defaults, "[1.e-09    inf 1.e+00] f32 (3)");
  ct_scope_end(s);
}

static void precision_is_the_most_digits(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *t = F64(3.141592653589793, 0.5);
  assert_text(t, (ct_print_opts){.precision = 1}, "[3.1 0.5] f64 (2)");
  assert_text(t, (ct_print_opts){.precision = 8}, "[3.14159265 0.5       ] f64 (2)");
  assert_text(t, (ct_print_opts){.precision = 1000000},
              "[3.141592653589793 0.5              ] f64 (2)");
  assert_text(F64(0.004, 0.006, 2), (ct_print_opts){.precision = 2}, "[0.   0.01 2.  ] f64 (3)");
  assert_text(F32(0.1f, 1e-5f), (ct_print_opts){.precision = 8}, "[1.e-01 1.e-05] f32 (2)");
  ct_scope_end(s);
}

static void axes_nest(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  const float m[6] = {1, 2, 3, 4, 5, 6.5f};
  assert_text(ct_from(CT_F32, CT_SHAPE(2, 3), m), defaults,
              "[[1.  2.  3. ]\n"
              " [4.  5.  6.5]] f32 (2,3)");
  const int32_t c[8] = {0, 1, 2, 3, 4, 5, 6, 70};
  assert_text(ct_from(CT_I32, CT_SHAPE(2, 2, 2), c), defaults,
              "[[[ 0  1]\n"
              "  [ 2  3]]\n"
              "\n"
              " [[ 4  5]\n"
              "  [ 6 70]]] i32 (2,2,2)");
  assert_text(ct_from(CT_I32, CT_SHAPE(2, 1, 1, 2), c), defaults,
              "[[[[0 1]]]\n"
              "\n"
              "\n"
              " [[[2 3]]]] i32 (2,1,1,2)");
  ct_scope_end(s);
}

static void long_lines_break(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  assert_text(ct_arange(CT_I32, 0, 30, 1), defaults,
              "[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23\n"
              " 24 25 26 27 28 29] i32 (30)");
  double x[16]; /* blanks before a break are dropped, those before a bracket stay */
  for (int i = 0; i < 16; i++) x[i] = i % 8 ? 100.125 : 1;
  assert_text(ct_from(CT_F64, CT_SHAPE(1, 16), x), defaults,
              "[[  1.    100.125 100.125 100.125 100.125 100.125 100.125 100.125   1.\n"
              "  100.125 100.125 100.125 100.125 100.125 100.125 100.125]] f64 (1,16)");
  ct_scope_end(s);
}

static void the_middle_of_large_tensors_is_left_out(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  assert_text(ct_arange(CT_I32, 0, 1001, 1), defaults,
              "[   0    1    2 ...  998  999 1000] i32 (1001)");
  const ct_print_opts tight = {.edge = 1, .threshold = 8};
  int32_t n[27];
  for (int i = 0; i < 27; i++) n[i] = i;
  assert_text(ct_from(CT_I32, CT_SHAPE(3, 3), n), tight,
              "[[0 ... 2]\n"
              " ...\n"
              " [6 ... 8]] i32 (3,3)");
  assert_text(ct_from(CT_I32, CT_SHAPE(2, 4), n), tight,
              "[[0 1 2 3]\n"
              " [4 5 6 7]] i32 (2,4)");
  assert_text(ct_from(CT_I32, CT_SHAPE(3, 3, 2), n), tight,
              "[[[ 0  1]\n"
              "  ...\n"
              "  [ 4  5]]\n"
              "\n"
              " ...\n"
              "\n"
              " [[12 13]\n"
              "  ...\n"
              "  [16 17]]] i32 (3,3,2)");
  double wide[9] = {1, 2, 3, 4, 1e300, 6, 7, 8, 9}; /* only what is shown decides */
  assert_text(ct_from(CT_F64, CT_SHAPE(9), wide), tight, "[1. ... 9.] f64 (9)");
  assert_text(ct_from(CT_I32, CT_SHAPE(27), n), (ct_print_opts){.edge = INT32_MAX, .threshold = 1},
              "[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23\n"
              " 24 25 26] i32 (27)");
  ct_scope_end(s);
}

static void huge_tensors_need_no_memory(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  uint8_t one = 1;
  const int64_t stride[3] = {0, 0, 0};
  ct_tensor *t =
      ct_wrap(CT_U8, CT_SHAPE(1 << 20, 1 << 20, 1 << 20), &one, (ct_wrap_opts){.stride = stride});
  assert_text(t, (ct_print_opts){.edge = 1},
              "[[[1 ... 1]\n"
              "  ...\n"
              "  [1 ... 1]]\n"
              "\n"
              " ...\n"
              "\n"
              " [[1 ... 1]\n"
              "  ...\n"
              "  [1 ... 1]]] u8 (1048576,1048576,1048576)");
  ct_scope_end(s);
}

static void any_strides(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  double x[6] = {0, 1, 2, 3, 4, 5};
  const int64_t reverse[1] = {-1}, columns[2] = {1, 3}, repeat[2] = {0, -2};
  assert_text(ct_wrap(CT_F64, CT_SHAPE(6), x + 5, (ct_wrap_opts){.stride = reverse}), defaults,
              "[5. 4. 3. 2. 1. 0.] f64 (6)");
  assert_text(ct_wrap(CT_F64, CT_SHAPE(3, 2), x, (ct_wrap_opts){.stride = columns}), defaults,
              "[[0. 3.]\n [1. 4.]\n [2. 5.]] f64 (3,2)");
  assert_text(ct_wrap(CT_F64, CT_SHAPE(2, 3), x + 4, (ct_wrap_opts){.stride = repeat}), defaults,
              "[[4. 2. 0.]\n [4. 2. 0.]] f64 (2,3)");
  ct_scope_end(s);
}

static void tensors_without_numbers(void **state) {
  (void)state;
  char text[128];
  ct_scope s = ct_scope_begin();
  const int64_t dim[2] = {2, 3};
  assert_text(ct__own(ct__tensor_new(CT_F32, 2, dim)), defaults, "f32 (2,3) without a value yet");

  double x[2] = {1, 2};
  ct_tensor *t = ct_wrap(CT_F64, CT_SHAPE(2), x, (ct_wrap_opts){0});
  ct_tensor *old = ct__own(ct__tensor_alias(t));
  assert_ok(ct_touch(t));
  assert_text(t, defaults, "[1. 2.] f64 (2)");
  assert_fails(ct_to_string(text, sizeof text, old, defaults), CT_ESTALE, "ct_to_string");
  assert_string_equal(text, "f64 (2), its value was overwritten");

  assert_fails(ct_to_string(text, sizeof text, ct_nil(), defaults), CT_ENIL, "ct_to_string");
  assert_string_equal(text, "nil");
  ct_error_set(CT_ESHAPE, "no such shape");
  assert_fails(ct_to_string(text, sizeof text, ct_nil(), defaults), CT_ESHAPE, "no such shape");
  assert_string_equal(text, "nil: no such shape");
  assert_fails(ct_to_string(text, sizeof text, NULL, defaults), CT_EARG, "ct_to_string");
  assert_string_equal(text, "nil");
  ct_scope_end(s);
}

static void strings_follow_snprintf(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  ct_tensor *t = F64(1, 2.5);
  const char *want = "[1.  2.5] f64 (2)";
  const size_t length = strlen(want);
  for (size_t size = 0; size <= length + 2; size++) {
    char text[32];
    memset(text, '#', sizeof text);
    assert_int_equal(ct_to_string(text, size, t, defaults), length);
    const size_t kept = size == 0 ? 0 : size <= length ? size - 1 : length;
    assert_memory_equal(text, want, kept);
    if (size) assert_int_equal(text[kept], '\0');
    for (size_t i = size ? kept + 1 : 0; i < sizeof text; i++) assert_int_equal(text[i], '#');
  }
  ct_scope_end(s);
}

static void wrong_arguments_are_errors(void **state) {
  (void)state;
  char text[8] = "before";
  ct_scope s = ct_scope_begin();
  ct_tensor *t = F64(1, 2);
  assert_fails(ct_to_string(NULL, 4, t, defaults), CT_EARG, "ct_to_string");
  const ct_print_opts wrong[] = {{.precision = -1}, {.edge = -1}, {.threshold = -1}};
  for (int i = 0; i < CT__COUNT(wrong); i++) {
    assert_fails(ct_to_string(text, sizeof text, t, wrong[i]), CT_EARG, "negative");
    assert_string_equal(text, "");
  }
  assert_fails(ct_print(NULL, t), CT_EARG, "ct_print");
  ct_scope_end(s);
}

/* What ct_print wrote, in text. */
static ct_status printed(const ct_tensor *t, char *text, size_t size) {
  FILE *file = tmpfile();
  assert_non_null(file);
  const ct_status status = ct_print(file, t);
  rewind(file);
  text[fread(text, 1, size - 1, file)] = '\0';
  fclose(file);
  return status;
}

static void printing_to_a_file(void **state) {
  (void)state;
  char text[256];
  ct_scope s = ct_scope_begin();
  const float m[4] = {1, 2.25f, NAN, 4};
  assert_ok(printed(ct_from(CT_F32, CT_SHAPE(2, 2), m), text, sizeof text));
  assert_string_equal(text, "[[1.   2.25]\n [ nan 4.  ]] f32 (2,2)\n");
  assert_ok(printed(ct_zeros(CT_I32, CT_SHAPE(2000)), text, sizeof text));
  assert_string_equal(text, "[0 0 0 ... 0 0 0] i32 (2000)\n");
  ct_error_set(CT_EIO, "the disk is gone");
  assert_fails(printed(ct_nil(), text, sizeof text), CT_EIO, "the disk is gone");
  assert_string_equal(text, "nil: the disk is gone\n");
  assert_fails(printed(NULL, text, sizeof text), CT_EARG, "ct_print");

  FILE *full = fopen("/dev/full", "w");
  if (full) {
    setvbuf(full, NULL, _IONBF, 0);
    assert_fails(ct_print(full, ct_scalar(CT_F32, 1)), CT_EIO, "ct_print");
    fclose(full);
  }
  ct_scope_end(s);
}

/* Makes a locale with a decimal comma and switches to it; false where that cannot be done. */
static bool comma_locale(const char *dir) {
  char path[TEMP_PATH + 16], command[3 * TEMP_PATH];
  snprintf(path, sizeof path, "%s/source", dir);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs("LC_NUMERIC\ndecimal_point \"<U002C>\"\nthousands_sep \"\"\ngrouping -1\nEND LC_NUMERIC\n",
        file);
  fclose(file);
  snprintf(path, sizeof path, "%s/ascii", dir);
  file = fopen(path, "w");
  assert_non_null(file);
  fputs("<code_set_name> ASCII\n<comment_char> %\n<escape_char> /\nCHARMAP\n", file);
  for (unsigned c = 0; c < 128; c++) fprintf(file, "<U%04X> /x%02x\n", c, c);
  fputs("END CHARMAP\n", file);
  fclose(file);
  /* it exits with 1 for the categories that are missing, having made what was asked for */
  snprintf(command, sizeof command,
           "cd '%s' && localedef -c -f ./ascii -i ./source ./comma >messages 2>&1", dir);
  if (system(command) == -1 || setenv("LOCPATH", dir, 1) != 0) return false;
  return setlocale(LC_NUMERIC, "comma") && localeconv()->decimal_point[0] == ',';
}

static void the_locale_does_not_matter(void **state) {
  (void)state;
  char dir[TEMP_PATH], check[16];
  temp_dir(dir);
  const bool made = comma_locale(dir);
  temp_dir_remove(dir);
  if (!made) skip();
  snprintf(check, sizeof check, "%.1f", 1.5);
  assert_string_equal(check, "1,5");
  ct_scope s = ct_scope_begin();
  assert_text(F64(0.1, 2.0 / 3, 100), defaults, "[  0.1      0.6667 100.    ] f64 (3)");
  assert_text(F32(1.5e-10f, 1.25f), defaults, "[1.50e-10 1.25e+00] f32 (2)");
  ct_scope_end(s);
  setlocale(LC_NUMERIC, "C");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_dtype_has_its_words),
      cmocka_unit_test(scalars_and_empty_tensors),
      cmocka_unit_test(floats_choose_their_notation),
      cmocka_unit_test(not_finite_numbers_are_words),
      cmocka_unit_test(precision_is_the_most_digits),
      cmocka_unit_test(axes_nest),
      cmocka_unit_test(long_lines_break),
      cmocka_unit_test(the_middle_of_large_tensors_is_left_out),
      cmocka_unit_test(huge_tensors_need_no_memory),
      cmocka_unit_test(any_strides),
      cmocka_unit_test(tensors_without_numbers),
      cmocka_unit_test(strings_follow_snprintf),
      cmocka_unit_test(wrong_arguments_are_errors),
      cmocka_unit_test(printing_to_a_file),
      cmocka_unit_test(the_locale_does_not_matter),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
