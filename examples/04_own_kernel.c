/* 04_own_kernel.c - a primitive with a kernel of its own: squared distances between two sets of
 * points,
 *
 *   y_ij = sum_k (a_ik - b_jk)^2,    a (..., m, d), b (..., n, d) -> y (..., m, n),
 *
 * without the m n d differences in memory that the same in operations would take. A record gives
 * shapes (infer), numbers (eval), both derivatives (vjp, jvp) and what ct_vmap needs (batch).
 */
#include <cotangent.h>

/* ---- shapes ---------------------------------------------------------------------------------- */

static ct_status distances_infer(const ct_call *c, ct_spec *out) {
  ct_shape a = ct_shape_of(c->in[0]), b = ct_shape_of(c->in[1]);
  ct_dtype dtype = ct_dtype_of(c->in[0]);
  bool fits = a.n >= 2 && b.n == a.n && a.dim[a.n - 1] == b.dim[a.n - 1];
  for (int i = 0; fits && i < a.n - 2; i++) fits = a.dim[i] == b.dim[i];
  if (!fits) return ct_fail(c, CT_ESHAPE, "want (..., m, d) and (..., n, d)");
  if (!ct_dtype_is_float(dtype) || ct_dtype_of(c->in[1]) != dtype)
    return ct_fail(c, CT_EDTYPE, "want one float dtype");
  out->dtype = dtype;
  out->shape = a;
  out->shape.dim[a.n - 1] = b.dim[b.n - 2];
  return CT_OK;
}

/* ---- numbers: any strides -------------------------------------------------------------------- */

/* Where matrix number i over the leading axes begins, in elements. */
static int64_t matrix_at(const ct_view *v, int64_t i) {
  int64_t at = 0;
  for (int d = v->ndim - 3; d >= 0; d--) {
    at += i % v->dim[d] * v->stride[d];
    i /= v->dim[d];
  }
  return at;
}

#define DISTANCES(name, T)                                                                         \
  static void name(const ct_view *va, const ct_view *vb, const ct_view *vy, int64_t matrix) {      \
    int rows = vy->ndim - 2, columns = vy->ndim - 1;                                               \
    const T *a = (const T *)(const void *)va->data + matrix_at(va, matrix);                        \
    const T *b = (const T *)(const void *)vb->data + matrix_at(vb, matrix);                        \
    T *y = (T *)(void *)vy->data + matrix_at(vy, matrix);                                          \
    for (int64_t i = 0; i < vy->dim[rows]; i++)                                                    \
      for (int64_t j = 0; j < vy->dim[columns]; j++) {                                             \
        T sum = 0;                                                                                 \
        for (int64_t k = 0; k < va->dim[columns]; k++) {                                           \
          T d = a[i * va->stride[rows] + k * va->stride[columns]] -                                \
                b[j * vb->stride[rows] + k * vb->stride[columns]];                                 \
          sum += d * d;                                                                            \
        }                                                                                          \
        y[i * vy->stride[rows] + j * vy->stride[columns]] = sum;                                   \
      }                                                                                            \
  }
DISTANCES(distances_f32, float)
DISTANCES(distances_f64, double)

static ct_status distances_eval(const ct_eval *e) {
  const ct_view *y = e->out[0];
  int64_t matrices = 1;
  for (int d = 0; d < y->ndim - 2; d++) matrices *= y->dim[d];
  for (int64_t i = 0; i < matrices; i++)
    (y->dtype == CT_F32 ? distances_f32 : distances_f64)(e->in[0], e->in[1], y, i);
  return CT_OK;
}

/* ---- derivatives, in operations -------------------------------------------------------------- */

static ct_tensor *T(ct_tensor *x) { return ct_transpose(x, -1, -2); }

/* ga_i = 2 sum_j gy_ij (a_i - b_j), gb_j the other way round */
static ct_tensor *pulled(ct_tensor *gy, ct_tensor *a, ct_tensor *b) {
  ct_tensor *sums = ct_sum(gy, CT_AXES(-1), true);
  return ct_scale(ct_sub(ct_mul(sums, a), ct_matmul(gy, b)), 2);
}

static void distances_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  if (ct_wants(c, 0)) gx[0] = pulled(gy[0], c->in[0], c->in[1]);
  if (ct_wants(c, 1)) gx[1] = pulled(T(gy[0]), c->in[1], c->in[0]);
}

