/* fuse.h - what the pass in fuse.c knows of a program, and a group of instructions on its way to
 * become one.
 */
#ifndef COTANGENT_FUSE_H
#define COTANGENT_FUSE_H

#include "tile.h"

/* A cheap instruction as part of a chain. */
typedef struct ct__fuse_link {
  ct__cheap cheap;      /* kind is CT__LINKS if it is none */
  int before;           /* the instruction that hands its result on to it, or -1 */
  int product;          /* the one whose product it adds without rounding it first, or -1 */
  int number;           /* the value of its right operand, a single number, or -1 */
  int length, operands; /* of the chain so far; 0: not cheap */
  bool turned;          /* what it is handed is its right operand */
  bool handed_on;       /* its own result is too, or added so */
} ct__fuse_link;

typedef struct ct__fusion {
  ct_program *p;
  int n, n_values;  /* instructions and values before */
  int *maker;       /* of each value */
  int *phase, *key; /* of each instruction, the new ones too; key: where it goes */
  ct_loop **loop;   /* of each instruction that may be fused */
  ct__loop_call *call;
  ct__tail *tail; /* of each instruction that reduces; others have no results */
  ct__fuse_link *link;
  int *group;                /* a tree: the first instruction of the group is the root */
  int *start, *list;         /* the groups, in order: those of root k are list[start[k]] ... */
  int *sequence, n_sequence; /* what there is now, before it is sorted */
  int *reg, *uses;           /* of each value: its register + 1; how often it is read */
  int *seen;                 /* of each value: how often a chain reads it */
  bool *number;              /* of each value: chains read it as a constant, where it lies */
} ct__fusion;

/* What n instructions become. */
typedef struct ct__fuse_block {
  const int *member;
  int n, n_in, n_out, n_reg, n_tails;
  int most;                                        /* registers */
  int in[CT__TILE_NUMBERS], out[CT__TILE_NUMBERS]; /* values */
  int tail[CT__TILE_TAILS];                        /* instructions */
  ct_dtype dtype[CT__TILE_NUMBERS];                /* of the registers */
  bool free[CT__TILE_NUMBERS], number[CT__TILE_NUMBERS];
  bool no_memory;
} ct__fuse_block;

/* Of one element. */
static inline bool ct__of_numbers(const ct__fuse_block *b) { return b->most == CT__TILE_NUMBERS; }

static inline int ct__fused_result(const ct__fusion *f, int k) {
  return ct__outs(&f->p->instr[k])[0];
}

static inline bool ct__is_tail(const ct__fusion *f, int k) { return f->tail[k].results > 0; }

/* The value itself, or the one that it is another name of. */
int ct__named(const ct_program *p, int i);
/* What a tile of instruction k would be a part of; NULL if it cannot be fused. */
const ct_view *ct__walked(const ct__fusion *f, int k);

/* fuse_steps.c: the registers and steps of a block; false if there is no room for the operands, or
 * no memory. Then, or when the block has become an instruction, what it left in f goes. */
bool ct__fuse_steps(ct__fusion *f, ct__fuse_block *b, ct__tile_step *step, int *n_steps);
void ct__fuse_forget(const ct__fusion *f, const ct__fuse_block *b);

#endif
