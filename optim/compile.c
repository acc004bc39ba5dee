/* compile.c - steps as recipes: what an optimizer adds to an open build, and programs of it.
 *
 * Rate and count are variables, so every run reads them anew. Plain SGD is written in public
 * operations, p - lr g, which the compiler folds into the product that makes the gradient. The
 * others are a record around the loops of eager steps; it cannot fail.
 */
#include "../tensor/pool.h"
#include "optim_internal.h"

/* ---- the numbers of a step: y = the struct ct__step at rate and count x ---------------------- */

enum { NUMBERS = sizeof(ct__step) / sizeof(double) };
_Static_assert(sizeof(ct__step) == NUMBERS * sizeof(double), "a step is doubles only");

typedef struct numbers_attr {
  const ct__rule *rule;
  ct__step options;
  double lr_scale, decay_scale;
} numbers_attr;

static ct_status numbers_infer(const ct_call *c, ct_spec *out) {
  (void)c;
  ct__spec_set(out, CT_F64, 1, &(int64_t){NUMBERS});
  return CT_OK;
}

static ct_status numbers_eval(const ct_eval *e) {
  const numbers_attr *a = e->attr;
  const double lr = ct__get(e->in[0], 0), t = ct__get(e->in[1], 0);
  const ct__step step = ct__step_numbers(a->rule, &a->options, lr, a->lr_scale, a->decay_scale, t);
  memcpy(e->out[0]->data, &step, sizeof step);
  return CT_OK;
}

static const ct_op numbers_op = {CT_OP,
                                 .name = "optim_numbers",
                                 .doc = "y = the numbers of step t at a rate",
                                 .n_in = 2,
                                 .flags = CT_NONDIFF,
                                 .attr_size = sizeof(numbers_attr),
                                 .infer = numbers_infer,
                                 .eval = numbers_eval};

static ct_tensor *numbers(const ct_optim *o, const ct__param *p, ct_tensor *t) {
  numbers_attr a;
  memset(&a, 0, sizeof a);
  a.rule = o->rule;
  a.options = o->step;
  a.lr_scale = p->lr_scale;
  a.decay_scale = p->decay_scale;
  return CT__APPLY(&numbers_op, &a, o->lr, t);
}

/* ---- a step of one parameter: states and p from numbers, gradient, states and p -------------- */

enum { IN_NUMBERS, IN_GRAD, IN_STATE };

typedef struct update_attr {
  int n_out; /* first: see n_out of ct_op */
  const ct__rule *rule;
} update_attr;

static ct_status update_infer(const ct_call *c, ct_spec *out) {
  for (int k = 0; k < c->n_out; k++) {
    const ct_view *v = ct__in(c, IN_STATE + k);
    ct__spec_set(&out[k], v->dtype, v->ndim, v->dim);
  }
  return CT_OK;
}

/* Results start as copies, unless they lie where the inputs do. */
static ct_status update_eval(const ct_eval *e) {
  const ct__rule *rule = ((const update_attr *)e->attr)->rule;
  const ct_view *in[1 + CT__MAX_STATE] = {e->in[IN_GRAD]};
  ct_view *p = e->out[rule->n_state];
  for (int k = 0; k < e->n_out; k++) {
    if (e->out[k]->data != e->in[IN_STATE + k]->data) ct__copy(e->in[IN_STATE + k], e->out[k]);
    if (k < rule->n_state) in[1 + k] = e->out[k];
  }
  ct__map(1 + rule->n_state, in, p, rule->loop[p->dtype == CT_F64], e->in[IN_NUMBERS]->data, -1);
  return CT_OK;
}

static const ct_op update_op = {CT_OP,
                                .name = "optim_step",
                                .doc = "y = states and parameter after a step",
                                .n_in = CT_VARIADIC,
                                .n_out = CT_VARIADIC,
                                .inplace = ~3u, /* all but numbers and gradient */
                                .flags = CT_NONDIFF,
                                .attr_size = sizeof(update_attr),
                                .infer = update_infer,
                                .eval = update_eval};

