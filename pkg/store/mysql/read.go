package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

// page is how many jobs one statement of a Replay returns.
const page = 5000

// Replay is that of [store.Store]. Jobs that gearmand has written come last,
// in the order in which their rows lie.
func (s *Store) Replay(ctx context.Context, f func(*store.Record) error) error {
	return s.replay(ctx, "data", func(r *store.Record) error {
		r.Payload = bytes.Clone(r.Payload)
		return f(r)
	}, s.skipped)
}

// ReplayHeads is that of [store.Reader].
func (s *Store) ReplayHeads(ctx context.Context, f func(*store.Record, int) error) error {
	return s.replay(ctx, "LENGTH(data)", func(r *store.Record) error {
		size, _ := strconv.Atoi(string(r.Payload)) // none if it is NULL
		r.Payload = nil
		return f(r, size)
	}, s.skipped)
}

func (s *Store) replay(ctx context.Context, data string, f func(*store.Record) error, skipped func(string, error)) error {
	if err := s.adopt(ctx); err != nil {
		return fmt.Errorf("replay: number gearmand's jobs: %w", err)
	}
	r := reading{Store: s, data: data, f: f, skipped: skipped}
	if err := r.all(ctx); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return nil
}

// adopt gives numbers to jobs that have none. Jobs to be undone are gone then.
// Rows that have no primary key lie in the order in which they came, and so do
// those of the index that have no number.
func (s *Store) adopt(ctx context.Context) error {
	if s.db.asIs {
		return nil
	}
	jobs := s.db.table.jobs()
	none := func() []uint64 { return nil }
	return s.link.Do(ctx, none, func(session *session) error {
		found, err := session.query(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM "+jobs+" WHERE seq IS NULL LIMIT 1) n")
		if err != nil || string(found[0][0]) == "0" {
			return err
		}
		highest, err := s.LastSeq(ctx)
		if err != nil {
			return fmt.Errorf("highest number: %w", err)
		}
		t := transaction{ctx: ctx, s: session}
		t.begin()
		t.text(fmt.Sprintf("SET @gm_seq := %d; UPDATE %s SET seq = (@gm_seq := @gm_seq + 1) WHERE seq IS NULL",
			s.AdoptFrom(time.Now(), highest), jobs))
		if err := t.ended(); err != nil {
			return err
		}
		t.count++ // it is two statements
		return t.commit()
	})
}

// LastSeq is that of [store.Numbered].
func (s *Store) LastSeq(ctx context.Context) (last uint64, err error) {
	if s.db.lacks("seq") {
		return 0, nil
	}
	row := s.readers.QueryRowContext(ctx, "SELECT COALESCE(MAX(seq), 0) FROM "+s.db.table.jobs())
	if err := row.Scan(&last); err != nil || !s.db.extras {
		return last, err
	}
	var value string
	row = s.readers.QueryRowContext(ctx, fmt.Sprintf("SELECT value FROM %s WHERE name = x'%x'", s.db.table.extras(), sqlstore.FenceKey))
	if err := row.Scan(&value); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	return max(last, sqlstore.FenceLast(value)), nil
}

// reading is one pass over the jobs.
type reading struct {
	*Store
	data    string // the requested part of the payload
	f       func(*store.Record) error
	skipped func(string, error)

	last int64 // the highest number
}

func (r *reading) all(ctx context.Context) error {
	r.last = math.MinInt64
	if !r.db.lacks("seq") {
		for n := page; n == page; {
			var err error
			if n, err = r.rows(ctx, fmt.Sprintf("WHERE seq > %d ORDER BY seq LIMIT %d", r.last, page)); err != nil {
				return err
			}
		}
	}
	if !r.db.asIs {
		return nil
	}
	// A store that must not change the rows numbers them here.
	which := ""
	if !r.db.lacks("seq") {
		which = "WHERE seq IS NULL"
	}
	r.last = int64(r.AdoptFrom(time.Now(), uint64(max(r.last, 0))))
	_, err := r.rows(ctx, which)
	return err
}

