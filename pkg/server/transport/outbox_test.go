package transport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestOutboxWritesInOrder appends pieces of any length to an outbox whose socket takes
// any number of bytes, and compares the bytes with a naive model after each step.
func TestOutboxWritesInOrder(t *testing.T) {
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		p := newTestPeers(Config{})
		c := newFakeConn(p)
		appended := 0
		for step := range 200 {
			switch rnd.IntN(4) {
			case 0:
				head, last := rnd.IntN(40), pieceLength(rnd)
				b := pattern(appended, head+last)
				c.Out.Append(b[:head], b[head:])
				appended += head + last
			case 1:
				n := rnd.IntN(ShareFrom)
				c.Out.AppendFunc(func(dst []byte) []byte { return append(dst, pattern(appended, n)...) })
				appended += n
			case 2:
				c.Out.Flush()
			case 3:
				c.socket.take(&c.Out, pieceLength(rnd))
			}
			written := len(c.socket.written)
			if got := c.Out.Size(); got != appended-written {
				t.Fatalf("seed %d, step %d: size %d, want %d", seed, step, got, appended-written)
			}
			if used := int(p.Used()); used <= c.Out.Size()-countEvery || used >= c.Out.Size()+countEvery {
				t.Fatalf("seed %d, step %d: %d bytes are counted, want about %d", seed, step, used, c.Out.Size())
			}
			if c.Out.Size() > 0 && c.Out.full != c.socket.waits {
				t.Fatalf("seed %d, step %d: full %v, but the socket was asked to report room: %v", seed, step, c.Out.full, c.socket.waits)
			}
		}
		c.socket.take(&c.Out, appended)
		c.Out.Flush()
		c.socket.wantStream(t, appended)
		if used := p.Used(); used != 0 {
			t.Errorf("seed %d: %d bytes are counted for an empty outbox", seed, used)
		}
	}
}

// pieceLength returns the length of a piece: most are short, some are long.
func pieceLength(rnd *rand.Rand) int {
	return rnd.IntN([]int{10, 5000, 2 * ShareFrom, 100_000}[rnd.IntN(4)])
}

// TestOutboxJoinsHeadAndLast: bytes that are not many go out in one write, and a short
// head with the beginning of a long last.
func TestOutboxJoinsHeadAndLast(t *testing.T) {
	const head = 12
	for _, size := range []int{0, 1, 1000, 4085, ShareFrom - 1, ShareFrom, 50_000, 63 << 10, joinBytes, 100_000, 1 << 20} {
		c := newFakeConn(newTestPeers(Config{}))
		c.socket.setRoom(head + size)
		b := pattern(0, head+size)
		c.Out.Append(b[:head], b[head:])
		c.Flush()
		c.socket.wantStream(t, len(b))
		if first := c.socket.lengths[0]; first < min(len(b), joinBytes) {
			t.Errorf("%d bytes: the first write has %d of %d", size, first, len(b))
		}
		if len(b) <= joinBytes && len(c.socket.lengths) != 1 {
			t.Errorf("%d bytes: written in pieces of %v", size, c.socket.lengths)
		}
	}
}

// TestOutboxCopiesShortBytes: the caller may change head and last afterwards, except a
// last of ShareFrom bytes.
func TestOutboxCopiesShortBytes(t *testing.T) {
	for _, n := range []int{1, 100, ShareFrom - 1} {
		c := newFakeConn(newTestPeers(Config{}))
		b := pattern(0, n+10)
		c.Out.Append(b[:10], b[10:])
		clear(b)
		c.socket.setRoom(len(b))
		c.Flush()
		c.socket.wantStream(t, len(b))
	}
	c := newFakeConn(newTestPeers(Config{}))
	large := pattern(0, ShareFrom)
	c.Out.Append(nil, large)
	if &c.Out.segs[0][0] != &large[0] {
		t.Error("a large last was copied")
	}
}

// TestOutboxLimit: bytes with a head are within the limit if the outbox is so with them,
// bytes without a head if it was so before.
func TestOutboxLimit(t *testing.T) {
	text := func(o *Outbox, n int) bool { return o.Append(nil, make([]byte, n)) }
	packet := func(o *Outbox, n int) bool { return o.Append(make([]byte, 1), make([]byte, n-1)) }
	encoded := func(o *Outbox, n int) bool {
		return o.AppendFunc(func(dst []byte) []byte { return append(dst, make([]byte, n)...) })
	}
	for name, tc := range map[string]struct {
		before int
		add    func(*Outbox, int) bool
		n      int
		within bool
	}{
		"packet up to the limit":  {400, packet, 600, true},
		"packet over it":          {400, packet, 601, false},
		"encoded up to the limit": {400, encoded, 600, true},
		"encoded over it":         {400, encoded, 601, false},
		"text over it":            {400, text, 5000, true},
		"text behind the limit":   {1001, text, 1, false},
		"nothing":                 {1001, text, 0, true},
	} {
		c := newFakeConn(newTestPeers(Config{Outbox: 1000}))
		text(&c.Out, tc.before)
		if got := tc.add(&c.Out, tc.n); got != tc.within {
			t.Errorf("%s: within %v, want %v", name, got, tc.within)
		}
	}
}

// TestOutboxAfterAFailedWrite keeps nothing, counts nothing, and refuses nothing.
func TestOutboxAfterAFailedWrite(t *testing.T) {
	p := newTestPeers(Config{})
	c := newFakeConn(p)
	c.socket.fails = errors.New("broken pipe")
	c.Out.Append(nil, make([]byte, 100_000))
	if c.Out.HasFailed() {
		t.Error("it has failed before the first write")
	}
	c.Flush()
	if !c.Out.HasFailed() || c.Out.Size() != 0 || p.Used() != 0 {
		t.Errorf("failed %v, size %d, %d bytes counted", c.Out.HasFailed(), c.Out.Size(), p.Used())
	}
	within := c.Out.Append([]byte("head"), make([]byte, 100_000)) && c.Out.AppendFunc(func(dst []byte) []byte { return append(dst, 1) })
	if !within || c.Out.Size() != 0 {
		t.Errorf("afterwards: within %v, size %d", within, c.Out.Size())
	}
}

// TestOutboxHoldsNoBufferWhenEmpty: an idle connection has no buffer.
func TestOutboxHoldsNoBufferWhenEmpty(t *testing.T) {
	c := newFakeConn(newTestPeers(Config{}))
	c.socket.setRoom(1 << 20)
	for _, n := range []int{10, 50_000, 200_000} {
		c.Out.Append(make([]byte, 10), make([]byte, n))
		c.Flush()
		if c.Out.tail != nil || len(c.Out.segs) != 0 {
			t.Errorf("after %d bytes it has a tail %v and %d segments", n, c.Out.tail != nil, len(c.Out.segs))
		}
	}
}

func BenchmarkOutbox(b *testing.B) {
	for _, size := range []int{20, 1000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var o Outbox
			o.init(sink{}, newTestPeers(Config{}), nil)
			head, last := make([]byte, 12), make([]byte, size)
			b.ReportAllocs()
			for b.Loop() {
				o.Append(head, last)
				o.Flush()
			}
		})
	}
}

// sink takes all bytes.
type sink struct{}

func (sink) TryWrite(b []byte) (int, error) { return len(b), nil }
func (sink) NotifyWritable(*Outbox)         {}
func (sink) IsWritable() bool               { return true }
func (sink) Close() error                   { return nil }
