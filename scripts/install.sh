#!/usr/bin/env bash
# Installs gm with its manual pages and completions.
#
# Usage: scripts/install.sh GM
#
# GM is the built program. These variables say where its files go:
#
#   PREFIX   the root of bin and share; /usr/local by default
#   BIN      the name of the installed program; gm by default. The help, the manual
#            pages and the completions use the same name.
#   DESTDIR  a directory in front of PREFIX, for packages
set -euo pipefail

gm=${1:?usage: $0 GM}
prefix=${PREFIX:-/usr/local}
bin=${BIN:-gm}
case $prefix in
'~' | '~/'*) prefix=$HOME${prefix#'~'} ;; # a shell that did not expand PREFIX=~/.local
esac
if [[ ! $bin =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*$ ]]; then
	echo "install: BIN=$bin: want a name of letters, digits, _, - and ." >&2
	exit 2
fi
if [[ ! -x $gm ]]; then
	echo "install: no program $gm: make build writes it" >&2
	exit 1
fi
root=${DESTDIR:-}$prefix
man=$root/share/man/man1
bash=$root/share/bash-completion/completions
zsh=$root/share/zsh/site-functions
fish=$root/share/fish/vendor_completions.d

mkdir -p "$root/bin" "$man" "$bash" "$zsh" "$fish"

# A running program cannot be written to, but its file can be replaced.
program=$root/bin/$bin
cp "$gm" "$program.new"
chmod 755 "$program.new"
mv -f "$program.new" "$program"

"$program" man --dir "$man"
"$program" completion bash >"$bash/$bin"
"$program" completion zsh >"$zsh/_$bin"
"$program" completion fish >"$fish/$bin.fish"

echo "installed $program"
echo "manual pages: $man/$bin.1 and $bin-VERB.1, ${man%1}7/$bin-sql.7"
echo "completions: $bash/$bin, $zsh/_$bin, $fish/$bin.fish"
if [[ -z ${DESTDIR:-} ]]; then
	first=$(command -v "$bin" || true)
	if [[ -z $first ]]; then
		echo "note: $root/bin is not in PATH"
	elif [[ ! $first -ef $program ]]; then
		echo "note: $bin in PATH is $first; make install BIN=NAME installs under another name"
	fi
fi
