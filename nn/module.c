/* module.c - modules: registering what they own, walking the tree, freeing it. */
#include "nn_internal.h"

/* ---- life ------------------------------------------------------------------------------------ */

void *ct_module_new(const ct_module_class *cls) {
  if (!cls || !cls->name || !cls->forward || cls->instance < sizeof(ct_module)) {
    ct__fail(CT_EARG, "ct_module_new: a class needs a name, an instance that begins with a "
                      "ct_module, and a forward function");
    return NULL;
  }
  ct_module *m = ct__alloc(cls->instance);
  if (!m) return NULL;
  memset(m, 0, cls->instance);
  m->cls = cls;
  m->training = true;
  m->n_params = -1;
  return m;
}

static size_t params_bytes(int n) { return (size_t)n * sizeof(ct_tensor *); }

static void let_go(ct_module *m) {
  if (m->cls->release) m->cls->release(m);
}

/* Each module before what is below it, and its memory after that. No recursion, as in walks. */
static void module_free(ct_module *m) {
  let_go(m);
  while (m) {
    ct_member *p = m->first;
    if (p && p->child) {
      m = p->child;
      p->child = NULL;
      let_go(m);
    } else if (p) {
      m->first = p->next;
      ct_release(&p->tensor);
      ct__free(p, p->bytes);
    } else {
      ct_module *above = m->place ? m->place->owner : NULL;
      ct__free(m->params, params_bytes(m->params_room));
      ct__free(m, m->cls->instance);
      m = above;
    }
  }
}

void ct_module_free(ct_module **m) {
  if (!m || !*m) return;
  if (!(*m)->place) module_free(*m);
  *m = NULL;
}

ct_module *ct_module_ready(ct_module *m) {
  if (m && m->failed) ct_module_free(&m);
  return m;
}

/* ---- registering ----------------------------------------------------------------------------- */

/* What depends on the members of m, or of a module above, must be made anew. */
static void changed(ct_module *m) {
  for (; m; m = m->place ? m->place->owner : NULL) m->n_params = -1;
}

static ct_status check_name(const ct_module *m, const char *who, const char *name) {
  if (!name || !*name || strpbrk(name, "./") || strlen(name) >= CT__NAME_SIZE)
    return ct__fail(CT_EARG, "%s: a name is 1 to %d characters without '.' and '/', got \"%s\"",
                    who, CT__NAME_SIZE - 1, name ? name : "NULL");
  for (const ct_member *p = m->first; p; p = p->next)
    if (strcmp(p->name, name) == 0)
      return ct__fail(CT_EARG, "%s: %s has a member \"%s\" already", who, m->cls->name, name);
  return CT_OK;
}

/* NULL on failure. */
static ct_member *member_add(ct_module *m, const char *who, const char *name, ct_member_kind kind) {
  if (check_name(m, who, name) != CT_OK) return NULL;
  size_t length = strlen(name) + 1, bytes = sizeof(ct_member) + length;
  ct_member *p = ct__alloc(bytes);
  if (!p) return NULL;
  *p = (ct_member){.owner = m, .kind = kind, .bytes = bytes};
  memcpy(p->name, name, length);
  if (m->last)
    m->last->next = p;
  else
    m->first = p;
  m->last = p;
  changed(m);
  return p;
}

static bool tensor_fits(const char *who, ct_member_kind kind, const ct_tensor *t) {
  if (!t)
    ct__fail(CT_EARG, "%s: got NULL instead of a tensor", who);
  else if (ct__is_nil(t))
    ct__pending(who);
  else if (!ct_is_variable(t))
    ct__fail(CT_EARG, "%s: want a variable (ct_variable)", who);
  else if (kind == CT_PARAM && !ct_dtype_is_float(t->v.dtype))
    ct__fail(CT_EDTYPE, "%s: a parameter is f32 or f64, got %s", who, ct_dtype_name(t->v.dtype));
  else
    return true;
  return false;
}

