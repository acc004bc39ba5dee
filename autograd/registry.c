/* registry.c - all primitives of the library, family by family. */
#include "autograd_internal.h"

static const ct_op *const *const families[] = {
    ct__unary_ops,         ct__binary_ops, ct__misc_ops,     ct__reduce_ops,   ct__sort_ops,
    ct__shape_ops,         ct__window_ops, ct__index_ops,    ct__position_ops, ct__cumulative_ops,
    ct__matmul_ops,        ct__conv_ops,   ct__pool_ops,     ct__softmax_ops,  ct__moment_ops,
    ct__cross_entropy_ops, ct__random_ops, ct__products_ops, ct__function_ops, ct__custom_ops,
    ct__hook_ops,
};

int ct_op_count(void) {
  int n = 0;
  for (int f = 0; f < CT__COUNT(families); f++)
    for (const ct_op *const *op = families[f]; *op; op++) n++;
  return n;
}

const ct_op *ct_op_at(int i) {
  for (int f = 0; f < CT__COUNT(families); f++)
    for (const ct_op *const *op = families[f]; *op; op++)
      if (i-- == 0) return *op;
  return NULL;
}
