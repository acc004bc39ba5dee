/* copy.c - moving numbers: copies, casts, fills, single elements. */
#include "pool.h"

#include <math.h>

/* ---- copies: by the size of the element ------------------------------------------------------ */

#define COPY_LOOP(name, T)                                                                         \
  static void name(int64_t n, char *const *p, const int64_t *s, const void *attr) {                \
    (void)attr;                                                                                    \
    const T *x = (const T *)(const void *)p[0];                                                    \
    T *y = (T *)(void *)p[1];                                                                      \
    if (s[0] == 1 && s[1] == 1)                                                                    \
      memmove(y, x, (size_t)n * sizeof(T));                                                        \
    else                                                                                           \
      for (int64_t i = 0; i < n; i++) y[i * s[1]] = x[i * s[0]];                                   \
  }
COPY_LOOP(copy_1, uint8_t)
COPY_LOOP(copy_4, uint32_t)
COPY_LOOP(copy_8, uint64_t)

void ct__copy(const ct_view *src, ct_view *dst) {
  size_t size = ct_dtype_size(src->dtype);
  ct_map(1, &src, dst, size == 1 ? copy_1 : size == 4 ? copy_4 : copy_8, NULL);
}

/* ---- casts: a table of loops, one for each pair ---------------------------------------------- */

/* Out of range is undefined in C; here it saturates, and NaN becomes 0. */
static int32_t f64_to_i32(double x) {
  if (x != x) return 0;
  return x <= INT32_MIN ? INT32_MIN : x >= INT32_MAX ? INT32_MAX : (int32_t)x;
}
static uint8_t i32_to_u8(int32_t x) { return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x); }
static uint8_t f64_to_u8(double x) { return i32_to_u8(f64_to_i32(x)); }

#define TO_F32(x)  ((float)(x))
#define TO_F64(x)  ((double)(x))
#define TO_BOOL(x) ((uint8_t)((x) != 0))
#define SAME(x)    (x)

#define CAST_LOOP(from, to, From, To, convert)                                                     \
  static void from##_to_##to##_loop(int64_t n, char *const *p, const int64_t *s, const void *a) {  \
    (void)a;                                                                                       \
    const From *x = (const From *)(const void *)p[0];                                              \
    To *y = (To *)(void *)p[1];                                                                    \
    if (s[0] == 1 && s[1] == 1)                                                                    \
      for (int64_t i = 0; i < n; i++) y[i] = convert(x[i]);                                        \
    else                                                                                           \
      for (int64_t i = 0; i < n; i++) y[i * s[1]] = convert(x[i * s[0]]);                          \
  }
/* clang-format off */
#define CAST_LIST(X)                                                                               \
  X(f32, f64, float, double, TO_F64)      X(f32, i32, float, int32_t, f64_to_i32)                  \
  X(f32, u8, float, uint8_t, f64_to_u8)   X(f32, bool, float, uint8_t, TO_BOOL)                    \
  X(f64, f32, double, float, TO_F32)      X(f64, i32, double, int32_t, f64_to_i32)                 \
  X(f64, u8, double, uint8_t, f64_to_u8)  X(f64, bool, double, uint8_t, TO_BOOL)                   \
  X(i32, f32, int32_t, float, TO_F32)     X(i32, f64, int32_t, double, TO_F64)                     \
  X(i32, u8, int32_t, uint8_t, i32_to_u8) X(i32, bool, int32_t, uint8_t, TO_BOOL)                  \
  X(u8, f32, uint8_t, float, TO_F32)      X(u8, f64, uint8_t, double, TO_F64)                      \
  X(u8, i32, uint8_t, int32_t, SAME)      X(u8, bool, uint8_t, uint8_t, TO_BOOL)
/* clang-format on */
CAST_LIST(CAST_LOOP)

static ct_loop *const cast_table[CT_DTYPES][CT_DTYPES] = {
    [CT_F32] = {copy_4, f32_to_f64_loop, f32_to_i32_loop, f32_to_u8_loop, f32_to_bool_loop},
    [CT_F64] = {f64_to_f32_loop, copy_8, f64_to_i32_loop, f64_to_u8_loop, f64_to_bool_loop},
    [CT_I32] = {i32_to_f32_loop, i32_to_f64_loop, copy_4, i32_to_u8_loop, i32_to_bool_loop},
    [CT_U8] = {u8_to_f32_loop, u8_to_f64_loop, u8_to_i32_loop, copy_1, u8_to_bool_loop},
    [CT_BOOL] = {u8_to_f32_loop, u8_to_f64_loop, u8_to_i32_loop, copy_1, copy_1},
};

ct_loop *ct__cast_loop(ct_dtype from, ct_dtype to) { return cast_table[from][to]; }

void ct__cast(const ct_view *src, ct_view *dst) {
  ct_map(1, &src, dst, ct__cast_loop(src->dtype, dst->dtype), NULL);
}

/* ---- single values --------------------------------------------------------------------------- */

static void zero(void *to, int64_t from, int64_t end) {
  memset((char *)to + from, 0, (size_t)(end - from));
}

void ct__fill(ct_view *v, double value) {
  ct_view one = {.data = (char *)&value, .dtype = CT_F64, .size = 1, .contiguous = true};
  int64_t bytes = ct__line_weight(v, v->size);
  if (v->contiguous && value == 0 && !signbit(value)) /* weighed as fast as it is */
    ct__parallel_range(bytes, bytes < 4 * ct__piece_weight ? 0 : 1, 4096, zero, v->data);
  else
    ct__cast(&one, v);
}

double ct__get(const ct_view *v, int64_t offset) {
  double value = 0;
  ct_view one = {.data = v->data + offset * (int64_t)ct_dtype_size(v->dtype),
                 .dtype = v->dtype,
                 .size = 1,
                 .contiguous = true};
  ct_view out = {.data = (char *)&value, .dtype = CT_F64, .size = 1, .contiguous = true};
  ct__cast(&one, &out);
  return value;
}
