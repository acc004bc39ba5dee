/* compile.c - from a recipe to a program: the passes in their order. */
#include "program.h"

#include <time.h>

/* ---- the build that is open on this thread --------------------------------------------------- */

typedef struct build {
  bool open;
  bool lost; /* memory ran out for an assignment: what is compiled would lack it */
  int n, room;
  ct_tensor **pair; /* variable, value, variable, ...; one reference each */
} build;

static _Thread_local build now;

bool ct__building(void) { return now.open; }

ct_status ct_build_begin(void) {
  if (now.open) return ct__fail_status(CT_ESCOPE, "ct_build_begin: a build is open already");
  now.open = true;
  return CT_OK;
}

ct_status ct_build_end(void) {
  if (!now.open) return ct__fail_status(CT_ESCOPE, "ct_build_end: no build is open");
  for (int i = 0; i < 2 * now.n; i++) ct_release(&now.pair[i]);
  ct__free(now.pair, 2 * (size_t)now.room * sizeof *now.pair);
  now = (build){0};
  return CT_OK;
}

static bool make_room(void) {
  if (now.n < now.room) return true;
  int room = now.room ? 2 * now.room : 16;
  ct_tensor **pair = ct__alloc(2 * (size_t)room * sizeof *pair);
  if (!pair) return false;
  if (now.n > 0) memcpy(pair, now.pair, 2 * (size_t)now.n * sizeof *pair);
  ct__free(now.pair, 2 * (size_t)now.room * sizeof *pair);
  now.pair = pair;
  now.room = room;
  return true;
}

ct_status ct__build_assign(ct_tensor *variable, ct_tensor *value) {
  for (int u = 0; u < now.n; u++)
    if (now.pair[2 * u] == variable) {
      ct_tensor *old = now.pair[2 * u + 1];
      now.pair[2 * u + 1] = ct_keep(value);
      ct_release(&old);
      return CT_OK;
    }
  if (!make_room()) {
    now.lost = true;
    return CT_ENOMEM;
  }
  now.pair[2 * now.n] = ct_keep(variable);
  now.pair[2 * now.n + 1] = ct_keep(value);
  now.n++;
  return CT_OK;
}

/* ---- passes ---------------------------------------------------------------------------------- */

static const struct pass {
  const char *name;
  ct__pass *run;
  bool fast; /* not in exact programs */
} passes[] = {
    {"keys", ct__pass_keys, false},       {"common subexpressions", ct__pass_common, false},
    {"algebra", ct__pass_algebra, false}, /* leaves out what is not exact itself */
    {"dead code", ct__pass_dead, false},  {"layout", ct__pass_layout, false},
    {"repeats", ct__pass_repeats, false}, /* as algebra */
    {"pairs", ct__pass_pairs, false},     {"updates", ct__pass_updates, true},
    {"fusion", ct__pass_fuse, false},     {"products", ct__pass_products, false},
    {"bounds", ct__pass_bounds, true},    {"schedule", ct__pass_schedule, false},
    {"sweeps", ct__pass_sweeps, false},   {"plan", ct__pass_plan, false},
    {"pack", ct__pass_pack, false},
};

#ifdef NDEBUG
static const bool always_verify = false;
#else
static const bool always_verify = true;
#endif

/* What a pass has worked with goes at once: should the program refer to it, verifying it tells. */
static ct_status end_pass(ct_program *p, const char *name, bool last) {
  ct__scratch_empty(p);
  return p->verify || always_verify ? ct__verify(p, name, last) : CT_OK;
}

static ct_status run_passes(ct_program *p) {
  ct_status status = end_pass(p, "linearise", false);
  for (int i = 0; i < CT__COUNT(passes) && status == CT_OK; i++) {
    if (p->exact && passes[i].fast) continue;
    status = passes[i].run(p);
    if (status == CT_OK) status = end_pass(p, passes[i].name, i == CT__COUNT(passes) - 1);
  }
  return status;
}

/* Which input's or result's memory value i lies in: inputs count first; -1 for neither. */
static int run_key(const ct_program *p, int i) {
  const ct__value *base = ct__base(p, i);
  if (base->home == CT__ARGUMENT) return base->argument;
  return base->home == CT__COMPUTED && base->result >= 0 ? p->n_args + base->result : -1;
}

