/* transforms.c - vjp and jvp: from recipes to recipes.
 *
 * Rules run with recording off when everything has a value; the results are then outputs of one
 * call, `vjp` or `jvp`, whose fallback is the same rules recorded. So a first derivative costs no
 * second graph, and every order still works: the fallback is expanded when somebody differentiates
 * the derivative.
 */
#include "autograd_internal.h"
#include "ops/kernels.h"

/* ---- cotangents under way -------------------------------------------------------------------- */

static void slot_set(ct_tensor **slot, ct_tensor *t) {
  ct__ref(t);
  ct__unref(*slot);
  *slot = t;
}

static void slots_clear(int n, ct_tensor **slot) {
  for (int i = 0; i < n; i++) {
    ct__unref(slot[i]);
    slot[i] = NULL;
  }
}

/* Nobody else can see the numbers of t, whose one reference is the caller's: they may be written.
 */
static bool exclusive(const ct_tensor *t) {
  const ct_buffer *b = t->buffer;
  return b && t->v.contiguous && !b->foreign &&
         atomic_load_explicit(&t->refs, memory_order_acquire) == 1 &&
         atomic_load_explicit(&b->refs, memory_order_acquire) == 1;
}

/* One reference to what a rule returned: the scope's own if the rule has just made it. */
static ct_tensor *take(const ct__mark *since, ct_tensor *t) {
  if (!ct__take(since, t)) ct__ref(t);
  return t;
}

/* slot += g, which is used up: one of the two takes the sum if nobody else can see it. */
static ct_status accumulate(ct_tensor **slot, ct_tensor *g) {
  ct_tensor *s = *slot;
  if (!s) {
    *slot = g;
    return CT_OK;
  }
  ct_tensor *terms[] = {s, g}, *sum = exclusive(s) ? s : exclusive(g) ? g : NULL;
  if (sum && s->buffer && g->buffer && !ct__recording()) {
    const ct__kernels *k = ct__kernels_now();
    ct__map_tensors(2, terms, sum, g->v.dtype == CT_F32 ? k->add_f32 : k->add_f64, NULL);
    ct__ref(sum);
  } else {
    ct__mark mark = ct__mark_begin();
    sum = take(&mark, ct_add(s, g));
    ct__mark_end(mark);
  }
  ct__unref(s);
  ct__unref(g);
  *slot = ct__is_nil(sum) ? NULL : sum;
  return *slot ? CT_OK : ct__pending("derivative");
}

/* ---- reverse --------------------------------------------------------------------------------- */

typedef struct reverse {
  ct__walk walk;
  ct_tensor **target; /* one per x, like the slots of calls */
} reverse;

/* Where the cotangent of t is summed: t is a target, or an output of a call on the way. */
static ct_tensor **slot_of(const reverse *r, const ct_tensor *t) {
  int k = ct__walk_target(&r->walk, t);
  return k >= 0 ? &r->target[k] : &ct__node_of(t)->slot[t->out_index];
}

/* A contribution to the cotangent of t, summed over what broadcasting repeated. Uses up g. */
static ct_status contribute(reverse *r, const ct_tensor *t, ct_tensor *g, const char *from) {
  if (ct__is_nil(g)) return ct__pending(from);
  ct_status status = CT_OK;
  if (g->v.dtype != t->v.dtype)
    status = ct__fail(CT_EDTYPE, "%s: a rule gave a derivative of dtype %s for a value of dtype %s",
                      from, ct_dtype_name(g->v.dtype), ct_dtype_name(t->v.dtype));
  else if (!ct__same_shape(&g->v, &t->v)) {
    ct__mark mark = ct__mark_begin();
    ct_tensor *sum = take(&mark, ct__sum_to(g, &t->v));
    ct__mark_end(mark);
    ct__unref(g);
    g = sum;
    if (ct__is_nil(g)) return ct__pending(from);
  }
  if (status == CT_OK) return accumulate(slot_of(r, t), g);
  ct__unref(g);
  return status;
}

static bool used_again(int n, ct_tensor *const *gx) {
  for (int i = 1; i < n; i++)
    if (gx[i] == gx[0]) return true;
  return false;
}

