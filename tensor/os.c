/* os.c - what is asked of the operating system: memory, processors, the end of a thread, folders,
 * atomic file writes. (The threads themselves are in pool.c.) */
#define _GNU_SOURCE
#include "pool.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- instruction sets ------------------------------------------------------------------------ */

#define ISA_NAME(isa) #isa,
static const char *const isa_name[] = {CT__ISA_LIST(ISA_NAME)};

static int best_isa(void) {
#ifdef CT__X86_LEVELS
  __builtin_cpu_init();
  bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
            __builtin_cpu_supports("bmi2");
  bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512vl");
  return v3 ? 1 + v4 : 0;
#else
  return 0;
#endif
}

int ct__isa_named(const char *name, int best) {
  for (int i = 0; name && i < best; i++)
    if (strcmp(name, isa_name[i]) == 0) return i;
  return best;
}

atomic_int ct__isa_in_use = -1;

int ct__isa_first(void) {
  int isa = ct__isa_named(getenv("CT_ISA"), best_isa());
  atomic_store_explicit(&ct__isa_in_use, isa, memory_order_relaxed);
  return isa;
}

bool ct__use_isa(int isa) {
  if (isa < 0 || isa > best_isa()) return false;
  atomic_store_explicit(&ct__isa_in_use, isa, memory_order_relaxed);
  return true;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Of the block those parts that fill a huge page: a fault for every 2 MiB instead of every 4 KiB,
 * so that fresh memory costs a fifth. */
void ct__use_huge_pages(void *block, size_t bytes) {
#ifdef MADV_HUGEPAGE
  const uintptr_t page = (uintptr_t)1 << 21;
  uintptr_t from = ((uintptr_t)block + page - 1) & ~(page - 1);
  uintptr_t to = ((uintptr_t)block + bytes) & ~(page - 1);
  if (to > from)
    madvise((void *)from, to - from, MADV_HUGEPAGE); /* else everything is only slower */
#else
  (void)block, (void)bytes;
#endif
}

/* ---- processors ------------------------------------------------------------------------------ */

/* The two numbers of a quota, time and the period it is for: in one file (version 2 of control
 * groups), or in two (version 1). The quota in processors, or INFINITY. */
static double quota_of_group(const char *root, const char *group, bool v2) {
  static const char *const files[2][2] = {{"cpu.cfs_quota_us", "cpu.cfs_period_us"},
                                          {"cpu.max", NULL}};
  double number[2] = {0};
  int n = 0;
  for (int i = 0; i < 2 && files[v2][i]; i++) {
    char path[4096];
    int length =
        snprintf(path, sizeof path, "%s%s%s/%s", root, v2 ? "" : "/cpu", group, files[v2][i]);
    FILE *f = length > 0 && (size_t)length < sizeof path ? fopen(path, "re") : NULL;
    if (!f) continue;
    n += fscanf(f, "%lf", &number[n]) == 1;
    if (v2) n += fscanf(f, "%lf", &number[1]) == 1;
    fclose(f);
  }
  return n == 2 && number[0] > 0 && number[1] > 0 ? number[0] / number[1] : INFINITY;
}

/* Whether list, comma separated, has name. */
static bool has_word(const char *list, const char *name) {
  size_t length = strlen(name);
  for (const char *at = list; (at = strstr(at, name)); at += length)
    if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == 0)) return true;
  return false;
}

/* A group's quota bounds the groups inside it. Inside a container the list may name groups that are
 * not to be seen there; the outermost one is. */
int ct__processor_quota(const char *list, const char *root) {
  char line[4096];
  double quota = INFINITY;
  FILE *f = fopen(list, "re");
  while (f && fgets(line, sizeof line, f)) { /* id:controllers:group */
    line[strcspn(line, "\n")] = 0;
    char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : 0;
    if (!group) continue;
    *group++ = 0;
    bool v2 = controllers[1] == 0;
    if (!v2 && !has_word(controllers + 1, "cpu")) continue;
    for (char *end = group + strlen(group); end; end = strrchr(group, '/')) {
      *end = 0;
      quota = fmin(quota, quota_of_group(root, group, v2));
    }
  }
  if (f) fclose(f);
  return quota < INT_MAX ? (int)ceil(quota) : 0;
}

int ct__processors(void) {
  cpu_set_t set;
  int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
  if (n < 1) n = (int)sysconf(_SC_NPROCESSORS_ONLN);
  int quota = ct__processor_quota("/proc/self/cgroup", "/sys/fs/cgroup");
  if (quota > 0 && quota < n) n = quota;
  return n > 0 ? n : 1;
}

