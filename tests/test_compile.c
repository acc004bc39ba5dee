/* Programs: what they compute, when they write, where things lie, and that the verifier sees
 * mistakes. */
#include "programs.h"

#include "cotangent.h"

#include <pthread.h>

static ct_tensor *numbers(int n, const double *x) {
  ct_tensor *t = ct_from(CT_F64, CT_SHAPE(n), x);
  assert_false(ct_is_nil(t));
  return t;
}
#define NUMBERS(...)                                                                               \
  numbers((int)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double)),                           \
          (const double[]){__VA_ARGS__})

/* ---- results --------------------------------------------------------------------------------- */

static void every_result_is_a_tensor_of_its_own(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(2)), *v = ct_variable(NUMBERS(5, 6));
  ct_tensor *y = ct_square(x), *c = NUMBERS(7, 8), *out[6];
  ct_program *p = compiled(CT_LIST(x), CT_LIST(y, y, x, v, ct_flip(y, CT_AXES(0)), c), checked);
  for (int round = 0; round < 2; round++) {
    assert_ok(ct_run(p, CT_LIST(NUMBERS(2, 3)), out));
    ASSERT_VALUES(out[0], 0, 4, 9);
    ASSERT_VALUES(out[1], 0, 4, 9);
    ASSERT_VALUES(out[2], 0, 2, 3);
    ASSERT_VALUES(out[3], 0, 5, 6);
    ASSERT_VALUES(out[4], 0, 9, 4);
    ASSERT_VALUES(out[5], 0, 7, 8);
    for (int i = 0; i < 6; i++) {
      assert_false(ct_is_recorded(out[i]));
      for (int j = 0; j < i; j++) assert_true(ct_data(out[i]) != ct_data(out[j]));
    }
  }
  ct_program_release(&p);
  assert_null(p);
  ct_release(&v);
}

static void results_outlive_the_next_run_and_the_program(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F64, CT_SCALAR), *first, *second;
  ct_program *p = compiled(CT_LIST(x), CT_LIST(ct_exp(x)), checked);
  assert_ok(ct_run(p, CT_LIST(ct_scalar(CT_F64, 0)), &first));
  assert_ok(ct_run(p, CT_LIST(ct_scalar(CT_F64, 1)), &second));
  ct_program_release(&p);
  ASSERT_VALUES(first, 0, 1);
  ASSERT_VALUES(second, 1e-15, 2.718281828459045);
}

static void inputs_may_lie_in_any_way(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(2, 2)), *out;
  ct_program *p = compiled(CT_LIST(x), CT_LIST(ct_scale(x, 2)), checked);
  ct_tensor *m = ct_reshape(NUMBERS(1, 2, 3, 4), CT_SHAPE(2, 2));
  assert_ok(ct_run(p, CT_LIST(ct_transpose(m, 0, 1)), &out));
  ASSERT_VALUES(out, 0, 2, 6, 4, 8);
  assert_ok(ct_run(p, CT_LIST(ct_broadcast_to(NUMBERS(1, 2), CT_SHAPE(2, 2))), &out));
  ASSERT_VALUES(out, 0, 2, 4, 2, 4);
  assert_ok(ct_run(p, CT_LIST(ct_flip(m, CT_AXES(0))), &out));
  ASSERT_VALUES(out, 0, 6, 8, 2, 4);
  ct_program_release(&p);
}

/* Recorded tensors that have values are cut points too, and are computed anew in between. */
static void eager_recipes_compile(void **state) {
  (void)state;
  ct_tensor *v = ct_variable(NUMBERS(1, 2)), *gradient, *hv, *out[3];
  ct_tensor *y = ct_sum(ct_exp(ct_square(v)), CT_ALL, false);
  assert_ok(ct_grad(y, CT_LIST(v), &gradient));
  assert_ok(ct_hvp(y, CT_LIST(v), CT_LIST(NUMBERS(1, 1)), &hv));
  ct_program *p = compiled(CT_LIST(v), CT_LIST(y, gradient, hv), checked);
  ct_program *none = compiled(CT_NONE, CT_LIST(y), checked);
  assert_ok(ct_run(p, CT_LIST(NUMBERS(0, 1)), out));
  ASSERT_VALUES(out[0], 1e-14, 1 + exp(1));
  ASSERT_VALUES(out[1], 1e-14, 0, 2 * exp(1));
  ASSERT_VALUES(out[2], 1e-13, 2, 6 * exp(1));
  assert_ok(ct_assign(v, NUMBERS(0, 0)));
  assert_ok(ct_run(none, CT_NONE, out));
  ASSERT_VALUES(out[0], 1e-14, 2);
  ct_program_release(&p);
  ct_program_release(&none);
  ct_release(&v);
}

