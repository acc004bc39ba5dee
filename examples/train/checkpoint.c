/* checkpoint.c - one safetensors file with the network and all that training needs to go on.
 *
 * The weights have PyTorch's names ("0.weight") and are the ones to use: with --val the best ones
 * so far. Training goes on from "current/0.weight" then. "optim/..." is the optimizer's, the rest
 * is in the texts and in "history", a row for each epoch. Nothing in the file depends on the clock.
 */
#include "train.h"

#include <stdlib.h>
#include <string.h>

/* ---- the best weights ------------------------------------------------------------------------ */

ct_status keep_best(run *r, double loss, double accuracy) {
  const bool better = !r->best || accuracy > r->best_accuracy ||
                      (accuracy == r->best_accuracy && loss < r->best_loss);
  if (!better) return CT_OK;
  ct_archive *weights = ct_archive_new();
  ct_status status = weights ? ct_module_store(r->model, weights) : ct_error_code();
  if (status != CT_OK) {
    ct_archive_free(&weights);
    return status;
  }
  ct_archive_free(&r->best);
  r->best = weights;
  r->best_loss = loss;
  r->best_accuracy = accuracy;
  return CT_OK;
}

/* ---- saving ---------------------------------------------------------------------------------- */

static const char *current_name(const char *name, char text[64]) {
  snprintf(text, 64, "current/%s", name);
  return text;
}

static ct_status store_current(const ct_member_info *info, void *archive) {
  char name[64];
  return ct_archive_add(archive, current_name(info->name, name), info->tensor);
}

static ct_status store_weights(const run *r, ct_archive *a) {
  if (!r->best) return ct_module_store(r->model, a);
  for (int i = 0; i < ct_archive_count(r->best); i++) {
    const char *name = ct_archive_name(r->best, i);
    ct_status status = ct_archive_add(a, name, ct_archive_get(r->best, name));
    if (status != CT_OK) return status;
  }
  return ct_module_each(r->model, store_current, a);
}

static ct_status store_state(const run *r, ct_archive *a) {
  char text[120];
  snprintf(text, sizeof text, "%lld %.17g", (long long)r->step, r->loss_sum);
  ct_status status = ct_archive_set_text(a, "step", text);
  snprintf(text, sizeof text, "%d", r->epochs);
  if (status == CT_OK) status = ct_archive_set_text(a, "epoch", text);
  snprintf(text, sizeof text, "%.17g %.17g", r->best_loss, r->best_accuracy);
  if (status == CT_OK && r->best) status = ct_archive_set_text(a, "best", text);
  if (status != CT_OK) return status;
  return ct_archive_add(a, "train/history", ct_from(CT_F64, CT_SHAPE(r->epochs, 3), r->history));
}

ct_status checkpoint_save(run *r, const input *in, const options *o) {
  ct_scope scope = ct_scope_begin();
  ct_archive *a = ct_archive_new();
  ct_status status = a ? store_weights(r, a) : ct_error_code();
  if (status == CT_OK) status = ct_optim_store(r->optim, a);
  if (status == CT_OK) status = store_state(r, a);
  if (status == CT_OK) status = input_store(in, a);
  if (status == CT_OK) status = options_store(o, a);
  if (status == CT_OK) status = ct_archive_save(a, o->save);
  ct_archive_free(&a);
  ct_scope_end(scope);
  r->saved = now();
  return status;
}

/* ---- restoring ------------------------------------------------------------------------------- */

static ct_status restore_current(const ct_member_info *info, void *payload) {
  const ct_archive *const *a = payload;
  char name[64];
  return ct_assign(info->tensor, ct_archive_get(*a, current_name(info->name, name)));
}

/* The best weights into r->best, the current ones into the model. */
static ct_status restore_best(run *r, const ct_archive *a, const char *text) {
  double loss, accuracy;
  if (sscanf(text, "%lf %lf", &loss, &accuracy) != 2)
    return ct_error_set(CT_EFORMAT, "the checkpoint's text \"best\" is damaged");
  ct_status status = keep_best(r, loss, accuracy);
  return status == CT_OK ? ct_module_each(r->model, restore_current, &a) : status;
}

static ct_status restore_history(run *r, const ct_archive *a) {
  const char *step = ct_archive_text(a, "step");
  ct_tensor *history = ct_archive_get(a, "train/history");
  if (ct_is_nil(history)) return ct_error_code();
  long long steps;
  if (!step || sscanf(step, "%lld %lf", &steps, &r->loss_sum) != 2 || steps < 0 ||
      ct_dtype_of(history) != CT_F64 || ct_ndim(history) != 2 || ct_dim(history, 1) != 3 ||
      ct_dim(history, 0) != steps / r->per_epoch)
    return ct_error_set(CT_EFORMAT, "the checkpoint does not fit the training data, or is damaged");
  if (steps > r->total)
    return ct_error_set(CT_EARG, "--epochs: the checkpoint has %lld already",
                        steps / (long long)r->per_epoch);
  r->step = steps;
  r->epochs = (int)ct_dim(history, 0);
  return ct_copy_out(history, r->history, (size_t)r->epochs * sizeof *r->history);
}

ct_status checkpoint_restore(run *r, const ct_archive *a) {
  ct_scope scope = ct_scope_begin();
  const char *best = ct_archive_text(a, "best");
  ct_status status = restore_history(r, a);
  if (status == CT_OK) status = ct_optim_restore(r->optim, a);
  if (status == CT_OK && best) status = restore_best(r, a, best);
  ct_scope_end(scope);
  return status;
}
