/* test_batch.c - the batch rule of every primitive that has one, against a loop over the batch: all
 * cases of the registry test, every choice of batched inputs, the new axis in front and elsewhere
 * in memory, and a batch of none. */
#include "testing.h"

#include "autograd/autograd_internal.h"

#include "registry_cases.inc"

enum { MAX_IN = 3, MAX_OUT = 2, BATCH = 3 };

static char context[160];

static void require(bool condition, const char *what) {
  if (condition) return;
  print_error("%s: %s\n  %s\n", context, what, ct_error_message());
  ct_error_clear();
  fail();
}

/* ---- the inputs of a case -------------------------------------------------------------------- */

static double sample(uint32_t stream, int64_t i) {
  uint32_t word[4] = {(uint32_t)i, stream, 0, 0};
  ct_philox(word, (uint32_t[]){5, 23}, word);
  return (double)word[0] * 0x1p-32;
}

static ct_tensor *random_values(ct_shape shape, uint32_t stream, double lo, double hi) {
  ct_tensor *t = ct_empty(CT_F64, shape);
  double *at = (double *)(void *)t->v.data;
  for (int64_t i = 0; i < ct_size(t); i++) at[i] = lo + (hi - lo) * sample(stream, i);
  return t;
}

/* The values that a word describes. */
static ct_tensor *make_input(const ct_op *op, const input_word *word, uint32_t stream) {
  switch (word->kind) {
  case 'f': return random_values(word->shape, stream, op->lo, op->hi);
  case 'k': return ct_key(11);
  case 'b': return ct_gt(random_values(word->shape, stream, -1, 1), ct_scalar(CT_F64, 0));
  default: return ct_cast(random_values(word->shape, stream, 0, (double)word->below), CT_I32);
  }
}

static const ct_call *call_of(const ct_tensor *t, const ct_op *op) {
  if (!t->recipe) return NULL;
  if (ct__node_of(t)->call.op == op) return &ct__node_of(t)->call;
  const ct_call *found = NULL;
  for (int i = 0; i < t->recipe->n_in && !found; i++) found = call_of(t->recipe->in[i], op);
  return found;
}

/* ---- one call -------------------------------------------------------------------------------- */

/* Element b of the batch of an input: other numbers of the same kind. */
static ct_tensor *variant(ct_tensor *x, int b) {
  if (b == 0) return x;
  if (ct_dtype_is_float(x->v.dtype)) return ct_shift(ct_scale(x, 1 - 0.3 * b), 0.1 * b);
  return b == 1 ? ct_flip(x, CT_ALL) : ct__zeros_like(x);
}

static ct_tensor *stacked(ct_tensor *const *x, bool last) {
  ct_tensor *y = ct_stack((ct_list){BATCH, x}, last ? -1 : 0);
  if (!last) return y;
  ct_axes axes = {.n = ct_ndim(y)};
  for (int i = 0; i < axes.n; i++) axes.at[i] = (i + axes.n - 1) % axes.n;
  return ct_permute(y, axes);
}

static void require_close(ct_tensor *a, ct_tensor *b) {
  require(!ct_is_nil(a) && !ct_is_nil(b), "there is a result");
  require(ct_dtype_of(a) == ct_dtype_of(b), "the dtype is that of the loop");
  require(ct_shape_equal(ct_shape_of(a), ct_shape_of(b)), "the shape is that of the loop");
  int64_t n = ct_size(a);
  double *va = malloc((size_t)(2 * n + 1) * sizeof *va), *vb = va + n;
  assert_non_null(va);
  tensor_values(a, va, n);
  tensor_values(b, vb, n);
  bool close = true;
  for (int64_t i = 0; i < n; i++)
    close &= fabs(va[i] - vb[i]) <= 1e-12 * (1 + fabs(vb[i])) || (isnan(va[i]) && isnan(vb[i]));
  free(va);
  require(close, "the numbers are those of the loop");
}

