//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"gm/internal/codec"
	"gm/pkg/store"
)

// gearmand writes a record so:
//
//	key     FUNCTION-UNIQUE
//	value   FUNCTION NUL UNIQUE NUL PRIORITY TIME NUL PAYLOAD
//
// PRIORITY is a digit. TIME is the run time in seconds, or 0. gearmand reads it with
// strtoul, which skips spaces of all kinds. Before the digits of TIME, gm writes its own
// fields in the form of codec.AppendHead, each byte as four spaces. If the job's
// Function or Unique differs from that of the record, the field is "=" and the job's
// value; otherwise it is empty. The payload's checksum includes the record's Function
// and Unique.

// spaces are the digits 0 to 3 of a byte to the base of 4.
const spaces = " \t\v\f"

// extrasFunction is the function of the jobs that are extras, and extrasTime their run
// time in seconds.
const (
	extrasFunction = "gm:extras"
	extrasTime     = 9_999_999_999
)

// recordNames returns the function and the unique of a job's record. No two jobs may
// have the same key. Therefore a job gets a unique of its own if it has none or "-", if
// gearmand cannot hold its unique, if the unique looks like a generated one, if the job
// is apart, or if its function has a hyphen: the same key could then be made of another
// function and another unique.
func recordNames(j *store.Record) (function, unique string) {
	function, unique = j.Function, j.Unique
	if strings.IndexByte(function, 0) >= 0 || strings.HasPrefix(function, "gm:") {
		sum := sha256.Sum256([]byte(function))
		function = "gm:" + hex.EncodeToString(sum[:24])
	}
	if j.Apart || !codec.FitsGearmand(unique) || strings.Contains(unique, "-"+codec.UniquePrefix) || strings.Contains(function, "-") {
		unique = string(codec.AppendUnique(nil, j.Seq))
	}
	return function, unique
}

// keyOf returns the key of a job.
func keyOf(j *store.Record) string {
	function, unique := recordNames(j)
	return function + "-" + unique
}

// keysOf returns the keys that a job may have. The store has no record of the jobs that
// were apart.
func keysOf(j *store.Record) [2]string {
	apart := *j
	apart.Apart = true
	return [...]string{keyOf(j), keyOf(&apart)}
}

// extraUnique returns the unique of an extra's record.
func extraUnique(key string) string {
	if len(key) <= store.MaxGearmandUnique-2 {
		return "k:" + key
	}
	sum := sha256.Sum256([]byte(key))
	return "h:" + hex.EncodeToString(sum[:24])
}

func extraKey(key string) string { return extrasFunction + "-" + extraUnique(key) }

// bodySum is the checksum of a payload and the names in the record.
func bodySum(function, unique string, payload []byte) codec.Body {
	names := make([]byte, 0, len(function)+len(unique)+2)
	names = append(append(append(append(names, function...), 0), unique...), 0)
	return codec.Body{Size: len(payload), Sum: codec.CRC(codec.CRC(0, names), payload)}
}

// valueOf returns the value of a job's record.
func valueOf(j *store.Record) []byte {
	function, unique := recordNames(j)
	head := *j
	head.Function, head.Unique = differing(j.Function, function), differing(j.Unique, unique)
	return encodeValue(function, unique, &head, codec.Seconds(j.RunAt))
}

// differing returns the field for a name that may differ from that of the record.
func differing(name, inRecord string) string {
	if name == inRecord {
		return ""
	}
	return "=" + name
}

// extraValue returns the value of an extra's record.
func extraValue(key string, v []byte) []byte {
	return encodeValue(extrasFunction, extraUnique(key), &store.Record{Unique: "=" + key, Priority: 2, Payload: v}, extrasTime)
}

// encodeValue returns the value of a record with these names and with the fields of
// head.
func encodeValue(function, unique string, head *store.Record, when int64) []byte {
	fields := codec.AppendHead(nil, head, bodySum(function, unique, head.Payload))
	b := make([]byte, 0, len(function)+len(unique)+4*len(fields)+len(head.Payload)+32)
	b = append(append(b, function...), 0)
	b = append(append(b, unique...), 0)
	b = append(b, '0'+head.Priority)
	for _, c := range fields {
		b = append(b, spaces[c>>6], spaces[c>>4&3], spaces[c>>2&3], spaces[c&3])
	}
	b = append(strconv.AppendInt(b, when, 10), 0)
	return append(b, head.Payload...)
}

// entry is a record that was read.
type entry struct {
	job     store.Record // its payload shares the memory of the value
	foreign bool         // gearmand wrote it: job has no Seq
	extra   bool         // it is an extra: job has its value as Payload and its key as Unique
}

// The faults of a record.
var (
	errForm = errors.New("not the form of a job")
	errKey  = errors.New("the key belongs to another record")
)

// decode decodes a record.
func decode(key, v []byte) (*entry, error) {
	function, rest, ok1 := bytes.Cut(v, []byte{0})
	unique, rest, ok2 := bytes.Cut(rest, []byte{0})
	if !ok1 || !ok2 || len(function) == 0 || len(rest) < 2 || rest[0] < '0' || rest[0] > '2' {
		return nil, errForm
	}
	if len(key) != len(function)+1+len(unique) || !bytes.HasPrefix(key, function) || !bytes.HasSuffix(key, unique) || key[len(function)] != '-' {
		return nil, errKey
	}
	x := &entry{job: store.Record{Function: string(function), Unique: string(unique), Priority: rest[0] - '0'}}
	rest = rest[1:]
	digits := bytes.TrimLeft(rest, spaces)
	fields := rest[:len(rest)-len(digits)]
	time, payload, ok := bytes.Cut(digits, []byte{0})
	when, err := strconv.ParseInt(string(time), 10, 64)
	if !ok || err != nil || when < 0 || when > math.MaxInt64/1000 {
		return nil, errForm
	}
	x.job.Payload = payload
	if len(fields) == 0 {
		x.foreign = true
		x.job.RunAt = when * 1000
		return x, nil
	}
	return x, x.decodeFields(fields, when)
}

// decodeFields decodes gm's fields.
func (x *entry) decodeFields(fields []byte, when int64) error {
	b := make([]byte, 0, len(fields)/4)
	for ; len(fields) >= 4; fields = fields[4:] {
		c := byte(0)
		for _, space := range fields[:4] {
			c = c<<2 | byte(strings.IndexByte(spaces, space))
		}
		b = append(b, c)
	}
	head, body, err := codec.DecodeHead(b)
	if err != nil || body == nil || len(fields) > 0 || *body != bodySum(x.job.Function, x.job.Unique, x.job.Payload) {
		return codec.ErrChecksum
	}
	x.extra = x.job.Function == extrasFunction
	if !x.extra && codec.Seconds(head.RunAt) != when || head.Priority != x.job.Priority {
		return codec.ErrChecksum
	}
	head.Function = named(head.Function, x.job.Function)
	head.Unique = named(head.Unique, x.job.Unique)
	head.Payload = x.job.Payload
	x.job = *head
	return nil
}

// named returns the name of a job from the field of differing and the name in the
// record.
func named(differing, inRecord string) string {
	if name, ok := strings.CutPrefix(differing, "="); ok {
		return name
	}
	return inRecord
}

// String returns the name of an entry for a report.
func (x *entry) String() string {
	if x.extra {
		return fmt.Sprintf("extra %q", x.job.Unique)
	}
	return fmt.Sprintf("job %d", x.job.Seq)
}
