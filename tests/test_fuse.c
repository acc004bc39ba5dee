/* Chains of elementwise operations as one instruction: which are, and that they have the bits of
 * the operations one by one. */
#include "programs.h"

#include "autograd/compile/tile.h"
#include "cotangent.h"
#include "tensor/pool.h"

/* ---- same bits ------------------------------------------------------------------------------- */

static bool same_number(const char *a, const char *b, ct_dtype dtype) {
  if (memcmp(a, b, ct_dtype_size(dtype)) == 0) return true;
  double x = tensor_value_at(a, dtype, 0), y = tensor_value_at(b, dtype, 0);
  return x != x && y != y;
}

static void assert_same_bits(ct_tensor *got, ct_tensor *want, const char *what) {
  assert_false(ct_is_nil(got) || ct_is_nil(want));
  assert_int_equal(ct_dtype_of(got), ct_dtype_of(want));
  assert_int_equal(ct_size(got), ct_size(want));
  const char *a = ct_data(ct_contiguous(got)), *b = ct_data(ct_contiguous(want));
  size_t item = ct_dtype_size(ct_dtype_of(got));
  for (int64_t i = 0; i < ct_size(got); i++)
    if (!same_number(a + (size_t)i * item, b + (size_t)i * item, ct_dtype_of(got))) {
      print_error("%s: element %lld is %.17g, not %.17g\n", what, (long long)i,
                  tensor_value_at(a, ct_dtype_of(got), i), tensor_value_at(b, ct_dtype_of(got), i));
      fail();
    }
}

/* ---- random chains --------------------------------------------------------------------------- */

static uint64_t random_state;
static int below(int n) { /* splitmix64 */
  uint64_t z = random_state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return (int)((z ^ z >> 31) % (uint64_t)n);
}

enum { LEAVES = 6, STEPS = 24, OUTPUTS = 3, MOST_OUT = OUTPUTS + LEAVES };

static const ct_shape shapes[] = {{0},
                                  {1, {1023}},
                                  {1, {1024}},
                                  {1, {1025}},
                                  {1, {4097}},
                                  {1, {3}},
                                  {2, {3, 5}},
                                  {2, {37, 10}},
                                  {2, {9, 256}},
                                  {2, {2, 1100}},
                                  {3, {4, 3, 50}},
                                  {3, {2, 1, 7}},
                                  {2, {0, 4}},
                                  {2, {700, 3}},
                                  {2, {1, 1}},
                                  {4, {3, 2, 5, 7}},
                                  {3, {40, 30, 2}},
                                  {2, {65, 64}},
                                  {3, {70, 31, 20}}};

/* How a leaf lies: whole, or repeated along some axes, or seen through a view. */
enum { WHOLE, ROW, COLUMN, NUMBER, TURNED, BACKWARDS, EVERY_OTHER, KINDS };

static ct_shape leaf_shape(ct_shape s, int kind) {
  if (kind == NUMBER) return (ct_shape){0};
  if (s.n == 0) return s;
  if (kind == ROW) return (ct_shape){1, {s.dim[s.n - 1]}};
  if (kind == COLUMN) s.dim[s.n - 1] = 1;
  if (kind == EVERY_OTHER) s.dim[s.n - 1] *= 2;
  if (kind == TURNED) {
    int64_t first = s.dim[0];
    s.dim[0] = s.dim[s.n - 1];
    s.dim[s.n - 1] = first;
  }
  return s;
}

static ct_tensor *leaf_view(ct_tensor *x, int kind) {
  int n = ct_ndim(x);
  if (n == 0) return x;
  if (kind == TURNED) return ct_transpose(x, 0, n - 1);
  if (kind == BACKWARDS) return ct_flip(x, CT_AXES(n - 1));
  if (kind == EVERY_OTHER) return ct_slice(x, n - 1, 0, ct_dim(x, n - 1), 2);
  return x;
}

static ct_tensor *pick(ct_tensor *const *t, int n, ct_dtype dtype) {
  for (int tries = 0; tries < 4 * n; tries++) {
    ct_tensor *x = t[below(n)];
    if (ct_dtype_of(x) == dtype) return x;
  }
  return NULL;
}

