/* window.c - parts of a tensor: taken out, put between zeros, replaced. */
#include "batch.h"
#include "lines.h"

/* ---- slice and pad: transposes of each other ------------------------------------------------- */

/* Along axis i, element k of the small tensor lies at start + k step in the large one. dim is the
 * shape of the result: of the small one for slice, of the large one for pad. */
typedef struct window {
  int64_t n, dim[CT_MAX_DIMS], start[CT_MAX_DIMS], step[CT_MAX_DIMS];
} window;

/* All of x. */
static window whole(const ct_tensor *x) {
  window w = {.n = x->v.ndim};
  for (int i = 0; i < w.n; i++) {
    w.dim[i] = x->v.dim[i];
    w.step[i] = 1;
  }
  return w;
}

/* Whether `count` elements along axis i lie within `extent`. */
static bool inside(const window *w, int i, int64_t count, int64_t extent) {
  int64_t last;
  if (count == 0) return true;
  return w->step[i] != 0 && w->start[i] >= 0 && w->start[i] < extent &&
         !__builtin_mul_overflow(count - 1, w->step[i], &last) &&
         !__builtin_add_overflow(last, w->start[i], &last) && last >= 0 && last < extent;
}

static ct_status window_infer(const ct_call *c, const int64_t *small, const int64_t *large,
                              ct_spec *out) {
  const window *w = c->attr;
  const ct_view *x = ct__in(c, 0);
  bool fits = w->n == x->ndim;
  for (int i = 0; i < x->ndim && fits; i++) fits = inside(w, i, small[i], large[i]);
  if (!fits) return ct_fail(c, CT_ESHAPE, "want a window inside the larger tensor");
  ct__spec_set(out, x->dtype, x->ndim, w->dim);
  return CT_OK;
}

/* The small tensor (its shape is set) as a view of the large one. */
static void window_view(const window *w, const ct_view *large, ct_view *small) {
  int64_t offset = 0;
  for (int i = 0; i < small->ndim; i++) {
    offset += w->start[i] * large->stride[i];
    small->stride[i] = w->step[i] * large->stride[i];
  }
  if (small->size == 0) offset = 0; /* a start may lie where no memory is */
  small->data = large->data + offset * (int64_t)ct_dtype_size(large->dtype);
  ct__view_refresh(small);
}

/* slice: y[k] = x[start + k step] along every axis; gx = pad(gy). */
static ct_status slice_infer(const ct_call *c, ct_spec *out) {
  return window_infer(c, ((const window *)c->attr)->dim, ct__in(c, 0)->dim, out);
}

static bool slice_view(const void *attr, const ct_view *x, ct_view *y) {
  window_view(attr, x, y);
  return true;
}

/* The window with one more axis in front, of which it leaves nothing out. */
static window with_axis(const window *w, int64_t n) {
  window b = {.n = w->n + 1, .dim = {n}, .start = {0}, .step = {1}};
  for (int i = 0; i < w->n && i + 1 < CT_MAX_DIMS; i++) {
    b.dim[i + 1] = w->dim[i];
    b.start[i + 1] = w->start[i];
    b.step[i + 1] = w->step[i];
  }
  return b;
}

static void slice_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx);

static void window_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                         ct_tensor **out) {
  window w = with_axis(c->attr, batch_size(c, in, batched));
  batch_with(c, &w, in, batched, out);
}

static const ct_op slice_op = {CT_OP,
                               .name = "slice",
                               .doc = "y[k] = x[start + k step]",
                               .n_in = 1,
                               .linear = 1,
                               .attr_size = sizeof(window),
                               .infer = slice_infer,
                               .view = slice_view,
                               .eval = ct__view_eval,
                               .vjp = slice_vjp,
                               .batch = window_batch,
                               .lo = -2,
                               .hi = 2};

/* pad: y[start + k step] = x[k] along every axis, 0 elsewhere; gx = slice(gy). */
static ct_status pad_infer(const ct_call *c, ct_spec *out) {
  return window_infer(c, ct__in(c, 0)->dim, ((const window *)c->attr)->dim, out);
}

