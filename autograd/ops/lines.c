/* lines.c - how kernels are led along the lines of their operands. */
#include "lines.h"

#include "../../tensor/pool.h"

/* Operand k of a call, as loops number them. */
static const ct_view *operand(const ct_eval *e, int k) {
  return k < e->n_in ? e->in[k] : e->out[e->n_in + e->n_out - 1 - k];
}

void ct__each_line(const ct_eval *e, int axis, bool backwards, ct_loop *loop, ct__lines l) {
  ct_view start[CT__MAX_OPERANDS];
  const ct_view *in[CT__MAX_OPERANDS];
  int last = e->n_in + e->n_out - 1;
  int64_t longest = 1;
  l.alone = ct__reference();
  for (int k = 0; k <= last; k++) {
    const ct_view *v = operand(e, k);
    int64_t extent = v->dim[axis], item = (int64_t)ct__item_size(v->dtype);
    if (v->size == 0 && k == last) return;
    in[k] = &start[k];
    start[k] = line_starts(v, 1u << axis);
    l.step[k] = extent == 1 ? 0 : v->stride[axis];
    if (backwards) {
      start[k].data += (extent - 1) * l.step[k] * item;
      l.step[k] = -l.step[k];
    }
    longest = extent > longest ? extent : longest;
  }
  ct__map(last, in, &start[last], loop, &l, 4 * ct__line_weight(operand(e, last), longest));
}
