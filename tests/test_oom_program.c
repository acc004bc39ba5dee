/* test_oom_program.c - each allocation fails in turn, once or from then on, while training steps
 * are compiled, run and looked at. Each time an error or the right result, nothing lost; after a
 * failed run parameters and state are what they were, and the next one goes on as if nothing had
 * happened. */
#include "step_trainer.h"

#include "failing_malloc.h"

enum { MOST = 8, NUMBERS = 8 }; /* steps and numbers that can be compared */

/* What the work reads, made while nothing fails. */
static struct {
  trainer t;
  ct_archive *start;
  ct_compile_opts opts;
  ct_tensor *x, *labels, *turned; /* turned: the batch, with its columns contiguous */
  FILE *out;
} f;

/* What it makes. */
static struct {
  ct_program *program;
  ct_jit *jit;
  double found[NUMBERS];
  int n;
} made;

/* The state after each number of steps, and what one piece of work finds. */
static struct {
  ct_archive *after[MOST + 1];
  double found[NUMBERS];
  int64_t steps;
  int n;
} want;

typedef ct_status job(void);

static ct_status pointer(const void *p) { return p ? CT_OK : ct_error_code(); }

static ct_status note(ct_tensor *number) {
  double x;
  ct_status status = ct_item(number, &x);
  assert_true(status != CT_OK || made.n < NUMBERS);
  if (status == CT_OK) made.found[made.n++] = x;
  return status;
}

/* ---- the work -------------------------------------------------------------------------------- */

static ct_status compile_step(void) {
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(BATCH, IN));
  ct_tensor *labels = ct_placeholder(CT_I32, CT_SHAPE(BATCH));
  ct_tensor *loss = loss_of(&f.t, x, labels);
  ct_program_release(&made.program);
  made.program = ct_compile_step(loss, f.t.optim, CT_LIST(x, labels), f.opts);
  return pointer(made.program);
}

static ct_status run_on(ct_tensor *x) {
  ct_tensor *loss;
  ct_status status = ct_run(made.program, CT_LIST(x, f.labels), &loss);
  assert_int_equal(status != CT_OK, ct_is_nil(loss));
  return status == CT_OK ? note(loss) : status;
}

static ct_status run(void) { return run_on(f.x); }
static ct_status run_turned(void) { return run_on(f.turned); }

static ct_status compile_and_run(void) {
  ct_status status = compile_step();
  return status == CT_OK ? run() : status;
}

/* The instance is there already. */
static ct_status compile_and_warm(void) {
  ct_status status = compile_and_run();
  restore(&f.t, f.start);
  return status;
}

static ct_status clipped_step(ct_tensor *loss, trainer *t) {
  ct_tensor *g[4];
  ct_status status = ct_grad(loss, ct_optim_params(t->optim), g);
  if (status == CT_OK) status = ct_clip_grad_norm((ct_list){4, g}, 5, g, NULL);
  return status == CT_OK ? ct_optim_step(t->optim, (ct_list){4, g}) : status;
}

/* Notices nothing. */
static void body(ct_list in, ct_tensor **out, void *payload) {
  out[0] = loss_of(payload, in.at[0], in.at[1]);
  clipped_step(out[0], payload);
}

static ct_status jit(void) {
  ct_tensor *loss;
  if (!made.jit) made.jit = ct_jit_new(body, 1, &f.t, f.opts);
  ct_status status = pointer(made.jit);
  if (status == CT_OK) status = ct_jit_run(made.jit, CT_LIST(f.x, f.labels), &loss);
  return status == CT_OK ? note(loss) : status;
}

static ct_status build_and_run(void) {
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(BATCH, IN));
  ct_tensor *labels = ct_placeholder(CT_I32, CT_SHAPE(BATCH));
  ct_tensor *loss = loss_of(&f.t, x, labels);
  ct_program_release(&made.program);
  ct_status status = ct_build_begin();
  if (status != CT_OK) return status;
  status = clipped_step(loss, &f.t);
  if (status == CT_OK) {
    made.program = ct_compile(CT_LIST(x, labels), CT_LIST(loss), f.opts);
    status = pointer(made.program);
  }
  ct_status end = ct_build_end(); /* whatever happened */
  if (status == CT_OK) status = end;
  return status == CT_OK ? run() : status;
}

static ct_status profile(void) {
  clearerr(f.out);
  return ct_program_profile(made.program, CT_LIST(f.x, f.labels), 2, f.out);
}

