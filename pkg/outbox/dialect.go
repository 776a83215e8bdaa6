package outbox

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Dialect is the SQL of a kind of database.
type Dialect int

// The dialects. MySQL is also the dialect of MariaDB.
const (
	Postgres Dialect = iota + 1
	MySQL
)

// String returns the name of the database.
func (d Dialect) String() string {
	switch d {
	case Postgres:
		return "PostgreSQL"
	case MySQL:
		return "MySQL"
	}
	return fmt.Sprintf("dialect(%d)", int(d))
}

// dialect has the differences between the databases that the relay meets.
type dialect struct {
	quote   string // opens and closes a name
	maxName int    // maximum length of a name, in bytes for PostgreSQL and in characters for MySQL
	arg     func(n int) string
	runAt   string // the run time in milliseconds since 1970, or NULL
	created string // the column created in microseconds since 1970, or 0
	now     string // the present for a column of times

	// milliseconds returns a column of times in milliseconds since 1970, or 0 for a time
	// that cannot be a number.
	milliseconds func(column string) string

	// flush is a statement on the table %s of the token, after whose commit all commits
	// that were seen before it are on disk. In MySQL without a binary log, a session sees
	// the rows of another one before that: if the server crashes then, these rows are
	// gone, and their ids are given again. PostgreSQL has flushLog.
	flush string

	// savepoint sets the savepoint locked. In PostgreSQL it also sets maxIdle for the
	// transaction; as a parameter of the connection, a pooler such as PgBouncer would
	// refuse it. In MySQL, the session has it.
	savepoint string

	// live is the part from FROM of a statement that locks rows that are not dead, of a
	// table that %[1]s names. In MySQL, it finds them by their ids. If it locked entries
	// of the other index, the deletions of two relays could wait for each other.
	live string

	// deleteByID and updateByID are statements on the rows of the table %[1]s whose ids
	// are %[2]s; %[3]s is the part after SET. In MySQL, a join finds each row by its id.
	// MySQL may scan the table otherwise, and then waits for rows that another relay has
	// locked.
	deleteByID, updateByID string
}

var dialects = map[Dialect]*dialect{
	Postgres: {
		quote:   `"`,
		maxName: 63,
		arg:     func(n int) string { return fmt.Sprintf("$%d", n) },
		created: "CASE WHEN created BETWEEN '0001-01-01' AND '9999-01-01' THEN (extract(epoch FROM created) * 1000000)::bigint ELSE 0 END",
		// An infinite time cannot be a number. The largest number is a time that never
		// comes.
		runAt: "CASE WHEN isfinite(run_at) THEN (extract(epoch FROM run_at) * 1000)::bigint " +
			"WHEN run_at > now() THEN 9223372036854775807 END",
		now: "now()",
		milliseconds: func(column string) string {
			return "CASE WHEN isfinite(" + column + ") THEN (extract(epoch FROM " + column + ") * 1000)::bigint ELSE 0 END"
		},

		savepoint:  fmt.Sprintf("SET LOCAL idle_in_transaction_session_timeout = %d; SAVEPOINT locked", maxIdle.Milliseconds()),
		live:       "FROM %[1]s WHERE dead IS NULL",
		deleteByID: "DELETE FROM %[1]s WHERE id IN (%[2]s)",
		updateByID: "UPDATE %[1]s SET %[3]s WHERE id IN (%[2]s)",
	},
	MySQL: {
		quote:        "`",
		maxName:      64,
		arg:          func(int) string { return "?" },
		created:      "COALESCE(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', created), 0)",
		runAt:        mysqlMilliseconds("run_at"),
		now:          "UTC_TIMESTAMP(6)",
		milliseconds: func(column string) string { return "COALESCE(" + mysqlMilliseconds(column) + ", 0)" },

		savepoint: "SAVEPOINT locked",
		flush:     "UPDATE %s SET flushes = flushes + 1 WHERE id = 1",
		live: "FROM %[1]s FORCE INDEX (PRIMARY) WHERE dead IS NULL AND " +
			"id >= COALESCE((SELECT MIN(id) FROM %[1]s WHERE dead IS NULL), 0)",
		deleteByID: "DELETE outbox FROM " + rowsByID,
		updateByID: "UPDATE " + rowsByID + " SET %[3]s",
	},
}

