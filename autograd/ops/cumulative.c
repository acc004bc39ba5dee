/* cumulative.c - running sums, extrema and products along an axis, and the linear recurrence. */
#include "batch.h"
#include "lines.h"

/* The first element along an axis, in the direction of a walk along it; the others. */
static ct_view first_of(const ct_view *v, int axis, bool backwards) {
  return part_along(v, axis, backwards ? v->dim[axis] - 1 : 0, 1);
}
static ct_view others_of(const ct_view *v, int axis, bool backwards) {
  return part_along(v, axis, backwards ? 0 : 1, v->dim[axis] - 1);
}

/* ---- cumsum ---------------------------------------------------------------------------------- */

typedef struct running {
  int axis, exclusive, reverse;
} running;

/* y[k] = sum of x[j] for j <= k along the axis; exclusive: j < k; reverse: j >= k, j > k.
 * Linear; gx = the same of gy in the other direction. */
static ct_status cumsum_infer(const ct_call *c, ct_spec *out) {
  const running *r = c->attr;
  ct_dtype dtype = ct__in(c, 0)->dtype;
  unsigned mask;
  if (ct__axes_mask(c->op->name, (ct_axes){1, {r->axis}}, ct__in(c, 0)->ndim, &mask) != CT_OK)
    return CT_EARG;
  ct__infer_like(c, out);
  if (dtype == CT_U8 || dtype == CT_BOOL) out->dtype = CT_I32;
  return CT_OK;
}

static ct_status cumsum_eval(const ct_eval *e) {
  const running *r = e->attr;
  ct_view x = *e->in[0], y = *e->out[0];
  int axis = ct__axis(r->axis, x.ndim);
  if (y.size == 0) return CT_OK;
  if (r->exclusive) { /* 0, then the sums of all but the last */
    ct_view first = first_of(&y, axis, r->reverse);
    ct__fill(&first, 0);
    x = others_of(&x, axis, !r->reverse);
    y = others_of(&y, axis, r->reverse);
  }
  ct_eval sums = *e;
  sums.in = (const ct_view *[]){&x};
  sums.out = (ct_view *[]){&y};
  ct__each_line(&sums, axis, r->reverse, ct__running_now()->cumsum[x.dtype],
                (ct__lines){.n = x.dim[axis]});
  return CT_OK;
}

static void cumsum_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  running r = *(const running *)c->attr;
  r.reverse = !r.reverse;
  gx[0] = CT__APPLY(c->op, &r, gy[0]);
}

static void cumsum_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                         ct_tensor **out) {
  running r = *(const running *)c->attr;
  r.axis = ct__axis(r.axis, ct__in(c, 0)->ndim) + 1;
  batch_with(c, &r, in, batched, out);
}

static const ct_op cumsum_op = {CT_OP,
                                .name = "cumsum",
                                .doc = "y[k] = sum of x[j], j <= k",
                                .n_in = 1,
                                .linear = 1,
                                .attr_size = sizeof(running),
                                .infer = cumsum_infer,
                                .eval = cumsum_eval,
                                .vjp = cumsum_vjp,
                                .batch = cumsum_batch,
                                .lo = -2,
                                .hi = 2};

ct_tensor *ct_cumsum(ct_tensor *x, int axis) {
  return ct_cumsum_with(x, axis, (ct_cumsum_opts){0});
}

ct_tensor *ct_cumsum_with(ct_tensor *x, int axis, ct_cumsum_opts opts) {
  running r = {axis, opts.exclusive, opts.reverse};
  return CT__APPLY(&cumsum_op, &r, x);
}

/* ---- cummax: y[k] = the largest x[j] for j <= k, i[k] = where; NaN wins, then the first ------ */

/* gx = gy put back at i, dy = dx taken at i. */
static ct_status cummax_infer(const ct_call *c, ct_spec *out) {
  const ct_view *x = ct__in(c, 0);
  if (x->dim[*(const int *)c->attr] > INT32_MAX)
    return ct_fail(c, CT_ESIZE, "want positions that fit i32");
  ct__spec_set(&out[0], x->dtype, x->ndim, x->dim);
  ct__spec_set(&out[1], CT_I32, x->ndim, x->dim);
  return CT_OK;
}

static ct_status cummax_eval(const ct_eval *e) {
  const ct_view *x = e->in[0];
  int axis = *(const int *)e->attr;
  ct__each_line(e, axis, false, ct__running_now()->cummax[x->dtype],
                (ct__lines){.n = x->dim[axis]});
  return CT_OK;
}

