/* test_shape_ops.c - operations that rearrange: exact values, views where strides allow, errors,
 * both modes. */
#include "tensors.h"

#include "autograd/autograd_internal.h"

/* ---- what the tests share -------------------------------------------------------------------- */

enum { MOST = 64 };

static bool shares(const ct_tensor *a, const ct_tensor *b) { return a->buffer == b->buffer; }

/* Both orders of y = f(x) against central differences. */
static void assert_gradients(ct_fn *f, void *payload, ct_list x) {
  assert_ok(ct_gradcheck(f, payload, x, (ct_gradcheck_opts){0}, NULL));
}

static ct_tensor *sample(ct_shape shape) { return ct_randn(ct_key(7), CT_F64, shape); }

/* ---- axes ------------------------------------------------------------------------------------ */

static void axes_are_checked(void **state) {
  (void)state;
  unsigned mask = 0;
  assert_ok(ct__axes_mask("f", CT_AXES(0, -1), 3, &mask));
  assert_int_equal(mask, 5);
  assert_ok(ct__axes_mask("f", CT_ALL, 3, &mask));
  assert_int_equal(mask, 7);
  assert_ok(ct__axes_mask("f", CT_ALL, 0, &mask));
  assert_int_equal(mask, 0);
  assert_fails(ct__axes_mask("f", CT_AXES(3), 3, &mask), CT_EARG, "f: axis 3 is out of range");
  assert_fails(ct__axes_mask("f", CT_AXES(-4), 3, &mask), CT_EARG, "axis -4");
  assert_fails(ct__axes_mask("f", CT_AXES(1, -2), 3, &mask), CT_EARG, "twice");
  assert_fails(ct__axes_mask("f", CT_AXES(0, 1, 2, 3, 4, 5, 6, 7, 0), 8, &mask), CT_EARG, "0 to 8");
  assert_fails(ct__axes_mask("f", (ct_axes){.n = -1}, 8, &mask), CT_EARG, "0 to 8");
}

/* ---- reshape --------------------------------------------------------------------------------- */

static void reshape_gives_a_view_or_a_copy(void **state) {
  (void)state;
  ct_tensor *x = counting(CT_F32, CT_SHAPE(2, 3, 4));
  ct_tensor *y = ct_reshape(x, CT_SHAPE(4, -1));
  assert_shape(y, CT_SHAPE(4, 6));
  assert_true(shares(x, y) && y != x);
  assert_ptr_equal(ct_data(x), ct_data(y));

  ct_tensor *t = ct_permute(x, CT_AXES(1, 2, 0)); /* strides 4 1 12: the first two join */
  ct_tensor *joined = ct_reshape(t, CT_SHAPE(2, 6, 1, 2));
  assert_true(shares(joined, x));
  assert_int_equal(ct_stride(joined, 0), 6);
  assert_int_equal(ct_stride(joined, 1), 1);
  assert_int_equal(ct_stride(joined, 3), 12);
  ct_tensor *copied = ct_reshape(t, CT_SHAPE(3, 8));
  assert_false(shares(copied, x));
  assert_holds(copied, CT_SHAPE(3, 8),
               NUMBERS(0, 12, 1, 13, 2, 14, 3, 15, 4, 16, 5, 17, 6, 18, 7, 19, 8, 20, 9, 21, 10, 22,
                       11, 23));
  /* an extent that would need parts of two dimensions */
  ct_tensor *across = ct_reshape(ct_slice(x, 2, 0, 3, 1), CT_SHAPE(9, 2));
  assert_false(shares(across, x));
  assert_holds(across, CT_SHAPE(9, 2),
               NUMBERS(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 16, 17, 18, 20, 21, 22));
  ct_tensor *flipped = ct_reshape(ct_flip(x, CT_ALL), CT_SHAPE(24));
  assert_true(shares(flipped, x));
  assert_int_equal(ct_stride(flipped, 0), -1);
  ct_tensor *repeated =
      ct_reshape(ct_broadcast_to(ct_scalar(CT_I32, 3), CT_SHAPE(2, 3)), CT_SHAPE(6));
  assert_int_equal(ct_stride(repeated, 0), 0);
  assert_holds(repeated, CT_SHAPE(6), NUMBERS(3, 3, 3, 3, 3, 3));
}

