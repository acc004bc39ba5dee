/* folds.c - reductions, and positions of extrema. Compiled once for each instruction set. */
#include "../../../tensor/vectors.h"
#include "../kernels.h"

#include <math.h>
#include <stdlib.h>

/* A loop whose iterations do not depend on each other; unrolled, it would not become vectors. */
#ifdef __clang__
#define EACH(i, n) _Pragma("clang loop unroll(disable)") for (int64_t i = 0; i < (n); i++)
#else
#define EACH(i, n) _Pragma("GCC ivdep") _Pragma("GCC unroll 1") for (int64_t i = 0; i < (n); i++)
#endif
#define APART static __attribute__((noinline))

/* ---- folds ----------------------------------------------------------------------------------- */

/* Sums and products of floats are accumulated in double, of integers in 64 bits that wrap; extrema
 * in the type itself.
 *
 * Columns take their elements one after the other, ROWS in a pass. A line is dealt to independent
 * lanes, which then are folded in halves: no addition waits for the one before it, and the rounding
 * is the same for all vectors, long or short. */
enum { ROWS = 8, COLUMNS = 128 };
#define LANES(Acc) (sizeof(Acc) == 8 ? 32 : 64)

/* n elements, `step` apart, side by side. */
#define TAKE_LOOP(name, T)                                                                         \
  APART void take_##name(int64_t n, const T *x, int64_t step, T *to) {                             \
    for (int64_t i = 0; i < n; i++) to[i] = x[i * step];                                           \
  }
TAKE_LOOP(f32, float)
TAKE_LOOP(f64, double)
TAKE_LOOP(i32, int32_t)
TAKE_LOOP(u8, uint8_t)

#define COLUMN_ROWS(C, Acc, count)                                                                 \
  EACH(i, n) {                                                                                     \
    Acc a = acc[i];                                                                                \
    UNROLL for (int64_t j = 0; j < (count); j++) a = C(a, (Acc)x[i + j * row_step]);               \
    acc[i] = a;                                                                                    \
  }

#define FOLD_COLUMNS(name, T, Acc, COMBINE)                                                        \
  APART void name##_columns(int64_t n, int64_t rows, int64_t row_step, const T *restrict x,        \
                            Acc *restrict acc) {                                                   \
    for (; rows >= ROWS; rows -= ROWS, x += ROWS * row_step) COLUMN_ROWS(COMBINE, Acc, ROWS)       \
    for (; rows > 0; rows--, x += row_step) COLUMN_ROWS(COMBINE, Acc, 1)                           \
  }

#define LANE_GROUPS(COMBINE, Acc, count)                                                           \
  for (; n >= (count)*lanes; n -= (count)*lanes, x += (count)*lanes) EACH(l, lanes) {              \
      Acc a = lane[l];                                                                             \
      UNROLL for (int j = 0; j < (count); j++) a = COMBINE(a, (Acc)x[l + j * lanes]);              \
      lane[l] = a;                                                                                 \
    }
#define HALVE(COMBINE, half)                                                                       \
  if (lanes > (half)) EACH(l, half) lane[l] = COMBINE(lane[l], lane[l + (half)]);
#define FOLD_LINE(name, type, T, Acc, TAKE, COMBINE, identity)                                     \
  APART void name##_lanes(int64_t n, const T *restrict x, Acc *restrict lane) {                    \
    enum { lanes = LANES(Acc) };                                                                   \
    LANE_GROUPS(TAKE, Acc, 4)                                                                      \
    LANE_GROUPS(TAKE, Acc, 1)                                                                      \
    EACH(l, n) lane[l] = TAKE(lane[l], (Acc)x[l]);                                                 \
  }                                                                                                \
  APART Acc name##_line(int64_t n, const T *x, int64_t step) {                                     \
    enum { lanes = LANES(Acc), part = 4 * lanes };                                                 \
    _Alignas(64) Acc lane[lanes];                                                                  \
    EACH(l, lanes) lane[l] = (Acc)(identity);                                                      \
    if (step == 1) name##_lanes(n, x, lane);                                                       \
    for (int64_t at = 0; at < n && step != 1; at += part) {                                        \
      T room[part];                                                                                \
      int64_t m = n - at < part ? n - at : part;                                                   \
      take_##type(m, x + at * step, step, room);                                                   \
      name##_lanes(m, room, lane);                                                                 \
    }                                                                                              \
    HALVE(COMBINE, 32)                                                                             \
    HALVE(COMBINE, 16)                                                                             \
    HALVE(COMBINE, 8)                                                                              \
    HALVE(COMBINE, 4)                                                                              \
    HALVE(COMBINE, 2)                                                                              \
    return COMBINE(lane[0], lane[1]);                                                              \
  }

