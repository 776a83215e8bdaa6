package disk

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"gm/pkg/store"
)

// maxDepth is more than any tree has whose branches fork.
const maxDepth = 24

// bucket is a tree of keys within the tree of buckets.
type bucket struct {
	tree     *tree
	root     uint64
	inline   []byte // the only page, if root is 0
	sequence uint64
}

// parseBucket takes a bucket off a leaf's value.
func (t *tree) parseBucket(value []byte) (*bucket, error) {
	if len(value) < bucketHeaderSize {
		return nil, fmt.Errorf("%d bytes are no bucket", len(value))
	}
	b := &bucket{tree: t, root: order.Uint64(value), sequence: order.Uint64(value[8:])}
	if b.root == 0 {
		b.inline = value[bucketHeaderSize:]
	}
	return b, nil
}

// bucket returns the bucket of that name in the tree of buckets at root.
func (t *tree) bucket(root uint64, name string) (*bucket, error) {
	top := &bucket{tree: t, root: root}
	value, err := top.get([]byte(name))
	if err != nil {
		return nil, err
	}
	return t.parseBucket(value)
}

// inlinePage returns the page of a bucket whose root is 0.
func (b *bucket) inlinePage() (*page, error) {
	p, err := parsePage(b.inline, int64(len(b.inline)))
	if err != nil {
		return nil, err
	}
	p.tree = b.tree
	return p, p.fit()
}

// pageBuffers are for the pages that get goes through.
var pageBuffers = sync.Pool{New: func() any { return new([]byte) }}

