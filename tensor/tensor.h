/* tensor.h - strided tensors: storage, shapes, views, lifetime, errors.
 *
 * Ownership. A function that returns a ct_tensor gives it to the current scope of the calling
 * thread, which releases it when the scope ends; ct_keep and ct_release are for what outlives its
 * scope. Nested calls need no frees.
 *
 * Errors. No function that returns a tensor returns NULL: on failure it returns the nil tensor, and
 * any operation on nil returns nil. The first error of a thread is kept until ct_error_clear, so
 * that it names the operation that failed, not one that met its nil. Functions that return no
 * tensor return a ct_status, and a failure of their own replaces an older one. The library never
 * ends its host and never prints unasked.
 *
 * Threads. Any number of threads may use the library on their own tensors; reference counts are
 * atomic. A tensor that is handed to another thread is kept first. Scopes, errors and free lists
 * belong to one thread.
 */
#ifndef COTANGENT_TENSOR_H
#define COTANGENT_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
#include <initializer_list>
#endif

#if defined(__GNUC__)
#define CT_API               __attribute__((visibility("default")))
#define CT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CT_API
#define CT_PRINTF(fmt, args)
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define CT_VERSION_MAJOR 0
#define CT_VERSION_MINOR 1
#define CT_VERSION_PATCH 0

/* "major.minor.patch" of the library that is linked. */
CT_API const char *ct_version(void);

/* ---- errors ---------------------------------------------------------------------------------- */

#define CT_STATUS_LIST(X)                                                                          \
  X(OK, 0, "no error")                                                                             \
  X(ENOMEM, -1, "out of memory")                                                                   \
  X(EARG, -2, "invalid argument")                                                                  \
  X(ESHAPE, -3, "shapes do not fit")                                                               \
  X(EDTYPE, -4, "dtypes do not fit")                                                               \
  X(EINDEX, -5, "index out of range")                                                              \
  X(ESIZE, -6, "too large")                                                                        \
  X(ENIL, -7, "nil tensor")                                                                        \
  X(ESTALE, -8, "value overwritten")                                                               \
  X(ERECORD, -9, "not recorded")                                                                   \
  X(ENORULE, -10, "no derivative rule")                                                            \
  X(ENOVALUE, -11, "no value yet")                                                                 \
  X(ESCOPE, -12, "stale scope")                                                                    \
  X(EIO, -13, "input or output failed")                                                            \
  X(EFORMAT, -14, "malformed file")                                                                \
  X(ECHECK, -15, "check failed")

typedef enum ct_status {
#define CT_STATUS_ENUM(name, value, text) CT_##name = value,
  CT_STATUS_LIST(CT_STATUS_ENUM)
#undef CT_STATUS_ENUM
} ct_status;

CT_API ct_status ct_error_code(void); /* the pending error of this thread, CT_OK if none */
/* its text, "" if none; valid until the next error or clear */
CT_API const char *ct_error_message(void);
CT_API void ct_error_clear(void);             /* forgets it */
CT_API void ct_error_print(FILE *out);        /* "error: <text>\n", nothing if none is pending */
CT_API const char *ct_status_text(ct_status); /* what the code means, in a few words */

/* Reports a failure of the caller's own: keeps the text if no error is pending, and returns the
 * code. Every error of the library passes through one internal twin of it, ct__fail: the place for
 * a breakpoint. */
CT_API ct_status ct_error_set(ct_status code, const char *format, ...) CT_PRINTF(2, 3);

/* ---- types ----------------------------------------------------------------------------------- */

typedef enum ct_dtype { CT_F32, CT_F64, CT_I32, CT_U8, CT_BOOL } ct_dtype;
#define CT_DTYPES 5

CT_API size_t ct_dtype_size(ct_dtype);      /* bytes of one element, 0 for an unknown dtype */
CT_API const char *ct_dtype_name(ct_dtype); /* "f32", ... */
CT_API bool ct_dtype_is_float(ct_dtype);

#define CT_MAX_DIMS 8

/* Extents of a tensor, outermost first; n == 0 is a scalar. */
typedef struct ct_shape {
  int n;
  int64_t dim[CT_MAX_DIMS];
} ct_shape;

/* A value together with the recipe that made it. Opaque, reference counted, immutable once made. */
typedef struct ct_tensor ct_tensor;

/* Tensors passed together: borrowed, never owned. */
typedef struct ct_list {
  int n;
  ct_tensor *const *at;
} ct_list;

