/* elementwise.h - the vocabulary of unary.def and binary.def as scalar functions: what one element
 * of a kernel computes. T is the type. Each word that occurs in a derivative has a twin of the same
 * name in composition.h, which is the public operation. */
#ifndef COTANGENT_ELEMENTWISE_H
#define COTANGENT_ELEMENTWISE_H

#include "../../tensor/vmath.h"
#include "kernels.h"

#define SCALAR_FUNCTIONS(T, I, S)                                                                  \
  VMATH T sign##S(T x) { return x != x ? x : (T)((x > 0) - (x < 0)); }                             \
  VMATH T relu##S(T x) { return x <= 0 ? 0 : x; }                                                  \
  VMATH T softsign##S(T x) {                                                                       \
    return copysign##S(isinf(x) ? 1 : fabs##S(x) / (1 + fabs##S(x)), x);                           \
  }                                                                                                \
  VMATH T max##S(T a, T b) { return a > b || a != a ? a : b; }                                     \
  VMATH T min##S(T a, T b) { return a < b || a != a ? a : b; }                                     \
  VMATH T mul0##S(T a, T b) { return a == 0 ? 0 : a * b; }                                         \
  /* as one of two masks: a condition would become a branch */                                     \
  VMATH T where##S(T a, T b, bool c) {                                                             \
    return from_bits##S((bits##S(a) & -(I)c) | (bits##S(b) & ((I)c - 1)));                         \
  }

SCALAR_FUNCTIONS(float, uint32_t, f)
SCALAR_FUNCTIONS(double, uint64_t, )

#define SCALAR(name, x)     _Generic((x), float : name##f, double : name)(x)
#define SCALAR2(name, a, b) _Generic((a), float : name##f, double : name)(a, b)

#define K(c)            ((T)(c))
#define NEG(x)          (-(x))
#define ADD(a, b)       ((a) + (b))
#define SUB(a, b)       ((a) - (b))
#define MUL(a, b)       ((a) * (b))
#define MUL0(a, b)      SCALAR2(mul0, a, b)
#define DIV(a, b)       ((a) / (b))
#define REM(a, b)       SCALAR2(fmod, a, b)
#define POW(a, b)       SCALAR2(pow, a, b)
#define MAX(a, b)       SCALAR2(max, a, b)
#define MIN(a, b)       SCALAR2(min, a, b)
#define ATAN2(a, b)     SCALAR2(atan2, a, b)
#define HYPOT(a, b)     SCALAR2(vhypot, a, b)
#define LOGADDEXP(a, b) SCALAR2(vlogaddexp, a, b)
#define WHERE(a, b, c)  _Generic((a), float : wheref, double : where)(a, b, c)
#define GT(a, b)        ((T)((a) > (b)))
#define LE(a, b)        ((T)((a) <= (b)))
#define EQ(a, b)        ((T)((a) == (b)))
#define ABS(x)          SCALAR(fabs, x)
#define SIGN(x)         SCALAR(sign, x)
#define FLOOR(x)        SCALAR(floor, x)
#define CEIL(x)         SCALAR(ceil, x)
#define ROUND(x)        SCALAR(rint, x)
#define EXP(x)          SCALAR(vexp, x)
#define EXPM1(x)        SCALAR(vexpm1, x)
#define LOG(x)          SCALAR(vlog, x)
#define LOG1P(x)        SCALAR(vlog1p, x)
#define SQRT(x)         SCALAR(sqrt, x)
#define RSQRT(x)        (1 / SCALAR(sqrt, x))
#define SQUARE(x)       ((x) * (x))
#define RECIPROCAL(x)   (1 / (x))
#define SIN(x)          SCALAR2(vsin, x, alone)
#define COS(x)          SCALAR2(vcos, x, alone)
#define TAN(x)          SCALAR2(vtan, x, alone)
#define ASIN(x)         SCALAR(asin, x)
#define ACOS(x)         SCALAR(acos, x)
#define ATAN(x)         SCALAR(atan, x)
#define SINH(x)         SCALAR(vsinh, x)
#define COSH(x)         SCALAR(vcosh, x)
#define TANH(x)         SCALAR2(vtanh, x, alone)
#define TANH_SLOPE(x)   SCALAR(vtanh_slope, x)
#define ERF(x)          SCALAR(verf, x)
#define ERFC(x)         SCALAR(verfc, x)
#define GAUSS(h, x)     SCALAR2(vgauss, K(h), x)
#define PHI(x)          SCALAR(vphi, x)
#define GELU_GATE(x)    SCALAR(vgelu_gate, x)
#define ERFINV(x)       SCALAR(verfinv, x)
#define LGAMMA(x)       ((T)ct__ln_gamma((double)(x)))
#define POLYGAMMA(n, x) ((T)ct__polygamma((int)(n), (double)(x)))
#define SIGMOID(x)      SCALAR(vsigmoid, x)
#define SOFTPLUS(x)     SCALAR(vsoftplus, x)
#define SOFTSIGN(x)     SCALAR(softsign, x)
#define RELU(x)         SCALAR(relu, x)

#endif
