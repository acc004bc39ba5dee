/* sort.c - ordering along an axis: two outputs, the values and where they came from. */
#include "../../tensor/pool.h"
#include "batch.h"
#include "lines.h"

/* ---- keys ------------------------------------------------------------------------------------ */

/* Every dtype fits a double, and doubles are ordered as the integers made of their bits: so one
 * sort serves all. */
typedef struct entry {
  uint64_t key;
  int32_t index;
} entry;

/* Smaller keys come first; NaN last in both directions, -0 equal to 0. */
static uint64_t key_of(double x, bool descending) {
  const uint64_t sign = UINT64_C(1) << 63;
  uint64_t bits;
  if (x != x) return UINT64_MAX;
  if (x == 0) x = 0;
  memcpy(&bits, &x, sizeof bits);
  bits = bits & sign ? ~bits : bits | sign;
  return descending ? ~bits : bits;
}

static void insertion_sort(entry *a, int64_t n) {
  for (int64_t i = 1; i < n; i++) {
    entry e = a[i];
    int64_t j = i;
    for (; j > 0 && a[j - 1].key > e.key; j--) a[j] = a[j - 1];
    a[j] = e;
  }
}

/* Merges the sorted a[0..m) and a[m..n) into b; equal keys keep their order. */
static void merge(const entry *a, int64_t m, int64_t n, entry *b) {
  int64_t i = 0, j = m;
  for (int64_t k = 0; k < n; k++)
    b[k] = j == n || (i < m && a[i].key <= a[j].key) ? a[i++] : a[j++];
}

enum { RUN = 16 };

/* Stable; returns the buffer that holds the result. The plain way is insertion alone. */
static const entry *sort_entries(entry *a, entry *b, int64_t n) {
  int64_t run = ct__reference() ? n : RUN;
  for (int64_t at = 0; at < n; at += run) insertion_sort(a + at, n - at < run ? n - at : run);
  for (; run < n; run *= 2) {
    for (int64_t at = 0; at < n; at += 2 * run) {
      int64_t left = n - at;
      merge(a + at, left < run ? left : run, left < 2 * run ? left : 2 * run, b + at);
    }
    entry *swap = a;
    a = b;
    b = swap;
  }
  return a;
}

/* ---- along an axis --------------------------------------------------------------------------- */

/* y = x sorted, i = the positions: y[k] = x[i[k]] along the axis.
 * Both are x seen through a permutation: gx = gy put back at i, dy = dx taken at i. */
typedef struct order {
  int axis, descending;
} order;

static ct_status sort_infer(const ct_call *c, ct_spec *out) {
  const ct_view *x = ct__in(c, 0);
  int axis = ((const order *)c->attr)->axis;
  unsigned mask;
  if (ct__axes_mask(c->op->name, (ct_axes){1, {axis}}, x->ndim, &mask) != CT_OK) return CT_EARG;
  if (x->dim[ct__axis(axis, x->ndim)] > INT32_MAX)
    return ct_fail(c, CT_ESIZE, "want positions that fit i32");
  ct__spec_set(&out[0], x->dtype, x->ndim, x->dim);
  ct__spec_set(&out[1], CT_I32, x->ndim, x->dim);
  return CT_OK;
}

static int line_axis(const order *o, const ct_view *x) { return ct__axis(o->axis, x->ndim); }

/* Lines are cut into pieces, each with two rows of entries to work in. */
static int64_t pieces_of(const ct_view *x, int axis) {
  enum { MOST = 16, MEMORY = 1 << 25, WEIGHT = 256 /* of an element, which takes some 50 ns */ };
  int64_t n = x->dim[axis], pieces = n > 0 ? ct__pieces(x->size / n, WEIGHT * n) : 1;
  if (pieces > MOST) pieces = MOST;
  int64_t fit = n > 0 ? MEMORY / (2 * (int64_t)sizeof(entry) * n) : MOST;
  return pieces < fit ? pieces : fit > 1 ? fit : 1;
}

static size_t sort_work(const ct_call *c) {
  const ct_view *x = ct__in(c, 0);
  int axis = line_axis(c->attr, x);
  if (x->size == 0) return 0;
  return 2 * sizeof(entry) * (size_t)(x->dim[axis] * pieces_of(x, axis));
}

