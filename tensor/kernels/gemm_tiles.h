/* gemm_tiles.h - blocks of C in registers: part of gemm_of_type.c. */
#include "gemm_sizes.h"

typedef T VECTOR __attribute__((vector_size(VECTOR_BYTES)));
typedef T IN_MEMORY __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));

typedef T FEW __attribute__((vector_size(FEW_BYTES)));
typedef T FEW_IN_MEMORY __attribute__((vector_size(FEW_BYTES), aligned(sizeof(T)), may_alias));

/* Lines in the second cache come and go twice as fast in halves as in whole vectors of 64 bytes. */
typedef T LINE __attribute__((vector_size(LINE_BYTES), aligned(sizeof(T)), may_alias));

#define AT(memory) (*(IN_MEMORY *)(memory))
#define READ(from) (*(const IN_MEMORY *)(from))

static int64_t at_most(int64_t n, int64_t limit) { return n < limit ? n : limit; }

static const T *a_at(const ct__product *p, int64_t row, int64_t column) {
  return (const T *)(const void *)p->a.data + row * p->a.row + column * p->a.column;
}

static T *c_at(const ct__product *p, int64_t row, int64_t column) {
  return (T *)(void *)p->c.data + row * p->c.row + column * p->c.column;
}

/* ---- blocks of sums -------------------------------------------------------------------------- */

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

/* Sums, with so many between the rows, to the block of C at (row, column). */
static void store_any(const ct__product *p, bool add, int64_t row, int64_t column, int rows,
                      int columns, int step, T alpha, const T *sum) {
  T *c = c_at(p, row, column), turned[LANES * LANES];
  int64_t c_row = p->c.row, c_column = p->c.column;
  int r = 0;
  if (c_column == 1)
    for (; r < rows; r++) store_few(columns, alpha, add, sum + r * step, c + r * c_row);
  if (c_row == 1 && step % LANES == 0)
    for (; r + LANES <= rows; r += LANES)
      for (int j = 0; j < columns; j++) {
        if (j % LANES == 0) transpose(sum + r * step + j, step, turned, LANES);
        store_few(LANES, alpha, add, turned + j % LANES * LANES, c + r + j * c_column);
      }
  for (; r < rows; r++)
    for (int j = 0; j < columns; j++) {
      T *to = c + r * c_row + j * c_column;
      *to = (add ? *to : 0) + alpha * sum[r * step + j];
    }
}

/* ---- tiles ----------------------------------------------------------------------------------- */

/* C (+)= alpha A B for tiles of C in registers, whole vectors of each row, one after another; k is
 * at least TAIL. */
typedef struct TILE {
  const T *a, *b;
  T *c;
  int64_t k, a_row, a_column, b_row, c_row;
  int64_t tiles, next_a, next_b, next_c; /* how many, and the way from each to the next */
  int way;
  int64_t ahead;  /* ANY_WAY: from A to what is used next, which is fetched */
  const T *fetch; /* BY_ROWS, BY_COLUMNS: what is used next, an element for each row of B */
  int64_t next_fetch;
  T *copy; /* COPYING: of B */
  T alpha;
  bool add;
} TILE;

/* One row of B to the sums of a tile. The second pointer into A saves registers. COPYING fetches
 * the next panel by the way: the processor does not foresee rows that lie far apart. */
INLINE void add_row(VECTOR *sum, int rows, int vectors, int way, const T *a, const T *below,
                    int64_t a_row, const T *b, T *copy) {
  VECTOR line[WIDE];
  UNROLL for (int v = 0; v < vectors; v++) line[v] = READ(b + v * LANES);
  if (way == COPYING) {
    __builtin_prefetch(b + vectors * LANES, 0, 2);
    UNROLL for (int v = 0; v < vectors; v++) AT(copy + v * LANES) = line[v];
  }
  UNROLL for (int r = 0; r < rows; r++) {
    T factor = r < ROWS / 2 ? a[r * a_row] : below[(r - ROWS / 2) * a_row];
    UNROLL for (int v = 0; v < vectors; v++) sum[r * vectors + v] += line[v] * factor;
  }
}

/* The last rows of B, then each row of C is stored as soon as it is complete: stores that come all
 * at once hold up the next tile. */
INLINE void finish(T *c, int64_t c_row, VECTOR *sum, int rows, int vectors, int tail, const T *a,
                   int64_t a_row, int64_t a_column, const VECTOR *line, bool add) {
  UNROLL for (int r = 0; r < rows; r++, a += a_row, c += c_row) {
    VECTOR *row = sum + r * vectors;
    UNROLL for (int e = 0; e < tail; e++) {
      T factor = a[e * a_column];
      UNROLL for (int v = 0; v < vectors; v++) row[v] += line[e * vectors + v] * factor;
    }
    UNROLL for (int v = 0; v < vectors; v++) {
      if (add) row[v] += READ(c + v * LANES);
      AT(c + v * LANES) = row[v];
    }
  }
}

