/* partial.c - t * dy/dx_i of an elementwise call as one operation.
 *
 * A row of unary.def or binary.def writes dy/dx once and has it expanded twice: as a loop and as a
 * composition of public operations, with the same bits unless the loop is closer or shorter than
 * what can be composed (TANH_SLOPE, PHI, GAUSS, GELU_GATE). This operation is the loop; the
 * composition is its fallback, recorded when somebody differentiates it. So first derivatives are
 * one pass, eager and in programs, and every order still works.
 */
#include "autograd_internal.h"

/* Inputs: of t, the inputs of the call and its output y those that the loop reads. */
typedef struct partial_of {
  const ct_op *op;
  void *attr; /* of the call */
  int n;      /* operands of the loop */
  int i;
} partial_of;

static bool reads(const partial_of *p, int k) {
  unsigned mask = p->op->kernel->reads[p->i];
  return mask == 0 || mask >> k & 1;
}

static ct_status partial_copy(void *to, const void *from) {
  const partial_of *p = from;
  partial_of *q = to;
  *q = *p;
  if (p->op->attr_size == 0) return CT_OK;
  q->attr = ct__alloc(p->op->attr_size);
  if (!q->attr) return CT_ENOMEM;
  ct_status status = CT_OK;
  if (p->op->attr_copy)
    status = p->op->attr_copy(q->attr, p->attr);
  else
    memcpy(q->attr, p->attr, p->op->attr_size);
  if (status != CT_OK) ct__free(q->attr, p->op->attr_size);
  return status;
}

static void partial_release(void *attr) {
  partial_of *p = attr;
  if (p->op->attr_size == 0) return;
  if (p->op->attr_release) p->op->attr_release(p->attr);
  ct__free(p->attr, p->op->attr_size);
}

static bool partial_equal(const void *a, const void *b) {
  const partial_of *p = a, *q = b;
  return p->op == q->op && p->i == q->i && ct__attr_equal(p->op, p->attr, q->attr);
}

static ct_loop *loop_of(const partial_of *p, ct_dtype dtype) {
  return p->op->kernel->partial[p->i][dtype];
}

/* t stands in for what the loop does not read. */
static ct_status partial_eval(const ct_eval *e) {
  const partial_of *p = e->attr;
  const ct_view *in[CT__MAX_OPERANDS];
  for (int k = 0, at = 0; k < p->n; k++) in[k] = reads(p, k) ? e->in[at++] : e->in[0];
  ct_map(p->n, in, e->out[0], loop_of(p, e->out[0]->dtype), p->attr);
  return CT_OK;
}

/* The record's composition wants a call that it belongs to: one is made for the time it runs. */
static void partial_fallback(const ct_call *c, ct_tensor **out) {
  const partial_of *p = c->attr;
  ct_tensor *of[CT__MAX_OPERANDS];
  for (int k = 0, at = 0; k < p->n; k++) of[k] = reads(p, k) ? c->in[at++] : c->in[0];
  ct__node *n = ct__node_new(p->op, p->attr, p->n - 2, of + 1, 1);
  if (!n) return;
  n->recipe.out[0] = of[p->n - 1];
  out[0] = ct_mul0(c->in[0], p->op->partial(&n->call, p->i));
  n->recipe.out[0] = NULL;
  ct__node_free(n);
}

static const ct_op partial_op = {CT_OP,
                                 .name = "partial",
                                 .doc = "y = t df/dx_i of an elementwise f, 0 where t is 0",
                                 .n_in = CT_VARIADIC,
                                 .flags = CT_ELEMENTWISE,
                                 .inplace = 15,
                                 .attr_size = sizeof(partial_of),
                                 .attr_equal = partial_equal,
                                 .attr_copy = partial_copy,
                                 .attr_release = partial_release,
                                 .infer = ct_infer_same,
                                 .eval = partial_eval,
                                 .fallback = partial_fallback};

const ct_op *ct__partial_of(const ct_op *op, const void *attr) {
  return op == &partial_op ? ((const partial_of *)attr)->op : NULL;
}

ct_loop *ct__elementwise_loop(const ct_call *c, ct__loop_call *l) {
  *l = (ct__loop_call){.attr = c->attr, .n = c->n_in};
  for (int k = 0; k < c->n_in && k < CT__MAX_OPERANDS; k++) l->operand[k] = k;
  ct_dtype dtype = c->in[c->n_in - 1]->v.dtype;
  if (c->op->kernel) return c->op->kernel->loop[dtype];
  if (c->op == &ct__cast_op) return ct__cast_loop(dtype, (ct_dtype)((const int *)c->attr)[0]);
  if (c->op != &partial_op) return NULL;
  const partial_of *p = c->attr;
  *l = (ct__loop_call){.attr = p->attr, .n = p->n};
  for (int k = 0, at = 0; k < p->n; k++) l->operand[k] = reads(p, k) ? at++ : c->n_in - 1;
  return loop_of(p, dtype);
}

/* ---- making one ------------------------------------------------------------------------------ */

static bool all_valued(int n, ct_tensor *const *in) {
  for (int k = 0; k < n; k++)
    if (!in[k]->buffer) return false;
  return true;
}

/* With nothing to record the loop runs at once. */
static ct_tensor *run_loop(const partial_of *p, ct_loop *loop, ct_tensor *const *in,
                           const ct_tensor *y) {
  ct_tensor *out = ct__tensor_alloc(y->v.dtype, y->v.ndim, y->v.dim);
  if (!out) return ct_nil();
  const ct_view *view[CT__MAX_OPERANDS];
  for (int k = 0; k < p->n; k++) view[k] = &in[k]->v;
  ct_map(p->n, view, &out->v, loop, p->attr);
  return ct__own(out);
}

ct_tensor *ct__times_partial(const ct_call *c, int i, ct_tensor *t) {
  ct_tensor *y = ct_out(c, 0), *in[CT__MAX_OPERANDS];
  if (ct__is_nil(y)) return y;
  partial_of p = {c->op, (void *)(uintptr_t)c->attr, c->n_in + 2, i};
  bool possible = c->op->kernel && i < 2 && p.n < CT__MAX_OPERANDS;
  ct_loop *loop = possible ? loop_of(&p, y->v.dtype) : NULL;
  if (!loop) return ct_mul0(t, c->op->partial(c, i));
  in[0] = t;
  memcpy(in + 1, c->in, (size_t)c->n_in * sizeof *in);
  in[1 + c->n_in] = y;
  if (!ct__recording() && all_valued(p.n, in)) return run_loop(&p, loop, in, y);
  int n = 0;
  for (int k = 0; k < p.n; k++)
    if (reads(&p, k)) in[n++] = in[k];
  return ct__apply1(&partial_op, &p, n, in);
}
