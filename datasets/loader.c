/* loader.c - batches: rows in the order of the epoch, standardised into the same memory each time.
 */
#include "datasets_internal.h"

enum { CACHE_LINE = 64, AHEAD = 3, PREFETCH = 4096 };

struct ct_loader {
  ct_tensor *data, *label; /* the dataset's; label may be NULL */
  ct_tensor *x[2],
      *t[2]; /* a full batch, and the smaller last one over the same memory; t may be NULL */
  float *mean, *scale; /* of each feature, or one of each */
  int32_t *order;      /* NULL without shuffling */
  uint64_t seed;
  int64_t n, batch, batches, features; /* features: of one example */
  int64_t means;                       /* 1 or features */
  int64_t epoch, next;                 /* next: the batch to come */
  bool ordered;                        /* order is that of epoch */
};

/* ---- making ---------------------------------------------------------------------------------- */

static float *copy_floats(const ct_tensor *t, float value, int64_t n) {
  float *out = ct__alloc((size_t)n * sizeof *out);
  for (int64_t i = 0; out && i < n; i++)
    out[i] = t ? ((const float *)(const void *)t->v.data)[i] : value;
  return out;
}

/* The first n rows of t, over the same memory, into *out, if there is such a batch. */
static bool front(ct_tensor **out, const ct_tensor *t, int64_t n) {
  if (n == 0 || !t) return true;
  ct_tensor *part = ct__tensor_alias(t);
  if (!part) return false;
  int64_t dim[CT_MAX_DIMS];
  memcpy(dim, t->v.dim, sizeof dim);
  dim[0] = n;
  char *data = part->v.data;
  ct__view_set(&part->v, t->v.dtype, t->v.ndim, dim);
  part->v.data = data;
  *out = part;
  return true;
}

/* Everything that next needs is made here, so that it cannot fail. */
static bool reserve(const char *who, ct_loader *l, ct_loader_opts o) {
  const ct_standardizer *s = o.standardizer;
  const float scale = l->data->v.dtype == CT_U8 ? 1.0f / 255 : 1;
  l->mean = copy_floats(s ? s->mean : NULL, 0, l->means);
  l->scale = copy_floats(s ? s->scale : NULL, scale, l->means);
  if (o.shuffle) l->order = ct__alloc((size_t)l->n * sizeof *l->order);
  const int64_t flat[2] = {l->batch, l->features};
  int64_t kept[CT_MAX_DIMS];
  memcpy(kept, l->data->v.dim, sizeof kept);
  kept[0] = l->batch;
  l->x[0] = ct__dataset_tensor(who, CT_F32, o.keep_shape ? l->data->v.ndim : 2,
                               o.keep_shape ? kept : flat);
  if (l->label) l->t[0] = ct__dataset_tensor(who, CT_I32, 1, &l->batch);
  const int64_t rest = o.drop_last ? 0 : l->n % l->batch;
  return l->mean && l->scale && (!o.shuffle || l->order) && l->x[0] && (!l->label || l->t[0]) &&
         front(&l->x[1], l->x[0], rest) && front(&l->t[1], l->t[0], rest);
}

ct_loader *ct_loader_new(const ct_dataset *d, ct_loader_opts o) {
  static const char who[] = "ct_loader_new";
  if (ct__dataset_check(who, d) != CT_OK) return NULL;
  const int64_t n = d->x->v.dim[0], batch = o.batch == 0 ? 32 : o.batch;
  if (n == 0 || batch < 0 || (o.drop_last && batch > n)) {
    ct__fail_status(CT_EARG, "%s: cannot make batches of %lld from %lld examples", who,
                    (long long)batch, (long long)n);
    return NULL;
  }
  int64_t means = 1;
  const int64_t features = d->x->v.size / n;
  if (o.standardizer) {
    if (ct__standardizer_check(who, o.standardizer, features, &means) != CT_OK) return NULL;
    if (means != 1 && means != features) {
      ct__fail_status(CT_ESHAPE, "%s: the standardizer has %lld features, the data %lld", who,
                      (long long)means, (long long)features);
      return NULL;
    }
  }
  ct_loader *l = ct__alloc(sizeof *l);
  if (!l) {
    ct__fail_status(CT_ENOMEM, "%s: out of memory", who);
    return NULL;
  }
  *l = (ct_loader){
      .data = ct_keep(d->x), .seed = o.seed, .n = n, .features = features, .means = means};
  if (d->labels) l->label = ct_keep(d->labels);
  l->batch = batch < n ? batch : n;
  l->batches = o.drop_last ? n / batch : (n - 1) / batch + 1;
  if (reserve(who, l, o)) return l;
  ct__fail_status(CT_ENOMEM, "%s: out of memory", who);
  ct_loader_free(&l);
  return NULL;
}

