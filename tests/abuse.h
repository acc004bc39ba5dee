/* abuse.h - a stage for bad calls: good arguments of every kind, and a watch on what is printed and
 * what is lost. */
#ifndef COTANGENT_ABUSE_H
#define COTANGENT_ABUSE_H

#include "testing.h"

#include "failing_malloc.h"

#include <cotangent.h>
#include <fcntl.h>
#include <unistd.h>

enum { MANY = 3 };
#define TERA ((int64_t)1 << 40)

/* What a test needs beside the bad argument. */
static struct {
  ct_scope scope;
  ct_tensor *a, *d, *i, *b, *u, *key;  /* f32 (2,3), f64 (2,3), i32 (2), bool (2,3), u8 (2,3) */
  ct_tensor *symbol, *huge, *v, *loss; /* f32 (2,3) without a value, 2^40 elements, a variable */
  ct_module *module;
  ct_optim *optim;
  ct_archive *archive;
  ct_function *function;
  ct_loader *loader;
  ct_dataset data;
  ct_standardizer standard;
  ct_tensor *out[MANY];
  double number;
  FILE *sink; /* for what prints when asked */
  char dir[TEMP_PATH], file[TEMP_PATH + 8];
} f;

/* ---- nothing printed, nothing lost ----------------------------------------------------------- */

static int real_out, real_err, captured = -1;
static long live_before;

static inline void capture(void) {
  char path[] = "/tmp/cotangent-output-XXXXXX";
  fflush(stdout);
  real_out = dup(1);
  real_err = dup(2);
  captured = mkstemp(path);
  unlink(path);
  dup2(captured, 1);
  dup2(captured, 2);
}

/* What was printed meanwhile goes where it should have gone; true if there was none. */
static inline bool capture_end(void) {
  char text[4096];
  fflush(stdout);
  dup2(real_out, 1);
  dup2(real_err, 2);
  close(real_out);
  close(real_err);
  ssize_t n, total = 0;
  lseek(captured, 0, SEEK_SET);
  while ((n = read(captured, text, sizeof text)) > 0 && write(2, text, (size_t)n) == n) total += n;
  close(captured);
  return total == 0;
}

static inline int setup(void **state) {
  (void)state;
  ct_error_clear();
  ct_scope first = ct_scope_begin();
  ct_zeros(CT_F32, CT_SHAPE(1 << 18)); /* starts the workers: they stay */
  ct_scope_end(first);                 /* as do the lists of this thread */
  ct_cache_flush();
  live_before = heap_live();
  f.scope = ct_scope_begin();
  const ct_shape shape = CT_SHAPE(2, 3);
  f.a = ct_ones(CT_F32, shape);
  f.d = ct_ones(CT_F64, shape);
  f.b = ct_ones(CT_BOOL, shape);
  f.u = ct_ones(CT_U8, shape);
  f.i = ct_zeros(CT_I32, CT_SHAPE(2));
  f.key = ct_key(1);
  f.symbol = ct_placeholder(CT_F32, shape);
  f.huge = ct_broadcast_to(ct_ones(CT_F32, CT_SHAPE(1)), CT_SHAPE(TERA));
  f.v = ct_variable(f.a);
  f.loss = ct_sum(ct_square(f.v), CT_ALL, false);
  f.module = ct_nn_linear(f.key, 3, 2, (ct_linear_opts){0});
  f.optim = ct_sgd(CT_LIST(f.v), (ct_sgd_opts){.lr = 0.1});
  f.archive = ct_archive_new();
  f.function = ct_function_new(CT_LIST(f.symbol), CT_LIST(ct_neg(f.symbol)));
  f.data = (ct_dataset){.x = f.a, .labels = f.i};
  f.loader = ct_loader_new(&f.data, (ct_loader_opts){.batch = 1});
  f.standard = (ct_standardizer){ct_ones(CT_F32, CT_SCALAR), ct_ones(CT_F32, CT_SCALAR)};
  f.sink = fopen("/dev/null", "w");
  temp_dir(f.dir);
  snprintf(f.file, sizeof f.file, "%s/file", f.dir);
  bool ready =
      f.module && f.optim && f.archive && f.function && f.loader && f.sink && !ct_error_code();
  capture();
  return ready ? 0 : -1;
}

static inline int teardown(void **state) {
  (void)state;
  bool silent = capture_end();
  ct_release(&f.v);
  ct_module_free(&f.module);
  ct_optim_free(&f.optim);
  ct_archive_free(&f.archive);
  ct_function_release(&f.function);
  ct_loader_free(&f.loader);
  fclose(f.sink);
  temp_dir_remove(f.dir);
  ct_scope_end(f.scope);
  ct_error_clear();
  ct_cache_flush();
  long lost = heap_watched() ? heap_live() - live_before : 0;
  if (lost) print_error("%ld blocks were lost\n", lost);
  return silent && lost == 0 ? 0 : -1;
}

static inline ct_tensor *identity(ct_list x, void *payload) {
  (void)payload;
  return x.at[0];
}

/* Shuffles a dataset of these. */
static inline ct_status data_of(ct_tensor *x, ct_tensor *labels) {
  ct_dataset copy = {0}, d = {.x = x, .labels = labels};
  return ct_dataset_shuffle(&copy, &d, 1);
}

#endif