static void cummax_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  if (gy[0]) gx[0] = ct__put_along(ct__in(c, 0), ct_out(c, 1), gy[0], *(const int *)c->attr);
}

static void cummax_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  if (dx[0]) dy[0] = ct_take_along_axis(dx[0], ct_out(c, 1), *(const int *)c->attr);
}

static void cummax_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                         ct_tensor **out) {
  batch_with(c, &(int){*(const int *)c->attr + 1}, in, batched, out);
}

static const ct_op cummax_op = {CT_OP,
                                .name = "cummax",
                                .doc = "y[k] = the largest x[j], j <= k, i = where",
                                .n_in = 1,
                                .n_out = 2,
                                .attr_size = sizeof(int),
                                .infer = cummax_infer,
                                .eval = cummax_eval,
                                .vjp = cummax_vjp,
                                .jvp = cummax_jvp,
                                .batch = cummax_batch,
                                .lo = -2,
                                .hi = 2};

ct_tensor *ct_cummax(ct_tensor *x, int axis) {
  if (!ct__given_axis("cummax", x, &axis)) return ct_nil();
  ct_tensor *out[2];
  ct__apply(&cummax_op, &axis, 1, &x, out);
  return out[0];
}

/* ---- linear_recurrence ----------------------------------------------------------------------- */

/* s[k + 1] = a[k] s[k] + b[k] along an axis, from s[0] = start on; in reverse from the end,
 * s[k] = a[k] s[k + 1] + b[k] from s[n] = start on. a, b: n elements along the axis; start: 1; the
 * result: n + 1.
 * With r = gy's own recurrence in the other direction, r[k] = a[k] r[k + 1] + gy[k] from gy[n] on:
 *   gb[k] = r[k + 1],  ga[k] = r[k + 1] s[k],  gstart = r[0];
 *   ds = the recurrence of db[k] + da[k] s[k] from dstart on.
 * In those zero times anything is zero.
 * (Blelloch, Prefix sums and their applications, 1990; Martin and Cundy, Parallelizing linear
 * recurrent neural nets over sequence length, 2018.) */
typedef struct recurrence {
  int axis, reverse, is_derivative;
} recurrence;

static ct_status recurrence_infer(const ct_call *c, ct_spec *out) {
  const recurrence *r = c->attr;
  const ct_view *a = ct__in(c, 0), *b = ct__in(c, 1), *start = ct__in(c, 2);
  if (a->dtype != b->dtype || a->dtype != start->dtype)
    return ct_fail(c, CT_EDTYPE, "want one dtype (ct_cast converts)");
  if (!ct__running_now()->recurrence[a->dtype])
    return ct_fail(c, CT_EDTYPE, "want f32, f64 or i32 (ct_cast converts)");
  ct_view one = line_starts(a, 1u << r->axis);
  if (!ct__same_shape(a, b) || !ct__same_shape(&one, start))
    return ct_fail(c, CT_ESHAPE, "want a and b of one shape, and a start of extent 1");
  ct__spec_set(out, a->dtype, a->ndim, a->dim);
  out->shape.dim[r->axis]++;
  return CT_OK;
}

static ct_status recurrence_eval(const ct_eval *e) {
  const recurrence *r = e->attr;
  const ct_view *s = e->out[0];
  ct_view first = first_of(s, r->axis, r->reverse), others = others_of(s, r->axis, r->reverse);
  ct_eval steps = *e;
  steps.out = (ct_view *[]){&others};
  ct__copy(e->in[2], &first);
  ct__each_line(&steps, r->axis, r->reverse, ct__running_now()->recurrence[s->dtype],
                (ct__lines){.n = others.dim[r->axis], .attr = &(bool){r->is_derivative}});
  return CT_OK;
}

/* The states before or behind the n steps, in the order of the steps. */
static ct_tensor *states(const recurrence *r, ct_tensor *s, bool behind) {
  bool up = behind != (bool)r->reverse;
  return ct_slice(s, r->axis, up ? 1 : 0, up ? CT_END : -1, 1);
}

/* The first or the last state. */
static ct_tensor *state_at(const recurrence *r, ct_tensor *s, bool last) {
  bool end = last != (bool)r->reverse;
  return ct_slice(s, r->axis, end ? -1 : 0, end ? CT_END : 1, 1);
}

