#!/bin/sh
# check_size.sh LIMIT libcotangent.so
# What the shared library takes in memory, code and constants and data, is below LIMIT bytes.
set -eu

bytes=$(size --format=berkeley "$2" | awk 'NR == 2 { print $4 }')
printf 'libcotangent.so: %d bytes, at most %d\n' "$bytes" "$1"
[ "$bytes" -gt 0 ] && [ "$bytes" -le "$1" ]
