package server

import (
	"bytes"
	"strings"
	"testing"

	"gm/pkg/server/transport"
	"gm/pkg/wire"
)

// keptSocket is a socket of which nothing can be read. It keeps the bytes that are
// written.
type keptSocket struct {
	nowhere
	written []byte
}

func (k *keptSocket) TryWrite(b []byte) (int, error) {
	k.written = append(k.written, b...)
	return len(b), nil
}

// newKeptConn returns a connection of a server in memory, and its socket. A limit
// above 0 is the limit of its outbox.
func newKeptConn(t *testing.T, limit int) (*conn, *keptSocket) {
	s, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if limit > 0 {
		s.peers = transport.NewPeers(transport.Config{Outbox: limit, Sweep: s.sweep})
	}
	k := new(keptSocket)
	return newAloneConn(s, k, "kept"), k
}

// Replies go out in the order of their requests, in whatever order the later ones
// are sent, and whether they are packets, large ones or text.
func TestReplyKeepsItsPlace(t *testing.T) {
	large := []byte(strings.Repeat("x", transport.ShareFrom))
	packet := func(t wire.Type, args ...[]byte) []byte { return wire.Append(nil, wire.Response, t, args...) }
	send := []func(r reply){
		func(r reply) { r.sendPacket(wire.Noop) },
		func(r reply) { r.sendPacket(wire.EchoRes, large) },
		func(r reply) { r.sendShared(wire.WorkComplete, large, []byte("H:1")) },
		func(r reply) { r.sendShared(wire.WorkComplete, []byte("small"), []byte("H:2")) },
		func(r reply) { r.sendText([]byte("line\n")) },
		func(r reply) { r.sendText(large) },
		func(r reply) { r.sendError("CODE", "text") },
	}
	want := [][]byte{
		packet(wire.Noop),
		packet(wire.EchoRes, large),
		packet(wire.WorkComplete, []byte("H:1"), large),
		packet(wire.WorkComplete, []byte("H:2"), []byte("small")),
		[]byte("line\n"),
		large,
		packet(wire.Error, []byte("CODE"), []byte("text")),
	}
	n := len(send)
	for _, tc := range []struct {
		name  string
		later func(i int) bool // the reply is sent later
		order func(i int) int  // the later replies in the order in which they are sent
	}{
		{"all now", func(int) bool { return false }, nil},
		{"all later, in order", func(int) bool { return true }, func(i int) int { return i }},
		{"all later, backwards", func(int) bool { return true }, func(i int) int { return n - 1 - i }},
		{"every other later", func(i int) bool { return i%2 == 0 }, func(i int) int { return n - 1 - i }},
		{"one later, the others behind it", func(i int) bool { return i == 0 }, func(i int) int { return i }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, k := newKeptConn(t, 0)
			for round := range 3 { // numbers go on when the list is empty
				c.s.mu.Lock()
				later := make(map[int]reply)
				for i := range n {
					if tc.later(i) {
						later[i] = c.laterReply()
					} else {
						send[i](c.reply())
					}
				}
				for i := range n {
					if tc.order == nil {
						break
					}
					if r, ok := later[tc.order(i)]; ok {
						send[tc.order(i)](r)
					}
				}
				if c.parked.hasWaiting() || c.parked.size != 0 {
					t.Errorf("round %d: %d bytes are left behind", round, c.parked.size)
				}
				c.s.endTurn(nil)
				if got := k.written; !bytes.Equal(got, bytes.Join(want, nil)) {
					t.Errorf("round %d: %d bytes, want %d, or in another order", round, len(got), len(bytes.Join(want, nil)))
				}
				k.written = nil
			}
		})
	}
}

// A packet is within the limit of an outbox if the outbox is so with it, a text if
// the outbox was so before.
func TestReplyOverLimitDropsConnection(t *testing.T) {
	for name, tc := range map[string]struct {
		sizes   []int
		send    func(r reply, b []byte)
		dropped bool
	}{
		"packet below":        {[]int{900}, func(r reply, b []byte) { r.sendPacket(wire.EchoRes, b) }, false},
		"packet above":        {[]int{1100}, func(r reply, b []byte) { r.sendPacket(wire.EchoRes, b) }, true},
		"text above":          {[]int{1100}, func(r reply, b []byte) { r.sendText(b) }, false},
		"text behind a text":  {[]int{1100, 1}, func(r reply, b []byte) { r.sendText(b) }, true},
		"later reply, behind": {[]int{1100}, func(r reply, b []byte) { r.c.laterReply(); r.c.reply().sendText(b) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := newKeptConn(t, 1000)
			c.s.mu.Lock()
			for _, n := range tc.sizes {
				tc.send(c.reply(), make([]byte, n))
			}
			if got := c.IsDropped(); got != tc.dropped {
				t.Errorf("dropped: %v, want %v", got, tc.dropped)
			}
			c.s.endTurn(nil)
		})
	}
}
