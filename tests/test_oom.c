/* Each allocation of a piece of work fails in turn, once or from then on, in the library and in
 * what it is built on. Each time: an error or the right result, no crash, nothing lost. OpenBLAS's
 * own buffers are taken before the first failure: it ends the process without them. */
#include "testing.h"

#include "failing_malloc.h"

#include <cotangent.h>
#include <glob.h>
#include <sys/stat.h>

#include "datasets/datasets_internal.h"

enum { RESULT = 1 << 14 };

/* What the work of a test reads, made while nothing fails; what it found goes to result. */
static struct {
  ct_module *mlp;
  ct_optim *optim;
  ct_tensor *x, *labels;
  ct_function *function;
  char dir[TEMP_PATH], path[TEMP_PATH + 32], images[TEMP_PATH + 32], png[TEMP_PATH + 32];
  char csv[TEMP_PATH + 32], npy[TEMP_PATH + 32], weights[TEMP_PATH + 32], idx[TEMP_PATH + 32];
} f;

static struct {
  size_t n;
  char at[RESULT];
} result;

static void note(const void *bytes, size_t n) {
  assert_true(result.n + n <= RESULT);
  memcpy(result.at + result.n, bytes, n);
  result.n += n;
}

/* A tensor as a status; its numbers go to the result. Big ones are too much to compare. */
static ct_status seen(const ct_tensor *t) {
  if (ct_is_nil(t)) return ct_error_code();
  size_t bytes = (size_t)ct_size(t) * ct_dtype_size(ct_dtype_of(t));
  if (bytes > 4096) return CT_OK;
  char copy[4096];
  ct_status status = ct_copy_out(t, copy, bytes);
  if (status == CT_OK) note(copy, bytes);
  return status;
}

static ct_status pointer(const void *p) { return p ? CT_OK : ct_error_code(); }

/* ---- the work -------------------------------------------------------------------------------- */

static ct_tensor *mlp_loss(void) { return ct_cross_entropy(ct_forward(f.mlp, f.x), f.labels); }

static ct_status step(void) {
  ct_list params = ct_optim_params(f.optim);
  ct_tensor *g[8];
  double value;
  ct_status status = ct_value_and_grad(mlp_loss(), params, &value, g);
  if (status != CT_OK) return status;
  status = ct_optim_step(f.optim, (ct_list){params.n, g});
  return status;
}

/* Gradients in the parameters' own memory are copied first. */
static ct_status step_on_itself(void) { return ct_optim_step(f.optim, ct_optim_params(f.optim)); }

static ct_status minimize(void) { return ct_optim_minimize(f.optim, mlp_loss(), NULL); }

static ct_status clipped_step(void) {
  ct_list params = ct_optim_params(f.optim);
  ct_tensor *g[8], *norm;
  ct_status status = ct_grad(mlp_loss(), params, g);
  if (status == CT_OK) status = ct_clip_grad_norm((ct_list){params.n, g}, 0.1, g, &norm);
  if (status == CT_OK) status = ct_clip_grad_value((ct_list){params.n, g}, 0.05, g);
  return status == CT_OK ? ct_optim_step(f.optim, (ct_list){params.n, g}) : status;
}

static ct_module *build(void) {
  ct_tensor *key = ct_key(3);
  return ct_nn_sequential(CT_MODULES(ct_nn_linear(ct_key_fold(key, 0), 6, 5, (ct_linear_opts){0}),
                                     ct_nn_tanh(), ct_nn_dropout(ct_key_fold(key, 1), 0.3),
                                     ct_nn_linear(ct_key_fold(key, 2), 5, 3, (ct_linear_opts){0})));
}

static ct_status make_model(void) {
  ct_module *m = build();
  ct_optim *o = m ? ct_adamw(ct_module_params(m), (ct_adam_opts){.lr = 0.01}) : NULL;
  ct_status status = pointer(o);
  if (o) {
    ct_tensor *more = ct_variable(ct_ones(CT_F64, CT_SHAPE(3)));
    status = ct_optim_add_group(o, CT_LIST(more), (ct_group_opts){.no_decay = true});
    ct_release(&more);
  }
  if (status == CT_OK) status = seen(ct_forward(m, f.x));
  ct_optim_free(&o);
  ct_module_free(&m);
  return status;
}

