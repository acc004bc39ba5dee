/* gemm_of_type.c - the kernels of matrix products. Compiled once for each instruction set and float
 * type T, of which a vector holds LANES. The compiler may contract a product and a sum to one fused
 * operation (CMakeLists.txt): every sum here is of the form c + a * b, so there is one way to do
 * it. */
#include "gemm_packing.h"
#include "zeros.h"

/* ---- panels and strips ---------------------------------------------------------------------- */

/* A block of C, and of it rows from <= k < to of B, one strip of rows of A and one panel. */
typedef struct WORK {
  const ct__product *p;
  const T *packed, *copy; /* A, or of B all or the last panel; the last rows of the last panel */
  int64_t copied;
  bool all, whole_a, strips; /* all of B, all of A, or strips of A are packed */
  bool add;
  T alpha;
  int64_t from, to, row, rows;
  int tiles;
  const T *fetch; /* by the first tile of a strip; and the way to what the next one fetches */
  int64_t next_fetch;
  const T *a; /* where it lies, or packed and scaled, tile by tile */
  T *scratch; /* a strip of A, or a panel of B */
} WORK;

/* The rows of the next of so many tiles that share these: as equal as can be. */
static int share(int64_t rows, int tiles) { return ((int)rows + tiles - 1) / tiles; }

static int64_t depth(const WORK *w) { return w->to - w->from < TAIL ? TAIL : w->to - w->from; }

static bool a_packed(const WORK *w) { return w->whole_a || w->strips; }

/* Between packed tiles; those of a strip have room for the last column as it is packed. */
static int64_t packed_step(const WORK *w) {
  return w->whole_a ? w->p->k * ROWS : depth(w) * ROWS + PADDED - ROWS;
}

static void pack_strip(WORK *w) {
  int64_t k = w->to - w->from, row = w->row, left = w->rows;
  T *to = w->scratch;
  for (int tiles = w->tiles, rows; tiles > 0; tiles--, row += rows, left -= rows) {
    rows = share(left, tiles);
    pack_tile(w->p, row, rows, w->from, k, true, to);
    if (k < TAIL) memset(to + k * ROWS, 0, (size_t)((TAIL - k) * ROWS) * sizeof(T));
    to += packed_step(w);
  }
  w->a = w->scratch;
}

static const T *panel_at(const WORK *w, int64_t column, int64_t width, int64_t *row) {
  const ct__product *p = w->p;
  int64_t whole = whole_vectors(width);
  if (packs_late(p, width)) {
    *row = whole;
    return w->scratch;
  }
  bool ready = !w->all && (width == whole || runs_on(p));
  *row = ready ? p->b.row : whole;
  if (ready) return (const T *)(const void *)p->b.data + w->from * p->b.row + column;
  return w->packed + (w->all ? column * packed_rows(p) : 0) + w->from * whole;
}

/* The topmost of a strip. */
static TILE first_tile(const WORK *w, int64_t column, int64_t width) {
  const ct__product *p = w->p;
  int64_t b_row;
  const T *b = panel_at(w, column, width, &b_row);
  return (TILE){.a = w->a,
                .b = b,
                .c = c_at(p, w->row, column),
                .k = depth(w),
                .a_row = a_packed(w) ? 1 : p->a.row,
                .a_column = a_packed(w) ? ROWS : p->a.column,
                .b_row = b_row,
                .c_row = p->c.row,
                .way = WAYS == 1                         ? ANY_WAY
                       : a_packed(w) || p->a.column != 1 ? BY_COLUMNS
                                                         : BY_ROWS,
                .copy = w->scratch,
                .fetch = w->fetch,
                .next_fetch = w->next_fetch,
                .alpha = w->alpha,
                .add = w->add};
}

static void run_tiles(const TILE *t, int way, int64_t vectors, int rows) {
  tile_table[rows > 1 ? way : ANY_WAY][vectors][rows](t);
}

/* The tiles of a strip from the topmost on, as many at once as have the same number of rows. All
 * but the first one may read the copy of B that it makes. */
