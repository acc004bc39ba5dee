/* derive.c - derivatives made of derivatives: Jacobians, Hessians, products with them, linear maps.
 */
#include "autograd_internal.h"

/* ---- Jacobians ------------------------------------------------------------------------------- */

static ct_shape joined(ct_shape a, ct_shape b) {
  ct_shape s = {.n = a.n + b.n};
  for (int i = 0; i < s.n && i < CT_MAX_DIMS; i++) s.dim[i] = i < a.n ? a.dim[i] : b.dim[i - a.n];
  return s;
}

/* All unit tensors of t's shape, along a new first axis. */
static ct_tensor *basis(const ct_tensor *t) {
  return ct_reshape(ct_eye(t->v.dtype, t->v.size, t->v.size),
                    joined((ct_shape){1, {t->v.size}}, ct__shape_of_view(&t->v)));
}

/* One symbolic pullback, mapped over all cotangents: (y.size, x...). */
static ct_tensor *pull_all(ct_tensor *y, ct_tensor *x) {
  ct_tensor *gy = ct_placeholder(y->v.dtype, ct__shape_of_view(&y->v)), *out;
  ct_tensor *gx = ct_vjp(y, x, gy);
  ct_vmap(CT_LIST(gx), CT_LIST(gy), CT_LIST(basis(y)), (ct_vmap_opts){0}, &out);
  return out;
}

/* One symbolic pushforward, mapped over all tangents: (y..., x.size). */
static ct_tensor *push_all(ct_tensor *y, ct_tensor *x) {
  ct_tensor *dx = ct_placeholder(x->v.dtype, ct__shape_of_view(&x->v)), *out;
  ct_tensor *dy = ct_jvp(y, x, dx);
  const int last = -1;
  ct_vmap(CT_LIST(dy), CT_LIST(dx), CT_LIST(basis(x)), (ct_vmap_opts){.out_axes = &last}, &out);
  return out;
}

ct_tensor *ct_jacobian(ct_tensor *y, ct_tensor *x, ct_jacobian_mode mode) {
  if (ct__check_tensor("ct_jacobian", "y", y) != CT_OK ||
      ct__check_tensor("ct_jacobian", "x", x) != CT_OK)
    return ct_nil();
  if (mode < CT_JACOBIAN_AUTO || mode > CT_JACOBIAN_FORWARD)
    return ct__nil(CT_EARG, "ct_jacobian: unknown mode %d", (int)mode);
  if (y->v.ndim + x->v.ndim > CT_MAX_DIMS)
    return ct__nil(CT_ESHAPE, "ct_jacobian: y and x have %d dimensions together, at most %d fit",
                   y->v.ndim + x->v.ndim, CT_MAX_DIMS);
  bool reverse =
      mode == CT_JACOBIAN_REVERSE || (mode == CT_JACOBIAN_AUTO && y->v.size <= x->v.size);
  ct_scope scope = ct_scope_begin();
  ct_tensor *j = reverse ? pull_all(y, x) : push_all(y, x);
  if (!ct__is_nil(j)) j = ct_reshape(j, joined(ct__shape_of_view(&y->v), ct__shape_of_view(&x->v)));
  return ct_scope_return(scope, j);
}

/* The gradient's tangents, mapped over all tangents of x. Its cotangent is one that has no value
 * before the map: so nothing of the gradient is computed but what the tangents need, and that once.
 */
static ct_tensor *push_gradient(ct_tensor *loss, ct_tensor *x) {
  ct_shape shape = ct__shape_of_view(&loss->v);
  ct_tensor *gy = ct_placeholder(loss->v.dtype, shape), *one = ct_ones(loss->v.dtype, shape);
  ct_tensor *dx = ct_placeholder(x->v.dtype, ct__shape_of_view(&x->v)), *out;
  bool was = ct__set_recording(true);
  ct_tensor *dg = ct_jvp(ct_vjp(loss, x, gy), x, dx);
  ct__set_recording(was);
  const int in[] = {0, CT_NOT_BATCHED}, last = -1;
  ct_vmap(CT_LIST(dg), CT_LIST(dx, gy), CT_LIST(basis(x), one),
          (ct_vmap_opts){.in_axes = in, .out_axes = &last}, &out);
  return out;
}

ct_tensor *ct_hessian(ct_tensor *loss, ct_tensor *x) {
  char text[CT__SHAPE_TEXT];
  if (ct__check_tensor("ct_hessian", "loss", loss) != CT_OK ||
      ct__check_tensor("ct_hessian", "x", x) != CT_OK)
    return ct_nil();
  if (loss->v.size != 1)
    return ct__nil(CT_ESHAPE, "ct_hessian: want a loss with one element, got %s",
                   ct__shape_text(text, loss->v.ndim, loss->v.dim));
  if (2 * x->v.ndim > CT_MAX_DIMS)
    return ct__nil(CT_ESHAPE, "ct_hessian: x has %d dimensions, at most %d fit twice", x->v.ndim,
                   CT_MAX_DIMS / 2);
  ct_scope scope = ct_scope_begin();
  ct_tensor *h = push_gradient(loss, x);
  ct_shape shape = ct__shape_of_view(&x->v);
  if (!ct__is_nil(h)) h = ct_reshape(h, joined(shape, shape));
  return ct_scope_return(scope, h);
}

