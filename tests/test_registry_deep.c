/* test_registry_deep.c - every primitive batched, to the third order, and with NaN and infinities.
 */
#include "registry.h"

/* ---- the batch rule against a loop ----------------------------------------------------------- */

enum { BATCH = 3 };

/* Value b of input i; the first is the one that the recipe was made with. Indices stay in range. */
static ct_tensor *batch_value(const situation *s, int i, int b) {
  ct_tensor *x = s->in[i];
  if (b == 0) return x;
  if (!ct_dtype_is_float(ct_dtype_of(x))) return b == 1 ? reversed_order(x, s->shape[i]) : x;
  uint32_t stream = 100u * (uint32_t)b + (uint32_t)i;
  return random_values(ct_dtype_of(x), s->shape[i], stream, s->op->lo, s->op->hi);
}

/* The inputs in `chosen` are mapped over, the others are constant. */
static void require_batch(const situation *s, ct_tensor *const *in, ct_tensor *y, unsigned chosen) {
  ct_tensor *value[MAX_IN][BATCH], *x[MAX_IN], *batched[MAX_IN], *empty[MAX_IN];
  ct_tensor *each[BATCH], *out = NULL, *none = NULL;
  int n = 0;
  for (int i = 0; i < s->n; i++) {
    for (int b = 0; b < BATCH; b++) value[i][b] = chosen >> i & 1 ? batch_value(s, i, b) : s->in[i];
    if (!(chosen >> i & 1)) continue;
    batched[n] = ct_stack((ct_list){BATCH, value[i]}, 0);
    empty[n] = ct_slice(batched[n], 0, 0, 0, 1);
    x[n++] = in[i];
  }
  for (int b = 0; b < BATCH; b++) {
    ct_tensor *one[MAX_IN];
    for (int i = 0; i < s->n; i++) one[i] = value[i][b];
    each[b] = use(s, one);
  }
  const ct_list from = {n, x};
  require_ok(ct_vmap(CT_LIST(y), from, (ct_list){n, batched}, (ct_vmap_opts){0}, &out));
  ct_tensor *want = ct_stack((ct_list){BATCH, each}, 0);
  require(ct_dtype_of(out) == ct_dtype_of(want), "the dtype of the batch");
  require_close(out, want, 4 * tolerance_of(s), "the batch agrees with the loop");
  require_ok(ct_vmap(CT_LIST(y), from, (ct_list){n, empty}, (ct_vmap_opts){0}, &none));
  require_close(none, ct_slice(want, 0, 0, 0, 1), 0, "an empty batch has the right shape");
}

/* Each input alone, all of them, and all that are floats. */
static void batches_agree(situation *s) {
  ct_tensor *variable[MAX_IN], *in[MAX_IN];
  unsigned all = (1u << s->n) - 1, floats = 0;
  for (int i = 0; i < s->n; i++) {
    variable[i] = ct_variable(s->stored[i]);
    in[i] = ct_broadcast_to(layout_of(s, i)->see(variable[i], s->shape[i]), s->shape[i]);
    floats |= (unsigned)ct_dtype_is_float(ct_dtype_of(in[i])) << i;
  }
  ct_tensor *y = use(s, in);
  for (int i = 0; i < s->n; i++) require_batch(s, in, y, 1u << i);
  if (s->n > 1) require_batch(s, in, y, all);
  if (floats && floats != all) require_batch(s, in, y, floats);
  for (int i = 0; i < s->n; i++) ct_release(&variable[i]);
}

static void batch_rules_agree_with_loops(void **state) {
  (void)state;
  for_each(both_dtypes, true, batches_agree);
}

/* ---- the third order ------------------------------------------------------------------------- */

/* The gradient of the use for a fixed cotangent, all inputs end to end: its second derivatives are
 * third ones. */
static ct_tensor *gradient_of_use(ct_list stored, void *payload) {
  situation *s = payload;
  ct_tensor *x[MAX_IN], *gx[MAX_IN], *y = seen_use(stored, s);
  int n = 0;
  for (int i = 0; i < stored.n; i++)
    if (ct_dtype_is_float(ct_dtype_of(stored.at[i]))) x[n++] = stored.at[i];
  ct_tensor *gy = random_values(CT_F64, ct_shape_of(y), 99, -1, 1);
  if (ct_vjp_all(CT_LIST(y), CT_LIST(gy), (ct_list){n, x}, gx) != CT_OK) return ct_nil();
  for (int i = 0; i < n; i++) gx[i] = ct_reshape(gx[i], CT_SHAPE(ct_size(gx[i])));
  return ct_concat((ct_list){n, gx}, 0);
}

