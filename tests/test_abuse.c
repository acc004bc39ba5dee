/* Every public function with what it must refuse: NULL, nil, tensors without a value, wrong dtypes,
 * wrong shapes, bad axes and numbers. Each time a clear error that names who says so; nothing is
 * printed and nothing lost. tests/check_abuse.sh sees that none is forgotten here and in the other
 * test_abuse files. */
#include "abuse.h"

/* ---- one bad tensor -------------------------------------------------------------------------- */

/* A tensor as a status: functions never return NULL. */
static ct_status T(const ct_tensor *t) {
  assert_non_null(t);
  return ct_is_nil(t) ? ct_error_code() : CT_OK;
}

/* An object as a status. */
static ct_status P(const void *object) { return object ? CT_OK : ct_error_code(); }

static ct_status function_made(ct_function *made) {
  ct_status status = P(made);
  ct_function_release(&made);
  return status;
}

static ct_status optim_made(ct_optim *o) {
  ct_status status = P(o);
  ct_optim_free(&o);
  return status;
}

static ct_status module_made(ct_module *m) {
  ct_status status = P(m);
  ct_module_free(&m);
  return status;
}

static ct_status dataset_shuffle(ct_tensor *x) { return data_of(x, NULL); }
static ct_status linear(ct_tensor *x) { return T(ct_forward(f.module, x)); }

