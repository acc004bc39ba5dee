/* chains.c - recorded operations on single numbers, and pairs of malloc and free. */
#include "chains.h"

#include <stdlib.h>

#include "tensor/tensor_internal.h"

/* One link: y is the chain so far, x the variable it began with. Both are recorded. */
typedef ct_tensor *link_op(ct_tensor *y, ct_tensor *x);

static ct_tensor *link_sin(ct_tensor *y, ct_tensor *x) { return (void)x, ct_sin(y); }
static ct_tensor *link_tanh(ct_tensor *y, ct_tensor *x) { return (void)x, ct_tanh(y); }

static const struct kind {
  const char *name;
  link_op *link;
} kinds[CHAIN_KINDS] = {{"add", ct_add}, {"mul", ct_mul}, {"sin", link_sin}, {"tanh", link_tanh}};

const char *chains_name(int kind) { return kinds[kind].name; }

/* The derivative of a chain; belongs to the scope. */
static ct_tensor *gradient(const chains *c, int k, ct_tensor *x) {
  ct_tensor *y = x, *g;
  for (int i = 0; i < CHAIN_LENGTH; i++) y = kinds[c->first + k].link(y, x);
  ct_grad(y, CT_LIST(x), &g);
  return g;
}

void chains_run(void *state) {
  const chains *c = state;
  for (int k = 0; k < c->kinds; k++) {
    ct_scope s = ct_scope_begin();
    gradient(c, k, c->x);
    ct_scope_end(s);
  }
}

void chains_compile(chains *c) {
  ct_scope s = ct_scope_begin();
  for (int k = 0; k < c->kinds; k++) {
    ct_tensor *x = ct_placeholder(CT_F32, CT_SCALAR);
    c->program[k] = ct_compile(CT_LIST(x), CT_LIST(gradient(c, k, x)), (ct_compile_opts){0});
  }
  ct_scope_end(s);
}

void chains_replay(void *state) {
  const chains *c = state;
  for (int k = 0; k < c->kinds; k++) {
    ct_tensor *g;
    ct_scope s = ct_scope_begin();
    ct_run(c->program[k], CT_LIST(c->x), &g);
    ct_scope_end(s);
  }
}

void chains_release(chains *c) {
  for (int k = 0; k < c->kinds; k++) ct_program_release(&c->program[k]);
}

void chains_pairs(void *state) {
  const chains *c = state;
  for (int k = 0; k < c->kinds; k++) {
    void *volatile block[CHAIN_LENGTH]; /* volatile: or the compiler drops the pairs */
    for (int i = 0; i < CHAIN_LENGTH; i++) block[i] = malloc(sizeof(ct_tensor));
    for (int i = 0; i < CHAIN_LENGTH; i++) free(block[i]);
  }
}

bench_result chains_each(const chains *c, bench_result r) {
  r.ours /= c->kinds * CHAIN_LENGTH;
  r.floor /= c->kinds * CHAIN_LENGTH;
  return r;
}
