/* program.c - building blocks of programs: memory, values, instructions. */
#include "program.h"

/* ---- zones: memory taken piece by piece and given back at once ------------------------------- */

struct ct__zone_block {
  ct__zone_block *next;
  size_t bytes, used;
};

enum { ZONE_BLOCK = 4096, ALIGNMENT = 16, HEAD = 32 }; /* the head is part of a block */

/* What is large gets a block of its own, behind the one that is being filled. */
static void *zone_take(ct__zone_block **zone, size_t bytes) {
  bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
  const bool large = bytes > ZONE_BLOCK / 4;
  ct__zone_block *b = *zone;
  if (large || !b || b->bytes - b->used < bytes) {
    const size_t room = large ? HEAD + bytes : ZONE_BLOCK;
    ct__zone_block **at = large && b ? &b->next : zone;
    b = ct__alloc(room);
    if (!b) return NULL;
    *b = (ct__zone_block){*at, room, HEAD};
    *at = b;
  }
  void *block = (char *)b + b->used;
  b->used += bytes;
  return memset(block, 0, bytes);
}

static void zone_empty(ct__zone_block **zone) {
  for (ct__zone_block *b = *zone, *next; b; b = next) {
    next = b->next;
    ct__free(b, b->bytes);
  }
  *zone = NULL;
}

void *ct__zone_alloc(ct_program *p, size_t bytes) { return zone_take(&p->zone, bytes); }
void *ct__scratch_alloc(ct_program *p, size_t bytes) { return zone_take(&p->scratch, bytes); }
void ct__scratch_empty(ct_program *p) { zone_empty(&p->scratch); }

/* ---- arrays that grow and shrink ------------------------------------------------------------- */

void *ct__resized(void *array, int n, int *room, int want, size_t item) {
  void *copy = ct__alloc((size_t)want * item);
  if (!copy) return NULL;
  if (n > 0) memcpy(copy, array, (size_t)n * item);
  ct__free(array, (size_t)*room * item);
  *room = want;
  return copy;
}

/* Room for one more element. */
static void *grown(void *array, int n, int *room, size_t item) {
  return n < *room ? array : ct__resized(array, n, room, *room ? 2 * *room : 64, item);
}

/* ---- values ---------------------------------------------------------------------------------- */

static int value_add(ct_program *p, ct__value x) {
  ct__value *grew = grown(p->value, p->n_values, &p->room_values, sizeof *grew);
  if (!grew) return -1;
  p->value = grew;
  x.v.data = NULL;
  if (x.base < 0) x.base = p->n_values;
  x.result = -1;
  p->value[p->n_values] = x;
  return p->n_values++;
}

int ct__value_new(ct_program *p, ct_dtype dtype, int ndim, const int64_t *dim) {
  ct__value x = {.base = -1};
  ct__view_set(&x.v, dtype, ndim, dim);
  return value_add(p, x);
}

int ct__value_like(ct_program *p, int i) {
  const ct_view v = p->value[i].v;
  return ct__value_new(p, v.dtype, v.ndim, v.dim);
}

int ct__value_alias(ct_program *p, int of, int64_t offset, const ct_view *v) {
  return value_add(
      p, (ct__value){.v = *v, .base = p->value[of].base, .offset = p->value[of].offset + offset});
}

int ct__value_constant(ct_program *p, ct_tensor *t) {
  int i = value_add(p, (ct__value){.v = t->v, .base = -1, .home = CT__CAPTURED, .tensor = t});
  if (i >= 0) ct__ref(t);
  return i;
}

bool ct__value_number(const ct_program *p, int i, double *number) {
  const ct__value *x = &p->value[i], *base = ct__base(p, i);
  if (base->home != CT__CAPTURED || (base->tensor->flags & CT__VARIABLE) || x->v.size == 0)
    return false;
  ct_view v = x->v;
  v.data = base->tensor->v.data + x->offset;
  *number = ct__get(&v, 0);
  int64_t at[CT_MAX_DIMS] = {0};
  for (int64_t k = 0, offset = 0; k < v.size; k++) {
    if (ct__get(&v, offset) != *number) return false;
    for (int d = v.ndim - 1; d >= 0; d--) {
      offset += v.stride[d];
      if (++at[d] < v.dim[d]) break;
      offset -= v.dim[d] * v.stride[d];
      at[d] = 0;
    }
  }
  return true;
}

/* ---- instructions ---------------------------------------------------------------------------- */

static bool instr_make(ct_program *p, ct__instr *k, const void *attr, const int *in,
                       const int *out) {
  const size_t bytes = k->op->attr_size;
  k->arg = ct__zone_alloc(p, (size_t)(k->n_in + k->n_out) * sizeof *k->arg);
  void *copy = bytes > 0 ? ct__zone_alloc(p, bytes) : NULL;
  if (!k->arg || (bytes > 0 && !copy)) return false;
  if (k->n_in > 0) memcpy(k->arg, in, (size_t)k->n_in * sizeof *in);
  memcpy(k->arg + k->n_in, out, (size_t)k->n_out * sizeof *out);
  k->attr = copy ? memcpy(copy, attr, bytes) : NULL;
  return true;
}

bool ct__instr_new(ct_program *p, const ct_op *op, const void *attr, int n_in, const int *in,
                   int n_out, const int *out) {
  ct__instr k = {.op = op, .n_in = n_in, .n_out = n_out};
  ct__instr *grew = grown(p->instr, p->n_instrs, &p->room_instrs, sizeof *grew);
  if (!grew) return false;
  p->instr = grew;
  if (!instr_make(p, &k, attr, in, out)) return false;
  p->instr[p->n_instrs++] = k;
  return true;
}

