/* cross_entropy.c - softmax and cross entropy in one pass over the logits, and its derivative. */
#include "../../tensor/pool.h"
#include "batch.h"
#include "lines.h"

typedef struct loss_attr {
  double smoothing;
  int64_t reduction; /* a ct_reduction; 64 bits leave no gap to compare */
} loss_attr;

/* ---- rows ------------------------------------------------------------------------------------ */

enum { FEW = 2 }; /* rows that do not pay for lanes */

/* Those of a call: losses go to y and derivatives to gx where they are wanted. */
static ct__loss_rows rows_of(const ct_eval *e, const ct_view *y, const ct_view *gx) {
  const ct_view *x = e->in[0], *t = e->in[1];
  const loss_attr *attr = e->attr;
  ct__loss_rows o = {.classes = x->dim[1],
                     .x = x->data,
                     .x_row = x->stride[0],
                     .x_step = x->stride[1],
                     .keep = 1 - attr->smoothing,
                     .floor = attr->smoothing / (double)x->dim[1],
                     .divisor = attr->reduction == CT_MEAN ? (double)x->dim[0] : 1,
                     .loss = y && attr->reduction == CT_EACH ? y->data : NULL,
                     .wanted = y,
                     .alone = ct__reference() || x->dim[0] <= FEW};
  if (t->dtype == CT_I32) {
    o.label = (const int32_t *)(const void *)t->data;
    o.label_step = t->stride[0];
    o.plain = attr->smoothing == 0;
  } else {
    o.p = t->data;
    o.p_row = t->stride[0];
    o.p_step = t->stride[1];
  }
  if (gx) {
    o.gx = gx->data;
    o.gy = e->in[2]->data;
    o.gy_step = e->in[2]->ndim ? e->in[2]->stride[0] : 0;
  }
  return o;
}

typedef struct row_job {
  const ct__loss_rows *rows;
  int64_t n, pieces;
  double (*sum_of)(const ct__loss_rows *o, int64_t from, int64_t to);
  double sum[CT__MAX_PIECES];
  int64_t bad[CT__MAX_PIECES]; /* the first row whose label is out of range, or -1 */
} row_job;

static int64_t first_bad_label(const ct__loss_rows *o, int64_t from, int64_t to) {
  for (int64_t i = from; i < to && o->label; i++) {
    int32_t label = o->label[i * o->label_step];
    if (label < 0 || label >= o->classes) return i;
  }
  return -1;
}

static void sum_rows(void *context, int64_t piece) {
  enum { GRAIN = 16 }; /* rows that go together */
  row_job *job = context;
  int64_t from = ct__piece_start(job->n, GRAIN, job->pieces, piece);
  int64_t to = ct__piece_start(job->n, GRAIN, job->pieces, piece + 1);
  job->bad[piece] = first_bad_label(job->rows, from, to);
  if (job->bad[piece] < 0) job->sum[piece] = job->sum_of(job->rows, from, to);
}

static void put(ct_view *v, double value) {
  if (v->dtype == CT_F32)
    *(float *)(void *)v->data = (float)value;
  else
    *(double *)(void *)v->data = value;
}

/* All rows; CT_EINDEX for a label out of range. */
static ct_status each_row(const ct_eval *e, ct_view *y, ct_view *gx) {
  const ct_view *x = e->in[0];
  const ct__loss_rows rows = rows_of(e, y, gx);
  int64_t reduction = ((const loss_attr *)e->attr)->reduction;
  row_job job;
  job.rows = &rows;
  job.n = x->dim[0];
  job.pieces = ct__pieces(job.n, 6 * ct__line_weight(x, rows.classes));
  job.sum_of = ct__lines_of(x->dtype)->cross_entropy;
  ct__parallel(job.pieces, sum_rows, &job);
  double sum = 0;
  for (int64_t piece = 0; piece < job.pieces; piece++) {
    int64_t bad = job.bad[piece];
    if (bad >= 0)
      return ct_error_set(
          CT_EINDEX, "cross_entropy: label %d of row %lld is outside 0 <= label < %lld",
          (int)rows.label[bad * rows.label_step], (long long)bad, (long long)rows.classes);
    sum += job.sum[piece];
  }
  if (y && reduction != CT_EACH) put(y, reduction == CT_MEAN ? sum / (double)job.n : sum);
  return CT_OK;
}

/* ---- the parts of the rules ------------------------------------------------------------------ */

static double smoothing_of(const ct_call *c) { return ((const loss_attr *)c->attr)->smoothing; }

static ct_reduction reduction_of(const ct_call *c) {
  return (ct_reduction)((const loss_attr *)c->attr)->reduction;
}

