/* chain_of_type.h - the loop of one float type T, with integers U of its size: part of chain.c,
 * included for each. */

#define VECTOR NAMED(vector)
#define BITS   NAMED(bits)
#define MEMORY NAMED(memory)
#define LANES  NAMED(lanes)
enum { LANES = BYTES / (int)sizeof(T) };
typedef T VECTOR __attribute__((vector_size(BYTES)));
typedef U BITS __attribute__((vector_size(BYTES)));
typedef T MEMORY __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));

#define DECLARE(i, ...) VECTOR a##i = {0};
#define STORE(i, ...)   *(MEMORY *)(y + i * LANES) = a##i;
#define APPLY(i, ...)                                                                              \
  {                                                                                                \
    const VECTOR a = a##i, x = *(const MEMORY *)(from + i * LANES);                                \
    (void)a, (void)x;                                                                              \
    a##i = __VA_ARGS__;                                                                            \
  }

/* The expressions of CT__CHAIN_LIST know these, and a, x and c. NaN has no sign: it stays. */
#define ZERO(condition, y) ((VECTOR)(~(condition) & (BITS)(y)))
#define SIGN(x)                                                                                    \
  ((VECTOR)((((x) > 0) & (BITS)one) | (((x) < 0) & (BITS)-one) | (((x) != (x)) & (BITS)(x))))

/* The elements from `at` on, in the vectors of EACH. */
#define VECTORS(name, EACH, CASE)                                                                  \
  static inline void NAMED(name)(const ct__chain *chain, char *const *p, int64_t at) {             \
    const VECTOR one = (VECTOR){0} + 1;                                                            \
    EACH(DECLARE, )                                                                                \
    for (const ct__link *l = chain->link, *end = l + chain->n; l < end; l++) {                     \
      const T *from = (const T *)(const void *)p[l->operand] + at;                                 \
      const T c = (T)l->constant;                                                                  \
      switch ((ct__link_kind)l->kind) {                                                            \
        CT__CHAIN_LIST(CASE)                                                                       \
      case CT__LINKS: break;                                                                       \
      }                                                                                            \
    }                                                                                              \
    T *y = (T *)(void *)p[chain->result] + at;                                                     \
    EACH(STORE, )                                                                                  \
  }
// clang-format off
#define CASE_EIGHT(name, ...) case CT__LINK_##name: EIGHT(APPLY, __VA_ARGS__) break;
#define CASE_ONE(name, ...)   case CT__LINK_##name: ONE(APPLY, __VA_ARGS__) break;
// clang-format on
VECTORS(eight_vectors, EIGHT, CASE_EIGHT)
VECTORS(one_vector, ONE, CASE_ONE)

/* The m elements from `at` on, less than a vector: as one, in memory of its own. */
static void NAMED(rest)(const ct__chain *chain, char *const *p, int64_t at, int64_t m) {
  VECTOR room[CT__TILE_OPERANDS + 1];
  char *there[CT__TILE_OPERANDS + 1];
  for (int k = 0; k <= chain->result; k++) {
    there[k] = (char *)&room[k];
    room[k] = (VECTOR){0};
    for (int64_t i = 0; i < m && k < chain->result; i++)
      room[k][i] = ((const T *)(const void *)p[k])[at + i];
  }
  NAMED(one_vector)(chain, there, 0);
  memcpy((T *)(void *)p[chain->result] + at, there[chain->result], (size_t)m * sizeof(T));
}

#undef ZERO
#undef SIGN
#define ZERO(condition, y) ((condition) ? 0 : (y))
#define SIGN(x)            ((x) != (x) ? (x) : (T)(((x) > 0) - ((x) < 0)))
#define CASE_NUMBER(name, ...)                                                                     \
  case CT__LINK_##name: a = __VA_ARGS__; break;

/* The one element that there is. */
static void NAMED(number)(const ct__chain *chain, char *const *p) {
  T a = 0;
  for (const ct__link *l = chain->link, *end = l + chain->n; l < end; l++) {
    const T x = *(const T *)(const void *)p[l->operand], c = (T)l->constant;
    switch ((ct__link_kind)l->kind) {
      CT__CHAIN_LIST(CASE_NUMBER)
    case CT__LINKS: break;
    }
  }
  *(T *)(void *)p[chain->result] = a;
}

static void NAMED(run)(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  int64_t at = 0;
  (void)s;
  if (n == 1) {
    NAMED(number)(attr, p);
    return;
  }
  for (; at + 8 * LANES <= n; at += 8 * LANES) NAMED(eight_vectors)(attr, p, at);
  for (; at + LANES <= n; at += LANES) NAMED(one_vector)(attr, p, at);
  if (at < n) NAMED(rest)(attr, p, at, n - at);
}
#undef VECTOR
#undef BITS
#undef MEMORY
#undef LANES
#undef DECLARE
#undef STORE
#undef APPLY
#undef VECTORS
#undef CASE_EIGHT
#undef CASE_ONE
#undef CASE_NUMBER
#undef ZERO
#undef SIGN
