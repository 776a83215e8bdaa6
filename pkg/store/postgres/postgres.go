// Package postgres keeps jobs in PostgreSQL, in the table of gearmand's libpq
// plugin: it finds the jobs that gearmand has queued, and gearmand finds the jobs
// of gm.
//
// gearmand's columns are unique_key, function_name, priority, data and
// when_to_run. gm adds these columns, which are NULL in a row of gearmand:
//
//	seq          BIGINT   the job's number; unique
//	run_at_ms    BIGINT   when to run, to the millisecond
//	accepted_ms  BIGINT
//	attempts     INTEGER
//	reducer      BYTEA
//	gm_unique    BYTEA    the unique, if it is not in unique_key
//	gm_function  BYTEA    the function, if it is not in function_name
//
// unique_key is gm-SEQ for a job without a unique. It is a hash of a unique that
// does not fit: one with more than 63 bytes, a NUL, invalid UTF-8, or a quote, which
// gearmand does not escape. Extras are in a second table, whose name ends in _gm.
//
// A batch is one statement and one round trip, unless it is very large. It is sent
// by the session that has the store's advisory lock, so that a server that has lost
// the lock cannot commit. A pooler that gives the connection of a session to others
// between transactions cannot be used: prepared statements and locks belong to the
// session. In case of such a pooler, or of the failover to a standby, each
// transaction also replaces a row among the extras, the fence, on the condition that
// the row still names the session: see [sqlstore.Fence].
package postgres

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"gm/internal/pgconfig"
	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

// DefaultTable is the table that gearmand uses by default.
const DefaultTable = "queue"

// Config has the options of a Store.
type Config struct {
	// Conninfo is a connection string of libpq, as a URL or as words like
	// host=db dbname=gearman. libpq's environment variables supply the other
	// options; empty variables are unset, because libpq ignores them. Channel
	// binding, Kerberos, and keys with a password are not supported.
	Conninfo string
	// Table is the name of the table, or SCHEMA.TABLE. As in gearmand, upper case
	// becomes lower case. Empty is DefaultTable.
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

// ParseURL returns the Config for postgres://USER:PASSWORD@HOST:PORT/DB?table=NAME.
// The other keys are options of libpq.
func ParseURL(u *store.URL) (Config, error) {
	conninfo, options, err := pgconfig.FromURL(u, "table")
	if err != nil {
		return Config{}, err
	}
	c := Config{Conninfo: conninfo, Table: options.Get("table")}
	if _, err := pgconfig.Parse(c.Conninfo, sqlstore.ConnectTimeout); err != nil {
		return Config{}, fmt.Errorf("store %s: %w", u, err)
	}
	if _, err := parseTable(c.Table); err != nil {
		return Config{}, fmt.Errorf("store %s: %w", u, err)
	}
	return c, nil
}

// sqlStore has the methods of a Store that do not depend on PostgreSQL.
type sqlStore = *sqlstore.Store[*session]

// Store is a journal in PostgreSQL. It implements [store.Store],
// [store.Reader], [store.Numbered], [store.Locker], [store.Compacter] and
// [store.Checker].
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

// Open connects, and creates the tables or adds the missing columns, unless
// Config.AsIs is set.
func Open(ctx context.Context, c Config) (*Store, error) {
	db, err := newDatabase(c)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL store: %w", err)
	}
	if err := db.prepare(ctx); err != nil {
		return nil, fmt.Errorf("open PostgreSQL store: %w", store.MarkAway(err, isUnavailable(err)))
	}
	log := cmp.Or(c.Logger, slog.Default())
	link := sqlstore.NewLink(db.dial, log)
	return &Store{db: db, link: link, sqlStore: sqlstore.NewStore(sqlstore.Config[*session]{
		Database: db, Link: link, Fence: db.fence, AsIs: c.AsIs, Logger: log, Skipped: c.Skipped,
	})}, nil
}

// A value in PostgreSQL has at most 1 GB, and so has the message with all values
// of a statement. A row of an index has at most 2,704 bytes.
const (
	maxValue = 1<<30 - 1<<20
	maxKey   = 2600
	maxName  = 64 << 10
)

// Caps implements [sqlstore.Database]. The store promises everything, up to
// PostgreSQL's limits.
func (db *database) Caps() store.Caps {
	return store.Caps{
		Durable: true, Atomic: true, Lists: true,
		MaxPayload: maxValue, MaxValue: maxValue, MaxKey: maxKey, MaxName: maxName,
	}
}

// table is the name of the jobs' table in SQL. The names of other objects are made
// from it.
type table struct {
	schema string // in quotes and with its dot, or empty
	name   string // lower case
}

func parseTable(s string) (table, error) {
	tableName := regexp.MustCompile(`^(?:([a-z_][a-z0-9_$]*)\.)?([a-z_][a-z0-9_$]*)$`)
	m := tableName.FindStringSubmatch(strings.ToLower(cmp.Or(s, DefaultTable)))
	// PostgreSQL cuts names to 63 bytes, and the longest name ends in _gm_seq.
	if m == nil || len(m[2]) > 63-len("_gm_seq") {
		return table{}, fmt.Errorf("table %q: not a name", s)
	}
	t := table{name: m[2]}
	if m[1] != "" {
		t.schema = `"` + m[1] + `".`
	}
	return t, nil
}

func (t table) jobs() string   { return t.schema + `"` + t.name + `"` }
func (t table) extras() string { return t.schema + `"` + t.name + `_gm"` }
func (t table) index() string  { return `"` + t.name + `_gm_seq"` }
