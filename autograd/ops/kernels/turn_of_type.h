/* turn_of_type.h - lines become rows, for one type T of 4 or 8 bytes: part of lines_of_type.h and
 * folds_of_type.h, included for each. */

#define QUAD      NAMED(quad)
#define transpose NAMED(transpose)
#define gather    NAMED(gather)

/* Four neighbours anywhere in memory. */
typedef T QUAD __attribute__((vector_size(4 * sizeof(T)), aligned(sizeof(T)), may_alias));

/* Four rows of four become columns. */
static inline void transpose(const T *x, int64_t x_step, T *y, int64_t y_step) {
  const QUAD a = *(const QUAD *)x, b = *(const QUAD *)(x + x_step),
             c = *(const QUAD *)(x + 2 * x_step), d = *(const QUAD *)(x + 3 * x_step);
  const QUAD ab = __builtin_shufflevector(a, b, 0, 4, 1, 5),
             cd = __builtin_shufflevector(c, d, 0, 4, 1, 5),
             ba = __builtin_shufflevector(a, b, 2, 6, 3, 7),
             dc = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  *(QUAD *)y = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
  *(QUAD *)(y + y_step) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  *(QUAD *)(y + 2 * y_step) = __builtin_shufflevector(ba, dc, 0, 1, 4, 5);
  *(QUAD *)(y + 3 * y_step) = __builtin_shufflevector(ba, dc, 2, 3, 6, 7);
}

/* Element j of line i becomes element i of row j. */
APART void gather(int64_t lines, const T *x, int64_t line_step, int64_t n, int64_t step, T *to,
                  int64_t row_step) {
  int64_t i = 0;
  for (; i + 4 <= lines && step == 1 && n >= 4; i += 4)
    for (int64_t j = 0; j < n; j += 4) {
      int64_t at = j < n - 4 ? j : n - 4; /* the last four overlap */
      transpose(x + i * line_step + at, line_step, to + at * row_step + i, row_step);
    }
  for (; i < lines; i++)
    for (int64_t j = 0; j < n; j++) to[j * row_step + i] = x[i * line_step + j * step];
}
