/* test_gradcheck.c - ct_gradcheck accepts right rules and catches wrong ones.
 *
 * Each planted mistake is a record of our own in two versions that differ in one rule. */
#include "testing.h"

#include "autograd/autograd.h"

#define OPERAND(k) (((const double *)(const void *)p[k])[i * stride[k]])

/* An f64 loop over n_in inputs a, b; t is the output. */
#define LOOP(name, n_in, expression)                                                               \
  static void name(int64_t n, char *const *p, const int64_t *stride, const void *attr) {           \
    (void)attr;                                                                                    \
    for (int64_t i = 0; i < n; i++) ((double *)(void *)p[n_in])[i * stride[n_in]] = expression;    \
  }

/* An elementwise primitive of our own from its loop and its rules. */
#define ELEMENTWISE(op, inputs, loop_, ...)                                                        \
  static const ct_kernel op##_kernel = {.loop = {[CT_F64] = loop_}};                               \
  static const ct_op op = {CT_OP,                                                                  \
                           .name = #op,                                                            \
                           .n_in = inputs,                                                         \
                           .flags = CT_ELEMENTWISE,                                                \
                           .infer = ct_infer_same,                                                 \
                           .kernel = &op##_kernel,                                                 \
                           __VA_ARGS__};

#define PARTIAL(name, expression)                                                                  \
  static ct_tensor *name(const ct_call *c, int i) {                                                \
    (void)c, (void)i;                                                                              \
    return expression;                                                                             \
  }

