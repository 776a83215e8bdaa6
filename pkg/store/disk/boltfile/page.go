package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The form of bbolt's pages. Numbers are in the machine's byte order.
//
//	header  id 8, flags 2, count 2, overflow 4: the number of following pages that belong to this one
//	branch  count elements: pos 4 (from the element's start), key size 4, page id 8; then the keys
//	leaf    count elements: flags 4 (1: a bucket), pos 4, key size 4, value size 4; then keys and values in turn
//	bucket  a leaf's value: root page id 8 (0: the page follows), sequence 8
//
// There are no gaps between the data of elements, and no more pages than the
// data need. Therefore the data show a wrong count or size.
const (
	// HeaderSize is the size in bytes of a page's header.
	HeaderSize = 16
	// ElementSize is the size in bytes of an entry of a page's table.
	ElementSize = 16

	bucketHeaderSize = 16

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10

	flagBucket = 0x01 // of a leaf's element
)

var order = binary.NativeEndian

// Page is a page of a tree, with the pages that overflow it.
type Page struct {
	tree  *Tree
	id    uint64 // 0 of a page that is inline in another
	leaf  bool
	count int
	size  int64
	b     []byte // the beginning of the page: at least the header and the table
}

// element is an entry of a page's table.
type element struct {
	flags       uint32
	child       uint64 // of a branch
	key         int64  // offset in the page
	ksize, size int64  // of the key, and with the value
}

// Len returns the number of entries in a page.
func (p *Page) Len() int { return p.count }

// Entry returns the key and the value of an entry, which point into the page.
// The value is nil if it was not loaded. It reports whether the entry lies
// within the page.
func (p *Page) Entry(i int) (key, value []byte, ok bool) {
	e, ok := p.element(i)
	return p.keyOf(e), p.valueOf(e), ok
}

// Shape returns the size of the key of an entry. It reports whether the entry
// has a value, and not a bucket.
func (p *Page) Shape(i int) (keySize int64, plain bool) {
	e, _ := p.element(i)
	return e.ksize, e.flags == 0
}

// readError is the failure of the system to read a page. It says nothing about
// the content of the page.
type readError struct {
	page uint64
	err  error
}

func (e *readError) Error() string { return fmt.Sprintf("read page %d: %v", e.page, e.err) }
func (e *readError) Unwrap() error { return e.err }

// readFailed returns the error of a page that could not be read. If the file
// ends before the page, the file is broken; any other reason is a *readError.
func readFailed(id uint64, err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("read page %d: %w", id, err)
	}
	return &readError{id, err}
}

// IsReadError reports whether err is a failure of the system to read a page: the
// file may be whole.
func IsReadError(err error) bool {
	var failed *readError
	return errors.As(err, &failed)
}

// parsePage parses the header of b, which begins with a page of that size.
func parsePage(b []byte, size int64) (*Page, error) {
	if len(b) < HeaderSize {
		return nil, fmt.Errorf("%d bytes are not a page", len(b))
	}
	p := &Page{size: size, b: b, count: int(order.Uint16(b[10:]))}
	switch flags := order.Uint16(b[8:]); flags {
	case flagLeaf:
		p.leaf = true
	case flagBranch:
	default:
		return nil, fmt.Errorf("flags %#x are not those of a branch or leaf", flags)
	}
	return p, nil
}

// fit reduces count to the number of elements for which the table has room.
func (p *Page) fit() error {
	if room := (len(p.b) - HeaderSize) / ElementSize; p.count > room {
		count := p.count
		p.count = room
		return fmt.Errorf("%d elements do not fit", count)
	}
	return nil
}

// element returns an entry of the table. It reports whether its data lie within
// the page.
func (p *Page) element(i int) (e element, ok bool) {
	at := int64(HeaderSize + i*ElementSize)
	b := p.b[at:]
	if p.leaf {
		e.flags = order.Uint32(b)
		e.key = at + int64(order.Uint32(b[4:]))
		e.ksize = int64(order.Uint32(b[8:]))
		e.size = e.ksize + int64(order.Uint32(b[12:]))
	} else {
		e.key = at + int64(order.Uint32(b))
		e.ksize = int64(order.Uint32(b[4:]))
		e.size = e.ksize
		e.child = order.Uint64(b[8:])
	}
	return e, e.ksize > 0 && e.key >= HeaderSize && e.key+e.size <= p.size
}