static ct_status second_order(void) {
  ct_tensor *x = ct_variable(ct_linspace(CT_F64, 0.1, 0.9, 4)), *g, *h;
  ct_tensor *y = ct_sum(ct_mul(ct_tanh(x), ct_exp(ct_log_softmax(x, 0))), CT_ALL, false);
  ct_status status = ct_grad(y, CT_LIST(x), &g);
  if (status == CT_OK) status = ct_grad(ct_sum(ct_square(g), CT_ALL, false), CT_LIST(x), &h);
  if (status == CT_OK) status = seen(h);
  if (status == CT_OK) status = seen(ct_jvp(g, x, ct_ones(CT_F64, CT_SHAPE(4))));
  if (status == CT_OK)
    status = seen(ct_vjp(ct_jvp(y, x, ct_ones(CT_F64, CT_SHAPE(4))), x, ct_scalar(CT_F64, 1)));
  ct_release(&x);
  return status;
}

static ct_status functions(void) {
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(4, 6)), *v = ct_variable(f.x), *y[2], *g, *z[2];
  ct_function *fn = ct_function_new(
      CT_LIST(x), CT_LIST(ct_forward(f.mlp, x), ct_sum(ct_square(x), CT_ALL, false)));
  ct_status status = pointer(fn);
  if (status == CT_OK) status = ct_function_run(fn, CT_LIST(f.x), y);
  if (status == CT_OK) status = seen(y[0]);
  if (status == CT_OK) status = ct_call_function(fn, CT_LIST(v), z);
  if (status == CT_OK) status = ct_grad(ct_add(z[1], ct_max(z[0], CT_ALL, false)), CT_LIST(v), &g);
  if (status == CT_OK) status = seen(g);
  if (status == CT_OK) status = ct_call_function(fn, CT_LIST(x), z); /* symbolic */
  ct_function_release(&fn);
  ct_release(&v);
  return status;
}

static ct_status derivatives_of_derivatives(void) {
  ct_tensor *x = ct_variable(ct_linspace(CT_F64, 0.1, 0.9, 3)), *v = ct_ones(CT_F64, CT_SHAPE(3));
  ct_tensor *y = ct_mul(ct_sin(x), ct_sum(ct_exp(x), CT_ALL, true)),
            *loss = ct_sum(ct_square(y), CT_ALL, false), *hv;
  ct_status status = seen(ct_jacobian(y, x, CT_JACOBIAN_FORWARD));
  if (status == CT_OK) status = seen(ct_jacobian(y, x, CT_JACOBIAN_REVERSE));
  if (status == CT_OK) status = seen(ct_hessian(loss, x));
  if (status == CT_OK) status = ct_hvp(loss, CT_LIST(x), CT_LIST(v), &hv);
  if (status == CT_OK) status = seen(hv);
  if (status == CT_OK) status = ct_ggn_vp(loss, y, CT_LIST(x), CT_LIST(v), &hv);
  if (status == CT_OK) status = seen(hv);
  if (status == CT_OK) status = seen(ct_directional(y, x, v, 3));
  ct_release(&x);
  return status;
}

static ct_status linear_maps(void) {
  ct_tensor *x = ct_variable(ct_linspace(CT_F64, 0.1, 0.9, 3)), *y = ct_softmax(x, 0), *out;
  ct_tensor *batch = ct_ones(CT_F64, CT_SHAPE(4, 3));
  ct_function *f_dx = ct_linearize(CT_LIST(y), CT_LIST(x)), *f_gy = NULL;
  ct_status status = pointer(f_dx);
  if (status == CT_OK) status = ct_function_run(f_dx, CT_LIST(ct_ones(CT_F64, CT_SHAPE(3))), &out);
  if (status == CT_OK) status = seen(out);
  if (status == CT_OK) status = pointer(f_gy = ct_transpose_linear(f_dx));
  if (status == CT_OK) status = ct_function_run(f_gy, CT_LIST(ct_ones(CT_F64, CT_SHAPE(3))), &out);
  if (status == CT_OK) status = seen(out);
  if (status == CT_OK)
    status = ct_vmap(CT_LIST(y), CT_LIST(x), CT_LIST(batch), (ct_vmap_opts){0}, &out);
  if (status == CT_OK) status = seen(out);
  ct_function_release(&f_dx);
  ct_function_release(&f_gy);
  ct_release(&x);
  return status;
}

static ct_tensor *checked(ct_list x, void *payload) {
  (void)payload;
  return ct_matmul(ct_sin(x.at[0]), x.at[1]);
}

