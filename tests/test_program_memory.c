/* test_program_memory.c - the memory of programs, worked out anew from their instructions: how
 * large the arena is, who lies where when, and what each instruction writes; and what a training
 * step takes from the system. */
#include "step_trainer.h"

#include "failing_malloc.h"

#include "autograd/compile/program.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { LINE = 64 }; /* blocks of the arena begin at whole lines */

static size_t lines(size_t bytes) { return (bytes + LINE - 1) / LINE * LINE; }

static bool in_arena(const ct_program *p, int i) {
  const ct__value *x = &p->value[i];
  return x->base == i && x->home == CT__COMPUTED && x->result < 0 && x->v.size > 0;
}

static int operands(const ct__instr *k) { return k->n_in + k->n_out; }

/* ---- the largest live set -------------------------------------------------------------------- */

static void find_lives(const ct_program *p, int *first, int *last) {
  for (int i = 0; i < p->n_values; i++) first[i] = last[i] = -1;
  for (int k = p->n_instrs - 1; k >= 0; k--)
    for (int i = 0; i < operands(&p->instr[k]); i++) {
      const int base = p->value[p->instr[k].arg[i]].base;
      first[base] = k;
      if (last[base] < 0) last[base] = k;
    }
}

static size_t largest_live_set(const ct_program *p) {
  int *first = calloc(2 * (size_t)p->n_values + 1, sizeof *first), *last = first + p->n_values;
  assert_non_null(first);
  find_lives(p, first, last);
  size_t most = 0;
  for (int k = 0; k < p->n_instrs; k++) {
    size_t live = lines(p->instr[k].work);
    for (int i = 0; i < p->n_values; i++)
      if (in_arena(p, i) && first[i] >= 0 && first[i] <= k && k <= last[i])
        live += lines(ct__value_bytes(&p->value[i]));
    if (live > most) most = live;
  }
  free(first);
  return most;
}

/* ---- who owns which line of the arena -------------------------------------------------------- */

static void claim(const ct_program *p, int *owner, size_t at, size_t bytes, int who) {
  assert_int_equal(at % LINE, 0);
  assert_true(at + bytes <= p->arena);
  for (size_t l = at / LINE; l < (at + bytes + LINE - 1) / LINE; l++) owner[l] = who;
}

static void assert_owned(const ct_program *p, const int *owner, int base) {
  const ct__value *x = &p->value[base];
  for (size_t l = x->at / LINE; l < (x->at + ct__value_bytes(x) + LINE - 1) / LINE; l++)
    assert_int_equal(owner[l], base);
}

/* Whatever an instruction reads is still there, even when it has written. */
static void assert_places(const ct_program *p) {
  int *owner = malloc((p->arena / LINE + 1) * sizeof *owner);
  assert_non_null(owner);
  memset(owner, 0xff, (p->arena / LINE + 1) * sizeof *owner);
  for (int k = 0; k < p->n_instrs; k++) {
    const ct__instr *instr = &p->instr[k];
    for (int o = 0; o < instr->n_out; o++) {
      const int base = p->value[ct__outs(instr)[o]].base;
      if (in_arena(p, base))
        claim(p, owner, p->value[base].at, ct__value_bytes(&p->value[base]), base);
    }
    if (instr->work) claim(p, owner, instr->work_at, instr->work, -2);
    for (int i = 0; i < operands(instr); i++) {
      const int base = p->value[instr->arg[i]].base;
      if (in_arena(p, base)) assert_owned(p, owner, base);
    }
  }
  free(owner);
}

/* ---- each value in a room of its own, with guards around it ---------------------------------- */

typedef struct room {
  char *block, *seen; /* guard, bytes, guard; and as it was after the last instruction */
  size_t bytes;
} room;

static room room_new(size_t bytes, const void *content) {
  const size_t all = lines(bytes) + 2 * LINE;
  room r = {aligned_alloc(LINE, all), malloc(all), all};
  assert_non_null(r.block);
  assert_non_null(r.seen);
  memset(r.block, 0xff, all); /* NaN: what is not written is not read */
  if (content && bytes > 0) memcpy(r.block + LINE, content, bytes);
  memcpy(r.seen, r.block, all);
  return r;
}

