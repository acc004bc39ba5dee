/* loss.h - cross entropy and its derivative over rows of logits: part of lines_of_type.c. Short
 * rows go in lanes, long ones one by one, as lines do. */

/* Rows in lanes: LANES of them, or one. Element j of row i is x[j * x_step + i], its probability
 * p[j * p_step + i] and e^(x - max) is e[j * lanes + i], where the derivative will be. */
typedef struct loss_rows {
  const T *x, *p;
  T *e;
  int64_t x_step, p_step;
  _Alignas(64) T max[LANES];
  int32_t label[LANES];
  int64_t largest[LANES]; /* the first element that is */
  exp_sums sums;
  double log_sum[LANES];
  double gy[LANES], loss[LANES];
} loss_rows;

VMATH double target_of(const ct__loss_rows *o, const loss_rows *r, int64_t j, int i) {
  double given = o->label ? r->label[i] == j : (double)r->p[j * r->p_step + i];
  return o->keep * given + o->floor;
}

VMATH double loss_term(const ct__loss_rows *o, const loss_rows *r, int64_t j, int i) {
  double target = target_of(o, r, j, i);
  double term = target * (r->log_sum[i] - ((double)r->x[j * r->x_step + i] - (double)r->max[i]));
  return target != 0 ? term : 0;
}

VMATH double other_target(const ct__loss_rows *o, const loss_rows *r, int64_t j, int i) {
  double target = target_of(o, r, j, i);
  return j == r->largest[i] ? 0 : target;
}

/* sum[i] = the sum over the elements j of row i of what `of` gives: one row is cut into lanes. */
#define ADD_UP(lanes, sum, of)                                                                     \
  {                                                                                                \
    double lane[LANES] = {0};                                                                      \
    int64_t at = 0;                                                                                \
    for (; at < o->classes && (lanes) == LANES; at++) {                                            \
      EACH_LANE(i, LANES) lane[i] += of(o, r, at, i);                                              \
    }                                                                                              \
    for (; at + LANES <= o->classes; at += LANES) {                                                \
      EACH_LANE(i, LANES) lane[i] += of(o, r, at + i, 0);                                          \
    }                                                                                              \
    for (int i = 0; at < o->classes; at++, i++) lane[i] += of(o, r, at, 0);                        \
    for (int i = (lanes); i < LANES; i++) lane[0] += lane[i];                                      \
    memcpy(sum, lane, sizeof lane);                                                                \
  }

VMATH void find_losses(const int lanes, const ct__loss_rows *o, loss_rows *r) {
  T x[LANES];
  EACH_LANE(i, lanes) r->log_sum[i] = LOG_SUM(r->sums.ones[i], r->sums.rest[i]);
  if (!o->plain) {
    ADD_UP(lanes, r->loss, loss_term)
    return;
  }
  for (int i = 0; i < lanes; i++) x[i] = r->x[r->label[i] * r->x_step + i];
  EACH_LANE(i, lanes) r->loss[i] = r->log_sum[i] - ((double)x[i] - (double)r->max[i]);
}

/* The sum of all e but one. The derivative by an element is (softmax sum of t - t) gy; where
 * softmax is near 1 it is found from the others: (softmax sum of other t - t sum of others) gy. */
VMATH double others_of(const loss_rows *r, int i, T e) {
  double sum = r->sums.ones[i] + r->sums.rest[i] - (double)e,
         rest = r->sums.ones[i] - 1 + r->sums.rest[i];
  return e == 1 ? rest : sum;
}

/* Of labels without smoothing. */
VMATH void plain_gradients(const int lanes, const ct__loss_rows *o, loss_rows *r) {
  T scale[LANES], own[LANES];
  for (int i = 0; i < lanes; i++) own[i] = r->e[r->label[i] * lanes + i];
  EACH_LANE(i, lanes) {
    double exact = r->gy[i] / (r->sums.ones[i] + r->sums.rest[i]);
    scale[i] = (T)exact;
    own[i] = (T)(-others_of(r, i, own[i]) * exact);
  }
  for (int64_t j = 0; j < o->classes; j++) {
    EACH_LANE(i, lanes) r->e[j * lanes + i] *= scale[i];
  }
  for (int i = 0; i < lanes; i++) r->e[r->label[i] * lanes + i] = own[i];
}

VMATH void gradients(const int lanes, const ct__loss_rows *o, loss_rows *r) {
  double total[LANES];
  T own[LANES];
  for (int i = 0; i < lanes; i++) {
    r->largest[i] = 0;
    while (r->largest[i] < o->classes - 1 && r->e[r->largest[i] * lanes + i] != 1) r->largest[i]++;
  }
  ADD_UP(lanes, total, other_target)
  for (int i = 0; i < lanes; i++) {
    T e = r->e[r->largest[i] * lanes + i];
    double target = target_of(o, r, r->largest[i], i), others = others_of(r, i, e);
    double scale = r->gy[i] / (r->sums.ones[i] + r->sums.rest[i]);
    own[i] = (T)(((double)e * total[i] - target * others) * scale);
    total[i] = (total[i] + target) * scale;
  }
  for (int64_t j = 0; j < o->classes; j++) {
    EACH_LANE(i, lanes) {
      double part = target_of(o, r, j, i) * r->gy[i];
      r->e[j * lanes + i] = (T)((double)r->e[j * lanes + i] * total[i] - part);
    }
  }
  for (int i = 0; i < lanes; i++) r->e[r->largest[i] * lanes + i] = own[i];
}

