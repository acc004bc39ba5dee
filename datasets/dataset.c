/* dataset.c - names, checks, and making datasets from datasets: subset, shuffle, split. */
#include "datasets_internal.h"

#include <stdlib.h>

/* ---- names ----------------------------------------------------------------------------------- */

ct_status ct__names_copy(ct_names *out, int n, const char *const *at) {
  *out = (ct_names){0};
  if (n == 0) return CT_OK;
  size_t bytes = (size_t)n * sizeof(char *);
  for (int i = 0; i < n; i++) bytes += strlen(at[i]) + 1;
  const char **block = ct__alloc(bytes);
  if (!block) return CT_ENOMEM;
  char *text = (char *)(block + n);
  for (int i = 0; i < n; i++) {
    size_t length = strlen(at[i]) + 1;
    block[i] = memcpy(text, at[i], length);
    text += length;
  }
  *out = (ct_names){n, block, bytes};
  return CT_OK;
}

ct_status ct__names_numbers(ct_names *out, int n) {
  enum { DIGITS = 12 };
  *out = (ct_names){0};
  size_t bytes = (size_t)n * (sizeof(char *) + DIGITS);
  const char **block = ct__alloc(bytes);
  if (!block) return CT_ENOMEM;
  char *text = (char *)(block + n);
  for (int i = 0; i < n; i++, text += DIGITS) {
    snprintf(text, DIGITS, "%d", i);
    block[i] = text;
  }
  *out = (ct_names){n, block, bytes};
  return CT_OK;
}

void ct__names_free(ct_names *names) {
  ct__free((void *)names->at, names->bytes);
  *names = (ct_names){0};
}

void ct_dataset_free(ct_dataset *d) {
  if (!d) return;
  ct_release(&d->x);
  ct_release(&d->labels);
  ct__names_free(&d->classes);
  ct__names_free(&d->columns);
}

/* ---- checks ---------------------------------------------------------------------------------- */

ct_tensor *ct__dataset_tensor(const char *who, ct_dtype dtype, int ndim, const int64_t *dim) {
  if (ct__shape_check(who, dtype, ndim, dim) != CT_OK) {
    char text[CT__SHAPE_TEXT];
    ct__fail_status(CT_ESIZE, "%s: %s of %s are too large", who, ct__shape_text(text, ndim, dim),
                    ct_dtype_name(dtype));
    return NULL;
  }
  ct_tensor *t = ct__tensor_alloc(dtype, ndim, dim);
  if (!t) {
    char text[CT__SHAPE_TEXT];
    ct__fail_status(CT_ENOMEM, "%s: out of memory for %s of %s", who,
                    ct__shape_text(text, ndim, dim), ct_dtype_name(dtype));
  }
  return t;
}

ct_status ct__features_check(const char *who, const ct_tensor *x, int min_ndim) {
  ct_status status = ct__check_value(who, x);
  if (status != CT_OK) return status;
  if (x->v.dtype != CT_U8 && x->v.dtype != CT_F32)
    return ct__fail_status(CT_EDTYPE, "%s: want u8 or f32, got %s", who, ct_dtype_name(x->v.dtype));
  char text[CT__SHAPE_TEXT];
  if (x->v.ndim < min_ndim)
    return ct__fail_status(CT_ESHAPE, "%s: want at least %d dimensions, got %s", who, min_ndim,
                           ct__shape_text(text, x->v.ndim, x->v.dim));
  if (!x->v.contiguous) return ct__fail_status(CT_EARG, "%s: want contiguous data", who);
  return CT_OK;
}

static bool names_are_there(const ct_names *names) {
  if (names->n < 0 || (names->n > 0 && !names->at)) return false;
  for (int i = 0; i < names->n; i++)
    if (!names->at[i]) return false;
  return true;
}

ct_status ct__dataset_check(const char *who, const ct_dataset *d) {
  if (!d) return ct__fail_status(CT_EARG, "%s: no dataset given", who);
  ct_status status = ct__features_check(who, d->x, 1);
  if (status != CT_OK) return status;
  if (d->x->v.dim[0] > INT32_MAX)
    return ct__fail_status(CT_ESIZE, "%s: %lld examples are too many", who,
                           (long long)d->x->v.dim[0]);
  if (!names_are_there(&d->classes) || !names_are_there(&d->columns))
    return ct__fail_status(CT_EARG, "%s: the names of %s are missing", who,
                           names_are_there(&d->classes) ? "columns" : "classes");
  if (!d->labels) return CT_OK;
  status = ct__check_value(who, d->labels);
  if (status != CT_OK) return status;
  const ct_view *t = &d->labels->v;
  if (t->dtype != CT_I32)
    return ct__fail_status(CT_EDTYPE, "%s: want i32 labels, got %s", who, ct_dtype_name(t->dtype));
  char text[CT__SHAPE_TEXT];
  if (t->ndim != 1 || t->dim[0] != d->x->v.dim[0] || !t->contiguous)
    return ct__fail_status(CT_ESHAPE, "%s: want %lld contiguous labels, got %s", who,
                           (long long)d->x->v.dim[0], ct__shape_text(text, t->ndim, t->dim));
  return CT_OK;
}

