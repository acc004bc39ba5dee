/* random.c - counter-based random numbers: Philox 4x32-10 and what is made of its words.
 *
 * A key is four words. Words 0 and 1 are the Philox key, words 2 and 3 the upper half of its
 * 128-bit counter; the lower half counts the blocks of four words that the stream gives. So two
 * different keys never read the same (key, counter) pair, and each stream has 2^64 blocks.
 *
 * The numbers are bit-equal for every compiler and optimisation level: only + - * / and sqrt, which
 * IEEE 754 rounds correctly, no libm besides, and no fused multiply-add (compile with
 * -ffp-contract=off).
 */
#include "pool.h"

#include <math.h>

/* ---- Philox ---------------------------------------------------------------------------------- */

#define PHILOX_ROUNDS 10
#define PHILOX_M0     0xD2511F53u
#define PHILOX_M1     0xCD9E8D57u
#define PHILOX_W0     0x9E3779B9u /* golden ratio */
#define PHILOX_W1     0xBB67AE85u /* sqrt(3) - 1 */

static inline void philox(uint32_t c[4], uint32_t k0, uint32_t k1) {
  for (int round = 0; round < PHILOX_ROUNDS; round++) {
    uint64_t p0 = (uint64_t)PHILOX_M0 * c[0], p1 = (uint64_t)PHILOX_M1 * c[2];
    c[0] = (uint32_t)(p1 >> 32) ^ c[1] ^ k0;
    c[2] = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
    c[1] = (uint32_t)p1;
    c[3] = (uint32_t)p0;
    k0 += PHILOX_W0;
    k1 += PHILOX_W1;
  }
}

void ct_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  if (!counter || !key || !out) {
    ct__fail(CT_EARG, "philox: counter, key and out must not be NULL");
    return;
  }
  uint32_t c[4];
  memcpy(c, counter, sizeof c);
  philox(c, key[0], key[1]);
  memcpy(out, c, sizeof c);
}

/* The words of LANES successive blocks: word[k][j] is word k of block j. Transposed, so that loops
 * over j vectorise. */
enum { LANES = 64 };
typedef struct batch {
  uint32_t word[4][LANES];
} batch;

static void batch_make(batch *b, const int32_t key[4], uint64_t first_block) {
  const uint32_t k0 = (uint32_t)key[0], k1 = (uint32_t)key[1];
  const uint32_t c2 = (uint32_t)key[2], c3 = (uint32_t)key[3];
  for (uint32_t j = 0; j < LANES; j++) {
    uint64_t block = first_block + j;
    uint32_t c[4] = {(uint32_t)block, (uint32_t)(block >> 32), c2, c3};
    philox(c, k0, k1);
    for (int k = 0; k < 4; k++) b->word[k][j] = c[k];
  }
}

/* A child is a Philox block of its parent, numbered n. Philox is a bijection of the counter, so the
 * children of one key all differ, and different keys are disjoint streams; children of different
 * parents are equal with probability 2^-128. The salt keeps the children away from the blocks that
 * the parent's own stream gives out as numbers. */
void ct__key_fold(const int32_t key[4], int64_t n, int32_t out[4]) {
  const uint32_t salt = 0x666f6c64u; /* "fold" */
  uint32_t c[4] = {(uint32_t)n, (uint32_t)((uint64_t)n >> 32), (uint32_t)key[2], (uint32_t)key[3]};
  philox(c, (uint32_t)key[0] ^ salt, (uint32_t)key[1]);
  memcpy(out, c, sizeof c);
}

/* ---- the driver ------------------------------------------------------------------------------ */

/* What a distribution was asked for, in double. */
typedef struct params {
  double a, b;
} params;

/* Turns a batch into LANES * per_block numbers. */
typedef struct generator {
  void (*make)(const batch *b, const params *p, void *out);
  int per_block;
} generator;

/* A stream cut into batches. */
typedef struct stream {
  const generator *g;
  const int32_t *key;
  const params *p;
  const ct_view *out;
} stream;

static void generate_batches(void *context, int64_t from, int64_t to) {
  const stream *s = context;
  const int64_t full = (int64_t)LANES * s->g->per_block, size = s->out->size;
  const size_t item = ct_dtype_size(s->out->dtype);
  union {
    float f[4 * LANES];
    double d[2 * LANES];
    int32_t i[2 * LANES];
  } tail;
  for (int64_t i = from; i < to; i++) {
    batch b;
    batch_make(&b, s->key, (uint64_t)i * LANES);
    char *at = s->out->data + (size_t)(i * full) * item;
    if (size - i * full >= full) {
      s->g->make(&b, s->p, at);
    } else {
      s->g->make(&b, s->p, &tail);
      memcpy(at, &tail, (size_t)(size - i * full) * item);
    }
  }
}