static ct_status look(void) {
  clearerr(f.out);
  ct_status status = ct_program_print(made.program, f.out);
  if (status == CT_OK) status = ct_program_dot(made.program, f.out);
  if (status == CT_OK) status = ct_program_memory(made.program, CT_MEMORY_TEXT, f.out);
  if (status == CT_OK) status = ct_program_memory(made.program, CT_MEMORY_SVG, f.out);
  return status;
}

static ct_status compile_layer(void) {
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(BATCH, IN));
  ct_tensor *w = ct_module_params(f.t.model).at[0];
  made.program = ct_compile(
      CT_LIST(x),
      CT_LIST(ct_softmax(ct_matmul(x, ct_dim(w, 0) == IN ? w : ct_transpose(w, 0, 1)), 1)), f.opts);
  return pointer(made.program);
}

static ct_status sum_of_squares(ct_tensor *y, ct_tensor **sum) {
  *sum = ct_sum(ct_square(y), CT_ALL, false);
  return ct_is_nil(*sum) ? ct_error_code() : CT_OK;
}

/* A program called eagerly, differentiated, and as part of another one. */
static ct_status call(void) {
  ct_tensor *v = ct_variable(f.x), *x = ct_placeholder(CT_F32, CT_SHAPE(BATCH, IN)), *y, *g, *sum;
  ct_program *outer = NULL;
  ct_status status = ct_call_program(made.program, CT_LIST(v), &y);
  if (status == CT_OK) status = sum_of_squares(y, &sum);
  if (status == CT_OK) status = note(sum);
  if (status == CT_OK) status = ct_grad(sum, CT_LIST(v), &g);
  if (status == CT_OK) status = sum_of_squares(g, &sum);
  if (status == CT_OK) status = note(sum);
  if (status == CT_OK) status = ct_call_program(made.program, CT_LIST(x), &y);
  if (status == CT_OK) status = sum_of_squares(ct_exp(y), &sum);
  if (status == CT_OK) status = pointer(outer = ct_compile(CT_LIST(x), CT_LIST(sum), f.opts));
  if (status == CT_OK) status = ct_run(outer, CT_LIST(f.turned), &sum);
  if (status == CT_OK) status = note(sum);
  ct_program_release(&outer);
  ct_release(&v);
  return status;
}

/* ---- one failure after the other ------------------------------------------------------------- */

static void begin(job *prepare) {
  restore(&f.t, f.start);
  if (prepare) assert_ok(prepare());
  made.n = 0;
}

static void end(void) {
  ct_program_release(&made.program);
  ct_jit_free(&made.jit);
}

static void assert_near_archives(const ct_archive *a, const ct_archive *b) {
  ct_scope s = ct_scope_begin();
  assert_int_equal(ct_archive_count(a), ct_archive_count(b));
  for (int i = 0; i < ct_archive_count(a); i++) {
    double x[IN * HIDDEN];
    const ct_tensor *t = ct_archive_get(a, ct_archive_name(a, i));
    tensor_values(t, x, ct_size(t));
    assert_values_near(ct_archive_get(b, ct_archive_name(a, i)), ct_size(t), x, 1e-5);
  }
  assert_ok(ct_scope_end(s));
}

/* State is that after a whole number of steps: to the bit, or as products without a packed copy
 * leave it. */
static void assert_whole_steps(bool exactly) {
  const int64_t steps = ct_optim_steps(f.t.optim);
  assert_true(steps <= MOST);
  ct_archive *now = all_of(&f.t);
  (exactly ? assert_same_archives : assert_near_archives)(now, want.after[steps]);
  ct_archive_free(&now);
}

static void assert_failed(ct_status status, long k, bool struck) {
  if (struck && status == CT_ENOMEM && ct_error_code() == status && *ct_error_message()) return;
  fail_msg("allocation %ld: status %d, error %d \"%s\"", k, (int)status, (int)ct_error_code(),
           ct_error_message());
}

static void assert_found(bool exactly) {
  assert_int_equal(made.n, want.n);
  for (int i = 0; i < want.n; i++)
    assert_near(made.found[i], want.found[i], exactly ? 0 : 1e-5 * fabs(want.found[i]));
}

