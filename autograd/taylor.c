/* taylor.c - Taylor coefficients of y(x + t v), propagated through the recipe: which series there
 * are, and by what recurrence each is found. taylor_coefficients.c finds them.
 *
 * Each tensor on the way is a series in t. With coefficients y_k, and x'_k = (k + 1) x_{k+1} those
 * of the derivative of x:
 *
 *   constant Jacobian J   y_k = J x_k
 *   product, bilinear     y_k = sum over i + j = k of op(a_i, b_j)
 *   anything else         y_k = 1/k (J x')_{k-1}
 *
 * J x' is the operation's own forward rule on a placeholder for x', a small recipe whose tensors
 * are series too: so every derivative rule is a recurrence as well (Griewank and Walther,
 * Evaluating Derivatives, chapter 13, derives them by hand in the same way). Rules refer to y and
 * to functions of x, which lead to new rules; equal operations on equal series share one series, so
 * that these close: sin to cos to sin. Coefficients are found when they are asked for.
 */
#include "taylor.h"

#include "ops/products.h"

/* ---- memory ---------------------------------------------------------------------------------- */

/* A table of twice the room; the old one is freed. NULL on failure. */
static void *grown(void *old, int n, int *room, size_t size) {
  int wider = *room ? 2 * *room : 64;
  char *block = ct__alloc((size_t)wider * size);
  if (!block) return NULL;
  memset(block, 0, (size_t)wider * size);
  if (old) {
    memcpy(block, old, (size_t)n * size);
    ct__free(old, (size_t)*room * size);
  }
  *room = wider;
  return block;
}

ct_status ct__taylor_hold(ct__taylor *t, ct_tensor *x) {
  if (ct__is_nil(x)) return ct__pending("ct_taylor");
  if (t->n_held == t->held_room) {
    ct_tensor **held = grown(t->held, t->n_held, &t->held_room, sizeof *held);
    if (!held) return CT_ENOMEM;
    t->held = held;
  }
  t->held[t->n_held++] = ct_keep(x);
  return CT_OK;
}

void *ct__taylor_scratch(ct__taylor *t, size_t bytes) {
  ct_tensor *block = ct_zeros(CT_U8, CT_SHAPE((int64_t)bytes));
  return ct__taylor_hold(t, block) == CT_OK ? block->v.data : NULL;
}

static ct__taylor_entry *find_entry(ct__taylor_entry *table, int room, const void *key) {
  size_t at = (size_t)((uintptr_t)key >> 4) * 0x9E3779B97F4A7C15u >> 20;
  while (table[at &= (size_t)room - 1].key && table[at].key != key) at++;
  return &table[at];
}

static ct_status set_series(ct__taylor *t, const void *key, ct__series **value) {
  if (2 * t->n_entries >= t->room) {
    int room = t->room ? 2 * t->room : 64;
    ct__taylor_entry *table = ct__alloc((size_t)room * sizeof *table);
    if (!table) return CT_ENOMEM;
    memset(table, 0, (size_t)room * sizeof *table);
    for (int i = 0; i < t->room; i++)
      if (t->table[i].key) *find_entry(table, room, t->table[i].key) = t->table[i];
    if (t->table) ct__free(t->table, (size_t)t->room * sizeof *table);
    t->table = table;
    t->room = room;
  }
  *find_entry(t->table, t->room, key) = (ct__taylor_entry){key, value};
  t->n_entries++;
  return CT_OK;
}

/* The series of x, NULL if it is constant. */
static ct__series *series_of(const ct__taylor *t, const ct_tensor *x) {
  if (!t->table || !ct_dtype_is_float(x->v.dtype)) return NULL;
  const ct__taylor_entry *e = find_entry(t->table, t->room, x);
  if (e->key) return e->value[0];
  if (!x->recipe) return NULL;
  e = find_entry(t->table, t->room, ct__node_of(x));
  return e->key ? e->value[x->out_index] : NULL;
}

