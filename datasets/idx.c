/* idx.c - the format of MNIST's files: a big-endian header, then bytes; plain or gzipped.
 *
 *   00 00 08 d   unsigned bytes, d dimensions     then d sizes of 4 bytes, then the elements,
 * row-major
 */
#include "datasets_internal.h"
#include "pool.h"

#include <libdeflate.h>

/* ---- all bytes of a file --------------------------------------------------------------------- */

/* deflate cannot pack more than 1032 bytes into one */
enum { MAX_RATIO = 1032, GZIP_LEAST = 18 };

static ct_tensor *read_whole(ct__source *s) {
  ct_tensor *t = ct__source_tensor(s, CT_U8, 1, &s->size);
  if (t && ct__source_read(s, t->v.data, (size_t)s->size) != CT_OK) ct_release(&t);
  return t;
}

static bool is_gzip(const ct_tensor *t) {
  return t->v.size >= 2 && memcmp(t->v.data, "\x1f\x8b", 2) == 0;
}

/* What a gzip file says at its end that it holds, modulo 2^32: what is bounded by the file's own
 * size can be believed for long enough to try. */
static ct_status promised(const ct__source *s, const ct_tensor *packed, int64_t *size) {
  const int64_t n = packed->v.size;
  if (n < GZIP_LEAST)
    return ct__fail_status(CT_EFORMAT, "%s: %s: the compressed data is cut off after %lld bytes",
                           s->who, s->name, (long long)n);
  const unsigned char *end = (const unsigned char *)packed->v.data + n - 4;
  *size = (int64_t)end[3] << 24 | end[2] << 16 | end[1] << 8 | end[0];
  if (*size / MAX_RATIO <= n) return CT_OK;
  return ct__fail_status(CT_EFORMAT, "%s: %s: damaged: %lld compressed bytes cannot hold %lld",
                         s->who, s->name, (long long)n, (long long)*size);
}

/* One member and nothing behind it, with the right sum. */
static ct_status inflate_into(const ct__source *s, const ct_tensor *packed, ct_tensor *out) {
  struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
  if (!d) return ct__fail_status(CT_ENOMEM, "%s: %s: out of memory", s->who, s->name);
  size_t used = 0;
  const size_t n = (size_t)packed->v.size;
  const enum libdeflate_result result = libdeflate_gzip_decompress_ex(
      d, packed->v.data, n, out->v.data, (size_t)out->v.size, &used, NULL);
  libdeflate_free_decompressor(d);
  if (result == LIBDEFLATE_BAD_DATA)
    return ct__fail_status(CT_EFORMAT, "%s: %s: the compressed data is damaged or cut off", s->who,
                           s->name);
  if (result == LIBDEFLATE_SUCCESS && used == n) return CT_OK;
  return ct__fail_status(CT_EFORMAT,
                         "%s: %s: the compressed data does not inflate to the %lld bytes that its "
                         "end promises, or there is more data behind it",
                         s->who, s->name, (long long)out->v.size);
}

static ct_tensor *unpack(const ct__source *s, const ct_tensor *packed) {
  int64_t size;
  if (promised(s, packed, &size) != CT_OK) return NULL;
  ct_tensor *t = ct__source_tensor(s, CT_U8, 1, &size);
  if (t && inflate_into(s, packed, t) != CT_OK) ct_release(&t);
  return t;
}

/* ---- idx ------------------------------------------------------------------------------------- */

static ct_status read_header(ct__source *s, int *ndim, int64_t dim[CT_MAX_DIMS]) {
  unsigned char h[4 * CT_MAX_DIMS];
  ct_status status = ct__source_read(s, h, 4);
  if (status != CT_OK) return status;
  if (h[0] != 0 || h[1] != 0 || h[2] < 8 || h[2] > 14)
    return ct__fail_status(CT_EFORMAT, "%s: %s: not an idx file (it begins %02x %02x %02x %02x)",
                           s->who, s->name, h[0], h[1], h[2], h[3]);
  if (h[2] != 8)
    return ct__fail_status(CT_EFORMAT, "%s: %s: want unsigned bytes (type 8), got type %d", s->who,
                           s->name, h[2]);
  *ndim = h[3];
  if (*ndim < 1 || *ndim > CT_MAX_DIMS)
    return ct__fail_status(CT_EFORMAT, "%s: %s: want 1 to %d dimensions, got %d", s->who, s->name,
                           CT_MAX_DIMS, *ndim);
  status = ct__source_read(s, h, 4 * (size_t)*ndim);
  for (int i = 0; i < *ndim && status == CT_OK; i++)
    dim[i] = (int64_t)h[4 * i] << 24 | h[4 * i + 1] << 16 | h[4 * i + 2] << 8 | h[4 * i + 3];
  return status;
}

