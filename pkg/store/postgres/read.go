package postgres

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

// page is how many jobs one statement of a Replay returns.
const page = 5000

// Replay is that of [store.Store]. Jobs that gearmand has written come last,
// in the order in which their rows lie.
func (s *Store) Replay(ctx context.Context, f func(*store.Record) error) error {
	return s.replay(ctx, "data", func(r *store.Record, _ int) error {
		r.Payload = bytes.Clone(r.Payload)
		return f(r)
	}, s.skipped)
}

// ReplayHeads is that of [store.Reader].
func (s *Store) ReplayHeads(ctx context.Context, f func(*store.Record, int) error) error {
	return s.replay(ctx, "octet_length(data)", f, s.skipped)
}

// replay hands out all jobs. data is the requested part of their payloads:
// "data", or their sizes, which are then returned with the records.
func (s *Store) replay(ctx context.Context, data string, f func(*store.Record, int) error, skipped func(string, error)) error {
	if err := s.adopt(ctx); err != nil {
		return fmt.Errorf("replay: number gearmand's jobs: %w", err)
	}
	err := s.readers.with(ctx, func(c *conn) error {
		r := reading{Store: s, conn: c, data: data, f: f, skipped: skipped}
		return r.all(ctx)
	})
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return nil
}

// adopt gives numbers to jobs that have none. Jobs to be undone are gone then.
func (s *Store) adopt(ctx context.Context) error {
	if s.db.asIs {
		return nil
	}
	jobs := s.db.table.jobs()
	none := func() []uint64 { return nil }
	return s.link.Do(ctx, none, func(session *session) error {
		last, err := s.lastSeq(ctx, session.conn)
		if err != nil {
			return err
		}
		if err := session.outcome(session.send(ctx, session.withFence()...)); err != nil {
			return err
		}
		return session.exec(ctx, "UPDATE "+jobs+" t SET seq = r.n + $1::bigint "+
			"FROM (SELECT ctid, row_number() OVER (ORDER BY ctid) AS n FROM "+jobs+" WHERE seq IS NULL) r "+
			"WHERE t.ctid = r.ctid AND t.seq IS NULL", strconv.FormatUint(s.AdoptFrom(time.Now(), last), 10))
	})
}

// LastSeq is that of [store.Numbered].
func (s *Store) LastSeq(ctx context.Context) (last uint64, err error) {
	if s.db.lacks["seq"] {
		return 0, nil
	}
	err = s.readers.with(ctx, func(c *conn) error {
		last, err = s.lastSeq(ctx, c)
		return err
	})
	return last, err
}

// lastSeq returns the highest number of a job that is there or that the fence
// has.
func (s *Store) lastSeq(ctx context.Context, c *conn) (uint64, error) {
	fence := "NULL::text"
	if s.db.extras {
		fence = "(SELECT convert_from(value, 'UTF8') FROM " + s.db.table.extras() + " WHERE key = '" + sqlstore.FenceKey + "')"
	}
	found, err := c.queryRows(ctx, "SELECT coalesce(max(seq), 0), "+fence+" FROM "+s.db.table.jobs())
	if err != nil {
		return 0, err
	}
	value, _ := found[0][1].(string)
	return max(uint64(found[0][0].(int64)), sqlstore.FenceLast(value)), nil
}

// reading is one pass over the jobs, on one connection.
type reading struct {
	*Store
	conn    *conn
	data    string // the requested part of the payload
	f       func(*store.Record, int) error
	skipped func(string, error)

	last int64 // the highest number
}

func (r *reading) all(ctx context.Context) error {
	r.last = math.MinInt64
	if !r.db.lacks["seq"] {
		for n := page; n == page; {
			var err error
			n, err = r.readRows(ctx, "WHERE seq > $1::bigint ORDER BY seq LIMIT "+strconv.Itoa(page), strconv.FormatInt(r.last, 10))
			if damaged(err) {
				n, err = r.singly(ctx)
			}
			if err != nil {
				return err
			}
		}
	}
	if !r.db.asIs {
		return nil
	}
	// A store that must not change the rows numbers them here.
	which := "ORDER BY ctid"
	if !r.db.lacks["seq"] {
		which = "WHERE seq IS NULL " + which
	}
	r.last = int64(r.AdoptFrom(time.Now(), uint64(max(r.last, 0))))
	_, err := r.readRows(ctx, which)
	return err
}

// singly reads the rows of a page one by one, and leaves out those that the
// server itself can't read.
func (r *reading) singly(ctx context.Context) (n int, err error) {
	seqs, err := r.conn.queryRows(ctx, "SELECT seq FROM "+r.db.table.jobs()+" WHERE seq > $1::bigint ORDER BY seq LIMIT "+strconv.Itoa(page),
		strconv.FormatInt(r.last, 10))
	if err != nil {
		return 0, err
	}
	for _, row := range seqs {
		seq := row[0].(int64)
		_, err := r.readRows(ctx, "WHERE seq = $1::bigint", strconv.FormatInt(seq, 10))
		if damaged(err) {
			r.skip(seq, err)
			err = nil
		}
		if err != nil {
			return 0, err
		}
		r.last = seq
	}
	return len(seqs), nil
}

// damaged reports whether the server could not read its own data.
func damaged(err error) bool {
	var answer *pq.Error
	return errors.As(err, &answer) && answer.Code.Class() == "XX"
}

// skip reports a row that is left out.
func (r *reading) skip(seq int64, err error) {
	r.skipped(fmt.Sprintf("row with seq %d of %s", seq, r.db.table.jobs()), err)
}

