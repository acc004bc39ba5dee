/* taylor.c - Taylor coefficients of y(x + t v), propagated through the recipe.
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
#include "autograd_internal.h"

typedef struct term term;

/* Coefficients of one tensor, found in order. Made by a term, or the derivative of another series;
 * one with neither is known from the start. A NULL pointer to a series means constant. */
typedef struct series {
  ct_tensor **at; /* NULL: zero */
  int known;
  bool moving; /* depends on a placeholder for a derivative: the tensor itself has no value */
  term *by;
  struct series *primitive;  /* whose derivative this is */
  struct series *derivative; /* which is this one's */
} series;

typedef enum kind { UNKNOWN, AFFINE, PRODUCT, DERIVED } kind;

/* One operation on series. */
struct term {
  ct__node *n;
  kind kind;
  bool moving;
  series **in, **out;
  series **tangent; /* DERIVED: J x' for each output */
  term *next;       /* of equal hash */
};

typedef struct entry {
  const void *key; /* a tensor or a node */
  series **value;  /* of the tensor, or of the node's outputs */
} entry;

enum { BUCKETS = 1024 };

typedef struct taylor {
  int order;
  entry *table; /* open addressing */
  int n_entries, room;
  term *bucket[BUCKETS];
  ct_tensor **held; /* one reference each, until the end */
  int n_held, held_room;
} taylor;

static ct_status coefficient(taylor *t, series *s, int k, ct_tensor **out);

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

/* Keeps x to the end. Also what a table points to must stay, so that no address comes twice. */
static ct_status hold(taylor *t, ct_tensor *x) {
  if (ct__is_nil(x)) return ct__pending("ct_taylor");
  if (t->n_held == t->held_room) {
    ct_tensor **held = grown(t->held, t->n_held, &t->held_room, sizeof *held);
    if (!held) return CT_ENOMEM;
    t->held = held;
  }
  t->held[t->n_held++] = ct_keep(x);
  return CT_OK;
}

/* Zeroed memory that lives to the end; NULL on failure. */
static void *scratch(taylor *t, size_t bytes) {
  ct_tensor *block = ct_zeros(CT_U8, CT_SHAPE((int64_t)bytes));
  return hold(t, block) == CT_OK ? block->v.data : NULL;
}

static entry *find_entry(entry *table, int room, const void *key) {
  size_t at = (size_t)((uintptr_t)key >> 4) * 0x9E3779B97F4A7C15u >> 20;
  while (table[at &= (size_t)room - 1].key && table[at].key != key) at++;
  return &table[at];
}

static ct_status set_series(taylor *t, const void *key, series **value) {
  if (2 * t->n_entries >= t->room) {
    int room = t->room ? 2 * t->room : 64;
    entry *table = ct__alloc((size_t)room * sizeof *table);
    if (!table) return CT_ENOMEM;
    memset(table, 0, (size_t)room * sizeof *table);
    for (int i = 0; i < t->room; i++)
      if (t->table[i].key) *find_entry(table, room, t->table[i].key) = t->table[i];
    if (t->table) ct__free(t->table, (size_t)t->room * sizeof *table);
    t->table = table;
    t->room = room;
  }
  *find_entry(t->table, t->room, key) = (entry){key, value};
  t->n_entries++;
  return CT_OK;
}

/* The series of x, NULL if it is constant. */
static series *series_of(const taylor *t, const ct_tensor *x) {
  if (!t->table || !ct_dtype_is_float(x->v.dtype)) return NULL;
  const entry *e = find_entry(t->table, t->room, x);
  if (e->key) return e->value[0];
  if (!x->recipe) return NULL;
  e = find_entry(t->table, t->room, ct__node_of(x));
  return e->key ? e->value[x->out_index] : NULL;
}

static series *series_new(taylor *t) {
  series *s = scratch(t, sizeof *s);
  if (s) s->at = scratch(t, (size_t)(t->order + 1) * sizeof *s->at);
  return s && s->at ? s : NULL;
}

/* ---- terms ----------------------------------------------------------------------------------- */

static bool same_attr(const ct_call *a, const ct_call *b) {
  if (a->op->attr_size == 0) return true;
  return a->op->attr_equal ? a->op->attr_equal(a->attr, b->attr)
                           : memcmp(a->attr, b->attr, a->op->attr_size) == 0;
}

static bool same_operation(const term *a, const ct_call *c, series *const *in) {
  const ct_call *d = &a->n->call;
  if (d->op != c->op || d->n_in != c->n_in || d->n_out != c->n_out || !same_attr(c, d))
    return false;
  for (int i = 0; i < c->n_in; i++)
    if (a->in[i] != in[i] || (!in[i] && d->in[i] != c->in[i])) return false;
  return true;
}

