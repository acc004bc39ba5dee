/* chain.c - the loops of chain.h. Compiled once for each instruction set; CT__ISA is its name. */
#include "../chain.h"

#if defined(__AVX512F__)
enum { BYTES = 64 };
#elif defined(__AVX2__)
enum { BYTES = 32 };
#else
enum { BYTES = 16 };
#endif

#define ONE(X, ...) X(0, __VA_ARGS__)
#define EIGHT(X, ...)                                                                              \
  ONE(X, __VA_ARGS__)                                                                              \
  X(1, __VA_ARGS__)                                                                                \
  X(2, __VA_ARGS__)                                                                                \
  X(3, __VA_ARGS__)                                                                                \
  X(4, __VA_ARGS__)                                                                                \
  X(5, __VA_ARGS__)                                                                                \
  X(6, __VA_ARGS__)                                                                                \
  X(7, __VA_ARGS__)

#define T           float
#define U           int32_t
#define NAMED(name) name##_f32
#include "chain_of_type.h"
#undef T
#undef U
#undef NAMED

#define T           double
#define U           int64_t
#define NAMED(name) name##_f64
#include "chain_of_type.h"

const ct__chain_loops CT__ISA_NAME(ct__chain_loops, CT__ISA) = {run_f32, run_f64};
