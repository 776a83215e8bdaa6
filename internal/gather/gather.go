// Package gather collects bytes that arrive in pieces, such as the result of a
// job.
package gather

// Buffer collects bytes without the copies and the garbage of a slice that
// grows. Besides the bytes it holds at most 4 MiB until Join. The zero value is
// empty. It is for one goroutine at a time.
type Buffer struct {
	blocks [][]byte
	size   int
}

// Sizes in bytes of all blocks except the first.
const (
	minBlock = 64 << 10
	maxBlock = 4 << 20
)

// Add appends a copy of b.
func (g *Buffer) Add(b []byte) {
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

// nextBlock returns the size of the next block, which want bytes are waiting
// for. The first block has exactly that size, because most results come in one
// piece.
func (g *Buffer) nextBlock(want int) int {
	if len(g.blocks) == 0 {
		return want
	}
	return min(max(g.size, minBlock), maxBlock)
}

// Size returns the number of bytes in the buffer.
func (g *Buffer) Size() int { return g.size }

// Join returns all bytes as one slice, which the caller owns, and empties the
// buffer.
func (g *Buffer) Join() []byte {
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
	*g = Buffer{}
	return all
}
