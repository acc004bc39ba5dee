/* stb.c - stb_image, compiled here and seen nowhere else: PNG and JPEG, from memory. */
#include "datasets_internal.h"

#include <stdlib.h>

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
#define STBI_MAX_DIMENSIONS       (1 << 14)
#define STBI_ASSERT(x)            ((void)0) /* the library never ends its host */
#define STBI_MALLOC(size)         allocate(size)
#define STBI_REALLOC(block, size) reallocate(block, size)
#define STBI_FREE(block)          free(block)

/* stb_image forgets that memory ran out when it goes on to try the other format. */
static _Thread_local bool starved;

/* Zeroed, since a JPEG may use tables that it never defined, or end before its last pixel. */
static void *allocate(size_t size) {
  void *block = calloc(1, size);
  if (!block) starved = true;
  return block;
}

static void *reallocate(void *block, size_t size) {
  void *grown = realloc(block, size);
  if (!grown) starved = true;
  return grown;
}

#include <stb_image.h>

/* ---- guards ---------------------------------------------------------------------------------- */

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

/* A pixel of a PNG may name a colour that its palette lacks; stb_image then shows what lay on the
 * stack. So a short palette is filled up with black, in a copy of the file: NULL if it needs none,
 * or if there is no memory (starved). */
static unsigned char *fill_palette(const unsigned char *data, int size, int *new_size) {
  enum { FULL = 3 * 256, FRAME = 12 }; /* a chunk: length, type, its bytes, a sum */
  for (int at = 8; data[0] == 0x89 && size - at >= FRAME;) {
    const unsigned char *p = data + at;
    const uint32_t length =
        (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    if (length > (uint32_t)(size - at - FRAME)) return NULL;
    const int end = at + 8 + (int)length;
    if (memcmp(p + 4, "PLTE", 4) == 0) {
      if (length >= FULL || length % 3 != 0) return NULL; /* enough, or an error anyhow */
      const int more = FULL - (int)length;
      unsigned char *copy = allocate((size_t)(size + more));
      if (!copy) return NULL;
      memcpy(copy, data, (size_t)end);
      copy[at + 2] = FULL >> 8;
      copy[at + 3] = FULL & 255;
      memcpy(copy + end + more, data + end, (size_t)(size - end));
      *new_size = size + more;
      return copy;
    }
    at = end + 4;
  }
  return NULL;
}

/* ---- the two calls --------------------------------------------------------------------------- */

ct_status ct__stb_info(const unsigned char *data, int size, int *width, int *height) {
  int channels;
  if (data[0] == 0xff && !huffman_tables_fit(data, size)) return CT_EFORMAT;
  starved = false;
  if (stbi_info_from_memory(data, size, width, height, &channels)) return CT_OK;
  return starved ? CT_ENOMEM : CT_EFORMAT;
}

ct_status ct__stb_load(const unsigned char *data, int size, int channels, unsigned char **pixels,
                       const char **why) {
  int width, height, found;
  starved = false;
  unsigned char *filled = fill_palette(data, size, &size);
  *pixels = starved ? NULL
                    : stbi_load_from_memory(filled ? filled : data, size, &width, &height, &found,
                                            channels);
  free(filled);
  if (*pixels) return CT_OK;
  *why = starved ? "out of memory" : stbi_failure_reason();
  return starved ? CT_ENOMEM : CT_EFORMAT;
}

void ct__stb_free(unsigned char *pixels) { stbi_image_free(pixels); }
