/* reverse.c - pulling cotangents back through a recipe: the rules of its calls, outputs first. */
#include "autograd_internal.h"
#include "ops/kernels.h"

/* ---- cotangents under way -------------------------------------------------------------------- */

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
    ct__map_tensors(2, terms, sum, g->v.dtype == CT_F32 ? ct__add_f32 : ct__add_f64, NULL);
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
  bool recording;
  ct_tensor **target; /* one per x, like the slots of calls */
  ct__number *number; /* likewise */
} reverse;

/* Where the cotangent of t is summed: t is a target, or an output of a call on the way. While the
 * slot is nil, the cotangent is the number beside it. */
typedef struct place {
  ct_tensor **slot;
  ct__number *number; /* NULL: there is no room for one */
} place;

static place place_of(const reverse *r, const ct_tensor *t) {
  int k = ct__walk_target(&r->walk, t);
  if (k >= 0) return (place){&r->target[k], &r->number[k]};
  ct__node *n = ct__node_of(t);
  return (place){&n->slot[t->out_index], n->call.n_out == 1 ? &n->number : NULL};
}

static void add_number(ct_dtype dtype, ct__number *sum, const void *g) {
  if (dtype == CT_F32)
    sum->f32 += *(const float *)g;
  else
    sum->f64 += *(const double *)g;
}

static ct_tensor *tensor_of(ct_dtype dtype, const ct__number *number) {
  ct_tensor *t = ct__tensor_number(0, dtype);
  if (t) memcpy(t->v.data, number, ct__item_size(dtype));
  return t;
}

/* A number becomes a tensor, where somebody is to see it. */
static ct_status show_number(place p, ct_dtype dtype) {
  if (!*p.slot || !ct__is_nil(*p.slot)) return CT_OK;
  *p.slot = tensor_of(dtype, p.number);
  return *p.slot ? CT_OK : CT_ENOMEM;
}