static void room_free(room *r) {
  free(r->block);
  free(r->seen);
}

/* Unchanged, but for what may be written. */
static void assert_room(const room *r, size_t may_write) {
  assert_memory_equal(r->block, r->seen, LINE);
  assert_memory_equal(r->block + LINE + may_write, r->seen + LINE + may_write,
                      r->bytes - LINE - may_write);
  memcpy(r->seen, r->block, r->bytes);
}

/* Bytes from the first element of what a tensor sees to behind the last; no strides are negative.
 */
static size_t span(const ct_view *v) {
  int64_t last = 0;
  for (int d = 0; d < v->ndim; d++) {
    assert_true(v->stride[d] >= 0);
    last += (v->dim[d] - 1) * v->stride[d];
  }
  return v->size > 0 ? (size_t)(last + 1) * ct__item_size(v->dtype) : 0;
}

static size_t span_of(const ct_program *p, int base) {
  const ct__value *x = &p->value[base];
  return x->home == CT__CAPTURED ? span(&x->tensor->v) : ct__value_bytes(x);
}

static room room_of(const ct_program *p, int i, ct_list inputs) {
  const ct__value *x = &p->value[i];
  const void *content = x->home == CT__CAPTURED   ? x->tensor->v.data
                        : x->home == CT__ARGUMENT ? ct_data(inputs.at[x->argument])
                                                  : NULL;
  return room_new(x->base == i ? span_of(p, i) : 0, content);
}

static bool writes(const ct_program *p, const ct__instr *k, int base) {
  for (int o = 0; o < k->n_out; o++)
    if (p->value[ct__outs(k)[o]].base == base) return true;
  return false;
}

static void run_guarded(const ct_program *p, int k, room *r, const ct_view *view) {
  const ct__instr *instr = &p->instr[k];
  const ct_view *at[64];
  room work = room_new(instr->work, NULL);
  assert_true(operands(instr) <= 64);
  for (int i = 0; i < operands(instr); i++) at[i] = &view[instr->arg[i]];
  assert_ok(ct__run_instr(&(ct_eval){instr->op, instr->attr, instr->n_in, instr->n_out, at,
                                     (ct_view *const *)(const void *)(at + instr->n_in),
                                     work.block + LINE}));
  for (int i = 0; i < p->n_values; i++) assert_room(&r[i], writes(p, instr, i) ? span_of(p, i) : 0);
  assert_room(&work, instr->work);
  room_free(&work);
}

static void assert_same_numbers(const ct_view *v, const ct_tensor *want) {
  const ct_tensor *got =
      ct_wrap(v->dtype, ct__shape_of_view(v), v->data, (ct_wrap_opts){.stride = v->stride});
  const size_t bytes = (size_t)v->size * ct__item_size(v->dtype);
  char *a = malloc(bytes + 1), *b = malloc(bytes + 1);
  assert_true(a && b);
  assert_ok(ct_copy_out(got, a, bytes));
  assert_ok(ct_copy_out(want, b, bytes));
  assert_memory_equal(a, b, bytes);
  free(a);
  free(b);
}

/* Every instruction keeps to its results and its workspace, and reads nothing that is not made;
 * then a run gives the same numbers. inputs are contiguous. */
static void assert_contained(ct_program *p, ct_list inputs) {
  ct_tensor *out[4];
  ct_scope s = ct_scope_begin();
  room *r = calloc((size_t)p->n_values + 1, sizeof *r);
  ct_view *view = calloc((size_t)p->n_values + 1, sizeof *view);
  assert_true(r && view && p->n_out <= 4);
  for (int i = 0; i < p->n_values; i++) r[i] = room_of(p, i, inputs);
  for (int i = 0; i < p->n_values; i++) {
    view[i] = p->value[i].v;
    view[i].data = r[p->value[i].base].block + LINE + p->value[i].offset;
  }
  for (int k = 0; k < p->n_instrs; k++) run_guarded(p, k, r, view);
  assert_ok(ct_run(p, inputs, out));
  for (int o = 0; o < p->n_out; o++) assert_same_numbers(&view[p->out[o]], out[o]);
  for (int u = 0; u < p->n_updates; u++)
    assert_same_numbers(&view[p->update[u].variable], p->value[p->update[u].variable].tensor);
  for (int i = 0; i < p->n_values; i++) room_free(&r[i]);
  free(r);
  free(view);
  assert_ok(ct_scope_end(s));
}

