/* metrics.c - what is counted about predictions; values only, nothing to differentiate. */
#include "nn_internal.h"

#include <math.h>

/* Logits as row-major f64, labels as row-major i32, checked. */
typedef struct predictions {
  int64_t n, classes;
  ct_tensor *logits, *labels; /* one reference each */
} predictions;

static void predictions_end(predictions *p) {
  ct_release(&p->logits);
  ct_release(&p->labels);
}

static ct_status check_predictions(const char *who, const ct_tensor *logits,
                                   const ct_tensor *labels) {
  if (!logits || !labels)
    return ct__fail_status(CT_EARG, "%s: %s is NULL", who, logits ? "labels" : "logits");
  ct_status status = ct__check_value(who, logits);
  if (status == CT_OK) status = ct__check_value(who, labels);
  if (status != CT_OK) return status;
  char a[CT__SHAPE_TEXT], b[CT__SHAPE_TEXT];
  const ct_view *x = &logits->v, *t = &labels->v;
  if (!ct_dtype_is_float(x->dtype) || t->dtype != CT_I32)
    return ct__fail_status(CT_EDTYPE, "%s: want float logits and i32 labels, got %s and %s", who,
                           ct_dtype_name(x->dtype), ct_dtype_name(t->dtype));
  if (x->ndim != 2 || t->ndim != 1 || x->dim[0] != t->dim[0] || x->size == 0)
    return ct__fail_status(CT_ESHAPE, "%s: want logits (n,classes) and labels (n), got %s and %s",
                           who, ct__shape_text(a, x->ndim, x->dim),
                           ct__shape_text(b, t->ndim, t->dim));
  return CT_OK;
}

static ct_status check_labels(const char *who, const predictions *p) {
  const int32_t *label = (const int32_t *)(const void *)p->labels->v.data;
  for (int64_t i = 0; i < p->n; i++)
    if (label[i] < 0 || label[i] >= p->classes)
      return ct__fail_status(CT_EINDEX, "%s: label %d of row %lld is not in 0 .. %lld", who,
                             (int)label[i], (long long)i, (long long)p->classes - 1);
  return CT_OK;
}

static ct_status predictions_begin(predictions *p, const char *who, const ct_tensor *logits,
                                   const ct_tensor *labels) {
  *p = (predictions){0};
  ct_status status = check_predictions(who, logits, labels);
  if (status != CT_OK) return status;
  p->n = logits->v.dim[0];
  p->classes = logits->v.dim[1];
  p->logits = ct__tensor_alloc(CT_F64, 2, logits->v.dim);
  p->labels = ct__tensor_alloc(CT_I32, 1, labels->v.dim);
  if (!p->logits || !p->labels) {
    status = ct__no_memory(who);
  } else {
    ct__cast(&logits->v, &p->logits->v);
    ct__copy(&labels->v, &p->labels->v);
    status = check_labels(who, p);
  }
  if (status != CT_OK) predictions_end(p);
  return status;
}

/* a comes before b in a ranking, NaN first of all. */
static bool before(double a, double b) { return a > b || (isnan(a) && !isnan(b)); }

/* Number of classes ranked before class c; equal ones keep their order. */
static int64_t rank_of(const double *row, int64_t classes, int64_t c) {
  int64_t rank = 0;
  for (int64_t j = 0; j < classes; j++)
    rank += before(row[j], row[c]) || (j < c && !before(row[c], row[j]));
  return rank;
}

static ct_status top_k(const char *who, const ct_tensor *logits, const ct_tensor *labels, int k,
                       double *accuracy, double *standard_error) {
  if (!accuracy) return ct__fail_status(CT_EARG, "%s: accuracy is NULL", who);
  if (k < 1) return ct__fail_status(CT_EARG, "%s: want k >= 1, got %d", who, k);
  predictions p;
  ct_status status = predictions_begin(&p, who, logits, labels);
  if (status != CT_OK) return status;
  const double *row = (const double *)(const void *)p.logits->v.data;
  const int32_t *label = (const int32_t *)(const void *)p.labels->v.data;
  int64_t hits = 0;
  for (int64_t i = 0; i < p.n; i++, row += p.classes) hits += rank_of(row, p.classes, label[i]) < k;
  double fraction = (double)hits / (double)p.n;
  *accuracy = fraction;
  if (standard_error) *standard_error = sqrt(fraction * (1 - fraction) / (double)p.n);
  predictions_end(&p);
  return CT_OK;
}

ct_status ct_accuracy(const ct_tensor *logits, const ct_tensor *labels, double *accuracy,
                      double *standard_error) {
  return top_k("ct_accuracy", logits, labels, 1, accuracy, standard_error);
}

ct_status ct_top_k(const ct_tensor *logits, const ct_tensor *labels, int k, double *accuracy,
                   double *standard_error) {
  return top_k("ct_top_k", logits, labels, k, accuracy, standard_error);
}

static int64_t largest(const double *row, int64_t classes) {
  int64_t best = 0;
  for (int64_t j = 1; j < classes; j++)
    if (before(row[j], row[best])) best = j;
  return best;
}

ct_tensor *ct_confusion(const ct_tensor *logits, const ct_tensor *labels) {
  predictions p;
  if (predictions_begin(&p, "ct_confusion", logits, labels) != CT_OK) return ct_nil();
  ct_tensor *counts = ct_zeros(CT_I32, CT_SHAPE(p.classes, p.classes));
  if (!ct__is_nil(counts)) {
    int32_t *count = (int32_t *)(void *)counts->v.data;
    const double *row = (const double *)(const void *)p.logits->v.data;
    const int32_t *label = (const int32_t *)(const void *)p.labels->v.data;
    for (int64_t i = 0; i < p.n; i++, row += p.classes)
      count[label[i] * p.classes + largest(row, p.classes)]++;
  }
  predictions_end(&p);
  return counts;
}
