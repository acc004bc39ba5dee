/* test_images.c - PNG and JPEG, resizing by area, the look of MNIST, and folders of images. */
#include "folder.h"

#include "datasets/datasets.h"
#include "sample_images.h"

#include <libdeflate.h>
#include <sys/stat.h>

static void expect_bytes(const ct_tensor *t, ct_shape shape, const uint8_t *want) {
  assert_false(ct_is_nil(t));
  assert_int_equal(ct_dtype_of(t), CT_U8);
  assert_true(ct_shape_equal(ct_shape_of(t), shape));
  assert_memory_equal(ct_data(t), want, (size_t)ct_size(t));
}

/* ---- files ----------------------------------------------------------------------------------- */

static void png_round_trips(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  static uint8_t pixels[37 * 53 * 3];
  for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * i / 7 + i);
  const char *path = path_of("a.png");
  assert_ok(ct_image_write_png(path, ct_from(CT_U8, CT_SHAPE(37, 53), pixels)));
  expect_bytes(ct_image_load(path, 1), CT_SHAPE(37, 53), pixels);
  assert_ok(ct_image_write_png(path, ct_from(CT_U8, CT_SHAPE(37, 53, 3), pixels)));
  expect_bytes(ct_image_load(path, 3), CT_SHAPE(37, 53, 3), pixels);
  assert_ok(ct_image_write_png(path, ct_from(CT_U8, CT_SHAPE(1, 1), pixels)));
  expect_bytes(ct_image_load(path, 1), CT_SHAPE(1, 1), pixels);
  uint8_t turned[6] = {1, 2, 3, 4, 5, 6};
  const int64_t stride[2] = {1, 3};
  assert_ok(ct_image_write_png(
      path, ct_wrap(CT_U8, CT_SHAPE(3, 2), turned, (ct_wrap_opts){.stride = stride})));
  expect_bytes(ct_image_load(path, 1), CT_SHAPE(3, 2), (uint8_t[]){1, 4, 2, 5, 3, 6});
  ct_scope_end(s);
}

static void loads(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  double v[20 * 18 * 3];
  const ct_tensor *t = ct_image_load(put("a.jpg", grey_jpeg, sizeof grey_jpeg), 1);
  assert_true(ct_shape_equal(ct_shape_of(t), CT_SHAPE(16, 24)));
  tensor_values(t, v, 16 * 24);
  for (int i = 0; i < 16 * 24; i++) assert_near(v[i], 200, 1);
  t = ct_image_load(put("a.jpg", colour_jpeg, sizeof colour_jpeg), 3);
  assert_true(ct_shape_equal(ct_shape_of(t), CT_SHAPE(18, 20, 3)));
  tensor_values(t, v, 20 * 18 * 3);
  assert_near(v[(9 * 20 + 10) * 3], 10 * 12, 40); /* red grows to the right, green downwards */
  assert_near(v[(9 * 20 + 10) * 3 + 1], 9 * 14, 40);
  /* on white paper */
  expect_bytes(ct_image_load(put("a.png", ink_png, sizeof ink_png), 1), CT_SHAPE(1, 3),
               (uint8_t[]){0, 255, 127});
  t = ct_image_load(put("a.png", interlaced_png, sizeof interlaced_png), 3);
  tensor_values(t, v, 5 * 5 * 3);
  for (int i = 0; i < 25; i++) {
    assert_near(v[3 * i], i % 5 * 10000 / 256, 0);
    assert_near(v[3 * i + 1], i / 5 * 10000 / 256, 0);
  }
  t = ct_image_load(put("a.png", palette_png, sizeof palette_png), 1);
  assert_true(ct_shape_equal(ct_shape_of(t), CT_SHAPE(18, 20)));
  ct_scope_end(s);
}

