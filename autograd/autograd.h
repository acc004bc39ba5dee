/* autograd.h - operations, recipes and their derivatives.
 *
 * An operation whose inputs all have values runs at once. With an input that has none (a
 * placeholder, or what was made from one) its result stays symbolic: shape and dtype are known, the
 * value is not. A result is recorded if it depends on a variable or a placeholder, unless recording
 * is off (ct_scope_begin_with(CT_NO_RECORD)). Derivatives are functions from recipes to recipes,
 * built with the operations below, so they nest to any order and work eagerly and symbolically.
 *
 * Conventions for every operation here: inputs are borrowed; the result is a new tensor that
 * belongs to the current scope; a failure returns nil and sets the error (ct_error_message names
 * the operation, the shapes and what was expected). Operands broadcast as in NumPy; dtypes are
 * never mixed (use ct_cast). Derivatives exist in both modes and to every order unless said
 * otherwise. In formulas x, a, b are inputs, y is the result, gy its cotangent, gx that of x.
 */
#ifndef COTANGENT_AUTOGRAD_H
#define COTANGENT_AUTOGRAD_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- recording ------------------------------------------------------------------------------- */

/* A recorded leaf with a copy of t's value, layout kept. Owned by the caller: ct_release it. */
CT_API ct_tensor *ct_variable(ct_tensor *t);
/* A recorded leaf without a value. Owned by the current scope. */
CT_API ct_tensor *ct_placeholder(ct_dtype dtype, ct_shape shape);
/* Stores value's numbers in the variable (same shape and dtype; they may overlap). What was
 * recorded from the old value becomes CT_ESTALE. */
CT_API ct_status ct_assign(ct_tensor *variable, ct_tensor *value);
/* The same numbers without a recipe: a constant to both modes. */
CT_API ct_tensor *ct_detach(ct_tensor *t);
CT_API bool ct_is_recorded(const ct_tensor *t);
CT_API bool ct_is_variable(const ct_tensor *t);

/* ---- derivatives ----------------------------------------------------------------------------- */

/* Derivatives are taken with respect to any recorded float tensors x, leaves or not: they are cut
 * points, treated as independent of each other. An x that y does not depend on gets zeros; an x
 * that is not recorded is CT_ERECORD. Results are tensors like any other: recorded, so they can be
 * differentiated again. Eager results are computed at once with recording off; the graph of the
 * derivative is built only if it is differentiated. Errors: CT_ENORULE (names operation, input and
 * mode), CT_ESTALE (an input was overwritten since it was used), CT_EDTYPE, CT_ESHAPE. */

/* gx = J^T gy for y = f(x): one cotangent pulled back. gy has y's shape and dtype. */
CT_API ct_tensor *ct_vjp(ct_tensor *y, ct_tensor *x, ct_tensor *gy);
/* gx[j] = sum_i (dy_i/dx_j)^T gy_i; a NULL in gy is zero. gx has room for x.n tensors. */
CT_API ct_status ct_vjp_all(ct_list y, ct_list gy, ct_list x, ct_tensor **gx);
/* dy = J dx: one tangent pushed forward. dx has x's shape and dtype. */
CT_API ct_tensor *ct_jvp(ct_tensor *y, ct_tensor *x, ct_tensor *dx);
/* dy[i] = sum_j dy_i/dx_j dx_j; a NULL in dx is zero. dy has room for y.n tensors. */
CT_API ct_status ct_jvp_all(ct_list y, ct_list x, ct_list dx, ct_tensor **dy);
/* The gradient of a loss with one element: ct_vjp_all with cotangent 1. On failure all are nil. */
CT_API ct_status ct_grad(ct_tensor *loss, ct_list x, ct_tensor **gx);
/* The same, and the loss as a number. The loss must have a value. */
CT_API ct_status ct_value_and_grad(ct_tensor *loss, ct_list x, double *value, ct_tensor **gx);

/* ---- functions: recipes that run again ------------------------------------------------------- */

/* A recipe cut at its inputs, which are placeholders or any recorded tensors. Variables are read at
 * every run, recorded values in between are computed anew, everything else is constant. */
typedef struct ct_function ct_function;

/* NULL on failure. What the outputs do not need is left out. */
CT_API ct_function *ct_function_new(ct_list inputs, ct_list outputs);
CT_API ct_function *ct_function_keep(ct_function *f);
CT_API void ct_function_release(ct_function **f);
/* Runs f: inputs must have the shapes and dtypes of the placeholders. outputs has room for every
 * output; they belong to the current scope and are not recorded. */
CT_API ct_status ct_function_run(const ct_function *f, ct_list inputs, ct_tensor **outputs);
/* f as one operation of a larger recipe: differentiable, eager or symbolic. */
CT_API ct_status ct_call_function(ct_function *f, ct_list inputs, ct_tensor **outputs);
/* f's operations one by one in the larger recipe, instead of as one. */
CT_API ct_status ct_inline_function(ct_function *f, ct_list inputs, ct_tensor **outputs);

/* ---- derivatives of one's own ---------------------------------------------------------------- */

/* Results made from inputs by operations. It runs on placeholders, so it cannot look at values; nil
 * among the results is a failure. */
typedef void ct_body(ct_list in, ct_tensor **out, void *payload);

typedef struct ct_custom {
  ct_body *f;    /* x -> y, all results set */
  ct_body *rule; /* a result left NULL is zero; those for tensors that are not float are ignored */
  int n_out;     /* number of tensors in y; 0 means 1 */
  void *payload; /* given to both, which run during the call */
} ct_custom;