// get returns a copy of the value under key, or store.ErrNotFound. Any other
// error is a *store.CorruptError, or a *readError.
func (b *bucket) get(key []byte) ([]byte, error) {
	found, value, err := b.seek(key)
	if err == nil && !bytes.Equal(found, key) {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return value, nil
}

// seek returns copies of the first key that is not below key and of its value,
// or the errors of get.
func (b *bucket) seek(key []byte) (found, value []byte, err error) {
	buffer := pageBuffers.Get().(*[]byte)
	defer pageBuffers.Put(buffer)
	if int64(len(*buffer)) < b.tree.pageSize {
		*buffer = make([]byte, b.tree.pageSize)
	}
	id, next := b.root, uint64(0) // where what follows is, should nothing be found below id
	for range 2 * maxDepth {
		p, err := b.step(id, (*buffer)[:b.tree.pageSize])
		if err != nil {
			return nil, nil, corrupt(id, err)
		}
		i, equal, err := p.find(key)
		if err != nil {
			return nil, nil, corrupt(id, err)
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
			return nil, nil, corrupt(id, fmt.Errorf("element %d does not lie within the page", i))
		}
		if p.leaf {
			entry, err := p.at(e.key, e.size)
			if err != nil {
				return nil, nil, corrupt(id, err)
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
	return nil, nil, corrupt(id, fmt.Errorf("the tree is too deep"))
}

// step loads a page on the way down, by way of a buffer of a page's size.
func (b *bucket) step(id uint64, buffer []byte) (*page, error) {
	if id == 0 && b.root == 0 {
		return b.inlinePage()
	}
	if err := b.tree.read(buffer, id); err != nil {
		return nil, err
	}
	p, err := b.tree.load(id, buffer, false)
	if err == nil && !p.leaf && p.count == 0 {
		err = fmt.Errorf("it has no elements")
	}
	return p, err
}

// corrupt returns the error of a page that can't be used. That of the system
// stays what it is.
func corrupt(id uint64, err error) error {
	if isReadError(err) {
		return err
	}
	return &store.CorruptError{Where: fmt.Sprint("page ", id), Why: err.Error()}
}

// walk goes through a tree in the order of its keys. Pages are read a branch
// at a time, neighbours together.
type walk struct {
	tree  *tree
	whole bool    // leaves are wanted with what overflows them
	only  string  // the bucket to visit, all if empty
	seen  *bitmap // the pages met, if not nil

	// bucket is called for each bucket that is found, if not nil.
	bucket func(name string, b *bucket)
	// leaf is called for each leaf but those of the tree of buckets. p is
	// valid until it returns.
	leaf func(where place, p *page) error
	// bad is called for each page that is not as it should be. If it returns
	// nil, what can be made of the page is visited nevertheless. An error of
	// the system ends the walk without it.
	bad func(where place, err error) error

	buffers [maxDepth + 2][]byte
}

// place is where a walk has come to.
type place struct {
	bucket string // empty in the tree of buckets
	page   uint64
	keys   span // that may be there
}

func (w *walk) error(at place, err error) error {
	if w.bad == nil || isReadError(err) {
		return corrupt(at.page, err)
	}
	return w.bad(at, err)
}

// run visits the tree of buckets at root.
func (w *walk) run(root uint64) error {
	return w.page(place{page: root}, nil, 0)
}

// page visits the page at a place, whose file begins with begin if that is not
// empty.
func (w *walk) page(at place, begin []byte, depth int) error {
	p, err := w.tree.load(at.page, begin, w.whole)
	if p == nil {
		return w.error(at, err)
	}
	return w.visit(at, p, err, depth)
}

// visit visits p, of which err is known.
func (w *walk) visit(at place, p *page, err error, depth int) error {
	if err == nil {
		err = p.check(at.keys, p.leaf && at.bucket == "" && depth == 0)
	}
	if err == nil && depth > maxDepth {
		err = fmt.Errorf("the tree is too deep")
	}
	if w.seen != nil && p.id != 0 {
		n := int64(1)
		if err == nil {
			n = p.size / w.tree.pageSize
		}
		if !w.seen.add(p.id, n) {
			return w.error(at, fmt.Errorf("it is met twice"))
		}
	}
	if err != nil {
		if err := w.error(at, err); err != nil || depth > maxDepth {
			return err
		}
	}
	switch {
	case !p.leaf:
		return w.branch(at, p, depth)
	case at.bucket == "":
		return w.buckets(at, p, depth)
	default:
		return w.leaf(at, p)
	}
}

// buckets visits the buckets of a leaf of the tree of buckets.
func (w *walk) buckets(at place, p *page, depth int) error {
	for i := range p.count {
		e, ok := p.element(i)
		if !ok {
			continue
		}
		name, value := p.keyOf(e), p.valueOf(e)
		at := place{bucket: string(name), page: at.page}
		if name == nil || value == nil || e.flags != flagBucket {
			if err := w.error(at, fmt.Errorf("element %d is no bucket", i)); err != nil {
				return err
			}
			continue
		}
		if w.only != "" && w.only != at.bucket {
			continue
		}
		b, err := w.tree.parseBucket(value)
		if err == nil && w.bucket != nil {
			w.bucket(at.bucket, b)
		}
		switch {
		case err != nil:
			err = w.error(at, err)
		case b.root != 0:
			at.page = b.root
			err = w.page(at, nil, depth+1)
		default:
			var inline *page
			if inline, err = b.inlinePage(); inline == nil {
				err = w.error(at, err)
			} else {
				err = w.visit(at, inline, err, depth+1)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// branch visits the children of p.
func (w *walk) branch(at place, p *page, depth int) error {
	begins := w.readAhead(p, depth)
	for i := range p.count {
		e, ok := p.element(i)
		key := p.keyOf(e)
		if !ok || key == nil {
			continue
		}
		child := place{bucket: at.bucket, page: e.child, keys: span{lo: key, hi: at.keys.hi}}
		if i+1 < p.count {
			if next, ok := p.element(i + 1); ok {
				child.keys.hi = p.keyOf(next)
			}
		}
		if err := w.page(child, begins.at(e.child), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// runs are stretches of a file in memory.
type runs struct {
	pageSize int64
	starts   []uint64 // page ids, ascending
	bytes    [][]byte
}

// at returns what the file has at a page and behind it, as far as it is there.
func (r *runs) at(id uint64) []byte {
	i, ok := slices.BinarySearch(r.starts, id)
	if !ok {
		i--
	}
	if i < 0 {
		return nil
	}
	b, skip := r.bytes[i], id-r.starts[i]
	if skip >= uint64(len(b))/uint64(r.pageSize) {
		return nil
	}
	return b[skip*uint64(r.pageSize):]
}

const (
	maxGap = 8   // pages that are read in vain to spare a call
	maxRun = 256 // pages that are read at once
)

// readAhead reads the beginnings of p's children. What can't be read is left
// out.
func (w *walk) readAhead(p *page, depth int) *runs {
	ids := make([]uint64, 0, p.count)
	for i := range p.count {
		if e, ok := p.element(i); ok && e.child >= 2 && e.child < w.tree.high {
			ids = append(ids, e.child)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)

	type stretch struct{ from, to uint64 }
	var stretches []stretch
	total := uint64(0)
	for _, id := range ids {
		if n := len(stretches); n > 0 && id-stretches[n-1].to <= maxGap && id-stretches[n-1].from < maxRun {
			total += id + 1 - stretches[n-1].to
			stretches[n-1].to = id + 1
			continue
		}
		stretches = append(stretches, stretch{id, id + 1})
		total++
	}
	if need := int64(total) * w.tree.pageSize; int64(cap(w.buffers[depth])) < need {
		w.buffers[depth] = make([]byte, need)
	}
	buffer := w.buffers[depth]
	r := &runs{pageSize: w.tree.pageSize}
	for _, s := range stretches {
		n := int64(s.to-s.from) * w.tree.pageSize
		got, _ := w.tree.file.ReadAt(buffer[:n], int64(s.from)*w.tree.pageSize)
		r.starts = append(r.starts, s.from)
		r.bytes = append(r.bytes, buffer[:got:got])
		buffer = buffer[n:]
	}
	return r
}
