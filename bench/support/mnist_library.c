/* mnist_library.c - MNIST by the library, as its users would write it. */
#include "bench.h"
#include "mnist.h"

#include <cotangent.h>
#include <math.h>

typedef struct trainer {
  const mnist_recipe *recipe;
  ct_module *model;
  ct_optim *optim;
  ct_program *program; /* a step on images and labels, which gives the loss */
} trainer;

static ct_module *new_model(const mnist_recipe *r, uint64_t seed) {
  ct_module *layer[2 * MNIST_HIDDEN + 1];
  ct_tensor *key = ct_key(seed);
  int n = 0, in = MNIST_PIXELS;
  for (int i = 0; i < r->hidden; i++) {
    layer[n++] = ct_nn_linear(ct_key_fold(key, i), in, r->width[i], (ct_linear_opts){0});
    layer[n++] = ct_nn_relu();
    in = r->width[i];
  }
  layer[n++] = ct_nn_linear(ct_key_fold(key, r->hidden), in, MNIST_CLASSES, (ct_linear_opts){0});
  return ct_nn_sequential((ct_module_list){n, layer});
}

/* Forward, loss, gradient and update of a full batch. */
static ct_program *compile_step(trainer *t) {
  const int64_t batch = t->recipe->batch;
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(batch, MNIST_PIXELS));
  ct_tensor *labels = ct_placeholder(CT_I32, CT_SHAPE(batch));
  ct_tensor *loss = ct_cross_entropy_with(
      ct_forward(t->model, x), labels, (ct_cross_entropy_opts){.smoothing = t->recipe->smoothing});
  return ct_compile_step(loss, t->optim, CT_LIST(x, labels), (ct_compile_opts){0});
}

static trainer trainer_new(const mnist_recipe *r, uint64_t seed) {
  trainer t = {.recipe = r, .model = new_model(r, seed)};
  bench_check_library();
  t.optim =
      ct_sgd(ct_module_params(t.model), (ct_sgd_opts){.lr = r->rate, .momentum = r->momentum});
  bench_check_library();
  t.program = compile_step(&t);
  bench_check_library();
  return t;
}

static void trainer_free(trainer *t) {
  ct_program_release(&t->program);
  ct_optim_free(&t->optim);
  ct_module_free(&t->model);
}

/* One step; returns the mean loss before it. */
static double step(trainer *t, ct_tensor *x, ct_tensor *labels, double rate) {
  double value = NAN;
  ct_tensor *loss;
  ct_scope s = ct_scope_begin();
  ct_optim_set_lr(t->optim, rate);
  if (ct_run(t->program, CT_LIST(x, labels), &loss) == CT_OK) ct_item(loss, &value);
  ct_scope_end(s);
  return value;
}

/* ---- data ------------------------------------------------------------------------------------ */

typedef struct data {
  ct_dataset train, test;
  ct_standardizer standardizer; /* fitted to what is trained on */
} data;

/* Images from first to end of d, which must not outlive it. */
static ct_dataset part(const ct_dataset *d, int64_t first, int64_t end) {
  ct_scope s = ct_scope_begin();
  ct_dataset out = {.x = ct_keep(ct_slice(d->x, 0, first, end, 1)),
                    .labels = ct_keep(ct_slice(d->labels, 0, first, end, 1))};
  ct_scope_end(s);
  bench_check_library();
  return out;
}

static data data_read(const mnist_options *o) {
  data d;
  ct_dataset_mnist(&d.train, &d.test, o->dir);
  bench_check_library();
  if (o->validation) {
    ct_dataset all = d.train;
    const int64_t n = ct_dim(all.x, 0), held_out = n / 6;
    ct_dataset_free(&d.test);
    d.train = part(&all, 0, n - held_out);
    d.test = part(&all, n - held_out, n);
    ct_dataset_free(&all);
  }
  return d;
}

static void data_free(data *d) {
  ct_dataset_free(&d->train);
  ct_dataset_free(&d->test);
  ct_standardizer_free(&d->standardizer);
}

static ct_loader *new_loader(const data *d, const mnist_recipe *r, uint64_t seed) {
  ct_loader *l = ct_loader_new(&d->train, (ct_loader_opts){.batch = r->batch,
                                                           .shuffle = true,
                                                           .seed = seed,
                                                           .drop_last = true,
                                                           .standardizer = &d->standardizer});
  bench_check_library();
  return l;
}

/* ---- training and testing -------------------------------------------------------------------- */

