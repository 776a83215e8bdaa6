package cmd

import (
	"fmt"

	"gm/cmd/cli"
	"gm/pkg/store/open"
)

// gearmandFlags returns the options of gearmand 1.1 that serve accepts besides its own
// flags, so that a start script of gearmand works. Only the manual page lists them.
func gearmandFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "queue-type", Aliases: []string{"q"}, Usage: "keep jobs in `TYPE`: builtin (memory), libsqlite3, Postgres, MySQL, redis, libmemcached or libtokyocabinet"},
		&cli.StringFlag{Name: "libsqlite3-db", Usage: "use the SQLite database `FILE`"},
		&cli.StringFlag{Name: "libsqlite3-table", Usage: "use its `TABLE` (default gearman_queue)"},
		&cli.StringFlag{Name: "libpq-conninfo", Usage: "connect to PostgreSQL with `WORDS` in the form of libpq, or its URL; missing values come from PGHOST, PGUSER and similar variables"},
		&cli.StringFlag{Name: "libpq-table", Usage: "use its `TABLE` (default queue)"},
		&cli.StringFlag{Name: "mysql-host", Usage: "connect to MySQL on `HOST` (default localhost); values without an option come from the group [gearmand] of my.cnf; user, password, database and socket also from [client]"},
		&cli.IntFlag{Name: "mysql-port", Usage: "connect to its `PORT` (default 3306)"},
		&cli.StringFlag{Name: "mysql-user", Usage: "connect as `USER`"},
		&cli.StringFlag{Name: "mysql-password", Usage: "connect with `PASSWORD`"},
		&cli.StringFlag{Name: "mysql-db", Usage: "use its `DATABASE`"},
		&cli.StringFlag{Name: "mysql-table", Usage: "use its `TABLE` (default gearman_queue)"},
		&cli.StringFlag{Name: "redis-server", Usage: "connect to Redis on `HOST` (default 127.0.0.1)"},
		&cli.StringFlag{Name: "redis-port", Usage: "connect to its `PORT` (default 6379)"},
		&cli.StringFlag{Name: "redis-password", Usage: "connect with `PASSWORD`"},
		&cli.StringFlag{Name: "redis-prefix", Usage: "begin keys with `PREFIX` (default _gear_)"},
		&cli.StringFlag{Name: "libmemcached-servers", Usage: "connect to memcached on `HOST:PORT`; commas separate several servers"},
		&cli.StringFlag{Name: "libmemcached-prefix", Usage: "begin keys with `PREFIX` (default gear_)"},
		&cli.StringFlag{Name: "libtokyocabinet-file", Usage: "use the database `FILE`: a hash database FILE.tch or a B+ tree database FILE.tcb"},
		&cli.BoolFlag{Name: "store-queue-on-shutdown", Usage: "keep jobs in memory and write them to the store when the server stops; a crash loses them"},
		&cli.BoolFlag{Name: "libtokyocabinet-optimize", Usage: "without effect: " + unneeded["libtokyocabinet-optimize"]},
		&cli.IntFlag{Name: "threads", Aliases: []string{"t"}, Usage: "without effect for any `N`: " + unneeded["threads"]},
		&cli.IntFlag{Name: "backlog", Aliases: []string{"b"}, Usage: "without effect for any `N`: " + unneeded["backlog"]},
		&cli.IntFlag{Name: "file-descriptors", Aliases: []string{"f"}, Usage: "allow `N` open files (default the limit of the process)"},
		&cli.IntFlag{Name: "hashtable-buckets", Usage: "without effect for any `N`: " + unneeded["hashtable-buckets"]},
		&cli.StringFlag{Name: "job-handle-prefix", Usage: "name jobs `PREFIX`:NUMBER instead of H:HOST:NUMBER"},
		&cli.IntFlag{Name: "keepalive-idle", Value: -1, Usage: "set --keepalive in `SECONDS`; -1 leaves it"},
		&cli.IntFlag{Name: "keepalive-interval", Value: -1, Usage: "repeat a probe after `SECONDS`; -1 is a third of --keepalive"},
		&cli.IntFlag{Name: "keepalive-count", Value: -1, Usage: "drop a peer that does not answer `N` probes; -1 is 3"},
		&cli.StringFlag{Name: "protocol", Aliases: []string{"r"}, Usage: "serve the protocol `NAME`, gear; http is accepted, but not served, which the log says"},
		&cli.IntFlag{Name: "http-port", Usage: "without effect for any `PORT`: " + unneeded["http-port"]},
		&cli.BoolFlag{Name: "ssl", Usage: "refused: there is no TLS"},
		&cli.StringFlag{Name: "ssl-ca-file", Usage: "refused for any `FILE`: there is no TLS"},
		&cli.StringFlag{Name: "ssl-certificate", Usage: "refused for any `FILE`: there is no TLS"},
		&cli.StringFlag{Name: "ssl-key", Usage: "refused for any `FILE`: there is no TLS"},
		&cli.BoolFlag{Name: "coredump", Usage: "leave a core file after a crash"},
		&cli.BoolFlag{Name: "check-args", Usage: "check the options and exit"},
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

// gearmandPlace returns the store that gearmand's options name, or nil for memory.
func (e *env) gearmandPlace(c *cli.Context) (*open.Place, error) {
	g := open.Gearmand{Options: map[string]string{}, Getenv: e.Getenv}
	g.Unsafe = func(file string) { e.note("%s is not read: everybody may write to it", file) }
	for _, f := range gearmandFlags() {
		if name := cli.FlagNames(f)[0]; open.IsGearmandOption(name) && c.IsSet(name) {
			g.Options[name] = fmt.Sprint(c.Value(name))
		}
	}
	return g.Place()
}
