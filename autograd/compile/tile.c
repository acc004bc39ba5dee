/* tile.c - how a chain is led over its operands.
 *
 * A tile is some rows of the innermost dimensions. Operands that lie in order within it are read
 * and written where they are. The others pass through a slot of the pool, which the temporaries
 * share: what repeats from tile to tile, as a bias does, is filled in once.
 */
#include "tile.h"

#include "../../tensor/pool.h"
#include "../../tensor/vectors.h"

enum {
  POOL = 32768,  /* bytes: the first cache, shared with what is in place */
  SLOT = 8192,   /* at most; less for operands of so many bytes in all, which come from the third */
  OUT = 1 << 20, /* cache or from memory: these should not rest while the steps of a tile compute */
  OUT_SLOT = 2048,
  FAR = 1 << 25, /* and of results whose lines come from memory few find room to wait for them */
  FAR_SLOT = 1024,
  ALONE = 65536, /* of a step that leaves nothing for others to find near */
  LINE = 64,
  GRAIN = 128 /* elements: tiles have a multiple of what the loop of a chain takes at once */
};

static const int64_t one[CT__TILE_OPERANDS + 1] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* How many steps it was. Strides are ones, or NULL to send a chain's result past the caches. */
INLINE int run_step(const ct__tile_step *s, char *const *reg, int64_t n, const int64_t *stride) {
  char *p[CT__TILE_OPERANDS + 1];
  if (s->joint) {
    s->loop(n, reg, stride, s->joint);
    return 1 + s->n_joint;
  }
  for (int k = 0; k <= s->n; k++) p[k] = reg[s->reg[k]];
  s->loop(n, p, stride, s->attr);
  return 1;
}

/* ---- results in the place of inputs ---------------------------------------------------------- */

/* Does a step behind the one that writes register y read register x? */
static bool read_behind(const ct__tile *t, int x, int y) {
  for (int s = t->n_steps - 1; s >= 0 && t->step[s].reg[t->step[s].n] != y; s--)
    for (int k = 0; k < t->step[s].n; k++)
      if (t->step[s].reg[k] == x) return true;
  return false;
}

/* Output o lies where an input lies that is still needed when it is written. */
static bool too_early(const ct__tile *t, const ct_view *const *in, ct_view *const *out, int o) {
  for (int k = 0; k < t->n_tails; k++)
    if (t->tail[k].reg < t->n_in && in[t->tail[k].reg]->data == out[o]->data) return true;
  for (int i = 0; i < t->n_in; i++)
    if (in[i]->data == out[o]->data && read_behind(t, i, t->out[o])) return true;
  return false;
}

/* ---- few numbers that lie in order ----------------------------------------------------------- */

static bool in_order(const ct_view *v, int64_t size) { return v->size == size && v->contiguous; }

static bool is_one_step(const ct__tile *t) { return t->n_steps == 1 && t->n_tails == 0; }

static bool is_number(const ct__tile *t, int reg) { return t->number && t->number[reg]; }

/* One of 64 bits: data that differ in it are not the same. */
static uint64_t place(const void *data) { return UINT64_C(1) << ((uintptr_t)data / LINE % 64); }

/* Of one element every tile is. */
static bool all_in_order(const ct__tile *t, const ct_view *const *in, ct_view *const *out,
                         int64_t size) {
  if (size == 1) return true;
  for (int i = 0; i < t->n_in; i++)
    if (!in_order(in[i], size) && !is_number(t, i)) return false;
  for (int o = 0; o < t->n_out; o++)
    if (!in_order(out[o], size)) return false;
  return !ct__reference();
}

/* One step alone needs no room: as many elements as a tile of it has. */
static bool run_alone(const ct__tile *t, const ct_view *const *in, ct_view *out) {
  char *reg[CT__TILE_NUMBERS];
  if (out->size * (int64_t)ct__item_size(out->dtype) > ALONE ||
      !all_in_order(t, in, &out, out->size))
    return false;
  for (int i = 0; i < t->n_in; i++) reg[i] = in[i]->data;
  reg[t->out[0]] = out->data;
  run_step(t->step, reg, out->size, one);
  return true;
}

