/* predict.c - a trained network and one picture. */
#include "train.h"

#include <string.h>

ct_tensor *logits_of(ct_module *model, const input *in, ct_tensor *x) {
  ct_scope scope = ct_scope_begin_with(CT_NO_RECORD);
  ct_tensor *flat = ct_flatten(ct_standardize(&in->standardizer, x), 1);
  return ct_scope_return(scope, ct_forward(model, flat));
}

/* The picture as the network wants it: u8 (1, height, width). */
static ct_tensor *prepare(const input *in, const char *path) {
  ct_tensor *image = ct_image_load(path, 1);
  if (ct_is_nil(image)) return image;
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
