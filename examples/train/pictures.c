/* pictures.c - what the network learned, where it fails and how it got there, as PNG files. */
#include "train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const colour black = {30, 30, 30}, grey = {150, 150, 150}, pale = {228, 228, 228},
                    red = {178, 24, 43}, blue = {33, 102, 172}, orange = {230, 130, 20};

static int at_most(int64_t x, int limit) { return x < limit ? (int)x : limit; }

/* ---- weights --------------------------------------------------------------------------------- */

/* Red above zero, blue below, white at zero; x from -1 to 1. */
static colour diverging(double x) {
  const colour end = x > 0 ? red : blue;
  const double t = fabs(x), s = 1 - t;
  return (colour){(uint8_t)(255 * s + end.r * t), (uint8_t)(255 * s + end.g * t),
                  (uint8_t)(255 * s + end.b * t)};
}

/* One neuron's weights, each as a square; the largest has full colour. */
static void draw_weights(canvas *c, int x, int y, const float *w, int rows, int columns,
                         int scale) {
  float top = 1e-30f;
  for (int i = 0; i < rows * columns; i++) top = fmaxf(top, fabsf(w[i]));
  for (int i = 0; i < rows * columns; i++)
    canvas_box(c, x + i % columns * scale, y + i / columns * scale, scale, scale,
               diverging((double)(w[i] / top)));
}

static ct_status picture_of_weights(const char *dir, ct_module *model, const input *in) {
  enum { MOST = 256, TILE = 64, GAP = 6 };
  ct_tensor *weight = ct_module_get(model, "0.weight");
  const int rows = (int)in->height, columns = (int)in->width,
            longer = rows > columns ? rows : columns;
  const int n = at_most(ct_dim(weight, 0), MOST), across = (int)ceil(sqrt(n));
  const int scale = longer < TILE ? TILE / longer : 1;
  const int wide = columns * scale + GAP, high = rows * scale + GAP;
  const size_t bytes = (size_t)ct_size(weight) * sizeof(float);
  float *w = malloc(bytes);
  canvas c = {0};
  ct_status status = w ? ct_copy_out(weight, w, bytes) : ct_error_set(CT_ENOMEM, "out of memory");
  if (status == CT_OK &&
      canvas_new(&c, across * wide + GAP, (n + across - 1) / across * high + GAP)) {
    canvas_box(&c, 0, 0, c.width, c.height, grey);
    for (int i = 0; i < n; i++)
      draw_weights(&c, GAP + i % across * wide, GAP + i / across * high,
                   w + (size_t)i * (size_t)(rows * columns), rows, columns, scale);
    canvas_write(&c, dir, "weights.png", 1);
  }
  canvas_free(&c);
  free(w);
  return ct_error_code();
}

/* ---- mistakes -------------------------------------------------------------------------------- */

typedef struct mistake {
  int32_t example, label, guess;
  float doubt; /* how much larger the wrong logit is */
} mistake;

static int by_doubt(const void *a, const void *b) {
  const mistake *x = a, *y = b;
  if (x->doubt != y->doubt) return x->doubt > y->doubt ? -1 : 1;
  return x->example < y->example ? -1 : 1;
}

/* The worst first; their number. */
static int find_mistakes(mistake *out, const float *logits, const int32_t *labels, int n,
                         int classes) {
  int found = 0;
  for (int i = 0; i < n; i++, logits += classes) {
    int guess = 0;
    for (int j = 1; j < classes; j++)
      if (logits[j] > logits[guess]) guess = j;
    if (guess != labels[i])
      out[found++] = (mistake){i, labels[i], guess, logits[guess] - logits[labels[i]]};
  }
  qsort(out, (size_t)found, sizeof *out, by_doubt);
  return found;
}

/* The picture as the network saw it, ink dark, with label and guess below. */
static void draw_mistake(canvas *c, int x, int y, const input *in, const uint8_t *pixel, int scale,
                         const mistake *m) {
  enum { SCALE = 2, LETTERS = 4 };
  const int rows = (int)in->height, columns = (int)in->width;
  char name[16], text[32];
  for (int i = 0; i < rows * columns; i++) {
    const uint8_t ink = in->as_mnist ? (uint8_t)(255 - pixel[i]) : pixel[i];
    canvas_box(c, x + i % columns * scale, y + i / columns * scale, scale, scale,
               (colour){ink, ink, ink});
  }
  y += rows * scale + GLYPH_HEIGHT;
  snprintf(text, sizeof text, "is   %.*s", LETTERS, class_name(in, m->label, name));
  canvas_text(c, x, y, SCALE, black, text);
  snprintf(text, sizeof text, "says %.*s", LETTERS, class_name(in, m->guess, name));
  canvas_text(c, x, y + SCALE * (GLYPH_HEIGHT + 1), SCALE, red, text);
}

