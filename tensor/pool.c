/* pool.c - the pool of threads: the one who has work for it publishes a job, takes pieces of it
 * beside the workers, and waits until all are done. Who waits looks for a while and then sleeps.
 */
#define _XOPEN_SOURCE 700
#include "pool.h"

#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_THREADS = 256, LINE = 64 /* bytes of a cache line */ };

/* ---- the job --------------------------------------------------------------------------------- */

/* In one cache line, which travels once. All but `left` is written while nobody holds a piece, and
 * read by those who hold one. */
static struct job {
  /* The pieces that nobody took, first + (end << 32). The caller takes from the front, workers from
   * the back: so of two threads each mostly meets the memory that it wrote the time before. */
  _Alignas(LINE) _Atomic uint64_t left;
  ct__task *task;
  void *context;
  int64_t pieces;
  atomic_int processor; /* where the caller ran when it last woke somebody */
  fenv_t rounding;      /* the caller's: the pieces must round, and flush, as it does */
} job;
#define STOP UINT64_MAX /* in place of pieces: workers end */

static _Alignas(LINE) _Atomic int64_t done; /* pieces */
static _Alignas(LINE) atomic_bool busy;     /* somebody has the pool */
static _Thread_local bool inside;           /* on a worker, and on the caller while it runs a job */

static bool pieces_left(uint64_t range) { return (uint32_t)range < range >> 32; }

