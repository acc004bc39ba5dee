/* step.c - one eager training step against the same step written by hand over OpenBLAS.
 *
 * Forward, softmax cross entropy, gradient, SGD update of a multilayer perceptron, as a user of the
 * library would write it, and as floor.c does it. Both start from the same numbers and must agree
 * for 50 steps before anything is timed.
 */
#include "support/bench.h"
#include "support/floor.h"

#include <cotangent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 50 }; /* compared before timing */
static const double rate = 0.01, tolerance = 1e-4;

typedef struct network {
  const char *name;
  floor_activation act;
  int layers, width[FLOOR_LAYERS + 1];
} network;

static const network networks[] = {{"784-128-10 sigmoid", FLOOR_SIGMOID, 2, {784, 128, 10}},
                                   {"784-256-128-10 relu", FLOOR_RELU, 3, {784, 256, 128, 10}}};

static const struct point {
  int batch;
  double goal; /* eager, whatever the network */
} points[] = {{1, 4}, {16, 0}, {128, 1.3}};

/* ---- the library's side ---------------------------------------------------------------------- */

typedef struct pair {
  const network *shape;
  int batch;
  ct_module *model;
  ct_optim *sgd;
  ct_tensor *x, *labels; /* kept */
  double loss;
  floor_net *floor;
} pair;

static ct_module *make_model(const network *shape, ct_tensor *key) {
  ct_module *module[2 * FLOOR_LAYERS];
  int n = 0;
  for (int i = 0; i < shape->layers; i++) {
    if (i) module[n++] = shape->act == FLOOR_SIGMOID ? ct_nn_sigmoid() : ct_nn_relu();
    module[n++] = ct_nn_linear(ct_key_fold(key, i), shape->width[i], shape->width[i + 1],
                               (ct_linear_opts){0});
  }
  return ct_nn_sequential((ct_module_list){n, module});
}

static ct_tensor *run_step(pair *p) {
  ct_list params = ct_module_params(p->model);
  ct_tensor *grad[2 * FLOOR_LAYERS];
  ct_tensor *loss = ct_cross_entropy(ct_forward(p->model, p->x), p->labels);
  ct_grad(loss, params, grad);
  ct_optim_step(p->sgd, (ct_list){params.n, grad});
  return loss;
}

static void library_step(void *state) {
  ct_scope s = ct_scope_begin();
  run_step(state);
  ct_scope_end(s);
}

static double library_loss(pair *p) {
  double loss = NAN;
  ct_scope s = ct_scope_begin();
  ct_item(run_step(p), &loss);
  ct_scope_end(s);
  return loss;
}

static void by_hand(void *state) { floor_step(((pair *)state)->floor); }

static void check_library(void) {
  if (ct_error_code() != CT_OK) bench_fail("%s", ct_error_message());
}

/* ---- the same numbers on both sides ---------------------------------------------------------- */

/* The weight of layer i as (in, out), or its bias. Belongs to the scope. */
static ct_tensor *parameter(const pair *p, int i, bool weight) {
  char name[32];
  snprintf(name, sizeof name, "%d.%s", 2 * i, weight ? "weight" : "bias");
  ct_tensor *t = ct_module_get(p->model, name);
  return weight ? ct_transpose(t, 0, 1) : t;
}

static size_t parameter_size(const pair *p, int i, bool weight) {
  size_t out = (size_t)p->shape->width[i + 1];
  return weight ? (size_t)p->shape->width[i] * out : out;
}

static float *floor_parameter(const pair *p, int i, bool weight) {
  return weight ? floor_weight(p->floor, i) : floor_bias(p->floor, i);
}

