/* train.c - trains a network on pictures: data, model, loss, gradient, step.
 *
 * The loop is in train(), one step of it in step(); examples/train/ has the parts around it:
 * options, data, progress, checkpoints, pictures. `train --help` lists the options.
 */
#include "train/train.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the model ------------------------------------------------------------------------------- */

/* linear, activation, linear, ..., linear: its parameters are functions of the seed. */
static ct_module *new_model(const options *o, const input *in) {
  static ct_module *(*const activation[])(void) = {ct_nn_sigmoid, ct_nn_tanh, ct_nn_relu};
  ct_module *layer[2 * MAX_HIDDEN + 1];
  ct_tensor *key = ct_key((uint64_t)o->seed);
  int64_t width = in->height * in->width;
  int n = 0;
  for (int i = 0; i < o->hidden.n; i++) {
    layer[n++] = ct_nn_linear(ct_key_fold(key, i), width, o->hidden.at[i], (ct_linear_opts){0});
    layer[n++] = activation[o->act]();
    width = o->hidden.at[i];
  }
  key = ct_key_fold(key, o->hidden.n);
  layer[n++] = ct_nn_linear(key, width, in->n_classes, (ct_linear_opts){0});
  return ct_nn_sequential((ct_module_list){n, layer});
}

static ct_optim *new_optim(const options *o, ct_list params) {
  switch (o->optim) {
  case OPTIM_SGD: return ct_sgd(params, (ct_sgd_opts){.lr = o->lr, .momentum = o->momentum});
  case OPTIM_ADAM: return ct_adam(params, (ct_adam_opts){.lr = o->lr});
  default: return ct_adamw(params, (ct_adam_opts){.lr = o->lr});
  }
}

static ct_schedule new_schedule(const options *o, int64_t steps) {
  return (ct_schedule){.kind = (ct_schedule_kind)o->schedule,
                       .lr = o->lr,
                       .total = steps,
                       .warmup = (int64_t)(o->warmup * (double)steps),
                       .period = (steps + 2) / 3};
}

enum { SAVE_EVERY = 10 }; /* seconds, at the end of an epoch */

/* ---- training -------------------------------------------------------------------------------- */

static ct_tensor *loss_of(ct_tensor *logits, ct_tensor *labels, const options *o) {
  return ct_cross_entropy_with(logits, labels, (ct_cross_entropy_opts){.smoothing = o->smoothing});
}

typedef struct trainer {
  run *r;
  const options *o;
  ct_jit *program; /* NULL: eager */
} trainer;

/* One step of gradient descent on a batch. Eagerly it is taken; for a program it is described. */
static void descend(ct_list batch, ct_tensor **loss, void *payload) {
  const trainer *t = payload;
  ct_tensor *x = batch.at[0], *labels = batch.at[1];
  loss[0] = loss_of(ct_forward(t->r->model, x), labels, t->o);
  ct_optim_minimize(t->r->optim, loss[0], NULL);
}

/* Everything made on the way dies with the scope. Errors flow through the tensors, so that the last
 * status is the first error. A program is made for each size of batch: the last is smaller. */
static ct_status step(trainer *t, double rate, ct_tensor *x, ct_tensor *labels,
                      double *loss_value) {
  ct_scope scope = ct_scope_begin();
  ct_tensor *loss;
  ct_optim_set_lr(t->r->optim, rate);
  if (t->program)
    ct_jit_run(t->program, CT_LIST(x, labels), &loss);
  else
    descend(CT_LIST(x, labels), &loss, t);

  ct_status status = ct_item(loss, loss_value);
  if (status == CT_OK) status = ct_error_code();
  if (status == CT_OK && !isfinite(*loss_value))
    status = ct_error_set(CT_ECHECK, "the loss became infinite at step %lld: try a smaller --lr",
                          (long long)t->r->step + 1);
  ct_scope_end(scope);
  return status;
}

/* Loss and accuracy on data that are not trained on. */
static ct_status evaluate(const run *r, const input *in, const options *o, const ct_dataset *set,
                          double *loss, double *accuracy) {
  ct_scope scope = ct_scope_begin_with(CT_NO_RECORD);
  ct_tensor *logits = logits_of(r->model, in, set->x);
  ct_status status = ct_item(loss_of(logits, set->labels, o), loss);
  if (status == CT_OK) status = ct_accuracy(logits, set->labels, accuracy, NULL);
  ct_scope_end(scope);
  return status;
}