/* Every place of every function where a tensor goes. */
#define OPERATIONS(ROW)                                                                            \
  ROW(T(ct_neg(x)))                                                                                \
  ROW(T(ct_abs(x)))                                                                                \
  ROW(T(ct_sign(x)))                                                                               \
  ROW(T(ct_exp(x)))                                                                                \
  ROW(T(ct_expm1(x)))                                                                              \
  ROW(T(ct_log(x)))                                                                                \
  ROW(T(ct_log1p(x)))                                                                              \
  ROW(T(ct_sqrt(x)))                                                                               \
  ROW(T(ct_rsqrt(x)))                                                                              \
  ROW(T(ct_square(x)))                                                                             \
  ROW(T(ct_reciprocal(x)))                                                                         \
  ROW(T(ct_sin(x)))                                                                                \
  ROW(T(ct_cos(x)))                                                                                \
  ROW(T(ct_tanh(x)))                                                                               \
  ROW(T(ct_sigmoid(x)))                                                                            \
  ROW(T(ct_softplus(x)))                                                                           \
  ROW(T(ct_relu(x)))                                                                               \
  ROW(T(ct_add(x, f.a)))                                                                           \
  ROW(T(ct_add(f.a, x)))                                                                           \
  ROW(T(ct_sub(x, f.a)))                                                                           \
  ROW(T(ct_sub(f.a, x)))                                                                           \
  ROW(T(ct_mul(x, f.a)))                                                                           \
  ROW(T(ct_mul(f.a, x)))                                                                           \
  ROW(T(ct_div(x, f.a)))                                                                           \
  ROW(T(ct_div(f.a, x)))                                                                           \
  ROW(T(ct_pow(x, f.a)))                                                                           \
  ROW(T(ct_pow(f.a, x)))                                                                           \
  ROW(T(ct_mul0(x, f.a)))                                                                          \
  ROW(T(ct_mul0(f.a, x)))                                                                          \
  ROW(T(ct_maximum(x, f.a)))                                                                       \
  ROW(T(ct_minimum(f.a, x)))                                                                       \
  ROW(T(ct_eq(x, f.a)))                                                                            \
  ROW(T(ct_ne(f.a, x)))                                                                            \
  ROW(T(ct_lt(x, f.a)))                                                                            \
  ROW(T(ct_le(f.a, x)))                                                                            \
  ROW(T(ct_gt(x, f.a)))                                                                            \
  ROW(T(ct_ge(f.a, x)))                                                                            \
  ROW(T(ct_where(x, f.a, f.a)))                                                                    \
  ROW(T(ct_where(f.b, x, f.a)))                                                                    \
  ROW(T(ct_where(f.b, f.a, x)))                                                                    \
  ROW(T(ct_clamp(x, 0, 1)))                                                                        \
  ROW(T(ct_scale(x, 2)))                                                                           \
  ROW(T(ct_shift(x, 2)))                                                                           \
  ROW(T(ct_cast(x, CT_F64)))                                                                       \
  ROW(T(ct_stop_gradient(x)))                                                                      \
  ROW(T(ct_sum(x, CT_ALL, false)))                                                                 \
  ROW(T(ct_mean(x, CT_ALL, false)))                                                                \
  ROW(T(ct_prod(x, CT_AXES(0), true)))                                                             \
  ROW(T(ct_max(x, CT_ALL, false)))                                                                 \
  ROW(T(ct_min(x, CT_ALL, false)))                                                                 \
  ROW(T(ct_logsumexp(x, CT_AXES(-1), false)))                                                      \
  ROW(T(ct_argmax(x, 0, false)))                                                                   \
  ROW(T(ct_argmin(x, -1, false)))                                                                  \
  ROW(T(ct_sort(x, 0, false, &f.out[0])))                                                          \
  ROW(T(ct_sort(x, 0, true, NULL)))                                                                \
  ROW(T(ct_argsort(x, 0, false)))                                                                  \
  ROW(T(ct_reshape(x, CT_SHAPE(3, -1))))                                                           \
  ROW(T(ct_permute(x, CT_AXES(1, 0))))                                                             \
  ROW(T(ct_transpose(x, 0, 1)))                                                                    \
  ROW(T(ct_broadcast_to(x, CT_SHAPE(4, 2, 3))))                                                    \
  ROW(T(ct_slice(x, 0, 0, CT_END, 1)))                                                             \
  ROW(T(ct_flip(x, CT_ALL)))                                                                       \
  ROW(T(ct_concat(CT_LIST(f.a, x), 0)))                                                            \
  ROW(T(ct_stack(CT_LIST(x, f.a), 0)))                                                             \
  ROW(ct_split(x, 0, 2, f.out))                                                                    \
  ROW(T(ct_pad(x, 0, 1, 1)))                                                                       \
  ROW(T(ct_squeeze(x, CT_ALL)))                                                                    \
  ROW(T(ct_expand_dims(x, 0)))                                                                     \
  ROW(T(ct_flatten(x, 0)))                                                                         \
  ROW(T(ct_contiguous(x)))                                                                         \
  ROW(T(ct_matmul(x, f.a)))                                                                        \
  ROW(T(ct_matmul(f.a, x)))                                                                        \
  ROW(T(ct_gather(x, f.i, 0)))                                                                     \
  ROW(T(ct_gather(f.a, x, 0)))                                                                     \
  ROW(T(ct_scatter_add(x, f.i, f.a, 0)))                                                           \
  ROW(T(ct_scatter_add(f.a, x, f.a, 0)))                                                           \
  ROW(T(ct_scatter_add(f.a, f.i, x, 0)))                                                           \
  ROW(T(ct_one_hot(x, 3, CT_F32)))                                                                 \
  ROW(T(ct_softmax(x, -1)))                                                                        \
  ROW(T(ct_log_softmax(x, -1)))                                                                    \
  ROW(T(ct_cross_entropy(x, f.i)))                                                                 \
  ROW(T(ct_cross_entropy(f.a, x)))                                                                 \
  ROW(T(ct_cross_entropy_with(x, f.a, (ct_cross_entropy_opts){0.1, CT_SUM})))                      \
  ROW(T(ct_key_fold(x, 1)))                                                                        \
  ROW(T(ct_uniform(x, CT_F32, CT_SCALAR, 0, 1)))                                                   \
  ROW(T(ct_normal(x, CT_F32, CT_SCALAR, 0, 1)))                                                    \
  ROW(T(ct_randn(x, CT_F64, CT_SCALAR)))                                                           \
  ROW(T(ct_permutation(x, 3)))                                                                     \
  ROW(T(ct_vjp(x, f.v, f.a)))                                                                      \
  ROW(T(ct_vjp(f.loss, x, f.loss)))                                                                \
  ROW(T(ct_jvp(x, f.v, f.a)))                                                                      \
  ROW(T(ct_jvp(f.loss, x, f.a)))                                                                   \
  ROW(ct_vjp_all(CT_LIST(x), CT_LIST(f.a), CT_LIST(f.v), f.out))                                   \
  ROW(ct_jvp_all(CT_LIST(f.loss), CT_LIST(x), CT_LIST(f.a), f.out))                                \
  ROW(ct_grad(x, CT_LIST(f.v), f.out))                                                             \
  ROW(ct_grad(f.loss, CT_LIST(f.v, x), f.out))                                                     \
  ROW(T(ct_any(x, CT_ALL, false)))                                                                 \
  ROW(T(ct_all(x, CT_ALL, false)))                                                                 \
  ROW(T(ct_cumsum(x, 0)))                                                                          \
  ROW(T(ct_cumsum_with(x, 0, (ct_cumsum_opts){.reverse = true})))                                  \
  ROW(T(ct_linear_recurrence(x, f.a, f.a, 0, false)))                                              \
  ROW(T(ct_linear_recurrence(f.a, x, f.a, 0, false)))                                              \
  ROW(T(ct_linear_recurrence(f.a, f.a, x, 0, true)))                                               \
  ROW(T(ct_cumprod(x, 0)))                                                                         \
  ROW(T(ct_cummax(x, 0)))                                                                          \
  ROW(T(ct_update_slice(x, f.a, 0, 0, 1, 1)))                                                      \
  ROW(T(ct_update_slice(f.a, x, 0, 0, 1, 1)))                                                      \
  ROW(T(ct_scatter_set(x, f.i, f.a, 0)))                                                           \
  ROW(T(ct_scatter_set(f.a, x, f.a, 0)))                                                           \
  ROW(T(ct_scatter_set(f.a, f.i, x, 0)))                                                           \
  ROW(T(ct_take_along_axis(x, f.i, 0)))                                                            \
  ROW(T(ct_take_along_axis(f.a, x, 0)))                                                            \
  ROW(T(ct_searchsorted(x, f.a, false)))                                                           \
  ROW(T(ct_searchsorted(f.a, x, true)))                                                            \
  ROW(T(ct_conv2d(x, f.a, (ct_conv2d_opts){0})))                                                   \
  ROW(T(ct_conv2d(f.a, x, (ct_conv2d_opts){0})))                                                   \
  ROW(T(ct_conv2d_transpose(x, f.a, (ct_conv2d_opts){0})))                                         \
  ROW(T(ct_maxpool(x, (ct_pool_opts){.kernel = {2, 2}}, &f.out[0])))                               \
  ROW(T(ct_avgpool(x, (ct_pool_opts){.kernel = {2, 2}})))                                          \
  ROW(T(ct_norm(x, 2, CT_ALL, false)))                                                             \
  ROW(T(ct_var(x, CT_ALL, 0, false)))                                                              \
  ROW(T(ct_std(x, CT_ALL, 1, false)))                                                              \
  ROW(T(ct_layer_norm(x, CT_AXES(-1), 1e-5)))                                                      \
  ROW(T(ct_nansum(x, CT_ALL, false)))                                                              \
  ROW(T(ct_nanmean(x, CT_ALL, false)))                                                             \
  ROW(T(ct_topk(x, 1, 0, &f.out[0])))                                                              \
  ROW(T(ct_median(x, 0, false)))                                                                   \
  ROW(T(ct_histogram(x, f.a)))                                                                     \
  ROW(T(ct_histogram(f.a, x)))                                                                     \
  ROW(T(ct_einsum("ij->ji", CT_LIST(x))))                                                          \
  ROW(T(ct_tensordot(x, f.a, CT_AXES(0), CT_AXES(0))))                                             \
  ROW(T(ct_tensordot(f.a, x, CT_AXES(0), CT_AXES(0))))                                             \
  ROW(T(ct_outer(x, f.a)))                                                                         \
  ROW(T(ct_outer(f.a, x)))                                                                         \
  ROW(T(ct_kron(x, f.a)))                                                                          \
  ROW(T(ct_kron(f.a, x)))                                                                          \
  ROW(T(ct_diag(x)))                                                                               \
  ROW(T(ct_diagonal(x, 0, 1)))                                                                     \
  ROW(T(ct_trace(x)))                                                                              \
  ROW(T(ct_tril(x, 0)))                                                                            \
  ROW(T(ct_triu(x, 0)))                                                                            \
  ROW(T(ct_roll(x, 1, 0)))                                                                         \
  ROW(T(ct_repeat(x, 2, 0)))                                                                       \
  ROW(T(ct_tile(x, CT_SHAPE(2, 1))))                                                               \
  ROW(ct_meshgrid(CT_LIST(x), f.out))                                                              \
  ROW(T(ct_jacobian(x, f.v, CT_JACOBIAN_AUTO)))                                                    \
  ROW(T(ct_jacobian(f.loss, x, CT_JACOBIAN_FORWARD)))                                              \
  ROW(T(ct_hessian(x, f.v)))                                                                       \
  ROW(T(ct_hessian(f.loss, x)))                                                                    \
  ROW(ct_hvp(x, CT_LIST(f.v), CT_LIST(f.a), f.out))                                                \
  ROW(ct_hvp(f.loss, CT_LIST(x), CT_LIST(f.a), f.out))                                             \
  ROW(ct_ggn_vp(x, f.loss, CT_LIST(f.v), CT_LIST(f.a), f.out))                                     \
  ROW(ct_ggn_vp(f.loss, x, CT_LIST(f.v), CT_LIST(f.a), f.out))                                     \
  ROW(T(ct_directional(x, f.v, f.a, 1)))                                                           \
  ROW(T(ct_directional(f.loss, x, f.a, 2)))                                                        \
  ROW(T(ct_directional(f.loss, f.v, x, 1)))                                                        \
  ROW(function_made(ct_linearize(CT_LIST(x), CT_LIST(f.v))))                                       \
  ROW(function_made(ct_linearize(CT_LIST(f.loss), CT_LIST(x))))                                    \
  ROW(ct_vmap(CT_LIST(x), CT_LIST(f.v), CT_LIST(f.a), (ct_vmap_opts){0}, f.out))                   \
  ROW(ct_vmap(CT_LIST(f.loss), CT_LIST(x), CT_LIST(f.a), (ct_vmap_opts){0}, f.out))                \
  ROW(ct_vmap(CT_LIST(f.loss), CT_LIST(f.v), CT_LIST(x), (ct_vmap_opts){0}, f.out))                \
  ROW(function_made(ct_function_new(CT_LIST(x), CT_NONE)))                                         \
  ROW(function_made(ct_function_new(CT_NONE, CT_LIST(x))))                                         \
  ROW(ct_call_function(f.function, CT_LIST(x), f.out))                                             \
  ROW(ct_graph_dot(f.sink, CT_LIST(x), CT_NONE, CT_NONE))                                          \
  ROW(T(ct_mse(x, f.a, CT_MEAN)))                                                                  \
  ROW(T(ct_mse(f.a, x, CT_MEAN)))                                                                  \
  ROW(T(ct_l1(x, f.a, CT_MEAN)))                                                                   \
  ROW(T(ct_l1(f.a, x, CT_MEAN)))                                                                   \
  ROW(T(ct_bce_with_logits(x, f.a, CT_SUM)))                                                       \
  ROW(T(ct_bce_with_logits(f.a, x, CT_SUM)))                                                       \
  ROW(linear(x))                                                                                   \
  ROW(module_made(ct_nn_linear(x, 2, 3, (ct_linear_opts){0})))                                     \
  ROW(module_made(ct_nn_dropout(x, 0.5)))                                                          \
  ROW(T(ct_init_tensor((ct_init){0}, x, CT_F32, CT_SHAPE(2, 2))))                                  \
  ROW(ct_clip_grad_norm(CT_LIST(x), 1, f.out, NULL))                                               \
  ROW(ct_clip_grad_value(CT_LIST(x), 1, f.out))

