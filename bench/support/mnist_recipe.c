/* mnist_recipe.c - recipes as text, and the numbers that follow from them. */
#include "mnist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool parse_hidden(mnist_recipe *r, const char *text) {
  for (r->hidden = 0; *text;) {
    char *end;
    const long width = strtol(text, &end, 10);
    if (end == text || (*end && *end != '-')) return false;
    if (width == 0) return r->hidden == 0 && !*end;
    if (width < 0 || width > 4096 || r->hidden == MNIST_HIDDEN) return false;
    r->width[r->hidden++] = (int)width;
    text = *end ? end + 1 : end;
  }
  return true;
}

static bool set(mnist_recipe *r, const char *key, const char *value) {
  double batch = 0;
  const struct {
    const char *key;
    double *number, lo, hi;
  } known[] = {{"batch", &batch, 1, 10000},        {"rate", &r->rate, 1e-9, 1e3},
               {"momentum", &r->momentum, 0, 1},   {"warmup", &r->warmup, 0, 1},
               {"smoothing", &r->smoothing, 0, 1}, {"epochs", &r->epochs, 0, 1e4}};
  if (strcmp(key, "hidden") == 0) return parse_hidden(r, value);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(key, known[i].key) != 0) continue;
    char *end;
    *known[i].number = strtod(value, &end);
    if (batch > 0) r->batch = (int)batch;
    return end != value && !*end && *known[i].number >= known[i].lo &&
           *known[i].number <= known[i].hi;
  }
  return false;
}

bool mnist_recipe_parse(mnist_recipe *r, const char *text) {
  char room[256];
  *r = (mnist_recipe){0};
  if (snprintf(room, sizeof room, "%s", text) >= (int)sizeof room) return false;
  for (char *item = strtok(room, ","); item; item = strtok(NULL, ",")) {
    char *value = strchr(item, '=');
    if (!value) return false;
    *value++ = '\0';
    if (!set(r, item, value)) return false;
  }
  return r->batch > 0 && r->rate > 0 && r->epochs > 0;
}

int64_t mnist_steps(const mnist_recipe *r, int64_t images) {
  return (int64_t)(r->epochs * (double)(images / r->batch) + 0.5);
}

double mnist_rate(const mnist_recipe *r, int64_t step, int64_t steps) {
  const int64_t warmup = (int64_t)(r->warmup * (double)steps);
  if (step < warmup) return r->rate * (double)(step + 1) / (double)warmup;
  return r->rate * (1 - (double)(step - warmup) / (double)(steps - warmup));
}

double mnist_gflop(const mnist_recipe *r, int64_t images) {
  double each = 0;
  for (int i = 0, in = MNIST_PIXELS; i <= r->hidden; i++) {
    const int out = i < r->hidden ? r->width[i] : MNIST_CLASSES;
    each += (i == 0 ? 4.0 : 6.0) * in * out; /* nobody wants the gradient of the images */
    in = out;
  }
  return 1e-9 * each * r->batch * (double)mnist_steps(r, images);
}

static double seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double mnist_wall(void) { return seconds(CLOCK_MONOTONIC); }
double mnist_processor(void) { return seconds(CLOCK_PROCESS_CPUTIME_ID); }
