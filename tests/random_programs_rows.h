/* random_programs_rows.h - the table of random_programs.def, and what its lines refer to. */
#ifndef COTANGENT_RANDOM_PROGRAMS_ROWS_H
#define COTANGENT_RANDOM_PROGRAMS_ROWS_H

/* ---- what rows want -------------------------------------------------------------------------- */

static inline void
draw_broadcast(drawing *d) { /* operand 1, or 1 and 2, broadcast with the first */
  for (int i = 1; i < MAX_IN; i++) {
    ct_shape *s = &d->want[i];
    if (chance(d, 50)) continue;
    int drop = s->n ? below(d, s->n + 1) : 0;
    memmove(s->dim, s->dim + drop, (size_t)(s->n - drop) * sizeof s->dim[0]);
    s->n -= drop;
    for (int k = 0; k < s->n; k++)
      if (chance(d, 25)) s->dim[k] = 1;
  }
}

/* At least so many dimensions in want[0]. */
static inline void want_dims(drawing *d, int least, int most) {
  if (d->want[0].n < least || d->want[0].n > most) d->want[0] = draw_shape(d, least, most);
  for (int i = 1; i < MAX_IN; i++) d->want[i] = d->want[0];
}

/* Sometimes counted from the end. */
static inline int draw_axis(drawing *d, int n) { return below(d, n) - (chance(d, 30) ? n : 0); }
static inline int from_start(int axis, int n) { return axis < 0 ? axis + n : axis; }

static inline void draw_an_axis(drawing *d) { /* a[0]: an axis; a[1]: a flag */
  want_dims(d, 1, CT_MAX_DIMS);
  int n = d->want[0].n;
  d->a[0] = draw_axis(d, n);
  d->a[1] = below(d, 2);
  d->result_below = (int)d->want[0].dim[from_start(d->a[0], n)];
}

static inline void draw_axes(drawing *d) { /* axes(a); a[9]: keepdims */
  int n = d->want[0].n;
  for (int k = 0; k < n; k++)
    if (chance(d, 50)) d->a[++d->a[0]] = k - (chance(d, 30) ? n : 0);
  d->a[9] = below(d, 2);
}

static inline void draw_reshape(drawing *d) { /* shape(a): the extents split and joined anew */
  int64_t rest = shape_size(d->want[0]);
  ct_shape s = {0};
  for (int64_t f = 2; f <= rest; f++)
    for (; rest % f == 0; rest /= f)
      if (s.n && (s.n == 4 || chance(d, 60)))
        s.dim[below(d, s.n)] *= f;
      else
        s.dim[s.n++] = f;
  if (shape_size(d->want[0]) == 0) s = (ct_shape){2, {0, 3}};
  if (chance(d, 20)) s.dim[s.n++] = 1;
  set_shape(d, s);
}

static inline void draw_permutation(drawing *d) { /* axes(a) */
  int n = d->a[0] = d->want[0].n;
  for (int k = 0; k < n; k++) {
    int other = below(d, k + 1);
    d->a[k + 1] = d->a[other + 1];
    d->a[other + 1] = k;
  }
}

static inline void draw_larger(drawing *d) { /* shape(a): extents of 1 grow, new ones in front */
  ct_shape s = d->want[0];
  if (s.n < 4 && chance(d, 60)) {
    memmove(s.dim + 1, s.dim, (size_t)s.n * sizeof s.dim[0]);
    s.dim[0] = between(d, 1, 3);
    s.n++;
  }
  for (int k = 0; k < s.n; k++)
    if (s.dim[k] == 1) s.dim[k] = between(d, 1, 3);
  set_shape(d, s);
}

static inline void draw_slice(drawing *d) { /* a: axis, start, stop, step */
  draw_an_axis(d);
  int n = d->result_below, step = between(d, 1, 3), first = n ? below(d, n) : 0;
  d->result_below = 0;
  d->a[1] = first;
  d->a[2] = between(d, first + 1, n + 1);
  d->a[3] = step;
  if (chance(d, 50)) d->a[2] = -between(d, n - first + 1, n + 2), d->a[3] = -step;
}

static inline void draw_pad(drawing *d) { /* a: axis, before, after */
  draw_an_axis(d);
  d->result_below = 0;
  d->a[1] = below(d, 3);
  d->a[2] = below(d, 2);
}

