/* test_nn.c - modules, layers, initialisers, losses, metrics. */
#include "testing.h"

#include "nn/nn.h"
#include "optim/optim.h"

static ct_tensor *key_of(uint64_t seed) { return ct_key(seed); }

/* linear 3 -> 4, tanh, linear 4 -> 2 */
static ct_module *small_net(ct_dtype dtype) {
  ct_tensor *key = key_of(1);
  ct_linear_opts opts = {.dtype = dtype};
  return ct_nn_sequential(CT_MODULES(ct_nn_linear(ct_key_fold(key, 0), 3, 4, opts), ct_nn_tanh(),
                                     ct_nn_linear(ct_key_fold(key, 1), 4, 2, opts)));
}

/* ---- a user's own module --------------------------------------------------------------------- */

typedef struct scaled {
  ct_module base;
  ct_tensor *gain;
  ct_module *inner;
  int *released;
} scaled;

static ct_tensor *scaled_forward(ct_module *m, ct_tensor *x) {
  scaled *s = (scaled *)m;
  return ct_mul(ct_forward(s->inner, x), s->gain);
}

static void scaled_release(ct_module *m) { ++*((scaled *)m)->released; }

static const ct_module_class scaled_class = {CT_MODULE, .name = "scaled",
                                             .instance = sizeof(scaled), .forward = scaled_forward,
                                             .release = scaled_release};

static ct_module *scaled_new(ct_module *inner, int *released) {
  scaled *s = ct_module_new(&scaled_class);
  if (!s) return NULL;
  s->released = released;
  s->gain = ct_module_param(&s->base, "gain", ct_variable(ct_full(CT_F64, CT_SCALAR, 3)));
  s->inner = ct_module_child(&s->base, "inner", inner);
  return ct_module_ready(&s->base);
}

static void own_module(void **unused) {
  (void)unused;
  int released = 0;
  ct_scope scope = ct_scope_begin();
  ct_module *net = ct_nn_sequential(CT_MODULES(scaled_new(small_net(CT_F64), &released)));
  assert_non_null(net);
  ct_list p = ct_module_params(net);
  assert_int_equal(p.n, 5);
  assert_int_equal(ct_module_count(net), 1 + 12 + 4 + 8 + 2);
  assert_ptr_equal(p.at[0], ct_module_get(net, "0.gain"));
  assert_ptr_equal(p.at[4], ct_module_get(net, "0.inner.2.bias"));
  assert_nil(ct_module_get(net, "0.inner.3.bias"), CT_EINDEX, "0.inner.3.bias");
  ct_tensor *x = ct_randn(key_of(2), CT_F64, CT_SHAPE(5, 3)), *g[5];
  ct_tensor *y = ct_forward(net, x);
  assert_true(ct_shape_equal(ct_shape_of(y), CT_SHAPE(5, 2)));
  assert_ok(ct_grad(ct_sum(ct_square(y), CT_ALL, false), p, g));
  /* y is linear in the gain, so d/dgain of sum y^2 is 2 sum y^2 / gain */
  assert_near(item_of(g[0]), 2 * item_of(ct_sum(ct_square(y), CT_ALL, false)) / 3, 1e-12);
  ct_module_free(&net);
  assert_null(net);
  assert_int_equal(released, 1);
  ct_scope_end(scope);
}

/* ---- registering ----------------------------------------------------------------------------- */

static ct_tensor *same(ct_module *m, ct_tensor *x) {
  (void)m;
  return ct_neg(x);
}
static const ct_module_class plain_class = {CT_MODULE, .name = "plain",
                                            .instance = sizeof(ct_module), .forward = same};

