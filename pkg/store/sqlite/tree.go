package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The kinds of a tree's pages.
const (
	indexInner = 0x02
	tableInner = 0x05
	indexLeaf  = 0x0a
	tableLeaf  = 0x0d
)

// trees reads the readable part of the trees of an image.
type trees struct {
	*image
	seen   map[uint32]bool              // pages that were reached
	damage func(page uint32, why error) // called for each page that cannot be read
}

// maxDepth is above the depth of any tree of SQLite.
const maxDepth = 40

var errPage = errors.New("does not have the form of its kind")

// walk calls f for each entry of the tree below a page: id is a row's number,
// or 0 in an index. The record belongs to f.
func (t *trees) walk(root uint32, f func(id int64, record []byte)) {
	t.walkBelow(root, 0, 0, f)
}

// walkBelow walks the tree below a page of one kind; kind 0 allows any kind.
func (t *trees) walkBelow(n uint32, depth int, kind byte, f func(int64, []byte)) {
	if t.seen[n] || depth > maxDepth {
		t.damage(n, errors.New("is in two places of a tree"))
		return
	}
	b, err := t.page(n)
	if err != nil {
		t.damage(n, err)
		return
	}
	t.seen[n] = true
	p, err := parsePage(b, n, t.usable)
	if err == nil && kind != 0 && p.kind|0x08 != kind|0x08 {
		err = errPage
	}
	if err != nil {
		t.damage(n, err)
		return
	}
	for i := range p.cells {
		cell, err := p.cell(i)
		if err != nil {
			t.damage(n, err)
			continue
		}
		if p.kind == tableInner || p.kind == indexInner {
			t.walkBelow(binary.BigEndian.Uint32(cell), depth+1, p.kind, f)
			cell = cell[4:]
		}
		if p.kind == tableInner {
			continue
		}
		id, record, err := t.entry(cell, p.kind)
		if err != nil {
			t.damage(n, err)
			continue
		}
		f(id, record)
	}
	if p.kind == tableInner || p.kind == indexInner {
		t.walkBelow(p.right, depth+1, p.kind, f)
	}
}

// page is a parsed page of a tree.
type page struct {
	kind  byte
	cells int
	right uint32 // of inner pages, the last child

	b        []byte // all of it
	pointers []byte // two bytes a cell
}

func parsePage(b []byte, n uint32, usable int) (*page, error) {
	start := 0
	if n == 1 {
		start = 100
	}
	head := b[start:usable]
	p := &page{kind: head[0], cells: int(binary.BigEndian.Uint16(head[3:])), b: b[:usable]}
	size := 8
	switch p.kind {
	case tableLeaf, indexLeaf:
	case tableInner, indexInner:
		size = 12
		p.right = binary.BigEndian.Uint32(head[8:])
	default:
		return nil, fmt.Errorf("kind %d", p.kind)
	}
	if p.cells*2 > len(head)-size {
		return nil, fmt.Errorf("%d cells", p.cells)
	}
	p.pointers = head[size : size+2*p.cells]
	return p, nil
}

// cell returns the bytes of a page from the start of a cell.
func (p *page) cell(i int) ([]byte, error) {
	at := int(binary.BigEndian.Uint16(p.pointers[2*i:]))
	if at < 8 || at > len(p.b)-4 {
		return nil, fmt.Errorf("cell %d at %d", i, at)
	}
	return p.b[at:], nil
}

// entry returns the number and the record of a cell of a leaf or of an index.
func (t *trees) entry(cell []byte, kind byte) (id int64, record []byte, err error) {
	size, n := varint(cell)
	if n == 0 || size < 0 || size > int64(t.pages)*int64(t.usable) {
		return 0, nil, errPage
	}
	cell = cell[n:]
	most := (t.usable-12)*64/255 - 23 // maximum size of a record without overflow pages
	if kind == tableLeaf {
		if id, n = varint(cell); n == 0 {
			return 0, nil, errPage
		}
		cell = cell[n:]
		most = t.usable - 35
	}
	local := int(size)
	if size > int64(most) {
		least := (t.usable-12)*32/255 - 23
		local = least + int((size-int64(least))%int64(t.usable-4))
		if local > most {
			local = least
		}
	}
	if local > len(cell) || int(size) > local && local+4 > len(cell) {
		return 0, nil, errPage
	}
	record = append(make([]byte, 0, size), cell[:local]...)
	if int(size) > local {
		record, err = t.readOverflow(record, binary.BigEndian.Uint32(cell[local:]))
	}
	return id, record, err
}

// readOverflow appends the rest of a record from its overflow pages, up to the capacity
// of record.
func (t *trees) readOverflow(record []byte, n uint32) ([]byte, error) {
	for len(record) < cap(record) {
		b, err := t.page(n)
		if err != nil {
			return nil, err
		}
		t.seen[n] = true
		record = append(record, b[4:min(t.usable, 4+cap(record)-len(record))]...)
		n = binary.BigEndian.Uint32(b)
	}
	return record, nil
}

// markFree marks the free pages as seen.
func (t *trees) markFree() {
	head, err := t.page(1)
	if err != nil {
		t.damage(1, err)
		return
	}
	for n := binary.BigEndian.Uint32(head[32:]); n != 0; {
		b, err := t.page(n)
		if err == nil && t.seen[n] {
			err = errors.New("is free and in use")
		}
		if err != nil {
			t.damage(n, fmt.Errorf("free: %w", err))
			return
		}
		t.seen[n] = true
		leaves := min(int(binary.BigEndian.Uint32(b[4:])), t.usable/4-2)
		for i := range leaves {
			t.seen[binary.BigEndian.Uint32(b[8+4*i:])] = true
		}
		n = binary.BigEndian.Uint32(b)
	}
}

// eachOrphan calls f for each entry in leaves of tables that no page points to.
func (t *trees) eachOrphan(f func(id int64, record []byte)) {
	for n := uint32(2); n <= t.pages; n++ {
		if t.seen[n] {
			continue
		}
		b, err := t.page(n)
		if err != nil || b[0] != tableLeaf {
			continue
		}
		p, err := parsePage(b, n, t.usable)
		if err != nil {
			continue
		}
		for i := range p.cells {
			cell, err := p.cell(i)
			if err != nil {
				continue
			}
			if id, record, err := t.entry(cell, tableLeaf); err == nil {
				f(id, record)
			}
		}
	}
}
