/* test_softmax.c - softmax, its logarithm and cross entropy: values, stability, errors,
 * derivatives. */
#include "tensors.h"

#include "autograd/autograd.h"
#include "tensor/tensor_internal.h"

static uint32_t seed = 1;

static double draw(void) { /* -1 to 1 */
  seed = seed * 1664525u + 1013904223u;
  return (double)(seed >> 8) / (1 << 23) - 1;
}

enum { MAX_VALUES = 512 };

#define F64(shape, ...) ct_from(CT_F64, shape, (const double[]){__VA_ARGS__})
#define I32(shape, ...) ct_from(CT_I32, shape, (const int32_t[]){__VA_ARGS__})

static ct_tensor *random_tensor(ct_dtype dtype, ct_shape shape, double scale) {
  double values[MAX_VALUES];
  for (int i = 0; i < MAX_VALUES; i++) values[i] = scale * draw();
  return ct_cast(ct_from(CT_F64, shape, values), dtype);
}

static double tolerance(ct_dtype dtype) { return dtype == CT_F32 ? 2e-6 : 1e-14; }

static ct_tensor *gradient(ct_tensor *y, ct_tensor *x) {
  return ct_vjp(y, x, ct_ones(ct_dtype_of(y), ct_shape_of(y)));
}

/* ---- softmax and log_softmax ----------------------------------------------------------------- */

/* Both, of x's elements in row-major order along an axis. */
static void softmax_plainly(const double *x, ct_shape shape, int axis, double *y, double *log_y) {
  int64_t step = 1, n = shape.dim[axis], size = n;
  for (int d = axis + 1; d < shape.n; d++) step *= shape.dim[d];
  for (int d = 0; d < shape.n; d++) size *= d == axis ? 1 : shape.dim[d];
  for (int64_t i = 0; i < size; i++) {
    int64_t first = i / (n * step) * (n * step) + i % step;
    double max = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) max = fmax(max, x[first + j * step]);
    for (int64_t j = 0; j < n; j++) sum += exp(x[first + j * step] - max);
    log_y[i] = x[i] - max - log(sum);
    y[i] = exp(log_y[i]);
  }
}

static void check_softmax(ct_tensor *x) {
  double values[MAX_VALUES], y[MAX_VALUES], log_y[MAX_VALUES];
  ct_shape shape = ct_shape_of(x);
  tensor_values(x, values, ct_size(x));
  for (int i = 0; i < 4 * shape.n; i++) {
    int axis = i / 4;
    double tol = tolerance(ct_dtype_of(x));
    softmax_plainly(values, shape, axis, y, log_y);
    ct__use_reference(i & 1);
    assert_values_near(ct_softmax(x, i & 2 ? axis : axis - shape.n), ct_size(x), y, tol);
    assert_values_near(ct_log_softmax(x, i & 2 ? axis : axis - shape.n), ct_size(x), log_y,
                       10 * tol);
    ct__use_reference(false);
  }
}

static void softmax_values(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    ct_dtype dtype = i ? CT_F32 : CT_F64;
    ct_tensor *x = random_tensor(dtype, CT_SHAPE(4, 6, 5), 3);
    check_softmax(x);
    check_softmax(ct_permute(x, CT_AXES(2, 0, 1)));
    check_softmax(ct_flip(x, CT_AXES(0, 2)));
    check_softmax(ct_slice(x, 1, 5, 0, -2));
    check_softmax(ct_broadcast_to(ct_slice(x, 1, 0, 1, 1), CT_SHAPE(4, 3, 5)));
    check_softmax(random_tensor(dtype, CT_SHAPE(7), 3));
    check_softmax(random_tensor(dtype, CT_SHAPE(3, 1), 3));
  }
  ct_tensor *thirds = ct_softmax(ct_zeros(CT_F32, CT_SHAPE(3)), 0);
  ASSERT_VALUES(thirds, 1e-7, 1.0 / 3, 1.0 / 3, 1.0 / 3);
  assert_int_equal(ct_size(ct_softmax(ct_zeros(CT_F32, CT_SHAPE(2, 0)), 1)), 0);
  assert_int_equal(ct_size(ct_log_softmax(ct_zeros(CT_F32, CT_SHAPE(0, 2)), 1)), 0);
}

