/* kernels.h - the loops that are compiled once for each instruction set (kernels/).
 *
 * Records hold loops that pass on to those of the instruction set in use, so the choice is one jump
 * away and everything that holds a loop may keep it.
 */
#ifndef COTANGENT_KERNELS_H
#define COTANGENT_KERNELS_H

#include "../autograd_internal.h"

#define CT__LOOP_ARGUMENTS int64_t n, char *const *p, const int64_t *s, const void *attr

#define POLYGAMMA_MAX 100              /* the highest order */
double ct__polygamma(int n, double x); /* derivative n + 1 of ln Gamma */
double ct__ln_gamma(double x);         /* ln |Gamma(x)|, without libm's global sign */

/* Those of a clamp. */
typedef struct ct__bounds {
  double lo, hi;
} ct__bounds;

/* ---- elementwise loops ----------------------------------------------------------------------- */

/* The loops of records, which lead to those below (lead.c). */
#define ROW(name, ...) ct_loop ct__##name;
#include "rows.def"
#define ROW(name, ...) ct_loop ct__##name;
#include "integers.def"

/* Their positions. */
enum {
#define ROW(name, ...) CT__ROW_##name,
#include "rows.def"
  CT__ROWS
};
/* That of the loop of a record, if all its operands are floats of one type; else -1. */
int ct__row_of(ct_loop *loop);
/* Is it a row of one operand, and a loop over whole vectors whatever the numbers are? */
bool ct__row_of_vectors(int row);

/* Rows as loops over whole vectors of elements that lie side by side: over n, a multiple of the
 * vectors' bytes over those of the smallest element, from in[0], in[1], ... to in[n_in]. NULL:
 * none, as there are no vectors in it. */
typedef void ct__whole_loop(int64_t n, char *const *in, const void *attr);
typedef struct ct__elements {
  int64_t vector_bytes;
  /* whether some number is too far from 0 for sines as vectors, f32 and f64 */
  bool (*any_far[2])(int64_t n, const void *x, int64_t step);
  ct__whole_loop *row[CT__ROWS];
} ct__elements;
#define CT__ELEMENTS_OF(isa) extern const ct__elements ct__elements_##isa;
CT__ISA_LIST(CT__ELEMENTS_OF)

/* Rows as functions of single numbers, with branches where a vector would compute both sides: of as
 * many operands as they read. v4 would make of them what v3 makes. */
typedef float ct__row_one_f32(float, float, float, float, const void *attr);
typedef double ct__row_one_f64(double, double, double, double, const void *attr);
typedef union ct__row_one {
  ct__row_one_f32 *f32;
  ct__row_one_f64 *f64;
} ct__row_one;
#ifdef CT__X86_LEVELS
#define CT__NARROW_LIST(X) X(v2) X(v3) X(v3)
#else
#define CT__NARROW_LIST CT__ISA_LIST
#endif
#define CT__NUMBERS_OF(isa) extern const ct__row_one ct__numbers_##isa[CT__ROWS];
CT__NARROW_LIST(CT__NUMBERS_OF)

extern const ct__row_one *const ct__number_sets[];
static inline const ct__row_one *ct__numbers_now(void) { return ct__number_sets[ct__isa()]; }

typedef struct ct__integers {
#define ROW(name, ...) ct_loop *name;
#include "integers.def"
} ct__integers;
#define CT__INTEGERS_OF(isa) extern const ct__integers ct__integers_##isa;
CT__NARROW_LIST(CT__INTEGERS_OF)

/* ---- lines and folds ------------------------------------------------------------------------- */

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

/* Loops over lines (lines.h, kernels/lines_of_type.c). sum_exp: of y = e^(x - shift), n elements
 * that lie `step` apart; y may be NULL. cross_entropy: the sum of the losses of rows from <= i <
 * to. */
typedef struct ct__line_loops {
  ct_loop *softmax, *log_softmax, *logsumexp, *deviation, *balance;
  ct__exp_sum (*sum_exp)(int64_t n, const void *x, int64_t step, double shift, void *y,
                         int64_t y_step);
  double (*cross_entropy)(const ct__loss_rows *o, int64_t from, int64_t to);
} ct__line_loops;
#define CT__LINE_LOOPS_OF(isa)                                                                     \
  extern const ct__line_loops ct__line_loops_f32_##isa, ct__line_loops_f64_##isa;
CT__ISA_LIST(CT__LINE_LOOPS_OF)

extern const ct__line_loops *const ct__line_sets[][2];
static inline const ct__line_loops *ct__lines_of(ct_dtype dtype) {
  return ct__line_sets[ct__isa()][dtype == CT_F64];
}

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
