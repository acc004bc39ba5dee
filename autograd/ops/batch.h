/* batch.h - what batch rules share: in[i] has the new axis 0 where batched[i]. */
#ifndef COTANGENT_BATCH_H
#define COTANGENT_BATCH_H

#include "../autograd_internal.h"

/* The extent of the new axis. */
static inline int64_t batch_size(const ct_call *c, ct_tensor *const *in, const bool *batched) {
  for (int i = 0; i < c->n_in; i++)
    if (batched[i]) return ct_dim(in[i], 0);
  return 0;
}

/* A new first extent before those of a shape. */
static inline ct_shape batch_shape(int64_t n, ct_shape shape) {
  ct_shape s = {.n = shape.n + 1, .dim = {n}};
  if (shape.n < CT_MAX_DIMS) memcpy(s.dim + 1, shape.dim, (size_t)shape.n * sizeof n);
  return s;
}

/* Input i with the new axis in any case: repeated along it where it has none. */
static inline ct_tensor *batch_whole(ct_tensor *const *in, const bool *batched, int i, int64_t n) {
  return batched[i] ? in[i] : ct_broadcast_to(in[i], batch_shape(n, ct_shape_of(in[i])));
}

/* A rule: the operation with these attributes on inputs that all have the new axis. */
static inline void batch_with(const ct_call *c, const void *attr, ct_tensor *const *in,
                              const bool *batched, ct_tensor **out) {
  ct_tensor *few[4], **whole = few;
  const int64_t n = batch_size(c, in, batched);
  const size_t bytes = (size_t)c->n_in * sizeof *whole;
  if (c->n_in > CT__COUNT(few)) whole = ct__alloc(bytes);
  for (int i = 0; whole && i < c->n_in; i++) whole[i] = batch_whole(in, batched, i, n);
  if (whole) ct__apply(c->op, attr, c->n_in, whole, out);
  if (whole != few) ct__free(whole, bytes);
}

/* The rule of operations that take any number of axes in front. */
static inline void batch_in_front(const ct_call *c, ct_tensor *const *in, const bool *batched,
                                  ct_tensor **out) {
  batch_with(c, c->attr, in, batched, out);
}

/* x, which has the new axis, with `rank` axes behind it: missing ones come first, of extent 1. */
static inline ct_tensor *batch_of_rank(ct_tensor *x, int rank) {
  ct_shape from = ct_shape_of(x), to = {.n = rank + 1, .dim = {from.dim[0]}};
  int missing = to.n - from.n;
  for (int i = 1; i < to.n && i < CT_MAX_DIMS; i++)
    to.dim[i] = i <= missing ? 1 : from.dim[i - missing];
  return missing ? ct_reshape(x, to) : x;
}

/* Axis `from` moved to position `to`, the others in order. */
static inline ct_tensor *move_axis(ct_tensor *x, int from, int to) {
  ct_axes axes = {.n = ct_ndim(x)};
  for (int i = 0, other = 0; i < axes.n; i++) {
    if (other == from) other++;
    axes.at[i] = i == to ? from : other++;
  }
  return ct_permute(x, axes);
}

/* The first n axes as one. */
static inline ct_tensor *join_axes(ct_tensor *x, int n) {
  ct_shape from = ct_shape_of(x), to = {.n = from.n - n + 1, .dim = {1}};
  for (int i = 0; i < from.n; i++) {
    if (i < n)
      to.dim[0] *= from.dim[i];
    else
      to.dim[i - n + 1] = from.dim[i];
  }
  return ct_reshape(x, to);
}

/* The first axis as (outer, inner). */
static inline ct_tensor *cut_axis(ct_tensor *x, int64_t outer, int64_t inner) {
  ct_shape from = ct_shape_of(x), to = {.n = from.n + 1, .dim = {outer, inner}};
  for (int i = 1; i < from.n; i++)
    if (i + 1 < CT_MAX_DIMS) to.dim[i + 1] = from.dim[i];
  return ct_reshape(x, to);
}

#endif
