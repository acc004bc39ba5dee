/* test_gemm.c - the kernels of matrix products against plain loops, for each instruction set; the
 * same bits for every number of threads, by plans, and with blocks reported; memory that runs out.
 *
 * Where results are compared with a sum in another order, entries are small integers: then every
 * order gives the same. Operands lie in blocks of their exact size, so that a sanitizer sees a read
 * beyond them.
 */
#define _GNU_SOURCE
#include "matrix_layouts.h"

#include "failing_malloc.h"
#include "isa.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#elif defined(__has_feature)
enum { SANITIZED = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) };
#else
enum { SANITIZED = 0 };
#endif

/* ---- matrices -------------------------------------------------------------------------------- */

typedef struct matrix {
  ct_view v;
  char *block; /* malloc */
  size_t bytes;
} matrix;

static matrix matrix_of(ct_dtype dtype, int64_t rows, int64_t columns, layout how) {
  matrix m = {0};
  ct__view_set(&m.v, dtype, 2, (const int64_t[]){rows, columns});
  int64_t r = rows > 0 ? rows : 1, c = columns > 0 ? columns : 1;
  layout_steps(how, rows, columns, m.v.stride);
  int64_t start = 0, span = 1;
  for (int d = 0; d < 2; d++) {
    int64_t reach = m.v.stride[d] * ((d ? c : r) - 1);
    span += reach < 0 ? -reach : reach;
    start -= reach < 0 ? reach : 0;
  }
  if (m.v.size == 0) span = 0;
  m.bytes = (size_t)span * ct_dtype_size(dtype);
  m.block = malloc(m.bytes ? m.bytes : 1);
  assert_non_null(m.block);
  m.v.data = m.block + (size_t)start * ct_dtype_size(dtype);
  ct__view_refresh(&m.v);
  return m;
}

static int64_t numbers(const matrix *m) { return (int64_t)(m->bytes / ct_dtype_size(m->v.dtype)); }

static void fill_integers(matrix *m) {
  for (int64_t i = 0; i < numbers(m); i++) set_number(m->v.dtype, m->block, i, draw(9) - 4);
}

static void fill_fractions(matrix *m) {
  for (int64_t i = 0; i < numbers(m); i++)
    set_number(m->v.dtype, m->block, i, draw(20001) / 1e4 - 1);
}

static matrix copy_of(const matrix *m) {
  matrix copy = *m;
  copy.block = malloc(m->bytes ? m->bytes : 1);
  assert_non_null(copy.block);
  memcpy(copy.block, m->block, m->bytes);
  copy.v.data = copy.block + (m->v.data - m->block);
  return copy;
}

static void assert_same_bits(const matrix *x, const matrix *y) {
  assert_int_equal(x->bytes, y->bytes);
  assert_memory_equal(x->block, y->block, x->bytes);
}

static double entry(const ct_view *v, int64_t i, int64_t j) {
  return tensor_value_at(v->data, v->dtype, i * v->stride[0] + j * v->stride[1]);
}

/* ---- against plain loops --------------------------------------------------------------------- */

typedef struct problem {
  ct_dtype dtype;
  int64_t m, n, k;
  layout how[3];
  double alpha, beta;
} problem;

typedef struct operands {
  matrix a, b, c;
} operands;

static operands operands_of(const problem *p, void (*fill)(matrix *)) {
  operands o = {matrix_of(p->dtype, p->m, p->k, p->how[0]),
                matrix_of(p->dtype, p->k, p->n, p->how[1]),
                matrix_of(p->dtype, p->m, p->n, p->how[2])};
  fill(&o.a);
  fill(&o.b);
  fill(&o.c);
  return o;
}

static void operands_free(operands *o) {
  free(o->a.block);
  free(o->b.block);
  free(o->c.block);
}

