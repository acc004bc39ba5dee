/* chain.c - which operations are cheap, which become one, and the loops of the instruction set in
 * use. */
#include "chain.h"

#include "../ops/kernels.h"

#define ENTRY(isa) {&ct__contracted_loops_##isa, &ct__chain_loops_##isa},
static const ct__chain_loops *const sets[][2] = {CT__ISA_LIST(ENTRY)};

#define LOOP(name, type, exact)                                                                    \
  static void name(int64_t n, char *const *p, const int64_t *s, const void *attr) {                \
    sets[ct__isa()][exact]->type(n, p, s, attr);                                                   \
  }
LOOP(exact_f32, f32, true)
LOOP(exact_f64, f64, true)
LOOP(contracted_f32, f32, false)
LOOP(contracted_f64, f64, false)

ct_loop *ct__chain_loop(ct_dtype dtype, bool exact) {
  if (exact) return dtype == CT_F32 ? exact_f32 : exact_f64;
  return dtype == CT_F32 ? contracted_f32 : contracted_f64;
}

bool ct__chain_is(ct_loop *loop) {
  return loop == exact_f32 || loop == exact_f64 || loop == contracted_f32 || loop == contracted_f64;
}

/* partial: -1 for the operation, else the input by which its derivative is taken. */
typedef struct row {
  const ct_op *op;
  int partial;
  ct__cheap cheap;
} row;

#define UNARY(name, kind)                                                                          \
  {                                                                                                \
    &ct__##name##_op, -1, { 0, -1, CT__LINK_##kind, CT__LINKS }                                    \
  }
#define BINARY(name, kind, into)                                                                   \
  {                                                                                                \
    &ct__##name##_op, -1, { 0, 1, CT__LINK_##kind, CT__LINK_##into }                               \
  }
static const row rows[] = {
    BINARY(add, ADD, ADD),
    BINARY(sub, SUB, SUB_FROM),
    BINARY(mul, MUL, MUL),
    BINARY(div, DIV, DIV_INTO),
    BINARY(mul0, MUL0, MUL0_INTO),
    UNARY(scale, SCALE),
    UNARY(shift, SHIFT),
    UNARY(neg, NEG),
    UNARY(square, SQUARE),
    UNARY(reciprocal, RECIPROCAL),
    UNARY(relu, RELU),
    {&ct__relu_op, 0, {0, 2, CT__LINK_RELU_DX, CT__LINK_RELU_DX_INTO}}, /* of t, x, y */
    {&ct__mul_op, 0, {0, 2, CT__LINK_MUL0, CT__LINK_MUL0_INTO}},        /* of t, a, b, y */
    {&ct__mul_op, 1, {0, 1, CT__LINK_MUL0, CT__LINK_MUL0_INTO}},
};

bool ct__chain_cheap(ct_loop *loop, ct_dtype dtype, ct__cheap *cheap) {
  if (!loop || (dtype != CT_F32 && dtype != CT_F64)) return false;
  for (int r = 0; r < CT__COUNT(rows); r++) {
    const row *w = &rows[r];
    const ct_kernel *k = w->op->kernel;
    ct_loop *of = w->partial < 0 ? k->loop[dtype] : k->partial[w->partial][dtype];
    if (of != loop) continue;
    *cheap = w->cheap;
    return true;
  }
  *cheap = (ct__cheap){0, -1, CT__LINK_CALL, CT__LINKS};
  return ct__row_of_vectors(ct__row_of(loop));
}

/* ---- operands -------------------------------------------------------------------------------- */

static bool has_operand(int kind) {
#define WITH(name, ...) [CT__LINK_##name] = true,
  static const bool with[CT__LINK_KINDS] = {CT__CHAIN_WITH(WITH)};
#undef WITH
  return with[kind];
}

void ct__chain_finish(ct__chain *c) {
  int x = -1;
  for (ct__link *l = c->link; l < c->link + c->n; l++) {
    if (l->c_times) c->numbers |= 1u << (l->c_times - 1);
    if (l->d_times) c->numbers |= 1u << (l->d_times - 1);
    if (l->kind == CT__LINK_CALL) {
      c->calls++;
      x = -1; /* no register keeps its number */
    }
    l->vectors = l->kind;
    if (!has_operand(l->kind)) continue;
    if (l->x == x) l->vectors += CT__LINK_KINDS;
    x = l->x;
  }
  c->link[c->n].vectors = CT__LINK_END;
}