static ct_status gradients_checked(void) {
  ct_tensor *key = ct_key(5);
  return ct_gradcheck(checked, NULL,
                      CT_LIST(ct_randn(key, CT_F64, CT_SHAPE(2, 2)),
                              ct_randn(ct_key_fold(key, 1), CT_F64, CT_SHAPE(2))),
                      (ct_gradcheck_opts){0}, NULL);
}

static ct_status drawing(void) {
  static char text[8192];
  memset(text, 0, sizeof text);
  FILE *out = fmemopen(text, sizeof text, "w");
  if (!out) return ct_error_set(CT_ENOMEM, "no stream");
  ct_status status = ct_graph_dot(out, CT_LIST(mlp_loss()), CT_NONE, CT_NONE);
  if (status == CT_OK) status = ct_module_print_with(out, f.mlp, CT_F32, CT_SHAPE(1, 6));
  if (status == CT_OK) status = ct_print(out, f.x);
  if (fclose(out) != 0 && status == CT_OK) status = ct_error_set(CT_EIO, "lost");
  if (status == CT_OK) note(text, sizeof text);
  return status;
}

static ct_status shapes(void) {
  ct_tensor *x = ct_variable(f.x), *where, *part[2], *g;
  ct_tensor *y = ct_concat(CT_LIST(x, ct_flip(x, CT_AXES(0)), ct_pad(x, 0, 1, 1)), 0);
  y = ct_stack(CT_LIST(y, ct_sort(y, 0, false, &where)), 1);
  y = ct_gather(ct_reshape(y, CT_SHAPE(-1, 6)), ct_argsort(f.labels, 0, false), 0);
  ct_status status = ct_split(y, 1, 2, part);
  if (status == CT_OK) status = seen(where);
  if (status == CT_OK) status = seen(ct_one_hot(f.labels, 3, CT_F32));
  if (status == CT_OK) status = seen(ct_permutation(ct_key(1), 9));
  if (status == CT_OK) status = seen(ct_scatter_add(x, f.labels, f.x, 0));
  if (status == CT_OK) {
    ct_tensor *loss =
        ct_add(ct_prod(ct_shift(part[0], 2), CT_ALL, false),
               ct_logsumexp(ct_where(ct_gt(part[1], part[0]), part[1], part[0]), CT_ALL, false));
    status = ct_grad(loss, CT_LIST(x), &g);
  }
  if (status == CT_OK) status = seen(g);
  ct_release(&x);
  return status;
}

/* ---- files ----------------------------------------------------------------------------------- */

static ct_status dataset_seen(ct_status status, ct_dataset *d) {
  if (status == CT_OK) status = seen(d->x);
  if (status == CT_OK && d->labels) status = seen(d->labels);
  for (int i = 0; status == CT_OK && i < d->classes.n; i++)
    note(d->classes.at[i], strlen(d->classes.at[i]));
  ct_dataset_free(d);
  return status;
}

static ct_status read_digits(void) {
  ct_dataset train, test;
  ct_status status = ct_dataset_digits(&train, &test);
  status = dataset_seen(status, &train);
  return dataset_seen(status, &test);
}

static ct_status read_idx(void) {
  ct_dataset d;
  return dataset_seen(ct_dataset_idx(&d, f.idx, f.path), &d);
}

static ct_status read_csv(void) {
  ct_dataset d;
  return dataset_seen(ct_dataset_csv(&d, f.csv, (ct_csv_opts){.label = "kind"}), &d);
}

static ct_status read_folder(void) {
  ct_dataset d;
  const ct_folder_opts opts = {.channels = 3, .height = 5, .width = 4};
  return dataset_seen(ct_dataset_folder(&d, f.images, opts), &d);
}

static ct_status work_on_data(void) {
  ct_dataset d = {.x = f.x, .labels = f.labels}, a, b;
  ct_standardizer scale = {0};
  ct_tensor *x, *labels;
  ct_status status = ct_dataset_split(&a, &b, &d, 0.5, (ct_split_opts){.seed = 1});
  if (status == CT_OK) status = ct_standardizer_fit(&scale, a.x, true);
  if (status == CT_OK) status = seen(ct_standardize(&scale, b.x));
  ct_loader_opts opts = {.batch = 2, .shuffle = true, .standardizer = &scale};
  ct_loader *loader = status == CT_OK ? ct_loader_new(&d, opts) : NULL;
  if (status == CT_OK) status = pointer(loader);
  while (status == CT_OK && ct_loader_next(loader, &x, &labels)) {
    status = seen(x);
    if (status == CT_OK) status = seen(labels);
  }
  ct_loader_free(&loader);
  ct_standardizer_free(&scale);
  ct_dataset_free(&b);
  return dataset_seen(status, &a);
}

