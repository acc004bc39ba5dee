/* random_programs_check.h - what must hold for a program: its derivatives against each other and
 * against central differences, eager against symbolic, a batch against a loop.
 *
 * x are the float leaves, y the outputs, v a direction in x, u a cotangent of y, g = J^T u. Vectors
 * of tensors are laid end to end into plain arrays: the operations under test take no part in the
 * arithmetic of the check. */
#ifndef COTANGENT_RANDOM_PROGRAMS_CHECK_H
#define COTANGENT_RANDOM_PROGRAMS_CHECK_H

#include "random_programs.h"

typedef enum verdict { PASSED, REJECTED, FAILED } verdict;

typedef struct finding {
  verdict verdict;
  const char *check;
  int64_t element;
  double got, want, allowed;
  char error[256]; /* the library's own, if a call failed */
} finding;

enum { BATCH = 3 };
#define STEP  1e-4  /* of the central differences */
#define NOISE 1e-13 /* of a number: see program_run_near */

typedef struct trial {
  const program *p;
  ct_tensor *leaf[MAX_NODES];     /* what stands for the leaves: NULL for other nodes */
  ct_tensor *variable[MAX_NODES]; /* those to release */
  ct_tensor *x[MAX_NODES], *v[MAX_NODES], *y[MAX_NODES], *u[MAX_NODES], *g[MAX_NODES];
  int n_x, n_y;
  bool unsure; /* y and g hang on the last digits */
  finding *found;
} trial;

/* ---- vectors --------------------------------------------------------------------------------- */

typedef struct vec {
  int64_t n;
  double *at; /* belongs to the current scope */
} vec;

static inline vec vec_new(int64_t n) {
  ct_tensor *t = ct_zeros(CT_F64, CT_SHAPE(n));
  assert_false(ct_is_nil(t));
  return (vec){n, (double *)(void *)t->v.data};
}

static inline vec vec_of(int n, ct_tensor *const *t) {
  int64_t size = 0, at = 0;
  for (int i = 0; i < n; i++) size += t[i]->v.size;
  vec all = vec_new(size);
  for (int i = 0; i < n; at += t[i]->v.size, i++)
    assert_ok(ct_copy_out(t[i], all.at + at, (size_t)t[i]->v.size * sizeof *all.at));
  return all;
}

/* The largest absolute value; NaN wins. */
static inline double vec_max(vec a) {
  double max = 0;
  for (int64_t i = 0; i < a.n && !isnan(max); i++)
    if (!(fabs(a.at[i]) <= max)) max = fabs(a.at[i]);
  return max;
}

/* sum a b, and the sum of its terms' sizes. */
static inline double vec_dot(vec a, vec b, double *size) {
  double sum = 0;
  for (int64_t i = 0; i < a.n; i++) {
    sum += a.at[i] * b.at[i];
    *size += fabs(a.at[i] * b.at[i]);
  }
  return sum;
}

/* ---- findings -------------------------------------------------------------------------------- */

static inline bool going(const trial *r) { return r->found->verdict == PASSED; }

static inline void reject(trial *r, const char *why) {
  if (going(r)) *r->found = (finding){.verdict = REJECTED, .check = why};
}

/* A call of the library that must succeed, unless ct_check has found a NaN. */
static inline void need(trial *r, ct_status status, const char *what) {
  if (status == CT_OK || !going(r)) return;
  if (status == CT_ECHECK) {
    ct_error_clear();
    reject(r, "out of range");
    return;
  }
  *r->found = (finding){.verdict = FAILED, .check = what, .element = -1};
  snprintf(r->found->error, sizeof r->found->error, "%s", ct_error_message());
  ct_error_clear();
}

static inline void agree(trial *r, const char *what, vec got, vec want, double allowed) {
  for (int64_t i = 0; i < got.n && going(r); i++)
    if (!(fabs(got.at[i] - want.at[i]) <= allowed))
      *r->found = (finding){FAILED, what, i, got.at[i], want.at[i], allowed, ""};
}

/* ---- running a program ----------------------------------------------------------------------- */

/* Every node from what stands for the leaves; frozen ones (if given) keep their value. */
static inline void program_run(const program *p, ct_tensor *const *leaf, ct_tensor *const *frozen,
                               ct_tensor **t) {
  for (int k = 0; k < p->n; k++) {
    const node *n = &p->node[k];
    t[k] = !n->row ? leaf[k] : frozen && n->row->frozen ? frozen[k] : node_apply(n, t);
  }
}

