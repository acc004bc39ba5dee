/* test_pool.c - the pool of threads: every piece once, whoever calls; fork, unloading, too few
 * threads; how their number is found. */
#define _GNU_SOURCE
#include "testing.h"

#include "tensor/pool.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* New threads in the child of a process that has several are no mistake here. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "die_after_fork=0"; }

static const char *program;

/* ---- as many threads as are asked for, of which some cannot be had --------------------------- */

static atomic_int threads_left = INT32_MAX, threads_made;

typedef void *thread_main(void *payload);

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, thread_main *main_of,
                   void *payload) {
  typedef int create(pthread_t *, const pthread_attr_t *, thread_main *, void *);
  union {
    void *object;
    create *function;
  } next = {dlsym(RTLD_NEXT, "pthread_create")};
  if (atomic_fetch_sub(&threads_left, 1) <= 0) return EAGAIN;
  int error = next.function(thread, attr, main_of, payload);
  if (error == 0) atomic_fetch_add(&threads_made, 1);
  return error;
}

/* ---- work whose result shows what ran -------------------------------------------------------- */

enum { PIECES = 100 };

typedef struct counts {
  atomic_int of[PIECES];
  atomic_int foreign; /* pieces on other threads than the caller's */
  pthread_t caller;
} counts;

static void count(void *context, int64_t piece) {
  counts *c = context;
  if (!pthread_equal(pthread_self(), c->caller)) atomic_fetch_add(&c->foreign, 1);
  atomic_fetch_add(&c->of[piece], 1);
}

static void assert_each_once(counts *c, int64_t pieces) {
  for (int64_t i = 0; i < PIECES; i++) assert_int_equal(atomic_load(&c->of[i]), i < pieces);
}

static void count_pieces(int64_t pieces) {
  counts c = {.caller = pthread_self()};
  ct__parallel(pieces, count, &c);
  assert_each_once(&c, pieces);
}

/* Pieces 0 and 1 wait for each other: two threads, or never. */
static void meet(void *context, int64_t piece) {
  atomic_int *here = context;
  (void)piece;
  atomic_fetch_add(here, 1);
  while (atomic_load(here) < 2) sched_yield();
}

static void test_every_piece_runs_once(void **state) {
  (void)state;
  for (int n = 1; n <= 4; n++) {
    assert_ok(ct_set_threads(n));
    assert_int_equal(ct_threads(), n);
    for (int64_t pieces = 0; pieces <= PIECES; pieces++) count_pieces(pieces);
  }
}

static void test_workers_take_part(void **state) {
  (void)state;
  for (int n = 2; n <= 5; n++) {
    assert_ok(ct_set_threads(n));
    for (int i = 0; i < 50; i++) {
      atomic_int here = 0;
      ct__parallel(2, meet, &here);
      assert_int_equal(atomic_load(&here), 2);
    }
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL); /* by now they sleep */
  }
}

static void test_small_and_reference_work_stays_here(void **state) {
  (void)state;
  assert_ok(ct_set_threads(4));
  counts c = {.caller = pthread_self()};
  for (int i = 0; i < 1000; i++) ct__parallel(1, count, &c);
  ct__use_reference(true);
  for (int i = 0; i < 1000; i++) ct__parallel(2, count, &c);
  ct__use_reference(false);
  assert_int_equal(atomic_load(&c.foreign), 0);
  assert_int_equal(atomic_load(&c.of[0]), 2000);
}

/* ---- callers within and beside each other ---------------------------------------------------- */

typedef struct nest {
  counts inner[PIECES];
  atomic_int strangers, refused;
} nest;

static void call_again(void *context, int64_t piece) {
  nest *n = context;
  counts *c = &n->inner[piece];
  c->caller = pthread_self();
  ct__parallel(PIECES, count, c);
  atomic_fetch_add(&n->strangers, atomic_load(&c->foreign));
  atomic_fetch_add(&n->refused, ct_set_threads(2) == CT_EARG);
  ct_error_clear();
}

