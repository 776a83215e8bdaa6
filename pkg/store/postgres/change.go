package postgres

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

// change is the effect of one statement on one table. Its arguments are arrays.
type change struct {
	sql  string // with ? for each argument
	rest string // the end of sql, after the condition that makes the change wait
	args []any

	waits   bool // it must run after the changes before it
	partial bool // another change has more of the same kind
	size    int  // number of bytes that it adds
}

// send makes all changes or none. It sends one statement, in which the last change is
// the main query and the others are subqueries. PostgreSQL may run subqueries at any
// time; but a last change that waits has a condition on their numbers of rows, so that
// it runs after them.
func (s *session) send(ctx context.Context, changes ...change) error {
	if len(changes) == 0 {
		return nil
	}
	var with, done []string
	var args []any
	for i, c := range changes[:len(changes)-1] {
		with = append(with, fmt.Sprintf("c%d AS (%s%s RETURNING 1)", i, c.sql, c.rest))
		done = append(done, fmt.Sprintf("(SELECT count(*) FROM c%d) >= 0", i))
		args = append(args, c.args...)
	}
	last := changes[len(changes)-1]
	sql := last.sql
	if len(with) > 0 {
		sql = "WITH " + strings.Join(with, ", ") + " " + sql
		if last.waits {
			sql += " WHERE " + strings.Join(done, " AND ")
		}
	}
	return s.exec(ctx, numbered(sql+last.rest), append(args, last.args...)...)
}

// numbered replaces each ? by $ and its number.
func numbered(sql string) string {
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(sql, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		sql = after
	}
}

// changes returns the changes of a batch. Adds are the last, because a job that is done
// in the batch may have the key of an Add. If replace is set, Adds replace rows that
// have their keys.
func (db *database) changes(net *sqlstore.Net, replace bool) iter.Seq[change] {
	t := db.table
	return func(yield func(change) bool) {
		_ = chunks(yield, net.Dones, sqlstore.NoSize, t.dones) &&
			chunks(yield, net.Updates, sqlstore.NoSize, func(r []*store.Record) change { return t.updates(db.rowsOf(r)) }) &&
			chunks(yield, net.Deletes, sqlstore.NoSize, t.deletes) &&
			chunks(yield, net.Puts, func(op store.Op) int { return len(op.Key) + len(op.Value) }, t.puts) &&
			chunks(yield, net.Adds, sizeOf, func(r []*store.Record) change { return t.adds(db.rowsOf(r), replace) })
	}
}

// chunks yields the changes for all of s. It reports whether the caller wants more.
func chunks[T any](yield func(change) bool, s []T, size func(T) int, f func([]T) change) bool {
	for part := range sqlstore.Chunks(s, maxRows, maxBytes, size) {
		c := f(part)
		c.partial = len(part) < len(s)
		for _, one := range part {
			c.size += size(one)
		}
		if !yield(c) {
			return false
		}
	}
	return true
}

func sizeOf(r *store.Record) int {
	return len(r.Payload) + len(r.Function) + len(r.Unique) + len(r.Reducer)
}

// rowsOf returns records as rows.
func (db *database) rowsOf(records []*store.Record) []sqlstore.Row {
	rows := make([]sqlstore.Row, len(records))
	for i, r := range records {
		rows[i] = sqlstore.NewRow(r, db.text)
	}
	return rows
}

// fence replaces the fence's value if it begins with mine. Otherwise the new value is
// NULL, which the column does not allow.
func (t table) fence(mine, value string) change {
	return change{
		sql: "INSERT INTO " + t.extras() + " AS f (key, value) VALUES (?, convert_to(?, 'UTF8')) ON CONFLICT (key) DO UPDATE " +
			"SET value = CASE WHEN substring(f.value FROM 1 FOR length(?::text)) = convert_to(?, 'UTF8') THEN excluded.value END",
		args: []any{sqlstore.FenceKey, value, mine, mine},
	}
}

// dones removes jobs.
func (t table) dones(seqs []uint64) change {
	return change{
		sql:  "DELETE FROM " + t.jobs() + " WHERE seq = ANY(?::bigint[])",
		args: []any{numbers(seqs)},
	}
}

// updates changes the run times and the attempts of jobs.
func (t table) updates(rows []sqlstore.Row) change {
	return change{
		sql: "UPDATE " + t.jobs() + " t SET attempts = u.attempts, run_at_ms = u.run_at, when_to_run = u.run_when " +
			"FROM unnest(?::bigint[], ?::integer[], ?::bigint[], ?::integer[]) u (seq, attempts, run_at, run_when) " +
			"WHERE t.seq = u.seq",
		args: updateColumns(rows),
	}
}

// adds adds jobs. If replace is set, they replace rows that have their keys.
func (t table) adds(rows []sqlstore.Row, replace bool) change {
	c := change{
		sql: "INSERT INTO " + t.jobs() + " (" + sqlstore.InsertColumns + ") " +
			"SELECT * FROM unnest(?::text[], ?::text[], ?::integer[], ?::bytea[], ?::integer[], " +
			"?::bigint[], ?::bigint[], ?::bigint[], ?::integer[], ?::bytea[], ?::bytea[], ?::bytea[])",
		args:  addColumns(rows),
		waits: true,
	}
	if replace {
		c.rest = " ON CONFLICT (unique_key, function_name) DO UPDATE SET " +
			"priority = excluded.priority, data = excluded.data, when_to_run = excluded.when_to_run, " +
			"seq = excluded.seq, run_at_ms = excluded.run_at_ms, accepted_ms = excluded.accepted_ms, " +
			"attempts = excluded.attempts, reducer = excluded.reducer, " +
			"gm_unique = excluded.gm_unique, gm_function = excluded.gm_function"
	}
	return c
}

// deletes removes extras.
func (t table) deletes(keys []string) change {
	return change{
		sql:  "DELETE FROM " + t.extras() + " WHERE key = ANY(?::text[])",
		args: []any{texts(keys)},
	}
}

// puts sets extras.
func (t table) puts(ops []store.Op) change {
	keys, values := make([]string, len(ops)), make([][]byte, len(ops))
	for i, op := range ops {
		keys[i], values[i] = op.Key, op.Value
	}
	return change{
		sql: "INSERT INTO " + t.extras() + " (key, value) SELECT * FROM unnest(?::text[], ?::bytea[]) " +
			"ON CONFLICT (key) DO UPDATE SET value = excluded.value",
		args: []any{texts(keys), blobs(values)},
	}
}
