/* chain.c - chains of elementwise operations against one loop by hand with the same vector
 * mathematics, whose operations all round for what is exact and round as few times as the processor
 * allows for the rest. "memory" is a loop that only reads the inputs and writes
 * the output.
 */
#include "support/bench.h"
#include "support/fused.h"

#include <cotangent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double tolerance = 1e-5;
static const int64_t sizes[] = {1000, 10000, 100000, 1000000, 16000000};

/* ---- the chains as a user writes them -------------------------------------------------------- */

static ct_tensor *tanh_chain(ct_tensor *const *x) {
  ct_tensor *inner = ct_shift(ct_scale(x[0], FUSED_S), FUSED_S);
  return ct_shift(ct_scale(ct_tanh(inner), FUSED_S), -FUSED_S);
}

static ct_tensor *relu_chain(ct_tensor *const *x) {
  return ct_sub(ct_mul(ct_relu(ct_add(ct_mul(x[0], x[1]), x[2])), x[3]), x[4]);
}

static ct_tensor *gauss_chain(ct_tensor *const *x) {
  ct_tensor *t = ct_tanh(ct_shift(ct_scale(ct_sin(x[0]), FUSED_GAUSS_A), FUSED_GAUSS_B));
  ct_tensor *inner = ct_shift(ct_mul(t, x[0]), FUSED_GAUSS_C);
  return ct_mul(ct_exp(ct_neg(ct_square(inner))), x[0]);
}

static ct_tensor *steps_chain(ct_tensor *const *x) {
  ct_tensor *y = x[0];
  for (int i = 0; i < 5; i++) y = ct_add(ct_scale(y, FUSED_STEP), x[0]);
  return y;
}

static ct_tensor *error_chain(ct_tensor *const *x) {
  ct_tensor *y = ct_tanh(ct_shift(ct_scale(x[0], FUSED_S), FUSED_S));
  return ct_mean(ct_square(ct_sub(y, x[1])), CT_ALL, false);
}

#define HAND(loop) offsetof(fused_loops, loop)
static const struct chain {
  const char *name;
  ct_tensor *(*of)(ct_tensor *const *x);
  int inputs;
  size_t hand, memory; /* places in the set of loops */
} chains[] = {
    {"tanh(s x + s) s - s", tanh_chain, 1, HAND(tanh), HAND(memory1)},
    {"relu(a x + b) c - d", relu_chain, 5, HAND(relu), HAND(memory5)},
    {"exp(-(tanh(1.1 sin x + 0.3) x + 0.2)^2) x", gauss_chain, 1, HAND(gauss), HAND(memory1)},
    {"five times y = 1.01 y + x", steps_chain, 1, HAND(steps), HAND(memory1)},
    {"mean((tanh(s x + s) - y)^2)", error_chain, 2, HAND(error), HAND(memory2)}};

/* ---- ways of running one --------------------------------------------------------------------- */

typedef struct job {
  const struct chain *chain;
  ct_tensor *x[FUSED_INPUTS];      /* kept */
  const float *data[FUSED_INPUTS]; /* theirs */
  float *y;                        /* of the loops */
  int64_t n;
  fused_loop *hand[FUSED_WAYS], *memory;
  ct_program *program[FUSED_WAYS]; /* exact, by default */
} job;

static void run_hand(const job *j, int way) { j->hand[way](j->n, j->data, j->y); }
static void run_rounded(void *state) { run_hand(state, FUSED_ROUNDED); }
static void run_contracted(void *state) { run_hand(state, FUSED_CONTRACTED); }

static void run_memory(void *state) {
  const job *j = state;
  j->memory(j->n, j->data, j->y);
}

static ct_tensor *eager(job *j) { return j->chain->of(j->x); }

static void run_eager(void *state) {
  ct_scope s = ct_scope_begin();
  eager(state);
  ct_scope_end(s);
}

static ct_tensor *compiled(job *j, int way) {
  ct_tensor *y;
  ct_run(j->program[way], (ct_list){j->chain->inputs, j->x}, &y);
  return y;
}

static ct_tensor *exact(job *j) { return compiled(j, FUSED_ROUNDED); }
static ct_tensor *fast(job *j) { return compiled(j, FUSED_CONTRACTED); }

static void run_compiled(job *j, int way) {
  ct_scope s = ct_scope_begin();
  compiled(j, way);
  ct_scope_end(s);
}

