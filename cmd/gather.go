package cmd

// gathered is bytes that come in pieces. It takes them without the copies, and
// the garbage, of a slice that grows: what it holds beside them is at most
// gatherMax bytes, until they are joined.
type gathered struct {
	blocks [][]byte
	size   int
}

const (
	gatherMin = 64 << 10
	gatherMax = 4 << 20
)

// add appends a copy of b.
func (g *gathered) add(b []byte) {
	g.size += len(b)
	for len(b) > 0 {
		n := len(g.blocks) - 1
		if n < 0 || len(g.blocks[n]) == cap(g.blocks[n]) {
			g.blocks = append(g.blocks, make([]byte, 0, g.nextBlock(len(b))))
			n++
		}
		block := g.blocks[n]
		part := min(len(b), cap(block)-len(block))
		g.blocks[n] = append(block, b[:part]...)
		b = b[part:]
	}
}

// nextBlock returns the size of a block to begin with want bytes: just that for
// the first, as most results come in one piece.
func (g *gathered) nextBlock(want int) int {
	if len(g.blocks) == 0 {
		return want
	}
	return min(max(g.size, gatherMin), gatherMax)
}

// join returns all bytes in one piece and gives them up.
func (g *gathered) join() []byte {
	all := []byte(nil)
	switch len(g.blocks) {
	case 0:
	case 1:
		all = g.blocks[0]
	default:
		all = make([]byte, 0, g.size)
		for i, block := range g.blocks {
			all = append(all, block...)
			g.blocks[i] = nil
		}
	}
	*g = gathered{}
	return all
}
