/* The table of primitives as Markdown, from the records themselves: docs/primitives.md is what this
 * prints. The second table lists the functions that are composed of them. */
#include <cotangent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- what the records do not say ------------------------------------------------------------- */

/* The value or the derivative where the formula leaves it open. */
typedef struct convention {
  const char *name, *text;
} convention;

static const convention conventions[] = {
    {"abs", "derivative 0 at 0"},
    {"relu", "derivative 0 at 0"},
    {"leaky_relu", "derivative p at 0"},
    {"elu", "derivative p at 0"},
    {"sqrt", "derivative 0 at 0"},
    {"hypot", "derivative 0 at (0, 0)"},
    {"atan2", "derivative 0 at (0, 0)"},
    {"logaddexp", "derivative 0 where both are -infinity"},
    {"norm2", "derivative 0 at 0"},
    {"logsumexp", "derivative 0 where all are -infinity"},
    {"pow", "dy/db is 0 at a = 0"},
    {"mul0", "0 times NaN or infinity is 0"},
    {"products", "0 times NaN or infinity is 0"},
    {"maximum", "NaN wins; ties share evenly"},
    {"minimum", "NaN wins; ties share evenly"},
    {"clamp", "NaN stays; derivative 1 at both ends"},
    {"where", "the branch not taken gets 0, never its NaN"},
    {"cast", "to integer truncates and saturates, NaN gives 0"},
    {"prod", "derivative right at zeros"},
    {"max", "NaN wins; ties share evenly"},
    {"min", "NaN wins; ties share evenly"},
    {"argmax", "the first of equal ones; NaN first"},
    {"argmin", "the first of equal ones; NaN first"},
    {"sort", "stable, NaN last; cotangents follow their elements"},
    {"cummax", "NaN wins; the first of equal ones gets the cotangent"},
    {"linear_recurrence", "states carried in f64; for moving averages, discounted returns, linear "
                          "state spaces"},
    {"scatter_add", "equal indices add up in order"},
    {"scatter_set", "of equal indices the last wins, with its cotangent"},
    {"maxpool", "NaN wins; the first of equal ones gets the cotangent"},
};

/* ---- uses ------------------------------------------------------------------------------------ */

/* What a primitive takes and gives is found by trying: a use on placeholders tells its dtypes, one
 * on values of the interval that its record names is differentiated. */
enum { MOST = 4 };
static struct {
  const ct_op *op; /* whose interval; NULL: placeholders */
  ct_tensor *made[MOST];
  int n;
} sample;

static ct_tensor *operand(ct_dtype d, ct_shape shape) {
  if (!sample.op || sample.n == MOST || !ct_dtype_is_float(d)) return ct_placeholder(d, shape);
  ct_tensor *key = ct_key((uint64_t)sample.n + 1);
  ct_tensor *x = ct_variable(ct_uniform(key, d, shape, sample.op->lo, sample.op->hi));
  return sample.made[sample.n++] = x;
}

#define X     operand(d, CT_SHAPE(4, 4))
#define LINE  operand(d, CT_SHAPE(4))
#define IMAGE operand(d, CT_SHAPE(1, 1, 4, 4))
#define AT    ct_arange(CT_I32, 0, 4, 1)
#define POOL  ((ct_pool_opts){.kernel = {2, 2}})

/* What only derivatives make. */
static ct_tensor *pool_gradient(ct_tensor *x, ct_tensor *gy) {
  return ct_vjp(ct_avgpool(x, POOL), x, gy);
}
static ct_tensor *log_softmax_gradient(ct_tensor *x, ct_tensor *gy) {
  return ct_vjp(ct_log_softmax(x, 0), x, gy);
}
static ct_tensor *log_softmax_tangent(ct_tensor *x, ct_tensor *dx) {
  return ct_jvp(ct_log_softmax(x, 0), x, dx);
}
static ct_tensor *loss_gradient(ct_tensor *x, ct_tensor *gy) {
  ct_cross_entropy_opts each = {.reduction = CT_EACH};
  return ct_vjp(ct_cross_entropy_with(x, AT, each), x, gy);
}
static ct_tensor *sort_gradient(ct_tensor *x, ct_tensor *gy) {
  return ct_vjp(ct_sort(x, 0, false, NULL), x, gy);
}
static ct_tensor *var_tangent(ct_tensor *x, ct_tensor *dx) {
  return ct_jvp(ct_var(x, CT_AXES(-1), 0, true), x, dx);
}
static ct_tensor *layer_norm_gradient(ct_tensor *x, ct_tensor *gy) {
  return ct_vjp(ct_layer_norm(x, CT_AXES(-1), 0.1), x, gy);
}
static ct_tensor *coefficient(ct_tensor *x) {
  ct_tensor *c[3];
  return ct_taylor(ct_exp(x), x, x, 2, c) == CT_OK ? c[2] : ct_nil();
}