/* The same for functions that need the numbers. */
#define READERS(ROW)                                                                               \
  ROW(ct_item(x, &f.number))                                                                       \
  ROW(ct_copy_out(x, f.out, 8))                                                                    \
  ROW(P(ct_data(x)))                                                                               \
  ROW(T(ct_variable(x)))                                                                           \
  ROW(ct_assign(f.v, x))                                                                           \
  ROW(ct_assign(x, f.a))                                                                           \
  ROW(T(ct_detach(x)))                                                                             \
  ROW(ct_touch(x))                                                                                 \
  ROW(ct_value_and_grad(x, CT_LIST(f.v), &f.number, f.out))                                        \
  ROW(ct_function_run(f.function, CT_LIST(x), f.out))                                              \
  ROW(ct_gradcheck(identity, NULL, CT_LIST(x), (ct_gradcheck_opts){0}, NULL))                      \
  ROW(ct_accuracy(x, f.i, &f.number, NULL))                                                        \
  ROW(ct_accuracy(f.a, x, &f.number, NULL))                                                        \
  ROW(ct_top_k(x, f.i, 2, &f.number, NULL))                                                        \
  ROW(ct_top_k(f.a, x, 2, &f.number, NULL))                                                        \
  ROW(T(ct_confusion(x, f.i)))                                                                     \
  ROW(T(ct_confusion(f.a, x)))                                                                     \
  ROW(ct_archive_add(f.archive, "x", x))                                                           \
  ROW(ct_optim_add_group(f.optim, CT_LIST(x), (ct_group_opts){0}))                                 \
  ROW(optim_made(ct_sgd(CT_LIST(x), (ct_sgd_opts){0})))                                            \
  ROW(optim_made(ct_adam(CT_LIST(x), (ct_adam_opts){0})))                                          \
  ROW(optim_made(ct_adamw(CT_LIST(x), (ct_adam_opts){0})))                                         \
  ROW(ct_optim_step(f.optim, CT_LIST(x)))                                                          \
  ROW(ct_optim_minimize(f.optim, x, NULL))                                                         \
  ROW(dataset_shuffle(x))                                                                          \
  ROW(ct_standardizer_fit(&f.standard, x, false))                                                  \
  ROW(T(ct_standardize(&f.standard, x)))                                                           \
  ROW(ct_npy_write(f.file, x))                                                                     \
  ROW(T(ct_image_resize(x, 2, 2)))                                                                 \
  ROW(T(ct_image_like_mnist(x, 8)))                                                                \
  ROW(ct_image_write_png(f.file, x))

