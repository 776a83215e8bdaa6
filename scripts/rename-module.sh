#!/usr/bin/env bash
# Gives the module a path that other modules can fetch, for the one who publishes
# it:
#
#   scripts/rename-module.sh github.com/you/gm
#
# It changes go.mod, the imports, and the package names in documents and build
# files. The module's own name for its packages in cmd/systest/law_test.go, gm/..., stays.
# The script may run again with another path.
set -euo pipefail

usage() {
    echo "usage: scripts/rename-module.sh PATH, such as github.com/you/gm" >&2
    exit 2
}

[[ $# -eq 1 ]] || usage
new=$1
if ! [[ $new =~ ^[a-z0-9-]+(\.[a-z0-9-]+)+(/[A-Za-z0-9._~-]+)+$ ]]; then
    echo "rename-module: $new is no module path: it begins with a host name, has a slash, and ends without one" >&2
    usage
fi

cd "$(dirname "$0")/.."
old=$(go list -m)
if [[ $old == "$new" ]]; then
    exit 0
fi

# A package name begins after a character that no path has, and continues with one
# of the module's directories.
quoted=$(sed 's/[.]/[.]/g' <<<"$old")
expr="(^|[^A-Za-z0-9_.~/-])$quoted/(cmd|internal|pkg|scripts)"

changed=()
while IFS= read -r file; do
    case $file in ./cmd/systest/law_test.go | ./scripts/rename-module.sh) continue ;; esac
    sed -E "s#$expr#\\1$new/\\2#g" "$file" >"$file.renamed"
    cat "$file.renamed" >"$file" # keeps the mode
    rm "$file.renamed"
    case $file in *.go) changed+=("$file") ;; esac
done < <(find . \( -name .git -o -name node_modules -o -path ./bin \) -prune -o -type f \
    \( -name '*.go' -o -name '*.md' -o -name '*.sh' -o -name '*.yml' -o -name '*.yaml' -o -name Makefile \) -print0 |
    xargs -0 grep -lE "$expr" || true)

for mod in go.mod scripts/tools.mod; do
    sed -E "s#^module .*#module $new#" "$mod" >"$mod.renamed"
    cat "$mod.renamed" >"$mod"
    rm "$mod.renamed"
done
gofmt -w "${changed[@]}"

echo "The module is $new now. Next: go build ./..., commit, and tag a version such as v0.1.0."
