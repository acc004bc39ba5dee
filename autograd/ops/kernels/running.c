/* running.c - what is carried along lines: sums, maxima, recurrences. Compiled once for each
 * instruction set; CT__ISA is its name.
 *
 * Each element waits for the one before it, so other lines go along: many if their results lie side
 * by side, as vectors and in the order of the memory, else a few. No line minds the others: it has
 * the same bits wherever it lies. */
#include "../kernels.h"

#include "../../../tensor/move.h"
#include "../../../tensor/vectors.h"

#include <stdlib.h>

enum {
  SIDE_BY_SIDE = 512, /* lines at a time: what is carried stays in the first cache */
  TALL = 4
};

/* m lines: p points to their first elements, `next` leads from line to line. */
#define LINES_ARGUMENTS                                                                            \
  bool beside, int64_t m, const ct__lines *l, char *const *p, const int64_t *next
#define EACH_ROW for (int64_t k = 0; k < l->n; k++)
#define EACH_LINE(...)                                                                             \
  if (beside) {                                                                                    \
    VECTORISE for (int64_t j = 0; j < m; j++) __VA_ARGS__                                          \
  } else {                                                                                         \
    UNROLL for (int64_t j = 0; j < m; j++) __VA_ARGS__                                             \
  }

/* What kernels for lines side by side read of those that do not lie so is gathered, so many rows at
 * a time. */
#define INPUT(T, x, i)                                                                             \
  const T *x = (const T *)(const void *)p[i];                                                      \
  T x##_room[TALL * SIDE_BY_SIDE];                                                                 \
  const bool x##_apart = beside && next[i] != 1;                                                   \
  const int64_t x##_next = beside ? 1 : next[i];
#define OUTPUT(T, y, i)                                                                            \
  T *y = (T *)(void *)p[i];                                                                        \
  const int64_t y##_next = beside ? 1 : next[i];
/* Element k of each line, in x_row[j * x_next]. */
#define READ(T, x, i, k)                                                                           \
  const T *x##_row = x##_apart ? x##_room + (k) % TALL * SIDE_BY_SIDE : x + (k)*l->step[i];        \
  if (x##_apart && (k) % TALL == 0)                                                                \
    ct__move_lines(sizeof(T), m, l->n - (k) < TALL ? l->n - (k) : TALL, x##_room, 1, SIDE_BY_SIDE, \
                   x + (k)*l->step[i], next[i], l->step[i]);
#define WRITE(T, y, i, k) T *y##_row = y + (k)*l->step[i];

/* The loop of name_lines over operands of these sizes: with vectors or without, so many lines at a
 * time where they do not lie side by side. */
#define LOOP_OVER_LINES(name, vectors, few, ...)                                                   \
  static void name(CT__LOOP_ARGUMENTS) {                                                           \
    static const int64_t item[] = {__VA_ARGS__};                                                   \
    enum { LAST = sizeof item / sizeof *item - 1 };                                                \
    const ct__lines *l = attr;                                                                     \
    const bool beside = vectors && !l->alone && s[LAST] == 1 && llabs(l->step[LAST]) > 1;          \
    char *at[LAST + 1];                                                                            \
    memcpy(at, p, sizeof at);                                                                      \
    for (int64_t i = 0, m; i < n; i += m) {                                                        \
      if (beside)                                                                                  \
        name##_lines(true, m = n - i < SIDE_BY_SIDE ? n - i : SIDE_BY_SIDE, l, at, s);             \
      else if (few > 1 && n - i >= few && !l->alone)                                               \
        name##_lines(false, m = few, l, at, s);                                                    \
      else                                                                                         \
        name##_lines(false, m = 1, l, at, s);                                                      \
      for (int k = 0; k <= LAST; k++) at[k] += m * s[k] * item[k];                                 \
    }                                                                                              \
  }

/* Floats are added in double; integers wrap. */
#define CUMSUM(name, vectors, T, U, Sum)                                                           \
  INLINE void name##_lines(LINES_ARGUMENTS) {                                                      \
    INPUT(T, x, 0)                                                                                 \
    OUTPUT(U, y, 1)                                                                                \
    Sum sum[SIDE_BY_SIDE];                                                                         \
    EACH_LINE(sum[j] = 0;)                                                                         \
    EACH_ROW {                                                                                     \
      READ(T, x, 0, k)                                                                             \
      WRITE(U, y, 1, k)                                                                            \
      EACH_LINE({                                                                                  \
        sum[j] += (Sum)x_row[j * x_next];                                                          \
        y_row[j * y_next] = (U)sum[j];                                                             \
      })                                                                                           \
    }                                                                                              \
  }                                                                                                \
  LOOP_OVER_LINES(name, vectors, 4, sizeof(T), sizeof(U))
