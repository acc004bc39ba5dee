/* nn_internal.h - what the files of this folder, and optimizers, share. */
#ifndef COTANGENT_NN_INTERNAL_H
#define COTANGENT_NN_INTERNAL_H

#include "../tensor/tensor_internal.h"
#include "nn.h"

static inline ct_status ct__no_memory(const char *who) {
  return ct__fail_status(CT_ENOMEM, "%s: out of memory", who);
}

/* ---- modules (module.c) ---------------------------------------------------------------------- */

struct ct_member {
  ct_member *next;
  ct_module *owner;
  ct_member_kind kind;
  bool frozen;
  ct_tensor *tensor; /* one reference; NULL for a child */
  ct_module *child;
  size_t bytes; /* of this block */
  char name[];
};

/* The next member below root after m (NULL: the first), children before their contents. No
 * recursion: members know their owners. */
ct_member *ct__member_next(const ct_module *root, const ct_member *m);
/* The next one that holds a tensor. */
ct_member *ct__member_next_tensor(const ct_module *root, const ct_member *m);
/* Whether m's tensor is shared and comes earlier below root. */
bool ct__member_again(const ct_module *root, const ct_member *m);

#define CT__NAME_SIZE 256
/* The dotted name of m below root. CT_ESIZE if it does not fit. */
ct_status ct__member_name(const ct_module *root, const ct_member *m, char text[CT__NAME_SIZE]);

/* ---- archives (archive.c, safetensors.c) ----------------------------------------------------- */

#define CT__METADATA "__metadata__" /* what the format calls the texts */

typedef struct ct__entry {
  char *name;
  ct_tensor *tensor; /* one reference, contiguous */
} ct__entry;

typedef struct ct__text {
  char *key, *text;
} ct__text;

struct ct_archive {
  int n, room;
  ct__entry *entry;
  int n_texts, texts_room;
  ct__text *text;
};

/* Append without a search for the name. The tensor's reference is taken over, also on failure. */
ct_status ct__archive_append(ct_archive *a, const char *name, ct_tensor *t);
ct_status ct__archive_append_text(ct_archive *a, const char *key, const char *text);
/* Where the tensor of that name is, or -1. */
int ct__archive_index(const ct_archive *a, const char *name);
/* The tensor itself, or NULL; no error. */
ct_tensor *ct__archive_find(const ct_archive *a, const char *name);

/* Same shape and dtype. */
static inline bool ct__same_spec(const ct_tensor *a, const ct_tensor *b) {
  return a->v.dtype == b->v.dtype && ct__same_shape(&a->v, &b->v);
}

#endif
