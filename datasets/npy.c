/* npy.c - NumPy's file of one array: magic, version, a Python dict as text, the elements
 * (little-endian here).
 *
 *   93 'NUMPY' major minor, length of the text (2 bytes in version 1, else 4),
 *   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 */
#include "datasets_internal.h"

#include <stdlib.h>

/* What the file calls a type, its bytes, and what it becomes here. */
typedef struct type_row {
  const char *name; /* without the byte order */
  ct_dtype dtype;
  bool wide; /* 8-byte integers, narrowed */
} type_row;

static const type_row type_table[] = {
    {"f4", CT_F32, false}, {"f8", CT_F64, false}, {"i4", CT_I32, false},
    {"i8", CT_I32, true},  {"u1", CT_U8, false},  {"b1", CT_BOOL, false},
};

typedef struct header {
  const type_row *type;
  bool fortran;
  int ndim;
  int64_t dim[CT_MAX_DIMS];
} header;

/* ---- the dict -------------------------------------------------------------------------------- */

/* A place in the text, which ends with a zero. */
typedef struct parser {
  const ct__source *source;
  const char *p;
} parser;

static ct_status malformed(const parser *in, const char *what) {
  return ct__fail_status(CT_EFORMAT, "%s: %s: malformed header: %s", in->source->who,
                         in->source->name, what);
}

static void skip_blanks(parser *in) {
  while (*in->p == ' ' || *in->p == '\n' || *in->p == '\t') in->p++;
}

static bool accept(parser *in, char c) {
  skip_blanks(in);
  if (*in->p != c) return false;
  in->p++;
  return true;
}

static bool accept_word(parser *in, const char *word) {
  skip_blanks(in);
  const size_t n = strlen(word);
  if (strncmp(in->p, word, n) != 0) return false;
  in->p += n;
  return true;
}

/* A quoted text without escapes, into text. */
static bool read_text(parser *in, char *text, size_t room) {
  skip_blanks(in);
  const char quote = *in->p;
  if (quote != '\'' && quote != '"') return false;
  const char *end = strchr(in->p + 1, quote);
  if (!end || (size_t)(end - in->p - 1) >= room) return false;
  const size_t n = (size_t)(end - in->p - 1);
  memcpy(text, in->p + 1, n);
  text[n] = '\0';
  in->p = end + 1;
  return true;
}

static ct_status read_type(parser *in, header *h) {
  char text[16];
  if (!read_text(in, text, sizeof text)) return malformed(in, "want a plain type such as '<f4'");
  if (text[0] == '>')
    return ct__fail_status(CT_EFORMAT, "%s: %s: big-endian data ('%s'); save it as '<%s'",
                           in->source->who, in->source->name, text, text + 1);
  const char *name = text + (text[0] == '<' || text[0] == '|' || text[0] == '=');
  for (int i = 0; i < CT__COUNT(type_table); i++)
    if (strcmp(name, type_table[i].name) == 0) h->type = &type_table[i];
  if (h->type) return CT_OK;
  return ct__fail_status(CT_EFORMAT, "%s: %s: type '%s'; want f4, f8, i4, i8, u1 or b1",
                         in->source->who, in->source->name, text);
}

static ct_status read_extent(parser *in, int64_t *out) {
  *out = 0;
  if (*in->p < '0' || *in->p > '9') return malformed(in, "want the sizes as a tuple of numbers");
  for (; *in->p >= '0' && *in->p <= '9'; in->p++)
    if (!ct__mul_size(*out, 10, out) || __builtin_add_overflow(*out, *in->p - '0', out))
      return malformed(in, "a size is too large");
  return CT_OK;
}

static ct_status read_shape(parser *in, header *h) {
  if (!accept(in, '(')) return malformed(in, "want the sizes as a tuple");
  while (!accept(in, ')')) {
    if (h->ndim == CT_MAX_DIMS) return malformed(in, "more than 8 dimensions");
    ct_status status = read_extent(in, &h->dim[h->ndim++]);
    if (status != CT_OK) return status;
    if (!accept(in, ',') && *in->p != ')') return malformed(in, "want a comma between sizes");
  }
  return CT_OK;
}

