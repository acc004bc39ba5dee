/* Sweeps: a row times a far matrix that an outer product then updates, in one pass over it; rows
 * that nothing is added to. */
#include "isa.h"
#include "programs.h"

#include "cotangent.h"

static ct_tensor *waves(ct_dtype dtype, int64_t rows, int64_t columns) {
  ct_tensor *t = ct_sin(ct_scale(ct_arange(dtype, 0, (double)(rows * columns), 1), 0.7));
  return ct_reshape(t, CT_SHAPE(rows, columns));
}

/* y = (g W)^2 and W -= u^T g / 8; turned: all of W is seen transposed. */
typedef struct sweep_case {
  ct_dtype dtype;
  int64_t rows, columns;
  bool turned, by_rows; /* the rows of W are what g is multiplied with */
  bool swept;
} sweep_case;

static ct_tensor *swept_matrix(const sweep_case *c, int threads, ct_tensor **y) {
  int64_t n = c->rows, k = c->columns;
  ct_tensor *start = c->by_rows ? waves(c->dtype, n, k) : ct_transpose(waves(c->dtype, k, n), 0, 1);
  ct_tensor *w = ct_variable(c->turned ? ct_transpose(start, 0, 1) : start);
  ct_tensor *g = ct_placeholder(c->dtype, CT_SHAPE(1, k));
  ct_tensor *u = ct_placeholder(c->dtype, CT_SHAPE(1, n));
  ct_tensor *square = ct_square(ct_matmul(g, c->turned ? w : ct_transpose(w, 0, 1)));
  ct_tensor *outer = ct_matmul(ct_transpose(u, 0, 1), g);
  ct_tensor *step = ct_sub(w, ct_scale(c->turned ? ct_transpose(outer, 0, 1) : outer, 0.125));
  ct_program *p = updating(CT_LIST(g, u), CT_LIST(square), 1, &w, &step, threads ? checked : exact);
  assert_int_equal(count(p, "product_sweep"), threads && c->swept);
  int before = ct_threads();
  assert_ok(ct_set_threads(threads ? threads : 1));
  assert_ok(ct_run(p, CT_LIST(waves(c->dtype, 1, k), waves(c->dtype, 1, n)), y));
  assert_ok(ct_set_threads(before));
  ct_tensor *after = ct_detach(ct_contiguous(w));
  ct_program_release(&p);
  ct_release(&w);
  return after;
}

/* A row times a far matrix, which then is updated: one pass, for any number of threads. */
static void far_matrices_are_passed_over_once(void **state) {
  (void)state;
  const sweep_case cases[] = {
      {CT_F32, 403, 397, false, true, true}, {CT_F32, 403, 397, true, true, true},
      {CT_F64, 301, 283, false, true, true}, {CT_F64, 301, 283, true, true, true},
      {CT_F64, 67, 1030, false, true, true}, {CT_F32, 140001, 1, false, true, false},
      {CT_F32, 40, 30, false, true, false},  {CT_F32, 403, 397, false, false, false},
  };
  for (int i = 0; i < CT__COUNT(cases); i++) {
    ct_scope scope = ct_scope_begin();
    ct_tensor *want_y, *y, *other_y, *want = swept_matrix(&cases[i], 0, &want_y);
    ct_tensor *w = swept_matrix(&cases[i], 1, &y), *other = swept_matrix(&cases[i], 3, &other_y);
    double room = cases[i].dtype == CT_F32 ? 1e-5 : 1e-13, error, largest;
    assert_ok(ct_item(ct_max(ct_abs(ct_sub(w, want)), CT_ALL, false), &error));
    assert_true(error <= room);
    assert_ok(ct_item(ct_max(ct_abs(ct_sub(y, want_y)), CT_ALL, false), &error));
    assert_ok(ct_item(ct_max(want_y, CT_ALL, false), &largest));
    assert_true(error <= room * largest);
    size_t item = ct_dtype_size(cases[i].dtype);
    assert_memory_equal(ct_data(w), ct_data(other), (size_t)ct_size(w) * item);
    assert_memory_equal(ct_data(y), ct_data(other_y), (size_t)ct_size(y) * item);
    assert_ok(ct_scope_end(scope));
  }
}

