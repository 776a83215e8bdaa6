package wire

import (
	"bytes"
	"fmt"
	"io"
)

const (
	minBuffer  = 4 << 10  // what a Reader starts with
	keepBuffer = 64 << 10 // what it keeps of a larger one once that is empty
)

// Form is what the next bytes of a stream are.
type Form uint8

const (
	None   Form = iota // nothing has arrived yet
	Binary             // a packet: its first byte is NUL
	Text               // an admin line
)

// Reader cuts a stream into packets and admin lines. A server calls Fill once
// for each wake-up and then takes all that is whole ([Reader.Packet],
// [Reader.Line]); a client calls [Reader.Next]. It is not safe for concurrent
// use.
type Reader struct {
	src    io.Reader
	limits Limits
	buf    []byte
	r, w   int // buf[r:w] has been read from src and not been taken yet
}

// NewReader returns a Reader of src.
func NewReader(src io.Reader, l Limits) *Reader {
	return &Reader{src: src, limits: l}
}

// Fill reads once from the source. It ends the validity of all packets and
// lines that were taken before. Its error is the source's; io.EOF becomes
// io.ErrUnexpectedEOF when a part of a packet or line is left behind.
func (r *Reader) Fill() error {
	r.makeRoom()
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	if n > 0 {
		return nil
	}
	if err == io.EOF && r.r != r.w {
		return io.ErrUnexpectedEOF
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// makeRoom sees to it that buf has room after w. It grows to at most twice the
// bytes that are there, and to no more than the packet that they begin.
func (r *Reader) makeRoom() {
	if r.r == r.w {
		r.r, r.w = 0, 0
		if len(r.buf) > keepBuffer {
			r.buf = nil
		}
	}
	if r.w < len(r.buf) && (r.r == 0 || r.w < len(r.buf)-len(r.buf)/4) {
		return
	}
	have := r.buf[r.r:r.w]
	if 2*len(have) <= len(r.buf) {
		copy(r.buf, have)
	} else {
		size := 2 * len(r.buf)
		if whole := r.need(); whole > len(have) {
			size = min(size, whole)
		}
		buf := make([]byte, max(size, minBuffer))
		copy(buf, have)
		r.buf = buf
	}
	if len(r.buf) == 0 {
		r.buf = make([]byte, minBuffer)
	}
	r.r, r.w = 0, len(have)
}

// need returns the length of the packet that the buffered bytes begin, 0 if
// that can't be told.
func (r *Reader) need() int {
	var p Packet
	size, err := decodeHeader(r.buf[r.r:r.w], r.limits, &p)
	if err != nil || size < 0 {
		return 0
	}
	return HeaderSize + size
}

// Form tells what Packet or Line would find next.
func (r *Reader) Form() Form {
	switch {
	case r.r == r.w:
		return None
	case r.buf[r.r] == 0:
		return Binary
	}
	return Text
}

// Buffered returns how many bytes have arrived and are not taken yet.
func (r *Reader) Buffered() int { return r.w - r.r }

// Packet takes the next packet if it is there whole. Its arguments are valid
// until the next Fill.
func (r *Reader) Packet(p *Packet) (ok bool, err error) {
	n, err := Decode(r.buf[r.r:r.w], r.limits, p)
	r.r += n
	return n > 0, err
}

// Line takes the next admin line if it is there whole, without its end (LF or
// CRLF). It is valid until the next Fill.
func (r *Reader) Line() (line []byte, ok bool, err error) {
	b := r.buf[r.r:r.w]
	end := bytes.IndexByte(b, '\n')
	if end >= MaxLine || end < 0 && len(b) >= MaxLine {
		return nil, false, fmt.Errorf("admin line %w %d", ErrTooLarge, MaxLine)
	}
	if end < 0 {
		return nil, false, nil
	}
	r.r += end + 1
	return bytes.TrimSuffix(b[:end], []byte{'\r'}), true, nil
}

// Next waits for the next packet. Its arguments are valid until the next call.
// io.EOF is returned only at a packet's boundary.
func (r *Reader) Next(p *Packet) error {
	for {
		ok, err := r.Packet(p)
		if ok || err != nil {
			return err
		}
		if err := r.Fill(); err != nil {
			return err
		}
	}
}

// NextLine waits for the next line of text. It is valid until the next call.
func (r *Reader) NextLine() ([]byte, error) {
	for {
		line, ok, err := r.Line()
		if ok || err != nil {
			return line, err
		}
		if err := r.Fill(); err != nil {
			return nil, err
		}
	}
}
