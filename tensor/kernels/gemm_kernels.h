/* gemm_kernels.h - the kernels of one float type T, named TYPE, of which a vector holds LANES: part
 * of gemm.c, included for each. */

#define VECTOR     OF_TYPE(vector)
#define IN_MEMORY  OF_TYPE(in_memory)
#define TILE       OF_TYPE(tile)
#define AT(memory) (*(IN_MEMORY *)(memory))
#define READ(from) (*(const IN_MEMORY *)(from))

typedef T VECTOR __attribute__((vector_size(VECTOR_BYTES)));
typedef T IN_MEMORY __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));

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

/* Sums that are no whole vectors of a row of C. */
static void OF_TYPE(scatter)(const TILE *t, int rows, int step, const T *sum) {
  bool along_rows = t->c_column == 1;
  int64_t n = along_rows ? rows : t->columns, m = along_rows ? t->columns : rows;
  int64_t c_n = along_rows ? t->c_row : t->c_column, c_m = along_rows ? 1 : t->c_row;
  int64_t sum_n = along_rows ? step : 1, sum_m = along_rows ? 1 : step;
  for (int64_t i = 0; i < n; i++) {
    T *c = t->c + i * c_n;
    const T *s = sum + i * sum_n;
    if (t->add)
      for (int64_t j = 0; j < m; j++) c[j * c_m] += t->alpha * s[j * sum_m];
    else
      for (int64_t j = 0; j < m; j++) c[j * c_m] = t->alpha * s[j * sum_m];
  }
}

INLINE void OF_TYPE(tile_of)(const TILE *t, int rows, int vectors) {
  VECTOR sum[SUMS];
  UNROLL for (int i = 0; i < rows * vectors; i++) sum[i] = (VECTOR){0};
  const T *a = t->a;
  int64_t a_row = t->a_row, a_column = t->a_column;
  NOUNROLL for (int run = 0; run < 2; run++) {
    const T *b = t->b[run];
    int64_t b_row = t->b_row[run], k = t->k[run];
    NOUNROLL for (int64_t i = 0; i < k; i++, a += a_column, b += b_row) {
      VECTOR line[WIDE];
      UNROLL for (int v = 0; v < vectors; v++) line[v] = READ(b + v * LANES);
      UNROLL for (int r = 0; r < rows; r++) {
        T factor = a[r * a_row];
        UNROLL for (int v = 0; v < vectors; v++) sum[r * vectors + v] += line[v] * factor;
      }
    }
  }
  T *c = t->c, alpha = t->alpha;
  int64_t c_row = t->c_row;
  if (t->c_column != 1 || t->columns != vectors * LANES) {
    T out[SUMS * LANES];
    UNROLL for (int i = 0; i < rows * vectors; i++) AT(out + i * LANES) = sum[i];
    OF_TYPE(scatter)(t, rows, vectors * LANES, out);
  } else if (t->add) {
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++)
        AT(c + r * c_row + v * LANES) += sum[r * vectors + v] * alpha;
  } else {
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++)
        AT(c + r * c_row + v * LANES) = sum[r * vectors + v] * alpha;
  }
}