static ct_status draw_mistakes(const char *dir, const input *in, const uint8_t *pixels,
                               const mistake *m, int found) {
  enum { MOST = 40, ACROSS = 8, TILE = 112, GAP = 20, TEXT = 48 };
  const int n = at_most(found, MOST), down = n ? (n + ACROSS - 1) / ACROSS : 1;
  const int longer = (int)(in->height > in->width ? in->height : in->width);
  const int scale = longer < TILE ? TILE / longer : 1;
  const int wide = (int)in->width * scale + GAP, high = (int)in->height * scale + TEXT + GAP;
  canvas c;
  if (!canvas_new(&c, ACROSS * wide + GAP, down * high + GAP)) return ct_error_code();
  canvas_box(&c, 0, 0, c.width, c.height, pale);
  if (n == 0) canvas_text(&c, GAP, GAP, 3, black, "no mistakes");
  for (int i = 0; i < n; i++)
    draw_mistake(&c, GAP + i % ACROSS * wide, GAP + i / ACROSS * high, in,
                 pixels + m[i].example * in->height * in->width, scale, &m[i]);
  ct_status status = canvas_write(&c, dir, "mistakes.png", 1);
  canvas_free(&c);
  return status;
}

static ct_status picture_of_mistakes(const char *dir, ct_module *model, const input *in,
                                     const ct_dataset *test) {
  ct_scope scope = ct_scope_begin();
  const int n = (int)ct_dim(test->x, 0);
  ct_tensor *logits = ct_contiguous(logits_of(model, in, test->x));
  const float *values = ct_data(logits);
  mistake *m = malloc((size_t)n * sizeof *m);
  if (!m) ct_error_set(CT_ENOMEM, "out of memory");
  if (m && values)
    draw_mistakes(dir, in, ct_data(test->x), m,
                  find_mistakes(m, values, ct_data(test->labels), n, in->n_classes));
  free(m);
  ct_scope_end(scope);
  return ct_error_code();
}

/* ---- the learning curve ---------------------------------------------------------------------- */

/* Everything is drawn three times as large and made smaller in the end. */
enum { FINE = 3, PLOT_WIDTH = 420 * FINE, PLOT_HEIGHT = 300 * FINE, TEXT_SCALE = 2 * FINE };

typedef struct axis {
  double lo, hi, step; /* ticks at multiples of step */
  int decimals;
} axis;

typedef struct plot {
  canvas *c;
  int left, top; /* of the frame */
  axis x, y;
} plot;

/* An axis from lo to hi, rounded outwards to ticks at 1, 2 or 5 times a power of ten. */
static axis make_axis(double lo, double hi, bool whole) {
  enum { TICKS = 5 };
  const double rough = fmax((hi - lo) / TICKS, whole ? 1 : 1e-6);
  const double power = pow(10, floor(log10(rough))), part = rough / power;
  const double step = power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
  axis a = {floor(lo / step) * step, ceil(hi / step) * step, step, 0};
  if (a.hi <= a.lo) a.hi = a.lo + step;
  if (step < 1) a.decimals = (int)ceil(-log10(step) - 1e-9);
  return a;
}

static double place(const axis *a, double value, int size) {
  return (value - a->lo) / (a->hi - a->lo) * size;
}
static double x_of(const plot *p, double v) { return p->left + place(&p->x, v, PLOT_WIDTH); }
static double y_of(const plot *p, double v) {
  return p->top + PLOT_HEIGHT - place(&p->y, v, PLOT_HEIGHT);
}

