#!/bin/sh
# check_table.sh PROGRAM
# docs/primitives.md is what the program prints, and has the closed set with its derivatives.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
"$1" | diff "$root/docs/primitives.md" - ||
  { echo "docs/primitives.md is not current: ./run table >docs/primitives.md" >&2; exit 1; }

awk -F ' *[|] *' '
  FILENAME ~ /primitives.md$/ && NF > 3 {
    there[$2] = 1
    if (/\| none \|/) { print $2 " has no derivative"; bad = 1 }
    next
  }
  FILENAME ~ /closed_set.txt$/ && !/^#/ {
    n = split($0, name, " ")
    for (i = 1; i <= n; i++) if (!(name[i] in there)) { print name[i] " is missing"; bad = 1 }
  }
  END { exit bad }
' "$root/docs/primitives.md" "$root/tests/closed_set.txt"