// rows hands out the jobs of some rows, and returns how many these are.
func (r *reading) rows(ctx context.Context, which string) (n int, err error) {
	rows, err := r.readers.QueryContext(ctx, "SELECT "+r.columns()+" FROM "+r.db.table.jobs()+" "+which)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		n++
		row, numbered, err := scan(rows)
		if !numbered {
			row.Seq = r.last + 1
		}
		r.last = row.Seq
		var j *store.Record
		if err == nil {
			j, err = row.Record()
		}
		if err != nil {
			r.skip(row.Seq, err)
			continue
		}
		if err := r.f(j); err != nil {
			return n, err
		}
		if err := ctx.Err(); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

// skip reports a row that is left out.
func (r *reading) skip(seq int64, err error) {
	r.skipped(fmt.Sprintf("row with seq %d of %s", seq, r.db.table.jobs()), err)
}

// columns returns the selected columns of a row.
func (r *reading) columns() string {
	names := []string{
		"seq", "unique_key", "function_name", "priority", r.data, "when_to_run",
		"run_at_ms", "accepted_ms", "attempts", "reducer", "gm_unique", "gm_function",
	}
	for i, name := range names {
		switch kind := r.db.kinds[name]; {
		case name == r.data || !r.db.asIs:
		case kind == "":
			names[i] = "NULL"
		case (name == "unique_key" || name == "function_name") && kind != "varbinary":
			names[i] = "CAST(CONVERT(" + name + " USING utf8mb4) AS BINARY)" // back to gearmand's UTF-8
		}
	}
	return strings.Join(names, ", ")
}

// clamp returns n, or the nearest number that fits.
func clamp(n int64) int32 { return int32(min(max(n, math.MinInt32), math.MaxInt32)) }

// scan reads a row, and reports whether it has a number. Its bytes are the
// connection's, until the next.
func scan(rows *sql.Rows) (row sqlstore.Row, numbered bool, err error) {
	var seq sql.NullInt64
	var key, name, data, reducer, unique, function sql.RawBytes
	var priority, when, runAt, accepted, attempts sql.NullInt64
	err = rows.Scan(&seq, &key, &name, &priority, &data, &when, &runAt, &accepted, &attempts, &reducer, &unique, &function)
	row.Seq, row.Key, row.Name, row.Data = seq.Int64, string(key), string(name), data
	row.Priority = 1 // gearmand's normal
	if priority.Valid {
		row.Priority = clamp(priority.Int64)
	}
	row.When, row.RunAt, row.Accepted, row.Attempts = clamp(when.Int64), runAt.Int64, accepted.Int64, clamp(attempts.Int64)
	row.Reducer, row.Unique, row.Function = reducer, unique, function
	return row, seq.Valid, err
}

// ReadPayload is that of [store.Reader].
func (s *Store) ReadPayload(ctx context.Context, r *store.Record) (payload []byte, err error) {
	err = s.readers.QueryRowContext(ctx, fmt.Sprintf("SELECT data FROM %s WHERE seq = %d", s.db.table.jobs(), int64(r.Seq))).Scan(&payload)
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read payload of job %d: %w", r.Seq, err)
	}
	return payload, nil
}

// Extras is that of [store.Store].
func (s *Store) Extras(ctx context.Context, prefix string, f func(string, []byte) error) error {
	if err := s.extras(ctx, prefix, f); err != nil {
		return fmt.Errorf("extras %q: %w", prefix, err)
	}
	return nil
}

func (s *Store) extras(ctx context.Context, prefix string, f func(string, []byte) error) error {
	if err := s.link.Settle(ctx); err != nil {
		return err
	}
	if !s.db.extras {
		return nil
	}
	// Keys are printable, the holder's note is not.
	rows, err := s.readers.QueryContext(ctx, fmt.Sprintf("SELECT name, value FROM %s WHERE name >= x'%x' AND name < x'%x'",
		s.db.table.extras(), max(prefix, " "), prefix+"\x7f"))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var value []byte
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		if err := f(key, value); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Extra is that of [store.Store].
func (s *Store) Extra(ctx context.Context, key string) (value []byte, err error) {
	if err = s.link.Settle(ctx); err == nil && !s.db.extras {
		err = sql.ErrNoRows
	}
	if err == nil {
		query := fmt.Sprintf("SELECT value FROM %s WHERE name = x'%x'", s.db.table.extras(), key)
		err = s.readers.QueryRowContext(ctx, query).Scan(&value)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, store.ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("extra %q: %w", key, err)
	}
	return value, nil
}
