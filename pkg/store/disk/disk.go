// Package disk keeps jobs in a file on a local disk, which bbolt writes. It is the
// store of a server without a database.
//
//	DIR/queue.db          the jobs
//	DIR/queue.log.0, .1   the last batches, which queue.db does not have yet
//	DIR/lock              the holder of the directory, while there is one
//	DIR/corrupt.log       records that were set aside, a JSON object a line
//	DIR/queue.db.broken-* broken files, as they were
//
// While the store makes or replaces queue.db, the new file has another name
// (queue.db.new, .compact, .salvage): one rename puts it in its place. If a kill
// leaves such a file, the next start logs it.
//
// Its parts, from the bottom up:
//
//   - fsys, a package below, changes the files;
//   - boltfile, a package below, reads bbolt's pages with checks of its own and
//     without a map of the file, so that a broken or truncated file is an error
//     and not a fault; it reserves room on the disk, and opens the file with
//     bbolt, which writes it;
//   - engine is the open file of jobs: a boltfile.File and the sealing of its
//     checksums;
//   - openFile verifies a file before bbolt opens it; salvage makes a new file of
//     the readable part of a broken one;
//   - wal is the log: two small files, to which batches are written in turn, and
//     which are read only if a process did not close the store. Each start of the
//     store gives them a new salt, so that no payload can pass for a batch;
//   - [Store] writes batches to the log. A checkpoint writes the batches of one of
//     its files in a transaction while the other file fills. The store shrinks
//     queue.db when most of it is free.
//
// With --sync interval only the log is synced late: transactions of queue.db
// always sync, so that a power loss takes no more than the last batches.
//
// A batch in the log is durable after one write and one sync of blocks that exist
// already; bbolt writes whole pages and syncs twice. A job whose end is in the same
// file of the log never gets into queue.db.
//
// A record has its own CRC, with a salt of the file, see sealing: no payload can
// pass for a record when a broken file is salvaged. A file of an earlier version
// gets a salt when it is opened. A payload of more than 2 KiB is kept in pieces
// under keys of their own. Small records share a key, see pack, because the cost
// of a checkpoint depends on the number of keys.
//
// Goroutines: two write the log into the file, one watches the files, one at a
// time compacts, and one syncs with store.SyncInterval. Close ends them.
package disk

import (
	"cmp"
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
	"gm/pkg/store/disk/fsys"
	"gm/pkg/store/internal/filestore"
)

// Config has the options of a Store.
type Config struct {
	Dir      string        // created if it does not exist
	Sync     store.Sync    // empty is store.SyncAlways
	Interval time.Duration // of store.SyncInterval; 0 is one second
	Logger   *slog.Logger  // nil logs nothing
	// Skipped is called for each record, or other part of the file, that cannot
	// be read and is set aside. It must not call the store.
	Skipped func(what string, err error)
}

// ParseURL returns the Config for disk:DIR[?sync=always|interval|never].
func ParseURL(u *store.URL) (Config, error) {
	c := Config{Dir: u.Path, Sync: store.SyncAlways}
	if u.Net != nil || u.Path == "" {
		return c, fmt.Errorf("store %v: want disk:DIR", u)
	}
	options, err := u.Options("sync")
	if err != nil {
		return c, err
	}
	if options.Has("sync") {
		c.Sync = store.Sync(options.Get("sync"))
	}
	return c, c.check()
}

func (c *Config) check() error {
	if err := c.Sync.Check(); err != nil {
		return fmt.Errorf("store disk:%s: %w", c.Dir, err)
	}
	if c.Dir == "" {
		return errors.New("store disk: no directory")
	}
	return nil
}

// Store is a directory with a file of jobs. The first use locks the directory and
// opens the file. It implements store.Store, store.Reader, store.Locker,
// store.Compacter, store.Checker and store.Numbered.
type Store struct {
	base   *filestore.Base
	cfg    Config
	ctx    context.Context // ends the goroutines of the store
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// The mutexes, in the order in which they are locked.

	compactMu sync.Mutex // locked during a compaction

	// commitMu is locked during a commit.
	commitMu sync.Mutex
	encoder  encoder
	undo     []uint64 // jobs whose Add failed but may be in the file

	// fileMu is locked while the file is written.
	fileMu     sync.Mutex
	logged     []entry   // buffer for the log's entries
	arena      arena     // for values, reused by each transaction
	changed    changes   // entries that were written since a compaction began, or nil
	failed     time.Time // time of the last failure of a compaction
	compacting bool      // the store has started a compaction
	stuck      time.Time // time of the last report that the log cannot be written into the file

	appended chan struct{} // buffered: the log has a new batch

	pieces atomic.Uint64 // the last job of the file whose payload is in pieces

	// mu is locked for reading while engine is used, and for writing while it
	// is replaced.
	mu      sync.RWMutex
	engine  *engine // nil before the first use
	sealing sealing // of the file, set with the first engine
	wal     *wal    // set with the first engine; it stays
	closed  bool

	files fsys.FS
	// reserve is fsys.Reserve, except in tests.
	reserve func(f *os.File, from, size int64) error
	// renewBelow is the maximum size in bytes of a file of the first form that
	// is written anew when it is opened: compactAbove, except in tests.
	renewBelow int64
}

