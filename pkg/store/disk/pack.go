package disk

import (
	"encoding/binary"
	"iter"
	"math"
	"slices"

	"gm/internal/codec"
	"gm/pkg/store/disk/boltfile"
)

// A pack is the records of several jobs, about 15 of 100 bytes, under one key of
// the jobs' bucket, so that bbolt has fewer keys to find and to write. Its key is
// the highest number that may be in it, 8 bytes, and the difference to the lowest
// number, 4 bytes, both big-endian. Its value is the records in order, each after
// its size, a uvarint.
//
// A job whose number is above all earlier ones goes into a pack, unless its
// record is large or the only one. The keys of packs do not overlap, and do not
// change while the pack has a record. Therefore a job, if the file has it, is
// under the first key that is not below the key of its number.
type pack struct {
	sealing     sealing // of the file
	first, last uint64
	records     []byte
}

const (
	packKeySize = 12
	// maxPacked is the size of the largest record that is packed.
	maxPacked = 1000
)

// packRoom returns the maximum size of a pack's value: two packs fill a page,
// because bbolt leaves no page with fewer entries.
func packRoom(pageSize int) int {
	return (pageSize-boltfile.HeaderSize)/2 - boltfile.ElementSize - packKeySize
}

// key returns the key of p.
func (p *pack) key() []byte {
	return binary.BigEndian.AppendUint32(jobKey(p.last), uint32(p.last-p.first))
}

// parsePack returns the pack under a key. It reports whether the key is one of a
// pack.
func (c sealing) parsePack(key, value []byte) (p pack, ok bool) {
	p.sealing = c
	if len(key) != packKeySize {
		return p, false
	}
	p.last, p.records = seqOf(key), value
	p.first = p.last - min(uint64(binary.BigEndian.Uint32(key[8:])), p.last)
	return p, true
}

// spans reports whether p is the pack for a job.
func (p *pack) spans(seq uint64) bool { return p.first <= seq && seq <= p.last && p.last > 0 }

// appendJob appends the record of a job whose number is above all in p. It
// reports whether p has room for it.
func (p *pack) appendJob(seq uint64, record []byte, room int) bool {
	if len(p.records) == 0 {
		p.first = seq
	} else if len(p.records)+len(record)+2 > room || seq-p.first > math.MaxUint32 {
		return false
	}
	p.last = seq
	p.records = codec.AppendField(p.records, record)
	return true
}

// packed is a record in a pack, or a broken stretch of it.
type packed struct {
	from, to int    // offsets in the pack, with the size
	seq      uint64 // of the job
	record   []byte // nil for a broken stretch
}

// all goes through the records and the broken stretches of p, in order. It finds
// the record behind a broken stretch by its checksum, which no bytes of a payload
// can have. Where records may be without a salt, it skips the whole of a broken
// record whose size is right, so that nothing in its payload passes for a record.
func (p *pack) all() iter.Seq[packed] {
	return func(yield func(packed) bool) {
		low, broken := p.first, 0
		for at := 0; at < len(p.records); {
			x, ok := p.at(at, low)
			if !ok {
				end := 0
				if p.sealing.salt == 0 || p.sealing.old() && low <= p.sealing.oldJobs {
					end = p.behind(at, low)
				}
				at = max(at+1, end)
				continue
			}
			if broken < at && !yield(packed{from: broken, to: at}) || !yield(x) {
				return
			}
			low, at, broken = x.seq+1, x.to, x.to
		}
		if broken < len(p.records) {
			yield(packed{from: broken, to: len(p.records)})
		}
	}
}

// behind returns the end of the broken record at an offset. If its checksum
// matches there, only the size was wrong. Otherwise it is the end by its size, if
// the next record or the end of the pack is there. It returns 0 if the end is not
// known.
func (p *pack) behind(from int, low uint64) int {
	for n := range 2 { // the size has one byte or two
		if at := from + n + 1; at < len(p.records) {
			if whole := p.sealing.wholeRecord(p.records[at:], low); whole > 0 {
				return at + whole
			}
		}
	}
	_, rest, ok := codec.CutField(p.records[from:])
	if !ok {
		return 0
	}
	end := len(p.records) - len(rest)
	if end == len(p.records) {
		return end
	}
	if _, ok := p.at(end, low); ok {
		return end
	}
	return 0
}

// wholeRecord returns the size of the record that b begins with, of a job not
// below low, for which its checksum matches, or 0.
func (c sealing) wholeRecord(b []byte, low uint64) int {
	if len(b) < 5 {
		return 0
	}
	want, sum := binary.LittleEndian.Uint32(b), uint32(0)
	old := c.old() && low <= c.oldJobs
	for i := 4; i < len(b); i++ {
		if sum = codec.CRC(sum, b[i:i+1]); sum^uint32(c.salt) == want || old && sum == want {
			return i + 1
		}
	}
	return 0
}

// at returns the record at an offset. It reports whether that is a record of a job
// not below low.
func (p *pack) at(from int, low uint64) (x packed, ok bool) {
	record, rest, ok := codec.CutField(p.records[from:])
	if !ok {
		return x, false
	}
	x = packed{from: from, to: len(p.records) - len(rest), record: record}
	x.seq, ok = p.sealing.recordSeq(x.record)
	return x, ok && low <= x.seq && x.seq <= p.last
}

// find returns the record of a job, or an empty stretch in its place.
func (p *pack) find(seq uint64) packed {
	for x := range p.all() {
		if x.record != nil && x.seq >= seq {
			if x.seq == seq {
				return x
			}
			return packed{from: x.from, to: x.from}
		}
	}
	return packed{from: len(p.records), to: len(p.records)}
}

// setJob sets the record of a job.
func (p *pack) setJob(seq uint64, record []byte) {
	x := p.find(seq)
	p.records = slices.Replace(p.records, x.from, x.to, codec.AppendField(nil, record)...)
}
