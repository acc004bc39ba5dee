/* fuzz_readers.h - every reader against mutated valid files.
 *
 * A reader may refuse a file or read it; it must not crash, leak, read past what it has (the
 * sanitizers look), or fail without saying why.
 */
#ifndef COTANGENT_FUZZ_READERS_H
#define COTANGENT_FUZZ_READERS_H

#include "testing.h"

#include "datasets/datasets.h"
#include "gzip.h"
#include "sample_images.h"

enum { FUZZ_ROOM = 4096 };

typedef struct fuzz_file {
  unsigned char at[FUZZ_ROOM];
  size_t n;
} fuzz_file;

static char fuzz_folder[TEMP_PATH];
static char fuzz_path[TEMP_PATH + 16];
static uint64_t fuzz_state;

/* xorshift64*: the same files on every run */
static uint32_t fuzz_random(size_t below) {
  fuzz_state ^= fuzz_state >> 12;
  fuzz_state ^= fuzz_state << 25;
  fuzz_state ^= fuzz_state >> 27;
  return (uint32_t)(((fuzz_state * 0x2545F4914F6CDD1DULL) >> 32) % below);
}

static void fuzz_write(const fuzz_file *f) {
  FILE *out = fopen(fuzz_path, "wb");
  assert_non_null(out);
  assert_int_equal(fwrite(f->at, 1, f->n, out), f->n);
  fclose(out);
}

/* ---- mutations ------------------------------------------------------------------------------- */

static void flip_bit(fuzz_file *f, size_t i) { f->at[i] ^= (unsigned char)(1u << fuzz_random(8)); }

static void set_byte(fuzz_file *f, size_t i) {
  static const unsigned char telling[] = {0, 1, 127, 128, 255, '"', ',', '\n', '(', '\'', '9', '-'};
  f->at[i] =
      fuzz_random(2) ? telling[fuzz_random(sizeof telling)] : (unsigned char)fuzz_random(256);
}

static void set_word(fuzz_file *f, size_t i) {
  static const unsigned char telling[][4] = {{0, 0, 0, 0},         {255, 255, 255, 255},
                                             {127, 255, 255, 255}, {128, 0, 0, 0},
                                             {0, 0, 0, 128},       {0, 1, 0, 0}};
  memcpy(f->at + i, telling[fuzz_random(6)], f->n - i < 4 ? f->n - i : 4);
}

static void cut(fuzz_file *f, size_t i) { f->n = i; }

static void cut_out(fuzz_file *f, size_t i) {
  const size_t n = 1 + fuzz_random(f->n - i);
  memmove(f->at + i, f->at + i + n, f->n - i - n);
  f->n -= n;
}

static void repeat(fuzz_file *f, size_t i) {
  size_t n = 1 + fuzz_random(f->n - i);
  if (n > FUZZ_ROOM - f->n) n = FUZZ_ROOM - f->n;
  memmove(f->at + i + n, f->at + i, f->n - i);
  f->n += n;
}

static void mutate(fuzz_file *f) {
  static void (*const how[])(fuzz_file *, size_t) = {
      flip_bit, flip_bit, set_byte, set_byte, set_word, set_word, cut, cut_out, repeat};
  for (uint32_t n = 1 + fuzz_random(4); n > 0 && f->n > 0; n--)
    how[fuzz_random(sizeof how / sizeof *how)](f, fuzz_random(f->n));
}

/* ---- readers: each reads fuzz_path ----------------------------------------------------------- */

/* Reads every byte of what came out. */
static bool fuzz_touch(const ct_tensor *t) {
  if (ct_is_nil(t)) return false;
  const size_t bytes = (size_t)ct_size(t) * ct_dtype_size(ct_dtype_of(t));
  void *copy = malloc(bytes + 1);
  assert_non_null(copy);
  assert_ok(ct_copy_out(t, copy, bytes));
  free(copy);
  return true;
}

static bool fuzz_idx(uint32_t kind) {
  (void)kind;
  return fuzz_touch(ct_idx_read(fuzz_path));
}

static bool fuzz_npy(uint32_t kind) {
  (void)kind;
  return fuzz_touch(ct_npy_read(fuzz_path));
}

static bool fuzz_csv(uint32_t kind) {
  static const ct_csv_opts opts[] = {{.label = "kind", .allow_missing = true},
                                     {.label_column = -1, .allow_missing = true},
                                     {.label_column = 3, .allow_missing = true, .no_header = true}};
  ct_dataset d;
  if (ct_dataset_csv(&d, fuzz_path, opts[kind]) != CT_OK) {
    assert_null(d.x);
    return false;
  }
  fuzz_touch(d.x);
  if (d.labels) {
    int64_t *count = calloc((size_t)d.classes.n, sizeof *count), sum = 0;
    assert_non_null(count);
    assert_ok(ct_dataset_counts(count, d.classes.n, &d));
    for (int c = 0; c < d.classes.n; c++) {
      assert_true(count[c] > 0 && *d.classes.at[c]);
      sum += count[c];
    }
    free(count);
    assert_int_equal(sum, ct_dim(d.x, 0));
  }
  ct_dataset_free(&d);
  return true;
}