/* The rule of a call; its temporaries die with the mark. */
static ct_status pull_rule(reverse *r, ct__node *n) {
  int n_in = n->call.n_in;
  ct_tensor *few[8], **gx = few;
  if (n_in > 8) gx = ct__alloc((size_t)n_in * sizeof *gx);
  if (!gx) return CT_ENOMEM;
  for (int i = 0; i < n_in; i++) gx[i] = NULL;
  ct__mark mark = ct__mark_begin();
  ct__vjp_rule(n, n->slot, gx);
  ct_status status = CT_OK;
  for (int i = 0; i < n_in && status == CT_OK; i++) {
    if (!n->want[i] || !gx[i]) continue;
    if (used_again(n_in - i, gx + i))
      ct__ref(gx[i]);
    else
      take(&mark, gx[i]);
    status = contribute(r, n->recipe.in[i], gx[i], n->call.op->name);
  }
  ct__mark_end(mark);
  if (gx != few) ct__free(gx, (size_t)n_in * sizeof *gx);
  return status;
}

/* The loops of the partial derivatives of an elementwise call, if they can run at once: with values
 * and nothing to record. */
static bool has_loops(const ct__node *n) {
  const ct_call *c = &n->call;
  const ct_kernel *k = c->op->kernel;
  if (!k || c->op->vjp || c->n_in > 2 || !n->slot[0]->buffer || ct__recording()) return false;
  for (int i = 0; i < c->n_in; i++)
    if (!c->in[i]->buffer || (n->want[i] && !k->partial[i][c->in[i]->v.dtype])) return false;
  return n->recipe.out[0]->buffer;
}

/* gx_i = gy dy/dx_i by the call's own loop. The last one is written over gy if nobody else sees it:
 * a chain of such calls needs no memory on its way back. */
static ct_status pull_loops(reverse *r, ct__node *n) {
  const ct_call *c = &n->call;
  ct_tensor *gy = n->slot[0], *y = n->recipe.out[0], *in[4] = {gy};
  for (int i = 0; i < c->n_in; i++) in[1 + i] = c->in[i];
  in[1 + c->n_in] = y;
  ct_status status = CT_OK;
  for (int i = 0; i < c->n_in && status == CT_OK; i++) {
    if (!n->want[i]) continue;
    bool last = i == c->n_in - 1 || !n->want[i + 1], over = last && exclusive(gy);
    ct_tensor *g = over ? gy : ct__tensor_alloc(y->v.dtype, y->v.ndim, y->v.dim);
    if (!g) return CT_ENOMEM;
    if (over) n->slot[0] = NULL;
    ct__map_tensors(c->n_in + 2, in, g, c->op->kernel->partial[i][y->v.dtype], c->attr);
    status = contribute(r, c->in[i], g, c->op->name);
  }
  return status;
}

/* A call that was expanded: its outputs are those of its fallback. */
static ct_status pull_through(reverse *r, ct__node *n) {
  ct_status status = CT_OK;
  for (int o = 0; o < n->call.n_out && status == CT_OK; o++) {
    if (!n->slot[o] || !n->want[o]) continue;
    ct__ref(n->slot[o]);
    status = contribute(r, n->recipe.extra[o], n->slot[o], n->call.op->name);
  }
  return status;
}

/* Pulls the cotangents of one call back to its inputs, and forgets them. */
static ct_status pull(reverse *r, ct__node *n) {
  int n_out = n->call.n_out;
  bool present = false;
  for (int o = 0; o < n_out; o++) present |= n->slot[o] != NULL;
  if (!present) return CT_OK;
  bool expanded = n->expanded && !ct__has_rule(n->call.op, CT__VJP);
  ct_status status = expanded       ? pull_through(r, n)
                     : has_loops(n) ? pull_loops(r, n)
                                    : pull_rule(r, n);
  slots_clear(n_out, n->slot);
  return status;
}

static ct_status seed(reverse *r, ct_tensor *y, ct_tensor *gy, const char *who) {
  if (ct__walk_target(&r->walk, y) < 0 && !ct__walk_node(&r->walk, y)) return CT_OK;
  ct__ref(gy);
  return contribute(r, y, gy, who);
}

/* A result as a tensor of its own: never somebody's input. */
static ct_tensor *fresh(ct_tensor *t) {
  if (ct__recording() || !t->buffer) return ct_reshape(t, ct__shape_of_view(&t->v));
  ct_tensor *alias = ct__tensor_alias(t);
  if (alias) alias->flags |= CT__CUT;
  return ct__own(alias);
}

