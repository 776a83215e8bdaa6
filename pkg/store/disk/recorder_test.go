package disk

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"unsafe"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store/disk/boltfile"
)

var _ boltfile.Watcher = (*recorder)(nil)

// recorder keeps all changes to a store's files, so that a test can make the files
// that a loss of power leaves.
type recorder struct {
	mu      sync.Mutex
	changes []fileChange
	names   map[string]*inode // as they are
	handles map[*os.File]*inode
}

type inode struct{ id int }

type changeKind uint8

const (
	changeWrite  changeKind = iota
	changeSize              // data is not used, offset is the size
	changeSync              // of the changes before begin
	changeName              // name is file's, and old is no more; without a file, name is gone
	changeDir               // a sync of the directory
	changeMarker            // something that the test wants to find
)

type fileChange struct {
	kind      changeKind
	file      *inode
	offset    int64
	data      []byte
	begin     int
	name, old string
}

func newRecorder() *recorder {
	return &recorder{names: make(map[string]*inode), handles: make(map[*os.File]*inode)}
}

// add keeps a change and returns its number.
func (r *recorder) add(c fileChange) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addLocked(c)
}

func (r *recorder) addLocked(c fileChange) int {
	r.changes = append(r.changes, c)
	return len(r.changes) - 1
}

func (r *recorder) Opened(f *os.File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := filepath.Base(f.Name())
	file := r.names[name]
	if file == nil {
		file = &inode{len(r.changes)}
		r.names[name] = file
		r.addLocked(fileChange{kind: changeName, file: file, name: name})
	}
	r.handles[f] = file
}

// OpenedBolt sees that bbolt's writes are recorded, and its syncs: the one
// between the last page and the meta page, and the one behind it, which
// Committed notes. A file that it has just made has been synced.
func (r *recorder) OpenedBolt(db *bolt.DB, f *os.File) {
	r.mu.Lock()
	file := r.handles[f]
	known := false
	for _, c := range r.changes {
		known = known || c.file == file && c.kind == changeWrite
	}
	r.mu.Unlock()
	if !known {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			panic(err)
		}
		r.Wrote(f, b, 0)
		r.Syncing(f)()
	}
	field := reflect.ValueOf(db).Elem().FieldByName("ops").FieldByName("writeAt")
	write := (*func([]byte, int64) (int, error))(unsafe.Pointer(field.UnsafeAddr()))
	original := *write
	pageSize := int64(db.Info().PageSize)
	*write = func(b []byte, offset int64) (int, error) {
		if offset < 2*pageSize && !db.NoSync {
			r.Syncing(f)()
		}
		n, err := original(b, offset)
		r.Wrote(f, b[:n], offset)
		return n, err
	}
}

func (r *recorder) Committed(f *os.File) { r.Syncing(f)() }

func (r *recorder) Wrote(f *os.File, b []byte, offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(fileChange{kind: changeWrite, file: r.handles[f], data: bytes.Clone(b), offset: offset})
}

func (r *recorder) Resized(f *os.File, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(fileChange{kind: changeSize, file: r.handles[f], offset: size})
}

func (r *recorder) Syncing(f *os.File) (synced func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	file, begin := r.handles[f], len(r.changes)
	return func() { r.add(fileChange{kind: changeSync, file: file, begin: begin}) }
}

func (r *recorder) Renamed(from, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, to = filepath.Base(from), filepath.Base(to)
	r.names[to] = r.names[from]
	delete(r.names, from)
	r.addLocked(fileChange{kind: changeName, file: r.names[to], name: to, old: from})
}

func (r *recorder) Linked(from, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, to = filepath.Base(from), filepath.Base(to)
	r.names[to] = r.names[from]
	r.addLocked(fileChange{kind: changeName, file: r.names[to], name: to})
}

func (r *recorder) Removed(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name = filepath.Base(name)
	delete(r.names, name)
	r.addLocked(fileChange{kind: changeName, name: name})
}

func (r *recorder) SyncingDir(string) (synced func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	begin := len(r.changes)
	return func() { r.add(fileChange{kind: changeDir, begin: begin}) }
}

// mark keeps a moment and returns its number.
func (r *recorder) mark() int { return r.add(fileChange{kind: changeMarker}) }

// loss is the loss of changes that were not synced: a crash of the process
// loses none, a loss of power may lose any sector.
type loss struct {
	random *rand.Rand // nil if nothing is lost
	keep   float64    // how likely a sector has reached the disk
}

// write writes into dir the files as they are after the first changes.
func (r *recorder) write(dir string, changes int, l loss) error {
	done := r.changes[:changes]
	synced := make(map[*inode]int) // the changes of a file below that are on the disk
	named := 0
	for _, c := range done {
		switch c.kind {
		case changeSync:
			synced[c.file] = max(synced[c.file], c.begin)
		case changeDir:
			named = max(named, c.begin)
		}
	}
	names := make(map[string]*inode)
	later := 0
	for i, c := range done {
		if c.kind != changeName {
			continue
		}
		if i >= named && l.random != nil { // names come in order, up to some
			if later++; l.random.Float64() > l.keep {
				break
			}
		}
		if c.file == nil {
			delete(names, c.name)
			continue
		}
		names[c.name] = c.file
		if c.old != "" {
			delete(names, c.old)
		}
	}
	contents := make(map[*inode][]byte)
	for _, file := range names {
		contents[file] = nil
	}
	for i, c := range done {
		if _, ok := contents[c.file]; !ok {
			continue
		}
		certain := i < synced[c.file] || l.random == nil
		switch c.kind {
		case changeSize:
			if certain || l.random.Float64() < l.keep {
				contents[c.file] = resize(contents[c.file], int(c.offset))
			}
		case changeWrite:
			for at := 0; at < len(c.data); at += sectorSize {
				part := c.data[at:min(at+sectorSize, len(c.data))]
				if !certain && l.random.Float64() >= l.keep {
					continue
				}
				end := int(c.offset) + at + len(part)
				if len(contents[c.file]) < end {
					contents[c.file] = resize(contents[c.file], end)
				}
				copy(contents[c.file][int(c.offset)+at:], part)
			}
		}
	}
	for name, file := range names {
		if err := os.WriteFile(filepath.Join(dir, name), contents[file], 0o600); err != nil {
			return err
		}
	}
	return nil
}

// sectorSize is the number of bytes that a disk writes completely or not at
// all.
const sectorSize = 512

// resize cuts b to a size, or appends zeros up to it.
func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}
