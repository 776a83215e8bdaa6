//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A B+ tree database is a hash database whose records are pages. A leaf is under
// its number in hexadecimal digits:
//
//	previous leaf, next leaf: 0 without one
//	records: size of the key, size of the value, count of further values; the
//	key, the value, and for each further value its size and it
//
// and a node is under "#" and its number. In other pages, nodeBase is added to a node's
// number, to distinguish it from that of a leaf.
//
//	first child
//	children: number, size of the first key that may be below it, and the key
//
// The numbers have the form that vnum reads.

// The part of a header that B+ tree databases have.
const (
	typeTree = 1

	compareAt = 128 // 0: keys are in the order of their bytes
	rootAt    = 144
	firstLeaf = 152
	lastLeaf  = 160
	treeCount = 184 // how many records there are

	nodeBase = 1<<48 + 1
)

// pair is a key of a leaf and its value.
type pair struct{ key, value []byte }

// child is a child of a node, and the least key that may be below it. from is nil if
// that is the least key of the node itself.
type child struct {
	id   uint64
	from []byte
}

// page is a leaf or a node of a tree.
type page struct {
	id       uint64
	pairs    []pair
	previous uint64
	next     uint64
	children []child
}

func (p *page) isNode() bool { return p.id > nodeBase }

// parsePage parses a record of the hash database as a page. With an error, it also
// returns the records before the fault.
func parsePage(key, value []byte) (*page, error) {
	digits, isNode := strings.CutPrefix(string(key), "#")
	id, err := strconv.ParseUint(digits, 16, 48)
	if err != nil || id == 0 || strconv.FormatUint(id, 16) != digits {
		return nil, fmt.Errorf("page %.40q: %w", key, errForm)
	}
	p, r := &page{id: id}, pageReader{b: value}
	if isNode {
		p.id += nodeBase
		p.children = append(p.children, child{id: r.number()})
		for len(r.b) > 0 && !r.failed {
			id, size := r.number(), r.number()
			p.children = append(p.children, child{id, r.bytes(size)})
		}
	} else {
		p.previous, p.next = r.number(), r.number()
		for len(r.b) > 0 && !r.failed {
			keySize, valueSize, others := r.number(), r.number(), r.number()
			x := pair{r.bytes(keySize), r.bytes(valueSize)}
			if others != 0 {
				r.failed = true // neither program puts two values under a key
			}
			if !r.failed {
				p.pairs = append(p.pairs, x)
			}
		}
	}
	if r.failed {
		err = fmt.Errorf("page %.40q: %w", key, errForm)
	}
	return p, err
}

// pageReader reads the parts of a page.
type pageReader struct {
	b      []byte
	failed bool
}

func (r *pageReader) number() uint64 {
	v := uint64(0)
	for n := 0; n < len(r.b) && n < 9; n++ {
		c := r.b[n]
		if c < 0x80 {
			r.b = r.b[n+1:]
			return v | uint64(c)<<(7*n)
		}
		v |= uint64(^c) << (7 * n)
	}
	r.failed = true
	return 0
}

func (r *pageReader) bytes(size uint64) []byte {
	if r.failed || size > uint64(len(r.b)) || size > math.MaxInt32 {
		r.failed = true
		return nil
	}
	b := r.b[:size:size]
	r.b = r.b[size:]
	return b
}

// treeCheck collects the pages of a tree. It checks that the library finds every record,
// and that no search is endless.
type treeCheck struct {
	t       *table
	nodes   map[uint64][]child
	leaves  map[uint64]*leafCheck
	visited int
	last    *leafCheck // the last leaf of the walk
	lastID  uint64
	records int64
	high    []byte // the last key of the walk
}

// leafCheck is the part of a leaf that later checks need.
type leafCheck struct {
	previous, next uint64
	records        int
	low, high      []byte
}

func newTreeCheck(t *table) *treeCheck {
	return &treeCheck{t: t, nodes: make(map[uint64][]child), leaves: make(map[uint64]*leafCheck)}
}

