/* error.c - the pending error of each thread, and the funnel that sets it. */
#include "tensor_internal.h"

#include <ctype.h>
#include <stdarg.h>

enum { MESSAGE_SIZE = 512 };

_Thread_local const char *ct__composition;

static _Thread_local struct {
  ct_status code;
  bool old; /* from before the status function that is running: its own first error replaces it */
  char text[MESSAGE_SIZE];
} pending;

/* What stands behind the name of a function, "name: ...". */
static const char *behind_name(const char *text) {
  const char *p = text;
  while (*p == '_' || isalnum((unsigned char)*p)) p++;
  return p > text && p[0] == ':' && p[1] == ' ' ? p + 2 : text;
}

/* Puts the name before the pending text, in place of the one that is there. */
static void set_name(const char *who) {
  char text[2 * MESSAGE_SIZE];
  snprintf(text, sizeof text, "%s: %s", who, behind_name(pending.text));
  text[MESSAGE_SIZE - 1] = '\0';
  memcpy(pending.text, text, MESSAGE_SIZE);
}

/* Every error passes here: the place for a breakpoint. Texts live in the thread, so that running
 * out of memory can be told like everything else. */
static ct_status funnel(bool replace, ct_status code, const char *format, va_list args) {
  if (code == CT_OK) code = CT_EARG;
  if (pending.code == CT_OK || pending.old || replace) {
    char text[MESSAGE_SIZE]; /* an argument may be the old message */
    vsnprintf(text, sizeof text, format, args);
    memcpy(pending.text, text, sizeof text);
    if (ct__composition) set_name(ct__composition);
    pending.code = code;
    pending.old = false;
  }
  return code;
}

bool ct__status_begin(void) {
  bool was = pending.old;
  pending.old = pending.code != CT_OK;
  return was;
}

bool ct__status_failed(void) { return pending.code != CT_OK && !pending.old; }

ct_status ct__status_end(const char *who, bool was, ct_status status) {
  if (status == CT_ENOMEM) ct__out_of_memory(who);
  pending.old = pending.old && was;
  return status;
}

ct_status ct__out_of_memory(const char *who) {
  if (pending.code == CT_ENOMEM && behind_name(pending.text) == pending.text) set_name(who);
  return ct__fail(CT_ENOMEM, "%s: out of memory", who);
}

ct_status ct__fail(ct_status code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  code = funnel(false, code, format, args);
  va_end(args);
  return code;
}

ct_status ct__fail_status(ct_status code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  code = funnel(true, code, format, args);
  va_end(args);
  return code;
}

ct_tensor *ct__nil(ct_status code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  funnel(false, code, format, args);
  va_end(args);
  return ct_nil();
}

ct_status ct_error_set(ct_status code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  code = funnel(false, code, format ? format : "", args);
  va_end(args);
  return code;
}

ct_status ct__pending(const char *who) {
  if (pending.code != CT_OK) return pending.code;
  return ct__fail(CT_ENIL, "%s: got the nil tensor, but no error is pending", who);
}

ct_status ct_error_code(void) { return pending.code; }

const char *ct_error_message(void) { return pending.code == CT_OK ? "" : pending.text; }

void ct_error_clear(void) {
  pending.code = CT_OK;
  pending.text[0] = '\0';
}

void ct_error_print(FILE *out) {
  if (out && pending.code != CT_OK) fprintf(out, "error: %s\n", pending.text);
}

const char *ct_status_text(ct_status code) {
  switch (code) {
#define STATUS_TEXT(name, value, text)                                                             \
  case CT_##name: return text;
    CT_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
  }
  return "unknown status";
}