/* ---- lines of any length, wherever they lie -------------------------------------------------- */

/* Lengths and numbers of lines around those where kernels change their ways. */
static const int64_t lengths[] = {1,  2,  3,  4,  5,   10,  15,  16, 17,
                                  33, 63, 64, 65, 255, 256, 257, 600};
static const int64_t counts[] = {1, 2, 3, 4, 15, 16, 17, 37};
enum { MOST = 37 * 600 };

typedef ct_tensor *line_fn(ct_tensor *x, ct_tensor *labels);

static ct_tensor *softmax_lines(ct_tensor *x, ct_tensor *labels) {
  (void)labels;
  return ct_softmax(x, 1);
}
static ct_tensor *log_softmax_lines(ct_tensor *x, ct_tensor *labels) {
  (void)labels;
  return ct_log_softmax(x, 1);
}
static ct_tensor *logsumexp_lines(ct_tensor *x, ct_tensor *labels) {
  (void)labels;
  return ct_logsumexp(x, CT_AXES(1), false);
}
static ct_tensor *loss_lines(ct_tensor *x, ct_tensor *labels) {
  return ct_cross_entropy_with(x, labels, (ct_cross_entropy_opts){.reduction = CT_EACH});
}
static ct_tensor *smooth_loss_lines(ct_tensor *x, ct_tensor *labels) {
  return ct_cross_entropy_with(x, labels, (ct_cross_entropy_opts){0.1, CT_EACH});
}
static ct_tensor *mean_loss(ct_tensor *x, ct_tensor *labels) { return ct_cross_entropy(x, labels); }
static ct_tensor *gradient_of(line_fn *fn, ct_tensor *x, ct_tensor *labels) {
  ct_tensor *v = ct_variable(x), *gx = gradient(fn(v, labels), v);
  ct_release(&v);
  return gx;
}
static ct_tensor *loss_gradient(ct_tensor *x, ct_tensor *labels) {
  return gradient_of(loss_lines, x, labels);
}
static ct_tensor *smooth_gradient(ct_tensor *x, ct_tensor *labels) {
  return gradient_of(smooth_loss_lines, x, labels);
}
static ct_tensor *mean_gradient(ct_tensor *x, ct_tensor *labels) {
  return gradient_of(mean_loss, x, labels);
}
static ct_tensor *probability_gradient(ct_tensor *x, ct_tensor *labels) {
  (void)labels;
  return gradient_of(mean_loss, x, ct_softmax(ct_scale(ct_flip(x, CT_AXES(1)), 0.5), 1));
}
static line_fn *const line_fns[] = {
    softmax_lines, log_softmax_lines, logsumexp_lines, loss_lines,    smooth_loss_lines,
    mean_loss,     loss_gradient,     smooth_gradient, mean_gradient, probability_gradient};

/* The same numbers along the other axis, backwards, and with gaps. */
static ct_tensor *laid_out(ct_tensor *x, int way) {
  if (way == 0) return ct_contiguous(ct_transpose(x, 0, 1));
  if (way == 1) return ct_contiguous(ct_flip(x, CT_AXES(0, 1)));
  return ct_contiguous(ct_stack(CT_LIST(x, x), 2));
}
static ct_tensor *as_it_was(ct_tensor *x, int way) {
  if (way == 0) return ct_transpose(x, 0, 1);
  if (way == 1) return ct_flip(x, CT_AXES(0, 1));
  return ct_reshape(ct_slice(x, 2, 1, 2, 1), CT_SHAPE(ct_dim(x, 0), ct_dim(x, 1)));
}

