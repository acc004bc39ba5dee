/* chain_group.h - run_group: a chain on so many vectors, from element `at` on, as VECTORS(X, ...)
 * expands to X(i, ...) for. Part of chain_of_type.h, included for each number of them. */

// clang-format off
#define ALONE(name, ...)                                                                           \
  case CT__LINK_##name: VECTORS(APPLY, __VA_ARGS__) break;
#define WITH(name, ...)                                                                            \
  case CT__LINK_##name: VECTORS(LOAD_X, ) VECTORS(APPLY, __VA_ARGS__) break;                           \
  case CT__LINK_##name + SAME: VECTORS(APPLY, __VA_ARGS__) break;
// clang-format on

static inline void run_group(const ct__chain *chain, char *const *p, int64_t at, T *to) {
  const VECTOR one = (VECTOR){0} + 1;
  const ct__link *l = chain->link, *end = l + chain->n;
  const T *from_x = (const T *)(const void *)p[l->x] + at, *from_y;
  VECTORS(LOAD, )
  while (++l < end) {
    const T c = (T)l->c, d = (T)l->d;
    from_x = (const T *)(const void *)p[l->x] + at;
    from_y = (const T *)(const void *)p[l->y] + at;
    switch (l->kind + (KEEPS_X && l->same ? SAME : 0)) {
      CT__CHAIN_ALONE(ALONE)
      CT__CHAIN_WITH(WITH)
    }
  }
  VECTORS(STORE, )
}
#undef ALONE
#undef WITH
