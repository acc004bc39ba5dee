/* report.c - results as a table on stdout and as a file. */
#include "bench.h"

#include <cJSON.h>
#include <cblas.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct bench_report {
  const char *name;
  cJSON *root, *rows;
};

/* "model name : ..." of Linux; other systems leave it empty. */
static void processor_name(size_t size, char *name) {
  char line[256];
  FILE *f = fopen("/proc/cpuinfo", "r");
  name[0] = '\0';
  while (f && fgets(line, sizeof line, f))
    if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
      snprintf(name, size, "%s", strchr(line, ':') + 2);
      name[strcspn(name, "\n")] = '\0';
      break;
    }
  if (f) fclose(f);
}

bench_report *bench_report_new(const char *name, const char *const columns[3]) {
  char processor[256];
  processor_name(sizeof processor, processor);
  bench_report *r = bench_alloc(1, sizeof *r);
  r->name = name;
  r->root = cJSON_CreateObject();
  cJSON_AddStringToObject(r->root, "bench", name);
  cJSON_AddStringToObject(r->root, "processor", processor);
  cJSON_AddStringToObject(r->root, "openblas", openblas_get_config());
  cJSON_AddStringToObject(r->root, "openblas_kernels", openblas_get_corename());
  cJSON_AddStringToObject(r->root, "compared", columns[0]);
  cJSON_AddStringToObject(r->root, "ours", columns[1]);
  cJSON_AddStringToObject(r->root, "floor", columns[2]);
  r->rows = cJSON_AddArrayToObject(r->root, "rows");
  printf("## %s\n\n%s, %s\n\n", name, processor, openblas_get_config());
  printf(
      "| %s | way | its cost | %s | ratio | quartiles | 95 %% interval | noise | shared | goal |\n",
      columns[0], columns[2]);
  printf("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
  return r;
}

static const char *quantity(char text[32], double value, bool bytes) {
  static const char *const time[] = {"ns", "us", "ms"}, *const memory[] = {"B", "kB", "MB"};
  int i = 0;
  if (!bytes) value *= 1e9;
  for (; i < 2 && value >= 1000; i++) value /= 1000;
  if (value > 0)
    snprintf(text, 32, "%.*f %s",
             value < 10    ? 2
             : value < 100 ? 1
                           : 0,
             value, (bytes ? memory : time)[i]);
  else
    snprintf(text, 32, "-");
  return text;
}

static bool goal_met(double goal, const bench_stats *s) {
  return s->low <= goal && s->median <= 1.05 * goal;
}

static void add_stats(cJSON *row, const bench_stats *s) {
  cJSON_AddNumberToObject(row, "pairs", s->n);
  cJSON_AddNumberToObject(row, "ratio", s->median);
  cJSON_AddNumberToObject(row, "lower_quartile", s->lower);
  cJSON_AddNumberToObject(row, "upper_quartile", s->upper);
  cJSON_AddNumberToObject(row, "interval_low", s->low);
  cJSON_AddNumberToObject(row, "interval_high", s->high);
}

void bench_report_cell(bench_report *r, bench_cell cell, const bench_result *result) {
  const bench_stats *s = &result->ratio;
  const char *column =
      cell.column ? cell.column : cJSON_GetObjectItem(r->root, "ours")->valuestring;
  char ours[32], floor[32], shared[32] = "", verdict[32] = "";
  quantity(ours, result->ours, cell.bytes);
  quantity(floor, result->floor, cell.bytes);
  if (result->shared > 0) snprintf(shared, sizeof shared, "%.2f", result->shared);
  if (cell.goal > 0)
    snprintf(verdict, sizeof verdict, "%.4g %s", cell.goal,
             goal_met(cell.goal, s) ? "met" : "missed");
  printf("| %s | %s | %s | %s | **%.2f** | %.2f-%.2f | %.2f-%.2f | %.0f %% | %s | %s |\n",
         cell.label, column, ours, floor, s->median, s->lower, s->upper, s->low, s->high,
         100 * result->noise, shared, verdict);
  fflush(stdout);
  cJSON *row = cJSON_CreateObject();
  cJSON_AddStringToObject(row, "label", cell.label);
  cJSON_AddStringToObject(row, "column", column);
  add_stats(row, s);
  cJSON_AddNumberToObject(row, cell.bytes ? "ours_bytes" : "ours_seconds", result->ours);
  cJSON_AddNumberToObject(row, cell.bytes ? "floor_bytes" : "floor_seconds", result->floor);
  cJSON_AddStringToObject(row, "floor_text", floor);
  cJSON_AddNumberToObject(row, "noise", result->noise);
  cJSON_AddNumberToObject(row, "shared", result->shared);
  if (cell.goal > 0) {
    cJSON_AddNumberToObject(row, "goal", cell.goal);
    cJSON_AddBoolToObject(row, "met", goal_met(cell.goal, s));
  }
  cJSON_AddItemToArray(r->rows, row);
}

void bench_report_row(bench_report *r, const char *label, double goal, const bench_result *result) {
  bench_report_cell(r, (bench_cell){.label = label, .goal = goal}, result);
}

void bench_report_note(bench_report *r, const char *key, const char *text) {
  int rows = cJSON_GetArraySize(r->rows);
  cJSON_AddStringToObject(cJSON_GetArrayItem(r->rows, rows - 1), key, text);
}

bool bench_report_drop(bench_report *r) {
  cJSON_Delete(r->root);
  free(r);
  return true;
}

bool bench_report_end(bench_report *r) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s.json", BENCH_RESULTS, r->name);
  char *text = cJSON_Print(r->root);
  bool ok = text && (mkdir(BENCH_RESULTS, 0777) == 0 || errno == EEXIST);
  FILE *f = ok ? fopen(path, "w") : NULL;
  ok = f && fprintf(f, "%s\n", text) > 0;
  if (f && fclose(f) != 0) ok = false;
  ok = ok && bench_tables_write();
  if (ok)
    printf("\nwritten to %s\n", path);
  else
    fprintf(stderr, "bench: cannot write %s\n", path);
  cJSON_free(text);
  bench_report_drop(r);
  return ok;
}
