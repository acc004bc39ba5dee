/* registry.h - every primitive in every use, dtype and layout: what test_registry.c and
 * test_registry_deep.c go through. The primitives come from the registry, their uses from
 * registry_cases.inc, the layouts of inputs from here. */
#ifndef COTANGENT_TEST_REGISTRY_H
#define COTANGENT_TEST_REGISTRY_H

#include "testing.h"

#include "autograd/autograd_internal.h"
#include "autograd/compile/compile.h"

#include "registry_cases.inc"

enum { MAX_IN = 3 };

/* ---- layouts: equal values in memory of another shape ---------------------------------------- */

/* `store` gives a contiguous tensor, `see` the view of it that has the values. */
typedef struct layout {
  const char *name;
  ct_tensor *(*store)(ct_tensor *x);
  ct_tensor *(*see)(ct_tensor *stored, ct_shape shape);
} layout;

static inline ct_tensor *same(ct_tensor *x, ct_shape shape) {
  (void)shape;
  return x;
}

static inline ct_tensor *reversed_axes(ct_tensor *x) {
  ct_axes axes = {.n = ct_ndim(x)};
  for (int i = 0; i < axes.n; i++) axes.at[i] = axes.n - 1 - i;
  return axes.n ? ct_permute(x, axes) : x;
}

static inline ct_tensor *store_transposed(ct_tensor *x) { return ct_contiguous(reversed_axes(x)); }

static inline ct_tensor *see_transposed(ct_tensor *x, ct_shape shape) {
  (void)shape;
  return reversed_axes(x);
}

static inline ct_tensor *reversed_order(ct_tensor *x, ct_shape shape) {
  for (int i = 0; i < shape.n; i++) x = ct_slice(x, i, CT_END, CT_END, -1);
  return x;
}

static inline ct_tensor *store_reversed(ct_tensor *x) {
  return ct_contiguous(reversed_order(x, ct_shape_of(x)));
}

/* Every second place of the memory, from the second on; the others hold what nobody may read. */
static inline ct_tensor *store_stepped(ct_tensor *x) {
  bool is_float = ct_dtype_is_float(ct_dtype_of(x));
  ct_tensor *gap = ct_full(ct_dtype_of(x), ct_shape_of(x), is_float ? (double)NAN : 1);
  return ct_stack(CT_LIST(gap, x), -1);
}

static inline ct_tensor *see_stepped(ct_tensor *x, ct_shape shape) {
  return ct_squeeze(ct_slice(x, shape.n, 1, CT_END, 1), CT_AXES(-1));
}

/* One row repeated along the first axis that has several: stride 0. */
static inline ct_tensor *store_repeated(ct_tensor *x) {
  for (int i = 0; i < ct_ndim(x); i++)
    if (ct_dim(x, i) > 1) return ct_contiguous(ct_slice(x, i, 0, 1, 1));
  return x;
}

/* Every element 4096 bytes and more from its neighbours, spread by the first axis most: the
 * elements of a much larger block, which only its owner may read. */
enum { SPREAD = 1021 };

static inline ct_tensor *store_spread(ct_tensor *x) {
  ct_shape apart = ct_shape_of(x), gaps = CT_SHAPE(ct_size(x), SPREAD - 1);
  bool is_float = ct_dtype_is_float(ct_dtype_of(x));
  ct_tensor *gap = ct_full(ct_dtype_of(x), gaps, is_float ? (double)NAN : 1);
  ct_tensor *column = ct_reshape(x, CT_SHAPE(ct_size(x), 1));
  apart.dim[apart.n++] = SPREAD;
  return ct_reshape(ct_concat(CT_LIST(column, gap), 1), apart);
}

static inline ct_tensor *see_spread(ct_tensor *x, ct_shape shape) {
  return ct_squeeze(ct_slice(x, shape.n, 0, 1, 1), CT_AXES(-1));
}

static const layout layouts[] = {
    {"contiguous", ct_contiguous, same},
    {"transposed", store_transposed, see_transposed},
    {"negative strides", store_reversed, reversed_order},
    {"stepped", store_stepped, see_stepped},
    {"stride 0", store_repeated, ct_broadcast_to},
    {"huge strides", store_spread, see_spread},
};

