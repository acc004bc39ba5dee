/* image.c - PNG and JPEG into tensors, resizing by area, and the look of MNIST. */
#include "datasets_internal.h"

#include <limits.h>
#include <math.h>

/* ---- loading --------------------------------------------------------------------------------- */

/* The header may claim any size: more pixels than the file's bytes can describe are refused before
 * stb_image makes room. A row of PNG packs 8 pixels into a byte, deflate 1032 bytes into one; JPEG
 * spends a bit or more on each 64 pixels. */
static ct_status check_claim(const ct__source *s, const unsigned char *data, int width,
                             int height) {
  enum { MAX_PIXELS = 1 << 26, PNG_RATIO = 8 * 1032, JPEG_RATIO = 512 };
  const int64_t pixels = (int64_t)width * height;
  const int64_t most = s->size * (data[0] == 0x89 ? PNG_RATIO : JPEG_RATIO);
  if (width > 0 && height > 0 && pixels <= MAX_PIXELS && pixels <= most) return CT_OK;
  return ct__fail_status(CT_EFORMAT, "%s: %s: an image of %d x %d in %lld bytes is refused", s->who,
                         s->name, width, height, (long long)s->size);
}

/* The colours of n pixels, `channels` each, over white paper; the last of each pixel's bytes is its
 * opacity. */
static void over_white(const unsigned char *pixel, int channels, int64_t n, char *out) {
  for (int64_t i = 0; i < n; i++, pixel += channels + 1)
    for (int c = 0; c < channels; c++) {
      const int opacity = pixel[channels];
      *out++ = (char)((pixel[c] * opacity + 255 * (255 - opacity) + 127) / 255);
    }
}

static ct_tensor *decode(const ct__source *s, const unsigned char *data, int channels) {
  const char *why = NULL;
  unsigned char *pixels;
  int width, height;
  ct_status status = ct__stb_info(data, (int)s->size, &width, &height);
  if (status != CT_OK) {
    ct__fail_status(status, "%s: %s: %s", s->who, s->name,
                    status == CT_ENOMEM ? "out of memory" : "neither PNG nor JPEG, or damaged");
    return NULL;
  }
  if (check_claim(s, data, width, height) != CT_OK) return NULL;
  status = ct__stb_load(data, (int)s->size, channels + 1, &pixels, &why);
  if (status != CT_OK) {
    ct__fail_status(status, "%s: %s: cannot decode the image (%s)", s->who, s->name,
                    why ? why : "no reason given");
    return NULL;
  }
  ct_tensor *t =
      ct__source_tensor(s, CT_U8, channels == 1 ? 2 : 3, (int64_t[]){height, width, channels});
  if (t) over_white(pixels, channels, (int64_t)width * height, t->v.data);
  ct__stb_free(pixels);
  return t;
}

ct_tensor *ct__image_read(ct__source *s, int channels) {
  char *data;
  size_t size;
  if (s->size > INT_MAX / 2) {
    ct__fail_status(CT_ESIZE, "%s: %s: too large for an image file", s->who, s->name);
    return NULL;
  }
  if (ct__source_all(s, &data, &size) != CT_OK) return NULL;
  ct_tensor *t = decode(s, (const unsigned char *)data, channels);
  ct__free(data, size + 1);
  return t;
}

ct_tensor *ct_image_load(const char *path, int channels) {
  static const char who[] = "ct_image_load";
  if (channels != 1 && channels != 3)
    return ct__nil(CT_EARG, "%s: want 1 or 3 channels, got %d", who, channels);
  ct__source s;
  if (ct__source_open(&s, who, path) != CT_OK) return ct_nil();
  ct_tensor *t = ct__image_read(&s, channels);
  ct__source_close(&s);
  return ct__own(t);
}

/* ---- resizing -------------------------------------------------------------------------------- */

/* How much of input [input, input + 1) lies in [from, to). */
static double overlap(int64_t input, double from, double to) {
  return fmin(to, (double)(input + 1)) - fmax(from, (double)input);
}

/* One axis: out[o][k] = mean of in[i][k] over the part of the inputs under output o, for k < run.
 */
static void shrink_axis(const float *in, int64_t m, float *out, int64_t n, int64_t run) {
  const double step = (double)m / (double)n;
  for (int64_t o = 0; o < n; o++, out += run) {
    const double from = (double)o * step, to = o + 1 == n ? (double)m : (double)(o + 1) * step;
    for (int64_t k = 0; k < run; k++) out[k] = 0;
    for (int64_t i = (int64_t)from; i < m && (double)i < to; i++) {
      const float weight = (float)(overlap(i, from, to) / step);
      for (int64_t k = 0; k < run; k++) out[k] += weight * in[i * run + k];
    }
  }
}

