// Package sqlite keeps jobs in an SQLite file, in the table of gearmand's
// libsqlite3 queue: either server can start on the file of the other.
//
//	FILE          the database; the only file after Close
//	FILE-wal      pages that FILE does not have yet; only while the store is open or after a kill
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
// with store.SyncInterval. Close ends them.
package sqlite

import (
	"cmp"
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
	"gm/pkg/store/internal/filestore"
)

// DefaultTable is the default of gearmand's option --libsqlite3-table.
const DefaultTable = "gearman_queue"

// Config has the options of a Store.
type Config struct {
	File     string        // its directory must exist
	Table    string        // empty is DefaultTable
	Sync     store.Sync    // empty is store.SyncAlways
	Interval time.Duration // of store.SyncInterval; 0 is one second
	Logger   *slog.Logger  // nil logs nothing
	// Skipped is called for each record, or other part of the file, that cannot
	// be read and is set aside. It must not call the store.
	Skipped func(what string, err error)
}

// ParseURL returns the Config for
// sqlite:FILE[?table=NAME][&sync=always|interval|never].
func ParseURL(u *store.URL) (Config, error) {
	c := Config{File: u.File(), Table: DefaultTable, Sync: store.SyncAlways}
	if c.File == "" {
		return c, fmt.Errorf("store %v: want sqlite:FILE", u)
	}
	options, err := u.Options("table", "sync")
	if err != nil {
		return c, err
	}
	if options.Has("table") {
		c.Table = options.Get("table")
	}
	if options.Has("sync") {
		c.Sync = store.Sync(options.Get("sync"))
	}
	return c, c.check()
}

func (c *Config) check() error {
	if err := c.Sync.Check(); err != nil {
		return fmt.Errorf("store sqlite:%s: %w", c.File, err)
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
	base   *filestore.Base
	cfg    Config
	path   string // of the file, without symbolic links
	ctx    context.Context
	cancel context.CancelFunc // ends the goroutines of the store
	wg     sync.WaitGroup

	// mu is locked to write, open or close.
	mu     sync.Mutex
	writer *writer // nil before the first use, and after a panic
	undo   []int64 // jobs that a batch whose commit panicked may have added
	closed bool

	ready   atomic.Bool   // true while writer is not nil
	last    atomic.Uint64 // highest number of a job that was added
	readers readers
}

// Open returns the store in a file. It does not read the file yet.
func Open(_ context.Context, c Config) (*Store, error) {
	c.Sync = cmp.Or(c.Sync, store.SyncAlways)
	c.Table = cmp.Or(c.Table, DefaultTable)
	if err := c.check(); err != nil {
		return nil, err
	}
	path, err := filestore.ResolvePath(c.File)
	if err != nil {
		return nil, fmt.Errorf("open store sqlite:%s: %w", c.File, err)
	}
	s := &Store{base: filestore.NewBase("sqlite:"+c.File, c.Logger, c.Skipped), cfg: c, path: path}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(func() { s.base.WatchFiles(s.ctx, nil) })
	s.readers.init(s.openReader)
	if c.Sync == store.SyncInterval {
		s.wg.Go(func() { s.base.SyncEvery(s.ctx, c.Interval, s.syncWAL) })
	}
	return s, nil
}

// Caps implements store.Store.
func (s *Store) Caps() store.Caps {
	return store.Caps{Durable: true, Synced: s.cfg.Sync == store.SyncAlways, Atomic: true, Lists: true, MaxPayload: maxPayload, MaxValue: maxPayload}
}

// open locks and opens the file, unless that has been done. mu is held.
func (s *Store) open() (*writer, error) {
	if s.closed {
		return nil, s.base.Fail("use", os.ErrClosed)
	}
	if s.writer != nil {
		return s.writer, nil
	}
	if err := s.lockFile(""); err != nil {
		return nil, err
	}
	if err := s.base.Watch.Check(); err != nil { // without that, another database could be opened
		return nil, s.base.Fail("open", err)
	}
	s.base.Watch.Clear()
	w, err := s.openFile()
	if err != nil {
		return nil, s.base.Fail("open", err)
	}
	if err := filestore.SyncDir(filepath.Dir(s.path)); err != nil { // FILE-wal may be new
		return nil, s.base.Fail("open", errors.Join(err, w.conn.close()))
	}
	s.last.Store(max(s.last.Load(), w.reserved))
	s.base.Watch.Set(s.path)
	s.base.Watch.Set(s.path + "-wal")
	s.writer = w
	s.ready.Store(true)
	return w, nil
}

// syncWAL writes FILE-wal to the disk, if it exists.
func (s *Store) syncWAL() error {
	err := filestore.SyncFile(s.path + "-wal")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Close implements store.Store. It leaves one file, unless another program
// has the database open.
func (s *Store) Close() error {
	s.cancel()
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.base.Watch.Clear()
	s.ready.Store(false)
	errs := []error{s.readers.closeAll()}
	if s.writer != nil {
		errs = append(errs, s.writer.closeDatabase())
		s.writer = nil
	}
	errs = append(errs, s.base.ReleaseLock())
	if err := errors.Join(errs...); err != nil {
		return s.base.Fail("close", err)
	}
	return nil
}
