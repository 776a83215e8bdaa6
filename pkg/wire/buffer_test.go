package wire

import (
	"bytes"
	"io"
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

// The outgrown buffers of a large packet have a third of its size together, for any
// number of bytes that the first read returns.
func TestOutgrownBuffersAreAThirdOfThePacket(t *testing.T) {
	const size = 64_000_000
	head := AppendHeader(nil, Request, EchoReq, size)
	for _, first := range []int{33 << 10, 40_000, 50_000, 60_000, 64 << 10} {
		r := NewReader(io.MultiReader(
			bytes.NewReader(append(head, make([]byte, first-len(head))...)),
			bytes.NewReader(make([]byte, size+len(head)-first))), Limits{})
		if _, err := r.FillLent(make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
		r.ReturnLent()
		outgrown := 0
		for last := len(r.buf); r.w < size+len(head); {
			if err := r.Fill(); err != nil {
				t.Fatal(err)
			}
			if len(r.buf) != last {
				outgrown, last = outgrown+last, len(r.buf)
			}
		}
		if most := size/3 + 2*keepBuffer; outgrown > most || len(r.buf) > size+len(head)+8 {
			t.Errorf("first read %d: outgrown buffers of %d bytes, want at most %d; the last of %d", first, outgrown, most, len(r.buf))
		}
	}
}
