package boltfile

import (
	"bytes"
	"fmt"
	"testing"
)

// TestVerify changes bytes of the header and the table of each page in use,
// except the sizes of a leaf's last entry, which nothing contradicts. Verify
// finds each change, and a walk that goes on after it does not fail.
func TestVerify(t *testing.T) {
	b, m, _ := closedFile(t, 100)
	file := bytes.NewReader(b)
	used, err := Verify(file, m, testBuckets, plainOnly)
	if err != nil {
		t.Fatal(err)
	}
	ends := make(map[uint64]int64) // of the tables of pages
	for id := uint64(2); id < m.High; id++ {
		if !used.Has(id) {
			continue
		}
		p, err := NewTree(file, m).load(id, nil, true)
		if err != nil {
			t.Fatal(err)
		}
		if ends[id] = int64(HeaderSize + p.Len()*ElementSize); p.leaf {
			ends[id] -= 8
		}
		id += uint64(p.size/m.PageSize) - 1
	}
	if len(ends) < 10 {
		t.Fatalf("the file has %d pages", len(ends))
	}
	step := int64(3)
	if testing.Short() { // pages are alike
		step = 13
	}
	for id, end := range ends {
		for at := int64(id) % step; at < end; at += step {
			flip := func() { b[int64(id)*m.PageSize+at] ^= 1 << (at % 8) }
			flip()
			if _, err := Verify(file, m, testBuckets, plainOnly); err == nil {
				t.Errorf("page %d: byte %d: not found", id, at)
			}
			faults := 0
			w := Walk{
				Tree: NewTree(file, m), Whole: true, Seen: NewPageSet(m.High),
				Bad: func(Place, error) error { faults++; return nil },
				Leaf: func(at Place, p *Page) error {
					for i := range p.Len() {
						_, _, _ = p.Entry(i)
					}
					if plainOnly(at, p) != nil {
						faults++
					}
					return nil
				},
			}
			if err := w.Run(); err != nil || faults == 0 {
				t.Errorf("page %d: byte %d: got %v and %d faults", id, at, err, faults)
			}
			flip()
		}
	}
}

// TestWalkEnds walks through branches that lead back to themselves a hundred
// times: each page is visited once.
func TestWalkEnds(t *testing.T) {
	const children = 100
	b := make([]byte, 3*4096)
	page := b[2*4096:]
	order.PutUint64(page, 2)
	order.PutUint16(page[8:], flagBranch)
	order.PutUint16(page[10:], children)
	end := HeaderSize + children*ElementSize
	for i := range children {
		at := HeaderSize + i*ElementSize
		order.PutUint32(page[at:], uint32(end-at))
		order.PutUint32(page[at+4:], 3)
		order.PutUint64(page[at+8:], 2)
		end += copy(page[end:], fmt.Sprintf("%03d", i))
	}
	tree := NewTree(bytes.NewReader(b), Meta{PageSize: 4096, Root: 2, High: 3})
	faults := 0
	w := Walk{Tree: tree, Leaf: plainOnly, Bad: func(Place, error) error { faults++; return nil }}
	if err := w.Run(); err != nil || faults != children {
		t.Errorf("got %v and %d faults, want %d", err, faults, children)
	}
	if err := (&Walk{Tree: tree, Leaf: plainOnly}).Run(); err == nil {
		t.Error("got no error")
	}
}

// TestStrays overwrites the root: all entries are in stray leaves.
func TestStrays(t *testing.T) {
	b, m, want := closedFile(t, 600)
	clear(b[int64(m.Root)*m.PageSize:][:m.PageSize])
	tree := NewTree(bytes.NewReader(b), m)
	if err := (&Walk{Tree: tree, Leaf: func(Place, *Page) error { return nil }}).Run(); err == nil {
		t.Error("walk: got no error")
	}
	found := make(map[string]bool)
	notWhole := func(*Page) bool { return false }
	err := tree.Strays(NewPageSet(m.High), notWhole, func(p *Page) error {
		for i := range p.Len() {
			key, value, _ := p.Entry(i)
			found[string(key)+"="+string(value)] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, entries := range want {
		for key, value := range entries {
			if !found[key+"="+value] {
				t.Errorf("%s: %s is not in a stray leaf", name, key)
			}
		}
	}
}

// appendLeaf appends a leaf with one entry as page id.
func appendLeaf(dst []byte, id uint64, key, value string, pages int) []byte {
	b := make([]byte, pages*4096)
	order.PutUint64(b, id)
	order.PutUint16(b[8:], flagLeaf)
	order.PutUint16(b[10:], 1)
	order.PutUint32(b[12:], uint32(pages-1))
	order.PutUint32(b[HeaderSize+4:], ElementSize)
	order.PutUint32(b[HeaderSize+8:], uint32(len(key)))
	order.PutUint32(b[HeaderSize+12:], uint32(len(value)))
	copy(b[HeaderSize+ElementSize:], key+value)
	return append(dst, b...)
}

// TestStraysInOverflow has a value that looks like a page: it is none as long as
// its leaf is whole.
func TestStraysInOverflow(t *testing.T) {
	const begin = HeaderSize + ElementSize + len("key") // of the value
	inner := string(appendLeaf(nil, 3, "inner", "value", 1))
	outer := string(make([]byte, 4096-begin)) + inner[:4096-100]
	file := appendLeaf(make([]byte, 2*4096), 2, "key", outer, 2)
	tree := NewTree(bytes.NewReader(file), Meta{PageSize: 4096, High: 4})
	for whole, want := range map[bool]string{true: "key ", false: "key inner "} {
		found := ""
		err := tree.Strays(NewPageSet(4), func(*Page) bool { return whole }, func(p *Page) error {
			key, _, _ := p.Entry(0)
			found += string(key) + " "
			return nil
		})
		if err != nil || found != want {
			t.Errorf("whole %v: got %q, %v, want %q", whole, found, err, want)
		}
	}
}
