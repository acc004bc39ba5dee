/* safetensors.c - archives as files.
 *
 *   length of the header (8 bytes, little-endian), header, data
 *   {"__metadata__": {"key": "text"}, "0.weight": {"dtype": "F32", "shape": [2, 3],
 *    "data_offsets": [0, 24]}, ...}
 *
 * The header is JSON, padded with spaces to a multiple of 8. Offsets count from the end of the
 * header; the tensors, row-major, must cover the data without gaps or overlaps. A file is believed
 * only after all of that has been checked against its size.
 */
#include "nn_internal.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { LENGTH_BYTES = 8, HEADER_LIMIT = 100000000, CHUNK = 512 };

/* What the format calls the dtypes, in the order of ct_dtype; then what is only read. */
typedef struct type_row {
  const char *name;
  ct_dtype dtype;
  int64_t item; /* bytes in the file */
} type_row;

static const type_row type_table[] = {
    {"F32", CT_F32, 4}, {"F64", CT_F64, 8},   {"I32", CT_I32, 4},
    {"U8", CT_U8, 1},   {"BOOL", CT_BOOL, 1}, {"I64", CT_I32, 8},
};

/* ---- writing --------------------------------------------------------------------------------- */

static bool add_numbers(cJSON *to, const char *key, int n, const int64_t *number) {
  double value[CT_MAX_DIMS] = {0};
  for (int i = 0; i < n; i++) value[i] = (double)number[i];
  cJSON *array = cJSON_CreateDoubleArray(value, n);
  if (array && cJSON_AddItemToObject(to, key, array)) return true;
  cJSON_Delete(array);
  return false;
}

static int64_t byte_size(const ct_tensor *t) {
  return t->v.size * (int64_t)ct_dtype_size(t->v.dtype);
}

static bool add_tensor(cJSON *root, const ct__entry *e, int64_t begin) {
  const ct_view *v = &e->tensor->v;
  cJSON *info = cJSON_AddObjectToObject(root, e->name);
  return info && cJSON_AddStringToObject(info, "dtype", type_table[v->dtype].name) &&
         add_numbers(info, "shape", v->ndim, v->dim) &&
         add_numbers(info, "data_offsets", 2, (int64_t[]){begin, begin + byte_size(e->tensor)});
}

static bool add_texts(cJSON *root, const ct_archive *a) {
  if (a->n_texts == 0) return true;
  cJSON *texts = cJSON_AddObjectToObject(root, CT__METADATA);
  for (int i = 0; texts && i < a->n_texts; i++)
    if (!cJSON_AddStringToObject(texts, a->text[i].key, a->text[i].text)) return false;
  return texts;
}

/* The header's text, for cJSON_free, or NULL; order receives the entries as they lie in the file:
 * the widest first, so that all are aligned. */
static char *header_text(const ct_archive *a, const ct__entry **order) {
  cJSON *root = cJSON_CreateObject();
  bool ok = root && add_texts(root, a);
  int64_t at = 0;
  int n = 0;
  for (size_t width = 8; width > 0; width /= 2)
    for (int i = 0; ok && i < a->n; i++) {
      if (ct_dtype_size(a->entry[i].tensor->v.dtype) != width) continue;
      ok = add_tensor(root, &a->entry[i], at);
      at += byte_size(a->entry[i].tensor);
      order[n++] = &a->entry[i];
    }
  char *text = ok ? cJSON_PrintUnformatted(root) : NULL;
  cJSON_Delete(root);
  return text;
}

typedef struct file_parts {
  const ct__entry **order;
  const void **part;
  size_t *bytes;
} file_parts;

enum { FRONT = 3 }; /* length, text, padding */

