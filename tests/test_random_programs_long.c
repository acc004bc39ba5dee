/* test_random_programs_long.c - many more random programs than in every run.
 *
 *   test_random_programs_long [n [seed]]   n programs (100,000) from a seed on
 *   test_random_programs_long --emit n     n small programs as text for oracle/programs.py */
#include "random_programs_run.h"

enum { PROGRAMS = 100000, FIRST_SEED = 1000000, FEW = 60 };

static row_table rows;
static int wanted = PROGRAMS;
static uint64_t first = FIRST_SEED;

static void programs_hold(void **state) {
  (void)state;
  tally sum = {0};
  for (int i = 0; i < wanted; i++) program_try(first + (uint64_t)i, &rows, NULL, true, &sum);
  print_message("%d accepted, %d rejected, %d failed\n", sum.accepted, sum.rejected, sum.failed);
  assert_int_equal(sum.failed, 0);
  assert_true(sum.rejected <= wanted / 5);
}

/* ---- programs as text ------------------------------------------------------------------------ */

/* Few numbers, none of them random, and nothing empty. */
static bool is_presentable(const program *p) {
  int64_t numbers = 0;
  for (int k = 0; k < p->n; k++) {
    const node *n = &p->node[k];
    if (n->kind == 'k' || n->t->v.size == 0) return false;
    if (!n->row) numbers += n->t->v.size;
  }
  for (int o = 0; o < p->n_out; o++) numbers += p->node[p->out[o]].t->v.size;
  return numbers <= FEW;
}

/* Floats of four decimals: they print short and read back exactly. */
static bool shorten(program *p) {
  for (int k = 0; k < p->n; k++)
    if (!p->node[k].row) p->node[k].t = rounded_to(p->node[k].t, 1e4);
  return revalue(p) && program_check(p, NULL).verdict == PASSED;
}

static void emit_leaf(const node *n) {
  char kind = n->kind == 'f' ? 'X' : n->kind == 'i' ? 'I' : 'B';
  printf("%c(%d, (", kind, n->t->v.ndim);
  for (int i = 0; i < n->t->v.ndim; i++) printf("%s%d", i ? ", " : "", (int)n->t->v.dim[i]);
  printf("%s), ", n->t->v.ndim ? "" : "0");
  print_numbers(stdout, n->t, 15);
  printf(")\n");
}

static void emit_use(const node *n) {
  int last = MAX_ATTR;
  while (last > 1 && n->a[last - 1] == 0) last--;
  printf("NODE(%s, ", n->row->name);
  print_ints(stdout, "(", operands_of(n->row), n->in);
  print_ints(stdout, ", (", last, n->a);
  printf(")\n");
}

static void emit(const program *p) {
  printf("PROGRAM(%llu)\n", (unsigned long long)p->seed);
  for (int k = 0; k < p->n; k++)
    if (p->node[k].row)
      emit_use(&p->node[k]);
    else
      emit_leaf(&p->node[k]);
  print_ints(stdout, "OUT(", p->n_out, p->out);
  printf("\n");
}

/* A program is worth it if it has a row that few before have. */
static bool is_new(const program *p, int *count, int few) {
  bool news = false;
  for (int k = 0; k < p->n; k++)
    if (p->node[k].row) news |= count[p->node[k].row - rows.row] < few;
  for (int k = 0; k < p->n && news; k++)
    if (p->node[k].row) count[p->node[k].row - rows.row]++;
  return news;
}

static void emit_programs(int n) {
  static program p;
  int count[MAX_ROWS] = {0};
  for (int seed = 0; n > 0; seed++) {
    ct_scope scope = ct_scope_begin();
    if (!program_draw(&p, (uint64_t)seed, &rows, NULL) && is_presentable(&p) && shorten(&p) &&
        is_new(&p, count, 3 + seed / 1000)) {
      emit(&p);
      n--;
    }
    ct_scope_end(scope);
  }
}

int main(int argc, char **argv) {
  rows_fill(&rows);
  if (argc == 3 && strcmp(argv[1], "--emit") == 0) {
    emit_programs(atoi(argv[2]));
    return 0;
  }
  if (argc > 1) wanted = atoi(argv[1]);
  if (argc > 2) first = strtoull(argv[2], NULL, 10);
  const struct CMUnitTest tests[] = {cmocka_unit_test(programs_hold)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
