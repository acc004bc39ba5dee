/* kernels.c - the loops of unary.def and binary.def, and of lines. Compiled once for each
 * instruction set; CT__ISA is its name. */
#include "../kernels.h"

#include "../../../tensor/vectors.h"
#include "../elementwise.h"

/* ---- from strided operands to runs of neighbours --------------------------------------------- */

enum { CHUNK = 128, WIDEST = 8 };

/* m elements, so many bytes apart, to or from a block where they lie side by side. */
#define MOVE_BY(T, to_step, from_step)                                                             \
  for (int64_t i = 0; i < m; i++) {                                                                \
    T one;                                                                                         \
    memcpy(&one, from + i * (from_step), sizeof one);                                              \
    memcpy(to + i * (to_step), &one, sizeof one);                                                  \
  }
#define MOVE(T)                                                                                    \
  {                                                                                                \
    if (from_step == 0)                                                                            \
      VECTORISE MOVE_BY(T, (int64_t)sizeof(T), 0) else UNROLL_4 MOVE_BY(T, to_step, from_step)     \
  }
static void move(int64_t m, size_t item, char *to, int64_t to_step, const char *from,
                 int64_t from_step) {
  if (item == 8)
    MOVE(uint64_t)
  else if (item == 4)
    MOVE(uint32_t)
  else
    MOVE(uint8_t)
}

/* Whether some operand does not lie side by side. */
static inline bool strided(int n_in, const int64_t *step) {
  int64_t other = 0;
  for (int k = 0; k <= n_in; k++) other |= step[k] ^ 1;
  return other != 0;
}

/* How many operands a loop reads, and the bytes of an element of the first, of the others and of
 * the output. */
typedef struct form {
  uint8_t n_in, first, item, out;
} form;

/* Runs a loop over neighbours chunk by chunk; operands that are not side by side pass through
 * blocks. */
static void lead_strided(ct_loop *run, form f, CT__LOOP_ARGUMENTS) {
  static const int64_t neighbours[CT__MAX_OPERANDS] = {1, 1, 1, 1, 1, 1};
  _Alignas(64) char block[CT__MAX_OPERANDS][CHUNK * WIDEST];
  char *at[CT__MAX_OPERANDS];
  for (int64_t i = 0; i < n; i += CHUNK) {
    int64_t m = n - i < CHUNK ? n - i : CHUNK;
    for (int k = 0; k <= f.n_in; k++) {
      int64_t size = k == f.n_in ? f.out : k == 0 ? f.first : f.item;
      char *there = p[k] + i * s[k] * size;
      at[k] = s[k] == 1 ? there : block[k];
      if (k < f.n_in && s[k] != 1 && (s[k] != 0 || i == 0))
        move(m, (size_t)size, block[k], size, there, s[k] * size);
    }
    run(m, at, neighbours, attr);
    if (s[f.n_in] != 1)
      move(m, f.out, p[f.n_in] + i * s[f.n_in] * f.out, s[f.n_in] * f.out, block[f.n_in], f.out);
  }
}

/* A loop over n_in operands of type T, the first one of type First, and an output of type U. `load`
 * declares the element of each operand, as the expression names it; IN(k) is that of operand k. */
#define IN(k) (((const T *)(const void *)operand_##k)[i])
#define EACH(U, first, count, load, expression)                                                    \
  for (int64_t i = first; i < (count); i++) {                                                      \
    load;                                                                                          \
    ((U *)(void *)out)[i] = (U)(expression);                                                       \
  }
#define OPERANDS(n_in)                                                                             \
  const char *operand_0 = in[0], *operand_1 = n_in > 1 ? in[1] : NULL,                             \
             *operand_2 = n_in > 2 ? in[2] : NULL, *operand_3 = n_in > 3 ? in[3] : NULL;           \
  char *out = in[n_in];                                                                            \
  (void)attr, (void)operand_1, (void)operand_2, (void)operand_3;
#define OF_TYPE(name, type) name##_##type
#define TYPED(name, type)   OF_TYPE(name, type)
#define HEAD(name)                                                                                 \
  static void TYPED(name, TYPE)(int64_t n, char *const *in, const int64_t *step, const void *attr)
/* A single number needs no vectors, and no steps. */
#define SINGLE(U, setup, load, expression)                                                         \
  if (n == 1) {                                                                                    \
    setup;                                                                                         \
    EACH(U, 0, 1, load, expression)                                                                \
    return;                                                                                        \
  }
#define STRIDED(name, First, n_in, U)                                                              \
  if (strided(n_in, step)) {                                                                       \
    const form f = {n_in, sizeof(First), sizeof(T), sizeof(U)};                                    \
    lead_strided(TYPED(name, TYPE), f, n, in, step, attr);                                         \
    return;                                                                                        \
  }
