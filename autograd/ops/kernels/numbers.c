/* numbers.c - rows.def as functions of single numbers, with the bits of elements.c. Compiled for
 * each instruction set but v4, which would make the same of them as v3. */
#include "rows.h"

#if !(defined(CT__X86_LEVELS) && defined(__AVX512F__))
#define IN(k) in_##k
#define ROW(name, type, First, n_in, Out, setup, load, expression)                                 \
  static type name(type in_0, type in_1, type in_2, type in_3, const void *attr) {                 \
    typedef type T;                                                                                \
    enum { alone = true };                                                                         \
    (void)attr, (void)in_1, (void)in_2, (void)in_3, (void)alone;                                   \
    setup;                                                                                         \
    load;                                                                                          \
    return (T)(expression);                                                                        \
  }
#include "../rows.def"

#define OF_float(name)  {.f32 = name},
#define OF_double(name) {.f64 = name},
const ct__row_one CT__ISA_NAME(ct__numbers, CT__ISA)[CT__ROWS] = {
#define ROW(name, T, ...) OF_##T(name)
#include "../rows.def"
};
#endif
