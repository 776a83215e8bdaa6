#!/usr/bin/env bash
# Installs the other Gearman programs and client libraries that `make test` runs
# with gm. Debian's packages come from apt, the npm package from its
# lock file into testdata/peers/node_modules, the Go library from the module
# cache's proxy.
#
#   scripts/test-deps.sh          install the missing ones
#   scripts/test-deps.sh --list   list the installed and the missing ones
#
# It is quick when nothing is missing. It reports a program that cannot be installed
# as "skip: NAME: WHY", which is no failure: the tests that need it skip by name.
set -euo pipefail

peers=$(cd "$(dirname "$0")/../testdata/peers" && pwd)

packages=(
	gcc                    # compiles testdata/peers/c
	libc6-dev
	gearman-job-server     # gearmand
	gearman-tools          # gearman, gearadmin
	libgearman-dev         # testdata/peers/c
	libgearman-client-perl # testdata/peers/perl
	php-cli                # testdata/peers/php
	php-gearman
	libtokyocabinet-dev    # pkg/store/tokyocabinet
	tokyocabinet-bin       # tcamgr, which uses the library as gearmand does
	redis-server           # pkg/store/redis
	memcached              # pkg/store/memcached
	mandoc                 # checks the manual pages
	jq                     # an example of gm help work
	postgresql             # pkg/store/storetest starts servers of its own
	mariadb-server
	make                   # pkg/udf
	postgresql-server-dev-all
	libmariadb-dev         # mariadb_config
	libssl-dev
	pkg-config
	cppcheck               # make udf-test
)
# Node is often installed from elsewhere, and then Debian's would fight with it.
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)

skip() { echo "skip: $1: $2"; }

missing_packages() {
	if ! command -v dpkg-query >/dev/null; then
		printf '%s\n' "${packages[@]}"
		return
	fi
	local installed
	installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)
	local package
	for package in "${packages[@]}"; do
		grep -qx "$package installed" <<<"$installed" || echo "$package"
	done
}

# npm writes the copy of the lock file last, so it tells a finished install.
npm_there() {
	[[ "$peers/node_modules/.package-lock.json" -nt "$peers/package-lock.json" ]]
}

go_there() {
	(cd "$peers/gearman-go" && GOPROXY=off GOFLAGS=-mod=readonly go list -deps ./... >/dev/null 2>&1)
}

list() {
	local missing package state
	missing=$(missing_packages)
	for package in "${packages[@]}"; do
		state=there
		grep -qx "$package" <<<"$missing" && state=missing
		printf '%s\tapt\t%s\n' "$state" "$package"
	done
	state=missing
	npm_there && state=there
	printf '%s\tnpm\t%s\n' "$state" gearman
	state=missing
	go_there && state=there
	printf '%s\tgo\t%s\n' "$state" github.com/mikespook/gearman-go
}

as_root() {
	if [[ $EUID -eq 0 ]]; then
		"$@"
	else
		sudo -n "$@"
	fi
}

# Debian starts a daemon when it installs one, unless this file says no.
policy=/usr/sbin/policy-rc.d
policy_is_ours=
forbid_daemons() {
	[[ -e $policy ]] && return
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
	policy_is_ours=yes
	as_root chmod 755 "$policy"
}
allow_daemons() {
	[[ -n $policy_is_ours ]] && as_root rm -f "$policy"
	policy_is_ours=
}

apt_install() {
	as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "$@" >"$log" 2>&1
}

last_error() { grep -E '^E: |error' "$log" | tail -n 1 || true; }

install_packages() {
	local package
	if ! command -v apt-get >/dev/null; then
		for package in "$@"; do skip "$package" "no apt-get on this machine"; done
		return
	fi
	if ! as_root true 2>/dev/null; then
		for package in "$@"; do skip "$package" "neither root nor sudo without a password"; done
		return
	fi
	forbid_daemons
	as_root apt-get update -qq >"$log" 2>&1 || echo "apt-get update: $(last_error)" >&2
	if ! apt_install "$@"; then
		# One that cannot be had must not keep out the others.
		for package in "$@"; do
			apt_install "$package" || skip "$package" "$(last_error)"
		done
	fi
	allow_daemons
}

install_npm() {
	if ! command -v npm >/dev/null; then
		skip "npm gearman" "no npm on this machine"
		return
	fi
	(cd "$peers" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >"$log" 2>&1) ||
		skip "npm gearman" "$(last_error)"
	# npm keeps the time of an unchanged copy; the check above wants it newer.
	[[ ! -e "$peers/node_modules/.package-lock.json" ]] || touch "$peers/node_modules/.package-lock.json"
}

install_go() {
	if ! command -v go >/dev/null; then
		skip "gearman-go" "no go on this machine"
		return
	fi
	(cd "$peers/gearman-go" && go mod download) >"$log" 2>&1 ||
		skip "gearman-go" "$(tail -n 1 "$log")"
}

case ${1-} in
--list)
	list
	exit
	;;
'') ;;
*)
	echo "usage: $0 [--list]" >&2
	exit 2
	;;
esac

log=$(mktemp)
trap 'allow_daemons; rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mapfile -t missing < <(missing_packages)
if [[ ${#missing[@]} -gt 0 ]]; then
	echo "installing: ${missing[*]}"
	install_packages "${missing[@]}"
fi
npm_there || install_npm
go_there || install_go
