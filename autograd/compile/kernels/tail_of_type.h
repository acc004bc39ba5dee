/* tail_of_type.h - the loops of one float type T, with integers U of its size: part of tail.c,
 * included for each. */

#define VECTOR NAMED(vector)
#define BITS   NAMED(bits)
#define MEMORY NAMED(memory)
#define WIDTH  NAMED(width)
#define LANES  NAMED(lanes)
enum { WIDTH = VECTOR_BYTES / (int)sizeof(T), LANES = LINE / (int)sizeof(T) };
typedef T VECTOR __attribute__((vector_size(VECTOR_BYTES)));
typedef U BITS __attribute__((vector_size(VECTOR_BYTES)));
typedef T MEMORY __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));

#define X_AT(i)                 ((VECTOR) * (const MEMORY *)(x + (i)))
#define EITHER(condition, x, a) ((VECTOR)(((condition) & (BITS)(x)) | (~(condition) & (BITS)(a))))

/* part[l] = the eight numbers from x[l] on that lie `step` apart. */
#define FOLD(name, combined, identity)                                                             \
  static inline VECTOR NAMED(name##_two)(VECTOR a, VECTOR x) { return combined; }                  \
  static inline void NAMED(name##_eight)(const T *x, int64_t step, T *part) {                      \
    for (int l = 0; l < LANES; l += WIDTH)                                                         \
      *(MEMORY *)(part + l) = TREE(NAMED(name##_two), X_AT, l, step);                              \
  }                                                                                                \
  static inline void NAMED(name##_add)(const T *part, double *acc) {                               \
    for (int l = 0; l < LANES; l++) acc[l] = name(acc[l], (double)part[l]);                        \
  }                                                                                                \
  static void NAMED(name##_lines)(int64_t m, int64_t n, const void *from, double *acc) {           \
    const T *x = from;                                                                             \
    T part[LANES];                                                                                 \
    for (; m > 0; m--, x += n, acc++) {                                                            \
      double lane[LANES];                                                                          \
      int64_t i = 0;                                                                               \
      for (int l = 0; l < LANES; l++) lane[l] = name##_identity;                                   \
      for (; i + EIGHT * LANES <= n; i += EIGHT * LANES) {                                         \
        NAMED(name##_eight)(x + i, LANES, part);                                                   \
        NAMED(name##_add)(part, lane);                                                             \
      }                                                                                            \
      for (; i + LANES <= n; i += LANES) NAMED(name##_add)(x + i, lane);                           \
      for (int l = 0; i < n; l++, i++) lane[l] = name(lane[l], (double)x[i]);                      \
      UNROLL for (int half = LANES / 2; half > 0; half /= 2) for (int l = 0; l < half; l++)        \
          lane[l] = name(lane[l], lane[l + half]);                                                 \
      *acc = name(*acc, lane[0]);                                                                  \
    }                                                                                              \
  }                                                                                                \
  static void NAMED(name##_columns)(int64_t m, int64_t n, const void *from, double *acc) {         \
    const T *x = from;                                                                             \
    T part[LANES];                                                                                 \
    for (; m >= EIGHT; m -= EIGHT, x += EIGHT * n) {                                               \
      int64_t j = 0;                                                                               \
      for (; j + LANES <= n; j += LANES) {                                                         \
        NAMED(name##_eight)(x + j, n, part);                                                       \
        NAMED(name##_add)(part, acc + j);                                                          \
      }                                                                                            \
      for (; j < n; j++)                                                                           \
        UNROLL for (int i = 0; i < EIGHT; i++) acc[j] = name(acc[j], (double)x[i * n + j]);        \
    }                                                                                              \
    for (; m > 0; m--, x += n)                                                                     \
      for (int64_t j = 0; j < n; j++) acc[j] = name(acc[j], (double)x[j]);                         \
  }
CT__FOLD_LIST(FOLD)

#undef VECTOR
#undef BITS
#undef MEMORY
#undef WIDTH
#undef LANES
#undef X_AT
#undef EITHER
#undef FOLD
