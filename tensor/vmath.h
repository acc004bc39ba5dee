/* vmath.h - mathematics of one number without branches, so that a loop over it becomes vector code.
 *
 * Compiled once for each instruction set (see kernels/), with products and sums contracted only
 * where madd says so. Suffixes as in libm: vexpf for f32, vexp for f64. Special values, subnormal
 * results and signed zeros are those of libm. The largest errors found, in ulp, with fma (without
 * it they differ in the second digit, but erfc in f64 has 7.3), f32 over every 1021st number, f64
 * over samples of the whole range (test_vmath.c):
 *
 *        exp   expm1  log   log1p  tanh  sigmoid  softplus  sinh  cosh  erf   erfc  sin   cos   tan
 *   f32  0.97  1.52   0.76  0.76   1.22  1.99     2.52      2.16  1.49  0.94  3.8   1.46  1.45  3.0
 *   f64  1.02  1.71   0.70  0.75   1.16  1.98     2.39      2.36  1.46  1.00  4.9   0.77  0.77  2.0
 *
 * alone: one number, for which a branch costs less than both its sides; the bits are the same.
 *
 * The polynomials are minimax fits (Remez), lowest coefficient first.
 */
#ifndef COTANGENT_VMATH_H
#define COTANGENT_VMATH_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* ---- tools ----------------------------------------------------------------------------------- */

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define VMATH_FMA 1
#else
#define VMATH_FMA 0
#endif

/* A call would stop the vectoriser. */
#define VMATH static inline __attribute__((always_inline))

/* clang-format off */
#define VMATH_TOOLS(T, I, S)                                                                       \
  /* a b + c, rounded once where the processor can */                                              \
  VMATH T madd##S(T a, T b, T c) { return VMATH_FMA ? __builtin_fma##S(a, b, c) : a * b + c; } \
  VMATH I bits##S(T x) { I i; memcpy(&i, &x, sizeof i); return i; }                        \
  VMATH T from_bits##S(I i) { T x; memcpy(&x, &i, sizeof x); return x; }                   \
  /* NaN stays */                                                                                  \
  VMATH T at_most##S(T x, T hi) { return x > hi ? hi : x; }                                \
  VMATH T at_least##S(T x, T lo) { return x < lo ? lo : x; }
VMATH_TOOLS(float, uint32_t, f)
VMATH_TOOLS(double, uint64_t, )

/* Polynomials by Horner's rule; M is maddf or madd. */
#define POLY1(M, x, a, b)     M(x, b, a)
#define POLY2(M, x, a, ...)   M(x, POLY1(M, x, __VA_ARGS__), a)
#define POLY3(M, x, a, ...)   M(x, POLY2(M, x, __VA_ARGS__), a)
#define POLY4(M, x, a, ...)   M(x, POLY3(M, x, __VA_ARGS__), a)
#define POLY5(M, x, a, ...)   M(x, POLY4(M, x, __VA_ARGS__), a)
#define POLY6(M, x, a, ...)   M(x, POLY5(M, x, __VA_ARGS__), a)
#define POLY7(M, x, a, ...)   M(x, POLY6(M, x, __VA_ARGS__), a)
#define POLY8(M, x, a, ...)   M(x, POLY7(M, x, __VA_ARGS__), a)
#define POLY9(M, x, a, ...)   M(x, POLY8(M, x, __VA_ARGS__), a)
#define POLY10(M, x, a, ...)  M(x, POLY9(M, x, __VA_ARGS__), a)
#define POLY11(M, x, a, ...)  M(x, POLY10(M, x, __VA_ARGS__), a)
#define POLY12(M, x, a, ...)  M(x, POLY11(M, x, __VA_ARGS__), a)
#define POLY13(M, x, a, ...)  M(x, POLY12(M, x, __VA_ARGS__), a)
#define POLY14(M, x, a, ...)  M(x, POLY13(M, x, __VA_ARGS__), a)
#define POLY15(M, x, a, ...)  M(x, POLY14(M, x, __VA_ARGS__), a)
#define POLY16(M, x, a, ...)  M(x, POLY15(M, x, __VA_ARGS__), a)
#define POLY17(M, x, a, ...)  M(x, POLY16(M, x, __VA_ARGS__), a)
#define POLY18(M, x, a, ...)  M(x, POLY17(M, x, __VA_ARGS__), a)
#define POLY19(M, x, a, ...)  M(x, POLY18(M, x, __VA_ARGS__), a)
#define POLY20(M, x, a, ...)  M(x, POLY19(M, x, __VA_ARGS__), a)
#define POLY21(M, x, a, ...)  M(x, POLY20(M, x, __VA_ARGS__), a)
#define POLY22(M, x, a, ...)  M(x, POLY21(M, x, __VA_ARGS__), a)
#define POLY23(M, x, a, ...)  M(x, POLY22(M, x, __VA_ARGS__), a)
#define POLY24(M, x, a, ...)  M(x, POLY23(M, x, __VA_ARGS__), a)
/* clang-format on */

