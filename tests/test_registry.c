/* test_registry.c - everything that holds for every primitive, for each of them: values, recipes,
 * first and second derivatives. A primitive without a rule, a sampling interval, a doc line or a
 * case fails. */
#include "registry.h"

enum { MAX_RECIPE = 64 };

/* ---- the records ----------------------------------------------------------------------------- */

static bool takes_floats(const ct_op *op) {
  if (is_generic(op)) return true;
  for (int r = 0; r < CT__COUNT(cases); r++)
    if (fits(&cases[r], op) && strchr(cases[r].inputs, 'f')) return true;
  return false;
}

/* What a record must have and this one has not; NULL if it is complete. */
static const char *lacks(const ct_op *op) {
  if (op->size != sizeof *op) return "CT_OP";
  if (!op->name || !op->name[0]) return "a name";
  if (!op->doc || !op->doc[0]) return "a doc line";
  if (!op->infer) return "infer";
  if (!op->eval && !op->kernel) return "a kernel";
  if (takes_floats(op) && !(op->lo < op->hi)) return "a sampling interval";
  if (differentiable(op) && !op->fallback && !ct__has_rule(op, CT__VJP)) return "a vjp";
  if (differentiable(op) && !op->fallback && !ct__has_rule(op, CT__JVP)) return "a jvp";
  if (try_op(op, only_f64, false, NULL) == 0) return "a case";
  return NULL;
}

static void every_record_is_complete(void **state) {
  (void)state;
  int incomplete = 0;
  assert_true(ct_op_count() > 50);
  assert_null(ct_op_at(-1));
  assert_null(ct_op_at(ct_op_count()));
  for (int i = 0; i < ct_op_count(); i++) {
    const ct_op *op = ct_op_at(i);
    const char *missing = lacks(op);
    if (missing) print_error("%s lacks %s\n", op->name ? op->name : "a primitive", missing);
    incomplete += missing != NULL;
  }
  assert_int_equal(incomplete, 0);
}

static void names_are_unique(void **state) {
  (void)state;
  for (int i = 0; i < ct_op_count(); i++)
    for (int j = 0; j < i; j++) assert_string_not_equal(ct_op_at(i)->name, ct_op_at(j)->name);
}

static void cases_name_primitives(void **state) {
  (void)state;
  for (int r = 0; r < CT__COUNT(cases); r++) {
    int found = 0;
    for (int i = 0; i < ct_op_count(); i++) found += strcmp(ct_op_at(i)->name, cases[r].op) == 0;
    if (found != 1) print_error("no primitive is called %s\n", cases[r].op);
    assert_int_equal(found, 1);
  }
}

/* The test of the test: a complete record, and each way to be incomplete. */
static void incomplete_records_are_noticed(void **state) {
  (void)state;
  const ct_op *whole = NULL;
  for (int i = 0; i < ct_op_count(); i++)
    if (strcmp(ct_op_at(i)->name, "tanh") == 0) whole = ct_op_at(i);
  assert_non_null(whole);
  assert_null(lacks(whole));
  ct_op op = *whole;
  op.doc = "";
  assert_string_equal(lacks(&op), "a doc line");
  op = *whole;
  op.lo = op.hi;
  assert_string_equal(lacks(&op), "a sampling interval");
  op = *whole;
  op.partial = NULL;
  assert_string_equal(lacks(&op), "a vjp");
  op.vjp = (void (*)(const ct_call *, ct_tensor *const *, ct_tensor **))1;
  assert_string_equal(lacks(&op), "a jvp");
  op.flags |= CT_NONDIFF;
  assert_null(lacks(&op));
  op.name = "unheard of";
  op.flags = CT_NONDIFF;
  assert_string_equal(lacks(&op), "a case");
}

/* ---- values ---------------------------------------------------------------------------------- */

static ct_tensor *widened(ct_tensor *t) {
  return ct_dtype_of(t) == CT_F32 ? ct_cast(t, CT_F64) : t;
}

