/* bench.h - what the benchmarks share: two ways to do the same thing timed side by side, and the
 * report.
 *
 * Machines swing by a factor of two within seconds, so times of different moments say nothing. The
 * two ways take turns of a few milliseconds in one process on one processor; the figure is the
 * median of the ratios of neighbouring turns, in processor time. A fixed small product between them
 * tells how noisy the run was, and plain instructions whether the core was shared: where a strange
 * program runs as its other thread, code of many instructions takes up to twice as long, and loops
 * that wait for vector units or memory as long as ever.
 *
 * On several threads it is wall time, and before each turn there is a rest in which the threads of
 * the other way fall asleep, then a warm-up that wakes one's own.
 */
#ifndef COTANGENT_BENCH_H
#define COTANGENT_BENCH_H

#include <stdbool.h>
#include <stddef.h>

/* Hand-written C is compiled for the machine it runs on. */
#if defined(__x86_64__) && defined(__gnu_linux__)
#define BEST_ISA __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define BEST_ISA
#endif

typedef struct bench_way {
  void (*run)(void *state); /* once; called many times */
  void *state;
  /* Instead, where another process does it: so many times, and the time it took. */
  double (*seconds)(void *state, int runs);
} bench_way;

typedef struct bench_stats {
  int n;
  double median, lower, upper; /* with the quartiles */
  double low, high;            /* the 95 % interval of the median, from order statistics */
} bench_stats;

typedef struct bench_result {
  bench_stats ratio;  /* ours / floor */
  double ours, floor; /* seconds for one run, medians; 0 where there are none */
  double noise;       /* distance of the quartiles of the calibration product, over its median */
  double shared;      /* time of plain instructions, median over the shortest of the process;
                       * 0 where they were not timed */
} bench_result;

/* Ends the program, and says why, if a part without options was given some. */
void bench_no_options(int argc, char **argv);
/* Pins this thread to the processor it runs on and OpenBLAS to one thread. */
void bench_begin(void);
/* The same for n processors and threads. Threads started from here on inherit the place. False, and
 * nothing has changed, if this process may not use so many. */
bool bench_threads(int n);
/* Seconds so far: processor time of this process on one thread, wall time on several. */
double bench_now(void);

bench_stats bench_statistics(int n, double *sample); /* sorts the sample; n > 0 */
bench_result bench_alternate(bench_way ours, bench_way floor);
/* The geometric mean of ratios and of the ends of their intervals; n > 0. */
bench_result bench_geometric_mean(int n, const bench_result *results);
/* Seconds for one run: the shortest of a few short turns. For choosing, not for reporting. */
double bench_shortest(bench_way way);

/* A report: a Markdown table on stdout, row by row, and the same as bench/results/<name>.json. */
typedef struct bench_report bench_report;

typedef struct bench_cell {
  const char *label;  /* what is measured: a line of the table in bench/results/README.md */
  const char *column; /* by which of our ways; NULL means the report's own name for our side */
  double goal;        /* 0 is none */
  bool bytes;         /* memory, not time */
} bench_cell;

/* columns: what is compared, how our side is called, and the floor, as headings. */
bench_report *bench_report_new(const char *name, const char *const columns[3]);
/* A goal is met when the interval reaches down to it and the median is at most 5 % above it. */
void bench_report_cell(bench_report *r, bench_cell cell, const bench_result *result);
void bench_report_row(bench_report *r, const char *label, double goal, const bench_result *result);
/* A remark on the last row, for the file only. */
void bench_report_note(bench_report *r, const char *key, const char *text);
/* Writes the file and bench/results/README.md, which has the tables of all files there, and frees
 * r. False on failure. */
bool bench_report_end(bench_report *r);
/* Frees r without writing: a part of the whole was measured. */
bool bench_report_drop(bench_report *r);
/* bench/results/README.md anew from the files beside it; false on failure. */
bool bench_tables_write(void);

/* 64-byte aligned and zeroed; ends the program when there is no memory. */
void *bench_alloc(size_t count, size_t size);
/* Ends the program with a message on stderr. */
_Noreturn void bench_fail(const char *format, ...);
/* Ends the program with the library's error, if there is one. */
void bench_check_library(void);

#endif
