/* layers.c - linear, activations, dropout, flatten, sequential. */
#include "../autograd/autograd_internal.h"
#include "nn_internal.h"

/* x itself, as a new tensor. */
static ct_tensor *identity(ct_tensor *x) { return ct_reshape(x, ct_shape_of(x)); }

/* ---- linear: y = x W^T + b ------------------------------------------------------------------- */

typedef struct linear {
  ct_module base;
  int64_t in, out;
  ct_tensor *weight, *bias;
} linear;

static ct_tensor *linear_forward(ct_module *m, ct_tensor *x) {
  CT__COMPOSITION("linear");
  const linear *l = (const linear *)m;
  ct_tensor *y = ct_matmul(x, ct_transpose(l->weight, 0, 1));
  return l->bias ? ct_add(y, l->bias) : y;
}

static void linear_describe(const ct_module *m, char *text, size_t size) {
  const linear *l = (const linear *)m;
  snprintf(text, size, "%lld -> %lld", (long long)l->in, (long long)l->out);
}

static const ct_module_class linear_class = {CT_MODULE, .name = "linear",
                                             .instance = sizeof(linear), .forward = linear_forward,
                                             .describe = linear_describe};

enum { KEY_WEIGHT, KEY_BIAS }; /* which child of the key each parameter takes */

static ct_init with_fans(ct_init how, int64_t in, int64_t out) {
  if (how.fan_in == 0) how.fan_in = in;
  if (how.fan_out == 0) how.fan_out = out;
  return how;
}

/* Fewer outputs are too few for the vectors of a product by columns. */
enum { NARROW = 16 };

/* Made as (in, out) and seen transposed: a variable keeps the layout of what it copies. A narrow
 * one lies as it is seen: its rows are long, its columns are not. */
static ct_tensor *linear_weight(ct_tensor *key, int64_t in, int64_t out, const ct_linear_opts *o) {
  ct_tensor *start = ct_init_tensor(with_fans(o->weight, in, out), ct_key_fold(key, KEY_WEIGHT),
                                    o->dtype, CT_SHAPE(in, out));
  ct_tensor *weight = ct_transpose(start, 0, 1);
  return ct_variable(out < NARROW ? ct_contiguous(weight) : weight);
}

static ct_tensor *linear_bias(ct_tensor *key, int64_t in, int64_t out, const ct_linear_opts *o) {
  return ct_variable(ct_init_tensor(with_fans(o->bias, in, out), ct_key_fold(key, KEY_BIAS),
                                    o->dtype, CT_SHAPE(out)));
}

ct_module *ct_nn_linear(ct_tensor *key, int64_t in, int64_t out, ct_linear_opts opts) {
  CT__COMPOSITION("ct_nn_linear");
  if (in < 1 || out < 1 || !ct_dtype_is_float(opts.dtype)) {
    ct__fail(CT_EARG,
             "ct_nn_linear: want at least 1 input and output and a float dtype, got %lld, "
             "%lld and %s",
             (long long)in, (long long)out, ct_dtype_name(opts.dtype));
    return NULL;
  }
  linear *l = ct_module_new(&linear_class);
  if (!l) return NULL;
  l->in = in;
  l->out = out;
  ct_scope scope = ct_scope_begin();
  l->weight = ct_module_param(&l->base, "weight", linear_weight(key, in, out, &opts));
  if (!opts.no_bias) l->bias = ct_module_param(&l->base, "bias", linear_bias(key, in, out, &opts));
  l->base.failed |= ct_scope_end(scope) != CT_OK;
  return ct_module_ready(&l->base);
}

/* ---- activations ----------------------------------------------------------------------------- */

#define ACTIVATION(op)                                                                             \
  static ct_tensor *op##_forward(ct_module *m, ct_tensor *x) {                                     \
    (void)m;                                                                                       \
    return ct_##op(x);                                                                             \
  }                                                                                                \
  static const ct_module_class op##_class = {                                                      \
      CT_MODULE, .name = #op, .instance = sizeof(ct_module), .forward = op##_forward};             \
  ct_module *ct_nn_##op(void) { return ct_module_new(&op##_class); }

