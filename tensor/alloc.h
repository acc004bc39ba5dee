/* alloc.h - sized blocks from the free lists of the thread, the short way inline.
 *
 * Fresh memory is the enemy: the page faults of a new large buffer cost eight times the arithmetic
 * done on it. So blocks are rounded up to a size class (whole cache lines, above 1024 bytes sixteen
 * to the octave, so that a sixteenth is lost at most) and freed ones wait in a list of their class
 * for the next of that size. All are 64-byte aligned.
 */
#ifndef COTANGENT_ALLOC_H
#define COTANGENT_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define CT__POISONING 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CT__POISONING 1
#endif
#endif
#ifdef CT__POISONING /* a block in a list is as dead as a freed one */
#include <sanitizer/asan_interface.h>
#define CT__POISON(block, size)   ASAN_POISON_MEMORY_REGION(block, size)
#define CT__UNPOISON(block, size) ASAN_UNPOISON_MEMORY_REGION(block, size)
#else
#define CT__POISON(block, size)   ((void)0)
#define CT__UNPOISON(block, size) ((void)0)
#endif

enum {
  CT__LINE_BITS = 6,
  CT__FEW_BITS = 10, /* up to here one class for each number of lines */
  CT__FEW = 1 << (CT__FEW_BITS - CT__LINE_BITS),
  CT__LAST_BITS = 40,
  CT__OCTAVE_BITS = 4, /* from there so many classes to each octave */
  CT__OCTAVE = 1 << CT__OCTAVE_BITS,
  CT__CLASSES = CT__FEW + (CT__LAST_BITS - CT__FEW_BITS) * CT__OCTAVE
};

typedef struct ct__block {
  struct ct__block *next;
} ct__block;

/* limit is 0 until the thread frees its first block, and once it ends. */
typedef struct ct__lists {
  size_t bytes, limit;
  ct__block *first[CT__CLASSES];
} ct__lists;
extern _Thread_local ct__lists ct__free_lists;

void *ct__alloc_fresh(size_t size, size_t rounded);
void ct__free_rest(void *block, size_t size);
void ct__alloc_end(void); /* the lists of this thread are gone for good: for its exit */

/* Rounds size up to its class; CT__CLASSES if it is too large to be kept. */
static inline int ct__size_class(size_t *size) {
  if (*size <= (size_t)1 << CT__FEW_BITS) {
    size_t class = (*size - (*size > 0)) >> CT__LINE_BITS;
    *size = (class + 1) << CT__LINE_BITS;
    return (int)class;
  }
  int bits = 63 - __builtin_clzll((unsigned long long)(*size - 1));
  if (bits >= CT__LAST_BITS) return CT__CLASSES;
  const int step_bits = bits - CT__OCTAVE_BITS;
  size_t steps = (*size - 1) >> step_bits; /* from CT__OCTAVE to twice that */
  *size = (steps + 1) << step_bits;
  return CT__FEW + (bits - CT__FEW_BITS - 1) * CT__OCTAVE + (int)steps;
}

/* NULL and CT_ENOMEM on failure; size 0 is fine. */
static inline void *ct__alloc(size_t size) {
  size_t rounded = size;
  int class = ct__size_class(&rounded);
  ct__lists *l = &ct__free_lists;
  ct__block *b = class < CT__CLASSES ? l->first[class] : NULL;
  if (!b) return ct__alloc_fresh(size, rounded);
  CT__UNPOISON(b, rounded);
  l->first[class] = b->next;
  l->bytes -= rounded;
  return b;
}

/* size as given to ct__alloc; never allocates. */
static inline void ct__free(void *block, size_t size) {
  if (!block) return;
  size_t rounded = size;
  int class = ct__size_class(&rounded);
  ct__lists *l = &ct__free_lists;
  if (class == CT__CLASSES || rounded > l->limit - l->bytes) {
    ct__free_rest(block, size);
    return;
  }
  ct__block *b = block;
  b->next = l->first[class];
  l->first[class] = b;
  l->bytes += rounded;
  CT__POISON(b, rounded);
}

#endif
