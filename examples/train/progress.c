/* progress.c - what is shown while a network trains, the clock, and Ctrl-C. */
#include "train.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- Ctrl-C ---------------------------------------------------------------------------------- */

static volatile sig_atomic_t caught;

static void on_signal(int number) { caught = number; }

/* The first one asks the training to end; a second one ends the program as usual. Writing that is
 * under way goes on. */
void catch_interrupts(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = (int)(SA_RESETHAND | SA_RESTART);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

bool interrupted(void) { return caught != 0; }

/* ---- the bar --------------------------------------------------------------------------------- */

void progress_begin(progress *p, int64_t first, int64_t total, int64_t epochs) {
  *p = (progress){.terminal = isatty(STDOUT_FILENO),
                  .first = first,
                  .total = total,
                  .epochs = epochs,
                  .begin = now()};
}

static void draw_bar(const progress *p, int64_t step, double rate) {
  enum { WIDTH = 28 };
  const double part = (double)step / (double)p->total;
  const double left = (p->shown - p->begin) * (double)(p->total - step) / (double)(step - p->first);
  const long seconds = (long)(left + 0.5);
  const int64_t per_epoch = p->total / p->epochs;
  char bar[WIDTH + 1];
  const int full = (int)(part * WIDTH);
  for (int i = 0; i < WIDTH; i++) bar[i] = i < full ? '=' : i == full ? '>' : ' ';
  bar[WIDTH] = '\0';
  printf("\repoch %2lld/%lld [%s] %3.0f%%  rate %.3g  loss %.4f  %ld:%02ld left \033[K",
         (long long)((step - 1) / per_epoch + 1), (long long)p->epochs, bar, 100 * part, rate,
         p->loss, seconds / 60, seconds % 60);
  fflush(stdout);
}

void progress_step(progress *p, int64_t step, double rate, double loss) {
  const bool last = step == p->total;
  p->loss = step == p->first + 1 ? loss : 0.98 * p->loss + 0.02 * loss;
  if (!p->terminal) return;
  const double time = now();
  if (time - p->shown < 0.05 && !last) return;
  p->shown = time;
  draw_bar(p, step, rate);
}

void progress_epoch(const progress *p, int epoch, const record *r, double seconds,
                    const double *val_accuracy) {
  if (p->terminal) return;
  printf("epoch %2d/%lld  train loss %.4f  test loss %.4f  test accuracy %6.2f %%", epoch,
         (long long)p->epochs, r->train_loss, r->test_loss, 100 * r->test_accuracy);
  if (val_accuracy) printf("  validation %6.2f %%", 100 * *val_accuracy);
  printf("  %.3f s\n", seconds);
  fflush(stdout);
}

void progress_end(const progress *p) {
  if (p->terminal) putchar('\n');
}

/* ---- the log --------------------------------------------------------------------------------- */

/* A resumed run goes on with its log. */
ct_status log_open(FILE **log, const options *o) {
  *log = fopen(o->log, o->resume ? "a" : "w");
  return *log ? CT_OK : ct_error_set(CT_EIO, "%s: %s", o->log, strerror(errno));
}

void log_epoch(FILE *log, int epoch, const record *r, double seconds) {
  if (!log) return;
  fprintf(log,
          "{\"epoch\": %d, \"train_loss\": %.9g, \"test_loss\": %.9g, \"test_accuracy\": %.9g, "
          "\"seconds\": %.6f}\n",
          epoch, r->train_loss, r->test_loss, r->test_accuracy, seconds);
  fflush(log);
}

void log_final(FILE *log, double accuracy, double train_seconds, double load_seconds,
               int64_t parameters) {
  if (!log) return;
  fprintf(log,
          "{\"final\": true, \"test_accuracy\": %.9g, \"train_seconds\": %.6f, "
          "\"load_seconds\": %.6f, \"parameters\": %lld}\n",
          accuracy, train_seconds, load_seconds, (long long)parameters);
}