static bool run_few(const ct__tile *t, const ct_view *const *in, ct_view *const *out) {
  _Alignas(LINE) char pool[POOL];
  char *reg[CT__TILE_NUMBERS];
  uint64_t places = 0;
  int64_t size = out[0]->size, slot = size == 1 ? 8 : (size * 8 + LINE - 1) / LINE * LINE;
  if (size > SLOT / 8 || slot * t->n_reg > POOL || !all_in_order(t, in, out, size)) return false;
  for (int r = t->n_in; r < t->n_reg; r++) reg[r] = pool + r * slot;
  for (int i = 0; i < t->n_in; i++) {
    reg[i] = in[i]->data;
    places |= place(reg[i]);
  }
  bool aside = false; /* an output that must wait stays in the pool */
  for (int o = 0; o < t->n_out; o++)
    if ((places & place(out[o]->data)) && too_early(t, in, out, o))
      aside = true;
    else
      reg[t->out[o]] = out[o]->data;
  for (int k = 0; k < t->n_steps;) k += run_step(&t->step[k], reg, size, one);
  for (int o = 0; o < t->n_out && aside; o++)
    if (reg[t->out[o]] != out[o]->data)
      memcpy(out[o]->data, reg[t->out[o]], (size_t)size * ct__item_size(out[o]->dtype));
  return true;
}

/* ---- the walk -------------------------------------------------------------------------------- */

/* Operands: the inputs, then the outputs; then the accumulators of the tails, which stay where they
 * are along what is reduced. */
enum { OPERANDS = CT__TILE_REGS + CT__TILE_TAILS };
typedef struct tiling {
  const ct__tile *t;
  int n_op, n_all /* with the tails */, ndim;
  int64_t dim[CT_MAX_DIMS], stride[CT_MAX_DIMS][OPERANDS];
  char *data[OPERANDS];
  int64_t item[OPERANDS];
  int reg[CT__TILE_REGS];    /* of each operand */
  bool aside[CT__TILE_REGS]; /* of each operand: an output that must wait in a slot */
  int slot[CT__TILE_REGS];   /* of each register; -1: in place */
  bool streams;              /* the output goes past the caches */
  int shares;                /* 1 + a register that lies in the place of the output, too; or 0 */
  int axis;                  /* a tile is so many rows along axis, each of */
  int64_t rows, row;         /* so many elements */
  int64_t line;              /* tiles along axis */
  int64_t slot_bytes;
  int64_t tiles, pieces, unit; /* a piece has so many tiles or a multiple */
} tiling;

static void set_operand(tiling *a, int q, int reg, const ct_view *v) {
  int lead = a->ndim - v->ndim;
  for (int d = 0; d < a->ndim; d++)
    a->stride[d][q] = d < lead || v->dim[d - lead] == 1 ? 0 : v->stride[d - lead];
  a->data[q] = v->data;
  a->item[q] = (int64_t)ct__item_size(v->dtype);
  a->reg[q] = reg;
}

static void set_tail(tiling *a, int i, double *room) {
  const ct__tail *tail = &a->t->tail[i];
  int q = a->n_op + i;
  int64_t stride = 1;
  for (int d = a->ndim - 1; d >= 0; d--) {
    bool kept = !(tail->axes >> d & 1) && a->dim[d] > 1;
    a->stride[d][q] = kept ? stride : 0;
    if (kept) stride *= a->dim[d];
  }
  a->data[q] = (char *)ct__tail_room(a->t->tail, i, room);
  a->item[q] = sizeof(double);
}

/* Drops extents of 1 and joins neighbours that every operand walks as one. */
static void collapse(tiling *a) {
  int n = 0;
  for (int d = 0; d < a->ndim; d++) {
    if (a->dim[d] == 1) continue;
    bool joins = n > 0;
    for (int q = 0; joins && q < a->n_all; q++)
      joins = a->stride[n - 1][q] == a->stride[d][q] * a->dim[d];
    if (!joins) n++;
    a->dim[n - 1] = joins ? a->dim[n - 1] * a->dim[d] : a->dim[d];
    memmove(a->stride[n - 1], a->stride[d], (size_t)a->n_all * sizeof(int64_t));
  }
  a->ndim = n;
}

/* The elements of the operand lie in order from dimension d on. */
static bool dense(const tiling *a, int q, int d) {
  int64_t step = 1;
  for (int k = a->ndim - 1; k >= d; k--) {
    if (a->stride[k][q] != step && !(k == a->axis && a->rows == 1)) return false;
    step *= a->dim[k];
  }
  return true;
}