// readRows returns the number of rows that it read, after it has passed on
// their jobs.
func (r *reading) readRows(ctx context.Context, which string, args ...any) (n int, err error) {
	sql := "SELECT "
	for _, name := range []string{
		"seq", "unique_key", "function_name", "priority", r.data, "when_to_run",
		"run_at_ms", "accepted_ms", "attempts", "reducer", "gm_unique", "gm_function",
	} {
		if r.db.lacks[name] {
			name = "NULL::bytea"
		}
		sql += name + ", "
	}
	sql = strings.TrimSuffix(sql, ", ") + " FROM " + r.db.table.jobs() + " " + which
	err = r.conn.each(ctx, sql, args, func(values []driver.Value) error {
		n++
		row, size, err := scan(values)
		if values[0] == nil {
			row.Seq = r.last + 1
		}
		r.last = row.Seq
		var j *store.Record
		if err == nil {
			j, err = row.Record()
		}
		if err != nil {
			r.skip(row.Seq, err)
			return nil
		}
		if err := r.f(j, size); err != nil {
			return err
		}
		return ctx.Err()
	})
	return n, err
}

// data is where a payload is among a row's columns, or its size.
const data = 4

// scan makes a row of its columns. Its Data, or their size if that was
// requested, are valid as long as values.
func scan(values []driver.Value) (row sqlstore.Row, size int, err error) {
	number := func(i int, null int64) int64 {
		switch v := values[i].(type) {
		case int64:
			return v
		case []byte:
			if i != data {
				err = fmt.Errorf("not a number: %q", v)
			}
		}
		return null
	}
	text := func(i int) string {
		s, _ := values[i].(string)
		return s
	}
	blob := func(i int) []byte {
		b, _ := values[i].([]byte)
		return b
	}
	row = sqlstore.Row{
		Seq: number(0, 0), Key: text(1), Name: text(2),
		Priority: int32(number(3, 1)), // gearmand's normal
		Data:     blob(data), When: int32(number(5, 0)),
		RunAt: number(6, 0), Accepted: number(7, 0), Attempts: int32(number(8, 0)),
		Reducer: blob(9), Unique: blob(10), Function: blob(11),
	}
	return row, int(number(data, 0)), err
}

// ReadPayload is that of [store.Reader].
func (s *Store) ReadPayload(ctx context.Context, r *store.Record) (payload []byte, err error) {
	err = s.readers.with(ctx, func(c *conn) error {
		found, err := c.queryRows(ctx, "SELECT data FROM "+s.db.table.jobs()+" WHERE seq = $1::bigint", strconv.FormatUint(r.Seq, 10))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return store.ErrNotFound
		}
		payload, _ = found[0][0].([]byte)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read payload of job %d: %w", r.Seq, err)
	}
	return payload, nil
}

// Extras is that of [store.Store].
func (s *Store) Extras(ctx context.Context, prefix string, f func(string, []byte) error) error {
	if err := s.link.Settle(ctx); err != nil {
		return fmt.Errorf("extras %q: %w", prefix, err)
	}
	if !s.db.extras {
		return nil
	}
	// Keys are printable, the holder's note is not.
	from, to := max(prefix, " "), prefix+"\x7f"
	err := s.readers.with(ctx, func(c *conn) error {
		sql := "SELECT key, value FROM " + s.db.table.extras() + " WHERE key >= $1 AND key < $2"
		return c.each(ctx, sql, []any{from, to}, func(values []driver.Value) error {
			return f(values[0].(string), bytes.Clone(values[1].([]byte)))
		})
	})
	if err != nil {
		return fmt.Errorf("extras %q: %w", prefix, err)
	}
	return nil
}

// Extra is that of [store.Store].
func (s *Store) Extra(ctx context.Context, key string) ([]byte, error) {
	if err := s.link.Settle(ctx); err != nil {
		return nil, fmt.Errorf("extra %q: %w", key, err)
	}
	if !s.db.extras {
		return nil, store.ErrNotFound
	}
	var found [][]driver.Value
	err := s.readers.with(ctx, func(c *conn) (err error) {
		found, err = c.queryRows(ctx, "SELECT value FROM "+s.db.table.extras()+" WHERE key = $1", key)
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("extra %q: %w", key, err)
	case len(found) == 0:
		return nil, store.ErrNotFound
	}
	return found[0][0].([]byte), nil
}

// readers are the connections that read, so that reading does not wait for
// commits. They are dialled when they are needed.
type readers struct {
	db    *database
	turns chan struct{} // of those that may be used at a time
	idle  chan *conn    // of those that are not
}

const maxReaders = 4

func (r *readers) init(db *database) {
	r.db = db
	r.turns = make(chan struct{}, maxReaders)
	r.idle = make(chan *conn, maxReaders)
}

// with calls f with a connection, one that was alive a moment ago.
func (r *readers) with(ctx context.Context, f func(*conn) error) error {
	select {
	case r.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.turns }()
	for {
		select {
		case c := <-r.idle:
			if c.ping(ctx) != nil {
				c.close()
				continue
			}
			return r.use(c, f)
		default:
		}
		c, err := r.db.connect(ctx)
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		return r.use(c, f)
	}
}

func (r *readers) use(c *conn, f func(*conn) error) error {
	err := f(c)
	if !c.alive() || err != nil && !errors.Is(err, store.ErrNotFound) {
		c.close()
		return err
	}
	r.idle <- c
	return err
}

// close closes all, once those that are used are free.
func (r *readers) close() {
	for range maxReaders {
		r.turns <- struct{}{}
	}
	defer func() {
		for range maxReaders {
			<-r.turns
		}
	}()
	for {
		select {
		case c := <-r.idle:
			c.close()
		default:
			return
		}
	}
}
