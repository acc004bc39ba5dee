/* iterate.c - the drivers: how kernels are led over strided operands. */
#include "move.h"
#include "pool.h"
#include "walk.h"

static _Thread_local bool reference;

bool ct__use_reference(bool on) {
  bool was = reference;
  reference = on;
  return was;
}

bool ct__reference(void) { return reference; }

/* ---- map ------------------------------------------------------------------------------------- */

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

/* Orders dimensions by the output's stride, so that a transposed output is walked as it lies. */
static void sort_dims(ct__walk *w) {
  int out = w->n_op - 1;
  for (int i = 1; i < w->ndim; i++)
    for (int j = i; j > 0 && magnitude(w->stride[j - 1][out]) < magnitude(w->stride[j][out]); j--) {
      int64_t dim = w->dim[j], stride[CT__MAX_OPERANDS];
      memcpy(stride, w->stride[j], sizeof stride);
      w->dim[j] = w->dim[j - 1];
      memcpy(w->stride[j], w->stride[j - 1], sizeof stride);
      w->dim[j - 1] = dim;
      memcpy(w->stride[j - 1], stride, sizeof stride);
    }
}

/* Drops extents of 1 and joins neighbours that every operand walks as one. */
static void collapse(ct__walk *w) {
  int n = 0;
  for (int i = 0; i < w->ndim; i++) {
    if (w->dim[i] == 1) continue;
    bool joins = n > 0;
    for (int k = 0; joins && k < w->n_op; k++)
      joins = w->stride[n - 1][k] == w->stride[i][k] * w->dim[i];
    if (joins) {
      w->dim[n - 1] *= w->dim[i];
    } else {
      w->dim[n] = w->dim[i];
      n++;
    }
    memcpy(w->stride[n - 1], w->stride[i], sizeof w->stride[i]);
  }
  w->ndim = n;
}

static void set_operand(ct__walk *w, int k, const ct_view *v) {
  int lead = w->ndim - v->ndim;
  for (int i = 0; i < w->ndim; i++)
    w->stride[i][k] = i < lead || v->dim[i - lead] == 1 ? 0 : v->stride[i - lead];
  w->p[k] = v->data;
  w->item[k] = ct_dtype_size(v->dtype);
}

static void set_operands(ct__walk *w, int n_in, const ct_view *const *in, const ct_view *out) {
  w->n_op = n_in + 1;
  w->ndim = out->ndim;
  memcpy(w->dim, out->dim, sizeof w->dim);
  for (int k = 0; k < n_in; k++) set_operand(w, k, in[k]);
  set_operand(w, n_in, out);
}

void ct__walk_set(ct__walk *w, int n_in, const ct_view *const *in, const ct_view *out) {
  set_operands(w, n_in, in, out);
  sort_dims(w);
  collapse(w);
}

static void run_walk(ct__walk *w, int64_t inner, const int64_t *inner_stride, ct_loop *loop,
                     const void *attr) {
  int64_t at[CT_MAX_DIMS] = {0};
  for (;;) {
    loop(inner, w->p, inner_stride, attr);
    int d = w->ndim - 1;
    for (; d >= 0; d--) {
      for (int k = 0; k < w->n_op; k++) w->p[k] += w->stride[d][k] * (int64_t)w->item[k];
      if (++at[d] < w->dim[d]) break;
      for (int k = 0; k < w->n_op; k++)
        w->p[k] -= w->dim[d] * w->stride[d][k] * (int64_t)w->item[k];
      at[d] = 0;
    }
    if (d < 0) return;
  }
}

/* Lines of few elements would cost more calls than work: where those of the output lie in order, a
 * loop takes many of them as one, and inputs whose lines do not (a bias, a column) are copied so
 * that they do. */
typedef struct short_lines {
  ct_loop *loop;
  const void *attr;
  int n_op;
  unsigned copied; /* a bit for each operand */
  int64_t n, most; /* elements of a line, lines at a time */
  const int64_t *stride;
  const size_t *item;
} short_lines;

enum {
  SHORT_LINE = 256,
  FEW_LINES = 4,
  BLOCK = 4096, /* bytes of an input that are copied at a time */
};

/* Lines of n elements, one behind the other. */
static void copy_lines(int64_t n_lines, int64_t n, int64_t item, const char *x, int64_t next,
                       int64_t step, char *to) {
  const int64_t bytes = n_lines * n * item;
  if (next == 0) n_lines = 1;
  ct__move_lines(item, n_lines, n, to, n, 1, x, next, step);
  for (int64_t have = n_lines * n * item; have < bytes; have *= 2)
    memcpy(to + have, to, (size_t)(have < bytes - have ? have : bytes - have));
}