ct__series *ct__series_new(ct__taylor *t) {
  ct__series *s = ct__taylor_scratch(t, sizeof *s + (size_t)(t->order + 1) * sizeof *s->at);
  if (s) s->at = (ct_tensor **)(void *)(s + 1);
  return s;
}

ct__series *ct__series_derivative(ct__taylor *t, ct__series *s) {
  if (s->derivative) return s->derivative;
  ct__series *d = ct__series_new(t);
  if (!d) return NULL;
  d->primitive = s;
  d->moving = true;
  return s->derivative = d;
}

/* ---- terms ----------------------------------------------------------------------------------- */

static bool same_operation(const ct__term *a, const ct_call *c, ct__series *const *in) {
  const ct_call *d = &a->n->call;
  if (d->op != c->op || d->n_in != c->n_in || d->n_out != c->n_out ||
      !ct__attr_equal(c->op, c->attr, d->attr))
    return false;
  for (int i = 0; i < c->n_in; i++)
    if (a->in[i] != in[i] || (!in[i] && d->in[i] != c->in[i])) return false;
  return true;
}

static unsigned hash(const ct_call *c, ct__series *const *in) {
  uintptr_t h = (uintptr_t)c->op;
  for (int i = 0; i < c->n_in; i++) h = h * 31 + (in[i] ? (uintptr_t)in[i] : (uintptr_t)c->in[i]);
  return (unsigned)(h * 0x9E3779B97F4A7C15u >> 40) % CT__BUCKETS;
}

/* An operation whose derivative is -1 everywhere undoes itself: its twice is x again. */
static bool undoes_itself(const ct_call *c) {
  if (c->n_in != 1 || c->n_out != 1 || c->op->attr_size || !c->op->partial) return false;
  const ct_tensor *p = c->op->partial(c, 0);
  double slope = 0;
  if (ct__is_nil(p) || (p->flags & CT__RECORDED) || !p->buffer || p->v.size != 1) return false;
  return ct_item(p, &slope) == CT_OK && slope == -1;
}

/* The series that operation n gives when applied to these, if there is one already. */
static ct__series **known_series(ct__taylor *t, ct__node *n, ct__series **in) {
  const ct_call *c = &n->call;
  for (ct__term *k = t->bucket[hash(c, in)]; k; k = k->next)
    if (same_operation(k, c, in)) return k->out;
  const ct__term *before = in[0] ? in[0]->by : NULL;
  return before && before->n->call.op == c->op && undoes_itself(c) ? before->in : NULL;
}

static ct_status term_new(ct__taylor *t, ct__node *n, ct__series **in) {
  const ct_call *c = &n->call;
  ct__term *k = ct__taylor_scratch(t, sizeof *k);
  ct__series **out = ct__taylor_scratch(t, 2 * (size_t)c->n_out * sizeof *out);
  if (!k || !out) return CT_ENOMEM;
  *k = (ct__term){.n = n, .in = in, .out = out, .tangent = out + c->n_out};
  for (int i = 0; i < c->n_in; i++) k->moving |= in[i] && in[i]->moving;
  for (int o = 0; o < c->n_out; o++) {
    ct__series *s = ct__series_new(t);
    if (!s) return CT_ENOMEM;
    s->by = k;
    s->moving = k->moving;
    out[o] = s;
  }
  unsigned at = hash(c, in);
  k->next = t->bucket[at];
  t->bucket[at] = k;
  return set_series(t, n, out);
}

/* Makes the node's outputs series; they stay constants if all inputs are. */
static ct_status enter(ct__taylor *t, ct__node *n) {
  const ct_call *c = &n->call;
  bool rule = ct__has_rule(c->op, CT__JVP);
  int count = rule ? c->n_in : c->n_out;
  ct__series **in = ct__taylor_scratch(t, (size_t)count * sizeof *in);
  if (!in) return CT_ENOMEM;
  bool any = false;
  for (int i = 0; i < count; i++) {
    in[i] = series_of(t, rule ? n->recipe.in[i] : n->recipe.extra[i]);
    any |= in[i] != NULL;
  }
  if (!rule) return set_series(t, n, in); /* the outputs are those of its expansion */
  if (!any) return CT_OK;
  ct__series **known = known_series(t, n, in);
  return known ? set_series(t, n, known) : term_new(t, n, in);
}