static void tiles_down(const WORK *w, TILE *t, int64_t width, bool copies) {
  int64_t left = w->rows;
  for (int tiles = w->tiles; tiles > 0; tiles -= (int)t->tiles) {
    int rows = w->whole_a ? (int)at_most(left, ROWS) : share(left, tiles);
    t->tiles = copies ? 1 : w->whole_a ? left / rows : left % tiles ? left % tiles : tiles;
    t->next_a = a_packed(w) ? packed_step(w) : rows * t->a_row;
    t->next_c = rows * t->c_row;
    run_tiles(t, copies ? COPYING : t->way, width / LANES, rows);
    left -= t->tiles * rows;
    t->a += t->tiles * t->next_a;
    t->c += t->tiles * t->next_c;
    t->fetch += t->tiles * t->next_fetch;
    if (!copies) continue;
    copies = false;
    t->b = t->copy;
    t->b_row = width;
  }
}

/* A strip of A leaves no room for a copy of B, and what is packed needs none. */
static bool copies_panel(const WORK *w, int64_t width, int64_t b_row) {
  if (WAYS == 1 || w->strips || w->tiles == 1 || width < VECTORS * LANES || b_row == width)
    return false;
  int64_t row = b_row * (int64_t)sizeof(T);
  if (w->tiles * row < COPIED_BYTES) return false; /* one row that repeats, too */
  return depth(w) > SHALLOW || depth(w) > CACHE_BYTES / (row & -row);
}

/* Tiles of whole vectors of C, one below the other. */
static void whole_tiles(const WORK *w, int64_t column, int64_t width, int64_t ahead) {
  TILE t = first_tile(w, column, width);
  t.ahead = ahead;
  tiles_down(w, &t, width, copies_panel(w, width, t.b_row));
}

/* Tiles of that many panels of B, packed ones, side by side. */
static void swept_tiles(const WORK *w, int64_t column, int64_t panels) {
  int64_t left = w->rows;
  TILE t = first_tile(w, column, VECTORS * LANES);
  bool known = WAYS > 1 && t.add && t.k == SWEPT_DEPTH;
  t.tiles = panels;
  t.next_b = packed_rows(w->p) * t.b_row;
  t.next_c = t.b_row;
  for (int tiles = w->tiles, rows; tiles > 0; tiles--, left -= rows) {
    rows = share(left, tiles);
    run_tiles(&t, known && rows >= ROWS - 1 ? SWEPT : t.way, VECTORS, rows);
    t.a += packed_step(w);
    t.c += rows * t.c_row;
  }
}

/* Tiles of any part of C that has the rows of a strip, by way of a copy. */
static void part_strip(const WORK *w, int64_t column, int64_t width) {
  const ct__product *p = w->p;
  T out[(STRIP_ROWS * VECTORS > WIDE ? STRIP_ROWS * VECTORS : WIDE) * LANES];
  int64_t whole = whole_vectors(width);
  int64_t copied = w->to == p->k && width < whole ? w->copied : 0, k = depth(w) - copied;
  TILE t = first_tile(w, column, width);
  t.c = out;
  t.c_row = whole;
  t.k = k;
  t.alpha = 1;
  t.add = false;
  if (k > 0) tiles_down(w, &t, whole, false);
  if (copied > 0) {
    t.a = w->a + k * t.a_column;
    t.b = w->copy;
    t.c = out;
    t.b_row = whole;
    t.k = copied;
    t.add = k > 0;
    tiles_down(w, &t, whole, false);
  }
  store_any(p, w->add, w->row, column, (int)w->rows, (int)width, (int)whole, w->alpha, out);
}

static void part_tiles(const WORK *w, int64_t column, int64_t width) {
  WORK part = *w;
  for (int64_t left = w->rows; left > 0; left -= part.rows) {
    part.row = w->row + w->rows - left;
    part.rows = at_most(left, STRIP_ROWS);
    part.tiles = ((int)part.rows + ROWS - 1) / ROWS;
    part.a = w->a + (part.row - w->row) * (w->whole_a ? w->p->k : w->p->a.row);
    part_strip(&part, column, width);
  }
}

/* Many rows of A where they lie pass a B that stays in the second cache. */
static bool passes(const WORK *w) {
  const ct__product *p = w->p;
  return goes_down(p) && p->a.column == 1 && p->m > LATE_ROWS &&
         (double)p->n * (double)depth(w) * sizeof(T) <= NEAR_BYTES;
}

static int64_t strip_rows(const WORK *w) {
  if (w->strips) return at_most(STRIP_ROWS, SCRATCH / packed_step(w) * ROWS);
  int64_t near = NEAR_BYTES / (int64_t)sizeof(T) / depth(w) / ROWS * ROWS;
  return goes_down(w->p) && !passes(w) && near > STRIP_ROWS ? near : STRIP_ROWS;
}

