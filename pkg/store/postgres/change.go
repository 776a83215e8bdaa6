package postgres

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"gm/pkg/store"
	"gm/pkg/store/sqlstore"
)

// change is what one statement does to one table. Its arguments are arrays.
type change struct {
	// sql writes the statement, whose arguments are called what arg returns.
	// An insertion has the condition after, if it is not empty.
	sql  func(arg func() string, after string) string
	args []any
	some bool // there are more of the same kind
}

// send makes changes, all or none: as one statement, of which all but the last
// are subqueries. PostgreSQL may run those at any time, but the last change does
// not begin before they are done: it waits for their numbers of rows.
func (s *session) send(ctx context.Context, changes ...change) error {
	if len(changes) == 0 {
		return nil
	}
	var args []any
	n := 0
	arg := func() string {
		n++
		return "$" + strconv.Itoa(n)
	}
	var with, after []string
	for i, c := range changes[:len(changes)-1] {
		with = append(with, fmt.Sprintf("c%d AS (%s RETURNING 1)", i, c.sql(arg, "")))
		after = append(after, fmt.Sprintf("(SELECT count(*) FROM c%d) >= 0", i))
		args = append(args, c.args...)
	}
	last := changes[len(changes)-1]
	sql := last.sql(arg, strings.Join(after, " AND "))
	if len(with) > 0 {
		sql = "WITH " + strings.Join(with, ", ") + " " + sql
	}
	return s.exec(ctx, sql, append(args, last.args...)...)
}

// changes returns what there is to do for a batch. Adds are the last: a row may
// have the key of one whose job is done. If replace is set, so may a row that
// stays, which they replace.
func (db *database) changes(net *sqlstore.Net, replace bool) iter.Seq[change] {
	t := db.table
	return func(yield func(change) bool) {
		_ = chunks(yield, net.Dones, sizeless, t.dones) &&
			chunks(yield, net.Updates, sizeless, func(r []*store.Record) change { return t.updates(db.rows(r)) }) &&
			chunks(yield, net.Deletes, sizeless, t.deletes) &&
			chunks(yield, net.Puts, func(op store.Op) int { return len(op.Value) }, t.puts) &&
			chunks(yield, net.Adds, sizeOf, func(r []*store.Record) change { return t.adds(db.rows(r), replace) })
	}
}

// chunks yields the changes for all of s, and is false if no more are wanted.
func chunks[T any](yield func(change) bool, s []T, size func(T) int, f func([]T) change) bool {
	for part := range sqlstore.Chunks(s, maxRows, maxBytes, size) {
		c := f(part)
		c.some = len(part) < len(s)
		if !yield(c) {
			return false
		}
	}
	return true
}

func sizeless[T any](T) int { return 0 }

func sizeOf(r *store.Record) int {
	return len(r.Payload) + len(r.Function) + len(r.Unique) + len(r.Reducer)
}

func (db *database) rows(records []*store.Record) []sqlstore.Row {
	rows := make([]sqlstore.Row, len(records))
	for i, r := range records {
		rows[i] = sqlstore.NewRow(r, db.text)
	}
	return rows
}

// dones removes jobs.
func (t table) dones(seqs []uint64) change {
	return change{
		sql: func(arg func() string, _ string) string {
			return "DELETE FROM " + t.jobs() + " WHERE seq = ANY(" + arg() + "::bigint[])"
		},
		args: []any{numbers(seqs)},
	}
}

// updates changes when jobs run, and their attempts.
func (t table) updates(rows []sqlstore.Row) change {
	return change{
		sql: func(arg func() string, _ string) string {
			return "UPDATE " + t.jobs() + " t SET attempts = u.attempts, run_at_ms = u.run_at, when_to_run = u.run_when " +
				"FROM " + unnest(arg, "bigint", "integer", "bigint", "integer") + " u (seq, attempts, run_at, run_when) " +
				"WHERE t.seq = u.seq"
		},
		args: updateColumns(rows),
	}
}

// adds adds jobs. If replace is set, a row that has the key of one gives way.
func (t table) adds(rows []sqlstore.Row, replace bool) change {
	return change{
		sql: func(arg func() string, after string) string {
			sql := "INSERT INTO " + t.jobs() + " (unique_key, function_name, priority, data, when_to_run, " +
				"seq, run_at_ms, accepted_ms, attempts, reducer, gm_unique, gm_function) " +
				"SELECT * FROM " + unnest(arg, "text", "text", "integer", "bytea", "integer",
				"bigint", "bigint", "bigint", "integer", "bytea", "bytea", "bytea")
			if after != "" {
				sql += " WHERE " + after
			}
			if replace {
				sql += " ON CONFLICT (unique_key, function_name) DO UPDATE SET " +
					"priority = excluded.priority, data = excluded.data, when_to_run = excluded.when_to_run, " +
					"seq = excluded.seq, run_at_ms = excluded.run_at_ms, accepted_ms = excluded.accepted_ms, " +
					"attempts = excluded.attempts, reducer = excluded.reducer, " +
					"gm_unique = excluded.gm_unique, gm_function = excluded.gm_function"
			}
			return sql
		},
		args: addColumns(rows),
	}
}

// deletes removes extras.
func (t table) deletes(keys []string) change {
	return change{
		sql: func(arg func() string, _ string) string {
			return "DELETE FROM " + t.extras() + " WHERE key = ANY(" + arg() + "::text[])"
		},
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
		sql: func(arg func() string, _ string) string {
			return "INSERT INTO " + t.extras() + " (key, value) SELECT * FROM " + unnest(arg, "text", "bytea") +
				" ON CONFLICT (key) DO UPDATE SET value = excluded.value"
		},
		args: []any{texts(keys), blobs(values)},
	}
}

// unnest writes a table of which each argument is a column, an array.
func unnest(arg func() string, types ...string) string {
	columns := make([]string, len(types))
	for i, t := range types {
		columns[i] = arg() + "::" + t + "[]"
	}
	return "unnest(" + strings.Join(columns, ", ") + ")"
}