void ct_loader_free(ct_loader **loader) {
  if (!loader || !*loader) return;
  ct_loader *l = *loader;
  ct_tensor **owned[] = {&l->data, &l->label, &l->x[0], &l->x[1], &l->t[0], &l->t[1]};
  for (int i = 0; i < CT__COUNT(owned); i++) ct_release(owned[i]);
  ct__free(l->mean, (size_t)l->means * sizeof *l->mean);
  ct__free(l->scale, (size_t)l->means * sizeof *l->scale);
  ct__free(l->order, (size_t)l->n * sizeof *l->order);
  ct__free(l, sizeof *l);
  *loader = NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void set_order(ct_loader *l) {
  if (!l->order || l->ordered) return;
  int32_t key[4], of_epoch[4];
  ct__seed_key(l->seed, CT__SEED_LOADER, key);
  ct__key_fold(key, l->epoch, of_epoch);
  ct__random_permutation(of_epoch, l->order, l->n);
  l->ordered = true;
}

/* Rows lie anywhere: the beginning of a coming one is fetched while others are worked on. */
static inline void prefetch(const char *row, size_t bytes) {
  for (size_t i = 0; i < bytes && i < PREFETCH; i += CACHE_LINE) __builtin_prefetch(row + i);
}

static void fill(const ct_loader *l, int64_t first, int64_t count, ct_tensor *x, ct_tensor *t) {
  ct__row_loop *standardize = ct__row_loop_for(l->data->v.dtype, l->means > 1);
  const size_t bytes = (size_t)l->features * ct_dtype_size(l->data->v.dtype);
  float *y = (float *)(void *)x->v.data;
  for (int64_t i = 0; i < count; i++) {
    const int64_t row = l->order ? l->order[first + i] : first + i;
    if (l->order && first + i + AHEAD < l->n)
      prefetch(l->data->v.data + (size_t)l->order[first + i + AHEAD] * bytes, bytes);
    standardize(l->data->v.data + (size_t)row * bytes, l->mean, l->scale, y + i * l->features,
                l->features);
    if (t)
      ((int32_t *)(void *)t->v.data)[i] = ((const int32_t *)(const void *)l->label->v.data)[row];
  }
  ct__written(x, "ct_loader_next");
  if (t) ct__written(t, "ct_loader_next");
}

bool ct_loader_next(ct_loader *l, ct_tensor **x, ct_tensor **labels) {
  if (!l || !x) {
    ct__fail_status(CT_EARG, "ct_loader_next: no loader or no place for the batch");
    return false;
  }
  *x = ct_nil();
  if (labels) *labels = ct_nil();
  if (l->next >= l->batches) {
    l->epoch++;
    l->next = 0;
    l->ordered = false;
    return false;
  }
  set_order(l);
  const int64_t first = l->next++ * l->batch, left = l->n - first;
  const int part = left < l->batch;
  fill(l, first, part ? left : l->batch, l->x[part], l->t[part]);
  *x = l->x[part];
  if (labels && l->label) *labels = l->t[part];
  return true;
}

int64_t ct_loader_batches(const ct_loader *l) { return l ? l->batches : 0; }

ct_status ct_loader_seek(ct_loader *l, int64_t epoch, int64_t batch) {
  static const char who[] = "ct_loader_seek";
  if (!l) return ct__fail_status(CT_EARG, "%s: no loader given", who);
  if (epoch < 0 || batch < 0 || batch > l->batches)
    return ct__fail_status(CT_EINDEX, "%s: epoch %lld, batch %lld of %lld", who, (long long)epoch,
                           (long long)batch, (long long)l->batches);
  l->ordered = l->ordered && epoch == l->epoch;
  l->epoch = epoch;
  l->next = batch;
  return CT_OK;
}
