/* walk.c - the part of a recipe between outputs y and targets x, found without recursion.
 *
 * The walk keeps its stack and its result in the calls themselves (parent links that become the
 * list of the order), and nothing in leaves, which other threads may read.
 */
#include "autograd_internal.h"

enum { SHORT_LIST = 8 }; /* targets found by comparing; more go through a hash table */

static atomic_uint_fast64_t epochs; /* a cache of nothing: only makes walks distinct */

/* ---- targets --------------------------------------------------------------------------------- */

static unsigned hash(const ct_tensor *t, int size) {
  return (unsigned)(((uintptr_t)t >> 6) * 0x9E3779B97F4A7C15u >> 33) & (unsigned)(size - 1);
}

static ct_status targets_begin(ct__walk *w) {
  w->table = NULL;
  if (w->x.n <= SHORT_LIST) return CT_OK;
  w->table_size = 16;
  while (w->table_size < 2 * w->x.n) w->table_size *= 2;
  w->table = ct__alloc((size_t)w->table_size * sizeof *w->table);
  if (!w->table) return CT_ENOMEM;
  for (int i = 0; i < w->table_size; i++) w->table[i] = -1;
  for (int k = 0; k < w->x.n; k++) {
    unsigned at = hash(w->x.at[k], w->table_size);
    while (w->table[at] >= 0 && w->x.at[w->table[at]] != w->x.at[k])
      at = (at + 1) & (unsigned)(w->table_size - 1);
    if (w->table[at] < 0) w->table[at] = k; /* of equal targets the first stands for all */
  }
  return CT_OK;
}

int ct__walk_find(const ct__walk *w, const ct_tensor *t) {
  unsigned at = hash(t, w->table_size);
  while (w->table[at] >= 0 && w->x.at[w->table[at]] != t)
    at = (at + 1) & (unsigned)(w->table_size - 1);
  return w->table[at];
}

/* ---- edges ----------------------------------------------------------------------------------- */

/* What a call depends on: its inputs, or where it has no rule the outputs of its fallback, once
 * that has been recorded. */
static bool through(const ct__walk *w, const ct__node *n) {
  return n->expanded && !ct__has_rule(n->call.op, w->mode);
}

/* The node that t leads on to; NULL for leaves, constants and what no derivative passes. */
static inline ct__node *source(ct__mode mode, const ct_tensor *t) {
  if (!t->recipe) return NULL;
  ct__node *n = ct__node_of(t);
  if (mode == CT__REPLAY || mode == CT__COMPILE) return n;
  if (mode == CT__FROZEN) return t->buffer ? NULL : n;
  if (!ct__is_float(t->v.dtype)) return NULL;
  return n->cut || (n->call.op->flags & CT_NONDIFF) ? NULL : n;
}

/* Input i has other numbers than those that were used. */
static inline bool is_old(const ct__node *n, int i) {
  const ct_tensor *t = n->recipe.in[i];
  return t->stamp != n->stamp[i] || ct__stale(t);
}

static inline bool has_old(const ct__node *n) {
  bool old = false;
  for (int i = 0; i < n->call.n_in; i++) old |= is_old(n, i);
  return CT__UNLIKELY(old) && !n->symbolic;
}

static ct_status old_input(const char *who, const ct__node *n) {
  for (int i = 0; i < n->call.n_in; i++) {
    const ct_tensor *t = n->recipe.in[i];
    if (!is_old(n, i)) continue;
    char text[CT__SHAPE_TEXT];
    return ct__fail(CT_ESTALE, "%s: input %d of %s, %s %s, was overwritten by %s after it was used",
                    who, i, n->call.op->name, ct_dtype_name(t->v.dtype),
                    ct__shape_text(text, t->v.ndim, t->v.dim), t->buffer->written_by);
  }
  return CT_OK;
}

/* ---- the walk -------------------------------------------------------------------------------- */

static inline void enter(const ct__walk *w, ct__mode mode, ct__node *n, ct__node *parent) {
  n->epoch = w->epoch;
  n->link = parent;
  n->cursor = 0;
  n->reaches = mode >= CT__REPLAY; /* all of it is needed */
}

/* The input at the cursor leads to a target or not; on to the next. */
static inline void note(ct__node *n, bool wanted) {
  n->want[n->cursor++] = wanted;
  n->reaches |= wanted;
}

/* Goes on along the inputs of n to the next one that leads down to a call not seen yet; NULL after
 * the last. */
static inline ct__node *next_child(const ct__walk *w, ct__mode mode, ct__node *n) {
  bool expanded = n->expanded && through(w, n);
  ct_tensor *const *in = expanded ? n->recipe.extra : n->recipe.in;
  int count = expanded ? n->call.n_out : n->call.n_in;
  while (n->cursor < count) {
    const ct_tensor *t = in[n->cursor];
    const bool target = ct__walk_target(w, t) >= 0;
    ct__node *child = target ? NULL : source(mode, t);
    if (child && child->epoch != w->epoch) return child;
    note(n, target || (child && child->reaches));
  }
  return NULL;
}

