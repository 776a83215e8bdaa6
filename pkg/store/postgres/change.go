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
	rest string // of sql, after the condition by which a change waits
	args []any

	waits bool // for the changes before it
	some  bool // there are more of the same kind
	size  int  // of the bytes that it adds
}

// send makes all changes or none: it sends one statement, in which the last
// change is the main query and the others are subqueries. PostgreSQL may run
// those at any time, but a last change that waits does not begin before they
// have said how many rows they had.
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

// changes returns the changes of a batch. Adds are the last: a row may have the
// key of one whose job is done. If replace is set, so may a row that stays,
// which they replace.
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

// chunks yields the changes for all of s, and is false if no more are wanted.
func chunks[T any](yield func(change) bool, s []T, size func(T) int, f func([]T) change) bool {
	for part := range sqlstore.Chunks(s, maxRows, maxBytes, size) {
		c := f(part)
		c.some = len(part) < len(s)
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

func (db *database) rowsOf(records []*store.Record) []sqlstore.Row {
	rows := make([]sqlstore.Row, len(records))
	for i, r := range records {
		rows[i] = sqlstore.NewRow(r, db.text)
	}
	return rows
}

// fence replaces the fence's value, which has to begin with mine: else it would
// be NULL, which the column does not take.
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

// updates changes when jobs run, and their attempts.
func (t table) updates(rows []sqlstore.Row) change {
	return change{
		sql: "UPDATE " + t.jobs() + " t SET attempts = u.attempts, run_at_ms = u.run_at, when_to_run = u.run_when " +
			"FROM unnest(?::bigint[], ?::integer[], ?::bigint[], ?::integer[]) u (seq, attempts, run_at, run_when) " +
			"WHERE t.seq = u.seq",
		args: updateColumns(rows),
	}
}

// adds adds jobs, once the jobs that had their keys are gone. If replace is set,
// a row that has the key of one gives way.
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
