package cmd

import (
	"cmp"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"gm/pkg/store"
	"gm/pkg/store/mysql"
	"gm/pkg/store/open"
)

// gearmandFlags are the options of gearmand 1.1 that serve takes beside its
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

// gearmandQueues are gearmand's queue types in lower case, with what the names
// of their options begin with.
var gearmandQueues = map[string]string{
	"libsqlite3":      "libsqlite3-",
	"postgres":        "libpq-",
	"libpq":           "libpq-",
	"mysql":           "mysql-",
	"redis":           "redis-",
	"libmemcached":    "libmemcached-",
	"libtokyocabinet": "libtokyocabinet-",
}

// gearmandPlace returns the store that gearmand's options name; nil for
// memory.
func (e *env) gearmandPlace(c *cli.Context) (*open.Place, error) {
	queueType := strings.ToLower(c.String("queue-type"))
	prefix, known := gearmandQueues[queueType]
	switch {
	case queueType != "" && queueType != "builtin" && !known:
		return nil, usageErrorf("--queue-type %q: not builtin, libsqlite3, Postgres, MySQL, redis, libmemcached or libtokyocabinet", c.String("queue-type"))
	case known && prefix == "libpq-" && c.IsSet("libpq-conninfo") && strings.Contains(c.String("libpq-conninfo"), "://"):
		return withParameter(c.String("libpq-conninfo"), "table", c.String("libpq-table"))
	}
	for kind, other := range gearmandQueues {
		for _, f := range gearmandFlags() {
			name := flagNames(f)[0]
			if other != prefix && strings.HasPrefix(name, other) && c.IsSet(name) {
				return nil, withHint(usageErrorf("--%s: the jobs are kept elsewhere", name), "--queue-type "+kind+" uses it")
			}
		}
	}
	if !known {
		return nil, nil
	}
	u, err := e.gearmandURL(c, prefix)
	if err != nil {
		return nil, err
	}
	return &open.Place{URL: u}, nil
}

// gearmandURL makes the URL of the options that begin with prefix.
func (e *env) gearmandURL(c *cli.Context, prefix string) (*store.URL, error) {
	option := func(name, standard string) string {
		if s := c.String(prefix + name); s != "" {
			return s
		}
		return standard
	}
	query := url.Values{}
	set := func(key, option string) {
		if s := c.String(prefix + option); s != "" {
			query.Set(key, s)
		}
	}
	// What is built here is not parsed again: a password may have anything.
	overNet := func(scheme, host, port, user, password, path string) *store.URL {
		n := &url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port), Path: path, RawQuery: query.Encode()}
		if user != "" || password != "" {
			n.User = url.UserPassword(user, password)
		}
		return &store.URL{Scheme: scheme, Net: n, Query: query}
	}
	plain := func(scheme, option string) (*store.URL, error) {
		path := c.String(prefix + option)
		if path == "" {
			return nil, usageErrorf("--queue-type %s: no --%s%s", c.String("queue-type"), prefix, option)
		}
		return &store.URL{Scheme: scheme, Path: path, Query: query}, nil
	}
	switch prefix {
	case "libsqlite3-":
		set("table", "table")
		return plain("sqlite", "db")
	case "libpq-":
		set("table", "table")
		return &store.URL{Scheme: "postgres", Path: option("conninfo", ""), Query: query}, nil
	case "mysql-":
		set("table", "table")
		cnf, err := e.myCnf()
		if err != nil {
			return nil, usageErrorf("--queue-type %s: %w", c.String("queue-type"), err)
		}
		host, port := option("host", cmp.Or(cnf["host"], "localhost")), cmp.Or(cnf["port"], "3306")
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return nil, usageErrorf("--queue-type %s: read MySQL's options: port %q", c.String("queue-type"), port)
		}
		if c.IsSet("mysql-port") {
			port = strconv.Itoa(c.Int("mysql-port"))
		} else if socket := cmp.Or(cnf["socket"], mysql.DefaultSocket(e.getenv)); host == "localhost" && socket != "" {
			query.Set("socket", socket)
		}
		user := option("user", cmp.Or(cnf["user"], mysql.LoginName()))
		return overNet("mysql", host, port, user, option("password", cnf["password"]), "/"+option("db", cnf["database"])), nil
	case "redis-":
		set("prefix", "prefix")
		return overNet("redis", option("server", "127.0.0.1"), option("port", "6379"), "", option("password", ""), ""), nil
	case "libmemcached-":
		set("prefix", "prefix")
		return plain("memcached", "servers")
	}
	return plain("tokyocabinet", "file")
}

// myCnf returns the options of MySQL's option files, see [mysql.ReadOptionFiles].
func (e *env) myCnf() (map[string]string, error) {
	return mysql.ReadOptionFiles(e.getenv, func(file string) { e.note("%s: anyone may write it, so it is not read", file) })
}

// withParameter returns the store of a URL, with one more parameter unless it
// is empty.
func withParameter(raw, key, value string) (*open.Place, error) {
	p, err := open.Parse(raw)
	if err == nil && value != "" {
		p.URL.Query.Set(key, value)
	}
	return p, err
}
