/* sweep_of_type.c - the kernels of sweep.h. Compiled once for each instruction set and float type
 * T. The compiler may contract a product and a sum here: there is one way to do it.
 */
#include "../../../tensor/vectors.h"
#include "../sweep.h"

/* Rows that share what is read of a vector, sums of each that do not wait for each other, and rows
 * that are listed at a time. Lines of far memory come and go faster in halves. */
enum { ROWS = 4, SUMS = 2, AT_A_TIME = 64, LINE_BYTES = VECTOR_BYTES < 32 ? VECTOR_BYTES : 32 };

typedef T LINE __attribute__((vector_size(LINE_BYTES)));
typedef T IN_MEMORY __attribute__((vector_size(LINE_BYTES), aligned(sizeof(T)), may_alias));

#define READ(p)  (*(const IN_MEMORY *)(p))
#define WRITE(p) (*(IN_MEMORY *)(p))
#define STEP     ((int)(LINE_BYTES / sizeof(T)))

#include "../../../tensor/kernels/zeros.h"

/* Of so many rows w the sums of w a, then w += factor a. */
INLINE void sweep_rows(int rows, int64_t n, const T *a, T *const *w, const T *factor, T *total) {
  LINE sum[SUMS * ROWS];
  int64_t j = 0;
  UNROLL for (int i = 0; i < SUMS * rows; i++) sum[i] = (LINE){0};
  NOUNROLL for (; j + SUMS * STEP <= n; j += SUMS * STEP) UNROLL for (int s = 0; s < SUMS; s++) {
    int64_t i = j + s * STEP;
    LINE at = READ(a + i);
    UNROLL for (int r = 0; r < rows; r++) {
      LINE was = READ(w[r] + i);
      sum[s * rows + r] += was * at;
      WRITE(w[r] + i) = was + at * factor[r];
    }
  }
  UNROLL for (int r = 0; r < rows; r++) {
    T part[STEP];
    UNROLL for (int s = 1; s < SUMS; s++) sum[r] += sum[s * rows + r];
    WRITE(part) = sum[r];
    UNROLL for (int half = STEP / 2; half > 0; half /= 2) for (int i = 0; i < half; i++) part[i] +=
        part[half + i];
    total[r] = part[0];
  }
  NOUNROLL for (; j < n; j++) UNROLL for (int r = 0; r < rows; r++) {
    total[r] += w[r][j] * a[j];
    w[r][j] += factor[r] * a[j];
  }
}

/* Several rows at a time: reading far memory and writing overlap. */
void CT__TYPE_NAME(ct__sweep)(const ct__sweep *s) {
  const T *a = (const T *)(const void *)s->a, *u = (const T *)(const void *)s->u;
  T *w = (T *)(void *)s->w, *y = (T *)(void *)s->y, alpha = (T)s->alpha, scale = (T)s->scale;
  bool all = !s->masked || scale * 0 != 0 || !all_finite(s->columns, a);
  int64_t left = s->rows;
  for (int row[AT_A_TIME], n; left > 0; left -= n) {
    n = left < AT_A_TIME ? (int)left : AT_A_TIME;
    int listed = list_rows(all, n, u, s->u_step, row);
    for (int i = 0; i < n && !all; i++) y[i * s->y_step] = 0;
    for (int i = 0, rows; i < listed; i += rows) {
      T *at[ROWS], factor[ROWS], total[ROWS];
      rows = listed - i >= ROWS ? ROWS : 1;
      for (int r = 0; r < rows; r++) {
        at[r] = w + row[i + r] * s->row;
        factor[r] = scale * u[row[i + r] * s->u_step];
      }
      if (rows > 1)
        sweep_rows(ROWS, s->columns, a, at, factor, total);
      else
        sweep_rows(1, s->columns, a, at, factor, total);
      for (int r = 0; r < rows; r++) y[row[i + r] * s->y_step] = alpha * total[r];
    }
    u += n * s->u_step;
    w += n * s->row;
    y += n * s->y_step;
  }
}