/* Whether numbers counted from the start of a buffer, seen with four extents, lie at strides. */
static bool strided(const double *at, const int64_t dim[4]) {
  double step[4] = {0};
  int64_t width = 1;
  for (int d = 3; d >= 0; width *= dim[d--])
    if (dim[d] > 1) step[d] = at[width] - at[0];
  for (int64_t k = 0; k < width; k++) {
    double want = at[0];
    int64_t rest = k;
    for (int d = 3; d >= 0; rest /= dim[d--]) want += (double)(rest % dim[d]) * step[d];
    if (at[k] != want) return false;
  }
  return true;
}

/* A view exactly where strides can express it, and the numbers of a copy always. */
static void reshape_finds_every_view(void **state) {
  (void)state;
  static const int64_t shape[][4] = {{24, 1, 1, 1}, {2, 12, 1, 1}, {3, 8, 1, 1}, {4, 3, 2, 1},
                                     {1, 6, 4, 1},  {2, 2, 3, 2},  {12, 1, 2, 1}};
  static const int order[][3] = {{0, 1, 2}, {1, 0, 2}, {2, 1, 0}, {0, 2, 1}, {1, 2, 0}};
  for (int flip = 0; flip < 8; flip++)
    for (int o = 0; o < CT__COUNT(order); o++)
      for (int k = 0; k < CT__COUNT(shape); k++) {
        ct_tensor *x = ct_permute(counting(CT_I32, CT_SHAPE(2, 3, 4)), ct_axes_make(3, order[o]));
        for (int a = 0; a < 3; a++)
          if (flip >> a & 1) x = ct_flip(x, CT_AXES(a));
        ct_tensor *y = ct_reshape(x, ct_shape_make(4, shape[k]));
        double got[24], want[24];
        tensor_values(y, got, 24);
        tensor_values(ct_contiguous(x), want, 24);
        assert_memory_equal(got, want, sizeof got);
        assert_int_equal(shares(x, y), strided(want, shape[k]));
      }
}

static void reshape_of_nothing_and_scalars(void **state) {
  (void)state;
  ct_tensor *empty = ct_zeros(CT_F32, CT_SHAPE(0, 3));
  assert_shape(ct_reshape(empty, CT_SHAPE(5, 0, 2)), CT_SHAPE(5, 0, 2));
  assert_shape(ct_reshape(empty, CT_SHAPE(-1, 4)), CT_SHAPE(0, 4));
  assert_holds(ct_reshape(ct_full(CT_F64, CT_SHAPE(1, 1), 2), CT_SCALAR), CT_SCALAR, NUMBERS(2));
  assert_shape(ct_reshape(ct_scalar(CT_F64, 1), CT_SHAPE(1, -1)), CT_SHAPE(1, 1));
}

static void reshape_errors(void **state) {
  (void)state;
  ct_tensor *x = counting(CT_F32, CT_SHAPE(2, 3));
  assert_nil(ct_reshape(x, CT_SHAPE(4, 2)), CT_ESHAPE,
             "reshape: want as many elements as (4,2) holds, got (2,3)");
  assert_nil(ct_reshape(x, CT_SHAPE(-1, 4)), CT_ESHAPE, "(-1,4)");
  assert_nil(ct_reshape(x, CT_SHAPE(-1, -1)), CT_ESHAPE, "(-1,-1)");
  assert_nil(ct_reshape(x, CT_SHAPE(-2, -3)), CT_ESHAPE, "(-2,-3)");
  assert_nil(ct_reshape(ct_zeros(CT_F32, CT_SHAPE(0)), CT_SHAPE(-1, 0)), CT_ESHAPE, "(-1,0)");
  assert_nil(ct_reshape(x, CT_SHAPE(INT64_MAX, INT64_MAX)), CT_ESHAPE, "want as many");
  assert_nil(ct_reshape(x, CT_SHAPE(1, 1, 1, 1, 1, 1, 1, 2, 3)), CT_EARG, "0 to 8 dimensions");
  assert_nil(ct_reshape(x, (ct_shape){.n = -1}), CT_EARG, "0 to 8 dimensions");
  assert_nil(ct_reshape(NULL, CT_SHAPE(1)), CT_EARG, "reshape");
  assert_nil(ct_reshape(ct_nil(), CT_SHAPE(1)), CT_ENIL, "reshape");
}

