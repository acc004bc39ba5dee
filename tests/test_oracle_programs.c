/* test_oracle_programs.c - random programs against an independent implementation.
 *
 * oracle/programs.txt holds programs, their values and their gradients as JAX has them in f64,
 * written by oracle/programs.py. */
#include "random_programs_check.h"

typedef struct line {
  char kind; /* P begins a program: leaves X, I, B, nodes N, outputs O, values Y, gradients G */
  const char *name;
  int n; /* of outputs */
  int in[MAX_NODES], a[MAX_ATTR];
  ct_shape shape;
  const double *at;
} line;

#define UNPACK(...)   __VA_ARGS__
#define PROGRAM(seed) {.kind = 'P', .name = #seed},
#define NODE(row, operands, attributes)                                                            \
  {.kind = 'N', .name = #row, .in = {UNPACK operands}, .a = {UNPACK attributes}},
#define OUT(...)                                                                                   \
  {.kind = 'O', .n = (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), .in = {__VA_ARGS__}},
#define NUMBERS(kind_, rank, dims, ...)                                                            \
  {.kind = kind_, .shape = {rank, {UNPACK dims}}, .at = (const double[]){__VA_ARGS__}},
#define X(rank, dims, ...) NUMBERS('X', rank, dims, __VA_ARGS__)
#define I(rank, dims, ...) NUMBERS('I', rank, dims, __VA_ARGS__)
#define B(rank, dims, ...) NUMBERS('B', rank, dims, __VA_ARGS__)
#define Y(rank, dims, ...) NUMBERS('Y', rank, dims, __VA_ARGS__)
#define G(rank, dims, ...) NUMBERS('G', rank, dims, __VA_ARGS__)
static const line lines[] = {
#include "oracle/programs.txt"
};
#undef PROGRAM
#undef NODE
#undef OUT
#undef X
#undef I
#undef B
#undef Y
#undef G
enum { LINES = sizeof lines / sizeof lines[0], PROGRAMS = 212 };
#define TOLERANCE 1e-11 /* relative to the largest number of a tensor, at least 1 */

static row_table rows;

static node leaf_of(const line *l) {
  ct_dtype dtype = l->kind == 'X' ? CT_F64 : l->kind == 'I' ? CT_I32 : CT_BOOL;
  char kind = l->kind == 'X' ? 'f' : l->kind == 'I' ? 'i' : 'b';
  return (node){.kind = kind, .t = ct_cast(ct_from(CT_F64, l->shape, l->at), dtype)};
}

static node use_of(const line *l) {
  node n = {.row = row_named(&rows, l->name)};
  if (!n.row) print_error("no row or primitive is called %s\n", l->name);
  assert_non_null(n.row);
  memcpy(n.in, l->in, sizeof n.in);
  memcpy(n.a, l->a, sizeof n.a);
  n.kind = result_kind(n.row);
  return n;
}

/* Reads the program that starts at line k; returns the line of its first value. */
static int read_program(int k, program *p) {
  *p = (program){.seed = strtoull(lines[k].name, NULL, 10)};
  for (k++; lines[k].kind != 'O'; k++)
    p->node[p->n++] = lines[k].kind == 'N' ? use_of(&lines[k]) : leaf_of(&lines[k]);
  p->n_out = lines[k].n;
  memcpy(p->out, lines[k].in, (size_t)p->n_out * sizeof *p->out);
  return k + 1;
}

static ct_tensor *cotangent_of(const ct_tensor *y) {
  ct_tensor *t = ct_empty(CT_F64, ct_shape_of(y));
  for (int64_t i = 0; i < t->v.size; i++)
    ((double *)(void *)t->v.data)[i] = (double)((7 * i + 3) % 11 - 5) / 4;
  return t;
}

static bool is_same(const program *p, const line *want, ct_tensor *got) {
  bool same = ct_shape_equal(ct_shape_of(got), want->shape);
  if (!same) print_error("program %d: another shape\n", (int)p->seed);
  if (!same) return false;
  vec v = vec_of(1, &got);
  for (int64_t i = 0; i < v.n; i++) {
    double unit = fmax(1, vec_max((vec){v.n, (double *)(uintptr_t)want->at}));
    if (fabs(v.at[i] - want->at[i]) <= TOLERANCE * unit) continue;
    print_error("program %d, %c, element %d: got %.17g, want %.17g\n", (int)p->seed, want->kind,
                (int)i, v.at[i], want->at[i]);
    same = false;
  }
  return same;
}

/* Random numbers are the library's own: the oracle has none. */
static void every_row_is_used(void **state) {
  (void)state;
  bool used[MAX_ROWS] = {false};
  for (int k = 0; k < LINES; k++)
    if (lines[k].kind == 'N') used[use_of(&lines[k]).row - rows.row] = true;
  for (int i = 0; i < rows.n; i++)
    if (!used[i] && !strchr(rows.row[i].kinds, 'k'))
      fail_msg("%s is in no program; see oracle/programs.py", rows.row[i].name);
}

static void programs_agree(void **state) {
  (void)state;
  static program p;
  int programs = 0, wrong = 0;
  for (int k = 0; k < LINES; programs++) {
    ct_scope scope = ct_scope_begin();
    finding found = {.verdict = PASSED};
    trial r = {.p = &p, .found = &found};
    ct_tensor *value[MAX_NODES], *t[MAX_NODES];
    k = read_program(k, &p);
    r.n_y = p.n_out;
    for (int i = 0; i < p.n; i++) value[i] = p.node[i].t;
    variables_make(&r, value);
    program_run(&p, r.leaf, NULL, t);
    outputs_of(&p, t, r.y);
    for (int o = 0; o < r.n_y; o++) r.u[o] = cotangent_of(r.y[o]);
    assert_ok(ct_vjp_all((ct_list){r.n_y, r.y}, (ct_list){r.n_y, r.u}, (ct_list){r.n_x, r.x}, r.g));
    for (int o = 0; o < r.n_y; o++) wrong += !is_same(&p, &lines[k++], r.y[o]);
    for (int i = 0; i < r.n_x; i++) wrong += !is_same(&p, &lines[k++], r.g[i]);
    variables_release(&r);
    assert_ok(ct_scope_end(scope));
  }
  assert_int_equal(wrong, 0);
  assert_int_equal(programs, PROGRAMS);
}

int main(void) {
  rows_fill(&rows);
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_row_is_used),
                                     cmocka_unit_test(programs_agree)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
