/* idx.c - the format of MNIST's files: a big-endian header, then bytes; plain or gzipped.
 *
 *   00 00 08 d   unsigned bytes, d dimensions     then d sizes of 4 bytes, then the elements,
 * row-major
 */
#include "datasets_internal.h"

#include <zlib.h>

/* ---- plain or inflated bytes ----------------------------------------------------------------- */

enum {
  INPUT_BYTES = 1 << 18,
  MAX_RATIO = 1032
}; /* deflate cannot pack more than 1032 bytes into one */

typedef struct stream {
  ct__source *source;
  bool gzip;
  bool ended; /* the gzip trailer was read and is right */
  z_stream z;
  unsigned char *input;
} stream;

static ct_status stream_open(stream *s, ct__source *source) {
  *s = (stream){.source = source};
  unsigned char magic[2];
  ct_status status = ct__source_read(source, magic, sizeof magic);
  if (status != CT_OK) return status;
  s->gzip = magic[0] == 0x1f && magic[1] == 0x8b;
  source->at = 0;
  if (source->file && fseek(source->file, 0, SEEK_SET) != 0)
    return ct__fail_status(CT_EIO, "%s: %s: cannot go back to the start", source->who,
                           source->name);
  if (!s->gzip) return CT_OK;
  s->input = ct__alloc(INPUT_BYTES);
  if (s->input && inflateInit2(&s->z, 16 + MAX_WBITS) == Z_OK) return CT_OK;
  ct__free(s->input, INPUT_BYTES);
  return ct__fail_status(CT_ENOMEM, "%s: %s: out of memory", source->who, source->name);
}

static void stream_close(stream *s) {
  if (!s->gzip) return;
  inflateEnd(&s->z);
  ct__free(s->input, INPUT_BYTES);
}

static ct_status refill(stream *s) {
  ct__source *source = s->source;
  const int64_t left = source->size - source->at, n = left < INPUT_BYTES ? left : INPUT_BYTES;
  if (n == 0)
    return ct__fail_status(CT_EFORMAT, "%s: %s: the compressed data is cut off after %lld bytes",
                           source->who, source->name, (long long)source->size);
  s->z.next_in = s->input;
  s->z.avail_in = (uInt)n;
  return ct__source_read(source, s->input, (size_t)n);
}

/* Inflates up to n bytes straight into dst; fewer only at the end of the data. */
static ct_status inflate_some(stream *s, unsigned char *dst, int64_t n, int64_t *got) {
  *got = 0;
  while (*got < n && !s->ended) {
    if (s->z.avail_in == 0) {
      ct_status status = refill(s);
      if (status != CT_OK) return status;
    }
    const int64_t left = n - *got, now = left < (1 << 30) ? left : 1 << 30;
    s->z.next_out = dst + *got;
    s->z.avail_out = (uInt)now;
    const int code = inflate(&s->z, Z_NO_FLUSH);
    *got += now - (int64_t)s->z.avail_out;
    s->ended = code == Z_STREAM_END;
    if (code == Z_MEM_ERROR)
      return ct__fail_status(CT_ENOMEM, "%s: %s: out of memory", s->source->who, s->source->name);
    if (code != Z_OK && code != Z_STREAM_END)
      return ct__fail_status(CT_EFORMAT, "%s: %s: the compressed data is damaged (%s)",
                             s->source->who, s->source->name, s->z.msg ? s->z.msg : "zlib");
  }
  return CT_OK;
}

static ct_status stream_read(stream *s, void *dst, int64_t n) {
  if (!s->gzip) return ct__source_read(s->source, dst, (size_t)n);
  int64_t got;
  ct_status status = inflate_some(s, dst, n, &got);
  if (status != CT_OK || got == n) return status;
  return ct__fail_status(CT_EFORMAT, "%s: %s: the inflated data ends %lld bytes early",
                         s->source->who, s->source->name, (long long)(n - got));
}

/* Demands that everything was read; for gzip that also checks the sum. */
static ct_status stream_end(stream *s) {
  ct__source *source = s->source;
  unsigned char extra;
  int64_t got = 0;
  if (s->gzip) {
    ct_status status = inflate_some(s, &extra, 1, &got);
    if (status != CT_OK) return status;
  }
  if (got == 0 && s->z.avail_in == 0 && source->at == source->size) return CT_OK;
  return ct__fail_status(CT_EFORMAT, "%s: %s: there is more data than the header says", source->who,
                         source->name);
}

/* ---- idx ------------------------------------------------------------------------------------- */