static inline void draw_parts(drawing *d) { /* a[0]: an axis along which the operands may differ */
  draw_an_axis(d);
  d->result_below = 0;
  for (int i = 1; i < MAX_IN; i++)
    d->want[i].dim[from_start(d->a[0], d->want[0].n)] = between(d, 1, 3);
}

static inline void draw_new_axis(drawing *d) { d->a[0] = draw_axis(d, d->want[0].n + 1); }

static inline void draw_split(drawing *d) { /* a: axis, number of parts, which one */
  draw_an_axis(d);
  int n = d->result_below;
  d->result_below = 0;
  d->a[1] = n && n % 3 == 0 ? 3 : n && n % 2 == 0 ? 2 : 1;
  d->a[2] = below(d, d->a[1]);
}

static inline void draw_two_axes(drawing *d) { /* a: two axes */
  want_dims(d, 1, CT_MAX_DIMS);
  d->a[0] = draw_axis(d, d->want[0].n);
  d->a[1] = draw_axis(d, d->want[0].n);
}

static inline void draw_matmul(drawing *d) {
  want_dims(d, 1, 4);
  ct_shape x = d->want[0], *y = &d->want[1];
  int lead = x.n > 2 && chance(d, 70) ? between(d, 1, x.n - 2) : 0;
  *y = (ct_shape){.n = 0};
  for (int k = x.n - 2 - lead; k < x.n - 2; k++) y->dim[y->n++] = chance(d, 30) ? 1 : x.dim[k];
  if (x.n <= 2 && chance(d, 20)) y->dim[y->n++] = between(d, 2, 3); /* a batch on the right alone */
  y->dim[y->n++] = x.dim[x.n - 1];
  if (y->n > 1 || chance(d, 75)) y->dim[y->n++] = between(d, 1, 3);
}

/* Integers of 0 to 2 dimensions that point into an axis: a[0] the axis, operand 1 the integers,
 * operand 2 shaped like what they pick. */
static inline void draw_pick(drawing *d) {
  draw_an_axis(d);
  d->result_below = 0;
  ct_shape x = d->want[0], index = {.n = below(d, 3)}, *picked = &d->want[2];
  int axis = from_start(d->a[0], x.n);
  if (x.dim[axis] == 0) d->want[0].dim[axis] = x.dim[axis] = 2;
  for (int k = 0; k < index.n; k++) index.dim[k] = between(d, 1, 3);
  d->want[1] = index;
  d->below[1] = (int)x.dim[axis];
  *picked = (ct_shape){.n = 0};
  for (int k = 0; k < axis; k++) picked->dim[picked->n++] = x.dim[k];
  for (int k = 0; k < index.n; k++) picked->dim[picked->n++] = index.dim[k];
  for (int k = axis + 1; k < x.n; k++) picked->dim[picked->n++] = x.dim[k];
}

static inline void draw_depth(drawing *d) { /* a[0]: more than the integers */
  d->a[0] = d->below[0] = d->below[0] && d->below[0] < 6 ? d->below[0] : between(d, 1, 4);
}

static inline void draw_rows(drawing *d) { /* (n, classes) and n labels; a: smoothing, reduction */
  want_dims(d, 2, 2);
  for (int k = 0; k < 2; k++)
    if (d->want[0].dim[k] == 0) d->want[0].dim[k] = 2;
  d->want[3] = d->want[0];
  d->want[1] = d->want[2] = CT_SHAPE(d->want[0].dim[0]);
  d->below[1] = (int)d->want[0].dim[1];
  d->a[0] = below(d, 4);
  d->a[1] = below(d, 3);
}

static inline void draw_two_rows(drawing *d) {
  draw_rows(d);
  d->want[1] = d->want[0];
}

static inline void draw_factor(drawing *d) { d->a[0] = between(d, -12, 12); }

static inline void draw_order(drawing *d) { d->a[0] = below(d, 3); }

static inline void draw_bounds(drawing *d) { /* a[0] <= a[1] */
  d->a[0] = between(d, -12, 4);
  d->a[1] = between(d, d->a[0], 12);
}

static inline void draw_wave(drawing *d) { /* in thousandths: frequency, amplitude, offset */
  d->a[0] = between(d, 300, 1000);
  d->a[1] = between(d, 500, 2000);
  d->a[2] = between(d, -1000, 1000);
}