static void generate(const generator *g, const int32_t key[4], const params *p, ct_view *out) {
  enum { WEIGHT = 1 << 14 }; /* of a batch, which takes about a microsecond */
  if (!g->make) return;
  const int64_t full = (int64_t)LANES * g->per_block;
  ct__parallel_range(out->size / full + (out->size % full != 0), WEIGHT, 1, generate_batches,
                     &(stream){g, key, p, out});
}

/* ---- uniform --------------------------------------------------------------------------------- */

/* 53 bits of two words, in [0, 1). Every step is exact. */
static inline double unit(uint32_t high, uint32_t low) {
  return (double)high * 0x1p-32 + (double)(low >> 11) * 0x1p-53;
}

/* floor(w * bound / 2^64) for the 64-bit w of two words and bound <= 2^32, without a 128-bit
 * product. Each result has probability 1/bound to within 2^-64: the bias shows after about bound *
 * 2^64 draws, that is never. */
static inline uint64_t below(uint32_t high, uint32_t low, uint64_t bound) {
  return (high * bound + ((low * bound) >> 32)) >> 32;
}

/* The bounds are first rounded to the dtype. Rounding may push a number up to hi, never below lo:
 * hi becomes its predecessor. In double the width of two floats cannot overflow. */
static void uniform_f32(const batch *b, const params *p, void *out) {
  float *y = out;
  const float lo = (float)p->a, last = nextafterf((float)p->b, lo);
  const double width = (double)(float)p->b - (double)lo;
  for (int j = 0; j < LANES; j++) {
    for (int k = 0; k < 4; k++) {
      float v = (float)((double)lo + width * ((double)(b->word[k][j] >> 8) * 0x1p-24));
      y[4 * j + k] = v < last ? v : last;
    }
  }
}

static void uniform_f64(const batch *b, const params *p, void *out) {
  double *y = out;
  const double last = nextafter(p->b, p->a);
  const double unscale = isfinite(p->b - p->a) ? 1 : 2; /* the width may overflow: work on halves */
  const double lo = p->a / unscale, width = p->b / unscale - lo;
  for (int j = 0; j < LANES; j++) {
    for (int k = 0; k < 2; k++) {
      double v = (lo + width * unit(b->word[2 * k][j], b->word[2 * k + 1][j])) * unscale;
      y[2 * j + k] = v < last ? v : last;
    }
  }
}

/* The smallest whole number >= x within [-2^31, 2^31]; -2^31 for NaN. */
static int64_t ceil_i32(double x) {
  return x > -0x1p31 ? (int64_t)ceil(fmin(x, 0x1p31)) : -INT64_C(0x80000000);
}

static void uniform_i32(const batch *b, const params *p, void *out) {
  int32_t *y = out;
  const int64_t lo = ceil_i32(p->a), hi = ceil_i32(p->b);
  const uint64_t count = hi > lo ? (uint64_t)(hi - lo) : 0;
  const int64_t first = lo < INT32_MAX ? lo : INT32_MAX;
  for (int j = 0; j < LANES; j++)
    for (int k = 0; k < 2; k++)
      y[2 * j + k] =
          (int32_t)(first + (int64_t)below(b->word[2 * k][j], b->word[2 * k + 1][j], count));
}

void ct__random_uniform(const int32_t key[4], ct_view *out, double lo, double hi) {
  static const generator by_dtype[CT_DTYPES] = {
      [CT_F32] = {uniform_f32, 4},
      [CT_F64] = {uniform_f64, 2},
      [CT_I32] = {uniform_i32, 2},
  };
  generate(&by_dtype[out->dtype], key, &(params){lo, hi}, out);
}

/* ---- normal ---------------------------------------------------------------------------------- */

static inline uint64_t to_bits(double x) {
  uint64_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}

static inline double from_bits(uint64_t b) {
  double x;
  memcpy(&x, &b, sizeof x);
  return x;
}

/* log x for normal x > 0, within 2 units in the last place: x = 2^k m with m in [sqrt(1/2),
 * sqrt(2)), then log m = 2 artanh s, s = (m-1)/(m+1), by its series, whose terms shrink by s^2 <=
 * 0.0295. */
static inline double log_plain(double x) {
  const uint64_t one = to_bits(1.0), root = UINT64_C(0x3fe6a09e667f3bcd); /* 1, sqrt(1/2) */
  const uint64_t b = to_bits(x) + (one - root);
  const double m = from_bits((b & UINT64_C(0x000fffffffffffff)) + root);
  /* 2^52 with the exponent field of b as its last bits is that field as a double, plus 2^52 */
  const double k = from_bits(to_bits(0x1p52) | (b >> 52)) - (0x1p52 + 1023);
  const double s = (m - 1) / (m + 1), z = s * s;
  double p = 2.0 / 21;
  p = p * z + 2.0 / 19;
  p = p * z + 2.0 / 17;
  p = p * z + 2.0 / 15;
  p = p * z + 2.0 / 13;
  p = p * z + 2.0 / 11;
  p = p * z + 2.0 / 9;
  p = p * z + 2.0 / 7;
  p = p * z + 2.0 / 5;
  p = p * z + 2.0 / 3;
  return k * 0x1.62e42fefa39efp-1 + (s * z * p + 2 * s); /* k log 2 + log m */
}

