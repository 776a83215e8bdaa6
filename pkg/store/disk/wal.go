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
	// walHeader is the room of a file's header, walRoom that of its frames.
	walHeader = walAlign
	walRoom   = walSize - walHeader
)

// wal is the write-ahead log.
type wal struct {
	files  bool // it has some: there is none on a disk without room for it
	noSync bool
	fsys   *fsys
	salt   salt

	segments [2]*segment
	active   int    // which of them is appended to. Changed under both locks
	number   uint64 // of the last frame that was written

	// used: there may be frames in the files.
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
		w.used = w.used || hasFrames(g.data)
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

// begin begins an empty log, with a new salt, of a store whose file has that
// sealing. The file must have all that the log has had.
func (w *wal) begin(c sealing) (err error) {
	for _, g := range w.segments {
		g.data = g.data[:0]
	}
	if !w.files {
		return nil
	}
	if w.used {
		if err := w.forget(0); err != nil {
			return err
		}
	}
	if w.salt, err = newSalt(); err != nil {
		return err
	}
	w.used = true
	for _, g := range w.segments {
		if err := w.fsys.writeAt(g.file, w.salt.header(c), 0); err != nil {
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

// forget leaves nothing in the files from an offset on, for which the store's
// must have all of it on the disk. So neither the next start nor another queue.db
// that somebody puts there meets frames of before.
func (w *wal) forget(from int64) error {
	if !w.files || !w.used {
		return nil
	}
	for _, g := range w.segments {
		if err := w.clear(g, from); err != nil {
			return err
		}
	}
	w.used = false
	return w.sync()
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
		// A file that was being forgotten, or is cut off in its header, has no
		// frames that count.
		if !known && (len(found) > 0 || len(g.data) >= walHeader && len(bytes.Trim(g.data[:walHeader], "\x00")) > 0) {
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