bool ct__chain_with_number(ct__link *l, int position) {
  static const struct {
    ct__link_kind kind;
    ct__link with; /* c_times and d_times: whether */
  } table[] = {{CT__LINK_ADD, {.kind = CT__LINK_SHIFT, .c_times = 1, .c = 1}},
               {CT__LINK_SUB, {.kind = CT__LINK_SHIFT, .c_times = 1, .c = -1}},
               {CT__LINK_SUB_FROM, {.kind = CT__LINK_SCALE_SHIFT, .d_times = 1, .c = -1, .d = 1}},
               {CT__LINK_MUL, {.kind = CT__LINK_SCALE, .c_times = 1, .c = 1}},
               {CT__LINK_MUL0, {.kind = CT__LINK_SCALE0, .c_times = 1, .c = 1}},
               {CT__LINK_DIV, {.kind = CT__LINK_OVER, .c_times = 1, .c = 1}}};
  for (int r = 0; r < CT__COUNT(table); r++) {
    if ((int)table[r].kind != l->kind) continue;
    const ct__link *with = &table[r].with;
    l->kind = with->kind;
    l->c = with->c;
    l->d = with->d;
    l->c_times = (unsigned char)(with->c_times * (position + 1));
    l->d_times = (unsigned char)(with->d_times * (position + 1));
    return true;
  }
  return false;
}

/* ---- a product and a sum --------------------------------------------------------------------- */

typedef struct contraction {
  ct__link_kind product, sum, both;
  double sign; /* of the constant factor: so -c a + x stands for x - c a */
} contraction;

static const contraction *find(const contraction *of, int n, int product, const ct__link *sum) {
  for (int r = 0; r < n; r++)
    if ((int)of[r].product == product && (int)of[r].sum == sum->kind) return &of[r];
  return NULL;
}

#define ROW(product, sum, both, sign)                                                              \
  { CT__LINK_##product, CT__LINK_##sum, CT__LINK_##both, sign }

bool ct__chain_contract(ct__link *product, const ct__link *sum) {
  static const contraction behind[] = {
      ROW(MUL, ADD, MUL_ADD, 1),           ROW(MUL, SUB, MUL_SUB, 1),
      ROW(MUL, SUB_FROM, MUL_SUB_FROM, 1), ROW(MUL, SHIFT, MUL_SHIFT, 1),
      ROW(SCALE, ADD, SCALE_ADD, 1),       ROW(SCALE, SUB, SCALE_SUB, 1),
      ROW(SCALE, SUB_FROM, SCALE_ADD, -1), ROW(SCALE, SHIFT, SCALE_SHIFT, 1),
      ROW(SQUARE, ADD, SQUARE_ADD, 1),     ROW(SQUARE, SHIFT, SQUARE_SHIFT, 1),
  };
  const contraction *w = find(behind, CT__COUNT(behind), product->kind, sum);
  if (!w) return false;
  if (w->product == CT__LINK_MUL)
    product->y = sum->x;
  else
    product->x = sum->x;
  product->kind = (unsigned char)w->both;
  product->c *= w->sign;
  product->d = sum->c;
  product->d_times = sum->c_times;
  return true;
}

bool ct__chain_take_in(ct__link_kind product, ct__link *sum) {
  static const contraction taken[] = {ROW(MUL, ADD, ADD_MUL, 1),
                                      ROW(MUL, SUB, SUB_MUL, 1),
                                      ROW(MUL, SUB_FROM, SUB_FROM_MUL, 1),
                                      ROW(MUL0, ADD, ADD_MUL0, 1),
                                      ROW(MUL0_INTO, ADD, ADD_MUL0, 1),
                                      ROW(SCALE, ADD, ADD_SCALED, 1),
                                      ROW(SCALE, SUB, ADD_SCALED, -1),
                                      ROW(SCALE, SUB_FROM, SUB_FROM_SCALED, 1),
                                      ROW(SQUARE, ADD, ADD_MUL, 1),
                                      ROW(SQUARE, SUB, SUB_MUL, 1),
                                      ROW(SQUARE, SUB_FROM, SUB_FROM_MUL, 1)};
  const contraction *w = find(taken, CT__COUNT(taken), (int)product, sum);
  if (!w) return false;
  sum->kind = (unsigned char)w->both;
  sum->c *= w->sign;
  return true;
}
