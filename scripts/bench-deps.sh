#!/usr/bin/env bash
# Installs from Debian the programs with which `make bench` and `make bench-batch`
# compare gm: other servers, and other programs that run a command for each record.
# It names programs that cannot be installed; the benches that need them report it.
#
# Usage: scripts/bench-deps.sh
set -euo pipefail

packages=(
	gearman-job-server # gearmand
	gearman-tools      # gearman
	beanstalkd
	redis-server
	socat
	parallel
	imagemagick # convert
)

missing=()
for package in "${packages[@]}"; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[[ $state == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root() { if [[ $EUID -eq 0 ]]; then "$@"; else sudo -n "$@"; fi; }

# Debian starts a daemon when it installs one, unless this file says no.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
	trap 'as_root rm -f "$policy"' EXIT
	as_root chmod 755 "$policy"
fi
echo "installing: ${missing[*]}"
as_root apt-get update -qq
for package in "${missing[@]}"; do
	as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
		echo "missing: $package"
done
