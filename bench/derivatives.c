/* derivatives.c - what derivatives cost, against what they are derivatives of or made of.
 *
 * The network is B of floor.h, the multilayer perceptron 784-256-128-10 with relu, at batch 128.
 * Where it does not say compiled it is eager: a user's code, from the forward pass to the release
 * of the results. With CT_PEER_JAX and CT_PEER_TORCH (a Python that has them) and CT_PEER_KANN (its
 * folder) in the environment these do the same side by side.
 */
#include "support/chains.h"
#include "support/peer.h"
#include "support/trainee.h"
#include "tensor/tensor_internal.h"

#include <cblas.h>
#include <cotangent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NETWORK = 1, BATCH = 128, PARAMS = 6 };
enum { FUNCTION, GRADIENT, HVP, PROGRAMS }; /* that are compiled */

/* ---- the network ----------------------------------------------------------------------------- */

typedef struct network {
  trainee t;
  ct_tensor *one_each[2]; /* its x and labels as a batch of batches of one; kept */
  ct_tensor *v[PARAMS];   /* a direction in the space of parameters; kept */
  ct_program *program[PROGRAMS];
  size_t gradient_bytes;
  char *memory; /* as large as the gradients of all samples */
} network;

static ct_tensor *random_of(ct_tensor *key, int i, ct_shape shape) {
  return ct_uniform(ct_key_fold(key, i), CT_F32, shape, 0, 1);
}

static ct_list params_of(const network *n) { return ct_module_params(n->t.model); }

static void network_init(network *n) {
  trainee_init(&n->t, &floor_shapes[NETWORK], BATCH, 0.01);
  ct_scope s = ct_scope_begin();
  n->one_each[0] = ct_keep(ct_expand_dims(n->t.x, 1));
  n->one_each[1] = ct_keep(ct_expand_dims(n->t.labels, 1));
  ct_list params = params_of(n);
  n->gradient_bytes = 0;
  for (int i = 0; i < PARAMS; i++) {
    n->v[i] = ct_keep(random_of(ct_key(3), i, ct_shape_of(params.at[i])));
    n->gradient_bytes += (size_t)ct_size(params.at[i]) * sizeof(float);
  }
  n->memory = bench_alloc(BATCH, n->gradient_bytes);
  ct_scope_end(s);
}

static void network_end(network *n) {
  for (int i = 0; i < PROGRAMS; i++) ct_program_release(&n->program[i]);
  for (int i = 0; i < 2; i++) ct_release(&n->one_each[i]);
  for (int i = 0; i < PARAMS; i++) ct_release(&n->v[i]);
  free(n->memory);
  trainee_end(&n->t);
}

static ct_tensor *loss_of(const network *n) {
  return ct_cross_entropy(ct_forward(n->t.model, n->t.x), n->t.labels);
}

static void run_function(void *state) {
  ct_scope s = ct_scope_begin_with(CT_NO_RECORD);
  loss_of(state);
  ct_scope_end(s);
}

static void run_recorded(void *state) {
  ct_scope s = ct_scope_begin();
  loss_of(state);
  ct_scope_end(s);
}

static void gradient(const network *n, ct_tensor **g) { ct_grad(loss_of(n), params_of(n), g); }

static void run_gradient(void *state) {
  ct_tensor *g[PARAMS];
  ct_scope s = ct_scope_begin();
  gradient(state, g);
  ct_scope_end(s);
}

static void hvp(const network *n, ct_tensor **hv) {
  ct_hvp(loss_of(n), params_of(n), (ct_list){PARAMS, (ct_tensor **)(uintptr_t)n->v}, hv);
}

static void run_hvp(void *state) {
  ct_tensor *hv[PARAMS];
  ct_scope s = ct_scope_begin();
  hvp(state, hv);
  ct_scope_end(s);
}

/* The same three as programs. */
static void network_compile(network *n) {
  ct_scope s = ct_scope_begin();
  ct_tensor *x = ct_placeholder(CT_F32, ct_shape_of(n->t.x)), *g[PARAMS], *hv[PARAMS];
  ct_tensor *labels = ct_placeholder(CT_I32, ct_shape_of(n->t.labels));
  ct_tensor *loss = ct_cross_entropy(ct_forward(n->t.model, x), labels);
  ct_grad(loss, params_of(n), g);
  ct_hvp(loss, params_of(n), (ct_list){PARAMS, n->v}, hv);
  const ct_list outputs[PROGRAMS] = {CT_LIST(loss), {PARAMS, g}, {PARAMS, hv}};
  for (int i = 0; i < PROGRAMS; i++)
    n->program[i] = ct_compile(CT_LIST(x, labels), outputs[i], (ct_compile_opts){0});
  ct_scope_end(s);
}

