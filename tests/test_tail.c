/* Reductions at the end of a chain: which become one instruction with it, and what they give. */
#include "programs.h"

#include "autograd/compile/tile.h"
#include "cotangent.h"
#include "tensor/pool.h"

#include <float.h>

/* ---- what becomes one ------------------------------------------------------------------------ */

enum { ROWS = 96, COLUMNS = 100, MOST_OUT = 12 };

typedef struct shape_case {
  const char *name;
  int (*of)(ct_tensor *x, ct_tensor *w, ct_tensor **out); /* how many */
  int instructions, reduced;
} shape_case;

static ct_tensor *error_of(ct_tensor *x, ct_tensor *w) { return ct_square(ct_sub(ct_tanh(x), w)); }

static int mean_of_all(ct_tensor *x, ct_tensor *w, ct_tensor **out) {
  out[0] = ct_mean(error_of(x, w), CT_ALL, false);
  return 1;
}

static int each_side(ct_tensor *x, ct_tensor *w, ct_tensor **out) {
  ct_tensor *y = error_of(x, w);
  out[0] = ct_sum(y, CT_AXES(0), false);
  out[1] = ct_mean(y, CT_AXES(1), true);
  out[2] = ct_max(y, CT_AXES(0), true);
  out[3] = ct_min(y, CT_ALL, true);
  out[4] = y; /* written, too */
  return 5;
}

/* Two chains that read the same numbers, and a sum of these themselves. */
static int siblings(ct_tensor *x, ct_tensor *w, ct_tensor **out) {
  out[0] = ct_sum(ct_exp(x), CT_ALL, false);
  out[1] = ct_scale(ct_mul(x, w), 2);
  out[2] = ct_mean(x, CT_AXES(0), false);
  return 3;
}

static int loss_and_gradients(ct_tensor *x, ct_tensor *w, ct_tensor **out) {
  ct_tensor *row = ct_slice(ct_reshape(w, CT_SHAPE(ROWS * COLUMNS)), 0, 0, COLUMNS, 1);
  ct_tensor *y = ct_mean(ct_square(ct_shift(ct_mul(x, row), -1)), CT_ALL, false);
  out[0] = y;
  assert_ok(ct_grad(y, CT_LIST(w), &out[1]));
  return 2;
}

static int divided_by_its_sum(ct_tensor *x, ct_tensor *w, ct_tensor **out) {
  ct_tensor *e = ct_exp(ct_mul(x, w));
  out[0] = ct_div(e, ct_sum(e, CT_AXES(1), true));
  return 1;
}

static int few_elements_each(ct_tensor *x, ct_tensor *w, ct_tensor **out) {
  ct_tensor *y = ct_reshape(error_of(x, w), CT_SHAPE(ROWS, COLUMNS / 10, 10));
  out[0] = ct_sum(y, CT_AXES(2), false);
  return 1;
}

static int in_the_middle(ct_tensor *x, ct_tensor *w, ct_tensor **out) {
  ct_tensor *a = ct_reshape(x, CT_SHAPE(4, ROWS / 4, COLUMNS)),
            *b = ct_reshape(w, CT_SHAPE(4, ROWS / 4, COLUMNS));
  out[0] = ct_sum(error_of(a, b), CT_AXES(1), false);
  return 1;
}

static int other_reductions(ct_tensor *x, ct_tensor *w, ct_tensor **out) {
  ct_tensor *y = error_of(x, w);
  out[0] = ct_prod(y, CT_AXES(1), false);
  out[1] = ct_cumsum(y, 1);
  return 2;
}

static int more_than_there_is_room_for(ct_tensor *x, ct_tensor *w, ct_tensor **out) {
  for (int i = 0; i < MOST_OUT; i++)
    out[i] = ct_mean(ct_square(ct_scale(i % 2 ? x : w, i + 0.5)), CT_ALL, false);
  return MOST_OUT;
}

static const shape_case cases[] = {
    {"the mean of all", mean_of_all, 1, 1},
    {"each side", each_side, 1, 1},
    {"siblings", siblings, 1, 1},
    {"loss and gradients", loss_and_gradients, 2, 1},
    {"divided by its sum", divided_by_its_sum, 2, 1},
    {"few elements each", few_elements_each, 2, 0},
    {"in the middle", in_the_middle, 2, 0},
    {"other reductions", other_reductions, 3, 0},
    {"more than there is room for", more_than_there_is_room_for, 2, 2},
};

