/* move.h - moving elements of 1, 4 or 8 bytes, however they lie (move.c). */
#ifndef COTANGENT_MOVE_H
#define COTANGENT_MOVE_H

#include <stdint.h>

/* Element j of line i, for lines of n elements that do not overlap; steps in elements. */
void ct__move_lines(int64_t item, int64_t lines, int64_t n, void *to, int64_t to_line,
                    int64_t to_step, const void *from, int64_t from_line, int64_t from_step);

#endif