/* All of C's block is compared: what lies between its elements stays. */
static void check(const problem *p) {
  operands o = operands_of(p, fill_integers);
  matrix want = copy_of(&o.c);
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = 0; j < p->n; j++) {
      double sum = 0;
      for (int64_t k = 0; k < p->k; k++) sum += entry(&o.a.v, i, k) * entry(&o.b.v, k, j);
      int64_t at = i * o.c.v.stride[0] + j * o.c.v.stride[1];
      set_number(p->dtype, want.v.data, at,
                 p->alpha * sum + (p->beta == 0 ? 0 : p->beta * entry(&o.c.v, i, j)));
      if (p->beta == 0) set_number(p->dtype, o.c.v.data, at, NAN); /* not to be read */
    }
  assert_ok(ct__gemm(p->alpha, &o.a.v, &o.b.v, p->beta, &o.c.v));
  for (int64_t i = 0; i < numbers(&want); i++) {
    double got = tensor_value_at(o.c.block, p->dtype, i);
    double expected = tensor_value_at(want.block, p->dtype, i);
    if (got == expected) continue;
    print_error("%s m %d n %d k %d layouts %d %d %d alpha %g beta %g by %s: %g, not %g at %d\n",
                ct_dtype_name(p->dtype), (int)p->m, (int)p->n, (int)p->k, p->how[0], p->how[1],
                p->how[2], p->alpha, p->beta, ct__gemm_name(&o.a.v, &o.b.v, &o.c.v), got, expected,
                (int)i);
    fail();
  }
  free(want.block);
  operands_free(&o);
}

static double factor(void) {
  static const double some[] = {1, 0, -1, 2, -3};
  return some[draw(CT__COUNT(some))];
}

static void try_shapes(void) {
  static const int64_t extents[] = {0,  1,  2,  3,  4,  5,  7,  8,  9,  10, 12,
                                    15, 16, 17, 31, 33, 47, 48, 49, 65, 97, 130};
  enum { N = CT__COUNT(extents) };
  for (int i = 0; i < 1500; i++) {
    problem p = {draw(2) ? CT_F32 : CT_F64,
                 extents[draw(N)],
                 extents[draw(N)],
                 extents[draw(N)],
                 {(layout)draw(LAYOUTS), (layout)draw(LAYOUTS), (layout)draw(OUTPUT_LAYOUTS)},
                 factor(),
                 factor()};
    if (draw(3) == 0) p.how[0] = p.how[1] = p.how[2] = ROWS;
    check(&p);
  }
}

static void small_shapes(void **state) {
  (void)state;
  for_each_isa(try_shapes);
}

/* Vectors, sums long enough to be taken in pieces, and matrices that are packed for being large. */
static void try_long_shapes(void) {
  static const int64_t shapes[][3] = {
      {1, 1, 1000},    {1, 300, 801},  {300, 1, 801},  {9, 20, 1203}, {40, 17, 401},
      {1, 7, 1},       {300, 5, 1},    {5, 300, 1},    {300, 5, 2},   {270, 290, 2},
      {300, 270, 130}, {20, 700, 420}, {330, 450, 30}, {230, 450, 16}};
  for (int i = 0; i < CT__COUNT(shapes); i++)
    for (int ab = 0; ab < 4; ab++) {
      problem p = {ab & draw(4) ? CT_F32 : CT_F64,
                   shapes[i][0],
                   shapes[i][1],
                   shapes[i][2],
                   {ab & 1 ? COLUMNS : ROWS, ab & 2 ? COLUMNS : ROWS, ROWS},
                   factor(),
                   factor()};
      check(&p);
      p.how[0] = PART;
      p.how[1] = PART_COLUMNS;
      p.how[2] = PART_COLUMNS;
      check(&p);
    }
}

static void long_shapes(void **state) {
  (void)state;
  for_each_isa(try_long_shapes);
}

static void openblas_gives_the_same(void **state) {
  (void)state;
  ct__gemm_prefer(CT__BY_BLAS);
  try_shapes();
  ct__gemm_prefer(CT__BY_SHAPE);
}

static void nan_is_read_where_it_counts(void **state) {
  (void)state;
  problem p = {CT_F32, 3, 20, 5, {ROWS, ROWS, ROWS}, 1, 0};
  operands o = operands_of(&p, fill_integers);
  set_number(CT_F32, o.a.block, 5 + 2, NAN); /* row 1 */
  assert_ok(ct__gemm(1, &o.a.v, &o.b.v, 0, &o.c.v));
  for (int64_t j = 0; j < p.n; j++)
    assert_true(!isnan(entry(&o.c.v, 0, j)) && isnan(entry(&o.c.v, 1, j)) &&
                !isnan(entry(&o.c.v, 2, j)));
  assert_ok(ct__gemm(0, &o.a.v, &o.b.v, 0, &o.c.v)); /* A is not read */
  for (int64_t j = 0; j < p.n; j++) assert_true(entry(&o.c.v, 1, j) == 0);
  operands_free(&o);
}

