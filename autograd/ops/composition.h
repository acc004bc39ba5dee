/* composition.h - the vocabulary of unary.def and binary.def as public operations: derivatives that
 * can be differentiated again. The twin of elementwise.h; included after the kernels of a file are
 * expanded. Expects `c`, the call, in scope. */
#undef K
#undef NEG
#undef ADD
#undef SUB
#undef MUL
#undef MUL0
#undef DIV
#undef POW
#undef GT
#undef EQ
#undef SIGN
#undef EXP
#undef LOG
#undef SQUARE
#undef RECIPROCAL
#undef SIN
#undef COS
#undef SIGMOID

#define K(value)      ct__constant_like(c->in[0], value)
#define NEG(x)        ct_neg(x)
#define ADD(a, b)     ct_add(a, b)
#define SUB(a, b)     ct_sub(a, b)
#define MUL(a, b)     ct_mul(a, b)
#define MUL0(a, b)    ct_mul0(a, b)
#define DIV(a, b)     ct_div(a, b)
#define POW(a, b)     ct_pow(a, b)
#define GT(a, b)      ct_cast(ct_gt(a, b), c->in[0]->v.dtype)
#define EQ(a, b)      ct_cast(ct_eq(a, b), c->in[0]->v.dtype)
#define SIGN(x)       ct_sign(x)
#define EXP(x)        ct_exp(x)
#define LOG(x)        ct_log(x)
#define SQUARE(x)     ct_square(x)
#define RECIPROCAL(x) ct_reciprocal(x)
#define SIN(x)        ct_sin(x)
#define COS(x)        ct_cos(x)
#define SIGMOID(x)    ct_sigmoid(x)
