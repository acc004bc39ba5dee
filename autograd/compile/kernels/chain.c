/* chain.c - the loops of chain.h: every operation rounds. */
#define LOOPS ct__chain_loops
#include "chain_loops.h"