/* ---- exp: x = n ln 2 + r with |r| <= ln 2 / 2; e^x = 2^n e^r --------------------------------- */

/* Adding 1.5 2^23 (1.5 2^52) rounds to a whole number that then lies in the lowest bits; shifted up
 * by the length of the mantissa these are an exponent. ln 2 is split so that n times its upper part
 * is exact. */
typedef struct reducedf {
  float less_one;    /* e^r - 1 */
  uint32_t exponent; /* n, where a float has its exponent */
} reducedf;
typedef struct reduced {
  double less_one;
  uint64_t exponent;
} reduced;

VMATH reducedf exp_reducef(float x) {
  float shifted = maddf(x, 0x1.715476p+0f, 0x1.8p23f), n = shifted - 0x1.8p23f;
  float r = maddf(n, 2.12194440e-4f, maddf(n, -0.693359375f, x));
  float q = POLY4(maddf, r, 0.5f, 0.166665182f, 0.041666206f, 0.00836888887f, 0.00139504857f);
  return (reducedf){maddf(r * r, q, r), bitsf(shifted) << 23};
}

VMATH reduced exp_reduce(double x) {
  double shifted = madd(x, 0x1.71547652b82fep+0, 0x1.8p52), n = shifted - 0x1.8p52;
  double r = madd(n, -1.90821492927058770002e-10, madd(n, -6.93147180369123816490e-01, x));
  double q = POLY9(madd, r, 0.500000000000001, 0.16666666666666674, 0.041666666666521988,
                   0.0083333333333222067, 0.0013888888947820891, 0.00019841269886590999,
                   2.4801487326012337e-05, 2.7557242336680357e-06, 2.7632655759332031e-07,
                   2.5110049895858716e-08);
  return (reduced){madd(r * r, q, r), bits(shifted) << 52};
}

#define VMATH_EXP(T, I, S, MANTISSA, BIAS, HALF, DOWN, LO, HI)                                     \
  /* 2^n e^r would leave the range on the way: the exponent is moved half a range towards 0, and   \
   * back by a product, which rounds subnormal results and overflows as it should. */              \
  VMATH T vexp##S(T x) {                                                                           \
    reduced##S e = exp_reduce##S(at_least##S(at_most##S(x, HI), LO));                              \
    I sign = (bits##S(x) & ~(~(I)0 >> 1)) >> 1; /* as an exponent: a whole range */                \
    T scale = from_bits##S(((I)(BIAS - HALF) << MANTISSA) + sign + e.exponent);                    \
    return madd##S(scale, e.less_one, scale) *                                                     \
           from_bits##S(((I)(BIAS + HALF) << MANTISSA) - sign);                                    \
  }                                                                                                \
  /* The same for x <= 0. */                                                                       \
  VMATH T exp_down##S(T x) {                                                                       \
    reduced##S e = exp_reduce##S(at_least##S(x, LO));                                              \
    T scale = from_bits##S(((I)(BIAS + HALF) << MANTISSA) + e.exponent);                           \
    return madd##S(scale, e.less_one, scale) * DOWN;                                               \
  }                                                                                                \
  /* (e^x - 1) / 4, for x where 2^(n - 2) is normal. */                                            \
  VMATH T expm1_quarter##S(T x) {                                                                  \
    reduced##S e = exp_reduce##S(x);                                                               \
    T scale = from_bits##S(bits##S(0.25) + e.exponent);                                            \
    return madd##S(scale, e.less_one, scale - (T)0.25);                                            \
  }
