/* custom.c - functions with a derivative of the user's own.
 *
 * Body and rule are traced on placeholders; recorded tensors of outside that they refer to become
 * inputs of both. One primitive for each kind of rule owns the two functions. The mode that the
 * rule does not give is its transpose: a rule is linear in its seeds, the cotangents or tangents,
 * and the vjp of a linear map with respect to its argument is its transpose. All of this happens on
 * fresh placeholders, so that no walk over the caller's recipe is disturbed.
 */
#include "autograd_internal.h"

typedef struct custom {
  ct__call_attr call; /* the body: inputs -> outputs */
  ct_function *rule;  /* inputs, outputs, seeds -> results */
  int n_x;            /* inputs that the rule answers for; then come captured tensors: */
  int n_body;         /* up to here those of the body, the rest are of the rule alone */
} custom;

static const ct_op custom_vjp_op, custom_jvp_op;

/* ---- tensors that belong together ------------------------------------------------------------ */

enum { INPUTS, OUTPUTS, SEEDS, RESULTS, EXTRA, PARTS };

/* Lists in one block. Those before RESULTS, in a row, are the inputs of the rule. */
typedef struct parts {
  ct_tensor **at[PARTS];
  int n[PARTS];
  size_t bytes;
} parts;

static bool parts_begin(parts *p, int inputs, int outputs, int seeds, int results, int extra) {
  const int n[PARTS] = {inputs, outputs, seeds, results, extra};
  int64_t total = 0;
  for (int k = 0; k < PARTS; k++) total += p->n[k] = n[k];
  p->bytes = (size_t)total * sizeof(ct_tensor *);
  p->at[0] = ct__alloc(p->bytes);
  if (!p->at[0]) return false;
  memset(p->at[0], 0, p->bytes);
  for (int k = 1; k < PARTS; k++) p->at[k] = p->at[k - 1] + p->n[k - 1];
  return true;
}

static void parts_end(parts *p) {
  if (p->at[0]) ct__free(p->at[0], p->bytes);
}

static ct_list part(const parts *p, int k) { return (ct_list){p->n[k], p->at[k]}; }

static ct_list rule_inputs(const parts *p) {
  return (ct_list){p->n[INPUTS] + p->n[OUTPUTS] + p->n[SEEDS], p->at[INPUTS]};
}

/* ---- captured tensors ------------------------------------------------------------------------ */

typedef struct capture {
  int n, room;
  ct_tensor **at;
} capture;

static bool capture_add(capture *c, ct_tensor *t) {
  for (int i = 0; i < c->n; i++)
    if (c->at[i] == t) return true;
  if (c->n == c->room) {
    int room = 2 * c->room + 4;
    ct_tensor **at = ct__alloc((size_t)room * sizeof *at);
    if (!at) return false;
    if (c->n > 0) memcpy(at, c->at, (size_t)c->n * sizeof *at);
    if (c->at) ct__free(c->at, (size_t)c->room * sizeof *at);
    c->at = at;
    c->room = room;
  }
  c->at[c->n++] = t;
  return true;
}

/* Whether t is made from the placeholders; the cursor of a node says so for its outputs. */
static bool depends(const ct__walk *w, const ct_tensor *t) {
  if (ct__walk_target(w, t) >= 0) return true;
  const ct__node *n = ct__walk_node(w, t);
  return n && n->cursor > 0;
}

/* The recorded ones of the list that come from outside. */
static bool capture_list(capture *c, const ct__walk *w, ct_list l) {
  for (int i = 0; i < l.n; i++)
    if ((l.at[i]->flags & CT__RECORDED) && !depends(w, l.at[i]) && !capture_add(c, l.at[i]))
      return false;
  return true;
}

/* What the results refer to beside the placeholders. */
static ct_status capture_all(capture *c, const char *who, ct_list results, ct_list placeholders) {
  ct__walk w;
  ct_status status = ct__walk_begin(&w, who, CT__REPLAY, results, placeholders);
  if (status != CT_OK) return status;
  ct__walk_reverse(&w);
  bool fits = true;
  for (ct__node *n = w.order; n; n = n->link) {
    bool derivative = !ct__has_rule(n->call.op, CT__REPLAY); /* it hangs on its own recipe */
    ct_list in = derivative ? (ct_list){n->call.n_out, n->recipe.extra}
                            : (ct_list){n->call.n_in, n->recipe.in};
    n->cursor = 0;
    for (int i = 0; i < in.n; i++) n->cursor |= depends(&w, in.at[i]);
    if (n->cursor && fits) fits = capture_list(c, &w, in);
  }
  if (fits) fits = capture_list(c, &w, results);
  ct__walk_end(&w);
  return fits ? CT_OK : CT_ENOMEM;
}