static void registering_fails(void **unused) {
  (void)unused;
  ct_scope scope = ct_scope_begin();
  ct_tensor *one = ct_ones(CT_F32, CT_SHAPE(2));
  ct_module *m = ct_module_new(&plain_class);
  assert_non_null(ct_module_param(m, "w", ct_variable(one)));
  assert_nil(ct_module_param(m, "w", ct_variable(one)), CT_EARG, "already");
  assert_nil(ct_module_param(m, "a.b", ct_variable(one)), CT_EARG, "a.b");
  assert_nil(ct_module_param(m, "a/b", ct_variable(one)), CT_EARG, "a/b");
  assert_nil(ct_module_param(m, "", ct_variable(one)), CT_EARG, "name");
  assert_nil(ct_module_param(m, NULL, ct_variable(one)), CT_EARG, "NULL");
  assert_nil(ct_module_param(m, "x", NULL), CT_EARG, "NULL");
  assert_nil(ct_module_param(m, "x", ct_keep(one)), CT_EARG, "variable");
  assert_nil(ct_module_param(m, "x", ct_variable(ct_cast(one, CT_I32))), CT_EDTYPE, "i32");
  assert_nil(ct_module_param(m, "x", ct_variable(ct_add(one, ct_ones(CT_F32, CT_SHAPE(3))))),
             CT_ESHAPE, "add");
  assert_nil(ct_module_param(NULL, "x", ct_variable(one)), CT_EARG, "NULL");
  assert_null(ct_module_child(m, "c", NULL));
  assert_fails(ct_error_code(), CT_EARG, "NULL");
  assert_null(ct_module_child(m, "c", m));
  assert_fails(ct_error_code(), CT_EARG, "contains this one");
  assert_null(ct_module_child(NULL, "c", ct_nn_relu()));
  assert_fails(ct_error_code(), CT_EARG, "NULL");
  assert_null(ct_module_child(m, "w", ct_nn_relu()));
  assert_fails(ct_error_code(), CT_EARG, "already");
  assert_null(ct_module_ready(m));

  m = ct_module_new(&plain_class);
  ct_module *child = ct_module_child(m, "c", ct_module_new(&plain_class)), *other = child;
  assert_non_null(child);
  assert_null(ct_module_child(m, "d", child));
  assert_fails(ct_error_code(), CT_EARG, "belongs to a module already");
  assert_null(ct_module_child(child, "up", m));
  assert_fails(ct_error_code(), CT_EARG, "contains this one");
  ct_module_free(&other); /* a child stays */
  assert_null(other);
  assert_non_null(m->first);
  assert_nil(ct_forward(NULL, one), CT_EARG, "NULL");
  assert_nil(ct_forward(m, NULL), CT_EARG, "NULL");
  assert_ok(ct_module_train(m, false));
  assert_false(child->training);
  assert_fails(ct_module_train(NULL, true), CT_EARG, "NULL");
  assert_fails(ct_module_freeze(NULL, true), CT_EARG, "NULL");
  assert_fails(ct_module_each(m, NULL, NULL), CT_EARG, "NULL");
  assert_int_equal(ct_module_count(NULL), 0);
  assert_null(ct_module_new(NULL));
  assert_fails(ct_error_code(), CT_EARG, "class");
  ct_list none = ct_module_params(NULL);
  assert_true(none.n == 1 && ct_is_nil(none.at[0]));
  ct_error_clear();
  ct_module_free(&m);
  ct_module_free(NULL);
  ct_scope_end(scope);
}

