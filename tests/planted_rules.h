/* planted_rules.h - primitives of our own, each right and with one mistake planted in a rule.
 *
 * For the tests of the checks: name_right must pass, name_wrong must be caught. */
#ifndef COTANGENT_PLANTED_RULES_H
#define COTANGENT_PLANTED_RULES_H

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

/* Element i of any layout. */
static double number(const ct_view *v, int64_t i) {
  int64_t at = 0;
  for (int k = v->ndim - 1; k >= 0; i /= v->dim[k--]) at += i % v->dim[k] * v->stride[k];
  return numbers(v)[at];
}

static ct_status sum_infer(const ct_call *c, ct_spec *out) {
  *out = (ct_spec){ct_dtype_of(c->in[0]), CT_SCALAR};
  return CT_OK;
}

static ct_status sum_eval(const ct_eval *e) {
  const ct_view *x = e->in[0];
  numbers(e->out[0])[0] = 0;
  for (int64_t i = 0; i < x->size; i++) numbers(e->out[0])[0] += number(x, i);
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
    numbers(e->out[0])[i] = sin(number(e->in[0], i));
    numbers(e->out[1])[i] = cos(number(e->in[0], i));
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

#endif
