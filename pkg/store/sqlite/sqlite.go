// Package sqlite keeps jobs in an SQLite file, in the table of gearmand's
// libsqlite3 queue: either server can start on the file of the other.
//
//	FILE          the database; the only file after Close
//	FILE-wal      pages that FILE does not have yet, while the store is open or after a kill
//	FILE.lock     the holder of the store, while there is one
//	FILE.corrupt  records that were set aside, a JSON object a line
//	FILE.broken-* broken databases, as they were
//
// The table has gearmand's five columns and seven of gm's, which are NULL in
// rows that gearmand wrote. A job's rowid is its sequence, so that the order
// of the table is that of the queue, and rows that gearmand adds come last.
// Extras are in a second table, whose name ends in _gm.
//
// Its parts, from the bottom up:
//
//   - row is a job in columns, with its checksums: SQLite itself does not
//     detect damaged values;
//   - conn is a connection to the file, schema its tables and columns;
//   - page, record, tree and image read the file's pages without SQLite, and
//     salvage makes a new file from the readable part of a broken one;
//   - [Store] writes batches in transactions on one connection, and reads on
//     others.
//
// Goroutines: one watches whether the files are in their place, and one syncs
// with SyncInterval. Close ends them.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/internal/lockfile"
)

// Sync is the time at which committed batches are written to the disk. A crash
// of the process never loses any; a loss of power may.
type Sync string

const (
	SyncAlways   Sync = "always"   // before Commit returns
	SyncInterval Sync = "interval" // every Config.Interval
	SyncNever    Sync = "never"    // whenever the system does
)

// DefaultTable is the table of gearmand's --libsqlite3-table.
const DefaultTable = "gearman_queue"

// Config has the options of a Store.
type Config struct {
	File     string        // its directory must exist
	Table    string        // empty is DefaultTable
	Sync     Sync          // empty is SyncAlways
	Interval time.Duration // of SyncInterval; 0 is one second
	Logger   *slog.Logger  // nil logs nothing
	// Skipped is called for each record, or other part of the file, that cannot
	// be read and is set aside. It must not call the store.
	Skipped func(what string, err error)
}

// ParseURL returns the Config for
// sqlite:FILE[?table=NAME][&sync=always|interval|never].
func ParseURL(u *store.URL) (Config, error) {
	c := Config{File: u.Path, Table: DefaultTable, Sync: SyncAlways}
	if u.Net != nil && u.Net.Host == "" { // sqlite:///FILE
		c.File = u.Net.Path
	}
	if c.File == "" {
		return c, fmt.Errorf("store %v: want sqlite:FILE", u)
	}
	for key, values := range u.Query {
		switch key {
		case "table":
			c.Table = values[0]
		case "sync":
			c.Sync = Sync(values[0])
		default:
			return c, u.UnknownKey(key)
		}
	}
	return c, c.check()
}

func (c *Config) check() error {
	switch c.Sync {
	case SyncAlways, SyncInterval, SyncNever:
	default:
		return fmt.Errorf("store sqlite:%s: sync is %q, want always, interval or never", c.File, c.Sync)
	}
	switch {
	case c.File == "":
		return errors.New("store sqlite: no file")
	case c.Table == "" || strings.ContainsRune(c.Table, 0) || strings.HasPrefix(strings.ToLower(c.Table), "sqlite_"):
		return fmt.Errorf("store sqlite:%s: %q can't be a table", c.File, c.Table)
	}
	return nil
}

// Store is an SQLite file. The first use locks and opens it. It implements
// store.Store, store.Reader, store.Numbered, store.Locker, store.Compacter and
// store.Checker.
type Store struct {
	store.Floor
	cfg    Config
	path   string // of the file, without symbolic links
	ctx    context.Context
	cancel context.CancelFunc // ends the goroutines of the store
	wg     sync.WaitGroup
	lost   chan struct{} // never closed: a file's lock is not lost

	watch lockfile.Watch

	// mu is locked to write, open or close.
	mu     sync.Mutex
	writer *writer // nil before the first use, and after a panic
	undo   []int64 // jobs that a batch whose commit panicked may have added
	lock   *lockfile.File
	closed bool

	ready   atomic.Bool   // writer is not nil
	last    atomic.Uint64 // highest number of a job that was added
	readers readers
}

// Open returns the store in a file. It does not read the file yet.
func Open(_ context.Context, c Config) (*Store, error) {
	if c.Sync == "" {
		c.Sync = SyncAlways
	}
	if c.Table == "" {
		c.Table = DefaultTable
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
	path, err := resolve(c.File)
	if err != nil {
		return nil, fmt.Errorf("open store sqlite:%s: %w", c.File, err)
	}
	s := &Store{cfg: c, path: path, lost: make(chan struct{})}
	s.watch.Logger, s.watch.Store = c.Logger, "sqlite:"+c.File
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.watchFiles)
	s.readers.init(s.openReader)
	if c.Sync == SyncInterval {
		s.wg.Go(s.syncEvery)
	}
	return s, nil
}

// resolve returns the absolute path of a file that may not exist yet, without
// symbolic links: SQLite's other files are next to the file itself.
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
	return store.Caps{Durable: true, Synced: s.cfg.Sync == SyncAlways, Atomic: true, Lists: true, MaxPayload: maxPayload, MaxValue: maxPayload}
}

// skip reports a part of the file that is set aside.
func (s *Store) skip(what string, err error) {
	s.cfg.Logger.Warn("set aside", "store", "sqlite:"+s.cfg.File, "what", what, "err", err)
	s.cfg.Skipped(what, err)
}

// open locks and opens the file, unless that has been done. mu is held.
func (s *Store) open() (*writer, error) {
	if s.closed {
		return nil, s.fail("use", os.ErrClosed)
	}
	if s.writer != nil {
		return s.writer, nil
	}
	if err := s.lockFile(""); err != nil {
		return nil, err
	}
	if err := s.watch.Check(); err != nil { // or another database would be opened
		return nil, s.fail("open", err)
	}
	s.watch.Clear()
	s.watch.SetLock(s.lock)
	w, err := s.openFile()
	if err != nil {
		return nil, s.fail("open", err)
	}
	if err := lockfile.SyncDir(filepath.Dir(s.path)); err != nil { // FILE-wal may be new
		return nil, s.fail("open", errors.Join(err, w.conn.close()))
	}
	s.last.Store(max(s.last.Load(), w.reserved))
	s.watch.Set(s.path)
	s.watch.Set(s.path + "-wal")
	s.writer = w
	s.ready.Store(true)
	return w, nil
}

// fail wraps err with the operation that failed and the store.
func (s *Store) fail(operation string, err error) error {
	return fmt.Errorf("%s store sqlite:%s: %w", operation, s.cfg.File, err)
}

// watchFiles checks every half second that the files are in their place, until
// the store is closed.
func (s *Store) watchFiles() {
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = s.watch.Check() // which logs it
		case <-s.ctx.Done():
			return
		}
	}
}

// syncEvery writes FILE-wal to the disk at each interval, until the store is
// closed.
func (s *Store) syncEvery() {
	tick := time.NewTicker(s.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		if err := syncFile(s.path + "-wal"); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.cfg.Logger.Error("sync failed", "store", "sqlite:"+s.cfg.File, "err", err)
		}
	}
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Close implements store.Store. It leaves one file, unless another program
// has the database open.
func (s *Store) Close() error {
	s.cancel()
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.watch.Clear()
	s.ready.Store(false)
	errs := []error{s.readers.closeAll()}
	if s.writer != nil {
		errs = append(errs, s.writer.closeDatabase())
		s.writer = nil
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
