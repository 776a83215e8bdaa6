package disk

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"gm/pkg/store"
)

// The log is two files of a fixed size whose blocks are written before they
// are used, so that a sync has nothing to bring to the disk but the data. One
// of them takes batches; what the other has is on its way into the store's
// file meanwhile, after which it is written from its start again.
const (
	walSize = 2 << 20 // of each
	// walMax is the size from which a batch goes into the file directly: it
	// would be written twice, and its sync is the least of what it takes
	// (8 connections x 512 jobs of 100 bytes in flight: 13 to 25 % more).
	walMax = walSize / 16
	// walAlign is where frames begin: a disk writes as much at once, or more,
	// so that what is written later harms none of them.
	walAlign = 512
	// walHeader is the room of a file's header, walRoom that of its frames.
	walHeader = walAlign
	walRoom   = walSize - walHeader
)

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

// fileHeader begins a file of the log: magic, version, salt and the CRC-32C of
// these, little-endian.
const (
	fileMagic   = 0x48576d67 // "gmWH"
	fileVersion = 2
	fileHead    = 4 + 4 + 8 + 4
)

func newSalt() (salt, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("make a salt: %w", err)
	}
	return salt(binary.LittleEndian.Uint64(b[:])), nil
}

// header returns the header of a file of the log.
func (t salt) header() []byte {
	b := make([]byte, walHeader)
	binary.LittleEndian.PutUint32(b, fileMagic)
	binary.LittleEndian.PutUint32(b[4:], fileVersion)
	binary.LittleEndian.PutUint64(b[8:], uint64(t))
	binary.LittleEndian.PutUint32(b[16:], store.CRC(0, b[:16]))
	return b
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
	le := binary.LittleEndian
	if le.Uint32(file) == oldFrameMagic {
		return form{old: true}, true
	}
	known := le.Uint32(file) == fileMagic && le.Uint32(file[4:]) == fileVersion && le.Uint32(file[16:]) == store.CRC(0, file[:16])
	return form{salt: salt(le.Uint64(file[8:]))}, known
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

// wal is the write-ahead log.
type wal struct {
	files  bool // it has some: there is none on a disk without room for it
	noSync bool
	fsys   *fsys
	salt   salt

	segments [2]*segment
	active   int    // which of them is appended to. Changed under both locks
	number   uint64 // of the last frame that was written

	// used: there is something in the files that is not zero.
	used bool
	// suspect: a frame may be in the file whose batch was not committed.
	suspect bool

	mu sync.Mutex // guards the segments' ended
}

// segment is a file of the log. The active one is guarded by Store.commitMu, the
// other one, while it is sealed, by Store.fileMu.
type segment struct {
	file *os.File
	data []byte // the frames in it that count, which follow its header
	need need   // what data takes in the store's file
	last uint64 // of a sealed one: frames up to that number are in the store's file when data is

	sealed atomic.Bool // data is on its way into the store's file

	ended map[uint64]struct{} // jobs that data ends
}

// openWAL opens the two files of the log, and makes them if they are not there.
// Their contents are in the segments' data, headers included, until begin.
func openWAL(files *fsys, name func(int) string, noSync bool) (w *wal, err error) {
	w = &wal{files: true, noSync: noSync, fsys: files, segments: [2]*segment{{ended: make(map[uint64]struct{})}, {ended: make(map[uint64]struct{})}}}
	for i, g := range w.segments {
		if g.file, err = files.open(name(i), os.O_RDWR|os.O_CREATE); err == nil {
			g.data, err = io.ReadAll(io.LimitReader(g.file, walSize))
		}
		if err != nil {
			return nil, errors.Join(err, w.close())
		}
		w.used = w.used || len(bytes.Trim(g.data, "\x00")) > 0
	}
	for _, g := range w.segments {
		if err = w.fill(g); full(err) {
			w.files = false
			return w, nil
		}
		if err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

// fill writes what a file lacks of its size.
func (w *wal) fill(g *segment) error {
	if len(g.data) == walSize {
		return nil
	}
	if err := w.clear(g, int64(len(g.data))); err != nil {
		return err
	}
	return w.fsys.sync(g.file)
}

// clear writes zeros from an offset to a file's end.
func (w *wal) clear(g *segment, from int64) error {
	return w.fsys.writeAt(g.file, make([]byte, walSize-from), from)
}

// begin begins an empty log with a new salt. The store's file must have all that
// the log has had.
func (w *wal) begin() (err error) {
	for _, g := range w.segments {
		g.data = g.data[:0]
	}
	if !w.files {
		return nil
	}
	if w.used {
		if err := w.forget(); err != nil {
			return err
		}
	}
	if w.salt, err = newSalt(); err != nil {
		return err
	}
	w.used = true
	for _, g := range w.segments {
		if err := w.fsys.writeAt(g.file, w.salt.header(), 0); err != nil {
			return err
		}
	}
	return w.sync()
}

// close gives up the files. The log has none from then on.
func (w *wal) close() error {
	w.files = false
	var errs []error
	for _, g := range w.segments {
		if g.file != nil {
			errs = append(errs, g.file.Close())
			g.file = nil
		}
	}
	return errors.Join(errs...)
}

// fits says whether a batch whose entries have that size can be appended. A
// segment takes no more than what one transaction should touch of the store's
// file, which comes into the process's memory with it.
func (w *wal) fits(size int) bool {
	g := w.segments[w.active]
	return len(g.data)+frameRoom(size) <= walRoom && g.need.scattered < dropEvery/faultSize
}

// append writes a batch, for which there must be room, and asks the disk to
// sync. After an error the log is suspect: nothing must be appended before what
// it has is in the store's file.
func (w *wal) append(entries []entry, n need) error {
	g := w.segments[w.active]
	start := len(g.data)
	w.number++
	data := appendFrame(g.data, w.number, w.salt, entries)
	err := w.fsys.writeAt(g.file, data[start:], walHeader+int64(start))
	if err == nil && !w.noSync {
		err = w.fsys.datasync(g.file)
	}
	if err != nil {
		g.data = data[:start]
		w.suspect = true
		return err
	}
	g.data = data
	g.need.add(n)
	w.noteEnds(entries)
	return nil
}

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

// entries appends what the segment has to dst.
func (g *segment) entries(dst []entry) []entry {
	for data := g.data; len(data) > 0; {
		size := int(binary.LittleEndian.Uint32(data[4:]))
		dst = form{}.appendEntries(dst, data[frameHead:frameHead+size], false)
		data = data[frameRoom(size):]
	}
	return dst
}

// noteEnds notes which jobs are done while their ends are in the log.
func (w *wal) noteEnds(entries []entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range entries {
		switch x := &entries[i]; x.kind {
		case store.Done:
			w.segments[w.active].ended[seqOf(x.key)] = struct{}{}
		case store.Add: // again
			for _, g := range w.segments {
				if len(g.ended) > 0 {
					delete(g.ended, seqOf(x.key))
				}
			}
		}
	}
}

// ends says whether the log has the end of a job.
func (w *wal) ends(seq uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.segments {
		if _, ok := g.ended[seq]; ok {
			return true
		}
	}
	return false
}

// applied is called when the store's file has what a sealed segment has.
func (w *wal) applied(g *segment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(g.ended)
	g.sealed.Store(false)
}

// seal ends the active segment and begins the other, which must not be sealed.
func (w *wal) seal() {
	g := w.segments[w.active]
	g.last = w.number
	g.sealed.Store(true)
	w.active = 1 - w.active
	g = w.segments[w.active]
	g.data, g.need = g.data[:0], need{}
}

// sealed returns the segment that is sealed, or nil.
func (w *wal) sealed() *segment {
	if g := w.segments[1-w.active]; g.sealed.Load() {
		return g
	}
	return nil
}

// empty says whether the store's file has all that the log has.
func (w *wal) empty() bool {
	return len(w.segments[w.active].data) == 0 && !w.suspect && w.sealed() == nil
}

// waiting returns the room that what is in the log takes in the store's file,
// at most.
func (w *wal) waiting() need {
	n := w.segments[w.active].need
	if g := w.sealed(); g != nil {
		n.add(g.need)
	}
	return n
}

// sync brings the log to the disk.
func (w *wal) sync() error {
	if !w.files {
		return nil
	}
	return errors.Join(w.fsys.datasync(w.segments[0].file), w.fsys.datasync(w.segments[1].file))
}

// forget leaves nothing in the files, for which the store's must have all of it
// on the disk. Neither what is read next nor who puts another queue.db there
// meets what is of before.
func (w *wal) forget() error {
	if !w.files || !w.used {
		return nil
	}
	for _, g := range w.segments {
		if err := w.clear(g, 0); err != nil {
			return err
		}
	}
	w.used = false
	return w.sync()
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

// gather returns the frames of both files that the store's file does not have,
// which has all up to number applied, in order.
func (w *wal) gather(applied uint64, bad func(what string, err error)) []found {
	var frames []found
	for i, g := range w.segments {
		f, known := formOf(g.data)
		if !known {
			// Both files have the same salt.
			other, knows := formOf(w.segments[1-i].data)
			if f = other; !knows || f.old {
				f = form{salt: firstSalt(g.data)}
			}
		}
		data := g.data
		if !f.old {
			data = data[min(walHeader, len(data)):]
		}
		found := readFrames(f, data, applied, bad)
		// A file that was being forgotten has no header, and no frames that count.
		if !known && (len(found) > 0 || len(bytes.Trim(g.data[:min(walHeader, len(g.data))], "\x00")) > 0) {
			bad(fmt.Sprintf("header of file %d of the log", i), errChecksum)
		}
		frames = append(frames, found...)
	}
	slices.SortFunc(frames, func(a, b found) int { return cmp.Compare(a.number, b.number) })
	last := applied
	for _, f := range frames {
		if f.number > last+1 {
			bad(fmt.Sprintf("batches %d to %d of the log", last+1, f.number-1), errChecksum)
		}
		last = f.number
	}
	return frames
}
