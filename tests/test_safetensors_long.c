/* test_safetensors_long.c - 100,000 damaged archives. */
#include "fuzz_safetensors.h"

static void fuzz(void **unused) {
  (void)unused;
  int loaded = fuzz_safetensors(100000, 2);
  assert_in_range(loaded, 1000, 50000);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(fuzz)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