/* The header may claim anything. */
static ct_status check_size(const ct__source *s, int ndim, const int64_t *dim) {
  char text[CT__SHAPE_TEXT];
  ct__shape_text(text, ndim, dim);
  int64_t want = 1;
  bool fits = true;
  for (int i = 0; i < ndim && fits; i++) fits = ct__mul_size(want, dim[i], &want);
  if (!fits || want != s->size - s->at)
    return ct__fail_status(CT_EFORMAT, "%s: %s: %s does not fit the %lld bytes after the header",
                           s->who, s->name, text, (long long)(s->size - s->at));
  if (ct__shape_check(s->who, CT_U8, ndim, dim) == CT_OK) return CT_OK;
  return ct__fail_status(CT_ESIZE, "%s: %s: %s is too large", s->who, s->name, text);
}

/* The elements behind the header that `file` begins with, over the same memory. */
static ct_tensor *elements(const ct__source *source, const ct_tensor *file) {
  ct__source s;
  int ndim = 0;
  int64_t dim[CT_MAX_DIMS];
  ct__source_memory(&s, source->who, source->name, file->v.data, (size_t)file->v.size);
  if (read_header(&s, &ndim, dim) != CT_OK || check_size(&s, ndim, dim) != CT_OK) return NULL;
  ct_tensor *t = ct__tensor_alias(file);
  if (!t) {
    ct__fail_status(CT_ENOMEM, "%s: %s: out of memory", s.who, s.name);
    return NULL;
  }
  ct__view_set(&t->v, CT_U8, ndim, dim);
  t->v.data = file->v.data + s.at;
  return t;
}

ct_tensor *ct__idx_read(ct__source *source) {
  ct_tensor *file = read_whole(source), *packed = NULL;
  if (file && is_gzip(file)) {
    packed = file;
    file = unpack(source, packed);
    ct_release(&packed);
  }
  ct_tensor *t = file ? elements(source, file) : NULL;
  ct_release(&file);
  return t;
}

static ct_tensor *read_path(const char *who, const char *path) {
  ct__source s;
  if (ct__source_open(&s, who, path) != CT_OK) return NULL;
  ct_tensor *t = ct__idx_read(&s);
  ct__source_close(&s);
  return t;
}

ct_tensor *ct_idx_read(const char *path) { return ct__own(read_path("ct_idx_read", path)); }

/* ---- datasets -------------------------------------------------------------------------------- */

/* i32 labels from bytes; the largest into *top. */
static ct_tensor *widen(const char *who, const ct_tensor *bytes, int *top) {
  ct_tensor *t = ct__dataset_tensor(who, CT_I32, 1, bytes->v.dim);
  if (!t) return NULL;
  const unsigned char *from = (const unsigned char *)bytes->v.data;
  int32_t *to = (int32_t *)(void *)t->v.data;
  for (int64_t i = 0; i < t->v.size; i++) {
    to[i] = from[i];
    if (to[i] > *top) *top = to[i];
  }
  return t;
}

/* Takes images and labels (each NULL if reading it failed), whatever happens. */
static ct_status join(const char *who, const char *name, ct_dataset *out, ct_tensor *images,
                      ct_tensor *labels, int *top) {
  ct_dataset d = {.x = images};
  ct_status status = CT_OK;
  if (!images || !labels)
    status = ct_error_code();
  else if (images->v.ndim < 2 || labels->v.ndim != 1 || images->v.dim[0] != labels->v.dim[0])
    status = ct__fail_status(
        CT_EFORMAT, "%s: %s: %lld images (%d dimensions) and %lld labels (%d) do not match", who,
        name, (long long)images->v.dim[0], images->v.ndim, (long long)labels->v.dim[0],
        labels->v.ndim);
  else if (!(d.labels = widen(who, labels, top)))
    status = ct_error_code();
  ct_release(&labels);
  if (status != CT_OK) ct_dataset_free(&d);
  *out = d;
  return status;
}

static ct_status name_classes(const char *who, ct_dataset *d, int top) {
  if (ct__names_numbers(&d->classes, top + 1) == CT_OK) return CT_OK;
  return ct__fail_status(CT_ENOMEM, "%s: out of memory", who);
}

/* One of the files that are read at the same time. */
typedef struct reading {
  const char *who, *path;
  ct_tensor *t; /* NULL if that failed, and then: */
  ct_status status;
  char why[512];
} reading;

static void read_one(void *context, int64_t i) {
  reading *r = (reading *)context + i;
  r->t = read_path(r->who, r->path);
  if (r->t) return;
  r->status = ct_error_code();
  snprintf(r->why, sizeof r->why, "%s", ct_error_message());
}

/* All of them, or none and the error of the first that failed. */
static ct_status read_files(int n, reading *r) {
  ct__parallel(n, read_one, r);
  ct_status status = CT_OK;
  for (int i = n - 1; i >= 0; i--)
    if (!r[i].t) status = ct__fail_status(r[i].status, "%s", r[i].why);
  for (int i = 0; i < n && status != CT_OK; i++) ct_release(&r[i].t);
  return status;
}

