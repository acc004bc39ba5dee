/* transforms.c - vjp and jvp: from recipes to recipes.
 *
 * Rules run with recording off when everything has a value; the results are then outputs of one
 * call, `vjp` or `jvp`, whose fallback is the same rules recorded. So a first derivative costs no
 * second graph, and every order still works: the fallback is expanded when somebody differentiates
 * the derivative.
 */
#include "autograd_internal.h"

void ct__slots_clear(int n, ct_tensor **slot) {
  for (int i = 0; i < n; i++) {
    ct__unref(slot[i]);
    slot[i] = NULL;
  }
}

ct_tensor *ct__derivative(ct_tensor *t) {
  if (ct__recording() || !t->buffer) return ct_reshape(t, ct__shape_of_view(&t->v));
  ct_tensor *alias = ct__tensor_alias(t);
  if (alias) alias->flags |= CT__CUT;
  return ct__own(alias);
}

/* ---- forward --------------------------------------------------------------------------------- */

static void slot_set(ct_tensor **slot, ct_tensor *t) {
  ct__ref(t);
  ct__unref(*slot);
  *slot = t;
}

typedef struct forward {
  ct__walk walk;
  ct_list dx;
} forward;

static ct_tensor *tangent_of(const forward *f, const ct_tensor *t) {
  int k = ct__walk_target(&f->walk, t);
  if (k >= 0) return f->dx.at[k];
  ct__node *n = ct__walk_node(&f->walk, t);
  return n ? n->slot[t->out_index] : NULL;
}

/* Pushes the tangents of one call's inputs forward; they are kept until all is done. */
static ct_status push(forward *f, ct__node *n) {
  int n_in = n->call.n_in, n_out = n->call.n_out, present = 0;
  if (!ct__has_rule(n->call.op, CT__JVP)) {
    for (int o = 0; o < n_out; o++) {
      ct_tensor *t = tangent_of(f, n->recipe.extra[o]);
      if (t) slot_set(&n->slot[o], t);
    }
    return CT_OK;
  }
  ct_tensor *few[8], **dx = few, **dy;
  if (n_in + n_out > 8) dx = ct__alloc((size_t)(n_in + n_out) * sizeof *dx);
  if (!dx) return CT_ENOMEM;
  memset(dx, 0, (size_t)(n_in + n_out) * sizeof *dx);
  dy = dx + n_in;
  for (int i = 0; i < n_in; i++) {
    if (n->want[i]) dx[i] = tangent_of(f, n->recipe.in[i]);
    present += dx[i] != NULL;
  }
  ct__mark mark = ct__mark_begin();
  ct_status status = CT_OK;
  if (present > 0) ct__jvp_rule(n, dx, dy);
  for (int o = 0; o < n_out && status == CT_OK; o++) {
    if (!dy[o]) continue;
    const ct_tensor *y = ct_out(&n->call, o);
    ct_tensor *t = dy[o];
    if (!ct__same_shape(&t->v, &y->v)) t = ct_broadcast_to(t, ct__shape_of_view(&y->v));
    if (ct__is_nil(t))
      status = ct__pending(n->call.op->name);
    else if (t->v.dtype != y->v.dtype)
      status =
          ct__fail(CT_EDTYPE, "%s: a rule gave a derivative of dtype %s for a value of dtype %s",
                   n->call.op->name, ct_dtype_name(t->v.dtype), ct_dtype_name(y->v.dtype));
    else
      slot_set(&n->slot[o], t);
  }
  ct__mark_end(mark);
  if (dx != few) ct__free(dx, (size_t)(n_in + n_out) * sizeof *dx);
  return status;
}