/* A failing constructor inside a list frees the others. */
static void sequential_fails(void **unused) {
  (void)unused;
  ct_scope scope = ct_scope_begin();
  int released = 0;
  ct_module *m = ct_nn_sequential(CT_MODULES(scaled_new(ct_nn_relu(), &released),
                                             ct_nn_linear(key_of(1), 0, 3, (ct_linear_opts){0})));
  assert_null(m);
  assert_int_equal(released, 1);
  assert_fails(ct_error_code(), CT_EARG, "ct_nn_linear");
  assert_null(ct_nn_linear(NULL, 2, 2, (ct_linear_opts){0}));
  assert_int_not_equal(ct_error_code(), CT_OK);
  ct_error_clear();
  assert_null(ct_nn_linear(key_of(1), 2, 2, (ct_linear_opts){.dtype = CT_I32}));
  assert_fails(ct_error_code(), CT_EARG, "i32");
  assert_null(ct_nn_dropout(key_of(1), 1));
  assert_fails(ct_error_code(), CT_EARG, "0 <= p < 1");
  assert_null(ct_nn_dropout(ct_ones(CT_F32, CT_SHAPE(4)), 0.5));
  assert_int_not_equal(ct_error_code(), CT_OK);
  ct_error_clear();
  ct_scope_end(scope);
}

/* Too deep for recursion. */
static void deep_module_freed(void **unused) {
  (void)unused;
  int released = 0;
  ct_module *m = scaled_new(ct_nn_relu(), &released);
  for (int i = 0; i < 300000; i++) m = ct_nn_sequential(CT_MODULES(m));
  assert_non_null(m);
  ct_module_free(&m);
  assert_int_equal(released, 1);
}

/* ---- sharing and freezing -------------------------------------------------------------------- */

static ct_status count_visits(const ct_member_info *info, void *payload) {
  int *n = payload;
  n[info->again]++;
  return strcmp(info->name, "stop") == 0 ? CT_ESIZE : CT_OK;
}

static void sharing_and_freezing(void **unused) {
  (void)unused;
  ct_scope scope = ct_scope_begin();
  ct_module *a = ct_module_new(&plain_class), *b = ct_module_new(&plain_class);
  ct_tensor *w = ct_module_param(a, "w", ct_variable(ct_ones(CT_F32, CT_SHAPE(5))));
  ct_module_param(b, "tied", ct_keep(w));
  ct_module_param(b, "own", ct_variable(ct_ones(CT_F32, CT_SHAPE(2))));
  ct_module_buffer(b, "steps", ct_variable(ct_zeros(CT_I32, CT_SCALAR)));
  ct_module *net = ct_nn_sequential(CT_MODULES(a, b));
  assert_non_null(net);
  assert_int_equal(ct_module_params(net).n, 2);
  assert_int_equal(ct_module_count(net), 7);
  int visits[2] = {0};
  assert_ok(ct_module_each(net, count_visits, visits));
  assert_true(visits[0] == 3 && visits[1] == 1);
  ct_list cached = ct_module_params(net);
  assert_ptr_equal(cached.at, ct_module_params(net).at);
  assert_ok(ct_module_freeze(a, true)); /* the tied one is frozen too */
  assert_int_equal(ct_module_params(net).n, 1);
  assert_int_equal(ct_module_params(a).n, 0);
  assert_ptr_equal(ct_module_params(net).at[0], ct_module_get(net, "1.own"));
  assert_ok(ct_module_freeze(net, true));
  assert_int_equal(ct_module_params(net).n, 0);
  assert_int_equal(ct_module_params(b).n, 0);
  assert_ok(ct_module_freeze(net, false));
  assert_int_equal(ct_module_params(net).n, 2);
  ct_module_free(&net);
  ct_scope_end(scope);
}

/* ---- layers ---------------------------------------------------------------------------------- */