VMATH_EXP(float, uint32_t, f, 23, 127, 64, 0x1p-64f, -104.0f, 89.0f)
VMATH_EXP(double, uint64_t, , 52, 1023, 512, 0x1p-512, -746.0, 710.0)

/* ---- log: x = 2^k m with m in [sqrt(1/2), sqrt 2); log x = k ln 2 + log m -------------------- */

/* ln(u) + c for normal u and a c that is small beside it. k ln2_hi is exact, and so is what its sum
 * with r = m - 1 loses. */
VMATH float log_coref(float u, float c, float k) {
  uint32_t i = bitsf(u) + (0x3f800000u - 0x3f3504f3u);
  k += (float)((int32_t)(i >> 23) - 127);
  float r = from_bitsf((i & 0x7fffffu) + 0x3f3504f3u) - 1;
  float p = POLY8(maddf, r, 0.333333105f, -0.249999866f, 0.200022265f, -0.166692525f, 0.142186657f,
                  -0.123843372f, 0.118729167f, -0.117898479f, 0.069155395f);
  float hi = k * 6.9313812256e-01f, sum = hi + r, lost = r - (sum - hi);
  return sum + maddf(r * r, maddf(r, p, -0.5f), maddf(k, 9.0580006145e-06f, lost + c));
}

VMATH double log_core(double u, double c, double k) {
  uint64_t i = bits(u) + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu);
  k += from_bits(i >> 52 | 0x4330000000000000u) - (0x1p52 + 1023);
  double r = from_bits((i & 0xfffffffffffffu) + 0x3fe6a09e667f3bcdu) - 1;
  double s = r / (2 + r), z = s * s, square = 0.5 * r * r;
  double p =
      z * POLY6(madd, z, 0.66666666666667096, 0.39999999999520575, 0.28571428729074078,
                0.22222199110722785, 0.18183570671907912, 0.15313182774602657, 0.14810366143198533);
  double hi = k * 6.93147180369123816490e-01, sum = hi + r, lost = r - (sum - hi);
  double rest = madd(s, square + p, madd(k, 1.90821492927058770002e-10, lost + c));
  return sum + madd(-0.5 * r, r, rest);
}

#define VMATH_LOG(T, S, MIN, MAX, UP, UP_LOG2)                                                     \
  VMATH T vlog##S(T x) {                                                                           \
    bool small = x < MIN; /* subnormal */                                                          \
    T y = log_core##S(small ? x * UP : x, 0, small ? -UP_LOG2 : 0);                                \
    y = x <= MAX ? y : x;                                                                          \
    return x > 0 ? y : x == 0 ? -(T)INFINITY : (T)NAN;                                             \
  }                                                                                                \
  /* What 1 + x loses goes on as its share of the logarithm. */                                    \
  VMATH T vlog1p##S(T x) {                                                                         \
    T u = 1 + x, part = u - 1, lost = (1 - (u - part)) + (x - part);                               \
    T y = copysign##S(log_core##S(u, lost / u, 0), x);                                             \
    y = x <= MAX ? y : x;                                                                          \
    return x > -1 ? y : x == -1 ? -(T)INFINITY : (T)NAN;                                           \
  }
VMATH_LOG(float, f, FLT_MIN, FLT_MAX, 0x1p23f, 23)
VMATH_LOG(double, , DBL_MIN, DBL_MAX, 0x1p52, 52)

