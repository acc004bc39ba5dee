/* alloc.c - sized blocks from per-thread free lists.
 *
 * Fresh memory is the enemy: the page faults of a new large buffer cost eight times the arithmetic
 * done on it. So blocks are rounded up to a size class (four to the octave) and freed ones wait in
 * a list of their class for the next of that size.
 */
#include "tensor_internal.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISONING 1
#endif
#endif
#ifdef POISONING /* a block in a list is as dead as a freed one */
#include <sanitizer/asan_interface.h>
#define POISON(block, size)   ASAN_POISON_MEMORY_REGION(block, size)
#define UNPOISON(block, size) ASAN_UNPOISON_MEMORY_REGION(block, size)
#else
#define POISON(block, size)   ((void)0)
#define UNPOISON(block, size) ((void)0)
#endif

enum { ALIGNMENT = 64, FIRST_BITS = 6, LAST_BITS = 40, CLASSES = (LAST_BITS - FIRST_BITS) * 4 + 1 };

typedef struct block {
  struct block *next;
} block;

typedef struct lists {
  size_t bytes;
  block *first[CLASSES];
} lists;

static _Thread_local lists *mine;
static _Thread_local bool closed; /* the thread is ending: keep nothing more */
static _Thread_local size_t limit = (size_t)512 << 20;

/* Rounds size up to its class; CLASSES if it is too large to be kept. */
static int size_class(size_t *size) {
  if (*size <= (1u << FIRST_BITS)) {
    *size = 1u << FIRST_BITS;
    return 0;
  }
  int bits = 63 - __builtin_clzll((unsigned long long)(*size - 1));
  if (bits >= LAST_BITS) return CLASSES;
  size_t base = (size_t)1 << bits, step = base >> 2, quarter = (*size - 1 - base) >> (bits - 2);
  *size = base + (quarter + 1) * step;
  return (bits - FIRST_BITS) * 4 + (int)quarter + 1;
}

void *ct__alloc(size_t size) {
  size_t rounded = size;
  int class = size_class(&rounded);
  if (CT__LIKELY(mine && class < CLASSES && mine->first[class])) {
    block *b = mine->first[class];
    UNPOISON(b, rounded);
    mine->first[class] = b->next;
    mine->bytes -= rounded;
    return b;
  }
  rounded = (rounded + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
  void *p = rounded < size || rounded > PTRDIFF_MAX ? NULL : aligned_alloc(ALIGNMENT, rounded);
  if (!p) ct__fail(CT_ENOMEM, "out of memory (%zu bytes)", size);
  return p;
}

void ct__free(void *p, size_t size) {
  if (!p) return;
  int class = size_class(&size);
  if (!mine && !closed) {
    mine = calloc(1, sizeof *mine);
    ct__at_thread_exit();
  }
  if (!mine || class == CLASSES || size > limit || mine->bytes > limit - size) {
    free(p);
    return;
  }
  block *b = p;
  b->next = mine->first[class];
  mine->first[class] = b;
  mine->bytes += size;
  POISON(b, size);
}

static void drop_above(size_t bytes) {
  for (int class = CLASSES - 1; mine && class >= 0 && mine->bytes > bytes; class --)
    for (block *b = mine->first[class]; b && mine->bytes > bytes; b = mine->first[class]) {
      size_t size = class == 0 ? (size_t)1 << FIRST_BITS
                               : ((size_t)4 + ((unsigned)class - 1) % 4 + 1)
                                     << (FIRST_BITS - 2 + (class - 1) / 4);
      UNPOISON(b, size);
      mine->first[class] = b->next;
      mine->bytes -= size;
      free(b);
    }
}

void ct_cache_limit(size_t bytes) {
  limit = bytes;
  drop_above(bytes);
}

void ct_cache_flush(void) { drop_above(0); }

void ct__alloc_end(void) {
  drop_above(0);
  free(mine);
  mine = NULL;
  closed = true;
}

bool ct__mul_size(int64_t a, int64_t b, int64_t *product) {
  return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, product);
}
