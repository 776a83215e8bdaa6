package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"gm/pkg/store"
	"gm/pkg/store/sqlstore"
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
	return s.replay(ctx, "int8send(octet_length(data)::bigint)", func(r *store.Record) error {
		size := 0
		if len(r.Payload) == 8 {
			size = int(binary.BigEndian.Uint64(r.Payload))
		}
		r.Payload = nil
		return f(r, size)
	}, s.skipped)
}

func (s *Store) replay(ctx context.Context, data string, f func(*store.Record) error, skipped func(string, error)) error {
	if err := s.adopt(ctx); err != nil {
		return fmt.Errorf("replay: number gearmand's jobs: %w", err)
	}
	err := s.readers.with(ctx, func(conn *pgconn.PgConn) error {
		r := reading{Store: s, conn: conn, data: data, f: f, skipped: skipped}
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
		last, err := lastSeq(ctx, session.conn, jobs)
		if err != nil {
			return err
		}
		_, err = rows(ctx, session.conn, "UPDATE "+jobs+" t SET seq = r.n + $1::bigint "+
			"FROM (SELECT ctid, row_number() OVER (ORDER BY ctid) AS n FROM "+jobs+" WHERE seq IS NULL) r "+
			"WHERE t.ctid = r.ctid AND t.seq IS NULL", strconv.FormatUint(store.AdoptFrom(time.Now(), last), 10))
		return err
	})
}

// LastSeq is that of [store.Numbered].
func (s *Store) LastSeq(ctx context.Context) (last uint64, err error) {
	if s.db.lacks["seq"] {
		return 0, nil
	}
	err = s.readers.with(ctx, func(conn *pgconn.PgConn) error {
		last, err = lastSeq(ctx, conn, s.db.table.jobs())
		return err
	})
	return last, err
}

func lastSeq(ctx context.Context, conn *pgconn.PgConn, jobs string) (uint64, error) {
	found, err := rows(ctx, conn, "SELECT coalesce(max(seq), 0)::text FROM "+jobs)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(string(found[0][0]), 10, 64)
}

// reading is one pass over the jobs, on one connection.
type reading struct {
	*Store
	conn    *pgconn.PgConn
	data    string // what is wanted of the payload
	f       func(*store.Record) error
	skipped func(string, error)

	last int64 // the highest number
}

func (r *reading) all(ctx context.Context) error {
	r.last = math.MinInt64
	if !r.db.lacks["seq"] {
		for n := page; n == page; {
			var err error
			if n, err = r.rows(ctx, "WHERE seq > $1::bigint ORDER BY seq LIMIT "+strconv.Itoa(page), strconv.AppendInt(nil, r.last, 10)); err != nil {
				return err
			}
		}
	}
	if !r.db.asIs {
		return nil
	}
	// Who has to leave the rows as they are numbers them here.
	which := "ORDER BY ctid"
	if !r.db.lacks["seq"] {
		which = "WHERE seq IS NULL " + which
	}
	r.last = int64(store.AdoptFrom(time.Now(), uint64(max(r.last, 0))))
	_, err := r.rows(ctx, which)
	return err
}

// rows hands out the jobs of some rows, and returns how many these are.
func (r *reading) rows(ctx context.Context, which string, args ...[]byte) (n int, err error) {
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
	result := r.conn.ExecParams(ctx, strings.TrimSuffix(sql, ", ")+" FROM "+r.db.table.jobs()+" "+which, args, nil, nil, binaryFormat)
	for result.NextRow() {
		n++
		values := result.Values()
		row, err := scan(values)
		if values[0] == nil {
			row.Seq = r.last + 1
		}
		r.last = row.Seq
		var j *store.Record
		if err == nil {
			j, err = row.Record()
		}
		if err != nil {
			r.skipped(fmt.Sprintf("row with seq %d of %s", row.Seq, r.db.table.jobs()), err)
			continue
		}
		if err = r.f(j); err == nil {
			err = ctx.Err()
		}
		if err != nil {
			closeConn(r.conn) // there may be much more to come
			return n, err
		}
	}
	_, err = result.Close()
	return n, err
}