static ct_status check_operands(const ct_call *c) {
  const ct_view *x = ct__in(c, 0), *t = ct__in(c, 1);
  if (!ct_dtype_is_float(x->dtype) || (t->dtype != CT_I32 && t->dtype != x->dtype))
    return ct_fail(c, CT_EDTYPE, "want logits f32 or f64 and targets i32 or of the same dtype");
  bool fits = x->ndim == 2 &&
              (t->dtype == CT_I32 ? t->ndim == 1 && t->dim[0] == x->dim[0] : ct__same_shape(t, x));
  if (!fits || (x->dim[0] > 0 && x->dim[1] == 0))
    return ct_fail(c, CT_ESHAPE, "want logits (n,classes) and %s",
                   t->dtype == CT_I32 ? "labels (n)" : "probabilities (n,classes)");
  return CT_OK;
}

/* (n, classes): the smoothed targets as probabilities. */
static ct_tensor *smoothed(const ct_call *c) {
  const ct_view *x = ct__in(c, 0);
  ct_tensor *t = c->in[1];
  double smoothing = smoothing_of(c);
  if (t->v.dtype == CT_I32) t = ct_one_hot(t, x->dim[1], x->dtype);
  if (smoothing == 0 || x->size == 0) return t;
  return ct_shift(ct_scale(t, 1 - smoothing), smoothing / (double)x->dim[1]);
}

/* The cotangent of the result as the one of each row's loss: a scalar or (n, 1). */
static ct_tensor *row_cotangent(const ct_call *c, ct_tensor *gy) {
  int64_t n = ct__in(c, 0)->dim[0];
  if (reduction_of(c) == CT_EACH) return ct_reshape(gy, CT_SHAPE(n, 1));
  return reduction_of(c) == CT_MEAN && n > 0 ? ct_scale(gy, 1 / (double)n) : gy;
}

/* Batch rules see all rows of a batch as rows of one matrix: logits, targets and what else has them
 * in front. */
static ct_tensor *all_rows(ct_tensor *const *in, const bool *batched, int i, int64_t n) {
  return join_axes(batch_whole(in, batched, i, n), 2);
}

/* ---- cross_entropy_grad: the derivative in one pass ------------------------------------------ */

/* gx = (softmax(logits) sum_j t_j - t) gy, gy / n for the mean; 0 where gy is 0. */
static ct_status grad_infer(const ct_call *c, ct_spec *out) {
  ct_status status = check_operands(c);
  if (status != CT_OK) return status;
  const ct_view *x = ct__in(c, 0), *gy = ct__in(c, 2);
  bool each = reduction_of(c) == CT_EACH;
  if (gy->dtype != x->dtype) return ct_fail(c, CT_EDTYPE, "want gy of the logits' dtype");
  if (gy->ndim != each || (each && gy->dim[0] != x->dim[0]))
    return ct_fail(c, CT_ESHAPE, "want gy as the loss");
  return ct__infer_like(c, out);
}

static ct_status grad_eval(const ct_eval *e) { return each_row(e, NULL, e->out[0]); }

static void grad_fallback(const ct_call *c, ct_tensor **y) {
  ct_tensor *p = ct_softmax(c->in[0], 1);
  y[0] = ct_mul0(row_cotangent(c, c->in[2]), ct__balance(smoothed(c), p, 1));
}

static void grad_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                       ct_tensor **out) {
  int64_t n = batch_size(c, in, batched), rows = ct__in(c, 0)->dim[0];
  loss_attr each = {smoothing_of(c), CT_EACH};
  ct_tensor *gy = in[2];
  if (reduction_of(c) == CT_MEAN && rows > 0) gy = ct_scale(gy, 1 / (double)rows);
  if (reduction_of(c) != CT_EACH) gy = ct_expand_dims(gy, -1);
  gy = ct_broadcast_to(gy, CT_SHAPE(n, rows));
  out[0] = cut_axis(CT__APPLY(&ct__cross_entropy_grad_op, &each, all_rows(in, batched, 0, n),
                              all_rows(in, batched, 1, n), ct_reshape(gy, CT_SHAPE(n * rows))),
                    n, rows);
}

const ct_op ct__cross_entropy_grad_op = {
    CT_OP,
    .name = "cross_entropy_grad",
    .doc = "y = (softmax(logits) - t) gy",
    .n_in = 3,
    .attr_size = sizeof(loss_attr),
    .flags = CT_CAN_FAIL,
    .infer = grad_infer,
    .eval = grad_eval,
    .batch = grad_batch,
    .fallback = grad_fallback,
    .lo = -3,
    .hi = 3,
};

/* ---- cross_entropy --------------------------------------------------------------------------- */

/* y = -sum_j t_j log_softmax(logits)_j of each row; their mean (NaN for no rows), sum or
 * themselves. glogits = cross_entropy_grad;  gt = -(1 - smoothing) log_softmax(logits) gy. */
