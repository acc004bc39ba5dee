/* chain_of_type.h - the loop of one float type T, with integers U of its size: part of
 * chain_loops.h, included for each. */

#define VECTOR NAMED(vector)
#define BITS   NAMED(bits)
#define MEMORY NAMED(memory)
#define LANES  NAMED(lanes)
enum { LANES = VECTOR_BYTES / (int)sizeof(T) };
typedef T VECTOR __attribute__((vector_size(VECTOR_BYTES)));
typedef U BITS __attribute__((vector_size(VECTOR_BYTES)));
typedef T MEMORY __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));

#define IN(from, i) ((VECTOR) * (const MEMORY *)((from) + (i)*LANES))
#define LOAD(i, ...)                                                                               \
  VECTOR a##i = IN(from_x, i), x##i = a##i;                                                        \
  (void)x##i;
#define STORE(i, ...)  *(MEMORY *)(to + i * LANES) = a##i;
#define LOAD_X(i, ...) x##i = IN(from_x, i);
#define APPLY(i, ...)                                                                              \
  {                                                                                                \
    const VECTOR a = a##i, x = KEEPS_X ? x##i : IN(from_x, i), y = IN(from_y, i);                  \
    (void)a, (void)x, (void)y;                                                                     \
    a##i = __VA_ARGS__;                                                                            \
  }

/* The expressions of CT__CHAIN_LIST know these, and a, x, y, c and d. NaN has no sign: it stays. */
#define ZERO(condition, y) ((VECTOR)(~(condition) & (BITS)(y)))
#define SIGN(x)                                                                                    \
  ((VECTOR)((((x) > 0) & (BITS)one) | (((x) < 0) & (BITS)-one) | (((x) != (x)) & (BITS)(x))))

// clang-format off
#define ALONE(name, ...)                                                                           \
  case CT__LINK_##name: EIGHT(APPLY, __VA_ARGS__) break;
#define WITH(name, ...)                                                                            \
  case CT__LINK_##name: EIGHT(LOAD_X, ) EIGHT(APPLY, __VA_ARGS__) break;                           \
  case CT__LINK_##name + SAME: EIGHT(APPLY, __VA_ARGS__) break;
// clang-format on

/* The elements of eight vectors, from `at` on. */
static inline void NAMED(run_group)(const ct__chain *chain, char *const *p, int64_t at, T *to) {
  const VECTOR one = (VECTOR){0} + 1;
  const ct__link *l = chain->link, *end = l + chain->n;
  const T *from_x = (const T *)(const void *)p[l->x] + at, *from_y;
  EIGHT(LOAD, )
  while (++l < end) {
    const T c = (T)l->c, d = (T)l->d;
    from_x = (const T *)(const void *)p[l->x] + at;
    from_y = (const T *)(const void *)p[l->y] + at;
    switch (l->kind + (KEEPS_X && l->same ? SAME : 0)) {
      CT__CHAIN_ALONE(ALONE)
      CT__CHAIN_WITH(WITH)
    }
  }
  EIGHT(STORE, )
}

/* Less than a group: in memory of its own. */
static void NAMED(run_few)(int64_t n, const ct__chain *chain, char *const *p) {
  VECTOR room[CT__TILE_OPERANDS][GROUP], result[GROUP];
  char *there[CT__TILE_OPERANDS];
  const size_t bytes = (size_t)n * sizeof(T);
  for (int k = 0; k < chain->result; k++) {
    there[k] = p[k];
    if (chain->numbers >> k & 1) continue;
    there[k] = memcpy(room[k], p[k], bytes);
    memset(there[k] + bytes, 0, sizeof room[k] - bytes);
  }
  NAMED(run_group)(chain, there, 0, (T *)result);
  memcpy(p[chain->result], result, bytes);
}

/* The last m elements, less than a group: the end of one whose other elements are stored already,
 * perhaps where their operands were. */
static void NAMED(run_last)(int64_t n, int64_t m, const ct__chain *chain, char *const *p) {
  VECTOR result[GROUP];
  NAMED(run_group)(chain, p, n - GROUP * LANES, (T *)result);
  memcpy((T *)(void *)p[chain->result] + n - m, (T *)result + GROUP * LANES - m,
         (size_t)m * sizeof(T));
}

#undef ZERO
#undef SIGN
#define ZERO(condition, y) ((condition) ? 0 : (y))
#define SIGN(x)            ((x) != (x) ? (x) : (T)(((x) > 0) - ((x) < 0)))
#define NUMBER(name, ...)                                                                          \
  case CT__LINK_##name: {                                                                          \
    const T x = *(const T *)(const void *)p[l->x], y = *(const T *)(const void *)p[l->y];          \
    const T c = (T)l->c, d = (T)l->d;                                                              \
    (void)x, (void)y, (void)c, (void)d;                                                            \
    a = __VA_ARGS__;                                                                               \
    break;                                                                                         \
  }

/* The one element that there is. */
static void NAMED(run_number)(const ct__chain *chain, char *const *p) {
  const ct__link *l = chain->link, *end = l + chain->n;
  T a = *(const T *)(const void *)p[l->x];
  while (++l < end) switch (l->kind) {
      CT__CHAIN_LIST(NUMBER)
    }
  *(T *)(void *)p[chain->result] = a;
}

/* The chain with the numbers that are operands. */
static const ct__chain *NAMED(complete)(const ct__chain *chain, char *const *p, ct__chain *own) {
  memcpy(own, chain, offsetof(ct__chain, link) + (size_t)chain->n * sizeof *chain->link);
  for (ct__link *l = own->link; l < own->link + own->n; l++) {
    if (l->c_times) l->c *= (double)*(const T *)(const void *)p[l->c_times - 1];
    if (l->d_times) l->d *= (double)*(const T *)(const void *)p[l->d_times - 1];
  }
  return own;
}

static void NAMED(run)(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  (void)s;
  const ct__chain *chain = attr;
  ct__chain own;
  if (CT__UNLIKELY(chain->numbers)) chain = NAMED(complete)(chain, p, &own);
  T *to = (T *)(void *)p[chain->result];
  int64_t at = 0;
  if (n == 1) {
    NAMED(run_number)(chain, p);
    return;
  }
  for (; at + GROUP * LANES <= n; at += GROUP * LANES) NAMED(run_group)(chain, p, at, to + at);
  if (at == 0)
    NAMED(run_few)(n, chain, p);
  else if (at < n)
    NAMED(run_last)(n, n - at, chain, p);
}
#undef VECTOR
#undef BITS
#undef MEMORY
#undef LANES
#undef IN
#undef LOAD
#undef STORE
#undef LOAD_X
#undef APPLY
#undef ALONE
#undef WITH
#undef NUMBER
#undef ZERO
#undef SIGN