static ct_view turned(const ct_view *v) {
  ct_view t = *v;
  for (int d = 0; d < 2; d++) {
    t.dim[d] = v->dim[!d];
    t.stride[d] = v->stride[!d];
  }
  ct__view_refresh(&t);
  return t;
}

/* C, of which rows where A is 0 are -0, and stay so if alpha and all of B, with odd, are finite. */
static void check_zero_rows(const problem *p, bool turn, double odd) {
  operands o = operands_of(p, fill_fractions);
  ct_view *c = &o.c.v;
  for (int64_t i = 0; i < p->m; i++)
    if (i % 3) set_number(p->dtype, o.a.v.data, i * o.a.v.stride[0], i % 3 == 1 ? 0 : -0.0);
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = 0; j < p->n && i % 3; j++)
      set_number(p->dtype, c->data, i * c->stride[0] + j * c->stride[1], -0.0);
  set_number(p->dtype, o.b.v.data, 5 * o.b.v.stride[1], odd);
  matrix was = copy_of(&o.c);
  ct_view a = turned(&o.a.v), b = turned(&o.b.v), across = turned(c);
  assert_string_equal(ct__gemm_name(&o.a.v, &o.b.v, c), "outer");
  if (turn)
    assert_ok(ct__gemm(p->alpha, &b, &a, 1, &across));
  else
    assert_ok(ct__gemm(p->alpha, &o.a.v, &o.b.v, 1, c));
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = 0; j < p->n; j++) {
      double x = entry(c, i, j), product = entry(&o.a.v, i, 0) * entry(&o.b.v, 0, j);
      double want = entry(&was.v, i, j) + p->alpha * product;
      assert_true(isnan(want) ? isnan(x) : x == want || fabs(x - want) <= 1e-6);
      if (i % 3 && isfinite(odd) && isfinite(p->alpha)) assert_true(signbit(x));
    }
  free(was.block);
  operands_free(&o);
}

static void try_zero_rows(void) {
  static const problem cases[] = {{CT_F32, 700, 300, 1, {COLUMNS, ROWS, ROWS}, -0.1, 1},
                                  {CT_F64, 150, 70, 1, {SPREAD, ROWS, PART}, 0.5, 1},
                                  {CT_F64, 65, 64, 1, {COLUMNS, ROWS, UPSIDE_DOWN}, 1, 1},
                                  {CT_F32, 80, 90, 1, {ROWS, ROWS, ROWS}, INFINITY, 1}};
  for (int i = 0; i < CT__COUNT(cases); i++)
    for (int turn = 0; turn < 2; turn++) {
      check_zero_rows(&cases[i], turn, 1);
      check_zero_rows(&cases[i], turn, INFINITY);
      check_zero_rows(&cases[i], turn, NAN);
    }
}

/* An outer product adds nothing where 0 is multiplied with finite numbers. */
static void zero_rows_are_left_alone(void **state) {
  (void)state;
  for_each_isa(try_zero_rows);
}

/* ---- threads and blocks ---------------------------------------------------------------------- */