static void test_nested_calls_stay_on_their_thread(void **state) {
  (void)state;
  static nest n;
  assert_ok(ct_set_threads(3));
  ct__parallel(PIECES, call_again, &n);
  for (int i = 0; i < PIECES; i++) assert_each_once(&n.inner[i], PIECES);
  assert_int_equal(atomic_load(&n.strangers), 0);
  assert_int_equal(atomic_load(&n.refused), PIECES);
  assert_int_equal(ct_threads(), 3);
}

static void *call_often(void *payload) {
  atomic_int *wrong = payload;
  for (int i = 0; i < 300; i++) {
    counts c = {.caller = pthread_self()};
    ct__parallel(PIECES, count, &c);
    for (int k = 0; k < PIECES; k++) *wrong += atomic_load(&c.of[k]) != 1;
  }
  return NULL;
}

static void *set_often(void *payload) {
  atomic_int *wrong = payload;
  for (int i = 0; i < 50; i++) *wrong += ct_set_threads(1 + i % 4) != CT_OK;
  return NULL;
}

static void test_host_threads_share_the_pool(void **state) {
  (void)state;
  enum { HOSTS = 3 };
  atomic_int wrong = 0;
  pthread_t host[HOSTS];
  assert_ok(ct_set_threads(3));
  for (int i = 0; i < HOSTS; i++)
    assert_int_equal(pthread_create(&host[i], NULL, i ? call_often : set_often, &wrong), 0);
  call_often(&wrong);
  for (int i = 0; i < HOSTS; i++) assert_int_equal(pthread_join(host[i], NULL), 0);
  assert_int_equal(atomic_load(&wrong), 0);
}

/* ---- what workers are ------------------------------------------------------------------------ */

typedef struct surroundings {
  atomic_int here, wrong, blocked;
} surroundings;

static void look_around(void *context, int64_t piece) {
  surroundings *s = context;
  sigset_t blocked;
  meet(&s->here, piece);
  pthread_sigmask(SIG_SETMASK, NULL, &blocked);
  s->blocked += sigismember(&blocked, SIGINT) == 1 && sigismember(&blocked, SIGUSR1) == 1;
  s->wrong += fegetround() != FE_UPWARD;
}

/* Workers leave signals to the host and round as their caller does. */
static void test_workers_round_as_the_caller(void **state) {
  (void)state;
  surroundings s = {0};
  sigset_t before, after;
  assert_ok(ct_set_threads(2));
  count_pieces(PIECES);
  pthread_sigmask(SIG_SETMASK, NULL, &before);
  fesetround(FE_UPWARD);
  ct__parallel(2, look_around, &s);
  fesetround(FE_TONEAREST);
  pthread_sigmask(SIG_SETMASK, NULL, &after);
  assert_int_equal(atomic_load(&s.wrong), 0);
  assert_int_equal(atomic_load(&s.blocked), 1);
  assert_int_equal(sigismember(&before, SIGINT), sigismember(&after, SIGINT));
}

static void test_too_few_threads_are_enough(void **state) {
  (void)state;
  for (int left = 0; left <= 3; left++) {
    assert_ok(ct_set_threads(1));
    atomic_store(&threads_made, 0);
    atomic_store(&threads_left, left);
    assert_ok(ct_set_threads(8));
    for (int i = 0; i < 20; i++) count_pieces(PIECES);
    atomic_store(&threads_left, INT32_MAX);
    assert_int_equal(atomic_load(&threads_made), left);
    assert_int_equal(ct_threads(), 8);
    assert_true(ct_error_code() == CT_OK);
  }
  assert_ok(ct_set_threads(3)); /* asked again, it gets them */
  count_pieces(PIECES);
  assert_int_equal(atomic_load(&threads_made), 5);
}

static void test_all_numbers_and_back(void **state) {
  (void)state;
  static const int numbers[] = {1, 256, 1, 2, 64, 3, 128, 2, 1};
  for (int i = 0; i < CT__COUNT(numbers); i++) {
    assert_ok(ct_set_threads(numbers[i]));
    assert_int_equal(ct_threads(), numbers[i]);
    count_pieces(PIECES);
  }
  for (int n = 1; n <= 256; n++) assert_ok(ct_set_threads(n));
  assert_fails(ct_set_threads(0), CT_EARG, "got 0");
  assert_fails(ct_set_threads(257), CT_EARG, "got 257");
  assert_int_equal(ct_threads(), 256);
  assert_ok(ct_set_threads(2));
}

