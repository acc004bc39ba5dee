/* Bad calls, continued: lists, pointers, records, options, modules, archives, optimizers. */
#include "abuse.h"

/* ---- lists ----------------------------------------------------------------------------------- */

static void test_lists(void **state) {
  (void)state;
  const ct_list bad[] = {{-1, NULL}, {2, NULL}, {INT32_MIN, NULL}};
  for (int k = 0; k < 3; k++) {
    assert_nil(ct_concat(bad[k], 0), CT_EARG, "concat");
    assert_nil(ct_stack(bad[k], 0), CT_EARG, "stack");
    assert_nil(ct_apply(ct_op_at(0), bad[k]), CT_EARG, "list");
    assert_fails(ct_apply_all(ct_op_at(0), NULL, bad[k], f.out), CT_EARG, "list");
    assert_fails(ct_vjp_all(bad[k], CT_NONE, CT_LIST(f.v), f.out), CT_EARG, "ct_vjp");
    assert_fails(ct_vjp_all(CT_LIST(f.loss), bad[k], CT_LIST(f.v), f.out), CT_EARG, "ct_vjp");
    assert_fails(ct_vjp_all(CT_LIST(f.loss), CT_LIST(NULL), bad[k], f.out), CT_EARG, "ct_vjp");
    assert_fails(ct_jvp_all(bad[k], CT_LIST(f.v), CT_LIST(f.a), f.out), CT_EARG, "ct_jvp");
    assert_fails(ct_jvp_all(CT_LIST(f.loss), bad[k], CT_LIST(f.a), f.out), CT_EARG, "ct_jvp");
    assert_fails(ct_jvp_all(CT_LIST(f.loss), CT_LIST(f.v), bad[k], f.out), CT_EARG, "ct_jvp");
    assert_fails(ct_grad(f.loss, bad[k], f.out), CT_EARG, "ct_grad");
    assert_fails(ct_value_and_grad(f.loss, bad[k], &f.number, f.out), CT_EARG, "ct_grad");
    assert_fails(ct_hvp(f.loss, bad[k], CT_LIST(f.a), f.out), CT_EARG, "ct_");
    assert_fails(ct_hvp(f.loss, CT_LIST(f.v), bad[k], f.out), CT_EARG, "ct_");
    assert_fails(ct_ggn_vp(f.loss, f.loss, CT_LIST(f.v), bad[k], f.out), CT_EARG, "ct_");
    assert_null(ct_linearize(bad[k], CT_LIST(f.v)));
    assert_fails(ct_error_code(), CT_EARG, "ct_");
    assert_null(ct_linearize(CT_LIST(f.loss), bad[k]));
    assert_fails(ct_error_code(), CT_EARG, "ct_");
    const ct_vmap_opts map = {0};
    assert_fails(ct_vmap(bad[k], CT_LIST(f.v), CT_LIST(f.a), map, f.out), CT_EARG, "ct_vmap");
    assert_fails(ct_vmap(CT_LIST(f.loss), bad[k], CT_LIST(f.a), map, f.out), CT_EARG, "ct_vmap");
    assert_fails(ct_vmap(CT_LIST(f.loss), CT_LIST(f.v), bad[k], map, f.out), CT_EARG, "ct_vmap");
    assert_null(ct_function_new(bad[k], CT_LIST(f.loss)));
    assert_fails(ct_error_code(), CT_EARG, "ct_function_new");
    assert_null(ct_function_new(CT_LIST(f.symbol), bad[k]));
    assert_fails(ct_error_code(), CT_EARG, "ct_function_new");
    assert_fails(ct_function_run(f.function, bad[k], f.out), CT_EARG, "ct_function_run");
    assert_fails(ct_call_function(f.function, bad[k], f.out), CT_EARG, "ct_call_function");
    assert_fails(ct_gradcheck(identity, NULL, bad[k], (ct_gradcheck_opts){0}, NULL), CT_EARG, "");
    assert_fails(ct_graph_dot(f.sink, bad[k], CT_NONE, CT_NONE), CT_EARG, "ct_graph_dot");
    assert_fails(ct_graph_dot(f.sink, CT_NONE, bad[k], bad[k]), CT_EARG, "ct_graph_dot");
    assert_null(ct_sgd(bad[k], (ct_sgd_opts){0}));
    assert_fails(ct_error_code(), CT_EARG, "ct_");
    assert_null(ct_adam(bad[k], (ct_adam_opts){0}));
    assert_fails(ct_error_code(), CT_EARG, "ct_");
    assert_null(ct_adamw(bad[k], (ct_adam_opts){0}));
    assert_fails(ct_error_code(), CT_EARG, "ct_");
    assert_fails(ct_optim_add_group(f.optim, bad[k], (ct_group_opts){0}), CT_EARG, "add_group");
    assert_fails(ct_optim_step(f.optim, bad[k]), CT_EARG, "ct_optim_step");
    assert_fails(ct_clip_grad_norm(bad[k], 1, f.out, NULL), CT_EARG, "ct_clip_grad_norm");
    assert_fails(ct_clip_grad_value(bad[k], 1, f.out), CT_EARG, "ct_clip_grad_value");
    assert_null(ct_nn_sequential((ct_module_list){bad[k].n, NULL}));
    assert_fails(ct_error_code(), CT_EARG, "ct_nn_sequential");
  }
  assert_nil(ct_concat(CT_NONE, 0), CT_EARG, "concat");
  assert_nil(ct_stack(CT_NONE, 0), CT_EARG, "stack");
  assert_fails(ct_vjp_all(CT_LIST(f.loss), CT_NONE, CT_LIST(f.v), f.out), CT_EARG, "ct_vjp");
  assert_fails(ct_jvp_all(CT_LIST(f.loss), CT_LIST(f.v), CT_NONE, f.out), CT_EARG, "ct_jvp");
  assert_fails(ct_grad(f.loss, CT_LIST(f.a), f.out), CT_ERECORD, "ct_grad");
  assert_fails(ct_function_run(f.function, CT_LIST(f.a, f.a), f.out), CT_EARG, "ct_function_run");
  assert_fails(ct_optim_step(f.optim, CT_LIST(f.a, f.a)), CT_EARG, "ct_optim_step");
  assert_fails(ct_optim_add_group(f.optim, CT_LIST(f.v), (ct_group_opts){0}), CT_EARG, "twice");
  assert_fails(ct_optim_add_group(f.optim, CT_LIST(f.a), (ct_group_opts){0}), CT_EARG, "variable");
  assert_int_equal(ct_shape_make(9, (const int64_t[9]){0}).n > CT_MAX_DIMS, true);
  assert_false(ct_shape_equal((ct_shape){.n = 9}, (ct_shape){.n = 9}));
}

