package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lib/pq"

	"gm/internal/pgconfig"
	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

// database is the database that the store uses, and the findings about it. It
// implements [sqlstore.Database].
type database struct {
	config pq.Config
	table  table
	token  int64 // the number of a lock that only sessions of this store take
	fence  *sqlstore.Fence
	pooled bool // set by tests: the advisory lock excludes nobody, as behind a pooler
	asIs   bool // nothing may be changed

	oid      uint32          // number of the jobs' table
	encoding string          // of the database
	lacks    map[string]bool // missing columns of the jobs' table; only if asIs is set
	extras   bool            // the table of extras exists

	readers *readers
}

func newDatabase(c Config) (*database, error) {
	t, err := parseTable(c.Table)
	if err != nil {
		return nil, err
	}
	config, err := pgconfig.Parse(c.Conninfo, sqlstore.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	token := newToken()
	fence := sqlstore.NewFence("gm" + strconv.FormatInt(token, 10))
	db := &database{config: config, table: t, token: token, fence: fence, asIs: c.AsIs}
	db.readers = newReaders(db.connect)
	return db, nil
}

// connect returns a connection that is not ended when it is idle, that plans for a
// large table, because a queue may be large by the time a plan is used, and that
// sends and receives text in the encoding of the database, as gearmand's
// connection does.
func (db *database) connect(ctx context.Context) (*conn, error) {
	c, err := dial(ctx, db.config)
	if err != nil {
		return nil, err
	}
	err = c.do(ctx, `SELECT set_config(name, CASE name
			WHEN 'synchronous_commit' THEN CASE setting WHEN 'off' THEN 'on' ELSE setting END
			WHEN 'plan_cache_mode' THEN 'force_generic_plan'
			WHEN 'idle_session_timeout' THEN '0'
			WHEN 'client_encoding' THEN current_setting('server_encoding')
			ELSE 'off' END, false)
		FROM pg_settings
		WHERE name IN ('synchronous_commit', 'plan_cache_mode', 'idle_session_timeout', 'client_encoding', 'enable_seqscan', 'jit')`)
	if err != nil {
		c.close()
		return nil, fmt.Errorf("settings: %w", err)
	}
	return c, nil
}

// ownColumns are gm's own columns in the jobs' table.
var ownColumns = sqlstore.OwnColumns("INTEGER", "BYTEA")

// Close implements [sqlstore.Database].
func (db *database) Close() { db.readers.close() }

// Name implements [sqlstore.Database].
func (db *database) Name() string { return "PostgreSQL" }

// HasNumbers implements [sqlstore.Database].
func (db *database) HasNumbers() bool { return !db.lacks["seq"] }

// HasExtras implements [sqlstore.Database].
func (db *database) HasExtras() bool { return db.extras }

// prepare inspects the database, and creates missing tables and columns unless it
// must not change anything.
func (db *database) prepare(ctx context.Context) error {
	c, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	found, err := c.queryRows(ctx, "SELECT current_setting('server_encoding')")
	if err != nil {
		return err
	}
	db.encoding = found[0][0].(string)
	if db.asIs {
		if err := db.findTables(ctx, c); err != nil {
			return err
		}
		return db.identify(ctx, c)
	}
	if err := sqlstore.CreateMissing(ctx, schema{db, c}); err != nil {
		return err
	}
	db.extras = true
	return db.identify(ctx, c)
}

// findTables records the missing tables and columns.
func (db *database) findTables(ctx context.Context, c *conn) error {
	has, err := db.columnsOf(ctx, c, db.table.jobs())
	if err != nil {
		return err
	}
	if len(has) == 0 {
		return fmt.Errorf("table %s: %w", db.table.jobs(), store.ErrAbsent)
	}
	db.lacks = make(map[string]bool)
	for _, own := range ownColumns {
		db.lacks[own.Name] = !has[own.Name]
	}
	extras, err := db.columnsOf(ctx, c, db.table.extras())
	db.extras = len(extras) > 0
	return err
}

// columnsOf returns the columns of a table. It is empty if the table does not
// exist.
func (db *database) columnsOf(ctx context.Context, c *conn, table string) (map[string]bool, error) {
	there, err := c.queryRows(ctx, `SELECT attname::text FROM pg_attribute
		WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`, table)
	if err != nil {
		return nil, fmt.Errorf("look for table %s: %w", table, err)
	}
	has := make(map[string]bool)
	for _, row := range there {
		has[row[0].(string)] = true
	}
	return has, nil
}

// missingDDL returns the statements that create the missing tables and columns.
func (db *database) missingDDL(ctx context.Context, c *conn) (ddl []string, err error) {
	has, err := db.columnsOf(ctx, c, db.table.jobs())
	if err != nil {
		return nil, err
	}
	if len(has) == 0 {
		// gearmand creates the table with the same words.
		ddl = append(ddl, "CREATE TABLE "+db.table.jobs()+" (unique_key VARCHAR(64), function_name VARCHAR(255), "+
			"priority INTEGER, data BYTEA, when_to_run INTEGER, UNIQUE (unique_key, function_name))")
	}
	var add []string
	for _, own := range ownColumns {
		if !has[own.Name] {
			add = append(add, "ADD COLUMN "+own.Name+" "+own.Kind)
		}
	}
	if len(add) > 0 {
		ddl = append(ddl, "ALTER TABLE "+db.table.jobs()+" "+strings.Join(add, ", "))
	}
	for _, relation := range []struct{ name, ddl string }{
		{db.table.schema + db.table.index(), "CREATE UNIQUE INDEX " + db.table.index() + " ON " + db.table.jobs() + " (seq)"},
		{db.table.extras(), "CREATE TABLE " + db.table.extras() + ` (key TEXT COLLATE "C" PRIMARY KEY, value BYTEA NOT NULL)`},
	} {
		found, err := c.queryRows(ctx, "SELECT to_regclass($1)::text", relation.name)
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", relation.name, err)
		}
		if found[0][0] == nil {
			ddl = append(ddl, relation.ddl)
		}
	}
	return ddl, nil
}