static void recurrence_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  const recurrence *r = c->attr;
  recurrence back = {r->axis, !r->reverse, true};
  ct_tensor *pulled =
      CT__APPLY(c->op, &back, c->in[0], states(r, gy[0], false), state_at(r, gy[0], true));
  ct_tensor *gb = states(r, pulled, true);
  if (ct_wants(c, 0)) gx[0] = ct_mul0(gb, states(r, ct_out(c, 0), false));
  if (ct_wants(c, 1)) gx[1] = gb;
  if (ct_wants(c, 2)) gx[2] = state_at(r, pulled, false);
}

static void recurrence_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  const recurrence *r = c->attr;
  recurrence forth = {r->axis, r->reverse, true};
  ct_tensor *db = dx[1], *start = dx[2] ? dx[2] : ct__zeros_like(c->in[2]);
  if (dx[0]) {
    ct_tensor *more = ct_mul0(dx[0], states(r, ct_out(c, 0), false));
    db = db ? ct_add(db, more) : more;
  }
  dy[0] = CT__APPLY(c->op, &forth, c->in[0], db ? db : ct__zeros_like(c->in[1]), start);
}

static void recurrence_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                             ct_tensor **out) {
  recurrence r = *(const recurrence *)c->attr;
  r.axis++;
  batch_with(c, &r, in, batched, out);
}

static const ct_op recurrence_op = {CT_OP,
                                    .name = "linear_recurrence",
                                    .doc = "s[k + 1] = a[k] s[k] + b[k], s[0] = start",
                                    .n_in = 3,
                                    .attr_size = sizeof(recurrence),
                                    .infer = recurrence_infer,
                                    .eval = recurrence_eval,
                                    .vjp = recurrence_vjp,
                                    .jvp = recurrence_jvp,
                                    .batch = recurrence_batch,
                                    .lo = -2,
                                    .hi = 2};

/* The shape that a and b have together with start, which has an extent of 1 along the axis. */
static bool shape_of_steps(ct_shape a, ct_shape b, ct_shape start, int *axis, ct_shape *shape) {
  ct_shape lines;
  if (!ct__broadcast(a, b, shape)) return false;
  *axis = ct__axis(*axis, shape->n);
  if (*axis < 0) return false;
  int64_t n = shape->dim[*axis];
  lines = *shape;
  lines.dim[*axis] = 1;
  if (!ct__broadcast(lines, start, shape) || shape->n != lines.n || shape->dim[*axis] != 1)
    return false;
  shape->dim[*axis] = n;
  return true;
}

ct_tensor *ct_linear_recurrence(ct_tensor *a, ct_tensor *b, ct_tensor *start, int axis,
                                bool reverse) {
  const char *who = recurrence_op.name;
  CT__COMPOSITION(who);
  if (ct__check_tensor(who, "a", a) != CT_OK || ct__check_tensor(who, "b", b) != CT_OK ||
      ct__check_tensor(who, "start", start) != CT_OK)
    return ct_nil();
  recurrence r = {axis, reverse, false};
  ct_shape steps, lines;
  if (!shape_of_steps(ct_shape_of(a), ct_shape_of(b), ct_shape_of(start), &r.axis, &steps)) {
    char text[3][CT__SHAPE_TEXT];
    return ct__nil(CT_ESHAPE,
                   "%s: want shapes that broadcast, the start's extent along axis %d being 1, got "
                   "%s, %s and %s",
                   who, axis, ct__shape_text(text[0], a->v.ndim, a->v.dim),
                   ct__shape_text(text[1], b->v.ndim, b->v.dim),
                   ct__shape_text(text[2], start->v.ndim, start->v.dim));
  }
  lines = steps;
  lines.dim[r.axis] = 1;
  return CT__APPLY(&recurrence_op, &r, ct_broadcast_to(a, steps), ct_broadcast_to(b, steps),
                   ct_broadcast_to(start, lines));
}

/* Products of the elements before each one, and of all. */
ct_tensor *ct__products_along(ct_tensor *x, int axis, bool reverse) {
  return ct_linear_recurrence(x, ct__constant_like(x, 0), ct__constant_like(x, 1), axis, reverse);
}

ct_tensor *ct_cumprod(ct_tensor *x, int axis) {
  CT__COMPOSITION("cumprod");
  if (!ct__given_axis("cumprod", x, &axis)) return ct_nil();
  return ct_slice(ct__products_along(x, axis, false), axis, 1, CT_END, 1);
}

const ct_op *const ct__cumulative_ops[] = {&cumsum_op, &cummax_op, &recurrence_op, NULL};
