package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"gm/pkg/store"
)

// database is where connections go, and what was found there.
type database struct {
	config *pgconn.Config
	table  table
	token  int64 // names this store among the sessions of the server
	asIs   bool

	oid      uint32          // the table's
	encoding string          // the database's
	lacks    map[string]bool // columns of the jobs' table that stay away
	extras   bool            // the table for them is there
}

const connectTimeout = 3 * time.Second

func newDatabase(c Config) (*database, error) {
	t, err := parseTable(c.Table)
	if err != nil {
		return nil, err
	}
	config, err := pgconn.ParseConfig(c.Conninfo)
	if err != nil {
		return nil, err
	}
	if config.ConnectTimeout <= 0 || config.ConnectTimeout > connectTimeout {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "gm"
	}
	return &database{config: config, table: t, token: newToken(), asIs: c.AsIs}, nil
}

// connect returns a connection that waits for no one for hours and plans as
// for a large table, which a queue may be by the time a plan is used.
func (db *database) connect(ctx context.Context) (*pgconn.PgConn, error) {
	conn, err := pgconn.ConnectConfig(ctx, db.config)
	if err != nil {
		return nil, err
	}
	_, err = rows(ctx, conn, `SELECT set_config(name, CASE name
			WHEN 'synchronous_commit' THEN CASE setting WHEN 'off' THEN 'on' ELSE setting END
			WHEN 'plan_cache_mode' THEN 'force_generic_plan'
			WHEN 'idle_session_timeout' THEN '0'
			ELSE 'off' END, false)
		FROM pg_settings
		WHERE name IN ('synchronous_commit', 'plan_cache_mode', 'idle_session_timeout', 'enable_seqscan', 'jit')`)
	if err != nil {
		closeConn(conn)
		return nil, fmt.Errorf("settings: %w", err)
	}
	return conn, nil
}

func closeConn(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
	_ = conn.Conn().Close() // ends what Close may have left to a goroutine
}

// rows runs one statement whose arguments and results are text. NULL is nil.
func rows(ctx context.Context, conn *pgconn.PgConn, sql string, args ...string) ([][][]byte, error) {
	values := make([][]byte, len(args))
	for i, a := range args {
		values[i] = []byte(a)
	}
	result := conn.ExecParams(ctx, sql, values, nil, nil, nil).Read()
	return result.Rows, result.Err
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

// look sees what is there, and makes what is missing unless that is to stay as
// it is. Servers that start at the same time do it one after the other.
func (db *database) look(ctx context.Context) error {
	conn, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	db.encoding = conn.ParameterStatus("server_encoding")
	if db.asIs {
		if err := db.find(ctx, conn); err != nil {
			return err
		}
		return db.identify(ctx, conn)
	}
	missing, err := db.missing(ctx, conn)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		if err := db.create(ctx, conn); err != nil {
			return err
		}
	}
	db.extras = true
	return db.identify(ctx, conn)
}

// find takes down what is not there.
func (db *database) find(ctx context.Context, conn *pgconn.PgConn) error {
	has, err := db.has(ctx, conn, db.table.jobs())
	if err != nil {
		return err
	}
	if len(has) == 0 {
		return fmt.Errorf("table %s: %w", db.table.jobs(), store.ErrAbsent)
	}
	db.lacks = make(map[string]bool)
	for _, c := range columns {
		db.lacks[c.name] = !has[c.name]
	}
	extras, err := db.has(ctx, conn, db.table.extras())
	db.extras = len(extras) > 0
	return err
}

// has returns the columns of a table, none if it is not there.
func (db *database) has(ctx context.Context, conn *pgconn.PgConn, table string) (map[string]bool, error) {
	there, err := rows(ctx, conn, `SELECT attname FROM pg_attribute
		WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`, table)
	if err != nil {
		return nil, fmt.Errorf("look for table %s: %w", table, err)
	}
	has := make(map[string]bool)
	for _, row := range there {
		has[string(row[0])] = true
	}
	return has, nil
}

// missing returns the statements that make what the database lacks.
func (db *database) missing(ctx context.Context, conn *pgconn.PgConn) (ddl []string, err error) {
	has, err := db.has(ctx, conn, db.table.jobs())
	if err != nil {
		return nil, err
	}
	if len(has) == 0 {
		// In gearmand's words, for gearmand.
		ddl = append(ddl, "CREATE TABLE "+db.table.jobs()+" (unique_key VARCHAR(64), function_name VARCHAR(255), "+
			"priority INTEGER, data BYTEA, when_to_run INTEGER, UNIQUE (unique_key, function_name))")
	}
	var add []string
	for _, c := range columns {
		if !has[c.name] {
			add = append(add, "ADD COLUMN "+c.name+" "+c.kind)
		}
	}
	if len(add) > 0 {
		ddl = append(ddl, "ALTER TABLE "+db.table.jobs()+" "+strings.Join(add, ", "))
	}
	for _, relation := range []struct{ name, ddl string }{
		{db.table.schema + db.table.index(), "CREATE UNIQUE INDEX " + db.table.index() + " ON " + db.table.jobs() + " (seq)"},
		{db.table.extras(), "CREATE TABLE " + db.table.extras() + ` (key TEXT COLLATE "C" PRIMARY KEY, value BYTEA NOT NULL)`},
	} {
		found, err := rows(ctx, conn, "SELECT to_regclass($1)", relation.name)
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", relation.name, err)
		}
		if found[0][0] == nil {
			ddl = append(ddl, relation.ddl)
		}
	}
	return ddl, nil
}

// create makes what is still missing once no other server makes anything.
func (db *database) create(ctx context.Context, conn *pgconn.PgConn) error {
	if _, err := rows(ctx, conn, "SELECT pg_advisory_lock($1, 0)", lockClass); err != nil {
		return fmt.Errorf("wait for others that create tables: %w", err)
	}
	ddl, err := db.missing(ctx, conn)
	if err != nil {
		return err
	}
	for _, statement := range ddl {
		if _, err := rows(ctx, conn, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil // the lock goes with the connection
}

func (db *database) identify(ctx context.Context, conn *pgconn.PgConn) error {
	found, err := rows(ctx, conn, "SELECT to_regclass($1)::oid", db.table.jobs())
	if err != nil {
		return err
	}
	oid, err := strconv.ParseUint(string(found[0][0]), 10, 32)
	if err != nil {
		return errors.New("table " + db.table.jobs() + " has no number")
	}
	db.oid = uint32(oid)
	return nil
}

// text says whether a key or a name can be s as it is. Text is in the
// database's encoding, as gearmand's is. A quote can be held, but gearmand
// 1.1.20 puts keys into its DELETE as they are: it would not get rid of the
// job, or do whatever else the key says.
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