ct_status ct__resize_area(const uint8_t *src, int64_t sh, int64_t sw, uint8_t *dst, int64_t dh,
                          int64_t dw, int64_t c) {
  if (sh == dh && sw == dw) {
    memcpy(dst, src, (size_t)(sh * sw * c));
    return CT_OK;
  }
  /* every source row is narrowed at once, then the rows are averaged */
  const size_t row = (size_t)(sw * c), narrow = (size_t)(dw * c);
  const size_t bytes = (row + narrow * (size_t)(sh + dh)) * sizeof(float);
  float *block = ct__alloc(bytes);
  if (!block) return CT_ENOMEM;
  float *rows = block + row, *out = rows + narrow * (size_t)sh;
  for (int64_t i = 0; i < sh; i++) {
    for (size_t j = 0; j < row; j++) block[j] = src[(size_t)i * row + j];
    shrink_axis(block, sw, rows + (size_t)i * narrow, dw, c);
  }
  shrink_axis(rows, sh, out, dh, (int64_t)narrow);
  for (size_t j = 0; j < narrow * (size_t)dh; j++) dst[j] = (uint8_t)fminf(out[j] + 0.5f, 255);
  ct__free(block, bytes);
  return CT_OK;
}

/* CT_OK for u8 (h, w) or (h, w, c), contiguous, not empty. */
static ct_status check_image(const char *who, const ct_tensor *t, int max_ndim) {
  ct_status status = ct__check_value(who, t);
  if (status != CT_OK) return status;
  char text[CT__SHAPE_TEXT];
  ct__shape_text(text, t->v.ndim, t->v.dim);
  if (t->v.dtype != CT_U8)
    return ct__fail_status(CT_EDTYPE, "%s: want u8, got %s", who, ct_dtype_name(t->v.dtype));
  if (t->v.ndim < 2 || t->v.ndim > max_ndim || t->v.size == 0)
    return ct__fail_status(CT_ESHAPE, "%s: want an image (h,w)%s, got %s", who,
                           max_ndim > 2 ? " or (h,w,c)" : "", text);
  if (t->v.contiguous) return CT_OK;
  return ct__fail_status(CT_EARG, "%s: want contiguous data", who);
}

ct_tensor *ct_image_resize(const ct_tensor *image, int64_t height, int64_t width) {
  static const char who[] = "ct_image_resize";
  enum { LIMIT = 1 << 14 };
  if (check_image(who, image, 3) != CT_OK) return ct_nil();
  if (height < 1 || width < 1 || height > LIMIT || width > LIMIT)
    return ct__nil(CT_EARG, "%s: want sizes from 1 to %d, got %lld x %lld", who, LIMIT,
                   (long long)height, (long long)width);
  const ct_view *v = &image->v;
  const int64_t c = v->ndim == 3 ? v->dim[2] : 1;
  ct_tensor *out = ct__dataset_tensor(who, CT_U8, v->ndim, (int64_t[]){height, width, c});
  if (out && ct__resize_area((const uint8_t *)v->data, v->dim[0], v->dim[1], (uint8_t *)out->v.data,
                             height, width, c) != CT_OK) {
    ct__fail_status(CT_ENOMEM, "%s: out of memory", who);
    ct_release(&out);
  }
  return ct__own(out);
}

/* ---- the look of MNIST ----------------------------------------------------------------------- */

typedef struct box {
  int64_t top, left, height, width;
} box;

static uint8_t mean_of_border(const uint8_t *p, int64_t h, int64_t w) {
  int64_t sum = 0, count = 0;
  for (int64_t i = 0; i < h; i++)
    for (int64_t j = 0; j < w; j += i == 0 || i == h - 1 || w == 1 ? 1 : w - 1) {
      sum += p[i * w + j];
      count++;
    }
  return (uint8_t)((sum + count / 2) / count);
}

/* n bytes so that `low` becomes 0 and the largest 255. */
static void stretch(uint8_t *p, int64_t n, int low) {
  int high = low;
  for (int64_t i = 0; i < n; i++)
    if (p[i] > high) high = p[i];
  for (int64_t i = 0; i < n; i++)
    p[i] = (uint8_t)(p[i] <= low ? 0 : (255 * (p[i] - low) + (high - low) / 2) / (high - low));
}

