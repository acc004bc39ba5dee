/* rows.h - the loops of one float type T, named TYPE: part of kernels.c, included for each. */

#define UNARY(name, doc, f, derivative, ...)                                                       \
  LOOP(name, 1, T, NOTHING, LOAD_X, f)                                                             \
  LOOP(name##_dx, 3, T, NOTHING, LOAD_TXY, MUL0(t, derivative))
#define UNARY_WIDE(name, doc, f, derivative, ...)                                                  \
  LOOP_WIDE(name, 1, LOAD_X, 0, f)                                                                 \
  LOOP_WIDE(name##_dx, 3, LOAD_TXY, 1, MUL0(t, derivative))
#define UNARY_WITH(name, doc, f, derivative, ...)                                                  \
  LOOP(name, 1, T, WITH_P, LOAD_X, f)                                                              \
  LOOP(name##_dx, 3, T, WITH_P, LOAD_TXY, MUL0(t, derivative))
#define UNARY_STEP(name, doc, f, ...) LOOP(name, 1, T, NOTHING, LOAD_X, f)
#include "../unary.def"
LOOP(is_finite, 1, uint8_t, NOTHING, LOAD_X, isfinite(x))

/* The other partial derivative's operands are there too. */
#define BINARY(name, doc, f, da, db, ...)                                                          \
  LOOP(name, 2, T, NOTHING, LOAD_AB, f)                                                            \
  LOOP(name##_da, 4, T, NOTHING, LOAD_TABY, MUL0(t, da))                                           \
  LOOP(name##_db, 4, T, NOTHING, LOAD_TABY, MUL0(t, db))
#define COMPARE(name, sign) LOOP(name, 2, uint8_t, NOTHING, LOAD_AB, a sign b)
#include "../binary.def"
LOOP(add, 2, T, NOTHING, LOAD_AB, a + b)
LOOP(sub, 2, T, NOTHING, LOAD_AB, a - b)
LOOP(mul0, 2, T, NOTHING, LOAD_AB, MUL0(a, b))
LOOP(scale, 1, T, WITH_P, LOAD_X, p *x)
LOOP(shift, 1, T, WITH_P, LOAD_X, p + x)
LOOP(clamp, 1, T, WITH_BOUNDS, LOAD_X, CLAMPED)
LOOP(clamp_dx, 3, T, NOTHING, LOAD_TXY, MUL0(t, EQ(x, y)))
