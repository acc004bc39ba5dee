/* functional.c - a module as a function of its parameters. */
#include "nn_internal.h"

/* One tensor for each parameter, in its shape and dtype. */
static ct_status check_tensors(ct_list params, ct_list tensors) {
  static const char who[] = "ct_forward_with";
  if (tensors.n != params.n || (tensors.n > 0 && !tensors.at))
    return ct__fail_status(CT_EARG, "%s: want %d tensors, one for each parameter, got %d", who,
                           params.n, tensors.n);
  for (int i = 0; i < params.n; i++) {
    const ct_tensor *t = tensors.at[i], *p = params.at[i];
    if (!t) return ct__fail_status(CT_EARG, "%s: tensors[%d] is NULL", who, i);
    if (ct__is_nil(t) || ct__is_nil(p)) return ct__pending(who);
    char want[CT__SHAPE_TEXT], got[CT__SHAPE_TEXT];
    if (t->v.dtype != p->v.dtype || !ct__same_shape(&t->v, &p->v))
      return ct__fail_status(t->v.dtype != p->v.dtype ? CT_EDTYPE : CT_ESHAPE,
                             "%s: want tensors[%d] as %s %s, got %s %s", who, i,
                             ct_dtype_name(p->v.dtype), ct__shape_text(want, p->v.ndim, p->v.dim),
                             ct_dtype_name(t->v.dtype), ct__shape_text(got, t->v.ndim, t->v.dim));
  }
  return CT_OK;
}

/* first and the list, as one list in the block. */
static ct_list joined(ct_tensor **block, ct_tensor *first, ct_list rest) {
  block[0] = first;
  for (int i = 0; i < rest.n; i++) block[i + 1] = rest.at[i];
  return (ct_list){rest.n + 1, block};
}

/* The module's recipe for an input like x, as a function of the input and the parameters: it is cut
 * there, wherever a layer keeps them. */
static ct_function *recipe_of(ct_module *m, const ct_tensor *x, ct_list params, ct_tensor **block) {
  ct_function *f = NULL;
  ct_scope scope = ct_scope_begin();
  if (scope.depth < 0) return NULL;
  ct__set_recording(true); /* until the scope ends */
  ct_tensor *input = ct_placeholder(x->v.dtype, ct_shape_of(x)), *y = ct_forward(m, input);
  if (!ct_is_nil(y)) f = ct_function_new(joined(block, input, params), CT_LIST(y));
  ct_scope_end(scope);
  return f;
}

ct_tensor *ct_forward_with(ct_module *m, ct_list tensors, ct_tensor *x) {
  if (!m || !x) return ct__nil(CT_EARG, "ct_forward_with: %s is NULL", m ? "x" : "m");
  if (ct__is_nil(x)) {
    ct__pending("ct_forward_with");
    return x;
  }
  ct_list params = ct_module_params(m);
  if (check_tensors(params, tensors) != CT_OK) return ct_nil();
  size_t bytes = (size_t)(params.n + 1) * sizeof(ct_tensor *);
  ct_tensor **block = ct__alloc(bytes), *y = ct_nil();
  if (!block) return y;
  ct_function *f = recipe_of(m, x, params, block);
  if (f) ct_inline_function(f, joined(block, x, tensors), &y);
  ct_function_release(&f);
  ct__free(block, bytes);
  return y;
}
