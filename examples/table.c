/* The table of primitives as Markdown, from the records themselves: docs/primitives.md is what this
 * prints. The second table lists the functions that are composed of them. */
#include <cotangent.h>
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
    {"logsumexp", "derivative 0 where all are -infinity"},
    {"pow", "dy/db is 0 at a = 0"},
    {"mul0", "0 times NaN or infinity is 0"},
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
    {"scatter_add", "equal indices add up in order"},
    {"scatter_set", "of equal indices the last wins, with its cotangent"},
    {"maxpool", "NaN wins; the first of equal ones gets the cotangent"},
};

/* Dtypes of primitives that are not elementwise are found by trying: a use on placeholders. */
#define X     ct_placeholder(d, CT_SHAPE(4, 4))
#define IMAGE ct_placeholder(d, CT_SHAPE(1, 1, 4, 4))
#define AT    ct_placeholder(CT_I32, CT_SHAPE(4))
#define POOL  ((ct_pool_opts){.kernel = {2, 2}})

#define PROBES(PROBE)                                                                              \
  PROBE(stop_gradient, ct_stop_gradient(X))                                                        \
  PROBE(cast, ct_cast(X, CT_F64))                                                                  \
  PROBE(sum, ct_sum(X, CT_ALL, false))                                                             \
  PROBE(mean, ct_mean(X, CT_ALL, false))                                                           \
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
  PROBE(searchsorted, ct_searchsorted(X, X, false))                                                \
  PROBE(cumsum, ct_cumsum(X, 0))                                                                   \
  PROBE(matmul, ct_matmul(X, X))                                                                   \
  PROBE(conv2d, ct_conv2d(IMAGE, IMAGE, (ct_conv2d_opts){0}))                                      \
  PROBE(conv2d_transpose, ct_conv2d_transpose(IMAGE, IMAGE, (ct_conv2d_opts){0}))                  \
  PROBE(maxpool, ct_maxpool(IMAGE, POOL, NULL))                                                    \
  PROBE(avgpool, ct_avgpool(IMAGE, POOL))                                                          \
  PROBE(softmax, ct_softmax(X, 0))                                                                 \
  PROBE(log_softmax, ct_log_softmax(X, 0))                                                         \
  PROBE(cross_entropy, ct_cross_entropy(X, AT))

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
    COMPOSITE(norm, "(sum |x|^p)^(1/p), scaled"),
    COMPOSITE(var, "sum (x - mean)^2 / (n - ddof)"),
    COMPOSITE(std, "sqrt(var)"),
    COMPOSITE(layer_norm, "(x - mean) / sqrt(var + eps)"),
    COMPOSITE(nansum, "sum of where(x is NaN, 0, x)"),
    COMPOSITE(nanmean, "nansum / how many are not NaN"),
    COMPOSITE(topk, "the first k of sort, descending"),
    COMPOSITE(median, "the middle of sort"),
    COMPOSITE(histogram, "counts by searchsorted"),
    COMPOSITE(cumprod, "y[k] = prod of x[j], j <= k"),
    COMPOSITE(cummax, "y[k] = max of x[j], j <= k"),
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

static bool takes(const ct_op *op, ct_dtype d) {
  if (op->kernel) return op->kernel->loop[d];
  bool taken = false;
  for (int i = 0; i < COUNT(probes); i++)
    if (strcmp(probes[i].name, op->name) == 0) taken = !ct_is_nil(probes[i].use(d));
  ct_error_clear();
  return taken;
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
  cell(op->flags & CT_NONDIFF ? "" : "3");
  cell(convention_of(op));
  putchar('\n');
}

int main(void) {
  ct_scope scope = ct_scope_begin();
  printf("# Primitives\n\n"
         "Printed by `./run table` from the records of the library; do not edit.\n\n"
         "| primitive | formula | inputs | dtypes | VJP | JVP | batch | tested to order | "
         "convention |\n"
         "|---|---|---|---|---|---|---|---|---|\n");
  for (int i = 0; i < ct_op_count(); i++) primitive(ct_op_at(i));
  printf(
      "\n%d primitives.\n\n"
      "- VJP and JVP: `rule` is written out; `partial` is one elementwise derivative for both "
      "modes; `linear` is the operation itself; `fallback` is the derivative of a composition; "
      "`zero` by definition. Rules are made of these operations, so every order exists; the "
      "tests compare with differences up to the one in the table.\n"
      "- batch: what `ct_vmap` does: `elementwise` needs no rule; `loop` is one call for each "
      "element of the batch.\n"
      "- dtypes: of the data; empty where they depend on the use: random numbers of a key, functions, "
      "hooks, and what only other operations make. Derivatives are for f32 and f64.\n"
      "- `ct_taylor` takes the recurrence of every operation from its JVP.\n\n"
      "# Compositions\n\nDifferentiable and batched because the primitives are.\n\n"
      "| function | formula |\n|---|---|\n",
      ct_op_count());
  for (int i = 0; i < COUNT(composites); i++) {
    putchar('|');
    cell(composites[i].name);
    cell(composites[i].formula);
    putchar('\n');
  }
  return ct_scope_end(scope) != CT_OK;
}