static ct_status update(const ct_optim *o, const ct__param *p, ct_tensor *t, ct_tensor *grad,
                        ct_tensor **out) {
  const int n = o->rule->n_state;
  update_attr a;
  memset(&a, 0, sizeof a);
  a.n_out = n + 1;
  a.rule = o->rule;
  ct_tensor *in[IN_STATE + CT__MAX_STATE + 1] = {numbers(o, p, t), grad};
  for (int k = 0; k < n; k++) in[IN_STATE + k] = p->state[k];
  in[IN_STATE + n] = p->tensor;
  return ct__apply(&update_op, &a, IN_STATE + n + 1, in, out);
}

/* ---- plain SGD: p - lr g --------------------------------------------------------------------- */

static bool is_plain(const ct_optim *o, const ct__param *p) {
  return o->rule == &ct__sgd_rule && o->step.decay * p->decay_scale == 0;
}

/* The compiler knows sub(p, mul(rate, product)) with a rate of no dimensions: keep to it. */
static ct_status descend(const ct_optim *o, const ct__param *p, ct_tensor *grad, ct_tensor **out) {
  ct_tensor *lr = p->lr_scale != 1 ? ct_scale(o->lr, p->lr_scale) : o->lr;
  ct_tensor *rate = ct_cast(lr, p->tensor->v.dtype);
  *out = ct_sub(p->tensor, ct_mul(rate, grad));
  return ct__is_nil(*out) ? ct__pending("ct_optim_step") : CT_OK;
}

/* ---- a step of all --------------------------------------------------------------------------- */

/* The new values, state by state, then the parameter: n_state + 1 for each. */
static ct_status new_values(const ct_optim *o, ct_list grads, ct_tensor *t, ct_tensor **out) {
  ct_status status = CT_OK;
  for (int i = 0; i < o->n && status == CT_OK; i++, out += o->rule->n_state + 1) {
    const ct__param *p = &o->param[i];
    status = is_plain(o, p) ? descend(o, p, grads.at[i], out) : update(o, p, t, grads.at[i], out);
  }
  return status;
}

static ct_status assign_all(const ct_optim *o, ct_tensor *t, ct_tensor *const *value) {
  ct_status status = ct_assign(o->count, t);
  for (int i = 0; i < o->n; i++) {
    const ct__param *p = &o->param[i];
    for (int k = 0; k < o->rule->n_state && status == CT_OK; k++)
      status = ct_assign(p->state[k], *value++);
    if (status == CT_OK) status = ct_assign(p->tensor, *value++);
  }
  return status;
}

ct_status ct__optim_collect(ct_optim *o, ct_list grads) {
  const size_t bytes = (size_t)o->n * (size_t)(o->rule->n_state + 1) * sizeof(ct_tensor *);
  ct_scope scope = ct_scope_begin();
  if (scope.depth < 0) return ct__no_memory("ct_optim_step");
  ct__set_recording(true); /* until the scope ends */
  ct_tensor **value = ct__alloc(bytes), *t = ct_shift(o->count, 1);
  ct_status status = value ? new_values(o, grads, t, value) : CT_ENOMEM;
  if (status == CT_OK) status = assign_all(o, t, value);
  ct__free(value, bytes);
  ct_scope_end(scope);
  return status;
}

ct_program *ct_compile_step(ct_tensor *loss, ct_optim *o, ct_list inputs, ct_compile_opts opts) {
  static const char who[] = "ct_compile_step";
  if (!o) {
    ct__fail(CT_EARG, "%s: got NULL instead of an optimizer", who);
    return NULL;
  }
  if (ct__check_tensor(who, "loss", loss) != CT_OK ||
      ct__check_list(who, "inputs", inputs) != CT_OK)
    return NULL;
  ct_scope scope = ct_scope_begin();
  if (scope.depth < 0) return NULL;
  const bool joins = ct__building();
  if (!joins) ct_build_begin();
  ct__set_recording(true); /* until the scope ends */
  ct_program *p = NULL;
  if (ct_optim_minimize(o, loss, NULL) == CT_OK) p = ct_compile(inputs, CT_LIST(loss), opts);
  if (!joins) ct_build_end();
  ct_scope_end(scope);
  return p;
}