static void pair_init(pair *p, const network *shape, int batch) {
  *p = (pair){.shape = shape, .batch = batch};
  ct_scope s = ct_scope_begin();
  ct_tensor *key = ct_key(1);
  p->model = make_model(shape, ct_key_fold(key, 0));
  p->sgd = ct_sgd(ct_module_params(p->model), (ct_sgd_opts){.lr = rate});
  p->x = ct_keep(ct_uniform(ct_key_fold(key, 1), CT_F32, CT_SHAPE(batch, shape->width[0]), 0, 1));
  ct_tensor *classes =
      ct_uniform(ct_key_fold(key, 2), CT_F32, CT_SHAPE(batch), 0, shape->width[shape->layers]);
  p->labels = ct_keep(ct_cast(classes, CT_I32));
  check_library();

  p->floor = floor_new(shape->layers, shape->width, shape->act, batch, (float)rate);
  for (int i = 0; i < 2 * shape->layers; i++)
    ct_copy_out(parameter(p, i / 2, i & 1), floor_parameter(p, i / 2, i & 1),
                parameter_size(p, i / 2, i & 1) * sizeof(float));
  ct_copy_out(p->x, floor_input(p->floor), (size_t)batch * (size_t)shape->width[0] * sizeof(float));
  ct_copy_out(p->labels, floor_labels(p->floor), (size_t)batch * sizeof(int32_t));
  ct_scope_end(s);
  check_library();
}

static void pair_end(pair *p) {
  ct_module_free(&p->model);
  ct_optim_free(&p->sgd);
  ct_release(&p->x);
  ct_release(&p->labels);
  floor_free(p->floor);
}

/* The largest difference of a parameter, relative to its largest element. */
static double parameter_error(const pair *p, int i, bool weight) {
  size_t n = parameter_size(p, i, weight);
  float *ours = bench_alloc(n, sizeof *ours);
  const float *theirs = floor_parameter(p, i, weight);
  ct_scope s = ct_scope_begin();
  ct_copy_out(parameter(p, i, weight), ours, n * sizeof *ours);
  ct_scope_end(s);
  check_library();
  double worst = 0, largest = 0;
  for (size_t j = 0; j < n; j++) {
    double error = fabs((double)ours[j] - (double)theirs[j]);
    worst = error <= worst ? worst : error; /* NaN is the worst */
    largest = fmax(largest, fabs((double)theirs[j]));
  }
  free(ours);
  return worst / largest;
}

/* Ends the program unless both do the same. */
static void check_pair(pair *p) {
  for (int step = 1; step <= STEPS; step++) {
    double ours = library_loss(p), theirs = (double)floor_step(p->floor);
    check_library();
    if ((step == 1 || step == STEPS) && !(fabs(ours - theirs) <= tolerance * fabs(theirs)))
      bench_fail("%s, batch %d: the loss of step %d is %.7g, by hand %.7g; nothing is timed",
                 p->shape->name, p->batch, step, ours, theirs);
  }
  for (int i = 0; i < 2 * p->shape->layers; i++) {
    double error = parameter_error(p, i / 2, i & 1);
    if (!(error <= tolerance))
      bench_fail("%s, batch %d: %s %d differs by %.2g after %d steps; nothing is timed",
                 p->shape->name, p->batch, i & 1 ? "weight" : "bias", i / 2, error, STEPS);
  }
}

int main(void) {
  bench_begin();
  bench_report *report =
      bench_report_new("step", (const char *const[]){"training step", "library", "by hand"});
  for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++)
    for (size_t j = 0; j < sizeof points / sizeof points[0]; j++) {
      pair p;
      pair_init(&p, &networks[i], points[j].batch);
      check_pair(&p);
      bench_result r = bench_alternate((bench_way){.run = library_step, .state = &p},
                                       (bench_way){.run = by_hand, .state = &p});
      check_library();
      char label[128];
      snprintf(label, sizeof label, "%s, batch %d", networks[i].name, points[j].batch);
      bench_report_row(report, label, points[j].goal, &r);
      bench_report_note(report, "products_by_hand", floor_ways(p.floor));
      pair_end(&p);
    }
  return bench_report_end(report) ? 0 : 1;
}
