/* bench.c - timing side by side, and the report. */
#define _GNU_SOURCE
#include "bench.h"

#include <cJSON.h>
#include <cblas.h>
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { PAIRS = 101, FEWER_PAIRS = 51, CALIBRATION = 96 };
static const double turn = 3e-3, long_turn = 0.1; /* seconds */

void bench_fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("bench: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

void *bench_alloc(size_t count, size_t size) {
  size_t bytes = (count * size + 63) & ~(size_t)63;
  void *p = size && count > SIZE_MAX / 2 / size ? NULL : aligned_alloc(64, bytes ? bytes : 64);
  if (!p) bench_fail("out of memory (%zu x %zu bytes)", count, size);
  return memset(p, 0, bytes);
}

/* ---- statistics ------------------------------------------------------------------------------ */

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Between the elements of a sorted sample, position in [0, 1]. */
static double quantile(int n, const double *sorted, double position) {
  double at = position * (n - 1);
  int i = (int)at;
  return i + 1 < n ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

bench_stats bench_statistics(int n, double *sample) {
  qsort(sample, (size_t)n, sizeof *sample, ascending);
  /* The number of values below the true median is binomial: these ranks hold it 95 times in 100. */
  int reach = (int)ceil(0.98 * sqrt(n)), middle = (n - 1) / 2;
  int low = middle - reach, high = n - 1 - low;
  return (bench_stats){n,
                       quantile(n, sample, 0.5),
                       quantile(n, sample, 0.25),
                       quantile(n, sample, 0.75),
                       sample[low > 0 ? low : 0],
                       sample[high < n ? high : n - 1]};
}

/* ---- timing ---------------------------------------------------------------------------------- */

void bench_begin(void) {
  int cpu = sched_getcpu();
  if (cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    sched_setaffinity(0, sizeof set, &set); /* where it is refused, the noise column tells */
  }
  openblas_set_num_threads(1);
}

/* Processor time of the whole process: other programs on this processor do not count, threads that
 * one side may start do. */
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double seconds_of(bench_way way, int runs) {
  if (way.seconds) return way.seconds(way.state, runs);
  double start = now();
  for (int i = 0; i < runs; i++) way.run(way.state);
  return now() - start;
}

/* How many runs fill a turn of so many seconds. */
static int runs_for(bench_way way, double seconds) {
  int runs = 1;
  double taken = seconds_of(way, runs);
  while (taken < seconds / 4) {
    runs *= 2;
    taken = seconds_of(way, runs);
  }
  return (int)ceil(runs * seconds / taken);
}

double bench_shortest(bench_way way) {
  enum { TURNS = 9 };
  int runs = runs_for(way, turn / 10);
  double best = seconds_of(way, runs);
  for (int i = 1; i < TURNS; i++) best = fmin(best, seconds_of(way, runs));
  return best / runs;
}

static void calibrate(void *p) {
  float *a = p;
  enum { N = CALIBRATION };
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, a, N, a + N * N, N, 0,
              a + 2 * N * N, N);
}

bench_result bench_alternate(bench_way ours, bench_way floor) {
  bench_way product = {.run = calibrate,
                       .state = bench_alloc(3 * CALIBRATION * CALIBRATION, sizeof(float))};
  int our_runs = runs_for(ours, turn), floor_runs = runs_for(floor, turn);
  int product_runs = runs_for(product, turn / 10);
  int pairs = seconds_of(floor, floor_runs) < long_turn ? PAIRS : FEWER_PAIRS;
  double ratio[PAIRS], ours_at[PAIRS], floor_at[PAIRS], product_at[PAIRS];
  for (int i = 0; i < pairs; i++) {
    bool first = i & 1; /* who goes first changes, so that a drift cancels */
    if (first) ours_at[i] = seconds_of(ours, our_runs) / our_runs;
    floor_at[i] = seconds_of(floor, floor_runs) / floor_runs;
    if (!first) ours_at[i] = seconds_of(ours, our_runs) / our_runs;
    ratio[i] = ours_at[i] / floor_at[i];
    product_at[i] = seconds_of(product, product_runs);
  }
  free(product.state);
  bench_stats noise = bench_statistics(pairs, product_at);
  return (bench_result){bench_statistics(pairs, ratio), bench_statistics(pairs, ours_at).median,
                        bench_statistics(pairs, floor_at).median,
                        (noise.upper - noise.lower) / noise.median};
}

/* ---- the report ------------------------------------------------------------------------------ */

struct bench_report {
  const char *name;
  cJSON *root, *rows;
};

/* "model name : ..." of Linux; other systems leave it empty. */
static void processor_name(size_t size, char *name) {
  char line[256];
  FILE *f = fopen("/proc/cpuinfo", "r");
  name[0] = '\0';
  while (f && fgets(line, sizeof line, f))
    if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
      snprintf(name, size, "%s", strchr(line, ':') + 2);
      name[strcspn(name, "\n")] = '\0';
      break;
    }
  if (f) fclose(f);
}

