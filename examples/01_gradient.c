/* 01_gradient.c - a function, its value and its gradient; then gradient descent to its minimum.
 *
 * The paraboloid f(x) = (x0 - 1)^2 + 2 (x1 + 2)^2 has the gradient (2 (x0 - 1), 4 (x1 + 2)) and its
 * minimum 0 at (1, -2).
 */
#include <cotangent.h>

static ct_tensor *f(ct_tensor *x) {
  ct_tensor *centre = ct_from(CT_F64, CT_SHAPE(2), (double[]){1, -2});
  ct_tensor *weight = ct_from(CT_F64, CT_SHAPE(2), (double[]){1, 2});
  return ct_sum(ct_mul(weight, ct_square(ct_sub(x, centre))), CT_ALL, false);
}

int main(void) {
  /* A variable is recorded: what is made from it can be differentiated. */
  ct_tensor *x = ct_variable(ct_zeros(CT_F64, CT_SHAPE(2)));
  for (int step = 0; step <= 20; step++) {
    ct_scope scope = ct_scope_begin(); /* owns everything made until its end */
    double value;
    ct_tensor *gradient;
    ct_value_and_grad(f(x), CT_LIST(x), &value, &gradient);

    const double *at = ct_data(x), *g = ct_data(gradient);
    if (!at || !g) break;
    if (step % 5 == 0)
      printf("step %2d: f(%7.4f, %7.4f) = %.2e, gradient (%8.1e, %8.1e)\n", step, at[0], at[1],
             value, g[0], g[1]);
    ct_assign(x, ct_sub(x, ct_scale(gradient, 0.2)));
    ct_scope_end(scope);
  }
  ct_release(&x);
  /* Errors flow through the tensors: it is enough to ask in the end. */
  ct_error_print(stderr);
  return ct_error_code() != CT_OK;
}