static ct_status write_parts(const ct_archive *a, const char *path, file_parts *f) {
  static const char spaces[LENGTH_BYTES] = "        ";
  char *text = header_text(a, f->order);
  if (!text) return ct__no_memory("ct_archive_save");
  size_t length = strlen(text), padding = (LENGTH_BYTES - length % LENGTH_BYTES) % LENGTH_BYTES;
  unsigned char prefix[LENGTH_BYTES];
  for (int i = 0; i < LENGTH_BYTES; i++)
    prefix[i] = (unsigned char)((uint64_t)(length + padding) >> 8 * i);
  const void *front[FRONT] = {prefix, text, spaces};
  const size_t front_bytes[FRONT] = {sizeof prefix, length, padding};
  memcpy(f->part, front, sizeof front);
  memcpy(f->bytes, front_bytes, sizeof front_bytes);
  for (int i = 0; i < a->n; i++) {
    f->part[FRONT + i] = f->order[i]->tensor->v.data;
    f->bytes[FRONT + i] = (size_t)byte_size(f->order[i]->tensor);
  }
  ct_status status = length + padding > HEADER_LIMIT
                         ? ct__fail_status(CT_ESIZE, "ct_archive_save: too many names")
                         : ct__write_file("ct_archive_save", path, f->part, f->bytes, FRONT + a->n);
  cJSON_free(text);
  return status;
}

ct_status ct_archive_save(const ct_archive *a, const char *path) {
  if (!a || !path) return ct__fail_status(CT_EARG, "ct_archive_save: %s is NULL", a ? "path" : "a");
  size_t n = (size_t)a->n + FRONT;
  file_parts f = {.order = ct__alloc(n * sizeof *f.order),
                  .part = ct__alloc(n * sizeof *f.part),
                  .bytes = ct__alloc(n * sizeof *f.bytes)};
  ct_status status =
      f.order && f.part && f.bytes ? write_parts(a, path, &f) : ct__no_memory("ct_archive_save");
  ct__free(f.order, n * sizeof *f.order);
  ct__free(f.part, n * sizeof *f.part);
  ct__free(f.bytes, n * sizeof *f.bytes);
  return status;
}

/* ---- reading: the header --------------------------------------------------------------------- */

/* One tensor, as the header tells. */
typedef struct claim {
  const char *name; /* of the parsed header */
  const type_row *type;
  int ndim, index;
  int64_t dim[CT_MAX_DIMS], begin, end;
} claim;

typedef struct reader {
  const char *path;
  FILE *file;
  int64_t data_size;
  cJSON *root;
  claim *claims;
  int n;
} reader;

static const char who[] = "ct_archive_load";

static ct_status malformed(const reader *r, const char *what) {
  return ct__fail_status(CT_EFORMAT, "%s: %s: %s", who, r->path, what);
}

static ct_status bad_tensor(const reader *r, const char *name, const char *what) {
  return ct__fail_status(CT_EFORMAT, "%s: %s: tensor \"%s\": %s", who, r->path, name, what);
}

static ct_status read_bytes(reader *r, void *to, size_t bytes) {
  if (fread(to, 1, bytes, r->file) == bytes) return CT_OK;
  if (ferror(r->file)) return ct__fail_status(CT_EIO, "%s: %s: %s", who, r->path, strerror(errno));
  return malformed(r, "the file ends too early");
}

/* JSON numbers are doubles here: only integers that those hold exactly. */
static bool to_integer(const cJSON *item, int64_t *out) {
  const double limit = 9007199254740992.0; /* 2^53 */
  if (!cJSON_IsNumber(item)) return false;
  double d = item->valuedouble;
  if (!(d >= 0 && d < limit) || d != floor(d)) return false;
  *out = (int64_t)d;
  return true;
}

static const type_row *find_type(const cJSON *item) {
  for (int i = 0; cJSON_IsString(item) && i < CT__COUNT(type_table); i++)
    if (strcmp(type_table[i].name, item->valuestring) == 0) return &type_table[i];
  return NULL;
}

static ct_status read_shape(const reader *r, const cJSON *shape, claim *c) {
  if (!cJSON_IsArray(shape)) return bad_tensor(r, c->name, "shape is not a list");
  for (const cJSON *item = shape->child; item; item = item->next) {
    if (c->ndim == CT_MAX_DIMS) return bad_tensor(r, c->name, "more than 8 dimensions");
    if (!to_integer(item, &c->dim[c->ndim++]))
      return bad_tensor(r, c->name, "an extent is not an integer from 0 to 2^53");
  }
  return CT_OK;
}

/* The extents, the type and the offsets tell the same size, and it lies in the file. */
static ct_status check_size(const reader *r, const claim *c) {
  ct_status status = ct__shape_check(who, c->type->dtype, c->ndim, c->dim);
  if (status != CT_OK) return bad_tensor(r, c->name, "impossible size");
  ct_view v;
  ct__view_set(&v, c->type->dtype, c->ndim, c->dim);
  int64_t bytes;
  if (!ct__mul_size(v.size, c->type->item, &bytes) || c->end < c->begin ||
      c->end - c->begin != bytes)
    return bad_tensor(r, c->name, "shape and offsets disagree");
  if (c->end > r->data_size) return bad_tensor(r, c->name, "offsets beyond the end of the file");
  return CT_OK;
}

