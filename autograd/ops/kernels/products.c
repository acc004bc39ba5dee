/* products.c - the loops of products.h. Compiled once for each instruction set; CT__ISA is its
 * name. */
#include "../products.h"
#include "../../../tensor/vectors.h"

/* Zero times anything is zero. The old y is where the new one will be. */
#define LOOP(T, NAME)                                                                              \
  static inline void NAME##_steps(int64_t n, char *const *p, int64_t a_step, int64_t b_step,       \
                                  int64_t y_step, T w) {                                           \
    const T *old = (const T *)(const void *)p[0], *a = (const T *)(const void *)p[1],              \
            *b = (const T *)(const void *)p[2];                                                    \
    T *y = (T *)(void *)p[3];                                                                      \
    VECTORISE for (int64_t i = 0; i < n; i++) {                                                    \
      T one = a[i * a_step], two = b[i * b_step], product = w * one * two;                         \
      y[i * y_step] = old[i * y_step] + (((one == 0) | (two == 0)) ? 0 : product);                 \
    }                                                                                              \
  }                                                                                                \
  static void NAME(int64_t n, char *const *p, const int64_t *s, const void *attr) {                \
    const T w = (T) * (const double *)attr;                                                        \
    if (s[3] != 1)                                                                                 \
      NAME##_steps(n, p, s[1], s[2], s[3], w);                                                     \
    else if (s[1] == 1 && s[2] == 1)                                                               \
      NAME##_steps(n, p, 1, 1, 1, w);                                                              \
    else if (s[1] == 1 && s[2] == 0)                                                               \
      NAME##_steps(n, p, 1, 0, 1, w);                                                              \
    else if (s[1] == 0 && s[2] == 1)                                                               \
      NAME##_steps(n, p, 0, 1, 1, w);                                                              \
    else                                                                                           \
      NAME##_steps(n, p, s[1], s[2], 1, w);                                                        \
  }
LOOP(float, add_f32)
LOOP(double, add_f64)

const ct__products_loops CT__ISA_NAME(ct__products_loops, CT__ISA) = {add_f32, add_f64};
