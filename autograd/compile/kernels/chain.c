/* chain.c - the loops of chain.h: every operation rounds. */
#include "../../../tensor/vmath.h"

#define LOOPS ct__chain_loops
#include "chain_loops.h"

/* The other ones are these where nothing rounds once. */
#if !VMATH_FMA
const ct__chain_loops CT__ISA_NAME(ct__contracted_loops, CT__ISA) = {run_f32, run_f64};
#endif