/* The smallest box around the ink; false if there is none. */
static bool find_ink(const uint8_t *p, int64_t h, int64_t w, box *out) {
  enum { FAINT = 16 }; /* paper is not quite even */
  int64_t top = h, bottom = -1, left = w, right = -1;
  for (int64_t i = 0; i < h; i++)
    for (int64_t j = 0; j < w; j++) {
      if (p[i * w + j] < FAINT) continue;
      if (i < top) top = i;
      if (j < left) left = j;
      if (j > right) right = j;
      bottom = i;
    }
  *out = (box){top, left, bottom - top + 1, right - left + 1};
  return bottom >= 0;
}

static int64_t clamp(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : x > high ? high : x;
}

/* The offset that brings the centre of mass of (h, w) to the middle of size, as far as the ink
 * stays inside. */
static void centre(const uint8_t *p, int64_t h, int64_t w, int64_t size, int64_t *top,
                   int64_t *left) {
  double mass = 0, down = 0, right = 0;
  for (int64_t i = 0; i < h; i++)
    for (int64_t j = 0; j < w; j++) {
      mass += p[i * w + j];
      down += (double)(p[i * w + j] * i);
      right += (double)(p[i * w + j] * j);
    }
  /* Measured: the mean of MNIST lies at size / 2, that of the embedded digits half a pixel before.
   */
  const double middle = (double)(size < 16 ? size - 1 : size) / 2;
  *top = clamp((int64_t)lround(middle - down / mass), 0, size - h);
  *left = clamp((int64_t)lround(middle - right / mass), 0, size - w);
}

/* Shrinks the ink b of p (rows of w bytes) to fit the inner box, and sets it into out (size, size).
 */
static ct_status fit_ink(const uint8_t *p, int64_t w, box b, uint8_t *out, int64_t size) {
  enum { SMALL = 16 };
  const double inner = size < SMALL ? (double)size : round((double)size * 20 / 28);
  const double scale = inner / (double)(b.height > b.width ? b.height : b.width);
  const int64_t h = clamp(lround((double)b.height * scale), 1, size);
  const int64_t width = clamp(lround((double)b.width * scale), 1, size);
  const size_t crop_bytes = (size_t)(b.height * b.width), bytes = crop_bytes + (size_t)(h * width);
  uint8_t *crop = ct__alloc(bytes);
  if (!crop) return CT_ENOMEM;
  uint8_t *small = crop + crop_bytes;
  for (int64_t i = 0; i < b.height; i++)
    memcpy(crop + i * b.width, p + (b.top + i) * w + b.left, (size_t)b.width);
  ct_status status = ct__resize_area(crop, b.height, b.width, small, h, width, 1);
  if (status == CT_OK) {
    int64_t top, left;
    stretch(small, h * width, 0);
    centre(small, h, width, size, &top, &left);
    for (int64_t i = 0; i < h; i++)
      memcpy(out + (top + i) * size + left, small + i * width, (size_t)width);
  }
  ct__free(crop, bytes);
  return status;
}

ct_tensor *ct_image_like_mnist(const ct_tensor *image, int64_t size) {
  static const char who[] = "ct_image_like_mnist";
  if (check_image(who, image, 2) != CT_OK) return ct_nil();
  if (size < 1 || size > 1 << 12)
    return ct__nil(CT_EARG, "%s: want a size from 1 to %d, got %lld", who, 1 << 12,
                   (long long)size);
  const int64_t h = image->v.dim[0], w = image->v.dim[1], n = h * w;
  ct_tensor *out = ct__dataset_tensor(who, CT_U8, 2, (int64_t[]){size, size});
  uint8_t *ink = out ? ct__alloc((size_t)n) : NULL;
  ct_status status = ink ? CT_OK : CT_ENOMEM;
  if (ink) {
    memcpy(ink, image->v.data, (size_t)n);
    int paper = mean_of_border(ink, h, w);
    const bool bright = paper > 127;
    for (int64_t i = 0; i < n && bright; i++) ink[i] = (uint8_t)(255 - ink[i]);
    stretch(ink, n, bright ? 255 - paper : paper);
    memset(out->v.data, 0, (size_t)(size * size));
    box b;
    if (find_ink(ink, h, w, &b)) status = fit_ink(ink, w, b, (uint8_t *)out->v.data, size);
  }
  ct__free(ink, (size_t)n);
  if (status == CT_OK) return ct__own(out);
  ct_release(&out);
  return ct__nil(status, "%s: out of memory", who);
}
