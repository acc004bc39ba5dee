/* call.c - a program as one operation of a larger recipe: an instruction that owns a program. */
#include "program.h"

/* As ct__call_attr, so that what serves calls of functions serves these: the function is the recipe
 * that p was made of. The attributes own p. */
typedef struct program_call {
  ct__call_attr of;
  ct_program *p;
} program_call;

static ct_status call_copy(void *to, const void *from) {
  program_call *c = to;
  memcpy(c, from, sizeof *c);
  ct_program_keep(c->p);
  return CT_OK;
}

static void call_release(void *attr) { ct_program_release(&((program_call *)attr)->p); }

static ct_status run_call(const void *attr, ct_tensor *const *in, ct_tensor **out) {
  ct_program *p = ((const program_call *)attr)->p;
  return ct_run(p, (ct_list){p->n_args, in}, out);
}

static ct_status call_eval(const ct_eval *e) { return ct__eval_on_tensors(e, run_call); }

static const ct_op program_op = {CT_OP,
                                 .name = "program",
                                 .doc = "y = p(x) for a ct_program p",
                                 .n_in = CT_VARIADIC,
                                 .n_out = CT_VARIADIC,
                                 .flags = CT_CAN_FAIL,
                                 .attr_size = sizeof(program_call),
                                 .attr_copy = call_copy,
                                 .attr_release = call_release,
                                 .infer = ct__call_infer,
                                 .eval = call_eval,
                                 .fallback = ct__call_fallback};

static ct_status call_it(ct_program *p, ct_list inputs, ct_tensor **outputs) {
  static const char who[] = "ct_call_program";
  if (!p) return ct__fail_status(CT_EARG, "%s: the program is NULL", who);
  for (int o = 0; outputs && o < p->n_out; o++) outputs[o] = ct_nil();
  if (p->n_updates > 0)
    return ct__fail_status(CT_EARG, "%s: a program with updates is no operation", who);
  if (!outputs && p->n_out > 0)
    return ct__fail_status(CT_EARG, "%s: there is no room for results", who);
  ct_status status = ct__check_arguments(who, p->f, inputs);
  if (status != CT_OK || p->n_out == 0) return status;
  program_call attr;
  memset(&attr, 0, sizeof attr);
  attr.of = (ct__call_attr){p->n_out, p->f};
  attr.p = p;
  ct_tensor **in = ct__all_inputs(p->f, inputs);
  if (!in) return CT_ENOMEM;
  status = ct__apply(&program_op, &attr, p->f->n_in, in, outputs);
  ct__free(in, (size_t)p->f->n_in * sizeof *in);
  return status;
}

ct_status ct_call_program(ct_program *p, ct_list inputs, ct_tensor **outputs) {
  bool was = ct__status_begin();
  return ct__status_end("ct_call_program", was, call_it(p, inputs, outputs));
}
