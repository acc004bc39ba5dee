/* random.c - random numbers as functions of a key, an i32 (4) tensor: the same key gives the same
 * numbers, eagerly and in a program. No derivatives. */
#include "../autograd_internal.h"

#include <math.h>

/* ---- keys ------------------------------------------------------------------------------------ */

static ct_status want_key(const ct_call *c) {
  const ct_view *key = ct__in(c, 0);
  if (key->dtype != CT_I32) return ct_fail(c, CT_EDTYPE, "want a key, i32 (4)");
  if (key->ndim != 1 || key->dim[0] != 4) return ct_fail(c, CT_ESHAPE, "want a key, i32 (4)");
  return CT_OK;
}

static void read_key(const ct_eval *e, int32_t key[4]) {
  const ct_view *v = e->in[0];
  for (int i = 0; i < 4; i++)
    memcpy(&key[i], v->data + i * v->stride[0] * (int64_t)sizeof key[i], sizeof key[i]);
}

/* A Philox block of the seed under a fixed key: different seeds give different, unrelated keys. */
ct_tensor *ct_key(uint64_t seed) {
  CT__COMPOSITION("key");
  const uint32_t counter[4] = {(uint32_t)seed, (uint32_t)(seed >> 32), 0, 0};
  const uint32_t fixed[2] = {0x636f7461u, 0x6e67656eu};
  uint32_t word[4];
  ct_philox(counter, fixed, word);
  return ct_from(CT_I32, CT_SHAPE(4), word);
}

/* key_fold: the n-th child of a key */

static ct_status key_fold_infer(const ct_call *c, ct_spec *out) {
  ct_status status = want_key(c);
  return status == CT_OK ? ct__infer_like(c, out) : status;
}

static ct_status key_fold_eval(const ct_eval *e) {
  int32_t key[4];
  read_key(e, key);
  ct__key_fold(key, *(const int64_t *)e->attr, (int32_t *)(void *)e->out[0]->data);
  return CT_OK;
}

static const ct_op key_fold_op = {CT_OP,
                                  .name = "key_fold",
                                  .doc = "y = the n-th child of a key",
                                  .n_in = 1,
                                  .flags = CT_NONDIFF,
                                  .attr_size = sizeof(int64_t),
                                  .infer = key_fold_infer,
                                  .eval = key_fold_eval};

ct_tensor *ct_key_fold(ct_tensor *key, int64_t n) { return CT__APPLY(&key_fold_op, &n, key); }

/* ---- distributions --------------------------------------------------------------------------- */

/* a, b: lo and hi, or mean and standard deviation. No padding: attributes compare as bytes. */
typedef struct draw {
  int64_t dtype, n, dim[CT_MAX_DIMS];
  double a, b;
} draw;

static draw draw_of(ct_dtype dtype, ct_shape shape, double a, double b) {
  shape = ct_shape_make((size_t)shape.n, shape.dim);
  draw d = {.dtype = dtype, .n = shape.n, .a = a, .b = b};
  memcpy(d.dim, shape.dim, sizeof d.dim);
  return d;
}

static ct_status draw_infer(const ct_call *c, ct_spec *out) {
  const draw *d = c->attr;
  ct_status status = want_key(c);
  if (status != CT_OK) return status;
  if (d->n < 0 || d->n > CT_MAX_DIMS)
    return ct_fail(c, CT_EARG, "want a shape of 0 to %d dimensions", CT_MAX_DIMS);
  ct__spec_set(out, (ct_dtype)d->dtype, (int)d->n, d->dim);
  return CT_OK;
}

/* uniform: lo <= y < hi */

static ct_status uniform_infer(const ct_call *c, ct_spec *out) {
  const draw *d = c->attr;
  if (d->dtype != CT_I32 && !ct_dtype_is_float((ct_dtype)d->dtype))
    return ct__fail(CT_EDTYPE, "%s: want dtype f32, f64 or i32, got %s", c->op->name,
                    ct_dtype_name((ct_dtype)d->dtype));
  if (!(d->a < d->b) || !isfinite(d->a) || !isfinite(d->b))
    return ct__fail(CT_EARG, "%s: want finite lo < hi, got %g and %g", c->op->name, d->a, d->b);
  if (d->dtype == CT_I32 && (d->a != trunc(d->a) || d->b != trunc(d->b) || d->a < INT32_MIN ||
                             d->b > (double)INT32_MAX + 1))
    return ct__fail(CT_EDTYPE, "%s: want bounds of i32, got %g and %g", c->op->name, d->a, d->b);
  return draw_infer(c, out);
}