/* ---- situations: a case with a dtype and layouts of its inputs ------------------------------- */

typedef struct situation {
  const ct_op *op;
  const registry_case *use;
  ct_dtype dtype;
  int layout; /* of input i: layout, or rotated from there */
  bool rotated;
  int n;
  ct_shape shape[MAX_IN];
  ct_tensor *stored[MAX_IN];
  ct_tensor *in[MAX_IN]; /* as seen */
} situation;

static char context[256];

static inline void require_at(bool condition, const char *what, const char *file, int line) {
  if (condition) return;
  print_error("%s\n  %s\n  %s\n", context, what, ct_error_message());
  ct_error_clear();
  _fail(file, line);
}
#define require(condition, what) require_at((condition), (what), __FILE__, __LINE__)
#define require_ok(status)       require((status) == CT_OK, #status)

static const layout *layout_of(const situation *s, int i) {
  return &layouts[(s->layout + (s->rotated ? i : 0)) % CT__COUNT(layouts)];
}

/* Deterministic in [0, 1). */
static inline double sample(uint32_t stream, int64_t i) {
  uint32_t word[4] = {(uint32_t)i, stream, 0, 0};
  ct_philox(word, (uint32_t[]){17, 4}, word);
  return (double)word[0] * 0x1p-32;
}

static inline ct_tensor *random_values(ct_dtype dtype, ct_shape shape, uint32_t stream, double lo,
                                       double hi) {
  ct_tensor *t = ct_empty(CT_F64, shape);
  double *at = (double *)(void *)t->v.data;
  for (int64_t i = 0; i < ct_size(t); i++) {
    at[i] = lo + (hi - lo) * sample(stream, i);
    if (dtype == CT_F32) at[i] = (double)(float)at[i]; /* one value for both dtypes */
  }
  return ct_cast(t, dtype);
}

/* Makes the values that a word describes. */
static const char *read_input(situation *s, const char *text) {
  const input_word word = read_word(text);
  const ct_shape shape = word.shape;
  int i = s->n++;
  uint32_t stream = (uint32_t)i + 1;
  s->shape[i] = shape;
  ct_tensor *value =
      word.kind == 'f'   ? random_values(s->dtype, shape, stream, s->op->lo, s->op->hi)
      : word.kind == 'i' ? random_values(CT_I32, shape, stream, 0, (double)word.below)
      : word.kind == 'b' ? ct_cast(random_values(CT_I32, shape, stream, 0, 2), CT_BOOL)
                         : ct_key(11);
  s->stored[i] = layout_of(s, i)->store(value);
  s->in[i] = layout_of(s, i)->see(s->stored[i], shape);
  return word.next;
}

static inline bool is_generic(const ct_op *op) {
  return (op->flags & CT_ELEMENTWISE) && op->attr_size == 0 && (op->n_in == 1 || op->n_in == 2) &&
         !(op->kernel && !op->kernel->loop[CT_F32]);
}

static inline int inputs_of(const registry_case *c) {
  int n = 1;
  for (const char *at = c->inputs; *at; at++) n += *at == ' ';
  return n;
}

static inline bool fits(const registry_case *c, const ct_op *op) {
  return c->apply ? strcmp(c->op, op->name) == 0 : is_generic(op) && inputs_of(c) == op->n_in;
}

static inline ct_tensor *use(const situation *s, ct_tensor *const *in) {
  return s->use->apply ? s->use->apply(in) : ct_apply(s->op, (ct_list){s->n, in});
}

static inline void situate(situation *s) {
  s->n = 0;
  for (const char *word = s->use->inputs; word; word = read_input(s, word)) {
  }
  snprintf(context, sizeof context, "%s of %s, %s, %s%s", s->op->name, s->use->inputs,
           ct_dtype_name(s->dtype), layouts[s->layout].name, s->rotated ? " and others" : "");
  for (int i = 0; i < s->n; i++) require(!ct_is_nil(s->in[i]), "the input can be made");
}

typedef void trial(situation *s);

