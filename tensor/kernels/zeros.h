/* zeros.h - c_i += f_i b leaves row i as it is where f_i is 0, if b is finite: which rows are left,
 * for the kernels of one float type T. */

static inline bool all_finite(int64_t n, const T *b) {
  int others = 0;
  for (int64_t j = 0; j < n; j++) others |= b[j] * 0 != 0;
  return !others;
}

static inline int count_zeros(int n, const T *f, int64_t step) {
  int zeros = 0;
  if (step == 1)
    for (int i = 0; i < n; i++) zeros += f[i] == 0;
  else
    for (int i = 0; i < n; i++) zeros += f[i * step] == 0;
  return zeros;
}

/* Those of n rows whose number is not 0, or all, and how many: a list costs less than guessing,
 * often wrongly, whether the next row is one of them. */
INLINE int list_rows(bool all, int n, const T *f, int64_t step, int *row) {
  int listed = 0;
  for (int i = 0; i < n && all; i++) row[listed++] = i;
  for (int i = 0; i < n && !all; i++, f += step) {
    row[listed] = i;
    listed += *f != 0;
  }
  return listed;
}
