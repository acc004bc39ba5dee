/* matmul.c - matrix products over leading batch axes. */
#include "../../tensor/pool.h"
#include "batch.h"
#include "lines.h"

static ct_status matmul_infer(const ct_call *c, ct_spec *out) {
  const ct_view *a = ct__in(c, 0), *b = ct__in(c, 1);
  if (a->dtype != b->dtype || !ct_dtype_is_float(a->dtype))
    return ct_fail(c, CT_EDTYPE, "want f32 or f64, the same twice (ct_cast converts)");
  if (a->ndim < 2 || b->ndim < 2 || a->dim[a->ndim - 1] != b->dim[b->ndim - 2])
    return ct_fail(c, CT_ESHAPE, "want (m,k) and (k,n)");
  ct_shape a_lead = ct_shape_make((size_t)a->ndim - 2, a->dim);
  ct_shape b_lead = ct_shape_make((size_t)b->ndim - 2, b->dim);
  out->dtype = a->dtype;
  if (!ct__broadcast(a_lead, b_lead, &out->shape))
    return ct_fail(c, CT_ESHAPE, "want leading axes that broadcast");
  out->shape.dim[out->shape.n++] = a->dim[a->ndim - 2];
  out->shape.dim[out->shape.n++] = b->dim[b->ndim - 1];
  return CT_OK;
}

static unsigned last_two(const ct_view *v) { return 3u << (v->ndim - 2); }

/* The first matrix of v. */
static ct_view matrix_of(const ct_view *v) {
  ct_view m = {.data = v->data, .dtype = v->dtype, .ndim = 2};
  memcpy(m.dim, v->dim + v->ndim - 2, 2 * sizeof m.dim[0]);
  memcpy(m.stride, v->stride + v->ndim - 2, 2 * sizeof m.stride[0]);
  ct__view_refresh(&m);
  return m;
}

/* v as one matrix with all its rows; false if strides cannot express it. */
static bool join_rows(const ct_view *v, ct_view *joined) {
  *joined = matrix_of(v);
  for (int d = v->ndim - 3; d >= 0; d--) {
    if (v->dim[d] == 1) continue;
    if (joined->dim[0] == 1)
      joined->stride[0] = v->stride[d];
    else if (v->stride[d] != joined->stride[0] * joined->dim[0])
      return false;
    joined->dim[0] *= v->dim[d];
  }
  ct__view_refresh(joined);
  return true;
}

/* Matrices as the elements of ct_map. */
typedef struct products {
  const ct_view *a, *b, *c;
  atomic_int *status; /* products are dealt out to threads */
} products;

static void multiply(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  const products *each = attr;
  ct_view a = *each->a, b = *each->b, c = *each->c;
  int64_t item = (int64_t)ct_dtype_size(c.dtype);
  for (int64_t i = 0; i < n; i++) {
    a.data = p[0] + i * s[0] * item;
    b.data = p[1] + i * s[1] * item;
    c.data = p[2] + i * s[2] * item;
    ct_status status = ct__gemm(1, &a, &b, 0, &c);
    if (status != CT_OK) atomic_store(each->status, (int)status);
  }
}

/* 0, so that the batch stays whole, where each product is large enough to be cut itself. */
static int64_t product_weight(const ct_view *a, const ct_view *b, const ct_view *y) {
  const ct_view *const of[] = {a, b, y};
  int64_t weight = 0;
  for (int i = 0; i < CT__COUNT(of); i++) weight += 4 * ct__line_weight(of[i], of[i]->size);
  return weight < 16 * ct__piece_weight ? weight : 0;
}

static ct_status matmul_eval(const ct_eval *e) {
  const ct_view *a = e->in[0], *b = e->in[1];
  ct_view *y = e->out[0];
  ct_view a_matrix, b_matrix = matrix_of(b), y_matrix;
  if (y->size == 0) return CT_OK;
  ct_view b_starts = line_starts(b, last_two(b));
  if (b_starts.size == 1 && !ct__reference() && join_rows(a, &a_matrix) && join_rows(y, &y_matrix))
    return ct__gemm(1, &a_matrix, &b_matrix, 0, &y_matrix);
  a_matrix = matrix_of(a);
  y_matrix = matrix_of(y);
  ct_view a_starts = line_starts(a, last_two(a)), y_starts = line_starts(y, last_two(y));
  atomic_int status = CT_OK;
  ct__map(2, (const ct_view *[]){&a_starts, &b_starts}, &y_starts, multiply,
          &(products){&a_matrix, &b_matrix, &y_matrix, &status},
          product_weight(&a_matrix, &b_matrix, &y_matrix));
  return (ct_status)atomic_load(&status);
}

