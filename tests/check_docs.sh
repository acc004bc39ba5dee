#!/bin/sh
# Every C block of the page about own operations is a piece of an example, which is built and tested.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
awk '
  FILENAME ~ /\.c$/ { code = code $0 "\n"; next }
  $0 == "```c" { block = ""; inside = 1; start = FNR; next }
  $0 == "```" && inside {
    inside = 0
    if (!index(code, block)) { print FILENAME ":" start ": not in examples/"; bad = 1 }
    next
  }
  inside { block = block $0 "\n" }
  END { exit bad }
' "$root"/examples/*.c "$root"/docs/own-operations.md
