/* copy.c - moving numbers: copies, casts, fills, single elements. */
#include "move.h"
#include "pool.h"
#include "walk.h"

#include <math.h>

/* ---- copies: by the size of the element ------------------------------------------------------ */

/* Where y lies a few bytes behind x but for whole pages, as what is shifted by an element does, the
 * instruction that memmove takes for much at once is ten times slower on some processors. */
static void copy_bytes(char *y, const char *x, size_t bytes) {
  enum { PAGE = 4096, FEW = 64, MUCH = 1024 };
  size_t behind = (size_t)((uintptr_t)y - (uintptr_t)x) % PAGE;
  size_t most = behind > 0 && behind < FEW ? MUCH : bytes;
  for (size_t at = 0; at < bytes; at += most)
    memmove(y + at, x + at, bytes - at < most ? bytes - at : most);
}

#define COPY_LOOP(bytes)                                                                           \
  static void copy_##bytes(int64_t n, char *const *p, const int64_t *s, const void *attr) {        \
    (void)attr;                                                                                    \
    if (s[0] == 1 && s[1] == 1)                                                                    \
      copy_bytes(p[1], p[0], (size_t)n *bytes);                                                    \
    else                                                                                           \
      ct__move_lines(bytes, 1, n, p[1], 0, s[1], p[0], 0, s[0]);                                   \
  }
COPY_LOOP(1)
COPY_LOOP(4)
COPY_LOOP(8)

static ct_loop *copy_loop(ct_dtype dtype) {
  size_t size = ct__item_size(dtype);
  return size == 1 ? copy_1 : size == 4 ? copy_4 : copy_8;
}

void ct__copy(const ct_view *src, ct_view *dst) {
  if (ct__copy_turned(src, dst)) return;
  ct__map_copy(src, dst, copy_loop(src->dtype));
}

/* ---- casts: a table of loops, one for each pair ---------------------------------------------- */

#define SET(isa) &ct__casts_##isa,
static const ct__cast_loops *const cast_sets[] = {CT__ISA_LIST(SET)};

ct_loop *ct__cast_loop(ct_dtype from, ct_dtype to) {
  ct_loop *loop = cast_sets[ct__isa()]->loop[from][to];
  return loop ? loop : copy_loop(from);
}

void ct__cast(const ct_view *src, ct_view *dst) {
  ct_map(1, &src, dst, ct__cast_loop(src->dtype, dst->dtype), NULL);
}

/* ---- single values --------------------------------------------------------------------------- */

static void zero(void *to, int64_t from, int64_t end) {
  memset((char *)to + from, 0, (size_t)(end - from));
}

void ct__fill(ct_view *v, double value) {
  ct_view one = {.data = (char *)&value, .dtype = CT_F64, .size = 1, .contiguous = true};
  int64_t bytes = ct__line_weight(v, v->size);
  if (v->contiguous && value == 0 && !signbit(value)) /* weighed as fast as it is */
    ct__parallel_range(bytes, bytes < 4 * ct__piece_weight ? 0 : 1, 4096, zero, v->data);
  else
    ct__cast(&one, v);
}

double ct__get(const ct_view *v, int64_t offset) {
  static const int64_t one[] = {1, 1};
  double value = 0;
  char *const at[] = {v->data + offset * (int64_t)ct__item_size(v->dtype), (char *)&value};
  ct__cast_loop(v->dtype, CT_F64)(1, at, one, NULL);
  return value;
}