/* The kernel, the reference, the kernel on contiguous copies of the inputs, and in f64 agree. */
static void values_agree(situation *s) {
  ct_tensor *plain[MAX_IN], *wide[MAX_IN], *y = use(s, s->in);
  for (int i = 0; i < s->n; i++) plain[i] = ct_contiguous(s->in[i]);
  for (int i = 0; i < s->n; i++) wide[i] = widened(s->in[i]);
  bool was = ct__use_reference(true);
  ct_tensor *reference = use(s, s->in);
  ct__use_reference(was);
  require_close(y, reference, tolerance_of(s), "the kernel agrees with the reference");
  require_close(y, use(s, plain), tolerance_of(s), "any layout of equal inputs gives the same");
  require_close(y, use(s, wide), tolerance_of(s), "f32 is close to f64");
}

static void kernels_agree_with_the_reference(void **state) {
  (void)state;
  for_each(both_dtypes, true, values_agree);
}

/* Integers in small numbers give what f64 gives. */
static void integers_agree(situation *s) {
  ct_tensor *whole[MAX_IN], *real[MAX_IN];
  for (int i = 0; i < s->n; i++) {
    whole[i] = ct_cast(ct_scale(s->in[i], 3), CT_I32);
    real[i] = ct_cast(whole[i], CT_F64);
  }
  ct_tensor *y = use(s, whole), *want = use(s, real);
  require(ct_dtype_of(y) == CT_I32 || ct_dtype_of(y) == CT_BOOL, "integers stay integers");
  require_close(y, want, 0, "integers agree with f64");
}

static void integer_kernels_agree_with_f64(void **state) {
  (void)state;
  for (int i = 0; i < ct_op_count(); i++)
    if (is_generic(ct_op_at(i)) && ct_op_at(i)->kernel && ct_op_at(i)->kernel->loop[CT_I32])
      try_op(ct_op_at(i), only_f64, true, integers_agree);
}

/* ---- symbolic results ------------------------------------------------------------------------ */

static void placeholders_like(const situation *s, ct_tensor **holder) {
  for (int i = 0; i < s->n; i++)
    holder[i] = ct_placeholder(ct_dtype_of(s->in[i]), ct_shape_of(s->in[i]));
}

static bool recipe_contains(const ct_tensor *t, const ct_op *op, int depth) {
  if (!t->recipe || depth > MAX_RECIPE) return false;
  if (ct__node_of(t)->call.op == op) return true;
  for (int i = 0; i < t->recipe->n_in; i++)
    if (recipe_contains(t->recipe->in[i], op, depth + 1)) return true;
  return false;
}

static void densely(const situation *s, ct_tensor **dense) {
  for (int i = 0; i < s->n; i++) dense[i] = ct_contiguous(s->in[i]);
}

/* Exact programs have the bits of eager evaluation of inputs that lie densely, as a program sees
 * them; others are close. */
static void compiled_agree(const situation *s, ct_tensor *const *holder, int n,
                           ct_tensor *const *symbolic, ct_tensor *const *eager) {
  for (int exact = 0; exact < 2; exact++) {
    ct_tensor *out[MAX_IN + 1];
    ct_program *p = ct_compile((ct_list){s->n, holder}, (ct_list){n, symbolic},
                               (ct_compile_opts){.exact = exact, .verify = true});
    require(p != NULL, "ct_compile");
    ct_status status = ct_run(p, (ct_list){s->n, s->in}, out);
    ct_program_release(&p);
    require_ok(status);
    for (int i = 0; i < n; i++) {
      if (exact)
        require_same_bits(out[i], eager[i], "an exact program gives the bits of eager evaluation");
      else
        require_close(out[i], eager[i], s->dtype == CT_F64 ? 1e-12 : 1e-5, "a program is close");
    }
  }
}

static void infers_and_runs(situation *s) {
  ct_tensor *holder[MAX_IN], *y = use(s, s->in), *out = NULL;
  placeholders_like(s, holder);
  ct_tensor *symbolic = use(s, holder);
  require(!ct_is_nil(symbolic) && !ct_has_value(symbolic), "on placeholders it stays symbolic");
  require(recipe_contains(symbolic, s->op, 0), "the case uses the primitive");
  require(ct_dtype_of(symbolic) == ct_dtype_of(y), "the dtype is inferred");
  require(ct_shape_equal(ct_shape_of(symbolic), ct_shape_of(y)), "the shape is inferred");
  ct_function *f = ct_function_new((ct_list){s->n, holder}, CT_LIST(symbolic));
  require(f != NULL, "ct_function_new");
  ct_status status = ct_function_run(f, (ct_list){s->n, s->in}, &out);
  ct_function_release(&f);
  require_ok(status);
  require_same_bits(out, y, "a function gives the bits of eager evaluation");
  ct_tensor *dense[MAX_IN];
  densely(s, dense);
  y = use(s, dense);
  compiled_agree(s, holder, 1, &symbolic, &y);
}

