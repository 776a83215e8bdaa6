#!/usr/bin/env bash
# Compares the Go benchmarks of the hot paths in the working tree with those of
# another commit. Both are built before either runs, and they take turns, so
# that they share the machine's good and bad minutes; benchstat judges.
#
# Usage: scripts/bench-compare.sh REF [COUNT]
set -euo pipefail
cd "$(dirname "$0")/.."
ref=${1:?usage: $0 REF [COUNT]}
count=${2:-10}

# The packages on the way of a job: packets, the queue, the server, the client.
benchmarks='^(BenchmarkDecode|BenchmarkAppend|BenchmarkReader|BenchmarkWriter|BenchmarkSubmit|BenchmarkCycle|BenchmarkSleepers|BenchmarkSubmitBackground|BenchmarkDrain|BenchmarkForeground|BenchmarkPipelined|BenchmarkDo)$'
packages=(wire queue server gearman)

tmp=$(mktemp -d)
finish() {
	git worktree remove --force "$tmp/tree" 2>/dev/null || true
	rm -rf "$tmp"
}
trap finish EXIT
git worktree add --quiet --detach "$tmp/tree" "$ref"

build() { # DIR NAME
	local package
	mkdir "$tmp/$2"
	for package in "${packages[@]}"; do
		(cd "$1" && go test -c -o "$tmp/$2/$package" "./pkg/$package")
	done
}
build "$tmp/tree" old
build . new

# A benchmark runs in its package's directory, as with go test.
run() { # DIR NAME
	local package
	for package in "${packages[@]}"; do
		(cd "$1/pkg/$package" && "$tmp/$2/$package" -test.run '^$' -test.bench "$benchmarks" -test.benchmem -test.benchtime 200ms)
	done | grep -E '^(pkg|goos|goarch|cpu|Benchmark)' >>"$tmp/$2.txt"
}
for ((i = 1; i <= count; i++)); do
	echo "round $i of $count" >&2
	run "$tmp/tree" old
	run . new
done
mkdir -p bin
cp "$tmp/old.txt" bin/bench-old.txt
cp "$tmp/new.txt" bin/bench-new.txt
go tool -modfile=scripts/tools.mod benchstat "$ref=bin/bench-old.txt" "worktree=bin/bench-new.txt"