static void linear_layer(void **unused) {
  (void)unused;
  ct_scope scope = ct_scope_begin();
  ct_module *m = ct_nn_linear(key_of(3), 3, 2, (ct_linear_opts){.dtype = CT_F64});
  ct_tensor *w = ct_module_get(m, "weight"), *b = ct_module_get(m, "bias");
  assert_true(ct_shape_equal(ct_shape_of(w), CT_SHAPE(2, 3)));
  double wv[6], bv[2], yv[8], xv[12] = {1, 2, 3, -1, 0, 1, 4, 4, 4, 0, 0, 0};
  tensor_values(w, wv, 6);
  tensor_values(b, bv, 2);
  for (int i = 0; i < 6; i++) assert_true(fabs(wv[i]) <= 1 / sqrt(3) && wv[i] != wv[(i + 1) % 6]);
  tensor_values(ct_forward(m, ct_from(CT_F64, CT_SHAPE(4, 3), xv)), yv, 8);
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 2; j++) {
      double want = bv[j];
      for (int k = 0; k < 3; k++) want += xv[i * 3 + k] * wv[j * 3 + k];
      assert_near(yv[i * 2 + j], want, 1e-14);
    }
  assert_nil(ct_forward(m, ct_ones(CT_F64, CT_SHAPE(4, 2))), CT_ESHAPE, "linear");
  ct_module_free(&m);
  m = ct_nn_linear(key_of(3), 3, 2, (ct_linear_opts){.no_bias = true});
  assert_int_equal(ct_module_params(m).n, 1);
  assert_nil(ct_module_get(m, "bias"), CT_EINDEX, "bias");
  ct_module_free(&m);
  ct_scope_end(scope);
}

/* The longer side of a narrow weight is contiguous, otherwise the outputs are. */
static void linear_layouts(void **unused) {
  (void)unused;
  ct_scope scope = ct_scope_begin();
  for (int out = 10; out <= 20; out += 10) {
    ct_module *m = ct_nn_linear(key_of(3), 30, out, (ct_linear_opts){0});
    const ct_tensor *w = ct_module_get(m, "weight");
    assert_int_equal(ct_stride(w, 0), out == 10 ? 30 : 1);
    assert_int_equal(ct_stride(w, 1), out == 10 ? 1 : out);
    ct_module_free(&m);
  }
  ct_scope_end(scope);
}

static void activations(void **unused) {
  (void)unused;
  ct_scope scope = ct_scope_begin();
  ct_module *m = ct_nn_sequential(
      CT_MODULES(ct_nn_flatten(), ct_nn_sigmoid(), ct_nn_tanh(), ct_nn_relu(), ct_nn_softplus()));
  ct_tensor *x = ct_full(CT_F64, CT_SHAPE(2, 3, 4), 0.5), *y = ct_forward(m, x);
  assert_true(ct_shape_equal(ct_shape_of(y), CT_SHAPE(2, 12)));
  double v[24], want = log1p(exp(tanh(1 / (1 + exp(-0.5)))));
  tensor_values(y, v, 24);
  assert_near(v[23], want, 1e-15);
  ct_module_free(&m);
  m = ct_nn_sequential((ct_module_list){0, NULL});
  y = ct_forward(m, x);
  assert_ptr_not_equal(y, x);
  tensor_values(y, v, 24);
  assert_near(v[0], 0.5, 0);
  ct_module_free(&m);
  ct_scope_end(scope);
}

static void dropout_layer(void **unused) {
  (void)unused;
  enum { N = 20000 };
  ct_scope scope = ct_scope_begin();
  ct_module *m = ct_nn_dropout(key_of(5), 0.25);
  ct_tensor *x = ct_variable(ct_ones(CT_F32, CT_SHAPE(N))), *gx;
  static double first[N], second[N], g[N];
  ct_tensor *y = ct_forward(m, x);
  tensor_values(y, first, N);
  tensor_values(ct_forward(m, x), second, N);
  int dropped = 0, both = 0;
  for (int i = 0; i < N; i++) {
    assert_true(first[i] == 0 || fabs(first[i] - 4.0 / 3) < 1e-6);
    dropped += first[i] == 0;
    both += first[i] == 0 && second[i] == 0;
  }
  assert_near(dropped, 0.25 * N, 5 * sqrt(0.1875 * N));
  assert_near(both, 0.0625 * N, 5 * sqrt(0.0625 * N));
  assert_ok(
      ct_grad(ct_sum(y, CT_ALL, false), CT_LIST(x), &gx)); /* its own mask, not the next one */
  tensor_values(gx, g, N);
  assert_memory_equal(g, first, sizeof g);
  assert_ok(ct_module_train(m, false));
  y = ct_forward(m, x);
  assert_ptr_not_equal(y, x);
  tensor_values(y, second, N);
  for (int i = 0; i < N; i++) assert_true(second[i] == 1);

  /* the same key, the same masks; symbolic passes leave the key alone */
  ct_module *again = ct_nn_dropout(key_of(5), 0.25);
  ct_tensor *s = ct_forward(again, ct_placeholder(CT_F32, CT_SHAPE(N)));
  assert_false(ct_has_value(s));
  tensor_values(ct_forward(again, x), second, N);
  assert_memory_equal(second, first, sizeof first);
  ct_module_free(&m);
  ct_module_free(&again);
  ct_release(&x);
  ct_scope_end(scope);
}