/* Each kernel, cut by rows and by columns, in both orientations. */
static const problem large[] = {
    {CT_F32, 200, 130, 300, {ROWS, ROWS, ROWS}, 1, 0},
    {CT_F32, 300, 100, 150, {COLUMNS, ROWS, ROWS}, -0.01, 1},
    {CT_F64, 130, 200, 170, {ROWS, COLUMNS, ROWS}, 1.5, 0.5},
    {CT_F32, 16, 1000, 500, {ROWS, ROWS, ROWS}, 1, 0},
    {CT_F32, 10, 900, 600, {ROWS, COLUMNS, ROWS}, 1, 1},
    {CT_F64, 1, 1500, 900, {ROWS, ROWS, ROWS}, 1, 0},
    {CT_F32, 1, 1100, 903, {ROWS, ROWS, ROWS}, -0.3, 0},
    {CT_F32, 1, 1024, 400, {SPREAD, PART, ROWS}, 1, 0},
    {CT_F32, 1, 1500, 900, {ROWS, COLUMNS, ROWS}, 1, 0},
    {CT_F32, 1500, 1, 900, {ROWS, ROWS, ROWS}, 1, 0},
    {CT_F32, 1200, 700, 1, {COLUMNS, ROWS, ROWS}, -0.1, 1},
    {CT_F32, 600, 20, 200, {COLUMNS, ROWS, COLUMNS}, 1, 0},
    {CT_F32, 784, 256, 16, {COLUMNS, ROWS, ROWS}, -0.01, 1},
    {CT_F32, 520, 530, 540, {ROWS, ROWS, ROWS}, 1, 0},
    {CT_F32, 530, 270, 450, {COLUMNS, ROWS, ROWS}, -0.1, 1},
    {CT_F32, 80, 600, 600, {ROWS, ROWS, ROWS}, 1, 0},
    {CT_F32, 300, 300, 900, {COLUMNS, ROWS, ROWS}, -0.1, 0.5}, /* in parts of k */
    {CT_F64, 40, 330, 2000, {SPREAD, ROWS, ROWS}, 1, 0},
};

static void try_threads(void) {
  static const int threads[] = {2, 3, 8};
  for (int i = 0; i < CT__COUNT(large); i++) {
    const problem *p = &large[i];
    operands o = operands_of(p, fill_fractions);
    matrix first = copy_of(&o.c);
    assert_ok(ct_set_threads(1));
    assert_ok(ct__gemm(p->alpha, &o.a.v, &o.b.v, p->beta, &first.v));
    for (int t = 0; t < CT__COUNT(threads); t++) {
      matrix c = copy_of(&o.c);
      assert_ok(ct_set_threads(threads[t]));
      assert_ok(ct__gemm(p->alpha, &o.a.v, &o.b.v, p->beta, &c.v));
      assert_same_bits(&first, &c);
      free(c.block);
    }
    free(first.block);
    operands_free(&o);
  }
}

static void threads_give_the_same_bits(void **state) {
  (void)state;
  int was = ct_threads();
  for_each_isa(try_threads);
  ct__gemm_prefer(CT__BY_BLAS);
  try_threads();
  ct__gemm_prefer(CT__BY_SHAPE);
  assert_ok(ct_set_threads(was));
}

/* What a plan is for, and another layout, for which it is not. */
static void check_plan(const ct__gemm_plan *plan, const problem *p) {
  operands o = operands_of(p, fill_fractions);
  matrix c = copy_of(&o.c);
  ct__gemm_plan fits;
  ct__gemm_plan_set(&fits, &o.a.v, &o.b.v, &o.c.v);
  size_t bytes = ct__gemm_work(&fits);
  void *work = aligned_alloc(64, (bytes + 64) / 64 * 64);
  assert_non_null(work);
  assert_ok(ct__gemm(p->alpha, &o.a.v, &o.b.v, p->beta, &o.c.v));
  assert_ok(ct__gemm_run(plan, work, p->alpha, &o.a.v, &o.b.v, p->beta, &c.v, NULL, NULL));
  assert_same_bits(&o.c, &c);
  free(work);
  free(c.block);
  operands_free(&o);
}

static void try_plans(void) {
  for (int i = 0; i < CT__COUNT(large); i++) {
    problem p = large[i];
    operands o = operands_of(&p, fill_fractions);
    ct__gemm_plan plan;
    ct__gemm_plan_set(&plan, &o.a.v, &o.b.v, &o.c.v);
    operands_free(&o);
    check_plan(&plan, &p);
    p.alpha *= 2;
    p.beta = 1 - p.beta;
    check_plan(&plan, &p);
    p.how[1] = p.how[1] == ROWS ? COLUMNS : ROWS;
    check_plan(&plan, &p);
    p.m++;
    check_plan(&plan, &p);
  }
}

static void plans_give_the_same_bits(void **state) {
  (void)state;
  for_each_isa(try_plans);
}

