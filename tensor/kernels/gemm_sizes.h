/* gemm_sizes.h - how many rows, columns and bytes the kernels of matrix products take at a time,
 * for each instruction set. */
#include "../tensor_internal.h"
#include "../vectors.h"

/* A tile is ROWS x VECTORS vectors of accumulators, which leaves registers for a row of B; TAIL
 * rows of B are kept for its end. Tiles of STRIP_ROWS rows of A meet a panel of B in turn: where
 * the panel fits into the first cache these are many. */
#if defined(__AVX512F__)
enum { ROWS = 8, VECTORS = 3, TAIL = 3, STRIP_ROWS = 16, WAYS = 1 };
#define LANES_f32 16
#define LANES_f64 8
#elif defined(__AVX2__)
enum { ROWS = 6, VECTORS = 2, TAIL = 1, STRIP_ROWS = 48, WAYS = 5 };
#define LANES_f32 8
#define LANES_f64 4
#elif defined(__aarch64__)
enum { ROWS = 8, VECTORS = 3, TAIL = 2, STRIP_ROWS = 64, WAYS = 1 };
#define LANES_f32 4
#define LANES_f64 2
#else
enum { ROWS = 4, VECTORS = 2, TAIL = 1, STRIP_ROWS = 32, WAYS = 1 };
#define LANES_f32 4
#define LANES_f64 2
#endif

/* The ways of tiles to read A: with any strides; rows or columns that are contiguous, since short
 * vectors leave little time for addresses; rows, while B is copied; strips of SWEPT_DEPTH columns,
 * as a batch of 16 makes them: those leave no time to count, either. */
enum { ANY_WAY, BY_ROWS, BY_COLUMNS, COPYING, SWEPT };
enum { SWEPT_DEPTH = 16 };
/* Tiles of one row are wider. */
enum { WIDE = 8 };
/* Of a short vector, and of one that streams through memory. */
enum { FEW_BYTES = 16, LINE_BYTES = VECTOR_BYTES < 32 ? VECTOR_BYTES : 32 };
enum { DEPTH = CT__GEMM_DEPTH, PIECE_UNIT = CT__GEMM_DEPTH_UNIT };
/* Of B that is passed over again for each strip, or of A for each panel: half of the second cache;
 * and rows of A from which on packing panels of B more than once costs more than far memory. */
enum { NEAR_BYTES = 448 << 10, LATE_ROWS = 512 };
/* Of B that the second cache cannot keep, and how many of its rows are read at a time. */
enum { FAR_AWAY = VECTOR_BYTES < 64 ? 1 << 19 : 1 << 20, STREAMS = 4 };
/* Columns of an outer product from which on it pays to look for rows that are zero, by so many. */
enum { LONG_ROW = 64, AT_A_TIME = 64 };
/* Rows of B that are listed at once for such streams. */
enum { AT_ONCE = 1024 };
/* Rows of A from which on packing pays, and of B up to which tiles are short, or from which on
 * columns of A that are read where they lie push each other out of the cache. */
enum { SWEPT_ROWS = 48, SHALLOW = 48, DEEP = 128 };
/* B is packed if so many rows of A use it and its own lie so far apart. */
enum { MANY_ROWS = 256, FAR_BYTES = 1024 };
/* A panel of B is copied when it is first read if so many bytes lie between its rows, counted for
 * each tile that shares it, and it is deep or its rows fall on few places of the first cache. */
enum { COPIED_BYTES = 3 << 10, CACHE_BYTES = 32 << 10 };
/* A strip of A, or a panel of B: at least a tile of DEPTH. */
enum { SCRATCH_BYTES = 48 << 10 };

/* Each way x r rows x v vectors that there is: r up to ROWS for v up to VECTORS, one row for v up
 * to WIDE. The first of several tiles has more than ROWS / 2 rows. */