static ct_status run_jvp(const char *who, ct_list y, ct_list x, ct_list dx, ct_tensor **dy) {
  forward f = {.dx = dx};
  ct_status status = ct__walk_begin(&f.walk, who, CT__JVP, y, x);
  if (status != CT_OK) return status;
  ct__walk_reverse(&f.walk);
  for (ct__node *n = f.walk.order; n && status == CT_OK; n = n->link) status = push(&f, n);
  for (int i = 0; i < y.n && status == CT_OK; i++) {
    ct_tensor *t = tangent_of(&f, y.at[i]);
    dy[i] = t ? ct__derivative(t) : ct__zeros_like(y.at[i]);
    if (ct__is_nil(dy[i])) status = ct__pending(who);
  }
  for (ct__node *n = f.walk.order; n; n = n->link) ct__slots_clear(n->call.n_out, n->slot);
  ct__walk_end(&f.walk);
  return status;
}

/* ---- one call that stands for the derivative ------------------------------------------------- */

/* Inputs: y, then seeds (cotangents of y, or tangents of x), then x. */
typedef struct derivative {
  int n_out;
  ct__mode mode;
  int n_y, n_x;
} derivative;

static void derivative_again(const ct_call *c, ct_tensor **out) {
  const derivative *d = c->attr;
  ct_list y = {d->n_y, c->in}, x = {d->n_x, c->in + c->n_in - d->n_x};
  ct_list seed = {c->n_in - d->n_y - d->n_x, c->in + d->n_y};
  ct_status status = d->mode == CT__VJP ? ct__pull_back("ct_vjp", y, seed, x, out)
                                        : run_jvp("ct_jvp", y, x, seed, out);
  if (status != CT_OK)
    for (int o = 0; o < c->n_out; o++) out[o] = ct_nil();
}

/* clang-format off */
#define TRANSFORM(NAME, DOC)                                                                       \
  static const ct_op NAME##_op = {CT_OP, .name = #NAME, .doc = DOC, .n_in = CT_VARIADIC,           \
      .n_out = CT_VARIADIC, .flags = CT__TRANSFORM, .attr_size = sizeof(derivative),               \
      .fallback = derivative_again};
TRANSFORM(vjp, "gx = J^T gy, computed; its recipe is made on demand")
TRANSFORM(jvp, "dy = J dx, computed; its recipe is made on demand")
/* clang-format on */

ct_status ct__attach(const ct_op *op, const void *attr, ct_list in, int n_out, ct_tensor **out) {
  ct__node *n = ct__node_new(op, attr, in.n, in.at, n_out);
  if (!n) return CT_ENOMEM;
  for (int o = 0; o < n_out; o++) {
    ct__node_adopt(n, o, out[o]);
    out[o]->flags &= ~(unsigned)CT__CUT;
  }
  ct__node_free(n);
  return CT_OK;
}

/* Attaches results to the call that computed them. */
static ct_status attach(ct__mode mode, ct_list y, ct_list seed, ct_list x, int n_out,
                        ct_tensor **out) {
  int n_in = y.n + seed.n + x.n;
  ct_tensor *few[16], **in = few;
  if (n_in > 16) in = ct__alloc((size_t)n_in * sizeof *in);
  if (!in) return CT_ENOMEM;
  ct_scope scope = ct_scope_begin();
  for (int i = 0; i < y.n; i++) in[i] = y.at[i];
  for (int i = 0; i < seed.n; i++) {
    ct_tensor *like = mode == CT__VJP ? y.at[i] : x.at[i];
    in[y.n + i] = seed.at[i] ? seed.at[i] : ct__zeros_like(like);
  }
  for (int i = 0; i < x.n; i++) in[y.n + seed.n + i] = x.at[i];
  derivative d = {n_out, mode, y.n, x.n};
  ct_status status =
      ct__attach(mode == CT__VJP ? &vjp_op : &jvp_op, &d, (ct_list){n_in, in}, n_out, out);
  ct_status end = ct_scope_end(scope);
  if (in != few) ct__free(in, (size_t)n_in * sizeof *in);
  return status == CT_OK ? end : status;
}

bool ct__all_valued(ct_list l) {
  for (int i = 0; i < l.n; i++)
    if (l.at[i] && !l.at[i]->buffer) return false;
  return true;
}

static ct_status run(const char *who, ct__mode mode, ct_list y, ct_list seed, ct_list x,
                     ct_tensor **out) {
  return mode == CT__VJP ? ct__pull_back(who, y, seed, x, out) : run_jvp(who, y, x, seed, out);
}

