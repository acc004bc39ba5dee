/* pool.h - the one pool of threads.
 *
 * How work is cut into pieces follows from its shape alone, never from the number of threads: then
 * results have the same bits for every number of threads. Where numbers are combined across pieces,
 * the pieces are part of the definition of the result, for one thread too.
 */
#ifndef COTANGENT_POOL_H
#define COTANGENT_POOL_H

#include "tensor_internal.h"

/* One piece of some work. Pieces must not depend on each other. They run on other threads, so an
 * error is no use to the caller there: the context carries a status. */
typedef void ct__task(void *context, int64_t piece);

/* Runs task(context, i) for 0 <= i < pieces, in any order, on the calling thread and on idle
 * workers; returns when all are done. Called from a piece, while another thread uses the pool, or
 * under ct__use_reference, everything runs on the caller. Never fails: without workers the caller
 * does it all. */
void ct__parallel(int64_t pieces, ct__task *task, void *context);

/* The weight of work is the bytes that it reads and writes, or those that would take as long. A
 * piece has at least this much of it, else all is done sooner than a worker is told. Only tests
 * change it, while nothing runs. */
extern int64_t ct__piece_weight;
enum { CT__MAX_PIECES = 64 };

/* How many pieces n items of this weight each are worth, at most CT__MAX_PIECES. */
int64_t ct__pieces(int64_t n, int64_t weight);

/* The first item of piece i when n items are cut into that many pieces at multiples of grain: piece
 * i has the items from here to the first of i + 1. */
int64_t ct__piece_start(int64_t n, int64_t grain, int64_t pieces, int64_t i);

/* The items from <= i < to of some work. */
typedef void ct__range_task(void *context, int64_t from, int64_t to);

/* All of it: n items in ct__pieces(n, weight) ranges. */
void ct__parallel_range(int64_t n, int64_t weight, int64_t grain, ct__range_task *task,
                        void *context);

/* ct_map for a loop whose elements stand for more than themselves: the weight of each. 0 for one
 * that must not be cut, as it adds up in attr; -1 for one that takes elements, but writes to its
 * inputs too. It sees every operand where it lies. */
void ct__map(int n_in, const ct_view *const *in, ct_view *out, ct_loop *loop, const void *attr,
             int64_t weight);
/* ct_map for a loop that copies. */
void ct__map_copy(const ct_view *src, ct_view *dst, ct_loop *loop);

/* The weight of n elements of x's dtype. */
static inline int64_t ct__line_weight(const ct_view *x, int64_t n) {
  return n * (int64_t)ct__item_size(x->dtype);
}

/* Ends the workers, when the library is unloaded or the process ends; later work stays on its
 * callers. */
void ct__pool_end(void);

/* ---- processors (os.c) ----------------------------------------------------------------------- */

/* How many this process may use at a time: its affinity, within the quota of its control groups. */
int ct__processors(void);
int ct__processor(void); /* the one that this thread runs on now, or -1 */
/* Keeps this thread, a worker, on the others from now on, if there are any. */
void ct__leave_processor(int processor);
/* dlopen, local, by a thread that sees one processor: a library that starts a thread for each at
 * its start then starts none. */
void *ct__open_on_one_processor(const char *library);
/* That quota in processors, rounded up; 0 if there is none. list is /proc/self/cgroup, root the
 * folder where the groups lie. */
int ct__processor_quota(const char *list, const char *root);

#endif
