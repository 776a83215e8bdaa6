package cmd

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestGathered(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, pieces := range []int{0, 1, 2, 3, 300} {
		var g gathered
		var want []byte
		for range pieces {
			piece := make([]byte, rng.IntN(100_000))
			for i := range piece {
				piece[i] = byte(rng.Uint32())
			}
			g.add(piece)
			want = append(want, piece...)
			clear(piece) // it was copied
		}
		if g.size != len(want) {
			t.Errorf("%d pieces: got size %d, want %d", pieces, g.size, len(want))
		}
		held := 0
		for _, b := range g.blocks {
			held += cap(b)
		}
		if held > len(want)+gatherMax {
			t.Errorf("%d pieces: got %d bytes held for %d", pieces, held, len(want))
		}
		if got := g.join(); !bytes.Equal(got, want) {
			t.Errorf("%d pieces: got %d bytes that are not the %d that were added", pieces, len(got), len(want))
		}
		if g.size != 0 || g.blocks != nil {
			t.Errorf("%d pieces: got something left", pieces)
		}
	}
}