func mysqlMilliseconds(column string) string {
	return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', " + column + ") DIV 1000"
}

// rowsByID joins a list of ids with their rows. JSON_TABLE is in each version of MySQL
// and MariaDB that has SKIP LOCKED.
const rowsByID = "JSON_TABLE('[%[2]s]', '$[*]' COLUMNS (id BIGINT PATH '$')) AS moved " +
	"STRAIGHT_JOIN %[1]s AS outbox FORCE INDEX (PRIMARY) ON outbox.id = moved.id"

// identifier returns a name as SQL.
func (d Dialect) identifier(name string) string {
	q := dialects[d].quote
	return q + strings.ReplaceAll(name, q, q+q) + q
}

// literal returns a string as SQL. The form does not depend on whether the session
// takes backslashes for escapes.
func (d Dialect) literal(s string) string {
	switch {
	case !strings.Contains(s, `\`):
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	case d == Postgres:
		return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s) + "'"
	}
	return fmt.Sprintf("CONVERT(x'%x' USING utf8mb4)", s)
}

// checkName returns an error if the database cannot have an object of that name.
func (d Dialect) checkName(name string) error {
	length, unit := len(name), "bytes"
	if d == MySQL {
		length, unit = utf8.RuneCountInString(name), "characters"
	}
	switch {
	case name == "":
		return errors.New("the name is empty")
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return fmt.Errorf("name %q: not UTF-8 without NUL", name)
	case length > dialects[d].maxName:
		return fmt.Errorf("name %q: %d %s exceed the limit of %d", name, length, unit, dialects[d].maxName)
	case d == MySQL && strings.HasSuffix(name, " "):
		return fmt.Errorf("name %q: ends in a space", name)
	}
	return nil
}

// checkText returns an error if s cannot be a text in the database.
func checkText(what, s string) error {
	if s == "" {
		return fmt.Errorf("%s: empty", what)
	}
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return fmt.Errorf("%s %q: not UTF-8 without NUL", what, s)
	}
	return nil
}

// tableName is the name of a table, with its schema or, for MySQL, its database.
type tableName struct {
	dialect Dialect
	schema  string // may be empty
	base    string
}

// parseTable parses NAME or SCHEMA.NAME. Case counts. longest is the longest suffix
// that is added to the name for other objects.
func parseTable(d Dialect, s, longest string) (tableName, error) {
	if dialects[d] == nil {
		return tableName{}, fmt.Errorf("%v: not a dialect of this package", d)
	}
	t := tableName{dialect: d, base: s}
	if schema, base, ok := strings.Cut(s, "."); ok {
		t.schema, t.base = schema, base
		if err := d.checkName(schema); err != nil {
			return tableName{}, fmt.Errorf("schema of table %q: %w", s, err)
		}
	}
	if t.base == "" {
		return tableName{}, fmt.Errorf("table %q: the name is empty", s)
	}
	if err := d.checkName(t.base + longest); err != nil {
		return tableName{}, fmt.Errorf("table %q: %w", s, err)
	}
	return t, nil
}

// sibling returns the SQL of an object in the schema of the table.
func (t tableName) sibling(name string) string {
	if t.schema == "" {
		return t.dialect.identifier(name)
	}
	return t.dialect.identifier(t.schema) + "." + t.dialect.identifier(name)
}

// sql returns the SQL of the table.
func (t tableName) sql() string { return t.sibling(t.base) }

// name returns the name as parseTable parses it.
func (t tableName) name() string {
	if t.schema == "" {
		return t.base
	}
	return t.schema + "." + t.base
}

// token returns the SQL of the table that has the token of the outbox.
func (t tableName) token() string { return t.sibling(t.base + tokenSuffix) }

// enqueue returns the name of the function that adds a row.
func (t tableName) enqueue() string {
	if t.base == DefaultTable {
		return "gman_enqueue"
	}
	return t.base + enqueueSuffix
}

// Suffixes of the names of objects that belong to a table.
const (
	tokenSuffix   = "_token"
	liveSuffix    = "_live"
	deadSuffix    = "_dead"
	notifySuffix  = "_notify"
	enqueueSuffix = "_enqueue"
	withSuffix    = "_with"
	longestSuffix = enqueueSuffix + withSuffix
)
