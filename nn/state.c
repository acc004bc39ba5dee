/* state.c - modules to and from archives. */
#include "nn_internal.h"

#include <stdarg.h>

static const char state_prefix[] = "state/";

/* ---- storing --------------------------------------------------------------------------------- */

typedef struct storing {
  ct_archive *archive;
  bool weights_only;
} storing;

/* The name of a member in an archive. */
static const char *archive_name(const ct_member_info *info, char text[CT__NAME_SIZE + 8]) {
  snprintf(text, CT__NAME_SIZE + 8, "%s%s", info->kind == CT_STATE ? state_prefix : "", info->name);
  return text;
}

static ct_status store_member(const ct_member_info *info, void *payload) {
  const storing *s = payload;
  char name[CT__NAME_SIZE + 8];
  if (info->again || (s->weights_only && info->kind == CT_STATE)) return CT_OK;
  return ct_archive_add(s->archive, archive_name(info, name), info->tensor);
}

ct_status ct_module_store(const ct_module *m, ct_archive *a) {
  if (!m || !a) return ct__fail_status(CT_EARG, "ct_module_store: %s is NULL", m ? "a" : "m");
  storing s = {.archive = a};
  return ct_module_each(m, store_member, &s);
}

ct_status ct_module_save(const ct_module *m, const char *path) {
  if (!m || !path) return ct__fail_status(CT_EARG, "ct_module_save: %s is NULL", m ? "path" : "m");
  storing s = {.archive = ct_archive_new(), .weights_only = true};
  if (!s.archive) return ct__no_memory("ct_module_save");
  ct_status status = ct_module_each(m, store_member, &s);
  /* a text that readers in the PyTorch world look for */
  if (status == CT_OK) status = ct_archive_set_text(s.archive, "format", "pt");
  if (status == CT_OK) status = ct_archive_save(s.archive, path);
  ct_archive_free(&s.archive);
  return status;
}

/* ---- restoring ------------------------------------------------------------------------------- */

enum { LISTED = 5, LIST_SIZE = 120 };

/* Names that are wrong in one way: the first few, and how many. */
typedef struct name_list {
  int n;
  char text[LIST_SIZE];
} name_list;

static void CT_PRINTF(2, 3) list_add(name_list *l, const char *format, ...) {
  size_t at = strlen(l->text);
  if (l->n++ < LISTED) {
    va_list args;
    va_start(args, format);
    at += (size_t)snprintf(l->text + at, sizeof l->text - at, "%s", at ? ", " : "");
    if (at < sizeof l->text) vsnprintf(l->text + at, sizeof l->text - at, format, args);
    va_end(args);
  }
}

typedef struct restoring {
  const ct_archive *archive;
  bool *known; /* which tensors of the archive have a place in the module */
  name_list missing, unexpected, misshapen;
} restoring;

static ct_status check_member(const ct_member_info *info, void *payload) {
  restoring *r = payload;
  char name[CT__NAME_SIZE + 8], want[CT__SHAPE_TEXT], got[CT__SHAPE_TEXT];
  const ct_view *v = &info->tensor->v;
  int at = ct__archive_index(r->archive, archive_name(info, name));
  const ct_tensor *t = at < 0 ? NULL : r->archive->entry[at].tensor;
  if (t) r->known[at] = true;
  if (!t && info->kind != CT_STATE && !info->again)
    list_add(&r->missing, "%s", name);
  else if (t && !ct__same_spec(t, info->tensor))
    list_add(&r->misshapen, "%s: want %s %s, got %s %s", name, ct_dtype_name(v->dtype),
             ct__shape_text(want, v->ndim, v->dim), ct_dtype_name(t->v.dtype),
             ct__shape_text(got, t->v.ndim, t->v.dim));
  ct_status status = ct__check_value("ct_module_restore", info->tensor);
  return status == CT_OK ? ct__check_writable("ct_module_restore", info->tensor) : status;
}

/* Names with a '/' belong to others, such as the optimizer. */
static void check_unexpected(restoring *r) {
  for (int i = 0; i < r->archive->n; i++)
    if (!r->known[i] && !strchr(r->archive->entry[i].name, '/'))
      list_add(&r->unexpected, "%s", r->archive->entry[i].name);
}

/* Cannot fail: everything has been checked. */
static ct_status copy_member(const ct_member_info *info, void *payload) {
  const restoring *r = payload;
  char name[CT__NAME_SIZE + 8];
  const ct_tensor *t = ct__archive_find(r->archive, archive_name(info, name));
  if (t && ct__same_spec(t, info->tensor)) {
    ct__copy(&t->v, &info->tensor->v);
    ct__written(info->tensor, "ct_module_restore");
  }
  return CT_OK;
}

static ct_status complain(const restoring *r) {
  static const char *const title[] = {"missing", "unexpected", "misshapen"};
  const name_list *list[] = {&r->missing, &r->unexpected, &r->misshapen};
  char text[3 * (LIST_SIZE + 40)] = "";
  for (int i = 0; i < CT__COUNT(list); i++) {
    size_t at = strlen(text);
    if (list[i]->n > 0)
      snprintf(text + at, sizeof text - at, "%s%d %s (%s%s)", at ? "; " : "", list[i]->n, title[i],
               list[i]->text, list[i]->n > LISTED ? ", ..." : "");
  }
  return *text ? ct__fail_status(CT_ESHAPE, "ct_module_restore: %s", text) : CT_OK;
}

ct_status ct_module_restore(ct_module *m, const ct_archive *a, ct_restore_opts opts) {
  if (!m || !a) return ct__fail_status(CT_EARG, "ct_module_restore: %s is NULL", m ? "a" : "m");
  restoring r = {.archive = a, .known = ct__alloc((size_t)a->n)};
  if (!r.known) return ct__no_memory("ct_module_restore");
  memset(r.known, 0, (size_t)a->n);
  ct_status status = ct_module_each(m, check_member, &r);
  check_unexpected(&r);
  ct__free(r.known, (size_t)a->n);
  if (status == CT_OK && !opts.partial) status = complain(&r);
  return status == CT_OK ? ct_module_each(m, copy_member, &r) : status;
}

ct_status ct_module_load(ct_module *m, const char *path, ct_restore_opts opts) {
  if (!m || !path) return ct__fail_status(CT_EARG, "ct_module_load: %s is NULL", m ? "path" : "m");
  ct_archive *a = ct_archive_load(path);
  if (!a) return ct_error_code();
  ct_status status = ct_module_restore(m, a, opts);
  ct_archive_free(&a);
  return status;
}
