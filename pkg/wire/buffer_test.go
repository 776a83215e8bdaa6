package wire

import (
	"math"
	"testing"
)

// TestBuffersFitInAnInt has sizes whose multiples do not: on 32 bits, a packet of
// 512 MiB had a buffer that could grow no more.
func TestBuffersFitInAnInt(t *testing.T) {
	for _, size := range []int{keepBuffer, 600 << 20, math.MaxInt/4 + 1, math.MaxInt/2 + 1, maxBuffer} {
		for _, by := range []int{2, 4} {
			want := min(uint64(size)*uint64(by), maxBuffer)
			if size > maxBuffer/by {
				want = maxBuffer
			}
			if got := multiplied(size, by); uint64(got) != want {
				t.Errorf("multiplied(%d, %d) = %d, want %d", size, by, got, want)
			}
		}
	}
	all := Limits{MaxPayload: math.MaxInt}
	if need := HeaderSize + all.maxBody(SubmitJob); need < 0 || need+spareBuffer < 0 {
		t.Errorf("a packet of the largest payload needs a buffer of %d bytes", need+spareBuffer)
	}
}
