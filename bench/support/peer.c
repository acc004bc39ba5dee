/* peer.c - a peer behind two pipes. */
#define _GNU_SOURCE
#include "peer.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TASKS = 32 };

typedef struct task {
  bench_peer *peer;
  char name[32];
} task;

struct bench_peer {
  pid_t pid;
  FILE *to, *from;
  char name[128];
  int tasks;
  task task[TASKS];
};

static void become(const char *command, int threads, int in[2], int out[2]) {
  char number[16];
  dup2(in[0], STDIN_FILENO);
  dup2(out[1], STDOUT_FILENO);
  snprintf(number, sizeof number, "%d", threads);
  if (setenv("CT_BENCH_THREADS", number, 1) != 0 || chdir(BENCH_PEERS) != 0) _exit(127);
  execl("/bin/sh", "sh", "-c", command, (char *)NULL);
  _exit(127);
}

static bool read_line(bench_peer *p, char *line, int size) {
  if (!fgets(line, size, p->from)) return false;
  line[strcspn(line, "\n")] = '\0';
  return true;
}

bench_peer *bench_peer_start(const bench_peer_place *place, int threads) {
  if (!getenv(place->variable)) {
    printf("\nskipped: %s (%s is not set)\n\n", place->name, place->variable);
    return NULL;
  }
  int in[2], out[2];
  bench_peer *p = bench_alloc(1, sizeof *p);
  /* Closed in all processes but the one they are made for: the end of its input ends a peer. */
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) bench_fail("no pipes");
  signal(SIGPIPE, SIG_IGN); /* a peer that has died is noticed when it does not answer */
  fflush(NULL);
  p->pid = fork();
  if (p->pid < 0) bench_fail("no process");
  if (p->pid == 0) become(place->command, threads, in, out);
  close(in[0]);
  close(out[1]);
  p->to = fdopen(in[1], "w");
  p->from = fdopen(out[0], "r");
  if (!p->to || !p->from) bench_fail("no streams");
  if (read_line(p, p->name, sizeof p->name)) return p;
  printf("\nskipped: %s (it does not start)\n\n", place->name);
  bench_peer_end(p);
  return NULL;
}

const char *bench_peer_name(const bench_peer *p) { return p->name; }

double bench_peer_ask(bench_peer *p, const char *name, int runs) {
  char line[128];
  fprintf(p->to, "%s %d\n", name, runs);
  fflush(p->to);
  if (!read_line(p, line, sizeof line)) bench_fail("%s has ended during '%s'", p->name, name);
  return strtod(line, NULL);
}

static double seconds(void *state, int runs) {
  const task *t = state;
  return bench_peer_ask(t->peer, t->name, runs);
}

bool bench_peer_way(bench_peer *p, const char *name, bench_way *way) {
  if (bench_peer_ask(p, name, 1) < 0)
    return false; /* what is compiled at the first run is compiled now */
  if (p->tasks == TASKS) bench_fail("too many tasks");
  task *t = &p->task[p->tasks++];
  t->peer = p;
  snprintf(t->name, sizeof t->name, "%s", name);
  *way = (bench_way){.state = t, .seconds = seconds};
  return true;
}

void bench_peer_end(bench_peer *p) {
  fclose(p->to); /* the end of its input ends it */
  fclose(p->from);
  waitpid(p->pid, NULL, 0);
  free(p);
}