static void body(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_tanh(in.at[0]);
}

static void rule(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_scale(in.at[2], 3); /* x, y, gy */
}

/* Calls of functions and custom rules are taken apart. */
static void functions_are_inlined(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(2)), *a = ct_placeholder(CT_F64, CT_SHAPE(2));
  ct_tensor *y, *z, *g, *out[2];
  ct_function *f = ct_function_new(CT_LIST(a), CT_LIST(ct_sin(ct_sin(a))));
  assert_ok(ct_call_function(f, CT_LIST(x), &y));
  assert_ok(ct_custom_vjp((ct_custom){.f = body, .rule = rule}, CT_LIST(y), &z));
  assert_ok(ct_grad(ct_sum(z, CT_ALL, false), CT_LIST(x), &g));
  ct_program *p = compiled(CT_LIST(x), CT_LIST(z, g), checked);
  for (int k = 0; k < p->n_instrs; k++) {
    assert_string_not_equal(p->instr[k].op->name, "call");
    assert_string_not_equal(p->instr[k].op->name, "custom_vjp");
  }
  assert_ok(ct_run(p, CT_LIST(NUMBERS(0.5, 1)), out));
  ASSERT_VALUES(out[0], 1e-14, tanh(sin(sin(0.5))), tanh(sin(sin(1))));
  ASSERT_VALUES(out[1], 1e-14, 3 * cos(sin(0.5)) * cos(0.5), 3 * cos(sin(1)) * cos(1));
  ct_program_release(&p);
  ct_function_release(&f);
}

/* An instruction may own a program, which is differentiated as its recipe. */
static void programs_call_programs(void **state) {
  (void)state;
  ct_tensor *v = ct_variable(NUMBERS(2, 3)), *a = ct_placeholder(CT_F64, CT_SHAPE(2));
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(2)), *y, *g[2], *out[3];
  ct_program *inner = compiled(CT_LIST(a), CT_LIST(ct_mul(v, ct_square(a))), checked);
  assert_ok(ct_call_program(inner, CT_LIST(x), &y));
  assert_ok(ct_grad(ct_sum(y, CT_ALL, false), CT_LIST(x, v), g));
  ct_program *outer = compiled(CT_LIST(x), CT_LIST(ct_exp(y), g[0], g[1]), checked);
  ct_program_release(&inner); /* the outer one owns it */
  int found = 0;
  for (int k = 0; k < outer->n_instrs; k++)
    found += strcmp(outer->instr[k].op->name, "program") == 0;
  assert_int_equal(found, 1);
  assert_ok(ct_run(outer, CT_LIST(NUMBERS(0.5, 1)), out));
  ASSERT_VALUES(out[0], 1e-13, exp(0.5), exp(3));
  ASSERT_VALUES(out[1], 1e-14, 2, 6);
  ASSERT_VALUES(out[2], 1e-14, 0.25, 1);
  ct_program_release(&outer);
  ct_release(&v);
}

static void empty_and_scalar_shapes(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(0, 3)),
            *w = ct_placeholder(CT_F32, CT_SHAPE(3, 4));
  ct_tensor *y = ct_relu(ct_add(ct_matmul(x, w), ct_scalar(CT_F32, 1))), *out[3];
  ct_program *p =
      compiled(CT_LIST(x, w), CT_LIST(y, ct_sum(y, CT_ALL, false), ct_shift(w, 1)), checked);
  assert_ok(
      ct_run(p, CT_LIST(ct_zeros(CT_F32, CT_SHAPE(0, 3)), ct_ones(CT_F32, CT_SHAPE(3, 4))), out));
  assert_int_equal(ct_size(out[0]), 0);
  ASSERT_VALUES(out[1], 0, 0);
  ct_program_release(&p);
}

/* ---- updates --------------------------------------------------------------------------------- */

