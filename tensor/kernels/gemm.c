/* gemm.c - the kernels of matrix products. Compiled once for each instruction set; CT__ISA is its
 * name. The compiler may contract a product and a sum to one fused operation (CMakeLists.txt):
 * every sum here is of the form c + a * b, so there is one way to do it. */
#include "../tensor_internal.h"
#include "../vectors.h"

/* A tile is ROWS x VECTORS vectors of accumulators, which leaves registers for a row of B; TAIL
 * rows of B are kept for its end. Tiles of STRIP_ROWS rows of A meet a panel of B in turn: where
 * the panel fits into the first cache these are many. */
#if defined(__AVX512F__)
enum { ROWS = 8, VECTORS = 3, TAIL = 3, STRIP_ROWS = 16, WAYS = 1 };
#define F32_LANES 16
#define F64_LANES 8
#elif defined(__AVX2__)
enum { ROWS = 6, VECTORS = 2, TAIL = 1, STRIP_ROWS = 48, WAYS = 4 };
#define F32_LANES 8
#define F64_LANES 4
#elif defined(__aarch64__)
enum { ROWS = 8, VECTORS = 3, TAIL = 2, STRIP_ROWS = 64, WAYS = 1 };
#define F32_LANES 4
#define F64_LANES 2
#else
enum { ROWS = 4, VECTORS = 2, TAIL = 1, STRIP_ROWS = 32, WAYS = 1 };
#define F32_LANES 4
#define F64_LANES 2
#endif

/* The ways of tiles to read A: with any strides; rows or columns that are contiguous, since short
 * vectors leave little time for addresses; rows, while B is copied. */
enum { ANY_WAY, BY_ROWS, BY_COLUMNS, COPYING };
/* Tiles of one row are wider. */
enum { WIDE = 8 };
/* Of a short vector, and of one that streams through memory. */
enum { FEW_BYTES = 16, LINE_BYTES = VECTOR_BYTES < 32 ? VECTOR_BYTES : 32 };
/* Rows of B to one piece of a sum: a panel of so many stays in the second cache. All pieces but the
 * last are whole vectors. */
enum { DEPTH = 400, PIECE_UNIT = 16 };
/* Of B that is passed over again for each strip, or of A for each panel: half of the second cache;
 * and rows of A from which on packing panels of B more than once costs more than far memory. */
enum { NEAR_BYTES = 448 << 10, LATE_ROWS = 512 };
/* Of B that the second cache cannot keep, and how many of its rows are read at a time. */
enum { FAR_AWAY = VECTOR_BYTES < 64 ? 1 << 19 : 1 << 20, STREAMS = 4 };
/* Columns of an outer product from which on it pays to look for rows that are zero, by so many. */
enum { LONG_ROW = 64, AT_A_TIME = 64 };
/* Rows of A from which on packing pays, and of B up to which tiles are short. */
enum { SWEPT_ROWS = 48, SHALLOW = 48 };
/* B is packed if so many rows of A use it and its own lie so far apart; or a panel is copied when
 * it is first read, if they lie very far apart. */
enum { MANY_ROWS = 256, FAR_BYTES = 1024, VERY_FAR_BYTES = 2048 };
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
  UP_TO_6(X, BY_COLUMNS, 2) X(COPYING, 4, 2) X(COPYING, 5, 2) X(COPYING, 6, 2)
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

#define PASTE(a, b) a##b
#define JOIN(a, b)  PASTE(a, b)
#define OF_TYPE(a)  JOIN(a##_, TYPE)

static int64_t at_most(int64_t n, int64_t limit) { return n < limit ? n : limit; }

