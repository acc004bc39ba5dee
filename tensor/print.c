/* print.c - tensors as text, laid out as NumPy lays out arrays.
 *
 * What is shown is visited up to three times: to choose between fixed and scientific notation, to
 * find the width of the columns, and to print. Nothing is allocated, so a tensor of any size can be
 * printed when memory is short.
 */
#include "tensor_internal.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { LINE_WIDTH = 75, WORD = 64, DIGITS = 40 };

/* ---- where text goes ------------------------------------------------------------------------- */

/* A file, or memory with the rules of snprintf. Blanks wait until something follows them on their
 * line. */
typedef struct sink {
  FILE *file;
  char *text;
  size_t size;
  int64_t length, column, blanks;
  bool failed;
} sink;

static void put_raw(sink *s, const char *text, size_t n) {
  if (s->file) {
    s->failed |= fwrite(text, 1, n, s->file) != n;
  } else {
    const size_t at = (size_t)s->length;
    const size_t room = at < s->size ? s->size - at - 1 : 0;
    if (room) memcpy(s->text + at, text, n < room ? n : room);
  }
  s->length += (int64_t)n;
}

static void put(sink *s, const char *text) {
  const size_t n = strlen(text);
  for (; s->blanks > 0; s->blanks--) put_raw(s, " ", 1);
  put_raw(s, text, n);
  s->column += (int64_t)n;
}

static void put_blanks(sink *s, int64_t n) {
  s->blanks += n;
  s->column += n;
}

static void put_newline(sink *s) {
  s->blanks = 0;
  put_raw(s, "\n", 1);
  s->column = 0;
}

/* ---- what is shown --------------------------------------------------------------------------- */

typedef struct printer {
  sink out;
  const ct_view *v;
  const struct style *style;
  int64_t edge;
  bool summary;
  int precision; /* digits after the point */
  /* floats: the notation, decided from all that is shown */
  double largest, smallest; /* magnitudes that are finite and not 0 */
  bool scientific;
  int places, exponent_digits; /* of scientific notation */
  /* columns: characters before the point, from the point on, and of words without a point */
  int left, right, whole;
} printer;

/* How a dtype is written: look at each element first (optional), then make its word. */
typedef struct style {
  void (*look)(printer *p, const char *element);
  void (*word)(const printer *p, const char *element, char word[WORD]);
} style;

static bool has_gap(const printer *p, int axis) {
  return p->summary && p->v->dim[axis] > 2 * p->edge;
}

/* Items shown along an axis; one stands for the gap if the middle is left out. */
static int64_t shown_count(const printer *p, int axis) {
  return has_gap(p, axis) ? 2 * p->edge + 1 : p->v->dim[axis];
}

/* The index of the k-th item shown, -1 for the gap. */
static int64_t shown_index(const printer *p, int axis, int64_t k) {
  if (!has_gap(p, axis) || k < p->edge) return k;
  return k == p->edge ? -1 : p->v->dim[axis] - shown_count(p, axis) + k;
}

static const char *item_at(const printer *p, int axis, const char *at, int64_t index) {
  return at + index * p->v->stride[axis] * (int64_t)ct_dtype_size(p->v->dtype);
}

static void visit(printer *p, int axis, const char *at, void (*see)(printer *, const char *)) {
  if (axis == p->v->ndim) {
    see(p, at);
    return;
  }
  const int64_t count = shown_count(p, axis);
  for (int64_t k = 0; k < count; k++) {
    const int64_t index = shown_index(p, axis, k);
    if (index >= 0) visit(p, axis + 1, item_at(p, axis, at, index), see);
  }
}

/* ---- floats ---------------------------------------------------------------------------------- */

/* digit[0].digit[1]digit[2]... times 10^exponent, without trailing zeros. */
typedef struct decimal {
  int n, exponent;
  char digit[DIGITS];
} decimal;

/* Reads what printf made of a number >= 0 with %e or %f. The locale's point is whatever is not a
 * digit. */
static void decimal_parse(decimal *d, const char *text) {
  bool point = false;
  int whole = 0;
  d->n = 0;
  for (; *text && *text != 'e'; text++) {
    if (*text < '0' || *text > '9') {
      point = true;
    } else if (d->n == 0 && *text == '0') {
      whole -= point;
    } else if (d->n < DIGITS) {
      d->digit[d->n++] = *text;
      whole += !point;
    }
  }
  d->exponent = whole - 1 + (*text == 'e' ? (int)strtol(text + 1, NULL, 10) : 0);
  while (d->n > 0 && d->digit[d->n - 1] == '0') d->n--;
  if (d->n == 0) *d = (decimal){.n = 1, .digit = {'0'}};
}

static void decimal_round(decimal *d, const char *format, int places, double x) {
  char text[WORD];
  snprintf(text, sizeof text, format, places, x);
  decimal_parse(d, text);
}

/* Written as a whole number times a power of ten, which every locale reads alike. */
static bool reads_back(const decimal *d, double x, bool single) {
  char text[WORD];
  snprintf(text, sizeof text, "%.*se%d", d->n, d->digit, d->exponent - d->n + 1);
  return single ? (double)strtof(text, NULL) == x : strtod(text, NULL) == x;
}

