/* mnist.c - from the four gzipped files of MNIST to trained weights, against the same by hand.
 *
 * Each target of test accuracy has a recipe of its own, chosen by mnist_search.sh on training
 * images only. A run is a process: it reads, trains, notes the time, and only then looks at the
 * test set. A target is reached when the mean over the seeds is at or above it. Runs of both sides
 * alternate.
 *
 *   mnist                          the benchmark; CT_MNIST names the folder of the files
 *   mnist --validate N RECIPE...   accuracy on held-out training images, mean of N seeds
 *   mnist --run library|hand RECIPE SEED test|validation   one run
 */
#define _POSIX_C_SOURCE 200809L
#include "support/mnist.h"
#include "support/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 10, MAX_SEEDS = 100 };

static const struct target {
  double accuracy;
  const char *recipe;
} targets[] = {
    {0.97, "hidden=64,batch=16,rate=0.148,momentum=0,warmup=0.05,smoothing=0.03,epochs=1"},
    {0.98, "hidden=128,batch=32,rate=0.121,momentum=0.7,warmup=0.2,smoothing=0.03,epochs=2.5"},
    {0.985, "hidden=384,batch=64,rate=0.128,momentum=0.8,warmup=0.2,smoothing=0.05,epochs=5"}};

/* ---- one run --------------------------------------------------------------------------------- */

static const struct side {
  const char *name, *text;
  mnist_result (*run)(const mnist_recipe *r, const mnist_options *o);
} sides[] = {{"library", "library", mnist_by_library}, {"hand", "by hand", mnist_by_hand}};
enum { OURS, FLOOR, SIDES };

static mnist_recipe parse(const char *text) {
  mnist_recipe r;
  if (!mnist_recipe_parse(&r, text)) bench_fail("no recipe: %s", text);
  return r;
}

static const struct side *find_side(const char *name) {
  for (int i = 0; i < SIDES; i++)
    if (strcmp(sides[i].name, name) == 0) return &sides[i];
  bench_fail("no side '%s'", name);
}

/* A result as a line that another process reads: its numbers in their order. */
enum { NUMBERS = sizeof(mnist_result) / sizeof(double) };

static int run_once(char **argv, const char *dir) {
  const mnist_recipe recipe = parse(argv[1]);
  if (strcmp(argv[3], "test") != 0 && strcmp(argv[3], "validation") != 0)
    bench_fail("no set '%s'", argv[3]);
  const mnist_options o = {.dir = dir,
                           .seed = strtoull(argv[2], NULL, 10),
                           .validation = strcmp(argv[3], "validation") == 0};
  const mnist_result result = find_side(argv[0])->run(&recipe, &o);
  double number[NUMBERS];
  memcpy(number, &result, sizeof number);
  for (int i = 0; i < NUMBERS; i++) printf("%.9g ", number[i]);
  putchar('\n');
  return 0;
}

static mnist_result run_process(const char *program, int threads, const struct side *side,
                                const char *recipe, int seed, const char *set) {
  char command[4096], line[512];
  snprintf(command, sizeof command, "CT_NUM_THREADS=%d '%s' --run %s %s %d %s", threads, program,
           side->name, recipe, seed, set);
  FILE *f = popen(command, "r");
  double number[NUMBERS];
  char *at = f && fgets(line, sizeof line, f) ? line : NULL;
  for (int i = 0; at && i < NUMBERS; i++) {
    char *end;
    number[i] = strtod(at, &end);
    at = end > at ? end : NULL;
  }
  if (!f || pclose(f) != 0 || !at) bench_fail("failed: %s", command);
  mnist_result result;
  memcpy(&result, number, sizeof result);
  return result;
}

/* ---- many of them ---------------------------------------------------------------------------- */

static double accuracy_of(const mnist_result *r) { return 100 * r->accuracy; }
static double total_of(const mnist_result *r) { return r->total; }
static double read_of(const mnist_result *r) { return r->read; }
static double prepare_of(const mnist_result *r) { return r->prepare; }
static double convert_of(const mnist_result *r) { return r->convert; }
static double train_of(const mnist_result *r) { return r->train; }
static double processor_of(const mnist_result *r) { return r->processor; }

typedef double quantity(const mnist_result *r);

static double mean(int n, const mnist_result *r, quantity *q) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += q(&r[i]);
  return sum / n;
}

/* The standard deviation of one run. */
static double deviation(int n, const mnist_result *r, quantity *q) {
  const double middle = mean(n, r, q);
  double sum = 0;
  for (int i = 0; i < n; i++) sum += (q(&r[i]) - middle) * (q(&r[i]) - middle);
  return n > 1 ? sqrt(sum / (n - 1)) : 0;
}

static bench_stats stats(int n, const mnist_result *r, quantity *q) {
  double sample[MAX_SEEDS];
  for (int i = 0; i < n; i++) sample[i] = q(&r[i]);
  return bench_statistics(n, sample);
}

/* The text of a row of the second table, which is also in the file. */
static void describe(char *text, size_t size, int n, const mnist_result *r, double target) {
  const double reached = mean(n, r, accuracy_of);
  int at = snprintf(text, size, "%.2f +- %.2f %s", reached, deviation(n, r, accuracy_of),
                    reached >= 100 * target ? "reached" : "missed");
  quantity *const part[] = {read_of, prepare_of, convert_of, train_of, total_of, processor_of};
  for (size_t i = 0; i < sizeof part / sizeof *part; i++)
    at += snprintf(text + at, size - (size_t)at, " | %.3f", stats(n, r, part[i]).median);
}

