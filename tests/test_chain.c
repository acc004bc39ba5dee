/* Cheap operations that feed each other as the links of one loop: which become one link, and what
 * they round. */
#include "testing.h"

#include "autograd/compile/tile.h"
#include "cotangent.h"
#include "tensor/pool.h"

/* ---- a product and a sum --------------------------------------------------------------------- */

/* A sum, how many links it takes, and what fma gives for it. rr(x) is x for x > 0: a longer chain
 * than the product, so that it is the one that goes on. */
static ct_tensor *rr(ct_tensor *x) { return ct_relu(ct_relu(x)); }
#define SUMS(X)                                                                                    \
  X(mul_add, ct_add(ct_mul(a, b), c), 2, FMA(a, b, c))                                             \
  X(add_mul_turned, ct_add(c, ct_mul(a, b)), 2, FMA(a, b, c))                                      \
  X(mul_sub, ct_sub(ct_mul(a, b), c), 2, FMA(a, b, -c))                                            \
  X(mul_sub_from, ct_sub(c, ct_mul(a, b)), 2, FMA(-a, b, c))                                       \
  X(mul_shift, ct_shift(ct_mul(a, b), 0.3), 2, FMA(a, b, C(0.3)))                                  \
  X(scale_add, ct_add(ct_scale(a, 1.1), c), 2, FMA(a, C(1.1), c))                                  \
  X(scale_sub, ct_sub(ct_scale(a, 1.1), c), 2, FMA(a, C(1.1), -c))                                 \
  X(scale_sub_from, ct_sub(c, ct_scale(a, 1.1)), 2, FMA(a, -C(1.1), c))                            \
  X(scale_shift, ct_shift(ct_scale(a, 1.1), 0.3), 2, FMA(a, C(1.1), C(0.3)))                       \
  X(square_add, ct_add(ct_square(a), c), 2, FMA(a, a, c))                                          \
  X(square_shift, ct_shift(ct_square(a), 0.3), 2, FMA(a, a, C(0.3)))                               \
  X(add_mul, ct_add(rr(a), ct_mul(b, c)), 4, FMA(b, c, a))                                         \
  X(sub_mul, ct_sub(rr(a), ct_mul(b, c)), 4, FMA(-b, c, a))                                        \
  X(sub_from_mul, ct_sub(ct_mul(b, c), rr(a)), 4, FMA(b, c, -a))                                   \
  X(add_scaled, ct_add(rr(a), ct_scale(b, 1.1)), 4, FMA(b, C(1.1), a))                             \
  X(sub_scaled, ct_sub(rr(a), ct_scale(b, 1.1)), 4, FMA(b, -C(1.1), a))                            \
  X(sub_from_scaled, ct_sub(ct_scale(b, 1.1), rr(a)), 4, FMA(b, C(1.1), -a))                       \
  X(add_square, ct_add(rr(a), ct_square(b)), 4, FMA(b, b, a))                                      \
  X(turned_product, ct_sub(rr(a), ct_mul(c, ct_neg(b))), 4, FMA(c, b, a))                          \
  X(two_products, ct_add(ct_mul(a, b), ct_scale(c, 1.1)), 3, FMA(c, C(1.1), ROUNDED(a *b)))        \
  X(again, ct_add(ct_mul(ct_add(ct_mul(a, b), c), b), c), 3, FMA(FMA(a, b, c), b, c))

#define SYMBOLIC(name, symbolic, ...)                                                              \
  static ct_tensor *name(ct_tensor *a, ct_tensor *b, ct_tensor *c) {                               \
    (void)b, (void)c;                                                                              \
    return symbolic;                                                                               \
  }
SUMS(SYMBOLIC)

#define C(number)  number##f
#define FMA        fmaf
#define ROUNDED(x) ((volatile float){x})
#define WANT(name, symbolic, links, once)                                                          \
  static float name##_f32(float a, float b, float c) {                                             \
    (void)b, (void)c;                                                                              \
    return once;                                                                                   \
  }
