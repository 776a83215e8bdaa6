package server

import (
	"math/rand/v2"
	"testing"
)

// The numbers of this run's jobs are told from those of restored ones in
// whatever order they become background jobs.
func TestNumbersInAnyOrder(t *testing.T) {
	for range 200 {
		var n numbers
		own, restored := make(map[uint64]bool), make(map[uint64]bool)
		next, passed := uint64(100), uint64(0)
		for range 60 {
			switch rand.IntN(3) {
			case 0: // a fresh job
				next += 1 + rand.Uint64N(3)
				own[next] = true
				n.addNumber(next)
			case 1: // a foreground job that has become a background one
				seq := 100 + rand.Uint64N(next-99)
				if !restored[seq] {
					own[seq] = true
					n.addNumber(seq)
				}
			case 2: // a restored one; they come in order, and have numbers of their own
				seq := max(passed, next) + 1 + rand.Uint64N(5)
				restored[seq], passed, next = true, seq, seq
				n.noteRestored(seq)
			}
		}
		for seq := range own {
			if !n.has(seq) {
				t.Fatalf("%d is not known: %v", seq, n)
			}
		}
		for seq := range restored {
			if n.has(seq) {
				t.Fatalf("%d was restored: %v", seq, n)
			}
		}
	}
}