/* The calls of a walk, inputs first: a copy, because the walk's own list lies in the calls, where
 * later walks write. */
static ct__node **copy_order(ct__taylor *t, ct__walk *w, int *n) {
  *n = 0;
  for (const ct__node *k = w->order; k; k = k->link) ++*n;
  ct__node **order = ct__taylor_scratch(t, (size_t)*n * sizeof *order + 1);
  int at = *n;
  for (ct__node *k = w->order; order && k; k = k->link) order[--at] = k;
  return order;
}

static ct_status enter_all(ct__taylor *t, ct__node *const *order, int n) {
  ct_status status = CT_OK;
  for (int i = 0; i < n && status == CT_OK; i++) status = enter(t, order[i]);
  return status;
}

/* ---- what kind of recurrence ----------------------------------------------------------------- */

/* Whether the recipe of a tangent refers to nothing that changes but its first n targets. */
static bool is_constant_map(const ct__taylor *t, const ct__walk *w, ct__node *const *order,
                            int n_order, int n) {
  for (int i = 0; i < n_order; i++)
    for (int k = 0; ct__has_rule(order[i]->call.op, CT__JVP) && k < order[i]->call.n_in; k++) {
      const ct_tensor *x = order[i]->recipe.in[k];
      int at = ct__walk_target(w, x);
      if ((at < 0 || at >= n) && series_of(t, x)) return false;
    }
  return true;
}

/* The derivative series of the inputs; key: the placeholders that stand for them. */
static ct_status enter_derivatives(ct__taylor *t, const ct__term *k, ct_tensor *const *dx) {
  ct_status status = CT_OK;
  for (int i = 0; i < k->n->call.n_in && status == CT_OK; i++) {
    if (!dx[i]) continue;
    ct__series **s = ct__taylor_scratch(t, sizeof *s);
    if (!s || !(*s = ct__series_derivative(t, k->in[i]))) return CT_ENOMEM;
    status = ct__taylor_hold(t, dx[i]);
    if (status == CT_OK) status = set_series(t, dx[i], s);
  }
  return status;
}

/* Decides on the recipe of dy, and enters it unless the Jacobian is constant. `cuts`: room for the
 * walk's targets, which begin with the n placeholders. */
static ct_status classify_recipe(ct__taylor *t, ct__term *k, ct_tensor *const *dx, ct_tensor **dy,
                                 ct_tensor **cuts, int n) {
  const ct_call *c = &k->n->call;
  ct_list y = {0, dy + c->n_out};
  int n_cuts = n;
  for (int i = 0; i < c->n_in; i++) cuts[n_cuts++] = c->in[i];
  for (int o = 0; o < c->n_out; o++) cuts[n_cuts++] = ct_out(c, o);
  for (int o = 0; o < c->n_out; o++) {
    if (dy[o] && ct__is_nil(dy[o])) return ct__pending("ct_taylor");
    if (dy[o]) dy[c->n_out + y.n++] = dy[o];
  }
  ct__walk w;
  ct_status status = ct__walk_begin(&w, "ct_taylor", CT__JVP, y, (ct_list){n_cuts, cuts});
  if (status != CT_OK) return status;
  int n_order;
  ct__node **order = copy_order(t, &w, &n_order);
  bool constant = order && is_constant_map(t, &w, order, n_order, n);
  ct__walk_end(&w);
  if (!order) return CT_ENOMEM;
  k->kind = constant ? CT__AFFINE : CT__DERIVED;
  if (constant) return CT_OK;
  status = enter_derivatives(t, k, dx);
  if (status == CT_OK) status = enter_all(t, order, n_order);
  for (int o = 0; o < c->n_out && status == CT_OK; o++) {
    if (!dy[o]) continue;
    status = ct__taylor_hold(t, dy[o]);
    k->tangent[o] = series_of(t, dy[o]);
  }
  return status;
}