#define COUNT_ROW(call) +1
#define TEXT_ROW(call)  #call,
#define CALL_ROW(call)                                                                             \
  if (k++ == i) return call;
enum { OPERATION_ROWS = 0 OPERATIONS(COUNT_ROW), READER_ROWS = 0 READERS(COUNT_ROW) };
static const char *const rows[] = {OPERATIONS(TEXT_ROW) READERS(TEXT_ROW)};

static ct_status call(int i, ct_tensor *x) {
  int k = 0;
  OPERATIONS(CALL_ROW)
  READERS(CALL_ROW)
  return CT_OK;
}

/* Whether the message begins with the name of the function that the row calls, with or without
 * "ct_"; the options in "_with" may be missing. */
static bool names_function(const char *message, const char *row) {
  static const char *const around[] = {"T(",          "P(",           "function_made(",
                                       "optim_made(", "module_made(", "ct_"};
  for (size_t k = 0; k < sizeof around / sizeof *around; k++)
    if (strncmp(row, around[k], strlen(around[k])) == 0) row += strlen(around[k]);
  if (strncmp(message, "ct_", 3) == 0) message += 3;
  size_t n = strcspn(message, ":"), whole = strcspn(row, "(");
  bool with = n + 5 == whole && strncmp(row + n, "_with", 5) == 0;
  return message[n] == ':' && (n == whole || with) && strncmp(message, row, n) == 0;
}

/* The call fails, the code is pending, and the text names who. */
static void expect(int i, ct_status got, ct_status want) {
  if (got != want || ct_error_code() != got || !names_function(ct_error_message(), rows[i])) {
    print_error("%s gave %d (pending %d: \"%s\"), want %d\n", rows[i], (int)got,
                (int)ct_error_code(), ct_error_message(), (int)want);
    fail();
  }
  ct_error_clear();
}

static void test_null(void **state) {
  (void)state;
  for (int i = 0; i < OPERATION_ROWS + READER_ROWS; i++) expect(i, call(i, NULL), CT_EARG);
}

static void test_nil(void **state) {
  (void)state;
  for (int i = 0; i < OPERATION_ROWS + READER_ROWS; i++) expect(i, call(i, ct_nil()), CT_ENIL);
}

/* The first error is the one that a user must see. */
static void test_nil_with_a_pending_error(void **state) {
  (void)state;
  for (int i = 0; i < OPERATION_ROWS + READER_ROWS; i++) {
    ct_error_set(CT_ECHECK, "the cause of it all");
    ct_status status = call(i, ct_nil());
    if (status != CT_ECHECK || strcmp(ct_error_message(), "the cause of it all") != 0) {
      print_error("%s gave %d and \"%s\"\n", rows[i], (int)status, ct_error_message());
      fail();
    }
    ct_error_clear();
  }
}

static void test_no_value(void **state) {
  (void)state;
  for (int i = OPERATION_ROWS; i < OPERATION_ROWS + READER_ROWS; i++)
    expect(i, call(i, f.symbol), CT_ENOVALUE);
}

