/* product.c - matrix products that do more: what follows them elementwise runs on each block while
 * it is in cache, and an update by a product is added to the variable by the product itself.
 *
 *   product      y = chain(alpha a b, more inputs)
 *   product_add  y = c + alpha s a b, in c's memory where c is not needed any more
 */
#include "product.h"

/* ---- product --------------------------------------------------------------------------------- */

static ct_status product_infer(const ct_call *c, ct_spec *out) {
  const ct__product_attr *f = c->attr;
  const ct_view *a = ct__in(c, 0), *b = ct__in(c, 1);
  if (a->ndim != 2 || b->ndim != 2 || a->dim[1] != b->dim[0])
    return ct_fail(c, CT_ESHAPE, "want matrices (m,k) and (k,n)");
  for (int o = 0; o < c->n_out; o++) {
    out[o].dtype = f->tile ? f->tile->dtype[f->tile->out[o]] : a->dtype;
    out[o].shape = CT_SHAPE(a->dim[0], b->dim[1]);
  }
  return CT_OK;
}

/* The block of v, which broadcasts to a matrix of the shape of all. */
static void block_of(const ct_view *v, const ct_view *all, const int64_t corner[2],
                     const int64_t extent[2], ct_view *out) {
  ct__view_broadcast(v, 2, all->dim, out);
  int64_t from = corner[0] * out->stride[0] + corner[1] * out->stride[1];
  out->data += from * (int64_t)ct__item_size(v->dtype);
  memcpy(out->dim, extent, 2 * sizeof *extent);
  ct__view_refresh(out);
}

void ct__product_finish(void *context, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  const ct_eval *e = context;
  const ct__product_attr *f = e->attr;
  const int64_t corner[2] = {row, column}, extent[2] = {rows, columns};
  ct_view in[CT__CHAIN_IN], out[CT__CHAIN_OUT], *out_at[CT__CHAIN_OUT];
  const ct_view *in_at[CT__CHAIN_IN], *c = e->out[0];
  for (int i = 0, from = 2; i < f->tile->n_in; i++) in_at[i] = i == f->hole ? c : e->in[from++];
  if (rows == c->dim[0] && columns == c->dim[1]) {
    ct__tile_run(f->tile, in_at, e->out, NULL);
    return;
  }
  for (int i = 0; i < f->tile->n_in; i++) {
    block_of(in_at[i], c, corner, extent, &in[i]);
    in_at[i] = &in[i];
  }
  for (int o = 0; o < e->n_out; o++) {
    block_of(e->out[o], c, corner, extent, &out[o]);
    out_at[o] = &out[o];
  }
  ct__tile_run(f->tile, in_at, out_at, NULL);
}

static ct_status product_eval(const ct_eval *e) {
  const ct__product_attr *f = e->attr;
  const ct__gemm_plan *plan = f->plan;
  ct__gemm_plan leaving;
  if (ct__bound_leaves(f->bound, e->in[0], e->in[1])) {
    leaving = *plan;
    leaving.p.leaves = true;
    plan = &leaving;
  }
  return ct__gemm_run(plan, e->work, f->alpha, e->in[0], e->in[1], 0, e->out[0],
                      f->tile ? ct__product_finish : NULL, (void *)(uintptr_t)e);
}

/* Packing takes place in the arena: a product must not fail between two updates. */
static size_t product_work(const ct_call *c) {
  const ct_view *a = ct__in(c, 0), *b = ct__in(c, 1);
  ct__gemm_plan *plan = ((const ct__product_attr *)c->attr)->plan;
  ct_view y;
  ct__view_set(&y, a->dtype, 2, (const int64_t[]){a->dim[0], b->dim[1]});
  ct__gemm_plan_set(plan, a, b, &y);
  return ct__gemm_work(plan);
}

const ct_op ct__product_op = {CT_OP,
                              .name = "product",
                              .doc = "y = a b, and a chain of elementwise operations on it",
                              .n_in = CT_VARIADIC,
                              .n_out = CT_VARIADIC,
                              .attr_size = sizeof(ct__product_attr),
                              .infer = product_infer,
                              .work = product_work,
                              .eval = product_eval};

