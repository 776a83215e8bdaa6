package open

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gm/pkg/store"
	"gm/pkg/store/mysql"
)

// gearmandQueue is a type of gearmand's queues.
type gearmandQueue struct {
	name   string // in lower case
	prefix string // the beginning of its options' names
}

var gearmandQueues = []gearmandQueue{
	{"libsqlite3", "libsqlite3-"},
	{"postgres", "libpq-"},
	{"libpq", "libpq-"},
	{"mysql", "mysql-"},
	{"redis", "redis-"},
	{"libmemcached", "libmemcached-"},
	{"libtokyocabinet", "libtokyocabinet-"},
}

// Gearmand names a store as gearmand does, with --queue-type and the options of
// that type.
type Gearmand struct {
	// Options are the options that are set, by name without dashes, such as
	// queue-type, libpq-conninfo and mysql-host. See IsGearmandOption.
	Options map[string]string
	// Getenv is [os.Getenv] or the like. MySQL's library reads HOME,
	// MYSQL_HOME and MYSQL_UNIX_PORT.
	Getenv func(name string) string
	// Unsafe is called for an option file of MySQL that anyone may write; it
	// is not read.
	Unsafe func(file string)
}

// IsGearmandOption reports whether name is queue-type or may be an option of one
// of its types.
func IsGearmandOption(name string) bool {
	return name == "queue-type" ||
		slices.ContainsFunc(gearmandQueues, func(q gearmandQueue) bool { return strings.HasPrefix(name, q.prefix) })
}

// Place returns the place of the store; nil if the queue is in memory. An option
// of another type is a [*UsageError], as is a type that gearmand does not have.
// For MySQL, missing options come from its option files, as for gearmand.
func (g *Gearmand) Place() (*Place, error) {
	text := g.Options["queue-type"]
	prefix := ""
	for _, q := range gearmandQueues {
		if q.name == strings.ToLower(text) {
			prefix = q.prefix
		}
	}
	conninfo := g.Options["libpq-conninfo"]
	switch {
	case prefix == "" && text != "" && !strings.EqualFold(text, "builtin"):
		return nil, usageErrorf("--queue-type %q: not builtin, libsqlite3, Postgres, MySQL, redis, libmemcached or libtokyocabinet", text)
	case prefix == "libpq-" && strings.Contains(conninfo, "://"):
		p, err := Parse(conninfo)
		if table := g.Options["libpq-table"]; err == nil && table != "" {
			p.URL.Query.Set("table", table)
		}
		return p, err
	}
	if err := g.checkForeign(prefix); err != nil || prefix == "" {
		return nil, err
	}
	u, err := g.url(prefix)
	if err != nil {
		return nil, err
	}
	return &Place{URL: u}, nil
}

// checkForeign returns an error if an option of another type than that of prefix
// is set.
func (g *Gearmand) checkForeign(prefix string) error {
	names := slices.Sorted(maps.Keys(g.Options))
	for _, q := range gearmandQueues {
		for _, name := range names {
			if q.prefix != prefix && strings.HasPrefix(name, q.prefix) {
				return &UsageError{fmt.Errorf("--%s: the jobs are kept elsewhere", name), "--queue-type " + q.name + " uses it"}
			}
		}
	}
	return nil
}

// url returns the URL of the options that begin with prefix. It is not parsed
// from a text, so a password may have any character.
func (g *Gearmand) url(prefix string) (*store.URL, error) {
	query := url.Values{}
	setQuery := func(key string) {
		if s := g.Options[prefix+key]; s != "" {
			query.Set(key, s)
		}
	}
	plain := func(scheme, option string) (*store.URL, error) {
		path := g.Options[prefix+option]
		if path == "" {
			return nil, usageErrorf("--queue-type %s: no --%s%s", g.Options["queue-type"], prefix, option)
		}
		return &store.URL{Scheme: scheme, Path: path, Query: query}, nil
	}
	switch prefix {
	case "libsqlite3-":
		setQuery("table")
		return plain("sqlite", "db")
	case "libpq-":
		setQuery("table")
		return &store.URL{Scheme: "postgres", Path: g.Options["libpq-conninfo"], Query: query}, nil
	case "mysql-":
		setQuery("table")
		return g.mysqlURL(query)
	case "redis-":
		setQuery("prefix")
		host, port := cmp.Or(g.Options["redis-server"], "127.0.0.1"), cmp.Or(g.Options["redis-port"], "6379")
		return netURL("redis", host, port, "", g.Options["redis-password"], "", query), nil
	case "libmemcached-":
		setQuery("prefix")
		return plain("memcached", "servers")
	}
	return plain("tokyocabinet", "file")
}

// mysqlURL returns the URL of MySQL's options: from Options, then from MySQL's
// option files, then gearmand's defaults.
func (g *Gearmand) mysqlURL(query url.Values) (*store.URL, error) {
	cnf, err := mysql.ReadOptionFiles(g.Getenv, g.Unsafe)
	if err != nil {
		return nil, usageErrorf("--queue-type %s: %w", g.Options["queue-type"], err)
	}
	option := func(name, standard string) string { return cmp.Or(g.Options["mysql-"+name], standard) }
	host, port := option("host", cmp.Or(cnf["host"], "localhost")), cmp.Or(cnf["port"], "3306")
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, usageErrorf("--queue-type %s: read MySQL's options: port %q", g.Options["queue-type"], port)
	}
	if given := g.Options["mysql-port"]; given != "" {
		port = given
	} else if socket := cmp.Or(cnf["socket"], mysql.DefaultSocket(g.Getenv)); host == "localhost" && socket != "" {
		query.Set("socket", socket)
	}
	user := option("user", cmp.Or(cnf["user"], mysql.LoginName()))
	return netURL("mysql", host, port, user, option("password", cnf["password"]), "/"+option("db", cnf["database"]), query), nil
}

// netURL returns the URL of a store on a server.
func netURL(scheme, host, port, user, password, path string, query url.Values) *store.URL {
	n := &url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port), Path: path, RawQuery: query.Encode()}
	if user != "" || password != "" {
		n.User = url.UserPassword(user, password)
	}
	return &store.URL{Scheme: scheme, Net: n, Query: query}
}