static void check_call(const ct_call *c, ct_tensor *const *value, unsigned mask, bool last) {
  ct_tensor *each[MAX_IN][BATCH], *in[MAX_IN], *got[MAX_OUT], *want[MAX_OUT][BATCH];
  bool batched[MAX_IN];
  for (int i = 0; i < c->n_in; i++) {
    batched[i] = mask >> i & 1;
    for (int b = 0; b < BATCH; b++) each[i][b] = batched[i] ? variant(value[i], b) : value[i];
    in[i] = batched[i] ? stacked(each[i], last) : value[i];
  }
  for (int b = 0; b < BATCH; b++) {
    ct_tensor *x[MAX_IN], *y[MAX_OUT];
    for (int i = 0; i < c->n_in; i++) x[i] = each[i][b];
    require(ct__apply(c->op, c->attr, c->n_in, x, y) == CT_OK, "the operation runs");
    for (int o = 0; o < c->n_out; o++) want[o][b] = y[o];
  }
  c->op->batch(c, in, batched, got);
  for (int o = 0; o < c->n_out; o++) require_close(got[o], ct_stack((ct_list){BATCH, want[o]}, 0));
  for (int i = 0; i < c->n_in; i++)
    if (batched[i]) in[i] = ct_slice(in[i], 0, 0, 0, 1);
  c->op->batch(c, in, batched, got);
  for (int o = 0; o < c->n_out; o++) {
    ct_shape shape = ct_shape_of(ct_stack((ct_list){BATCH, want[o]}, 0));
    shape.dim[0] = 0;
    require(ct_shape_equal(ct_shape_of(got[o]), shape), "a batch of none has the right shape");
  }
}

/* The call of op that the case makes, with values for its inputs. Calls that only derivatives make
 * appear on placeholders; an input that is none of the case's own gets any values. */
static const ct_call *find_call(const ct_op *op, const registry_case *use, ct_tensor *const *given,
                                uint32_t n, ct_tensor **value) {
  const ct_call *c = call_of(use->apply(given), op);
  for (int i = 0; c && i < c->n_in; i++) value[i] = c->in[i];
  if (c) return c;
  ct_tensor *holder[MAX_IN] = {0};
  for (uint32_t k = 0; k < n; k++)
    holder[k] = ct_placeholder(ct_dtype_of(given[k]), ct_shape_of(given[k]));
  c = call_of(use->apply(holder), op);
  for (int i = 0; c && i < c->n_in; i++) {
    value[i] = random_values(ct_shape_of(c->in[i]), 50 + (uint32_t)i, op->lo, op->hi);
    for (uint32_t k = 0; k < n; k++)
      if (c->in[i] == holder[k]) value[i] = given[k];
  }
  return c;
}

static void check_case(const ct_op *op, const registry_case *use) {
  ct_scope scope = ct_scope_begin();
  ct_tensor *variable[MAX_IN] = {0}, *value[MAX_IN];
  uint32_t n = 0;
  for (const char *text = use->inputs; text; n++) {
    const input_word word = read_word(text);
    variable[n] = ct_variable(make_input(op, &word, n));
    text = word.next;
  }
  snprintf(context, sizeof context, "%s of %s", op->name, use->inputs);
  const ct_call *c = find_call(op, use, variable, n, value);
  require(c != NULL, "the case uses the primitive");
  for (unsigned mask = 1; mask < 1u << c->n_in; mask++)
    for (int last = 0; last < 2; last++) {
      snprintf(context, sizeof context, "%s of %s, batched %u%s", op->name, use->inputs, mask,
               last ? ", strided" : "");
      check_call(c, value, mask, last);
    }
  for (uint32_t i = 0; i < n; i++) ct_release(&variable[i]);
  assert_ok(ct_scope_end(scope));
}

static void batch_rules_agree_with_a_loop(void **state) {
  (void)state;
  int tried = 0;
  for (int i = 0; i < ct_op_count(); i++)
    for (int r = 0; r < CT__COUNT(cases); r++)
      if (ct_op_at(i)->batch && strcmp(cases[r].op, ct_op_at(i)->name) == 0) {
        check_case(ct_op_at(i), &cases[r]);
        tried++;
      }
  assert_true(tried > 90);
}

