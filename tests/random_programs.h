/* random_programs.h - programs drawn at random from the whole set of operations.
 *
 * A program is a list of nodes: leaves with values, and uses of rows of a table. The elementwise
 * primitives of the registry are rows without being told; all others are one line each in
 * random_programs.def. A row says what kinds its operands and its result have, and how its
 * attributes and the shapes it wants are drawn; operands are earlier nodes, brought into the wanted
 * shape by further nodes. */
#ifndef COTANGENT_RANDOM_PROGRAMS_H
#define COTANGENT_RANDOM_PROGRAMS_H

#include "testing.h"

#include "autograd/autograd_internal.h"
#include "autograd/compile/compile.h"
#include "autograd/ops/products.h"

enum { MAX_NODES = 72, MAX_IN = 4, MAX_ATTR = 12, MAX_DEPTH = 12, MAX_ROWS = 400, MAX_SIZE = 96 };

/* Kinds: f for f64, i for i32, b for bool, k for a key. */

struct drawing;

typedef struct row {
  const char *name;
  const char *kinds;               /* of the operands, then ':' and of the result */
  void (*draw)(struct drawing *d); /* what is not said by the kinds; may be NULL */
  ct_tensor *(*apply)(ct_tensor *const *x, const int *a);
  const char *text; /* of apply: how it prints */
  const ct_op *op;  /* instead of apply: an elementwise primitive */
  double lo, hi;    /* where float operands must lie */
  bool frozen;      /* differences see its value as a constant */
} row;

typedef struct node {
  const row *row; /* NULL: a leaf */
  int in[MAX_IN], a[MAX_ATTR];
  char kind;
  int below; /* of an integer: all values are in 0 .. below - 1; 0 if nobody knows */
  int depth;
  bool used;
  ct_tensor *t; /* its value, made without recording; belongs to the scope of the drawing */
} node;

typedef struct program {
  uint64_t seed;
  int n;
  node node[MAX_NODES];
  int n_out, out[MAX_NODES];
} program;

/* ---- random numbers -------------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood 2014) */
static inline uint64_t draw_word(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}
/* 0 .. n-1 */
static inline int draw_below(uint64_t *state, int n) {
  return (int)(draw_word(state) % (uint64_t)n);
}
static inline double draw_real(uint64_t *state, double lo, double hi) {
  return lo + (hi - lo) * (double)(draw_word(state) >> 11) * 0x1p-53;
}

/* A use of a row under way: draw sees the shape of the first operand in want[0] and sets attributes
 * and the wanted shapes, want[0] too where another one is needed. */
typedef struct drawing {
  uint64_t rng;
  const struct row_table *rows;
  const row *row;
  program *p;
  int a[MAX_ATTR];
  ct_shape want[MAX_IN];
  int below[MAX_IN]; /* wanted of integer operands */
  int result_below;
  int taken[MAX_IN], n_taken; /* operands so far: x - x or x / x would prove little */
  const char *failure;        /* why the program cannot go on: an error of the library */
} drawing;

static inline int below(drawing *d, int n) { return draw_below(&d->rng, n); }
static inline int between(drawing *d, int lo, int hi) { return lo + below(d, hi - lo + 1); }
static inline bool chance(drawing *d, int percent) { return below(d, 100) < percent; }

static inline int64_t shape_size(ct_shape s) {
  int64_t n = 1;
  for (int i = 0; i < s.n; i++) n *= s.dim[i];
  return n;
}

/* Small extents; now and then an empty one. */
static inline ct_shape draw_shape(drawing *d, int min_dims, int max_dims) {
  ct_shape s = {.n = between(d, min_dims, max_dims)};
  for (int i = 0; i < s.n; i++) s.dim[i] = chance(d, 1) ? 0 : between(d, 1, s.n > 3 ? 2 : 4);
  return s;
}

/* ---- attributes as rows use them ------------------------------------------------------------- */

/* a[0] is the number, a[1] the first. */
static inline ct_axes axes(const int *a) {
  return a[0] ? ct_axes_make((size_t)a[0], a + 1) : CT_ALL;
}
static inline ct_shape shape(const int *a) {
  ct_shape s = {.n = a[0]};
  for (int i = 0; i < s.n; i++) s.dim[i] = a[i + 1];
  return s;
}

static inline void set_shape(drawing *d, ct_shape s) {
  d->a[0] = s.n;
  for (int i = 0; i < s.n; i++) d->a[i + 1] = (int)s.dim[i];
}

#include "random_programs_rows.h"

/* ---- the table ------------------------------------------------------------------------------- */

typedef struct row_table {
  int n;
  row row[MAX_ROWS];
} row_table;

static inline bool is_generic(const ct_op *op) {
  return (op->flags & CT_ELEMENTWISE) && op->attr_size == 0 && (op->n_in == 1 || op->n_in == 2);
}

