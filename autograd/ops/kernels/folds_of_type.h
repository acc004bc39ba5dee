/* folds_of_type.h - reductions and positions of extrema for one type T, with integers BITS of its
 * size and sums in SUM, which end as SUM_RESULT: part of folds.c and ../plain_folds.c, included for
 * each. */

/* Of extrema only the largest is looked for: the smallest is that of what is turned around, which
 * is to say all of `turn` changed. Other folds turn nothing. */
#define turned NAMED(turned)
INLINE T turned(T x, BITS turn) {
  BITS bits;
  memcpy(&bits, &x, sizeof x);
  bits = (BITS)(bits ^ turn);
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* a or b. Written as a condition it may become a branch, and its loop no vectors. */
#define choose NAMED(choose)
INLINE T choose(bool first, T a, T b) {
  BITS a_bits, b_bits, mask = (BITS)0 - (BITS)first;
  memcpy(&a_bits, &a, sizeof a);
  memcpy(&b_bits, &b, sizeof b);
  a_bits = (BITS)((a_bits & mask) | (b_bits & (BITS)~mask));
  memcpy(&a, &a_bits, sizeof a);
  return a;
}

/* Rows of n elements, filled up to a whole group. */
#define gather_rows NAMED(gather_rows)
APART void gather_rows(int64_t n, const T *x, int64_t step, int64_t rows, int64_t row_step,
                       T *room) {
  if (n % GROUP != 0) memset(room, 0, (size_t)(rows * WIDE) * sizeof(T));
  ct__move_lines(sizeof(T), rows, n, room, WIDE, 1, x, row_step, step);
}

/* ---- folds ----------------------------------------------------------------------------------- */

#define TAKE_ROWS(ACC, TAKE, count)                                                                \
  {                                                                                                \
    ACC a = acc[i];                                                                                \
    UNROLL for (int64_t j = 0; j < (count); j++) a = TAKE(a, x[i + j * row_step]);                 \
    acc[i] = a;                                                                                    \
  }
#define LANE_GROUPS(ACC, TAKE, count)                                                              \
  for (; n >= (count)*lanes; n -= (count)*lanes, x += (count)*lanes) EACH(l, 0, lanes) {           \
      ACC a = lane[l];                                                                             \
      UNROLL for (int j = 0; j < (count); j++) a = TAKE(a, x[l + j * lanes]);                      \
      lane[l] = a;                                                                                 \
    }
#define HALVE(COMBINE, half)                                                                       \
  if (lanes > (half)) EACH(l, 0, half) lane[l] = COMBINE(lane[l], lane[l + (half)]);

/* An accumulator starts as `nothing`, takes an element, or combines with another. Columns are as
 * many as whole groups have. */
#define FOLD(name, ACC, TAKE, COMBINE, nothing)                                                    \
  APART void NAMED(name##_columns)(int64_t n, int64_t rows, int64_t row_step, const T *restrict x, \
                                   ACC *restrict acc, BITS turn) {                                 \
    (void)turn;                                                                                    \
    n &= -GROUP;                                                                                   \
    for (; rows >= ROWS; rows -= ROWS, x += ROWS * row_step) EACH(i, 0, n)                         \
    TAKE_ROWS(ACC, TAKE, ROWS)                                                                     \
    for (; rows > 0; rows--, x += row_step) EACH(i, 0, n) TAKE_ROWS(ACC, TAKE, 1)                  \
  }                                                                                                \
  APART void NAMED(name##_lanes)(int64_t n, const T *restrict x, ACC *restrict lane, BITS turn) {  \
    enum { lanes = LANES(ACC) };                                                                   \
    (void)turn;                                                                                    \
    LANE_GROUPS(ACC, TAKE, 4)                                                                      \
    LANE_GROUPS(ACC, TAKE, 1)                                                                      \
    for (; n >= FEW; n -= FEW, x += FEW, lane += FEW) {                                            \
      EACH(l, 0, FEW) lane[l] = TAKE(lane[l], x[l]);                                               \
    }                                                                                              \
    EACH_ALONE(l, 0, n) lane[l] = TAKE(lane[l], x[l]);                                             \
  }                                                                                                \
  APART ACC NAMED(name##_line)(int64_t n, const T *x, int64_t step, BITS turn) {                   \
    enum { lanes = LANES(ACC) };                                                                   \
    _Alignas(64) ACC lane[lanes];                                                                  \
    EACH(l, 0, lanes) lane[l] = (ACC)(nothing);                                                    \
    if (step == 1) NAMED(name##_lanes)(n, x, lane, turn);                                          \
    for (int64_t at = 0; at < n && step != 1; at += PART) {                                        \
      T room[PART];                                                                                \
      int64_t m = n - at < PART ? n - at : PART;                                                   \
      ct__move_lines(sizeof(T), 1, m, room, 0, 1, x + at * step, 0, step);                         \
      NAMED(name##_lanes)(m, room, lane, turn);                                                    \
    }                                                                                              \
    HALVE(COMBINE, 32)                                                                             \
    HALVE(COMBINE, 16)                                                                             \
    HALVE(COMBINE, 8)                                                                              \
    HALVE(COMBINE, 4)                                                                              \
    HALVE(COMBINE, 2)                                                                              \
    return COMBINE(lane[0], lane[1]);                                                              \
  }                                                                                                \
  static void NAMED(name##_start)(int64_t n, void *accumulators) {                                 \
    ACC *acc = accumulators;                                                                       \
    EACH(i, 0, WHOLE(n)) acc[i] = (ACC)(nothing);                                                  \
  }                                                                                                \
  static void NAMED(name##_merge)(int64_t n, void *accumulators, const void *part) {               \
    ACC *acc = accumulators;                                                                       \
    const ACC *x = part;                                                                           \
    EACH_ALONE(i, 0, n) acc[i] = COMBINE(acc[i], x[i]);                                            \
  }                                                                                                \
  APART void NAMED(name##_block)(const ct__fold_block *b, const char *from, void *accumulators,    \
                                 BITS turn) {                                                      \
    const T *x = (const T *)(const void *)from;                                                    \
    ACC *acc = accumulators;                                                                       \
    if (!b->columns) {                                                                             \
      for (int64_t i = 0; i < b->n; i++, x += b->step)                                             \
        acc[i] = COMBINE(acc[i], NAMED(name##_line)(b->rows, x, b->row_step, turn));               \
      return;                                                                                      \
    }                                                                                              \
    const int64_t direct = whole_rows(b->n, b->step, b->rows, b->row_step);                        \
    NAMED(name##_columns)(WHOLE(b->n), direct, b->row_step, x, acc, turn);                         \
    x += direct * b->row_step;                                                                     \
    EACH_BLOCK(b->n, b->rows - direct) {                                                           \
      T room[TALL * WIDE];                                                                         \
      gather_rows(m, x + at * b->step + row * b->row_step, b->step, rows, b->row_step, room);      \
      NAMED(name##_columns)(WHOLE(m), rows, WIDE, room, acc + at, turn);                           \
    }                                                                                              \
  }
#define FOLDED(name, of, turn)                                                                     \
  static void NAMED(name)(const ct__fold_block *b, const char *from, void *accumulators) {         \
    NAMED(of##_block)(b, from, accumulators, turn);                                                \
  }

#define NUMBER(x)         ((x) == (x))
#define ADD(a, x)         ((a) + (SUM)(x))
#define MUL(a, x)         ((a) * (SUM)(x))
#define ADD_SQUARE(a, x)  ((a) + (SUM)(x) * (SUM)(x))
#define larger            NAMED(larger)
#define TAKE_LARGER(a, x) larger(a, turned(x, turn))
/* NaN is the largest of all. */
INLINE T larger(T a, T x) { return choose((x > a) | !NUMBER(x), x, a); }

FOLD(sum, SUM, ADD, ADD, 0)
FOLDED(sum, sum, 0)
FOLD(prod, SUM, MUL, MUL, 1)
FOLDED(prod, prod, 0)
FOLD(most, T, TAKE_LARGER, larger, LEAST)
FOLDED(max, most, 0)
FOLDED(min, most, TURN)
#ifdef FLOATING
FOLD(squares, SUM, ADD_SQUARE, ADD, 0)
FOLDED(squares, squares, 0)
#endif

/* ---- results --------------------------------------------------------------------------------- */

#define END(name, ACC, Y, result)                                                                  \
  static void NAMED(name)(int64_t count, const void *accumulators, char *to, int64_t step,         \
                          int64_t n) {                                                             \
    const ACC *acc = accumulators;                                                                 \
    Y *y = (Y *)(void *)to;                                                                        \
    (void)n;                                                                                       \
    EACH_ALONE(i, 0, count) y[i * step] = (Y)(result);                                             \
  }
END(sum_end, SUM, SUM_RESULT, acc[i])
END(max_end, T, T, acc[i])
END(min_end, T, T, turned(acc[i], TURN))
#ifdef FLOATING
END(mean_end, SUM, T, acc[i] / (double)n)
END(root_end, SUM, T, sqrt(acc[i]))
#else
END(any_end, T, uint8_t, acc[i] != 0)
END(all_end, T, uint8_t, turned(acc[i], TURN) != 0)
#endif

/* ---- positions of the largest ---------------------------------------------------------------- */

#define BEFORE(a, b)  (!((a) <= (b)) && NUMBER(b))
#define IS(x, best)   (turned(x, turn) == (best) || !NUMBER(x))
#define first_in_line NAMED(first_in_line)
#define first_of_rows NAMED(first_of_rows)
#define first_places  NAMED(first_places)

/* The largest of each part is found, and then its place in the first of the best parts. */
static inline int32_t first_in_line(int64_t n, const T *x, int64_t step, BITS turn) {
  enum { LONG = 1024, BLOCK = 64 };
  int64_t at = 0;
  T best = NAMED(most_line)(n < LONG ? n : LONG, x, step, turn);
  for (int64_t from = LONG; from < n; from += LONG) {
    T one = NAMED(most_line)(n - from < LONG ? n - from : LONG, x + from * step, step, turn);
    if (!BEFORE(one, best)) continue;
    best = one;
    at = from;
  }
  for (int there = 0; step == 1 && at + BLOCK <= n; at += BLOCK) {
    EACH(i, 0, BLOCK) there |= IS(x[at + i], best);
    if (there) break;
  }
  while (!IS(x[at * step], best)) at++;
  return (int32_t)at;
}

/* A row of n elements at place j: which of them come before the best ones so far. */
APART void first_of_rows(int64_t n, int64_t rows, int64_t row_step, const T *restrict x, int32_t j,
                         T *restrict best, int32_t *restrict place, BITS turn) {
#define BETTER                                                                                     \
  {                                                                                                \
    T one = turned(x[i], turn), most = best[i];                                                    \
    const int32_t mask = -(int32_t)BEFORE(one, most);                                              \
    place[i] = (place[i] & ~mask) | (j & mask);                                                    \
    best[i] = choose(BEFORE(one, most), one, most);                                                \
  }
  for (; rows > 0; rows--, j++, x += row_step) {
    EACH(i, 0, n & -GROUP) BETTER
  }
}

static void first_places(CT__LOOP_ARGUMENTS, BITS turn) {
  enum { SHORT = 16 };
  const ct__lines *line = attr;
  const T *x = (const T *)(const void *)p[0];
  int32_t *y = (int32_t *)(void *)p[1];
  const bool together = n > 1 && (line->n < SHORT || llabs(s[0]) < llabs(line->step[0]));
  if (!together && !line->alone) {
    for (int64_t i = 0; i < n; i++)
      y[i * s[1]] = first_in_line(line->n, x + i * s[0], line->step[0], turn);
    return;
  }
  T best[WIDE] = {0}, room[TALL * WIDE];
  int32_t place[WIDE];
  const int64_t whole = whole_rows(n, s[0], line->n, line->step[0]);
  EACH_BLOCK(n, line->n) {
    const T *from = x + at * s[0] + row * line->step[0];
    const bool direct = row + rows <= whole;
    if (!direct) gather_rows(m, from, s[0], rows, line->step[0], room);
    if (row == 0) {
      EACH_ALONE(i, 0, m) best[i] = turned(from[i * s[0]], turn);
      memset(place, 0, sizeof place);
    }
    first_of_rows(WHOLE(m), rows, direct ? line->step[0] : WIDE, direct ? from : room, (int32_t)row,
                  best, place, turn);
    EACH_ALONE(i, 0, m) y[(at + i) * s[1]] = place[i];
  }
}
static void NAMED(argmax)(CT__LOOP_ARGUMENTS) { first_places(n, p, s, attr, 0); }
static void NAMED(argmin)(CT__LOOP_ARGUMENTS) { first_places(n, p, s, attr, TURN); }

#undef turned
#undef gather_rows
#undef choose
#undef larger
#undef first_in_line
#undef first_of_rows
#undef first_places