static void refuses(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  static const char gif[] = "GIF89a, not one of the two formats";
  assert_nil(ct_image_load(put("bad.png", gif, sizeof gif), 1), CT_EFORMAT, "bad.png");
  /* a small file that claims to be huge is refused before room is made */
  unsigned char claim[sizeof palette_png];
  memcpy(claim, palette_png, sizeof claim);
  memcpy(claim + 16, "\0\0\x3f\xff\0\0\x3f\xff", 8);
  assert_nil(ct_image_load(put("bad.png", claim, sizeof claim), 1), CT_EFORMAT, "16383 x 16383");
  memcpy(claim + 16, "\x7f\xff\xff\xff\x7f\xff\xff\xff", 8);
  assert_nil(ct_image_load(put("bad.png", claim, sizeof claim), 1), CT_EFORMAT, "bad.png");
  assert_nil(ct_image_load(path_of("missing"), 1), CT_EIO, "missing");
  assert_nil(ct_image_load(folder, 1), CT_EIO, folder);
  assert_nil(ct_image_load(NULL, 1), CT_EARG, "path");
  assert_nil(ct_image_load(last_path, 2), CT_EARG, "channels");
  ct_tensor *image = ct_zeros(CT_U8, CT_SHAPE(4, 4));
  assert_fails(ct_image_write_png(NULL, image), CT_EARG, "path");
  assert_fails(ct_image_write_png(path_of("no/folder"), image), CT_EIO, "no/folder");
  assert_fails(ct_image_write_png(last_path, NULL), CT_EARG, "NULL");
  assert_fails(ct_image_write_png(last_path, ct_zeros(CT_F32, CT_SHAPE(4, 4))), CT_EDTYPE, "f32");
  assert_fails(ct_image_write_png(last_path, ct_zeros(CT_U8, CT_SHAPE(4, 4, 2))), CT_ESHAPE,
               "(4,4,2)");
  assert_fails(ct_image_write_png(last_path, ct_zeros(CT_U8, CT_SHAPE(0, 4))), CT_ESHAPE, "(0,4)");
  assert_fails(ct_image_write_png(last_path, ct_zeros(CT_U8, CT_SHAPE(1, 20000))), CT_ESHAPE,
               "16384");
  ct_scope_end(s);
}

/* Found by fuzzing: stb_image 2.27 alone writes and reads outside its tables here. */
static void survives(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  unsigned char many[24 + 4080] = {0xff, 0xd8, 0xff, 0xc4, 0x10, 0x03, 0};
  memset(many + 7, 255, 16); /* 4080 codes, 256 at most can be */
  assert_nil(ct_image_load(put("a.jpg", many, sizeof many), 1), CT_EFORMAT, "a.jpg");
  unsigned char bare[sizeof colour_jpeg];
  memcpy(bare, colour_jpeg, sizeof bare);
  for (size_t i = 0; i + 1 < sizeof bare; i++) /* the tables become comments */
    if (bare[i] == 0xff && bare[i + 1] == 0xc4) bare[i + 1] = 0xfe;
  const ct_tensor *t = ct_image_load(put("a.jpg", bare, sizeof bare), 3);
  assert_true(!ct_is_nil(t) || ct_error_code() == CT_EFORMAT);
  ct_error_clear();
  /* 2 x 1 with a palette of one colour, and a pixel of colour 5 */
  unsigned char png[128] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\2\0\0\0\1\x08\3\0\0\0sum."
                           "\0\0\0\3PLTE\x09\x09\x09sum.\0\0\0\0IDAT";
  const size_t start = 8 + 25 + 15 + 8;
  struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
  assert_non_null(c);
  const size_t packed = libdeflate_zlib_compress(c, "\0\0\5", 3, png + start, sizeof png - start);
  libdeflate_free_compressor(c);
  assert_true(packed > 0);
  png[start - 5] = (unsigned char)packed;
  memcpy(png + start + packed, "sum.\0\0\0\0IENDsum.", 16);
  expect_bytes(ct_image_load(put("a.png", png, start + packed + 16), 1), CT_SHAPE(1, 2),
               (uint8_t[]){9, 0});
  ct_scope_end(s);
}

/* ---- resizing and the look of MNIST ---------------------------------------------------------- */

static void resizes(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  const uint8_t grid[12] = {0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110};
  const ct_tensor *t = ct_from(CT_U8, CT_SHAPE(2, 6), grid);
  expect_bytes(ct_image_resize(t, 1, 3), CT_SHAPE(1, 3), (uint8_t[]){35, 55, 75});
  expect_bytes(ct_image_resize(t, 2, 4), CT_SHAPE(2, 4),
               (uint8_t[]){3, 17, 33, 47, 63, 77, 93, 107});
  expect_bytes(ct_image_resize(t, 2, 6), CT_SHAPE(2, 6), grid);
  expect_bytes(ct_image_resize(ct_from(CT_U8, CT_SHAPE(1, 2), grid + 1), 2, 4), CT_SHAPE(2, 4),
               (uint8_t[]){10, 10, 20, 20, 10, 10, 20, 20});
  expect_bytes(ct_image_resize(ct_from(CT_U8, CT_SHAPE(1, 2, 3), grid), 1, 1), CT_SHAPE(1, 1, 3),
               (uint8_t[]){15, 25, 35});
  assert_nil(ct_image_resize(t, 0, 1), CT_EARG, "0 x 1");
  assert_nil(ct_image_resize(t, 1, 1 << 20), CT_EARG, "1048576");
  assert_nil(ct_image_resize(NULL, 1, 1), CT_EARG, "NULL");
  assert_nil(ct_image_resize(ct_zeros(CT_U8, CT_SHAPE(4)), 1, 1), CT_ESHAPE, "(4)");
  assert_nil(ct_image_resize(ct_zeros(CT_F32, CT_SHAPE(4, 4)), 1, 1), CT_EDTYPE, "f32");
  ct_scope_end(s);
}

