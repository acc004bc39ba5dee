/* point.h - what the peers in C share for training steps: the point to measure and the protocol of
 * support/peer.h.
 *
 * "load n" reads the point from the file that $CT_BENCH_POINT names (support/trainee.h), does n
 * steps and answers with the loss of the last one; "step n" does n more and answers with the time.
 */
#ifndef COTANGENT_PEERS_POINT_H
#define COTANGENT_PEERS_POINT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LAYERS = 4, CLASSES = 10 };

typedef struct point {
  int32_t layers, relu, batch, width[LAYERS + 1];
  float rate, *x, *one_hot; /* (batch, in), (batch, CLASSES) */
  float *weight[LAYERS], *bias[LAYERS];
} point;

/* What a driver gives: a fresh network for the point, whose memory stays valid until the next; and
 * one step, which returns the loss before it. */
void network_new(const point *p, int threads);
float network_step(void);

static int point_threads(void) {
  const char *text = getenv("CT_BENCH_THREADS");
  return text ? atoi(text) : 1;
}

static float *point_numbers(FILE *f, size_t n) {
  float *x = malloc(n * sizeof *x);
  if (!x || fread(x, sizeof *x, n, f) != n) exit(1);
  return x;
}

static void point_read(point *p) {
  const char *path = getenv("CT_BENCH_POINT");
  FILE *f = path ? fopen(path, "rb") : NULL;
  if (!f || fread(p, sizeof(int32_t), 3, f) != 3 || p->layers > LAYERS ||
      fread(p->width, sizeof(int32_t), (size_t)p->layers + 1, f) != (size_t)p->layers + 1 ||
      fread(&p->rate, sizeof p->rate, 1, f) != 1)
    exit(1);
  size_t batch = (size_t)p->batch;
  p->x = point_numbers(f, batch * (size_t)p->width[0]);
  float *labels = point_numbers(f, batch);
  p->one_hot = calloc(batch * CLASSES, sizeof *p->one_hot);
  for (size_t i = 0; i < batch; i++) {
    int32_t label;
    memcpy(&label, &labels[i], sizeof label);
    p->one_hot[i * CLASSES + (size_t)label] = 1;
  }
  for (int i = 0; i < p->layers; i++) {
    p->weight[i] = point_numbers(f, (size_t)p->width[i] * (size_t)p->width[i + 1]);
    p->bias[i] = point_numbers(f, (size_t)p->width[i + 1]);
  }
  free(labels);
  fclose(f);
}

static void point_free(point *p) {
  free(p->x);
  free(p->one_hot);
  for (int i = 0; i < p->layers; i++) {
    free(p->weight[i]);
    free(p->bias[i]);
  }
  memset(p, 0, sizeof *p);
}

static double point_now(int threads) {
  struct timespec t;
  clock_gettime(threads > 1 ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int point_serve(const char *name) {
  static point p; /* networks may refer to it */
  char task[64];
  int runs, threads = point_threads();
  puts(name);
  fflush(stdout);
  while (scanf("%63s %d", task, &runs) == 2) {
    int load = strcmp(task, "load") == 0, step = strcmp(task, "step") == 0;
    if (load) {
      point_free(&p);
      point_read(&p);
      network_new(&p, threads);
    }
    float loss = -1;
    double start = point_now(threads);
    for (int i = 0; i < runs && (load || step); i++) loss = network_step();
    printf("%.9g\n", step ? point_now(threads) - start : (double)loss);
    fflush(stdout);
  }
  return 0;
}

#endif
