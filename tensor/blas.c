/* blas.c - OpenBLAS, tamed.
 *
 * It is loaded when a product first wants it, since its start takes longer than that of everything
 * else and most small networks never need it. Where it is missing, our own kernels take all.
 *
 * It prints or ends the process on arguments it dislikes, so every one is checked before it sees
 * them. Each call inside it at a time needs a buffer of its own, which is mapped when first needed
 * and kept; it hangs when that fails and crashed with 200 at once. So whoever would need a new one
 * first tries whether there is memory for it, and otherwise waits for a buffer that is there.
 */
#define _GNU_SOURCE
#include "pool.h"

#include <cblas.h>
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { MOST_INSIDE = 64 };
/* OpenBLAS maps 128 MB at most, twice that in search of a better address. */
static const size_t buffer_bytes = (size_t)256 << 20;

static atomic_int inside;  /* calls at this time */
static atomic_int buffers; /* that are there */

/* ---- loading --------------------------------------------------------------------------------- */

#define FUNCTIONS(X)                                                                               \
  X(cblas_sgemm) X(cblas_dgemm) X(openblas_get_num_threads) X(openblas_set_num_threads)
#define POINTER(function) __typeof__(function) *function;
static struct { FUNCTIONS(POINTER) } blas;
#undef POINTER

static atomic_int looked;
static bool found, keep_threads; /* CT_BLAS_THREADS=keep: the host's own setting */

static bool find(void *library) {
  void *at;
  bool all = library;
#define FIND(function)                                                                             \
  at = all ? dlsym(library, #function) : NULL;                                                     \
  memcpy(&blas.function, &at, sizeof at);                                                          \
  all = at;
  FUNCTIONS(FIND)
#undef FIND
  return all;
}

static bool asks(const char *variable, const char *value) {
  const char *is = getenv(variable);
  return is && strcmp(is, value) == 0;
}

static void child_is_alone(void) { atomic_store(&inside, 0); }

/* The one that the host has loaded, if there is one. Otherwise it must not start threads: nobody
 * needs them, and where it cannot start them it ends the process. */
static void look(void) {
  const char *file = COTANGENT_OPENBLAS;
  if (asks("CT_BLAS", "none")) return;
  keep_threads = asks("CT_BLAS_THREADS", "keep");
  found = find(dlopen(NULL, RTLD_NOW)) ||
          find(keep_threads ? dlopen(file, RTLD_NOW) : ct__open_on_one_processor(file));
  if (found) pthread_atfork(NULL, NULL, child_is_alone);
}

/* Asked for each large product: the answer never changes, or the bits of results would. */
static bool is_there(void) {
  ct__once(&looked, look);
  return found;
}

/* ---- its buffers ----------------------------------------------------------------------------- */

static bool room_for_a_buffer(void) {
  void *p = mmap(NULL, buffer_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p != MAP_FAILED && munmap(p, buffer_bytes) == 0;
}

static void enter(void) {
  for (int n = atomic_load(&inside);;) {
    int there = atomic_load(&buffers);
    if (n < there || (n < MOST_INSIDE && room_for_a_buffer())) {
      if (!atomic_compare_exchange_weak(&inside, &n, n + 1)) continue;
      while (there < n + 1 && !atomic_compare_exchange_weak(&buffers, &there, n + 1)) continue;
      return;
    }
    sched_yield();
    n = atomic_load(&inside);
  }
}

/* One owner of threads: ours. The host may have set another number meanwhile. */
static void single_thread(void) {
  if (!keep_threads && blas.openblas_get_num_threads() != 1) blas.openblas_set_num_threads(1);
}

ct_status ct__blas_begin(void) {
  if (CT__LIKELY(atomic_load(&buffers) > 0)) return CT_OK;
  if (!room_for_a_buffer())
    return ct__fail(CT_ENOMEM, "out of memory (%zu bytes for OpenBLAS)", buffer_bytes);
  /* Large enough for its general kernels; the small ones take no buffer. */
  enum { N = 128 };
  float *warm = ct__alloc(3 * N * N * sizeof *warm);
  if (!warm) return CT_ENOMEM;
  memset(warm, 0, 3 * N * N * sizeof *warm);
  single_thread();
  blas.cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, N, N, N, 1, warm, N, warm + N * N, N, 0,
                   warm + 2 * N * N, N);
  ct__free(warm, 3 * N * N * sizeof *warm);
  int none = 0;
  atomic_compare_exchange_strong(&buffers, &none, 1);
  return CT_OK;
}

/* ---- products -------------------------------------------------------------------------------- */

/* Rows or columns are contiguous, the other step is at least their length. */
static bool takes(const ct__matrix *o, int64_t rows, int64_t columns) {
  bool by_rows = o->column == 1 && o->row >= columns && o->row <= INT_MAX;
  bool by_columns = o->row == 1 && o->column >= rows && o->column <= INT_MAX;
  return rows <= INT_MAX && columns <= INT_MAX && (by_rows || by_columns);
}

bool ct__blas_takes(const ct__product *p) {
  return p->c.column == 1 && takes(&p->a, p->m, p->k) && takes(&p->b, p->k, p->n) &&
         takes(&p->c, p->m, p->n) && is_there();
}

static char *at(const ct__matrix *o, ct_dtype dtype, int64_t row, int64_t column) {
  return o->data + (row * o->row + column * o->column) * (int64_t)ct__item_size(dtype);
}

void ct__blas_gemm(const ct__product *p, ct__part part, const void *packed) {
  (void)packed;
  bool a_t = p->a.column != 1, b_t = p->b.column != 1;
  CBLAS_TRANSPOSE ta = a_t ? CblasTrans : CblasNoTrans, tb = b_t ? CblasTrans : CblasNoTrans;
  int m = (int)part.rows, n = (int)part.columns, k = (int)p->k, ldc = (int)p->c.row;
  int lda = (int)(a_t ? p->a.column : p->a.row), ldb = (int)(b_t ? p->b.column : p->b.row);
  const void *a = at(&p->a, p->dtype, part.row, 0), *b = at(&p->b, p->dtype, 0, part.column);
  void *c = at(&p->c, p->dtype, part.row, part.column);
  enter();
  single_thread();
  if (p->dtype == CT_F32)
    blas.cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, (float)p->alpha, a, lda, b, ldb, p->add, c,
                     ldc);
  else
    blas.cblas_dgemm(CblasRowMajor, ta, tb, m, n, k, p->alpha, a, lda, b, ldb, p->add, c, ldc);
  atomic_fetch_sub(&inside, 1);
}