static ct_tensor *tensor_add(ct_module *m, const char *who, const char *name, ct_member_kind kind,
                             ct_tensor *t) {
  if (!m) ct__fail(CT_EARG, "%s: got NULL instead of a module", who);
  ct_member *p = m && tensor_fits(who, kind, t) ? member_add(m, who, name, kind) : NULL;
  if (p) return p->tensor = t;
  if (m) m->failed = true;
  ct_release(&t);
  return ct_nil();
}

ct_tensor *ct_module_param(ct_module *m, const char *name, ct_tensor *t) {
  return tensor_add(m, "ct_module_param", name, CT_PARAM, t);
}

ct_tensor *ct_module_buffer(ct_module *m, const char *name, ct_tensor *t) {
  return tensor_add(m, "ct_module_buffer", name, CT_BUFFER, t);
}

ct_tensor *ct_module_state(ct_module *m, const char *name, ct_tensor *t) {
  return tensor_add(m, "ct_module_state", name, CT_STATE, t);
}

static bool is_above(const ct_module *m, const ct_module *below) {
  while (below && below != m) below = below->place ? below->place->owner : NULL;
  return below == m;
}

ct_module *ct_module_child(ct_module *m, const char *name, ct_module *child) {
  static const char who[] = "ct_module_child";
  bool fits = false;
  if (!m || !child)
    ct__fail(CT_EARG, "%s: got NULL instead of a module", who);
  else if (child->place || is_above(child, m))
    ct__fail(CT_EARG, "%s: the %s belongs to a module already, or contains this one", who,
             child->cls->name);
  else
    fits = true;
  ct_member *p = fits ? member_add(m, who, name, CT_CHILD) : NULL;
  if (p) {
    p->child = child;
    child->place = p;
    return child;
  }
  if (m) m->failed = true;
  if (!m || !is_above(child, m)) ct_module_free(&child);
  return NULL;
}

/* ---- walking --------------------------------------------------------------------------------- */

ct_member *ct__member_next(const ct_module *root, const ct_member *m) {
  if (!m) return root->first;
  if (m->child && m->child->first) return m->child->first;
  while (!m->next) {
    if (m->owner == root) return NULL;
    m = m->owner->place;
  }
  return m->next;
}

ct_member *ct__member_next_tensor(const ct_module *root, const ct_member *m) {
  ct_member *p = ct__member_next(root, m);
  while (p && !p->tensor) p = ct__member_next(root, p);
  return p;
}

bool ct__member_again(const ct_module *root, const ct_member *m) {
  const ct_member *p = NULL;
  do p = ct__member_next_tensor(root, p);
  while (p->tensor != m->tensor);
  return p != m;
}

ct_status ct__member_name(const ct_module *root, const ct_member *m, char text[CT__NAME_SIZE]) {
  size_t at = CT__NAME_SIZE - 1;
  text[at] = '\0';
  for (const ct_member *p = m;; p = p->owner->place) {
    size_t length = strlen(p->name), dot = p != m;
    if (length + dot > at)
      return ct__fail_status(CT_ESIZE, "the dotted name of \"%s\" is longer than %d", m->name,
                             CT__NAME_SIZE - 1);
    if (dot) text[--at] = '.';
    at -= length;
    memcpy(text + at, p->name, length);
    if (p->owner == root) break;
  }
  memmove(text, text + at, CT__NAME_SIZE - at);
  return CT_OK;
}

ct_status ct_module_each(const ct_module *m, ct_member_visit *visit, void *payload) {
  if (!m || !visit)
    return ct__fail_status(CT_EARG, "ct_module_each: %s is NULL", m ? "visit" : "m");
  char name[CT__NAME_SIZE];
  ct_status status = CT_OK;
  const ct_member *p = NULL;
  while (status == CT_OK && (p = ct__member_next_tensor(m, p))) {
    status = ct__member_name(m, p, name);
    if (status != CT_OK) break;
    ct_member_info info = {.name = name,
                           .kind = p->kind,
                           .tensor = p->tensor,
                           .frozen = p->frozen,
                           .again = ct__member_again(m, p)};
    status = visit(&info, payload);
  }
  return status;
}

