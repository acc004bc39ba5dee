/* taylor.h - series and the operations on them: what the two files of ct_taylor share. */
#ifndef COTANGENT_TAYLOR_H
#define COTANGENT_TAYLOR_H

#include "autograd_internal.h"

typedef struct ct__term ct__term;

/* Coefficients of one tensor, found in order. Made by a term, or the derivative of another series;
 * one with neither is known from the start. A NULL pointer to a series means constant. */
typedef struct ct__series {
  ct_tensor **at; /* NULL: zero */
  int known;
  bool moving; /* depends on a placeholder for a derivative: the tensor itself has no value */
  ct__term *by;
  struct ct__series *primitive;  /* whose derivative this is */
  struct ct__series *derivative; /* which is this one's */
  ct_tensor **power; /* coefficient j of (x - x_0)^m / m! is power[j * (order + 1) + m] */
  int powers;        /* j up to which they are known */
} ct__series;

typedef enum ct__recurrence {
  CT__UNKNOWN,
  CT__AFFINE,
  CT__PRODUCTS, /* sums of elementwise products */
  CT__BILINEAR, /* any other product */
  CT__DERIVED
} ct__recurrence;

/* One operation on series. */
struct ct__term {
  ct__node *n;
  ct__recurrence kind;
  bool moving;
  ct__series **in, **out;
  ct__series **tangent;  /* DERIVED: J x' for each output */
  double factor;         /* PRODUCTS: of a b; 0 if the call says it for each term */
  ct_tensor **levels;    /* DERIVED, of an open chain: its derivatives up to the order */
  bool closed;           /* no such chain */
  const ct__term *chain; /* the last one begun that came here */
  ct__term *next;        /* of equal hash */
};

typedef struct ct__taylor_entry {
  const void *key;    /* a tensor or a node */
  ct__series **value; /* of the tensor, or of the node's outputs */
} ct__taylor_entry;

enum { CT__BUCKETS = 1024 };

typedef struct ct__taylor {
  int order;
  ct__taylor_entry *table; /* open addressing */
  int n_entries, room;
  ct__term *bucket[CT__BUCKETS];
  ct_tensor **held; /* one reference each, until the end */
  int n_held, held_room;
} ct__taylor;

/* Keeps x to the end. Also what a table points to must stay, so that no address comes twice. */
ct_status ct__taylor_hold(ct__taylor *t, ct_tensor *x);
/* Zeroed memory that lives to the end; NULL on failure. */
void *ct__taylor_scratch(ct__taylor *t, size_t bytes);
/* NULL on failure. */
ct__series *ct__series_new(ct__taylor *t);
ct__series *ct__series_derivative(ct__taylor *t, ct__series *s);
/* What kind of recurrence the term has. */
ct_status ct__taylor_classify(ct__taylor *t, ct__term *k);

/* Coefficient k, NULL for zero; those before it are found first (taylor_coefficients.c). */
ct_status ct__taylor_coefficient(ct__taylor *t, ct__series *s, int k, ct_tensor **out);

#endif