void ct__seed_key(uint64_t seed, int32_t use, int32_t key[4]) {
  const uint32_t low = (uint32_t)seed, high = (uint32_t)(seed >> 32);
  int32_t root[4] = {0};
  memcpy(&root[0], &low, sizeof low);
  memcpy(&root[1], &high, sizeof high);
  ct__key_fold(root, use, key);
}

ct_status ct_dataset_counts(int64_t *out, int n, const ct_dataset *d) {
  static const char who[] = "ct_dataset_counts";
  ct_status status = ct__dataset_check(who, d);
  if (status != CT_OK) return status;
  if (!d->labels) return ct__fail_status(CT_EARG, "%s: the dataset has no labels", who);
  if (!out || n != d->classes.n)
    return ct__fail_status(CT_EARG, "%s: want room for %d classes, got %d", who, d->classes.n,
                           out ? n : 0);
  const int32_t *label = (const int32_t *)(const void *)d->labels->v.data;
  for (int64_t i = 0; i < d->labels->v.size; i++)
    if (label[i] < 0 || label[i] >= n)
      return ct__fail_status(CT_EINDEX, "%s: label %lld is %d, want 0 to %d", who, (long long)i,
                             (int)label[i], n - 1);
  for (int c = 0; c < n; c++) out[c] = 0;
  for (int64_t i = 0; i < d->labels->v.size; i++) out[label[i]]++;
  return CT_OK;
}

/* ---- subsets --------------------------------------------------------------------------------- */

/* Rows of t in the order of index; NULL on failure. */
static ct_tensor *take_rows(const char *who, const ct_tensor *t, const int32_t *index, int64_t n) {
  int64_t dim[CT_MAX_DIMS];
  memcpy(dim, t->v.dim, sizeof dim);
  const int64_t rows = dim[0];
  dim[0] = n;
  ct_tensor *out = ct__dataset_tensor(who, t->v.dtype, t->v.ndim, dim);
  if (!out || out->v.size == 0) return out;
  const size_t bytes = (size_t)(t->v.size / rows) * ct_dtype_size(t->v.dtype);
  for (int64_t i = 0; i < n; i++)
    memcpy(out->v.data + (size_t)i * bytes, t->v.data + (size_t)index[i] * bytes, bytes);
  return out;
}

static ct_status subset(const char *who, ct_dataset *out, const ct_dataset *d, const int32_t *index,
                        int64_t n) {
  ct_status status = CT_OK;
  ct_dataset s = {.x = take_rows(who, d->x, index, n)};
  if (s.x && d->labels) s.labels = take_rows(who, d->labels, index, n);
  if (!s.x || (d->labels && !s.labels)) {
    status = ct_error_code();
  } else {
    status = ct__names_copy(&s.classes, d->classes.n, d->classes.at);
    if (status == CT_OK) status = ct__names_copy(&s.columns, d->columns.n, d->columns.at);
    if (status != CT_OK) ct__fail_status(status, "%s: out of memory", who);
  }
  if (status != CT_OK) ct_dataset_free(&s);
  *out = s;
  return status;
}

ct_status ct_dataset_subset(ct_dataset *out, const ct_dataset *d, const int32_t *index, int64_t n) {
  static const char who[] = "ct_dataset_subset";
  if (!out || out == d) return ct__fail_status(CT_EARG, "%s: no place for the result", who);
  *out = (ct_dataset){0};
  ct_status status = ct__dataset_check(who, d);
  if (status != CT_OK) return status;
  if (n < 0 || n > INT32_MAX || (n > 0 && !index))
    return ct__fail_status(CT_EARG, "%s: bad index list of %lld", who, (long long)n);
  for (int64_t i = 0; i < n; i++)
    if (index[i] < 0 || index[i] >= d->x->v.dim[0])
      return ct__fail_status(CT_EINDEX, "%s: index %d is not in 0 to %lld", who, (int)index[i],
                             (long long)d->x->v.dim[0] - 1);
  return subset(who, out, d, index, n);
}

