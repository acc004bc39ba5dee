/* apply.c - one use of a primitive: check, infer, evaluate, record. */
#include "autograd_internal.h"

#include <stdarg.h>

/* Short where sizes are constants. */
#define INLINE static inline __attribute__((always_inline))

enum { FEW = 8 }; /* operands that fit the stack; more take a block */

/* ---- nodes ----------------------------------------------------------------------------------- */

_Static_assert(sizeof(ct__node) % 16 == 0, "attributes lie behind the struct, aligned");

/* The struct, the attributes, then the arrays. */
typedef struct layout {
  size_t attr, pointers, extras, bytes;
} layout;

INLINE layout layout_of(size_t attr_size, int n_in, int n_out) {
  size_t ins = (size_t)n_in, outs = (size_t)n_out, wants = ins > outs ? ins : outs;
  layout l = {.attr = (attr_size + 15) & ~(size_t)15, .extras = n_out > 1 ? 2 * outs : outs};
  l.pointers = ins + outs + l.extras + outs;
  l.bytes = sizeof(ct__node) + l.attr + l.pointers * sizeof(ct_tensor *) + ins * sizeof(uint64_t) +
            wants * sizeof(bool);
  return l;
}

static void node_destroy(ct_recipe *r) {
  ct__node *n = (ct__node *)(void *)r;
  const ct_op *op = n->call.op;
  if (op->attr_release) op->attr_release((void *)(uintptr_t)n->call.attr);
  if (!r->home) ct__free(n, layout_of(op->attr_size, r->n_in, r->n_out).bytes);
}

INLINE void node_init(ct__node *n, const layout *l, const ct_call *c, int refs, ct_tensor *home) {
  size_t ins = (size_t)c->n_in, outs = (size_t)c->n_out;
  ct_tensor **at = (ct_tensor **)(void *)((char *)(n + 1) + l->attr);
  atomic_init(&n->recipe.refs, refs);
  n->recipe.n_in = c->n_in;
  n->recipe.n_out = c->n_out;
  n->recipe.n_extra = (int)l->extras;
  n->recipe.in = at;
  n->recipe.out = at + ins;
  n->recipe.extra = at + ins + outs;
  n->recipe.home = home;
  n->recipe.destroy = home && !(l->attr && c->op->attr_release) ? NULL : node_destroy;
  n->call = (ct_call){c->op, l->attr ? n + 1 : NULL, c->n_in, c->n_out, at};
  n->symbolic = n->cut = n->expanded = n->numbers = false;
  n->slot = at + l->pointers - outs;
  n->stamp = (uint64_t *)(at + l->pointers);
  n->want = (bool *)(n->stamp + ins);
  n->epoch = 0;
  for (ct_tensor **p = n->recipe.out; p < at + l->pointers; p++) *p = NULL;
}

/* A call with `refs` owners, which owns its inputs and remembers their versions: in the block of
 * `home`, which has room for it, or in one of its own. attr_size is that of the operation. */
INLINE ct__node *node_new(const ct_call *c, size_t attr_size, int refs, ct_tensor *home) {
  const layout l = layout_of(attr_size, c->n_in, c->n_out);
  ct__node *n = home ? ct__room(home) : ct__alloc(l.bytes);
  if (!n) return NULL;
  if (attr_size > 0) {
    void *attr = n + 1;
    if (!c->op->attr_copy)
      memcpy(attr, c->attr, attr_size);
    else if (c->op->attr_copy(attr, c->attr) != CT_OK) {
      if (!home) ct__free(n, l.bytes);
      return NULL;
    }
  }
  for (int i = 0; i < c->n_in; i++) ct__ref(c->in[i]);
  node_init(n, &l, c, refs, home);
  for (int i = 0; i < c->n_in; i++) {
    n->recipe.in[i] = c->in[i];
    n->stamp[i] = c->in[i]->stamp;
  }
  return n;
}

ct__node *ct__node_new(const ct_op *op, const void *attr, int n_in, ct_tensor *const *in,
                       int n_out) {
  return node_new(&(ct_call){op, attr, n_in, n_out, in}, op->attr_size, 1, NULL);
}

void ct__node_free(ct__node *n) { ct__recipe_unref(&n->recipe); }

static void set_recipe(ct__node *n, int o, ct_tensor *t) {
  n->recipe.out[o] = t;
  t->recipe = &n->recipe;
  t->out_index = o;
  t->flags |= CT__RECORDED;
}

void ct__node_adopt(ct__node *n, int o, ct_tensor *t) {
  atomic_fetch_add_explicit(&n->recipe.refs, 1, memory_order_relaxed);
  set_recipe(n, o, t);
}

