// Package postgres keeps jobs in PostgreSQL, in the table of gearmand's libpq
// plugin: it finds the jobs that gearmand has queued, and the other way round.
//
// To gearmand's columns unique_key, function_name, priority, data and
// when_to_run it adds, as nullable ones that gearmand does not mind:
//
//	seq          BIGINT   the job's number; unique
//	run_at_ms    BIGINT   when to run, to the millisecond
//	accepted_ms  BIGINT
//	attempts     INTEGER
//	reducer      BYTEA
//	gm_unique    BYTEA    the unique, where unique_key can't have it
//	gm_function  BYTEA    the function, where function_name can't have it
//
// unique_key is gm-SEQ for a job without a unique, and has a hash for one that
// does not fit: more than 63 bytes, a NUL, no valid UTF-8, or a quote, which
// gearmand does not mask. Extras are in a
// table of their own, the name with _gm behind it.
//
// A batch is one statement and one round trip, unless it is very large. It is
// sent by the session that holds the store's advisory lock, so that a server
// that has lost the lock cannot commit. Poolers that give a session's
// connection to others between transactions can't stand between: prepared
// statements and locks belong to the session. Should one do so all the same, or
// a standby take over, each transaction also replaces a row among the extras,
// the fence, on the condition that it is still the session's: see
// [sqlstore.Fence].
package postgres

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

// DefaultTable is gearmand's.
const DefaultTable = "queue"

// Config says where the jobs are.
type Config struct {
	// Conninfo is libpq's connection string, as a URL or as words like
	// host=db dbname=gearman. libpq's environment variables fill in the rest.
	// There is no channel binding, no Kerberos, and no key with a password.
	// Variables that are empty are unset, as to libpq they are not set.
	Conninfo string
	// Table is the table, SCHEMA.TABLE if need be. Capitals become lower case,
	// as in gearmand. It is DefaultTable if empty.
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

// keys are those of libpq that a URL may have.
var keys = []string{
	"host", "hostaddr", "port", "dbname", "user", "password", "passfile", "service", "connect_timeout", "application_name",
	"options", "target_session_attrs", "load_balance_hosts", "search_path",
	"sslmode", "sslnegotiation", "sslrootcert", "sslcert", "sslkey", "sslsni", "ssl_min_protocol_version", "ssl_max_protocol_version",
}

// ParseURL makes a Config of postgres://USER:PASSWORD@HOST:PORT/DB?table=NAME.
// The other keys are libpq's.
func ParseURL(u *store.URL) (Config, error) {
	if u.Net == nil {
		return Config{}, fmt.Errorf("store %s: not like postgres://host/db", u)
	}
	options, err := u.Options(append([]string{"table"}, keys...)...)
	if err != nil {
		return Config{}, err
	}
	c := Config{Table: options.Get("table")}
	options.Del("table")
	plain := *u.Net
	plain.RawQuery = options.Encode()
	c.Conninfo = plain.String()
	if _, err := parseConninfo(c.Conninfo); err != nil {
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
	link := sqlstore.NewLink(db.session, log)
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

// table is a table's name in SQL, and the base of the names of its other
// objects.
type table struct {
	schema string // quoted and with its dot, or empty
	name   string // lower case
}

func parseTable(s string) (table, error) {
	tableName := regexp.MustCompile(`^(?:([a-z_][a-z0-9_$]*)\.)?([a-z_][a-z0-9_$]*)$`)
	m := tableName.FindStringSubmatch(strings.ToLower(cmp.Or(s, DefaultTable)))
	// PostgreSQL cuts names to 63 bytes; the longest has _gm_seq behind it.
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