/* The loop whose elements are lines. */
static void lead_lines(int64_t n_lines, char *const *p, const int64_t *next, const void *attr) {
  const short_lines *l = attr;
  _Alignas(64) char block[CT__MAX_OPERANDS - 1][BLOCK];
  char *at[CT__MAX_OPERANDS];
  int64_t stride[CT__MAX_OPERANDS];
  for (int k = 0; k < l->n_op; k++) stride[k] = l->copied >> k & 1 ? 1 : l->stride[k];
  for (int64_t i = 0; i < n_lines; i += l->most) {
    const int64_t lines = n_lines - i < l->most ? n_lines - i : l->most;
    for (int k = 0; k < l->n_op; k++) {
      const int64_t item = (int64_t)l->item[k];
      at[k] = p[k] + i * next[k] * item;
      if (!(l->copied >> k & 1)) continue;
      if (i == 0 || next[k] != 0)
        copy_lines(lines, l->n, item, at[k], next[k], l->stride[k], block[k]);
      at[k] = block[k];
    }
    l->loop(lines * l->n, at, stride, l->attr);
  }
}

/* The same where elements are copied only: lines may lie anywhere. */
static void move_lines(int64_t n_lines, char *const *p, const int64_t *next, const void *attr) {
  const short_lines *l = attr;
  ct__move_lines((int64_t)l->item[0], n_lines, l->n, p[1], next[1], l->stride[1], p[0], next[0],
                 l->stride[0]);
}

/* Whether the last dimension of w goes along such lines, the one before it from line to line. */
static bool has_short_lines(const ct__walk *w, ct_loop *lead, short_lines *l) {
  const int last = w->ndim - 1;
  if (!lead || last < 1) return false;
  if (w->dim[last] >= SHORT_LINE || w->dim[last - 1] < FEW_LINES) return false;
  l->n_op = w->n_op;
  l->n = w->dim[last];
  l->stride = w->stride[last];
  l->item = w->item;
  l->copied = 0;
  l->most = BLOCK;
  for (int k = 0; k < w->n_op; k++) {
    if (w->stride[last - 1][k] == w->stride[last][k] * l->n) continue;
    const int64_t room = BLOCK / ((int64_t)w->item[k] * l->n);
    l->copied |= 1u << k;
    if (l->most > room) l->most = room;
  }
  return lead == move_lines || !(l->copied >> (w->n_op - 1));
}

/* A walk, cut along one dimension. */
typedef struct cut_walk {
  const ct__walk *w;
  int axis;
  ct_loop *loop;
  const void *attr;
} cut_walk;

static void run_part(void *context, int64_t from, int64_t to) {
  const cut_walk *c = context;
  ct__walk w = *c->w;
  w.dim[c->axis] = to - from;
  for (int k = 0; k < w.n_op; k++) w.p[k] += from * w.stride[c->axis][k] * (int64_t)w.item[k];
  w.ndim--; /* the last one is the loop's */
  run_walk(&w, w.dim[w.ndim], w.stride[w.ndim], c->loop, c->attr);
}

/* Cuts the longest dimension along which the output moves. */
static void run_cut(const ct__walk *w, int64_t weight, ct_loop *loop, const void *attr) {
  cut_walk c = {w, 0, loop, attr};
  int64_t longest = 0, size = 1;
  for (int d = 0; d < w->ndim; d++) {
    size *= w->dim[d];
    if (w->stride[d][w->n_op - 1] == 0 || w->dim[d] <= longest) continue;
    c.axis = d;
    longest = w->dim[d];
  }
  /* Small neighbours stay together, so that a cache line has one writer; so do lines that lie side
   * by side, or are one for all. */
  bool beside = c.axis == w->ndim - 1;
  for (int k = 0; k < w->n_op && weight >= 64; k++)
    beside &= w->stride[c.axis][k] == 0 || w->stride[c.axis][k] == 1;
  int64_t grain = beside ? 64 : 1, each = longest ? size / longest * weight : 0;
  if (beside && each > ct__piece_weight / grain) each = ct__piece_weight / grain;
  if (each == 0)
    run_part(&c, 0, w->dim[c.axis]);
  else
    ct__parallel_range(longest, each, grain, run_part, &c);
}

/* What would write or read out of bounds; the rest is the caller's promise. */
static bool mappable(int n_in, const ct_view *const *in, const ct_view *out, ct_loop *loop) {
  bool ok = out && loop && n_in >= 0 && n_in < CT__MAX_OPERANDS && (n_in == 0 || in);
  for (int k = 0; ok && k < n_in; k++) ok = in[k] && in[k]->ndim <= out->ndim;
  if (!ok)
    ct__fail(CT_EARG, "ct_map: want a loop, a result and at most %d inputs that broadcast to it",
             CT__MAX_OPERANDS - 1);
  return ok;
}