/* ---- permute, transpose, broadcast_to -------------------------------------------------------- */

static void permute_moves_axes(void **state) {
  (void)state;
  ct_tensor *x = counting(CT_U8, CT_SHAPE(2, 3, 2));
  ct_tensor *y = ct_permute(x, CT_AXES(2, 0, -2));
  assert_true(shares(x, y));
  assert_holds(y, CT_SHAPE(2, 2, 3), NUMBERS(0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11));
  assert_holds(ct_transpose(x, 0, -1), CT_SHAPE(2, 3, 2),
               NUMBERS(0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11));
  ct_tensor *same = ct_transpose(x, 1, 1);
  assert_true(same != x && shares(same, x));
  assert_shape(ct_permute(ct_scalar(CT_F32, 1), CT_ALL), CT_SCALAR);

  assert_nil(ct_permute(x, CT_AXES(0, 1)), CT_EARG,
             "permute: want every axis once, not 2 of them, got (2,3,2)");
  assert_nil(ct_permute(x, CT_ALL), CT_EARG, "every axis");
  assert_nil(ct_permute(x, CT_AXES(0, 1, 1)), CT_EARG, "twice");
  assert_nil(ct_permute(x, CT_AXES(0, 1, 3)), CT_EARG, "out of range");
  assert_nil(ct_permute(NULL, CT_ALL), CT_EARG, "permute");
  assert_nil(ct_transpose(x, 0, 3), CT_EARG, "transpose: axis 3");
  assert_nil(ct_transpose(x, -4, 0), CT_EARG, "transpose: axis -4");
  assert_nil(ct_transpose(NULL, 0, 1), CT_EARG, "transpose");
  assert_nil(ct_transpose(ct_nil(), 0, 1), CT_ENIL, "transpose");
}

static void broadcast_repeats(void **state) {
  (void)state;
  ct_tensor *x = ct_reshape(counting(CT_F32, CT_SHAPE(2)), CT_SHAPE(2, 1));
  ct_tensor *y = ct_broadcast_to(x, CT_SHAPE(2, 2, 3));
  assert_true(shares(x, y));
  assert_holds(y, CT_SHAPE(2, 2, 3), NUMBERS(0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1));
  assert_shape(ct_broadcast_to(x, CT_SHAPE(0, 2, 1)), CT_SHAPE(0, 2, 1));
  assert_shape(ct_broadcast_to(x, CT_SHAPE(2, 0)), CT_SHAPE(2, 0));
  /* costs no memory */
  assert_shape(ct_broadcast_to(ct_scalar(CT_F32, 1), CT_SHAPE(1 << 20, 1 << 20)),
               CT_SHAPE(1 << 20, 1 << 20));

  assert_nil(ct_broadcast_to(x, CT_SHAPE(3, 3)), CT_ESHAPE,
             "broadcast_to: want a shape that broadcasts to (3,3), got (2,1)");
  assert_nil(ct_broadcast_to(x, CT_SHAPE(2)), CT_ESHAPE, "(2)");
  assert_nil(ct_broadcast_to(y, CT_SHAPE(2, 3)), CT_ESHAPE, "(2,3)");
  assert_nil(ct_broadcast_to(x, CT_SHAPE(2, -1)), CT_EARG, "negative");
  assert_nil(ct_broadcast_to(x, CT_SHAPE(INT64_MAX, 2, 1)), CT_ESIZE, "too large");
  assert_nil(ct_broadcast_to(x, (ct_shape){.n = 9}), CT_EARG, "0 to 8");
  assert_nil(ct_broadcast_to(NULL, CT_SHAPE(2)), CT_EARG, "broadcast_to");
}

/* ---- slice, flip, split, pad ----------------------------------------------------------------- */

/* Python's slice.indices, word for word, as the oracle. */
static int python_slice(int64_t n, int64_t start, int64_t stop, int64_t step, double *out) {
  int64_t lower = step < 0 ? -1 : 0, upper = step < 0 ? n - 1 : n;
  if (start == CT_END)
    start = step < 0 ? upper : lower;
  else if (start < 0)
    start = start + n > lower ? start + n : lower;
  else
    start = start < upper ? start : upper;
  if (stop == CT_END)
    stop = step < 0 ? lower : upper;
  else if (stop < 0)
    stop = stop + n > lower ? stop + n : lower;
  else
    stop = stop < upper ? stop : upper;
  int count = 0;
  for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step) out[count++] = (double)i;
  return count;
}

