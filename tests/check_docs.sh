#!/bin/sh
# Every C block of the pages in docs/ is a piece of an example, which is built and tested, and every
# text block a piece of what an example prints (tests/examples).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
awk '
  FILENAME ~ /\.c$/ { said["c"] = said["c"] $0 "\n"; next }
  FILENAME ~ /\.txt$/ { said["text"] = said["text"] $0 "\n"; next }
  /^```(c|text)$/ { block = ""; inside = substr($0, 4); start = FNR; next }
  $0 == "```" && inside {
    if (!index(said[inside], block)) { print FILENAME ":" start ": not in examples/"; bad = 1 }
    inside = ""
    next
  }
  inside { block = block $0 "\n" }
  END { exit bad }
' "$root"/examples/*.c "$root"/tests/examples/*.txt "$root"/docs/*.md
