/* schedule.c - learning rates as pure functions of the step. */
#include "optim_internal.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

/* From a at t = 0 to b at t = 1. */
static double line(double a, double b, double t) { return a + (b - a) * t; }
static double cosine(double a, double b, double t) { return b + (a - b) * 0.5 * (1 + cos(pi * t)); }

/* How far `step` is in `total` steps, 0 to 1. */
static double progress(double step, double total) { return total > 0 ? fmin(step / total, 1) : 1; }

typedef double rate_fn(const ct_schedule *s, double step, double total);

static double constant_rate(const ct_schedule *s, double step, double total) {
  (void)step, (void)total;
  return s->lr;
}

static double step_rate(const ct_schedule *s, double step, double total) {
  (void)total;
  double period = s->period > 0 ? (double)s->period : 1, gamma = s->gamma != 0 ? s->gamma : 0.1;
  return s->lr * pow(gamma, floor(step / period));
}

static double linear_rate(const ct_schedule *s, double step, double total) {
  return line(s->lr, s->min_lr, progress(step, total));
}

static double cosine_rate(const ct_schedule *s, double step, double total) {
  return cosine(s->lr, s->min_lr, progress(step, total));
}

/* As PyTorch counts: the largest rate at step rise total - 1, the smallest at step total - 1. */
static double one_cycle_rate(const ct_schedule *s, double step, double total) {
  double rise = s->rise != 0 ? s->rise : 0.3, first = s->lr / (s->div != 0 ? s->div : 25);
  double last = first / (s->final_div != 0 ? s->final_div : 1e4), top = rise * total - 1;
  if (step <= top) return cosine(first, s->lr, progress(step, top));
  return cosine(s->lr, last, progress(step - top, total - 1 - top));
}

static rate_fn *const rate_table[] = {
    [CT_SCHEDULE_CONSTANT] = constant_rate,   [CT_SCHEDULE_STEP] = step_rate,
    [CT_SCHEDULE_LINEAR] = linear_rate,       [CT_SCHEDULE_COSINE] = cosine_rate,
    [CT_SCHEDULE_ONE_CYCLE] = one_cycle_rate,
};

double ct_schedule_lr(const ct_schedule *s, int64_t step) {
  if (!s || (unsigned)s->kind >= CT__COUNT(rate_table) || s->warmup < 0 || s->total < 0 ||
      s->period < 0 ||
      !(s->lr >= 0 && s->rise >= 0 && s->rise <= 1 && s->div >= 0 && s->final_div >= 0)) {
    ct__fail(CT_EARG, "ct_schedule_lr: no such schedule");
    return NAN;
  }
  int64_t warmup = s->kind == CT_SCHEDULE_ONE_CYCLE ? 0 : s->warmup;
  if (step < 0) step = 0;
  if (step < warmup) return s->lr * (double)(step + 1) / (double)warmup;
  return rate_table[s->kind](s, (double)(step - warmup), (double)(s->total - warmup));
}
