/* lines_of_type.c - softmax and its kin along lines. Compiled once for each instruction set and
 * float type T.
 *
 * Short lines go LANES at a time, one in each lane, so that what is done to an element of one is
 * done to all of them at once. Long ones go one by one with neighbouring elements in the lanes.
 * Which it is follows from the length alone, and no lane minds the others: a line gives the same
 * bits wherever it lies.
 */
#include "../kernels.h"

#include "../../../tensor/move.h"
#include "../../../tensor/vectors.h"
#include "../elementwise.h"

enum {
  LANES = 16,
  SHORT = 64, /* elements of the longest line that goes in one lane */
  BLOCK = 64,
  PART = 256 /* elements of a longer one at a time */
};

/* Sums of exponentials in lanes: how many are 1, and the sum of the others. */
typedef struct exp_sums {
  double ones[LANES], rest[LANES];
} exp_sums;

typedef BITS_OF(T) BITS;

/* ---- groups of LANES numbers ----------------------------------------------------------------- */

/* max: of each lane; NaN is passed over. */
static inline void max_lanes(int64_t groups, const T *x, T *max) {
  T most[LANES];
  memcpy(most, max, sizeof most);
  for (int64_t j = 0; j < groups; j++) {
    EACH_LANE(i, LANES) {
      T one = x[j * LANES + i];
      most[i] = one > most[i] ? one : most[i];
    }
  }
  memcpy(max, most, sizeof most);
}

/* e = e^(x - shift) for x <= shift, and what they add to the sums of each lane. */
static inline void exp_lanes(int64_t groups, const T *x, const T *shift, T *e, exp_sums *sums) {
  T ones[LANES] = {0};
  double rest[LANES];
  memcpy(rest, sums->rest, sizeof rest);
  for (int64_t j = 0; j < groups; j++) {
    EACH_LANE(i, LANES) {
      T one = SCALAR(exp_down, x[j * LANES + i] - shift[i]);
      e[j * LANES + i] = one;
      ones[i] += one == 1 ? 1 : 0;
      rest[i] += one == 1 ? 0 : (double)one;
    }
  }
  EACH_LANE(i, LANES) sums->ones[i] += (double)ones[i];
  memcpy(sums->rest, rest, sizeof rest);
}

/* ---- long lines, in chunks ------------------------------------------------------------------- */

/* n elements, filled up to whole groups with what changes nothing: their own first one for the
 * largest, -inf for a sum of exponentials. */
static inline int64_t fill_up(int64_t n, T *room, T filler) {
  int64_t groups = (n + LANES - 1) / LANES;
  for (int64_t j = n; j < groups * LANES; j++) room[j] = filler;
  return groups;
}

APART T line_max(int64_t n, const T *x, int64_t step) {
  T room[PART], max[LANES];
  for (int i = 0; i < LANES; i++) max[i] = x[0];
  int64_t at = step == 1 ? n / LANES * LANES : 0;
  max_lanes(at / LANES, x, max);
  for (; at < n; at += PART) {
    int64_t m = n - at < PART ? n - at : PART;
    ct__move_lines(sizeof(T), 1, m, room, 0, 1, x + at * step, 0, step);
    max_lanes(fill_up(m, room, room[0]), room, max);
  }
  for (int i = 1; i < LANES; i++) max[0] = max[i] > max[0] ? max[i] : max[0];
  return max[0];
}

/* y = e^(x - shift) if there is a y. */
APART ct__exp_sum exp_line(int64_t n, const T *x, int64_t step, T shift, T *y, int64_t y_step) {
  exp_sums sums = {0};
  T room[PART], e[PART], shifts[LANES];
  for (int i = 0; i < LANES; i++) shifts[i] = shift;
  for (int64_t at = 0; at < n; at += PART) {
    int64_t m = n - at < PART ? n - at : PART, groups = m / LANES;
    bool whole = step == 1 && m % LANES == 0;
    if (!whole) {
      ct__move_lines(sizeof(T), 1, m, room, 0, 1, x + at * step, 0, step);
      groups = fill_up(m, room, -(T)INFINITY);
    }
    bool direct = y && y_step == 1 && m % LANES == 0;
    T *to = direct ? y + at : e;
    exp_lanes(groups, whole ? x + at : room, shifts, to, &sums);
    if (y && !direct)
      for (int64_t j = 0; j < m; j++) y[(at + j) * y_step] = e[j];
  }
  ct__exp_sum sum = {0};
  for (int i = 0; i < LANES; i++) {
    sum.ones += sums.ones[i];
    sum.rest += sums.rest[i];
  }
  return sum;
}

