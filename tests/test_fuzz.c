/* test_fuzz.c - a short fuzzing campaign for every run of the tests. */
#include "fuzz_readers.h"

static void readers(void **state) {
  (void)state;
  fuzz_readers(1000);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(readers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
