/* canvas.c - boxes, lines and small letters in a picture, written as PNG. */
#include "train.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

bool canvas_new(canvas *c, int width, int height) {
  const size_t bytes = (size_t)width * (size_t)height * 3;
  *c = (canvas){width, height, malloc(bytes)};
  if (c->pixel)
    memset(c->pixel, 255, bytes);
  else
    ct_error_set(CT_ENOMEM, "out of memory");
  return c->pixel;
}

void canvas_free(canvas *c) {
  free(c->pixel);
  c->pixel = NULL;
}

static void put(canvas *c, int x, int y, colour ink) {
  if (x < 0 || y < 0 || x >= c->width || y >= c->height) return;
  memcpy(c->pixel + 3 * ((size_t)y * (size_t)c->width + (size_t)x), &ink, 3);
}

void canvas_box(canvas *c, int x, int y, int width, int height, colour ink) {
  for (int i = y; i < y + height; i++)
    for (int j = x; j < x + width; j++) put(c, j, i, ink);
}

/* All pixels whose centre is nearer to the line than half of its thickness. */
void canvas_line(canvas *c, double x0, double y0, double x1, double y1, double thick, colour ink) {
  const double dx = x1 - x0, dy = y1 - y0, square = dx * dx + dy * dy, r = thick / 2;
  for (int y = (int)(fmin(y0, y1) - r); y <= (int)(fmax(y0, y1) + r); y++)
    for (int x = (int)(fmin(x0, x1) - r); x <= (int)(fmax(x0, x1) + r); x++) {
      const double px = x + 0.5 - x0, py = y + 0.5 - y0;
      const double at = square > 0 ? fmin(fmax((px * dx + py * dy) / square, 0), 1) : 0;
      if (hypot(px - at * dx, py - at * dy) <= r) put(c, x, y, ink);
    }
}

/* ---- letters --------------------------------------------------------------------------------- */

/* Five columns of eight dots each, the lowest bit on top. */
static const struct glyph {
  char letter;
  uint8_t column[5];
} glyphs[] = {
    {'0', {0x3e, 0x41, 0x41, 0x41, 0x3e}}, {'1', {0x00, 0x42, 0x7f, 0x40, 0x00}},
    {'2', {0x42, 0x61, 0x51, 0x49, 0x46}}, {'3', {0x21, 0x41, 0x45, 0x4b, 0x31}},
    {'4', {0x18, 0x14, 0x12, 0x7f, 0x10}}, {'5', {0x27, 0x45, 0x45, 0x45, 0x39}},
    {'6', {0x3c, 0x4a, 0x49, 0x49, 0x30}}, {'7', {0x01, 0x71, 0x09, 0x05, 0x03}},
    {'8', {0x36, 0x49, 0x49, 0x49, 0x36}}, {'9', {0x06, 0x49, 0x49, 0x29, 0x1e}},
    {'a', {0x20, 0x54, 0x54, 0x54, 0x78}}, {'b', {0x7f, 0x48, 0x44, 0x44, 0x38}},
    {'c', {0x38, 0x44, 0x44, 0x44, 0x28}}, {'d', {0x38, 0x44, 0x44, 0x48, 0x7f}},
    {'e', {0x38, 0x54, 0x54, 0x54, 0x18}}, {'f', {0x08, 0x7e, 0x09, 0x01, 0x02}},
    {'g', {0x18, 0xa4, 0xa4, 0xa4, 0x7c}}, {'h', {0x7f, 0x08, 0x04, 0x04, 0x78}},
    {'i', {0x00, 0x44, 0x7d, 0x40, 0x00}}, {'j', {0x40, 0x80, 0x84, 0x7d, 0x00}},
    {'k', {0x7f, 0x10, 0x28, 0x44, 0x00}}, {'l', {0x00, 0x41, 0x7f, 0x40, 0x00}},
    {'m', {0x7c, 0x04, 0x18, 0x04, 0x78}}, {'n', {0x7c, 0x08, 0x04, 0x04, 0x78}},
    {'o', {0x38, 0x44, 0x44, 0x44, 0x38}}, {'p', {0xfc, 0x24, 0x24, 0x24, 0x18}},
    {'q', {0x18, 0x24, 0x24, 0x24, 0xfc}}, {'r', {0x7c, 0x08, 0x04, 0x04, 0x08}},
    {'s', {0x48, 0x54, 0x54, 0x54, 0x20}}, {'t', {0x04, 0x3f, 0x44, 0x40, 0x20}},
    {'u', {0x3c, 0x40, 0x40, 0x20, 0x7c}}, {'v', {0x1c, 0x20, 0x40, 0x20, 0x1c}},
    {'w', {0x3c, 0x40, 0x30, 0x40, 0x3c}}, {'x', {0x44, 0x28, 0x10, 0x28, 0x44}},
    {'y', {0x1c, 0xa0, 0xa0, 0xa0, 0x7c}}, {'z', {0x44, 0x64, 0x54, 0x4c, 0x44}},
    {' ', {0x00, 0x00, 0x00, 0x00, 0x00}}, {'.', {0x00, 0x60, 0x60, 0x00, 0x00}},
    {'-', {0x08, 0x08, 0x08, 0x08, 0x08}}, {'_', {0x40, 0x40, 0x40, 0x40, 0x40}},
    {'%', {0x23, 0x13, 0x08, 0x64, 0x62}}, {'>', {0x00, 0x41, 0x22, 0x14, 0x08}},
    {'?', {0x02, 0x01, 0x51, 0x09, 0x06}},
};

static const struct glyph *find_glyph(char letter) {
  const int n = sizeof glyphs / sizeof *glyphs, small = tolower((unsigned char)letter);
  for (int i = 0; i < n; i++)
    if (glyphs[i].letter == small) return &glyphs[i];
  return &glyphs[n - 1];
}

int canvas_text(canvas *c, int x, int y, int scale, colour ink, const char *text) {
  for (const char *p = text; *p; p++, x += GLYPH_WIDTH * scale) {
    const struct glyph *g = find_glyph(*p);
    for (int i = 0; i < 8; i++)
      for (int j = 0; j < 5; j++)
        if (g->column[j] >> i & 1) canvas_box(c, x + j * scale, y + i * scale, scale, scale, ink);
  }
  return text_width(scale, text);
}

int text_width(int scale, const char *text) {
  return GLYPH_WIDTH * scale * (int)strlen(text) - scale;
}

/* ---- writing --------------------------------------------------------------------------------- */

ct_status make_folders(const char *dir) {
  char path[4096];
  const size_t n = strlen(dir);
  if (n + 1 > sizeof path) return ct_error_set(CT_EARG, "%s: too long", dir);
  for (size_t i = 1; i <= n; i++) {
    if (dir[i] != '/' && dir[i] != '\0') continue;
    snprintf(path, sizeof path, "%.*s", (int)i, dir);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
      return ct_error_set(CT_EIO, "cannot make the folder %s: %s", path, strerror(errno));
  }
  return CT_OK;
}

ct_status canvas_write(const canvas *c, const char *dir, const char *name, int shrink) {
  char path[4096 + 32];
  ct_status status = make_folders(dir);
  if (status != CT_OK) return status;
  snprintf(path, sizeof path, "%s/%s", dir, name);
  ct_scope scope = ct_scope_begin();
  ct_tensor *image =
      ct_wrap(CT_U8, CT_SHAPE(c->height, c->width, 3), c->pixel, (ct_wrap_opts){.read_only = true});
  status = ct_image_write_png(path, ct_image_resize(image, c->height / shrink, c->width / shrink));
  ct_scope_end(scope);
  return status;
}