/* ---- pointers -------------------------------------------------------------------------------- */

static void test_no_place_for_the_result(void **state) {
  (void)state;
  assert_fails(ct_item(ct_scalar(CT_F32, 1), NULL), CT_EARG, "ct_item");
  assert_fails(ct_copy_out(f.a, NULL, 24), CT_EARG, "ct_copy_out");
  assert_fails(ct_print(NULL, f.a), CT_EARG, "ct_print");
  assert_fails(ct_to_string(NULL, 8, f.a, (ct_print_opts){0}), CT_EARG, "ct_to_string");
  assert_fails(ct_split(f.a, 0, 2, NULL), CT_EARG, "split");
  assert_fails(ct_vjp_all(CT_LIST(f.loss), CT_LIST(NULL), CT_LIST(f.v), NULL), CT_EARG, "ct_vjp");
  assert_fails(ct_jvp_all(CT_LIST(f.loss), CT_LIST(f.v), CT_LIST(NULL), NULL), CT_EARG, "ct_jvp");
  assert_fails(ct_grad(f.loss, CT_LIST(f.v), NULL), CT_EARG, "ct_grad");
  assert_fails(ct_value_and_grad(f.loss, CT_LIST(f.v), NULL, f.out), CT_EARG, "");
  assert_fails(ct_value_and_grad(f.loss, CT_LIST(f.v), &f.number, NULL), CT_EARG, "");
  assert_fails(ct_hvp(f.loss, CT_LIST(f.v), CT_LIST(f.a), NULL), CT_EARG, "ct_hvp");
  assert_fails(ct_ggn_vp(f.loss, f.loss, CT_LIST(f.v), CT_LIST(f.a), NULL), CT_EARG, "ct_ggn_vp");
  assert_null(ct_transpose_linear(NULL));
  assert_fails(ct_error_code(), CT_EARG, "ct_transpose_linear");
  assert_fails(ct_function_run(f.function, CT_LIST(f.a), NULL), CT_EARG, "ct_function_run");
  assert_fails(ct_function_run(NULL, CT_LIST(f.a), f.out), CT_EARG, "ct_function_run");
  assert_fails(ct_call_function(f.function, CT_LIST(f.a), NULL), CT_EARG, "ct_call_function");
  assert_fails(ct_call_function(NULL, CT_LIST(f.a), f.out), CT_EARG, "ct_call_function");
  assert_fails(ct_graph_dot(NULL, CT_LIST(f.a), CT_NONE, CT_NONE), CT_EARG, "ct_graph_dot");
  assert_fails(ct_accuracy(f.a, f.i, NULL, NULL), CT_EARG, "ct_accuracy");
  assert_fails(ct_top_k(f.a, f.i, 1, NULL, NULL), CT_EARG, "ct_top_k");
  assert_fails(ct_clip_grad_norm(CT_LIST(f.a), 1, NULL, NULL), CT_EARG, "ct_clip_grad_norm");
  assert_fails(ct_clip_grad_value(CT_LIST(f.a), 1, NULL), CT_EARG, "ct_clip_grad_value");
  assert_fails(ct_standardizer_fit(NULL, f.a, false), CT_EARG, "ct_standardizer_fit");
  assert_nil(ct_standardize(NULL, f.a), CT_EARG, "ct_standardize");
  assert_nil(ct_from(CT_F32, CT_SHAPE(2), NULL), CT_EARG, "ct_from");
  assert_nil(ct_wrap(CT_F32, CT_SHAPE(2), NULL, (ct_wrap_opts){0}), CT_EARG, "ct_wrap");
  assert_nil(ct_wrap(CT_F64, CT_SCALAR, (char *)&f.number + 1, (ct_wrap_opts){0}), CT_EARG,
             "aligned");
  ct_tensor *x, *t;
  assert_false(ct_loader_next(NULL, &x, &t));
  assert_fails(ct_error_code(), CT_EARG, "ct_loader_next");
  assert_false(ct_loader_next(f.loader, NULL, &t));
  assert_fails(ct_error_code(), CT_EARG, "ct_loader_next");
}