typedef struct line {
  char label[96], text[SIDES][160];
} line;

/* Both sides in turns: a row of the report, and a line for the second table. */
static line compare(bench_report *report, const char *program, const struct target *t,
                    int threads) {
  mnist_result result[SIDES][SEEDS];
  double ratio[SEEDS];
  quantity *const time = threads > 1 ? total_of : processor_of;
  for (int i = 0; i < SEEDS; i++) {
    for (int k = 0; k < SIDES; k++) {
      const int side = (i + k) % SIDES; /* who goes first changes, so that a drift cancels */
      result[side][i] = run_process(program, threads, &sides[side], t->recipe, i + 1, "test");
    }
    ratio[i] = time(&result[OURS][i]) / time(&result[FLOOR][i]);
  }
  const bench_stats floor = stats(SEEDS, result[FLOOR], time);
  const bench_result r = {bench_statistics(SEEDS, ratio), stats(SEEDS, result[OURS], time).median,
                          floor.median, (floor.upper - floor.lower) / floor.median, 0};
  line l;
  snprintf(l.label, sizeof l.label, "%g %%, %d thread%s", 100 * t->accuracy, threads,
           threads > 1 ? "s" : "");
  bench_report_row(report, l.label, 1, &r);
  bench_report_note(report, "recipe", t->recipe);
  for (int k = 0; k < SIDES; k++) {
    describe(l.text[k], sizeof l.text[k], SEEDS, result[k], t->accuracy);
    bench_report_note(report, sides[k].text, l.text[k]);
  }
  return l;
}

static int benchmark(const char *program, const char *dir) {
  enum { TARGETS = sizeof targets / sizeof *targets, THREADS = 2 };
  line lines[TARGETS * THREADS];
  int n = 0;
  for (int i = 0; i < TARGETS; i++) {
    const mnist_recipe recipe = parse(targets[i].recipe);
    mnist_compare(&recipe, &(mnist_options){.dir = dir, .seed = 1});
  }
  bench_report *report = bench_report_new(
      "mnist", (const char *const[]){"MNIST from files to weights", "library", "by hand"});
  for (int i = 0; i < TARGETS; i++)
    for (int threads = 1; threads <= THREADS; threads++)
      lines[n++] = compare(report, program, &targets[i], threads);
  printf("\n| target | by | test accuracy, %d seeds | read | prepare | (convert) | train | "
         "files to weights | processor |\n|---|---|--:|--:|--:|--:|--:|--:|--:|\n",
         SEEDS);
  for (int i = 0; i < n; i++)
    for (int k = 0; k < SIDES; k++)
      printf("| %s | %s | %s |\n", lines[i].label, sides[k].text, lines[i].text[k]);
  for (int i = 0; i < TARGETS; i++)
    printf("\n%g %%: %s", 100 * targets[i].accuracy, targets[i].recipe);
  putchar('\n');
  return bench_report_end(report) ? 0 : 1;
}

/* A line for each recipe: accuracy, its deviation over the seeds, GFLOP, processor time, recipe. */
static int validate(const char *program, int seeds, int n, char **recipe) {
  if (seeds < 1 || seeds > MAX_SEEDS) bench_fail("want 1 to %d seeds", MAX_SEEDS);
  for (int i = 0; i < n; i++) {
    const mnist_recipe r = parse(recipe[i]);
    mnist_result result[MAX_SEEDS];
    for (int k = 0; k < seeds; k++)
      result[k] = run_process(program, 1, &sides[OURS], recipe[i], k + 1, "validation");
    printf("%.3f %.3f %.1f %.3f %s\n", mean(seeds, result, accuracy_of),
           deviation(seeds, result, accuracy_of), mnist_gflop(&r, 50000),
           stats(seeds, result, processor_of).median, recipe[i]);
    fflush(stdout);
  }
  return 0;
}

/* ---- the program ----------------------------------------------------------------------------- */

static bool have_files(const char *dir) {
  char path[4096];
  snprintf(path, sizeof path, "%s/train-images-idx3-ubyte.gz", dir ? dir : "");
  FILE *f = dir ? fopen(path, "rb") : NULL;
  if (f) fclose(f);
  return f;
}

static const char no_files[] =
    "CT_MNIST names no folder with train-images-idx3-ubyte.gz and the other three files";

int main(int argc, char **argv) {
  const char *dir = getenv("CT_MNIST");
  const bool run = argc == 6 && strcmp(argv[1], "--run") == 0;
  const bool validation = argc > 3 && strcmp(argv[1], "--validate") == 0;
  if (argc > 1 && !run && !validation)
    bench_fail("want no options, --validate N RECIPE... or --run; see bench/mnist.c");
  if (!have_files(dir) && argc > 1) bench_fail("%s", no_files);
  if (!have_files(dir)) return printf("mnist: skipped; %s\n", no_files) < 0;
  if (run) return run_once(argv + 2, dir);
  return validation ? validate(argv[0], atoi(argv[2]), argc - 3, argv + 3)
                    : benchmark(argv[0], dir);
}