/* y = f(x), and the derivative is what the rule says. y has room for n_out tensors.
 *   ct_custom_vjp: the rule makes the cotangents of x, in their shapes, from x, y and gy in a row.
 *   ct_custom_jvp: the rule makes the tangents of y from x, y and dx in a row.
 * The other mode is the transpose of the rule, which must be linear in gy or dx for that
 * (CT_ENORULE). Both nest, map and can be differentiated again: the derivative of a derivative is
 * that of the rule. f and rule may refer to recorded tensors of outside, but a derivative of f with
 * respect to those is CT_ENORULE: make them inputs. */
CT_API ct_status ct_custom_vjp(ct_custom c, ct_list x, ct_tensor **y);
CT_API ct_status ct_custom_jvp(ct_custom c, ct_list x, ct_tensor **y);

/* Hooks: y = x, and what comes back to x is another cotangent. Forward mode has dy = dx. */
CT_API ct_tensor *ct_grad_scale(ct_tensor *x, double c);            /* gx = c gy; -1 reverses it */
CT_API ct_tensor *ct_grad_clip(ct_tensor *x, double lo, double hi); /* gx = min(max(gy, lo), hi) */
/* gx = gy min(1, limit / |gy|), over all elements; limit > 0. */
CT_API ct_tensor *ct_grad_clip_norm(ct_tensor *x, double limit);
/* gx = gy, if every element is finite: otherwise CT_ECHECK, which says where it is not in the
 * gradient of `name`. Names are copied; at most 63 bytes. */
CT_API ct_tensor *ct_grad_check(ct_tensor *x, const char *name);
/* gx = gy, which is printed to the stream, with the name. The stream must outlive the recipe. */
CT_API ct_tensor *ct_grad_print(ct_tensor *x, FILE *out, const char *name);
/* The same two for the value itself; both modes pass. */
CT_API ct_tensor *ct_check(ct_tensor *x, const char *name);
CT_API ct_tensor *ct_show(ct_tensor *x, FILE *out, const char *name);

/* ---- derivatives made of derivatives --------------------------------------------------------- */

/* All results are recorded like any other: these functions nest. */

typedef enum ct_jacobian_mode {
  CT_JACOBIAN_AUTO,
  CT_JACOBIAN_REVERSE,
  CT_JACOBIAN_FORWARD
} ct_jacobian_mode;

/* dy_i/dx_j in the shape of y followed by the shape of x. Reverse mode pulls back a batch of y.size
 * cotangents, forward mode pushes x.size tangents, auto takes the smaller batch. */
CT_API ct_tensor *ct_jacobian(ct_tensor *y, ct_tensor *x, ct_jacobian_mode mode);
/* d^2 loss / dx_i dx_j in the shape of x twice: the Jacobian of the gradient. */
CT_API ct_tensor *ct_hessian(ct_tensor *loss, ct_tensor *x);
/* hv[j] = sum_k d^2 loss / dx_j dx_k v_k, forward over reverse, without the Hessian. */
CT_API ct_status ct_hvp(ct_tensor *loss, ct_list x, ct_list v, ct_tensor **hv);
/* J^T H J v for loss = l(y(x)), J = dy/dx and H the Hessian of l at y: the Gauss-Newton product. */
CT_API ct_status ct_ggn_vp(ct_tensor *loss, ct_tensor *y, ct_list x, ct_list v, ct_tensor **gv);
/* d^k/dt^k y(x + t v) at t = 0, k >= 0: k nested tangents. */
CT_API ct_tensor *ct_directional(ct_tensor *y, ct_tensor *x, ct_tensor *v, int k);
/* c[k] = 1/k! d^k/dt^k y(x + t v) at t = 0 for k = 0 .. order: the Taylor coefficients along v, all
 * at once, each from those before it by the recurrence that the derivative of its operation gives.
 * The cost grows with the square of the order, where the nested tangents of ct_directional double
 * with each. c has room for order + 1 tensors. */
CT_API ct_status ct_taylor(ct_tensor *y, ct_tensor *x, ct_tensor *v, int order, ct_tensor **c);

/* The linear map dx -> dy at the values that x has now, computed once and applied by
 * ct_function_run, as often as wanted. y must have a value. NULL on failure. */
CT_API ct_function *ct_linearize(ct_list y, ct_list x);
/* The transpose of a linear function: cotangents of its outputs to cotangents of its inputs. */
CT_API ct_function *ct_transpose_linear(ct_function *f);

#define CT_NOT_BATCHED INT32_MIN

typedef struct ct_vmap_opts {
  const int *in_axes;  /* of each input: the axis to map over, or CT_NOT_BATCHED; NULL: all 0 */
  const int *out_axes; /* of each result: where the new axis stands; NULL: all 0 */
} ct_vmap_opts;

/* The recipe from x to y for every element of a batch at once: batched[i] stands for x[i] and has
 * one more axis. What does not depend on x is reused. Every operation has its batch rule or is
 * looped. out has room for y.n tensors. */
CT_API ct_status ct_vmap(ct_list y, ct_list x, ct_list batched, ct_vmap_opts opts, ct_tensor **out);

/* ---- a primitive ----------------------------------------------------------------------------- */

typedef struct ct_op ct_op;

/* Shape and dtype of a result. */
typedef struct ct_spec {
  ct_dtype dtype;
  ct_shape shape;
} ct_spec;

