package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/ncruces/go-sqlite3"
)

// reader is a connection that reads.
type reader struct {
	*conn
	job    *sqlite3.Stmt // selects a job by its number
	jobs   *sqlite3.Stmt // selects the jobs above a number
	extra  *sqlite3.Stmt // selects an extra by its key
	extras *sqlite3.Stmt // selects the extras above a number

	row row
}

// maxReaders is the maximum number of connections that read at a time. Each has a
// cache of its own, and more processors are seldom free.
const maxReaders = 2

func (s *Store) openReader() (r *reader, err error) {
	err = protect(func() error {
		r, err = s.openEngineReader()
		return err
	})
	return r, err
}

func (s *Store) openEngineReader() (*reader, error) {
	if err := s.base.Watch.Check(); err != nil { // without that, another database could be opened
		return nil, err
	}
	c, err := dial(s.path, false)
	if err != nil {
		return nil, err
	}
	r := &reader{conn: c}
	jobs, extras := quote(s.cfg.Table), quote(extrasTable(s.cfg.Table))
	for _, statement := range []struct {
		to  **sqlite3.Stmt
		sql string
	}{
		{&r.job, "SELECT rowid, " + columnList + " FROM " + jobs + " WHERE rowid = ?"},
		{&r.jobs, "SELECT rowid, " + columnList + " FROM " + jobs + " NOT INDEXED WHERE rowid > ? ORDER BY rowid"},
		{&r.extra, "SELECT rowid, key, value, crc FROM " + extras + " WHERE key = ?"},
		{&r.extras, "SELECT rowid, key, value, crc FROM " + extras + " NOT INDEXED WHERE rowid > ? ORDER BY rowid"},
	} {
		if err == nil {
			*statement.to, err = r.prepare("%s", statement.sql)
		}
	}
	if err == nil {
		err = c.Exec("PRAGMA query_only = ON")
	}
	if err != nil {
		_ = c.close()
		return nil, err
	}
	return r, nil
}

// read calls f with a connection that nobody else uses. It opens the file first
// if necessary.
func (s *Store) read(ctx context.Context, f func(*reader) error) error {
	if !s.ready.Load() {
		s.mu.Lock()
		_, err := s.open()
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	r, err := s.readers.get(ctx)
	if errors.Is(err, os.ErrClosed) {
		return s.base.Fail("read", err)
	}
	if err != nil {
		return err
	}
	err = r.during(ctx, func() error { return f(r) })
	s.readers.put(r, err)
	return err
}

// readers is the pool of connections that read. A slot is nil until its connection is
// needed.
type readers struct {
	open  func() (*reader, error)
	slots chan *reader
	ended chan struct{}
}

func (p *readers) init(open func() (*reader, error)) {
	p.open, p.slots, p.ended = open, make(chan *reader, maxReaders), make(chan struct{})
	p.resume()
}

// get returns a connection that nobody uses.
func (p *readers) get(ctx context.Context) (*reader, error) {
	select {
	case r := <-p.slots:
		if r != nil {
			return r, nil
		}
		r, err := p.open()
		if err != nil {
			p.slots <- nil
			return nil, fmt.Errorf("open: %w", err)
		}
		return r, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.ended:
		return nil, os.ErrClosed
	}
}

// put returns a connection to the pool after err. It closes one that may have
// cached a broken page, and one that keeps the memory of a large payload.
func (p *readers) put(r *reader, err error) {
	if isBroken(err) || isPanic(err) || r.heavy {
		_ = r.close()
		r = nil
	}
	p.slots <- r
}

// pause waits for the connections in use and closes all. Until resume, no connection
// can be used.
func (p *readers) pause() error {
	var errs []error
	for range maxReaders {
		if r := <-p.slots; r != nil {
			errs = append(errs, r.close())
		}
	}
	return errors.Join(errs...)
}

// resume lets connections be used again.
func (p *readers) resume() {
	for range maxReaders {
		p.slots <- nil
	}
}

// closeAll closes all connections for ever. It may be called again.
func (p *readers) closeAll() error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	close(p.ended)
	return p.pause()
}
