/* kernels.h - the loops that are compiled once for each instruction set (kernels/kernels.c).
 *
 * Records hold loops that pass on to those of the instruction set in use, so the choice is one jump
 * away and everything that holds a loop may keep it.
 */
#ifndef COTANGENT_KERNELS_H
#define COTANGENT_KERNELS_H

#include "../autograd_internal.h"

#define CT__LOOP_ARGUMENTS int64_t n, char *const *p, const int64_t *s, const void *attr

/* Loops whose names are not made from rows. */
#define CT__UNARY_EXTRAS(X)                                                                        \
  X(neg_i32) X(abs_i32) X(square_i32) X(sign_i32) X(is_finite_f32) X(is_finite_f64) X(not_u8)
// clang-format off
#define CT__BINARY_EXTRAS(X)                                                                       \
  X(add_f32) X(add_f64) X(add_i32) X(sub_f32) X(sub_f64) X(sub_i32) X(mul0_f32) X(mul0_f64)        \
  X(mul_i32) X(rem_i32) X(maximum_i32) X(minimum_i32)
#define CT__MISC_LOOPS(X)                                                                          \
  X(scale_f32) X(scale_f64) X(scale_i32) X(shift_f32) X(shift_f64) X(shift_i32) X(clamp_f32)       \
  X(clamp_f64) X(clamp_i32) X(clamp_dx_f32) X(clamp_dx_f64) X(where_u8) X(where_i32) X(where_i64)
// clang-format on

#define POLYGAMMA_MAX 100 /* the highest order */

/* Those of a clamp. */
typedef struct ct__bounds {
  double lo, hi;
} ct__bounds;

/* A sum of exponentials: how many are 1, and the sum of the others, which next to 1 would lose
 * their digits. */
typedef struct ct__exp_sum {
  double ones, rest;
} ct__exp_sum;

/* How long lines are and how the elements of each operand lie along them. */
typedef struct ct__lines {
  int64_t n, step[CT__MAX_OPERANDS];
  bool alone;       /* one by one, however short: the plain path */
  const void *attr; /* what else a loop is to know */
} ct__lines;

/* The rows of a cross entropy; steps in elements. The target of an element is keep times (whether
 * the label is it, or its probability) + floor. */
typedef struct ct__loss_rows {
  int64_t classes;
  const char *x; /* the logits */
  int64_t x_row, x_step;
  const int32_t *label; /* in range; NULL for probabilities */
  int64_t label_step;
  const char *p; /* the probabilities */
  int64_t p_row, p_step;
  double keep, floor;
  const char *gy; /* of each row, to be divided by */
  int64_t gy_step;
  double divisor;
  char *loss, *gx; /* of each row, contiguous; either may be NULL */
  bool plain;      /* labels, and no floor */
  bool wanted;     /* the sum of losses, or losses */
  bool alone;      /* rows one by one, however short: the plain path */
} ct__loss_rows;

/* Lines of n elements that lie `step` apart; see lines.h and kernels/. cross_entropy: the sum of
 * the losses of rows from <= i < to. */
