/* test_threads.c - the same bits for every number of threads: each primitive in each use and
 * layout, cut into the smallest pieces; large operations cut as always; training. */
#include "registry.h"

#include "tensor/pool.h"

#include <cotangent.h>

static const int numbers[] = {1, 2, 3, 8};

/* ---- what was seen with one thread, and must be seen again ----------------------------------- */

static struct {
  uint64_t *at;
  size_t n, room, next;
} seen;

static void forget(void) {
  free(seen.at);
  memset(&seen, 0, sizeof seen);
}

static int restore(void **state) {
  (void)state;
  forget();
  ct__piece_weight = 1 << 16;
  return ct_set_threads(2) == CT_OK ? 0 : -1;
}

static uint64_t hash_of(const ct_tensor *t) {
  uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
  size_t bytes = (size_t)ct_size(t) * ct_dtype_size(ct_dtype_of(t));
  unsigned char *data = malloc(bytes + 1);
  assert_non_null(data);
  require_ok(ct_copy_out(t, data, bytes));
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ data[i]) * UINT64_C(1099511628211);
  free(data);
  return hash;
}

static void see(const ct_tensor *t, int threads) {
  require(t && !ct_is_nil(t), "there is a result");
  uint64_t hash = hash_of(t);
  if (threads > 1) {
    assert_true(seen.next < seen.n);
    require(seen.at[seen.next++] == hash, "the bits are those of one thread");
    return;
  }
  if (seen.n == seen.room) {
    seen.room = 2 * seen.room + 64;
    seen.at = realloc(seen.at, seen.room * sizeof *seen.at);
    assert_non_null(seen.at);
  }
  seen.at[seen.n++] = hash;
}

static void for_each_number(void (*todo)(int threads)) {
  for (int i = 0; i < CT__COUNT(numbers); i++) {
    assert_ok(ct_set_threads(numbers[i]));
    seen.next = 0;
    todo(numbers[i]);
    assert_true(seen.n > 0 && (i == 0 || seen.next == seen.n));
  }
  forget();
}

/* ---- every primitive ------------------------------------------------------------------------- */

static int threads_now;

/* The result, and the gradients of the inputs that are floats. */
static void see_use(situation *s) {
  see(use(s, s->in), threads_now);
  if (!has_derivative(s)) return;
  ct_tensor *variable[MAX_IN], *in[MAX_IN], *x[MAX_IN], *gx[MAX_IN];
  int n = 0;
  for (int i = 0; i < s->n; i++) {
    variable[i] = NULL;
    in[i] = s->in[i];
    if (!ct_dtype_is_float(ct_dtype_of(in[i]))) continue;
    variable[i] = ct_variable(s->stored[i]);
    x[n++] = in[i] = layout_of(s, i)->see(variable[i], s->shape[i]);
  }
  ct_tensor *y = use(s, in);
  ct_tensor *gy = random_values(ct_dtype_of(y), ct_shape_of(y), 99, -1, 1);
  require_ok(ct_vjp_all(CT_LIST(y), CT_LIST(gy), (ct_list){n, x}, gx));
  for (int i = 0; i < n; i++) see(gx[i], threads_now);
  for (int i = 0; i < s->n; i++) ct_release(&variable[i]);
}

static void see_every_primitive(int threads) {
  threads_now = threads;
  for_each(both_dtypes, true, see_use);
}

static void test_every_primitive_in_small_pieces(void **state) {
  (void)state;
  ct__piece_weight = 1;
  for_each_number(see_every_primitive);
}

/* Where nothing is summed across pieces even the cut does not show. */
static void see_elementwise(situation *s) {
  if (s->op->flags & CT_ELEMENTWISE) see(use(s, s->in), threads_now);
}

static void see_random_numbers(void) {
  static const ct_dtype dtypes[] = {CT_F32, CT_F64, CT_I32};
  const ct_shape shape = CT_SHAPE(1009);
  ct_scope scope = ct_scope_begin();
  for (int i = 0; i < CT__COUNT(dtypes); i++)
    see(ct_uniform(ct_key(3), dtypes[i], shape, -7, 9), threads_now);
  for (int i = 0; i < 2; i++) see(ct_normal(ct_key(3), dtypes[i], shape, 1, 2), threads_now);
  assert_ok(ct_scope_end(scope));
}