/* Registers that surely need a slot, or might. */
static int count_slots(const tiling *a) {
  int n = a->t->n_reg - a->n_op;
  for (int q = 0; q < a->n_op; q++)
    n += !is_number(a->t, a->reg[q]) && (a->aside[q] || !dense(a, q, 0));
  return n;
}

/* Would an output that lies in order within a row need a slot for several rows? */
static bool pitched(const tiling *a) {
  for (int q = a->t->n_in; q < a->n_op; q++)
    if (dense(a, q, a->axis) && !dense(a, q, a->axis - 1)) return true;
  return false;
}

static int64_t bytes_of(const tiling *a) {
  int64_t bytes = 0;
  for (int q = 0; q < a->n_op; q++) bytes += a->item[q];
  for (int d = 0; d < a->ndim; d++) bytes *= a->dim[d];
  return bytes;
}

/* Is there one output, in memory, which a chain writes behind all other steps? */
static bool writes_far(const tiling *a, const ct_view *const *in) {
  const ct__tile *t = a->t;
  int q = t->n_in;
  if (t->n_out != 1 || bytes_of(a) < FAR || !dense(a, q, 0)) return false;
  for (int i = 0; i < t->n_in; i++)
    if (in[i]->data == a->data[q]) return false;
  const ct__tile_step *last = t->step + t->n_steps - 1;
  return last->reg[last->n] == t->out[0] && ct__chain_is(last->loop);
}

/* The result of one chain goes past the caches: its lines need not be read first. */
static bool may_stream(const tiling *a, const ct_view *const *in) {
  return is_one_step(a->t) && writes_far(a, in);
}

/* Behind other steps results would come in bursts, and stores that wait for their lines hold up the
 * next tile. So a temporary lies in the place of the output until that is written: its lines come
 * while the steps between compute. */
static int may_share(const tiling *a, const ct_view *const *in) {
  const ct__tile *t = a->t;
  if (t->n_steps < 3 || t->n_tails > 0 || !writes_far(a, in)) return 0;
  for (int r = t->n_in; r < t->n_reg; r++)
    if (r != t->out[0] && t->dtype[r] == t->dtype[t->out[0]]) return 1 + r;
  return 0;
}

/* As many rows as there is room for; all tiles of a line about as long. */
static void choose_tile(tiling *a, int slots) {
  int64_t widest = 1, bytes = bytes_of(a);
  int64_t far_slot = a->t->n_out > 0 && !a->shares ? FAR_SLOT : OUT_SLOT;
  int64_t most = slots == 0 || bytes < OUT ? SLOT : bytes < FAR ? OUT_SLOT : far_slot;
  if (slots == 0 && is_one_step(a->t)) most = ALONE;
  if (slots * most > POOL) most = POOL / slots;
  for (int r = 0; r < a->t->n_reg; r++) {
    int64_t item = (int64_t)ct__item_size(a->t->dtype[r]);
    if (item > widest) widest = item;
  }
  most = ct__reference() ? 1 : most / widest / GRAIN * GRAIN;
  a->row = 1;
  for (a->axis = a->ndim - 1; a->axis > 0; a->axis--) {
    int64_t row = a->row * a->dim[a->axis];
    if (row > most || (row >= LINE && pitched(a))) break;
    a->row = row;
  }
  int64_t extent = a->dim[a->axis], rows = most / a->row;
  a->line = (extent + rows - 1) / rows;
  a->rows = (extent + a->line - 1) / a->line;
  if (a->line > 1 && a->row == 1 && most > 1) a->rows = (a->rows + GRAIN - 1) / GRAIN * GRAIN;
  a->line = (extent + a->rows - 1) / a->rows;
  a->slot_bytes = (a->rows * a->row * widest + LINE - 1) / LINE * LINE + LINE;
}

static void give_slots(tiling *a) {
  memset(a->slot, 0, (size_t)a->t->n_reg * sizeof *a->slot);
  for (int q = 0; q < a->n_op; q++)
    if (is_number(a->t, a->reg[q]) || (!a->aside[q] && dense(a, q, a->axis)))
      a->slot[a->reg[q]] = -1;
  if (a->shares) a->slot[a->shares - 1] = -1;
  for (int r = 0, next = 0; r < a->t->n_reg; r++)
    if (a->slot[r] == 0) a->slot[r] = next++;
}

