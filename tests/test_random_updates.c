/* Random programs that update variables, against eager operations. Matrices are square, so that any
 * may be multiplied by any, and single numbers have up to four axes: what works in place has to see
 * who reads what, and how results lie. */
#include "programs.h"

#include "cotangent.h"

enum { SEEDS = 3000, VALUES = 14, VARIABLES = 2, INPUTS = 2, MOST = 40 * 40, WIDE = 20 };

/* The same recipe twice: of placeholders, and of numbers. */
typedef struct pair {
  ct_tensor *symbol, *number;
} pair;

static uint64_t state;

static int below(int n) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (int)((state >> 33) % (unsigned)n);
}

/* ---- recipes --------------------------------------------------------------------------------- */

/* One element of up to four axes, or an (n, n), (1, n) or (n, 1). */
static ct_shape draw_shape(int n) {
  static const int64_t ones[] = {1, 1, 1, 1};
  if (below(3) == 0) return ct_shape_make((size_t)below(5), ones);
  return CT_SHAPE(below(4) ? n : 1, below(4) ? n : 1);
}

static ct_tensor *draw_numbers(ct_shape shape) {
  return ct_uniform(ct_key((uint64_t)below(1 << 30)), CT_F64, shape, -1, 1);
}

static ct_tensor *operate(int op, ct_tensor *x, ct_tensor *y, int axis) {
  switch (op) {
  case 0: return ct_add(x, y);
  case 1: return ct_sub(x, y);
  case 2: return ct_mul(x, y);
  case 3: return ct_maximum(x, y);
  case 4: return ct_scale(x, 0.5);
  case 5: return ct_sin(x);
  case 6: return ct_transpose(x, 0, 1);
  case 7: return ct_expand_dims(x, 0);
  case 8: return ct_sum(x, CT_AXES(axis), true);
  case 9: return ct_mean(x, CT_AXES(axis), false);
  default: return ct_matmul(x, y);
  }
}

/* A new value for the variable; maybe one of another shape, or nil. */
static ct_tensor *step(int kind, ct_tensor *v, ct_tensor *x, ct_tensor *y) {
  ct_tensor *g;
  switch (kind) {
  case 0: return x;
  case 1: return ct_sub(v, ct_scale(x, 0.25));
  case 2: return ct_sub(v, ct_mul(y, x));
  case 3: return ct_add(v, ct_mul(y, ct_matmul(v, x)));
  case 4: return ct_sub(v, ct_scale(ct_matmul(x, y), 0.25));
  }
  if (ct_grad(ct_mean(ct_square(x), CT_ALL, false), CT_LIST(v), &g) != CT_OK) return ct_nil();
  return ct_sub(v, kind == 5 ? ct_scale(g, 0.25) : ct_mul(y, g));
}

/* Both halves of a pair, of this shape unless it is NULL; false if there is no such thing. */
static bool made(pair *p, ct_tensor *symbol, ct_tensor *number, const ct_shape *shape) {
  ct_error_clear();
  *p = (pair){symbol, number};
  if (ct_is_nil(symbol) || ct_is_nil(number) || ct_size(symbol) > MOST) return false;
  return !shape || ct_shape_equal(ct_shape_of(symbol), *shape);
}

static void grow(pair *value, int from) {
  for (int n = from; n < VALUES;) {
    const pair x = value[below(n)], y = value[below(n)];
    const int op = below(13), axis = below(2);
    n += made(&value[n], operate(op, x.symbol, y.symbol, axis),
              operate(op, x.number, y.number, axis), NULL);
  }
}

static pair draw_step(const pair *value, ct_tensor *v) {
  const ct_shape shape = ct_shape_of(v);
  pair p;
  for (int tries = 0; tries < 20; tries++) {
    const pair x = value[below(VALUES)], y = value[below(VALUES)];
    const int kind = below(7);
    if (made(&p, step(kind, v, x.symbol, y.symbol), step(kind, v, x.number, y.number), &shape))
      return p;
  }
  return (pair){v, v};
}

/* ---- programs -------------------------------------------------------------------------------- */

static void compare(const ct_tensor *t, const double *want, bool same_bits) {
  static double got[MOST];
  double largest = 0;
  const int64_t n = ct_size(t);
  tensor_values(t, got, n);
  for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(want[i]));
  if (!isfinite(largest)) return;
  const double tolerance = 1e-9 * fmax(largest, 1e-3); /* little may be what is left of more */
  for (int64_t i = 0; i < n; i++) assert_near(got[i], want[i], same_bits ? 0 : tolerance);
}

/* Runs the updates and the last value as a program, and puts the variables back. */
static void check(const pair *value, ct_tensor **v, const pair *update) {
  static double want[1 + VARIABLES][MOST], before[VARIABLES][MOST];
  tensor_values(value[VALUES - 1].number, want[0], ct_size(value[VALUES - 1].number));
  for (int i = 0; i < VARIABLES; i++) {
    tensor_values(update[i].number, want[1 + i], ct_size(v[i]));
    tensor_values(v[i], before[i], ct_size(v[i]));
  }
  ct_tensor *in[INPUTS], *at[INPUTS], *out, *symbol[VARIABLES];
  for (int i = 0; i < INPUTS; i++) {
    in[i] = value[i].symbol;
    at[i] = value[i].number;
  }
  for (int i = 0; i < VARIABLES; i++) symbol[i] = update[i].symbol;
  for (int e = 0; e < 2; e++) {
    ct_program *p = updating((ct_list){INPUTS, in}, CT_LIST(value[VALUES - 1].symbol), VARIABLES, v,
                             symbol, e ? exact : checked);
    assert_ok(ct_run(p, (ct_list){INPUTS, at}, &out));
    compare(out, want[0], e);
    for (int i = 0; i < VARIABLES; i++) {
      compare(v[i], want[1 + i], e);
      assert_ok(ct_assign(v[i], ct_from(CT_F64, ct_shape_of(v[i]), before[i])));
    }
    ct_program_release(&p);
  }
}

static void updates_are_those_of_eager_operations(void **unused) {
  (void)unused;
  for (int seed = 0; seed < SEEDS; seed++) {
    state = (uint64_t)seed;
    ct_scope scope = ct_scope_begin();
    const int n = below(2) ? 1 + below(5) : WIDE + below(20);
    pair value[VALUES], update[VARIABLES];
    ct_tensor *v[VARIABLES];
    for (int i = 0; i < INPUTS; i++) {
      const ct_shape shape = draw_shape(n);
      value[i] = (pair){ct_placeholder(CT_F64, shape), draw_numbers(shape)};
    }
    for (int i = 0; i < VARIABLES; i++) {
      v[i] = ct_variable(draw_numbers(draw_shape(n)));
      value[INPUTS + i] = (pair){v[i], v[i]};
    }
    grow(value, INPUTS + VARIABLES);
    for (int i = 0; i < VARIABLES; i++) update[i] = draw_step(value, v[i]);
    check(value, v, update);
    for (int i = 0; i < VARIABLES; i++) ct_release(&v[i]);
    assert_ok(ct_scope_end(scope));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(updates_are_those_of_eager_operations)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