/* The fewest digits that read back as x >= 0 in its own dtype. Normal numbers keep any 6 (15)
 * digits, so trying fewer would not give fewer. */
static void decimal_shortest(decimal *d, double x, bool single) {
  const bool normal = x >= (single ? (double)FLT_MIN : DBL_MIN);
  const int least = normal ? single ? FLT_DIG : DBL_DIG : 1;
  const int most = single ? FLT_DECIMAL_DIG : DBL_DECIMAL_DIG;
  for (int n = least; n <= most; n++) {
    decimal_round(d, "%.*e", n - 1, x);
    if (reads_back(d, x, single)) return;
  }
}

static double float_load(const printer *p, const char *element) {
  return p->v->dtype == CT_F32 ? (double)*(const float *)element : *(const double *)element;
}

/* Finds the range, and the digits that scientific notation would need. */
static void float_look(printer *p, const char *element) {
  const double x = fabs(float_load(p, element));
  if (!isfinite(x)) return;
  if (x > 0) {
    p->largest = fmax(p->largest, x);
    p->smallest = fmin(p->smallest, x);
  }
  decimal d;
  decimal_shortest(&d, x, p->v->dtype == CT_F32);
  if (d.n - 1 > p->precision) decimal_round(&d, "%.*e", p->precision, x);
  if (d.n - 1 > p->places) p->places = d.n - 1;
  if (abs(d.exponent) >= 100) p->exponent_digits = 3;
}

/* NumPy's rule, in the dtype's own precision: too large, too small or too far apart. */
static bool wants_scientific(const printer *p) {
  const double ratio = p->largest / p->smallest;
  if (p->v->dtype == CT_F32)
    return p->largest >= 1e6 || p->smallest < (double)1e-4f || (float)ratio > 1000;
  return p->largest >= 1e8 || p->smallest < 1e-4 || ratio > 1000;
}

static char digit_at(const decimal *d, int i) { return i >= 0 && i < d->n ? d->digit[i] : '0'; }

/* At most 16 places, since nobody asks for more digits than the shortest form has. */
static void scientific_word(const printer *p, double x, char word[WORD]) {
  decimal d;
  decimal_round(&d, "%.*e", p->places, fabs(x));
  if (signbit(x)) *word++ = '-';
  *word++ = digit_at(&d, 0);
  *word++ = '.';
  for (int i = 1; i <= p->places; i++) *word++ = digit_at(&d, i);
  snprintf(word, WORD / 2, "e%c%0*d", d.exponent < 0 ? '-' : '+', p->exponent_digits,
           abs(d.exponent));
}

/* Here 1e-4 <= |x| < 1e8, or x is 0: at most 9 digits before the point and 20 after it. */
static void fixed_word(const printer *p, double x, char word[WORD]) {
  decimal d;
  decimal_shortest(&d, fabs(x), p->v->dtype == CT_F32);
  if (d.n - 1 - d.exponent > p->precision) decimal_round(&d, "%.*f", p->precision, fabs(x));
  if (signbit(x)) *word++ = '-';
  int power = d.exponent > 0 ? d.exponent : 0;
  for (; power >= 0; power--) *word++ = digit_at(&d, d.exponent - power);
  *word++ = '.';
  for (; d.exponent - power < d.n; power--) *word++ = digit_at(&d, d.exponent - power);
  *word = '\0';
}

static void float_word(const printer *p, const char *element, char word[WORD]) {
  const double x = float_load(p, element);
  if (isnan(x))
    strcpy(word, "nan");
  else if (isinf(x))
    strcpy(word, x < 0 ? "-inf" : "inf");
  else if (p->scientific)
    scientific_word(p, x, word);
  else
    fixed_word(p, x, word);
}

/* ---- the other dtypes ------------------------------------------------------------------------ */

static void i32_word(const printer *p, const char *element, char word[WORD]) {
  (void)p;
  snprintf(word, WORD, "%" PRId32, *(const int32_t *)element);
}

static void u8_word(const printer *p, const char *element, char word[WORD]) {
  (void)p;
  snprintf(word, WORD, "%u", (unsigned)*(const uint8_t *)element);
}

static void bool_word(const printer *p, const char *element, char word[WORD]) {
  (void)p;
  strcpy(word, *element ? "true" : "false");
}

static const style style_of[CT_DTYPES] = {
    [CT_F32] = {float_look, float_word}, [CT_F64] = {float_look, float_word},
    [CT_I32] = {NULL, i32_word},         [CT_U8] = {NULL, u8_word},
    [CT_BOOL] = {NULL, bool_word},
};

/* ---- layout ---------------------------------------------------------------------------------- */

static int max_int(int a, int b) { return a > b ? a : b; }

/* Words with a point are aligned at it, words without one (nan, inf, integers) at the right. */
static void measure(printer *p, const char *element) {
  char word[WORD];
  p->style->word(p, element, word);
  const int length = (int)strlen(word), before = (int)strcspn(word, ".");
  if (before < length) {
    p->left = max_int(p->left, before);
    p->right = max_int(p->right, length - before);
  } else {
    p->whole = max_int(p->whole, length);
  }
}