#define CT__LINE_KERNELS(T)                                                                        \
  T (*max_##T)(int64_t n, const T *x, int64_t step);                                               \
  ct__exp_sum (*sum_exp_##T)(int64_t n, const T *x, int64_t step, T shift);                        \
  ct__exp_sum (*store_exp_##T)(int64_t n, const T *x, int64_t step, T shift, T *y,                 \
                               int64_t y_step);                                                    \
  ct_loop *softmax_##T, *log_softmax_##T, *logsumexp_##T;                                          \
  void (*deviation_##T)(int64_t n, const T *p, const T *t, T *y, const int64_t *step);             \
  void (*balance_##T)(int64_t n, const T *a, const T *b, T *y, const int64_t *step);               \
  double (*cross_entropy_##T)(const ct__loss_rows *o, int64_t from, int64_t to);

/* A row on single numbers, which need no vectors: its result, of as many operands as it reads. */
typedef float ct__row_one_f32(float, float, float, float, const void *attr);
typedef double ct__row_one_f64(double, double, double, double, const void *attr);

typedef struct ct__kernels {
#define ONE(name) ct_loop *name;
#define ROW(name)                                                                                  \
  ct_loop *name##_f32, *name##_f64;                                                                \
  ct__row_one_f32 *name##_one_f32;                                                                 \
  ct__row_one_f64 *name##_one_f64;
#define UNARY(name, ...)      ROW(name) ROW(name##_dx)
#define UNARY_WITH            UNARY
#define UNARY_STEP(name, ...) ROW(name)
#include "unary.def"
  CT__UNARY_EXTRAS(ONE)
#define BINARY(name, ...)   ROW(name) ROW(name##_da) ROW(name##_db)
#define COMPARE(name, sign) ct_loop *name##_f32, *name##_f64, *name##_i32, *name##_u8;
#define LOGICAL(name, sign) ct_loop *name##_u8;
#include "binary.def"
  CT__BINARY_EXTRAS(ONE)
  CT__MISC_LOOPS(ONE)
#undef ROW
#undef ONE
  CT__LINE_KERNELS(float)
  CT__LINE_KERNELS(double)
} ct__kernels;
#define CT__KERNELS_OF(isa) extern const ct__kernels ct__kernels_##isa;
CT__ISA_LIST(CT__KERNELS_OF)

extern const ct__kernels *const ct__kernel_sets[];
/* Those of the instruction set in use. */
static inline const ct__kernels *ct__kernels_now(void) { return ct__kernel_sets[ct__isa()]; }

/* The loops of a row of n_in operands, as records hold them. */
#define CT__ROW(name, n_in)                                                                        \
  CT__ROW_OF_TYPE(name, n_in, f32, float) CT__ROW_OF_TYPE(name, n_in, f64, double)
#define CT__ROW_OF_TYPE(name, n_in, type, T)                                                       \
  static void name##_##type(CT__LOOP_ARGUMENTS) {                                                  \
    const ct__kernels *now = ct__kernels_now();                                                    \
    if (n == 1)                                                                                    \
      *(T *)(void *)p[n_in] =                                                                      \
          now->name##_one_##type(CT__ROW_IN(T, 0, n_in), CT__ROW_IN(T, 1, n_in),                   \
                                 CT__ROW_IN(T, 2, n_in), CT__ROW_IN(T, 3, n_in), attr);            \
    else                                                                                           \
      now->name##_##type(n, p, s, attr);                                                           \
  }
#define CT__ROW_IN(T, i, n_in) (*(const T *)(const void *)p[(i) < (n_in) ? (i) : 0])

/* Such a loop, and where in ct__kernels the function of single numbers lies; the last one has no
 * loop. */
typedef struct ct__row_place {
  ct_loop *loop;
  size_t one;
} ct__row_place;
#define CT__ROW_PLACES(name)                                                                       \
  {name##_f32, offsetof(ct__kernels, name##_one_f32)},                                             \
      {name##_f64, offsetof(ct__kernels, name##_one_f64)},
extern const ct__row_place ct__unary_places[], ct__binary_places[];

/* Reductions, and loops that find positions along lines: of f32 and f64, or of i32 and u8 (bools
 * are u8). */
typedef struct ct__folds {
  ct__reducer sum[2], mean[2], norm2[2], prod[2], max[2], min[2], any[2], all[2];
  ct_loop *argmax[2], *argmin[2];
} ct__folds;
#define CT__FOLDS_OF(isa) extern const ct__folds ct__folds_##isa;
CT__ISA_LIST(CT__FOLDS_OF)
extern const ct__folds ct__plain_folds; /* compiled once */

extern const ct__folds *const ct__fold_sets[];
static inline const ct__folds *ct__folds_of(ct_dtype dtype) {
  return ct_dtype_is_float(dtype) ? ct__fold_sets[ct__isa()] : &ct__plain_folds;
}
#define CT__FOLD_OF(dtype, what) (ct__folds_of(dtype)->what[ct_dtype_size(dtype) != 4])

/* Loops that carry something along lines, by dtype; attr of a recurrence: whether it is part of a
 * derivative, a bool. */
typedef struct ct__running {
  ct_loop *cumsum[CT_DTYPES], *cummax[CT_DTYPES], *recurrence[CT_DTYPES];
} ct__running;
#define CT__RUNNING_OF(isa) extern const ct__running ct__running_##isa;
CT__ISA_LIST(CT__RUNNING_OF)

extern const ct__running *const ct__running_sets[];
static inline const ct__running *ct__running_now(void) { return ct__running_sets[ct__isa()]; }

#endif
