// Package sqlstore has the code that the drivers of SQL databases share:
//
//   - [Store] implements a store on a [Database] and on sessions that write;
//   - [Row] is a job in the columns of gearmand's tables and in the columns
//     that gm adds;
//   - [Reading] is one pass over the jobs of a table;
//   - [Net] is a batch after its operations on the same job are combined;
//   - [Link] is the one session on which a store commits: it holds the lock,
//     reconnects when the session is lost, and undoes commits of unknown
//     outcome;
//   - [Fence] is the row by which a transaction checks that its session still
//     holds the store;
//   - [Meaning] is the meaning of a database's error;
//   - [CreateMissing] creates the tables.
package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gm/pkg/store"
)

// Database is the part of a store that depends on the database server. Its
// methods may be called by several goroutines; all except Caps and Close are
// called only after uncertain jobs are undone.
type Database interface {
	// Name returns the database's name for errors, such as MySQL.
	Name() string
	// Caps returns the guarantees and the limits of the newest session.
	Caps() store.Caps
	// HasNumbers reports whether the jobs' table has the column seq. It is
	// false only for a store that changes nothing.
	HasNumbers() bool
	// HasExtras reports whether the table of extras exists. It is false only
	// for a store that changes nothing.
	HasExtras() bool

	// ReadPage passes the jobs of up to PageSize rows with numbers above r.Last
	// to r, in the order of their numbers, and returns the number of rows.
	ReadPage(ctx context.Context, r *Reading) (n int, err error)
	// ReadUnnumbered passes the jobs of all rows without a number to r.
	ReadUnnumbered(ctx context.Context, r *Reading) error
	// ReadPayload returns the payload of a job, or store.ErrNotFound.
	ReadPayload(ctx context.Context, seq uint64) ([]byte, error)
	// LastSeq returns the highest number of a job in the table and in the fence.
	LastSeq(ctx context.Context) (uint64, error)

	// ReadExtras calls f for each extra whose key is at least from and below to.
	ReadExtras(ctx context.Context, from, to string, f func(key string, value []byte) error) error
	// ReadExtra returns the value under a key, or store.ErrNotFound.
	ReadExtra(ctx context.Context, key string) ([]byte, error)

	// Close ends the connections that read.
	Close()
}

// Writer is a [Session] of a [Store].
type Writer interface {
	Session
	// Commit writes a batch as a whole.
	Commit(ctx context.Context, net *Net) error
	// Adopt numbers the jobs that have no number. first returns the number
	// before the first of them; last is the highest number in the table.
	Adopt(ctx context.Context, first func(last uint64) uint64) error
}

// Store is the part of a store that does not depend on the database server.
type Store[S Writer] struct {
	store.Floor
	db      Database
	link    *Link[S]
	fence   *Fence
	asIs    bool // the store changes nothing
	skipped func(what string, err error)
}

// Config has the options of NewStore.
type Config[S Writer] struct {
	Database Database
	Link     *Link[S]
	Fence    *Fence
	AsIs     bool // the store changes nothing
	Logger   *slog.Logger
	// Skipped is called for each row that cannot be read. It may be nil.
	Skipped func(what string, err error)
}

// NewStore returns a store. It closes the link and the database.
func NewStore[S Writer](c Config[S]) *Store[S] {
	return &Store[S]{
		db: c.Database, link: c.Link, fence: c.Fence, asIs: c.AsIs,
		skipped: reportSkipped(cmp.Or(c.Logger, slog.Default()), c.Skipped),
	}
}

// Caps implements [store.Store].
func (s *Store[S]) Caps() store.Caps { return s.db.Caps() }

// TryLock implements [store.Locker].
func (s *Store[S]) TryLock(ctx context.Context, name string) error {
	if err := s.link.TryLock(ctx, name); err != nil {
		return fmt.Errorf("lock %s store: %w", s.db.Name(), err)
	}
	return nil
}

// Lost implements [store.Locker].
func (s *Store[S]) Lost() <-chan struct{} { return s.link.Lost() }

// Close implements [store.Store]. It ends all connections.
func (s *Store[S]) Close() error {
	err := s.link.Close()
	s.db.Close()
	return err
}

