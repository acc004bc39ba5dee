/* compile.h - recipes as programs: optimised, planned, run again without allocation.
 *
 * A program is what ct_function is, compiled: cut at its inputs, which are placeholders or any
 * recorded tensors; variables are read at every run, recorded values in between are computed anew,
 * everything else is constant. Learning rates, step counts and random keys are therefore variables,
 * plain C numbers are constants. Shapes are static.
 */
#ifndef COTANGENT_COMPILE_H
#define COTANGENT_COMPILE_H

#include "autograd.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ct_program ct_program;

typedef struct ct_compile_opts {
  bool exact;  /* only what gives the same bits as eager operations */
  bool verify; /* check the program after each pass, as builds without NDEBUG always do */
} ct_compile_opts;
/* What exact leaves out: sums in another order (folded updates, scalars moved into products). The
 * default is within 1e-12 (f64) or 1e-5 (f32) of the largest element after one run. */
#ifdef __cplusplus
#define CT_EXACT (ct_compile_opts{true, false})
#else
#define CT_EXACT ((ct_compile_opts){.exact = true})
#endif

/* NULL on failure: CT_EARG (an input that is not recorded, a placeholder that is not among the
 * inputs), CT_ENOMEM, CT_ECHECK (the verifier found a mistake of the compiler). Inside an open
 * ct_build its updates become those of the program. */
CT_API ct_program *ct_compile(ct_list inputs, ct_list outputs, ct_compile_opts opts);
CT_API ct_program *ct_program_keep(ct_program *p);
CT_API void ct_program_release(ct_program **p); /* stores NULL */

/* Runs p: inputs have the shapes and dtypes of the placeholders and any layout. outputs has room
 * for every output; each is a tensor of its own that belongs to the current scope and is not
 * recorded. On failure all are nil and no variable has changed. Any number of threads may run a
 * program without updates at the same time; one with updates is run by one thread at a time
 * (CT_EARG). */
CT_API ct_status ct_run(ct_program *p, ct_list inputs, ct_tensor **outputs);

/* p as one operation of a larger recipe, eager or symbolic; differentiable as the recipe that p was
 * made of. A program that contains it owns p and runs it as one instruction. CT_EARG if p has
 * updates. */
CT_API ct_status ct_call_program(ct_program *p, ct_list inputs, ct_tensor **outputs);

/* ---- updates --------------------------------------------------------------------------------- */

/* Between begin and end (on this thread; they do not nest) ct_assign(variable, value) does not
 * write: it makes value, a recipe of the variable's shape and dtype, an update of the program that
 * ct_compile makes before the end. Of several assignments to a variable the last counts. All
 * updates apply after all reads, and only if the whole run succeeds. */
CT_API ct_status ct_build_begin(void);
CT_API ct_status ct_build_end(void); /* forgets the updates; CT_ESCOPE if none is open */

/* ---- programs by shape ----------------------------------------------------------------------- */

/* A function that is traced and compiled at its first call, and again for each new combination of
 * shapes and dtypes; the programs of the last few are kept. */
typedef struct ct_jit ct_jit;

/* body and payload must live as long as the result, which one thread uses at a time. NULL on
 * failure. */
CT_API ct_jit *ct_jit_new(ct_body *body, int n_out, void *payload, ct_compile_opts opts);
CT_API void ct_jit_free(ct_jit **j); /* stores NULL */
/* As ct_run. The body sees placeholders like the inputs; what it assigns is updated. */
CT_API ct_status ct_jit_run(ct_jit *j, ct_list inputs, ct_tensor **outputs);
CT_API int ct_jit_programs(const ct_jit *j); /* how many are kept now */

/* ---- looking at a program -------------------------------------------------------------------- */

/* One line for each instruction: results, operation, operands, bytes, floating-point operations. */
CT_API ct_status ct_program_print(const ct_program *p, FILE *out);
/* The program for Graphviz. */
CT_API ct_status ct_program_dot(const ct_program *p, FILE *out);
/* Runs p so many times and prints for each instruction time, share, GFLOP/s and GB/s (medians).
 * Updates are applied, as in any run. */
CT_API ct_status ct_program_profile(ct_program *p, ct_list inputs, int runs, FILE *out);

typedef enum ct_memory_format { CT_MEMORY_TEXT, CT_MEMORY_SVG } ct_memory_format;
/* The map of the arena: what lies where and from which instruction to which. */
CT_API ct_status ct_program_memory(const ct_program *p, ct_memory_format format, FILE *out);

typedef struct ct_program_stats {
  int instructions, values, updates;
  size_t arena;   /* bytes of memory that a running instance holds */
  size_t live;    /* the largest sum of bytes alive at once: what no plan can go below */
  double flops;   /* floating-point operations of a run, as far as they are known */
  double seconds; /* that compiling took */
} ct_program_stats;
CT_API ct_program_stats ct_program_info(const ct_program *p); /* zeros for NULL */

#ifdef __cplusplus
}
#endif
#endif
