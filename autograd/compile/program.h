/* program.h - what a program is made of, and its passes.
 *
 * Values are places for numbers, instructions operations between them; both are numbered. A value
 * lies in the memory of its base, mostly itself. Passes are functions from program to program, each
 * in a file of its own, listed in compile.c.
 *
 * What a program consists of lives in its zone: nothing there is freed before the program is. What
 * a pass only works with is scratch, gone once it has returned. Values and instructions are arrays
 * that grow; the last pass gives them exactly the room they need.
 */
#ifndef COTANGENT_PROGRAM_H
#define COTANGENT_PROGRAM_H

#include "../function_internal.h"
#include "compile.h"

typedef enum ct__home {
  CT__COMPUTED, /* memory of the instance, or of a result */
  CT__ARGUMENT, /* an input's */
  CT__CAPTURED  /* a variable's or a constant's */
} ct__home;

typedef struct ct__value {
  ct_view v;         /* shape and layout; each instance has its own with data */
  int base;          /* the value in whose memory it lies; itself, or one with base itself */
  int64_t offset;    /* from there, in bytes */
  ct__home home;     /* of a base */
  ct_tensor *tensor; /* of a captured base; one reference */
  int argument;      /* of an argument: which */
  int result;        /* of a computed base: which result's memory it is, or -1 */
  int first, last;   /* of a base, once planned: the first and last instruction that touch it */
  size_t at;         /* and where in the arena, in bytes */
} ct__value;

/* arg: n_in inputs, then n_out outputs. An instruction that is no more has no op. */
typedef struct ct__instr {
  const ct_op *op;
  const void *attr;
  int n_in, n_out;
  int *arg;
  size_t work, work_at; /* workspace in the arena */
  const char *steps;    /* for people: the operations that a chain is made of, or NULL */
} ct__instr;

typedef struct ct__update {
  int variable, value;
} ct__update;

/* Attributes that op->attr_copy has made, behind this. */
typedef struct ct__held {
  struct ct__held *next;
  const ct_op *op;
} ct__held;

typedef struct ct__zone_block ct__zone_block;
typedef struct ct__instance ct__instance;
typedef struct ct__bound ct__bound;

struct ct_program {
  atomic_int refs;
  bool exact, verify;
  ct_function *f; /* the recipe, for ct_call_program; NULL where updates forbid that */
  ct__zone_block *zone, *scratch;
  ct__held *held;
  ct__bound *bounds;
  int n_values, room_values, n_instrs, room_instrs, n_args, n_out, n_updates;
  ct__value *value;
  ct__instr *instr;
  ct__update *update;
  int *argument; /* value of each argument */
  int *out;      /* value of each output */
  size_t arena, live;
  /* What a run looks at: captured tensors, the variable of each update, and the values in the
   * memory of input or result i (inputs count first): moved[moved_at[i]] up to moved[moved_at[i +
   * 1]]. */
  ct_tensor **captured, **updated;
  int n_captured, *moved_at, *moved;
  double seconds;
  atomic_flag lock; /* of what follows */
  ct__instance *idle;
  bool updating; /* a run with updates is under way */
};

/* ---- building blocks (program.c) ------------------------------------------------------------- */

/* Zeroed; NULL and CT_ENOMEM on failure. What lives as long as the program, and what until the end
 * of the pass. */
void *ct__zone_alloc(ct_program *p, size_t bytes);
void *ct__scratch_alloc(ct_program *p, size_t bytes);
void ct__scratch_empty(ct_program *p);
/* The array of n elements in a block with room for `want`, in place of that for *room; NULL on
 * failure, and nothing has changed. */
void *ct__resized(void *array, int n, int *room, int want, size_t item);
/* A fresh computed value, contiguous; -1 on failure. Pointers into p->value are void then. */
int ct__value_new(ct_program *p, ct_dtype dtype, int ndim, const int64_t *dim);
/* The same, of value i's shape and dtype. */
int ct__value_like(ct_program *p, int i);
/* A view of a value's memory, laid out as v (its data is ignored); -1 on failure. */
int ct__value_alias(ct_program *p, int of, int64_t offset, const ct_view *v);
/* A constant with t's numbers; takes a reference. -1 on failure. */
int ct__value_constant(ct_program *p, ct_tensor *t);
/* A new instruction at the end, its attributes copied bytewise; false on failure. Pointers into
 * p->instr are void then. */
bool ct__instr_new(ct_program *p, const ct_op *op, const void *attr, int n_in, const int *in,
                   int n_out, const int *out);
/* The same in the place of instruction k, whose steps stay. */
bool ct__instr_replace(ct_program *p, int k, const ct_op *op, const void *attr, int n_in,
                       const int *in, int n_out, const int *out);
/* The names of what n instructions do, as many as a line has room for; NULL on failure. */
const char *ct__step_names(ct_program *p, int n, const int *instr);
/* Reads of value i become reads of to[i] everywhere: operands, outputs, updates. */
void ct__program_rename(ct_program *p, const int *to);
/* Drops instructions without op. */
void ct__program_compact(ct_program *p);
/* How often each value is read (operands, outputs, updates), n_values numbers of scratch; what
 * reads an alias reads its base too. NULL on failure. */
