/* hooks.c - identities: what passes on the way forward or back is checked, printed or bounded.
 *
 * A hook on the cotangent is an identity whose vjp applies an operation to it. So hooks are
 * recorded and replayed like everything else.
 */
#include "autograd_internal.h"

#include <math.h>

enum { NAME_SIZE = 64 };

static bool same_view(const void *attr, const ct_view *x, ct_view *y) {
  (void)attr;
  *y = *x;
  return true;
}

/* clang-format off */
/* y = x with a vjp of its own. */
#define HOOK(NAME, DOC, ATTR, ...)                                                                 \
  static const ct_op NAME##_op = {CT_OP, .name = #NAME, .doc = "y = x; " DOC, .n_in = 1,           \
      .attr_size = sizeof(ATTR), .view = same_view, .eval = ct__view_eval, .vjp = NAME##_vjp,          \
      .jvp = ct__pass_jvp, .lo = -2, .hi = 2, __VA_ARGS__};
/* y = x, looked at on the way. */
#define IDENTITY(NAME, DOC, ATTR)                                                                  \
  static const ct_op NAME##_op = {CT_OP, .name = #NAME, .doc = "y = x; " DOC, .n_in = 1,           \
      .flags = CT_ELEMENTWISE | CT_CAN_FAIL, .attr_size = sizeof(ATTR), .infer = ct__infer_like,   \
      .eval = NAME##_eval, .vjp = ct__pass_vjp, .jvp = ct__pass_jvp, .lo = -2, .hi = 2};
/* clang-format on */

/* ---- looking at values ----------------------------------------------------------------------- */

typedef struct label {
  FILE *out; /* of what prints */
  char name[NAME_SIZE];
} label;

/* x or nil, with the label filled in. */
static ct_tensor *labelled(const char *who, ct_tensor *x, FILE *out, const char *name, label *l) {
  memset(l, 0, sizeof *l);
  l->out = out;
  if (!name || strlen(name) >= NAME_SIZE)
    return ct__nil(CT_EARG, "%s: want a name of at most %d bytes", who, NAME_SIZE - 1);
  memcpy(l->name, name, strlen(name));
  return x;
}

static ct_tensor *to_stream(const char *who, ct_tensor *x, FILE *out, const char *name, label *l) {
  return out ? labelled(who, x, out, name, l) : ct__nil(CT_EARG, "%s: the stream is NULL", who);
}

/* check: fails at the first element that is not finite. */
static ct_status check_eval(const ct_eval *e) {
  const ct_view *y = e->out[0];
  ct__copy(e->in[0], e->out[0]);
  for (int64_t i = 0; ct_dtype_is_float(y->dtype) && i < y->size; i++) {
    double value = ct__get(y, i);
    if (isfinite(value)) continue;
    int64_t at[CT_MAX_DIMS], rest = i;
    for (int d = y->ndim - 1; d >= 0; d--) {
      at[d] = rest % y->dim[d];
      rest /= y->dim[d];
    }
    char text[CT__SHAPE_TEXT];
    return ct_error_set(CT_ECHECK, "check: %s is %g at %s", ((const label *)e->attr)->name, value,
                        ct__shape_text(text, y->ndim, at));
  }
  return CT_OK;
}

IDENTITY(check, "CT_ECHECK unless every element is finite", label)

ct_tensor *ct_check(ct_tensor *x, const char *name) {
  label l;
  return CT__APPLY(&check_op, &l, labelled("check", x, NULL, name, &l));
}

/* show: prints. */
static ct_status show_eval(const ct_eval *e) {
  const label *l = e->attr;
  ct_view *y = e->out[0];
  ct__copy(e->in[0], y);
  ct_scope scope = ct_scope_begin();
  ct_tensor *t = ct_wrap(y->dtype, ct__shape_of_view(y), y->data, (ct_wrap_opts){0});
  bool printed = fprintf(l->out, "%s = ", l->name) >= 0;
  ct_status status =
      printed ? ct_print(l->out, t) : ct_error_set(CT_EIO, "show: the stream refused %s", l->name);
  ct_status end = ct_scope_end(scope);
  return status == CT_OK ? end : status;
}

IDENTITY(show, "printed to a stream", label)

ct_tensor *ct_show(ct_tensor *x, FILE *out, const char *name) {
  label l;
  return CT__APPLY(&show_op, &l, to_stream("show", x, out, name, &l));
}

