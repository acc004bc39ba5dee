/* optim.c - optimizers: their parameters and state, and the step that happens whole or not at all.
 */
#include "../tensor/pool.h"
#include "optim_internal.h"

#include <math.h>
#include <stdlib.h>

/* ---- memory ---------------------------------------------------------------------------------- */

/* The three lists of pointers that go with n parameters. */
enum { LISTS = 3 };

static size_t lists_bytes(int n) { return (size_t)n * LISTS * sizeof(void *); }

static void param_release(ct__param *p) {
  ct_release(&p->tensor);
  for (int k = 0; k < CT__MAX_STATE; k++) ct_release(&p->state[k]);
}

void ct_optim_free(ct_optim **optim) {
  if (!optim || !*optim) return;
  ct_optim *o = *optim;
  for (int i = 0; i < o->n; i++) param_release(&o->param[i]);
  ct__free(o->param, (size_t)o->n * sizeof *o->param);
  ct__free(o->tensor, lists_bytes(o->n));
  ct_release(&o->lr);
  ct_release(&o->count);
  ct__free(o, sizeof *o);
  *optim = NULL;
}

static int by_address(const void *a, const void *b) {
  uintptr_t x = (uintptr_t)(*(const ct_buffer *const *)a),
            y = (uintptr_t)(*(const ct_buffer *const *)b);
  return (x > y) - (x < y);
}

/* ---- parameters ------------------------------------------------------------------------------ */

static ct_status check_param(const ct_optim *o, const char *who, ct_list params, int i) {
  const ct_tensor *t = params.at[i];
  ct_status status = ct__check_value(who, t);
  if (status == CT_OK) status = ct__check_writable(who, t);
  if (status != CT_OK) return status;
  if (!ct_is_variable(t))
    return ct__fail_status(CT_EARG, "%s: parameter %d is not a variable (ct_variable)", who, i);
  if (!ct_dtype_is_float(t->v.dtype))
    return ct__fail_status(CT_EDTYPE, "%s: parameter %d is %s, want f32 or f64", who, i,
                           ct_dtype_name(t->v.dtype));
  bool twice = false;
  for (int k = 0; k < o->n; k++) twice |= o->tensor[k] == t;
  for (int k = 0; k < i; k++) twice |= params.at[k] == t;
  return twice ? ct__fail_status(CT_EARG, "%s: parameter %d is there twice", who, i) : CT_OK;
}

/* A state is a variable made from its parameter, so that both lie alike in memory. */
static ct_status param_begin(const ct_optim *o, const char *who, ct__param *p, ct_tensor *t,
                             ct_group_opts group) {
  *p = (ct__param){.tensor = ct_keep(t),
                   .lr_scale = group.lr_scale != 0 ? group.lr_scale : 1,
                   .decay_scale = group.no_decay           ? 0
                                  : group.decay_scale != 0 ? group.decay_scale
                                                           : 1};
  for (int k = 0; k < o->rule->n_state; k++) {
    p->state[k] = ct_variable(t);
    if (ct__is_nil(p->state[k])) return ct__pending(who);
    ct__fill(&p->state[k]->v, 0);
  }
  return CT_OK;
}

/* Puts n old and new parameters in place of the old ones; cannot fail. */
static void adopt(ct_optim *o, ct__param *param, int n, void *lists) {
  if (o->n > 0) memcpy(param, o->param, (size_t)o->n * sizeof *param);
  ct__free(o->param, (size_t)o->n * sizeof *o->param);
  ct__free(o->tensor, lists_bytes(o->n));
  o->n = n;
  o->param = param;
  o->tensor = lists;
  o->grad = o->tensor + n;
  o->buffer = (const ct_buffer **)(void *)(o->grad + n);
  for (int i = 0; i < n; i++) {
    o->tensor[i] = param[i].tensor;
    o->buffer[i] = param[i].tensor->buffer;
  }
  qsort(o->buffer, (size_t)n, sizeof *o->buffer, by_address);
}

