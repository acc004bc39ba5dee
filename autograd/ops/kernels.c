/* kernels.c - the sets of kernels, one for each instruction set. */
#include "kernels.h"

#define NUMBERS(isa) ct__numbers_##isa,
const ct__row_one *const ct__number_sets[] = {CT__NARROW_LIST(NUMBERS)};

#define LINES(isa) {&ct__line_loops_f32_##isa, &ct__line_loops_f64_##isa},
const ct__line_loops *const ct__line_sets[][2] = {CT__ISA_LIST(LINES)};

#define FOLDS(isa) &ct__folds_##isa,
const ct__folds *const ct__fold_sets[] = {CT__ISA_LIST(FOLDS)};

#define RUNNING(isa) &ct__running_##isa,
const ct__running *const ct__running_sets[] = {CT__ISA_LIST(RUNNING)};
