/* Products of one row that leave out rows of a matrix: those that meet a 0, if all of the matrix is
 * known to be finite. 0 times a NaN or an infinity stays NaN, whoever wrote it. */
#include "failing_malloc.h"
#include "isa.h"
#include "programs.h"

#include "autograd/compile/bounds.h"
#include "cotangent.h"

#include <pthread.h>

typedef struct extents {
  ct_dtype dtype;
  int64_t k, n;
} extents;

/* Of W; whole panels, and columns or rows that are left over. */
static const extents matrices[] = {
    {CT_F32, 403, 397}, {CT_F32, 256, 128}, {CT_F32, 2051, 130}, {CT_F64, 67, 1030}};

/* Numbers between -1 and 1, others for each seed. */
static ct_tensor *waves(ct_dtype dtype, int64_t rows, int64_t columns, double seed) {
  ct_tensor *t = ct_arange(dtype, seed, seed + (double)(rows * columns), 1);
  return ct_contiguous(ct_reshape(ct_sin(ct_scale(t, 0.7 + 0.01 * seed)), CT_SHAPE(rows, columns)));
}

static void set(ct_tensor *t, int64_t at, double x) {
  if (ct_dtype_of(t) == CT_F32)
    ((float *)(void *)t->v.data)[at] = (float)x;
  else
    ((double *)(void *)t->v.data)[at] = x;
}

static double at(const ct_tensor *t, int64_t i) {
  return tensor_value_at(ct_data(t), ct_dtype_of(t), i);
}

/* NaN for NaN, infinities for infinities, the rest but for rounding. */
static void assert_alike(const ct_tensor *got, const ct_tensor *want, const char *when) {
  double room = ct_dtype_of(want) == CT_F32 ? 1e-5 : 1e-13, largest = 1;
  for (int64_t i = 0; i < ct_size(want); i++)
    if (isfinite(at(want, i))) largest = fmax(largest, fabs(at(want, i)));
  for (int64_t i = 0; i < ct_size(want); i++) {
    double x = at(got, i), y = at(want, i);
    if (!(isnan(x) && isnan(y)) && x != y && !(fabs(x - y) <= room * largest))
      fail_msg("%s: element %d is %g, not %g", when, (int)i, x, y);
  }
}

static void assert_same_bits(const ct_tensor *a, const ct_tensor *b) {
  assert_memory_equal(ct_data(a), ct_data(b), (size_t)ct_size(a) * ct_dtype_size(ct_dtype_of(a)));
}

/* Whether the program knows its only matrix to be finite, as it is now. */
static bool knows(const ct_program *p) {
  const ct__bound *b = p->bounds;
  assert_true(b && !b->next);
  return b->version == b->of->stamp && b->largest > 0 && b->largest < INFINITY;
}

static ct_tensor *result(ct_program *p, ct_tensor *x) {
  ct_tensor *y;
  assert_ok(ct_run(p, CT_LIST(x), &y));
  return y;
}

/* ---- programs without updates ---------------------------------------------------------------- */

/* y = (x W)^2. */
static ct_program *square_of(const extents *m, ct_tensor *w, ct_compile_opts opts) {
  ct_tensor *x = ct_placeholder(m->dtype, CT_SHAPE(1, m->k));
  return compiled(CT_LIST(x), CT_LIST(ct_square(ct_matmul(x, w))), opts);
}

/* Before the matrix is known and after, by any number of threads, the bits are the same; then a NaN
 * that nobody has been told of shows that its row is not read. */
