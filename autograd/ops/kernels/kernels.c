/* kernels.c - the loops of unary.def and binary.def, and of lines. Compiled once for each
 * instruction set; CT__ISA is its name. */
#include "../kernels.h"

#include "../elementwise.h"

/* Iterations do not depend on each other: an output may take the place of an input. */
#ifdef __clang__
#define VECTORISE _Pragma("clang loop vectorize(assume_safety)")
#else
#define VECTORISE _Pragma("GCC ivdep")
#endif

/* ---- from strided operands to runs of neighbours ----------------------------------------------- */

enum { CHUNK = 128, WIDEST = 8 };

/* Elements that lie side by side. */
typedef void run_of(int64_t n, const char *const *in, char *out, const void *attr);

/* m elements, `step` bytes apart, to or from a block where they lie side by side. */
#define MOVE(T, to, to_step, from, from_step)                                                      \
  for (int64_t i = 0; i < m; i++) {                                                                \
    T one;                                                                                         \
    memcpy(&one, (from) + i * (from_step), sizeof one);                                            \
    memcpy((to) + i * (to_step), &one, sizeof one);                                                \
  }
static void move(int64_t m, size_t item, char *to, int64_t to_step, const char *from,
                 int64_t from_step) {
  if (item == 8)
    MOVE(uint64_t, to, to_step, from, from_step)
  else if (item == 4)
    MOVE(uint32_t, to, to_step, from, from_step)
  else
    MOVE(uint8_t, to, to_step, from, from_step)
}

/* Chunk by chunk; operands that are not side by side pass through blocks. */
static void lead_strided(run_of *run, int n_in, size_t item, size_t out_item, CT__LOOP_ARGUMENTS) {
  _Alignas(64) char block[CT__MAX_OPERANDS][CHUNK * WIDEST];
  const char *in[CT__MAX_OPERANDS] = {0};
  int64_t size = (int64_t)item, out_size = (int64_t)out_item, out_step = s[n_in] * out_size;
  for (int k = 0; k < n_in; k++)
    if (s[k] == 0) move(n < CHUNK ? n : CHUNK, item, block[k], size, p[k], 0);
  for (int64_t at = 0; at < n; at += CHUNK) {
    int64_t m = n - at < CHUNK ? n - at : CHUNK;
    for (int k = 0; k < n_in; k++) {
      const char *from = p[k] + at * s[k] * size;
      in[k] = s[k] == 1 ? from : block[k];
      if (s[k] != 0 && s[k] != 1) move(m, item, block[k], size, from, s[k] * size);
    }
    char *to = p[n_in] + at * out_step, *out = s[n_in] == 1 ? to : block[n_in];
    run(m, in, out, attr);
    if (out != to) move(m, out_item, to, out_step, out, out_size);
  }
}

static inline void lead(run_of *run, int n_in, size_t item, size_t out_item, CT__LOOP_ARGUMENTS) {
  bool neighbours = true;
  for (int k = 0; k <= n_in; k++) neighbours &= s[k] == 1;
  if (neighbours)
    run(n, (const char *const *)p, p[n_in], attr);
  else
    lead_strided(run, n_in, item, out_item, n, p, s, attr);
}

/* A loop over n_in operands of type T and an output of type U. `load` declares the element of each
 * operand, as the expression names it; IN(k) is that of operand k. */
#define IN(k) (((const T *)(const void *)operand_##k)[i])
#define EACH(U, first, count, load, expression)                                                    \
  for (int64_t i = first; i < (count); i++) {                                                      \
    load;                                                                                          \
    ((U *)(void *)out)[i] = (U)(expression);                                                       \
  }
#define OPERANDS(n_in)                                                                             \
  const char *operand_0 = in[0], *operand_1 = n_in > 1 ? in[1] : NULL,                             \
             *operand_2 = n_in > 2 ? in[2] : NULL, *operand_3 = n_in > 3 ? in[3] : NULL;           \
  (void)attr, (void)operand_1, (void)operand_2, (void)operand_3;
