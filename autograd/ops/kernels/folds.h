/* folds.h - what the reductions of folds_of_type.h share: for folds.c and ../plain_folds.c.
 *
 * Sums and products of floats are accumulated in double, of integers in 32 bits that wrap; extrema
 * in the type itself.
 *
 * Columns take their elements one after the other, ROWS in a pass. A line is dealt to independent
 * lanes, which then are folded in halves: no addition waits for the one before it, and the rounding
 * is the same for all vectors, long or short.
 */
#ifndef COTANGENT_FOLDS_H
#define COTANGENT_FOLDS_H

#include "../../../tensor/move.h"
#include "../../../tensor/vectors.h"
#include "../kernels.h"

#include <math.h>
#include <stdlib.h>

enum {
  ROWS = 8,
  GROUP = 16, /* columns that are vectors */
  PART = 256, /* of four groups of lanes: elements of a line at a time */
  FEW = 8,    /* lanes at its end */
  WIDE = 64,
  TALL = 16, /* a block of lines that become rows */
};
#define LANES(ACC) (sizeof(ACC) == 8 ? 32 : 64)
#define WHOLE(n)   (((n) + GROUP - 1) & -(int64_t)GROUP)

/* How many of the rows can be taken as whole groups where they lie: what is too much is in a later
 * one. */
static inline int64_t whole_rows(int64_t n, int64_t step, int64_t rows, int64_t row_step) {
  const int64_t more = WHOLE(n) - n;
  if (step != 1) return 0;
  if (more == 0) return rows;
  if (row_step <= 0) return 0;
  const int64_t others = (more - 1) / row_step + 1;
  return others < rows ? rows - others : 0;
}

/* A loop whose iterations do not depend on each other, as vectors; and one as it stands, which is
 * too short for them. */
#ifdef __clang__
#define INDEPENDENT NOUNROLL
#else
#define INDEPENDENT VECTORISE NOUNROLL
#endif
#define EACH(i, from, to)       INDEPENDENT for (int64_t i = (from); i < (int64_t)(to); i++)
#define EACH_ALONE(i, from, to) for (int64_t i = (from); i < (int64_t)(to) && as_it_stands(); i++)

/* Blocks of m lines and so many rows of them. */
#define EACH_BLOCK(n, length)                                                                      \
  for (int64_t at = 0, m; at < (n) && (m = (n)-at < WIDE ? (n)-at : WIDE) > 0; at += WIDE)         \
    for (int64_t row = 0, rows;                                                                    \
         row < (length) && (rows = (length)-row < TALL ? (length)-row : TALL) > 0; row += TALL)

/* The set, of two types: A and B are their NAMED. */
#define REDUCER(NAME, name, fold, end)                                                             \
  { NAME(fold##_start), NAME(name), NAME(fold##_merge), NAME(end) }
#define REDUCERS(name, fold, end)                                                                  \
  { REDUCER(A, name, fold, end), REDUCER(B, name, fold, end) }

#endif
