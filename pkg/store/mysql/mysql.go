// Package mysql keeps jobs in MySQL or MariaDB, in the table of gearmand's
// plugin: it finds the jobs that gearmand has queued, and gearmand finds the jobs
// of gm.
//
// gearmand's columns are unique_key, function_name, priority, data and
// when_to_run. gm adds these columns, which are NULL in a row of gearmand:
//
//	seq          BIGINT   the job's number; unique
//	run_at_ms    BIGINT   when to run, to the millisecond
//	accepted_ms  BIGINT
//	attempts     INT
//	reducer      BLOB
//	gm_unique    BLOB     the unique, if it is not in unique_key
//	gm_function  BLOB     the function, if it is not in function_name
//
// unique_key is gm-SEQ for a job without a unique, and a hash of a unique of more
// than 63 bytes. Extras are in a second table, whose name ends in _gm.
//
// gearmand creates its table in the server's character set. In most of them Resize
// and resize are equal, and the second job is refused. Therefore the two columns of
// the key are VARBINARY here. In an existing table their type is changed, and their
// text becomes gearmand's UTF-8 again. gearmand works with such columns.
//
// A batch is one transaction, and mostly one round trip. It is sent by the session
// that has the store's lock, which is a lock of GET_LOCK. Such a lock is local to a
// node: on a cluster such as Galera, servers on two nodes can have it at the same
// time. Therefore each transaction also replaces a row among the extras, the fence,
// on the condition that the row still names the session: see [sqlstore.Fence]. If a
// holder ends without freeing the fence, servers on other nodes wait for ten
// seconds. A batch is as durable as innodb_flush_log_at_trx_commit makes it.
package mysql

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"

	"gm/internal/mysqlconfig"
	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

// DefaultTable is the table that gearmand uses by default.
const DefaultTable = "gearman_queue"

// Config has the options of a Store.
type Config struct {
	// Addr is HOST:PORT, or the path of a socket if it contains a slash.
	Addr     string
	User     string
	Password string
	DB       string
	// TLS is true, skip-verify to accept any certificate, preferred for TLS if
	// the server has it, or empty for no TLS.
	TLS string
	// Table is the name of the table. Empty is DefaultTable.
	Table string
	// AsIs is for programs that only read: nothing in the database is created or
	// changed. Replay numbers gearmand's jobs, but does not store the numbers.
	// Without a table, Open returns store.ErrAbsent. Commit must not be called.
	AsIs bool

	// Logger is the default logger of package slog if it is nil.
	Logger *slog.Logger
	// Skipped, if not nil, is called for each row that cannot be read.
	Skipped func(what string, err error)
}

// ParseURL returns the Config for mysql://USER:PASSWORD@HOST:PORT/DB?table=NAME. The
// other keys are tls and socket, which replaces HOST:PORT.
func ParseURL(u *store.URL) (Config, error) {
	address, options, err := mysqlconfig.FromURL(u, "table")
	if err != nil {
		return Config{}, err
	}
	c := Config{
		Addr: address.Addr, User: address.User, Password: address.Password, DB: address.DB, TLS: address.TLS,
		Table: options.Get("table"),
	}
	if _, err := newDatabase(c); err != nil {
		return Config{}, fmt.Errorf("store %s: %w", u, err)
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

// table is the name of the jobs' table.
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
