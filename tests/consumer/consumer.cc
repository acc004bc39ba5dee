// consumer.cc - a user's C++17 program, outside the tree, with every macro of the headers.
#include "consumer.h"

#include <string>

int main() {
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_full(CT_F32, CT_SHAPE(2, 3), 1.5);
  ct_tensor *y = ct_eye(CT_F64, 2, 2);
  ct_print_opts opts = {};
  opts.precision = 2;
  std::string text(256, '\0');
  int64_t length = ct_to_string(&text[0], text.size(), x, opts);
  ct_module *m = ct_nn_sequential(CT_MODULES(ct_nn_relu(), ct_nn_relu()));
  double sum = 0;
  ct_item(ct_sum(ct_forward(m, squares(x)), CT_ALL, false), &sum);
  ct_module_free(&m);
  bool ok = std::string(ct_version()).compare(0, 4, "0.1.") == 0 && count(CT_LIST(x, y)) == 2 &&
            count(CT_NONE) == 0 && ct_size(x) == 6 && ct_dim(y, -1) == 2 && length > 0 &&
            text.find("1.5") != std::string::npos && sum == 9 &&
            ct_ndim(ct_zeros(CT_F32, CT_SCALAR)) == 0 && ct_error_code() == CT_OK;
  ct_error_print(stderr);
  return ct_scope_end(scope) == CT_OK && ok ? 0 : 1;
}