/* ---- between strided memory and slots -------------------------------------------------------- */

#define MOVE(T)                                                                                    \
  for (int64_t i = 0; i < n; i++) {                                                                \
    T x;                                                                                           \
    memcpy(&x, from + i * from_step, sizeof x);                                                    \
    memcpy(to + i * to_step, &x, sizeof x);                                                        \
  }

/* n elements; steps in bytes. */
static void move_line(int64_t n, int64_t item, char *to, int64_t to_step, const char *from,
                      int64_t from_step) {
  if (to_step == item && from_step == item)
    memcpy(to, from, (size_t)(n * item));
  else if (item == 8)
    MOVE(uint64_t)
  else if (item == 4)
    MOVE(uint32_t)
  else
    MOVE(uint8_t)
}

/* n blocks, the first of which is there. */
static void repeat(int64_t n, int64_t block, char *to) {
  for (int64_t have = 1; have < n;) {
    int64_t more = have < n - have ? have : n - have;
    memcpy(to + have * block, to, (size_t)(more * block));
    have += more;
  }
}

/* Elements of dimensions d and up, n of them along d: `there` in the operand, in order in `slot`.
 */
static void move(const tiling *a, int q, int d, int64_t n, char *there, char *slot) {
  int64_t item = a->item[q], step = a->stride[d][q] * item, block = item;
  if (d == a->ndim - 1) {
    if (q >= a->t->n_in)
      move_line(n, item, there, step, slot, item);
    else if (step != 0)
      move_line(n, item, slot, item, there, step);
    else
      repeat(n, item, memcpy(slot, there, (size_t)item));
    return;
  }
  for (int k = d + 1; k < a->ndim; k++) block *= a->dim[k];
  for (int64_t i = 0; i < (step == 0 ? 1 : n); i++)
    move(a, q, d + 1, a->dim[d + 1], there + i * step, slot + i * block);
  if (step == 0) repeat(n, block, slot);
}

/* ---- tiles ----------------------------------------------------------------------------------- */

/* What a slot holds: rows from this place on. */
typedef struct filled {
  const char *from;
  int64_t rows;
} filled;

/* A tile is rows of elements that go to one result each, or that go to results side by side: the
 * innermost dimensions along which the accumulators stay, or along which they move. */
static void fold_tails(const tiling *a, int64_t rows, char *const *at, char *const *reg) {
  for (int i = 0; i < a->t->n_tails; i++) {
    const ct__tail *tail = &a->t->tail[i];
    int q = a->n_op + i, d = a->ndim - 1;
    int64_t size = rows * a->row, row = 1;
    for (; d > a->axis && (a->stride[d][q] == 0) == tail->last; d--) row *= a->dim[d];
    if (d == a->axis && (a->stride[d][q] == 0) == tail->last) row = size;
    ct__tail_fold(tail, size / row, row, reg[tail->reg], (double *)(void *)at[q]);
  }
}

/* Of what the next tile reads one half: more at a time would hold up what is on its way. Inline, as
 * compilers see no effect of such a function and drop its calls. */
INLINE void fetch_ahead(const tiling *a, int64_t rows, char *const *at, int half) {
  for (int q = 0; q < a->t->n_in; q++) {
    if (a->slot[a->reg[q]] >= 0 || is_number(a->t, a->reg[q])) continue;
    int64_t bytes = rows * a->row * a->item[q], part = bytes / 2;
    for (int64_t b = 0; b < part; b += LINE) __builtin_prefetch(at[q] + bytes + half * part + b);
  }
}

static void run_tile(const tiling *a, int64_t rows, char *const *at, char **reg, filled *f) {
  const ct__tile *t = a->t;
  for (int q = 0; q < a->n_op; q++) {
    int r = a->reg[q];
    if (a->slot[r] < 0) {
      reg[r] = at[q];
    } else if (q < t->n_in && (f[q].from != at[q] || f[q].rows < rows)) {
      move(a, q, a->axis, rows, at[q], reg[r]);
      f[q] = (filled){at[q], rows};
    }
  }
  if (a->shares) reg[a->shares - 1] = reg[t->out[0]];
  for (int k = 0; k < t->n_steps;) {
    k += run_step(&t->step[k], reg, rows * a->row, a->streams ? NULL : one);
    if (a->shares && k <= 2) fetch_ahead(a, rows, at, k - 1);
  }
  fold_tails(a, rows, at, reg);
  for (int q = t->n_in; q < a->n_op; q++)
    if (a->slot[a->reg[q]] >= 0) move(a, q, a->axis, rows, at[q], reg[a->reg[q]]);
}