/* ---- product_add ----------------------------------------------------------------------------- */

static ct_status add_infer(const ct_call *c, ct_spec *out) {
  const ct_view *a = ct__in(c, 0), *b = ct__in(c, 1), *y = ct__in(c, 2);
  if (a->ndim != 2 || b->ndim != 2 || y->ndim != 2 || a->dim[1] != b->dim[0] ||
      a->dim[0] != y->dim[0] || b->dim[1] != y->dim[1])
    return ct_fail(c, CT_ESHAPE, "want matrices (m,k), (k,n) and (m,n)");
  ct__spec_set(out, y->dtype, 2, y->dim);
  return CT_OK;
}

static ct_status add_eval(const ct_eval *e) {
  const ct__product_add_attr *f = e->attr;
  double alpha = ct__product_add_scale(f, e->n_in, e->in);
  ct__bound_grow(f->bound, alpha, e->in[0], e->in[1]);
  if (e->out[0]->data != e->in[2]->data) ct__copy(e->in[2], e->out[0]);
  return ct__gemm_run(f->plan, e->work, alpha, e->in[0], e->in[1], 1, e->out[0], NULL, NULL);
}

/* In c's memory or, contiguous, in another place. */
static size_t add_work(const ct_call *c) {
  const ct_view *a = ct__in(c, 0), *b = ct__in(c, 1), *y = ct__in(c, 2);
  ct__gemm_plan *plan = ((const ct__product_add_attr *)c->attr)->plan;
  size_t fresh_bytes = 0;
  if (!y->contiguous) {
    ct_view fresh;
    ct__view_set(&fresh, y->dtype, 2, y->dim);
    ct__gemm_plan_set(plan, a, b, &fresh);
    fresh_bytes = ct__gemm_work(plan);
  }
  ct__gemm_plan_set(plan, a, b, y);
  size_t bytes = ct__gemm_work(plan);
  return bytes > fresh_bytes ? bytes : fresh_bytes;
}

const ct_op ct__product_add_op = {CT_OP,
                                  .name = "product_add",
                                  .doc = "y = c + alpha s a b",
                                  .n_in = CT_VARIADIC,
                                  .inplace = 4,
                                  .attr_size = sizeof(ct__product_add_attr),
                                  .infer = add_infer,
                                  .work = add_work,
                                  .eval = add_eval};

/* How it is done, found once memory is planned: it depends on shapes and strides only. */
static ct__gemm_plan *new_plan(ct_program *p) { return ct__zone_alloc(p, sizeof(ct__gemm_plan)); }

/* ---- updates: variable +- s product ---------------------------------------------------------- */

typedef struct finder {
  ct_program *p;
  int *uses, *maker;
} finder;

static bool finder_begin(finder *f, ct_program *p) {
  f->p = p;
  f->uses = ct__program_uses(p);
  f->maker = ct__program_makers(p);
  return f->uses && f->maker;
}

/* The instruction of that operation that makes value i, if nobody else reads what it makes. */
static ct__instr *only_for(const finder *f, int i, const ct_op *op) {
  const ct__value *x = &f->p->value[i];
  int k = f->maker[x->base];
  if (k < 0 || f->uses[x->base] != 1) return NULL;
  ct__instr *instr = &f->p->instr[k];
  return instr->op == op ? instr : NULL;
}

static bool is_matrix(const ct_program *p, int i) { return p->value[i].v.ndim == 2; }

/* Of two matrices; others stay what they are. */
static bool is_product(const ct_program *p, const ct__instr *k) {
  return k && k->op == &ct__matmul_op && is_matrix(p, k->arg[0]) && is_matrix(p, k->arg[1]);
}

