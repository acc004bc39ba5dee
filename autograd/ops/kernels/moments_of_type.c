/* moments_of_type.c - the loops of moments.h. Compiled once for each instruction set and float type
 * T.
 *
 * Sums run in double, in LANES of them; what is far from 0 loses no digits in x - mean x, as the
 * mean is two numbers of the type.
 */
#include "../../../tensor/move.h"
#include "../../../tensor/vectors.h"
#include "../moments.h"

/* A loop over the lanes of a group: unrolled, it would not become vectors again. */
#define EACH(i, n) NOUNROLL for (int64_t i = 0; i < (n); i++)

enum { LANES = 16, PART = 256 /* elements of a line at a time */ };

static inline double sum_of(const double *lane) {
  double half[LANES / 2], sum = 0;
  for (int i = 0; i < LANES / 2; i++) half[i] = lane[i] + lane[i + LANES / 2];
  for (int i = 0; i < LANES / 2; i++) sum += half[i];
  return sum;
}

/* A mean as two numbers. */
typedef struct parted {
  T high, low;
} parted;

static inline parted centre_of(double mean) {
  T high = (T)mean;
  return (parted){high, (T)(mean - (double)high)};
}

static inline T minus(T x, parted mean) { return x - mean.high - mean.low; }

/* Elements from `at` on, side by side: at most PART. */
static inline const T *part_of(const T *x, int64_t step, int64_t at, int64_t m, T *room) {
  if (step == 1) return x + at;
  ct__move_lines(sizeof(T), 1, m, room, 0, 1, x + at * step, 0, step);
  return room;
}

/* All parts of a line; m elements each. */
#define EACH_PART(n)                                                                               \
  for (int64_t at = 0, m; at < (n) && (m = (n)-at < PART ? (n)-at : PART) > 0; at += PART)

/* Adds up in lanes, over the elements j of a part. */
#define IN_LANES(adding)                                                                           \
  {                                                                                                \
    int64_t j0 = 0;                                                                                \
    for (; j0 + LANES <= m; j0 += LANES) EACH(i, LANES) {                                          \
        const int64_t j = j0 + i;                                                                  \
        adding;                                                                                    \
      }                                                                                            \
    for (int64_t i = 0; i < m - j0 && as_it_stands(); i++) {                                       \
      const int64_t j = j0 + i;                                                                    \
      adding;                                                                                      \
    }                                                                                              \
  }

/* From the first element on, so that the mean of equal ones is theirs. */
static double mean_of(int64_t n, const T *x, int64_t step) {
  double lane[LANES] = {0}, first = n > 0 ? (double)x[0] : 0;
  T room[PART];
  EACH_PART(n) {
    const T *part = part_of(x, step, at, m, room);
    IN_LANES(lane[i] += (double)part[j] - first)
  }
  return first + sum_of(lane) / (double)n;
}

/* Of (x - mean)^2. */
static double squares(int64_t n, const T *x, int64_t step, parted mean) {
  double lane[LANES] = {0};
  T room[PART];
  EACH_PART(n) {
    const T *part = part_of(x, step, at, m, room);
    IN_LANES(const T d = minus(part[j], mean); lane[i] += (double)d * (double)d)
  }
  return sum_of(lane);
}

/* Sums of (x - mean)^2 and of (x - mean) t, and the mean of t. */
typedef struct grad_sums {
  double squares, t_mean, products;
} grad_sums;

static grad_sums grad_sums_of(const ct__lines *l, const T *x, parted mean, const T *t) {
  double square[LANES] = {0}, one[LANES] = {0}, product[LANES] = {0}, first = (double)t[0];
  T room[PART], other[PART];
  EACH_PART(l->n) {
    const T *xs = part_of(x, l->step[0], at, m, room), *ts = part_of(t, l->step[1], at, m, other);
    IN_LANES(const T d = minus(xs[j], mean); square[i] += (double)d * (double)d;
             one[i] += (double)ts[j] - first; product[i] += (double)(d * ts[j]))
  }
  return (grad_sums){sum_of(square), first + sum_of(one) / (double)l->n, sum_of(product)};
}

#define LINES(name, n_in)                                                                          \
  static void name(CT__LOOP_ARGUMENTS) {                                                           \
    const ct__lines *l = attr;                                                                     \
    const T *x = (const T *)(const void *)p[0], *t = (const T *)(const void *)p[(n_in)-1];         \
    T *y = (T *)(void *)p[n_in];                                                                   \
    for (int64_t i = 0; i < n; i++, x += s[0], t += s[(n_in)-1], y += s[n_in])                     \
      name##_line(l, x, t, y);                                                                     \
  }

#define WRITE(expression)                                                                          \
  {                                                                                                \
    T room[PART];                                                                                  \
    EACH_PART(l->n) {                                                                              \
      const T *part = part_of(x, l->step[0], at, m, room);                                         \
      EACH(j, m) y[at + j] = expression;                                                           \
    }                                                                                              \
  }

static inline void centre_line(const ct__lines *l, const T *x, const T *t, T *y) {
  (void)t;
  const parted mean = centre_of(mean_of(l->n, x, l->step[0]));
  WRITE(minus(part[j], mean))
}
LINES(centre, 1)

static inline void layer_norm_line(const ct__lines *l, const T *x, const T *t, T *y) {
  (void)t;
  const parted mean = centre_of(mean_of(l->n, x, l->step[0]));
  double var = squares(l->n, x, l->step[0], mean) / (double)l->n;
  const T scale = (T)(1 / sqrt(var + *(const double *)l->attr));
  WRITE(minus(part[j], mean) * scale)
}
LINES(layer_norm, 1)

static inline void var_line(const ct__lines *l, const T *x, const T *t, T *y) {
  (void)t;
  *y = (T)(squares(l->n, x, l->step[0], centre_of(mean_of(l->n, x, l->step[0]))) /
           *(const double *)l->attr);
}
LINES(var, 1)

/* Where something is not finite, zero times it is zero. */
static bool is_zero(int64_t n, const T *x, int64_t step) {
  for (int64_t j = 0; j < n; j++)
    if (x[j * step] != 0) return false;
  return true;
}

static inline void layer_norm_grad_line(const ct__lines *l, const T *x, const T *t, T *y) {
  const parted mean = centre_of(mean_of(l->n, x, l->step[0]));
  const grad_sums sum = grad_sums_of(l, x, mean, t);
  double n = (double)l->n, scale = 1 / sqrt(sum.squares / n + *(const double *)l->attr);
  const parted t_mean = centre_of(sum.t_mean);
  const T a = (T)scale, b = (T)(scale * scale * scale * (sum.products / n));
  T room[PART], other[PART];
  if (!(isfinite(a) && isfinite(b)) && is_zero(l->n, t, l->step[1])) {
    memset(y, 0, (size_t)l->n * sizeof *y);
    return;
  }
  EACH_PART(l->n) {
    const T *xs = part_of(x, l->step[0], at, m, room), *ts = part_of(t, l->step[1], at, m, other);
    EACH(j, m) y[at + j] = a * minus(ts[j], t_mean) - b * minus(xs[j], mean);
  }
}
LINES(layer_norm_grad, 2)

const ct__moment_loops CT__TYPE_NAME(ct__moment_loops) = {centre, layer_norm, layer_norm_grad, var};