static void passes_third_order(situation *s) {
  if (!has_derivative(s) || ct_dtype_of(use(s, s->in)) != CT_F64) return;
  ct_gradcheck_opts opts = {.tolerance = 1e-5};
  require_ok(ct_gradcheck(gradient_of_use, s, (ct_list){s->n, s->stored}, opts, NULL));
}

static void third_derivatives_pass_gradcheck(void **state) {
  (void)state;
  for_each(only_f64, false, passes_third_order);
}

/* ---- NaN and infinities ---------------------------------------------------------------------- */

/* x with one element replaced. */
static ct_tensor *planted(ct_tensor *x, int64_t at, double value) {
  int64_t n = ct_size(x);
  ct_tensor *place = ct_one_hot(ct_full(CT_I32, CT_SCALAR, (double)at), n, CT_F64);
  ct_tensor *here = ct_reshape(ct_cast(place, CT_BOOL), ct_shape_of(x));
  return ct_where(here, ct_full(ct_dtype_of(x), CT_SCALAR, value), x);
}

static bool same_class(double a, double b) {
  return isnan(a) ? isnan(b) : isinf(a) ? a == b : isfinite(b) != 0;
}

static void require_same_class(const ct_tensor *a, const ct_tensor *b, const char *what) {
  require(!ct_is_nil(a) && !ct_is_nil(b), what);
  int64_t n = ct_size(a);
  require(n == ct_size(b), what);
  double *va = malloc((size_t)(2 * n + 1) * sizeof *va), *vb = va + n;
  assert_non_null(va);
  tensor_values(a, va, n);
  tensor_values(b, vb, n);
  bool same = true;
  for (int64_t i = 0; i < n; i++) same &= same_class(va[i], vb[i]);
  free(va);
  require(same, what);
}

/* Input i with a value planted first and last, through the kernel and the reference. */
static void classes_agree_with(const situation *s, int i, double value) {
  ct_tensor *in[MAX_IN];
  for (int k = 0; k < s->n; k++) in[k] = s->in[k];
  ct_tensor *x = planted(planted(s->in[i], 0, value), ct_size(s->in[i]) - 1, value);
  in[i] = layout_of(s, i)->see(layout_of(s, i)->store(x), s->shape[i]);
  ct_tensor *y = use(s, in);
  ct_status failure = ct_error_code(); /* a check for NaN finds it */
  ct_error_clear();
  bool was = ct__use_reference(true);
  ct_tensor *reference = use(s, in);
  ct__use_reference(was);
  require(ct_error_code() == failure, "both fail, or none");
  ct_error_clear();
  if (failure != CT_OK) return;
  require_same_class(y, reference, "NaN and infinities are where the reference has them");
}

static void classes_agree(situation *s) {
  const double value[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
  for (int i = 0; i < s->n; i++)
    for (int k = 0; k < CT__COUNT(value); k++)
      if (ct_dtype_is_float(ct_dtype_of(s->in[i])) && ct_size(s->in[i]) > 0)
        classes_agree_with(s, i, value[k]);
}

static void non_finite_values_agree_with_the_reference(void **state) {
  (void)state;
  for_each(both_dtypes, true, classes_agree);
}

/* An elementwise result of NaN is NaN, where it is a float. */
static void stays_nan(situation *s) {
  for (int i = 0; i < s->n; i++) {
    ct_tensor *in[MAX_IN];
    for (int k = 0; k < s->n; k++) in[k] = s->in[k];
    in[i] = ct_full(s->dtype, s->shape[i], (double)NAN);
    ct_tensor *y = use(s, in);
    if (!ct_dtype_is_float(ct_dtype_of(y))) return;
    require_same_class(y, ct_full(s->dtype, ct_shape_of(y), (double)NAN), "NaN stays NaN");
  }
}

static void elementwise_primitives_propagate_nan(void **state) {
  (void)state;
  for (int i = 0; i < ct_op_count(); i++) {
    const ct_op *op = ct_op_at(i);
    if (is_generic(op) && strcmp(op->name, "mul0") != 0) try_op(op, both_dtypes, false, stays_nan);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(batch_rules_agree_with_loops),
      cmocka_unit_test(third_derivatives_pass_gradcheck),
      cmocka_unit_test(non_finite_values_agree_with_the_reference),
      cmocka_unit_test(elementwise_primitives_propagate_nan),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
