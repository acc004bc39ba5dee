/* function.c - recipes that run again: a list of calls, replayed in a plain loop.
 *
 * One replay serves two ends: with recording off it is ct_function_run, with recording on it
 * inlines a function into a larger recipe. Values are released at their last use.
 */
#include "function_internal.h"

/* ---- building -------------------------------------------------------------------------------- */

/* The tensor whose slot or value t stands for: outputs of a derivative are those of its recipe. */
static const ct_tensor *behind(const ct__walk *w, const ct_tensor *t) {
  for (ct__node *n = ct__walk_node(w, t); n && !ct__has_rule(n->call.op, w->mode);
       n = ct__walk_node(w, t)) {
    if (ct__walk_target(w, t) >= 0) break;
    t = n->recipe.extra[t->out_index];
  }
  return t;
}

/* Index of t among the inputs of f, or -1. */
static int input_index(const ct_function *f, const ct_tensor *t) {
  for (int i = 0; i < f->n_in; i++)
    if (f->in[i] == t) return i;
  return -1;
}

static void set_operand(const ct_function *f, const ct__walk *w, ct__operand *o,
                        const ct_tensor *t) {
  t = behind(w, t);
  ct__node *n = ct__walk_target(w, t) < 0 ? ct__walk_node(w, t) : NULL;
  o->slot = n ? n->cursor + t->out_index : input_index(f, t); /* see number() for the cursor */
  if (o->slot < 0) o->constant = ct_keep((ct_tensor *)(uintptr_t)t);
}

/* A variable that the recipe refers to becomes one more input. */
static ct_status capture(ct_function *f, const ct__walk *w, const ct_tensor *t) {
  t = behind(w, t);
  if (!(t->flags & CT__RECORDED) || ct__walk_node(w, t) || input_index(f, t) >= 0) return CT_OK;
  if (w->mode == CT__FROZEN && t->buffer) return CT_OK;
  char text[CT__SHAPE_TEXT];
  if (t->flags & CT__PLACEHOLDER)
    return ct__fail_status(CT_EARG, "%s: the placeholder %s %s is not among the inputs", w->who,
                           ct_dtype_name(t->v.dtype), ct__shape_text(text, t->v.ndim, t->v.dim));
  f->in[f->n_in++] = ct_keep((ct_tensor *)(uintptr_t)t);
  return CT_OK;
}

/* A slot dies at its last reader; outputs come last and keep what they need. */
static void find_last_uses(ct_function *f, bool *seen) {
  memset(seen, 0, (size_t)f->n_slots * sizeof *seen);
  for (int k = f->n_operands + f->n_out - 1; k >= 0; k--) {
    ct__operand *o = &f->operands[k];
    if (o->constant) continue;
    o->last = !seen[o->slot] && k < f->n_operands;
    seen[o->slot] = true;
  }
}

static void count(ct_function *f, const ct__walk *w) {
  for (ct__node *n = w->order; n; n = n->link) {
    if (!ct__has_rule(n->call.op, w->mode)) continue;
    f->n_operands += n->call.n_in;
    f->n_instructions++;
  }
}

/* Room for at most `most` inputs: every operand could be a variable. */
static bool allocate(ct_function *f, int most) {
  size_t operands = (size_t)(f->n_operands + f->n_out) * sizeof *f->operands;
  f->in = ct__alloc((size_t)most * sizeof *f->in);
  f->instructions = ct__alloc((size_t)f->n_instructions * sizeof *f->instructions);
  f->operands = ct__alloc(operands);
  f->spec = ct__alloc((size_t)f->n_out * sizeof *f->spec);
  if (f->instructions)
    memset(f->instructions, 0, (size_t)f->n_instructions * sizeof *f->instructions);
  if (f->operands) memset(f->operands, 0, operands);
  return f->in && f->instructions && f->operands && f->spec;
}