/* The line of x at x_at, sorted to y and its positions; work is two rows of entries. */
static void sort_line(const ct_eval *e, int axis, int64_t x_at, int64_t y_at, entry *work) {
  const ct_view *x = e->in[0], *y = e->out[0];
  const int64_t n = x->dim[axis], step = y->stride[axis], item = (int64_t)ct__item_size(x->dtype);
  const bool descending = ((const order *)e->attr)->descending;
  ct_view line = {.data = x->data + x_at * item,
                  .dtype = x->dtype,
                  .size = n,
                  .ndim = 1,
                  .dim = {n},
                  .stride = {x->stride[axis]}};
  ct__view_refresh(&line);
  entry *a = work, *b = a + n;
  ct_view as_double = {.data = (char *)b,
                       .dtype = CT_F64,
                       .size = n,
                       .ndim = 1,
                       .contiguous = true,
                       .dim = {n},
                       .stride = {1}};
  ct__cast(&line, &as_double);
  const double *value = (const double *)(const void *)b; /* read before b is written */
  for (int64_t k = 0; k < n; k++) a[k] = (entry){key_of(value[k], descending), (int32_t)k};
  const entry *sorted = sort_entries(a, b, n);
  char *to = y->data + y_at * item;
  int32_t *index = (int32_t *)(void *)e->out[1]->data + y_at;
  for (int64_t k = 0; k < n; k++) {
    index[k * step] = sorted[k].index;
    memcpy(to + k * step * item, line.data + sorted[k].index * line.stride[0] * item, (size_t)item);
  }
}

static void sort_lines(void *context, int64_t piece) {
  const ct_eval *e = context;
  const ct_view *x = e->in[0];
  int axis = line_axis(e->attr, x);
  const ct_view from = line_starts(x, 1u << axis), to = line_starts(e->out[0], 1u << axis);
  int64_t n = x->dim[axis], lines = from.size, pieces = pieces_of(x, axis);
  entry *work = (entry *)e->work + piece * 2 * n;
  int64_t end = ct__piece_start(lines, 1, pieces, piece + 1);
  for (int64_t l = ct__piece_start(lines, 1, pieces, piece); l < end; l++)
    sort_line(e, axis, ct__offset_of(from.ndim, from.dim, from.stride, l),
              ct__offset_of(to.ndim, to.dim, to.stride, l), work);
}

static ct_status sort_eval(const ct_eval *e) {
  ct_eval copy = *e;
  if (e->in[0]->size == 0) return CT_OK;
  int axis = line_axis(e->attr, e->in[0]);
  ct__parallel(pieces_of(e->in[0], axis), sort_lines, &copy);
  return CT_OK;
}

static int axis_of(const ct_call *c) { return line_axis(c->attr, ct__in(c, 0)); }

static void sort_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  if (gy[0]) gx[0] = ct__put_along(ct__in(c, 0), ct_out(c, 1), gy[0], axis_of(c));
}

static void sort_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  if (dx[0]) dy[0] = ct_take_along_axis(dx[0], ct_out(c, 1), axis_of(c));
}

static void sort_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                       ct_tensor **out) {
  order o = *(const order *)c->attr;
  o.axis = axis_of(c) + 1;
  batch_with(c, &o, in, batched, out);
}

static const ct_op sort_op = {CT_OP,
                              .name = "sort",
                              .doc = "y = x sorted along an axis, i = the positions",
                              .n_in = 1,
                              .n_out = 2,
                              .attr_size = sizeof(order),
                              .infer = sort_infer,
                              .work = sort_work,
                              .eval = sort_eval,
                              .vjp = sort_vjp,
                              .jvp = sort_jvp,
                              .batch = sort_batch,
                              .lo = -2,
                              .hi = 2};

ct_tensor *ct_sort(ct_tensor *x, int axis, bool descending, ct_tensor **indices) {
  order o = {axis, descending};
  ct_tensor *out[2];
  ct__apply(&sort_op, &o, 1, &x, out);
  if (indices) *indices = out[1];
  return out[0];
}

ct_tensor *ct_argsort(ct_tensor *x, int axis, bool descending) {
  CT__COMPOSITION("argsort");
  ct_tensor *indices;
  ct_sort(x, axis, descending, &indices);
  return indices;
}

const ct_op *const ct__sort_ops[] = {&sort_op, NULL};
