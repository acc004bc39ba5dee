/* jit.c - programs by shape: traced and compiled when a combination first occurs. */
#include "program.h"

enum { KEPT = 8 };

typedef struct entry {
  ct_program *p; /* NULL: free */
  uint64_t used; /* the run that used it last */
} entry;

struct ct_jit {
  ct_body *body;
  void *payload;
  int n_out;
  ct_compile_opts opts;
  uint64_t runs;
  entry kept[KEPT];
};

ct_jit *ct_jit_new(ct_body *body, int n_out, void *payload, ct_compile_opts opts) {
  if (!body || n_out < 0) {
    ct__fail(CT_EARG, "ct_jit_new: want a body and a number of results");
    return NULL;
  }
  ct_jit *j = ct__alloc(sizeof *j);
  if (j) *j = (ct_jit){.body = body, .payload = payload, .n_out = n_out, .opts = opts};
  return j;
}

void ct_jit_free(ct_jit **at) {
  ct_jit *j = at ? *at : NULL;
  if (!j) return;
  *at = NULL;
  for (int i = 0; i < KEPT; i++) ct_program_release(&j->kept[i].p);
  ct__free(j, sizeof *j);
}

int ct_jit_programs(const ct_jit *j) {
  int n = 0;
  for (int i = 0; j && i < KEPT; i++) n += j->kept[i].p != NULL;
  return n;
}

/* ---- finding and making programs ------------------------------------------------------------- */

static bool fits(const ct_program *p, ct_list inputs) {
  if (!p || p->n_args != inputs.n) return false;
  for (int i = 0; i < inputs.n; i++) {
    const ct_view *want = &p->value[p->argument[i]].v, *got = &inputs.at[i]->v;
    if (want->dtype != got->dtype || !ct__same_shape(want, got)) return false;
  }
  return true;
}

static entry *find(ct_jit *j, ct_list inputs) {
  for (int i = 0; i < KEPT; i++)
    if (fits(j->kept[i].p, inputs)) return &j->kept[i];
  return NULL;
}

/* A free entry, or the one that was used the longest ago. */
static entry *oldest(ct_jit *j) {
  entry *e = &j->kept[0];
  for (int i = 1; i < KEPT && e->p; i++)
    if (!j->kept[i].p || j->kept[i].used < e->used) e = &j->kept[i];
  return e;
}

/* Runs the body; fails if it did, noticed or not. */
static ct_status run_body(const ct_jit *j, ct_list in, ct_tensor **out) {
  static const char who[] = "ct_jit_run";
  j->body(in, out, j->payload);
  if (ct__status_failed()) return ct_error_code();
  if (!ct__building())
    return ct__fail(CT_ESCOPE, "%s: the body ended the build that it runs in", who);
  for (int o = 0; o < j->n_out; o++)
    if (!out[o]) return ct__fail(CT_EARG, "%s: the body left result %d NULL", who, o);
  return ct__check_list(who, "results", (ct_list){j->n_out, out});
}

/* room: for inputs and results. */
static ct_program *trace(const ct_jit *j, ct_list inputs, ct_tensor **room) {
  const ct_list in = {inputs.n, room}, out = {j->n_out, room + inputs.n};
  ct_program *p = NULL;
  ct_scope scope = ct_scope_begin();
  if (scope.depth < 0) return NULL;
  ct__set_recording(true); /* until the scope ends */
  if (ct__placeholders(inputs, room) && run_body(j, in, room + inputs.n) == CT_OK)
    p = ct_compile(in, out, j->opts);
  ct_scope_end(scope);
  return p;
}

/* Nothing of what is made on the way stays. */
static ct_program *make(const ct_jit *j, ct_list inputs) {
  if (ct__building()) {
    ct__fail(CT_ESCOPE, "ct_jit_run: a build is open, so nothing new can be traced");
    return NULL;
  }
  const size_t bytes = ((size_t)inputs.n + (size_t)j->n_out) * sizeof(ct_tensor *);
  ct_tensor **room = ct__alloc(bytes);
  if (!room) return NULL;
  memset(room, 0, bytes);
  ct_build_begin();
  ct_program *p = trace(j, inputs, room);
  if (ct__building()) ct_build_end();
  ct__free(room, bytes);
  return p;
}

static ct_status run(ct_jit *j, ct_list inputs, ct_tensor **outputs) {
  ct_status status = ct__check_list("ct_jit_run", "inputs", inputs);
  if (status != CT_OK) return status;
  entry *e = find(j, inputs);
  if (!e) {
    ct_program *p = make(j, inputs);
    if (!p) return ct_error_code();
    e = oldest(j);
    ct_program_release(&e->p);
    e->p = p;
  }
  e->used = ++j->runs;
  return ct_run(e->p, inputs, outputs);
}

ct_status ct_jit_run(ct_jit *j, ct_list inputs, ct_tensor **outputs) {
  if (!j) return ct__fail_status(CT_EARG, "ct_jit_run: j is NULL");
  if (!outputs && j->n_out > 0)
    return ct__fail_status(CT_EARG, "ct_jit_run: there is no room for results");
  bool was = ct__status_begin();
  ct_status status = run(j, inputs, outputs);
  for (int o = 0; status != CT_OK && o < j->n_out; o++) outputs[o] = ct_nil();
  return ct__status_end("ct_jit_run", was, status);
}