/* ---- checks ---------------------------------------------------------------------------------- */

typedef struct traits {
  unsigned flags; /* of all inputs together */
  bool symbolic;
  bool numbers; /* see ct__node */
} traits;

static ct_status check_input(const ct_op *op, int i, const ct_tensor *t) {
  if (!t) return ct__fail(CT_EARG, "%s: input %d is NULL", op->name, i);
  if (ct__is_nil(t)) return ct__pending(op->name);
  char text[CT__SHAPE_TEXT];
  return ct__fail(CT_ESTALE,
                  "%s: the value of input %d, %s %s, was overwritten by %s since it was made",
                  op->name, i, ct_dtype_name(t->v.dtype), ct__shape_text(text, t->v.ndim, t->v.dim),
                  t->buffer->written_by);
}

static ct_status check_inputs(const ct_op *op, int n_in, ct_tensor *const *in, traits *have) {
  if (CT__UNLIKELY(op->n_in != CT_VARIADIC && n_in != op->n_in))
    return ct__fail(CT_EARG, "%s: want %d inputs, got %d", op->name, op->n_in, n_in);
  for (int i = 0; i < n_in; i++) {
    const ct_tensor *t = in[i];
    if (CT__UNLIKELY(!t || ct__is_nil(t) || ct__stale(t))) return check_input(op, i, t);
    have->flags |= t->flags;
    have->symbolic |= !t->buffer;
  }
  return CT_OK;
}

/* Depends on a recorded tensor that was not cut off. */
static bool live(const ct_call *c, unsigned flags) {
  if (!(flags & CT__CUT)) return flags & CT__RECORDED;
  for (int i = 0; i < c->n_in; i++)
    if ((c->in[i]->flags & (CT__RECORDED | CT__CUT)) == CT__RECORDED) return true;
  return false;
}

/* ---- evaluation ------------------------------------------------------------------------------ */

static ct_loop *kernel_loop(const ct_call *c) {
  return c->op->kernel->loop[c->in[c->n_in - 1]->v.dtype];
}

/* Runs eval over values that exist. */
static ct_status evaluate(const ct_call *c, ct_tensor **out) {
  const ct_op *op = c->op;
  int n = c->n_in + c->n_out;
  const ct_view *few[FEW], **view = few;
  if (CT__UNLIKELY(n > FEW)) view = ct__alloc((size_t)n * sizeof *view);
  if (!view) return CT_ENOMEM;
  for (int i = 0; i < c->n_in; i++) view[i] = &c->in[i]->v;
  for (int o = 0; o < c->n_out; o++) view[c->n_in + o] = &out[o]->v;
  size_t bytes = op->work ? op->work(c) : 0;
  void *work = bytes ? ct__alloc(bytes) : NULL;
  ct_status status = bytes && !work ? CT_ENOMEM : CT_OK;
  if (status == CT_OK) /* results are written through the same pointers */
    status = op->eval(&(ct_eval){op, c->attr, c->n_in, c->n_out, view,
                                 (ct_view *const *)(const void *)(view + c->n_in), work});
  if (work) ct__free(work, bytes);
  if (view != few) ct__free(view, (size_t)n * sizeof *view);
  return status;
}

/* The shape and dtype of a tensor that exists need no check. */
static bool like_input(const ct_call *c, const ct_spec *s) {
  if (c->n_in == 0) return false;
  const ct_view *v = ct__in(c, 0);
  return s->dtype == v->dtype && s->shape.n == v->ndim &&
         ct__same_dims(v->ndim, v->dim, s->shape.dim);
}

/* Makes t a view of input 0; false if the operation gives none here. */
static bool become_view(const ct_call *c, ct_tensor *t) {
  const ct_tensor *x = c->in[0];
  if (!c->op->view(c->attr, &x->v, &t->v)) return false;
  t->buffer = x->buffer;
  t->stamp = x->stamp;
  atomic_fetch_add_explicit(&x->buffer->refs, 1, memory_order_relaxed);
  return true;
}

/* One result: a symbolic node, a view of input 0, or a fresh buffer that is to be filled. NULL
 * after an error. */
static ct_tensor *make_output(const ct_call *c, const ct_spec *s, bool symbolic, size_t room,
                              bool *fill) {
  if (!like_input(c, s) &&
      ct__shape_check(c->op->name, s->dtype, s->shape.n, s->shape.dim) != CT_OK)
    return NULL;
  if (symbolic || c->op->view) {
    ct_tensor *t = ct__tensor_new_with(room, s->dtype, s->shape.n, s->shape.dim);
    if (!t || symbolic || become_view(c, t)) return t;
    ct__unref(t);
  }
  *fill = true;
  return ct__tensor_alloc_with(room, s->dtype, s->shape.n, s->shape.dim);
}

