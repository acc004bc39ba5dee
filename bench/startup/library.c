/* library.c - the first training step of a network, with the library. */
#include "startup.h"

#include <cotangent.h>
#include <math.h>

static float batch[STARTUP_BATCH * STARTUP_INPUTS];
static int32_t label[STARTUP_BATCH];

static double eager_step(ct_module *model, ct_optim *sgd, ct_tensor *x, ct_tensor *t) {
  double loss = NAN;
  ct_optim_minimize(sgd, ct_cross_entropy(ct_forward(model, x), t), &loss);
  return loss;
}

static double compiled_step(ct_module *model, ct_optim *sgd, ct_tensor *x, ct_tensor *t) {
  ct_tensor *px = ct_placeholder(CT_F32, ct_shape_of(x)), *loss;
  ct_tensor *pt = ct_placeholder(CT_I32, ct_shape_of(t));
  ct_program *step = ct_compile_step(ct_cross_entropy(ct_forward(model, px), pt), sgd,
                                     CT_LIST(px, pt), (ct_compile_opts){0});
  double value = NAN;
  if (ct_run(step, CT_LIST(x, t), &loss) == CT_OK) ct_item(loss, &value);
  ct_program_release(&step);
  return value;
}

/* Arguments: the file of the batch; "eager" or "compiled". */
int main(int argc, char **argv) {
  ct_scope s = ct_scope_begin();
  ct_tensor *key = ct_key(1);
  startup_read(argc > 1 ? argv[1] : NULL, batch, label);
  ct_module *model = ct_nn_sequential(
      CT_MODULES(ct_nn_linear(ct_key_fold(key, 0), STARTUP_INPUTS, 256, (ct_linear_opts){0}),
                 ct_nn_relu(), ct_nn_linear(ct_key_fold(key, 1), 256, 128, (ct_linear_opts){0}),
                 ct_nn_relu(), ct_nn_linear(ct_key_fold(key, 2), 128, 10, (ct_linear_opts){0})));
  ct_optim *sgd = ct_sgd(ct_module_params(model), (ct_sgd_opts){.lr = 0.01});
  ct_tensor *x = ct_wrap(CT_F32, CT_SHAPE(STARTUP_BATCH, STARTUP_INPUTS), batch, (ct_wrap_opts){0});
  ct_tensor *t = ct_wrap(CT_I32, CT_SHAPE(STARTUP_BATCH), label, (ct_wrap_opts){0});
  bool eager = argc > 2 && strcmp(argv[2], "eager") == 0;
  startup_report((eager ? eager_step : compiled_step)(model, sgd, x, t));
  ct_scope_end(s);
  ct_module_free(&model);
  ct_optim_free(&sgd);
  ct_error_print(stderr);
  return ct_error_code() == CT_OK ? 0 : 1;
}