/* ---- modes ----------------------------------------------------------------------------------- */

ct_status ct_module_train(ct_module *m, bool training) {
  if (!m) return ct__fail_status(CT_EARG, "ct_module_train: m is NULL");
  m->training = training;
  for (const ct_member *p = NULL; (p = ct__member_next(m, p));)
    if (p->child) p->child->training = training;
  return CT_OK;
}

ct_status ct_module_freeze(ct_module *m, bool frozen) {
  if (!m) return ct__fail_status(CT_EARG, "ct_module_freeze: m is NULL");
  for (ct_member *p = NULL; (p = ct__member_next(m, p));) {
    p->frozen = frozen;
    if (p->child) p->child->n_params = -1;
  }
  changed(m);
  return CT_OK;
}

/* ---- parameters ------------------------------------------------------------------------------ */

static bool is_frozen(const ct_module *root, const ct_tensor *t) {
  for (const ct_member *p = NULL; (p = ct__member_next_tensor(root, p));)
    if (p->tensor == t && p->frozen) return true;
  return false;
}

static bool is_trained(const ct_module *root, const ct_member *p) {
  return p->kind == CT_PARAM && !ct__member_again(root, p) && !is_frozen(root, p->tensor);
}

static ct_status list_params(ct_module *m) {
  int n = 0;
  for (const ct_member *p = NULL; (p = ct__member_next_tensor(m, p));) n += p->kind == CT_PARAM;
  if (n > m->params_room || !m->params) {
    ct_tensor **params = ct__alloc(params_bytes(n));
    if (!params) return CT_ENOMEM;
    ct__free(m->params, params_bytes(m->params_room));
    m->params = params;
    m->params_room = n;
  }
  n = 0;
  for (const ct_member *p = NULL; (p = ct__member_next_tensor(m, p));)
    if (is_trained(m, p)) m->params[n++] = p->tensor;
  m->n_params = n;
  return CT_OK;
}

ct_list ct_module_params(ct_module *m) {
  static ct_tensor *const failed[] = {&ct__nil_tensor};
  if (!m) ct__fail(CT_EARG, "ct_module_params: m is NULL");
  if (!m || (m->n_params < 0 && list_params(m) != CT_OK)) return (ct_list){1, failed};
  return (ct_list){m->n_params, m->params};
}

int64_t ct_module_count(const ct_module *m) {
  int64_t count = 0;
  if (!m) return 0;
  for (const ct_member *p = NULL; (p = ct__member_next_tensor(m, p));)
    if (p->kind == CT_PARAM && !ct__member_again(m, p)) count += p->tensor->v.size;
  return count;
}

ct_tensor *ct_module_get(ct_module *m, const char *name) {
  if (!m || !name) return ct__nil(CT_EARG, "ct_module_get: %s is NULL", m ? "name" : "m");
  char text[CT__NAME_SIZE];
  for (const ct_member *p = NULL; (p = ct__member_next_tensor(m, p));)
    if (ct__member_name(m, p, text) != CT_OK)
      return ct_nil();
    else if (strcmp(text, name) == 0)
      return p->tensor;
  return ct__nil(CT_EINDEX, "ct_module_get: %s has no parameter or buffer \"%s\"", m->cls->name,
                 name);
}

/* ---- forward --------------------------------------------------------------------------------- */

ct_tensor *ct_forward(ct_module *m, ct_tensor *x) {
  if (!m) return ct__nil(CT_EARG, "ct_forward: got NULL instead of a module");
  ct_tensor *y = m->cls->forward(m, x);
  if (!y) y = ct__nil(CT_EARG, "ct_forward: the %s returned NULL", m->cls->name);
  if (m->watched) m->seen = ct_shape_of(y);
  return y;
}
