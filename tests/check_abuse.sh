#!/bin/sh
# check_abuse.sh libcotangent.so
# Every public function is called in tests/*abuse*.[ch], where it must refuse what is wrong.
set -eu

here=$(dirname "$0")
names=$(nm --defined-only --extern-only --dynamic --format=posix "$1" | awk '$2 == "T" { print $1 }')
missing=$(printf '%s\n' "$names" | while read -r name; do
  grep -qw "$name" "$here"/*abuse*.[ch] || echo "$name"
done)
if [ -n "$missing" ]; then
  printf 'no bad call in tests/*abuse*.[ch] for:\n%s\n' "$missing"
  exit 1
fi
echo "$(printf '%s\n' "$names" | wc -l) public functions are called badly"