/* One use of a primitive, as its rules see it. */
typedef struct ct_call {
  const ct_op *op;
  const void *attr;
  int n_in, n_out;
  ct_tensor *const *in;
} ct_call;

/* One evaluation, as kernels see it: no tensors, only places for numbers. */
typedef struct ct_eval {
  const ct_op *op;
  const void *attr;
  int n_in, n_out;
  const ct_view *const *in;
  ct_view *const *out;
  void *work; /* op->work bytes, 64-byte aligned */
} ct_eval;

/* Inner loops of an elementwise primitive by dtype; NULL where the dtype is not supported.
 * partial[i] reads t, the inputs and y, and writes t * dy/dx_i, exactly 0 where t is 0. */
typedef struct ct_kernel {
  ct_loop *loop[CT_DTYPES];
  ct_loop *partial[2][CT_DTYPES];
  unsigned reads[2]; /* which of those it needs, bit 0 for t; 0: all */
} ct_kernel;

#define CT_VARIADIC    (-1)
#define CT_ELEMENTWISE 1u /* y[i] depends on the i-th elements of the broadcast inputs only */
#define CT_NONDIFF     2u /* the derivative is zero by definition, or the result is no float */
#define CT_CAN_FAIL    4u /* eval may fail for the numbers it meets */

/* The record of a primitive. Everything not given is zero. The engine sums contributions, undoes
 * broadcasting and treats zeros (NULL); a rule never does.
 *   VJP: `vjp`, else gy * `partial`, else the derivative of `fallback`.
 *   JVP: `jvp`, else `partial` * dx, else `linear`, else the derivative of `fallback`. */
struct ct_op {
  size_t size;      /* CT_OP: lets the record grow */
  const char *name; /* as error texts and drawings show it */
  const char *doc;  /* the formula, one line */
  int n_in;         /* number of inputs, or CT_VARIADIC */
  int n_out;        /* 0 means 1; CT_VARIADIC: the attribute block begins with an int, the number */
  unsigned linear;  /* bit i: linear in input i, the others held: JVP is the same operation */
  unsigned inplace; /* bit i: in a program the output may take over input i's buffer */
  unsigned flags;   /* CT_ELEMENTWISE, CT_NONDIFF, CT_CAN_FAIL */
  size_t attr_size; /* the attribute block, copied into the call */
  bool (*attr_equal)(const void *a, const void *b);             /* NULL: same bytes */
  ct_status (*attr_copy)(void *to, const void *from);           /* NULL: same bytes */
  void (*attr_release)(void *attr);                             /* undoes attr_copy */
  ct_status (*infer)(const ct_call *c, ct_spec *out);           /* shapes and dtypes, or ct_fail */
  bool (*view)(const void *attr, const ct_view *x, ct_view *y); /* y as a view of input 0: sets data
                                  and strides (y has its shape), or false: a copy by eval */
  size_t (*work)(const ct_call *c);                             /* bytes of workspace */
  ct_status (*eval)(const ct_eval *e);            /* numbers; may fail with ct_error_set */
  const ct_kernel *kernel;                        /* instead of eval, elementwise */
  ct_tensor *(*partial)(const ct_call *c, int i); /* dy/dx_i, elementwise */
  /* Cotangents of the inputs that ct_wants; gy[o] is NULL for zero, and a gx left NULL is zero. */
  void (*vjp)(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx);
  /* Tangents of the outputs; dx[i] is NULL for zero, and a dy left NULL is zero. */
  void (*jvp)(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy);
  /* The operation with one more leading axis, for ct_vmap: in[i] has a new axis 0 where batched[i],
   * every out[o] gets one. Elementwise operations need none; without one the engine loops. */
  void (*batch)(const ct_call *c, ct_tensor *const *in, const bool *batched, ct_tensor **out);
  void (*fallback)(const ct_call *c, ct_tensor **y); /* the same result from other primitives */
  double lo, hi;                                     /* where tests may sample inputs */
};
#define CT_OP .size = sizeof(ct_op)

/* Applies a primitive: the library's, or one that the caller declared as a static const record. */
CT_API ct_tensor *ct_apply(const ct_op *op, ct_list in);
CT_API ct_tensor *ct_apply_attr(const ct_op *op, const void *attr, ct_list in);
CT_API ct_status ct_apply_all(const ct_op *op, const void *attr, ct_list in, ct_tensor **out);

/* For rules: output o of the call; whether the cotangent of input i is wanted. */
CT_API ct_tensor *ct_out(const ct_call *c, int o);
CT_API bool ct_wants(const ct_call *c, int i);
/* For infer: fails with "<name>: <text>, got <shapes of the inputs>". */
CT_API ct_status ct_fail(const ct_call *c, ct_status code, const char *format, ...) CT_PRINTF(3, 4);
/* Ready-made infer: all inputs broadcast and share a dtype; the result has both. */
CT_API ct_status ct_infer_same(const ct_call *c, ct_spec *out);

/* The library's own primitives, for tables and tests. */
CT_API int ct_op_count(void);
CT_API const ct_op *ct_op_at(int i);

/* ---- elementwise ----------------------------------------------------------------------------- */

/* One input, f32 or f64 (neg, abs, sign, square also i32). Over the whole range errors are within
 * 1.5 ulp for exp, log, tanh, sin and cos, 2 for sigmoid, 8 for erfc, and 3.2 for the others;
 * special values are those of C. At a kink the derivative is the one named. */
