package disk

import (
	"encoding/binary"
	"iter"
	"math"
	"slices"

	"gm/pkg/store"
)

// A pack is the records of several jobs under one key of the jobs' bucket, so
// that bbolt has fewer keys to find, to keep and to write: some 15 of 100-byte
// jobs. Its key is the highest number that may be in it, 8 bytes, and how many
// numbers below that the lowest is, 4 bytes, both big-endian; its value is the
// records in order, each after its size, a uvarint.
//
// A job whose number is above all that the file ever had goes into a pack,
// unless its record is large or the only one. Keys don't overlap and stay as
// they are as long as there is a record, so that a job is, if anywhere, under
// the first key that is not below its number's.
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

// packRoom is how large a pack's value becomes: two of them fill a page, of
// which bbolt leaves none with fewer.
func packRoom(pageSize int) int { return (pageSize-headerSize)/2 - elementSize - packKeySize }

// key returns the key of p.
func (p *pack) key() []byte {
	return binary.BigEndian.AppendUint32(jobKey(p.last), uint32(p.last-p.first))
}

// parsePack returns what is under a key, if that is one of a pack.
func (c sealing) parsePack(key, value []byte) (p pack, ok bool) {
	p.sealing = c
	if len(key) != packKeySize {
		return p, false
	}
	p.last, p.records = seqOf(key), value
	p.first = p.last - min(uint64(binary.BigEndian.Uint32(key[8:])), p.last)
	return p, true
}

// spans says whether a job would be in p.
func (p *pack) spans(seq uint64) bool { return p.first <= seq && seq <= p.last && p.last > 0 }

// append adds the record of a job above all in p, and says whether it has room.
func (p *pack) append(seq uint64, record []byte, room int) bool {
	if len(p.records) == 0 {
		p.first = seq
	} else if len(p.records)+len(record)+2 > room || seq-p.first > math.MaxUint32 {
		return false
	}
	p.last = seq
	p.records = append(binary.AppendUvarint(p.records, uint64(len(record))), record...)
	return true
}

// packed is a record in a pack, or a stretch of it that is broken.
type packed struct {
	from, to int    // where it is in the pack, with its size
	seq      uint64 // of the job
	record   []byte // nil of what is broken
}

// all goes through what is in p, in order. What follows a broken stretch is
// found by its checksum, which no bytes of a payload can have. Where records may be
// without a salt, a broken one whose size is right is left out whole, so that
// nothing in its payload passes for a record.
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

// behind returns where the broken record at an offset ends: where its checksum
// is right, as only its size is wrong, or else where its size leads to, if that
// is the next record or the end of the pack. It returns 0 if it can't be known.
func (p *pack) behind(from int, low uint64) int {
	for n := range 2 { // the size has one byte or two
		if at := from + n + 1; at < len(p.records) {
			if whole := p.sealing.wholeRecord(p.records[at:], low); whole > 0 {
				return at + whole
			}
		}
	}
	size, n := binary.Uvarint(p.records[from:])
	if n <= 0 || size > uint64(len(p.records)-from-n) {
		return 0
	}
	end := from + n + int(size)
	if end == len(p.records) {
		return end
	}
	if _, ok := p.at(end, low); ok {
		return end
	}
	return 0
}

// wholeRecord returns the size of the record that b begins with, of a job not
// below low, as its checksum has it, 0 if there is none.
func (c sealing) wholeRecord(b []byte, low uint64) int {
	if len(b) < 5 {
		return 0
	}
	want, sum := binary.LittleEndian.Uint32(b), uint32(0)
	old := c.old() && low <= c.oldJobs
	for i := 4; i < len(b); i++ {
		if sum = store.CRC(sum, b[i:i+1]); sum^uint32(c.salt) == want || old && sum == want {
			return i + 1
		}
	}
	return 0
}

// at returns the record at an offset, of a job not below low.
func (p *pack) at(from int, low uint64) (x packed, ok bool) {
	size, n := binary.Uvarint(p.records[from:])
	if n <= 0 || size > uint64(len(p.records)-from-n) {
		return x, false
	}
	x = packed{from: from, to: from + n + int(size)}
	x.record = p.records[from+n : x.to : x.to]
	x.seq, ok = p.sealing.recordSeq(x.record)
	return x, ok && low <= x.seq && x.seq <= p.last
}

// find returns the record of a job, or where it would be.
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

// set puts a record into p, in the place of the job's if there is one.
func (p *pack) set(seq uint64, record []byte) {
	x := p.find(seq)
	framed := append(binary.AppendUvarint(nil, uint64(len(record))), record...)
	p.records = slices.Replace(p.records, x.from, x.to, framed...)
}