/* Where every operand is at the start of line number `line`. */
static void seek(const tiling *a, int64_t line, int64_t piece, char **start) {
  memcpy(start, a->data, (size_t)a->n_all * sizeof *start);
  for (int i = 0; i < a->t->n_tails; i++)
    if (!a->t->tail[i].whole)
      start[a->n_op + i] += piece * a->t->tail[i].results * (int64_t)sizeof(double);
  for (int d = a->axis - 1; d >= 0; d--) {
    int64_t i = line % a->dim[d];
    line /= a->dim[d];
    for (int q = 0; q < a->n_all; q++) start[q] += i * a->stride[d][q] * a->item[q];
  }
}

static void run_range(const tiling *a, int64_t piece, int64_t from, int64_t to) {
  _Alignas(LINE) char pool[POOL + CT__TILE_REGS * 2 * LINE];
  char *reg[CT__TILE_REGS], *start[OPERANDS], *at[OPERANDS];
  filled f[CT__TILE_REGS];
  memset(f, 0, (size_t)a->t->n_in * sizeof *f);
  for (int r = 0; r < a->t->n_reg; r++)
    if (a->slot[r] >= 0) reg[r] = pool + a->slot[r] * a->slot_bytes;
  int64_t tile = from % a->line;
  seek(a, from / a->line, piece, start);
  for (int64_t i = from; i < to; i++) {
    int64_t first = tile * a->rows, left = a->dim[a->axis] - first;
    for (int q = 0; q < a->n_all; q++)
      at[q] = start[q] + first * a->stride[a->axis][q] * a->item[q];
    run_tile(a, left < a->rows ? left : a->rows, at, reg, f);
    if (++tile < a->line) continue;
    tile = 0;
    if (i + 1 < to) seek(a, (i + 1) / a->line, piece, start);
  }
  if (a->streams) STREAMED();
}

static void run_tiles(void *context, int64_t from, int64_t to) { run_range(context, 0, from, to); }

static void run_piece(void *context, int64_t piece) {
  const tiling *a = context;
  int64_t units = a->tiles / a->unit;
  run_range(a, piece, ct__piece_start(units, 1, a->pieces, piece) * a->unit,
            ct__piece_start(units, 1, a->pieces, piece + 1) * a->unit);
}

/* As if every step and each function in a chain were an operation of its own: what the eager ones
 * would be cut by. */
static int64_t weight_of(const ct__tile *t) {
  int64_t bytes = 0;
  for (const ct__tile_step *s = t->step; s < t->step + t->n_steps; s++) {
    for (int k = 0; k <= s->n; k++) bytes += (int64_t)ct__item_size(t->dtype[s->reg[k]]);
    if (!s->joint && ct__chain_is(s->loop))
      bytes +=
          2 * ((const ct__chain *)s->attr)->calls * (int64_t)ct__item_size(t->dtype[s->reg[s->n]]);
  }
  for (int i = 0; i < t->n_tails; i++) bytes += (int64_t)ct__item_size(t->tail[i].dtype);
  return bytes;
}

/* Tiles that have a part of the same result, if no result may be cut. */
static int64_t unit_of(const tiling *a) {
  int64_t unit = 1;
  for (int i = 0; i < a->t->n_tails; i++) {
    int q = a->n_op + i, d = a->axis;
    if (!a->t->tail[i].whole || a->stride[d][q] != 0) continue;
    int64_t tiles = a->line;
    while (--d >= 0 && a->stride[d][q] == 0) tiles *= a->dim[d];
    if (tiles > unit) unit = tiles;
  }
  return unit;
}

static void run_with_tails(tiling *a, int64_t weight, double *room, ct_view *const *out) {
  const ct__tile *t = a->t;
  int64_t size = a->tiles / a->line * a->dim[a->axis] * a->row;
  a->unit = unit_of(a);
  a->pieces =
      ct__tails_pieces(t->n_tails, t->tail, ct__pieces(a->tiles / a->unit, weight * a->unit));
  ct__tails_begin(t->n_tails, t->tail, a->pieces, room);
  ct__parallel(a->pieces, run_piece, a);
  ct__tails_end(t->n_tails, t->tail, a->pieces, size, room, out);
}

