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
)

// recorder is a watcher that keeps all changes to a store's files, so that what
// a power loss leaves of them can be made.
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
	changeSync              // of what came before begin
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

func (r *recorder) opened(f *os.File) {
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

// openedBolt sees that bbolt's writes are recorded, and its syncs: the one
// between the last page and the meta page, and the one behind it, which
// committed notes. A file that it has just made has been synced.
func (r *recorder) openedBolt(db *bolt.DB, f *os.File) {
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
		r.wrote(f, b, 0)
		r.syncing(f)()
	}
	field := reflect.ValueOf(db).Elem().FieldByName("ops").FieldByName("writeAt")
	write := (*func([]byte, int64) (int, error))(unsafe.Pointer(field.UnsafeAddr()))
	original := *write
	pageSize := int64(db.Info().PageSize)
	*write = func(b []byte, offset int64) (int, error) {
		if offset < 2*pageSize && !db.NoSync {
			r.syncing(f)()
		}
		n, err := original(b, offset)
		r.wrote(f, b[:n], offset)
		return n, err
	}
}

func (r *recorder) committed(f *os.File) { r.syncing(f)() }

func (r *recorder) wrote(f *os.File, b []byte, offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(fileChange{kind: changeWrite, file: r.handles[f], data: bytes.Clone(b), offset: offset})
}

func (r *recorder) resized(f *os.File, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(fileChange{kind: changeSize, file: r.handles[f], offset: size})
}

func (r *recorder) syncing(f *os.File) (synced func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	file, begin := r.handles[f], len(r.changes)
	return func() { r.add(fileChange{kind: changeSync, file: file, begin: begin}) }
}

func (r *recorder) renamed(from, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, to = filepath.Base(from), filepath.Base(to)
	r.names[to] = r.names[from]
	delete(r.names, from)
	r.addLocked(fileChange{kind: changeName, file: r.names[to], name: to, old: from})
}

func (r *recorder) linked(from, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, to = filepath.Base(from), filepath.Base(to)
	r.names[to] = r.names[from]
	r.addLocked(fileChange{kind: changeName, file: r.names[to], name: to})
}

func (r *recorder) removed(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name = filepath.Base(name)
	delete(r.names, name)
	r.addLocked(fileChange{kind: changeName, name: name})
}

func (r *recorder) syncingDir(string) (synced func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	begin := len(r.changes)
	return func() { r.add(fileChange{kind: changeDir, begin: begin}) }
}

// mark keeps a moment and returns its number.
func (r *recorder) mark() int { return r.add(fileChange{kind: changeMarker}) }

// loss says what becomes of the changes that were not synced: none is lost if
// the process ends, any sector may be if the power does.
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

// sectorSize is what a disk writes whole or not at all.
const sectorSize = 512

// resize cuts b to a size, or appends zeros up to it.
func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}