static void try_rows_left_out(void) {
  static const int threads[] = {1, 2, 3, 8};
  for (int i = 0; i < CT__COUNT(matrices); i++) {
    const extents *m = &matrices[i];
    ct_scope scope = ct_scope_begin();
    ct_tensor *w = ct_variable(waves(m->dtype, m->k, m->n, 0));
    ct_tensor *x = ct_relu(waves(m->dtype, 1, m->k, 3)), *y;
    ct_program *p = square_of(m, w, checked), *q = square_of(m, w, exact);
    assert_null(q->bounds);
    int before = ct_threads();
    set(x, 5, 0);
    y = result(p, x);
    assert_false(knows(p));
    assert_alike(y, result(q, x), "first run");
    for (int t = 0; t < CT__COUNT(threads); t++) {
      assert_ok(ct_set_threads(threads[t]));
      assert_same_bits(result(p, x), y);
      assert_true(knows(p));
    }
    set(w, 5 * m->n, NAN);
    for (int t = 0; t < CT__COUNT(threads); t++) {
      assert_ok(ct_set_threads(threads[t]));
      assert_same_bits(result(p, x), y);
    }
    assert_ok(ct_set_threads(before));
    ct_program_release(&p);
    ct_program_release(&q);
    ct_release(&w);
    assert_ok(ct_scope_end(scope));
  }
}

static void rows_are_left_out(void **state) {
  (void)state;
  for_each_isa(try_rows_left_out);
}

/* What is not finite is seen as soon as it is there, and forgotten when it has gone. */
static void try_numbers_not_finite(void) {
  static const double bad[] = {NAN, INFINITY, -INFINITY};
  for (int i = 0; i < CT__COUNT(matrices) * CT__COUNT(bad); i++) {
    const extents *m = &matrices[i / CT__COUNT(bad)];
    ct_scope scope = ct_scope_begin();
    int64_t place = (m->k - 1) * m->n;
    ct_tensor *good = waves(m->dtype, m->k, m->n, 0), *other = waves(m->dtype, m->k, m->n, 0);
    ct_tensor *w = ct_variable(good), *x = ct_relu(waves(m->dtype, 1, m->k, 3));
    ct_program *p = square_of(m, w, checked), *q = square_of(m, w, exact);
    set(x, m->k - 1, 0);
    set(other, place, bad[i % CT__COUNT(bad)]);
    for (int round = 0; round < 3; round++) { /* from the start, by ct_assign, by ct_touch */
      if (round == 0) set(w, place, at(other, place));
      if (round == 1) assert_ok(ct_assign(w, other));
      if (round == 2) {
        set(w, place, at(other, place));
        assert_ok(ct_touch(w));
      }
      for (int run = 0; run < 3; run++) {
        assert_true(isnan(at(result(p, x), 0)));
        assert_alike(result(p, x), result(q, x), "not finite");
        assert_false(knows(p));
      }
      assert_ok(ct_assign(w, good));
      for (int run = 0; run < 3; run++) {
        assert_alike(result(p, x), result(q, x), "finite again");
        assert_int_equal(knows(p), run > 0);
      }
    }
    ct_program_release(&p);
    ct_program_release(&q);
    ct_release(&w);
    assert_ok(ct_scope_end(scope));
  }
}

static void what_is_not_finite_is_seen(void **state) {
  (void)state;
  for_each_isa(try_numbers_not_finite);
}

/* To look takes time: not for few zeros, nor at what changes from run to run. */
static void nobody_looks_in_vain(void **state) {
  (void)state;
  const extents *m = &matrices[0];
  ct_tensor *w = ct_variable(waves(m->dtype, m->k, m->n, 0)), *x = waves(m->dtype, 1, m->k, 3);
  ct_program *p = square_of(m, w, checked);
  for (int run = 0; run < 4; run++) {
    result(p, x);
    assert_true(p->bounds->largest == 0);
  }
  x = ct_relu(x);
  for (int run = 0; run < 4; run++) {
    assert_ok(ct_touch(w));
    result(p, x);
    assert_true(p->bounds->largest == 0);
  }
  result(p, x);
  assert_true(knows(p));
  ct_program_release(&p);
  ct_release(&w);
}

typedef struct shared {
  ct_program *p;
  ct_tensor *x, *y;
} shared;