int ct__processor(void) { return sched_getcpu(); }

void ct__leave_processor(int processor) {
  static _Thread_local cpu_set_t home; /* where this thread may run, as it was started */
  if (CPU_COUNT(&home) == 0 && sched_getaffinity(0, sizeof home, &home) != 0) return;
  cpu_set_t others = home;
  CPU_CLR((size_t)processor, &others);
  if (CPU_COUNT(&others) > 0) sched_setaffinity(0, sizeof others, &others);
}

void *ct__open_on_one_processor(const char *library) {
  cpu_set_t home, here;
  int processor = sched_getcpu();
  CPU_ZERO(&here);
  if (processor >= 0) CPU_SET((size_t)processor, &here);
  bool stays = sched_getaffinity(0, sizeof home, &home) == 0 &&
               sched_setaffinity(0, sizeof here, &here) == 0;
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (stays) sched_setaffinity(0, sizeof home, &home);
  return handle;
}

/* ---- once ------------------------------------------------------------------------------------ */

void ct__once(atomic_int *state, void (*init)(void)) {
  enum { NOT_YET, RUNNING, DONE };
  if (CT__LIKELY(atomic_load_explicit(state, memory_order_acquire) == DONE)) return;
  int expected = NOT_YET;
  if (atomic_compare_exchange_strong(state, &expected, RUNNING)) {
    init();
    atomic_store_explicit(state, DONE, memory_order_release);
  } else {
    while (atomic_load_explicit(state, memory_order_acquire) != DONE) sched_yield();
  }
}

/* ---- the end of a thread --------------------------------------------------------------------- */

static pthread_key_t thread_key;
static bool thread_key_made;
static atomic_int thread_key_once;

static void thread_key_end(void *unused) {
  (void)unused;
  ct__thread_end();
}

static void thread_key_make(void) {
  thread_key_made = pthread_key_create(&thread_key, thread_key_end) == 0;
}

void ct__at_thread_exit(void) {
  ct__once(&thread_key_once, thread_key_make);
  if (thread_key_made) pthread_setspecific(thread_key, &thread_key);
}

/* At exit or dlclose, for the thread that runs it; the key must not outlive the code it points to.
 */
__attribute__((destructor)) static void library_end(void) {
  ct__pool_end();
  ct__thread_end();
  if (thread_key_made) pthread_key_delete(thread_key);
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *data, size_t bytes) {
  while (bytes > 0) {
    ssize_t n = write(fd, data, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data += n;
    bytes -= (size_t)n;
  }
  return true;
}

/* A new file beside path; the name is left in temporary. Unlike mkstemp it gets the mode that any
 * other new file of the process has. */
static int create_beside(const char *path, char *temporary, size_t size) {
  static atomic_uint count;
  for (int tries = 0; tries < 100; tries++) {
    int length = snprintf(temporary, size, "%s.%lx-%x.tmp", path, (unsigned long)getpid(),
                          atomic_fetch_add(&count, 1));
    if (length < 0 || (size_t)length >= size) {
      errno = ENAMETOOLONG;
      return -1;
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

ct_status ct__write_file(const char *who, const char *path, const void *const *part,
                         const size_t *bytes, int n) {
  if (!path || !*path) return ct__fail_status(CT_EARG, "%s: no path given", who);
  char temporary[4096];
  int fd = create_beside(path, temporary, sizeof temporary);
  if (fd < 0)
    return ct__fail_status(CT_EIO, "%s: cannot create %s: %s", who, path, strerror(errno));
  bool ok = true;
  for (int i = 0; ok && i < n; i++) ok = write_all(fd, part[i], bytes[i]);
  ok = ok && fsync(fd) == 0;
  int error = errno;
  if (close(fd) != 0 && ok) {
    error = errno;
    ok = false;
  }
  if (ok && rename(temporary, path) != 0) {
    error = errno;
    ok = false;
  }
  if (ok) return CT_OK;
  unlink(temporary);
  return ct__fail_status(CT_EIO, "%s: cannot write %s: %s", who, path, strerror(error));
}

bool ct__is_folder(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int ct__each_entry(const char *dir, bool (*visit)(void *payload, const char *name), void *payload) {
  DIR *d = opendir(dir);
  if (!d) return errno;
  bool more = true;
  errno = 0;
  for (struct dirent *e = readdir(d); more && e; e = readdir(d)) {
    more = visit(payload, e->d_name);
    errno = 0;
  }
  int error = more ? errno : ENOMEM;
  closedir(d);
  return error;
}