static ct_status cross_entropy_infer(const ct_call *c, ct_spec *out) {
  out->dtype = ct__in(c, 0)->dtype;
  out->shape = reduction_of(c) == CT_EACH ? CT_SHAPE(ct__in(c, 0)->dim[0]) : CT_SCALAR;
  return check_operands(c);
}

static ct_status cross_entropy_eval(const ct_eval *e) { return each_row(e, e->out[0], NULL); }

static void cross_entropy_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  ct_tensor *logits = c->in[0], *targets = c->in[1];
  if (ct_wants(c, 0))
    gx[0] = CT__APPLY(&ct__cross_entropy_grad_op, c->attr, logits, targets, gy[0]);
  if (ct_wants(c, 1) && targets->v.dtype != CT_I32)
    gx[1] =
        ct_mul0(ct_scale(row_cotangent(c, gy[0]), smoothing_of(c) - 1), ct_log_softmax(logits, 1));
}

/* The losses of all rows, then one mean or sum for each element of the batch. */
static void cross_entropy_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                                ct_tensor **out) {
  int64_t n = batch_size(c, in, batched), rows = ct__in(c, 0)->dim[0];
  loss_attr each = {smoothing_of(c), CT_EACH};
  ct_tensor *y = CT__APPLY(c->op, &each, all_rows(in, batched, 0, n), all_rows(in, batched, 1, n));
  y = ct_reshape(y, CT_SHAPE(n, rows));
  ct_reduction reduction = reduction_of(c);
  out[0] = reduction == CT_EACH   ? y
           : reduction == CT_MEAN ? ct_mean(y, CT_AXES(1), false)
                                  : ct_sum(y, CT_AXES(1), false);
}

static void cross_entropy_fallback(const ct_call *c, ct_tensor **y) {
  ct_tensor *terms = ct_mul0(smoothed(c), ct_log_softmax(c->in[0], 1));
  ct_tensor *each = ct_neg(ct_sum(terms, CT_AXES(1), false));
  ct_reduction reduction = reduction_of(c);
  y[0] = reduction == CT_EACH   ? each
         : reduction == CT_MEAN ? ct_mean(each, CT_ALL, false)
                                : ct_sum(each, CT_ALL, false);
}

const ct_op ct__cross_entropy_op = {
    CT_OP,
    .name = "cross_entropy",
    .doc = "y = -sum_j t_j log_softmax(logits)_j, mean over rows",
    .n_in = 2,
    .attr_size = sizeof(loss_attr),
    .flags = CT_CAN_FAIL,
    .infer = cross_entropy_infer,
    .eval = cross_entropy_eval,
    .vjp = cross_entropy_vjp,
    .batch = cross_entropy_batch,
    .fallback = cross_entropy_fallback,
    .lo = -3,
    .hi = 3,
};

/* ---- both, for programs ---------------------------------------------------------------------- */

static ct_status both_infer(const ct_call *c, ct_spec *out) {
  ct_status status = cross_entropy_infer(c, out);
  return status == CT_OK ? grad_infer(c, out + 1) : status;
}

static ct_status both_eval(const ct_eval *e) { return each_row(e, e->out[0], e->out[1]); }

const ct_op ct__cross_entropy_both = {
    CT_OP,
    .name = "cross_entropy_both",
    .doc = "cross_entropy and cross_entropy_grad",
    .n_in = 3,
    .n_out = 2,
    .attr_size = sizeof(loss_attr),
    .flags = CT_CAN_FAIL,
    .infer = both_infer,
    .eval = both_eval,
};

ct_tensor *ct_cross_entropy(ct_tensor *logits, ct_tensor *targets) {
  return ct_cross_entropy_with(logits, targets, (ct_cross_entropy_opts){0});
}

ct_tensor *ct_cross_entropy_with(ct_tensor *logits, ct_tensor *targets,
                                 ct_cross_entropy_opts opts) {
  loss_attr attr = {opts.smoothing, opts.reduction};
  if (!(opts.smoothing >= 0 && opts.smoothing < 1))
    return ct__nil(CT_EARG, "cross_entropy: want 0 <= smoothing < 1, got %g", opts.smoothing);
  if (opts.reduction != CT_MEAN && opts.reduction != CT_SUM && opts.reduction != CT_EACH)
    return ct__nil(CT_EARG, "cross_entropy: unknown reduction %d", (int)opts.reduction);
  return CT__APPLY(&ct__cross_entropy_op, &attr, logits, targets);
}

const ct_op *const ct__cross_entropy_ops[] = {&ct__cross_entropy_op, &ct__cross_entropy_grad_op,
                                              NULL};
