#!/usr/bin/env bash
# The main job on the embedded default: a server, workers made of programs that
# every machine has, a foreground job, a background job, and a text scattered
# over the workers and gathered again.
#
# Usage: scripts/demo.sh [GM]      GM is the binary, bin/gm if left out
set -euo pipefail
cd "$(dirname "$0")/.."
gm=$(realpath "${1:-bin/gm}")
tmp=$(mktemp -d)
pids=()

finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$tmp"
}
trap finish EXIT

say() { printf '\n# %s\n' "$*"; }

# await CMD... runs CMD until it succeeds, for at most 10 seconds.
await() {
    local end=$((SECONDS + 10))
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS > end)); then
            echo "gave up waiting for: $*" >&2
            exit 1
        fi
        read -rt 0.05 <> <(:) || true
    done
}

# A text of more than 30 KB: the first of these that is here.
text=
for file in /usr/share/common-licenses/GPL-3 /usr/share/common-licenses/GPL-2 \
    /usr/share/licenses/common/GPL3/license.txt "$(go env GOROOT 2>/dev/null)/src/net/http/server.go"; do
    if [ -s "$file" ] && [ "$(wc -c <"$file")" -gt 30000 ]; then
        text=$file
        break
    fi
done
if [ -z "$text" ]; then
    echo "demo: no text of more than 30 KB found on this machine" >&2
    exit 1
fi

say "a job server on a free port of localhost"
echo '$ gm serve -p 0 --print-port'
"$gm" serve -p 0 --print-port >"$tmp/port" 2>"$tmp/serve.log" &
pids+=($!)
await test -s "$tmp/port"
GEARMAN_SERVER="localhost:$(cat "$tmp/port")"
export GEARMAN_SERVER
echo "listening on $GEARMAN_SERVER"

say "workers: any program that reads stdin and writes stdout"
echo '$ gm work -f upper -j 4 -- tr a-z A-Z'
"$gm" work -f upper -j 4 -- tr a-z A-Z 2>"$tmp/work1.log" &
pids+=($!)
echo "\$ gm work -f note --shell -- 'cat >> notes'"
"$gm" work -f note --shell -- "cat >> '$tmp/notes'" 2>"$tmp/work2.log" &
pids+=($!)
# Each of the four slots has a connection of its own.
await sh -c "'$gm' status upper -o tsv | cut -f4 | grep -qx 4 && '$gm' status note -o tsv | cut -f4 | grep -qx 1"
"$gm" status

say "a foreground job: the result comes back"
echo '$ echo hello, gearman | gm submit -f upper'
echo hello, gearman | "$gm" submit -f upper

say "a background job: the handle comes back, the job is done meanwhile"
echo '$ echo remember the milk | gm submit -b -f note'
echo remember the milk | "$gm" submit -b -f note
await test -s "$tmp/notes"
echo '$ cat notes'
cat "$tmp/notes"

say "scatter and gather: $(wc -l <"$text") lines, $(wc -c <"$text") bytes of $text"
echo "\$ gm submit -n -k -f upper < $text | cmp - <(tr a-z A-Z < $text)"
started=$(date +%s%N)
"$gm" submit -n -k -f upper <"$text" >"$tmp/gathered"
took=$((($(date +%s%N) - started) / 1000000))
tr a-z A-Z <"$text" >"$tmp/expected"
cmp "$tmp/gathered" "$tmp/expected"
echo "identical; one job a line, $(wc -l <"$tmp/gathered") jobs in $took ms"
sed -n '1,3p' "$tmp/gathered"

say "what the server has seen"
echo '$ gm status'
"$gm" status
printf '\ndemo: done\n'
