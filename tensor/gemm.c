/* gemm.c - matrix products: which kernel takes which shape, and how the work is cut.
 *
 * A product is C = A B or C^T = B^T A^T; its kernel and the blocks that C is cut into follow from
 * its shape, its layout and the instruction set alone. So every number of threads gives the same
 * bits. The sums over k are cut only into parts that follow each other.
 */
#include "pool.h"

/* ---- the plain loops ------------------------------------------------------------------------- */

#define PLAIN_GEMM(name, T)                                                                        \
  static void name(T alpha, const ct_view *a, const ct_view *b, T beta, const ct_view *c) {        \
    const T *pa = (const T *)(const void *)a->data, *pb = (const T *)(const void *)b->data;        \
    T *pc = (T *)(void *)c->data;                                                                  \
    int64_t inner = alpha == 0 ? 0 : a->dim[1];                                                    \
    for (int64_t i = 0; i < c->dim[0]; i++)                                                        \
      for (int64_t j = 0; j < c->dim[1]; j++) {                                                    \
        T sum = 0, *out = pc + i * c->stride[0] + j * c->stride[1];                                \
        for (int64_t k = 0; k < inner; k++)                                                        \
          sum +=                                                                                   \
              pa[i * a->stride[0] + k * a->stride[1]] * pb[k * b->stride[0] + j * b->stride[1]];   \
        *out = beta == 0 ? alpha * sum : alpha * sum + beta * *out;                                \
      }                                                                                            \
  }
PLAIN_GEMM(plain_f32, float)
PLAIN_GEMM(plain_f64, double)

static void plain(double alpha, const ct_view *a, const ct_view *b, double beta, const ct_view *c) {
  if (c->dtype == CT_F32)
    plain_f32((float)alpha, a, b, (float)beta, c);
  else
    plain_f64(alpha, a, b, beta, c);
}

/* ---- both ways to see a product -------------------------------------------------------------- */

/* Where there is one row or column the step between them is free: the one that suits. */
static ct__matrix operand(char *data, int64_t rows, int64_t columns, int64_t row, int64_t column) {
  return (ct__matrix){data, rows == 1 ? columns : row, columns == 1 ? 1 : column};
}

static ct__matrix of_view(const ct_view *v, bool transposed) {
  int r = transposed, c = !transposed;
  return operand(v->data, v->dim[r], v->dim[c], v->stride[r], v->stride[c]);
}

/* C = A B, or C^T = B^T A^T. */
static ct__product product_of(const ct_view *a, const ct_view *b, const ct_view *c,
                              bool transposed) {
  return (ct__product){.dtype = c->dtype,
                       .m = c->dim[transposed],
                       .n = c->dim[!transposed],
                       .k = a->dim[1],
                       .a = of_view(transposed ? b : a, transposed),
                       .b = of_view(transposed ? a : b, transposed),
                       .c = of_view(c, transposed),
                       .alpha = 1};
}

/* ---- dispatch -------------------------------------------------------------------------------- */

/* Where OpenBLAS is faster, since it packs both sides for the second cache: for products that have
 * at least these extents, in any layout or with A transposed. ./run bench gemm prints the table.
 * Below, only our kernels run: so OpenBLAS's own kernels for small matrices, which crash without
 * memory, are never met. */
typedef struct blas_rule {
  bool transposed;
  int64_t m, n, k;
} blas_rule;
enum { RULES = 1 };

static const blas_rule
#ifdef CT__X86_LEVELS
    blas_v2[RULES] = {{false, 128, 128, 128}},
    blas_v3[RULES] = {{0}}, blas_v4[RULES] = {{0}}; /* nowhere */
#else
    blas_base[RULES] = {{false, 256, 256, 256}};
#endif

#define ISA_SET(isa) {{&ct__gemm_f32_##isa, &ct__gemm_f64_##isa}, blas_##isa},
static const struct isa_set {
  const ct__gemm_set *set[2]; /* f32, f64 */
  const blas_rule *rules;
} isa_sets[] = {CT__ISA_LIST(ISA_SET)};

static _Thread_local ct__gemm_by preferred;