bench_report *bench_report_new(const char *name, const char *const columns[3]) {
  char processor[256];
  processor_name(sizeof processor, processor);
  bench_report *r = bench_alloc(1, sizeof *r);
  r->name = name;
  r->root = cJSON_CreateObject();
  cJSON_AddStringToObject(r->root, "bench", name);
  cJSON_AddStringToObject(r->root, "processor", processor);
  cJSON_AddStringToObject(r->root, "openblas", openblas_get_config());
  cJSON_AddStringToObject(r->root, "openblas_kernels", openblas_get_corename());
  cJSON_AddStringToObject(r->root, "ours", columns[1]);
  cJSON_AddStringToObject(r->root, "floor", columns[2]);
  r->rows = cJSON_AddArrayToObject(r->root, "rows");
  printf("## %s\n\n%s, %s, 1 thread; medians of %d or %d pairs\n\n", name, processor,
         openblas_get_config(), FEWER_PAIRS, PAIRS);
  printf("| %s | %s | %s | ratio | quartiles | 95 %% interval | noise | goal |\n", columns[0],
         columns[1], columns[2]);
  printf("|---|--:|--:|--:|--:|--:|--:|--:|\n");
  return r;
}

static const char *duration(char text[32], double seconds) {
  static const char *const unit[] = {"ns", "us", "ms"};
  double value = seconds * 1e9;
  int i = 0;
  for (; i < 2 && value >= 1000; i++) value /= 1000;
  snprintf(text, 32, "%.*f %s", value < 10 ? 2 : value < 100 ? 1 : 0, value, unit[i]);
  return text;
}

static bool goal_met(double goal, const bench_stats *s) {
  return s->low <= goal && s->median <= 1.05 * goal;
}

static void add_stats(cJSON *row, const bench_stats *s) {
  cJSON_AddNumberToObject(row, "pairs", s->n);
  cJSON_AddNumberToObject(row, "ratio", s->median);
  cJSON_AddNumberToObject(row, "lower_quartile", s->lower);
  cJSON_AddNumberToObject(row, "upper_quartile", s->upper);
  cJSON_AddNumberToObject(row, "interval_low", s->low);
  cJSON_AddNumberToObject(row, "interval_high", s->high);
}

void bench_report_row(bench_report *r, const char *label, double goal, const bench_result *result) {
  const bench_stats *s = &result->ratio;
  char ours[32], floor[32], verdict[32] = "";
  if (goal > 0)
    snprintf(verdict, sizeof verdict, "%.4g %s", goal, goal_met(goal, s) ? "met" : "missed");
  printf("| %s | %s | %s | **%.2f** | %.2f-%.2f | %.2f-%.2f | %.0f %% | %s |\n", label,
         duration(ours, result->ours), duration(floor, result->floor), s->median, s->lower,
         s->upper, s->low, s->high, 100 * result->noise, verdict);
  fflush(stdout);
  cJSON *row = cJSON_CreateObject();
  cJSON_AddStringToObject(row, "label", label);
  add_stats(row, s);
  cJSON_AddNumberToObject(row, "ours_seconds", result->ours);
  cJSON_AddNumberToObject(row, "floor_seconds", result->floor);
  cJSON_AddNumberToObject(row, "noise", result->noise);
  if (goal > 0) {
    cJSON_AddNumberToObject(row, "goal", goal);
    cJSON_AddBoolToObject(row, "met", goal_met(goal, s));
  }
  cJSON_AddItemToArray(r->rows, row);
}

void bench_report_note(bench_report *r, const char *key, const char *text) {
  int rows = cJSON_GetArraySize(r->rows);
  cJSON_AddStringToObject(cJSON_GetArrayItem(r->rows, rows - 1), key, text);
}

bool bench_report_end(bench_report *r) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s.json", BENCH_RESULTS, r->name);
  char *text = cJSON_Print(r->root);
  bool ok = text && (mkdir(BENCH_RESULTS, 0777) == 0 || errno == EEXIST);
  FILE *f = ok ? fopen(path, "w") : NULL;
  ok = f && fprintf(f, "%s\n", text) > 0;
  if (f && fclose(f) != 0) ok = false;
  if (ok)
    printf("\nwritten to %s\n", path);
  else
    fprintf(stderr, "bench: cannot write %s\n", path);
  cJSON_free(text);
  cJSON_Delete(r->root);
  free(r);
  return ok;
}
