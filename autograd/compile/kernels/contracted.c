/* contracted.c - the loops of chain.h: a product and a sum in one link round once. The compiler
 * does that, as the build tells it to for this file. */
#include "../../../tensor/vmath.h"

#if VMATH_FMA
#define LOOPS ct__contracted_loops
#include "chain_loops.h"
#endif
