/* taylor_coefficients.c - the coefficients of the series of taylor.c, in order.
 *
 * Small tensors cost calls: there a sum over i + j = k is one product of stacks, a_0 a_1 ... and
 * ... b_1 b_0 along a new axis, and one sum, so that the number of operations grows with the order,
 * not with its square. Large ones cost arithmetic and memory: there it goes term by term.
 *
 * Some rules never close: a^b leads to a^(b-1), polygamma n to n + 1. For these, if small, the
 * derivatives at x_0 are found first, and the sum over m of y^(m) (x - x_0)^m / m! has the
 * coefficients of y. All powers are one series along a new axis, E' = x' S E where S moves m to
 * m + 1.
 */
#include "taylor.h"

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

/* ---- products of stacks ---------------------------------------------------------------------- */

/* Holds what takes the place of an older one, that held[*at - 1] is. */
static ct_status hold_instead(ct__taylor *t, ct_tensor *x, int *at) {
  if (*at == 0) {
    ct_status status = ct__taylor_hold(t, x);
    *at = t->n_held;
    return status;
  }
  if (ct__is_nil(x)) return ct__pending("ct_taylor");
  ct_keep(x);
  ct_release(&t->held[*at - 1]);
  t->held[*at - 1] = x;
  return CT_OK;
}

/* The first n coefficients along a new first axis, in order or backwards; zeros where there is
 * none. It grows by what is new. */
static ct_status grow_stack(ct__taylor *t, ct__series *s, bool backwards, int n) {
  int old = s->stack[backwards].n, more = n - old;
  if (more <= 0) return CT_OK;
  const ct_tensor *like = NULL;
  for (int i = 0; i < n; i++)
    if (s->at[i]) like = s->at[i];
  size_t bytes = (size_t)(more + 1) * sizeof(ct_tensor *);
  ct_tensor **pieces = ct__alloc(bytes);
  if (!pieces) return CT_ENOMEM;
  int count = 0;
  if (old > 0 && !backwards) pieces[count++] = s->stack[0].t;
  for (int i = 0; i < more; i++) {
    ct_tensor *one = s->at[backwards ? n - 1 - i : old + i];
    pieces[count++] = ct_expand_dims(one ? one : ct__zeros_like(like), 0);
  }
  if (old > 0 && backwards) pieces[count++] = s->stack[1].t;
  ct_tensor *stack = count > 1 ? ct_concat((ct_list){count, pieces}, 0) : pieces[0];
  ct__free(pieces, bytes);
  s->stack[backwards].t = stack;
  s->stack[backwards].n = n;
  return hold_instead(t, stack, &s->stack[backwards].held);
}

/* Coefficients from..to: one alone, or a stack of them. */
static ct_status find_part(ct__taylor *t, ct__series *s, bool backwards, int from, int to,
                           ct_tensor **out) {
  *out = s->at[from];
  if (from == to) return CT_OK;
  ct_status status = grow_stack(t, s, backwards, to + 1);
  if (status != CT_OK) return status;
  int n = s->stack[backwards].n, start = backwards ? n - 1 - to : from;
  *out = s->stack[backwards].t;
  if (to - from + 1 < n) *out = ct_slice(*out, 0, start, start + to - from + 1, 1);
  return CT_OK;
}

/* The same over c, kept for others that want it. */
static ct_status find_scaled(ct__taylor *t, ct__series *s, int from, int to, int c,
                             ct_tensor **out) {
  ct__series_part *p = &s->scaled[c];
  if (p->t && p->from == from && p->to == to) {
    *out = p->t;
    return CT_OK;
  }
  ct_status status = find_part(t, s, false, from, to, out);
  if (status != CT_OK || c == 1) return status;
  *p = (ct__series_part){ct_scale(*out, 1.0 / c), from, to};
  *out = p->t;
  return ct__taylor_hold(t, p->t);
}

/* A stack for an elementwise operation: extents of 1 behind the first axis up to the rank. */
static ct_tensor *aligned(ct_tensor *stack, int rank) {
  const ct_view *v = &stack->v;
  int gap = rank + 1 - v->ndim;
  if (gap <= 0 || ct__is_nil(stack)) return stack;
  ct_shape shape = {.n = rank + 1, .dim = {v->dim[0]}};
  for (int d = 1; d < shape.n && d < CT_MAX_DIMS; d++)
    shape.dim[d] = d <= gap ? 1 : v->dim[d - gap];
  return ct_reshape(stack, shape);
}

static ct_tensor *multiply(const ct_call *c, ct_tensor **in, int a, int b) {
  return c->op->partial ? ct_mul(in[a], in[b]) : ct__apply1(c->op, c->attr, c->n_in, in);
}

