/* transpose.c - copies whose neighbours in the result are no neighbours in the source.
 *
 * Element by element such a copy uses a fraction of each cache line that it reads. Tiles of one
 * cache line by one are read whole, turned in registers and written whole.
 */
#include "pool.h"
#include "walk.h"

enum { LINE = 64 }; /* bytes of a cache line: the rows of a tile */

/* Zips of two vectors, their lower and upper halves: log2 n rounds of them over n vectors of n
 * elements turn a block. */
#define ZIP_1_LOW  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define ZIP_1_HIGH 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#define ZIP_4_LOW  0, 4, 1, 5
#define ZIP_4_HIGH 2, 6, 3, 7
#define ZIP_8_LOW  0, 2
#define ZIP_8_HIGH 1, 3

/* y[i, j] = x[j, i] for h rows of w elements of y, at most a line; sx and sy lead to the next row.
 * Rows are gathered in a buffer first, as those of a power of two compete for places in a cache. */
#define TILE(bytes, T)                                                                             \
  typedef T block_##bytes __attribute__((vector_size(16)));                                        \
  static inline void turn_block_##bytes(const T *x, int64_t sx, T *y, int64_t sy) {                \
    enum { N = 16 / bytes };                                                                       \
    block_##bytes a[N], b[N];                                                                      \
    for (int j = 0; j < N; j++) memcpy(&a[j], x + j * sx, sizeof a[j]);                            \
    for (int round = 1; round < N; round *= 2) {                                                   \
      for (int j = 0; j < N / 2; j++) {                                                            \
        b[2 * j] = __builtin_shufflevector(a[j], a[j + N / 2], ZIP_##bytes##_LOW);                 \
        b[2 * j + 1] = __builtin_shufflevector(a[j], a[j + N / 2], ZIP_##bytes##_HIGH);            \
      }                                                                                            \
      memcpy(a, b, sizeof a);                                                                      \
    }                                                                                              \
    for (int j = 0; j < N; j++) memcpy(y + j * sy, &a[j], sizeof a[j]);                            \
  }                                                                                                \
  static inline __attribute__((always_inline)) void turn_tile_##bytes(                             \
      const T *x, int64_t sx, T *y, int64_t sy, int64_t h, int64_t w) {                            \
    enum { N = 16 / bytes, MOST = LINE / bytes };                                                  \
    T buffer[MOST][MOST];                                                                          \
    int64_t h_blocks = h - h % N, w_blocks = w - w % N;                                            \
    for (int64_t j = 0; j < w_blocks; j += N) {                                                    \
      for (int64_t i = 0; i < h_blocks; i += N)                                                    \
        turn_block_##bytes(x + j * sx + i, sx, &buffer[i][j], MOST);                               \
      for (int64_t i = h_blocks; i < h; i++)                                                       \
        for (int64_t k = j; k < j + N; k++) buffer[i][k] = x[k * sx + i];                          \
    }                                                                                              \
    for (int64_t j = w_blocks; j < w; j++)                                                         \
      for (int64_t i = 0; i < h; i++) buffer[i][j] = x[j * sx + i];                                \
    for (int64_t i = 0; i < h; i++) memcpy(y + i * sy, buffer[i], (size_t)w * sizeof(T));          \
  }                                                                                                \
  static void turn_band_##bytes(const char *from, int64_t sx, char *to, int64_t sy, int64_t h,     \
                                int64_t w) {                                                       \
    enum { MOST = LINE / bytes };                                                                  \
    const T *x = (const T *)(const void *)from;                                                    \
    T *y = (T *)(void *)to;                                                                        \
    int64_t j = 0;                                                                                 \
    for (; h == MOST && j + MOST <= w; j += MOST)                                                  \
      turn_tile_##bytes(x + j * sx, sx, y + j, sy, MOST, MOST);                                    \
    for (; j < w; j += MOST)                                                                       \
      turn_tile_##bytes(x + j * sx, sx, y + j, sy, h, w - j < MOST ? w - j : MOST);                \
  }
TILE(1, uint8_t)
TILE(4, uint32_t)
TILE(8, uint64_t)

typedef void turn_band(const char *x, int64_t sx, char *y, int64_t sy, int64_t h, int64_t w);

/* Planes: along dimension d of the walk the source is contiguous, along the last one the result.
 * Their bands, LINE bytes along d and all of the last dimension, are numbered. */
typedef struct planes {
  ct__walk w;
  int d;
  int64_t bands /* of a plane */, height;
  turn_band *turn;
} planes;

static void turn_bands(void *context, int64_t from, int64_t to) {
  const planes *a = context;
  const ct__walk *w = &a->w;
  const int last = w->ndim - 1;
  for (int64_t band = from; band < to; band++) {
    int64_t at = band / a->bands, i = band % a->bands * a->height;
    int64_t x = i * w->stride[a->d][0], y = i * w->stride[a->d][1], rest = w->dim[a->d] - i;
    for (int k = last - 1; k >= 0; k--) {
      if (k == a->d) continue;
      x += at % w->dim[k] * w->stride[k][0];
      y += at % w->dim[k] * w->stride[k][1];
      at /= w->dim[k];
    }
    a->turn(w->p[0] + x * (int64_t)w->item[0], w->stride[last][0],
            w->p[1] + y * (int64_t)w->item[0], w->stride[a->d][1],
            rest < a->height ? rest : a->height, w->dim[last]);
  }
}

bool ct__copy_turned(const ct_view *src, ct_view *dst) {
  enum { FEW = 64, THIN = 8 }; /* elements that are not worth a plan, a tile */
  if (ct__reference() || dst->size < FEW || src->contiguous) return false;
  planes a;
  ct__walk_set(&a.w, 1, &src, dst);
  const int last = a.w.ndim - 1;
  for (a.d = last - 1; a.d >= 0 && a.w.stride[a.d][0] != 1; a.d--) continue;
  if (a.d < 0 || a.w.stride[last][1] != 1) return false;
  if (a.w.dim[a.d] < THIN || a.w.dim[last] < THIN) return false;
  const int64_t item = (int64_t)a.w.item[0], rows = a.w.dim[a.d], row = a.w.dim[last];
  a.height = LINE / item;
  a.bands = (rows + a.height - 1) / a.height;
  a.turn = item == 1 ? turn_band_1 : item == 4 ? turn_band_4 : turn_band_8;
  int64_t weight = dst->size * item < 2 * ct__piece_weight ? 0 : 2 * item * row * a.height;
  ct__parallel_range(dst->size / (rows * row) * a.bands, weight, 1, turn_bands, &a);
  return true;
}
