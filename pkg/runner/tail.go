package runner

import "bytes"

// tail keeps the last max bytes that are written to it, in about twice that memory.
type tail struct {
	max int
	b   []byte // longer than max only if more than max bytes were written
}

func (t *tail) write(p []byte) {
	keep := t.max + 1 // with the byte before, which shows whether the rest begins a line
	if len(p) > keep {
		p, t.b = p[len(p)-keep:], t.b[:0]
	}
	if len(t.b)+len(p) > 2*keep {
		n := copy(t.b, t.b[len(t.b)+len(p)-keep:])
		t.b = t.b[:n]
	}
	t.b = append(t.b, p...)
}

// bytes returns the kept bytes, from the beginning of a line if they have one.
func (t *tail) bytes() []byte {
	over := len(t.b) - t.max
	if over <= 0 {
		return t.b
	}
	if i := bytes.IndexByte(t.b[over-1:], '\n') + over; i >= over && i < len(t.b) {
		return t.b[i:]
	}
	return t.b[over:]
}