static ct_status produce(const ct_call *c, bool symbolic, size_t room, ct_tensor **out) {
  ct_spec few[FEW], *spec = few;
  if (CT__UNLIKELY(c->n_out > FEW)) spec = ct__alloc((size_t)c->n_out * sizeof *spec);
  if (!spec) return CT_ENOMEM;
  ct_status status = c->op->infer(c, spec);
  ct_loop *loop = status == CT_OK && c->op->kernel ? kernel_loop(c) : NULL;
  if (status == CT_OK && c->op->kernel && !loop)
    status = ct_fail(c, CT_EDTYPE, "not defined for dtype %s",
                     ct_dtype_name(c->in[c->n_in - 1]->v.dtype));
  bool fill = false;
  for (int o = 0; o < c->n_out && status == CT_OK; o++) {
    out[o] = make_output(c, &spec[o], symbolic, room, &fill);
    if (!out[o]) status = ct_error_code();
  }
  if (CT__UNLIKELY(spec != few)) ct__free(spec, (size_t)c->n_out * sizeof *spec);
  if (status != CT_OK || !fill) return status;
  if (!loop) return evaluate(c, out);
  ct__map_tensors(c->n_in, c->in, out[0], loop, c->attr);
  return CT_OK;
}

/* ---- recording ------------------------------------------------------------------------------- */

/* Calls with several outputs keep the numbers of all: a rule may need one that nobody holds any
 * more. */
static bool keep_outputs(ct__node *n, ct_tensor **out) {
  for (int o = 0; o < n->call.n_out; o++) {
    ct_tensor *alias = ct__tensor_alias(out[o]);
    if (!alias) return false;
    n->recipe.extra[n->call.n_out + o] = alias;
  }
  return true;
}

/* What becomes of the outputs: whether they get the call as their recipe, whether that is in the
 * block of the only one, and whether they are cut off. What recording missed is marked: to
 * differentiate it is an error. */
typedef struct fate {
  bool recorded, cut;
  size_t room; /* that the recipe needs in the block of the output */
} fate;

INLINE fate decide(const ct_call *c, size_t attr_size, bool recording, traits have) {
  enum { MOST = 4096 };
  fate f = {.recorded = have.flags & CT__RECORDED};
  if (CT__UNLIKELY(!recording || (have.flags & CT__CUT))) {
    f.cut = (have.flags & (CT__RECORDED | CT__CUT)) && !(recording && live(c, have.flags));
    f.recorded &= recording || have.symbolic;
  }
  size_t bytes = f.recorded && c->n_out == 1 ? layout_of(attr_size, c->n_in, 1).bytes : 0;
  if (bytes <= MOST) f.room = bytes;
  return f;
}

INLINE ct_status record(const ct_call *c, size_t attr_size, traits have, fate f, ct_tensor **out) {
  if (f.recorded) {
    ct__node *n = node_new(c, attr_size, c->n_out, f.room ? out[0] : NULL);
    if (!n) return CT_ENOMEM;
    n->symbolic = have.symbolic;
    n->cut = f.cut;
    n->numbers = have.numbers;
    if (c->n_out > 1 && !keep_outputs(n, out)) {
      atomic_store_explicit(&n->recipe.refs, 1, memory_order_relaxed);
      ct__node_free(n);
      return CT_ENOMEM;
    }
    for (int o = 0; o < c->n_out; o++) set_recipe(n, o, out[o]);
  }
  for (int o = 0; f.cut && o < c->n_out; o++) out[o]->flags |= CT__CUT;
  return CT_OK;
}

static ct_status fail_all(const ct_op *op, ct_status status, int n_out, ct_tensor **out) {
  if (status == CT_ENOMEM) ct__out_of_memory(op->name);
  for (int o = 0; o < n_out; o++) {
    if (out[o]) ct__unref(out[o]);
    out[o] = ct_nil();
  }
  return status;
}

