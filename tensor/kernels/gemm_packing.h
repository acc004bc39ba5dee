/* gemm_packing.h - which parts of A and B are packed, and how: part of gemm_of_type.c. */
#include "gemm_tiles.h"

static int64_t whole_vectors(int64_t n) { return (n + LANES - 1) / LANES * LANES; }
static int64_t panel_of(const ct__product *p) { return LANES * (p->m == 1 ? WIDE : VECTORS); }

/* Rows of B as they are packed: no fewer than a tile wants; what is too much is 0. */
static int64_t packed_rows(const ct__product *p) { return p->k < TAIL ? TAIL : p->k; }

static bool far_apart(const ct__product *p) { return p->b.row * (int64_t)sizeof(T) >= FAR_BYTES; }

/* Where A lies in columns and tiles are short, or rows of B far apart, strips of A and all of B are
 * packed, and tiles follow each other along the rows of C. */
static bool sweeps(const ct__product *p) {
  return p->a.column != 1 && p->m >= SWEPT_ROWS && p->n > panel_of(p) &&
         (p->k <= SHALLOW || (WAYS == 1 && far_apart(p)));
}

/* Where tiles are not short and the first cache keeps a panel of B, tiles go down it along as many
 * rows of A as the second cache keeps: so far memory is read once, and what is packed is used at
 * once. */
static bool goes_down(const ct__product *p) { return WAYS > 1 && p->m > 1 && p->k > SHALLOW; }

/* Then all of A is packed if it does not lie in rows, unless B is near and A in short columns. */
static bool packs_rows(const ct__product *p) {
  return goes_down(p) && p->a.column != 1 && (far_apart(p) || p->a.row != 1 || p->k > DEEP);
}

/* Strips are packed also where neither rows nor columns of A are contiguous. */
static bool packs_strips(const ct__product *p) {
  return p->k < TAIL || sweeps(p) ||
         (p->m > 1 && p->a.column != 1 && p->a.row != 1 && !packs_rows(p));
}

/* A last panel of partial vectors can be read where it lies if what follows a row is the next row:
 * all but the last few rows, which are copied. */
static bool runs_on(const ct__product *p) { return p->b.column == 1 && p->b.row == p->n; }

/* A panel is packed just before tiles go down it: where there are so many rows that B would be
 * packed again and again all of it is packed before. */
static bool packs_late(const ct__product *p, int64_t width) {
  if (p->b.column == 1) return packs_rows(p) && width % LANES != 0;
  bool far = (double)p->k * (double)p->n * sizeof(T) >= NEAR_BYTES;
  return packs_rows(p) || (goes_down(p) && far && p->m <= LATE_ROWS);
}

/* All of B is packed also where it does not lie in rows, and where many rows of A share the cost:
 * rows that lie far apart are slow to read, and fall on the same few places of a cache. */
static bool packs_all(const ct__product *p) {
  return (p->b.column != 1 && !packs_late(p, 0)) || p->k < TAIL || sweeps(p) ||
         (WAYS == 1 && far_apart(p) && p->m >= MANY_ROWS);
}

static bool lies_ready(const ct__product *p, int64_t width) {
  return packs_late(p, width) || (!packs_all(p) && (width % LANES == 0 || runs_on(p)));
}

static int64_t count_lines(const ct__product *p) {
  if (packs_rows(p)) return (p->m + ROWS - 1) / ROWS * ROWS;
  if (packs_all(p)) return whole_vectors(p->n);
  int64_t last = p->n % panel_of(p);
  return lies_ready(p, last) ? 0 : whole_vectors(last);
}

/* Columns that are contiguous, side by side: rows from <= i < end of a panel. */
static void pack_columns(const ct__product *p, int64_t from, int64_t end, int64_t column,
                         int64_t columns, T *to, int64_t to_row) {
  int64_t k = end - from, step = p->b.column, x = 0;
  const T *b = (const T *)(const void *)p->b.data + column * step + from;
  for (; x + LANES <= columns; x += LANES) {
    int64_t i = 0;
    for (; i + LANES <= k; i += LANES)
      transpose(b + x * step + i, step, to + i * to_row + x, to_row);
    /* What follows the rest is more of the column, or the next one. */
    int64_t behind = from + i + LANES - p->k, left = p->n - column - x - LANES;
    if (i < k && (behind <= 0 || (step == p->k && left * step >= behind))) {
      T rest[LANES * LANES];
      transpose(b + x * step + i, step, rest, LANES);
      for (int64_t r = 0; r < k - i; r++) AT(to + (i + r) * to_row + x) = READ(rest + r * LANES);
    } else {
      for (; i < k; i++)
        for (int64_t j = x; j < x + LANES; j++) to[i * to_row + j] = b[j * step + i];
    }
  }
  for (; x < columns; x++)
    for (int64_t i = 0; i < k; i++) to[i * to_row + x] = b[x * step + i];
}