/* Where the mass is, and the box of what is not zero. */
typedef struct extent {
  double y, x;
  int top, left, bottom, right, brightest;
} extent;

static extent measure(const ct_tensor *t) {
  const int h = (int)ct_dim(t, 0), w = (int)ct_dim(t, 1);
  const uint8_t *p = ct_data(t);
  extent e = {0, 0, h, w, -1, -1, 0};
  double mass = 0;
  for (int i = 0; i < h; i++)
    for (int j = 0; j < w; j++) {
      const int v = p[i * w + j];
      mass += v;
      e.y += v * (i + 0.5);
      e.x += v * (j + 0.5);
      if (v > e.brightest) e.brightest = v;
      if (v == 0) continue;
      if (i < e.top) e.top = i;
      if (j < e.left) e.left = j;
      if (j > e.right) e.right = j;
      e.bottom = i;
    }
  e.y /= mass;
  e.x /= mass;
  return e;
}

/* A black 7 on white paper, 200 x 200, drawn off the middle. */
static void draw_seven(uint8_t *p, uint8_t paper, uint8_t ink) {
  memset(p, paper, 200 * 200);
  for (int i = 0; i < 120; i++)
    for (int k = 0; k < 14; k++) {
      if (i < 80) p[(20 + k) * 200 + 90 + i] = ink; /* the bar, 80 wide */
      p[(20 + i) * 200 + 156 + k - i / 2] = ink;    /* the stroke, 120 high */
    }
}

static void looks_like_mnist(void **state) {
  (void)state;
  ct_scope s = ct_scope_begin();
  static uint8_t p[200 * 200], first[28 * 28];
  static const uint8_t tones[4][2] = {{255, 0}, {0, 255}, {200, 40}, {30, 180}};
  for (int k = 0; k < 4; k++) {
    draw_seven(p, tones[k][0], tones[k][1]);
    const ct_tensor *t = ct_image_like_mnist(ct_from(CT_U8, CT_SHAPE(200, 200), p), 28);
    assert_true(ct_shape_equal(ct_shape_of(t), CT_SHAPE(28, 28)));
    if (k == 0) memcpy(first, ct_data(t), sizeof first);
    const uint8_t *q = ct_data(t);
    for (int i = 0; i < 28 * 28; i++)
      assert_true(abs(q[i] - first[i]) <= 2); /* whatever the tones */
    const extent e = measure(t);
    assert_int_equal(e.bottom - e.top + 1, 20);
    assert_int_equal(e.brightest, 255);
    assert_near(e.y, 14.5, 0.51); /* the middle of pixel 14 */
    assert_near(e.x, 14.5, 0.51);
  }
  draw_seven(p, 255, 0);
  const extent small = measure(ct_image_like_mnist(ct_from(CT_U8, CT_SHAPE(200, 200), p), 8));
  assert_int_equal(small.bottom - small.top + 1, 8); /* fills the box as the embedded digits do */
  memset(p, 90, sizeof p);
  static const uint8_t nothing[28 * 28];
  expect_bytes(ct_image_like_mnist(ct_from(CT_U8, CT_SHAPE(200, 200), p), 28), CT_SHAPE(28, 28),
               nothing);
  expect_bytes(ct_image_like_mnist(ct_from(CT_U8, CT_SHAPE(1, 1), p), 28), CT_SHAPE(28, 28),
               nothing);
  ct_tensor *image = ct_zeros(CT_U8, CT_SHAPE(4, 4));
  assert_nil(ct_image_like_mnist(image, 0), CT_EARG, "size");
  assert_nil(ct_image_like_mnist(image, 1 << 20), CT_EARG, "size");
  assert_nil(ct_image_like_mnist(NULL, 28), CT_EARG, "NULL");
  assert_nil(ct_image_like_mnist(ct_zeros(CT_U8, CT_SHAPE(4, 4, 3)), 28), CT_ESHAPE, "(4,4,3)");
  ct_scope_end(s);
}

