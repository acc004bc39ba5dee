/* fused.h - chains of elementwise operations by hand: one loop each, with the library's vector
 * mathematics, compiled for each instruction set (bench/kernels/fused.c). Each is there twice:
 * every operation rounds, or a product and a sum round once, where the processor can.
 */
#ifndef COTANGENT_BENCH_FUSED_H
#define COTANGENT_BENCH_FUSED_H

#include "tensor/tensor_internal.h"

enum { FUSED_INPUTS = 5 }; /* at most */

typedef void fused_loop(int64_t n, const float *const *x, float *y);

/* The numbers in them: s of the first, the four of the third, the factor of the fourth. */
#define FUSED_S       1.5
#define FUSED_GAUSS_A 1.1
#define FUSED_GAUSS_B 0.3
#define FUSED_GAUSS_C 0.2
#define FUSED_STEP    1.01

enum { FUSED_ROUNDED, FUSED_CONTRACTED, FUSED_WAYS };

typedef struct fused_loops {
  fused_loop *tanh[FUSED_WAYS];  /* tanh(s x + s) s - s */
  fused_loop *relu[FUSED_WAYS];  /* relu(x0 x1 + x2) x3 - x4 */
  fused_loop *gauss[FUSED_WAYS]; /* exp(-(tanh(1.1 sin x + 0.3) x + 0.2)^2) x */
  fused_loop *steps[FUSED_WAYS]; /* five times y = 1.01 y + x, from y = x */
  fused_loop *error[FUSED_WAYS]; /* y[0] = mean((tanh(s x0 + s) - x1)^2) */
  fused_loop *memory1;           /* x + 1: what reading and writing takes */
  fused_loop *memory2;           /* y[0] = mean(x0 - x1): what reading takes */
  fused_loop *memory5;           /* x0 + x1 + x2 + x3 + x4 */
} fused_loops;

#define FUSED_OF(isa) extern const fused_loops fused_loops_##isa;
CT__ISA_LIST(FUSED_OF)

#endif