static ct_status read_npy(void) { return seen(ct_npy_read(f.npy)); }
static ct_status write_npy(void) { return ct_npy_write(f.npy, ct_transpose(f.x, 0, 1)); }

static ct_status prepare_image(void) {
  ct_tensor *image = ct_image_load(f.png, 1);
  ct_status status = seen(ct_image_resize(image, 9, 5));
  return status == CT_OK ? seen(ct_image_like_mnist(image, 28)) : status;
}

static ct_status write_png(void) {
  return ct_image_write_png(f.png, ct_image_resize(ct_ones(CT_U8, CT_SHAPE(9, 8, 3)), 20, 20));
}

static ct_status save_weights(void) { return ct_module_save(f.mlp, f.weights); }

static ct_status load_weights(void) {
  ct_module *m = build();
  ct_status status = m ? ct_module_load(m, f.weights, (ct_restore_opts){0}) : ct_error_code();
  if (status == CT_OK) status = seen(ct_module_get(m, "3.weight"));
  ct_module_free(&m);
  return status;
}

static ct_status checkpoint(void) {
  ct_archive *a = ct_archive_new(), *b = NULL;
  ct_status status = a ? ct_module_store(f.mlp, a) : ct_error_code();
  if (status == CT_OK) status = ct_optim_store(f.optim, a);
  if (status == CT_OK) status = ct_archive_set_text(a, "note", "kept");
  if (status == CT_OK) status = ct_archive_set_text(a, "note", "kept again");
  if (status == CT_OK) status = ct_archive_save(a, f.weights);
  if (status == CT_OK) status = pointer(b = ct_archive_load(f.weights));
  if (status == CT_OK) status = ct_optim_restore(f.optim, b);
  if (status == CT_OK) status = seen(ct_archive_get(b, "0.weight"));
  if (status == CT_OK) note(ct_archive_text(b, "note"), 10);
  ct_archive_free(&a);
  ct_archive_free(&b);
  return status;
}

/* ---- the stage ------------------------------------------------------------------------------- */

static void put(const char *path, const void *bytes, size_t n) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, n, file), n);
  assert_int_equal(fclose(file), 0);
}

static void name_file(char path[TEMP_PATH + 32], const char *name) {
  snprintf(path, TEMP_PATH + 32, "%s/%s", f.dir, name);
}

static void make_files(void) {
  static const char csv[] = "a,kind,b\n1,\"two, \"\"three\"\"\",3\n4,five,6.5\n-1e3,five,0\n";
  char path[TEMP_PATH + 64];
  temp_dir(f.dir);
  name_file(f.idx, "images.gz");
  name_file(f.path, "labels.gz");
  name_file(f.csv, "table.csv");
  name_file(f.npy, "numbers.npy");
  name_file(f.png, "image.png");
  name_file(f.weights, "weights.safetensors");
  name_file(f.images, "images");
  put(f.idx, ct__digits_test_images_gz, ct__digits_test_images_gz_size);
  put(f.path, ct__digits_test_labels_gz, ct__digits_test_labels_gz_size);
  put(f.csv, csv, sizeof csv - 1);
  assert_ok(ct_npy_write(f.npy, f.x));
  ct_tensor *image = ct_cast(ct_arange(CT_I32, 0, 99, 1), CT_U8);
  assert_ok(ct_image_write_png(f.png, ct_reshape(image, CT_SHAPE(9, 11))));
  assert_int_equal(mkdir(f.images, 0777), 0);
  for (int k = 0; k < 4; k++) {
    snprintf(path, sizeof path, "%s/%s", f.images, k < 2 ? "cats" : "dogs");
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%d.png", f.images, k < 2 ? "cats" : "dogs", k);
    assert_ok(ct_image_write_png(path, ct_reshape(image, CT_SHAPE(9, 11))));
  }
  ct_module *m = build();
  assert_non_null(m);
  assert_ok(ct_module_save(m, f.weights));
  ct_module_free(&m);
}

static ct_scope stage;