#define OF_TYPE(name, type) name##_##type
#define TYPED(name, type)   OF_TYPE(name, type)
#define LOOP(name, n_in, U, setup, load, expression)                                               \
  static void TYPED(name##_run, TYPE)(int64_t n, const char *const *in, char *out,                 \
                                      const void *attr) {                                          \
    OPERANDS(n_in)                                                                                 \
    setup;                                                                                         \
    VECTORISE EACH(U, 0, n, load, expression)                                                      \
  }                                                                                                \
  static void TYPED(name, TYPE)(CT__LOOP_ARGUMENTS) {                                              \
    lead(TYPED(name##_run, TYPE), n_in, sizeof(T), sizeof(U), n, p, s, attr);                      \
  }

/* The same for expressions in trigonometric functions of x: chunks with numbers too far from 0 for
 * the short reduction go one by one. */
#define LOOP_WIDE(name, n_in, load, x_operand, expression)                                         \
  static void TYPED(name##_run, TYPE)(int64_t n, const char *const *in, char *out,                 \
                                      const void *attr) {                                          \
    OPERANDS(n_in)                                                                                 \
    for (int64_t at = 0; at < n; at += CHUNK) {                                                    \
      int64_t end = n - at < CHUNK ? n : at + CHUNK;                                               \
      int far = 0;                                                                                 \
      for (int64_t i = at; i < end; i++) far |= !(SCALAR(fabs, IN(x_operand)) <= VMATH_WIDE(T));   \
      if (far) {                                                                                   \
        enum { wide = true };                                                                      \
        EACH(T, at, end, load, expression)                                                         \
      } else {                                                                                     \
        enum { wide = false };                                                                     \
        VECTORISE EACH(T, at, end, load, expression)                                               \
      }                                                                                            \
    }                                                                                              \
  }                                                                                                \
  static void TYPED(name, TYPE)(CT__LOOP_ARGUMENTS) {                                              \
    lead(TYPED(name##_run, TYPE), n_in, sizeof(T), sizeof(T), n, p, s, attr);                      \
  }

/* ---- the rows, for each type ------------------------------------------------------------------- */

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
#define WITH_P  const T p = (T) * (const double *)attr
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

/* Integers wrap, as unsigned arithmetic does. */
#define T    int32_t
#define TYPE i32
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
#define LOGICAL(name, sign) LOOP(name, 2, T, NOTHING, LOAD_AB, a sign b)
#include "../binary.def"
#undef T
#undef TYPE

/* ---- lines ------------------------------------------------------------------------------------- */

enum { BLOCK = 64, LANES = 16 };

/* Blocks are filled up with what changes nothing, to whole groups of lanes. */
#define LINES(T, S)                                                                                \
  static T max_##T(int64_t n, const T *x, int64_t step) {                                          \
    T lane[LANES], max = x[0];                                                                     \
    int64_t at = 0;                                                                                \
    for (int j = 0; j < LANES; j++) lane[j] = max;                                                 \
    for (; at + LANES <= n; at += LANES)                                                           \
      for (int j = 0; j < LANES; j++) {                                                            \
        T one = x[(at + j) * step];                                                                \
        lane[j] = one > lane[j] ? one : lane[j];                                                   \
      }                                                                                            \
    for (; at < n; at++) max = x[at * step] > max ? x[at * step] : max;                            \
    for (int j = 0; j < LANES; j++) max = lane[j] > max ? lane[j] : max;                           \
    return max;                                                                                    \
  }                                                                                                \
  /* e[j] = e^(x - shift), and what they add to the sum. */                                        \
  static inline void exp_block_##T(int m, const T *x, int64_t step, T shift, T *e,                 \
                                   ct__exp_sum *sum) {                                             \
    int whole = (m + LANES - 1) / LANES * LANES;                                                   \
    double lane[LANES] = {0};                                                                      \
    T one[LANES] = {0};                                                                            \
    for (int j = 0; j < m; j++) e[j] = x[j * step] - shift;                                        \
    for (int j = m; j < whole; j++) e[j] = -(T)INFINITY;                                           \
    for (int at = 0; at < whole; at += LANES)                                                      \
      for (int j = 0; j < LANES; j++) {                                                            \
        e[at + j] = vexp##S(e[at + j]);                                                            \
        one[j] += (T)(e[at + j] == 1);                                                             \
        lane[j] += e[at + j] == 1 ? 0 : (double)e[at + j];                                         \
      }                                                                                            \
    for (int j = 0; j < LANES; j++) {                                                              \
      sum->ones += (double)one[j];                                                                 \
      sum->rest += lane[j];                                                                        \
    }                                                                                              \
  }                                                                                                \
  static ct__exp_sum sum_exp_##T(int64_t n, const T *x, int64_t step, T shift) {                   \
    T e[BLOCK];                                                                                    \
    ct__exp_sum sum = {0};                                                                         \
    for (int64_t at = 0; at < n; at += BLOCK)                                                      \
      exp_block_##T((int)(n - at < BLOCK ? n - at : BLOCK), x + at * step, step, shift, e, &sum);  \
    return sum;                                                                                    \
  }                                                                                                \
  static ct__exp_sum store_exp_##T(int64_t n, const T *x, int64_t step, T shift, T *y,             \
                                   int64_t y_step) {                                               \
    T e[BLOCK];                                                                                    \
    ct__exp_sum sum = {0};                                                                         \
    for (int64_t at = 0; at < n; at += BLOCK) {                                                    \
      int m = (int)(n - at < BLOCK ? n - at : BLOCK);                                              \
      exp_block_##T(m, x + at * step, step, shift, e, &sum);                                       \
      for (int j = 0; j < m; j++) y[(at + j) * y_step] = e[j];                                     \
    }                                                                                              \
    return sum;                                                                                    \
  }