static void run_program(const network *n, int i, ct_tensor **outputs) {
  ct_run(n->program[i], CT_LIST(n->t.x, n->t.labels), outputs);
}

#define RUN_PROGRAM(name, i)                                                                       \
  static void name(void *state) {                                                                  \
    ct_tensor *outputs[PARAMS];                                                                    \
    ct_scope s = ct_scope_begin();                                                                 \
    run_program(state, i, outputs);                                                                \
    ct_scope_end(s);                                                                               \
  }
RUN_PROGRAM(replay_function, FUNCTION)
RUN_PROGRAM(replay_gradient, GRADIENT)
RUN_PROGRAM(replay_hvp, HVP)

/* The gradient of the loss of each sample: the recipe for one, mapped over all. */
static void per_sample(const network *n, ct_tensor **g) {
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(1, n->t.shape->width[0]));
  ct_tensor *label = ct_placeholder(CT_I32, CT_SHAPE(1)), *one[PARAMS];
  ct_grad(ct_cross_entropy(ct_forward(n->t.model, x), label), params_of(n), one);
  ct_vmap((ct_list){PARAMS, one}, CT_LIST(x, label), CT_LIST(n->one_each[0], n->one_each[1]),
          (ct_vmap_opts){0}, g);
}

static void run_per_sample(void *state) {
  ct_tensor *g[PARAMS];
  ct_scope s = ct_scope_begin();
  per_sample(state, g);
  ct_scope_end(s);
}

static void run_gradient_and_write(void *state) {
  const network *n = state;
  run_gradient(state);
  memset(n->memory, 1, BATCH * n->gradient_bytes);
}

/* ---- a Jacobian ------------------------------------------------------------------------------ */

/* y = A x, and the product that its Jacobian must be: rows (rows, rows) times A in reverse mode, A
 * times (columns, columns) in forward mode. */
typedef struct linear_map {
  int rows, columns;
  ct_jacobian_mode mode;
  ct_tensor *a, *x;              /* kept */
  float *unit, *matrix, *result; /* of the product by hand */
} linear_map;

static void linear_map_init(linear_map *m, int rows, int columns, ct_jacobian_mode mode) {
  *m = (linear_map){.rows = rows, .columns = columns, .mode = mode};
  size_t n = (size_t)(mode == CT_JACOBIAN_REVERSE ? rows : columns);
  size_t size = (size_t)rows * (size_t)columns;
  ct_scope s = ct_scope_begin();
  m->a = ct_keep(random_of(ct_key(2), 0, CT_SHAPE(rows, columns)));
  m->x = ct_variable(random_of(ct_key(2), 1, CT_SHAPE(columns)));
  m->unit = bench_alloc(n * n, sizeof(float));
  m->matrix = bench_alloc(size, sizeof(float));
  m->result = bench_alloc(size, sizeof(float));
  for (size_t i = 0; i < n; i++) m->unit[i * n + i] = 1;
  ct_copy_out(m->a, m->matrix, size * sizeof(float));
  ct_scope_end(s);
}

static void linear_map_end(linear_map *m) {
  ct_release(&m->a);
  ct_release(&m->x);
  free(m->unit);
  free(m->matrix);
  free(m->result);
}

static ct_tensor *jacobian(const linear_map *m) {
  return ct_jacobian(ct_matmul(m->a, m->x), m->x, m->mode);
}

static void run_jacobian(void *state) {
  ct_scope s = ct_scope_begin();
  jacobian(state);
  ct_scope_end(s);
}

static void run_product(void *state) {
  const linear_map *m = state;
  bool reverse = m->mode == CT_JACOBIAN_REVERSE;
  int inner = reverse ? m->rows : m->columns;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m->rows, m->columns, inner, 1,
              reverse ? m->unit : m->matrix, inner, reverse ? m->matrix : m->unit, m->columns, 0,
              m->result, m->columns);
}

/* ---- nothing is timed before it is right ----------------------------------------------------- */