/* ---- fork ------------------------------------------------------------------------------------ */

/* Ends as the test failed or not; cmocka must not run on in a child. */
static void work_as_child(int threads) {
  int wrong = 0;
  if (threads) wrong += ct_set_threads(threads) != CT_OK;
  for (int i = 0; i < 100; i++) {
    counts c = {.caller = pthread_self()};
    ct__parallel(PIECES, count, &c);
    for (int k = 0; k < PIECES; k++) wrong += atomic_load(&c.of[k]) != 1;
  }
  atomic_int here = 0;
  ct__parallel(2, meet, &here);
  _exit(wrong ? 1 : 0);
}

static void assert_child_works(int threads) {
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) work_as_child(threads);
  for (int i = 0; i < 20; i++) count_pieces(PIECES);
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
}

static void test_child_makes_its_own_pool(void **state) {
  (void)state;
  for (int n = 1; n <= 4; n++) {
    assert_ok(ct_set_threads(n));
    count_pieces(PIECES);
    assert_child_works(n == 1 ? 2 : 0);
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL); /* the workers sleep */
    assert_child_works(n + 1);
  }
}

static void *fork_often(void *payload) {
  atomic_int *wrong = payload;
  for (int i = 0; i < 10; i++) {
    int status = -1;
    pid_t child = fork();
    if (child == 0) work_as_child(0);
    *wrong += child < 0 || waitpid(child, &status, 0) != child || status != 0;
  }
  return NULL;
}

static void test_fork_while_another_thread_works(void **state) {
  (void)state;
  atomic_int wrong = 0;
  pthread_t host;
  assert_ok(ct_set_threads(3));
  assert_int_equal(pthread_create(&host, NULL, fork_often, &wrong), 0);
  for (int i = 0; i < 10; i++) call_often(&wrong);
  assert_int_equal(pthread_join(host, NULL), 0);
  assert_int_equal(atomic_load(&wrong), 0);
}

/* ---- loading and unloading ------------------------------------------------------------------- */

static int count_threads(void) {
  int n = 0;
  DIR *d = opendir("/proc/self/task");
  if (!d) return 0;
  for (struct dirent *e = readdir(d); e; e = readdir(d)) n += e->d_name[0] != '.';
  closedir(d);
  return n;
}

/* A thread that was joined leaves the folder a moment later. */
static int count_threads_again(int want) {
  for (int i = 0; i < 1000 && count_threads() != want; i++)
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
  return count_threads();
}

