/* products.h - a product of f32 matrices by hand, in each of the ways that OpenBLAS offers. */
#ifndef COTANGENT_BENCH_PRODUCTS_H
#define COTANGENT_BENCH_PRODUCTS_H

#include <stdbool.h>

/* C (m,n) = alpha A B + beta C, by rows, where A (m,k) or B (k,n) may be stored transposed. */
typedef struct by_hand {
  int m, n, k;
  bool a_transposed, b_transposed;
  float alpha, beta;
} by_hand;

typedef void by_hand_multiply(const by_hand *p, const float *a, const float *b, float *c);

typedef struct by_hand_way {
  const char *name;
  by_hand_multiply *run;
  int (*calls)(const by_hand *p); /* of OpenBLAS */
} by_hand_way;

extern const by_hand_way by_hand_ways[]; /* the first one is gemm */
/* Found by timing them all. */
const by_hand_way *by_hand_fastest(by_hand p);

#endif
