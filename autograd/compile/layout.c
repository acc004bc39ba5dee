/* layout.c - operations that only see their input otherwise become aliases of it. */
#include "program.h"

/* Views are computed from a place in the middle of nowhere: only the distance counts. */
static char nowhere[1];

static bool as_view(const ct_op *op, const void *attr, const ct__value *x, const ct__value *y,
                    ct_view *view) {
  ct_view from = x->v;
  from.data = nowhere;
  *view = y->v;
  if (!op->view || !op->view(attr, &from, view)) return false;
  ct__view_refresh(view);
  return true;
}

ct_status ct__pass_layout(ct_program *p) {
  for (int k = 0; k < p->n_instrs; k++) {
    ct__instr *instr = &p->instr[k];
    if (!instr->op->view) continue;
    ct__value *x = &p->value[instr->arg[0]], *y = &p->value[ct__outs(instr)[0]];
    ct_view view;
    if (!as_view(instr->op, instr->attr, x, y, &view)) continue;
    y->base = x->base;
    y->offset = x->offset + (view.data - nowhere);
    y->v = view;
    y->v.data = NULL;
    instr->op = NULL;
  }
  ct__program_compact(p);
  return CT_OK;
}