/* Few sums would wait for each other: then several of each, for every second or fourth row of B.
 * Short vectors are done so soon that counting would hold them up: then several rows to a turn. */
INLINE void tile_of(const TILE *t, int rows, int vectors, int way) {
  int n = rows * vectors, each = n <= 2 ? 4 : n <= 4 ? 2 : 1, tail = rows > 1 ? TAIL : 0;
  bool columns = way == BY_COLUMNS, fetches = (columns || way == BY_ROWS) && vectors > 1;
  int turn = each > 1 ? each : columns ? 3 : way == ANY_WAY ? 1 : 2;
  const T *first_a = t->a, *first_b = t->b, *first_fetch = t->fetch;
  T *c = t->c;
  NOUNROLL for (int64_t tiles = t->tiles; tiles > 0; tiles--) {
    __asm__("" : "+r"(t)); /* what only the next tile wants takes no register */
    int64_t a_row = columns ? 1 : t->a_row, b_row = t->b_row, ahead = t->ahead, k = t->k - tail;
    int64_t a_column = way == BY_ROWS ? 1 : t->a_column;
    const T *a = first_a, *b = first_b, *middle = a + (rows > ROWS / 2 ? ROWS / 2 * a_row : 0);
    const T *fetch = first_fetch;
    T *copy = t->copy;
    if (t->add && rows > 1 && k > SHALLOW)
      UNROLL for (int r = 0; r < rows; r++) __builtin_prefetch(c + r * t->c_row, 1);
    if (!columns) __asm__("" : "+r"(middle));
    VECTOR sum[SUMS], line[TAIL * WIDE];
    UNROLL for (int i = 0; i < n * each; i++) sum[i] = (VECTOR){0};
#define ADD_ROW(sums)                                                                              \
  add_row(sums, rows, vectors, way, a, columns ? a + ROWS / 2 : middle, a_row, b, copy);           \
  a += a_column, middle += a_column, b += b_row, copy += vectors * LANES
    NOUNROLL for (; k >= turn; k -= turn) UNROLL for (int e = 0; e < turn; e++) {
      if (way == ANY_WAY && rows > 1) __builtin_prefetch(a + ahead);
      if (fetches && e == 0) {
        __builtin_prefetch(fetch, 0, 2);
        fetch += turn;
      }
      ADD_ROW(sum + e % each * n);
    }
    NOUNROLL for (; turn > 1 && k > 0; k--) { ADD_ROW(sum); }
#undef ADD_ROW
    if (each > 2) UNROLL for (int i = 0; i < 2 * n; i++) sum[i] += sum[2 * n + i];
    if (each > 1) UNROLL for (int i = 0; i < n; i++) sum[i] += sum[n + i];
    UNROLL for (int e = 0; e < tail; e++, b += b_row) UNROLL for (int v = 0; v < vectors; v++) {
      line[e * vectors + v] = READ(b + v * LANES);
      if (way == COPYING) AT(copy + (e * vectors + v) * LANES) = line[e * vectors + v];
    }
    T alpha = t->alpha;
    if (alpha != 1) {
      UNROLL for (int i = 0; i < n; i++) sum[i] *= alpha;
      UNROLL for (int i = 0; i < tail * vectors; i++) line[i] *= alpha;
    }
    if (t->add)
      finish(c, t->c_row, sum, rows, vectors, tail, a, a_row, a_column, line, true);
    else
      finish(c, t->c_row, sum, rows, vectors, tail, a, a_row, a_column, line, false);
    first_a += t->next_a;
    first_b += t->next_b;
    first_fetch += t->next_fetch;
    c += t->next_c;
  }
}

/* The same sums for SWEPT tiles: a packed strip and packed panels, added to C. */
INLINE void swept_tile(const TILE *t, int rows, int vectors, int way) {
  const T *b = t->b;
  T *c = t->c;
  NOUNROLL for (int64_t tiles = t->tiles; tiles > 0; tiles--, b += t->next_b, c += t->next_c) {
    VECTOR sum[SUMS];
    UNROLL for (int i = 0; i < rows * vectors; i++) sum[i] = (VECTOR){0};
    UNROLL for (int k = 0; k < SWEPT_DEPTH; k++)
        add_row(sum, rows, vectors, way, t->a + k * ROWS, t->a + k * ROWS + ROWS / 2, 1,
                b + k * vectors * LANES, NULL);
    finish(c, t->c_row, sum, rows, vectors, 0, t->a, 0, 0, NULL, true);
  }
}

#define ONE_TILE(way, r, v)                                                                        \
  static void way##_##r##_##v(const TILE *t) {                                                     \
    (way == SWEPT ? swept_tile : tile_of)(t, r, v, way);                                           \
  }
EACH_TILE(ONE_TILE)
#undef ONE_TILE

#define ONE_TILE(way, r, v) [way][v][r] = way##_##r##_##v,
static void (*const tile_table[WAYS][WIDE + 1][ROWS + 1])(const TILE *) = {EACH_TILE(ONE_TILE)};
#undef ONE_TILE
