/* vectors.h - for sources that are compiled once for each instruction set: how long its vectors
 * are, and what compilers are to know of a loop. */
#ifndef COTANGENT_VECTORS_H
#define COTANGENT_VECTORS_H

#include <stdbool.h>
#include <stdint.h>

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
/* Of a function with many jumps: what they cost hangs on where in a cache line they lie, by up to
 * two fifths. So that is the same whatever is linked before it. */
#define ALIGNED __attribute__((aligned(64)))

/* STREAM stores a vector past the caches, where there is a way: its line need not be read first.
 * The place is a multiple of VECTOR_BYTES. STREAMED comes before another thread is told. */
#if defined(__clang__)
#define STREAM(to, vector) __builtin_nontemporal_store(vector, to)
#elif defined(__AVX512F__)
#define STREAM(to, vector) __builtin_ia32_movntps512((float *)(to), (STREAMED_FLOATS)(vector))
#elif defined(__AVX2__)
#define STREAM(to, vector) __builtin_ia32_movntps256((float *)(to), (STREAMED_FLOATS)(vector))
#elif defined(__SSE2__)
#define STREAM(to, vector) __builtin_ia32_movntps((float *)(to), (STREAMED_FLOATS)(vector))
#else
#define STREAM(to, vector) (*(to) = (vector))
#endif
typedef float STREAMED_FLOATS __attribute__((vector_size(VECTOR_BYTES)));
#ifdef __SSE2__
#define STREAMED() __builtin_ia32_sfence()
#else
#define STREAMED() ((void)0)
#endif

/* The integer of a float type's size. */
#define BITS_OF(T) __typeof__(_Generic((T)0, float : (int32_t)0, double : (int64_t)0))

/* True; a loop that asks on the way stays as it is written, where vectors would not be worth their
 * code. */
INLINE bool as_it_stands(void) {
  __asm__ volatile("");
  return true;
}

#endif
