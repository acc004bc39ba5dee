#!/bin/sh
# check_symbols.sh libcotangent.so libcotangent.a
# Every external name begins with ct_, and the shared library shows no private one (ct__).
set -eu

defined() { nm --defined-only --extern-only --format=posix "$@" | awk '$2 ~ /^[A-Za-z]$/ { print $1 }' | sort -u; }

shared=$(defined --dynamic "$1")
static=$(defined "$2")
for set in "$shared" "$static"; do
  if ! printf '%s\n' "$set" | grep -qx ct_version; then
    echo "ct_version is not among the external names"
    exit 1
  fi
done

bad=$(printf '%s\n%s\n' "$shared" "$static" | grep -v '^ct_' || true)$(
  printf '%s\n' "$shared" | grep '^ct__' || true)
if [ -n "$bad" ]; then
  printf 'names that must not be seen from outside:\n%s\n' "$bad"
  exit 1
fi
echo "$(printf '%s\n' "$shared" | wc -l) names in the shared library, all ct_"