static void check_lines(line_fn *fn, ct_tensor *x, ct_tensor *labels) {
  static double want[MOST];
  ct_tensor *exact = fn(ct_cast(x, CT_F64), labels), *y = fn(x, labels);
  bool was = ct__use_reference(true);
  ct_tensor *plain = fn(x, labels);
  ct__use_reference(was);
  assert_true(ct_size(exact) <= MOST);
  tensor_values(exact, want, ct_size(exact));
  assert_values_near(y, ct_size(y), want, tolerance(ct_dtype_of(x)) * 10);
  assert_values_near(plain, ct_size(y), want, tolerance(ct_dtype_of(x)) * 10);
  for (int way = 0; way < 3; way++)
    assert_same_bits(fn(as_it_was(laid_out(x, way), way), labels), y);
}

static void lines_of_any_length_and_layout(void **state) {
  (void)state;
  ct_tensor *key = ct_key(5);
  int best = ct__isa();
  for (int isa = 0; isa <= best; isa++) {
    assert_true(ct__use_isa(isa));
    for (int i = 0; i < CT__COUNT(lengths) * CT__COUNT(counts); i++) {
      ct_scope inner = ct_scope_begin();
      int64_t n = lengths[i / CT__COUNT(counts)], lines = counts[i % CT__COUNT(counts)];
      int32_t label[37];
      for (int64_t k = 0; k < lines; k++) label[k] = (int32_t)((k * 7919) % n);
      ct_tensor *x = ct_scale(ct_randn(key, i & 1 ? CT_F32 : CT_F64, CT_SHAPE(lines, n)), 3);
      for (int f = 0; f < CT__COUNT(line_fns); f++)
        check_lines(line_fns[f], x, ct_from(CT_I32, CT_SHAPE(lines), label));
      assert_ok(ct_scope_end(inner));
    }
  }
}

static void softmax_of_huge_numbers(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    ct_dtype dtype = i ? CT_F32 : CT_F64;
    ct_tensor *x = ct_cast(F64(CT_SHAPE(3, 2), 1e4, 1e4, 1e4, -1e4, -1e4, -1e4 + 1), dtype);
    double p = 1 / (1 + exp(1));
    ASSERT_VALUES(ct_softmax(x, 1), tolerance(dtype), 0.5, 0.5, 1, 0, p, 1 - p);
    ASSERT_VALUES(ct_log_softmax(x, 1), tolerance(dtype), -log(2), -log(2), 0, -2e4, log(p),
                  log(1 - p));
  }
  ct_tensor *x = F64(CT_SHAPE(4, 2), 0, -INFINITY, -INFINITY, -INFINITY, INFINITY, 0, NAN, 0);
  ASSERT_VALUES(ct_softmax(x, 1), 0, 1, 0, NAN, NAN, NAN, NAN, NAN, NAN);
  ASSERT_VALUES(ct_log_softmax(ct_slice(x, 0, 0, 1, 1), 1), 0, 0, -INFINITY);
}

/* Short and long: what is added changes nothing. */
static void lines_with_special_numbers(void **state) {
  (void)state;
  ct_tensor *x = F64(CT_SHAPE(5, 2), 0, -INFINITY, -INFINITY, -INFINITY, INFINITY, 0, NAN, 0, 0, 0);
  ct_tensor *labels = I32(CT_SHAPE(5), 0, 0, 0, 0, 1);
  for (int i = 0; i < 4; i++) {
    ct_tensor *more = ct_full(CT_F64, CT_SHAPE(5, i & 1 ? 150 : 1), -INFINITY);
    ct_tensor *y = ct_cast(ct_concat(CT_LIST(x, more), 1), i & 2 ? CT_F32 : CT_F64);
    ASSERT_VALUES(ct_slice(ct_softmax(y, 1), 1, 0, 2, 1), 0, 1, 0, NAN, NAN, NAN, NAN, NAN, NAN,
                  0.5, 0.5);
    ASSERT_VALUES(ct_logsumexp(y, CT_AXES(1), false), 1e-7, 0, -INFINITY, INFINITY, NAN, log(2));
    ASSERT_VALUES(loss_lines(y, labels), 1e-7, 0, NAN, NAN, NAN, log(2));
    ASSERT_VALUES(ct_slice(loss_gradient(y, labels), 1, 0, 2, 1), 0, 0, 0, NAN, NAN, NAN, NAN, NAN,
                  NAN, 0.5, -0.5);
  }
}

