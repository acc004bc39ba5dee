/* nn.h - modules with named parameters, layers, initialisers, losses, metrics, saved weights.
 *
 * Ownership. A constructor of a module returns NULL on failure (the error says why) and otherwise a
 * module that belongs to the caller: ct_module_free. A module that is made a child of another
 * belongs to it, also if that fails. Tensors that these functions return belong to the current
 * scope, unless said otherwise; parameters belong to their module.
 *
 * Threads. A module is used by one thread at a time, except that many threads may run ct_forward of
 * a module in evaluation mode while nobody changes it.
 */
#ifndef COTANGENT_NN_H
#define COTANGENT_NN_H

#include "autograd.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- modules --------------------------------------------------------------------------------- */

/* A module is a struct that begins with a ct_module, made and described by a constant class. The
 * library's layers are made exactly like this one, which a user could write:
 *
 *   typedef struct scaled {
 *     ct_module base;
 *     ct_tensor *gain;
 *   } scaled;
 *
 *   static ct_tensor *scaled_forward(ct_module *m, ct_tensor *x) {
 *     return ct_mul(x, ((scaled *)m)->gain);
 *   }
 *   static const ct_module_class scaled_class = {
 *       CT_MODULE, .name = "scaled", .instance = sizeof(scaled), .forward = scaled_forward};
 *
 *   ct_module *scaled_new(void) {
 *     scaled *m = ct_module_new(&scaled_class);
 *     if (!m) return NULL;
 *     m->gain = ct_module_param(&m->base, "gain", ct_variable(ct_ones(CT_F32, CT_SCALAR)));
 *     return ct_module_ready(&m->base);
 *   }
 */
typedef struct ct_module ct_module;
typedef struct ct_member ct_member; /* a named parameter, buffer or child */

typedef struct ct_module_class {
  size_t size;      /* CT_MODULE: lets the record grow */
  const char *name; /* as ct_module_print shows it */
  size_t instance;  /* size of the struct that begins with a ct_module */
  ct_tensor *(*forward)(ct_module *m, ct_tensor *x);
  /* what is worth knowing beside the name, as text; may be NULL */
  void (*describe)(const ct_module *m, char *text, size_t size);
  void (*release)(ct_module *m); /* frees what only the module knows of; may be NULL */
} ct_module_class;
#define CT_MODULE .size = sizeof(ct_module_class)

struct ct_module {
  const ct_module_class *cls;
  bool training; /* changed by ct_module_train */
  /* The rest belongs to the library. */
  bool failed;  /* a registration went wrong */
  bool watched; /* ct_forward notes the shape of its result */
  ct_shape seen;
  ct_member *first, *last;
  ct_member *place; /* where the parent holds it */
  int n_params;     /* of the list below, -1 when it must be made anew */
  int params_room;
  ct_tensor **params;
};

/* A zeroed instance of the class, in training mode; NULL on failure. */
CT_API void *ct_module_new(const ct_module_class *cls);
/* Frees m, its children and its references to tensors, and stores NULL. A child is left to its
 * parent. */
CT_API void ct_module_free(ct_module **m);

/* Registers a parameter: a float variable. The module takes over the caller's reference, also on
 * failure; to share a parameter between modules pass ct_keep(t). Names are unique in a module and
 * free of '.' and '/'. Returns t, or nil. */
CT_API ct_tensor *ct_module_param(ct_module *m, const char *name, ct_tensor *t);
/* The same for a variable of any dtype that is saved but not trained. */
CT_API ct_tensor *ct_module_buffer(ct_module *m, const char *name, ct_tensor *t);
/* The same for state that a checkpoint holds but a file of weights does not, such as random keys.
 */
CT_API ct_tensor *ct_module_state(ct_module *m, const char *name, ct_tensor *t);
/* Registers a child, which then belongs to m, also on failure. Returns the child, or NULL. */
CT_API ct_module *ct_module_child(ct_module *m, const char *name, ct_module *child);
/* The end of a constructor: m if every registration succeeded, otherwise frees it: NULL. */
CT_API ct_module *ct_module_ready(ct_module *m);

/* y = m(x), with m's parameters. */
CT_API ct_tensor *ct_forward(ct_module *m, ct_tensor *x);
/* The same with other tensors in place of the parameters, in the order of ct_module_params: so one
 * can differentiate through steps of training, or map over models. Frozen parameters and buffers
 * stay the module's. m itself is not touched: it is run on a placeholder, and its recipe then on x
 * and the tensors, so state such as random keys is read but not advanced, and what a forward
 * detaches is the module's own. */
CT_API ct_tensor *ct_forward_with(ct_module *m, ct_list tensors, ct_tensor *x);

