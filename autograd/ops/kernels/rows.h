/* rows.h - the loops of one float type T, named TYPE: part of kernels.c, included for each. */

#define UNARY(name, doc, f, derivative, ...)                                                       \
  ROW(name, 1, NOTHING, LOAD_X, f)                                                                 \
  ROW(name##_dx, 3, NOTHING, LOAD_TXY, MUL0(t, derivative))
#define UNARY_WIDE(name, doc, f, derivative, ...)                                                  \
  ROW_WIDE(name, 1, LOAD_X, 0, f)                                                                  \
  ROW_WIDE(name##_dx, 3, LOAD_TXY, 1, MUL0(t, derivative))
#define UNARY_WITH(name, doc, f, derivative, ...)                                                  \
  ROW(name, 1, WITH_P, LOAD_X, f)                                                                  \
  ROW(name##_dx, 3, WITH_P, LOAD_TXY, MUL0(t, derivative))
#define UNARY_STEP(name, doc, f, ...) ROW(name, 1, NOTHING, LOAD_X, f)
#include "../unary.def"
LOOP(is_finite, 1, uint8_t, NOTHING, LOAD_X, isfinite(x))

/* The other partial derivative's operands are there too. */
#define BINARY(name, doc, f, da, db, ...)                                                          \
  ROW(name, 2, NOTHING, LOAD_AB, f)                                                                \
  ROW(name##_da, 4, NOTHING, LOAD_TABY, MUL0(t, da))                                               \
  ROW(name##_db, 4, NOTHING, LOAD_TABY, MUL0(t, db))
#define COMPARE(name, sign) LOOP(name, 2, uint8_t, NOTHING, LOAD_AB, a sign b)
#include "../binary.def"
LOOP(add, 2, T, NOTHING, LOAD_AB, a + b)
LOOP(sub, 2, T, NOTHING, LOAD_AB, a - b)
LOOP(mul0, 2, T, NOTHING, LOAD_AB, MUL0(a, b))
LOOP(scale, 1, T, WITH_P, LOAD_X, p *x)
LOOP(shift, 1, T, WITH_P, LOAD_X, p + x)
LOOP(clamp, 1, T, WITH_BOUNDS, LOAD_X, CLAMPED)
LOOP(clamp_dx, 3, T, NOTHING, LOAD_TXY, MUL0(t, EQ(x, y)))