static void see_where_the_cut_is_not(int threads) {
  threads_now = threads;
  ct__piece_weight = threads > 1 ? 1 : 1 << 16;
  for_each(both_dtypes, true, see_elementwise);
  see_random_numbers();
}

static void test_the_cut_does_not_show(void **state) {
  (void)state;
  for_each_number(see_where_the_cut_is_not);
}

/* ---- large operations ------------------------------------------------------------------------ */

static ct_tensor *numbers_of(ct_shape shape) { return ct_normal(ct_key(5), CT_F32, shape, 0, 1); }

#define LARGE(name, shape, expression)                                                             \
  static ct_tensor *large_##name(void) {                                                           \
    ct_tensor *x = numbers_of(shape);                                                              \
    (void)x;                                                                                       \
    return expression;                                                                             \
  }
#define MATRIX CT_SHAPE(1000, 300)
#define POOL   ((ct_pool_opts){.kernel = {3, 2}})

static ct_tensor *pulled(ct_tensor *(*f)(ct_tensor *x), ct_tensor *x) {
  ct_tensor *v = ct_variable(x), *y = f(v), *gx = ct_vjp(y, v, numbers_of(ct_shape_of(y)));
  ct_release(&v);
  return gx;
}
static ct_tensor *normed(ct_tensor *x) { return ct_layer_norm(x, CT_AXES(-1), 1e-5); }
static ct_tensor *pooled(ct_tensor *x) { return ct_maxpool(x, POOL, NULL); }

