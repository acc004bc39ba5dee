/* bounds.h - what a program knows of the numbers of a matrix that it has captured. */
#ifndef COTANGENT_BOUNDS_H
#define COTANGENT_BOUNDS_H

#include "program.h"

/* largest: no number of that version is larger; 0 if nobody has looked, INFINITY if some are not
 * finite. Threads that run a program without updates at the same time meet the same version. */
struct ct__bound {
  ct__bound *next;
  const ct_tensor *of;
  _Atomic uint64_t version; /* of its buffer when it was met last */
  _Atomic double largest;
  bool kept; /* in this run, through the update: it holds for what that has made, too */
};

/* Whether y = a w, a being a row, is to leave out rows of w that meet a 0: there are many of them,
 * and all of w is finite. b may be NULL: nothing is known. */
bool ct__bound_leaves(ct__bound *b, const ct_view *a, const ct_view *w);
/* w += scale u v, a column times a row, has been done. */
void ct__bound_grow(ct__bound *b, double scale, const ct_view *u, const ct_view *v);
/* All updates have been made: to new versions. */
void ct__bounds_settle(const ct_program *p);

/* ---- kernels (kernels/bounds_of_type.c) ------------------------------------------------------ */

/* Of n contiguous numbers those that are 0, and the largest magnitude: that of NaN is no number. */
typedef struct ct__bound_loops {
  int64_t (*zeros)(int64_t n, const char *x);
  double (*largest)(int64_t n, const char *x);
} ct__bound_loops;
#define CT__BOUND_LOOPS_OF(isa)                                                                    \
  extern const ct__bound_loops ct__bound_loops_f32_##isa, ct__bound_loops_f64_##isa;
CT__ISA_LIST(CT__BOUND_LOOPS_OF)

#endif