static void count_loop(int64_t n, char *const *p, const int64_t *stride, const void *attr) {
  (void)p, (void)stride, (void)attr;
  f.number += (double)n;
}

/* Functions without a result: they do nothing and leave an error. */
static void test_no_result(void **state) {
  (void)state;
  float memory[4] = {0};
  ct_view y = {.data = (char *)memory, .size = 4, .ndim = 1, .dim = {4}, .stride = {1}}, x = y;
  const ct_view *many[8] = {&x, &x, &x, &x, &x, &x, &x, &x}, *none[1] = {NULL}, *deep[1] = {&x};
  x.contiguous = y.contiguous = true;
  f.number = 0;
  ct_map(1, many, NULL, count_loop, NULL);
  assert_fails(ct_error_code(), CT_EARG, "ct_map");
  ct_map(1, many, &y, NULL, NULL);
  assert_fails(ct_error_code(), CT_EARG, "ct_map");
  ct_map(1, NULL, &y, count_loop, NULL);
  assert_fails(ct_error_code(), CT_EARG, "ct_map");
  ct_map(1, none, &y, count_loop, NULL);
  assert_fails(ct_error_code(), CT_EARG, "ct_map");
  ct_map(6, many, &y, count_loop, NULL);
  assert_fails(ct_error_code(), CT_EARG, "ct_map");
  ct_map(-1, many, &y, count_loop, NULL);
  assert_fails(ct_error_code(), CT_EARG, "ct_map");
  x.ndim = 3;
  ct_map(1, deep, &y, count_loop, NULL);
  assert_fails(ct_error_code(), CT_EARG, "ct_map");
  assert_true(f.number == 0);
  uint32_t counter[4] = {0}, key[2] = {0};
  ct_philox(NULL, key, counter);
  assert_fails(ct_error_code(), CT_EARG, "philox");
  ct_philox(counter, NULL, counter);
  assert_fails(ct_error_code(), CT_EARG, "philox");
  ct_philox(counter, key, NULL);
  assert_fails(ct_error_code(), CT_EARG, "philox");
}

/* Queries answer, whatever they are asked about; what frees takes NULL. */
static void test_harmless(void **state) {
  (void)state;
  ct_tensor *const nothing[] = {NULL, ct_nil()};
  for (int k = 0; k < 2; k++) {
    assert_true(ct_is_nil(nothing[k]));
    assert_int_equal(ct_dtype_size(ct_dtype_of(nothing[k])), 4);
    assert_int_equal(ct_ndim(nothing[k]), 0);
    assert_int_equal(ct_size(nothing[k]), 0);
    assert_int_equal(ct_dim(nothing[k], 0), -1);
    assert_int_equal(ct_stride(nothing[k], 0), 0);
    assert_int_equal(ct_shape_of(nothing[k]).n, 0);
    assert_false(ct_has_value(nothing[k]));
    ct_is_contiguous(nothing[k]);
    assert_false(ct_is_recorded(nothing[k]));
    assert_false(ct_is_variable(nothing[k]));
    ct_tensor *t = nothing[k];
    ct_release(&t);
    assert_null(t);
    assert_true(ct_is_nil(ct_keep(nothing[k])));
    ct_error_clear();
    assert_true(ct_is_nil(ct_scope_return(ct_scope_begin(), nothing[k])));
    ct_error_clear();
    assert_true(ct_print(f.sink, nothing[k]) != CT_OK);
    ct_error_clear();
    assert_true(ct_to_string(NULL, 0, nothing[k], (ct_print_opts){0}) < 0);
    ct_error_clear();
  }
  ct_release(NULL);
  ct_module_free(NULL);
  ct_optim_free(NULL);
  ct_archive_free(NULL);
  ct_function_release(NULL);
  ct_loader_free(NULL);
  ct_dataset_free(NULL);
  ct_standardizer_free(NULL);
  ct_module_free(&(ct_module *){NULL});
  ct_optim_free(&(ct_optim *){NULL});
  ct_archive_free(&(ct_archive *){NULL});
  ct_function_release(&(ct_function *){NULL});
  ct_loader_free(&(ct_loader *){NULL});
  ct_dataset_free(&(ct_dataset){0});
  ct_standardizer_free(&(ct_standardizer){0});
  assert_null(ct_function_keep(NULL));
  assert_int_equal(ct_dtype_size((ct_dtype)5), 0);
  assert_int_equal(ct_dtype_size((ct_dtype)-1), 0);
  assert_non_null(ct_dtype_name((ct_dtype)5));
  assert_false(ct_dtype_is_float((ct_dtype)5));
  assert_non_null(ct_status_text((ct_status)99));
  assert_non_null(ct_version());
  assert_int_equal(ct_error_set(CT_OK, NULL), CT_EARG);
  ct_error_print(NULL);
  ct_error_clear();
  ct_error_print(f.sink);
  assert_null(ct_op_at(-1));
  assert_null(ct_op_at(ct_op_count()));
  ct_cache_limit(0);
  ct_cache_flush();
  ct_cache_limit((size_t)512 << 20);
  assert_int_equal(ct_axes_make(9, (const int[9]){0}).n > CT_MAX_DIMS, true);
  assert_int_equal(ct_optim_params(NULL).n, 0);
  assert_int_equal(ct_optim_steps(NULL), 0);
  assert_true(ct_optim_lr(NULL) == 0);
  assert_int_equal(ct_module_count(NULL), 0);
  assert_int_equal(ct_archive_count(NULL), 0);
  assert_null(ct_archive_name(NULL, 0));
  assert_null(ct_archive_name(f.archive, -1));
  assert_null(ct_archive_name(f.archive, 1));
  assert_false(ct_archive_has(NULL, "x"));
  assert_false(ct_archive_has(f.archive, NULL));
  assert_null(ct_archive_text(NULL, "x"));
  assert_null(ct_archive_text(f.archive, NULL));
  assert_int_equal(ct_loader_batches(NULL), 0);
  assert_null(ct_module_ready(NULL));
  ct_error_clear();
}

