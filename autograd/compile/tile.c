/* tile.c - chains of elementwise operations, row by row. */
#include "tile.h"

enum { CHUNK = 1024, REGISTERS = 24 };

static void run_row(const ct__tile *t, int64_t n, char **base, const int64_t *stride) {
  _Alignas(64) char block[REGISTERS][CHUNK * 8];
  for (int64_t at = 0; at < n; at += CHUNK) {
    int64_t m = n - at < CHUNK ? n - at : CHUNK;
    char *reg[REGISTERS];
    int64_t step[REGISTERS];
    for (int r = 0; r < t->n_reg; r++) {
      reg[r] = r < t->n_in ? base[r] + at * stride[r] * (int64_t)ct__item_size(t->dtype[r])
                           : block[r];
      step[r] = r < t->n_in ? stride[r] : 1;
    }
    for (int k = 0; k < t->n_steps; k++) {
      const ct__tile_step *s = &t->step[k];
      char *p[CT__MAX_OPERANDS + 1];
      int64_t st[CT__MAX_OPERANDS + 1];
      for (int i = 0; i <= s->n; i++) {
        p[i] = reg[s->reg[i]];
        st[i] = step[s->reg[i]];
      }
      s->loop(m, p, st, s->attr);
    }
    for (int o = 0; o < t->n_out; o++) {
      int r = t->out[o];
      ct_view from = {.data = reg[r], .dtype = t->dtype[r], .ndim = 1, .dim = {m}, .stride = {step[r]}, .size = m};
      ct_view to = from;
      ct__view_refresh(&from);
      to.data = base[t->n_in + o] + at * stride[t->n_in + o] * (int64_t)ct__item_size(to.dtype);
      to.stride[0] = stride[t->n_in + o];
      ct__view_refresh(&to);
      ct__copy(&from, &to);
    }
  }
}

void ct__tile_run(const ct__tile *t, const ct_view *const *in, ct_view *const *out) {
  const ct_view *y = out[0];
  int nd = y->ndim, all = t->n_in + t->n_out;
  if (y->size == 0) return;
  ct_view v[REGISTERS * 2];
  for (int i = 0; i < all; i++)
    ct__view_broadcast(i < t->n_in ? in[i] : out[i - t->n_in], nd, y->dim, &v[i]);
  int64_t at[CT_MAX_DIMS] = {0}, n = nd ? y->dim[nd - 1] : 1;
  for (;;) {
    char *base[REGISTERS * 2];
    int64_t stride[REGISTERS * 2];
    for (int i = 0; i < all; i++) {
      int64_t off = 0;
      for (int d = 0; d < nd - 1; d++) off += at[d] * v[i].stride[d];
      base[i] = v[i].data + off * (int64_t)ct__item_size(v[i].dtype);
      stride[i] = nd ? v[i].stride[nd - 1] : 0;
    }
    run_row(t, n, base, stride);
    int d = nd - 2;
    while (d >= 0 && ++at[d] == y->dim[d]) at[d--] = 0;
    if (d < 0) return;
  }
}

const ct_op ct__fused_op = {CT_OP, .name = "fused"};
