/* step_ggml.c - training steps in ggml (point.h), with its optimizer interface and static graphs.
 */
#include "point.h"

#include <ggml-backend.h>
#include <ggml-blas.h>
#include <ggml-cpu.h>
#include <ggml-opt.h>
#include <ggml.h>

static ggml_backend_t backend[2];
static ggml_backend_sched_t sched;
static ggml_backend_buffer_t buffer;
static struct ggml_context *fixed, *compute;
static ggml_opt_context_t opt;
static struct ggml_opt_optimizer_params rates;

static struct ggml_context *context(size_t tensors) {
  size_t size = tensors * ggml_tensor_overhead() + 4 * ggml_graph_overhead_custom(2048, true);
  return ggml_init((struct ggml_init_params){.mem_size = size, .no_alloc = true});
}

/* 1 / (1 + exp(-x)): ggml's own sigmoid has no derivative. */
static struct ggml_tensor *sigmoid(struct ggml_tensor *x) {
  struct ggml_tensor *soft = ggml_softplus(compute, ggml_neg(compute, x));
  return ggml_exp(compute, ggml_neg(compute, soft));
}

static void delete_last(void) {
  if (!opt) return;
  ggml_opt_free(opt);
  ggml_backend_sched_free(sched);
  ggml_backend_buffer_free(buffer);
  ggml_free(fixed);
  ggml_free(compute);
  for (int i = 0; i < 2; i++) ggml_backend_free(backend[i]);
}

static void start_backends(int threads) {
  backend[0] = ggml_backend_blas_init();
  backend[1] = ggml_backend_cpu_init();
  ggml_backend_blas_set_n_threads(backend[0], threads);
  ggml_backend_cpu_set_n_threads(backend[1], threads);
  sched = ggml_backend_sched_new(backend, NULL, 2, 2048, false, true);
}

void network_new(const point *p, int threads) {
  struct ggml_tensor *weight[LAYERS], *bias[LAYERS];
  delete_last();
  start_backends(threads);
  fixed = context(64);
  compute = context(512);
  struct ggml_tensor *x = ggml_new_tensor_2d(fixed, GGML_TYPE_F32, p->width[0], p->batch), *y = x;
  ggml_set_input(x);
  for (int i = 0; i < p->layers; i++) {
    weight[i] = ggml_new_tensor_2d(fixed, GGML_TYPE_F32, p->width[i], p->width[i + 1]);
    bias[i] = ggml_new_tensor_1d(fixed, GGML_TYPE_F32, p->width[i + 1]);
    ggml_set_param(weight[i]);
    ggml_set_param(bias[i]);
    y = ggml_add(compute, ggml_mul_mat(compute, weight[i], y), bias[i]);
    if (i + 1 < p->layers) y = p->relu ? ggml_relu(compute, y) : sigmoid(y);
  }
  ggml_set_output(y);
  buffer = ggml_backend_alloc_ctx_tensors(fixed, backend[1]);
  ggml_backend_tensor_set(x, p->x, 0, ggml_nbytes(x));
  for (int i = 0; i < p->layers; i++) {
    ggml_backend_tensor_set(weight[i], p->weight[i], 0, ggml_nbytes(weight[i]));
    ggml_backend_tensor_set(bias[i], p->bias[i], 0, ggml_nbytes(bias[i]));
  }
  struct ggml_opt_params params = ggml_opt_default_params(sched, GGML_OPT_LOSS_TYPE_CROSS_ENTROPY);
  rates.sgd.alpha = p->rate;
  params.ctx_compute = compute;
  params.inputs = x;
  params.outputs = y;
  params.optimizer = GGML_OPT_OPTIMIZER_TYPE_SGD;
  params.get_opt_pars = ggml_opt_get_constant_optimizer_params;
  params.get_opt_pars_ud = &rates;
  opt = ggml_opt_init(params);
  struct ggml_tensor *labels = ggml_opt_labels(opt);
  ggml_backend_tensor_set(labels, p->one_hot, 0, ggml_nbytes(labels));
}

float network_step(void) {
  float loss;
  ggml_opt_alloc(opt, true);
  ggml_opt_eval(opt, NULL);
  ggml_backend_tensor_get(ggml_opt_loss(opt), &loss, 0, sizeof loss);
  return loss;
}

int main(void) {
  char name[64];
  snprintf(name, sizeof name, "ggml %s, OpenBLAS", ggml_version());
  return point_serve(name);
}
