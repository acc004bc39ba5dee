/* gradcheck.c - derivatives against central differences.
 *
 * The float inputs of f are laid end to end into one vector x. With a random cotangent u and a
 * random direction v, and g(x) = J(x)^T u, the checks are first order:  g, J v against differences
 * of f;  <u, J v> = <g, v> second order: H v, the change of g along v, which is also the gradient
 * of <u, J v>, against differences of g, in all ways to nest the modes that give it; and the change
 * of J v along v against differences of J v. In between, f and g of each input in another layout,
 * and of a batch of two of its values, against f and g one by one. Vectors are plain arrays: the
 * operations under test take no part in the arithmetic of the check. */
#include "autograd_internal.h"

#include <math.h>

enum {
  MAX_ELEMENTS = 256, /* of an input that are checked one by one */
  DIRECTIONS = 16     /* along which a larger input is checked */
};

typedef struct check {
  ct_fn *f;
  void *payload;
  ct_list all;         /* inputs as given */
  int n;               /* float inputs */
  int *input;          /* their positions */
  int64_t *start;      /* where each begins in a vector of inputs; start[n] is the end */
  ct_tensor **leaf;    /* what f is called with: variables, constants where not float */
  ct_tensor **target;  /* the variables alone */
  ct_tensor **tangent; /* n parts of a direction, NULL for zero */
  ct_tensor **first;   /* n first derivatives, room for one tensor more */
  ct_tensor **second;  /* n second derivatives, the same */
  ct_shape y_shape;
  int64_t y_size; /* -1 before f was called */
  int only;       /* the float input that v belongs to, -1 for all of them */
  int strided;    /* the float input that f gets with gaps between its elements, -1 for none */
  double *x, *p, *v, *g, *got, *plus, *minus, *want; /* start[n]; p: a point near x */
  double *u, *y, *y_got, *y_plus, *y_minus, *y_want; /* y_size */
  double step, tolerance;
  double scale; /* of y and g at x */
  uint64_t seed, drawn;
  ct_gradcheck_report worst;
  ct_gradcheck_input *each; /* all.n */
} check;

/* ---- vectors --------------------------------------------------------------------------------- */

/* Memory that the current scope releases; NULL on failure. */
static void *scratch(int64_t n, size_t size) {
  int64_t bytes;
  if (!ct__mul_size(n, (int64_t)size, &bytes)) bytes = INT64_MAX;
  ct_tensor *t = ct_empty(CT_U8, CT_SHAPE(bytes));
  return ct__is_nil(t) ? NULL : t->v.data;
}

static bool vectors(int64_t n, int count, double **const *v) {
  for (int i = 0; i < count; i++)
    if (!(*v[i] = scratch(n, sizeof(double)))) return false;
  return true;
}

/* Random magnitudes from 0.5 to 1.5 with random signs: none is so small that it hides an element.
 */
static double draw(check *c) {
  uint32_t word[4] = {(uint32_t)c->drawn, (uint32_t)(c->drawn >> 32), 0, 0};
  c->drawn++;
  ct_philox(word, (uint32_t[]){(uint32_t)c->seed, (uint32_t)(c->seed >> 32)}, word);
  double magnitude = 0.5 + (double)word[0] * 0x1p-32;
  return word[1] & 1 ? magnitude : -magnitude;
}

/* A direction in the space of inputs, as long in each element as a step may be; along float input
 * `only` alone unless that is -1. */
static void draw_direction(check *c, int only) {
  c->only = only;
  for (int i = 0; i < c->n; i++)
    for (int64_t e = c->start[i]; e < c->start[i + 1]; e++)
      c->v[e] = only < 0 || only == i ? draw(c) * fmax(1, fabs(c->x[e])) : 0;
}

static double dot(int64_t n, const double *a, const double *b) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

static double largest(int64_t n, const double *a) {
  double max = 0;
  for (int64_t i = 0; i < n; i++) max = fmax(max, fabs(a[i]));
  return max;
}

/* The part of a vector that belongs to float input i, as a tensor. */
static ct_tensor *part(const check *c, int i, const double *vector) {
  return ct_from(CT_F64, ct_shape_of(c->all.at[c->input[i]]), vector + c->start[i]);
}

/* The direction as tensors, NULL for the inputs that it leaves alone. */
static ct_list direction(const check *c) {
  for (int i = 0; i < c->n; i++)
    c->tangent[i] = c->only < 0 || c->only == i ? part(c, i, c->v) : NULL;
  return (ct_list){c->n, c->tangent};
}

