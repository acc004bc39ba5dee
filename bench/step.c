/* step.c - one training step against the same step written by hand over OpenBLAS.
 *
 * Forward, softmax cross entropy, gradient, SGD update of a multilayer perceptron, as a user of the
 * library would write it, and as floor.c does it. All start from the same numbers and must agree
 * for 50 steps before anything is timed. With CT_PEER_JAX and CT_PEER_TORCH (a Python that has
 * them), CT_PEER_KANN (its folder) and CT_PEER_GGML (where it is installed) in the environment
 * these do the same side by side.
 */
#include "support/bench.h"
#include "support/floor.h"
#include "support/peer.h"
#include "support/trainee.h"
#include "tensor/tensor_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 50, WAYS = 2, BATCHES = 4, THREADS = 2, LARGEST_FOR_OWN_LOOPS = 128 };
static const double rate = 0.01, tolerance = 1e-4; /* of losses */
/* Of parameters after STEPS steps: a unit near relu's kink may switch a step later. */
static const double loose = 2e-3;
static const int batches[BATCHES] = {1, 16, 128, 2048};

/* ---- our ways -------------------------------------------------------------------------------- */

static const struct way {
  const char *name;
  ct_tensor *(*step)(trainee *t); /* the loss, of the current scope */
  double goal[BATCHES], mean;     /* of each point; of all */
} ways[WAYS] = {{"eager", trainee_eager, {3, 1.8, 1.2, 1.2}, 0},
                {"compiled", trainee_compiled, {1.05, 1.05, 1.05, 1.05}, 0.85}};

typedef struct rival {
  trainee t;
  const struct way *way;
} rival;

static void our_step(void *state) {
  rival *r = state;
  ct_scope s = ct_scope_begin();
  r->way->step(&r->t);
  ct_scope_end(s);
}

static double our_loss(rival *r) {
  double loss = NAN;
  ct_scope s = ct_scope_begin();
  ct_item(r->way->step(&r->t), &loss);
  ct_scope_end(s);
  bench_check_library();
  return loss;
}

/* ---- the peers ------------------------------------------------------------------------------- */

#define COMPILED(peer, options)                                                                    \
  "out=$(mktemp -d) && cc -O3 -march=native -w step_" peer ".c " options                           \
  " -lm -lpthread -o \"$out\"/peer && \"$out\"/peer; rm -r \"$out\""
#define KANN     "-I \"$CT_PEER_KANN\" \"$CT_PEER_KANN\"/kann.c \"$CT_PEER_KANN\"/kautodiff.c"
#define OPENBLAS " $(pkg-config --cflags --libs openblas)"
#define GGML                                                                                       \
  "-I \"$CT_PEER_GGML\"/include -L \"$CT_PEER_GGML\"/lib -Wl,-rpath,\"$CT_PEER_GGML\"/lib "        \
  "-lggml -lggml-cpu -lggml-blas -lggml-base -lstdc++"

/* The first one takes seconds for a step of the largest batch. */
static const bench_peer_place places[] = {
    {"KANN, own loops", "CT_PEER_KANN", COMPILED("kann", KANN)},
    {"KANN, OpenBLAS", "CT_PEER_KANN", COMPILED("kann", "-DHAVE_CBLAS " KANN OPENBLAS)},
    {"ggml, OpenBLAS", "CT_PEER_GGML", COMPILED("ggml", GGML OPENBLAS)},
    {"PyTorch, eager", "CT_PEER_TORCH", "exec \"$CT_PEER_TORCH\" step_torch.py eager"},
    {"PyTorch, compiled", "CT_PEER_TORCH", "exec \"$CT_PEER_TORCH\" step_torch.py compiled"},
    {"JAX, jit", "CT_PEER_JAX", "exec \"$CT_PEER_JAX\" step_jax.py"}};
enum { PEERS = sizeof places / sizeof places[0] };

/* Where peers read the point that is measured: $CT_BENCH_POINT. */
static char folder[] = "/tmp/cotangent-XXXXXX", point_file[sizeof folder + 8];

static void peers_start(bench_peer *peers[PEERS], int threads) {
  for (int i = 0; i < PEERS; i++) peers[i] = bench_peer_start(&places[i], threads);
}

static void peers_end(bench_peer *peers[PEERS]) {
  for (int i = 0; i < PEERS; i++)
    if (peers[i]) bench_peer_end(peers[i]);
}

/* ---- one point ------------------------------------------------------------------------------- */

/* What is chosen; zero and NULL choose all. */
typedef struct choice {
  const floor_shape *shape;
  int batch, threads;
  const char *way;
} choice;