/* A product whose transpose or itself value i is; *across: the transpose. */
static ct__instr *product_behind(const finder *f, int i, bool *across) {
  const ct__value *x = &f->p->value[i], *base = ct__base(f->p, i);
  ct__instr *m = only_for(f, i, &ct__matmul_op);
  if (!is_product(f->p, m) || x->offset != 0 || x->v.ndim != 2) return NULL;
  *across = !ct__same_matrix(&x->v, &base->v, false);
  return !*across || ct__same_matrix(&x->v, &base->v, true) ? m : NULL;
}

static int transposed(ct_program *p, int i) {
  ct_view v = p->value[i].v;
  int64_t dim = v.dim[0], stride = v.stride[0];
  v.dim[0] = v.dim[1];
  v.stride[0] = v.stride[1];
  v.dim[1] = dim;
  v.stride[1] = stride;
  ct__view_refresh(&v);
  return ct__value_alias(p, i, 0, &v);
}

/* value = s g, g / s being a product: *g and *s (-1 for none), alpha the constant factor. */
static ct__instr *scaled_product(const finder *f, int value, double *alpha, int *s, int *g) {
  ct__instr *k = only_for(f, value, &ct__scale_op);
  *s = -1;
  *alpha = 1;
  if (k) {
    *alpha = *(const double *)k->attr;
    *g = k->arg[0];
    return k;
  }
  k = only_for(f, value, &ct__mul_op);
  if (!k) return NULL;
  bool first = f->p->value[k->arg[0]].v.size == 1;
  *s = k->arg[!first];
  *g = k->arg[first];
  return f->p->value[*s].v.size == 1 ? k : NULL;
}

/* Instruction k, variable - s product or the like, as one product_add; no change if it is not. */
static ct_status fold_update(finder *f, int k) {
  ct_program *p = f->p;
  ct__instr *instr = &p->instr[k];
  bool minus = instr->op == &ct__sub_op;
  if (!minus && instr->op != &ct__add_op) return CT_OK;
  const ct__value *variable = &p->value[instr->arg[0]];
  if (variable->home != CT__CAPTURED || !(variable->tensor->flags & CT__VARIABLE)) return CT_OK;
  double alpha;
  int s, g;
  bool across;
  ct__instr *scale = scaled_product(f, instr->arg[1], &alpha, &s, &g);
  ct__instr *m = scale ? product_behind(f, g, &across) : NULL;
  int out = ct__outs(instr)[0]; /* one element of s may have more axes than the variable */
  if (!m || !ct__same_shape(&p->value[g].v, &variable->v) ||
      !ct__same_shape(&p->value[out].v, &variable->v))
    return CT_OK;
  int in[4] = {m->arg[0], m->arg[1], instr->arg[0], s};
  if (across) {
    in[0] = transposed(p, m->arg[1]);
    in[1] = transposed(p, m->arg[0]);
    if (in[0] < 0 || in[1] < 0) return CT_ENOMEM;
  }
  ct__product_add_attr attr = {.alpha = minus ? -alpha : alpha, .plan = new_plan(p)};
  bool made =
      attr.plan && ct__instr_replace(p, k, &ct__product_add_op, &attr, s < 0 ? 3 : 4, in, 1, &out);
  return made ? CT_OK : CT_ENOMEM;
}

ct_status ct__pass_updates(ct_program *p) {
  finder f;
  if (!finder_begin(&f, p)) return CT_ENOMEM;
  ct_status status = CT_OK;
  for (int k = 0; k < p->n_instrs && status == CT_OK; k++) status = fold_update(&f, k);
  return status == CT_OK ? ct__pass_dead(p) : status;
}

/* ---- chains behind products ------------------------------------------------------------------ */

