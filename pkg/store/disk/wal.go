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

	"gm/internal/codec"
	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
	"gm/pkg/store/disk/fsys"
	"gm/pkg/store/internal/filestore"
)

// The log is two files of a fixed size. Their blocks are written before they are
// used, so that a sync writes only the data to the disk. One file takes batches.
// Meanwhile the batches of the other are written into the store's file, and then
// it is written from its start again.
const (
	walSize = 2 << 20 // of each file
	// walMax is the maximum size of a batch in the log. Larger ones go into the
	// file directly: to write them twice costs more than a sync (8 connections
	// x 512 jobs of 100 bytes in flight: 13 to 25 % more).
	walMax = walSize / 16
	// walAlign is the alignment of frames. A disk writes at least that much at
	// once, so that a later write does not damage an earlier frame.
	walAlign = 512
	// walHeader is the room of a file's header, walRoom that of its frames.
	walHeader = walAlign
	walRoom   = walSize - walHeader
)

// wal is the write-ahead log.
type wal struct {
	files  bool // the log has files; there are none on a disk without room
	noSync bool
	fs     *fsys.FS
	salt   salt

	segments [2]*segment
	active   int    // index of the one that takes batches. Changed under both locks
	number   uint64 // of the last frame that was written

	// used: the files may have frames.
	used bool
	// suspect: a file may have a frame whose batch was not committed.
	suspect bool

	mu sync.Mutex // guards the segments' ended
}

// segment is a file of the log. Store.commitMu guards the active one, and
// Store.fileMu the other one while it is sealed.
type segment struct {
	file *os.File
	data []byte // the frames that count, which are after the header
	need need   // room that data takes in the store's file
	last uint64 // of a sealed segment: number of its last frame

	sealed atomic.Bool // data must be written into the store's file

	ended map[uint64]struct{} // jobs that data ends
}