typedef struct point {
  const floor_shape *shape;
  int batch, threads;
  char label[96];
  floor_net *floor;
  double loss[2]; /* of the floor's steps 1 and STEPS */
} point;

static void floor_run(void *state) { floor_step(((point *)state)->floor); }

static void compare_losses(const point *p, const char *who, const double loss[2]) {
  for (int i = 0; i < 2; i++)
    if (!(fabs(loss[i] - p->loss[i]) <= tolerance * fabs(p->loss[i])))
      bench_fail("%s: %s has the loss %.7g at step %d, by hand it is %.7g; nothing is timed",
                 p->label, who, loss[i], i ? STEPS : 1, p->loss[i]);
}

static void point_init(point *p) {
  rival fresh;
  trainee_init(&fresh.t, p->shape, p->batch, rate);
  p->floor = floor_new(p->shape, p->batch, (float)rate);
  floor_tune(p->floor, p->threads);
  trainee_copy_to_floor(&fresh.t, p->floor);
  trainee_write(&fresh.t, point_file);
  trainee_end(&fresh.t);
  for (int step = 1; step <= STEPS; step++) {
    double loss = (double)floor_step(p->floor);
    if (step == 1 || step == STEPS) p->loss[step == STEPS] = loss;
  }
}

/* The floor's parameters are those after STEPS steps only until it is timed. */
static void check_ours(point *p, rival *r) {
  double loss[2] = {0};
  trainee_copy_to_floor(&r->t, p->floor);
  for (int step = 1; step <= STEPS; step++) {
    double its = our_loss(r);
    floor_step(p->floor);
    if (step == 1 || step == STEPS) loss[step == STEPS] = its;
  }
  compare_losses(p, r->way->name, loss);
  double error = trainee_difference(&r->t, p->floor);
  if (!(error <= loose))
    bench_fail("%s: a parameter of %s differs by %.2g after %d steps; nothing is timed", p->label,
               r->way->name, error, STEPS);
}

static bench_result measure_ours(point *p, const struct way *way, bench_report *report,
                                 double goal) {
  rival r = {.way = way};
  trainee_init(&r.t, p->shape, p->batch, rate);
  check_ours(p, &r);
  bench_result result = bench_alternate((bench_way){.run = our_step, .state = &r},
                                        (bench_way){.run = floor_run, .state = p});
  bench_check_library();
  trainee_end(&r.t);
  bench_report_cell(report, (bench_cell){.label = p->label, .column = way->name, .goal = goal},
                    &result);
  bench_report_note(report, "products_by_hand", floor_ways(p->floor));
  return result;
}

static void measure_peer(point *p, bench_peer *peer, const char *name, bench_report *report) {
  double loss[2] = {bench_peer_ask(peer, "load", 1), bench_peer_ask(peer, "load", STEPS)};
  compare_losses(p, name, loss);
  bench_way theirs;
  if (!bench_peer_way(peer, "step", &theirs)) bench_fail("%s has no steps", name);
  bench_result result = bench_alternate(theirs, (bench_way){.run = floor_run, .state = p});
  bench_report_cell(report, (bench_cell){.label = p->label, .column = name}, &result);
  bench_report_note(report, "version", bench_peer_name(peer));
}

/* ---- all points ------------------------------------------------------------------------------ */

static bool wanted(const char *chosen, const char *name) {
  return !chosen || strcmp(chosen, name) == 0;
}

/* The results of our ways, for their means. */
typedef struct tally {
  int n;
  bench_result at[FLOOR_SHAPES * BATCHES];
} tally;

static void measure(const choice *c, point *p, int batch, bench_peer *peers[PEERS],
                    bench_report *report, tally tallies[WAYS]) {
  p->batch = batches[batch];
  snprintf(p->label, sizeof p->label, "%s %s, batch %d, %d thread%s", p->shape->letter,
           p->shape->name, p->batch, p->threads, p->threads > 1 ? "s" : "");
  point_init(p);
  for (int i = 0; i < WAYS; i++)
    if (wanted(c->way, ways[i].name))
      tallies[i].at[tallies[i].n++] = measure_ours(p, &ways[i], report, ways[i].goal[batch]);
  for (int i = 0; i < PEERS; i++)
    if (peers[i] && wanted(c->way, "peers") && (i > 0 || p->batch <= LARGEST_FOR_OWN_LOOPS))
      measure_peer(p, peers[i], places[i].name, report);
  floor_free(p->floor);
}

