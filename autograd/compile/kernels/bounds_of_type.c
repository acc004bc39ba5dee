/* bounds_of_type.c - the kernels of bounds.h. Compiled once for each instruction set and float type
 * T. */
#include "../../../tensor/vectors.h"
#include "../bounds.h"

#include "../../../tensor/kernels/zeros.h"

/* As integers magnitudes have the order that they have as numbers, and those that are not finite
 * come last. */
typedef BITS_OF(T) BITS;
typedef BITS IN_MEMORY __attribute__((may_alias));

static int64_t zeros(int64_t n, const char *x) {
  return count_zeros((int)n, (const T *)(const void *)x, 1);
}

static double largest(int64_t n, const char *at) {
  const IN_MEMORY *x = (const IN_MEMORY *)(const void *)at;
  const BITS sign = (BITS)((uint64_t)1 << (8 * sizeof(T) - 1));
  BITS most = 0;
  for (int64_t i = 0; i < n; i++) {
    BITS magnitude = x[i] & ~sign;
    most = magnitude > most ? magnitude : most;
  }
  T found;
  memcpy(&found, &most, sizeof found);
  return (double)found;
}

const ct__bound_loops CT__TYPE_NAME(ct__bound_loops) = {zeros, largest};
