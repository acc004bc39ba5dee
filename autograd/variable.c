/* variable.c - the leaves of recipes: variables, placeholders; writing and detaching. */
#include "autograd_internal.h"

/* Gives dst the strides of x if x fills its memory without gaps or overlaps (a transposed matrix,
 * say): a variable keeps the layout it was made with. */
static void keep_layout(const ct_view *x, ct_view *dst) {
  int order[CT_MAX_DIMS];
  for (int i = 0; i < x->ndim; i++) {
    int j = i;
    for (; j > 0 && x->stride[order[j - 1]] < x->stride[i]; j--) order[j] = order[j - 1];
    order[j] = i;
  }
  int64_t stride = 1;
  for (int i = x->ndim - 1; i >= 0; i--) {
    int d = order[i];
    if (x->dim[d] != 1 && x->stride[d] != stride) return;
    stride *= x->dim[d];
  }
  for (int d = 0; d < x->ndim; d++)
    if (x->dim[d] != 1) dst->stride[d] = x->stride[d];
  ct__view_refresh(dst);
}

ct_tensor *ct_variable(ct_tensor *t) {
  if (ct__check_operand("ct_variable", t) != CT_OK) return ct_nil();
  ct_tensor *v = ct__tensor_alloc(t->v.dtype, t->v.ndim, t->v.dim);
  if (!v) {
    ct__out_of_memory("ct_variable");
    return ct_nil();
  }
  if (t->v.size > 0) keep_layout(&t->v, &v->v);
  ct__copy(&t->v, &v->v);
  v->flags = CT__RECORDED | CT__VARIABLE;
  return v;
}

ct_tensor *ct_placeholder(ct_dtype dtype, ct_shape shape) {
  if (ct__shape_check("ct_placeholder", dtype, shape.n, shape.dim) != CT_OK) return ct_nil();
  ct_tensor *t = ct__tensor_new(dtype, shape.n, shape.dim);
  if (t) t->flags = CT__RECORDED | CT__PLACEHOLDER;
  return ct__own(t);
}

static ct_status check_assign(const ct_tensor *variable, ct_tensor *value) {
  if (!variable || !value)
    return ct__fail_status(CT_EARG, "ct_assign: %s is NULL", variable ? "value" : "variable");
  ct_status status = ct__check_writable("ct_assign", variable);
  if (status == CT_OK)
    status = ct__building() ? ct__check_tensor("ct_assign", "value", value)
                            : ct__check_value("ct_assign", value);
  if (status != CT_OK) return status;
  if (!(variable->flags & CT__VARIABLE))
    return ct__fail_status(CT_EARG, "ct_assign: only a variable can be written");
  char want[CT__SHAPE_TEXT], got[CT__SHAPE_TEXT];
  if (variable->v.dtype != value->v.dtype || !ct__same_shape(&variable->v, &value->v))
    return ct__fail_status(variable->v.dtype != value->v.dtype ? CT_EDTYPE : CT_ESHAPE,
                           "ct_assign: want %s %s, got %s %s", ct_dtype_name(variable->v.dtype),
                           ct__shape_text(want, variable->v.ndim, variable->v.dim),
                           ct_dtype_name(value->v.dtype),
                           ct__shape_text(got, value->v.ndim, value->v.dim));
  return CT_OK;
}

ct_status ct_assign(ct_tensor *variable, ct_tensor *value) {
  ct_status status = check_assign(variable, value);
  if (status != CT_OK || variable->v.size == 0) return status;
  if (ct__building()) return ct__build_assign(variable, value);
  if (value->buffer == variable->buffer) { /* a view of the variable itself: through a copy */
    ct_tensor *copy = ct__tensor_alloc(value->v.dtype, value->v.ndim, value->v.dim);
    if (!copy) return CT_ENOMEM;
    ct__copy(&value->v, &copy->v);
    ct__copy(&copy->v, &variable->v);
    ct__unref(copy);
  } else {
    ct__copy(&value->v, &variable->v);
  }
  ct__written(variable, "ct_assign");
  return CT_OK;
}

ct_tensor *ct_detach(ct_tensor *t) {
  if (!t) return ct__nil(CT_EARG, "ct_detach: t is NULL");
  if (ct__is_nil(t)) {
    ct__pending("ct_detach");
    return t;
  }
  if (!t->buffer)
    return ct__nil(CT_ENOVALUE, "ct_detach: a symbolic tensor has no value; use ct_stop_gradient");
  return ct__own(ct__tensor_alias(t));
}

bool ct_is_recorded(const ct_tensor *t) { return t && (t->flags & CT__RECORDED); }

bool ct_is_variable(const ct_tensor *t) { return t && (t->flags & CT__VARIABLE); }