/* Strips of a block are whole; the last two share what is left. */
static int64_t next_rows(int64_t left, int64_t most) {
  return left <= most ? left : left < most + ROWS ? (left / 2 + ROWS - 1) / ROWS * ROWS : most;
}

/* Packs a panel, if it is time, and says what each tile fetches meanwhile: a row of the next strip;
 * or of the next panel a column, where it lies in columns, or as much memory as that takes. */
static void enter_panel(WORK *w, int64_t column, int64_t width) {
  const ct__product *p = w->p;
  int64_t next = column + panel_of(p), whole = whole_vectors(width), row;
  int64_t below = w->rows + column / panel_of(p) * w->tiles;
  bool late = packs_late(p, width);
  if (late && width < whole) memset(w->scratch, 0, (size_t)(depth(w) * whole) * sizeof(T));
  if (late)
    (p->b.row == 1 ? pack_columns : pack_rows)(p, w->from, w->to, column, width, w->scratch, whole);
  w->fetch = w->a;
  w->next_fetch = 0;
  if (passes(w) && w->row + below + w->tiles <= p->m) {
    w->fetch += below * p->a.row;
    w->next_fetch = p->a.row;
  } else if (passes(w) || next >= p->n) {
    return;
  } else if (late && p->b.row == 1) {
    w->fetch = (const T *)(const void *)p->b.data + next * p->b.column + w->from;
    w->next_fetch = p->b.column;
  } else if (w->all) {
    w->fetch = panel_at(w, next, at_most(p->n - next, panel_of(p)), &row);
    w->next_fetch = depth(w);
  }
}

/* All rows of a block and so few of its columns that what is read of B stays near. */
static void near_tiles(WORK *w, ct__part block) {
  const ct__product *p = w->p;
  int64_t bottom = block.row + block.rows, end = block.column + block.columns, panel = panel_of(p);
  bool down = goes_down(p);
  int64_t most = strip_rows(w), swept = sweeps(p) && p->c.column == 1 ? block.columns / panel : 0;
  for (w->row = block.row; w->row < bottom; w->row += w->rows) {
    w->rows = next_rows(bottom - w->row, most);
    w->tiles = ((int)w->rows + ROWS - 1) / ROWS;
    if (w->strips)
      pack_strip(w);
    else
      w->a = w->whole_a ? w->packed + w->row * p->k + w->from * ROWS : a_at(p, w->row, w->from);
    w->fetch = w->a;
    if (swept > 0) swept_tiles(w, block.column, swept);
    /* Rows of A that lie apart are not foreseen by the processor. */
    bool apart = !a_packed(w) && p->a.row == 1 && w->row + w->rows < bottom;
    int64_t ahead = apart ? w->rows : 0;
    for (int64_t j = block.column + swept * panel; j < end; j += panel, ahead = 0) {
      int64_t width = at_most(end - j, panel);
      if (down) enter_panel(w, j, width);
      if (p->c.column == 1 && width % LANES == 0)
        whole_tiles(w, j, width, ahead);
      else
        part_tiles(w, j, width);
    }
  }
}

/* ---- one row of A ---------------------------------------------------------------------------- */

/* Whole rows of B from far memory stream faster than panels of it one by one; so do few rows, and
 * some of B. */
static bool streams(const ct__product *p, ct__part block) {
  if (p->m > 1 || p->add || p->c.column != 1 || packs_all(p)) return false;
  int64_t row = p->b.row * (int64_t)sizeof(T);
  if (p->leaves) return block.columns >= panel_of(p);
  bool far = row >= FAR_BYTES && p->k >= FAR_AWAY / row;
  return block.columns == p->n && (far || (p->k <= SHALLOW && p->n >= panel_of(p)));
}

/* c += a_i b_i for the rows of B that are listed, i in row, or the first n. */
INLINE void stream_rows(int n, const int *row, int64_t columns, const T *a, int64_t a_step,
                        const T *b, int64_t b_row, T *c) {
  T factor[STREAMS];
  const T *at[STREAMS];
  UNROLL for (int r = 0; r < n; r++) {
    int64_t i = row ? row[r] : r;
    at[r] = b + i * b_row;
    factor[r] = a[i * a_step];
  }
  for (int64_t j = 0; j < columns; j += WIDE / 2 * LANES)
    UNROLL for (int64_t v = j; v < j + WIDE / 2 * LANES; v += LANES) {
      VECTOR sum = READ(c + v);
      UNROLL for (int r = 0; r < n; r++) sum += READ(at[r] + v) * factor[r];
      AT(c + v) = sum;
    }
}

