/* test_rows.c - every elementwise loop gives the same bits for any number of elements, however they
 * lie, as for each element alone: for all instruction sets. */
#include "testing.h"

#include <math.h>

#include "autograd/ops/kernels.h"

enum { MOST = 300, WIDEST = 8, STEP = 3, OPERANDS = 5 };

typedef struct row {
  const char *name;
  ct_loop *loop;
  int n_in;
  bool is_float;
  size_t item[OPERANDS];
} row;
#define SIZES(T, First, n_in, Out)                                                                 \
  {                                                                                                \
    sizeof(First), n_in > 1 ? sizeof(T) : sizeof(Out), n_in > 2 ? sizeof(T) : sizeof(Out),         \
        n_in > 3 ? sizeof(T) : sizeof(Out), sizeof(Out)                                            \
  }
static const row rows[] = {
#define ROW(name, T, First, n_in, Out, ...)                                                        \
  {#name, ct__##name, n_in, true, SIZES(T, First, n_in, Out)},
#include "autograd/ops/rows.def"
#define ROW(name, T, First, n_in, Out, ...)                                                        \
  {#name, ct__##name, n_in, false, SIZES(T, First, n_in, Out)},
#include "autograd/ops/integers.def"
};

typedef struct layout {
  const char *name;
  int64_t step[OPERANDS]; /* the last one is the output's */
  bool in_place;          /* of the last operand, if that has the size of the output */
} layout;
static const layout layouts[] = {
    {"side by side", {1, 1, 1, 1, 1}, false},      {"in place", {1, 1, 1, 1, 1}, true},
    {"apart", {STEP, STEP, 1, STEP, STEP}, false}, {"repeated", {1, 0, 1, 0, 1}, false},
    {"one number", {0, 0, 0, 0, 1}, false},
};

static _Alignas(64) char operand[OPERANDS][(MOST * STEP + 8) * WIDEST], alone[MOST * WIDEST];

static void fill(const row *r, int k) {
  static const double special[] = {0, -0.0, 1, -1, INFINITY, -INFINITY, NAN, 2e7};
  const size_t item = r->item[k];
  for (int i = 0; i < MOST * STEP; i++) {
    char *to = operand[k] + (size_t)i * item;
    double x = sin(i * 0.7 + k) * 3;
    if (i % 41 == 7 * k) x = special[i / 41 % 8];
    if (item == 8)
      memcpy(to, &x, item);
    else if (item == 4 && r->is_float)
      memcpy(to, &(float){(float)x}, item);
    else if (item == 4)
      memcpy(to, &(int32_t){i * 40503 % 1000 - 500}, item);
    else
      *to = (char)(r->is_float ? i % 3 == 0 : i * 7);
  }
}

static bool same(const row *r, const char *a, const char *b) {
  const size_t item = r->item[OPERANDS - 1];
  if (memcmp(a, b, item) == 0) return true;
  if (!r->is_float || item == 1) return false;
  double x, y;
  float f;
  if (item == 8) {
    memcpy(&x, a, item);
    memcpy(&y, b, item);
  } else {
    memcpy(&f, a, item);
    x = (double)f;
    memcpy(&f, b, item);
    y = (double)f;
  }
  return isnan(x) && isnan(y);
}

static void check(const row *r, const layout *l, int n) {
  static const double attr[] = {-0.5, 2}, order[] = {1};
  const void *with = strncmp(r->name, "polygamma", 9) == 0 ? order : attr;
  const int last = OPERANDS - 1;
  const size_t out = r->item[last];
  const bool in_place = l->in_place && r->item[r->n_in - 1] == out;
  char *at[OPERANDS];
  int64_t step[OPERANDS];
  for (int k = 0; k < r->n_in; k++) {
    fill(r, k);
    at[k] = operand[k];
    step[k] = l->step[k];
  }
  step[r->n_in] = l->step[last];
  for (int i = 0; i < n; i++) {
    char *one[OPERANDS];
    for (int k = 0; k < r->n_in; k++) one[k] = at[k] + i * step[k] * (int64_t)r->item[k];
    one[r->n_in] = alone + (size_t)i * out;
    r->loop(1, one, step, with);
  }
  at[r->n_in] = in_place ? at[r->n_in - 1] : operand[last];
  if (!in_place) memset(operand[last], 0x55, sizeof operand[last]);
  r->loop(n, at, step, with);
  for (int i = 0; i < n; i++)
    if (!same(r, at[r->n_in] + i * step[r->n_in] * (int64_t)out, alone + (size_t)i * out)) {
      print_error("%s, %s, element %d of %d\n", r->name, l->name, i, n);
      fail();
    }
  const char *end = at[r->n_in] + n * step[r->n_in] * (int64_t)out;
  for (size_t i = 0; i < out && !in_place; i++) assert_int_equal(end[i], 0x55);
}

static void elements_do_not_depend_on_their_number(void **state) {
  (void)state;
  static const int lengths[] = {0,  1,  2,  3,  4,  5,  7,  8,  9,   15,  16,
                                17, 31, 33, 47, 63, 64, 65, 97, 128, 131, MOST};
  int was = ct__isa();
  for (int isa = 0; ct__use_isa(isa); isa++)
    for (int k = 0; k < CT__COUNT(rows); k++)
      for (int l = 0; l < CT__COUNT(layouts); l++)
        for (int n = 0; n < CT__COUNT(lengths); n++) check(&rows[k], &layouts[l], lengths[n]);
  ct__use_isa(was);
}

static void rows_are_found(void **state) {
  (void)state;
  assert_int_equal(ct__row_of(ct__add_f32), CT__ROW_add_f32);
  assert_int_equal(ct__row_of(ct__pow_db_f64), CT__ROW_pow_db_f64);
  assert_int_equal(ct__row_of(ct__lt_f32), -1); /* not all of one type */
  assert_int_equal(ct__row_of(ct__where_f64), -1);
  assert_int_equal(ct__row_of(ct__add_i32), -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(elements_do_not_depend_on_their_number),
      cmocka_unit_test(rows_are_found),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