/* One line for all operands: contiguous ones, and single numbers that are repeated. */
static bool flat(int n_in, const ct_view *const *in, const ct_view *out, int64_t *stride) {
  bool ok = out->contiguous;
  for (int k = 0; k < n_in; k++) {
    bool whole = in[k]->size == out->size;
    ok &= whole ? in[k]->contiguous : in[k]->size == 1;
    stride[k] = whole;
  }
  stride[n_in] = 1;
  return ok;
}

/* The bytes of one element of every operand. */
static int64_t bytes_of(int n_in, const ct_view *const *in, const ct_view *out) {
  size_t bytes = ct__item_size(out->dtype);
  for (int k = 0; k < n_in; k++) bytes += ct__item_size(in[k]->dtype);
  return (int64_t)bytes;
}

static void map(int n_in, const ct_view *const *in, ct_view *out, ct_loop *loop, const void *attr,
                int64_t weight, ct_loop *lead /* short lines; NULL: one by one */) {
  static const int64_t no_stride[CT__MAX_OPERANDS] = {0},
                       one[CT__MAX_OPERANDS] = {1, 1, 1, 1, 1, 1};
  enum { CHEAP = 4, MOST = 64 / CHEAP }; /* bytes of an element of every operand: less than 64 */
  if (CT__UNLIKELY(!mappable(n_in, in, out, loop)) || out->size == 0) return;
  char *p[CT__MAX_OPERANDS];
  for (int k = 0; k < n_in; k++) p[k] = in[k]->data;
  p[n_in] = out->data;
  if (out->size == 1) { /* then every operand is a single number */
    loop(1, p, one, attr);
    return;
  }
  int64_t stride[CT__MAX_OPERANDS];
  bool is_flat = !reference && flat(n_in, in, out, stride);
  if (CT__LIKELY(is_flat && weight < 0 && out->size <= ct__piece_weight / MOST)) {
    loop(out->size, p, stride, attr);
    return;
  }
  ct__walk w;
  set_operands(&w, n_in, in, out);
  if (reference) {
    run_walk(&w, 1, no_stride, loop, attr);
    return;
  }
  if (is_flat) {
    w.ndim = 1;
    w.dim[0] = out->size;
    memcpy(w.stride[0], stride, (size_t)w.n_op * sizeof stride[0]);
  } else {
    sort_dims(&w);
    collapse(&w);
  }
  /* Numbers that lie in a cache move fast: these need more of them to be worth a cut. */
  int64_t own = bytes_of(n_in, in, out);
  if (weight < 0) weight = out->size < CHEAP * ct__piece_weight / own ? 0 : own;
  short_lines lines = {.loop = loop, .attr = attr};
  if (has_short_lines(&w, lead, &lines)) {
    loop = lead;
    attr = &lines;
    weight *= lines.n;
    w.ndim--;
  }
  if (w.ndim == 0)
    loop(1, w.p, no_stride, attr);
  else
    run_cut(&w, weight, loop, attr);
}

void ct_map(int n_in, const ct_view *const *in, ct_view *out, ct_loop *loop, const void *attr) {
  map(n_in, in, out, loop, attr, -1, lead_lines);
}

void ct__map_copy(const ct_view *src, ct_view *dst, ct_loop *loop) {
  map(1, &src, dst, loop, NULL, -1, move_lines);
}

void ct__map(int n_in, const ct_view *const *in, ct_view *out, ct_loop *loop, const void *attr,
             int64_t weight) {
  map(n_in, in, out, loop, attr, weight, NULL);
}

/* ---- reduce ---------------------------------------------------------------------------------- */

enum {
  TILE = 256,       /* accumulators at a time: 2 KB, in the first cache beside rows of x */
  LINE_TILE = 4096, /* elements of the lines that are folded at a time */
  FEW = 4,          /* accumulators that are not worth a tile */
  SHORT = 16,       /* elements of a line that are not worth lanes */
};

typedef struct accumulators {
  _Alignas(64) char each[TILE * 8];
} accumulators;

/* One group of x's dimensions, kept or reduced, collapsed. y strides are used by the kept ones
 * only. */
typedef struct group {
  int ndim;
  int64_t size, dim[CT_MAX_DIMS], x[CT_MAX_DIMS], y[CT_MAX_DIMS];
} group;

