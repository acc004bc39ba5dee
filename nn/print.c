/* print.c - a module as a table: layers, shapes of results and parameters, numbers. */
#include "nn_internal.h"

enum { TITLE_WIDTH = 32, SHAPE_WIDTH = 16, LINE = 256 };

/* "  0 linear 784 -> 128", indented by depth. */
static void title(const ct_module *root, const ct_module *m, char text[LINE]) {
  int depth = 0;
  for (const ct_module *up = m; up != root; up = up->place->owner) depth++;
  char about[LINE / 2] = "";
  if (m->cls->describe) m->cls->describe(m, about, sizeof about);
  snprintf(text, LINE, "%*s%s%s%s%s%s", 2 * depth, "", depth > 0 ? m->place->name : "",
           depth > 0 ? " " : "", m->cls->name, *about ? " " : "", about);
}

static const char *kind_text(const ct_member *p) {
  static const char *const text[] = {"", " buffer", " state"};
  return p->frozen ? " frozen" : text[p->kind];
}

/* Number of elements of m's own parameters that were not met before. */
static int64_t own_count(const ct_module *root, const ct_module *m) {
  int64_t count = 0;
  for (const ct_member *p = m->first; p; p = p->next)
    if (p->kind == CT_PARAM && !ct__member_again(root, p)) count += p->tensor->v.size;
  return count;
}

/* Title, shape of the result if watched, own parameters. */
static void print_module(FILE *out, const ct_module *root, const ct_module *m) {
  char text[LINE], shape[CT__SHAPE_TEXT];
  title(root, m, text);
  fprintf(out, "%-*s", TITLE_WIDTH, text);
  if (m->watched) fprintf(out, " %-*s", SHAPE_WIDTH, ct__shape_text(shape, m->seen.n, m->seen.dim));
  fprintf(out, " %10lld", (long long)own_count(root, m));
  for (const ct_member *p = m->first; p; p = p->next)
    if (p->tensor)
      fprintf(out, "  %s %s%s%s", p->name,
              ct__shape_text(shape, p->tensor->v.ndim, p->tensor->v.dim), kind_text(p),
              ct__member_again(root, p) ? " shared" : "");
  fputc('\n', out);
}

ct_status ct_module_print(FILE *out, ct_module *m) {
  if (!out || !m) return ct__fail_status(CT_EARG, "ct_module_print: %s is NULL", out ? "m" : "out");
  print_module(out, m, m);
  for (const ct_member *p = NULL; (p = ct__member_next(m, p));)
    if (p->child) print_module(out, m, p->child);
  ct_list trained = ct_module_params(m);
  if (trained.n == 1 && ct__is_nil(trained.at[0])) return ct__pending("ct_module_print");
  int64_t count = ct_module_count(m), free_count = 0;
  for (int i = 0; i < trained.n; i++) free_count += trained.at[i]->v.size;
  fprintf(out, "%lld parameters", (long long)count);
  if (free_count < count) fprintf(out, ", %lld of them frozen", (long long)(count - free_count));
  fputc('\n', out);
  return ferror(out) ? ct__fail_status(CT_EIO, "ct_module_print: writing failed") : CT_OK;
}

static void watch(ct_module *m, bool on) {
  m->watched = on;
  m->seen = CT_SCALAR;
  for (const ct_member *p = NULL; (p = ct__member_next(m, p));)
    if (p->child) {
      p->child->watched = on;
      p->child->seen = CT_SCALAR;
    }
}

/* The shapes are those of a symbolic pass: nothing is computed, no state advances. */
ct_status ct_module_print_with(FILE *out, ct_module *m, ct_dtype dtype, ct_shape input) {
  if (!out || !m)
    return ct__fail_status(CT_EARG, "ct_module_print_with: %s is NULL", out ? "m" : "out");
  ct_scope scope = ct_scope_begin();
  watch(m, true);
  ct_tensor *y = ct_forward(m, ct_placeholder(dtype, input));
  ct_status status = ct__is_nil(y) ? ct__pending("ct_module_print_with") : ct_module_print(out, m);
  watch(m, false);
  ct_status ended = ct_scope_end(scope);
  return status != CT_OK ? status : ended;
}