/* An accumulator takes an element, or combines with another. */
#define FOLD(name, type, T, Acc, COMBINE, identity)                                                \
  FOLD_OF(name, type, T, Acc, COMBINE, COMBINE, identity)
#define FOLD_OF(name, type, T, Acc, TAKE, COMBINE, identity)                                       \
  FOLD_COLUMNS(name##_##type, T, Acc, TAKE)                                                        \
  FOLD_LINE(name##_##type, type, T, Acc, TAKE, COMBINE, identity)                                  \
  static void name##_##type##_start(int64_t n, void *accumulators) {                               \
    Acc *acc = accumulators;                                                                       \
    EACH(i, n) acc[i] = (Acc)(identity);                                                           \
  }                                                                                                \
  static void name##_##type##_merge(int64_t n, void *accumulators, const void *part) {             \
    Acc *acc = accumulators;                                                                       \
    const Acc *x = part;                                                                           \
    EACH(i, n) acc[i] = COMBINE(acc[i], x[i]);                                                     \
  }                                                                                                \
  static void name##_##type(const ct__fold_block *b, const char *from, void *accumulators) {       \
    const T *x = (const T *)(const void *)from;                                                    \
    Acc *acc = accumulators;                                                                       \
    if (b->columns && b->step == 1) {                                                              \
      name##_##type##_columns(b->n, b->rows, b->row_step, x, acc);                                 \
      return;                                                                                      \
    }                                                                                              \
    for (int64_t i = 0; i < b->n && !b->columns; i++, x += b->step)                                \
      acc[i] = COMBINE(acc[i], name##_##type##_line(b->rows, x, b->row_step));                     \
    for (int64_t at = 0; at < b->n && b->columns; at += COLUMNS) {                                 \
      T room[COLUMNS];                                                                             \
      int64_t m = b->n - at < COLUMNS ? b->n - at : COLUMNS;                                       \
      for (int64_t row = 0; row < b->rows; row++) {                                                \
        take_##type(m, x + at * b->step + row * b->row_step, b->step, room);                       \
        name##_##type##_columns(m, 1, 0, room, acc + at);                                          \
      }                                                                                            \
    }                                                                                              \
  }

/* ---- results --------------------------------------------------------------------------------- */

#define END(name, T, Acc, RESULT)                                                                  \
  static void name(int64_t count, const void *accumulators, char *to, int64_t step,                \
                   int64_t n_reduced) {                                                            \
    (void)n_reduced;                                                                               \
    const Acc *acc = accumulators;                                                                 \
    T *y = (T *)(void *)to;                                                                        \
    for (int64_t i = 0; i < count; i++) y[i * step] = (T)(RESULT);                                 \
  }
END(f64_to_f32, float, double, acc[i])
END(f64_to_f64, double, double, acc[i])
END(i64_to_i32, int32_t, uint64_t, acc[i])
END(f32_to_f32, float, float, acc[i])
END(i32_to_i32, int32_t, int32_t, acc[i])
END(u8_to_u8, uint8_t, uint8_t, acc[i])
END(mean_to_f32, float, double, acc[i] / (double)n_reduced)
END(mean_to_f64, double, double, acc[i] / (double)n_reduced)
END(root_to_f32, float, double, sqrt(acc[i]))
END(root_to_f64, double, double, sqrt(acc[i]))

/* ---- the reductions -------------------------------------------------------------------------- */

#define ADD(a, x)        ((a) + (x))
#define MUL(a, x)        ((a) * (x))
#define ADD_SQUARE(a, x) ((a) + (x) * (x))
#define MAX(a, x)        ((x) > (a) ? (x) : (a))
#define MIN(a, x)        ((x) < (a) ? (x) : (a))

/* a or b. Written as a condition it may become a branch, and its loop no vectors. */
#define CHOICE(name, T, Bits)                                                                      \
  INLINE T name(bool first, T a, T b) {                                                            \
    Bits a_bits, b_bits, mask = (Bits)0 - (Bits)first;                                             \
    memcpy(&a_bits, &a, sizeof a);                                                                 \
    memcpy(&b_bits, &b, sizeof b);                                                                 \
    a_bits = (Bits)((a_bits & mask) | (b_bits & ~mask));                                           \
    memcpy(&a, &a_bits, sizeof a);                                                                 \
    return a;                                                                                      \
  }
CHOICE(choose_f32, float, uint32_t)
CHOICE(choose_f64, double, uint64_t)
CHOICE(choose_i32, int32_t, uint32_t)
CHOICE(choose_u8, uint8_t, uint8_t)