static ct__exp_sum sum_exp(int64_t n, const void *x, int64_t step, double shift, void *y,
                           int64_t y_step) {
  return exp_line(n, x, step, (T)shift, y, y_step);
}

/* ---- short lines, LANES of them: element j of line i is number j * LANES + i ----------------- */

typedef struct block {
  _Alignas(64) T x[SHORT * LANES], e[SHORT * LANES]; /* e^(x - max) */
  T max[LANES];
  exp_sums sums;
} block;

/* Where there are fewer, the other lanes repeat the last one. */
APART void gather_lanes(int64_t lines, const T *x, int64_t line_step, int64_t n, int64_t step,
                        T *to) {
  ct__move_lines(sizeof(T), lines, n, to, 1, LANES, x, line_step, step);
  for (int64_t j = 0; j < n && lines < LANES; j++)
    for (int64_t i = lines; i < LANES; i++) to[j * LANES + i] = to[j * LANES + lines - 1];
}

static inline void exp_rows(int64_t lines, const T *x, int64_t line_step, int64_t n, int64_t step,
                            block *b) {
  gather_lanes(lines, x, line_step, n, step, b->x);
  memcpy(b->max, b->x, sizeof b->max);
  max_lanes(n, b->x, b->max);
  memset(&b->sums, 0, sizeof b->sums);
  exp_lanes(n, b->x, b->max, b->e, &b->sums);
}

/* ---- softmax, log_softmax and logsumexp ------------------------------------------------------ */

static inline bool in_lanes(const ct__lines *l) { return l->n <= SHORT && !l->alone; }

/* What is made of a block, or of one long line. */
#define LINES(name)                                                                                \
  static void name(CT__LOOP_ARGUMENTS) {                                                           \
    const ct__lines *l = attr;                                                                     \
    const T *x = (const T *)(const void *)p[0];                                                    \
    T *y = (T *)(void *)p[1];                                                                      \
    block b;                                                                                       \
    for (int64_t at = 0; at < n && in_lanes(l); at += LANES) {                                     \
      int64_t lines = n - at < LANES ? n - at : LANES;                                             \
      exp_rows(lines, x + at * s[0], s[0], l->n, l->step[0], &b);                                  \
      name##_rows(lines, l, &b, y + at * s[1], s[1]);                                              \
    }                                                                                              \
    for (int64_t i = 0; i < n && !in_lanes(l); i++) name##_line(l, x + i * s[0], y + i * s[1]);    \
  }

static inline void softmax_rows(int64_t lines, const ct__lines *l, block *b, T *y,
                                int64_t line_step) {
  T scale[LANES];
  EACH_LANE(i, LANES) scale[i] = (T)(1 / (b->sums.ones[i] + b->sums.rest[i]));
  for (int64_t j = 0; j < l->n; j++) {
    EACH_LANE(i, LANES) b->e[j * LANES + i] *= scale[i];
  }
  ct__move_lines(sizeof(T), lines, l->n, y, line_step, l->step[1], b->e, 1, LANES);
}

static inline void softmax_line(const ct__lines *l, const T *x, T *y) {
  T max = line_max(l->n, x, l->step[0]);
  ct__exp_sum sum = exp_line(l->n, x, l->step[0], max, y, l->step[1]);
  T scale = (T)(1 / (sum.ones + sum.rest));
  if (l->step[1] == 1)
    for (int64_t j = 0; j < l->n; j++) y[j] *= scale;
  else
    for (int64_t j = 0; j < l->n && as_it_stands(); j++) y[j * l->step[1]] *= scale;
}
LINES(softmax)

