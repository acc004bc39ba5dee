/* options.c - the command line of the trainer: one table gives parsing, help and what is stored. */
#include "train.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---------------------------------------------------------------------------------- */

typedef struct row row;

/* Stores text, or returns what is wanted instead. */
typedef const char *parser(const row *r, const char *text, void *value);

/* Whether a checkpoint holds the option, and whether a resumed run may change it. */
typedef enum memory { FORGOTTEN, STORED, FIXED } memory;

struct row {
  const char *name, *argument, *help; /* no argument: a flag, whose value is yes if none follows */
  const char *standard;               /* the default as text; NULL: none */
  parser *parse;
  size_t offset; /* in options */
  memory memory;
  const char *choices; /* for parse_choice: words with '|' between */
  double lo, hi;       /* for numbers */
};

static parser parse_path, parse_hidden, parse_choice, parse_integer, parse_number, parse_flag;

#define AT(field) offsetof(options, field)

/* clang-format off */
static const row rows[] = {
  {"data", "DIR", "idx files as MNIST's, plain or gzipped; or a folder of image folders,\n"
   "one for each class, perhaps in DIR/train and DIR/test\n(default: the embedded digits)",
   NULL, parse_path, AT(data), FORGOTTEN, NULL, 0, 0},
  {"hidden", "N,N,...", "sizes of the hidden layers, 0 for none",
   "64", parse_hidden, AT(hidden), FIXED, NULL, 1, 1 << 16},
  {"act", "NAME", "their activation",
   "sigmoid", parse_choice, AT(act), FIXED, "sigmoid|tanh|relu", 0, 0},
  {"epochs", "N", "passes over the training data",
   "20", parse_integer, AT(epochs), STORED, NULL, 1, 1e6},
  {"batch", "N", "examples in a step",
   "32", parse_integer, AT(batch), FIXED, NULL, 1, 1e6},
  {"lr", "RATE", "learning rate (default: 0.5 for sgd, 0.002 for adam and adamw)",
   NULL, parse_number, AT(lr), STORED, NULL, 1e-12, 1e6},
  {"momentum", "M", "of sgd",
   "0.9", parse_number, AT(momentum), STORED, NULL, 0, 0.9999},
  {"optim", "NAME", "optimizer",
   "sgd", parse_choice, AT(optim), FIXED, "sgd|adam|adamw", 0, 0},
  {"schedule", "NAME", "how the rate changes; step: to a tenth after each third of the steps",
   "linear", parse_choice, AT(schedule), STORED, "constant|step|linear|cosine|one-cycle", 0, 0},
  {"warmup", "FRACTION", "part of the steps in which the rate rises first; not one-cycle",
   "0", parse_number, AT(warmup), STORED, NULL, 0, 0.9},
  {"smoothing", "E", "label smoothing",
   "0.1", parse_number, AT(smoothing), STORED, NULL, 0, 0.999},
  {"val", "FRACTION", "part of the training data set aside: the weights that are best on it are\nkept",
   "0", parse_number, AT(val), FIXED, NULL, 0, 0.9},
  {"seed", "N", "of the weights and of the order of examples",
   "1", parse_integer, AT(seed), FIXED, NULL, 0, 9e15},
  {"eager", NULL, "one operation at a time instead of compiled steps",
   "no", parse_flag, AT(eager), STORED, NULL, 0, 0},
  {"exact", NULL, "compile only what gives the same bits as --eager",
   "no", parse_flag, AT(exact), STORED, NULL, 0, 0},
  {"threads", "N", "that share large operations (default: CT_NUM_THREADS, or as many as there\nare processors)",
   NULL, parse_integer, AT(threads), FORGOTTEN, NULL, 1, 256},
  {"save", "FILE", "write the network and the state of its training (safetensors)",
   NULL, parse_path, AT(save), FORGOTTEN, NULL, 0, 0},
  {"resume", "FILE", "go on with a saved training; its options hold unless given",
   NULL, parse_path, AT(resume), FORGOTTEN, NULL, 0, 0},
  {"load", "FILE", "use a saved network instead of training one",
   NULL, parse_path, AT(load), FORGOTTEN, NULL, 0, 0},
  {"out", "DIR", "where the pictures go",
   "out", parse_path, AT(out), FORGOTTEN, NULL, 0, 0},
  {"log", "FILE", "write a line of JSON for each epoch",
   NULL, parse_path, AT(log), FORGOTTEN, NULL, 0, 0},
};
/* clang-format on */
enum { ROWS = sizeof rows / sizeof *rows };

static const char *parse_path(const row *r, const char *text, void *value) {
  (void)r;
  *(const char **)value = text;
  return *text ? NULL : "a path";
}

/* The number at the start of text, and its end; false if there is none. */
static bool read_number(const char *text, const char **end, double *x) {
  char *stop;
  *x = strtod(text, &stop);
  *end = stop;
  return stop != text && isfinite(*x);
}

