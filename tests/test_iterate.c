/* test_iterate.c - ct_map, ct__copy and ct__reduce against loops over every index, on random
 * layouts: steps of any sign, gaps, permuted axes, repeated and empty extents, no axes at all.
 *
 * Numbers are small integers, so sums are exact and every comparison is of equal bits.
 */
#include "testing.h"

#include "tensor/move.h"
#include "tensor/pool.h"

enum { ROUNDS = 4000, RANDOM_DIMS = 5, MAX_DIM = 4, LONG = 1031 };

/* ---- random layouts -------------------------------------------------------------------------- */

static uint32_t seed;

static int draw(int n) {
  seed = seed * 1664525u + 1013904223u;
  return (int)((seed >> 8) % (uint32_t)n);
}

static bool chance(int percent) { return draw(100) < percent; }

/* A block with a view that lies somewhere in it. */
typedef struct field {
  ct_view v;
  char *block;
  size_t bytes;
} field;

static void set_number(char *at, ct_dtype dtype, int value) {
  switch (dtype) {
  case CT_F32: *(float *)(void *)at = (float)value; break;
  case CT_F64: *(double *)(void *)at = value; break;
  case CT_I32: *(int32_t *)(void *)at = value; break;
  default: *(uint8_t *)at = (uint8_t)(value & 1);
  }
}