ct__gemm_by ct__gemm_prefer(ct__gemm_by by) {
  ct__gemm_by was = preferred;
  preferred = by;
  return was;
}

static bool blas_pays(const ct__product *p, const blas_rule *rules) {
  bool pays = preferred == CT__BY_BLAS;
  if (preferred == CT__BY_SHAPE)
    for (const blas_rule *r = rules; r < rules + RULES && r->m; r++)
      pays |= p->m >= r->m && p->n >= r->n && p->k >= r->k && r->transposed <= (p->a.column != 1);
  return pays && ct__blas_takes(p);
}

/* Keeps the cheaper one; the unit is the time of one vector operation. */
static void offer(ct__gemm_plan *best, const ct__product *p, bool transposed,
                  ct__gemm_kernel *kernel, double cost) {
  if (best->kernel && best->cost <= cost) return;
  best->p = *p;
  best->transposed = transposed;
  best->kernel = kernel;
  best->cost = cost;
}

static void offer_ours(ct__gemm_plan *best, const ct__product *p, bool transposed) {
  const ct__gemm_set *set = best->set;
  double m = (double)p->m, n = (double)p->n, k = (double)p->k;
  int64_t lanes = (int64_t)1 << set->lane_bits;
  double vectors = (double)((p->n + lanes - 1) >> set->lane_bits);
  double few = (double)(p->n & (lanes - 1)), rest = (double)(p->k & (lanes - 1));
  bool neighbours = p->b.row == 1 || p->b.column == 1, down = set->down(p);
  int64_t lines = set->packed_lines(p);
  double pack = k * (double)lines * (neighbours ? 0.4 : 2);
  if (lines == 0 && p->b.column != 1) pack = k * n * (neighbours ? 0.25 : 2); /* when it is read */
  double turn = down ? 2 : 0.5, dots = down && p->n > 1 ? 1.3 : 1; /* as short vectors take */
  bool turns = p->c.row == 1 && p->m >= lanes; /* blocks of C are transposed in registers */
  double store = p->c.column == 1 ? m * (vectors + few / 2) : (turns ? turn : 2.5) * m * n;
  double tiles = vectors > 1 ? 1 : 1.06; /* one row of B alone is loaded for too few products */
  offer(best, p, transposed, set->tiles, tiles * m * vectors * k + 4 * m + pack + store);
  if ((p->a.column == 1 || p->m == 1) && p->b.row == 1)
    offer(best, p, transposed, set->dots,
          dots * m * n * ((double)(p->k >> set->lane_bits) + 2 * rest + 3));
  if (p->k == 1 && p->b.column == 1 && p->c.column == 1)
    offer(best, p, transposed, set->outer, m * vectors);
}

static void choose(ct__gemm_plan *w, const ct_view *a, const ct_view *b, const ct_view *c) {
  const struct isa_set *isa = &isa_sets[ct__isa()];
  w->set = isa->set[c->dtype == CT_F64];
  w->kernel = NULL;
  for (int transposed = 0; transposed < 2; transposed++) {
    ct__product p = product_of(a, b, c, transposed);
    if (p.c.column == 1 && blas_pays(&p, isa->rules)) {
      w->kernel = NULL;
      offer(w, &p, transposed, ct__blas_gemm, 0);
      return;
    }
    offer_ours(w, &p, transposed);
  }
}

const char *ct__gemm_name(const ct_view *a, const ct_view *b, const ct_view *c) {
  ct__gemm_plan w;
  choose(&w, a, b, c);
  if (w.kernel == ct__blas_gemm) return "OpenBLAS";
  return w.kernel == w.set->tiles ? "tiles" : w.kernel == w.set->dots ? "dots" : "outer";
}

/* ---- the cut --------------------------------------------------------------------------------- */

enum {
  PIECE = 1 << 18, /* products, a few microseconds: worth another thread */
  MOST_PIECES = 32,
  CACHED = 256 << 10, /* bytes of C: a block is still in the cache when it is done */
  FEW_ROWS = 32,      /* of a block, if B fits into the cache, */
  MANY_ROWS = 128,    /* otherwise, so that the cost of reading B is shared, */
  FEWEST_PIECES = 4,  /* unless fewer than these are left for threads */
  PANELS = 5,         /* of a block of that many rows, */
  FEW_PANELS = 2,     /* or if tiles go down one after another */
  BLAS_ROWS = 192,
  BLAS_COLUMNS = 256,
  BLAS_GRAIN = 24,
  FAR = 512 << 10 /* bytes: more is not packed at once */
};