static void assert_planned(ct_program *p) {
  const size_t live = largest_live_set(p);
  if (p->arena > live + live / 10 || live > p->arena)
    fail_msg("an arena of %zu bytes for at most %zu alive", p->arena, live);
  assert_int_equal(live, ct_program_info(p).live);
  assert_places(p);
}

/* ---- training steps -------------------------------------------------------------------------- */

static make_optim *const three[] = {sgd, momentum, adam};
static const ct_compile_opts both[] = {{.exact = false}, {.exact = true}};

static ct_tensor *layer(int k, int64_t in, int64_t out) {
  return ct_variable(
      ct_normal(ct_key_fold(ct_key(5), k), CT_F32, CT_SHAPE(in, out), 0, 1 / sqrt((double)in)));
}

typedef struct net {
  ct_tensor *p[6], *x, *labels, *loss;
  int n_params;
  ct_optim *optim;
  ct_program *program;
} net;

static ct_list params_of(net *n) { return (ct_list){n->n_params, n->p}; }

static void net_free(net *n) {
  ct_program_release(&n->program);
  ct_optim_free(&n->optim);
  for (int i = 0; i < 6; i++) ct_release(&n->p[i]);
}

static void net_compile(net *n, make_optim *make, ct_compile_opts opts) {
  n->optim = make(params_of(n));
  assert_non_null(n->optim);
  n->program = ct_compile_step(n->loss, n->optim, CT_LIST(n->x, n->labels), opts);
  if (!n->program) fail_msg("%s", ct_error_message());
}

typedef ct_tensor *activation(ct_tensor *x);

/* At most three layers: width[0] inputs, ..., 10 classes. */
static void net_mlp(net *n, int64_t rows, const int64_t *width, activation *act) {
  ct_tensor *y = n->x = ct_placeholder(CT_F32, CT_SHAPE(rows, width[0]));
  n->labels = ct_placeholder(CT_I32, CT_SHAPE(rows));
  for (int k = 0; k == 0 || width[k] != 10; k++) {
    ct_tensor **p = &n->p[n->n_params];
    n->n_params += 2;
    p[0] = layer(k, width[k], width[k + 1]);
    p[1] = ct_variable(ct_zeros(CT_F32, CT_SHAPE(width[k + 1])));
    y = ct_add(ct_matmul(y, p[0]), p[1]);
    if (width[k + 1] != 10) y = act(y);
  }
  n->loss = ct_cross_entropy(y, n->labels);
}

/* Two convolutions with pooling, then a layer. */
static void net_conv(net *n, int64_t rows) {
  n->x = ct_placeholder(CT_F32, CT_SHAPE(rows, 1, 12, 12));
  n->labels = ct_placeholder(CT_I32, CT_SHAPE(rows));
  ct_tensor *key = ct_key(6), *y = n->x;
  const int64_t width[] = {1, 4, 6};
  for (int k = 0; k < 2; k++) {
    n->p[2 * k] = ct_variable(
        ct_normal(ct_key_fold(key, k), CT_F32, CT_SHAPE(width[k + 1], width[k], 3, 3), 0, 0.3));
    n->p[2 * k + 1] = ct_variable(ct_zeros(CT_F32, CT_SHAPE(width[k + 1], 1, 1)));
    y = ct_relu(ct_add(ct_conv2d(y, n->p[2 * k], (ct_conv2d_opts){0}), n->p[2 * k + 1]));
    y = ct_maxpool(y, (ct_pool_opts){.kernel = {2, 2}}, NULL);
  }
  y = ct_flatten(y, 1);
  n->p[4] = layer(4, ct_dim(y, 1), 10);
  n->p[5] = ct_variable(ct_zeros(CT_F32, CT_SHAPE(10)));
  n->n_params = 6;
  n->loss = ct_cross_entropy(ct_add(ct_matmul(y, n->p[4]), n->p[5]), n->labels);
}

