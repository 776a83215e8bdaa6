package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"gm/internal/codec"
)

// This file has the form of the log's files in bytes: the header and the frames
// after it. It reads and writes no file; wal does.

// A frame is a batch in the log: magic, size of the body, number, salt, and the
// CRC-32C of these three and of the body; then the body, which is the entries,
// and zeros. Each entry is after its own CRC-32C. Numbers are little-endian. In
// the old form, frames have no salt and entries no checksum.
const (
	frameMagic = 0x46576d67 // "gmWF"
	frameHead  = 4 + 4 + 8 + 8 + 4
	entrySum   = 4

	oldFrameMagic = 0x4c576d67 // "gmWL"
	oldFrameHead  = 4 + 4 + 8 + 4
)

var zeros [walAlign]byte

// salt is a random number in the header of a log's file, in the headers of its
// frames and in the checksums of its entries. It is new whenever the store is
// opened. Clients do not know it: no payload can pass for a frame or an entry,
// even if a search meets it.
type salt uint64

// A header begins a file of the log: magic, version, salt, the code of the
// sealing of the store's file, and the CRC-32C of these, little-endian. In
// version 2, it has no such code.
const (
	fileMagic   = 0x48576d67 // "gmWH"
	fileVersion = 3
)

func newSalt() (salt, error) {
	n, err := codec.NewSalt()
	return salt(n), err
}

// header returns the header of a log's file for a store whose file has the sealing
// c.
func (t salt) header(c sealing) []byte {
	b := make([]byte, walHeader)
	binary.LittleEndian.PutUint32(b, fileMagic)
	binary.LittleEndian.PutUint32(b[4:], fileVersion)
	binary.LittleEndian.PutUint64(b[8:], uint64(t))
	binary.LittleEndian.PutUint64(b[16:], c.code())
	binary.LittleEndian.PutUint32(b[24:], codec.CRC(0, b[:24]))
	return b
}

// parseHeader returns the salt of the log and the code of the sealing in the header
// of a file. It reports whether the header is whole.
func parseHeader(file []byte) (t salt, sealing uint64, whole bool) {
	le := binary.LittleEndian
	if len(file) < walHeader || le.Uint32(file) != fileMagic {
		return 0, 0, false
	}
	switch le.Uint32(file[4:]) {
	case 2:
		whole = le.Uint32(file[16:]) == codec.CRC(0, file[:16])
	case fileVersion:
		sealing = le.Uint64(file[16:])
		whole = le.Uint32(file[24:]) == codec.CRC(0, file[:24])
	}
	return salt(le.Uint64(file[8:])), sealing, whole
}

// sum returns the checksum of an entry.
func (t salt) sum(entry []byte) uint32 {
	return codec.CRC(uint32(t>>32)^uint32(t), entry)
}

// form is the form of the frames of a file.
type form struct {
	salt salt
	old  bool // that of gm's first logs, without a header and a salt
}

// formOf returns the form of the frames in a file. It reports whether the header
// tells it.
func formOf(file []byte) (form, bool) {
	if len(file) < walHeader {
		return form{}, false
	}
	if binary.LittleEndian.Uint32(file) == oldFrameMagic {
		return form{old: true}, true
	}
	t, _, known := parseHeader(file)
	return form{salt: t}, known
}

// hasFrames reports whether a file has anything besides a header and zeros.
func hasFrames(file []byte) bool {
	if _, _, whole := parseHeader(file); whole {
		file = file[walHeader:]
	}
	return len(bytes.Trim(file, "\x00")) > 0
}

// head returns the size of a frame's header.
func (f form) head() int {
	if f.old {
		return oldFrameHead
	}
	return frameHead
}

// sum returns the checksum of a frame, which begins with its header.
func (f form) sum(frame []byte) uint32 {
	head := f.head()
	return codec.CRC(codec.CRC(0, frame[4:head-4]), frame[head:])
}

// room returns the number of bytes that a frame with a body of that size takes.
func (f form) room(body int) int { return (f.head() + body + walAlign - 1) &^ (walAlign - 1) }

