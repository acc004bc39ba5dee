/* lead.c - the elementwise loops of records. These lead operands of any number of elements, however
 * they lie, to loops over whole vectors of neighbours (kernels/elements.c), and few or far numbers
 * to functions of one number (kernels/numbers.c).
 */
#include "../../tensor/move.h"
#include "../../tensor/vectors.h"
#include "kernels.h"

enum {
  CHUNK = 128, /* elements in a block, a multiple of each group */
  MOST = 64,   /* elements of a group */
  WIDEST = 8,  /* bytes of an element */
};

/* A row: how many operands it reads, of which type; bytes of an element of each operand and of the
 * result behind them; which operand trigonometric functions take, -1 for none; and the logarithm of
 * the bytes of the smallest element. */
typedef struct form {
  uint8_t n_in, type, shift, size[4 + 1];
  int8_t wide;
} form;
#define FORM(wide, T, First, n_in, Out, ...)                                                       \
  {n_in,                                                                                           \
   sizeof(T),                                                                                      \
   SHIFT(sizeof(First) & sizeof(Out)),                                                             \
   {sizeof(First), SIZE(1, n_in, T, Out), SIZE(2, n_in, T, Out), SIZE(3, n_in, T, Out),            \
    sizeof(Out)},                                                                                  \
   wide},
#define SHIFT(bytes)           ((bytes) == 8 ? 3 : (bytes) == 4 ? 2 : 0)
#define SIZE(k, n_in, T, Out)  (k < n_in ? sizeof(T) : sizeof(Out))
#define ROW(name, ...)         FORM(-1, __VA_ARGS__)
#define ROW_WIDE(k, name, ...) FORM(k, __VA_ARGS__)
static const form forms[CT__ROWS] = {
#include "rows.def"
};

/* ---- number by number ------------------------------------------------------------------------ */

#define AT(T, p) (*(T *)(void *)(p))

/* n_in: 1, 2, or 4 for 3 too; so many operands the loop moves along. */
#define LEAD_NUMBERS(T, type)                                                                      \
  INLINE void one_by_one_##type(int n_in, const form *f, ct__row_one_##type *one,                  \
                                CT__LOOP_ARGUMENTS) {                                              \
    const int last = f->n_in > 3 ? 3 : n_in > 1;                                                   \
    const char *a = p[0], *b = p[n_in > 1], *c = p[n_in > 2 ? 2 : 0], *d = p[last];                \
    char *y = p[f->n_in];                                                                          \
    const bool of_bools = f->size[0] == 1, to_bools = f->size[f->n_in] == 1;                       \
    const int64_t item = sizeof(T);                                                                \
    const int64_t a_step = s[0] * f->size[0], y_step = s[f->n_in] * f->size[f->n_in];              \
    const int64_t b_step = s[n_in > 1] * item, c_step = s[n_in > 2 ? 2 : 0] * item,                \
                  d_step = s[last] * item;                                                         \
    for (int64_t i = 0; i < n; i++) {                                                              \
      const T x = of_bools ? (T)*a : AT(const T, a);                                               \
      const T result = one(x, n_in > 1 ? AT(const T, b) : x, n_in > 2 ? AT(const T, c) : x,        \
                           n_in > 2 ? AT(const T, d) : x, attr);                                   \
      if (to_bools)                                                                                \
        *y = (char)result;                                                                         \
      else                                                                                         \
        AT(T, y) = result;                                                                         \
      a += a_step, y += y_step;                                                                    \
      if (n_in > 1) b += b_step;                                                                   \
      if (n_in > 2) c += c_step, d += d_step;                                                      \
    }                                                                                              \
  }                                                                                                \
  static void lead_##type(const form *f, ct__row_one_##type *one, CT__LOOP_ARGUMENTS) {            \
    if (f->n_in == 1)                                                                              \
      one_by_one_##type(1, f, one, n, p, s, attr);                                                 \
    else if (f->n_in == 2)                                                                         \
      one_by_one_##type(2, f, one, n, p, s, attr);                                                 \
    else                                                                                           \
      one_by_one_##type(4, f, one, n, p, s, attr);                                                 \
  }
LEAD_NUMBERS(float, f32)
LEAD_NUMBERS(double, f64)

static void lead_numbers(const form *f, ct__row_one one, CT__LOOP_ARGUMENTS) {
  if (f->type == sizeof(float))
    lead_f32(f, one.f32, n, p, s, attr);
  else
    lead_f64(f, one.f64, n, p, s, attr);
}

