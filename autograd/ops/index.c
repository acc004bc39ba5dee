/* index.c - operations that read or write at positions given by an i32 tensor. */
#include "../../tensor/pool.h"
#include "batch.h"

/* ---- rows: what gather and scatter_add share ------------------------------------------------- */

/* Both move rows between a table (x, with an axis of which rows are chosen) and a list (the
 * indices' axes in place of that axis): gather fills the list, scatter_add adds to the table. */

/* Workspace: the indices, row-major. */
static size_t index_work(const ct_call *c) { return (size_t)ct__in(c, 1)->size * sizeof(int32_t); }

/* The indices, row-major and checked; in work if they do not lie so. */
static ct_status read_indices(const ct_eval *e, const ct_view *indices, int64_t extent,
                              const int32_t **index) {
  const int64_t n = indices->size;
  const uint32_t end = extent < INT32_MAX ? (uint32_t)extent : (uint32_t)INT32_MAX + 1;
  const int32_t *at = *index = (const int32_t *)(const void *)indices->data;
  if (n == 0) return CT_OK;
  if (!indices->contiguous) {
    ct_view flat;
    ct__view_set(&flat, CT_I32, indices->ndim, indices->dim);
    flat.data = e->work;
    ct__copy(indices, &flat);
    at = *index = e->work;
  }
  uint32_t outside = 0;
  for (int64_t j = 0; j < n; j++) outside |= (uint32_t)at[j] >= end; /* negative ones are large */
  for (int64_t j = 0; outside && j < n; j++)
    if ((uint32_t)at[j] >= end)
      return ct_error_set(CT_EINDEX, "%s: index %d (number %lld) is outside 0 <= i < %lld",
                          e->op->name, (int)at[j], (long long)j, (long long)extent);
  return CT_OK;
}

/* A table or list: n_mid axes from `axis` on are the rows. */
typedef struct rows {
  const ct_view *v;
  int axis, n_mid;
} rows;

/* n neighbouring dimensions as one; false if their strides do not allow it. */
static bool join(const int64_t *dim, const int64_t *stride, int n, int64_t *size, int64_t *step) {
  *size = 1;
  *step = 0;
  for (int i = n - 1; i >= 0; i--) {
    if (dim[i] == 1) continue;
    if (*size == 1)
      *step = stride[i];
    else if (stride[i] != *step * *size)
      return false;
    *size *= dim[i];
  }
  return true;
}

/* As (outer, row, inner). */
static bool join_rows(const rows *r, int64_t size[3], int64_t step[3]) {
  const ct_view *v = r->v;
  int inner = r->axis + r->n_mid;
  return join(v->dim, v->stride, r->axis, &size[0], &step[0]) &&
         join(v->dim + r->axis, v->stride + r->axis, r->n_mid, &size[1], &step[1]) &&
         join(v->dim + inner, v->stride + inner, v->ndim - inner, &size[2], &step[2]);
}

/* Row number j (row-major over its axes) as a view without these axes. */
static ct_view row_view(const rows *r, int64_t j) {
  ct_view row = *r->v;
  int64_t offset = ct__offset_of(r->n_mid, row.dim + r->axis, row.stride + r->axis, j);
  row.data += offset * (int64_t)ct_dtype_size(row.dtype);
  size_t after = (size_t)(row.ndim - r->axis - r->n_mid) * sizeof row.dim[0];
  memmove(row.dim + r->axis, row.dim + r->axis + r->n_mid, after);
  memmove(row.stride + r->axis, row.stride + r->axis + r->n_mid, after);
  row.ndim -= r->n_mid;
  ct__view_refresh(&row);
  return row;
}

/* Moves of rows between a list and a table, both as (outer, row, inner). */
typedef struct moves {
  const rows *side[2]; /* from, to */
  const int32_t *index;
  int64_t n, size[2][3], step[2][3];
  const struct mover *how;
} moves;

/* How rows are moved: one of them, and numbers `from` to `to` of an outer index, in order, whose
 * elements lie at x and y. */
typedef struct mover {
  ct_loop *row;
  void (*rows)(const moves *a, const char *x, char *y, int64_t from, int64_t to);
} mover;

