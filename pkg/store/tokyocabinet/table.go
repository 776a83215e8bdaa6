//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// The header of a hash database, and of a B+ tree database, which is a hash
// database of pages.
const (
	magic      = "ToKyO CaBiNeT"
	headerSize = 256

	typeAt    = 32 // 0 is a hash database, 1 a B+ tree database
	flagsAt   = 33
	apowAt    = 34 // offsets are multiples of 1 << apow
	fpowAt    = 35 // the pool notes up to 1 << fpow free blocks
	optionsAt = 36
	bucketsAt = 40
	recordsAt = 48 // number of records
	sizeAt    = 56 // of the file
	firstAt   = 64 // offset of the first record

	flagOpen      = 1
	optionLarge   = 1
	optionsPacked = 1<<1 | 1<<2 | 1<<3 | 1<<4 // values are compressed
)

// The first byte of a block.
const (
	blockRecord = 0xc8
	blockFree   = 0xb0
)

// firstOf returns the offset of the first record, behind the buckets and the
// pool of free blocks.
func firstOf(buckets, wide int64, fpow, apow uint) int64 {
	at := headerSize + buckets*wide + 64 + 4<<fpow
	align := int64(1) << apow
	return (at + align - 1) / align * align
}

// table is a hash database in a file, read without the library.
type table struct {
	file *os.File

	order   binary.ByteOrder // of the library that wrote it
	apow    uint
	wide    int64 // size of an offset: 4, or 8 with optionLarge
	buckets int64
	first   int64 // offset of the first record
	records int64 // number of records in the header
	size    int64 // of the database; the file may be larger
	stated  int64 // size in the header
	open    bool  // it was not closed
	recount bool  // verify counts records and size, because the header is not up to date

	isTree  bool // its records are pages
	isTable bool // it begins like a database, or is a beginning of one
	damage  error
}

// record is a record of a table. Its bytes belong to the reader.
type record struct {
	offset      int64
	key, value  []byte
	hash        byte
	left, right int64 // offsets of others in the same bucket, or 0
}

// openTable reads the header of a database. A wrong header is no error, but the table's
// damage.
func openTable(path string) (*table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	t, err := readTable(f)
	if err != nil {
		_ = f.Close()
	}
	return t, err
}

func readTable(f *os.File) (*table, error) {
	t := &table{file: f}
	return t, t.readHeader()
}

func (t *table) closeFile() error { return t.file.Close() }

func (t *table) readHeader() error {
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, headerSize)
	n, err := t.file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	t.isTable = bytes.HasPrefix([]byte(magic), head[:min(n, len(magic))])
	t.order = orderOf(head)
	number := func(at int) int64 { return int64(t.order.Uint64(head[at:])) }
	t.open = head[flagsAt]&flagOpen != 0
	t.isTree = head[typeAt] == typeTree
	t.apow = uint(head[apowAt])
	t.wide = 4
	if head[optionsAt]&optionLarge != 0 {
		t.wide = 8
	}
	t.buckets, t.records, t.size, t.first = number(bucketsAt), number(recordsAt), number(sizeAt), number(firstAt)
	fpow := uint(head[fpowAt])
	t.stated = t.size
	switch {
	case n < headerSize || !bytes.HasPrefix(head, []byte(magic)):
		t.damage = errors.New("header: does not begin like a database of Tokyo Cabinet")
	case head[typeAt] > typeTree:
		t.damage = fmt.Errorf("header: type %d, want a hash database or a B+ tree database", head[typeAt])
	case head[optionsAt]&optionsPacked != 0:
		return errors.New("its values are compressed, which is not supported here")
	case t.apow > 16 || fpow > 20 || head[flagsAt]&^flagOpen != 0 || t.buckets < 1 || t.buckets > info.Size()/t.wide ||
		t.first != firstOf(t.buckets, t.wide, fpow, t.apow) || t.first > t.size:
		t.damage = errors.New("header: its numbers do not fit")
	case t.size > info.Size():
		t.damage = fmt.Errorf("cut to %d bytes of %d", info.Size(), t.size)
	}
	if t.damage != nil || t.open {
		// The whole file is searched, with the settings of most databases.
		t.size = info.Size()
		if t.apow > 16 {
			t.apow = 4
		}
		if t.first < headerSize || t.first > t.size {
			t.first = headerSize
		}
	}
	return nil
}

// orderOf returns the byte order in which the numbers of a header are small. The library
// uses the order of the machine, or the other one if it was built for that.
func orderOf(head []byte) binary.ByteOrder {
	little := 0
	for _, at := range [...]int{bucketsAt, sizeAt, firstAt} {
		if binary.LittleEndian.Uint64(head[at:]) < binary.BigEndian.Uint64(head[at:]) {
			little++
		}
	}
	if little >= 2 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}

// align returns the number of which all offsets are multiples.
func (t *table) align() int64 { return 1 << t.apow }

// maxHeader is the maximum size of a record's header.
const maxHeader = 2 + 8 + 8 + 2 + 5 + 5

