/* train.h - the parts of the trainer. Functions that return a bool or a ct_status report failures
 * as the library does: ct_error_message has the text. */
#ifndef TRAIN_H
#define TRAIN_H

#include <cotangent.h>

enum { MAX_HIDDEN = 16 };

/* ---- options.c: the command line ------------------------------------------------------------- */

enum optim_choice { OPTIM_SGD, OPTIM_ADAM, OPTIM_ADAMW };

typedef struct hidden_sizes {
  int n;
  int64_t at[MAX_HIDDEN];
} hidden_sizes;

typedef struct options {
  const char *data, *save, *resume, *load, *out, *log; /* NULL if not given */
  hidden_sizes hidden;
  int act, optim, schedule; /* number of the choice, in the order of --help */
  bool eager, exact;        /* how steps are run */
  int64_t epochs, batch, seed;
  int64_t threads; /* 0 if not given */
  double lr, momentum, smoothing, val, warmup;
  int n_images;
  char *const *images; /* --predict */
  uint32_t given;      /* bit i: row i was on the command line */
  const char *text[32];
} options;

typedef enum parse_result { PARSE_OK, PARSE_HELP, PARSE_WRONG } parse_result;

/* Reads the command line. PARSE_HELP: the help is printed. PARSE_WRONG: what is wrong is printed.
 */
parse_result options_parse(options *o, int argc, char **argv);
/* Writes what the training depends on into the texts of a checkpoint. */
ct_status options_store(const options *o, ct_archive *a);
/* Takes from a checkpoint what was not given; given options that belong to the network must agree.
 */
ct_status options_restore(options *o, const ct_archive *a, const char *path);

/* ---- data.c: examples, and how the network sees them ----------------------------------------- */

typedef struct data {
  ct_dataset train, val, test; /* val is empty without --val */
} data;

/* What a picture becomes before the network sees it, and what the answers mean. */
typedef struct input {
  int64_t height, width;
  bool as_mnist; /* pictures are inverted and centred as MNIST was, not only resized */
  ct_standardizer standardizer;
  int n_classes;
  char *classes; /* their names, each ended by '/' */
} input;

ct_status data_load(data *d, const options *o);
void data_free(data *d);

ct_status input_fit(input *in, const data *d, const options *o);
ct_status input_store(const input *in, ct_archive *a);
ct_status input_restore(input *in, const ct_archive *a, const char *path);
/* CT_OK if the data are such as the network was trained on. */
ct_status input_check(const input *in, const data *d, const char *path);
void input_free(input *in);
/* The name of a class, at most 15 characters of it. */
const char *class_name(const input *in, int i, char text[16]);

/* ---- checkpoint.c: one file with all that training needs to go on ---------------------------- */

/* Losses and accuracy after each epoch. */
typedef struct record {
  double train_loss, test_loss, test_accuracy;
} record;

/* A training run: what a checkpoint holds. */
typedef struct run {
  ct_module *model;
  ct_optim *optim;
  int64_t per_epoch, total; /* steps */
  int64_t step;             /* steps taken */
  double loss_sum;          /* of the batches of this epoch */
  record *history;          /* one for each epoch, with room for all */
  int epochs;               /* of them */
  ct_archive *best;         /* the weights that were best by validation; NULL without --val */
  double saved;             /* when, by now() */
  double best_loss, best_accuracy; /* theirs */
} run;

ct_status checkpoint_save(run *r, const input *in, const options *o);
/* The rest into a run whose model has the file's weights already. */
ct_status checkpoint_restore(run *r, const ct_archive *a);
/* Notes the weights if they are the best so far. */
ct_status keep_best(run *r, double loss, double accuracy);

/* ---- progress.c: what is shown meanwhile, and Ctrl-C ----------------------------------------- */

typedef struct progress {
  bool terminal;
  int64_t first, total, epochs; /* steps */
  double begin, shown;          /* seconds */
  double loss;                  /* smoothed */
} progress;

double now(void); /* seconds, from a clock that only goes forward */
void catch_interrupts(void);
bool interrupted(void);

void progress_begin(progress *p, int64_t first, int64_t total, int64_t epochs);
void progress_step(progress *p, int64_t step, double rate, double loss);
void progress_epoch(const progress *p, int epoch, const record *r, double seconds,
                    const double *val_accuracy);
void progress_end(const progress *p);

/* --log: lines of JSON. A NULL log is fine. */
ct_status log_open(FILE **log, const options *o);
void log_epoch(FILE *log, int epoch, const record *r, double seconds);
void log_final(FILE *log, double accuracy, double train_seconds, double load_seconds,
               int64_t parameters);

/* ---- predict.c ------------------------------------------------------------------------------- */

/* Logits (n, classes) of pictures (n, h, w), nothing recorded. */
ct_tensor *logits_of(ct_module *model, const input *in, ct_tensor *x);
/* Prints the classes of a picture file with bars. */
ct_status predict_file(ct_module *model, const input *in, const char *path);

/* ---- report.c, pictures.c, canvas.c ---------------------------------------------------------- */

/* Prints test accuracy and confusion matrix; *accuracy may be NULL. */
ct_status report_test(ct_module *model, const input *in, const ct_dataset *test, double *accuracy);
/* The folder and those above it. */
ct_status make_folders(const char *dir);
/* Writes weights.png, mistakes.png and, with a history, curve.png. */
ct_status write_pictures(const char *dir, ct_module *model, const input *in, const ct_dataset *test,
                         const record *history, int epochs);

typedef struct colour {
  uint8_t r, g, b;
} colour;

/* A picture in memory, white at first. Drawing outside is clipped. */
typedef struct canvas {
  int width, height;
  uint8_t *pixel; /* (height, width, 3) */
} canvas;

enum { GLYPH_WIDTH = 6, GLYPH_HEIGHT = 9 }; /* with the gap, times the scale of the text */

bool canvas_new(canvas *c, int width, int height);
void canvas_free(canvas *c);
void canvas_box(canvas *c, int x, int y, int width, int height, colour ink);
void canvas_line(canvas *c, double x0, double y0, double x1, double y1, double thick, colour ink);
/* Text with its top left corner at (x, y); returns its width. */
int canvas_text(canvas *c, int x, int y, int scale, colour ink, const char *text);
int text_width(int scale, const char *text);
/* Writes the picture, made smaller by a whole factor, which smooths what was drawn large. */
ct_status canvas_write(const canvas *c, const char *dir, const char *name, int shrink);

#endif