#define LOOP(name, n_in, U, setup, load, expression)                                               \
  LOOP_FROM(name, T, n_in, U, setup, load, expression)
#define LOOP_FROM(name, First, n_in, U, setup, load, expression)                                   \
  HEAD(name) {                                                                                     \
    OPERANDS(n_in)                                                                                 \
    SINGLE(U, setup, load, expression)                                                             \
    STRIDED(name, First, n_in, U)                                                                  \
    setup;                                                                                         \
    VECTORISE EACH(U, 0, n, load, expression)                                                      \
  }

/* The function of single numbers of a row: see ct__row_one_f32. */
#define NUMBER(name, setup, load, expression)                                                      \
  static T TYPED(name##_one, TYPE)(T in_0, T in_1, T in_2, T in_3, const void *attr) {             \
    enum { alone = true, i = 0 };                                                                  \
    const T *operand_0 = &in_0, *operand_1 = &in_1, *operand_2 = &in_2, *operand_3 = &in_3;        \
    (void)attr, (void)operand_1, (void)operand_2, (void)operand_3;                                 \
    setup;                                                                                         \
    load;                                                                                          \
    return (T)(expression);                                                                        \
  }
#define ROW(name, n_in, setup, load, expression)                                                   \
  NUMBER(name, setup, load, expression)                                                            \
  HEAD(name) {                                                                                     \
    enum { alone = false };                                                                        \
    OPERANDS(n_in)                                                                                 \
    STRIDED(name, T, n_in, T)                                                                      \
    setup;                                                                                         \
    VECTORISE EACH(T, 0, n, load, expression)                                                      \
  }

/* The same for expressions in trigonometric functions of x: chunks with numbers too far from 0 for
 * the short reduction go one by one. */
#define ROW_WIDE(name, n_in, load, x_operand, expression)                                          \
  NUMBER(name, NOTHING, load, expression)                                                          \
  HEAD(name) {                                                                                     \
    OPERANDS(n_in)                                                                                 \
    STRIDED(name, T, n_in, T)                                                                      \
    for (int64_t at = 0; at < n; at += CHUNK) {                                                    \
      int64_t end = n - at < CHUNK ? n : at + CHUNK;                                               \
      int far = 0;                                                                                 \
      for (int64_t i = at; i < end; i++) far |= !(SCALAR(fabs, IN(x_operand)) <= VMATH_WIDE(T));   \
      if (far) {                                                                                   \
        enum { alone = true };                                                                     \
        EACH(T, at, end, load, expression)                                                         \
      } else {                                                                                     \
        enum { alone = false };                                                                    \
        VECTORISE EACH(T, at, end, load, expression)                                               \
      }                                                                                            \
    }                                                                                              \
  }

/* ---- the rows, for each type ----------------------------------------------------------------- */

#define LOAD_X const T x = IN(0)
#define LOAD_TXY                                                                                   \
  const T t = IN(0);                                                                               \
  const T x = IN(1);                                                                               \
  const T y = IN(2);                                                                               \
  (void)x;                                                                                         \
  (void)y
#define LOAD_AB                                                                                    \
  const T a = IN(0);                                                                               \
  const T b = IN(1)
#define LOAD_TABY                                                                                  \
  const T t = IN(0);                                                                               \
  const T a = IN(1);                                                                               \
  const T b = IN(2);                                                                               \
  const T y = IN(3);                                                                               \
  (void)a;                                                                                         \
  (void)b;                                                                                         \
  (void)y
/* a where c, else b: as one of two masks, as a condition would become a branch */
#define LOAD_CAB                                                                                   \
  const uint8_t c = ((const uint8_t *)operand_0)[i];                                               \
  const T a = IN(1);                                                                               \
  const T b = IN(2);                                                                               \
  const T mask = (T) - (T)(c != 0)
#define WHERE        LOOP_FROM(where, uint8_t, 3, T, NOTHING, LOAD_CAB, (a & mask) | (b & (T)~mask))
#define WITH_P       const T p = (T) * (const double *)attr
#define BOUND(which) (((const ct__bounds *)attr)->which)
#define WITH_BOUNDS                                                                                \
  const T lo = (T)BOUND(lo);                                                                       \
  const T hi = (T)BOUND(hi)
#define CLAMPED x<lo ? lo : x> hi ? hi : x /* NaN stays */
#define NOTHING (void)0

#define T    float
#define TYPE f32
#include "rows.h"
#undef T
#undef TYPE

#define T    double
#define TYPE f64
#include "rows.h"
#undef T
#undef TYPE