// keyOf returns an element's key, or nil if it was not loaded.
func (p *Page) keyOf(e element) []byte {
	if end := e.key + e.ksize; end <= int64(len(p.b)) {
		return p.b[e.key:end:end]
	}
	return nil
}

// valueOf returns an element's value, or nil if it was not loaded.
func (p *Page) valueOf(e element) []byte {
	if end := e.key + e.size; end <= int64(len(p.b)) {
		return p.b[e.key+e.ksize : end : end]
	}
	return nil
}

// bytesAt returns n bytes of the page from off. It reads them if they were not
// loaded.
func (p *Page) bytesAt(off, n int64) ([]byte, error) {
	if off+n <= int64(len(p.b)) {
		return p.b[off : off+n : off+n], nil
	}
	b := make([]byte, n)
	if k, err := p.tree.file.ReadAt(b, int64(p.id)*p.tree.pageSize+off); int64(k) < n {
		return nil, readFailed(p.id, err)
	}
	return b, nil
}

// check returns an error if anything in the page is not as bbolt writes it: its
// id, its table, the order of its keys, and that they lie within keys and begin
// with the first of keys, by which bbolt finds the place of a child in its
// parent. Only a new file has an empty page, the root of the tree of buckets; an
// empty bucket is inline.
func (p *Page) check(keys Span, mayBeEmpty bool) error {
	if got := order.Uint64(p.b); p.id != 0 && got != p.id {
		return fmt.Errorf("its header has the id %d", got)
	}
	if p.count == 0 && p.id != 0 && !mayBeEmpty {
		return errors.New("it has no elements")
	}
	end := int64(HeaderSize + p.count*ElementSize)
	var last []byte
	for i := range p.count {
		e, ok := p.element(i)
		if !ok {
			return fmt.Errorf("element %d does not lie within the page", i)
		}
		if e.key != end {
			return fmt.Errorf("element %d does not begin at the end of the element before", i)
		}
		end += e.size
		if e.flags&^flagBucket != 0 {
			return fmt.Errorf("element %d has the flags %#x", i, e.flags)
		}
		key, err := p.bytesAt(e.key, e.ksize)
		if err != nil {
			return err
		}
		if last != nil && bytes.Compare(last, key) >= 0 {
			return fmt.Errorf("element %d is out of order", i)
		}
		if !keys.Has(key) || i == 0 && keys.Low != nil && !bytes.Equal(key, keys.Low) {
			return fmt.Errorf("element %d does not belong there", i)
		}
		last = key
	}
	if p.id == 0 && end != p.size || p.id != 0 && end <= p.size-p.tree.pageSize {
		return fmt.Errorf("%d bytes, of which %d are used", p.size, end)
	}
	return nil
}

// find returns the index of the last element whose key is not above key, or -1.
// It reports whether the keys are equal.
func (p *Page) find(key []byte) (i int, equal bool, err error) {
	low, high := 0, p.count // the element is in [low-1, high-1]
	for low < high {
		mid := (low + high) / 2
		e, ok := p.element(mid)
		if !ok {
			return 0, false, fmt.Errorf("element %d does not lie within the page", mid)
		}
		k, err := p.bytesAt(e.key, e.ksize)
		if err != nil {
			return 0, false, err
		}
		switch c := bytes.Compare(k, key); {
		case c == 0:
			return mid, true, nil
		case c < 0:
			low = mid + 1
		default:
			high = mid
		}
	}
	return low - 1, false, nil
}

// Span is the keys from Low up to, not including, High. Nil is no bound.
type Span struct{ Low, High []byte }

// Has reports whether key lies within the span.
func (s Span) Has(key []byte) bool {
	return bytes.Compare(s.Low, key) <= 0 && (s.High == nil || bytes.Compare(key, s.High) < 0)
}