SUMS(WANT)
#undef C
#undef FMA
#undef ROUNDED
#undef WANT
#define C(number)  number
#define FMA        fma
#define ROUNDED(x) ((volatile double){x})
#define WANT(name, symbolic, links, once)                                                          \
  static double name##_f64(double a, double b, double c) {                                         \
    (void)b, (void)c;                                                                              \
    return once;                                                                                   \
  }
SUMS(WANT)

static const struct sum {
  const char *name;
  ct_tensor *(*of)(ct_tensor *a, ct_tensor *b, ct_tensor *c);
  int links;
  float (*f32)(float a, float b, float c);
  double (*f64)(double a, double b, double c);
} sums[] = {
#define ROW(name, symbolic, links, once) {#name, name, links, name##_f32, name##_f64},
    SUMS(ROW)};

enum { N_SUMS = sizeof sums / sizeof sums[0], INPUTS = 3 };

/* Does the processor, with the kernels in use, multiply and add in one? */
static bool has_fma(void) {
#ifdef CT__X86_LEVELS
  return ct__isa() > 0;
#elif defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return true;
#else
  return false;
#endif
}

/* Do these loops: a compiler that is told not to optimise does not contract. */
static bool rounds_once(void) {
  enum { N = 200 };
  ct__chain chain = {2, 2, 0, 0, {{.kind = CT__LINK_LOAD}, {.kind = CT__LINK_MUL_SUB, .y = 1}}};
  ct__chain_finish(&chain);
  float x[N], product[N], y[N];
  for (int i = 0; i < N; i++) x[i] = 1.1f, product[i] = (volatile float){x[i] * x[i]};
  char *const p[] = {(char *)x, (char *)product, (char *)y};
  ct__chain_loop(CT_F32, false)(N, p, NULL, &chain);
  const bool once = y[0] != 0;
  if (once) assert_true(has_fma());
#ifdef NDEBUG
  if (!once) assert_false(has_fma());
#endif
  return once;
}

typedef struct job {
  const struct sum *sum;
  ct_tensor *x[INPUTS], *value[INPUTS], *eager;
} job;

static job job_of(const struct sum *sum, ct_dtype dtype, int64_t n) {
  job j = {.sum = sum};
  for (int i = 0; i < INPUTS; i++) {
    j.x[i] = ct_placeholder(dtype, CT_SHAPE(n));
    j.value[i] = ct_uniform(ct_key((uint64_t)i), dtype, CT_SHAPE(n), 0.5, 1.5);
  }
  j.eager = sum->of(j.value[0], j.value[1], j.value[2]);
  return j;
}

static ct_program *compiled(job *j, bool exact) {
  ct_program *p =
      ct_compile((ct_list){INPUTS, j->x}, CT_LIST(j->sum->of(j->x[0], j->x[1], j->x[2])),
                 (ct_compile_opts){.exact = exact, .verify = true});
  assert_ok(p ? CT_OK : ct_error_code());
  return p;
}

/* One instruction, whose last step has so many links, the first of which loads. */
static void check_links(const ct_program *p, const struct sum *sum) {
  assert_int_equal(p->n_instrs, 1);
  const ct__tile *t = ((const ct__fused *)p->instr[0].attr)->tile;
  const ct__chain *c = t->step[t->n_steps - 1].attr;
  if (c->n == sum->links) return;
  print_error("%s: %d links\n", sum->name, c->n);
  fail();
}

static void check_values(const job *j, ct_tensor *got, bool exact) {
  const bool contracted = rounds_once();
  int64_t n = ct_size(got);
  double *y = malloc((size_t)n * sizeof *y), *e = malloc((size_t)n * sizeof *e), *x[INPUTS];
  assert_true(y && e);
  tensor_values(got, y, n);
  tensor_values(j->eager, e, n);
  for (int i = 0; i < INPUTS; i++) {
    assert_non_null(x[i] = malloc((size_t)n * sizeof **x));
    tensor_values(j->value[i], x[i], n);
  }
  for (int64_t i = 0; i < n; i++) {
    double once = ct_dtype_of(got) == CT_F64
                      ? j->sum->f64(x[0][i], x[1][i], x[2][i])
                      : (double)j->sum->f32((float)x[0][i], (float)x[1][i], (float)x[2][i]);
    double want = exact || !contracted ? e[i] : once;
    if (y[i] == want) continue;
    print_error("%s, %s, %lld: element %lld is %.17g, not %.17g\n", j->sum->name,
                exact ? "exact" : "fast", (long long)n, (long long)i, y[i], want);
    fail();
  }
  for (int i = 0; i < INPUTS; i++) free(x[i]);
  free(y);
  free(e);
}

