/* outer.c - outer products. Compiled once for each instruction set; CT__ISA is its name. */
#include "../tensor_internal.h"

/* C = alpha a b^T + beta C, rows of C contiguous: one write of C, where ger would read it too. */
#define OUTER(name, T)                                                                             \
  static void name(T alpha, const ct_view *a, const ct_view *b, T beta, const ct_view *c) {        \
    const T *pa = (const T *)(const void *)a->data, *pb = (const T *)(const void *)b->data;        \
    for (int64_t i = 0; i < c->dim[0]; i++) {                                                      \
      T scale = alpha * pa[i * a->stride[0]], *row = (T *)(void *)c->data + i * c->stride[0];      \
      int64_t step = b->stride[1];                                                                 \
      if (beta != 0)                                                                               \
        for (int64_t j = 0; j < c->dim[1]; j++) row[j] = scale * pb[j * step] + beta * row[j];     \
      else if (step == 1)                                                                          \
        for (int64_t j = 0; j < c->dim[1]; j++) row[j] = scale * pb[j];                            \
      else                                                                                         \
        for (int64_t j = 0; j < c->dim[1]; j++) row[j] = scale * pb[j * step];                     \
    }                                                                                              \
  }
OUTER(outer_f32, float)
OUTER(outer_f64, double)

const ct__outer CT__ISA_NAME(ct__outer, CT__ISA) = {outer_f32, outer_f64};
