#!/usr/bin/env bash
# Compares a word count by map and tree reduce with tr | sort | uniq -c on a
# real text: the texts of this machine, repeated. The counts must be equal, and
# the cluster of one machine the quicker of the two, best of some rounds that
# take turns. gm runs a server and a worker with two slots for each core. Its
# map counts in memory, because the words of a block fit; the same for the whole
# text in one process is shown too.
#
# Usage: scripts/bench-batch/wordcount.sh [GM]     GM is the binary, bin/gm if left out
#        MB=60      how large the text is at least, in MB of 1,000,000 bytes
#        ROUNDS=3
#        BLOCK=4M
set -euo pipefail
cd "$(dirname "$0")/../.."
gm=$(realpath "${1:-bin/gm}")
mb=${MB:-60}
rounds=${ROUNDS:-3}
block=${BLOCK:-4M}
cores=$(nproc)
export LC_ALL=C # sort is several times as quick in it, on either side
tmp=$(mktemp -d)
pids=()

finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$tmp"
}
trap finish EXIT

# The text.
find -L /usr/share/common-licenses /usr/share/licenses /usr/share/perl /usr/share/perl5 /usr/share/doc \
    -type f \( -path '*licenses/*' -o -name '*.pod' -o -name '*.txt' -o -name '*.md' -o -name copyright \) \
    -size -2000k 2>/dev/null | sort | xargs -d '\n' cat -- >"$tmp/once" || true
if [ "$(wc -c <"$tmp/once")" -lt 100000 ]; then
    echo "wordcount: no texts on this machine" >&2
    exit 1
fi
touch "$tmp/text"
until [ "$(wc -c <"$tmp/text")" -ge $((mb * 1000000)) ]; do
    cat "$tmp/once" >>"$tmp/text"
done

mkdir "$tmp/functions"
cat >"$tmp/functions/words" <<'END'
#!/bin/sh
tr -cs A-Za-z '\n' | awk '{ n[$0]++ } END { for (w in n) print n[w], w }'
END
cat >"$tmp/functions/add" <<'END'
#!/bin/sh
awk 'NF == 2 { n[$2] += $1 } END { for (w in n) printf "%7d %s\n", n[w], w }'
END
chmod +x "$tmp/functions/"*

alone() { tr -cs A-Za-z '\n' <"$tmp/text" | sort | uniq -c; }
single() { "$tmp/functions/words" <"$tmp/text" | "$tmp/functions/add" | sort -k2; }
cluster() { "$gm" map -f words --block "$block" --reduce add --arity 4 <"$tmp/text" | sort -k2; }

"$gm" serve -L 127.0.0.1 -p 0 --print-port >"$tmp/port" 2>"$tmp/serve.log" &
pids+=($!)
end=$((SECONDS + 10))
until [ -s "$tmp/port" ] || ((SECONDS > end)); do read -rt 0.05 <> <(:) || true; done
export GEARMAN_SERVERS=127.0.0.1:$(cat "$tmp/port")
"$gm" work --dir "$tmp/functions" -j $((2 * cores)) 2>"$tmp/work.log" &
pids+=($!)
echo warm | "$gm" map -f words --reduce add >/dev/null

# took NAME appends the microseconds that a function takes to a file, and keeps
# its output.
took() {
    local began=${EPOCHREALTIME/./}
    "$1" >"$tmp/$1.out"
    echo $((${EPOCHREALTIME/./} - began)) >>"$tmp/$1.us"
}

for ((i = 0; i < rounds; i++)); do
    took alone
    took single
    took cluster
    # The text before the first letter is an empty word, which does not count
    # anywhere.
    awk 'NF == 2' "$tmp/alone.out" | cmp - "$tmp/cluster.out"
done
best() { sort -n "$tmp/$1.us" | head -1; }
awk -v a="$(best alone)" -v s="$(best single)" -v c="$(best cluster)" -v bytes="$(wc -c <"$tmp/text")" -v cores="$cores" -v rounds="$rounds" \
    -v words="$(wc -l <"$tmp/cluster.out")" 'BEGIN {
    printf "word count of %.0f MB, %d different words, on %d cores, best of %d\n", bytes / 1e6, words, cores, rounds
    printf "  tr | sort | uniq -c        %6.2f s\n", a / 1e6
    printf "  gm map --block --reduce    %6.2f s   %.2f times as quick, and equal\n", c / 1e6, a / c
    printf "  its functions without gm   %6.2f s\n", s / 1e6
    exit !(c < a)
}'