/* The same with every float off by up to `noise` of it: roundings of another evaluation, and many
 * times as large. */
static inline void program_run_near(const program *p, ct_tensor *const *leaf, double noise,
                                    ct_tensor **t) {
  uint64_t rng = p->seed ^ 0x2015E;
  for (int k = 0; k < p->n; k++) {
    const node *n = &p->node[k];
    t[k] = n->row ? node_apply(n, t) : leaf[k];
    if (n->kind != 'f' || ct_is_nil(t[k])) continue;
    ct_tensor *factor = ct_empty(CT_F64, ct_shape_of(t[k]));
    for (int64_t i = 0; i < factor->v.size; i++)
      ((double *)(void *)factor->v.data)[i] = 1 + noise * draw_real(&rng, -1, 1);
    t[k] = ct_mul(t[k], factor);
  }
}

static inline void outputs_of(const program *p, ct_tensor *const *t, ct_tensor **y) {
  for (int o = 0; o < p->n_out; o++) y[o] = t[p->out[o]];
}

/* The float leaves among what stands for the leaves. */
static inline int floats_of(const program *p, ct_tensor *const *leaf, ct_tensor **x) {
  int n = 0;
  for (int k = 0; k < p->n; k++)
    if (!p->node[k].row && p->node[k].kind == 'f') x[n++] = leaf[k];
  return n;
}

static inline void variables_make(trial *r, ct_tensor *const *value) {
  for (int k = 0; k < r->p->n; k++)
    r->leaf[k] = r->variable[k] = r->p->node[k].row ? NULL : ct_variable(value[k]);
  r->n_x = floats_of(r->p, r->leaf, r->x);
}

static inline void variables_release(trial *r) {
  for (int k = 0; k < r->p->n; k++) ct_release(&r->variable[k]);
}

/* Random in +-[0.5, 1.5]: none so small that it hides an element. */
static inline ct_tensor *draw_direction(uint64_t *rng, const ct_tensor *like) {
  ct_tensor *t = ct_empty(CT_F64, ct_shape_of(like));
  for (int64_t i = 0; i < t->v.size; i++) {
    double size = draw_real(rng, 0.5, 1.5);
    ((double *)(void *)t->v.data)[i] = draw_below(rng, 2) ? size : -size;
  }
  return t;
}

static inline ct_tensor *moved(const ct_tensor *x, const ct_tensor *v, double step) {
  ct_tensor *t = ct_empty(CT_F64, ct_shape_of(x));
  double *at = (double *)(void *)t->v.data;
  const double *dx = (const double *)(const void *)v->v.data;
  (void)ct_copy_out(x, at, (size_t)t->v.size * sizeof *at);
  for (int64_t i = 0; i < t->v.size; i++) at[i] += step * dx[i];
  return t;
}

/* Infinities and NaN inside prove nothing, and differences of large numbers are not sharp. */
static inline void check_range(trial *r, ct_tensor *const *t) {
  for (int k = 0; k < r->p->n && going(r); k++)
    if (r->p->node[k].kind == 'f' && !(vec_max(vec_of(1, &t[k])) < 1e4)) reject(r, "out of range");
}

/* ---- derivatives against differences --------------------------------------------------------- */

static inline bool same_numbers(ct_tensor *a, ct_tensor *b) {
  vec x = vec_of(1, (ct_tensor *[]){ct_cast(a, CT_F64)});
  vec y = vec_of(1, (ct_tensor *[]){ct_cast(b, CT_F64)});
  return memcmp(x.at, y.at, (size_t)x.n * sizeof *x.at) == 0;
}

/* Integers and bools that depend on x are steps: near one, differences prove nothing. */
static inline void check_steps(trial *r, ct_tensor *const *t) {
  for (int k = 0; k < r->p->n && going(r); k++)
    if (r->p->node[k].kind != 'f' && !ct_is_nil(t[k]) && !same_numbers(t[k], r->p->node[k].t))
      reject(r, "a step is near");
}

/* What would be 0 but for rounding has no digit that counts, nor has what is divided by it. */
static inline void check_digits(trial *r, ct_tensor *const *leaf) {
  ct_tensor *near[MAX_NODES];
  program_run_near(r->p, leaf, NOISE, near);
  for (int k = 0; k < r->p->n && going(r); k++) {
    if (r->p->node[k].kind != 'f' || ct_is_nil(near[k])) continue;
    vec x = vec_of(1, &r->p->node[k].t), y = vec_of(1, &near[k]);
    for (int64_t i = 0; i < x.n; i++) {
      double size = fabs(x.at[i]);
      if (size > 0 && size < 1e6 * NOISE && fabs(y.at[i] - x.at[i]) > 1e-3 * size)
        reject(r, "nothing but rounding");
    }
  }
}

