/* floor.c - the first training step of a network, by hand. */
#include "bench/support/floor.h"

#include "startup.h"

#include <math.h>

static void random_fill(size_t n, double reach, float *x) {
  uint32_t state = 1;
  for (size_t i = 0; i < n; i++) {
    state = state * 1664525U + 1013904223U;
    x[i] = (float)(reach * (ldexp(state, -31) - 1));
  }
}

int main(int argc, char **argv) {
  const floor_shape *shape = &floor_shapes[STARTUP_SHAPE];
  floor_net *net = floor_new(shape, STARTUP_BATCH, 0.01F);
  startup_read(argc > 1 ? argv[1] : NULL, floor_input(net), floor_labels(net));
  for (int i = 0; i < shape->layers; i++) {
    size_t in = (size_t)shape->width[i], out = (size_t)shape->width[i + 1];
    random_fill(in * out, 1 / sqrt((double)in), floor_weight(net, i));
    random_fill(out, 1 / sqrt((double)in), floor_bias(net, i));
  }
  startup_report((double)floor_step(net));
  floor_free(net);
  return 0;
}
