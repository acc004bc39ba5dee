/* rules.c - the arithmetic of the optimizers: one pass over gradient, state and parameter. */
#include "optim_internal.h"

#include <math.h>

/* Loops in f32 and f64. `body` sees g (the gradient), p (the parameter) and the states, one element of
 * each, and sqrt_ as the root of its type; neighbours in memory get a loop of their own, which the
 * compiler vectorises. */
#define RULE_LOOP_1(name, T, root, consts, body)                                                   \
  static void name(int64_t n, char *const *at, const int64_t *s, const void *attr) {               \
    const ct__step *o = attr;                                                                      \
    consts(T) T *restrict gs = (T *)(void *)at[0], *restrict ps = (T *)(void *)at[1];              \
    for (int64_t i = 0; i < n; i++) {                                                              \
      T g = gs[i * s[0]], p = ps[i * s[1]];                                                        \
      body(T, root) ps[i * s[1]] = p;                                                              \
    }                                                                                              \
  }
