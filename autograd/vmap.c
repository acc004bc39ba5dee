/* vmap.c - a recipe over a whole batch: each call is replaced by its batch rule.
 *
 * The recipe is walked once, inputs first. What does not depend on the replaced inputs is reused as
 * it is; the rest is applied again with one more leading axis. Maps nest: the result is a recipe of
 * the same operations.
 */
#include "ops/batch.h"

/* What stands for a tensor of the recipe: its replacement, or the tensor itself. Calls keep
 * replacements of their outputs in `slot`, and in `want` whether these are batched. */
typedef struct stand_in {
  ct_tensor *t;
  bool replaced, batched;
} stand_in;

typedef struct map {
  ct__walk walk;
  ct_tensor **in; /* the replaced inputs, the new axis first */
  bool *batched;  /* which of them have it */
  int64_t extent;
} map;

static stand_in find(const map *m, ct_tensor *t) {
  int k = ct__walk_target(&m->walk, t);
  if (k >= 0) return (stand_in){m->in[k], true, m->batched[k]};
  ct__node *n = ct__walk_node(&m->walk, t);
  if (!n || !n->slot[t->out_index]) return (stand_in){t, false, false};
  return (stand_in){n->slot[t->out_index], true, n->want[t->out_index]};
}

/* ---- one call -------------------------------------------------------------------------------- */

/* Elementwise: extents of 1 behind the new axis make all inputs broadcast as they did. */
static void batch_elementwise(const ct_call *c, ct_tensor **in, const bool *batched,
                              ct_tensor **out) {
  int rank = 0;
  for (int i = 0; i < c->n_in; i++)
    if (c->in[i]->v.ndim > rank) rank = c->in[i]->v.ndim;
  for (int i = 0; i < c->n_in; i++)
    if (batched[i]) in[i] = batch_of_rank(in[i], rank);
  ct__apply(c->op, c->attr, c->n_in, in, out);
}

/* Output o of each of the extent's calls on slices, stacked. */
static void stack_calls(const map *m, const ct_call *c, ct_tensor **each, ct_tensor **out) {
  for (int o = 0; o < c->n_out; o++) {
    if (m->extent > 0) {
      out[o] = ct_stack((ct_list){(int)m->extent, each + o * m->extent}, 0);
      continue;
    }
    const ct_view *v = &ct_out(c, o)->v;
    out[o] = ct_zeros(v->dtype, batch_shape(0, ct__shape_of_view(v)));
  }
}

static ct_tensor *slice_of(ct_tensor *t, int64_t b) {
  ct_tensor *s = ct_slice(t, 0, b, b + 1, 1);
  return ct__is_nil(s) ? s : ct_squeeze(s, CT_AXES(0));
}

/* No rule: one call for each element of the batch. */
static ct_status batch_loop(const map *m, const ct_call *c, ct_tensor *const *in,
                            const bool *batched, ct_tensor **out) {
  if (m->extent > INT32_MAX)
    return ct__fail(CT_ESIZE, "ct_vmap: too many calls of '%s'", c->op->name);
  size_t outs = (size_t)c->n_out,
         bytes = ((size_t)m->extent * outs + outs + (size_t)c->n_in) * sizeof(ct_tensor *);
  ct_tensor **each = ct__alloc(bytes), **y = each + (size_t)m->extent * outs, **x = y + outs;
  if (!each) return CT_ENOMEM;
  for (int64_t b = 0; b < m->extent; b++) {
    for (int i = 0; i < c->n_in; i++) x[i] = batched[i] ? slice_of(in[i], b) : in[i];
    ct__apply(c->op, c->attr, c->n_in, x, y);
    for (size_t o = 0; o < outs; o++) each[(int64_t)o * m->extent + b] = y[o];
  }
  stack_calls(m, c, each, out);
  ct__free(each, bytes);
  return CT_OK;
}