static inline void draw_noise(drawing *d) { set_shape(d, draw_shape(d, 0, 3)); }

static inline void draw_count(drawing *d) { d->a[0] = d->result_below = between(d, 1, 5); }

static inline void draw_line(drawing *d) { /* a: axis and two flags; the result is no index */
  draw_an_axis(d);
  d->result_below = 0;
  d->a[2] = below(d, 2);
}

static inline void draw_recurrence(drawing *d) { /* the start of operand 2 along that axis */
  draw_line(d);
  d->want[2].dim[from_start(d->a[0], d->want[2].n)] = 1;
}

static inline void draw_counted(drawing *d) { /* an axis and 1 .. extent */
  draw_line(d);
  int n = (int)d->want[0].dim[from_start(d->a[0], d->want[0].n)];
  d->a[1] = n ? between(d, 1, n) : 0;
}

static inline void
draw_update(drawing *d) { /* as draw_slice; operand 1 broadcasts with the slice */
  draw_slice(d);
  int axis = from_start(d->a[0], d->want[0].n), first = d->a[1], step = d->a[3];
  int n = (int)d->want[0].dim[axis];
  int last = step > 0 ? (d->a[2] < n ? d->a[2] : n) : (d->a[2] + n > -1 ? d->a[2] + n : -1);
  int count = step > 0 ? (last - first + step - 1) / step : (first - last - step - 1) / -step;
  d->want[1] = d->want[0];
  d->want[1].dim[axis] = n ? count : 0;
  if (chance(d, 30)) d->want[1].dim[axis] = n ? 1 : 0;
}

static inline void draw_along(drawing *d) { /* an index for each line along the axis */
  draw_line(d);
  ct_shape *x = &d->want[0];
  int axis = from_start(d->a[0], x->n);
  if (x->dim[axis] == 0) x->dim[axis] = 2;
  d->below[1] = (int)x->dim[axis];
  d->want[1] = *x;
  d->want[1].dim[axis] = between(d, 1, 3);
}

static inline void draw_sorted(drawing *d) { /* a vector, and anything; a[0]: a flag */
  d->want[1] = d->want[0];
  d->want[0] = CT_SHAPE(between(d, 2, 5));
  d->a[0] = below(d, 2);
  d->result_below = (int)d->want[0].dim[0] + 1;
}

static inline void draw_edges(drawing *d) {
  d->want[1] = CT_SHAPE(between(d, 2, 5));
  d->result_below = (int)shape_size(d->want[0]) + 1;
}

static inline void draw_power(drawing *d) { /* draw_axes, and p in a[10] */
  draw_axes(d);
  d->a[10] = between(d, 1, 4);
}

static inline void draw_freedom(drawing *d) { /* draw_axes, and ddof in a[10] */
  draw_axes(d);
  d->a[10] = shape_size(d->want[0]) > 1 && d->a[0] == 0 ? below(d, 2) : 0;
}

static inline void draw_matrix(drawing *d) { /* a[0]: a diagonal */
  want_dims(d, 2, 4);
  d->a[0] = between(d, -2, 2);
}

static inline void draw_diagonal(drawing *d) { /* a: two axes */
  want_dims(d, 2, 4);
  int n = d->want[0].n, first = below(d, n), second = (first + between(d, 1, n - 1)) % n;
  d->a[0] = first;
  d->a[1] = second - (chance(d, 30) ? n : 0);
}

static inline void draw_small(drawing *d) { d->want[0] = draw_shape(d, 1, 2); }
static inline void draw_two_small(drawing *d) {
  d->want[0] = draw_shape(d, 1, 2);
  d->want[1] = draw_shape(d, 1, 2);
}

static inline void draw_vectors(drawing *d) {
  for (int i = 0; i < 3; i++) d->want[i] = CT_SHAPE(between(d, 1, 3));
  d->a[0] = below(d, 2);
}

static inline void draw_tiles(drawing *d) { /* shape(a): how often along each axis */
  d->a[0] = d->want[0].n;
  for (int k = 0; k < d->want[0].n; k++) d->a[k + 1] = between(d, 1, 2);
}

/* Matrices to multiply in a row; with a batch in front of the first two. */
static inline void draw_chain(drawing *d) {
  int64_t m[4];
  for (int i = 0; i < 4; i++) m[i] = between(d, 1, 4);
  for (int i = 0; i < 3; i++) d->want[i] = CT_SHAPE(m[i], m[i + 1]);
}

