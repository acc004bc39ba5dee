/* run.c - instances of a program and the loop that runs one.
 *
 * An instance has the arena and every operand's place worked out, so that a run only fills in where
 * inputs and results lie this time. Idle instances wait in the program; a run that finds none makes
 * one, so any number of threads can run a program at once.
 */
#include "bounds.h"

/* An instruction: a cache line, as a large one before it leaves nothing of the record near. */
typedef struct ready {
  ct_status (*run)(const ct_eval *e);
  ct_eval e;
} ready;

struct ct__instance {
  ct__instance *next;
  size_t bytes;
  char *arena;
  ct_view *view;         /* of each value */
  ready *instr;          /* each one */
  const ct_view **place; /* their operands */
};

/* ---- making ---------------------------------------------------------------------------------- */

static int count_operands(const ct_program *p) {
  int n = 0;
  for (int k = 0; k < p->n_instrs; k++) n += p->instr[k].n_in + p->instr[k].n_out;
  return n;
}

/* Where the value lies; NULL if a run decides that. */
static char *data_of(const ct_program *p, const ct__instance *s, const ct__value *x) {
  const ct__value *base = &p->value[x->base];
  if (base->home == CT__CAPTURED) return base->tensor->v.data + x->offset;
  if (base->home == CT__ARGUMENT || base->result >= 0) return NULL;
  return s->arena + base->at + x->offset;
}

ct_status ct__run_instr(const ct_eval *e) {
  const ct_op *op = e->op;
  if (!op->kernel) return op->eval(e);
  ct_map(e->n_in, e->in, e->out[0], op->kernel->loop[e->in[e->n_in - 1]->dtype], e->attr);
  return CT_OK;
}

static void fill_instance(const ct_program *p, ct__instance *s) {
  const ct_view **at = s->place;
  for (int i = 0; i < p->n_values; i++) {
    s->view[i] = p->value[i].v;
    s->view[i].data = data_of(p, s, &p->value[i]);
  }
  for (int k = 0; k < p->n_instrs; k++) {
    const ct__instr *instr = &p->instr[k];
    const ct_view *const *in = at;
    for (int i = 0; i < instr->n_in + instr->n_out; i++) *at++ = &s->view[instr->arg[i]];
    ct_view *const *out = (ct_view *const *)(const void *)(in + instr->n_in);
    s->instr[k] = (ready){
        instr->op->kernel ? ct__run_instr : instr->op->eval,
        {instr->op, instr->attr, instr->n_in, instr->n_out, in, out, s->arena + instr->work_at}};
  }
}

static ct__instance *instance_new(const ct_program *p) {
  size_t head = ct__whole_lines(sizeof(ct__instance));
  size_t views = ct__whole_lines((size_t)p->n_values * sizeof(ct_view));
  size_t instrs = ct__whole_lines((size_t)p->n_instrs * sizeof(ready));
  size_t places = ct__whole_lines((size_t)count_operands(p) * sizeof(ct_view *));
  size_t bytes = head + views + instrs + places + p->arena;
  char *block = ct__alloc(bytes);
  if (!block) return NULL;
  ct__instance *s = (ct__instance *)(void *)block;
  *s = (ct__instance){.bytes = bytes};
  s->view = (ct_view *)(void *)(block + head);
  s->instr = (ready *)(void *)(block + head + views);
  s->place = (const ct_view **)(void *)(block + head + views + instrs);
  s->arena = block + head + views + instrs + places;
  fill_instance(p, s);
  return s;
}

void ct__instances_free(ct_program *p) {
  for (ct__instance *s = p->idle, *next; s; s = next) {
    next = s->next;
    ct__free(s, s->bytes);
  }
  p->idle = NULL;
}

/* ---- taking turns ---------------------------------------------------------------------------- */

static void lock(ct_program *p) {
  while (atomic_flag_test_and_set_explicit(&p->lock, memory_order_acquire)) {
  }
}

static void unlock(ct_program *p) { atomic_flag_clear_explicit(&p->lock, memory_order_release); }

static ct_status take(ct_program *p, ct__instance **s) {
  lock(p);
  bool busy = p->n_updates > 0 && p->updating;
  if (!busy) {
    p->updating = true;
    *s = p->idle;
    if (*s) p->idle = (*s)->next;
  }
  unlock(p);
  if (busy)
    return ct__fail_status(CT_EARG, "ct_run: another thread runs this program, which has updates");
  if (!*s) *s = instance_new(p);
  if (*s) return CT_OK;
  lock(p);
  p->updating = false;
  unlock(p);
  return CT_ENOMEM;
}

static void give_back(ct_program *p, ct__instance *s) {
  lock(p);
  s->next = p->idle;
  p->idle = s;
  p->updating = false;
  unlock(p);
}

/* ---- inputs and results ---------------------------------------------------------------------- */

static ct_status check_input(const ct_program *p, int i, const ct_tensor *t) {
  ct_status status = ct__check_argument("ct_run", i, &p->value[p->argument[i]].v, t);
  return status == CT_OK ? ct__check_value("ct_run", t) : status;
}

