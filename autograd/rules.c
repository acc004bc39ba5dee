/* rules.c - from a record to the derivative of one call: the derivation order of the design. */
#include "autograd_internal.h"

/* ---- elementwise: one partial derivative, both modes ----------------------------------------- */

/* With nothing to record the product t * dy/dx_i is one loop, else a composition of operations that
 * can be differentiated again; both give the same bits. */
static bool fusible(const ct_call *c, int i, const ct_tensor *t) {
  const ct_tensor *last = c->in[c->n_in - 1];
  if (ct__recording() || !c->op->kernel || i > 1 || !t->buffer) return false;
  if (c->n_in + 3 > CT__MAX_OPERANDS || !c->op->kernel->partial[i][last->v.dtype]) return false;
  for (int k = 0; k < c->n_in; k++)
    if (!c->in[k]->buffer) return false;
  return true;
}

static ct_tensor *fused_partial(const ct_call *c, int i, const ct_tensor *t, const ct_tensor *y) {
  ct_tensor *out = ct__tensor_alloc(y->v.dtype, y->v.ndim, y->v.dim);
  if (!out) return ct_nil();
  const ct_view *in[CT__MAX_OPERANDS];
  in[0] = &t->v;
  for (int k = 0; k < c->n_in; k++) in[1 + k] = &c->in[k]->v;
  in[1 + c->n_in] = &y->v;
  ct_map(c->n_in + 2, in, &out->v, c->op->kernel->partial[i][c->in[c->n_in - 1]->v.dtype], c->attr);
  return ct__own(out);
}

/* t * dy/dx_i, 0 where t is 0. */
static ct_tensor *times_partial(const ct_call *c, int i, ct_tensor *t) {
  ct_tensor *y = ct_out(c, 0);
  if (ct__is_nil(y)) return y;
  return fusible(c, i, t) ? fused_partial(c, i, t, y) : ct_mul0(t, c->op->partial(c, i));
}

/* ---- VJP ------------------------------------------------------------------------------------- */

void ct__vjp_rule(ct__node *n, ct_tensor *const *gy, ct_tensor **gx) {
  const ct_call *c = &n->call;
  if (c->op->vjp) {
    c->op->vjp(c, gy, gx);
    return;
  }
  for (int i = 0; i < c->n_in; i++)
    if (n->want[i]) gx[i] = times_partial(c, i, gy[0]);
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
    dy[0] = plus(dy[0], linear ? linear_jvp(c, i, dx[i]) : times_partial(c, i, dx[i]));
  }
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
