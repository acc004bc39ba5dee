/* trainee.c - the library's side of a training step. */
#include "trainee.h"

#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static ct_module *make_model(const floor_shape *shape, ct_tensor *key) {
  ct_module *module[2 * FLOOR_LAYERS];
  int n = 0;
  for (int i = 0; i < shape->layers; i++) {
    if (i) module[n++] = shape->act == FLOOR_SIGMOID ? ct_nn_sigmoid() : ct_nn_relu();
    module[n++] = ct_nn_linear(ct_key_fold(key, i), shape->width[i], shape->width[i + 1],
                               (ct_linear_opts){0});
  }
  return ct_nn_sequential((ct_module_list){n, module});
}

void trainee_init(trainee *t, const floor_shape *shape, int batch, double rate) {
  *t = (trainee){.shape = shape, .batch = batch, .rate = rate};
  ct_scope s = ct_scope_begin();
  ct_tensor *key = ct_key(1);
  t->model = make_model(shape, ct_key_fold(key, 0));
  t->sgd = ct_sgd(ct_module_params(t->model), (ct_sgd_opts){.lr = rate});
  t->x = ct_keep(ct_uniform(ct_key_fold(key, 1), CT_F32, CT_SHAPE(batch, shape->width[0]), 0, 1));
  ct_tensor *classes =
      ct_uniform(ct_key_fold(key, 2), CT_F32, CT_SHAPE(batch), 0, shape->width[shape->layers]);
  t->labels = ct_keep(ct_cast(classes, CT_I32));
  t->step = trainee_compile(t);
  ct_scope_end(s);
  bench_check_library();
}

void trainee_end(trainee *t) {
  ct_program_release(&t->step);
  ct_module_free(&t->model);
  ct_optim_free(&t->sgd);
  ct_release(&t->x);
  ct_release(&t->labels);
}

ct_tensor *trainee_eager(trainee *t) {
  ct_list params = ct_module_params(t->model);
  ct_tensor *grad[2 * FLOOR_LAYERS];
  ct_tensor *loss = ct_cross_entropy(ct_forward(t->model, t->x), t->labels);
  ct_grad(loss, params, grad);
  ct_optim_step(t->sgd, (ct_list){params.n, grad});
  return loss;
}

ct_program *trainee_compile(trainee *t) {
  ct_tensor *x = ct_placeholder(CT_F32, ct_shape_of(t->x));
  ct_tensor *labels = ct_placeholder(CT_I32, ct_shape_of(t->labels));
  return ct_compile_step(ct_cross_entropy(ct_forward(t->model, x), labels), t->sgd,
                         CT_LIST(x, labels), (ct_compile_opts){0});
}

ct_tensor *trainee_compiled(trainee *t) {
  ct_tensor *loss;
  ct_run(t->step, CT_LIST(t->x, t->labels), &loss);
  return loss;
}

/* ---- the same numbers on both sides ---------------------------------------------------------- */

/* The weight (out, in) of layer i or its bias: the parameters come in this order. */
static ct_tensor *parameter(const trainee *t, int i) { return ct_module_params(t->model).at[i]; }
static bool is_weight(int i) { return i % 2 == 0; }
static size_t bytes_of(const ct_tensor *x) { return (size_t)ct_size(x) * sizeof(float); }

/* As the floor has it: a weight as (in, out). Belongs to the scope. */
static ct_tensor *floor_layout(const trainee *t, int i) {
  return is_weight(i) ? ct_transpose(parameter(t, i), 0, 1) : parameter(t, i);
}

static float *floor_parameter(floor_net *floor, int i) {
  return is_weight(i) ? floor_weight(floor, i / 2) : floor_bias(floor, i / 2);
}

void trainee_copy_to_floor(const trainee *t, floor_net *floor) {
  ct_scope s = ct_scope_begin();
  for (int i = 0; i < 2 * t->shape->layers; i++)
    ct_copy_out(floor_layout(t, i), floor_parameter(floor, i), bytes_of(parameter(t, i)));
  ct_copy_out(t->x, floor_input(floor), bytes_of(t->x));
  ct_copy_out(t->labels, floor_labels(floor), bytes_of(t->labels));
  ct_scope_end(s);
  bench_check_library();
}

double trainee_difference(const trainee *t, floor_net *floor) {
  double worst = 0;
  for (int i = 0; i < 2 * t->shape->layers; i++) {
    size_t n = (size_t)ct_size(parameter(t, i));
    float *ours = bench_alloc(n, sizeof *ours);
    const float *theirs = floor_parameter(floor, i);
    ct_scope s = ct_scope_begin();
    ct_copy_out(floor_layout(t, i), ours, n * sizeof *ours);
    ct_scope_end(s);
    bench_check_library();
    double error = 0, largest = 0;
    for (size_t j = 0; j < n; j++) {
      double its = fabs((double)ours[j] - (double)theirs[j]);
      error = its <= error ? error : its; /* NaN is the worst */
      largest = fmax(largest, fabs((double)theirs[j]));
    }
    worst = error / largest <= worst ? worst : error / largest;
    free(ours);
  }
  return worst;
}

/* int32 and f32 are of one size. */
static void write_tensor(FILE *f, const ct_tensor *x) {
  size_t bytes = bytes_of(x);
  char *data = bench_alloc(bytes, 1);
  ct_copy_out(x, data, bytes);
  fwrite(data, 1, bytes, f);
  free(data);
}

void trainee_write(const trainee *t, const char *path) {
  FILE *f = fopen(path, "wb");
  if (!f) bench_fail("cannot write %s", path);
  const int32_t head[] = {t->shape->layers, t->shape->act == FLOOR_RELU, t->batch};
  const float rate = (float)t->rate;
  fwrite(head, sizeof head, 1, f);
  for (int i = 0; i <= t->shape->layers; i++)
    fwrite(&(int32_t){t->shape->width[i]}, sizeof(int32_t), 1, f);
  fwrite(&rate, sizeof rate, 1, f);
  write_tensor(f, t->x);
  write_tensor(f, t->labels);
  for (int i = 0; i < 2 * t->shape->layers; i++) write_tensor(f, parameter(t, i));
  bool ok = !ferror(f);
  if (fclose(f) != 0 || !ok) bench_fail("cannot write %s", path);
  bench_check_library();
}