static void shuffle(int n, int *order) {
  for (int i = 0; i < n; i++) order[i] = i;
  for (int i = n - 1; i > 0; i--) {
    int j = draw(i + 1), t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
}

/* repeats: extents may have stride 0, as in a broadcast input. */
static field random_field(ct_dtype dtype, int ndim, const int64_t *dim, bool repeats) {
  field f = {0};
  int order[CT_MAX_DIMS];
  int64_t step = 1, origin = 0;
  bool plain = chance(30);
  ct__view_set(&f.v, dtype, ndim, dim);
  shuffle(ndim, order);
  if (plain)
    for (int i = 0; i < ndim; i++) order[i] = ndim - 1 - i;
  for (int i = 0; i < ndim; i++) {
    int d = order[i];
    int64_t extent = dim[d] > 0 ? dim[d] : 1;
    if (!plain && chance(30)) step *= 2;
    f.v.stride[d] = step;
    if (!plain && repeats && chance(15)) {
      f.v.stride[d] = 0;
      continue;
    }
    if (!plain && chance(25)) {
      f.v.stride[d] = -step;
      origin += step * (extent - 1);
    }
    step *= extent;
  }
  size_t item = ct_dtype_size(dtype);
  f.bytes = (size_t)step * item;
  f.block = malloc(f.bytes);
  assert_non_null(f.block);
  for (size_t i = 0; i < (size_t)step; i++) set_number(f.block + i * item, dtype, draw(19) - 9);
  f.v.data = f.block + (size_t)origin * item;
  ct__view_refresh(&f.v);
  return f;
}

static int random_dims(int64_t *dim) {
  int ndim = draw(RANDOM_DIMS + 1);
  for (int d = 0; d < ndim; d++) dim[d] = chance(6) ? 0 : 1 + draw(MAX_DIM);
  if (ndim > 0 && chance(10)) dim[draw(ndim)] = 1 + draw(LONG);
  return ndim;
}

/* Offset of element number i, row-major, in a view that broadcasts to (ndim, dim). */
static int64_t offset_of(const ct_view *v, int ndim, const int64_t *dim, int64_t i) {
  int64_t offset = 0;
  for (int d = ndim - 1; d >= 0; d--) {
    int64_t at = i % dim[d];
    i /= dim[d];
    int own = d - (ndim - v->ndim);
    if (own >= 0 && v->dim[own] > 1) offset += at * v->stride[own];
  }
  return offset;
}

static double number(const ct_view *v, int64_t offset) {
  return tensor_value_at(v->data, v->dtype, offset);
}

/* ---- map ------------------------------------------------------------------------------------- */

/* y = scale (a + 3 b - c), each operand of another dtype */
static void mix(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  const double *a = (const double *)(const void *)p[0];
  const float *b = (const float *)(const void *)p[1];
  const uint8_t *c = (const uint8_t *)p[2];
  int32_t *y = (int32_t *)(void *)p[3];
  int scale = *(const int *)attr;
  for (int64_t i = 0; i < n; i++)
    y[i * s[3]] = scale * (int32_t)(a[i * s[0]] + 3 * (double)b[i * s[1]] - c[i * s[2]]);
}

/* An operand that broadcasts to the shape: leading axes missing, others repeated. */
static field random_operand(ct_dtype dtype, int ndim, const int64_t *dim) {
  int skip = chance(30) ? draw(ndim + 1) : 0;
  int64_t own[CT_MAX_DIMS];
  for (int d = skip; d < ndim; d++) own[d - skip] = chance(15) ? 1 : dim[d];
  return random_field(dtype, ndim - skip, own, true);
}

static void map_once(int ndim, const int64_t *dim, bool reference) {
  static const ct_dtype dtypes[] = {CT_F64, CT_F32, CT_U8};
  int scale = 1 + draw(5);
  field in[3], out = random_field(CT_I32, ndim, dim, false);
  for (int k = 0; k < 3; k++) in[k] = random_operand(dtypes[k], ndim, dim);
  char *before = malloc(out.bytes);
  assert_non_null(before);
  memcpy(before, out.block, out.bytes);

  bool was = ct__use_reference(reference);
  ct_map(3, (const ct_view *[]){&in[0].v, &in[1].v, &in[2].v}, &out.v, mix, &scale);
  ct__use_reference(was);

  int32_t *want = (int32_t *)(void *)(before + (out.v.data - out.block));
  for (int64_t i = 0; i < out.v.size; i++) {
    double x[3];
    for (int k = 0; k < 3; k++) x[k] = number(&in[k].v, offset_of(&in[k].v, ndim, dim, i));
    want[offset_of(&out.v, ndim, dim, i)] = scale * (int32_t)(x[0] + 3 * x[1] - x[2]);
  }
  assert_memory_equal(out.block, before, out.bytes); /* gaps too: nothing else was written */
  free(before);
  free(out.block);
  for (int k = 0; k < 3; k++) free(in[k].block);
}

static void map_visits_every_element(void **state) {
  (void)state;
  for (seed = 1; seed < ROUNDS; seed += 7) {
    uint32_t first = seed;
    int64_t dim[CT_MAX_DIMS];
    int ndim = random_dims(dim);
    uint32_t layouts = seed;
    map_once(ndim, dim, false);
    seed = layouts;
    map_once(ndim, dim, true);
    seed = first;
  }
}

/* Of lines that are taken together, or are just too long for it, in one piece or many. */
static void map_takes_short_lines(void **state) {
  (void)state;
  const int64_t was = ct__piece_weight;
  for (uint32_t round = 1; round < 1500; round++) {
    seed = round;
    int64_t dim[3] = {1 + draw(3), 1 + draw(chance(20) ? LONG : 40), 1 + draw(130)};
    if (chance(10)) dim[2] = 250 + draw(12);
    ct__piece_weight = chance(50) ? 1 << 10 : was;
    map_once(3, dim, false);
  }
  ct__piece_weight = was;
}

/* x = x + y */
static void add(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  (void)attr;
  const float *x = (const float *)(const void *)p[0], *y = (const float *)(const void *)p[1];
  for (int64_t i = 0; i < n; i++) ((float *)(void *)p[2])[i * s[2]] = x[i * s[0]] + y[i * s[1]];
}

static void map_adds_short_lines_in_place(void **state) {
  (void)state;
  enum { LINES = 131 };
  for (int64_t n = 1; n <= 130; n++) {
    static float block[LINES * 130];
    float line[130], column[LINES];
    const int64_t dim[] = {LINES, n};
    ct_view x = {.data = (char *)block}, y = {.data = (char *)line}, z = {.data = (char *)column};
    ct__view_set(&x, CT_F32, 2, dim);
    ct__view_set(&y, CT_F32, 1, &dim[1]);
    ct__view_set(&z, CT_F32, 2, (const int64_t[]){LINES, 1});
    for (int64_t i = 0; i < LINES * n; i++) block[i] = (float)i;
    for (int64_t j = 0; j < n; j++) line[j] = (float)(j * j);
    for (int64_t i = 0; i < LINES; i++) column[i] = (float)(7 * i % 50);
    ct_map(2, (const ct_view *[]){&x, &y}, &x, add, NULL);
    ct_map(2, (const ct_view *[]){&x, &z}, &x, add, NULL);
    for (int64_t i = 0; i < LINES * n; i++)
      assert_near(block[i], (double)(i + (i % n) * (i % n) + 7 * (i / n) % 50), 0);
  }
}

static void negate(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  (void)attr;
  for (int64_t i = 0; i < n; i++)
    ((double *)(void *)p[1])[i * s[1]] = -((const double *)(const void *)p[0])[i * s[0]];
}

static void map_may_write_over_its_input(void **state) {
  (void)state;
  for (seed = 1; seed < 500; seed++) {
    uint32_t first = seed;
    int64_t dim[CT_MAX_DIMS];
    int ndim = random_dims(dim);
    field f = random_field(CT_F64, ndim, dim, false);
    double *want = malloc((size_t)f.v.size * sizeof *want + 1);
    assert_non_null(want);
    for (int64_t i = 0; i < f.v.size; i++) want[i] = -number(&f.v, offset_of(&f.v, ndim, dim, i));
    ct_map(1, (const ct_view *[]){&f.v}, &f.v, negate, NULL);
    for (int64_t i = 0; i < f.v.size; i++)
      assert_near(number(&f.v, offset_of(&f.v, ndim, dim, i)), want[i], 0);
    free(want);
    free(f.block);
    seed = first;
  }
}

/* x = -x, y = -x, as the steps of optimizers write their states */
static void negate_both(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  negate(n, p, s, attr);
  negate(n, (char *const[]){p[0], p[0]}, (const int64_t[]){s[0], s[0]}, attr);
}

static void map_may_write_to_its_inputs(void **state) {
  (void)state;
  enum { ROWS = 40, COLUMNS = 10 };
  static double block[COLUMNS][ROWS], result[ROWS][COLUMNS];
  for (int i = 0; i < ROWS * COLUMNS; i++) block[i / ROWS][i % ROWS] = i;
  ct_view x = {.data = (char *)block}, y = {.data = (char *)result};
  ct__view_set(&y, CT_F64, 2, (const int64_t[]){ROWS, COLUMNS});
  ct__view_set(&x, CT_F64, 2, y.dim);
  x.stride[0] = 1;
  x.stride[1] = ROWS;
  ct__view_refresh(&x);
  ct__map(1, (const ct_view *[]){&x}, &y, negate_both, NULL, -1);
  for (int i = 0; i < ROWS * COLUMNS; i++) {
    assert_near(block[i / ROWS][i % ROWS], -i, 0);
    assert_near(result[i % ROWS][i / ROWS], -i, 0);
  }
}

/* The longest run that a loop was given. */
static void longest(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  (void)p, (void)s;
  int64_t *max = *(int64_t *const *)attr;
  if (n > *max) *max = n;
}

static void map_joins_dimensions(void **state) {
  (void)state;
  static double block[2 * 3 * 4 * 5];
  int64_t run = 0, *attr = &run;
  ct_view x = {.data = (char *)block}, y;
  ct__view_set(&x, CT_F64, 4, (const int64_t[]){2, 3, 4, 5});
  y = x;
  ct_map(1, (const ct_view *[]){&x}, &y, longest, &attr);
  assert_int_equal(run, 120);

  run = 0; /* every second of the first axis: the others are still one */
  x.dim[0] = y.dim[0] = 1;
  x.stride[1] = y.stride[1] = 40;
  ct__view_refresh(&x);
  ct__view_refresh(&y);
  ct_map(1, (const ct_view *[]){&x}, &y, longest, &attr);
  assert_int_equal(run, 20);

  run = 0;
  ct__use_reference(true);
  ct_map(1, (const ct_view *[]){&x}, &y, longest, &attr);
  ct__use_reference(false);
  assert_int_equal(run, 1);

  run = 0; /* a line for all of its kind */
  ct_view line = {.data = (char *)block};
  ct__view_set(&y, CT_F64, 2, (const int64_t[]){24, 5});
  ct__view_set(&line, CT_F64, 1, (const int64_t[]){5});
  ct_map(1, (const ct_view *[]){&line}, &y, longest, &attr);
  assert_int_equal(run, 120);
}

/* ---- copy ------------------------------------------------------------------------------------ */

static void fill_with_bytes(field *f) {
  for (size_t i = 0; i < f->bytes; i++) f->block[i] = (char)draw(256);
}

/* Two of the axes are longer than a cache line. */
static void copy_once(ct_dtype dtype) {
  int64_t dim[CT_MAX_DIMS];
  int ndim = 2 + draw(3);
  for (int d = 0; d < ndim; d++) dim[d] = 1 + draw(3);
  for (int k = 0; k < 2; k++) dim[draw(ndim)] = 1 + draw(140);
  field in = random_operand(dtype, ndim, dim), out = random_field(dtype, ndim, dim, false);
  fill_with_bytes(&in);
  fill_with_bytes(&out);
  char *want = malloc(out.bytes);
  assert_non_null(want);
  memcpy(want, out.block, out.bytes);
  const size_t item = ct_dtype_size(dtype), origin = (size_t)(out.v.data - out.block);
  for (int64_t i = 0; i < out.v.size; i++)
    memcpy(want + origin + offset_of(&out.v, ndim, dim, i) * (int64_t)item,
           in.v.data + offset_of(&in.v, ndim, dim, i) * (int64_t)item, item);
  ct__copy(&in.v, &out.v);
  assert_memory_equal(out.block, want, out.bytes);
  free(want);
  free(in.block);
  free(out.block);
}

/* Every size of element, in lines or turned, with steps of any sign, and nothing beside them. */
static void lines_move_as_they_lie(void **state) {
  (void)state;
  enum { MOST = 40, ROOM = 4 * MOST * MOST };
  static uint8_t from[8 * ROOM], to[8 * ROOM], want[8 * ROOM];
  static const int64_t steps[][4] = {
      /* of lines and elements, to and from */
      {MOST, 1, MOST, 1}, {1, MOST, MOST, 1},   {MOST, 1, 1, MOST},     {MOST, 1, MOST, 0},
      {MOST, 1, 0, 1},    {MOST, 1, -MOST, -1}, {2 * MOST, 2, MOST, 1}, {1, -MOST, 2 * MOST, -2}};
  for (int i = 0; i < CT__COUNT(from); i++) from[i] = (uint8_t)(i * 7 + i / 251);
  for (int item = 1; item <= 8; item = item == 1 ? 4 : 2 * item)
    for (int lines = 0; lines < MOST; lines += 1 + lines / 6)
      for (int n = 0; n < MOST; n += 1 + n / 6)
        for (int k = 0; k < CT__COUNT(steps); k++) {
          const int64_t *s = steps[k], middle = (int64_t)item * ROOM / 2;
          memset(to, 0, sizeof to);
          memset(want, 0, sizeof want);
          for (int i = 0; i < lines; i++)
            for (int j = 0; j < n; j++)
              memcpy(want + middle + (i * s[0] + j * s[1]) * item,
                     from + middle + (i * s[2] + j * s[3]) * item, (size_t)item);
          ct__move_lines(item, lines, n, to + middle, s[0], s[1], from + middle, s[2], s[3]);
          assert_memory_equal(to, want, sizeof to);
        }
}

static void copy_moves_every_element(void **state) {
  (void)state;
  const ct_dtype dtypes[] = {CT_F32, CT_F64, CT_U8};
  const int64_t was = ct__piece_weight;
  for (uint32_t round = 1; round < 900; round++) {
    seed = round;
    ct__piece_weight = chance(50) ? 1 << 10 : was;
    copy_once(dtypes[round % 3]);
  }
  ct__piece_weight = was;
}

/* ---- reduce ---------------------------------------------------------------------------------- */

#define ADD(a, x) ((a) + (x))
#define MAX(a, x) ((x) > (a) ? (x) : (a))
#define FOLD(name, T, Acc, COMBINE, identity)                                                      \
  static void name##_start(int64_t n, void *accumulators) {                                        \
    Acc *acc = accumulators;                                                                       \
    for (int64_t i = 0; i < n; i++) acc[i] = identity;                                             \
  }                                                                                                \
  static void name(const ct__fold_block *b, const char *from, void *accumulators) {                \
    const T *x = (const T *)(const void *)from;                                                    \
    Acc *acc = accumulators;                                                                       \
    for (int64_t i = 0; i < b->n; i++)                                                             \
      for (int64_t j = 0; j < b->rows; j++)                                                        \
        acc[i] = COMBINE(acc[i], (Acc)x[i * b->step + j * b->row_step]);                           \
  }
