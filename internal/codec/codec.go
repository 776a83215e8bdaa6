// Package codec encodes and decodes the bytes in which stores keep jobs: their
// records, checksums and salts.
//
//   - [AppendRecord] and [DecodeRecord] are the form of a job for engines
//     without columns; [AppendHead] and [DecodeHead] are the same without the
//     payload;
//   - [Salt] is a secret number in checksums, which nobody else can compute;
//   - [AppendSealed] and [Unseal] put a checksum before any other value;
//   - [AppendField] and [CutField] put a length before bytes;
//   - [AppendUnique], [FitsGearmand] and [Seconds] adapt a job to the layouts of
//     gearmand.
//
// The forms never change: every store must read the data of earlier versions.
package codec

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"gm/pkg/store"
)

// CRC continues a CRC-32C, for which processors have an instruction, with b. It
// starts from 0. The table is computed at the first use, so that importing the
// package costs nothing.
func CRC(crc uint32, b []byte) uint32 {
	return crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), b)
}

// ErrChecksum is returned for data whose checksum does not match.
var ErrChecksum = errors.New("checksum does not match")

// The first byte of an encoded record after its checksum.
const (
	recordWhole = 1 // ends with the payload
	recordHead  = 2 // ends with the payload's size, a uvarint, and CRC, 4 bytes, little-endian
)

// sumSize is the size in bytes of the checksum that begins a record or a sealed
// value.
const sumSize = 4

// AppendRecord appends r in the form for engines without columns:
//
//	crc32c of all that follows, 4 bytes, little-endian
//	version, 1 byte
//	seq, run at, accepted, attempts, priority: uvarints
//	function, unique, reducer: each a uvarint length and its bytes
//	payload: the rest
//
// The CRC covers the sequence too, so that a record under a wrong key is
// detected.
func AppendRecord(dst []byte, r *store.Record) []byte {
	start := len(dst)
	dst = appendFields(dst, recordWhole, r)
	return putSum(append(dst, r.Payload...), start)
}

// Body identifies the payload of a record that is stored without it.
type Body struct {
	Size int
	Sum  uint32 // CRC-32C
}

// BodyOf returns the Body of payload.
func BodyOf(payload []byte) Body {
	return Body{Size: len(payload), Sum: CRC(0, payload)}
}

// AppendHead appends r in the form of AppendRecord, with b, the Body of its
// payload, in place of the payload.
func AppendHead(dst []byte, r *store.Record, b Body) []byte {
	start := len(dst)
	dst = appendFields(dst, recordHead, r)
	dst = binary.AppendUvarint(dst, uint64(b.Size))
	return putSum(binary.LittleEndian.AppendUint32(dst, b.Sum), start)
}

// appendFields appends room for the CRC, the version and all fields except the
// payload.
func appendFields(dst []byte, version byte, r *store.Record) []byte {
	dst = append(dst, 0, 0, 0, 0, version)
	dst = binary.AppendUvarint(dst, r.Seq)
	dst = binary.AppendUvarint(dst, uint64(r.RunAt))
	dst = binary.AppendUvarint(dst, uint64(r.Accepted))
	dst = binary.AppendUvarint(dst, uint64(r.Attempts))
	dst = binary.AppendUvarint(dst, uint64(r.Priority))
	for _, s := range [...]string{r.Function, r.Unique, r.Reducer} {
		dst = AppendField(dst, s)
	}
	return dst
}

// putSum fills in the CRC of the record that begins at start.
func putSum(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start:], CRC(0, b[start+sumSize:]))
	return b
}

// Salt is a secret number of a store. The store mixes it into the checksums of
// its records. Clients do not know it, so that no bytes of a payload pass for a
// record. 0 means no salt.
type Salt uint32

