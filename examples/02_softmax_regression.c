/* 02_softmax_regression.c - a linear classifier of handwritten digits, without modules: the digits
 * x (n, 64), weights w (64, 10) and b (10), scores x w + b, their cross entropy with the labels,
 * and steps down its gradient.
 */
#include <cotangent.h>

/* A row of 64 numbers from 0 to 1 for each digit. */
static ct_tensor *pixels(const ct_dataset *set) {
  return ct_scale(ct_flatten(ct_cast(set->x, CT_F32), 1), 1.0 / 255);
}

int main(void) {
  ct_dataset train, test;
  ct_dataset_digits(&train, &test);
  ct_tensor *x = pixels(&train);
  ct_tensor *w = ct_variable(ct_zeros(CT_F32, CT_SHAPE(64, 10)));
  ct_tensor *b = ct_variable(ct_zeros(CT_F32, CT_SHAPE(10)));

  for (int step = 1; step <= 300; step++) {
    ct_scope scope = ct_scope_begin();
    ct_tensor *scores = ct_add(ct_matmul(x, w), b), *gradient[2];
    ct_tensor *loss = ct_cross_entropy(scores, train.labels);
    ct_grad(loss, CT_LIST(w, b), gradient);
    ct_assign(w, ct_sub(w, ct_scale(gradient[0], 1)));
    ct_assign(b, ct_sub(b, ct_scale(gradient[1], 1)));
    double value = 0;
    if (step % 50 == 0 && ct_item(loss, &value) == CT_OK)
      printf("step %d: loss %.4f\n", step, value);
    ct_scope_end(scope);
  }

  double accuracy = 0, error = 0;
  ct_accuracy(ct_add(ct_matmul(pixels(&test), w), b), test.labels, &accuracy, &error);
  printf("test accuracy %.1f %% +- %.1f\n", 100 * accuracy, 100 * error);
  ct_release(&w);
  ct_release(&b);
  ct_dataset_free(&train);
  ct_dataset_free(&test);
  ct_error_print(stderr);
  return ct_error_code() != CT_OK;
}