/* Builds the forward rule on placeholders, recorded whatever the caller wants. */
static ct_status classify_rule(ct__taylor *t, ct__term *k) {
  const ct_call *c = &k->n->call;
  int n = 0, ins = c->n_in, outs = c->n_out;
  size_t bytes = (size_t)(3 * ins + 3 * outs) * sizeof(ct_tensor *);
  ct_tensor **dx = ct__alloc(bytes), **dy = dx + ins, **cuts = dy + 2 * outs;
  if (!dx) return CT_ENOMEM;
  memset(dx, 0, bytes);
  bool was = ct__set_recording(true);
  ct_status status = CT_OK;
  for (int i = 0; i < ins && status == CT_OK; i++) {
    if (!k->in[i]) continue;
    cuts[n++] = dx[i] = ct_placeholder(c->in[i]->v.dtype, ct__shape_of_view(&c->in[i]->v));
    if (ct__is_nil(dx[i])) status = ct__pending("ct_taylor");
  }
  if (status == CT_OK) {
    ct__jvp_rule(k->n, dx, dy);
    status = classify_recipe(t, k, dx, dy, cuts, n);
  }
  ct__set_recording(was);
  ct__free(dx, bytes);
  return status;
}

/* What a b is multiplied by in an elementwise operation on two inputs; 0 if that is not what it
 * does. Linear in each they are: then the factor is the value at (1, 1). */
static double factor_of_product(const ct_call *c, bool linear) {
  if (c->n_in != 2 || !(c->op->flags & CT_ELEMENTWISE)) return 0;
  if (c->op->partial)
    return c->op->partial(c, 0) == c->in[1] && c->op->partial(c, 1) == c->in[0] ? 1 : 0;
  if (!linear || !c->op->kernel || !c->op->kernel->loop[CT_F64]) return 0;
  double one = 1, y = 0;
  char *const p[] = {(char *)&one, (char *)&one, (char *)&y};
  c->op->kernel->loop[CT_F64](1, p, (const int64_t[]){1, 1, 1}, c->attr);
  return y;
}

ct_status ct__taylor_classify(ct__taylor *t, ct__term *k) {
  const ct_call *c = &k->n->call;
  int changing = 0;
  bool linear = !c->op->jvp && !c->op->partial; /* in each of those, the others held */
  for (int i = 0; i < c->n_in; i++) {
    changing += k->in[i] != NULL;
    linear &= !k->in[i] || (c->op->linear >> i & 1);
  }
  if (changing == 2) k->factor = factor_of_product(c, linear);
  if (k->factor != 0 || c->op == &ct__products_op)
    k->kind = CT__PRODUCTS;
  else if (c->op->jvp == ct__jvp_joint || (linear && changing == 1))
    k->kind = CT__AFFINE;
  else if (linear && changing == 2)
    k->kind = CT__BILINEAR;
  return k->kind == CT__UNKNOWN ? classify_rule(t, k) : CT_OK;
}

/* ---- the public face ------------------------------------------------------------------------- */

static ct_status check_arguments(const ct_tensor *y, const ct_tensor *x, const ct_tensor *v,
                                 int order, ct_tensor **c) {
  static const char who[] = "ct_taylor";
  ct_status status = ct__check_tensor(who, "y", y);
  if (status == CT_OK) status = ct__check_tensor(who, "x", x);
  if (status == CT_OK) status = ct__check_tensor(who, "v", v);
  if (status != CT_OK) return status;
  if (order < 0 || !c)
    return ct__fail_status(CT_EARG, "%s: want an order >= 0, not %d, and room for results", who,
                           order);
  if (!ct_dtype_is_float(y->v.dtype) || !ct_dtype_is_float(x->v.dtype) || v->v.dtype != x->v.dtype)
    return ct__fail_status(CT_EDTYPE, "%s: want floats, v as x; got %s, %s and %s", who,
                           ct_dtype_name(y->v.dtype), ct_dtype_name(x->v.dtype),
                           ct_dtype_name(v->v.dtype));
  char a[CT__SHAPE_TEXT], b[CT__SHAPE_TEXT];
  if (!ct__same_shape(&x->v, &v->v))
    return ct__fail_status(CT_ESHAPE, "%s: want v in the shape of x, got %s and %s", who,
                           ct__shape_text(a, v->v.ndim, v->v.dim),
                           ct__shape_text(b, x->v.ndim, x->v.dim));
  if (!(x->flags & CT__RECORDED) || (y->flags & CT__CUT))
    return ct__fail_status(CT_ERECORD, "%s: %s is not recorded", who,
                           y->flags & CT__CUT ? "y" : "x");
  return CT_OK;
}

