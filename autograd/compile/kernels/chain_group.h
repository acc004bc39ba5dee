/* chain_group.h - run_groups: a chain on groups of so many vectors as VECTORS(X, ...) expands to
 * X(i, ...) for, the first from element `at` on. Part of chain_of_type.h, included for each number
 * of them. */

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
  CASE(CT__LINK_KINDS + CT__LINK_##name, NOTHING, __VA_ARGS__)
// clang-format on

APART ALIGNED void run_groups(const ct__chain *chain, char *const *p, int64_t at, int64_t groups,
                              T *to, bool streams) {
  enum { COUNT = VECTORS(PLUS_ONE, ) };
  const VECTOR one = (VECTOR){0} + 1;
  VECTOR room[COUNT]; /* that functions read and write */
  for (; groups > 0; groups--, at += COUNT * LANES, to += COUNT * LANES) {
    const ct__link *l = chain->link;
    const T *first = (const T *)(const void *)p[l->x] + at;
    if (l[1].kind == CT__LINK_CALL) {
      call_row(++l, COUNT, first, room);
      first = (const T *)room;
    }
    VECTORS(LOAD, )
    for (bool more = true; more;) {
      switch ((++l)->vectors) {
        CT__CHAIN_ALONE(ALONE)
        CT__CHAIN_WITH(WITH)
      case CT__LINK_CALL:
        VECTORS(PUT, )
        call_row(l, COUNT, (const T *)room, room);
        VECTORS(TAKE, )
        break;
      case CT__LINK_END: more = false; break;
      default: __builtin_unreachable();
      }
    }
    if (streams) {
      VECTORS(PASS, )
    } else {
      VECTORS(STORE, )
    }
  }
}
#undef CASE
#undef ALONE
#undef WITH
