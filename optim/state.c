/* state.c - optimizers to and from archives.
 *
 * "optim/exp_avg/3" is the state exp_avg of parameter 3; "optim/step" and "optim/lr" are f64
 * scalars; the text "optim" names the rule.
 */
#include "optim_internal.h"

#include <math.h>

static const char step_name[] = "optim/step", lr_name[] = "optim/lr", rule_key[] = "optim";

enum { NAME = 64 };

static const char *state_name(const ct_optim *o, int k, int i, char text[NAME]) {
  snprintf(text, NAME, "optim/%s/%d", o->rule->state[k], i);
  return text;
}

static ct_status store_number(ct_archive *a, const char *name, double value) {
  ct_tensor *t = ct__tensor_alloc(CT_F64, 0, NULL);
  if (!t) return ct__no_memory("ct_optim_store");
  ct__fill(&t->v, value);
  ct_status status = ct_archive_add(a, name, t);
  ct__unref(t);
  return status;
}

ct_status ct_optim_store(const ct_optim *o, ct_archive *a) {
  if (!o || !a) return ct__fail_status(CT_EARG, "ct_optim_store: %s is NULL", o ? "a" : "o");
  char name[NAME];
  ct_status status = ct_archive_set_text(a, rule_key, o->rule->name);
  if (status == CT_OK) status = store_number(a, step_name, (double)ct_optim_steps(o));
  if (status == CT_OK) status = store_number(a, lr_name, ct_optim_lr(o));
  for (int i = 0; i < o->n; i++)
    for (int k = 0; status == CT_OK && k < o->rule->n_state; k++)
      status = ct_archive_add(a, state_name(o, k, i, name), o->param[i].state[k]);
  return status;
}

static ct_status bad_state(const char *name) {
  return ct__fail_status(CT_EFORMAT, "ct_optim_restore: \"%s\" is missing or does not fit", name);
}

static ct_status find_number(const ct_archive *a, const char *name, double limit, double *value) {
  const ct_tensor *t = ct__archive_find(a, name);
  if (!t || t->v.dtype != CT_F64 || t->v.size != 1) return bad_state(name);
  *value = ct__get(&t->v, 0);
  return *value >= 0 && *value < limit ? CT_OK : bad_state(name);
}

ct_status ct_optim_restore(ct_optim *o, const ct_archive *a) {
  if (!o || !a) return ct__fail_status(CT_EARG, "ct_optim_restore: %s is NULL", o ? "a" : "o");
  const char *rule = ct_archive_text(a, rule_key);
  if (!rule || strcmp(rule, o->rule->name) != 0)
    return ct__fail_status(CT_EFORMAT, "ct_optim_restore: the state is that of %s, want %s",
                           rule ? rule : "no optimizer", o->rule->name);
  char name[NAME];
  double steps = 0, lr = 0;
  ct_status status = find_number(a, step_name, 9007199254740992.0, &steps); /* 2^53 */
  if (status == CT_OK) status = find_number(a, lr_name, INFINITY, &lr);
  if (status != CT_OK) return status;
  for (int i = 0; i < o->n; i++)
    for (int k = 0; k < o->rule->n_state; k++) {
      const ct_tensor *t = ct__archive_find(a, state_name(o, k, i, name));
      if (!t || !ct__same_spec(t, o->param[i].state[k])) return bad_state(name);
    }
  for (int i = 0; i < o->n; i++)
    for (int k = 0; k < o->rule->n_state; k++)
      ct__copy(&ct__archive_find(a, state_name(o, k, i, name))->v, &o->param[i].state[k]->v);
  ct__optim_set(o->count, floor(steps), "ct_optim_restore");
  ct__optim_set(o->lr, lr, "ct_optim_restore");
  return CT_OK;
}
