/* autograd_internal.h - the engine's side of a call, and what operations share. */
#ifndef COTANGENT_AUTOGRAD_INTERNAL_H
#define COTANGENT_AUTOGRAD_INTERNAL_H

#include "../tensor/tensor_internal.h"
#include "autograd.h"

/* A single element of a float dtype. */
typedef union ct__number {
  float f32;
  double f64;
} ct__number;

/* A recorded use of a primitive. The arrays lie behind it, in the same block. extra[o] of the
 * recipe is the recorded fallback's output o once the call has been expanded; extra[n_out + o], for
 * calls with several outputs, keeps the numbers of output o for rules. */
typedef struct ct__node {
  ct_recipe recipe; /* first: a recipe is its node */
  ct_call call;
  uint64_t *stamp;       /* versions of the inputs when they were used */
  bool *want;            /* scratch of a walk: input i leads to a target */
  ct_tensor **slot;      /* one per output, what a walk found for it; NULL outside of walks */
  uint64_t epoch;        /* the walk that last came here */
  struct ct__node *link; /* parent during a walk, then the next in order */
  union {
    int cursor;        /* the input a walk is at; then a number for the use of who walked */
    ct__number number; /* or the cotangent of the only output, if slot[0] says so (reverse.c) */
  };
  bool reaches;  /* leads to a target */
  bool symbolic; /* made without values */
  bool cut;      /* made symbolically while recording was off: evaluated, not differentiated */
  bool expanded;
  bool numbers; /* of a kernel, one or two single numbers of no dimension and one dtype */
} ct__node;

static inline ct__node *ct__node_of(const ct_tensor *t) { return (ct__node *)(void *)t->recipe; }
static inline ct__node *ct__node_of_call(const ct_call *c) {
  return (ct__node *)(void *)((char *)(uintptr_t)c - offsetof(ct__node, call));
}

/* ---- apply.c --------------------------------------------------------------------------------- */

/* Applies op; out gets one tensor per output, all nil on failure. */
ct_status ct__apply(const ct_op *op, const void *attr, int n_in, ct_tensor *const *in,
                    ct_tensor **out);
/* One output. */
ct_tensor *ct__apply1(const ct_op *op, const void *attr, int n_in, ct_tensor *const *in);
#define CT__APPLY(op, attr, ...)                                                                   \
  ct__apply1(op, attr, (int)(sizeof((ct_tensor *[]){__VA_ARGS__}) / sizeof(ct_tensor *)),          \
             (ct_tensor *[]){__VA_ARGS__})
/* Elementwise, of one dtype, without attributes. */
ct_tensor *ct__unary(const ct_op *op, ct_tensor *x);
ct_tensor *ct__binary(const ct_op *op, ct_tensor *a, ct_tensor *b);
/* ct_map over tensors with values; single numbers need no driver. */
static inline void ct__map_tensors(int n_in, ct_tensor *const *in, ct_tensor *out, ct_loop *loop,
                                   const void *attr) {
  static const int64_t one[CT__MAX_OPERANDS] = {1, 1, 1, 1, 1, 1};
  if (CT__LIKELY(out->v.size == 1)) {
    char *p[CT__MAX_OPERANDS];
    for (int k = 0; k < n_in; k++) p[k] = in[k]->v.data;
    p[n_in] = out->v.data;
    loop(1, p, one, attr);
    return;
  }
  const ct_view *view[CT__MAX_OPERANDS];
  for (int k = 0; k < n_in; k++) view[k] = &in[k]->v;
  ct_map(n_in, view, &out->v, loop, attr);
}
/* A node that references its inputs; no outputs yet. NULL on failure. */
ct__node *ct__node_new(const ct_op *op, const void *attr, int n_in, ct_tensor *const *in,
                       int n_out);
void ct__node_free(ct__node *n);
/* Makes t output o of the node: it owns the node from now on. */
void ct__node_adopt(ct__node *n, int o, ct_tensor *t);

/* ---- walk.c: the part of a recipe between y and x -------------------------------------------- */

/* What the walk is for: a derivative, or running the recipe again (every recorded call of any
 * dtype), with what has a value already as constants or not, or with the calls of functions taken
 * apart. */
typedef enum ct__mode { CT__VJP, CT__JVP, CT__REPLAY, CT__FROZEN, CT__COMPILE } ct__mode;

/* Flag of records without a kernel, the derivatives themselves: a replay runs their fallback. */
#define CT__TRANSFORM 0x80000000u
/* Flag of records that have one, but whose fallback is what a program compiles. */
#define CT__INLINED 0x40000000u