static ct_status check(const ct_program *p, ct_list inputs, ct_tensor **outputs) {
  if (!outputs && p->n_out > 0)
    return ct__fail_status(CT_EARG, "ct_run: there is no room for results");
  if (inputs.n != p->n_args)
    return ct__fail_status(CT_EARG, "ct_run: want %d inputs, got %d", p->n_args, inputs.n);
  ct_status status = ct__check_list("ct_run", "inputs", inputs);
  for (int i = 0; i < inputs.n && status == CT_OK; i++) status = check_input(p, i, inputs.at[i]);
  for (int i = 0; i < p->n_captured && status == CT_OK; i++) {
    const ct_tensor *t = p->captured[i];
    if (CT__UNLIKELY(!t->buffer || ct__stale(t))) status = ct__check_value("ct_run", t);
  }
  return status;
}

/* Whether an update writes where the input lies. */
static bool overwritten(const ct_program *p, const ct_tensor *t) {
  for (int u = 0; u < p->n_updates; u++)
    if (p->updated[u]->buffer == t->buffer) return true;
  return false;
}

/* The input itself where its layout allows, or a copy, which belongs to the scope. */
static ct_tensor *settle(const ct_program *p, ct_tensor *t) {
  if (CT__LIKELY(t->v.contiguous && !overwritten(p, t))) return t;
  ct_tensor *copy = ct__own(ct__tensor_alloc(t->v.dtype, t->v.ndim, t->v.dim));
  if (!ct__is_nil(copy)) ct__copy(&t->v, &copy->v);
  return copy;
}

/* Points every value in the memory of the base to data. */
static void bind(const ct_program *p, ct__instance *s, int base, char *data) {
  for (int i = p->moved_at[base]; i < p->moved_at[base + 1]; i++)
    s->view[p->moved[i]].data = data + p->value[p->moved[i]].offset;
}

static ct_status bind_all(const ct_program *p, ct__instance *s, ct_list inputs,
                          ct_tensor **outputs) {
  for (int i = 0; i < p->n_args; i++) {
    const ct_tensor *t = settle(p, inputs.at[i]);
    if (ct__is_nil(t)) return CT_ENOMEM;
    bind(p, s, i, t->v.data);
  }
  for (int o = 0; o < p->n_out; o++) {
    const ct__value *x = &p->value[p->out[o]];
    ct_tensor *t = outputs[o] = ct__own(ct__tensor_alloc(x->v.dtype, x->v.ndim, x->v.dim));
    if (ct__is_nil(t)) return CT_ENOMEM;
    bind(p, s, p->n_args + o, t->v.data);
    if (CT__LIKELY(x->v.contiguous)) continue;
    char *data = t->v.data + x->offset;
    t->v = x->v;
    t->v.data = data;
  }
  return CT_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

static bool is_written(const ct_program *p, const ct__instr *k) {
  for (int o = 0; o < k->n_out; o++)
    if (ct__base(p, ct__outs(k)[o])->home == CT__CAPTURED) return true;
  return false;
}

/* Instruction k found no memory, for a packed copy of a matrix, say. As long as no variable is
 * written the run fails; then there is no way back, but the plain loops need none. */
static ct_status run_plainly(const ct_program *p, const ct__instance *s, int k) {
  int first = 0;
  while (first < k && !is_written(p, &p->instr[first])) first++;
  if (first == k) return CT_ENOMEM;
  const bool was = ct__use_reference(true);
  ct_status status = s->instr[k].run(&s->instr[k].e);
  ct__use_reference(was);
  if (status == CT_OK) ct_error_clear();
  return status;
}

static ct_status run_all(const ct_program *p, const ct__instance *s, ct__watch *watch,
                         void *payload) {
  if (watch) watch(payload, -1);
  for (int k = 0; k < p->n_instrs; k++) {
    ct_status status = s->instr[k].run(&s->instr[k].e);
    if (CT__UNLIKELY(status == CT_ENOMEM)) status = run_plainly(p, s, k);
    if (CT__UNLIKELY(status != CT_OK)) return status;
    if (watch) watch(payload, k);
  }
  for (int u = 0; u < p->n_updates; u++) ct__written(p->updated[u], "ct_run");
  if (p->n_updates > 0) ct__bounds_settle(p);
  return CT_OK;
}

static ct_status run(ct_program *p, ct_list inputs, ct_tensor **outputs, ct__watch *watch,
                     void *payload) {
  ct_status status = check(p, inputs, outputs);
  ct__instance *s = NULL;
  if (status == CT_OK) status = take(p, &s);
  if (status != CT_OK) return status;
  status = bind_all(p, s, inputs, outputs);
  if (status == CT_OK) status = run_all(p, s, watch, payload);
  give_back(p, s);
  return status;
}

ct_status ct__run_with(ct_program *p, ct_list inputs, ct_tensor **outputs, ct__watch *watch,
                       void *payload) {
  if (!p) return ct__fail_status(CT_EARG, "ct_run: the program is NULL");
  bool was = ct__status_begin();
  for (int o = 0; outputs && o < p->n_out; o++) outputs[o] = ct_nil();
  ct_status status = run(p, inputs, outputs, watch, payload);
  for (int o = 0; status != CT_OK && outputs && o < p->n_out; o++) outputs[o] = ct_nil();
  return ct__status_end("ct_run", was, status);
}

ct_status ct_run(ct_program *p, ct_list inputs, ct_tensor **outputs) {
  return ct__run_with(p, inputs, outputs, NULL, NULL);
}