/* The same model code, eager and as a function of a placeholder: the same bits. */
static void symbolic_equals_eager(void **unused) {
  (void)unused;
  ct_scope scope = ct_scope_begin();
  ct_module *m = small_net(CT_F32);
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(5, 3)), *y = ct_forward(m, x);
  ct_function *f = ct_function_new(CT_LIST(x), CT_LIST(y));
  assert_non_null(f);
  ct_tensor *value = ct_randn(key_of(4), CT_F32, CT_SHAPE(5, 3)), *out;
  assert_ok(ct_function_run(f, CT_LIST(value), &out));
  double a[10], b[10];
  tensor_values(out, a, 10);
  tensor_values(ct_forward(m, value), b, 10);
  assert_memory_equal(a, b, sizeof a);
  ct_function_release(&f);
  ct_module_free(&m);
  ct_scope_end(scope);
}

/* ---- initialisers ---------------------------------------------------------------------------- */

static void initialisers(void **unused) {
  (void)unused;
  enum { OUT = 100, IN = 300, N = OUT * IN };
  static double v[N];
  const struct {
    ct_init how;
    double bound, deviation; /* bound 0: none */
  } table[] = {
      {{.kind = CT_INIT_DEFAULT}, 1 / sqrt(IN), 1 / sqrt(3.0 * IN)},
      {{.kind = CT_INIT_GLOROT_UNIFORM}, sqrt(6.0 / (IN + OUT)), sqrt(2.0 / (IN + OUT))},
      {{.kind = CT_INIT_GLOROT_NORMAL}, 0, sqrt(2.0 / (IN + OUT))},
      {{.kind = CT_INIT_HE_UNIFORM}, sqrt(6.0 / IN), sqrt(2.0 / IN)},
      {{.kind = CT_INIT_HE_NORMAL}, 0, sqrt(2.0 / IN)},
      {{.kind = CT_INIT_HE_NORMAL, .fan_in = 50}, 0, sqrt(2.0 / 50)},
  };
  for (size_t k = 0; k < sizeof table / sizeof table[0]; k++) {
    ct_scope scope = ct_scope_begin();
    tensor_values(ct_init_tensor(table[k].how, key_of(k), CT_F64, CT_SHAPE(OUT, IN)), v, N);
    double sum = 0, squares = 0, largest = 0;
    for (int i = 0; i < N; i++) {
      sum += v[i];
      squares += v[i] * v[i];
      largest = fmax(largest, fabs(v[i]));
    }
    double s = table[k].deviation;
    assert_near(sum / N, 0, 5 * s / sqrt(N));
    assert_near(sqrt(squares / N), s, 0.03 * s);
    if (table[k].bound > 0)
      assert_near(largest, table[k].bound, 0.01 * table[k].bound);
    else
      assert_true(largest > 3 * s);
    ct_scope_end(scope);
  }
  ct_scope scope = ct_scope_begin();
  ct_init constant = {.kind = CT_INIT_CONSTANT, .value = 0.7};
  assert_near(item_of(ct_init_tensor(constant, NULL, CT_F64, CT_SCALAR)), 0.7, 0);
  assert_near(item_of(ct_init_tensor((ct_init){.kind = CT_INIT_ZEROS}, NULL, CT_F64, CT_SCALAR)), 0,
              0);
  assert_nil(ct_init_tensor((ct_init){.kind = (ct_init_kind)77}, NULL, CT_F64, CT_SCALAR), CT_EARG,
             "77");
  assert_true(ct_is_nil(ct_init_tensor((ct_init){0}, NULL, CT_F64, CT_SHAPE(2))));
  ct_error_clear();
  ct_scope_end(scope);
}