static void updates_apply_after_all_reads(void **state) {
  (void)state;
  ct_tensor *a = ct_variable(NUMBERS(1, 2)), *b = ct_variable(NUMBERS(3, 4)), *out[2];
  ct_tensor *variable[] = {a, b}, *swap[] = {b, a};
  ct_program *p = updating(CT_NONE, CT_LIST(a, ct_flip(b, CT_AXES(0))), 2, variable, swap, checked);
  assert_ok(ct_run(p, CT_NONE, out));
  ASSERT_VALUES(out[0], 0, 1, 2);
  ASSERT_VALUES(out[1], 0, 4, 3);
  ASSERT_VALUES(a, 0, 3, 4);
  ASSERT_VALUES(b, 0, 1, 2);
  ct_program_release(&p);
  ct_tensor *turn[] = {ct_flip(a, CT_AXES(0)), ct_add(b, a)};
  p = updating(CT_NONE, CT_LIST(ct_add(a, b)), 2, variable, turn, checked);
  assert_ok(ct_run(p, CT_NONE, out));
  ASSERT_VALUES(out[0], 0, 4, 6);
  ASSERT_VALUES(a, 0, 4, 3);
  ASSERT_VALUES(b, 0, 4, 6);
  ct_program_release(&p);
  ct_release(&a);
  ct_release(&b);
}

static void variables_may_get_the_same_value(void **state) {
  (void)state;
  ct_tensor *v[2] = {ct_variable(NUMBERS(1, 2, 3)), ct_variable(NUMBERS(4, 5, 6))};
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(3)), *sum = ct_add(v[0], x);
  ct_program *p = updating(CT_LIST(x), CT_NONE, 2, v, (ct_tensor *[]){sum, sum}, checked);
  assert_ok(ct_run(p, CT_LIST(NUMBERS(10, 20, 30)), NULL));
  for (int i = 0; i < 2; i++) ASSERT_VALUES(v[i], 0, 11, 22, 33);
  ct_program_release(&p);
  for (int i = 0; i < 2; i++) ct_release(&v[i]);
}

/* The input is the very variable that is written. */
static void an_input_may_be_what_is_updated(void **state) {
  (void)state;
  ct_tensor *v = ct_variable(NUMBERS(1, 2)), *x = ct_placeholder(CT_F64, CT_SHAPE(2)), *out;
  ct_tensor *variable[] = {v}, *value[] = {ct_add(v, x)};
  ct_program *p = updating(CT_LIST(x), CT_LIST(ct_scale(x, 10)), 1, variable, value, checked);
  assert_ok(ct_run(p, CT_LIST(ct_flip(v, CT_AXES(0))), &out));
  ASSERT_VALUES(out, 0, 20, 10);
  ASSERT_VALUES(v, 0, 3, 3);
  ct_program_release(&p);
  ct_release(&v);
}

static void what_was_made_before_a_run_is_stale_after_it(void **state) {
  (void)state;
  ct_tensor *v = ct_variable(NUMBERS(1)), *before = ct_square(v), *g;
  ct_tensor *variable[] = {v}, *value[] = {ct_shift(v, 1)};
  ct_program *p = updating(CT_NONE, CT_NONE, 1, variable, value, checked);
  assert_ok(ct_run(p, CT_NONE, NULL));
  ASSERT_VALUES(v, 0, 2);
  assert_fails(ct_grad(ct_reshape(before, CT_SCALAR), CT_LIST(v), &g), CT_ESTALE, "ct_run");
  ct_program_release(&p);
  ct_release(&v);
}

/* Nothing is written if anything fails, whatever the order in the recipe. */
static void a_failing_run_changes_nothing(void **state) {
  (void)state;
  ct_tensor *v = ct_variable(NUMBERS(1, 2)), *i = ct_placeholder(CT_I32, CT_SHAPE(1)), *out;
  ct_tensor *updated = ct_scale(v, 3), *variable[] = {v};
  ct_tensor *picked = ct_gather(ct_square(v), i, 0);
  ct_program *p = updating(CT_LIST(i), CT_LIST(picked), 1, variable, &updated, checked);
  const int32_t good = 1, bad = 7;
  assert_fails(ct_run(p, CT_LIST(ct_from(CT_I32, CT_SHAPE(1), &bad)), &out), CT_EINDEX, "7");
  assert_true(ct_is_nil(out));
  ASSERT_VALUES(v, 0, 1, 2);
  assert_ok(ct_run(p, CT_LIST(ct_from(CT_I32, CT_SHAPE(1), &good)), &out));
  ASSERT_VALUES(out, 0, 4);
  ASSERT_VALUES(v, 0, 3, 6);
  ct_program_release(&p);
  ct_release(&v);
}