static int setup(void **state) {
  (void)state;
  stage = ct_scope_begin();
  ct_tensor *key = ct_key(1);
  f.x = ct_randn(key, CT_F32, CT_SHAPE(4, 6));
  f.labels = ct_from(CT_I32, CT_SHAPE(4), (const int32_t[]){0, 2, 1, 1});
  f.mlp = ct_nn_sequential(
      CT_MODULES(ct_nn_linear(ct_key_fold(key, 1), 6, 5, (ct_linear_opts){0}), ct_nn_sigmoid(),
                 ct_nn_linear(ct_key_fold(key, 2), 5, 3, (ct_linear_opts){0})));
  assert_non_null(f.mlp);
  f.optim = ct_sgd(ct_module_params(f.mlp), (ct_sgd_opts){.lr = 0.1, .momentum = 0.9});
  assert_non_null(f.optim);
  make_files();
  return 0;
}

static int teardown(void **state) {
  (void)state;
  ct_optim_free(&f.optim);
  ct_module_free(&f.mlp);
  temp_dir_remove(f.dir);
  return ct_scope_end(stage);
}

/* ---- one failure after the other ------------------------------------------------------------- */

/* Parameters and optimizer state as they are now. */
static size_t training_state(char *to) {
  ct_archive *a = ct_archive_new();
  assert_non_null(a);
  assert_ok(ct_module_store(f.mlp, a));
  assert_ok(ct_optim_store(f.optim, a));
  result.n = 0;
  for (int i = 0; i < ct_archive_count(a); i++)
    assert_ok(seen(ct_archive_get(a, ct_archive_name(a, i))));
  ct_archive_free(&a);
  memcpy(to, result.at, result.n);
  return result.n;
}

static void restore(const ct_archive *a) {
  assert_ok(ct_module_restore(f.mlp, a, (ct_restore_opts){.partial = true}));
  assert_ok(ct_optim_restore(f.optim, a));
}

static struct {
  size_t bytes, n;
  char before[RESULT], after[RESULT], found[RESULT];
} want;

/* The work with allocation k failing; true if one has failed. */
static bool attempt(ct_status (*work)(void), const ct_archive *start, long k, bool lasting) {
  static char now[RESULT];
  restore(start);
  ct_cache_flush();
  long live = heap_live();
  ct_scope scope = ct_scope_begin();
  result.n = 0;
  heap_fail_at(k, lasting);
  ct_status status = work();
  bool struck = heap_fail_end();
  if (status != CT_OK && (!struck || !ct_error_code() || !*ct_error_message())) {
    print_error("allocation %ld: status %d, \"%s\"\n", k, (int)status, ct_error_message());
    fail();
  }
  if (status == CT_OK) {
    assert_int_equal(result.n, want.n);
    assert_memory_equal(result.at, want.found, want.n);
  }
  ct_error_clear();
  assert_ok(ct_scope_end(scope));
  ct_cache_flush();
  if (heap_live() != live) {
    print_error("allocation %ld: %ld blocks were lost\n", k, heap_live() - live);
    fail();
  }
  training_state(now);
  assert_memory_equal(now, status == CT_OK ? want.after : want.before, want.bytes);
  return struck;
}

static void exhaust(ct_status (*work)(void)) {
  if (!heap_watched()) skip();
  ct_archive *start = ct_archive_new();
  assert_ok(ct_module_store(f.mlp, start));
  assert_ok(ct_optim_store(f.optim, start));
  want.bytes = training_state(want.before);
  for (int warm = 0; warm < 2; warm++) { /* also what other libraries allocate once */
    restore(start);
    ct_scope scope = ct_scope_begin();
    result.n = 0;
    assert_ok(work());
    assert_ok(ct_scope_end(scope));
    memcpy(want.found, result.at, want.n = result.n);
  }
  training_state(want.after);
  for (int mode = 0; mode < 3; mode++) {
    ct_cache_limit(mode < 2 ? 0 : (size_t)1 << 20);
    long k = 1;
    while (attempt(work, start, k, mode == 1)) k++;
    assert_true(k > 1);
  }
  ct_cache_limit((size_t)512 << 20);
  restore(start);
  ct_archive_free(&start);
}

#define EXHAUST(name)                                                                              \
  static void test_##name(void **state) {                                                          \
    (void)state;                                                                                   \
    exhaust(name);                                                                                 \
  }
