/* gemm.c - matrix products of any strides over OpenBLAS.
 *
 * OpenBLAS prints or ends the process on arguments it dislikes, so every one is checked here before
 * it sees them, and what it cannot express (zero or negative strides, extents beyond int) takes a
 * packed copy or the plain loops.
 */
#include "tensor_internal.h"

#include <cblas.h>
#include <limits.h>
#include <stdlib.h>

/* ---- threads --------------------------------------------------------------------------------- */

static atomic_int blas_once;

/* One owner of threads: small products lose by OpenBLAS's pool, and one thread gives the same bits
 * everywhere. The first product also makes OpenBLAS take its buffers, while a failure can still be
 * told apart. */
static void blas_start(void) {
  const char *threads = getenv("CT_BLAS_THREADS");
  if (!threads || strcmp(threads, "keep") != 0) openblas_set_num_threads(1);
}

/* ---- operands -------------------------------------------------------------------------------- */

/* A matrix as BLAS wants it: unit stride along one axis, `ld` along the other. */
typedef struct operand {
  const char *data;
  bool transposed; /* columns are the contiguous axis */
  int ld;
  void *packed;
  size_t bytes;
} operand;

static bool readable(const ct_view *v, operand *o) {
  int64_t rows = v->dim[0], columns = v->dim[1];
  int64_t rs = rows == 1 ? columns : v->stride[0], cs = columns == 1 ? 1 : v->stride[1];
  o->data = v->data;
  o->packed = NULL;
  if (cs == 1 && rs >= columns && rs <= INT_MAX) {
    o->transposed = false;
    o->ld = (int)rs;
    return true;
  }
  rs = rows == 1 ? 1 : v->stride[0];
  cs = columns == 1 ? rows : v->stride[1];
  if (rs == 1 && cs >= rows && cs <= INT_MAX) {
    o->transposed = true;
    o->ld = (int)cs;
    return true;
  }
  return false;
}

static ct_status prepare(const ct_view *v, operand *o) {
  if (readable(v, o)) return CT_OK;
  ct_view copy = {0};
  ct__view_set(&copy, v->dtype, 2, v->dim);
  o->bytes = (size_t)v->size * ct_dtype_size(v->dtype);
  o->packed = copy.data = ct__alloc(o->bytes);
  if (!copy.data) return CT_ENOMEM;
  ct__copy(v, &copy);
  o->data = copy.data;
  o->transposed = false;
  o->ld = (int)v->dim[1];
  return CT_OK;
}

static void dispose(operand *o) {
  if (o->packed) ct__free(o->packed, o->bytes);
}

/* ---- the plain loops ------------------------------------------------------------------------- */

#define PLAIN_GEMM(name, T)                                                                        \
  static void name(T alpha, const ct_view *a, const ct_view *b, T beta, const ct_view *c) {        \
    const T *pa = (const T *)(const void *)a->data, *pb = (const T *)(const void *)b->data;        \
    T *pc = (T *)(void *)c->data;                                                                  \
    for (int64_t i = 0; i < c->dim[0]; i++)                                                        \
      for (int64_t j = 0; j < c->dim[1]; j++) {                                                    \
        T sum = 0, *out = pc + i * c->stride[0] + j * c->stride[1];                                \
        for (int64_t k = 0; k < a->dim[1]; k++)                                                    \
          sum +=                                                                                   \
              pa[i * a->stride[0] + k * a->stride[1]] * pb[k * b->stride[0] + j * b->stride[1]];   \
        *out = beta == 0 ? alpha * sum : alpha * sum + beta * *out;                                \
      }                                                                                            \
  }
PLAIN_GEMM(plain_f32, float)
PLAIN_GEMM(plain_f64, double)

static void plain(double alpha, const ct_view *a, const ct_view *b, double beta, const ct_view *c) {
  if (c->dtype == CT_F32)
    plain_f32((float)alpha, a, b, (float)beta, c);
  else
    plain_f64(alpha, a, b, beta, c);
}

/* Outer products of the instruction set in use. */
#define OUTER_SET(isa) &ct__outer_##isa,
static const ct__outer *const outer_sets[] = {CT__ISA_LIST(OUTER_SET)};

/* ---- BLAS ------------------------------------------------------------------------------------ */

static CBLAS_TRANSPOSE flag(bool transposed) { return transposed ? CblasTrans : CblasNoTrans; }

/* y = alpha M x + beta y, or M^T x; increments in elements. */
static void gemv(ct_dtype dtype, double alpha, const operand *m, bool transpose,
                 const int64_t dim[2], const char *x, int x_inc, double beta, char *y, int y_inc) {
  /* M as it lies in memory, row-major. */
  int rows = (int)dim[m->transposed], columns = (int)dim[!m->transposed];
  CBLAS_TRANSPOSE t = flag(m->transposed != transpose);
  if (dtype == CT_F32)
    cblas_sgemv(CblasRowMajor, t, rows, columns, (float)alpha, (const float *)(const void *)m->data,
                m->ld, (const float *)(const void *)x, x_inc, (float)beta, (float *)(void *)y,
                y_inc);
  else
    cblas_dgemv(CblasRowMajor, t, rows, columns, alpha, (const double *)(const void *)m->data,
                m->ld, (const double *)(const void *)x, x_inc, beta, (double *)(void *)y, y_inc);
}