/* elements of a row that are not worth a call */
enum { SHORT_COPY = 8, SHORT_SUM = 16 };

/* row, and rows that start at X and Y, each the number j in the list or index[j] in the table. */
#define MOVER(name, T, ROW, SHORT, X, Y, MOVE)                                                     \
  static void name##_rows(const moves *a, const char *from, char *to, int64_t start,               \
                          int64_t end) {                                                           \
    const int32_t *index = a->index;                                                               \
    const int64_t width = a->size[0][2], inner[2] = {a->step[0][2], a->step[1][2]};                \
    const int64_t x_step = a->step[0][1], y_step = a->step[1][1];                                  \
    const T *x = (const T *)(const void *)from;                                                    \
    T *y = (T *)(void *)to;                                                                        \
    if (width == 1)                                                                                \
      for (int64_t j = start; j < end; j++) MOVE(y[Y * y_step], x[X * x_step]);                    \
    else if (width <= SHORT)                                                                       \
      for (int64_t j = start; j < end; j++)                                                        \
        for (int64_t i = 0; i < width; i++)                                                        \
          MOVE(y[Y * y_step + i * inner[1]], x[X * x_step + i * inner[0]]);                        \
    else                                                                                           \
      for (int64_t j = start; j < end; j++)                                                        \
        ROW(width, (char *const[]){(char *)(uintptr_t)(x + X * x_step), (char *)(y + Y * y_step)}, \
            inner, NULL);                                                                          \
  }                                                                                                \
  static const mover name = {ROW, name##_rows};

/* Move number m = o n + j is that of row j for outer o. */
static void run_moves(void *context, int64_t from, int64_t to) {
  const moves *a = context;
  const int64_t item = (int64_t)ct__item_size(a->side[0]->v->dtype);
  while (from < to) {
    int64_t o = from / a->n, j = from % a->n, end = j + to - from < a->n ? j + to - from : a->n;
    a->how->rows(a, a->side[0]->v->data + o * a->step[0][0] * item,
                 a->side[1]->v->data + o * a->step[1][0] * item, j, end);
    from += end - j;
  }
}

/* Moves each row of the list from or to its partner in the table, the list in order. Two rows of
 * the list may have the same partner: so only what fills the list is cut. */
static void each_row(const rows *from, const rows *to, bool gather, const int32_t *index, int64_t n,
                     const mover *how) {
  moves a = {.side = {from, to}, .index = index, .n = n, .how = how};
  if (from->v->size == 0 || to->v->size == 0) return;
  if (ct__reference() || !join_rows(from, a.size[0], a.step[0]) ||
      !join_rows(to, a.size[1], a.step[1])) {
    for (int64_t j = 0; j < n; j++) {
      ct_view x = row_view(from, gather ? index[j] : j);
      ct_view y = row_view(to, gather ? j : index[j]);
      ct_map(1, (const ct_view *const[]){&x}, &y, how->row, NULL);
    }
    return;
  }
  int64_t all = a.size[0][0] * n, weight = 2 * ct__line_weight(from->v, a.size[0][2]);
  if (gather)
    ct__parallel_range(all, weight, 1, run_moves, &a);
  else
    run_moves(&a, 0, all);
}

/* The shape of the list: x's with the indices' axes in place of `axis`. */
static ct_status list_infer(const ct_call *c, int *axis, ct_spec *out) {
  const ct_view *x = ct__in(c, 0), *indices = ct__in(c, 1);
  unsigned mask;
  if (ct__axes_mask(c->op->name, (ct_axes){1, {*axis}}, x->ndim, &mask) != CT_OK) return CT_EARG;
  *axis = ct__axis(*axis, x->ndim);
  if (indices->dtype != CT_I32) return ct_fail(c, CT_EDTYPE, "want i32 indices (ct_cast converts)");
  if (x->ndim - 1 + indices->ndim > CT_MAX_DIMS)
    return ct_fail(c, CT_ESHAPE, "want at most %d dimensions in the result", CT_MAX_DIMS);
  int64_t *dim = out->shape.dim;
  size_t after = (size_t)(x->ndim - *axis - 1);
  memcpy(dim, x->dim, (size_t)*axis * sizeof *dim);
  memcpy(dim + *axis, indices->dim, (size_t)indices->ndim * sizeof *dim);
  memcpy(dim + *axis + indices->ndim, x->dim + *axis + 1, after * sizeof *dim);
  out->dtype = x->dtype;
  out->shape.n = x->ndim - 1 + indices->ndim;
  return CT_OK;
}

/* ---- gather: y[o, j, i] = x[o, index[j], i]; gx = scatter_add(0, index, gy). Linear in x ----- */

#define COPY_ROW(name, T)                                                                          \
  static void name(int64_t n, char *const *p, const int64_t *s, const void *attr) {                \
    (void)attr;                                                                                    \
    const T *x = (const T *)(const void *)p[0];                                                    \
    T *y = (T *)(void *)p[1];                                                                      \
    if (n > 1 && s[0] == 1 && s[1] == 1)                                                           \
      memcpy(y, x, (size_t)n * sizeof(T));                                                         \
    else                                                                                           \
      for (int64_t i = 0; i < n; i++) y[i * s[1]] = x[i * s[0]];                                   \
  }
COPY_ROW(copy_row_1, uint8_t)
COPY_ROW(copy_row_4, uint32_t)
COPY_ROW(copy_row_8, uint64_t)

#define SET(y, x) ((y) = (x))
MOVER(take_1, uint8_t, copy_row_1, SHORT_COPY, index[j], j, SET)
MOVER(take_4, uint32_t, copy_row_4, SHORT_COPY, index[j], j, SET)
MOVER(take_8, uint64_t, copy_row_8, SHORT_COPY, index[j], j, SET)

static ct_status gather_infer(const ct_call *c, ct_spec *out) {
  int axis = *(const int *)c->attr;
  return list_infer(c, &axis, out);
}

static ct_status gather_eval(const ct_eval *e) {
  const ct_view *x = e->in[0], *indices = e->in[1];
  const size_t item = ct__item_size(x->dtype);
  const int32_t *index;
  int axis = ct__axis(*(const int *)e->attr, x->ndim);
  ct_status status = read_indices(e, indices, x->dim[axis], &index);
  if (status != CT_OK) return status;
  each_row(&(rows){x, axis, 1}, &(rows){e->out[0], axis, indices->ndim}, true, index, indices->size,
           item == 1   ? &take_1
           : item == 4 ? &take_4
                       : &take_8);
  return CT_OK;
}

static void gather_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = ct_scatter_add(ct__zeros_like(c->in[0]), c->in[1], gy[0], *(const int *)c->attr);
}

