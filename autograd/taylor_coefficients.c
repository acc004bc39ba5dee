/* taylor_coefficients.c - the coefficients of the series of taylor.c, in order.
 *
 * A sum over i + j = k is one operation (ops/products.c), so the number of operations grows with
 * the order, not with its square.
 *
 * Some rules never close: a^b leads to a^(b-1), polygamma n to n + 1. For these the derivatives at
 * x_0 are found first, and the sum over m of y^(m) P_m, with P_m = (x - x_0)^m / m!, has the
 * coefficients of y. P_m' = x' P_{m-1}: coefficient j of all m is one operation too.
 */
#include "taylor.h"

#include "ops/products.h"

/* ---- coefficients ---------------------------------------------------------------------------- */

/* Coefficient 0 is the value: the tensor itself, or made anew where that has none. */
static ct_status value(ct__taylor *t, ct__term *k, ct_tensor **y) {
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
    status = ct__taylor_coefficient(t, k->in[i], 0, &in[i]);
    if (!in[i]) in[i] = ct__zeros_like(c->in[i]);
  }
  if (status == CT_OK) status = ct__apply(c->op, c->attr, c->n_in, in, y);
  ct__free(in, bytes);
  return status;
}

/* y_j = J x_j */
static ct_status affine(ct__taylor *t, const ct__term *k, int j, ct_tensor **y) {
  int n_in = k->n->call.n_in;
  size_t bytes = (size_t)n_in * sizeof(ct_tensor *);
  ct_tensor **dx = ct__alloc(bytes);
  if (!dx) return CT_ENOMEM;
  memset(dx, 0, bytes);
  bool any = false;
  ct_status status = CT_OK;
  for (int i = 0; i < n_in && status == CT_OK; i++) {
    if (k->in[i]) status = ct__taylor_coefficient(t, k->in[i], j, &dx[i]);
    any |= dx[i] != NULL;
  }
  if (status == CT_OK && any) ct__jvp_rule(k->n, dx, y);
  ct__free(dx, bytes);
  return status;
}

/* ---- products -------------------------------------------------------------------------------- */

/* Finds the coefficients of s up to m. */
static ct_status find_up_to(ct__taylor *t, ct__series *s, int m) {
  ct_tensor *found;
  for (; s && s->primitive; s = s->primitive) m++;
  return s ? ct__taylor_coefficient(t, s, m, &found) : CT_OK;
}

/* Coefficient i of input `at`, if found; a constant has but the first. That of a derivative is one
 * of the primitive, and the factor that this lacks goes to *weight. */
static ct_tensor *factor_of(const ct__term *k, int at, int i, double *weight) {
  const ct__series *s = k->in[at];
  if (!s) return i == 0 ? k->n->call.in[at] : NULL;
  for (; s->primitive; s = s->primitive) *weight *= ++i;
  return s->at[i];
}

/* The terms of a call: those of the record, or one. */
static const ct__sum_term *terms_of(const ct_call *c, int *n) {
  static const ct__sum_term one = {1, 0};
  *n = 1;
  return c->op == &ct__products_op ? ct__products_of(c, n) : &one;
}

/* y = 1/divisor times coefficient m of a sum of products */
static ct_status convolve(ct__taylor *t, const ct__term *k, int m, int divisor, ct_tensor **y) {
  int n;
  const ct_call *c = &k->n->call;
  const ct__sum_term *term = terms_of(c, &n);
  double scale = (k->factor != 0 ? k->factor : 1) / divisor;
  ct__sums s;
  ct_status status = CT_OK;
  for (int i = 0; i < c->n_in && status == CT_OK; i++) status = find_up_to(t, k->in[i], m);
  if (status == CT_OK) status = ct__sums_begin(&s, c->n_out, (int64_t)n * (m + 1));
  if (status != CT_OK) return status;
  for (int p = 0; p < n; p++)
    for (int i = 0; i <= m; i++) {
      double weight = term[p].weight * scale;
      ct_tensor *a = factor_of(k, 2 * p, i, &weight), *b = factor_of(k, 2 * p + 1, m - i, &weight);
      if (a && b) ct__sums_add(&s, (int)term[p].sum, weight, a, b);
    }
  return ct__sums_end(&s, status, y);
}