/* ---- the same for cotangents ----------------------------------------------------------------- */

static void grad_check_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = CT__APPLY(&check_op, c->attr, gy[0]);
}

static void grad_print_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = CT__APPLY(&show_op, c->attr, gy[0]);
}

HOOK(grad_check, "CT_ECHECK unless gy is finite; gx = gy", label, .infer = ct__infer_like,
     .flags = CT_ELEMENTWISE)
HOOK(grad_print, "gy is printed; gx = gy", label, .infer = ct__infer_like, .flags = CT_ELEMENTWISE)

ct_tensor *ct_grad_check(ct_tensor *x, const char *name) {
  label l;
  return CT__APPLY(&grad_check_op, &l, labelled("grad_check", x, NULL, name, &l));
}

ct_tensor *ct_grad_print(ct_tensor *x, FILE *out, const char *name) {
  label l;
  return CT__APPLY(&grad_print_op, &l, to_stream("grad_print", x, out, name, &l));
}

/* ---- other cotangents ------------------------------------------------------------------------ */

static void grad_scale_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = ct_scale(gy[0], *(const double *)c->attr);
}

HOOK(grad_scale, "gx = c gy", double, .infer = ct__infer_like, .flags = CT_ELEMENTWISE)

ct_tensor *ct_grad_scale(ct_tensor *x, double c) { return CT__APPLY(&grad_scale_op, &c, x); }

typedef struct interval {
  double lo, hi;
} interval;

static ct_status grad_clip_infer(const ct_call *c, ct_spec *out) {
  const interval *i = c->attr;
  if (!(i->lo <= i->hi)) return ct_fail(c, CT_EARG, "want lo <= hi, not %g and %g", i->lo, i->hi);
  return ct__infer_like(c, out);
}

static void grad_clip_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  const interval *i = c->attr;
  gx[0] = ct_clamp(gy[0], i->lo, i->hi);
}

HOOK(grad_clip, "gx = min(max(gy, lo), hi)", interval, .infer = grad_clip_infer,
     .flags = CT_ELEMENTWISE)

ct_tensor *ct_grad_clip(ct_tensor *x, double lo, double hi) {
  interval i = {lo, hi};
  return CT__APPLY(&grad_clip_op, &i, x);
}

typedef struct ball {
  double limit;
  int64_t batch_axes; /* leading axes of ct_vmap: a norm for each element */
} ball;

static ct_status grad_clip_norm_infer(const ct_call *c, ct_spec *out) {
  double limit = ((const ball *)c->attr)->limit;
  if (!(limit > 0)) return ct_fail(c, CT_EARG, "want a limit above 0, not %g", limit);
  return ct__infer_like(c, out);
}

/* The norm in f64, where squares do not overflow; limit / max(norm, limit) is safe at 0. */
static void grad_clip_norm_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  const ball *b = c->attr;
  ct_axes axes = {0};
  for (int d = (int)b->batch_axes; d < gy[0]->v.ndim; d++) axes.at[axes.n++] = d;
  ct_tensor *square = ct_square(ct_cast(gy[0], CT_F64)), *limit = ct_scalar(CT_F64, b->limit);
  ct_tensor *norm = ct_sqrt(axes.n > 0 ? ct_sum(square, axes, true) : square);
  ct_tensor *factor = ct_div(limit, ct_maximum(norm, limit));
  gx[0] = ct_mul(gy[0], ct_cast(factor, gy[0]->v.dtype));
}

static void grad_clip_norm_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                                 ct_tensor **out) {
  (void)batched;
  ball b = *(const ball *)c->attr;
  b.batch_axes++;
  out[0] = CT__APPLY(c->op, &b, in[0]);
}

HOOK(grad_clip_norm, "gx = gy min(1, limit / |gy|)", ball, .infer = grad_clip_norm_infer,
     .batch = grad_clip_norm_batch)

ct_tensor *ct_grad_clip_norm(ct_tensor *x, double limit) {
  ball b = {limit, 0};
  return CT__APPLY(&grad_clip_norm_op, &b, x);
}

const ct_op *const ct__hook_ops[] = {
    &check_op,      &show_op,      &grad_check_op,     &grad_print_op,
    &grad_scale_op, &grad_clip_op, &grad_clip_norm_op, NULL};
