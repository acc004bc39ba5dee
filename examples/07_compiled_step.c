/* 07_compiled_step.c - a training step as a program: what the compiler makes of it, and runs of it.
 *
 * The page docs/training-step.md goes through what this prints.
 */
#include <cotangent.h>

enum { BATCH = 32, PIXELS = 64, HIDDEN = 128, CLASSES = 10, STEPS = 400 };

/* Forward, loss, gradient and update for batches of digits. The recipe is gone when this returns:
 * the program owns what it needs. */
static ct_program *compile_step(ct_module *model, ct_optim *optim, ct_compile_opts opts) {
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(BATCH, PIXELS));
  ct_tensor *labels = ct_placeholder(CT_I32, CT_SHAPE(BATCH));
  ct_tensor *loss = ct_cross_entropy(ct_forward(model, x), labels);
  ct_program *step = ct_compile_step(loss, optim, CT_LIST(x, labels), opts);
  ct_scope_end(scope);
  return step;
}

/* The loss before the step. */
static double take_step(ct_program *step, const ct_dataset *set, int64_t first) {
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_slice(set->x, 0, first, first + BATCH, 1), *loss;
  ct_tensor *labels = ct_slice(set->labels, 0, first, first + BATCH, 1);
  x = ct_scale(ct_flatten(ct_cast(x, CT_F32), 1), 1.0 / 255);
  double value = 0;
  if (ct_run(step, CT_LIST(x, labels), &loss) == CT_OK) ct_item(loss, &value);
  ct_scope_end(scope);
  return value;
}

int main(void) {
  ct_dataset train, test;
  ct_dataset_digits(&train, &test);
  ct_tensor *key = ct_key(1);
  ct_module *model = ct_nn_sequential(CT_MODULES(
      ct_nn_linear(ct_key_fold(key, 0), PIXELS, HIDDEN, (ct_linear_opts){0}), ct_nn_relu(),
      ct_nn_linear(ct_key_fold(key, 1), HIDDEN, CLASSES, (ct_linear_opts){0})));
  ct_optim *sgd = ct_sgd(ct_module_params(model), (ct_sgd_opts){.lr = 0.2});

  printf("with CT_EXACT: ");
  ct_program *exact = compile_step(model, sgd, CT_EXACT);
  ct_program_print(exact, stdout);
  printf("\nby default: ");
  ct_program *step = compile_step(model, sgd, (ct_compile_opts){0});
  ct_program_print(step, stdout);
  putchar('\n');
  ct_program_memory(step, CT_MEMORY_TEXT, stdout);

  int64_t whole = ct_dim(train.x, 0) / BATCH;
  double first = take_step(step, &train, 0), last = 0;
  for (int i = 1; i < STEPS; i++) last = take_step(step, &train, i % whole * BATCH);
  printf("\nloss %.1f, after %d steps %.1f\n", first, STEPS, last);

  ct_program_release(&exact);
  ct_program_release(&step);
  ct_optim_free(&sgd);
  ct_module_free(&model);
  ct_dataset_free(&train);
  ct_dataset_free(&test);
  ct_error_print(stderr);
  return ct_error_code() != CT_OK;
}
