/* report.c - how well the network does on the test data, in numbers. */
#include "train.h"

#include <stdlib.h>

static void print_matrix(const input *in, const int32_t *count) {
  const int n = in->n_classes;
  char name[16];
  printf("\nconfusion (rows: what it is, columns: what the network says)\n%8s", "");
  for (int j = 0; j < n; j++) printf(" %5.5s", class_name(in, j, name));
  for (int i = 0; i < n; i++) {
    printf("\n%8.8s", class_name(in, i, name));
    for (int j = 0; j < n; j++) {
      if (count[i * n + j])
        printf(" %5d", (int)count[i * n + j]);
      else
        printf("     .");
    }
  }
  putchar('\n');
}

/* Too many classes for a matrix: the confusions that are most frequent. */
static void print_worst(const input *in, int32_t *count) {
  enum { SHOWN = 10 };
  const int n = in->n_classes;
  char is[16], says[16];
  printf("\nmost frequent confusions of %d classes\n", n);
  for (int k = 0; k < SHOWN; k++) {
    int worst = 1;
    for (int i = 0; i < n * n; i++)
      if (i % (n + 1) != 0 && count[i] > count[worst]) worst = i;
    if (count[worst] == 0) return;
    printf("%6d  %s taken for %s\n", (int)count[worst], class_name(in, worst / n, is),
           class_name(in, worst % n, says));
    count[worst] = 0;
  }
}

static ct_status print_confusion(const input *in, const ct_tensor *confusion) {
  enum { MATRIX = 20 };
  const size_t bytes = (size_t)ct_size(confusion) * sizeof(int32_t);
  int32_t *count = malloc(bytes ? bytes : 1);
  if (!count) return ct_error_set(CT_ENOMEM, "out of memory");
  ct_status status = ct_copy_out(confusion, count, bytes);
  if (status == CT_OK) (in->n_classes <= MATRIX ? print_matrix(in, count) : print_worst(in, count));
  free(count);
  return status;
}

ct_status report_test(ct_module *model, const input *in, const ct_dataset *test, double *accuracy) {
  ct_scope scope = ct_scope_begin_with(CT_NO_RECORD);
  ct_tensor *logits = logits_of(model, in, test->x);
  double part, error;
  ct_status status = ct_accuracy(logits, test->labels, &part, &error);
  if (status == CT_OK) {
    const double n = (double)ct_dim(test->x, 0);
    printf("test accuracy %.2f %% +- %.2f (standard error); %.0f of %.0f wrong\n", 100 * part,
           100 * error, n * (1 - part), n);
    status = print_confusion(in, ct_confusion(logits, test->labels));
  }
  if (accuracy) *accuracy = part;
  ct_scope_end(scope);
  return status;
}