static const char *wanted_range(const row *r, const char *kind) {
  static char text[80];
  snprintf(text, sizeof text, "%s from %.10g to %.10g", kind, r->lo, r->hi);
  return text;
}

static const char *parse_number(const row *r, const char *text, void *value) {
  const char *end;
  double x;
  if (!read_number(text, &end, &x) || *end || x < r->lo || x > r->hi)
    return wanted_range(r, "a number");
  *(double *)value = x;
  return NULL;
}

static const char *parse_integer(const row *r, const char *text, void *value) {
  const char *end;
  double x;
  if (!read_number(text, &end, &x) || *end || x < r->lo || x > r->hi || x != floor(x))
    return wanted_range(r, "a whole number");
  *(int64_t *)value = (int64_t)x;
  return NULL;
}

static const char *parse_hidden(const row *r, const char *text, void *value) {
  hidden_sizes *sizes = value;
  *sizes = (hidden_sizes){0};
  if (strcmp(text, "0") == 0) return NULL;
  for (const char *at = text;; at++) {
    double x;
    if (sizes->n == MAX_HIDDEN || !read_number(at, &at, &x) || x < r->lo || x > r->hi ||
        x != floor(x) || (*at && *at != ','))
      return "at most 16 sizes from 1 to 65536 with commas between, or 0";
    sizes->at[sizes->n++] = (int64_t)x;
    if (!*at) return NULL;
  }
}

static const char *parse_choice(const row *r, const char *text, void *value) {
  const size_t n = strlen(text);
  int number = 0;
  for (const char *word = r->choices;; number++) {
    size_t length = strcspn(word, "|");
    if (n == length && memcmp(word, text, n) == 0) {
      *(int *)value = number;
      return NULL;
    }
    if (!word[length]) return r->choices;
    word += length + 1;
  }
}

static const char *parse_flag(const row *r, const char *text, void *value) {
  (void)r;
  *(bool *)value = strcmp(text, "yes") == 0;
  return *(bool *)value || strcmp(text, "no") == 0 ? NULL : "yes or no";
}

/* NULL, or what is wanted instead. */
static const char *set_option(options *o, int i, const char *text) {
  o->text[i] = text;
  return rows[i].parse(&rows[i], text, (char *)o + rows[i].offset);
}

/* ---- help ------------------------------------------------------------------------------------ */

/* Text with every line indented to the second column. */
static void print_indented(const char *text) {
  for (; *text; text++) {
    putchar(*text);
    if (*text == '\n') printf("%23s", "");
  }
}

static void print_help(void) {
  puts(
      "usage: train [options]\n\n"
      "Trains a network on pictures of handwritten digits, or on yours: linear layers with an\n"
      "activation between, by gradient descent on the cross entropy. The input is standardised.\n");
  for (int i = 0; i < ROWS; i++) {
    const row *r = &rows[i];
    char left[40];
    snprintf(left, sizeof left, "--%s %s", r->name, r->argument ? r->argument : "");
    printf("  %-20s ", left);
    print_indented(r->help);
    if (r->choices) print_indented("\n"), fputs(r->choices, stdout);
    if (r->standard && r->argument) printf(" (default %s)", r->standard);
    putchar('\n');
  }
  puts("  --predict IMAGE...   print the classes of PNG or JPEG files\n"
       "  --help               print this\n\n"
       "Ctrl-C finishes the step and saves if --save was given. Exit status: 0 done, 1 failed,\n"
       "2 wrong options.");
}

/* ---- mistakes -------------------------------------------------------------------------------- */

/* Levenshtein's distance, one row of the table at a time. */
static int edit_distance(const char *a, const char *b) {
  enum { MOST = 32 };
  int line[MOST + 1];
  const int n = (int)strlen(b);
  if (n > MOST) return MOST;
  for (int j = 0; j <= n; j++) line[j] = j;
  for (int i = 1; a[i - 1]; i++) {
    int corner = line[0];
    line[0] = i;
    for (int j = 1; j <= n; j++) {
      const int change = corner + (a[i - 1] != b[j - 1]);
      const int other = 1 + (line[j] < line[j - 1] ? line[j] : line[j - 1]);
      corner = line[j];
      line[j] = change < other ? change : other;
    }
  }
  return line[n];
}

static parse_result unknown(const char *argument) {
  if (strncmp(argument, "--", 2) != 0) {
    fprintf(stderr, "train: what is '%s'? Options begin with --; try --help\n", argument);
    return PARSE_WRONG;
  }
  char name[32];
  snprintf(name, sizeof name, "%.*s", (int)strcspn(argument + 2, "="), argument + 2);
  const char *nearest = "predict";
  int least = edit_distance(name, nearest), help = edit_distance(name, "help");
  if (help < least) least = help, nearest = "help";
  for (int i = 0; i < ROWS; i++) {
    const int distance = edit_distance(name, rows[i].name);
    if (distance < least) least = distance, nearest = rows[i].name;
  }
  if (2 * least > (int)strlen(name))
    fprintf(stderr, "train: there is no option --%s; try --help\n", name);
  else
    fprintf(stderr, "train: there is no option --%s; did you mean --%s?\n", name, nearest);
  return PARSE_WRONG;
}