ct_status ct_optim_add_group(ct_optim *o, ct_list params, ct_group_opts opts) {
  static const char who[] = "ct_optim_add_group";
  if (!o) return ct__fail_status(CT_EARG, "%s: o is NULL", who);
  if (!(opts.lr_scale >= 0 && opts.decay_scale >= 0))
    return ct__fail_status(CT_EARG, "%s: factors must not be negative", who);
  const bool was = ct__status_begin();
  ct_status status = ct__status_end(who, was, ct__check_list(who, "params", params));
  for (int i = 0; status == CT_OK && i < params.n; i++) status = check_param(o, who, params, i);
  if (status != CT_OK) return status;
  int n = o->n + params.n, done = o->n;
  size_t bytes = (size_t)n * sizeof(ct__param);
  ct__param *param = ct__alloc(bytes);
  void *lists = ct__alloc(lists_bytes(n));
  if (!param || !lists) status = ct__no_memory(who);
  while (status == CT_OK && done < n) {
    status = param_begin(o, who, &param[done], params.at[done - o->n], opts);
    done++;
  }
  if (status == CT_OK) {
    adopt(o, param, n, lists);
    return CT_OK;
  }
  for (int i = o->n; i < done; i++) param_release(&param[i]);
  ct__free(param, bytes);
  ct__free(lists, lists_bytes(n));
  return status;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* A variable with one number. */
static ct_tensor *number_new(double value) {
  ct_tensor *t = ct__tensor_alloc(CT_F64, 0, NULL);
  if (!t) return NULL;
  t->flags = CT__RECORDED | CT__VARIABLE;
  ct__fill(&t->v, value);
  return t;
}

static double or_default(double value, double otherwise) { return value != 0 ? value : otherwise; }

static ct_optim *optim_new(const char *who, const ct__rule *rule, ct_list params, ct__step step) {
  CT__COMPOSITION(who);
  if (!(step.lr >= 0 && step.decay >= 0 && step.momentum >= 0 && step.beta1 >= 0 &&
        step.beta1 < 1 && step.beta2 >= 0 && step.beta2 < 1 && step.eps >= 0) ||
      (step.nesterov != 0 && step.momentum == 0)) {
    ct__fail(CT_EARG, "%s: an option is negative, a beta is 1 or more, or nesterov has no momentum",
             who);
    return NULL;
  }
  ct_optim *o = ct__alloc(sizeof *o);
  if (!o) return NULL;
  *o = (ct_optim){.rule = rule, .step = step, .lr = number_new(step.lr), .count = number_new(0)};
  if (!o->lr || !o->count || ct_optim_add_group(o, params, (ct_group_opts){0}) != CT_OK)
    ct_optim_free(&o);
  return o;
}

ct_optim *ct_sgd(ct_list params, ct_sgd_opts opts) {
  ct__step step = {.lr = or_default(opts.lr, 1e-3),
                   .momentum = opts.momentum,
                   .decay = opts.weight_decay,
                   .nesterov = opts.nesterov};
  return optim_new("ct_sgd", opts.momentum != 0 ? &ct__momentum_rule : &ct__sgd_rule, params, step);
}

static ct__step adam_step(ct_adam_opts opts) {
  return (ct__step){.lr = or_default(opts.lr, 1e-3),
                    .beta1 = or_default(opts.beta1, 0.9),
                    .beta2 = or_default(opts.beta2, 0.999),
                    .eps = or_default(opts.eps, 1e-8),
                    .decay = opts.weight_decay};
}

ct_optim *ct_adam(ct_list params, ct_adam_opts opts) {
  return optim_new("ct_adam", &ct__adam_rule, params, adam_step(opts));
}

ct_optim *ct_adamw(ct_list params, ct_adam_opts opts) {
  opts.weight_decay = or_default(opts.weight_decay, 0.01);
  return optim_new("ct_adamw", &ct__adamw_rule, params, adam_step(opts));
}

/* ---- stepping -------------------------------------------------------------------------------- */

/* In a build gradients need no values. */
static ct_status check_grad(const ct_tensor *p, ct_tensor *g, int i) {
  static const char who[] = "ct_optim_step";
  ct_status status = ct__check_value(who, p);
  if (status == CT_OK)
    status = ct__building() ? ct__check_tensor(who, "a gradient", g) : ct__check_value(who, g);
  if (status != CT_OK || ct__same_spec(p, g)) return status;
  char want[CT__SHAPE_TEXT], got[CT__SHAPE_TEXT];
  return ct__fail_status(p->v.dtype == g->v.dtype ? CT_ESHAPE : CT_EDTYPE,
                         "%s: gradient %d: want %s %s, got %s %s", who, i,
                         ct_dtype_name(p->v.dtype), ct__shape_text(want, p->v.ndim, p->v.dim),
                         ct_dtype_name(g->v.dtype), ct__shape_text(got, g->v.ndim, g->v.dim));
}

static ct_status check_grads(const ct_optim *o, ct_list grads) {
  if (grads.n != o->n || (grads.n > 0 && !grads.at))
    return ct__fail_status(CT_EARG, "ct_optim_step: want %d gradients, got %d", o->n, grads.n);
  ct_status status = CT_OK;
  for (int i = 0; i < o->n && status == CT_OK; i++)
    status = check_grad(o->tensor[i], grads.at[i], i);
  return status;
}

/* o->grad receives the gradients, those that lie in a parameter's own memory as copies. */
static ct_status gather(ct_optim *o, ct_list grads) {
  for (int i = 0; i < o->n; i++) {
    o->grad[i] = grads.at[i];
    const ct_buffer *buffer = o->grad[i]->buffer;
    if (!bsearch(&buffer, o->buffer, (size_t)o->n, sizeof buffer, by_address)) continue;
    o->grad[i] = ct_contiguous(ct_detach(grads.at[i]));
    if (ct__is_nil(o->grad[i])) return ct__pending("ct_optim_step");
  }
  return CT_OK;
}

static void step_param(const ct_optim *o, const ct__param *p, const ct_tensor *grad, double t) {
  const ct__step step =
      ct__step_numbers(o->rule, &o->step, ct_optim_lr(o), p->lr_scale, p->decay_scale, t);
  const ct_view *in[1 + CT__MAX_STATE] = {&grad->v};
  for (int k = 0; k < o->rule->n_state; k++) in[1 + k] = &p->state[k]->v;
  ct__map(1 + o->rule->n_state, in, &p->tensor->v, o->rule->loop[p->tensor->v.dtype == CT_F64],
          &step, -1);
  ct__written(p->tensor, "ct_optim_step");
}

static ct_status step_now(ct_optim *o, ct_list grads) {
  ct_scope scope = ct_scope_begin_with(CT_NO_RECORD);
  if (scope.depth < 0) return ct__no_memory("ct_optim_step");
  ct_status status = gather(o, grads);
  if (status == CT_OK) {
    const double t = (double)ct_optim_steps(o) + 1;
    for (int i = 0; i < o->n; i++) step_param(o, &o->param[i], o->grad[i], t);
    ct__optim_set(o->count, t, "ct_optim_step");
  }
  ct_scope_end(scope);
  return status;
}

ct_status ct_optim_step(ct_optim *o, ct_list grads) {
  if (!o) return ct__fail_status(CT_EARG, "ct_optim_step: o is NULL");
  ct_status status = check_grads(o, grads);
  if (status != CT_OK) return status;
  return ct__building() ? ct__optim_collect(o, grads) : step_now(o, grads);
}

ct_status ct_optim_minimize(ct_optim *o, ct_tensor *loss, double *value) {
  static const char who[] = "ct_optim_minimize";
  if (!o) return ct__fail_status(CT_EARG, "%s: o is NULL", who);
  const bool symbolic = ct__building() && !value;
  ct_status status = symbolic ? CT_OK : ct__check_value(who, loss);
  if (status != CT_OK) return status;
  ct_scope scope = ct_scope_begin();
  if (scope.depth < 0) return ct__no_memory(who);
  const ct_list params = ct_optim_params(o);
  double unused;
  status = symbolic ? ct_grad(loss, params, o->grad)
                    : ct_value_and_grad(loss, params, value ? value : &unused, o->grad);
  if (status == CT_OK) status = ct_optim_step(o, (ct_list){o->n, o->grad});
  ct_scope_end(scope);
  return status;
}

/* ---- queries --------------------------------------------------------------------------------- */

ct_list ct_optim_params(const ct_optim *o) { return o ? (ct_list){o->n, o->tensor} : CT_NONE; }

void ct__optim_set(ct_tensor *number, double value, const char *who) {
  ct__fill(&number->v, value);
  ct__written(number, who);
}

ct_status ct_optim_set_lr(ct_optim *o, double lr) {
  if (!o || !(lr >= 0 && isfinite(lr)))
    return ct__fail_status(CT_EARG, "ct_optim_set_lr: want an optimizer and a rate of 0 or more");
  ct__optim_set(o->lr, lr, "ct_optim_set_lr");
  return CT_OK;
}

double ct_optim_lr(const ct_optim *o) { return o ? ct__get(&o->lr->v, 0) : 0; }

int64_t ct_optim_steps(const ct_optim *o) { return o ? (int64_t)ct__get(&o->count->v, 0) : 0; }
