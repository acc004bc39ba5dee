/* vectors.h - for sources that are compiled once for each instruction set: how long its vectors
 * are, and what compilers are to know of a loop. */
#ifndef COTANGENT_VECTORS_H
#define COTANGENT_VECTORS_H

#include <stdbool.h>

#if defined(__AVX512F__)
enum { VECTOR_BYTES = 64 };
#elif defined(__AVX2__)
enum { VECTOR_BYTES = 32 };
#else
enum { VECTOR_BYTES = 16 };
#endif

/* VECTORISE: iterations do not depend on each other, an output may take the place of an input. */
#ifdef __clang__
#define VECTORISE _Pragma("clang loop vectorize(assume_safety)")
#define UNROLL    _Pragma("clang loop unroll(full)")
#define UNROLL_4  _Pragma("clang loop unroll_count(4)")
#define NOUNROLL  _Pragma("clang loop unroll(disable)")
#else
#define VECTORISE _Pragma("GCC ivdep")
#define UNROLL    _Pragma("GCC unroll 32")
#define UNROLL_4  _Pragma("GCC unroll 4")
#define NOUNROLL  _Pragma("GCC unroll 1")
#endif
/* A loop over the lanes of vectors: unrolled, it would not become vectors again. */
#define EACH_LANE(i, lanes) NOUNROLL for (int i = 0; i < (lanes); i++)
#define INLINE              static inline __attribute__((always_inline))
#define APART               static __attribute__((noinline))

/* True; a loop that asks on the way stays as it is written, where vectors would not be worth their
 * code. */
INLINE bool as_it_stands(void) {
  __asm__ volatile("");
  return true;
}

#endif