/* ---- losses ---------------------------------------------------------------------------------- */

static ct_tensor *bce_fn(ct_list x, void *unused) {
  (void)unused;
  return ct_bce_with_logits(x.at[0], x.at[1], CT_MEAN);
}
static ct_tensor *mse_fn(ct_list x, void *unused) {
  (void)unused;
  return ct_mse(x.at[0], x.at[1], CT_MEAN);
}

static void losses(void **unused) {
  (void)unused;
  const double yv[] = {0, 1, -2, 3, 0.5, -1}, tv[] = {1, 0, 0.25, 1, 0, 1};
  ct_scope scope = ct_scope_begin();
  ct_tensor *y = ct_from(CT_F64, CT_SHAPE(2, 3), yv), *t = ct_from(CT_F64, CT_SHAPE(2, 3), tv);
  double mse = 0, l1 = 0, bce = 0;
  for (int i = 0; i < 6; i++) {
    mse += (yv[i] - tv[i]) * (yv[i] - tv[i]);
    l1 += fabs(yv[i] - tv[i]);
    bce += fmax(yv[i], 0) - yv[i] * tv[i] + log1p(exp(-fabs(yv[i])));
  }
  assert_near(item_of(ct_mse(y, t, CT_SUM)), mse, 1e-14);
  assert_near(item_of(ct_mse(y, t, CT_MEAN)), mse / 6, 1e-14);
  assert_near(item_of(ct_l1(y, t, CT_SUM)), l1, 1e-14);
  assert_near(item_of(ct_bce_with_logits(y, t, CT_SUM)), bce, 1e-14);
  assert_true(ct_shape_equal(ct_shape_of(ct_bce_with_logits(y, t, CT_EACH)), CT_SHAPE(2, 3)));
  assert_ok(ct_gradcheck(bce_fn, NULL, CT_LIST(y, t), (ct_gradcheck_opts){0}, NULL));
  assert_ok(ct_gradcheck(mse_fn, NULL, CT_LIST(y, t), (ct_gradcheck_opts){0}, NULL));

  const double far[] = {1000, -1000, 1000, -1000, INFINITY, -INFINITY}, at[] = {1, 0, 0, 1, 1, 0};
  double each[6];
  ct_tensor *x = ct_variable(ct_from(CT_F64, CT_SHAPE(6), far)), *g;
  ct_tensor *extreme = ct_bce_with_logits(x, ct_from(CT_F64, CT_SHAPE(6), at), CT_EACH);
  tensor_values(extreme, each, 6);
  for (int i = 0; i < 6; i++) assert_near(each[i], i == 2 || i == 3 ? 1000 : 0, 0);
  assert_ok(ct_grad(ct_sum(extreme, CT_ALL, false), CT_LIST(x), &g));
  tensor_values(g, each, 6);
  for (int i = 0; i < 6; i++) assert_near(each[i], i == 2 ? 1 : i == 3 ? -1 : 0, 0);
  ct_release(&x);

  assert_nil(ct_mse(y, ct_ones(CT_F64, CT_SHAPE(3)), CT_MEAN), CT_ESHAPE, "want equal shapes");
  assert_nil(ct_mse(y, ct_cast(t, CT_F32), CT_MEAN), CT_EDTYPE, "");
  assert_nil(ct_l1(NULL, t, CT_MEAN), CT_EARG, "NULL");
  assert_nil(ct_bce_with_logits(y, ct_nil(), CT_MEAN), CT_ENIL, "nil");
  assert_nil(ct_mse(y, t, (ct_reduction)9), CT_EARG, "reduction");
  ct_scope_end(scope);
}