static void *run_often(void *payload) {
  shared *s = payload;
  for (int run = 0; run < 20; run++) {
    ct_scope scope = ct_scope_begin();
    assert_same_bits(result(s->p, s->x), s->y);
    ct_scope_end(scope);
  }
  return NULL;
}

static void many_threads_look(void **state) {
  (void)state;
  enum { HOSTS = 4 };
  const extents *m = &matrices[0];
  pthread_t host[HOSTS];
  ct_tensor *w = ct_variable(waves(m->dtype, m->k, m->n, 0));
  shared s = {.p = square_of(m, w, checked), .x = ct_relu(waves(m->dtype, 1, m->k, 3))};
  s.y = result(s.p, s.x);
  for (int round = 0; round < 3; round++) {
    assert_ok(ct_touch(w));
    for (int i = 0; i < HOSTS; i++)
      assert_int_equal(pthread_create(&host[i], NULL, run_often, &s), 0);
    for (int i = 0; i < HOSTS; i++) assert_int_equal(pthread_join(host[i], NULL), 0);
    assert_true(knows(s.p));
  }
  ct_program_release(&s.p);
  ct_release(&w);
}

/* ---- programs with updates ------------------------------------------------------------------- */

/* z = u W for u = relu(h), and W -= rate u^T g: by an outer product, or by a sweep where h has a
 * cotangent. */
static ct_program *layer(const extents *m, ct_tensor *w, bool sweeps, ct_compile_opts opts) {
  ct_tensor *h = ct_placeholder(m->dtype, CT_SHAPE(1, m->k)), *gradient[2];
  ct_tensor *g = ct_placeholder(m->dtype, CT_SHAPE(1, m->n));
  ct_tensor *rate = ct_placeholder(m->dtype, CT_SCALAR), *z = ct_matmul(ct_relu(h), w);
  assert_ok(ct_grad(ct_sum(ct_mul(z, g), CT_ALL, false), CT_LIST(h, w), gradient));
  ct_tensor *next = ct_sub(w, ct_mul(gradient[1], rate)), *out[] = {z, gradient[0]};
  ct_program *p = updating(CT_LIST(h, g, rate), (ct_list){sweeps ? 2 : 1, out}, 1, &w, &next, opts);
  assert_int_equal(count(p, "masked_sweep"), sweeps && !opts.exact);
  assert_int_equal(count(p, "product_add"), !sweeps && !opts.exact);
  return p;
}

/* Of the fast program and of the exact one. */
typedef struct pair {
  const extents *m;
  ct_tensor *w[2];
  ct_program *p[2];
} pair;

static pair pair_of(const extents *m, bool sweeps) {
  pair s = {.m = m};
  for (int i = 0; i < 2; i++) {
    s.w[i] = ct_variable(waves(m->dtype, m->k, m->n, 0));
    s.p[i] = layer(m, s.w[i], sweeps, i ? exact : checked);
  }
  return s;
}

static void pair_end(pair *s) {
  for (int i = 0; i < 2; i++) {
    ct_program_release(&s->p[i]);
    ct_release(&s->w[i]);
  }
}

/* One step of both on the same numbers, other ones each time. */
static void step(const pair *s, int seed, double rate, double size) {
  ct_scope scope = ct_scope_begin();
  ct_tensor *h = waves(s->m->dtype, 1, s->m->k, seed), *out[2][2];
  ct_tensor *g = ct_contiguous(ct_scale(waves(s->m->dtype, 1, s->m->n, seed + 1), size));
  for (int i = 0; i < 2; i++)
    assert_ok(ct_run(s->p[i], CT_LIST(h, g, ct_scalar(s->m->dtype, rate)), out[i]));
  assert_alike(out[0][0], out[1][0], "product");
  assert_alike(s->w[0], s->w[1], "matrix");
  assert_ok(ct_scope_end(scope));
}