static void test_stale(void **state) {
  (void)state;
  float memory[6] = {0};
  ct_tensor *base = ct_wrap(CT_F32, CT_SHAPE(2, 3), memory, (ct_wrap_opts){0});
  ct_tensor *stale = ct_transpose(base, 0, 1);
  assert_ok(ct_touch(base));
  for (int i = 0; i < OPERATION_ROWS + READER_ROWS; i++) {
    if (strstr(rows[i], "ct_detach") || strstr(rows[i], "ct_touch")) continue;
    ct_status status = call(i, stale);
    if (status != CT_OK) ct_error_clear();
    if (i >= OPERATION_ROWS && strstr(rows[i], "ct_assign(f.v") && status != CT_ESTALE) fail();
  }
  assert_fails(ct_item(ct_reshape(stale, CT_SHAPE(6)), &f.number), CT_ESTALE, "ct_touch");
}

/* ---- wrong dtypes, shapes, axes and numbers -------------------------------------------------- */

static void test_dtypes(void **state) {
  (void)state;
  ct_tensor *(*const floats_only[])(ct_tensor *) = {
      ct_exp, ct_expm1, ct_log,  ct_log1p,   ct_sqrt,     ct_rsqrt,        ct_reciprocal,
      ct_sin, ct_cos,   ct_tanh, ct_sigmoid, ct_softplus, ct_stop_gradient};
  for (size_t k = 0; k + 1 < sizeof floats_only / sizeof *floats_only; k++) {
    assert_nil(floats_only[k](f.i), CT_EDTYPE, "i32");
    assert_nil(floats_only[k](f.b), CT_EDTYPE, "bool");
    assert_nil(floats_only[k](f.u), CT_EDTYPE, "u8");
  }
  ct_tensor *(*const two[])(ct_tensor *, ct_tensor *) = {
      ct_add, ct_sub, ct_mul, ct_div, ct_pow, ct_maximum, ct_minimum, ct_mul0,
      ct_eq,  ct_ne,  ct_lt,  ct_le,  ct_gt,  ct_ge,      ct_matmul};
  for (size_t k = 0; k < sizeof two / sizeof *two; k++) {
    assert_nil(two[k](f.a, f.d), CT_EDTYPE, "ct_cast");
    assert_nil(two[k](f.u, f.a), CT_EDTYPE, "u8");
  }
  for (size_t k = 0; k < sizeof two / sizeof *two; k++)
    assert_nil(two[k](f.a, ct_ones(CT_F32, CT_SHAPE(2, 4))), CT_ESHAPE, "(2,3) and (2,4)");
  assert_nil(ct_cast(f.a, (ct_dtype)17), CT_EDTYPE, "cast");
  assert_nil(ct_cast(f.a, (ct_dtype)-1), CT_EDTYPE, "cast");
  assert_nil(ct_mean(f.i, CT_ALL, false), CT_EDTYPE, "mean");
  assert_nil(ct_logsumexp(f.u, CT_ALL, false), CT_EDTYPE, "logsumexp");
  assert_nil(ct_softmax(f.i, 0), CT_EDTYPE, "softmax");
  assert_nil(ct_log_softmax(f.i, 0), CT_EDTYPE, "log_softmax");
  assert_nil(ct_where(f.a, f.a, f.a), CT_EDTYPE, "where");
  assert_nil(ct_where(f.b, f.a, f.d), CT_EDTYPE, "where");
  assert_nil(ct_gather(f.a, f.a, 0), CT_EDTYPE, "gather");
  assert_nil(ct_scatter_add(f.a, f.i, f.d, 0), CT_EDTYPE, "scatter_add");
  assert_nil(ct_scatter_add(f.b, f.i, f.b, 0), CT_EDTYPE, "scatter_add");
  assert_nil(ct_one_hot(f.a, 2, CT_F32), CT_EDTYPE, "one_hot");
  assert_nil(ct_one_hot(f.i, 2, (ct_dtype)9), CT_EDTYPE, "one_hot");
  assert_nil(ct_concat(CT_LIST(f.a, f.d), 0), CT_EDTYPE, "concat");
  assert_nil(ct_cross_entropy(f.i, f.i), CT_EDTYPE, "cross_entropy");
  assert_nil(ct_cross_entropy(f.a, f.d), CT_EDTYPE, "cross_entropy");
  assert_nil(ct_mse(f.a, f.d, CT_MEAN), CT_EDTYPE, "f64");
  assert_nil(ct_l1(f.u, f.u, CT_MEAN), CT_EDTYPE, "u8");
  assert_nil(ct_key_fold(f.a, 1), CT_EDTYPE, "key_fold");
  assert_nil(ct_uniform(f.a, CT_F32, CT_SCALAR, 0, 1), CT_EDTYPE, "uniform");
  assert_nil(ct_uniform(f.key, CT_BOOL, CT_SCALAR, 0, 1), CT_EDTYPE, "uniform");
  assert_nil(ct_normal(f.key, CT_I32, CT_SCALAR, 0, 1), CT_EDTYPE, "normal");
  assert_nil(ct_randn(f.key, CT_U8, CT_SCALAR), CT_EDTYPE, "randn");
  assert_nil(ct_scale(f.i, 0.5), CT_EDTYPE, "scale");
  assert_nil(ct_shift(f.i, NAN), CT_EDTYPE, "shift");
  assert_nil(ct_placeholder((ct_dtype)5, CT_SCALAR), CT_EDTYPE, "ct_placeholder");
  assert_fails(ct_assign(f.v, f.d), CT_EDTYPE, "ct_assign");
  assert_fails(ct_grad(ct_sum(f.i, CT_ALL, false), CT_LIST(f.v), f.out), CT_EDTYPE, "i32");
  assert_nil(ct_vjp(f.loss, f.v, f.d), CT_EDTYPE, "ct_vjp");
  assert_nil(ct_jvp(f.loss, f.v, f.d), CT_EDTYPE, "ct_jvp");
  assert_fails(ct_function_run(f.function, CT_LIST(f.d), f.out), CT_EDTYPE, "ct_function_run");
  assert_fails(ct_call_function(f.function, CT_LIST(f.d), f.out), CT_EDTYPE, "ct_call_function");
  assert_fails(ct_gradcheck(identity, NULL, CT_LIST(f.i), (ct_gradcheck_opts){0}, NULL), CT_EDTYPE,
               "ct_gradcheck");
  assert_fails(ct_accuracy(f.i, f.i, &f.number, NULL), CT_EDTYPE, "ct_accuracy");
  assert_fails(ct_top_k(f.a, f.a, 1, &f.number, NULL), CT_EDTYPE, "ct_top_k");
  assert_nil(ct_confusion(f.u, f.i), CT_EDTYPE, "ct_confusion");
  assert_fails(ct_optim_step(f.optim, CT_LIST(f.d)), CT_EDTYPE, "ct_optim_step");
  assert_fails(data_of(f.d, NULL), CT_EDTYPE, "ct_dataset_shuffle");
  assert_fails(data_of(f.a, f.u), CT_EDTYPE, "ct_dataset_shuffle");
  assert_fails(ct_standardizer_fit(&f.standard, f.d, false), CT_EDTYPE, "ct_standardizer_fit");
  assert_nil(ct_standardize(&f.standard, f.d), CT_EDTYPE, "ct_standardize");
  assert_nil(ct_image_resize(f.a, 2, 2), CT_EDTYPE, "ct_image_resize");
  assert_nil(ct_image_like_mnist(f.a, 8), CT_EDTYPE, "ct_image_like_mnist");
  assert_fails(ct_image_write_png(f.file, f.a), CT_EDTYPE, "ct_image_write_png");
}