/* The largest difference of two lists of tensors, relative to the largest element. */
static double difference(int n, ct_tensor *const *a, ct_tensor *const *b) {
  double worst = 0, largest = 0;
  for (int i = 0; i < n; i++) {
    double error, size;
    ct_item(ct_max(ct_abs(ct_sub(a[i], b[i])), CT_ALL, false), &error);
    ct_item(ct_max(ct_abs(b[i]), CT_ALL, false), &size);
    bench_check_library();
    worst = error <= worst ? worst : error; /* NaN is the worst */
    largest = fmax(largest, size);
  }
  return worst / largest;
}

static void expect(const char *what, double error, double tolerance) {
  if (!(error <= tolerance)) bench_fail("%s is wrong by %.2g; nothing is timed", what, error);
}

/* The gradient of the sum of g v, reverse over reverse. */
static void hvp_in_reverse(const network *n, ct_tensor **hv) {
  ct_tensor *g[PARAMS], *inner = ct_scalar(CT_F32, 0);
  gradient(n, g);
  for (int i = 0; i < PARAMS; i++)
    inner = ct_add(inner, ct_sum(ct_mul(g[i], n->v[i]), CT_ALL, false));
  ct_grad(inner, params_of(n), hv);
}

static void check_network(const network *n) {
  ct_tensor *g[PARAMS], *mean[PARAMS], *hv[PARAMS], *other[PARAMS];
  ct_scope s = ct_scope_begin();
  gradient(n, g);
  per_sample(n, mean);
  for (int i = 0; i < PARAMS; i++) mean[i] = ct_mean(mean[i], CT_AXES(0), false);
  expect("the mean of the gradients per sample", difference(PARAMS, mean, g), 1e-5);
  hvp(n, hv);
  hvp_in_reverse(n, other);
  expect("the Hessian-vector product", difference(PARAMS, hv, other), 1e-4);
  run_program(n, HVP, other);
  expect("the compiled Hessian-vector product", difference(PARAMS, other, hv), 1e-4);
  run_program(n, GRADIENT, other);
  expect("the compiled gradient", difference(PARAMS, other, g), 1e-5);
  ct_scope_end(s);
}

static void check_jacobian(const linear_map *m) {
  ct_scope s = ct_scope_begin();
  ct_tensor *j = jacobian(m);
  expect("the Jacobian", difference(1, &j, &m->a), 0);
  ct_scope_end(s);
}

/* ---- the tables ------------------------------------------------------------------------------ */

typedef struct task {
  const char *name; /* as peers know it */
  bench_way way;
} task;

typedef struct goal {
  const char *label;
  double goal;
  bench_way ours, floor;
} goal;

static void print_goals(int n, const goal *g, const chains *all) {
  bench_report *report =
      bench_report_new("derivatives", (const char *const[]){"ratio of", "first", "second"});
  for (int i = 0; i < n; i++) {
    bench_result r = bench_alternate(g[i].ours, g[i].floor);
    bench_check_library();
    if (g[i].ours.state == all) r = chains_each(all, r);
    bench_report_row(report, g[i].label, g[i].goal, &r);
  }
  if (!bench_report_end(report)) exit(1);
}

/* Our time for each task over the peer's, then what the peer's derivatives cost it. */
static void compare_with(const bench_peer_place *place, int n, const task *tasks) {
  static const char *const ratio[][2] = {{"gradient", "function"},
                                         {"gradient", "recorded"},
                                         {"hvp", "gradient"},
                                         {"per_sample", "gradient"}};
  const char *name = place->name;
  bench_peer *p = bench_peer_start(place, 1);
  if (!p) return;
  char report_name[64], label[128];
  snprintf(report_name, sizeof report_name, "derivatives_%s", name);
  bench_report *report =
      bench_report_new(report_name, (const char *const[]){bench_peer_name(p), "first", "second"});
  for (int i = 0; i < n; i++) {
    bench_way theirs;
    if (!bench_peer_way(p, tasks[i].name, &theirs)) continue;
    bench_result r = bench_alternate(tasks[i].way, theirs);
    bench_check_library();
    snprintf(label, sizeof label, "%s: library / %s", tasks[i].name, name);
    bool scalar = strcmp(tasks[i].name, "chains") == 0;
    if (scalar) r = chains_each(tasks[i].way.state, r);
    bench_report_row(report, label, scalar ? 0.6 : 0, &r);
  }
  for (size_t i = 0; i < sizeof ratio / sizeof ratio[0]; i++) {
    bench_way first, second;
    if (!bench_peer_way(p, ratio[i][0], &first) || !bench_peer_way(p, ratio[i][1], &second))
      continue;
    bench_result r = bench_alternate(first, second);
    snprintf(label, sizeof label, "%s: %s / %s", name, ratio[i][0], ratio[i][1]);
    bench_report_row(report, label, 0, &r);
  }
  bench_peer_end(p);
  if (!bench_report_end(report)) exit(1);
}