/* Inputs, then slots in the order of the calls. */
static ct_status number(ct_function *f, const ct__walk *w, ct_list inputs, ct_list outputs) {
  ct_status status = CT_OK;
  for (int i = 0; i < inputs.n; i++) f->in[f->n_in++] = ct_keep(inputs.at[i]);
  for (ct__node *n = w->order; n; n = n->link)
    for (int i = 0; i < n->call.n_in && status == CT_OK; i++)
      if (ct__has_rule(n->call.op, w->mode)) status = capture(f, w, n->recipe.in[i]);
  for (int o = 0; o < outputs.n && status == CT_OK; o++) status = capture(f, w, outputs.at[o]);
  f->n_slots = f->n_in;
  for (ct__node *n = w->order; n; n = n->link) {
    n->cursor = f->n_slots;
    if (ct__has_rule(n->call.op, w->mode)) f->n_slots += n->call.n_out;
  }
  return status;
}

static ct_status fill(ct_function *f, const ct__walk *w, ct_list outputs) {
  int k = 0, at = 0;
  for (ct__node *n = w->order; n; n = n->link) {
    if (!ct__has_rule(n->call.op, w->mode)) continue;
    atomic_fetch_add_explicit(&n->recipe.refs, 1, memory_order_relaxed);
    f->instructions[k++] = (ct__instruction){n, at, n->cursor};
    for (int i = 0; i < n->call.n_in; i++) set_operand(f, w, &f->operands[at++], n->recipe.in[i]);
  }
  for (int o = 0; o < f->n_out; o++) {
    const ct_view *v = &outputs.at[o]->v;
    set_operand(f, w, &f->operands[f->n_operands + o], outputs.at[o]);
    ct__spec_set(&f->spec[o], v->dtype, v->ndim, v->dim);
  }
  bool *seen = ct__alloc((size_t)f->n_slots * sizeof *seen);
  if (!seen) return CT_ENOMEM;
  find_last_uses(f, seen);
  ct__free(seen, (size_t)f->n_slots * sizeof *seen);
  return CT_OK;
}

static ct_status build(ct_function *f, const ct__walk *w, ct_list inputs, ct_list outputs) {
  count(f, w);
  if (!allocate(f, inputs.n + f->n_operands + f->n_out)) return CT_ENOMEM;
  ct_status status = number(f, w, inputs, outputs);
  return status == CT_OK ? fill(f, w, outputs) : status;
}

static ct_status check_inputs(const char *who, ct_list l) {
  ct_status status = ct__check_list(who, "inputs", l);
  for (int i = 0; i < l.n && status == CT_OK; i++)
    if (!(l.at[i]->flags & CT__RECORDED))
      status = ct__fail_status(CT_ERECORD, "%s: inputs[%d] is neither a placeholder nor recorded",
                               who, i);
  return status;
}

ct_function *ct__function_make(const char *who, ct__mode mode, ct_list inputs, ct_list outputs) {
  if (check_inputs(who, inputs) != CT_OK) return NULL;
  if (ct__check_list(who, "outputs", outputs) != CT_OK) return NULL;
  ct_function *f = ct__alloc(sizeof *f);
  if (!f) return NULL;
  *f = (ct_function){.n_args = inputs.n, .n_out = outputs.n};
  atomic_init(&f->refs, 1);
  ct__walk w;
  ct_status status = ct__walk_begin(&w, who, mode, outputs, inputs);
  if (status == CT_OK) {
    ct__walk_reverse(&w);
    status = build(f, &w, inputs, outputs);
    ct__walk_end(&w);
  }
  if (status != CT_OK) ct_function_release(&f);
  return f;
}

ct_function *ct_function_new(ct_list inputs, ct_list outputs) {
  return ct__function_make("ct_function_new", CT__REPLAY, inputs, outputs);
}

ct_function *ct__function_frozen(ct_list inputs, ct_list outputs) {
  return ct__function_make("ct_linearize", CT__FROZEN, inputs, outputs);
}

ct_list ct__function_inputs(const ct_function *f) { return (ct_list){f->n_args, f->in}; }

int ct__function_outputs(const ct_function *f) { return f->n_out; }

ct_function *ct_function_keep(ct_function *f) {
  if (f) atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
  return f;
}