EXHAUST(step)
EXHAUST(step_on_itself)
EXHAUST(minimize)
EXHAUST(clipped_step)
EXHAUST(make_model)
EXHAUST(second_order)
EXHAUST(functions)
EXHAUST(derivatives_of_derivatives)
EXHAUST(linear_maps)
EXHAUST(gradients_checked)
EXHAUST(drawing)
EXHAUST(shapes)
EXHAUST(read_digits)
EXHAUST(read_csv)
EXHAUST(read_folder)
EXHAUST(work_on_data)
EXHAUST(read_npy)
EXHAUST(write_npy)
EXHAUST(prepare_image)
EXHAUST(write_png)
EXHAUST(save_weights)
EXHAUST(load_weights)
EXHAUST(checkpoint)

/* Files are read by several threads, blocks counted by each. */
static void test_read_idx(void **state) {
  (void)state;
  const int threads = ct_threads();
  assert_ok(ct_set_threads(1));
  exhaust(read_idx);
  assert_ok(ct_set_threads(threads));
}

/* The step again with every other optimizer. */
static void test_step_of_each_optimizer(void **state) {
  (void)state;
  const ct_list params = ct_module_params(f.mlp);
  for (int k = 0; k < 4; k++) {
    ct_optim_free(&f.optim);
    f.optim = k == 0   ? ct_sgd(params, (ct_sgd_opts){.lr = 0.1})
              : k == 1 ? ct_sgd(params, (ct_sgd_opts){.lr = 0.1, .momentum = 0.9, .nesterov = true})
              : k == 2 ? ct_adam(params, (ct_adam_opts){.lr = 0.01})
                       : ct_adamw(params, (ct_adam_opts){.lr = 0.01});
    assert_non_null(f.optim);
    exhaust(step);
  }
}

/* A save that fails leaves the old file, and nothing beside it. */
static void test_failed_saves_leave_the_old_file(void **state) {
  (void)state;
  if (!heap_watched()) skip();
  struct stat old, now;
  assert_int_equal(stat(f.weights, &old), 0);
  ct_cache_limit(0);
  for (long k = 1;; k++) {
    heap_fail_at(k, false);
    ct_status status = save_weights();
    bool struck = heap_fail_end();
    assert_int_equal(stat(f.weights, &now), 0);
    if (status != CT_OK) assert_true(old.st_ino == now.st_ino && old.st_size == now.st_size);
    ct_error_clear();
    if (!struck) break;
  }
  ct_cache_limit((size_t)512 << 20);
  char pattern[TEMP_PATH + 64];
  glob_t found;
  snprintf(pattern, sizeof pattern, "%s/*.??????", f.dir);
  assert_int_equal(glob(pattern, 0, NULL, &found), GLOB_NOMATCH);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_step, setup, teardown),
      cmocka_unit_test_setup_teardown(test_step_on_itself, setup, teardown),
      cmocka_unit_test_setup_teardown(test_minimize, setup, teardown),
      cmocka_unit_test_setup_teardown(test_clipped_step, setup, teardown),
      cmocka_unit_test_setup_teardown(test_make_model, setup, teardown),
      cmocka_unit_test_setup_teardown(test_second_order, setup, teardown),
      cmocka_unit_test_setup_teardown(test_functions, setup, teardown),
      cmocka_unit_test_setup_teardown(test_derivatives_of_derivatives, setup, teardown),
      cmocka_unit_test_setup_teardown(test_linear_maps, setup, teardown),
      cmocka_unit_test_setup_teardown(test_gradients_checked, setup, teardown),
      cmocka_unit_test_setup_teardown(test_drawing, setup, teardown),
      cmocka_unit_test_setup_teardown(test_shapes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_read_digits, setup, teardown),
      cmocka_unit_test_setup_teardown(test_read_idx, setup, teardown),
      cmocka_unit_test_setup_teardown(test_read_csv, setup, teardown),
      cmocka_unit_test_setup_teardown(test_read_folder, setup, teardown),
      cmocka_unit_test_setup_teardown(test_work_on_data, setup, teardown),
      cmocka_unit_test_setup_teardown(test_read_npy, setup, teardown),
      cmocka_unit_test_setup_teardown(test_write_npy, setup, teardown),
      cmocka_unit_test_setup_teardown(test_prepare_image, setup, teardown),
      cmocka_unit_test_setup_teardown(test_write_png, setup, teardown),
      cmocka_unit_test_setup_teardown(test_save_weights, setup, teardown),
      cmocka_unit_test_setup_teardown(test_load_weights, setup, teardown),
      cmocka_unit_test_setup_teardown(test_checkpoint, setup, teardown),
      cmocka_unit_test_setup_teardown(test_step_of_each_optimizer, setup, teardown),
      cmocka_unit_test_setup_teardown(test_failed_saves_leave_the_old_file, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
