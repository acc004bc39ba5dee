/* The table of primitives, from the records themselves: what has which derivative, and how. */
#include <cotangent.h>
#include <stdio.h>
#include <string.h>

/* Where each mode comes from, in the engine's order. */
static const char *reverse(const ct_op *op) {
  if (op->flags & CT_NONDIFF) return "zero";
  return op->vjp ? "rule" : op->partial ? "partial" : op->fallback ? "fallback" : "none";
}

static const char *forward(const ct_op *op) {
  if (op->flags & CT_NONDIFF) return "zero";
  return op->jvp        ? "rule"
         : op->partial  ? "partial"
         : op->linear   ? "linear"
         : op->fallback ? "fallback"
                        : "none";
}

static void inputs(const ct_op *op, char text[16]) {
  if (op->n_in == CT_VARIADIC)
    strcpy(text, "any");
  else
    snprintf(text, 16, "%d", op->n_in);
}

/* What the inner loops of an elementwise primitive take; others check dtypes themselves. */
static void dtypes(const ct_op *op, char text[64]) {
  size_t at = 0;
  text[0] = '\0';
  for (int d = 0; op->kernel && d < CT_DTYPES; d++)
    if (op->kernel->loop[d])
      at += (size_t)snprintf(text + at, 64 - at, "%s%s", at ? " " : "", ct_dtype_name((ct_dtype)d));
}

int main(void) {
  printf("| primitive | inputs | VJP | JVP | formula | elementwise on |\n");
  printf("|---|---|---|---|---|---|\n");
  for (int i = 0; i < ct_op_count(); i++) {
    const ct_op *op = ct_op_at(i);
    char n[16], types[64];
    inputs(op, n);
    dtypes(op, types);
    printf("| %s | %s | %s | %s | %s | %s |\n", op->name, n, reverse(op), forward(op), op->doc,
           types);
  }
  printf("\n%d primitives. rule: written out; partial: one elementwise derivative for both modes; "
         "linear: the operation itself;\nfallback: the derivative of a composition; zero: by "
         "definition. Every one to any order.\n",
         ct_op_count());
  return 0;
}
