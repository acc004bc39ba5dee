/* rows.c - loops over the numbers of examples. Compiled once for each instruction set; CT__ISA is
 * its name. */
#include "../datasets_internal.h"

/* y = (x - mean) * scale, for each pair of input type and number of means; each vectorises. */
#define ROW(name, type, j)                                                                         \
  static void name(const void *from, const float *restrict mean, const float *restrict scale,      \
                   float *restrict y, int64_t n) {                                                 \
    const type *restrict x = from;                                                                 \
    for (int64_t i = 0; i < n; i++) y[i] = ((float)x[i] - mean[j]) * scale[j];                     \
  }
ROW(u8_one, unsigned char, 0)
ROW(u8_each, unsigned char, i)
ROW(f32_one, float, 0)
ROW(f32_each, float, i)

/* The sum of n bytes and that of their squares; n is so small that both fit. */
static void sums_u8(const unsigned char *x, int64_t n, uint32_t *sum, uint32_t *squares) {
  uint32_t s = 0, q = 0;
  for (int64_t i = 0; i < n; i++) {
    s += x[i];
    q += (uint32_t)x[i] * x[i];
  }
  *sum = s;
  *squares = q;
}

const ct__row_loops CT__ISA_NAME(ct__row_loops, CT__ISA) = {
    .standardize = {{u8_one, u8_each}, {f32_one, f32_each}}, .sums_u8 = sums_u8};