/* A random elementwise operation of those without attributes, on values that there are. */
static ct_tensor *random_step(ct_tensor *const *t, int n) {
  static const ct_dtype dtypes[] = {CT_F32, CT_F64, CT_I32, CT_BOOL};
  int kind = below(12);
  ct_tensor *x = t[below(n)];
  bool is_float = ct_dtype_of(x) == CT_F32 || ct_dtype_of(x) == CT_F64;
  if (kind == 0) return ct_cast(x, dtypes[below(4)]);
  if (kind == 1 && is_float) return ct_scale(x, 0.75);
  if (kind == 2 && is_float) return ct_shift(x, -0.5);
  if (kind == 3 && is_float) return ct_clamp(x, -1, 1);
  if (kind == 4 && is_float) return ct_leaky_relu(x, 0.1);
  for (;;) {
    const ct_op *op = ct_op_at(below(ct_op_count()));
    ct_dtype dtype = dtypes[below(4)];
    if (!(op->flags & CT_ELEMENTWISE) || !op->kernel || op->attr_size || op->n_in < 1) continue;
    if (op->n_in > 3 || !op->kernel->loop[dtype] || strcmp(op->name, "polygamma") == 0) continue;
    ct_tensor *in[3];
    bool found = true;
    for (int i = 0; i < op->n_in; i++) {
      in[i] = pick(t, n, op->n_in == 3 && i == 0 ? CT_BOOL : dtype);
      found &= in[i] != NULL;
    }
    if (found) return ct_apply(op, (ct_list){op->n_in, in});
  }
}

typedef struct chain {
  ct_shape shape;
  int kind[LEAVES];
  uint64_t seed;
} chain;

/* Values, then gradients of the float leaves by the sum of one of them; how many. */
static int build(const chain *c, ct_tensor *const *leaf, ct_tensor **out) {
  ct_tensor *t[LEAVES + STEPS], *x[LEAVES], *g[LEAVES];
  int n = 0, n_x = 0, n_out = 0;
  random_state = c->seed;
  for (int i = 0; i < LEAVES; i++) t[n++] = leaf_view(leaf[i], c->kind[i]);
  for (int i = 0; i < STEPS; i++, n++) t[n] = random_step(t, n);
  for (int i = 0; i < OUTPUTS; i++) out[n_out++] = t[LEAVES + below(STEPS)];
  ct_tensor *y = ct_cast(t[n - 1], CT_F64);
  for (int i = 0; i < LEAVES; i++)
    if (ct_dtype_of(leaf[i]) == CT_F32 || ct_dtype_of(leaf[i]) == CT_F64) x[n_x++] = leaf[i];
  assert_ok(ct_grad(ct_sum(y, CT_ALL, false), (ct_list){n_x, x}, g));
  for (int i = 0; i < n_x; i++) out[n_out++] = g[i];
  return n_out;
}

static const ct_dtype leaf_dtype[LEAVES] = {CT_F32, CT_F32, CT_F64, CT_F32, CT_I32, CT_BOOL};

static ct_tensor *leaf_value(int i, ct_shape shape) {
  ct_tensor *x = ct_uniform(ct_key(random_state + (uint64_t)i), CT_F32, shape, -3, 3);
  return leaf_dtype[i] == CT_BOOL ? ct_gt(x, ct_zeros(CT_F32, CT_SCALAR))
                                  : ct_cast(x, leaf_dtype[i]);
}

