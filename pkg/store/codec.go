package store

import (
	"encoding/binary"
	"hash/crc32"
)

// CRC continues a CRC-32C, for which processors have an instruction, with b. It
// starts from 0. The table is computed at the first use, so that importing the
// package costs nothing.
func CRC(crc uint32, b []byte) uint32 {
	return crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), b)
}

// The first byte of an encoded record after its checksum.
const (
	recordWhole = 1 // ends with the payload
	recordHead  = 2 // ends with the payload's size, a uvarint, and CRC, 4 bytes, little-endian
)

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
func AppendRecord(dst []byte, r *Record) []byte {
	start := len(dst)
	dst = appendFields(dst, recordWhole, r)
	return seal(append(dst, r.Payload...), start)
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
func AppendHead(dst []byte, r *Record, b Body) []byte {
	start := len(dst)
	dst = appendFields(dst, recordHead, r)
	dst = binary.AppendUvarint(dst, uint64(b.Size))
	return seal(binary.LittleEndian.AppendUint32(dst, b.Sum), start)
}

// appendFields appends room for the CRC, the version and all fields except the
// payload.
func appendFields(dst []byte, version byte, r *Record) []byte {
	dst = append(dst, 0, 0, 0, 0, version)
	dst = binary.AppendUvarint(dst, r.Seq)
	dst = binary.AppendUvarint(dst, uint64(r.RunAt))
	dst = binary.AppendUvarint(dst, uint64(r.Accepted))
	dst = binary.AppendUvarint(dst, uint64(r.Attempts))
	dst = binary.AppendUvarint(dst, uint64(r.Priority))
	for _, s := range [...]string{r.Function, r.Unique, r.Reducer} {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	return dst
}

// seal fills in the CRC of the record that begins at start.
func seal(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start:], CRC(0, b[start+4:]))
	return b
}

// Salt is a secret number of a store. The store mixes it into the checksums of
// its records, so that a client cannot submit a payload whose bytes pass for a
// record. 0 is no salt.
type Salt uint32

// Mix mixes t into the checksum of a record that AppendRecord or AppendHead has
// appended. A second call takes it out again.
func (t Salt) Mix(record []byte) {
	binary.LittleEndian.PutUint32(record, binary.LittleEndian.Uint32(record)^uint32(t))
}

// DecodeRecord decodes the form of AppendRecord. The payload points into b.
// Every fault is a *CorruptError with an empty Where.
func DecodeRecord(b []byte) (*Record, error) {
	r, body, err := DecodeHead(b)
	if err == nil && body != nil {
		return nil, &CorruptError{Why: "without its payload"}
	}
	return r, err
}

// DecodeHead decodes the form of AppendRecord or AppendHead. For the former,
// the payload points into b and body is nil; for the latter, the payload is
// nil. Every fault is a *CorruptError with an empty Where.
func DecodeHead(b []byte) (r *Record, body *Body, err error) { return Salt(0).DecodeHead(b) }

// DecodeHead is the function DecodeHead for records that t is mixed into.
func (t Salt) DecodeHead(b []byte) (r *Record, body *Body, err error) {
	if len(b) < 5 {
		return nil, nil, &CorruptError{Why: "shorter than a record"}
	}
	if CRC(0, b[4:])^uint32(t) != binary.LittleEndian.Uint32(b) {
		return nil, nil, &CorruptError{Why: "checksum does not match"}
	}
	version := b[4]
	if version != recordWhole && version != recordHead {
		return nil, nil, &CorruptError{Why: "unknown version"}
	}
	d := decoder{b: b[5:]}
	r = &Record{
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
		if len(d.b) == 4 {
			body.Sum = binary.LittleEndian.Uint32(d.b)
		} else {
			d.bad = true
		}
	}
	if d.bad {
		return nil, nil, &CorruptError{Why: "fields do not fit"}
	}
	return r, body, nil
}

// RecordSeq returns the job's number of a record in the form of AppendRecord or
// AppendHead that t is mixed into. It reports whether the checksum matches.
func (t Salt) RecordSeq(b []byte) (seq uint64, ok bool) {
	if len(b) < 5 || CRC(0, b[4:])^uint32(t) != binary.LittleEndian.Uint32(b) {
		return 0, false
	}
	seq, n := binary.Uvarint(b[5:])
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
	n := d.number()
	if n > uint64(len(d.b)) || d.bad {
		d.bad = true
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}