#define UP_TO_4(X, way, v) X(way, 2, v) X(way, 3, v) X(way, 4, v)
#define UP_TO_6(X, way, v) UP_TO_4(X, way, v) X(way, 5, v) X(way, 6, v)
#define UP_TO_8(X, way, v) UP_TO_6(X, way, v) X(way, 7, v) X(way, 8, v)
#define ONE_ROW(X)                                                                                 \
  X(ANY_WAY, 1, 1)                                                                                 \
  X(ANY_WAY, 1, 2)                                                                                 \
  X(ANY_WAY, 1, 3)                                                                                 \
  X(ANY_WAY, 1, 4) X(ANY_WAY, 1, 5) X(ANY_WAY, 1, 6) X(ANY_WAY, 1, 7) X(ANY_WAY, 1, 8)
#if defined(__AVX512F__) || defined(__aarch64__)
#define EACH_TILE(X) ONE_ROW(X) UP_TO_8(X, ANY_WAY, 1) UP_TO_8(X, ANY_WAY, 2) UP_TO_8(X, ANY_WAY, 3)
#elif defined(__AVX2__)
#define EACH_TILE(X)                                                                               \
  ONE_ROW(X)                                                                                       \
  UP_TO_6(X, BY_ROWS, 1)                                                                           \
  UP_TO_6(X, BY_ROWS, 2)                                                                           \
  UP_TO_6(X, BY_COLUMNS, 1)                                                                        \
  UP_TO_6(X, BY_COLUMNS, 2)                                                                        \
  X(COPYING, 4, 2) X(COPYING, 5, 2) X(COPYING, 6, 2) X(SWEPT, 5, 2) X(SWEPT, 6, 2)
#else
#define EACH_TILE(X) ONE_ROW(X) UP_TO_4(X, ANY_WAY, 1) UP_TO_4(X, ANY_WAY, 2)
#endif

/* Dot products at a time: blocks of DOT_SUMS, and parts of a row. */
enum { DOT_ROWS = ROWS < 8 ? 2 : 4, DOT_SUMS = 4 * DOT_ROWS };
#define EACH_DOTS(X)                                                                               \
  X(dots_by_4, DOT_ROWS, 4)                                                                        \
  X(dots_by_2, DOT_SUMS / 2, 2)                                                                    \
  X(dots_by_1, DOT_SUMS, 1)                                                                        \
  X(dots_8, 1, 8) X(dots_4, 1, 4) X(dots_2, 1, 2) X(dots_1, 1, 1)
/* Vectors of accumulators at most, in tiles and in dot products. */
enum { SUMS = ROWS * VECTORS > DOT_SUMS ? ROWS *VECTORS : DOT_SUMS };

/* ---- of one type ----------------------------------------------------------------------------- */

#define PASTE(a, b) a##b
#define JOIN(a, b)  PASTE(a, b)
#define LANES       JOIN(LANES_, CT__TYPE)
/* Of short vectors, and of rows of A as they are packed. */
enum { QUARTER = FEW_BYTES / (int)sizeof(T), LINE_LANES = LINE_BYTES / (int)sizeof(T) };
enum { PADDED = (ROWS + LINE_LANES - 1) / LINE_LANES * LINE_LANES };
/* Rows of a last panel that are copied: see count_copied. */
enum { MOST_COPIED = 2 * TAIL * WIDE > LANES + TAIL ? 2 * TAIL *WIDE : LANES + TAIL };
enum { SCRATCH = SCRATCH_BYTES / (int)sizeof(T) };

/* Indices of __builtin_shufflevector: the lower and the upper halves of two vectors, interleaved.
 */
#define LOW_2   0, 2
#define HIGH_2  1, 3
#define LOW_4   0, 4, 1, 5
#define HIGH_4  2, 6, 3, 7
#define LOW_8   0, 8, 1, 9, 2, 10, 3, 11
#define HIGH_8  4, 12, 5, 13, 6, 14, 7, 15
#define LOW_16  0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define HIGH_16 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