/* All floats of a program. */
static inline vec floats_in(const program *p, ct_tensor *const *t) {
  ct_tensor *x[MAX_NODES];
  int n = 0;
  for (int k = 0; k < p->n; k++)
    if (p->node[k].kind == 'f') x[n++] = t[k];
  return vec_of(n, x);
}

/* y, g and the floats inside at x + step v. */
static inline void at_distance(trial *r, double step, ct_tensor *const *frozen, vec *y, vec *g,
                               vec *inside) {
  trial here = {.p = r->p, .found = r->found};
  ct_tensor *value[MAX_NODES], *t[MAX_NODES], *out[MAX_NODES], *gx[MAX_NODES];
  for (int k = 0, i = 0; k < r->p->n; k++)
    value[k] = r->p->node[k].row           ? NULL
               : r->p->node[k].kind == 'f' ? moved(r->p->node[k].t, r->v[i++], step)
                                           : r->p->node[k].t;
  variables_make(&here, value);
  program_run(r->p, here.leaf, frozen, t);
  check_steps(r, t);
  outputs_of(r->p, t, out);
  need(r,
       ct_vjp_all((ct_list){r->n_y, out}, (ct_list){r->n_y, r->u}, (ct_list){here.n_x, here.x}, gx),
       "a gradient beside x");
  if (going(r)) *y = vec_of(r->n_y, out), *g = vec_of(here.n_x, gx), *inside = floats_in(r->p, t);
  variables_release(&here);
}

/* The change along v, and how far several ways to get it are from each other. */
typedef struct difference {
  vec change, bend;
  double doubt;
} difference;

enum { LEFT, HALF_LEFT, HERE, HALF_RIGHT, RIGHT, POINTS };

/* Richardson: the error of order step^2 cancels. In a kink at x itself central differences agree,
 * but the second difference shrinks as the step, not as its square. */
static inline difference difference_of(const vec *at) {
  difference d = {vec_new(at[HERE].n), vec_new(at[HERE].n), 0};
  vec turn = vec_new(d.change.n);
  for (int64_t i = 0; i < d.change.n; i++) {
    double left = at[LEFT].at[i], right = at[RIGHT].at[i], here = at[HERE].at[i];
    double half_left = at[HALF_LEFT].at[i], half_right = at[HALF_RIGHT].at[i];
    double wide = (right - left) / (2 * STEP), narrow = (half_right - half_left) / STEP;
    d.change.at[i] = (4 * narrow - wide) / 3;
    turn.at[i] = narrow - wide;
    d.bend.at[i] = (4 * (half_right + half_left - 2 * here) - (right + left - 2 * here)) / STEP;
  }
  d.doubt = fmax(vec_max(turn), vec_max(d.bend));
  return d;
}

/* Near a kink or where the third derivative is large, differences prove nothing. */
static inline bool sharp(const difference *d) {
  return d->doubt <= 1e-4 * (1 + vec_max(d->change));
}

/* What a derivative may be away from the difference; f is what was differenced. */
static inline double allowed(const difference *d, vec f) {
  return 2 * d->doubt + 1e-7 * (1 + vec_max(d->change)) + 1e-10 * vec_max(f);
}

/* A kink inside shows no more where what follows is smooth again, as max(min(x, y), x) for equal x
 * and y; a derivative there is a mean of both sides, at each kink anew. */
static inline bool has_kink(const vec *at) {
  difference d = difference_of(at);
  bool kink = false;
  for (int64_t i = 0; i < d.bend.n && !kink; i++)
    kink = !(fabs(d.bend.at[i]) <= 1e-4 * (1 + fabs(d.change.at[i])));
  return kink;
}

/* Values and gradients along v; those at x are known. */
static inline void differences(trial *r, ct_tensor *const *frozen, vec y, vec g, difference *dy,
                               difference *dg) {
  static const double step[POINTS] = {-STEP, -STEP / 2, 0, STEP / 2, STEP};
  vec y_at[POINTS] = {[HERE] = y}, g_at[POINTS] = {[HERE] = g};
  vec inside[POINTS] = {[HERE] = floats_in(r->p, frozen)};
  for (int i = 0; i < POINTS && going(r); i++)
    if (i != HERE) at_distance(r, step[i], frozen, &y_at[i], &g_at[i], &inside[i]);
  if (!going(r)) return;
  if (has_kink(inside)) reject(r, "a kink is near");
  *dy = difference_of(y_at);
  *dg = difference_of(g_at);
}

