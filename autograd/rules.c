/* rules.c - from a record to the derivative of one call: the derivation order of the design. */
#include "autograd_internal.h"

/* ---- VJP ------------------------------------------------------------------------------------- */

void ct__vjp_rule(ct__node *n, ct_tensor *const *gy, ct_tensor **gx) {
  const ct_call *c = &n->call;
  if (c->op->vjp) {
    c->op->vjp(c, gy, gx);
    return;
  }
  for (int i = 0; i < c->n_in; i++)
    if (n->want[i]) gx[i] = ct__times_partial(c, i, gy[0]);
}

ct_tensor *ct__sum_to(ct_tensor *g, const ct_view *like) {
  if (ct__same_shape(&g->v, like)) return g;
  ct_axes axes = {0};
  int lead = g->v.ndim - like->ndim;
  bool fits = lead >= 0, repeated = false;
  for (int d = 0; fits && d < g->v.ndim; d++) {
    int64_t want = d < lead ? 1 : like->dim[d - lead];
    if (g->v.dim[d] == want && d >= lead) continue;
    if (want != 1)
      fits = false;
    else {
      axes.at[axes.n++] = d;
      repeated |= g->v.dim[d] != 1;
    }
  }
  /* A rule may also return what broadcasts to the input: a constant, say. */
  if (!fits) return ct_broadcast_to(g, ct__shape_of_view(like));
  if (!repeated) return ct_reshape(g, ct__shape_of_view(like));
  ct_tensor *sum = ct_sum(g, axes, true);
  return lead > 0 ? ct_reshape(sum, ct__shape_of_view(like)) : sum;
}

/* ---- JVP ------------------------------------------------------------------------------------- */

static ct_tensor *plus(ct_tensor *sum, ct_tensor *t) { return sum ? ct_add(sum, t) : t; }

/* The operation on the tangent, the other inputs held. */
static ct_tensor *linear_jvp(const ct_call *c, int i, ct_tensor *dx) {
  ct_tensor *few[8], **in = few;
  if (c->n_in > 8) in = ct__alloc((size_t)c->n_in * sizeof *in);
  if (!in) return ct_nil();
  memcpy(in, c->in, (size_t)c->n_in * sizeof *in);
  in[i] = dx;
  ct_tensor *dy = ct__apply1(c->op, c->attr, c->n_in, in);
  if (in != few) ct__free(in, (size_t)c->n_in * sizeof *in);
  return dy;
}

void ct__jvp_rule(ct__node *n, ct_tensor *const *dx, ct_tensor **dy) {
  const ct_call *c = &n->call;
  if (c->op->jvp) {
    c->op->jvp(c, dx, dy);
    return;
  }
  for (int i = 0; i < c->n_in; i++) {
    if (!dx[i]) continue;
    bool linear = !c->op->partial;
    if (linear && !(c->op->linear >> i & 1)) {
      dy[0] = ct__nil(CT_ENORULE, "no jvp for '%s' (input %d)", c->op->name, i);
      return;
    }
    dy[0] = plus(dy[0], linear ? linear_jvp(c, i, dx[i]) : ct__times_partial(c, i, dx[i]));
  }
}

void ct__pass_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  for (int i = 0; i < c->n_in; i++) gx[i] = gy[0];
}

void ct__pass_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  (void)c;
  dy[0] = dx[0];
}

void ct__jvp_joint(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  ct_tensor *few[8], **in = few;
  if (c->n_in > 8) in = ct__alloc((size_t)c->n_in * sizeof *in);
  if (!in) {
    dy[0] = ct_nil();
    return;
  }
  for (int i = 0; i < c->n_in; i++) {
    bool constant = !ct_dtype_is_float(c->in[i]->v.dtype);
    in[i] = dx[i] ? dx[i] : constant ? c->in[i] : ct__zeros_like(c->in[i]);
  }
  dy[0] = ct__apply1(c->op, c->attr, c->n_in, in);
  if (in != few) ct__free(in, (size_t)c->n_in * sizeof *in);
}