/* Kinds of an elementwise primitive: what its kernel takes, what its infer gives. */
static inline const char *generic_kinds(const ct_op *op) {
  ct_scope scope = ct_scope_begin();
  bool real = !op->kernel || op->kernel->loop[CT_F64] != NULL;
  ct_tensor *x = ct_ones(real ? CT_F64 : CT_BOOL, CT_SCALAR);
  ct_tensor *y = ct_apply(op, op->n_in == 1 ? CT_LIST(x) : CT_LIST(x, x));
  bool to_real = ct_dtype_of(y) == CT_F64, known = !ct_is_nil(y);
  ct_scope_end(scope);
  static const char *const name[2][2][2] = {{{"b:b", "b:f"}, {"f:b", "f:f"}},
                                            {{"bb:b", "bb:f"}, {"ff:b", "ff:f"}}};
  return known ? name[op->n_in - 1][real][to_real] : NULL;
}

static inline const ct_op *op_named(const char *name) {
  for (int i = 0; i < ct_op_count(); i++)
    if (strcmp(ct_op_at(i)->name, name) == 0) return ct_op_at(i);
  return NULL;
}

static inline void rows_fill(row_table *rows) {
  memset(rows, 0, sizeof *rows);
  for (size_t i = 0; i < sizeof hand_rows / sizeof hand_rows[0]; i++) {
    const ct_op *op = op_named(hand_rows[i].name);
    row *r = &rows->row[rows->n++];
    *r = hand_rows[i];
    if (op && (op->flags & CT_ELEMENTWISE)) r->lo = op->lo, r->hi = op->hi;
  }
  for (int i = 0; i < ct_op_count() && rows->n < MAX_ROWS; i++) {
    const ct_op *op = ct_op_at(i);
    const char *kinds = is_generic(op) ? generic_kinds(op) : NULL;
    if (!kinds) continue;
    row generic = {op->name, kinds, kinds[1] == ':' ? NULL : draw_broadcast, .op = op};
    generic.lo = op->lo, generic.hi = op->hi;
    generic.frozen = strcmp(op->name, "stop_gradient") == 0;
    if (strcmp(op->name, "copy") == 0) generic.text = "ct_contiguous(x[0])";
    rows->row[rows->n++] = generic;
  }
}

static inline const row *row_named(const row_table *rows, const char *name) {
  for (int i = 0; i < rows->n; i++)
    if (strcmp(rows->row[i].name, name) == 0) return &rows->row[i];
  return NULL;
}

static inline int operands_of(const row *r) { return (int)(strchr(r->kinds, ':') - r->kinds); }
static inline char result_kind(const row *r) { return strchr(r->kinds, ':')[1]; }