/* Zeros where the elements of x do not go: around them, and between them if they lie apart. */
static void clear_around(const window *w, const ct_view *x, const ct_view *y) {
  for (int i = 0; i < x->ndim; i++) {
    const int64_t first = w->start[i], behind = first + x->dim[i];
    if (w->step[i] != 1 || x->size == 0) {
      ct_view all = *y;
      ct__fill(&all, 0);
      return;
    }
    for (int side = 0; side < 2; side++) {
      int64_t from = side ? behind : 0, n = side ? y->dim[i] - behind : first;
      if (n == 0) continue;
      ct_view border = part_along(y, i, from, n);
      ct__fill(&border, 0);
    }
  }
}

static ct_status pad_eval(const ct_eval *e) {
  ct_view inner = *e->in[0];
  clear_around(e->attr, e->in[0], e->out[0]);
  window_view(e->attr, e->out[0], &inner);
  ct__copy(e->in[0], &inner);
  return CT_OK;
}

/* The same window the other way, to the shape of the input. */
static ct_tensor *window_back(const ct_op *op, const ct_call *c, ct_tensor *gy) {
  window w = *(const window *)c->attr;
  memcpy(w.dim, whole(c->in[0]).dim, sizeof w.dim);
  return CT__APPLY(op, &w, gy);
}

static void pad_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = window_back(&slice_op, c, gy[0]);
}

static const ct_op pad_op = {CT_OP,
                             .name = "pad",
                             .doc = "y[start + k step] = x[k], 0 elsewhere",
                             .n_in = 1,
                             .linear = 1,
                             .attr_size = sizeof(window),
                             .infer = pad_infer,
                             .eval = pad_eval,
                             .vjp = pad_vjp,
                             .batch = window_batch,
                             .lo = -2,
                             .hi = 2};

static void slice_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = window_back(&pad_op, c, gy[0]);
}

/* Python's rule for a bound: from the end if negative, then clipped to low .. high. */
static int64_t clip(int64_t at, int64_t extent, int64_t low, int64_t high) {
  if (at < 0) at += extent;
  return at < low ? low : at > high ? high : at;
}

/* Python's x[start:stop:step] along an axis of x. */
static bool find_window(const char *who, const ct_tensor *x, int axis, int64_t start, int64_t stop,
                        int64_t step, window *w) {
  if (!ct__given_axis(who, x, &axis)) return false;
  if (step == 0) return ct__fail(CT_EARG, "%s: want a step other than 0", who) == CT_OK;
  int64_t n = x->v.dim[axis], count = 0;
  if (step < -INT64_MAX) step = -INT64_MAX; /* so that it can be negated */
  if (step > 0) {
    start = start == CT_END ? 0 : clip(start, n, 0, n);
    stop = clip(stop, n, 0, n);
    if (start < stop) count = (stop - start - 1) / step + 1;
  } else {
    start = clip(start, n, -1, n - 1);
    stop = stop == CT_END ? -1 : clip(stop, n, -1, n - 1);
    if (start > stop) count = (start - stop - 1) / -step + 1;
  }
  *w = whole(x);
  w->dim[axis] = count;
  w->start[axis] = count > 0 ? start : 0;
  w->step[axis] = count > 1 ? step : 1;
  return true;
}

ct_tensor *ct_slice(ct_tensor *x, int axis, int64_t start, int64_t stop, int64_t step) {
  window w;
  if (!find_window("slice", x, axis, start, stop, step, &w)) return ct_nil();
  return CT__APPLY(&slice_op, &w, x);
}

ct_tensor *ct_flip(ct_tensor *x, ct_axes axes) {
  CT__COMPOSITION("flip");
  unsigned mask;
  if (!ct__given("flip", x) || ct__axes_mask("flip", axes, x->v.ndim, &mask) != CT_OK)
    return ct_nil();
  window w = whole(x);
  for (int i = 0; i < w.n; i++) {
    if (!(mask >> i & 1) || w.dim[i] < 2) continue;
    w.start[i] = w.dim[i] - 1;
    w.step[i] = -1;
  }
  return CT__APPLY(&slice_op, &w, x);
}

