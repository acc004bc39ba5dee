/* kernels.c - the sets of kernels, one for each instruction set. */
#include "kernels.h"

#define ENTRY(isa) &ct__kernels_##isa,
const ct__kernels *const ct__kernel_sets[] = {CT__ISA_LIST(ENTRY)};
