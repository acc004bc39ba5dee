/* products.c - weighted sums of elementwise products, several at once.
 *
 *   y[o] = sum over the terms t of o of w_t a_t b_t
 *
 * The inputs are a_0, b_0, a_1, b_1, ...; they and the results broadcast together. Zero times
 * anything is zero, as such sums are made of derivatives: ct_taylor's recurrences. Linear in each
 * input, and closed under differentiation: gradients of all inputs are one call with a sum for
 * each, tangents of all results are one with twice the terms.
 */
#include "products.h"

#include "../../tensor/pool.h"

typedef struct products_attr {
  int n_out; /* first: the number of outputs of a record */
  int n;
  ct__sum_term *term;
} products_attr;

static ct_status attr_copy(void *to, const void *from) {
  const products_attr *a = from;
  products_attr *b = to;
  size_t bytes = (size_t)a->n * sizeof *a->term;
  *b = *a;
  b->term = ct__alloc(bytes);
  if (!b->term) return CT_ENOMEM;
  memcpy(b->term, a->term, bytes);
  return CT_OK;
}

static void attr_release(void *attr) {
  products_attr *a = attr;
  ct__free(a->term, (size_t)a->n * sizeof *a->term);
}

static bool attr_equal(const void *x, const void *y) {
  const products_attr *a = x, *b = y;
  return a->n_out == b->n_out && a->n == b->n &&
         memcmp(a->term, b->term, (size_t)a->n * sizeof *a->term) == 0;
}

