package boltfile

// PageSet is a set of pages of a file.
type PageSet struct{ bits []uint64 }

// NewPageSet returns an empty set for the pages below n.
func NewPageSet(n uint64) *PageSet { return &PageSet{bits: make([]uint64, (n+63)/64)} }

// Has reports whether a page is in the set.
func (s *PageSet) Has(id uint64) bool { return s.bits[id/64]&(1<<(id%64)) != 0 }

// add adds count pages from id on. It reports whether none of them was in the
// set.
func (s *PageSet) add(id uint64, count int64) bool {
	fresh := true
	for range count {
		if s.Has(id) {
			fresh = false
		}
		s.bits[id/64] |= 1 << (id % 64)
		id++
	}
	return fresh
}