// frameRoom returns the number of bytes that a new frame with a body of that size
// takes.
func frameRoom(body int) int { return form{}.room(body) }

// appendFrame appends the frame of a batch, and zeros up to the place of the next
// frame.
func appendFrame(data []byte, number uint64, t salt, entries []entry) []byte {
	start := len(data)
	data = append(data, zeros[:frameHead]...)
	for i := range entries {
		at := len(data)
		data = appendEntry(append(data, zeros[:entrySum]...), &entries[i])
		binary.LittleEndian.PutUint32(data[at:], t.sum(data[at+entrySum:]))
	}
	frame := data[start:]
	binary.LittleEndian.PutUint32(frame, frameMagic)
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(frame)-frameHead))
	binary.LittleEndian.PutUint64(frame[8:], number)
	binary.LittleEndian.PutUint64(frame[16:], uint64(t))
	binary.LittleEndian.PutUint32(frame[24:], form{}.sum(frame))
	return append(data, zeros[:frameRoom(len(frame)-frameHead)-len(frame)]...)
}

// loggedFrame is a frame that was read from the log.
type loggedFrame struct {
	number  uint64
	entries []entry
}

// maxNumbers is above the number of frames that the log has room for.
const maxNumbers = 2 * walSize / walAlign

// parseFrames returns the frames of a segment's content whose numbers are above
// floor, in order. A broken frame counts if another one follows: it was written
// whole, so that parseFrames calls bad for its missing part. If the last frame is
// broken, its batch was most likely never acknowledged, and it does not count.
func parseFrames(f form, data []byte, floor uint64, bad func(what string, err error)) []loggedFrame {
	var frames, broken []loggedFrame
	for len(data) >= f.head() {
		number, body, whole := f.parseFrame(data)
		isNew := number > floor && (floor == 0 || number-floor <= maxNumbers)
		switch {
		case whole && isNew:
			for _, b := range broken {
				if b.number < number {
					bad(fmt.Sprintf("part of batch %d of the log", b.number), codec.ErrChecksum)
					frames = append(frames, b)
				}
			}
			frames = append(frames, loggedFrame{number, f.appendEntries(nil, body, false)})
			broken, floor = nil, number
		case isNew:
			broken = append(broken, loggedFrame{number, f.appendEntries(nil, body, true)})
		}
		step := walAlign // the size of a broken frame may be wrong
		if whole {
			step = f.room(len(body))
		}
		data = data[min(step, len(data)):]
	}
	return frames
}

// firstSalt returns the salt of the first frame of a file without a header.
func firstSalt(file []byte) salt {
	if len(file) < walHeader+frameHead {
		return 0
	}
	return salt(binary.LittleEndian.Uint64(file[walHeader+16:]))
}

// parseFrame parses the frame at the start of data. It reports whether the frame
// is whole. The number is 0 if there is no frame.
func (f form) parseFrame(data []byte) (number uint64, body []byte, whole bool) {
	head, le := f.head(), binary.LittleEndian
	magic := uint32(frameMagic)
	if f.old {
		magic = oldFrameMagic
	}
	size := le.Uint32(data[4:])
	if le.Uint32(data) != magic || uint64(size) > uint64(len(data)-head) || !f.old && salt(le.Uint64(data[16:])) != f.salt {
		return 0, nil, false
	}
	frame := data[:head+int(size)]
	return le.Uint64(data[8:]), frame[head:], f.sum(frame) == le.Uint32(frame[head-4:])
}

// appendEntries appends the entries of a body; of a broken one only those whose
// own checksum matches.
func (f form) appendEntries(dst []entry, body []byte, broken bool) []entry {
	for len(body) > 0 {
		sum := body
		if !f.old {
			if len(body) < entrySum {
				break
			}
			body = body[entrySum:]
		}
		x, rest, err := cutEntry(body)
		if err != nil {
			break
		}
		switch {
		case !broken, f.old && x.proven(), !f.old && f.salt.sum(body[:len(body)-len(rest)]) == binary.LittleEndian.Uint32(sum):
			dst = append(dst, x)
		}
		body = rest
	}
	return dst
}