static bool comes_before(int64_t x, int64_t other) {
  return other != 0 && (x == 0 || magnitude(other) < magnitude(x));
}

static void group_add(group *g, int64_t dim, int64_t x, int64_t y) {
  g->size *= dim;
  if (dim == 1) return;
  int at = g->ndim++;
  /* The order of dimensions is free: the one with the smallest step in x comes last, but
   * repetitions first. */
  for (; at > 0 && !reference && comes_before(x, g->x[at - 1]); at--) {
    g->dim[at] = g->dim[at - 1];
    g->x[at] = g->x[at - 1];
    g->y[at] = g->y[at - 1];
  }
  g->dim[at] = dim;
  g->x[at] = x;
  g->y[at] = y;
}

/* Joins neighbours that are walked as one. */
static void group_collapse(group *g) {
  int n = 0;
  for (int i = 0; i < g->ndim; i++) {
    bool joins = n > 0 && !reference && g->x[n - 1] == g->x[i] * g->dim[i] &&
                 g->y[n - 1] == g->y[i] * g->dim[i];
    if (joins) n--;
    g->dim[n] = joins ? g->dim[n] * g->dim[i] : g->dim[i];
    g->x[n] = g->x[i];
    g->y[n++] = g->y[i];
  }
  g->ndim = n;
}

/* Advances an odometer over the outer dimensions of a group; false at the end. */
static bool advance(const group *g, int ndim, int64_t *at, int64_t *x, int64_t *y) {
  for (int d = ndim - 1; d >= 0; d--) {
    *x += g->x[d];
    *y += g->y[d];
    if (++at[d] < g->dim[d]) return true;
    *x -= g->dim[d] * g->x[d];
    *y -= g->dim[d] * g->y[d];
    at[d] = 0;
  }
  return false;
}

/* Columns: neighbours in x go to different accumulators, so whole rows are folded into a tile of
 * them. Also if lines are so short that calls would cost more than steps; not if columns are. */
static bool by_columns(const group *kept, const group *red) {
  if (red->ndim == 0 || reference) return true;
  if (kept->ndim == 0) return false;
  int k = kept->ndim - 1, r = red->ndim - 1;
  if (kept->dim[k] < FEW) return false;
  return red->dim[r] < SHORT || magnitude(kept->x[k]) < magnitude(red->x[r]);
}

/* A reduction as tiles, numbered: the results are rows of `width`. */
typedef struct reduction {
  const ct__reducer *r;
  group kept, red;
  int outer; /* kept dimensions that are not the width */
  bool columns;
  int64_t width, tile /* results at a time */, tiles /* in a row */, x_step, y_step;
  char *x, *y;
  size_t x_item, y_item;
} reduction;

/* Folds all reduced positions into n accumulators. */
static void fold_tile(const reduction *a, const group *red, const char *x, int64_t n,
                      accumulators *acc) {
  a->r->start(n, acc);
  if (red->size == 0) return;
  int64_t at[CT_MAX_DIMS] = {0}, x_at = 0, unused = 0;
  ct__fold_block b = {n, a->x_step, 1, 0, a->columns};
  int outer = red->ndim;
  if (red->ndim > 0 && !reference) {
    outer--;
    b.rows = red->dim[outer];
    b.row_step = red->x[outer];
  }
  do {
    a->r->fold(&b, x + x_at * (int64_t)a->x_item, acc);
  } while (advance(red, outer, at, &x_at, &unused));
}

/* Where the odometer stands at row number `row`. */
static void seek(const group *g, int ndim, int64_t row, int64_t *at, int64_t *x, int64_t *y) {
  *x = *y = 0;
  for (int d = ndim - 1; d >= 0; d--) {
    at[d] = row % g->dim[d];
    row /= g->dim[d];
    *x += at[d] * g->x[d];
    *y += at[d] * g->y[d];
  }
}

static void reduce_tiles(void *context, int64_t from, int64_t to) {
  const reduction *a = context;
  int64_t at[CT_MAX_DIMS], x_at, y_at, i = from % a->tiles * a->tile;
  accumulators acc;
  seek(&a->kept, a->outer, from / a->tiles, at, &x_at, &y_at);
  for (int64_t tile = from; tile < to; tile++) {
    int64_t n = a->width - i < a->tile ? a->width - i : a->tile;
    fold_tile(a, &a->red, a->x + (x_at + i * a->x_step) * (int64_t)a->x_item, n, &acc);
    a->r->end(n, &acc, a->y + (y_at + i * a->y_step) * (int64_t)a->y_item, a->y_step, a->red.size);
    i += a->tile;
    if (i < a->width) continue;
    i = 0;
    advance(&a->kept, a->outer, at, &x_at, &y_at);
  }
}

