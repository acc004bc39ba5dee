/* tensor.c - buffers and nodes: counting, stamping, releasing, asking. */
#include "tensor_internal.h"

#include <stdlib.h>

#define STRINGIZE(x) #x
#define STRING(x)    STRINGIZE(x)

const char *ct_version(void) {
  return STRING(CT_VERSION_MAJOR) "." STRING(CT_VERSION_MINOR) "." STRING(CT_VERSION_PATCH);
}

/* ---- dtypes ---------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  size_t size;
} dtype_table[CT_DTYPES] = {
    [CT_F32] = {"f32", 4}, [CT_F64] = {"f64", 8},   [CT_I32] = {"i32", 4},
    [CT_U8] = {"u8", 1},   [CT_BOOL] = {"bool", 1},
};

size_t ct_dtype_size(ct_dtype d) { return (unsigned)d < CT_DTYPES ? dtype_table[d].size : 0; }

const char *ct_dtype_name(ct_dtype d) {
  return (unsigned)d < CT_DTYPES ? dtype_table[d].name : "unknown dtype";
}

bool ct_dtype_is_float(ct_dtype d) { return d == CT_F32 || d == CT_F64; }

/* ---- buffers --------------------------------------------------------------------------------- */

enum { HEADER = 64 }; /* one block: the header, then the data, both aligned */
_Static_assert(sizeof(ct_buffer) <= HEADER, "the buffer header has outgrown its place");

ct_buffer *ct__buffer_new(size_t bytes) {
  ct_buffer *b = bytes > PTRDIFF_MAX - HEADER ? NULL : ct__alloc(HEADER + bytes);
  if (!b) return NULL;
  *b = (ct_buffer){.bytes = bytes, .data = (char *)b + HEADER};
  atomic_init(&b->refs, 1);
  return b;
}

/* Where the block of t begins. */
static void *block_of(ct_tensor *t) {
  return t->buffer == ct__own_buffer(t) ? t->buffer->data : (char *)t;
}

/* A part of t's block is dead; refs counts those that are not. */
static void part_end(ct_tensor *t) {
  if (ct__last(&t->refs)) ct__free(block_of(t), t->bytes);
}

void ct__buffer_unref(ct_buffer *b) {
  if (!b || !ct__last(&b->refs)) return;
  if (b->inside) {
    part_end(&((ct__small *)(void *)((char *)b - offsetof(ct__small, buffer)))->t);
    return;
  }
  if (b->release) b->release(b->payload);
  ct__free(b, HEADER + (b->foreign ? 0 : b->bytes));
}

/* ---- nodes ----------------------------------------------------------------------------------- */

ct_tensor ct__nil_tensor = {.v = {.contiguous = true}};

ct_tensor *ct_nil(void) { return &ct__nil_tensor; }

bool ct_is_nil(const ct_tensor *t) { return !t || ct__is_nil(t); }

ct_tensor *ct__tensor_new_with(size_t room, ct_dtype dtype, int ndim, const int64_t *dim) {
  ct_tensor *t = ct__tensor_in_block(0, sizeof *t + room);
  if (!t) return NULL;
  ct__view_set(&t->v, dtype, ndim, dim);
  t->v.data = NULL;
  return t;
}

ct_tensor *ct__tensor_alloc_with(size_t room, ct_dtype dtype, int ndim, const int64_t *dim) {
  size_t bytes = ct__item_size(dtype);
  for (int i = 0; i < ndim; i++) bytes *= (size_t)dim[i];
  if (bytes <= CT__INSIDE)
    return ct__small_alloc(room, (bytes + 15) & ~(size_t)15, dtype, ndim, dim);
  ct_tensor *t = ct__tensor_new_with(room, dtype, ndim, dim);
  if (!t) return NULL;
  t->buffer = ct__buffer_new(bytes);
  if (!t->buffer) {
    ct__unref(t);
    return NULL;
  }
  t->v.data = t->buffer->data;
  return t;
}

