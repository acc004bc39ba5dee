/* chain_group.h - run_group: a chain on so many vectors, from element `at` on, as VECTORS(X, ...)
 * expands to X(i, ...) for. Part of chain_of_type.h, included for each number of them. */

// clang-format off
#define CASE(label, load, ...)                                                                     \
  case label: {                                                                                    \
    const T c = (T)l->c, d = (T)l->d;                                                              \
    const T *from_x = (const T *)(const void *)p[l->x] + at;                                       \
    const T *from_y = (const T *)(const void *)p[l->y] + at;                                       \
    (void)c, (void)d, (void)from_x, (void)from_y;                                                  \
    VECTORS(load, ) VECTORS(APPLY, __VA_ARGS__)                                                    \
    break;                                                                                         \
  }
#define ALONE(name, ...) CASE(CT__LINK_##name, NOTHING, __VA_ARGS__)
#define WITH(name, ...)                                                                            \
  CASE(CT__LINK_##name, LOAD_X, __VA_ARGS__)                                                       \
  CASE(CT__LINK_##name + SAME, NOTHING, __VA_ARGS__)
// clang-format on

static inline void run_group(const ct__chain *chain, char *const *p, int64_t at, T *to,
                             bool streams) {
  enum { COUNT = VECTORS(PLUS_ONE, ) };
  const VECTOR one = (VECTOR){0} + 1;
  VECTOR room[COUNT]; /* that functions read and write */
  const ct__link *l = chain->link, *end = l + chain->n;
  const T *first = (const T *)(const void *)p[l->x] + at;
  if (l[1].kind == CT__LINK_CALL) {
    call_row(++l, COUNT, first, room);
    first = (const T *)room;
  }
  VECTORS(LOAD, )
  while (++l < end) {
    switch (l->kind + (KEEPS_X && l->same ? SAME : 0)) {
      CT__CHAIN_ALONE(ALONE)
      CT__CHAIN_WITH(WITH)
    case CT__LINK_CALL:
      VECTORS(PUT, )
      call_row(l, COUNT, (const T *)room, room);
      VECTORS(TAKE, )
      break;
    default: __builtin_unreachable();
    }
  }
  if (streams) {
    VECTORS(PASS, )
  } else {
    VECTORS(STORE, )
  }
}
#undef CASE
#undef ALONE
#undef WITH