static void run_chain(const chain *c) {
  ct_tensor *symbol[LEAVES], *holder[LEAVES], *value[LEAVES], *out[MOST_OUT], *want[MOST_OUT],
      *got[MOST_OUT];
  for (int i = 0; i < LEAVES; i++) {
    ct_shape s = leaf_shape(c->shape, c->kind[i]);
    symbol[i] = ct_placeholder(leaf_dtype[i], s);
    value[i] = leaf_value(i, s);
    holder[i] =
        leaf_dtype[i] == CT_F32 || leaf_dtype[i] == CT_F64 ? ct_variable(value[i]) : value[i];
  }
  int n = build(c, symbol, out);
  assert_int_equal(build(c, holder, want), n);
  ct_program *p = compiled((ct_list){LEAVES, symbol}, (ct_list){n, out}, exact);
  for (int threads = 1; threads <= 8; threads = threads < 3 ? threads + 1 : threads + 5) {
    assert_ok(ct_set_threads(threads));
    ct__piece_weight = threads == 1 ? 1 << 16 : 1 << 10;
    assert_ok(ct_run(p, (ct_list){LEAVES, value}, got));
    for (int i = 0; i < n; i++) assert_same_bits(got[i], want[i], "a chain");
  }
  ct_program_release(&p);
  for (int i = 0; i < LEAVES; i++)
    if (holder[i] != value[i]) ct_release(&holder[i]);
}

static void chains_have_the_bits_of_eager_operations(void **state) {
  (void)state;
  int64_t piece = ct__piece_weight;
  int threads = ct_threads();
  for (uint64_t seed = 1; seed <= 150; seed++) {
    ct_scope s = ct_scope_begin();
    random_state = seed * 1000;
    chain c = {.shape = shapes[seed % (sizeof shapes / sizeof shapes[0])], .seed = seed};
    for (int i = 0; i < LEAVES; i++) c.kind[i] = i == 0 ? WHOLE : below(KINDS);
    run_chain(&c);
    ct_scope_end(s);
  }
  ct__piece_weight = piece;
  assert_ok(ct_set_threads(threads));
}

/* ---- what becomes one ------------------------------------------------------------------------ */

typedef struct shape_case {
  const char *name;
  ct_tensor *(*of)(ct_tensor *x, ct_tensor *w, ct_tensor **more);
  int n_out, instructions, fused;
} shape_case;

static ct_tensor *chain_of_five(ct_tensor *x, ct_tensor *w, ct_tensor **more) {
  (void)w, (void)more;
  return ct_shift(ct_scale(ct_tanh(ct_shift(ct_scale(x, 2), 1)), 3), 4);
}

static ct_tensor *single(ct_tensor *x, ct_tensor *w, ct_tensor **more) {
  (void)w, (void)more;
  return ct_tanh(x);
}

static ct_tensor *inner_result(ct_tensor *x, ct_tensor *w, ct_tensor **more) {
  (void)w;
  *more = ct_exp(x);
  return ct_sin(ct_scale(*more, 2));
}

static ct_tensor *diamond(ct_tensor *x, ct_tensor *w, ct_tensor **more) {
  (void)w, (void)more;
  ct_tensor *y = ct_exp(x);
  return ct_mul(ct_sin(y), ct_cos(y));
}

/* The way through the sum leaves the shape: one instruction would wait for itself. */
static ct_tensor *around(ct_tensor *x, ct_tensor *w, ct_tensor **more) {
  (void)w, (void)more;
  ct_tensor *y = ct_exp(x);
  return ct_div(y, ct_sum(y, CT_ALL, false));
}

/* What is wanted late waits for it. */
static ct_tensor *late(ct_tensor *x, ct_tensor *w, ct_tensor **more) {
  (void)more;
  ct_tensor *decayed = ct_sub(w, ct_scale(w, 0.25));
  return ct_sub(decayed, ct_scale(ct_cumsum(ct_cumsum(x, 0), 1), 0.5));
}

static ct_tensor *broadcast(ct_tensor *x, ct_tensor *w, ct_tensor **more) {
  (void)more;
  ct_tensor *row = ct_scale(ct_exp(ct_sum(w, CT_AXES(0), false)), 0.5); /* a chain of its own */
  return ct_relu(ct_add(ct_mul(x, row), row));
}

static ct_tensor *casts(ct_tensor *x, ct_tensor *w, ct_tensor **more) {
  (void)more;
  return ct_mul(x, ct_cast(ct_gt(x, w), CT_F32));
}

