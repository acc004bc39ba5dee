/* kernels.c - which set of kernels is in use. */
#include "kernels.h"

#define ENTRY(isa) &ct__kernels_##isa,
static const ct__kernels *const sets[] = {CT__ISA_LIST(ENTRY)};

const ct__kernels *ct__kernels_now(void) { return sets[ct__isa()]; }
