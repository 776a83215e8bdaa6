package storetest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Direction is the direction of bytes through a Proxy.
type Direction int

const (
	ToServer Direction = iota
	ToClient
)

// Proxy passes TCP connections on to a server, and loses them on request. Its
// methods may be called by several goroutines.
type Proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu      sync.Mutex
	change  *sync.Cond // stalled or closed has changed
	conns   map[net.Conn]bool
	refuse  bool
	stalled bool
	closed  bool
	armed   [2]bool // by Direction: cut after left more bytes
	left    [2]int
	mark    []byte // cut before the answer to the bytes that contain mark
	tail    []byte // the last bytes sent to the server, while mark is set
	cuts    int    // made by CutAfter and LoseAnswerTo

	hits     [2]hit // by Direction: the fault for the next bytes with a mark
	hung     bool   // bytes that a hit holds back do not pass yet
	hitCount int    // number of hits so far
}

// StartProxy starts a proxy on a free loopback port for the server at target.
// It stops at the end of t.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	p := &Proxy{listener: listener, target: target, conns: make(map[net.Conn]bool)}
	p.change = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr returns the proxy's address as host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Fault is the effect of Hit on one operation.
type Fault int

const (
	CutOff  Fault = iota // reset all connections instead of passing it
	Hold                 // hold its connection, in this direction, for a while
	Swallow              // hold it until Resume
)

// hit is a Fault that has not happened yet.
type hit struct {
	mark  []byte // nil without one
	tail  []byte // the last bytes that have passed
	fault Fault
}

// holdTime is the duration of Hold.
const holdTime = 300 * time.Millisecond

// Hit applies a fault, once, to the next bytes in a direction that contain
// mark: to a single operation, if nothing else contains the mark. Other
// connections go on, unless the fault is CutOff.
func (p *Proxy) Hit(d Direction, mark []byte, fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hits[d] = hit{mark: bytes.Clone(mark), fault: fault}
	p.hung = fault == Swallow
}

// Hits returns how often Hit has found its mark.
func (p *Proxy) Hits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hitCount
}

// applyHit waits while a hit holds b back, and returns false if b must not pass.
func (p *Proxy) applyHit(d Direction, b []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := &p.hits[d]
	if h.mark == nil {
		return true
	}
	h.tail = append(h.tail, b...)
	if !bytes.Contains(h.tail, h.mark) {
		if keep := len(h.mark) - 1; len(h.tail) > keep {
			h.tail = append(h.tail[:0], h.tail[len(h.tail)-keep:]...)
		}
		return true
	}
	fault := h.fault
	*h = hit{}
	p.hitCount++
	switch fault {
	case CutOff:
		return false
	case Hold:
		p.mu.Unlock()
		time.Sleep(holdTime)
		p.mu.Lock()
	case Swallow:
		for p.hung && !p.closed {
			p.change.Wait()
		}
	}
	return true
}

// Cut resets all connections at once.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resetConns()
}

// Refuse makes the proxy reset new connections at once, or accept them again.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// Stall stops all bytes, in both directions, until Resume. The connections stay
// open, as after a network failure.
func (p *Proxy) Stall() { p.setStalled(true) }

// Resume ends Stall. The bytes that were held back pass.
func (p *Proxy) Resume() { p.setStalled(false) }

// CutAfter resets all connections, once, when n more bytes have passed in that
// direction, over all connections, and another byte arrives.
func (p *Proxy) CutAfter(d Direction, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed[d], p.left[d] = true, n
}

// LoseAnswerTo resets all connections, once, after bytes that contain mark have
// reached the server, and before its next bytes reach the client.
func (p *Proxy) LoseAnswerTo(mark []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mark, p.tail = bytes.Clone(mark), nil
}

// Cuts returns how often CutAfter and LoseAnswerTo have reset connections.
func (p *Proxy) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

func (p *Proxy) setStalled(stalled bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled, p.hung = stalled, p.hung && stalled
	p.change.Broadcast()
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.resetConns()
	p.change.Broadcast()
	p.mu.Unlock()
	_ = p.listener.Close()
	p.wg.Wait()
}

// resetConns resets all connections. The lock is held.
func (p *Proxy) resetConns() {
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.connect(client) })
	}
}

// connect connects client with the server until one of them disconnects.
func (p *Proxy) connect(client net.Conn) {
	if !p.addConn(client) {
		return
	}
	defer p.removeConn(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil || !p.addConn(server) {
		return
	}
	defer p.removeConn(server)
	var wg sync.WaitGroup
	wg.Go(func() { p.copyBytes(server, client, ToServer) })
	wg.Go(func() { p.copyBytes(client, server, ToClient) })
	wg.Wait()
}

// addConn adds c to the open connections, or closes it.
func (p *Proxy) addConn(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse || p.closed {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) removeConn(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}

// loseAnswer resets all connections except the one to server, so that the server
// still gets the bytes sent to it, which a reset would discard.
func (p *Proxy) loseAnswer(server net.Conn) {
	p.mu.Lock()
	delete(p.conns, server)
	p.resetConns()
	p.conns[server] = true
	p.mu.Unlock()
	_ = server.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, server)
}

// copyBytes copies from src to dst. When the server closes, it closes the client;
// when the client closes, it shuts down that direction, and the server may
// still answer.
func (p *Proxy) copyBytes(dst, src net.Conn, d Direction) {
	if d == ToServer {
		defer func() { _ = dst.(*net.TCPConn).CloseWrite() }()
	} else {
		defer p.removeConn(dst)
	}
	defer p.removeConn(src)
	b := make([]byte, 32<<10)
	for {
		n, err := src.Read(b)
		if !p.applyHit(d, b[:n]) {
			p.Cut()
			return
		}
		for rest := b[:n]; len(rest) > 0; {
			n, ok := p.allowBytes(d, rest)
			if n > 0 {
				if _, err := dst.Write(rest[:n]); err != nil {
					_, _ = io.Copy(io.Discard, src) // otherwise the last bytes from dst are discarded
					return
				}
			}
			switch {
			case ok:
			case d == ToClient:
				p.loseAnswer(src)
				return
			default:
				p.Cut()
				return
			}
			rest = rest[n:]
		}
		if err != nil {
			return
		}
	}
}

// allowBytes returns how many bytes of b may pass, and whether the connections go on
// after that.
func (p *Proxy) allowBytes(d Direction, b []byte) (n int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stalled && !p.closed {
		p.change.Wait()
	}
	if p.closed {
		return 0, false
	}
	if d == ToServer && len(p.mark) > 0 {
		p.tail = append(p.tail, b...)
		if bytes.Contains(p.tail, p.mark) {
			p.mark, p.tail = nil, nil
			p.armed[ToClient], p.left[ToClient] = true, 0
		} else if keep := len(p.mark) - 1; len(p.tail) > keep {
			p.tail = append(p.tail[:0], p.tail[len(p.tail)-keep:]...)
		}
	}
	if !p.armed[d] {
		return len(b), true
	}
	if p.left[d] >= len(b) {
		p.left[d] -= len(b)
		return len(b), true
	}
	p.armed[d] = false
	p.cuts++
	return p.left[d], false
}
