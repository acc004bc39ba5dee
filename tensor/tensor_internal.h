/* tensor_internal.h - what the other folders may know of the core. */
#ifndef COTANGENT_TENSOR_INTERNAL_H
#define COTANGENT_TENSOR_INTERNAL_H

#include "alloc.h"
#include "gemm.h"
#include "tensor.h"

#include <stdatomic.h>
#include <string.h>

#define CT__LIKELY(x)   __builtin_expect(!!(x), 1)
#define CT__UNLIKELY(x) __builtin_expect(!!(x), 0)
#define CT__COUNT(a)    ((int)(sizeof(a) / sizeof((a)[0])))

/* ---- instruction sets ------------------------------------------------------------------------ */

/* The instruction sets that kernels are compiled for, the lowest first. */
#ifdef CT__X86_LEVELS
#define CT__ISA_LIST(X) X(v2) X(v3) X(v4) /* x86-64-v2, ... */
#else
#define CT__ISA_LIST(X) X(base)
#endif
/* name_v3, say: what a source that is compiled for each of them calls its results. */
#define CT__ISA_PASTE(name, isa) name##_##isa
#define CT__ISA_NAME(name, isa)  CT__ISA_PASTE(name, isa)
/* name_f32_v3: where it is compiled for each float type too. */
#define CT__TYPE_NAME(name) CT__ISA_NAME(CT__ISA_NAME(name, CT__TYPE), CT__ISA)

/* ---- memory: ct__alloc and ct__free are in alloc.h ------------------------------------------- */

/* Asks for huge pages under a block (os.c). */
void ct__use_huge_pages(void *block, size_t bytes);
/* false on overflow or a negative factor */
bool ct__mul_size(int64_t a, int64_t b, int64_t *product);

/* ---- errors (error.c) ------------------------------------------------------------------------ */

/* The funnel. Keeps the first error of the thread; ct__fail_status replaces it (for functions that
 * return no tensor). */
ct_status ct__fail(ct_status code, const char *format, ...) CT_PRINTF(2, 3);
ct_status ct__fail_status(ct_status code, const char *format, ...) CT_PRINTF(2, 3);
/* fails and returns nil */
ct_tensor *ct__nil(ct_status code, const char *format, ...) CT_PRINTF(2, 3);
/* Around a status function that is made of functions which keep the first error: an error that was
 * pending before is kept on success and replaced by the first new one. who: for CT_ENOMEM. */
bool ct__status_begin(void);
bool ct__status_failed(void); /* an error has come up since then */
ct_status ct__status_end(const char *who, bool was, ct_status status);
/* The pending error, or CT_ENIL naming who; for functions given a nil. */
ct_status ct__pending(const char *who);
/* CT_ENOMEM, after an allocation that failed; says who wanted the memory if nobody has. */
ct_status ct__out_of_memory(const char *who);

/* First in a function that is made of public ones: until it returns, errors have its name instead
 * of theirs, which a caller does not know. In one that calls another the outer name counts. */
#define CT__COMPOSITION(name)                                                                      \
  __attribute__((unused, cleanup(ct__composition_end))) const char *outer_composition =            \
      ct__composition_begin(name)
extern _Thread_local const char *ct__composition; /* whose name errors have; NULL: their own */
static inline const char *ct__composition_begin(const char *name) {
  const char *outer = ct__composition;
  if (!outer) ct__composition = name;
  return outer;
}
static inline void ct__composition_end(const char *const *outer) { ct__composition = *outer; }

/* ---- buffers --------------------------------------------------------------------------------- */

/* Gives up one reference; true if it was the only one. A sole owner needs no locked instruction:
 * nobody else is there to add a reference. */