/* The rules, recorded or not as the current scope says. gx: fresh tensors of the current scope. */
static ct_status run_vjp(const char *who, ct_list y, ct_list gy, ct_list x, ct_tensor **gx) {
  reverse r;
  ct_status status = ct__walk_begin(&r.walk, who, CT__VJP, y, x);
  if (status != CT_OK) return status;
  size_t bytes = (size_t)x.n * sizeof *r.target;
  r.target = ct__alloc(bytes);
  if (!r.target)
    status = CT_ENOMEM;
  else
    memset(r.target, 0, bytes);
  for (int i = 0; i < y.n && status == CT_OK; i++)
    if (gy.at[i]) status = seed(&r, y.at[i], gy.at[i], who);
  for (ct__node *n = r.walk.order; n && status == CT_OK; n = n->link) status = pull(&r, n);
  for (ct__node *n = status == CT_OK ? NULL : r.walk.order; n; n = n->link)
    slots_clear(n->call.n_out, n->slot);
  for (int k = 0; k < x.n && status == CT_OK; k++) {
    int first = ct__walk_target(&r.walk, x.at[k]);
    ct_tensor *g = r.target[first];
    gx[k] = g ? fresh(g) : ct__zeros_like(x.at[k]);
    if (ct__is_nil(gx[k])) status = ct__pending(who);
  }
  if (r.target) slots_clear(x.n, r.target);
  ct__free(r.target, bytes);
  ct__walk_end(&r.walk);
  return status;
}

/* ---- forward --------------------------------------------------------------------------------- */

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
    dy[i] = t ? fresh(t) : ct__zeros_like(y.at[i]);
    if (ct__is_nil(dy[i])) status = ct__pending(who);
  }
  for (ct__node *n = f.walk.order; n; n = n->link) slots_clear(n->call.n_out, n->slot);
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
  ct_status status =
      d->mode == CT__VJP ? run_vjp("ct_vjp", y, seed, x, out) : run_jvp("ct_jvp", y, x, seed, out);
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
  memcpy(in, y.at, (size_t)y.n * sizeof *in);
  for (int i = 0; i < seed.n; i++) {
    ct_tensor *like = mode == CT__VJP ? y.at[i] : x.at[i];
    in[y.n + i] = seed.at[i] ? seed.at[i] : ct__zeros_like(like);
  }
  memcpy(in + y.n + seed.n, x.at, (size_t)x.n * sizeof *in);
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
  return mode == CT__VJP ? run_vjp(who, y, seed, x, out) : run_jvp(who, y, x, seed, out);
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
  return ct__status_end(was, transform("ct_vjp", CT__VJP, y, gy, x, gx));
}

ct_status ct_jvp_all(ct_list y, ct_list x, ct_list dx, ct_tensor **dy) {
  bool was = ct__status_begin();
  return ct__status_end(was, transform("ct_jvp", CT__JVP, y, dx, x, dy));
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

static ct_status gradient(ct_tensor *loss, ct_list x, ct_tensor **gx) {
  char text[CT__SHAPE_TEXT];
  ct_tensor *one = NULL;
  ct_status status = CT_OK;
  if (loss && !ct__is_nil(loss) && loss->v.size != 1)
    status = ct__fail(
        CT_ESHAPE, "ct_grad: want a loss with one element, got shape %s; ct_vjp takes a cotangent",
        ct__shape_text(text, loss->v.ndim, loss->v.dim));
  else if (loss && !ct__is_nil(loss) && ct_dtype_is_float(loss->v.dtype)) {
    one = ct_ones(loss->v.dtype, ct__shape_of_view(&loss->v));
    if (ct__is_nil(one)) status = CT_ENOMEM;
  }
  if (status == CT_OK) return transform("ct_grad", CT__VJP, CT_LIST(loss), CT_LIST(one), x, gx);
  for (int k = 0; gx && k < x.n; k++) gx[k] = ct_nil();
  return status;
}

ct_status ct_grad(ct_tensor *loss, ct_list x, ct_tensor **gx) {
  bool was = ct__status_begin();
  return ct__status_end(was, gradient(loss, x, gx));
}

ct_status ct_value_and_grad(ct_tensor *loss, ct_list x, double *value, ct_tensor **gx) {
  for (int k = 0; gx && k < x.n; k++) gx[k] = ct_nil();
  ct_status status = ct__check_value("ct_value_and_grad", loss);
  if (status == CT_OK && !value)
    status = ct__fail_status(CT_EARG, "ct_value_and_grad: value is NULL");
  if (status == CT_OK) status = ct_grad(loss, x, gx);
  return status == CT_OK ? ct_item(loss, value) : status;
}