CT_API ct_tensor *ct_neg(ct_tensor *x);        /* -x */
CT_API ct_tensor *ct_abs(ct_tensor *x);        /* |x|;                    derivative 0 at 0 */
CT_API ct_tensor *ct_sign(ct_tensor *x);       /* -1, 0, 1; NaN stays;    derivative 0 */
CT_API ct_tensor *ct_floor(ct_tensor *x);      /* towards -inf;           derivative 0 */
CT_API ct_tensor *ct_ceil(ct_tensor *x);       /* towards +inf;           derivative 0 */
CT_API ct_tensor *ct_round(ct_tensor *x);      /* to nearest, half to even; derivative 0 */
CT_API ct_tensor *ct_exp(ct_tensor *x);        /* e^x */
CT_API ct_tensor *ct_expm1(ct_tensor *x);      /* e^x - 1, exact near 0 */
CT_API ct_tensor *ct_log(ct_tensor *x);        /* ln x */
CT_API ct_tensor *ct_log1p(ct_tensor *x);      /* ln(1 + x), exact near 0 */
CT_API ct_tensor *ct_sqrt(ct_tensor *x);       /* x^(1/2);                derivative 0 at 0 */
CT_API ct_tensor *ct_rsqrt(ct_tensor *x);      /* x^(-1/2) */
CT_API ct_tensor *ct_square(ct_tensor *x);     /* x^2 */
CT_API ct_tensor *ct_reciprocal(ct_tensor *x); /* 1 / x */
CT_API ct_tensor *ct_sin(ct_tensor *x);        /* sin x */
CT_API ct_tensor *ct_cos(ct_tensor *x);        /* cos x */
CT_API ct_tensor *ct_tan(ct_tensor *x);        /* tan x;                  dy/dx = 1 + y^2 */
CT_API ct_tensor *ct_asin(ct_tensor *x);       /* arc sine;               infinite slope at -1, 1 */
CT_API ct_tensor *ct_acos(ct_tensor *x);       /* arc cosine;             infinite slope at -1, 1 */
CT_API ct_tensor *ct_atan(ct_tensor *x);       /* arc tangent;            dy/dx = 1 / (1 + x^2) */
CT_API ct_tensor *ct_sinh(ct_tensor *x);       /* (e^x - e^-x) / 2, exact near 0 */
CT_API ct_tensor *ct_cosh(ct_tensor *x);       /* (e^x + e^-x) / 2 */
CT_API ct_tensor *ct_tanh(ct_tensor *x); /* tanh x;   dy/dx = 4 s(2x) s(-2x), right in the tails */
CT_API ct_tensor *ct_erf(ct_tensor *x);  /* error function;           dy/dx = 2 / sqrt(pi) e^-x^2 */
CT_API ct_tensor *ct_erfc(ct_tensor *x); /* 1 - erf x, every digit in the right tail */
CT_API ct_tensor *ct_erfinv(ct_tensor *x);   /* inverse of erf;       dy/dx = sqrt(pi) / 2 e^y^2 */
CT_API ct_tensor *ct_lgamma(ct_tensor *x);   /* ln |Gamma(x)|;            dy/dx = polygamma 0 */
CT_API ct_tensor *ct_sigmoid(ct_tensor *x);  /* s(x) = 1 / (1 + e^-x);       dy/dx = s(x) s(-x) */
CT_API ct_tensor *ct_softplus(ct_tensor *x); /* ln(1 + e^x), no overflow;    dy/dx = s(x) */
CT_API ct_tensor *ct_log_sigmoid(ct_tensor *x); /* ln s(x), no overflow;     dy/dx = s(-x) */
CT_API ct_tensor *ct_softsign(ct_tensor *x);    /* x / (1 + |x|);  derivative 1 at 0, second 0 */
CT_API ct_tensor *ct_relu(ct_tensor *x);        /* max(x, 0);              derivative 0 at 0 */
CT_API ct_tensor *ct_silu(ct_tensor *x);        /* x s(x) */
CT_API ct_tensor *ct_gelu(ct_tensor *x); /* x (1 + erf(x / sqrt 2)) / 2, right in the left tail */
CT_API ct_tensor *ct_gelu_tanh(ct_tensor *x); /* x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 */
CT_API ct_tensor *ct_hardtanh(ct_tensor *x);  /* ct_clamp(x, -1, 1);     derivative 1 at -1 and 1 */

/* The same with a constant, which has no derivative; p takes x's dtype. At 0 the derivative of both
 * is p. */
CT_API ct_tensor *ct_elu(ct_tensor *x, double p);        /* x where x > 0, else p (e^x - 1) */
CT_API ct_tensor *ct_leaky_relu(ct_tensor *x, double p); /* x where x > 0, else p x */
/* The n-th derivative of digamma = lgamma', for n from 0 (digamma itself) to 100, else CT_EARG;
 * dy/dx is that of n + 1. Infinite or NaN at the poles 0, -1, -2, ... */
CT_API ct_tensor *ct_polygamma(int n, ct_tensor *x);

CT_API ct_tensor *ct_is_finite(ct_tensor *x); /* neither infinite nor NaN: bool, no derivative */

