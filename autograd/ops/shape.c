/* shape.c - operations that only rearrange: the numbers stay what they are, so all are linear and
 * most are views. */
#include "batch.h"

/* ---- axes ------------------------------------------------------------------------------------ */

ct_axes ct_axes_make(size_t n, const int *at) {
  ct_axes axes = {.n = n > CT_MAX_DIMS ? CT_MAX_DIMS + 1 : (int)n};
  for (int i = 0; i < axes.n && i < CT_MAX_DIMS; i++) axes.at[i] = at[i];
  return axes;
}

ct_status ct__axes_mask(const char *who, ct_axes axes, int ndim, unsigned *mask) {
  if (axes.n < 0 || axes.n > CT_MAX_DIMS)
    return ct__fail(CT_EARG, "%s: want 0 to %d axes", who, CT_MAX_DIMS);
  *mask = axes.n ? 0 : (1u << ndim) - 1;
  for (int i = 0; i < axes.n; i++) {
    int axis = ct__axis(axes.at[i], ndim);
    if (axis < 0)
      return ct__fail(CT_EARG, "%s: axis %d is out of range for %d dimensions", who, axes.at[i],
                      ndim);
    if (*mask >> axis & 1) return ct__fail(CT_EARG, "%s: axis %d is named twice", who, axes.at[i]);
    *mask |= 1u << axis;
  }
  return CT_OK;
}

/* Makes an axis of ndim dimensions non-negative. */
static bool find_axis(const char *who, int ndim, int *axis) {
  unsigned mask;
  bool found = ct__axes_mask(who, (ct_axes){1, {*axis}}, ndim, &mask) == CT_OK;
  *axis = ct__axis(*axis, ndim);
  return found;
}

bool ct__given(const char *who, const ct_tensor *x) {
  return ct__check_tensor(who, "x", x) == CT_OK;
}

bool ct__given_axis(const char *who, const ct_tensor *x, int *axis) {
  return ct__given(who, x) && find_axis(who, x->v.ndim, axis);
}

ct_status ct__view_eval(const ct_eval *e) {
  ct_view y = *e->out[0];
  e->op->view(e->attr, e->in[0], &y);
  ct__copy(&y, e->out[0]);
  return CT_OK;
}

/* ---- reshape: x's elements in row-major order under another shape; gx = reshape(gy) ---------- */

/* Attributes are made of fields of one size: no padding, so that they compare as bytes. */
typedef struct extents {
  int64_t n, dim[CT_MAX_DIMS];
} extents;

static extents extents_of(ct_shape shape) {
  shape = ct_shape_make((size_t)shape.n, shape.dim);
  extents e = {.n = shape.n};
  memcpy(e.dim, shape.dim, sizeof e.dim);
  return e;
}

static ct_status want_rank(const ct_call *c, int64_t n) {
  if (n >= 0 && n <= CT_MAX_DIMS) return CT_OK;
  return ct_fail(c, CT_EARG, "want a shape of 0 to %d dimensions", CT_MAX_DIMS);
}

static ct_status reshape_infer(const ct_call *c, ct_spec *out) {
  const extents *to = c->attr;
  const ct_view *x = ct__in(c, 0);
  if (want_rank(c, to->n) != CT_OK) return CT_EARG;
  int64_t size = 1;
  bool fits = true;
  for (int i = 0; i < to->n && fits; i++) fits = ct__mul_size(size, to->dim[i], &size);
  if (!fits || size != x->size) {
    char text[CT__SHAPE_TEXT];
    return ct_fail(c, CT_ESHAPE, "want as many elements as %s holds",
                   ct__shape_text(text, (int)to->n, to->dim));
  }
  ct__spec_set(out, x->dtype, (int)to->n, to->dim);
  return CT_OK;
}

/* Joins the neighbours in x that lie as one dimension, then cuts these from the end as y wants:
 * each extent of y must come out of one of them. */