/* ---- whole vectors --------------------------------------------------------------------------- */

/* A row of the instruction set in use. */
typedef struct row {
  const form *f;
  int64_t group; /* elements */
  ct__whole_loop *whole;
  const void *attr;
} row;

/* Whole groups: what does not lie side by side passes through blocks. */
static void lead_apart(const row *r, int64_t n, char *const *p, const int64_t *s) {
  _Alignas(64) char block[CT__MAX_OPERANDS][CHUNK * WIDEST];
  char *at[CT__MAX_OPERANDS];
  const int y = r->f->n_in;
  for (int k = 0; k <= y; k++) at[k] = s[k] == 1 ? p[k] : block[k];
  for (int64_t i = 0; i < n; i += CHUNK) {
    const int64_t m = n - i < CHUNK ? n - i : CHUNK;
    for (int k = 0; k < y; k++) {
      const int64_t size = r->f->size[k];
      if (s[k] != 1 && (s[k] != 0 || i == 0))
        ct__move_lines(size, 1, m, block[k], 0, 1, p[k] + i * s[k] * size, 0, s[k]);
    }
    r->whole(m, at, r->attr);
    const int64_t size = r->f->size[y];
    if (s[y] != 1) ct__move_lines(size, 1, m, p[y] + i * s[y] * size, 0, s[y], block[y], 0, 1);
    for (int k = 0; k <= y; k++)
      if (s[k] == 1) at[k] += m * r->f->size[k];
  }
}

/* At least a group, side by side. The last elements are those of a whole group, whose others are
 * there too; it runs first, as the output may take the place of an input. */
static void lead_beside(const form *f, ct__whole_loop *whole, int64_t group, int64_t n,
                        char *const *p, const void *attr) {
  _Alignas(64) char last[MOST * WIDEST];
  const int y = f->n_in;
  const int64_t left = n & (group - 1), size = f->size[y];
  bool in_place = false;
  if (left) {
    char *at[CT__MAX_OPERANDS];
    for (int k = 0; k <= y; k++) {
      at[k] = p[k] + (n - group) * f->size[k];
      in_place |= k < y && p[k] == p[y];
    }
    if (in_place) at[y] = last;
    whole(group, at, attr);
  }
  whole(n - left, p, attr);
  if (in_place)
    memcpy(p[y] + (n - left) * size, last + (group - left) * size, (size_t)(left * size));
}

INLINE bool all_beside(int n_in, const int64_t *s) {
  int64_t other = 0;
  for (int k = 0; k <= n_in; k++) other |= s[k] ^ 1;
  return other == 0;
}

APART void lead(CT__LOOP_ARGUMENTS, int which);

/* Any number of elements, in any way. */
static void lead_any(const row *r, int64_t n, char *const *p, const int64_t *s) {
  const form *f = r->f;
  if (n >= r->group && all_beside(f->n_in, s)) {
    lead_beside(f, r->whole, r->group, n, p, r->attr);
    return;
  }
  const int64_t left = n & (r->group - 1), whole = n - left;
  if (whole) lead_apart(r, whole, p, s);
  if (left == 0) return;
  char *end[CT__MAX_OPERANDS];
  for (int k = 0; k <= f->n_in; k++) end[k] = p[k] + whole * s[k] * f->size[k];
  lead(left, end, s, r->attr, (int)(f - forms));
}

/* Pieces in which an angle is far from 0 go number by number. */
static void lead_wide(const row *r, const ct__elements *set, ct__row_one one, int64_t n,
                      char *const *p, const int64_t *s) {
  enum { PIECE = 4 * CHUNK };
  const form *f = r->f;
  char *at[CT__MAX_OPERANDS];
  for (int64_t i = 0; i < n; i += PIECE) {
    const int64_t m = n - i < PIECE ? n - i : PIECE;
    for (int k = 0; k <= f->n_in; k++) at[k] = p[k] + i * s[k] * f->type;
    if (set->any_far[f->type == sizeof(double)](m, at[f->wide], s[f->wide]))
      lead_numbers(f, one, m, at, s, r->attr);
    else
      lead_any(r, m, at, s);
  }
}

/* ---- the loops of records -------------------------------------------------------------------- */

#define ELEMENTS(isa) &ct__elements_##isa,
static const ct__elements *const element_sets[] = {CT__ISA_LIST(ELEMENTS)};
/* for fewer elements than a group has: the same bits of shorter vectors */
static const ct__elements *const narrow_sets[] = {CT__NARROW_LIST(ELEMENTS)};

