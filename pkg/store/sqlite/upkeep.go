package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/ncruces/go-sqlite3"

	"gm/internal/codec"
)

// Compact implements store.Compacter. Other calls wait for it.
func (s *Store) Compact(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, err := s.open()
	if err != nil {
		return err
	}
	if err := s.readers.pause(); err != nil {
		s.base.Log.Warn("close reader", "err", err)
	}
	defer s.readers.resume()
	err = w.during(ctx, func() error { return w.compactFile() })
	if err != nil {
		return s.base.Fail("compact", markFull(err, s.path))
	}
	return nil
}

// compactFile rewrites the database without free pages.
func (w *writer) compactFile() error {
	before, err := w.firstMoved()
	if err != nil {
		return err
	}
	defer func() { w.file, w.wal = 0, 0 }() // VACUUM frees the reserved blocks
	if err := w.Exec("VACUUM"); err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	if _, _, err := w.WALCheckpoint("main", sqlite3.CHECKPOINT_TRUNCATE); err != nil && !errors.Is(err, sqlite3.BUSY) {
		return fmt.Errorf("checkpoint: %w", err)
	}
	// SQLite does not promise to keep the numbers of rows, but does so for a table
	// that has an index.
	after, err := w.firstMoved()
	if err == nil && before != after {
		err = errors.New("vacuum has numbered the rows anew: close the store and open it again")
	}
	return err
}

// firstMoved returns "1" if the number of the first row is not its sequence, and "0"
// otherwise.
func (w *writer) firstMoved() (string, error) {
	return w.queryText("SELECT id <> seq FROM (SELECT rowid AS id, seq FROM " + quote(w.table) + " ORDER BY rowid LIMIT 1)")
}

// Check implements store.Checker. It needs no lock.
func (s *Store) Check(ctx context.Context, report func(what string)) error {
	if _, err := os.Stat(s.path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if damage, err := walDamage(s.path); err != nil {
		return s.base.Fail("check", err)
	} else if damage != "" {
		report(damage)
	}
	c, err := dial(s.path, false)
	if err != nil {
		return s.base.Fail("check", err)
	}
	defer c.close()
	// A checkpoint would change the file.
	if _, err := c.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true); err != nil {
		return s.base.Fail("check", err)
	}
	err = c.during(ctx, func() error { return c.checkTables(s.cfg.Table, report) })
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case isBroken(err):
		report(err.Error())
	case err != nil:
		return s.base.Fail("check", err)
	}
	return nil
}

// checkTables runs SQLite's own check, and verifies every row.
func (c *conn) checkTables(table string, report func(what string)) error {
	err := c.queryEach("PRAGMA integrity_check", func(stmt *sqlite3.Stmt) error {
		if what := stmt.ColumnText(0); what != "ok" {
			report(what)
		}
		return nil
	})
	if err != nil {
		return err
	}
	found, err := columnsOf(c, table)
	if err != nil {
		return err
	}
	if len(found) == len(columns) {
		var r row
		err := c.queryEach("SELECT rowid, "+columnList+" FROM "+quote(table)+" NOT INDEXED", func(stmt *sqlite3.Stmt) error {
			if err := r.scan(stmt); err != nil {
				return err
			}
			if err := r.verify(); err != nil {
				report(fmt.Sprintf("row %d: %v", r.id, err))
			} else if !r.isScheduled() {
				report(fmt.Sprintf("row %d: the run time was changed by another program", r.id))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if found, err = columnsOf(c, extrasTable(table)); err != nil || len(found) == 0 {
		return err
	}
	return c.queryEach("SELECT key, value, crc FROM "+quote(extrasTable(table)), func(stmt *sqlite3.Stmt) error {
		key := stmt.ColumnText(0)
		sum := stmt.ColumnInt64(2)
		if extraSum(key, stmt.ColumnRawBlob(1)) != sum {
			report(fmt.Sprintf("extra %q: %v", key, codec.ErrChecksum))
		}
		return nil
	})
}
