package sqlite

import "github.com/ncruces/go-sqlite3"

// binder binds a statement's arguments, which are numbered from 1. After an error it
// does nothing.
type binder struct {
	stmt *sqlite3.Stmt
	err  error
}

func (b *binder) number(i int, v int64) {
	if b.err == nil {
		b.err = b.stmt.BindInt64(i, v)
	}
}

// text binds bytes as text. Nil is empty.
func (b *binder) text(i int, v []byte) {
	if b.err == nil {
		b.err = b.stmt.BindText(i, string(v))
	}
}

// blob binds bytes. Nil is empty, not NULL, which gearmand does not accept.
func (b *binder) blob(i int, v []byte) {
	if v == nil {
		v = []byte{}
	}
	b.blobOrNull(i, v)
}

// blobOrNull binds bytes. Nil is NULL.
func (b *binder) blobOrNull(i int, v []byte) {
	if b.err == nil {
		b.err = b.stmt.BindBlob(i, v)
	}
}

func (b *binder) null(i int) {
	if b.err == nil {
		b.err = b.stmt.BindNull(i)
	}
}

// exec runs the statement to its end.
func (b *binder) exec() error {
	if b.err == nil {
		b.err = b.stmt.Exec()
	}
	return b.err
}
