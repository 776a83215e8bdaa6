#!/usr/bin/env bash
# Builds, installs and tests the SQL functions: the extension of PostgreSQL and the
# library of MySQL and MariaDB.
#
#   scripts/udf.sh build      build both into bin/udf
#   scripts/udf.sh install    install both (DESTDIR=, PG_CONFIG=, MARIADB_CONFIG=,
#                             MYSQL_CONFIG=, PLUGIN_DIR=)
#   scripts/udf.sh test       lint the C, and test it with sanitizers (RUNS=)
#
# It reports a part that this machine cannot build as "skip: NAME: WHY", which is no
# failure.
set -euo pipefail
cd "$(dirname "$0")/.."

source=$PWD/pkg/udf
out=$PWD/bin/udf
PG_CONFIG=${PG_CONFIG:-pg_config}
CC=${CC:-cc}

skip() { echo "skip: $1: $2"; }

quiet_make() { make --no-print-directory "$@" CC="$CC"; }

# postgres_missing prints why the extension cannot be built.
postgres_missing() {
	if ! command -v "$PG_CONFIG" >/dev/null; then
		echo "no $PG_CONFIG: package postgresql-server-dev-all has it"
	elif [[ ! -e $("$PG_CONFIG" --pgxs) ]]; then
		echo "no $("$PG_CONFIG" --pgxs): package postgresql-server-dev-all has it"
	fi
}

make_postgres() {
	local why
	why=$(postgres_missing)
	if [[ -n $why ]]; then
		skip postgres "$why"
		return
	fi
	mkdir -p "$out/postgres"
	quiet_make -C "$out/postgres" -f "$source/postgres/Makefile" PG_CONFIG="$PG_CONFIG" "$@"
}

make_mysql() {
	quiet_make -C "$source/mysql" BUILD="$out/mysql" "$@"
}

lint() {
	if ! command -v cppcheck >/dev/null; then
		skip cppcheck "it is not installed"
		return
	fi
	quiet_make -C "$source/core/test" lint
	quiet_make -C "$source/mysql/test" lint
}

if ! command -v "$CC" >/dev/null; then
	skip udf "no C compiler: $CC"
	exit
fi
case ${1-} in
build)
	make_postgres
	make_mysql
	;;
install)
	# PGXS has a directory of its own for each PostgreSQL, and no use for PREFIX.
	make_postgres install DESTDIR="${DESTDIR-}"
	make_mysql install
	;;
test)
	lint
	mkdir -p "$out/test"
	quiet_make -C "$source/core/test" check BUILD="$out/test" ${RUNS:+RUNS="$RUNS"}
	quiet_make -C "$source/mysql/test" check BUILD="$out/test"
	;;
*)
	echo "usage: $0 build|install|test" >&2
	exit 2
	;;
esac
