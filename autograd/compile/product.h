/* product.h - matrix products as instructions: what product.c and sweep.c share. */
#ifndef COTANGENT_PRODUCT_H
#define COTANGENT_PRODUCT_H

#include "../../tensor/gemm.h"
#include "bounds.h"
#include "tile.h"

/* y = chain(alpha a b, more inputs). Inputs: a, b, then those of the chain but the product. */
typedef struct ct__product_attr {
  int n_out; /* first: see n_out of ct_op */
  int hole;  /* which input of the chain the product is */
  double alpha;
  const ct__tile *tile; /* NULL: none */
  ct__gemm_plan *plan;
  ct__bound *bound; /* of b; NULL: none */
} ct__product_attr;

typedef struct ct__product_add_attr {
  double alpha;
  ct__gemm_plan *plan;
  ct__bound *bound; /* of c, which this updates; NULL: none */
} ct__product_add_attr;

/* alpha s of its inputs a, b, c and perhaps s. */
static inline double ct__product_add_scale(const ct__product_add_attr *f, int n_in,
                                           const ct_view *const *in) {
  return n_in > 3 ? f->alpha * ct__get(in[3], 0) : f->alpha;
}

enum { CT__CHAIN_IN = 16, CT__CHAIN_OUT = 8 }; /* of a chain behind a product, at most */

extern const ct_op ct__product_op;
/* y = c + alpha s a b, in c's memory where c is not needed any more. Inputs: a, b, c, and s if
 * there is one; the attribute is alpha. */
extern const ct_op ct__product_add_op;
/* A product and an update of its matrix in one pass over it (sweep.c). */
extern const ct_op ct__sweep_op, ct__masked_sweep_op;

/* a lies like matrix b, or like its transpose. */
static inline bool ct__same_matrix(const ct_view *a, const ct_view *b, bool turned) {
  return a->dim[0] == b->dim[turned] && a->dim[1] == b->dim[!turned] &&
         a->stride[0] == b->stride[turned] && a->stride[1] == b->stride[!turned];
}

/* The chain on a block of the product, which lies in the first output's memory, where the chain
 * then writes its result. context: the const ct_eval. */
void ct__product_finish(void *context, int64_t row, int64_t rows, int64_t column, int64_t columns);

#endif