/* What gemm_kernels.h defines for each type, by the names that it uses. */
#define VECTOR        OF_TYPE(vector)
#define IN_MEMORY     OF_TYPE(in_memory)
#define FEW           OF_TYPE(few)
#define FEW_IN_MEMORY OF_TYPE(few_in_memory)
#define TILE          OF_TYPE(tile)
#define WORK          OF_TYPE(work)
#define store_few     OF_TYPE(store_few)
#define store_any     OF_TYPE(store_any)
#define add_row       OF_TYPE(add_row)
#define finish        OF_TYPE(finish)
#define tile_of       OF_TYPE(tile_of)
#define tile_table    OF_TYPE(tile_table)
#define whole_vectors OF_TYPE(whole_vectors)
#define panel_of      OF_TYPE(panel_of)
#define packed_rows   OF_TYPE(packed_rows)
#define goes_down     OF_TYPE(goes_down)
#define packs_rows    OF_TYPE(packs_rows)
#define packs_late    OF_TYPE(packs_late)
#define packs_all     OF_TYPE(packs_all)
#define runs_on       OF_TYPE(runs_on)
#define lies_ready    OF_TYPE(lies_ready)
#define count_lines   OF_TYPE(count_lines)
#define count_units   OF_TYPE(count_units)
#define pack_units    OF_TYPE(pack_units)
#define transpose     OF_TYPE(transpose)
#define pack_columns  OF_TYPE(pack_columns)
#define pack_rows     OF_TYPE(pack_rows)
#define pack_panels   OF_TYPE(pack_panels)
#define count_copied  OF_TYPE(count_copied)
#define a_at          OF_TYPE(a_at)
#define c_at          OF_TYPE(c_at)
#define sweeps        OF_TYPE(sweeps)
#define packs_strips  OF_TYPE(packs_strips)
#define depth         OF_TYPE(depth)
#define packed_step   OF_TYPE(packed_step)
#define tiles_down    OF_TYPE(tiles_down)
#define far_apart     OF_TYPE(far_apart)
#define run_tiles     OF_TYPE(run_tiles)
#define first_tile    OF_TYPE(first_tile)
#define swept_tiles   OF_TYPE(swept_tiles)
#define pack_strip    OF_TYPE(pack_strip)
#define pack_tile     OF_TYPE(pack_tile)
#define pack_tiles    OF_TYPE(pack_tiles)
#define a_packed      OF_TYPE(a_packed)
#define share         OF_TYPE(share)
#define panel_at      OF_TYPE(panel_at)
#define whole_tiles   OF_TYPE(whole_tiles)
#define part_strip    OF_TYPE(part_strip)
#define part_tiles    OF_TYPE(part_tiles)
#define strip_rows    OF_TYPE(strip_rows)
#define passes        OF_TYPE(passes)
#define enter_panel   OF_TYPE(enter_panel)
#define next_rows     OF_TYPE(next_rows)
#define near_tiles    OF_TYPE(near_tiles)
#define streams       OF_TYPE(streams)
#define stream_rows   OF_TYPE(stream_rows)
#define by_streams    OF_TYPE(by_streams)
#define by_tiles      OF_TYPE(by_tiles)
#define fold          OF_TYPE(fold)
#define totals        OF_TYPE(totals)
#define dots_of       OF_TYPE(dots_of)
#define dots_by_4     OF_TYPE(dots_by_4)
#define dots_by_2     OF_TYPE(dots_by_2)
#define dots_by_1     OF_TYPE(dots_by_1)
#define dots_8        OF_TYPE(dots_8)
#define dots_4        OF_TYPE(dots_4)
#define dots_2        OF_TYPE(dots_2)
#define dots_1        OF_TYPE(dots_1)
#define dots_table    OF_TYPE(dots_table)
#define by_dots       OF_TYPE(by_dots)
#define LINE          OF_TYPE(line)
#define all_finite    OF_TYPE(all_finite)
#define count_zeros   OF_TYPE(count_zeros)
#define list_rows     OF_TYPE(list_rows)
#define outer_rows    OF_TYPE(outer_rows)
#define outer_listed  OF_TYPE(outer_listed)
#define outer_added   OF_TYPE(outer_added)
#define outer_stored  OF_TYPE(outer_stored)
#define outer_some    OF_TYPE(outer_some)
#define leaves_rows   OF_TYPE(leaves_rows)
#define by_outer      OF_TYPE(by_outer)
#define QUARTER       ((int)(FEW_BYTES / sizeof(T)))
/* Rows of a last panel that are copied: see count_copied. */
#define MOST_COPIED (2 * TAIL * WIDE > LANES + TAIL ? 2 * TAIL * WIDE : LANES + TAIL)
#define LINE_LANES  (LINE_BYTES / (int)sizeof(T))
#define PADDED      ((ROWS + LINE_LANES - 1) / LINE_LANES * LINE_LANES)
#define SCRATCH     (SCRATCH_BYTES / (int)sizeof(T))
#define AT(memory)  (*(IN_MEMORY *)(memory))
#define READ(from)  (*(const IN_MEMORY *)(from))

#define T     float
#define TYPE  f32
#define LANES F32_LANES
#include "gemm_kernels.h"
#undef T
#undef TYPE
#undef LANES

#define T     double
#define TYPE  f64
#define LANES F64_LANES
#include "gemm_kernels.h"

#define GEMM_SET(type, n)                                                                          \
  {                                                                                                \
    .lane_bits = __builtin_ctz(n), .rows = 2 * ROWS, .least_depth = TAIL, .panel = VECTORS * n,    \
    .wide_panel = WIDE * n, .tiles = by_tiles_##type, .dots = by_dots_##type,                      \
    .outer = by_outer_##type, .down = goes_down_##type, .packed_lines = count_lines_##type,        \
    .units = count_units_##type, .pack = pack_units_##type                                         \
  }
const ct__gemm_set CT__ISA_NAME(ct__gemm, CT__ISA)[2] = {GEMM_SET(f32, F32_LANES),
                                                         GEMM_SET(f64, F64_LANES)};