/* What every run looks at: captured tensors, and the values in the memory of inputs and results. */
static ct_status index_memory(ct_program *p) {
  int n = p->n_args + p->n_out;
  p->moved_at = ct__zone_alloc(p, (size_t)(n + 1) * sizeof *p->moved_at);
  p->moved = ct__zone_alloc(p, (size_t)p->n_values * sizeof *p->moved + 1);
  p->captured = ct__zone_alloc(p, (size_t)p->n_values * sizeof *p->captured + 1);
  p->updated = ct__zone_alloc(p, (size_t)p->n_updates * sizeof *p->updated + 1);
  int *cursor = ct__scratch_alloc(p, (size_t)n * sizeof *cursor + 1);
  if (!p->moved_at || !p->moved || !p->captured || !p->updated || !cursor) return CT_ENOMEM;
  for (int i = 0; i < p->n_values; i++)
    if (run_key(p, i) >= 0) p->moved_at[run_key(p, i) + 1]++;
  for (int k = 0; k < n; k++) p->moved_at[k + 1] += p->moved_at[k];
  memcpy(cursor, p->moved_at, (size_t)n * sizeof *cursor);
  for (int i = 0; i < p->n_values; i++)
    if (run_key(p, i) >= 0) p->moved[cursor[run_key(p, i)]++] = i;
  for (int i = 0; i < p->n_values; i++)
    if (p->value[i].tensor) p->captured[p->n_captured++] = p->value[i].tensor;
  for (int u = 0; u < p->n_updates; u++) p->updated[u] = p->value[p->update[u].variable].tensor;
  return CT_OK;
}

/* ---- the public face ------------------------------------------------------------------------- */

/* Outputs, then the values of updates. */
static ct_list wanted(ct_list outputs, ct_tensor **room) {
  if (outputs.n > 0) memcpy(room, outputs.at, (size_t)outputs.n * sizeof *room);
  for (int u = 0; u < now.n; u++) room[outputs.n + u] = now.pair[2 * u + 1];
  return (ct_list){outputs.n + now.n, room};
}

static ct_list updated(ct_tensor **room) {
  for (int u = 0; u < now.n; u++) room[u] = now.pair[2 * u];
  return (ct_list){now.n, room};
}

static ct_status compile(ct_program *p, ct_list inputs, ct_list outputs) {
  ct_tensor **room = ct__scratch_alloc(p, (size_t)(outputs.n + 2 * now.n + 1) * sizeof *room);
  if (!room) return CT_ENOMEM;
  p->f = ct__function_make("ct_compile", CT__COMPILE, inputs, wanted(outputs, room));
  if (!p->f) return ct_error_code();
  ct_status status = ct__linearise(p, updated(room + outputs.n + now.n));
  if (status == CT_OK) status = run_passes(p);
  if (status == CT_OK) status = index_memory(p);
  if (p->n_updates > 0) ct_function_release(&p->f);
  ct__scratch_empty(p);
  return status;
}

static double seconds(void) {
  struct timespec t;
  timespec_get(&t, TIME_UTC);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

ct_program *ct_compile(ct_list inputs, ct_list outputs, ct_compile_opts opts) {
  if (ct__check_list("ct_compile", "outputs", outputs) != CT_OK) return NULL;
  if (now.lost) {
    ct__fail(CT_ENOMEM, "ct_compile: out of memory in an earlier ct_assign");
    return NULL;
  }
  ct_program *p = ct__alloc(sizeof *p);
  if (!p) return NULL;
  memset(p, 0, sizeof *p);
  atomic_init(&p->refs, 1);
  atomic_flag_clear(&p->lock);
  p->exact = opts.exact;
  p->verify = opts.verify;
  double start = seconds();
  ct_status status = compile(p, inputs, outputs);
  p->seconds = seconds() - start;
  if (status == CT_ENOMEM) ct__out_of_memory("ct_compile");
  if (status != CT_OK) ct_program_release(&p);
  return p;
}