static void wave(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_sin(in.at[0]);
}
static void wave_rule(ct_list in, ct_tensor **out, void *payload) { /* from x, y and gy or dx */
  (void)payload;
  out[0] = ct_mul(in.at[2], ct_cos(in.at[0]));
}
static ct_tensor *custom(ct_status (*make)(ct_custom c, ct_list x, ct_tensor **y), ct_tensor *x) {
  ct_tensor *y;
  return make((ct_custom){.f = wave, .rule = wave_rule}, CT_LIST(x), &y) == CT_OK ? y : ct_nil();
}
static ct_tensor *called(ct_tensor *x) {
  ct_tensor *p = ct_placeholder(ct_dtype_of(x), ct_shape_of(x)), *y = ct_nil();
  ct_function *f = ct_function_new(CT_LIST(p), CT_LIST(ct_sin(p)));
  if (f) ct_call_function(f, CT_LIST(x), &y);
  ct_function_release(&f);
  return y;
}
static FILE *nowhere; /* for what prints when asked */

#define PROBES(PROBE)                                                                              \
  PROBE(stop_gradient, ct_stop_gradient(X))                                                        \
  PROBE(cast, ct_cast(X, CT_F64))                                                                  \
  PROBE(sum, ct_sum(X, CT_ALL, false))                                                             \
  PROBE(mean, ct_mean(X, CT_ALL, false))                                                           \
  PROBE(norm2, ct_norm(X, 2, CT_ALL, false))                                                       \
  PROBE(prod, ct_prod(X, CT_ALL, false))                                                           \
  PROBE(max, ct_max(X, CT_ALL, false))                                                             \
  PROBE(min, ct_min(X, CT_ALL, false))                                                             \
  PROBE(any, ct_any(X, CT_ALL, false))                                                             \
  PROBE(all, ct_all(X, CT_ALL, false))                                                             \
  PROBE(logsumexp, ct_logsumexp(X, CT_ALL, false))                                                 \
  PROBE(argmax, ct_argmax(X, 0, false))                                                            \
  PROBE(argmin, ct_argmin(X, 0, false))                                                            \
  PROBE(sort, ct_sort(X, 0, false, NULL))                                                          \
  PROBE(reshape, ct_reshape(X, CT_SHAPE(16)))                                                      \
  PROBE(permute, ct_transpose(X, 0, 1))                                                            \
  PROBE(broadcast_to, ct_broadcast_to(X, CT_SHAPE(2, 4, 4)))                                       \
  PROBE(concat, ct_concat(CT_LIST(X, X), 0))                                                       \
  PROBE(copy, ct_contiguous(X))                                                                    \
  PROBE(slice, ct_slice(X, 0, 1, 3, 1))                                                            \
  PROBE(pad, ct_pad(X, 0, 1, 1))                                                                   \
  PROBE(update_slice, ct_update_slice(X, X, 0, 0, 4, 1))                                           \
  PROBE(gather, ct_gather(X, AT, 0))                                                               \
  PROBE(scatter_add, ct_scatter_add(X, AT, X, 0))                                                  \
  PROBE(scatter_set, ct_scatter_set(X, AT, X, 0))                                                  \
  PROBE(one_hot, ct_one_hot(X, 4, CT_F64))                                                         \
  PROBE(put_along, sort_gradient(X, X))                                                            \
  PROBE(searchsorted, ct_searchsorted(X, X, false))                                                \
  PROBE(cumsum, ct_cumsum(X, 0))                                                                   \
  PROBE(cummax, ct_cummax(X, 0))                                                                   \
  PROBE(linear_recurrence, ct_linear_recurrence(X, X, LINE, 0, false))                             \
  PROBE(matmul, ct_matmul(X, X))                                                                   \
  PROBE(conv2d, ct_conv2d(IMAGE, IMAGE, (ct_conv2d_opts){0}))                                      \
  PROBE(conv2d_transpose, ct_conv2d_transpose(IMAGE, IMAGE, (ct_conv2d_opts){0}))                  \
  PROBE(maxpool, ct_maxpool(IMAGE, POOL, NULL))                                                    \
  PROBE(avgpool, ct_avgpool(IMAGE, POOL))                                                          \
  PROBE(softmax, ct_softmax(X, 0))                                                                 \
  PROBE(log_softmax, ct_log_softmax(X, 0))                                                         \
  PROBE(centre, var_tangent(X, X))                                                                 \
  PROBE(var, ct_var(X, CT_AXES(-1), 1, true))                                                      \
  PROBE(layer_norm, ct_layer_norm(X, CT_AXES(-1), 0.1))                                            \
  PROBE(layer_norm_grad, layer_norm_gradient(X, X))                                                \
  PROBE(cross_entropy, ct_cross_entropy(X, AT))                                                    \
  PROBE(deviation, log_softmax_tangent(X, X))                                                      \
  PROBE(balance, log_softmax_gradient(X, X))                                                       \
  PROBE(cross_entropy_grad, loss_gradient(X, LINE))                                                \
  PROBE(avgpool_transpose, pool_gradient(IMAGE, operand(d, CT_SHAPE(1, 1, 2, 2))))                 \
  PROBE(products, coefficient(X))                                                                  \
  PROBE(elu, ct_elu(X, 0.5))                                                                       \
  PROBE(leaky_relu, ct_leaky_relu(X, 0.5))                                                         \
  PROBE(polygamma, ct_polygamma(1, X))                                                             \
  PROBE(scale, ct_scale(X, 3))                                                                     \
  PROBE(shift, ct_shift(X, 3))                                                                     \
  PROBE(clamp, ct_clamp(X, -1, 1))                                                                 \
  PROBE(where, ct_where(ct_gt(X, X), X, X))                                                        \
  PROBE(call, called(X))                                                                           \
  PROBE(custom_vjp, custom(ct_custom_vjp, X))                                                      \
  PROBE(custom_jvp, custom(ct_custom_jvp, X))                                                      \
  PROBE(check, ct_check(X, "x"))                                                                   \
  PROBE(show, ct_show(X, nowhere, "x"))                                                            \
  PROBE(grad_check, ct_grad_check(X, "x"))                                                         \
  PROBE(grad_print, ct_grad_print(X, nowhere, "x"))                                                \
  PROBE(grad_scale, ct_grad_scale(X, 0.5))                                                         \
  PROBE(grad_clip, ct_grad_clip(X, -1, 1))                                                         \
  PROBE(grad_clip_norm, ct_grad_clip_norm(X, 1))