/* The series of the recipe between x and y. */
static ct_status begin(ct__taylor *t, ct_tensor *y, ct_tensor *x, ct_tensor *v, ct__node ***order,
                       int *n) {
  ct__series **s = ct__taylor_scratch(t, sizeof *s);
  if (!s || !(*s = ct__series_new(t))) return CT_ENOMEM;
  (*s)->at[0] = x;
  if (t->order > 0) (*s)->at[1] = v;
  (*s)->known = t->order + 1;
  ct_status status = set_series(t, x, s);
  ct__walk w;
  if (status == CT_OK) status = ct__walk_begin(&w, "ct_taylor", CT__JVP, CT_LIST(y), CT_LIST(x));
  if (status != CT_OK) return status;
  *order = copy_order(t, &w, n);
  ct__walk_end(&w);
  return *order ? enter_all(t, *order, *n) : CT_ENOMEM;
}

/* Order by order, and inputs first, so that no call has to reach far down. */
static ct_status run(ct__taylor *t, ct_tensor *y, ct_tensor *x, ct_tensor *v, ct_tensor **c) {
  ct__node **order = NULL;
  int n;
  ct_status status = begin(t, y, x, v, &order, &n);
  ct__series *s = status == CT_OK ? series_of(t, y) : NULL;
  for (int k = 0; k <= t->order && status == CT_OK; k++) {
    ct_tensor *found;
    for (int i = 0; i < n && status == CT_OK; i++) {
      const ct__taylor_entry *e = find_entry(t->table, t->room, order[i]);
      ct__series **out = e->key ? e->value : NULL; /* the table may move */
      for (int o = 0; out && o < order[i]->call.n_out && status == CT_OK; o++)
        if (out[o]) status = ct__taylor_coefficient(t, out[o], k, &found);
    }
    found = k == 0 ? y : NULL;
    if (status == CT_OK && s) status = ct__taylor_coefficient(t, s, k, &found);
    if (status != CT_OK) break;
    c[k] = found ? ct_reshape(found, ct__shape_of_view(&y->v)) : ct__zeros_like(y);
    if (ct__is_nil(c[k])) status = ct__pending("ct_taylor");
  }
  return status;
}

static ct_status expand(ct_tensor *y, ct_tensor *x, ct_tensor *v, int order, ct_tensor **c) {
  for (int k = 0; c && k <= order; k++) c[k] = ct_nil();
  ct_status status = check_arguments(y, x, v, order, c);
  if (status != CT_OK) return status;
  ct_scope scope = ct_scope_begin();
  ct__taylor t = {.order = order};
  status = run(&t, y, x, v, c);
  for (int i = 0; i < t.n_held; i++) ct_release(&t.held[i]);
  if (t.held) ct__free(t.held, (size_t)t.held_room * sizeof *t.held);
  if (t.table) ct__free(t.table, (size_t)t.room * sizeof *t.table);
  return ct__scope_return_all(scope, status, order + 1, c);
}

ct_status ct_taylor(ct_tensor *y, ct_tensor *x, ct_tensor *v, int order, ct_tensor **c) {
  bool was = ct__status_begin();
  return ct__status_end("ct_taylor", was, expand(y, x, v, order, c));
}
