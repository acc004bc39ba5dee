/* test_random_programs.c - programs drawn at random: every derivative against every other way to
 * get it. The checks are those of random_programs_check.h; here are how many, and the proof that
 * they catch mistakes. */
#include "planted_rules.h"
#include "random_programs_run.h"

enum {
  PROGRAMS = 2000,
  PERCENT_REJECTED = 20, /* at most */
  OF_EACH = 50,          /* accepted programs with each primitive, at least */
  WITH_EACH_RULE = 60    /* programs with each planted rule */
};

static row_table rows;

static int fill_rows(void **state) {
  (void)state;
  rows_fill(&rows);
  return 0;
}

static void programs_hold(void **state) {
  (void)state;
  tally sum = {0};
  memset(programs_with, 0, sizeof programs_with);
  for (uint64_t seed = 0; seed < PROGRAMS; seed++) program_try(seed, &rows, NULL, true, &sum);
  print_message("%d accepted, %d rejected\n", sum.accepted, sum.rejected);
  assert_int_equal(sum.failed, 0);
  assert_true(sum.rejected * 100 <= PROGRAMS * PERCENT_REJECTED);
}

static void every_primitive_occurs(void **state) {
  (void)state;
  int rare = 0;
  for (int i = 0; i < ct_op_count(); i++)
    if (programs_with[i] < OF_EACH) {
      print_error("%s is in %d accepted programs; random_programs.def may lack a line\n",
                  ct_op_at(i)->name, programs_with[i]);
      rare++;
    }
  assert_int_equal(rare, 0);
}

/* ---- planted mistakes ------------------------------------------------------------------------ */

static void draw_bias(drawing *d) { /* rows of a matrix */
  want_dims(d, 2, 2);
  d->want[0].dim[0] = 3;
  d->want[1] = CT_SHAPE(d->want[0].dim[1]);
}

static void draw_squares(drawing *d) { d->want[0] = d->want[1] = CT_SHAPE(3, 3); }
static void draw_vector(drawing *d) { d->want[0] = CT_SHAPE(between(d, 2, 5)); }
static void draw_cube(drawing *d) { d->want[0] = CT_SHAPE(2, 2, 2); }

static ct_tensor *circle(const ct_op *op, ct_tensor *x) {
  ct_tensor *y[2];
  return ct_apply_all(op, NULL, CT_LIST(x), y) == CT_OK ? ct_mul(y[0], y[1]) : ct_nil();
}

static ct_tensor *apply_circle_right(ct_tensor *const *x, const int *a) {
  (void)a;
  return circle(&circle_right, x[0]);
}

static ct_tensor *apply_circle_wrong(ct_tensor *const *x, const int *a) {
  (void)a;
  return circle(&circle_wrong, x[0]);
}

#define RULE(op_, kinds, draw, operands, ...)                                                      \
  {                                                                                                \
#op_, kinds, draw, .text = "ct_apply(&" #op_ ", CT_LIST(" operands "))", .lo = -2, .hi = 2,    \
                       __VA_ARGS__                                                                 \
  }