CUMSUM(cumsum_f32, true, float, float, double)
CUMSUM(cumsum_f64, true, double, double, double)
CUMSUM(cumsum_i32, true, int32_t, int32_t, uint32_t)
CUMSUM(cumsum_u8, false, uint8_t, int32_t, uint32_t)

/* s = a s + b, carried as sums are. In a derivative zero times anything is zero: where that makes a
 * difference, the last state is NaN without it, and the line is gone along once more. */
#define RECURRENCE(name, vectors, T, State)                                                        \
  APART void name##_of_derivative(const ct__lines *l, const T *a, const T *b, State state, T *y) { \
    EACH_ROW {                                                                                     \
      State added = (State)b[k * l->step[1]];                                                      \
      state = state == 0 ? added : (State)a[k * l->step[0]] * state + added;                       \
      y[k * l->step[3]] = (T)state;                                                                \
    }                                                                                              \
  }                                                                                                \
  INLINE void name##_lines(LINES_ARGUMENTS) {                                                      \
    INPUT(T, a, 0)                                                                                 \
    INPUT(T, b, 1)                                                                                 \
    INPUT(T, start, 2)                                                                             \
    OUTPUT(T, y, 3)                                                                                \
    State state[SIDE_BY_SIDE];                                                                     \
    READ(T, start, 2, 0)                                                                           \
    EACH_LINE(state[j] = (State)start_row[j * start_next];)                                        \
    EACH_ROW {                                                                                     \
      READ(T, a, 0, k)                                                                             \
      READ(T, b, 1, k)                                                                             \
      WRITE(T, y, 3, k)                                                                            \
      EACH_LINE({                                                                                  \
        state[j] = (State)a_row[j * a_next] * state[j] + (State)b_row[j * b_next];                 \
        y_row[j * y_next] = (T)state[j];                                                           \
      })                                                                                           \
    }                                                                                              \
    if (*(const bool *)l->attr)                                                                    \
      for (int64_t j = 0; j < m; j++)                                                              \
        if (state[j] != state[j])                                                                  \
          name##_of_derivative(l, a + j * next[0], b + j * next[1], (State)start[j * next[2]],     \
                               y + j * next[3]);                                                   \
  }                                                                                                \
  LOOP_OVER_LINES(name, vectors, 4, sizeof(T), sizeof(T), sizeof(T), sizeof(T))
RECURRENCE(recurrence_f32, true, float, double)
RECURRENCE(recurrence_f64, true, double, double)
RECURRENCE(recurrence_i32, false, int32_t, uint32_t)

/* The largest so far and where it is: NaN wins, then the first. */
#define CUMMAX(name, vectors, T)                                                                   \
  INLINE void name##_lines(LINES_ARGUMENTS) {                                                      \
    INPUT(T, x, 0)                                                                                 \
    OUTPUT(int32_t, at, 1)                                                                         \
    OUTPUT(T, y, 2)                                                                                \
    T best[SIDE_BY_SIDE];                                                                          \
    int32_t place[SIDE_BY_SIDE];                                                                   \
    EACH_LINE({                                                                                    \
      best[j] = 0;                                                                                 \
      place[j] = 0;                                                                                \
    })                                                                                             \
    EACH_ROW {                                                                                     \
      READ(T, x, 0, k)                                                                             \
      WRITE(int32_t, at, 1, k)                                                                     \
      WRITE(T, y, 2, k)                                                                            \
      EACH_LINE({                                                                                  \
        T one = x_row[j * x_next];                                                                 \
        T most = best[j];                                                                          \
        bool wins = (k == 0) | (one > most) | ((one != one) & (most == most));                     \
        y_row[j * y_next] = best[j] = wins ? one : most;                                           \
        at_row[j * at_next] = place[j] = wins ? (int32_t)k : place[j];                             \
      })                                                                                           \
    }                                                                                              \
  }                                                                                                \
  LOOP_OVER_LINES(name, vectors, 1, sizeof(T), sizeof(int32_t), sizeof(T))
CUMMAX(cummax_f32, true, float)
CUMMAX(cummax_f64, true, double)
CUMMAX(cummax_i32, false, int32_t)
CUMMAX(cummax_u8, false, uint8_t)

const ct__running CT__ISA_NAME(ct__running, CT__ISA) = {
    .cumsum = {cumsum_f32, cumsum_f64, cumsum_i32, cumsum_u8, cumsum_u8},
    .cummax = {cummax_f32, cummax_f64, cummax_i32, cummax_u8, cummax_u8},
    .recurrence = {recurrence_f32, recurrence_f64, recurrence_i32},
};
