package wire

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"sync"
)

const (
	minBuffer  = 4 << 10  // first size of a Reader's buffer
	keepBuffer = 64 << 10 // largest empty buffer that a Reader keeps

	spareBuffer = 512 // spare bytes after a large packet, for the caller of Detach

	maxBuffer = math.MaxInt - spareBuffer // the longest buffer, in bytes

	maxEmptyReads = 100 // reads in a row that return no bytes and no error
)

// Form is the kind of the next bytes of a stream: 0 if nothing has arrived yet.
type Form uint8

const (
	Binary Form = iota + 1 // a packet: its first byte is NUL
	Text                   // an admin line
)

// Reader cuts a stream into packets and admin lines. A server calls Fill once
// for each wake-up and then takes all complete packets and lines
// ([Reader.Packet], [Reader.Line]); a client calls [Reader.Next]. A program
// with many connections calls [Reader.FillLent] and [Reader.ReturnLent] instead of
// Fill, so that idle connections hold no buffer. [Reader.Read] returns raw
// bytes, such as a payload whose length the line before it gave. A Reader is
// not safe for concurrent use.
type Reader struct {
	src    io.Reader
	limits Limits
	buf    []byte
	r, w   int // buf[r:w] has been read from src and not taken yet

	taken int // the length of the packet taken last

	lent  bool             // buf is
	small *[minBuffer]byte // buf is that, from smalls
}

// NewReader returns a Reader of src.
func NewReader(src io.Reader, l Limits) *Reader {
	return &Reader{src: src, limits: l}
}