static void functions_and_programs_give_eager_bits(void **state) {
  (void)state;
  for_each(both_dtypes, true, infers_and_runs);
}

/* ---- derivatives ----------------------------------------------------------------------------- */

static void passes_gradcheck(situation *s) {
  if (!has_derivative(s)) return;
  /* through f32 a difference needs longer steps and proves less */
  bool coarse = ct_dtype_of(use(s, s->in)) == CT_F32;
  ct_gradcheck_opts opts = coarse ? (ct_gradcheck_opts){.step = 1e-2, .tolerance = 1e-3}
                                  : (ct_gradcheck_opts){.tolerance = 1e-6};
  require_ok(ct_gradcheck(seen_use, s, (ct_list){s->n, s->stored}, opts, NULL));
}

static void derivatives_pass_gradcheck(void **state) {
  (void)state;
  for_each(only_f64, true, passes_gradcheck);
}

/* Recorded twins of the inputs: variables seen in their layout. Only floats are wanted. */
typedef struct recorded {
  ct_tensor *variable[MAX_IN], *in[MAX_IN], *wanted[MAX_IN], *direction[MAX_IN];
  int n;
} recorded;

static void record(const situation *s, ct_dtype dtype, recorded *r) {
  *r = (recorded){.n = 0};
  for (int i = 0; i < s->n; i++) {
    r->in[i] = s->in[i];
    if (!ct_dtype_is_float(ct_dtype_of(s->in[i]))) continue;
    ct_tensor *v = r->variable[i] = ct_variable(ct_cast(s->stored[i], dtype));
    r->in[i] = ct_broadcast_to(layout_of(s, i)->see(v, s->shape[i]), s->shape[i]);
    r->direction[r->n] = random_values(dtype, s->shape[i], 90 + (uint32_t)i, -1, 1);
    r->wanted[r->n++] = r->in[i];
  }
}

static void recorded_end(recorded *r) {
  for (int i = 0; i < MAX_IN; i++) ct_release(&r->variable[i]);
}

/* First derivatives of y: a gradient for each wanted input, then the tangent. */
static int derivatives(ct_tensor *y, ct_list x, ct_list dx, ct_tensor **out) {
  ct_tensor *gy = random_values(ct_dtype_of(y), ct_shape_of(y), 99, -1, 1);
  require_ok(ct_vjp_all(CT_LIST(y), CT_LIST(gy), x, out));
  require_ok(ct_jvp_all(CT_LIST(y), x, dx, out + x.n));
  return x.n + 1;
}

static int eager_derivatives(const situation *s, ct_dtype dtype, ct_tensor **out) {
  recorded r;
  record(s, dtype, &r);
  int n = derivatives(use(s, r.in), (ct_list){r.n, r.wanted}, (ct_list){r.n, r.direction}, out);
  recorded_end(&r);
  return n;
}

static void f32_derivatives_are_close(situation *s) {
  ct_tensor *wide[MAX_IN + 1], *narrow[MAX_IN + 1];
  if (!has_derivative(s)) return;
  int n = eager_derivatives(s, CT_F64, wide);
  eager_derivatives(s, CT_F32, narrow);
  for (int i = 0; i < n; i++)
    require_close(ct_cast(narrow[i], CT_F64), ct_cast(wide[i], CT_F64), 2e-5,
                  "f32 derivatives are those of f64");
}

static void derivatives_in_f32_are_those_of_f64(void **state) {
  (void)state;
  for_each((const ct_dtype[]){CT_F32, CT_F32}, true, f32_derivatives_are_close);
}