/* ln(1 + e) for 0 <= e <= 1: 2 artanh of s / 2 with s = e / (1 + e / 2). */
VMATH float log1p_unitf(float e) {
  float s = e / (1 + 0.5f * e), z = 0.25f * s * s;
  return maddf(s * z,
               POLY5(maddf, z, 0.333333343f, 0.200000226f, 0.142842636f, 0.111507177f,
                     0.0856660755f, 0.109375261f),
               s);
}

VMATH double log1p_unit(double e) {
  double s = e / (1 + 0.5 * e), z = 0.25 * s * s;
  return madd(s * z,
              POLY12(madd, z, 0.33333333333333331, 0.19999999999999998, 0.14285714285714974,
                     0.1111111111101374, 0.090909090986924275, 0.07692307303847662,
                     0.06666679497697976, 0.058820631613779435, 0.052676942880558375,
                     0.0471285769880997, 0.047050550403346152, 0.023497755265340866,
                     0.07890302290039754),
              s);
}

/* ---- what exp and log make ------------------------------------------------------------------- */

/* (tanh x - x) / x^3 for |x| < 0.6, in x^2. */
VMATH float tanh_nearf(float z) {
  return POLY4(maddf, z, -0.333333045f, 0.133319929f, -0.0537824035f, 0.0207735784f,
               -0.00585412793f);
}

VMATH double tanh_near(double z) {
  return POLY10(madd, z, -0.33333333333333237, 0.13333333333311365, -0.053968253953546638,
                0.021869488077080598, -0.0088632274959771443, 0.0035920413434866114,
                -0.0014552272382635577, 0.00058720171008451243, -0.00023037501715978987,
                7.9236026030592949e-05, -1.7115234967617071e-05);
}

#define VMATH_HYPERBOLIC(T, S, TINY, LOWEST, HIGHEST, NEAR, ONE_TANH, ONE_SIGMOID, LO, DOWN)       \
  VMATH T vexpm1##S(T x) {                                                                         \
    T y = 4 * expm1_quarter##S(at_least##S(at_most##S(x, HIGHEST), LOWEST));                       \
    return fabs##S(x) < TINY ? x : y;                                                              \
  }                                                                                                \
  VMATH T vsinh##S(T x) {                                                                          \
    T w = expm1_quarter##S(at_most##S(fabs##S(x), HIGHEST)); /* (e^|x| - 1) / 4 */                 \
    return fabs##S(x) < TINY ? x : copysign##S(2 * (w + w / (4 * w + 1)), x);                      \
  }                                                                                                \
  VMATH T vcosh##S(T x) {                                                                          \
    T half = 2 * expm1_quarter##S(at_most##S(fabs##S(x), HIGHEST)) + (T)0.5; /* e^|x| / 2 */       \
    return half + (T)0.25 / half;                                                                  \
  }                                                                                                \
  VMATH T vtanh##S(T x, bool alone) {                                                              \
    T a = fabs##S(x), near = madd##S(a * a * a, tanh_near##S(a * a), a);                           \
    if (alone && a < NEAR) return copysign##S(near, x);                                            \
    reduced##S e = exp_reduce##S(2 * at_most##S(a, ONE_TANH));                                     \
    T scale = from_bits##S(bits##S(1) + e.exponent);                                               \
    T far = 1 - 2 / madd##S(scale, e.less_one, scale + 1); /* 1 - 2 / (e^2|x| + 1) */              \
    return copysign##S(a < NEAR ? near : far, x);                                                  \
  }                                                                                                \
  /* 1 / (1 + e^-x) with both times 2^-half: no overflow, no digits lost in either tail. */        \
  VMATH T vsigmoid##S(T x) {                                                                       \
    reduced##S e = exp_reduce##S(-at_least##S(at_most##S(x, ONE_SIGMOID), LO));                    \
    T scale = from_bits##S(bits##S(DOWN) + e.exponent);                                            \
    return DOWN / (madd##S(scale, e.less_one, DOWN) + scale);                                      \
  }                                                                                                \
  /* 1 - tanh^2 x as 4 e / (1 + e)^2 with e = e^-2|x|, which keeps its digits in both tails. */    \
  VMATH T vtanh_slope##S(T x) {                                                                    \
    reduced##S e = exp_reduce##S(at_least##S(-2 * fabs##S(x), LO - 2));                            \
    T scale = from_bits##S(bits##S(1 / DOWN) + e.exponent),                                        \
      up = madd##S(scale, e.less_one, scale);                                                      \
    T sum = madd##S(up, DOWN, 1);                                                                  \
    return up / (sum * sum) * (4 * DOWN);                                                          \
  }                                                                                                \
  VMATH T vsoftplus##S(T x) {                                                                      \
    return at_least##S(x, 0) + log1p_unit##S(exp_down##S(-fabs##S(x)));                            \
  }                                                                                                \
  VMATH T vlogaddexp##S(T a, T b) {                                                                \
    T gap = a == b ? 0 : fabs##S(a - b); /* of equal infinities too */                             \
    return (a > b ? a : b) + log1p_unit##S(exp_down##S(-gap));                                     \
  }