/* ---- metrics --------------------------------------------------------------------------------- */

static void metrics(void **unused) {
  (void)unused;
  const float v[] = {1, 2, 0, /**/ 5, 5, 1, /**/ 0, 1, 2, /**/ 3, 2, 1};
  const int32_t l[] = {1, 1, 0, 0};
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_from(CT_F32, CT_SHAPE(4, 3), v), *t = ct_from(CT_I32, CT_SHAPE(4), l);
  double p, se;
  assert_ok(ct_accuracy(x, t, &p, &se));
  assert_near(p, 0.5, 0);
  assert_near(se, 0.25, 1e-15);
  assert_ok(ct_top_k(x, t, 2, &p, NULL));
  assert_near(p, 0.75, 0);
  assert_ok(ct_top_k(x, t, 3, &p, NULL));
  assert_near(p, 1, 0);
  const double want[] = {1, 0, 1, /**/ 1, 1, 0, /**/ 0, 0, 0};
  double counts[9];
  tensor_values(ct_confusion(x, t), counts, 9);
  assert_memory_equal(counts, want, sizeof want);
  /* transposed in memory, f64 */
  ct_tensor *turned = ct_transpose(ct_contiguous(ct_transpose(ct_cast(x, CT_F64), 0, 1)), 0, 1);
  assert_ok(ct_accuracy(turned, t, &p, NULL));
  assert_near(p, 0.5, 0);
  assert_fails(ct_accuracy(t, t, &p, NULL), CT_EDTYPE, "float logits");
  assert_fails(ct_accuracy(x, ct_zeros(CT_I32, CT_SHAPE(3)), &p, NULL), CT_ESHAPE, "(4,3) and (3)");
  assert_fails(ct_accuracy(x, ct_full(CT_I32, CT_SHAPE(4), 3), &p, NULL), CT_EINDEX, "label 3");
  assert_fails(ct_accuracy(x, t, NULL, NULL), CT_EARG, "accuracy is NULL");
  assert_fails(ct_top_k(x, t, 0, &p, NULL), CT_EARG, "k >= 1");
  assert_fails(ct_accuracy(NULL, t, &p, NULL), CT_EARG, "NULL");
  assert_nil(ct_confusion(x, ct_full(CT_I32, CT_SHAPE(4), -1)), CT_EINDEX, "label -1");
  assert_nil(ct_confusion(x, ct_nil()), CT_ENIL, "ct_confusion");
  ct_scope_end(scope);
}

/* ---- printing -------------------------------------------------------------------------------- */

static void check_print(ct_module *m, bool shapes, const char *want) {
  char text[1024] = "";
  FILE *f = tmpfile();
  assert_non_null(f);
  assert_ok(shapes ? ct_module_print_with(f, m, CT_F32, CT_SHAPE(1, 784)) : ct_module_print(f, m));
  rewind(f);
  size_t n = fread(text, 1, sizeof text - 1, f);
  text[n] = '\0';
  fclose(f);
  assert_string_equal(text, want);
}

