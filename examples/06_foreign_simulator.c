/* 06_foreign_simulator.c - a primitive that calls foreign C code: one step of a simulator that
 * comes with a tangent and an adjoint written by hand. The unknown parameters of a pendulum are
 * then found from its observed path by Newton's method, so second derivatives are needed too.
 */
#include <cotangent.h>
#include <math.h>

/* ---- the foreign code: knows nothing of tensors ---------------------------------------------- */

#define H 0.05

/* state (q, p), parameters (k, c): p' = p - h (k sin q + c p), q' = q + h p' */
static void pendulum(const double x[2], const double u[2], double next[2]) {
  next[1] = x[1] - H * (u[0] * sin(x[0]) + u[1] * x[1]);
  next[0] = x[0] + H * next[1];
}

static void pendulum_tangent(const double x[2], const double u[2], const double dx[2],
                             const double du[2], double dnext[2]) {
  double force = u[0] * cos(x[0]) * dx[0] + du[0] * sin(x[0]) + u[1] * dx[1] + du[1] * x[1];
  dnext[1] = dx[1] - H * force;
  dnext[0] = dx[0] + H * dnext[1];
}

static void pendulum_adjoint(const double x[2], const double u[2], const double gnext[2],
                             double gx[2], double gu[2]) {
  double gp = gnext[1] + H * gnext[0];
  gx[0] = gnext[0] - H * u[0] * cos(x[0]) * gp;
  gx[1] = gp * (1 - H * u[1]);
  gu[0] = -H * sin(x[0]) * gp;
  gu[1] = -H * x[1] * gp;
}

/* ---- three records: the step, its tangent, its adjoint --------------------------------------- */

static ct_status pairs_infer(const ct_call *c, ct_spec *out) {
  for (int i = 0; i < c->n_in; i++)
    if (ct_dtype_of(c->in[i]) != CT_F64 || !ct_shape_equal(ct_shape_of(c->in[i]), CT_SHAPE(2)))
      return ct_fail(c, CT_ESHAPE, "want pairs in f64");
  for (int o = 0; o < c->n_out; o++) out[o] = (ct_spec){CT_F64, CT_SHAPE(2)};
  return CT_OK;
}

/* Inputs come with any stride; outputs are contiguous. */
static const double *pair(const ct_eval *e, int i, double room[2]) {
  const double *at = (const double *)(const void *)e->in[i]->data;
  room[0] = at[0];
  room[1] = at[e->in[i]->stride[0]];
  return room;
}

static double *result(const ct_eval *e, int o) { return (double *)(void *)e->out[o]->data; }

static ct_status step_eval(const ct_eval *e) {
  double x[2], u[2];
  pendulum(pair(e, 0, x), pair(e, 1, u), result(e, 0));
  return CT_OK;
}

static ct_status tangent_eval(const ct_eval *e) {
  double x[2], u[2], dx[2], du[2];
  pendulum_tangent(pair(e, 0, x), pair(e, 1, u), pair(e, 2, dx), pair(e, 3, du), result(e, 0));
  return CT_OK;
}

static ct_status adjoint_eval(const ct_eval *e) {
  double x[2], u[2], g[2];
  pendulum_adjoint(pair(e, 0, x), pair(e, 1, u), pair(e, 2, g), result(e, 0), result(e, 1));
  return CT_OK;
}

/* The foreign derivatives have none of their own, but a fallback: the same step in operations. It
 * is built only where somebody differentiates a derivative, and then every order exists. */
static ct_tensor *at(ct_tensor *x, int i) {
  return ct_reshape(ct_slice(x, 0, i, i + 1, 1), CT_SCALAR);
}

static ct_tensor *joined(ct_tensor *a, ct_tensor *b) { return ct_stack(CT_LIST(a, b), 0); }

static void tangent_fallback(const ct_call *c, ct_tensor **y) {
  ct_tensor *x = c->in[0], *u = c->in[1], *dx = c->in[2], *du = c->in[3];
  ct_tensor *by_x = ct_mul(ct_mul(at(u, 0), ct_cos(at(x, 0))), at(dx, 0));
  ct_tensor *by_k = ct_mul(at(du, 0), ct_sin(at(x, 0)));
  ct_tensor *by_p = ct_add(ct_mul(at(u, 1), at(dx, 1)), ct_mul(at(du, 1), at(x, 1)));
  ct_tensor *dp = ct_sub(at(dx, 1), ct_scale(ct_add(ct_add(by_x, by_k), by_p), H));
  y[0] = joined(ct_add(at(dx, 0), ct_scale(dp, H)), dp);
}