VMATH_HYPERBOLIC(float, f, 0x1p-64f, -18.0f, 89.5f, 0.6f, 10.0f, 20.0f, -104.0f, 0x1p-64f)
VMATH_HYPERBOLIC(double, , 0x1p-512, -38.0, 710.5, 0.6, 20.0, 50.0, -746.0, 0x1p-512)

/* ---- erf and erfc ---------------------------------------------------------------------------- */

/* erf x - x over x, for |x| < 1, in x^2. */
VMATH float erf_nearf(float z) {
  return POLY6(maddf, z, 0.128379166f, -0.37612626f, 0.112835854f, -0.0268538129f, 0.00518832775f,
               -0.000801019371f, 7.85386073e-05f);
}

VMATH double erf_near(double z) {
  return POLY12(madd, z, 0.1283791670955126, -0.37612638903183748, 0.11283791670954857,
                -0.026866170645072896, 0.0052239776247808749, -0.00085483269787426329,
                0.00012055331036913794, -1.4925593507190661e-05, 1.6460972821184672e-06,
                -1.6350025260055095e-07, 1.4657880051993659e-08, -1.1365666624567702e-09,
                5.9452626407539547e-11);
}

/* e^(x^2) erfc x for x >= 0, a polynomial of (x - k) / (x + k), over x + k. */
VMATH float erfcxf(float x) {
  float sum = x + 2, r = 1 / sum, lost = r * (maddf(-sum, r, 1) - r * (x - (sum - 2)));
  float q = maddf(-4, r, 1) - 4 * lost;
  r += lost;
  return r * POLY10(maddf, q, 1.02158272f, -0.687160671f, 0.279471755f, -0.0364418067f,
                    -0.021505665f, 0.0064760698f, 0.00306244148f, -0.000832697377f,
                    -0.000592583732f, 4.76465102e-05f, 6.98571821e-05f);
}

VMATH double erfcx(double x) {
  double sum = x + 3, r = 1 / sum, lost = r * (madd(-sum, r, 1) - r * (x - (sum - 3)));
  double q = madd(-6, r, 1) - 6 * lost;
  r += lost;
  return r * POLY24(madd, q, 1.0740069070883398, -0.88339445316988363, 0.5902283571041016,
                    -0.31046726190056256, 0.11952776128730869, -0.02682723462468253,
                    -0.0012124166277608297, 0.003034062004955406, -0.00054830968377998573,
                    -0.0002767778838512871, 0.00010756142289731127, 3.0398387455892876e-05,
                    -1.7470260389048516e-05, -4.7500700311077492e-06, 2.764463650154362e-06,
                    1.0009456631586107e-06, -4.0613563270680981e-07, -2.3670601208379241e-07,
                    4.3683616415654121e-08, 5.3597869065754376e-08, 9.9974811228733683e-10,
                    -9.8678944989604248e-09, -1.9368401457497203e-09, 1.0610414484699596e-09,
                    3.6880798983271997e-10);
}