static bool reshape_view(const void *attr, const ct_view *x, ct_view *y) {
  (void)attr;
  y->data = x->data;
  if (x->contiguous) {
    ct__view_set(y, y->dtype, y->ndim, y->dim);
    return true;
  }
  int64_t dim[CT_MAX_DIMS], stride[CT_MAX_DIMS], room = 1, step = 1;
  int n = 0;
  for (int i = 0; i < x->ndim; i++) {
    if (x->dim[i] == 1) continue;
    bool joins = n > 0 && stride[n - 1] == x->stride[i] * x->dim[i];
    dim[n - joins] = joins ? dim[n - 1] * x->dim[i] : x->dim[i];
    stride[n - joins] = x->stride[i];
    n += !joins;
  }
  for (int i = y->ndim - 1; i >= 0; i--) {
    if (room == 1 && y->dim[i] != 1) {
      room = dim[--n];
      step = stride[n];
    }
    if (room % y->dim[i]) return false;
    y->stride[i] = step;
    step *= y->dim[i];
    room /= y->dim[i];
  }
  ct__view_refresh(y);
  return true;
}

static ct_status reshape_eval(const ct_eval *e) {
  ct_view y = *e->out[0]; /* seen with x's shape */
  ct__view_set(&y, y.dtype, e->in[0]->ndim, e->in[0]->dim);
  ct__copy(e->in[0], &y);
  return CT_OK;
}

static void reshape_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  gx[0] = ct_reshape(gy[0], ct_shape_of(c->in[0]));
}

static void reshape_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                          ct_tensor **out) {
  const extents *to = c->attr;
  ct_shape shape = ct_shape_make((size_t)to->n, to->dim);
  out[0] = ct_reshape(in[0], batch_shape(batch_size(c, in, batched), shape));
}

static const ct_op reshape_op = {CT_OP,
                                 .name = "reshape",
                                 .doc = "y = x's elements under another shape",
                                 .n_in = 1,
                                 .linear = 1,
                                 .attr_size = sizeof(extents),
                                 .infer = reshape_infer,
                                 .view = reshape_view,
                                 .eval = reshape_eval,
                                 .vjp = reshape_vjp,
                                 .batch = reshape_batch,
                                 .lo = -2,
                                 .hi = 2};

/* One extent of -1 becomes what remains of size; where nothing fits it stays, and infer refuses. */
static void find_extent(extents *e, int64_t size) {
  int hole = -1;
  int64_t rest = 1;
  for (int i = 0; i < e->n && i < CT_MAX_DIMS; i++) {
    if (e->dim[i] == -1 && hole < 0)
      hole = i;
    else if (!ct__mul_size(rest, e->dim[i], &rest))
      return;
  }
  if (hole >= 0 && rest > 0 && size % rest == 0) e->dim[hole] = size / rest;
}

ct_tensor *ct_reshape(ct_tensor *x, ct_shape shape) {
  extents to = extents_of(shape);
  find_extent(&to, ct_size(x));
  return CT__APPLY(&reshape_op, &to, x);
}

/* ---- permute: y's axis i is x's axis a[i]; gx = permute(gy) by the inverse ------------------- */

static ct_status permute_infer(const ct_call *c, ct_spec *out) {
  const ct_axes *a = c->attr;
  const ct_view *x = ct__in(c, 0);
  unsigned mask;
  if (ct__axes_mask(c->op->name, *a, x->ndim, &mask) != CT_OK) return CT_EARG;
  if (a->n != x->ndim) return ct_fail(c, CT_EARG, "want every axis once, not %d of them", a->n);
  out->dtype = x->dtype;
  out->shape.n = x->ndim;
  for (int i = 0; i < x->ndim; i++) out->shape.dim[i] = x->dim[ct__axis(a->at[i], x->ndim)];
  return CT_OK;
}

static bool permute_view(const void *attr, const ct_view *x, ct_view *y) {
  const ct_axes *a = attr;
  y->data = x->data;
  for (int i = 0; i < x->ndim; i++) y->stride[i] = x->stride[ct__axis(a->at[i], x->ndim)];
  ct__view_refresh(y);
  return true;
}