static ct_tensor *reversed_axes(ct_tensor *t) {
  ct_axes axes = {.n = t->v.ndim};
  for (int d = 0; d < axes.n; d++) axes.at[d] = axes.n - 1 - d;
  return axes.n > 1 ? ct_permute(t, axes) : t;
}

/* A recorded tensor with gaps of NaN between its elements, the last axis outermost: a view of a
 * variable. The caller owns it. */
static ct_tensor *strided_leaf(const check *c, int i, const double *vector) {
  ct_tensor *turned = reversed_axes(part(c, i, vector));
  ct_shape shape = ct_shape_of(turned), line = CT_SHAPE(-1);
  line.dim[0] = c->start[i + 1] - c->start[i];
  ct_tensor *filled = ct_reshape(turned, line), *gaps = ct_full(CT_F64, line, (double)NAN);
  line.dim[0] *= 2;
  ct_tensor *v = ct_variable(ct_reshape(ct_stack(CT_LIST(filled, gaps), 1), line));
  ct_tensor *x = reversed_axes(ct_reshape(ct_slice(v, 0, 0, CT_END, 2), shape));
  ct_release(&v);
  return ct_keep(x);
}

static ct_status join(const check *c, ct_tensor *const *t, double *vector) {
  ct_status status = CT_OK;
  for (int i = 0; i < c->n && status == CT_OK; i++)
    status = ct_copy_out(t[i], vector + c->start[i],
                         (size_t)(c->start[i + 1] - c->start[i]) * sizeof *vector);
  return status;
}

static ct_status out(const check *c, const ct_tensor *y, double *vector) {
  return ct_copy_out(y, vector, (size_t)c->y_size * sizeof *vector);
}

/* ---- f at a point ---------------------------------------------------------------------------- */

/* What is wanted of y = f(leaf), while the variables live. */
typedef ct_status job(check *c, ct_tensor *y, double *result);

static ct_status set_output(check *c, const ct_tensor *y) {
  ct_status status = ct__check_value("ct_gradcheck", y);
  if (status != CT_OK) return status;
  if (y->v.dtype != CT_F64)
    return ct__fail_status(CT_EDTYPE, "ct_gradcheck: want f64 from f, got %s",
                           ct_dtype_name(y->v.dtype));
  if (c->y_size < 0) {
    c->y_shape = ct_shape_of(y);
    c->y_size = y->v.size;
  }
  if (!ct_shape_equal(c->y_shape, ct_shape_of(y)))
    return ct__fail_status(CT_ESHAPE, "ct_gradcheck: f gives other shapes at other points");
  return CT_OK;
}

/* Variables with the values of p, in the layout of the inputs where p is x itself. */
static bool set_leaves(check *c, const double *p) {
  for (int i = 0; i < c->n; i++) {
    ct_tensor *given = c->all.at[c->input[i]];
    ct_tensor *value = p != c->x                  ? part(c, i, p)
                       : given->v.dtype == CT_F64 ? given
                                                  : ct_cast(given, CT_F64);
    c->target[i] = i == c->strided ? strided_leaf(c, i, p) : ct_variable(value);
    c->leaf[c->input[i]] = c->target[i];
    if (ct__is_nil(c->target[i])) return false;
  }
  return true;
}

static ct_status at(check *c, const double *p, job *todo, double *result) {
  ct_scope scope = ct_scope_begin();
  if (scope.depth < 0) return ct__pending("ct_gradcheck");
  for (int i = 0; i < c->n; i++) c->target[i] = NULL;
  ct_status status = CT_OK;
  if (set_leaves(c, p)) {
    ct_tensor *y = c->f((ct_list){c->all.n, c->leaf}, c->payload);
    status = set_output(c, y);
    if (status == CT_OK && todo) status = todo(c, y, result);
  } else {
    status = ct__pending("ct_gradcheck");
  }
  for (int i = 0; i < c->n; i++) ct_release(&c->target[i]);
  ct_scope_end(scope);
  return status;
}

static ct_status value(check *c, ct_tensor *y, double *result) { return out(c, y, result); }

static ct_list targets(const check *c) { return (ct_list){c->n, c->target}; }