FOLD(add_f32, float, double, ADD, 0)
FOLD(max_f64, double, double, MAX, -100)
FOLD(add_i32, int32_t, int64_t, ADD, 0)

/* Adds the number of reduced elements, to see that it is told. */
#define FOLD_END(name, Acc)                                                                        \
  static void name(int64_t count, const void *accumulators, char *to, int64_t step,                \
                   int64_t n_reduced) {                                                            \
    const Acc *acc = accumulators;                                                                 \
    for (int64_t i = 0; i < count; i++)                                                            \
      ((double *)(void *)to)[i * step] = (double)acc[i] + 1000.0 * (double)n_reduced;              \
  }
FOLD_END(end_f64, double)
FOLD_END(end_i64, int64_t)

static const struct {
  ct_dtype dtype;
  ct__reducer reducer;
  bool max;
} reductions[] = {
    {CT_F32, {add_f32_start, add_f32, NULL, end_f64}, false},
    {CT_F64, {max_f64_start, max_f64, NULL, end_f64}, true},
    {CT_I32, {add_i32_start, add_i32, NULL, end_i64}, false},
};

/* The accumulator of the result that element i of x goes to. */
static int64_t result_of(const ct_view *x, unsigned axes, int64_t i) {
  int64_t result = 0, step = 1;
  for (int d = x->ndim - 1; d >= 0; d--) {
    int64_t at = i % x->dim[d];
    i /= x->dim[d];
    if (axes >> d & 1) continue;
    result += at * step;
    step *= x->dim[d];
  }
  return result;
}

