/* walk.h - how operands are walked together. */
#ifndef COTANGENT_WALK_H
#define COTANGENT_WALK_H

#include "tensor_internal.h"

/* The shape walked and, per operand, the stride along each of its dimensions. */
typedef struct ct__walk {
  int n_op, ndim;
  int64_t dim[CT_MAX_DIMS];
  int64_t stride[CT_MAX_DIMS][CT__MAX_OPERANDS];
  char *p[CT__MAX_OPERANDS];
  size_t item[CT__MAX_OPERANDS];
} ct__walk;

/* The shortest walk over out, the last operand, and inputs that broadcast to it: the dimensions are
 * in the order of out's strides, the smallest last; neighbours that all walk as one are joined, and
 * none has an extent of 1. */
void ct__walk_set(ct__walk *w, int n_in, const ct_view *const *in, const ct_view *out);

/* ct__copy where the smallest steps of src and dst go along different dimensions (move.c);
 * false if they do not: nothing has been done then. */
bool ct__copy_turned(const ct_view *src, ct_view *dst);

#endif
