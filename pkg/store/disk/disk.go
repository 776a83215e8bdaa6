// Package disk keeps jobs in a file on local disk, written by bbolt: the store
// of a server that has no database.
//
//	DIR/queue.db          the jobs
//	DIR/queue.log.0, .1   what was committed last and is not in queue.db yet
//	DIR/lock              who has the directory, while somebody has
//	DIR/corrupt.log       records that were set aside, a JSON object a line
//	DIR/queue.db.broken-* files that were broken, as they were found
//
// While the store makes or replaces queue.db, the new file has another name
// (queue.db.new, .compact, .salvage): one rename puts it in its place. Whatever
// a kill leaves of these, the next start logs.
//
// Its parts, from the bottom up:
//
//   - fsys makes all changes to files but bbolt's;
//   - tree, page and walk read bbolt's pages with checks of their own and
//     without a map of the file, so that a broken or truncated file is an
//     error and not a fault;
//   - engine is the open file: bbolt for what is written, tree for what is
//     read;
//   - openFile verifies a file before bbolt may have it; salvage makes a new
//     one of what can be read of a broken one;
//   - wal is the log: two small files that batches are written to, one after
//     the other, and that are read only when a process that had the store did
//     not close it. Each start of the store salts them, so that no payload can
//     pass for a batch;
//   - [Store] puts batches into the log; a checkpoint puts what one of its files
//     has into a transaction while the other fills. It shrinks queue.db when
//     most of it is free.
//
// With --sync interval only the log is synced late: transactions of queue.db
// sync as ever, so that a power loss takes no more than the last batches.
//
// A batch in the log is durable after one write and one sync of blocks that the
// disk has already, where bbolt has to write its pages anew and sync twice. A
// job whose end is in the same file of the log never gets into queue.db.
//
// A record carries its own CRC, into which a salt of the file is mixed, see
// sealing: no payload can pass for a record when a broken file is salvaged. A
// file of an earlier version gets a salt when it is opened. A payload of more than 2 KiB is kept apart
// from it, in pieces. Small records share a key, see pack: what a checkpoint
// costs goes by the number of keys.
//
// Goroutines: two that put the log into the file, one that watches the files, one at a time that compacts, and one that syncs with
// SyncInterval. Close ends them.
package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
	"gm/pkg/store/lockfile"
)

// Sync says when what was committed is brought to the disk. The end of the
// process, by whatever means, loses nothing in any case; the end of the machine
// may. With SyncInterval it takes no more than the batches since the last sync.
// With SyncNever it can leave the file broken.
type Sync string

const (
	SyncAlways   Sync = "always"   // before Commit returns
	SyncInterval Sync = "interval" // every Config.Interval
	SyncNever    Sync = "never"    // when the system likes to
)

// Config is how a Store is opened.
type Config struct {
	Dir      string        // made if it is not there
	Sync     Sync          // empty is SyncAlways
	Interval time.Duration // of SyncInterval; 0 is a second
	Logger   *slog.Logger  // nil logs nothing
	// Skipped is told of each thing that can't be read and is set aside: a
	// record, or a part of the file. It must not call the store.
	Skipped func(what string, err error)
}

// ParseURL returns the Config of disk:DIR[?sync=always|interval|never].
func ParseURL(u *store.URL) (Config, error) {
	c := Config{Dir: u.Path, Sync: SyncAlways}
	if u.Net != nil || u.Path == "" {
		return c, fmt.Errorf("store %v: want disk:DIR", u)
	}
	for key, values := range u.Query {
		if key != "sync" {
			return c, u.UnknownKey(key)
		}
		c.Sync = Sync(values[0])
	}
	return c, c.check()
}

func (c *Config) check() error {
	switch c.Sync {
	case SyncAlways, SyncInterval, SyncNever:
	default:
		return fmt.Errorf("store disk:%s: sync is %q, want always, interval or never", c.Dir, c.Sync)
	}
	if c.Dir == "" {
		return errors.New("store disk: no directory")
	}
	return nil
}

// Store is a directory. The file in it is opened, and the directory taken,
// when the store is first used. It has the methods of store.Store,
// store.Reader, store.Locker, store.Compacter and store.Checker.
type Store struct {
	cfg    Config
	ctx    context.Context // of what runs in the background
	cancel context.CancelFunc
	wg     sync.WaitGroup
	lost   chan struct{} // never closed: the lock of a file is not lost

	// The locks, in the order in which they are taken.

	compactMu sync.Mutex // held by a compaction

	// commitMu is held by whoever commits.
	commitMu sync.Mutex
	encoder  encoder
	undo     []uint64 // jobs whose Add failed but may be in the file

	// fileMu is held by whoever writes the file.
	fileMu     sync.Mutex
	logged     []entry   // room for what the log has
	arena      arena     // for values, kept from transaction to transaction
	changed    changes   // what was written since a compaction began, or nil
	failed     time.Time // when a compaction failed last
	compacting bool      // one has been started by itself
	stuck      time.Time // when the log could not be put into the file, as last told

	appended chan struct{} // buffered: something is in the log

	pieces atomic.Uint64 // the last job of the file whose payload is in pieces

	// mu is held for reading while engine is used, and for writing while it
	// is changed.
	mu      sync.RWMutex
	engine  *engine // nil before the first use
	sealing sealing // of the file, set with the first engine
	wal     *wal    // set with the first engine, and stays
	lock    *lockfile.File
	closed  bool

	files fsys
	watch lockfile.Watch
	// reserve is that of the engine, except in tests.
	reserve func(f *os.File, from, size int64) error
	// renewBelow is the size in bytes up to which a file of the first form is
	// written anew when it is opened: compactAbove, except in tests.
	renewBelow int64
}

