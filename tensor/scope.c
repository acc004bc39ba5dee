/* scope.c - the stack of scopes of each thread, and the two verbs for what outlives them. */
#include "tensor_internal.h"

typedef ct__scope scope;

_Thread_local ct__scopes ct__thread_scopes = {.base = {.recording = true}};
static _Thread_local uint64_t serials;
static _Thread_local bool exit_registered;

static scope *current(void) { return ct__scope_now(); }

bool ct__set_recording(bool on) {
  scope *s = current();
  bool was = s->recording;
  s->recording = on;
  return was;
}

ct_tensor *ct__own_first(ct_tensor *t) {
  if (!t) return ct_nil();
  if (!exit_registered) {
    exit_registered = true;
    ct__at_thread_exit();
  }
  ct__scope_add(current(), t);
  return t;
}

static void pop(void) {
  scope *s = ct__thread_scopes.top;
  ct__thread_scopes.top = s->parent == &ct__thread_scopes.base ? NULL : s->parent;
  ct__unref_list(&s->first, NULL);
  ct__free(s, sizeof *s);
}

ct_scope ct_scope_begin_with(unsigned flags) {
  scope *s = ct__alloc(sizeof *s);
  if (!s) return (ct_scope){.serial = 0, .depth = -1}; /* ct_scope_end will say so */
  scope *parent = current();
  *s = (scope){.parent = parent,
               .serial = ++serials,
               .depth = parent->depth + 1,
               .recording = parent->recording && !(flags & CT_NO_RECORD)};
  ct__thread_scopes.top = s;
  return (ct_scope){.serial = s->serial, .depth = s->depth};
}

ct_scope ct_scope_begin(void) { return ct_scope_begin_with(0); }

ct_status ct_scope_end(ct_scope mark) {
  if (mark.depth < 0) return ct__pending("ct_scope_end");
  scope *s = current();
  while (s->depth > mark.depth) s = s->parent;
  if (s == &ct__thread_scopes.base || s->depth != mark.depth || s->serial != mark.serial)
    return ct__fail_status(CT_ESCOPE, "ct_scope_end: this scope has ended already");
  while (current() != s) pop();
  pop();
  return CT_OK;
}

void ct__mark_release(ct__mark m) {
  while (current()->depth > m.scope.depth) pop();
  /* Unless a rule has ended the scope around it. */
  if (current()->serial == m.scope.serial) ct__unref_list(&current()->first, m.first);
}

ct_tensor *ct_scope_return(ct_scope mark, ct_tensor *t) {
  if (!t) t = ct__nil(CT_EARG, "ct_scope_return: t is NULL");
  ct__ref(t);
  ct_status status = ct_scope_end(mark);
  if (ct__is_nil(t)) return t;
  /* A tensor of an outer scope stays where it is; after a failed end it may still be owned as
   * before. */
  if (status != CT_OK || (t->flags & CT__SCOPED)) {
    ct__unref(t);
    return status == CT_OK ? t : ct_nil();
  }
  return ct__own(t);
}

ct_tensor *ct_keep(ct_tensor *t) {
  if (!t) return ct__nil(CT_EARG, "ct_keep: t is NULL");
  ct__ref(t);
  return t;
}

void ct_release(ct_tensor **t) {
  if (!t || !*t) return;
  ct__unref(*t);
  *t = NULL;
}

void ct__thread_end(void) {
  while (ct__thread_scopes.top) pop();
  ct__unref_list(&ct__thread_scopes.base.first, NULL);
  ct__alloc_end();
}