ACTIVATION(sigmoid)
ACTIVATION(tanh)
ACTIVATION(relu)
ACTIVATION(softplus)

/* ---- dropout --------------------------------------------------------------------------------- */

typedef struct dropout {
  ct_module base;
  double p;
  ct_tensor *key;
} dropout;

enum { KEY_NEXT, KEY_MASK };

/* 0 or 1 / (1 - p), for the shape and dtype of x. */
static ct_tensor *dropout_mask(const dropout *d, ct_tensor *key, const ct_tensor *x) {
  ct_tensor *u = ct_uniform(ct_key_fold(key, KEY_MASK), x->v.dtype, ct_shape_of(x), 0, 1);
  ct_tensor *keep = ct_ge(u, ct_scalar(x->v.dtype, d->p));
  return ct_scale(ct_cast(keep, x->v.dtype), 1 / (1 - d->p));
}

static ct_tensor *dropout_forward(ct_module *m, ct_tensor *x) {
  CT__COMPOSITION("dropout");
  const dropout *d = (const dropout *)m;
  if (!m->training || d->p == 0 || ct_is_nil(x)) return identity(x);
  if (!ct_has_value(x) || ct__building())
    return ct_mul(x, dropout_mask(d, ct__draw(d->key, KEY_NEXT), x));
  ct_tensor *key = ct_detach(d->key); /* the mask is a constant, whatever becomes of the key */
  ct_tensor *y = ct_mul(x, dropout_mask(d, key, x));
  if (ct_is_nil(y) || ct_assign(d->key, ct_key_fold(key, KEY_NEXT)) != CT_OK) return ct_nil();
  return y;
}

static void dropout_describe(const ct_module *m, char *text, size_t size) {
  snprintf(text, size, "p = %g", ((const dropout *)m)->p);
}

static const ct_module_class dropout_class = {
    CT_MODULE, .name = "dropout", .instance = sizeof(dropout), .forward = dropout_forward,
    .describe = dropout_describe};

ct_module *ct_nn_dropout(ct_tensor *key, double p) {
  CT__COMPOSITION("ct_nn_dropout");
  if (!(p >= 0 && p < 1)) {
    ct__fail(CT_EARG, "ct_nn_dropout: want 0 <= p < 1, got %g", p);
    return NULL;
  }
  dropout *d = ct_module_new(&dropout_class);
  if (!d) return NULL;
  d->p = p;
  ct_scope scope = ct_scope_begin(); /* folding checks the key */
  d->key = ct_module_state(&d->base, "key", ct_variable(ct_key_fold(key, KEY_NEXT)));
  d->base.failed |= ct_scope_end(scope) != CT_OK;
  return ct_module_ready(&d->base);
}

/* ---- flatten --------------------------------------------------------------------------------- */

static ct_tensor *flatten_forward(ct_module *m, ct_tensor *x) {
  (void)m;
  return ct_flatten(x, 1);
}

static const ct_module_class flatten_class = {
    CT_MODULE, .name = "flatten", .instance = sizeof(ct_module), .forward = flatten_forward};

ct_module *ct_nn_flatten(void) { return ct_module_new(&flatten_class); }

/* ---- sequential ------------------------------------------------------------------------------ */

static ct_tensor *sequential_forward(ct_module *m, ct_tensor *x) {
  if (!m->first) return identity(x);
  for (const ct_member *p = m->first; p; p = p->next)
    if (p->child) x = ct_forward(p->child, x);
  return x;
}

static const ct_module_class sequential_class = {
    CT_MODULE, .name = "sequential", .instance = sizeof(ct_module), .forward = sequential_forward};

ct_module *ct_nn_sequential(ct_module_list modules) {
  if (modules.n < 0 || (modules.n > 0 && !modules.at)) {
    ct__fail(CT_EARG, "ct_nn_sequential: bad list of modules");
    return NULL;
  }
  ct_module *m = ct_module_new(&sequential_class);
  for (int i = 0; i < modules.n; i++) {
    char name[16];
    snprintf(name, sizeof name, "%d", i);
    ct_module *child = modules.at[i];
    if (m)
      ct_module_child(m, name, child);
    else
      ct_module_free(&child);
  }
  return ct_module_ready(m);
}
