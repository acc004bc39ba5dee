/* folder.c - a dataset from a folder of folders of images. */
#include "datasets_internal.h"

static const char who[] = "ct_dataset_folder";

enum { MAX_PATH = 4096 };

static ct_status join_path(char out[MAX_PATH], const char *a, const char *b, const char *c) {
  const int n = snprintf(out, MAX_PATH, c ? "%s/%s/%s" : "%s/%s", a, b, c);
  if (n > 0 && n < MAX_PATH) return CT_OK;
  return ct__fail_status(CT_EARG, "%s: a path under %.80s is too long", who, a);
}

static bool is_image(const char *path) {
  static const char *const ending[] = {".png", ".jpg", ".jpeg"};
  const size_t length = strlen(path);
  for (int i = 0; i < CT__COUNT(ending); i++) {
    const size_t n = strlen(ending[i]);
    bool same = length > n;
    for (size_t j = 0; j < n && same; j++) {
      const char c = path[length - n + j];
      same = (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) == ending[i][j];
    }
    if (same) return true;
  }
  return false;
}

/* The names of what is wanted in a folder; none is an error. */
static ct_status list(ct_names *out, const char *dir, bool (*wanted)(const char *path),
                      const char *what) {
  ct_names all;
  ct_status status = ct__folder_list(&all, who, dir);
  if (status != CT_OK) return status;
  int n = 0;
  const size_t bytes = (size_t)all.n * sizeof(char *);
  const char **kept = ct__alloc(bytes);
  char path[MAX_PATH];
  for (int i = 0; i < all.n && kept && status == CT_OK; i++) {
    status = join_path(path, dir, all.at[i], NULL);
    if (status == CT_OK && wanted(path)) kept[n++] = all.at[i];
  }
  if (status == CT_OK && (!kept || ct__names_copy(out, n, kept) != CT_OK))
    status = ct__fail_status(CT_ENOMEM, "%s: %s: out of memory", who, dir);
  ct__free(kept, bytes);
  ct__names_free(&all);
  if (status != CT_OK || n > 0) return status;
  return ct__fail_status(CT_EFORMAT, "%s: no %s in %s", who, what, dir);
}

/* The images of each class; classes.n lists. */
typedef struct listing {
  ct_names classes, *files;
  int64_t images;
} listing;

static void listing_free(listing *l) {
  for (int c = 0; l->files && c < l->classes.n; c++) ct__names_free(&l->files[c]);
  ct__free(l->files, (size_t)l->classes.n * sizeof *l->files);
  ct__names_free(&l->classes);
}

static ct_status list_all(listing *l, const char *dir) {
  ct_status status = list(&l->classes, dir, ct__is_folder, "folders, one for each class,");
  if (status != CT_OK) return status;
  const size_t bytes = (size_t)l->classes.n * sizeof *l->files;
  l->files = ct__alloc(bytes);
  if (!l->files) return ct__fail_status(CT_ENOMEM, "%s: %s: out of memory", who, dir);
  memset(l->files, 0, bytes);
  char path[MAX_PATH];
  for (int c = 0; c < l->classes.n && status == CT_OK; c++) {
    status = join_path(path, dir, l->classes.at[c], NULL);
    if (status == CT_OK) status = list(&l->files[c], path, is_image, "PNG or JPEG files");
    l->images += l->files[c].n;
  }
  return status;
}

/* Reads one image into row `row` of x, which the first image makes. */
static ct_status add_image(ct_tensor **x, int64_t row, int64_t images, const char *path,
                           ct_folder_opts o) {
  ct__source s;
  ct_status status = ct__source_open(&s, who, path);
  if (status != CT_OK) return status;
  ct_tensor *image = ct__image_read(&s, o.channels);
  ct__source_close(&s);
  if (!image) return ct_error_code();
  const ct_view *v = &image->v;
  const int64_t h = o.height ? o.height : v->dim[0], w = o.width ? o.width : v->dim[1];
  if (!*x) *x = ct__dataset_tensor(who, CT_U8, v->ndim + 1, (int64_t[]){images, h, w, o.channels});
  if (!*x) {
    status = ct_error_code();
  } else if (h != (*x)->v.dim[1] || w != (*x)->v.dim[2]) {
    status = ct__fail_status(CT_EFORMAT, "%s: %s is %lld x %lld, the images before it %lld x %lld",
                             who, path, (long long)h, (long long)w, (long long)(*x)->v.dim[1],
                             (long long)(*x)->v.dim[2]);
  } else {
    const size_t bytes = (size_t)(h * w * o.channels);
    status = ct__resize_area((const uint8_t *)v->data, v->dim[0], v->dim[1],
                             (uint8_t *)(*x)->v.data + (size_t)row * bytes, h, w, o.channels);
    if (status != CT_OK) ct__fail_status(status, "%s: %s: out of memory", who, path);
  }
  ct_release(&image);
  return status;
}

static ct_status read_all(const listing *l, ct_dataset *d, const char *dir, ct_folder_opts o) {
  if (l->images > INT32_MAX) return ct__fail_status(CT_ESIZE, "%s: %s: too many images", who, dir);
  d->labels = ct__dataset_tensor(who, CT_I32, 1, &l->images);
  if (!d->labels) return ct_error_code();
  int32_t *label = (int32_t *)(void *)d->labels->v.data;
  int64_t row = 0;
  char path[MAX_PATH];
  for (int c = 0; c < l->classes.n; c++)
    for (int i = 0; i < l->files[c].n; i++, row++) {
      ct_status status = join_path(path, dir, l->classes.at[c], l->files[c].at[i]);
      if (status == CT_OK) status = add_image(&d->x, row, l->images, path, o);
      if (status != CT_OK) return status;
      label[row] = c;
    }
  return CT_OK;
}

ct_status ct_dataset_folder(ct_dataset *out, const char *dir, ct_folder_opts o) {
  enum { LIMIT = 1 << 14 };
  if (!out || !dir)
    return ct__fail_status(CT_EARG, "%s: want a place for the result and a folder", who);
  *out = (ct_dataset){0};
  if (o.channels == 0) o.channels = 1;
  if (o.channels != 1 && o.channels != 3)
    return ct__fail_status(CT_EARG, "%s: want 1 or 3 channels, got %d", who, o.channels);
  if (o.height < 0 || o.width < 0 || o.height > LIMIT || o.width > LIMIT || !o.height != !o.width)
    return ct__fail_status(CT_EARG, "%s: bad size %lld x %lld", who, (long long)o.height,
                           (long long)o.width);
  listing l = {0};
  ct_dataset d = {0};
  ct_status status = list_all(&l, dir);
  if (status == CT_OK) status = read_all(&l, &d, dir, o);
  if (status == CT_OK && ct__names_copy(&d.classes, l.classes.n, l.classes.at) != CT_OK)
    status = ct__fail_status(CT_ENOMEM, "%s: %s: out of memory", who, dir);
  listing_free(&l);
  if (status != CT_OK) ct_dataset_free(&d);
  *out = d;
  return status;
}