#define LARGE_LIST(X)                                                                              \
  X(random_normal, MATRIX, x)                                                                      \
  X(random_uniform, CT_SHAPE(1), (ct_uniform(ct_key(1), CT_F64, CT_SHAPE(100001), -1, 1)))         \
  X(ones, CT_SHAPE(1), (ct_ones(CT_F64, CT_SHAPE(100003))))                                        \
  X(exp, MATRIX, ct_exp(x))                                                                        \
  X(add_row, MATRIX, (ct_add(x, ct_slice(x, 0, 3, 4, 1))))                                         \
  X(add_column, MATRIX, (ct_add(x, ct_slice(x, 1, 3, 4, 1))))                                      \
  X(transpose, MATRIX, ct_contiguous(ct_transpose(x, 0, 1)))                                       \
  X(backwards, MATRIX, ct_contiguous(ct_slice(x, 1, CT_END, CT_END, -1)))                          \
  X(cast, MATRIX, ct_cast(ct_scale(x, 10), CT_I32))                                                \
  X(sum, MATRIX, ct_sum(x, CT_ALL, false))                                                         \
  X(sum_rows, MATRIX, ct_sum(x, CT_AXES(1), false))                                                \
  X(sum_columns, MATRIX, ct_sum(x, CT_AXES(0), false))                                             \
  X(sum_of_transpose, MATRIX, ct_sum(ct_transpose(x, 0, 1), CT_AXES(0), false))                    \
  X(sum_few, CT_SHAPE(3, 100001), ct_sum(x, CT_AXES(1), false))                                    \
  X(sum_narrow, CT_SHAPE(100001, 3), ct_sum(x, CT_AXES(0), false))                                 \
  X(sum_outer, CT_SHAPE(50, 40, 150), (ct_sum(x, CT_AXES(0, 2), false)))                           \
  X(sum_whole, MATRIX, ct_sum(ct_cast(ct_scale(x, 100), CT_I32), CT_ALL, false))                   \
  X(max, MATRIX, ct_max(x, CT_ALL, false))                                                         \
  X(mean, MATRIX, ct_mean(x, CT_ALL, false))                                                       \
  X(prod, MATRIX, ct_prod(ct_exp(x), CT_ALL, false))                                               \
  X(any, MATRIX, (ct_any(ct_cast(x, CT_BOOL), CT_ALL, false)))                                     \
  X(logsumexp, MATRIX, ct_logsumexp(x, CT_AXES(1), false))                                         \
  X(logsumexp_all, MATRIX, ct_logsumexp(x, CT_ALL, false))                                         \
  X(argmax, MATRIX, ct_argmax(x, 1, false))                                                        \
  X(transposed, MATRIX, ct_contiguous(ct_transpose(x, 0, 1)))                                      \
  X(softmax, MATRIX, ct_softmax(x, 1))                                                             \
  X(softmax_first, MATRIX, ct_softmax(x, 0))                                                       \
  X(log_softmax, MATRIX, ct_log_softmax(x, 1))                                                     \
  X(layer_norm, MATRIX, normed(x))                                                                 \
  X(layer_norm_gradient, MATRIX, pulled(normed, x))                                                \
  X(var, MATRIX, ct_var(x, CT_AXES(1), 1, false))                                                  \
  X(norm, MATRIX, ct_norm(x, 2, CT_ALL, false))                                                    \
  X(norm_rows, MATRIX, ct_norm(ct_cast(x, CT_F64), 2, CT_AXES(1), false))                          \
  X(cumsum, MATRIX, ct_cumsum(x, 1))                                                               \
  X(cumsum_first, MATRIX, ct_cumsum(x, 0))                                                         \
  X(cumprod, MATRIX, ct_cumprod(x, 1))                                                             \
  X(cumprod_first, MATRIX, ct_cumprod(x, 0))                                                       \
  X(cummax_first, MATRIX, ct_cummax(x, 0))                                                         \
  X(sort, MATRIX, ct_sort(x, 1, false, NULL))                                                      \
  X(argsort_first, MATRIX, ct_argsort(x, 0, true))                                                 \
  X(matmul, MATRIX, ct_matmul(x, ct_transpose(x, 0, 1)))                                           \
  X(gather, MATRIX, ct_gather(x, ct_argsort(ct_slice(x, 1, 0, 1, 1), 0, false), 0))                \
  X(cross_entropy, MATRIX, ct_cross_entropy(x, ct_argmax(ct_neg(x), 1, false)))                    \
  X(conv2d, CT_SHAPE(20, 3, 40, 40),                                                               \
    (ct_conv2d(x, numbers_of(CT_SHAPE(4, 3, 3, 3)), (ct_conv2d_opts){0})))                         \
  X(conv2d_transpose, CT_SHAPE(20, 3, 40, 40),                                                     \
    (ct_conv2d_transpose(x, numbers_of(CT_SHAPE(3, 2, 3, 3)), (ct_conv2d_opts){0})))               \
  X(maxpool, CT_SHAPE(20, 3, 40, 40), pooled(x))                                                   \
  X(maxpool_gradient, CT_SHAPE(20, 3, 40, 40), pulled(pooled, x))                                  \
  X(avgpool, CT_SHAPE(20, 3, 40, 40), ct_avgpool(x, POOL))
LARGE_LIST(LARGE)

#define LARGE_ROW(name, shape, expression) {#name, large_##name},
static const struct {
  const char *name;
  ct_tensor *(*make)(void);
} large[] = {LARGE_LIST(LARGE_ROW)};

static void see_large_operations(int threads) {
  for (int i = 0; i < CT__COUNT(large); i++) {
    snprintf(context, sizeof context, "%s with %d threads", large[i].name, threads);
    ct_scope scope = ct_scope_begin();
    see(large[i].make(), threads);
    assert_ok(ct_scope_end(scope));
  }
}

static void test_large_operations(void **state) {
  (void)state;
  for_each_number(see_large_operations);
}

/* The first bad label is named, wherever it is found. */
static void test_the_first_error_is_told(void **state) {
  (void)state;
  for (int i = 0; i < CT__COUNT(numbers); i++) {
    ct_scope scope = ct_scope_begin();
    assert_ok(ct_set_threads(numbers[i]));
    ct_tensor *labels = ct_argmax(numbers_of(MATRIX), 1, false);
    ((int32_t *)(void *)labels->v.data)[731] = 300;
    ((int32_t *)(void *)labels->v.data)[990] = -1;
    assert_nil(ct_cross_entropy(numbers_of(MATRIX), labels), CT_EINDEX, "label 300 of row 731");
    assert_ok(ct_scope_end(scope));
  }
}