/* 0 times infinity is 0. */
static ct_tensor *zeros(ct_tensor *x, ct_tensor *w, ct_tensor **more) {
  ct_tensor *y = ct_shift(ct_reciprocal(w), 1);
  *more = ct_mul0(x, y);
  return ct_add(ct_mul0(ct_neg(x), ct_reciprocal(w)), ct_mul0(x, ct_square(y)));
}

static const shape_case cases[] = {
    {"a chain", chain_of_five, 1, 1, 1},
    {"one operation", single, 1, 1, 0},
    {"a result within", inner_result, 2, 1, 1},
    {"a diamond", diamond, 1, 1, 1},
    {"around a sum", around, 1, 3, 0},
    {"late", late, 1, 3, 1},
    {"broadcast", broadcast, 1, 3, 2},
    {"casts", casts, 1, 1, 1},
    {"zeros", zeros, 2, 1, 1},
};

static void chains_become_one(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(8, 8)),
              *w = ct_placeholder(CT_F32, CT_SHAPE(8, 8));
    ct_tensor *out[2], *got[2], *want[2];
    ct_tensor *a = ct_relu(ct_uniform(ct_key(1), CT_F32, CT_SHAPE(8, 8), -1, 1));
    ct_tensor *b = ct_relu(ct_uniform(ct_key(2), CT_F32, CT_SHAPE(8, 8), -1, 1));
    out[0] = cases[i].of(x, w, &out[1]);
    want[0] = cases[i].of(a, b, &want[1]);
    ct_program *p = compiled(CT_LIST(x, w), (ct_list){cases[i].n_out, out}, exact);
    assert_ok(ct_run(p, CT_LIST(a, b), got));
    for (int o = 0; o < cases[i].n_out; o++) assert_same_bits(got[o], want[o], cases[i].name);
    if (p->n_instrs != cases[i].instructions || count(p, "fused") != cases[i].fused) {
      print_error("%s: %d instructions, %d fused\n", cases[i].name, p->n_instrs, count(p, "fused"));
      fail();
    }
    ct_program_release(&p);
  }
}

/* Functions of one number, and their derivative. */
static ct_tensor *of_one_number(ct_tensor *x, ct_tensor **slope) {
  ct_tensor *y = x;
  for (int i = 0; i < 40; i++)
    y = i % 16 == 15  ? ct_sin(y)
        : i % 16 == 7 ? ct_tanh(y)
        : i % 8 == 3  ? ct_hypot(x, y)
                      : ct_mul(y, x);
  assert_ok(ct_grad(y, CT_LIST(x), slope));
  return y;
}

static void chains_on_one_number_join(void **state) {
  (void)state;
  static const double values[] = {0.9, -1.1, 0, -0.0, 1e30, (double)INFINITY, (double)NAN};
  static const ct_dtype dtypes[] = {CT_F32, CT_F64};
  for (int d = 0; d < 2; d++) {
    ct_tensor *x = ct_placeholder(dtypes[d], CT_SCALAR), *out[2], *got[2], *want[2];
    out[0] = of_one_number(x, &out[1]);
    ct_program *p = compiled(CT_LIST(x), CT_LIST(out[0], out[1]), exact);
    const ct__tile *t = ((const ct__fused *)p->instr[0].attr)->tile;
    assert_true(p->n_instrs == 1 && t->step[0].joint && t->step[0].n_joint == t->n_steps - 1);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
      ct_tensor *a = ct_variable(ct_scalar(dtypes[d], values[i]));
      want[0] = of_one_number(a, &want[1]);
      assert_ok(ct_run(p, CT_LIST(a), got));
      for (int o = 0; o < 2; o++) assert_same_bits(got[o], want[o], "of a number");
      ct_release(&a);
    }
    ct_program_release(&p);
  }
}

/* More registers than a tile of one number has: results go in the place of what they are made of.
 */
static ct_tensor *sines(ct_tensor *x, ct_tensor **slope) {
  ct_tensor *y = x, *sum = x;
  for (int i = 0; i < 400; i++) {
    y = ct_sin(y);
    sum = ct_add(ct_mul(sum, y), y);
  }
  assert_ok(ct_grad(sum, CT_LIST(x), slope));
  return sum;
}