/* Indices of a batch into a table each: one table after another, (n extent, rest). */
static ct_tensor *flat_rows(ct_tensor *indices, int64_t n, int64_t extent) {
  ct_shape shape = ct_shape_of(indices);
  int64_t each = n > 0 ? ct_size(indices) / n : 0;
  ct_tensor *flat = ct__flat_index(ct_reshape(indices, CT_SHAPE(n, each)), 1, extent);
  return ct_reshape(flat, shape);
}

/* (n, before, extent, behind) as (n extent, before, behind). */
static ct_tensor *flat_table(ct_tensor *x, int axis) {
  return join_axes(move_axis(x, axis + 1, 1), 2);
}

/* (n, before, j, behind) <-> (n, j, before, behind), j the axes of the indices. */
static ct_tensor *list_axes(ct_tensor *list, int axis, int n_mid, bool forward) {
  ct_axes axes = {.n = ct_ndim(list)};
  for (int i = 0; i < axes.n; i++) {
    int to = i < 1 || i > axis + n_mid ? i : i <= axis ? i + n_mid : i - axis;
    if (forward)
      axes.at[to] = i;
    else
      axes.at[i] = to;
  }
  return ct_permute(list, axes);
}

static void gather_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                         ct_tensor **out) {
  int64_t n = batch_size(c, in, batched);
  int axis = ct__axis(*(const int *)c->attr, ct__in(c, 0)->ndim), n_mid = ct__in(c, 1)->ndim;
  if (!batched[1]) {
    out[0] = ct_gather(in[0], in[1], axis + 1);
  } else if (!batched[0]) {
    out[0] = move_axis(ct_gather(in[0], in[1], axis), axis, 0);
  } else {
    int64_t extent = ct__in(c, 0)->dim[axis];
    ct_tensor *list = ct_gather(flat_table(in[0], axis), flat_rows(in[1], n, extent), 0);
    out[0] = list_axes(list, axis, n_mid, false);
  }
}