/* Training mode (the initial one) or evaluation mode, for m and all below. */
CT_API ct_status ct_module_train(ct_module *m, bool training);
/* Freezes all parameters of m and below, or thaws them. A frozen parameter is left out of
 * ct_module_params, so no optimizer changes it. A shared parameter frozen in one place is frozen.
 */
CT_API ct_status ct_module_freeze(ct_module *m, bool frozen);

/* The parameters that are not frozen, each once, in the order of registration, for ct_grad and
 * optimizers. Valid until m changes. On failure the list holds only nil, so that its use fails. */
CT_API ct_list ct_module_params(ct_module *m);
/* Number of elements in all parameters, frozen ones too; 0 for NULL. */
CT_API int64_t ct_module_count(const ct_module *m);
/* The parameter or buffer with a dotted name such as "0.weight". It belongs to the module. Nil and
 * CT_EINDEX if there is none. */
CT_API ct_tensor *ct_module_get(ct_module *m, const char *name);

typedef enum ct_member_kind { CT_PARAM, CT_BUFFER, CT_STATE, CT_CHILD } ct_member_kind;

typedef struct ct_member_info {
  const char *name; /* dotted; valid during the visit */
  ct_member_kind kind;
  ct_tensor *tensor;
  bool frozen;
  bool again; /* shared, and visited before under another name */
} ct_member_info;

typedef ct_status ct_member_visit(const ct_member_info *info, void *payload);
/* Visits parameters, buffers and state of m and below, in the order of registration; stops at the
 * first status that is not CT_OK and returns it. */
CT_API ct_status ct_module_each(const ct_module *m, ct_member_visit *visit, void *payload);

/* Prints a line per module with its own parameters, their shapes and number, and the totals. */
CT_API ct_status ct_module_print(FILE *out, ct_module *m);
/* The same with the shape of every result for inputs of this dtype and shape, such as (1, 784). */
CT_API ct_status ct_module_print_with(FILE *out, ct_module *m, ct_dtype dtype, ct_shape input);

/* ---- initialisers ---------------------------------------------------------------------------- */

typedef enum ct_init_kind {
  CT_INIT_DEFAULT,        /* uniform, |w| < 1 / sqrt(fan_in): PyTorch's for linear layers */
  CT_INIT_GLOROT_UNIFORM, /* uniform, |w| < sqrt(6 / (fan_in + fan_out)) */
  CT_INIT_GLOROT_NORMAL,  /* deviation sqrt(2 / (fan_in + fan_out)) */
  CT_INIT_HE_UNIFORM,     /* uniform, |w| < sqrt(6 / fan_in) */
  CT_INIT_HE_NORMAL,      /* deviation sqrt(2 / fan_in) */
  CT_INIT_ZEROS,
  CT_INIT_CONSTANT /* value everywhere */
} ct_init_kind;

typedef struct ct_init {
  ct_init_kind kind;
  double value;            /* of CT_INIT_CONSTANT */
  int64_t fan_in, fan_out; /* 0: from the shape (out, in, ...), as PyTorch does */
} ct_init;

/* A fresh tensor of starting values. */
CT_API ct_tensor *ct_init_tensor(ct_init how, ct_tensor *key, ct_dtype dtype, ct_shape shape);

/* ---- layers ---------------------------------------------------------------------------------- */

typedef struct ct_linear_opts {
  bool no_bias;
  ct_init weight, bias;
  ct_dtype dtype; /* f32 or f64 */
} ct_linear_opts;

/* y = x W^T + b: (..., in) -> (..., out). "weight" (out, in), "bias" (out). The weight lies in
 * memory so that W^T is contiguous, which is what the products want. */
CT_API ct_module *ct_nn_linear(ct_tensor *key, int64_t in, int64_t out, ct_linear_opts opts);

CT_API ct_module *ct_nn_sigmoid(void);
CT_API ct_module *ct_nn_tanh(void);
CT_API ct_module *ct_nn_relu(void);
CT_API ct_module *ct_nn_softplus(void);

/* Training: each element becomes 0 with probability p, 0 <= p < 1, and is scaled by 1 / (1 - p)
 * otherwise; evaluation: y = x. State "key": each forward pass on values advances it. A symbolic
 * pass leaves it alone, and so does ct_function_run; a program advances it at each run, once for
 * each pass in it, and so draws the masks that eager steps would. */
CT_API ct_module *ct_nn_dropout(ct_tensor *key, double p);
CT_API ct_module *ct_nn_flatten(void); /* (n, ...) -> (n, m) */

/* Modules passed together. */
typedef struct ct_module_list {
  int n;
  ct_module *const *at;
} ct_module_list;

/* One after the other; children are named "0", "1", ... All of them belong to the result, also on
 * failure; a NULL among them is a failure. */
CT_API ct_module *ct_nn_sequential(ct_module_list modules);

