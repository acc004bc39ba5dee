/* datasets.h - data from files: idx, image folders, CSV, npy, the embedded digits; split,
 * standardise, batch.
 *
 * Ownership. Functions that return a ct_tensor give it to the current scope. A ct_dataset, a
 * ct_standardizer and a ct_loader belong to the caller until their free function; the tensors
 * inside are kept by them.
 *
 * Errors. Every file is taken as hostile: sizes are checked against the file before anything is
 * allocated. A message names the file, and the line and column where there are such. Functions with
 * out-parameters set them to empty when they fail. CT_EIO: the file cannot be read; CT_EFORMAT: it
 * is not what it claims to be.
 *
 * Threads. Different threads may use different objects; a dataset that nobody writes may be shared.
 */
#ifndef COTANGENT_DATASETS_H
#define COTANGENT_DATASETS_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- datasets -------------------------------------------------------------------------------- */

/* Texts, all in one block. */
typedef struct ct_names {
  int n;
  const char *const *at;
  size_t bytes; /* of the block */
} ct_names;

/* Examples and their labels. Row i of x has label i. A program may also fill one by hand: then it
 * frees by hand. */
typedef struct ct_dataset {
  ct_tensor *x;      /* u8 (n, h, w) or (n, h, w, 3), or f32 (n, features); contiguous */
  ct_tensor *labels; /* i32 (n), from 0 to classes.n - 1; NULL if there are none */
  ct_names classes;  /* what the labels mean */
  ct_names columns;  /* names of the features; only CSV files have them */
} ct_dataset;

/* Releases what d owns and empties it; NULL is fine. */
CT_API void ct_dataset_free(ct_dataset *d);

/* The 1,797 real handwritten digits in the library: u8 (1297, 8, 8) and (500, 8, 8), ten classes.
 * See datasets/digits/README.md for where they come from. */
CT_API ct_status ct_dataset_digits(ct_dataset *train, ct_dataset *test);

/* MNIST's four files, plain or gzipped, under their published names in dir; also the many sets in
 * the same format. Files are read at the same time, as far as there are threads; a gzipped one
 * holds less than 4 GiB in one member. */
CT_API ct_status ct_dataset_mnist(ct_dataset *train, ct_dataset *test, const char *dir);

/* One pair of idx files, plain or gzipped: u8 images (n, ...) and u8 labels (n). */
CT_API ct_status ct_dataset_idx(ct_dataset *out, const char *images, const char *labels);

typedef struct ct_folder_opts {
  int channels;          /* 1 grey, 3 red green blue; 0 means 1 */
  int64_t height, width; /* every image is resized to this; 0 means that all must have one size */
} ct_folder_opts;

/* PNG and JPEG images: each sub-folder of dir is a class, in the order of strcmp, as are the files
 * in it. Other files and names that begin with a dot are skipped. */
CT_API ct_status ct_dataset_folder(ct_dataset *out, const char *dir, ct_folder_opts opts);

typedef struct ct_csv_opts {
  const char *label;  /* name of the column with the labels */
  int label_column;   /* without a name: its number, 1 the first, -1 the last, 0 no labels */
  char delimiter;     /* 0 means ',' */
  bool no_header;     /* the first line is data already */
  bool allow_missing; /* an empty field, NA, N/A, NaN, null or ? becomes NaN instead of an error */
  const ct_dataset
      *like; /* classes as in this dataset, so that test labels mean what training labels do */
} ct_csv_opts;

/* A table of numbers: x is f32 (rows, columns without the label). The labels are any texts, sorted
 * (by value if all are numbers) and counted from 0. Fields may be quoted, lines end in LF or CRLF,
 * empty lines are skipped; numbers have a decimal point whatever the locale. */
CT_API ct_status ct_dataset_csv(ct_dataset *out, const char *path, ct_csv_opts opts);

/* Examples in each class into out[0..n), n = d->classes.n. */
CT_API ct_status ct_dataset_counts(int64_t *out, int n, const ct_dataset *d);

/* A copy of the rows index[0..n) of d, in that order, repeats allowed. out may not be d. CT_EINDEX.
 */
CT_API ct_status ct_dataset_subset(ct_dataset *out, const ct_dataset *d, const int32_t *index,
                                   int64_t n);

/* A copy of d in an order that depends on seed only. */
CT_API ct_status ct_dataset_shuffle(ct_dataset *out, const ct_dataset *d, uint64_t seed);