/* J^T u */
static ct_status pull(check *c, ct_tensor *y, ct_tensor **gx) {
  ct_tensor *gy = ct_from(CT_F64, c->y_shape, c->u);
  return ct_vjp_all(CT_LIST(y), CT_LIST(gy), targets(c), gx);
}

/* J v */
static ct_status push(check *c, ct_tensor *y, ct_tensor **dy) {
  return ct_jvp_all(CT_LIST(y), targets(c), direction(c), dy);
}

static ct_status gradient(check *c, ct_tensor *y, double *result) {
  ct_status status = pull(c, y, c->first);
  return status == CT_OK ? join(c, c->first, result) : status;
}

static ct_status tangent(check *c, ct_tensor *y, double *result) {
  ct_tensor *dy = NULL;
  ct_status status = push(c, y, &dy);
  return status == CT_OK ? out(c, dy, result) : status;
}

static ct_status vjp_of_vjp(check *c, ct_tensor *y, double *result) {
  ct_status status = pull(c, y, c->first);
  if (status == CT_OK)
    status = ct_vjp_all((ct_list){c->n, c->first}, direction(c), targets(c), c->second);
  return status == CT_OK ? join(c, c->second, result) : status;
}

static ct_status jvp_of_vjp(check *c, ct_tensor *y, double *result) {
  ct_status status = pull(c, y, c->first);
  if (status == CT_OK)
    status = ct_jvp_all((ct_list){c->n, c->first}, targets(c), direction(c), c->second);
  return status == CT_OK ? join(c, c->second, result) : status;
}

static ct_status vjp_of_jvp(check *c, ct_tensor *y, double *result) {
  ct_tensor *dy = NULL;
  ct_status status = push(c, y, &dy);
  return status == CT_OK ? gradient(c, dy, result) : status;
}

static ct_status jvp_of_jvp(check *c, ct_tensor *y, double *result) {
  ct_tensor *dy = NULL;
  ct_status status = push(c, y, &dy);
  return status == CT_OK ? tangent(c, dy, result) : status;
}

/* y and g at x and at p, as one batch of input `only`: they go to got and y_got, and to plus and
 * y_plus. */
