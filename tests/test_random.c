/* test_random.c - Philox and what is made of it, against known answers and the laws of chance.
 *
 * The committed words and hashes come from a second implementation in another language. Statistical
 * bounds are far out (4 to 5 standard errors) and the keys are fixed, so the tests are
 * deterministic.
 */
#include "testing.h"

#include "tensor/tensor_internal.h"

enum { MANY = 4099, SAMPLE = 1 << 18 };

static const int32_t the_key[4] = {1, -2, 3, -4};

static ct_view view_of(void *data, ct_dtype dtype, int64_t n) {
  ct_view v = {.data = data};
  ct__view_set(&v, dtype, 1, &n);
  return v;
}

static void *checked_alloc(size_t bytes) {
  void *p = malloc(bytes);
  assert_non_null(p);
  return p;
}

static uint64_t fnv1a(const void *data, size_t n) {
  const unsigned char *c = data;
  uint64_t hash = UINT64_C(1469598103934665603);
  for (size_t i = 0; i < n; i++) hash = (hash ^ c[i]) * UINT64_C(1099511628211);
  return hash;
}

/* ---- Philox ---------------------------------------------------------------------------------- */

static void philox_gives_the_published_answers(void **state) {
  (void)state;
  static const struct {
    uint32_t counter[4], key[2], want[4];
  } known[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (int i = 0; i < CT__COUNT(known); i++) {
    uint32_t out[4];
    ct_philox(known[i].counter, known[i].key, out);
    assert_memory_equal(out, known[i].want, sizeof out);
    memcpy(out, known[i].counter, sizeof out);
    ct_philox(out, known[i].key, out);
    assert_memory_equal(out, known[i].want, sizeof out);
  }
}

static void philox_refuses_null(void **state) {
  (void)state;
  uint32_t word[4] = {1, 2, 3, 4};
  ct_philox(NULL, word, word);
  assert_fails(ct_error_code(), CT_EARG, "philox");
  ct_philox(word, NULL, word);
  assert_fails(ct_error_code(), CT_EARG, "philox");
  ct_philox(word, word, NULL);
  assert_fails(ct_error_code(), CT_EARG, "philox");
  assert_int_equal(word[0], 1);
}

/* ---- the same bits everywhere ---------------------------------------------------------------- */

typedef struct stream {
  const char *name;
  ct_dtype dtype;
  bool normal;
  double a, b;
  uint64_t first[4]; /* bits of the first numbers */
  uint64_t hash;     /* FNV-1a of the first MANY numbers, little-endian */
} stream;

/* clang-format off */
static const stream streams[] = {
    {"uniform f32", CT_F32, false, -1, 1,
     {0x3e7f7670, 0x3f043442, 0x3f3f4bd0, 0x3f007d8a},
     0x8b699d398ff3b3fe},
    {"uniform f64", CT_F64, false, -1, 1,
     {0x3fcfeece49c21a20, 0x3fe7e97a2cb00fb0, 0xbfd099a9cb1a3ff4, 0x3fe7c2e7f5fa3dd4},
     0x2ba22707776a33f8},
    {"uniform i32", CT_I32, false, -10, 100,
     {58, 86, 30, 85},
     0x3b8ad465e71b597d},
    {"wide i32", CT_I32, false, -1.5e9, 1.5e9,
     {0x164e0930, 0x42cf35b8, 0xe8cf49fc, 0x4263717c},
     0xd482b424cd751f19},
    {"normal f32", CT_F32, true, 0, 1,
     {0xbf264b9d, 0xbf3867ae, 0xbebb0e9b, 0xbebd527d},
     0x86a2d107fb393d96},
    {"normal f64", CT_F64, true, 0, 1,
     {0xbf81286fb1833295, 0xbfef09b842ee503d, 0xbfa0e834d757751f, 0xbff68bece7e014fe},
     0x3254e8576db41355},
};
/* clang-format on */

static void draw(const stream *s, const int32_t key[4], void *out, int64_t n) {
  ct_view v = view_of(out, s->dtype, n);
  (s->normal ? ct__random_normal : ct__random_uniform)(key, &v, s->a, s->b);
}

static void numbers_have_the_committed_bits(void **state) {
  (void)state;
  for (int i = 0; i < CT__COUNT(streams); i++) {
    const stream *s = &streams[i];
    const size_t item = ct_dtype_size(s->dtype);
    char *data = checked_alloc(MANY * item);
    draw(s, the_key, data, MANY);
    for (size_t k = 0; k < 4; k++) {
      uint32_t narrow;
      uint64_t bits;
      memcpy(&narrow, data + k * item, sizeof narrow);
      memcpy(&bits, data + k * item, sizeof bits);
      if (item == sizeof narrow) bits = narrow;
      if (bits != s->first[k]) fail_msg("%s %zu is %llx", s->name, k, (unsigned long long)bits);
    }
    const uint64_t hash = fnv1a(data, MANY * item);
    if (hash != s->hash) fail_msg("%s has hash %llx", s->name, (unsigned long long)hash);
    free(data);
  }
}

/* Number i depends on the key and i only: shorter requests are prefixes, and nothing is written
 * behind them. */
static void numbers_do_not_depend_on_how_many_are_asked(void **state) {
  (void)state;
  static const int64_t counts[] = {0, 1, 2, 3, 127, 128, 129, 255, 256, 257, 1000};
  for (int i = 0; i < CT__COUNT(streams); i++) {
    const size_t item = ct_dtype_size(streams[i].dtype);
    char *all = checked_alloc(MANY * item), *some = checked_alloc(MANY * item);
    draw(&streams[i], the_key, all, MANY);
    for (int k = 0; k < CT__COUNT(counts); k++) {
      const size_t bytes = (size_t)counts[k] * item;
      memset(some, 0x5a, MANY * item);
      draw(&streams[i], the_key, some, counts[k]);
      assert_memory_equal(some, all, bytes);
      for (size_t at = bytes; at < MANY * item; at++) assert_int_equal(some[at], 0x5a);
    }
    free(all);
    free(some);
  }
}

static void every_word_of_the_key_matters(void **state) {
  (void)state;
  for (int i = 0; i < CT__COUNT(streams); i++) {
    double base[32], other[32];
    draw(&streams[i], the_key, base, 32);
    for (int word = 0; word < 4; word++) {
      int32_t key[4];
      memcpy(key, the_key, sizeof key);
      key[word] ^= 1;
      draw(&streams[i], key, other, 32);
      assert_memory_not_equal(base, other, 32 * ct_dtype_size(streams[i].dtype));
    }
  }
}

/* ---- uniform --------------------------------------------------------------------------------- */

/* Sum of (observed - expected)^2 / expected for equally likely bins; mean bins-1, variance twice
 * that. */
static double chi_square(const int64_t *count, int bins, int64_t draws) {
  const double expected = (double)draws / bins;
  double sum = 0;
  for (int i = 0; i < bins; i++) {
    const double d = (double)count[i] - expected;
    sum += d * d / expected;
  }
  return sum;
}

static void assert_uniform(const int64_t *count, int bins, int64_t draws) {
  const double spread = sqrt(2.0 * (bins - 1));
  assert_near(chi_square(count, bins, draws), bins - 1, 5 * spread);
}

static void uniforms_fill_their_interval(void **state) {
  (void)state;
  enum { BINS = 128 };
  for (int dtype = CT_F32; dtype <= CT_I32; dtype++) {
    const stream s = {"", (ct_dtype)dtype, false, 0, BINS, {0}, 0};
    void *data = checked_alloc(SAMPLE * sizeof(double));
    draw(&s, the_key, data, SAMPLE);
    int64_t count[BINS] = {0}, pairs[64] = {0};
    int before = 0;
    for (int64_t i = 0; i < SAMPLE; i++) {
      const double x = tensor_value_at(data, s.dtype, i);
      assert_true(x >= 0 && x < BINS);
      count[(int)x]++;
      if (i % 2) pairs[before / 16 * 8 + (int)x / 16]++;
      before = (int)x;
    }
    assert_uniform(count, BINS, SAMPLE);
    assert_uniform(pairs, 64, SAMPLE / 2); /* neighbours are independent */
    free(data);
  }
}

static void uniforms_stay_below_their_upper_bound(void **state) {
  (void)state;
  static const struct {
    double lo, hi;
  } bounds[] = {{0, 1},         {1, 1 + 0x1p-22}, {-3, -2.9999998}, {16777216, 16777220},
                {0.1, 0.7},     {-1e-40, 1e-40},  {-3e38, 3e38},    {0, 0x1p-149},
                {-1e38, -9e37}, {1, 1 + 0x1p-23}};
  float *x = checked_alloc(MANY * sizeof(float));
  double *y = checked_alloc(MANY * sizeof(double));
  for (int k = 0; k < CT__COUNT(bounds); k++) {
    const double lo = bounds[k].lo, hi = bounds[k].hi;
    ct_view vx = view_of(x, CT_F32, MANY), vy = view_of(y, CT_F64, MANY);
    ct__random_uniform(the_key, &vx, lo, hi);
    ct__random_uniform(the_key, &vy, lo, hi);
    for (int i = 0; i < MANY; i++) {
      assert_true(x[i] >= (float)lo && x[i] < (float)hi);
      assert_true(y[i] >= lo && y[i] < hi);
    }
  }
  ct_view v = view_of(y, CT_F64, MANY);
  ct__random_uniform(the_key, &v, -1.7e308, 1.7e308); /* wider than any double */
  double least = 0, most = 0;
  for (int i = 0; i < MANY; i++) {
    assert_true(y[i] >= -1.7e308 && y[i] < 1.7e308);
    least = fmin(least, y[i]);
    most = fmax(most, y[i]);
  }
  assert_true(least < -1.6e308 && most > 1.6e308);
  free(x);
  free(y);
}

static void integers_keep_to_the_whole_numbers_between_the_bounds(void **state) {
  (void)state;
  static const struct {
    double lo, hi;
    int32_t least, most;
  } bounds[] = {{0, 1, 0, 0},
                {-3, 4, -3, 3},
                {0.5, 3.5, 1, 3},
                {INT32_MIN, INT32_MIN + 2.0, INT32_MIN, INT32_MIN + 1},
                {INT32_MAX, 0x1p31, INT32_MAX, INT32_MAX},
                {0x1p31 - 2, 1e300, INT32_MAX - 1, INT32_MAX},
                {5, 5, 5, 5},
                {NAN, INT32_MIN + 1.0, INT32_MIN, INT32_MIN}};
  int32_t *x = checked_alloc(MANY * sizeof(int32_t));
  for (int k = 0; k < CT__COUNT(bounds); k++) {
    ct_view v = view_of(x, CT_I32, MANY);
    ct__random_uniform(the_key, &v, bounds[k].lo, bounds[k].hi);
    int32_t least = x[0], most = x[0];
    for (int i = 1; i < MANY; i++) {
      if (x[i] < least) least = x[i];
      if (x[i] > most) most = x[i];
    }
    assert_int_equal(least, bounds[k].least);
    assert_int_equal(most, bounds[k].most);
  }
  ct_view v = view_of(x, CT_I32, 4); /* all of int32: the high words themselves */
  static const int32_t full[4] = {535744073, 1604708530, -557011863, 1594597335};
  ct__random_uniform(the_key, &v, -0x1p31, 0x1p31);
  assert_memory_equal(x, full, sizeof full);
  free(x);
}

static void other_dtypes_are_left_alone(void **state) {
  (void)state;
  unsigned char byte[3] = {1, 2, 3}, same[3] = {1, 2, 3};
  ct_view v = view_of(byte, CT_U8, 3);
  ct__random_uniform(the_key, &v, 0, 9);
  ct__random_normal(the_key, &v, 0, 9);
  assert_memory_equal(byte, same, 3);
}

/* ---- normal ---------------------------------------------------------------------------------- */

static void normals_are_normal(void **state) {
  (void)state;
  enum { BINS = 64 };
  const double mean = 3, sd = 2, n = SAMPLE;
  for (int dtype = CT_F32; dtype <= CT_F64; dtype++) {
    const stream s = {"", (ct_dtype)dtype, true, mean, sd, {0}, 0};
    void *data = checked_alloc(SAMPLE * sizeof(double));
    draw(&s, the_key, data, SAMPLE);
    double power[5] = {0}, lag[3] = {0}, last[3] = {0};
    int64_t count[BINS] = {0};
    for (int64_t i = 0; i < SAMPLE; i++) {
      const double z = (tensor_value_at(data, s.dtype, i) - mean) / sd;
      double p = 1;
      for (int k = 1; k <= 4; k++) power[k] += (p *= z) / n;
      for (int k = 0; k < 3; k++) lag[k] += z * last[k] / n;
      last[2] = last[1], last[1] = last[0], last[0] = z;
      const int bin = (int)(0.5 * erfc(-z / sqrt(2)) * BINS);
      count[bin < BINS ? bin : BINS - 1]++;
    }
    const double error = 5 / sqrt(n); /* the k-th power has variance 1, 2, 15, 96 */
    assert_near(power[1], 0, error);
    assert_near(power[2], 1, error * sqrt(2));
    assert_near(power[3], 0, error * sqrt(15));
    assert_near(power[4], 3, error * sqrt(96));
    for (int k = 0; k < 3; k++) assert_near(lag[k], 0, error);
    assert_uniform(count, BINS, SAMPLE);
    free(data);
  }
}

/* Box-Muller again, with libm and by the textbook. */
static void normals_agree_with_libm(void **state) {
  (void)state;
  enum { N = 20000 };
  const double turn = 6.283185307179586;
  double *x = checked_alloc(N * sizeof(double));
  ct_view v = view_of(x, CT_F64, N);
  ct__random_normal(the_key, &v, 0, 1);
  for (uint32_t i = 0; i < N; i += 2) {
    const uint32_t counter[4] = {i / 2, 0, (uint32_t)the_key[2], (uint32_t)the_key[3]};
    uint32_t w[4];
    ct_philox(counter, (const uint32_t[2]){(uint32_t)the_key[0], (uint32_t)the_key[1]}, w);
    const uint64_t a = (uint64_t)w[0] << 32 | w[1], b = (uint64_t)w[2] << 32 | w[3];
    const double radius = sqrt(-2 * log((double)((a >> 11) + 1) * 0x1p-53));
    const double angle = turn * ((double)(b >> 11) * 0x1p-53) - turn / 8;
    assert_near(x[i], radius * cos(angle), 2e-15 * radius);
    assert_near(x[i + 1], radius * sin(angle), 2e-15 * radius);
  }
  free(x);
}

/* ---- permutation ----------------------------------------------------------------------------- */

static void a_permutation_is_one(void **state) {
  (void)state;
  static const int32_t ten[10] = {6, 8, 4, 9, 1, 3, 5, 0, 7, 2};
  int32_t *p = checked_alloc(MANY * sizeof(int32_t));
  bool *seen = checked_alloc(MANY * sizeof(bool));
  for (int64_t n = 0; n <= MANY; n = n < 300 ? n + 1 : n + 1279) {
    memset(seen, 0, MANY * sizeof(bool));
    ct__random_permutation(the_key, p, n);
    for (int64_t i = 0; i < n; i++) {
      assert_true(p[i] >= 0 && p[i] < n);
      assert_false(seen[p[i]]);
      seen[p[i]] = true;
    }
  }
  ct__random_permutation(the_key, p, 10);
  assert_memory_equal(p, ten, sizeof ten);
  ct__random_permutation(the_key, p, MANY);
  assert_true(fnv1a(p, MANY * sizeof(int32_t)) == 0x05b51814a6900eb8);
  free(p);
  free(seen);
}

static void permutations_are_equally_likely(void **state) {
  (void)state;
  enum { N = 4, ORDERS = 24, TIMES = 24000 };
  int64_t count[ORDERS] = {0};
  for (int64_t t = 0; t < TIMES; t++) {
    int32_t key[4], p[N];
    ct__key_fold(the_key, t, key);
    ct__random_permutation(key, p, N);
    int rank = 0;
    for (int i = 0; i < N; i++) {
      int smaller = 0;
      for (int j = i + 1; j < N; j++) smaller += p[j] < p[i];
      rank = rank * (N - i) + smaller;
    }
    count[rank]++;
  }
  assert_uniform(count, ORDERS, TIMES);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static int compare_keys(const void *a, const void *b) { return memcmp(a, b, 4 * sizeof(int32_t)); }

static void children_differ(void **state) {
  (void)state;
  enum { N = 10000 };
  static const int32_t first[4] = {0x5bd3210d, 0x3f7a3dfe, 0x1e595e1c, (int32_t)0x8a0be78d};
  static const int32_t minus[4] = {0x769b91f1, 0x7e4b5d07, (int32_t)0xfef6d1f1,
                                   (int32_t)0xf4f1e804};
  int32_t(*child)[4] = checked_alloc(N * sizeof *child);
  for (int64_t i = 0; i < N / 2; i++) {
    ct__key_fold(the_key, i, child[2 * i]);
    ct__key_fold(child[2 * i], i, child[2 * i + 1]); /* and a grandchild */
  }
  assert_memory_equal(child[0], first, sizeof first);
  qsort(child, N, sizeof *child, compare_keys);
  for (int i = 1; i < N; i++) assert_memory_not_equal(child[i - 1], child[i], sizeof *child);
  free(child);
  int32_t out[4];
  ct__key_fold(the_key, -1, out);
  assert_memory_equal(out, minus, sizeof minus);
  memcpy(out, the_key, sizeof out);
  ct__key_fold(out, 0, out); /* in place */
  assert_memory_equal(out, first, sizeof first);
}

/* The first numbers of many children are a uniform sample, and parent and child are uncorrelated.
 */
static void streams_of_children_are_independent(void **state) {
  (void)state;
  enum { BINS = 64, N = 4096 };
  const stream s = {"", CT_F64, true, 0, 1, {0}, 0};
  double *parent = checked_alloc(N * sizeof(double)), *child = checked_alloc(N * sizeof(double));
  int64_t count[BINS] = {0};
  draw(&s, the_key, parent, N);
  for (int64_t n = 0; n < N; n++) {
    int32_t key[4], x;
    ct__key_fold(the_key, n, key);
    ct_view v = view_of(&x, CT_I32, 1);
    ct__random_uniform(key, &v, 0, BINS);
    count[x]++;
    if (n % 256) continue;
    double product = 0;
    draw(&s, key, child, N);
    for (int i = 0; i < N; i++) product += parent[i] * child[i];
    assert_near(product, 0, 5 * sqrt(N));
  }
  assert_uniform(count, BINS, N);
  free(parent);
  free(child);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(philox_gives_the_published_answers),
      cmocka_unit_test(philox_refuses_null),
      cmocka_unit_test(numbers_have_the_committed_bits),
      cmocka_unit_test(numbers_do_not_depend_on_how_many_are_asked),
      cmocka_unit_test(every_word_of_the_key_matters),
      cmocka_unit_test(uniforms_fill_their_interval),
      cmocka_unit_test(uniforms_stay_below_their_upper_bound),
      cmocka_unit_test(integers_keep_to_the_whole_numbers_between_the_bounds),
      cmocka_unit_test(other_dtypes_are_left_alone),
      cmocka_unit_test(normals_are_normal),
      cmocka_unit_test(normals_agree_with_libm),
      cmocka_unit_test(a_permutation_is_one),
      cmocka_unit_test(permutations_are_equally_likely),
      cmocka_unit_test(children_differ),
      cmocka_unit_test(streams_of_children_are_independent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
