// Package mysql keeps jobs in MySQL or MariaDB, in the table of gearmand's
// plugin: it finds the jobs that gearmand has queued, and the other way round.
//
// To gearmand's columns unique_key, function_name, priority, data and
// when_to_run it adds, as nullable ones that gearmand does not mind:
//
//	seq          BIGINT   the job's number; unique
//	run_at_ms    BIGINT   when to run, to the millisecond
//	accepted_ms  BIGINT
//	attempts     INT
//	reducer      BLOB
//	gm_unique    BLOB     the unique, where unique_key can't have it
//	gm_function  BLOB     the function, where function_name can't have it
//
// unique_key is gm-SEQ for a job without a unique, and has a hash for one of
// more than 63 bytes. Extras are in a table of their own, the name with _gm
// behind it.
//
// gearmand creates its table in the server's character set, in which Resize is
// resize, and refuses the second of them. Here the two columns of the key are
// VARBINARY. In an existing table they are changed, and their converted text
// becomes gearmand's UTF-8 again. gearmand goes on with them.
//
// A batch is one transaction, and mostly one round trip. It is sent by the
// session that holds the store's lock of GET_LOCK. Such a lock is one node's: on
// a cluster such as Galera, servers on two nodes can have it at a time. So each
// transaction also replaces a row among the extras, the fence, on the condition
// that it is still the session's: see [sqlstore.Fence]. A holder that ends
// without freeing it keeps servers on other nodes waiting for ten seconds. A
// batch is as durable as innodb_flush_log_at_trx_commit says.
package mysql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

// DefaultTable is gearmand's.
const DefaultTable = "gearman_queue"

// Config says where the jobs are.
type Config struct {
	// Addr is HOST:PORT, or the path of a socket if there is a / in it.
	Addr     string
	User     string
	Password string
	DB       string
	// TLS is empty for none, true, skip-verify for a server whose
	// certificate is not looked at, or preferred for TLS if the server has it.
	TLS string
	// Table is the table. It is DefaultTable if empty.
	Table string
	// AsIs changes nothing in the database, for programs that only read: no
	// table or column is created, and Replay numbers gearmand's jobs without
	// storing the numbers. If there is no table, Open returns store.ErrAbsent.
	// It is not for Commit.
	AsIs bool

	// Logger is slog's default if nil.
	Logger *slog.Logger
	// Skipped is called for a row that can't be read, if it is not nil.
	Skipped func(what string, err error)
}

// ParseURL makes a Config of mysql://USER:PASSWORD@HOST:PORT/DB?table=NAME. The
// other keys are tls and, in place of HOST:PORT, socket.
func ParseURL(u *store.URL) (Config, error) {
	fail := func(err error) (Config, error) { return Config{}, fmt.Errorf("store %s: %w", u, err) }
	if u.Net == nil {
		return fail(errors.New("not like mysql://host/db"))
	}
	c := Config{
		Addr: net.JoinHostPort(cmp.Or(u.Net.Hostname(), "localhost"), cmp.Or(u.Net.Port(), "3306")),
		User: u.Net.User.Username(),
		DB:   strings.TrimPrefix(u.Net.Path, "/"),
	}
	c.Password, _ = u.Net.User.Password()
	options, err := u.Options("table", "tls", "socket")
	if err != nil {
		return Config{}, err
	}
	c.Table, c.TLS = options.Get("table"), options.Get("tls")
	if options.Has("socket") {
		c.Addr = options.Get("socket")
	}
	if _, err := newDatabase(c); err != nil {
		return fail(err)
	}
	return c, nil
}

// sqlStore has the methods of a Store that do not depend on MySQL.
type sqlStore = *sqlstore.Store[*session]

// Store is a journal in MySQL. It implements [store.Store], [store.Reader],
// [store.Numbered], [store.Locker], [store.Compacter] and [store.Checker].
type Store struct {
	sqlStore
	db   *database
	link *sqlstore.Link[*session]
}

var (
	_ store.Store     = (*Store)(nil)
	_ store.Reader    = (*Store)(nil)
	_ store.Numbered  = (*Store)(nil)
	_ store.Locker    = (*Store)(nil)
	_ store.Compacter = (*Store)(nil)
	_ store.Checker   = (*Store)(nil)
)

// maxReaders is the maximum number of connections that read at a time.
const maxReaders = 4

// Open connects, and creates the tables or changes them as the package says,
// unless Config.AsIs is set.
func Open(ctx context.Context, c Config) (*Store, error) {
	s, err := openStore(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open MySQL store: %w", err)
	}
	return s, nil
}

func openStore(ctx context.Context, c Config) (*Store, error) {
	log := cmp.Or(c.Logger, slog.Default())
	db, err := newDatabase(c)
	if err != nil {
		return nil, err
	}
	if err := db.prepare(ctx, log); err != nil {
		return nil, store.MarkAway(err, isUnavailable(err))
	}
	if err := db.openReaders(); err != nil {
		return nil, err
	}
	link := sqlstore.NewLink(db.dial, log)
	return &Store{db: db, link: link, sqlStore: sqlstore.NewStore(sqlstore.Config[*session]{
		Database: db, Link: link, Fence: db.fence, AsIs: c.AsIs, Logger: log, Skipped: c.Skipped,
	})}, nil
}

// table is a table's name.
type table string

func parseTable(s string) (table, error) {
	s = cmp.Or(s, DefaultTable)
	tableName := regexp.MustCompile(`^[0-9A-Za-z_$]+$`)
	if !tableName.MatchString(s) || len(s) > 64-len("_gm") {
		return "", fmt.Errorf("table %q: not a name", s)
	}
	return table(s), nil
}

func (t table) jobs() string   { return "`" + string(t) + "`" }
func (t table) extras() string { return "`" + string(t) + "_gm`" }
