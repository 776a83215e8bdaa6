package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"

	"gm/pkg/store"
)

// A full disk is met by what adds something, before it is committed, and by
// nothing else. For that, the disk is asked for blocks
//
//   - of FILE for all pages that the database has, so that what is in FILE-wal
//     can always be brought into it, and FILE-wal begin anew in its old blocks;
//   - of FILE-wal for a little, so that there is always some for what is done.
const (
	// checkpointPages is how long FILE-wal gets before it is brought into
	// FILE, in pages. A queue's pages are written again and again, and only
	// the last counts.
	checkpointPages = 4000
	// walRoom is what FILE-wal has at least, in bytes: some hundred jobs can be
	// done in it at a time.
	walRoom = 1 << 20
	// sparePages is how many free pages FILE has, or blocks for more: an update
	// may take some.
	sparePages = 64
	// FILE gets its blocks many at a time, if there are many.
	minChunk, maxChunk = 1 << 20, 64 << 20
)

// room is what a writer knows of the disk.
type room struct {
	reserve  func(path string, size int64) error // but for tests, reserve
	pageSize int64
	file     int64 // bytes of FILE for which there are blocks, as far as we asked
	wal      int64 // of FILE-wal
	logged   int   // pages in FILE-wal

	// cramped: the disk had no room for FILE-wal when the file was opened.
	cramped bool
	tried   time.Time // when it was looked for room last
	sync    Sync      // that of the store, for when there is room
}

// loggedPages returns how many pages FILE-wal may have.
func (w *writer) loggedPages() (int, error) {
	size, err := fileSize(w.path + "-wal")
	return int(max(0, size-walHeader) / (frameHeader + w.pageSize)), err
}

// openCramped opens the file on a full disk, for the reason why: without
// FILE-wal. Its jobs can be read and done; what adds something is refused until
// there is room. What is changed is kept in memory while it is written, so that
// a kill at that moment may damage the file.
func (s *Store) openCramped(why error) (*writer, error) {
	w, err := newWriterOf(s.path, s.cfg.Table, func(c *conn) error { return prepareCramped(c, s.cfg.Table) })
	if err != nil {
		return nil, errors.Join(why, err)
	}
	w.cramped, w.sync = true, s.cfg.Sync
	s.cfg.Logger.Warn("the disk is full: jobs are handed out and done, and none is taken", "store", "sqlite:"+s.cfg.File, "err", why)
	return w, nil
}

// prepareCramped writes the content of FILE-wal into the file and does without it.
// The lock keeps others out meanwhile, and spares the file for shared memory.
func prepareCramped(c *conn, table string) error {
	for _, pragma := range []string{"locking_mode = EXCLUSIVE", "journal_mode = MEMORY", "cache_size = -16000", "locking_mode = NORMAL"} {
		if _, err := c.text("PRAGMA " + pragma); err != nil {
			return err
		}
	}
	return migrate(c, table) // which gives up the lock
}

// lookEvery is how often the writer of a full disk looks for room.
const lookEvery = 100 * time.Millisecond

// beginLog has the writer use FILE-wal if the disk has room for it by now.
func (w *writer) beginLog() error {
	if time.Since(w.tried) < lookEvery {
		return store.ErrFull
	}
	w.tried = time.Now()
	if err := w.probeRoom(); err != nil {
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

// probeRoom sees whether the disk has room for FILE-wal and what goes with it.
func (w *writer) probeRoom() error {
	f, err := os.CreateTemp(filepath.Dir(w.path), filepath.Base(w.path)+".room-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, walRoom+256<<10))
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// errNoReserve says that a system or a file system can't be asked for blocks.
var errNoReserve = errors.New("room can't be reserved")

// makeRoom asks for the room that is needed once the transaction, whose writes
// are all made, is committed.
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

// refusal returns the error of what adds something after the disk was asked
// for room. One that can't be asked is met later, as is one on which there is
// no FILE-wal.
func refusal(err error) error {
	switch {
	case err == nil || errors.Is(err, errNoReserve) || errors.Is(err, fs.ErrNotExist):
		return nil
	case isRoomError(err):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return fmt.Errorf("reserve room on the disk: %w", err)
}

// committed is called after each commit: FILE-wal is brought into FILE when it
// is long enough. What can't be for now is tried again after the next.
func (w *writer) committed() error {
	if w.logged < checkpointPages {
		return nil
	}
	return w.checkpoint(sqlite3.CHECKPOINT_PASSIVE)
}

// checkpoint brings FILE-wal into FILE, as far as nobody reads what was there
// before.
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

// startOver has the next transaction begin at the start of FILE-wal, whose
// blocks are there, and says whether that is another place than before.
func (w *writer) startOver() bool {
	before := w.logged
	return before > 0 && w.checkpoint(sqlite3.CHECKPOINT_RESTART) == nil && w.logged < before
}