// readBlock returns the block at an offset and its size. The record of a free block is
// nil.
func (t *table) readBlock(offset int64) (*record, int64, error) {
	head := make([]byte, maxHeader)
	n, err := t.file.ReadAt(head, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	head = head[:min(int64(n), t.size-offset)]
	fixed := int(2 + 2*t.wide + 2)
	if len(head) < 5 || head[0] == blockRecord && len(head) < fixed+2 {
		return nil, 0, errForm
	}
	switch head[0] {
	case blockFree:
		size := int64(t.order.Uint32(head[1:]))
		if size < 5 || size > t.size-offset {
			return nil, 0, errForm
		}
		return nil, size, nil
	case blockRecord:
	default:
		return nil, 0, errForm
	}
	r := &record{offset: offset, hash: head[1], left: t.parseOffset(head[2:]), right: t.parseOffset(head[2+t.wide:])}
	padding := int64(t.order.Uint16(head[fixed-2:]))
	keySize, k := vnum(head[fixed:])
	valueSize, v := vnum(head[min(fixed+k, len(head)):])
	header := int64(fixed + k + v)
	size := header + keySize + valueSize + padding
	if k == 0 || v == 0 || keySize < 1 || size > t.size-offset {
		return nil, 0, errForm
	}
	body := make([]byte, keySize+valueSize)
	if _, err := t.file.ReadAt(body, offset+header); err != nil {
		return nil, 0, err
	}
	r.key, r.value = body[:keySize:keySize], body[keySize:]
	return r, size, nil
}

// parseOffset returns the offset that b begins with.
func (t *table) parseOffset(b []byte) int64 {
	if t.wide == 8 {
		return int64(t.order.Uint64(b)) << t.apow
	}
	return int64(t.order.Uint32(b)) << t.apow
}

// vnum returns the number that b begins with and its length, or a length of 0
// if there is none.
func vnum(b []byte) (v int64, n int) {
	for n < len(b) && n < 5 {
		c := b[n]
		if c < 0x80 {
			return v | int64(c)<<(7*n), n + 1
		}
		v |= int64(^c) << (7 * n)
		n++
	}
	return 0, 0
}

// eachRecord calls f for the records of the table, in the order of the file. At any
// other content, it calls damage and searches for the next record. Bytes that look like
// a record there may be part of a payload: they are a record only if the table leads to
// them.
func (t *table) eachRecord(f func(*record) error, damage func(offset int64, err error)) error {
	lost := false
	for at := t.first; at < t.size; {
		r, size, err := t.readBlock(at)
		if err == nil && size%t.align() != 0 && at+size < t.size {
			err = errForm
		}
		if errors.Is(err, errForm) || errors.Is(err, io.EOF) {
			if !lost {
				damage(at, errForm)
			}
			lost = true
			at = (at/t.align() + 1) * t.align()
			continue
		}
		if err != nil {
			return err
		}
		if r != nil {
			if lost {
				found, err := t.leadsTo(r)
				if err != nil {
					return err
				}
				if !found {
					at = (at/t.align() + 1) * t.align()
					continue
				}
			}
			if err := f(r); err != nil {
				return err
			}
		}
		lost = lost && r == nil
		at += size
	}
	return nil
}

// leadsTo reports whether a search for the key of a record, which starts at its bucket,
// ends at the record. If the header is damaged, a checksum of gm that matches is
// enough.
func (t *table) leadsTo(r *record) (bool, error) {
	isRecord, ours := t.judge(r)
	if !isRecord || t.damage != nil {
		return ours, nil
	}
	b := make([]byte, t.wide)
	if _, err := t.file.ReadAt(b, headerSize+bucketOf(r.key, t.buckets)*t.wide); err != nil {
		return false, err
	}
	hash := hashOf(r.key)
	for at, steps := t.parseOffset(b), 0; at >= t.first && at < t.size && steps < maxSteps; steps++ {
		if at == r.offset {
			return true, nil
		}
		there, _, err := t.readBlock(at)
		if errors.Is(err, errForm) || errors.Is(err, io.EOF) || err == nil && there == nil {
			return false, nil // the links are broken
		}
		if err != nil {
			return false, err
		}
		if order := cmp.Or(cmp.Compare(hash, there.hash), compareKeys(r.key, there.key)); order > 0 {
			at = there.left
		} else {
			at = there.right
		}
	}
	return false, nil
}

// judge reports whether the content of a record is valid, and whether it has a
// checksum of gm that matches.
func (t *table) judge(r *record) (isRecord, ours bool) {
	if !t.isTree {
		x, err := decode(r.key, r.value)
		return err == nil, err == nil && !x.foreign
	}
	p, err := parsePage(r.key, r.value)
	if err != nil {
		return false, false
	}
	for _, x := range p.pairs {
		e, err := decode(x.key, x.value)
		ours = ours || err == nil && !e.foreign
	}
	return true, ours
}

// maxSteps is above the depth of a bucket's tree.
const maxSteps = 1 << 16

// compareKeys compares keys as the library does: the shorter one is less.
func compareKeys(a, b []byte) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), bytes.Compare(a, b))
}

// bucketOf returns the bucket of a key.
func bucketOf(key []byte, buckets int64) int64 {
	h := uint64(19780211)
	for _, c := range key {
		h = h*37 + uint64(c)
	}
	return int64(h % uint64(buckets))
}

// hashOf returns the second hash of a key, which is stored with its record.
func hashOf(key []byte) byte {
	h := uint32(751)
	for i := len(key) - 1; i >= 0; i-- {
		h = h*31 ^ uint32(key[i])
	}
	return byte(h)
}
