/* gzip.h - gzip files for tests. */
#ifndef COTANGENT_TESTS_GZIP_H
#define COTANGENT_TESTS_GZIP_H

#include "testing.h"

#include <libdeflate.h>

/* n bytes as a gzip file into out; returns its size. */
static size_t gzip(unsigned char *out, size_t room, const void *data, size_t n) {
  struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
  assert_non_null(c);
  const size_t size = libdeflate_gzip_compress(c, data, n, out, room);
  libdeflate_free_compressor(c);
  assert_true(size > 0);
  return size;
}

#endif
