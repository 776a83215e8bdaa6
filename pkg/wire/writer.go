package wire

import (
	"fmt"
	"io"
	"math"
)

// Writer collects packets and writes them together. It writes large payloads
// without copying them. It is not safe for concurrent use.
//
// An error of the destination sticks: every later Send and Flush returns it.
type Writer struct {
	dst io.Writer
	buf []byte
	err error
}

// directWrite is the payload size from which a copy costs more than a write.
const directWrite = 32 << 10

// NewWriter returns a Writer to dst.
func NewWriter(dst io.Writer) *Writer { return &Writer{dst: dst} }

// Send adds a packet; [Append] states the rules for its arguments. The caller
// may reuse the arguments when Send returns. Send writes only if the last
// argument is too large to be worth a copy. It refuses a packet of 4 GiB or
// more with ErrTooLarge, which does not stick.
func (w *Writer) Send(m Magic, t Type, args ...[]byte) error {
	if w.err != nil {
		return w.err
	}
	n := len(args)
	if n == 0 || len(args[n-1]) < directWrite {
		w.buf = Append(w.buf, m, t, args...)
		return nil
	}
	checkArgs(t, n)
	size := bodySize(args)
	if !validSize(size) {
		return fmt.Errorf("send %v: size %d %w %d", t, size, ErrTooLarge, uint32(math.MaxUint32))
	}
	w.buf = AppendHeader(w.buf, m, t, size)
	for _, a := range args[:n-1] {
		w.buf = append(w.buf, a...)
		w.buf = append(w.buf, 0)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, w.err = w.dst.Write(args[n-1])
	return w.err
}

// SendLine adds an admin line without a line end, and appends the line end.
func (w *Writer) SendLine(line string) {
	if w.err != nil {
		return
	}
	w.buf = append(append(w.buf, line...), '\n')
}

// Buffered returns how many bytes wait for Flush.
func (w *Writer) Buffered() int { return len(w.buf) }

// Flush writes the collected bytes with one write.
func (w *Writer) Flush() error {
	if w.err != nil || len(w.buf) == 0 {
		return w.err
	}
	_, w.err = w.dst.Write(w.buf)
	if cap(w.buf) > keepBuffer {
		w.buf = nil
	}
	w.buf = w.buf[:0]
	return w.err
}