ct_tensor *ct__tensor_alias(const ct_tensor *t) {
  ct_tensor *alias = ct__tensor_in_block(0, sizeof *alias);
  if (!alias) return NULL;
  alias->v = t->v;
  alias->stamp = t->stamp;
  alias->buffer = t->buffer;
  if (t->buffer) atomic_fetch_add_explicit(&t->buffer->refs, 1, memory_order_relaxed);
  return alias;
}

static void drop(ct_tensor *t, ct_tensor **work) {
  if (t && !ct__is_nil(t) && ct__last(&t->refs)) {
    t->next = *work;
    *work = t;
  }
}

static inline void drop_recipe(ct_recipe *r, ct_tensor **work) {
  for (int i = 0; i < r->n_in; i++) drop(r->in[i], work);
  for (int i = 0; i < r->n_extra; i++) drop(r->extra[i], work);
  if (r->destroy) r->destroy(r);
}

static void recipe_unref(ct_recipe *r, ct_tensor **work) {
  ct_tensor *home = r->home;
  if (!ct__last(&r->refs)) return;
  drop_recipe(r, work);
  if (home) part_end(home);
}

static bool sole(atomic_int *refs) { return atomic_load_explicit(refs, memory_order_acquire) == 1; }

/* Ends a dead tensor of whose block others hold parts, or that has parts elsewhere. Those in its
 * block are counted before they are let go, and the tensor with them until it is done. */
static void end_parts(ct_tensor *t, ct_tensor **work) {
  ct_recipe *r = t->recipe;
  ct_buffer *b = t->buffer;
  bool recipe_here = r && r->home == t, buffer_here = b == ct__own_buffer(t);
  atomic_store_explicit(&t->refs, 1 + recipe_here + buffer_here, memory_order_relaxed);
  if (r) {
    r->out[t->out_index] = NULL;
    recipe_unref(r, work);
  }
  ct__buffer_unref(b);
  part_end(t);
}

/* Ends a dead tensor. Mostly nobody holds its numbers and its recipe but it, and they are in its
 * block. */
static inline void end(ct_tensor *t, ct_tensor **work) {
  ct_recipe *r = t->recipe;
  ct_buffer *b = t->buffer;
  if (CT__UNLIKELY(b != ct__own_buffer(t) || !sole(&b->refs) ||
                   (r && (r->home != t || !sole(&r->refs))))) {
    end_parts(t, work);
    return;
  }
  if (r) drop_recipe(r, work);
  ct__free(b->data, t->bytes);
}

/* A dead tensor may be the last owner of its recipe, which may be the last owner of its inputs, and
 * so on for a million nodes: so a work list, threaded through the dead, instead of recursion. */
static inline void release_work(ct_tensor *work) {
  while (work) {
    ct_tensor *t = work;
    work = t->next;
    end(t, &work);
  }
}

void ct__tensor_free(ct_tensor *t) {
  t->next = NULL;
  release_work(t);
}

void ct__unref_list(ct_tensor **first, const ct_tensor *until) {
  while (*first != until) {
    ct_tensor *t = *first;
    *first = t->next;
    t->next = NULL;
    t->flags &= ~(unsigned)CT__SCOPED;
    if (ct__last(&t->refs)) release_work(t);
  }
}

void ct__recipe_unref(ct_recipe *r) {
  ct_tensor *work = NULL;
  recipe_unref(r, &work);
  release_work(work);
}

/* ---- checks and versions --------------------------------------------------------------------- */

ct_status ct__check_tensor(const char *who, const char *name, const ct_tensor *t) {
  if (!t) return ct__fail(CT_EARG, "%s: %s is NULL", who, name);
  return ct__is_nil(t) ? ct__pending(who) : CT_OK;
}