/* ---- tracing --------------------------------------------------------------------------------- */

/* Results that the user made: none is nil, a missing one is zero, all have the wanted shapes. */
static ct_status check_results(const char *who, const char *what, ct_list got, ct_list want,
                               ct_tensor **out) {
  char a[CT__SHAPE_TEXT], b[CT__SHAPE_TEXT];
  for (int i = 0; i < got.n; i++) {
    if (!got.at[i]) out[i] = ct__zeros_like(want.at[i]);
    if (ct__is_nil(out[i])) return ct__pending(who);
    const ct_view *g = &out[i]->v, *w = &want.at[i]->v;
    if (g->dtype != w->dtype || !ct__same_shape(g, w))
      return ct__fail_status(g->dtype != w->dtype ? CT_EDTYPE : CT_ESHAPE,
                             "%s: want result %d of the %s as %s %s, got %s %s", who, i, what,
                             ct_dtype_name(w->dtype), ct__shape_text(a, w->ndim, w->dim),
                             ct_dtype_name(g->dtype), ct__shape_text(b, g->ndim, g->dim));
  }
  return CT_OK;
}

/* Runs body and rule on placeholders: p holds them and what came out. */
static ct_status trace(const char *who, const ct_custom *c, ct_list x, bool pulls, parts *p) {
  if (!ct__placeholders(x, p->at[INPUTS])) return ct__pending(who);
  c->f(part(p, INPUTS), p->at[EXTRA], c->payload);
  for (int o = 0; o < p->n[EXTRA]; o++) {
    if (!p->at[EXTRA][o])
      return ct__fail_status(CT_EARG, "%s: the body left result %d out", who, o);
    if (ct__is_nil(p->at[EXTRA][o])) return ct__pending(who);
  }
  ct_list y = part(p, EXTRA), in = part(p, INPUTS);
  if (!ct__placeholders(y, p->at[OUTPUTS]) || !ct__placeholders(pulls ? y : in, p->at[SEEDS]))
    return ct__pending(who);
  c->rule(rule_inputs(p), p->at[RESULTS], c->payload);
  return check_results(who, "rule", part(p, RESULTS), pulls ? in : y, p->at[RESULTS]);
}

/* The functions of the record: captured tensors are inputs of both. */
static ct_status make_functions(const char *who, const parts *p, custom *attr) {
  capture found = {0};
  parts all = {0};
  ct_status status = capture_all(&found, who, part(p, EXTRA), part(p, INPUTS));
  attr->n_body = attr->n_x + found.n;
  if (status == CT_OK) status = capture_all(&found, who, part(p, RESULTS), rule_inputs(p));
  if (status == CT_OK) {
    int n = attr->n_x + found.n;
    if (parts_begin(&all, n, p->n[OUTPUTS], p->n[SEEDS], 0, 0)) {
      memcpy(all.at[INPUTS], p->at[INPUTS], (size_t)attr->n_x * sizeof(ct_tensor *));
      for (int i = 0; i < found.n; i++) all.at[INPUTS][attr->n_x + i] = found.at[i];
      for (int i = 0; i < p->n[OUTPUTS]; i++) all.at[OUTPUTS][i] = p->at[OUTPUTS][i];
      for (int i = 0; i < p->n[SEEDS]; i++) all.at[SEEDS][i] = p->at[SEEDS][i];
      attr->call.f = ct_function_new(part(&all, INPUTS), part(p, EXTRA));
      attr->rule = attr->call.f ? ct_function_new(rule_inputs(&all), part(p, RESULTS)) : NULL;
    }
    if (!attr->rule) status = ct__pending(who);
  }
  parts_end(&all);
  if (found.at) ct__free(found.at, (size_t)found.room * sizeof *found.at);
  return status;
}

static void release(custom *attr) {
  ct_function_release(&attr->call.f);
  ct_function_release(&attr->rule);
}

/* Traces c for inputs like x; the functions belong to the caller. */
static ct_status prepare(const char *who, const ct_custom *c, ct_list x, bool pulls, custom *attr) {
  parts p = {0};
  ct_scope scope = ct_scope_begin();
  if (scope.depth < 0) return ct__pending(who);
  ct__set_recording(true); /* until the scope ends */
  int n_y = attr->call.n_out;
  bool room = parts_begin(&p, x.n, n_y, pulls ? n_y : x.n, pulls ? x.n : n_y, n_y);
  ct_status status = room ? trace(who, c, x, pulls, &p) : CT_ENOMEM;
  if (status == CT_OK) status = make_functions(who, &p, attr);
  parts_end(&p);
  ct_status end = ct_scope_end(scope);
  return status == CT_OK ? end : status;
}

