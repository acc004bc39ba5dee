/* cross_entropy.c - softmax and cross entropy in one pass over the logits, and its derivative. */
#include "../../tensor/pool.h"
#include "batch.h"
#include "lines.h"

typedef struct loss_attr {
  double smoothing;
  int64_t reduction; /* a ct_reduction; 64 bits leave no gap to compare */
} loss_attr;

/* ---- rows ------------------------------------------------------------------------------------ */

/* The targets of a row: t_j = keep * (the label is j, or the given probability of j) + floor. */
typedef struct row_target {
  double keep, floor;
  int64_t label; /* -1 for probabilities */
  const char *probability;
  int64_t step;
} row_target;

enum { LANES = 8 };

/* The loss of a row, its derivative, and both with one exponential for each logit; gx is
 * contiguous. Where softmax is near 1 the derivative is found from the others: (softmax sum of
 * other t - t sum of other softmax) gy. */
typedef double loss_row(int64_t n, const char *logits, int64_t step, const row_target *t);
typedef void grad_row(int64_t n, const char *logits, int64_t step, const row_target *t, double gy,
                      char *gx);
typedef double both_row(int64_t n, const char *logits, int64_t step, const row_target *t, double gy,
                        char *gx);

#define ROWS(T)                                                                                    \
  static inline double weight_##T(const row_target *t, int64_t j) {                                \
    const T *probability = (const T *)(const void *)t->probability;                                \
    return t->keep * (double)probability[j * t->step] + t->floor;                                  \
  }                                                                                                \
  static double loss_from_##T(int64_t n, const T *x, int64_t step, const row_target *t, T max,     \
                              ct__exp_sum sum) {                                                   \
    double loss = 0, log_sum = log_of_sum(sum);                                                    \
    if (t->label >= 0) loss = t->keep * (log_sum - ((double)x[t->label * step] - (double)max));    \
    if (t->label >= 0 && t->floor == 0) return loss;                                               \
    for (int64_t j = 0; j < n; j++) {                                                              \
      double weight = t->label >= 0 ? t->floor : weight_##T(t, j);                                 \
      if (weight != 0) loss += weight * (log_sum - ((double)x[j * step] - (double)max));           \
    }                                                                                              \
    return loss;                                                                                   \
  }                                                                                                \
  static double loss_##T(int64_t n, const char *logits, int64_t step, const row_target *t) {       \
    const T *x = (const T *)(const void *)logits;                                                  \
    T max = max_##T(n, x, step);                                                                   \
    return loss_from_##T(n, x, step, t, max, sum_exp_##T(n, x, step, max));                        \
  }                                                                                                \
  /* The sum of all but one, which is lost. */                                                     \
  static double others_##T(int64_t n, T *e, int64_t but, double sum) {                             \
    double lane[LANES] = {0}, others = 0;                                                          \
    int64_t at = 0;                                                                                \
    if ((double)e[but] <= sum / 2) return sum - (double)e[but];                                    \
    e[but] = 0;                                                                                    \
    for (; at + LANES <= n; at += LANES)                                                           \
      for (int j = 0; j < LANES; j++) lane[j] += (double)e[at + j];                                \
    for (; at < n; at++) others += (double)e[at];                                                  \
    for (int j = 0; j < LANES; j++) others += lane[j];                                             \
    return others;                                                                                 \
  }                                                                                                \
  static void grad_label_##T(int64_t n, const row_target *t, double sum, double gy, T *gx) {       \
    double own = (double)gx[t->label], scale = gy / sum;                                           \
    double own_gx = own * t->floor * (double)(n - 1) -                                             \
                    (t->keep + t->floor) * others_##T(n, gx, t->label, sum);                       \
    for (int64_t j = 0; j < n; j++) gx[j] = (T)((double)gx[j] * scale - t->floor * gy);            \
    gx[t->label] = (T)(own_gx * scale);                                                            \
  }                                                                                                \
  /* From the exponentials in gx. */                                                               \
  static void grad_from_##T(int64_t n, const row_target *t, double sum, double gy, T *gx) {        \
    double scale = gy / sum, total = 0;                                                            \
    if (t->label >= 0) {                                                                           \
      grad_label_##T(n, t, sum, gy, gx);                                                           \
      return;                                                                                      \
    }                                                                                              \
    int64_t m = 0;                                                                                 \
    for (int64_t j = 0; j < n; j++)                                                                \
      if (gx[j] > gx[m]) m = j;                                                                    \
    for (int64_t j = 0; j < n; j++) total += j == m ? 0 : weight_##T(t, j);                        \
    double own = (double)gx[m], own_weight = weight_##T(t, m);                                     \
    double own_gx = own * total - own_weight * others_##T(n, gx, m, sum);                          \
    total += own_weight;                                                                           \
    for (int64_t j = 0; j < n; j++)                                                                \
      gx[j] = (T)((double)gx[j] * scale * total - weight_##T(t, j) * gy);                          \
    gx[m] = (T)(own_gx * scale);                                                                   \
  }                                                                                                \
  static void grad_##T(int64_t n, const char *logits, int64_t step, const row_target *t,           \
                       double gy, char *to) {                                                      \
    const T *x = (const T *)(const void *)logits;                                                  \
    T *gx = (T *)(void *)to, max = max_##T(n, x, step);                                            \
    grad_from_##T(n, t, whole_sum(store_exp_##T(n, x, step, max, gx, 1)), gy, gx);                 \
  }                                                                                                \
  static double both_##T(int64_t n, const char *logits, int64_t step, const row_target *t,         \
                         double gy, char *to) {                                                    \
    const T *x = (const T *)(const void *)logits;                                                  \
    T *gx = (T *)(void *)to, max = max_##T(n, x, step);                                            \
    ct__exp_sum sum = store_exp_##T(n, x, step, max, gx, 1);                                       \
    grad_from_##T(n, t, whole_sum(sum), gy, gx);                                                   \
    return loss_from_##T(n, x, step, t, max, sum);                                                 \
  }