static unsigned hash(const ct_call *c, series *const *in) {
  uintptr_t h = (uintptr_t)c->op;
  for (int i = 0; i < c->n_in; i++) h = h * 31 + (in[i] ? (uintptr_t)in[i] : (uintptr_t)c->in[i]);
  return (unsigned)(h * 0x9E3779B97F4A7C15u >> 40) % BUCKETS;
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
static series **known_series(taylor *t, ct__node *n, series **in) {
  const ct_call *c = &n->call;
  for (term *k = t->bucket[hash(c, in)]; k; k = k->next)
    if (same_operation(k, c, in)) return k->out;
  const term *before = in[0] ? in[0]->by : NULL;
  return before && before->n->call.op == c->op && undoes_itself(c) ? before->in : NULL;
}

static ct_status term_new(taylor *t, ct__node *n, series **in) {
  const ct_call *c = &n->call;
  term *k = scratch(t, sizeof *k);
  series **out = scratch(t, 2 * (size_t)c->n_out * sizeof *out);
  if (!k || !out) return CT_ENOMEM;
  *k = (term){.n = n, .in = in, .out = out, .tangent = out + c->n_out};
  for (int i = 0; i < c->n_in; i++) k->moving |= in[i] && in[i]->moving;
  for (int o = 0; o < c->n_out; o++) {
    series *s = series_new(t);
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
static ct_status enter(taylor *t, ct__node *n) {
  const ct_call *c = &n->call;
  bool rule = ct__has_rule(c->op, CT__JVP);
  int count = rule ? c->n_in : c->n_out;
  series **in = scratch(t, (size_t)count * sizeof *in);
  if (!in) return CT_ENOMEM;
  bool any = false;
  for (int i = 0; i < count; i++) {
    in[i] = series_of(t, rule ? n->recipe.in[i] : n->recipe.extra[i]);
    any |= in[i] != NULL;
  }
  if (!rule) return set_series(t, n, in); /* the outputs are those of its expansion */
  if (!any) return CT_OK;
  series **known = known_series(t, n, in);
  return known ? set_series(t, n, known) : term_new(t, n, in);
}

/* The calls of a walk, inputs first: a copy, because the walk's own list lies in the calls, where
 * later walks write. */
static ct__node **copy_order(taylor *t, ct__walk *w, int *n) {
  *n = 0;
  for (const ct__node *k = w->order; k; k = k->link) ++*n;
  ct__node **order = scratch(t, (size_t)*n * sizeof *order + 1);
  int at = *n;
  for (ct__node *k = w->order; order && k; k = k->link) order[--at] = k;
  return order;
}

static ct_status enter_all(taylor *t, ct__node *const *order, int n) {
  ct_status status = CT_OK;
  for (int i = 0; i < n && status == CT_OK; i++) status = enter(t, order[i]);
  return status;
}

/* ---- what kind of recurrence ----------------------------------------------------------------- */

/* Whether the recipe of a tangent refers to nothing that changes but its first n targets. */
static bool is_constant_map(const taylor *t, const ct__walk *w, ct__node *const *order, int n_order,
                            int n) {
  for (int i = 0; i < n_order; i++)
    for (int k = 0; ct__has_rule(order[i]->call.op, CT__JVP) && k < order[i]->call.n_in; k++) {
      const ct_tensor *x = order[i]->recipe.in[k];
      int at = ct__walk_target(w, x);
      if ((at < 0 || at >= n) && series_of(t, x)) return false;
    }
  return true;
}

static series *derivative_of(taylor *t, series *s) {
  if (s->derivative) return s->derivative;
  series *d = series_new(t);
  if (!d) return NULL;
  d->primitive = s;
  d->moving = true;
  return s->derivative = d;
}

/* The derivative series of the inputs; key: the placeholders that stand for them. */
static ct_status enter_derivatives(taylor *t, const term *k, ct_tensor *const *dx) {
  ct_status status = CT_OK;
  for (int i = 0; i < k->n->call.n_in && status == CT_OK; i++) {
    if (!dx[i]) continue;
    series **s = scratch(t, sizeof *s);
    if (!s || !(*s = derivative_of(t, k->in[i]))) return CT_ENOMEM;
    status = hold(t, dx[i]);
    if (status == CT_OK) status = set_series(t, dx[i], s);
  }
  return status;
}

/* Decides on the recipe of dy, and enters it unless the Jacobian is constant. `cuts`: room for the
 * walk's targets, which begin with the n placeholders. */
static ct_status classify_recipe(taylor *t, term *k, ct_tensor *const *dx, ct_tensor **dy,
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
  k->kind = constant ? AFFINE : DERIVED;
  if (constant) return CT_OK;
  status = enter_derivatives(t, k, dx);
  if (status == CT_OK) status = enter_all(t, order, n_order);
  for (int o = 0; o < c->n_out && status == CT_OK; o++) {
    if (!dy[o]) continue;
    status = hold(t, dy[o]);
    k->tangent[o] = series_of(t, dy[o]);
  }
  return status;
}

/* Builds the forward rule on placeholders, recorded whatever the caller wants. */
static ct_status classify_rule(taylor *t, term *k) {
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

/* An elementwise operation whose derivatives are the other inputs is a product. */
static bool is_product(const ct_call *c) {
  return c->n_in == 2 && c->op->partial && c->op->partial(c, 0) == c->in[1] &&
         c->op->partial(c, 1) == c->in[0];
}

static ct_status classify(taylor *t, term *k) {
  const ct_call *c = &k->n->call;
  int changing = 0;
  bool linear = !c->op->jvp && !c->op->partial; /* in each of those, the others held */
  for (int i = 0; i < c->n_in; i++) {
    changing += k->in[i] != NULL;
    linear &= !k->in[i] || (c->op->linear >> i & 1);
  }
  if (c->op->jvp == ct__jvp_joint || (linear && changing == 1))
    k->kind = AFFINE;
  else if (changing == 2 && (linear || is_product(c)))
    k->kind = PRODUCT;
  return k->kind == UNKNOWN ? classify_rule(t, k) : CT_OK;
}

/* ---- coefficients ---------------------------------------------------------------------------- */

/* Coefficient 0 is the value: the tensor itself, or made anew where that has none. */
static ct_status value(taylor *t, term *k, ct_tensor **y) {
  const ct_call *c = &k->n->call;
  for (int o = 0; !k->moving && o < c->n_out; o++) y[o] = ct_out(c, o);
  if (!k->moving) return CT_OK;
  size_t bytes = (size_t)c->n_in * sizeof(ct_tensor *);
  ct_tensor **in = ct__alloc(bytes);
  if (!in) return CT_ENOMEM;
  ct_status status = CT_OK;
  for (int i = 0; i < c->n_in && status == CT_OK; i++) {
    in[i] = c->in[i];
    if (!k->in[i]) continue;
    status = coefficient(t, k->in[i], 0, &in[i]);
    if (!in[i]) in[i] = ct__zeros_like(c->in[i]);
  }
  if (status == CT_OK) status = ct__apply(c->op, c->attr, c->n_in, in, y);
  ct__free(in, bytes);
  return status;
}

/* y_j = J x_j */
static ct_status affine(taylor *t, const term *k, int j, ct_tensor **y) {
  int n_in = k->n->call.n_in;
  size_t bytes = (size_t)n_in * sizeof(ct_tensor *);
  ct_tensor **dx = ct__alloc(bytes);
  if (!dx) return CT_ENOMEM;
  memset(dx, 0, bytes);
  bool any = false;
  ct_status status = CT_OK;
  for (int i = 0; i < n_in && status == CT_OK; i++) {
    if (k->in[i]) status = coefficient(t, k->in[i], j, &dx[i]);
    any |= dx[i] != NULL;
  }
  if (status == CT_OK && any) ct__jvp_rule(k->n, dx, y);
  ct__free(dx, bytes);
  return status;
}

/* y_j = sum over i of op(a_i, b_{j-i}) */
static ct_status product(taylor *t, const term *k, int j, ct_tensor **y) {
  const ct_call *c = &k->n->call;
  int a = 0, b = c->n_in - 1;
  while (!k->in[a]) a++;
  while (!k->in[b]) b--;
  size_t bytes = (size_t)c->n_in * sizeof(ct_tensor *);
  ct_tensor **in = ct__alloc(bytes);
  if (!in) return CT_ENOMEM;
  memcpy(in, c->in, bytes);
  ct_status status = CT_OK;
  for (int i = 0; i <= j && status == CT_OK; i++) {
    status = coefficient(t, k->in[a], i, &in[a]);
    if (status == CT_OK) status = coefficient(t, k->in[b], j - i, &in[b]);
    if (status != CT_OK || !in[a] || !in[b]) continue;
    ct_tensor *one =
        c->op->partial ? ct_mul(in[a], in[b]) : ct__apply1(c->op, c->attr, c->n_in, in);
    y[0] = y[0] ? ct_add(y[0], one) : one;
  }
  ct__free(in, bytes);
  return status;
}

/* y_j = 1/j (J x')_{j-1} */
static ct_status derived(taylor *t, const term *k, int j, ct_tensor **y) {
  ct_status status = CT_OK;
  for (int o = 0; o < k->n->call.n_out && status == CT_OK; o++) {
    if (!k->tangent[o]) continue;
    status = coefficient(t, k->tangent[o], j - 1, &y[o]);
    if (status == CT_OK && y[o] && j > 1) y[o] = ct_scale(y[o], 1.0 / j);
  }
  return status;
}

/* Coefficient j of all outputs of a term. */
static ct_status find_next(taylor *t, term *k, int j, ct_tensor **y) {
  if (j == 0) return value(t, k, y);
  ct_status status = k->kind == UNKNOWN ? classify(t, k) : CT_OK;
  if (status != CT_OK) return status;
  switch (k->kind) {
  case AFFINE: return affine(t, k, j, y);
  case PRODUCT: return product(t, k, j, y);
  case DERIVED: return derived(t, k, j, y);
  case UNKNOWN: break;
  }
  return status;
}

/* Keeps what was found; a rule may give what only broadcasts to the output. */
static ct_status store(taylor *t, const term *k, int j, ct_tensor *const *y) {
  ct_status status = CT_OK;
  for (int o = 0; o < k->n->call.n_out && status == CT_OK; o++) {
    ct_tensor *c = y[o];
    const ct_tensor *like = ct_out(&k->n->call, o);
    if (c && !ct__is_nil(c) && !ct__same_shape(&c->v, &like->v))
      c = ct_broadcast_to(c, ct__shape_of_view(&like->v));
    if (c) status = hold(t, c);
    k->out[o]->at[j] = c;
    k->out[o]->known = j + 1;
  }
  return status;
}

static ct_status extend(taylor *t, series *s, int j) {
  ct_tensor *few[4] = {0}, **y = few;
  ct_status status = CT_OK;
  if (s->primitive) {
    status = coefficient(t, s->primitive, j + 1, &y[0]);
    if (status == CT_OK && y[0] && j > 0) y[0] = ct_scale(y[0], j + 1);
    if (status == CT_OK && y[0]) status = hold(t, y[0]);
    s->at[j] = y[0];
    s->known = j + 1;
    return status;
  }
  int n_out = s->by->n->call.n_out;
  size_t bytes = (size_t)n_out * sizeof(ct_tensor *);
  if (n_out > 4) y = ct__alloc(bytes);
  if (!y) return CT_ENOMEM;
  memset(y, 0, bytes);
  ct_scope scope = ct_scope_begin(); /* for what is only on the way to the coefficient */
  status = find_next(t, s->by, j, y);
  if (status == CT_OK) status = store(t, s->by, j, y);
  ct_status end = ct_scope_end(scope);
  if (y != few) ct__free(y, bytes);
  return status == CT_OK ? end : status;
}

static ct_status coefficient(taylor *t, series *s, int k, ct_tensor **out) {
  ct_status status = CT_OK;
  while (s->known <= k && status == CT_OK) status = extend(t, s, s->known);
  *out = status == CT_OK ? s->at[k] : NULL;
  return status;
}

/* ---- the public face ------------------------------------------------------------------------- */

static ct_status check_arguments(const ct_tensor *y, const ct_tensor *x, const ct_tensor *v,
                                 int order, ct_tensor **c) {
  static const char who[] = "ct_taylor";
  ct_tensor *all[] = {(ct_tensor *)(uintptr_t)y, (ct_tensor *)(uintptr_t)x,
                      (ct_tensor *)(uintptr_t)v};
  ct_status status = ct__check_list(who, "y, x and v", (ct_list){3, all});
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
static ct_status begin(taylor *t, ct_tensor *y, ct_tensor *x, ct_tensor *v, ct__node ***order,
                       int *n) {
  series **s = scratch(t, sizeof *s);
  if (!s || !(*s = series_new(t))) return CT_ENOMEM;
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
static ct_status run(taylor *t, ct_tensor *y, ct_tensor *x, ct_tensor *v, ct_tensor **c) {
  ct__node **order;
  int n;
  ct_status status = begin(t, y, x, v, &order, &n);
  series *s = status == CT_OK ? series_of(t, y) : NULL;
  for (int k = 0; k <= t->order && status == CT_OK; k++) {
    ct_tensor *found;
    for (int i = 0; i < n && status == CT_OK; i++) {
      const entry *e = find_entry(t->table, t->room, order[i]);
      series **out = e->key ? e->value : NULL; /* the table may move */
      for (int o = 0; out && o < order[i]->call.n_out && status == CT_OK; o++)
        if (out[o]) status = coefficient(t, out[o], k, &found);
    }
    found = k == 0 ? y : NULL;
    if (status == CT_OK && s) status = coefficient(t, s, k, &found);
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
  taylor t = {.order = order};
  status = run(&t, y, x, v, c);
  for (int i = 0; i < t.n_held; i++) ct_release(&t.held[i]);
  if (t.held) ct__free(t.held, (size_t)t.held_room * sizeof *t.held);
  if (t.table) ct__free(t.table, (size_t)t.room * sizeof *t.table);
  return ct__scope_return_all(scope, status, order + 1, c);
}

ct_status ct_taylor(ct_tensor *y, ct_tensor *x, ct_tensor *v, int order, ct_tensor **c) {
  bool was = ct__status_begin();
  return ct__status_end(was, expand(y, x, v, order, c));
}