ct_status ct_dataset_idx(ct_dataset *out, const char *images, const char *labels) {
  static const char who[] = "ct_dataset_idx";
  if (!out) return ct__fail_status(CT_EARG, "%s: no place for the result", who);
  *out = (ct_dataset){0};
  int top = 0;
  reading r[] = {{.who = who, .path = images}, {.who = who, .path = labels}};
  ct_status status = read_files(CT__COUNT(r), r);
  if (status == CT_OK) status = join(who, images, out, r[0].t, r[1].t, &top);
  if (status == CT_OK) status = name_classes(who, out, top);
  if (status != CT_OK) ct_dataset_free(out);
  return status;
}

/* Test labels mean what training labels do, even where one part lacks the last class. */
static ct_status finish(const char *who, ct_status status, ct_dataset *train, ct_dataset *test,
                        int top) {
  if (status == CT_OK) status = name_classes(who, train, top);
  if (status == CT_OK) status = name_classes(who, test, top);
  if (status == CT_OK) return CT_OK;
  ct_dataset_free(train);
  ct_dataset_free(test);
  return status;
}

static ct_status read_embedded(const char *who, ct_dataset *out, const void *images,
                               size_t images_size, const void *labels, size_t labels_size,
                               int *top) {
  ct__source s;
  ct__source_memory(&s, who, "embedded images", images, images_size);
  ct_tensor *x = ct__idx_read(&s);
  ct__source_memory(&s, who, "embedded labels", labels, labels_size);
  return join(who, "embedded", out, x, x ? ct__idx_read(&s) : NULL, top);
}

ct_status ct_dataset_digits(ct_dataset *train, ct_dataset *test) {
  static const char who[] = "ct_dataset_digits";
  if (!train || !test || train == test)
    return ct__fail_status(CT_EARG, "%s: no place for the two parts", who);
  *train = *test = (ct_dataset){0};
  int top = 0;
  ct_status status =
      read_embedded(who, train, ct__digits_train_images_gz, ct__digits_train_images_gz_size,
                    ct__digits_train_labels_gz, ct__digits_train_labels_gz_size, &top);
  if (status == CT_OK)
    status = read_embedded(who, test, ct__digits_test_images_gz, ct__digits_test_images_gz_size,
                           ct__digits_test_labels_gz, ct__digits_test_labels_gz_size, &top);
  return finish(who, status, train, test, top);
}

/* ---- MNIST by folder ------------------------------------------------------------------------- */

enum { MAX_PATH = 4096 };

/* The published name, also as unpacked by common tools (a dot before idx), plain before gzipped. */
static ct_status find_file(char path[MAX_PATH], const char *dir, const char *part,
                           const char *kind) {
  static const char *const pattern[] = {"%s/%s-%s-%subyte", "%s/%s-%s.%subyte",
                                        "%s/%s-%s-%subyte.gz"};
  const char *type = strcmp(kind, "images") == 0 ? "idx3-" : "idx1-";
  for (int i = 0; i < CT__COUNT(pattern); i++) {
    int n = snprintf(path, MAX_PATH, pattern[i], dir, part, kind, type);
    if (n > 0 && n < MAX_PATH && ct__file_exists(path)) return CT_OK;
  }
  return ct__fail_status(
      CT_EIO,
      "ct_dataset_mnist: no %s-%s-%subyte or .gz in %s; want train-images-idx3-ubyte, "
      "train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, "
      "published at yann.lecun.com/exdb/mnist and ossci-datasets.s3.amazonaws.com/mnist",
      part, kind, type, dir);
}

/* train images, train labels, test images, test labels */
enum { MNIST_FILES = 4 };

static ct_status find_files(char path[MNIST_FILES][MAX_PATH], const char *dir) {
  ct_status status = CT_OK;
  for (int i = 0; i < MNIST_FILES && status == CT_OK; i++)
    status = find_file(path[i], dir, i < 2 ? "train" : "t10k", i % 2 ? "labels" : "images");
  return status;
}

ct_status ct_dataset_mnist(ct_dataset *train, ct_dataset *test, const char *dir) {
  static const char who[] = "ct_dataset_mnist";
  if (!train || !test || train == test || !dir)
    return ct__fail_status(CT_EARG, "%s: want two places and a folder", who);
  *train = *test = (ct_dataset){0};
  char path[MNIST_FILES][MAX_PATH];
  ct_status status = find_files(path, dir);
  if (status != CT_OK) return status;
  reading r[MNIST_FILES];
  for (int i = 0; i < MNIST_FILES; i++) r[i] = (reading){.who = who, .path = path[i]};
  status = read_files(MNIST_FILES, r);
  if (status != CT_OK) return status;
  int top = 0;
  status = join(who, path[0], train, r[0].t, r[1].t, &top);
  if (status == CT_OK) {
    status = join(who, path[2], test, r[2].t, r[3].t, &top);
  } else {
    ct_release(&r[2].t);
    ct_release(&r[3].t);
  }
  return finish(who, status, train, test, top);
}
