package store

import (
	"encoding/binary"
	"hash/crc32"
)

// castagnoli is the CRC that processors compute by themselves.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recordVersion is the first byte of an encoded record.
const recordVersion = 1

// AppendRecord appends r in the form that engines without columns keep:
//
//	crc32c of all that follows, 4 bytes, little-endian
//	version, 1 byte
//	seq, run at, accepted, attempts, priority: uvarints
//	function, unique, reducer: each a uvarint length and its bytes
//	payload: the rest
//
// The CRC covers the sequence too, so that a record found under a wrong key is
// told.
func AppendRecord(dst []byte, r *Record) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, recordVersion)
	dst = binary.AppendUvarint(dst, r.Seq)
	dst = binary.AppendUvarint(dst, uint64(r.RunAt))
	dst = binary.AppendUvarint(dst, uint64(r.Accepted))
	dst = binary.AppendUvarint(dst, uint64(r.Attempts))
	dst = binary.AppendUvarint(dst, uint64(r.Priority))
	for _, s := range [...]string{r.Function, r.Unique, r.Reducer} {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	dst = append(dst, r.Payload...)
	binary.LittleEndian.PutUint32(dst[start:], crc32.Checksum(dst[start+4:], castagnoli))
	return dst
}

// DecodeRecord decodes what AppendRecord has appended. The payload points into
// b. Every fault is a *CorruptError with an empty Where.
func DecodeRecord(b []byte) (*Record, error) {
	if len(b) < 5 {
		return nil, &CorruptError{Why: "shorter than a record"}
	}
	if crc32.Checksum(b[4:], castagnoli) != binary.LittleEndian.Uint32(b) {
		return nil, &CorruptError{Why: "checksum does not match"}
	}
	if b[4] != recordVersion {
		return nil, &CorruptError{Why: "unknown version"}
	}
	d := decoder{b: b[5:]}
	r := &Record{
		Seq:      d.number(),
		RunAt:    int64(d.number()),
		Accepted: int64(d.number()),
		Attempts: int(d.number()),
		Priority: uint8(d.number()),
		Function: d.text(),
		Unique:   d.text(),
		Reducer:  d.text(),
	}
	if d.bad {
		return nil, &CorruptError{Why: "fields do not fit"}
	}
	r.Payload = d.b
	return r, nil
}

// decoder takes fields off b. Once one does not fit, all that follow are zero.
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