/* The same of any bilinear operation: its results are summed as products with 1. */
static ct_status bilinear(ct__taylor *t, const ct__term *k, int m, ct_tensor **y) {
  const ct_call *c = &k->n->call;
  int a = 0, b = c->n_in - 1;
  while (!k->in[a]) a++;
  while (!k->in[b]) b--;
  size_t bytes = (size_t)c->n_in * sizeof(ct_tensor *);
  ct_tensor **in = ct__alloc(bytes), *one = ct_scalar(ct_out(c, 0)->v.dtype, 1), *last = NULL;
  ct__sums s = {0};
  ct_status status = in ? find_up_to(t, k->in[a], m) : CT_ENOMEM;
  if (status == CT_OK) status = find_up_to(t, k->in[b], m);
  if (status == CT_OK) status = ct__sums_begin(&s, 1, m + 1);
  double weight = 1;
  for (int i = 0; i <= m && status == CT_OK; i++) {
    double w = 1;
    memcpy(in, c->in, bytes);
    in[a] = factor_of(k, a, i, &w);
    in[b] = factor_of(k, b, m - i, &w);
    if (!in[a] || !in[b]) continue;
    last = ct__apply1(c->op, c->attr, c->n_in, in);
    ct__sums_add(&s, 0, weight = w, last, one);
  }
  bool alone = s.n == 1 && weight == 1;
  if (alone) s.n = 0;
  status = ct__sums_end(&s, status, y);
  if (alone) *y = last;
  ct__free(in, bytes);
  return status;
}

/* ---- chains that do not close ---------------------------------------------------------------- */

/* The one input that is a series; -1 if there are several. */
static int only_input(const ct__term *k) {
  int at = -1;
  for (int i = 0; i < k->n->call.n_in; i++) {
    if (k->in[i] && at >= 0) return -1;
    if (k->in[i]) at = i;
  }
  return at;
}

/* J factor for a term of one input with a constant Jacobian; a factor of NULL is ones, a result of
 * NULL zeros. */
static ct_tensor *factor_through(const ct__term *k, ct_tensor *factor) {
  const ct_call *c = &k->n->call;
  ct_tensor *dx[CT__MAX_OPERANDS] = {0}, *y = NULL;
  int at = only_input(k);
  dx[at] = factor ? factor : ct_ones(c->in[at]->v.dtype, ct__shape_of_view(&c->in[at]->v));
  ct__jvp_rule(k->n, dx, &y);
  return y;
}

static ct_status classified(ct__taylor *t, ct__term *k) {
  return k->kind == CT__UNKNOWN ? ct__taylor_classify(t, k) : CT_OK;
}

/* A function of one series, element by element. */
static bool is_function(const ct__term *k) {
  return k->n->call.n_out == 1 && k->n->call.op->flags & CT_ELEMENTWISE &&
         k->n->call.n_in <= CT__MAX_OPERANDS && only_input(k) >= 0;
}

/* From f(x) to the g(x) that f' is a constant times of: *k moves there, *factor is multiplied by
 * the constant. *k becomes NULL if f' is nothing like it, or g is on the way to f. */
static ct_status next_level(ct__taylor *t, ct__term **k, ct_tensor **factor) {
  ct__term *f = *k;
  *k = NULL;
  ct_status status = classified(t, f);
  if (status != CT_OK || !f->tangent[0] || !f->tangent[0]->by) return status;
  ct__series *x = f->in[only_input(f)];
  ct__term *by = f->tangent[0]->by;
  status = classified(t, by);
  if (status != CT_OK || by->factor != 1) return status;
  int d = by->in[0]->primitive == x ? 0 : 1;
  ct__term *g = by->in[1 - d]->by;
  if (by->in[d]->primitive != x || !g || !is_function(g)) return CT_OK;
  if (g->in[only_input(g)] != x) {
    status = classified(t, g);
    if (status != CT_OK || g->kind != CT__AFFINE) return status;
    *factor = factor_through(g, *factor);
    g = *factor ? g->in[only_input(g)]->by : NULL;
  }
  if (!g || !is_function(g) || g->in[only_input(g)] != x || g->chain == f->chain) return CT_OK;
  g->chain = f->chain;
  *k = g;
  return CT_OK;
}

/* y^(m)(x_0) for all m up to the order. */
static ct_status find_levels(ct__taylor *t, ct__term *k) {
  ct_tensor **level = ct__taylor_scratch(t, (size_t)(t->order + 1) * sizeof *level), *factor = NULL;
  if (!level) return CT_ENOMEM;
  ct_status status = CT_OK;
  ct__term *at = k;
  k->chain = k;
  for (int m = 0; m <= t->order && at && status == CT_OK; m++) {
    status = ct__taylor_coefficient(t, at->out[0], 0, &level[m]);
    if (status == CT_OK && factor) {
      level[m] = ct_mul0(factor, level[m]);
      status = ct__taylor_hold(t, level[m]);
    }
    if (m < t->order && status == CT_OK) status = next_level(t, &at, &factor);
  }
  k->closed = !at;
  k->levels = at ? level : NULL;
  return status;
}

/* Coefficient j of P_m for all m: P_1 is x, and m > 1 has 1/j times the sum of i x_i and
 * coefficient j - i of P_{m-1}. */