static void long_chains_on_one_number_are_cut(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F32, CT_SCALAR), *a = ct_variable(ct_scalar(CT_F32, 1.1));
  ct_tensor *out[2], *got[2], *want[2];
  out[0] = sines(x, &out[1]);
  want[0] = sines(a, &want[1]);
  ct_program *p = compiled(CT_LIST(x), CT_LIST(out[0], out[1]), exact);
  assert_true(p->n_instrs > 1 && count(p, "fused") == p->n_instrs);
  for (int run = 0; run < 2; run++) {
    assert_ok(ct_run(p, CT_LIST(a), got));
    for (int o = 0; o < 2; o++) assert_same_bits(got[o], want[o], "sines");
  }
  ct_program_release(&p);
  ct_release(&a);
}

/* More inputs, and more results, than there are registers. */
static void long_chains_are_cut(void **state) {
  (void)state;
  enum { N = 100 };
  ct_tensor *x[N], *value[N], *y[N], *got[N], *sum = NULL, *want = NULL;
  for (int i = 0; i < N; i++) {
    x[i] = ct_placeholder(CT_F64, CT_SHAPE(7));
    value[i] = ct_uniform(ct_key((uint64_t)i), CT_F64, CT_SHAPE(7), -1, 1);
    sum = sum ? ct_add(sum, ct_exp(x[i])) : x[i];
    want = want ? ct_add(want, ct_exp(value[i])) : value[i];
  }
  ct_program *p = compiled((ct_list){N, x}, CT_LIST(sum), exact);
  assert_true(p->n_instrs >= 4 && p->n_instrs <= 8);
  assert_ok(ct_run(p, (ct_list){N, value}, got));
  assert_same_bits(got[0], want, "a hundred inputs");
  ct_program_release(&p);
  for (int i = 0; i < N; i++) y[i] = ct_sin(i ? y[i - 1] : x[0]);
  p = compiled(CT_LIST(x[0]), (ct_list){N, y}, exact);
  assert_true(p->n_instrs >= 4 && p->n_instrs <= 8);
  assert_string_equal(p->instr[0].steps, "sin sin sin sin sin sin sin sin sin sin sin sin sin sin "
                                         "sin sin sin sin ...");
  assert_ok(ct_run(p, CT_LIST(value[0]), got));
  for (int i = 0; i < N; i++)
    assert_same_bits(got[i], want = ct_sin(i ? want : value[0]), "a sine");
  ct_program_release(&p);
  for (int i = 0; i < N; i++) y[0] = ct_tanh(i ? y[0] : x[0]);
  p = compiled(CT_LIST(x[0]), CT_LIST(y[0]), exact);
  assert_int_equal(p->n_instrs, 1);
  ct_program_release(&p);
}

/* A step of an optimizer is one pass over gradient, state and parameter, which stay in place. */
static void updates_are_one_pass(void **state) {
  (void)state;
  ct_tensor *start = ct_uniform(ct_key(1), CT_F32, CT_SHAPE(33, 40), -1, 1);
  ct_tensor *gradient = ct_uniform(ct_key(2), CT_F32, CT_SHAPE(33, 40), -1, 1);
  ct_tensor *v[2][3], *g = ct_placeholder(CT_F32, CT_SHAPE(33, 40));
  for (int i = 0; i < 6; i++) v[i / 3][i % 3] = ct_variable(start);
  ct_program *p = NULL;
  for (int way = 0; way < 2; way++) {
    ct_tensor *const *t = v[way], *d = way ? gradient : g;
    ct_tensor *m1 = ct_add(ct_scale(t[1], 0.9), ct_scale(d, 0.1));
    ct_tensor *m2 = ct_add(ct_scale(t[2], 0.99), ct_scale(ct_square(d), 0.01));
    ct_tensor *w = ct_sub(t[0], ct_scale(ct_div(m1, ct_shift(ct_sqrt(m2), 1e-3)), 0.05));
    ct_tensor *next[3] = {w, ct_sub(m1, t[0]), m2};
    if (!way) assert_ok(ct_build_begin());
    for (int i = 0; i < 3; i++) assert_ok(ct_assign(t[i], way ? ct_detach(next[i]) : next[i]));
    if (way) continue;
    p = compiled(CT_LIST(g), CT_NONE, exact);
    assert_ok(ct_build_end());
  }
  assert_int_equal(p->n_instrs, 1);
  assert_int_equal(p->arena, 0);
  assert_ok(ct_run(p, CT_LIST(gradient), NULL));
  for (int i = 0; i < 3; i++) assert_same_bits(v[0][i], v[1][i], "an update");
  ct_program_release(&p);
  for (int i = 0; i < 6; i++) ct_release(&v[i / 3][i % 3]);
}