static void lead(CT__LOOP_ARGUMENTS, int which) {
  const int isa = ct__isa();
  const form *f = &forms[which];
  const ct__row_one one = ct__number_sets[isa][which];
  const ct__elements *set = element_sets[isa];
  if (n < set->vector_bytes >> f->shift) set = narrow_sets[isa];
  const row r = {f, set->vector_bytes >> f->shift, set->row[which], attr};
  if (!r.whole || n < r.group)
    lead_numbers(f, one, n, p, s, attr);
  else if (f->wide >= 0)
    lead_wide(&r, set, one, n, p, s);
  else
    lead_any(&r, n, p, s);
}

/* The same for rows of one type: a single number takes no detour, nor do elements side by side
 * whose results take no operand's place. */
#define LEAD_DIRECTLY(T, type, n_in)                                                               \
  APART void lead_##type##_##n_in(CT__LOOP_ARGUMENTS, int which) {                                 \
    const int isa = ct__isa();                                                                     \
    if (n == 1) {                                                                                  \
      AT(T, p[n_in]) = ct__number_sets[isa][which].type(                                           \
          AT(const T, p[0]), AT(const T, p[n_in > 1]), AT(const T, p[n_in > 2 ? 2 : 0]),           \
          AT(const T, p[n_in > 3 ? 3 : 0]), attr);                                                 \
      return;                                                                                      \
    }                                                                                              \
    const ct__elements *set = element_sets[isa];                                                   \
    const int64_t item = sizeof(T);                                                                \
    if (n < set->vector_bytes / item) set = narrow_sets[isa];                                      \
    const int64_t group = set->vector_bytes / item;                                                \
    ct__whole_loop *whole = set->row[which];                                                       \
    bool direct = n >= group && whole && forms[which].wide < 0 && all_beside(n_in, s);             \
    if (direct && (n & (group - 1))) {                                                             \
      char *last[n_in + 1];                                                                        \
      for (int k = 0; k <= n_in; k++) last[k] = p[k] + (n - group) * item;                         \
      for (int k = 0; k < n_in; k++) direct &= p[k] != p[n_in];                                    \
      if (direct) whole(group, last, attr);                                                        \
    }                                                                                              \
    if (direct)                                                                                    \
      whole(n, p, attr);                                                                           \
    else                                                                                           \
      lead(n, p, s, attr, which);                                                                  \
  }
// clang-format off
LEAD_DIRECTLY(float,  f32, 1) LEAD_DIRECTLY(float,  f32, 2)
LEAD_DIRECTLY(float,  f32, 3) LEAD_DIRECTLY(float,  f32, 4)
LEAD_DIRECTLY(double, f64, 1) LEAD_DIRECTLY(double, f64, 2)
LEAD_DIRECTLY(double, f64, 3) LEAD_DIRECTLY(double, f64, 4)
// clang-format on
#define ONE_OF(type, n_in)                                                                         \
  (n_in == 1   ? lead_##type##_1                                                                   \
   : n_in == 2 ? lead_##type##_2                                                                   \
   : n_in == 3 ? lead_##type##_3                                                                   \
               : lead_##type##_4)
#define ROW(name, T, First, n_in, Out, ...)                                                        \
  void ct__##name(CT__LOOP_ARGUMENTS) {                                                            \
    (sizeof(First) != sizeof(Out) ? lead                                                           \
     : sizeof(T) == sizeof(float) ? ONE_OF(f32, n_in)                                              \
                                  : ONE_OF(f64, n_in))(n, p, s, attr, CT__ROW_##name);             \
  }
#include "rows.def"

#define INTEGERS(isa) &ct__integers_##isa,
            static const ct__integers *const integer_sets[] = {CT__NARROW_LIST(INTEGERS)};
#define ROW(name, ...)                                                                             \
  void ct__##name(CT__LOOP_ARGUMENTS) { integer_sets[ct__isa()]->name(n, p, s, attr); }
#include "integers.def"

int ct__row_of(ct_loop *loop) {
  static ct_loop *const loops[CT__ROWS] = {
#define ROW(name, ...) ct__##name,
#include "rows.def"
  };
  for (int k = 0; k < CT__ROWS; k++)
    if (loops[k] == loop) return forms[k].shift == (forms[k].type == 8 ? 3 : 2) ? k : -1;
  return -1;
}

bool ct__row_of_vectors(int k) {
  return k >= 0 && forms[k].n_in == 1 && forms[k].wide < 0 && element_sets[0]->row[k];
}