static ct_status apply_again(const map *m, const ct_call *c, ct_tensor **in, const bool *batched,
                             bool any, ct_tensor **out) {
  if (!any) return ct__apply(c->op, c->attr, c->n_in, in, out);
  if (c->op->flags & CT_ELEMENTWISE)
    batch_elementwise(c, in, batched, out);
  else if (c->op->batch)
    c->op->batch(c, in, batched, out);
  else
    return batch_loop(m, c, in, batched, out);
  return CT_OK;
}

static void set_slot(ct__node *n, int o, ct_tensor *t, bool batched) {
  ct__ref(t);
  n->slot[o] = t;
  n->want[o] = batched;
}

/* A derivative stands for the recipe it was expanded into. */
static void pass_through(const map *m, ct__node *n) {
  for (int o = 0; o < n->call.n_out; o++) {
    stand_in s = find(m, n->recipe.extra[o]);
    set_slot(n, o, s.t, s.batched);
  }
}

static ct_status visit(const map *m, ct__node *n) {
  const ct_call *c = &n->call;
  if (!ct__has_rule(c->op, CT__REPLAY)) {
    pass_through(m, n);
    return CT_OK;
  }
  size_t pointers = (size_t)(c->n_in + c->n_out) * sizeof(ct_tensor *);
  size_t bytes = pointers + (size_t)c->n_in * sizeof(bool);
  ct_tensor **in = ct__alloc(bytes), **out = in + c->n_in;
  if (!in) return CT_ENOMEM;
  memset(in, 0, bytes);
  bool *batched = (bool *)((char *)in + pointers), replaced = false, any = false;
  for (int i = 0; i < c->n_in; i++) {
    stand_in s = find(m, c->in[i]);
    in[i] = s.t;
    batched[i] = s.batched;
    replaced |= s.replaced;
    any |= s.batched;
  }
  ct_status status = CT_OK;
  ct_scope scope = ct_scope_begin();
  if (replaced) status = apply_again(m, c, in, batched, any, out);
  for (int o = 0; replaced && o < c->n_out && status == CT_OK; o++) {
    if (ct_is_nil(out[o]))
      status = ct__pending("ct_vmap");
    else
      set_slot(n, o, out[o], any);
  }
  ct_status end = ct_scope_end(scope);
  ct__free(in, bytes);
  return status == CT_OK ? end : status;
}

/* ---- the ends -------------------------------------------------------------------------------- */

/* Input k with its batch axis first; checks that it is input k's shape with one more axis. */
static ct_status take_input(map *m, int k, const ct_tensor *want, ct_tensor *t, int in_axis) {
  char a[CT__SHAPE_TEXT], b[CT__SHAPE_TEXT];
  m->in[k] = t;
  m->batched[k] = in_axis != CT_NOT_BATCHED;
  ct_view got = t->v;
  if (m->batched[k]) {
    int axis = ct__axis(in_axis, t->v.ndim);
    if (axis < 0)
      return ct__fail(CT_EARG, "ct_vmap: input %d, %s, has no axis %d to map over", k,
                      ct__shape_text(a, t->v.ndim, t->v.dim), in_axis);
    if (m->extent >= 0 && m->extent != t->v.dim[axis])
      return ct__fail(CT_ESHAPE, "ct_vmap: input %d maps over %lld elements, another over %lld", k,
                      (long long)t->v.dim[axis], (long long)m->extent);
    m->extent = t->v.dim[axis];
    for (int d = axis + 1; d < got.ndim; d++) got.dim[d - 1] = got.dim[d];
    got.ndim--;
    if (axis > 0) m->in[k] = move_axis(t, axis, 0);
  }
  if (ct__is_nil(m->in[k])) return ct__pending("ct_vmap");
  if (got.dtype == want->v.dtype && ct__same_shape(&got, &want->v)) return CT_OK;
  return ct__fail(got.dtype == want->v.dtype ? CT_ESHAPE : CT_EDTYPE,
                  "ct_vmap: want each element of input %d as %s %s, got %s %s", k,
                  ct_dtype_name(want->v.dtype), ct__shape_text(a, want->v.ndim, want->v.dim),
                  ct_dtype_name(got.dtype), ct__shape_text(b, got.ndim, got.dim));
}

