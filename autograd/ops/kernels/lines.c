/* lines.c - the loops of lines: softmax and its kin. Compiled once for each instruction set;
 * CT__ISA is its name. */
#include "../kernels.h"

#include "../../../tensor/move.h"
#include "../../../tensor/vectors.h"
#include "../elementwise.h"

enum {
  LANES = 16,
  SHORT = 64, /* elements of the longest line that goes in one lane */
  BLOCK = 64,
  PART = 256 /* elements of a longer one at a time */
};

/* Sums of exponentials in lanes: how many are 1, and the sum of the others. */
typedef struct exp_sums {
  double ones[LANES], rest[LANES];
} exp_sums;

#define T        float
#define BITS     uint32_t
#define NAMED(x) x##_float
#include "lines_of_type.h"
#include "loss_of_type.h"
#undef T
#undef BITS
#undef NAMED

#define T        double
#define BITS     uint64_t
#define NAMED(x) x##_double
#include "lines_of_type.h"
#include "loss_of_type.h"
#undef T
#undef BITS
#undef NAMED

#define SET(T)                                                                                     \
  .max_##T = max_##T, .sum_exp_##T = sum_exp_##T, .store_exp_##T = store_exp_##T,                  \
  .softmax_##T = softmax_##T, .log_softmax_##T = log_softmax_##T, .logsumexp_##T = logsumexp_##T,  \
  .deviation_##T = deviation_##T, .balance_##T = balance_##T,                                      \
  .cross_entropy_##T = cross_entropy_##T
const ct__line_loops CT__ISA_NAME(ct__line_loops, CT__ISA) = {SET(float), SET(double)};
