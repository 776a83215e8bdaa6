package disk

// bitmap is a set of pages.
type bitmap struct {
	bits []uint64
	n    uint64 // pages there are
}

func newBitmap(n uint64) *bitmap { return &bitmap{bits: make([]uint64, (n+63)/64), n: n} }

func (m *bitmap) has(id uint64) bool { return m.bits[id/64]&(1<<(id%64)) != 0 }

// add adds count pages, and returns false if one of them is there already.
func (m *bitmap) add(id uint64, count int64) bool {
	fresh := true
	for range count {
		if m.has(id) {
			fresh = false
		}
		m.bits[id/64] |= 1 << (id % 64)
		id++
	}
	return fresh
}