/* What stands for output t with the batch axis where it is wanted; repeated if it has none. */
static ct_tensor *give_output(const map *m, ct_tensor *t, int out_axis) {
  stand_in s = find(m, t);
  ct_tensor *y = s.t;
  if (!s.batched) {
    y = ct_broadcast_to(y, batch_shape(m->extent, ct_shape_of(y)));
    if (ct__is_nil(y)) return y;
  }
  int axis = ct__axis(out_axis, y->v.ndim);
  if (axis < 0) return ct__nil(CT_EARG, "ct_vmap: the result has no axis %d", out_axis);
  return axis == 0 ? ct_reshape(y, ct__shape_of_view(&y->v)) : move_axis(y, 0, axis);
}

static ct_status map_recipe(map *m, ct_list y, ct_list x, ct_list batched, ct_vmap_opts opts,
                            ct_tensor **out) {
  ct_status status = CT_OK;
  m->extent = -1;
  for (int k = 0; k < x.n && status == CT_OK; k++)
    status = take_input(m, k, x.at[k], batched.at[k], opts.in_axes ? opts.in_axes[k] : 0);
  if (status == CT_OK && m->extent < 0) return ct__fail(CT_EARG, "ct_vmap: no input is batched");
  if (status == CT_OK) status = ct__walk_begin(&m->walk, "ct_vmap", CT__REPLAY, y, x);
  if (status != CT_OK) return status;
  ct__walk_reverse(&m->walk);
  for (ct__node *n = m->walk.order; n && status == CT_OK; n = n->link) status = visit(m, n);
  for (int o = 0; o < y.n && status == CT_OK; o++) {
    out[o] = give_output(m, y.at[o], opts.out_axes ? opts.out_axes[o] : 0);
    if (ct__is_nil(out[o])) status = ct__pending("ct_vmap");
  }
  for (ct__node *n = m->walk.order; n; n = n->link)
    for (int o = 0; o < n->call.n_out; o++) ct_release(&n->slot[o]);
  ct__walk_end(&m->walk);
  return status;
}

static ct_status vmap(ct_list y, ct_list x, ct_list batched, ct_vmap_opts opts, ct_tensor **out) {
  if (!out && y.n > 0) return ct__fail(CT_EARG, "ct_vmap: there is no room for results");
  for (int o = 0; o < y.n; o++) out[o] = ct_nil();
  ct_status status = ct__check_list("ct_vmap", "y", y);
  if (status == CT_OK) status = ct__check_list("ct_vmap", "x", x);
  if (status == CT_OK) status = ct__check_list("ct_vmap", "batched", batched);
  if (status == CT_OK && x.n != batched.n)
    status = ct__fail(CT_EARG, "ct_vmap: %d inputs, but %d to replace them", x.n, batched.n);
  if (status != CT_OK) return status;
  size_t bytes = (size_t)x.n * (sizeof(ct_tensor *) + sizeof(bool));
  map m = {.in = ct__alloc(bytes)};
  if (!m.in) return CT_ENOMEM;
  m.batched = (bool *)(m.in + x.n);
  status = map_recipe(&m, y, x, batched, opts, out);
  ct__free(m.in, bytes);
  for (int o = 0; status != CT_OK && o < y.n; o++) out[o] = ct_nil();
  return status;
}

ct_status ct_vmap(ct_list y, ct_list x, ct_list batched, ct_vmap_opts opts, ct_tensor **out) {
  bool was = ct__status_begin();
  return ct__status_end("ct_vmap", was, vmap(y, x, batched, opts, out));
}