LINES(float, f)
LINES(double, )

/* deviation and balance of softmax.c: all but the largest p or a are added up. Zero times anything
 * is zero, as these are parts of derivatives. */
#define FORMS(T, S, Bits, BITS_MAX)                                                                \
  static inline T times##S(T a, T b) {                                                             \
    T product = a * b;                                                                             \
    return ((a == 0) | (b == 0)) ? 0 : product;                                                    \
  }                                                                                                \
  /* |x| as an integer, of the same order; compilers find the largest of these faster. */          \
  static inline Bits size_##T(T x) {                                                               \
    union {                                                                                        \
      T x;                                                                                         \
      Bits bits;                                                                                   \
    } u = {x};                                                                                     \
    return u.bits & BITS_MAX;                                                                      \
  }                                                                                                \
  static inline int64_t largest_##T(int64_t n, const T *x, int64_t step) {                         \
    Bits max = 0;                                                                                  \
    int64_t at = 0;                                                                                \
    for (int64_t j = 0; j < n; j++)                                                                \
      max = size_##T(x[j * step]) > max ? size_##T(x[j * step]) : max;                             \
    for (int there = 0; at + BLOCK <= n; at += BLOCK) {                                            \
      for (int j = 0; j < BLOCK; j++) there += size_##T(x[(at + j) * step]) == max;                \
      if (there) break;                                                                            \
    }                                                                                              \
    while (at < n - 1 && size_##T(x[at * step]) != max) at++;                                      \
    return at;                                                                                     \
  }                                                                                                \
  static inline void deviation_line_##T(int64_t n, const T *p, int64_t p_step, const T *t,         \
                                        int64_t t_step, T *restrict y, int64_t y_step) {           \
    T middle = t[largest_##T(n, p, p_step) * t_step];                                              \
    double sums[LANES] = {0}, owns[LANES] = {0}, sum = 0, own = 0;                                 \
    int64_t at = 0;                                                                                \
    for (; at + LANES <= n; at += LANES)                                                           \
      for (int j = 0; j < LANES; j++) {                                                            \
        T weight = p[(at + j) * p_step];                                                           \
        sums[j] += (double)weight;                                                                 \
        owns[j] += (double)times##S(weight, middle - t[(at + j) * t_step]);                        \
      }                                                                                            \
    for (; at < n; at++) {                                                                         \
      sum += (double)p[at * p_step];                                                               \
      own += (double)times##S(p[at * p_step], middle - t[at * t_step]);                            \
    }                                                                                              \
    for (int j = 0; j < LANES; j++) {                                                              \
      sum += sums[j];                                                                              \
      own += owns[j];                                                                              \
    }                                                                                              \
    for (int64_t j = 0; j < n; j++)                                                                \
      y[j * y_step] = times##S((T)sum, t[j * t_step] - middle) + (T)own;                           \
  }                                                                                                \
  static inline double sum_##T(int64_t n, const T *x, int64_t step) {                              \
    double lane[LANES] = {0}, sum = 0;                                                             \
    int64_t at = 0;                                                                                \
    for (; at + LANES <= n; at += LANES)                                                           \
      for (int j = 0; j < LANES; j++) lane[j] += (double)x[(at + j) * step];                       \
    for (; at < n; at++) sum += (double)x[at * step];                                              \
    for (int j = 0; j < LANES; j++) sum += lane[j];                                                \
    return sum;                                                                                    \
  }                                                                                                \
  static inline void balance_line_##T(int64_t n, const T *a, int64_t a_step, const T *b,           \
                                      int64_t b_step, T *restrict y, int64_t y_step) {             \
    int64_t m = largest_##T(n, a, a_step), next = m + 1;                                           \
    T am = a[m * a_step], bm = b[m * b_step];                                                      \
    double as = sum_##T(m, a, a_step) + sum_##T(n - next, a + next * a_step, a_step);              \
    double bs = sum_##T(m, b, b_step) + sum_##T(n - next, b + next * b_step, b_step);              \
    T all_a = (T)(as + (double)am), all_b = (T)(bs + (double)bm);                                  \
    for (int64_t j = 0; j < n; j++)                                                                \
      y[j * y_step] = times##S(b[j * b_step], all_a) - times##S(a[j * a_step], all_b);             \
    y[m * y_step] = times##S(bm, (T)as) - times##S(am, (T)bs);                                     \
  }