/* Where vectors are short, more of the step is products, which leave less to gain. CT_ISA=v3 makes
 * them short for the library, OPENBLAS_CORETYPE=Haswell for the floor. */
static bool long_vectors(void) {
  enum { AVX512 = 2 };
  return ct__isa() == AVX512;
}

static void measure_threads(const choice *c, int threads, bench_report *report) {
  tally tallies[WAYS] = {{0}};
  bench_peer *peers[PEERS] = {NULL};
  if (!bench_threads(threads)) {
    printf("\nskipped: %d threads (there are not so many processors)\n\n", threads);
    return;
  }
  ct_set_threads(threads);
  if (wanted(c->way, "peers")) peers_start(peers, threads);
  for (int i = 0; i < FLOOR_SHAPES; i++)
    for (int j = 0; j < BATCHES; j++) {
      point p = {.shape = &floor_shapes[i], .threads = threads};
      if ((!c->shape || c->shape == p.shape) && (!c->batch || c->batch == batches[j]))
        measure(c, &p, j, peers, report, tallies);
    }
  peers_end(peers);
  for (int i = 0; i < WAYS; i++) {
    if (!tallies[i].n) continue;
    char label[64];
    snprintf(label, sizeof label, "geometric mean, %d thread%s", threads, threads > 1 ? "s" : "");
    bench_result mean = bench_geometric_mean(tallies[i].n, tallies[i].at);
    double goal = ways[i].mean > 0 && threads == 1 && !long_vectors() ? 0.9 : ways[i].mean;
    bench_report_cell(report, (bench_cell){label, ways[i].name, goal, false}, &mean);
  }
}

/* ---- options --------------------------------------------------------------------------------- */

static _Noreturn void usage(void) {
  fputs("usage: step [network=A|B|C] [batch=1|16|128|2048] [threads=1|2] [way=NAME]\n"
        "NAME is one of:",
        stderr);
  for (int i = 0; i < WAYS; i++) fprintf(stderr, " %s,", ways[i].name);
  fputs(" peers\nThe results are kept only when nothing is chosen.\n", stderr);
  exit(2);
}

static const char *value_of(const char *option, const char *name) {
  size_t n = strlen(name);
  return strncmp(option, name, n) == 0 && option[n] == '=' ? option + n + 1 : NULL;
}

static bool choose_network(choice *c, const char *value) {
  for (int i = 0; i < FLOOR_SHAPES; i++)
    if (strcmp(floor_shapes[i].letter, value) == 0) c->shape = &floor_shapes[i];
  return c->shape;
}

static bool choose_batch(choice *c, const char *value) {
  char text[16];
  for (int i = 0; i < BATCHES; i++) {
    snprintf(text, sizeof text, "%d", batches[i]);
    if (strcmp(value, text) == 0) c->batch = batches[i];
  }
  return c->batch;
}

static bool choose_threads(choice *c, const char *value) {
  c->threads = strcmp(value, "1") == 0 ? 1 : strcmp(value, "2") == 0 ? 2 : 0;
  return c->threads;
}

static bool choose_way(choice *c, const char *value) {
  if (strcmp(value, "peers") == 0) c->way = value;
  for (int i = 0; i < WAYS; i++)
    if (strcmp(ways[i].name, value) == 0) c->way = value;
  return c->way;
}

static choice parse(int argc, char **argv) {
  static const struct option {
    const char *name;
    bool (*choose)(choice *c, const char *value);
  } options[] = {{"network", choose_network},
                 {"batch", choose_batch},
                 {"threads", choose_threads},
                 {"way", choose_way}};
  choice c = {0};
  for (int i = 1; i < argc; i++) {
    bool known = false;
    for (size_t j = 0; j < sizeof options / sizeof options[0] && !known; j++) {
      const char *value = value_of(argv[i], options[j].name);
      known = value && options[j].choose(&c, value);
    }
    if (!known) usage();
  }
  return c;
}

int main(int argc, char **argv) {
  choice c = parse(argc, argv);
  bench_begin();
  if (!mkdtemp(folder)) bench_fail("cannot make a folder in /tmp");
  snprintf(point_file, sizeof point_file, "%s/point", folder);
  setenv("CT_BENCH_POINT", point_file, 1);
  bench_report *report =
      bench_report_new("step", (const char *const[]){"training step", "library", "by hand"});
  for (int threads = 1; threads <= THREADS; threads++)
    if (!c.threads || c.threads == threads) measure_threads(&c, threads, report);
  unlink(point_file);
  rmdir(folder);
  return (argc > 1 ? bench_report_drop : bench_report_end)(report) ? 0 : 1;
}