static void slice_follows_python(void **state) {
  (void)state;
  static const int64_t bound[] = {-9, -5, -4, -2, -1, 0, 1, 3, 4, 5, 9, CT_END};
  for (int64_t n = 0; n <= 5; n++) {
    ct_tensor *x = counting(CT_I32, CT_SHAPE(n));
    for (int a = 0; a < CT__COUNT(bound); a++)
      for (int b = 0; b < CT__COUNT(bound); b++)
        for (int64_t step = -6; step <= 6; step++) {
          if (step == 0) continue;
          double want[8];
          int count = python_slice(n, bound[a], bound[b], step, want);
          ct_scope scope = ct_scope_begin();
          assert_holds(ct_slice(x, 0, bound[a], bound[b], step), CT_SHAPE(count), count, want);
          assert_ok(ct_scope_end(scope));
        }
  }
}

static void slice_is_a_view(void **state) {
  (void)state;
  ct_tensor *x = counting(CT_F64, CT_SHAPE(3, 4));
  ct_tensor *y = ct_slice(x, -1, 3, CT_END, -2);
  assert_true(shares(x, y));
  assert_int_equal(ct_stride(y, 1), -2);
  assert_holds(y, CT_SHAPE(3, 2), NUMBERS(3, 1, 7, 5, 11, 9));
  assert_holds(ct_slice(y, 0, 1, CT_END, 1), CT_SHAPE(2, 2), NUMBERS(7, 5, 11, 9));
  assert_holds(ct_slice(x, 1, INT64_MIN, CT_END, INT64_MAX), CT_SHAPE(3, 1), NUMBERS(0, 4, 8));
  assert_holds(ct_slice(x, 1, CT_END, INT64_MIN, INT64_MIN), CT_SHAPE(3, 1), NUMBERS(3, 7, 11));
  assert_shape(ct_slice(x, 0, 2, 2, 1), CT_SHAPE(0, 4));
  assert_shape(ct_slice(ct_zeros(CT_F32, CT_SHAPE(0, 4)), 1, 1, 4, 2), CT_SHAPE(0, 2));

  assert_nil(ct_slice(x, 0, 0, 1, 0), CT_EARG, "slice: want a step other than 0");
  assert_nil(ct_slice(x, 2, 0, 1, 1), CT_EARG, "slice: axis 2 is out of range for 2 dimensions");
  assert_nil(ct_slice(ct_scalar(CT_F32, 0), 0, 0, 1, 1), CT_EARG, "slice: axis 0");
  assert_nil(ct_slice(NULL, 0, 0, 1, 1), CT_EARG, "slice: x is NULL");
  assert_nil(ct_slice(ct_nil(), 0, 0, 1, 1), CT_ENIL, "slice");
}

static void flip_reverses(void **state) {
  (void)state;
  ct_tensor *x = counting(CT_BOOL, CT_SHAPE(1, 2));
  assert_holds(ct_flip(x, CT_AXES(1)), CT_SHAPE(1, 2), NUMBERS(1, 0));
  x = counting(CT_I32, CT_SHAPE(2, 3));
  assert_holds(ct_flip(x, CT_ALL), CT_SHAPE(2, 3), NUMBERS(5, 4, 3, 2, 1, 0));
  assert_holds(ct_flip(x, CT_AXES(-2)), CT_SHAPE(2, 3), NUMBERS(3, 4, 5, 0, 1, 2));
  assert_true(shares(ct_flip(x, CT_ALL), x));
  assert_shape(ct_flip(ct_zeros(CT_F32, CT_SHAPE(0, 3)), CT_ALL), CT_SHAPE(0, 3));
  assert_shape(ct_flip(ct_scalar(CT_F32, 1), CT_ALL), CT_SCALAR);
  assert_nil(ct_flip(x, CT_AXES(2)), CT_EARG, "flip: axis 2");
  assert_nil(ct_flip(NULL, CT_ALL), CT_EARG, "flip: x is NULL");
}

