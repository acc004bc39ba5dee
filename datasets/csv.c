/* csv.c - tables of numbers with a label column.
 *
 * The file is walked twice: first its structure is checked and its rows are counted, then the
 * numbers are read. So nothing is allocated that the file does not pay for.
 */
#define _POSIX_C_SOURCE 200809L
#include "datasets_internal.h"

#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

/* ---- fields ---------------------------------------------------------------------------------- */

/* A piece of the text; quoted ones without their outer quotes. */
typedef struct field {
  char *at;
  size_t length;
  bool quoted, escaped; /* escaped: it holds doubled quotes */
} field;

typedef struct table {
  const char *who, *name;
  char delimiter;
  char *p, *end; /* what is left of the text; a zero stands at end */
  int64_t line;  /* of p, from 1 */
  int column;    /* of the last field, from 1 */
  int columns;   /* of every row; 0 while unknown */
} table;

static ct_status fail_at(const table *t, int64_t line, const char *what) {
  return ct__fail_status(CT_EFORMAT, "%s: %s: line %lld, column %d: %s", t->who, t->name,
                         (long long)line, t->column, what);
}

static bool at_line_end(const table *t) {
  return t->p == t->end || *t->p == '\n' ||
         (*t->p == '\r' && (t->p + 1 == t->end || t->p[1] == '\n'));
}

static void skip_line_end(table *t) {
  if (t->p < t->end && *t->p == '\r') t->p++;
  if (t->p < t->end) t->p++;
  t->line++;
}

static ct_status read_quoted(table *t, field *f) {
  const int64_t line = t->line;
  *f = (field){.at = ++t->p, .quoted = true};
  for (; t->p < t->end; t->p++) {
    if (*t->p == '\n') t->line++;
    if (*t->p != '"') continue;
    if (t->p[1] != '"') break;
    f->escaped = true;
    t->p++;
  }
  if (t->p == t->end) return fail_at(t, line, "the quote is never closed");
  f->length = (size_t)(t->p++ - f->at);
  if (!at_line_end(t) && *t->p != t->delimiter)
    return fail_at(t, t->line, "text after the closing quote");
  return CT_OK;
}

static bool blank(char c) { return c == ' ' || c == '\t'; }

static void read_bare(table *t, field *f) {
  *f = (field){.at = t->p};
  while (*t->p != t->delimiter && !at_line_end(t)) t->p++;
  const char *end = t->p;
  while (f->at < end && blank(*f->at)) f->at++;
  while (end > f->at && blank(end[-1])) end--;
  f->length = (size_t)(end - f->at);
}

/* The next field of the row; *last says that the row ends with it. The line end is eaten. */
static ct_status next_field(table *t, field *f, bool *last) {
  ct_status status = CT_OK;
  if (t->column == INT_MAX) return fail_at(t, t->line, "too many columns");
  t->column++;
  if (*t->p == '"' && t->p < t->end)
    status = read_quoted(t, f);
  else
    read_bare(t, f);
  if (status != CT_OK) return status;
  *last = at_line_end(t);
  if (!*last)
    t->p++; /* the delimiter */
  else
    skip_line_end(t);
  if (t->columns == 0 || *last == (t->column == t->columns)) return CT_OK;
  return ct__fail_status(CT_EFORMAT, "%s: %s: line %lld, column %d: the row %s, want %d columns",
                         t->who, t->name, (long long)t->line - (*last ? 1 : 0), t->column,
                         *last ? "ends" : "goes on", t->columns);
}

/* Moves to the next row that is not empty; false at the end. */
static bool next_row(table *t) {
  while (t->p < t->end && at_line_end(t)) skip_line_end(t);
  t->column = 0;
  return t->p < t->end;
}

static ct_status skip_row(table *t) {
  field f;
  bool last = false;
  ct_status status = CT_OK;
  while (!last && status == CT_OK) status = next_field(t, &f, &last);
  return status;
}

/* Undoubles quotes in place; once only. */
static void unescape(field *f) {
  if (!f->escaped) return;
  size_t n = 0;
  for (size_t i = 0; i < f->length; i++) {
    f->at[n++] = f->at[i];
    if (f->at[i] == '"') i++;
  }
  f->length = n;
  f->escaped = false;
}