ROWS(float)
ROWS(double)

/* The targets of row i; false for a label out of range. */
static bool find_target(const ct_eval *e, int64_t i, row_target *t) {
  const ct_view *targets = e->in[1];
  int64_t classes = e->in[0]->dim[1];
  double smoothing = ((const loss_attr *)e->attr)->smoothing;
  const char *row = targets->data + i * targets->stride[0] * (int64_t)ct_dtype_size(targets->dtype);
  *t = (row_target){1 - smoothing, smoothing / (double)classes, -1, row, targets->stride[1]};
  if (targets->dtype != CT_I32) return true;
  t->label = *(const int32_t *)(const void *)row;
  return t->label >= 0 && t->label < classes;
}

static const char *logits_row(const ct_eval *e, int64_t i) {
  const ct_view *x = e->in[0];
  return x->data + i * x->stride[0] * (int64_t)ct_dtype_size(x->dtype);
}

/* What is done with row i; the results are added up. */
typedef double use_row(const ct_eval *e, int64_t i, const row_target *t);

typedef struct row_job {
  const ct_eval *e;
  use_row *use;
  int64_t pieces;
  double sum[CT__MAX_PIECES];
  int64_t bad[CT__MAX_PIECES]; /* a row whose label is out of range, or -1 */
} row_job;

static void use_rows(void *context, int64_t piece) {
  row_job *job = context;
  int64_t n = job->e->in[0]->dim[0], end = ct__piece_start(n, 1, job->pieces, piece + 1);
  double sum = 0;
  job->bad[piece] = -1;
  for (int64_t i = ct__piece_start(n, 1, job->pieces, piece); i < end; i++) {
    row_target t;
    if (!find_target(job->e, i, &t)) {
      job->bad[piece] = i;
      return;
    }
    sum += job->use(job->e, i, &t);
  }
  job->sum[piece] = sum;
}