static inline void draw_batch(drawing *d) {
  int64_t b = between(d, 1, 3), i = between(d, 1, 3), j = between(d, 1, 3), k = between(d, 1, 3);
  d->want[0] = CT_SHAPE(b, i, j);
  d->want[1] = CT_SHAPE(b, j, k);
}

static inline void
draw_pairs(drawing *d) { /* the last two axes of one are the first of the other */
  int64_t j = between(d, 1, 3), k = between(d, 1, 3);
  d->want[0] = CT_SHAPE(between(d, 1, 3), j, k);
  d->want[1] = CT_SHAPE(k, j, between(d, 1, 3));
}

static inline void draw_square(drawing *d) {
  int64_t n = between(d, 1, 4);
  d->want[0] = CT_SHAPE(n, n);
}

/* a: stride, padding, dilation, groups, output padding; x and w of a convolution, or of its
 * transpose. */
static inline void draw_conv(drawing *d, bool transpose) {
  int *a = d->a, groups = a[6] = between(d, 1, 2), each = between(d, 1, 2);
  int64_t window[2], image[2];
  for (int k = 0; k < 2; k++) {
    a[k] = between(d, 1, 2);
    a[4 + k] = between(d, 1, 2);
    window[k] = between(d, 1, 2);
    int span = ((int)window[k] - 1) * a[4 + k] + 1;
    a[2 + k] = span > 1 ? below(d, 2) : 0;
    image[k] = transpose ? between(d, 2, 3) : between(d, span, 4);
    a[7 + k] = transpose && a[k] > 1 ? below(d, 2) : 0;
  }
  int in = groups * each, out = groups * between(d, 1, 2), n = between(d, 1, 2);
  d->want[0] = CT_SHAPE(n, in, image[0], image[1]);
  d->want[1] =
      CT_SHAPE(transpose ? in : out, transpose ? out / groups : each, window[0], window[1]);
}
static inline void draw_conv2d(drawing *d) { draw_conv(d, false); }
static inline void draw_conv2d_transpose(drawing *d) { draw_conv(d, true); }

static inline void draw_pool(drawing *d) { /* a: kernel, stride, padding */
  ct_shape *x = &d->want[0];
  *x = draw_shape(d, 2, 4);
  for (int k = 0; k < 2; k++) {
    int64_t *extent = &x->dim[x->n - 2 + k];
    *extent = between(d, 2, 4);
    d->a[k] = between(d, 1, 3);
    d->a[2 + k] = between(d, 0, 2);
    d->a[4 + k] = d->a[k] > 1 ? below(d, 2) : 0;
    if (d->a[k] > *extent) *extent = d->a[k];
  }
}

static inline void draw_pooled(drawing *d) { /* an image and what pooling by 2 x 2 makes of it */
  ct_shape s = d->want[0] = draw_shape(d, 2, 4);
  for (int k = s.n - 2; k < s.n; k++) d->want[0].dim[k] = 2 * (s.dim[k] = between(d, 1, 2));
  d->want[1] = s;
}

/* ---- expressions of several calls ------------------------------------------------------------ */

static inline ct_tensor *part(ct_tensor *x, int axis, int n, int k) {
  ct_tensor *out[3];
  return ct_split(x, axis, n, out) == CT_OK ? out[k] : ct_nil();
}

/* A recorded twin of what is not recorded, so that it can be differentiated here. */
static inline ct_tensor *recorded(ct_tensor *t) {
  if (ct_is_recorded(t) || ct_is_nil(t)) return t;
  ct_tensor *v = ct_variable(t), *x = ct_contiguous(v);
  ct_release(&v);
  return x;
}

static inline ct_tensor *loss_gradient(ct_tensor *x, ct_tensor *labels, ct_tensor *gy) {
  x = recorded(x);
  ct_cross_entropy_opts each = {.reduction = CT_EACH};
  return ct_vjp(ct_cross_entropy_with(x, labels, each), x, gy);
}

static inline ct_tensor *pulled(ct_tensor *x, ct_tensor *gy) {
  x = recorded(x);
  return ct_vjp(ct_mul(ct_sin(x), ct_tanh(x)), x, gy);
}

static inline ct_tensor *pushed(ct_tensor *x, ct_tensor *dx) {
  x = recorded(x);
  return ct_jvp(ct_mul(ct_cos(x), ct_sigmoid(x)), x, dx);
}