static void permute_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  const ct_axes *a = c->attr;
  ct_axes inverse = {.n = a->n};
  for (int i = 0; i < a->n; i++) inverse.at[ct__axis(a->at[i], a->n)] = i;
  gx[0] = ct_permute(gy[0], inverse);
}

static void permute_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                          ct_tensor **out) {
  (void)batched;
  const ct_axes *a = c->attr;
  ct_axes axes = {.n = a->n + 1};
  for (int i = 0; i < a->n && i + 1 < CT_MAX_DIMS; i++)
    axes.at[i + 1] = ct__axis(a->at[i], a->n) + 1;
  out[0] = ct_permute(in[0], axes);
}

static const ct_op permute_op = {CT_OP,
                                 .name = "permute",
                                 .doc = "y's axis i = x's axis a[i]",
                                 .n_in = 1,
                                 .linear = 1,
                                 .attr_size = sizeof(ct_axes),
                                 .infer = permute_infer,
                                 .view = permute_view,
                                 .eval = ct__view_eval,
                                 .vjp = permute_vjp,
                                 .batch = permute_batch,
                                 .lo = -2,
                                 .hi = 2};

ct_tensor *ct_permute(ct_tensor *x, ct_axes axes) {
  axes = ct_axes_make((size_t)axes.n, axes.at);
  return CT__APPLY(&permute_op, &axes, x);
}

ct_tensor *ct_transpose(ct_tensor *x, int a, int b) {
  CT__COMPOSITION("transpose");
  if (!ct__given_axis("transpose", x, &a) || !find_axis("transpose", x->v.ndim, &b))
    return ct_nil();
  ct_axes axes = {.n = x->v.ndim};
  for (int i = 0; i < axes.n; i++) axes.at[i] = i == a ? b : i == b ? a : i;
  return ct_permute(x, axes);
}

/* ---- broadcast_to: x repeated as NumPy broadcasts it; gx = gy summed over the repetitions ---- */

static ct_status broadcast_infer(const ct_call *c, ct_spec *out) {
  const extents *to = c->attr;
  const ct_view *x = ct__in(c, 0);
  if (want_rank(c, to->n) != CT_OK) return CT_EARG;
  ct_shape shape = ct_shape_make((size_t)to->n, to->dim), both;
  if (!ct__broadcast(ct__shape_of_view(x), shape, &both) || !ct_shape_equal(both, shape)) {
    char text[CT__SHAPE_TEXT];
    return ct_fail(c, CT_ESHAPE, "want a shape that broadcasts to %s",
                   ct__shape_text(text, shape.n, shape.dim));
  }
  ct__spec_set(out, x->dtype, shape.n, shape.dim);
  return CT_OK;
}

static bool broadcast_view(const void *attr, const ct_view *x, ct_view *y) {
  const extents *to = attr;
  ct__view_broadcast(x, (int)to->n, to->dim, y);
  return true;
}

static void broadcast_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                            ct_tensor **out) {
  const extents *to = c->attr;
  ct_shape shape = ct_shape_make((size_t)to->n, to->dim);
  out[0] = ct_broadcast_to(batch_of_rank(in[0], shape.n),
                           batch_shape(batch_size(c, in, batched), shape));
}

static const ct_op broadcast_op = {CT_OP,
                                   .name = "broadcast_to",
                                   .doc = "y = x repeated to a larger shape",
                                   .n_in = 1,
                                   .linear = 1,
                                   .attr_size = sizeof(extents),
                                   .infer = broadcast_infer,
                                   .view = broadcast_view,
                                   .eval = ct__view_eval,
                                   .vjp = ct__pass_vjp, /* the engine sums it to x's shape */
                                   .batch = broadcast_batch,
                                   .lo = -2,
                                   .hi = 2};

ct_tensor *ct_broadcast_to(ct_tensor *x, ct_shape shape) {
  extents to = extents_of(shape);
  return CT__APPLY(&broadcast_op, &to, x);
}

