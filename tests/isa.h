/* isa.h - tests of kernels that are compiled for each instruction set. */
#ifndef COTANGENT_TEST_ISA_H
#define COTANGENT_TEST_ISA_H

#include "tensor/tensor_internal.h"

/* With the kernels of each instruction set that this processor has. */
static inline void for_each_isa(void (*test)(void)) {
  int was = ct__isa();
  for (int isa = 0; ct__use_isa(isa); isa++) test();
  ct__use_isa(was);
}

#endif