static inline void try_layouts(situation *s, bool all_layouts, trial *todo) {
  for (int k = 0; k < (all_layouts ? 2 * CT__COUNT(layouts) : 1); k++) {
    s->layout = k % CT__COUNT(layouts);
    s->rotated = k >= CT__COUNT(layouts);
    if (s->rotated && s->n < 2) return;
    ct_scope scope = ct_scope_begin();
    situate(s);
    todo(s);
    assert_ok(ct_scope_end(scope));
    require(ct_error_code() == CT_OK, "no error is left behind");
  }
}

/* Runs todo for every case of op; gives how many there are. */
static inline int try_op(const ct_op *op, const ct_dtype *dtypes, bool all_layouts, trial *todo) {
  const registry_case *table[] = {generic, cases};
  const int rows[] = {CT__COUNT(generic), CT__COUNT(cases)};
  int n = 0;
  for (int t = 0; t < 2; t++)
    for (int r = 0; r < rows[t]; r++) {
      if (!fits(&table[t][r], op)) continue;
      n++;
      for (int d = 0; todo && d < 2; d++) {
        situation s = {.op = op, .use = &table[t][r], .dtype = dtypes[d]};
        if (d == 0 || dtypes[d] != dtypes[0]) try_layouts(&s, all_layouts, todo);
      }
    }
  return n;
}

static const ct_dtype both_dtypes[] = {CT_F32, CT_F64}, only_f64[] = {CT_F64, CT_F64};

static inline void for_each(const ct_dtype *dtypes, bool all_layouts, trial *todo) {
  for (int i = 0; i < ct_op_count(); i++) try_op(ct_op_at(i), dtypes, all_layouts, todo);
}

/* ---- comparing ------------------------------------------------------------------------------- */

static inline void require_same_bits(const ct_tensor *a, const ct_tensor *b, const char *what) {
  require(!ct_is_nil(a) && !ct_is_nil(b), what);
  require(ct_dtype_of(a) == ct_dtype_of(b), what);
  require(ct_shape_equal(ct_shape_of(a), ct_shape_of(b)), what);
  size_t bytes = (size_t)ct_size(a) * ct_dtype_size(ct_dtype_of(a));
  char *pa = malloc(2 * bytes + 1), *pb = pa + bytes;
  assert_non_null(pa);
  bool read = ct_copy_out(a, pa, bytes) == CT_OK && ct_copy_out(b, pb, bytes) == CT_OK;
  bool equal = read && memcmp(pa, pb, bytes) == 0;
  free(pa);
  require(equal, what);
}

/* Within the tolerance relative to the largest element; NaN equals NaN. */
static inline void require_close(const ct_tensor *a, const ct_tensor *b, double tolerance,
                                 const char *what) {
  require(!ct_is_nil(a) && !ct_is_nil(b), what);
  require(ct_shape_equal(ct_shape_of(a), ct_shape_of(b)), what);
  int64_t n = ct_size(a);
  double *va = malloc((size_t)(2 * n + 1) * sizeof *va), *vb = va + n, largest = 0;
  assert_non_null(va);
  tensor_values(a, va, n);
  tensor_values(b, vb, n);
  bool close = true;
  for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(vb[i]));
  for (int64_t i = 0; i < n; i++)
    close &= va[i] == vb[i] || fabs(va[i] - vb[i]) <= tolerance * largest ||
             (isnan(va[i]) && isnan(vb[i]));
  free(va);
  require(close, what);
}

static inline double tolerance_of(const situation *s) { return s->dtype == CT_F32 ? 2e-6 : 1e-14; }

/* ---- derivatives ----------------------------------------------------------------------------- */

static inline bool differentiable(const ct_op *op) { return !(op->flags & CT_NONDIFF); }

static inline bool has_derivative(const situation *s) {
  if (!differentiable(s->op)) return false;
  bool from = false;
  for (int i = 0; i < s->n; i++) from |= ct_dtype_is_float(ct_dtype_of(s->in[i]));
  return from && ct_dtype_is_float(ct_dtype_of(use(s, s->in)));
}

static inline ct_tensor *seen_use(ct_list stored, void *payload) {
  situation *s = payload;
  ct_tensor *in[MAX_IN];
  for (int i = 0; i < s->n; i++) in[i] = layout_of(s, i)->see(stored.at[i], s->shape[i]);
  ct_tensor *y = use(s, in);
  return ct_dtype_of(y) == CT_F32 ? ct_cast(y, CT_F64) : y;
}

#endif