/* The number of a piece, or -1. Whoever holds one keeps the job alive. */
static int64_t take(bool from_front) {
  uint64_t range = atomic_load_explicit(&job.left, memory_order_relaxed), rest;
  do {
    if (!pieces_left(range)) return -1;
    rest = from_front ? range + 1 : range - (UINT64_C(1) << 32);
  } while (!atomic_compare_exchange_weak_explicit(&job.left, &range, rest, memory_order_acq_rel,
                                                  memory_order_relaxed));
  return from_front ? (int64_t)(uint32_t)range : (int64_t)(rest >> 32);
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Where threads sleep. Who changes what they wait for looks afterwards whether there are any; a
 * sleeper counts itself before its last look: one of the two sees the other. */
typedef struct room {
  pthread_cond_t changed;
  atomic_int sleepers;
  int64_t greed, patience; /* how many ns they look without and with offering the processor */
} room;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static room workers = {.changed = PTHREAD_COND_INITIALIZER};
static room callers = {.changed = PTHREAD_COND_INITIALIZER};

static void wake(room *r, int64_t n) {
  int sleepers = atomic_load(&r->sleepers);
  if (sleepers == 0) return;
  pthread_mutex_lock(&lock);
  if (n >= sleepers)
    pthread_cond_broadcast(&r->changed);
  else
    for (int64_t i = 0; i < n; i++) pthread_cond_signal(&r->changed);
  pthread_mutex_unlock(&lock);
}

static int64_t now(void) { /* ns */
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void pause_a_little(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

/* Returns when ready(): looks for a while, then sleeps. Also when woken too late for that: whoever
 * was worth waking will be needed again soon, and looks again. */
static void await(bool (*ready)(void), room *r) {
  enum { ROUND = 64 };
  for (int64_t start = 0, time = 0; time - start <= r->patience; time = now()) {
    for (int i = 0; i < ROUND; i++) {
      if (ready()) return;
      pause_a_little();
    }
    if (start == 0) start = now();
    if (time - start > r->greed) sched_yield(); /* to the one that we wait for, say */
  }
  pthread_mutex_lock(&lock);
  atomic_fetch_add(&r->sleepers, 1);
  if (!ready()) pthread_cond_wait(&r->changed, &lock);
  atomic_fetch_sub(&r->sleepers, 1);
  pthread_mutex_unlock(&lock);
}

static bool work_to_do(void) {
  uint64_t range = atomic_load(&job.left);
  return pieces_left(range) || range == STOP;
}
static bool all_done(void) { return atomic_load(&done) == job.pieces; }

/* ---- the number of threads ------------------------------------------------------------------- */

static atomic_int wanted, wanted_once; /* threads, the caller included */

/* From the environment, if that is a number that ct_set_threads takes, or from the processors. */
static void find_wanted(void) {
  const char *text = getenv("CT_NUM_THREADS");
  char *end = NULL;
  errno = 0;
  long n = text && *text >= '0' && *text <= '9' ? strtol(text, &end, 10) : 0;
  if (!end || *end || errno || n < 1 || n > MAX_THREADS) {
    int processors = ct__processors();
    n = processors < MAX_THREADS ? processors : MAX_THREADS;
  }
  atomic_store(&wanted, (int)n);
}

int ct_threads(void) {
  ct__once(&wanted_once, find_wanted);
  return atomic_load_explicit(&wanted, memory_order_relaxed);
}

/* ---- workers: those who have the pool start and end them ------------------------------------- */

static pthread_t thread[MAX_THREADS];
static int started;
static bool tried; /* no more of them can be had */

/* A system may wake a worker where the caller runs, which then does all the work itself before the
 * worker gets a turn, time and again: it goes elsewhere. */
static void keep_off_the_caller(void) {
  int here = ct__processor();
  if (here >= 0 && here == atomic_load_explicit(&job.processor, memory_order_relaxed))
    ct__leave_processor(here);
}

static void *work(void *unused) {
  (void)unused;
  inside = true;
  while (atomic_load(&job.left) != STOP) {
    int64_t count = 0, pieces = 0;
    for (int64_t i; (i = take(false)) >= 0; count++) {
      if (count == 0) fesetenv(&job.rounding);
      pieces = job.pieces;
      job.task(job.context, i);
    }
    if (count > 0 && atomic_fetch_add(&done, count) + count == pieces) wake(&callers, 1);
    await(work_to_do, &workers);
    keep_off_the_caller();
  }
  return NULL;
}

static void before_fork(void) { pthread_mutex_lock(&lock); }
static void after_fork(void) { pthread_mutex_unlock(&lock); }

/* A child has none of the workers, and nobody who has the pool. */
static void in_child(void) {
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < 2; i++) {
    room *r = i ? &workers : &callers;
    pthread_cond_init(&r->changed, NULL);
    atomic_store(&r->sleepers, 0);
  }
  atomic_store(&job.left, 0);
  started = 0;
  tried = false;
  atomic_store(&busy, false);
}

static atomic_int fork_once;
static bool fork_watched;
static void watch_fork(void) {
  fork_watched = pthread_atfork(before_fork, after_fork, in_child) == 0;
}

/* As many as can be had. Signals are the host's business. */
static void start_workers(void) {
  sigset_t all, was;
  tried = true;
  ct__once(&fork_once, watch_fork);
  if (!fork_watched) return;
  int n = ct_threads() - 1;
  /* With more threads than processors looking takes from working. */
  bool crowded = n + 1 > ct__processors();
  workers.greed = crowded ? 0 : 20 * 1000;
  workers.patience = crowded ? 0 : 50 * 1000;
  callers.greed = crowded ? 0 : 100 * 1000;
  callers.patience = crowded ? 50 * 1000 : 2000 * 1000;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &was);
  while (started < n && pthread_create(&thread[started], NULL, work, NULL) == 0) started++;
  pthread_sigmask(SIG_SETMASK, &was, NULL);
}

static void stop_workers(void) {
  atomic_store(&job.left, STOP);
  wake(&workers, started);
  while (started > 0) pthread_join(thread[--started], NULL);
  atomic_store(&job.left, 0);
  tried = false;
}

void ct__pool_end(void) {
  if (atomic_exchange(&busy, true)) return; /* the process ends in the middle of work */
  if (started > 0) atomic_store(&wanted, 1);
  stop_workers();
  atomic_store(&busy, false);
}

ct_status ct_set_threads(int n) {
  if (n < 1 || n > MAX_THREADS)
    return ct__fail_status(CT_EARG, "ct_set_threads: want 1 to %d threads, got %d", MAX_THREADS, n);
  if (inside) return ct__fail_status(CT_EARG, "ct_set_threads: called from a kernel");
  ct__once(&wanted_once, find_wanted);
  while (atomic_exchange(&busy, true)) sched_yield();
  stop_workers();
  atomic_store(&wanted, n);
  atomic_store(&busy, false);
  return CT_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

static bool enter(int64_t pieces) {
  if (inside || pieces > INT32_MAX || ct_threads() == 1 || ct__reference()) return false;
  if (atomic_exchange(&busy, true)) return false;
  if (CT__UNLIKELY(!tried)) start_workers();
  return inside = true;
}

static void leave(void) {
  inside = false;
  atomic_store(&busy, false);
}

/* Telling sleepers costs the caller as much time as a few pieces. */
static int64_t wake_weight(void) { return 4 * ct__piece_weight; }

/* Work that waking would not pay for is left to those who are awake. So that a row of such jobs
 * finds somebody awake in the end, what was left adds up. */
static bool worth_waking(int64_t weight) {
  static int64_t missed; /* of those who have the pool */
  missed = weight < wake_weight() ? missed + weight : weight;
  if (missed < wake_weight()) return false;
  missed = 0;
  return true;
}

static void run(int64_t pieces, int64_t weight, ct__task *task, void *context) {
  if (pieces < 2 || !enter(pieces)) {
    for (int64_t i = 0; i < pieces; i++) task(context, i);
    return;
  }
  fenv_t rounding;
  fegetenv(&rounding);
  atomic_store_explicit(&done, 0, memory_order_relaxed);
  job.task = task;
  job.context = context;
  job.pieces = pieces;
  job.rounding = rounding;
  atomic_store(&job.left, (uint64_t)pieces << 32);
  if (atomic_load(&workers.sleepers) > 0 && worth_waking(weight)) {
    atomic_store_explicit(&job.processor, ct__processor(), memory_order_relaxed);
    wake(&workers, pieces - 1);
  }
  int64_t count = 0;
  for (int64_t i; (i = take(true)) >= 0; count++) task(context, i);
  atomic_fetch_add(&done, count);
  while (!all_done()) await(all_done, &callers);
  leave();
}

void ct__parallel(int64_t pieces, ct__task *task, void *context) {
  run(pieces, wake_weight(), task, context);
}

/* ---- cutting --------------------------------------------------------------------------------- */

/* No overflow, and large enough for every decision. */
static int64_t total_weight(int64_t n, int64_t weight) {
  double total = (double)n * (double)weight;
  return total < 0x1p62 ? (int64_t)total : INT64_C(1) << 62;
}

int64_t ct__piece_weight = 1 << 16;

int64_t ct__pieces(int64_t n, int64_t weight) {
  int64_t pieces = total_weight(n, weight) / ct__piece_weight;
  if (pieces > CT__MAX_PIECES) pieces = CT__MAX_PIECES;
  if (pieces > n) pieces = n;
  return pieces < 2 ? 1 : pieces;
}

int64_t ct__piece_start(int64_t n, int64_t grain, int64_t pieces, int64_t i) {
  int64_t grains = n / grain + (n % grain != 0), more = grains % pieces;
  int64_t at = grains / pieces * i + (i < more ? i : more);
  return at < n / grain + 1 && at * grain < n ? at * grain : n;
}

typedef struct range_job {
  ct__range_task *task;
  void *context;
  int64_t n, grain, pieces;
} range_job;

static void run_range(void *context, int64_t i) {
  const range_job *r = context;
  int64_t from = ct__piece_start(r->n, r->grain, r->pieces, i);
  int64_t to = ct__piece_start(r->n, r->grain, r->pieces, i + 1);
  if (from < to) r->task(r->context, from, to);
}

void ct__parallel_range(int64_t n, int64_t weight, int64_t grain, ct__range_task *task,
                        void *context) {
  if (total_weight(grain, weight) > ct__piece_weight) grain = 1;
  range_job r = {task, context, n, grain, ct__pieces(n, weight)};
  run(r.pieces, total_weight(n, weight), run_range, &r);
}
