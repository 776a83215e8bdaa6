package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lib/pq"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

// database is the database of the connections, and the findings about it.
type database struct {
	config pq.Config
	table  table
	token  int64 // names this store among the sessions of the server
	fence  *sqlstore.Fence
	pooled bool // set by tests: the advisory lock keeps nobody out, as behind a pooler
	asIs   bool

	oid      uint32          // the table's
	encoding string          // the database's
	lacks    map[string]bool // columns of the jobs' table that stay away
	extras   bool            // the table for them is there
}

func newDatabase(c Config) (*database, error) {
	t, err := parseTable(c.Table)
	if err != nil {
		return nil, err
	}
	config, err := parseConninfo(c.Conninfo)
	if err != nil {
		return nil, err
	}
	token := newToken()
	fence := sqlstore.NewFence("gm" + strconv.FormatInt(token, 10))
	return &database{config: config, table: t, token: token, fence: fence, asIs: c.AsIs}, nil
}

// connect returns a connection that waits for no one for hours, plans as for a
// large table, which a queue may be by the time a plan is used, and takes and
// gives text in the bytes of the database, as gearmand's does.
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

// columns are gm's own, in the jobs' table.
var columns = []struct{ name, kind string }{
	{"seq", "BIGINT"},
	{"run_at_ms", "BIGINT"},
	{"accepted_ms", "BIGINT"},
	{"attempts", "INTEGER"},
	{"reducer", "BYTEA"},
	{"gm_unique", "BYTEA"},
	{"gm_function", "BYTEA"},
}

// look inspects the database, and creates missing tables and columns unless it
// must not change anything. Servers that start at the same time do it one after
// the other.
func (db *database) look(ctx context.Context) error {
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
		if err := db.find(ctx, c); err != nil {
			return err
		}
		return db.identify(ctx, c)
	}
	missing, err := db.missing(ctx, c)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		if err := db.create(ctx, c); err != nil {
			return err
		}
	}
	db.extras = true
	return db.identify(ctx, c)
}

// find records the missing tables and columns.
func (db *database) find(ctx context.Context, c *conn) error {
	has, err := db.has(ctx, c, db.table.jobs())
	if err != nil {
		return err
	}
	if len(has) == 0 {
		return fmt.Errorf("table %s: %w", db.table.jobs(), store.ErrAbsent)
	}
	db.lacks = make(map[string]bool)
	for _, own := range columns {
		db.lacks[own.name] = !has[own.name]
	}
	extras, err := db.has(ctx, c, db.table.extras())
	db.extras = len(extras) > 0
	return err
}

// has returns the columns of a table, none if it is not there.
func (db *database) has(ctx context.Context, c *conn, table string) (map[string]bool, error) {
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

// missing returns the statements that create the missing tables and columns.
func (db *database) missing(ctx context.Context, c *conn) (ddl []string, err error) {
	has, err := db.has(ctx, c, db.table.jobs())
	if err != nil {
		return nil, err
	}
	if len(has) == 0 {
		// In gearmand's words, for gearmand.
		ddl = append(ddl, "CREATE TABLE "+db.table.jobs()+" (unique_key VARCHAR(64), function_name VARCHAR(255), "+
			"priority INTEGER, data BYTEA, when_to_run INTEGER, UNIQUE (unique_key, function_name))")
	}
	var add []string
	for _, own := range columns {
		if !has[own.name] {
			add = append(add, "ADD COLUMN "+own.name+" "+own.kind)
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

// create creates the tables and columns that are still missing when no other
// server is creating any.
func (db *database) create(ctx context.Context, c *conn) error {
	if err := c.exec(ctx, "SELECT pg_advisory_lock($1, 0)", lockClass); err != nil {
		return fmt.Errorf("wait for others that create tables: %w", err)
	}
	ddl, err := db.missing(ctx, c)
	if err != nil {
		return err
	}
	for _, statement := range ddl {
		if err := c.do(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil // the lock goes with the connection
}

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