static void test_stale_scopes(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin_with(CT_NO_RECORD);
  assert_ok(ct_scope_end(s));
  assert_fails(ct_scope_end(s), CT_ESCOPE, "ct_scope_end");
  assert_nil(ct_scope_return(s, f.a), CT_ESCOPE, "ct_scope");
  assert_fails(ct_scope_end((ct_scope){0}), CT_ESCOPE, "ct_scope_end");
  assert_fails(ct_scope_end((ct_scope){.serial = 1, .depth = INT32_MAX}), CT_ESCOPE,
               "ct_scope_end");
  assert_true(ct_scope_end((ct_scope){.serial = 1, .depth = -5}) != CT_OK);
  ct_error_clear();
}

/* ---- records of primitives ------------------------------------------------------------------- */

static ct_status halve_eval(const ct_eval *e) {
  (void)e;
  return CT_OK;
}

static ct_status late_failure(const ct_eval *e) {
  (void)e;
  return ct_error_set(CT_ECHECK, "halve: cannot");
}

static ct_status infer_huge(const ct_call *c, ct_spec *spec) {
  (void)c;
  *spec = (ct_spec){CT_F32, {2, {INT64_MAX, INT64_MAX}}};
  return CT_OK;
}

static ct_status infer_nonsense(const ct_call *c, ct_spec *spec) {
  if (ct_wants(c, -1) || ct_wants(c, 9)) return ct_fail(c, CT_EARG, "wants what it has not");
  if (!ct_is_nil(ct_out(c, -1)) || !ct_is_nil(ct_out(c, 5))) return CT_EARG;
  ct_error_clear();
  *spec = (ct_spec){(ct_dtype)77, {-4, {0}}};
  return CT_OK;
}

static void test_records(void **state) {
  (void)state;
  static const ct_op good = {CT_OP, .name = "halve", .n_in = 1, .infer = ct_infer_same,
                             .eval = halve_eval};
  const ct_list one = CT_LIST(f.a);
  ct_op bad = good;
  assert_nil(ct_apply(NULL, one), CT_EARG, "ct_apply");
  assert_nil(ct_apply(&good, CT_NONE), CT_EARG, "halve");
  assert_nil(ct_apply(&good, CT_LIST(f.a, f.a)), CT_EARG, "halve");
  assert_nil(ct_apply(&good, CT_LIST(NULL)), CT_EARG, "halve");
  assert_fails(ct_apply_all(&good, NULL, one, NULL), CT_EARG, "halve");
  bad.size = 8;
  assert_nil(ct_apply(&bad, one), CT_EARG, "CT_OP");
  bad = good, bad.name = NULL;
  assert_nil(ct_apply(&bad, one), CT_EARG, "name");
  bad = good, bad.infer = NULL;
  assert_nil(ct_apply(&bad, one), CT_EARG, "infer");
  bad = good, bad.eval = NULL;
  assert_nil(ct_apply(&bad, one), CT_EARG, "eval");
  bad = good, bad.n_in = CT_VARIADIC, bad.view = ct_op_at(ct_op_count() - 1)->view;
  assert_nil(ct_apply(&bad, CT_NONE), CT_EARG, "a view");
  bad.n_out = 2;
  assert_fails(ct_apply_all(&bad, NULL, one, f.out), CT_EARG, "a view");
  bad = good, bad.attr_size = 8;
  assert_nil(ct_apply_attr(&bad, NULL, one), CT_EARG, "attributes");
  bad = good, bad.n_out = 2;
  assert_nil(ct_apply(&bad, one), CT_EARG, "ct_apply_all");
  bad = good, bad.n_out = -1;
  assert_fails(ct_apply_all(&bad, NULL, one, f.out), CT_EARG, "outputs");
  bad = good, bad.n_out = -7;
  assert_fails(ct_apply_all(&bad, NULL, one, f.out), CT_EARG, "outputs");
  bad = good, bad.n_in = -7;
  assert_nil(ct_apply(&bad, one), CT_EARG, "halve");
  bad = good, bad.eval = late_failure;
  assert_nil(ct_apply(&bad, one), CT_ECHECK, "halve");
  bad = good, bad.infer = infer_huge;
  assert_nil(ct_apply(&bad, one), CT_ESIZE, "halve");
  bad = good, bad.infer = infer_nonsense;
  assert_nil(ct_apply(&bad, one), CT_EDTYPE, "halve");
  assert_nil(ct_vjp(ct_apply(&good, CT_LIST(f.v)), f.v, f.a), CT_ENORULE, "halve");
  assert_nil(ct_jvp(ct_apply(&good, CT_LIST(f.v)), f.v, f.a), CT_ENORULE, "halve");
  bad = good, bad.n_in = CT_VARIADIC;
  assert_nil(ct_apply(&bad, CT_NONE), CT_EARG, "halve");
}

