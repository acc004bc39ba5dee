/* folds.c - reductions and positions of extrema of floats. Compiled once for each instruction set.
 */
#include "folds.h"

#define FLOATING
#define LEAST (-(T)INFINITY)
#define SUM   double

#define T          float
#define BITS       uint32_t
#define TURN       0x80000000u
#define SUM_RESULT float
#define NAMED(x)   x##_f32
#include "folds_of_type.h"
#undef T
#undef BITS
#undef TURN
#undef SUM_RESULT
#undef NAMED

#define T          double
#define BITS       uint64_t
#define TURN       0x8000000000000000u
#define SUM_RESULT double
#define NAMED(x)   x##_f64
#include "folds_of_type.h"

#define A(x) x##_f32
#define B(x) x##_f64
const ct__folds CT__ISA_NAME(ct__folds, CT__ISA) = {
    .sum = REDUCERS(sum, sum, sum_end),
    .mean = REDUCERS(sum, sum, mean_end),
    .prod = REDUCERS(prod, prod, sum_end),
    .norm2 = REDUCERS(squares, squares, root_end),
    .max = REDUCERS(max, most, max_end),
    .min = REDUCERS(min, most, min_end),
    .argmax = {argmax_f32, argmax_f64},
    .argmin = {argmin_f32, argmin_f64},
};
