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

VMATH float rounded(float a, float b, float c) { return a * b + c; } /* not contracted here */
VMATH float contracted(float a, float b, float c) { return maddf(a, b, c); }

#define CHAINS(madd)                                                                               \
  VMATH float tanh_##madd(float x) {                                                               \
    return madd(vtanhf(madd(x, F(FUSED_S), F(FUSED_S))), F(FUSED_S), -F(FUSED_S));                 \
  }                                                                                                \
  VMATH float relu_##madd(float a, float x, float b, float c, float d) {                           \
    return madd(at_leastf(madd(a, x, b), 0), c, -d);                                               \
  }                                                                                                \
  VMATH float gauss_##madd(float x) {                                                              \
    float t = vtanhf(madd(vsinf(x, false), F(FUSED_GAUSS_A), F(FUSED_GAUSS_B)));                   \
    float inner = madd(t, x, F(FUSED_GAUSS_C));                                                    \
    return vexpf(-inner * inner) * x;                                                              \
  }                                                                                                \
  VMATH float steps_##madd(float x) {                                                              \
    float y = x;                                                                                   \
    for (int i = 0; i < 5; i++) y = madd(F(FUSED_STEP), y, x);                                     \
    return y;                                                                                      \
  }                                                                                                \
  LOOP(tanh_##madd)                                                                                \
  LOOP_OF_FIVE(relu_##madd)                                                                        \
  LOOP(gauss_##madd)                                                                               \
  LOOP(steps_##madd)
CHAINS(rounded)
CHAINS(contracted)

VMATH float plus_one(float x) { return x + 1; }
VMATH float sum(float a, float b, float c, float d, float e) { return a + b + c + d + e; }
LOOP(plus_one)
LOOP_OF_FIVE(sum)

#define BOTH(name)                                                                                 \
  { name##_rounded_loop, name##_contracted_loop }
const fused_loops CT__ISA_NAME(fused_loops, CT__ISA) = {BOTH(tanh),  BOTH(relu),    BOTH(gauss),
                                                        BOTH(steps), plus_one_loop, sum_loop};
