package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"gm/internal/codec"
	"gm/pkg/store"
)

// scan reads the current row of a statement that selects rowid and columns. The
// data are valid until the next call of a method of the statement; the rest is
// copied.
func (r *row) scan(stmt *sqlite3.Stmt) error {
	r.buf = r.buf[:0]
	copyColumn := func(column int) []byte {
		if stmt.ColumnType(column) == sqlite3.NULL {
			return nil
		}
		start := len(r.buf)
		r.buf = append(r.buf, stmt.ColumnRawBlob(column)...)
		return r.buf[start:len(r.buf):len(r.buf)]
	}
	foreign := true
	number := func(column int) int64 {
		if stmt.ColumnType(column) == sqlite3.NULL {
			return 0
		}
		if column > gearmandColumns {
			foreign = false
		}
		return stmt.ColumnInt64(column)
	}
	r.id = number(0)
	r.key, r.function = copyColumn(1), copyColumn(2)
	r.priority, r.when = number(3), number(5)
	r.seq, r.runAt, r.accepted, r.attempts = number(6), number(7), number(8), number(9)
	r.reducer, r.unique = copyColumn(10), copyColumn(11)
	r.sum = number(12)
	r.foreign = foreign && r.reducer == nil && r.unique == nil
	r.data = stmt.ColumnRawBlob(4)
	return stmt.Err()
}

// ReadPayload implements store.Reader.
func (s *Store) ReadPayload(ctx context.Context, j *store.Record) (payload []byte, err error) {
	where := fmt.Sprintf("job %d", j.Seq)
	err = s.read(ctx, func(r *reader) error {
		defer r.job.Reset()
		if err := r.job.BindInt64(1, int64(j.Seq)); err != nil {
			return err
		}
		if !r.job.Step() {
			return errors.Join(r.job.Err(), store.ErrNotFound)
		}
		if err := r.row.scan(r.job); err != nil {
			return err
		}
		r.heavy = r.heavy || len(r.row.data) >= heavyPayload
		if r.row.foreign {
			return store.ErrNotFound
		}
		err := r.row.verify()
		if err == nil && r.row.seq != int64(j.Seq) {
			err = errors.New("the row has another job")
		}
		if err != nil {
			return &store.CorruptError{Where: where, Why: err.Error()}
		}
		payload = append(make([]byte, 0, len(r.row.data)), r.row.data...)
		return nil
	})
	switch corrupt := new(store.CorruptError); {
	case err == nil, errors.As(err, &corrupt), ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return payload, err
	case isBroken(err):
		return nil, &store.CorruptError{Where: where, Why: err.Error()}
	case errors.Is(err, store.ErrNotFound):
		return nil, store.ErrNotFound
	}
	return nil, s.base.Fail("read", err)
}

// LastSeq implements store.Numbered. Finished jobs count too.
func (s *Store) LastSeq(ctx context.Context) (last uint64, err error) {
	err = s.read(ctx, func(r *reader) error {
		return r.queryEach("SELECT max(rowid) FROM "+quote(s.cfg.Table), func(stmt *sqlite3.Stmt) error {
			last = uint64(max(stmt.ColumnInt64(0), 0))
			return nil
		})
	})
	if err != nil && !isBroken(err) { // Replay mends a broken file
		return 0, s.failReading(err)
	}
	return max(last, s.last.Load()), nil
}

// Extras implements store.Store.
func (s *Store) Extras(ctx context.Context, prefix string, f func(key string, value []byte) error) error {
	last, mended := int64(minRow), 0
	for more := true; more; {
		var c extraChunk
		err := s.readMending(ctx, &mended, func(r *reader) error {
			c = extraChunk{last: last, prefix: prefix}
			return c.readRows(r)
		})
		if err != nil {
			return err
		}
		last, more = c.last, c.more
		s.setAside(ctx, c.faults)
		for _, x := range c.found {
			if err := f(x.key, x.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// Extra implements store.Store.
func (s *Store) Extra(ctx context.Context, key string) ([]byte, error) {
	if key == lastKey {
		return nil, store.ErrNotFound
	}
	var c extraChunk
	mended := 0
	err := s.readMending(ctx, &mended, func(r *reader) error {
		c = extraChunk{last: minRow}
		defer r.extra.Reset()
		if err := r.extra.BindText(1, key); err != nil {
			return err
		}
		return c.readStatement(r, r.extra)
	})
	if err != nil {
		return nil, err
	}
	s.setAside(ctx, c.faults)
	switch {
	case len(c.faults) > 0:
		return nil, &store.CorruptError{Where: fmt.Sprintf("extra %q", key), Why: c.faults[0].why.Error()}
	case len(c.found) == 0 || c.found[0].key != key:
		return nil, store.ErrNotFound
	}
	return c.found[0].value, nil
}

// readMending is read for an f that may be called again: it mends a broken file
// and tries again, until the file has been mended maxMends times.
func (s *Store) readMending(ctx context.Context, mended *int, f func(*reader) error) error {
	for {
		err := s.read(ctx, f)
		if err == nil {
			return nil
		}
		if !isBroken(err) || *mended >= maxMends {
			return s.failReading(err)
		}
		*mended++
		if err := s.mend(err); err != nil {
			return err
		}
	}
}

// extraChunk is a part of the extras that is read at a time, in the order of
// their rows: the index of their keys may be damaged.
type extraChunk struct {
	prefix string
	last   int64 // only rows above it are read; afterwards, the last row

	found  []extra
	faults []fault
	more   bool // there may be another chunk
}

type extra struct {
	key   string
	value []byte
}

func (c *extraChunk) readRows(r *reader) error {
	defer r.extras.Reset()
	b := binder{stmt: r.extras}
	b.number(1, c.last)
	if b.err != nil {
		return b.err
	}
	return c.readStatement(r, r.extras)
}

// readStatement reads the rows of a statement.
func (c *extraChunk) readStatement(r *reader, stmt *sqlite3.Stmt) error {
	for size, n := 0, 1; stmt.Step(); n++ {
		id := stmt.ColumnInt64(0)
		if id <= c.last {
			return fmt.Errorf("%w: rows %d and %d of extras are not in order", errBroken, c.last, id)
		}
		c.last = id
		key := stmt.ColumnText(1)
		sum := stmt.ColumnInt64(3)
		value := stmt.ColumnBlob(2, []byte{})
		if err := stmt.Err(); err != nil {
			return err
		}
		if sum != extraSum(key, value) {
			c.faults = append(c.faults, fault{extra: true, id: id, name: key, data: value, why: codec.ErrChecksum})
		} else if strings.HasPrefix(key, c.prefix) && key != lastKey {
			c.found = append(c.found, extra{key, value})
		}
		r.heavy = r.heavy || len(value) >= heavyPayload
		if size += len(value); size > chunkBytes || n == chunkRows {
			c.more = true
			return nil
		}
	}
	return stmt.Err()
}

// failReading wraps the error of a reader, unless it is that of the caller's
// context.
func (s *Store) failReading(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return s.base.Fail("read", err)
}