/* By every kernel, whole groups of vectors and what is left; cut into pieces, too. */
static void products_and_sums_round_once(void **state) {
  (void)state;
  static const int64_t sizes[] = {1, 2, 7, 64, 127, 128, 129, 300, 5000};
  static const ct_dtype dtypes[] = {CT_F32, CT_F64};
  int64_t piece = ct__piece_weight;
  int isa = ct__isa(), threads = ct_threads();
  for (int way = 0; way < N_SUMS * 2 * 2; way++)
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
      bool exact = way % 2;
      ct_scope s = ct_scope_begin();
      job j = job_of(&sums[way / 4], dtypes[way / 2 % 2], sizes[k]);
      ct_program *p = compiled(&j, exact);
      check_links(p, j.sum);
      for (int use = 0; use <= isa; use++) {
        ct_tensor *got;
        assert_true(ct__use_isa(use));
        ct__piece_weight = use % 2 ? 1 << 10 : piece;
        assert_ok(ct_set_threads(1 + use));
        assert_ok(ct_run(p, (ct_list){INPUTS, j.value}, &got));
        check_values(&j, got, exact);
      }
      ct_program_release(&p);
      ct_scope_end(s);
    }
  ct__piece_weight = piece;
  assert_true(ct__use_isa(isa));
  assert_ok(ct_set_threads(threads));
}

/* What a product is needed for besides the sum is the rounded one. */
static void a_product_that_is_read_twice_is_rounded(void **state) {
  (void)state;
  ct_tensor *x[2], *value[2], *y[2], *want[2], *got[2];
  for (int i = 0; i < 2; i++) {
    x[i] = ct_placeholder(CT_F32, CT_SHAPE(300));
    value[i] = ct_uniform(ct_key((uint64_t)i), CT_F32, CT_SHAPE(300), 0.5, 1.5);
  }
  for (int way = 0; way < 2; way++) {
    ct_tensor *const *in = way ? value : x, **out = way ? want : y;
    out[0] = ct_mul(in[0], in[1]);
    out[1] = ct_sub(ct_add(out[0], in[0]), out[0]);
  }
  ct_program *p = ct_compile((ct_list){2, x}, (ct_list){2, y}, (ct_compile_opts){0});
  assert_ok(p ? CT_OK : ct_error_code());
  assert_ok(ct_run(p, (ct_list){2, value}, got));
  for (int o = 0; o < 2; o++)
    assert_memory_equal(ct_data(got[o]), ct_data(want[o]), 300 * sizeof(float));
  ct_program_release(&p);
}

/* The last elements are computed as the end of a group whose other results lie where its operands
 * lay. */
static void results_take_the_place_of_operands(void **state) {
  (void)state;
  enum { MOST = 300 };
  ct__chain chain = {2, 1, 0, 0, {{.kind = CT__LINK_LOAD}, {.kind = CT__LINK_SCALE_ADD, .c = 2}}};
  ct__chain_finish(&chain);
  for (int n = 1; n <= MOST; n++)
    for (int exact = 0; exact < 2; exact++) {
      float x[MOST];
      for (int i = 0; i < n; i++) x[i] = (float)i;
      char *const p[] = {(char *)x, (char *)x};
      ct__chain_loop(CT_F32, exact)(n, p, NULL, &chain);
      for (int i = 0; i < n; i++) assert_true(x[i] == 3 * (float)i);
    }
}

/* ---- functions ------------------------------------------------------------------------------- */

