/* init.c - starting values of parameters. */
#include "nn_internal.h"

#include <math.h>

static double default_bound(double in, double out) {
  (void)out;
  return 1 / sqrt(in);
}
static double glorot_bound(double in, double out) { return sqrt(6 / (in + out)); }
static double glorot_deviation(double in, double out) { return sqrt(2 / (in + out)); }
static double he_bound(double in, double out) {
  (void)out;
  return sqrt(6 / in);
}
static double he_deviation(double in, double out) {
  (void)out;
  return sqrt(2 / in);
}

/* Random ones: the bound of a uniform or the deviation of a normal distribution. */
static const struct {
  double (*spread)(double fan_in, double fan_out);
  bool normal;
} init_table[] = {
    [CT_INIT_DEFAULT] = {default_bound, false},
    [CT_INIT_GLOROT_UNIFORM] = {glorot_bound, false},
    [CT_INIT_GLOROT_NORMAL] = {glorot_deviation, true},
    [CT_INIT_HE_UNIFORM] = {he_bound, false},
    [CT_INIT_HE_NORMAL] = {he_deviation, true},
    [CT_INIT_ZEROS] = {NULL, false},
    [CT_INIT_CONSTANT] = {NULL, false},
};

/* For a shape (out, in, k, ...): in k ... and out k ..., at least 1. */
static void fans(const ct_init *how, ct_shape shape, double *in, double *out) {
  double inner = 1;
  for (int i = 2; i < shape.n && i < CT_MAX_DIMS; i++) inner *= (double)shape.dim[i];
  *in = (shape.n > 1 ? (double)shape.dim[1] : shape.n > 0 ? (double)shape.dim[0] : 1) * inner;
  *out = (shape.n > 0 ? (double)shape.dim[0] : 1) * inner;
  if (how->fan_in > 0) *in = (double)how->fan_in;
  if (how->fan_out > 0) *out = (double)how->fan_out;
  *in = fmax(*in, 1);
  *out = fmax(*out, 1);
}

ct_tensor *ct_init_tensor(ct_init how, ct_tensor *key, ct_dtype dtype, ct_shape shape) {
  CT__COMPOSITION("ct_init_tensor");
  if ((unsigned)how.kind >= CT__COUNT(init_table))
    return ct__nil(CT_EARG, "ct_init_tensor: unknown kind %d", (int)how.kind);
  if (how.fan_in < 0 || how.fan_out < 0)
    return ct__nil(CT_EARG, "ct_init_tensor: want fans of at least 0");
  if (how.kind == CT_INIT_ZEROS) return ct_zeros(dtype, shape);
  if (how.kind == CT_INIT_CONSTANT) return ct_full(dtype, shape, how.value);
  double in, out;
  fans(&how, shape, &in, &out);
  double spread = init_table[how.kind].spread(in, out);
  if (init_table[how.kind].normal) return ct_normal(key, dtype, shape, 0, spread);
  return ct_uniform(key, dtype, shape, -spread, spread);
}