bool ct__instr_replace(ct_program *p, int k, const ct_op *op, const void *attr, int n_in,
                       const int *in, int n_out, const int *out) {
  ct__instr made = {.op = op, .n_in = n_in, .n_out = n_out, .steps = p->instr[k].steps};
  if (!instr_make(p, &made, attr, in, out)) return false;
  p->instr[k] = made;
  return true;
}

const char *ct__step_names(ct_program *p, int n, const int *instr) {
  static const char more[] = " ...";
  enum { ROOM = 72 };
  char text[ROOM + sizeof more];
  size_t at = 0;
  for (int i = 0; i < n && at < ROOM; i++) {
    const ct__instr *k = &p->instr[instr[i]];
    const ct_op *of = ct__partial_of(k->op, k->attr);
    const char *name = (of ? of : k->op)->name;
    size_t size = strlen(name) + (i > 0) + (of != NULL);
    if (at + size < ROOM)
      snprintf(text + at, size + 1, "%s%s%s", i ? " " : "", name, of ? "'" : "");
    else
      memcpy(text + at, more, sizeof more);
    at += size;
  }
  size_t bytes = strlen(text) + 1;
  char *copy = ct__zone_alloc(p, bytes);
  return copy ? memcpy(copy, text, bytes) : NULL;
}

void ct__program_rename(ct_program *p, const int *to) {
  for (int k = 0; k < p->n_instrs; k++)
    for (int i = 0; i < p->instr[k].n_in; i++) p->instr[k].arg[i] = to[p->instr[k].arg[i]];
  for (int o = 0; o < p->n_out; o++) p->out[o] = to[p->out[o]];
  for (int u = 0; u < p->n_updates; u++) p->update[u].value = to[p->update[u].value];
}

void ct__program_compact(ct_program *p) {
  int n = 0;
  for (int k = 0; k < p->n_instrs; k++)
    if (p->instr[k].op) p->instr[n++] = p->instr[k];
  p->n_instrs = n;
}

void ct__count_use(const ct_program *p, int *uses, int i, int by) {
  uses[i] += by;
  if (ct__base_of(p, i) != i) uses[ct__base_of(p, i)] += by;
}

int *ct__program_uses(ct_program *p) {
  int *uses = ct__scratch_alloc(p, (size_t)p->n_values * sizeof *uses + 1);
  if (!uses) return NULL;
  for (int k = 0; k < p->n_instrs; k++)
    for (int i = 0; i < p->instr[k].n_in && p->instr[k].op; i++)
      ct__count_use(p, uses, p->instr[k].arg[i], 1);
  for (int o = 0; o < p->n_out; o++) ct__count_use(p, uses, p->out[o], 1);
  for (int u = 0; u < p->n_updates; u++) ct__count_use(p, uses, p->update[u].value, 1);
  return uses;
}

int *ct__program_makers(ct_program *p) {
  int *maker = ct__scratch_alloc(p, (size_t)p->n_values * sizeof *maker + 1);
  if (!maker) return NULL;
  for (int i = 0; i < p->n_values; i++) maker[i] = -1;
  for (int k = 0; k < p->n_instrs; k++)
    for (int o = 0; o < p->instr[k].n_out && p->instr[k].op; o++)
      maker[ct__outs(&p->instr[k])[o]] = k;
  return maker;
}

bool ct__call_room_new(ct_program *p, ct__call_room *room) {
  int widest = 1;
  for (int k = 0; k < p->n_instrs; k++)
    if (p->instr[k].n_in > widest) widest = p->instr[k].n_in;
  room->tensor = ct__scratch_alloc(p, (size_t)widest * sizeof *room->tensor);
  room->in = ct__scratch_alloc(p, (size_t)widest * sizeof *room->in);
  return room->tensor && room->in;
}

ct_call ct__instr_call(const ct_program *p, const ct__instr *k, const ct__call_room *room) {
  for (int i = 0; i < k->n_in; i++) {
    room->tensor[i].v = p->value[k->arg[i]].v;
    room->in[i] = &room->tensor[i];
  }
  return (ct_call){k->op, k->attr, k->n_in, k->n_out, room->in};
}

/* Asked with extents all of which differ, the result tells. */
bool ct__reduced_axes(const ct_call *c, unsigned *axes, bool *keepdims) {
  ct_view *x = &c->in[0]->v;
  const ct_view is = *x;
  ct_spec out;
  int64_t dim[CT_MAX_DIMS];
  for (int d = 0; d < is.ndim; d++) dim[d] = d + 2;
  ct__view_set(x, is.dtype, is.ndim, dim);
  bool found = c->op->infer(c, &out) == CT_OK;
  *x = is;
  if (!found) return false;
  *axes = 0;
  *keepdims = out.shape.n == is.ndim;
  for (int d = 0, o = 0; d < is.ndim; d++) {
    bool kept = o < out.shape.n && out.shape.dim[o] == d + 2;
    if (!kept) *axes |= 1u << d;
    o += kept || *keepdims;
  }
  return true;
}

/* ---- the end --------------------------------------------------------------------------------- */

ct_program *ct_program_keep(ct_program *p) {
  if (p) atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
  return p;
}

void ct_program_release(ct_program **at) {
  ct_program *p = at ? *at : NULL;
  if (!p) return;
  *at = NULL;
  if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1) return;
  ct__instances_free(p);
  for (int i = 0; i < p->n_values; i++) ct_release(&p->value[i].tensor);
  for (ct__held *h = p->held; h; h = h->next)
    if (h->op->attr_release) h->op->attr_release(h + 1);
  ct_function_release(&p->f);
  ct__free(p->value, (size_t)p->room_values * sizeof *p->value);
  ct__free(p->instr, (size_t)p->room_instrs * sizeof *p->instr);
  zone_empty(&p->scratch);
  zone_empty(&p->zone);
  ct__free(p, sizeof *p);
}
