/* archive.c - named tensors and texts in memory. */
#include "nn_internal.h"

/* ---- blocks that grow, and texts ------------------------------------------------------------- */

/* Makes room for one more of n items: the block, which may have moved, or NULL with the old one
 * kept. */
static void *grown(void *block, int n, int *room, size_t item) {
  if (n < *room) return block;
  int more = *room ? 2 * *room : 16;
  void *larger = *room <= INT32_MAX / 2 ? ct__alloc((size_t)more * item) : NULL;
  if (!larger) return NULL;
  if (n > 0) memcpy(larger, block, (size_t)n * item);
  ct__free(block, (size_t)*room * item);
  *room = more;
  return larger;
}

static char *text_copy(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = ct__alloc(size);
  if (copy) memcpy(copy, text, size);
  return copy;
}

static void text_free(char *text) {
  if (text) ct__free(text, strlen(text) + 1);
}

/* ---- life ------------------------------------------------------------------------------------ */

ct_archive *ct_archive_new(void) {
  ct_archive *a = ct__alloc(sizeof *a);
  if (a) *a = (ct_archive){0};
  return a;
}

void ct_archive_free(ct_archive **archive) {
  if (!archive || !*archive) return;
  ct_archive *a = *archive;
  for (int i = 0; i < a->n; i++) {
    text_free(a->entry[i].name);
    ct_release(&a->entry[i].tensor);
  }
  for (int i = 0; i < a->n_texts; i++) {
    text_free(a->text[i].key);
    text_free(a->text[i].text);
  }
  ct__free(a->entry, (size_t)a->room * sizeof *a->entry);
  ct__free(a->text, (size_t)a->texts_room * sizeof *a->text);
  ct__free(a, sizeof *a);
  *archive = NULL;
}

/* ---- tensors --------------------------------------------------------------------------------- */

ct_status ct__archive_append(ct_archive *a, const char *name, ct_tensor *t) {
  ct__entry *entry = grown(a->entry, a->n, &a->room, sizeof *entry);
  if (entry) a->entry = entry;
  char *copy = entry ? text_copy(name) : NULL;
  if (!copy) {
    ct_release(&t);
    return ct__no_memory("ct_archive");
  }
  a->entry[a->n++] = (ct__entry){copy, t};
  return CT_OK;
}

int ct__archive_index(const ct_archive *a, const char *name) {
  int i = a->n - 1;
  while (i >= 0 && strcmp(a->entry[i].name, name) != 0) i--;
  return i;
}

ct_tensor *ct__archive_find(const ct_archive *a, const char *name) {
  int i = ct__archive_index(a, name);
  return i < 0 ? NULL : a->entry[i].tensor;
}

ct_status ct_archive_add(ct_archive *a, const char *name, const ct_tensor *t) {
  static const char who[] = "ct_archive_add";
  if (!a || !name) return ct__fail_status(CT_EARG, "%s: %s is NULL", who, a ? "name" : "a");
  ct_status status = ct__check_value(who, t);
  if (status != CT_OK) return status;
  if (strcmp(name, CT__METADATA) == 0 || ct__archive_find(a, name))
    return ct__fail_status(CT_EARG, "%s: the name \"%s\" is taken", who, name);
  ct_tensor *copy = ct__tensor_alloc(t->v.dtype, t->v.ndim, t->v.dim);
  if (!copy) return ct__no_memory(who);
  ct__copy(&t->v, &copy->v);
  return ct__archive_append(a, name, copy);
}

int ct_archive_count(const ct_archive *a) { return a ? a->n : 0; }

const char *ct_archive_name(const ct_archive *a, int i) {
  return a && i >= 0 && i < a->n ? a->entry[i].name : NULL;
}

bool ct_archive_has(const ct_archive *a, const char *name) {
  return a && name && ct__archive_find(a, name);
}

ct_tensor *ct_archive_get(const ct_archive *a, const char *name) {
  if (!a || !name) return ct__nil(CT_EARG, "ct_archive_get: %s is NULL", a ? "name" : "a");
  const ct_tensor *t = ct__archive_find(a, name);
  if (!t) return ct__nil(CT_EINDEX, "ct_archive_get: no tensor \"%s\"", name);
  return ct__own(ct__tensor_alias(t));
}

/* ---- texts ----------------------------------------------------------------------------------- */

static ct__text *find_text(const ct_archive *a, const char *key) {
  for (int i = 0; i < a->n_texts; i++)
    if (strcmp(a->text[i].key, key) == 0) return &a->text[i];
  return NULL;
}

ct_status ct__archive_append_text(ct_archive *a, const char *key, const char *text) {
  ct__text *texts = grown(a->text, a->n_texts, &a->texts_room, sizeof *texts);
  if (texts) a->text = texts;
  char *key_copy = texts ? text_copy(key) : NULL, *copy = key_copy ? text_copy(text) : NULL;
  if (!copy) {
    text_free(key_copy);
    return ct__no_memory("ct_archive");
  }
  a->text[a->n_texts++] = (ct__text){key_copy, copy};
  return CT_OK;
}

ct_status ct_archive_set_text(ct_archive *a, const char *key, const char *text) {
  if (!a || !key || !text)
    return ct__fail_status(CT_EARG, "ct_archive_set_text: %s is NULL",
                           !a     ? "a"
                           : !key ? "key"
                                  : "text");
  ct__text *there = find_text(a, key);
  if (!there) return ct__archive_append_text(a, key, text);
  char *copy = text_copy(text);
  if (!copy) return ct__no_memory("ct_archive_set_text");
  text_free(there->text);
  there->text = copy;
  return CT_OK;
}

const char *ct_archive_text(const ct_archive *a, const char *key) {
  const ct__text *t = a && key ? find_text(a, key) : NULL;
  return t ? t->text : NULL;
}