/* The cotangents of the inputs under a record like that of s. */
static void pull_through(const situation *s, const ct_op *op, ct_tensor **gx) {
  ct_tensor *x[MAX_IN];
  double p = 1; /* for the rows with a constant */
  for (int i = 0; i < s->n; i++) x[i] = ct_variable(s->in[i]);
  ct_tensor *y = ct_apply_attr(op, &p, (ct_list){s->n, x});
  ct_tensor *gy = random_values(s->dtype, ct_shape_of(y), 91, -1, 1);
  require_ok(ct_vjp_all(CT_LIST(y), CT_LIST(gy), (ct_list){s->n, x}, gx));
  for (int i = 0; i < s->n; i++) ct_release(&x[i]);
}

/* Their loops are closer, or shorter, than what can be composed. */
static bool is_closer(const ct_op *op) {
  const char *const names[] = {"tanh", "erf", "erfc", "gelu", "gelu_tanh"};
  for (int i = 0; i < CT__COUNT(names); i++)
    if (strcmp(op->name, names[i]) == 0) return true;
  return false;
}

/* dy/dx is written once: its loop and its composition have the same bits. */
static void loops_agree_with_compositions(situation *s) {
  const ct_kernel *kernel = s->op->kernel;
  if (!kernel || !kernel->partial[0][s->dtype] || s->op->attr_size > sizeof(double)) return;
  static ct_kernel without; /* recipes refer to it until their scope ends */
  static ct_op composed;
  without = *kernel;
  memset(without.partial, 0, sizeof without.partial);
  composed = *s->op;
  composed.kernel = &without;
  ct_tensor *loop[MAX_IN], *composition[MAX_IN];
  pull_through(s, s->op, loop);
  pull_through(s, &composed, composition);
  for (int i = 0; i < s->n; i++)
    if (is_closer(s->op))
      require_close(loop[i], composition[i], tolerance_of(s), "the loop is near its composition");
    else
      require_same_bits(loop[i], composition[i], "the loop of the derivative is its composition");
}

static void loops_of_derivatives_are_their_compositions(void **state) {
  (void)state;
  for_each(both_dtypes, true, loops_agree_with_compositions);
}

/* Derivatives built on placeholders and run give the bits of eager ones. */
static void symbolic_derivatives_agree(situation *s) {
  ct_tensor *eager[MAX_IN + 1], *symbolic[MAX_IN + 1], *ran[MAX_IN + 1];
  ct_tensor *holder[MAX_IN], *x[MAX_IN], *dx[MAX_IN];
  if (!has_derivative(s)) return;
  int n = eager_derivatives(s, s->dtype, eager), wanted = 0;
  placeholders_like(s, holder);
  for (int i = 0; i < s->n; i++)
    if (ct_dtype_is_float(ct_dtype_of(holder[i]))) {
      dx[wanted] = random_values(s->dtype, s->shape[i], 90 + (uint32_t)i, -1, 1);
      x[wanted++] = holder[i];
    }
  derivatives(use(s, holder), (ct_list){wanted, x}, (ct_list){wanted, dx}, symbolic);
  ct_function *f = ct_function_new((ct_list){s->n, holder}, (ct_list){n, symbolic});
  require(f != NULL, "ct_function_new");
  ct_status status = ct_function_run(f, (ct_list){s->n, s->in}, ran);
  ct_function_release(&f);
  require_ok(status);
  for (int i = 0; i < n; i++) require_same_bits(ran[i], eager[i], "symbolic derivatives agree");
  bool dense = true;
  for (int i = 0; i < s->n; i++) dense &= s->in[i]->v.contiguous;
  if (dense) compiled_agree(s, holder, n, symbolic, eager);
}

static void symbolic_derivatives_give_eager_bits(void **state) {
  (void)state;
  for_each(both_dtypes, true, symbolic_derivatives_agree);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_record_is_complete),
      cmocka_unit_test(names_are_unique),
      cmocka_unit_test(cases_name_primitives),
      cmocka_unit_test(incomplete_records_are_noticed),
      cmocka_unit_test(kernels_agree_with_the_reference),
      cmocka_unit_test(integer_kernels_agree_with_f64),
      cmocka_unit_test(functions_and_programs_give_eager_bits),
      cmocka_unit_test(derivatives_pass_gradcheck),
      cmocka_unit_test(derivatives_in_f32_are_those_of_f64),
      cmocka_unit_test(loops_of_derivatives_are_their_compositions),
      cmocka_unit_test(symbolic_derivatives_give_eager_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
