/* elementwise.h - the vocabulary of unary.def and binary.def as scalar functions: what one element
 * of a kernel computes. Each macro here has a twin of the same name in composition.h, which is the
 * public operation. */
#ifndef COTANGENT_ELEMENTWISE_H
#define COTANGENT_ELEMENTWISE_H

#include "autograd_internal.h"

#include <math.h>

/* Functions that libm lacks, for both types. S is libm's suffix. */
#define SCALAR_FUNCTIONS(T, S)                                                                     \
  static inline T sign##S(T x) { return x != x ? x : (T)((x > 0) - (x < 0)); }                     \
  static inline T sigmoid##S(T x) { /* no overflow, and no digits lost in either tail */           \
    T e = exp##S(-fabs##S(x));                                                                     \
    return (x >= 0 ? 1 : e) / (1 + e);                                                             \
  }                                                                                                \
  static inline T softplus##S(T x) { return (x > 0 ? x : 0) + log1p##S(exp##S(-fabs##S(x))); }     \
  static inline T relu##S(T x) { return x <= 0 ? 0 : x; }                                          \
  static inline T max##S(T a, T b) { return a > b || a != a ? a : b; }                             \
  static inline T min##S(T a, T b) { return a < b || a != a ? a : b; }                             \
  static inline T mul0##S(T a, T b) { return a == 0 ? 0 : a * b; }

SCALAR_FUNCTIONS(float, f)
SCALAR_FUNCTIONS(double, )

#define SCALAR(name, x)     _Generic((x), float : name##f, double : name)(x)
#define SCALAR2(name, a, b) _Generic((a), float : name##f, double : name)(a, b)

#define K(c)          ((T)(c))
#define NEG(x)        (-(x))
#define ADD(a, b)     ((a) + (b))
#define SUB(a, b)     ((a) - (b))
#define MUL(a, b)     ((a) * (b))
#define MUL0(a, b)    SCALAR2(mul0, a, b)
#define DIV(a, b)     ((a) / (b))
#define POW(a, b)     SCALAR2(pow, a, b)
#define MAX(a, b)     SCALAR2(max, a, b)
#define MIN(a, b)     SCALAR2(min, a, b)
#define GT(a, b)      ((T)((a) > (b)))
#define EQ(a, b)      ((T)((a) == (b)))
#define ABS(x)        SCALAR(fabs, x)
#define SIGN(x)       SCALAR(sign, x)
#define EXP(x)        SCALAR(exp, x)
#define EXPM1(x)      SCALAR(expm1, x)
#define LOG(x)        SCALAR(log, x)
#define LOG1P(x)      SCALAR(log1p, x)
#define SQRT(x)       SCALAR(sqrt, x)
#define RSQRT(x)      (1 / SCALAR(sqrt, x))
#define SQUARE(x)     ((x) * (x))
#define RECIPROCAL(x) (1 / (x))
#define SIN(x)        SCALAR(sin, x)
#define COS(x)        SCALAR(cos, x)
#define TANH(x)       SCALAR(tanh, x)
#define SIGMOID(x)    SCALAR(sigmoid, x)
#define SOFTPLUS(x)   SCALAR(softplus, x)
#define RELU(x)       SCALAR(relu, x)

/* Loops over one or two operands of type T and an output of type U. The contiguous case is written
 * out for the vectoriser, and the one where the second operand is a single number. */
#define LOOP1(loop, T, U, expression)                                                              \
  static void loop(int64_t n, char *const *p, const int64_t *s, const void *attr) {                \
    (void)attr;                                                                                    \
    const T *px = (const T *)(const void *)p[0];                                                   \
    U *out = (U *)(void *)p[1];                                                                    \
    if (s[0] == 1 && s[1] == 1)                                                                    \
      for (int64_t i = 0; i < n; i++) {                                                            \
        T x = px[i];                                                                               \
        out[i] = expression;                                                                       \
      }                                                                                            \
    else                                                                                           \
      for (int64_t i = 0; i < n; i++) {                                                            \
        T x = px[i * s[0]];                                                                        \
        out[i * s[1]] = expression;                                                                \
      }                                                                                            \
  }

#define LOOP2(loop, T, U, expression)                                                              \
  static void loop(int64_t n, char *const *p, const int64_t *s, const void *attr) {                \
    (void)attr;                                                                                    \
    const T *pa = (const T *)(const void *)p[0], *pb = (const T *)(const void *)p[1];              \
    U *out = (U *)(void *)p[2];                                                                    \
    if (s[0] == 1 && s[1] == 1 && s[2] == 1)                                                       \
      for (int64_t i = 0; i < n; i++) {                                                            \
        T a = pa[i], b = pb[i];                                                                    \
        out[i] = expression;                                                                       \
      }                                                                                            \
    else if (s[0] == 1 && s[1] == 0 && s[2] == 1) {                                                \
      T b = pb[0];                                                                                 \
      for (int64_t i = 0; i < n; i++) {                                                            \
        T a = pa[i];                                                                               \
        out[i] = expression;                                                                       \
      }                                                                                            \
    } else                                                                                         \
      for (int64_t i = 0; i < n; i++) {                                                            \
        T a = pa[i * s[0]], b = pb[i * s[1]];                                                      \
        out[i * s[2]] = expression;                                                                \
      }                                                                                            \
  }

#endif