static ct_status next_power(ct__taylor *t, ct__series *x) {
  int j = x->powers + 1;
  int64_t width = t->order + 1;
  if (!x->power) x->power = ct__taylor_scratch(t, (size_t)(width * width) * sizeof *x->power);
  if (!x->power) return CT_ENOMEM;
  ct_tensor **now = x->power + j * width, *first;
  ct__sums s;
  ct_status status = ct__taylor_coefficient(t, x, j, &first);
  if (status == CT_OK) status = ct__sums_begin(&s, j + 1, (int64_t)j * (j - 1) / 2);
  if (status != CT_OK) return status;
  for (int m = 2; m <= j; m++)
    for (int i = 1; i <= j - m + 1; i++) {
      ct_tensor *a = x->at[i], *b = x->power[(j - i) * width + m - 1];
      if (a && b) ct__sums_add(&s, m, (double)i / j, a, b);
    }
  status = ct__sums_end(&s, status, now);
  for (int m = 2; m <= j && status == CT_OK; m++)
    if (now[m]) status = ct__taylor_hold(t, now[m]);
  now[1] = first;
  x->powers = j;
  return status;
}

/* y_j = sum over m of y^(m) P_m; *found is false if the chain closes. */
static ct_status chained(ct__taylor *t, ct__term *k, int j, ct_tensor **y, bool *found) {
  ct_status status = CT_OK;
  bool open = is_function(k) && !k->closed;
  if (open && !k->levels) status = find_levels(t, k);
  *found = open && !k->closed;
  if (status != CT_OK || !*found) return status;
  ct__series *x = k->in[only_input(k)];
  while (status == CT_OK && x->powers < j) status = next_power(t, x);
  ct__sums s;
  if (status == CT_OK) status = ct__sums_begin(&s, 1, j);
  if (status != CT_OK) return status;
  ct_tensor **power = x->power + j * (int64_t)(t->order + 1);
  for (int m = 1; m <= j; m++)
    if (power[m]) ct__sums_add(&s, 0, 1, power[m], k->levels[m]);
  return ct__sums_end(&s, status, y);
}

/* y_j = 1/j (J x')_{j-1} */
static ct_status derived(ct__taylor *t, ct__term *k, int j, ct_tensor **y) {
  bool found = false;
  ct_status status = chained(t, k, j, y, &found);
  if (found) return status;
  for (int o = 0; o < k->n->call.n_out && status == CT_OK; o++) {
    ct__series *dy = k->tangent[o];
    if (!dy) continue;
    if (dy->by) status = classified(t, dy->by);
    if (status == CT_OK && dy->by && dy->by->kind == CT__PRODUCTS && dy->by->n->call.n_out == 1) {
      status = convolve(t, dy->by, j - 1, j, &y[o]);
      continue;
    }
    if (status == CT_OK) status = ct__taylor_coefficient(t, dy, j - 1, &y[o]);
    if (status == CT_OK && y[o] && j > 1) y[o] = ct_scale(y[o], 1.0 / j);
  }
  return status;
}

/* Coefficient j of all outputs of a term. */
static ct_status find_next(ct__taylor *t, ct__term *k, int j, ct_tensor **y) {
  if (j == 0) return value(t, k, y);
  ct_status status = classified(t, k);
  if (status != CT_OK) return status;
  switch (k->kind) {
  case CT__AFFINE: return affine(t, k, j, y);
  case CT__PRODUCTS: return convolve(t, k, j, 1, y);
  case CT__BILINEAR: return bilinear(t, k, j, y);
  case CT__DERIVED: return derived(t, k, j, y);
  case CT__UNKNOWN: break;
  }
  return status;
}

/* Keeps what was found; a rule may give what only broadcasts to the output. */
static ct_status store(ct__taylor *t, const ct__term *k, int j, ct_tensor *const *y) {
  ct_status status = CT_OK;
  for (int o = 0; o < k->n->call.n_out && status == CT_OK; o++) {
    ct_tensor *c = y[o];
    const ct_tensor *like = ct_out(&k->n->call, o);
    if (c && !ct__is_nil(c) && !ct__same_shape(&c->v, &like->v))
      c = ct_broadcast_to(c, ct__shape_of_view(&like->v));
    if (c) status = ct__taylor_hold(t, c);
    k->out[o]->at[j] = c;
    k->out[o]->known = j + 1;
  }
  return status;
}

static ct_status extend(ct__taylor *t, ct__series *s, int j) {
  ct_tensor *few[4] = {0}, **y = few;
  ct_status status = CT_OK;
  if (s->primitive) {
    status = ct__taylor_coefficient(t, s->primitive, j + 1, &y[0]);
    if (status == CT_OK && y[0] && j > 0) y[0] = ct_scale(y[0], j + 1);
    if (status == CT_OK && y[0]) status = ct__taylor_hold(t, y[0]);
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

ct_status ct__taylor_coefficient(ct__taylor *t, ct__series *s, int k, ct_tensor **out) {
  ct_status status = CT_OK;
  while (s->known <= k && status == CT_OK) status = extend(t, s, s->known);
  *out = status == CT_OK ? s->at[k] : NULL;
  return status;
}