/* ---- concat: parts one after another along an axis; gx_i = slice(gy) ------------------------- */

static ct_status concat_infer(const ct_call *c, ct_spec *out) {
  const ct_view *first = ct__in(c, 0);
  int axis = *(const int *)c->attr;
  unsigned mask;
  if (ct__axes_mask(c->op->name, (ct_axes){1, {axis}}, first->ndim, &mask) != CT_OK) return CT_EARG;
  axis = ct__axis(axis, first->ndim);
  ct__spec_set(out, first->dtype, first->ndim, first->dim);
  for (int k = 1; k < c->n_in; k++) {
    const ct_view *part = ct__in(c, k);
    if (part->dtype != first->dtype)
      return ct_fail(c, CT_EDTYPE, "want one dtype, not %s beside %s (ct_cast converts)",
                     ct_dtype_name(first->dtype), ct_dtype_name(part->dtype));
    bool fits = part->ndim == first->ndim;
    for (int i = 0; i < first->ndim && fits; i++) fits = i == axis || part->dim[i] == first->dim[i];
    if (!fits) return ct_fail(c, CT_ESHAPE, "want shapes that differ along axis %d only", axis);
    if (__builtin_add_overflow(out->shape.dim[axis], part->dim[axis], &out->shape.dim[axis]))
      return ct_fail(c, CT_ESIZE, "the result is too large");
  }
  return CT_OK;
}

static ct_status concat_eval(const ct_eval *e) {
  const ct_view *y = e->out[0];
  int axis = ct__axis(*(const int *)e->attr, y->ndim);
  int64_t at = 0;
  for (int k = 0; k < e->n_in; k++) {
    ct_view place = *y;
    place.data += at * y->stride[axis] * (int64_t)ct_dtype_size(y->dtype);
    place.dim[axis] = e->in[k]->dim[axis];
    at += place.dim[axis];
    ct__view_refresh(&place);
    ct__copy(e->in[k], &place);
  }
  return CT_OK;
}

static void concat_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  int axis = *(const int *)c->attr;
  int64_t at = 0, next;
  for (int k = 0; k < c->n_in; k++, at = next) {
    next = at + ct_dim(c->in[k], axis);
    if (ct_wants(c, k)) gx[k] = ct_slice(gy[0], axis, at, next, 1);
  }
}

static void concat_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                         ct_tensor **out) {
  int axis = ct__axis(*(const int *)c->attr, ct__in(c, 0)->ndim) + 1;
  batch_with(c, &axis, in, batched, out);
}

static const ct_op concat_op = {CT_OP,
                                .name = "concat",
                                .doc = "y = the inputs one after another along an axis",
                                .n_in = CT_VARIADIC,
                                .attr_size = sizeof(int),
                                .infer = concat_infer,
                                .eval = concat_eval,
                                .vjp = concat_vjp,
                                .batch = concat_batch,
                                .jvp = ct__jvp_joint,
                                .lo = -2,
                                .hi = 2};

ct_tensor *ct_concat(ct_list parts, int axis) {
  if (parts.n < 1 || !parts.at) return ct__nil(CT_EARG, "concat: want at least one tensor");
  return ct__apply1(&concat_op, &axis, parts.n, parts.at);
}

ct_tensor *ct_stack(ct_list parts, int axis) {
  CT__COMPOSITION("stack");
  if (parts.n < 1 || !parts.at) return ct__nil(CT_EARG, "stack: want at least one tensor");
  if (ct__check_list("stack", "parts", parts) != CT_OK) return ct_nil();
  for (int i = 0; i < parts.n; i++) {
    if (!ct__same_shape(&parts.at[0]->v, &parts.at[i]->v)) {
      char a[CT__SHAPE_TEXT], b[CT__SHAPE_TEXT];
      return ct__nil(CT_ESHAPE, "stack: want tensors of one shape, got %s and %s",
                     ct__shape_text(a, parts.at[0]->v.ndim, parts.at[0]->v.dim),
                     ct__shape_text(b, parts.at[i]->v.ndim, parts.at[i]->v.dim));
    }
  }
  size_t bytes = (size_t)parts.n * sizeof(ct_tensor *);
  ct_tensor **layer = ct__alloc(bytes);
  if (!layer) return ct_nil();
  for (int i = 0; i < parts.n; i++) layer[i] = ct_expand_dims(parts.at[i], axis);
  ct_tensor *y = ct_concat((ct_list){parts.n, layer}, axis);
  ct__free(layer, bytes);
  return y;
}

