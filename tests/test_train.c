/* test_train.c - the trainer as its users meet it: a program with options, files and pictures. */
#include "testing.h"

#include "datasets/datasets.h"
#include "nn/nn.h"

#include <cJSON.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[TEMP_PATH];
static char output[1 << 18]; /* of the last run */

/* ---- running it ------------------------------------------------------------------------------ */

static const char *in_dir(const char *name) {
  static char path[4][TEMP_PATH + 64];
  static int turn;
  turn = (turn + 1) % 4;
  snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
  return path[turn];
}

/* The trainer in the temporary folder with these options; its exit status, and in output what it
 * printed. */
static int CT_PRINTF(1, 2) train(const char *format, ...) {
  char options[4096], command[8192];
  va_list args;
  va_start(args, format);
  vsnprintf(options, sizeof options, format, args);
  va_end(args);
  snprintf(command, sizeof command, "cd '%s' && '%s' %s 2>&1", dir, TRAIN_PROGRAM, options);
  FILE *pipe = popen(command, "r");
  assert_non_null(pipe);
  size_t n = fread(output, 1, sizeof output - 1, pipe);
  output[n] = '\0';
  int status = pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define assert_train(...)                                                                          \
  do {                                                                                             \
    if (train(__VA_ARGS__) != 0) fail_msg("%s", output);                                           \
  } while (0)

static void assert_said(const char *part) {
  if (!strstr(output, part)) fail_msg("not \"%s\" but: %s", part, output);
}

static void assert_not_said(const char *part) {
  if (strstr(output, part)) fail_msg("\"%s\" in: %s", part, output);
}

static char *read_all(const char *name, size_t *size) {
  FILE *f = fopen(in_dir(name), "rb");
  if (!f) fail_msg("there is no %s", name);
  char *data = NULL;
  *size = 0;
  for (size_t n = 1; n > 0; *size += n) {
    data = realloc(data, *size + (1 << 16));
    assert_non_null(data);
    n = fread(data + *size, 1, (1 << 16) - 1, f);
  }
  data[*size] = '\0';
  fclose(f);
  return data;
}

static bool same_file(const char *a, const char *b) {
  size_t na, nb;
  char *x = read_all(a, &na), *y = read_all(b, &nb);
  bool same = na == nb && memcmp(x, y, na) == 0;
  free(x);
  free(y);
  return same;
}

/* ---- the command line ------------------------------------------------------------------------ */

static void help_lists_every_option_and_default(void **state) {
  (void)state;
  static const char *const parts[] = {
      "--data DIR", "--hidden",   "default 64",  "--act",          "sigmoid|tanh|relu",
      "--epochs",   "--eager",    "--exact",     "default 20",     "--batch",
      "default 32", "--lr",       "0.5 for sgd", "--momentum",     "default 0.9",
      "--optim",    "--schedule", "--val",       "sgd|adam|adamw", "--smoothing",
      "--seed",     "--threads",  "--save FILE", "--resume",       "--predict IMAGE...",
      "--load",     "--out DIR",  "default out", "--log FILE"};
  assert_train("--help");
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) assert_said(parts[i]);
}

static void wrong_options_are_named(void **state) {
  (void)state;
  static const struct {
    const char *options, *part;
  } wrong[] = {
      {"--hiden 3", "no option --hiden; did you mean --hidden?"},
      {"--epoch=3", "did you mean --epochs?"},
      {"--predicts a.png", "did you mean --predict?"},
      {"--hlep", "did you mean --help?"},
      {"--bogus", "no option --bogus; try --help"},
      {"fast", "'fast'"},
      {"--lr", "--lr: a value is missing"},
      {"--lr fast", "--lr: want a number"},
      {"--lr nan", "--lr: want a number"},
      {"--lr=-1", "got '-1'"},
      {"--epochs 1.5", "--epochs: want a whole number"},
      {"--epochs 0", "from 1"},
      {"--hidden 64,", "--hidden: want"},
      {"--hidden 64x", "--hidden: want"},
      {"--act swish", "want sigmoid|tanh|relu, got 'swish'"},
      {"--smoothing 1", "--smoothing: want"},
      {"--threads 0", "--threads: want"},
      {"--predict", "--predict: name"},
      {"--load a --resume b", "--load"},
      {"--eager=maybe", "--eager: want yes or no"},
      {"--eager --exact", "--exact: is of compiled steps"},
      {"--optim adam --momentum 0.5", "--momentum"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_equal(train("%s", wrong[i].options), 2);
    assert_said(wrong[i].part);
    assert_said("train: ");
  }
}

static void failures_say_why(void **state) {
  (void)state;
  static const char *const files[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                      "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
                                      "yann.lecun.com"};
  assert_int_equal(train("--data '%s'", dir), 1);
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) assert_said(files[i]);
  assert_int_equal(train("--load none.safetensors"), 1);
  assert_said("none.safetensors");
  assert_int_equal(train("--save none/x"), 1);
  assert_said("cannot write none/x: No such file");
  assert_not_said("epoch");
  assert_int_equal(train("--log none/x"), 1);
  assert_int_equal(train("--out /dev/null/x"), 1);
  assert_not_said("epoch");
  assert_int_equal(train("--predict none.png"), 1);
  assert_said("none.png: No such file");
  assert_not_said("epoch");
  assert_int_equal(train("--epochs 1 >/dev/full"), 1);
  assert_int_equal(train("--epochs 3 --act relu --lr 1e6"), 1);
  assert_said("smaller --lr");
}