/* Eager derivatives are computed unrecorded and attached; symbolic ones are recorded as they are
 * built. */
static ct_status differentiate(const char *who, ct__mode mode, ct_list y, ct_list seed, ct_list x,
                               ct_tensor **out) {
  int n_out = mode == CT__VJP ? x.n : y.n;
  if (n_out == 0) return CT_OK;
  for (int o = 0; o < n_out; o++) out[o] = NULL;
  ct_status status;
  if (!ct__recording() || !ct__all_valued(y) || !ct__all_valued(seed)) {
    status = run(who, mode, y, seed, x, out);
  } else {
    ct__set_recording(false);
    status = run(who, mode, y, seed, x, out);
    ct__set_recording(true);
    if (status == CT_OK) status = attach(mode, y, seed, x, n_out, out);
  }
  for (int o = 0; status != CT_OK && o < n_out; o++) out[o] = ct_nil();
  return status;
}

/* ---- the public face ------------------------------------------------------------------------- */

static ct_status check_float(const char *who, const char *name, ct_list l) {
  ct_status status = ct__check_list(who, name, l);
  for (int i = 0; i < l.n && status == CT_OK; i++)
    if (!ct_dtype_is_float(l.at[i]->v.dtype))
      status = ct__fail(CT_EDTYPE, "%s: %s[%d] is %s; only f32 and f64 have derivatives", who, name,
                        i, ct_dtype_name(l.at[i]->v.dtype));
  return status;
}

static ct_status not_recorded(const char *who, const char *name, int i, const ct_tensor *t) {
  char text[CT__SHAPE_TEXT];
  return ct__fail(CT_ERECORD, "%s: %s[%d], %s %s, is not recorded: %s", who, name, i,
                  ct_dtype_name(t->v.dtype), ct__shape_text(text, t->v.ndim, t->v.dim),
                  t->flags & CT__CUT ? "it was made while recording was off"
                                     : "it does not depend on a variable or placeholder");
}

/* A constant y has zero derivatives; one that lost its recipe has unknown ones. */
static ct_status check_recorded(const char *who, ct_list y, ct_list x) {
  for (int i = 0; i < y.n; i++)
    if (y.at[i]->flags & CT__CUT) return not_recorded(who, "y", i, y.at[i]);
  for (int i = 0; i < x.n; i++)
    if (!(x.at[i]->flags & CT__RECORDED) || (x.at[i]->flags & CT__CUT))
      return not_recorded(who, "x", i, x.at[i]);
  return CT_OK;
}

/* Seeds: one per tensor of `like`, of its shape and dtype, or NULL for zero. */
static ct_status check_seed(const char *who, const char *name, ct_list seed, ct_list like) {
  if (seed.n != like.n || (seed.n > 0 && !seed.at))
    return ct__fail(CT_EARG, "%s: want %d of %s, got %d", who, like.n, name, seed.n);
  for (int i = 0; i < seed.n; i++) {
    const ct_tensor *s = seed.at[i], *l = like.at[i];
    if (!s) continue;
    if (ct__is_nil(s)) return ct__pending(who);
    char want[CT__SHAPE_TEXT], got[CT__SHAPE_TEXT];
    if (s->v.dtype != l->v.dtype || !ct__same_shape(&s->v, &l->v))
      return ct__fail(s->v.dtype != l->v.dtype ? CT_EDTYPE : CT_ESHAPE,
                      "%s: want %s[%d] as %s %s, got %s %s", who, name, i,
                      ct_dtype_name(l->v.dtype), ct__shape_text(want, l->v.ndim, l->v.dim),
                      ct_dtype_name(s->v.dtype), ct__shape_text(got, s->v.ndim, s->v.dim));
    if (ct__stale(s)) return ct__check_value(who, s);
  }
  return CT_OK;
}