/* The shape that all inputs broadcast to. */
static ct_shape shape_of(int n, const ct_view *const *in) {
  ct_shape shape = {0};
  for (int i = 0; i < n; i++) ct__broadcast(shape, ct__shape_of_view(in[i]), &shape);
  return shape;
}

static void set_operands(tiling *a, const ct_view *const *in, ct_view *const *out, double *room) {
  const ct__tile *t = a->t;
  a->n_op = t->n_in + t->n_out;
  a->n_all = a->n_op + t->n_tails;
  for (int i = 0; i < t->n_in; i++) {
    set_operand(a, i, i, in[i]);
    a->aside[i] = false;
  }
  for (int o = 0; o < t->n_out; o++) {
    set_operand(a, t->n_in + o, t->out[o], out[o]);
    a->aside[t->n_in + o] = too_early(t, in, out, o);
  }
  for (int i = 0; i < t->n_tails; i++) set_tail(a, i, room);
  collapse(a);
  if (a->ndim > 0) return;
  a->ndim = 1;
  a->dim[0] = 1;
  memset(a->stride[0], 0, sizeof a->stride[0]);
}

void ct__tile_run(const ct__tile *t, const ct_view *const *in, ct_view *const *out, double *room) {
  if (t->n_tails == 0 &&
      (out[0]->size == 0 || (is_one_step(t) ? run_alone(t, in, out[0]) : run_few(t, in, out))))
    return;
  tiling a; /* large: what is used gets set */
  ct_shape shape = t->n_out > 0 ? ct__shape_of_view(out[0]) : shape_of(t->n_in, in);
  a.t = t;
  a.ndim = shape.n;
  a.rows = 2; /* or more */
  memcpy(a.dim, shape.dim, sizeof a.dim);
  set_operands(&a, in, out, room);
  a.streams = may_stream(&a, in);
  a.shares = may_share(&a, in);
  choose_tile(&a, count_slots(&a));
  give_slots(&a);
  a.tiles = a.line;
  for (int d = 0; d < a.axis; d++) a.tiles *= a.dim[d];
  int64_t weight = a.rows * a.row * weight_of(t);
  if (t->n_tails > 0)
    run_with_tails(&a, weight, room, out + t->n_out);
  else
    ct__parallel_range(a.tiles, weight, 1, run_tiles, &a);
}

/* ---- the operation --------------------------------------------------------------------------- */

static ct_status fused_infer(const ct_call *c, ct_spec *out) {
  const ct__tile *t = ((const ct__fused *)c->attr)->tile;
  ct_shape shape = {0};
  for (int i = 0; i < c->n_in; i++)
    if (!ct__broadcast(shape, ct__shape_of_view(ct__in(c, i)), &shape))
      return ct_fail(c, CT_ESHAPE, "want shapes that broadcast");
  for (int o = 0; o < t->n_out; o++) out[o] = (ct_spec){t->dtype[t->out[o]], shape};
  for (int i = 0; i < t->n_tails; i++)
    out[t->n_out + i] = (ct_spec){t->tail[i].dtype, ct__tail_shape(&t->tail[i], shape)};
  return CT_OK;
}

static size_t fused_work(const ct_call *c) {
  const ct__tile *t = ((const ct__fused *)c->attr)->tile;
  return ct__tails_bytes(t->n_tails, t->tail);
}

static ct_status fused_eval(const ct_eval *e) {
  const ct__fused *f = e->attr;
  ct__tile_run(f->tile, e->in, e->out, e->work);
  return CT_OK;
}

#define FUSED                                                                                      \
  CT_OP, .n_in = CT_VARIADIC, .n_out = CT_VARIADIC, .inplace = UINT32_MAX,                         \
         .attr_size = sizeof(ct__fused), .infer = fused_infer, .eval = fused_eval

const ct_op ct__fused_op = {FUSED, .name = "fused",
                            .doc = "y = a chain of elementwise operations on x, ...",
                            .flags = CT_ELEMENTWISE};
const ct_op ct__reduced_op = {FUSED, .name = "reduced",
                              .doc = "y = the same, and sums or the like of what it computes",
                              .work = fused_work};