/* The work with allocation k failing; true if one has failed. */
static bool attempt(job *prepare, job *work, long k, bool lasting) {
  ct_cache_flush();
  const long live = heap_live();
  ct_scope scope = ct_scope_begin();
  begin(prepare);
  heap_fail_at(k, lasting);
  ct_status status = work();
  const bool struck = heap_fail_end();
  const bool exactly = !struck || (status != CT_OK && work != profile);
  assert_whole_steps(exactly);
  if (status != CT_OK) {
    assert_failed(status, k, struck);
    if (work != profile) assert_int_equal(ct_optim_steps(f.t.optim), 0);
    ct_error_clear();
    made.n = 0;
    assert_ok(work()); /* and now it works */
    assert_whole_steps(exactly);
  } else {
    ct_error_clear(); /* that something had to be done in another way */
    assert_int_equal(ct_optim_steps(f.t.optim), want.steps);
  }
  assert_found(exactly);
  end();
  assert_ok(ct_scope_end(scope));
  ct_cache_flush();
  if (heap_live() != live) fail_msg("allocation %ld: %ld blocks were lost", k, heap_live() - live);
  return struck;
}

/* again: work that takes one step, to compare with; NULL if there is none. */
static void learn(job *prepare, job *work, job *again) {
  for (int round = 0; round < 2; round++) { /* also what other libraries allocate once */
    ct_scope scope = ct_scope_begin();
    begin(prepare);
    assert_ok(work());
    want.steps = ct_optim_steps(f.t.optim);
    memcpy(want.found, made.found, sizeof made.found);
    want.n = made.n;
    end();
    assert_ok(ct_scope_end(scope));
  }
  ct_scope scope = ct_scope_begin();
  begin(prepare);
  for (int i = 0; i <= MOST; i++) {
    want.after[i] = all_of(&f.t);
    if (again && i < MOST) assert_ok(again());
    made.n = 0;
  }
  end();
  assert_ok(ct_scope_end(scope));
}

static void exhaust(job *prepare, job *work, job *again) {
  learn(prepare, work, again);
  ct_cache_limit(0);
  for (int mode = 0; mode < 2; mode++) {
    long k = 1;
    while (attempt(prepare, work, k, mode)) k++;
    assert_true(k > 1);
  }
  ct_cache_limit((size_t)512 << 20);
  for (int i = 0; i <= MOST; i++) ct_archive_free(&want.after[i]);
}

/* ---- the tests ------------------------------------------------------------------------------- */

static ct_scope stage;

static void make(make_optim *optim, ct_compile_opts opts) {
  static char buffer[1 << 16];
  if (!heap_watched()) skip();
  stage = ct_scope_begin();
  f.t = trainer_new(optim, CT_F32);
  f.start = all_of(&f.t);
  f.opts = opts;
  batch(CT_F32, 0, &f.x, &f.labels);
  f.turned = ct_transpose(ct_contiguous(ct_transpose(f.x, 0, 1)), 0, 1);
  f.out = fopen("/dev/null", "w");
  assert_non_null(f.out);
  assert_int_equal(setvbuf(f.out, buffer, _IOFBF, sizeof buffer), 0);
}

static void unmake(void) {
  fclose(f.out);
  ct_archive_free(&f.start);
  trainer_free(&f.t);
  assert_ok(ct_scope_end(stage));
}

static void exhaust_each(job *prepare, job *work, job *again) {
  make_optim *const each[] = {sgd, adam};
  for (int i = 0; i < 4; i++) {
    make(each[i / 2], (ct_compile_opts){.exact = i % 2});
    exhaust(prepare, work, again);
    unmake();
  }
}

#define EXHAUST(name, prepare, work, again)                                                        \
  static void name(void **state) {                                                                 \
    (void)state;                                                                                   \
    exhaust_each(prepare, work, again);                                                            \
  }
EXHAUST(steps_compiled, NULL, compile_and_run, compile_and_run)
EXHAUST(first_runs, compile_step, run, run)
EXHAUST(later_runs, compile_and_warm, run, run)
EXHAUST(runs_on_other_layouts, compile_and_warm, run_turned, run_turned)
EXHAUST(traced_steps, NULL, jit, jit)
EXHAUST(steps_built_by_hand, NULL, build_and_run, build_and_run)
EXHAUST(programs_profiled, compile_step, profile, run)
EXHAUST(programs_looked_at, compile_step, look, NULL)
EXHAUST(programs_called, compile_layer, call, NULL)

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_SCOPE(steps_compiled),        IN_SCOPE(first_runs),         IN_SCOPE(later_runs),
      IN_SCOPE(runs_on_other_layouts), IN_SCOPE(traced_steps),       IN_SCOPE(steps_built_by_hand),
      IN_SCOPE(programs_profiled),     IN_SCOPE(programs_looked_at), IN_SCOPE(programs_called),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