/* c += a B; the same sums as by tiles. */
static void stream_all(const ct__product *p, int64_t columns, const T *b, T *c) {
  const T *a = a_at(p, 0, 0);
  int64_t left = p->k, a_step = p->a.column, b_row = p->b.row;
  for (; left >= STREAMS; left -= STREAMS, a += STREAMS * a_step, b += STREAMS * b_row)
    stream_rows(STREAMS, NULL, columns, a, a_step, b, b_row, c);
  for (; left > 0; left--, a += a_step, b += b_row)
    stream_rows(1, NULL, columns, a, a_step, b, b_row, c);
}

/* The same but for rows of B that meet a 0. */
static void stream_some(const ct__product *p, int64_t columns, const T *b, T *c) {
  const T *a = a_at(p, 0, 0);
  int64_t a_step = p->a.column, b_row = p->b.row;
  int row[AT_ONCE];
  for (int64_t left = p->k, rows; left > 0; left -= rows, a += rows * a_step, b += rows * b_row) {
    rows = at_most(left, AT_ONCE);
    int n = list_rows(false, (int)rows, a, a_step, row), i = 0;
    for (; i + STREAMS <= n; i += STREAMS)
      stream_rows(STREAMS, row + i, columns, a, a_step, b, b_row, c);
    for (; i < n; i++) stream_rows(1, row + i, columns, a, a_step, b, b_row, c);
  }
}

/* Whole panels of C. */
static void by_streams(const ct__product *p, ct__part block) {
  const T *b = (const T *)(const void *)p->b.data + block.column;
  T *c = c_at(p, 0, block.column), alpha = (T)p->alpha;
  memset(c, 0, (size_t)block.columns * sizeof(T));
  (p->leaves ? stream_some : stream_all)(p, block.columns, b, c);
  for (int64_t j = 0; j < block.columns && alpha != 1; j++) c[j] *= alpha;
}

static void by_tiles(const ct__product *p, ct__part block, const void *packed) {
  if (streams(p, block)) {
    ct__part panels = block;
    panels.columns -= block.columns % panel_of(p);
    by_streams(p, panels);
    block.column += panels.columns;
    block.columns -= panels.columns;
    if (block.columns == 0) return;
  }
  _Alignas(64) T scratch[SCRATCH];
  T copy[LANES * MOST_COPIED];
  int64_t panel = panel_of(p), width = (block.columns - 1) % panel + 1;
  int64_t last = block.column + block.columns - width, whole = whole_vectors(width);
  int64_t pieces = p->m == 1 ? 1 : (p->k + DEPTH - 1) / DEPTH;
  int64_t each = p->k / pieces / PIECE_UNIT * PIECE_UNIT;
  int64_t more = (p->k - each * pieces) / PIECE_UNIT;
  bool strips = packs_strips(p);
  WORK w = {.p = p,
            .packed = packed,
            .copy = copy,
            .copied = count_copied(p, width),
            .all = packs_all(p),
            .strips = strips,
            .whole_a = packs_rows(p),
            .add = p->add,
            .alpha = strips || packs_rows(p) ? 1 : (T)p->alpha,
            .scratch = scratch};
  if (w.copied) {
    memset(copy, 0, (size_t)(w.copied * whole) * sizeof(T));
    pack_rows(p, p->k - w.copied, p->k, last, width, copy, whole);
  }
  for (; w.from < p->k; w.from = w.to, w.add = true) {
    w.to = pieces-- == 1 ? p->k : w.from + each + (more-- > 0 ? PIECE_UNIT : 0);
    int64_t near = NEAR_BYTES / (int64_t)sizeof(T);
    ct__part part = block;
    if (near < (w.to - w.from) * block.columns) {
      near = near / (w.to - w.from) / panel * panel;
      part.columns = near > 0 ? near : panel;
    }
    for (int64_t left = block.columns; left > 0;
         left -= part.columns, part.column += part.columns) {
      part.columns = at_most(left, part.columns);
      near_tiles(&w, part);
    }
  }
}

