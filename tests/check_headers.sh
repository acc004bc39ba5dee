#!/bin/sh
# check_headers.sh INCLUDE
# Each public header compiles alone, as C11 and as C++17, with every compiler that is here.
set -eu

include=$1
failed=0

compile() { # compiler standard language header
  printf '#include <%s>\n' "$4" |
    "$1" "-std=$2" -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -I "$include" \
      -fsyntax-only -x "$3" - ||
    { echo "$4 does not compile alone with $1 -std=$2"; failed=1; }
}

cd "$include"
for header in cotangent.h cotangent/*.h; do
  for cc in gcc clang; do
    if command -v $cc >/dev/null; then compile $cc c11 c "$header"; fi
  done
  for cxx in g++ clang++; do
    if command -v $cxx >/dev/null; then compile $cxx c++17 c++ "$header"; fi
  done
done
exit $failed
