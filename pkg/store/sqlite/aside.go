package sqlite

import (
	"context"
	"fmt"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/internal/filestore"
)

// fault is a row that is damaged or missing.
type fault struct {
	extra bool  // it is a row of the table for extras
	id    int64 // the row's number
	noRow bool  // there is no row to remove

	name   string // the function, or the extra's key
	unique string
	data   []byte // as it was read
	why    error
}

// faultOf returns a fault for the job of r.
func faultOf(r *row, why error) fault {
	x := fault{id: r.id, name: string(r.function), unique: string(r.key), why: why, data: append([]byte(nil), r.data...)}
	if r.unique != nil {
		x.unique = string(r.unique)
	}
	return x
}

func (x *fault) String() string {
	if x.extra {
		return fmt.Sprintf("extra %q", x.name)
	}
	return fmt.Sprintf("job %d", x.id)
}

// asideLine is a line of the file of records that were set aside.
type asideLine struct {
	Time     time.Time `json:"time"`
	What     string    `json:"what"`
	Why      string    `json:"why"`
	Function []byte    `json:"function,omitempty"` // in base64, like the next fields
	Unique   []byte    `json:"unique,omitempty"`
	Data     []byte    `json:"data,omitempty"`
}

// asideFile returns the name of the file of records that were set aside.
func (s *Store) asideFile() string { return s.path + ".corrupt" }

// writeAside appends faults to the file of records that were set aside.
func (s *Store) writeAside(faults []fault) error {
	f, err := filestore.OpenAside(s.asideFile())
	if err != nil {
		return err
	}
	now := time.Now()
	lines := make([]asideLine, len(faults))
	for i := range faults {
		x := &faults[i]
		lines[i] = asideLine{
			Time: now, What: x.String(), Why: x.why.Error(),
			Function: []byte(x.name), Unique: []byte(x.unique), Data: x.data,
		}
	}
	return filestore.AppendAside(f, lines)
}

// reportFaults reports faults to the log and to Skipped.
func (s *Store) reportFaults(faults []fault) {
	for i := range faults {
		x := &faults[i]
		s.base.Skip(x.String(), &store.CorruptError{Where: fmt.Sprintf("row %d", x.id), Why: x.why.Error()})
	}
}

// setAside reports rows and removes them from the tables. If that fails, the
// next reading finds them again; for this one it is not an error.
func (s *Store) setAside(ctx context.Context, faults []fault) {
	if len(faults) == 0 {
		return
	}
	s.reportFaults(faults)
	err := s.writeAside(faults)
	if err == nil {
		err = s.write(ctx, "set aside in", false, func(w *writer) error {
			for i := range faults {
				if err := w.removeFault(&faults[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		s.base.Log.Error("damaged rows stay in the queue", "err", err)
	}
}

// removeFault removes a damaged row, unless a valid one has replaced it.
func (w *writer) removeFault(x *fault) error {
	if x.noRow {
		return nil
	}
	if x.extra {
		return w.Exec(fmt.Sprintf("DELETE FROM %s WHERE rowid = %d", quote(extrasTable(w.table)), x.id))
	}
	there, err := w.findRow(x.id)
	if err != nil || !there {
		return err
	}
	if w.row.verify() == nil {
		return nil
	}
	return w.removeRow(x.id)
}