static ct_tensor *rows_joined(ct_tensor *x) { return join_axes(x, ct_ndim(x) - 1); }

/* y = a b: (..., m, k) (..., k, n) -> (..., m, n).   ga = gy b^T,  gb = a^T gy. */
static void matmul_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  ct_tensor *a = c->in[0], *b = c->in[1], *g = gy[0];
  if (ct_wants(c, 0)) gx[0] = ct_matmul(g, ct_transpose(b, -1, -2));
  if (!ct_wants(c, 1)) return;
  /* One matrix for a whole batch: one product sums over the batch too. */
  if (b->v.ndim == 2 && a->v.ndim > 2 && a->v.size > 0 && g->v.size > 0) {
    a = rows_joined(a);
    g = rows_joined(g);
  }
  gx[1] = ct_matmul(ct_transpose(a, -1, -2), g);
}

/* All rows of a times one matrix b is one product. */
static ct_tensor *rows_times(ct_tensor *a, ct_tensor *b) {
  if (ct_is_nil(a) || ct_is_nil(b)) return ct_nil();
  ct_shape shape = ct_shape_of(a);
  shape.dim[shape.n - 1] = ct_dim(b, 1);
  return ct_reshape(ct_matmul(rows_joined(a), b), shape);
}

/* Where one side is the same matrix for all, one product does it. */
static void matmul_batch(const ct_call *c, ct_tensor *const *in, const bool *batched,
                         ct_tensor **out) {
  int a_rank = ct__in(c, 0)->ndim, b_rank = ct__in(c, 1)->ndim;
  int rank = a_rank > b_rank ? a_rank : b_rank;
  if (!batched[1] && b_rank == 2) {
    out[0] = rows_times(in[0], in[1]);
  } else if (!batched[0] && a_rank == 2) {
    ct_tensor *columns = ct_transpose(in[1], -1, -2);
    out[0] = ct_transpose(rows_times(columns, ct_transpose(in[0], 0, 1)), -1, -2);
  } else {
    ct_tensor *a = batched[0] ? batch_of_rank(in[0], rank) : in[0];
    ct_tensor *b = batched[1] ? batch_of_rank(in[1], rank) : in[1];
    out[0] = ct_matmul(a, b);
  }
}

const ct_op ct__matmul_op = {
    CT_OP,
    .name = "matmul",
    .doc = "y = a b over leading batch axes",
    .n_in = 2,
    .linear = 3,
    .infer = matmul_infer,
    .eval = matmul_eval,
    .vjp = matmul_vjp,
    .batch = matmul_batch,
    .lo = -2,
    .hi = 2,
};

ct_tensor *ct_matmul(ct_tensor *a, ct_tensor *b) {
  CT__COMPOSITION("matmul");
  if (ct_is_nil(a) || ct_is_nil(b)) return CT__APPLY(&ct__matmul_op, NULL, a, b);
  bool row = a->v.ndim == 1, column = b->v.ndim == 1;
  if ((!row && !column) || ct_dim(a, -1) != ct_dim(b, column ? 0 : -2))
    return CT__APPLY(&ct__matmul_op, NULL, a, b);
  if (row) a = ct_expand_dims(a, 0);
  if (column) b = ct_expand_dims(b, 1);
  ct_tensor *y = CT__APPLY(&ct__matmul_op, NULL, a, b);
  if (column) y = ct_squeeze(y, CT_AXES(-1));
  return row ? ct_squeeze(y, CT_AXES(column ? -1 : -2)) : y;
}

const ct_op *const ct__matmul_ops[] = {&ct__matmul_op, NULL};