/* ---- sums along contiguous memory ------------------------------------------------------------ */

/* Interleaves vectors i and i + half and adds what were their halves: one vector of the two with
 * half of the work of both done. */
INLINE void fold(VECTOR *x, int half) {
  UNROLL for (int i = 0; i < half; i++) x[i] =
      __builtin_shufflevector(x[i], x[i + half], JOIN(LOW_, LANES)) +
      __builtin_shufflevector(x[i], x[i + half], JOIN(HIGH_, LANES));
}

/* The sum over the elements of each of n vectors; n is a power of two, at most 16. */
INLINE void totals(VECTOR *x, int n, T *total) {
  int group = n < LANES ? n : LANES;
  UNROLL for (int g = 0; g < n; g += group) {
    if (group > 8) fold(x + g, 8);
    if (group > 4) fold(x + g, 4);
    if (group > 2) fold(x + g, 2);
    if (group > 1) fold(x + g, 1);
    AT(total + g) = x[g];
    UNROLL for (int half = LANES / 2; half >= group; half /= 2)
        store_few(half, 1, true, total + g + half, total + g);
  }
}

INLINE void dots_of(const ct__product *p, int64_t row, int64_t column, int rows, int columns) {
  const T *a = a_at(p, row, 0), *b = (const T *)(const void *)p->b.data + column * p->b.column;
  int64_t k = p->k, a_row = p->a.row, b_column = p->b.column, i = 0;
  VECTOR sum[SUMS], fewer[WIDE]; /* of what there is less of: it stays in registers */
  UNROLL for (int x = 0; x < rows * columns; x++) sum[x] = (VECTOR){0};
  NOUNROLL for (; i + LANES <= k; i += LANES) {
    if (rows <= columns) {
      UNROLL for (int r = 0; r < rows; r++) fewer[r] = READ(a + r * a_row + i);
      UNROLL for (int j = 0; j < columns; j++) {
        VECTOR of_b = READ(b + j * b_column + i);
        UNROLL for (int r = 0; r < rows; r++) sum[r * columns + j] += fewer[r] * of_b;
      }
    } else {
      UNROLL for (int j = 0; j < columns; j++) fewer[j] = READ(b + j * b_column + i);
      UNROLL for (int r = 0; r < rows; r++) {
        VECTOR of_a = READ(a + r * a_row + i);
        UNROLL for (int j = 0; j < columns; j++) sum[r * columns + j] += of_a * fewer[j];
      }
    }
  }
  T total[SUMS + LANES];
  totals(sum, rows * columns, total);
  for (; i < k; i++)
    for (int r = 0; r < rows; r++)
      for (int j = 0; j < columns; j++)
        total[r * columns + j] += a[r * a_row + i] * b[j * b_column + i];
  store_any(p, p->add, row, column, rows, columns, columns, (T)p->alpha, total);
}

#define DOTS(name, rows, columns)                                                                  \
  static void name(const ct__product *p, int64_t row, int64_t column) {                            \
    dots_of(p, row, column, rows, columns);                                                        \
  }
EACH_DOTS(DOTS)
#undef DOTS

#define DOTS(name, rows, columns) {rows, columns, name},
static const struct {
  int rows, columns;
  void (*run)(const ct__product *p, int64_t row, int64_t column);
} dots_table[] = {EACH_DOTS(DOTS)};
#undef DOTS

static void by_dots(const ct__product *p, ct__part block, const void *packed) {
  (void)packed;
  int64_t bottom = block.row + block.rows, right = block.column + block.columns, i = block.row;
  for (int rows; i < bottom; i += rows) {
    rows = bottom - i >= DOT_SUMS ? DOT_SUMS : bottom - i >= DOT_ROWS ? DOT_ROWS : 1;
    for (int64_t j = block.column; j < right;) {
      int x = 0; /* the first that fits */
      while (dots_table[x].rows > rows || dots_table[x].columns > right - j) x++;
      for (int r = 0; r < rows; r += dots_table[x].rows) dots_table[x].run(p, i + r, j);
      j += dots_table[x].columns;
    }
  }
}

/* ---- outer products -------------------------------------------------------------------------- */