/* From the exponentials and their sums; the derivative is 0 where gy is, whatever the logits. */
VMATH void finish(const int lanes, const ct__loss_rows *o, loss_rows *r) {
  if (o->wanted) find_losses(lanes, o, r);
  if (!o->gx) return;
  if (o->plain)
    plain_gradients(lanes, o, r);
  else
    gradients(lanes, o, r);
  bool some_zero = false;
  for (int i = 0; i < lanes; i++) some_zero |= r->gy[i] == 0;
  for (int i = 0; i < lanes && some_zero; i++)
    for (int64_t j = 0; j < o->classes && r->gy[i] == 0; j++) r->e[j * lanes + i] = 0;
}

/* What the rows from `row` on bring along. */
static inline void read_rows(const ct__loss_rows *o, int64_t row, int64_t rows, int lanes,
                             loss_rows *r) {
  T gy[LANES] = {0};
  for (int i = 0; i < lanes; i++) r->label[i] = 0;
  for (int64_t i = 0; i < rows && o->label; i++) r->label[i] = o->label[(row + i) * o->label_step];
  for (int64_t i = 0; i < rows && o->gx; i++)
    gy[i] = ((const T *)(const void *)o->gy)[(row + i) * o->gy_step];
  EACH_LANE(i, lanes) r->gy[i] = (double)gy[i] / o->divisor;
}

static inline void write_losses(const ct__loss_rows *o, int64_t row, int64_t rows,
                                const loss_rows *r) {
  for (int64_t i = 0; i < rows && o->loss; i++) ((T *)(void *)o->loss)[row + i] = (T)r->loss[i];
}

static double losses_in_lanes(const ct__loss_rows *o, int64_t from, int64_t to) {
  const T *x = (const T *)(const void *)o->x, *p = (const T *)(const void *)o->p;
  T *gx = (T *)(void *)o->gx, targets[SHORT * LANES];
  block b;
  loss_rows r;
  r.x = b.x, r.p = targets, r.e = b.e, r.x_step = r.p_step = LANES;
  double sum[LANES] = {0}, all = 0;
  for (int64_t at = from; at < to; at += LANES) {
    int64_t rows = to - at < LANES ? to - at : LANES;
    exp_rows(rows, x + at * o->x_row, o->x_row, o->classes, o->x_step, &b);
    if (p) gather_lanes(rows, p + at * o->p_row, o->p_row, o->classes, o->p_step, targets);
    read_rows(o, at, rows, LANES, &r);
    memcpy(r.max, b.max, sizeof r.max);
    r.sums = b.sums;
    finish(LANES, o, &r);
    if (gx)
      ct__move_lines(sizeof(T), rows, o->classes, gx + at * o->classes, o->classes, 1, b.e, 1,
                     LANES);
    if (!o->wanted) continue;
    write_losses(o, at, rows, &r);
    EACH_LANE(i, LANES) sum[i] += i < rows ? r.loss[i] : 0;
  }
  for (int i = 0; i < LANES; i++) all += sum[i];
  return all;
}

static double losses_alone(const ct__loss_rows *o, int64_t from, int64_t to) {
  const T *x = (const T *)(const void *)o->x, *p = (const T *)(const void *)o->p;
  T *gx = (T *)(void *)o->gx;
  double all = 0;
  for (int64_t row = from; row < to; row++) {
    loss_rows r;
    r.x = x + row * o->x_row, r.x_step = o->x_step;
    r.p = p ? p + row * o->p_row : NULL, r.p_step = o->p_step;
    r.e = gx ? gx + row * o->classes : NULL;
    r.loss[0] = 0;
    read_rows(o, row, 1, 1, &r);
    r.max[0] = line_max(o->classes, r.x, o->x_step);
    ct__exp_sum sum = exp_line(o->classes, r.x, o->x_step, r.max[0], r.e, 1);
    r.sums.ones[0] = sum.ones, r.sums.rest[0] = sum.rest;
    finish(1, o, &r);
    if (!o->wanted) continue;
    write_losses(o, row, 1, &r);
    all += r.loss[0];
  }
  return all;
}

static double cross_entropy(const ct__loss_rows *o, int64_t from, int64_t to) {
  bool in_lanes = o->classes <= SHORT && !o->alone;
  return in_lanes ? losses_in_lanes(o, from, to) : losses_alone(o, from, to);
}
