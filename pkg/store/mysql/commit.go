package mysql

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
)

const (
	// maxScript is how many bytes of statements are sent at a time, if it is
	// more than one row, and the server's packets are not smaller.
	maxScript = 2 << 20
	// maxRows is how many rows a statement has.
	maxRows = 1000
	// maxList is how many numbers a list has. MariaDB makes a table of one with
	// a thousand.
	maxList = 500
	// large is the size of a row that is sent as it is, by a prepared
	// statement, instead of in hexadecimal.
	large = 64 << 10
	// statementRest is how much of a script is left to the words around rows,
	// and to the numbers of a row.
	statementRest = 1 << 10
)

// Commit is that of [store.Store].
func (s *Store) Commit(ctx context.Context, batch []store.Op) error {
	if len(batch) == 0 {
		return nil
	}
	net := sqlstore.NewNet(batch)
	seqs := func() []uint64 { return sqlstore.Seqs(net.Adds) }
	err := s.link.Do(ctx, seqs, func(session *session) error {
		if err := s.Caps().RefuseBatch(batch); err != nil { // as the newest session has found
			return err
		}
		t := transaction{ctx: ctx, s: session}
		s.db.fence.NoteLast(net.Highest())
		t.begin()
		if err := t.all(net); err != nil {
			return err
		}
		return t.commit()
	})
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// transaction is a batch on its way. Statements are collected and sent many at
// a time; one that is alone needs no transaction around it. When a method
// returns an error, nothing is left of the transaction.
type transaction struct {
	ctx    context.Context
	s      *session
	script []byte
	count  int  // of statements in script
	begun  bool // the server has the beginning
}

// begin has the transaction fail unless the session holds the store, if it
// should. One that does nothing else has nothing to fail.
func (t *transaction) begin() {
	if t.s.db.extras && t.s.db.fence.Held() {
		t.script = append(append(t.script, t.s.fenceText()...), ';')
		t.count++
	}
}

func (t *transaction) all(net *sqlstore.Net) error {
	if err := t.dones(net.Dones); err != nil {
		return err
	}
	if err := t.updates(net.Updates); err != nil {
		return err
	}
	if err := t.adds(net.Adds); err != nil {
		return err
	}
	if err := t.deletes(net.Deletes); err != nil {
		return err
	}
	return t.puts(net.Puts)
}

// commit sends the remaining statements and the end.
func (t *transaction) commit() error {
	switch {
	case !t.begun && t.count == 0:
		return nil
	case t.begun:
		t.script = append(t.script, "COMMIT"...)
	case t.count > 1:
		t.script = append(append([]byte("START TRANSACTION;"), t.script...), "COMMIT"...)
	}
	err := t.s.outcome(t.s.exec(t.ctx, string(t.script)))
	if err != nil && t.s.Alive() && (t.begun || t.count > 1) {
		t.s.rollback()
	}
	return err
}

// flush sends the collected statements. More follows.
func (t *transaction) flush() error {
	if t.begun && t.count == 0 {
		return nil
	}
	if !t.begun {
		t.script = append([]byte("START TRANSACTION;"), t.script...)
		t.begun = true
	}
	err := t.s.exec(t.ctx, string(t.script))
	t.script, t.count = t.script[:0], 0
	return t.failed(err)
}

// failed ends the transaction if err is one.
func (t *transaction) failed(err error) error {
	if err != nil && t.s.Alive() {
		t.s.rollback()
	}
	return t.s.answered(err)
}

// scriptRoom is how many bytes of statements are sent at a time, if it is more
// than one row.
func (t *transaction) scriptRoom() int { return min(maxScript, t.s.db.limits().packet/4) }

// ended is called after each statement in script.
func (t *transaction) ended() error {
	t.script = append(t.script, ';')
	t.count++
	if len(t.script) >= t.scriptRoom() {
		return t.flush()
	}
	return nil
}

func (t *transaction) text(s string)     { t.script = append(t.script, s...) }
func (t *transaction) number(n int64)    { t.script = strconv.AppendInt(t.script, n, 10) }
func (t *transaction) string(s string)   { t.bytes([]byte(s)) }
func (t *transaction) next(i int) string { return [...]string{"", ","}[min(i, 1)] }

func (t *transaction) bytes(b []byte) {
	t.script = append(t.script, "x'"...)
	t.script = hex.AppendEncode(t.script, b)
	t.script = append(t.script, '\'')
}

func (t *transaction) bytesOrNull(b []byte) {
	if b == nil {
		t.text("NULL")
		return
	}
	t.bytes(b)
}

func sizeless[T any](T) int { return 0 }

func (t *transaction) dones(seqs []uint64) error {
	for seqs := range sqlstore.Chunks(seqs, maxList, maxScript, sizeless) {
		t.text("DELETE FROM " + t.s.db.table.jobs() + " WHERE seq IN (")
		for i, seq := range seqs {
			t.text(t.next(i))
			t.number(int64(seq))
		}
		t.text(")")
		if err := t.ended(); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) updates(records []*store.Record) error {
	for records := range sqlstore.Chunks(records, maxRows/4, maxScript, sizeless) {
		t.text("UPDATE " + t.s.db.table.jobs() + " t JOIN (")
		for i, r := range records {
			row := sqlstore.NewRow(r, anyText)
			if i > 0 {
				t.text(" UNION ALL ")
			}
			t.text("SELECT ")
			t.number(row.Seq)
			t.text(" AS s,")
			t.number(int64(row.Attempts))
			t.text(" AS a,")
			t.number(row.RunAt)
			t.text(" AS r,")
			t.number(int64(row.When))
			t.text(" AS w")
		}
		t.text(") u ON t.seq = u.s SET t.attempts = u.a, t.run_at_ms = u.r, t.when_to_run = u.w")
		if err := t.ended(); err != nil {
			return err
		}
	}
	return nil
}

// anyText is true: a VARBINARY holds all there is.
func anyText(string) bool { return true }

const addColumns = " (unique_key, function_name, priority, data, when_to_run, seq, run_at_ms, accepted_ms, attempts, " +
	"reducer, gm_unique, gm_function) VALUES "

func (t *transaction) adds(records []*store.Record) error {
	// A row that has the key already, or the number, goes.
	insert := "REPLACE INTO " + t.s.db.table.jobs() + addColumns
	for records := range sqlstore.Chunks(records, maxRows, t.scriptRoom(), hexRow) {
		if len(records) == 1 && hexRow(records[0]) > t.hexRoom() {
			if err := t.addLarge(insert, records[0]); err != nil {
				return err
			}
			continue
		}
		t.text(insert)
		for i, r := range records {
			row := sqlstore.NewRow(r, anyText)
			t.text(t.next(i))
			t.row(&row)
		}
		if err := t.ended(); err != nil {
			return err
		}
	}
	return nil
}

// hexRow returns about how many bytes a row has in a script.
func hexRow(r *store.Record) int {
	return 2*(len(r.Payload)+2*len(r.Function)+2*len(r.Unique)+len(r.Reducer)) + 256
}

// hexRoom is the size in a script of the largest row that is sent with it.
func (t *transaction) hexRoom() int { return min(2*large, t.scriptRoom()-statementRest) }

func (t *transaction) row(row *sqlstore.Row) {
	t.text("(")
	t.string(row.Key)
	t.text(",")
	t.string(row.Name)
	t.text(",")
	t.number(int64(row.Priority))
	t.text(",")
	t.bytes(row.Data)
	for _, n := range [...]int64{int64(row.When), row.Seq, row.RunAt, row.Accepted, int64(row.Attempts)} {
		t.text(",")
		t.number(n)
	}
	for _, b := range [...][]byte{row.Reducer, row.Unique, row.Function} {
		t.text(",")
		t.bytesOrNull(b)
	}
	t.text(")")
}

func (t *transaction) addLarge(insert string, r *store.Record) error {
	if err := t.flush(); err != nil {
		return err
	}
	row := sqlstore.NewRow(r, anyText)
	return t.failed(t.s.execLarge(t.ctx, insert+"(?,?,?,?,?,?,?,?,?,?,?,?)",
		row.Key, row.Name, int64(row.Priority), row.Data, int64(row.When), row.Seq, row.RunAt, row.Accepted, int64(row.Attempts),
		null(row.Reducer), null(row.Unique), null(row.Function)))
}

// null returns nil for a nil slice, which the driver would take for an empty
// one.
func null(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func (t *transaction) deletes(keys []string) error {
	size := func(key string) int { return 2*len(key) + 4 }
	for keys := range sqlstore.Chunks(keys, maxRows, t.scriptRoom(), size) {
		t.text("DELETE FROM " + t.s.db.table.extras() + " WHERE name IN (")
		for i, key := range keys {
			t.text(t.next(i))
			t.string(key)
		}
		t.text(")")
		if err := t.ended(); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) puts(puts []store.Op) error {
	insert := "REPLACE INTO " + t.s.db.table.extras() + " (name, value) VALUES "
	size := func(op store.Op) int { return 2*(len(op.Key)+len(op.Value)) + 16 }
	for puts := range sqlstore.Chunks(puts, maxRows, t.scriptRoom(), size) {
		if len(puts) == 1 && size(puts[0]) > t.hexRoom() {
			if err := t.flush(); err != nil {
				return err
			}
			if err := t.failed(t.s.execLarge(t.ctx, insert+"(?,?)", []byte(puts[0].Key), puts[0].Value)); err != nil {
				return err
			}
			continue
		}
		t.text(insert)
		for i, op := range puts {
			t.text(t.next(i) + "(")
			t.string(op.Key)
			t.text(",")
			t.bytes(op.Value)
			t.text(")")
		}
		if err := t.ended(); err != nil {
			return err
		}
	}
	return nil
}
