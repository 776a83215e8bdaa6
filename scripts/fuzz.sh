#!/usr/bin/env bash
# Runs each fuzz target for a while.
#
# Usage: scripts/fuzz.sh [TIME [NAME]]
#     TIME   for each target, 30s if left out; 1000000x counts runs instead
#     NAME   only the targets whose name has it
#
# An input that fails is left under the package's testdata/fuzz, where go test
# finds it from then on: commit it with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s} name=${2:-}

mapfile -t targets < <(grep -roE --include='*_test.go' "^func Fuzz[A-Za-z0-9_]*" cmd internal pkg | sort)
ran=0
for target in "${targets[@]}"; do
    fuzz=${target#*:func }
    dir=./$(dirname "${target%%:*}")
    [[ $fuzz == *$name* ]] || continue
    echo "== $dir $fuzz for $time"
    # The default of a minute to minimize an input is longer than most runs.
    go test -run '^$' -fuzz "^$fuzz\$" -fuzztime "$time" -fuzzminimizetime 2s "$dir"
    ran=$((ran + 1))
done
if ((ran == 0)); then
    echo "fuzz: no target has \"$name\" in its name" >&2
    exit 1
fi
echo "fuzz: $ran targets, no failure"