static void draw_batch(const net *n, ct_tensor **x, ct_tensor **labels) {
  *x = ct_normal(ct_key(8), CT_F32, ct_shape_of(n->x), 0, 1);
  *labels = ct_cast(ct_uniform(ct_key(9), CT_F32, ct_shape_of(n->labels), 0, 9.99), CT_I32);
}

/* Every optimizer, exact and not. */
static void check_steps(void (*make)(net *n, int which), int which, bool run) {
  for (int i = 0; i < 6; i++) {
    ct_scope s = ct_scope_begin();
    net n = {0};
    make(&n, which);
    net_compile(&n, three[i / 2], both[i % 2]);
    assert_planned(n.program);
    if (run) {
      ct_tensor *x, *labels;
      draw_batch(&n, &x, &labels);
      assert_contained(n.program, CT_LIST(x, labels));
    }
    net_free(&n);
    assert_ok(ct_scope_end(s));
  }
}

static void wide_mlp(net *n, int rows) {
  net_mlp(n, rows, (const int64_t[]){784, 128, 32, 10}, ct_relu);
}
static void narrow_mlp(net *n, int rows) {
  net_mlp(n, rows, (const int64_t[]){20, 24, 32, 10}, ct_relu);
}
static void conv(net *n, int rows) { net_conv(n, rows); }

static void steps_of_networks(void **state) {
  (void)state;
  check_steps(wide_mlp, 16, false);
  check_steps(wide_mlp, 128, false);
  check_steps(narrow_mlp, 128, true);
  check_steps(narrow_mlp, 16, true);
}

static void steps_of_convolutional_networks(void **state) {
  (void)state;
  check_steps(conv, 8, true);
  check_steps(conv, 32, false);
}

/* ---- chains ---------------------------------------------------------------------------------- */

static uint64_t dice;

static int roll(int sides) {
  dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (int)((dice >> 33) % (uint64_t)sides);
}

enum { HANDS = 4 };

/* One more operation on square matrices; numbers stay moderate. */
static ct_tensor *next_of(ct_tensor *const *hand) {
  ct_tensor *a = hand[roll(HANDS)], *b = hand[roll(HANDS)];
  switch (roll(12)) {
  case 0: return ct_tanh(a);
  case 1: return ct_sigmoid(a);
  case 2: return ct_sin(a);
  case 3: return ct_exp(ct_neg(ct_square(a)));
  case 4: return ct_mul(a, b);
  case 5: return ct_sub(a, b);
  case 6: return ct_add(a, ct_sum(b, CT_AXES(roll(2)), true));
  case 7: return ct_tanh(ct_matmul(a, b));
  case 8: return ct_softmax(a, roll(2));
  case 9: return ct_transpose(a, 0, 1);
  case 10: return ct_cumsum(ct_sigmoid(a), roll(2));
  default: return ct_maximum(a, ct_flip(b, CT_AXES(roll(2))));
  }
}

static void chains(void **state) {
  (void)state;
  for (int k = 0; k < 200; k++) {
    ct_scope s = ct_scope_begin();
    dice = (uint64_t)k + 1;
    const int64_t n = 2 + roll(30);
    ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(n, n)), *hand[HANDS] = {x, x, x, x}, *g;
    for (int length = 3 + roll(40); length > 0; length--) hand[roll(HANDS)] = next_of(hand);
    ct_tensor *sum = ct_sum(ct_add(hand[0], hand[1]), CT_ALL, false);
    if (sum == x || ct_grad(sum, CT_LIST(x), &g) != CT_OK) g = x;
    ct_error_clear(); /* no way to x */
    ct_program *p = ct_compile(CT_LIST(x), CT_LIST(hand[2], sum, g), both[k % 2]);
    if (!p) fail_msg("%s", ct_error_message());
    assert_planned(p);
    assert_contained(p, CT_LIST(ct_normal(ct_key((uint64_t)k), CT_F64, CT_SHAPE(n, n), 0, 1)));
    ct_program_release(&p);
    assert_ok(ct_scope_end(s));
  }
}

