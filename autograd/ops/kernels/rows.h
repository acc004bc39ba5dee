/* rows.h - the words in which rows.def and integers.def write loops. The type is T; IN(k) is the
 * element of operand k. */
#ifndef COTANGENT_ROWS_H
#define COTANGENT_ROWS_H

#include "../../../tensor/vectors.h"
#include "../elementwise.h"
#include "../kernels.h"

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
#define LOAD_CAB                                                                                   \
  const bool c = IN(0) != 0;                                                                       \
  const T a = IN(1);                                                                               \
  const T b = IN(2)

#define NOTHING (void)0
#define WITH_P  const T p = (T) * (const double *)attr
#define WITH_BOUNDS                                                                                \
  const T lo = (T)((const ct__bounds *)attr)->lo;                                                  \
  const T hi = (T)((const ct__bounds *)attr)->hi
#define CLAMPED x<lo ? lo : x> hi ? hi : x /* NaN stays */

#endif