/* A place for numbers as kernels see it: strides in elements (zero and negative allowed), data at
 * element 0. */
typedef struct ct_view {
  char *data;
  int64_t size; /* number of elements: the product of dim */
  ct_dtype dtype;
  int ndim;
  bool contiguous; /* row-major without gaps */
  int64_t dim[CT_MAX_DIMS];
  int64_t stride[CT_MAX_DIMS];
} ct_view;

/* n > CT_MAX_DIMS gives a shape that every function refuses. */
CT_API ct_shape ct_shape_make(size_t n, const int64_t *dim);
CT_API bool ct_shape_equal(ct_shape a, ct_shape b);

#ifdef __cplusplus
} /* a compound literal is not C++: the same macros over std::initializer_list */
static inline ct_shape ct_shape_init(std::initializer_list<int64_t> dim) {
  return ct_shape_make(dim.size(), dim.begin());
}
struct ct_list_init {
  ct_list list;
  ct_list_init(const std::initializer_list<ct_tensor *> &t) : list() {
    list.n = static_cast<int>(t.size());
    list.at = t.begin();
  }
};
#define CT_SHAPE(...) ct_shape_init({__VA_ARGS__})
/* lives until the end of the full expression, as a call needs */
#define CT_LIST(...) (ct_list_init({__VA_ARGS__}).list)
#define CT_NONE      (ct_list())
#define CT_SCALAR    (ct_shape())
extern "C" {
#else
#define CT_SHAPE(...)                                                                              \
  ct_shape_make(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (const int64_t[]){__VA_ARGS__})
#define CT_LIST(...)                                                                               \
  ((ct_list){(int)(sizeof((ct_tensor *[]){__VA_ARGS__}) / sizeof(ct_tensor *)),                    \
             (ct_tensor *const[]){__VA_ARGS__}})
#define CT_NONE   ((ct_list){0, NULL})
#define CT_SCALAR ((ct_shape){0, {0}})
#endif

/* ---- scopes and lifetime --------------------------------------------------------------------- */

/* A mark in the stack of scopes of this thread. */
typedef struct ct_scope {
  uint64_t serial;
  int depth;
} ct_scope;

#define CT_NO_RECORD 1u /* results are constants: nothing is recorded until the scope ends */

CT_API ct_scope ct_scope_begin(void);
CT_API ct_scope ct_scope_begin_with(unsigned flags);
/* Releases everything the scope and the scopes left open inside it own. CT_ESCOPE for a mark that
 * has ended already. */
CT_API ct_status ct_scope_end(ct_scope mark);
/* Ends the scope and hands t to the parent scope; returns t. */
CT_API ct_tensor *ct_scope_return(ct_scope mark, ct_tensor *t);

/* Adds a reference that no scope owns; returns t. Undone by ct_release. */
CT_API ct_tensor *ct_keep(ct_tensor *t);
/* Gives back a kept tensor and stores NULL; NULL and nil are fine. */
CT_API void ct_release(ct_tensor **t);

/* Freed nodes and buffers are reused from lists of the thread, at most this many bytes (default 512
 * MiB). */
CT_API void ct_cache_limit(size_t bytes);
CT_API void ct_cache_flush(void); /* returns this thread's lists to the system */

/* ---- queries --------------------------------------------------------------------------------- */

CT_API ct_tensor *ct_nil(void);
CT_API bool ct_is_nil(const ct_tensor *t); /* true for NULL too */
CT_API ct_dtype ct_dtype_of(const ct_tensor *t);
CT_API int ct_ndim(const ct_tensor *t);
CT_API int64_t ct_size(const ct_tensor *t); /* number of elements */
/* -1 is the last axis; -1 is returned for a bad axis */
CT_API int64_t ct_dim(const ct_tensor *t, int axis);
CT_API int64_t ct_stride(const ct_tensor *t, int axis); /* in elements; 0 for a bad axis */
CT_API ct_shape ct_shape_of(const ct_tensor *t);
CT_API bool ct_has_value(const ct_tensor *t);     /* false while symbolic, and for nil */
CT_API bool ct_is_contiguous(const ct_tensor *t); /* row-major without gaps */

/* ---- reading --------------------------------------------------------------------------------- */

/* The only element of t as a double. CT_ESHAPE if there is not exactly one. */
CT_API ct_status ct_item(const ct_tensor *t, double *out);
/* All elements of t in row-major order, in t's dtype; bytes is the size of dst and must be exact.
 */
CT_API ct_status ct_copy_out(const ct_tensor *t, void *dst, size_t bytes);
/* The elements in place; NULL and an error unless t is contiguous. Valid while t lives; not to be
 * written through. */
CT_API const void *ct_data(const ct_tensor *t);

typedef struct ct_print_opts {
  int precision;     /* digits after the point; 0 means 4 */
  int edge;          /* items shown at each end of a long axis; 0 means 3 */
  int64_t threshold; /* elements above which the middle is left out; 0 means 1000 */
} ct_print_opts;

/* Prints t with NumPy-like layout, then its shape and dtype. */
CT_API ct_status ct_print(FILE *out, const ct_tensor *t);
/* The same as text, always terminated; returns the length it wants, as snprintf does, or a negative
 * ct_status. */
CT_API int64_t ct_to_string(char *text, size_t size, const ct_tensor *t, ct_print_opts opts);

/* ---- creation -------------------------------------------------------------------------------- */

/* All return contiguous tensors that are not recorded. Errors: CT_EARG, CT_ESIZE, CT_ENOMEM,
 * CT_EDTYPE (a fractional value on an integer dtype). */
CT_API ct_tensor *ct_empty(ct_dtype, ct_shape); /* values undefined */
CT_API ct_tensor *ct_zeros(ct_dtype, ct_shape);
CT_API ct_tensor *ct_ones(ct_dtype, ct_shape);
CT_API ct_tensor *ct_full(ct_dtype, ct_shape, double value);
CT_API ct_tensor *ct_scalar(ct_dtype, double value); /* 0-d */
/* start + i step, before stop */
CT_API ct_tensor *ct_arange(ct_dtype, double start, double stop, double step);
/* n points, both ends included */
CT_API ct_tensor *ct_linspace(ct_dtype, double start, double stop, int64_t n);
CT_API ct_tensor *ct_eye(ct_dtype, int64_t rows, int64_t columns); /* ones on the main diagonal */
CT_API ct_tensor *ct_from(ct_dtype, ct_shape, const void *data);   /* copies row-major data */

typedef struct ct_wrap_opts {
  const int64_t *stride; /* in elements, one per dimension; NULL means row-major */
  bool read_only;        /* ct_assign refuses it */
  /* called once, when the last view is gone; never if ct_wrap fails */
  void (*release)(void *payload);
  void *payload;
} ct_wrap_opts;

/* A tensor over the caller's memory, which must outlive it and be aligned for dtype; data is
 * element 0. Nothing is copied. After writing to the memory call ct_touch. */
CT_API ct_tensor *ct_wrap(ct_dtype, ct_shape, void *data, ct_wrap_opts opts);
/* Says that the memory behind t was written: t stays usable, all recorded uses of the old values
 * become CT_ESTALE. */
CT_API ct_status ct_touch(ct_tensor *t);

/* ---- kernels --------------------------------------------------------------------------------- */

/* An inner loop, NumPy's contract: n elements, one pointer and one stride (in elements) for each
 * operand, inputs first and the output last; attr is the operation's attribute block. */
typedef void ct_loop(int64_t n, char *const *p, const int64_t *stride, const void *attr);

/* Runs loop over all elements of out; at most 5 inputs, which must broadcast to it. Dimensions are
 * collapsed first; when everything is contiguous that is one call, and short lines are joined:
 * where inputs repeat or skip, the loop then sees a copy of their elements. Large work is cut into
 * pieces, on several threads at once (ct_set_threads): a loop writes nothing but its output
 * elements. out may be one of the inputs exactly, but not overlap otherwise. For the kernels of a
 * user's own operations. */
CT_API void ct_map(int n_in, const ct_view *const *in, ct_view *out, ct_loop *loop,
                   const void *attr);

/* ---- threads and processors ------------------------------------------------------------------ */

/* Threads that large operations are cut up for, the calling one included, for the whole process.
 * Results have the same bits for every number. At first that of the environment variable
 * CT_NUM_THREADS, if it is from 1 to 256, else as many as there are processors for this process.
 * Fewer run if the system gives no more. CT_EARG unless 1 <= n <= 256, and inside a kernel. */
CT_API ct_status ct_set_threads(int n);
CT_API int ct_threads(void);

/* ---- random numbers -------------------------------------------------------------------------- */

/* Philox 4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011): ten rounds
 * on a 128-bit counter under a 64-bit key; out may be counter. */
CT_API void ct_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#ifdef __cplusplus
}
#endif
#endif
