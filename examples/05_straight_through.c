/* 05_straight_through.c - layers whose gradient is not their derivative. A straight-through
 * estimator: weights that are rounded to -1 and 1, and learn as if they were not. And a reversed
 * gradient: features that learn to hide something from a classifier that learns to find it.
 */
#include <cotangent.h>

/* ---- a layer with a rule of its own ---------------------------------------------------------- */

/* y = sign(x). */
static void sign_body(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_sign(in.at[0]);
}

/* gx = gy where |x| <= 1, from x, y and gy: straight through, but no further out. */
static void sign_rule(ct_list in, ct_tensor **out, void *payload) {
  ct_tensor *x = in.at[0], *gy = in.at[2], *one = ct_ones(ct_dtype_of(x), CT_SCALAR);
  (void)payload;
  out[0] = ct_where(ct_le(ct_abs(x), one), gy, ct_zeros(ct_dtype_of(x), CT_SCALAR));
}

static ct_tensor *binarized(ct_tensor *x) {
  ct_tensor *y;
  ct_custom_vjp((ct_custom){.f = sign_body, .rule = sign_rule}, CT_LIST(x), &y);
  return y;
}

/* A linear layer with binary weights: y = x sign(W). */
typedef struct binary {
  ct_module base;
  ct_tensor *weight;
} binary;

static ct_tensor *binary_forward(ct_module *m, ct_tensor *x) {
  return ct_matmul(x, binarized(((binary *)m)->weight));
}

static const ct_module_class binary_class = {CT_MODULE, .name = "binary",
                                             .instance = sizeof(binary), .forward = binary_forward};

static ct_module *binary_new(ct_tensor *key, int64_t in, int64_t out) {
  binary *m = ct_module_new(&binary_class);
  if (!m) return NULL;
  ct_tensor *start = ct_uniform(key, CT_F64, CT_SHAPE(in, out), -0.5, 0.5);
  m->weight = ct_module_param(&m->base, "weight", ct_variable(start));
  return ct_module_ready(&m->base);
}

/* Finds the signs that made y from x. */
static void learn_signs(ct_tensor *key) {
  ct_tensor *x = ct_randn(ct_key_fold(key, 0), CT_F64, CT_SHAPE(64, 8));
  ct_tensor *truth = ct_sign(ct_randn(ct_key_fold(key, 1), CT_F64, CT_SHAPE(8, 1)));
  ct_tensor *target = ct_matmul(x, truth);
  ct_module *layer = binary_new(ct_key_fold(key, 2), 8, 1);
  if (!layer) return;
  ct_optim *sgd = ct_sgd(ct_module_params(layer), (ct_sgd_opts){.lr = 0.01});
  for (int step = 0; step <= 40; step++) {
    ct_scope scope = ct_scope_begin();
    ct_tensor *loss = ct_mse(ct_forward(layer, x), target, CT_MEAN);
    double value = 0;
    if (step % 10 == 0 && ct_item(loss, &value) == CT_OK)
      printf("step %2d: loss %4.1f\n", step, value);
    ct_optim_minimize(sgd, loss, NULL);
    ct_scope_end(scope);
  }
  ct_optim_free(&sgd);
  ct_module_free(&layer);
}

/* ---- a reversed gradient --------------------------------------------------------------------- */

/* One step of both: the classifier goes down its loss, the features behind the hook go up. */
static void reversal(void) {
  ct_tensor *w = ct_variable(ct_scalar(CT_F64, 0.5)), *v = ct_variable(ct_scalar(CT_F64, 2));
  ct_tensor *feature = ct_mul(w, ct_scalar(CT_F64, 3)), *g[2], *plain[2];
  ct_tensor *seen = ct_grad_scale(feature, -1);
  ct_grad(ct_softplus(ct_mul(v, seen)), CT_LIST(w, v), g);
  ct_grad(ct_softplus(ct_mul(v, feature)), CT_LIST(w, v), plain);
  double a = 0, b = 0, c = 0, d = 0;
  ct_item(g[0], &a), ct_item(plain[0], &b), ct_item(g[1], &c), ct_item(plain[1], &d);
  printf("feature's gradient %.4f instead of %.4f, classifier's %.4f as before: %s\n", a, b, c,
         c == d ? "yes" : "no");
  ct_release(&w);
  ct_release(&v);
}

/* ---- a check: a rule can also be the true derivative ----------------------------------------- */

/* y = ln(1 + e^x) as it is written, with the derivative that does not overflow. */
static void soft_body(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_log(ct_shift(ct_exp(in.at[0]), 1));
}

static void soft_rule(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_mul(in.at[2], ct_sigmoid(in.at[0])); /* x, y, dx -> dy */
}

static ct_tensor *soft(ct_list x, void *payload) {
  ct_tensor *y;
  (void)payload;
  ct_custom_jvp((ct_custom){.f = soft_body, .rule = soft_rule}, x, &y);
  return y;
}

static ct_tensor *estimated(ct_list x, void *payload) {
  (void)payload;
  return binarized(x.at[0]);
}

int main(void) {
  ct_tensor *key = ct_key(3), *x = ct_randn(key, CT_F64, CT_SHAPE(5));
  learn_signs(key);
  reversal();
  if (ct_gradcheck(soft, NULL, CT_LIST(x), (ct_gradcheck_opts){0}, NULL) == CT_OK)
    printf("a true rule passes the check, to second order\n");
  if (ct_error_code() == CT_OK &&
      ct_gradcheck(estimated, NULL, CT_LIST(x), (ct_gradcheck_opts){0}, NULL) == CT_ECHECK) {
    printf("an estimator does not, as it should be\n");
    ct_error_clear();
  }
  ct_error_print(stderr);
  return ct_error_code() != CT_OK;
}