int *ct__program_uses(ct_program *p);
void ct__count_use(const ct_program *p, int *uses, int i, int by);
/* The instruction that makes each value, or -1; n_values numbers of scratch. */
int *ct__program_makers(ct_program *p);

/* Memory is handed out in cache lines. */
enum { CT__LINE = 64 };
static inline size_t ct__whole_lines(size_t bytes) {
  return (bytes + CT__LINE - 1) & ~(size_t)(CT__LINE - 1);
}

static inline const int *ct__outs(const ct__instr *k) { return k->arg + k->n_in; }
static inline size_t ct__value_bytes(const ct__value *x) {
  return (size_t)x->v.size * ct__item_size(x->v.dtype);
}
static inline int ct__base_of(const ct_program *p, int i) { return p->value[i].base; }
static inline ct__value *ct__base(const ct_program *p, int i) {
  return &p->value[p->value[i].base];
}
/* All of the base's memory, in order. */
static inline bool ct__value_whole(const ct_program *p, int i) {
  const ct__value *x = &p->value[i], *base = ct__base(p, i);
  return x->offset == 0 && x->v.contiguous && ct__value_bytes(x) == ct__value_bytes(base);
}
/* The single number that all elements of a constant are. */
bool ct__value_number(const ct_program *p, int i, double *number);

/* An instruction as a call, for infer and work: tensors without values over the operands' shapes.
 * room has space for n_in of each. */
typedef struct ct__call_room {
  ct_tensor *tensor;
  ct_tensor **in;
} ct__call_room;
/* Of scratch, for the widest instruction. */
bool ct__call_room_new(ct_program *p, ct__call_room *room);
ct_call ct__instr_call(const ct_program *p, const ct__instr *k, const ct__call_room *room);
/* The axes that such a call of a reduction reduces, as a mask, and whether they stay with extent 1.
 */
bool ct__reduced_axes(const ct_call *c, unsigned *axes, bool *keepdims);

/* ---- what is known of operations ------------------------------------------------------------- */

/* May its evaluation fail for the values it meets? No update may come before it then. */
static inline bool ct__can_fail(const ct_op *op) { return op->flags & CT_CAN_FAIL; }
/* May a result lie where input i lies? */
static inline bool ct__inplace(const ct_op *op, int i) { return i < 32 && op->inplace >> i & 1; }
/* Floating-point operations of an instruction, 0 if unknown, and bytes of its operands (info.c). */
double ct__instr_flops(const ct_program *p, const ct__instr *k);
double ct__instr_bytes(const ct_program *p, const ct__instr *k);

/* ---- streams (print.c) ----------------------------------------------------------------------- */

/* CT_EARG for a NULL; CT_EIO if the stream refused what was written. */
ct_status ct__check_stream(const char *who, const ct_program *p, const FILE *out);
ct_status ct__check_written(const char *who, FILE *out, const char *what);

/* ---- names (print.c) ------------------------------------------------------------------------- */

/* %7 for what the program computes, in0 for inputs, v3 for variables, c4 for constants; with a
 * prime where the memory is only seen otherwise. */
#define CT__VALUE_NAME 24
const char *ct__value_name(const ct_program *p, int i, char text[CT__VALUE_NAME]);

/* ---- passes ---------------------------------------------------------------------------------- */

typedef ct_status ct__pass(ct_program *p);
/* The variables that are updated; the last outputs of p->f are their values. */
ct_status ct__linearise(ct_program *p, ct_list updated);
ct__pass ct__pass_keys, /* keys.c: random keys move on */
    ct__pass_dead,      /* dead.c: what no output or update needs */
    ct__pass_common,    /* common.c: equal calls on equal values */
    ct__pass_algebra,   /* algebra.c: x * 1, sums of repeats, ... */
    ct__pass_layout,    /* layout.c: views become aliases */
    ct__pass_repeats,   /* repeats.c: reductions of what only repeats */
    ct__pass_pairs,     /* pairs.c: a value and its derivative at once */
    ct__pass_updates,   /* product.c: variable - s product becomes one product */
    ct__pass_fuse,      /* fuse.c: elementwise chains */
    ct__pass_products,  /* product.c: chains behind products */
    ct__pass_bounds,    /* bounds.c: products of one row leave out rows of finite matrices */
    ct__pass_schedule,  /* schedule.c: updates as early as allowed; copies of results */
    ct__pass_sweeps,    /* sweep.c: a product and an update of its matrix in one pass over it */
    ct__pass_plan,      /* plan.c: live intervals, reuse in place, one arena */
    ct__pass_pack;      /* pack.c: values that are left over go */
/* CT_ECHECK if something is wrong; planned: with memory and updates. */
ct_status ct__verify(ct_program *p, const char *after, bool planned);

/* ---- running (run.c) ------------------------------------------------------------------------- */

ct_status ct__run_instr(const ct_eval *e);
void ct__instances_free(ct_program *p);
/* Told before the first instruction (-1) and after each one. */
typedef void ct__watch(void *payload, int instr);
ct_status ct__run_with(ct_program *p, ct_list inputs, ct_tensor **outputs, ct__watch *watch,
                       void *payload);

#endif