static const ct_op gather_op = {CT_OP,
                                .name = "gather",
                                .doc = "y = x[..., indices, ...]",
                                .n_in = 2,
                                .linear = 1,
                                .attr_size = sizeof(int),
                                .flags = CT_CAN_FAIL,
                                .infer = gather_infer,
                                .work = index_work,
                                .eval = gather_eval,
                                .vjp = gather_vjp,
                                .batch = gather_batch,
                                .lo = -2,
                                .hi = 2};

ct_tensor *ct_gather(ct_tensor *x, ct_tensor *indices, int axis) {
  return CT__APPLY(&gather_op, &axis, x, indices);
}

/* ---- scatter_add and scatter_set: linear in x and u together --------------------------------- */

/* scatter_add: y = x, then y[o, index[j], i] += u[o, j, i] in the order of j.
 * gx = gy, gu = gather(gy, index). */

#define ADD_ROW(name, T, sum)                                                                      \
  static void name(int64_t n, char *const *p, const int64_t *s, const void *attr) {                \
    (void)attr;                                                                                    \
    const T *u = (const T *)(const void *)p[0];                                                    \
    T *y = (T *)(void *)p[1];                                                                      \
    if (s[0] == 1 && s[1] == 1)                                                                    \
      for (int64_t i = 0; i < n; i++) y[i] = sum(y[i], u[i]);                                      \
    else                                                                                           \
      for (int64_t i = 0; i < n; i++) y[i * s[1]] = sum(y[i * s[1]], u[i * s[0]]);                 \
  }
#define PLUS(a, b)      ((a) + (b))
#define WRAP_PLUS(a, b) ((int32_t)((uint32_t)(a) + (uint32_t)(b))) /* no overflow in C */
ADD_ROW(add_row_f32, float, PLUS)
ADD_ROW(add_row_f64, double, PLUS)
ADD_ROW(add_row_i32, int32_t, WRAP_PLUS)

#define ADD(y, x)      ((y) = PLUS(y, x))
#define WRAP_ADD(y, x) ((y) = WRAP_PLUS(y, x))
MOVER(add_f32, float, add_row_f32, SHORT_SUM, j, index[j], ADD)
MOVER(add_f64, double, add_row_f64, SHORT_SUM, j, index[j], ADD)
MOVER(add_i32, int32_t, add_row_i32, SHORT_SUM, j, index[j], WRAP_ADD)

static const mover *const adders[CT_DTYPES] = {
    [CT_F32] = &add_f32, [CT_F64] = &add_f64, [CT_I32] = &add_i32};

static ct_status put_infer(const ct_call *c, ct_spec *out) {
  const ct_view *x = ct__in(c, 0), *updates = ct__in(c, 2);
  int axis = *(const int *)c->attr;
  ct_status status = list_infer(c, &axis, out);
  if (status != CT_OK) return status;
  if (updates->dtype != x->dtype) return ct_fail(c, CT_EDTYPE, "want x and updates of one dtype");
  if (!ct_shape_equal(out->shape, ct__shape_of_view(updates))) {
    char text[CT__SHAPE_TEXT];
    return ct_fail(c, CT_ESHAPE, "want updates of shape %s",
                   ct__shape_text(text, out->shape.n, out->shape.dim));
  }
  ct__spec_set(out, x->dtype, x->ndim, x->dim);
  return CT_OK;
}

static ct_status scatter_infer(const ct_call *c, ct_spec *out) {
  if (!adders[ct__in(c, 0)->dtype]) return ct_fail(c, CT_EDTYPE, "want f32, f64 or i32");
  return put_infer(c, out);
}