static void builds_collect_assignments(void **state) {
  (void)state;
  ct_tensor *v = ct_variable(NUMBERS(1)), *x = ct_placeholder(CT_F64, CT_SHAPE(1)), *out;
  assert_fails(ct_assign(v, ct_exp(x)), CT_ENOVALUE, "ct_assign");
  assert_fails(ct_build_end(), CT_ESCOPE, "ct_build_end");
  assert_ok(ct_build_begin());
  assert_fails(ct_build_begin(), CT_ESCOPE, "ct_build_begin");
  assert_ok(ct_assign(v, ct_exp(x)));
  assert_ok(ct_assign(v, ct_scale(x, 2))); /* the last one counts */
  assert_fails(ct_assign(v, ct_placeholder(CT_F64, CT_SHAPE(2))), CT_ESHAPE, "(2)");
  ASSERT_VALUES(v, 0, 1);
  ct_program *p = compiled(CT_LIST(x), CT_LIST(v), checked);
  assert_ok(ct_build_end());
  assert_ok(ct_run(p, CT_LIST(NUMBERS(4)), &out));
  ASSERT_VALUES(out, 0, 1);
  ASSERT_VALUES(v, 0, 8);
  ct_program_release(&p);
  ct_release(&v);
}

/* A product is added to the variable itself, transposed or not, and the exact program agrees. */
static void gradient_steps_are_products(void **state) {
  (void)state;
  for (int turned = 0; turned < 2; turned++) {
    ct_tensor *got[2];
    for (int e = 0; e < 2; e++) {
      ct_tensor *w = ct_variable(ct_reshape(NUMBERS(1, 2, 3, 4, 5, 6), CT_SHAPE(2, 3)));
      ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(4, turned ? 3 : 2)), *g;
      ct_tensor *y = ct_matmul(x, turned ? ct_transpose(w, 0, 1) : w);
      assert_ok(ct_grad(ct_sum(ct_square(y), CT_ALL, false), CT_LIST(w), &g));
      ct_tensor *step = ct_sub(w, ct_scale(g, 0.125));
      ct_program *p = updating(CT_LIST(x), CT_NONE, 1, &w, &step, e ? exact : checked);
      assert_int_equal(count(p, "product_add"), !e);
      ct_tensor *at = ct_sin(ct_reshape(ct_arange(CT_F64, 0, turned ? 12 : 8, 1), ct_shape_of(x)));
      assert_ok(ct_run(p, CT_LIST(at), NULL));
      got[e] = ct_detach(ct_contiguous(w));
      ct_program_release(&p);
      ct_release(&w);
    }
    double want[6];
    tensor_values(got[1], want, 6);
    assert_values_near(got[0], 6, want, 1e-13);
  }
}

/* Its memory is not taken over while the product reads it. */
static void a_product_may_read_what_it_is_added_to(void **state) {
  (void)state;
  enum { N = 40 };
  for (int first = 0; first < 2; first++) {
    ct_tensor *square = ct_uniform(ct_key(1), CT_F64, CT_SHAPE(N, N), -1, 1);
    ct_tensor *w = ct_variable(square), *x = ct_placeholder(CT_F64, CT_SHAPE(N, N));
    ct_tensor *at = ct_transpose(square, 0, 1);
    ct_tensor *step = ct_sub(w, ct_scale(first ? ct_matmul(w, x) : ct_matmul(x, w), 0.5));
    ct_program *p = updating(CT_LIST(x), CT_NONE, 1, &w, &step, checked);
    double want[N * N];
    tensor_values(
        ct_sub(square, ct_scale(first ? ct_matmul(square, at) : ct_matmul(at, square), 0.5)), want,
        N * N);
    assert_ok(ct_run(p, CT_LIST(at), NULL));
    assert_values_near(w, N * N, want, 1e-12);
    ct_program_release(&p);
    ct_release(&w);
  }
}

