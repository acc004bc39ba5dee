/* peer.h - another library as a process that does the same tasks side by side.
 *
 * A peer is a program that says its name and version on its first line of output, and then, for
 * every line "task runs" that it reads, does the task so often and answers with the seconds that
 * took, or with a negative number if it has no such task. It inherits the processors this thread is
 * pinned to; CT_BENCH_THREADS in its environment is the number of threads it shall use, and seconds
 * are processor time if that is 1, wall time otherwise.
 */
#ifndef COTANGENT_BENCH_PEER_H
#define COTANGENT_BENCH_PEER_H

#include "bench.h"

typedef struct bench_peer bench_peer;

/* Where to find one: a variable of the environment that names its place, and a command of the
 * shell, run in bench/peers, that uses it. */
typedef struct bench_peer_place {
  const char *name, *variable, *command;
} bench_peer_place;

/* NULL, after a line that says so, if the variable is not set or the peer does not answer. */
bench_peer *bench_peer_start(const bench_peer_place *place, int threads);
const char *bench_peer_name(const bench_peer *p);
/* What it answers, whatever that means for this task. */
double bench_peer_ask(bench_peer *p, const char *task, int runs);
/* The task as a way; false if the peer has it not. The way lives as long as the peer. */
bool bench_peer_way(bench_peer *p, const char *task, bench_way *way);
void bench_peer_end(bench_peer *p);

#endif
