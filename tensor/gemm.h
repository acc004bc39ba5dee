/* gemm.h - matrix products: what the library may ask for, and the kernels behind it. */
#ifndef COTANGENT_GEMM_H
#define COTANGENT_GEMM_H

#include "tensor.h"

/* C = alpha A B + beta C for matrices of any stride (f32 or f64, checked by the caller: (m,k) (k,n)
 * (m,n)); C overlaps neither. As in BLAS, C is not read when beta is 0, A and B are not when alpha
 * is 0. CT_ENOMEM if there is no memory for a packed copy; C is as it was then. */
ct_status ct__gemm(double alpha, const ct_view *a, const ct_view *b, double beta, ct_view *c);

/* How products of these shapes and strides are done: for who has the same one many times, since
 * the choice takes longer than a small product. */
typedef struct ct__gemm_plan ct__gemm_plan;
void ct__gemm_plan_set(ct__gemm_plan *plan, const ct_view *a, const ct_view *b, const ct_view *c);
/* Bytes to pack into; makes OpenBLAS ready if the product goes there. SIZE_MAX after an error. */
size_t ct__gemm_work(const ct__gemm_plan *plan);

/* Called when a block of C is done, while it is in cache: rows [row, row + rows), columns [column,
 * column + columns). The blocks partition C and depend on the shape only, except that one thread
 * may take all at once. May be called from several threads at once. */
typedef void ct__gemm_done(void *context, int64_t row, int64_t rows, int64_t column,
                           int64_t columns);
/* The same product, to the bit, by that plan, or by a new one if it is NULL or for other shapes or
 * strides; done, if not NULL, is called for each block of C, for none after an error. work is
 * memory to pack into, 64-byte aligned: with as much as the plan wants it cannot fail. NULL: it
 * allocates what it wants itself. */
ct_status ct__gemm_run(const ct__gemm_plan *plan, void *work, double alpha, const ct_view *a,
                       const ct_view *b, double beta, ct_view *c, ct__gemm_done *done,
                       void *context);

/* What a product is given to: the choice by shape, or for tests and benchmarks always one side.
 * OpenBLAS takes no layout that it cannot express. */
typedef enum ct__gemm_by { CT__BY_SHAPE, CT__BY_KERNELS, CT__BY_BLAS } ct__gemm_by;
ct__gemm_by ct__gemm_prefer(ct__gemm_by by); /* for this thread; returns what it was */
/* "tiles", "dots", "outer" or "OpenBLAS" */
const char *ct__gemm_name(const ct_view *a, const ct_view *b, const ct_view *c);

/* ---- one product ----------------------------------------------------------------------------- */

/* A matrix in memory; strides in elements. */
typedef struct ct__matrix {
  char *data;
  int64_t row, column;
} ct__matrix;

/* C (m,n) = alpha A (m,k) B (k,n), added to C or in its place; no extent is 0. */
typedef struct ct__product {
  ct_dtype dtype;
  bool add;
  bool leaves; /* rows of B that meet a 0, if A is one row: they are finite */
  int64_t m, n, k;
  ct__matrix a, b, c;
  double alpha;
} ct__product;

/* A part of C. */
typedef struct ct__part {
  int64_t row, rows, column, columns;
} ct__part;

/* ---- kernels (kernels/gemm_of_type.c) -------------------------------------------------------- */

/* Rows of B to one piece of a sum: a panel of so many stays in the second cache. All pieces but the
 * last are whole units. */
enum { CT__GEMM_DEPTH = 400, CT__GEMM_DEPTH_UNIT = 16 };

/* Computes a block of C; its columns begin at a multiple of the panel. */
typedef void ct__gemm_kernel(const ct__product *p, ct__part block, const void *packed);

/* Those of one dtype. */
typedef struct ct__gemm_set {
  int lane_bits;                   /* the binary logarithm of the elements of a vector */
  int64_t rows, panel, wide_panel; /* of two tiles; of one, the last if m is 1 */
  int64_t least_depth;             /* rows of B as they are packed */
  ct__gemm_kernel *tiles;          /* any strides; some panels of B may have to be packed */
  ct__gemm_kernel *dots;           /* a.column and b.row are 1: sums along contiguous memory */
  ct__gemm_kernel *outer;          /* k, b.column and c.column are 1 */
  /* Blocks of few columns and many rows suit tiles. */
  bool (*down)(const ct__product *p);
  /* Columns of B or rows of A, each of k elements, that tiles want in `packed`: 0 if both are read
   * where they lie. */
  int64_t (*packed_lines)(const ct__product *p);
  /* In so many steps: packs some of them. */
  int64_t (*units)(const ct__product *p);
  void (*pack)(const ct__product *p, int64_t from, int64_t to, void *packed);
} ct__gemm_set;

#define CT__GEMM_OF(isa) extern const ct__gemm_set ct__gemm_f32_##isa, ct__gemm_f64_##isa;

/* ---- plans ----------------------------------------------------------------------------------- */

struct ct__gemm_plan {
  ct__product p; /* C = A B or, transposed, C^T = B^T A^T; without memory, alpha and add */
  bool transposed;
  const ct__gemm_set *set;
  ct__gemm_kernel *kernel;
  double cost;
  int64_t grain[2], pieces[2]; /* of the rows and columns of C: steps of a cut, and blocks */
  ct__part whole;              /* the only one, if there is one */
  int64_t depths;              /* parts of k, one after another */
  int64_t bytes;               /* to pack one of them into, -1 if they cannot be counted */
  int64_t key[11];             /* what it was made for */
};

/* ---- OpenBLAS (blas.c) ----------------------------------------------------------------------- */

/* It can express these strides and extents. */
bool ct__blas_takes(const ct__product *p);
/* Before the first call, and cheap afterwards; CT_ENOMEM if there is no memory for its buffers. */
ct_status ct__blas_begin(void);
void ct__blas_gemm(const ct__product *p, ct__part block, const void *packed);

#endif