/* What else is there is elementwise or looped on purpose: random numbers of several keys. */
static void only_random_numbers_are_looped(void **state) {
  (void)state;
  const char *const looped[] = {"key_fold", "uniform", "normal", "permutation", "call"};
  for (int i = 0; i < ct_op_count(); i++) {
    const ct_op *op = ct_op_at(i);
    bool known = op->batch || (op->flags & CT_ELEMENTWISE) || (op->flags & CT__TRANSFORM);
    for (int k = 0; k < CT__COUNT(looped); k++) known |= strcmp(op->name, looped[k]) == 0;
    if (!known) print_error("%s has no batch rule\n", op->name);
    assert_true(known);
  }
}

/* Jacobians of products go through this: one matrix on one side is one product for the batch. */
static int count_products(const ct_tensor *t, const ct_tensor *stop, int64_t *rows) {
  if (!t->recipe || t == stop) return 0;
  const ct_call *c = &ct__node_of(t)->call;
  int n = strcmp(c->op->name, "matmul") == 0;
  if (n) *rows = ct_dim(c->in[0], 0);
  for (int i = 0; i < c->n_in; i++) n += count_products(c->in[i], stop, rows);
  return n;
}

static void one_matrix_is_one_product(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  ct_tensor *a = ct_variable(random_values(CT_SHAPE(4, 5), 1, -1, 1));
  ct_tensor *x = ct_variable(random_values(CT_SHAPE(7, 5, 1), 2, -1, 1));
  ct_tensor *y = ct_matmul(a, ct_squeeze(ct_slice(x, 0, 0, 1, 1), CT_AXES(0))), *out[1];
  const ct_call *c = &ct__node_of(y)->call;
  int64_t rows = 0;
  c->op->batch(c, (ct_tensor *[]){a, x}, (const bool[]){false, true}, out);
  assert_int_equal(ct_dim(out[0], 0), 7);
  assert_int_equal(count_products(out[0], NULL, &rows), 1);
  assert_int_equal(rows, 7); /* all vectors are the rows of one matrix */
  ct_release(&a);
  ct_release(&x);
  assert_ok(ct_scope_end(scope));
}

/* Jacobians are maps over derivatives, so both modes send batches through the rules' own
 * operations: they must agree. */
typedef ct_tensor *mapped(ct_tensor *x);

#define MAPPED(name, expression)                                                                   \
  static ct_tensor *name(ct_tensor *x) { return expression; }
MAPPED(convolved, ct_conv2d(x, ct_square(ct_slice(x, 0, 0, 1, 1)),
                            (ct_conv2d_opts){{2, 1}, {1, 2}, {1, 1}, 1, {0, 0}}))
MAPPED(spread_out, ct_conv2d_transpose(ct_tanh(x), ct_transpose(ct_slice(x, 3, 0, 2, 1), 0, 1),
                                       (ct_conv2d_opts){.stride = {2, 1}}))
MAPPED(pooled, ct_maxpool(ct_sin(x), (ct_pool_opts){{2, 2}, {1, 2}, {1, 0}}, NULL))
MAPPED(averaged, ct_square(ct_avgpool(x, (ct_pool_opts){{2, 2}, {1, 2}, {1, 0}})))
MAPPED(summed_up, ct_cumsum_with(ct_exp(x), 2, (ct_cumsum_opts){.exclusive = true}))
MAPPED(multiplied_up, ct_cumprod(x, 3))
MAPPED(recurrent, ct_linear_recurrence(ct_sin(x), x, ct_scalar(CT_F64, 0.5), 2, true))
MAPPED(largest_so_far, ct_cummax(ct_sin(x), 2))
MAPPED(best_two, ct_topk(ct_square(x), 2, 2, NULL))
MAPPED(normed, ct_norm(x, 3, CT_AXES(1, 3), false))
MAPPED(normal_layers, ct_layer_norm(x, CT_AXES(1, 2), 1e-3))
MAPPED(contracted, ct_einsum("nchw,ncwk,ncik->hki",
                             CT_LIST(x, ct_transpose(x, 2, 3), ct_sin(ct_transpose(x, 2, 3)))))