static void test_shapes(void **state) {
  (void)state;
  ct_tensor *four = ct_ones(CT_F32, CT_SHAPE(4)), *none = ct_ones(CT_F32, CT_SHAPE(2, 0));
  assert_nil(ct_where(f.b, four, four), CT_ESHAPE, "where");
  assert_nil(ct_max(none, CT_ALL, false), CT_ESHAPE, "max");
  assert_nil(ct_min(none, CT_AXES(1), false), CT_ESHAPE, "min");
  assert_nil(ct_argmax(none, 1, false), CT_ESHAPE, "argmax");
  assert_nil(ct_reshape(f.a, CT_SHAPE(5)), CT_ESHAPE, "reshape");
  assert_nil(ct_reshape(f.a, CT_SHAPE(-1, -1)), CT_ESHAPE, "reshape");
  assert_nil(ct_reshape(none, CT_SHAPE(-1, 0)), CT_ESHAPE, "reshape");
  assert_nil(ct_broadcast_to(f.a, CT_SHAPE(3)), CT_ESHAPE, "broadcast_to");
  assert_nil(ct_concat(CT_LIST(f.a, four), 0), CT_ESHAPE, "concat");
  assert_nil(ct_stack(CT_LIST(f.a, four), 0), CT_ESHAPE, "stack");
  assert_nil(ct_squeeze(f.a, CT_AXES(0)), CT_ESHAPE, "squeeze");
  assert_nil(ct_matmul(ct_scalar(CT_F32, 1), f.a), CT_ESHAPE, "matmul");
  assert_nil(ct_scatter_add(f.a, f.i, four, 0), CT_ESHAPE, "scatter_add");
  assert_nil(ct_cross_entropy(four, f.i), CT_ESHAPE, "cross_entropy");
  assert_nil(ct_cross_entropy(f.a, ct_zeros(CT_I32, CT_SHAPE(3))), CT_ESHAPE, "cross_entropy");
  assert_nil(ct_mse(f.a, four, CT_MEAN), CT_ESHAPE, "mse");
  assert_nil(ct_l1(f.a, four, CT_MEAN), CT_ESHAPE, "l1");
  assert_nil(ct_bce_with_logits(f.a, four, CT_MEAN), CT_ESHAPE, "bce_with_logits");
  assert_nil(ct_key_fold(f.i, 1), CT_ESHAPE, "key_fold");
  assert_nil(ct_permutation(f.i, 3), CT_ESHAPE, "permutation");
  assert_nil(ct_forward(f.module, four), CT_ESHAPE, "linear");
  assert_fails(ct_split(f.a, 1, 2, f.out), CT_ESHAPE, "split");
  assert_fails(ct_item(f.a, &f.number), CT_ESHAPE, "ct_item");
  assert_fails(ct_copy_out(f.a, f.out, 1), CT_ESIZE, "ct_copy_out");
  assert_fails(ct_assign(f.v, four), CT_ESHAPE, "ct_assign");
  assert_fails(ct_grad(ct_square(f.v), CT_LIST(f.v), f.out), CT_ESHAPE, "ct_grad");
  assert_nil(ct_vjp(f.loss, f.v, f.a), CT_ESHAPE, "ct_vjp");
  assert_nil(ct_jvp(f.loss, f.v, four), CT_ESHAPE, "ct_jvp");
  assert_fails(ct_function_run(f.function, CT_LIST(four), f.out), CT_ESHAPE, "ct_function_run");
  assert_fails(ct_call_function(f.function, CT_LIST(four), f.out), CT_ESHAPE, "ct_call_function");
  assert_fails(ct_accuracy(four, f.i, &f.number, NULL), CT_ESHAPE, "ct_accuracy");
  assert_nil(ct_confusion(none, f.i), CT_ESHAPE, "ct_confusion");
  assert_fails(ct_optim_step(f.optim, CT_LIST(four)), CT_ESHAPE, "ct_optim_step");
  assert_fails(data_of(ct_scalar(CT_F32, 1), NULL), CT_ESHAPE, "ct_dataset_shuffle");
  assert_fails(data_of(f.a, ct_zeros(CT_I32, CT_SHAPE(3))), CT_ESHAPE, "ct_dataset_shuffle");
  assert_nil(ct_image_resize(ct_ones(CT_U8, CT_SHAPE(4)), 2, 2), CT_ESHAPE, "ct_image_resize");
  assert_nil(ct_image_like_mnist(ct_ones(CT_U8, CT_SHAPE(2, 2, 2, 2)), 8), CT_ESHAPE, "like_mnist");
  assert_fails(ct_image_write_png(f.file, ct_ones(CT_U8, CT_SHAPE(4))), CT_ESHAPE, "write_png");
}

