#!/bin/sh
# The program that the README shows is the example that is built and tested.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
shown=$(sed -n '/^```c$/,/^```$/p' "$root/README.md" | sed '1d;$d')
if [ "$shown" != "$(cat "$root/examples/02_softmax_regression.c")" ]; then
  echo "the program in README.md is not examples/02_softmax_regression.c" >&2
  exit 1
fi