// addPage adds a page, and calls f for each of its records.
func (c *treeCheck) addPage(r *record, f func(*record, *entry)) error {
	p, err := parsePage(r.key, r.value)
	if err != nil {
		return err
	}
	if p.isNode() {
		for i := range p.children {
			p.children[i].from = bytes.Clone(p.children[i].from)
		}
		c.nodes[p.id] = p.children
		return nil
	}
	l := &leafCheck{previous: p.previous, next: p.next, records: len(p.pairs)}
	for i, x := range p.pairs {
		e, err := decode(x.key, x.value)
		if err != nil {
			return fmt.Errorf("record %.300q: %w", x.key, err)
		}
		if i > 0 && bytes.Compare(p.pairs[i-1].key, x.key) >= 0 {
			return fmt.Errorf("page %s: keys are not in order", r.key)
		}
		f(&record{offset: r.offset, key: x.key, value: x.value}, e)
	}
	if n := len(p.pairs); n > 0 {
		l.low, l.high = bytes.Clone(p.pairs[0].key), bytes.Clone(p.pairs[n-1].key)
	}
	c.leaves[p.id] = l
	return nil
}

// maxDepth is above the depth of any tree: the library has room for 64 levels.
const maxDepth = 60

// verify walks through the tree.
func (c *treeCheck) verify() error {
	head := make([]byte, headerSize)
	if _, err := c.t.file.ReadAt(head, 0); err != nil {
		return err
	}
	number := func(at int) uint64 { return c.t.order.Uint64(head[at:]) }
	if len(c.nodes)+len(c.leaves) == 0 {
		return nil // the library creates the first page
	}
	if head[compareAt] != 0 {
		return fmt.Errorf("order of keys %d is not supported", head[compareAt])
	}
	if err := c.walk(number(rootAt), nil, nil, 0); err != nil {
		return err
	}
	switch {
	case c.last.next != 0:
		return fmt.Errorf("page %x: a page follows the last", c.lastID)
	case number(lastLeaf) != c.lastID:
		return fmt.Errorf("last page is %x, want %x", number(lastLeaf), c.lastID)
	case uint64(c.records) != number(treeCount):
		return fmt.Errorf("%d records, want %d", c.records, number(treeCount))
	case c.visited != len(c.nodes)+len(c.leaves):
		return fmt.Errorf("%d pages are not in the tree", len(c.nodes)+len(c.leaves)-c.visited)
	}
	if first := c.leaves[number(firstLeaf)]; first == nil || first.previous != 0 {
		return fmt.Errorf("first page %x is not the first", number(firstLeaf))
	}
	return nil
}

var errTree = errors.New("pages do not make a tree")

// walk visits a page and the pages below it. Their keys must be at least low and below
// high.
func (c *treeCheck) walk(id uint64, low, high []byte, depth int) error {
	c.visited++
	if depth > maxDepth || c.visited > len(c.nodes)+len(c.leaves) {
		return errTree
	}
	if l := c.leaves[id]; l != nil {
		return c.visitLeaf(id, l, low, high)
	}
	children := c.nodes[id]
	if children == nil {
		return fmt.Errorf("page %x is missing", id)
	}
	for i, x := range children {
		from, to := x.from, high
		if i == 0 {
			from = low
		}
		if i+1 < len(children) {
			to = children[i+1].from
		}
		if err := c.walk(x.id, from, to, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *treeCheck) visitLeaf(id uint64, l *leafCheck, low, high []byte) error {
	if l.previous != c.lastID || c.last != nil && c.last.next != id {
		return fmt.Errorf("page %x: %w", id, errTree)
	}
	if l.records > 0 {
		if low != nil && bytes.Compare(l.low, low) < 0 || high != nil && bytes.Compare(l.high, high) >= 0 {
			return fmt.Errorf("page %x: its keys belong to another page", id)
		}
		if c.high != nil && bytes.Compare(l.low, c.high) <= 0 {
			return fmt.Errorf("page %x: keys are not in order", id)
		}
		c.high = l.high
	}
	c.last, c.lastID = l, id
	c.records += int64(l.records)
	return nil
}
