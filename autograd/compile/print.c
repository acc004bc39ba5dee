/* print.c - a program as text, one line for each instruction, and with the time that each takes. */
#include "program.h"

#include <stdlib.h>
#include <time.h>

enum { NAME = 24 };

/* ---- names ----------------------------------------------------------------------------------- */

const char *ct__value_name(const ct_program *p, int i, char text[CT__VALUE_NAME]) {
  const ct__value *x = &p->value[i], *base = ct__base(p, i);
  const char *prime = x->base == i ? "" : "'";
  if (base->home == CT__ARGUMENT)
    snprintf(text, CT__VALUE_NAME, "in%d%s", base->argument, prime);
  else if (base->home == CT__CAPTURED)
    snprintf(text, CT__VALUE_NAME, "%c%d%s", base->tensor->flags & CT__VARIABLE ? 'v' : 'c',
             x->base, prime);
  else
    snprintf(text, CT__VALUE_NAME, "%%%d%s", x->base, prime);
  return text;
}

static void print_value(const ct_program *p, int i, FILE *out) {
  char name[CT__VALUE_NAME], shape[CT__SHAPE_TEXT];
  const ct_view *v = &p->value[i].v;
  fprintf(out, "%s %s%s", ct__value_name(p, i, name), ct_dtype_name(v->dtype),
          ct__shape_text(shape, v->ndim, v->dim));
}

/* 1234567 as "1.23 M". */
static const char *amount(double n, char text[NAME]) {
  static const char *const unit[] = {"", "k", "M", "G", "T"};
  int u = 0;
  for (; n >= 1000 && u < 4; u++) n /= 1000;
  snprintf(text, NAME, "%.3g %s", n, unit[u]);
  return text;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void print_instr(const ct_program *p, int k, FILE *out) {
  const ct__instr *instr = &p->instr[k];
  char text[CT__VALUE_NAME];
  fprintf(out, "%4d  ", k);
  for (int o = 0; o < instr->n_out; o++) {
    if (o) fputs(", ", out);
    print_value(p, ct__outs(instr)[o], out);
  }
  fprintf(out, " = %s(", instr->op->name);
  for (int i = 0; i < instr->n_in; i++)
    fprintf(out, "%s%s", i ? ", " : "", ct__value_name(p, instr->arg[i], text));
  fputc(')', out);
  if (instr->steps) fprintf(out, " [%s]", instr->steps);
}

ct_status ct__check_stream(const char *who, const ct_program *p, const FILE *out) {
  if (!p || !out) return ct__fail_status(CT_EARG, "%s: %s is NULL", who, p ? "out" : "p");
  return CT_OK;
}

ct_status ct__check_written(const char *who, FILE *out, const char *what) {
  return ferror(out) ? ct__fail_status(CT_EIO, "%s: the stream refused the %s", who, what) : CT_OK;
}

static void print_head(const ct_program *p, FILE *out) {
  fprintf(
      out,
      "program of %d instructions, %d inputs, %d outputs, %d updates; arena %zu bytes, of which %zu live at once\n",
      p->n_instrs, p->n_args, p->n_out, p->n_updates, p->arena, p->live);
}

ct_status ct_program_print(const ct_program *p, FILE *out) {
  ct_status status = ct__check_stream("ct_program_print", p, out);
  if (status != CT_OK) return status;
  print_head(p, out);
  for (int k = 0; k < p->n_instrs; k++) {
    char bytes[NAME], flops[NAME];
    print_instr(p, k, out);
    fprintf(out, "  # %sB", amount(ct__instr_bytes(p, &p->instr[k]), bytes));
    double n = ct__instr_flops(p, &p->instr[k]);
    if (n > 0) fprintf(out, ", %sflop", amount(n, flops));
    fputc('\n', out);
  }
  for (int o = 0; o < p->n_out; o++) {
    fprintf(out, "      out%d is ", o);
    print_value(p, p->out[o], out);
    fputc('\n', out);
  }
  return ct__check_written("ct_program_print", out, "text");
}

/* ---- with times ------------------------------------------------------------------------------ */

typedef struct laps {
  int runs, run;
  struct timespec last;
  double *sample; /* runs for each instruction */
} laps;

static void lap(void *clock, int k) {
  laps *l = clock;
  struct timespec now;
  timespec_get(&now, TIME_UTC);
  double passed =
      (double)(now.tv_sec - l->last.tv_sec) + 1e-9 * (double)(now.tv_nsec - l->last.tv_nsec);
  if (k >= 0) l->sample[(size_t)k * (size_t)l->runs + (size_t)l->run] = passed;
  timespec_get(&l->last, TIME_UTC); /* looking at the clock is not the instruction's */
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void print_times(const ct_program *p, const laps *l, FILE *out) {
  double total = 0;
  for (int k = 0; k < p->n_instrs; k++) {
    qsort(l->sample + (size_t)k * (size_t)l->runs, (size_t)l->runs, sizeof(double), by_size);
    total += l->sample[(size_t)k * (size_t)l->runs + (size_t)l->runs / 2];
  }
  print_head(p, out);
  fprintf(out, "        us   share  GFLOP/s    GB/s   (medians of %d runs, %.3f us in all)\n",
          l->runs, 1e6 * total);
  for (int k = 0; k < p->n_instrs; k++) {
    double t = l->sample[(size_t)k * (size_t)l->runs + (size_t)l->runs / 2], at = t > 0 ? t : 1e-9;
    fprintf(out, "%10.3f  %5.1f %%  %7.1f %7.1f  ", 1e6 * t, total > 0 ? 100 * t / total : 0,
            1e-9 * ct__instr_flops(p, &p->instr[k]) / at,
            1e-9 * ct__instr_bytes(p, &p->instr[k]) / at);
    print_instr(p, k, out);
    fputc('\n', out);
  }
}

static ct_status profile(ct_program *p, ct_list inputs, laps *l, ct_tensor **outputs) {
  ct_status status = CT_OK;
  for (l->run = -1; l->run < l->runs && status == CT_OK; l->run++) {
    ct_scope scope = ct_scope_begin(); /* the first run is not counted: caches are cold */
    status = ct__run_with(p, inputs, outputs, l->run < 0 ? NULL : lap, l);
    ct_status end = ct_scope_end(scope);
    if (status == CT_OK) status = end;
  }
  return status;
}

ct_status ct_program_profile(ct_program *p, ct_list inputs, int runs, FILE *out) {
  ct_status status = ct__check_stream("ct_program_profile", p, out);
  if (status != CT_OK) return status;
  if (runs < 1 || runs > 1000000)
    return ct__fail_status(CT_EARG, "ct_program_profile: want 1 to 1000000 runs, got %d", runs);
  size_t bytes = (size_t)runs * (size_t)p->n_instrs * sizeof(double);
  size_t pointers = (size_t)p->n_out * sizeof(ct_tensor *);
  laps l = {.runs = runs, .sample = ct__alloc(bytes)};
  ct_tensor **outputs = ct__alloc(pointers);
  status = l.sample && outputs ? profile(p, inputs, &l, outputs) : CT_ENOMEM;
  if (status == CT_OK) {
    print_times(p, &l, out);
    status = ct__check_written("ct_program_profile", out, "text");
  }
  ct__free(l.sample, bytes);
  ct__free(outputs, pointers);
  return status;
}