/* Moves each update to its place, in order. */
static ct_status put_rows(const ct_eval *e, const mover *how) {
  const ct_view *x = e->in[0], *indices = e->in[1], *y = e->out[0];
  const int32_t *index;
  int axis = ct__axis(*(const int *)e->attr, x->ndim);
  ct_status status = read_indices(e, indices, x->dim[axis], &index);
  if (status != CT_OK) return status;
  ct__copy(x, e->out[0]);
  each_row(&(rows){e->in[2], axis, indices->ndim}, &(rows){y, axis, 1}, false, index, indices->size,
           how);
  return CT_OK;
}

static ct_status scatter_eval(const ct_eval *e) { return put_rows(e, adders[e->in[0]->dtype]); }

static void scatter_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = gy[0];
  if (ct_wants(c, 2)) gx[2] = ct_gather(gy[0], c->in[1], *(const int *)c->attr);
}

static void scatter_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                          ct_tensor **out) {
  int64_t n = batch_size(c, in, batched);
  int axis = ct__axis(*(const int *)c->attr, ct__in(c, 0)->ndim), to = batched[1] ? 0 : axis + 1;
  int64_t extent = ct__in(c, 0)->dim[axis];
  ct_tensor *x = batch_whole(in, batched, 0, n), *indices = in[1];
  ct_tensor *updates = batch_whole(in, batched, 2, n);
  if (batched[1]) {
    x = flat_table(x, axis);
    indices = flat_rows(indices, n, extent);
    updates = list_axes(updates, axis, ct__in(c, 1)->ndim, true);
  }
  out[0] = CT__APPLY(c->op, &to, x, indices, updates);
  if (batched[1]) out[0] = move_axis(cut_axis(out[0], n, extent), 1, axis + 1);
}

static const ct_op scatter_add_op = {CT_OP,
                                     .name = "scatter_add",
                                     .doc = "y = x with updates added at [..., indices, ...]",
                                     .n_in = 3,
                                     .attr_size = sizeof(int),
                                     .flags = CT_CAN_FAIL,
                                     .infer = scatter_infer,
                                     .work = index_work,
                                     .eval = scatter_eval,
                                     .vjp = scatter_vjp,
                                     .jvp = ct__jvp_joint,
                                     .batch = scatter_batch,
                                     .lo = -2,
                                     .hi = 2};

ct_tensor *ct_scatter_add(ct_tensor *x, ct_tensor *indices, ct_tensor *updates, int axis) {
  return CT__APPLY(&scatter_add_op, &axis, x, indices, updates);
}

/* scatter_set: y = x, then y[o, index[j], i] = u[o, j, i] in the order of j: the last one wins.
 * gx = gy, 0 at the places; gu = gather(gy, index), 0 for those that did not win. */
MOVER(set_1, uint8_t, copy_row_1, SHORT_COPY, j, index[j], SET)
MOVER(set_4, uint32_t, copy_row_4, SHORT_COPY, j, index[j], SET)
MOVER(set_8, uint64_t, copy_row_8, SHORT_COPY, j, index[j], SET)

static ct_status set_eval(const ct_eval *e) {
  const size_t item = ct__item_size(e->in[0]->dtype);
  return put_rows(e, item == 1 ? &set_1 : item == 4 ? &set_4 : &set_8);
}

/* Which of the updates are the last ones of their place; bool, the indices' axes and extents of 1
 * behind them, for the axes of x behind `axis`. */
static ct_tensor *winners(const ct_call *c, int axis) {
  ct_tensor *indices = c->in[1];
  ct_shape shape = ct_shape_of(indices);
  ct_tensor *order = ct_arange(CT_I32, 0, (double)ct_size(indices), 1);
  ct_tensor *last = ct_zeros(CT_I32, CT_SHAPE(ct__in(c, 0)->dim[axis]));
  order = ct_reshape(order, shape);
  last = ct_scatter_set(last, indices, order, 0);
  for (int i = axis + 1; i < ct__in(c, 0)->ndim; i++) shape.dim[shape.n++] = 1;
  return ct_reshape(ct_eq(order, ct_gather(last, indices, 0)), shape);
}