/* ---- products -------------------------------------------------------------------------------- */

ct_status ct__scope_return_all(ct_scope scope, ct_status status, int n, ct_tensor **t) {
  for (int i = 0; i < n && status == CT_OK; i++) ct__ref(t[i]);
  ct_status end = ct_scope_end(scope);
  for (int i = 0; i < n; i++) {
    bool scoped = status == CT_OK && (end != CT_OK || t[i]->flags & CT__SCOPED);
    if (scoped)
      ct__unref(t[i]); /* an outer scope has it */
    else if (status == CT_OK)
      ct__own(t[i]);
    if (status != CT_OK || end != CT_OK) t[i] = ct_nil();
  }
  return status == CT_OK ? end : status;
}

/* The tangent of the gradient: the gradient too is computed, and both are recipes. */
static ct_status product(ct_tensor *loss, ct_list x, ct_list v, ct_tensor **hv) {
  size_t bytes = (size_t)x.n * sizeof(ct_tensor *);
  ct_tensor **g = ct__alloc(bytes);
  ct_status status = g ? ct_grad(loss, x, g) : CT_ENOMEM;
  if (status == CT_OK) status = ct_jvp_all((ct_list){x.n, g}, x, v, hv);
  ct__free(g, bytes);
  return status;
}

/* The numbers alone: with a cotangent of the loss that has no value yet nothing of the gradient is
 * computed but what the product needs. */
static ct_status product_value(ct_tensor *loss, ct_list x, ct_list v, ct_tensor **hv) {
  ct_shape shape = ct__shape_of_view(&loss->v);
  ct_tensor *gy = ct_placeholder(loss->v.dtype, shape), *one = ct_ones(loss->v.dtype, shape);
  size_t bytes = 2 * (size_t)x.n * sizeof(ct_tensor *);
  ct_tensor **g = ct__alloc(bytes), **h = g + x.n;
  bool was = ct__set_recording(true);
  ct_status status = g ? ct_vjp_all(CT_LIST(loss), CT_LIST(gy), x, g) : CT_ENOMEM;
  if (status == CT_OK) status = ct_jvp_all((ct_list){x.n, g}, x, v, h);
  ct__set_recording(was);
  if (status == CT_OK) {
    ct_function *f = ct__function_frozen(CT_LIST(gy), (ct_list){x.n, h});
    status = f ? ct_function_run(f, CT_LIST(one), hv) : ct__pending("ct_hvp");
    ct_function_release(&f);
  }
  ct__free(g, bytes);
  return status;
}

/* Inputs: the loss, x, v. */
static void product_again(const ct_call *c, ct_tensor **hv) {
  ct_list x = {c->n_out, c->in + 1}, v = {c->n_out, c->in + 1 + c->n_out};
  if (product(c->in[0], x, v, hv) == CT_OK) return;
  for (int o = 0; o < c->n_out; o++) hv[o] = ct_nil();
}

static const ct_op hvp_op = {CT_OP,
                             .name = "hvp",
                             .doc = "hv = H v, computed; its recipe is made on demand",
                             .n_in = CT_VARIADIC,
                             .n_out = CT_VARIADIC,
                             .flags = CT__TRANSFORM,
                             .attr_size = sizeof(int),
                             .fallback = product_again};

static ct_status attach_product(ct_tensor *loss, ct_list x, ct_list v, ct_tensor **hv) {
  size_t bytes = (size_t)(1 + 2 * x.n) * sizeof(ct_tensor *);
  ct_tensor **in = ct__alloc(bytes);
  if (!in) return CT_ENOMEM;
  in[0] = loss;
  for (int i = 0; i < x.n; i++) {
    in[1 + i] = x.at[i];
    in[1 + x.n + i] = v.at[i] ? v.at[i] : ct__zeros_like(x.at[i]);
  }
  ct_status status = ct__attach(&hvp_op, &x.n, (ct_list){1 + 2 * x.n, in}, x.n, hv);
  ct__free(in, bytes);
  return status;
}

static ct_status hessian_product(ct_tensor *loss, ct_list x, ct_list v, ct_tensor **hv) {
  ct_status status = ct__check_tensor("ct_hvp", "loss", loss);
  if (status == CT_OK) status = ct__check_list("ct_hvp", "x", x);
  if (status == CT_OK && !hv) status = ct__fail(CT_EARG, "ct_hvp: there is no room for results");
  if (status != CT_OK) return status;
  ct_scope scope = ct_scope_begin();
  bool eager = loss->buffer && loss->v.size == 1 && v.n == x.n && v.at && x.n > 0 &&
               ct__all_valued(x) && ct__all_valued(v);
  status = eager ? product_value(loss, x, v, hv) : product(loss, x, v, hv);
  if (status == CT_OK && eager && ct__recording()) status = attach_product(loss, x, v, hv);
  for (int i = 0; status == CT_OK && !ct__recording() && i < x.n; i++) hv[i]->flags |= CT__CUT;
  return ct__scope_return_all(scope, status, x.n, hv);
}

