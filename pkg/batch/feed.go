package batch

import (
	"fmt"
	"io"
	"math"

	"gm/pkg/gearman"
)

const (
	// minRead is the minimum room for a read, and the minimum size of a piece
	// that is not copied, in bytes.
	minRead = 64 << 10
	// slab is the size of the memory from which small pieces are carved, and
	// smallPiece is the maximum size of a small piece. A piece keeps its whole
	// slab in memory.
	slab       = 4 << 10
	smallPiece = slab / 8
)

// feed is a stream whose pieces are taken from the front, each in memory of its
// own.
type feed struct {
	src  io.Reader
	most int    // maximum room made at once, in bytes; 0: no limit
	base []byte // the memory of buf, if no piece is in it
	buf  []byte // read and not yet taken
	err  error  // the error that ended src
	slab []byte // the rest of the slab
}

// maxFeed is the most bytes of a record whose end has not been read. Twice as many
// must fit in an int, which has 32 bits on some systems.
const maxFeed = math.MaxInt/2 - minRead

// fill reads once, and sets err if that was the last read. If it must make
// room, it makes room for size bytes in total.
func (f *feed) fill(size int) {
	if cap(f.buf)-len(f.buf) < minRead/2 {
		if len(f.buf) > maxFeed {
			f.err = fmt.Errorf("a record of more than %d bytes does not fit in memory", maxFeed)
			return
		}
		size = min(size, maxFeed)
		grown := 2 * len(f.buf)
		if f.most > 0 {
			grown = min(grown, max(f.most, len(f.buf))+minRead)
		}
		room := max(size, grown, minRead)
		// Reuse the old memory, unless it grew for a very large record.
		if all := cap(f.base); all < room || all > 4*room {
			f.base = make([]byte, room)
		}
		f.buf = f.base[:copy(f.base, f.buf)]
	}
	for range 100 {
		n, err := f.src.Read(f.buf[len(f.buf):cap(f.buf)])
		f.buf = f.buf[:len(f.buf)+n]
		f.err = err
		if n > 0 || err != nil {
			return
		}
	}
	f.err = io.ErrNoProgress
}

// skip drops n bytes from the front.
func (f *feed) skip(n int) {
	if f.buf = f.buf[n:]; len(f.buf) == 0 {
		f.buf = nil
		if cap(f.base) > 4*minRead {
			f.base = nil
		}
	}
}

// tooLarge returns the error of a record that is over the limit.
func tooLarge(limit int) error {
	return fmt.Errorf("record %w of %d bytes", gearman.ErrTooLarge, limit)
}

// cutFront removes n bytes from the front and returns them without the last drop
// bytes, with head before them.
func (f *feed) cutFront(head []byte, n, drop int) []byte {
	piece, rest := f.buf[:n-drop:n-drop], f.buf[n:]
	f.buf = rest
	if len(head) == 0 && n >= minRead && n >= len(rest) {
		// A large piece takes the memory with it instead of being copied.
		f.base, f.buf = nil, append([]byte(nil), rest...)
		return piece
	}
	return append(append(f.carve(len(head)+len(piece)), head...), piece...)
}

// carve returns an empty slice with room for n bytes.
func (f *feed) carve(n int) []byte {
	if n > smallPiece {
		return make([]byte, 0, n)
	}
	if n > len(f.slab) {
		f.slab = make([]byte, slab)
	}
	piece := f.slab[:0:n]
	f.slab = f.slab[n:]
	return piece
}