/* Depth first from root; finished nodes that reach a target go to the front of the order. */
static inline ct_status descend(ct__walk *w, ct__mode mode, ct__node *root) {
  if (root->epoch == w->epoch) return CT_OK;
  enter(w, mode, root, NULL);
  for (ct__node *n = root; n;) {
    ct__node *child = next_child(w, mode, n), *parent = n->link;
    if (child) {
      enter(w, mode, child, n);
      n = child;
      continue;
    }
    if (n->reaches) {
      if (mode < CT__REPLAY && has_old(n)) return old_input(w->who, n);
      n->link = w->order;
      w->order = n;
      w->expands |= !ct__has_rule(n->call.op, mode);
    }
    if (parent) note(parent, n->reaches);
    n = parent;
  }
  return CT_OK;
}

/* One way for each mode, and a short one. */
static ct_status descend_from(ct__walk *w, ct__node *root) {
  return w->mode == CT__VJP ? descend(w, CT__VJP, root) : descend(w, w->mode, root);
}

ct_status ct__expand(ct__node *n) {
  const ct_call *c = &n->call;
  if (n->expanded) return CT_OK;
  ct_scope scope = ct_scope_begin();
  bool was = ct__set_recording(true);
  ct_tensor *few[4] = {0}, **y = few;
  if (c->n_out > 4) y = ct__alloc((size_t)c->n_out * sizeof *y);
  ct_status status = y ? CT_OK : CT_ENOMEM;
  if (y) {
    memset(y, 0, (size_t)c->n_out * sizeof *y);
    c->op->fallback(c, y);
    for (int o = 0; o < c->n_out && status == CT_OK; o++)
      if (ct_is_nil(y[o])) status = ct__pending(c->op->name);
    for (int o = 0; o < c->n_out && status == CT_OK; o++) n->recipe.extra[o] = ct_keep(y[o]);
    n->expanded = status == CT_OK;
  }
  if (y && y != few) ct__free(y, (size_t)c->n_out * sizeof *y);
  ct__set_recording(was);
  ct_status end = ct_scope_end(scope);
  return status == CT_OK ? end : status;
}

static bool to_expand(const ct__node *n, ct__mode mode) {
  return !n->expanded && !ct__has_rule(n->call.op, mode);
}

static ct_status no_rule(const char *who, ct__mode mode, const ct__node *n) {
  int i = 0;
  while (i < n->call.n_in - 1 && !n->want[i]) i++;
  return ct__fail(CT_ENORULE, "%s: no %s for '%s' (input %d)", who, mode == CT__VJP ? "vjp" : "jvp",
                  n->call.op->name, i);
}

/* Calls on the way that have no rule of their own are replaced by their fallback. Expanding walks
 * over these very nodes, so the list is copied first; *changed if the order is to be found anew. */
static ct_status expand_all(ct__walk *w, const char *who, bool *changed) {
  size_t count = 0, k = 0;
  for (ct__node *n = w->order; n; n = n->link) {
    if (!to_expand(n, w->mode)) continue;
    if (!n->call.op->fallback) return no_rule(who, w->mode, n);
    count++;
  }
  *changed = count > 0;
  if (count == 0) return CT_OK;
  ct__node **list = ct__alloc(count * sizeof *list);
  if (!list) return CT_ENOMEM;
  for (ct__node *n = w->order; n; n = n->link)
    if (to_expand(n, w->mode)) list[k++] = n;
  ct_status status = CT_OK;
  for (k = 0; k < count && status == CT_OK; k++) status = ct__expand(list[k]);
  ct__free(list, count * sizeof *list);
  return status;
}

ct_status ct__walk_begin(ct__walk *w, const char *who, ct__mode mode, ct_list y, ct_list x) {
  *w = (ct__walk){.who = who, .mode = mode, .x = x};
  ct_status status = targets_begin(w);
  for (bool again = true; again && status == CT_OK;) {
    w->epoch = 1 + atomic_fetch_add_explicit(&epochs, 1, memory_order_relaxed);
    w->order = NULL;
    w->expands = false;
    for (int i = 0; i < y.n && status == CT_OK; i++) {
      ct__node *root = y.at[i] && ct__walk_target(w, y.at[i]) < 0 ? source(mode, y.at[i]) : NULL;
      if (root) status = descend_from(w, root);
    }
    again = false;
    if (status == CT_OK && w->expands) status = expand_all(w, who, &again);
  }
  if (status != CT_OK) ct__walk_end(w);
  return status;
}

void ct__walk_end(ct__walk *w) {
  if (w->table) ct__free(w->table, (size_t)w->table_size * sizeof *w->table);
  w->table = NULL;
}

ct__node *ct__walk_node(const ct__walk *w, const ct_tensor *t) {
  ct__node *n = source(w->mode, t);
  return n && n->epoch == w->epoch && n->reaches ? n : NULL;
}

void ct__walk_reverse(ct__walk *w) {
  ct__node *reversed = NULL;
  for (ct__node *n = w->order, *next; n; n = next) {
    next = n->link;
    n->link = reversed;
    reversed = n;
  }
  w->order = reversed;
}
