/* casts.c - from one dtype to another. Compiled once for each instruction set. */
#include "../tensor_internal.h"
#include "../vectors.h"

/* Out of range is undefined in C; here it saturates, and NaN becomes 0. Bounds come first, so that
 * no step depends on a condition. */
#define BETWEEN(T, lo, x, hi) at_most_##T(at_least_##T(x, lo), hi)
#define BOUNDS(T)                                                                                  \
  static inline T at_least_##T(T x, T lo) { return x > lo ? x : lo; } /* lo for NaN */             \
  static inline T at_most_##T(T x, T hi) { return x < hi ? x : hi; }
BOUNDS(float)
BOUNDS(double)
BOUNDS(int32_t)
static inline int32_t f64_to_i32(double x) {
  return (int32_t)BETWEEN(double, INT32_MIN, x, INT32_MAX) & -(x == x);
}
static inline uint8_t i32_to_u8(int32_t x) { return (uint8_t)BETWEEN(int32_t, 0, x, 255); }
static inline uint8_t f32_to_u8(float x) { return (uint8_t)(int32_t)BETWEEN(float, 0, x, 255); }
static inline uint8_t f64_to_u8(double x) { return (uint8_t)(int32_t)BETWEEN(double, 0, x, 255); }

#define TO_F32(x)  ((float)(x))
#define TO_F64(x)  ((double)(x))
#define TO_BOOL(x) ((uint8_t)((x) != 0))
#define SAME(x)    (x)

enum { GROUP = 64 }; /* elements: whole vectors of any type */
#define CAST_LOOP(from, to, From, To, convert)                                                     \
  static void from##_to_##to##_loop(int64_t n, char *const *p, const int64_t *s, const void *a) {  \
    (void)a;                                                                                       \
    const From *x = (const From *)(const void *)p[0];                                              \
    To *y = (To *)(void *)p[1];                                                                    \
    int64_t i = 0;                                                                                 \
    if (s[0] == 1 && s[1] == 1) VECTORISE for (; i < (n & -GROUP); i++) y[i] = convert(x[i]);      \
    for (; i < n && as_it_stands(); i++) y[i * s[1]] = convert(x[i * s[0]]);                       \
  }
/* clang-format off */
#define CAST_LIST(X)                                                                               \
  X(f32, f64, float, double, TO_F64)      X(f32, i32, float, int32_t, f64_to_i32)                  \
  X(f32, u8, float, uint8_t, f32_to_u8)   X(f32, bool, float, uint8_t, TO_BOOL)                    \
  X(f64, f32, double, float, TO_F32)      X(f64, i32, double, int32_t, f64_to_i32)                 \
  X(f64, u8, double, uint8_t, f64_to_u8)  X(f64, bool, double, uint8_t, TO_BOOL)                   \
  X(i32, f32, int32_t, float, TO_F32)     X(i32, f64, int32_t, double, TO_F64)                     \
  X(i32, u8, int32_t, uint8_t, i32_to_u8) X(i32, bool, int32_t, uint8_t, TO_BOOL)                  \
  X(u8, f32, uint8_t, float, TO_F32)      X(u8, f64, uint8_t, double, TO_F64)                      \
  X(u8, i32, uint8_t, int32_t, SAME)      X(u8, bool, uint8_t, uint8_t, TO_BOOL)
/* clang-format on */
CAST_LIST(CAST_LOOP)

/* NULL: a copy. */
const ct__cast_loops CT__ISA_NAME(ct__casts, CT__ISA) = {{
    [CT_F32] = {NULL, f32_to_f64_loop, f32_to_i32_loop, f32_to_u8_loop, f32_to_bool_loop},
    [CT_F64] = {f64_to_f32_loop, NULL, f64_to_i32_loop, f64_to_u8_loop, f64_to_bool_loop},
    [CT_I32] = {i32_to_f32_loop, i32_to_f64_loop, NULL, i32_to_u8_loop, i32_to_bool_loop},
    [CT_U8] = {u8_to_f32_loop, u8_to_f64_loop, u8_to_i32_loop, NULL, u8_to_bool_loop},
    [CT_BOOL] = {u8_to_f32_loop, u8_to_f64_loop, u8_to_i32_loop, NULL, NULL},
}};