#define VJP(name, body)                                                                            \
  static void name(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {                       \
    (void)c, (void)gy;                                                                             \
    body;                                                                                          \
  }

#define JVP(name, body)                                                                            \
  static void name(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {                       \
    (void)c, (void)dx;                                                                             \
    body;                                                                                          \
  }

/* ---- elementwise ----------------------------------------------------------------------------- */

LOOP(tanh_loop, 1, tanh(OPERAND(0)))
PARTIAL(tanh_partial, ct_shift(ct_neg(ct_square(ct_out(c, 0))), 1))
PARTIAL(tanh_partial_unsquared, ct_shift(ct_neg(ct_out(c, 0)), 1))
ELEMENTWISE(tanh_right, 1, tanh_loop, .partial = tanh_partial)
ELEMENTWISE(tanh_wrong, 1, tanh_loop, .partial = tanh_partial_unsquared)

LOOP(sin_loop, 1, sin(OPERAND(0)))
VJP(sin_vjp, gx[0] = ct_mul(gy[0], ct_cos(c->in[0])))
JVP(sin_jvp, dy[0] = ct_mul(dx[0], ct_cos(c->in[0])))
JVP(sin_jvp_negative, dy[0] = ct_neg(ct_mul(dx[0], ct_cos(c->in[0]))))
ELEMENTWISE(sin_right, 1, sin_loop, .vjp = sin_vjp, .jvp = sin_jvp)
ELEMENTWISE(sin_wrong, 1, sin_loop, .vjp = sin_vjp, .jvp = sin_jvp_negative)

LOOP(mul_loop, 2, OPERAND(0) * OPERAND(1))
PARTIAL(mul_partial, c->in[1 - i])
PARTIAL(mul_partial_swapped, c->in[i])
ELEMENTWISE(mul_right, 2, mul_loop, .partial = mul_partial)
ELEMENTWISE(mul_wrong, 2, mul_loop, .partial = mul_partial_swapped)

LOOP(add_loop, 2, OPERAND(0) + OPERAND(1))
VJP(add_vjp, gx[0] = gx[1] = gy[0])
VJP(add_vjp_first_row, gx[0] = gy[0]; gx[1] = ct_slice(gy[0], 0, 0, 1, 1))
JVP(add_jvp, dy[0] = !dx[0]   ? ct_broadcast_to(dx[1], ct_shape_of(c->in[0]))
                     : !dx[1] ? dx[0]
                              : ct_add(dx[0], dx[1]))
ELEMENTWISE(bias_right, 2, add_loop, .vjp = add_vjp, .jvp = add_jvp)
ELEMENTWISE(bias_wrong, 2, add_loop, .vjp = add_vjp_first_row, .jvp = add_jvp)

LOOP(square_loop, 1, OPERAND(0) * OPERAND(0))
VJP(square_vjp, gx[0] = ct_mul(gy[0], ct_scale(c->in[0], 2)))
JVP(square_jvp, dy[0] = ct_mul(dx[0], ct_scale(c->in[0], 2)))
ELEMENTWISE(square_right, 1, square_loop, .vjp = square_vjp, .jvp = square_jvp)
ELEMENTWISE(square_wrong, 1, square_loop, .vjp = square_vjp, .linear = 1)

/* Wrong in one element of all: the one above 1.39. */
PARTIAL(square_partial, ct_scale(c->in[0], 2))
PARTIAL(square_partial_bent, ct_scale(ct_minimum(c->in[0], ct_scalar(CT_F64, 1.39)), 2))
ELEMENTWISE(bent_right, 1, square_loop, .partial = square_partial)
ELEMENTWISE(bent_wrong, 1, square_loop, .partial = square_partial_bent)

/* Right at first, wrong in the second derivative: through a helper, and through a detached value.
 */
PARTIAL(square_partial_halved, c->in[0])
ELEMENTWISE(helper_wrong, 1, square_loop, .partial = square_partial_halved)
LOOP(cube_loop, 1, OPERAND(0) * OPERAND(0) * OPERAND(0))
PARTIAL(cube_partial, ct_scale(ct_apply(&bent_right, CT_LIST(c->in[0])), 3))
PARTIAL(cube_partial_helped, ct_scale(ct_apply(&helper_wrong, CT_LIST(c->in[0])), 3))
ELEMENTWISE(cube_right, 1, cube_loop, .partial = cube_partial)
ELEMENTWISE(cube_wrong, 1, cube_loop, .partial = cube_partial_helped)

LOOP(exp_loop, 1, exp(OPERAND(0)))
PARTIAL(exp_partial, ct_out(c, 0))
PARTIAL(exp_partial_stopped, ct_stop_gradient(ct_out(c, 0)))
ELEMENTWISE(exp_right, 1, exp_loop, .partial = exp_partial)
ELEMENTWISE(exp_wrong, 1, exp_loop, .partial = exp_partial_stopped)

/* ---- others ---------------------------------------------------------------------------------- */

static double *numbers(const ct_view *v) { return (double *)(void *)v->data; }

static ct_status sum_infer(const ct_call *c, ct_spec *out) {
  *out = (ct_spec){ct_dtype_of(c->in[0]), CT_SCALAR};
  return CT_OK;
}

static ct_status sum_eval(const ct_eval *e) {
  const ct_view *x = e->in[0]; /* a matrix */
  numbers(e->out[0])[0] = 0;
  for (int64_t i = 0; i < x->size; i++)
    numbers(e->out[0])[0] +=
        numbers(x)[i / x->dim[1] * x->stride[0] + i % x->dim[1] * x->stride[1]];
  return CT_OK;
}

VJP(sum_vjp, gx[0] = ct_broadcast_to(gy[0], ct_shape_of(c->in[0])))
VJP(sum_vjp_of_mean,
    gx[0] = ct_scale(ct_broadcast_to(gy[0], ct_shape_of(c->in[0])), 1 / (double)ct_size(c->in[0])))
#define SUM .n_in = 1, .infer = sum_infer, .eval = sum_eval, .linear = 1
static const ct_op sum_right = {CT_OP, .name = "sum_right", SUM, .vjp = sum_vjp};
static const ct_op sum_wrong = {CT_OP, .name = "sum_wrong", SUM, .vjp = sum_vjp_of_mean};

/* Square matrices, so that a missing transpose still fits. */
static ct_status product_infer(const ct_call *c, ct_spec *out) {
  *out = (ct_spec){ct_dtype_of(c->in[0]), ct_shape_of(c->in[0])};
  return CT_OK;
}

static ct_status product_eval(const ct_eval *e) {
  const ct_view *a = e->in[0], *b = e->in[1];
  int64_t n = a->dim[0];
  for (int64_t i = 0; i < n * n; i++) {
    double sum = 0;
    for (int64_t k = 0; k < n; k++)
      sum += numbers(a)[i / n * a->stride[0] + k * a->stride[1]] *
             numbers(b)[k * b->stride[0] + i % n * b->stride[1]];
    numbers(e->out[0])[i] = sum;
  }
  return CT_OK;
}

VJP(product_vjp, gx[0] = ct_matmul(gy[0], ct_transpose(c->in[1], 0, 1));
    gx[1] = ct_matmul(ct_transpose(c->in[0], 0, 1), gy[0]))
VJP(product_vjp_straight, gx[0] = ct_matmul(gy[0], c->in[1]);
    gx[1] = ct_matmul(ct_transpose(c->in[0], 0, 1), gy[0]))
#define PRODUCT .n_in = 2, .infer = product_infer, .eval = product_eval, .linear = 3
static const ct_op product_right = {CT_OP, .name = "product_right", PRODUCT, .vjp = product_vjp};
static const ct_op product_wrong = {CT_OP, .name = "product_wrong", PRODUCT,
                                    .vjp = product_vjp_straight};

/* Softmax of a vector; the wrong rule forgets that all elements share the denominator. */
static ct_status softmax_eval(const ct_eval *e) {
  const ct_view *x = e->in[0];
  double sum = 0, *y = numbers(e->out[0]);
  for (int64_t i = 0; i < x->size; i++) sum += y[i] = exp(numbers(x)[i * x->stride[0]]);
  for (int64_t i = 0; i < x->size; i++) y[i] /= sum;
  return CT_OK;
}

static ct_tensor *softmax_rule(const ct_call *c, ct_tensor *t, bool shared) {
  ct_tensor *y = ct_out(c, 0), *mean = ct_sum(ct_mul(t, y), CT_ALL, true);
  return ct_mul(y, shared ? ct_sub(t, mean) : t);
}

VJP(softmax_vjp, gx[0] = softmax_rule(c, gy[0], true))
VJP(softmax_vjp_alone, gx[0] = softmax_rule(c, gy[0], false))
JVP(softmax_jvp, dy[0] = softmax_rule(c, dx[0], true))
#define SOFTMAX .n_in = 1, .infer = product_infer, .eval = softmax_eval, .jvp = softmax_jvp
static const ct_op softmax_right = {CT_OP, .name = "softmax_right", SOFTMAX, .vjp = softmax_vjp};
static const ct_op softmax_wrong = {CT_OP, .name = "softmax_wrong", SOFTMAX,
                                    .vjp = softmax_vjp_alone};

/* Rotates three axes of equal extent; the wrong rule rotates on instead of back. */
static ct_status rotate_eval(const ct_eval *e) {
  const ct_view *x = e->in[0];
  int64_t n = x->dim[0];
  for (int64_t i = 0; i < n * n * n; i++)
    numbers(e->out[0])[i] =
        numbers(x)[i / (n * n) * x->stride[1] + i / n % n * x->stride[2] + i % n * x->stride[0]];
  return CT_OK;
}

VJP(rotate_vjp, gx[0] = ct_permute(gy[0], CT_AXES(2, 0, 1)))
VJP(rotate_vjp_on, gx[0] = ct_permute(gy[0], CT_AXES(1, 2, 0)))
#define ROTATE .n_in = 1, .infer = product_infer, .eval = rotate_eval, .linear = 1
static const ct_op rotate_right = {CT_OP, .name = "rotate_right", ROTATE, .vjp = rotate_vjp};
static const ct_op rotate_wrong = {CT_OP, .name = "rotate_wrong", ROTATE, .vjp = rotate_vjp_on};

/* Two outputs, sin x and cos x; the wrong rule forgets the cotangent of the second. */
static ct_status circle_infer(const ct_call *c, ct_spec *out) {
  product_infer(c, &out[0]);
  return product_infer(c, &out[1]);
}

static ct_status circle_eval(const ct_eval *e) {
  for (int64_t i = 0; i < e->in[0]->size; i++) {
    double x = numbers(e->in[0])[i * e->in[0]->stride[0]];
    numbers(e->out[0])[i] = sin(x);
    numbers(e->out[1])[i] = cos(x);
  }
  return CT_OK;
}

static ct_tensor *circle_rule(const ct_call *c, ct_tensor *gs, ct_tensor *gc) {
  ct_tensor *first = gs ? ct_mul(gs, ct_cos(c->in[0])) : NULL;
  ct_tensor *second = gc ? ct_neg(ct_mul(gc, ct_sin(c->in[0]))) : NULL;
  return !first ? second : !second ? first : ct_add(first, second);
}

VJP(circle_vjp, gx[0] = circle_rule(c, gy[0], gy[1]))
VJP(circle_vjp_half, gx[0] = circle_rule(c, gy[0], NULL))
JVP(circle_jvp, dy[0] = ct_mul(dx[0], ct_cos(c->in[0]));
    dy[1] = ct_neg(ct_mul(dx[0], ct_sin(c->in[0]))))
#define CIRCLE .n_in = 1, .n_out = 2, .infer = circle_infer, .eval = circle_eval, .jvp = circle_jvp
static const ct_op circle_right = {CT_OP, .name = "circle_right", CIRCLE, .vjp = circle_vjp};
static const ct_op circle_wrong = {CT_OP, .name = "circle_wrong", CIRCLE, .vjp = circle_vjp_half};

/* ---- the table ------------------------------------------------------------------------------- */

typedef struct planted {
  const ct_op *right, *wrong;
  ct_shape x[2];     /* the second is for binary ones */
  const char *check; /* that must be the worst, as a part of its name */
  bool second;       /* only the second derivative is wrong */
} planted;

#define VECTOR(n)                                                                                  \
  {                                                                                                \
    1, { n }                                                                                       \
  }
#define MATRIX(m, n)                                                                               \
  {                                                                                                \
    2, { m, n }                                                                                    \
  }
static const planted table[] = {
    {&tanh_right, &tanh_wrong, {MATRIX(2, 3)}, "", false},
    {&sin_right, &sin_wrong, {MATRIX(2, 3)}, "jvp", false},
    {&mul_right, &mul_wrong, {MATRIX(2, 3), VECTOR(3)}, "", false},
    {&bias_right, &bias_wrong, {MATRIX(4, 3), VECTOR(3)}, "vjp", false},
    {&square_right, &square_wrong, {VECTOR(5)}, "jvp", false},
    {&bent_right, &bent_wrong, {MATRIX(4, 6)}, "", false},
    {&cube_right, &cube_wrong, {VECTOR(5)}, "second order", true},
    {&exp_right, &exp_wrong, {VECTOR(5)}, "second order", true},
    {&sum_right, &sum_wrong, {MATRIX(2, 3)}, "vjp", false},
    {&product_right, &product_wrong, {MATRIX(3, 3), MATRIX(3, 3)}, "", false},
    {&softmax_right, &softmax_wrong, {VECTOR(5)}, "vjp", false},
    {&rotate_right, &rotate_wrong, {{3, {2, 2, 2}}}, "vjp", false},
    {&circle_right, &circle_wrong, {VECTOR(4)}, "vjp", false},
};
enum { PLANTED = sizeof table / sizeof table[0] };

/* Increasing from 0.3 to 1.4. */
static ct_tensor *values(ct_shape shape) {
  int64_t n = 1;
  for (int i = 0; i < shape.n; i++) n *= shape.dim[i];
  return ct_reshape(ct_linspace(CT_F64, 0.3, 1.4, n), shape);
}

static ct_tensor *use(ct_list x, void *op) {
  ct_tensor *y[2] = {ct_nil(), ct_nil()};
  ct_apply_all(op, NULL, x, y);
  return ct_is_nil(y[1]) ? y[0] : ct_mul(y[0], y[1]);
}

static ct_status check_op(const ct_op *op, const planted *row, int order,
                          ct_gradcheck_report *report) {
  ct_tensor *x[] = {values(row->x[0]), op->n_in > 1 ? values(row->x[1]) : NULL};
  ct_gradcheck_opts opts = {.order = order};
  return ct_gradcheck(use, (void *)(uintptr_t)op, (ct_list){op->n_in, x}, opts, report);
}

static void right_rules_pass(void **state) {
  (void)state;
  for (int i = 0; i < PLANTED; i++) {
    ct_gradcheck_report report;
    ct_scope scope = ct_scope_begin();
    assert_ok(check_op(table[i].right, &table[i], 2, &report));
    assert_true(report.error < 1e-7);
    assert_ok(ct_scope_end(scope));
  }
}

static void planted_mistakes_are_caught(void **state) {
  (void)state;
  assert_true(PLANTED >= 10);
  for (int i = 0; i < PLANTED; i++) {
    ct_gradcheck_report report;
    ct_scope scope = ct_scope_begin();
    print_message("%s\n", table[i].wrong->name);
    assert_fails(check_op(table[i].wrong, &table[i], 0, &report), CT_ECHECK, table[i].check);
    assert_true(report.error > 1e-3);
    ct_status first = check_op(table[i].wrong, &table[i], 1, NULL);
    assert_int_equal(first, table[i].second ? CT_OK : CT_ECHECK);
    ct_error_clear();
    assert_ok(ct_scope_end(scope));
  }
}

/* ---- the report ------------------------------------------------------------------------------ */

static void the_worst_element_is_named(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_gradcheck_report report;
  planted row = {NULL, &bent_wrong, {MATRIX(4, 6)}, "", false};
  assert_fails(check_op(&bent_wrong, &row, 1, &report), CT_ECHECK, "input 0, element 23");
  assert_int_equal(report.input, 0);
  assert_int_equal(report.element, 23);
  assert_near(report.want / report.got, 1.4 / 1.39, 1e-6);
  assert_fails(check_op(&product_wrong, &table[9], 1, &report), CT_ECHECK, "input 0");
  assert_ok(ct_scope_end(scope));
}

static ct_tensor *wrong_tanh(ct_list x, void *payload) {
  (void)payload;
  return ct_apply(&tanh_wrong, x);
}

/* 2000 elements are checked along directions. */
static void large_inputs_are_checked_along_directions(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_gradcheck_report report;
  ct_tensor *x = values(CT_SHAPE(40, 50));
  assert_ok(ct_gradcheck(use, (void *)(uintptr_t)&tanh_right, CT_LIST(x), (ct_gradcheck_opts){0},
                         &report));
  assert_fails(ct_gradcheck(wrong_tanh, NULL, CT_LIST(x), (ct_gradcheck_opts){.order = 1}, &report),
               CT_ECHECK, "element");
  assert_ok(ct_scope_end(scope));
}

/* ---- the report of each input ---------------------------------------------------------------- */

/* A kernel that knows one layout only, and a batch rule that gives every element the first. */
LOOP(blind_loop, 1, (((const double *)(const void *)p[0])[stride[0] > 1 ? 0 : i *stride[0]]))
VJP(same_vjp, gx[0] = gy[0])
JVP(same_jvp, dy[0] = dx[0])
ELEMENTWISE(blind_wrong, 1, blind_loop, .vjp = same_vjp, .jvp = same_jvp)

static ct_status same_eval(const ct_eval *e) {
  for (int64_t i = 0; i < e->in[0]->size; i++)
    numbers(e->out[0])[i] = numbers(e->in[0])[i * e->in[0]->stride[0]];
  return CT_OK;
}

static void first_for_all(const ct_call *c, ct_tensor *const *in, const bool *batched,
                          ct_tensor **out) {
  (void)c, (void)batched;
  out[0] = ct_broadcast_to(ct_slice(in[0], 0, 0, 1, 1), ct_shape_of(in[0]));
}

static const ct_op batch_wrong = {CT_OP,
                                  .name = "batch_wrong",
                                  .n_in = 1,
                                  .infer = product_infer,
                                  .eval = same_eval,
                                  .vjp = same_vjp,
                                  .jvp = same_jvp,
                                  .batch = first_for_all};

static void layouts_and_batches_are_checked(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_gradcheck_input each[1];
  ct_gradcheck_opts opts = {.each = each};
  const ct_list x = CT_LIST(values(CT_SHAPE(5)));
  assert_fails(ct_gradcheck(use, (void *)(uintptr_t)&blind_wrong, x, opts, NULL), CT_ECHECK,
               "strided against contiguous, input 0");
  assert_true(each[0].strided > 1e-2 && each[0].batch < 1e-9 && each[0].vjp_of_vjp == -1);
  assert_fails(ct_gradcheck(use, (void *)(uintptr_t)&batch_wrong, x, opts, NULL), CT_ECHECK,
               "batch against loop, input 0");
  assert_true(each[0].batch > 1e-5 && each[0].strided < 1e-9 && each[0].vjp_of_vjp == -1);
  assert_ok(ct_scope_end(scope));
}

static ct_tensor *pick(ct_list x, void *payload) {
  (void)payload;
  return ct_mul(ct_gather(x.at[1], x.at[0], 0), ct_square(x.at[2]));
}

static void every_check_of_every_input_is_reported(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_tensor *index = ct_from(CT_I32, CT_SHAPE(3), (int32_t[]){2, 0, 2});
  ct_gradcheck_input each[3];
  assert_ok(ct_gradcheck(pick, NULL,
                         CT_LIST(index, values(CT_SHAPE(4)), ct_cast(values(CT_SHAPE(3)), CT_F32)),
                         (ct_gradcheck_opts){.each = each}, NULL));
  for (int i = 0; i < 3; i++) {
    const double error[] = {each[i].vjp,   each[i].jvp,     each[i].vjp_of_vjp, each[i].jvp_of_vjp,
                            each[i].batch, each[i].strided, each[i].vjp_of_jvp};
    for (size_t k = 0; k < sizeof error / sizeof error[0]; k++)
      assert_true(i == 0 ? error[k] == -1 : error[k] >= 0 && error[k] < 1e-6);
  }
  assert_ok(ct_scope_end(scope));
}

/* ---- what f may be --------------------------------------------------------------------------- */

static void other_dtypes_are_constants(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_tensor *index = ct_from(CT_I32, CT_SHAPE(3), (int32_t[]){2, 0, 2});
  ct_tensor *x = values(CT_SHAPE(4)), *f32 = ct_cast(values(CT_SHAPE(3)), CT_F32);
  ct_gradcheck_report report;
  assert_ok(ct_gradcheck(pick, NULL, CT_LIST(index, x, f32), (ct_gradcheck_opts){0}, &report));
  assert_ok(ct_scope_end(scope));
}

/* A gradient inside f: its check goes to the fourth order. */
static ct_tensor *curvature(ct_list x, void *payload) {
  (void)payload;
  ct_tensor *g = ct_nil();
  ct_grad(ct_sum(ct_exp(ct_sin(x.at[0])), CT_ALL, false), x, &g);
  return ct_vjp(g, x.at[0], g);
}

static void f_may_differentiate(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin_with(CT_NO_RECORD);
  assert_ok(
      ct_gradcheck(curvature, NULL, CT_LIST(values(CT_SHAPE(2, 2))), (ct_gradcheck_opts){0}, NULL));
  assert_ok(ct_scope_end(scope));
}

static ct_tensor *inner_scope(ct_list x, void *payload) {
  (void)payload;
  ct_scope_begin(); /* left open */
  return ct_mul(x.at[0], x.at[0]);
}

static void inputs_may_be_recorded_strided_empty_and_scalar(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_tensor *v = ct_variable(values(CT_SHAPE(3, 4)));
  ct_tensor *inputs[] = {v,
                         ct_transpose(v, 0, 1),
                         ct_slice(v, 1, CT_END, CT_END, -2),
                         ct_broadcast_to(ct_slice(v, 0, 0, 1, 1), CT_SHAPE(3, 4)),
                         ct_zeros(CT_F64, CT_SHAPE(0, 3)),
                         ct_scalar(CT_F64, 0.4)};
  for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
    ct_gradcheck_opts opts = {.seed = i};
    assert_ok(ct_gradcheck(inner_scope, NULL, CT_LIST(inputs[i]), opts, NULL));
  }
  ct_release(&v);
  assert_ok(ct_scope_end(scope));
}

/* ---- mistakes of the caller ------------------------------------------------------------------ */

static ct_tensor *no_tensor(ct_list x, void *payload) {
  (void)x, (void)payload;
  return NULL;
}

static ct_tensor *misfit(ct_list x, void *payload) {
  (void)payload;
  return ct_matmul(x.at[0], x.at[0]);
}

static ct_tensor *narrow(ct_list x, void *payload) {
  (void)payload;
  return ct_cast(x.at[0], CT_F32);
}

static ct_tensor *restless(ct_list x, void *calls) {
  return ct_sum(x.at[0], CT_ALL, ++*(int *)calls > 4);
}

static ct_tensor *infinite(ct_list x, void *payload) {
  (void)payload;
  return ct_log(ct_sub(x.at[0], x.at[0]));
}

static void mistakes_are_reported(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  const ct_gradcheck_opts plain = {0};
  ct_tensor *x = values(CT_SHAPE(2, 3)), *i = ct_ones(CT_I32, CT_SHAPE(2));
  ct_gradcheck_report report;
  int calls = 0;
  assert_fails(ct_gradcheck(NULL, NULL, CT_LIST(x), plain, NULL), CT_EARG, "f is NULL");
  assert_fails(ct_gradcheck(inner_scope, NULL, CT_NONE, plain, NULL), CT_EARG, "ct_gradcheck");
  assert_fails(ct_gradcheck(inner_scope, NULL, (ct_list){2, NULL}, plain, NULL), CT_EARG,
               "ct_gradcheck");
  assert_fails(ct_gradcheck(inner_scope, NULL, CT_LIST(NULL), plain, NULL), CT_EARG, "NULL");
  assert_fails(ct_gradcheck(inner_scope, NULL, CT_LIST(ct_nil()), plain, &report), CT_ENIL,
               "ct_gradcheck");
  assert_fails(ct_gradcheck(inner_scope, NULL, CT_LIST(i), plain, NULL), CT_EDTYPE, "f32 or f64");
  assert_fails(
      ct_gradcheck(inner_scope, NULL, CT_LIST(ct_placeholder(CT_F64, CT_SHAPE(2))), plain, NULL),
      CT_ENOVALUE, "ct_gradcheck");
  assert_fails(ct_gradcheck(inner_scope, NULL, CT_LIST(x), (ct_gradcheck_opts){.step = -1}, NULL),
               CT_EARG, "step");
  assert_fails(ct_gradcheck(inner_scope, NULL, CT_LIST(x), (ct_gradcheck_opts){.order = 3}, NULL),
               CT_EARG, "order");
  assert_fails(ct_gradcheck(no_tensor, NULL, CT_LIST(x), plain, NULL), CT_EARG, "NULL");
  assert_fails(ct_gradcheck(misfit, NULL, CT_LIST(x), plain, NULL), CT_ESHAPE, "matmul");
  assert_fails(ct_gradcheck(narrow, NULL, CT_LIST(x), plain, NULL), CT_EDTYPE, "want f64");
  assert_fails(ct_gradcheck(restless, &calls, CT_LIST(x), plain, NULL), CT_ESHAPE, "other shapes");
  assert_fails(ct_gradcheck(infinite, NULL, CT_LIST(x), plain, &report), CT_ECHECK, "vjp");
  assert_true(isnan(report.error));
  assert_ok(ct_scope_end(scope));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(right_rules_pass),
      cmocka_unit_test(planted_mistakes_are_caught),
      cmocka_unit_test(the_worst_element_is_named),
      cmocka_unit_test(large_inputs_are_checked_along_directions),
      cmocka_unit_test(layouts_and_batches_are_checked),
      cmocka_unit_test(every_check_of_every_input_is_reported),
      cmocka_unit_test(other_dtypes_are_constants),
      cmocka_unit_test(f_may_differentiate),
      cmocka_unit_test(inputs_may_be_recorded_strided_empty_and_scalar),
      cmocka_unit_test(mistakes_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
