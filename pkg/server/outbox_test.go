package server_test

import (
	"net"
	"strings"
	"sync"
	"testing"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// writes is a connection that keeps the length of each write.
type writes struct {
	net.Conn
	mu   sync.Mutex
	list []int
}

func (w *writes) Write(b []byte) (int, error) {
	w.mu.Lock()
	w.list = append(w.list, len(b))
	w.mu.Unlock()
	return w.Conn.Write(b)
}

// A packet that is not large goes out in one write, and the header of a large
// one with the beginning of its body.
func TestPacketsGoOutWhole(t *testing.T) {
	for _, size := range []int{0, 1, 1000, 4085, 32<<10 - 1, 32 << 10, 50_000, 63 << 10, 64 << 10, 100_000, 1 << 20} {
		s, _ := start(t, server.Config{})
		mine, its := net.Pipe()
		conn := &writes{Conn: its}
		served := make(chan error, 1)
		go func() { served <- s.ServeConn(conn) }()
		p := newPeer(t, mine)
		payload := strings.Repeat("p", size)
		p.send(req(wire.EchoReq, payload))
		if got := p.next(); got.Type != wire.EchoRes || string(got.Args[0]) != payload {
			t.Errorf("%d bytes: another answer", size)
		}
		mine.Close()
		<-served
		conn.mu.Lock()
		defer conn.mu.Unlock()
		whole := wire.HeaderSize + size
		if first := conn.list[0]; first < min(whole, 64<<10) {
			t.Errorf("%d bytes: the first write has %d of %d", size, first, whole)
		}
		if whole <= 64<<10 && len(conn.list) != 1 {
			t.Errorf("%d bytes: written in pieces of %v", size, conn.list)
		}
	}
}