static bool fuzz_image(uint32_t kind) {
  (void)kind;
  const ct_tensor *t = ct_image_load(fuzz_path, fuzz_random(2) ? 1 : 3);
  if (!fuzz_touch(t)) return false;
  if (ct_ndim(t) == 2) assert_true(fuzz_touch(ct_image_like_mnist(t, 28)));
  return true;
}

/* ---- valid files ----------------------------------------------------------------------------- */

#define FUZZ_IDX  "\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x03uvwxyzUVWXYZ"
#define FUZZ_DICT "{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }\n"

#define FUZZ_NAMES "width,\"hei\"\"ght\",kind\r\n"

static const char fuzz_table[] =
    FUZZ_NAMES "1.5,-2e-3,rose\r\n\"0.25\", 7 ,\"li,ly\"\n,NaN,rose\n1,2,3\n";

static void fuzz_set(fuzz_file *f, const void *bytes, size_t n) {
  memcpy(f->at, bytes, n);
  f->n = n;
}

static void seed_idx(fuzz_file *f, uint32_t kind) {
  fuzz_set(f, FUZZ_IDX, sizeof FUZZ_IDX - 1);
  if (kind == 0) return;
  if (kind == 1) mutate(f); /* inside an intact gzip wrapper */
  fuzz_file plain = *f;
  f->n = gzip(f->at, FUZZ_ROOM, plain.at, plain.n);
}

static void seed_npy(fuzz_file *f, uint32_t kind) {
  static const char *const type[] = {"<f4", "<f8", "<i4", "<i8", "|u1", "|b1"};
  static const size_t bytes[] = {4, 8, 4, 8, 1, 1};
  const uint32_t t = fuzz_random(6), version = 1 + kind;
  char dict[128];
  const int length =
      snprintf(dict, sizeof dict, FUZZ_DICT, type[t], fuzz_random(2) ? "True" : "False", "2, 3");
  const size_t start = version == 1 ? 10 : 12;
  memset(f->at, 0, sizeof f->at);
  memcpy(f->at, "\x93NUMPY", 6);
  f->at[6] = (unsigned char)version;
  f->at[8] = (unsigned char)length;
  memcpy(f->at + start, dict, (size_t)length);
  f->n = start + (size_t)length + 6 * bytes[t];
}

static void seed_csv(fuzz_file *f, uint32_t kind) {
  const size_t skip = kind == 2 ? sizeof FUZZ_NAMES - 1 : 0;
  fuzz_set(f, fuzz_table + skip, sizeof fuzz_table - 1 - skip);
}

static void seed_png(fuzz_file *f, uint32_t kind) {
  static const struct {
    const unsigned char *at;
    size_t n;
  } file[] = {{ink_png, sizeof ink_png},
              {palette_png, sizeof palette_png},
              {interlaced_png, sizeof interlaced_png}};
  fuzz_set(f, file[kind].at, file[kind].n);
}

static void seed_jpeg(fuzz_file *f, uint32_t kind) {
  if (kind == 0)
    fuzz_set(f, grey_jpeg, sizeof grey_jpeg);
  else
    fuzz_set(f, colour_jpeg, sizeof colour_jpeg);
}

/* ---- the campaign ---------------------------------------------------------------------------- */

static const struct {
  const char *name;
  void (*seed)(fuzz_file *, uint32_t kind);
  uint32_t kinds;
  bool (*read)(uint32_t kind);
} fuzz_target[] = {
    {"idx", seed_idx, 3, fuzz_idx},     {"npy", seed_npy, 3, fuzz_npy},
    {"csv", seed_csv, 3, fuzz_csv},     {"png", seed_png, 3, fuzz_image},
    {"jpeg", seed_jpeg, 2, fuzz_image},
};

/* n files for each reader; the valid file itself comes first and must be read. */
static void fuzz_readers(int n) {
  temp_dir(fuzz_folder);
  snprintf(fuzz_path, sizeof fuzz_path, "%s/file", fuzz_folder);
  for (size_t i = 0; i < sizeof fuzz_target / sizeof *fuzz_target; i++) {
    int accepted = 0;
    fuzz_state = 0x9E3779B97F4A7C15ULL + i;
    for (int k = 0; k < n; k++) {
      fuzz_file f;
      const uint32_t kind = k == 0 ? 0 : fuzz_random(fuzz_target[i].kinds);
      fuzz_target[i].seed(&f, kind);
      if (k > 0) mutate(&f);
      fuzz_write(&f);
      ct_scope s = ct_scope_begin();
      const bool good = fuzz_target[i].read(kind);
      assert_true(good == (ct_error_code() == CT_OK));
      assert_true(good || strstr(ct_error_message(), fuzz_path));
      assert_true(good || k > 0);
      ct_error_clear();
      ct_scope_end(s);
      accepted += good;
    }
    print_message("%s: %d of %d mutated files were still readable\n", fuzz_target[i].name, accepted,
                  n);
    assert_true(accepted < n);
  }
  temp_dir_remove(fuzz_folder);
}

#endif