/* ---- what a step takes from the system ------------------------------------------------------- */

static size_t in_use(void) {
#ifdef __GLIBC__
  const struct mallinfo2 m = mallinfo2();
  return m.uordblks + m.hblkhd;
#else
  return 0;
#endif
}

/* Not under sanitizers. */
static bool use_is_known(void) {
  void *(*volatile take)(size_t) = malloc;
  const size_t before = in_use();
  void *block = take(1 << 20);
  const bool seen = in_use() >= before + (1 << 20);
  free(block);
  return seen && heap_watched();
}

static size_t bytes_of(ct_list list) {
  size_t bytes = 0;
  for (int i = 0; i < list.n; i++)
    bytes += (size_t)ct_size(list.at[i]) * ct_dtype_size(ct_dtype_of(list.at[i]));
  return bytes;
}

/* Parameters, states for each, and what lives at once, gradients among it. */
static size_t needed(net *n, int states) {
  return bytes_of(params_of(n)) * (size_t)(1 + states) + largest_live_set(n->program);
}

/* All that is held after a few runs: blocks that runs gave back to the library's lists count, so
 * nothing short-lived escapes. */
static size_t held_after_runs(net *n, ct_tensor *x, ct_tensor *labels) {
  ct_tensor *loss;
  long calls = 0;
  for (int run = 0; run < 4; run++) {
    if (run == 2) calls = heap_calls();
    ct_scope each = ct_scope_begin();
    assert_ok(ct_run(n->program, CT_LIST(x, labels), &loss));
    assert_ok(ct_scope_end(each));
  }
  assert_int_equal(heap_calls(), calls);
  return in_use();
}

static const struct {
  const char *name;
  int64_t width[4];
  activation *act;
} three_nets[] = {{"A", {784, 128, 10}, ct_sigmoid},
                  {"B", {784, 256, 128, 10}, ct_relu},
                  {"C", {784, 1024, 1024, 10}, ct_relu}};

/* The most that a step holds, and what it needs. */
static size_t peak_of(int which, int64_t rows, int states, ct_compile_opts opts, size_t *want) {
  net n = {0};
  ct_tensor *x = ct_normal(ct_key(8), CT_F32, CT_SHAPE(rows, 784), 0, 1);
  ct_tensor *labels = ct_zeros(CT_I32, CT_SHAPE(rows));
  ct_cache_flush();
  const size_t before = in_use();
  ct_scope s = ct_scope_begin();
  net_mlp(&n, rows, three_nets[which].width, three_nets[which].act);
  net_compile(&n, three[states], opts);
  assert_ok(ct_scope_end(s));
  ct_cache_flush();
  const size_t peak = held_after_runs(&n, x, labels) - before;
  *want = needed(&n, states);
  net_free(&n);
  return peak;
}

static void check_peak(int which, int64_t rows, int states, ct_compile_opts opts) {
  size_t want, peak = peak_of(which, rows, states, opts, &want);
  if (peak > want + want / 10)
    fail_msg("%s, %d rows, %d states: a peak of %zu bytes, %zu are needed", three_nets[which].name,
             (int)rows, states, peak, want);
}

static void peak_of_a_step(void **state) {
  (void)state;
  if (!use_is_known()) skip();
  static const int64_t rows[] = {1, 16, 128};
  const int threads = ct_threads();
  assert_ok(ct_set_threads(1));
  size_t want; /* the first fills the C library's own lists, which count as in use */
  ct_scope first = ct_scope_begin();
  peak_of(0, 1, 0, both[0], &want);
  assert_ok(ct_scope_end(first));
  for (int i = 0; i < 54; i++) {
    ct_scope s = ct_scope_begin();
    check_peak(i / 18, rows[i / 6 % 3], i % 6 / 2, both[i % 2]);
    assert_ok(ct_scope_end(s));
  }
  assert_ok(ct_set_threads(threads));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_SCOPE(steps_of_networks),
      IN_SCOPE(steps_of_convolutional_networks),
      IN_SCOPE(chains),
      IN_SCOPE(peak_of_a_step),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