/* All row numbers of d, shuffled: a block of n for ct__free. */
static int32_t *shuffled(const char *who, const ct_dataset *d, uint64_t seed) {
  const int64_t n = d->x->v.dim[0];
  int32_t *order = ct__alloc((size_t)n * sizeof *order), key[4];
  if (!order) {
    ct__fail_status(CT_ENOMEM, "%s: out of memory", who);
    return NULL;
  }
  ct__seed_key(seed, CT__SEED_SHUFFLE, key);
  ct__random_permutation(key, order, n);
  return order;
}

ct_status ct_dataset_shuffle(ct_dataset *out, const ct_dataset *d, uint64_t seed) {
  static const char who[] = "ct_dataset_shuffle";
  if (!out || out == d) return ct__fail_status(CT_EARG, "%s: no place for the result", who);
  *out = (ct_dataset){0};
  ct_status status = ct__dataset_check(who, d);
  if (status != CT_OK) return status;
  const int64_t n = d->x->v.dim[0];
  int32_t *order = shuffled(who, d, seed);
  if (!order) return CT_ENOMEM;
  status = subset(who, out, d, order, n);
  ct__free(order, (size_t)n * sizeof *order);
  return status;
}

/* ---- splits ---------------------------------------------------------------------------------- */

/* Moves to the front of `order`, keeping its order, every row but those that fill its class's
 * quota. Returns how many stay. Without labels there is one class. */
static int64_t part(int32_t *order, int32_t *scratch, int64_t n, const int32_t *label,
                    int64_t *quota) {
  int64_t kept = 0, taken = 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t *left = &quota[label ? label[order[i]] : 0];
    if (*left > 0) {
      --*left;
      scratch[taken++] = order[i];
    } else {
      order[kept++] = order[i];
    }
  }
  memcpy(order + kept, scratch, (size_t)taken * sizeof *order);
  return kept;
}

static ct_status split_by(const char *who, ct_dataset *first, ct_dataset *second,
                          const ct_dataset *d, int64_t *quota, const int32_t *label,
                          uint64_t seed) {
  const int64_t n = d->x->v.dim[0];
  const size_t bytes = (size_t)n * sizeof(int32_t);
  int32_t *order = shuffled(who, d, seed), *scratch = ct__alloc(bytes);
  ct_status status = CT_ENOMEM;
  if (order && scratch) {
    const int64_t kept = part(order, scratch, n, label, quota);
    status = subset(who, first, d, order, kept);
    if (status == CT_OK) status = subset(who, second, d, order + kept, n - kept);
    if (status != CT_OK) ct_dataset_free(first);
  } else {
    ct__fail_status(CT_ENOMEM, "%s: out of memory", who);
  }
  ct__free(order, bytes);
  ct__free(scratch, bytes);
  return status;
}

ct_status ct_dataset_split(ct_dataset *first, ct_dataset *second, const ct_dataset *d,
                           double fraction, ct_split_opts opts) {
  static const char who[] = "ct_dataset_split";
  if (!first || !second || first == second || first == d || second == d)
    return ct__fail_status(CT_EARG, "%s: no place for the two parts", who);
  *first = *second = (ct_dataset){0};
  ct_status status = ct__dataset_check(who, d);
  if (status != CT_OK) return status;
  if (!(fraction >= 0 && fraction <= 1))
    return ct__fail_status(CT_EARG, "%s: want a fraction from 0 to 1, got %g", who, fraction);
  if (opts.stratified && (!d->labels || d->classes.n < 1))
    return ct__fail_status(CT_EARG, "%s: a stratified split needs labels and classes", who);
  const int classes = opts.stratified ? d->classes.n : 1;
  const size_t bytes = (size_t)classes * sizeof(int64_t);
  int64_t *quota = ct__alloc(bytes);
  if (!quota) return ct__fail_status(CT_ENOMEM, "%s: out of memory", who);
  quota[0] = d->x->v.dim[0];
  if (opts.stratified) status = ct_dataset_counts(quota, classes, d);
  for (int c = 0; c < classes && status == CT_OK; c++)
    quota[c] = (int64_t)((double)quota[c] * fraction + 0.5);
  const int32_t *label = opts.stratified ? (const int32_t *)(const void *)d->labels->v.data : NULL;
  if (status == CT_OK) status = split_by(who, first, second, d, quota, label, opts.seed);
  ct__free(quota, bytes);
  return status;
}