/* Instruction k as a chain, NULL if it cannot be one; false when memory ran out. */
static bool find_chain(ct_program *p, const ct__instr *k, const ct__call_room *room,
                       const ct__tile **tile) {
  ct_call c = ct__instr_call(p, k, room);
  ct__loop_call l;
  *tile = k->op == &ct__fused_op ? ((const ct__fused *)k->attr)->tile : NULL;
  ct_loop *loop = *tile || k->n_out != 1 ? NULL : ct__elementwise_loop(&c, &l);
  if (!loop) return true;
  ct__tile *t = ct__zone_alloc(p, sizeof *t);
  ct__tile_step *step = ct__zone_alloc(p, sizeof *step);
  ct_dtype *dtype = ct__zone_alloc(p, (size_t)(k->n_in + 1) * sizeof *dtype);
  int *out = ct__zone_alloc(p, sizeof *out);
  if (!t || !step || !dtype || !out) return false;
  for (int i = 0; i <= k->n_in; i++) dtype[i] = p->value[k->arg[i]].v.dtype;
  *step = (ct__tile_step){.loop = loop, .attr = l.attr, .n = l.n};
  memcpy(step->reg, l.operand, sizeof l.operand);
  step->reg[l.n] = *out = k->n_in;
  *t = (ct__tile){.n_in = k->n_in,
                  .n_out = 1,
                  .n_steps = 1,
                  .n_reg = k->n_in + 1,
                  .step = step,
                  .dtype = dtype,
                  .out = out};
  *tile = t;
  return true;
}

/* Instruction k becomes a product. */
static ct_status become(ct_program *p, int k, ct__product_attr attr, int n_in, const int *in) {
  attr.alpha = 1;
  attr.plan = new_plan(p);
  bool made = attr.plan && ct__instr_replace(p, k, &ct__product_op, &attr, n_in, in, attr.n_out,
                                             ct__outs(&p->instr[k]));
  return made ? CT_OK : CT_ENOMEM;
}

/* The input of k that a product makes for k alone, of the shape of k's results; or -1. */
static int product_input(const finder *f, const ct__instr *k) {
  const ct_view *y = &f->p->value[ct__outs(k)[0]].v;
  for (int i = 0; i < k->n_in; i++) {
    int x = k->arg[i];
    if (f->p->value[x].base != x || !ct__same_shape(&f->p->value[x].v, y) || y->ndim != 2) continue;
    if (is_product(f->p, only_for(f, x, &ct__matmul_op))) return i;
  }
  return -1;
}

/* The product and what follows it become one instruction, in the place of what follows. */
static ct_status absorb(finder *f, int k, const ct__call_room *room) {
  ct_program *p = f->p;
  ct__instr *instr = &p->instr[k];
  ct__product_attr attr = {.n_out = instr->n_out, .hole = product_input(f, instr)};
  if (attr.hole < 0 || instr->n_in > CT__CHAIN_IN || instr->n_out > CT__CHAIN_OUT) return CT_OK;
  if (!find_chain(p, instr, room, &attr.tile)) return CT_ENOMEM;
  int x = instr->arg[attr.hole];
  if (!attr.tile || p->value[ct__outs(instr)[0]].v.dtype != p->value[x].v.dtype) return CT_OK;
  ct__instr *m = &p->instr[f->maker[x]];
  int in[CT__CHAIN_IN + 1] = {m->arg[0], m->arg[1]}, n = 2;
  for (int i = 0; i < instr->n_in; i++)
    if (i != attr.hole) in[n++] = instr->arg[i];
  m->op = NULL;
  if (!instr->steps) instr->steps = ct__step_names(p, 1, &k);
  return instr->steps ? become(p, k, attr, n, in) : CT_ENOMEM;
}

ct_status ct__pass_products(ct_program *p) {
  finder f;
  ct__call_room room;
  if (!finder_begin(&f, p) || !ct__call_room_new(p, &room)) return CT_ENOMEM;
  ct_status status = CT_OK;
  for (int k = 0; k < p->n_instrs && status == CT_OK; k++)
    if (p->instr[k].op && (p->instr[k].op->flags & CT_ELEMENTWISE)) status = absorb(&f, k, &room);
  ct__program_compact(p);
  for (int k = 0; k < p->n_instrs && status == CT_OK; k++) /* what nothing follows */
    if (is_product(p, &p->instr[k]))
      status = become(p, k, (ct__product_attr){.n_out = 1}, 2, p->instr[k].arg);
  return status;
}