/* A step after which the next product meets numbers that are not finite, or none again. */
typedef struct event {
  double rate, size; /* f64: to the power of 10 */
  int finite;        /* all of W before the last steps */
} event;

static void try_updates(void) {
  static const event events[] = {
      {0.01, 1, 1}, {INFINITY, 1, 0}, {NAN, 1, 0}, {1e20, 1e30, 0}, {0.01, INFINITY, 0}};
  for (int i = 0; i < 2 * CT__COUNT(events) * CT__COUNT(matrices); i++) {
    const event *e = &events[i / 2 % CT__COUNT(events)];
    const extents *m = &matrices[i / 2 / CT__COUNT(events)];
    ct_scope scope = ct_scope_begin();
    pair s = pair_of(m, i % 2);
    for (int run = 0; run < 4; run++) {
      step(&s, run, 0.01, 1);
      assert_int_equal(knows(s.p[0]), run > 0); /* and what the update has made */
    }
    step(&s, 4, e->rate, m->dtype == CT_F64 ? pow(e->size, 10) : e->size);
    for (int run = 5; run < 8; run++) {
      step(&s, run, 0.01, 1);
      assert_int_equal(knows(s.p[0]), e->finite);
    }
    for (int k = 0; k < 2; k++) assert_ok(ct_assign(s.w[k], waves(m->dtype, m->k, m->n, 0)));
    for (int run = 0; run < 3; run++) {
      step(&s, run, 0.01, 1);
      assert_int_equal(knows(s.p[0]), run > 0);
    }
    pair_end(&s);
    assert_ok(ct_scope_end(scope));
  }
}

static void updates_are_followed(void **state) {
  (void)state;
  for_each_isa(try_updates);
}

/* Large numbers that are finite are looked at again when the bound says no more. */
static void bounds_are_taken_again(void **state) {
  (void)state;
  pair s = pair_of(&matrices[0], true);
  step(&s, 0, 0.01, 1);
  step(&s, 1, 0.01, 1);
  step(&s, 2, 1e-30, 3e38);
  assert_false(knows(s.p[0]));
  step(&s, 3, 0.01, 1);
  assert_true(knows(s.p[0]));
  assert_true(s.p[0]->bounds->largest < 1e10);
  pair_end(&s);
}

/* What one program knows does not hold for what another one has made. */
static void programs_take_turns(void **state) {
  (void)state;
  const extents *m = &matrices[0];
  pair a = pair_of(m, true), b = {.m = m, .w = {a.w[0], a.w[1]}};
  for (int i = 0; i < 2; i++) b.p[i] = layer(m, b.w[i], false, i ? exact : checked);
  for (int run = 0; run < 12; run++) {
    const pair *s = run / 2 % 2 ? &b : &a;
    step(s, run, run == 9 ? INFINITY : 0.01, 1);
    assert_int_equal(knows(s->p[0]), run % 2 && run < 8);
  }
  for (int i = 0; i < 2; i++) ct_program_release(&b.p[i]);
  pair_end(&a);
}

/* W' = W - rate u^T g is a matrix of its own, W times factors the new W. */
static void another_variable_is_made_of_it(void **state) {
  (void)state;
  const extents *m = &matrices[0];
  for (int e = 0; e < 2; e++) {
    ct_tensor *w[2] = {ct_variable(waves(m->dtype, m->k, m->n, 0)),
                       ct_variable(waves(m->dtype, m->k, m->n, 1))};
    ct_tensor *u = ct_placeholder(m->dtype, CT_SHAPE(1, m->k));
    ct_tensor *g = ct_placeholder(m->dtype, CT_SHAPE(1, m->n));
    ct_tensor *factor = ct_placeholder(m->dtype, CT_SHAPE(m->k, m->n)), *y;
    ct_tensor *outer = ct_matmul(ct_transpose(u, 0, 1), g);
    ct_tensor *next[2] = {ct_mul(w[0], factor), ct_sub(w[0], ct_scale(outer, 0.01))};
    ct_program *p = updating(CT_LIST(u, g, factor), CT_LIST(ct_matmul(u, w[0])), 2, w, next,
                             e ? exact : checked);
    ct_tensor *x = ct_relu(waves(m->dtype, 1, m->k, 3)), *b = waves(m->dtype, 1, m->n, 4);
    ct_tensor *factors = ct_contiguous(ct_full(m->dtype, CT_SHAPE(m->k, m->n), 0.9));
    assert_int_equal(count(p, "product_add"), !e);
    set(x, 5, 0);
    for (int run = 0; run < 6; run++) {
      if (run == 4) set(factors, 5 * m->n, INFINITY);
      assert_ok(ct_run(p, CT_LIST(x, b, factors), &y));
      assert_int_equal(isnan(at(y, 0)), run == 5);
    }
    ct_program_release(&p);
    for (int i = 0; i < 2; i++) ct_release(&w[i]);
  }
}