/* ---- reshapes by name ------------------------------------------------------------------------ */

ct_tensor *ct_squeeze(ct_tensor *x, ct_axes axes) {
  CT__COMPOSITION("squeeze");
  unsigned mask;
  if (!ct__given("squeeze", x) || ct__axes_mask("squeeze", axes, x->v.ndim, &mask) != CT_OK)
    return ct_nil();
  ct_shape shape = {0};
  for (int i = 0; i < x->v.ndim; i++) {
    bool leaves = mask >> i & 1 && x->v.dim[i] == 1;
    if (!leaves) shape.dim[shape.n++] = x->v.dim[i];
    if (leaves || axes.n == 0 || !(mask >> i & 1)) continue;
    char text[CT__SHAPE_TEXT];
    return ct__nil(CT_ESHAPE, "squeeze: want extent 1 at axis %d, got %s", i,
                   ct__shape_text(text, x->v.ndim, x->v.dim));
  }
  return ct_reshape(x, shape);
}

ct_tensor *ct_expand_dims(ct_tensor *x, int axis) {
  CT__COMPOSITION("expand_dims");
  if (!ct__given("expand_dims", x)) return ct_nil();
  ct_shape shape = {.n = x->v.ndim + 1};
  if (shape.n > CT_MAX_DIMS)
    return ct__nil(CT_ESHAPE, "expand_dims: a tensor has at most %d dimensions", CT_MAX_DIMS);
  if (!find_axis("expand_dims", shape.n, &axis)) return ct_nil();
  for (int i = 0; i < shape.n; i++) shape.dim[i] = i == axis ? 1 : x->v.dim[i - (i > axis)];
  return ct_reshape(x, shape);
}

ct_tensor *ct_flatten(ct_tensor *x, int first_axis) {
  CT__COMPOSITION("flatten");
  if (!ct__given("flatten", x)) return ct_nil();
  /* a scalar has one element, so it becomes (1) */
  if (!find_axis("flatten", x->v.ndim ? x->v.ndim : 1, &first_axis)) return ct_nil();
  ct_shape shape = {.n = first_axis + 1};
  for (int i = 0; i < first_axis; i++) shape.dim[i] = x->v.dim[i];
  shape.dim[first_axis] = 1;
  for (int i = first_axis; i < x->v.ndim; i++) shape.dim[first_axis] *= x->v.dim[i];
  return ct_reshape(x, shape);
}

/* ---- copy: the same numbers, row-major in memory of their own; gx = gy ----------------------- */

static ct_status copy_eval(const ct_eval *e) {
  ct__copy(e->in[0], e->out[0]);
  return CT_OK;
}

const ct_op ct__copy_op = {CT_OP,
                           .name = "copy",
                           .doc = "y = x, row-major",
                           .n_in = 1,
                           .linear = 1,
                           .flags = CT_ELEMENTWISE,
                           .infer = ct__infer_like,
                           .eval = copy_eval,
                           .vjp = ct__pass_vjp,
                           .lo = -2,
                           .hi = 2};

ct_tensor *ct_contiguous(ct_tensor *x) {
  CT__COMPOSITION("contiguous");
  return CT__APPLY(&ct__copy_op, NULL, x);
}

const ct_op *const ct__shape_ops[] = {&reshape_op, &permute_op,  &broadcast_op,
                                      &concat_op,  &ct__copy_op, NULL};