static ct_status batched(check *c, ct_tensor *y, double *result) {
  (void)result;
  ct_status status = pull(c, y, c->first);
  if (status != CT_OK) return status;
  int i = c->only;
  ct_tensor *both = ct_stack(CT_LIST(part(c, i, c->x), part(c, i, c->p)), 0);
  c->first[c->n] = y;
  status = ct_vmap((ct_list){c->n + 1, c->first}, CT_LIST(c->target[i]), CT_LIST(both),
                   (ct_vmap_opts){0}, c->second);
  for (int b = 0; b < 2 && status == CT_OK; b++) {
    for (int k = 0; k <= c->n; k++) c->first[k] = ct_slice(c->second[k], 0, b, b + 1, 1);
    status = join(c, c->first, b ? c->plus : c->got);
    if (status == CT_OK) status = out(c, c->first[c->n], b ? c->y_plus : c->y_got);
  }
  return status;
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* Relative to the largest element, but not below what rounding leaves of differences of numbers as
 * large as y and g. The worst error so far goes to the report and, for a check of one input, to
 * its place `each`; NaN is the worst of all. */
static void compare(check *c, const char *name, int input, int64_t element, int64_t n,
                    const double *got, const double *want, double *each) {
  double unit = fmax(fmax(largest(n, got), largest(n, want)), 1e-3 * c->scale), worst = 0;
  for (int64_t e = 0; e < n; e++) {
    double error = got[e] == want[e] ? 0 : fabs(got[e] - want[e]) / unit;
    if (!(error <= worst) && !isnan(worst)) worst = error;
    if (!(error <= c->worst.error) && !isnan(c->worst.error))
      c->worst = (ct_gradcheck_report){.check = name,
                                       .input = input,
                                       .element = element < 0 ? element : e,
                                       .got = got[e],
                                       .want = want[e],
                                       .error = error};
  }
  if (each && !(worst <= *each) && !isnan(*each)) *each = worst;
}

/* Where the errors of a kind are kept, as the place of its member. */
static double *place(const check *c, int i, size_t member) {
  return (double *)(void *)((char *)&c->each[c->input[i]] + member);
}

static void compare_inputs(check *c, const char *name, const double *got, const double *want,
                           size_t member) {
  for (int i = 0; i < c->n; i++) {
    int64_t s = c->start[i];
    compare(c, name, c->input[i], 0, c->start[i + 1] - s, got + s, want + s, place(c, i, member));
  }
}

/* The change of what `todo` computes along the direction, by a central difference. */
static ct_status difference(check *c, job *todo, int64_t n, double *plus, double *minus,
                            double *want) {
  int64_t size = c->start[c->n];
  for (int64_t e = 0; e < size; e++) c->p[e] = c->x[e] + c->step * c->v[e];
  ct_status status = at(c, c->p, todo, plus);
  for (int64_t e = 0; e < size; e++) c->p[e] = c->x[e] - c->step * c->v[e];
  if (status == CT_OK) status = at(c, c->p, todo, minus);
  for (int64_t e = 0; e < n && status == CT_OK; e++) want[e] = (plus[e] - minus[e]) / (2 * c->step);
  return status;
}

static ct_status difference_y(check *c, job *todo) {
  return difference(c, todo, c->y_size, c->y_plus, c->y_minus, c->y_want);
}

/* ---- the checks ------------------------------------------------------------------------------ */

/* g against differences of <u, f>, element by element. */
static ct_status check_elements(check *c, int i) {
  ct_status status = CT_OK;
  c->only = -1;
  memset(c->v, 0, (size_t)c->start[c->n] * sizeof *c->v);
  for (int64_t e = c->start[i]; e < c->start[i + 1] && status == CT_OK; e++) {
    double length = c->v[e] = fmax(1, fabs(c->x[e]));
    status = difference_y(c, value);
    c->want[e] = dot(c->y_size, c->u, c->y_want) / length;
    c->v[e] = 0;
  }
  int64_t s = c->start[i];
  if (status == CT_OK)
    compare(c, "vjp", c->input[i], 0, c->start[i + 1] - s, c->g + s, c->want + s,
            &c->each[c->input[i]].vjp);
  return status;
}

/* The same for large inputs: <g, v> in a few directions. */
static ct_status check_directions(check *c, int i) {
  double got[DIRECTIONS], want[DIRECTIONS];
  ct_status status = CT_OK;
  for (int d = 0; d < DIRECTIONS && status == CT_OK; d++) {
    draw_direction(c, i);
    status = difference_y(c, value);
    got[d] = dot(c->start[c->n], c->g, c->v);
    want[d] = dot(c->y_size, c->u, c->y_want);
  }
  if (status == CT_OK)
    compare(c, "vjp", c->input[i], -1, DIRECTIONS, got, want, &c->each[c->input[i]].vjp);
  return status;
}

static ct_status check_input(check *c, int i) {
  bool small = c->start[i + 1] - c->start[i] <= MAX_ELEMENTS;
  ct_status status = small ? check_elements(c, i) : check_directions(c, i);
  draw_direction(c, i);
  if (status == CT_OK) status = difference_y(c, value);
  if (status == CT_OK) status = at(c, c->x, tangent, c->y_got);
  if (status == CT_OK)
    compare(c, "jvp", c->input[i], 0, c->y_size, c->y_got, c->y_want, &c->each[c->input[i]].jvp);
  return status;
}

/* f and g, one by one or with input i in another layout or a batch, against f and g as they should
 * be. Everything that is compared belongs to input i: it alone was changed. */
static void compare_both(check *c, const char *name, int i, const double *y_got,
                         const double *y_want, const double *got, const double *want,
                         double *each) {
  compare(c, name, c->input[i], -1, c->y_size, y_got, y_want, each);
  compare(c, name, c->input[i], -1, c->start[c->n], got, want, each);
}

static ct_status value_and_gradient(check *c, const double *p, double *y, double *g) {
  ct_status status = at(c, p, value, y);
  return status == CT_OK ? at(c, p, gradient, g) : status;
}

static ct_status check_layout(check *c, int i) {
  memcpy(c->p, c->x, (size_t)c->start[c->n] * sizeof *c->p); /* contiguous, as x may not be */
  ct_status status = value_and_gradient(c, c->p, c->y_want, c->want);
  c->strided = i;
  if (status == CT_OK) status = value_and_gradient(c, c->p, c->y_got, c->got);
  c->strided = -1;
  if (status == CT_OK)
    compare_both(c, "strided against contiguous", i, c->y_got, c->y_want, c->got, c->want,
                 &c->each[c->input[i]].strided);
  return status;
}

/* The second element of the batch differs by a thousandth: enough to be told from the first, and
 * of the same sign. */
static ct_status check_batch(check *c, int i) {
  memcpy(c->p, c->x, (size_t)c->start[c->n] * sizeof *c->p);
  for (int64_t e = c->start[i]; e < c->start[i + 1]; e++) c->p[e] += 1e-3 * draw(c) * c->x[e];
  double *each = &c->each[c->input[i]].batch;
  c->only = i;
  ct_status status = at(c, c->x, batched, NULL);
  c->only = -1;
  if (status == CT_OK) status = value_and_gradient(c, c->p, c->y_want, c->want);
  if (status != CT_OK) return status;
  compare_both(c, "batch against loop", i, c->y_got, c->y, c->got, c->g, each);
  compare_both(c, "batch against loop", i, c->y_plus, c->y_want, c->plus, c->want, each);
  return CT_OK;
}

static ct_status check_inner_product(check *c) {
  draw_direction(c, -1);
  ct_status status = at(c, c->x, tangent, c->y_got);
  if (status != CT_OK) return status;
  double got = dot(c->start[c->n], c->g, c->v), want = dot(c->y_size, c->u, c->y_got);
  compare(c, "inner product", -1, -1, 1, &got, &want, NULL);
  return CT_OK;
}

/* The direction is that of the inner product. */
static ct_status check_second(check *c) {
  static const struct {
    const char *name;
    job *todo;
    size_t member;
  } way[] = {{"second order, vjp of vjp", vjp_of_vjp, offsetof(ct_gradcheck_input, vjp_of_vjp)},
             {"second order, jvp of vjp", jvp_of_vjp, offsetof(ct_gradcheck_input, jvp_of_vjp)},
             {"second order, vjp of jvp", vjp_of_jvp, offsetof(ct_gradcheck_input, vjp_of_jvp)}};
  int64_t n = c->start[c->n];
  ct_status status = difference(c, gradient, n, c->plus, c->minus, c->want);
  for (int k = 0; k < CT__COUNT(way) && status == CT_OK; k++) {
    status = at(c, c->x, way[k].todo, c->got);
    if (status != CT_OK) break;
    compare_inputs(c, way[k].name, c->got, c->want, way[k].member);
    if (k == 0) memcpy(c->plus, c->got, (size_t)n * sizeof *c->got);
    compare_inputs(c, "second order, both ways", c->got, c->plus, way[k].member);
  }
  if (status == CT_OK) status = difference_y(c, tangent);
  if (status == CT_OK) status = at(c, c->x, jvp_of_jvp, c->y_got);
  if (status == CT_OK)
    compare(c, "second order, jvp of jvp", -1, 0, c->y_size, c->y_got, c->y_want, NULL);
  return status;
}

static ct_status verdict(const check *c) {
  const ct_gradcheck_report *r = &c->worst;
  if (r->error <= c->tolerance) return CT_OK;
  return ct__fail_status(CT_ECHECK,
                         "ct_gradcheck: %s, input %d, element %lld: got %.10g, want %.10g, "
                         "relative error %.2g",
                         r->check, r->input, (long long)r->element, r->got, r->want, r->error);
}

/* ---- setting up ------------------------------------------------------------------------------ */

static ct_status check_arguments(ct_fn *f, ct_list x, ct_gradcheck_opts o) {
  if (!f) return ct__fail_status(CT_EARG, "ct_gradcheck: f is NULL");
  if (x.n < 1 || !x.at) return ct__fail_status(CT_EARG, "ct_gradcheck: want at least one input");
  if (!(o.step >= 0 && o.step < INFINITY) || !(o.tolerance >= 0) || o.order < 0 || o.order > 2)
    return ct__fail_status(CT_EARG, "ct_gradcheck: want step and tolerance >= 0, order 1 or 2");
  int n = 0;
  for (int i = 0; i < x.n; i++) {
    ct_status status = ct__check_value("ct_gradcheck", x.at[i]);
    if (status != CT_OK) return status;
    n += ct_dtype_is_float(x.at[i]->v.dtype);
  }
  return n > 0 ? CT_OK
               : ct__fail_status(CT_EDTYPE, "ct_gradcheck: want an input of dtype f32 or f64");
}

/* Lays the float inputs end to end. */
static ct_status set_inputs(check *c) {
  int64_t end = 0;
  for (int i = 0; i < c->all.n; i++) {
    c->leaf[i] = c->all.at[i];
    if (!ct_dtype_is_float(c->leaf[i]->v.dtype)) continue;
    c->input[c->n] = i;
    c->start[c->n++] = end;
    if (__builtin_add_overflow(end, c->leaf[i]->v.size, &end))
      return ct__fail_status(CT_ESIZE, "ct_gradcheck: the inputs are too large");
  }
  c->start[c->n] = end;
  double **const all[] = {&c->x, &c->p, &c->v, &c->g, &c->got, &c->plus, &c->minus, &c->want};
  if (!vectors(end, CT__COUNT(all), all)) return ct__pending("ct_gradcheck");
  for (int i = 0; i < c->n; i++) {
    ct_view part = {0}, *given = &c->all.at[c->input[i]]->v;
    ct__view_set(&part, CT_F64, given->ndim, given->dim);
    part.data = (char *)(c->x + c->start[i]);
    ct__cast(given, &part);
  }
  return CT_OK;
}

/* The output at x, its size, and a cotangent for it. */
static ct_status set_outputs(check *c) {
  ct_status status = at(c, c->x, NULL, NULL);
  if (status != CT_OK) return status;
  double **const all[] = {&c->u, &c->y, &c->y_got, &c->y_plus, &c->y_minus, &c->y_want};
  if (!vectors(c->y_size, CT__COUNT(all), all)) return ct__pending("ct_gradcheck");
  for (int64_t e = 0; e < c->y_size; e++) c->u[e] = draw(c);
  status = at(c, c->x, value, c->y);
  if (status == CT_OK) status = at(c, c->x, gradient, c->g);
  c->scale = fmax(largest(c->y_size, c->y), largest(c->start[c->n], c->g));
  return status;
}

static ct_status set_up(check *c) {
  size_t n = (size_t)c->all.n;
  c->input = scratch((int64_t)n, sizeof *c->input);
  c->start = scratch((int64_t)n + 1, sizeof *c->start);
  ct_tensor ***const lists[] = {&c->leaf, &c->target, &c->tangent, &c->first, &c->second};
  bool full = c->input && c->start;
  for (int i = 0; i < CT__COUNT(lists) && full; i++)
    full = (*lists[i] = scratch((int64_t)n + 1, sizeof(ct_tensor *)));
  if (!full) return ct__pending("ct_gradcheck");
  for (int i = 0; i < c->all.n; i++) c->each[i] = (ct_gradcheck_input){-1, -1, -1, -1, -1, -1, -1};
  ct_status status = set_inputs(c);
  return status == CT_OK ? set_outputs(c) : status;
}

/* From the most telling checks to the least: a failure ends them, so that the report names an
 * element where one can be named. */
static ct_status run_checks(check *c, int order) {
  ct_status status = set_up(c);
  for (int i = 0; i < c->n && status == CT_OK; i++) status = check_input(c, i);
  if (status == CT_OK) status = verdict(c);
  if (status == CT_OK) status = check_inner_product(c);
  for (int i = 0; i < c->n && status == CT_OK; i++) {
    status = check_layout(c, i);
    if (status == CT_OK) status = check_batch(c, i);
  }
  if (status == CT_OK) status = verdict(c);
  if (status == CT_OK && order != 1) status = check_second(c);
  return status == CT_OK ? verdict(c) : status;
}

ct_status ct_gradcheck(ct_fn *f, void *payload, ct_list x, ct_gradcheck_opts opts,
                       ct_gradcheck_report *report) {
  if (report) *report = (ct_gradcheck_report){.check = ""};
  ct_status status = check_arguments(f, x, opts);
  if (status != CT_OK) return status;
  check c = {.f = f,
             .payload = payload,
             .all = x,
             .y_size = -1,
             .step = opts.step > 0 ? opts.step : 1e-6,
             .tolerance = opts.tolerance > 0 ? opts.tolerance : 1e-6,
             .seed = opts.seed,
             .strided = -1,
             .worst = {.check = ""},
             .each = opts.each};
  ct_scope scope = ct_scope_begin();
  if (scope.depth < 0) return ct__pending("ct_gradcheck");
  ct__set_recording(true);
  if (!c.each) c.each = scratch(x.n, sizeof *c.each);
  status = c.each ? run_checks(&c, opts.order) : ct__pending("ct_gradcheck");
  ct_scope_end(scope);
  if (report) *report = c.worst;
  return status;
}