/* The sum over a stack of products. in: the inputs, those at a and b stacks. */
static ct_tensor *sum_of_products(const ct_call *c, ct_tensor **in, int a, int b) {
  ct_tensor *y = NULL;
  if (c->op->flags & CT_ELEMENTWISE) {
    int rank = ct_out(c, 0)->v.ndim;
    in[a] = aligned(in[a], rank);
    in[b] = aligned(in[b], rank);
    y = multiply(c, in, a, b);
  } else {
    bool batched[CT__MAX_OPERANDS] = {0};
    batched[a] = batched[b] = true;
    c->op->batch(c, in, batched, &y);
  }
  return ct_sum(y, CT_AXES(0), false);
}

/* The most elements of a tensor for which a stack is not slower than its terms one by one. */
enum { STACKED = 64 };

static bool takes_stacks(const ct_call *c) {
  const ct_view *y = &ct_out(c, 0)->v;
  return y->size <= STACKED && y->ndim < CT_MAX_DIMS && c->n_in <= CT__MAX_OPERANDS &&
         (c->op->flags & CT_ELEMENTWISE || c->op->batch);
}

/* The terms a_i b_{m-i} that are there, from the first to the last i; from > to if none is. */
static ct_status find_terms(ct__taylor *t, ct__series *a, ct__series *b, int m, int *from,
                            int *to) {
  ct_tensor *found;
  ct_status status = ct__taylor_coefficient(t, a, m, &found);
  if (status == CT_OK) status = ct__taylor_coefficient(t, b, m, &found);
  *from = 0;
  *to = status == CT_OK ? m : -1;
  while (*from <= *to && !(a->at[*from] && b->at[m - *from])) ++*from;
  while (*to >= *from && !(a->at[*to] && b->at[m - *to])) --*to;
  return status;
}

