/* matrix_layouts.h - the ways in which matrices lie in the tests of products. */
#ifndef COTANGENT_MATRIX_LAYOUTS_H
#define COTANGENT_MATRIX_LAYOUTS_H

#include "testing.h"

static uint32_t seed = 1;

static inline int draw(int n) {
  seed = seed * 1664525u + 1013904223u;
  return (int)((seed >> 8) % (uint32_t)n);
}

typedef enum layout {
  ROWS,    /* rows are contiguous */
  COLUMNS, /* columns are contiguous */
  PART,    /* rows inside a larger matrix */
  PART_COLUMNS,
  SPREAD,      /* steps of more than 1 both ways */
  UPSIDE_DOWN, /* negative step between rows */
  BACKWARDS,   /* negative step in a row */
  SAME_ROWS,   /* one row repeated; inputs only */
  SAME_NUMBER, /* one number repeated; inputs only */
  LAYOUTS,
  OUTPUT_LAYOUTS = SAME_ROWS,
} layout;

/* The steps between rows and between columns. */
static inline void layout_steps(layout how, int64_t rows, int64_t columns, int64_t to[2]) {
  int64_t r = rows > 0 ? rows : 1, c = columns > 0 ? columns : 1;
  const int64_t step[LAYOUTS][2] = {
      [ROWS] = {c, 1},        [COLUMNS] = {1, r},
      [PART] = {c + 3, 1},    [PART_COLUMNS] = {1, r + 2},
      [SPREAD] = {2 * c, 2},  [UPSIDE_DOWN] = {-c, 1},
      [BACKWARDS] = {c, -1},  [SAME_ROWS] = {0, 1},
      [SAME_NUMBER] = {0, 0},
  };
  memcpy(to, step[how], sizeof step[how]);
}

static inline void set_number(ct_dtype dtype, void *block, int64_t at, double value) {
  if (dtype == CT_F32)
    ((float *)block)[at] = (float)value;
  else
    ((double *)block)[at] = value;
}

#endif
