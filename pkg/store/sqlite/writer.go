package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"gm/internal/codec"
	"gm/pkg/store"
	"gm/pkg/store/internal/filestore"
)

// writer is the only connection that writes.
type writer struct {
	*conn
	path, table string

	begin, commit, rollback      *sqlite3.Stmt
	insert, remove, update, move *sqlite3.Stmt
	get                          *sqlite3.Stmt // selects a row by its number
	holder                       *sqlite3.Stmt // selects the number of the row with a key
	put, forget                  *sqlite3.Stmt // change extras
	pages, free                  *sqlite3.Stmt // return numbers of pages

	room

	last      uint64 // the highest number of a job that the last transaction added
	reserved  uint64 // value of lastKey
	reserving uint64 // new value of lastKey in the transaction, or 0

	new row // the row to insert
	row row // the row that get returned
}

// newWriter opens the file, and creates the missing files and tables.
func newWriter(path, table string, sync store.Sync) (w *writer, err error) {
	if err := makeFiles(path); err != nil {
		return nil, err
	}
	return newWriterOf(path, table, func(c *conn) error { return prepareFile(c, table, sync) })
}

// newWriterOf opens the file and calls prepare on it.
func newWriterOf(path, table string, prepare func(*conn) error) (w *writer, err error) {
	err = protect(func() error {
		w, err = newEngineWriter(path, table, prepare)
		return err
	})
	return w, err
}

func newEngineWriter(path, table string, prepare func(*conn) error) (*writer, error) {
	c, err := dial(path, true)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: c, path: path, table: table, room: room{reserve: reserve}}
	err = prepare(c)
	c.WALHook(func(_ *sqlite3.Conn, _ string, pages int) error {
		w.logged = pages
		return nil
	})
	if err == nil {
		err = w.prepareAll()
	}
	if err == nil {
		err = w.readReserved()
	}
	if err == nil {
		var size *sqlite3.Stmt
		if size, err = w.prepare("PRAGMA page_size"); err == nil {
			w.pageSize, err = w.queryNumber(size)
		}
	}
	if err == nil {
		w.logged, err = w.loggedPages()
	}
	if err != nil {
		_ = c.close()
		return nil, err
	}
	return w, nil
}

// makeFiles creates the database, if it does not exist, and its file for shared memory.
// Both are for this user only: the engine would create them for everybody.
func makeFiles(path string) error {
	if _, err := filestore.MakeFile(path); err != nil {
		return err
	}
	if made, err := filestore.MakeFile(path + "-shm"); err != nil || !made {
		return err
	}
	return filestore.KeepMode(path+"-shm", path)
}

