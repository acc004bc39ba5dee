/* keys.c - random keys in programs: each use of a key within a run draws anew, and so does each
 * run, as if the recipe had been gone through eagerly.
 */
#include "program.h"

#include <stdlib.h>

/* draw: y = the key after so many steps to its child `next`. Recipes have 0 steps. */
typedef struct draw {
  int64_t serial; /* of the use: what is made from it again draws the same */
  int64_t next, steps;
} draw;

static ct_status draw_eval(const ct_eval *e) {
  const draw *d = e->attr;
  const ct_view *x = e->in[0];
  int32_t key[4], child[4];
  for (int i = 0; i < 4; i++)
    memcpy(&key[i], x->data + i * x->stride[0] * (int64_t)sizeof key[i], sizeof key[i]);
  for (int64_t k = 0; k < d->steps; k++) {
    ct__key_fold(key, d->next, child);
    memcpy(key, child, sizeof key);
  }
  memcpy(e->out[0]->data, key, sizeof key);
  return CT_OK;
}

static const ct_op draw_op = {CT_OP,
                              .name = "draw",
                              .doc = "y = a key, which programs advance",
                              .n_in = 1,
                              .inplace = 1,
                              .flags = CT_NONDIFF,
                              .attr_size = sizeof(draw),
                              .infer = ct__infer_like,
                              .eval = draw_eval};

ct_tensor *ct__draw(ct_tensor *key, int64_t next) {
  static atomic_int_fast64_t serials;
  const draw d = {.serial = atomic_fetch_add_explicit(&serials, 1, memory_order_relaxed),
                  .next = next};
  return CT__APPLY(&draw_op, &d, key);
}

/* ---- in a program ---------------------------------------------------------------------------- */

/* An instruction that draws from a variable. */
typedef struct use {
  int variable, instr;
  draw d;
} use;

static int by_variable_and_serial(const void *a, const void *b) {
  const use *x = a, *y = b;
  if (x->variable != y->variable) return x->variable < y->variable ? -1 : 1;
  return (x->d.serial > y->d.serial) - (x->d.serial < y->d.serial);
}

static bool find_uses(ct_program *p, use **uses, int *n) {
  *uses = ct__scratch_alloc(p, (size_t)p->n_instrs * sizeof **uses + 1);
  *n = 0;
  for (int k = 0; *uses && k < p->n_instrs; k++) {
    const ct__instr *instr = &p->instr[k];
    if (instr->op != &draw_op) continue;
    const ct_tensor *t = p->value[instr->arg[0]].tensor;
    if (t && (t->flags & CT__VARIABLE))
      (*uses)[(*n)++] = (use){instr->arg[0], k, *(const draw *)instr->attr};
  }
  if (*n > 0) qsort(*uses, (size_t)*n, sizeof **uses, by_variable_and_serial);
  return *uses;
}

static bool is_updated(const ct_program *p, int variable) {
  for (int u = 0; u < p->n_updates; u++)
    if (p->update[u].variable == variable) return true;
  return false;
}

/* What is assigned to a key on purpose stays. */
static bool advance(ct_program *p, int variable, const draw *d) {
  if (is_updated(p, variable)) return true;
  int y = ct__value_like(p, variable);
  if (y < 0 || !ct__instr_new(p, &draw_op, d, 1, &variable, 1, &y)) return false;
  p->update[p->n_updates++] = (ct__update){variable, y};
  return true;
}

ct_status ct__pass_keys(ct_program *p) {
  use *uses;
  int n;
  if (!find_uses(p, &uses, &n)) return CT_ENOMEM;
  if (n == 0) return CT_OK;
  ct__update *update = ct__zone_alloc(p, (size_t)(p->n_updates + n) * sizeof *update);
  draw *d = ct__zone_alloc(p, (size_t)n * sizeof *d);
  if (!update || !d) return CT_ENOMEM;
  if (p->n_updates > 0) memcpy(update, p->update, (size_t)p->n_updates * sizeof *update);
  p->update = update;
  for (int i = 0; i < n; i++) {
    const bool first = i == 0 || uses[i].variable != uses[i - 1].variable;
    const bool again = !first && uses[i].d.serial == uses[i - 1].d.serial;
    d[i] = uses[i].d;
    d[i].steps = first ? 0 : d[i - 1].steps + !again;
    p->instr[uses[i].instr].attr = &d[i];
    if (i + 1 < n && uses[i + 1].variable == uses[i].variable) continue;
    draw after = d[i];
    after.steps++;
    if (!advance(p, uses[i].variable, &after)) return CT_ENOMEM;
  }
  return CT_OK;
}