ct_status ct__apply(const ct_op *op, const void *attr, int n_in, ct_tensor *const *in,
                    ct_tensor **out) {
  int n_out = op->n_out == 0 ? 1 : op->n_out == CT_VARIADIC ? *(const int *)attr : op->n_out;
  for (int o = 0; o < n_out; o++) out[o] = NULL;
  ct_call call = {op, attr, n_in, n_out, in};
  traits have = {0};
  ct_status status = check_inputs(op, n_in, in, &have);
  if (CT__UNLIKELY(status != CT_OK)) return fail_all(op, status, n_out, out);
  const fate f = decide(&call, op->attr_size, ct__recording(), have);
  status = produce(&call, have.symbolic, f.room, out);
  if (CT__LIKELY(status == CT_OK)) status = record(&call, op->attr_size, have, f, out);
  if (CT__UNLIKELY(status != CT_OK)) return fail_all(op, status, n_out, out);
  for (int o = 0; o < n_out; o++) ct__own(out[o]);
  return CT_OK;
}

INLINE bool is_number(const ct_tensor *t, ct_dtype dtype) {
  return t->buffer && t->v.ndim == 0 && t->v.dtype == dtype && !ct__stale(t);
}

/* An elementwise operation of one dtype on single numbers without dimensions: no shapes, views and
 * drivers. NULL where that is not what it is, or something is wrong with it. */
INLINE ct_tensor *apply_to_numbers(const ct_op *op, const void *attr, const size_t attr_size,
                                   const int n_in, ct_tensor *const *in) {
  static const int64_t one[CT__MAX_OPERANDS] = {1, 1, 1, 1, 1, 1};
  ct__scope *scope = ct__thread_scopes.top;
  if (!scope || !in[0]) return NULL;
  const ct_dtype dtype = in[0]->v.dtype;
  ct_loop *loop = op->kernel->loop[dtype];
  if (!loop) return NULL;
  traits have = {.numbers = n_in <= 2};
  char *p[CT__MAX_OPERANDS];
  for (int i = 0; i < n_in; i++) {
    if (!in[i] || !is_number(in[i], dtype)) return NULL;
    have.flags |= in[i]->flags;
    p[i] = in[i]->v.data;
  }
  const ct_call call = {op, attr, n_in, 1, in};
  const fate f = decide(&call, attr_size, scope->recording, have);
  ct_tensor *y = f.recorded ? ct__tensor_number(f.room, dtype) : ct__tensor_alloc(dtype, 0, NULL);
  if (!y || record(&call, attr_size, have, f, &y) != CT_OK) {
    fail_all(op, CT_ENOMEM, 1, &y);
    return y;
  }
  ct__scope_add(scope, y);
  p[n_in] = y->v.data;
  loop(1, p, one, attr);
  return y;
}

static ct_tensor *apply_to_tensors(const ct_op *op, const void *attr, int n_in,
                                   ct_tensor *const *in) {
  ct_tensor *y;
  ct__apply(op, attr, n_in, in, &y);
  return y;
}

ct_tensor *ct__apply1(const ct_op *op, const void *attr, int n_in, ct_tensor *const *in) {
  bool one_dtype = op->infer == ct_infer_same || op->infer == ct__infer_like;
  ct_tensor *y = op->kernel && one_dtype && n_in == op->n_in
                     ? apply_to_numbers(op, attr, op->attr_size, n_in, in)
                     : NULL;
  return y ? y : apply_to_tensors(op, attr, n_in, in);
}

ct_tensor *ct__unary(const ct_op *op, ct_tensor *x) {
  ct_tensor *y = apply_to_numbers(op, NULL, 0, 1, (ct_tensor *[]){x});
  return CT__LIKELY(y != NULL) ? y : apply_to_tensors(op, NULL, 1, (ct_tensor *[]){x});
}

ct_tensor *ct__binary(const ct_op *op, ct_tensor *a, ct_tensor *b) {
  ct_tensor *y = apply_to_numbers(op, NULL, 0, 2, (ct_tensor *[]){a, b});
  return CT__LIKELY(y != NULL) ? y : apply_to_tensors(op, NULL, 2, (ct_tensor *[]){a, b});
}

/* ---- the public face ------------------------------------------------------------------------- */

static ct_status check_record(const ct_op *op, const void *attr, ct_list in) {
  if (!op) return ct__fail(CT_EARG, "ct_apply: the record is NULL");
  if (op->size < sizeof(ct_op))
    return ct__fail(CT_EARG, "ct_apply: the record does not begin with CT_OP");
  if (!op->name || !op->infer || !(op->eval || op->kernel))
    return ct__fail(CT_EARG, "ct_apply: a record needs a name, infer, and eval or kernel");
  if (op->attr_size && !attr) return ct__fail(CT_EARG, "%s: attributes are NULL", op->name);
  if (in.n < 0 || (in.n > 0 && !in.at))
    return ct__fail(CT_EARG, "%s: bad list of inputs", op->name);
  if (op->kernel && (in.n < 1 || in.n >= CT__MAX_OPERANDS))
    return ct__fail(CT_EARG, "%s: a kernel takes 1 to %d inputs", op->name, CT__MAX_OPERANDS - 1);
  if (op->view && (in.n < 1 || (op->n_out != 0 && op->n_out != 1)))
    return ct__fail(CT_EARG, "%s: a view is one result of at least one input", op->name);
  bool variadic = op->n_out == CT_VARIADIC && attr;
  if ((variadic ? *(const int *)attr : op->n_out) < variadic)
    return ct__fail(CT_EARG, "%s: bad number of outputs", op->name);
  return CT_OK;
}