static int64_t within(int64_t n, int64_t low, int64_t high) {
  return n < low || high < low ? low : n > high ? high : n;
}

static void cut(ct__gemm_plan *w) {
  const ct__product *p = &w->p;
  int64_t item = (int64_t)ct__item_size(p->dtype);
  double work = (double)p->m * (double)p->n * (double)p->k / PIECE;
  int64_t wanted = work < MOST_PIECES ? within((int64_t)work, 1, MOST_PIECES) : MOST_PIECES;
  bool blas = w->kernel == ct__blas_gemm, down = !blas && w->set->down(p);
  bool large_b = (double)p->k * (double)p->n * (double)item > 2.0 * CACHED;
  int64_t least = blas ? BLAS_ROWS : large_b || down ? MANY_ROWS : FEW_ROWS;
  int64_t cached = (int64_t)((double)p->m * (double)p->n * (double)item / CACHED);
  w->grain[0] = blas ? BLAS_GRAIN : w->set->rows;
  w->grain[1] = p->m == 1 ? w->set->wide_panel : w->set->panel;
  w->pieces[0] = w->pieces[1] = 1;
  if (wanted == 1 && cached <= 1) return;
  w->pieces[0] = within(wanted > cached ? wanted : cached, 1, p->m / least);
  int64_t panels = p->m < FEW_ROWS ? 1 : down ? FEW_PANELS : PANELS;
  int64_t least_columns = !blas ? panels * w->grain[1] : w->pieces[0] > 1 ? p->n : BLAS_COLUMNS;
  w->pieces[1] = within(wanted / w->pieces[0], 1, p->n / least_columns);
  if (!blas && w->pieces[0] * w->pieces[1] < FEWEST_PIECES)
    w->pieces[0] = within(wanted, 1, p->m / FEW_ROWS);
  if (wanted > 1 && w->pieces[0] > 1) w->pieces[0] += w->pieces[0] % 2;
}

static ct__part part_of(const ct__gemm_plan *w, int64_t piece) {
  int64_t i = piece / w->pieces[1], j = piece % w->pieces[1];
  int64_t top = ct__piece_start(w->p.m, w->grain[0], w->pieces[0], i);
  int64_t left = ct__piece_start(w->p.n, w->grain[1], w->pieces[1], j);
  return (ct__part){top, ct__piece_start(w->p.m, w->grain[0], w->pieces[0], i + 1) - top, left,
                    ct__piece_start(w->p.n, w->grain[1], w->pieces[1], j + 1) - left};
}

/* ---- plans ----------------------------------------------------------------------------------- */

static bool gathers(const ct__gemm_plan *w) {
  return w->kernel == w->set->dots && w->p.a.column != 1;
}

static int64_t packed_lines(const ct__gemm_plan *w) {
  return w->kernel == w->set->tiles ? w->set->packed_lines(&w->p) : gathers(w);
}

/* Rows of A that are packed from columns are used while they are near: part of k after part. */
static void cut_depth(ct__gemm_plan *w) {
  double bytes = (double)packed_lines(w) * (double)w->p.k * (double)ct__item_size(w->p.dtype);
  bool cuts = w->kernel == w->set->tiles && w->p.m > 1 && w->p.a.column != 1 && bytes >= FAR;
  w->depths = cuts ? (w->p.k + CT__GEMM_DEPTH - 1) / CT__GEMM_DEPTH : 1;
}

static int64_t depth_start(const ct__gemm_plan *w, int64_t i) {
  return ct__piece_start(w->p.k, CT__GEMM_DEPTH_UNIT, w->depths, i);
}

static int64_t packed_bytes(const ct__gemm_plan *w) {
  bool tiles = w->kernel == w->set->tiles;
  int64_t rows = w->depths > 1 ? w->p.k / w->depths + CT__GEMM_DEPTH_UNIT : w->p.k, bytes;
  if (tiles && rows < w->set->least_depth) rows = w->set->least_depth;
  bool fits = ct__mul_size(rows, packed_lines(w) * (int64_t)ct__item_size(w->p.dtype), &bytes);
  return fits ? bytes : -1;
}