/* Two inputs that broadcast; f32, f64 and, where the result is exact, i32. */
CT_API ct_tensor *ct_add(ct_tensor *a, ct_tensor *b); /* a + b */
CT_API ct_tensor *ct_sub(ct_tensor *a, ct_tensor *b); /* a - b */
CT_API ct_tensor *ct_mul(ct_tensor *a, ct_tensor *b); /* a b */
CT_API ct_tensor *ct_div(ct_tensor *a, ct_tensor *b); /* a / b */
CT_API ct_tensor *ct_pow(ct_tensor *a, ct_tensor *b); /* a^b; dy/db is 0 at a = 0 */
/* a - b trunc(a / b), exact: the sign is that of a, as in C. For i32 0 where b is 0. */
CT_API ct_tensor *ct_rem(ct_tensor *a, ct_tensor *b);
/* The angle from -pi to pi of the point with ordinate a and abscissa b; derivatives 0 at (0, 0). */
CT_API ct_tensor *ct_atan2(ct_tensor *a, ct_tensor *b);
CT_API ct_tensor *ct_hypot(ct_tensor *a, ct_tensor *b);     /* |(a, b)|; derivatives 0 at (0, 0) */
CT_API ct_tensor *ct_logaddexp(ct_tensor *a, ct_tensor *b); /* ln(e^a + e^b), no overflow */
/* a b, but exactly 0 where a is 0, even if b is NaN or infinite: what derivatives are made with. */
CT_API ct_tensor *ct_mul0(ct_tensor *a, ct_tensor *b);
/* The larger one, the smaller one; NaN wins; ties share the cotangent evenly. */
CT_API ct_tensor *ct_maximum(ct_tensor *a, ct_tensor *b);
CT_API ct_tensor *ct_minimum(ct_tensor *a, ct_tensor *b);

/* Comparisons give bool and have no derivative. */
CT_API ct_tensor *ct_eq(ct_tensor *a, ct_tensor *b);
CT_API ct_tensor *ct_ne(ct_tensor *a, ct_tensor *b);
CT_API ct_tensor *ct_lt(ct_tensor *a, ct_tensor *b);
CT_API ct_tensor *ct_le(ct_tensor *a, ct_tensor *b);
CT_API ct_tensor *ct_gt(ct_tensor *a, ct_tensor *b);
CT_API ct_tensor *ct_ge(ct_tensor *a, ct_tensor *b);

/* Logic takes bools and gives bools. */
CT_API ct_tensor *ct_and(ct_tensor *a, ct_tensor *b);
CT_API ct_tensor *ct_or(ct_tensor *a, ct_tensor *b);
CT_API ct_tensor *ct_xor(ct_tensor *a, ct_tensor *b);
CT_API ct_tensor *ct_not(ct_tensor *x);

/* a where condition (bool), b elsewhere. The branch not taken gets exactly 0, never its NaN. */
CT_API ct_tensor *ct_where(ct_tensor *condition, ct_tensor *a, ct_tensor *b);
/* min(max(x, lo), hi), lo <= hi; NaN stays; derivative 1 for lo <= x <= hi, else 0. */
CT_API ct_tensor *ct_clamp(ct_tensor *x, double lo, double hi);
CT_API ct_tensor *ct_scale(ct_tensor *x, double c); /* c x; c takes x's dtype */
CT_API ct_tensor *ct_shift(ct_tensor *x, double c); /* x + c */
/* To another dtype; float to integer truncates and saturates, NaN gives 0, to bool is x != 0.
 * Between floats gx = cast of gy; otherwise there is no derivative. */
CT_API ct_tensor *ct_cast(ct_tensor *x, ct_dtype dtype);
/* x itself, constant to both modes. */
CT_API ct_tensor *ct_stop_gradient(ct_tensor *x);

/* ---- reductions ------------------------------------------------------------------------------ */

/* Axes to reduce, negative ones from the end; n == 0 means all of them. */
typedef struct ct_axes {
  int n;
  int at[CT_MAX_DIMS];
} ct_axes;
CT_API ct_axes ct_axes_make(size_t n, const int *at);
#ifdef __cplusplus
#define CT_ALL (ct_axes())
#else
#define CT_ALL ((ct_axes){0, {0}})
#define CT_AXES(...)                                                                               \
  ct_axes_make(sizeof((int[]){__VA_ARGS__}) / sizeof(int), (const int[]){__VA_ARGS__})
#endif

/* Reduced axes disappear, or stay with extent 1 (keepdims). They run in f64 (integers: 64 bits),
 * whatever the dtype; sums and products of bool and u8 give i32.
 * Sum: gx = gy spread back; of nothing 0. Mean: sum / n, floats only. Product: its derivative is
 * right at zeros too; of nothing 1. */
CT_API ct_tensor *ct_sum(ct_tensor *x, ct_axes axes, bool keepdims);
CT_API ct_tensor *ct_mean(ct_tensor *x, ct_axes axes, bool keepdims);
CT_API ct_tensor *ct_prod(ct_tensor *x, ct_axes axes, bool keepdims);
/* Largest, smallest: NaN wins; ties share the cotangent evenly; no elements is CT_ESHAPE. */
CT_API ct_tensor *ct_max(ct_tensor *x, ct_axes axes, bool keepdims);
CT_API ct_tensor *ct_min(ct_tensor *x, ct_axes axes, bool keepdims);
/* Whether some element, or every one, is true: bool to bool; of nothing false and true. */
CT_API ct_tensor *ct_any(ct_tensor *x, ct_axes axes, bool keepdims);
CT_API ct_tensor *ct_all(ct_tensor *x, ct_axes axes, bool keepdims);
/* ln sum e^x without overflow; gx = gy softmax(x). */
CT_API ct_tensor *ct_logsumexp(ct_tensor *x, ct_axes axes, bool keepdims);
/* Position of the first largest (smallest) element along an axis, NaN first of all; i32. */
CT_API ct_tensor *ct_argmax(ct_tensor *x, int axis, bool keepdims);
CT_API ct_tensor *ct_argmin(ct_tensor *x, int axis, bool keepdims);
/* Sorted along an axis, stable, NaN last; *indices (may be NULL) gets the i32 positions. */
CT_API ct_tensor *ct_sort(ct_tensor *x, int axis, bool descending, ct_tensor **indices);
CT_API ct_tensor *ct_argsort(ct_tensor *x, int axis, bool descending);