/* c[r] (+)= factor[r] b for n numbers, whole vectors: what is read of b serves several rows. */
INLINE void outer_rows(bool add, int rows, int64_t n, const T *b, T *const *c, const T *factor) {
  enum { STEP = LINE_BYTES / (int)sizeof(T) };
  NOUNROLL for (int64_t j = 0; j < n; j += STEP) {
    LINE of_b = *(const LINE *)(b + j);
    UNROLL for (int r = 0; r < rows; r++) {
      LINE was = {0};
      if (add) was = *(const LINE *)(c[r] + j);
      *(LINE *)(c[r] + j) = was + of_b * factor[r];
    }
  }
}

/* Added to all rows of a block, or to those listed. From the last one to the first: what reads the
 * matrix from its start on finds that near, as this finds what was read last. */
INLINE void outer_listed(const ct__product *p, ct__part block, const int *row) {
  const T *a = a_at(p, block.row, 0), *b = (const T *)(const void *)p->b.data + block.column;
  T *c = c_at(p, block.row, block.column), alpha = (T)p->alpha, *at[STREAMS], factor[STREAMS];
  int64_t a_row = p->a.row, c_row = p->c.row, i = block.rows;
  int few = (int)(block.columns % (LINE_BYTES / (int)sizeof(T)));
  int64_t whole = block.columns - few;
  while (i >= STREAMS) {
    i -= STREAMS;
    UNROLL for (int r = 0; r < STREAMS; r++) {
      int64_t x = row ? row[i + r] : i + r;
      at[r] = c + x * c_row;
      factor[r] = alpha * a[x * a_row];
    }
    outer_rows(true, STREAMS, whole, b, at, factor);
  }
  while (i-- > 0) {
    int64_t x = row ? row[i] : i;
    at[0] = c + x * c_row;
    factor[0] = alpha * a[x * a_row];
    outer_rows(true, 1, whole, b, at, factor);
  }
  for (i = block.rows; few > 0 && i > 0; i--) {
    int64_t x = row ? row[i - 1] : i - 1;
    store_few(few, alpha * a[x * a_row], true, b + whole, c + x * c_row + whole);
  }
}

static void outer_added(const ct__product *p, ct__part block) { outer_listed(p, block, NULL); }

/* What is only written goes row by row from the first on: far memory takes that twice as fast. */
static void outer_stored(const ct__product *p, ct__part block) {
  const T *a = a_at(p, block.row, 0), *b = (const T *)(const void *)p->b.data + block.column;
  T *c = c_at(p, block.row, block.column), alpha = (T)p->alpha;
  int few = (int)(block.columns % (LINE_BYTES / (int)sizeof(T)));
  int64_t a_row = p->a.row, c_row = p->c.row, whole = block.columns - few;
  for (int64_t i = 0; i < block.rows; i++, c += c_row) {
    T factor = alpha * a[i * a_row];
    outer_rows(false, 1, whole, b, &c, &factor);
    store_few(few, factor, false, b + whole, c + whole);
  }
}

/* Rows whose factor is 0 are left alone. */
static void outer_some(const ct__product *p, ct__part block) {
  int64_t top = block.row, left = block.rows;
  for (int row[AT_A_TIME], rows; left > 0; left -= rows) {
    rows = (int)at_most(left, AT_A_TIME);
    block.row = top + left - rows;
    block.rows = list_rows(false, rows, a_at(p, block.row, 0), p->a.row, row);
    outer_listed(p, block, row);
  }
}

static bool leaves_rows(const ct__product *p, ct__part block) {
  int rows = (int)at_most(block.rows, INT32_MAX);
  return p->add && block.columns >= LONG_ROW && (T)p->alpha * 0 == 0 &&
         count_zeros(rows, a_at(p, block.row, 0), p->a.row) > rows / 8 &&
         all_finite(block.columns, (const T *)(const void *)p->b.data + block.column);
}

static void by_outer(const ct__product *p, ct__part block, const void *packed) {
  (void)packed;
  (leaves_rows(p, block) ? outer_some : p->add ? outer_added : outer_stored)(p, block);
}

const ct__gemm_set CT__TYPE_NAME(ct__gemm) = {.lane_bits = __builtin_ctz(LANES),
                                              .rows = 2 * ROWS,
                                              .panel = VECTORS * LANES,
                                              .wide_panel = WIDE * LANES,
                                              .least_depth = TAIL,
                                              .tiles = by_tiles,
                                              .dots = by_dots,
                                              .outer = by_outer,
                                              .down = goes_down,
                                              .packed_lines = count_lines,
                                              .units = count_units,
                                              .pack = pack_units};
