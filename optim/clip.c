/* clip.c - gradients cut by norm or by value, as compositions of public operations. */
#include "optim_internal.h"

static ct_status check_list(const char *who, ct_list grads, double limit, ct_tensor **clipped) {
  if (grads.n > 0 && !clipped) return ct__fail_status(CT_EARG, "%s: clipped is NULL", who);
  const bool was = ct__status_begin();
  ct_status status = ct__status_end(who, was, ct__check_list(who, "grads", grads));
  if (status == CT_OK && !(limit > 0))
    status = ct__fail_status(CT_EARG, "%s: want a limit above 0, got %g", who, limit);
  for (int i = 0; status == CT_OK && i < grads.n; i++)
    if (!ct_dtype_is_float(ct_dtype_of(grads.at[i])))
      status = ct__fail_status(CT_EDTYPE, "%s: gradient %d is %s, want f32 or f64", who, i,
                               ct_dtype_name(ct_dtype_of(grads.at[i])));
  for (int i = 0; status != CT_OK && i < grads.n; i++) clipped[i] = ct_nil();
  return status;
}

/* CT_OK, or everything nil and the pending error. */
static ct_status finish(const char *who, int n, ct_tensor **clipped, bool ok) {
  for (int i = 0; i < n; i++) ok = ok && !ct_is_nil(clipped[i]);
  if (ok) return CT_OK;
  for (int i = 0; i < n; i++) clipped[i] = ct_nil();
  return ct__pending(who);
}

ct_status ct_clip_grad_norm(ct_list grads, double max_norm, ct_tensor **clipped, ct_tensor **norm) {
  static const char who[] = "ct_clip_grad_norm";
  CT__COMPOSITION(who);
  if (norm) *norm = ct_nil();
  ct_status status = check_list(who, grads, max_norm, clipped);
  if (status != CT_OK) return status;
  ct_tensor *sum = ct_scalar(CT_F64, 0);
  for (int i = 0; i < grads.n; i++)
    sum = ct_add(sum, ct_sum(ct_square(ct_cast(grads.at[i], CT_F64)), CT_ALL, false));
  ct_tensor *length = ct_sqrt(sum), *one = ct_scalar(CT_F64, 1);
  ct_tensor *factor = ct_minimum(one, ct_scale(ct_reciprocal(ct_shift(length, 1e-6)), max_norm));
  for (int i = 0; i < grads.n; i++)
    clipped[i] = ct_mul(grads.at[i], ct_cast(factor, ct_dtype_of(grads.at[i])));
  if (norm) *norm = length;
  return finish(who, grads.n, clipped, !ct_is_nil(factor));
}

ct_status ct_clip_grad_value(ct_list grads, double limit, ct_tensor **clipped) {
  static const char who[] = "ct_clip_grad_value";
  CT__COMPOSITION(who);
  ct_status status = check_list(who, grads, limit, clipped);
  if (status != CT_OK) return status;
  for (int i = 0; i < grads.n; i++) clipped[i] = ct_clamp(grads.at[i], -limit, limit);
  return finish(who, grads.n, clipped, true);
}
