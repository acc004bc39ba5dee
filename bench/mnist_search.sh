#!/bin/sh
# mnist_search.sh [TARGET...]
# Chooses the recipes of bench/mnist.c for targets of accuracy (97 98 98.5): the least processor
# time that reaches the target. Accuracy is that on the last 10,000 training images after training
# on the 50,000 before them; the test set is not looked at. That the real training has a fifth more
# of steps and images is the margin. First many recipes with one seed, drawn from the ranges below,
# the same ones each time; then the cheapest of those that come near the target with several seeds.
# Prints the ranking of these, a star before those that reach the target.
set -eu

recipes=60 keep=10 seeds=8
near=0.1 # below the target, with one seed, is good enough for the second round

run=$(cd "$(dirname "$0")/.." && pwd)/run

# Ranges: hidden, batch, momentum, rate / (1 - momentum) for a batch of 64 (from to, drawn evenly in
# its logarithm; it grows with the root of the batch), warmup, smoothing, epochs.
ranges() { # target
  case $1 in
    97) echo '32,48,64 16,32,48,64 0,0.5,0.7,0.85 0.25,0.6 0.05,0.2 0,0.03 1,1.25,1.5,1.75,2' ;;
    98) echo '96,128,160,128-32 32,48,64,96 0.7,0.8,0.9 0.3,0.7 0.05,0.2 0.03,0.06,0.1 2.5,2.75,3,3.5' ;;
    98.5) echo '256,320,384,512 48,64,96,128 0.7,0.8,0.9 0.4,1 0.05,0.2 0.05,0.1 3,3.5,4,5' ;;
    *) echo "mnist_search: no ranges for '$1'" >&2 && exit 1 ;;
  esac
}

draw() { # ranges, one a word
  awk -v n="$recipes" -v hidden="$1" -v batch="$2" -v momentum="$3" -v rate="$4" -v warmup="$5" \
    -v smoothing="$6" -v epochs="$7" '
    function draw() { state = state * 16807 % 2147483647; return state / 2147483647 } # everywhere the same
    function one(list, m, at) { m = split(list, at, ","); return at[1 + int(draw() * m)] }
    BEGIN {
      state = 1
      split(rate, ends, ",")
      for (i = 0; i < n; i++) {
        b = one(batch)
        m = one(momentum)
        r = exp(log(ends[1]) + draw() * log(ends[2] / ends[1])) * (1 - m) * sqrt(b / 64)
        printf "hidden=%s,batch=%d,rate=%.3g,momentum=%s,warmup=%s,smoothing=%s,epochs=%s\n",
          one(hidden), b, r, m, one(warmup), one(smoothing), one(epochs)
      }
    }'
}

[ $# -gt 0 ] || set -- 97 98 98.5
for target in "$@"; do
  # shellcheck disable=SC2046 # every range and every recipe is a word
  first=$("$run" bench mnist --validate 1 $(draw $(ranges "$target")))
  # shellcheck disable=SC2046
  second=$("$run" bench mnist --validate "$seeds" $(printf '%s\n' "$first" |
    awk -v least="$target" -v near="$near" '$1 >= least - near' | sort -k4n | head -n "$keep" |
    awk '{ print $5 }'))
  printf '\n%s %%: mean of %s seeds, deviation of one, GFLOP, seconds of processor time, recipe\n' \
    "$target" "$seeds"
  printf '%s\n' "$second" | sort -k4n |
    awk -v least="$target" '{ print ($1 >= least ? "* " : "  ") $0 }'
done
