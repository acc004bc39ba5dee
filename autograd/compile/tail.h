/* tail.h - reductions at the end of a chain: each tile is folded while it is in cache, so that the
 * chain's result need not be written to memory.
 *
 * A tail reduces over the first axes or over the last ones, into accumulators in double. Pieces of
 * the work have accumulators of their own, merged in their order at the end, or else no result is
 * cut. All that follows from shapes, so the result has the same bits for every number of threads.
 */
#ifndef COTANGENT_TAIL_H
#define COTANGENT_TAIL_H

#include "program.h"

#include <math.h>

/* The operation, how two numbers are combined, and what changes nothing. NaN is the largest and the
 * smallest of all. */
#define CT__FOLD_LIST(X)                                                                           \
  X(sum, a + x, 0)                                                                                 \
  X(mean, a + x, 0)                                                                                \
  X(max, EITHER((x > a) | (x != x), x, a), -INFINITY)                                              \
  X(min, EITHER((x < a) | (x != x), x, a), INFINITY)

typedef enum ct__fold_kind {
#define KIND(name, ...) CT__FOLD_##name,
  CT__FOLD_LIST(KIND)
#undef KIND
      CT__FOLDS
} ct__fold_kind;

/* m rows of n elements of x, in order. By lines: row i goes to acc[i]. By columns: what is number j
 * of its row goes to acc[j]. */
typedef void ct__fold_tile(int64_t m, int64_t n, const void *x, double *acc);
typedef struct ct__tail_loops {
  ct__fold_tile *lines, *columns;
} ct__tail_loops;
/* Those of one instruction set (kernels/tail_of_type.c). */
#define CT__TAIL_LOOPS_OF(isa)                                                                     \
  extern const ct__tail_loops ct__tail_loops_f32_##isa[CT__FOLDS],                                 \
      ct__tail_loops_f64_##isa[CT__FOLDS];
CT__ISA_LIST(CT__TAIL_LOOPS_OF)

typedef struct ct__tail {
  ct__fold_kind kind;
  int reg;        /* of the tile: what is reduced */
  ct_dtype dtype; /* of that and of the result */
  unsigned axes;  /* a mask of neighbours */
  bool last;      /* the last ones, else the first */
  bool keepdims;  /* they stay, with extent 1 */
  int64_t results;
  int copies; /* of the accumulators: the work is cut into so many pieces at most */
  bool whole; /* or into any number, but no result is cut: all pieces share one copy */
} ct__tail;

/* Whether the call is such a reduction, and of so many numbers each that it pays. */
bool ct__tail_of(const ct_call *c, ct__tail *tail);
ct_shape ct__tail_shape(const ct__tail *tail, ct_shape of);

/* The accumulators of n tails, in room. */
size_t ct__tails_bytes(int n, const ct__tail *tail);
double *ct__tail_room(const ct__tail *tail, int i, double *room); /* those of tail i: its copies */
int64_t ct__tails_pieces(int n, const ct__tail *tail, int64_t pieces); /* at most so many */
void ct__tails_begin(int n, const ct__tail *tail, int64_t pieces, double *room);
/* acc: of the first of the results that the rows belong to. */
void ct__tail_fold(const ct__tail *tail, int64_t rows, int64_t row, const void *x, double *acc);
/* The results, of `size` elements in all. */
void ct__tails_end(int n, const ct__tail *tail, int64_t pieces, int64_t size, double *room,
                   ct_view *const *out);

#endif
