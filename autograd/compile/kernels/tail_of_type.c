/* tail_of_type.c - the loops of tail.h. Compiled once for each instruction set and float type T.
 * The order of operations is the same for all instruction sets. */
#include "../../../tensor/vectors.h"
#include "../tail.h"

/* Eight numbers are combined in their own type before they go to an accumulator: to convert each
 * would take longer than all the rest. They are rounded pairwise, so that it matters little. */
enum { EIGHT = 8, WIDTH = VECTOR_BYTES / (int)sizeof(T), LANES = 64 / (int)sizeof(T) };
#define TREE(two, x, i, step)                                                                      \
  two(two(two(x(i), x((i) + (step))), two(x((i) + 2 * (step)), x((i) + 3 * (step)))),              \
      two(two(x((i) + 4 * (step)), x((i) + 5 * (step))),                                           \
          two(x((i) + 6 * (step)), x((i) + 7 * (step)))))

/* ---- of doubles, the accumulators ------------------------------------------------------------ */

#define EITHER(condition, x, a) ((condition) ? (x) : (a))
#define FOLD(name, combined, identity_of)                                                          \
  static inline double name(double a, double x) { return combined; }                               \
  static const double name##_identity = identity_of;
CT__FOLD_LIST(FOLD)
#undef FOLD
#undef EITHER

/* ---- of vectors ------------------------------------------------------------------------------ */

typedef T VECTOR __attribute__((vector_size(VECTOR_BYTES)));
typedef __typeof__((VECTOR){0} < (VECTOR){0}) BITS;
typedef T MEMORY __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));

#define X_AT(i)                 ((VECTOR) * (const MEMORY *)(x + (i)))
#define EITHER(condition, x, a) ((VECTOR)(((condition) & (BITS)(x)) | (~(condition) & (BITS)(a))))

/* part[l] = the eight numbers from x[l] on that lie `step` apart. */
#define FOLD(name, combined, identity)                                                             \
  static inline VECTOR name##_two(VECTOR a, VECTOR x) { return combined; }                         \
  static inline void name##_eight(const T *x, int64_t step, T *part) {                             \
    for (int l = 0; l < LANES; l += WIDTH)                                                         \
      *(MEMORY *)(part + l) = TREE(name##_two, X_AT, l, step);                                     \
  }                                                                                                \
  static inline void name##_add(const T *part, double *acc) {                                      \
    for (int l = 0; l < LANES; l++) acc[l] = name(acc[l], (double)part[l]);                        \
  }                                                                                                \
  static void name##_lines(int64_t m, int64_t n, const void *from, double *acc) {                  \
    const T *x = from;                                                                             \
    T part[LANES];                                                                                 \
    for (; m > 0; m--, x += n, acc++) {                                                            \
      double lane[LANES];                                                                          \
      int64_t i = 0;                                                                               \
      for (int l = 0; l < LANES; l++) lane[l] = name##_identity;                                   \
      for (; i + EIGHT * LANES <= n; i += EIGHT * LANES) {                                         \
        name##_eight(x + i, LANES, part);                                                          \
        name##_add(part, lane);                                                                    \
      }                                                                                            \
      for (; i + LANES <= n; i += LANES) name##_add(x + i, lane);                                  \
      for (int l = 0; i < n; l++, i++) lane[l] = name(lane[l], (double)x[i]);                      \
      UNROLL for (int half = LANES / 2; half > 0; half /= 2) for (int l = 0; l < half; l++)        \
          lane[l] = name(lane[l], lane[l + half]);                                                 \
      *acc = name(*acc, lane[0]);                                                                  \
    }                                                                                              \
  }                                                                                                \
  static void name##_columns(int64_t m, int64_t n, const void *from, double *acc) {                \
    const T *x = from;                                                                             \
    T part[LANES];                                                                                 \
    for (; m >= EIGHT; m -= EIGHT, x += EIGHT * n) {                                               \
      int64_t j = 0;                                                                               \
      for (; j + LANES <= n; j += LANES) {                                                         \
        name##_eight(x + j, n, part);                                                              \
        name##_add(part, acc + j);                                                                 \
      }                                                                                            \
      for (; j < n; j++)                                                                           \
        UNROLL for (int i = 0; i < EIGHT; i++) acc[j] = name(acc[j], (double)x[i * n + j]);        \
    }                                                                                              \
    for (; m > 0; m--, x += n)                                                                     \
      for (int64_t j = 0; j < n; j++) acc[j] = name(acc[j], (double)x[j]);                         \
  }
CT__FOLD_LIST(FOLD)
#undef FOLD

#define ROW(name, ...) {name##_lines, name##_columns},
const ct__tail_loops CT__TYPE_NAME(ct__tail_loops)[CT__FOLDS] = {CT__FOLD_LIST(ROW)};
