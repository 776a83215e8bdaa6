package disk

import (
	"gm/pkg/store/disk/boltfile"
	"gm/pkg/store/disk/fsys"
)

// The buckets.
const (
	jobsBucket   = "jobs"   // seq, 8 bytes, big-endian -> codec.AppendRecord or, for large payloads, codec.AppendHead; or a pack of these
	bodiesBucket = "bodies" // seq, 8 bytes, and number, 4 bytes, big-endian -> a piece of a large payload, sealed
	extrasBucket = "extras" // key -> value, sealed
)

var (
	jobsName   = []byte(jobsBucket)
	bodiesName = []byte(bodiesBucket)
	extrasName = []byte(extrasBucket)
)

var bucketNames = []string{jobsBucket, bodiesBucket, extrasBucket}

// engine is an open file of jobs.
type engine struct {
	*boltfile.File
	sealing sealing // never changes while the engine is in use
}

// openEngine opens a file, which must be new or verified. Its sealing is not
// read.
func openEngine(files *fsys.FS, path string, o boltfile.Options) (*engine, error) {
	o.Buckets = bucketNames
	f, err := boltfile.Open(files, path, o)
	if err != nil {
		return nil, err
	}
	return &engine{File: f}, nil
}

// snapshot is the state of the file that a transaction left. Its pages stay
// valid until the end of the view.
type snapshot struct {
	*boltfile.Tree
	sealing sealing
}

// holdSnapshot returns the state that the last transaction left, until release
// is called.
func (e *engine) holdSnapshot() (snap *snapshot, release func(), err error) {
	t, release, err := e.Hold()
	return &snapshot{t, e.sealing}, release, err
}

// view calls f with the state that the last transaction left.
func (e *engine) view(f func(*snapshot) error) error {
	return e.View(func(t *boltfile.Tree) error { return f(&snapshot{t, e.sealing}) })
}