/* Two such layers, one behind the other, and a first one whose input needs no cotangent. */
static void layers_are_swept_one_by_one(void **state) {
  (void)state;
  enum { LAYERS = 3, WIDTH = 380 };
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(1, WIDTH)), *y = x, *w[LAYERS], *g[LAYERS];
  ct_tensor *step[LAYERS], *start[LAYERS], *after[2][LAYERS];
  for (int i = 0; i < LAYERS; i++) {
    start[i] = ct_scale(waves(CT_F32, WIDTH, WIDTH), 0.1 + 0.01 * i);
    w[i] = ct_variable(start[i]);
    y = ct_tanh(ct_matmul(y, w[i]));
  }
  assert_ok(ct_grad(ct_sum(y, CT_ALL, false), (ct_list){LAYERS, w}, g));
  for (int i = 0; i < LAYERS; i++) step[i] = ct_sub(w[i], ct_scale(g[i], 0.01));
  for (int e = 0; e < 2; e++) {
    ct_program *p = updating(CT_LIST(x), CT_NONE, LAYERS, w, step, e ? exact : checked);
    assert_int_equal(count(p, "product_sweep"), e ? 0 : LAYERS - 1);
    assert_ok(ct_run(p, CT_LIST(waves(CT_F32, 1, WIDTH)), NULL));
    for (int i = 0; i < LAYERS; i++) {
      after[e][i] = ct_detach(ct_contiguous(w[i]));
      assert_ok(ct_assign(w[i], start[i]));
    }
    ct_program_release(&p);
  }
  for (int i = 0; i < LAYERS; i++) {
    double error;
    assert_ok(ct_item(ct_max(ct_abs(ct_sub(after[0][i], after[1][i])), CT_ALL, false), &error));
    assert_true(error <= 1e-6);
    ct_release(&w[i]);
  }
}

/* ---- rows that nothing is added to ----------------------------------------------------------- */

/* A layer u = relu(h), z = u W for which z's cotangent g is given: h's, and W -= rate u^T g. */
typedef struct layer {
  ct_dtype dtype;
  int64_t rows, columns;
  ct_tensor *h, *g, *w;
  double rate;
} layer;

static layer layer_of(ct_dtype dtype, int64_t rows, int64_t columns) {
  ct_tensor *h = ct_contiguous(waves(dtype, 1, rows)), *g = ct_contiguous(waves(dtype, 1, columns));
  return (layer){dtype, rows, columns, h, g, ct_contiguous(waves(dtype, rows, columns)), 0.125};
}

static void set(ct_tensor *t, ct_dtype dtype, int64_t at, double x) {
  if (dtype == CT_F32)
    ((float *)(void *)t->v.data)[at] = (float)x;
  else
    ((double *)(void *)t->v.data)[at] = x;
}

static double at(ct_tensor *t, int64_t i) { return tensor_value_at(ct_data(t), ct_dtype_of(t), i); }

/* h's cotangent and the new W. */
static void step(const layer *l, int threads, ct_compile_opts opts, ct_tensor *out[2]) {
  ct_tensor *w = ct_variable(l->w), *h = ct_placeholder(l->dtype, CT_SHAPE(1, l->rows));
  ct_tensor *g = ct_placeholder(l->dtype, CT_SHAPE(1, l->columns)), *gradient[2];
  ct_tensor *rate = ct_placeholder(l->dtype, CT_SCALAR);
  ct_tensor *z = ct_matmul(ct_relu(h), w);
  assert_ok(ct_grad(ct_sum(ct_mul(z, g), CT_ALL, false), CT_LIST(h, w), gradient));
  ct_tensor *next = ct_sub(w, ct_mul(gradient[1], rate));
  ct_program *p = updating(CT_LIST(h, g, rate), CT_LIST(gradient[0]), 1, &w, &next, opts);
  assert_int_equal(count(p, "masked_sweep"), !opts.exact);
  int before = ct_threads();
  assert_ok(ct_set_threads(threads));
  assert_ok(ct_run(p, CT_LIST(l->h, l->g, ct_scalar(l->dtype, l->rate)), out));
  assert_ok(ct_set_threads(before));
  out[1] = ct_detach(ct_contiguous(w));
  ct_program_release(&p);
  ct_release(&w);
}