static void printing(void **unused) {
  (void)unused;
  ct_scope scope = ct_scope_begin();
  ct_module *m = ct_nn_sequential(CT_MODULES(ct_nn_linear(key_of(1), 784, 64, (ct_linear_opts){0}),
                                             ct_nn_sigmoid(), ct_nn_dropout(key_of(2), 0.1),
                                             ct_nn_linear(key_of(3), 64, 10, (ct_linear_opts){0})));
  check_print(m, false,
              "sequential                                0\n"
              "  0 linear 784 -> 64                  50240  weight (64,784)  bias (64)\n"
              "  1 sigmoid                               0\n"
              "  2 dropout p = 0.1                       0  key (4) state\n"
              "  3 linear 64 -> 10                     650  weight (10,64)  bias (10)\n"
              "50890 parameters\n");
  check_print(
      m, true,
      "sequential                       (1,10)                    0\n"
      "  0 linear 784 -> 64             (1,64)                50240  weight (64,784)  bias (64)\n"
      "  1 sigmoid                      (1,64)                    0\n"
      "  2 dropout p = 0.1              (1,64)                    0  key (4) state\n"
      "  3 linear 64 -> 10              (1,10)                  650  weight (10,64)  bias (10)\n"
      "50890 parameters\n");
  ct_module *tied = ct_module_new(&plain_class);
  ct_module_param(tied, "a", ct_keep(ct_module_get(m, "0.bias")));
  ct_module_param(tied, "b", ct_keep(ct_module_get(m, "0.bias")));
  assert_ok(ct_module_freeze(tied, true));
  check_print(tied, false,
              "plain                                    64  a (64) frozen  b (64) frozen shared\n"
              "64 parameters, 64 of them frozen\n");
  ct_module_free(&tied);
  FILE *f = tmpfile();
  assert_fails(ct_module_print_with(f, m, CT_F32, CT_SHAPE(1, 783)), CT_ESHAPE, "linear");
  assert_fails(ct_module_print(f, NULL), CT_EARG, "NULL");
  assert_fails(ct_module_print(NULL, m), CT_EARG, "NULL");
  fclose(f);
  ct_module_free(&m);
  ct_scope_end(scope);
}

/* ---- training -------------------------------------------------------------------------------- */

/* XOR with 8 hidden units. */
static void learns_xor(void **unused) {
  (void)unused;
  const float xv[] = {0, 0, 0, 1, 1, 0, 1, 1};
  const int32_t tv[] = {0, 1, 1, 0};
  ct_scope outer = ct_scope_begin();
  ct_tensor *x = ct_from(CT_F32, CT_SHAPE(4, 2), xv), *t = ct_from(CT_I32, CT_SHAPE(4), tv);
  ct_module *m =
      ct_nn_sequential(CT_MODULES(ct_nn_linear(key_of(1), 2, 8, (ct_linear_opts){0}), ct_nn_tanh(),
                                  ct_nn_linear(key_of(2), 8, 2, (ct_linear_opts){0})));
  ct_optim *o = ct_adam(ct_module_params(m), (ct_adam_opts){.lr = 0.05});
  assert_non_null(o);
  double loss = 1, accuracy = 0;
  for (int step = 0; step < 300; step++) {
    ct_scope scope = ct_scope_begin();
    assert_ok(ct_optim_minimize(o, ct_cross_entropy(ct_forward(m, x), t), &loss));
    ct_scope_end(scope);
  }
  assert_true(loss < 0.02);
  assert_ok(ct_accuracy(ct_forward(m, x), t, &accuracy, NULL));
  assert_near(accuracy, 1, 0);
  ct_optim_free(&o);
  ct_module_free(&m);
  ct_scope_end(outer);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(own_module),
      cmocka_unit_test(registering_fails),
      cmocka_unit_test(sequential_fails),
      cmocka_unit_test(deep_module_freed),
      cmocka_unit_test(sharing_and_freezing),
      cmocka_unit_test(linear_layer),
      cmocka_unit_test(linear_layouts),
      cmocka_unit_test(activations),
      cmocka_unit_test(dropout_layer),
      cmocka_unit_test(symbolic_equals_eager),
      cmocka_unit_test(initialisers),
      cmocka_unit_test(losses),
      cmocka_unit_test(metrics),
      cmocka_unit_test(printing),
      cmocka_unit_test(learns_xor),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
