/* loops.c - the arithmetic of the optimizers: one pass over gradient, state and parameter. Compiled
 * once for each instruction set; CT__ISA is its name. */
#include "../../tensor/vectors.h"
#include "../optim_internal.h"

#include <math.h>

/* A loop over operands at[0], at[1], ...: gradient, states, parameter. `one` updates one element;
 * neighbours in memory get a loop of their own, which the compiler vectorises. In a program the
 * gradient may be the parameter, so nothing is `restrict`. Without decay nothing is added, not
 * even 0 p, which an infinite p would turn into NaN. */
#define LOOP_HEAD(name)                                                                            \
  static void name(int64_t n, char *const *at, const int64_t *s, const void *attr)
#define DECAYED(T)          (o->decay != 0 ? *g + (T)o->decay * *p : *g)
#define OPERAND(T, name, k) T *name = (T *)(void *)at[k]

/* p = p - lr (g + d p) */
#define SGD(name, T)                                                                               \
  static inline void name##_one(const ct__step *o, const T *g, T *p) {                             \
    *p -= (T)o->lr * DECAYED(T);                                                                   \
  }                                                                                                \
  LOOP_HEAD(name) {                                                                                \
    const ct__step o = *(const ct__step *)attr;                                                    \
    OPERAND(const T, g, 0);                                                                        \
    OPERAND(T, p, 1);                                                                              \
    if (s[0] == 1 && s[1] == 1)                                                                    \
      for (int64_t i = 0; i < n; i++) name##_one(&o, g + i, p + i);                                \
    else                                                                                           \
      for (int64_t i = 0; i < n && as_it_stands(); i++)                                            \
        name##_one(&o, g + i * s[0], p + i * s[1]);                                                \
  }
SGD(sgd_f32, float)
SGD(sgd_f64, double)

/* e = g + d p;  b = m b + e;  p = p - lr b, or p - lr (e + m b) */
#define MOMENTUM(name, T)                                                                          \
  static inline void name##_one(const ct__step *o, const T *g, T *b, T *p) {                       \
    const T m = (T)o->momentum, e = DECAYED(T);                                                    \
    *b = m * *b + e;                                                                               \
    *p -= (T)o->lr * (o->nesterov != 0 ? e + m * *b : *b);                                         \
  }                                                                                                \
  LOOP_HEAD(name) {                                                                                \
    const ct__step o = *(const ct__step *)attr;                                                    \
    OPERAND(const T, g, 0);                                                                        \
    OPERAND(T, b, 1);                                                                              \
    OPERAND(T, p, 2);                                                                              \
    if (s[0] == 1 && s[1] == 1 && s[2] == 1)                                                       \
      for (int64_t i = 0; i < n; i++) name##_one(&o, g + i, b + i, p + i);                         \
    else                                                                                           \
      for (int64_t i = 0; i < n && as_it_stands(); i++)                                            \
        name##_one(&o, g + i * s[0], b + i * s[1], p + i * s[2]);                                  \
  }
MOMENTUM(momentum_f32, float)
MOMENTUM(momentum_f64, double)

/* e = g + d p;  p = shrink p;  m = m + (1 - b1) (e - m);  v = b2 v + (1 - b2) e^2;
 * p = p - rate m / (sqrt(v) + eps), where the corrections of m and v are in rate and eps */
#define ADAM(name, T, sqrt_)                                                                       \
  static inline void name##_one(const ct__step *o, const T *g, T *m, T *v, T *p) {                 \
    const T e = DECAYED(T);                                                                        \
    *m += (T)(1 - o->beta1) * (e - *m);                                                            \
    *v = (T)o->beta2 * *v + (T)(1 - o->beta2) * e * e;                                             \
    *p = (T)o->shrink * *p - (T)o->rate * *m / (sqrt_(*v) + (T)o->eps);                            \
  }                                                                                                \
  LOOP_HEAD(name) {                                                                                \
    const ct__step o = *(const ct__step *)attr;                                                    \
    OPERAND(const T, g, 0);                                                                        \
    OPERAND(T, m, 1);                                                                              \
    OPERAND(T, v, 2);                                                                              \
    OPERAND(T, p, 3);                                                                              \
    if (s[0] == 1 && s[1] == 1 && s[2] == 1 && s[3] == 1)                                          \
      for (int64_t i = 0; i < n; i++) name##_one(&o, g + i, m + i, v + i, p + i);                  \
    else                                                                                           \
      for (int64_t i = 0; i < n && as_it_stands(); i++)                                            \
        name##_one(&o, g + i * s[0], m + i * s[1], v + i * s[2], p + i * s[3]);                    \
  }
ADAM(adam_f32, float, sqrtf)
ADAM(adam_f64, double, sqrt)

const ct__optim_loops CT__ISA_NAME(ct__optim_loops, CT__ISA) = {
#define ENTRY(name) .name = name,
    CT__OPTIM_LOOPS(ENTRY)};
