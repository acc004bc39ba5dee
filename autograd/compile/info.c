/* info.c - numbers about a program. */
#include "program.h"

ct_program_stats ct_program_info(const ct_program *p) {
  if (!p) return (ct_program_stats){0};
  return (ct_program_stats){.instructions = p->n_instrs,
                            .values = p->n_values,
                            .updates = p->n_updates,
                            .arena = p->arena,
                            .live = p->live,
                            .seconds = p->seconds};
}