#define LOADED(library, name)                                                                      \
  union {                                                                                          \
    void *object;                                                                                  \
    __typeof__(&name) function;                                                                    \
  } name##_of = {dlsym(library, #name)};                                                           \
  assert_non_null(name##_of.object)

static void test_unloading_ends_the_workers(void **state) {
  (void)state;
  assert_ok(ct_set_threads(1));                      /* those of the test's own library */
  void *blas = dlopen("libopenblas.so.0", RTLD_NOW); /* which has threads of its own */
  int before = count_threads_again(count_threads());
  for (int round = 0; round < 3; round++) {
    void *library = dlopen(COTANGENT_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) print_error("%s\n", dlerror());
    assert_non_null(library);
    LOADED(library, ct_set_threads);
    LOADED(library, ct_scope_begin);
    LOADED(library, ct_scope_end);
    LOADED(library, ct_ones);
    assert_ok(ct_set_threads_of.function(4));
    ct_scope scope = ct_scope_begin_of.function();
    ct_tensor *x = ct_ones_of.function(CT_F32, CT_SHAPE(1 << 20));
    assert_int_equal(ct_size(x), 1 << 20);
    assert_int_equal(count_threads(), before + 3);
    assert_ok(ct_scope_end_of.function(scope));
    assert_int_equal(dlclose(library), 0);
    assert_int_equal(count_threads_again(before), before);
  }
  if (blas) dlclose(blas);
}

/* ---- the number of threads ------------------------------------------------------------------- */

/* What a fresh process takes for CT_NUM_THREADS; NULL: not set. */
static int threads_of_process(const char *setting) {
  int n = 0;
  char command[4096];
  if (setting)
    assert_int_equal(setenv("CT_NUM_THREADS", setting, 1), 0);
  else
    unsetenv("CT_NUM_THREADS");
  snprintf(command, sizeof command, "'%s' threads", program);
  FILE *f = popen(command, "r");
  assert_non_null(f);
  assert_int_equal(fscanf(f, "%d", &n), 1);
  assert_int_equal(pclose(f), 0);
  unsetenv("CT_NUM_THREADS");
  return n;
}

static void test_number_comes_from_the_environment(void **state) {
  (void)state;
  static const char *const others[] = {
      "",   "0",   "-1",         "257", "4x",
      "x4", " 4",  "4 ",         "4.5", "1e2",
      "+4", "0x4", "4294967298", "all", "99999999999999999999999999"};
  int processors = ct__processors();
  assert_in_range(processors, 1, 1 << 20);
  if (processors > 256) processors = 256;
  assert_int_equal(threads_of_process(NULL), processors);
  assert_int_equal(threads_of_process("1"), 1);
  assert_int_equal(threads_of_process("7"), 7);
  assert_int_equal(threads_of_process("256"), 256);
  for (int i = 0; i < CT__COUNT(others); i++)
    assert_int_equal(threads_of_process(others[i]), processors);
}

static void test_affinity_bounds_the_number(void **state) {
  (void)state;
  cpu_set_t was, one;
  assert_int_equal(sched_getaffinity(0, sizeof was, &was), 0);
  size_t cpu = 0;
  while (!CPU_ISSET(cpu, &was)) cpu++;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  int n = ct__processors();
  assert_int_equal(sched_setaffinity(0, sizeof was, &was), 0);
  assert_int_equal(n, 1);
  assert_true(ct__processors() <= CPU_COUNT(&was));
}

typedef struct group_file {
  const char *path, *text; /* NULL: a folder */
} group_file;

static int quota_of(const char *list, const group_file *files, int n) {
  char root[TEMP_PATH], path[2 * TEMP_PATH];
  temp_dir(root);
  for (int i = -1; i < n; i++) {
    snprintf(path, sizeof path, "%s/%s", root, i < 0 ? "list" : files[i].path);
    const char *text = i < 0 ? list : files[i].text;
    if (!text) {
      assert_int_equal(mkdir(path, 0777), 0);
      continue;
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
  }
  snprintf(path, sizeof path, "%s/list", root);
  int quota = ct__processor_quota(path, root);
  temp_dir_remove(root);
  return quota;
}
#define QUOTA(list, ...)                                                                           \
  quota_of(list, (const group_file[]){__VA_ARGS__}, CT__COUNT(((const group_file[]){__VA_ARGS__})))

static void test_quota_bounds_the_number(void **state) {
  (void)state;
  /* version 2: one file with quota and period; groups are bounded by those around them */
  assert_int_equal(QUOTA("0::/\n", {"cpu.max", "max 100000\n"}), 0);
  assert_int_equal(QUOTA("0::/\n", {"cpu.max", "200000 100000\n"}), 2);
  assert_int_equal(QUOTA("0::/\n", {"cpu.max", "210000 100000\n"}), 3);
  assert_int_equal(QUOTA("0::/\n", {"cpu.max", "1000 100000\n"}), 1);
  assert_int_equal(QUOTA("0::/a/b\n", {"a", NULL}, {"a/b", NULL}, {"a/b/cpu.max", "500000 100000"},
                         {"a/cpu.max", "300000 100000"}),
                   3);
  assert_int_equal(QUOTA("0::/a/b\n", {"a", NULL}, {"a/b", NULL}, {"a/b/cpu.max", "150000 100000"},
                         {"a/cpu.max", "max 100000"}),
                   2);
  /* a group that is not to be seen here, as inside a container */
  assert_int_equal(QUOTA("0::/elsewhere/x\n", {"cpu.max", "400000 100000\n"}), 4);
  /* version 1: two files, in the folder of the controller */
  assert_int_equal(QUOTA("4:memory:/\n2:cpu,cpuacct:/a\n", {"cpu", NULL}, {"cpu/a", NULL},
                         {"cpu/a/cpu.cfs_quota_us", "250000\n"},
                         {"cpu/a/cpu.cfs_period_us", "100000\n"}),
                   3);
  assert_int_equal(QUOTA("2:cpuacct,cpu:/\n", {"cpu", NULL}, {"cpu/cpu.cfs_quota_us", "-1\n"},
                         {"cpu/cpu.cfs_period_us", "100000\n"}),
                   0);
  assert_int_equal(QUOTA("2:cpuset:/\n3:cpuacct:/\n", {"cpu", NULL},
                         {"cpu/cpu.cfs_quota_us", "100000\n"},
                         {"cpu/cpu.cfs_period_us", "100000\n"}),
                   0);
  /* what is no list, no number */
  assert_int_equal(QUOTA("nothing\n:\n::\n0:cpu\n", {"cpu.max", "garbage"}), 0);
  assert_int_equal(QUOTA("0::/\n", {"cpu.max", "100000 0\n"}), 0);
  assert_int_equal(QUOTA("", {"cpu.max", "100000 100000\n"}), 0);
  assert_int_equal(ct__processor_quota("/nowhere", "/nowhere"), 0);
}

/* ---- cutting --------------------------------------------------------------------------------- */

static void test_cuts_cover_everything(void **state) {
  (void)state;
  static const int64_t items[] = {0, 1, 2, 63, 64, 65, 1000, 4097, (INT64_C(1) << 62) + 12345};
  static const int64_t grains[] = {1, 3, 64, 4096};
  for (int i = 0; i < CT__COUNT(items); i++)
    for (int g = 0; g < CT__COUNT(grains); g++)
      for (int64_t pieces = 1; pieces <= CT__MAX_PIECES; pieces++) {
        int64_t n = items[i], grain = grains[g], before = 0;
        assert_true(ct__piece_start(n, grain, pieces, 0) == 0);
        for (int64_t k = 1; k <= pieces; k++) {
          int64_t at = ct__piece_start(n, grain, pieces, k);
          assert_true(at >= before && at <= n && (at % grain == 0 || at == n));
          before = at;
        }
        assert_true(before == n);
      }
  assert_int_equal(ct__pieces(0, 1), 1);
  assert_int_equal(ct__pieces(1, INT64_MAX), 1);
  assert_int_equal(ct__pieces(5, INT64_MAX), 5);
  assert_int_equal(ct__pieces(INT64_MAX, INT64_MAX), CT__MAX_PIECES);
  assert_int_equal(ct__pieces(2 * ct__piece_weight - 1, 1), 1);
  assert_int_equal(ct__pieces(2 * ct__piece_weight, 1), 2);
  assert_int_equal(ct__pieces(3, ct__piece_weight), 3);
}

int main(int argc, char **argv) {
  program = argv[0];
  if (argc > 1 && strcmp(argv[1], "threads") == 0) {
    printf("%d\n", ct_threads());
    return 0;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_number_comes_from_the_environment),
      cmocka_unit_test(test_affinity_bounds_the_number),
      cmocka_unit_test(test_quota_bounds_the_number),
      cmocka_unit_test(test_cuts_cover_everything),
      cmocka_unit_test(test_every_piece_runs_once),
      cmocka_unit_test(test_workers_take_part),
      cmocka_unit_test(test_small_and_reference_work_stays_here),
      cmocka_unit_test(test_nested_calls_stay_on_their_thread),
      cmocka_unit_test(test_host_threads_share_the_pool),
      cmocka_unit_test(test_workers_round_as_the_caller),
      cmocka_unit_test(test_too_few_threads_are_enough),
      cmocka_unit_test(test_all_numbers_and_back),
      cmocka_unit_test(test_child_makes_its_own_pool),
      cmocka_unit_test(test_fork_while_another_thread_works),
      cmocka_unit_test(test_unloading_ends_the_workers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