// schema is the database's schema on one connection. It implements
// [sqlstore.Schema].
type schema struct {
	db *database
	c  *conn
}

// LockDDL implements [sqlstore.Schema].
func (s schema) LockDDL(ctx context.Context) error {
	return s.c.exec(ctx, "SELECT pg_advisory_lock($1, 0)", lockClass)
}

// RunDDL implements [sqlstore.Schema].
func (s schema) RunDDL(ctx context.Context, statement string) error { return s.c.do(ctx, statement) }

// AlreadyExists implements [sqlstore.Schema].
func (s schema) AlreadyExists(err error) bool {
	var answer *pq.Error
	return errors.As(err, &answer) && (answer.Code == "42P07" || answer.Code == "42701") // duplicate_table, duplicate_column
}

// MissingDDL implements [sqlstore.Schema].
func (s schema) MissingDDL(ctx context.Context) ([]string, error) { return s.db.missingDDL(ctx, s.c) }

// identify looks up the number of the jobs' table.
func (db *database) identify(ctx context.Context, c *conn) error {
	found, err := c.queryRows(ctx, "SELECT to_regclass($1)::oid::bigint", db.table.jobs())
	if err != nil {
		return err
	}
	oid, ok := found[0][0].(int64)
	if !ok {
		return errors.New("table " + db.table.jobs() + " has no number")
	}
	db.oid = uint32(oid)
	return nil
}

// text reports whether a key or a name can be s unchanged. Text is in the
// database's encoding, as gearmand's is. A column can hold a quote, but
// gearmand 1.1.20 copies keys unquoted into its DELETE: the job would not be
// deleted, or the key would be executed as SQL.
func (db *database) text(s string) bool {
	if strings.ContainsAny(s, "\x00'") {
		return false
	}
	switch db.encoding {
	case "UTF8":
		return utf8.ValidString(s)
	case "SQL_ASCII":
		return true
	}
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
