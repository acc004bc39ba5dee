/* failing_malloc.h - the heap of a test program, counted, and failing on demand.
 *
 * The program's own malloc comes before the C library's for everything that is linked with it, so
 * cJSON, libdeflate, stb and stdio are reached too. Needs glibc (or gcc's sanitizers) beneath;
 * elsewhere heap_watched is false and tests skip. To be included once in a program.
 */
#ifndef COTANGENT_FAILING_MALLOC_H
#define COTANGENT_FAILING_MALLOC_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEAP_COUNTED  1
#define BENEATH(name) __interceptor_##name
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HEAP_COUNTED  1
#define BENEATH(name) __interceptor_##name
#endif
#endif
#if !defined(HEAP_COUNTED) && defined(__GLIBC__)
#define HEAP_COUNTED  1
#define BENEATH(name) __libc_##name
#endif
#ifndef HEAP_COUNTED
#define HEAP_COUNTED 0
#endif

static atomic_long heap_blocks; /* alive, of all threads */

/* No more than this at once, as on a machine of that size: huge requests fail alike everywhere. */
#define HEAP_MOST ((size_t)1 << 36)

/* Of this thread: other libraries have threads of their own, which start when they like. */
static _Thread_local struct {
  long live, calls; /* blocks taken and not given back by it, and its allocations so far */
  long countdown;   /* to the one that fails; 0: off */
  bool lasting;     /* so do all after it */
  bool struck;      /* one has failed */
} heap;

/* Lets the k-th allocation of this thread from now on fail, and with lasting all later ones. */
static inline void heap_fail_at(long k, bool lasting) {
  heap.lasting = lasting;
  heap.struck = false;
  heap.countdown = k;
}

/* Ends it; true if an allocation has failed. */
static inline bool heap_fail_end(void) {
  heap.countdown = 0;
  return heap.struck;
}

static inline long heap_live(void) { return heap.live; }
static inline long heap_calls(void) { return heap.calls; }
static inline long heap_live_everywhere(void) { return atomic_load(&heap_blocks); }

#if HEAP_COUNTED

/* The first allocations come before a sanitizer is ready; valgrind replaces calls, not copies. */
#define HEAP_EARLY __attribute__((noinline, no_sanitize("address", "thread", "undefined")))

extern void *BENEATH(malloc)(size_t size);
extern void *BENEATH(calloc)(size_t n, size_t size);
extern void *BENEATH(realloc)(void *old, size_t size);
extern void *BENEATH(memalign)(size_t alignment, size_t size);
extern void BENEATH(free)(void *block);
extern void *memalign(size_t alignment, size_t size);

HEAP_EARLY static bool heap_refuses(size_t size) {
  heap.calls++;
  bool strikes = heap.countdown > 0 && --heap.countdown == 0;
  if (strikes) {
    heap.struck = true;
    heap.countdown = heap.lasting;
  }
  if (!strikes && size <= HEAP_MOST) return false;
  errno = ENOMEM;
  return true;
}

HEAP_EARLY static void *heap_counted(void *block, long change) {
  if (!block) return NULL;
  heap.live += change;
  atomic_fetch_add_explicit(&heap_blocks, change, memory_order_relaxed);
  return block;
}

HEAP_EARLY void *malloc(size_t size) {
  return heap_refuses(size) ? NULL : heap_counted(BENEATH(malloc)(size), 1);
}

HEAP_EARLY void *calloc(size_t n, size_t size) {
  return heap_refuses(n > HEAP_MOST ? n : size) ? NULL : heap_counted(BENEATH(calloc)(n, size), 1);
}

HEAP_EARLY void free(void *block) { BENEATH(free)(heap_counted(block, -1)); }

HEAP_EARLY void *realloc(void *old, size_t size) {
  if (!old) return malloc(size);
  if (size == 0) {
    free(old);
    return NULL;
  }
  return heap_refuses(size) ? NULL : BENEATH(realloc)(old, size);
}

HEAP_EARLY void *memalign(size_t alignment, size_t size) {
  return heap_refuses(size) ? NULL : heap_counted(BENEATH(memalign)(alignment, size), 1);
}

HEAP_EARLY void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

HEAP_EARLY int posix_memalign(void **out, size_t alignment, size_t size) {
  void *block = memalign(alignment, size);
  if (!block) return ENOMEM;
  *out = block;
  return 0;
}

#endif

/* False where nothing is counted: without glibc, and under valgrind, which comes first. */
static inline bool heap_watched(void) {
  void *(*volatile take)(size_t) = malloc; /* which a compiler believes to change nothing */
  long before = heap.calls;
  free(take(1));
  return heap.calls != before;
}

#endif