typedef struct ct_cumsum_opts {
  bool exclusive; /* without the element itself */
  bool reverse;   /* from the end */
} ct_cumsum_opts;

/* y[k] = sum of x[j] over j <= k along an axis; gx = the same of gy in the other direction. */
CT_API ct_tensor *ct_cumsum(ct_tensor *x, int axis);
CT_API ct_tensor *ct_cumsum_with(ct_tensor *x, int axis, ct_cumsum_opts opts);
/* s[k + 1] = a[k] s[k] + b[k] along an axis from s[0] = start on: all n + 1 states. In reverse
 * s[k] = a[k] s[k + 1] + b[k] from s[n] on. All broadcast; start has an extent of 1 there. */
CT_API ct_tensor *ct_linear_recurrence(ct_tensor *a, ct_tensor *b, ct_tensor *start, int axis,
                                       bool reverse);

/* ---- shape: views where strides allow, all linear -------------------------------------------- */

CT_API ct_tensor *ct_reshape(ct_tensor *x, ct_shape shape); /* one extent may be -1: what remains */
CT_API ct_tensor *ct_permute(ct_tensor *x, ct_axes axes);   /* y's axis i is x's axis axes[i] */
CT_API ct_tensor *ct_transpose(ct_tensor *x, int a, int b); /* swaps two axes */
CT_API ct_tensor *ct_broadcast_to(ct_tensor *x, ct_shape shape);
/* Elements start, start + step, ... before stop along an axis, as Python's x[start:stop:step]:
 * negative positions count from the end, out-of-range ones are clipped, CT_END stands for a missing
 * bound. step != 0. */
CT_API ct_tensor *ct_slice(ct_tensor *x, int axis, int64_t start, int64_t stop, int64_t step);
#define CT_END INT64_MAX
CT_API ct_tensor *ct_flip(ct_tensor *x, ct_axes axes);
CT_API ct_tensor *ct_concat(ct_list parts, int axis);
CT_API ct_tensor *ct_stack(ct_list parts, int axis); /* along a new axis */
/* n parts of x.dim[axis] / n, which must divide; out has room for n. */
CT_API ct_status ct_split(ct_tensor *x, int axis, int n, ct_tensor **out);
CT_API ct_tensor *ct_pad(ct_tensor *x, int axis, int64_t before, int64_t after); /* with zeros */
/* x with ct_slice(x, axis, start, stop, step) replaced by u, which broadcasts to it; linear. */
CT_API ct_tensor *ct_update_slice(ct_tensor *x, ct_tensor *u, int axis, int64_t start, int64_t stop,
                                  int64_t step);
CT_API ct_tensor *ct_squeeze(ct_tensor *x, ct_axes axes);   /* extents of 1 leave; n == 0: all */
CT_API ct_tensor *ct_expand_dims(ct_tensor *x, int axis);   /* a new extent of 1 at axis */
CT_API ct_tensor *ct_flatten(ct_tensor *x, int first_axis); /* axes from first_axis on become one */
CT_API ct_tensor *ct_contiguous(ct_tensor *x);              /* a row-major copy */

/* ---- products and indexing ------------------------------------------------------------------- */

/* (..., m, k) (..., k, n) -> (..., m, n), f32 or f64; leading axes broadcast; a vector on the left
 * is one row, on the right one column, and that axis leaves the result. ga = gy b^T,
 * gb = a^T gy. */
CT_API ct_tensor *ct_matmul(ct_tensor *a, ct_tensor *b);
/* Rows of x along an axis: y = x[..., indices, ...]; indices i32 of any shape takes the axis's
 * place. gx = scatter_add of gy. CT_EINDEX outside 0 <= i < x.dim[axis]. */
CT_API ct_tensor *ct_gather(ct_tensor *x, ct_tensor *indices, int axis);
/* x with updates added at the places that ct_gather would read; equal indices add up in order. */
CT_API ct_tensor *ct_scatter_add(ct_tensor *x, ct_tensor *indices, ct_tensor *updates, int axis);
/* The same with updates in place of what was there: of equal indices the last one wins, and gets
 * the cotangent. gx = gy, 0 at the places. */
CT_API ct_tensor *ct_scatter_set(ct_tensor *x, ct_tensor *indices, ct_tensor *updates, int axis);
/* y[..., j, ...] = x[..., indices[..., j, ...], ...]: an index of its own for each line along the
 * axis; the other axes broadcast. gx = gy put back, added up. CT_EINDEX as above. */
CT_API ct_tensor *ct_take_along_axis(ct_tensor *x, ct_tensor *indices, int axis);
/* How many of the sorted numbers (n) are smaller than each x; from the right: smaller or equal. NaN
 * is larger than all. With sorted (..., n) x has the same leading axes. i32, no derivative. */