ct_tensor *ct_apply(const ct_op *op, ct_list in) { return ct_apply_attr(op, NULL, in); }

ct_tensor *ct_apply_attr(const ct_op *op, const void *attr, ct_list in) {
  if (check_record(op, attr, in) != CT_OK) return ct_nil();
  if (op->n_out > 1 || op->n_out == CT_VARIADIC)
    return ct__nil(CT_EARG, "%s: several outputs, use ct_apply_all", op->name);
  return ct__apply1(op, attr, in.n, in.at);
}

ct_status ct_apply_all(const ct_op *op, const void *attr, ct_list in, ct_tensor **out) {
  ct_status status = check_record(op, attr, in);
  if (status != CT_OK) return status;
  if (!out) return ct__fail(CT_EARG, "%s: out is NULL", op->name);
  return ct__apply(op, attr, in.n, in.at, out);
}

/* ---- for rules and infer --------------------------------------------------------------------- */

ct_tensor *ct_out(const ct_call *c, int o) {
  ct__node *n = ct__node_of_call(c);
  if (o < 0 || o >= c->n_out) return ct__nil(CT_EARG, "%s: there is no output %d", c->op->name, o);
  if (n->recipe.out[o]) return n->recipe.out[o];
  if (c->n_out < 2) return ct__nil(CT_ENOVALUE, "%s: the output is gone", c->op->name);
  ct_tensor *t = ct__tensor_alias(n->recipe.extra[c->n_out + o]); /* nobody held it: made anew */
  if (t) ct__node_adopt(n, o, t);
  return ct__own(t);
}

bool ct_wants(const ct_call *c, int i) {
  return i >= 0 && i < c->n_in && ct__node_of_call(c)->want[i];
}

ct_status ct_fail(const ct_call *c, ct_status code, const char *format, ...) {
  char text[256], got[256], shape[CT__SHAPE_TEXT];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  size_t at = 0;
  got[0] = '\0';
  for (int i = 0; i < c->n_in && at < sizeof got; i++) {
    const ct_view *v = &c->in[i]->v;
    const char *join = i == 0 ? "" : i == c->n_in - 1 ? " and " : ", ";
    bool dtype = code == CT_EDTYPE;
    at += (size_t)snprintf(got + at, sizeof got - at, "%s%s%s%s", join,
                           dtype ? ct_dtype_name(v->dtype) : "", dtype ? " " : "",
                           ct__shape_text(shape, v->ndim, v->dim));
  }
  return ct__fail(code, "%s: %s%s%s", c->op->name, text, got[0] ? ", got " : "", got);
}

ct_shape ct__shape_of_view(const ct_view *v) { return ct_shape_make((size_t)v->ndim, v->dim); }

ct_status ct__infer_like(const ct_call *c, ct_spec *out) {
  ct__spec_set(out, ct__in(c, 0)->dtype, ct__in(c, 0)->ndim, ct__in(c, 0)->dim);
  return CT_OK;
}

ct_status ct_infer_same(const ct_call *c, ct_spec *out) {
  if (c->n_in < 1) return ct_fail(c, CT_EARG, "want at least one input");
  ct__infer_like(c, out);
  for (int i = 1; i < c->n_in; i++) {
    const ct_view *v = ct__in(c, i);
    if (v->dtype != out->dtype) return ct_fail(c, CT_EDTYPE, "want one dtype (ct_cast converts)");
    if (CT__LIKELY(v->ndim == out->shape.n && ct__same_dims(v->ndim, v->dim, out->shape.dim)))
      continue;
    ct_shape joint;
    if (!ct__broadcast(out->shape, ct__shape_of_view(v), &joint))
      return ct_fail(c, CT_ESHAPE, "want shapes that broadcast");
    out->shape = joint;
  }
  return CT_OK;
}

ct_tensor *ct__constant_like(const ct_tensor *x, double value) {
  return ct_scalar(x->v.dtype, value);
}

ct_tensor *ct__zeros_like(const ct_tensor *x) {
  return ct_zeros(x->v.dtype, ct__shape_of_view(&x->v));
}