/* What is done after each epoch: evaluate, log, keep the best weights, save. */
static ct_status end_epoch(run *r, const input *in, const data *d, const options *o,
                           const progress *p, FILE *log, double seconds) {
  record *after = &r->history[r->epochs++];
  double val_loss = 0, val_accuracy = 0;
  after->train_loss = r->loss_sum / (double)r->per_epoch;
  r->loss_sum = 0;
  ct_status status = evaluate(r, in, o, &d->test, &after->test_loss, &after->test_accuracy);
  if (status == CT_OK && o->val > 0) {
    status = evaluate(r, in, o, &d->val, &val_loss, &val_accuracy);
    if (status == CT_OK) status = keep_best(r, val_loss, val_accuracy);
  }
  if (status != CT_OK) return status;
  progress_epoch(p, r->epochs, after, seconds, o->val > 0 ? &val_accuracy : NULL);
  log_epoch(log, r->epochs, after, seconds);
  return o->save && now() - r->saved > SAVE_EVERY ? checkpoint_save(r, in, o) : CT_OK;
}

/* Epochs of steps on batches in random order, until they are done or Ctrl-C ends them. */
static ct_status train(trainer *t, const input *in, const data *d, FILE *log,
                       double *train_seconds) {
  run *r = t->r;
  const options *o = t->o;
  const ct_schedule schedule = new_schedule(o, r->total);
  ct_loader *batches =
      ct_loader_new(&d->train, (ct_loader_opts){.batch = o->batch,
                                                .shuffle = true,
                                                .seed = (uint64_t)o->seed,
                                                .standardizer = &in->standardizer});
  ct_status status = batches ? CT_OK : ct_error_code();
  if (status == CT_OK)
    status = ct_loader_seek(batches, r->step / r->per_epoch, r->step % r->per_epoch);
  progress p;
  r->saved = now();
  progress_begin(&p, r->step, r->total, o->epochs);
  while (status == CT_OK && r->epochs < o->epochs && !interrupted()) {
    const double begin = now();
    ct_tensor *x, *labels;
    while (status == CT_OK && !interrupted() && ct_loader_next(batches, &x, &labels)) {
      const double rate = ct_schedule_lr(&schedule, r->step);
      double loss = 0;
      status = step(t, rate, x, labels, &loss);
      r->step++;
      r->loss_sum += loss;
      progress_step(&p, r->step, rate, loss);
    }
    const double seconds = now() - begin;
    *train_seconds += seconds;
    if (status == CT_OK && r->step == (r->epochs + 1) * r->per_epoch)
      status = end_epoch(r, in, d, o, &p, log, seconds);
  }
  progress_end(&p);
  ct_loader_free(&batches);
  return status;
}

/* Says why training ended, saves, and puts the best weights into the model. */
static ct_status finish(run *r, const input *in, const options *o) {
  ct_status status = o->save ? checkpoint_save(r, in, o) : CT_OK;
  if (status != CT_OK) return status;
  if (r->step < r->total)
    printf("interrupted after step %lld of %lld; %s%s\n", (long long)r->step, (long long)r->total,
           o->save ? "saved as " : "not saved, as --save was not given", o->save ? o->save : "");
  else if (o->save)
    printf("saved as %s\n", o->save);
  return r->best ? ct_module_restore(r->model, r->best, (ct_restore_opts){0}) : CT_OK;
}

/* ---- the program ----------------------------------------------------------------------------- */

/* What would fail once all is trained fails before. */
static ct_status check_paths(const options *o) {
  for (int i = 0; i < o->n_images; i++) {
    FILE *image = fopen(o->images[i], "rb");
    if (!image) return ct_error_set(CT_EIO, "%s: %s", o->images[i], strerror(errno));
    fclose(image);
  }
  const char *end = o->save ? strrchr(o->save, '/') : NULL;
  char folder[4096] = ".";
  if (end) snprintf(folder, sizeof folder, "%.*s", (int)(end - o->save) + 1, o->save);
  if (o->save && access(folder, W_OK) != 0)
    return ct_error_set(CT_EIO, "cannot write %s: %s", o->save, strerror(errno));
  return o->load ? CT_OK : make_folders(o->out);
}