CT_API ct_tensor *ct_searchsorted(ct_tensor *sorted, ct_tensor *x, bool right);
/* 1 at the index, 0 elsewhere, along a new last axis of extent depth. No derivative. */
CT_API ct_tensor *ct_one_hot(ct_tensor *indices, int64_t depth, ct_dtype dtype);

/* ---- softmax and losses ---------------------------------------------------------------------- */

CT_API ct_tensor *ct_softmax(ct_tensor *x, int axis);     /* e^x / sum e^x, no overflow */
CT_API ct_tensor *ct_log_softmax(ct_tensor *x, int axis); /* x - logsumexp x */

typedef enum ct_reduction { CT_MEAN, CT_SUM, CT_EACH } ct_reduction;

typedef struct ct_cross_entropy_opts {
  double smoothing; /* e: targets become (1 - e) t + e / classes */
  ct_reduction reduction;
} ct_cross_entropy_opts;

/* -sum_j t_j log_softmax(logits)_j for each row: logits (n, classes); targets i32 (n) or
 * probabilities (n, classes) of the same dtype. Mean over rows by default. gx = (softmax - t) gy /
 * n. CT_EINDEX for a label out of range. */
CT_API ct_tensor *ct_cross_entropy(ct_tensor *logits, ct_tensor *targets);
CT_API ct_tensor *ct_cross_entropy_with(ct_tensor *logits, ct_tensor *targets,
                                        ct_cross_entropy_opts opts);

/* ---- convolution and pooling ----------------------------------------------------------------- */

typedef struct ct_conv2d_opts {
  int64_t stride[2], padding[2], dilation[2]; /* of (h, w); stride and dilation 0 mean 1 */
  int64_t groups;                             /* 0 means 1 */
  int64_t output_padding[2]; /* of the transpose: rows and columns more, < stride or dilation */
} ct_conv2d_opts;

/* y[n,o,p] = sum x[n,i, p stride + k dilation - padding] w[o,i,k], k over the window and i over the
 * channels of o's group: x (n, c, h, w), w (o, c/groups, k, l), f32 or f64, no flipping. Each is
 * the other's derivative by x; that by w is conv2d again, with stride and dilation exchanged. */
CT_API ct_tensor *ct_conv2d(ct_tensor *x, ct_tensor *w, ct_conv2d_opts opts);
/* x (n, o, p, q) spread over the windows: gx of a conv2d with these weights (o, c/groups, k, l). */
CT_API ct_tensor *ct_conv2d_transpose(ct_tensor *x, ct_tensor *w, ct_conv2d_opts opts);

typedef struct ct_pool_opts {
  int64_t kernel[2];
  int64_t stride[2];  /* 0 means kernel */
  int64_t padding[2]; /* < kernel */
} ct_pool_opts;

/* The largest element of each window over the last two axes; NaN wins, padding never does. The
 * first of equal ones gets the cotangent. *positions (may be NULL) gets where it is, i32: row times
 * width plus column. */
CT_API ct_tensor *ct_maxpool(ct_tensor *x, ct_pool_opts opts, ct_tensor **positions);
/* The mean of each window, padding counted as 0. gx = gy spread evenly. */
CT_API ct_tensor *ct_avgpool(ct_tensor *x, ct_pool_opts opts);

/* ---- compositions: made of the operations above, so differentiable as they are --------------- */

/* (sum |x|^p)^(1/p) for any p, scaled so that nothing overflows; max |x| and min |x| for p = +-inf,
 * the number of elements other than 0 for p = 0. Derivative 0 at 0. */
CT_API ct_tensor *ct_norm(ct_tensor *x, double p, ct_axes axes, bool keepdims);
/* sum (x - mean)^2 / (n - ddof), and its root; derivative of the root 0 at 0. */
CT_API ct_tensor *ct_var(ct_tensor *x, ct_axes axes, int ddof, bool keepdims);
CT_API ct_tensor *ct_std(ct_tensor *x, ct_axes axes, int ddof, bool keepdims);
/* (x - mean) / sqrt(var + eps) over the axes: the core of layer normalisation. */
CT_API ct_tensor *ct_layer_norm(ct_tensor *x, ct_axes axes, double eps);
/* Sum and mean of what is not NaN; what is gets cotangent 0. The mean of nothing is NaN. */
CT_API ct_tensor *ct_nansum(ct_tensor *x, ct_axes axes, bool keepdims);
CT_API ct_tensor *ct_nanmean(ct_tensor *x, ct_axes axes, bool keepdims);
/* The k largest along an axis, falling; *indices (may be NULL) gets where they are. */
CT_API ct_tensor *ct_topk(ct_tensor *x, int64_t k, int axis, ct_tensor **indices);
/* The middle one, or the mean of both, along an axis; NaN if one is there. */
CT_API ct_tensor *ct_median(ct_tensor *x, int axis, bool keepdims);
/* How many x lie in each edges[i] <= x < edges[i + 1], in the last bin also x = edges[n - 1]; i32
 * (n - 1). Edges rise. No derivative. */
CT_API ct_tensor *ct_histogram(ct_tensor *x, ct_tensor *edges);
CT_API ct_tensor *ct_cumprod(ct_tensor *x, int axis); /* product of x[j], j <= k; right at zeros */
/* Largest x[j] over j <= k; NaN wins; the first of equal ones gets the cotangent. */
CT_API ct_tensor *ct_cummax(ct_tensor *x, int axis);

