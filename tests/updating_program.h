/* updating_program.h - programs that assign to variables, and the options of tests. */
#ifndef COTANGENT_UPDATING_PROGRAM_H
#define COTANGENT_UPDATING_PROGRAM_H

#include "testing.h"

#include "autograd/compile/program.h"

static const ct_compile_opts checked = {.verify = true};
static const ct_compile_opts exact = {.exact = true, .verify = true};

/* A program that makes the given updates and gives the outputs. */
static inline ct_program *updating(ct_list in, ct_list out, int n, ct_tensor *const *variable,
                                   ct_tensor *const *value, ct_compile_opts opts) {
  assert_ok(ct_build_begin());
  for (int u = 0; u < n; u++) assert_ok(ct_assign(variable[u], value[u]));
  ct_program *p = ct_compile(in, out, opts);
  assert_ok(ct_build_end());
  assert_ok(p ? CT_OK : ct_error_code());
  return p;
}

#endif