/* A rate of more axes gives them to the result, which is no update of the variable then. */
static void rates_may_have_axes(void **state) {
  (void)state;
  ct_tensor *w = ct_variable(ct_reshape(NUMBERS(1, 2, 3, 4, 5, 6), CT_SHAPE(2, 3))), *got;
  ct_tensor *rate = ct_variable(ct_full(CT_F64, CT_SHAPE(1, 1, 1), 0.5));
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(2, 1)), *row = NUMBERS(1, 2, 3);
  ct_tensor *y = ct_sub(w, ct_mul(rate, ct_matmul(x, ct_reshape(row, CT_SHAPE(1, 3)))));
  ct_program *p = ct_compile(CT_LIST(x), CT_LIST(y), checked);
  assert_non_null(p);
  assert_ok(ct_run(p, CT_LIST(ct_reshape(NUMBERS(2, 4), CT_SHAPE(2, 1))), &got));
  assert_true(ct_shape_equal(ct_shape_of(got), CT_SHAPE(1, 2, 3)));
  ASSERT_VALUES(got, 0, 0, 0, 0, 2, 1, 0);
  ct_program_release(&p);
  ct_release(&rate);
  ct_release(&w);
}

static int64_t read_by(const ct_program *p, const char *name) {
  for (int k = 0; k < p->n_instrs; k++)
    if (strcmp(p->instr[k].op->name, name) == 0) return p->value[p->instr[k].arg[0]].v.size;
  return 0;
}

/* What only repeats along a reduced axis is read once. */
static void repeats_are_read_once(void **state) {
  (void)state;
  const struct {
    const char *name;
    ct_tensor *(*reduce)(ct_tensor *x, ct_axes axes, bool keepdims);
    bool exact_too;
  } cases[] = {{"sum", ct_sum, false},
               {"mean", ct_mean, false},
               {"max", ct_max, true},
               {"min", ct_min, true}};
  for (int i = 0; i < CT__COUNT(cases); i++)
    for (int e = 0; e < 2; e++)
      for (int keep = 0; keep < 2; keep++) {
        ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(3, 1, 2)), *want, *got;
        ct_tensor *value = ct_reshape(NUMBERS(0.1, -2, 3, 4.7, 5, 0.6), CT_SHAPE(3, 1, 2));
        ct_tensor *wide = ct_broadcast_to(x, CT_SHAPE(7, 3, 5, 2));
        ct_tensor *y = cases[i].reduce(wide, CT_AXES(0, 1, 2), keep);
        ct_program *p = ct_compile(CT_LIST(x), CT_LIST(ct_exp(y)), e ? exact : checked);
        assert_int_equal(read_by(p, cases[i].name), e && !cases[i].exact_too ? 210 : 6);
        assert_ok(ct_run(p, CT_LIST(value), &got));
        want = ct_exp(
            cases[i].reduce(ct_broadcast_to(value, CT_SHAPE(7, 3, 5, 2)), CT_AXES(0, 1, 2), keep));
        assert_true(ct_shape_equal(ct_shape_of(got), ct_shape_of(want)));
        double at[2];
        tensor_values(want, at, 2);
        for (int j = 0; j < 2; j++)
          assert_true(fabs(tensor_value_at(ct_data(got), CT_F64, j) - at[j]) <= 1e-12 * at[j]);
        ct_program_release(&p);
      }
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(3)), *got; /* the axis that stays repeats too */
  ct_program *p = compiled(
      CT_LIST(x),
      CT_LIST(ct_sum(ct_broadcast_to(ct_expand_dims(x, 1), CT_SHAPE(3, 2)), CT_AXES(0), 0)),
      checked);
  assert_int_equal(read_by(p, "sum"), 6);
  assert_ok(ct_run(p, CT_LIST(NUMBERS(1, 2, 4)), &got));
  ASSERT_VALUES(got, 0, 7, 7);
  ct_program_release(&p);
}

static ct_tensor *itself(ct_tensor *x) { return ct_cast(x, CT_F64); }
static ct_tensor *times_one(ct_tensor *x) { return ct_mul(x, ct_ones(CT_F64, CT_SCALAR)); }
static ct_tensor *twice_negative(ct_tensor *x) { return ct_neg(ct_neg(x)); }
static ct_tensor *left(ct_tensor *x) { return ct_slice(x, 1, 0, 3, 1); }
static ct_tensor *turned(ct_tensor *x) { return ct_flip(x, CT_ALL); }
static ct_tensor *upright(ct_tensor *x) { return ct_transpose(x, 0, 1); }
static ct_tensor *wider(ct_tensor *x) {
  return ct_broadcast_to(ct_reshape(x, CT_SHAPE(8, 1, 5)), CT_SHAPE(8, 3, 5));
}

