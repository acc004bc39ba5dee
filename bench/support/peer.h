/* peer.h - another system in a process of its own, timed beside ours.
 *
 * A peer is a program that says its name and version on its first line of output, and then, for
 * every line "task runs" that it reads, does the task so often and answers with the seconds of
 * processor time that took, or with a negative number if it has no such task. It inherits the
 * processor this thread is pinned to.
 */
#ifndef COTANGENT_BENCH_PEER_H
#define COTANGENT_BENCH_PEER_H

#include "bench.h"

typedef struct bench_peer bench_peer;

/* Starts a command of the shell. NULL, after a line that says so, if it does not answer. */
bench_peer *bench_peer_start(const char *command);
const char *bench_peer_name(const bench_peer *p);
/* The task as a way; false if the peer has it not. The way lives as long as the peer. */
bool bench_peer_way(bench_peer *p, const char *task, bench_way *way);
void bench_peer_end(bench_peer *p);

#endif