/* ---- learning -------------------------------------------------------------------------------- */

static double number_of(const cJSON *object, const char *key) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
  if (!cJSON_IsNumber(item)) fail_msg("no number \"%s\"", key);
  return item->valuedouble;
}

/* Checks every line of a log and returns the final test accuracy. */
static double check_log(const char *name, int epochs) {
  size_t size;
  char *text = read_all(name, &size), *rest = NULL;
  double accuracy = -1;
  int seen = 0;
  for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    cJSON *object = cJSON_Parse(line);
    assert_non_null(object);
    assert_true(accuracy < 0); /* the final object is the last */
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, "final"))) {
      accuracy = number_of(object, "test_accuracy");
      assert_true(number_of(object, "train_seconds") > 0);
      assert_true(number_of(object, "load_seconds") > 0);
      assert_true(number_of(object, "parameters") == 64 * 64 + 64 + 64 * 10 + 10);
    } else {
      assert_true(number_of(object, "epoch") == ++seen);
      assert_true(number_of(object, "train_loss") > 0);
      assert_true(number_of(object, "test_loss") > 0);
      assert_true(number_of(object, "seconds") > 0);
      const double part = number_of(object, "test_accuracy");
      assert_true(part > 0 && part <= 1);
    }
    cJSON_Delete(object);
  }
  free(text);
  assert_int_equal(seen, epochs);
  return accuracy;
}

static void the_default_learns_the_digits(void **state) {
  (void)state;
  double sum = 0;
  for (int seed = 1; seed <= 5; seed++) {
    char line[80];
    assert_train("--seed %d --log digits.log --out pictures/deep", seed);
    const double accuracy = check_log("digits.log", 20);
    assert_true(accuracy >= 0.96);
    sum += accuracy;
    snprintf(line, sizeof line, "test accuracy %.2f %% +- ", 100 * accuracy);
    assert_said(line);
  }
  assert_true(sum / 5 >= 0.97);
  assert_said("epoch 20/20");
  assert_said("confusion");
}

