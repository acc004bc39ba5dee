/* fuzz_safetensors.h - mutated archives: each one loads as something whole or is refused with a
 * reason. */
#ifndef COTANGENT_FUZZ_SAFETENSORS_H
#define COTANGENT_FUZZ_SAFETENSORS_H

#include "testing.h"

#include "nn/nn.h"

enum { FUZZ_ROOM = 4096 };

typedef struct fuzz_file {
  unsigned char byte[FUZZ_ROOM];
  size_t size;
} fuzz_file;

static inline uint32_t fuzz_random(uint64_t *state) { /* Knuth's multiplier, upper half */
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*state >> 33);
}

static inline void fuzz_read(const char *path, fuzz_file *f) {
  FILE *in = fopen(path, "rb");
  assert_non_null(in);
  f->size = fread(f->byte, 1, FUZZ_ROOM, in);
  fclose(in);
  assert_true(f->size > 8 && f->size < FUZZ_ROOM / 2);
}

static inline void fuzz_write(const char *path, const fuzz_file *f) {
  FILE *out = fopen(path, "wb");
  assert_non_null(out);
  assert_int_equal(fwrite(f->byte, 1, f->size, out), f->size);
  assert_int_equal(fclose(out), 0);
}

/* A file with every dtype, a scalar, an empty tensor and texts. */
static inline void fuzz_valid(const char *path) {
  ct_scope scope = ct_scope_begin();
  ct_archive *a = ct_archive_new();
  assert_ok(ct_archive_add(a, "0.weight", ct_linspace(CT_F32, 0, 1, 6)));
  assert_ok(ct_archive_add(a, "0.bias", ct_ones(CT_F64, CT_SHAPE(2, 1))));
  assert_ok(ct_archive_add(a, "labels", ct_arange(CT_I32, 0, 5, 1)));
  assert_ok(ct_archive_add(a, "image", ct_full(CT_U8, CT_SHAPE(3, 3), 7)));
  assert_ok(ct_archive_add(a, "mask", ct_ones(CT_BOOL, CT_SHAPE(4))));
  assert_ok(ct_archive_add(a, "scalar", ct_scalar(CT_F32, 2)));
  assert_ok(ct_archive_add(a, "empty", ct_zeros(CT_F32, CT_SHAPE(2, 0))));
  assert_ok(ct_archive_set_text(a, "seed", "17"));
  assert_ok(ct_archive_set_text(a, "classes", "[\"null\",\"eins\"]"));
  assert_ok(ct_archive_save(a, path));
  ct_archive_free(&a);
  ct_scope_end(scope);
}

/* One small damage: mostly in the header, where it matters. */
static inline void fuzz_damage(fuzz_file *f, uint64_t *state) {
  static const char *const text[] = {"-1",
                                     "1e400",
                                     "9007199254740993",
                                     "1.5",
                                     "0",
                                     "\"",
                                     "{",
                                     "}",
                                     "[",
                                     "]",
                                     ",",
                                     "I64",
                                     "F16",
                                     "\\u0000",
                                     "4294967296",
                                     "18446744073709551615",
                                     "null",
                                     "[[[[[[[["};
  size_t at = fuzz_random(state) % f->size, header = f->size * 3 / 4 + 1;
  if (fuzz_random(state) % 4) at = fuzz_random(state) % header;
  const char *word = text[fuzz_random(state) % (sizeof text / sizeof text[0])];
  size_t length = strlen(word);
  switch (fuzz_random(state) % 6) {
  case 0: f->byte[at] ^= (unsigned char)(1u << fuzz_random(state) % 8); break;
  case 1: f->byte[at] = (unsigned char)fuzz_random(state); break;
  case 2: f->size = at + 1; break;
  case 3: f->byte[fuzz_random(state) % 8] = (unsigned char)fuzz_random(state); break;
  case 4: /* a word over what is there */
    if (at + length < f->size) memcpy(f->byte + at, word, length);
    break;
  case 5: /* a word between, with the length put right */
    if (at < 8 || f->size + length >= FUZZ_ROOM) break;
    memmove(f->byte + at + length, f->byte + at, f->size - at);
    memcpy(f->byte + at, word, length);
    f->size += length;
    uint32_t old = (uint32_t)f->byte[0] | (uint32_t)f->byte[1] << 8, now = old + (uint32_t)length;
    f->byte[0] = (unsigned char)now;
    f->byte[1] = (unsigned char)(now >> 8);
    break;
  }
}

/* What loads can be read to its last element. */
static inline void fuzz_use(const ct_archive *a) {
  ct_scope scope = ct_scope_begin();
  for (int i = 0; i < ct_archive_count(a); i++) {
    ct_tensor *t = ct_archive_get(a, ct_archive_name(a, i));
    assert_int_equal(ct_is_nil(t), 0);
    double *value = malloc((size_t)ct_size(t) * sizeof *value + 1);
    assert_non_null(value);
    tensor_values(t, value, ct_size(t));
    free(value);
  }
  ct_scope_end(scope);
}

/* Returns how many of the damaged files still loaded. */
static inline int fuzz_safetensors(int runs, uint64_t seed) {
  char dir[TEMP_PATH], path[TEMP_PATH + 16];
  temp_dir(dir);
  snprintf(path, sizeof path, "%s/fuzz", dir);
  fuzz_valid(path);
  fuzz_file valid, damaged;
  fuzz_read(path, &valid);
  int loaded = 0;
  for (int run = 0; run < runs; run++) {
    damaged = valid;
    for (uint32_t n = 1 + fuzz_random(&seed) % 3; n > 0; n--) fuzz_damage(&damaged, &seed);
    fuzz_write(path, &damaged);
    ct_archive *a = ct_archive_load(path);
    if (a)
      fuzz_use(a);
    else
      assert_true(ct_error_code() == CT_EFORMAT && strstr(ct_error_message(), "ct_archive_load: "));
    ct_error_clear();
    loaded += a != NULL;
    ct_archive_free(&a);
  }
  temp_dir_remove(dir);
  return loaded;
}

#endif