/* Two results take the places of two operands, of which the first is read once more behind it. */
static void results_take_the_place_of_operands(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(50, 50)), *y[2], *want[2], *got[1];
  ct_tensor *value = ct_uniform(ct_key(1), CT_F32, CT_SHAPE(50, 50), -1, 1);
  for (int way = 0; way < 2; way++) {
    ct_tensor *m = way ? value : x, **out = way ? want : y;
    ct_tensor *a = ct_cumsum(m, 0), *b = ct_cumsum(m, 1);
    ct_tensor *e = ct_sin(ct_add(b, a)), *f = ct_sub(ct_tanh(ct_mul(e, e)), b);
    out[0] = ct_matmul(e, f);
  }
  ct_program *p = compiled(CT_LIST(x), CT_LIST(y[0]), exact);
  assert_int_equal(count(p, "fused"), 1);
  assert_true(p->arena < 2 * 50 * 50 * sizeof(float) + 2 * 64);
  assert_ok(ct_run(p, CT_LIST(value), got));
  assert_same_bits(got[0], want[0], "a product of two results");
  ct_program_release(&p);
}

/* So much that the result of a chain goes past the caches, and that of several steps holds what
 * comes before it. */
static void far_results_have_the_same_bits(void **state) {
  (void)state;
  enum { N = 3000001 };
  ct_tensor *x[2], *value[2], *y[2], *z[2], *got[2];
  for (int i = 0; i < 2; i++) {
    x[i] = ct_placeholder(CT_F32, CT_SHAPE(N));
    value[i] = ct_uniform(ct_key((uint64_t)i), CT_F32, CT_SHAPE(N), -1, 1);
  }
  for (int way = 0; way < 2; way++) {
    ct_tensor *const *in = way ? value : x;
    y[way] = ct_sub(ct_mul(in[0], in[1]), in[0]);
    z[way] = ct_mul(ct_sin(ct_tanh(ct_add(in[0], in[1]))), in[1]);
  }
  for (int k = 0; k < 2; k++) {
    ct_program *p = compiled((ct_list){2, x}, CT_LIST(k ? z[0] : y[0]), exact);
    assert_int_equal(p->n_instrs, 1);
    assert_ok(ct_run(p, (ct_list){2, value}, &got[k]));
    assert_same_bits(got[k], k ? z[1] : y[1], "a far result");
    ct_program_release(&p);
  }
}

/* ---- tiles alone ----------------------------------------------------------------------------- */

static void add(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  (void)attr;
  for (int64_t i = 0; i < n; i++)
    ((float *)(void *)p[2])[i * s[2]] = ((const float *)(const void *)p[0])[i * s[0]] +
                                        ((const float *)(const void *)p[1])[i * s[1]];
}

/* y0 = a + b, y1 = y0 + a, y2 = y1 + y1: out of any layout, and where a lies though a is still
 * needed. */