static void reduce_once(bool reference) {
  int kind = draw(CT__COUNT(reductions));
  const ct__reducer *r = &reductions[kind].reducer;
  int64_t dim[CT_MAX_DIMS], y_dim[CT_MAX_DIMS], n_reduced = 1;
  int ndim = random_dims(dim), y_ndim = 0;
  unsigned axes = (unsigned)draw(1 << ndim);
  bool keepdims = chance(50);
  field x = random_field(reductions[kind].dtype, ndim, dim, true);
  for (int d = 0; d < ndim; d++) {
    bool reduced = axes >> d & 1;
    if (reduced) n_reduced *= dim[d];
    if (!reduced || keepdims) y_dim[y_ndim++] = reduced ? 1 : dim[d];
  }
  field y = random_field(CT_F64, y_ndim, y_dim, false);

  bool was = ct__use_reference(reference);
  ct__reduce(&x.v, axes, &y.v, r);
  ct__use_reference(was);

  double *want = malloc((size_t)y.v.size * sizeof *want + 1);
  assert_non_null(want);
  for (int64_t i = 0; i < y.v.size; i++) want[i] = reductions[kind].max ? -100 : 0;
  for (int64_t i = 0; i < x.v.size; i++) {
    double value = number(&x.v, offset_of(&x.v, ndim, dim, i)),
           *to = &want[result_of(&x.v, axes, i)];
    *to = reductions[kind].max ? MAX(*to, value) : *to + value;
  }
  for (int64_t i = 0; i < y.v.size; i++)
    assert_near(number(&y.v, offset_of(&y.v, y_ndim, y_dim, i)),
                want[i] + 1000.0 * (double)n_reduced, 0);
  free(want);
  free(x.block);
  free(y.block);
}