/* False if a walk in this mode must go through the call's fallback. */
static inline bool ct__has_rule(const ct_op *op, ct__mode mode) {
  switch (mode) {
  case CT__VJP: return op->vjp || op->partial;
  case CT__JVP: return op->jvp || op->partial || op->linear;
  case CT__REPLAY:
  case CT__FROZEN: return !(op->flags & CT__TRANSFORM);
  case CT__COMPILE: return !(op->flags & (CT__TRANSFORM | CT__INLINED));
  }
  return false;
}

typedef struct ct__walk {
  const char *who; /* for errors */
  ct__mode mode;
  ct_list x; /* targets: cut points */
  uint64_t epoch;
  ct__node *order; /* nodes that lead to a target, outputs first; through link */
  bool expands;    /* some of them have no rule */
  int *table;      /* hash of x, NULL while it is short */
  int table_size;
} ct__walk;

/* Fails with CT_ENORULE or CT_ESTALE. Expands fallbacks as the mode needs. */
ct_status ct__walk_begin(ct__walk *w, const char *who, ct__mode mode, ct_list y, ct_list x);
void ct__walk_end(ct__walk *w);
int ct__walk_find(const ct__walk *w, const ct_tensor *t);
/* The index of t in x, or -1. */
static inline int ct__walk_target(const ct__walk *w, const ct_tensor *t) {
  if (CT__LIKELY(w->x.n == 1)) return w->x.at[0] == t ? 0 : -1;
  if (w->table != NULL) return ct__walk_find(w, t);
  for (int k = 0; k < w->x.n; k++)
    if (w->x.at[k] == t) return k;
  return -1;
}
/* The node behind t if the walk goes there and leads on to a target. */
ct__node *ct__walk_node(const ct__walk *w, const ct_tensor *t);
void ct__walk_reverse(ct__walk *w); /* inputs first */
/* Makes sure a call without rule is expanded into its recorded fallback. */
ct_status ct__expand(ct__node *n);

/* ---- rules.c: the derivation order of the design --------------------------------------------- */

void ct__vjp_rule(ct__node *n, ct_tensor *const *gy, ct_tensor **gx);
void ct__jvp_rule(ct__node *n, ct_tensor *const *dx, ct_tensor **dy);
/* t * dy/dx_i of an elementwise call, 0 where t is 0 (partial.c). */
ct_tensor *ct__times_partial(const ct_call *c, int i, ct_tensor *t);
/* Whose derivative such an operation is; NULL: it is another one. */
const ct_op *ct__partial_of(const ct_op *op, const void *attr);
/* How to call the loop of an elementwise operation: operand k is input operand[k] of the call. */
typedef struct ct__loop_call {
  const void *attr;
  int n, operand[CT__MAX_OPERANDS];
} ct__loop_call;
ct_loop *ct__elementwise_loop(const ct_call *c, ct__loop_call *l); /* NULL: it has none */
/* g summed to the shape of t, for what broadcasting repeated. */
ct_tensor *ct__sum_to(ct_tensor *g, const ct_view *like);

/* ---- reverse.c: the rules, recorded or not as the current scope says ------------------------- */

/* gx: fresh tensors of the current scope. */
ct_status ct__pull_back(const char *who, ct_list y, ct_list gy, ct_list x, ct_tensor **gx);

/* ---- transforms.c ---------------------------------------------------------------------------- */

void ct__slots_clear(int n, ct_tensor **slot);
/* A result as a tensor of its own: never somebody's input. */
ct_tensor *ct__derivative(ct_tensor *t);

/* Turns computed results into outputs of one recorded call, whose fallback is their recipe. */
ct_status ct__attach(const ct_op *op, const void *attr, ct_list in, int n_out, ct_tensor **out);
/* Every tensor of l that is not NULL has a value. */
bool ct__all_valued(ct_list l);

/* As ct_function_new, but values that exist already are constants of the function. */
ct_function *ct__function_frozen(ct_list inputs, ct_list outputs);

ct_list ct__function_inputs(const ct_function *f); /* the cut points, without captured variables */
int ct__function_outputs(const ct_function *f);

/* What the attributes of a call of f begin with, and how such a record infers and evaluates. */
typedef struct ct__call_attr {
  int n_out;
  ct_function *f;
} ct__call_attr;
ct_status ct__call_infer(const ct_call *c, ct_spec *out);
ct_status ct__call_eval(const ct_eval *e);
void ct__call_fallback(const ct_call *c, ct_tensor **y);
/* Fresh placeholders like the tensors of a list; false if one could not be made. */
bool ct__placeholders(ct_list like, ct_tensor **out);
/* Hands n tensors that the scope owns to its parent, or makes all of them nil; ends the scope. */
ct_status ct__scope_return_all(ct_scope scope, ct_status status, int n, ct_tensor **t);

/* The same operation with the same attributes? */
static inline bool ct__attr_equal(const ct_op *op, const void *a, const void *b) {
  if (op->attr_equal) return op->attr_equal(a, b);
  return op->attr_size == 0 || memcmp(a, b, op->attr_size) == 0;
}

