/* moments.c - the loops of moments.h. Compiled once for each instruction set; CT__ISA is its name.
 *
 * Sums run in double, in LANES of them; what is far from 0 loses no digits in x - mean x, as the
 * mean is two numbers of the type.
 */
#include "../moments.h"
#include "../../../tensor/move.h"
#include "../../../tensor/vectors.h"

/* A loop over the lanes of a group: unrolled, it would not become vectors again. */
#define EACH(i, n) NOUNROLL for (int64_t i = 0; i < (n); i++)

enum { LANES = 16, PART = 256 /* elements of a line at a time */ };

static inline double sum_of(const double *lane) {
  double half[LANES / 2], sum = 0;
  for (int i = 0; i < LANES / 2; i++) half[i] = lane[i] + lane[i + LANES / 2];
  for (int i = 0; i < LANES / 2; i++) sum += half[i];
  return sum;
}

#define T        float
#define NAMED(x) x##_float
#include "moments_of_type.h"
#undef T
#undef NAMED

#define T        double
#define NAMED(x) x##_double
#include "moments_of_type.h"
#undef T
#undef NAMED

#define LOOPS(T)                                                                                   \
  { centre_##T, layer_norm_##T, layer_norm_grad_##T, var_##T }
const ct__moment_loops CT__ISA_NAME(ct__moment_loops, CT__ISA)[2] = {LOOPS(float), LOOPS(double)};