/* ---- modules --------------------------------------------------------------------------------- */

typedef struct plain {
  ct_module base;
} plain;

static ct_tensor *plain_forward(ct_module *m, ct_tensor *x) {
  (void)m;
  return ct_neg(x);
}

static const ct_module_class plain_class = {CT_MODULE, .name = "plain", .instance = sizeof(plain),
                                            .forward = plain_forward};

static ct_status stop_at_once(const ct_member_info *info, void *payload) {
  (void)payload;
  return ct_error_set(CT_ECHECK, "seen %s", info->name);
}

static void test_modules_refuse(void **state) {
  (void)state;
  ct_module_class bad = plain_class;
  assert_null(ct_module_new(NULL));
  assert_fails(ct_error_code(), CT_EARG, "ct_module_new");
  bad.instance = 4;
  assert_null(ct_module_new(&bad));
  assert_fails(ct_error_code(), CT_EARG, "ct_module_new");
  bad = plain_class, bad.forward = NULL;
  assert_null(ct_module_new(&bad));
  assert_fails(ct_error_code(), CT_EARG, "ct_module_new");
  assert_nil(ct_forward(NULL, f.a), CT_EARG, "ct_forward");
  assert_fails(ct_module_train(NULL, true), CT_EARG, "ct_module_train");
  assert_fails(ct_module_freeze(NULL, true), CT_EARG, "ct_module_freeze");
  assert_true(ct_is_nil(ct_module_params(NULL).at[0]));
  assert_fails(ct_error_code(), CT_EARG, "ct_module_params");
  assert_nil(ct_module_get(NULL, "weight"), CT_EARG, "ct_module_get");
  assert_nil(ct_module_get(f.module, NULL), CT_EARG, "ct_module_get");
  assert_nil(ct_module_get(f.module, "nothing"), CT_EINDEX, "nothing");
  assert_fails(ct_module_each(NULL, stop_at_once, NULL), CT_EARG, "ct_module_each");
  assert_fails(ct_module_each(f.module, NULL, NULL), CT_EARG, "ct_module_each");
  assert_fails(ct_module_each(f.module, stop_at_once, NULL), CT_ECHECK, "seen weight");
  assert_fails(ct_module_print(NULL, f.module), CT_EARG, "ct_module_print");
  assert_fails(ct_module_print(f.sink, NULL), CT_EARG, "ct_module_print");
  assert_fails(ct_module_print_with(NULL, f.module, CT_F32, CT_SHAPE(1, 3)), CT_EARG, "print_with");
  assert_fails(ct_module_print_with(f.sink, NULL, CT_F32, CT_SHAPE(1, 3)), CT_EARG, "print_with");
  assert_fails(ct_module_print_with(f.sink, f.module, CT_F32, CT_SHAPE(1, 4)), CT_ESHAPE, "linear");
  assert_fails(ct_module_print_with(f.sink, f.module, CT_I32, CT_SHAPE(1, 3)), CT_EDTYPE, "linear");
}