#define FUNCTION(name, use)                                                                        \
  static ct_tensor *try_##name(ct_dtype d) { return use; }
PROBES(FUNCTION)

static const struct {
  const char *name;
  ct_tensor *(*use)(ct_dtype d);
} probes[] = {
#define ROW(name, use) {#name, try_##name},
    PROBES(ROW)};

/* Functions made of primitives; sizeof fails for one that does not exist. */
typedef struct composite {
  const char *name, *formula;
} composite;

#define COMPOSITE(name, formula)                                                                   \
  { sizeof(&ct_##name) ? #name : "", formula }
static const composite composites[] = {
    COMPOSITE(transpose, "permute with two axes exchanged"),
    COMPOSITE(flip, "slice backwards"),
    COMPOSITE(stack, "concat along a new axis"),
    COMPOSITE(split, "slices of equal length"),
    COMPOSITE(squeeze, "reshape without extents of 1"),
    COMPOSITE(expand_dims, "reshape with one more extent of 1"),
    COMPOSITE(flatten, "reshape of the last axes to one"),
    COMPOSITE(argsort, "the positions that sort gives"),
    COMPOSITE(take_along_axis, "y[..., j, ...] = x[..., i[..., j, ...], ...]: flat_index, gather"),
    COMPOSITE(norm, "(sum |x|^p)^(1/p), scaled; norm2 for p = 2"),
    COMPOSITE(std, "sqrt(var)"),
    COMPOSITE(nansum, "sum of where(x is NaN, 0, x)"),
    COMPOSITE(nanmean, "nansum / how many are not NaN"),
    COMPOSITE(topk, "the first k of sort, descending"),
    COMPOSITE(median, "the middle of sort"),
    COMPOSITE(histogram, "counts by searchsorted"),
    COMPOSITE(cumprod, "y[k] = prod of x[j], j <= k: linear_recurrence with b = 0, from 1 on"),
    COMPOSITE(einsum, "sums of products over named axes, in pairs by matmul"),
    COMPOSITE(tensordot, "sum of products over pairs of axes, by matmul"),
    COMPOSITE(outer, "a[i] b[j]"),
    COMPOSITE(kron, "blocks a[i, j] b"),
    COMPOSITE(diag, "vector to diagonal matrix, matrix to diagonal"),
    COMPOSITE(diagonal, "y[..., i] = x[..., i, ..., i, ...]"),
    COMPOSITE(trace, "sum of the diagonal"),
    COMPOSITE(tril, "where(column <= row + k, x, 0)"),
    COMPOSITE(triu, "where(column >= row + k, x, 0)"),
    COMPOSITE(roll, "y[i + shift] = x[i], cyclic: concat of two slices"),
    COMPOSITE(repeat, "each element n times: broadcast_to, reshape"),
    COMPOSITE(tile, "all of x n times: broadcast_to, reshape"),
    COMPOSITE(meshgrid, "reshape and broadcast_to along one axis each"),
    COMPOSITE(mse, "mean (y - t)^2"),
    COMPOSITE(l1, "mean |y - t|"),
    COMPOSITE(bce_with_logits, "mean of softplus(x) - x t"),
};

/* ---- columns --------------------------------------------------------------------------------- */

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

/* Where each mode comes from, in the engine's order. */
static const char *reverse(const ct_op *op) {
  if (op->flags & CT_NONDIFF) return "zero";
  return op->vjp ? "rule" : op->partial ? "partial" : op->fallback ? "fallback" : "none";
}

static const char *forward(const ct_op *op) {
  if (op->flags & CT_NONDIFF) return "zero";
  return op->jvp        ? "rule"
         : op->partial  ? "partial"
         : op->linear   ? "linear"
         : op->fallback ? "fallback"
                        : "none";
}

static const char *batch(const ct_op *op) {
  return op->flags & CT_ELEMENTWISE ? "elementwise" : op->batch ? "rule" : "loop";
}

static const char *convention_of(const ct_op *op) {
  for (int i = 0; i < COUNT(conventions); i++)
    if (strcmp(conventions[i].name, op->name) == 0) return conventions[i].text;
  return "";
}

/* nil if the dtype is wrong, or no use is known. */
static ct_tensor *use(const ct_op *op, ct_dtype d) {
  for (int i = 0; i < COUNT(probes); i++)
    if (strcmp(probes[i].name, op->name) == 0) return probes[i].use(d);
  if (!(op->flags & CT_ELEMENTWISE) || op->attr_size || op->n_in < 1 || op->n_in > 2)
    return ct_nil();
  ct_tensor *in[] = {X, X};
  return ct_apply(op, (ct_list){op->n_in, in});
}

static bool takes(const ct_op *op, ct_dtype d) {
  if (op->kernel) return op->kernel->loop[d];
  bool taken = !ct_is_nil(use(op, d));
  ct_error_clear();
  return taken;
}

enum { TAYLOR = 3 };

/* All elements of a and c b are the same, but for rounding. */
static bool agree(ct_tensor *a, ct_tensor *b, double c) {
  ct_tensor *difference = ct_abs(ct_sub(a, ct_scale(b, c)));
  double largest = 0, most = 0;
  bool found = ct_item(ct_max(difference, CT_ALL, false), &largest) == CT_OK &&
               ct_item(ct_max(ct_abs(a), CT_ALL, false), &most) == CT_OK;
  return found && largest <= 1e-9 * fmax(1, most);
}

/* Taylor coefficients along a direction in x against nested tangents. */
static bool expands(ct_tensor *y, ct_tensor *x) {
  ct_tensor *v = ct_uniform(ct_key(9), CT_F64, ct_shape_of(x), -1, 1), *c[TAYLOR + 1];
  if (ct_taylor(y, x, v, TAYLOR, c) != CT_OK) return false;
  double factorial = 1;
  for (int k = 1; k <= TAYLOR; k++) {
    factorial *= k;
    if (!agree(ct_directional(y, x, v, k), c[k], factorial)) return false;
  }
  return true;
}

static const char *taylor(const ct_op *op) {
  if (op->flags & CT_NONDIFF) return "zero";
  ct_scope scope = ct_scope_begin();
  sample.op = op;
  ct_tensor *y = use(op, CT_F64);
  bool works = !ct_is_nil(y) && sample.n > 0;
  for (int i = 0; i < sample.n; i++) {
    works = works && expands(y, sample.made[i]);
    ct_release(&sample.made[i]);
  }
  sample.op = NULL;
  sample.n = 0;
  works = ct_scope_end(scope) == CT_OK && works;
  ct_error_clear();
  return works ? "yes" : "none";
}

/* A cell and what ends it; a bar in the text would, too. */
static void cell(const char *text) {
  putchar(' ');
  for (; *text; text++) {
    if (*text == '|') putchar('\\');
    putchar(*text);
  }
  printf(" |");
}

static void dtypes(const ct_op *op) {
  char text[64] = "";
  for (int d = 0; d < CT_DTYPES; d++)
    if (takes(op, (ct_dtype)d)) {
      strcat(text, text[0] ? " " : "");
      strcat(text, ct_dtype_name((ct_dtype)d));
    }
  cell(text);
}

static void primitive(const ct_op *op) {
  char inputs[16] = "any";
  if (op->n_in != CT_VARIADIC) snprintf(inputs, sizeof inputs, "%d", op->n_in);
  putchar('|');
  cell(op->name);
  cell(op->doc);
  cell(inputs);
  dtypes(op);
  cell(reverse(op));
  cell(forward(op));
  cell(batch(op));
  cell(taylor(op));
  cell(op->flags & CT_NONDIFF ? "" : "3");
  cell(convention_of(op));
  putchar('\n');
}

int main(void) {
  nowhere = fopen("/dev/null", "w");
  if (!nowhere) return 1;
  ct_scope scope = ct_scope_begin();
  printf("# Primitives\n\n"
         "Printed by `./run table` from the records of the library; do not edit.\n\n"
         "| primitive | formula | inputs | dtypes | VJP | JVP | batch | Taylor | tested to order | "
         "convention |\n"
         "|---|---|---|---|---|---|---|---|---|---|\n");
  for (int i = 0; i < ct_op_count(); i++) primitive(ct_op_at(i));
  printf(
      "\n%d primitives.\n\n"
      "- VJP and JVP: `rule` is written out; `partial` is one elementwise derivative for both "
      "modes; `linear` is the operation itself; `fallback` is the derivative of a composition; "
      "`zero` by definition. Rules are made of these operations, so every order exists; the "
      "tests compare with differences up to the one in the table.\n"
      "- batch: what `ct_vmap` does: `elementwise` needs no rule; `loop` is one call for each "
      "element of the batch.\n"
      "- Taylor: the coefficients that `ct_taylor` gives for a use on random values agree with nested "
      "tangents to order %d, for every input that is a float; tried when this is printed.\n"
      "- dtypes: of the data; empty where there are none: random numbers of a key, and what only "
      "other operations make. Derivatives are for f32 and f64.\n\n"
      "# Compositions\n\nDifferentiable and batched because the primitives are.\n\n"
      "| function | formula |\n|---|---|\n",
      ct_op_count(), TAYLOR);
  for (int i = 0; i < COUNT(composites); i++) {
    putchar('|');
    cell(composites[i].name);
    cell(composites[i].formula);
    putchar('\n');
  }
  fclose(nowhere);
  bool printed = fflush(stdout) == 0 && !ferror(stdout);
  return ct_scope_end(scope) != CT_OK || !printed;
}