/* The same of any elements. */
static void pack_rows(const ct__product *p, int64_t from, int64_t end, int64_t column,
                      int64_t columns, T *to, int64_t to_row) {
  const T *b = (const T *)(const void *)p->b.data + column * p->b.column;
  int64_t row = p->b.row, step = p->b.column;
  if (step == 1 && columns == VECTORS * LANES)
    for (int64_t i = from; i < end; i++, to += to_row)
      UNROLL for (int v = 0; v < VECTORS; v++) AT(to + v * LANES) = READ(b + i * row + v * LANES);
  else
    for (int64_t i = from; i < end; i++, to += to_row)
      for (int64_t j = 0; j < columns; j++) to[j] = b[i * row + j * step];
}

/* Columns of A that are packed at a time: each is read on from one tile to the next, and the next
 * ones arrive meanwhile. */
enum { COLUMNS = 32 };

/* The columns of a tile; scaled by the way: tiles may be so shallow that scaling C would be much of
 * their work. Where they can be, more rows are read than there are, and PADDED written, of the last
 * column if there is room behind it. */
static void pack_tile(const ct__product *p, int64_t row, int rows, int64_t from, int64_t k,
                      bool room, T *to) {
  const T *a = a_at(p, row, from);
  int64_t a_row = p->a.row, column = p->a.column, i = 0;
  T alpha = (T)p->alpha;
  if (a_row == 1 && row + PADDED <= p->m)
    for (; i + (PADDED > (int)ROWS && !room) < k; i++, a += column, to += ROWS) {
      __builtin_prefetch(a + COLUMNS * column, 0, 2);
      UNROLL for (int r = 0; r < PADDED; r += LINE_LANES) * (LINE *)(to + r) =
          *(const LINE *)(a + r) * alpha;
    }
  for (; i < k; i++, a += column, to += ROWS)
    for (int r = 0; r < rows; r++) to[r] = a[r * a_row] * alpha;
}

static void pack_tiles(const ct__product *p, int64_t row, int64_t end, T *packed) {
  for (int64_t from = 0; from < p->k; from += COLUMNS)
    for (int64_t i = row; i < end; i += ROWS)
      pack_tile(p, i, (int)at_most(end - i, ROWS), from, at_most(p->k - from, COLUMNS), false,
                packed + i * p->k + from * ROWS);
}

static void pack_panels(const ct__product *p, int64_t column, int64_t end, T *packed) {
  int64_t panel = panel_of(p), k = p->k;
  bool all = packs_all(p);
  /* So many rows at a time that each is read on from one panel to the next. */
  int64_t step = p->b.row == 1 ? k : 16;
  for (int64_t from = 0; from < k; from += step)
    for (int64_t j = column; j < end; j += panel) {
      int64_t width = at_most(p->n - j, panel), whole = whole_vectors(width);
      if (lies_ready(p, width)) continue;
      T *to = packed + (all ? j * packed_rows(p) : 0);
      if (from == 0 && (width < whole || k < TAIL))
        memset(to, 0, (size_t)(packed_rows(p) * whole) * sizeof(T));
      if (p->b.row == 1)
        pack_columns(p, 0, k, j, width, to, whole);
      else
        pack_rows(p, from, at_most(from + step, k), j, width, to + from * whole, whole);
    }
}

/* Tiles of A or panels of B. */
static int64_t count_units(const ct__product *p) {
  return packs_rows(p) ? (p->m - 1) / ROWS + 1 : (p->n - 1) / panel_of(p) + 1;
}

static void pack_units(const ct__product *p, int64_t from, int64_t to, void *packed) {
  int64_t panel = panel_of(p);
  if (packs_rows(p))
    pack_tiles(p, from * ROWS, at_most(to * ROWS, p->m), packed);
  else
    pack_panels(p, from * panel, at_most(to * panel, p->n), packed);
}

/* Rows of the last panel that are copied since more is read of them than there is: none, all, or so
 * many that enough for a tile is left on either side. */
static int64_t count_copied(const ct__product *p, int64_t width) {
  int64_t missing = whole_vectors(width) - width;
  if (missing == 0 || !lies_ready(p, width) || packs_late(p, width)) return 0;
  int64_t rows = (missing + p->n - 1) / p->n;
  if (rows < TAIL) rows = TAIL;
  return p->k - rows < TAIL ? p->k : rows;
}
