/* tile.h - chains of elementwise operations, run tile by tile while the numbers are in cache.
 *
 * Registers hold one tile each; the first n_in are the inputs. A step is one loop over the tile, as
 * in eager operations, so results have the same bits.
 */
#ifndef COTANGENT_TILE_H
#define COTANGENT_TILE_H

#include "chain.h"
#include "tail.h"

/* At most; NUMBERS: registers of a tile of one element. */
enum { CT__TILE_REGS = 32, CT__TILE_NUMBERS = 255, CT__TILE_TAILS = 8 };

typedef struct ct__tile_step {
  ct_loop *loop;
  const void *attr;
  int n;                          /* operands */
  int reg[CT__TILE_OPERANDS + 1]; /* those of the operands, then of the result */
  const ct__chain *joint;         /* it and those behind it as one, on registers; or NULL */
  int n_joint;                    /* those behind it */
} ct__tile_step;

/* An output's register is written by one step and by nothing else; inputs are never written. The
 * others may be used again and again, but always with one dtype. */
typedef struct ct__tile {
  int n_in, n_out, n_steps, n_reg;
  const ct__tile_step *step;
  const ct_dtype *dtype; /* of each register */
  const int *out;        /* register of each output */
  const bool *number;    /* of each register: a single number, which only chains read; or NULL */
  int n_tails;           /* reductions of registers that one step writes, or none */
  const ct__tail *tail;
} ct__tile;

/* out[o] = the chain of in, all out of one shape, to which every in broadcasts; any layout. An
 * output may lie exactly where an input lies. Behind the outputs the results of the tails, which
 * are accumulated in room. */
void ct__tile_run(const ct__tile *t, const ct_view *const *in, ct_view *const *out, double *room);

/* The operations of a fused chain, without tails and with some; their attributes. Inputs and
 * outputs of any number. */
typedef struct ct__fused {
  int n_out; /* first: see n_out of ct_op */
  const ct__tile *tile;
} ct__fused;
extern const ct_op ct__fused_op, ct__reduced_op;

#endif
