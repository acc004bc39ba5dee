/* composition.h - the vocabulary of the derivatives in unary.def and binary.def as public
 * operations: derivatives that can be differentiated again. The twin of elementwise.h. Expects `c`,
 * the call, in scope. */
#ifndef COTANGENT_COMPOSITION_H
#define COTANGENT_COMPOSITION_H

#include "autograd_internal.h"

#include <math.h>

#define K(value)        ct__constant_like(c->in[0], value)
#define NEG(x)          ct_neg(x)
#define ADD(a, b)       ct_add(a, b)
#define SUB(a, b)       ct_sub(a, b)
#define MUL(a, b)       ct_mul(a, b)
#define MUL0(a, b)      ct_mul0(a, b)
#define DIV(a, b)       ct_div(a, b)
#define POW(a, b)       ct_pow(a, b)
#define HYPOT(a, b)     ct_hypot(a, b)
#define GT(a, b)        ct_cast(ct_gt(a, b), c->in[0]->v.dtype)
#define LE(a, b)        ct_cast(ct_le(a, b), c->in[0]->v.dtype)
#define EQ(a, b)        ct_cast(ct_eq(a, b), c->in[0]->v.dtype)
#define ABS(x)          ct_abs(x)
#define SIGN(x)         ct_sign(x)
#define ROUND(x)        ct_round(x)
#define EXP(x)          ct_exp(x)
#define LOG(x)          ct_log(x)
#define RSQRT(x)        ct_rsqrt(x)
#define SQUARE(x)       ct_square(x)
#define RECIPROCAL(x)   ct_reciprocal(x)
#define SIN(x)          ct_sin(x)
#define COS(x)          ct_cos(x)
#define SINH(x)         ct_sinh(x)
#define COSH(x)         ct_cosh(x)
#define TANH_SLOPE(x)   MUL(K(4), MUL(SIGMOID(MUL(K(2), x)), SIGMOID(MUL(K(-2), x))))
#define GAUSS(h, x)     ct_exp(ct_scale(ct_square(x), -(h)))
#define PHI(x)          ct_scale(ct_erfc(ct_scale(x, -0.70710678118654752)), 0.5)
#define GELU_GATE(x)    ct_sigmoid(GELU_ARGUMENT(x))
#define POLYGAMMA(n, x) ct_polygamma((int)(n), x)
#define SIGMOID(x)      ct_sigmoid(x)

#endif
