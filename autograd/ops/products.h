/* products.h - weighted sums of elementwise products, several at once: one operation. */
#ifndef COTANGENT_PRODUCTS_H
#define COTANGENT_PRODUCTS_H

#include "../autograd_internal.h"

/* y[sum] += weight * a * b, where a and b are inputs 2t and 2t + 1 of term t. */
typedef struct ct__sum_term {
  double weight;
  int64_t sum;
} ct__sum_term;

extern const ct_op ct__products_op;
/* The terms of a call of that operation. */
const ct__sum_term *ct__products_of(const ct_call *c, int *n);

/* Sums on the way to such a call. */
typedef struct ct__sums {
  int n, n_out; /* terms so far; sums */
  int *place;   /* of each sum among those that have a term, -1: none */
  ct__sum_term *term;
  ct_tensor **in, **y;
  size_t bytes;
} ct__sums;

/* Room for so many sums and terms. */
ct_status ct__sums_begin(ct__sums *s, int n_out, int64_t terms);
void ct__sums_add(ct__sums *s, int sum, double weight, ct_tensor *a, ct_tensor *b);
/* Applies the operation, unless status is an error already; y[o] is NULL for a sum without terms.
 */
ct_status ct__sums_end(ct__sums *s, ct_status status, ct_tensor **y);

/* Loops over (y, a, b) and y again: y += weight a b; attr is the weight (kernels/products.c). */
typedef struct ct__products_loops {
  ct_loop *f32, *f64;
} ct__products_loops;
#define CT__PRODUCTS_LOOPS_OF(isa) extern const ct__products_loops ct__products_loops_##isa;
CT__ISA_LIST(CT__PRODUCTS_LOOPS_OF)

#endif
