package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
	"gm/pkg/store/internal/filestore"
)

// fault is an entry, or a page if key is nil, that cannot be read.
type fault struct {
	name       []byte // the bucket's
	page       uint64 // 0 if it is not known
	key, value []byte
	err        error
}

func (x *fault) String() string {
	switch {
	case x.key == nil && x.page == 0:
		return string(x.name)
	case x.key == nil:
		return fmt.Sprintf("page %d of %s", x.page, x.name)
	case string(x.name) == bodiesBucket:
		return fmt.Sprintf("piece of the payload of job %d", seqOf(x.key))
	case string(x.name) == extrasBucket:
		return fmt.Sprintf("extra %q", x.key)
	case len(x.key) == packKeySize:
		p, _ := sealing{}.parsePack(x.key, nil)
		return fmt.Sprintf("one or more of jobs %d to %d", p.first, p.last)
	default:
		return fmt.Sprintf("job %d", seqOf(x.key))
	}
}

// maxFaults is the maximum number of faults that are handled at a time. The next
// start finds the others.
const maxFaults = 10_000

// faults are the faults that a reading found.
type faults struct {
	list []fault
	n    int // number of all faults
}

func (f *faults) add(x fault) {
	if f.n++; f.n <= maxFaults {
		f.list = append(f.list, x)
	}
}

// reportTo reports the faults to the store's log and Skipped.
func (f *faults) reportTo(s *Store) {
	for i := range f.list {
		s.base.Skip(f.list[i].String(), f.list[i].err)
	}
	if more := f.n - len(f.list); more > 0 {
		s.base.Skip(fmt.Sprintf("%d more", more), errors.New("too many at once"))
	}
}

// asideFile returns the name of the file of records that were set aside.
func (s *Store) asideFile() string { return filepath.Join(s.cfg.Dir, "corrupt.log") }

// writeAside appends faults to the file of records that were set aside.
func (s *Store) writeAside(faults []fault) error {
	f, err := s.files.Open(s.asideFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	if err != nil {
		return err
	}
	now := time.Now()
	lines := make([]filestore.AsideLine, len(faults))
	for i := range faults {
		x := &faults[i]
		lines[i] = filestore.AsideLine{Time: now, What: x.String(), Why: x.err.Error(), Key: x.key, Value: x.value}
	}
	return filestore.AppendAside(f, lines)
}

// setAside reports faults, and moves entries that have a key out of the queue. If
// that fails, the next reading finds them again; for the present reading it is
// not an error.
func (s *Store) setAside(f faults) {
	if f.n == 0 {
		return
	}
	f.reportTo(s)
	err := s.writeAside(f.list)
	if err == nil {
		err = s.removeFaults(f.list)
	}
	if err != nil {
		s.base.Log.Error("broken entries stay in the queue", "err", err)
	}
}

// removeFaults removes entries that cannot be read, unless they were replaced
// meanwhile.
func (s *Store) removeFaults(faults []fault) error {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	return s.use(func(e *engine) error {
		return e.Update(func(tx *bolt.Tx) error {
			w := writer{sealing: e.sealing, changed: s.changed}
			w.start(tx)
			for i := range faults {
				if err := w.removeFault(&faults[i]); err != nil {
					return err
				}
			}
			return w.finish()
		})
	})
}

func (w *writer) removeFault(x *fault) error {
	switch {
	case len(x.key) == 0:
		return nil
	case string(x.name) == extrasBucket:
		if string(w.extras.Get(x.key)) == string(x.value) {
			return w.apply(&entry{kind: store.Delete, key: x.key})
		}
		return nil
	case string(x.name) == bodiesBucket:
		return w.forgetOrphan(x.key)
	case len(x.key) == packKeySize:
		return w.forgetStretch(x.key, x.value)
	}
	record, err := w.get(seqOf(x.key))
	if err != nil || string(record) != string(x.value) {
		return err
	}
	return w.forget(x.key)
}