/* ---- derivatives against each other ---------------------------------------------------------- */

typedef struct derivatives {
  vec y, g, jv;             /* g = J^T u, jv = J v */
  vec jvp_g, vjp_g, vjp_jv; /* H v in three ways */
} derivatives;

static inline void differentiate(trial *r, derivatives *d) {
  ct_list x = {r->n_x, r->x}, y = {r->n_y, r->y}, u = {r->n_y, r->u}, v = {r->n_x, r->v};
  ct_tensor *dy[MAX_NODES], *dg[MAX_NODES], *gg[MAX_NODES], *gdy[MAX_NODES];
  ct_list g = {r->n_x, r->g}, jv = {r->n_y, dy};
  need(r, ct_vjp_all(y, u, x, r->g), "vjp");
  need(r, ct_jvp_all(y, x, v, dy), "jvp");
  if (!going(r)) return;
  need(r, ct_jvp_all(g, x, v, dg), "jvp of vjp");
  need(r, ct_vjp_all(g, v, x, gg), "vjp of vjp");
  need(r, ct_vjp_all(jv, u, x, gdy), "vjp of jvp");
  if (!going(r)) return;
  d->y = vec_of(r->n_y, r->y), d->g = vec_of(r->n_x, r->g), d->jv = vec_of(r->n_y, dy);
  d->jvp_g = vec_of(r->n_x, dg), d->vjp_g = vec_of(r->n_x, gg), d->vjp_jv = vec_of(r->n_x, gdy);
}

static inline void check_inner_product(trial *r, const derivatives *d) {
  vec left = vec_new(1), right = vec_new(1);
  double size = 0;
  left.at[0] = vec_dot(vec_of(r->n_y, r->u), d->jv, &size);
  right.at[0] = vec_dot(d->g, vec_of(r->n_x, r->v), &size);
  agree(r, "inner product <u, Jv> = <J'u, v>", left, right, 1e-9 * (1 + size));
}

/* What is rejected is decided by values first, by gradients only when these are known to be right:
 * a wrong rule cannot hide. */
static inline void check_derivatives(trial *r, ct_tensor *const *frozen) {
  derivatives d = {.y = {0, NULL}};
  difference dy = {.doubt = 0}, dg = {.doubt = 0};
  differentiate(r, &d);
  if (going(r)) differences(r, frozen, d.y, d.g, &dy, &dg);
  if (!going(r)) return;
  if (!(vec_max(dy.change) < 1e3)) reject(r, "values jump");
  if (!sharp(&dy)) reject(r, "values bend too much");
  agree(r, "jvp against differences", d.jv, dy.change, allowed(&dy, d.y));
  check_inner_product(r, &d);
  if (!(vec_max(dg.change) < 1e5)) reject(r, "gradients jump");
  if (!sharp(&dg)) reject(r, "gradients bend too much");
  agree(r, "jvp of vjp against differences", d.jvp_g, dg.change, allowed(&dg, d.g));
  double close = 1e-8 * (1 + vec_max(d.jvp_g) + vec_max(d.g));
  agree(r, "vjp of vjp against jvp of vjp", d.vjp_g, d.jvp_g, close);
  agree(r, "vjp of jvp against jvp of vjp", d.vjp_jv, d.jvp_g, close);
}

/* ---- last digits ----------------------------------------------------------------------------- */

/* y and g for these values of the leaves, one after another in out. */
static inline void run_at(trial *r, ct_tensor *const *value, double noise, ct_tensor **out) {
  trial here = {.p = r->p, .found = r->found};
  ct_tensor *t[MAX_NODES];
  variables_make(&here, value);
  if (noise != 0)
    program_run_near(r->p, here.leaf, noise, t);
  else
    program_run(r->p, here.leaf, NULL, t);
  outputs_of(r->p, t, out);
  need(r,
       ct_vjp_all((ct_list){r->n_y, out}, (ct_list){r->n_y, r->u}, (ct_list){here.n_x, here.x},
                  out + r->n_y),
       "a gradient elsewhere");
  for (int o = 0; o < r->n_y; o++) out[o] = ct_detach(out[o]);
  variables_release(&here);
}

