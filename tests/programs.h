/* programs.h - compiled programs and what is in them. */
#ifndef COTANGENT_TESTS_PROGRAMS_H
#define COTANGENT_TESTS_PROGRAMS_H

#include "testing.h"

#include "autograd/compile/program.h"

static const ct_compile_opts checked = {.verify = true};
static const ct_compile_opts exact = {.exact = true, .verify = true};

static inline ct_program *compiled(ct_list in, ct_list out, ct_compile_opts opts) {
  ct_program *p = ct_compile(in, out, opts);
  assert_ok(p ? CT_OK : ct_error_code());
  return p;
}

/* A program that makes the given updates and gives the outputs. */
static inline ct_program *updating(ct_list in, ct_list out, int n, ct_tensor *const *variable,
                                   ct_tensor *const *value, ct_compile_opts opts) {
  assert_ok(ct_build_begin());
  for (int u = 0; u < n; u++) assert_ok(ct_assign(variable[u], value[u]));
  ct_program *p = compiled(in, out, opts);
  assert_ok(ct_build_end());
  return p;
}

/* How many instructions do that operation. */
static inline int count(const ct_program *p, const char *name) {
  int n = 0;
  for (int k = 0; k < p->n_instrs; k++) n += strcmp(p->instr[k].op->name, name) == 0;
  return n;
}

#endif
