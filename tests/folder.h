/* folder.h - a fresh folder for each test, and files in it. */
#ifndef COTANGENT_TESTS_FOLDER_H
#define COTANGENT_TESTS_FOLDER_H

#include "testing.h"

static char folder[TEMP_PATH];
static char last_path[TEMP_PATH + 64]; /* what path_of gave last */

static inline int open_folder(void **state) {
  (void)state;
  temp_dir(folder);
  return 0;
}

static inline int close_folder(void **state) {
  (void)state;
  temp_dir_remove(folder);
  return 0;
}

static inline const char *path_of(const char *name) {
  snprintf(last_path, sizeof last_path, "%s/%s", folder, name);
  return last_path;
}

/* Writes the file; its path. */
static inline const char *put(const char *name, const void *data, size_t bytes) {
  FILE *f = fopen(path_of(name), "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, bytes, f), bytes);
  fclose(f);
  return last_path;
}

#endif