#define ONE_TILE(r, v)                                                                             \
  static void OF_TYPE(tile_##r##_##v)(const TILE *t) { OF_TYPE(tile_of)(t, r, v); }
EACH_TILE(ONE_TILE)
#undef ONE_TILE

#define ONE_TILE(r, v) [v][r] = OF_TYPE(tile_##r##_##v),
static void (*const OF_TYPE(tile_table)[WIDE + 1][ROWS + 1])(const TILE *) = {EACH_TILE(ONE_TILE)};
#undef ONE_TILE

/* ---- panels ---------------------------------------------------------------------------------- */

static int64_t OF_TYPE(whole_vectors)(int64_t n) { return (n + LANES - 1) / LANES * LANES; }
static int64_t OF_TYPE(panel_of)(const ct__product *p) {
  return LANES * (p->m == 1 ? WIDE : VECTORS);
}

/* A last panel of partial vectors can be read where it lies if what follows a row is the next row:
 * all but the last few rows, which are copied. */
static bool OF_TYPE(runs_on)(const ct__product *p) { return p->b.column == 1 && p->b.row == p->n; }

static bool OF_TYPE(in_place)(const ct__product *p, int64_t width) {
  return p->b.column == 1 && (width % LANES == 0 || OF_TYPE(runs_on)(p));
}

static int64_t OF_TYPE(packed_columns)(const ct__product *p) {
  if (p->b.column != 1) return OF_TYPE(whole_vectors)(p->n);
  int64_t last = p->n % OF_TYPE(panel_of)(p);
  return OF_TYPE(in_place)(p, last) ? 0 : OF_TYPE(whole_vectors)(last);
}

/* Interleaving rows i and i + LANES / 2 for each i is one turn of the bits of an element's
 * position; log2(LANES) turns swap those of its row and its column. */
INLINE void OF_TYPE(transpose)(const T *from, int64_t from_row, T *to, int64_t to_row) {
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

/* Columns that are contiguous, k long and `step` apart, side by side. */
static void OF_TYPE(pack_columns)(int64_t k, int64_t columns, const T *b, int64_t step, T *to,
                                  int64_t to_row) {
  int64_t x = 0;
  for (; x + LANES <= columns; x += LANES) {
    int64_t i = 0;
    for (; i + LANES <= k; i += LANES)
      OF_TYPE(transpose)(b + x * step + i, step, to + i * to_row + x, to_row);
    for (; i < k; i++)
      for (int64_t j = x; j < x + LANES; j++) to[i * to_row + j] = b[j * step + i];
  }
  for (; x < columns; x++)
    for (int64_t i = 0; i < k; i++) to[i * to_row + x] = b[x * step + i];
}

/* Any elements, rows from <= i < p->k of a panel. */
static void OF_TYPE(pack_rows)(const ct__product *p, int64_t from, int64_t column, int64_t columns,
                               T *to, int64_t to_row) {
  const T *b = (const T *)(const void *)p->b.data + column * p->b.column;
  for (int64_t i = from; i < p->k; i++, to += to_row)
    for (int64_t j = 0; j < columns; j++) to[j] = b[i * p->b.row + j * p->b.column];
}

static void OF_TYPE(pack)(const ct__product *p, int64_t column, int64_t columns, void *packed) {
  int64_t panel = OF_TYPE(panel_of)(p);
  for (int64_t j = column; j < column + columns; j += panel) {
    int64_t width = at_most(p->n - j, panel), whole = OF_TYPE(whole_vectors)(width);
    if (OF_TYPE(in_place)(p, width)) continue;
    T *to = (T *)packed + (p->b.column == 1 ? 0 : j * p->k);
    if (width < whole) memset(to, 0, (size_t)(p->k * whole) * sizeof(T));
    if (p->b.row == 1) OF_TYPE(pack_columns)
    (p->k, width, (const T *)(const void *)p->b.data + j * p->b.column, p->b.column, to, whole);
    else OF_TYPE(pack_rows)(p, 0, j, width, to, whole);
  }
}

/* One panel of a block, for one piece of the sums. */
static void OF_TYPE(panel_rows)(const ct__product *p, ct__part block, TILE t, int64_t k) {
  const T *a = (const T *)(const void *)p->a.data + block.row * p->a.row + k * p->a.column;
  T *c = (T *)(void *)p->c.data + block.row * p->c.row + block.column * p->c.column;
  int64_t tiles = (block.rows + ROWS - 1) / ROWS, vectors = (block.columns + LANES - 1) / LANES;
  for (int64_t i = 0; i < tiles; i++) {
    int64_t from = block.rows * i / tiles, to = block.rows * (i + 1) / tiles;
    t.a = a + from * p->a.row;
    t.c = c + from * p->c.row;
    OF_TYPE(tile_table)[vectors][to - from](&t);
  }
}

static void OF_TYPE(tiles)(const ct__product *p, ct__part block, const void *packed) {
  T copy[LANES * (LANES > WIDE ? LANES : WIDE)];
  const T *b = (const T *)(const void *)p->b.data;
  int64_t panel = OF_TYPE(panel_of)(p), end = block.column + block.columns;
  int64_t pieces = (p->k + DEPTH - 1) / DEPTH;
  for (int64_t piece = 0; piece < pieces; piece++) {
    int64_t from = p->k * piece / pieces, to = p->k * (piece + 1) / pieces;
    for (int64_t j = block.column; j < end; j += panel) {
      int64_t width = at_most(end - j, panel), whole = OF_TYPE(whole_vectors)(width);
      bool in_place = OF_TYPE(in_place)(p, width);
      int64_t copied = in_place ? at_most((whole - width + p->n - 1) / p->n, p->k) : 0;
      int64_t lying = p->k - copied, split = from > lying ? from : at_most(to, lying);
      if (copied) {
        memset(copy, 0, (size_t)(copied * whole) * sizeof(T));
        OF_TYPE(pack_rows)(p, lying, j, width, copy, whole);
      }
      TILE t = {.a_row = p->a.row,
                .a_column = p->a.column,
                .b_row = {in_place ? p->b.row : whole, whole},
                .k = {split - from, to - split},
                .c_row = p->c.row,
                .c_column = p->c.column,
                .columns = width,
                .alpha = (T)p->alpha,
                .add = p->add || piece > 0};
      t.b[0] = in_place           ? b + j + from * p->b.row
               : p->b.column == 1 ? (const T *)packed + from * whole
                                  : (const T *)packed + j * p->k + from * whole;
      t.b[1] = copy + (split - lying) * (copied ? whole : 0);
      OF_TYPE(panel_rows)(p, (ct__part){block.row, block.rows, j, width}, t, from);
    }
  }
}

/* ---- sums along contiguous memory ------------------------------------------------------------ */

INLINE void OF_TYPE(dots_of)(const ct__product *p, int64_t row, int64_t column, int rows,
                             int columns) {
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
  for (int r = 0; r < rows; r++)
    for (int j = 0; j < columns; j++) {
      T part[LANES];
      AT(part) = sum[r * columns + j];
      UNROLL for (int half = LANES / 2; half > 0; half /= 2) UNROLL for (int x = 0; x < half; x++)
          part[x] += part[x + half];
      for (int64_t x = i; x < k; x++) part[0] += a[r * a_row + x] * b[j * b_column + x];
      T *c = (T *)(void *)p->c.data + (row + r) * p->c.row + (column + j) * p->c.column;
      *c = p->add ? *c + (T)p->alpha * part[0] : (T)p->alpha * part[0];
    }
}

#define DOTS(name, rows, columns)                                                                  \
  static void OF_TYPE(name)(const ct__product *p, int64_t row, int64_t column) {                   \
    OF_TYPE(dots_of)(p, row, column, rows, columns);                                               \
  }
DOTS(dots_some_rows, DOT_ROWS, DOT_COLUMNS)
DOTS(dots_rest, DOT_ROWS, 1)
DOTS(dots_one_row, 1, WIDE)
DOTS(dots_one, 1, 1)
#undef DOTS

static void OF_TYPE(dots)(const ct__product *p, ct__part block, const void *packed) {
  (void)packed;
  int64_t bottom = block.row + block.rows, right = block.column + block.columns, i = block.row, j;
  for (; i + DOT_ROWS <= bottom; i += DOT_ROWS) {
    for (j = block.column; j + DOT_COLUMNS <= right; j += DOT_COLUMNS)
      OF_TYPE(dots_some_rows)(p, i, j);
    for (; j < right; j++) OF_TYPE(dots_rest)(p, i, j);
  }
  for (; i < bottom; i++) {
    for (j = block.column; j + WIDE <= right; j += WIDE) OF_TYPE(dots_one_row)(p, i, j);
    for (; j < right; j++) OF_TYPE(dots_one)(p, i, j);
  }
}

/* ---- outer products -------------------------------------------------------------------------- */

static void OF_TYPE(outer)(const ct__product *p, ct__part block, const void *packed) {
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

#undef VECTOR
#undef IN_MEMORY
#undef TILE
#undef AT
#undef READ
