/* chain.c - which operations are cheap, and the loops of the instruction set in use. */
#include "chain.h"

#define ENTRY(isa) &ct__chain_loops_##isa,
static const ct__chain_loops *const sets[] = {CT__ISA_LIST(ENTRY)};

void ct__chain_f32(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  sets[ct__isa()]->f32(n, p, s, attr);
}
void ct__chain_f64(int64_t n, char *const *p, const int64_t *s, const void *attr) {
  sets[ct__isa()]->f64(n, p, s, attr);
}

/* partial: -1 for the operation, else the input by which its derivative is taken. */
typedef struct row {
  const char *name;
  int partial;
  ct__cheap cheap;
} row;

#define UNARY(name, kind)                                                                          \
  {                                                                                                \
    name, -1, { 0, -1, CT__LINK_##kind, CT__LINKS }                                                \
  }
#define BINARY(name, kind, into)                                                                   \
  {                                                                                                \
    name, -1, { 0, 1, CT__LINK_##kind, CT__LINK_##into }                                           \
  }
static const row rows[] = {
    BINARY("add", ADD, ADD),
    BINARY("sub", SUB, SUB_FROM),
    BINARY("mul", MUL, MUL),
    BINARY("div", DIV, DIV_INTO),
    BINARY("mul0", MUL0, MUL0_INTO),
    UNARY("scale", SCALE),
    UNARY("shift", SHIFT),
    UNARY("neg", NEG),
    UNARY("square", SQUARE),
    UNARY("reciprocal", RECIPROCAL),
    UNARY("relu", RELU),
    {"relu", 0, {0, 2, CT__LINK_RELU_DX, CT__LINK_RELU_DX_INTO}}, /* of t, x, y */
    {"mul", 0, {0, 2, CT__LINK_MUL0, CT__LINK_MUL0_INTO}},        /* of t, a, b, y */
    {"mul", 1, {0, 1, CT__LINK_MUL0, CT__LINK_MUL0_INTO}},
};

static const ct_kernel *kernel[CT__COUNT(rows)];
static atomic_int found;

static void find_kernels(void) {
  for (int i = 0; i < ct_op_count(); i++)
    for (int r = 0; r < CT__COUNT(rows); r++)
      if (strcmp(ct_op_at(i)->name, rows[r].name) == 0) kernel[r] = ct_op_at(i)->kernel;
}

bool ct__chain_cheap(ct_loop *loop, ct_dtype dtype, ct__cheap *cheap) {
  if (!loop || (dtype != CT_F32 && dtype != CT_F64)) return false;
  ct__once(&found, find_kernels);
  for (int r = 0; r < CT__COUNT(rows); r++) {
    const row *w = &rows[r];
    ct_loop *of = w->partial < 0 ? kernel[r]->loop[dtype] : kernel[r]->partial[w->partial][dtype];
    if (of != loop) continue;
    *cheap = w->cheap;
    return true;
  }
  return false;
}