// NewSalt returns a random number for a Salt or for a checksum's start.
func NewSalt() (uint64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("make a salt: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// Mix mixes t into the checksum of a record that AppendRecord or AppendHead has
// appended. A second call removes it again.
func (t Salt) Mix(record []byte) {
	binary.LittleEndian.PutUint32(record, binary.LittleEndian.Uint32(record)^uint32(t))
}

// Reseal computes the checksum of a record again, with t.
func (t Salt) Reseal(record []byte) {
	binary.LittleEndian.PutUint32(record, CRC(0, record[sumSize:])^uint32(t))
}

// SaltOf returns the salt with which the checksum of a record of at least 4
// bytes matches: a random number if the record is broken.
func SaltOf(record []byte) Salt {
	return Salt(CRC(0, record[sumSize:]) ^ binary.LittleEndian.Uint32(record))
}

// DecodeRecord decodes the form of AppendRecord. The payload points into b.
// Every fault is a *store.CorruptError with an empty Where.
func DecodeRecord(b []byte) (*store.Record, error) {
	r, body, err := DecodeHead(b)
	if err == nil && body != nil {
		return nil, &store.CorruptError{Why: "without its payload"}
	}
	return r, err
}

// DecodeHead decodes the form of AppendRecord or AppendHead. For the former,
// the payload points into b and body is nil; for the latter, the payload is
// nil. Every fault is a *store.CorruptError with an empty Where.
func DecodeHead(b []byte) (r *store.Record, body *Body, err error) { return Salt(0).DecodeHead(b) }

// DecodeHead is the function DecodeHead for records that t is mixed into.
func (t Salt) DecodeHead(b []byte) (r *store.Record, body *Body, err error) {
	if len(b) < sumSize+1 {
		return nil, nil, &store.CorruptError{Why: "shorter than a record"}
	}
	if SaltOf(b) != t {
		return nil, nil, &store.CorruptError{Why: ErrChecksum.Error()}
	}
	version := b[sumSize]
	if version != recordWhole && version != recordHead {
		return nil, nil, &store.CorruptError{Why: "unknown version"}
	}
	d := decoder{b: b[sumSize+1:]}
	r = &store.Record{
		Seq:      d.number(),
		RunAt:    int64(d.number()),
		Accepted: int64(d.number()),
		Attempts: int(d.number()),
		Priority: uint8(d.number()),
		Function: d.text(),
		Unique:   d.text(),
		Reducer:  d.text(),
	}
	if version == recordWhole {
		r.Payload = d.b
	} else {
		body = &Body{Size: int(d.number())}
		if len(d.b) == sumSize {
			body.Sum = binary.LittleEndian.Uint32(d.b)
		} else {
			d.bad = true
		}
	}
	if d.bad {
		return nil, nil, &store.CorruptError{Why: "fields do not fit"}
	}
	return r, body, nil
}

// RecordSeq returns the job's number of a record in the form of AppendRecord or
// AppendHead that t is mixed into. It reports whether the checksum matches.
func (t Salt) RecordSeq(b []byte) (seq uint64, ok bool) {
	if len(b) < sumSize+1 || SaltOf(b) != t {
		return 0, false
	}
	seq, n := binary.Uvarint(b[sumSize+1:])
	return seq, n > 0
}

// decoder reads fields from b. After one that does not fit, all others are
// zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || d.bad {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) text() string {
	field, rest, ok := CutField(d.b)
	if !ok || d.bad {
		d.bad = true
		return ""
	}
	d.b = rest
	return string(field)
}

// AppendField appends the length of field, a uvarint, and field.
func AppendField[T string | []byte](dst []byte, field T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(field))), field...)
}

// CutField returns the field that b begins with, in the form of AppendField, and
// the rest. Both point into b. It reports whether b has all of the field.
func CutField(b []byte) (field, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, b, false
	}
	end := n + int(size)
	return b[n:end:end], b[end:], true
}

// SealSize is the size in bytes by which sealing makes a value longer.
const SealSize = sumSize

// AppendSealed appends data after its checksum, which t is mixed into:
//
//	crc32c of the name, the key and the data, 4 bytes, little-endian
//	data
//
// The name and the key say where the value belongs. They are not appended; a
// value that lies elsewhere does not match.
func (t Salt) AppendSealed(dst, name, key, data []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, sealSum(name, key, data)^uint32(t))
	return append(dst, data...)
}

func sealSum(name, key, data []byte) uint32 {
	return CRC(CRC(CRC(0, name), key), data)
}

// Unseal returns the data of a sealed value, which point into value, and the
// salt with which its checksum matches. It is a random number if the value is
// broken or lies elsewhere.
func Unseal(name, key, value []byte) (data []byte, t Salt, err error) {
	if len(value) < SealSize {
		return nil, 0, errors.New("shorter than a checksum")
	}
	data = value[SealSize:]
	return data, Salt(binary.LittleEndian.Uint32(value) ^ sealSum(name, key, data)), nil
}

// ResealValue computes the checksum of a sealed value again, with t.
func (t Salt) ResealValue(name, key, value []byte) {
	binary.LittleEndian.PutUint32(value, sealSum(name, key, value[SealSize:])^uint32(t))
}