/* dy_ij = 2 da_i . (a_i - b_j), and the same with b's tangent, transposed */
static ct_tensor *pushed(ct_tensor *da, ct_tensor *a, ct_tensor *b) {
  ct_tensor *own = ct_sum(ct_mul(da, a), CT_AXES(-1), true);
  return ct_scale(ct_sub(own, ct_matmul(da, T(b))), 2);
}

static void distances_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  if (dx[0]) dy[0] = pushed(dx[0], c->in[0], c->in[1]);
  if (!dx[1]) return;
  ct_tensor *by_b = T(pushed(dx[1], c->in[1], c->in[0]));
  dy[0] = dy[0] ? ct_add(dy[0], by_b) : by_b;
}

/* ---- a batch: one more leading axis, which this operation takes as it is --------------------- */

static void distances_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                            ct_tensor **out) {
  ct_tensor *x[2];
  ct_shape shape = ct_shape_of(in[batched[0] ? 0 : 1]);
  for (int i = 0; i < 2; i++) {
    shape.dim[shape.n - 2] = ct_dim(in[i], -2);
    x[i] = batched[i] ? in[i] : ct_broadcast_to(in[i], shape);
  }
  out[0] = ct_apply(c->op, (ct_list){2, x});
}

static const ct_op distances_op = {CT_OP,
                                   .name = "distances",
                                   .doc = "y_ij = |a_i - b_j|^2",
                                   .n_in = 2,
                                   .infer = distances_infer,
                                   .eval = distances_eval,
                                   .vjp = distances_vjp,
                                   .jvp = distances_jvp,
                                   .batch = distances_batch,
                                   .lo = -2,
                                   .hi = 2};

static ct_tensor *distances(ct_tensor *a, ct_tensor *b) {
  return ct_apply(&distances_op, CT_LIST(a, b));
}

/* ---- k-means: centres move down the gradient of the distance to the nearest ------------------ */

static ct_tensor *checked(ct_list x, void *payload) {
  (void)payload;
  return distances(x.at[0], x.at[1]);
}

int main(void) {
  ct_tensor *key = ct_key(1), *noise = ct_randn(key, CT_F64, CT_SHAPE(2, 50, 2));
  ct_tensor *middle = ct_from(CT_F64, CT_SHAPE(2, 1, 2), (double[]){-3, 1, 3, -1});
  ct_tensor *points = ct_reshape(ct_add(ct_scale(noise, 0.3), middle), CT_SHAPE(100, 2));
  ct_tensor *centres = ct_variable(ct_from(CT_F64, CT_SHAPE(2, 2), (double[]){-1, 0, 1, 0}));
  for (int step = 0; step < 20; step++) {
    ct_scope scope = ct_scope_begin();
    ct_tensor *nearest = ct_min(distances(points, centres), CT_AXES(1), false), *g;
    ct_grad(ct_mean(nearest, CT_ALL, false), CT_LIST(centres), &g);
    ct_assign(centres, ct_sub(centres, ct_scale(g, 0.5)));
    ct_scope_end(scope);
  }
  const double *at = ct_data(centres);
  if (at) printf("centres (%.1f, %.1f) and (%.1f, %.1f)\n", at[0], at[1], at[2], at[3]);

  ct_tensor *a = ct_randn(ct_key_fold(key, 1), CT_F64, CT_SHAPE(3, 2));
  ct_tensor *b = ct_randn(ct_key_fold(key, 2), CT_F64, CT_SHAPE(4, 2));
  ct_gradcheck_opts opts = {0};
  if (ct_gradcheck(checked, NULL, CT_LIST(a, b), opts, NULL) == CT_OK)
    printf("derivatives agree with differences\n");

  /* Mapped over a batch of a, with one b. */
  ct_tensor *p = ct_placeholder(CT_F64, CT_SHAPE(3, 2)), *y = distances(p, b), *all;
  ct_tensor *batch = ct_randn(ct_key_fold(key, 3), CT_F64, CT_SHAPE(5, 3, 2));
  if (ct_vmap(CT_LIST(y), CT_LIST(p), CT_LIST(batch), (ct_vmap_opts){0}, &all) == CT_OK)
    printf("mapped: (%d, %d, %d)\n", (int)ct_dim(all, 0), (int)ct_dim(all, 1), (int)ct_dim(all, 2));
  ct_release(&centres);
  ct_error_print(stderr);
  return ct_error_code() != CT_OK;
}
