/* cotangent.h - the whole library: tensors, derivatives, networks, optimizers, data. */
#ifndef COTANGENT_H
#define COTANGENT_H

#include <cotangent/autograd.h>
#include <cotangent/compile.h>
#include <cotangent/datasets.h>
#include <cotangent/nn.h>
#include <cotangent/optim.h>
#include <cotangent/tensor.h>

#endif