// openWAL opens the two files of the log, and makes them if they do not exist.
// The segments' data is their content, with headers, until start.
func openWAL(files *fsys.FS, name func(int) string, noSync bool) (w *wal, err error) {
	w = &wal{files: true, noSync: noSync, fs: files, segments: [2]*segment{{ended: make(map[uint64]struct{})}, {ended: make(map[uint64]struct{})}}}
	for i, g := range w.segments {
		if g.file, err = files.Open(name(i), os.O_RDWR|os.O_CREATE); err == nil {
			g.data, err = io.ReadAll(io.LimitReader(g.file, walSize))
		}
		if err != nil {
			return nil, errors.Join(err, w.close())
		}
		w.used = w.used || hasFrames(g.data)
	}
	for _, g := range w.segments {
		if err = w.fill(g); filestore.IsFull(err) {
			w.files = false
			return w, nil
		}
		if err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

// fill writes zeros from the end of a file to its full size.
func (w *wal) fill(g *segment) error {
	if len(g.data) == walSize {
		return nil
	}
	if err := w.writeZeros(g, int64(len(g.data))); err != nil {
		return err
	}
	return w.fs.Sync(g.file)
}

// writeZeros writes zeros from an offset to a file's end.
func (w *wal) writeZeros(g *segment, from int64) error {
	return w.fs.WriteAt(g.file, make([]byte, walSize-from), from)
}

// start empties the log and gives it a new salt. c is the sealing of the store's
// file, which must have all batches of the log.
func (w *wal) start(c sealing) (err error) {
	for _, g := range w.segments {
		g.data = g.data[:0]
	}
	if !w.files {
		return nil
	}
	if w.used {
		if err := w.eraseFrom(0); err != nil {
			return err
		}
	}
	if w.salt, err = newSalt(); err != nil {
		return err
	}
	w.used = true
	for _, g := range w.segments {
		if err := w.fs.WriteAt(g.file, w.salt.header(c), 0); err != nil {
			return err
		}
	}
	return w.syncFiles()
}

// close closes the files. The log has none from then on.
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

// fits reports whether the active segment has room for a batch whose entries have
// that size. One transaction writes the segment into the store's file, so that
// its entries must not touch too many places there: those come into the memory of
// the process.
func (w *wal) fits(size int) bool {
	g := w.segments[w.active]
	return len(g.data)+frameRoom(size) <= walRoom && g.need.scattered < boltfile.MaxPlaces
}

// appendBatch writes a batch, for which there must be room, and syncs. After an
// error the log is suspect: its batches must be written into the store's file
// before the next call.
func (w *wal) appendBatch(entries []entry, n need) error {
	g := w.segments[w.active]
	start := len(g.data)
	w.number++
	data := appendFrame(g.data, w.number, w.salt, entries)
	err := w.fs.WriteAt(g.file, data[start:], walHeader+int64(start))
	if err == nil && !w.noSync {
		err = w.fs.Datasync(g.file)
	}
	if err != nil {
		g.data = data[:start]
		w.suspect = true
		return err
	}
	g.data = data
	g.need.join(n)
	w.noteEnds(entries)
	return nil
}

// entries appends the segment's entries to dst.
func (g *segment) entries(dst []entry) []entry {
	for data := g.data; len(data) > 0; {
		size := int(binary.LittleEndian.Uint32(data[4:]))
		dst = form{}.appendEntries(dst, data[frameHead:frameHead+size], false)
		data = data[frameRoom(size):]
	}
	return dst
}

// noteEnds notes the jobs that entries end, until they leave the log.
func (w *wal) noteEnds(entries []entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range entries {
		switch x := &entries[i]; x.kind {
		case store.Done:
			w.segments[w.active].ended[seqOf(x.key)] = struct{}{}
		case store.Add: // it was added again
			for _, g := range w.segments {
				if len(g.ended) > 0 {
					delete(g.ended, seqOf(x.key))
				}
			}
		}
	}
}

// ends reports whether the log has the end of a job.
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

// release frees a sealed segment whose batches the store's file has.
func (w *wal) release(g *segment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(g.ended)
	g.sealed.Store(false)
}

// sealActive seals the active segment and makes the other, which must not be
// sealed, the active one.
func (w *wal) sealActive() {
	g := w.segments[w.active]
	g.last = w.number
	g.sealed.Store(true)
	w.active = 1 - w.active
	g = w.segments[w.active]
	g.data, g.need = g.data[:0], need{}
}

// sealedSegment returns the segment that is sealed, or nil.
func (w *wal) sealedSegment() *segment {
	if g := w.segments[1-w.active]; g.sealed.Load() {
		return g
	}
	return nil
}

// empty reports whether the store's file has all batches of the log.
func (w *wal) empty() bool {
	return len(w.segments[w.active].data) == 0 && !w.suspect && w.sealedSegment() == nil
}

// waiting returns the maximum room that the batches of the log take in the store's
// file.
func (w *wal) waiting() need {
	n := w.segments[w.active].need
	if g := w.sealedSegment(); g != nil {
		n.join(g.need)
	}
	return n
}

// syncFiles writes the log to the disk.
func (w *wal) syncFiles() error {
	if !w.files {
		return nil
	}
	return errors.Join(w.fs.Datasync(w.segments[0].file), w.fs.Datasync(w.segments[1].file))
}

// eraseFrom erases the files from an offset on. The store's file must have all
// batches, and be on the disk. So neither the next start nor another queue.db
// that somebody copies there meets old frames.
func (w *wal) eraseFrom(from int64) error {
	if !w.files || !w.used {
		return nil
	}
	for _, g := range w.segments {
		if err := w.writeZeros(g, from); err != nil {
			return err
		}
	}
	w.used = false
	return w.syncFiles()
}

// readFrames returns the frames of both files with numbers above applied, in
// order. The store's file has all others. It calls bad for each part that is
// missing.
func (w *wal) readFrames(applied uint64, bad func(what string, err error)) []loggedFrame {
	var frames []loggedFrame
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
		found := parseFrames(f, data, applied, bad)
		// A file that was half erased, or that ends in its header, has no frames
		// that count.
		if !known && (len(found) > 0 || len(g.data) >= walHeader && len(bytes.Trim(g.data[:walHeader], "\x00")) > 0) {
			bad(fmt.Sprintf("header of file %d of the log", i), codec.ErrChecksum)
		}
		frames = append(frames, found...)
	}
	slices.SortFunc(frames, func(a, b loggedFrame) int { return cmp.Compare(a.number, b.number) })
	last := applied
	for _, f := range frames {
		if f.number > last+1 {
			bad(fmt.Sprintf("batches %d to %d of the log", last+1, f.number-1), codec.ErrChecksum)
		}
		last = f.number
	}
	return frames
}
