/* standardize.c - mean and deviation of the training data, and (x - mean) * scale. */
#include "datasets_internal.h"

#include <math.h>

#define ROW_LOOPS(isa) &ct__row_loops_##isa,
static const ct__row_loops *const sets[] = {CT__ISA_LIST(ROW_LOOPS)};

/* ---- fitting --------------------------------------------------------------------------------- */

/* What is known of one feature, or of all together: values seen, their sum and sum of squares. */
typedef struct moments {
  double count, sum, squares;
} moments;

/* Values less a shift; what is not finite counts for nothing. */
static void add_f32(const float *x, int64_t rows, int64_t means, const float *shift, moments *m) {
  for (int64_t i = 0; i < rows; i++, x += means)
    for (int64_t j = 0; j < means; j++) {
      const double d = (double)x[j] - (double)shift[j];
      if (!isfinite(d)) continue;
      m[j].count += 1;
      m[j].sum += d;
      m[j].squares += d * d;
    }
}

static void add_u8_each(const unsigned char *x, int64_t rows, int64_t means, moments *m) {
  for (int64_t i = 0; i < rows; i++, x += means)
    for (int64_t j = 0; j < means; j++) {
      m[j].sum += x[j];
      m[j].squares += x[j] * x[j];
    }
  for (int64_t j = 0; j < means; j++) m[j].count = (double)rows;
}

/* In blocks whose sums fit 32 bits. */
static void add_u8_all(const unsigned char *x, int64_t n, moments *m) {
  enum { BLOCK = 1 << 16 };
  for (int64_t i = 0; i < n; i += BLOCK) {
    uint32_t sum, squares;
    sets[ct__isa()]->sums_u8(x + i, n - i < BLOCK ? n - i : BLOCK, &sum, &squares);
    m->sum += sum;
    m->squares += squares;
  }
  m->count = (double)n;
}

/* Bytes are exact in one pass. For floats a second one begins at the mean: sums of squares would
 * cancel. */
static void fit(const ct_tensor *x, int64_t rows, int64_t means, moments *m, float *mean,
                float *scale) {
  const size_t bytes = (size_t)means * sizeof *m;
  memset(m, 0, bytes);
  for (int64_t j = 0; j < means; j++) mean[j] = 0;
  const unsigned char *byte = (const unsigned char *)x->v.data;
  const float *value = (const float *)(const void *)x->v.data;
  if (x->v.dtype == CT_U8 && means == 1) add_u8_all(byte, rows, m);
  if (x->v.dtype == CT_U8 && means > 1) add_u8_each(byte, rows, means, m);
  if (x->v.dtype == CT_F32) {
    add_f32(value, rows, means, mean, m);
    for (int64_t j = 0; j < means; j++)
      mean[j] = m[j].count > 0 ? (float)(m[j].sum / m[j].count) : 0;
    memset(m, 0, bytes);
    add_f32(value, rows, means, mean, m);
  }
  for (int64_t j = 0; j < means; j++) {
    const double n = m[j].count > 0 ? m[j].count : 1, off = m[j].sum / n;
    const double deviation = sqrt(fmax(m[j].squares / n - off * off, 0));
    mean[j] = (float)(mean[j] + off);
    scale[j] = (float)(1 / deviation);
    /* what varies by rounding only is constant: dividing by that would make noise of it */
    if (!(deviation > 1e-7 * fabs((double)mean[j])) || !isfinite(scale[j])) scale[j] = 1;
  }
}

ct_status ct_standardizer_fit(ct_standardizer *out, const ct_tensor *x, bool per_feature) {
  static const char who[] = "ct_standardizer_fit";
  if (!out) return ct__fail_status(CT_EARG, "%s: no place for the result", who);
  *out = (ct_standardizer){0};
  ct_status status = ct__features_check(who, x, 1);
  if (status != CT_OK) return status;
  if (x->v.size == 0) return ct__fail_status(CT_EARG, "%s: there are no data", who);
  const int64_t rows = per_feature ? x->v.dim[0] : x->v.size, means = x->v.size / rows;
  const size_t bytes = (size_t)means * sizeof(moments);
  moments *m = ct__alloc(bytes);
  if (m) out->mean = ct__dataset_tensor(who, CT_F32, per_feature, &means);
  if (out->mean) out->scale = ct__dataset_tensor(who, CT_F32, per_feature, &means);
  if (out->scale)
    fit(x, rows, means, m, (float *)(void *)out->mean->v.data, (float *)(void *)out->scale->v.data);
  else
    status = ct__fail_status(CT_ENOMEM, "%s: out of memory", who);
  ct__free(m, bytes);
  if (status != CT_OK) ct_standardizer_free(out);
  return status;
}

void ct_standardizer_free(ct_standardizer *s) {
  if (!s) return;
  ct_release(&s->mean);
  ct_release(&s->scale);
}

/* ---- applying -------------------------------------------------------------------------------- */

ct__row_loop *ct__row_loop_for(ct_dtype dtype, bool each) {
  return sets[ct__isa()]->standardize[dtype == CT_F32][each];
}

ct_status ct__standardizer_check(const char *who, const ct_standardizer *s, int64_t size,
                                 int64_t *features) {
  if (!s) return ct__fail_status(CT_EARG, "%s: no standardizer given", who);
  ct_status status = ct__features_check(who, s->mean, 0);
  if (status == CT_OK) status = ct__features_check(who, s->scale, 0);
  if (status != CT_OK) return status;
  *features = s->mean->v.size;
  if (s->mean->v.dtype != CT_F32 || s->scale->v.dtype != CT_F32 || s->scale->v.size != *features)
    return ct__fail_status(CT_EARG, "%s: mean and scale must be f32 of one size", who);
  if (*features > 0 && size % *features == 0) return CT_OK;
  return ct__fail_status(CT_ESHAPE,
                         "%s: %lld numbers are no multiple of the standardizer's %lld features",
                         who, (long long)size, (long long)*features);
}

ct_tensor *ct_standardize(const ct_standardizer *s, const ct_tensor *x) {
  static const char who[] = "ct_standardize";
  int64_t features;
  if (ct__features_check(who, x, 0) != CT_OK) return ct_nil();
  if (ct__standardizer_check(who, s, x->v.size, &features) != CT_OK) return ct_nil();
  ct_tensor *y = ct__dataset_tensor(who, CT_F32, x->v.ndim, x->v.dim);
  const bool each = features > 1;
  ct__row_loop *standardize = ct__row_loop_for(x->v.dtype, each);
  const int64_t step = each ? features : x->v.size;
  const size_t from = (size_t)step * ct_dtype_size(x->v.dtype), to = (size_t)step * sizeof(float);
  for (int64_t i = 0; y && i * step < x->v.size; i++)
    standardize(x->v.data + (size_t)i * from, (const float *)(const void *)s->mean->v.data,
                (const float *)(const void *)s->scale->v.data,
                (float *)(void *)(y->v.data + (size_t)i * to), step);
  return ct__own(y);
}
