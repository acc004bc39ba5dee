/* bounds.c - the kernels of bounds.h. Compiled once for each instruction set; CT__ISA is its name.
 */
#include "../bounds.h"

/* As integers magnitudes have the order that they have as numbers, and those that are not finite
 * come last. */
#define LOOPS(name, T, BITS, sign)                                                                 \
  typedef BITS bits_##name __attribute__((may_alias));                                             \
  static int64_t zeros_##name(int64_t n, const char *at) {                                         \
    const T *x = (const T *)(const void *)at;                                                      \
    BITS zeros = 0;                                                                                \
    for (int64_t i = 0; i < n; i++) zeros += x[i] == 0;                                            \
    return zeros;                                                                                  \
  }                                                                                                \
  static double largest_##name(int64_t n, const char *at) {                                        \
    const bits_##name *x = (const bits_##name *)(const void *)at;                                  \
    BITS most = 0;                                                                                 \
    for (int64_t i = 0; i < n; i++) {                                                              \
      BITS magnitude = x[i] & ~(sign);                                                             \
      most = magnitude > most ? magnitude : most;                                                  \
    }                                                                                              \
    T largest;                                                                                     \
    memcpy(&largest, &most, sizeof largest);                                                       \
    return (double)largest;                                                                        \
  }
LOOPS(f32, float, int32_t, INT32_MIN)
LOOPS(f64, double, int64_t, INT64_MIN)

const ct__bound_loops CT__ISA_NAME(ct__bound_loops, CT__ISA)[2] = {{zeros_f32, largest_f32},
                                                                   {zeros_f64, largest_f64}};