static void draw_frame(const plot *p, const char *title) {
  const double right = p->left + PLOT_WIDTH, bottom = p->top + PLOT_HEIGHT;
  const int gap = 8 * FINE, letters = TEXT_SCALE * GLYPH_HEIGHT;
  char text[32];
  for (double v = p->y.lo; v <= p->y.hi + p->y.step / 2; v += p->y.step) {
    canvas_line(p->c, p->left, y_of(p, v), right, y_of(p, v), FINE, pale);
    snprintf(text, sizeof text, "%.*f", p->y.decimals, v);
    canvas_text(p->c, p->left - gap - text_width(TEXT_SCALE, text),
                (int)y_of(p, v) - letters / 2 + FINE, TEXT_SCALE, black, text);
  }
  for (double v = ceil(p->x.lo / p->x.step) * p->x.step; v <= p->x.hi; v += p->x.step) {
    canvas_line(p->c, x_of(p, v), bottom, x_of(p, v), bottom + gap / 2.0, FINE, grey);
    snprintf(text, sizeof text, "%.0f", v);
    canvas_text(p->c, (int)x_of(p, v) - text_width(TEXT_SCALE, text) / 2, (int)bottom + gap,
                TEXT_SCALE, black, text);
  }
  canvas_line(p->c, p->left, bottom, right, bottom, 1.5 * FINE, grey);
  canvas_line(p->c, p->left, p->top, p->left, bottom, 1.5 * FINE, grey);
  canvas_text(p->c, p->left, p->top - 2 * letters, TEXT_SCALE, black, title);
  canvas_text(p->c, (int)right - text_width(TEXT_SCALE, "epoch"),
              (int)bottom + gap + 3 * letters / 2, TEXT_SCALE, black, "epoch");
}

/* Points at epoch 1, 2, ... with lines between; value points into the first record. */
static void draw_series(const plot *p, const double *value, int n, double scale, colour ink) {
  const int stride = sizeof(record) / sizeof(double);
  for (int i = 0; i < n; i++) {
    const double x = x_of(p, i + 1), y = y_of(p, scale * value[i * stride]);
    if (i > 0)
      canvas_line(p->c, x_of(p, i), y_of(p, scale * value[(i - 1) * stride]), x, y, 2 * FINE, ink);
    canvas_line(p->c, x, y, x, y, 5 * FINE, ink);
  }
}

/* A word of the legend, right-aligned below the top of the frame. */
static void draw_legend(const plot *p, int line, const char *text, colour ink) {
  const int x = p->left + PLOT_WIDTH - text_width(TEXT_SCALE, text) - 8 * FINE;
  canvas_text(p->c, x, p->top + 8 * FINE + line * TEXT_SCALE * (GLYPH_HEIGHT + 3), TEXT_SCALE, ink,
              text);
}

static ct_status picture_of_history(const char *dir, const record *h, int n) {
  const int left = 80 * FINE, top = 60 * FINE, next = PLOT_WIDTH + 100 * FINE;
  canvas c;
  if (!canvas_new(&c, 2 * next + 20 * FINE, PLOT_HEIGHT + 130 * FINE)) return ct_error_code();
  double top_loss = 0, low = 1;
  for (int i = 0; i < n; i++) {
    top_loss = fmax(top_loss, fmax(h[i].train_loss, h[i].test_loss));
    low = fmin(low, h[i].test_accuracy);
  }
  axis epochs = make_axis(1, n, true);
  epochs.lo = n > 1 ? 1 : 0;
  epochs.hi = n > 1 ? n : 2;
  const plot loss = {&c, left, top, epochs, make_axis(0, top_loss, false)};
  const plot accuracy = {&c, left + next, top, epochs, make_axis(100 * low, 100, false)};
  draw_frame(&loss, "loss");
  draw_series(&loss, &h->train_loss, n, 1, blue);
  draw_series(&loss, &h->test_loss, n, 1, orange);
  draw_legend(&loss, 0, "training", blue);
  draw_legend(&loss, 1, "test", orange);
  draw_frame(&accuracy, "test accuracy in %");
  draw_series(&accuracy, &h->test_accuracy, n, 100, orange);
  ct_status status = canvas_write(&c, dir, "curve.png", FINE);
  canvas_free(&c);
  return status;
}

/* ---- all of them ----------------------------------------------------------------------------- */

ct_status write_pictures(const char *dir, ct_module *model, const input *in, const ct_dataset *test,
                         const record *history, int epochs) {
  ct_status status = picture_of_weights(dir, model, in);
  if (status == CT_OK) status = picture_of_mistakes(dir, model, in, test);
  if (status == CT_OK && epochs > 0) status = picture_of_history(dir, history, epochs);
  if (status == CT_OK)
    printf("pictures in %s: weights.png mistakes.png%s\n", dir, epochs > 0 ? " curve.png" : "");
  return status;
}