void ct_function_release(ct_function **p) {
  ct_function *f = p ? *p : NULL;
  if (!f) return;
  *p = NULL;
  if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1) return;
  for (int i = 0; f->in && i < f->n_in; i++) ct_release(&f->in[i]);
  for (int k = 0; f->operands && k < f->n_operands + f->n_out; k++)
    ct_release(&f->operands[k].constant);
  for (int k = 0; f->instructions && k < f->n_instructions; k++)
    if (f->instructions[k].node) ct__node_free(f->instructions[k].node);
  if (f->in) ct__free(f->in, (size_t)(f->n_args + f->n_operands + f->n_out) * sizeof *f->in);
  if (f->spec) ct__free(f->spec, (size_t)f->n_out * sizeof *f->spec);
  if (f->operands) ct__free(f->operands, (size_t)(f->n_operands + f->n_out) * sizeof *f->operands);
  if (f->instructions)
    ct__free(f->instructions, (size_t)f->n_instructions * sizeof *f->instructions);
  ct__free(f, sizeof *f);
}

/* ---- running --------------------------------------------------------------------------------- */

static ct_tensor *fetch(ct_tensor *const *slot, const ct__operand *o) {
  return o->constant ? o->constant : slot[o->slot];
}

static ct_status step(const ct_function *f, const ct__instruction *k, ct_tensor **slot,
                      ct_tensor **in) {
  const ct_call *c = &k->node->call;
  const ct__operand *o = &f->operands[k->operand];
  for (int i = 0; i < c->n_in; i++) in[i] = fetch(slot, &o[i]);
  ct_scope scope = ct_scope_begin();
  ct_status status = ct__apply(c->op, c->attr, c->n_in, in, &slot[k->slot]);
  for (int i = 0; i < c->n_out; i++) ct__ref(slot[k->slot + i]);
  ct_status end = ct_scope_end(scope);
  for (int i = 0; i < c->n_in; i++)
    if (o[i].last) ct_release(&slot[o[i].slot]);
  return status == CT_OK ? end : status;
}

/* Runs the calls on n_in inputs, arguments first; results belong to the current scope. */
static ct_status replay(const ct_function *f, ct_tensor *const *in, ct_tensor **out) {
  int widest = 1;
  for (int k = 0; k < f->n_instructions; k++)
    if (f->instructions[k].node->call.n_in > widest) widest = f->instructions[k].node->call.n_in;
  size_t bytes = (size_t)(f->n_slots + widest) * sizeof(ct_tensor *);
  ct_tensor **slot = ct__alloc(bytes);
  if (!slot) return CT_ENOMEM;
  memset(slot, 0, bytes);
  for (int i = 0; i < f->n_in; i++) slot[i] = ct_keep(in[i]);
  ct_status status = CT_OK;
  for (int k = 0; k < f->n_instructions && status == CT_OK; k++)
    status = step(f, &f->instructions[k], slot, slot + f->n_slots);
  for (int o = 0; o < f->n_out && status == CT_OK; o++) {
    ct_tensor *t = fetch(slot, &f->operands[f->n_operands + o]);
    out[o] = ct_reshape(t, ct__shape_of_view(&t->v)); /* a tensor of its own */
    if (ct__is_nil(out[o])) status = ct__pending("ct_function_run");
  }
  for (int i = 0; i < f->n_slots; i++) ct_release(&slot[i]);
  ct__free(slot, bytes);
  return status;
}

ct_status ct__check_argument(const char *who, int i, const ct_view *want, const ct_tensor *t) {
  const ct_view *got = &t->v;
  if (CT__LIKELY(want->dtype == got->dtype && ct__same_shape(want, got))) return CT_OK;
  char a[CT__SHAPE_TEXT], b[CT__SHAPE_TEXT];
  return ct__fail_status(want->dtype != got->dtype ? CT_EDTYPE : CT_ESHAPE,
                         "%s: want input %d as %s %s, got %s %s", who, i,
                         ct_dtype_name(want->dtype), ct__shape_text(a, want->ndim, want->dim),
                         ct_dtype_name(got->dtype), ct__shape_text(b, got->ndim, got->dim));
}