static void assert_close(ct_tensor *got, ct_tensor *want, const char *what) {
  int64_t n = ct_size(want);
  double *a = malloc((size_t)n * sizeof *a), *b = malloc((size_t)n * sizeof *b), largest = 0;
  assert_true(a && b);
  assert_int_equal(ct_ndim(got), ct_ndim(want));
  tensor_values(got, a, n);
  tensor_values(want, b, n);
  for (int64_t i = 0; i < n; i++)
    if (fabs(b[i]) > largest) largest = fabs(b[i]);
  double tolerance = (ct_dtype_of(want) == CT_F32 ? 1e-5 : 1e-12) * largest;
  for (int64_t i = 0; i < n; i++) {
    if (fabs(a[i] - b[i]) <= tolerance || a[i] == b[i] || (isnan(a[i]) && isnan(b[i]))) continue;
    print_error("%s: element %lld is %.17g, not %.17g\n", what, (long long)i, a[i], b[i]);
    fail();
  }
  free(a);
  free(b);
}

static void reductions_join_their_chain(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    for (int e = 0; e < 2; e++) {
      const char *what = cases[i].name;
      ct_scope s = ct_scope_begin();
      ct_tensor *x[2], *value[2], *v[2], *out[MOST_OUT], *want[MOST_OUT], *got[MOST_OUT];
      for (int k = 0; k < 2; k++) {
        x[k] = ct_placeholder(CT_F32, CT_SHAPE(ROWS, COLUMNS));
        value[k] = ct_uniform(ct_key((uint64_t)k), CT_F32, CT_SHAPE(ROWS, COLUMNS), 0.5, 1.5);
        v[k] = ct_variable(value[k]);
      }
      int n = cases[i].of(x[0], x[1], out);
      assert_int_equal(cases[i].of(v[0], v[1], want), n);
      ct_program *p = compiled((ct_list){2, x}, (ct_list){n, out}, e ? exact : checked);
      assert_ok(ct_run(p, (ct_list){2, value}, got));
      for (int o = 0; o < n; o++) assert_close(got[o], want[o], what);
      if (count(p, "reduced") != (e ? 0 : cases[i].reduced) ||
          (!e && p->n_instrs != cases[i].instructions)) {
        print_error("%s: %d instructions, %d reduced\n", what, p->n_instrs, count(p, "reduced"));
        ct_program_print(p, stderr);
        fail();
      }
      ct_program_release(&p);
      ct_release(&v[0]);
      ct_release(&v[1]);
      ct_scope_end(s);
    }
}

/* ---- any layout, any cut --------------------------------------------------------------------- */

enum { LEAVES = 3 };

static const ct_shape shapes[] = {
    {1, {64}},        {1, {5000}},       {1, {100001}},      {2, {8, 70}},    {2, {70, 100}},
    {2, {9, 3000}},   {2, {3000, 9}},    {2, {1, 200}},      {2, {200, 1}},   {3, {20, 30, 64}},
    {3, {16, 1, 80}}, {3, {2, 500, 70}}, {4, {3, 10, 8, 9}}, {2, {40, 2000}}, {2, {1000, 70}}};

/* Leaf 0 is whole; leaf 1 repeats along the first axes, or backwards; leaf 2 is a number or a
 * column. */
static ct_shape leaf_shape(ct_shape s, int leaf, int way) {
  if (leaf == 1 && way == 0) return (ct_shape){1, {s.dim[s.n - 1]}};
  if (leaf == 2 && way == 0) return (ct_shape){0};
  if (leaf == 2) s.dim[s.n - 1] = 1;
  return s;
}

static int build(ct_tensor *const *x, int way, int axes, ct_tensor **out) {
  ct_tensor *b = way ? ct_flip(x[1], CT_AXES(0)) : x[1];
  ct_tensor *y = ct_add(ct_mul(x[0], b), x[2]), *z = ct_exp(ct_scale(y, -0.5));
  ct_axes first = {0}, last = {0};
  for (int d = 0; d < axes; d++) first.at[first.n++] = d;
  for (int d = axes; d < ct_ndim(y); d++) last.at[last.n++] = d;
  out[0] = ct_sum(z, first, way);
  out[1] = ct_mean(y, last, !way);
  out[2] = ct_max(z, first, false);
  out[3] = ct_min(ct_neg(y), last, false);
  out[4] = ct_sum(x[0], CT_ALL, false);
  return 5;
}

typedef struct job {
  ct_program *p;
  ct_tensor *value[LEAVES], *want[MOST_OUT];
  int n;
} job;

static job job_of(ct_dtype dtype, ct_shape s, int way, int axes) {
  job j;
  ct_tensor *x[LEAVES], *out[MOST_OUT];
  for (int i = 0; i < LEAVES; i++) {
    ct_shape shape = leaf_shape(s, i, way);
    x[i] = ct_placeholder(dtype, shape);
    j.value[i] = ct_uniform(ct_key((uint64_t)i), dtype, shape, 0.5, 1.5);
  }
  j.n = build(x, way, axes, out);
  build(j.value, way, axes, j.want);
  j.p = compiled((ct_list){LEAVES, x}, (ct_list){j.n, out}, checked);
  return j;
}

