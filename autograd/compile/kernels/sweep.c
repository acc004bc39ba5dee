/* sweep.c - the kernels of sweep.h. Compiled once for each instruction set; CT__ISA is its name.
 * The compiler may contract a product and a sum here: there is one way to do it.
 */
#include "../sweep.h"
#include "../../../tensor/vectors.h"

/* Rows that share what is read of a vector, sums of each that do not wait for each other, and rows
 * that are listed at a time. Lines of far memory come and go faster in halves. */
enum { ROWS = 4, SUMS = 2, AT_A_TIME = 64, LINE_BYTES = VECTOR_BYTES < 32 ? VECTOR_BYTES : 32 };

#define all_finite NAMED(all_finite)
#define list_rows  NAMED(list_rows)
#define sweep_rows NAMED(sweep_rows)
#define sweep      NAMED(sweep)

#define T           float
#define NAMED(name) name##_f32
#include "sweep_of_type.h"
#undef T
#undef NAMED

#define T           double
#define NAMED(name) name##_f64
#include "sweep_of_type.h"

const ct__sweep_set CT__ISA_NAME(ct__sweep, CT__ISA) = {{sweep_f32, sweep_f64}};
