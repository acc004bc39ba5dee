/* consumer.h - what the users' programs share, in C and C++. */
#include <cotangent.h>

static int count(ct_list list) { return list.n; }

/* The sum of the columns of x x, by an exact program. */
static ct_tensor *squares(ct_tensor *x) {
  ct_tensor *in = ct_placeholder(CT_F32, ct_shape_of(x)), *y = ct_nil();
  ct_tensor *sums = ct_sum(ct_square(in), CT_AXES(0), false);
  ct_program *p = ct_compile(CT_LIST(in), CT_LIST(ct_reshape(sums, CT_SHAPE(3))), CT_EXACT);
  ct_run(p, CT_LIST(x), &y);
  ct_program_release(&p);
  return ct_slice(y, 0, 1, CT_END, 1);
}
