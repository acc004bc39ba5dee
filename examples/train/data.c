/* data.c - where the examples come from, and how the network sees them. */
#include "train.h"

#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <sys/stat.h>

enum { PATH_SIZE = 4096, FOLDER_SIZE = 28 };

/* ---- folders of images ----------------------------------------------------------------------- */

/* dir/name as a path, and whether that is a folder. */
static bool is_folder(char path[PATH_SIZE], const char *dir, const char *name) {
  struct stat info;
  const int n = snprintf(path, PATH_SIZE, "%s/%s", dir, name);
  return n > 0 && n < PATH_SIZE && stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* A set of idx files has no folders in it. */
static bool holds_folders(const char *dir) {
  DIR *d = opendir(dir);
  bool found = false;
  char path[PATH_SIZE];
  for (struct dirent *entry; d && !found && (entry = readdir(d));)
    found = entry->d_name[0] != '.' && is_folder(path, dir, entry->d_name);
  if (d) closedir(d);
  return found;
}

static ct_status same_classes(const ct_dataset *a, const ct_dataset *b, const char *dir) {
  bool same = a->classes.n == b->classes.n;
  for (int i = 0; same && i < a->classes.n; i++)
    same = strcmp(a->classes.at[i], b->classes.at[i]) == 0;
  return same ? CT_OK : ct_error_set(CT_EARG, "%s: train and test have other classes", dir);
}

/* dir/train and dir/test if they are there; otherwise a fifth of the images is for testing, the
 * same ones whatever the seed. */
static ct_status load_folders(data *d, const char *dir) {
  const ct_folder_opts opts = {.height = FOLDER_SIZE, .width = FOLDER_SIZE};
  char train[PATH_SIZE], test[PATH_SIZE];
  if (is_folder(train, dir, "train") && is_folder(test, dir, "test")) {
    ct_status status = ct_dataset_folder(&d->train, train, opts);
    if (status == CT_OK) status = ct_dataset_folder(&d->test, test, opts);
    return status == CT_OK ? same_classes(&d->train, &d->test, dir) : status;
  }
  ct_dataset all;
  ct_status status = ct_dataset_folder(&all, dir, opts);
  if (status == CT_OK)
    status = ct_dataset_split(&d->train, &d->test, &all, 0.2, (ct_split_opts){.stratified = true});
  ct_dataset_free(&all);
  return status;
}

/* ---- loading --------------------------------------------------------------------------------- */

static ct_status check_images(const ct_dataset *set, const char *what) {
  if (ct_ndim(set->x) != 3 || ct_dtype_of(set->x) != CT_U8)
    return ct_error_set(CT_ESHAPE, "the %s data are no grey images", what);
  return ct_dim(set->x, 0) > 0 ? CT_OK : ct_error_set(CT_EARG, "there are no %s data", what);
}

/* Sets --val aside. */
static ct_status split_off(data *d, const options *o) {
  if (o->val == 0) return CT_OK;
  ct_dataset all = d->train;
  d->train = (ct_dataset){0};
  ct_status status =
      ct_dataset_split(&d->train, &d->val, &all, o->val,
                       (ct_split_opts){.seed = (uint64_t)o->seed, .stratified = true});
  ct_dataset_free(&all);
  return status == CT_OK ? check_images(&d->val, "validation") : status;
}

ct_status data_load(data *d, const options *o) {
  *d = (data){0};
  ct_status status = !o->data                 ? ct_dataset_digits(&d->train, &d->test)
                     : holds_folders(o->data) ? load_folders(d, o->data)
                                              : ct_dataset_mnist(&d->train, &d->test, o->data);
  if (status == CT_OK) status = check_images(&d->test, "test");
  if (status == CT_OK) status = split_off(d, o);
  return status == CT_OK ? check_images(&d->train, "training") : status;
}

void data_free(data *d) {
  ct_dataset_free(&d->train);
  ct_dataset_free(&d->val);
  ct_dataset_free(&d->test);
}

/* ---- the input of the network ---------------------------------------------------------------- */

static char *join_names(const ct_names *names) {
  size_t size = 1;
  for (int i = 0; i < names->n; i++) size += strlen(names->at[i]) + 1;
  char *text = malloc(size), *end = text;
  if (!text) {
    ct_error_set(CT_ENOMEM, "out of memory");
    return NULL;
  }
  for (int i = 0; i < names->n; i++) end += sprintf(end, "%s/", names->at[i]);
  *end = '\0';
  return text;
}

ct_status input_fit(input *in, const data *d, const options *o) {
  *in = (input){.height = ct_dim(d->train.x, 1),
                .width = ct_dim(d->train.x, 2),
                .n_classes = d->train.classes.n};
  in->as_mnist = in->height == in->width && !(o->data && holds_folders(o->data));
  in->classes = join_names(&d->train.classes);
  return in->classes ? ct_standardizer_fit(&in->standardizer, d->train.x, false) : ct_error_code();
}

void input_free(input *in) {
  ct_standardizer_free(&in->standardizer);
  free(in->classes);
  in->classes = NULL;
}

ct_status input_check(const input *in, const data *d, const char *path) {
  char *names = join_names(&d->train.classes);
  if (!names) return ct_error_code();
  const bool same = strcmp(names, in->classes) == 0 && ct_dim(d->train.x, 1) == in->height &&
                    ct_dim(d->train.x, 2) == in->width;
  free(names);
  if (same) return CT_OK;
  return ct_error_set(CT_EARG,
                      "%s was trained on other data: %d classes of %lld x %lld images; name them "
                      "with --data",
                      path, in->n_classes, (long long)in->height, (long long)in->width);
}

const char *class_name(const input *in, int i, char text[16]) {
  const char *name = in->classes;
  for (; i > 0; i--) name = strchr(name, '/') + 1;
  snprintf(text, 16, "%.*s", (int)strcspn(name, "/"), name);
  return text;
}

/* ---- in a checkpoint ------------------------------------------------------------------------- */

static ct_status store_text(ct_archive *a, const char *key, const char *format, double x,
                            double y) {
  char text[80];
  snprintf(text, sizeof text, format, x, y);
  return ct_archive_set_text(a, key, text);
}

ct_status input_store(const input *in, ct_archive *a) {
  double mean, scale;
  ct_status status = ct_item(in->standardizer.mean, &mean);
  if (status == CT_OK) status = ct_item(in->standardizer.scale, &scale);
  if (status == CT_OK) status = store_text(a, "input.standardise", "%.9g %.9g", mean, scale);
  if (status == CT_OK)
    status = store_text(a, "input.size", "%.0f %.0f", (double)in->height, (double)in->width);
  if (status == CT_OK)
    status = ct_archive_set_text(a, "input.prepare", in->as_mnist ? "mnist" : "resize");
  return status == CT_OK ? ct_archive_set_text(a, "classes", in->classes) : status;
}

/* Two numbers from lo to hi. */
static bool read_text(const ct_archive *a, const char *key, double lo, double hi, double out[2]) {
  const char *text = ct_archive_text(a, key);
  return text && sscanf(text, "%lf %lf", &out[0], &out[1]) == 2 && out[0] >= lo && out[0] <= hi &&
         out[1] >= lo && out[1] <= hi;
}

ct_status input_restore(input *in, const ct_archive *a, const char *path) {
  double size[2], numbers[2];
  const char *prepare = ct_archive_text(a, "input.prepare"), *names = ct_archive_text(a, "classes");
  *in = (input){0};
  if (!prepare || !names || !read_text(a, "input.size", 1, 4096, size) ||
      !read_text(a, "input.standardise", -1e9, 1e9, numbers))
    return ct_error_set(CT_EFORMAT, "%s: no checkpoint of train, or damaged", path);
  in->height = (int64_t)size[0];
  in->width = (int64_t)size[1];
  in->as_mnist = strcmp(prepare, "mnist") == 0;
  in->classes = malloc(strlen(names) + 1);
  if (!in->classes) return ct_error_set(CT_ENOMEM, "out of memory");
  strcpy(in->classes, names);
  for (const char *p = names; *p; p++) in->n_classes += *p == '/';
  in->standardizer.mean = ct_keep(ct_scalar(CT_F32, numbers[0]));
  in->standardizer.scale = ct_keep(ct_scalar(CT_F32, numbers[1]));
  return ct_error_code();
}