static void set_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  int axis = ct__axis(*(const int *)c->attr, ct__in(c, 0)->ndim);
  if (ct_wants(c, 0)) gx[0] = ct_scatter_set(gy[0], c->in[1], ct__zeros_like(c->in[2]), axis);
  if (ct_wants(c, 2))
    gx[2] =
        ct_where(winners(c, axis), ct_gather(gy[0], c->in[1], axis), ct__constant_like(gy[0], 0));
}

static const ct_op scatter_set_op = {CT_OP,
                                     .name = "scatter_set",
                                     .doc = "y = x with updates at [..., indices, ...], last wins",
                                     .n_in = 3,
                                     .attr_size = sizeof(int),
                                     .flags = CT_CAN_FAIL,
                                     .infer = put_infer,
                                     .work = index_work,
                                     .eval = set_eval,
                                     .vjp = set_vjp,
                                     .jvp = ct__jvp_joint,
                                     .batch = scatter_batch,
                                     .lo = -2,
                                     .hi = 2};

ct_tensor *ct_scatter_set(ct_tensor *x, ct_tensor *indices, ct_tensor *updates, int axis) {
  return CT__APPLY(&scatter_set_op, &axis, x, indices, updates);
}

/* ---- one_hot: y[j, i] = 1 where i == index[j], else 0 ---------------------------------------- */

typedef struct one_hot {
  int64_t depth, dtype;
} one_hot;

static size_t one_hot_work(const ct_call *c) {
  return (size_t)ct__in(c, 0)->size * sizeof(int32_t);
}

static ct_status one_hot_infer(const ct_call *c, ct_spec *out) {
  const one_hot *a = c->attr;
  const ct_view *indices = ct__in(c, 0);
  if (indices->dtype != CT_I32) return ct_fail(c, CT_EDTYPE, "want i32 indices (ct_cast converts)");
  if (indices->ndim == CT_MAX_DIMS)
    return ct_fail(c, CT_ESHAPE, "want at most %d dimensions", CT_MAX_DIMS - 1);
  if (a->depth < 0) return ct_fail(c, CT_EARG, "want a depth of at least 0");
  ct__spec_set(out, (ct_dtype)a->dtype, indices->ndim, indices->dim);
  out->shape.dim[out->shape.n++] = a->depth;
  return CT_OK;
}

static ct_status one_hot_eval(const ct_eval *e) {
  ct_view *y = e->out[0];
  int64_t depth = ((const one_hot *)e->attr)->depth, n = e->in[0]->size;
  const int32_t *index;
  ct_status status = read_indices(e, e->in[0], depth, &index);
  if (status != CT_OK) return status;
  const size_t item = ct_dtype_size(y->dtype);
  char one[sizeof(double)];
  ct_view one_view = {.data = one, .dtype = y->dtype, .size = 1, .contiguous = true};
  ct__fill(&one_view, 1);
  ct__fill(y, 0);
  for (int64_t j = 0; j < n; j++)
    memcpy(y->data + (size_t)(j * depth + index[j]) * item, one, item);
  return CT_OK;
}

static const ct_op one_hot_op = {CT_OP,
                                 .name = "one_hot",
                                 .doc = "y = 1 at the index along a new last axis, 0 elsewhere",
                                 .n_in = 1,
                                 .flags = CT_NONDIFF | CT_CAN_FAIL,
                                 .attr_size = sizeof(one_hot),
                                 .infer = one_hot_infer,
                                 .work = one_hot_work,
                                 .eval = one_hot_eval,
                                 .batch = batch_in_front};

ct_tensor *ct_one_hot(ct_tensor *indices, int64_t depth, ct_dtype dtype) {
  one_hot a = {depth, dtype};
  return CT__APPLY(&one_hot_op, &a, indices);
}

const ct_op *const ct__index_ops[] = {&gather_op, &scatter_add_op, &scatter_set_op, &one_hot_op,
                                      NULL};