static void gemm(double alpha, const operand *a, const operand *b, double beta, const ct_view *c,
                 int k, int ldc) {
  int m = (int)c->dim[0], n = (int)c->dim[1];
  if (c->dtype == CT_F32)
    cblas_sgemm(CblasRowMajor, flag(a->transposed), flag(b->transposed), m, n, k, (float)alpha,
                (const float *)(const void *)a->data, a->ld, (const float *)(const void *)b->data,
                b->ld, (float)beta, (float *)(void *)c->data, ldc);
  else
    cblas_dgemm(CblasRowMajor, flag(a->transposed), flag(b->transposed), m, n, k, alpha,
                (const double *)(const void *)a->data, a->ld, (const double *)(const void *)b->data,
                b->ld, beta, (double *)(void *)c->data, ldc);
}

/* An increment BLAS takes for a vector of n elements at this stride; 0 if none. */
static int increment(int64_t n, int64_t stride) {
  if (n == 1) return 1;
  return stride > 0 && stride <= INT_MAX ? (int)stride : 0;
}

static ct_view transposed(const ct_view *v) {
  ct_view t = *v;
  t.dim[0] = v->dim[1];
  t.dim[1] = v->dim[0];
  t.stride[0] = v->stride[1];
  t.stride[1] = v->stride[0];
  return t;
}

/* One row times a matrix: C (1,n) = a (1,k) B (k,n). False if an increment does not suit BLAS. */
static bool row_product(double alpha, const ct_view *a, const operand *b, const ct_view *b_view,
                        double beta, const ct_view *c) {
  int x_inc = increment(a->dim[1], a->stride[1]), y_inc = increment(c->dim[1], c->stride[1]);
  if (!x_inc || !y_inc) return false;
  gemv(c->dtype, alpha, b, true, b_view->dim, a->data, x_inc, beta, c->data, y_inc);
  return true;
}

static ct_status product(double alpha, const ct_view *a, const ct_view *b, double beta,
                         ct_view *c) {
  operand oa = {0}, ob = {0}, oc = {0};
  ct_status status = prepare(b, &ob);
  bool done = false;
  if (status == CT_OK && c->dim[0] == 1) done = row_product(alpha, a, &ob, b, beta, c);
  if (status == CT_OK && !done) status = prepare(a, &oa);
  if (status == CT_OK && !done) {
    ct_view packed = *c;
    if (!readable(c, &oc) ||
        oc.transposed) { /* BLAS writes rows: through a copy where C has none */
      ct__view_set(&packed, c->dtype, 2, c->dim);
      oc.bytes = (size_t)c->size * ct_dtype_size(c->dtype);
      oc.packed = packed.data = ct__alloc(oc.bytes);
      oc.ld = (int)c->dim[1];
      if (!packed.data)
        status = CT_ENOMEM;
      else if (beta != 0)
        ct__copy(c, &packed);
    }
    if (status == CT_OK) {
      gemm(alpha, &oa, &ob, beta, &packed, (int)a->dim[1], oc.ld);
      if (oc.packed) ct__copy(&packed, c);
    }
  }
  dispose(&oa);
  dispose(&ob);
  dispose(&oc);
  return status;
}

/* Once C's rows are contiguous, or it is one row. */
static ct_status dispatch(double alpha, const ct_view *a, const ct_view *b, double beta,
                          ct_view *c) {
  if (a->dim[1] == 1 && c->dim[0] > 1 && c->stride[1] == 1) {
    if (c->dtype == CT_F32)
      outer_sets[ct__isa()]->f32((float)alpha, a, b, (float)beta, c);
    else
      outer_sets[ct__isa()]->f64(alpha, a, b, beta, c);
    return CT_OK;
  }
  return product(alpha, a, b, beta, c);
}

static bool fits_int(const ct_view *v) { return v->dim[0] <= INT_MAX && v->dim[1] <= INT_MAX; }

ct_status ct__gemm(double alpha, const ct_view *a, const ct_view *b, double beta, ct_view *c) {
  if (c->size == 0) return CT_OK;
  if (a->dim[1] == 0 || ct__reference() || !fits_int(a) || !fits_int(b)) {
    plain(alpha, a, b, beta, c);
    return CT_OK;
  }
  ct__once(&blas_once, blas_start);
  bool rows = c->dim[1] == 1 || c->stride[1] == 1;
  if (c->dim[1] == 1 ||
      (!rows && c->stride[0] == 1)) { /* C^T = B^T A^T has contiguous rows, or is one row */
    ct_view at = transposed(b), bt = transposed(a), ct = transposed(c);
    return dispatch(alpha, &at, &bt, beta, &ct);
  }
  return dispatch(alpha, a, b, beta, c);
}

ct_status ct__gemm_then(double alpha, const ct_view *a, const ct_view *b, double beta, ct_view *c,
                        bool whole_rows, ct__gemm_done *done, void *context) {
  (void)whole_rows;
  ct_status status = ct__gemm(alpha, a, b, beta, c);
  if (status == CT_OK && done && c->size > 0) done(context, 0, c->dim[0], 0, c->dim[1]);
  return status;
}