static ct_status read_claim(const reader *r, const cJSON *info, claim *c) {
  if (!cJSON_IsObject(info) || cJSON_GetArraySize(info) != 3)
    return bad_tensor(r, c->name, "want dtype, shape and data_offsets");
  const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(info, "dtype");
  c->type = find_type(dtype);
  if (!c->type)
    return ct__fail_status(
        CT_EFORMAT, "%s: %s: tensor \"%s\": dtype %s is not one of F32 F64 I32 I64 U8 BOOL", who,
        r->path, c->name, cJSON_IsString(dtype) ? dtype->valuestring : "missing");
  ct_status status = read_shape(r, cJSON_GetObjectItemCaseSensitive(info, "shape"), c);
  if (status != CT_OK) return status;
  const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(info, "data_offsets");
  const cJSON *begin = cJSON_IsArray(offsets) ? offsets->child : NULL,
              *end = begin ? begin->next : NULL;
  if (!end || end->next || !to_integer(begin, &c->begin) || !to_integer(end, &c->end))
    return bad_tensor(r, c->name, "want two integers as data_offsets");
  return check_size(r, c);
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* No two members of an object have the same name. */
static ct_status check_names(const reader *r, const cJSON *object) {
  size_t n = 0;
  for (const cJSON *item = object->child; item; item = item->next) n++;
  const char **name = ct__alloc(n * sizeof *name);
  if (!name) return ct__no_memory(who);
  n = 0;
  for (const cJSON *item = object->child; item; item = item->next) name[n++] = item->string;
  qsort(name, n, sizeof *name, by_name);
  ct_status status = CT_OK;
  for (size_t i = 1; status == CT_OK && i < n; i++)
    if (strcmp(name[i - 1], name[i]) == 0) status = bad_tensor(r, name[i], "the name occurs twice");
  ct__free(name, n * sizeof *name);
  return status;
}

static ct_status read_texts(const reader *r, const cJSON *texts, ct_archive *a) {
  if (!cJSON_IsObject(texts)) return malformed(r, "__metadata__ is not an object");
  ct_status status = check_names(r, texts);
  for (const cJSON *item = texts->child; status == CT_OK && item; item = item->next)
    status = cJSON_IsString(item) ? ct__archive_append_text(a, item->string, item->valuestring)
                                  : malformed(r, "__metadata__ holds something that is no text");
  return status;
}

/* ---- reading: the tensors -------------------------------------------------------------------- */

static int by_offset(const void *a, const void *b) {
  const claim *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end) return x->end < y->end ? -1 : 1;
  return (x->index > y->index) - (x->index < y->index);
}

static ct_status read_claims(reader *r, ct_archive *a) {
  ct_status status = check_names(r, r->root);
  for (const cJSON *item = r->root->child; status == CT_OK && item; item = item->next) {
    if (strcmp(item->string, CT__METADATA) == 0) {
      status = read_texts(r, item, a);
      continue;
    }
    claim *c = &r->claims[r->n];
    *c = (claim){.name = item->string, .index = r->n++};
    status = read_claim(r, item, c);
  }
  if (status != CT_OK) return status;
  qsort(r->claims, (size_t)r->n, sizeof *r->claims, by_offset);
  int64_t at = 0;
  for (int i = 0; i < r->n; at = r->claims[i++].end)
    if (r->claims[i].begin != at)
      return bad_tensor(r, r->claims[i].name, "overlaps another one, or there is a gap before it");
  return at == r->data_size ? CT_OK : malformed(r, "data that belongs to no tensor");
}

static ct_status read_wide(reader *r, const claim *c, ct_tensor *t) {
  int32_t *out = (int32_t *)(void *)t->v.data;
  int64_t chunk[CHUNK];
  for (int64_t i = 0; i < t->v.size;) {
    int64_t n = t->v.size - i < CHUNK ? t->v.size - i : CHUNK;
    ct_status status = read_bytes(r, chunk, (size_t)n * sizeof *chunk);
    if (status != CT_OK) return status;
    for (int64_t k = 0; k < n; k++) {
      if (chunk[k] < INT32_MIN || chunk[k] > INT32_MAX)
        return bad_tensor(r, c->name, "an I64 value does not fit i32");
      out[i++] = (int32_t)chunk[k];
    }
  }
  return CT_OK;
}

