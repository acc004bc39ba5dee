/* predict.c - a trained network and one picture. */
#include "train.h"

#include <math.h>
#include <string.h>

ct_tensor *logits_of(ct_module *model, const input *in, ct_tensor *x) {
  ct_scope scope = ct_scope_begin_with(CT_NO_RECORD);
  ct_tensor *flat = ct_flatten(ct_standardize(&in->standardizer, x), 1);
  return ct_scope_return(scope, ct_forward(model, flat));
}

/* ---- thin pens ------------------------------------------------------------------------------- */

enum { DRAWN = 112, PEN = DRAWN / 7 }; /* DRAWN: side of a picture whose ink is 80 high */

/* How thick lines are: twice the area by the length of the outline. */
static double thickness(uint8_t (*ink)[DRAWN]) {
  int area = 0, outline = 0;
  for (int i = 1; i < DRAWN; i++)
    for (int j = 1; j < DRAWN; j++) {
      const bool here = ink[i][j] > 127;
      area += here;
      outline += (here != (ink[i - 1][j] > 127)) + (here != (ink[i][j - 1] > 127));
    }
  return outline ? 2.0 * area / outline : PEN;
}

/* Every pixel becomes the largest one within the radius. */
static void thicken(uint8_t (*to)[DRAWN], uint8_t (*from)[DRAWN], double radius) {
  const int reach = (int)radius;
  for (int i = reach; i < DRAWN - reach; i++)
    for (int j = reach; j < DRAWN - reach; j++)
      for (int y = -reach; y <= reach; y++)
        for (int x = -reach; x <= reach; x++)
          if (x * x + y * y <= radius * radius && from[i + y][j + x] > to[i][j])
            to[i][j] = from[i + y][j + x];
}

/* The embedded digits have 8 pixels a side and were written with a thick pen: a thin one would
 * leave shapes that the network has never seen. */
static ct_tensor *with_thick_pen(ct_tensor *image) {
  uint8_t thin[DRAWN][DRAWN], thick[DRAWN][DRAWN] = {{0}};
  if (ct_copy_out(ct_image_like_mnist(image, DRAWN), thin, sizeof thin) != CT_OK) return ct_nil();
  thicken(thick, thin, fmax(0, (PEN - thickness(thin)) / 2));
  return ct_from(CT_U8, CT_SHAPE(DRAWN, DRAWN), thick);
}

/* ---- one picture ----------------------------------------------------------------------------- */

/* The picture as the network wants it: u8 (1, height, width). */
static ct_tensor *prepare(const input *in, const char *path) {
  enum { SMALL = 16 };
  ct_tensor *image = ct_image_load(path, 1);
  if (ct_is_nil(image)) return image;
  if (in->as_mnist && in->height < SMALL) image = with_thick_pen(image);
  image = in->as_mnist ? ct_image_like_mnist(image, in->height)
                       : ct_image_resize(image, in->height, in->width);
  return ct_expand_dims(image, 0);
}

static void print_bars(const input *in, const float *p) {
  enum { WIDTH = 50 };
  char bar[WIDTH + 1], name[16];
  memset(bar, '#', WIDTH);
  for (int i = 0; i < in->n_classes; i++) {
    const int length = (int)(p[i] * WIDTH + 0.5f);
    printf("  %15s %5.1f %% %.*s\n", class_name(in, i, name), 100 * (double)p[i], length, bar);
  }
}

ct_status predict_file(ct_module *model, const input *in, const char *path) {
  ct_scope scope = ct_scope_begin_with(CT_NO_RECORD);
  ct_tensor *p = ct_contiguous(ct_softmax(logits_of(model, in, prepare(in, path)), 1));
  double best;
  ct_status status = ct_item(ct_argmax(p, 1, false), &best);
  if (status == CT_OK) {
    char name[16];
    printf("%s: %s\n", path, class_name(in, (int)best, name));
    print_bars(in, ct_data(p));
  }
  ct_scope_end(scope);
  return status;
}
