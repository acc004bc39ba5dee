/* reads.h - which operands the loops of partial derivatives read: the rows of unary.def and
 * binary.def once more, in a vocabulary where an expression is the set of what occurs in it.
 *
 * READS(name), READS(name_db): bit 0 is t, then the inputs, then y.
 */
#ifndef COTANGENT_READS_H
#define COTANGENT_READS_H

#define READS(name) name##_reads

#define K(value)        0
#define NEG(e)          (e)
#define ADD(d, e)       ((d) | (e))
#define SUB             ADD
#define MUL             ADD
#define MUL0            ADD
#define DIV             ADD
#define POW             ADD
#define HYPOT           ADD
#define GT              ADD
#define LE              ADD
#define EQ              ADD
#define ABS(e)          (e)
#define SIGN(e)         (e)
#define ROUND(e)        (e)
#define EXP(e)          (e)
#define LOG(e)          (e)
#define RSQRT(e)        (e)
#define SQUARE(e)       (e)
#define RECIPROCAL(e)   (e)
#define SIN(e)          (e)
#define COS(e)          (e)
#define SINH(e)         (e)
#define COSH(e)         (e)
#define TANH_SLOPE(e)   (e)
#define GAUSS(h, e)     (e)
#define PHI(e)          (e)
#define GELU_GATE(e)    (e)
#define POLYGAMMA(n, e) (e)
#define SIGMOID(e)      (e)

enum {
#define x                                    2
#define y                                    4
#define UNARY(name, doc, f, derivative, ...) READS(name) = 1 | (derivative),
#define UNARY_WITH                           UNARY
#include "unary.def"
#undef x
#undef y
#define a                                 2
#define b                                 4
#define y                                 8
#define BINARY(name, doc, f, da, db, ...) READS(name##_da) = 1 | (da), READS(name##_db) = 1 | (db),
#include "binary.def"
#undef a
#undef b
#undef y
};

#undef K
#undef NEG
#undef ADD
#undef SUB
#undef MUL
#undef MUL0
#undef DIV
#undef POW
#undef HYPOT
#undef GT
#undef LE
#undef EQ
#undef ABS
#undef SIGN
#undef ROUND
#undef EXP
#undef LOG
#undef RSQRT
#undef SQUARE
#undef RECIPROCAL
#undef SIN
#undef COS
#undef SINH
#undef COSH
#undef TANH_SLOPE
#undef GAUSS
#undef PHI
#undef GELU_GATE
#undef POLYGAMMA
#undef SIGMOID

#endif