/* Numbers are summed as they lie: an operation that changes none may still have put them in order.
 */
static void exact_sums_keep_their_order(void **state) {
  (void)state;
  ct_tensor *(*const same[])(ct_tensor *) = {itself, times_one, twice_negative};
  ct_tensor *(*const view[])(ct_tensor *) = {left, turned, upright, wider};
  double number[40], got, want;
  for (int i = 0; i < 40; i++) number[i] = sin(1 + i * i);
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(8, 5));
  ct_tensor *value = ct_from(CT_F64, CT_SHAPE(8, 5), number);
  for (int s = 0; s < CT__COUNT(same); s++)
    for (int v = 0; v < CT__COUNT(view); v++) {
      ct_tensor *y = ct_sum(same[s](view[v](x)), CT_ALL, false), *out;
      ct_program *p = ct_compile(CT_LIST(x), CT_LIST(y), exact);
      assert_non_null(p);
      assert_ok(ct_run(p, CT_LIST(value), &out));
      assert_ok(ct_item(out, &got));
      assert_ok(ct_item(ct_sum(same[s](view[v](value)), CT_ALL, false), &want));
      assert_true(got == want);
      ct_program_release(&p);
    }
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* A long chain needs no more than a few buffers; results of shape do not count. Its products are
 * counted. */
static void memory_is_used_again(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(64, 64)), *y = x;
  for (int i = 0; i < 50; i++) y = ct_softmax(ct_matmul(y, y), 1);
  ct_program *p = compiled(CT_LIST(x), CT_LIST(y), checked);
  ct_program_stats s = ct_program_info(p);
  assert_true(s.arena <= 4 * 64 * 64 * sizeof(float));
  assert_true(s.live <= s.arena);
  assert_true(s.flops == 50 * 2.0 * 64 * 64 * 64);
  ct_program_release(&p);
}

static void long_recipes_compile(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F64, CT_SCALAR), *y = x, *out;
  for (int i = 0; i < 100000; i++) y = ct_sin(y);
  ct_program *p = ct_compile(CT_LIST(x), CT_LIST(y), (ct_compile_opts){.exact = true});
  assert_non_null(p);
  assert_ok(ct_run(p, CT_LIST(ct_scalar(CT_F64, 1)), &out));
  double want, got;
  ct_tensor *z = ct_scalar(CT_F64, 1);
  for (int i = 0; i < 100000; i++) z = ct_sin(z);
  assert_ok(ct_item(z, &want));
  assert_ok(ct_item(out, &got));
  assert_true(want == got);
  ct_program_release(&p);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *run_often(void *payload) {
  ct_program *p = payload;
  bool *ok = calloc(1, sizeof *ok);
  if (!ok) return NULL;
  *ok = true;
  for (int i = 0; i < 200 && *ok; i++) {
    ct_scope s = ct_scope_begin();
    ct_tensor *out, *x = ct_full(CT_F64, CT_SHAPE(3, 3), i);
    double sum = 0;
    *ok =
        ct_run(p, CT_LIST(x), &out) == CT_OK && ct_item(out, &sum) == CT_OK && sum == 27.0 * i * i;
    ct_scope_end(s);
  }
  return ok;
}

static void threads_share_a_program(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(3, 3));
  ct_program *p = compiled(CT_LIST(x), CT_LIST(ct_sum(ct_matmul(x, x), CT_ALL, false)), checked);
  pthread_t thread[4];
  for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&thread[i], NULL, run_often, p), 0);
  for (int i = 0; i < 4; i++) {
    void *ok;
    assert_int_equal(pthread_join(thread[i], &ok), 0);
    assert_true(ok && *(bool *)ok);
    free(ok);
  }
  ct_program_release(&p);
}

/* ---- mistakes of the caller ------------------------------------------------------------------ */