/* The same bits for every number of threads: of the first run. */
static void run_job(const job *j, int most_threads) {
  ct_tensor *first[MOST_OUT], *got[MOST_OUT];
  for (int threads = 1; threads <= most_threads; threads = 2 * threads + 1) {
    assert_ok(ct_set_threads(threads));
    assert_ok(ct_run(j->p, (ct_list){LEAVES, j->value}, threads == 1 ? first : got));
    for (int o = 0; o < j->n; o++) {
      assert_close(first[o], j->want[o], "a tail");
      if (threads > 1)
        assert_memory_equal(ct_data(got[o]), ct_data(first[o]),
                            (size_t)ct_size(first[o]) * ct_dtype_size(ct_dtype_of(first[o])));
    }
  }
}

static void run_everywhere(const job *j, int64_t piece) {
  int isa = ct__isa();
  for (int use = 0; use <= isa; use++)
    for (int cut = 0; cut < 2; cut++) {
      assert_true(ct__use_isa(use));
      ct__piece_weight = cut ? 1 << 9 : piece;
      run_job(j, cut ? 7 : 1);
    }
  ct__piece_weight = piece;
  bool was = ct__use_reference(true);
  run_job(j, 1);
  ct__use_reference(was);
}

static void tails_lie_anywhere(void **state) {
  (void)state;
  static const ct_dtype dtypes[] = {CT_F32, CT_F64};
  int64_t piece = ct__piece_weight;
  int threads = ct_threads();
  for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++)
    for (int axes = 0; axes <= shapes[k].n; axes++)
      for (int way = 0; way < 4; way++) {
        ct_scope s = ct_scope_begin();
        job j = job_of(dtypes[way / 2], shapes[k], way % 2, axes);
        run_everywhere(&j, piece);
        ct_program_release(&j.p);
        ct_scope_end(s);
      }
  assert_ok(ct_set_threads(threads));
}

/* ---- single things --------------------------------------------------------------------------- */

static void nan_wins(void **state) {
  (void)state;
  static const ct_axes axes[] = {{0}, {1, {0}}, {1, {1}}};
  for (int k = 0; k < 3; k++)
    for (int at = 0; at < 3; at++) {
      float data[200 * 200];
      for (int i = 0; i < 200 * 200; i++) data[i] = (float)(i % 77) - 30;
      data[at * 19999] = NAN;
      data[at * 19999 + 1] = INFINITY;
      ct_axes over = k == 0 ? CT_ALL : axes[k];
      ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(200, 200)), *out[2], *want[2], *got[2];
      ct_tensor *value = ct_wrap(CT_F32, CT_SHAPE(200, 200), data, (ct_wrap_opts){0});
      for (int way = 0; way < 2; way++) {
        ct_tensor *y = ct_neg(ct_square(way ? value : x)), **to = way ? want : out;
        to[0] = ct_max(y, over, false);
        to[1] = ct_min(y, over, false);
      }
      ct_program *p = compiled(CT_LIST(x), (ct_list){2, out}, checked);
      assert_int_equal(count(p, "reduced"), 1);
      assert_ok(ct_run(p, CT_LIST(value), got));
      for (int o = 0; o < 2; o++) assert_close(got[o], want[o], "NaN");
      ct_program_release(&p);
    }
}

/* A result takes the memory of what is still to be summed in the same tile. */
static void sums_come_before_what_overwrites(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(50, 80)), *out[1], *want[1], *got[1];
  ct_tensor *value = ct_uniform(ct_key(1), CT_F32, CT_SHAPE(50, 80), 0.5, 1.5);
  for (int way = 0; way < 2; way++) {
    ct_tensor *a = ct_cumsum(way ? value : x, 1); /* in memory of its own */
    ct_tensor *y = ct_cumsum(ct_sqrt(a), 0), *sum = ct_sum(a, CT_AXES(0), false);
    (way ? want : out)[0] = ct_mul(y, sum);
  }
  ct_program *p = compiled(CT_LIST(x), CT_LIST(out[0]), checked);
  assert_int_equal(count(p, "reduced"), 1);
  int k = 0;
  while (strcmp(p->instr[k].op->name, "reduced") != 0) k++;
  assert_int_equal(p->value[ct__outs(&p->instr[k])[0]].base, p->value[p->instr[k].arg[0]].base);
  assert_ok(ct_run(p, CT_LIST(value), got));
  assert_close(got[0], want[0], "in place");
  ct_program_release(&p);
}

/* Nothing of the chain's size is kept. */
static void the_chain_is_not_written(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(1000, 1000));
  ct_tensor *y = ct_mean(ct_square(ct_tanh(x)), CT_ALL, false);
  ct_program *p = compiled(CT_LIST(x), CT_LIST(y), checked);
  assert_true(ct_program_info(p).arena <= 1024);
  ct_program_release(&p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_scope, close_scope)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(reductions_join_their_chain),      TEST(tails_lie_anywhere),       TEST(nan_wins),
      TEST(sums_come_before_what_overwrites), TEST(the_chain_is_not_written),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