/* Do y and g, which are out, hang on the last digits? Numbers that are equal by construction stay
 * so wherever x goes, but a batch or a program may sum each in another order, and then the other
 * one is the larger, or its floor one less; and beside a pole each digit counts a hundred thousand
 * times. */
static inline bool hangs_on_digits(trial *r, ct_tensor *const *value, ct_tensor *const *out) {
  bool hangs = false;
  for (int side = -1; side <= 1 && !hangs && going(r); side += 2) {
    ct_tensor *near[2 * MAX_NODES];
    run_at(r, value, side * NOISE, near);
    for (int o = 0; o < r->n_y + r->n_x && !hangs && going(r); o++) {
      vec x = vec_of(1, &out[o]), y = vec_of(1, &near[o]);
      double largest = vec_max(x);
      for (int64_t i = 0; i < x.n; i++)
        hangs |= !(fabs(y.at[i] - x.at[i]) <= 1e4 * NOISE * (1 + largest));
    }
  }
  return hangs;
}

/* ---- symbolic against eager ------------------------------------------------------------------ */

static inline void same_bits(trial *r, const char *what, vec got, vec want) {
  for (int64_t i = 0; i < got.n && going(r); i++)
    if (memcmp(&got.at[i], &want.at[i], sizeof got.at[i]) != 0)
      *r->found = (finding){FAILED, what, i, got.at[i], want.at[i], 0, ""};
}

/* Exact programs give the bits of eager evaluation, others nearly: they sum in another order, too,
 * and are left out where the last digits count. */
static inline void check_compiled(trial *r, ct_list in, ct_list value, ct_list out) {
  ct_tensor *ran[2 * MAX_NODES];
  for (int exact = r->unsure; exact < 2 && going(r); exact++) {
    ct_program *p = ct_compile(in, out, (ct_compile_opts){.exact = exact, .verify = true});
    need(r, p ? ct_run(p, value, ran) : ct_error_code(), "a program");
    ct_program_release(&p);
    if (!going(r)) return;
    vec y = vec_of(r->n_y, ran), g = vec_of(r->n_x, ran + r->n_y);
    vec want_y = vec_of(r->n_y, r->y), want_g = vec_of(r->n_x, r->g);
    if (exact) {
      same_bits(r, "values of an exact program", y, want_y);
      same_bits(r, "gradients of an exact program", g, want_g);
    } else {
      agree(r, "values of a program", y, want_y, 1e-11 * (1 + vec_max(want_y)));
      agree(r, "gradients of a program", g, want_g, 1e-11 * (1 + vec_max(want_g)));
    }
  }
}

static inline void check_symbolic(trial *r) {
  const program *p = r->p;
  ct_tensor *holder[MAX_NODES], *in[MAX_NODES], *value[MAX_NODES], *x[MAX_NODES], *t[MAX_NODES];
  ct_tensor *out[2 * MAX_NODES], *ran[2 * MAX_NODES];
  int n = 0;
  for (int k = 0; k < p->n; k++) {
    holder[k] =
        p->node[k].row ? NULL : ct_placeholder(p->node[k].t->v.dtype, ct_shape_of(p->node[k].t));
    if (!holder[k]) continue;
    in[n] = holder[k];
    value[n++] = p->node[k].t;
  }
  floats_of(p, holder, x);
  program_run(p, holder, NULL, t);
  outputs_of(p, t, out);
  need(r,
       ct_vjp_all((ct_list){r->n_y, out}, (ct_list){r->n_y, r->u}, (ct_list){r->n_x, x},
                  out + r->n_y),
       "a symbolic gradient");
  if (!going(r)) return;
  ct_function *f = ct_function_new((ct_list){n, in}, (ct_list){r->n_y + r->n_x, out});
  need(r, f ? ct_function_run(f, (ct_list){n, value}, ran) : ct_error_code(),
       "a function of placeholders");
  ct_function_release(&f);
  if (!going(r)) return;
  same_bits(r, "symbolic values", vec_of(r->n_y, ran), vec_of(r->n_y, r->y));
  same_bits(r, "symbolic gradients", vec_of(r->n_x, ran + r->n_y), vec_of(r->n_x, r->g));
  check_compiled(r, (ct_list){n, in}, (ct_list){n, value}, (ct_list){r->n_y + r->n_x, out});
}

/* ---- a batch against a loop ------------------------------------------------------------------ */