static void wrong_calls_say_what_is_wrong(void **state) {
  (void)state;
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(2)), *other = ct_placeholder(CT_F64, CT_SHAPE(2));
  ct_tensor *y = ct_add(x, other), *out;
  assert_null(ct_compile(CT_LIST(x), CT_LIST(y), checked));
  assert_fails(ct_error_code(), CT_EARG, "ct_compile: the placeholder f64 (2) is not among");
  assert_null(ct_compile(CT_LIST(NUMBERS(1, 2)), CT_LIST(y), checked));
  assert_fails(ct_error_code(), CT_ERECORD, "ct_compile: inputs[0]");
  ct_program *p = compiled(CT_LIST(x, other), CT_LIST(y), checked);
  ct_tensor *two = NUMBERS(1, 2);
  assert_fails(ct_run(p, CT_LIST(two), &out), CT_EARG, "ct_run: want 2 inputs, got 1");
  assert_fails(ct_run(p, CT_LIST(two, NUMBERS(1)), &out), CT_ESHAPE,
               "want input 1 as f64 (2), got f64 (1)");
  assert_fails(ct_run(p, CT_LIST(two, ct_cast(two, CT_F32)), &out), CT_EDTYPE, "f32");
  assert_fails(ct_run(p, CT_LIST(two, x), &out), CT_ENOVALUE, "ct_run");
  assert_true(ct_is_nil(out));
  assert_fails(ct_run(p, CT_LIST(two, two), NULL), CT_EARG, "no room");
  ct_program_release(&p);
}

/* ---- the verifier ---------------------------------------------------------------------------- */

static ct_program *sample(void) {
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(3, 3));
  ct_tensor *a = ct_matmul(x, x), *b = ct_softmax(a, 0), *c = ct_matmul(b, a);
  return ct_compile(CT_LIST(x), CT_LIST(ct_matmul(c, b), ct_matmul(c, a)), checked);
}

static void expect_mistake(ct_program *p, const char *text) {
  assert_fails(ct__verify(p, "a test", true), CT_ECHECK, text);
  ct_program_release(&p);
}

static void the_verifier_sees_mistakes(void **state) {
  (void)state;
  ct_program *p = sample();
  assert_non_null(p);
  assert_true(p->n_instrs >= 4);
  assert_ok(ct__verify(p, "a test", true));
  ct__instr first = p->instr[0];
  p->instr[0] = p->instr[1];
  p->instr[1] = first;
  expect_mistake(p, "not made yet");

  p = sample();
  for (int i = 0; i < p->n_values; i++) p->value[i].at = 0;
  expect_mistake(p, "live value");

  p = sample();
  p->arena = 8;
  expect_mistake(p, "behind the arena");

  p = sample();
  p->instr[1].op = p->instr[0].op;
  p->instr[1].n_in = 2;
  p->instr[1].arg = p->instr[0].arg;
  expect_mistake(p, "made twice");

  p = sample();
  int y = ct__outs(&p->instr[1])[0];
  ct__view_set(&p->value[y].v, CT_F64, 1, (const int64_t[]){9});
  expect_mistake(p, "another shape");

  p = sample();
  p->instr[0].arg[0] = p->n_values;
  expect_mistake(p, "does not exist");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scope, close_scope)
  const struct CMUnitTest tests[] = {
      TEST(every_result_is_a_tensor_of_its_own),
      TEST(results_outlive_the_next_run_and_the_program),
      TEST(inputs_may_lie_in_any_way),
      TEST(eager_recipes_compile),
      TEST(functions_are_inlined),
      TEST(programs_call_programs),
      TEST(empty_and_scalar_shapes),
      TEST(updates_apply_after_all_reads),
      TEST(variables_may_get_the_same_value),
      TEST(an_input_may_be_what_is_updated),
      TEST(what_was_made_before_a_run_is_stale_after_it),
      TEST(a_failing_run_changes_nothing),
      TEST(builds_collect_assignments),
      TEST(gradient_steps_are_products),
      TEST(a_product_may_read_what_it_is_added_to),
      TEST(rates_may_have_axes),
      TEST(repeats_are_read_once),
      TEST(exact_sums_keep_their_order),
      TEST(memory_is_used_again),
      TEST(long_recipes_compile),
      TEST(threads_share_a_program),
      TEST(wrong_calls_say_what_is_wrong),
      TEST(the_verifier_sees_mistakes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
