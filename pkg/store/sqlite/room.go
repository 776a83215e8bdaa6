package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/ncruces/go-sqlite3"

	"gm/pkg/store"
	"gm/pkg/store/internal/filestore"
)

// Only a transaction that adds something meets a full disk, and it does so
// before its commit. For that, the writer reserves blocks
//
//   - of FILE for all pages of the database, so that FILE-wal can always be
//     written into it and start again in its old blocks;
//   - of FILE-wal for a few pages, so that jobs can always be removed.
const (
	// checkpointPages is the number of pages of FILE-wal after which it is
	// written into FILE. A queue's pages are written many times, and only the
	// last version of each must be copied.
	checkpointPages = 4000
	// walRoom is the minimum room of FILE-wal in bytes: a transaction can
	// remove some hundred jobs in it.
	walRoom = 1 << 20
	// sparePages is the minimum number of free pages in FILE, or of blocks for
	// more: an update may need some.
	sparePages = 64
	// A large FILE gets many blocks at a time.
	minChunk, maxChunk = 1 << 20, 64 << 20
)

// room is the state of the disk that a writer knows.
type room struct {
	reserve  func(path string, size int64) error // reserve, except in tests
	pageSize int64
	file     int64 // bytes of FILE whose blocks were reserved
	wal      int64 // of FILE-wal
	logged   int   // pages in FILE-wal

	// cramped: the disk had no room for FILE-wal when the file was opened.
	cramped bool
	tried   time.Time  // time of the last look for room
	sync    store.Sync // of the store, used as soon as there is room
}

// loggedPages returns the maximum number of pages in FILE-wal.
func (w *writer) loggedPages() (int, error) {
	size, err := filestore.FileSize(w.path + "-wal")
	return int(max(0, size-walHeader) / (frameHeader + w.pageSize)), err
}

// openCramped opens the file without FILE-wal, because the disk is full, as why
// says. Jobs can be read and removed; transactions that add something are
// refused until there is room. The old pages are only in memory while a
// transaction is written, so that a kill at that moment may damage the file.
func (s *Store) openCramped(why error) (*writer, error) {
	w, err := newWriterOf(s.path, s.cfg.Table, func(c *conn) error { return prepareCramped(c, s.cfg.Table) })
	if err != nil {
		return nil, errors.Join(why, err)
	}
	w.cramped, w.sync = true, s.cfg.Sync
	s.base.Log.Warn("the disk is full: jobs are assigned and finished, but no new job is accepted", "err", why)
	return w, nil
}

// prepareCramped writes the content of FILE-wal into the file, which has none
// from then on. The lock excludes others meanwhile, so that no file for shared
// memory is needed.
func prepareCramped(c *conn, table string) error {
	for _, pragma := range []string{"locking_mode = EXCLUSIVE", "journal_mode = MEMORY", "cache_size = -16000", "locking_mode = NORMAL"} {
		if _, err := c.text("PRAGMA " + pragma); err != nil {
			return err
		}
	}
	return migrate(c, table) // which releases the lock
}

// lookEvery is the minimum time between two looks for room on a full disk.
const lookEvery = 100 * time.Millisecond

// beginLog makes the writer use FILE-wal if the disk has room for it now.
func (w *writer) beginLog() error {
	if time.Since(w.tried) < lookEvery {
		return store.ErrFull
	}
	w.tried = time.Now()
	// FILE-wal and its file for shared memory need that much.
	if err := filestore.ProbeRoom(w.path, walRoom+256<<10); err != nil {
		return refusal(err)
	}
	if err := makeFiles(w.path); err != nil {
		return refusal(err)
	}
	err := prepareFile(w.conn, w.table, w.sync)
	if err != nil {
		_, again := w.text("PRAGMA journal_mode = MEMORY")
		return errors.Join(outOfRoom(err, w.path), again)
	}
	w.cramped = false
	return nil
}

// errNoReserve is returned by reserve if a system or a file system cannot
// reserve blocks.
var errNoReserve = errors.New("room can't be reserved")

// makeRoom reserves the room that the commit of a complete transaction needs.
func (w *writer) makeRoom() error {
	pages, err := w.number(w.pages)
	if err != nil {
		return err
	}
	if w.wal < walRoom {
		if err := refusal(w.reserve(w.path+"-wal", walRoom)); err != nil {
			return err
		}
		w.wal = walRoom
	}
	if w.file >= (pages+sparePages)*w.pageSize {
		return nil
	}
	free, err := w.number(w.free)
	if err != nil {
		return err
	}
	size := (pages + max(0, sparePages-free)) * w.pageSize
	if w.file >= size {
		return nil
	}
	chunk := min(max(w.file/8, minChunk), maxChunk)
	more := max(size, w.file+chunk)
	if err = w.reserve(w.path, more); isRoomError(err) {
		more = size
		err = w.reserve(w.path, more)
	}
	if err := refusal(err); err != nil {
		return err
	}
	w.file = more
	return nil
}

// refusal returns the error of a transaction that adds something, after an
// attempt to reserve room ended with err. If blocks cannot be reserved, or
// there is no FILE-wal, the commit meets a full disk later.
func refusal(err error) error {
	switch {
	case err == nil || errors.Is(err, errNoReserve) || errors.Is(err, fs.ErrNotExist):
		return nil
	case isRoomError(err):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return fmt.Errorf("reserve room on the disk: %w", err)
}

// committed is called after each commit. It writes a long FILE-wal into FILE.
// If that fails, the next call tries again.
func (w *writer) committed() error {
	if w.logged < checkpointPages {
		return nil
	}
	return w.checkpoint(sqlite3.CHECKPOINT_PASSIVE)
}

// checkpoint writes FILE-wal into FILE, except pages whose old version somebody
// reads.
func (w *writer) checkpoint(mode sqlite3.CheckpointMode) error {
	logged, moved, err := w.WALCheckpoint("main", mode)
	w.file = 0 // FILE was cut to its length
	switch {
	case errors.Is(err, sqlite3.BUSY):
		return nil
	case err != nil:
		return fmt.Errorf("checkpoint: %w", outOfRoom(err, w.path))
	case logged == moved:
		w.logged = 0
	}
	return nil
}

// startOver makes the next transaction begin at the start of FILE-wal, which
// has blocks there. It reports whether that is another place than before.
func (w *writer) startOver() bool {
	before := w.logged
	return before > 0 && w.checkpoint(sqlite3.CHECKPOINT_RESTART) == nil && w.logged < before
}
