/* chain_loops.h - the loops of chain.h as a set named LOOPS. Included by chain.c and contracted.c,
 * which are compiled once for each instruction set; CT__ISA is its name. */
#include "../../../tensor/vectors.h"
#include "../../ops/kernels.h"
#include "../chain.h"

/* An operand that repeats stays in registers where there are enough: it costs half as much again to
 * load one as to add it. */
#if defined(__x86_64__) && !defined(__AVX512F__)
enum { KEEPS_X = false };
#else
enum { KEEPS_X = true };
#endif

enum { GROUP = 8 }; /* vectors */
#define ONE(X, ...) X(0, __VA_ARGS__)
#define EIGHT(X, ...)                                                                              \
  X(0, __VA_ARGS__)                                                                                \
  X(1, __VA_ARGS__)                                                                                \
  X(2, __VA_ARGS__)                                                                                \
  X(3, __VA_ARGS__)                                                                                \
  X(4, __VA_ARGS__)                                                                                \
  X(5, __VA_ARGS__)                                                                                \
  X(6, __VA_ARGS__)                                                                                \
  X(7, __VA_ARGS__)

#define T           float
#define U           int32_t
#define NUMBER_OF   .f32
#define NAMED(name) name##_f32
#include "chain_of_type.h"
#undef T
#undef U
#undef NAMED
#undef NUMBER_OF

#define T           double
#define U           int64_t
#define NUMBER_OF   .f64
#define NAMED(name) name##_f64
#include "chain_of_type.h"

const ct__chain_loops CT__ISA_NAME(LOOPS, CT__ISA) = {run_f32, run_f64};