// Fill reads once from the source. It ends the validity of all packets and
// lines that were taken before; take all complete ones before, or the buffer
// grows. Its error is the source's; io.EOF becomes io.ErrUnexpectedEOF if a
// part of a packet or line is left.
func (r *Reader) Fill() error {
	r.makeRoom()
	for range maxEmptyReads {
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		switch {
		case n > 0:
			return nil // the next read returns an error that came with bytes again
		case err == io.EOF && r.r != r.w:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// makeRoom makes room in buf after w. Only a buffer that the source has filled
// grows: to twice its size, from keepBuffer on to four times, and past
// keepBuffer to no more than the size of its first packet.
func (r *Reader) makeRoom() {
	have, size := r.buf[r.r:r.w], len(r.buf)
	full := r.w == size
	switch {
	case len(have) == 0 && size > keepBuffer:
		size = keepBuffer
	case full && size < keepBuffer:
		size = min(max(2*size, minBuffer), keepBuffer)
	case full && (r.r == 0 || len(have) > size/2):
		size = r.grown()
	case len(have) > 0 && (r.r == 0 || r.w < size-size/4):
		return
	}
	buf := r.buf
	if size != len(buf) {
		buf = newBuffer(size)
	}
	copy(buf, have)
	if r.small != nil && size != minBuffer {
		smalls.Put(r.small)
		r.small = nil
	}
	r.buf, r.r, r.w = buf, 0, len(have)
}

// smalls are buffers for the small incomplete packets at the end of lent
// buffers.
var smalls = sync.Pool{New: func() any { return new([minBuffer]byte) }}

// FillLent is Fill with a buffer that is lent to the Reader until ReturnLent. It
// reads from the source into lent, unless the Reader has a buffer of its own
// for a packet of about that size. It reads once, and reports whether the
// buffer is full, in which case the source may have more. Its error is Fill's.
func (r *Reader) FillLent(lent []byte) (full bool, err error) {
	have := r.buf[r.r:r.w]
	if len(have) > len(lent)/2 {
		r.makeRoom()
	} else {
		w := copy(lent, have)
		r.dropBuffer()
		r.buf, r.w, r.lent = lent, w, true
	}
	n, err := r.src.Read(r.buf[r.w:])
	r.w += n
	switch {
	case n > 0:
		err = nil // the next read returns it again, without bytes
	case err == io.EOF && r.r != r.w:
		err = io.ErrUnexpectedEOF
	}
	return r.w == len(r.buf), err
}

// ReturnLent gives the lent buffer back. The Reader keeps a copy of the bytes that
// were not taken; packets and lines that were taken are no longer valid. If all
// was taken, the Reader holds no memory afterwards.
func (r *Reader) ReturnLent() {
	have := r.buf[r.r:r.w]
	switch {
	case len(have) == 0:
		r.dropBuffer()
	case !r.lent:
	case len(have) <= minBuffer:
		small := smalls.Get().(*[minBuffer]byte)
		n := copy(small[:], have)
		r.buf, r.r, r.w, r.lent, r.small = small[:], 0, n, false, small
	default:
		own := newBuffer(max(len(have), quarters(r.need(), multiplied(len(have), 4))))
		r.buf, r.r, r.w, r.lent = own, 0, copy(own, have), false
	}
}

// newBuffer returns a buffer of the given size. Detach explains the spare bytes
// after it.
func newBuffer(size int) []byte {
	if size <= keepBuffer {
		return make([]byte, size)
	}
	return make([]byte, size, size+spareBuffer)
}

// Detach gives the caller the buffer of the packet taken last, whose last
// argument is last: all arguments stay valid, and last may have some spare
// capacity. It does so only if the buffer contains little else; if not, it
// returns false, and the caller must copy the arguments to keep them.
func (r *Reader) Detach(last []byte) bool {
	if r.lent || r.small != nil || r.r != r.w || len(r.buf)-len(last) > len(r.buf)/4 || len(last) == 0 {
		return false
	}
	r.buf, r.r, r.w = nil, 0, 0
	return true
}

// dropBuffer leaves the Reader without a buffer.
func (r *Reader) dropBuffer() {
	if r.small != nil {
		smalls.Put(r.small)
	}
	r.buf, r.r, r.w, r.lent, r.small = nil, 0, 0, false, nil
}

// grown returns the size of the next larger buffer, or the present size if the
// incomplete packet fits after it is moved to the front.
func (r *Reader) grown() int {
	size := len(r.buf)
	by := 2
	if size >= keepBuffer {
		by = 4
	}
	larger, whole := multiplied(size, by), r.need()
	switch {
	case whole <= r.Buffered(): // not known yet, or whole already
		return larger
	case size < keepBuffer:
		return max(size, min(larger, whole))
	}
	return max(size, quarters(whole, larger))
}

// quarters returns the largest of whole, a quarter of it, a quarter of that and
// so on that is at most most. Buffers that grow through these sizes have a third
// of the whole together; other sizes could add up to as much as the whole.
func quarters(whole, most int) int {
	for whole > most {
		whole = whole/4 + 1
	}
	return whole
}

// multiplied returns size*by, at most the longest buffer: where an int has 32 bits
// the product can have more.
func multiplied(size, by int) int {
	if size > maxBuffer/by {
		return maxBuffer
	}
	return size * by
}

// need returns the length of the packet that the buffered bytes begin, or 0 if
// it is not known yet.
func (r *Reader) need() int {
	var p Packet
	size, err := decodeHeader(r.buf[r.r:r.w], r.limits, &p)
	if err != nil || size < 0 {
		return 0
	}
	return HeaderSize + size
}

// Form returns the kind of the next bytes: Packet takes Binary ones, Line takes Text.
func (r *Reader) Form() Form {
	switch {
	case r.r == r.w:
		return 0
	case r.buf[r.r] == 0:
		return Binary
	}
	return Text
}

// Drop discards all bytes that have arrived and are not taken, and their
// memory. Packets that were taken are no longer valid.
func (r *Reader) Drop() { r.dropBuffer() }

// Kept returns how many bytes of memory the Reader holds between two reads.
func (r *Reader) Kept() int {
	if r.lent {
		return 0
	}
	return cap(r.buf)
}

// Buffered returns how many bytes have arrived and are not taken yet.
func (r *Reader) Buffered() int { return r.w - r.r }

// Packet takes the next packet if it is complete. Its arguments are valid until
// the next Fill.
func (r *Reader) Packet(p *Packet) (ok bool, err error) {
	n, err := Decode(r.buf[r.r:r.w], r.limits, p)
	r.r += n
	r.taken = n
	return n > 0, err
}

// Unread puts back the packet taken last, so that the next call of Packet takes
// it again. Since then no method except Packet may have been called.
func (r *Reader) Unread() {
	r.r -= r.taken
	r.taken = 0
}

// Line takes the next admin line if it is complete, without its end (LF or
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

// Read implements io.Reader. It returns the buffered bytes first, and then
// reads from the source.
func (r *Reader) Read(p []byte) (int, error) {
	if r.r == r.w {
		return r.src.Read(p)
	}
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	return n, nil
}