/* NaN is the largest and the smallest of all. */
#define MAX_F32(a, x) choose_f32((x) > (a) || (x) != (x), x, a)
#define MAX_F64(a, x) choose_f64((x) > (a) || (x) != (x), x, a)
#define MIN_F32(a, x) choose_f32((x) < (a) || (x) != (x), x, a)
#define MIN_F64(a, x) choose_f64((x) < (a) || (x) != (x), x, a)

FOLD(sum, f32, float, double, ADD, 0)
FOLD(sum, f64, double, double, ADD, 0)
FOLD(sum, i32, int32_t, uint64_t, ADD, 0)
FOLD(sum, u8, uint8_t, uint64_t, ADD, 0)
FOLD_OF(squares, f32, float, double, ADD_SQUARE, ADD, 0)
FOLD_OF(squares, f64, double, double, ADD_SQUARE, ADD, 0)
FOLD(prod, f32, float, double, MUL, 1)
FOLD(prod, f64, double, double, MUL, 1)
FOLD(prod, i32, int32_t, uint64_t, MUL, 1)
FOLD(prod, u8, uint8_t, uint64_t, MUL, 1)
FOLD(max, f32, float, float, MAX_F32, -INFINITY)
FOLD(max, f64, double, double, MAX_F64, -INFINITY)
FOLD(max, i32, int32_t, int32_t, MAX, INT32_MIN)
FOLD(max, u8, uint8_t, uint8_t, MAX, 0)
FOLD(min, f32, float, float, MIN_F32, INFINITY)
FOLD(min, f64, double, double, MIN_F64, INFINITY)
FOLD(min, i32, int32_t, int32_t, MIN, INT32_MAX)
FOLD(min, u8, uint8_t, uint8_t, MIN, 255)
FOLD(all, u8, uint8_t, uint8_t, MIN, 1)

/* ---- positions of extrema -------------------------------------------------------------------- */

/* The first element that no other one comes before. Of lines the extremum of each part is found,
 * and then its place in the first of the best parts; columns keep their best ones together. */
enum { PART = 1024, BLOCK = 64, FEW_IN_LINE = 16 };

/* Whether a comes before b: those of which `sign` holds do not, and NaN is the first of all. */
#define BEFORE(a, sign, b) (!((a)sign(b)) && (b) == (b))
#define IS(x, best)        ((x) == (best) || (x) != (x))

#define BEST_OF_ROWS(T, choose, sign, count)                                                       \
  EACH(i, columns) {                                                                               \
    T most = best[i];                                                                              \
    int32_t at = place[i];                                                                         \
    UNROLL for (int32_t k = 0; k < (count); k++) {                                                 \
      T one = x[i + k * row_step];                                                                 \
      bool before = BEFORE(one, sign, most);                                                       \
      at = choose_i32(before, (int32_t)j + k, at);                                                 \
      most = choose(before, one, most);                                                            \
    }                                                                                              \
    best[i] = most;                                                                                \
    place[i] = at;                                                                                 \
  }
#define FIRST_FOUND(T, m, from, step)                                                              \
  for (int32_t j = 0; j < (int32_t)(m); j++) {                                                     \
    T one = (from)[j * (step)];                                                                    \
    int32_t at = IS(one, best) ? j : BLOCK;                                                        \
    first = at < first ? at : first;                                                               \
  }
