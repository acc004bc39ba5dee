/* datasets_internal.h - what the files of this folder share. */
#ifndef COTANGENT_DATASETS_INTERNAL_H
#define COTANGENT_DATASETS_INTERNAL_H

#include "datasets.h"
#include "tensor_internal.h"

/* ---- reading (source.c) ---------------------------------------------------------------------- */

/* A file, or bytes in memory; `who` and `name` begin every message about it. */
typedef struct ct__source {
  const char *who, *name;
  FILE *file;                  /* NULL for memory */
  const unsigned char *memory; /* not owned */
  int64_t size, at;
} ct__source;

/* Opens a regular file and finds its size; an empty file is an error. */
ct_status ct__source_open(ct__source *s, const char *who, const char *path);
void ct__source_memory(ct__source *s, const char *who, const char *name, const void *data,
                       size_t size);
void ct__source_close(ct__source *s);
/* The next n bytes, or an error that says where the file ends. */
ct_status ct__source_read(ct__source *s, void *dst, size_t n);
/* All bytes and a zero after them, in a block of *size + 1 for ct__free. */
ct_status ct__source_all(ct__source *s, char **data, size_t *size);
/* A tensor for what s holds, as ct__dataset_tensor makes it; the error names the file. */
ct_tensor *ct__source_tensor(const ct__source *s, ct_dtype dtype, int ndim, const int64_t *dim);
bool ct__file_exists(const char *path);

/* The names in a folder that do not begin with a dot, in the order of strcmp. */
ct_status ct__folder_list(ct_names *out, const char *who, const char *dir);

/* ---- idx.c ----------------------------------------------------------------------------------- */

/* The tensor in s, plain or gzipped: NULL on failure, else one reference that no scope owns. */
ct_tensor *ct__idx_read(ct__source *s);

/* ---- names (dataset.c) ----------------------------------------------------------------------- */

ct_status ct__names_copy(ct_names *out, int n, const char *const *at);
ct_status ct__names_numbers(ct_names *out, int n); /* "0" to "n-1" */
void ct__names_free(ct_names *names);

/* ---- datasets (dataset.c) -------------------------------------------------------------------- */

/* CT_OK if d can be used as documented: live values, dtypes, shapes and layout. */
ct_status ct__dataset_check(const char *who, const ct_dataset *d);
/* A tensor that no scope owns; NULL and a named error on failure. */
ct_tensor *ct__dataset_tensor(const char *who, ct_dtype dtype, int ndim, const int64_t *dim);
/* The random key of a seed for one use of it. */
void ct__seed_key(uint64_t seed, int32_t use, int32_t key[4]);
enum { CT__SEED_SHUFFLE = 1, CT__SEED_LOADER = 2 };

/* CT_OK if x is a contiguous live u8 or f32 value of at least min_ndim dimensions. */
ct_status ct__features_check(const char *who, const ct_tensor *x, int min_ndim);
/* y = (x - mean) * scale over n numbers, all f32 but x; one mean and scale, or one for each. */
typedef void ct__row_loop(const void *x, const float *mean, const float *scale, float *y,
                          int64_t n);
/* For x of this dtype, u8 or f32, with the instruction set in use. */
ct__row_loop *ct__row_loop_for(ct_dtype dtype, bool each);

/* The loops, for each instruction set (kernels/rows.c). */
typedef struct ct__row_loops {
  ct__row_loop *standardize[2][2]; /* [u8, f32][one mean, each its own] */
  void (*sums_u8)(const unsigned char *x, int64_t n, uint32_t *sum, uint32_t *squares);
} ct__row_loops;
#define CT__ROW_LOOPS_OF(isa) extern const ct__row_loops ct__row_loops_##isa;
CT__ISA_LIST(CT__ROW_LOOPS_OF)
/* CT_OK if s fits rows of `size` numbers; its own number of features into *features. */
ct_status ct__standardizer_check(const char *who, const ct_standardizer *s, int64_t size,
                                 int64_t *features);

/* ---- images (image.c, stb.c) ----------------------------------------------------------------- */

/* The image in s, (h, w) or (h, w, 3): NULL on failure, else one reference that no scope owns. */
ct_tensor *ct__image_read(ct__source *s, int channels);
/* dst (dh, dw, c) from src (sh, sw, c), both u8 and contiguous, by area. CT_ENOMEM. */
ct_status ct__resize_area(const uint8_t *src, int64_t sh, int64_t sw, uint8_t *dst, int64_t dh,
                          int64_t dw, int64_t c);

/* stb_image. Info comes first: it refuses files that Load must not see. Load gives `channels` bytes
 * a pixel, freed by ct__stb_free. Both give CT_EFORMAT or CT_ENOMEM and set no error; Load a reason
 * in *why. */
ct_status ct__stb_info(const unsigned char *data, int size, int *width, int *height);
ct_status ct__stb_load(const unsigned char *data, int size, int channels, unsigned char **pixels,
                       const char **why);
void ct__stb_free(unsigned char *pixels);

/* ---- the embedded digits, made by the build -------------------------------------------------- */

extern const unsigned char ct__digits_train_images_gz[], ct__digits_train_labels_gz[];
extern const unsigned char ct__digits_test_images_gz[], ct__digits_test_labels_gz[];
extern const size_t ct__digits_train_images_gz_size, ct__digits_train_labels_gz_size;
extern const size_t ct__digits_test_images_gz_size, ct__digits_test_labels_gz_size;

#endif