static ct_status apply_custom(const char *who, const ct_op *op, ct_custom c, ct_list x,
                              ct_tensor **y) {
  int n_y = c.n_out == 0 ? 1 : c.n_out;
  for (int o = 0; y && o < n_y; o++) y[o] = ct_nil();
  ct_status status = ct__check_list(who, "x", x);
  if (status == CT_OK && (!c.f || !c.rule || n_y < 0 || !y))
    status = ct__fail_status(CT_EARG,
                             "%s: want a body, a rule, a number of outputs and room for them", who);
  if (status != CT_OK) return status;
  custom attr;
  memset(&attr, 0, sizeof attr);
  attr.call.n_out = n_y;
  attr.n_x = x.n;
  status = prepare(who, &c, x, op == &custom_vjp_op, &attr);
  if (status == CT_OK) {
    ct_list in = ct__function_inputs(attr.call.f); /* placeholders, then captured tensors */
    size_t bytes = (size_t)in.n * sizeof(ct_tensor *);
    ct_tensor **all = ct__alloc(bytes);
    for (int i = 0; all && i < in.n; i++) all[i] = i < x.n ? x.at[i] : in.at[i];
    status = all ? ct__apply(op, &attr, in.n, all, y) : CT_ENOMEM;
    ct__free(all, bytes);
  }
  release(&attr);
  return status;
}

ct_status ct_custom_vjp(ct_custom c, ct_list x, ct_tensor **y) {
  bool was = ct__status_begin();
  return ct__status_end("ct_custom_vjp", was,
                        apply_custom("ct_custom_vjp", &custom_vjp_op, c, x, y));
}

ct_status ct_custom_jvp(ct_custom c, ct_list x, ct_tensor **y) {
  bool was = ct__status_begin();
  return ct__status_end("ct_custom_jvp", was,
                        apply_custom("ct_custom_jvp", &custom_jvp_op, c, x, y));
}

static bool pulls(const ct_call *c) { return c->op == &custom_vjp_op; }

static ct_list known_inputs(const ct_call *c) {
  return (ct_list){((const custom *)c->attr)->n_x, c->in};
}

/* ---- the other mode -------------------------------------------------------------------------- */

/* out[i]: the float tensors among `from`, in order, else zeros. */
static void spread(ct_list like, ct_tensor *const *from, ct_tensor **out) {
  for (int i = 0; i < like.n; i++)
    out[i] = ct_dtype_is_float(like.at[i]->v.dtype) ? *from++ : ct__zeros_like(like.at[i]);
}

/* Puts the float tensors of l first; gives their number. */
static int floats(ct_list l, ct_tensor **out) {
  int n = 0;
  for (int i = 0; i < l.n; i++)
    if (ct_dtype_is_float(l.at[i]->v.dtype)) out[n++] = l.at[i];
  return n;
}

/* The pullback of the rule: r holds its inputs and results, t gets the results' cotangents as seeds
 * and the seeds' cotangents as results. */
static ct_status pull_back(const parts *r, parts *t) {
  ct_list results = part(r, RESULTS), seeds = part(r, SEEDS);
  parts f = {0}; /* the floats: results, their cotangents, seeds, their cotangents */
  if (!parts_begin(&f, results.n, results.n, seeds.n, seeds.n, 0)) return CT_ENOMEM;
  ct_status status = CT_ENOMEM;
  if (ct__placeholders(results, t->at[SEEDS])) {
    int n = floats(results, f.at[0]), m = floats(seeds, f.at[2]);
    floats(part(t, SEEDS), f.at[1]);
    status =
        ct_vjp_all((ct_list){n, f.at[0]}, (ct_list){n, f.at[1]}, (ct_list){m, f.at[2]}, f.at[3]);
    if (status == CT_OK) spread(seeds, f.at[3], t->at[RESULTS]);
  }
  parts_end(&f);
  return status;
}

