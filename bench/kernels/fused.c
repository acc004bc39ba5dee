/* fused.c - the loops of fused.h. Compiled once for each instruction set; CT__ISA is its name. */
#include "bench/support/fused.h"

#include "tensor/vmath.h"

#define F(constant) ((float)(constant))

#define LOOP(value)                                                                                \
  static void value##_loop(int64_t n, const float *const *x, float *restrict y) {                  \
    const float *x0 = x[0];                                                                        \
    for (int64_t i = 0; i < n; i++) y[i] = value(x0[i]);                                           \
  }
#define LOOP_OF_FIVE(value)                                                                        \
  static void value##_loop(int64_t n, const float *const *x, float *restrict y) {                  \
    const float *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3], *x4 = x[4];                        \
    for (int64_t i = 0; i < n; i++) y[i] = value(x0[i], x1[i], x2[i], x3[i], x4[i]);               \
  }

/* The mean in y[0]: blocks are summed in LANES floats, which are added up in double. */
enum { LANES = 128, BLOCK = 4096 };
#define MEAN_OF_TWO(value)                                                                         \
  static double value##_sum(int64_t n, const float *x0, const float *x1) {                         \
    float lane[LANES] = {0};                                                                       \
    double sum = 0;                                                                                \
    int64_t i = 0;                                                                                 \
    for (; i + LANES <= n; i += LANES)                                                             \
      for (int l = 0; l < LANES; l++) lane[l] += value(x0[i + l], x1[i + l]);                      \
    for (; i < n; i++) sum += (double)value(x0[i], x1[i]);                                         \
    for (int l = 0; l < LANES; l++) sum += (double)lane[l];                                        \
    return sum;                                                                                    \
  }                                                                                                \
  static void value##_mean(int64_t n, const float *const *x, float *restrict y) {                  \
    double sum = 0;                                                                                \
    for (int64_t i = 0; i < n; i += BLOCK)                                                         \
      sum += value##_sum(n - i < BLOCK ? n - i : BLOCK, x[0] + i, x[1] + i);                       \
    *y = (float)(sum / (double)n);                                                                 \
  }

VMATH float rounded(float a, float b, float c) { return a * b + c; } /* not contracted here */
VMATH float contracted(float a, float b, float c) { return maddf(a, b, c); }

#define CHAINS(madd)                                                                               \
  VMATH float tanh_##madd(float x) {                                                               \
    return madd(vtanhf(madd(x, F(FUSED_S), F(FUSED_S)), false), F(FUSED_S), -F(FUSED_S));          \
  }                                                                                                \
  VMATH float relu_##madd(float a, float x, float b, float c, float d) {                           \
    return madd(at_leastf(madd(a, x, b), 0), c, -d);                                               \
  }                                                                                                \
  VMATH float gauss_##madd(float x) {                                                              \
    float t = vtanhf(madd(vsinf(x, false), F(FUSED_GAUSS_A), F(FUSED_GAUSS_B)), false);            \
    float inner = madd(t, x, F(FUSED_GAUSS_C));                                                    \
    return vexpf(-inner * inner) * x;                                                              \
  }                                                                                                \
  VMATH float steps_##madd(float x) {                                                              \
    float y = x;                                                                                   \
    for (int i = 0; i < 5; i++) y = madd(F(FUSED_STEP), y, x);                                     \
    return y;                                                                                      \
  }                                                                                                \
  VMATH float error_##madd(float x, float t) {                                                     \
    float e = vtanhf(madd(x, F(FUSED_S), F(FUSED_S)), false) - t;                                  \
    return e * e;                                                                                  \
  }                                                                                                \
  LOOP(tanh_##madd)                                                                                \
  LOOP_OF_FIVE(relu_##madd)                                                                        \
  LOOP(gauss_##madd)                                                                               \
  LOOP(steps_##madd)                                                                               \
  MEAN_OF_TWO(error_##madd)
CHAINS(rounded)
CHAINS(contracted)

VMATH float plus_one(float x) { return x + 1; }
VMATH float sum(float a, float b, float c, float d, float e) { return a + b + c + d + e; }
VMATH float difference(float a, float b) { return a - b; }
LOOP(plus_one)
MEAN_OF_TWO(difference)
LOOP_OF_FIVE(sum)

#define BOTH(name, what)                                                                           \
  { name##_rounded_##what, name##_contracted_##what }
const fused_loops CT__ISA_NAME(fused_loops, CT__ISA) = {
    BOTH(tanh, loop),  BOTH(relu, loop), BOTH(gauss, loop), BOTH(steps, loop),
    BOTH(error, mean), plus_one_loop,    difference_mean,   sum_loop};