// scan decodes a row in binary form. What it returns points into values.
func scan(values [][]byte) (row sqlstore.Row, err error) {
	row.Seq, err = integer(values[0], 0)
	row.Key, row.Name = string(values[1]), string(values[2])
	number := func(i int, null int64) int64 {
		v, e := integer(values[i], null)
		if err == nil {
			err = e
		}
		return v
	}
	row.Priority = int32(number(3, 1)) // gearmand's normal
	row.Data = values[4]
	row.When = int32(number(5, 0))
	row.RunAt = number(6, 0)
	row.Accepted = number(7, 0)
	row.Attempts = int32(number(8, 0))
	row.Reducer, row.Unique, row.Function = values[9], values[10], values[11]
	return row, err
}

func integer(b []byte, null int64) (int64, error) {
	switch {
	case b == nil:
		return null, nil
	case len(b) == 4:
		return int64(int32(binary.BigEndian.Uint32(b))), nil
	case len(b) == 8:
		return int64(binary.BigEndian.Uint64(b)), nil
	}
	return 0, fmt.Errorf("a number of %d bytes", len(b))
}

// ReadPayload is that of [store.Reader].
func (s *Store) ReadPayload(ctx context.Context, r *store.Record) (payload []byte, err error) {
	err = s.readers.with(ctx, func(conn *pgconn.PgConn) error {
		seq := binary.BigEndian.AppendUint64(nil, r.Seq)
		result := conn.ExecParams(ctx, "SELECT data FROM "+s.db.table.jobs()+" WHERE seq = $1::bigint",
			[][]byte{seq}, []uint32{oidInt8}, binaryFormat, binaryFormat).Read()
		if result.Err != nil {
			return result.Err
		}
		if len(result.Rows) == 0 {
			return store.ErrNotFound
		}
		payload = result.Rows[0][0]
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
	err := s.readers.with(ctx, func(conn *pgconn.PgConn) error {
		result := conn.ExecParams(ctx, "SELECT key, value FROM "+s.db.table.extras()+" WHERE key >= $1 AND key < $2",
			[][]byte{[]byte(from), []byte(to)}, nil, nil, binaryFormat)
		for result.NextRow() {
			values := result.Values()
			if err := f(string(values[0]), bytes.Clone(values[1])); err != nil {
				closeConn(conn)
				return err
			}
		}
		_, err := result.Close()
		return err
	})
	if err != nil {
		return fmt.Errorf("extras %q: %w", prefix, err)
	}
	return nil
}

// readers are the connections that read, so that reading does not wait for
// commits. They are dialled when they are needed.
type readers struct {
	db    *database
	turns chan struct{}       // of those that may be used at a time
	idle  chan *pgconn.PgConn // of those that are not
}

const maxReaders = 4

func (r *readers) init(db *database) {
	r.db = db
	r.turns = make(chan struct{}, maxReaders)
	r.idle = make(chan *pgconn.PgConn, maxReaders)
}

// with calls f with a connection, one that was alive a moment ago.
func (r *readers) with(ctx context.Context, f func(*pgconn.PgConn) error) error {
	select {
	case r.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.turns }()
	for {
		select {
		case conn := <-r.idle:
			if conn.Ping(ctx) != nil {
				closeConn(conn)
				continue
			}
			return r.use(conn, f)
		default:
		}
		conn, err := r.db.connect(ctx)
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		return r.use(conn, f)
	}
}

func (r *readers) use(conn *pgconn.PgConn, f func(*pgconn.PgConn) error) error {
	err := f(conn)
	if conn.IsClosed() || err != nil && !errors.Is(err, store.ErrNotFound) {
		closeConn(conn)
		return err
	}
	r.idle <- conn
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
		case conn := <-r.idle:
			closeConn(conn)
		default:
			return
		}
	}
}