static inline ct_tensor *softmax_pulled(ct_tensor *x, ct_tensor *gy) {
  x = recorded(x);
  return ct_vjp(ct_log_softmax(x, 1), x, gy);
}

static inline ct_tensor *softmax_pushed(ct_tensor *x, ct_tensor *dx) {
  x = recorded(x);
  return ct_jvp(ct_log_softmax(x, 1), x, dx);
}

static inline ct_tensor *sort_pulled(ct_tensor *x, ct_tensor *gy) {
  x = recorded(x);
  return ct_vjp(ct_sort(x, 1, false, NULL), x, gy);
}

static inline ct_tensor *var_pulled(ct_tensor *x, ct_tensor *gy) {
  x = recorded(x);
  return ct_vjp(ct_add(x, ct_var(x, CT_AXES(-1), 0, true)), x, gy);
}

static inline ct_tensor *layer_norm_pulled(ct_tensor *x, ct_tensor *gy) {
  x = recorded(x);
  return ct_vjp(ct_layer_norm(x, CT_AXES(-1), 0.01), x, gy);
}

/* a b / 2 - 2 b c */
static inline ct_tensor *weighted(ct_tensor *a, ct_tensor *b, ct_tensor *c) {
  ct__sums s;
  ct_tensor *y;
  ct_status status = ct__sums_begin(&s, 1, 2);
  if (status != CT_OK) return ct_nil();
  ct__sums_add(&s, 0, 0.5, a, b);
  ct__sums_add(&s, 0, -2, b, c);
  ct__sums_end(&s, status, &y);
  return y;
}

static inline ct_tensor *pool_gradient(ct_tensor *x, ct_tensor *gy) {
  x = recorded(x);
  return ct_vjp(ct_avgpool(x, (ct_pool_opts){.kernel = {2, 2}}), x, gy);
}

static inline ct_tensor *grid(ct_tensor *x, ct_tensor *y, int k) {
  ct_tensor *out[2];
  return ct_meshgrid(CT_LIST(x, y), out) == CT_OK ? out[k] : ct_nil();
}

/* sin(a) (a + b) as a function that is called. */
static inline ct_tensor *called(ct_tensor *a, ct_tensor *b) {
  ct_tensor *p = ct_placeholder(CT_F64, ct_shape_of(a));
  ct_tensor *q = ct_placeholder(CT_F64, ct_shape_of(b));
  ct_tensor *y = ct_mul(ct_sin(p), ct_add(p, q)), *out = ct_nil();
  ct_function *f = ct_function_new(CT_LIST(p, q), CT_LIST(y));
  if (f) ct_call_function(f, CT_LIST(a, b), &out);
  ct_function_release(&f);
  return out;
}

/* x sin x with a rule of its own, the same in both modes: in[0] is x, in[2] what comes in. */
static inline void product_of(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  out[0] = ct_mul(in.at[0], ct_sin(in.at[0]));
}

static inline void product_rule(ct_list in, ct_tensor **out, void *payload) {
  (void)payload;
  ct_tensor *x = in.at[0], *slope = ct_add(ct_sin(x), ct_mul(x, ct_cos(x)));
  out[0] = ct_mul(in.at[2], slope);
}

static inline ct_tensor *customised(ct_status (*make)(ct_custom c, ct_list x, ct_tensor **y),
                                    ct_body *rule, ct_tensor *x) {
  ct_tensor *y = ct_nil();
  return make((ct_custom){.f = product_of, .rule = rule}, CT_LIST(x), &y) == CT_OK ? y : ct_nil();
}

static inline FILE *nowhere(void) {
  static FILE *out;
  if (!out) out = fopen("/dev/null", "w");
  assert_non_null(out);
  return out;
}

/* ---- the table ------------------------------------------------------------------------------- */

#define ROW(name, kinds, draw, expression)                                                         \
  static inline ct_tensor *apply_##name(ct_tensor *const *x, const int *a) {                       \
    (void)a;                                                                                       \
    return expression;                                                                             \
  }
#include "random_programs.def"
#undef ROW
#define ROW(name, kinds, draw, expression) {#name, kinds, draw, apply_##name, .text = #expression},
static const row hand_rows[] = {
#include "random_programs.def"
};
#undef ROW

#endif