#define FORM(name, T)                                                                              \
  static void name##_##T(int64_t n, const T *a, const T *b, T *y, const int64_t *step) {           \
    if (step[0] == 1 && step[1] == 1 && step[2] == 1)                                              \
      name##_line_##T(n, a, 1, b, 1, y, 1);                                                        \
    else                                                                                           \
      name##_line_##T(n, a, step[0], b, step[1], y, step[2]);                                      \
  }
FORMS(float, f, int32_t, INT32_MAX)
FORMS(double, , int64_t, INT64_MAX)
FORM(deviation, float)
FORM(deviation, double)
FORM(balance, float)
FORM(balance, double)

/* ---- the set ----------------------------------------------------------------------------------- */

const ct__kernels CT__ISA_NAME(ct__kernels, CT__ISA) = {
#define ONE(name)             .name = name,
#define UNARY(name, ...)      ONE(name##_f32) ONE(name##_f64) ONE(name##_dx_f32) ONE(name##_dx_f64)
#define UNARY_WITH            UNARY
#define UNARY_STEP(name, ...) ONE(name##_f32) ONE(name##_f64)
#include "../unary.def"
    CT__UNARY_EXTRAS(ONE)
#define BINARY(name, ...)                                                                          \
  ONE(name##_f32)                                                                                  \
  ONE(name##_f64) ONE(name##_da_f32) ONE(name##_da_f64) ONE(name##_db_f32) ONE(name##_db_f64)
#define COMPARE(name, sign) ONE(name##_f32) ONE(name##_f64) ONE(name##_i32) ONE(name##_u8)
#define LOGICAL(name, sign) ONE(name##_u8)
#include "../binary.def"
        CT__BINARY_EXTRAS(ONE) ONE(max_float) ONE(sum_exp_float) ONE(store_exp_float)
            ONE(deviation_float) ONE(balance_float) ONE(max_double) ONE(sum_exp_double)
                ONE(store_exp_double) ONE(deviation_double) ONE(balance_double)};
