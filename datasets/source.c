/* source.c - reading files whole or piece by piece, and listing folders. */
#include "datasets_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* Reports errno: "who: what path: reason". */
static ct_status fail_errno(const char *who, const char *what, const char *path) {
  const int error = errno;
  return ct__fail_status(error == ENOMEM ? CT_ENOMEM : CT_EIO, "%s: cannot %s %s: %s", who, what,
                         path, strerror(error));
}

/* ---- files ----------------------------------------------------------------------------------- */

/* A byte is read first: only that tells a folder from a file in plain C. */
static ct_status find_size(ct__source *s) {
  if (getc(s->file) == EOF) {
    if (ferror(s->file)) return fail_errno(s->who, "read", s->name);
    return ct__fail_status(CT_EFORMAT, "%s: %s: the file is empty", s->who, s->name);
  }
  long size = fseek(s->file, 0, SEEK_END) == 0 ? ftell(s->file) : -1;
  if (size <= 0 || size == LONG_MAX || fseek(s->file, 0, SEEK_SET) != 0)
    return ct__fail_status(CT_EIO, "%s: %s: not a regular file", s->who, s->name);
  s->size = size;
  return CT_OK;
}

ct_status ct__source_open(ct__source *s, const char *who, const char *path) {
  *s = (ct__source){.who = who, .name = path};
  if (!path || !*path) return ct__fail_status(CT_EARG, "%s: no path given", who);
  s->file = fopen(path, "rb");
  if (!s->file) return fail_errno(who, "open", path);
  ct_status status = find_size(s);
  if (status != CT_OK) ct__source_close(s);
  return status;
}

void ct__source_memory(ct__source *s, const char *who, const char *name, const void *data,
                       size_t size) {
  *s = (ct__source){.who = who, .name = name, .memory = data, .size = (int64_t)size};
}

void ct__source_close(ct__source *s) {
  if (s->file) fclose(s->file);
  s->file = NULL;
}

ct_status ct__source_read(ct__source *s, void *dst, size_t n) {
  size_t left = (size_t)(s->size - s->at), got = n < left ? n : left;
  if (s->file)
    got = fread(dst, 1, got, s->file);
  else if (got > 0)
    memcpy(dst, s->memory + s->at, got);
  s->at += (int64_t)got;
  if (got == n) return CT_OK;
  if (s->file && ferror(s->file)) return fail_errno(s->who, "read", s->name);
  return ct__fail_status(CT_EFORMAT, "%s: %s: the file ends after %lld bytes, want %zu more",
                         s->who, s->name, (long long)s->at, n - got);
}

ct_status ct__source_all(ct__source *s, char **data, size_t *size) {
  *size = (size_t)s->size;
  *data = ct__alloc(*size + 1);
  if (!*data)
    return ct__fail_status(CT_ENOMEM, "%s: %s: out of memory (%zu bytes)", s->who, s->name, *size);
  ct_status status = ct__source_read(s, *data, *size);
  if (status != CT_OK) {
    ct__free(*data, *size + 1);
    *data = NULL;
    return status;
  }
  (*data)[*size] = '\0';
  return CT_OK;
}

ct_tensor *ct__source_tensor(const ct__source *s, ct_dtype dtype, int ndim, const int64_t *dim) {
  ct_tensor *t = ct__dataset_tensor(s->who, dtype, ndim, dim);
  if (!t) ct__fail_status(ct_error_code(), "%s (reading %s)", ct_error_message(), s->name);
  return t;
}

bool ct__file_exists(const char *path) {
  FILE *f = fopen(path, "rb");
  if (f) fclose(f);
  return f != NULL;
}

/* ---- folders --------------------------------------------------------------------------------- */

/* Zero-terminated texts one after the other. */
typedef struct texts {
  char *at;
  size_t used, room;
  int n;
} texts;

static bool texts_add(texts *t, const char *text) {
  size_t length = strlen(text) + 1;
  if (length > t->room - t->used) {
    size_t room = 2 * t->room + length;
    char *grown = t->n < INT_MAX ? ct__alloc(room) : NULL;
    if (!grown) return false;
    if (t->used > 0) memcpy(grown, t->at, t->used);
    ct__free(t->at, t->room);
    t->at = grown;
    t->room = room;
  }
  memcpy(t->at + t->used, text, length);
  t->used += length;
  t->n++;
  return true;
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static ct_status texts_sorted(const texts *t, ct_names *out) {
  size_t bytes = (size_t)t->n * sizeof(char *);
  const char **at = ct__alloc(bytes), *text = t->at;
  if (!at) return CT_ENOMEM;
  for (int i = 0; i < t->n; i++, text += strlen(text) + 1) at[i] = text;
  if (t->n > 0) qsort(at, (size_t)t->n, sizeof *at, by_text);
  ct_status status = ct__names_copy(out, t->n, at);
  ct__free(at, bytes);
  return status;
}

static bool add_visible(void *t, const char *name) { return name[0] == '.' || texts_add(t, name); }

ct_status ct__folder_list(ct_names *out, const char *who, const char *dir) {
  *out = (ct_names){0};
  texts t = {0};
  int error = ct__each_entry(dir, add_visible, &t);
  ct_status status = error == 0 ? texts_sorted(&t, out) : CT_OK;
  ct__free(t.at, t.room);
  if (status != CT_OK) return ct__fail_status(status, "%s: %s: out of memory", who, dir);
  errno = error;
  return error == 0 ? CT_OK : fail_errno(who, "read folder", dir);
}