static bool field_is(const field *f, const char *text) {
  return strlen(text) == f->length && memcmp(text, f->at, f->length) == 0;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static bool digit(char c) { return c >= '0' && c <= '9'; }

/* True for [+-] digits [. digits] [e [+-] digits] with a digit before the exponent. */
static bool is_number(const char *s, const char *end) {
  if (s < end && (*s == '+' || *s == '-')) s++;
  const char *start = s;
  while (s < end && digit(*s)) s++;
  int64_t digits = s - start;
  if (s < end && *s == '.') {
    start = ++s;
    while (s < end && digit(*s)) s++;
    digits += s - start;
  }
  if (digits == 0) return false;
  if (s < end && (*s == 'e' || *s == 'E')) {
    s++;
    if (s < end && (*s == '+' || *s == '-')) s++;
    if (s == end) return false;
    while (s < end && digit(*s)) s++;
  }
  return s == end;
}

/* Short integers, most of what image tables hold, need no strtod. The thread's locale is "C" here.
 */
static bool parse_number(const field *f, double *value) {
  const char *s = f->at, *end = f->at + f->length;
  if (f->length > 0 && f->length <= 9) {
    int32_t n = 0;
    while (s < end && digit(*s)) n = 10 * n + (*s++ - '0');
    *value = n;
    if (s == end) return true;
  }
  if (!is_number(f->at, end)) return false;
  *value = strtod(f->at, NULL); /* stops at the delimiter, the line end or the final zero */
  return true;
}

static bool is_missing(const field *f) {
  static const char *const text[] = {"", "NA", "N/A", "NaN", "nan", "NAN", "null", "NULL", "?"};
  for (int i = 0; i < CT__COUNT(text); i++)
    if (field_is(f, text[i])) return true;
  return false;
}

static ct_status read_number(const table *t, const field *f, int64_t line, bool allow_missing,
                             float *out) {
  double value;
  if (parse_number(f, &value)) {
    *out = (float)value;
    if (isfinite(*out)) return CT_OK;
    return fail_at(t, line, "the number is too large for f32");
  }
  if (is_missing(f)) {
    *out = NAN;
    return allow_missing ? CT_OK : fail_at(t, line, "the value is missing (see allow_missing)");
  }
  char what[80];
  const int shown = f->length < 40 ? (int)f->length : 40;
  snprintf(what, sizeof what, "want a number, got '%.*s'", shown, f->at);
  return fail_at(t, line, what);
}

/* ---- classes --------------------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b) {
  const field *x = a, *y = b;
  const size_t n = x->length < y->length ? x->length : y->length;
  const int order = n > 0 ? memcmp(x->at, y->at, n) : 0;
  return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

static int by_value(const void *a, const void *b) {
  double x = 0, y = 0;
  parse_number(a, &x);
  parse_number(b, &y);
  return x != y ? (x > y) - (x < y) : by_bytes(a, b);
}

/* Sorts the labels and drops repeats; returns how many are left. */
static int64_t distinct(field *label, int64_t n) {
  double value;
  bool numbers = true;
  qsort(label, (size_t)n, sizeof *label, by_bytes);
  int64_t kept = 0;
  for (int64_t i = 0; i < n; i++)
    if (kept == 0 || by_bytes(&label[kept - 1], &label[i]) != 0) label[kept++] = label[i];
  for (int64_t i = 0; i < kept && numbers; i++) numbers = parse_number(&label[i], &value);
  if (numbers) qsort(label, (size_t)kept, sizeof *label, by_value);
  return kept;
}

/* Labels end where a zero may be written: at a delimiter, a line end, a quote or the final zero. */
static ct_status name_fields(const table *t, ct_names *out, const field *at, int64_t n) {
  const size_t bytes = (size_t)n * sizeof(char *);
  const char **text = ct__alloc(bytes);
  ct_status status = text ? CT_OK : CT_ENOMEM;
  for (int64_t i = 0; i < n && text; i++) {
    at[i].at[at[i].length] = '\0';
    text[i] = at[i].at;
  }
  if (text) status = ct__names_copy(out, (int)n, text);
  ct__free(text, bytes);
  if (status == CT_OK) return CT_OK;
  return ct__fail_status(CT_ENOMEM, "%s: %s: out of memory", t->who, t->name);
}

/* Positions of the classes in the order of strcmp, to search in. */
typedef struct entry {
  const char *text;
  int32_t label;
} entry;

static int by_entry(const void *a, const void *b) {
  const entry *x = a, *y = b;
  return strcmp(x->text, y->text);
}

static ct_status number_labels(table *t, const ct_names *classes, const field *label, int64_t n,
                               int32_t *out) {
  const size_t bytes = (size_t)classes->n * sizeof(entry);
  entry *index = ct__alloc(bytes);
  if (!index) return ct__fail_status(CT_ENOMEM, "%s: %s: out of memory", t->who, t->name);
  for (int i = 0; i < classes->n; i++) index[i] = (entry){classes->at[i], i};
  qsort(index, (size_t)classes->n, sizeof *index, by_entry);
  ct_status status = CT_OK;
  for (int64_t i = 0; i < n && status == CT_OK; i++) {
    label[i].at[label[i].length] = '\0';
    const entry *e =
        bsearch(&(entry){label[i].at, 0}, index, (size_t)classes->n, sizeof *index, by_entry);
    if (e)
      out[i] = e->label;
    else
      status = ct__fail_status(
          CT_EFORMAT, "%s: %s: row %lld: '%.40s' is not a class of the dataset given as like",
          t->who, t->name, (long long)i + 1, label[i].at);
  }
  ct__free(index, bytes);
  return status;
}

static ct_status make_labels(table *t, ct_dataset *d, const field *label, int64_t n,
                             const ct_dataset *like) {
  ct_status status = CT_ENOMEM;
  const size_t bytes = (size_t)n * sizeof *label;
  field *sorted = ct__alloc(bytes);
  if (!sorted) return ct__fail_status(CT_ENOMEM, "%s: %s: out of memory", t->who, t->name);
  memcpy(sorted, label, bytes);
  const int64_t classes = distinct(sorted, n);
  if (like)
    status = ct__names_copy(&d->classes, like->classes.n, like->classes.at);
  else
    status = name_fields(t, &d->classes, sorted, classes);
  ct__free(sorted, bytes);
  if (status != CT_OK) return ct__fail_status(status, "%s: %s: out of memory", t->who, t->name);
  d->labels = ct__dataset_tensor(t->who, CT_I32, 1, &n);
  if (!d->labels) return ct_error_code();
  return number_labels(t, &d->classes, label, n, (int32_t *)(void *)d->labels->v.data);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* The column of the label from 0, or -1 for none. */
static ct_status find_label(table *t, const field *header, ct_csv_opts o, int *column) {
  *column = -1;
  if (!o.label) {
    const int n = o.label_column < 0 ? t->columns + o.label_column + 1 : o.label_column;
    if (o.label_column != 0 && (n < 1 || n > t->columns))
      return ct__fail_status(CT_EARG, "%s: %s: no column %d, there are %d", t->who, t->name,
                             o.label_column, t->columns);
    *column = n - 1;
    return CT_OK;
  }
  for (int i = 0; header && i < t->columns; i++)
    if (field_is(&header[i], o.label)) *column = i;
  if (*column >= 0) return CT_OK;
  return ct__fail_status(CT_EARG, "%s: %s: no column is named '%.80s'", t->who, t->name, o.label);
}

/* Reads the header, finds the label, names the other columns. */
static ct_status read_header(table *t, ct_dataset *d, ct_csv_opts o, int *label) {
  if (o.no_header) return find_label(t, NULL, o, label);
  const size_t bytes = (size_t)t->columns * sizeof(field);
  field *header = ct__alloc(bytes);
  if (!header) return ct__fail_status(CT_ENOMEM, "%s: %s: out of memory", t->who, t->name);
  ct_status status = CT_OK;
  next_row(t);
  bool last = false;
  for (int i = 0; i < t->columns && status == CT_OK; i++) {
    status = next_field(t, &header[i], &last);
    if (status == CT_OK) unescape(&header[i]);
  }
  if (status == CT_OK) status = find_label(t, header, o, label);
  if (status == CT_OK) {
    int n = 0;
    for (int i = 0; i < t->columns; i++)
      if (i != *label) header[n++] = header[i];
    status = name_fields(t, &d->columns, header, n);
  }
  ct__free(header, bytes);
  return status;
}

/* Counts columns and rows, and checks that all rows are as long as the first. */
static ct_status measure(table *t, bool no_header, int64_t *rows) {
  const table start = *t;
  *rows = 0;
  if (!next_row(t))
    return ct__fail_status(CT_EFORMAT, "%s: %s: the file has no rows", t->who, t->name);
  ct_status status = skip_row(t);
  t->columns = t->column;
  if (no_header) ++*rows;
  while (status == CT_OK && next_row(t)) {
    status = skip_row(t);
    ++*rows;
  }
  if (status == CT_OK && *rows == 0)
    status =
        ct__fail_status(CT_EFORMAT, "%s: %s: the file has a header and no rows", t->who, t->name);
  if (status == CT_OK && *rows > INT32_MAX)
    status = ct__fail_status(CT_ESIZE, "%s: %s: too many rows", t->who, t->name);
  const int columns = t->columns;
  *t = start;
  t->columns = columns;
  return status;
}

static ct_status read_rows(table *t, bool allow_missing, int label_column, float *x, field *label) {
  ct_status status = CT_OK;
  while (status == CT_OK && next_row(t))
    for (int c = 0; c < t->columns && status == CT_OK; c++) {
      const int64_t line = t->line;
      field f;
      bool last;
      status = next_field(t, &f, &last);
      if (status != CT_OK) break;
      if (c == label_column && f.length == 0) {
        status = fail_at(t, line, "the label is missing");
      } else if (c == label_column) {
        unescape(&f);
        *label++ = f;
      } else {
        status = read_number(t, &f, line, allow_missing, x++);
      }
    }
  return status;
}

static ct_status read_table(table *t, ct_dataset *d, ct_csv_opts o) {
  int64_t rows;
  int label_column = -1;
  ct_status status = measure(t, o.no_header, &rows);
  if (status == CT_OK) status = read_header(t, d, o, &label_column);
  if (status != CT_OK) return status;
  const bool labelled = label_column >= 0;
  d->x = ct__dataset_tensor(t->who, CT_F32, 2, (int64_t[]){rows, t->columns - (labelled ? 1 : 0)});
  if (!d->x) return ct_error_code();
  const size_t bytes = labelled ? (size_t)rows * sizeof(field) : 0;
  field *label = ct__alloc(bytes);
  if (!label) return ct__fail_status(CT_ENOMEM, "%s: %s: out of memory", t->who, t->name);
  status = read_rows(t, o.allow_missing, label_column, (float *)(void *)d->x->v.data, label);
  if (status == CT_OK && labelled) status = make_labels(t, d, label, rows, o.like);
  ct__free(label, bytes);
  return status;
}

/* strtod obeys the locale: this thread's is plain C until the table is read. */
static ct_status read_in_c_locale(table *t, ct_dataset *d, ct_csv_opts o) {
  locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!plain) return ct__fail_status(CT_ENOMEM, "%s: %s: out of memory", t->who, t->name);
  locale_t before = uselocale(plain);
  ct_status status = read_table(t, d, o);
  uselocale(before);
  freelocale(plain);
  return status;
}

static ct_status check_options(const char *who, ct_csv_opts o) {
  if (o.delimiter && !strchr(",;\t|: ", o.delimiter))
    return ct__fail_status(CT_EARG, "%s: want one of , ; | : tab or space as delimiter", who);
  if (o.label && o.no_header)
    return ct__fail_status(CT_EARG, "%s: a label name needs a header", who);
  if (o.like && o.like->classes.n < 1)
    return ct__fail_status(CT_EARG, "%s: the dataset given as like has no classes", who);
  return CT_OK;
}

ct_status ct_dataset_csv(ct_dataset *out, const char *path, ct_csv_opts opts) {
  static const char who[] = "ct_dataset_csv";
  if (!out || out == opts.like) return ct__fail_status(CT_EARG, "%s: no place for the result", who);
  *out = (ct_dataset){0};
  ct__source source;
  ct_status status = check_options(who, opts);
  if (status == CT_OK) status = ct__source_open(&source, who, path);
  if (status != CT_OK) return status;
  char *text;
  size_t size;
  status = ct__source_all(&source, &text, &size);
  ct__source_close(&source);
  if (status != CT_OK) return status;
  const size_t mark =
      size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0; /* UTF-8's byte order mark */
  table t = {who, path, opts.delimiter ? opts.delimiter : ',', text + mark, text + size, 1, 0, 0};
  ct_dataset d = {0};
  if (memchr(text, '\0', size))
    status =
        ct__fail_status(CT_EFORMAT, "%s: %s: not a text file (it holds a zero byte)", who, path);
  else
    status = read_in_c_locale(&t, &d, opts);
  ct__free(text, size + 1);
  if (status != CT_OK) ct_dataset_free(&d);
  *out = d;
  return status;
}