static void run_exact(void *state) { run_compiled(state, FUSED_ROUNDED); }
static void run_fast(void *state) { run_compiled(state, FUSED_CONTRACTED); }

static const struct way {
  const char *name;
  ct_tensor *(*of)(job *j); /* the result, of the current scope; NULL has none to compare */
  void (*run)(void *state), (*hand)(void *state);
  double goal; /* from `beyond` elements on */
} ways[] = {{"eager", eager, run_eager, run_rounded, 0},
            {"compiled, exact", exact, run_exact, run_rounded, 0},
            {"compiled", fast, run_fast, run_contracted, 1.3},
            {"memory", NULL, run_memory, run_contracted, 0}};
enum { WAYS = sizeof ways / sizeof ways[0], BEYOND = 4096 };

/* ---- the table ------------------------------------------------------------------------------- */

#define LOOPS_OF(isa) &fused_loops_##isa,
static const fused_loops *const loops[] = {CT__ISA_LIST(LOOPS_OF)};

static void loops_at(size_t place, fused_loop **loop, int n) {
  memcpy(loop, (const char *)loops[ct__isa()] + place, (size_t)n * sizeof *loop);
}

static void job_init(job *j, const struct chain *chain, int64_t n) {
  *j = (job){.chain = chain, .n = n, .y = bench_alloc((size_t)n, sizeof(float))};
  loops_at(chain->hand, j->hand, FUSED_WAYS);
  loops_at(chain->memory, &j->memory, 1);
  ct_scope s = ct_scope_begin();
  for (int i = 0; i < chain->inputs; i++) {
    j->x[i] = ct_keep(ct_uniform(ct_key((uint64_t)i), CT_F32, CT_SHAPE(n), -2, 2));
    j->data[i] = (const float *)ct_data(j->x[i]);
  }
  ct_tensor *x[FUSED_INPUTS];
  for (int i = 0; i < chain->inputs; i++) x[i] = ct_placeholder(CT_F32, CT_SHAPE(n));
  for (int way = 0; way < FUSED_WAYS; way++)
    j->program[way] = ct_compile((ct_list){chain->inputs, x}, CT_LIST(chain->of(x)),
                                 (ct_compile_opts){.exact = way == FUSED_ROUNDED});
  ct_scope_end(s);
  bench_check_library();
}

static void job_end(job *j) {
  for (int i = 0; i < j->chain->inputs; i++) ct_release(&j->x[i]);
  for (int way = 0; way < FUSED_WAYS; way++) ct_program_release(&j->program[way]);
  free(j->y);
}

static void check_way(job *j, const struct way *way) {
  double worst, largest;
  way->hand(j);
  ct_scope s = ct_scope_begin();
  ct_tensor *y = way->of(j);
  ct_tensor *hand = ct_wrap(CT_F32, (ct_shape){ct_ndim(y), {ct_size(y)}}, j->y, (ct_wrap_opts){0});
  ct_item(ct_max(ct_abs(ct_sub(y, hand)), CT_ALL, false), &worst);
  ct_item(ct_max(ct_abs(hand), CT_ALL, false), &largest);
  ct_scope_end(s);
  bench_check_library();
  if (!(worst <= tolerance * largest))
    bench_fail("%s, %s: wrong by %.2g; nothing is timed", j->chain->name, way->name, worst);
}

int main(int argc, char **argv) {
  bench_no_options(argc, argv);
  bench_begin();
  bench_report *report =
      bench_report_new("chain", (const char *const[]){"f32 elements", "library", "fused by hand"});
  for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++)
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
      job j;
      char label[96];
      snprintf(label, sizeof label, "%s, %lld", chains[i].name, (long long)sizes[k]);
      job_init(&j, &chains[i], sizes[k]);
      for (const struct way *w = ways; w < ways + WAYS; w++) {
        if (w->of) check_way(&j, w);
        bench_result r = bench_alternate((bench_way){.run = w->run, .state = &j},
                                         (bench_way){.run = w->hand, .state = &j});
        bench_check_library();
        double goal = sizes[k] >= BEYOND ? w->goal : 0;
        bench_report_cell(report, (bench_cell){label, w->name, goal, false}, &r);
      }
      job_end(&j);
    }
  return bench_report_end(report) ? 0 : 1;
}
