package postgres

import (
	"encoding/binary"

	"gm/pkg/store/internal/sqlstore"
)

// Numbers of PostgreSQL's types.
const (
	oidBytea = 17
	oidInt8  = 20
	oidInt4  = 23
	oidText  = 25
)

// array is an array in binary form: the number of dimensions, 1 if it has NULLs, the
// type of the elements, their number, the index of the first one, and the elements,
// each after its length.
type array struct{ b []byte }

func newArray(oid uint32, n, size int, nulls bool) array {
	a := array{make([]byte, 0, 20+4*n+size)}
	flags := uint32(0)
	if nulls {
		flags = 1
	}
	for _, v := range [...]uint32{1, flags, oid, uint32(n), 1} {
		a.b = binary.BigEndian.AppendUint32(a.b, v)
	}
	return a
}

func (a *array) int4(v int32) {
	a.b = binary.BigEndian.AppendUint32(a.b, 4)
	a.b = binary.BigEndian.AppendUint32(a.b, uint32(v))
}

func (a *array) int8(v int64) {
	a.b = binary.BigEndian.AppendUint32(a.b, 8)
	a.b = binary.BigEndian.AppendUint64(a.b, uint64(v))
}

func (a *array) text(s string) {
	a.b = binary.BigEndian.AppendUint32(a.b, uint32(len(s)))
	a.b = append(a.b, s...)
}

func (a *array) blob(b []byte) {
	a.b = binary.BigEndian.AppendUint32(a.b, uint32(len(b)))
	a.b = append(a.b, b...)
}

func (a *array) blobOrNull(b []byte) {
	if b == nil {
		a.b = binary.BigEndian.AppendUint32(a.b, 0xffffffff)
		return
	}
	a.blob(b)
}

func numbers(seqs []uint64) []byte {
	a := newArray(oidInt8, len(seqs), 8*len(seqs), false)
	for _, seq := range seqs {
		a.int8(int64(seq))
	}
	return a.b
}

func texts(s []string) []byte {
	a := newArray(oidText, len(s), 32*len(s), false)
	for _, v := range s {
		a.text(v)
	}
	return a.b
}

func blobs(s [][]byte) []byte {
	size := 0
	for _, v := range s {
		size += len(v)
	}
	a := newArray(oidBytea, len(s), size, false)
	for _, v := range s {
		a.blob(v)
	}
	return a.b
}

// column returns an array with an element for each row, which f appends. size is the
// average size of an element.
func column(oid uint32, rows []sqlstore.Row, size int, nulls bool, f func(*array, *sqlstore.Row)) []byte {
	a := newArray(oid, len(rows), size*len(rows), nulls)
	for i := range rows {
		f(&a, &rows[i])
	}
	return a.b
}

// addColumns returns the arguments of table.adds.
func addColumns(rows []sqlstore.Row) []any {
	size := 0
	for i := range rows {
		size += len(rows[i].Data)
	}
	size = size/len(rows) + 1
	type a = *array
	type r = *sqlstore.Row
	return []any{
		column(oidText, rows, 24, false, func(a a, r r) { a.text(r.Key) }),
		column(oidText, rows, 24, false, func(a a, r r) { a.text(r.Name) }),
		column(oidInt4, rows, 4, false, func(a a, r r) { a.int4(r.Priority) }),
		column(oidBytea, rows, size, false, func(a a, r r) { a.blob(r.Data) }),
		column(oidInt4, rows, 4, false, func(a a, r r) { a.int4(r.When) }),
		column(oidInt8, rows, 8, false, func(a a, r r) { a.int8(r.Seq) }),
		column(oidInt8, rows, 8, false, func(a a, r r) { a.int8(r.RunAt) }),
		column(oidInt8, rows, 8, false, func(a a, r r) { a.int8(r.Accepted) }),
		column(oidInt4, rows, 4, false, func(a a, r r) { a.int4(r.Attempts) }),
		column(oidBytea, rows, 0, true, func(a a, r r) { a.blobOrNull(r.Reducer) }),
		column(oidBytea, rows, 1, true, func(a a, r r) { a.blobOrNull(r.Unique) }),
		column(oidBytea, rows, 0, true, func(a a, r r) { a.blobOrNull(r.Function) }),
	}
}

// updateColumns returns the arguments of table.updates.
func updateColumns(rows []sqlstore.Row) []any {
	type a = *array
	type r = *sqlstore.Row
	return []any{
		column(oidInt8, rows, 8, false, func(a a, r r) { a.int8(r.Seq) }),
		column(oidInt4, rows, 4, false, func(a a, r r) { a.int4(r.Attempts) }),
		column(oidInt8, rows, 8, false, func(a a, r r) { a.int8(r.RunAt) }),
		column(oidInt4, rows, 4, false, func(a a, r r) { a.int4(r.When) }),
	}
}
