package boltfile

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// Walk goes through a tree in the order of its keys. It reads pages a branch at
// a time, neighbours together.
type Walk struct {
	Tree  *Tree
	Whole bool     // read leaves with their overflow, so that Entry returns all values
	Only  string   // visit only this bucket; empty is all
	Seen  *PageSet // gets the pages that were visited, if not nil

	// Bucket is called for each bucket that is found, if not nil.
	Bucket func(name string, b *Bucket)
	// Leaf is called for each leaf, except those of the tree of buckets. The
	// page is valid until it returns.
	Leaf func(at Place, p *Page) error
	// Bad is called for each page that is not as bbolt writes it. If it returns
	// nil, the walk visits the usable part of the page. An error of which
	// IsReadError reports true ends the walk without it. If Bad is nil, any
	// bad page ends the walk.
	Bad func(at Place, err error) error

	buffers [maxDepth + 2][]byte
}

// Place is the position of a walk.
type Place struct {
	Bucket string // empty in the tree of buckets
	Page   uint64
	Keys   Span // the keys that may be there
}

func (w *Walk) report(at Place, err error) error {
	if w.Bad == nil || IsReadError(err) {
		return Corrupt(at.Page, err)
	}
	return w.Bad(at, err)
}

// Run visits all pages of the tree, each once: branches that lead back to one
// another are a fault.
func (w *Walk) Run() error {
	if w.Seen == nil {
		w.Seen = NewPageSet(w.Tree.high)
	}
	return w.visitPage(Place{Page: w.Tree.root}, nil, 0)
}

// visitPage visits the page at a place. The content of the file there starts
// with begin, if that is not empty.
func (w *Walk) visitPage(at Place, begin []byte, depth int) error {
	p, err := w.Tree.load(at.Page, begin, w.Whole)
	if p == nil {
		return w.report(at, err)
	}
	return w.visit(at, p, err, depth)
}

// visit visits a page that was loaded with the error err.
func (w *Walk) visit(at Place, p *Page, err error, depth int) error {
	if err == nil {
		err = p.check(at.Keys, p.leaf && at.Bucket == "" && depth == 0)
	}
	if err == nil && depth > maxDepth {
		err = errTooDeep
	}
	if p.id != 0 {
		n := int64(1)
		if err == nil {
			n = p.size / w.Tree.pageSize
		}
		if !w.Seen.add(p.id, n) {
			return w.report(at, errors.New("the tree has it twice"))
		}
	}
	if err != nil {
		if err := w.report(at, err); err != nil || depth > maxDepth {
			return err
		}
	}
	switch {
	case !p.leaf:
		return w.visitBranch(at, p, depth)
	case at.Bucket == "":
		return w.visitBuckets(at, p, depth)
	default:
		return w.Leaf(at, p)
	}
}

// visitBuckets visits the buckets of a leaf of the tree of buckets.
func (w *Walk) visitBuckets(at Place, p *Page, depth int) error {
	for i := range p.count {
		e, ok := p.element(i)
		if !ok {
			continue
		}
		name, value := p.keyOf(e), p.valueOf(e)
		at := Place{Bucket: string(name), Page: at.Page}
		if name == nil || value == nil || e.flags != flagBucket {
			if err := w.report(at, fmt.Errorf("element %d is not a bucket", i)); err != nil {
				return err
			}
			continue
		}
		if w.Only != "" && w.Only != at.Bucket {
			continue
		}
		b, err := w.Tree.parseBucket(value)
		if err == nil && w.Bucket != nil {
			w.Bucket(at.Bucket, b)
		}
		switch {
		case err != nil:
			err = w.report(at, err)
		case b.root != 0:
			at.Page = b.root
			err = w.visitPage(at, nil, depth+1)
		default:
			var inline *Page
			if inline, err = b.inlinePage(); inline == nil {
				err = w.report(at, err)
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

// visitBranch visits the children of p.
func (w *Walk) visitBranch(at Place, p *Page, depth int) error {
	begins := w.readAhead(p, depth)
	for i := range p.count {
		e, ok := p.element(i)
		key := p.keyOf(e)
		if !ok || key == nil {
			continue
		}
		child := Place{Bucket: at.Bucket, Page: e.child, Keys: Span{Low: key, High: at.Keys.High}}
		if i+1 < p.count {
			if next, ok := p.element(i + 1); ok {
				child.Keys.High = p.keyOf(next)
			}
		}
		if err := w.visitPage(child, begins.at(e.child), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// stretches are parts of a file in memory.
type stretches struct {
	pageSize int64
	starts   []uint64 // page ids, ascending
	bytes    [][]byte
}

// at returns the content of the file at a page and behind it, as far as it is in
// memory.
func (r *stretches) at(id uint64) []byte {
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
	// maxGap is the maximum number of unwanted pages that are read to save a
	// call.
	maxGap = 8
	// maxRun is the maximum number of pages that are read in one call.
	maxRun = 256
)

// readAhead reads the beginnings of p's children. It skips pages that cannot be
// read.
func (w *Walk) readAhead(p *Page, depth int) *stretches {
	ids := make([]uint64, 0, p.count)
	for i := range p.count {
		if e, ok := p.element(i); ok && e.child >= 2 && e.child < w.Tree.high {
			ids = append(ids, e.child)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)

	type stretch struct{ from, to uint64 }
	var wanted []stretch
	total := uint64(0)
	for _, id := range ids {
		if n := len(wanted); n > 0 && id-wanted[n-1].to <= maxGap && id-wanted[n-1].from < maxRun {
			total += id + 1 - wanted[n-1].to
			wanted[n-1].to = id + 1
			continue
		}
		wanted = append(wanted, stretch{id, id + 1})
		total++
	}
	if need := int64(total) * w.Tree.pageSize; int64(cap(w.buffers[depth])) < need {
		w.buffers[depth] = make([]byte, need)
	}
	buffer := w.buffers[depth]
	r := &stretches{pageSize: w.Tree.pageSize}
	for _, s := range wanted {
		n := int64(s.to-s.from) * w.Tree.pageSize
		got, _ := w.Tree.file.ReadAt(buffer[:n], int64(s.from)*w.Tree.pageSize)
		r.starts = append(r.starts, s.from)
		r.bytes = append(r.bytes, buffer[:got:got])
		buffer = buffer[n:]
	}
	return r
}

// Verify goes through all pages of the tree of m and returns them. The error is the
// first fault: a page that is not as bbolt writes it, a bucket of names that is
// missing, or an error of leaf. A new file may have none of the buckets.
func Verify(file io.ReaderAt, m Meta, names []string, leaf func(at Place, p *Page) error) (*PageSet, error) {
	used := NewPageSet(m.High)
	found := 0
	w := Walk{
		Tree: NewTree(file, m),
		Seen: used,
		Bucket: func(name string, _ *Bucket) {
			if slices.Contains(names, name) {
				found++
			}
		},
		Leaf: leaf,
	}
	if err := w.Run(); err != nil {
		return nil, err
	}
	if found != len(names) && found+int(m.Tx) > 1 { // except for a file that was just made
		return nil, fmt.Errorf("it has %d of its %d buckets", found, len(names))
	}
	return used, nil
}