/* Value b for leaf k: its own, one nearby, its elements in reversed order. */
static inline ct_tensor *variant(const program *p, int k, int b, uint64_t *rng) {
  ct_tensor *t = p->node[k].t;
  if (b == 0) return t;
  if (b == 1 && p->node[k].kind == 'f') return moved(t, draw_direction(rng, t), 0.05);
  ct_tensor *flat = ct_reshape(t, CT_SHAPE(-1));
  return t->v.size ? ct_reshape(ct_flip(flat, CT_ALL), ct_shape_of(t)) : ct_contiguous(t);
}

/* Element b of output o. */
static inline void check_slice(trial *r, int o, ct_tensor *batch, int b, ct_tensor *one) {
  vec want = vec_of(1, &one), got = vec_of(1, &batch);
  double largest = vec_max(want);
  if (!(largest < 1e6)) return; /* other values may leave the safe range */
  agree(r, o < r->n_y ? "vmap of values against a loop" : "vmap of gradients against a loop",
        (vec){want.n, got.at + b * want.n}, want, 1e-9 * (1 + largest));
}

static inline void check_batch(trial *r) {
  const program *p = r->p;
  uint64_t rng = p->seed ^ 0xBA7C4;
  ct_tensor *value[BATCH][MAX_NODES], *in[MAX_NODES], *batched[MAX_NODES], *got[2 * MAX_NODES];
  ct_tensor *each[2 * MAX_NODES], *all[2 * MAX_NODES];
  int axis[MAX_NODES], n = 0, total = r->n_y + r->n_x;
  for (int k = 0; k < p->n; k++) {
    if (p->node[k].row) continue;
    bool fixed = draw_below(&rng, 3) == 0 && k > 0;
    for (int b = 0; b < BATCH; b++) value[b][k] = variant(p, k, fixed ? 0 : b, &rng);
    axis[n] = fixed ? CT_NOT_BATCHED : draw_below(&rng, p->node[k].t->v.ndim + 1);
    in[n] = r->leaf[k];
    batched[n] =
        fixed ? p->node[k].t : ct_stack(CT_LIST(value[0][k], value[1][k], value[2][k]), axis[n]);
    n++;
  }
  memcpy(all, r->y, (size_t)r->n_y * sizeof *all);
  memcpy(all + r->n_y, r->g, (size_t)r->n_x * sizeof *all);
  need(r,
       ct_vmap((ct_list){total, all}, (ct_list){n, in}, (ct_list){n, batched},
               (ct_vmap_opts){.in_axes = axis}, got),
       "vmap");
  for (int b = 0; b < BATCH && going(r); b++) {
    run_at(r, value[b], 0, each);
    if (!going(r) || hangs_on_digits(r, value[b], each)) continue;
    for (int o = 0; o < total; o++) check_slice(r, o, got[o], b, each[o]);
  }
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Checks p; count (may be NULL) sees the outputs of one that is accepted. */
static inline finding program_check(const program *p, void (*count)(const program *p, ct_list y)) {
  finding found = {.verdict = PASSED};
  trial r = {.p = p, .n_y = p->n_out, .found = &found};
  ct_tensor *value[MAX_NODES], *t[MAX_NODES], *yg[2 * MAX_NODES];
  uint64_t rng = p->seed ^ 0xD14EC7;
  ct_scope scope = ct_scope_begin();
  for (int k = 0; k < p->n; k++) value[k] = p->node[k].t;
  variables_make(&r, value);
  program_run(p, r.leaf, NULL, t);
  outputs_of(p, t, r.y);
  for (int o = 0; o < r.n_y; o++) need(&r, ct_is_nil(r.y[o]) ? ct_error_code() : CT_OK, "values");
  check_range(&r, t);
  check_digits(&r, value);
  if (going(&r) && r.n_x > 0 && r.n_y > 0) {
    for (int i = 0; i < r.n_x; i++) r.v[i] = draw_direction(&rng, r.x[i]);
    for (int o = 0; o < r.n_y; o++) r.u[o] = draw_direction(&rng, r.y[o]);
    check_derivatives(&r, value);
    memcpy(yg, r.y, (size_t)r.n_y * sizeof *yg);
    memcpy(yg + r.n_y, r.g, (size_t)r.n_x * sizeof *yg);
    r.unsure = going(&r) && hangs_on_digits(&r, value, yg);
    if (going(&r)) check_symbolic(&r);
    if (going(&r)) check_batch(&r);
    if (going(&r) && count) count(p, (ct_list){r.n_y, r.y});
  }
  variables_release(&r);
  ct_scope_end(scope);
  return found;
}

#endif