/* ln of a sum of exponentials, of which one is 1 */
#define LOG_SUM(ones, rest) vlog1p((ones)-1 + (rest))
APART double log_of(ct__exp_sum sum) { return LOG_SUM(sum.ones, sum.rest); }

static inline void log_softmax_rows(int64_t lines, const ct__lines *l, block *b, T *y,
                                    int64_t line_step) {
  double log_sum[LANES];
  EACH_LANE(i, LANES) log_sum[i] = LOG_SUM(b->sums.ones[i], b->sums.rest[i]);
  for (int64_t j = 0; j < l->n; j++) {
    EACH_LANE(i, LANES)
    b->e[j * LANES + i] = (T)((double)b->x[j * LANES + i] - (double)b->max[i] - log_sum[i]);
  }
  ct__move_lines(sizeof(T), lines, l->n, y, line_step, l->step[1], b->e, 1, LANES);
}

static inline void log_softmax_line(const ct__lines *l, const T *x, T *y) {
  double max = (double)line_max(l->n, x, l->step[0]);
  ct__exp_sum sum = exp_line(l->n, x, l->step[0], (T)max, NULL, 0);
  double log_sum = log_of(sum);
  if (l->step[0] == 1 && l->step[1] == 1)
    for (int64_t j = 0; j < l->n; j++) y[j] = (T)((double)x[j] - max - log_sum);
  else
    for (int64_t j = 0; j < l->n && as_it_stands(); j++)
      y[j * l->step[1]] = (T)((double)x[j * l->step[0]] - max - log_sum);
}
LINES(log_softmax)

/* An infinite largest element is the result, if there is no NaN. */
static inline T logsumexp_of(int64_t n, const T *x, int64_t step, T max, double log_sum) {
  if (isfinite(max)) return (T)((double)max + log_sum);
  for (int64_t j = 0; j < n; j++)
    if (x[j * step] != x[j * step]) return x[j * step];
  return max;
}

static inline void logsumexp_rows(int64_t lines, const ct__lines *l, block *b, T *y,
                                  int64_t line_step) {
  double log_sum[LANES];
  EACH_LANE(i, LANES) log_sum[i] = LOG_SUM(b->sums.ones[i], b->sums.rest[i]);
  for (int64_t i = 0; i < lines; i++)
    y[i * line_step] = logsumexp_of(l->n, b->x + i, LANES, b->max[i], log_sum[i]);
}

static inline void logsumexp_line(const ct__lines *l, const T *x, T *y) {
  T max = line_max(l->n, x, l->step[0]);
  ct__exp_sum sum = exp_line(l->n, x, l->step[0], max, NULL, 0);
  *y = logsumexp_of(l->n, x, l->step[0], max, log_of(sum));
}
LINES(logsumexp)

/* ---- deviation and balance ------------------------------------------------------------------- */

/* deviation and balance of softmax.c: all but the largest p or a are added up. Zero times anything
 * is zero, as these are parts of derivatives. */
