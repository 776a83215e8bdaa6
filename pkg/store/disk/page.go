package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The form of bbolt's pages. Numbers are in the machine's byte order.
//
//	header  id 8, flags 2, count 2, overflow 4: how many pages that follow belong to this one
//	branch  count elements: pos 4 (from the element's start), key size 4, page id 8; then the keys
//	leaf    count elements: flags 4 (1: a bucket), pos 4, key size 4, value size 4; then keys and values in turn
//	bucket  a leaf's value: root page id 8 (0: the page follows), sequence 8
//
// There are no gaps between the data of elements, and no pages more than it
// takes, so that a count or a size that is wrong is told by what follows.
const (
	headerSize       = 16
	elementSize      = 16
	bucketHeaderSize = 16

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10

	flagBucket = 0x01 // of a leaf's element
)

var order = binary.NativeEndian

// tree reads the pages of a bbolt file without mapping it: whatever is in the
// file, the worst that comes of it is an error.
type tree struct {
	file     io.ReaderAt
	pageSize int64
	high     uint64 // all pages in use lie below
}

// page is a page of a tree, with the pages that overflow it.
type page struct {
	tree  *tree
	id    uint64 // 0 of a page that is inline in another
	leaf  bool
	count int
	size  int64
	b     []byte // its beginning: the header and the table at least
}

// element is an entry of a page's table.
type element struct {
	flags       uint32
	child       uint64 // of a branch
	key         int64  // offset in the page
	ksize, size int64  // of the key, and with the value
}

// load returns the page with that id. If begin is not empty, it is what the
// file has there and, maybe, behind it; it may be kept. A leaf's overflow is
// read only if whole. The page is nil if there is nothing to be made of it.
func (t *tree) load(id uint64, begin []byte, whole bool) (*page, error) {
	if id < 2 || id >= t.high {
		return nil, fmt.Errorf("page %d is not in use", id)
	}
	if int64(len(begin)) < t.pageSize {
		begin = make([]byte, t.pageSize)
		if err := t.read(begin, id); err != nil {
			return nil, err
		}
	}
	p, err := parsePage(begin, t.pageSize)
	if err != nil {
		return nil, err
	}
	p.tree, p.id = t, id
	overflow := uint64(order.Uint32(begin[12:]))
	if overflow >= t.high-id {
		p.b = begin[:t.pageSize]
		p.fit()
		return p, fmt.Errorf("its %d pages of overflow are not in use", overflow)
	}
	p.size = int64(overflow+1) * t.pageSize
	need := t.pageSize
	if table := int64(headerSize + p.count*elementSize); whole || !p.leaf || table > need {
		need = p.size
	}
	if int64(len(begin)) >= need {
		p.b = begin[:min(int64(len(begin)), p.size)]
	} else {
		p.b = make([]byte, need)
		if err := t.read(p.b, id); err != nil {
			return nil, err
		}
	}
	return p, p.fit()
}

// read fills b with what is at page id.
func (t *tree) read(b []byte, id uint64) error {
	n, err := t.file.ReadAt(b, int64(id)*t.pageSize)
	if n < len(b) {
		return readFailed(id, err)
	}
	return nil
}

// readError is the failure of the system to read a page. It says nothing about
// what the file has there.
type readError struct {
	page uint64
	err  error
}

func (e *readError) Error() string { return fmt.Sprintf("read page %d: %v", e.page, e.err) }
func (e *readError) Unwrap() error { return e.err }

// readFailed returns the error of a page that could not be read. A file that
// ends before it is broken; any other reason is a *readError.
func readFailed(id uint64, err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("read page %d: %w", id, err)
	}
	return &readError{id, err}
}

// isReadError reports whether err is that of the system, and not of the file.
func isReadError(err error) bool {
	var failed *readError
	return errors.As(err, &failed)
}

// parsePage takes the header off b, which begins with a page of that size.
func parsePage(b []byte, size int64) (*page, error) {
	if len(b) < headerSize {
		return nil, fmt.Errorf("%d bytes are no page", len(b))
	}
	p := &page{size: size, b: b, count: int(order.Uint16(b[10:]))}
	switch flags := order.Uint16(b[8:]); flags {
	case flagLeaf:
		p.leaf = true
	case flagBranch:
	default:
		return nil, fmt.Errorf("flags %#x are not those of a branch or leaf", flags)
	}
	return p, nil
}