/* Registers what is wrong; the module is then good for nothing. */
static void test_registrations_refuse(void **state) {
  (void)state;
  ct_tensor *(*const add[])(ct_module *, const char *,
                            ct_tensor *) = {ct_module_param, ct_module_buffer, ct_module_state};
  const char *const names[] = {NULL, "", "a.b", "a/b", "taken"};
  for (int k = 0; k < 3; k++) {
    ct_module *m = ct_module_new(&plain_class);
    assert_false(ct_is_nil(add[k](m, "taken", ct_keep(f.v))));
    for (int n = 0; n < 5; n++)
      assert_nil(add[k](m, names[n], ct_keep(f.v)), CT_EARG, "ct_module_");
    char longer[1000];
    memset(longer, 'n', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_nil(add[k](m, longer, ct_keep(f.v)), CT_EARG, "ct_module_");
    assert_nil(add[k](m, "x", NULL), CT_EARG, "ct_module_");
    assert_nil(add[k](m, "x", ct_nil()), CT_ENIL, "ct_module_");
    assert_nil(add[k](m, "x", ct_keep(f.a)), CT_EARG, "variable");
    assert_nil(add[k](m, "x", ct_keep(f.symbol)), CT_EARG, "variable");
    assert_nil(add[k](NULL, "x", ct_keep(f.v)), CT_EARG, "ct_module_");
    assert_null(ct_module_child(m, "taken", ct_nn_relu()));
    assert_fails(ct_error_code(), CT_EARG, "ct_module_child");
    assert_null(ct_module_child(m, "x", NULL));
    assert_fails(ct_error_code(), CT_EARG, "ct_module_child");
    assert_null(ct_module_child(NULL, "x", ct_nn_tanh()));
    assert_fails(ct_error_code(), CT_EARG, "ct_module_child");
    assert_null(ct_module_child(m, "x", m)); /* itself */
    assert_fails(ct_error_code(), CT_EARG, "ct_module_child");
    assert_null(ct_module_ready(m));
    ct_error_clear();
  }
  ct_module *m = ct_module_new(&plain_class);
  assert_nil(ct_module_param(m, "i", ct_variable(f.i)), CT_EDTYPE, "ct_module_param");
  assert_null(ct_module_ready(m));
}

static void assert_no_module(ct_module *m, ct_status code, const char *who) {
  if (m) ct_module_free(&m);
  assert_fails(ct_error_code(), code, who);
}

static void test_layers_refuse(void **state) {
  (void)state;
  const ct_linear_opts none = {0};
  assert_no_module(ct_nn_linear(NULL, 3, 2, none), CT_EARG, "");
  assert_no_module(ct_nn_linear(ct_nil(), 3, 2, none), CT_ENIL, "");
  assert_no_module(ct_nn_linear(f.a, 3, 2, none), CT_EDTYPE, "");
  assert_no_module(ct_nn_linear(f.key, 0, 2, none), CT_EARG, "ct_nn_linear");
  assert_no_module(ct_nn_linear(f.key, 3, -1, none), CT_EARG, "ct_nn_linear");
  assert_no_module(ct_nn_linear(f.key, 3, 2, (ct_linear_opts){.dtype = CT_I32}), CT_EARG, "linear");
  assert_no_module(ct_nn_linear(f.key, 3, 2, (ct_linear_opts){.weight.kind = (ct_init_kind)50}),
                   CT_EARG, "kind");
  const double p[] = {1, -0.1, NAN, INFINITY};
  for (int k = 0; k < 4; k++)
    assert_no_module(ct_nn_dropout(f.key, p[k]), CT_EARG, "ct_nn_dropout");
  assert_no_module(ct_nn_dropout(NULL, 0.5), CT_EARG, "");
  assert_no_module(ct_nn_dropout(f.a, 0.5), CT_EDTYPE, "");
  assert_no_module(ct_nn_dropout(f.i, 0.5), CT_ESHAPE, "");
  assert_no_module(ct_nn_sequential(CT_MODULES(ct_nn_relu(), NULL, ct_nn_tanh())), CT_EARG, "");
  ct_module *(*const plain_layers[])(void) = {ct_nn_sigmoid, ct_nn_tanh, ct_nn_relu, ct_nn_softplus,
                                              ct_nn_flatten};
  for (int k = 0; k < 5; k++) {
    ct_module *m = plain_layers[k]();
    assert_nil(ct_forward(m, NULL), CT_EARG, "NULL");
    assert_nil(ct_forward(m, ct_nil()), CT_ENIL, "nil");
    ct_module_free(&m);
  }
  const ct_init unknown = {.kind = (ct_init_kind)-1}, fans = {.fan_in = -1};
  assert_nil(ct_init_tensor(unknown, f.key, CT_F32, CT_SHAPE(2)), CT_EARG, "ct_init_tensor");
  assert_nil(ct_init_tensor(fans, f.key, CT_F32, CT_SHAPE(2)), CT_EARG, "");
  assert_nil(ct_init_tensor((ct_init){0}, NULL, CT_F32, CT_SHAPE(2)), CT_EARG, "");
  assert_nil(ct_init_tensor((ct_init){0}, f.key, CT_BOOL, CT_SHAPE(2)), CT_EDTYPE, "");
  assert_nil(ct_init_tensor((ct_init){0}, f.key, (ct_dtype)60, CT_SHAPE(2)), CT_EDTYPE, "");
}

static void test_archives_refuse(void **state) {
  (void)state;
  const ct_restore_opts all = {0};
  char missing[TEMP_PATH + 16];
  snprintf(missing, sizeof missing, "%s/no/such", f.dir);
  assert_fails(ct_archive_add(NULL, "x", f.a), CT_EARG, "ct_archive_add");
  assert_fails(ct_archive_add(f.archive, NULL, f.a), CT_EARG, "ct_archive_add");
  assert_ok(ct_archive_add(f.archive, "x", f.a));
  assert_fails(ct_archive_add(f.archive, "x", f.a), CT_EARG, "taken");
  assert_fails(ct_archive_set_text(NULL, "k", "t"), CT_EARG, "ct_archive_set_text");
  assert_fails(ct_archive_set_text(f.archive, NULL, "t"), CT_EARG, "ct_archive_set_text");
  assert_fails(ct_archive_set_text(f.archive, "k", NULL), CT_EARG, "ct_archive_set_text");
  assert_nil(ct_archive_get(NULL, "x"), CT_EARG, "ct_archive_get");
  assert_nil(ct_archive_get(f.archive, NULL), CT_EARG, "ct_archive_get");
  assert_nil(ct_archive_get(f.archive, "y"), CT_EINDEX, "ct_archive_get");
  assert_fails(ct_archive_save(NULL, f.file), CT_EARG, "ct_archive_save");
  assert_fails(ct_archive_save(f.archive, NULL), CT_EARG, "ct_archive_save");
  assert_fails(ct_archive_save(f.archive, missing), CT_EIO, "no/such");
  assert_null(ct_archive_load(NULL));
  assert_fails(ct_error_code(), CT_EARG, "ct_archive_load");
  assert_null(ct_archive_load(missing));
  assert_fails(ct_error_code(), CT_EIO, "no/such");
  assert_null(ct_archive_load(f.dir));
  assert_fails(ct_error_code(), CT_EIO, "ct_archive_load");
  assert_fails(ct_module_store(NULL, f.archive), CT_EARG, "ct_module_store");
  assert_fails(ct_module_store(f.module, NULL), CT_EARG, "ct_module_store");
  assert_fails(ct_module_restore(NULL, f.archive, all), CT_EARG, "ct_module_restore");
  assert_fails(ct_module_restore(f.module, NULL, all), CT_EARG, "ct_module_restore");
  assert_fails(ct_module_restore(f.module, f.archive, all), CT_ESHAPE, "weight");
  assert_fails(ct_module_save(NULL, f.file), CT_EARG, "ct_module_save");
  assert_fails(ct_module_save(f.module, NULL), CT_EARG, "ct_module_save");
  assert_fails(ct_module_save(f.module, missing), CT_EIO, "no/such");
  assert_fails(ct_module_load(NULL, f.file, all), CT_EARG, "ct_module_load");
  assert_fails(ct_module_load(f.module, NULL, all), CT_EARG, "ct_module_load");
  assert_fails(ct_module_load(f.module, missing, all), CT_EIO, "no/such");
  assert_fails(ct_optim_store(NULL, f.archive), CT_EARG, "ct_optim_store");
  assert_fails(ct_optim_store(f.optim, NULL), CT_EARG, "ct_optim_store");
  assert_fails(ct_optim_restore(NULL, f.archive), CT_EARG, "ct_optim_restore");
  assert_fails(ct_optim_restore(f.optim, NULL), CT_EARG, "ct_optim_restore");
  assert_fails(ct_optim_restore(f.optim, f.archive), CT_EFORMAT, "ct_optim_restore");
}

/* ---- optimizers ------------------------------------------------------------------------------ */

static void assert_no_optim(ct_optim *o) {
  if (o) ct_optim_free(&o);
  assert_fails(ct_error_code(), CT_EARG, "option");
}

static void test_optimizers_refuse(void **state) {
  (void)state;
  const ct_list p = CT_LIST(f.v);
  const double bad[] = {-1, NAN, -INFINITY};
  for (int k = 0; k < 3; k++) {
    assert_no_optim(ct_sgd(p, (ct_sgd_opts){.lr = bad[k]}));
    assert_no_optim(ct_sgd(p, (ct_sgd_opts){.momentum = bad[k]}));
    assert_no_optim(ct_sgd(p, (ct_sgd_opts){.weight_decay = bad[k]}));
    assert_no_optim(ct_adam(p, (ct_adam_opts){.lr = bad[k]}));
    assert_no_optim(ct_adam(p, (ct_adam_opts){.beta1 = bad[k]}));
    assert_no_optim(ct_adam(p, (ct_adam_opts){.beta2 = bad[k]}));
    assert_no_optim(ct_adamw(p, (ct_adam_opts){.eps = bad[k]}));
    assert_no_optim(ct_adamw(p, (ct_adam_opts){.weight_decay = bad[k]}));
    const ct_group_opts scale = {.lr_scale = bad[k]}, decay = {.decay_scale = bad[k]};
    assert_fails(ct_optim_add_group(f.optim, CT_NONE, scale), CT_EARG, "ct_optim_add_group");
    assert_fails(ct_optim_add_group(f.optim, CT_NONE, decay), CT_EARG, "ct_optim_add_group");
    assert_fails(ct_optim_set_lr(f.optim, bad[k]), CT_EARG, "ct_optim_set_lr");
    assert_fails(ct_clip_grad_norm(CT_LIST(f.a), bad[k], f.out, NULL), CT_EARG,
                 "ct_clip_grad_norm");
    assert_fails(ct_clip_grad_value(CT_LIST(f.a), bad[k], f.out), CT_EARG, "ct_clip_grad_value");
  }
  assert_no_optim(ct_sgd(p, (ct_sgd_opts){.nesterov = true}));
  assert_no_optim(ct_adam(p, (ct_adam_opts){.beta1 = 1}));
  assert_no_optim(ct_adamw(p, (ct_adam_opts){.beta2 = 1}));
  assert_fails(ct_optim_add_group(NULL, p, (ct_group_opts){0}), CT_EARG, "ct_optim_add_group");
  assert_fails(ct_optim_step(NULL, p), CT_EARG, "ct_optim_step");
  assert_fails(ct_optim_minimize(NULL, f.loss, NULL), CT_EARG, "ct_optim_minimize");
  assert_fails(ct_optim_minimize(f.optim, f.a, NULL), CT_ESHAPE, "ct_");
  assert_fails(ct_optim_set_lr(NULL, 1), CT_EARG, "ct_optim_set_lr");
  assert_true(isnan(ct_schedule_lr(NULL, 0)));
  assert_fails(ct_error_code(), CT_EARG, "ct_schedule_lr");
  const ct_schedule schedules[] = {
      {.kind = (ct_schedule_kind)9, .lr = 1},
      {.kind = (ct_schedule_kind)-1, .lr = 1},
      {.lr = NAN},
      {.kind = CT_SCHEDULE_COSINE, .lr = 1, .total = -5},
      {.kind = CT_SCHEDULE_LINEAR, .lr = 1, .total = 5, .warmup = -1},
      {.kind = CT_SCHEDULE_ONE_CYCLE, .lr = 1, .total = 5, .rise = NAN},
  };
  for (size_t k = 0; k < sizeof schedules / sizeof *schedules; k++) {
    assert_true(isnan(ct_schedule_lr(&schedules[k], 1)));
    assert_fails(ct_error_code(), CT_EARG, "ct_schedule_lr");
  }
  assert_true(ct_optim_steps(f.optim) == 0 && ct_optim_lr(f.optim) == 0.1);
}

static void test_derivatives_refuse(void **state) {
  (void)state;
  const ct_list y = CT_LIST(f.loss), x = CT_LIST(f.v), v = CT_LIST(f.a);
  const int beyond[] = {9}, none[] = {CT_NOT_BATCHED}, low[] = {INT32_MIN + 1};
  const ct_tensor *four = ct_ones(CT_F32, CT_SHAPE(4));
  assert_nil(ct_jacobian(f.loss, f.a, CT_JACOBIAN_AUTO), CT_ERECORD, "ct_");
  assert_nil(ct_jacobian(f.loss, f.v, (ct_jacobian_mode)5), CT_EARG, "ct_jacobian");
  assert_nil(ct_hessian(ct_square(f.v), f.v), CT_ESHAPE, "ct_");
  assert_fails(ct_hvp(f.loss, x, CT_LIST((ct_tensor *)(uintptr_t)four), f.out), CT_ESHAPE, "ct_");
  assert_fails(ct_hvp(f.loss, x, CT_LIST(f.d), f.out), CT_EDTYPE, "ct_");
  assert_fails(ct_hvp(ct_square(f.v), x, v, f.out), CT_ESHAPE, "ct_");
  assert_nil(ct_directional(f.loss, f.v, f.a, -1), CT_EARG, "ct_directional");
  assert_nil(ct_directional(f.loss, f.v, f.d, 1), CT_EDTYPE, "ct_");
  assert_null(ct_linearize(CT_LIST(f.symbol), CT_LIST(f.symbol)));
  assert_fails(ct_error_code(), CT_ENOVALUE, "ct_linearize");
  assert_fails(ct_vmap(y, x, v, (ct_vmap_opts){.in_axes = beyond}, f.out), CT_EARG, "ct_vmap");
  assert_fails(ct_vmap(y, x, v, (ct_vmap_opts){.in_axes = low}, f.out), CT_EARG, "ct_vmap");
  assert_fails(ct_vmap(y, x, v, (ct_vmap_opts){.in_axes = none}, f.out), CT_EARG, "ct_vmap");
  assert_fails(ct_vmap(y, x, CT_NONE, (ct_vmap_opts){0}, f.out), CT_EARG, "ct_vmap");
  assert_fails(ct_vmap(y, x, v, (ct_vmap_opts){0}, f.out), CT_ESHAPE, "ct_vmap");
  assert_fails(ct_vmap(y, x, v, (ct_vmap_opts){0}, NULL), CT_EARG, "ct_vmap");
  ct_tensor *batch = ct_ones(CT_F32, CT_SHAPE(5, 2, 3));
  assert_fails(ct_vmap(y, x, CT_LIST(batch), (ct_vmap_opts){.out_axes = beyond}, f.out), CT_EARG,
               "ct_vmap");
  assert_ok(ct_vmap(y, x, CT_LIST(batch), (ct_vmap_opts){0}, f.out));
}

static void test_checks_refuse(void **state) {
  (void)state;
  const ct_gradcheck_opts bad[] = {{.step = NAN},     {.step = -1}, {.tolerance = NAN},
                                   {.tolerance = -1}, {.order = 3}, {.order = -1}};
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
    assert_fails(ct_gradcheck(identity, NULL, CT_LIST(f.d), bad[k], NULL), CT_EARG, "ct_gradcheck");
  assert_fails(ct_gradcheck(NULL, NULL, CT_LIST(f.d), bad[0], NULL), CT_EARG, "ct_gradcheck");
  assert_fails(ct_graph_dot(f.sink, CT_NONE, CT_LIST(f.v), CT_NONE), CT_EARG, "ct_graph_dot");
  assert_fails(ct_print(f.sink, NULL), CT_EARG, "ct_print");
  const ct_print_opts shown[] = {{.precision = -1}, {.edge = -1}, {.threshold = -1}};
  for (int k = 0; k < 3; k++)
    assert_fails(ct_to_string(NULL, 0, f.a, shown[k]), CT_EARG, "ct_to_string");
  assert_fails(ct_top_k(f.a, f.i, 0, &f.number, NULL), CT_EARG, "ct_top_k");
  assert_fails(ct_accuracy(f.a, ct_full(CT_I32, CT_SHAPE(2), 3), &f.number, NULL), CT_EINDEX,
               "label 3");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
      cmocka_unit_test_setup_teardown(test_no_place_for_the_result, setup, teardown),
      cmocka_unit_test_setup_teardown(test_no_result, setup, teardown),
      cmocka_unit_test_setup_teardown(test_harmless, setup, teardown),
      cmocka_unit_test_setup_teardown(test_stale_scopes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_records, setup, teardown),
      cmocka_unit_test_setup_teardown(test_modules_refuse, setup, teardown),
      cmocka_unit_test_setup_teardown(test_registrations_refuse, setup, teardown),
      cmocka_unit_test_setup_teardown(test_layers_refuse, setup, teardown),
      cmocka_unit_test_setup_teardown(test_archives_refuse, setup, teardown),
      cmocka_unit_test_setup_teardown(test_optimizers_refuse, setup, teardown),
      cmocka_unit_test_setup_teardown(test_derivatives_refuse, setup, teardown),
      cmocka_unit_test_setup_teardown(test_checks_refuse, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
