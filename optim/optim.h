/* optim.h - optimizers, learning-rate schedules, gradient clipping.
 *
 * Ownership. An optimizer belongs to the caller (ct_optim_free) and keeps its parameters and its
 * state; all memory is taken when it is made, so a step allocates nothing for itself. Options:
 * a number left 0 means PyTorch's default, named beside it.
 *
 * Threads. An optimizer is used by one thread at a time.
 */
#ifndef COTANGENT_OPTIM_H
#define COTANGENT_OPTIM_H

#include "compile.h"
#include "nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- optimizers ------------------------------------------------------------------------------ */

typedef struct ct_optim ct_optim;

typedef struct ct_sgd_opts {
  double lr;           /* 0 means 0.001 */
  double momentum;     /* m */
  double weight_decay; /* d */
  bool nesterov;       /* needs momentum */
} ct_sgd_opts;

/* g = gradient + d p;  b = m b + g;  p = p - lr b, with nesterov p = p - lr (g + m b). Parameters
 * are float variables, each once. NULL on failure: CT_EARG, CT_EDTYPE, CT_ENOMEM. */
CT_API ct_optim *ct_sgd(ct_list params, ct_sgd_opts opts);

typedef struct ct_adam_opts {
  double lr;           /* 0 means 0.001 */
  double beta1, beta2; /* 0 means 0.9 and 0.999 */
  double eps;          /* 0 means 1e-8 */
  double weight_decay; /* d; for ct_adamw 0 means 0.01 */
} ct_adam_opts;

/* g = gradient + d p;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;
 * p = p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps) at step t = 1, 2, ... */
CT_API ct_optim *ct_adam(ct_list params, ct_adam_opts opts);
/* The same with the decay taken from the parameter, p = p - lr d p, instead of added to g. */
CT_API ct_optim *ct_adamw(ct_list params, ct_adam_opts opts);

CT_API void ct_optim_free(ct_optim **o); /* stores NULL */

typedef struct ct_group_opts {
  double lr_scale;    /* times the optimizer's rate; 0 means 1 */
  double decay_scale; /* times its weight decay; 0 means 1 */
  bool no_decay;      /* no weight decay, as usual for biases */
} ct_group_opts;

/* More parameters, with factors of their own. They come after the others in the list of gradients.
 */
CT_API ct_status ct_optim_add_group(ct_optim *o, ct_list params, ct_group_opts opts);

/* One step. Gradients come in the order of the parameters, with their shapes and dtypes. Everything
 * is checked first: on an error no parameter and no state has changed. In an open ct_build nothing
 * is done: the step becomes part of the program. */
CT_API ct_status ct_optim_step(ct_optim *o, ct_list grads);
/* The gradient of a loss with respect to the parameters, then a step. *value, unless value is NULL,
 * becomes the loss, which must have a value then. */
CT_API ct_status ct_optim_minimize(ct_optim *o, ct_tensor *loss, double *value);

CT_API ct_list ct_optim_params(const ct_optim *o); /* valid until a group is added */
CT_API ct_status ct_optim_set_lr(ct_optim *o, double lr);
CT_API double ct_optim_lr(const ct_optim *o);     /* 0 for NULL */
CT_API int64_t ct_optim_steps(const ct_optim *o); /* steps taken; 0 for NULL */

/* State, number of steps and rate, as "optim/..." of an archive. Restoring checks everything first
 * and changes nothing on an error. */
CT_API ct_status ct_optim_store(const ct_optim *o, ct_archive *a);
CT_API ct_status ct_optim_restore(ct_optim *o, const ct_archive *a);

/* ---- compiled steps -------------------------------------------------------------------------- */

/* Forward, backward and step in one program: ct_run(program, inputs, &value) takes a step and gives
 * the loss from before it. inputs are the placeholders of the loss, a recipe with one element. NULL
 * on failure, as ct_compile and ct_optim_step.
 *
 * Rate and number of steps are the optimizer's at each run: ct_optim_set_lr, _steps, _store and
 * _restore mean what they always do, and steps may come from several programs, of a last batch that
 * is smaller, say, and from ct_optim_step in any order. Parameters are those that it had when the
 * program was made. Program and optimizer may be released in any order.
 *
 * A step with anything in between is built by hand; here gradients are clipped:
 *
 *   ct_build_begin();
 *   ct_grad(loss, ct_optim_params(o), g);
 *   ct_clip_grad_norm((ct_list){n, g}, 1, g, NULL);
 *   ct_optim_step(o, (ct_list){n, g});
 *   program = ct_compile(inputs, CT_LIST(loss), (ct_compile_opts){0});
 *   ct_build_end();
 *
 * In an open build the updates collected so far belong to the program, too, and the caller ends the
 * build. */
CT_API ct_program *ct_compile_step(ct_tensor *loss, ct_optim *o, ct_list inputs,
                                   ct_compile_opts opts);

/* ---- schedules: the rate as a function of the step, counted from 0 --------------------------- */

typedef enum ct_schedule_kind {
  CT_SCHEDULE_CONSTANT,
  CT_SCHEDULE_STEP,     /* lr gamma^floor(step / period) */
  CT_SCHEDULE_LINEAR,   /* a straight line from lr to min_lr at step total */
  CT_SCHEDULE_COSINE,   /* half a cosine from lr to min_lr at step total */
  CT_SCHEDULE_ONE_CYCLE /* PyTorch's OneCycleLR: lr is the largest rate */
} ct_schedule_kind;

typedef struct ct_schedule {
  ct_schedule_kind kind;
  double lr;        /* base rate */
  double min_lr;    /* linear, cosine: where the decay ends */
  int64_t total;    /* linear, cosine, one-cycle: number of steps */
  int64_t warmup;   /* not one-cycle: so many steps first rise linearly, lr (step + 1) / warmup */
  int64_t period;   /* step: 0 means 1 */
  double gamma;     /* step: 0 means 0.1 */
  double rise;      /* one-cycle: fraction of the steps that rise; 0 means 0.3 */
  double div;       /* one-cycle: it begins at lr / div; 0 means 25 */
  double final_div; /* one-cycle: it ends at lr / (div final_div); 0 means 1e4 */
} ct_schedule;

/* The rate of a step; before the first or after the last one it is theirs. After a warm-up the
 * kinds count from its end, and `total` includes it. NaN and CT_EARG for a NULL or an impossible
 * schedule. */
CT_API double ct_schedule_lr(const ct_schedule *s, int64_t step);

/* ---- clipping: new tensors, gradients are never changed -------------------------------------- */

/* clipped[i] = grads[i] min(1, max_norm / (norm + 1e-6)), norm the Euclidean one of all together,
 * f64; differentiable. clipped has room for grads.n tensors and may be grads.at; norm may be NULL.
 * On failure all are nil. */
CT_API ct_status ct_clip_grad_norm(ct_list grads, double max_norm, ct_tensor **clipped,
                                   ct_tensor **norm);
/* clipped[i] = grads[i] cut to [-limit, limit]. */
CT_API ct_status ct_clip_grad_value(ct_list grads, double limit, ct_tensor **clipped);

#ifdef __cplusplus
}
#endif
#endif
