/* sweep_of_type.h - the kernel of one float type T: part of sweep.c, included for each. */

typedef T NAMED(vector) __attribute__((vector_size(VECTOR_BYTES)));
typedef T NAMED(in_memory)
    __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));

#define VECTOR   NAMED(vector)
#define READ(p)  (*(const NAMED(in_memory) *)(p))
#define WRITE(p) (*(NAMED(in_memory) *)(p))
#define LANES    ((int64_t)(VECTOR_BYTES / sizeof(T)))

/* The sum of w a; to the row before, if there is one, is added factor a. */
INLINE T NAMED(sweep_row)(int64_t n, const T *w, const T *a, T *before, T factor) {
  VECTOR sum[SUMS];
  T total = 0;
  int64_t j = 0;
  UNROLL for (int s = 0; s < SUMS; s++) sum[s] = (VECTOR){0};
  for (; j + SUMS * LANES <= n; j += SUMS * LANES) UNROLL for (int s = 0; s < SUMS; s++) {
      int64_t i = j + s * LANES;
      VECTOR at = READ(a + i);
      sum[s] += READ(w + i) * at;
      if (before) WRITE(before + i) = READ(before + i) + at * factor;
    }
  UNROLL for (int s = 1; s < SUMS; s++) sum[0] += sum[s];
  for (int lane = 0; lane < LANES; lane++) total += sum[0][lane];
  for (; j < n; j++) {
    total += w[j] * a[j];
    if (before) before[j] += factor * a[j];
  }
  return total;
}

/* A row is updated while the next one is on its way: reading far memory and writing overlap. */
static void NAMED(sweep)(const ct__sweep *s) {
  int64_t n = s->columns, last = s->rows - 1;
  T *w = (T *)(void *)s->w, *y = (T *)(void *)s->y, alpha = (T)s->alpha, scale = (T)s->scale;
  const T *a = (const T *)(const void *)s->a, *u = (const T *)(const void *)s->u;
  y[0] = alpha * NAMED(sweep_row)(n, w, a, NULL, 0);
  for (int64_t i = 0; i < last; i++, w += s->row)
    y[(i + 1) * s->y_step] =
        alpha * NAMED(sweep_row)(n, w + s->row, a, w, scale * u[i * s->u_step]);
  T factor = scale * u[last * s->u_step];
  for (int64_t j = 0; j < n; j++) w[j] += factor * a[j];
}

#undef VECTOR
#undef READ
#undef WRITE
#undef LANES
