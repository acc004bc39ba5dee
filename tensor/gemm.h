/* gemm.h - matrix products. */
#ifndef COTANGENT_GEMM_H
#define COTANGENT_GEMM_H

#include "tensor.h"

/* C = alpha A B + beta C for matrices of any stride (f32 or f64, checked by the caller: (m,k) (k,n)
 * (m,n)). C is not read when beta is 0. CT_ENOMEM if a packed copy is needed and there is no memory
 * for it; C is as it was then. */
ct_status ct__gemm(double alpha, const ct_view *a, const ct_view *b, double beta, ct_view *c);

/* Called when a block of C is done, while it is in cache: rows [row, row + rows), columns [column,
 * column + columns). The blocks partition C and depend on the shape only. May be called from
 * several threads at once. */
typedef void ct__gemm_done(void *context, int64_t row, int64_t rows, int64_t column,
                           int64_t columns);
/* The same product, to the bit, with done (if not NULL) called for each block of C. whole_rows:
 * every block spans all columns. After CT_ENOMEM no block was done. */
ct_status ct__gemm_then(double alpha, const ct_view *a, const ct_view *b, double beta, ct_view *c,
                        bool whole_rows, ct__gemm_done *done, void *context);

#endif