static inline ct_tensor *row_apply(const row *r, ct_tensor *const *x, const int *a) {
  return r->op ? ct_apply(r->op, (ct_list){operands_of(r), x}) : r->apply(x, a);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static inline int add_leaf(drawing *d, char kind, ct_shape shape, int below_) {
  program *p = d->p;
  if (p->n == MAX_NODES) return -1;
  ct_tensor *t = ct_empty(CT_F64, shape);
  double *at = (double *)(void *)t->v.data;
  for (int64_t i = 0; i < t->v.size; i++)
    at[i] = kind == 'f' ? draw_real(&d->rng, -2, 2) : below(d, kind == 'b' ? 2 : below_);
  ct_dtype dtype = kind == 'f' ? CT_F64 : kind == 'b' ? CT_BOOL : CT_I32;
  p->node[p->n] = (node){.kind = kind, .below = below_, .t = ct_cast(t, dtype)};
  return p->n++;
}

static inline ct_tensor *node_apply(const node *k, ct_tensor *const *t) {
  ct_tensor *x[MAX_IN];
  for (int i = 0; i < operands_of(k->row); i++) x[i] = t[k->in[i]];
  return row_apply(k->row, x, k->a);
}

#define LARGEST 1000

static inline void range_of(ct_tensor *t, double *lo, double *hi) {
  const double *at = (const double *)(const void *)ct_contiguous(t)->v.data;
  *lo = INFINITY, *hi = -INFINITY;
  for (int64_t i = 0; i < t->v.size; i++) {
    if (!isfinite(at[i])) *hi = INFINITY;
    *lo = fmin(*lo, at[i]);
    *hi = fmax(*hi, at[i]);
  }
}

/* Not too many elements, and none too large to be differenced; NaN and infinity are let through:
 * the program will be rejected, and counted. */
static inline bool fits_in(ct_tensor *t, char kind) {
  double lo = 0, hi = 0;
  if (t->v.size > MAX_SIZE || t->v.ndim > CT_MAX_DIMS - 3) return false;
  if (kind == 'f' && t->v.size > 0) range_of(t, &lo, &hi);
  return isinf(hi) || fmax(-lo, hi) <= LARGEST;
}

/* Appends a use of the row; -1 if the result is too large or the program is full. */
static inline int add_node(drawing *d, const row *r, const int *in, const int *a) {
  program *p = d->p;
  ct_tensor *x[MAX_IN];
  if (p->n == MAX_NODES) return -1;
  node k = {.row = r, .kind = result_kind(r), .below = d->result_below};
  bool empty = false;
  memcpy(k.a, a, sizeof k.a);
  for (int i = 0; i < operands_of(r); i++) {
    const node *from = &p->node[k.in[i] = in[i]];
    x[i] = from->t;
    if (from->depth >= k.depth) k.depth = from->depth + 1;
    empty |= x[i]->v.size == 0;
  }
  k.t = row_apply(r, x, k.a);
  if (ct_is_nil(k.t)) {
    /* of nothing there may be no largest, and so on; ct_check may find a NaN */
    if (empty || ct_error_code() == CT_ECHECK)
      ct_error_clear();
    else
      d->failure = r->name;
    return -1;
  }
  if (!fits_in(k.t, k.kind)) return -1;
  for (int i = 0; i < operands_of(r); i++) p->node[in[i]].used = true;
  p->node[p->n] = k;
  return p->n++;
}

static inline int add_use(drawing *d, const row *r, int from, const int *a) {
  return from < 0 ? -1 : add_node(d, r, &from, a);
}

/* ---- operands -------------------------------------------------------------------------------- */

/* Node k, or a smooth map of it into the interval if it is not inside: mid + half sin(w x), with w
 * so small that the sine turns at most once. */
static inline int squashed(drawing *d, int k, double lo, double hi) {
  double least, most;
  if (k < 0 || d->p->node[k].t->v.size == 0) return k;
  range_of(d->p->node[k].t, &least, &most);
  if ((least >= lo && most <= hi) || isinf(most)) return k;
  double size = fmax(fabs(least), fabs(most));
  int a[MAX_ATTR] = {(int)fmin(1000, 2500 / size), (int)(480 * (hi - lo)), (int)(500 * (hi + lo))};
  return add_use(d, row_named(d->rows, "squash"), k, a);
}

static inline bool can_broadcast(ct_shape from, ct_shape to) {
  if (from.n > to.n) return false;
  for (int i = 0; i < from.n; i++) {
    int64_t extent = from.dim[from.n - 1 - i];
    if (extent != 1 && extent != to.dim[to.n - 1 - i]) return false;
  }
  return true;
}

/* Node k brought into the shape by views, or by its sum. */
static inline int reshaped(drawing *d, int k, ct_shape want) {
  if (k < 0 || ct_shape_equal(ct_shape_of(d->p->node[k].t), want)) return k;
  ct_shape have = ct_shape_of(d->p->node[k].t);
  int a[MAX_ATTR] = {want.n};
  for (int i = 0; i < want.n; i++) a[i + 1] = (int)want.dim[i];
  int64_t size = shape_size(want);
  if (can_broadcast(have, want)) return add_use(d, row_named(d->rows, "broadcast_to"), k, a);
  if (shape_size(have) == size) return add_use(d, row_named(d->rows, "reshape"), k, a);
  if (shape_size(have) > size) {
    k = add_use(d, row_named(d->rows, "reshape"), k, (int[MAX_ATTR]){1, (int)shape_size(have)});
    k = add_use(d, row_named(d->rows, "slice"), k, (int[MAX_ATTR]){0, 0, (int)size, 1});
    return reshaped(d, k, want);
  }
  k = add_use(d, row_named(d->rows, "sum"), k, (int[MAX_ATTR]){0});
  return reshaped(d, k, want);
}

static inline bool is_taken(const drawing *d, int k) {
  for (int i = 0; i < d->n_taken; i++)
    if (d->taken[i] == k) return true;
  return false;
}

/* A node of this kind, rather a late one that is not used yet, and that leaves room below the
 * greatest depth; -1 if none. */
static inline int draw_node(drawing *d, char kind, int depth) {
  const program *p = d->p;
  int found = -1;
  for (int k = p->n - 1; k >= 0; k--) {
    if (p->node[k].kind != kind || p->node[k].depth > depth || is_taken(d, k)) continue;
    found = k;
    if (chance(d, p->node[k].used ? 20 : 70)) break;
  }
  return found;
}

static inline int find_same(drawing *d, char kind, ct_shape want, int limit, int depth) {
  const program *p = d->p;
  int found = -1;
  for (int k = p->n - 1; k >= 0; k--) {
    const node *n = &p->node[k];
    if (n->kind != kind || n->depth > depth || !ct_shape_equal(ct_shape_of(n->t), want)) continue;
    if (kind == 'i' && limit && (n->below == 0 || n->below > limit)) continue;
    if (is_taken(d, k) && !chance(d, 10)) continue;
    found = k;
    if (chance(d, 40)) break;
  }
  return found;
}

/* The operand i that the row wants: a node of that shape, another one reshaped, or a new leaf. */
static inline int draw_operand(drawing *d, int i) {
  char kind = d->row->kinds[i];
  ct_shape want = d->want[i];
  int limit = d->below[i], k = -1;
  enum { ROOM = 6 }; /* nodes that reshaping and squashing may put between */
  if (chance(d, kind == 'f' ? 60 : 90)) k = find_same(d, kind, want, limit, MAX_DEPTH - ROOM);
  if (k < 0 && kind == 'f' && chance(d, 60)) {
    k = draw_node(d, kind, MAX_DEPTH - ROOM);
    if (k >= 0 && d->p->node[k].t->v.size == 0 && shape_size(want) > 0) k = -1;
    if (k >= 0) k = reshaped(d, k, want);
  }
  if (k < 0) k = add_leaf(d, kind, want, kind == 'k' ? INT32_MAX : limit ? limit : 4);
  return k;
}

/* The node can be operand 0, reshaped at most. */
static inline bool serves(const drawing *d, int k) {
  const node *n = &d->p->node[k];
  return n->kind == 'f'   ? n->t->v.size > 0 || shape_size(d->want[0]) == 0
         : n->kind == 'i' ? !d->below[0] || (n->below && n->below <= d->below[0])
                          : ct_shape_equal(d->want[0], ct_shape_of(n->t));
}

/* ---- drawing a program ----------------------------------------------------------------------- */

/* Appends a use of the row with its operands; the first is a node already there where possible. */
static inline int draw_use(drawing *d, const row *r) {
  d->n_taken = 0;
  int first = draw_node(d, r->kinds[0], MAX_DEPTH - 4);
  int in[MAX_IN];
  d->row = r;
  d->result_below = 0;
  memset(d->a, 0, sizeof d->a);
  memset(d->below, 0, sizeof d->below);
  ct_shape like = first >= 0 ? ct_shape_of(d->p->node[first].t) : draw_shape(d, 0, 3);
  for (int i = 0; i < MAX_IN; i++) d->want[i] = r->kinds[0] == 'k' ? CT_SHAPE(4) : like;
  d->below[0] = first >= 0 ? d->p->node[first].below : 0;
  if (r->draw) r->draw(d);
  int a[MAX_ATTR], result_below = d->result_below;
  memcpy(a, d->a, sizeof a);
  for (int i = 0; i < operands_of(r); i++) {
    bool real = r->kinds[i] == 'f';
    d->result_below = 0;
    in[i] = i > 0 || first < 0 || !serves(d, first) ? draw_operand(d, i)
                                                    : reshaped(d, first, d->want[0]);
    d->taken[d->n_taken++] = in[i];
    if (real && r->lo < r->hi) in[i] = squashed(d, in[i], r->lo, r->hi);
    if (in[i] < 0 || d->failure) return -1;
  }
  d->result_below = result_below;
  int k = add_node(d, r, in, a);
  d->result_below = 0;
  return k >= 0 && result_kind(r) == 'f' ? squashed(d, k, -20, 20) : k;
}

/* Every node that nothing uses is an output; what is not f64 goes through one more node. */
static inline void find_outputs(drawing *d) {
  program *p = d->p;
  for (int k = 0, end = p->n; k < end; k++) {
    if (p->node[k].used || !p->node[k].row) continue;
    char kind = p->node[k].kind;
    const char *then = kind == 'i' ? "integer_real" : kind == 'b' ? "bool_real" : "uniform";
    int real = kind == 'f' ? k : add_use(d, row_named(d->rows, then), k, (int[MAX_ATTR]){0});
    if (real >= 0) p->out[p->n_out++] = real;
  }
}

/* Draws the program of this seed from the rows; `planted` (may be NULL) is used once or twice among
 * them. NULL, or the row where the library failed. */
static inline const char *program_draw(program *p, uint64_t seed, const row_table *rows,
                                       const row *planted) {
  drawing d = {.rng = seed, .rows = rows, .p = p};
  *p = (program){.seed = seed};
  for (int i = between(&d, 1, 2); i > 0; i--) add_leaf(&d, 'f', draw_shape(&d, 0, 3), 0);
  int uses = between(&d, 2, 20), plant_at = planted ? below(&d, uses) : -1;
  for (int i = 0; i < uses && !d.failure && p->n < MAX_NODES - 20; i++)
    draw_use(&d, i == plant_at ? planted : &rows->row[below(&d, rows->n)]);
  find_outputs(&d);
  return d.failure;
}

#endif
