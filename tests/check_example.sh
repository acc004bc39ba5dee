#!/bin/sh
# check_example.sh PROGRAM EXPECTED: the example succeeds and, if the file is there, prints its lines.
set -eu
printed=$("$1")
if [ -f "$2" ]; then printf '%s\n' "$printed" | diff "$2" -; fi
