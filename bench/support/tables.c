/* tables.c - bench/results/README.md: one table for each file of results. What was measured is a
 * line, the ways of doing it are columns; a cell is the median ratio to the floor. */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cJSON.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 16 };

static const char *text_of(const cJSON *object, const char *key) {
  const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, key));
  return text ? text : "";
}

static const char *column_of(const cJSON *root, const cJSON *row) {
  return cJSON_HasObjectItem(row, "column") ? text_of(row, "column") : text_of(root, "ours");
}

static int columns_of(const cJSON *root, const cJSON *rows, const char *column[COLUMNS]) {
  int n = 0;
  const cJSON *row;
  cJSON_ArrayForEach(row, rows) {
    const char *name = column_of(root, row);
    int i = 0;
    while (i < n && strcmp(column[i], name) != 0) i++;
    if (i == n && n < COLUMNS) column[n++] = name;
  }
  return n;
}

/* A goal is named where it was missed; what met its goal stands in bold. */
static void print_cell(FILE *f, const cJSON *row) {
  const cJSON *goal = cJSON_GetObjectItem(row, "goal");
  double ratio = cJSON_GetNumberValue(cJSON_GetObjectItem(row, "ratio"));
  if (!goal)
    fprintf(f, " %.2f |", ratio);
  else if (cJSON_IsTrue(cJSON_GetObjectItem(row, "met")))
    fprintf(f, " **%.2f** |", ratio);
  else
    fprintf(f, " %.2f (goal %.3g) |", ratio, goal->valuedouble);
}

/* The first row with this label stands for its line. */
static bool begins_line(const cJSON *rows, const cJSON *row) {
  const cJSON *other;
  cJSON_ArrayForEach(other, rows) {
    if (strcmp(text_of(other, "label"), text_of(row, "label")) == 0) return other == row;
  }
  return false;
}

static void print_line(FILE *f, const cJSON *root, const cJSON *rows, const cJSON *first, int n,
                       const char *const *column) {
  const char *label = text_of(first, "label"), *floor = text_of(first, "floor_text");
  double noise = 0, shared = 0;
  fprintf(f, "| %s | %s |", label, floor);
  for (int i = 0; i < n; i++) {
    const cJSON *row, *found = NULL;
    cJSON_ArrayForEach(row, rows) {
      if (strcmp(text_of(row, "label"), label) != 0) continue;
      noise = fmax(noise, cJSON_GetNumberValue(cJSON_GetObjectItem(row, "noise")));
      shared = fmax(shared, cJSON_GetNumberValue(cJSON_GetObjectItem(row, "shared")));
      if (strcmp(column_of(root, row), column[i]) == 0) found = row;
    }
    if (found)
      print_cell(f, found);
    else
      fputs(" |", f);
  }
  fprintf(f, shared > 0 ? " %.0f %% | %.2f |\n" : " %.0f %% | |\n", 100 * noise, shared);
}

static void print_table(FILE *f, const cJSON *root) {
  const cJSON *rows = cJSON_GetObjectItem(root, "rows"), *row;
  const char *column[COLUMNS];
  int n = columns_of(root, rows, column);
  fprintf(f, "\n## %s\n\n%s, %s\n\n| %s | %s |", text_of(root, "bench"), text_of(root, "processor"),
          text_of(root, "openblas"), text_of(root, "compared"), text_of(root, "floor"));
  for (int i = 0; i < n; i++) fprintf(f, " %s |", column[i]);
  fputs(" noise | shared |\n|---|--:|", f);
  for (int i = 0; i < n + 2; i++) fputs("--:|", f);
  fputc('\n', f);
  cJSON_ArrayForEach(row, rows) {
    if (begins_line(rows, row)) print_line(f, root, rows, row, n, column);
  }
}

static cJSON *read_json(const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", BENCH_RESULTS, name);
  FILE *f = fopen(path, "r");
  char *text = NULL;
  size_t size = 0;
  cJSON *root = f && getdelim(&text, &size, '\0', f) > 0 ? cJSON_Parse(text) : NULL;
  free(text);
  if (f) fclose(f);
  return root;
}

static int is_result(const struct dirent *entry) {
  const char *end = strrchr(entry->d_name, '.');
  return end && strcmp(end, ".json") == 0;
}

bool bench_tables_write(void) {
  struct dirent **entry;
  int n = scandir(BENCH_RESULTS, &entry, is_result, alphasort);
  FILE *f = n >= 0 ? fopen(BENCH_RESULTS "/README.md", "w") : NULL;
  if (f)
    fputs("# Results of ./run bench\n\n"
          "Medians of ratios to the floor, time over time, measured side by side; what met its\n"
          "goal is bold. Times, intervals and the floor's choices are in the files beside this\n"
          "one, which is written from them.\n",
          f);
  for (int i = 0; i < n; i++) {
    cJSON *root = read_json(entry[i]->d_name);
    if (f && root) print_table(f, root);
    cJSON_Delete(root);
    free(entry[i]);
  }
  if (n >= 0) free(entry);
  return f && fclose(f) == 0;
}