ct_status ct__check_arguments(const char *who, const ct_function *f, ct_list inputs) {
  if (!f) return ct__fail_status(CT_EARG, "%s: the function is NULL", who);
  if (inputs.n != f->n_args)
    return ct__fail_status(CT_EARG, "%s: want %d inputs, got %d", who, f->n_args, inputs.n);
  ct_status status = ct__check_list(who, "inputs", inputs);
  for (int i = 0; i < inputs.n && status == CT_OK; i++)
    status = ct__check_argument(who, i, &f->in[i]->v, inputs.at[i]);
  return status;
}

ct_tensor **ct__all_inputs(const ct_function *f, ct_list args) {
  ct_tensor **in = ct__alloc((size_t)f->n_in * sizeof *in);
  if (!in) return NULL;
  for (int i = 0; i < f->n_in; i++) in[i] = i < f->n_args ? args.at[i] : f->in[i];
  return in;
}

static void free_inputs(const ct_function *f, ct_tensor **in) {
  ct__free(in, (size_t)f->n_in * sizeof *in);
}

static ct_status run_function(const ct_function *f, ct_list inputs, ct_tensor **outputs) {
  for (int o = 0; f && outputs && o < f->n_out; o++) outputs[o] = ct_nil();
  ct_status status = ct__check_arguments("ct_function_run", f, inputs);
  if (status == CT_OK && !outputs && f->n_out > 0)
    status = ct__fail_status(CT_EARG, "ct_function_run: there is no room for results");
  for (int i = 0; i < inputs.n && status == CT_OK; i++)
    status = ct__check_value("ct_function_run", inputs.at[i]);
  if (status != CT_OK) return status;
  ct_tensor **in = ct__all_inputs(f, inputs);
  if (!in) return CT_ENOMEM;
  bool was = ct__set_recording(false);
  status = replay(f, in, outputs);
  ct__set_recording(was);
  free_inputs(f, in);
  for (int o = 0; o < f->n_out; o++) {
    if (status != CT_OK)
      outputs[o] = ct_nil();
    else
      outputs[o]->flags &= ~(unsigned)CT__CUT;
  }
  return status;
}

ct_status ct_function_run(const ct_function *f, ct_list inputs, ct_tensor **outputs) {
  bool was = ct__status_begin();
  return ct__status_end("ct_function_run", was, run_function(f, inputs, outputs));
}

/* ---- a function as one operation ------------------------------------------------------------- */

static const ct_function *called(const void *attr) { return ((const ct__call_attr *)attr)->f; }

static ct_status call_copy(void *to, const void *from) {
  memcpy(to, from, sizeof(ct__call_attr));
  ct_function_keep(((ct__call_attr *)to)->f);
  return CT_OK;
}

static void call_release(void *attr) { ct_function_release(&((ct__call_attr *)attr)->f); }

ct_status ct__call_infer(const ct_call *c, ct_spec *out) {
  const ct_function *f = called(c->attr);
  memcpy(out, f->spec, (size_t)f->n_out * sizeof *out);
  return CT_OK;
}

/* A node over a place of this evaluation. */
static ct_tensor *over(const ct_view *v) {
  return ct_wrap(v->dtype, ct__shape_of_view(v), v->data,
                 (ct_wrap_opts){.stride = v->stride, .read_only = true});
}

ct_status ct__eval_on_tensors(const ct_eval *e, ct__tensor_run *run) {
  size_t bytes = (size_t)(e->n_in + e->n_out) * sizeof(ct_tensor *);
  ct_tensor **in = ct__alloc(bytes), **out = in + e->n_in;
  if (!in) return CT_ENOMEM;
  ct_scope scope = ct_scope_begin_with(CT_NO_RECORD);
  for (int i = 0; i < e->n_in; i++) in[i] = over(e->in[i]);
  ct_status status = run(e->attr, in, out);
  for (int o = 0; o < e->n_out && status == CT_OK; o++) ct__copy(&out[o]->v, e->out[o]);
  ct_status end = ct_scope_end(scope);
  ct__free(in, bytes);
  return status == CT_OK ? end : status;
}