static ct_status infer(const ct_call *c, ct_spec *out) {
  const products_attr *a = c->attr;
  bool fits = a->n > 0 && c->n_in == 2 * a->n && a->n_out > 0;
  for (int t = 0; fits && t < a->n; t++) fits = a->term[t].sum >= 0 && a->term[t].sum < a->n_out;
  if (!fits) return ct_fail(c, CT_EARG, "want two inputs for each term");
  if (!ct_dtype_is_float(ct__in(c, 0)->dtype))
    return ct_fail(c, CT_EDTYPE, "want f32 or f64 (ct_cast converts)");
  ct_status status = ct_infer_same(c, out);
  for (int o = 1; o < c->n_out; o++) out[o] = out[0];
  return status;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static ct_loop *loop_of(ct_dtype dtype) {
#define ENTRY(isa) &ct__products_loops_##isa,
  static const ct__products_loops *const sets[] = {CT__ISA_LIST(ENTRY)};
  const ct__products_loops *loops = sets[ct__isa()];
  return dtype == CT_F32 ? loops->f32 : loops->f64;
}

/* Every operand lies in order, or is a single number. */
static bool in_order(const ct_eval *e) {
  bool ok = !ct__reference();
  for (int o = 0; o < e->n_out; o++) ok &= e->out[o]->contiguous;
  for (int i = 0; i < e->n_in; i++)
    ok &= e->in[i]->size == e->out[0]->size ? e->in[i]->contiguous : e->in[i]->size == 1;
  return ok;
}

enum { CHUNK = 1024 }; /* elements of a sum that stay in the first cache while terms are added */

static void add_range(void *context, int64_t from, int64_t to) {
  const ct_eval *e = context;
  const products_attr *a = e->attr;
  ct_loop *loop = loop_of(e->out[0]->dtype);
  int64_t item = (int64_t)ct__item_size(e->out[0]->dtype);
  for (int64_t at = from; at < to; at += CHUNK) {
    int64_t n = to - at < CHUNK ? to - at : CHUNK;
    for (int o = 0; o < e->n_out; o++) memset(e->out[o]->data + at * item, 0, (size_t)(n * item));
    for (int t = 0; t < a->n; t++) {
      const ct_view *x = e->in[2 * t], *z = e->in[2 * t + 1], *y = e->out[a->term[t].sum];
      const int64_t step[] = {1, x->size == y->size, z->size == y->size, 1};
      char *sum = y->data + at * item;
      char *const p[] = {sum, x->data + step[1] * at * item, z->data + step[2] * at * item, sum};
      loop(n, p, step, &a->term[t].weight);
    }
  }
}

static ct_status eval(const ct_eval *e) {
  const products_attr *a = e->attr;
  const ct_view *y = e->out[0];
  if (in_order(e)) {
    ct__parallel_range(y->size, ct__line_weight(y, e->n_in + e->n_out), 64, add_range,
                       (void *)(uintptr_t)e);
    return CT_OK;
  }
  for (int o = 0; o < e->n_out; o++) ct__fill(e->out[o], 0);
  for (int t = 0; t < a->n; t++) {
    ct_view *sum = e->out[a->term[t].sum];
    ct_map(3, (const ct_view *[]){sum, e->in[2 * t], e->in[2 * t + 1]}, sum, loop_of(y->dtype),
           &a->term[t].weight);
  }
  return CT_OK;
}

/* ---- sums on the way to a call --------------------------------------------------------------- */

ct_status ct__sums_begin(ct__sums *s, int n_out, int64_t terms) {
  size_t of_term = sizeof *s->term + 2 * sizeof *s->in, of_sum = sizeof *s->y + sizeof *s->place;
  *s = (ct__sums){.n_out = n_out};
  if (terms > INT32_MAX / 2) return ct__fail(CT_ESIZE, "products: too many terms");
  s->bytes = (size_t)terms * of_term + (size_t)n_out * of_sum;
  s->term = ct__alloc(s->bytes);
  if (!s->term) return CT_ENOMEM;
  s->in = (ct_tensor **)(void *)(s->term + terms);
  s->y = s->in + 2 * terms;
  s->place = (int *)(void *)(s->y + n_out);
  for (int o = 0; o < n_out; o++) s->place[o] = -1;
  return CT_OK;
}

void ct__sums_add(ct__sums *s, int sum, double weight, ct_tensor *a, ct_tensor *b) {
  s->term[s->n] = (ct__sum_term){weight, sum};
  s->in[2 * s->n] = a;
  s->in[2 * s->n + 1] = b;
  s->n++;
  s->place[sum] = 0;
}

ct_status ct__sums_end(ct__sums *s, ct_status status, ct_tensor **y) {
  for (int o = 0; o < s->n_out; o++) y[o] = status == CT_OK ? NULL : ct_nil();
  if (status == CT_OK && s->n > 0) {
    products_attr attr = {0, s->n, s->term};
    for (int o = 0; o < s->n_out; o++)
      if (s->place[o] == 0) s->place[o] = attr.n_out++;
    for (int t = 0; t < s->n; t++) s->term[t].sum = s->place[s->term[t].sum];
    status = ct__apply(&ct__products_op, &attr, 2 * s->n, s->in, s->y);
    for (int o = 0; o < s->n_out; o++)
      if (s->place[o] >= 0) y[o] = s->y[s->place[o]];
  }
  if (s->term) ct__free(s->term, s->bytes);
  return status;
}

/* ---- rules ----------------------------------------------------------------------------------- */

/* For term t with factors a and b: ga = w b gy, gb = w a gy. */
static void vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  const products_attr *a = c->attr;
  ct__sums s;
  ct_status status = ct__sums_begin(&s, c->n_in, c->n_in);
  for (int i = 0; i < c->n_in && status == CT_OK; i++) {
    const ct__sum_term *t = &a->term[i / 2];
    if (ct_wants(c, i) && gy[t->sum]) ct__sums_add(&s, i, t->weight, gy[t->sum], c->in[i ^ 1]);
  }
  ct__sums_end(&s, status, gx);
}

/* dy = sum of w (da b + db a) */
static void jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  const products_attr *a = c->attr;
  ct__sums s;
  ct_status status = ct__sums_begin(&s, c->n_out, c->n_in);
  for (int i = 0; i < c->n_in && status == CT_OK; i++) {
    const ct__sum_term *t = &a->term[i / 2];
    if (dx[i]) ct__sums_add(&s, (int)t->sum, t->weight, dx[i], c->in[i ^ 1]);
  }
  ct__sums_end(&s, status, dy);
}

const ct_op ct__products_op = {CT_OP,
                               .name = "products",
                               .doc = "y[o] = sum of w[t] a[t] b[t] over the terms t of o",
                               .n_in = CT_VARIADIC,
                               .n_out = CT_VARIADIC,
                               .flags = CT_ELEMENTWISE,
                               .attr_size = sizeof(products_attr),
                               .attr_equal = attr_equal,
                               .attr_copy = attr_copy,
                               .attr_release = attr_release,
                               .infer = infer,
                               .eval = eval,
                               .vjp = vjp,
                               .jvp = jvp,
                               .lo = -2,
                               .hi = 2};

const ct__sum_term *ct__products_of(const ct_call *c, int *n) {
  const products_attr *a = c->attr;
  *n = a->n;
  return a->term;
}

const ct_op *const ct__products_ops[] = {&ct__products_op, NULL};