static inline bool ct__last(atomic_int *refs) {
  return atomic_load_explicit(refs, memory_order_acquire) == 1 ||
         atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

typedef struct ct_buffer {
  atomic_int refs;
  bool read_only;
  bool foreign; /* the user's memory */
  bool inside;  /* part of the block of the tensor that was made with it */
  size_t bytes;
  char *data;
  uint64_t version;       /* counts the writes since birth */
  const char *written_by; /* who wrote last, for CT_ESTALE */
  void (*release)(void *payload);
  void *payload;
} ct_buffer;

enum { CT__INSIDE = 64 }; /* bytes of numbers that lie in one block with their tensor, at most */

ct_buffer *ct__buffer_new(size_t bytes);
void ct__buffer_unref(ct_buffer *b);

/* ---- tensors --------------------------------------------------------------------------------- */

/* How a tensor was made. The core counts and releases it; autograd knows the rest. It owns `in` and
 * `extra`, and points weakly to its outputs, each of which owns it: no cycle can exist. */
typedef struct ct_recipe {
  atomic_int refs;
  int n_in, n_out, n_extra;
  ct_tensor **in, **out, **extra;
  ct_tensor *home;                     /* in whose block it lies; NULL: one of its own */
  void (*destroy)(struct ct_recipe *); /* what is to do after the tensors are gone, or NULL */
} ct_recipe;

enum {
  CT__RECORDED = 1,    /* depends on a variable or placeholder */
  CT__VARIABLE = 2,    /* a leaf that ct_assign may write */
  CT__PLACEHOLDER = 4, /* a leaf without a value */
  CT__CUT = 8,         /* made from recorded tensors while recording was off */
  CT__SCOPED = 16,     /* in the list of a scope */
};

/* What starts as zero is whole words in a row: compilers set it at once, and a processor can read a
 * word back before it is in the cache only if it was written by one store. */
struct ct_tensor {
  atomic_int refs;
  unsigned bytes;    /* of its block */
  ct_buffer *buffer; /* NULL while symbolic */
  uint64_t stamp;    /* version of the buffer that this tensor stands for */
  ct_recipe *recipe; /* NULL for leaves and constants */
  ct_tensor *next;   /* in its scope's list, or in the work list of a release */
  unsigned flags;
  int out_index;
  ct_view v;
};

/* What lies in one block: numbers, if they are few, then the tensor with their buffer, then the
 * recipe, if there is room for one. It goes with the last of its parts. */
typedef struct ct__small {
  ct_tensor t;
  ct_buffer buffer;
} ct__small;
#define CT__SMALL_SIZE ((sizeof(ct__small) + 15) & ~(size_t)15)
static inline ct_buffer *ct__own_buffer(const ct_tensor *t) {
  return &((ct__small *)(uintptr_t)t)->buffer;
}
static inline void *ct__room(const ct_tensor *t) {
  return (char *)(uintptr_t)t + (t->buffer == ct__own_buffer(t) ? CT__SMALL_SIZE : sizeof *t);
}

extern ct_tensor ct__nil_tensor;
static inline bool ct__is_nil(const ct_tensor *t) { return t == &ct__nil_tensor; }

/* A node with its shape set and no buffer, one reference, owned by no scope, and with room for a
 * recipe in its block (ct__room). NULL on failure. */
ct_tensor *ct__tensor_new_with(size_t room, ct_dtype dtype, int ndim, const int64_t *dim);
/* The same with a fresh buffer, contiguous. NULL on failure. */
ct_tensor *ct__tensor_alloc_with(size_t room, ct_dtype dtype, int ndim, const int64_t *dim);
static inline ct_tensor *ct__tensor_new(ct_dtype dtype, int ndim, const int64_t *dim) {
  return ct__tensor_new_with(0, dtype, ndim, dim);
}
static inline ct_tensor *ct__tensor_alloc(ct_dtype dtype, int ndim, const int64_t *dim) {
  return ct__tensor_alloc_with(0, dtype, ndim, dim);
}
/* A node that shares t's buffer, version and layout: same numbers, no recipe, no flags. NULL on
 * failure. */
ct_tensor *ct__tensor_alias(const ct_tensor *t);
static inline void ct__ref(ct_tensor *t) {
  if (!ct__is_nil(t)) atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
}
void ct__tensor_free(ct_tensor *t); /* without references left; iterative, never allocates */
static inline void ct__unref(ct_tensor *t) {
  if (t && !ct__is_nil(t) && ct__last(&t->refs)) ct__tensor_free(t);
}
void ct__recipe_unref(ct_recipe *r);
/* Gives up the references of a scope's list to its first tensors, up to `until`. */
void ct__unref_list(ct_tensor **first, const ct_tensor *until);
/* CT_OK if t is a tensor, neither NULL nor nil. */
ct_status ct__check_tensor(const char *who, const char *name, const ct_tensor *t);
/* The same for each of a list. */
ct_status ct__check_list(const char *who, const char *name, ct_list l);
/* CT_OK if t is a live value: not NULL, not nil, not symbolic, not stale. Fails as a status
 * function named who. */
ct_status ct__check_value(const char *who, const ct_tensor *t);
/* The same for a function that returns a tensor: a pending error is kept. */
ct_status ct__check_operand(const char *who, const ct_tensor *t);
/* CT_OK if a write to t is allowed at all. */
ct_status ct__check_writable(const char *who, const ct_tensor *t);
/* Notes a write to t's buffer: restamps t, makes every other user of the old values stale. */
void ct__written(ct_tensor *t, const char *who);
static inline bool ct__stale(const ct_tensor *t) {
  return t->buffer && t->stamp != t->buffer->version;
}
/* ---- scopes (scope.c) ------------------------------------------------------------------------ */

typedef struct ct__scope {
  struct ct__scope *parent;
  uint64_t serial;
  int depth;
  bool recording;
  ct_tensor *first; /* the tensors it owns, one reference each */
} ct__scope;

typedef struct ct__scopes {
  ct__scope *top; /* NULL: the base */
  ct__scope base; /* owns what is made outside any scope */
} ct__scopes;
extern _Thread_local ct__scopes ct__thread_scopes;

static inline ct__scope *ct__scope_now(void) {
  ct__scopes *s = &ct__thread_scopes;
  return s->top ? s->top : &s->base;
}
static inline void ct__scope_add(ct__scope *s, ct_tensor *t) {
  t->next = s->first;
  s->first = t;
  t->flags |= CT__SCOPED;
}
/* Gives a fresh tensor to the current scope and returns it; NULL becomes nil. */
ct_tensor *ct__own_first(ct_tensor *t);
static inline ct_tensor *ct__own(ct_tensor *t) {
  ct__scope *s = ct__thread_scopes.top;
  if (CT__UNLIKELY(!t || !s)) return ct__own_first(t);
  ct__scope_add(s, t);
  return t;
}
/* True while no no-record scope is open on this thread. */
static inline bool ct__recording(void) { return ct__scope_now()->recording; }
bool ct__set_recording(bool on); /* for the engine; returns what it was */

/* What the current scope comes to own from here on, released at the end: a scope without a node of
 * its own, for the engine's inner loops. Scopes left open inside are closed. */
typedef struct ct__mark {
  ct_scope scope;
  ct_tensor *first;
} ct__mark;
static inline ct__mark ct__mark_begin(void) {
  ct__scope *s = ct__scope_now();
  return (ct__mark){{s->serial, s->depth}, s->first};
}
void ct__mark_release(ct__mark m);
static inline void ct__mark_end(ct__mark m) {
  const ct__scope *s = ct__scope_now();
  if (s->first != m.first || s->serial != m.scope.serial) ct__mark_release(m);
}
/* Takes t over from the scope if that came to own it since the mark and nobody else holds it. */
static inline bool ct__take(const ct__mark *m, ct_tensor *t) {
  if (atomic_load_explicit(&t->refs, memory_order_relaxed) != 1) return false;
  for (ct_tensor **at = &ct__scope_now()->first; *at && *at != m->first; at = &(*at)->next)
    if (*at == t) {
      *at = t->next;
      t->next = NULL;
      t->flags &= ~(unsigned)CT__SCOPED;
      return true;
    }
  return false;
}

static inline bool ct__is_float(ct_dtype d) { return d == CT_F32 || d == CT_F64; }

/* ct_dtype_size of a dtype that is known to be one. */
static inline size_t ct__item_size(ct_dtype d) {
  static const uint8_t size[CT_DTYPES] = {
      [CT_F32] = 4, [CT_F64] = 8, [CT_I32] = 4, [CT_U8] = 1, [CT_BOOL] = 1};
  return size[d];
}

/* ---- shapes (shape.c) ------------------------------------------------------------------------ */

/* "(2,3)" into text, always terminated; returns text. */
#define CT__SHAPE_TEXT 176
const char *ct__shape_text(char text[CT__SHAPE_TEXT], int ndim, const int64_t *dim);
/* Checks extents and their product (in elements and bytes). Fails with CT_EARG or CT_ESIZE. */
ct_status ct__shape_check(const char *who, ct_dtype dtype, int ndim, const int64_t *dim);
/* Sets dim, row-major strides, size, contiguous. The shape must have been checked. */
static inline void ct__view_set(ct_view *v, ct_dtype dtype, int ndim, const int64_t *dim) {
  v->dtype = dtype;
  v->ndim = ndim;
  v->contiguous = true;
  int64_t stride = 1, size = 1;
  for (int i = ndim - 1; i >= 0; i--) {
    v->dim[i] = dim[i];
    v->stride[i] = stride;
    size *= dim[i];
    stride *= dim[i] ? dim[i] : 1;
  }
  v->size = size;
}
/* ---- small tensors --------------------------------------------------------------------------- */

/* A tensor without a shape, `lead` bytes into a block. */
static inline ct_tensor *ct__tensor_in_block(size_t lead, size_t bytes) {
  char *block = ct__alloc(bytes);
  if (!block) return NULL;
  ct_tensor *t = (ct_tensor *)(void *)(block + lead);
  atomic_init(&t->refs, 1);
  t->flags = 0;
  t->buffer = NULL;
  t->stamp = 0;
  t->recipe = NULL;
  t->next = NULL;
  t->out_index = 0;
  t->bytes = (unsigned)bytes;
  return t;
}

/* As ct__tensor_alloc_with, the numbers in the block of the tensor: first, where they are aligned,
 * and with `lead` bytes, a multiple of 16. */
static inline ct_tensor *ct__small_alloc(size_t room, size_t lead, ct_dtype dtype, int ndim,
                                         const int64_t *dim) {
  ct_tensor *t = ct__tensor_in_block(lead, lead + CT__SMALL_SIZE + room);
  if (!t) return NULL;
  ct_buffer *b = ct__own_buffer(t);
  atomic_init(&b->refs, 1);
  b->read_only = b->foreign = false;
  b->inside = true;
  b->bytes = lead;
  b->data = (char *)t - lead;
  b->version = 0;
  ct__view_set(&t->v, dtype, ndim, dim);
  t->v.data = b->data;
  t->buffer = b;
  return t;
}

/* A single number. */
static inline ct_tensor *ct__tensor_number(size_t room, ct_dtype dtype) {
  return ct__small_alloc(room, 16, dtype, 0, NULL);
}

/* Recomputes size and contiguous from dim and stride. */
void ct__view_refresh(ct_view *v);
/* NumPy's rule; false if a and b do not broadcast together. */
bool ct__broadcast(ct_shape a, ct_shape b, ct_shape *out);
/* v seen with shape dim (same rank or higher), stride 0 where it is repeated; v must broadcast to
 * it. */
void ct__view_broadcast(const ct_view *v, int ndim, const int64_t *dim, ct_view *out);
/* Non-negative axis, or -1. */
int ct__axis(int axis, int ndim);
/* A loop, because most shapes are too short for a call. */
static inline bool ct__same_dims(int n, const int64_t *a, const int64_t *b) {
  for (int i = 0; i < n; i++)
    if (a[i] != b[i]) return false;
  return true;
}
static inline bool ct__same_shape(const ct_view *a, const ct_view *b) {
  return a->ndim == b->ndim && ct__same_dims(a->ndim, a->dim, b->dim);
}

/* Where element number `at` of n dimensions lies, in elements; they are counted row-major. */
static inline int64_t ct__offset_of(int n, const int64_t *dim, const int64_t *stride, int64_t at) {
  int64_t offset = 0;
  for (int d = n - 1; d >= 0; d--) {
    offset += at % dim[d] * stride[d];
    at /= dim[d];
  }
  return offset;
}

/* ---- iteration (iterate.c) ------------------------------------------------------------------- */

#define CT__MAX_OPERANDS 6

/* Elements to be folded into n accumulators: x[i * step + j * row_step] for j < rows goes into
 * number i. By columns each takes its elements in their order; else they are dealt to lanes. There
 * is room for a multiple of 16 accumulators. */
typedef struct ct__fold_block {
  int64_t n, step, rows, row_step;
  bool columns;
} ct__fold_block;

/* A reduction: accumulators, of at most 8 bytes each, start at the identity, take elements of x or
 * the accumulators of another part, and end as `n` results. */
typedef struct ct__reducer {
  void (*start)(int64_t n, void *acc);
  void (*fold)(const ct__fold_block *b, const char *x, void *acc);
  void (*merge)(int64_t n, void *acc, const void *part); /* NULL: all is folded in one go */
  void (*end)(int64_t n, const void *acc, char *y, int64_t y_stride, int64_t n_reduced);
} ct__reducer;
/* Reduces x over the axes of the bit mask into y, whose shape is x's with those axes of extent 1 or
 * left out. */
void ct__reduce(const ct_view *x, unsigned axes, ct_view *y, const ct__reducer *r);

/* Same dtype, src broadcasts to dst; they may overlap only if identical. */
void ct__copy(const ct_view *src, ct_view *dst);
/* Any dtype to any dtype: float to integer truncates and saturates, NaN to 0; to bool is x != 0. */
void ct__cast(const ct_view *src, ct_view *dst);
ct_loop *ct__cast_loop(ct_dtype from, ct_dtype to);
/* Those of an instruction set; NULL where numbers are copied. */
typedef struct ct__cast_loops {
  ct_loop *loop[CT_DTYPES][CT_DTYPES];
} ct__cast_loops;
#define CT__CASTS_OF(isa) extern const ct__cast_loops ct__casts_##isa;
CT__ISA_LIST(CT__CASTS_OF)
void ct__fill(ct_view *v, double value);
/* element at an offset in elements, as a double */
double ct__get(const ct_view *v, int64_t offset);

/* While on, the drivers of this thread take the plain path: element by element, no collapsing, no
 * BLAS. The oracle of every fast path. Returns what it was. */
bool ct__use_reference(bool on);
bool ct__reference(void);

/* ---- products: gemm.h ------------------------------------------------------------------------ */

CT__ISA_LIST(CT__GEMM_OF)

/* ---- random (random.c): value number i of a stream depends on key and i only ----------------- */

/* A key is 4 words: the Philox key and the stream, the upper half of its counter. */
/* out contiguous; [lo, hi) */
void ct__random_uniform(const int32_t key[4], ct_view *out, double lo, double hi);
/* out contiguous */
void ct__random_normal(const int32_t key[4], ct_view *out, double mean, double sd);
void ct__random_permutation(const int32_t key[4], int32_t *out, int64_t n);
/* the n-th child key, statistically independent */
void ct__key_fold(const int32_t key[4], int64_t n, int32_t out[4]);

/* ---- the operating system (os.c): the one place that calls it -------------------------------- */

extern atomic_int ct__isa_in_use; /* -1 before the first use */
int ct__isa_first(void);
/* The one in use, a position in that list: the best of this processor, or a lower one that the
 * environment variable CT_ISA names. */
static inline int ct__isa(void) {
  int isa = atomic_load_explicit(&ct__isa_in_use, memory_order_relaxed);
  return CT__LIKELY(isa >= 0) ? isa : ct__isa_first();
}
/* Another one for the whole process, for tests; false if the processor has not got it. */
bool ct__use_isa(int isa);
/* Position of the name in the list if it is at most best, else best. */
int ct__isa_named(const char *name, int best);
void ct__once(atomic_int *state, void (*init)(void)); /* runs init once per process, others wait */
void ct__at_thread_exit(void); /* ct__thread_end will run when this thread or the process ends */
void ct__thread_end(void);     /* releases the thread's scopes and lists (scope.c) */
/* Writes bytes to path through a temporary file beside it, fsync and rename: the old file or the
 * new one, never a mix. */
ct_status ct__write_file(const char *who, const char *path, const void *const *part,
                         const size_t *bytes, int n);
bool ct__is_folder(const char *path);
/* Calls visit for the name of every entry until it returns false. 0, or an errno (ENOMEM after a
 * false). */
int ct__each_entry(const char *dir, bool (*visit)(void *payload, const char *name), void *payload);

#endif
