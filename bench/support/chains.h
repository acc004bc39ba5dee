/* chains.h - recorded operations on single numbers: what is left is what the library does around
 * them. */
#ifndef COTANGENT_BENCH_CHAINS_H
#define COTANGENT_BENCH_CHAINS_H

#include "bench.h"

#include <cotangent.h>

enum { CHAIN_KINDS = 4, CHAIN_LENGTH = 100 };

/* Chains of CHAIN_LENGTH operations on the 0-d f32 variable x, one for each of `kinds` kinds from
 * the first on: recorded, differentiated, released. */
typedef struct chains {
  ct_tensor *x;
  int first, kinds;
  ct_program *program[CHAIN_KINDS]; /* once compiled */
} chains;

const char *chains_name(int kind);
void chains_run(void *state);
/* The same, compiled once and run again. */
void chains_compile(chains *c);
void chains_replay(void *state);
void chains_release(chains *c);
/* The unit: as many blocks of the size of a node taken from malloc and given back. A chain too
 * holds all its nodes before it lets go of the first. */
void chains_pairs(void *state);
/* Times for one operation instead of all. */
bench_result chains_each(const chains *c, bench_result r);

#endif