typedef struct record {
  const matrix *c;
  matrix seen; /* the blocks as they were when they were done */
  pthread_mutex_t lock;
  int *times; /* that each element was reported */
} record;

static void note(void *context, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  record *l = context;
  const ct_view *c = &l->c->v;
  pthread_mutex_lock(&l->lock);
  for (int64_t i = row; i < row + rows; i++)
    for (int64_t j = column; j < column + columns; j++) {
      int64_t at = i * c->stride[0] + j * c->stride[1];
      set_number(c->dtype, l->seen.v.data, at, entry(c, i, j));
      l->times[i * c->dim[1] + j]++;
    }
  pthread_mutex_unlock(&l->lock);
}

static void check_blocks(const problem *p) {
  operands o = operands_of(p, fill_fractions);
  matrix plain = copy_of(&o.c);
  assert_ok(ct__gemm(p->alpha, &o.a.v, &o.b.v, p->beta, &plain.v));
  record l = {&o.c, copy_of(&o.c), PTHREAD_MUTEX_INITIALIZER,
              calloc((size_t)o.c.v.size + 1, sizeof(int))};
  assert_non_null(l.times);
  assert_ok(ct__gemm_run(NULL, NULL, p->alpha, &o.a.v, &o.b.v, p->beta, &o.c.v, note, &l));
  for (int64_t i = 0; i < o.c.v.size; i++) assert_int_equal(l.times[i], 1);
  assert_same_bits(&plain, &o.c);
  assert_same_bits(&o.c, &l.seen);
  free(l.times);
  free(l.seen.block);
  free(plain.block);
  operands_free(&o);
}

