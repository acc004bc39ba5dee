/* kernels.c - the sets of kernels, one for each instruction set. */
#include "kernels.h"

#define ENTRY(isa) &ct__kernels_##isa,
const ct__kernels *const ct__kernel_sets[] = {CT__ISA_LIST(ENTRY)};

#define FOLDS_ENTRY(isa) &ct__folds_##isa,
const ct__folds *const ct__fold_sets[] = {CT__ISA_LIST(FOLDS_ENTRY)};

#define RUNNING_ENTRY(isa) &ct__running_##isa,
const ct__running *const ct__running_sets[] = {CT__ISA_LIST(RUNNING_ENTRY)};
