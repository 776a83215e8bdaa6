package cmd

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"gm/pkg/store/open"
)

// gearmandFlags are the options of gearmand 1.1 that serve takes besides its
// own of the same name, so that a start script goes on working. Only the
// manual page lists them. --store says all of it in one word.
func gearmandFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "queue-type", Aliases: []string{"q"}, Usage: "keep jobs in `TYPE`: builtin (memory), libsqlite3, Postgres, MySQL, redis, libmemcached or libtokyocabinet"},
		&cli.StringFlag{Name: "libsqlite3-db", Usage: "the database `FILE`"},
		&cli.StringFlag{Name: "libsqlite3-table", Usage: "the `TABLE` in it (default gearman_queue)"},
		&cli.StringFlag{Name: "libpq-conninfo", Usage: "how to connect, in libpq's `WORDS` or as its URL; what they leave out is taken from PGHOST, PGUSER and the like"},
		&cli.StringFlag{Name: "libpq-table", Usage: "the `TABLE` (default queue)"},
		&cli.StringFlag{Name: "mysql-host", Usage: "the `HOST` (default localhost); what these options leave out is taken from the group [gearmand] of MySQL's my.cnf, and user, password, database and socket from [client] too"},
		&cli.IntFlag{Name: "mysql-port", Usage: "its `PORT` (default 3306)"},
		&cli.StringFlag{Name: "mysql-user", Usage: "the `USER`"},
		&cli.StringFlag{Name: "mysql-password", Usage: "the `PASSWORD`"},
		&cli.StringFlag{Name: "mysql-db", Usage: "the `DATABASE`"},
		&cli.StringFlag{Name: "mysql-table", Usage: "the `TABLE` (default gearman_queue)"},
		&cli.StringFlag{Name: "redis-server", Usage: "the `HOST` (default 127.0.0.1)"},
		&cli.StringFlag{Name: "redis-port", Usage: "its `PORT` (default 6379)"},
		&cli.StringFlag{Name: "redis-password", Usage: "the `PASSWORD`"},
		&cli.StringFlag{Name: "redis-prefix", Usage: "begin keys with `PREFIX` (default _gear_)"},
		&cli.StringFlag{Name: "libmemcached-servers", Usage: "`HOST:PORT` of the servers, commas between them"},
		&cli.StringFlag{Name: "libmemcached-prefix", Usage: "begin keys with `PREFIX` (default gear_)"},
		&cli.StringFlag{Name: "libtokyocabinet-file", Usage: "the database `FILE`: a hash database FILE.tch or a B+ tree database FILE.tcb"},
		&cli.BoolFlag{Name: "store-queue-on-shutdown", Usage: "keep jobs in memory and put them into the store when the server stops; a crash loses them"},
		&cli.BoolFlag{Name: "libtokyocabinet-optimize", Usage: "without effect: " + unneeded["libtokyocabinet-optimize"]},
		&cli.IntFlag{Name: "threads", Aliases: []string{"t"}, Usage: "without effect for any `N`: " + unneeded["threads"]},
		&cli.IntFlag{Name: "backlog", Aliases: []string{"b"}, Usage: "without effect for any `N`: " + unneeded["backlog"]},
		&cli.IntFlag{Name: "file-descriptors", Aliases: []string{"f"}, Usage: "allow `N` open files; else as many as the process may have"},
		&cli.IntFlag{Name: "hashtable-buckets", Usage: "without effect for any `N`: " + unneeded["hashtable-buckets"]},
		&cli.StringFlag{Name: "job-handle-prefix", Usage: "handles are `PREFIX`:NUMBER instead of H:HOST:NUMBER"},
		&cli.IntFlag{Name: "keepalive-idle", Value: -1, Usage: "--keepalive in `SECONDS`; -1 is its default"},
		&cli.IntFlag{Name: "keepalive-interval", Value: -1, Usage: "ask again after `SECONDS`; -1 is a third of --keepalive"},
		&cli.IntFlag{Name: "keepalive-count", Value: -1, Usage: "a peer that does not answer `N` times is gone; -1 is 3"},
		&cli.StringFlag{Name: "protocol", Aliases: []string{"r"}, Usage: "`NAME` is gear, or http, which is not served: a line in the log says so"},
		&cli.IntFlag{Name: "http-port", Usage: "without effect for any `PORT`: " + unneeded["http-port"]},
		&cli.BoolFlag{Name: "ssl", Usage: "refused: there is no TLS"},
		&cli.StringFlag{Name: "ssl-ca-file", Usage: "refused, whatever the `FILE`"},
		&cli.StringFlag{Name: "ssl-certificate", Usage: "refused, whatever the `FILE`"},
		&cli.StringFlag{Name: "ssl-key", Usage: "refused, whatever the `FILE`"},
		&cli.BoolFlag{Name: "coredump", Usage: "leave a core file after a crash"},
		&cli.BoolFlag{Name: "check-args", Usage: "only check the options"},
		&cli.BoolFlag{Name: "version", Aliases: []string{"V"}, Usage: "print the version of gm"},
	}
	for _, f := range flags {
		switch f := f.(type) {
		case *cli.StringFlag:
			f.Hidden, f.Category = true, catGearmand
		case *cli.IntFlag:
			f.Hidden, f.Category = true, catGearmand
		case *cli.BoolFlag:
			f.Hidden, f.Category = true, catGearmand
		}
	}
	return flags
}

// gearmandPlace returns the store that gearmand's options name; nil for memory.
func (e *env) gearmandPlace(c *cli.Context) (*open.Place, error) {
	g := open.Gearmand{Options: map[string]string{}, Getenv: e.getenv}
	g.Unsafe = func(file string) { e.note("%s: anyone may write it, so it is not read", file) }
	for _, f := range gearmandFlags() {
		if name := flagNames(f)[0]; open.IsGearmandOption(name) && c.IsSet(name) {
			g.Options[name] = fmt.Sprint(c.Value(name))
		}
	}
	return g.Place()
}