static void pictures_are_written(void **state) {
  (void)state;
  assert_train("--epochs 2 --hidden 9 --out pictures");
  const char *const names[] = {"pictures/weights.png", "pictures/mistakes.png",
                               "pictures/curve.png"};
  ct_scope scope = ct_scope_begin();
  for (int i = 0; i < 3; i++) {
    ct_tensor *image = ct_image_load(in_dir(names[i]), 3);
    assert_false(ct_is_nil(image));
    assert_true(ct_dim(image, 0) > 100 && ct_dim(image, 1) > 100);
    /* something is drawn: no picture is of one colour */
    const uint8_t *pixel = ct_data(image);
    int64_t other = 0;
    for (int64_t k = 3; k < ct_size(image); k++) other += pixel[k] != pixel[k - 3];
    assert_true(other > 500);
  }
  assert_ok(ct_scope_end(scope));
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

static void a_seed_gives_one_file(void **state) {
  (void)state;
  assert_train("--epochs 3 --seed 7 --save a");
  assert_train("--epochs 3 --seed 7 --save b");
  assert_train("--epochs 3 --seed 8 --save c");
  assert_true(same_file("a", "b"));
  assert_false(same_file("a", "c"));
}

/* Losses, weights and states of compiled steps with --exact are those of eager ones. */
static void exact_is_eager(void **state) {
  (void)state;
  static const char *const options[] = {
      "--epochs 3", "--epochs 2 --optim adam --schedule cosine --smoothing 0",
      "--epochs 2 --optim adamw --hidden 20,10 --act relu --batch 100",
      "--epochs 2 --momentum 0 --lr 1 --schedule one-cycle --act tanh"};
  for (int i = 0; i < 4; i++) {
    assert_train("%s --eager --save eager", options[i]);
    assert_train("%s --exact --save exact", options[i]);
    ct_archive *a = ct_archive_load(in_dir("eager")), *b = ct_archive_load(in_dir("exact"));
    assert_true(a && b);
    assert_int_equal(ct_archive_count(a), ct_archive_count(b));
    assert_true(ct_archive_has(a, "train/history"));
    ct_scope scope = ct_scope_begin();
    for (int k = 0; k < ct_archive_count(a); k++) {
      const char *name = ct_archive_name(a, k);
      const ct_tensor *x = ct_archive_get(a, name), *y = ct_archive_get(b, name);
      const size_t bytes = (size_t)ct_size(x) * ct_dtype_size(ct_dtype_of(x));
      if (memcmp(ct_data(x), ct_data(y), bytes) != 0) fail_msg("%s: %s", options[i], name);
    }
    assert_ok(ct_scope_end(scope));
    ct_archive_free(&a);
    ct_archive_free(&b);
  }
}

static void the_file_has_names_of_pytorch(void **state) {
  (void)state;
  static const struct {
    const char *name;
    int64_t rows, columns;
  } want[] = {{"0.weight", 32, 64}, {"0.bias", 32, 0},    {"2.weight", 16, 32},
              {"2.bias", 16, 0},    {"4.weight", 10, 16}, {"4.bias", 10, 0}};
  assert_train("--epochs 1 --hidden 32,16 --save names");
  ct_scope scope = ct_scope_begin();
  ct_archive *a = ct_archive_load(in_dir("names"));
  assert_non_null(a);
  for (int i = 0; i < 6; i++) {
    ct_tensor *t = ct_archive_get(a, want[i].name);
    assert_int_equal(ct_dim(t, 0), want[i].rows);
    assert_int_equal(ct_ndim(t), want[i].columns ? 2 : 1);
    if (want[i].columns) assert_int_equal(ct_dim(t, 1), want[i].columns);
  }
  ct_archive_free(&a);
  assert_ok(ct_scope_end(scope));
}

/* More epochs than lines of them fit into a pipe that nobody reads: the trainer cannot get to the
 * end before the signal does. */
static void interrupt_after_first_epoch(const char *options) {
  char command[4096];
  int ends[2];
  snprintf(command, sizeof command, "cd '%s' && exec '%s' %s", dir, TRAIN_PROGRAM, options);
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  size_t n = 0;
  ssize_t got;
  bool sent = false;
  while ((got = read(ends[0], output + n, sizeof output - 1 - n)) > 0) {
    n += (size_t)got;
    output[n] = '\0';
    if (!sent && strstr(output, "epoch ")) sent = kill(child, SIGINT) == 0;
  }
  close(ends[0]);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void resumed_training_ends_in_the_same_file(void **state) {
  (void)state;
  static const char *const options[] = {
      "--epochs 1200 --hidden 3 --batch 300 --lr 0.01",
      "--epochs 1200 --hidden 3 --batch 300 --lr 1 --val 0.3",
      "--epochs 1200 --hidden 3 --batch 300 --optim adamw --schedule cosine --act tanh",
      "--epochs 1200 --hidden 3 --batch 300 --eager",
  };
  for (int i = 0; i < 4; i++) {
    char text[256];
    assert_train("%s --save whole", options[i]);
    snprintf(text, sizeof text, "%s --save part", options[i]);
    interrupt_after_first_epoch(text);
    assert_said("interrupted after step ");
    assert_said("saved as part");
    assert_false(same_file("whole", "part"));
    assert_train("--resume part --save part");
    assert_true(same_file("whole", "part"));
  }
  interrupt_after_first_epoch("--epochs 1200 --hidden 3 --batch 300");
  assert_said("not saved");
}

static void resuming_can_add_epochs(void **state) {
  (void)state;
  assert_train("--epochs 2 --schedule constant --save two --log two.log");
  assert_train("--resume two --epochs 5 --save five --log two.log");
  assert_train("--epochs 5 --schedule constant --save whole");
  assert_true(same_file("five", "whole"));
  assert_int_equal(train("--resume two --hidden 32"), 1);
  assert_said("--hidden 32: two was trained with 64");
  assert_int_equal(train("--resume five --epochs 3"), 1);
  assert_said("5 already");
}

/* The weights in the file are the best by validation, and --load gives the same accuracy. */
static void validation_chooses_the_weights(void **state) {
  (void)state;
  assert_train("--epochs 8 --lr 3 --schedule constant --val 0.3 --save best");
  const char *line = strstr(output, "test accuracy"), *last;
  for (last = line; (line = strstr(line + 1, "\ntest accuracy")); last = line + 1) continue;
  char want[64];
  snprintf(want, sizeof want, "%.*s", (int)strcspn(last, "\n"), last);
  assert_train("--load best");
  assert_said(want);
  ct_scope scope = ct_scope_begin();
  ct_archive *a = ct_archive_load(in_dir("best"));
  assert_non_null(a);
  assert_true(ct_archive_has(a, "current/0.weight"));
  ct_archive_free(&a);
  assert_ok(ct_scope_end(scope));
}

/* ---- pictures from elsewhere ----------------------------------------------------------------- */

enum { SIDE = 200, POINTS = 16 };

/* Strokes as points in a square of 100; 0,0 lifts the pen. */
static const struct stroke {
  uint8_t x, y;
} strokes[10][POINTS] = {
    {{50, 10},
     {68, 18},
     {75, 35},
     {76, 50},
     {75, 65},
     {68, 82},
     {50, 90},
     {32, 82},
     {25, 65},
     {24, 50},
     {25, 35},
     {32, 18},
     {50, 10}},
    {{52, 10}, {50, 90}},
    {{28, 28}, {36, 14}, {52, 10}, {68, 18}, {70, 34}, {58, 54}, {40, 72}, {26, 88}, {76, 88}},
    {{28, 16},
     {50, 10},
     {68, 18},
     {70, 32},
     {60, 45},
     {44, 48},
     {62, 52},
     {74, 66},
     {68, 82},
     {50, 90},
     {28, 84}},
    {{34, 12}, {26, 54}, {78, 54}, {0, 0}, {66, 16}, {62, 90}},
    {{72, 12}, {36, 12}, {32, 46}, {52, 42}, {70, 52}, {72, 70}, {60, 86}, {42, 90}, {26, 84}},
    {{62, 10},
     {42, 28},
     {30, 52},
     {28, 72},
     {40, 88},
     {58, 88},
     {70, 74},
     {64, 58},
     {48, 54},
     {32, 64}},
    {{24, 14}, {76, 14}, {56, 50}, {46, 90}},
    {{50, 48},
     {34, 36},
     {32, 20},
     {50, 10},
     {68, 20},
     {66, 36},
     {50, 48},
     {32, 62},
     {28, 78},
     {50, 90},
     {72, 78},
     {68, 62},
     {50, 48}},
    {{70, 30}, {58, 12}, {40, 14}, {30, 30}, {36, 46}, {54, 48}, {70, 32}, {68, 60}, {58, 90}},
};

static double distance(double px, double py, struct stroke a, struct stroke b) {
  const double dx = b.x - a.x, dy = b.y - a.y;
  const double at = fmin(fmax(((px - a.x) * dx + (py - a.y) * dy) / (dx * dx + dy * dy), 0), 1);
  return hypot(px - a.x - at * dx, py - a.y - at * dy);
}

/* A digit as black ink on white paper. */
static void draw_digit(int digit, double thick, const char *path) {
  static uint8_t pixel[SIDE][SIDE];
  const struct stroke *s = strokes[digit];
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++) {
      double nearest = SIDE;
      for (int k = 1; k < POINTS; k++)
        if (s[k].x && s[k - 1].x)
          nearest = fmin(nearest, distance(100.0 * j / SIDE, 100.0 * i / SIDE, s[k - 1], s[k]));
      pixel[i][j] = nearest < thick / 2 ? 10 : 245;
    }
  ct_scope scope = ct_scope_begin();
  assert_ok(ct_image_write_png(path, ct_from(CT_U8, CT_SHAPE(SIDE, SIDE), pixel)));
  assert_ok(ct_scope_end(scope));
}

static void predict_ten(const char *model, double thick) {
  char names[512] = "";
  for (int i = 0; i < 10; i++) {
    char name[32];
    snprintf(name, sizeof name, "digit%d.png", i);
    draw_digit(i, thick, in_dir(name));
    snprintf(names + strlen(names), sizeof names - strlen(names), " %s", name);
  }
  assert_train("--load %s --predict %s", model, names);
  for (int i = 0; i < 10; i++) {
    char line[64];
    snprintf(line, sizeof line, "digit%d.png: %d\n", i, i);
    assert_said(line);
  }
  assert_said(" % ####");
}

static void drawn_digits_are_read(void **state) {
  (void)state;
  assert_train("--save digits");
  predict_ten("digits", 11);
  assert_int_equal(train("--load digits --predict digits"), 1);
  assert_said("neither PNG nor JPEG");
}

static void drawn_digits_are_read_after_mnist(void **state) {
  (void)state;
  const char *mnist = getenv("CT_MNIST");
  if (!mnist || access(mnist, R_OK) != 0) skip();
  assert_train("--data '%s' --epochs 2 --hidden 128 --lr 0.1 --save mnist", mnist);
  predict_ten("mnist", 9);
}

/* ---- folders of images ----------------------------------------------------------------------- */

/* Zeros and ones of the embedded digits as PNG files in root/nought and root/one. */
static void write_folders(const char *root, const ct_dataset *set, int64_t limit) {
  const char *const names[] = {"nought", "one"};
  const int32_t *label = ct_data(set->labels);
  const uint8_t *pixel = ct_data(set->x);
  char path[TEMP_PATH + 160];
  assert_int_equal(mkdir(root, 0777), 0);
  for (int k = 0; k < 2; k++) {
    snprintf(path, sizeof path, "%s/%s", root, names[k]);
    assert_int_equal(mkdir(path, 0777), 0);
  }
  for (int64_t i = 0; i < limit; i++) {
    if (label[i] > 1) continue;
    ct_scope scope = ct_scope_begin();
    snprintf(path, sizeof path, "%s/%s/%d.png", root, names[label[i]], (int)i);
    assert_ok(ct_image_write_png(path, ct_from(CT_U8, CT_SHAPE(8, 8), pixel + 64 * i)));
    assert_ok(ct_scope_end(scope));
  }
}

static void folders_of_images_are_data(void **state) {
  (void)state;
  ct_dataset first, second;
  assert_ok(ct_dataset_digits(&first, &second));
  write_folders(in_dir("flat"), &first, 300);
  assert_int_equal(mkdir(in_dir("parts"), 0777), 0);
  write_folders(in_dir("parts/train"), &first, 300);
  write_folders(in_dir("parts/test"), &second, 200);
  ct_dataset_free(&first);
  ct_dataset_free(&second);

  assert_train("--data flat --epochs 5 --lr 0.05 --save folder");
  assert_said("nought");
  assert_train("--data parts --epochs 5 --lr 0.05");
  assert_said("nought");
  assert_train("--load folder --predict parts/test/one/*.png");
  assert_said(".png: one\n");
  assert_int_equal(train("--resume folder --epochs 6"), 1);
  assert_said("--data");
}

/* ---- a terminal ------------------------------------------------------------------------------ */

static void a_terminal_gets_one_bar(void **state) {
  (void)state;
  int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) skip();
  const char *name = ptsname(terminal);
  assert_non_null(name);
  int other = open(name, O_RDWR | O_NOCTTY);
  assert_true(other >= 0);
  char command[2048];
  snprintf(command, sizeof command, "cd '%s' && '%s' --epochs 3 > %s", dir, TRAIN_PROGRAM, name);
  assert_int_equal(system(command), 0);
  ssize_t n = read(terminal, output, sizeof output - 1);
  assert_true(n > 0);
  output[n] = '\0';
  close(other);
  close(terminal);
  assert_said("\repoch  3/3 [");
  assert_said("100%");
  assert_said("rate ");
  assert_said("loss ");
  assert_said("0:00 left");
}

static int make_dir(void **state) {
  (void)state;
  temp_dir(dir);
  return 0;
}

static int remove_dir(void **state) {
  (void)state;
  temp_dir_remove(dir);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(help_lists_every_option_and_default),
      cmocka_unit_test(wrong_options_are_named),
      cmocka_unit_test(failures_say_why),
      cmocka_unit_test(the_default_learns_the_digits),
      cmocka_unit_test(pictures_are_written),
      cmocka_unit_test(a_seed_gives_one_file),
      cmocka_unit_test(exact_is_eager),
      cmocka_unit_test(the_file_has_names_of_pytorch),
      cmocka_unit_test(resumed_training_ends_in_the_same_file),
      cmocka_unit_test(resuming_can_add_epochs),
      cmocka_unit_test(validation_chooses_the_weights),
      cmocka_unit_test(drawn_digits_are_read),
      cmocka_unit_test(drawn_digits_are_read_after_mnist),
      cmocka_unit_test(folders_of_images_are_data),
      cmocka_unit_test(a_terminal_gets_one_bar),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