/* ---- losses ---------------------------------------------------------------------------------- */

/* Between tensors of the same shape and dtype: nothing broadcasts. CT_EACH gives one loss for each
 * element. */
CT_API ct_tensor *ct_mse(ct_tensor *y, ct_tensor *target, ct_reduction r); /* (y - t)^2 */
CT_API ct_tensor *ct_l1(ct_tensor *y, ct_tensor *target, ct_reduction r);  /* |y - t| */
/* -t log s(x) - (1 - t) log s(-x), t in [0, 1], without overflow; smooth to every order. */
CT_API ct_tensor *ct_bce_with_logits(ct_tensor *x, ct_tensor *target, ct_reduction r);

/* ---- metrics --------------------------------------------------------------------------------- */

/* For logits (n, classes), float, and labels (n), i32; n > 0. CT_EINDEX for a label out of range.
 */

/* The fraction of rows whose largest logit (the first one of several) is at the label, and its
 * standard error sqrt(p (1 - p) / n); standard_error may be NULL. */
CT_API ct_status ct_accuracy(const ct_tensor *logits, const ct_tensor *labels, double *accuracy,
                             double *standard_error);
/* The same, with the label among the k largest. */
CT_API ct_status ct_top_k(const ct_tensor *logits, const ct_tensor *labels, int k, double *accuracy,
                          double *standard_error);
/* i32 (classes, classes): entry (i, j) counts rows of label i whose largest logit is j. */
CT_API ct_tensor *ct_confusion(const ct_tensor *logits, const ct_tensor *labels);

/* ---- archives: named tensors and texts, in memory and as safetensors files ------------------- */

typedef struct ct_archive ct_archive;

CT_API ct_archive *ct_archive_new(void); /* NULL on failure */
CT_API void ct_archive_free(ct_archive **a);
/* Adds a row-major copy of t. CT_EARG if the name is taken. */
CT_API ct_status ct_archive_add(ct_archive *a, const char *name, const ct_tensor *t);
/* Sets a text of the file's metadata. */
CT_API ct_status ct_archive_set_text(ct_archive *a, const char *key, const char *text);

CT_API int ct_archive_count(const ct_archive *a);               /* number of tensors; 0 for NULL */
CT_API const char *ct_archive_name(const ct_archive *a, int i); /* NULL if out of range */
CT_API bool ct_archive_has(const ct_archive *a, const char *name);
/* The tensor of that name; nil and CT_EINDEX if there is none. */
CT_API ct_tensor *ct_archive_get(const ct_archive *a, const char *name);
/* NULL, and no error, if there is none. Valid until the key is set again or the archive freed. */
CT_API const char *ct_archive_text(const ct_archive *a, const char *key);

/* Writes the file atomically: the old one or the new one, never a mix. CT_EIO, CT_ENOMEM. */
CT_API ct_status ct_archive_save(const ct_archive *a, const char *path);
/* Reads F32 F64 I32 U8 BOOL, and I64 if every value fits i32. The file is taken as hostile:
 * CT_EFORMAT names what is wrong. NULL on failure. */
CT_API ct_archive *ct_archive_load(const char *path);

/* Names and layouts are PyTorch's ("0.weight" is (out, in)). Names with a '/' are not weights:
 * "state/..." is what ct_module_state registered, "optim/..." the optimizer's. */

/* Adds parameters, buffers and state of m, shared ones under their first name. */
CT_API ct_status ct_module_store(const ct_module *m, ct_archive *a);

typedef struct ct_restore_opts {
  bool partial; /* take what fits by name, shape and dtype, leave the rest as it is */
} ct_restore_opts;

/* Copies the tensors of a into m. Missing, unexpected and misshapen names are an error that lists
 * them (CT_ESHAPE), and then nothing is changed. State may be missing. */
CT_API ct_status ct_module_restore(ct_module *m, const ct_archive *a, ct_restore_opts opts);

/* A file of weights: parameters and buffers only. */
CT_API ct_status ct_module_save(const ct_module *m, const char *path);
CT_API ct_status ct_module_load(ct_module *m, const char *path, ct_restore_opts opts);

#ifdef __cplusplus
}
struct ct_module_list_init {
  ct_module_list list;
  ct_module_list_init(const std::initializer_list<ct_module *> &m) : list() {
    list.n = static_cast<int>(m.size());
    list.at = m.begin();
  }
};
#define CT_MODULES(...) (ct_module_list_init({__VA_ARGS__}).list)
#else
#define CT_MODULES(...)                                                                            \
  ((ct_module_list){(int)(sizeof((ct_module *[]){__VA_ARGS__}) / sizeof(ct_module *)),             \
                    (ct_module *const[]){__VA_ARGS__}})
#endif
#endif
