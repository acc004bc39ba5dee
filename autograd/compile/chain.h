/* chain.h - several cheap operations in one loop: from one to the next the numbers stay in vector
 * registers, where a tile's step would store and load them. A function between them takes a group
 * of vectors at a time, through the first cache.
 */
#ifndef COTANGENT_CHAIN_H
#define COTANGENT_CHAIN_H

#include "../autograd_internal.h"

/* The next result in terms of the result so far, a; of operands, x and y; of constants, c and d.
 * ZERO(condition, b) is 0 where that holds, else b. The expressions are those of the loops of the
 * operations, so the same bits; in the second half of each list two of them are one link.
 */
// clang-format off
#define CT__CHAIN_ALONE(X)                                                                         \
  X(SCALE, c * a)              X(SHIFT, c + a)            X(NEG, -a)                               \
  X(SQUARE, a * a)             X(RECIPROCAL, 1 / a)       X(RELU, ZERO(a <= 0, a))                 \
  X(SCALE0, ZERO(a == 0, c * a))                          X(OVER, a / c)                           \
                                                                                                   \
  X(SCALE_SHIFT, c * a + d)    X(SQUARE_SHIFT, a * a + d)
#define CT__CHAIN_WITH(X)                                                                          \
  X(LOAD, x)                   X(ADD, a + x)                                                       \
  X(SUB, a - x)                X(SUB_FROM, x - a)         X(MUL, a * x)                            \
  X(MUL0, ZERO(a == 0, a * x)) X(MUL0_INTO, ZERO(x == 0, x * a))                                   \
  X(DIV, a / x)                X(DIV_INTO, x / a)                                                  \
  X(RELU_DX, ZERO(a == 0, a * SIGN(x)))                                                            \
  X(RELU_DX_INTO, ZERO(x == 0, x * SIGN(a)))                                                       \
                                                                                                   \
  X(MUL_ADD, a * x + y)        X(MUL_SUB, a * x - y)      X(MUL_SUB_FROM, y - a * x)               \
  X(SCALE_ADD, c * a + x)      X(SCALE_SUB, c * a - x)    X(SQUARE_ADD, a * a + x)                 \
  X(MUL_SHIFT, a * x + d)      X(ADD_SCALED, a + c * x)   X(SUB_FROM_SCALED, c * x - a)            \
  X(ADD_MUL, a + x * y)        X(SUB_MUL, a - x * y)      X(SUB_FROM_MUL, x * y - a)               \
  X(ADD_MUL0, a + ZERO(x == 0, x) * ZERO(x == 0, y))
// clang-format on
#define CT__CHAIN_LIST(X) CT__CHAIN_ALONE(X) CT__CHAIN_WITH(X)

typedef enum ct__link_kind {
#define KIND(name, ...) CT__LINK_##name,
  CT__CHAIN_LIST(KIND)
#undef KIND
      CT__LINKS,
  CT__LINK_CALL,      /* the function of a row, of a: ct__row_of_vectors, or on one element any */
  CT__LINK_CALL_WITH, /* on one element: of a, x, y and z */
  CT__LINK_KINDS
} ct__link_kind;

typedef struct ct__link {
  unsigned char kind, x, y, z; /* positions among the operands of the loop */
  /* The kind for loops on vectors: CT__LINK_KINDS more where x is that of the link before, or of
   * those between that have none, and CT__LINK_END behind the last link. */
  unsigned char vectors;
  /* 1 + the position of an operand that is a single number: it is a factor of c, or d; 0: none */
  unsigned char c_times, d_times;
  unsigned char to; /* 1 + where a loop on one element stores the result so far; 0: nowhere */
  union {
    struct {
      double c, d;
    };
    struct { /* of a call */
      const void *attr;
      int row;
    };
  };
} ct__link;

enum { CT__LINK_END = 2 * CT__LINK_KINDS };
enum { CT__CHAIN_LENGTH = 64, CT__TILE_OPERANDS = 12 }; /* at most */

/* The attributes of the loops below. The first link loads, no other one does. */
typedef struct ct__chain {
  int n, result;                       /* links; operands, the result lies behind them */
  int calls;                           /* among the links */
  unsigned numbers;                    /* a mask of the operands that are single numbers */
  ct__link link[CT__CHAIN_LENGTH + 1]; /* with the end */
} ct__chain;

/* The loops for a float dtype. Every operand lies in order: the strides are not looked at, but
 * NULL for them sends the result past the caches, and then the caller owes STREAMED. A product and
 * a sum in one link round once, where the processor can, or each as in eager operations: exact.
 */
ct_loop *ct__chain_loop(ct_dtype dtype, bool exact);
bool ct__chain_is(ct_loop *loop); /* one of them */

/* Those of one instruction set (kernels/chain.c, kernels/contracted.c). */
typedef struct ct__chain_loops {
  ct_loop *f32, *f64;
} ct__chain_loops;
#define CT__CHAIN_LOOPS_OF(isa)                                                                    \
  extern const ct__chain_loops ct__chain_loops_##isa, ct__contracted_loops_##isa;
CT__ISA_LIST(CT__CHAIN_LOOPS_OF)

/* How a loop is a link: operand left is a and operand right, if there is one, x; or the other way
 * round, with kind into (CT__LINKS: not possible). */
typedef struct ct__cheap {
  int left, right; /* right: -1 for none */
  ct__link_kind kind, into;
} ct__cheap;
bool ct__chain_cheap(ct_loop *loop, ct_dtype dtype, ct__cheap *cheap);

/* A link with a single number as its operand x, at that position, as one without operand; false if
 * there is none. */
bool ct__chain_with_number(ct__link *l, int position);
/* A product and the sum behind it as one link, in the product's place; false if they are not. */
bool ct__chain_contract(ct__link *product, const ct__link *sum);
/* The same for a sum whose operand x is a product of x, if kind scales, or of x and y. */
bool ct__chain_take_in(ct__link_kind product, ct__link *sum);
/* When all links are there: finds operands that repeat, and numbers, and puts the end behind them.
 */
void ct__chain_finish(ct__chain *c);

#endif