// Commit implements [store.Store].
func (s *Store[S]) Commit(ctx context.Context, batch []store.Op) error {
	if len(batch) == 0 {
		return nil
	}
	net := NewNet(batch)
	seqs := func() []uint64 { return net.addedSeqs() }
	err := s.link.Do(ctx, seqs, func(session S) error {
		// The limits are up to date only after the session is ready.
		if err := s.Caps().RefuseBatch(batch); err != nil {
			return err
		}
		s.fence.NoteLast(net.Highest())
		return session.Commit(ctx, net)
	})
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// LastSeq implements [store.Numbered].
func (s *Store[S]) LastSeq(ctx context.Context) (uint64, error) {
	if !s.db.HasNumbers() {
		return 0, nil
	}
	return s.db.LastSeq(ctx)
}

// Replay implements [store.Store]. Jobs that gearmand has written come last, in
// the order of their rows in the table.
func (s *Store[S]) Replay(ctx context.Context, f func(*store.Record) error) error {
	return s.replay(ctx, wholePayload, func(r *store.Record, _ int) error {
		r.Payload = bytes.Clone(r.Payload)
		return f(r)
	}, s.skipped)
}

// ReplayHeads implements [store.Reader].
func (s *Store[S]) ReplayHeads(ctx context.Context, f func(*store.Record, int) error) error {
	return s.replay(ctx, payloadSize, func(r *store.Record, size int) error {
		r.Payload = nil
		return f(r, size)
	}, s.skipped)
}

// ReadPayload implements [store.Reader].
func (s *Store[S]) ReadPayload(ctx context.Context, r *store.Record) ([]byte, error) {
	payload, err := s.db.ReadPayload(ctx, r.Seq)
	if err != nil {
		return nil, fmt.Errorf("read payload of job %d: %w", r.Seq, err)
	}
	return payload, nil
}

// Extras implements [store.Store].
func (s *Store[S]) Extras(ctx context.Context, prefix string, f func(key string, value []byte) error) error {
	err := s.link.UndoUncertain(ctx)
	if err == nil && s.db.HasExtras() {
		// The fence and the holder's note have keys that are not printable.
		err = s.db.ReadExtras(ctx, max(prefix, " "), prefix+"\x7f", f)
	}
	if err != nil {
		return fmt.Errorf("extras %q: %w", prefix, err)
	}
	return nil
}

// Extra implements [store.Store].
func (s *Store[S]) Extra(ctx context.Context, key string) (value []byte, err error) {
	if err = s.link.UndoUncertain(ctx); err == nil && !s.db.HasExtras() {
		return nil, store.ErrNotFound
	}
	if err == nil {
		value, err = s.db.ReadExtra(ctx, key)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, store.ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("extra %q: %w", key, err)
	}
	return value, nil
}

// Check implements [store.Checker]. It reads all jobs and extras, and numbers
// gearmand's jobs unless the store changes nothing.
func (s *Store[S]) Check(ctx context.Context, report func(what string)) error {
	skipped := func(what string, err error) { report(fmt.Sprintf("%s: %v", what, err)) }
	err := s.replay(ctx, wholePayload, func(*store.Record, int) error { return nil }, skipped)
	if err == nil {
		err = s.Extras(ctx, "", func(string, []byte) error { return nil })
	}
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	return nil
}

// replay passes all jobs to f. data is the requested part of their payloads.
func (s *Store[S]) replay(ctx context.Context, data string, f func(*store.Record, int) error, skipped func(string, error)) error {
	if err := s.adopt(ctx); err != nil {
		return fmt.Errorf("replay: number gearmand's jobs: %w", err)
	}
	r := &Reading{Data: data, f: f, skipped: skipped}
	if err := s.readJobs(ctx, r); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return nil
}

// adopt numbers jobs that have no number. Before that, uncertain jobs are undone.
func (s *Store[S]) adopt(ctx context.Context) error {
	if s.asIs {
		return nil
	}
	return s.link.Do(ctx, nil, func(session S) error {
		return session.Adopt(ctx, func(last uint64) uint64 { return s.AdoptFrom(time.Now(), last) })
	})
}

// readJobs reads the rows with numbers, and then the others.
func (s *Store[S]) readJobs(ctx context.Context, r *Reading) error {
	if s.db.HasNumbers() {
		r.Last = beforeFirst
		for n := PageSize; n == PageSize; {
			var err error
			if n, err = s.db.ReadPage(ctx, r); err != nil {
				return err
			}
		}
	}
	if !s.asIs {
		return nil // adopt has numbered all rows
	}
	r.Last = int64(s.AdoptFrom(time.Now(), uint64(max(r.Last, 0))))
	return s.db.ReadUnnumbered(ctx, r)
}

// reportSkipped returns a function that logs an unreadable row, leaves the row
// unchanged, and calls hook if it is not nil.
func reportSkipped(log *slog.Logger, hook func(what string, err error)) func(string, error) {
	return func(what string, err error) {
		log.Warn("a row that cannot be read is left out", "what", what, "error", err)
		if hook != nil {
			hook(what, err)
		}
	}
}