/* What a b loses by rounding. */
VMATH float lostf(float a, float b, float product) {
  float ah = from_bitsf(bitsf(a) & 0xfffff000u), al = a - ah;
  float bh = from_bitsf(bitsf(b) & 0xfffff000u), bl = b - bh;
  return VMATH_FMA ? __builtin_fmaf(a, b, -product)
                   : ((ah * bh - product) + (ah * bl + al * bh)) + al * bl;
}

VMATH double lost(double a, double b, double product) {
  double ah = from_bits(bits(a) & 0xfffffffff8000000u), al = a - ah;
  double bh = from_bits(bits(b) & 0xfffffffff8000000u), bl = b - bh;
  return VMATH_FMA ? __builtin_fma(a, b, -product)
                   : ((ah * bh - product) + (ah * bl + al * bh)) + al * bl;
}

#define VMATH_ERF(T, S, ZERO)                                                                      \
  /* for x >= 0, which may be NaN */                                                               \
  VMATH T erfc_right##S(T x) {                                                                     \
    T near = at_most##S(x, ZERO), square = near * near;                                            \
    T e = exp_down##S(-square);                                                                    \
    return madd##S(e, -lost##S(near, near, square), e) * erfcx##S(near);                           \
  }                                                                                                \
  VMATH T verfc##S(T x) {                                                                          \
    T y = erfc_right##S(fabs##S(x));                                                               \
    return x < 0 ? 2 - y : y;                                                                      \
  }                                                                                                \
  VMATH T verf##S(T x) {                                                                           \
    T far = copysign##S(1 - erfc_right##S(fabs##S(x)), x);                                         \
    return fabs##S(x) < 1 ? madd##S(x, erf_near##S(x * x), x) : far;                               \
  }                                                                                                \
  /* e^(-h x^2) for h = 1 or 1/2; it has its digits where x^2 has lost them */                     \
  VMATH T vgauss##S(T h, T x) {                                                                    \
    T near = at_most##S(fabs##S(x), (T)1.5 * ZERO), square = near * near;                          \
    T e = exp_down##S(-h * square);                                                                \
    return madd##S(e, -h * lost##S(near, near, square), e);                                        \
  }                                                                                                \
  /* the standard normal distribution, erfc(-x / sqrt 2) / 2 */                                    \
  VMATH T vphi##S(T x) {                                                                           \
    T near = at_most##S(fabs##S(x), (T)1.5 * ZERO);                                                \
    T y = (T)0.5 * vgauss##S((T)0.5, x) * erfcx##S((T)0.70710678118654752 * near);                 \
    return x < 0 ? y : 1 - y;                                                                      \
  }
VMATH_ERF(float, f, 10.5f)
VMATH_ERF(double, , 27.5)

/* The sigmoid of u = 2 sqrt(2 / pi) (x + 0.044715 x^3) with what u loses by rounding, as the result
 * would lose it where u is far below 0. The constants are two numbers each. */
#define VMATH_GELU_GATE(T, S, FAR, A, A_REST, B, B_REST)                                           \
  VMATH T vgelu_gate##S(T x) {                                                                     \
    T near = at_least##S(at_most##S(x, FAR), -FAR), square = near * near, cubic = B * square;      \
    T slope = A + cubic, u = near * slope, y = vsigmoid##S(u), taken = slope - A;                  \
    T cubic_rest = madd##S(B, lost##S(near, near, square), lost##S(B, square, cubic));             \
    T rest = (A - (slope - taken)) + (cubic - taken);                                              \
    rest += cubic_rest + madd##S(B_REST, square, A_REST);                                          \
    return madd##S(y * (1 - y), madd##S(near, rest, lost##S(near, slope, u)), y);                  \
  }
