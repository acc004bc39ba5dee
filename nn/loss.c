/* loss.c - losses, as compositions of public operations. */
#include "nn_internal.h"

/* Only equal shapes: (n, 1) against (n) would broadcast to (n, n) and train nonsense. */
static bool comparable(const char *who, const char *name, const ct_tensor *y,
                       const ct_tensor *target) {
  if (ct__check_tensor(who, name, y) != CT_OK || ct__check_tensor(who, "target", target) != CT_OK)
    return false;
  if (ct__same_spec(y, target)) return true;
  char a[CT__SHAPE_TEXT], b[CT__SHAPE_TEXT];
  ct__fail(y->v.dtype != target->v.dtype ? CT_EDTYPE : CT_ESHAPE,
           "%s: want equal shapes and dtypes, got %s %s and %s %s", who, ct_dtype_name(y->v.dtype),
           ct__shape_text(a, y->v.ndim, y->v.dim), ct_dtype_name(target->v.dtype),
           ct__shape_text(b, target->v.ndim, target->v.dim));
  return false;
}

static ct_tensor *reduced(const char *who, ct_tensor *each, ct_reduction r) {
  switch (r) {
  case CT_MEAN: return ct_mean(each, CT_ALL, false);
  case CT_SUM: return ct_sum(each, CT_ALL, false);
  case CT_EACH: return each;
  }
  return ct__nil(CT_EARG, "%s: unknown reduction %d", who, (int)r);
}

ct_tensor *ct_mse(ct_tensor *y, ct_tensor *target, ct_reduction r) {
  CT__COMPOSITION("mse");
  if (!comparable("mse", "y", y, target)) return ct_nil();
  return reduced("mse", ct_square(ct_sub(y, target)), r);
}

ct_tensor *ct_l1(ct_tensor *y, ct_tensor *target, ct_reduction r) {
  CT__COMPOSITION("l1");
  if (!comparable("l1", "y", y, target)) return ct_nil();
  return reduced("l1", ct_abs(ct_sub(y, target)), r);
}

/* -log s(x) = softplus(-x). A weight of exactly 0 silences an infinite term. */
ct_tensor *ct_bce_with_logits(ct_tensor *x, ct_tensor *target, ct_reduction r) {
  CT__COMPOSITION("bce_with_logits");
  if (!comparable("bce_with_logits", "x", x, target)) return ct_nil();
  ct_tensor *is = ct_mul0(target, ct_softplus(ct_neg(x)));
  ct_tensor *is_not = ct_mul0(ct_shift(ct_neg(target), 1), ct_softplus(x));
  return reduced("bce_with_logits", ct_add(is, is_not), r);
}
