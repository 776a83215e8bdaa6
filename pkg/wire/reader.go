package wire

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

const (
	minBuffer  = 4 << 10  // what a Reader starts with
	keepBuffer = 64 << 10 // what it keeps of a larger one once that is empty

	spareBuffer = 512 // bytes behind a large packet, for who takes its buffer over

	maxEmptyReads = 100 // reads of nothing, without an error, in a row
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
// [Reader.Line]); a client calls [Reader.Next]. Who has many connections calls
// [Reader.FillLent] and [Reader.Settle] instead of Fill, so that those which are
// idle hold no buffer. What is neither, because a line before has told its
// length, comes out of [Reader.Read]. It is not safe for concurrent use.
type Reader struct {
	src    io.Reader
	limits Limits
	buf    []byte
	r, w   int // buf[r:w] has been read from src and not been taken yet

	taken int // the length of the packet that was taken last

	lent  bool             // buf is
	small *[minBuffer]byte // buf is that, from smalls
}

// NewReader returns a Reader of src.
func NewReader(src io.Reader, l Limits) *Reader {
	return &Reader{src: src, limits: l}
}

// Fill reads once from the source. It ends the validity of all packets and
// lines that were taken before; those that are whole should have been taken,
// for what is left makes the buffer grow. Its error is the source's; io.EOF
// becomes io.ErrUnexpectedEOF when a part of a packet or line is left behind.
func (r *Reader) Fill() error {
	r.makeRoom()
	for range maxEmptyReads {
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		switch {
		case n > 0:
			return nil // an error that came with bytes comes again without
		case err == io.EOF && r.r != r.w:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// makeRoom sees to it that buf has room after w. Only a buffer that the source
// has filled grows: to twice its size, from keepBuffer on to four times, and
// past keepBuffer to no more than the packet that it begins with needs.
func (r *Reader) makeRoom() {
	have, size := r.buf[r.r:r.w], len(r.buf)
	full := r.w == size
	switch {
	case len(have) == 0 && size > keepBuffer:
		size = keepBuffer
	case full && size < keepBuffer:
		size = min(max(2*size, minBuffer), keepBuffer)
	case full && (r.r == 0 || 2*len(have) > size):
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

// smalls are buffers for the small packets that a lent buffer ends in.
var smalls = sync.Pool{New: func() any { return new([minBuffer]byte) }}

// FillLent is Fill with a buffer that is lent to the Reader until Settle, and
// which the source is read into, unless the Reader has one of its own for a
// packet that is about as large. It reads once, and reports whether the buffer is
// full, so that there may be more to be read. Its error is as Fill's.
func (r *Reader) FillLent(lent []byte) (full bool, err error) {
	have := r.buf[r.r:r.w]
	if 2*len(have) > len(lent) {
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
		err = nil // it comes again without bytes
	case err == io.EOF && r.r != r.w:
		err = io.ErrUnexpectedEOF
	}
	return r.w == len(r.buf), err
}

// Settle gives the lent buffer back. What has not been taken is kept; packets
// and lines that were taken are valid no longer. The Reader needs no memory
// after it if all was taken.
func (r *Reader) Settle() {
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
		own := newBuffer(max(len(have), min(r.need(), 4*len(have))))
		r.buf, r.r, r.w, r.lent = own, 0, copy(own, have), false
	}
}

// newBuffer returns a buffer of a size. See Detach for what is behind it.
func newBuffer(size int) []byte {
	if size <= keepBuffer {
		return make([]byte, size)
	}
	return make([]byte, size, size+spareBuffer)
}

// Detach has the caller take over the buffer of the packet that was taken last,
// whose last argument is last: all arguments stay valid, and there may be some
// capacity behind last. It does so if it has a buffer which little else is in;
// if not it returns false, and who wants to keep the arguments has to copy them.
func (r *Reader) Detach(last []byte) bool {
	if r.lent || r.small != nil || r.r != r.w || 4*len(last) < 3*len(r.buf) || len(last) == 0 {
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

// grown returns the size of the next larger buffer; the present one if the
// packet that was begun fits in it once it is moved to the front.
func (r *Reader) grown() int {
	size := len(r.buf)
	larger := 2 * size
	if size >= keepBuffer {
		larger = 4 * size
	}
	if whole := r.need(); whole > r.Buffered() {
		return max(size, min(larger, whole))
	}
	return larger
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

// Drop discards all bytes that have arrived and are not taken, and their memory. Packets
// that were taken are valid no longer.
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

// Packet takes the next packet if it is there whole. Its arguments are valid
// until the next Fill.
func (r *Reader) Packet(p *Packet) (ok bool, err error) {
	n, err := Decode(r.buf[r.r:r.w], r.limits, p)
	r.r += n
	r.taken = n
	return n > 0, err
}

// Unread puts the packet back that was taken last, so that the next call of
// Packet takes it again. Nothing may have been called since but Packet.
func (r *Reader) Unread() {
	r.r -= r.taken
	r.taken = 0
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

// Read implements io.Reader: it takes bytes as they are, those that have
// arrived first.
func (r *Reader) Read(p []byte) (int, error) {
	if r.r == r.w {
		return r.src.Read(p)
	}
	n := copy(p, r.buf[r.r:r.w])
	r.r += n
	return n, nil
}