ct_status ct_split(ct_tensor *x, int axis, int n, ct_tensor **out) {
  CT__COMPOSITION("split");
  if (!out) return ct__fail_status(CT_EARG, "split: out is NULL");
  for (int i = 0; i < n; i++) out[i] = ct_nil();
  ct_status status = ct__check_tensor("split", "x", x);
  if (status != CT_OK) return status;
  int along = ct__axis(axis, x->v.ndim);
  if (along < 0 || n < 1 || x->v.dim[along] % n) {
    char text[CT__SHAPE_TEXT];
    return ct__fail_status(along < 0 || n < 1 ? CT_EARG : CT_ESHAPE,
                           "split: want parts that divide an axis, got %d along axis %d of %s", n,
                           axis, ct__shape_text(text, x->v.ndim, x->v.dim));
  }
  int64_t width = x->v.dim[along] / n;
  for (int i = 0; i < n; i++) {
    out[i] = ct_slice(x, along, i * width, (i + 1) * width, 1);
    if (!ct__is_nil(out[i])) continue;
    while (i > 0) out[--i] = ct_nil();
    return ct__pending("split");
  }
  return CT_OK;
}

ct_tensor *ct_pad(ct_tensor *x, int axis, int64_t before, int64_t after) {
  if (!ct__given_axis("pad", x, &axis)) return ct_nil();
  if (before < 0 || after < 0) return ct__nil(CT_EARG, "pad: want widths of at least 0");
  window w = whole(x);
  if (__builtin_add_overflow(w.dim[axis], before, &w.dim[axis]) ||
      __builtin_add_overflow(w.dim[axis], after, &w.dim[axis]))
    return ct__nil(CT_ESIZE, "pad: the result is too large");
  w.start[axis] = x->v.dim[axis] > 0 ? before : 0;
  return CT__APPLY(&pad_op, &w, x);
}

/* ---- update_slice: y = x with y[start + k step] = u[k]; linear in both together -------------- */

/* gx = update_slice(gy, 0), gu = slice(gy). */
static ct_status update_infer(const ct_call *c, ct_spec *out) {
  const window *w = c->attr;
  const ct_view *x = ct__in(c, 0), *u = ct__in(c, 1);
  if (x->dtype != u->dtype) return ct_fail(c, CT_EDTYPE, "want one dtype (ct_cast converts)");
  if (u->ndim != w->n || memcmp(u->dim, w->dim, (size_t)w->n * sizeof u->dim[0]) != 0) {
    char text[CT__SHAPE_TEXT];
    return ct_fail(c, CT_ESHAPE, "want an update that broadcasts to %s",
                   ct__shape_text(text, (int)w->n, w->dim));
  }
  ct_status status = window_infer(c, w->dim, x->dim, out);
  return status == CT_OK ? ct__infer_like(c, out) : status;
}

static ct_status update_eval(const ct_eval *e) {
  ct_view part = *e->in[1];
  ct__copy(e->in[0], e->out[0]);
  window_view(e->attr, e->out[0], &part);
  ct__copy(e->in[1], &part);
  return CT_OK;
}

static const ct_op update_slice_op;

static void update_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  if (ct_wants(c, 0)) gx[0] = CT__APPLY(&update_slice_op, c->attr, gy[0], ct__zeros_like(c->in[1]));
  if (ct_wants(c, 1)) gx[1] = CT__APPLY(&slice_op, c->attr, gy[0]);
}

static const ct_op update_slice_op = {CT_OP,
                                      .name = "update_slice",
                                      .doc = "y = x with y[start + k step] = u[k]",
                                      .n_in = 2,
                                      .attr_size = sizeof(window),
                                      .infer = update_infer,
                                      .eval = update_eval,
                                      .vjp = update_vjp,
                                      .jvp = ct__jvp_joint,
                                      .batch = window_batch,
                                      .lo = -2,
                                      .hi = 2};

ct_tensor *ct_update_slice(ct_tensor *x, ct_tensor *u, int axis, int64_t start, int64_t stop,
                           int64_t step) {
  CT__COMPOSITION("update_slice");
  window w;
  if (!find_window("update_slice", x, axis, start, stop, step, &w)) return ct_nil();
  ct_shape part = ct_shape_make((size_t)w.n, w.dim), both;
  bool spreads = !ct_is_nil(u) && ct__broadcast(ct__shape_of_view(&u->v), part, &both) &&
                 ct_shape_equal(both, part);
  if (spreads && !ct_shape_equal(part, ct__shape_of_view(&u->v))) u = ct_broadcast_to(u, part);
  return CT__APPLY(&update_slice_op, &w, x, u);
}

const ct_op *const ct__window_ops[] = {&slice_op, &pad_op, &update_slice_op, NULL};