static const bench_peer_place scalars = {
    "kann", "CT_PEER_KANN",
    "out=$(mktemp -d) && cc -O3 -w -I \"$CT_PEER_KANN\" kann.c \"$CT_PEER_KANN\"/kautodiff.c -lm "
    "-o \"$out\"/kann && \"$out\"/kann; rm -r \"$out\""};
static const bench_peer_place tensors[] = {
    {"jax", "CT_PEER_JAX", "exec \"$CT_PEER_JAX\" with_jax.py"},
    {"torch", "CT_PEER_TORCH", "exec \"$CT_PEER_TORCH\" with_torch.py"}};

#define WAY(function, of) ((bench_way){.run = (function), .state = (of)})

/* With the argument `full` also forward mode of the wider matrix, whose identity is 400 MB. */
int main(int argc, char **argv) {
  bench_begin();
  network n;
  linear_map reverse, forward, full;
  chains all = {.x = ct_variable(ct_scalar(CT_F32, 0.9)), .kinds = CHAIN_KINDS};
  bool with_full = argc == 2 && strcmp(argv[1], "full") == 0;
  if (argc > 1 && !with_full) bench_fail("derivatives has one option, full, got '%s'", argv[1]);
  const task chain = {"chains", WAY(chains_run, &all)};
  compare_with(&scalars, 1, &chain); /* both in a process that has done nothing else yet */
  network_init(&n);
  network_compile(&n);
  linear_map_init(&reverse, 100, 10000, CT_JACOBIAN_REVERSE);
  linear_map_init(&forward, 100, 1000, CT_JACOBIAN_FORWARD);
  linear_map_init(&full, 100, with_full ? 10000 : 10, CT_JACOBIAN_FORWARD);
  bench_check_library();
  check_network(&n);
  check_jacobian(&reverse);
  check_jacobian(&forward);

  const goal goals[] = {
      {"gradient / function, recorded", 2.6, WAY(run_gradient, &n), WAY(run_recorded, &n)},
      {"gradient / function, not recorded", 0, WAY(run_gradient, &n), WAY(run_function, &n)},
      {"Hessian-vector product / gradient", 2.6, WAY(run_hvp, &n), WAY(run_gradient, &n)},
      {"compiled gradient / compiled function", 2.3, WAY(replay_gradient, &n),
       WAY(replay_function, &n)},
      {"compiled Hessian-vector product / compiled gradient", 1.85, WAY(replay_hvp, &n),
       WAY(replay_gradient, &n)},
      {"gradients per sample / (gradient + writing 120 MB)", 1.5, WAY(run_per_sample, &n),
       WAY(run_gradient_and_write, &n)},
      {"Jacobian of A x, 100 x 10000, reverse / its product", 3, WAY(run_jacobian, &reverse),
       WAY(run_product, &reverse)},
      {"Jacobian of A x, 100 x 1000, forward / its product", 3, WAY(run_jacobian, &forward),
       WAY(run_product, &forward)},
      {"scalar operation with gradient / malloc and free", 6, WAY(chains_run, &all),
       WAY(chains_pairs, &all)},
      {"Jacobian of A x, 100 x 10000, forward / its product", 3, WAY(run_jacobian, &full),
       WAY(run_product, &full)}};
  print_goals(CT__COUNT(goals) - !with_full, goals, &all);
  const task tasks[] = {{"function", WAY(replay_function, &n)},
                        {"recorded", WAY(run_recorded, &n)},
                        {"gradient", WAY(replay_gradient, &n)},
                        {"hvp", WAY(replay_hvp, &n)},
                        {"per_sample", WAY(run_per_sample, &n)},
                        {"jacobian_reverse", WAY(run_jacobian, &reverse)},
                        {"jacobian_forward", WAY(run_jacobian, &forward)},
                        chain};
  for (size_t i = 0; i < CT__COUNT(tensors); i++)
    compare_with(&tensors[i], CT__COUNT(tasks), tasks);
  linear_map_end(&reverse);
  linear_map_end(&forward);
  linear_map_end(&full);
  network_end(&n);
  ct_release(&all.x);
  return 0;
}