/* The rule's transpose, a function of inputs, outputs and what the rule results in. */
static ct_function *transposed(const ct_call *c, ct_list outputs) {
  const custom *attr = c->attr;
  ct_list seeds = pulls(c) ? outputs : known_inputs(c);
  int n_results = ct__function_outputs(attr->rule);
  ct_function *f = NULL;
  parts r = {0}, t = {0};
  ct_scope scope = ct_scope_begin();
  if (scope.depth < 0) return NULL;
  ct__set_recording(true);
  if (parts_begin(&r, c->n_in, c->n_out, seeds.n, n_results, 0) &&
      parts_begin(&t, c->n_in, c->n_out, n_results, seeds.n, 0) &&
      ct__placeholders((ct_list){c->n_in, c->in}, r.at[INPUTS]) &&
      ct__placeholders(outputs, r.at[OUTPUTS]) && ct__placeholders(seeds, r.at[SEEDS]) &&
      ct_inline_function(attr->rule, rule_inputs(&r), r.at[RESULTS]) == CT_OK &&
      pull_back(&r, &t) == CT_OK) {
    memcpy(t.at[INPUTS], r.at[INPUTS], (size_t)(c->n_in + c->n_out) * sizeof(ct_tensor *));
    f = ct_function_new(rule_inputs(&t), part(&t, RESULTS));
    if (!f && ct_error_code() == CT_EARG) /* a seed is among what the transpose refers to */
      ct__fail_status(CT_ENORULE, "no %s for '%s': its rule is not linear in the %s",
                      pulls(c) ? "jvp" : "vjp", c->op->name, pulls(c) ? "cotangents" : "tangents");
  }
  parts_end(&r);
  parts_end(&t);
  ct_scope_end(scope);
  return f;
}

/* ---- rules ----------------------------------------------------------------------------------- */

/* One mode or the other: seeds in, NULL for zero; one result for each output of the function. */
static void run_rule(const ct_call *c, bool pulling, ct_tensor *const *seed, ct_tensor **result) {
  const custom *attr = c->attr;
  parts p = {0};
  int n_seeds = pulling ? c->n_out : attr->n_x;
  ct_status status = parts_begin(&p, c->n_in, c->n_out, n_seeds, 0, 0) ? CT_OK : CT_ENOMEM;
  if (status == CT_OK) {
    for (int i = 0; i < c->n_in; i++) p.at[INPUTS][i] = c->in[i];
    for (int o = 0; o < c->n_out; o++) p.at[OUTPUTS][o] = ct_out(c, o);
    for (int i = 0; i < n_seeds; i++)
      p.at[SEEDS][i] = seed[i]   ? seed[i]
                       : pulling ? ct__zeros_like(p.at[OUTPUTS][i])
                                 : ct__zeros_like(c->in[i]);
    bool given = pulling == pulls(c);
    ct_function *f = given ? ct_function_keep(attr->rule) : transposed(c, part(&p, OUTPUTS));
    status = f ? ct_inline_function(f, rule_inputs(&p), result) : ct__pending(c->op->name);
    ct_function_release(&f);
  }
  parts_end(&p);
  for (int i = 0; status != CT_OK && i < (pulling ? attr->n_x : c->n_out); i++)
    result[i] = ct_nil();
}

/* A derivative with respect to what the body found for itself. */
static ct_tensor *no_rule(const ct_call *c, int i) {
  return ct__nil(
      CT_ENORULE,
      "no derivative for '%s' (input %d): the body refers to this recorded tensor, which "
      "is not among the inputs",
      c->op->name, i);
}

static void custom_pull(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  const custom *attr = c->attr;
  run_rule(c, true, gy, gx);
  for (int i = 0; i < attr->n_body; i++)
    if (!ct_wants(c, i))
      gx[i] = NULL;
    else if (i >= attr->n_x)
      gx[i] = no_rule(c, i);
}

static void custom_push(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  const custom *attr = c->attr;
  for (int i = attr->n_x; i < attr->n_body; i++)
    if (dx[i]) {
      dy[0] = no_rule(c, i);
      return;
    }
  run_rule(c, false, dx, dy);
  for (int o = 0; o < c->n_out; o++)
    if (!ct_dtype_is_float(ct_out(c, o)->v.dtype)) dy[o] = NULL;
}

/* ---- a batch --------------------------------------------------------------------------------- */

static ct_status map(ct_list y, ct_list x, ct_list batched, const int *axes, ct_tensor **out) {
  return ct_vmap(y, x, batched, (ct_vmap_opts){.in_axes = axes}, out);
}

