/* integers.c - the loops of integers.def: with vectors where operands lie side by side. Compiled
 * for each instruction set but v4, as numbers.c. */
#include "rows.h"

#if !(defined(CT__X86_LEVELS) && defined(__AVX512F__))

/* Bounds beyond the range of i32 do not bind. */
static int32_t saturate(double x) {
  return x <= INT32_MIN ? INT32_MIN : x >= INT32_MAX ? INT32_MAX : (int32_t)x;
}
#define WITH_I32_BOUNDS                                                                            \
  const T lo = saturate(((const ct__bounds *)attr)->lo);                                           \
  const T hi = saturate(((const ct__bounds *)attr)->hi)
#define WITH_U32 const uint32_t p = (uint32_t)(int32_t) * (const double *)attr

#define IN(k) in_##k[i * step_##k]
#define ROW(name, type, First, n_in, Out, setup, load, expression)                                 \
  INLINE void name##_any(bool apart, int64_t n, char *const *in, const int64_t *s,                 \
                         const void *attr) {                                                       \
    typedef type T;                                                                                \
    const First *in_0 = (const First *)(const void *)in[0];                                        \
    const T *in_1 = n_in > 1 ? (const T *)(const void *)in[1] : NULL;                              \
    const T *in_2 = n_in > 2 ? (const T *)(const void *)in[2] : NULL;                              \
    Out *out = (Out *)(void *)in[n_in];                                                            \
    const int64_t step_0 = apart ? s[0] : 1, step_1 = apart && n_in > 1 ? s[1] : 1;                \
    const int64_t step_2 = apart && n_in > 2 ? s[2] : 1, step = apart ? s[n_in] : 1;               \
    (void)attr, (void)in_1, (void)in_2, (void)step_1, (void)step_2;                                \
    setup;                                                                                         \
    VECTORISE for (int64_t i = 0; i < n; i++) {                                                    \
      (void)(apart && as_it_stands());                                                             \
      load;                                                                                        \
      out[i * step] = (Out)(expression);                                                           \
    }                                                                                              \
  }                                                                                                \
  static void name(CT__LOOP_ARGUMENTS) {                                                           \
    int64_t other = 0;                                                                             \
    for (int k = 0; k <= n_in; k++) other |= s[k] ^ 1;                                             \
    if (other)                                                                                     \
      name##_any(true, n, p, s, attr);                                                             \
    else                                                                                           \
      name##_any(false, n, p, s, attr);                                                            \
  }
#include "../integers.def"

const ct__integers CT__ISA_NAME(ct__integers, CT__ISA) = {
#define ROW(name, ...) .name = name,
#include "../integers.def"
};
#endif