// Open returns the store in a directory. The file in it is not read yet.
func Open(_ context.Context, c Config) (*Store, error) {
	if c.Sync == "" {
		c.Sync = SyncAlways
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Interval <= 0 {
		c.Interval = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Skipped == nil {
		c.Skipped = func(string, error) {}
	}
	if err := lockfile.MakeDirs(c.Dir); err != nil {
		return nil, fmt.Errorf("open store disk:%s: %w", c.Dir, err)
	}
	s := &Store{cfg: c, lost: make(chan struct{}), appended: make(chan struct{}, 1), reserve: reserve, renewBelow: compactAbove}
	s.watch.Logger, s.watch.Store = c.Logger, "disk:"+c.Dir
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.settleLate)
	s.wg.Go(s.watchFiles)
	if c.Sync == SyncInterval {
		s.wg.Go(s.syncEvery)
	}
	return s, nil
}

func (s *Store) file() string { return filepath.Join(s.cfg.Dir, "queue.db") }

func (s *Store) walFile(i int) string {
	return filepath.Join(s.cfg.Dir, fmt.Sprintf("queue.log.%d", i))
}

// skip reports a thing that is set aside.
func (s *Store) skip(what string, err error) {
	s.cfg.Logger.Warn("set aside", "store", "disk:"+s.cfg.Dir, "what", what, "err", err)
	s.cfg.Skipped(what, err)
}

// What bbolt takes: values below 2 GiB, which are written in one piece, and keys
// of 32 KiB. Where addresses have 32 bits, values are smaller.
const (
	maxValue = 1 << (28 + 2*(^uint(0)>>63))
	maxKey   = bolt.MaxKeySize
)

// Caps implements store.Store.
func (s *Store) Caps() store.Caps {
	return store.Caps{Durable: true, Synced: s.cfg.Sync == SyncAlways, Atomic: true, Lists: true, MaxPayload: maxValue, MaxValue: maxValue, MaxKey: maxKey}
}

// Lost implements store.Locker. It is never closed: a lock on a file goes with
// the process.
func (s *Store) Lost() <-chan struct{} { return s.lost }

// use calls f with the engine, which is opened if need be. f must not call it
// again.
func (s *Store) use(f func(*engine) error) error {
	for {
		s.mu.RLock()
		if s.engine != nil && !s.engine.broken.Load() {
			defer s.mu.RUnlock()
			return f(s.engine)
		}
		s.mu.RUnlock()
		if err := s.open(); err != nil {
			return err
		}
	}
}

// open takes the directory and opens the file, unless that has been done. A
// file whose engine is broken is opened anew, and so verified.
func (s *Store) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("store disk:%s: %w", s.cfg.Dir, os.ErrClosed)
	}
	if err := s.take(""); err != nil {
		return err
	}
	if s.engine != nil && s.engine.broken.Load() {
		s.engine.abandon()
		s.engine = nil
	}
	if s.engine != nil {
		return nil
	}
	if err := s.watch.Check(); err != nil { // or another directory would be opened
		return err
	}
	s.watch.Clear()
	s.watch.SetLock(s.lock)
	e, err := s.openFile()
	if err != nil {
		return fmt.Errorf("open %s: %w", s.file(), err)
	}
	e.reserve = func(f *os.File, from, size int64) error { return s.reserve(f, from, size) }
	if s.wal == nil {
		if s.wal, err = s.recover(e); err != nil {
			return errors.Join(fmt.Errorf("open %s: %w", s.walFile(0), err), e.close())
		}
	}
	s.engine, s.sealing = e, e.sealing
	s.watch.Set(s.file())
	for i := range s.wal.segments {
		if s.wal.files {
			s.watch.Set(s.walFile(i))
		}
	}
	return nil
}

// watchFiles looks every half second whether the files are still there and the
// file is mostly free, until the store is closed.
func (s *Store) watchFiles() {
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = s.watch.Check() // which logs it
			s.shrinkIdle()
		case <-s.ctx.Done():
			return
		}
	}
}

// syncEvery brings what was committed to the disk, again and again, until the
// store is closed.
func (s *Store) syncEvery() {
	tick := time.NewTicker(s.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		if err := s.sync(); err != nil {
			s.cfg.Logger.Error("sync failed", "store", "disk:"+s.cfg.Dir, "err", err)
		}
	}
}

// sync brings what was committed to the disk, if the file is open.
func (s *Store) sync() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.engine == nil || s.engine.broken.Load() {
		return nil
	}
	return s.wal.sync() // each transaction syncs the file itself
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.commitMu.Lock()
	s.fileMu.Lock()
	s.cancel() // nothing is started from now on
	s.fileMu.Unlock()
	s.commitMu.Unlock()
	s.wg.Wait()
	s.compactMu.Lock()
	defer s.compactMu.Unlock()
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	logged := s.wal != nil && s.flush() != nil // and read at the next start
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.watch.Clear()
	var errs []error
	if e := s.engine; e != nil {
		if !logged && !e.broken.Load() {
			errs = append(errs, s.forget(e, s.wal))
		}
		errs = append(errs, e.close())
		s.engine = nil
	}
	if s.wal != nil { // which stays for who reads still: it is empty
		errs = append(errs, s.wal.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Release())
		s.lock = nil
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close store disk:%s: %w", s.cfg.Dir, err)
	}
	return nil
}