static void blocks_are_reported_once(void **state) {
  (void)state;
  static const problem small[] = {
      {CT_F32, 3, 4, 5, {ROWS, ROWS, ROWS}, 1, 0}, {CT_F64, 3, 4, 0, {ROWS, ROWS, ROWS}, 1, 2},
      {CT_F64, 3, 4, 2, {ROWS, ROWS, ROWS}, 0, 2}, {CT_F64, 0, 4, 2, {ROWS, ROWS, ROWS}, 1, 0},
      {CT_F64, 4, 0, 2, {ROWS, ROWS, ROWS}, 1, 0}, {CT_F32, 20, 1, 5, {ROWS, ROWS, ROWS}, 1, 1}};
  int was = ct_threads();
  for (int threads = 1; threads <= 3; threads += 2) {
    assert_ok(ct_set_threads(threads));
    for (int i = 0; i < CT__COUNT(large); i++) check_blocks(&large[i]);
    for (int i = 0; i < CT__COUNT(small); i++) check_blocks(&small[i]);
  }
  assert_ok(ct_set_threads(was));
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void no_memory_leaves_all_as_it_was(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  static const problem packed[] = {{CT_F32, 30, 50, 70, {ROWS, COLUMNS, ROWS}, 1, 0.5},
                                   {CT_F64, 30, 50, 70, {SPREAD, SPREAD, SPREAD}, 1, 0.5},
                                   {CT_F32, 1, 50, 70, {SPREAD, COLUMNS, ROWS}, 1, 0}};
  for (int i = 0; i < CT__COUNT(packed); i++) {
    const problem *p = &packed[i];
    operands o = operands_of(p, fill_fractions);
    matrix before = copy_of(&o.c);
    ct_cache_flush();
    heap_fail_at(1, true);
    ct_status status = ct__gemm(p->alpha, &o.a.v, &o.b.v, p->beta, &o.c.v);
    assert_true(heap_fail_end());
    assert_fails(status, CT_ENOMEM, "out of memory");
    assert_same_bits(&before, &o.c);
    assert_ok(ct__gemm(p->alpha, &o.a.v, &o.b.v, p->beta, &o.c.v));
    free(before.block);
    operands_free(&o);
  }
}

static void nothing_is_allocated_in_the_steady_state(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  for (int i = 0; i < CT__COUNT(large); i++) {
    const problem *p = &large[i];
    operands o = operands_of(p, fill_fractions);
    assert_ok(ct__gemm(p->alpha, &o.a.v, &o.b.v, p->beta, &o.c.v));
    long calls = heap_calls();
    assert_ok(ct__gemm(p->alpha, &o.a.v, &o.b.v, p->beta, &o.c.v));
    assert_int_equal(heap_calls(), calls);
    operands_free(&o);
  }
}

static rlim_t address_space(void) {
  long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f && fscanf(f, "%ld", &pages) != 1) pages = 0;
  if (f) fclose(f);
  return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* In a process of its own: OpenBLAS's first buffer does not fit. It must come before all others. */
static void openblas_without_room(void **state) {
  (void)state;
  problem p = {CT_F32, 40, 40, 40, {ROWS, ROWS, ROWS}, 1, 0.5};
  operands o = operands_of(&p, fill_fractions);
  ct__gemm_prefer(CT__BY_BLAS);
  bool there = strcmp(ct__gemm_name(&o.a.v, &o.b.v, &o.c.v), "OpenBLAS") == 0; /* loads it */
  ct__gemm_prefer(CT__BY_SHAPE);
  const char *wanted = getenv("CT_BLAS");
  assert_true(there == !(wanted && strcmp(wanted, "none") == 0));
  if (SANITIZED || !there) { /* they take more than all */
    operands_free(&o);
    skip();
  }
  matrix before = copy_of(&o.c);
  pid_t child = fork();
  if (child == 0) {
    rlim_t most = address_space() + ((rlim_t)64 << 20);
    struct rlimit limit = {most, most};
    alarm(60); /* where it hangs */
    setrlimit(RLIMIT_AS, &limit);
    ct__gemm_prefer(CT__BY_BLAS);
    bool refused = ct__gemm(p.alpha, &o.a.v, &o.b.v, p.beta, &o.c.v) == CT_ENOMEM;
    _exit(refused && memcmp(before.block, o.c.block, before.bytes) == 0 ? 0 : 1);
  }
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  free(before.block);
  operands_free(&o);
}

/* More callers than OpenBLAS survives. */
static void *multiply_often(void *payload) {
  problem p = {CT_F32, 70, 70, 70, {ROWS, ROWS, ROWS}, 1, 0};
  operands *shared = payload;
  ct_view c = shared->c.v;
  c.data = malloc(shared->c.bytes);
  bool same = c.data != NULL;
  ct__gemm_prefer(CT__BY_BLAS);
  for (int i = 0; same && i < 20; i++)
    same = ct__gemm(p.alpha, &shared->a.v, &shared->b.v, 0, &c) == CT_OK &&
           memcmp(c.data, shared->c.block, shared->c.bytes) == 0;
  free(c.data);
  return same ? payload : NULL;
}

static void many_callers(void **state) {
  (void)state;
  enum { CALLERS = 100 };
  problem p = {CT_F32, 70, 70, 70, {ROWS, ROWS, ROWS}, 1, 0};
  operands o = operands_of(&p, fill_fractions);
  ct__gemm_prefer(CT__BY_BLAS);
  assert_ok(ct__gemm(1, &o.a.v, &o.b.v, 0, &o.c.v));
  ct__gemm_prefer(CT__BY_SHAPE);
  pthread_t thread[CALLERS];
  int started = 0;
  while (started < CALLERS && pthread_create(&thread[started], NULL, multiply_often, &o) == 0)
    started++;
  assert_true(started > 0);
  for (int i = 0; i < started; i++) {
    void *result = NULL;
    pthread_join(thread[i], &result);
    assert_ptr_equal(result, &o);
  }
  operands_free(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(openblas_without_room),
      cmocka_unit_test(small_shapes),
      cmocka_unit_test(long_shapes),
      cmocka_unit_test(openblas_gives_the_same),
      cmocka_unit_test(nan_is_read_where_it_counts),
      cmocka_unit_test(zero_rows_are_left_alone),
      cmocka_unit_test(threads_give_the_same_bits),
      cmocka_unit_test(plans_give_the_same_bits),
      cmocka_unit_test(blocks_are_reported_once),
      cmocka_unit_test(no_memory_leaves_all_as_it_was),
      cmocka_unit_test(nothing_is_allocated_in_the_steady_state),
      cmocka_unit_test(many_callers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
