/* startup.c - from the start of a process to the end of its first training step (784-256-128-10 at
 * batch 128, read from a file), with the library and by hand: two small programs, each started many
 * times. They say themselves what it took them, in processor time, and how large they became.
 */
#define _GNU_SOURCE
#include "startup/startup.h"
#include "support/bench.h"

#include <math.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct program {
  const char *path, *batch, *way;
  double memory; /* of the last run */
} program;

/* Starts it with its output in a pipe; the end to read from. */
static FILE *spawn(const program *p, pid_t *pid) {
  extern char **environ;
  char *arguments[] = {strdup(p->path), strdup(p->batch), strdup(p->way), NULL};
  int end[2];
  posix_spawn_file_actions_t actions;
  if (pipe(end) != 0 || posix_spawn_file_actions_init(&actions) != 0) bench_fail("no pipe");
  posix_spawn_file_actions_adddup2(&actions, end[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, end[0]);
  if (posix_spawn(pid, p->path, &actions, NULL, arguments, environ) != 0)
    bench_fail("cannot start %s", p->path);
  posix_spawn_file_actions_destroy(&actions);
  for (int i = 0; i < 3; i++) free(arguments[i]);
  close(end[1]);
  return fdopen(end[0], "r");
}

static double start(program *p) {
  double loss, seconds;
  pid_t pid;
  int status;
  FILE *f = spawn(p, &pid);
  bool ok = f && fscanf(f, "%lf %lf %lf", &loss, &seconds, &p->memory) == 3;
  if (f) fclose(f);
  if (waitpid(pid, &status, 0) != pid || status != 0 || !ok) bench_fail("%s fails", p->path);
  /* ln 10, and what the weights at the start do to it */
  if (!(fabs(loss - log(10)) < 0.5)) bench_fail("%s has the loss %g", p->path, loss);
  return seconds;
}

static double start_often(void *state, int runs) {
  double seconds = 0;
  for (int i = 0; i < runs; i++) seconds += start(state);
  return seconds;
}

static void write_batch(int file) {
  static float x[STARTUP_BATCH * STARTUP_INPUTS];
  static int32_t label[STARTUP_BATCH];
  for (int i = 0; i < STARTUP_BATCH * STARTUP_INPUTS; i++) x[i] = (float)(i * 37 % 256) / 255;
  for (int i = 0; i < STARTUP_BATCH; i++) label[i] = i % 10;
  if (write(file, x, sizeof x) != sizeof x || write(file, label, sizeof label) != sizeof label)
    bench_fail("cannot write the batch");
  close(file);
}

static bench_result compare_memory(program *ours, program *floor) {
  enum { PAIRS = 51 };
  double ratio[PAIRS], our_bytes[PAIRS], floor_bytes[PAIRS];
  for (int i = 0; i < PAIRS; i++) {
    start(ours);
    start(floor);
    our_bytes[i] = ours->memory;
    floor_bytes[i] = floor->memory;
    ratio[i] = ours->memory / floor->memory;
  }
  return (bench_result){bench_statistics(PAIRS, ratio), bench_statistics(PAIRS, our_bytes).median,
                        bench_statistics(PAIRS, floor_bytes).median, 0, 0};
}

static const struct way {
  const char *name;
  double goal;
} ways[] = {{"eager", 0}, {"compiled", 0.8}};

int main(int argc, char **argv) {
  bench_no_options(argc, argv);
  bench_begin();
  char batch[] = "/tmp/cotangent-XXXXXX";
  int file = mkstemp(batch);
  if (file < 0) bench_fail("cannot write to /tmp");
  write_batch(file);
  program floor = {STARTUP_FLOOR, batch, "", 0};
  bench_report *report = bench_report_new(
      "startup", (const char *const[]){"process start to first step", "library", "by hand"});
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
    program ours = {STARTUP_LIBRARY, batch, ways[i].name, 0};
    bench_result time = bench_alternate((bench_way){.state = &ours, .seconds = start_often},
                                        (bench_way){.state = &floor, .seconds = start_often});
    bench_report_cell(report, (bench_cell){"time", ways[i].name, ways[i].goal, false}, &time);
    bench_result memory = compare_memory(&ours, &floor);
    bench_report_cell(report, (bench_cell){"peak memory", ways[i].name, 0, true}, &memory);
  }
  unlink(batch);
  return bench_report_end(report) ? 0 : 1;
}
