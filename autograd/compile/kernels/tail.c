/* tail.c - the loops of tail.h. Compiled once for each instruction set; CT__ISA is its name. The
 * order of operations is the same for all. */
#include "../tail.h"
#include "../../../tensor/vectors.h"

/* Eight numbers are combined in their own type before they go to an accumulator: to convert each
 * would take longer than all the rest. They are rounded pairwise, so that it matters little. */
enum { LINE = 64, EIGHT = 8 };
#define TREE(two, x, i, step)                                                                      \
  two(two(two(x(i), x((i) + (step))), two(x((i) + 2 * (step)), x((i) + 3 * (step)))),              \
      two(two(x((i) + 4 * (step)), x((i) + 5 * (step))),                                           \
          two(x((i) + 6 * (step)), x((i) + 7 * (step)))))

/* ---- of doubles, the accumulators ------------------------------------------------------------ */

#define EITHER(condition, x, a) ((condition) ? (x) : (a))
#define FOLD(name, combined, identity_of)                                                          \
  static inline double name(double a, double x) { return combined; }                               \
  static const double name##_identity = identity_of;
CT__FOLD_LIST(FOLD)
#undef FOLD
#undef EITHER

#define T           float
#define U           int32_t
#define NAMED(name) name##_f32
#include "tail_of_type.h"
#undef T
#undef U
#undef NAMED

#define T           double
#define U           int64_t
#define NAMED(name) name##_f64
#include "tail_of_type.h"

#define ROW(name, ...) {name##_lines_f32, name##_lines_f64, name##_columns_f32, name##_columns_f64},
const ct__tail_loops CT__ISA_NAME(ct__tail_loops, CT__ISA)[CT__FOLDS] = {CT__FOLD_LIST(ROW)};