static ct_status read_header(stream *s, int *ndim, int64_t dim[CT_MAX_DIMS]) {
  const ct__source *source = s->source;
  unsigned char h[4 * CT_MAX_DIMS];
  ct_status status = stream_read(s, h, 4);
  if (status != CT_OK) return status;
  if (h[0] != 0 || h[1] != 0 || h[2] < 8 || h[2] > 14)
    return ct__fail_status(CT_EFORMAT, "%s: %s: not an idx file (it begins %02x %02x %02x %02x)",
                           source->who, source->name, h[0], h[1], h[2], h[3]);
  if (h[2] != 8)
    return ct__fail_status(CT_EFORMAT, "%s: %s: want unsigned bytes (type 8), got type %d",
                           source->who, source->name, h[2]);
  *ndim = h[3];
  if (*ndim < 1 || *ndim > CT_MAX_DIMS)
    return ct__fail_status(CT_EFORMAT, "%s: %s: want 1 to %d dimensions, got %d", source->who,
                           source->name, CT_MAX_DIMS, *ndim);
  status = stream_read(s, h, 4 * *ndim);
  for (int i = 0; i < *ndim && status == CT_OK; i++)
    dim[i] = (int64_t)h[4 * i] << 24 | h[4 * i + 1] << 16 | h[4 * i + 2] << 8 | h[4 * i + 3];
  return status;
}

/* The header may claim anything: the file's own size bounds what is allocated. */
static ct_status check_size(const stream *s, int ndim, const int64_t *dim) {
  const ct__source *source = s->source;
  char text[CT__SHAPE_TEXT];
  ct__shape_text(text, ndim, dim);
  const int64_t header = 4 + 4 * ndim;
  int64_t want = 1;
  bool fits = true;
  for (int i = 0; i < ndim && fits; i++) fits = ct__mul_size(want, dim[i], &want);
  fits = fits && want <= INT64_MAX - header;
  if (s->gzip) {
    if (fits && (want + header) / MAX_RATIO <= source->size) return CT_OK;
    return ct__fail_status(CT_EFORMAT, "%s: %s: %lld compressed bytes cannot hold %s", source->who,
                           source->name, (long long)source->size, text);
  }
  if (fits && want + header == source->size) return CT_OK;
  return ct__fail_status(CT_EFORMAT, "%s: %s: %s does not fit the file's size of %lld bytes",
                         source->who, source->name, text, (long long)source->size);
}

static ct_tensor *read_tensor(stream *s) {
  int ndim = 0;
  int64_t dim[CT_MAX_DIMS];
  if (read_header(s, &ndim, dim) != CT_OK || check_size(s, ndim, dim) != CT_OK) return NULL;
  ct_tensor *t = ct__source_tensor(s->source, CT_U8, ndim, dim);
  if (t && (stream_read(s, t->v.data, t->v.size) != CT_OK || stream_end(s) != CT_OK))
    ct_release(&t);
  return t;
}

ct_tensor *ct__idx_read(ct__source *source) {
  stream s;
  if (stream_open(&s, source) != CT_OK) return NULL;
  ct_tensor *t = read_tensor(&s);
  stream_close(&s);
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

static ct_status read_pair(const char *who, ct_dataset *out, const char *images, const char *labels,
                           int *top) {
  ct_tensor *x = read_path(who, images), *t = x ? read_path(who, labels) : NULL;
  return join(who, images, out, x, t, top);
}

ct_status ct_dataset_idx(ct_dataset *out, const char *images, const char *labels) {
  static const char who[] = "ct_dataset_idx";
  if (!out) return ct__fail_status(CT_EARG, "%s: no place for the result", who);
  int top = 0;
  ct_status status = read_pair(who, out, images, labels, &top);
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

static ct_status read_part(ct_dataset *out, const char *dir, const char *part, int *top) {
  char images[MAX_PATH], labels[MAX_PATH];
  ct_status status = find_file(images, dir, part, "images");
  if (status == CT_OK) status = find_file(labels, dir, part, "labels");
  return status == CT_OK ? read_pair("ct_dataset_mnist", out, images, labels, top) : status;
}

ct_status ct_dataset_mnist(ct_dataset *train, ct_dataset *test, const char *dir) {
  static const char who[] = "ct_dataset_mnist";
  if (!train || !test || train == test || !dir)
    return ct__fail_status(CT_EARG, "%s: want two places and a folder", who);
  *train = *test = (ct_dataset){0};
  int top = 0;
  ct_status status = read_part(train, dir, "train", &top);
  if (status == CT_OK) status = read_part(test, dir, "t10k", &top);
  return finish(who, status, train, test, top);
}
