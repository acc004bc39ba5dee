#!/bin/sh
# check_package.sh CMAKE BUILD
# Installs BUILD into a fresh prefix, then builds and runs the programs of tests/consumer against
# it: C11 and C++17, shared and static, through the CMake package and through pkg-config, with every
# compiler that is here.
set -eu

cmake=$1
build=$2
consumer=$(cd "$(dirname "$0")" && pwd)/consumer
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

"$cmake" --install "$build" --prefix "$prefix" 
pc=$(find "$prefix" -name cotangent.pc)
libdir=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH="$libdir/pkgconfig"
export LD_LIBRARY_PATH="$libdir"

run() { # what, program
  "$2" || { echo "$1: failed"; exit 1; }
  echo "$1: ok"
}

through_cmake() { # cc cxx
  tree=$work/cmake-$1
  CC=$1 CXX=$2 "$cmake" -G Ninja -S "$consumer" -B "$tree" -D CMAKE_PREFIX_PATH="$prefix"
  "$cmake" --build "$tree"
  for program in c_shared c_static cxx_shared cxx_static; do
    run "CMake, $1, $program" "$tree/$program"
  done
}

through_pkg_config() { # compiler standard source
  # shellcheck disable=SC2046 # the flags are words
  "$1" "-std=$2" -Wall -Wextra -Wpedantic -Werror "$consumer/$3" -o "$work/shared" \
    $(pkg-config --cflags --libs cotangent)
  run "pkg-config, $1, shared" "$work/shared"
  # The archive by its file name, so that the linker cannot prefer the shared library beside it.
  # shellcheck disable=SC2046
  "$1" "-std=$2" -Wall -Wextra -Wpedantic -Werror "$consumer/$3" -o "$work/static" \
    $(pkg-config --static --cflags --libs cotangent | sed 's/-lcotangent/-l:libcotangent.a/')
  run "pkg-config --static, $1" "$work/static"
}

for pair in "gcc g++" "clang clang++"; do
  # shellcheck disable=SC2086 # a pair is two words
  set -- $pair
  if command -v "$1" >/dev/null && command -v "$2" >/dev/null; then
    through_cmake "$1" "$2"
    through_pkg_config "$1" c11 consumer.c
    through_pkg_config "$2" c++17 consumer.cc
  fi
done