static void test_axes(void **state) {
  (void)state;
  const int bad[] = {2, -3, INT32_MAX, INT32_MIN};
  const ct_axes too_many = ct_axes_make(9, (const int[9]){0, 1}), negative = {-1, {0}};
  for (int k = 0; k < 4; k++) {
    const ct_axes axes = CT_AXES(bad[k]);
    ct_tensor *(*const reductions[])(ct_tensor *, ct_axes, bool) = {ct_sum, ct_mean, ct_prod,
                                                                    ct_max, ct_min,  ct_logsumexp};
    for (int r = 0; r < 6; r++) {
      assert_nil(reductions[r](f.a, axes, false), CT_EARG, "axis");
      assert_nil(reductions[r](f.a, CT_AXES(0, 0), false), CT_EARG, "twice");
      assert_nil(reductions[r](f.a, too_many, false), CT_EARG, "axes");
      assert_nil(reductions[r](f.a, negative, false), CT_EARG, "axes");
    }
    assert_nil(ct_argmax(f.a, bad[k], false), CT_EARG, "argmax");
    assert_nil(ct_argmin(f.a, bad[k], false), CT_EARG, "argmin");
    assert_nil(ct_sort(f.a, bad[k], false, NULL), CT_EARG, "sort");
    assert_nil(ct_argsort(f.a, bad[k], false), CT_EARG, "sort");
    assert_nil(ct_permute(f.a, CT_AXES(0, bad[k])), CT_EARG, "permute");
    assert_nil(ct_transpose(f.a, 0, bad[k]), CT_EARG, "transpose");
    assert_nil(ct_slice(f.a, bad[k], 0, 1, 1), CT_EARG, "slice");
    assert_nil(ct_flip(f.a, axes), CT_EARG, "flip");
    assert_nil(ct_concat(CT_LIST(f.a), bad[k]), CT_EARG, "concat");
    assert_nil(ct_stack(CT_LIST(f.a), bad[k] == 2 ? 3 : bad[k] == -3 ? -4 : bad[k]), CT_EARG, "");
    assert_nil(ct_expand_dims(f.a, bad[k] == 2 ? 3 : bad[k] == -3 ? -4 : bad[k]), CT_EARG, "");
    assert_fails(ct_split(f.a, bad[k], 1, f.out), CT_EARG, "split");
    assert_nil(ct_pad(f.a, bad[k], 0, 0), CT_EARG, "pad");
    assert_nil(ct_squeeze(f.a, axes), CT_EARG, "squeeze");
    assert_nil(ct_flatten(f.a, bad[k]), CT_EARG, "flatten");
    assert_nil(ct_gather(f.a, f.i, bad[k]), CT_EARG, "gather");
    assert_nil(ct_scatter_add(f.a, f.i, f.a, bad[k]), CT_EARG, "scatter_add");
    assert_nil(ct_softmax(f.a, bad[k]), CT_EARG, "softmax");
    assert_nil(ct_log_softmax(f.a, bad[k]), CT_EARG, "log_softmax");
    assert_int_equal(ct_dim(f.a, bad[k]), -1);
    assert_int_equal(ct_stride(f.a, bad[k]), 0);
  }
  assert_nil(ct_permute(f.a, CT_AXES(0)), CT_EARG, "permute");
  assert_nil(ct_permute(f.a, CT_AXES(0, 0)), CT_EARG, "permute");
  assert_nil(ct_permute(f.a, too_many), CT_EARG, "permute");
}