static void split_gives_equal_parts(void **state) {
  (void)state;
  ct_tensor *x = counting(CT_F32, CT_SHAPE(2, 6)), *part[3];
  assert_ok(ct_split(x, -1, 3, part));
  assert_holds(part[0], CT_SHAPE(2, 2), NUMBERS(0, 1, 6, 7));
  assert_holds(part[2], CT_SHAPE(2, 2), NUMBERS(4, 5, 10, 11));
  assert_true(shares(part[1], x));
  assert_ok(ct_split(ct_zeros(CT_F32, CT_SHAPE(0)), 0, 3, part));
  assert_shape(part[2], CT_SHAPE(0));

  assert_fails(ct_split(x, 0, 3, part), CT_ESHAPE,
               "split: want parts that divide an axis, got 3 along axis 0 of (2,6)");
  assert_true(ct_is_nil(part[0]) && ct_is_nil(part[2]));
  assert_fails(ct_split(x, 0, 0, part), CT_EARG, "want parts");
  assert_fails(ct_split(x, 0, -1, part), CT_EARG, "want parts");
  assert_fails(ct_split(x, 5, 1, part), CT_EARG, "along axis 5");
  assert_fails(ct_split(x, 0, 1, NULL), CT_EARG, "split");
  assert_fails(ct_split(NULL, 0, 1, part), CT_EARG, "split: x is NULL");
  assert_fails(ct_split(ct_nil(), 0, 1, part), CT_ENIL, "split");
}

static void pad_puts_zeros_around(void **state) {
  (void)state;
  ct_tensor *x = ct_shift(counting(CT_I32, CT_SHAPE(2, 2)), 1);
  assert_holds(ct_pad(x, 1, 1, 2), CT_SHAPE(2, 5), NUMBERS(0, 1, 2, 0, 0, 0, 3, 4, 0, 0));
  assert_holds(ct_pad(ct_flip(x, CT_ALL), -2, 1, 0), CT_SHAPE(3, 2), NUMBERS(0, 0, 4, 3, 2, 1));
  assert_holds(ct_pad(ct_zeros(CT_F32, CT_SHAPE(0)), 0, 1, 1), CT_SHAPE(2), NUMBERS(0, 0));
  assert_shape(ct_pad(ct_zeros(CT_F32, CT_SHAPE(0, 1)), 1, 1, 1), CT_SHAPE(0, 3));
  ct_tensor *same = ct_pad(x, 0, 0, 0);
  assert_false(shares(same, x));
  assert_nil(ct_pad(x, 0, -1, 0), CT_EARG, "pad: want widths of at least 0");
  assert_nil(ct_pad(x, 0, INT64_MAX, 1), CT_ESIZE, "too large");
  assert_nil(ct_pad(x, 0, INT64_MAX / 4, 1), CT_ESIZE, "too large");
  assert_nil(ct_pad(x, 2, 0, 0), CT_EARG, "pad: axis 2");
  assert_nil(ct_pad(NULL, 0, 0, 0), CT_EARG, "pad: x is NULL");
}

/* ---- concat, stack --------------------------------------------------------------------------- */

