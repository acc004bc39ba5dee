/* test_version.c - the version of the library and of its header are the same. */
#include "testing.h"

static void version_is_that_of_the_header(void **state) {
  (void)state;
  char want[32];
  snprintf(want, sizeof want, "%d.%d.%d", CT_VERSION_MAJOR, CT_VERSION_MINOR, CT_VERSION_PATCH);
  assert_string_equal(ct_version(), want);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(version_is_that_of_the_header)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