static ct_status read_dict(parser *in, header *h) {
  enum { DESCR = 1, FORTRAN = 2, SHAPE = 4, ALL = 7 };
  unsigned seen = 0;
  if (!accept(in, '{')) return malformed(in, "want a dict");
  while (!accept(in, '}')) {
    char key[16];
    if (!read_text(in, key, sizeof key) || !accept(in, ':'))
      return malformed(in, "want 'key': value");
    const unsigned k = strcmp(key, "descr") == 0           ? DESCR
                       : strcmp(key, "fortran_order") == 0 ? FORTRAN
                       : strcmp(key, "shape") == 0         ? SHAPE
                                                           : 0;
    if (k == 0 || seen & k) return malformed(in, "an unknown or repeated key");
    seen |= k;
    ct_status status = CT_OK;
    if (k == DESCR) status = read_type(in, h);
    if (k == SHAPE) status = read_shape(in, h);
    if (k == FORTRAN && !(h->fortran = accept_word(in, "True")) && !accept_word(in, "False"))
      status = malformed(in, "fortran_order must be True or False");
    if (status != CT_OK) return status;
    if (!accept(in, ',') && *in->p != '}') return malformed(in, "want a comma between keys");
  }
  skip_blanks(in);
  if (*in->p != '\0') return malformed(in, "text after the dict");
  return seen == ALL ? CT_OK : malformed(in, "want descr, fortran_order and shape");
}

/* ---- reading --------------------------------------------------------------------------------- */

static ct_status read_header(ct__source *s, header *h) {
  unsigned char b[8];
  ct_status status = ct__source_read(s, b, 8);
  if (status != CT_OK) return status;
  if (memcmp(b, "\x93NUMPY", 6) != 0 || b[6] < 1 || b[6] > 3)
    return ct__fail_status(CT_EFORMAT, "%s: %s: not an npy file of version 1 to 3", s->who,
                           s->name);
  const size_t bytes = b[6] == 1 ? 2 : 4;
  memset(b, 0, sizeof b);
  status = ct__source_read(s, b, bytes);
  if (status != CT_OK) return status;
  const int64_t length = (int64_t)b[0] | b[1] << 8 | b[2] << 16 | (int64_t)b[3] << 24;
  if (length > s->size - s->at)
    return ct__fail_status(CT_EFORMAT, "%s: %s: a header of %lld bytes in a file of %lld", s->who,
                           s->name, (long long)length, (long long)s->size);
  const size_t room = (size_t)length + 1;
  char *text = ct__alloc(room);
  if (!text) return ct__fail_status(CT_ENOMEM, "%s: %s: out of memory", s->who, s->name);
  text[length] = '\0';
  status = ct__source_read(s, text, (size_t)length);
  if (status == CT_OK) status = read_dict(&(parser){s, text}, h);
  ct__free(text, room);
  return status;
}

/* The elements must fill the rest of the file exactly. */
static ct_status check_size(const ct__source *s, const header *h) {
  int64_t want = h->type->wide ? 8 : (int64_t)ct_dtype_size(h->type->dtype);
  bool fits = true, none = false;
  for (int i = 0; i < h->ndim; i++) none = none || h->dim[i] == 0;
  for (int i = 0; i < h->ndim && fits && !none; i++) fits = ct__mul_size(want, h->dim[i], &want);
  if (none) want = 0;
  if (fits && want == s->size - s->at) return CT_OK;
  char text[CT__SHAPE_TEXT];
  return ct__fail_status(
      CT_EFORMAT, "%s: %s: %s of %s does not fit the %lld bytes after the header", s->who, s->name,
      ct__shape_text(text, h->ndim, h->dim), h->type->name, (long long)(s->size - s->at));
}

static ct_status read_wide(ct__source *s, int32_t *out, int64_t n) {
  int64_t block[1024];
  for (int64_t i = 0; i < n; i += CT__COUNT(block)) {
    const int64_t left = n - i, count = left < CT__COUNT(block) ? left : CT__COUNT(block);
    ct_status status = ct__source_read(s, block, (size_t)count * sizeof *block);
    if (status != CT_OK) return status;
    for (int64_t j = 0; j < count; j++) {
      if (block[j] < INT32_MIN || block[j] > INT32_MAX)
        return ct__fail_status(CT_ESIZE, "%s: %s: element %lld is %lld, which does not fit i32",
                               s->who, s->name, (long long)(i + j), (long long)block[j]);
      out[i + j] = (int32_t)block[j];
    }
  }
  return CT_OK;
}