// Open returns the store in a directory. It does not read the file yet.
func Open(_ context.Context, c Config) (*Store, error) {
	c.Sync = cmp.Or(c.Sync, store.SyncAlways)
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := filestore.MakeDirs(c.Dir); err != nil {
		return nil, fmt.Errorf("open store disk:%s: %w", c.Dir, err)
	}
	s := &Store{
		base: filestore.NewBase("disk:"+c.Dir, c.Logger, c.Skipped),
		cfg:  c, appended: make(chan struct{}, 1), reserve: fsys.Reserve, renewBelow: compactAbove,
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.flushLate)
	s.wg.Go(func() { s.base.WatchFiles(s.ctx, s.shrinkIdle) }) // compacts a file that is mostly free
	if c.Sync == store.SyncInterval {
		s.wg.Go(func() { s.base.SyncEvery(s.ctx, c.Interval, s.syncLog) })
	}
	return s, nil
}

func (s *Store) file() string { return filepath.Join(s.cfg.Dir, "queue.db") }

func (s *Store) walFile(i int) string {
	return filepath.Join(s.cfg.Dir, fmt.Sprintf("queue.log.%d", i))
}

// The limits of bbolt: values below 2 GiB, which are written in one piece, and keys
// of 32 KiB. With addresses of 32 bits, values are smaller.
const (
	maxValue = 1 << (28 + 2*(^uint(0)>>63))
	maxKey   = bolt.MaxKeySize
)

// Caps implements store.Store.
func (s *Store) Caps() store.Caps {
	return store.Caps{Durable: true, Synced: s.cfg.Sync == store.SyncAlways, Atomic: true, Lists: true, MaxPayload: maxValue, MaxValue: maxValue, MaxKey: maxKey}
}

// Lost implements store.Locker. The channel is never closed: a file's lock lasts
// as long as the process.
func (s *Store) Lost() <-chan struct{} { return s.base.Lost() }

// use calls f with the engine, and opens it first if necessary. f must not call
// use.
func (s *Store) use(f func(*engine) error) error {
	for {
		s.mu.RLock()
		if s.engine != nil && !s.engine.Broken() {
			defer s.mu.RUnlock()
			return f(s.engine)
		}
		s.mu.RUnlock()
		if err := s.openEngine(); err != nil {
			return err
		}
	}
}

// openEngine locks the directory and opens the file, unless that has been done. It
// opens, and so verifies, a file again whose engine is broken.
func (s *Store) openEngine() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("store disk:%s: %w", s.cfg.Dir, os.ErrClosed)
	}
	if err := s.lockDir(""); err != nil {
		return err
	}
	if s.engine != nil && s.engine.Broken() {
		s.engine.Abandon()
		s.engine = nil
	}
	if s.engine != nil {
		return nil
	}
	if err := s.base.Watch.Check(); err != nil { // or another directory would be opened
		return err
	}
	s.base.Watch.Clear()
	e, err := s.openFile()
	if err != nil {
		return fmt.Errorf("open %s: %w", s.file(), err)
	}
	if s.wal == nil {
		if s.wal, err = s.recoverLog(e); err != nil {
			return errors.Join(fmt.Errorf("open %s: %w", s.walFile(0), err), e.Close())
		}
	}
	s.engine, s.sealing = e, e.sealing
	s.base.Watch.Set(s.file())
	for i := range s.wal.segments {
		if s.wal.files {
			s.base.Watch.Set(s.walFile(i))
		}
	}
	return nil
}

// syncLog writes the log to the disk, if it is open.
func (s *Store) syncLog() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.engine == nil || s.engine.Broken() {
		return nil
	}
	return s.wal.syncFiles() // each transaction syncs the file itself
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
	logged := s.wal != nil && s.flushLogLocked() != nil // the next start reads the log
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.base.Watch.Clear()
	var errs []error
	if e := s.engine; e != nil {
		if !logged && !e.Broken() {
			errs = append(errs, s.forgetLog(e, s.wal))
		}
		errs = append(errs, e.Close())
		s.engine = nil
	}
	if s.wal != nil { // it stays, empty, for readers
		errs = append(errs, s.wal.close())
	}
	errs = append(errs, s.base.ReleaseLock())
	if err := errors.Join(errs...); err != nil {
		return s.base.Fail("close", err)
	}
	return nil
}
