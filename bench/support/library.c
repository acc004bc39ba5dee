/* library.c - what only those sides of a benchmark need that use the library. */
#include "bench.h"

#include <cotangent.h>

void bench_check_library(void) {
  if (ct_error_code() != CT_OK) bench_fail("%s", ct_error_message());
}