/* What the choice depends on, one after another. */
#define EACH_KEY(X)                                                                                \
  X(a->dim[0])                                                                                     \
  X(a->dim[1])                                                                                     \
  X(b->dim[1])                                                                                     \
  X(a->stride[0])                                                                                  \
  X(a->stride[1])                                                                                  \
  X(b->stride[0])                                                                                  \
  X(b->stride[1]) X(c->stride[0]) X(c->stride[1]) X((int64_t)c->dtype) X((int64_t)preferred)

#define PLUS_ONE(x) +1
_Static_assert(0 EACH_KEY(PLUS_ONE) == CT__COUNT(((ct__gemm_plan *)0)->key), "a place for each");
#undef PLUS_ONE

void ct__gemm_plan_set(ct__gemm_plan *plan, const ct_view *a, const ct_view *b, const ct_view *c) {
  int64_t *key = plan->key;
#define KEEP(x) *key++ = x;
  EACH_KEY(KEEP)
#undef KEEP
  choose(plan, a, b, c);
  cut(plan);
  plan->whole = (ct__part){0, plan->p.m, 0, plan->p.n};
  cut_depth(plan);
  plan->bytes = packed_bytes(plan);
}

static bool plan_fits(const ct__gemm_plan *plan, const ct_view *a, const ct_view *b,
                      const ct_view *c) {
  const int64_t *key = plan->key;
  int64_t other = 0;
#define COMPARE(x) other |= *key++ ^ (x);
  EACH_KEY(COMPARE)
#undef COMPARE
  return other == 0 && plan->set == isa_sets[ct__isa()].set[c->dtype == CT_F64];
}

/* A product that is being done. */
typedef struct job {
  const ct__gemm_plan *plan;
  ct__product p;
  double beta;
  ct__gemm_done *done;
  void *context, *packed;
} job;

/* ---- memory ---------------------------------------------------------------------------------- */

/* A vector of any step for kernels that want it contiguous. */
static void gather(job *w) {
  size_t item = ct__item_size(w->p.dtype);
  for (int64_t i = 0; i < w->p.k; i++)
    memcpy((char *)w->packed + (size_t)i * item, w->p.a.data + i * w->p.a.column * (int64_t)item,
           item);
  w->p.a = (ct__matrix){w->packed, w->p.k, 1};
}

static void pack_some(void *context, int64_t from, int64_t to) {
  const job *w = context;
  w->plan->set->pack(&w->p, from, to, w->packed);
}

/* All that can fail, before C is touched. */
static ct_status prepare(job *w, void *work) {
  const ct__gemm_plan *plan = w->plan;
  if (plan->kernel == ct__blas_gemm) return ct__blas_begin();
  if (plan->bytes == 0) return CT_OK;
  if (plan->bytes < 0) return ct__fail(CT_ENOMEM, "out of memory (packing a matrix)");
  w->packed = work ? work : ct__alloc((size_t)plan->bytes);
  return w->packed ? CT_OK : CT_ENOMEM;
}

static void pack(job *w) {
  const ct__gemm_plan *plan = w->plan;
  if (!w->packed) return;
  if (gathers(plan)) {
    gather(w);
  } else {
    int64_t units = plan->set->units(&w->p);
    ct__parallel_range(units, 2 * plan->bytes / units + 1, 1, pack_some, w);
  }
}

/* ---- running --------------------------------------------------------------------------------- */

#define SCALE(T)                                                                                   \
  for (int64_t i = 0; i < part.rows; i++) {                                                        \
    T *c = (T *)(void *)p->c.data + (part.row + i) * p->c.row + part.column * p->c.column;         \
    for (int64_t j = 0; j < part.columns; j++) c[j * p->c.column] *= (T)beta;                      \
  }
static void scale(const ct__product *p, ct__part part, double beta) {
  if (p->dtype == CT_F32)
    SCALE(float)
  else
    SCALE(double)
}

