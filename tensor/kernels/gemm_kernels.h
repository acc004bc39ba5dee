/* gemm_kernels.h - the kernels of one float type T, named TYPE, of which a vector holds LANES: part
 * of gemm.c, included for each. */

typedef T VECTOR __attribute__((vector_size(VECTOR_BYTES)));
typedef T IN_MEMORY __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));

/* A quarter of a vector, or 16 bytes. */
enum { OF_TYPE(QUARTER) = FEW_BYTES / (int)sizeof(T) };
typedef T FEW __attribute__((vector_size(FEW_BYTES)));
typedef T FEW_IN_MEMORY __attribute__((vector_size(FEW_BYTES), aligned(sizeof(T)), may_alias));

/* ---- tiles ----------------------------------------------------------------------------------- */

/* C (rows, columns) (+)= alpha A B for a tile of C in registers: two runs of rows of B, the second
 * being a copy of those that cannot be read where they lie. */
typedef struct TILE {
  const T *a, *b[2];
  T *c;
  int64_t a_row, a_column, b_row[2], k[2], c_row, c_column, columns;
  T alpha;
  bool add;
} TILE;

/* c[j] (+)= alpha sum[j] for n contiguous numbers, too few for whole vectors. */
INLINE void store_few(int n, T alpha, bool add, const T *sum, T *c) {
  int j = 0;
  for (; j + QUARTER <= n; j += QUARTER) {
    FEW was = {0};
    if (add) was = *(const FEW_IN_MEMORY *)(c + j);
    *(FEW_IN_MEMORY *)(c + j) = was + *(const FEW_IN_MEMORY *)(sum + j) * alpha;
  }
  for (; j < n; j++) c[j] = (add ? c[j] : 0) + alpha * sum[j];
}

/* Sums that are no whole vectors of a row of C. */
static void store_any(const TILE *t, int rows, int step, const T *sum) {
  if (t->c_column == 1) {
    for (int r = 0; r < rows; r++)
      store_few((int)t->columns, t->alpha, t->add, sum + r * step, t->c + r * t->c_row);
    return;
  }
  for (int64_t j = 0; j < t->columns; j++)
    for (int r = 0; r < rows; r++) {
      T *c = t->c + r * t->c_row + j * t->c_column;
      *c = (t->add ? *c : 0) + t->alpha * sum[r * step + j];
    }
}

/* One row of B to the sums of a tile. */
INLINE void add_row(VECTOR *sum, int rows, int vectors, const T *a, int64_t a_row, const T *b) {
  VECTOR line[WIDE];
  UNROLL for (int v = 0; v < vectors; v++) line[v] = READ(b + v * LANES);
  UNROLL for (int r = 0; r < rows; r++) {
    T factor = a[r * a_row];
    UNROLL for (int v = 0; v < vectors; v++) sum[r * vectors + v] += line[v] * factor;
  }
}

/* Few sums would wait for each other: then several of each, for every second or fourth row of B. */
INLINE void tile_of(const TILE *t, int rows, int vectors) {
  int n = rows * vectors, each = n <= 2 ? 4 : n <= 4 ? 2 : 1;
  VECTOR sum[SUMS];
  UNROLL for (int i = 0; i < n * each; i++) sum[i] = (VECTOR){0};
  const T *a = t->a;
  int64_t a_row = t->a_row, a_column = t->a_column;
  T *c = t->c, alpha = t->alpha;
  int64_t c_row = t->c_row;
  NOUNROLL for (int run = 0; run < 2; run++) {
    const T *b = t->b[run];
    int64_t b_row = t->b_row[run], k = t->k[run];
    if (each > 1)
      NOUNROLL for (; k >= each; k -= each)
          UNROLL for (int e = 0; e < each; e++, a += a_column, b += b_row)
              add_row(sum + e * n, rows, vectors, a, a_row, b);
    NOUNROLL for (; k > 0; k--, a += a_column, b += b_row) add_row(sum, rows, vectors, a, a_row, b);
  }
  if (each > 2) UNROLL for (int i = 0; i < 2 * n; i++) sum[i] += sum[2 * n + i];
  if (each > 1) UNROLL for (int i = 0; i < n; i++) sum[i] += sum[n + i];
  if (t->c_column != 1 || t->columns != vectors * LANES) {
    T out[SUMS * LANES];
    UNROLL for (int i = 0; i < n; i++) AT(out + i * LANES) = sum[i];
    store_any(t, rows, vectors * LANES, out);
    return;
  }
  bool add = t->add;
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++) {
    VECTOR was = {0};
    if (add) was = READ(c + r * c_row + v * LANES);
    AT(c + r * c_row + v * LANES) = was + sum[r * vectors + v] * alpha;
  }
}