VMATH_GELU_GATE(float, f, 12.0f, 1.59576917f, -4.53406804e-08f, 0.0713548139f, 2.3988324e-09f)
VMATH_GELU_GATE(double, , 22.0, 1.5957691216057308, -9.9693088091109202e-17, 0.071354816272600249,
                -6.175149918155315e-19)

/* sqrt(a^2 + b^2): squares of f32 stay in the range of double, those of f64 are scaled where they
 * would not. What is infinite wins over NaN. */
VMATH float vhypotf(float a, float b) {
  double x = (double)a, y = (double)b;
  float far = (float)sqrt(x * x + y * y);
  return isinf(a) || isinf(b) ? INFINITY : far;
}

VMATH double vhypot(double a, double b) {
  double x = fabs(a), y = fabs(b), top = x > y ? x : y;
  double down = top > 0x1p+500 ? 0x1p-600 : top < 0x1p-450 ? 0x1p+600 : 1;
  double up = top > 0x1p+500 ? 0x1p+600 : top < 0x1p-450 ? 0x1p-600 : 1;
  x *= down;
  y *= down;
  double far = sqrt(x * x + y * y) * up;
  return isinf(a) || isinf(b) ? (double)INFINITY : far;
}

/* The inverse of erf: a guess, and two steps of Halley's iteration on erf where that is not near 1,
 * else on erfc. */
VMATH double erfinv_step(double y, double x) {
  double square = y * y, e = vexp(square), up = madd(e, lost(y, y, square), e);
  double error = x < 0.8 ? (madd(y, erf_near(square), y) - x) * up : (1 - x) * up - erfcx(y);
  double step = 0.88622692545275801 * error;
  return y - step / (1 + y * step);
}

VMATH double verfinv(double x) {
  double a = fabs(x), w = -vlog((1 - a) * (1 + a)), s = sqrt(w);
  double centre = POLY8(madd, w, 0.88622684254360273, 0.23201664906146749, 0.011532146089102042,
                        -0.0022978781648809741, -0.00016721425016276672, 6.868047065343498e-05,
                        -4.5501198631568371e-06, -2.2700858817341296e-07, 2.8536551282499059e-08);
  double tail = POLY6(madd, s, 1.1995948076061407, -0.92444782064643405, 1.1174699829857799,
                      -0.343750082835791, 0.059163362266955365, -0.0053870564456588652,
                      0.00020237623556593391);
  double y = erfinv_step(erfinv_step(a * (w < 5 ? centre : tail), a), a);
  return copysign(a < 1 ? y : a == 1 ? (double)INFINITY : (double)NAN, x);
}

VMATH float verfinvf(float x) { return (float)verfinv((double)x); }

/* ---- trigonometry: x = n pi / 2 + r with |r| <= pi / 4 --------------------------------------- */

/* Right for |x| up to here; beyond, libm, for a number alone. */
#define VMATH_WIDE(T) _Generic((T)0, float : 1e5f, double : 1e6)
/* Below, n = 0 and r = x: less than pi / 4. */
#define VMATH_UNTURNED 0.785f

typedef struct turnf {
  float r;
  uint32_t n; /* in its lowest bits */
} turnf;
typedef struct turn {
  double r, lost; /* r + lost is the rest */
  uint64_t n;
} turn;

#if VMATH_FMA
VMATH turnf reduce_turnf(float x) {
  float shifted = maddf(x, 0.63661977f, 0x1.8p23f), n = shifted - 0x1.8p23f;
  float r = maddf(n, 4.37113883e-8f, maddf(n, -1.57079637f, x)); /* the inner one is exact */
  return (turnf){maddf(n, 1.71512451e-15f, r), bitsf(shifted)};
}
#else
VMATH turnf reduce_turnf(float x) {
  double shifted = (double)x * 0.63661977236758138 + 0x1.8p52, n = shifted - 0x1.8p52;
  double r = ((double)x - n * 1.57079632673412561417e+00) - n * 6.07710050630396597660e-11;
  return (turnf){(float)r, (uint32_t)bits(shifted)};
}
#endif