static ct_status read_elements(ct__source *s, const header *h, ct_tensor *t) {
  if (h->type->wide) return read_wide(s, (int32_t *)(void *)t->v.data, t->v.size);
  ct_status status = ct__source_read(s, t->v.data, (size_t)t->v.size * ct_dtype_size(t->v.dtype));
  if (status == CT_OK && t->v.dtype == CT_BOOL) /* other bytes are no bool to the compiler */
    for (int64_t i = 0; i < t->v.size; i++) t->v.data[i] = t->v.data[i] != 0;
  return status;
}

/* t's elements, stored first index fastest, as a new row-major tensor; takes t. */
static ct_tensor *from_fortran(const ct__source *s, ct_tensor *t) {
  ct_view v = t->v;
  int64_t stride = 1;
  for (int i = 0; i < v.ndim; stride *= v.dim[i++]) v.stride[i] = stride;
  ct__view_refresh(&v);
  ct_tensor *out = ct__source_tensor(s, v.dtype, v.ndim, v.dim);
  if (out) ct__copy(&v, &out->v);
  ct_release(&t);
  return out;
}

static ct_tensor *read_npy(ct__source *s) {
  header h = {0};
  if (read_header(s, &h) != CT_OK || check_size(s, &h) != CT_OK) return NULL;
  ct_tensor *t = ct__source_tensor(s, h.type->dtype, h.ndim, h.dim);
  if (t && read_elements(s, &h, t) != CT_OK) ct_release(&t);
  return t && h.fortran && t->v.size > 0 ? from_fortran(s, t) : t;
}

ct_tensor *ct_npy_read(const char *path) {
  ct__source s;
  if (ct__source_open(&s, "ct_npy_read", path) != CT_OK) return ct_nil();
  ct_tensor *t = read_npy(&s);
  ct__source_close(&s);
  return ct__own(t);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Magic, version, length and dict, padded to a multiple of 64 as NumPy does; returns its bytes. */
enum { HEADER_ROOM = 320 };

static size_t write_header(char text[HEADER_ROOM], const ct_view *v) {
  enum { START = 10 };
  const type_row *type = type_table;
  while (type->dtype != v->dtype) type++;
  const char order = ct_dtype_size(v->dtype) == 1 ? '|' : '<';
  int n = snprintf(text + START, HEADER_ROOM - START,
                   "{'descr': '%c%s', 'fortran_order': False, 'shape': (", order, type->name) +
          START;
  for (int i = 0; i < v->ndim; i++)
    n += snprintf(text + n, (size_t)(HEADER_ROOM - n), "%lld%s", (long long)v->dim[i],
                  v->ndim == 1      ? ","
                  : i < v->ndim - 1 ? ", "
                                    : "");
  n += snprintf(text + n, (size_t)(HEADER_ROOM - n), "), }");
  const int end = (n + 1 + 63) / 64 * 64;
  memset(text + n, ' ', (size_t)(end - n));
  text[end - 1] = '\n';
  const int length = end - START;
  memcpy(text, "\x93NUMPY\x01\x00", 8);
  text[8] = (char)(length & 0xff);
  text[9] = (char)(length >> 8);
  return (size_t)end;
}

ct_status ct_npy_write(const char *path, const ct_tensor *t) {
  static const char who[] = "ct_npy_write";
  ct_status status = ct__check_value(who, t);
  if (status != CT_OK) return status;
  if (!path || !*path) return ct__fail_status(CT_EARG, "%s: no path given", who);
  char text[HEADER_ROOM];
  ct_tensor *packed = NULL;
  if (!t->v.contiguous) {
    packed = ct__dataset_tensor(who, t->v.dtype, t->v.ndim, t->v.dim);
    if (!packed) return ct_error_code();
    ct__copy(&t->v, &packed->v);
  }
  const ct_view *v = packed ? &packed->v : &t->v;
  const size_t bytes[2] = {write_header(text, v), (size_t)v->size * ct_dtype_size(v->dtype)};
  status = ct__write_file(who, path, (const void *const[]){text, v->data}, bytes, 2);
  ct_release(&packed);
  return status;
}