/* Against the exact program, NaN for NaN; the same bits for any number of threads. */
static void compare(const layer *l) {
  static const int threads[] = {1, 2, 3, 8};
  ct_tensor *want[2], *got[CT__COUNT(threads)][2];
  step(l, 1, exact, want);
  for (int t = 0; t < CT__COUNT(threads); t++) step(l, threads[t], checked, got[t]);
  for (int k = 0; k < 2; k++) {
    size_t bytes = (size_t)ct_size(want[k]) * ct_dtype_size(l->dtype);
    for (int t = 1; t < CT__COUNT(threads); t++)
      assert_memory_equal(ct_data(got[0][k]), ct_data(got[t][k]), bytes);
    double room = l->dtype == CT_F32 ? 1e-4 : 1e-12;
    for (int64_t i = 0; i < ct_size(want[k]); i++) {
      double x = at(got[0][k], i), y = at(want[k], i);
      if (!(isnan(x) && isnan(y)) && x != y && !(fabs(x - y) <= room))
        fail_msg("result %d, element %d: %g, not %g", k, (int)i, x, y);
    }
  }
}

static const struct {
  ct_dtype dtype;
  int64_t rows, columns;
} layers[] = {{CT_F32, 403, 397}, {CT_F64, 67, 1030}, {CT_F32, 256, 128}, {CT_F64, 1000, 9}};

static void try_zero_rows(void) {
  static const double rates[] = {INFINITY, NAN, 0, 0.125};
  for (int i = 0; i < CT__COUNT(layers); i++) {
    ct_scope scope = ct_scope_begin();
    layer l = layer_of(layers[i].dtype, layers[i].rows, layers[i].columns);
    for (int r = 0; r < CT__COUNT(rates); r++) {
      l.rate = rates[r];
      compare(&l);
    }
    set(l.g, l.dtype, 7, INFINITY);
    compare(&l);
    set(l.g, l.dtype, 7, NAN);
    compare(&l);
    l = layer_of(l.dtype, l.rows, l.columns);
    for (int64_t j = 0; j < l.rows; j++) set(l.h, l.dtype, j, j % 2 ? -1 : -0.0);
    compare(&l); /* every row */
    for (int64_t j = 0; j < l.rows; j++) set(l.h, l.dtype, j, 1);
    compare(&l); /* none */
    assert_ok(ct_scope_end(scope));
  }
}

static void zero_rows_give_the_same(void **state) {
  (void)state;
  for_each_isa(try_zero_rows);
}

/* NaN in a row of W whose u is 0 is not seen, and -0 stays, since the row is neither read nor
 * written; where g is not finite both are. */
static void try_left_rows(void) {
  for (int i = 0; i < CT__COUNT(layers); i++) {
    ct_scope scope = ct_scope_begin();
    layer l = layer_of(layers[i].dtype, layers[i].rows, layers[i].columns);
    ct_tensor *out[2];
    int64_t row = 64 * l.columns;
    for (int64_t j = 0; j < l.rows; j++) set(l.h, l.dtype, j, (double)(j % 3 - 1));
    set(l.h, l.dtype, 64, -1);
    set(l.w, l.dtype, row, NAN);
    for (int64_t j = 1; j < l.columns; j++) set(l.w, l.dtype, row + j, -0.0);
    step(&l, 1, checked, out);
    assert_true(at(out[0], 64) == 0);
    assert_true(isnan(at(out[1], row)));
    for (int64_t j = 1; j < l.columns; j++) assert_true(signbit(at(out[1], row + j)));
    set(l.g, l.dtype, 1, INFINITY);
    step(&l, 1, checked, out);
    assert_true(isnan(at(out[0], 64)));
    assert_true(isnan(at(out[1], row + 1)));
    assert_ok(ct_scope_end(scope));
  }
}

static void zero_rows_are_left_alone(void **state) {
  (void)state;
  for_each_isa(try_left_rows);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scope, close_scope)
  const struct CMUnitTest tests[] = {
      TEST(far_matrices_are_passed_over_once),
      TEST(layers_are_swept_one_by_one),
      TEST(zero_rows_give_the_same),
      TEST(zero_rows_are_left_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
