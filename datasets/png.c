/* png.c - writing PNG: three chunks around one zlib stream.
 *
 * Our own, because stb_image_write asserts when memory runs out.
 */
#include "datasets_internal.h"

#include <libdeflate.h>

enum {
  LIMIT = 1 << 14,
  AROUND = 8 + (12 + 13) + 12 + 12
}; /* signature, IHDR, IDAT's frame, IEND */

static unsigned char *put_u32(unsigned char *p, uint32_t value) {
  for (int i = 0; i < 4; i++) p[i] = (unsigned char)(value >> (24 - 8 * i));
  return p + 4;
}

/* Frames n bytes that lie at p + 8 already; returns the end of the chunk. */
static unsigned char *put_chunk(unsigned char *p, const char type[5], size_t n) {
  put_u32(p, (uint32_t)n);
  memcpy(p + 4, type, 4);
  return put_u32(p + 8 + n, libdeflate_crc32(0, p + 4, n + 4));
}

/* Rows, each after its filter byte: 2, "up", which suits smooth pictures; none on the first row. */
static void filter_rows(const unsigned char *p, unsigned char *out, int64_t h, size_t row) {
  for (int64_t i = 0; i < h; i++, p += row) {
    *out++ = i > 0 ? 2 : 0;
    for (size_t j = 0; j < row; j++) *out++ = (unsigned char)(p[j] - (i > 0 ? *(p + j - row) : 0));
  }
}

/* The file in out, whose room is AROUND + packed; its size into *size. */
static void encode(struct libdeflate_compressor *c, const ct_view *v, const unsigned char *rows,
                   size_t raw, unsigned char *out, size_t packed, size_t *size) {
  unsigned char *p = out;
  memcpy(p, "\x89PNG\r\n\x1a\n", 8);
  p += 8;
  put_u32(p + 8, (uint32_t)v->dim[1]);
  put_u32(p + 12, (uint32_t)v->dim[0]);
  const unsigned char format[5] = {8, v->ndim == 3 ? 2 : 0, 0, 0,
                                   0}; /* bits, colour, the usual rest */
  memcpy(p + 16, format, sizeof format);
  p = put_chunk(p, "IHDR", 13);
  p = put_chunk(p, "IDAT", libdeflate_zlib_compress(c, rows, raw, p + 8, packed));
  p = put_chunk(p, "IEND", 0);
  *size = (size_t)(p - out);
}

static ct_status write_png(const char *who, const char *path, const ct_view *v) {
  enum { LEVEL = 6 };
  const size_t row = (size_t)(v->dim[1] * (v->ndim == 3 ? 3 : 1)),
               raw = (size_t)v->dim[0] * (row + 1);
  struct libdeflate_compressor *c = libdeflate_alloc_compressor(LEVEL);
  const size_t packed = libdeflate_zlib_compress_bound(c, raw), bytes = raw + AROUND + packed;
  unsigned char *rows = c ? ct__alloc(bytes) : NULL;
  ct_status status;
  if (rows) {
    unsigned char *file = rows + raw;
    size_t size;
    filter_rows((const unsigned char *)v->data, rows, v->dim[0], row);
    encode(c, v, rows, raw, file, packed, &size);
    status = ct__write_file(who, path, (const void *const[]){file}, &size, 1);
    ct__free(rows, bytes);
  } else {
    status = ct__fail_status(CT_ENOMEM, "%s: out of memory", who);
  }
  libdeflate_free_compressor(c);
  return status;
}

ct_status ct_image_write_png(const char *path, const ct_tensor *image) {
  static const char who[] = "ct_image_write_png";
  ct_status status = ct__check_value(who, image);
  if (status != CT_OK) return status;
  if (!path || !*path) return ct__fail_status(CT_EARG, "%s: no path given", who);
  const ct_view *v = &image->v;
  if (v->dtype != CT_U8)
    return ct__fail_status(CT_EDTYPE, "%s: want u8, got %s", who, ct_dtype_name(v->dtype));
  char text[CT__SHAPE_TEXT];
  ct__shape_text(text, v->ndim, v->dim);
  if (!(v->ndim == 2 || (v->ndim == 3 && v->dim[2] == 3)) || v->size == 0 || v->dim[0] > LIMIT ||
      v->dim[1] > LIMIT)
    return ct__fail_status(CT_ESHAPE, "%s: want (h,w) or (h,w,3) of at most %d each, got %s", who,
                           LIMIT, text);
  if (v->contiguous) return write_png(who, path, v);
  ct_tensor *packed = ct__dataset_tensor(who, CT_U8, v->ndim, v->dim);
  if (!packed) return ct_error_code();
  ct__copy(v, &packed->v);
  status = write_png(who, path, &packed->v);
  ct_release(&packed);
  return status;
}