static parse_result wrong(const char *name, const char *problem) {
  fprintf(stderr, "train: --%s: %s\n", name, problem);
  return PARSE_WRONG;
}

/* ---- the command line ------------------------------------------------------------------------ */

static int find_row(const char *name, size_t length) {
  for (int i = 0; i < ROWS; i++)
    if (strlen(rows[i].name) == length && memcmp(rows[i].name, name, length) == 0) return i;
  return -1;
}

static bool given(const options *o, size_t offset) {
  for (int i = 0; i < ROWS; i++)
    if (rows[i].offset == offset) return o->given >> i & 1;
  return false;
}

/* The value of row i is in argv[*at] after '=', or the next argument; of a flag it may be left out.
 */
static parse_result take_value(options *o, int i, int argc, char **argv, int *at) {
  const char *text = strchr(argv[*at], '=');
  if (text)
    text++;
  else if (!rows[i].argument)
    text = "yes";
  else if (*at + 1 < argc)
    text = argv[++*at];
  if (!text) return wrong(rows[i].name, "a value is missing; try --help");
  const char *wanted = set_option(o, i, text);
  if (wanted) {
    fprintf(stderr, "train: --%s: want %s, got '%s'\n", rows[i].name, wanted, text);
    return PARSE_WRONG;
  }
  o->given |= UINT32_C(1) << i;
  return PARSE_OK;
}

static parse_result take_images(options *o, int argc, char **argv, int *at) {
  o->images = &argv[*at + 1];
  o->n_images = 0;
  while (*at + 1 < argc && strncmp(argv[*at + 1], "--", 2) != 0) ++*at, o->n_images++;
  return o->n_images ? PARSE_OK : wrong("predict", "name one or more PNG or JPEG files");
}

static parse_result check_together(const options *o) {
  if (o->load && o->resume)
    return wrong("load", "is instead of training, --resume goes on with it");
  if (o->load && o->save) return wrong("save", "nothing is trained after --load");
  if (o->load && o->log) return wrong("log", "nothing is trained after --load");
  if (o->eager && o->exact) return wrong("exact", "is of compiled steps, not of --eager");
  if (o->optim != OPTIM_SGD && given(o, AT(momentum)))
    return wrong("momentum", "belongs to --optim sgd");
  return PARSE_OK;
}

static void set_default_rate(options *o) {
  const int i = find_row("lr", 2);
  if (!o->text[i]) set_option(o, i, o->optim == OPTIM_SGD ? "0.5" : "0.002");
}

parse_result options_parse(options *o, int argc, char **argv) {
  *o = (options){0};
  for (int i = 0; i < ROWS; i++)
    if (rows[i].standard) set_option(o, i, rows[i].standard);
  for (int at = 1; at < argc; at++) {
    const char *argument = argv[at];
    parse_result result = PARSE_OK;
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
      print_help();
      return PARSE_HELP;
    }
    const int i =
        strncmp(argument, "--", 2) == 0 ? find_row(argument + 2, strcspn(argument + 2, "=")) : -1;
    if (strcmp(argument, "--predict") == 0)
      result = take_images(o, argc, argv, &at);
    else if (i >= 0)
      result = take_value(o, i, argc, argv, &at);
    else
      result = unknown(argument);
    if (result != PARSE_OK) return result;
  }
  if (!o->resume && !o->load) set_default_rate(o);
  return check_together(o);
}

/* ---- in a checkpoint ------------------------------------------------------------------------- */

static const char *key_of(int i, char text[40]) {
  snprintf(text, 40, "train.%s", rows[i].name);
  return text;
}

ct_status options_store(const options *o, ct_archive *a) {
  char key[40];
  ct_status status = CT_OK;
  for (int i = 0; i < ROWS && status == CT_OK; i++)
    if (rows[i].memory != FORGOTTEN) status = ct_archive_set_text(a, key_of(i, key), o->text[i]);
  return status;
}

ct_status options_restore(options *o, const ct_archive *a, const char *path) {
  char key[40];
  for (int i = 0; i < ROWS; i++) {
    const row *r = &rows[i];
    if (r->memory == FORGOTTEN) continue;
    const char *stored = ct_archive_text(a, key_of(i, key)), *now_given = o->text[i];
    if (!stored)
      return ct_error_set(CT_EFORMAT, "%s: no checkpoint of train: it has no text \"%s\"", path,
                          key);
    if (!(o->given >> i & 1)) {
      if (set_option(o, i, stored))
        return ct_error_set(CT_EFORMAT, "%s: \"%s\" is '%s'", path, key, stored);
    } else if (r->memory == FIXED && strcmp(stored, now_given) != 0) {
      return ct_error_set(CT_EARG, "--%s %s: %s was trained with %s", r->name, now_given, path,
                          stored);
    }
  }
  return CT_OK;
}