typedef struct ct_split_opts {
  uint64_t seed;
  bool stratified; /* every class is split by the fraction */
} ct_split_opts;

/* Shuffles d and puts the given fraction (0 to 1, rounded to whole examples) into second, the rest
 * into first. */
CT_API ct_status ct_dataset_split(ct_dataset *first, ct_dataset *second, const ct_dataset *d,
                                  double fraction, ct_split_opts opts);

/* ---- standardisation ------------------------------------------------------------------------- */

/* y = (x - mean) * scale. Fitted to training data and used on all data. */
typedef struct ct_standardizer {
  ct_tensor *mean, *scale; /* f32, 0-d or (features); kept */
} ct_standardizer;

/* Mean and 1 / deviation of x (u8 or f32, (n, ...)): of all its elements together, or of each
 * feature. NaN and infinities are left out; a deviation of zero gives scale 1. */
CT_API ct_status ct_standardizer_fit(ct_standardizer *out, const ct_tensor *x, bool per_feature);
CT_API void ct_standardizer_free(ct_standardizer *s);
/* The standardised x: f32, x's shape; its size must be a multiple of the number of features. */
CT_API ct_tensor *ct_standardize(const ct_standardizer *s, const ct_tensor *x);

/* ---- batches --------------------------------------------------------------------------------- */

typedef struct ct_loader ct_loader;

typedef struct ct_loader_opts {
  int64_t batch;   /* examples in a batch; 0 means 32 */
  bool shuffle;    /* a new order in each epoch, a function of seed and epoch only */
  uint64_t seed;   /* of the order */
  bool drop_last;  /* leave out a last batch that is not full */
  bool keep_shape; /* (batch, h, w) instead of (batch, features) */
  const ct_standardizer *standardizer; /* copied; NULL means x / 255 for u8, x as it is for f32 */
} ct_loader_opts;

/* A source of batches of d, whose tensors it keeps; NULL on failure. */
CT_API ct_loader *ct_loader_new(const ct_dataset *d, ct_loader_opts opts);
CT_API void ct_loader_free(ct_loader **loader); /* stores NULL */

/* The next batch: x is f32 (batch, features), labels i32 (batch), or nil if the dataset has none.
 * Both belong to the loader, which writes the next batch into the same memory: what was recorded
 * with the old values is CT_ESTALE from then on. False at the end of an epoch; the next call begins
 * the next one. Does not fail, except on a NULL. */
CT_API bool ct_loader_next(ct_loader *loader, ct_tensor **x, ct_tensor **labels);

CT_API int64_t ct_loader_batches(const ct_loader *loader); /* in an epoch; 0 for NULL */
/* Continues as if all before this epoch and batch (both from 0) had been read. */
CT_API ct_status ct_loader_seek(ct_loader *loader, int64_t epoch, int64_t batch);

/* ---- files of one tensor --------------------------------------------------------------------- */

CT_API ct_tensor *ct_idx_read(const char *path); /* idx of unsigned bytes, plain or gzipped: u8 */

/* NumPy's format, versions 1 to 3, little-endian: f4 f8 i4 u1 b1 as they are, i8 as i32 if every
 * value fits, Fortran order made contiguous. Writing takes any dtype and any strides, and is
 * atomic. */
CT_API ct_tensor *ct_npy_read(const char *path);
CT_API ct_status ct_npy_write(const char *path, const ct_tensor *t);

/* ---- images ---------------------------------------------------------------------------------- */

/* A PNG or JPEG file: u8 (h, w) for 1 channel (grey) or (h, w, 3) for 3; what is transparent
 * becomes white. At most 2^14 pixels each way and 2^26 in all. */
CT_API ct_tensor *ct_image_load(const char *path, int channels);
/* image, u8 (h, w) or (h, w, c), as (height, width): each pixel the mean of the area that it
 * covers. */
CT_API ct_tensor *ct_image_resize(const ct_tensor *image, int64_t height, int64_t width);
/* A grey image (h, w) as MNIST would have it, (size, size): bright ink on black, cropped, fitted by
 * area into a box of 20/28 of size (below 16 pixels: all of it, as in the embedded digits) and
 * centred by mass. No ink gives zeros. */
CT_API ct_tensor *ct_image_like_mnist(const ct_tensor *image, int64_t size);
/* Writes u8 (h, w) or (h, w, 3), any strides, atomically. */
CT_API ct_status ct_image_write_png(const char *path, const ct_tensor *image);

#ifdef __cplusplus
}
#endif
#endif