static void softmax_errors(void **state) {
  (void)state;
  ct_tensor *x = ct_zeros(CT_F32, CT_SHAPE(2, 3));
  assert_nil(ct_softmax(x, 2), CT_EARG, "softmax: axis 2 is out of range for 2 dimensions");
  assert_nil(ct_log_softmax(x, -3), CT_EARG, "log_softmax: axis -3 is out of range");
  assert_nil(ct_softmax(ct_scalar(CT_F32, 1), -1), CT_EARG, "for 0 dimensions");
  assert_nil(ct_softmax(ct_zeros(CT_I32, CT_SHAPE(2)), 0), CT_EDTYPE, "softmax: want f32 or f64");
  assert_nil(ct_softmax(NULL, 0), CT_EARG, "softmax: x is NULL");
  assert_nil(ct_log_softmax(ct_nil(), 0), CT_ENIL, "log_softmax");
}

static ct_tensor *softmax_fn(ct_list x, void *payload) {
  return ct_softmax(x.at[0], *(const int *)payload);
}
static ct_tensor *log_softmax_fn(ct_list x, void *payload) {
  return ct_log_softmax(x.at[0], *(const int *)payload);
}

static void softmax_derivatives(void **state) {
  (void)state;
  for (int axis = 0; axis < 3; axis++) {
    ct_tensor *x = random_tensor(CT_F64, CT_SHAPE(2, 3, 2), 2);
    assert_ok(ct_gradcheck(softmax_fn, &axis, CT_LIST(x), (ct_gradcheck_opts){0}, NULL));
    assert_ok(ct_gradcheck(log_softmax_fn, &axis, CT_LIST(x), (ct_gradcheck_opts){0}, NULL));
  }
}

/* A row that gives NaN does not spoil gradients it has no part in. */
static void a_row_without_cotangent_has_no_gradient(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(F64(CT_SHAPE(2, 2), -INFINITY, -INFINITY, 0, 0));
  ct_tensor *gy = F64(CT_SHAPE(2, 2), 0, 0, 1, 0);
  ASSERT_VALUES(ct_vjp(ct_softmax(x, 1), x, gy), 1e-15, 0, 0, 0.25, -0.25);
  ASSERT_VALUES(ct_vjp(ct_log_softmax(x, 1), x, gy), 1e-15, 0, 0, 0.5, -0.5);
  ct_release(&x);
}

/* ---- cross entropy: values ------------------------------------------------------------------- */

enum { ROWS = 5, CLASSES = 4 };

static const int32_t labels[ROWS] = {2, 0, 3, 3, 1};

static ct_tensor *label_tensor(void) { return ct_from(CT_I32, CT_SHAPE(ROWS), labels); }

static ct_tensor *probabilities(ct_dtype dtype) {
  return ct_softmax(random_tensor(dtype, CT_SHAPE(ROWS, CLASSES), 2), 1);
}

/* The losses of the rows and their derivatives. */
static void cross_entropy_plainly(const double *x, const double *t, double smoothing, double *loss,
                                  double *gx) {
  double y[ROWS * CLASSES], log_y[ROWS * CLASSES];
  softmax_plainly(x, CT_SHAPE(ROWS, CLASSES), 1, y, log_y);
  for (int i = 0; i < ROWS; i++) {
    double total = 0;
    loss[i] = 0;
    for (int j = i * CLASSES; j < (i + 1) * CLASSES; j++) {
      double weight = (1 - smoothing) * t[j] + smoothing / CLASSES;
      total += weight;
      loss[i] -= weight * log_y[j];
    }
    for (int j = i * CLASSES; j < (i + 1) * CLASSES; j++)
      gx[j] = total * y[j] - ((1 - smoothing) * t[j] + smoothing / CLASSES);
  }
}

