/* sweep.c - one pass over a matrix instead of two.
 *
 * With a single example a layer's step is limited by reading its weight: once for the cotangent of
 * its input, y = a W, and again for the update by the outer product of a and u, what the layer has
 * read. Where a lies along contiguous rows of W, each is updated while the next one is read.
 *
 *   product_sweep   y = chain(alpha a b, more inputs), c' = c + alpha s a u or its transpose in c's
 *                   memory, which b sees too
 */
#include "sweep.h"

#include "../../tensor/pool.h"
#include "product.h"

enum {
  FAR = 512 << 10, /* bytes of a matrix that the second cache does not keep for long */
  NEAR = 64 << 10, /* of one that need not be read as a whole */
  BLOCK = 64 << 10,
  ROWS = 64, /* of a block, at least */
  MOST_IN = 2 + CT__CHAIN_IN + 4
};

#define ENTRY(isa) {ct__sweep_f32_##isa, ct__sweep_f64_##isa},
static ct__sweep_kernel *const kernels[][2] = {CT__ISA_LIST(ENTRY)};

typedef struct sweep {
  int n_out; /* first: see n_out of ct_op */
  int n_in;  /* of the product */
  ct__product_attr product;
  ct__product_add_attr add;
  bool across;    /* c is b transposed */
  bool masked;    /* y counts only where u is not 0 */
  int64_t blocks; /* of the columns of b */
} sweep;

static ct_call product_call(const ct_call *c) {
  const sweep *f = c->attr;
  return (ct_call){&ct__product_op, &f->product, f->n_in, f->product.n_out, c->in};
}

static ct_call add_call(const ct_call *c) {
  const sweep *f = c->attr;
  return (ct_call){&ct__product_add_op, &f->add, c->n_in - f->n_in, 1, c->in + f->n_in};
}

static ct_status sweep_infer(const ct_call *c, ct_spec *out) {
  const sweep *f = c->attr;
  const ct_call product = product_call(c), add = add_call(c);
  ct_status status = product.op->infer(&product, out);
  return status == CT_OK ? add.op->infer(&add, out + f->product.n_out) : status;
}

static double scale_of(const ct_eval *e) {
  const sweep *f = e->attr;
  return ct__product_add_scale(&f->add, e->n_in - f->n_in, e->in + f->n_in);
}

/* Columns from <= i < to of b, which are rows of the matrix in memory. */
static void run_columns(const ct_eval *e, int64_t from, int64_t to) {
  const sweep *f = e->attr;
  const ct_view *b = e->in[1], *const *in = e->in + f->n_in, *y = e->out[0];
  const ct_view *each = in[!f->across];
  int64_t item = (int64_t)ct__item_size(b->dtype), step = each->stride[!f->across];
  ct__sweep s = {.rows = to - from,
                 .columns = b->dim[0],
                 .w = b->data + from * b->stride[1] * item,
                 .a = e->in[0]->data,
                 .u = each->data + from * step * item,
                 .y = y->data + from * y->stride[1] * item,
                 .row = b->stride[1],
                 .u_step = step,
                 .y_step = y->stride[1],
                 .alpha = f->product.alpha,
                 .scale = scale_of(e),
                 .masked = f->masked};
  kernels[ct__isa()][b->dtype == CT_F64](&s);
}

static void run_block(void *context, int64_t block) {
  const ct_eval *e = context;
  const sweep *f = e->attr;
  int64_t n = e->in[1]->dim[1], from = n * block / f->blocks, to = n * (block + 1) / f->blocks;
  run_columns(e, from, to);
  ct_eval product = *e;
  product.attr = &f->product;
  product.n_out = f->product.n_out;
  if (f->product.tile) ct__product_finish(&product, 0, 1, from, to - from);
}

static ct_status sweep_eval(const ct_eval *e) {
  const sweep *f = e->attr;
  ct__bound_grow(f->add.bound, scale_of(e), e->in[f->n_in], e->in[f->n_in + 1]);
  ct__parallel(f->blocks, run_block, (void *)(uintptr_t)e);
  return CT_OK;
}

#define SWEEP(NAME, DOC)                                                                           \
  {                                                                                                \
    CT_OP, .name = NAME, .doc = DOC, .n_in = CT_VARIADIC, .n_out = CT_VARIADIC,                    \
           .attr_size = sizeof(sweep), .infer = sweep_infer, .eval = sweep_eval                    \
  }
const ct_op ct__sweep_op =
    SWEEP("product_sweep", "y = a b, and to the matrix of b an outer product is added");
const ct_op ct__masked_sweep_op =
    SWEEP("masked_sweep", "the same where the outer product is not 0");

/* ---- the pass -------------------------------------------------------------------------------- */

static bool reads(const ct_program *p, const ct__instr *k, int variable) {
  for (int i = 0; i < k->n_in && k->op; i++)
    if (ct__base_of(p, k->arg[i]) == variable) return true;
  return false;
}

/* The instruction before update j that reads the variable last, if j may take place at once behind
 * it: nothing in between can fail, or makes what j reads. */