static void test_numbers(void **state) {
  (void)state;
  const ct_shape nine = {.n = 9}, negative = {.n = -1}, less = CT_SHAPE(2, -3);
  const ct_shape bad[] = {nine, negative, less};
  for (int k = 0; k < 3; k++) {
    assert_nil(ct_empty(CT_F32, bad[k]), CT_EARG, "ct_empty");
    assert_nil(ct_zeros(CT_F32, bad[k]), CT_EARG, "ct_zeros");
    assert_nil(ct_ones(CT_F32, bad[k]), CT_EARG, "ct_ones");
    assert_nil(ct_full(CT_F32, bad[k], 1), CT_EARG, "ct_full");
    assert_nil(ct_from(CT_F32, bad[k], &f.number), CT_EARG, "ct_from");
    assert_nil(ct_wrap(CT_F32, bad[k], &f.number, (ct_wrap_opts){0}), CT_EARG, "ct_wrap");
    assert_nil(ct_placeholder(CT_F32, bad[k]), CT_EARG, "ct_placeholder");
    assert_nil(ct_reshape(f.a, bad[k]), k == 2 ? CT_ESHAPE : CT_EARG, "reshape");
    assert_true(ct_is_nil(ct_broadcast_to(f.a, bad[k])));
    ct_error_clear();
    assert_nil(ct_uniform(f.key, CT_F32, bad[k], 0, 1), CT_EARG, "uniform");
    assert_nil(ct_normal(f.key, CT_F32, bad[k], 0, 1), CT_EARG, "normal");
    assert_nil(ct_init_tensor((ct_init){0}, f.key, CT_F32, bad[k]), CT_EARG, "");
    assert_fails(ct_module_print_with(f.sink, f.module, CT_F32, bad[k]), CT_EARG, "");
  }
  assert_nil(ct_scalar(CT_U8, 256), CT_EDTYPE, "ct_scalar");
  assert_nil(ct_full(CT_I32, CT_SCALAR, 0.5), CT_EDTYPE, "ct_full");
  assert_nil(ct_full(CT_BOOL, CT_SCALAR, 2), CT_EDTYPE, "ct_full");
  assert_nil(ct_full((ct_dtype)99, CT_SCALAR, 2), CT_EDTYPE, "ct_full");
  assert_nil(ct_arange(CT_F32, 0, 1, 0), CT_EARG, "ct_arange");
  assert_nil(ct_arange(CT_F32, NAN, 1, 1), CT_EARG, "ct_arange");
  assert_nil(ct_arange(CT_F32, 0, INFINITY, 1), CT_ESIZE, "ct_arange");
  assert_nil(ct_arange(CT_I32, 0, 1, 0.25), CT_EDTYPE, "ct_arange");
  assert_nil(ct_linspace(CT_F32, 0, 1, -1), CT_EARG, "ct_linspace");
  assert_nil(ct_eye(CT_F32, -1, 2), CT_EARG, "ct_eye");
  assert_nil(ct_clamp(f.a, 1, 0), CT_EARG, "clamp");
  assert_nil(ct_clamp(f.a, NAN, 0), CT_EARG, "clamp");
  assert_nil(ct_slice(f.a, 0, 0, 1, 0), CT_EARG, "slice");
  assert_fails(ct_split(f.a, 0, 0, f.out), CT_EARG, "split");
  assert_fails(ct_split(f.a, 0, -2, f.out), CT_EARG, "split");
  assert_nil(ct_pad(f.a, 0, -1, 0), CT_EARG, "pad");
  assert_nil(ct_one_hot(f.i, -1, CT_F32), CT_EARG, "one_hot");
  assert_nil(ct_one_hot(ct_full(CT_I32, CT_SCALAR, 3), 3, CT_F32), CT_EINDEX, "one_hot");
  assert_nil(ct_gather(f.a, ct_full(CT_I32, CT_SCALAR, 2), 0), CT_EINDEX, "gather");
  assert_nil(ct_gather(f.a, ct_full(CT_I32, CT_SCALAR, -1), 0), CT_EINDEX, "gather");
  assert_nil(ct_cross_entropy(f.a, ct_full(CT_I32, CT_SHAPE(2), 3)), CT_EINDEX, "cross_entropy");
  const double smoothing[] = {-0.1, 1, NAN};
  for (int k = 0; k < 3; k++)
    assert_nil(ct_cross_entropy_with(f.a, f.i, (ct_cross_entropy_opts){smoothing[k], CT_MEAN}),
               CT_EARG, "smoothing");
  assert_nil(ct_cross_entropy_with(f.a, f.i, (ct_cross_entropy_opts){0, (ct_reduction)7}), CT_EARG,
             "reduction");
  assert_nil(ct_mse(f.a, f.a, (ct_reduction)7), CT_EARG, "mse");
  assert_nil(ct_l1(f.a, f.a, (ct_reduction)-1), CT_EARG, "l1");
  assert_nil(ct_bce_with_logits(f.a, f.a, (ct_reduction)7), CT_EARG, "bce_with_logits");
  assert_nil(ct_uniform(f.key, CT_F32, CT_SCALAR, 1, 0), CT_EARG, "uniform");
  assert_nil(ct_uniform(f.key, CT_F32, CT_SCALAR, 0, NAN), CT_EARG, "uniform");
  assert_nil(ct_normal(f.key, CT_F32, CT_SCALAR, NAN, 1), CT_EARG, "normal");
  assert_nil(ct_normal(f.key, CT_F32, CT_SCALAR, 0, -1), CT_EARG, "normal");
  assert_nil(ct_permutation(f.key, -1), CT_EARG, "permutation");
  assert_fails(ct_set_threads(0), CT_EARG, "ct_set_threads");
  assert_fails(ct_set_threads(257), CT_EARG, "ct_set_threads");
  assert_true(ct_threads() >= 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_null, setup, teardown),
      cmocka_unit_test_setup_teardown(test_nil, setup, teardown),
      cmocka_unit_test_setup_teardown(test_nil_with_a_pending_error, setup, teardown),
      cmocka_unit_test_setup_teardown(test_no_value, setup, teardown),
      cmocka_unit_test_setup_teardown(test_stale, setup, teardown),
      cmocka_unit_test_setup_teardown(test_dtypes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_shapes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_axes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