/* The cut is no reason to be less accurate: 10^6 numbers of 24 bits. */
static void test_sums_stay_accurate(void **state) {
  (void)state;
  enum { N = 1000003 };
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_uniform(ct_key(3), CT_F32, CT_SHAPE(N), 0, 1);
  const float *at = (const float *)(const void *)x->v.data;
  int64_t exact = 0;
  for (int i = 0; i < N; i++) exact += (int64_t)(at[i] * 0x1p24f);
  double sum = 0;
  assert_ok(ct_item(ct_sum(ct_cast(x, CT_F64), CT_ALL, false), &sum));
  assert_near(sum, (double)exact * 0x1p-24, 1e-9);
  assert_ok(ct_item(ct_sum(x, CT_ALL, false), &sum));
  assert_near(sum, (double)(float)((double)exact * 0x1p-24), 0);
  assert_ok(ct_scope_end(scope));
}

/* ---- training -------------------------------------------------------------------------------- */

static int steps;

/* 300-200-10 on batches of 256, which is cut everywhere: products, bias, activation, loss, sums of
 * gradients, the step of the optimizer. */
static void see_training(int threads) {
  enum { BATCH = 256, IN = 300, HIDDEN = 200, OUT = 10 };
  ct_scope outer = ct_scope_begin();
  snprintf(context, sizeof context, "training with %d threads", threads);
  ct_tensor *key = ct_key(7);
  ct_tensor *w[] = {
      ct_variable(ct_normal(ct_key_fold(key, 0), CT_F32, CT_SHAPE(IN, HIDDEN), 0, 0.06)),
      ct_variable(ct_zeros(CT_F32, CT_SHAPE(HIDDEN))),
      ct_variable(ct_normal(ct_key_fold(key, 1), CT_F32, CT_SHAPE(HIDDEN, OUT), 0, 0.07)),
      ct_variable(ct_zeros(CT_F32, CT_SHAPE(OUT)))};
  ct_list params = {CT__COUNT(w), w};
  ct_optim *adam = ct_adam(params, (ct_adam_opts){.lr = 1e-3});
  assert_non_null(adam);
  for (int step = 0; step < steps; step++) {
    ct_scope scope = ct_scope_begin();
    ct_tensor *x = ct_normal(ct_key_fold(key, 2 + step), CT_F32, CT_SHAPE(BATCH, IN), 0, 1);
    ct_tensor *labels = ct_argmax(ct_slice(x, 1, 0, OUT, 1), 1, false);
    ct_tensor *h = ct_tanh(ct_add(ct_matmul(x, w[0]), w[1]));
    ct_tensor *loss = ct_cross_entropy(ct_add(ct_matmul(h, w[2]), w[3]), labels);
    ct_tensor *gradient[CT__COUNT(w)];
    require_ok(ct_grad(loss, params, gradient));
    require_ok(ct_optim_step(adam, (ct_list){CT__COUNT(w), gradient}));
    if (step % 10 == 9) see(loss, threads);
    require_ok(ct_scope_end(scope));
  }
  for (int i = 0; i < CT__COUNT(w); i++) see(w[i], threads);
  ct_optim_free(&adam);
  for (int i = 0; i < CT__COUNT(w); i++) ct_release(&w[i]);
  assert_ok(ct_scope_end(outer));
}

static void test_training(void **state) {
  (void)state;
  steps = 100;
  for_each_number(see_training);
}

/* The same model, cut as finely as it can be. */
static void test_training_in_small_pieces(void **state) {
  (void)state;
  ct__piece_weight = 1 << 10;
  steps = 20;
  for_each_number(see_training);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(test_every_primitive_in_small_pieces, restore),
      cmocka_unit_test_teardown(test_the_cut_does_not_show, restore),
      cmocka_unit_test_teardown(test_large_operations, restore),
      cmocka_unit_test_teardown(test_the_first_error_is_told, restore),
      cmocka_unit_test_teardown(test_sums_stay_accurate, restore),
      cmocka_unit_test_teardown(test_training, restore),
      cmocka_unit_test_teardown(test_training_in_small_pieces, restore),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
