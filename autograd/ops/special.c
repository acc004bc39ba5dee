/* special.c - special functions of one number that take branches, in f64 for both types. */
#define _DEFAULT_SOURCE /* lgamma_r */
#include "../../tensor/vectors.h"
#include "kernels.h"

#include <math.h>

double ct__ln_gamma(double x) {
  int sign;
  return lgamma_r(x, &sign);
}

/* n! / x^(n+1) without overflow on the way. */
INLINE double factorial_over_power(int n, double x) {
  double y = 1 / x;
  for (int k = 1; k <= n; k++) y *= k / x;
  return y;
}

/* For x > 0, times (-1)^(n+1): upwards by psi_n(x) = psi_n(x + 1) + (-1)^(n+1) n! / x^(n+1) until
 * the asymptotic series holds, (n-1)!/x^n + n!/(2 x^(n+1)) + sum_k B_2k (2k+n-1)! / ((2k)!
 * x^(2k+n)), with -ln x for n = 0. */
INLINE double polygamma_right(int n, double x) {
  static const double bernoulli[] = {
      1. / 6, -1. / 30,     1. / 42,      -1. / 30,       5. / 66,       -691. / 2730,
      7. / 6, -3617. / 510, 43867. / 798, -174611. / 330, 854513. / 138, -236364091. / 2730};
  double y = 0;
  for (; x < n + 10; x++) y += factorial_over_power(n, x);
  double last = factorial_over_power(n, x), term = 0.5 * (n + 1) * last / x, series = 0;
  UNROLL for (int k = 1; k <= 12; k++) {
    series += bernoulli[k - 1] * term;
    term *= (2 * k + n) / (2 * k + 1.0) / x * (2 * k + n + 1) / (2 * k + 2.0) / x;
  }
  double first = n == 0 ? -log(x) : factorial_over_power(n - 1, x);
  return y + (first + 0.5 * last + series);
}

/* The n-th derivative of pi cot(pi x): pi^(n+1) P_n(cot(pi x)) with P_0 = c and
 * P_(n+1) = -(1 + c^2) P_n'. */
static double cotangent_derivative(int n, double x) {
  double p[POLYGAMMA_MAX + 2] = {0, 1}, pi = 3.14159265358979323846;
  for (int k = 0; k < n; k++) {
    double next[POLYGAMMA_MAX + 3] = {0};
    for (int j = 1; j <= k + 1; j++) {
      next[j - 1] -= j * p[j];
      next[j + 1] -= j * p[j];
    }
    for (int j = 0; j <= k + 2; j++) p[j] = next[j];
  }
  double cotangent = 1 / tan(pi * (x - rint(x))), y = 0;
  for (int j = n + 1; j >= 0; j--) y = y * cotangent + p[j];
  for (int k = 0; k <= n; k++) y *= pi;
  return y;
}

/* psi_n(x); the poles are at 0, -1, -2, ... For x < 0 by reflection,
 * psi_n(x) = (-1)^n psi_n(1 - x) - d^n/dx^n pi cot(pi x). */
INLINE double polygamma_of(int n, double x) {
  double sign = n % 2 == 0 ? -1 : 1; /* of psi_n right of 0 */
  if (x != x) return x;
  if (isinf(x)) return x < 0 ? (double)NAN : n == 0 ? x : 0;
  if (x == 0) return n % 2 == 0 ? -copysign((double)INFINITY, x) : (double)INFINITY;
  if (x > 0) return sign * polygamma_right(n, x);
  if (x == floor(x)) return n % 2 == 0 ? (double)NAN : (double)INFINITY;
  return -polygamma_right(n, 1 - x) - cotangent_derivative(n, x);
}

/* psi_0, the one that is often used, is worth code of its own. */
double ct__polygamma(int n, double x) { return n == 0 ? polygamma_of(0, x) : polygamma_of(n, x); }