#define RULES(name, kinds, draw, operands)                                                         \
  {                                                                                                \
    RULE(name##_right, kinds, draw, operands, .op = &name##_right),                                \
        RULE(name##_wrong, kinds, draw, operands, .op = &name##_wrong)                             \
  }
static const row rules[][2] = {
    RULES(tanh, "f:f", NULL, "x[0]"),
    RULES(sin, "f:f", NULL, "x[0]"),
    RULES(mul, "ff:f", draw_broadcast, "x[0], x[1]"),
    RULES(bias, "ff:f", draw_bias, "x[0], x[1]"),
    RULES(square, "f:f", NULL, "x[0]"),
    RULES(bent, "f:f", NULL, "x[0]"),
    RULES(cube, "f:f", NULL, "x[0]"),
    RULES(exp, "f:f", NULL, "x[0]"),
    RULES(sum, "f:f", draw_vector, "x[0]"),
    RULES(product, "ff:f", draw_squares, "x[0], x[1]"),
    RULES(softmax, "f:f", draw_vector, "x[0]"),
    RULES(rotate, "f:f", draw_cube, "x[0]"),
    {RULE(circle_right, "f:f", NULL, "x[0]", .apply = apply_circle_right),
     RULE(circle_wrong, "f:f", NULL, "x[0]", .apply = apply_circle_wrong)},
};

static tally programs_with_rule(const row *rule) {
  tally sum = {0};
  for (uint64_t seed = 0; seed < WITH_EACH_RULE; seed++)
    program_try(seed, &rows, rule, false, &sum);
  return sum;
}

static void right_rules_pass(void **state) {
  (void)state;
  for (int i = 0; i < CT__COUNT(rules); i++)
    assert_int_equal(programs_with_rule(&rules[i][0]).failed, 0);
}

/* Not by every program: some are flat there, or below the elements that are wrong. */
static void planted_mistakes_are_caught(void **state) {
  (void)state;
  for (int i = 0; i < CT__COUNT(rules); i++) {
    tally sum = programs_with_rule(&rules[i][1]);
    print_message("%s: %d of %d\n", rules[i][1].name, sum.failed, sum.failed + sum.accepted);
    assert_true(sum.failed >= WITH_EACH_RULE / 5);
  }
}

/* ---- mistakes that are none of a derivative -------------------------------------------------- */

/* The softmax of a batch of vectors, as if it were one of columns. */
static void softmax_of_columns(const ct_call *c, ct_tensor *const *in, const bool *batched,
                               ct_tensor **out) {
  (void)c, (void)batched;
  out[0] = ct_softmax(in[0], 0);
}

static const ct_op batch_wrong = {CT_OP, .name = "batch_wrong", SOFTMAX, .vjp = softmax_vjp,
                                  .batch = softmax_of_columns};

static void other_mistakes_are_caught(void **state) {
  (void)state;
  const row wrong[] = {RULE(batch_wrong, "f:f", draw_vector, "x[0]", .op = &batch_wrong)};
  for (int i = 0; i < CT__COUNT(wrong); i++) {
    tally sum = programs_with_rule(&wrong[i]);
    print_message("%s: %d of %d\n", wrong[i].name, sum.failed, sum.failed + sum.accepted);
    assert_true(sum.failed >= WITH_EACH_RULE / 5);
  }
}

/* ---- shrinking ------------------------------------------------------------------------------- */

/* What is left of a failing program is little more than the mistake, and it prints. */
static void failures_shrink(void **state) {
  (void)state;
  static program p;
  char text[8192] = "";
  FILE *out = fmemopen(text, sizeof text, "w");
  assert_non_null(out);
  ct_scope scope = ct_scope_begin();
  for (uint64_t seed = 0; seed < WITH_EACH_RULE; seed++) {
    assert_null(program_draw(&p, seed, &rows, &rules[0][1]));
    if (program_check(&p, NULL).verdict == FAILED) break;
  }
  int before = p.n;
  finding found = program_shrink(&p);
  program_print(out, &p, &found);
  fclose(out);
  assert_int_equal(found.verdict, FAILED);
  assert_true(p.n < before && p.n <= 4);
  assert_non_null(strstr(text, " = ct_variable(ct_from(CT_F64, "));
  assert_non_null(strstr(text, " = ct_apply(&tanh_wrong, CT_LIST(t"));
  assert_non_null(strstr(text, "ct_list y = CT_LIST(t"));
  assert_ok(ct_scope_end(scope));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(programs_hold),
      cmocka_unit_test(every_primitive_occurs),
      cmocka_unit_test(right_rules_pass),
      cmocka_unit_test(planted_mistakes_are_caught),
      cmocka_unit_test(other_mistakes_are_caught),
      cmocka_unit_test(failures_shrink),
  };
  return cmocka_run_group_tests(tests, fill_rows, NULL);
}