/* Body and rule over a batch: r on one element, b on all of them. */
static ct_status map_rule(const ct_call *c, ct_tensor *const *in, const int *axes, parts *r,
                          parts *b) {
  const custom *attr = c->attr;
  ct_status status = ct_inline_function(attr->call.f, part(r, INPUTS), r->at[EXTRA]);
  if (status == CT_OK)
    status = map(part(r, EXTRA), part(r, INPUTS), part(b, INPUTS), axes, b->at[EXTRA]);
  ct_list y = part(r, EXTRA), all_y = part(b, EXTRA);
  ct_list x = {attr->n_x, r->at[INPUTS]}, all_x = {attr->n_x, (ct_tensor *const *)in};
  if (status != CT_OK || !ct__placeholders(y, r->at[OUTPUTS]) ||
      !ct__placeholders(all_y, b->at[OUTPUTS]) ||
      !ct__placeholders(pulls(c) ? y : x, r->at[SEEDS]) ||
      !ct__placeholders(pulls(c) ? all_y : all_x, b->at[SEEDS]))
    return ct__pending(c->op->name);
  status = ct_inline_function(attr->rule, rule_inputs(r), r->at[RESULTS]);
  if (status == CT_OK)
    status = map(part(r, RESULTS), rule_inputs(r), rule_inputs(b), axes, b->at[RESULTS]);
  for (int i = 0; i < attr->n_x && pulls(c) && status == CT_OK; i++)
    if (axes[i] == CT_NOT_BATCHED)
      b->at[RESULTS][i] = ct_sum(b->at[RESULTS][i], (ct_axes){.n = 1}, false);
  return status;
}

static void custom_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                         ct_tensor **out) {
  const custom *attr = c->attr;
  custom all = *attr;
  all.call.f = all.rule = NULL;
  bool pull = pulls(c);
  int n_s = pull ? c->n_out : attr->n_x, n_r = pull ? attr->n_x : c->n_out;
  int n_axes = c->n_in + c->n_out + n_s;
  size_t bytes = (size_t)n_axes * sizeof(int);
  int *axes = ct__alloc(bytes);
  parts r = {0}, b = {0};
  bool was = ct__set_recording(true);
  for (int i = 0; axes && i < n_axes; i++) {
    int of = i < c->n_in ? i : !pull && i >= c->n_in + c->n_out ? i - c->n_in - c->n_out : -1;
    axes[i] = of < 0 || batched[of] ? 0 : CT_NOT_BATCHED;
  }
  if (axes && parts_begin(&r, c->n_in, c->n_out, n_s, n_r, c->n_out) &&
      parts_begin(&b, c->n_in, c->n_out, n_s, n_r, c->n_out) &&
      ct__placeholders((ct_list){c->n_in, c->in}, r.at[INPUTS]) &&
      ct__placeholders((ct_list){c->n_in, in}, b.at[INPUTS]) &&
      map_rule(c, in, axes, &r, &b) == CT_OK) {
    all.call.f = ct_function_new(part(&b, INPUTS), part(&b, EXTRA));
    all.rule = ct_function_new(rule_inputs(&b), part(&b, RESULTS));
  }
  ct__set_recording(was);
  parts_end(&r);
  parts_end(&b);
  ct__free(axes, bytes);
  for (int o = 0; o < c->n_out; o++) out[o] = ct_nil();
  if (all.call.f && all.rule) ct__apply(c->op, &all, c->n_in, in, out);
  release(&all);
}

/* ---- the records ----------------------------------------------------------------------------- */

static ct_status custom_copy(void *to, const void *from) {
  custom *attr = to;
  memcpy(attr, from, sizeof *attr);
  ct_function_keep(attr->call.f);
  ct_function_keep(attr->rule);
  return CT_OK;
}

static void custom_release(void *attr) { release(attr); }

/* clang-format off */
#define CUSTOM(NAME, DOC)                                                                          \
  static const ct_op NAME##_op = {CT_OP, .name = #NAME, .doc = DOC, .n_in = CT_VARIADIC,           \
      .n_out = CT_VARIADIC, .flags = CT__INLINED, .attr_size = sizeof(custom),                      \
      .attr_copy = custom_copy, .fallback = ct__call_fallback,                                     \
      .attr_release = custom_release, .infer = ct__call_infer, .eval = ct__call_eval,              \
      .vjp = custom_pull, .jvp = custom_push, .batch = custom_batch, .lo = -2, .hi = 2};
CUSTOM(custom_vjp, "y = f(x) with gx = rule(x, y, gy)")
CUSTOM(custom_jvp, "y = f(x) with dy = rule(x, y, dx)")
/* clang-format on */

const ct_op *const ct__custom_ops[] = {&custom_vjp_op, &custom_jvp_op, NULL};
