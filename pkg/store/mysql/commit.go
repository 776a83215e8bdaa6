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
	// maxScript is the maximum number of bytes of statements that are sent at a
	// time. A single row may have more, and the server's packets may be smaller.
	maxScript = 2 << 20
	// maxRows is the maximum number of rows of a statement.
	maxRows = 1000
	// maxList is the maximum number of elements of a list. MariaDB makes a
	// temporary table of a list of a thousand.
	maxList = 500
	// largeRow is the size of a row that is sent as bytes, in a prepared
	// statement, instead of in hexadecimal digits.
	largeRow = 64 << 10
	// statementRest is the part of a script that is reserved for the words around
	// rows and for the numbers of a row.
	statementRest = 1 << 10
)

// Commit implements [sqlstore.Writer].
func (s *session) Commit(ctx context.Context, net *sqlstore.Net) error {
	t := transaction{ctx: ctx, s: s}
	t.begin()
	if err := t.addNet(net); err != nil {
		return err
	}
	return t.commit()
}

// Adopt implements [sqlstore.Writer]. Rows without a primary key are in the order
// in which they were written, and so are the index entries of rows without a
// number.
func (s *session) Adopt(ctx context.Context, first func(last uint64) uint64) error {
	jobs := s.db.table.jobs()
	found, err := s.query(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM "+jobs+" WHERE seq IS NULL LIMIT 1) n")
	if err != nil || string(found[0][0]) == "0" {
		return err
	}
	highest, err := s.db.LastSeq(ctx)
	if err != nil {
		return fmt.Errorf("highest number: %w", err)
	}
	t := transaction{ctx: ctx, s: s}
	t.begin()
	t.text(fmt.Sprintf("SET @gm_seq := %d; UPDATE %s SET seq = (@gm_seq := @gm_seq + 1) WHERE seq IS NULL", first(highest), jobs))
	if err := t.endStatement(); err != nil {
		return err
	}
	t.count++ // it is two statements
	return t.commit()
}

// transaction is a batch that is being sent. Statements are collected and sent
// many at a time. A single statement needs no transaction around it. When a
// method returns an error, the transaction is rolled back.
type transaction struct {
	ctx    context.Context
	s      *session
	script []byte
	count  int  // of statements in script
	begun  bool // the server has the first statements
}

// begin adds the statement that fails unless the session still holds the store.
// A store that nobody has locked has no such statement.
func (t *transaction) begin() {
	if t.s.db.extras && t.s.db.fence.Held() {
		t.script = append(append(t.script, t.s.fenceText()...), ';')
		t.count++
	}
}

// addNet adds the statements of a batch.
func (t *transaction) addNet(net *sqlstore.Net) error {
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

// commit sends the remaining statements and the end of the transaction.
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

// flush sends the collected statements. More statements follow.
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
	return t.endFailed(err)
}

// endFailed rolls the transaction back if err is not nil, and marks err.
func (t *transaction) endFailed(err error) error {
	if err != nil && t.s.Alive() {
		t.s.rollback()
	}
	return t.s.mark(err)
}

// scriptRoom returns the maximum number of bytes of statements that are sent at a
// time. A single row may have more.
func (t *transaction) scriptRoom() int { return min(maxScript, t.s.db.limits().packet/4) }

// endStatement ends a statement in script.
func (t *transaction) endStatement() error {
	t.script = append(t.script, ';')
	t.count++
	if len(t.script) >= t.scriptRoom() {
		return t.flush()
	}
	return nil
}

func (t *transaction) text(s string)   { t.script = append(t.script, s...) }
func (t *transaction) number(n int64)  { t.script = strconv.AppendInt(t.script, n, 10) }
func (t *transaction) string(s string) { t.bytes([]byte(s)) }

// comma returns the separator before element i of a list.
func (t *transaction) comma(i int) string { return [...]string{"", ","}[min(i, 1)] }

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

func (t *transaction) dones(seqs []uint64) error {
	for seqs := range sqlstore.Chunks(seqs, maxList, maxScript, sqlstore.NoSize) {
		t.text("DELETE FROM " + t.s.db.table.jobs() + " WHERE seq IN (")
		for i, seq := range seqs {
			t.text(t.comma(i))
			t.number(int64(seq))
		}
		t.text(")")
		if err := t.endStatement(); err != nil {
			return err
		}
	}
	return nil
}

func (t *transaction) updates(records []*store.Record) error {
	for records := range sqlstore.Chunks(records, maxRows/4, maxScript, sqlstore.NoSize) {
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
		if err := t.endStatement(); err != nil {
			return err
		}
	}
	return nil
}

// anyText reports true: a VARBINARY holds any text.
func anyText(string) bool { return true }

func (t *transaction) adds(records []*store.Record) error {
	// REPLACE removes a row that has the same key or number.
	insert := "REPLACE INTO " + t.s.db.table.jobs() + " (" + sqlstore.InsertColumns + ") VALUES "
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
			t.text(t.comma(i))
			t.row(&row)
		}
		if err := t.endStatement(); err != nil {
			return err
		}
	}
	return nil
}

// hexRow returns the approximate number of bytes of a row in a script.
func hexRow(r *store.Record) int {
	return 2*(len(r.Payload)+2*len(r.Function)+2*len(r.Unique)+len(r.Reducer)) + 256
}

// hexRoom returns the maximum size of a row that is sent in a script.
func (t *transaction) hexRoom() int { return min(2*largeRow, t.scriptRoom()-statementRest) }

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
	return t.endFailed(t.s.execLarge(t.ctx, insert+"(?,?,?,?,?,?,?,?,?,?,?,?)",
		row.Key, row.Name, int64(row.Priority), row.Data, int64(row.When), row.Seq, row.RunAt, row.Accepted, int64(row.Attempts),
		orNull(row.Reducer), orNull(row.Unique), orNull(row.Function)))
}

// orNull returns nil for a nil slice, which the driver would send as an empty
// value.
func orNull(b []byte) any {
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
			t.text(t.comma(i))
			t.string(key)
		}
		t.text(")")
		if err := t.endStatement(); err != nil {
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
			if err := t.endFailed(t.s.execLarge(t.ctx, insert+"(?,?)", []byte(puts[0].Key), puts[0].Value)); err != nil {
				return err
			}
			continue
		}
		t.text(insert)
		for i, op := range puts {
			t.text(t.comma(i) + "(")
			t.string(op.Key)
			t.text(",")
			t.bytes(op.Value)
			t.text(")")
		}
		if err := t.endStatement(); err != nil {
			return err
		}
	}
	return nil
}