static void check_cross_entropy(ct_tensor *logits, ct_tensor *targets, double smoothing) {
  ct_tensor *t = targets;
  if (ct_dtype_of(t) == CT_I32) t = ct_one_hot(t, CLASSES, ct_dtype_of(logits));
  double x_values[ROWS * CLASSES], t_values[ROWS * CLASSES], loss[ROWS], gx[ROWS * CLASSES];
  tensor_values(logits, x_values, ROWS * CLASSES);
  tensor_values(t, t_values, ROWS * CLASSES);
  cross_entropy_plainly(x_values, t_values, smoothing, loss, gx);
  double sum = 0, tol = 10 * tolerance(ct_dtype_of(logits));
  for (int i = 0; i < ROWS; i++) sum += loss[i];

  ct_tensor *x = ct_variable(logits);
  ct_cross_entropy_opts opts = {smoothing, CT_EACH};
  ct_tensor *each = ct_cross_entropy_with(x, targets, opts);
  assert_values_near(each, ROWS, loss, tol);
  assert_values_near(gradient(each, x), ROWS * CLASSES, gx, tol);
  opts.reduction = CT_SUM;
  ct_tensor *total = ct_cross_entropy_with(x, targets, opts);
  ASSERT_VALUES(total, ROWS * tol, sum);
  assert_values_near(gradient(total, x), ROWS * CLASSES, gx, tol);
  opts.reduction = CT_MEAN;
  ct_tensor *mean = ct_cross_entropy_with(x, targets, opts);
  ASSERT_VALUES(mean, tol, sum / ROWS);
  for (int i = 0; i < ROWS * CLASSES; i++) gx[i] /= ROWS;
  assert_values_near(gradient(mean, x), ROWS * CLASSES, gx, tol);
  if (smoothing == 0) ASSERT_VALUES(ct_cross_entropy(x, targets), tol, sum / ROWS);
  ct_release(&x);
}

static void cross_entropy_values(void **state) {
  (void)state;
  for (int i = 0; i < 8; i++) {
    ct_dtype dtype = i & 1 ? CT_F32 : CT_F64;
    double smoothing = i & 2 ? 0.1 : 0;
    ct_tensor *x = random_tensor(dtype, CT_SHAPE(ROWS, CLASSES), 3);
    if (i & 4) x = ct_transpose(random_tensor(dtype, CT_SHAPE(CLASSES, ROWS), 3), 0, 1);
    ct_tensor *reversed =
        ct_flip(I32(CT_SHAPE(2 * ROWS), 3, 0, 1, 0, 2, 0, 0, 0, 1, 0), CT_AXES(0));
    check_cross_entropy(x, label_tensor(), smoothing);
    check_cross_entropy(x, ct_slice(reversed, 0, 1, CT_END, 2), smoothing);
    check_cross_entropy(x, probabilities(dtype), smoothing);
    check_cross_entropy(x, ct_flip(probabilities(dtype), CT_AXES(0, 1)), smoothing);
    /* What does not add up to 1 is differentiated as it stands. */
    check_cross_entropy(x, random_tensor(dtype, CT_SHAPE(ROWS, CLASSES), 2), smoothing);
  }
}

static void cross_entropy_of_huge_logits(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    ct_dtype dtype = i ? CT_F32 : CT_F64;
    ct_tensor *values = F64(CT_SHAPE(3, 2), 1e4, -1e4, 1e4, -1e4, 1e4, 1e4);
    ct_tensor *x = ct_variable(ct_cast(values, dtype)), *t = I32(CT_SHAPE(3), 0, 1, 0);
    ct_cross_entropy_opts opts = {.reduction = CT_EACH};
    ct_tensor *y = ct_cross_entropy_with(x, t, opts);
    ASSERT_VALUES(y, 1e-6, 0, 2e4, log(2));
    ASSERT_VALUES(gradient(y, x), 0, 0, 0, 1, -1, -0.5, 0.5);
    ct_release(&x);
  }
}

/* -inf for a class whose target is 0 costs nothing; NaN and inf show. */
static void cross_entropy_of_infinite_logits(void **state) {
  (void)state;
  ct_cross_entropy_opts opts = {.reduction = CT_EACH};
  ct_tensor *x = F64(CT_SHAPE(4, 2), 0, -INFINITY, 0, -INFINITY, NAN, 0, INFINITY, 0);
  ct_tensor *hot = F64(CT_SHAPE(4, 2), 1, 0, 0, 1, 1, 0, 1, 0);
  ASSERT_VALUES(ct_cross_entropy_with(x, I32(CT_SHAPE(4), 0, 1, 0, 0), opts), 0, 0, INFINITY, NAN,
                NAN);
  ASSERT_VALUES(ct_cross_entropy_with(x, hot, opts), 0, 0, INFINITY, NAN, NAN);
}

