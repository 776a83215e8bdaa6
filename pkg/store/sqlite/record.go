package sqlite

import "encoding/binary"

// value is a column of a record as SQLite writes it.
type value struct {
	kind valueKind
	n    int64  // of an integer
	b    []byte // of text and blobs; it points into the record
}

type valueKind uint8

const (
	null valueKind = iota
	integer
	text
	blob
	float // nothing here uses its value
)

// varint returns the number that b begins with and its length, or a length of 0
// if there is none.
func varint(b []byte) (v int64, n int) {
	for n = 0; n < 8 && n < len(b); n++ {
		v = v<<7 | int64(b[n]&0x7f)
		if b[n] < 0x80 {
			return v, n + 1
		}
	}
	if n < 8 || len(b) < 9 {
		return 0, 0
	}
	return v<<8 | int64(b[8]), 9
}

// parseRecord returns the columns of a record. It reports whether the record is
// whole.
func parseRecord(b []byte) (values []value, ok bool) {
	size, n := varint(b)
	if n == 0 || size < int64(n) || size > int64(len(b)) {
		return nil, false
	}
	head, body := b[n:size], b[size:]
	for len(head) > 0 {
		kind, n := varint(head)
		if n == 0 || len(values) > 2000 {
			return nil, false
		}
		head = head[n:]
		v, length, ok := parseValue(kind, body)
		if !ok {
			return nil, false
		}
		body = body[length:]
		values = append(values, v)
	}
	return values, true
}

func parseValue(kind int64, b []byte) (v value, length int, ok bool) {
	switch {
	case kind == 0:
		return value{}, 0, true
	case kind == 8, kind == 9:
		return value{kind: integer, n: kind - 8}, 0, true
	case kind <= 7 && kind > 0:
		length = [...]int{0, 1, 2, 3, 4, 6, 8, 8}[kind]
	case kind >= 12 && (kind-12)/2 <= int64(len(b)):
		length = int(kind-12) / 2
	default:
		return value{}, 0, false
	}
	if length > len(b) {
		return value{}, 0, false
	}
	b = b[:length]
	switch {
	case kind >= 12 && kind%2 == 0:
		return value{kind: blob, b: b}, length, true
	case kind >= 12:
		return value{kind: text, b: b}, length, true
	case kind == 7:
		return value{kind: float}, length, true
	}
	var wide [8]byte
	if b[0] >= 0x80 {
		wide = [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	copy(wide[8-length:], b)
	return value{kind: integer, n: int64(binary.BigEndian.Uint64(wide[:]))}, length, true
}

// rowOf returns a record of the jobs' table as a row. It reports whether the
// types of its columns are those of the table.
func rowOf(id int64, values []value) (*row, bool) {
	if len(values) < gearmandColumns || len(values) > len(columns) {
		return nil, false
	}
	values = append(values, make([]value, len(columns)-len(values))...)
	for i, v := range values {
		switch columns[i].kind {
		case "TEXT":
			if v.kind != text {
				return nil, false
			}
		case "INTEGER":
			if v.kind != integer && v.kind != null {
				return nil, false
			}
		case "BLOB":
			if v.kind != blob && v.kind != null {
				return nil, false
			}
		}
	}
	r := &row{
		id:  id,
		key: values[0].b, function: values[1].b, priority: values[2].n, data: values[3].b, when: values[4].n,
		seq: values[5].n, runAt: values[6].n, accepted: values[7].n, attempts: values[8].n,
		reducer: values[9].b, unique: values[10].b, sum: values[11].n,
		foreign: true,
	}
	for _, v := range values[gearmandColumns:] {
		if v.kind != null {
			r.foreign = false
		}
	}
	return r, true
}
