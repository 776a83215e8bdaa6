package sqlstore

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"

	"gm/internal/codec"
	"gm/pkg/store"
)

// Row is a job as a row. The first five fields are gearmand's columns unique_key,
// function_name, priority, data and when_to_run. The others are gm's columns, which
// are NULL in a row that gearmand wrote.
type Row struct {
	Key      string // at most store.MaxGearmandUnique bytes
	Name     string // at most 255 bytes
	Priority int32
	Data     []byte
	When     int32 // Unix time in seconds, 0 for at once

	Seq      int64
	RunAt    int64 // Unix time in milliseconds
	Accepted int64
	Attempts int32
	Reducer  []byte // nil if there is none
	Unique   []byte // nil if it is Key
	Function []byte // nil if it is Name
}

// maxName is the size of gearmand's column in characters. gm uses at most as
// many bytes.
const maxName = 255

// hashPrefix and a hash are the replacement of a key or name that does not fit. A job
// without a unique has a key of codec.AppendUnique.
const hashPrefix = "gm:"

// NewRow returns r as a row. text reports whether the text columns can hold a
// string and compare it byte by byte.
//
// A job without a unique, or with "-", or that is Apart, has a generated key,
// because the table has only one row for each key and function. A unique or
// function that does not fit is replaced by a hash, and stored in gm's own
// column.
func NewRow(r *store.Record, text func(string) bool) Row {
	row := Row{
		Key: r.Unique, Name: r.Function,
		Priority: int32(r.Priority), Data: r.Payload, When: seconds(r.RunAt),
		Seq: int64(r.Seq), RunAt: r.RunAt, Accepted: r.Accepted, Attempts: int32(min(r.Attempts, math.MaxInt32)),
	}
	if r.Reducer != "" {
		row.Reducer = []byte(r.Reducer)
	}
	switch {
	case r.Unique == "" || r.Unique == "-" || r.Apart:
		row.Key, row.Unique = string(codec.AppendUnique(nil, r.Seq)), []byte(r.Unique)
	case len(r.Unique) > store.MaxGearmandUnique || isGenerated(r.Unique) || !text(r.Unique):
		row.Key, row.Unique = hashName(r.Unique), []byte(r.Unique)
	}
	if len(r.Function) > maxName || isGenerated(r.Function) || !text(r.Function) {
		row.Name, row.Function = hashName(r.Function), []byte(r.Function)
	}
	return row
}

// Record returns the job of the row. It shares the row's Data.
func (row *Row) Record() (*store.Record, error) {
	r := &store.Record{
		Seq: uint64(row.Seq), Function: row.Name, Unique: row.Key, Reducer: string(row.Reducer), Payload: row.Data,
		Priority: uint8(row.Priority), Accepted: row.Accepted, Attempts: int(row.Attempts),
	}
	if row.Unique != nil {
		r.Unique = string(row.Unique)
	}
	if row.Function != nil {
		r.Function = string(row.Function)
	}
	if row.Priority < 0 || row.Priority > 2 {
		return nil, fmt.Errorf("priority %d", row.Priority)
	}
	if r.Function == "" {
		return nil, errors.New("no function")
	}
	if row.RunAt < 0 || row.Attempts < 0 {
		return nil, fmt.Errorf("run time %d, attempts %d", row.RunAt, row.Attempts)
	}
	// A program that changed gearmand's column did not change gm's.
	if r.RunAt = row.RunAt; seconds(r.RunAt) != row.When {
		r.RunAt = max(int64(row.When), 0) * 1000
	}
	return r, nil
}

// seconds returns a time in milliseconds as seconds, limited to the column's range.
func seconds(milliseconds int64) int32 { return int32(min(codec.Seconds(milliseconds), math.MaxInt32)) }

// isGenerated reports whether a key or name looks like a generated one.
func isGenerated(s string) bool {
	return strings.HasPrefix(s, codec.UniquePrefix) || strings.HasPrefix(s, hashPrefix)
}

// hashName returns the replacement of a key or name that does not fit.
func hashName(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hashPrefix + hex.EncodeToString(sum[:24])
}

// LockNumber returns a positive number for the name of a lock.
func LockNumber(name string) int64 {
	sum := sha256.Sum256([]byte(name))
	return int64(binary.LittleEndian.Uint64(sum[:]) >> 1)
}