/* A row without a cotangent gets exactly 0, whatever its logits; so does the composition. */
static void rows_without_cotangent_have_no_gradient(void **state) {
  (void)state;
  ct_cross_entropy_opts opts = {.reduction = CT_EACH};
  ct_tensor *x = ct_variable(F64(CT_SHAPE(3, 2), NAN, 0, INFINITY, INFINITY, 0, 0));
  ct_tensor *y = ct_cross_entropy_with(x, I32(CT_SHAPE(3), 0, 1, 0), opts);
  ct_tensor *gx = ct_vjp(y, x, F64(CT_SHAPE(3), 0, 0, 1));
  ASSERT_VALUES(gx, 0, 0, 0, 0, 0, -0.5, 0.5);
  ASSERT_VALUES(ct_vjp(gx, x, F64(CT_SHAPE(3, 2), 1, 1, 1, 1, 1, 0)), 1e-15, 0, 0, 0, 0, 0.25,
                -0.25);
  ct_release(&x);
}

static void cross_entropy_of_no_rows(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(ct_zeros(CT_F32, CT_SHAPE(0, 3)));
  ct_tensor *t = ct_zeros(CT_I32, CT_SHAPE(0)), *y = ct_cross_entropy(x, t);
  ASSERT_VALUES(y, 0, NAN);
  assert_int_equal(ct_size(gradient(y, x)), 0);
  ASSERT_VALUES(ct_cross_entropy_with(x, t, (ct_cross_entropy_opts){.reduction = CT_SUM}), 0, 0);
  y = ct_cross_entropy_with(x, t, (ct_cross_entropy_opts){.reduction = CT_EACH});
  assert_true(ct_shape_equal(ct_shape_of(y), CT_SHAPE(0)));
  ct_release(&x);
}

static void cross_entropy_errors(void **state) {
  (void)state;
  ct_tensor *x = ct_zeros(CT_F32, CT_SHAPE(3, 4)), *t = I32(CT_SHAPE(3), 0, 4, 1);
  assert_nil(ct_cross_entropy(x, t), CT_EINDEX,
             "cross_entropy: label 4 of row 1 is outside 0 <= label < 4");
  assert_nil(ct_cross_entropy(x, I32(CT_SHAPE(3), 0, 1, -1)), CT_EINDEX, "label -1 of row 2");
  assert_nil(ct_cross_entropy(x, I32(CT_SHAPE(2), 0, 1)), CT_ESHAPE,
             "cross_entropy: want logits (n,classes) and labels (n), got (3,4) and (2)");
  assert_nil(ct_cross_entropy(x, ct_zeros(CT_F32, CT_SHAPE(3, 5))), CT_ESHAPE,
             "probabilities (n,classes), got (3,4) and (3,5)");
  assert_nil(ct_cross_entropy(ct_zeros(CT_F32, CT_SHAPE(3)), t), CT_ESHAPE, "got (3) and (3)");
  assert_nil(ct_cross_entropy(ct_zeros(CT_F32, CT_SHAPE(3, 0)), t), CT_ESHAPE, "(3,0)");
  assert_nil(ct_cross_entropy(x, ct_zeros(CT_F64, CT_SHAPE(3, 4))), CT_EDTYPE, "f64 (3,4)");
  assert_nil(ct_cross_entropy(x, ct_zeros(CT_U8, CT_SHAPE(3))), CT_EDTYPE, "u8 (3)");
  assert_nil(ct_cross_entropy(t, t), CT_EDTYPE, "want logits f32 or f64");
  const double bad[] = {-0.1, 1, NAN, INFINITY};
  for (int i = 0; i < CT__COUNT(bad); i++)
    assert_nil(ct_cross_entropy_with(x, t, (ct_cross_entropy_opts){.smoothing = bad[i]}), CT_EARG,
               "want 0 <= smoothing < 1");
  assert_nil(ct_cross_entropy_with(x, t, (ct_cross_entropy_opts){.reduction = (ct_reduction)7}),
             CT_EARG, "reduction 7");
  assert_nil(ct_cross_entropy(NULL, t), CT_EARG, "input 0 is NULL");
  assert_nil(ct_cross_entropy(x, NULL), CT_EARG, "input 1 is NULL");
  assert_nil(ct_cross_entropy(x, ct_nil()), CT_ENIL, "cross_entropy");
}