MAPPED(replaced, ct_update_slice(ct_exp(x), ct_square(ct_slice(x, 2, 1, 2, 1)), 2, 0, 1, 1))
MAPPED(set_places, ct_scatter_set(ct_exp(x), ct_from(CT_I32, CT_SHAPE(2), (const int32_t[]){1, 1}),
                                  ct_sin(ct_slice(x, 3, 0, 2, 1)), 3))
MAPPED(losses, ct_cross_entropy(ct_reshape(x, CT_SHAPE(-1, 4)),
                                ct_softmax(ct_reshape(ct_sin(x), CT_SHAPE(-1, 4)), 1)))
MAPPED(kronecker, ct_kron(ct_sum(x, CT_AXES(0, 1), false), ct_prod(x, CT_AXES(2, 3), false)))

static void jacobians_of_both_modes_agree(void **state) {
  (void)state;
  mapped *const functions[] = {convolved, spread_out,    pooled,        averaged,
                               summed_up, multiplied_up, recurrent,     largest_so_far,
                               best_two,  normed,        normal_layers, contracted,
                               replaced,  set_places,    losses,        kronecker};
  for (int i = 0; i < CT__COUNT(functions); i++) {
    ct_scope scope = ct_scope_begin();
    ct_tensor *x = ct_variable(random_values(CT_SHAPE(2, 2, 3, 4), 3, -1, 1));
    ct_tensor *y = functions[i](x);
    snprintf(context, sizeof context, "Jacobian of function %d", i);
    ct_tensor *back = ct_jacobian(y, x, CT_JACOBIAN_REVERSE);
    ct_tensor *forward = ct_jacobian(y, x, CT_JACOBIAN_FORWARD);
    require_close(back, forward);
    ct_tensor *loss = ct_mean(ct_square(y), CT_ALL, false), *g;
    require(ct_grad(loss, CT_LIST(x), &g) == CT_OK, "there is a gradient");
    require_close(ct_jacobian(g, x, CT_JACOBIAN_REVERSE), ct_jacobian(g, x, CT_JACOBIAN_FORWARD));
    ct_release(&x);
    assert_ok(ct_scope_end(scope));
  }
}

static ct_status of_eight_axes(const ct_call *c, ct_spec *out) {
  *out = (ct_spec){ct_dtype_of(c->in[0]), {.n = CT_MAX_DIMS, .dim = {1, 1, 1, 1, 1, 1, 1, 1}}};
  return CT_OK;
}

static ct_status copy_number(const ct_eval *e) {
  memcpy(e->out[0]->data, e->in[0]->data, ct_dtype_size(e->in[0]->dtype));
  return CT_OK;
}

/* The result has no room for one, whatever its extent. */
static void results_of_loops_need_an_axis_more(void **state) {
  (void)state;
  static const ct_op op = {CT_OP, .name = "spread", .n_in = 1, .infer = of_eight_axes,
                           .eval = copy_number};
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_placeholder(CT_F32, CT_SCALAR), *y = ct_apply(&op, CT_LIST(x)), *out;
  for (int64_t n = 0; n < 2; n++) {
    ct_list batched = CT_LIST(ct_ones(CT_F32, CT_SHAPE(n)));
    ct_status status = ct_vmap(CT_LIST(y), CT_LIST(x), batched, (ct_vmap_opts){0}, &out);
    assert_fails(status, n == 0 ? CT_EARG : CT_ESHAPE, "8 dimensions");
  }
  assert_ok(ct_scope_end(scope));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(batch_rules_agree_with_a_loop),
      cmocka_unit_test(only_random_numbers_are_looped),
      cmocka_unit_test(results_of_loops_need_an_axis_more),
      cmocka_unit_test(one_matrix_is_one_product),
      cmocka_unit_test(jacobians_of_both_modes_agree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