static void adjoint_fallback(const ct_call *c, ct_tensor **y) {
  ct_tensor *x = c->in[0], *u = c->in[1], *g = c->in[2];
  ct_tensor *gp = ct_add(at(g, 1), ct_scale(at(g, 0), H)), *hgp = ct_scale(gp, H);
  ct_tensor *by_force = ct_mul(ct_mul(at(u, 0), ct_cos(at(x, 0))), hgp);
  y[0] = joined(ct_sub(at(g, 0), by_force), ct_sub(gp, ct_mul(at(u, 1), hgp)));
  y[1] = joined(ct_neg(ct_mul(ct_sin(at(x, 0)), hgp)), ct_neg(ct_mul(at(x, 1), hgp)));
}

static const ct_op tangent_op = {CT_OP,
                                 .name = "pendulum_tangent",
                                 .n_in = 4,
                                 .infer = pairs_infer,
                                 .eval = tangent_eval,
                                 .fallback = tangent_fallback};
static const ct_op adjoint_op = {CT_OP,
                                 .name = "pendulum_adjoint",
                                 .n_in = 3,
                                 .n_out = 2,
                                 .infer = pairs_infer,
                                 .eval = adjoint_eval,
                                 .fallback = adjoint_fallback};

static void step_vjp(const ct_call *c, ct_tensor *const *gy, ct_tensor **gx) {
  ct_apply_all(&adjoint_op, NULL, CT_LIST(c->in[0], c->in[1], gy[0]), gx);
}

static void step_jvp(const ct_call *c, ct_tensor *const *dx, ct_tensor **dy) {
  ct_tensor *zero = ct_zeros(CT_F64, CT_SHAPE(2));
  dy[0] = ct_apply(&tangent_op,
                   CT_LIST(c->in[0], c->in[1], dx[0] ? dx[0] : zero, dx[1] ? dx[1] : zero));
}

static const ct_op step_op = {CT_OP,
                              .name = "pendulum",
                              .doc = "(q, p) after one step of time, for parameters (k, c)",
                              .n_in = 2,
                              .infer = pairs_infer,
                              .eval = step_eval,
                              .vjp = step_vjp,
                              .jvp = step_jvp};

/* ---- the path, and the parameters behind an observed one ------------------------------------- */

/* (60, 2): the states from (1, 0) on, with parameters u. */
static ct_tensor *path(ct_tensor *u) {
  ct_tensor *x = ct_from(CT_F64, CT_SHAPE(2), (double[]){1, 0}), *all[60];
  for (int i = 0; i < 60; i++) all[i] = x = ct_apply(&step_op, CT_LIST(x, u));
  return ct_stack((ct_list){60, all}, 0);
}

static ct_tensor *loss(ct_list u, void *observed) {
  return ct_mean(ct_square(ct_sub(path(u.at[0]), observed)), CT_ALL, false);
}

/* u - H^-1 g for two parameters. */
static ct_tensor *newton_step(ct_tensor *u, ct_tensor *l) {
  ct_tensor *gradient;
  ct_grad(l, CT_LIST(u), &gradient);
  const double *h = ct_data(ct_contiguous(ct_hessian(l, u))), *g = ct_data(gradient),
               *x = ct_data(u);
  if (!h || !g || !x) return ct_nil();
  double det = h[0] * h[3] - h[1] * h[2];
  return ct_from(CT_F64, CT_SHAPE(2),
                 (double[]){x[0] - (h[3] * g[0] - h[1] * g[1]) / det,
                            x[1] - (h[0] * g[1] - h[2] * g[0]) / det});
}

int main(void) {
  ct_tensor *observed = path(ct_from(CT_F64, CT_SHAPE(2), (double[]){4, 0.3}));
  ct_tensor *u = ct_variable(ct_from(CT_F64, CT_SHAPE(2), (double[]){3.7, 0.5}));
  for (int i = 0; i <= 4; i++) {
    ct_scope scope = ct_scope_begin();
    ct_tensor *l = loss(CT_LIST(u), observed);
    const double *now = ct_data(u);
    double value;
    if (ct_item(l, &value) != CT_OK || !now) break;
    printf("k = %.4f, c = %.4f: loss %.0e\n", now[0], now[1], value);
    ct_assign(u, newton_step(u, l));
    ct_scope_end(scope);
  }
  ct_tensor *start = ct_from(CT_F64, CT_SHAPE(2), (double[]){3.7, 0.5});
  if (ct_gradcheck(loss, observed, CT_LIST(start), (ct_gradcheck_opts){0}, NULL) == CT_OK)
    printf("derivatives agree with differences\n");
  ct_release(&u);
  ct_error_print(stderr);
  return ct_error_code() != CT_OK;
}