ct_status ct_hvp(ct_tensor *loss, ct_list x, ct_list v, ct_tensor **hv) {
  bool was = ct__status_begin();
  return ct__status_end("ct_hvp", was, hessian_product(loss, x, v, hv));
}

static ct_status gauss_newton_product(ct_tensor *loss, ct_tensor *y, ct_list x, ct_list v,
                                      ct_tensor **gv) {
  ct_status status = ct__check_tensor("ct_ggn_vp", "loss", loss);
  if (status == CT_OK) status = ct__check_tensor("ct_ggn_vp", "y", y);
  if (status == CT_OK) status = ct__check_list("ct_ggn_vp", "x", x);
  if (status == CT_OK && !gv) status = ct__fail(CT_EARG, "ct_ggn_vp: there is no room for results");
  if (status != CT_OK) return status;
  ct_scope scope = ct_scope_begin();
  ct_tensor *dy, *h;
  status = ct_jvp_all(CT_LIST(y), x, v, &dy);
  if (status == CT_OK) status = ct_hvp(loss, CT_LIST(y), CT_LIST(dy), &h);
  if (status == CT_OK) status = ct_vjp_all(CT_LIST(y), CT_LIST(h), x, gv);
  return ct__scope_return_all(scope, status, x.n, gv);
}

ct_status ct_ggn_vp(ct_tensor *loss, ct_tensor *y, ct_list x, ct_list v, ct_tensor **gv) {
  bool was = ct__status_begin();
  return ct__status_end("ct_ggn_vp", was, gauss_newton_product(loss, y, x, v, gv));
}

ct_tensor *ct_directional(ct_tensor *y, ct_tensor *x, ct_tensor *v, int k) {
  if (k < 0) return ct__nil(CT_EARG, "ct_directional: want k >= 0, got %d", k);
  if (ct__check_tensor("ct_directional", "y", y) != CT_OK ||
      ct__check_tensor("ct_directional", "x", x) != CT_OK ||
      ct__check_tensor("ct_directional", "v", v) != CT_OK)
    return ct_nil();
  ct_scope scope = ct_scope_begin();
  if (k == 0) y = ct_reshape(y, ct__shape_of_view(&y->v));
  for (int i = 0; i < k; i++) y = ct_jvp(y, x, v);
  return ct_scope_return(scope, y);
}

/* ---- linear maps ----------------------------------------------------------------------------- */

bool ct__placeholders(ct_list like, ct_tensor **out) {
  for (int i = 0; i < like.n; i++) {
    out[i] = ct_placeholder(like.at[i]->v.dtype, ct__shape_of_view(&like.at[i]->v));
    if (ct__is_nil(out[i])) return false;
  }
  return true;
}

ct_function *ct_linearize(ct_list y, ct_list x) {
  if (ct__check_list("ct_linearize", "y", y) != CT_OK ||
      ct__check_list("ct_linearize", "x", x) != CT_OK)
    return NULL;
  for (int i = 0; i < y.n; i++)
    if (ct__check_value("ct_linearize", y.at[i]) != CT_OK) return NULL;
  ct_function *f = NULL;
  ct_scope scope = ct_scope_begin();
  size_t bytes = (size_t)(x.n + y.n) * sizeof(ct_tensor *);
  ct_tensor **dx = ct__alloc(bytes), **dy = dx + x.n;
  if (dx && ct__placeholders(x, dx) && ct_jvp_all(y, x, (ct_list){x.n, dx}, dy) == CT_OK)
    f = ct__function_frozen((ct_list){x.n, dx}, (ct_list){y.n, dy});
  ct__free(dx, bytes);
  ct_scope_end(scope);
  return f;
}

ct_function *ct_transpose_linear(ct_function *f) {
  if (!f) {
    ct__fail(CT_EARG, "ct_transpose_linear: the function is NULL");
    return NULL;
  }
  ct_function *transposed = NULL;
  ct_scope scope = ct_scope_begin();
  int n_in = ct__function_inputs(f).n, n_out = ct__function_outputs(f);
  size_t bytes = (size_t)(2 * n_in + 2 * n_out) * sizeof(ct_tensor *);
  ct_tensor **x = ct__alloc(bytes), **y = x + n_in, **gy = y + n_out, **gx = gy + n_out;
  ct_list xs = {n_in, x}, ys = {n_out, y}, gys = {n_out, gy};
  if (x && ct__placeholders(ct__function_inputs(f), x) && ct_call_function(f, xs, y) == CT_OK &&
      ct__placeholders(ys, gy) && ct_vjp_all(ys, gys, xs, gx) == CT_OK)
    transposed = ct__function_frozen(gys, (ct_list){n_in, gx});
  ct__free(x, bytes);
  ct_scope_end(scope);
  return transposed;
}
