/* bench.c - timing side by side. */
#define _GNU_SOURCE
#include "bench.h"

#include <cblas.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAIRS = 101, FEWER_PAIRS = 51, CALIBRATION = 96 };
static const double turn = 3e-3, long_turn = 0.1; /* seconds */
/* Threads of OpenBLAS spin for 2^26 cycles before they sleep. */
static const double rest = 30e-3;

static int threads = 1;

void bench_fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("bench: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

void bench_no_options(int argc, char **argv) {
  const char *name = strrchr(argv[0], '/');
  if (argc > 1) bench_fail("%s has no options, got '%s'", name ? name + 1 : argv[0], argv[1]);
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

bench_result bench_geometric_mean(int n, const bench_result *results) {
  bench_stats sum = {0};
  double noise = 0, shared = 0;
  for (int i = 0; i < n; i++) {
    const bench_stats *s = &results[i].ratio;
    sum.median += log(s->median) / n;
    sum.lower += log(s->lower) / n;
    sum.upper += log(s->upper) / n;
    sum.low += log(s->low) / n;
    sum.high += log(s->high) / n;
    noise = fmax(noise, results[i].noise);
    shared = fmax(shared, results[i].shared);
  }
  bench_stats mean = {results[0].ratio.n, exp(sum.median), exp(sum.lower),
                      exp(sum.upper),     exp(sum.low),    exp(sum.high)};
  return (bench_result){mean, 0, 0, noise, shared};
}

/* ---- processors and clocks ------------------------------------------------------------------- */

bool bench_threads(int n) {
  static cpu_set_t allowed; /* as the process was started */
  if (CPU_COUNT(&allowed) == 0) sched_getaffinity(0, sizeof allowed, &allowed);
  int first = sched_getcpu(), found = 0;
  if (first < 0 || CPU_COUNT(&allowed) < n) return false;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i = 0; i < CPU_SETSIZE && found < n; i++) {
    size_t cpu = ((size_t)first + (size_t)i) % CPU_SETSIZE;
    if (!CPU_ISSET(cpu, &allowed)) continue;
    CPU_SET(cpu, &set);
    found++;
  }
  if (sched_setaffinity(0, sizeof set, &set) != 0) return false;
  threads = n;
  openblas_set_num_threads(n);
  return true;
}

/* Where a place is refused, the noise column tells. */
void bench_begin(void) {
  if (!bench_threads(1)) openblas_set_num_threads(1);
}

/* Processor time of the whole process: other programs on this processor do not count, threads that
 * one side may start do. */
double bench_now(void) {
  struct timespec t;
  clock_gettime(threads > 1 ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- timing ---------------------------------------------------------------------------------- */

static double seconds_of(bench_way way, int runs) {
  if (way.seconds) return way.seconds(way.state, runs);
  double start = bench_now();
  for (int i = 0; i < runs; i++) way.run(way.state);
  return bench_now() - start;
}

/* The first runs do not count: the caches hold the other side's numbers. */
static double turn_of(bench_way way, int runs) {
  if (threads > 1) nanosleep(&(struct timespec){.tv_nsec = (long)(rest * 1e9)}, NULL);
  seconds_of(way, 1 + runs / 4);
  return seconds_of(way, runs);
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

/* None waits for another one: as many at a time as the core takes. */
static void run_instructions(void *p) {
  enum { ROUNDS = 1000 };
  unsigned a = 1, b = 2, c = 3, d = 4;
  (void)p;
  for (int i = 0; i < ROUNDS; i++) {
    a += 5, b ^= 7, c -= 11, d += 13;
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
    a ^= 3, b += 9, c ^= 15, d -= 17;
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
  }
}

static double shared_of(int n, double *seconds) {
  static double shortest;
  const double median = bench_statistics(n, seconds).median; /* sorted now */
  if (shortest == 0 || seconds[0] < shortest) shortest = seconds[0];
  return median / shortest;
}

bench_result bench_alternate(bench_way ours, bench_way floor) {
  bench_way product = {.run = calibrate,
                       .state = bench_alloc(3 * CALIBRATION * CALIBRATION, sizeof(float))};
  int our_runs = runs_for(ours, turn), floor_runs = runs_for(floor, turn);
  bench_way instructions = {.run = run_instructions};
  int product_runs = runs_for(product, turn / 10), plain_runs = runs_for(instructions, turn / 10);
  bool brief = threads == 1 && seconds_of(floor, floor_runs) < long_turn;
  int pairs = brief ? PAIRS : FEWER_PAIRS;
  double ratio[PAIRS], ours_at[PAIRS], floor_at[PAIRS], product_at[PAIRS], plain_at[PAIRS];
  for (int i = 0; i < pairs; i++) {
    bool first = i & 1; /* who goes first changes, so that a drift cancels */
    if (first) ours_at[i] = turn_of(ours, our_runs) / our_runs;
    floor_at[i] = turn_of(floor, floor_runs) / floor_runs;
    if (!first) ours_at[i] = turn_of(ours, our_runs) / our_runs;
    ratio[i] = ours_at[i] / floor_at[i];
    product_at[i] = seconds_of(product, product_runs);
    plain_at[i] = seconds_of(instructions, plain_runs) / plain_runs;
  }
  free(product.state);
  bench_stats noise = bench_statistics(pairs, product_at);
  return (bench_result){bench_statistics(pairs, ratio), bench_statistics(pairs, ours_at).median,
                        bench_statistics(pairs, floor_at).median,
                        (noise.upper - noise.lower) / noise.median, shared_of(pairs, plain_at)};
}
