/* startup.h - what both programs of bench/startup.c share: the batch they read, and how they say
 * what it took them.
 */
#ifndef COTANGENT_BENCH_STARTUP_H
#define COTANGENT_BENCH_STARTUP_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STARTUP_SHAPE = 1, STARTUP_BATCH = 128, STARTUP_INPUTS = 784 };

/* From a file of f32 inputs and int32 labels. */
static inline void startup_read(const char *path, float *x, int32_t *label) {
  FILE *f = path ? fopen(path, "rb") : NULL;
  size_t n = (size_t)STARTUP_BATCH * STARTUP_INPUTS;
  if (!f || fread(x, sizeof *x, n, f) != n ||
      fread(label, sizeof *label, STARTUP_BATCH, f) != STARTUP_BATCH) {
    fprintf(stderr, "cannot read the batch\n");
    exit(1);
  }
  fclose(f);
}

/* The largest size so far, in bytes; 0 where the system does not tell. */
static inline double startup_memory(void) {
  double kilobytes = 0;
  char line[256];
  FILE *f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof line, f))
    if (strncmp(line, "VmHWM:", 6) == 0) kilobytes = strtod(line + 6, NULL);
  if (f) fclose(f);
  return 1024 * kilobytes;
}

/* Loss, seconds of processor time since the process was started, memory. */
static inline void startup_report(double loss) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  printf("%.9g %.9f %.0f\n", loss, (double)t.tv_sec + 1e-9 * (double)t.tv_nsec, startup_memory());
}

#endif
