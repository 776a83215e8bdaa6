package redis

import (
	"encoding/binary"
	"fmt"

	"gm/internal/codec"
	"gm/pkg/store"
)

// A row is the value of a job in the hash of jobs:
//
//	seq         8 bytes, big-endian like all numbers here
//	run at      8
//	attempts    4
//	size        8, of the payload
//	the rest    by codec.AppendRecord, without these fields and the payload
//
// The fields that change are outside of the rest, so that a script can replace
// them.
const (
	rowSeq    = 8
	rowChange = 12 // run at and attempts
	rowHead   = 28
)

// seqBytes returns a number as it is at the start of a row.
func seqBytes(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// formatSeq returns a number as text of a fixed width, which scripts compare.
func formatSeq(seq uint64) string { return fmt.Sprintf("%020d", seq) }

// appendChange appends the part of r's row that an Update replaces.
func appendChange(dst []byte, r *store.Record) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.RunAt))
	return binary.BigEndian.AppendUint32(dst, uint32(r.Attempts))
}

func encodeRow(r *store.Record) []byte {
	b := make([]byte, 0, rowHead+64+len(r.Function)+len(r.Unique)+len(r.Reducer))
	b = binary.BigEndian.AppendUint64(b, r.Seq)
	b = appendChange(b, r)
	b = binary.BigEndian.AppendUint64(b, uint64(len(r.Payload)))
	rest := *r
	rest.RunAt, rest.Attempts, rest.Payload = 0, 0, nil
	return codec.AppendRecord(b, &rest)
}

// rowNumbers returns the number and the payload's size in a row.
func rowNumbers(row []byte) (seq uint64, size int, ok bool) {
	if len(row) < rowHead {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(row), int(binary.BigEndian.Uint64(row[rowSeq+rowChange:])), true
}

// decodeRow decodes a row. The error of a damaged row is a *store.CorruptError.
func decodeRow(row []byte) (r *store.Record, size int, err error) {
	seq, size, ok := rowNumbers(row)
	if !ok {
		return nil, 0, &store.CorruptError{Why: "shorter than a row"}
	}
	r, err = codec.DecodeRecord(row[rowHead:])
	if err != nil {
		return nil, 0, err
	}
	if r.Seq != seq {
		return nil, 0, &store.CorruptError{Why: "its two numbers differ"}
	}
	r.RunAt = int64(binary.BigEndian.Uint64(row[rowSeq:]))
	r.Attempts = int(binary.BigEndian.Uint32(row[rowSeq+8:]))
	r.Payload = nil
	return r, size, nil
}