// fit cuts count down to what the table has room for.
func (p *page) fit() error {
	if room := (len(p.b) - headerSize) / elementSize; p.count > room {
		count := p.count
		p.count = room
		return fmt.Errorf("%d elements do not fit", count)
	}
	return nil
}

// element returns the entry with that index, if its data lie within the page.
func (p *page) element(i int) (e element, ok bool) {
	at := int64(headerSize + i*elementSize)
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
	return e, e.ksize > 0 && e.key >= headerSize && e.key+e.size <= p.size
}

// keyOf returns an element's key, or nil if it was not loaded.
func (p *page) keyOf(e element) []byte {
	if end := e.key + e.ksize; end <= int64(len(p.b)) {
		return p.b[e.key:end:end]
	}
	return nil
}

// valueOf returns an element's value, or nil if it was not loaded.
func (p *page) valueOf(e element) []byte {
	if end := e.key + e.size; end <= int64(len(p.b)) {
		return p.b[e.key+e.ksize : end : end]
	}
	return nil
}

// at returns n bytes of the page from off, which are read if they were not
// loaded.
func (p *page) at(off, n int64) ([]byte, error) {
	if off+n <= int64(len(p.b)) {
		return p.b[off : off+n : off+n], nil
	}
	b := make([]byte, n)
	if k, err := p.tree.file.ReadAt(b, int64(p.id)*p.tree.pageSize+off); int64(k) < n {
		return nil, readFailed(p.id, err)
	}
	return b, nil
}

// check looks for anything about the page that bbolt would not have written:
// its id, its table, the order of its keys, and that they lie within keys and
// begin with its first: bbolt finds a child's place in its parent by that. Only
// a file that is just made has an empty page, the root of the tree of buckets;
// an empty bucket is inline.
func (p *page) check(keys span, mayBeEmpty bool) error {
	if got := order.Uint64(p.b); p.id != 0 && got != p.id {
		return fmt.Errorf("it says that it is page %d", got)
	}
	if p.count == 0 && p.id != 0 && !mayBeEmpty {
		return fmt.Errorf("it has no elements")
	}
	end := int64(headerSize + p.count*elementSize)
	var last []byte
	for i := range p.count {
		e, ok := p.element(i)
		if !ok {
			return fmt.Errorf("element %d does not lie within the page", i)
		}
		if e.key != end {
			return fmt.Errorf("element %d is not where the one before ends", i)
		}
		end += e.size
		if e.flags&^flagBucket != 0 {
			return fmt.Errorf("element %d has the flags %#x", i, e.flags)
		}
		key, err := p.at(e.key, e.ksize)
		if err != nil {
			return err
		}
		if last != nil && bytes.Compare(last, key) >= 0 {
			return fmt.Errorf("element %d is out of order", i)
		}
		if !keys.has(key) || i == 0 && keys.lo != nil && !bytes.Equal(key, keys.lo) {
			return fmt.Errorf("element %d does not belong there", i)
		}
		last = key
	}
	if p.id == 0 && end != p.size || p.id != 0 && end <= p.size-p.tree.pageSize {
		return fmt.Errorf("%d bytes, of which %d are used", p.size, end)
	}
	return nil
}

// find returns the index of the last element whose key is not above key, or -1,
// and whether it is equal.
func (p *page) find(key []byte) (i int, equal bool, err error) {
	low, high := 0, p.count // the element looked for is in [low-1, high-1]
	for low < high {
		mid := (low + high) / 2
		e, ok := p.element(mid)
		if !ok {
			return 0, false, fmt.Errorf("element %d does not lie within the page", mid)
		}
		k, err := p.at(e.key, e.ksize)
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

// span is the keys from lo up to, not including, hi. nil is no bound.
type span struct{ lo, hi []byte }

func (s span) has(key []byte) bool {
	return bytes.Compare(s.lo, key) <= 0 && (s.hi == nil || bytes.Compare(key, s.hi) < 0)
}
