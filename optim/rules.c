/* rules.c - the optimizers as records. */
#include "optim_internal.h"

#include <math.h>

/* Each loop passes on to that of the instruction set in use. */
#define DECLARED(isa) &ct__optim_loops_##isa,
static const ct__optim_loops *const sets[] = {CT__ISA_LIST(DECLARED)};

#define PASS_ON(name)                                                                              \
  static void name(int64_t n, char *const *at, const int64_t *s, const void *attr) {               \
    sets[ct__isa()]->name(n, at, s, attr);                                                         \
  }
CT__OPTIM_LOOPS(PASS_ON)

static void sgd_prepare(ct__step *s, double t) { (void)s, (void)t; }

static void adam_prepare(ct__step *s, double t) {
  const double root = sqrt(1 - pow(s->beta2, t));
  s->rate = s->lr * root / (1 - pow(s->beta1, t));
  s->eps *= root;
  s->shrink = 1;
}

static void adamw_prepare(ct__step *s, double t) {
  adam_prepare(s, t);
  s->shrink = 1 - s->lr * s->decay;
  s->decay = 0;
}

const ct__rule ct__sgd_rule = {.name = "sgd", .loop = {sgd_f32, sgd_f64}, .prepare = sgd_prepare};
const ct__rule ct__momentum_rule = {.name = "sgd with momentum",
                                    .n_state = 1,
                                    .state = {"momentum_buffer"},
                                    .loop = {momentum_f32, momentum_f64},
                                    .prepare = sgd_prepare};
const ct__rule ct__adam_rule = {.name = "adam",
                                .n_state = 2,
                                .state = {"exp_avg", "exp_avg_sq"},
                                .loop = {adam_f32, adam_f64},
                                .prepare = adam_prepare};
const ct__rule ct__adamw_rule = {.name = "adamw",
                                 .n_state = 2,
                                 .state = {"exp_avg", "exp_avg_sq"},
                                 .loop = {adam_f32, adam_f64},
                                 .prepare = adamw_prepare};

ct__step ct__step_numbers(const ct__rule *rule, const ct__step *options, double lr, double lr_scale,
                          double decay_scale, double t) {
  ct__step step = *options;
  step.lr = lr * lr_scale;
  step.decay *= decay_scale;
  rule->prepare(&step, t);
  return step;
}
