//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"gm/pkg/store"
	"gm/pkg/store/internal/filestore"
)

// maxPayload keeps a record below the library's limit of 2,000,000,000 bytes.
const maxPayload = 1 << 30

// maxTreePayload keeps a page below the same limit. For a moment, a page may have three
// large records.
const maxTreePayload = 512 << 20

// Store is a database of Tokyo Cabinet. The first use locks and opens it. It
// implements store.Store, store.Reader, store.Numbered, store.Locker,
// store.Compacter and store.Checker.
type Store struct {
	store.Floor
	base        *filestore.Base
	path        string // of the file, without symbolic links
	isTree      bool   // the file is a B+ tree database
	endWatching func() // ends the goroutine that watches, and waits for it

	// commitMu is locked to write, open or close.
	commitMu sync.Mutex
	journal  *journal          // of a hash database
	undo     map[string][]byte // values before a batch that was made only in part
	closed   bool

	// listMu is locked to list the records, before commitMu.
	listMu sync.Mutex

	// mu is locked to call the library, after commitMu.
	mu   sync.Mutex
	db   database // nil before the first use, and after a failure
	last uint64   // the highest sequence of a job so far

	reserved uint64 // value of lastKey, or 0 if there is none. commitMu guards it

	// failPut is nil, except in tests.
	failPut func() error
}

// Open returns the store in a file. It does not read the file yet.
func Open(_ context.Context, c Config) (*Store, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	path, err := filestore.ResolvePath(c.File)
	if err != nil {
		return nil, fmt.Errorf("open store tokyocabinet:%s: %w", c.File, err)
	}
	s := &Store{
		base: filestore.NewBase("tokyocabinet:"+c.File, c.Logger, c.Skipped),
		path: path, isTree: c.isTree(), undo: make(map[string][]byte),
	}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { s.base.WatchFiles(ctx, nil) })
	s.endWatching = func() { cancel(); watching.Wait() }
	return s, nil
}

// Caps implements store.Store.
func (s *Store) Caps() store.Caps {
	most := maxPayload
	if s.isTree {
		most = maxTreePayload
	}
	return store.Caps{Durable: true, Synced: true, Atomic: true, Lists: true, MaxPayload: most, MaxValue: most}
}

// open locks and opens the database, unless that has been done. commitMu is
// held.
func (s *Store) open() error {
	if s.closed {
		return s.base.Fail("use", os.ErrClosed)
	}
	if s.db != nil { // db changes only under commitMu
		return nil
	}
	if err := s.lockFile(""); err != nil {
		return err
	}
	if err := s.base.Watch.Check(); err != nil { // without that, another database could be opened
		return s.base.Fail("open", err)
	}
	s.base.Watch.Clear()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openAndWatch()
}

// openAndWatch opens the database and watches its files. commitMu and mu are
// held.
func (s *Store) openAndWatch() error {
	if err := s.openFile(); err != nil {
		return s.base.Fail("open", filestore.MarkFull(err))
	}
	s.base.Watch.Set(s.path)
	s.base.Watch.Set(s.path + ".journal")
	s.base.Watch.Set(s.path + walSuffix)
	return nil
}

// use calls f with the library's database, and opens it first if necessary.
func (s *Store) use(ctx context.Context, f func(database) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.db == nil {
		s.mu.Unlock()
		s.commitMu.Lock()
		defer s.commitMu.Unlock()
		if err := s.open(); err != nil {
			return err
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	return f(s.db)
}

// LastSeq implements store.Numbered.
func (s *Store) LastSeq(ctx context.Context) (last uint64, err error) {
	err = s.use(ctx, func(database) error { last = s.last; return nil })
	return last, err
}

// Close implements store.Store. It leaves one file.
func (s *Store) Close() error {
	s.endWatching()
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.base.Watch.Clear()
	var errs []error
	if s.db != nil {
		// The journal is removed only if the database has all of it.
		err := errors.Join(s.db.sync(), s.db.close(), filestore.SyncFile(s.path))
		errs = append(errs, err)
		switch {
		case s.journal == nil:
		case err != nil:
			errs = append(errs, s.journal.file.Close())
		default:
			errs = append(errs, s.journal.closeAndRemove())
		}
		s.db, s.journal = nil, nil
	}
	errs = append(errs, s.base.ReleaseLock())
	if err := errors.Join(errs...); err != nil {
		return s.base.Fail("close", err)
	}
	return nil
}
