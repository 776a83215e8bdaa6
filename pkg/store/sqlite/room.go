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

// A full disk must fail only transactions that add something, and these before their
// commit. Therefore the writer reserves blocks
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
	// minFreePages is the minimum number of pages that are free in FILE or for which
	// blocks are reserved: an update may need some.
	minFreePages = 64
	// minChunk and maxChunk limit the number of bytes that are reserved at a time. A
	// large FILE gets more.
	minChunk, maxChunk = 1 << 20, 64 << 20
)

// room is the state of the disk that a writer knows.
type room struct {
	reserve  func(path string, size int64) error // the function reserve, except in tests
	pageSize int64
	file     int64 // number of bytes of FILE whose blocks were reserved
	wal      int64 // number of bytes of FILE-wal whose blocks were reserved
	logged   int   // number of pages in FILE-wal

	// cramped is true if the disk had no room for FILE-wal when the file was opened.
	cramped bool
	tried   time.Time  // time of the last attempt to get room
	sync    store.Sync // of the store, used as soon as there is room
}

// loggedPages returns the maximum number of pages in FILE-wal.
func (w *writer) loggedPages() (int, error) {
	size, err := filestore.FileSize(w.path + "-wal")
	return int(max(0, size-walHeader) / (frameHeader + w.pageSize)), err
}

// openCramped opens the file without FILE-wal, because the disk is full; why is the
// error. Jobs can be read and removed, but transactions that add something are refused
// until there is room. While a transaction is written, the old pages are only in
// memory: a kill at that moment may damage the file.
func (s *Store) openCramped(why error) (*writer, error) {
	w, err := newWriterOf(s.path, s.cfg.Table, func(c *conn) error { return prepareCramped(c, s.cfg.Table) })
	if err != nil {
		return nil, errors.Join(why, err)
	}
	w.cramped, w.sync = true, s.cfg.Sync
	s.base.Log.Warn("the disk is full: jobs are assigned and finished, but no new job is accepted", "err", why)
	return w, nil
}

// prepareCramped writes the content of FILE-wal into the file, and makes the engine work
// without FILE-wal. The lock excludes other programs meanwhile, so that no file for
// shared memory is needed.
func prepareCramped(c *conn, table string) error {
	for _, pragma := range []string{"locking_mode = EXCLUSIVE", "journal_mode = MEMORY", "cache_size = -16000", "locking_mode = NORMAL"} {
		if _, err := c.queryText("PRAGMA " + pragma); err != nil {
			return err
		}
	}
	return migrate(c, table) // which releases the lock
}

// roomInterval is the minimum time between two attempts to get room on a full disk.
const roomInterval = 100 * time.Millisecond

// beginWAL makes the writer use FILE-wal if the disk has room for it now.
func (w *writer) beginWAL() error {
	if time.Since(w.tried) < roomInterval {
		return store.ErrFull
	}
	w.tried = time.Now()
	// FILE-wal and its file for shared memory need that much.
	if err := filestore.ProbeRoom(w.path, walRoom+256<<10); err != nil {
		return reserveError(err)
	}
	if err := makeFiles(w.path); err != nil {
		return reserveError(err)
	}
	err := prepareFile(w.conn, w.table, w.sync)
	if err != nil {
		_, again := w.queryText("PRAGMA journal_mode = MEMORY")
		return errors.Join(markFull(err, w.path), again)
	}
	w.cramped = false
	return nil
}

// errNoReserve is returned by reserve if a system or a file system cannot
// reserve blocks.
var errNoReserve = errors.New("room can't be reserved")

// makeRoom reserves the room that the commit of a complete transaction needs.
func (w *writer) makeRoom() error {
	pages, err := w.queryNumber(w.pages)
	if err != nil {
		return err
	}
	if w.wal < walRoom {
		if err := reserveError(w.reserve(w.path+"-wal", walRoom)); err != nil {
			return err
		}
		w.wal = walRoom
	}
	if w.file >= (pages+minFreePages)*w.pageSize {
		return nil
	}
	free, err := w.queryNumber(w.free)
	if err != nil {
		return err
	}
	size := (pages + max(0, minFreePages-free)) * w.pageSize
	if w.file >= size {
		return nil
	}
	chunk := min(max(w.file/8, minChunk), maxChunk)
	more := max(size, w.file+chunk)
	if err = w.reserve(w.path, more); isRoomError(err) {
		more = size
		err = w.reserve(w.path, more)
	}
	if err := reserveError(err); err != nil {
		return err
	}
	w.file = more
	return nil
}

// reserveError returns the error of a transaction that adds something, after an attempt
// to reserve room ended with err. If blocks cannot be reserved or FILE-wal does not
// exist, that is no error: then a full disk fails the commit.
func reserveError(err error) error {
	switch {
	case err == nil || errors.Is(err, errNoReserve) || errors.Is(err, fs.ErrNotExist):
		return nil
	case isRoomError(err):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return fmt.Errorf("reserve room on the disk: %w", err)
}

// afterCommit is called after each commit. It writes a long FILE-wal into FILE. If that
// fails, the next call tries again.
func (w *writer) afterCommit() error {
	if w.logged < checkpointPages {
		return nil
	}
	return w.checkpoint(sqlite3.CHECKPOINT_PASSIVE)
}

// checkpoint writes FILE-wal into FILE, except pages whose old version a connection
// still reads.
func (w *writer) checkpoint(mode sqlite3.CheckpointMode) error {
	logged, moved, err := w.WALCheckpoint("main", mode)
	w.file = 0 // the checkpoint has freed the reserved blocks
	switch {
	case errors.Is(err, sqlite3.BUSY):
		return nil
	case err != nil:
		return fmt.Errorf("checkpoint: %w", markFull(err, w.path))
	case logged == moved:
		w.logged = 0
	}
	return nil
}

// rewindWAL makes the next transaction begin at the start of FILE-wal, which has blocks
// there. It reports whether it would have begun at another place.
func (w *writer) rewindWAL() bool {
	before := w.logged
	return before > 0 && w.checkpoint(sqlite3.CHECKPOINT_RESTART) == nil && w.logged < before
}
