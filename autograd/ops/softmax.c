/* softmax.c - softmax and its logarithm along an axis, each one pass over the lines, and the two
 * bilinear forms that their derivatives are made of.
 *
 * Where an element p of softmax is near 1 no digits may be taken from 1 - p: the sum of the others
 * has them. So the derivatives are sums over pairs of elements,
 *
 *   deviation(p, t)[i] = sum_j p[j] (t[i] - t[j])
 *   balance(a, b)[i]   = sum_j (a[j] b[i] - a[i] b[j])
 *
 * found in one pass each: only for the largest p or a must the sum of the others be kept apart.
 * Each is the other's derivative.
 */
#include "../../tensor/pool.h"
#include "batch.h"
#include "lines.h"

typedef struct softmax_attr {
  int axis;
} softmax_attr;

static ct_status infer(const ct_call *c, ct_spec *out) {
  if (!ct_dtype_is_float(ct__in(c, 0)->dtype))
    return ct_fail(c, CT_EDTYPE, "want f32 or f64 (ct_cast converts)");
  return ct__infer_like(c, out);
}

static const ct__line_loops *loops(const ct_eval *e) { return ct__lines_of(e->out[0]->dtype); }

static ct_status eval(const ct_eval *e, ct_loop *loop) {
  int axis = ((const softmax_attr *)e->attr)->axis;
  ct__each_line(e, axis, false, loop, (ct__lines){.n = e->out[0]->dim[axis]});
  return CT_OK;
}

static ct_tensor *apply(const ct_op *op, ct_tensor *x, int axis) {
  if (!ct__given_axis(op->name, x, &axis)) return ct_nil();
  return CT__APPLY(op, &(softmax_attr){axis}, x);
}

static void batch(const ct_call *c, ct_tensor *const *in, const bool *batched, ct_tensor **out) {
  softmax_attr attr = {((const softmax_attr *)c->attr)->axis + 1};
  batch_with(c, &attr, in, batched, out);
}

/* ---- deviation and balance ------------------------------------------------------------------- */

static ct_status form_infer(const ct_call *c, ct_spec *out) {
  if (!ct__same_shape(ct__in(c, 0), ct__in(c, 1)))
    return ct_fail(c, CT_ESHAPE, "want equal shapes");
  return infer(c, out);
}

static ct_status deviation_eval(const ct_eval *e) { return eval(e, loops(e)->deviation); }
static ct_status balance_eval(const ct_eval *e) { return eval(e, loops(e)->balance); }

static const ct_op deviation_op, balance_op;

/* gp = -deviation(gy, t), gt = balance(p, gy). */
static void deviation_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  if (ct_wants(c, 0)) gx[0] = ct_neg(CT__APPLY(&deviation_op, c->attr, gy[0], c->in[1]));
  if (ct_wants(c, 1)) gx[1] = CT__APPLY(&balance_op, c->attr, c->in[0], gy[0]);
}

/* ga = -deviation(b, gy), gb = deviation(a, gy). */
static void balance_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  if (ct_wants(c, 0)) gx[0] = ct_neg(CT__APPLY(&deviation_op, c->attr, c->in[1], gy[0]));
  if (ct_wants(c, 1)) gx[1] = CT__APPLY(&deviation_op, c->attr, c->in[0], gy[0]);
}

#define FORM_OP(NAME, DOC)                                                                         \
  static const ct_op NAME##_op = {CT_OP,                                                           \
                                  .name = #NAME,                                                   \
                                  .doc = DOC,                                                      \
                                  .n_in = 2,                                                       \
                                  .linear = 3,                                                     \
                                  .attr_size = sizeof(softmax_attr),                               \
                                  .infer = form_infer,                                             \
                                  .eval = NAME##_eval,                                             \
                                  .vjp = NAME##_vjp,                                               \
                                  .batch = batch,                                                  \
                                  .lo = -2,                                                        \
                                  .hi = 2};
FORM_OP(deviation, "y[i] = sum of p[j] (t[i] - t[j]) along an axis")
FORM_OP(balance, "y[i] = sum of a[j] b[i] - a[i] b[j] along an axis")

ct_tensor *ct__balance(ct_tensor *a, ct_tensor *b, int axis) {
  return CT__APPLY(&balance_op, &(softmax_attr){axis}, a, b);
}

/* ---- softmax --------------------------------------------------------------------------------- */

/* y = e^x / sum e^x; NaN for lines of -inf only, or with inf.
 * The Jacobian diag(y) - y y^T is symmetric: gx = y deviation(y, gy), and dy the same of dx. */
static ct_status softmax_eval(const ct_eval *e) { return eval(e, loops(e)->softmax); }

static ct_tensor *softmax_product(const ct_call *c, ct_tensor *t) {
  ct_tensor *y = ct_out(c, 0);
  return ct_mul0(CT__APPLY(&deviation_op, c->attr, y, t), y);
}

static void softmax_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = softmax_product(c, gy[0]);
}

static void softmax_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  dy[0] = softmax_product(c, dx[0]);
}

static const ct_op softmax_op = {
    CT_OP,
    .name = "softmax",
    .doc = "y = e^x / sum e^x along an axis",
    .n_in = 1,
    .attr_size = sizeof(softmax_attr),
    .infer = infer,
    .eval = softmax_eval,
    .vjp = softmax_vjp,
    .jvp = softmax_jvp,
    .batch = batch,
    .lo = -3,
    .hi = 3,
};

ct_tensor *ct_softmax(ct_tensor *x, int axis) { return apply(&softmax_op, x, axis); }

/* ---- log_softmax ----------------------------------------------------------------------------- */

/* y = x - ln sum e^x.   gx = balance(e^y, gy),  dy = deviation(e^y, dx). */
static ct_status log_softmax_eval(const ct_eval *e) { return eval(e, loops(e)->log_softmax); }

/* e^y with the digits that y has lost where it is large. */
static ct_tensor *probabilities(const ct_call *c) {
  return ct_softmax(c->in[0], ((const softmax_attr *)c->attr)->axis);
}

static void log_softmax_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = CT__APPLY(&balance_op, c->attr, probabilities(c), gy[0]);
}

static void log_softmax_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  dy[0] = CT__APPLY(&deviation_op, c->attr, probabilities(c), dx[0]);
}

static const ct_op log_softmax_op = {
    CT_OP,
    .name = "log_softmax",
    .doc = "y = x - ln sum e^x along an axis",
    .n_in = 1,
    .attr_size = sizeof(softmax_attr),
    .infer = infer,
    .eval = log_softmax_eval,
    .vjp = log_softmax_vjp,
    .jvp = log_softmax_jvp,
    .batch = batch,
    .lo = -3,
    .hi = 3,
};

ct_tensor *ct_log_softmax(ct_tensor *x, int axis) { return apply(&log_softmax_op, x, axis); }

const ct_op *const ct__softmax_ops[] = {&softmax_op, &log_softmax_op, &deviation_op, &balance_op,
                                        NULL};
