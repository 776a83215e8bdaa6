package wire

import (
	"io"
	"strconv"
	"sync"
)

// traceShown is the number of bytes of an argument that a trace shows.
const traceShown = 64

// AppendTrace appends the packet as a readable line, without a line end:
//
//	REQ SUBMIT_JOB function="reverse" unique="" workload=5:"hello"
//
// A payload is shown with its length. An argument longer than 64 bytes is cut
// and followed by "...".
func (p *Packet) AppendTrace(dst []byte) []byte {
	dst = append(dst, p.Magic.String()...)
	dst = append(append(dst, ' '), p.Type.String()...)
	if !p.Type.Valid() {
		return dst
	}
	sp := &specs[p.Type]
	for i, name := range sp.args {
		arg := p.Args[i]
		dst = append(append(dst, ' '), name...)
		dst = append(dst, '=')
		if sp.opaque && i == len(sp.args)-1 {
			dst = append(strconv.AppendInt(dst, int64(len(arg)), 10), ':')
		}
		shown := arg[:min(len(arg), traceShown)]
		dst = strconv.AppendQuoteToASCII(dst, string(shown))
		if len(shown) < len(arg) {
			dst = append(dst, "..."...)
		}
	}
	return dst
}

// String returns the trace of the packet.
func (p *Packet) String() string { return string(p.AppendTrace(nil)) }

// Tracer writes a line for each packet or admin line that crosses a connection.
// It is safe for concurrent use; a nil Tracer writes nothing.
type Tracer struct {
	mu  sync.Mutex
	dst io.Writer
	buf []byte
}

// NewTracer returns a Tracer that writes to dst, one whole line per call. It
// ignores the errors of dst.
func NewTracer(dst io.Writer) *Tracer { return &Tracer{dst: dst} }

// Packet writes a packet's line. peer names the other end of the connection;
// the arrow marks a received (<-) or a sent (->) packet.
func (t *Tracer) Packet(peer string, received bool, p *Packet) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.start(peer, received)
	t.buf = p.AppendTrace(t.buf)
	t.end()
}

// Line writes the line for an admin line.
func (t *Tracer) Line(peer string, received bool, line string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.start(peer, received)
	t.buf = append(t.buf, "TEXT "...)
	t.buf = strconv.AppendQuoteToASCII(t.buf, line)
	t.end()
}

func (t *Tracer) start(peer string, received bool) {
	t.buf = append(t.buf[:0], peer...)
	if received {
		t.buf = append(t.buf, " <- "...)
	} else {
		t.buf = append(t.buf, " -> "...)
	}
}

func (t *Tracer) end() {
	t.buf = append(t.buf, '\n')
	t.dst.Write(t.buf) //nolint:errcheck // a trace that can't be written must not stop the traffic
}
