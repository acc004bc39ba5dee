/* test_graph_dot.c - recipes as Graphviz text: what is drawn, how it is numbered, mistakes. */
#include "testing.h"

#include "autograd/autograd.h"

/* ---- drawing into memory --------------------------------------------------------------------- */

enum { ROOM = 8192 };

static void draw(char text[ROOM], ct_list tensors, ct_list marked, ct_list gradients) {
  FILE *out = tmpfile();
  assert_non_null(out);
  assert_ok(ct_graph_dot(out, tensors, marked, gradients));
  rewind(out);
  text[fread(text, 1, ROOM - 1, out)] = '\0';
  assert_int_equal(fclose(out), 0);
}

static int count(const char *text, const char *part) {
  int n = 0;
  for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) n++;
  return n;
}

#define assert_contains(text, part) assert_contains_at((text), (part), __FILE__, __LINE__)

static void assert_contains_at(const char *text, const char *part, const char *file, int line) {
  if (strstr(text, part)) return;
  print_error("no %s in\n%s", part, text);
  _fail(file, line);
}

/* ---- what is drawn --------------------------------------------------------------------------- */

static void a_small_recipe_is_drawn_whole(void **state) {
  (void)state;
  char text[ROOM];
  ct_scope scope = ct_scope_begin();
  ct_tensor *w = ct_variable(ct_from(CT_F32, CT_SHAPE(2), (float[]){1.5f, -2}));
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(2));
  ct_tensor *y = ct_tanh(ct_add(ct_mul(w, x), ct_scalar(CT_F32, 3)));
  draw(text, CT_LIST(y), CT_NONE, CT_NONE);
  assert_string_equal(text, "digraph recipe {\n"
                            "  node [fontname=\"Helvetica\", fontsize=10];\n"
                            "  n0 [shape=box, penwidth=2, label=\"tanh\\n(2) f32\"];\n"
                            "  n1 -> n0;\n"
                            "  n1 [shape=box, label=\"add\\n(2) f32\"];\n"
                            "  n2 -> n1;\n"
                            "  n3 -> n1;\n"
                            "  n2 [shape=box, label=\"mul\\n(2) f32\"];\n"
                            "  n4 -> n2;\n"
                            "  n5 -> n2;\n"
                            "  n3 [shape=plaintext, label=\"constant\\n() f32 = 3\"];\n"
                            "  n4 [shape=ellipse, style=filled, fillcolor=lightblue, "
                            "label=\"variable\\n(2) f32 = [1.5, -2]\"];\n"
                            "  n5 [shape=ellipse, style=filled, fillcolor=lightyellow, "
                            "label=\"placeholder\\n(2) f32\"];\n"
                            "}\n");
  ct_release(&w);
  assert_ok(ct_scope_end(scope));
}

static void values_and_gradients_are_shown(void **state) {
  (void)state;
  char text[ROOM];
  ct_scope scope = ct_scope_begin();
  ct_tensor *w = ct_variable(ct_from(CT_F64, CT_SHAPE(3), (double[]){1, 2, 4})), *g[2];
  ct_tensor *square = ct_square(w), *loss = ct_sum(square, CT_ALL, false);
  assert_ok(ct_grad(loss, CT_LIST(w, square), g));
  draw(text, CT_LIST(loss), CT_LIST(w, square), (ct_list){2, g});
  assert_contains(text, "sum\\n() f64 = 21\"");
  assert_contains(text, "square\\n(3) f64 = [1, 4, 16]\\ngradient (3) f64 = [1, 1, 1]\"");
  assert_contains(text, "variable\\n(3) f64 = [1, 2, 4]\\ngradient (3) f64");
  assert_int_equal(count(text, "gradient"), 2);
  ct_release(&w);
  assert_ok(ct_scope_end(scope));
}

/* Values of any layout, in row-major order, and only small ones. */
static void values_are_read_through_strides(void **state) {
  (void)state;
  char text[ROOM];
  ct_scope scope = ct_scope_begin();
  ct_tensor *six = ct_reshape(ct_arange(CT_I32, 0, 6, 1), CT_SHAPE(2, 3));
  draw(text,
       CT_LIST(ct_transpose(six, 0, 1), ct_zeros(CT_F32, CT_SHAPE(7)),
               ct_zeros(CT_F32, CT_SHAPE(0, 2)), ct_ones(CT_BOOL, CT_SCALAR)),
       CT_NONE, CT_NONE);
  assert_contains(text, "(3,2) i32 = [0, 3, 1, 4, 2, 5]\"");
  assert_contains(text, "(7) f32\"");
  assert_contains(text, "(0,2) f32\"");
  assert_contains(text, "() bool = 1\"");
  assert_ok(ct_scope_end(scope));
}

static void overwritten_values_are_not_shown(void **state) {
  (void)state;
  char text[ROOM];
  ct_scope scope = ct_scope_begin();
  ct_tensor *w = ct_variable(ct_ones(CT_F32, CT_SHAPE(2)));
  ct_tensor *view = ct_reshape(w, CT_SHAPE(2, 1));
  assert_ok(ct_assign(w, ct_full(CT_F32, CT_SHAPE(2), 9)));
  draw(text, CT_LIST(view), CT_NONE, CT_NONE);
  assert_contains(text, "reshape\\n(2,1) f32\"");
  assert_contains(text, "= [9, 9]");
  ct_release(&w);
  assert_ok(ct_scope_end(scope));
}