static void concat_joins(void **state) {
  (void)state;
  ct_tensor *a = counting(CT_F32, CT_SHAPE(2, 2)),
            *b = ct_transpose(counting(CT_F32, CT_SHAPE(3, 2)), 0, 1);
  ct_tensor *none = ct_zeros(CT_F32, CT_SHAPE(2, 0));
  assert_holds(ct_concat(CT_LIST(a, none, b), 1), CT_SHAPE(2, 5),
               NUMBERS(0, 1, 0, 2, 4, 2, 3, 1, 3, 5));
  assert_holds(ct_concat(CT_LIST(a, ct_flip(a, CT_ALL)), -2), CT_SHAPE(4, 2),
               NUMBERS(0, 1, 2, 3, 3, 2, 1, 0));
  ct_tensor *one = ct_concat(CT_LIST(a), 0);
  assert_true(one != a && !shares(one, a));
  assert_shape(ct_concat(CT_LIST(none, none), 0), CT_SHAPE(4, 0));
  ct_tensor *many[40];
  for (int i = 0; i < 40; i++) many[i] = ct_full(CT_I32, CT_SHAPE(1), i);
  ct_tensor *long_one = ct_concat((ct_list){40, many}, 0);
  double got[40];
  tensor_values(long_one, got, 40);
  for (int i = 0; i < 40; i++) assert_int_equal((int)got[i], i);

  assert_nil(ct_concat(CT_LIST(a, b), 0), CT_ESHAPE,
             "concat: want shapes that differ along axis 0 only, got (2,2) and (2,3)");
  assert_nil(ct_concat(CT_LIST(a, ct_scalar(CT_F32, 0)), 0), CT_ESHAPE, "concat");
  assert_nil(ct_concat(CT_LIST(a, ct_cast(a, CT_F64)), 0), CT_EDTYPE, "ct_cast");
  assert_nil(ct_concat(CT_LIST(a, a), 2), CT_EARG, "concat: axis 2");
  assert_nil(ct_concat(CT_LIST(ct_scalar(CT_F32, 0)), 0), CT_EARG, "concat: axis 0");
  assert_nil(ct_concat(CT_NONE, 0), CT_EARG, "concat: want at least one");
  assert_nil(ct_concat((ct_list){2, NULL}, 0), CT_EARG, "concat: want at least one");
  assert_nil(ct_concat(CT_LIST(a, NULL), 0), CT_EARG, "concat: input 1 is NULL");
  assert_nil(ct_concat(CT_LIST(NULL, a), 0), CT_EARG, "concat: input 0 is NULL");
  assert_nil(ct_concat(CT_LIST(ct_nil(), a), 0), CT_ENIL, "concat");
  ct_tensor *huge = ct_broadcast_to(ct_zeros(CT_U8, CT_SHAPE(1)), CT_SHAPE(INT64_MAX / 2));
  assert_nil(ct_concat(CT_LIST(huge, huge, huge), 0), CT_ESIZE, "too large");
}

static void stack_adds_an_axis(void **state) {
  (void)state;
  ct_tensor *a = counting(CT_I32, CT_SHAPE(2)), *b = ct_shift(a, 5);
  assert_holds(ct_stack(CT_LIST(a, b), 0), CT_SHAPE(2, 2), NUMBERS(0, 1, 5, 6));
  assert_holds(ct_stack(CT_LIST(a, b), -1), CT_SHAPE(2, 2), NUMBERS(0, 5, 1, 6));
  ct_tensor *s = ct_scalar(CT_F64, 4);
  assert_holds(ct_stack(CT_LIST(s, s, s), 0), CT_SHAPE(3), NUMBERS(4, 4, 4));
  assert_nil(ct_stack(CT_LIST(a, s), 0), CT_ESHAPE,
             "stack: want tensors of one shape, got (2) and ()");
  assert_nil(ct_stack(CT_LIST(a, b), 2), CT_EARG, "axis 2");
  assert_nil(ct_stack(CT_NONE, 0), CT_EARG, "stack: want at least one");
  assert_nil(ct_stack(CT_LIST(a, NULL), 0), CT_EARG, "stack: parts[1] is NULL");
  assert_nil(ct_stack(CT_LIST(ct_nil()), 0), CT_ENIL, "stack");
}

/* ---- reshapes by name ------------------------------------------------------------------------ */

