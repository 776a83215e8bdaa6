package sqlite

import (
	"encoding/binary"
	"errors"
	"math"

	"gm/internal/codec"
	"gm/pkg/store"
)

// maxPayload keeps a row below SQLite's limit of a thousand million bytes. With
// addresses of 32 bits, a connection can use less memory.
const (
	maxPayload = int(has64*999_000_000 + (1-has64)*100_000_000)
	has64      = ^uint(0) >> 63 // 1 if an int has 64 bits, else 0
)

// row is a job as a row of the table. A nil field is NULL.
type row struct {
	id int64 // the rowid

	// gearmand's columns.
	key      []byte // unique_key
	function []byte
	priority int64
	data     []byte
	when     int64 // Unix time in seconds, 0 for at once

	// gm's columns.
	foreign  bool // the row has none of gm's columns
	seq      int64
	runAt    int64
	accepted int64
	attempts int64
	reducer  []byte
	unique   []byte // nil if it is the same as key
	sum      int64  // column gm_crc

	buf     []byte // for all columns except data
	scratch []byte // for checksums
}

// columns are the columns of the table, in its order: gearmand's five, and gm's.
var columns = [...]struct{ name, kind string }{
	{"unique_key", "TEXT"},
	{"function_name", "TEXT"},
	{"priority", "INTEGER"},
	{"data", "BLOB"},
	{"when_to_run", "INTEGER"},
	{"seq", "INTEGER"},
	{"run_at_ms", "INTEGER"},
	{"accepted_ms", "INTEGER"},
	{"attempts", "INTEGER"},
	{"reducer", "BLOB"},
	{"gm_unique", "BLOB"},
	{"gm_crc", "INTEGER"},
}

// columnList has the names of the columns for SQL.
const columnList = "unique_key, function_name, priority, data, when_to_run, " +
	"seq, run_at_ms, accepted_ms, attempts, reducer, gm_unique, gm_crc"

// gearmandColumns is the number of gearmand's columns.
const gearmandColumns = 5

// appendKey appends the unique_key of a job. It reports whether that is the
// job's unique. The table has only one row for each key and function. Therefore a job
// gets a key of its own if it has no unique or "-", if gearmand cannot hold its unique,
// or if the unique looks like such a key.
func appendKey(dst []byte, unique string, seq uint64) (key []byte, same bool) {
	if !codec.FitsGearmand(unique) {
		return codec.AppendUnique(dst, seq), false
	}
	return append(dst, unique...), true
}

// The column gm_crc has two checksums: the upper half covers the fields that
// never change, the lower half the time at which the job must run. So Update
// need not read the payload, and a priority or time that was changed by hand
// does not make the job unreadable.

// contentSum returns the checksum of the fields that never change.
func (r *row) contentSum() uint32 {
	unique := r.unique
	if unique == nil {
		unique = r.key
	}
	b := binary.LittleEndian.AppendUint64(r.scratch[:0], uint64(r.seq))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.accepted))
	for _, name := range [...][]byte{r.function, unique, r.reducer} {
		b = codec.AppendField(b, name)
	}
	r.scratch = b
	return codec.CRC(codec.CRC(0, b), r.data)
}

// scheduleSum returns the checksum of the run time and the attempts of a job.
func scheduleSum(seq, runAt, attempts int64) uint32 {
	var b [24]byte
	binary.LittleEndian.PutUint64(b[0:], uint64(seq))
	binary.LittleEndian.PutUint64(b[8:], uint64(runAt))
	binary.LittleEndian.PutUint64(b[16:], uint64(attempts))
	return codec.CRC(0, b[:])
}

// extraSum returns the checksum of an extra.
func extraSum(key string, value []byte) int64 {
	return int64(codec.CRC(codec.CRC(0, []byte(key)), value))
}

var errFunction = errors.New("no function")

// verify returns an error if the row is damaged.
func (r *row) verify() error {
	switch {
	case len(r.function) == 0:
		return errFunction
	case !r.foreign && r.contentSum() != uint32(uint64(r.sum)>>32):
		return codec.ErrChecksum
	}
	return nil
}

// setJob makes r the row of a job. The row uses the job's payload.
func (r *row) setJob(j *store.Record) {
	seq := int64(j.Seq)
	b := r.buf[:0]
	unique := j.Unique
	if j.Apart {
		unique = "" // for a key of its own
	}
	key, same := appendKey(b, unique, j.Seq)
	b = key
	part := func(s string) []byte {
		start := len(b)
		b = append(b, s...)
		return b[start:len(b):len(b)]
	}
	*r = row{
		id: seq, key: key[:len(key):len(key)], function: part(j.Function),
		priority: int64(j.Priority), data: j.Payload, when: codec.Seconds(j.RunAt),
		seq: seq, runAt: j.RunAt, accepted: j.Accepted, attempts: int64(j.Attempts),
		scratch: r.scratch,
	}
	if j.Reducer != "" {
		r.reducer = part(j.Reducer)
	}
	if !same {
		r.unique = part(j.Unique)
	}
	r.buf = b
	r.sum = int64(uint64(r.contentSum())<<32 | uint64(scheduleSum(seq, r.runAt, r.attempts)))
}

// isScheduled reports whether the run time is the one that gm wrote. Otherwise it is
// damaged, or another program has changed it.
func (r *row) isScheduled() bool {
	return r.foreign || codec.Seconds(r.runAt) == r.when && scheduleSum(r.seq, r.runAt, r.attempts) == uint32(r.sum)
}

// record returns the job of a row that verify accepts. Its payload is a copy, or nil if
// payload is false.
func (r *row) record(payload bool) *store.Record {
	j := &store.Record{
		Seq: uint64(r.seq), Function: string(r.function), Unique: string(r.key), Reducer: string(r.reducer),
		RunAt: max(r.runAt, 0), Accepted: r.accepted,
		Attempts: int(min(max(r.attempts, 0), math.MaxInt32)),
	}
	if r.unique != nil {
		j.Unique = string(r.unique)
	}
	if payload {
		j.Payload = append(make([]byte, 0, len(r.data)), r.data...)
	}
	j.Priority = 1
	if r.priority >= 0 && r.priority <= 2 {
		j.Priority = uint8(r.priority)
	}
	// A program that changed gearmand's column did not change gm's.
	if codec.Seconds(j.RunAt) != r.when {
		j.RunAt = min(max(r.when, 0), math.MaxInt64/1000) * 1000
	}
	return j
}
