package gather

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestBuffer(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, pieces := range []int{0, 1, 2, 3, 300} {
		var g Buffer
		var want []byte
		for range pieces {
			piece := make([]byte, rng.IntN(100_000))
			for i := range piece {
				piece[i] = byte(rng.Uint32())
			}
			g.Add(piece)
			want = append(want, piece...)
			clear(piece) // it was copied
		}
		if g.Size() != len(want) {
			t.Errorf("%d pieces: got size %d, want %d", pieces, g.Size(), len(want))
		}
		held := 0
		for _, b := range g.blocks {
			held += cap(b)
		}
		if held > len(want)+maxBlock {
			t.Errorf("%d pieces: got %d bytes held for %d", pieces, held, len(want))
		}
		if got := g.Join(); !bytes.Equal(got, want) {
			t.Errorf("%d pieces: got %d bytes that are not the %d that were added", pieces, len(got), len(want))
		}
		if g.size != 0 || g.blocks != nil {
			t.Errorf("%d pieces: got something left", pieces)
		}
	}
}