/* pi / 2 in parts, the first two of 33 bits: their products with n are exact. */
VMATH turn reduce_turn(double x) {
  double shifted = madd(x, 0.63661977236758138, 0x1.8p52), n = shifted - 0x1.8p52;
  double r = x - n * 1.57079632673412561417e+00, w = n * 6.07710050630396597660e-11;
  double sum = r - w, back = sum - r, lost = (r - (sum - back)) - (w + back);
  lost -= n * 2.02226624879595063154e-21;
  double rest = sum + lost;
  return (turn){rest, (sum - rest) + lost, bits(shifted)};
}

VMATH float sin_turnf(turnf t) {
  float z = t.r * t.r;
  return maddf(z * t.r,
               POLY3(maddf, z, -0.166666672f, 0.00833332911f, -0.000198392576f, 2.71731142e-06f),
               t.r);
}

VMATH float cos_turnf(turnf t) {
  float z = t.r * t.r;
  float p =
      POLY4(maddf, z, -0.5f, 0.0416666679f, -0.00138888857f, 2.47999087e-05f, -2.72368482e-07f);
  return maddf(z, p, 1);
}

VMATH double sin_turn(turn t) {
  double z = t.r * t.r, cube = z * t.r;
  double p = POLY4(madd, z, 0.008333333333323624, -0.00019841269830108826, 2.755731363850439e-06,
                   -2.5050732379646726e-08, 1.589457978152985e-10);
  return t.r - ((z * (0.5 * t.lost - cube * p) - t.lost) + cube * 0.16666666666666641);
}

VMATH double cos_turn(turn t) {
  double z = t.r * t.r, half = 0.5 * z, near = 1 - half;
  double p = POLY5(madd, z, 0.04166666666666665, -0.0013888888888882816, 2.4801587294605751e-05,
                   -2.7557315730261363e-07, 2.0875896367569312e-09, -1.1367900041939653e-11);
  return near + (((1 - near) - half) + (z * z * p - t.r * t.lost));
}

#define VMATH_TRIGONOMETRY(T, I, S)                                                                \
  /* sin(x + n pi / 2) */                                                                          \
  VMATH T sine##S(turn##S t, I n) {                                                                \
    T y = (t.n + n) & 1 ? cos_turn##S(t) : sin_turn##S(t);                                         \
    return from_bits##S(bits##S(y) ^ ((t.n + n) & 2) << (8 * sizeof(I) - 2));                      \
  }                                                                                                \
  VMATH T vsin##S(T x, bool alone) {                                                               \
    T tiny = (T)0x1p-27;                                                                           \
    if (alone && fabs##S(x) < VMATH_UNTURNED)                                                      \
      return fabs##S(x) < tiny ? x : sin_turn##S((turn##S){.r = x});                               \
    if (alone && !(fabs##S(x) <= VMATH_WIDE(T))) return sin##S(x);                                 \
    return fabs##S(x) < tiny ? x : sine##S(reduce_turn##S(x), 0);                                  \
  }                                                                                                \
  VMATH T vcos##S(T x, bool alone) {                                                               \
    if (alone && fabs##S(x) < VMATH_UNTURNED) return cos_turn##S((turn##S){.r = x});               \
    if (alone && !(fabs##S(x) <= VMATH_WIDE(T))) return cos##S(x);                                 \
    return sine##S(reduce_turn##S(x), 1);                                                          \
  }                                                                                                \
  VMATH T vtan##S(T x, bool alone) {                                                               \
    if (alone && !(fabs##S(x) <= VMATH_WIDE(T))) return tan##S(x);                                 \
    turn##S t = reduce_turn##S(x);                                                                 \
    return fabs##S(x) < (T)0x1p-27 ? x : sine##S(t, 0) / sine##S(t, 1);                            \
  }
VMATH_TRIGONOMETRY(float, uint32_t, f)
VMATH_TRIGONOMETRY(double, uint64_t, )

#endif