#define POSITION(name, type, T, fold, sign)                                                        \
  INLINE int32_t name##_in_line(int64_t n, const T *x, int64_t step) {                             \
    int64_t part = 0;                                                                              \
    T best = fold##_line(n < PART ? n : PART, x, step);                                            \
    for (int64_t from = PART; from < n; from += PART) {                                            \
      T one = fold##_line(n - from < PART ? n - from : PART, x + from * step, step);               \
      if (!BEFORE(one, sign, best)) continue;                                                      \
      best = one;                                                                                  \
      part = from;                                                                                 \
    }                                                                                              \
    int32_t first = BLOCK;                                                                         \
    for (; first == BLOCK; part += BLOCK) {                                                        \
      int64_t m = n - part < BLOCK ? n - part : BLOCK;                                             \
      if (step == 1)                                                                               \
        FIRST_FOUND(T, m, x + part, 1)                                                             \
      else                                                                                         \
        FIRST_FOUND(T, m, x + part * step, step)                                                   \
    }                                                                                              \
    return (int32_t)part - BLOCK + first;                                                          \
  }                                                                                                \
  APART void name##_in_rows(int64_t columns, int32_t rows, int32_t j, const T *restrict x,         \
                            int64_t row_step, T *restrict best, int32_t *restrict place) {         \
    if (rows == ROWS) BEST_OF_ROWS(T, choose_##type, sign, ROWS)                                   \
    for (; rows < ROWS && rows > 0; rows--, j++, x += row_step)                                    \
      BEST_OF_ROWS(T, choose_##type, sign, 1)                                                      \
  }                                                                                                \
  static void name##_in_columns(int64_t columns, int64_t step, int64_t n, int64_t row_step,        \
                                const T *x, int32_t *y, int64_t y_step) {                          \
    T best[COLUMNS], room[ROWS * COLUMNS];                                                         \
    int32_t place[COLUMNS] = {0};                                                                  \
    take_##type(columns, x, step, best);                                                           \
    for (int64_t j = 0; j < n; j += ROWS, x += ROWS * row_step) {                                  \
      int32_t rows = n - j < ROWS ? (int32_t)(n - j) : ROWS;                                       \
      for (int32_t k = 0; k < rows && step != 1; k++)                                              \
        take_##type(columns, x + k * row_step, step, room + k * COLUMNS);                          \
      name##_in_rows(columns, rows, (int32_t)j, step == 1 ? x : room,                              \
                     step == 1 ? row_step : COLUMNS, best, place);                                 \
    }                                                                                              \
    for (int64_t i = 0; i < columns; i++) y[i * y_step] = place[i];                                \
  }                                                                                                \
  static void name(CT__LOOP_ARGUMENTS) {                                                           \
    const ct__lines *line = attr;                                                                  \
    const T *x = (const T *)(const void *)p[0];                                                    \
    int32_t *y = (int32_t *)(void *)p[1];                                                          \
    int64_t step = line->step[0], columns = 1;                                                     \
    if (n > 1 && (line->n < FEW_IN_LINE || llabs(s[0]) < llabs(step))) columns = COLUMNS;          \
    for (int64_t i = 0; i < n; i += columns, x += columns * s[0], y += columns * s[1]) {           \
      if (n - i < columns) columns = n - i;                                                        \
      if (columns > 1 || line->alone)                                                              \
        name##_in_columns(columns, s[0], line->n, step, x, y, s[1]);                               \
      else                                                                                         \
        *y = name##_in_line(line->n, x, step);                                                     \
    }                                                                                              \
  }
#define POSITIONS(name, fold, sign)                                                                \
  POSITION(name##_f32, f32, float, fold##_f32, sign)                                               \
  POSITION(name##_f64, f64, double, fold##_f64, sign)                                              \
  POSITION(name##_i32, i32, int32_t, fold##_i32, sign)                                             \
  POSITION(name##_u8, u8, uint8_t, fold##_u8, sign)
POSITIONS(argmax, max, <=)
POSITIONS(argmin, min, >=)

/* ---- the set ----------------------------------------------------------------------------------- */

#define REDUCER(fold, end)                                                                         \
  { fold##_start, fold, fold##_merge, end }
#define REDUCERS(name, f32_end, f64_end, i32_end, u8_end)                                          \
  {                                                                                                \
    [CT_F32] = REDUCER(name##_f32, f32_end), [CT_F64] = REDUCER(name##_f64, f64_end),              \
    [CT_I32] = REDUCER(name##_i32, i32_end), [CT_U8] = REDUCER(name##_u8, u8_end),                 \
    [CT_BOOL] = REDUCER(name##_u8, u8_end),                                                        \
  }
#define LOOPS(name)                                                                                \
  {                                                                                                \
    [CT_F32] = name##_f32, [CT_F64] = name##_f64, [CT_I32] = name##_i32, [CT_U8] = name##_u8,      \
    [CT_BOOL] = name##_u8,                                                                         \
  }
const ct__folds CT__ISA_NAME(ct__folds, CT__ISA) = {
    .sum = REDUCERS(sum, f64_to_f32, f64_to_f64, i64_to_i32, i64_to_i32),
    .mean = {[CT_F32] = REDUCER(sum_f32, mean_to_f32), [CT_F64] = REDUCER(sum_f64, mean_to_f64)},
    .prod = REDUCERS(prod, f64_to_f32, f64_to_f64, i64_to_i32, i64_to_i32),
    .norm2 = {[CT_F32] = REDUCER(squares_f32, root_to_f32),
              [CT_F64] = REDUCER(squares_f64, root_to_f64)},
    .max = REDUCERS(max, f32_to_f32, f64_to_f64, i32_to_i32, u8_to_u8),
    .min = REDUCERS(min, f32_to_f32, f64_to_f64, i32_to_i32, u8_to_u8),
    .any = {[CT_BOOL] = REDUCER(max_u8, u8_to_u8)},
    .all = {[CT_BOOL] = REDUCER(all_u8, u8_to_u8)},
    .argmax = LOOPS(argmax),
    .argmin = LOOPS(argmin),
};
