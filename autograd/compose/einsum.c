/* einsum.c - sums of products over named axes, each pair of operands as one matrix product. */
#include "../autograd_internal.h"

/* An operand and the names of its axes: 0 .. 51 for a-z and A-Z, then the axes that an ellipsis
 * stands for, the last axis first. */
enum { LETTERS = 52, LABELS = LETTERS + CT_MAX_DIMS };

typedef struct term {
  ct_tensor *t;
  int label[CT_MAX_DIMS];
} term;

typedef uint64_t label_set;

static label_set one(int label) { return (label_set)1 << label; }

static label_set labels_of(const term *a) {
  label_set set = 0;
  for (int i = 0; i < ct_ndim(a->t); i++) set |= one(a->label[i]);
  return set;
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* One side of a comma: letters and at most one ellipsis. */
typedef struct names {
  int before, behind; /* how many letters stand before and behind the ellipsis */
  bool ellipsis;
  int letter[CT_MAX_DIMS];
} names;

static ct_status bad(const char *spec, const char *what) {
  return ct__fail(CT_EARG, "einsum: %s in \"%s\"", what, spec);
}

static ct_status read_names(const char *spec, const char **at, names *out) {
  const char *p = *at;
  *out = (names){0};
  for (;; p++) {
    bool lower = *p >= 'a' && *p <= 'z', upper = *p >= 'A' && *p <= 'Z';
    if (*p == ' ') continue;
    if (strncmp(p, "...", 3) == 0) {
      if (out->ellipsis) return bad(spec, "two ellipses for one tensor");
      out->ellipsis = true;
      p += 2;
    } else if (lower || upper) {
      if (out->before + out->behind == CT_MAX_DIMS) return bad(spec, "too many axes");
      out->letter[out->before + out->behind] = lower ? *p - 'a' : *p - 'A' + 26;
      *(out->ellipsis ? &out->behind : &out->before) += 1;
    } else {
      break;
    }
  }
  *at = p;
  return CT_OK;
}

/* Names of n axes; what is left over belongs to the ellipsis. */
static void spread_names(const names *from, int n, int *label) {
  int hidden = n - from->before - from->behind;
  for (int i = 0; i < n; i++) {
    if (i < from->before)
      label[i] = from->letter[i];
    else if (i < from->before + hidden)
      label[i] = LETTERS + hidden - 1 - (i - from->before);
    else
      label[i] = from->letter[i - hidden];
  }
}

typedef struct parsed {
  int n;
  term *term;
  int n_out, out[CT_MAX_DIMS];
  int hidden;             /* axes of the longest ellipsis */
  int uses[LABELS];       /* how many axes have the name */
  int64_t extent[LABELS]; /* -1 where the name is not used */
} parsed;

/* Notes an axis; extents of equal names agree, but 1 yields to more behind an ellipsis. */
static ct_status note(parsed *e, const char *spec, int operand, int label, int64_t extent) {
  int64_t *known = &e->extent[label];
  if (e->uses[label]++ == 0 || (*known == 1 && label >= LETTERS)) *known = extent;
  if (*known == extent || (extent == 1 && label >= LETTERS)) return CT_OK;
  if (label >= LETTERS)
    return ct__fail(CT_ESHAPE, "einsum: ellipses of extents %lld and %lld in \"%s\"",
                    (long long)*known, (long long)extent, spec);
  return ct__fail(CT_ESHAPE, "einsum: axis '%c' has extent %lld, but %lld in operand %d of \"%s\"",
                  label < 26 ? 'a' + label : 'A' + label - 26, (long long)*known, (long long)extent,
                  operand, spec);
}

static ct_status read_operand(parsed *e, const char *spec, const char **at, int i) {
  names list;
  const ct_tensor *t = e->term[i].t;
  ct_status status = read_names(spec, at, &list);
  if (status != CT_OK) return status;
  int named = list.before + list.behind, hidden = t->v.ndim - named;
  if (list.ellipsis ? hidden < 0 : hidden != 0) {
    char text[CT__SHAPE_TEXT];
    return ct__fail(CT_ESHAPE, "einsum: operand %d of \"%s\" has %d names, got shape %s", i, spec,
                    named, ct__shape_text(text, t->v.ndim, t->v.dim));
  }
  if (hidden > e->hidden) e->hidden = hidden;
  spread_names(&list, t->v.ndim, e->term[i].label);
  for (int k = 0; k < t->v.ndim && status == CT_OK; k++)
    status = note(e, spec, i, e->term[i].label[k], t->v.dim[k]);
  return status;
}

/* Without an arrow: the ellipsis, then the letters that occur once, in order. */
static ct_status default_output(parsed *e, const char *spec) {
  int n = 0;
  for (int l = LETTERS + e->hidden - 1; l >= LETTERS; l--) e->out[n++] = l;
  for (int k = 0; k < LETTERS; k++) { /* ASCII order: capitals first */
    int l = k < 26 ? k + 26 : k - 26;
    if (e->uses[l] != 1) continue;
    if (n == CT_MAX_DIMS) return bad(spec, "too many axes in the result");
    e->out[n++] = l;
  }
  e->n_out = n;
  return CT_OK;
}

static ct_status read_output(parsed *e, const char *spec, const char **at) {
  names list;
  ct_status status = read_names(spec, at, &list);
  if (status != CT_OK) return status;
  e->n_out = list.before + list.behind + (list.ellipsis ? e->hidden : 0);
  if (e->n_out > CT_MAX_DIMS) return bad(spec, "too many axes in the result");
  if (!list.ellipsis && e->hidden > 0) return bad(spec, "an ellipsis is missing in the result");
  spread_names(&list, e->n_out, e->out);
  label_set seen = 0;
  for (int i = 0; i < e->n_out; i++) {
    if (seen & one(e->out[i])) return bad(spec, "an axis twice in the result");
    if (e->uses[e->out[i]] == 0) return bad(spec, "an axis of the result that no operand has");
    seen |= one(e->out[i]);
  }
  return CT_OK;
}

static ct_status parse(parsed *e, const char *spec) {
  const char *at = spec;
  for (int i = 0; i < e->n; i++) {
    ct_status status = read_operand(e, spec, &at, i);
    if (status != CT_OK) return status;
    bool last = i == e->n - 1;
    if (!last && *at != ',') return bad(spec, "fewer operands than tensors");
    if (last && *at == ',') return bad(spec, "more operands than tensors");
    if (!last) at++;
  }
  ct_status status;
  if (at[0] == '-' && at[1] == '>') {
    at += 2;
    status = read_output(e, spec, &at);
  } else {
    status = default_output(e, spec);
  }
  return status == CT_OK && *at ? bad(spec, "an unexpected character") : status;
}

/* ---- one operand ----------------------------------------------------------------------------- */

static void drop_label(term *a, int i) {
  memmove(a->label + i, a->label + i + 1, (size_t)(CT_MAX_DIMS - 1 - i) * sizeof a->label[0]);
}

/* Equal names are one axis, the diagonal; extents of 1 that stand for more leave; names that nobody
 * needs are summed over. */
static void reduce(term *a, const parsed *e, label_set needed) {
  for (int i = 0; i < ct_ndim(a->t); i++)
    for (int j = i + 1; j < ct_ndim(a->t); j++) {
      int label = a->label[i];
      if (a->label[j] != label) continue;
      a->t = ct_diagonal(a->t, i, j); /* now the last axis */
      drop_label(a, j);
      drop_label(a, i);
      if (!ct__is_nil(a->t)) a->label[a->t->v.ndim - 1] = label;
      i = -1;
      break;
    }
  for (int i = ct_ndim(a->t) - 1; i >= 0; i--) {
    bool thin = e && ct_dim(a->t, i) == 1 && e->extent[a->label[i]] != 1;
    if (!thin && (needed & one(a->label[i]))) continue;
    a->t = ct_sum(a->t, CT_AXES(i), false);
    drop_label(a, i);
  }
}

/* a's axes in the order of the given names. */
static ct_tensor *ordered(const term *a, int n, const int *label) {
  ct_axes axes = {.n = n};
  for (int k = 0; k < n; k++)
    for (int i = 0; i < n; i++)
      if (a->label[i] == label[k]) axes.at[k] = i;
  return ct_permute(a->t, axes);
}

/* ---- two operands ---------------------------------------------------------------------------- */

/* Axes of a pair by what becomes of them: a batch of products, rows of a, columns of b, the sum. */
enum { BATCH, ROWS, COLUMNS, SUM, PARTS };

typedef struct split {
  int n[PARTS], label[PARTS][2 * CT_MAX_DIMS];
  int64_t size[PARTS];
} split;

static void put(split *s, int part, int label, int64_t extent) {
  s->label[part][s->n[part]++] = label;
  s->size[part] *= extent;
}

static split split_axes(const term *a, const term *b, label_set needed) {
  split s = {.size = {1, 1, 1, 1}};
  label_set in_a = labels_of(a), in_b = labels_of(b);
  for (int i = 0; i < ct_ndim(a->t); i++) {
    bool both = in_b & one(a->label[i]), kept = needed & one(a->label[i]);
    put(&s, !both ? ROWS : kept ? BATCH : SUM, a->label[i], ct_dim(a->t, i));
  }
  for (int i = 0; i < ct_ndim(b->t); i++)
    if (!(in_a & one(b->label[i]))) put(&s, COLUMNS, b->label[i], ct_dim(b->t, i));
  return s;
}

/* (batch, x, y) of an operand, each part as one axis. */
static ct_tensor *as_matrices(const term *a, const split *s, int x, int y) {
  int label[CT_MAX_DIMS], n = 0;
  const int part[3] = {BATCH, x, y};
  for (int p = 0; p < 3; p++)
    for (int i = 0; i < s->n[part[p]]; i++) label[n++] = s->label[part[p]][i];
  return ct_reshape(ordered(a, n, label), CT_SHAPE(s->size[BATCH], s->size[x], s->size[y]));
}

/* The product of two operands, summed over the names that are not needed. */
static term contract(const char *who, const term *a, const term *b, label_set needed) {
  split s = split_axes(a, b, needed);
  term y = {.t = ct_nil()};
  ct_shape shape = {0};
  if (s.n[BATCH] + s.n[ROWS] + s.n[COLUMNS] > CT_MAX_DIMS) {
    ct__fail(CT_ESHAPE, "%s: a product of two operands has more than %d axes", who, CT_MAX_DIMS);
    return y;
  }
  for (int part = BATCH; part <= COLUMNS; part++)
    for (int i = 0; i < s.n[part]; i++) {
      const term *from = part == COLUMNS ? b : a;
      int label = s.label[part][i];
      for (int k = 0; k < ct_ndim(from->t); k++)
        if (from->label[k] == label) shape.dim[shape.n] = ct_dim(from->t, k);
      y.label[shape.n++] = label;
    }
  ct_tensor *left = as_matrices(a, &s, ROWS, SUM), *right = as_matrices(b, &s, SUM, COLUMNS);
  if (s.n[BATCH] == 0) { /* plain matrices */
    left = ct_reshape(left, CT_SHAPE(s.size[ROWS], s.size[SUM]));
    right = ct_reshape(right, CT_SHAPE(s.size[SUM], s.size[COLUMNS]));
  }
  y.t = s.n[SUM] ? ct_matmul(left, right) : ct_mul(left, right); /* columns times rows broadcast */
  y.t = ct_reshape(y.t, shape);
  return y;
}

/* ---- all operands ---------------------------------------------------------------------------- */

/* Names that the result or a term other than i and j has. */
static label_set needed_beside(const parsed *e, int i, int j) {
  label_set needed = 0;
  for (int k = 0; k < e->n_out; k++) needed |= one(e->out[k]);
  for (int k = 0; k < e->n; k++)
    if (k != i && k != j) needed |= labels_of(&e->term[k]);
  return needed;
}

static double size_of(const parsed *e, label_set labels) {
  double size = 1;
  for (int l = 0; l < LABELS; l++)
    if (labels & one(l)) size *= (double)e->extent[l];
  return size;
}

/* The pair whose product is the smallest, the first of equals. */
static void choose_pair(const parsed *e, int *a, int *b) {
  double best = -1;
  for (int i = 0; i < e->n; i++)
    for (int j = i + 1; j < e->n; j++) {
      label_set both = labels_of(&e->term[i]) | labels_of(&e->term[j]);
      double size = size_of(e, both & needed_beside(e, i, j));
      if (best >= 0 && size >= best) continue;
      best = size;
      *a = i;
      *b = j;
    }
}

static ct_tensor *evaluate(parsed *e) {
  for (int i = 0; i < e->n; i++) reduce(&e->term[i], e, needed_beside(e, i, i));
  while (e->n > 1) {
    int a = 0, b = 1;
    choose_pair(e, &a, &b);
    e->term[a] = contract("einsum", &e->term[a], &e->term[b], needed_beside(e, a, b));
    if (ct__is_nil(e->term[a].t)) return ct_nil();
    e->term[b] = e->term[--e->n];
    reduce(&e->term[a], NULL, needed_beside(e, a, a));
  }
  return ordered(&e->term[0], e->n_out, e->out);
}

ct_tensor *ct_einsum(const char *spec, ct_list x) {
  CT__COMPOSITION("einsum");
  if (!spec) return ct__nil(CT_EARG, "einsum: the specification is NULL");
  if (x.n < 1) return ct__nil(CT_EARG, "einsum: want at least one tensor");
  if (ct__check_list("einsum", "x", x) != CT_OK) return ct_nil();
  size_t bytes = (size_t)x.n * sizeof(term);
  parsed e = {.n = x.n, .term = ct__alloc(bytes)};
  if (!e.term) return ct_nil();
  for (int i = 0; i < x.n; i++) e.term[i] = (term){.t = x.at[i]};
  ct_tensor *y = parse(&e, spec) == CT_OK ? evaluate(&e) : ct_nil();
  ct__free(e.term, bytes);
  return y;
}

/* ---- by position ----------------------------------------------------------------------------- */

ct_tensor *ct_tensordot(ct_tensor *a, ct_tensor *b, ct_axes a_axes, ct_axes b_axes) {
  CT__COMPOSITION("tensordot");
  const char *who = "tensordot";
  if (ct__check_tensor(who, "a", a) != CT_OK || ct__check_tensor(who, "b", b) != CT_OK)
    return ct_nil();
  unsigned mask;
  term left = {.t = a}, right = {.t = b};
  if (a_axes.n != b_axes.n)
    return ct__nil(CT_EARG, "tensordot: want as many axes of a as of b, got %d and %d", a_axes.n,
                   b_axes.n);
  if (a_axes.n != 0 && (ct__axes_mask(who, a_axes, a->v.ndim, &mask) != CT_OK ||
                        ct__axes_mask(who, b_axes, b->v.ndim, &mask) != CT_OK))
    return ct_nil();
  for (int i = 0; i < a->v.ndim; i++) left.label[i] = i;
  for (int i = 0; i < b->v.ndim; i++) right.label[i] = CT_MAX_DIMS + i;
  label_set needed = ~(label_set)0;
  for (int k = 0; k < a_axes.n; k++) {
    int i = ct__axis(a_axes.at[k], a->v.ndim), j = ct__axis(b_axes.at[k], b->v.ndim);
    if (a->v.dim[i] != b->v.dim[j]) {
      char s[CT__SHAPE_TEXT], t[CT__SHAPE_TEXT];
      return ct__nil(CT_ESHAPE, "tensordot: axis %d of %s is not as long as axis %d of %s", i,
                     ct__shape_text(s, a->v.ndim, a->v.dim), j,
                     ct__shape_text(t, b->v.ndim, b->v.dim));
    }
    right.label[j] = i;
    needed &= ~one(i);
  }
  return contract(who, &left, &right, needed).t;
}

ct_tensor *ct_outer(ct_tensor *a, ct_tensor *b) {
  CT__COMPOSITION("outer");
  if (ct__check_tensor("outer", "a", a) != CT_OK || ct__check_tensor("outer", "b", b) != CT_OK)
    return ct_nil();
  return ct_mul(ct_reshape(a, CT_SHAPE(ct_size(a), 1)), ct_reshape(b, CT_SHAPE(1, ct_size(b))));
}
