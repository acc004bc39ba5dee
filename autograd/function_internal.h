/* function_internal.h - a recipe as a list of calls. */
#ifndef COTANGENT_FUNCTION_INTERNAL_H
#define COTANGENT_FUNCTION_INTERNAL_H

#include "autograd_internal.h"

/* Where an operand comes from: a slot of the run, or a constant. */
typedef struct ct__operand {
  ct_tensor *constant; /* one reference; NULL: the slot */
  int slot;
  bool last; /* nothing later reads the slot */
} ct__operand;

typedef struct ct__instruction {
  ct__node *node;    /* the operation and its attributes; one reference */
  int operand, slot; /* its first operand and its first result */
} ct__instruction;

struct ct_function {
  atomic_int refs;
  int n_args, n_in, n_out, n_instructions, n_operands, n_slots;
  ct_tensor **in; /* n_args cut points, then the variables it refers to; they are the first slots */
  ct__instruction *instructions;
  ct__operand *operands; /* of the instructions, then one for each output */
  ct_spec *spec;         /* one for each output */
};

/* As ct_function_new in another mode of the walk: CT__REPLAY, CT__FROZEN or CT__COMPILE. */
ct_function *ct__function_make(const char *who, ct__mode mode, ct_list inputs, ct_list outputs);

/* CT_OK if t has the dtype and shape of `want`, as input i. */
ct_status ct__check_argument(const char *who, int i, const ct_view *want, const ct_tensor *t);
/* CT_OK if the inputs are those that f wants. */
ct_status ct__check_arguments(const char *who, const ct_function *f, ct_list inputs);
/* The inputs, then the variables that f refers to: f->n_in tensors. NULL when memory ran out. */
ct_tensor **ct__all_inputs(const ct_function *f, ct_list inputs);
/* An evaluation by what wants tensors: run on nodes over its places; the results are copied. */
typedef ct_status ct__tensor_run(const void *attr, ct_tensor *const *in, ct_tensor **out);
ct_status ct__eval_on_tensors(const ct_eval *e, ct__tensor_run *run);

#endif