/* A contribution to the cotangent of t, which is a single number. */
static ct_status contribute_number(const reverse *r, const ct_tensor *t, const ct__number *g) {
  const place p = place_of(r, t);
  if (CT__LIKELY(p.number && !*p.slot)) {
    *p.number = *g;
    *p.slot = &ct__nil_tensor;
    return CT_OK;
  }
  if (CT__LIKELY(ct__is_nil(*p.slot))) {
    add_number(t->v.dtype, p.number, g);
    return CT_OK;
  }
  ct_tensor *term = tensor_of(t->v.dtype, g);
  return term ? accumulate(p.slot, term) : CT_ENOMEM;
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
  const place p = place_of(r, t);
  if (status == CT_OK && *p.slot && ct__is_nil(*p.slot)) {
    if (g->buffer)
      add_number(t->v.dtype, p.number, g->v.data);
    else
      status = show_number(p, t->v.dtype);
    if (g->buffer || status != CT_OK) {
      ct__unref(g);
      return status;
    }
  }
  if (status == CT_OK) return accumulate(p.slot, g);
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

/* The same for a call on single numbers (apply.c), whose cotangents nobody needs to see. */
static inline ct_status pull_numbers(const reverse *r, const ct__node *n, int n_in, char *gy) {
  static const int64_t one[4] = {1, 1, 1, 1};
  const ct_call *c = &n->call;
  const ct_tensor *y = n->recipe.out[0];
  const bool pass = c->op->vjp == ct__pass_vjp;
  ct__number g;
  char *p[5] = {gy};
  for (int i = 0; i < n_in; i++) p[1 + i] = c->in[i]->v.data;
  p[1 + n_in] = y->v.data;
  p[2 + n_in] = (char *)&g;
  if (pass) memcpy(&g, gy, ct__item_size(y->v.dtype));
  for (int i = 0; i < n_in; i++) {
    if (!n->want[i]) continue;
    if (!pass) c->op->kernel->partial[i][y->v.dtype](1, p, one, c->attr);
    ct_status status = contribute_number(r, c->in[i], &g);
    if (CT__UNLIKELY(status != CT_OK)) return status;
  }
  return CT_OK;
}

/* Whether it can be pulled back like that. */
static inline bool as_numbers(const reverse *r, const ct__node *n) {
  const ct_call *c = &n->call;
  const ct_tensor *gy = n->slot[0];
  if (!gy || r->recording || !(ct__is_nil(gy) || gy->buffer)) return false;
  if (c->op->vjp) return c->op->vjp == ct__pass_vjp;
  const ct_dtype dtype = n->recipe.out[0]->v.dtype;
  for (int i = 0; i < c->n_in; i++)
    if (!c->op->kernel->partial[i][dtype]) return false;
  return true;
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
  if (n->numbers && as_numbers(r, n)) {
    ct_tensor *gy = n->slot[0];
    char *number = ct__is_nil(gy) ? (char *)&n->number : gy->v.data;
    ct_status status =
        n->call.n_in == 1 ? pull_numbers(r, n, 1, number) : pull_numbers(r, n, 2, number);
    ct__unref(gy);
    n->slot[0] = NULL;
    return status;
  }
  int n_out = n->call.n_out;
  bool present = false;
  for (int o = 0; o < n_out; o++) present |= n->slot[o] != NULL;
  if (!present) return CT_OK;
  ct_status status = CT_OK;
  if (n_out == 1 && ct__is_nil(n->slot[0]))
    status = show_number((place){n->slot, &n->number}, n->recipe.out[0]->v.dtype);
  bool expanded = n->expanded && !ct__has_rule(n->call.op, CT__VJP);
  if (status == CT_OK)
    status = expanded ? pull_through(r, n) : has_loops(n) ? pull_loops(r, n) : pull_rule(r, n);
  ct__slots_clear(n_out, n->slot);
  return status;
}

static ct_status seed(reverse *r, ct_tensor *y, ct_tensor *gy, const char *who) {
  if (ct__walk_target(&r->walk, y) < 0 && !ct__walk_node(&r->walk, y)) return CT_OK;
  ct__ref(gy);
  return contribute(r, y, gy, who);
}

ct_status ct__pull_back(const char *who, ct_list y, ct_list gy, ct_list x, ct_tensor **gx) {
  reverse r = {.recording = ct__recording()};
  ct_status status = ct__walk_begin(&r.walk, who, CT__VJP, y, x);
  if (status != CT_OK) return status;
  size_t bytes = (size_t)x.n * (sizeof *r.target + sizeof *r.number);
  r.target = ct__alloc(bytes);
  if (r.target) {
    memset(r.target, 0, bytes);
    r.number = (ct__number *)(void *)(r.target + x.n);
  } else {
    status = CT_ENOMEM;
  }
  for (int i = 0; i < y.n && status == CT_OK; i++)
    if (gy.at[i]) status = seed(&r, y.at[i], gy.at[i], who);
  for (ct__node *n = r.walk.order; n && status == CT_OK; n = n->link) status = pull(&r, n);
  for (ct__node *n = status == CT_OK ? NULL : r.walk.order; n; n = n->link)
    ct__slots_clear(n->call.n_out, n->slot);
  for (int k = 0; k < x.n && status == CT_OK; k++) {
    int first = ct__walk_target(&r.walk, x.at[k]);
    status = show_number((place){&r.target[first], &r.number[first]}, x.at[k]->v.dtype);
    if (status != CT_OK) break;
    ct_tensor *g = r.target[first];
    gx[k] = g ? ct__derivative(g) : ct__zeros_like(x.at[k]);
    if (ct__is_nil(gx[k])) status = ct__pending(who);
  }
  if (r.target) ct__slots_clear(x.n, r.target);
  ct__free(r.target, bytes);
  ct__walk_end(&r.walk);
  return status;
}