#define ONE_TILE(r, v)                                                                             \
  static void OF_TYPE(tile_##r##_##v)(const TILE *t) { tile_of(t, r, v); }
EACH_TILE(ONE_TILE)
#undef ONE_TILE

#define ONE_TILE(r, v) [v][r] = OF_TYPE(tile_##r##_##v),
static void (*const tile_table[WIDE + 1][ROWS + 1])(const TILE *) = {EACH_TILE(ONE_TILE)};
#undef ONE_TILE

/* ---- panels ---------------------------------------------------------------------------------- */

static int64_t whole_vectors(int64_t n) { return (n + LANES - 1) / LANES * LANES; }
static int64_t panel_of(const ct__product *p) { return LANES * (p->m == 1 ? WIDE : VECTORS); }

/* A last panel of partial vectors can be read where it lies if what follows a row is the next row:
 * all but the last few rows, which are copied. */
static bool runs_on(const ct__product *p) { return p->b.column == 1 && p->b.row == p->n; }

static bool lies_ready(const ct__product *p, int64_t width) {
  return p->b.column == 1 && (width % LANES == 0 || runs_on(p));
}

static int64_t count_packed(const ct__product *p) {
  if (p->b.column != 1) return whole_vectors(p->n);
  int64_t last = p->n % panel_of(p);
  return lies_ready(p, last) ? 0 : whole_vectors(last);
}

/* Interleaving rows i and i + LANES / 2 for each i is one turn of the bits of an element's
 * position; log2(LANES) turns swap those of its row and its column. */
INLINE void transpose(const T *from, int64_t from_row, T *to, int64_t to_row) {
  VECTOR row[LANES], next[LANES];
  UNROLL for (int i = 0; i < LANES; i++) row[i] = READ(from + i * from_row);
  UNROLL for (int turn = 1; turn < LANES; turn *= 2) {
    UNROLL for (int i = 0; i < LANES / 2; i++) {
      next[2 * i] = __builtin_shufflevector(row[i], row[i + LANES / 2], JOIN(LOW_, LANES));
      next[2 * i + 1] = __builtin_shufflevector(row[i], row[i + LANES / 2], JOIN(HIGH_, LANES));
    }
    UNROLL for (int i = 0; i < LANES; i++) row[i] = next[i];
  }
  UNROLL for (int i = 0; i < LANES; i++) AT(to + i * to_row) = row[i];
}

/* Columns that are contiguous, side by side. */
static void pack_columns(const ct__product *p, int64_t column, int64_t columns, T *to,
                         int64_t to_row) {
  int64_t k = p->k, step = p->b.column, x = 0;
  const T *b = (const T *)(const void *)p->b.data + column * step;
  for (; x + LANES <= columns; x += LANES) {
    int64_t i = 0;
    for (; i + LANES <= k; i += LANES)
      transpose(b + x * step + i, step, to + i * to_row + x, to_row);
    /* What follows the rest of a column is the next one. */
    if (i < k && step == k && (p->n - column - x - LANES) * k >= i + LANES - k) {
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

/* Any elements, rows from <= i < p->k of a panel. */
static void pack_rows(const ct__product *p, int64_t from, int64_t column, int64_t columns, T *to,
                      int64_t to_row) {
  const T *b = (const T *)(const void *)p->b.data + column * p->b.column;
  for (int64_t i = from; i < p->k; i++, to += to_row)
    for (int64_t j = 0; j < columns; j++) to[j] = b[i * p->b.row + j * p->b.column];
}

static void pack_panels(const ct__product *p, int64_t column, int64_t columns, void *packed) {
  int64_t panel = panel_of(p);
  for (int64_t j = column; j < column + columns; j += panel) {
    int64_t width = at_most(p->n - j, panel), whole = whole_vectors(width);
    if (lies_ready(p, width)) continue;
    T *to = (T *)packed + (p->b.column == 1 ? 0 : j * p->k);
    if (width < whole) memset(to, 0, (size_t)(p->k * whole) * sizeof(T));
    if (p->b.row == 1)
      pack_columns(p, j, width, to, whole);
    else
      pack_rows(p, 0, j, width, to, whole);
  }
}

/* Rows of the last panel that are copied. */
static int64_t count_copied(const ct__product *p, int64_t width) {
  return lies_ready(p, width) ? at_most((whole_vectors(width) - width + p->n - 1) / p->n, p->k) : 0;
}

/* Rows from <= i < to of B times the columns from j on of a panel. t.b[1] is the copy of the last
 * rows, which are fewer than those of a piece of the sums. */
static void panel_tiles(const ct__product *p, const void *packed, int64_t from, int64_t to,
                        int64_t j, TILE t, int64_t rows_left) {
  int64_t whole = whole_vectors(t.columns);
  int64_t split = at_most(to, p->k - count_copied(p, t.columns));
  bool ready = lies_ready(p, t.columns);
  t.b_row[0] = ready ? p->b.row : whole;
  t.b[0] = ready ? (const T *)(const void *)p->b.data + j + from * p->b.row
                 : (const T *)packed + (p->b.column == 1 ? 0 : j * p->k) + from * whole;
  t.b_row[1] = whole;
  t.k[0] = split - from;
  t.k[1] = to - split;
  int64_t tiles = (rows_left + ROWS - 1) / ROWS, rows = (rows_left + tiles - 1) / tiles;
  for (; rows_left > 0; rows_left -= rows) {
    if ((rows - 1) * tiles >= rows_left) rows--; /* as equal as can be */
    tiles--;
    tile_table[whole / LANES][rows](&t);
    t.a += rows * t.a_row;
    t.c += rows * t.c_row;
  }
}

static void by_tiles(const ct__product *p, ct__part block, const void *packed) {
  T copy[LANES * (LANES > WIDE ? LANES : WIDE)];
  int64_t panel = panel_of(p), end = block.column + block.columns, bottom = block.row + block.rows;
  int64_t last = (block.columns - 1) / panel * panel + block.column;
  int64_t copied = count_copied(p, end - last);
  if (copied) {
    memset(copy, 0, (size_t)(copied * whole_vectors(end - last)) * sizeof(T));
    pack_rows(p, p->k - copied, last, end - last, copy, whole_vectors(end - last));
  }
  int64_t pieces = (p->k + DEPTH - 1) / DEPTH, each = p->k / pieces, more = p->k % pieces;
  TILE t = {.b = {NULL, copy},
            .a_row = p->a.row,
            .a_column = p->a.column,
            .c_row = p->c.row,
            .c_column = p->c.column,
            .alpha = (T)p->alpha,
            .add = p->add};
  for (int64_t from = 0, to; from < p->k; from = to, t.add = true) {
    to = from + each + (more-- > 0);
    /* All of B that is used stays near: then C is passed over once, row by row. */
    bool near = (to - from) * block.columns <= NEAR_BYTES / (int64_t)sizeof(T);
    int64_t strip = near ? 2 * ROWS : block.rows;
    for (int64_t i = block.row; i < bottom; i += strip)
      for (int64_t j = block.column; j < end; j += panel) {
        t.columns = at_most(end - j, panel);
        t.a = (const T *)(const void *)p->a.data + i * p->a.row + from * p->a.column;
        t.c = (T *)(void *)p->c.data + i * p->c.row + j * p->c.column;
        panel_tiles(p, packed, from, to, j, t, at_most(bottom - i, strip));
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
  const T *a = (const T *)(const void *)p->a.data + row * p->a.row;
  const T *b = (const T *)(const void *)p->b.data + column * p->b.column;
  int64_t k = p->k, a_row = p->a.row, b_column = p->b.column, i = 0;
  VECTOR sum[SUMS];
  UNROLL for (int x = 0; x < rows * columns; x++) sum[x] = (VECTOR){0};
  NOUNROLL for (; i + LANES <= k; i += LANES) {
    VECTOR of_a[DOT_ROWS];
    UNROLL for (int r = 0; r < rows; r++) of_a[r] = READ(a + r * a_row + i);
    UNROLL for (int j = 0; j < columns; j++) {
      VECTOR of_b = READ(b + j * b_column + i);
      UNROLL for (int r = 0; r < rows; r++) sum[r * columns + j] += of_a[r] * of_b;
    }
  }
  T total[SUMS + LANES];
  totals(sum, rows * columns, total);
  for (; i < k; i++)
    for (int r = 0; r < rows; r++)
      for (int j = 0; j < columns; j++)
        total[r * columns + j] += a[r * a_row + i] * b[j * b_column + i];
  TILE t = {.c = (T *)(void *)p->c.data + row * p->c.row + column * p->c.column,
            .c_row = p->c.row,
            .c_column = p->c.column,
            .columns = columns,
            .alpha = (T)p->alpha,
            .add = p->add};
  store_any(&t, rows, columns, total);
}

#define DOTS(name, rows, columns)                                                                  \
  static void name(const ct__product *p, int64_t row, int64_t column) {                            \
    dots_of(p, row, column, rows, columns);                                                        \
  }
DOTS(dots_some_rows, DOT_ROWS, DOT_COLUMNS)
DOTS(dots_rest, DOT_ROWS, 1)
DOTS(dots_one_row, 1, WIDE)
DOTS(dots_one, 1, 1)
#undef DOTS

static void by_dots(const ct__product *p, ct__part block, const void *packed) {
  (void)packed;
  int64_t bottom = block.row + block.rows, right = block.column + block.columns, i = block.row, j;
  for (; i + DOT_ROWS <= bottom; i += DOT_ROWS) {
    for (j = block.column; j + DOT_COLUMNS <= right; j += DOT_COLUMNS) dots_some_rows(p, i, j);
    for (; j < right; j++) dots_rest(p, i, j);
  }
  for (; i < bottom; i++) {
    for (j = block.column; j + WIDE <= right; j += WIDE) dots_one_row(p, i, j);
    for (; j < right; j++) dots_one(p, i, j);
  }
}

/* ---- outer products -------------------------------------------------------------------------- */

static void by_outer(const ct__product *p, ct__part block, const void *packed) {
  (void)packed;
  const T *a = (const T *)(const void *)p->a.data;
  const T *restrict b = (const T *)(const void *)p->b.data + block.column;
  for (int64_t i = block.row; i < block.row + block.rows; i++) {
    T factor = (T)p->alpha * a[i * p->a.row];
    T *restrict c = (T *)(void *)p->c.data + i * p->c.row + block.column;
    if (p->add)
      for (int64_t j = 0; j < block.columns; j++) c[j] += factor * b[j];
    else
      for (int64_t j = 0; j < block.columns; j++) c[j] = factor * b[j];
  }
}
