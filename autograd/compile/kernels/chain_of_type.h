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
  VECTOR a##i = IN(first, i), x##i = a##i;                                                         \
  (void)x##i;
#define STORE(i, ...) *(MEMORY *)(to + i * LANES) = a##i;
#define PASS(i, ...)  STREAM((VECTOR *)(to + i * LANES), a##i);
#define NOTHING(i, ...)
#define PLUS_ONE(i, ...) +1
#define PUT(i, ...)      room[i] = a##i;
#define TAKE(i, ...)     a##i = x##i = room[i]; /* no x is kept across a call */
#define LOAD_X(i, ...)   x##i = IN(from_x, i);
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

/* The function of a link, of so many vectors. */
#define call_row NAMED(call_row)
INLINE void call_row(const ct__link *l, int vectors, const T *from, VECTOR *to) {
  char *const p[] = {(char *)(uintptr_t)from, (char *)to};
  CT__ISA_NAME(ct__elements, CT__ISA).row[l->row](vectors * LANES, p, l->attr);
}

/* So many vectors at a time: a group, or one of what there is less of. */
#define VECTORS    EIGHT
#define run_groups NAMED(run_eight)
#include "chain_group.h"
#undef VECTORS
#undef run_groups

#define VECTORS    ONE
#define run_groups NAMED(run_one)
#include "chain_group.h"
#undef VECTORS
#undef run_groups

/* Less than a vector: in memory of its own. */
static void NAMED(run_few)(int64_t n, const ct__chain *chain, char *const *p) {
  VECTOR room[CT__TILE_OPERANDS], result;
  char *there[CT__TILE_OPERANDS];
  for (int k = 0; k < chain->result; k++) {
    there[k] = p[k];
    if (chain->numbers >> k & 1) continue;
    const T *from = (const T *)(const void *)p[k];
    T *to = (T *)&room[k];
    EACH_LANE(i, LANES) to[i] = i < n ? from[i] : 0;
    there[k] = (char *)to;
  }
  NAMED(run_one)(chain, there, 0, 1, (T *)&result, false);
  T *to = (T *)(void *)p[chain->result];
  const T *from = (const T *)&result;
  EACH_LANE(i, LANES) if (i < n) to[i] = from[i];
}

/* The elements from `at` on: the end of so many vectors whose other elements are stored already,
 * perhaps where their operands were. */
INLINE void NAMED(run_last)(int64_t at, int64_t n, int vectors, const ct__chain *chain,
                            char *const *p) {
  VECTOR last[GROUP];
  const int64_t first = n - vectors * LANES;
  if (at == n) return;
  (vectors == 1 ? NAMED(run_one) : NAMED(run_eight))(chain, p, first, 1, (T *)last, false);
  memcpy((T *)(void *)p[chain->result] + at, (T *)last + (at - first),
         (size_t)(n - at) * sizeof(T));
}

#undef ZERO
#undef SIGN
#define ZERO(condition, y) ((condition) ? 0 : (y))
#define SIGN(x)            ((x) != (x) ? (x) : (T)(((x) > 0) - ((x) < 0)))
#define AT(k)              (*(const T *)(const void *)p[k])
#define NUMBER(name, ...)                                                                          \
  case CT__LINK_##name: {                                                                          \
    const T x = AT(l->x), y = AT(l->y), c = (T)l->c, d = (T)l->d;                                  \
    (void)x, (void)y, (void)c, (void)d;                                                            \
    a = __VA_ARGS__;                                                                               \
    break;                                                                                         \
  }

/* The one element that there is. A link takes about 2 nanoseconds, mostly jumps: with the end asked
 * for behind the store they are fewer, and cost the same wherever the code lies. */
static void NAMED(run_number)(const ct__chain *chain, char *const *p) {
  const ct__link *l = chain->link, *end = l + chain->n;
  const ct__row_one *numbers = ct__numbers_now();
  for (T a = 0;;) {
    switch (l->kind) {
      CT__CHAIN_LIST(NUMBER)
    case CT__LINK_CALL: a = numbers[l->row] NUMBER_OF(a, a, a, a, l->attr); break;
    case CT__LINK_CALL_WITH:
      a = numbers[l->row] NUMBER_OF(a, AT(l->x), AT(l->y), AT(l->z), l->attr);
      break;
    default: __builtin_unreachable();
    }
    if (l->to) *(T *)(void *)p[l->to - 1] = a;
    if (++l == end) return;
  }
}
#undef AT

/* The chain with the numbers that are operands. */
static const ct__chain *NAMED(complete)(const ct__chain *chain, char *const *p, ct__chain *own) {
  own->n = chain->n;
  own->result = chain->result;
  own->numbers = chain->numbers;
  for (int i = 0; i <= chain->n; i++) {
    ct__link l = chain->link[i];
    if (l.c_times) l.c *= (double)*(const T *)(const void *)p[l.c_times - 1];
    if (l.d_times) l.d *= (double)*(const T *)(const void *)p[l.d_times - 1];
    own->link[i] = l;
  }
  return own;
}

/* Apart from the way of a single number, which has no need of its room. */
APART void NAMED(run_many)(int64_t n, char *const *p, const int64_t *s, const ct__chain *chain) {
  ct__chain own;
  if (CT__UNLIKELY(chain->numbers)) chain = NAMED(complete)(chain, p, &own);
  T *to = (T *)(void *)p[chain->result];
  const int64_t groups = n / (GROUP * LANES);
  int64_t at = groups * GROUP * LANES;
  const bool streams = !s && (uintptr_t)to % VECTOR_BYTES == 0;
  NAMED(run_eight)(chain, p, 0, groups, to, streams);
  if (at > 0) {
    NAMED(run_last)(at, n, GROUP, chain, p);
  } else if (n < LANES) {
    NAMED(run_few)(n, chain, p);
  } else {
    at = n / LANES * LANES;
    NAMED(run_one)(chain, p, 0, n / LANES, to, false);
    NAMED(run_last)(at, n, 1, chain, p);
  }
}

static void NAMED(run)(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  const ct__chain *chain = attr;
  if (n == 1 && !chain->numbers)
    NAMED(run_number)(chain, p);
  else
    NAMED(run_many)(n, p, s, chain);
}
#undef call_row
#undef VECTOR
#undef BITS
#undef MEMORY
#undef LANES
#undef IN
#undef LOAD
#undef STORE
#undef PASS
#undef NOTHING
#undef PLUS_ONE
#undef PUT
#undef TAKE
#undef LOAD_X
#undef APPLY
#undef NUMBER
#undef ZERO
#undef SIGN