/* Most real MNIST digits are left exactly as they are, and the others nearly. */
static void mnist_stays(void **state) {
  (void)state;
  const char *dir = getenv("CT_MNIST");
  ct_dataset train, test;
  if (!dir || ct_dataset_mnist(&train, &test, dir) == CT_EIO) {
    ct_error_clear();
    print_message("MNIST is not there: set CT_MNIST to its folder to test with it\n");
    skip();
  }
  assert_ok(ct_error_code());
  ct_scope s = ct_scope_begin();
  const uint8_t *pixels = ct_data(test.x);
  int same = 0;
  for (int k = 0; k < 200; k++) {
    const uint8_t *p = pixels + k * 784;
    const uint8_t *q = ct_data(ct_image_like_mnist(ct_from(CT_U8, CT_SHAPE(28, 28), p), 28));
    double difference = 0, mass = 0;
    for (int i = 0; i < 784; i++) difference += abs(p[i] - q[i]), mass += p[i];
    same += difference == 0;
    assert_true(difference < 0.05 * mass);
  }
  assert_true(same >= 150);
  ct_scope_end(s);
  ct_dataset_free(&train);
  ct_dataset_free(&test);
}

/* ---- folders --------------------------------------------------------------------------------- */

static void put_image(const char *name, int64_t h, int64_t w, double value) {
  ct_scope s = ct_scope_begin();
  assert_ok(ct_image_write_png(path_of(name), ct_full(CT_U8, CT_SHAPE(h, w), value)));
  ct_scope_end(s);
}

static void folders(void **state) {
  (void)state;
  ct_dataset d;
  assert_fails(ct_dataset_folder(&d, folder, (ct_folder_opts){0}), CT_EFORMAT, "no folders");
  assert_int_equal(mkdir(path_of("pear"), 0700), 0);
  assert_int_equal(mkdir(path_of("apple"), 0700), 0);
  assert_int_equal(mkdir(path_of(".hidden"), 0700), 0);
  put_image("notes.png", 1, 1, 0); /* not in a class */
  put_image("pear/2.PNG", 3, 4, 20);
  put_image("pear/1.jpeg", 3, 4, 10); /* the content decides */
  put("pear/readme.txt", "", 0);
  assert_fails(ct_dataset_folder(&d, folder, (ct_folder_opts){0}), CT_EFORMAT, "apple");
  put_image("apple/z.jpg", 3, 4, 30);
  assert_ok(ct_dataset_folder(&d, folder, (ct_folder_opts){0}));
  uint8_t want[36];
  for (int i = 0; i < 36; i++) want[i] = (uint8_t)(i < 12 ? 30 : i < 24 ? 10 : 20);
  expect_bytes(d.x, CT_SHAPE(3, 3, 4), want);
  double label[3];
  tensor_values(d.labels, label, 3);
  assert_true(label[0] == 0 && label[1] == 1 && label[2] == 1);
  assert_int_equal(d.classes.n, 2);
  assert_string_equal(d.classes.at[0], "apple");
  ct_dataset_free(&d);

  put_image("pear/3.png", 4, 4, 40);
  assert_fails(ct_dataset_folder(&d, folder, (ct_folder_opts){0}), CT_EFORMAT,
               "pear/3.png is 4 x 4");
  assert_null(d.x);
  assert_ok(
      ct_dataset_folder(&d, folder, (ct_folder_opts){.channels = 3, .height = 2, .width = 5}));
  assert_true(ct_shape_equal(ct_shape_of(d.x), CT_SHAPE(4, 2, 5, 3)));
  assert_int_equal(((const uint8_t *)ct_data(d.x))[119], 40);
  ct_dataset_free(&d);
  put("pear/0.png", "no image", 8);
  assert_fails(ct_dataset_folder(&d, folder, (ct_folder_opts){0}), CT_EFORMAT, "pear/0.png");
  assert_fails(ct_dataset_folder(&d, path_of("missing"), (ct_folder_opts){0}), CT_EIO, "missing");
  assert_fails(ct_dataset_folder(&d, NULL, (ct_folder_opts){0}), CT_EARG, "folder");
  assert_fails(ct_dataset_folder(NULL, folder, (ct_folder_opts){0}), CT_EARG, "place");
  assert_fails(ct_dataset_folder(&d, folder, (ct_folder_opts){.channels = 2}), CT_EARG, "channels");
  assert_fails(ct_dataset_folder(&d, folder, (ct_folder_opts){.height = 2}), CT_EARG, "size");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_folder, close_folder)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(png_round_trips),  TEST(loads),       TEST(refuses), TEST(survives), TEST(resizes),
      TEST(looks_like_mnist), TEST(mnist_stays), TEST(folders),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