static void reduce_folds_every_element_once(void **state) {
  (void)state;
  for (seed = 1; seed < ROUNDS; seed++) {
    uint32_t first = seed;
    reduce_once(false);
    seed = first;
    reduce_once(true);
    seed = first;
  }
}

/* More columns than a tile of accumulators has. */
static void reduce_takes_wide_columns(void **state) {
  (void)state;
  enum { ROWS = 5, COLUMNS = 700 };
  static float block[ROWS][COLUMNS];
  static double sums[COLUMNS];
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLUMNS; j++) block[i][j] = (float)(i * j % 17);
  ct_view x = {.data = (char *)block}, y = {.data = (char *)sums};
  ct__view_set(&x, CT_F32, 2, (const int64_t[]){ROWS, COLUMNS});
  ct__view_set(&y, CT_F64, 1, (const int64_t[]){COLUMNS});
  ct__reduce(&x, 1, &y, &reductions[0].reducer);
  for (int j = 0; j < COLUMNS; j++) {
    double want = 1000.0 * ROWS;
    for (int i = 0; i < ROWS; i++) want += i * j % 17;
    assert_near(sums[j], want, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(map_visits_every_element),
      cmocka_unit_test(map_takes_short_lines),
      cmocka_unit_test(map_adds_short_lines_in_place),
      cmocka_unit_test(map_may_write_over_its_input),
      cmocka_unit_test(map_may_write_to_its_inputs),
      cmocka_unit_test(map_joins_dimensions),
      cmocka_unit_test(lines_move_as_they_lie),
      cmocka_unit_test(copy_moves_every_element),
      cmocka_unit_test(reduce_folds_every_element_once),
      cmocka_unit_test(reduce_takes_wide_columns),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
