/* kann.c - KANN's automatic differentiation as a peer (support/peer.h).
 *
 * The chains of support/chains.c: each graph is built, compiled, run forwards and backwards and
 * deleted. Compiled with kautodiff.c by the benchmark when CT_PEER_KANN names KANN's folder.
 */
#include <kautodiff.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LENGTH = 100 };

static kad_node_t *link_of(int kind, kad_node_t *y, kad_node_t *x) {
  switch (kind) {
  case 0: return kad_add(y, x);
  case 1: return kad_mul(y, x);
  case 2: return kad_sin(y);
  default: return kad_tanh(y);
  }
}

static void chain(int kind) {
  static float value = 0.9F, grad;
  int n;
  kad_node_t *x = kad_var(&value, &grad, 0), *y = x;
  for (int i = 0; i < LENGTH; i++) y = link_of(kind, y, x);
  kad_node_t **graph = kad_compile(&n, 1, y);
  kad_eval_at(n, graph, n - 1);
  kad_grad(n, graph, n - 1);
  kad_delete(n, graph);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(void) {
  char task[64];
  int runs;
  printf("KANN %s\n", KAD_VERSION);
  fflush(stdout);
  while (scanf("%63s %d", task, &runs) == 2) {
    double start = now();
    for (int i = 0; i < runs; i++)
      for (int kind = 0; kind < 4; kind++) chain(kind);
    printf("%.9f\n", strcmp(task, "chains") == 0 ? now() - start : -1);
    fflush(stdout);
  }
  return 0;
}