/* x and y have one shape; what it computes takes one step of so many links. */
typedef struct function_case {
  const char *name;
  ct_tensor *(*of)(ct_tensor *x, ct_tensor *y);
  int links;
} function_case;

#define FUNCTIONS(X)                                                                               \
  X(between, ct_shift(ct_tanh(ct_add(x, y)), 0.3), 4)                                              \
  X(first, ct_mul(ct_exp(x), y), 3)                                                                \
  X(last, ct_sigmoid(ct_sub(x, y)), 3)                                                             \
  X(with_attribute, ct_sub(ct_leaky_relu(ct_scale(x, 1.5), 0.1), y), 4)                            \
  X(two, ct_mul(ct_log(ct_exp(ct_add(x, y))), y), 5)                                               \
  X(same_operand, ct_mul(ct_sub(ct_tanh(ct_add(ct_relu(x), y)), y), y), 6)
#define SYMBOLIC_FUNCTIONS(name, symbolic, links)                                                  \
  static ct_tensor *name(ct_tensor *x, ct_tensor *y) { return symbolic; }
FUNCTIONS(SYMBOLIC_FUNCTIONS)
#define FUNCTION_ROW(name, symbolic, links) {#name, name, links},
static const function_case function_cases[] = {FUNCTIONS(FUNCTION_ROW)};

/* The bits of eager operations, by every kernel. */
static void run_functions(const function_case *c, ct_dtype dtype, int64_t n) {
  const int isa = ct__isa();
  ct_scope scope = ct_scope_begin();
  ct_tensor *x[2], *value[2];
  for (int i = 0; i < 2; i++) {
    x[i] = ct_placeholder(dtype, CT_SHAPE(n));
    value[i] = ct_uniform(ct_key((uint64_t)i), dtype, CT_SHAPE(n), -3, 3);
  }
  ct_program *p = ct_compile((ct_list){2, x}, CT_LIST(c->of(x[0], x[1])),
                             (ct_compile_opts){.exact = true, .verify = true});
  assert_ok(p ? CT_OK : ct_error_code());
  const ct__tile *t = ((const ct__fused *)p->instr[0].attr)->tile;
  if (p->n_instrs != 1 || t->n_steps != 1 || ((const ct__chain *)t->step->attr)->n != c->links) {
    print_error("%s: %d steps\n", c->name, t->n_steps);
    fail();
  }
  for (int use = 0; use <= isa; use++) {
    ct_tensor *got;
    assert_true(ct__use_isa(use));
    assert_ok(ct_run(p, (ct_list){2, value}, &got));
    assert_memory_equal(ct_data(got), ct_data(c->of(value[0], value[1])),
                        (size_t)n * ct_dtype_size(dtype));
  }
  assert_true(ct__use_isa(isa));
  ct_program_release(&p);
  ct_scope_end(scope);
}

static void functions_are_links(void **state) {
  (void)state;
  static const int64_t sizes[] = {2, 7, 33, 127, 128, 300, 40000};
  for (size_t c = 0; c < sizeof function_cases / sizeof function_cases[0]; c++)
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
      run_functions(&function_cases[c], CT_F32, sizes[k]);
      run_functions(&function_cases[c], CT_F64, sizes[k]);
    }
}

/* Trigonometric functions ask how large their numbers are, so they are a step of their own. */
static void sines_are_steps(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(300));
  ct_program *p = ct_compile(CT_LIST(x), CT_LIST(ct_shift(ct_sin(ct_scale(x, 2)), 1)),
                             (ct_compile_opts){.verify = true});
  assert_ok(p ? CT_OK : ct_error_code());
  assert_int_equal(((const ct__fused *)p->instr[0].attr)->tile->n_steps, 3);
  ct_program_release(&p);
}

/* ---- single numbers -------------------------------------------------------------------------- */

/* x has any shape, s and t are numbers; how many links, and whether the numbers are constants to
 * them. */
typedef struct number_case {
  const char *name;
  ct_tensor *(*of)(ct_tensor *x, ct_tensor *s, ct_tensor *t);
  int links;
  bool constants;
} number_case;