/* Bounds beyond the range of i32 do not bind. */
static int32_t saturate(double x) {
  return x <= INT32_MIN ? INT32_MIN : x >= INT32_MAX ? INT32_MAX : (int32_t)x;
}
#define WITH_I32_BOUNDS                                                                            \
  const T lo = saturate(BOUND(lo));                                                                \
  const T hi = saturate(BOUND(hi))
#define WITH_U32 const uint32_t p = (uint32_t)(int32_t) * (const double *)attr

/* Integers wrap, as unsigned arithmetic does. */
#define T    int32_t
#define TYPE i32
LOOP(scale, 1, T, WITH_U32, LOAD_X, p *(uint32_t)x)
LOOP(shift, 1, T, WITH_U32, LOAD_X, p + (uint32_t)x)
LOOP(clamp, 1, T, WITH_I32_BOUNDS, LOAD_X, CLAMPED)
WHERE
LOOP(neg, 1, T, NOTHING, LOAD_X, 0u - (uint32_t)x)
LOOP(abs, 1, T, NOTHING, LOAD_X, x < 0 ? 0u - (uint32_t)x : (uint32_t)x)
LOOP(square, 1, T, NOTHING, LOAD_X, (uint32_t)x *(uint32_t)x)
LOOP(sign, 1, T, NOTHING, LOAD_X, (x > 0) - (x < 0))
LOOP(add, 2, T, NOTHING, LOAD_AB, (uint32_t)a + (uint32_t)b)
LOOP(sub, 2, T, NOTHING, LOAD_AB, (uint32_t)a - (uint32_t)b)
LOOP(mul, 2, T, NOTHING, LOAD_AB, (uint32_t)a *(uint32_t)b)
LOOP(rem, 2, T, NOTHING, LOAD_AB, b == 0 || b == -1 ? 0 : a % b) /* -1: no overflow */
LOOP(maximum, 2, T, NOTHING, LOAD_AB, a > b ? a : b)
LOOP(minimum, 2, T, NOTHING, LOAD_AB, a < b ? a : b)
#define COMPARE(name, sign) LOOP(name, 2, uint8_t, NOTHING, LOAD_AB, a sign b)
#include "../binary.def"
#undef T
#undef TYPE

#define T                   uint8_t
#define TYPE                u8
#define COMPARE(name, sign) LOOP(name, 2, uint8_t, NOTHING, LOAD_AB, a sign b)
#include "../binary.def"
LOOP(not, 1, T, NOTHING, LOAD_X, !x)
WHERE
#define LOGICAL(name, sign) LOOP(name, 2, T, NOTHING, LOAD_AB, a sign b)
#include "../binary.def"
#undef T
#undef TYPE

#define T    int64_t
#define TYPE i64
WHERE
#undef T
#undef TYPE

/* ---- lines ----------------------------------------------------------------------------------- */

enum {
  LANES = 16,
  SHORT = 64, /* elements of the longest line that goes in one lane */
  BLOCK = 64,
  PART = 256 /* elements of a longer one at a time */
};

/* Sums of exponentials in lanes: how many are 1, and the sum of the others. */
typedef struct exp_sums {
  double ones[LANES], rest[LANES];
} exp_sums;

#define T        float
#define BITS     uint32_t
#define NAMED(x) x##_float
#include "lines_of_type.h"
#include "loss_of_type.h"
#undef T
#undef BITS
#undef NAMED

#define T        double
#define BITS     uint64_t
#define NAMED(x) x##_double
#include "lines_of_type.h"
#include "loss_of_type.h"
#undef T
#undef BITS
#undef NAMED

/* ---- the set --------------------------------------------------------------------------------- */

const ct__kernels CT__ISA_NAME(ct__kernels, CT__ISA) = {
#define ONE(name)             .name = name,
#define ROW_OF(name)          ONE(name##_f32) ONE(name##_f64) ONE(name##_one_f32) ONE(name##_one_f64)
#define UNARY(name, ...)      ROW_OF(name) ROW_OF(name##_dx)
#define UNARY_WITH            UNARY
#define UNARY_STEP(name, ...) ROW_OF(name)
#include "../unary.def"
    CT__UNARY_EXTRAS(ONE)
#define BINARY(name, ...)   ROW_OF(name) ROW_OF(name##_da) ROW_OF(name##_db)
#define COMPARE(name, sign) ONE(name##_f32) ONE(name##_f64) ONE(name##_i32) ONE(name##_u8)
#define LOGICAL(name, sign) ONE(name##_u8)
#include "../binary.def"
        CT__BINARY_EXTRAS(ONE) CT__MISC_LOOPS(ONE)
#define LINES(name) ONE(name##_float) ONE(name##_double)
            LINES(max) LINES(sum_exp) LINES(store_exp) LINES(softmax) LINES(log_softmax)
                LINES(logsumexp) LINES(deviation) LINES(balance) LINES(cross_entropy)};
