package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"gm/pkg/store"
)

// Tree is the tree of buckets of a file, read without mapping the file: the
// worst effect of anything in the file is an error. It is the state that a
// transaction left, as long as no other has freed its pages.
type Tree struct {
	file     io.ReaderAt
	pageSize int64
	high     uint64 // all pages in use lie below
	root     uint64
}

// NewTree returns the tree of a file whose first pages have m.
func NewTree(file io.ReaderAt, m Meta) *Tree {
	return &Tree{file: file, pageSize: m.PageSize, high: m.High, root: m.Root}
}

// PageSize returns the size of a page in bytes.
func (t *Tree) PageSize() int64 { return t.pageSize }

// High returns the number above all pages in use.
func (t *Tree) High() uint64 { return t.high }

// maxDepth is above the depth of any tree whose branches fork.
const maxDepth = 24

// Bucket is a tree of keys within the tree of buckets.
type Bucket struct {
	tree     *Tree
	root     uint64
	inline   []byte // the only page, if root is 0
	sequence uint64
}

// Sequence returns the number that the bucket keeps, as bolt.Bucket.Sequence
// does.
func (b *Bucket) Sequence() uint64 { return b.sequence }

// parseBucket parses the value of a bucket.
func (t *Tree) parseBucket(value []byte) (*Bucket, error) {
	if len(value) < bucketHeaderSize {
		return nil, fmt.Errorf("%d bytes are not a bucket", len(value))
	}
	b := &Bucket{tree: t, root: order.Uint64(value), sequence: order.Uint64(value[8:])}
	if b.root == 0 {
		b.inline = value[bucketHeaderSize:]
	}
	return b, nil
}

// Bucket returns the bucket of that name.
func (t *Tree) Bucket(name string) (*Bucket, error) {
	top := &Bucket{tree: t, root: t.root}
	value, err := top.Get([]byte(name))
	if err != nil {
		return nil, err
	}
	return t.parseBucket(value)
}

// load returns the page with that id. If begin is not empty, it is the content
// of the file at the page and, maybe, behind it; the page may keep it. The
// overflow of a leaf is read only if whole is true. The page is nil if nothing of
// it can be used.
func (t *Tree) load(id uint64, begin []byte, whole bool) (*Page, error) {
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
		_ = p.fit()
		return p, fmt.Errorf("its %d pages of overflow are not in use", overflow)
	}
	p.size = int64(overflow+1) * t.pageSize
	need := t.pageSize
	if table := int64(HeaderSize + p.count*ElementSize); whole || !p.leaf || table > need {
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

// read fills b from page id on.
func (t *Tree) read(b []byte, id uint64) error {
	n, err := t.file.ReadAt(b, int64(id)*t.pageSize)
	if n < len(b) {
		return readFailed(id, err)
	}
	return nil
}

// inlinePage returns the page of a bucket whose root is 0.
func (b *Bucket) inlinePage() (*Page, error) {
	p, err := parsePage(b.inline, int64(len(b.inline)))
	if err != nil {
		return nil, err
	}
	p.tree = b.tree
	return p, p.fit()
}

// pageBuffers are for the pages on the way of Seek.
var pageBuffers = sync.Pool{New: func() any { return new([]byte) }}

// Get returns a copy of the value under key, or store.ErrNotFound. Any other
// error is a *store.CorruptError, or one of which IsReadError reports true.
func (b *Bucket) Get(key []byte) ([]byte, error) {
	found, value, err := b.Seek(key)
	if err == nil && !bytes.Equal(found, key) {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return value, nil
}

// Seek returns copies of the first key that is not below key and of its value,
// or the errors of Get.
func (b *Bucket) Seek(key []byte) (found, value []byte, err error) {
	buffer := pageBuffers.Get().(*[]byte)
	defer pageBuffers.Put(buffer)
	if int64(len(*buffer)) < b.tree.pageSize {
		*buffer = make([]byte, b.tree.pageSize)
	}
	id, next := b.root, uint64(0) // next is the page to go on with if the keys below id are all lower
	for range 2 * maxDepth {
		p, err := b.loadStep(id, (*buffer)[:b.tree.pageSize])
		if err != nil {
			return nil, nil, Corrupt(id, err)
		}
		i, equal, err := p.find(key)
		if err != nil {
			return nil, nil, Corrupt(id, err)
		}
		if p.leaf && !equal {
			i++
		}
		i = max(i, 0)
		if p.leaf && i == p.count {
			if next == 0 {
				return nil, nil, store.ErrNotFound
			}
			id, next = next, 0
			continue
		}
		e, ok := p.element(i)
		if !ok {
			return nil, nil, Corrupt(id, fmt.Errorf("element %d does not lie within the page", i))
		}
		if p.leaf {
			entry, err := p.bytesAt(e.key, e.size)
			if err != nil {
				return nil, nil, Corrupt(id, err)
			}
			entry = bytes.Clone(entry)
			return entry[:e.ksize:e.ksize], entry[e.ksize:], nil
		}
		id = e.child
		if i+1 < p.count {
			if e, ok := p.element(i + 1); ok {
				next = e.child
			}
		}
	}
	return nil, nil, Corrupt(id, errTooDeep)
}

var errTooDeep = errors.New("the tree is too deep")

// loadStep loads a page on the way down into a buffer of a page's size.
func (b *Bucket) loadStep(id uint64, buffer []byte) (*Page, error) {
	if id == 0 && b.root == 0 {
		return b.inlinePage()
	}
	if err := b.tree.read(buffer, id); err != nil {
		return nil, err
	}
	p, err := b.tree.load(id, buffer, false)
	if err == nil && !p.leaf && p.count == 0 {
		err = errors.New("it has no elements")
	}
	return p, err
}

// Corrupt returns the error of a page that cannot be used: a *store.CorruptError,
// or err itself if IsReadError reports true.
func Corrupt(page uint64, err error) error {
	if IsReadError(err) {
		return err
	}
	return &store.CorruptError{Where: fmt.Sprint("page ", page), Why: err.Error()}
}

// Strays calls f for each leaf that is not in seen, the pages of the tree. It
// skips the overflow of a whole leaf: a payload there may look like a page. A
// leaf is whole if isWhole reports that each of its entries is; old overflow of
// a page that is free may have been overwritten.
func (t *Tree) Strays(seen *PageSet, isWhole func(*Page) bool, f func(*Page) error) error {
	behind := uint64(0) // the page behind the last whole one
	for id := uint64(2); id < t.high; id++ {
		if seen.Has(id) || id < behind {
			continue
		}
		var header [HeaderSize]byte
		if n, err := t.file.ReadAt(header[:], int64(id)*t.pageSize); n < len(header) {
			if err = readFailed(id, err); IsReadError(err) {
				return err
			}
			continue
		}
		if order.Uint64(header[:]) != id || order.Uint16(header[8:]) != flagLeaf {
			continue
		}
		p, err := t.load(id, nil, true)
		if IsReadError(err) {
			return err
		}
		if p == nil {
			continue
		}
		if err == nil && p.check(Span{}, false) == nil && isWhole(p) {
			behind = id + uint64(p.size/t.pageSize)
		}
		if err := f(p); err != nil {
			return err
		}
	}
	return nil
}