static void extents_of_one_come_and_go(void **state) {
  (void)state;
  ct_tensor *x = ct_zeros(CT_F32, CT_SHAPE(1, 2, 1, 0, 1));
  assert_shape(ct_squeeze(x, CT_ALL), CT_SHAPE(2, 0));
  assert_shape(ct_squeeze(x, CT_AXES(-1, 0)), CT_SHAPE(2, 1, 0));
  assert_shape(ct_squeeze(ct_scalar(CT_F32, 0), CT_ALL), CT_SCALAR);
  assert_nil(ct_squeeze(x, CT_AXES(1)), CT_ESHAPE,
             "squeeze: want extent 1 at axis 1, got (1,2,1,0,1)");
  assert_nil(ct_squeeze(x, CT_AXES(5)), CT_EARG, "squeeze: axis 5");
  assert_nil(ct_squeeze(NULL, CT_ALL), CT_EARG, "squeeze: x is NULL");

  x = ct_transpose(counting(CT_F32, CT_SHAPE(2, 3)), 0, 1);
  assert_shape(ct_expand_dims(x, 0), CT_SHAPE(1, 3, 2));
  assert_shape(ct_expand_dims(x, 1), CT_SHAPE(3, 1, 2));
  ct_tensor *last = ct_expand_dims(x, -1);
  assert_shape(last, CT_SHAPE(3, 2, 1));
  assert_true(shares(last, x));
  assert_shape(ct_expand_dims(ct_scalar(CT_F32, 0), 0), CT_SHAPE(1));
  assert_nil(ct_expand_dims(x, 3), CT_EARG, "expand_dims: axis 3");
  assert_nil(ct_expand_dims(x, -4), CT_EARG, "expand_dims: axis -4");
  assert_nil(ct_expand_dims(ct_zeros(CT_F32, CT_SHAPE(1, 1, 1, 1, 1, 1, 1, 1)), 0), CT_ESHAPE,
             "at most 8 dimensions");
  assert_nil(ct_expand_dims(NULL, 0), CT_EARG, "expand_dims: x is NULL");

  x = counting(CT_F32, CT_SHAPE(2, 3, 4));
  assert_shape(ct_flatten(x, 1), CT_SHAPE(2, 12));
  assert_shape(ct_flatten(x, 0), CT_SHAPE(24));
  assert_shape(ct_flatten(x, -1), CT_SHAPE(2, 3, 4));
  assert_shape(ct_flatten(ct_zeros(CT_F32, CT_SHAPE(0, 2, 3)), 1), CT_SHAPE(0, 6));
  assert_shape(ct_flatten(ct_scalar(CT_F32, 0), 0), CT_SHAPE(1));
  assert_nil(ct_flatten(x, 3), CT_EARG, "flatten: axis 3");
  assert_nil(ct_flatten(NULL, 0), CT_EARG, "flatten: x is NULL");
}

static void contiguous_copies(void **state) {
  (void)state;
  ct_tensor *x = ct_transpose(counting(CT_F64, CT_SHAPE(2, 2)), 0, 1);
  ct_tensor *y = ct_contiguous(x);
  assert_true(ct_is_contiguous(y) && !ct_is_contiguous(x) && !shares(x, y));
  assert_holds(y, CT_SHAPE(2, 2), NUMBERS(0, 2, 1, 3));
  assert_nil(ct_contiguous(NULL), CT_EARG, "contiguous");
}

/* ---- derivatives ----------------------------------------------------------------------------- */

static void cotangents_go_back_to_their_places(void **state) {
  (void)state;
  ct_tensor *x = ct_variable(counting(CT_F32, CT_SHAPE(5))),
            *gy = ct_shift(counting(CT_F32, CT_SHAPE(2)), 1);
  ct_tensor *every_third_back = ct_slice(x, 0, -2, CT_END, -3); /* elements 3 and 0 */
  assert_holds(ct_vjp(every_third_back, x, gy), CT_SHAPE(5), NUMBERS(2, 0, 0, 1, 0));
  assert_holds(ct_jvp(every_third_back, x, counting(CT_F32, CT_SHAPE(5))), CT_SHAPE(2),
               NUMBERS(3, 0));
  ct_tensor *padded = ct_pad(ct_slice(x, 0, 0, 1, 1), 0, 0, 1);
  assert_holds(ct_vjp(padded, x, gy), CT_SHAPE(5), NUMBERS(1, 0, 0, 0, 0));
  ct_tensor *twice = ct_concat(CT_LIST(ct_slice(x, 0, 0, 1, 1), ct_slice(x, 0, 0, 1, 1)), 0);
  assert_holds(ct_vjp(twice, x, gy), CT_SHAPE(5), NUMBERS(3, 0, 0, 0, 0));
  ct_tensor *uneven = ct_concat(CT_LIST(ct_slice(x, 0, 3, 5, 1), ct_slice(x, 0, 0, 1, 1), x), 0);
  assert_holds(ct_vjp(uneven, x, counting(CT_F32, CT_SHAPE(8))), CT_SHAPE(5),
               NUMBERS(2 + 3, 4, 5, 6 + 0, 7 + 1));
  ct_tensor *wide = ct_broadcast_to(ct_slice(x, 0, 1, 2, 1), CT_SHAPE(2));
  assert_holds(ct_vjp(wide, x, gy), CT_SHAPE(5), NUMBERS(0, 3, 0, 0, 0));
  ct_release(&x);
}