/* ---- compile/compile.c: the build that is open on this thread -------------------------------- */

bool ct__building(void);
ct_status ct__build_assign(ct_tensor *variable, ct_tensor *value);
/* y = the key, for what is made from it once. A program gives each such use of a variable a key of
 * its own, the child `next` of the one before, and leaves the child of the last in the variable, as
 * an eager pass would; ct_function_run only reads it (keys.c). */
ct_tensor *ct__draw(ct_tensor *key, int64_t next);

/* ---- graph_dot.c ----------------------------------------------------------------------------- */

/* Text inside the quotes of a label. */
void ct__put_escaped(FILE *out, const char *text);

/* ---- for operations -------------------------------------------------------------------------- */

/* The families, each a table that ends with NULL (registry.c lists them). */
typedef const ct_op *const ct__family[];
extern ct__family ct__unary_ops, ct__binary_ops, ct__misc_ops, ct__reduce_ops, ct__sort_ops,
    ct__shape_ops, ct__window_ops, ct__index_ops, ct__position_ops, ct__cumulative_ops,
    ct__matmul_ops, ct__conv_ops, ct__pool_ops, ct__softmax_ops, ct__moment_ops,
    ct__cross_entropy_ops, ct__random_ops, ct__products_ops, ct__function_ops, ct__custom_ops,
    ct__hook_ops;

/* Those that programs know: by their records, as a user's operation may have the same name. */
extern const ct_op ct__add_op, ct__sub_op, ct__mul_op, ct__div_op, ct__mul0_op, ct__neg_op,
    ct__square_op, ct__reciprocal_op, ct__relu_op, ct__not_op, ct__scale_op, ct__shift_op,
    ct__cast_op, ct__sum_op, ct__mean_op, ct__max_op, ct__min_op, ct__any_op, ct__all_op,
    ct__matmul_op, ct__cross_entropy_op, ct__cross_entropy_grad_op, ct__copy_op;
/* cross_entropy and cross_entropy_grad with the same logits, targets and attributes, at once:
 * inputs of the latter, results of both. */
extern const ct_op ct__cross_entropy_both;

static inline const ct_view *ct__in(const ct_call *c, int i) { return &c->in[i]->v; }
static inline void ct__spec_set(ct_spec *s, ct_dtype dtype, int ndim, const int64_t *dim) {
  s->dtype = dtype;
  s->shape.n = ndim;
  for (int i = 0; i < ndim && i < CT_MAX_DIMS; i++) s->shape.dim[i] = dim[i];
}
/* Ready-made infer for one input: same shape and dtype. */
ct_status ct__infer_like(const ct_call *c, ct_spec *out);
/* Bit mask of axes; fails as c's infer would with CT_EARG for a bad or repeated one. 0 axes: all.
 */
ct_status ct__axes_mask(const char *who, ct_axes axes, int ndim, unsigned *mask);
/* For constructors that look into x: fails in the name of who if x is NULL or nil; makes an axis of
 * x non-negative. */
bool ct__given(const char *who, const ct_tensor *x);
bool ct__given_axis(const char *who, const ct_tensor *x, int *axis);
/* Ready-made eval for results that are always views: for callers that bring their own memory. */
ct_status ct__view_eval(const ct_eval *e);
/* The transpose of ct_take_along_axis: g's elements added up at their positions, in zeros like x.
 */
ct_tensor *ct__put_along(const ct_view *x, ct_tensor *indices, ct_tensor *g, int axis);
/* i32, like indices: (o extent + indices[o,j,i]) inner + i, o and i over the axes before and behind
 * `axis`: positions along an axis as positions in a flattened tensor. CT_EINDEX outside 0 <= index
 * < extent. */
ct_tensor *ct__flat_index(ct_tensor *indices, int axis, int64_t extent);
/* ct_norm for p = 2, f32 or f64. */
ct_tensor *ct__norm2(ct_tensor *x, ct_axes axes, bool keepdims);
/* Along the last axis: the variance, which leaves an extent of 1, and layer normalisation. */
ct_tensor *ct__var_of_lines(ct_tensor *x, int64_t ddof);
ct_tensor *ct__layer_norm_of_lines(ct_tensor *x, double eps);
/* A 0-d constant of x's dtype. */
ct_tensor *ct__constant_like(const ct_tensor *x, double value);
/* Ready-made jvp for operations linear in all float inputs together: the operation on the tangents.
 */
void ct__jvp_joint(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy);
/* Ready-made rules for sums of the inputs and of constants: what comes passes. */
void ct__pass_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx);
void ct__pass_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy);
ct_shape ct__shape_of_view(const ct_view *v);
ct_tensor *ct__zeros_like(const ct_tensor *x);

#endif
