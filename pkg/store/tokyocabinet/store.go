//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/internal/lockfile"
)

// maxPayload keeps a record below the library's limit of two thousand million
// bytes.
const maxPayload = 1 << 30

// maxTreePayload keeps a page, which may have three large records for a moment,
// below the same limit.
const maxTreePayload = 512 << 20

// Store is a database of Tokyo Cabinet. The first use locks and opens it. It
// implements store.Store, store.Reader, store.Numbered, store.Locker,
// store.Compacter and store.Checker.
type Store struct {
	store.Floor
	cfg    Config
	path   string        // of the file, without symbolic links
	isTree bool          // the file is a B+ tree database
	lost   chan struct{} // never closed: a file's lock is not lost

	watch lockfile.Watch
	end   func() // ends the goroutine that watches, and waits for it

	// commitMu is locked to write, open or close.
	commitMu sync.Mutex
	journal  *journal          // of a hash database
	undo     map[string][]byte // values before a batch that failed half-way
	lock     *lockfile.File
	closed   bool

	// listMu is locked to list the records, before commitMu.
	listMu sync.Mutex

	// mu is locked to call the library, after commitMu.
	mu   sync.Mutex
	hash database // nil before the first use, and after a failure
	last uint64   // the highest sequence so far

	reserved uint64 // value of lastKey, or 0 if there is none. commitMu guards it

	// failPut is nil, except in tests.
	failPut func() error
}

// Open returns the store in a file. It does not read the file yet.
func Open(_ context.Context, c Config) (*Store, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Skipped == nil {
		c.Skipped = func(string, error) {}
	}
	path, err := resolve(c.File)
	if err != nil {
		return nil, fmt.Errorf("open store tokyocabinet:%s: %w", c.File, err)
	}
	s := &Store{cfg: c, path: path, isTree: c.isTree(), lost: make(chan struct{}), undo: make(map[string][]byte)}
	s.watch.Logger, s.watch.Store = c.Logger, "tokyocabinet:"+c.File
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { s.watchFiles(ctx) })
	s.end = func() { cancel(); watching.Wait() }
	return s, nil
}

// watchFiles checks every half second that the files are in their place, until
// ctx ends.
func (s *Store) watchFiles(ctx context.Context) {
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = s.watch.Check() // which logs it
		case <-ctx.Done():
			return
		}
	}
}

// resolve returns the absolute path of a file that may not exist yet, without
// symbolic links.
func resolve(file string) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(path)), nil
}

// Caps implements store.Store.
func (s *Store) Caps() store.Caps {
	most := maxPayload
	if s.isTree {
		most = maxTreePayload
	}
	return store.Caps{Durable: true, Synced: true, Atomic: true, Lists: true, MaxPayload: most, MaxValue: most}
}

// skip reports a part of the file that is set aside.
func (s *Store) skip(what string, err error) {
	s.cfg.Logger.Warn("set aside", "store", "tokyocabinet:"+s.cfg.File, "what", what, "err", err)
	s.cfg.Skipped(what, err)
}

// fail wraps err with the operation that failed and the store.
func (s *Store) fail(operation string, err error) error {
	return fmt.Errorf("%s store tokyocabinet:%s: %w", operation, s.cfg.File, err)
}

// full wraps store.ErrFull too if err is that of a full disk.
func full(err error) error {
	for _, reason := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, reason) {
			return fmt.Errorf("%w: %w", store.ErrFull, err)
		}
	}
	return err
}

// open locks and opens the database, unless that has been done. commitMu is
// held.
func (s *Store) open() error {
	if s.closed {
		return s.fail("use", os.ErrClosed)
	}
	if s.hash != nil { // which changes only under commitMu
		return nil
	}
	if err := s.lockFile(""); err != nil {
		return err
	}
	if err := s.watch.Check(); err != nil { // or another database would be opened
		return s.fail("open", err)
	}
	s.watch.Clear()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openAndWatch()
}

// openAndWatch opens the database and watches its files. commitMu and mu are
// held.
func (s *Store) openAndWatch() error {
	if err := s.openFile(); err != nil {
		return s.fail("open", full(err))
	}
	s.watch.SetLock(s.lock)
	s.watch.Set(s.path)
	s.watch.Set(s.path + ".journal")
	s.watch.Set(s.path + walSuffix)
	return nil
}

// use calls f with the library's database, and opens it first if necessary.
func (s *Store) use(ctx context.Context, f func(database) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.hash == nil {
		s.mu.Unlock()
		s.commitMu.Lock()
		defer s.commitMu.Unlock()
		if err := s.open(); err != nil {
			return err
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	return f(s.hash)
}

// LastSeq implements store.Numbered.
func (s *Store) LastSeq(ctx context.Context) (last uint64, err error) {
	err = s.use(ctx, func(database) error { last = s.last; return nil })
	return last, err
}

// Close implements store.Store. It leaves one file.
func (s *Store) Close() error {
	s.end()
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.watch.Clear()
	var errs []error
	if s.hash != nil {
		// The journal is removed only if the database has all of it.
		err := errors.Join(s.hash.sync(), s.hash.close(), syncFile(s.path))
		errs = append(errs, err)
		switch {
		case s.journal == nil:
		case err != nil:
			errs = append(errs, s.journal.file.Close())
		default:
			errs = append(errs, s.journal.closeAndRemove())
		}
		s.hash, s.journal = nil, nil
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Release())
		s.lock = nil
	}
	if err := errors.Join(errs...); err != nil {
		return s.fail("close", err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