static void results_lie_anywhere(void **state) {
  (void)state;
  static const ct__tile_step step[] = {
      {.loop = add, .n = 2, .reg = {0, 1, 2}},
      {.loop = add, .n = 2, .reg = {2, 0, 3}},
      {.loop = add, .n = 2, .reg = {3, 3, 4}},
  };
  static const ct_dtype dtype[] = {CT_F32, CT_F32, CT_F32, CT_F32, CT_F32};
  static const int out[] = {2, 4};
  static const ct__tile t = {2, 2, 3, 5, step, dtype, out, NULL, 0, NULL};
  static const int64_t sizes[] = {1, 5, 1023, 1024, 1025, 5000};
  static float a[20000], b[20000], y[20000];
  for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
    for (int way = 0; way < 4; way++) {
      int64_t n = sizes[k], step_of[] = {1, -1, 2, 1};
      for (int i = 0; i < 20000; i++) a[i] = (float)(i % 97), b[i] = (float)(i % 89) / 8;
      ct_view v = {
          .dtype = CT_F32, .ndim = 1, .dim = {n}, .stride = {1}, .size = n, .contiguous = true};
      ct_view x0 = v, x1 = v, y0 = v, y1 = v;
      x0.data = (char *)a;
      x1.data = (char *)b;
      y0.data = (char *)(way == 3 ? a : y); /* in the place of a */
      y1.data = (char *)(y + (step_of[way] < 0 ? 10000 + n - 1 : 10000 - (way == 2 ? 2500 : 0)));
      y1.stride[0] = step_of[way];
      if (way == 2) y1.data = (char *)(y + 5000);
      ct__view_refresh(&y1);
      ct__tile_run(&t, (const ct_view *[]){&x0, &x1}, (ct_view *[]){&y0, &y1}, NULL);
      for (int64_t i = 0; i < n; i++) {
        float sum = (float)(i % 97) + (float)(i % 89) / 8, all = 2 * (sum + (float)(i % 97));
        assert_true(((float *)(void *)y0.data)[i] == sum);
        assert_true(((float *)(void *)y1.data)[i * y1.stride[0]] == all);
      }
    }
}

/* What repeats from row to row is there again when a longer tile follows a shorter one. */
static void repeated_rows_stay(void **state) {
  (void)state;
  enum { PLANES = 90, ROWS = 31, COLUMNS = 20, PITCH = ROWS * COLUMNS + 4 };
  static const ct__tile_step step[] = {{.loop = add, .n = 2, .reg = {0, 1, 2}}};
  static const ct_dtype dtype[] = {CT_F32, CT_F32, CT_F32};
  static const int out[] = {2};
  static const ct__tile t = {2, 1, 1, 3, step, dtype, out, NULL, 0, NULL};
  static float a[PLANES * PITCH], row[COLUMNS], y[PLANES * PITCH];
  ct_view x0 = {.data = (char *)a,
                .dtype = CT_F32,
                .ndim = 3,
                .dim = {PLANES, ROWS, COLUMNS},
                .stride = {PITCH, COLUMNS, 1}};
  ct_view x1 = {.data = (char *)row, .dtype = CT_F32, .ndim = 1, .dim = {COLUMNS}, .stride = {1}},
          y0 = x0;
  ct__view_refresh(&x0);
  ct__view_refresh(&x1);
  ct__view_refresh(&y0);
  y0.data = (char *)y;
  for (int i = 0; i < PLANES * PITCH; i++) a[i] = (float)(i % 101);
  for (int i = 0; i < COLUMNS; i++) row[i] = (float)i / 32;
  int64_t piece = ct__piece_weight;
  ct__piece_weight = 1;
  ct__tile_run(&t, (const ct_view *[]){&x0, &x1}, (ct_view *[]){&y0}, NULL);
  ct__piece_weight = piece;
  for (int i = 0; i < PLANES * PITCH; i++) {
    bool between = i % PITCH >= ROWS * COLUMNS;
    float want = between ? 0 : (float)(i % 101) + (float)(i % PITCH % COLUMNS) / 32;
    assert_true(y[i] == want);
  }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_scope, close_scope)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(chains_have_the_bits_of_eager_operations),
      TEST(chains_become_one),
      TEST(chains_on_one_number_join),
      TEST(long_chains_on_one_number_are_cut),
      TEST(long_chains_are_cut),
      TEST(updates_are_one_pass),
      TEST(results_take_the_place_of_operands),
      TEST(far_results_have_the_same_bits),
      TEST(results_lie_anywhere),
      TEST(repeated_rows_stay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
