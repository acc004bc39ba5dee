/* alloc.c - the free lists of each thread: what is not in alloc.h. */
#include "tensor_internal.h"

#include <stdlib.h>

enum { ALIGNMENT = 64, HUGE_FROM = 1 << 22 };

_Thread_local ct__lists ct__free_lists;
static _Thread_local bool
    opened; /* ct__free_lists.limit holds: the thread's exit is looked after */
static _Thread_local bool closed; /* the thread is ending: keep nothing more */
static _Thread_local size_t limit = (size_t)512 << 20;

void *ct__alloc_fresh(size_t size, size_t rounded) {
  rounded = (rounded + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
  void *p = rounded < size || rounded > PTRDIFF_MAX ? NULL : aligned_alloc(ALIGNMENT, rounded);
  if (p && rounded >= HUGE_FROM) ct__use_huge_pages(p, rounded);
  if (!p) ct__fail(CT_ENOMEM, "out of memory (%zu bytes)", size);
  return p;
}

void ct__free_rest(void *block, size_t size) {
  if (opened || closed) {
    free(block);
    return;
  }
  opened = true;
  ct__free_lists.limit = limit;
  ct__at_thread_exit();
  ct__free(block, size);
}

static size_t class_size(int class) {
  if (class < CT__FEW) return (size_t)(class + 1) << CT__LINE_BITS;
  unsigned above = (unsigned)(class - CT__FEW);
  return (size_t)(CT__OCTAVE + 1 + above % CT__OCTAVE)
         << (CT__FEW_BITS - CT__OCTAVE_BITS + above / CT__OCTAVE);
}

static void drop_above(size_t bytes) {
  ct__lists *l = &ct__free_lists;
  for (int class = CT__CLASSES - 1; class >= 0 && l->bytes > bytes; class --)
    for (ct__block *b = l->first[class]; b && l->bytes > bytes; b = l->first[class]) {
      size_t size = class_size(class);
      CT__UNPOISON(b, size);
      l->first[class] = b->next;
      l->bytes -= size;
      free(b);
    }
}

void ct_cache_limit(size_t bytes) {
  limit = bytes;
  drop_above(bytes);
  if (opened && !closed) ct__free_lists.limit = bytes;
}

void ct_cache_flush(void) { drop_above(0); }

void ct__alloc_end(void) {
  drop_above(0);
  ct__free_lists.limit = 0;
  closed = true;
}

bool ct__mul_size(int64_t a, int64_t b, int64_t *product) {
  return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, product);
}