/* The new W is a result, too: so it is made before the old one is read. */
static void what_is_made_before_is_not_known(void **state) {
  (void)state;
  const extents *m = &matrices[0];
  ct_tensor *w = ct_variable(waves(m->dtype, m->k, m->n, 0)), *y[2];
  ct_tensor *u = ct_placeholder(m->dtype, CT_SHAPE(1, m->k));
  ct_tensor *g = ct_placeholder(m->dtype, CT_SHAPE(1, m->n));
  ct_tensor *label = ct_placeholder(CT_I32, CT_SHAPE(1));
  ct_tensor *next = ct_sub(w, ct_scale(ct_matmul(ct_transpose(u, 0, 1), g), 1e30));
  ct_tensor *loss = ct_cross_entropy(ct_matmul(u, w), label);
  ct_program *p = updating(CT_LIST(u, g, label), CT_LIST(next, loss), 1, &w, &next, checked);
  assert_int_equal(count(p, "product_add"), 1);
  assert_string_equal(p->instr[0].op->name, "product_add");
  ct_tensor *left = ct_relu(waves(m->dtype, 1, m->k, 3));
  ct_tensor *large = ct_contiguous(ct_full(m->dtype, CT_SHAPE(1, m->n), 1e30));
  ct_tensor *good = ct_contiguous(ct_full(CT_I32, CT_SHAPE(1), 0));
  ct_tensor *bad = ct_contiguous(ct_full(CT_I32, CT_SHAPE(1), -1));
  ct_tensor *small = ct_contiguous(ct_zeros(m->dtype, CT_SHAPE(1, m->n)));
  set(left, 5, 0);
  assert_ok(ct_run(p, CT_LIST(left, small, good), y));
  assert_fails(ct_run(p, CT_LIST(left, small, bad), y), CT_EINDEX, "label -1");
  assert_ok(ct_run(p, CT_LIST(left, large, good), y)); /* infinities where left is not 0 */
  assert_false(knows(p));
  ct_program_release(&p);
  ct_release(&w);
}

/* A run that allocates its result alone: that comes from free lists. */
static void runs_allocate_nothing(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  pair s = pair_of(&matrices[0], true);
  for (int run = 0; run < 4; run++) step(&s, run, 0.01, 1);
  long calls = heap_calls();
  for (int run = 0; run < 4; run++) step(&s, run, 0.01, 1);
  assert_int_equal(heap_calls(), calls);
  assert_true(knows(s.p[0]));
  pair_end(&s);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scope, close_scope)
  const struct CMUnitTest tests[] = {
      TEST(rows_are_left_out),
      TEST(what_is_not_finite_is_seen),
      TEST(nobody_looks_in_vain),
      TEST(many_threads_look),
      TEST(updates_are_followed),
      TEST(bounds_are_taken_again),
      TEST(programs_take_turns),
      TEST(another_variable_is_made_of_it),
      TEST(what_is_made_before_is_not_known),
      TEST(runs_allocate_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