ct_status ct__check_list(const char *who, const char *name, ct_list l) {
  if (l.n < 0 || (l.n > 0 && !l.at)) return ct__fail(CT_EARG, "%s: %s is no list", who, name);
  for (int i = 0; i < l.n; i++) {
    if (!l.at[i]) return ct__fail(CT_EARG, "%s: %s[%d] is NULL", who, name, i);
    if (ct__is_nil(l.at[i])) return ct__pending(who);
  }
  return CT_OK;
}

ct_status ct__check_value(const char *who, const ct_tensor *t) {
  if (!t) return ct__fail_status(CT_EARG, "%s: the tensor is NULL", who);
  if (ct__is_nil(t)) return ct__pending(who);
  char shape[CT__SHAPE_TEXT];
  if (!t->buffer)
    return ct__fail_status(CT_ENOVALUE,
                           "%s: the %s tensor %s has no value before its function runs", who,
                           ct_dtype_name(t->v.dtype), ct__shape_text(shape, t->v.ndim, t->v.dim));
  if (ct__stale(t))
    return ct__fail_status(CT_ESTALE, "%s: the value of the %s tensor %s was overwritten by %s",
                           who, ct_dtype_name(t->v.dtype),
                           ct__shape_text(shape, t->v.ndim, t->v.dim), t->buffer->written_by);
  return CT_OK;
}

ct_status ct__check_operand(const char *who, const ct_tensor *t) {
  if (t && t->buffer && !ct__stale(t)) return CT_OK;
  return ct_error_code() != CT_OK ? ct_error_code() : ct__check_value(who, t);
}

ct_status ct__check_writable(const char *who, const ct_tensor *t) {
  if (!t) return ct__fail_status(CT_EARG, "%s: the tensor is NULL", who);
  if (ct__is_nil(t)) return ct__pending(who);
  if (!t->buffer)
    return ct__fail_status(CT_ENOVALUE, "%s: a symbolic tensor has no memory to write", who);
  if (t->buffer->read_only)
    return ct__fail_status(CT_EARG, "%s: the memory is wrapped read-only", who);
  for (int i = 0; i < t->v.ndim; i++)
    if (t->v.stride[i] == 0 && t->v.dim[i] > 1)
      return ct__fail_status(CT_EARG, "%s: axis %d has stride 0, its elements share memory", who,
                             i);
  return CT_OK;
}

void ct__written(ct_tensor *t, const char *who) {
  t->stamp = ++t->buffer->version;
  t->buffer->written_by = who;
}

ct_status ct_touch(ct_tensor *t) {
  if (!t) return ct__fail_status(CT_EARG, "ct_touch: t is NULL");
  if (ct__is_nil(t)) return ct__pending("ct_touch");
  if (!t->buffer) return ct__fail_status(CT_ENOVALUE, "ct_touch: a symbolic tensor has no memory");
  ct__written(t, "ct_touch");
  return CT_OK;
}

/* ---- queries --------------------------------------------------------------------------------- */

ct_dtype ct_dtype_of(const ct_tensor *t) { return t ? t->v.dtype : CT_F32; }
int ct_ndim(const ct_tensor *t) { return t ? t->v.ndim : 0; }
int64_t ct_size(const ct_tensor *t) { return t ? t->v.size : 0; }
bool ct_has_value(const ct_tensor *t) { return t && t->buffer; }
bool ct_is_contiguous(const ct_tensor *t) { return t && t->v.contiguous; }

int64_t ct_dim(const ct_tensor *t, int axis) {
  int i = ct__axis(axis, ct_ndim(t));
  return i < 0 ? -1 : t->v.dim[i];
}

int64_t ct_stride(const ct_tensor *t, int axis) {
  int i = ct__axis(axis, ct_ndim(t));
  return i < 0 ? 0 : t->v.stride[i];
}

ct_shape ct_shape_of(const ct_tensor *t) {
  return t ? ct_shape_make((size_t)t->v.ndim, t->v.dim) : (ct_shape){0};
}