static int reader_before(const ct_program *p, const int *maker, int j) {
  const ct__instr *add = &p->instr[j];
  int variable = ct__base_of(p, ct__outs(add)[0]), k = j - 1;
  for (; k >= 0 && !reads(p, &p->instr[k], variable); k--)
    if (p->instr[k].op && ct__can_fail(p->instr[k].op)) return -1;
  for (int i = 0; i < add->n_in; i++)
    if (maker[ct__base_of(p, add->arg[i])] >= k && ct__base_of(p, add->arg[i]) != variable)
      return -1;
  return k;
}

/* A contiguous row a, and a row or column of the same numbers. */
static bool same_vector(const ct_program *p, int a, int b, int dimension) {
  const ct__value *x = &p->value[a], *y = &p->value[b];
  return x->v.ndim == 2 && x->base == y->base && x->offset == y->offset && x->v.size == y->v.size &&
         x->v.stride[1] == 1 && y->v.stride[dimension] == 1;
}

/* Is y read only by the derivative of relu, which is 0 where value u is? */
static bool is_masked(const ct_program *p, const ct__instr *product, int u, int dimension) {
  const ct__product_attr *f = product->attr;
  ct__cheap by;
  if (!f->tile || f->tile->n_steps != 1) return false;
  const ct__tile_step *s = f->tile->step;
  if (!ct__chain_cheap(s->loop, f->tile->dtype[f->hole], &by) || by.kind != CT__LINK_RELU_DX)
    return false;
  int i = s->reg[by.right];
  return s->reg[by.left] == f->hole && i != f->hole &&
         same_vector(p, product->arg[2 + i - (i > f->hole)], u, dimension);
}

/* A row times all of the far matrix that is updated, whose columns are contiguous. */
static bool suits(const ct_program *p, const ct__instr *product, const ct__instr *add, sweep *f) {
  if (product->op != &ct__product_op) return false;
  int variable = ct__base_of(p, ct__outs(add)[0]);
  for (int i = 0; i < product->n_in; i++)
    if (i != 1 && ct__base_of(p, product->arg[i]) == variable) return false;
  const ct__value *b = &p->value[product->arg[1]], *c = &p->value[add->arg[2]];
  f->across = !ct__same_matrix(&c->v, &b->v, false);
  if (b->base != variable || b->offset != c->offset) return false;
  if (f->across && !ct__same_matrix(&c->v, &b->v, true)) return false;
  if (p->value[product->arg[0]].v.dim[0] != 1 || p->value[add->arg[0]].v.dim[1] != 1) return false;
  if (b->v.stride[0] != 1 || b->v.dim[0] == 1) return false;
  f->masked = is_masked(p, product, add->arg[!f->across], !f->across);
  int64_t blocks = (int64_t)(ct__value_bytes(b) / BLOCK), most = b->v.dim[1] / ROWS;
  f->blocks = blocks < most ? blocks : most;
  return ct__value_bytes(b) >= (f->masked ? NEAR : FAR) && f->blocks > 0 &&
         same_vector(p, product->arg[0], add->arg[f->across], f->across);
}

static ct_status join(ct_program *p, int k, int j, const sweep *f) {
  const ct__instr *product = &p->instr[k], *add = &p->instr[j];
  int in[MOST_IN], out[CT__CHAIN_OUT + 1];
  memcpy(in, product->arg, (size_t)product->n_in * sizeof *in);
  memcpy(in + product->n_in, add->arg, (size_t)add->n_in * sizeof *in);
  memcpy(out, ct__outs(product), (size_t)product->n_out * sizeof *out);
  out[product->n_out] = ct__outs(add)[0];
  p->instr[j].op = NULL;
  const ct_op *op = f->masked ? &ct__masked_sweep_op : &ct__sweep_op;
  return ct__instr_replace(p, k, op, f, product->n_in + add->n_in, in, f->n_out, out) ? CT_OK
                                                                                      : CT_ENOMEM;
}

ct_status ct__pass_sweeps(ct_program *p) {
  const int *maker = ct__program_makers(p);
  if (!maker) return CT_ENOMEM;
  ct_status status = CT_OK;
  for (int j = 0; j < p->n_instrs && status == CT_OK; j++) {
    const ct__instr *add = &p->instr[j];
    bool in_place = add->op == &ct__product_add_op &&
                    ct__base_of(p, ct__outs(add)[0]) == ct__base_of(p, add->arg[2]);
    int k = in_place ? reader_before(p, maker, j) : -1;
    if (k < 0) continue;
    const ct__instr *product = &p->instr[k];
    sweep f;
    memset(&f, 0, sizeof f);
    if (!suits(p, product, add, &f)) continue;
    f.product = *(const ct__product_attr *)product->attr;
    f.n_out = f.product.n_out + 1;
    f.n_in = product->n_in;
    f.add = *(const ct__product_add_attr *)add->attr;
    status = join(p, k, j, &f);
  }
  ct__program_compact(p);
  return status;
}