/* Sum of products over named axes, as NumPy's: "ij,jk->ik", "bij,bjk", "...i,i", "ii->i". Axes that
 * the result does not have are summed over; without an arrow it has those named once, in order. An
 * ellipsis stands for leading axes that broadcast. Operands are multiplied in pairs, the smallest
 * product first, each as one matmul. Errors: CT_EARG for a bad specification, CT_ESHAPE. */
CT_API ct_tensor *ct_einsum(const char *spec, ct_list x);
/* Sum of products over pairs of axes of a and b; the others of a, then those of b. */
CT_API ct_tensor *ct_tensordot(ct_tensor *a, ct_tensor *b, ct_axes a_axes, ct_axes b_axes);
CT_API ct_tensor *ct_outer(ct_tensor *a, ct_tensor *b); /* a_i b_j, both flattened: a matrix */
CT_API ct_tensor *ct_kron(ct_tensor *a, ct_tensor *b);  /* blocks a_ij b; at most 4 dimensions */

CT_API ct_tensor *ct_diag(ct_tensor *x); /* vector to diagonal matrix, matrix to its diagonal */
CT_API ct_tensor *ct_diagonal(ct_tensor *x, int a, int b);        /* of two axes: a new last axis */
CT_API ct_tensor *ct_trace(ct_tensor *x);                         /* (..., m, n) -> (...) */
CT_API ct_tensor *ct_tril(ct_tensor *x, int64_t k);               /* 0 where column > row + k */
CT_API ct_tensor *ct_triu(ct_tensor *x, int64_t k);               /* 0 where column < row + k */
CT_API ct_tensor *ct_roll(ct_tensor *x, int64_t shift, int axis); /* cyclic: y[i + shift] = x[i] */
CT_API ct_tensor *ct_repeat(ct_tensor *x, int64_t n, int axis);   /* each element n times */
CT_API ct_tensor *ct_tile(ct_tensor *x, ct_shape times); /* all of x, times.dim[i] along an axis */
/* out[i] = x[i] along axis i of a grid, repeated along the others; vectors, at most 8. */
CT_API ct_status ct_meshgrid(ct_list x, ct_tensor **out);

/* ---- random numbers: a function of the key, no hidden state ---------------------------------- */

CT_API ct_tensor *ct_key(uint64_t seed);                  /* i32 (4): a fresh key */
CT_API ct_tensor *ct_key_fold(ct_tensor *key, int64_t n); /* the n-th child of a key */
CT_API ct_tensor *ct_uniform(ct_tensor *key, ct_dtype dtype, ct_shape shape, double lo, double hi);
CT_API ct_tensor *ct_normal(ct_tensor *key, ct_dtype dtype, ct_shape shape, double mean, double sd);
/* Mean 0, deviation 1. */
CT_API ct_tensor *ct_randn(ct_tensor *key, ct_dtype dtype, ct_shape shape);
CT_API ct_tensor *ct_permutation(ct_tensor *key, int64_t n); /* 0 .. n-1 shuffled, i32 */

/* ---- checking and drawing -------------------------------------------------------------------- */

/* y = f(x): a function for ct_gradcheck. Returns a tensor made from x by operations. */
typedef ct_tensor *ct_fn(ct_list x, void *payload);

/* The largest relative error of each check of one input; NaN if something is not finite, -1 if the
 * check was not made: for inputs that are not float, and after a failure of another. */
typedef struct ct_gradcheck_input {
  double vjp, jvp;                           /* against central differences */
  double vjp_of_vjp, jvp_of_vjp, vjp_of_jvp; /* and against each other */
  double batch;   /* y and its gradient by ct_vmap over two values against one by one */
  double strided; /* y and its gradient with gaps between the elements against without */
} ct_gradcheck_input;

typedef struct ct_gradcheck_opts {
  double step;              /* of the central differences; 0 means 1e-6 scaled by max(1, |x|) */
  double tolerance;         /* relative to the largest element; 0 means 1e-6 */
  int order;                /* 1 or 2; 0 means 2 */
  uint64_t seed;            /* of the random directions */
  ct_gradcheck_input *each; /* room for x.n, or NULL: filled with what the checks found */
} ct_gradcheck_opts;

typedef struct ct_gradcheck_report {
  const char *check; /* the worst check: "vjp", "jvp", "inner product", "strided against
                        contiguous", "batch against loop", "second order ..." */
  int input;         /* its input */
  int64_t element;   /* its element, row-major; -1 if the check is not about one */
  double got, want, error;
} ct_gradcheck_report;

/* Compares vjp and jvp of f at x (f64 values) with central differences, <u, J v> with <J^T u, v>,
 * f and its gradient with each input in another layout and in a batch with themselves, and second
 * derivatives both ways (vjp of vjp, jvp of vjp). Values of x are used as they are; x
 * need not be recorded. CT_ECHECK and an error text that names the worst element if any check
 * fails. */
CT_API ct_status ct_gradcheck(ct_fn *f, void *payload, ct_list x, ct_gradcheck_opts opts,
                              ct_gradcheck_report *report);

/* The recipe of the tensors as Graphviz text: operations, shapes, small values. With gradients (one
 * per tensor of `marked`, may be CT_NONE both) they are shown beside the value. */
CT_API ct_status ct_graph_dot(FILE *out, ct_list tensors, ct_list marked, ct_list gradients);

#ifdef __cplusplus
}
static inline ct_axes ct_axes_init(std::initializer_list<int> at) {
  return ct_axes_make(at.size(), at.begin());
}
#define CT_AXES(...) ct_axes_init({__VA_ARGS__})
#endif
#endif