/* sin x and cos x for |x| <= pi/4, within 1 unit in the last place, by their series. */
static inline double sin_plain(double x) {
  const double z = x * x;
  double p = -1.0 / 1307674368000; /* 15! */
  p = p * z + 1.0 / 6227020800;
  p = p * z - 1.0 / 39916800;
  p = p * z + 1.0 / 362880;
  p = p * z - 1.0 / 5040;
  p = p * z + 1.0 / 120;
  p = p * z - 1.0 / 6;
  return x * z * p + x;
}

static inline double cos_plain(double x) {
  const double z = x * x;
  double p = 1.0 / 20922789888000; /* 16! */
  p = p * z - 1.0 / 87178291200;
  p = p * z + 1.0 / 479001600;
  p = p * z - 1.0 / 3628800;
  p = p * z + 1.0 / 40320;
  p = p * z - 1.0 / 720;
  p = p * z + 1.0 / 24;
  return z * z * p + (1 - 0.5 * z);
}

/* Box-Muller: two independent standard normals from a radius word pair and an angle word pair. The
 * radius takes a uniform in (0, 1]; the top two bits of the angle are its quadrant, the other 51 a
 * point in the middle of their step within it. Both numbers are right to 4 units in their
 * last place. */
typedef struct pair {
  double x, y;
} pair;

static inline pair box_muller(uint32_t r_high, uint32_t r_low, uint32_t a_high, uint32_t a_low) {
  const double radius = sqrt(-2 * log_plain(unit(r_high, r_low) + 0x1p-53));
  const double turn = unit(a_high << 2, 0) + ((double)(a_low >> 11) * 0x1p-51 + 0x1p-52) - 0.5;
  const double angle = turn * 0x1.921fb54442d18p+0; /* pi/2 */
  const uint64_t sine = to_bits(radius * sin_plain(angle));
  const uint64_t cosine = to_bits(radius * cos_plain(angle));
  /* a quarter turn maps (x, y) to (-y, x); all by masks, which vectorise */
  const uint64_t odd = 0 - (uint64_t)((a_high >> 30) & 1), swap = (sine ^ cosine) & odd;
  const uint64_t half = (uint64_t)(a_high >> 31) << 63;
  const uint64_t x = cosine ^ swap ^ half ^ (odd << 63), y = sine ^ swap ^ half;
  return (pair){from_bits(x), from_bits(y)};
}

/* One word for each of radius and angle, the missing low word at its middle; computed in double,
 * rounded once. The largest magnitude is 6.76. */
static void normal_f32(const batch *b, const params *p, void *out) {
  const uint32_t middle = 0x80000000u;
  float *y = out;
  for (int k = 0; k < 4; k += 2) {
    for (int j = 0; j < LANES; j++) {
      pair z = box_muller(b->word[k][j], middle, b->word[k + 1][j], middle);
      y[4 * j + k] = (float)(p->a + p->b * z.x);
      y[4 * j + k + 1] = (float)(p->a + p->b * z.y);
    }
  }
}

/* The largest magnitude is 8.57. */
static void normal_f64(const batch *b, const params *p, void *out) {
  double *y = out;
  for (int j = 0; j < LANES; j++) {
    pair z = box_muller(b->word[0][j], b->word[1][j], b->word[2][j], b->word[3][j]);
    y[2 * j] = p->a + p->b * z.x;
    y[2 * j + 1] = p->a + p->b * z.y;
  }
}

void ct__random_normal(const int32_t key[4], ct_view *out, double mean, double sd) {
  static const generator by_dtype[CT_DTYPES] = {
      [CT_F32] = {normal_f32, 4},
      [CT_F64] = {normal_f64, 2},
  };
  generate(&by_dtype[out->dtype], key, &(params){mean, sd}, out);
}

/* ---- permutation ----------------------------------------------------------------------------- */

/* Fisher and Yates: place i gets one of the n - i numbers that are left, chosen by draw i. */
void ct__random_permutation(const int32_t key[4], int32_t *out, int64_t n) {
  batch b;
  for (int64_t i = 0; i < n; i++) out[i] = (int32_t)i;
  for (int64_t i = 0; i < n; i++) {
    int64_t draw = i % (2 * LANES), lane = draw / 2;
    if (draw == 0) batch_make(&b, key, (uint64_t)(i / 2));
    int k = 2 * (int)(draw % 2);
    int64_t j = i + (int64_t)below(b.word[k][lane], b.word[k + 1][lane], (uint64_t)(n - i));
    int32_t other = out[j];
    out[j] = out[i];
    out[i] = other;
  }
}