/* Returns the seconds that making batches took. */
static double train(trainer *t, ct_loader *batches, int64_t steps) {
  const ct_schedule schedule = {.kind = CT_SCHEDULE_LINEAR,
                                .lr = t->recipe->rate,
                                .total = steps,
                                .warmup = (int64_t)(t->recipe->warmup * (double)steps)};
  double converting = 0, loss = 0;
  for (int64_t i = 0; i < steps; i++) {
    const double begin = mnist_wall();
    ct_tensor *x, *labels;
    while (!ct_loader_next(batches, &x, &labels)) continue; /* an epoch ends, the next begins */
    converting += mnist_wall() - begin;
    loss = step(t, x, labels, ct_schedule_lr(&schedule, i));
  }
  bench_check_library();
  if (!isfinite(loss)) bench_fail("the loss became infinite");
  return converting;
}

static double test(const trainer *t, const data *d) {
  ct_loader *batches =
      ct_loader_new(&d->test, (ct_loader_opts){.batch = 1000, .standardizer = &d->standardizer});
  double right = 0;
  for (ct_tensor *x, *labels; batches && ct_loader_next(batches, &x, &labels);) {
    double accuracy = 0;
    ct_scope s = ct_scope_begin_with(CT_NO_RECORD);
    ct_accuracy(ct_forward(t->model, x), labels, &accuracy, NULL);
    ct_scope_end(s);
    right += accuracy * (double)ct_dim(labels, 0);
  }
  ct_loader_free(&batches);
  bench_check_library();
  return right / (double)ct_dim(d->test.x, 0);
}

mnist_result mnist_by_library(const mnist_recipe *r, const mnist_options *o) {
  mnist_result result = {0};
  const double begin = mnist_wall(), used = mnist_processor();
  ct_scope s = ct_scope_begin();
  data d = data_read(o);
  const double have_read = mnist_wall();
  ct_standardizer_fit(&d.standardizer, d.train.x, false);
  trainer t = trainer_new(r, o->seed);
  ct_loader *batches = new_loader(&d, r, o->seed);
  const double prepared = mnist_wall();
  result.convert = train(&t, batches, mnist_steps(r, ct_dim(d.train.x, 0)));
  const double end = mnist_wall();
  result.processor = mnist_processor() - used;
  result.read = have_read - begin;
  result.prepare = prepared - have_read;
  result.train = end - prepared;
  result.total = end - begin;
  result.accuracy = test(&t, &d);
  ct_loader_free(&batches);
  trainer_free(&t);
  data_free(&d);
  ct_scope_end(s);
  return result;
}

/* ---- the same as by hand --------------------------------------------------------------------- */

static void copy_parameters(const trainer *t, mnist_net *net) {
  ct_list params = ct_module_params(t->model);
  ct_scope s = ct_scope_begin();
  for (int i = 0; i < params.n; i++) {
    ct_tensor *p = i % 2 ? params.at[i] : ct_transpose(params.at[i], 0, 1);
    ct_copy_out(p, i % 2 ? mnist_net_bias(net, i / 2) : mnist_net_weight(net, i / 2),
                (size_t)ct_size(p) * sizeof(float));
  }
  ct_scope_end(s);
  bench_check_library();
}

void mnist_compare(const mnist_recipe *r, const mnist_options *o) {
  enum { STEPS = 50 };
  static const double tolerance = 1e-4;
  ct_scope s = ct_scope_begin();
  data d = data_read(o);
  ct_standardizer_fit(&d.standardizer, d.train.x, false);
  trainer t = trainer_new(r, o->seed);
  ct_loader *batches = new_loader(&d, r, o->seed);
  mnist_net *net = mnist_net_new(r, o->seed);
  copy_parameters(&t, net);
  for (int i = 0; i < STEPS; i++) {
    ct_tensor *x, *labels;
    ct_loader_next(batches, &x, &labels);
    const double rate = mnist_rate(r, i, STEPS), ours = step(&t, x, labels, rate);
    const double theirs = mnist_net_step(net, ct_data(x), ct_data(labels), rate);
    bench_check_library();
    if (!(fabs(ours - theirs) <= tolerance * fabs(theirs)))
      bench_fail("the loss of step %d is %.7g, by hand %.7g; nothing is timed", i + 1, ours,
                 theirs);
  }
  mnist_net_free(net);
  ct_loader_free(&batches);
  trainer_free(&t);
  data_free(&d);
  ct_scope_end(s);
}
