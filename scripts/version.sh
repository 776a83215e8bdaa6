#!/usr/bin/env bash
# Prints the version of this tree: that of its tag (v1.2.0 gives 1.2.0), else
# the one to come with the commit it stands on.
set -euo pipefail
cd "$(dirname "$0")/.."

coming=0.1.0

if tag=$(git describe --tags --exact-match --match 'v[0-9]*' --dirty=+dirty 2>/dev/null); then
    echo "${tag#v}"
elif commit=$(git describe --always --exclude '*' --abbrev=12 --dirty=.dirty 2>/dev/null); then
    echo "$coming-dev+$commit"
else
    echo "$coming-dev"
fi