/* y = 1/divisor times the sum of op(a_i, b_{m-i}) */
static ct_status convolve(ct__taylor *t, const ct__term *k, int m, int divisor, ct_tensor **y) {
  const ct_call *c = &k->n->call;
  int a = 0, b = c->n_in - 1, from, to;
  while (!k->in[a]) a++;
  while (!k->in[b]) b--;
  ct__series *sa = k->in[a], *sb = k->in[b];
  ct_status status = find_terms(t, sa, sb, m, &from, &to);
  if (status != CT_OK || from > to) return status;
  size_t bytes = (size_t)c->n_in * sizeof(ct_tensor *);
  ct_tensor **in = ct__alloc(bytes);
  if (!in) return CT_ENOMEM;
  memcpy(in, c->in, bytes);
  if (from == to || takes_stacks(c)) {
    status = find_scaled(t, sa, from, to, divisor, &in[a]);
    if (status == CT_OK) status = find_part(t, sb, true, m - to, m - from, &in[b]);
    if (status == CT_OK) *y = from < to ? sum_of_products(c, in, a, b) : multiply(c, in, a, b);
  } else {
    for (int i = from; i <= to; i++) {
      in[a] = sa->at[i];
      in[b] = sb->at[m - i];
      if (!in[a] || !in[b]) continue;
      ct_tensor *one = multiply(c, in, a, b);
      *y = *y ? ct_add(*y, one) : one;
    }
    if (divisor > 1) *y = ct_scale(*y, 1.0 / divisor);
  }
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

/* From f to a term of the same operation on the same x that f' is a constant times of: *k moves
 * there, *factor is multiplied by the constant. *k becomes NULL if f' is nothing like it. */
static ct_status next_level(ct__taylor *t, ct__term **k, ct_tensor **factor) {
  const ct__term *f = *k;
  const ct_op *op = f->n->call.op;
  int at = only_input(f);
  *k = NULL;
  if (at < 0 || !f->tangent[0] || !f->tangent[0]->by) return CT_OK;
  ct__term *by = f->tangent[0]->by;
  ct_status status = classified(t, by);
  if (status != CT_OK || by->kind != CT__PRODUCT || by->n->call.n_in != 2) return status;
  int d = by->in[0]->primitive == f->in[at] ? 0 : 1;
  ct__term *next = by->in[1 - d]->by;
  if (by->in[d]->primitive != f->in[at] || !next) return CT_OK;
  if (next->n->call.op != op) {
    status = classified(t, next);
    int inner = only_input(next);
    bool constant = next->kind == CT__AFFINE && next->n->call.op->flags & CT_ELEMENTWISE &&
                    next->n->call.n_in <= CT__MAX_OPERANDS && inner >= 0;
    if (status != CT_OK || !constant) return status;
    *factor = factor_through(next, *factor);
    next = *factor ? next->in[inner]->by : NULL;
  }
  bool same = next && next != f && next->n->call.op == op && next->in[at] == f->in[at];
  if (same) status = classified(t, next);
  if (same && status == CT_OK && next->kind == CT__DERIVED) *k = next;
  return status;
}

/* y^(m)(x_0) for all m up to the order. */
static ct_status find_levels(ct__taylor *t, ct__term *k) {
  const ct_view *like = &ct_out(&k->n->call, 0)->v;
  size_t bytes = (size_t)(t->order + 1) * sizeof(ct_tensor *);
  ct_tensor **level = ct__alloc(bytes), *factor = NULL, *value;
  if (!level) return CT_ENOMEM;
  ct_status status = CT_OK;
  ct__term *at = k;
  for (int m = 0; m <= t->order && at && status == CT_OK; m++) {
    status = ct__taylor_coefficient(t, at->out[0], 0, &value);
    if (status != CT_OK) break;
    if (factor) value = ct_mul0(factor, value);
    level[m] = ct_expand_dims(ct_broadcast_to(value, ct__shape_of_view(like)), 0);
    if (m < t->order) status = next_level(t, &at, &factor);
  }
  k->closed = !at;
  if (status == CT_OK && at) {
    k->levels = ct_concat((ct_list){t->order + 1, level}, 0);
    status = ct__taylor_hold(t, k->levels);
  }
  ct__free(level, bytes);
  return status;
}

/* like: the tensor that x is the series of. */
static ct_status powers_new(ct__taylor *t, ct__series *x, const ct_view *like) {
  ct__series *e = x->powers = ct__series_new(t);
  if (!e) return CT_ENOMEM;
  ct_shape one = {.n = like->ndim + 1, .dim = {1}}, others = {.n = one.n, .dim = {t->order}};
  for (int d = 0; d < like->ndim && d + 1 < CT_MAX_DIMS; d++)
    one.dim[d + 1] = others.dim[d + 1] = like->dim[d];
  e->at[0] = ct_concat(CT_LIST(ct_ones(like->dtype, one), ct_zeros(like->dtype, others)), 0);
  e->known = 1;
  return ct__taylor_hold(t, e->at[0]);
}

/* E_j = 1/j S sum of x'_i E_{j-1-i} */
static ct_status next_power(ct__taylor *t, ct__series *x) {
  ct__series *e = x->powers, *dx = ct__series_derivative(t, x);
  int j = e->known, from, to;
  if (!dx) return CT_ENOMEM;
  ct_tensor *a, *b;
  ct_status status = find_terms(t, dx, e, j - 1, &from, &to);
  if (status == CT_OK) e->known = j + 1;
  if (status != CT_OK || from > to) return status;
  status = find_scaled(t, dx, from, to, j, &a);
  if (status == CT_OK) status = find_part(t, e, true, j - 1 - to, j - 1 - from, &b);
  if (status != CT_OK) return status;
  ct_tensor *y = ct_mul0(from < to ? ct_expand_dims(a, 1) : a, b);
  if (from < to) y = ct_sum(y, CT_AXES(0), false);
  e->at[j] = ct_pad(ct_slice(y, 0, 0, t->order, 1), 0, 1, 0);
  return ct__taylor_hold(t, e->at[j]);
}

/* y_j = sum over m of y^(m) E_j[m]; *found is false if the chain closes. */
static ct_status chained(ct__taylor *t, ct__term *k, int j, ct_tensor **y, bool *found) {
  const ct_call *c = &k->n->call;
  int at = only_input(k), rank = ct_out(c, 0)->v.ndim;
  bool fits = c->n_out == 1 && c->op->flags & CT_ELEMENTWISE && at >= 0 && takes_stacks(c) &&
              rank + 2 <= CT_MAX_DIMS;
  ct_status status = CT_OK;
  if (fits && !k->closed && !k->levels) status = find_levels(t, k);
  *found = fits && !k->closed;
  if (status != CT_OK || !*found) return status;
  ct__series *x = k->in[at];
  if (!x->powers) status = powers_new(t, x, &c->in[at]->v);
  while (status == CT_OK && x->powers->known <= j) status = next_power(t, x);
  if (status == CT_OK && x->powers->at[j])
    *y = ct_sum(ct_mul0(aligned(x->powers->at[j], rank), k->levels), CT_AXES(0), false);
  return status;
}

/* y_j = 1/j (J x')_{j-1} */
static ct_status derived(ct__taylor *t, ct__term *k, int j, ct_tensor **y) {
  bool found = false;
  ct_status status = chained(t, k, j, y, &found);
  if (found) return status;
  for (int o = 0; o < k->n->call.n_out && status == CT_OK; o++) {
    ct__series *dy = k->tangent[o];
    if (!dy) continue;
    if (j > 1 && dy->by) status = classified(t, dy->by);
    if (status == CT_OK && j > 1 && dy->by && dy->by->kind == CT__PRODUCT) {
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
  case CT__PRODUCT: return convolve(t, k, j, 1, y);
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