static ct_status replay_call(const void *attr, ct_tensor *const *in, ct_tensor **out) {
  return replay(called(attr), in, out);
}

ct_status ct__call_eval(const ct_eval *e) { return ct__eval_on_tensors(e, replay_call); }

void ct__call_fallback(const ct_call *c, ct_tensor **y) {
  if (replay(called(c->attr), c->in, y) == CT_OK) return;
  for (int o = 0; o < c->n_out; o++) y[o] = ct_nil();
}

/* The recipe on placeholders, mapped. */
static void call_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                       ct_tensor **out) {
  size_t pointers = (size_t)(c->n_in + c->n_out) * sizeof(ct_tensor *);
  size_t bytes = pointers + (size_t)c->n_in * sizeof(int);
  ct_tensor **x = ct__alloc(bytes), **y = x + c->n_in;
  int *axes = x ? (int *)(void *)((char *)x + pointers) : NULL;
  for (int o = 0; o < c->n_out; o++) out[o] = ct_nil();
  for (int i = 0; x && i < c->n_in; i++) axes[i] = batched[i] ? 0 : CT_NOT_BATCHED;
  if (x && ct__placeholders((ct_list){c->n_in, c->in}, x) && replay(called(c->attr), x, y) == CT_OK)
    ct_vmap((ct_list){c->n_out, y}, (ct_list){c->n_in, x}, (ct_list){c->n_in, in},
            (ct_vmap_opts){.in_axes = axes}, out);
  ct__free(x, bytes);
}

static const ct_op call_op = {CT_OP,
                              .name = "call",
                              .doc = "y = f(x) for a ct_function f",
                              .n_in = CT_VARIADIC,
                              .n_out = CT_VARIADIC,
                              .flags = CT__INLINED,
                              .attr_size = sizeof(ct__call_attr),
                              .attr_copy = call_copy,
                              .attr_release = call_release,
                              .infer = ct__call_infer,
                              .eval = ct__call_eval,
                              .batch = call_batch,
                              .fallback = ct__call_fallback,
                              .lo = -2,
                              .hi = 2};

static ct_status call_it(ct_function *f, ct_list inputs, ct_tensor **outputs) {
  for (int o = 0; f && outputs && o < f->n_out; o++) outputs[o] = ct_nil();
  ct_status status = ct__check_arguments("ct_call_function", f, inputs);
  if (status == CT_OK && !outputs && f->n_out > 0)
    status = ct__fail_status(CT_EARG, "ct_call_function: there is no room for results");
  if (status != CT_OK || f->n_out == 0) return status;
  ct__call_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.n_out = f->n_out;
  attr.f = f;
  ct_tensor **in = ct__all_inputs(f, inputs);
  if (!in) return CT_ENOMEM;
  status = ct__apply(&call_op, &attr, f->n_in, in, outputs);
  free_inputs(f, in);
  return status;
}

ct_status ct_call_function(ct_function *f, ct_list inputs, ct_tensor **outputs) {
  bool was = ct__status_begin();
  return ct__status_end("ct_call_function", was, call_it(f, inputs, outputs));
}

static ct_status inline_it(ct_function *f, ct_list inputs, ct_tensor **outputs) {
  for (int o = 0; f && outputs && o < f->n_out; o++) outputs[o] = ct_nil();
  ct_status status = ct__check_arguments("ct_inline_function", f, inputs);
  if (status == CT_OK && !outputs && f->n_out > 0)
    status = ct__fail_status(CT_EARG, "ct_inline_function: there is no room for results");
  if (status != CT_OK) return status;
  ct_tensor **in = ct__all_inputs(f, inputs);
  if (!in) return CT_ENOMEM;
  status = replay(f, in, outputs);
  free_inputs(f, in);
  for (int o = 0; status != CT_OK && o < f->n_out; o++) outputs[o] = ct_nil();
  return status;
}

ct_status ct_inline_function(ct_function *f, ct_list inputs, ct_tensor **outputs) {
  bool was = ct__status_begin();
  return ct__status_end("ct_inline_function", was, inline_it(f, inputs, outputs));
}

const ct_op *const ct__function_ops[] = {&call_op, NULL};
