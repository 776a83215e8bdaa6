// Package sqlite keeps jobs in an SQLite file, in the table of gearmand's
// libsqlite3 queue: one server can be stopped and the other started on it.
//
//	FILE          the database, in the last resort the only file
//	FILE-wal      what is not in it yet, while the store is open or after a kill
//	FILE.lock     who has the store, while somebody has
//	FILE.corrupt  records that were set aside, a JSON object a line
//	FILE.broken-* databases that were broken, as they were found
//
// The table has gearmand's five columns and seven of gm's, which are NULL in
// rows that gearmand wrote. A job's rowid is its sequence, so that the order
// of the table is that of the queue, and rows that gearmand adds come last.
// Extras are in a second table, whose name ends in _gm.
//
// Its parts, from the bottom up:
//
//   - row is a job in columns, with its checksums: SQLite itself hands back
//     what it finds, right or wrong;
//   - conn is a connection to the file, schema what has to be there;
//   - page, record, tree and image read the file's pages without SQLite, and
//     salvage makes a new file of what can be read of a broken one;
//   - [Store] puts batches into transactions on the one connection that
//     writes, and reads on others.
//
// Goroutines: one that watches whether the files are still there, and one that
// syncs with SyncInterval. Close ends them.
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
	"gm/pkg/store/lockfile"
)

// Sync says when what was committed is brought to the disk. The end of the
// process, by whatever means, loses nothing in any case; the end of the
// machine may.
type Sync string

const (
	SyncAlways   Sync = "always"   // before Commit returns
	SyncInterval Sync = "interval" // every Config.Interval
	SyncNever    Sync = "never"    // when the system likes to
)

// DefaultTable is the table of gearmand's --libsqlite3-table.
const DefaultTable = "gearman_queue"

// Config is how a Store is opened.
type Config struct {
	File     string        // its directory must be there
	Table    string        // empty is DefaultTable
	Sync     Sync          // empty is SyncAlways
	Interval time.Duration // of SyncInterval; 0 is a second
	Logger   *slog.Logger  // nil logs nothing
	// Skipped is told of each thing that can't be read and is set aside: a
	// record, or a part of the file. It must not call the store.
	Skipped func(what string, err error)
}

// ParseURL returns the Config of
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

// Store is an SQLite file. It is locked and opened when it is first used. It
// has the methods of store.Store, store.Reader, store.Numbered, store.Locker,
// store.Compacter and store.Checker.
type Store struct {
	store.Floor
	cfg    Config
	path   string // of the file, without symbolic links
	ctx    context.Context
	cancel context.CancelFunc // ends what runs in the background
	wg     sync.WaitGroup
	lost   chan struct{} // never closed: the lock of a file is not lost

	watch lockfile.Watch

	// mu is held by whoever writes, opens or closes.
	mu     sync.Mutex
	writer *writer // nil before the first use, and after a panic
	undo   []int64 // jobs that a batch may have added whose commit panicked
	lock   *lockfile.File
	closed bool

	ready   atomic.Bool   // writer is there
	last    atomic.Uint64 // no job above it was added
	readers readers
}

// Open returns the store in a file. The file is not looked at yet.
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

// resolve returns the absolute path of a file that may not be there yet, with
// no symbolic link in it: SQLite's other files are beside the file itself.
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

// skip reports a thing that is set aside.
func (s *Store) skip(what string, err error) {
	s.cfg.Logger.Warn("set aside", "store", "sqlite:"+s.cfg.File, "what", what, "err", err)
	s.cfg.Skipped(what, err)
}

// open takes the lock and opens the file, unless that has been done. mu is
// held.
func (s *Store) open() (*writer, error) {
	if s.closed {
		return nil, s.fail("use", os.ErrClosed)
	}
	if s.writer != nil {
		return s.writer, nil
	}
	if err := s.take(""); err != nil {
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

// fail adds to err what failed and where.
func (s *Store) fail(what string, err error) error {
	return fmt.Errorf("%s store sqlite:%s: %w", what, s.cfg.File, err)
}

// watchFiles looks every half second whether the files are still there, until
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
	errs := []error{s.readers.close()}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
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
