/* plain_folds.c - reductions and positions of extrema of integers and bools. Compiled once. */
#include "kernels/folds.h"

#define SUM        uint32_t
#define SUM_RESULT int32_t

#define T        int32_t
#define BITS     uint32_t
#define TURN     UINT32_MAX
#define LEAST    INT32_MIN
#define NAMED(x) x##_i32
#include "kernels/folds_of_type.h"
#undef T
#undef BITS
#undef TURN
#undef LEAST
#undef NAMED

#define T        uint8_t
#define BITS     uint8_t
#define TURN     UINT8_MAX
#define LEAST    0
#define NAMED(x) x##_u8
#include "kernels/folds_of_type.h"

#define A(x) x##_i32
#define B(x) x##_u8
const ct__folds ct__plain_folds = {
    .sum = REDUCERS(sum, sum, sum_end),
    .prod = REDUCERS(prod, prod, sum_end),
    .max = REDUCERS(max, most, max_end),
    .min = REDUCERS(min, most, min_end),
    .any = REDUCERS(max, most, any_end),
    .all = REDUCERS(min, most, all_end),
    .argmax = {argmax_i32, argmax_u8},
    .argmin = {argmin_i32, argmin_u8},
};