static ct_status transform(const char *who, ct__mode mode, ct_list y, ct_list seed, ct_list x,
                           ct_tensor **out) {
  int n_out = mode == CT__VJP ? x.n : y.n;
  if (!out && n_out > 0) return ct__fail(CT_EARG, "%s: there is no room for results", who);
  for (int o = 0; o < n_out; o++) out[o] = ct_nil();
  ct_status status = check_float(who, "y", y);
  if (status == CT_OK) status = check_float(who, "x", x);
  if (status == CT_OK) status = check_recorded(who, y, x);
  if (status == CT_OK)
    status = mode == CT__VJP ? check_seed(who, "gy", seed, y) : check_seed(who, "dx", seed, x);
  return status == CT_OK ? differentiate(who, mode, y, seed, x, out) : status;
}

ct_status ct_vjp_all(ct_list y, ct_list gy, ct_list x, ct_tensor **gx) {
  bool was = ct__status_begin();
  return ct__status_end("ct_vjp_all", was, transform("ct_vjp_all", CT__VJP, y, gy, x, gx));
}

ct_status ct_jvp_all(ct_list y, ct_list x, ct_list dx, ct_tensor **dy) {
  bool was = ct__status_begin();
  return ct__status_end("ct_jvp_all", was, transform("ct_jvp_all", CT__JVP, y, dx, x, dy));
}

/* One of each: NULL is a mistake here, not a zero. */
static ct_tensor *transform_one(const char *who, ct__mode mode, ct_tensor *y, ct_tensor *x,
                                ct_tensor *seed) {
  if (!seed) return ct__nil(CT_EARG, "%s: %s is NULL", who, mode == CT__VJP ? "gy" : "dx");
  ct_tensor *out;
  transform(who, mode, CT_LIST(y), CT_LIST(seed), CT_LIST(x), &out);
  return out;
}

ct_tensor *ct_vjp(ct_tensor *y, ct_tensor *x, ct_tensor *gy) {
  return transform_one("ct_vjp", CT__VJP, y, x, gy);
}

ct_tensor *ct_jvp(ct_tensor *y, ct_tensor *x, ct_tensor *dx) {
  return transform_one("ct_jvp", CT__JVP, y, x, dx);
}

static ct_status check_loss(const ct_tensor *loss) {
  ct_status status = ct__check_tensor("ct_grad", "the loss", loss);
  if (status != CT_OK) return status;
  char text[CT__SHAPE_TEXT];
  if (loss->v.size != 1)
    return ct__fail(CT_ESHAPE,
                    "ct_grad: want a loss with one element, got shape %s; ct_vjp takes a cotangent",
                    ct__shape_text(text, loss->v.ndim, loss->v.dim));
  if (!ct_dtype_is_float(loss->v.dtype))
    return ct__fail(CT_EDTYPE, "ct_grad: the loss is %s; only f32 and f64 have derivatives",
                    ct_dtype_name(loss->v.dtype));
  return CT_OK;
}

static ct_status gradient(ct_tensor *loss, ct_list x, ct_tensor **gx) {
  for (int k = 0; gx && k < x.n; k++) gx[k] = ct_nil();
  ct_status status = check_loss(loss);
  if (status != CT_OK) return status;
  ct_tensor *one = ct_ones(loss->v.dtype, ct__shape_of_view(&loss->v));
  return transform("ct_grad", CT__VJP, CT_LIST(loss), CT_LIST(one), x, gx);
}

ct_status ct_grad(ct_tensor *loss, ct_list x, ct_tensor **gx) {
  bool was = ct__status_begin();
  return ct__status_end("ct_grad", was, gradient(loss, x, gx));
}

ct_status ct_value_and_grad(ct_tensor *loss, ct_list x, double *value, ct_tensor **gx) {
  for (int k = 0; gx && k < x.n; k++) gx[k] = ct_nil();
  ct_status status = ct__check_value("ct_value_and_grad", loss);
  if (status == CT_OK && !value)
    status = ct__fail_status(CT_EARG, "ct_value_and_grad: value is NULL");
  if (status == CT_OK) status = ct_grad(loss, x, gx);
  return status == CT_OK ? ct_item(loss, value) : status;
}
