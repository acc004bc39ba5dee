/* chain.h - several cheap operations in one loop: from one to the next the numbers stay in vector
 * registers, where a tile's step would store and load them.
 */
#ifndef COTANGENT_CHAIN_H
#define COTANGENT_CHAIN_H

#include "../autograd_internal.h"

/* y in terms of the result so far, a; of an operand, x; of a constant, c. The same expressions as
 * in the loops of the operations, so the same bits. ZERO(condition, y) is 0 where that holds, else
 * y.
 */
// clang-format off
#define CT__CHAIN_LIST(X)                                                                          \
  X(LOAD, x)           X(ADD, a + x)             X(SUB, a - x)                 X(SUB_FROM, x - a)  \
  X(MUL, a * x)        X(DIV, a / x)             X(DIV_INTO, x / a)                                \
  X(MUL0, ZERO(a == 0, a * x))                   X(MUL0_INTO, ZERO(x == 0, x * a))                 \
  X(SCALE, c * a)      X(SHIFT, c + a)           X(NEG, -a)                    X(SQUARE, a * a)    \
  X(RECIPROCAL, 1 / a) X(RELU, ZERO(a <= 0, a))                                                    \
  X(RELU_DX, ZERO(a == 0, a * SIGN(x)))          X(RELU_DX_INTO, ZERO(x == 0, x * SIGN(a)))
// clang-format on

typedef enum ct__link_kind {
#define KIND(name, ...) CT__LINK_##name,
  CT__CHAIN_LIST(KIND)
#undef KIND
      CT__LINKS
} ct__link_kind;

typedef struct ct__link {
  unsigned char kind, operand; /* the position of x among those of the loop */
  double constant;
} ct__link;

enum { CT__CHAIN_LENGTH = 64, CT__TILE_OPERANDS = 12 }; /* at most */

/* The attributes of the loops below. The first link loads. */
typedef struct ct__chain {
  int n, result; /* links; operands, the result lies behind them */
  ct__link link[CT__CHAIN_LENGTH];
} ct__chain;

/* Every operand lies in order: the strides are not looked at. */
ct_loop ct__chain_f32, ct__chain_f64;

/* Those of one instruction set (kernels/chain.c). */
typedef struct ct__chain_loops {
  ct_loop *f32, *f64;
} ct__chain_loops;
#define CT__CHAIN_LOOPS_OF(isa) extern const ct__chain_loops ct__chain_loops_##isa;
CT__ISA_LIST(CT__CHAIN_LOOPS_OF)

/* How a loop is a link: operand left is a and operand right, if there is one, x; or the other way
 * round, with kind into (CT__LINKS: not possible). */
typedef struct ct__cheap {
  int left, right; /* right: -1 for none */
  ct__link_kind kind, into;
} ct__cheap;
bool ct__chain_cheap(ct_loop *loop, ct_dtype dtype, ct__cheap *cheap);

#endif
