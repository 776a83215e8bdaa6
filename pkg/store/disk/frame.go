package disk

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"gm/pkg/store"
)

// The form of a file of the log in bytes: its header, and the frames that follow
// it. Nothing here reads or writes a file; the files are those of a wal.

// A frame is a batch in the log: magic, size of the body, number, salt, and
// CRC-32C of these three and of the body; then the body, which are entries, and
// zeros. Each entry follows its own CRC-32C. Numbers are little-endian. In the
// old form, neither frames have a salt nor entries a checksum.
const (
	frameMagic = 0x46576d67 // "gmWF"
	frameHead  = 4 + 4 + 8 + 8 + 4
	entrySum   = 4

	oldFrameMagic = 0x4c576d67 // "gmWL"
	oldFrameHead  = 4 + 4 + 8 + 4
)

var zeros [walAlign]byte

// salt is a random number that a file of the log has in its header, all its
// frames in theirs, and the checksums of its entries. It is new whenever the
// store is opened. Nobody who submits a job knows it, so that no payload can
// pass for a frame or an entry, wherever a search for them leads.
type salt uint64

// A header begins a file of the log: magic, version, salt, the code of the
// sealing of the store's file, and the CRC-32C of these, little-endian. In
// version 2, it has no such code.
const (
	fileMagic   = 0x48576d67 // "gmWH"
	fileVersion = 3
)

func newSalt() (salt, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("make a salt: %w", err)
	}
	return salt(binary.LittleEndian.Uint64(b[:])), nil
}

// header returns the header of a file of the log of a store whose file has that
// sealing.
func (t salt) header(c sealing) []byte {
	b := make([]byte, walHeader)
	binary.LittleEndian.PutUint32(b, fileMagic)
	binary.LittleEndian.PutUint32(b[4:], fileVersion)
	binary.LittleEndian.PutUint64(b[8:], uint64(t))
	binary.LittleEndian.PutUint64(b[16:], c.code())
	binary.LittleEndian.PutUint32(b[24:], store.CRC(0, b[:24]))
	return b
}

// parseHeader returns the salt of the log and the code of the sealing from the
// header that a file begins with. It reports whether the header is whole.
func parseHeader(file []byte) (t salt, sealing uint64, whole bool) {
	le := binary.LittleEndian
	if len(file) < walHeader || le.Uint32(file) != fileMagic {
		return 0, 0, false
	}
	switch le.Uint32(file[4:]) {
	case 2:
		whole = le.Uint32(file[16:]) == store.CRC(0, file[:16])
	case fileVersion:
		sealing = le.Uint64(file[16:])
		whole = le.Uint32(file[24:]) == store.CRC(0, file[:24])
	}
	return salt(le.Uint64(file[8:])), sealing, whole
}

// sum returns the checksum of an entry.
func (t salt) sum(entry []byte) uint32 {
	return store.CRC(uint32(t>>32)^uint32(t), entry)
}

// form is how the frames of a file are written.
type form struct {
	salt salt
	old  bool // of gm's first logs: without a header and a salt
}

// formOf returns the form of the frames in a file, and reports whether the file
// says so.
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

// hasFrames reports whether a file has something besides a header of today.
func hasFrames(file []byte) bool {
	if _, _, whole := parseHeader(file); whole {
		file = file[walHeader:]
	}
	return len(bytes.Trim(file, "\x00")) > 0
}

// head is the size of a frame's header.
func (f form) head() int {
	if f.old {
		return oldFrameHead
	}
	return frameHead
}

// sum is the checksum of a frame, which begins with its header.
func (f form) sum(frame []byte) uint32 {
	head := f.head()
	return store.CRC(store.CRC(0, frame[4:head-4]), frame[head:])
}

// room is what a frame with a body of that size takes.
func (f form) room(body int) int { return (f.head() + body + walAlign - 1) &^ (walAlign - 1) }

// frameRoom is what a new frame with a body of that size takes.
func frameRoom(body int) int { return form{}.room(body) }

// appendFrame appends the frame of a batch, and zeros up to where the next one
// begins.
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

// found is a frame that was found in the log.
type found struct {
	number  uint64
	entries []entry
}

// maxNumbers is more than the log has frames.
const maxNumbers = 2 * walSize / walAlign

// readFrames returns the frames of a segment's contents whose numbers are above
// floor, in order. One that is broken counts if another one follows: it was
// written whole then, and bad is told that part of it is missing. The last one,
// if broken, was never acknowledged, for all that can be known.
func readFrames(f form, data []byte, floor uint64, bad func(what string, err error)) []found {
	var frames, broken []found
	for len(data) >= f.head() {
		number, body, whole := f.parseFrame(data)
		isNew := number > floor && (floor == 0 || number-floor <= maxNumbers)
		switch {
		case whole && isNew:
			for _, b := range broken {
				if b.number < number {
					bad(fmt.Sprintf("part of batch %d of the log", b.number), errChecksum)
					frames = append(frames, b)
				}
			}
			frames = append(frames, found{number, f.appendEntries(nil, body, false)})
			broken, floor = nil, number
		case isNew:
			broken = append(broken, found{number, f.appendEntries(nil, body, true)})
		}
		step := walAlign // where a size can't be trusted
		if whole {
			step = f.room(len(body))
		}
		data = data[min(step, len(data)):]
	}
	return frames
}

var errChecksum = errors.New("checksum does not match")

// firstSalt returns the salt of the first frame of a file, where no header says
// which it is.
func firstSalt(file []byte) salt {
	if len(file) < walHeader+frameHead {
		return 0
	}
	return salt(binary.LittleEndian.Uint64(file[walHeader+16:]))
}

// parseFrame reads the frame at the start of data, and says whether it is whole.
// The number is 0 if nothing can be read.
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

// appendEntries appends the entries of a body, of one that is broken only those
// that prove themselves.
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