func (w *writer) prepareAll() error {
	jobs, extras := quote(w.table), quote(extrasTable(w.table))
	for _, statement := range []struct {
		to  **sqlite3.Stmt
		sql string
	}{
		{&w.begin, "BEGIN IMMEDIATE"},
		{&w.commit, "COMMIT"},
		{&w.rollback, "ROLLBACK"},
		{&w.insert, "INSERT INTO " + jobs + " (rowid, " + columnList + ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"},
		{&w.remove, "DELETE FROM " + jobs + " WHERE rowid = ?"},
		{&w.update, "UPDATE " + jobs + " SET attempts = ?2, run_at_ms = ?3, when_to_run = ?4, gm_crc = (gm_crc >> 32 << 32) | ?5 WHERE rowid = ?1"},
		{&w.move, "UPDATE " + jobs + " SET rowid = ?2 WHERE rowid = ?1"},
		{&w.get, "SELECT rowid, " + columnList + " FROM " + jobs + " WHERE rowid = ?"},
		{&w.holder, "SELECT rowid FROM " + jobs + " WHERE unique_key = ? AND function_name = ?"},
		{&w.put, "INSERT INTO " + extras + " (key, value, crc) VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET value = ?2, crc = ?3"},
		{&w.forget, "DELETE FROM " + extras + " WHERE key = ?"},
		{&w.pages, "PRAGMA page_count"},
		{&w.free, "PRAGMA freelist_count"},
	} {
		stmt, err := w.prepare("%s", statement.sql)
		if err != nil {
			return err
		}
		*statement.to = stmt
	}
	return nil
}

// lastKey is the key of an extra for the store itself. Its value is above the
// number of any job so far, 8 bytes, little-endian: the last job may be gone.
// It is raised by numberBlock at a time, so that few batches write it.
const (
	lastKey     = "gm:last-number"
	numberBlock = 1 << 16
)

// readReserved reads the value under lastKey.
func (w *writer) readReserved() error {
	return w.queryEach("SELECT value, crc FROM "+quote(extrasTable(w.table))+" WHERE key = '"+lastKey+"'", func(stmt *sqlite3.Stmt) error {
		value := stmt.ColumnBlob(0, nil)
		if len(value) == 8 && stmt.ColumnInt64(1) == extraSum(lastKey, value) {
			w.reserved = binary.LittleEndian.Uint64(value)
		}
		return nil
	})
}

// reserveNumber makes lastKey's number at least that of a job, in the current
// transaction.
func (w *writer) reserveNumber(seq uint64) error {
	w.last = max(w.last, seq)
	if seq <= max(w.reserved, w.reserving) {
		return nil
	}
	w.reserving = seq + numberBlock
	if err := w.putExtra(lastKey, binary.LittleEndian.AppendUint64(nil, w.reserving)); err != nil {
		return fmt.Errorf("reserve numbers: %w", err)
	}
	return nil
}

// closeDatabase closes the connection, and leaves the database in one file, as gearmand
// does.
func (w *writer) closeDatabase() error {
	_ = w.Exec("PRAGMA busy_timeout = 200")
	// If another program has the database open, it stays in two files, which
	// gearmand can read too.
	_ = w.Exec("PRAGMA journal_mode = DELETE")
	return w.conn.close()
}

// transact calls f in a transaction. With an error other than a *store.UncertainError,
// nothing of it is stored. A transaction that adds something is refused unless the disk
// has room for its commit and for a checkpoint.
func (w *writer) transact(ctx context.Context, adds bool, f func() error) (err error) {
	w.last, w.reserving = 0, 0
	if w.cramped {
		if err := w.beginWAL(); err != nil && adds {
			return err
		}
	}
	err = w.during(ctx, func() error {
		if adds {
			if err := w.afterCommit(); err != nil { // it may have failed after the last commit
				return err
			}
		}
		if err := w.begin.Exec(); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		if err := f(); err != nil || !adds {
			return err
		}
		return w.makeRoom()
	})
	if err == nil {
		if err = protect(w.commit.Exec); err == nil {
			w.reserved = max(w.reserved, w.reserving)
			_ = w.afterCommit() // the next transaction that adds something tries again
			return nil
		}
		err = fmt.Errorf("commit: %w", err)
		if errors.Is(err, sqlite3.IOERR) || isPanic(err) {
			// FILE-wal may have the whole transaction, and SQLite may find it there
			// after a crash. The next commit overwrites it or, after a panic, undoes it.
			defer func() { err = &store.UncertainError{Err: err} }()
		}
	}
	if !isPanic(err) && !w.GetAutocommit() {
		err = errors.Join(err, protect(func() error { _ = w.rollback.Exec(); return nil }))
	}
	return markFull(err, w.path)
}

// applyBatch makes the changes of a batch in the current transaction.
func (w *writer) applyBatch(batch []store.Op) error {
	for i := range batch {
		op := &batch[i]
		var err error
		switch op.Kind {
		case store.Add:
			err = w.addJob(op.Record)
		case store.Done:
			err = w.removeRow(int64(op.Record.Seq))
		case store.Update:
			err = w.reschedule(op.Record)
		case store.Put:
			err = w.putExtra(op.Key, op.Value)
		case store.Delete:
			err = w.forgetExtra(op.Key)
		}
		if err != nil {
			return fmt.Errorf("%v: %w", op.Kind, err)
		}
	}
	return nil
}

// addJob writes a job's row.
func (w *writer) addJob(j *store.Record) error {
	if err := w.reserveNumber(j.Seq); err != nil {
		return err
	}
	w.new.setJob(j)
	return w.replaceRow(&w.new)
}

// insertRow inserts a row. If another row has its number or key, the error is
// sqlite3.CONSTRAINT.
func (w *writer) insertRow(r *row) error {
	b := binder{stmt: w.insert}
	b.number(1, r.id)
	b.text(2, r.key)
	b.text(3, r.function)
	b.number(4, r.priority)
	b.blob(5, r.data)
	b.number(6, r.when)
	if r.foreign {
		for i := range len(columns) - gearmandColumns {
			b.null(7 + i)
		}
	} else {
		b.number(7, r.seq)
		b.number(8, r.runAt)
		b.number(9, r.accepted)
		b.number(10, r.attempts)
		b.blobOrNull(11, r.reducer)
		b.blobOrNull(12, r.unique)
		b.number(13, r.sum)
	}
	err := b.exec()
	if len(r.data) >= heavyPayload {
		// Otherwise the engine would hold this payload in memory together with the
		// next one.
		err = errors.Join(err, w.insert.ClearBindings())
		w.heavy = true
	}
	return err
}

// replaceRow inserts a row in place of rows with its number or key. SQLite's own REPLACE
// would trust its index, which may be damaged, and could remove another job.
func (w *writer) replaceRow(r *row) error {
	for range 3 {
		err := w.insertRow(r)
		if !errors.Is(err, sqlite3.CONSTRAINT) {
			return err
		}
		id := r.id
		there, err := w.findRow(id)
		if err != nil {
			return err
		}
		if !there {
			if id, err = w.holderOf(r.key, r.function); err != nil {
				return err
			}
		}
		if err := w.removeRow(id); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: a key belongs to a row that does not exist", errBroken)
}

// holderOf returns the number of the row that has a key.
func (w *writer) holderOf(key, function []byte) (id int64, err error) {
	defer w.holder.Reset()
	b := binder{stmt: w.holder}
	b.text(1, key)
	b.text(2, function)
	if b.err != nil {
		return 0, b.err
	}
	if !w.holder.Step() {
		return 0, errors.Join(w.holder.Err(), fmt.Errorf("%w: a key exists and is not found", errBroken))
	}
	id = w.holder.ColumnInt64(0)
	there, err := w.findRow(id)
	if err != nil {
		return 0, err
	}
	if !there || !bytes.Equal(w.row.key, key) || !bytes.Equal(w.row.function, function) {
		return 0, fmt.Errorf("%w: the index has a key for another row", errBroken)
	}
	return id, nil
}

// findRow reads the row with a number into w.row, where it is valid until the next call
// of any method. It reports whether the row exists.
func (w *writer) findRow(id int64) (bool, error) {
	_ = w.get.Reset()
	if err := w.get.BindInt64(1, id); err != nil {
		return false, err
	}
	if !w.get.Step() {
		return false, w.get.Err()
	}
	err := w.row.scan(w.get)
	w.heavy = w.heavy || len(w.row.data) >= heavyPayload
	return true, err
}

// queryNumber returns the result of a statement without arguments.
func (w *writer) queryNumber(stmt *sqlite3.Stmt) (n int64, err error) {
	if stmt.Step() {
		n = stmt.ColumnInt64(0)
	}
	return n, errors.Join(stmt.Err(), stmt.Reset())
}

// removeRow removes the row with a number, if it exists.
func (w *writer) removeRow(id int64) error {
	_ = w.get.Reset()
	b := binder{stmt: w.remove}
	b.number(1, id)
	return b.exec()
}

// moveRow gives a row another number.
func (w *writer) moveRow(from, to int64) error {
	_ = w.get.Reset()
	b := binder{stmt: w.move}
	b.number(1, from)
	b.number(2, to)
	return b.exec()
}

// reschedule writes the run time and the attempts of a job.
func (w *writer) reschedule(j *store.Record) error {
	seq, attempts := int64(j.Seq), int64(j.Attempts)
	b := binder{stmt: w.update}
	b.number(1, seq)
	b.number(2, attempts)
	b.number(3, j.RunAt)
	b.number(4, codec.Seconds(j.RunAt))
	b.number(5, int64(scheduleSum(seq, j.RunAt, attempts)))
	return b.exec()
}

func (w *writer) putExtra(key string, value []byte) error {
	b := binder{stmt: w.put}
	b.text(1, []byte(key))
	b.blob(2, value)
	b.number(3, extraSum(key, value))
	return b.exec()
}

func (w *writer) forgetExtra(key string) error {
	b := binder{stmt: w.forget}
	b.text(1, []byte(key))
	return b.exec()
}
