/* elements.c - rows.def as loops over whole vectors of elements that lie side by side, and nothing
 * else: ../lead.c brings to that form what does not have it. Compiled once for each instruction
 * set; CT__ISA is its name. */
#include "rows.h"

#define IN(k) in_##k[i]
#define ROW(name, type, First, n_in, Out, setup, load, expression)                                 \
  static void name(int64_t n, char *const *in, const void *attr) {                                 \
    typedef type T;                                                                                \
    const First *in_0 = (const First *)(const void *)in[0];                                        \
    const T *in_1 = n_in > 1 ? (const T *)(const void *)in[1] : NULL;                              \
    const T *in_2 = n_in > 2 ? (const T *)(const void *)in[2] : NULL;                              \
    const T *in_3 = n_in > 3 ? (const T *)(const void *)in[3] : NULL;                              \
    Out *out = (Out *)(void *)in[n_in];                                                            \
    (void)attr, (void)in_1, (void)in_2, (void)in_3;                                                \
    enum { alone = false, smallest = sizeof(First) < sizeof(Out) ? sizeof(First) : sizeof(Out) };  \
    (void)alone;                                                                                   \
    setup;                                                                                         \
    n &= -(int64_t)(VECTOR_BYTES / smallest);                                                      \
    VECTORISE for (int64_t i = 0; i < n; i++) {                                                    \
      load;                                                                                        \
      out[i] = (Out)(expression);                                                                  \
    }                                                                                              \
  }
#define ROW_LIBM(...)
#include "../rows.def"
#undef IN

#define ANY_FAR(name, T)                                                                           \
  static bool name(int64_t n, const void *from, int64_t step) {                                    \
    const T *x = from;                                                                             \
    int far = 0;                                                                                   \
    if (step == 1)                                                                                 \
      for (int64_t i = 0; i < n; i++) far |= !(SCALAR(fabs, x[i]) <= VMATH_WIDE(T));               \
    else                                                                                           \
      NOUNROLL for (int64_t i = 0; i < n; i++) far |=                                              \
          as_it_stands() && !(SCALAR(fabs, x[i * step]) <= VMATH_WIDE(T));                         \
    return far;                                                                                    \
  }
ANY_FAR(any_far_f32, float)
ANY_FAR(any_far_f64, double)

const ct__elements CT__ISA_NAME(ct__elements, CT__ISA) = {VECTOR_BYTES,
                                                          {any_far_f32, any_far_f64},
                                                          {
#define ROW(name, ...)      name,
#define ROW_LIBM(name, ...) NULL,
#include "../rows.def"
                                                          }};