static ct_status uniform_eval(const ct_eval *e) {
  const draw *d = e->attr;
  int32_t key[4];
  read_key(e, key);
  ct__random_uniform(key, e->out[0], d->a, d->b);
  return CT_OK;
}

static const ct_op uniform_op = {CT_OP,
                                 .name = "uniform",
                                 .doc = "lo <= y < hi, all equally likely",
                                 .n_in = 1,
                                 .flags = CT_NONDIFF,
                                 .attr_size = sizeof(draw),
                                 .infer = uniform_infer,
                                 .eval = uniform_eval};

ct_tensor *ct_uniform(ct_tensor *key, ct_dtype dtype, ct_shape shape, double lo, double hi) {
  draw d = draw_of(dtype, shape, lo, hi);
  return CT__APPLY(&uniform_op, &d, key);
}

/* normal: y = mean + sd z, z standard normal */

static ct_status normal_infer(const ct_call *c, ct_spec *out) {
  const draw *d = c->attr;
  if (!ct_dtype_is_float((ct_dtype)d->dtype))
    return ct__fail(CT_EDTYPE, "%s: want dtype f32 or f64, got %s", c->op->name,
                    ct_dtype_name((ct_dtype)d->dtype));
  if (!isfinite(d->a) || !isfinite(d->b) || d->b < 0)
    return ct__fail(CT_EARG, "%s: want a finite mean and deviation >= 0, got %g and %g",
                    c->op->name, d->a, d->b);
  return draw_infer(c, out);
}

static ct_status normal_eval(const ct_eval *e) {
  const draw *d = e->attr;
  int32_t key[4];
  read_key(e, key);
  ct__random_normal(key, e->out[0], d->a, d->b);
  return CT_OK;
}

static const ct_op normal_op = {CT_OP,
                                .name = "normal",
                                .doc = "y = mean + sd z, z standard normal",
                                .n_in = 1,
                                .flags = CT_NONDIFF,
                                .attr_size = sizeof(draw),
                                .infer = normal_infer,
                                .eval = normal_eval};

ct_tensor *ct_normal(ct_tensor *key, ct_dtype dtype, ct_shape shape, double mean, double sd) {
  draw d = draw_of(dtype, shape, mean, sd);
  return CT__APPLY(&normal_op, &d, key);
}

ct_tensor *ct_randn(ct_tensor *key, ct_dtype dtype, ct_shape shape) {
  CT__COMPOSITION("randn");
  return ct_normal(key, dtype, shape, 0, 1);
}

/* ---- permutation: 0 .. n-1 in an order that is as likely as any other ------------------------ */

static ct_status permutation_infer(const ct_call *c, ct_spec *out) {
  int64_t n = *(const int64_t *)c->attr;
  ct_status status = want_key(c);
  if (status != CT_OK) return status;
  if (n < 0 || n > INT32_MAX)
    return ct__fail(n < 0 ? CT_EARG : CT_ESIZE, "%s: want 0 <= n < 2^31, got %lld", c->op->name,
                    (long long)n);
  ct__spec_set(out, CT_I32, 1, &n);
  return CT_OK;
}

static ct_status permutation_eval(const ct_eval *e) {
  int32_t key[4];
  read_key(e, key);
  ct__random_permutation(key, (int32_t *)(void *)e->out[0]->data, e->out[0]->size);
  return CT_OK;
}

static const ct_op permutation_op = {CT_OP,
                                     .name = "permutation",
                                     .doc = "y = 0 .. n-1 shuffled",
                                     .n_in = 1,
                                     .flags = CT_NONDIFF,
                                     .attr_size = sizeof(int64_t),
                                     .infer = permutation_infer,
                                     .eval = permutation_eval};

ct_tensor *ct_permutation(ct_tensor *key, int64_t n) { return CT__APPLY(&permutation_op, &n, key); }

const ct_op *const ct__random_ops[] = {&key_fold_op, &uniform_op, &normal_op, &permutation_op,
                                       NULL};
