/* sweep_of_type.h - the kernel of one float type T: part of sweep.c, included for each. */

typedef T NAMED(vector) __attribute__((vector_size(VECTOR_BYTES)));
typedef T NAMED(in_memory)
    __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));

#define VECTOR   NAMED(vector)
#define READ(p)  (*(const NAMED(in_memory) *)(p))
#define WRITE(p) (*(NAMED(in_memory) *)(p))
#define LANES    ((int64_t)(VECTOR_BYTES / sizeof(T)))

#include "../../../tensor/kernels/zeros.h"

/* The sum of w a; to the row before, if there is one, is added factor a. */
INLINE T sweep_row(int64_t n, const T *w, const T *a, T *before, T factor) {
  VECTOR sum[SUMS];
  T part[LANES];
  int64_t j = 0;
  UNROLL for (int s = 0; s < SUMS; s++) sum[s] = (VECTOR){0};
  for (; j + SUMS * LANES <= n; j += SUMS * LANES) UNROLL for (int s = 0; s < SUMS; s++) {
      int64_t i = j + s * LANES;
      VECTOR at = READ(a + i);
      sum[s] += READ(w + i) * at;
      if (before) WRITE(before + i) = READ(before + i) + at * factor;
    }
  UNROLL for (int s = 1; s < SUMS; s++) sum[0] += sum[s];
  WRITE(part) = sum[0];
  UNROLL for (int64_t half = LANES / 2; half > 0; half /= 2) for (int64_t i = 0; i < half; i++)
      part[i] += part[half + i];
  T total = part[0];
  for (; j < n; j++) {
    total += w[j] * a[j];
    if (before) before[j] += factor * a[j];
  }
  return total;
}

/* A row is updated while the next one is on its way: reading far memory and writing overlap. */
static void sweep(const ct__sweep *s) {
  int64_t n = s->columns, left = s->rows, step = s->u_step;
  const T *a = (const T *)(const void *)s->a, *u = (const T *)(const void *)s->u;
  T *w = (T *)(void *)s->w, *y = (T *)(void *)s->y, alpha = (T)s->alpha, scale = (T)s->scale;
  T *before = NULL, factor = 0;
  bool finite = scale * 0 == 0 && all_finite(n, a), all = !(finite && s->masked);
  for (int row[AT_A_TIME]; left > 0; left -= AT_A_TIME) {
    int rows = left < AT_A_TIME ? (int)left : AT_A_TIME;
    int listed = list_rows(all, rows, u, step, row);
    for (int i = 0; i < rows && !all; i++) y[i * s->y_step] = 0;
    for (int x = 0; x < listed; x++) {
      int64_t i = row[x];
      T *at = w + i * s->row, total;
      if (before)
        total = sweep_row(n, at, a, before, factor);
      else
        total = sweep_row(n, at, a, NULL, 0);
      y[i * s->y_step] = alpha * total;
      factor = scale * u[i * step];
      before = finite && factor == 0 ? NULL : at;
    }
    u += AT_A_TIME * step;
    w += AT_A_TIME * s->row;
    y += AT_A_TIME * s->y_step;
  }
  for (int64_t j = 0; j < n && before; j++) before[j] += factor * a[j];
}

#undef VECTOR
#undef READ
#undef WRITE
#undef LANES