static void shared_parts_are_drawn_once(void **state) {
  (void)state;
  char text[ROOM], again[ROOM];
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_placeholder(CT_F64, CT_SHAPE(8)), *y = ct_sin(x), *z = ct_mul(y, y);
  draw(text, CT_LIST(z, y, z), CT_NONE, CT_NONE);
  assert_int_equal(count(text, "label=\"sin"), 1);
  assert_int_equal(count(text, "label=\"mul"), 1);
  assert_int_equal(count(text, "placeholder"), 1);
  assert_int_equal(count(text, "n1 -> n0"), 2);
  assert_int_equal(count(text, "penwidth"), 2);
  draw(again, CT_LIST(z, y, z), CT_NONE, CT_NONE);
  assert_string_equal(text, again);
  assert_ok(ct_scope_end(scope));
}

static void several_outputs_are_one_box(void **state) {
  (void)state;
  char text[ROOM];
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(3)), *order;
  ct_tensor *sorted = ct_sort(x, 0, false, &order);
  ct_tensor *y = ct_mul(sorted, ct_cast(order, CT_F32));
  draw(text, CT_LIST(y), CT_NONE, CT_NONE);
  assert_contains(text, "label=\"sort\\n(3) f32\\n(3) i32\"");
  assert_int_equal(count(text, " [label=\"0\"];"), 1);
  assert_int_equal(count(text, " [label=\"1\"];"), 1);
  assert_ok(ct_scope_end(scope));
}

static void derivatives_can_be_drawn(void **state) {
  (void)state;
  char text[ROOM];
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(3)), *y = ct_exp(x);
  draw(text, CT_LIST(ct_vjp(y, x, y)), CT_NONE, CT_NONE);
  assert_contains(text, "label=\"partial\\n(3) f32\"");
  assert_ok(ct_scope_end(scope));
}

static ct_status like_input(const ct_call *c, ct_spec *out) {
  *out = (ct_spec){ct_dtype_of(c->in[0]), ct_shape_of(c->in[0])};
  return CT_OK;
}

static ct_status nothing(const ct_eval *e) {
  (void)e;
  return CT_OK;
}

static void names_are_escaped(void **state) {
  (void)state;
  char text[ROOM];
  static const ct_op odd = {CT_OP, .name = "a \"b\"\\c\n", .n_in = 1, .infer = like_input,
                            .eval = nothing};
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_placeholder(CT_F32, CT_SHAPE(3));
  draw(text, CT_LIST(ct_apply(&odd, CT_LIST(x))), CT_NONE, CT_NONE);
  assert_contains(text, "label=\"a \\\"b\\\"\\\\c \\n(3) f32\"");
  assert_ok(ct_scope_end(scope));
}

static void a_long_chain_does_not_exhaust_the_stack(void **state) {
  (void)state;
  enum { LENGTH = 1000000 };
  ct_scope scope = ct_scope_begin();
  ct_tensor *x = ct_variable(ct_scalar(CT_F32, 1)), *y = ct_keep(x);
  for (int i = 0; i < LENGTH; i++) {
    ct_scope step = ct_scope_begin();
    ct_tensor *next = ct_keep(ct_neg(y));
    ct_release(&y);
    y = next;
    assert_ok(ct_scope_end(step));
  }
  FILE *out = tmpfile();
  assert_non_null(out);
  assert_ok(ct_graph_dot(out, CT_LIST(y), CT_NONE, CT_NONE));
  assert_true(ftell(out) > 20L * LENGTH);
  assert_int_equal(fclose(out), 0);
  ct_release(&y);
  ct_release(&x);
  assert_ok(ct_scope_end(scope));
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static void mistakes_are_reported(void **state) {
  (void)state;
  ct_scope scope = ct_scope_begin();
  FILE *out = tmpfile(), *full = fopen("/dev/full", "w");
  ct_tensor *x = ct_ones(CT_F32, CT_SHAPE(2));
  assert_non_null(out);
  assert_fails(ct_graph_dot(NULL, CT_LIST(x), CT_NONE, CT_NONE), CT_EARG, "out is NULL");
  assert_fails(ct_graph_dot(out, (ct_list){2, NULL}, CT_NONE, CT_NONE), CT_EARG, "tensors");
  assert_fails(ct_graph_dot(out, (ct_list){-1, NULL}, CT_NONE, CT_NONE), CT_EARG, "tensors");
  assert_fails(ct_graph_dot(out, CT_LIST(x, NULL), CT_NONE, CT_NONE), CT_EARG, "tensors[1]");
  assert_fails(ct_graph_dot(out, CT_LIST(ct_nil()), CT_NONE, CT_NONE), CT_ENIL, "ct_graph_dot");
  assert_fails(ct_graph_dot(out, CT_LIST(x), CT_LIST(x), CT_NONE), CT_EARG, "one per marked");
  assert_fails(ct_graph_dot(out, CT_LIST(x), CT_LIST(x), CT_LIST(NULL)), CT_EARG, "gradients[0]");
  assert_int_equal(ftell(out), 0);
  assert_ok(ct_graph_dot(out, CT_NONE, CT_NONE, CT_NONE));
  assert_int_equal(fclose(out), 0);
  if (full) {
    assert_fails(ct_graph_dot(full, CT_LIST(x), CT_NONE, CT_NONE), CT_EIO, "ct_graph_dot");
    fclose(full);
  }
  assert_ok(ct_scope_end(scope));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_small_recipe_is_drawn_whole),
      cmocka_unit_test(values_and_gradients_are_shown),
      cmocka_unit_test(values_are_read_through_strides),
      cmocka_unit_test(overwritten_values_are_not_shown),
      cmocka_unit_test(shared_parts_are_drawn_once),
      cmocka_unit_test(several_outputs_are_one_box),
      cmocka_unit_test(derivatives_can_be_drawn),
      cmocka_unit_test(names_are_escaped),
      cmocka_unit_test(a_long_chain_does_not_exhaust_the_stack),
      cmocka_unit_test(mistakes_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