static ct_tensor *rearranged(ct_list x, void *payload) {
  (void)payload;
  ct_tensor *a = x.at[0], *b = x.at[1], *part[2];            /* (2,3,4) and (4,1) */
  ct_tensor *y = ct_permute(ct_square(a), CT_AXES(2, 0, 1)); /* (4,2,3) */
  y = ct_mul(ct_reshape(y, CT_SHAPE(4, 6)), ct_broadcast_to(b, CT_SHAPE(4, 6)));
  y = ct_slice(ct_flip(y, CT_AXES(1)), 1, CT_END, 0, -2);         /* (4,3) */
  y = ct_pad(y, 0, 1, 2);                                         /* (7,3) */
  ct_tensor *more = ct_contiguous(ct_transpose(ct_sin(y), 1, 0)); /* (3,7) */
  y = ct_concat(CT_LIST(y, ct_transpose(more, 0, 1)), -2);        /* (14,3) */
  if (ct_split(ct_slice(y, 0, 1, 13, 2), 0, 2, part) != CT_OK) return ct_nil();
  y = ct_stack(CT_LIST(part[0], ct_square(part[1]), part[0]), 1); /* (3,3,3) */
  return ct_squeeze(ct_expand_dims(ct_flatten(y, 1), 0), CT_AXES(0));
}

static void both_modes_to_second_order(void **state) {
  (void)state;
  assert_gradients(rearranged, NULL, CT_LIST(sample(CT_SHAPE(2, 3, 4)), sample(CT_SHAPE(4, 1))));
}

/* The same recipe on placeholders, run later. */
static void symbolic_is_eager(void **state) {
  (void)state;
  ct_tensor *a = sample(CT_SHAPE(2, 3, 4)), *b = sample(CT_SHAPE(4, 1)), *got;
  ct_tensor *pa = ct_placeholder(CT_F64, CT_SHAPE(2, 3, 4)),
            *pb = ct_placeholder(CT_F64, CT_SHAPE(4, 1));
  ct_tensor *want = rearranged(CT_LIST(a, b), NULL), *y = rearranged(CT_LIST(pa, pb), NULL);
  assert_false(ct_has_value(y));
  ct_function *f = ct_function_new(CT_LIST(pa, pb), CT_LIST(y));
  assert_non_null(f);
  assert_ok(ct_function_run(f, CT_LIST(a, b), &got));
  double u[MOST], v[MOST];
  tensor_values(got, u, 27);
  tensor_values(want, v, 27);
  assert_memory_equal(u, v, 27 * sizeof u[0]);
  ct_function_release(&f);
}

/* Views can be evaluated into memory of the caller too. */
static void views_evaluate(void **state) {
  (void)state;
  ct_tensor *x = counting(CT_F32, CT_SHAPE(2, 3)), *y = ct_zeros(CT_F32, CT_SHAPE(3, 2));
  ct_axes axes = CT_AXES(1, 0);
  for (int i = 0; i < ct_op_count(); i++) {
    const ct_op *op = ct_op_at(i);
    if (op->view) assert_non_null(op->eval);
    if (strcmp(op->name, "permute") != 0) continue;
    const ct_view *in = &x->v;
    ct_view *out = &y->v;
    assert_ok(op->eval(&(ct_eval){op, &axes, 1, 1, &in, &out, NULL}));
  }
  assert_holds(y, CT_SHAPE(3, 2), NUMBERS(0, 3, 1, 4, 2, 5));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_scope, close_scope)
  const struct CMUnitTest tests[] = {
      TEST(axes_are_checked),
      TEST(reshape_gives_a_view_or_a_copy),
      TEST(reshape_finds_every_view),
      TEST(reshape_of_nothing_and_scalars),
      TEST(reshape_errors),
      TEST(permute_moves_axes),
      TEST(broadcast_repeats),
      TEST(slice_follows_python),
      TEST(slice_is_a_view),
      TEST(flip_reverses),
      TEST(split_gives_equal_parts),
      TEST(pad_puts_zeros_around),
      TEST(concat_joins),
      TEST(stack_adds_an_axis),
      TEST(extents_of_one_come_and_go),
      TEST(contiguous_copies),
      TEST(cotangents_go_back_to_their_places),
      TEST(both_modes_to_second_order),
      TEST(symbolic_is_eager),
      TEST(views_evaluate),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