/* ---- cross entropy: derivatives -------------------------------------------------------------- */

typedef struct loss_case {
  ct_cross_entropy_opts opts;
  ct_tensor *targets; /* NULL: the second input */
} loss_case;

static ct_tensor *loss_fn(ct_list x, void *payload) {
  const loss_case *c = payload;
  return ct_cross_entropy_with(x.at[0], c->targets ? c->targets : x.at[1], c->opts);
}

static void cross_entropy_derivatives(void **state) {
  (void)state;
  for (int i = 0; i < 6; i++) {
    ct_scope inner = ct_scope_begin();
    loss_case c = {{i % 2 ? 0.2 : 0, (ct_reduction)(i / 2)}, label_tensor()};
    ct_tensor *x = random_tensor(CT_F64, CT_SHAPE(ROWS, CLASSES), 2);
    assert_ok(ct_gradcheck(loss_fn, &c, CT_LIST(x), (ct_gradcheck_opts){0}, NULL));
    c.targets = NULL; /* with respect to the probabilities too */
    ct_tensor *t = random_tensor(CT_F64, CT_SHAPE(ROWS, CLASSES), 2);
    assert_ok(ct_gradcheck(loss_fn, &c, CT_LIST(x, t), (ct_gradcheck_opts){0}, NULL));
    assert_ok(ct_scope_end(inner));
  }
}

/* The fused loss and the composition it stands for, to third order along one direction. */
static void fused_and_composed_agree_to_third_order(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(random_tensor(CT_F64, CT_SHAPE(ROWS, CLASSES), 2));
  ct_tensor *v = random_tensor(CT_F64, CT_SHAPE(ROWS, CLASSES), 1);
  ct_tensor *hot = ct_one_hot(label_tensor(), CLASSES, CT_F64);
  ct_tensor *terms = ct_sum(ct_mul(hot, ct_log_softmax(x, 1)), CT_AXES(1), false);
  ct_tensor *fused = ct_cross_entropy(x, label_tensor());
  ct_tensor *composed = ct_neg(ct_mean(terms, CT_ALL, false));
  for (int order = 0; order < 3; order++) {
    double a[ROWS * CLASSES];
    fused = order ? ct_vjp(fused, x, v) : gradient(fused, x);
    composed = order ? ct_vjp(composed, x, v) : gradient(composed, x);
    tensor_values(composed, a, ROWS * CLASSES);
    assert_values_near(fused, ROWS * CLASSES, a, 1e-14);
  }
  ct_release(&x);
}

#define WITH_SCOPE(test) cmocka_unit_test_setup_teardown(test, open_scope, close_scope)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_SCOPE(softmax_values),
      WITH_SCOPE(lines_of_any_length_and_layout),
      WITH_SCOPE(softmax_of_huge_numbers),
      WITH_SCOPE(lines_with_special_numbers),
      WITH_SCOPE(softmax_errors),
      WITH_SCOPE(softmax_derivatives),
      WITH_SCOPE(a_row_without_cotangent_has_no_gradient),
      WITH_SCOPE(cross_entropy_values),
      WITH_SCOPE(cross_entropy_of_huge_logits),
      WITH_SCOPE(cross_entropy_of_infinite_logits),
      WITH_SCOPE(rows_without_cotangent_have_no_gradient),
      WITH_SCOPE(cross_entropy_of_no_rows),
      WITH_SCOPE(cross_entropy_errors),
      WITH_SCOPE(cross_entropy_derivatives),
      WITH_SCOPE(fused_and_composed_agree_to_third_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
