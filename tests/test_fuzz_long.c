/* test_fuzz_long.c - the fuzzing campaign for an evening. */
#include "fuzz_readers.h"

static void readers(void **state) {
  (void)state;
  fuzz_readers(100000);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(readers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