static inline T times(T a, T b) {
  T product = a * b;
  return ((a == 0) | (b == 0)) ? 0 : product;
}
/* |x| as an integer, of the same order; compilers find the largest of these faster. */
static inline BITS size_of(T x) {
  BITS bits;
  memcpy(&bits, &x, sizeof bits);
  return bits & (BITS)(((uint64_t)1 << (8 * sizeof(T) - 1)) - 1);
}
/* Operands that do not lie side by side are taken as they are. */
#define ALONG(j, n) for (int64_t j = 0; j < (n) && (beside || as_it_stands()); j++)
INLINE int64_t largest_of(int64_t n, const T *x, int64_t step, bool beside) {
  BITS max = 0;
  int64_t at = 0;
  ALONG(j, n) max = size_of(x[j * step]) > max ? size_of(x[j * step]) : max;
  for (int there = 0; at + BLOCK <= n; at += BLOCK) {
    ALONG(j, BLOCK) there += size_of(x[(at + j) * step]) == max;
    if (there) break;
  }
  while (at < n - 1 && size_of(x[at * step]) != max) at++;
  return at;
}
APART int64_t find_largest(int64_t n, const T *x, int64_t step) {
  return step == 1 ? largest_of(n, x, 1, true) : largest_of(n, x, step, false);
}
static inline void deviation_line(int64_t n, const T *p, int64_t p_step, const T *t, int64_t t_step,
                                  T *restrict y, int64_t y_step, bool beside) {
  T middle = t[find_largest(n, p, p_step) * t_step];
  double sums[LANES] = {0}, owns[LANES] = {0}, sum = 0, own = 0;
  int64_t at = 0;
  for (; at + LANES <= n; at += LANES) ALONG(j, LANES) {
      T weight = p[(at + j) * p_step];
      sums[j] += (double)weight;
      owns[j] += (double)times(weight, middle - t[(at + j) * t_step]);
    }
  for (; at < n; at++) {
    sum += (double)p[at * p_step];
    own += (double)times(p[at * p_step], middle - t[at * t_step]);
  }
  for (int j = 0; j < LANES; j++) {
    sum += sums[j];
    own += owns[j];
  }
  ALONG(j, n) y[j * y_step] = times((T)sum, t[j * t_step] - middle) + (T)own;
}
INLINE double sum_of(int64_t n, const T *x, int64_t step, bool beside) {
  double lane[LANES] = {0}, sum = 0;
  int64_t at = 0;
  for (; at + LANES <= n; at += LANES) ALONG(j, LANES) lane[j] += (double)x[(at + j) * step];
  for (; at < n; at++) sum += (double)x[at * step];
  for (int j = 0; j < LANES; j++) sum += lane[j];
  return sum;
}
APART double line_sum(int64_t n, const T *x, int64_t step) {
  return step == 1 ? sum_of(n, x, 1, true) : sum_of(n, x, step, false);
}
static inline void balance_line(int64_t n, const T *a, int64_t a_step, const T *b, int64_t b_step,
                                T *restrict y, int64_t y_step, bool beside) {
  int64_t m = find_largest(n, a, a_step), next = m + 1;
  T am = a[m * a_step], bm = b[m * b_step];
  double as = line_sum(m, a, a_step) + line_sum(n - next, a + next * a_step, a_step);
  double bs = line_sum(m, b, b_step) + line_sum(n - next, b + next * b_step, b_step);
  T all_a = (T)(as + (double)am), all_b = (T)(bs + (double)bm);
  ALONG(j, n)
  y[j * y_step] = times(b[j * b_step], all_a) - times(a[j * a_step], all_b);
  y[m * y_step] = times(bm, (T)as) - times(am, (T)bs);
}

#define FORM(name)                                                                                 \
  static void name(CT__LOOP_ARGUMENTS) {                                                           \
    const ct__lines *l = attr;                                                                     \
    const T *a = (const T *)(const void *)p[0], *b = (const T *)(const void *)p[1];                \
    T *y = (T *)(void *)p[2];                                                                      \
    bool beside = l->step[0] == 1 && l->step[1] == 1 && l->step[2] == 1;                           \
    for (int64_t i = 0; i < n; i++, a += s[0], b += s[1], y += s[2])                               \
      if (beside)                                                                                  \
        name##_line(l->n, a, 1, b, 1, y, 1, true);                                                 \
      else                                                                                         \
        name##_line(l->n, a, l->step[0], b, l->step[1], y, l->step[2], false);                     \
  }
FORM(deviation)
FORM(balance)

#include "loss.h"

const ct__line_loops CT__TYPE_NAME(ct__line_loops) = {.softmax = softmax,
                                                      .log_softmax = log_softmax,
                                                      .logsumexp = logsumexp,
                                                      .deviation = deviation,
                                                      .balance = balance,
                                                      .sum_exp = sum_exp,
                                                      .cross_entropy = cross_entropy};