#define NUMBERS(X)                                                                                 \
  X(plus, ct_add(ct_relu(x), s), 3, true)                                                          \
  X(less, ct_sub(ct_relu(x), s), 3, true)                                                          \
  X(less_from, ct_sub(s, ct_relu(x)), 3, true)                                                     \
  X(times, ct_mul(s, ct_relu(x)), 3, true)                                                         \
  X(over, ct_div(ct_relu(x), s), 3, true)                                                          \
  X(under, ct_div(s, ct_relu(x)), 3, false)                                                        \
  X(times0, ct_mul0(ct_relu(x), s), 3, true)                                                       \
  X(line, ct_add(ct_mul(s, x), t), 2, true)                                                        \
  X(step, ct_sub(x, ct_mul(s, ct_relu(x))), 3, true)                                               \
  X(taken_in, ct_add(rr(x), ct_mul(ct_flip(x, CT_AXES(1)), s)), 4, true)                           \
  X(both_ways, ct_mul(ct_maximum(x, s), s), 2, false)
#define SYMBOLIC_NUMBERS(name, symbolic, ...)                                                      \
  static ct_tensor *name(ct_tensor *x, ct_tensor *s, ct_tensor *t) {                               \
    (void)s, (void)t;                                                                              \
    return symbolic;                                                                               \
  }
NUMBERS(SYMBOLIC_NUMBERS)
#define NUMBER_ROW(name, symbolic, links, constants) {#name, name, links, constants},
static const number_case number_cases[] = {NUMBERS(NUMBER_ROW)};

static void run_with_numbers(const number_case *c, ct_dtype dtype, int64_t n, bool exact) {
  ct_scope scope = ct_scope_begin();
  ct_tensor *x[3], *value[3], *got, *want;
  for (int i = 0; i < 3; i++) {
    ct_shape shape = i ? CT_SHAPE(1, 1) : CT_SHAPE(3, n);
    x[i] = ct_placeholder(dtype, shape);
    value[i] = ct_uniform(ct_key((uint64_t)i), dtype, shape, 0.5, 1.5);
  }
  want = c->of(value[0], value[1], value[2]);
  ct_program *p = ct_compile((ct_list){3, x}, CT_LIST(c->of(x[0], x[1], x[2])),
                             (ct_compile_opts){.exact = exact, .verify = true});
  assert_ok(p ? CT_OK : ct_error_code());
  assert_int_equal(p->n_instrs, 1);
  const ct__tile *t = ((const ct__fused *)p->instr[0].attr)->tile;
  const ct__chain *chain = t->step[t->n_steps - 1].attr;
  if (chain->n != c->links || (chain->numbers != 0) != c->constants) {
    print_error("%s: %d links, numbers %x\n", c->name, chain->n, chain->numbers);
    fail();
  }
  assert_ok(ct_run(p, (ct_list){3, value}, &got));
  double *y = malloc((size_t)(6 * n) * sizeof *y), *e = y + 3 * n;
  assert_non_null(y);
  tensor_values(got, y, 3 * n);
  tensor_values(want, e, 3 * n);
  for (int64_t i = 0; i < 3 * n; i++)
    assert_near(y[i], e[i], exact ? 0 : dtype == CT_F32 ? 1e-6 : 1e-14);
  free(y);
  ct_program_release(&p);
  ct_scope_end(scope);
}

static void numbers_are_constants(void **state) {
  (void)state;
  for (size_t k = 0; k < sizeof number_cases / sizeof number_cases[0]; k++)
    for (int way = 0; way < 4; way++)
      for (int64_t n = 1; n < 2000; n = 3 * n + 4)
        run_with_numbers(&number_cases[k], way / 2 ? CT_F64 : CT_F32, n, way % 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_scope, close_scope)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(products_and_sums_round_once),
      TEST(a_product_that_is_read_twice_is_rounded),
      TEST(results_take_the_place_of_operands),
      TEST(functions_are_links),
      TEST(sines_are_steps),
      TEST(numbers_are_constants),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
