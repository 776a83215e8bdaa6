package disk

import (
	"bytes"
	"cmp"
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
)

// A frame is a batch in the log: magic, size of the body, number, and CRC-32C of
// these two and of the body; then the body, which are entries, and zeros.
// Numbers are little-endian.
const (
	frameMagic = 0x4c576d67 // "gmWL"
	frameHead  = 4 + 4 + 8 + 4
)

var zeros [walAlign]byte

// frameSum is the checksum of a frame, which begins with its header.
func frameSum(frame []byte) uint32 {
	return store.CRC(store.CRC(0, frame[4:16]), frame[frameHead:])
}

// frameRoom is what a frame with a body of that size takes.
func frameRoom(body int) int { return (frameHead + body + walAlign - 1) &^ (walAlign - 1) }

// wal is the write-ahead log.
type wal struct {
	files  bool // it has some: there is none on a disk without room for it
	noSync bool

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
	data []byte // the frames in it that count
	need need   // what data takes in the store's file
	last uint64 // of a sealed one: frames up to that number are in the store's file when data is

	sealed atomic.Bool // data is on its way into the store's file

	ended map[uint64]struct{} // jobs that data ends
}

// openWAL opens the two files of the log, and makes them if they are not there.
// What is in them is left in the segments' data.
func openWAL(name func(int) string, noSync bool) (w *wal, err error) {
	w = &wal{files: true, noSync: noSync, segments: [2]*segment{{ended: make(map[uint64]struct{})}, {ended: make(map[uint64]struct{})}}}
	for i, g := range w.segments {
		if g.file, err = os.OpenFile(name(i), os.O_RDWR|os.O_CREATE, 0o600); err == nil {
			g.data, err = io.ReadAll(io.LimitReader(g.file, walSize))
		}
		if err != nil {
			return nil, errors.Join(err, w.close())
		}
		w.used = w.used || len(bytes.Trim(g.data, "\x00")) > 0
	}
	for _, g := range w.segments {
		if err = g.fill(); full(err) {
			w.files = false
			return w, nil
		}
		if err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

// fill writes what the file lacks of its size.
func (g *segment) fill() error {
	if len(g.data) == walSize {
		return nil
	}
	if err := g.clear(int64(len(g.data))); err != nil {
		return err
	}
	return g.file.Sync()
}

// clear writes zeros from there to the file's end.
func (g *segment) clear(from int64) error {
	_, err := g.file.WriteAt(make([]byte, walSize-from), from)
	return err
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
	return len(g.data)+frameRoom(size) <= walSize && g.need.scattered < dropEvery/faultSize
}

// append writes a batch, for which there must be room, and asks the disk to
// sync. After an error the log is suspect: nothing must be appended before what
// it has is in the store's file.
func (w *wal) append(entries []entry, n need) error {
	g := w.segments[w.active]
	start := len(g.data)
	w.number++
	w.used = true
	data := append(g.data, make([]byte, frameHead)...)
	for i := range entries {
		data = appendEntry(data, &entries[i])
	}
	frame := data[start:]
	binary.LittleEndian.PutUint32(frame, frameMagic)
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(frame)-frameHead))
	binary.LittleEndian.PutUint64(frame[8:], w.number)
	binary.LittleEndian.PutUint32(frame[16:], frameSum(frame))
	data = append(data, zeros[:frameRoom(len(frame)-frameHead)-len(frame)]...)
	_, err := g.file.WriteAt(data[start:], int64(start))
	if err == nil && !w.noSync {
		err = datasync(g.file)
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

// entries appends what the segment has to dst.
func (g *segment) entries(dst []entry) []entry {
	for data := g.data; len(data) > 0; {
		size := int(binary.LittleEndian.Uint32(data[4:]))
		dst = appendEntries(dst, data[frameHead:frameHead+size], false)
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
	return errors.Join(datasync(w.segments[0].file), datasync(w.segments[1].file))
}

// forget leaves nothing in the files, for which the store's must have all of it
// on the disk. Neither what is read next nor who puts another queue.db there
// meets what is of before.
func (w *wal) forget() error {
	if !w.files || !w.used {
		return nil
	}
	for _, g := range w.segments {
		if err := g.clear(0); err != nil {
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
func readFrames(data []byte, floor uint64, bad func(what string, err error)) []found {
	var frames, broken []found
	for len(data) >= frameHead {
		number, body, whole := parseFrame(data)
		isNew := number > floor && (floor == 0 || number-floor <= maxNumbers)
		switch {
		case whole && isNew:
			for _, b := range broken {
				if b.number < number {
					bad(fmt.Sprintf("part of batch %d of the log", b.number), errChecksum)
					frames = append(frames, b)
				}
			}
			frames = append(frames, found{number, appendEntries(nil, body, false)})
			broken, floor = nil, number
		case isNew:
			broken = append(broken, found{number, appendEntries(nil, body, true)})
		}
		step := walAlign // where a size can't be trusted
		if whole {
			step = frameRoom(len(body))
		}
		data = data[min(step, len(data)):]
	}
	return frames
}

var errChecksum = errors.New("checksum does not match")

// parseFrame reads the frame at the start of data, and says whether it is whole.
// The number is 0 if nothing can be read.
func parseFrame(data []byte) (number uint64, body []byte, whole bool) {
	size := binary.LittleEndian.Uint32(data[4:])
	if binary.LittleEndian.Uint32(data) != frameMagic || uint64(size) > uint64(len(data)-frameHead) {
		return 0, nil, false
	}
	frame := data[:frameHead+int(size)]
	return binary.LittleEndian.Uint64(data[8:]), frame[frameHead:], frameSum(frame) == binary.LittleEndian.Uint32(data[16:])
}

// appendEntries appends the entries of a body, of one that is broken only those
// that prove themselves.
func appendEntries(dst []entry, body []byte, broken bool) []entry {
	for len(body) > 0 {
		x, rest, err := cutEntry(body)
		if err != nil {
			break
		}
		if !broken || x.proven() {
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
	for _, g := range w.segments {
		frames = append(frames, readFrames(g.data, applied, bad)...)
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