/* The network, and unless it is only used, all that training it needs. */
static ct_status set_up(run *r, const input *in, const data *d, const options *o,
                        const ct_archive *file) {
  r->model = new_model(o, in);
  if (!r->model) return ct_error_code();
  if (file && ct_module_restore(r->model, file, (ct_restore_opts){0}) != CT_OK)
    return ct_error_code();
  if (o->load) return ct_module_train(r->model, false);
  const int64_t n = ct_dim(d->train.x, 0);
  printf("%lld images of %lld x %lld in %d classes to train on, %lld to test; %lld parameters\n",
         (long long)n, (long long)in->height, (long long)in->width, in->n_classes,
         (long long)ct_dim(d->test.x, 0), (long long)ct_module_count(r->model));
  r->per_epoch = (n + o->batch - 1) / o->batch;
  r->total = r->per_epoch * o->epochs;
  r->history = calloc((size_t)o->epochs, sizeof *r->history);
  if (!r->history) return ct_error_set(CT_ENOMEM, "out of memory");
  r->optim = new_optim(o, ct_module_params(r->model));
  return o->resume && r->optim ? checkpoint_restore(r, file) : ct_error_code();
}

static ct_status train_and_report(run *r, const input *in, const data *d, const options *o,
                                  double load_seconds) {
  double seconds = 0, accuracy = 0;
  FILE *log = NULL;
  ct_status status = o->log ? log_open(&log, o) : CT_OK;
  trainer t = {.r = r, .o = o};
  if (!o->eager) {
    t.program = ct_jit_new(descend, 1, &t, (ct_compile_opts){.exact = o->exact});
    if (!t.program) status = ct_error_code();
  }
  catch_interrupts();
  if (status == CT_OK) status = train(&t, in, d, log, &seconds);
  ct_jit_free(&t.program);
  if (status == CT_OK) status = finish(r, in, o);
  if (status == CT_OK && r->step == r->total) {
    status = report_test(r->model, in, &d->test, &accuracy);
    if (status == CT_OK)
      status = write_pictures(o->out, r->model, in, &d->test, r->history, r->epochs);
    if (status == CT_OK) log_final(log, accuracy, seconds, load_seconds, ct_module_count(r->model));
  }
  if (log && fclose(log) != 0 && status == CT_OK)
    status = ct_error_set(CT_EIO, "%s: cannot be written", o->log);
  return status;
}

static ct_status use_network(const run *r, const input *in, const data *d, const options *o) {
  if (o->n_images > 0) return CT_OK;
  ct_status status = report_test(r->model, in, &d->test, NULL);
  return status == CT_OK ? write_pictures(o->out, r->model, in, &d->test, NULL, 0) : status;
}

static ct_status run_trainer(options *o, run *r, input *in, data *d, ct_archive **file) {
  const double begin = now();
  const char *path = o->load ? o->load : o->resume;
  const bool with_data = !o->load || o->n_images == 0;
  ct_status status = o->threads ? ct_set_threads((int)o->threads) : CT_OK;
  if (status == CT_OK && path) status = (*file = ct_archive_load(path)) ? CT_OK : ct_error_code();
  if (status == CT_OK && path) status = options_restore(o, *file, path);
  if (status == CT_OK && path) status = input_restore(in, *file, path);
  if (status == CT_OK && with_data) status = data_load(d, o);
  if (status == CT_OK && with_data) status = path ? input_check(in, d, path) : input_fit(in, d, o);
  if (status == CT_OK) status = check_paths(o);
  if (status == CT_OK) status = set_up(r, in, d, o, *file);
  if (status == CT_OK)
    status = o->load ? use_network(r, in, d, o) : train_and_report(r, in, d, o, now() - begin);
  for (int i = 0; i < o->n_images && status == CT_OK && !interrupted(); i++)
    status = predict_file(r->model, in, o->images[i]);
  return status;
}

int main(int argc, char **argv) {
  options o;
  const parse_result parsed = options_parse(&o, argc, argv);
  if (parsed != PARSE_OK) return parsed == PARSE_HELP ? 0 : 2;

  run r = {0};
  input in = {0};
  data d = {0};
  ct_archive *file = NULL;
  ct_status status = run_trainer(&o, &r, &in, &d, &file);
  if (status == CT_OK && (fflush(stdout) != 0 || ferror(stdout)))
    status = ct_error_set(CT_EIO, "cannot print to stdout");
  if (status != CT_OK) fprintf(stderr, "train: %s\n", ct_error_message());

  ct_optim_free(&r.optim);
  ct_module_free(&r.model);
  ct_archive_free(&r.best);
  ct_archive_free(&file);
  free(r.history);
  input_free(&in);
  data_free(&d);
  return status != CT_OK;
}