/* Few results of much: what goes into a tile is cut into slices along the longest reduced
 * dimension, whose accumulators are merged in their order. */
enum { MOST_SLICES = 16 };
typedef struct sliced_tile {
  const reduction *a;
  const char *x;
  int64_t n, slices;
  int axis;
  accumulators *acc; /* of each slice */
} sliced_tile;

static void fold_slice(void *context, int64_t slice) {
  sliced_tile *t = context;
  const reduction *a = t->a;
  group red = a->red;
  const int64_t grain = !a->columns && t->axis == red.ndim - 1 ? 64 : 1, extent = red.dim[t->axis];
  int64_t from = ct__piece_start(extent, grain, t->slices, slice);
  int64_t to = ct__piece_start(extent, grain, t->slices, slice + 1);
  red.dim[t->axis] = to - from;
  red.size = red.size / extent * (to - from);
  fold_tile(a, &red, t->x + from * red.x[t->axis] * (int64_t)a->x_item, t->n, &t->acc[slice]);
}

static void reduce_slices(const reduction *a, int64_t tile, int64_t slices) {
  int64_t at[CT_MAX_DIMS], x_at, y_at, i = tile % a->tiles * a->tile;
  seek(&a->kept, a->outer, tile / a->tiles, at, &x_at, &y_at);
  accumulators acc[MOST_SLICES];
  sliced_tile t = {.a = a,
                   .acc = acc,
                   .x = a->x + (x_at + i * a->x_step) * (int64_t)a->x_item,
                   .n = a->width - i < a->tile ? a->width - i : a->tile,
                   .slices = slices};
  for (int d = 1; d < a->red.ndim; d++)
    if (a->red.dim[d] > a->red.dim[t.axis]) t.axis = d;
  ct__parallel(slices, fold_slice, &t);
  for (int64_t s = 1; s < slices; s++) a->r->merge(t.n, &acc[0], &acc[s]);
  a->r->end(t.n, &acc[0], a->y + (y_at + i * a->y_step) * (int64_t)a->y_item, a->y_step,
            a->red.size);
}

/* By shape: many tiles are dealt out whole. */
static void run_reduction(const reduction *a) {
  enum { MANY = 16 };
  int64_t tiles = a->tiles, slices = 1;
  for (int d = 0; d < a->outer; d++) tiles *= a->kept.dim[d];
  int64_t weight = a->red.size * (a->width < a->tile ? a->width : a->tile) * (int64_t)a->x_item;
  if (tiles < MANY && a->red.ndim > 0 && a->r->merge && !reference)
    slices = ct__pieces(a->red.size, weight / (a->red.size ? a->red.size : 1));
  if (slices > MOST_SLICES) slices = MOST_SLICES;
  if (slices == 1)
    ct__parallel_range(tiles, weight, 1, reduce_tiles, (void *)(uintptr_t)a);
  else
    for (int64_t tile = 0; tile < tiles; tile++) reduce_slices(a, tile, slices);
}

void ct__reduce(const ct_view *x, unsigned axes, ct_view *y, const ct__reducer *r) {
  if (y->size == 0) return;
  reduction a = {.r = r,
                 .kept = {.size = 1},
                 .red = {.size = 1},
                 .x = x->data,
                 .y = y->data,
                 .x_item = ct__item_size(x->dtype),
                 .y_item = ct__item_size(y->dtype)};
  bool keepdims = y->ndim == x->ndim;
  for (int d = 0, out = 0; d < x->ndim; d++) {
    bool reduced = axes >> d & 1;
    if (reduced)
      group_add(&a.red, x->dim[d], x->stride[d], 0);
    else
      group_add(&a.kept, x->dim[d], x->stride[d], y->stride[out]);
    out += !reduced || keepdims;
  }
  group_collapse(&a.kept);
  group_collapse(&a.red);
  bool tiled = a.kept.ndim > 0 && !reference;
  a.columns = by_columns(&a.kept, &a.red);
  a.outer = tiled ? a.kept.ndim - 1 : a.kept.ndim;
  a.width = tiled ? a.kept.dim[a.outer] : 1;
  a.x_step = tiled ? a.kept.x[a.outer] : 0;
  a.y_step = tiled ? a.kept.y[a.outer] : 0;
  a.tile = TILE;
  if (!a.columns && a.red.size > LINE_TILE / TILE)
    a.tile = a.red.size < LINE_TILE ? LINE_TILE / a.red.size : 1;
  a.tiles = (a.width + a.tile - 1) / a.tile;
  run_reduction(&a);
}