/* All rows; CT_EINDEX for a label out of range. */
static ct_status each_row(const ct_eval *e, use_row *use, double *sum) {
  const ct_view *x = e->in[0];
  row_job job;
  job.e = e;
  job.use = use;
  job.pieces = ct__pieces(x->dim[0], 8 * ct__line_weight(x, x->dim[1]));
  ct__parallel(job.pieces, use_rows, &job);
  *sum = 0;
  for (int64_t piece = 0; piece < job.pieces; piece++) {
    row_target t;
    int64_t bad = job.bad[piece];
    if (bad >= 0 && !find_target(e, bad, &t))
      return ct_error_set(CT_EINDEX,
                          "cross_entropy: label %d of row %lld is outside 0 <= label < %lld",
                          (int)t.label, (long long)bad, (long long)x->dim[1]);
    *sum += job.sum[piece];
  }
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

/* The cotangent of the loss of row i, and where its derivative goes. */
static double gy_of_row(const ct_eval *e, int64_t i) {
  const ct_view *gy = e->in[2];
  bool mean = ((const loss_attr *)e->attr)->reduction == CT_MEAN;
  return ct__get(gy, gy->ndim ? i * gy->stride[0] : 0) / (mean ? (double)e->in[0]->dim[0] : 1);
}

static char *grad_place(const ct_eval *e, const ct_view *gx, int64_t i) {
  return gx->data + i * e->in[0]->dim[1] * (int64_t)ct_dtype_size(gx->dtype);
}

static double grad_of_row(const ct_eval *e, int64_t i, const row_target *t) {
  const ct_view *x = e->in[0];
  grad_row *row = x->dtype == CT_F32 ? grad_float : grad_double;
  double gy = gy_of_row(e, i);
  char *to = grad_place(e, e->out[0], i);
  if (gy == 0)
    memset(to, 0, (size_t)x->dim[1] * ct_dtype_size(x->dtype));
  else
    row(x->dim[1], logits_row(e, i), x->stride[1], t, gy, to);
  return 0;
}

static ct_status grad_eval(const ct_eval *e) {
  double unused;
  return each_row(e, grad_of_row, &unused);
}

static void grad_fallback(const ct_call *c, ct_tensor **y) {
  ct_tensor *p = ct_softmax(c->in[0], 1);
  y[0] = ct_mul0(row_cotangent(c, c->in[2]), ct__balance(smoothed(c), p, 1));
}

static const ct_op cross_entropy_grad_op;

static void grad_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                       ct_tensor **out) {
  int64_t n = batch_size(c, in, batched), rows = ct__in(c, 0)->dim[0];
  loss_attr each = {smoothing_of(c), CT_EACH};
  ct_tensor *gy = in[2];
  if (reduction_of(c) == CT_MEAN && rows > 0) gy = ct_scale(gy, 1 / (double)rows);
  if (reduction_of(c) != CT_EACH) gy = ct_expand_dims(gy, -1);
  gy = ct_broadcast_to(gy, CT_SHAPE(n, rows));
  out[0] = cut_axis(CT__APPLY(&cross_entropy_grad_op, &each, all_rows(in, batched, 0, n),
                              all_rows(in, batched, 1, n), ct_reshape(gy, CT_SHAPE(n * rows))),
                    n, rows);
}

static const ct_op cross_entropy_grad_op = {
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

static void put(ct_view *v, int64_t i, double value) {
  if (v->dtype == CT_F32)
    ((float *)(void *)v->data)[i] = (float)value;
  else
    ((double *)(void *)v->data)[i] = value;
}

static double loss_of_row(const ct_eval *e, int64_t i, const row_target *t) {
  const ct_view *x = e->in[0];
  loss_row *row = x->dtype == CT_F32 ? loss_float : loss_double;
  double loss = row(x->dim[1], logits_row(e, i), x->stride[1], t);
  if (((const loss_attr *)e->attr)->reduction == CT_EACH) put(e->out[0], i, loss);
  return loss;
}

/* use_row over all rows, and the loss as the reduction wants it. */
static ct_status reduce_rows(const ct_eval *e, use_row *use) {
  int64_t n = e->in[0]->dim[0], reduction = ((const loss_attr *)e->attr)->reduction;
  double sum;
  ct_status status = each_row(e, use, &sum);
  if (status == CT_OK && reduction != CT_EACH)
    put(e->out[0], 0, reduction == CT_MEAN ? sum / (double)n : sum);
  return status;
}

static ct_status cross_entropy_eval(const ct_eval *e) { return reduce_rows(e, loss_of_row); }

static void cross_entropy_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  ct_tensor *logits = c->in[0], *targets = c->in[1];
  if (ct_wants(c, 0)) gx[0] = CT__APPLY(&cross_entropy_grad_op, c->attr, logits, targets, gy[0]);
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

static const ct_op cross_entropy_op = {
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

/* ---- both, for programs ------------------------------------------------------------------------ */

static ct_status both_infer(const ct_call *c, ct_spec *out) {
  ct_status status = cross_entropy_infer(c, out);
  return status == CT_OK ? grad_infer(c, out + 1) : status;
}

static double both_of_row(const ct_eval *e, int64_t i, const row_target *t) {
  const ct_view *x = e->in[0];
  both_row *row = x->dtype == CT_F32 ? both_float : both_double;
  double gy = gy_of_row(e, i);
  char *to = grad_place(e, e->out[1], i);
  double loss = row(x->dim[1], logits_row(e, i), x->stride[1], t, gy, to);
  if (gy == 0) memset(to, 0, (size_t)x->dim[1] * ct_dtype_size(x->dtype));
  if (((const loss_attr *)e->attr)->reduction == CT_EACH) put(e->out[0], i, loss);
  return loss;
}

static ct_status both_eval(const ct_eval *e) { return reduce_rows(e, both_of_row); }

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
  return CT__APPLY(&cross_entropy_op, &attr, logits, targets);
}

const ct_op *const ct__cross_entropy_ops[] = {&cross_entropy_op, &cross_entropy_grad_op, NULL};
