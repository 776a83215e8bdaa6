//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"context"
	"fmt"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/internal/filestore"
)

// fault is a damaged record, or a part of the file that is not a record.
type fault struct {
	key   string
	value []byte // as it was read
	where string // instead of a key
	why   error
}

func (x *fault) String() string {
	if x.where != "" {
		return x.where
	}
	return fmt.Sprintf("record %q", x.key)
}

// reportFaults reports faults to the log and to Skipped.
func (s *Store) reportFaults(faults []fault) {
	for i := range faults {
		s.base.Skip(faults[i].String(), &store.CorruptError{Where: faults[i].String(), Why: faults[i].why.Error()})
	}
}

// asideFile returns the name of the file of records that were set aside.
func (s *Store) asideFile() string { return s.path + ".corrupt" }

// writeAside appends faults to the file of records that were set aside.
func (s *Store) writeAside(faults []fault) error {
	if len(faults) == 0 {
		return nil
	}
	f, err := filestore.OpenAside(s.asideFile())
	if err != nil {
		return err
	}
	now := time.Now()
	lines := make([]filestore.AsideLine, len(faults))
	for i := range faults {
		x := &faults[i]
		lines[i] = filestore.AsideLine{Time: now, What: x.String(), Why: x.why.Error(), Key: []byte(x.key), Value: x.value}
	}
	return filestore.AppendAside(f, lines)
}

// setAside reports records and removes them from the database. If that fails,
// the next reading finds them again; for this one it is not an error.
func (s *Store) setAside(ctx context.Context, faults []fault) {
	if len(faults) == 0 {
		return
	}
	s.reportFaults(faults)
	err := s.writeAside(faults)
	if err == nil {
		err = s.write(ctx, "set aside in", func(n *net) error {
			for i := range faults {
				n.setValue(faults[i].key, nil, faults[i].value)
			}
			return nil
		})
	}
	if err != nil {
		s.base.Log.Error("damaged records stay in the queue", "err", err)
	}
}
