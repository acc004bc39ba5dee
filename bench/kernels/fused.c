/* fused.c - the loops of fused.h. Compiled once for each instruction set; CT__ISA is its name. */
#include "bench/support/fused.h"

#include "tensor/vmath.h"

#define F(constant) ((float)(constant))

#define LOOP(name, value)                                                                          \
  static void name##_loop(int64_t n, const float *const *x, float *restrict y) {                   \
    const float *x0 = x[0];                                                                        \
    for (int64_t i = 0; i < n; i++) y[i] = value(x0[i]);                                           \
  }
#define LOOP_OF_FIVE(name, value)                                                                  \
  static void name##_loop(int64_t n, const float *const *x, float *restrict y) {                   \
    const float *x0 = x[0], *x1 = x[1], *x2 = x[2], *x3 = x[3], *x4 = x[4];                        \
    for (int64_t i = 0; i < n; i++) y[i] = value(x0[i], x1[i], x2[i], x3[i], x4[i]);               \
  }

VMATH float tanh_chain(float x) {
  return maddf(vtanhf(maddf(x, F(FUSED_S), F(FUSED_S))), F(FUSED_S), -F(FUSED_S));
}

VMATH float relu_chain(float a, float x, float b, float c, float d) {
  return maddf(at_leastf(maddf(a, x, b), 0), c, -d);
}

VMATH float gauss_chain(float x) {
  float inner = maddf(vtanhf(maddf(vsinf(x, false), F(FUSED_GAUSS_A), F(FUSED_GAUSS_B))), x,
                      F(FUSED_GAUSS_C));
  return vexpf(-inner * inner) * x;
}

VMATH float steps_chain(float x) {
  float y = x;
  for (int i = 0; i < 5; i++) y = maddf(F(FUSED_STEP), y, x);
  return y;
}

VMATH float plus_one(float x) { return x + 1; }
VMATH float sum(float a, float b, float c, float d, float e) { return a + b + c + d + e; }

LOOP(tanh, tanh_chain)
LOOP_OF_FIVE(relu, relu_chain)
LOOP(gauss, gauss_chain)
LOOP(steps, steps_chain)
LOOP(memory1, plus_one)
LOOP_OF_FIVE(memory5, sum)

const fused_loops CT__ISA_NAME(fused_loops, CT__ISA) = {tanh_loop,  relu_loop,    gauss_loop,
                                                        steps_loop, memory1_loop, memory5_loop};