static void put_element(printer *p, const char *element) {
  char word[WORD];
  p->style->word(p, element, word);
  const int length = (int)strlen(word), before = (int)strcspn(word, ".");
  const bool pointed = before < length;
  put_blanks(&p->out, pointed ? p->left - before : p->left + p->right - length);
  put(&p->out, word);
  put_blanks(&p->out, pointed ? p->right - (length - before) : 0);
}

/* One line of the innermost axis, broken where it gets too long. */
static void put_row(printer *p, const char *at) {
  const int axis = p->v->ndim - 1;
  const int64_t count = shown_count(p, axis), margin = LINE_WIDTH - p->v->ndim;
  for (int64_t k = 0; k < count; k++) {
    const int64_t index = shown_index(p, axis, k);
    const int width = index < 0 ? 3 : p->left + p->right;
    if (k > 0) put_blanks(&p->out, 1);
    if (k > 0 && p->out.column + width > margin) {
      put_newline(&p->out);
      put_blanks(&p->out, p->v->ndim);
    }
    if (index < 0)
      put(&p->out, "...");
    else
      put_element(p, item_at(p, axis, at, index));
  }
}

/* Blocks of an outer axis stand below each other, further apart the more axes they have. */
static void put_block(printer *p, int axis, const char *at) {
  const int64_t count = shown_count(p, axis);
  put(&p->out, "[");
  if (axis == p->v->ndim - 1) {
    put_row(p, at);
  } else {
    for (int64_t k = 0; k < count; k++) {
      for (int i = axis; k > 0 && i < p->v->ndim - 1; i++) put_newline(&p->out);
      if (k > 0) put_blanks(&p->out, axis + 1);
      const int64_t index = shown_index(p, axis, k);
      if (index < 0)
        put(&p->out, "...");
      else
        put_block(p, axis + 1, item_at(p, axis, at, index));
    }
  }
  put(&p->out, "]");
}

static void put_numbers(printer *p) {
  const ct_view *v = p->v;
  if (v->size == 0) {
    put(&p->out, "[]");
    return;
  }
  if (p->style->look) visit(p, 0, v->data, p->style->look);
  p->scientific = wants_scientific(p);
  visit(p, 0, v->data, measure);
  p->left = max_int(p->left, p->whole - p->right);
  if (v->ndim == 0)
    put_element(p, v->data);
  else
    put_block(p, 0, v->data);
}

/* ---- entry points ---------------------------------------------------------------------------- */

/* The text of anything that a ct_tensor pointer may be; the status says whether it is a tensor in
 * good order. */
static ct_status put_tensor(sink *out, const char *who, const ct_tensor *t, ct_print_opts opts) {
  if (opts.precision < 0 || opts.edge < 0 || opts.threshold < 0)
    return ct__fail_status(CT_EARG, "%s: precision, edge and threshold must not be negative", who);
  if (ct_is_nil(t)) {
    const char *why = ct_error_message();
    put(out, *why ? "nil: " : "nil");
    put(out, why);
    return t ? ct__pending(who) : ct__check_value(who, t);
  }
  const ct_view *v = &t->v;
  char shape[CT__SHAPE_TEXT];
  const bool stale = ct__stale(t);
  if (t->buffer && !stale) {
    const int64_t threshold = opts.threshold ? opts.threshold : 1000;
    printer p = {.out = *out,
                 .v = v,
                 .style = &style_of[v->dtype],
                 .edge = opts.edge ? opts.edge : 3,
                 .summary = v->size > threshold,
                 .precision = opts.precision ? opts.precision : 4,
                 .smallest = INFINITY,
                 .exponent_digits = 2};
    put_numbers(&p);
    *out = p.out;
    put(out, " ");
  }
  put(out, ct_dtype_name(v->dtype));
  put(out, " ");
  put(out, ct__shape_text(shape, v->ndim, v->dim));
  if (!t->buffer) put(out, " without a value yet");
  if (stale) put(out, ", its value was overwritten");
  return stale ? ct__check_value(who, t) : CT_OK;
}

ct_status ct_print(FILE *out, const ct_tensor *t) {
  if (!out) return ct__fail_status(CT_EARG, "ct_print: the file is NULL");
  sink s = {.file = out};
  const ct_status status = put_tensor(&s, "ct_print", t, (ct_print_opts){0});
  put_newline(&s);
  return s.failed ? ct__fail_status(CT_EIO, "ct_print: writing failed") : status;
}

int64_t ct_to_string(char *text, size_t size, const ct_tensor *t, ct_print_opts opts) {
  if (!text && size) return ct__fail_status(CT_EARG, "ct_to_string: text is NULL");
  if (size) text[0] = '\0';
  sink s = {.text = text, .size = size};
  const ct_status status = put_tensor(&s, "ct_to_string", t, opts);
  if (size) text[(size_t)s.length < size ? (size_t)s.length : size - 1] = '\0';
  return status == CT_OK ? s.length : status;
}