static void report(const job *w, const ct__part *part) {
  if (w->plan->transposed)
    w->done(w->context, part->column, part->columns, part->row, part->rows);
  else
    w->done(w->context, part->row, part->rows, part->column, part->columns);
}

static void run_part(const job *w, const ct__part *part) {
  if (w->beta != 0 && w->beta != 1) scale(&w->p, *part, w->beta);
  w->plan->kernel(&w->p, *part, w->packed);
  if (w->done) report(w, part);
}

/* What is added to goes from its end to its start, where it was read last and is read next. */
static void run_piece(void *context, int64_t piece) {
  const job *w = context;
  if (w->p.add) piece = w->plan->pieces[0] * w->plan->pieces[1] - 1 - piece;
  ct__part part = part_of(w->plan, piece);
  if (part.rows > 0 && part.columns > 0) run_part(w, &part);
}

/* One thread does all at once where the cache keeps C, A is packed, which serves long rows of C, or
 * tiles of one row read whole rows of B. The sums do not depend on where C is cut. */
static bool is_uncut(const ct__gemm_plan *plan) {
  const ct__product *p = &plan->p;
  if (plan->kernel != plan->set->tiles || ct_threads() > 1) return false;
  bool cached = p->m * p->n * (int64_t)ct__item_size(p->dtype) <= CACHED;
  return p->m == 1 ? plan->pieces[0] == 1 : p->a.column != 1 || (plan->pieces[0] == 1 && cached);
}

static void run_depth(job w, int64_t i) {
  const ct__gemm_plan *plan = w.plan;
  int64_t item = (int64_t)ct__item_size(w.p.dtype), from = depth_start(plan, i);
  int64_t pieces = plan->pieces[0] * plan->pieces[1];
  w.p.k = depth_start(plan, i + 1) - from;
  w.p.a.data += from * w.p.a.column * item;
  w.p.b.data += from * w.p.b.row * item;
  if (i > 0) w.beta = 1;
  w.p.add = w.beta != 0;
  if (i + 1 < plan->depths) w.done = NULL;
  pack(&w);
  if (pieces == 1 || is_uncut(plan))
    run_part(&w, &plan->whole);
  else
    ct__parallel(pieces, run_piece, &w);
}

size_t ct__gemm_work(const ct__gemm_plan *plan) {
  if (plan->p.m == 0 || plan->p.n == 0 || plan->p.k == 0) return 0;
  if (plan->kernel == ct__blas_gemm) return ct__blas_begin() == CT_OK ? 0 : SIZE_MAX;
  if (plan->bytes < 0) ct__fail(CT_ESIZE, "too large to pack a matrix");
  return plan->bytes < 0 ? SIZE_MAX : (size_t)plan->bytes;
}

ct_status ct__gemm_run(const ct__gemm_plan *plan, void *work, double alpha, const ct_view *a,
                       const ct_view *b, double beta, ct_view *c, ct__gemm_done *done,
                       void *context) {
  if (c->size == 0) return CT_OK;
  if (a->dim[1] == 0 || alpha == 0 || ct__reference()) {
    plain(alpha, a, b, beta, c);
    if (done) done(context, 0, c->dim[0], 0, c->dim[1]);
    return CT_OK;
  }
  ct__gemm_plan own;
  if (!plan || !plan_fits(plan, a, b, c)) {
    ct__gemm_plan_set(&own, a, b, c);
    plan = &own;
  }
  job w = {.plan = plan, .p = plan->p, .beta = beta, .done = done, .context = context};
  w.p.a.data = plan->transposed ? b->data : a->data;
  w.p.b.data = plan->transposed ? a->data : b->data;
  w.p.c.data = c->data;
  w.p.alpha = alpha;
  ct_status status = prepare(&w, work);
  if (status != CT_OK) return status;
  for (int64_t i = 0; i < plan->depths; i++) run_depth(w, i);
  if (!work && w.packed) ct__free(w.packed, (size_t)plan->bytes);
  return CT_OK;
}

ct_status ct__gemm(double alpha, const ct_view *a, const ct_view *b, double beta, ct_view *c) {
  return ct__gemm_run(NULL, NULL, alpha, a, b, beta, c, NULL, NULL);
}
