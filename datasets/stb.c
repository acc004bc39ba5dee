/* stb.c - stb_image, compiled here and seen nowhere else: PNG and JPEG, from memory. */
#include "datasets_internal.h"

#pragma GCC diagnostic ignored "-Wunused-function"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS (1 << 14)
#define STBI_ASSERT(x)      ((void)(x)) /* the library never ends its host */
#include <stb_image.h>

/* ---- a guard --------------------------------------------------------------------------------- */

/* stb_image up to 2.27 writes past its Huffman tables if a file lists more codes than the 256 that
 * there can be. So the segments are walked first, as stb_image will walk them; where it would stop
 * with an error, this may go on. */

typedef struct walk {
  const unsigned char *p, *end;
} walk;

static int next_byte(walk *w) { return w->p < w->end ? *w->p++ : 0; }

/* The marker that follows, past anything else, stuffed zeros and restarts; 0 at the end. */
static int next_marker(walk *w) {
  while (w->p < w->end) {
    if (next_byte(w) != 0xff) continue;
    int marker = next_byte(w);
    while (marker == 0xff) marker = next_byte(w);
    if (marker != 0 && !(marker >= 0xd0 && marker <= 0xd8)) return marker;
  }
  return 0;
}

/* The tables of one DHT segment, whose length counts from here. */
static bool tables_fit(walk w, int length) {
  while (length > 0) {
    int codes = 0;
    next_byte(&w); /* which table */
    for (int i = 0; i < 16; i++) codes += next_byte(&w);
    if (codes > 256) return false;
    for (int i = 0; i < codes; i++) next_byte(&w);
    length -= 17 + codes;
  }
  return true;
}

static bool huffman_tables_fit(const unsigned char *data, int size) {
  enum { DHT = 0xc4, EOI = 0xd9 };
  walk w = {data, data + size};
  for (int marker = next_marker(&w); marker != 0 && marker != EOI; marker = next_marker(&w)) {
    int length = next_byte(&w) << 8;
    length = (length | next_byte(&w)) - 2;
    if (marker == DHT && !tables_fit(w, length)) return false;
    if (length > 0) w.p = w.end - w.p > length ? w.p + length : w.end;
  }
  return true;
}

static bool is_jpeg(const unsigned char *data, int size) { return size > 1 && data[0] == 0xff; }

/* ---- the two calls --------------------------------------------------------------------------- */

bool ct__stb_info(const unsigned char *data, int size, int *width, int *height) {
  int channels;
  if (is_jpeg(data, size) && !huffman_tables_fit(data, size)) return false;
  return stbi_info_from_memory(data, size, width, height, &channels) != 0;
}

unsigned char *ct__stb_load(const unsigned char *data, int size, int *width, int *height,
                            int channels, const char **why) {
  int found;
  if (is_jpeg(data, size) && !huffman_tables_fit(data, size)) {
    *why = "bad Huffman tables";
    return NULL;
  }
  unsigned char *pixels = stbi_load_from_memory(data, size, width, height, &found, channels);
  if (!pixels) *why = stbi_failure_reason();
  return pixels;
}

void ct__stb_free(unsigned char *pixels) { stbi_image_free(pixels); }