static ct_status read_tensor(reader *r, const claim *c, ct_tensor *t) {
  if ((size_t)c->type->item != ct_dtype_size(t->v.dtype)) return read_wide(r, c, t);
  ct_status status = read_bytes(r, t->v.data, (size_t)byte_size(t));
  for (int64_t i = 0; status == CT_OK && t->v.dtype == CT_BOOL && i < t->v.size; i++)
    if ((unsigned char)t->v.data[i] > 1)
      status = bad_tensor(r, c->name, "a BOOL is neither 0 nor 1");
  return status;
}

static ct_status read_tensors(reader *r, ct_archive *a) {
  ct_status status = CT_OK;
  for (int i = 0; status == CT_OK && i < r->n; i++) {
    const claim *c = &r->claims[i];
    ct_tensor *t = ct__tensor_alloc(c->type->dtype, c->ndim, c->dim);
    if (!t) return ct__no_memory(who);
    status = read_tensor(r, c, t);
    if (status == CT_OK)
      status = ct__archive_append(a, c->name, t);
    else
      ct_release(&t);
  }
  return status;
}

/* ---- reading: the file ----------------------------------------------------------------------- */

static ct_status parse(reader *r, const char *text, size_t length, ct_archive *a) {
  const char *end = NULL;
  r->root = cJSON_ParseWithLengthOpts(text, length, &end, false);
  if (!cJSON_IsObject(r->root) || text[0] != '{')
    return malformed(r, "the header is not JSON (or memory ran out)");
  if (strspn(end, " ") != (size_t)(text + length - end))
    return malformed(r, "something follows the header's JSON");
  int n = cJSON_GetArraySize(r->root);
  size_t bytes = (size_t)n * sizeof *r->claims;
  r->claims = ct__alloc(bytes);
  if (!r->claims) return ct__no_memory(who);
  ct_status status = read_claims(r, a);
  if (status == CT_OK) status = read_tensors(r, a);
  ct__free(r->claims, bytes);
  return status;
}

static ct_status read_file(reader *r, ct_archive *a) {
  enum { GUARD = 16 }; /* zeros behind the text: parsers have been known to look one byte too far */
  unsigned char prefix[LENGTH_BYTES];
  ct_status status = read_bytes(r, prefix, sizeof prefix);
  if (status != CT_OK) return status;
  uint64_t length = 0;
  for (int i = LENGTH_BYTES - 1; i >= 0; i--) length = length << 8 | prefix[i];
  long size = fseek(r->file, 0, SEEK_END) == 0 ? ftell(r->file) : -1;
  if (size < LENGTH_BYTES || fseek(r->file, LENGTH_BYTES, SEEK_SET) != 0)
    return ct__fail_status(CT_EIO, "%s: %s: not a regular file", who, r->path);
  if (length > HEADER_LIMIT || length < 2 || length > (uint64_t)size - LENGTH_BYTES)
    return malformed(r, "impossible length of the header");
  r->data_size = (int64_t)size - LENGTH_BYTES - (int64_t)length;
  char *text = ct__alloc(length + GUARD);
  if (!text) return ct__no_memory(who);
  memset(text + length, 0, GUARD);
  status = read_bytes(r, text, length);
  if (status == CT_OK) status = parse(r, text, length, a);
  cJSON_Delete(r->root);
  ct__free(text, length + GUARD);
  return status;
}

ct_archive *ct_archive_load(const char *path) {
  reader r = {.path = path};
  if (!path) {
    ct__fail_status(CT_EARG, "%s: path is NULL", who);
    return NULL;
  }
  ct_archive *a = ct_archive_new();
  if (!a) return NULL;
  r.file = fopen(path, "rb");
  ct_status status =
      r.file ? read_file(&r, a)
             : ct__fail_status(CT_EIO, "%s: cannot open %s: %s", who, path, strerror(errno));
  if (r.file) fclose(r.file);
  if (status != CT_OK) ct_archive_free(&a);
  return a;
}
